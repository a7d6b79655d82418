-- The API of the gateways: logging in and out, sessions, passwords, two factors, users of other issuers.
--
-- As in 70_api.sql.  The gateway puts these keys over whatever the client sent: address, userAgent and gateway of a login, session,
-- the claim sid of a token of ours; from another issuer's token there is none.
--
--   auth               {username, password, code?, address, userAgent, gateway} -> {status, token, expiresAt, user};
--                        refused: {status, error, retryAfter?}
--   auth_refresh       {session} -> the same
--   auth_logout        {session} -> {status}
--   sessions_list, session_delete {id}, password_change {old, new, session}
--   two_factor_start, two_factor_confirm {code}, two_factor_end {password}
--   provision          {issuer, issuedAt, name, username, isAdmin} -> {known}: a user of an issuer that creates its users, or
--                        makes administrators

-- ---- brakes --------------------------------------------------------------------------

-- Wrong passwords of an account, whether or not there is such a user, and of a meeting by a user.  Written at each failure, so
-- unlogged: a crash forgives.
CREATE UNLOGGED TABLE rt_private.failures (
	what text NOT NULL,
	at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX failures_what ON rt_private.failures (what, at);
CREATE INDEX failures_at ON rt_private.failures (at);
COMMENT ON TABLE rt_private.failures IS 'failed passwords of the last 15 minutes';
COMMENT ON COLUMN rt_private.failures.what IS 'a digest of the account, or of the meeting and user';
COMMENT ON COLUMN rt_private.failures.at IS 'when it happened';
COMMENT ON INDEX rt_private.failures_what IS 'used to count failures';
COMMENT ON INDEX rt_private.failures_at IS 'used to remove old rows';

-- An address that an account has succeeded from is not held back by what others try.
CREATE TABLE rt_private.login_addresses (
	user_id text NOT NULL REFERENCES rt.users ON DELETE CASCADE ON UPDATE CASCADE,
	address text NOT NULL,
	last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (user_id, address)
);
COMMENT ON TABLE rt_private.login_addresses IS 'the last 20 addresses from which each user has logged in';
COMMENT ON COLUMN rt_private.login_addresses.user_id IS 'the user';
COMMENT ON COLUMN rt_private.login_addresses.address IS 'the address';
COMMENT ON COLUMN rt_private.login_addresses.last_at IS 'last login, accurate to a day';

CREATE FUNCTION rt_private.brake_name(kind text, name text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT kind || ' ' || encode(sha256(convert_to(name, 'UTF8')), 'base64')
$$;
COMMENT ON FUNCTION rt_private.brake_name(text, text) IS 'key for counting failures';

-- In how many seconds another attempt is allowed; 0: now.
CREATE FUNCTION rt_private.brake(what text) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce((SELECT greatest(ceil(extract(epoch FROM f.at + interval '15 minutes' - clock_timestamp()))::integer, 1)
		FROM rt_private.failures AS f WHERE f.what = brake.what AND f.at > clock_timestamp() - interval '15 minutes'
		ORDER BY f.at DESC OFFSET 9 LIMIT 1), 0)
$$;
COMMENT ON FUNCTION rt_private.brake(text) IS 'seconds until the next attempt is allowed after ten failures in 15 minutes; 0: now';

CREATE FUNCTION rt_private.note_failure(what text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO rt_private.failures (what) VALUES (note_failure.what);
	DELETE FROM rt_private.failures AS f WHERE f.ctid = ANY (ARRAY(SELECT o.ctid FROM rt_private.failures AS o
		WHERE o.at < clock_timestamp() - interval '15 minutes' ORDER BY o.at LIMIT 10));
$$;
COMMENT ON FUNCTION rt_private.note_failure(text) IS 'counts a failed password and removes old rows';

CREATE FUNCTION rt_private.note_address(user_id text, address text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO rt_private.login_addresses AS a (user_id, address)
	SELECT note_address.user_id, note_address.address WHERE note_address.address IS NOT NULL
	ON CONFLICT (user_id, address) DO UPDATE SET last_at = clock_timestamp() WHERE a.last_at < clock_timestamp() - interval '1 day';
	DELETE FROM rt_private.login_addresses AS a WHERE a.user_id = note_address.user_id AND a.address IN (SELECT t.address
		FROM rt_private.login_addresses AS t WHERE t.user_id = note_address.user_id ORDER BY t.last_at DESC OFFSET 20);
$$;
COMMENT ON FUNCTION rt_private.note_address(text, text) IS 'stores an address from which a user has logged in';

-- ---- two factors (RFC 6238) --------------------------------------------------------------

CREATE TABLE rt_private.two_factor (
	user_id text PRIMARY KEY REFERENCES rt.users ON DELETE CASCADE ON UPDATE CASCADE,
	secret bytea NOT NULL,
	confirmed_at timestamptz,
	last_step bigint NOT NULL DEFAULT 0,
	recovery_codes text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE rt_private.two_factor IS 'users with two-factor authentication (TOTP)';
COMMENT ON COLUMN rt_private.two_factor.user_id IS 'the user';
COMMENT ON COLUMN rt_private.two_factor.secret IS 'secret shared with the authenticator, 20 random bytes';
COMMENT ON COLUMN rt_private.two_factor.confirmed_at IS 'when it was confirmed; null if not yet';
COMMENT ON COLUMN rt_private.two_factor.last_step IS 'time step of the last accepted code; codes cannot be reused';
COMMENT ON COLUMN rt_private.two_factor.recovery_codes IS 'digests of the unused recovery codes';
SELECT pg_catalog.pg_extension_config_dump('rt_private.two_factor', '');

CREATE FUNCTION rt_private.hmac_sha1(key bytea, data bytea) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rt_hmac_sha1';
COMMENT ON FUNCTION rt_private.hmac_sha1(bytea, bytea) IS 'HMAC-SHA-1, which authenticators use';

-- RFC 4226, section 5.3: six digits from four bytes, where the last half byte says.
CREATE FUNCTION rt_private.totp(secret bytea, step bigint) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	mac bytea := rt_private.hmac_sha1(secret, int8send(step));
	at integer := get_byte(mac, 19) & 15;
BEGIN
	RETURN lpad(((((get_byte(mac, at) & 127)::bigint << 24) | (get_byte(mac, at + 1) << 16) | (get_byte(mac, at + 2) << 8)
		| get_byte(mac, at + 3)) % 1000000)::text, 6, '0');
END
$$;
COMMENT ON FUNCTION rt_private.totp(bytea, bigint) IS 'the code of a 30-second time step';

CREATE FUNCTION rt_private.base32(data bytea) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT string_agg(substr('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 1 + substr(bits, 1 + 5 * i, 5)::bit(5)::integer, 1), '' ORDER BY i)
	FROM (SELECT string_agg(get_byte(data, n)::bit(8)::text, '' ORDER BY n) AS bits FROM generate_series(0, octet_length(data) - 1) AS n) AS b,
		generate_series(0, octet_length(data) * 8 / 5 - 1) AS i
$$;
COMMENT ON FUNCTION rt_private.base32(bytea) IS 'encodes a multiple of five bytes in base32 (RFC 4648, section 6)';

-- A code of the step now or of its neighbours, later than the last one; or a recovery code, which is used up.
CREATE FUNCTION rt_private.take_code(user_id text, code text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t rt_private.two_factor;
	step_now bigint := floor(extract(epoch FROM clock_timestamp()) / 30);
	digest text := encode(sha256(convert_to(upper(regexp_replace(coalesce(code, ''), E'[\\s-]', '', 'g')), 'UTF8')), 'base64');
BEGIN
	SELECT f.* INTO t FROM rt_private.two_factor AS f WHERE f.user_id = take_code.user_id FOR UPDATE;
	FOR step IN greatest(step_now - 1, t.last_step + 1) .. step_now + 1
	LOOP
		IF rt_private.totp(t.secret, step) = regexp_replace(code, E'\\s', '', 'g') THEN
			UPDATE rt_private.two_factor AS f SET last_step = step WHERE f.user_id = take_code.user_id;
			RETURN true;
		END IF;
	END LOOP;
	UPDATE rt_private.two_factor AS f SET recovery_codes = array_remove(f.recovery_codes, digest)
	WHERE f.user_id = take_code.user_id AND f.confirmed_at IS NOT NULL AND digest = ANY (f.recovery_codes);
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION rt_private.take_code(text, text) IS 'whether a code is valid; marks it as used';

CREATE FUNCTION rt_private.needs_code(user_id text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM rt_private.two_factor AS f WHERE f.user_id = needs_code.user_id AND f.confirmed_at IS NOT NULL)
$$;
COMMENT ON FUNCTION rt_private.needs_code(text) IS 'whether a user''s login needs a code';

CREATE FUNCTION rt.reset_two_factor(user_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM rt_private.two_factor AS f WHERE f.user_id = reset_two_factor.user_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'user "%" has no second factor', reset_two_factor.user_id USING ERRCODE = 'RT404';
	END IF;
	PERFORM rt_private.audit('two-factor-removed', jsonb_build_object('userId', reset_two_factor.user_id));
END
$$;
COMMENT ON FUNCTION rt.reset_two_factor(text) IS 'turns off two-factor authentication for a user who has lost the authenticator';

-- ---- logging in ------------------------------------------------------------------------

CREATE FUNCTION rt_private.token_json(u rt.users, s rt.sessions) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ttl interval := least(rt_private.token_ttl(), s.expires_at - clock_timestamp());
BEGIN
	RETURN json_build_object('status', 200, 'token', rt_private.make_token(u.id, ttl, s.id),
		'expiresAt', rt_private.iso(clock_timestamp() + ttl), 'user', rt_private.user_json(u));
END
$$;
COMMENT ON FUNCTION rt_private.token_json(rt.users, rt.sessions) IS 'the response to a login';

CREATE FUNCTION rt_private.login_refused(message text) RETURNS json
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('status', 401, 'error', json_build_object('code', 'unauthorized', 'message', message))
$$;
COMMENT ON FUNCTION rt_private.login_refused(text) IS 'the response to a failed login';

CREATE FUNCTION rt_private.limited(seconds integer) RETURNS json
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('status', 429, 'retryAfter', seconds,
		'error', json_build_object('code', 'rate_limited', 'message', 'Too many attempts. Try again later.'))
$$;
COMMENT ON FUNCTION rt_private.limited(integer) IS 'the response to too many attempts';

-- A refusal is an answer and no error, which would undo that it was written down.  An account that does not exist is held back
-- and takes as long as one that does.
CREATE FUNCTION rt_api.auth(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	given_name text := lower(rt_private.username_form(rt_private.req_text(req, 'username')));
	password text := rt_private.req_text(req, 'password');
	code text := rt_private.req_text_opt(req, 'code');
	account text := rt_private.brake_name('login', given_name);
	codes text := rt_private.brake_name('code', given_name); -- at any address: six digits are soon guessed
	wait integer := rt_private.brake(account);
	needs_code boolean;
	u rt.users;
BEGIN
	SELECT t.* INTO u FROM rt.users AS t WHERE lower(t.username) = given_name;
	IF wait > 0 AND NOT EXISTS (SELECT FROM rt_private.login_addresses AS a
		WHERE a.user_id = u.id AND a.address = req ->> 'address') THEN
		PERFORM rt_private.audit_login('login-limited', u.id, req ->> 'address', req ->> 'gateway');
		RETURN rt_private.limited(wait);
	END IF;
	needs_code := rt_private.needs_code(u.id);
	IF NOT rt_private.password_matches(password, u.password_hash) THEN
		PERFORM rt_private.note_failure(account);
		PERFORM rt_private.audit_login('login-failed', u.id, req ->> 'address', req ->> 'gateway');
		RETURN rt_private.login_refused('Wrong username or password');
	ELSIF needs_code AND code IS NULL THEN
		RETURN rt_private.login_refused('Two-factor code required')::jsonb || '{"twoFactor": "required"}';
	END IF;
	wait := CASE WHEN needs_code THEN rt_private.brake(codes) ELSE 0 END;
	IF wait > 0 THEN
		PERFORM rt_private.audit_login('login-limited', u.id, req ->> 'address', req ->> 'gateway');
		RETURN rt_private.limited(wait);
	ELSIF needs_code AND NOT rt_private.take_code(u.id, code) THEN
		PERFORM rt_private.note_failure(account);
		PERFORM rt_private.note_failure(codes);
		PERFORM rt_private.audit_login('login-failed', u.id, req ->> 'address', req ->> 'gateway');
		RETURN rt_private.login_refused('Wrong username or password');
	END IF;
	IF rt_private.password_cost(u.password_hash) < rt_private.least_password_cost() THEN
		INSERT INTO rt_private.password_updates (user_id, is_rehash) VALUES (u.id, true) ON CONFLICT DO NOTHING;
		UPDATE rt.users AS t SET password_hash = rt_private.hash_password(password) WHERE t.id = u.id;
	END IF;
	PERFORM rt_private.note_address(u.id, req ->> 'address');
	PERFORM rt_private.audit_login('login', u.id, req ->> 'address', req ->> 'gateway');
	RETURN rt_private.token_json(u, rt_private.open_session(u.id, req ->> 'address', req ->> 'userAgent', NULL));
END
$$;
COMMENT ON FUNCTION rt_api.auth(text, jsonb) IS 'POST /auth';

-- The caller's session, if it may go on.
CREATE FUNCTION rt_private.own_session(actor text, req jsonb) RETURNS rt.sessions
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s rt.sessions;
BEGIN
	SELECT t.* INTO s FROM rt.sessions AS t WHERE t.id = req ->> 'session' AND t.user_id = actor FOR UPDATE;
	IF NOT FOUND OR s.revoked_at IS NOT NULL OR s.expires_at <= clock_timestamp() THEN
		RAISE EXCEPTION 'the session has ended' USING ERRCODE = 'RT401', HINT = 'Sign in again.';
	END IF;
	RETURN s;
END
$$;
COMMENT ON FUNCTION rt_private.own_session(text, jsonb) IS 'the session of a request''s token; an error if it has ended or is not ours';

CREATE FUNCTION rt_api.auth_refresh(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s rt.sessions := rt_private.own_session(actor, req);
	u rt.users;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT t.* INTO u FROM rt.users AS t WHERE t.id = actor;
	RETURN rt_private.token_json(u, s);
END
$$;
COMMENT ON FUNCTION rt_api.auth_refresh(text, jsonb) IS 'POST /auth/refresh';

CREATE FUNCTION rt_api.auth_logout(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt.sessions AS s SET revoked_at = clock_timestamp()
	WHERE s.id = req ->> 'session' AND s.user_id = actor AND s.revoked_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'the token has no session here' USING ERRCODE = 'RT401';
	END IF;
	RETURN json_build_object('status', 200, 'ended', ARRAY[req ->> 'session']);
END
$$;
COMMENT ON FUNCTION rt_api.auth_logout(text, jsonb) IS 'POST /auth/logout';

CREATE FUNCTION rt_api.sessions_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	list json;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT coalesce(json_agg(json_build_object('id', s.id, 'createdAt', rt_private.iso(s.created_at),
		'lastUsedAt', rt_private.iso(s.last_used_at), 'expiresAt', rt_private.iso(s.expires_at), 'address', s.address,
		'userAgent', s.user_agent, 'current', coalesce(s.id = req ->> 'session', false)) ORDER BY s.last_used_at DESC, s.id), '[]') INTO list
	FROM (SELECT t.* FROM rt.sessions AS t WHERE t.user_id = actor AND t.revoked_at IS NULL AND t.expires_at > clock_timestamp()
		ORDER BY t.last_used_at DESC, t.id LIMIT 200) AS s;
	RETURN json_build_object('status', 200, 'data', list, 'count', json_array_length(list));
END
$$;
COMMENT ON FUNCTION rt_api.sessions_list(text, jsonb) IS 'GET /api/users/me/sessions';

CREATE FUNCTION rt_api.session_delete(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_user(actor);
	UPDATE rt.sessions AS s SET revoked_at = coalesce(s.revoked_at, clock_timestamp())
	WHERE s.id = rt_private.req_text(req, 'sessionId') AND s.user_id = actor;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'session not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN json_build_object('status', 200, 'data', json_build_object('id', req ->> 'sessionId'), 'ended', ARRAY[req ->> 'sessionId']);
END
$$;
COMMENT ON FUNCTION rt_api.session_delete(text, jsonb) IS 'DELETE /api/users/me/sessions/:sessionId';

CREATE FUNCTION rt_api.password_change(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old_password text := rt_private.req_text(req, 'old');
	new_password text := rt_private.req_text(req, 'new');
	u rt.users;
	account text;
	wait integer;
	others text[];
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT t.* INTO u FROM rt.users AS t WHERE t.id = actor;
	account := rt_private.brake_name('login', lower(u.username));
	wait := rt_private.brake(account);
	IF wait > 0 THEN
		RETURN rt_private.limited(wait);
	END IF;
	IF NOT rt_private.password_matches(old_password, u.password_hash) THEN
		PERFORM rt_private.note_failure(account);
		RETURN '{"status": 401, "error": {"code": "wrong_password", "message": "Wrong password"}}';
	END IF;
	PERFORM rt_private.act_as(actor);
	others := ARRAY(SELECT s.id FROM rt.sessions AS s WHERE s.user_id = actor AND s.revoked_at IS NULL AND s.id <> req ->> 'session');
	INSERT INTO rt_private.password_updates (user_id, keep_sid, is_rehash) VALUES (actor, req ->> 'session', false)
	ON CONFLICT (user_id) DO UPDATE SET keep_sid = excluded.keep_sid, is_rehash = false;
	UPDATE rt.users AS t SET password_hash = rt_private.hash_password(new_password) WHERE t.id = actor;
	RETURN json_build_object('status', 200, 'data', json_build_object('id', actor), 'ended', others);
END
$$;
COMMENT ON FUNCTION rt_api.password_change(text, jsonb) IS 'PUT /api/users/me/password';

-- ---- two factors, by their user --------------------------------------------------------------

CREATE FUNCTION rt_api.two_factor_start(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	-- 20 random bytes, as RFC 4226, section 4, recommends.
	new_secret bytea := substr(rt_private.from_base64url(rt_private.random_text(21)), 1, 20);
	encoded text;
	account text;
BEGIN
	PERFORM rt_private.check_user(actor);
	IF rt_private.needs_code(actor) THEN
		RAISE EXCEPTION 'two-factor authentication is already on' USING ERRCODE = 'RT409';
	END IF;
	INSERT INTO rt_private.two_factor AS f (user_id, secret) VALUES (actor, new_secret)
	ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, last_step = 0, recovery_codes = '{}';
	encoded := rt_private.base32(new_secret);
	SELECT u.username INTO account FROM rt.users AS u WHERE u.id = actor;
	RETURN json_build_object('status', 200, 'data', json_build_object('secret', encoded,
		'uri', format('otpauth://totp/rt:%s?secret=%s&issuer=rt', rt_private.uri_text(account), encoded)));
END
$$;
COMMENT ON FUNCTION rt_api.two_factor_start(text, jsonb) IS 'POST /api/users/me/two-factor: a secret for the authenticator';

CREATE FUNCTION rt_private.uri_text(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
	SELECT string_agg(CASE WHEN get_byte(bytes, n) IN (45, 46, 95, 126) OR get_byte(bytes, n) BETWEEN 48 AND 57 OR get_byte(bytes, n) BETWEEN 65 AND 90
		OR get_byte(bytes, n) BETWEEN 97 AND 122 THEN chr(get_byte(bytes, n)) ELSE '%' || upper(lpad(to_hex(get_byte(bytes, n)), 2, '0')) END, '' ORDER BY n)
	FROM (SELECT convert_to(value, 'UTF8') AS bytes) AS b, generate_series(0, octet_length(bytes) - 1) AS n
$$;
COMMENT ON FUNCTION rt_private.uri_text(text) IS 'percent-encodes a text (RFC 3986, section 2.1)';

CREATE FUNCTION rt_api.two_factor_confirm(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	codes text[];
BEGIN
	PERFORM rt_private.check_user(actor);
	IF NOT EXISTS (SELECT FROM rt_private.two_factor AS f WHERE f.user_id = actor AND f.confirmed_at IS NULL) THEN
		RAISE EXCEPTION 'two-factor authentication was not started, or is already on' USING ERRCODE = 'RT409';
	END IF;
	IF NOT rt_private.take_code(actor, rt_private.req_text(req, 'code')) THEN
		RAISE EXCEPTION 'wrong code' USING ERRCODE = 'RT400', HINT = 'Check that the clock of the device is right.';
	END IF;
	SELECT array_agg(substr(c, 1, 5) || '-' || substr(c, 6, 5)) INTO codes
	FROM (SELECT upper(substr(encode(rt_private.from_base64url(rt_private.random_text(6)), 'hex'), 1, 10)) AS c FROM generate_series(1, 10)) AS r;
	UPDATE rt_private.two_factor AS f SET confirmed_at = clock_timestamp(),
		recovery_codes = ARRAY(SELECT encode(sha256(convert_to(replace(c, '-', ''), 'UTF8')), 'base64') FROM unnest(codes) AS c)
	WHERE f.user_id = actor;
	PERFORM rt_private.act_as(actor);
	PERFORM rt_private.audit('two-factor-added', jsonb_build_object('userId', actor));
	RETURN json_build_object('status', 200, 'data', json_build_object('recoveryCodes', codes));
END
$$;
COMMENT ON FUNCTION rt_api.two_factor_confirm(text, jsonb) IS 'PUT /api/users/me/two-factor: turns it on, by a code of the authenticator';

CREATE FUNCTION rt_api.two_factor_end(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	u rt.users;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT t.* INTO u FROM rt.users AS t WHERE t.id = actor;
	IF rt_private.brake(rt_private.brake_name('login', lower(u.username))) > 0 THEN
		RETURN rt_private.limited(rt_private.brake(rt_private.brake_name('login', lower(u.username))));
	END IF;
	IF NOT rt_private.password_matches(rt_private.req_text(req, 'password'), u.password_hash) THEN
		PERFORM rt_private.note_failure(rt_private.brake_name('login', lower(u.username)));
		RETURN '{"status": 401, "error": {"code": "wrong_password", "message": "Wrong password"}}';
	END IF;
	PERFORM rt_private.act_as(actor);
	PERFORM rt.reset_two_factor(actor);
	RETURN json_build_object('status', 200, 'data', json_build_object('id', actor));
END
$$;
COMMENT ON FUNCTION rt_api.two_factor_end(text, jsonb) IS 'DELETE /api/users/me/two-factor';

-- ---- users of other issuers -------------------------------------------------------------

-- Of two tokens the later one says whether their user is an administrator, in whatever order they are used: an old one that is still
-- valid makes nobody an administrator again.
CREATE TABLE rt_private.admin_claims (
	user_id text PRIMARY KEY REFERENCES rt.users ON DELETE CASCADE ON UPDATE CASCADE,
	issued_at numeric NOT NULL
);
COMMENT ON TABLE rt_private.admin_claims IS 'users whose issuer says whether they are administrators';
COMMENT ON COLUMN rt_private.admin_claims.user_id IS 'the user';
COMMENT ON COLUMN rt_private.admin_claims.issued_at IS 'when the latest token that said so was issued, in seconds since 1970';
SELECT pg_catalog.pg_extension_config_dump('rt_private.admin_claims', '');

CREATE FUNCTION rt_private.claim_admin(actor text, is_admin boolean, issued_at numeric) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.is_foreign('rt.users') THEN
		RETURN; -- its writer hears of it from the gateways there
	END IF;
	INSERT INTO rt_private.admin_claims AS c (user_id, issued_at) VALUES (actor, claim_admin.issued_at)
	ON CONFLICT (user_id) DO UPDATE SET issued_at = excluded.issued_at WHERE c.issued_at <= excluded.issued_at;
	IF FOUND THEN
		UPDATE rt.users AS u SET is_admin = claim_admin.is_admin WHERE u.id = actor AND u.is_admin <> claim_admin.is_admin;
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.claim_admin(text, boolean, numeric) IS 'makes or unmakes an administrator, as the latest token says';

-- A gateway does not tell again what it has told: it must hear of what another one, or SQL, has made of the user since.
CREATE FUNCTION rt_private.admin_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.tell_gateways('rt:admin', json_build_object('userId', NEW.id));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.admin_changed() IS 'tells the gateways that a user has become an administrator, or is no longer one';
CREATE TRIGGER admin_changed AFTER UPDATE OF is_admin ON rt.users FOR EACH ROW
	WHEN (OLD.is_admin <> NEW.is_admin) EXECUTE FUNCTION rt_private.admin_changed();
COMMENT ON TRIGGER admin_changed ON rt.users IS 'tells the gateways that a user has become an administrator, or is no longer one';

-- What the issuer says, else the id, else what nobody else can have taken: a username that is taken or cannot be one keeps nobody out.
CREATE FUNCTION rt_private.free_username(wanted text, actor text) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT f.username FROM (VALUES (1, wanted), (2, actor), (3, 'user-' || gen_random_uuid())) AS f (n, username)
	WHERE rt_private.username_fault(f.username) IS NULL AND octet_length(rt_private.username_form(f.username)) BETWEEN 1 AND 128
		AND f.username !~ '[[:cntrl:][:space:]]' AND NOT EXISTS (SELECT FROM rt.users AS u
			WHERE lower(u.username) = lower(rt_private.username_form(f.username)) AND u.id <> actor)
	ORDER BY f.n LIMIT 1
$$;
COMMENT ON FUNCTION rt_private.free_username(text, text) IS 'a username for a user whom an issuer creates';

-- Called once for each user that a gateway sees, and again when their tokens say something else of isAdmin.
CREATE FUNCTION rt_api.provision(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	i rt_private.issuers;
	given_name text := left(regexp_replace(req ->> 'name', U&'[[:cntrl:]\202A-\202E\2066-\2069]', '', 'g'), 128);
	given_username text := left(regexp_replace(coalesce(req ->> 'username', ''), '[[:space:][:cntrl:]]', '', 'g'), 128);
	admin boolean := coalesce((req ->> 'isAdmin')::boolean, false);
BEGIN
	SELECT t.* INTO i FROM rt_private.issuers AS t WHERE t.issuer = req ->> 'issuer' AND (t.create_users OR t.admin_claim IS NOT NULL);
	IF NOT FOUND THEN
		RETURN '{}';
	END IF;
	-- Whoever was deleted does not come back by a token from before that.
	IF EXISTS (SELECT FROM rt_private.deleted_users AS d WHERE d.digest = rt_private.user_digest(actor)
		AND (req ->> 'issuedAt')::numeric <= floor(extract(epoch FROM d.deleted_at))) THEN
		RETURN '{"known": false}';
	END IF;
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = actor) THEN
		IF NOT i.create_users THEN
			RETURN '{"known": false}';
		END IF;
		INSERT INTO rt.users AS u (id, username, name) VALUES (actor, rt_private.free_username(given_username, actor),
			CASE WHEN rt_private.can_be_seen(given_name) THEN given_name ELSE actor END)
		ON CONFLICT (id) DO NOTHING;
	END IF;
	IF i.admin_claim IS NOT NULL THEN
		PERFORM rt_private.claim_admin(actor, admin, (req ->> 'issuedAt')::numeric);
	END IF;
	RETURN '{}';
EXCEPTION
	WHEN check_violation THEN -- what the token has for an id cannot be one
		RETURN '{"known": false}';
END
$$;
COMMENT ON FUNCTION rt_api.provision(text, jsonb) IS 'creates the user of a token if its issuer has create_users; sets or clears is_admin by its admin_claim';
