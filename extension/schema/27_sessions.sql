-- Sessions: each login, and each token that SQL issues, is a row, which its tokens name (claim sid).  A session that is revoked lets
-- nobody in any more: gateways are told at once, and keep what is revoked until the last token of it has expired.  Its id begins
-- with rt-: a backend that signs by a shared key may put another sid into its tokens, which is none of these.

CREATE TABLE rt.sessions (
	id text PRIMARY KEY DEFAULT 'rt-' || rt_private.random_text(15),
	user_id text NOT NULL REFERENCES rt.users ON DELETE CASCADE ON UPDATE CASCADE,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	last_used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	expires_at timestamptz NOT NULL,
	address text,
	user_agent text,
	revoked_at timestamptz,
	token_expires_at timestamptz NOT NULL DEFAULT 'infinity'
) WITH (fillfactor = 85);
CREATE INDEX sessions_user_id ON rt.sessions (user_id);
CREATE INDEX sessions_expires_at ON rt.sessions (expires_at);
COMMENT ON TABLE rt.sessions IS 'sessions: one for each login; a token is valid only as long as its session';
COMMENT ON COLUMN rt.sessions.id IS 'claim sid of the session''s tokens';
COMMENT ON COLUMN rt.sessions.user_id IS 'the user';
COMMENT ON COLUMN rt.sessions.created_at IS 'when it happened';
COMMENT ON COLUMN rt.sessions.last_used_at IS 'when a client last connected or got a token, accurate to a minute';
COMMENT ON COLUMN rt.sessions.expires_at IS 'when the session ends: rt.session_lifetime after the login';
COMMENT ON COLUMN rt.sessions.address IS 'client address of the login; null: created by SQL';
COMMENT ON COLUMN rt.sessions.user_agent IS 'User-Agent of the login';
COMMENT ON COLUMN rt.sessions.revoked_at IS 'when the session was revoked; set it to end the session. It cannot be cleared';
COMMENT ON COLUMN rt.sessions.token_expires_at IS 'when the last of its tokens expires';
COMMENT ON INDEX rt.sessions_user_id IS 'a user''s sessions';
COMMENT ON INDEX rt.sessions_expires_at IS 'used to remove old sessions';
SELECT pg_catalog.pg_extension_config_dump('rt.sessions', '');

-- What gateways must remember, apart from the sessions: a row that is deleted must not bring its tokens back to life.
CREATE TABLE rt_private.revoked_sessions (
	sid text PRIMARY KEY,
	until timestamptz NOT NULL,
	deleted_user text
);
CREATE INDEX revoked_sessions_until ON rt_private.revoked_sessions (until);
CREATE INDEX revoked_sessions_deleted_user ON rt_private.revoked_sessions (deleted_user) WHERE deleted_user IS NOT NULL;
COMMENT ON TABLE rt_private.revoked_sessions IS 'revoked sessions whose tokens have not expired yet';
COMMENT ON COLUMN rt_private.revoked_sessions.sid IS 'the claim sid of these tokens';
COMMENT ON COLUMN rt_private.revoked_sessions.until IS 'a minute after the last of these tokens expires';
COMMENT ON COLUMN rt_private.revoked_sessions.deleted_user IS 'whose it was, where the user is deleted: the gateways learn of it if the id is used again';
COMMENT ON INDEX rt_private.revoked_sessions_deleted_user IS 'sessions of an id that is used again';
COMMENT ON INDEX rt_private.revoked_sessions_until IS 'used to remove expired rows';
SELECT pg_catalog.pg_extension_config_dump('rt_private.revoked_sessions', '');

-- A token that names no session of ours is another issuer's or a backend's: of a user all of those are refused at once, by the time
-- at which they were issued.
CREATE TABLE rt_private.token_floors (
	user_id text PRIMARY KEY REFERENCES rt.users ON DELETE CASCADE ON UPDATE CASCADE,
	issued_after timestamptz NOT NULL
);
COMMENT ON TABLE rt_private.token_floors IS 'users whose older tokens are refused';
COMMENT ON COLUMN rt_private.token_floors.user_id IS 'the user';
COMMENT ON COLUMN rt_private.token_floors.issued_after IS 'a token that is of no session of ours must have been issued later';
SELECT pg_catalog.pg_extension_config_dump('rt_private.token_floors', '');

-- Ids that are free again: tokens of no session that were issued until then are not those of whoever has the id later.  By digest,
-- since an id may be an e-mail address; a year, since nobody knows how long another issuer's tokens live.
CREATE TABLE rt_private.deleted_users (
	digest bytea PRIMARY KEY,
	deleted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX deleted_users_deleted_at ON rt_private.deleted_users (deleted_at);
COMMENT ON TABLE rt_private.deleted_users IS 'ids of users who were deleted or got another id in the last year';
COMMENT ON COLUMN rt_private.deleted_users.digest IS 'SHA-256 of the id';
COMMENT ON COLUMN rt_private.deleted_users.deleted_at IS 'when it happened: a later user of the id needs tokens that were issued after this';
COMMENT ON INDEX rt_private.deleted_users_deleted_at IS 'used to remove old rows';
SELECT pg_catalog.pg_extension_config_dump('rt_private.deleted_users', '');

-- ---- revoking ------------------------------------------------------------------------

-- The leeway (rt_private.check_token_times()), and as much again for gateways whose clocks differ.
CREATE FUNCTION rt_private.last_use(token_expires_at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE STRICT PARALLEL SAFE
	RETURN token_expires_at OPERATOR(pg_catalog.+) interval '1 minute';
COMMENT ON FUNCTION rt_private.last_use(timestamptz) IS 'after this, nobody takes a token that expires then';

-- Sessions of one user in one event; a user has few of them.
CREATE FUNCTION rt_private.tell_revoked(user_id text, sids text[], until timestamptz, issued_after timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.tell_gateways('rt:revoked', json_build_object('userId', tell_revoked.user_id, 'sids', sids,
		'until', ceil(extract(epoch FROM least(tell_revoked.until, now() + interval '10 years'))),
		'issuedAfter', floor(extract(epoch FROM tell_revoked.issued_after))));
END
$$;
COMMENT ON FUNCTION rt_private.tell_revoked(text, text[], timestamptz, timestamptz) IS 'tells the gateways which tokens are refused from now on';

CREATE FUNCTION rt_private.sessions_revoked() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- Of a user who is deleted, too, nothing is refused but the user, whom nobody finds any more; until there is one of that id again.
	INSERT INTO rt_private.revoked_sessions AS r (sid, until, deleted_user)
	SELECT s.id, rt_private.last_use(s.token_expires_at), CASE WHEN u.id IS NULL THEN s.user_id END
	FROM gone AS s LEFT JOIN rt.users AS u ON u.id = s.user_id
	WHERE rt_private.last_use(s.token_expires_at) > clock_timestamp() AND s.revoked_at IS NULL
	ON CONFLICT (sid) DO NOTHING;
	PERFORM rt_private.tell_revoked(s.user_id, array_agg(s.id), max(rt_private.last_use(s.token_expires_at)), NULL)
	FROM gone AS s JOIN rt.users AS u ON u.id = s.user_id
	WHERE rt_private.last_use(s.token_expires_at) > clock_timestamp() AND s.revoked_at IS NULL GROUP BY s.user_id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.sessions_revoked() IS 'a session that is deleted is revoked';
CREATE TRIGGER sessions_deleted AFTER DELETE ON rt.sessions
	REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rt_private.sessions_revoked();
COMMENT ON TRIGGER sessions_deleted ON rt.sessions IS 'a session that is deleted is revoked';

CREATE FUNCTION rt_private.user_digest(user_id text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN pg_catalog.sha256(pg_catalog.convert_to(user_id, 'UTF8'));
COMMENT ON FUNCTION rt_private.user_digest(text) IS 'digest of a user''s id';

CREATE FUNCTION rt_private.note_free_ids(ids text[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO rt_private.deleted_users AS d (digest) SELECT rt_private.user_digest(i.id) FROM unnest(ids) AS i (id)
	ON CONFLICT (digest) DO UPDATE SET deleted_at = excluded.deleted_at;
$$;
COMMENT ON FUNCTION rt_private.note_free_ids(text[]) IS 'stores the ids of deleted users';

-- The gateways learn of what they did not have to know as long as there was no such user.
CREATE FUNCTION rt_private.refuse_former_tokens(ids text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	former record;
BEGIN
	IF EXISTS (SELECT FROM rt_private.revoked_sessions AS r WHERE r.deleted_user IS NOT NULL) THEN
		PERFORM rt_private.tell_revoked(r.deleted_user, array_agg(r.sid), max(r.until), NULL)
		FROM rt_private.revoked_sessions AS r WHERE r.deleted_user = ANY (ids) GROUP BY r.deleted_user;
		UPDATE rt_private.revoked_sessions AS r SET deleted_user = NULL WHERE r.deleted_user = ANY (ids);
	END IF;
	IF EXISTS (SELECT FROM rt_private.deleted_users) THEN
		FOR former IN DELETE FROM rt_private.deleted_users AS d USING unnest(ids) AS i (id) WHERE d.digest = rt_private.user_digest(i.id)
			RETURNING i.id, d.deleted_at
		LOOP
			INSERT INTO rt_private.token_floors AS f (user_id, issued_after) VALUES (former.id, former.deleted_at)
			ON CONFLICT (user_id) DO UPDATE SET issued_after = greatest(f.issued_after, excluded.issued_after);
			PERFORM rt_private.tell_revoked(former.id, '{}', NULL, former.deleted_at);
		END LOOP;
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.refuse_former_tokens(text[]) IS 'the tokens of a deleted user are not those of a later user of the same id';

CREATE FUNCTION rt_private.users_again() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.refuse_former_tokens(ARRAY(SELECT u.id FROM is_now AS u));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.users_again() IS 'the tokens of a deleted user are not those of a later user of the same id';
CREATE TRIGGER users_again AFTER INSERT ON rt.users
	REFERENCING NEW TABLE AS is_now FOR EACH STATEMENT EXECUTE FUNCTION rt_private.users_again();
COMMENT ON TRIGGER users_again ON rt.users IS 'the tokens of a deleted user are not those of a later user of the same id';

CREATE FUNCTION rt_private.users_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.note_free_ids(ARRAY(SELECT u.id FROM gone AS u));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.users_gone() IS 'stores the ids of deleted users';
CREATE TRIGGER users_gone AFTER DELETE ON rt.users
	REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rt_private.users_gone();
COMMENT ON TRIGGER users_gone ON rt.users IS 'stores the ids of deleted users';

-- A token names the id.  Fires after the references have followed.
CREATE FUNCTION rt_private.user_renamed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt.sessions AS s SET revoked_at = clock_timestamp() WHERE s.user_id = NEW.id AND s.revoked_at IS NULL;
	PERFORM rt_private.note_free_ids(ARRAY[OLD.id]);
	PERFORM rt_private.refuse_former_tokens(ARRAY[NEW.id]);
	PERFORM rt_private.disconnect(OLD.id, 'renamed');
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.user_renamed() IS 'ends the sessions of a user who gets another id';
CREATE TRIGGER user_renamed AFTER UPDATE OF id ON rt.users FOR EACH ROW
	WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION rt_private.user_renamed();
COMMENT ON TRIGGER user_renamed ON rt.users IS 'ends the sessions of a user who gets another id';

CREATE FUNCTION rt_private.sessions_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM is_now AS s WHERE s.revoked_at IS NOT NULL) THEN
		RETURN NULL; -- as in a storm of users who connect
	END IF;
	INSERT INTO rt_private.revoked_sessions AS r (sid, until)
	SELECT s.id, rt_private.last_use(s.token_expires_at) FROM is_now AS s JOIN was ON was.id = s.id
	WHERE s.revoked_at IS NOT NULL AND was.revoked_at IS NULL AND rt_private.last_use(s.token_expires_at) > clock_timestamp()
	ON CONFLICT (sid) DO NOTHING;
	PERFORM rt_private.tell_revoked(s.user_id, array_agg(s.id), max(rt_private.last_use(s.token_expires_at)), NULL)
	FROM is_now AS s JOIN was ON was.id = s.id
	WHERE s.revoked_at IS NOT NULL AND was.revoked_at IS NULL GROUP BY s.user_id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.sessions_changed() IS 'tells the gateways about revoked sessions';
CREATE TRIGGER sessions_changed AFTER UPDATE ON rt.sessions
	REFERENCING OLD TABLE AS was NEW TABLE AS is_now FOR EACH STATEMENT EXECUTE FUNCTION rt_private.sessions_changed();
COMMENT ON TRIGGER sessions_changed ON rt.sessions IS 'tells the gateways about revoked sessions';

CREATE FUNCTION rt_private.session_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.id <> OLD.id OR (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NULL) THEN
		RAISE EXCEPTION 'a session cannot be renamed or revived' USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Issue a token of a new session instead.';
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.session_check() IS 'a revoked session stays revoked';
CREATE TRIGGER session_check BEFORE UPDATE OF id, revoked_at ON rt.sessions
	FOR EACH ROW EXECUTE FUNCTION rt_private.session_check();
COMMENT ON TRIGGER session_check ON rt.sessions IS 'a revoked session stays revoked';

CREATE FUNCTION rt_private.refuse_truncate() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'cannot truncate %', TG_RELID::regclass USING ERRCODE = 'feature_not_supported', HINT = 'Use DELETE.';
END
$$;
COMMENT ON FUNCTION rt_private.refuse_truncate() IS 'refuses TRUNCATE, since row triggers would not fire';
CREATE TRIGGER sessions_truncated BEFORE TRUNCATE ON rt.sessions
	FOR EACH STATEMENT EXECUTE FUNCTION rt_private.refuse_truncate();
COMMENT ON TRIGGER sessions_truncated ON rt.sessions IS 'refuses TRUNCATE, since the gateways would not learn of it';

CREATE FUNCTION rt_private.revoke_sessions(user_id text, but text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	revoked integer;
BEGIN
	UPDATE rt.sessions AS s SET revoked_at = clock_timestamp()
	WHERE s.user_id = revoke_sessions.user_id AND s.revoked_at IS NULL AND s.id IS DISTINCT FROM but;
	GET DIAGNOSTICS revoked = ROW_COUNT;
	INSERT INTO rt_private.token_floors AS f (user_id, issued_after) VALUES (revoke_sessions.user_id, clock_timestamp())
	ON CONFLICT ON CONSTRAINT token_floors_pkey DO UPDATE SET issued_after = excluded.issued_after;
	PERFORM rt_private.tell_revoked(revoke_sessions.user_id, '{}', NULL, clock_timestamp());
	RETURN revoked;
END
$$;
COMMENT ON FUNCTION rt_private.revoke_sessions(text, text) IS 'ends all sessions of a user except one, and refuses the user''s other tokens';

CREATE FUNCTION rt.revoke_sessions(user_id text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = revoke_sessions.user_id) THEN
		RAISE EXCEPTION 'user "%" not found', revoke_sessions.user_id USING ERRCODE = 'RT404';
	END IF;
	RETURN rt_private.revoke_sessions(revoke_sessions.user_id, NULL);
END
$$;
COMMENT ON FUNCTION rt.revoke_sessions(text) IS
	'ends all sessions of a user: every token issued until now is refused, sockets are closed; returns how many sessions ended';

-- A new password, by whatever statement: what was got by the old one ends.
CREATE FUNCTION rt_private.password_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt_private.password_updates;
BEGIN
	DELETE FROM rt_private.password_updates AS t WHERE t.user_id = NEW.id RETURNING t.* INTO p;
	IF NOT coalesce(p.is_rehash, false) THEN
		PERFORM rt_private.revoke_sessions(NEW.id, p.keep_sid);
		PERFORM rt_private.audit('password-changed', jsonb_build_object('userId', NEW.id, 'hasPassword', NEW.password_hash IS NOT NULL));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.password_changed() IS 'a changed password ends the user''s sessions';
CREATE TRIGGER password_changed AFTER UPDATE OF password_hash ON rt.users FOR EACH ROW
	WHEN (OLD.password_hash IS DISTINCT FROM NEW.password_hash) EXECUTE FUNCTION rt_private.password_changed();
COMMENT ON TRIGGER password_changed ON rt.users IS 'a changed password ends the user''s sessions';

-- For gateways that begin, or whose bus had a gap: all that is refused now.
CREATE FUNCTION rt_api.revocations(actor text, req jsonb) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object(
		'sids', (SELECT coalesce(json_agg(json_build_array(r.sid, ceil(extract(epoch FROM least(r.until, now() + interval '10 years')))::bigint)), '[]')
			FROM rt_private.revoked_sessions AS r WHERE r.until > now() AND r.deleted_user IS NULL),
		'floors', (SELECT coalesce(json_agg(json_build_array(f.user_id, floor(extract(epoch FROM f.issued_after))::bigint)), '[]')
			FROM rt_private.token_floors AS f))
$$;
COMMENT ON FUNCTION rt_api.revocations(text, jsonb) IS 'revocations of unexpired tokens: {sids: [[sid, until]], floors: [[userId, issuedAfter]]}';

-- ---- opening and prolonging ------------------------------------------------------------

CREATE FUNCTION rt_private.open_session(user_id text, address text, user_agent text, at_least interval) RETURNS rt.sessions
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s rt.sessions;
BEGIN
	-- A session that has not loaded the library yet, as happens without preloading, does not know the setting.
	INSERT INTO rt.sessions (user_id, expires_at, address, user_agent)
	VALUES (open_session.user_id, clock_timestamp()
		+ greatest(coalesce(current_setting('rt.session_lifetime', true)::interval, interval '30 days'), at_least),
		open_session.address, left(open_session.user_agent, 512))
	RETURNING * INTO s;
	RETURN s;
END
$$;
COMMENT ON FUNCTION rt_private.open_session(text, text, text, interval) IS 'creates a session';

-- Old ones go, some at a time: what can neither be prolonged nor used.
CREATE FUNCTION rt_private.sweep_sessions() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	swept_at timestamptz := clock_timestamp(); -- a volatile function is no condition of an index
BEGIN
	IF rt_private.is_foreign('rt.sessions') THEN
		RETURN;
	END IF;
	DELETE FROM rt.sessions AS s WHERE s.id IN (SELECT t.id FROM rt.sessions AS t
		WHERE t.expires_at < swept_at AND rt_private.last_use(t.token_expires_at) < swept_at ORDER BY t.expires_at LIMIT 1000);
	DELETE FROM rt_private.revoked_sessions AS r WHERE r.sid IN (SELECT t.sid FROM rt_private.revoked_sessions AS t
		WHERE t.until < swept_at ORDER BY t.until LIMIT 1000);
	DELETE FROM rt_private.deleted_users AS d WHERE d.digest IN (SELECT t.digest FROM rt_private.deleted_users AS t
		WHERE t.deleted_at < swept_at - interval '1 year' ORDER BY t.deleted_at LIMIT 1000);
END
$$;
COMMENT ON FUNCTION rt_private.sweep_sessions() IS 'removes expired sessions, and ids that were free for a year';
