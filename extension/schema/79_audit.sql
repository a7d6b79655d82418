-- The audit: who logged in, and who did what to others.
--
-- Written by triggers and by the functions that let in or put out, in the transaction that does it: by SQL, REST or event
-- alike, once, and not at all when it rolls back.  Messages are not audited, nor is what users do to what is their own.
-- No password, token or key is ever in it.

CREATE TABLE rt.audit (
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	action text NOT NULL,
	user_id text,
	role name NOT NULL,
	address text,
	gateway text,
	detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_at ON rt.audit (at);
-- The same user's logins from the same address within a minute are one row that counts: a flood fills no disk.
CREATE UNIQUE INDEX audit_logins ON rt.audit (date_trunc('minute', at AT TIME ZONE 'UTC'), action, coalesce(user_id, ''),
	coalesce(address, '')) WHERE action IN ('login', 'login-failed', 'login-limited');
-- It has no key: where all tables are published, the server refused to count logins and to remove what is old.
ALTER TABLE rt.audit REPLICA IDENTITY FULL;
COMMENT ON TABLE rt.audit IS 'audit log of logins and of actions that concern others; kept for rt.retain_audit';
COMMENT ON COLUMN rt.audit.at IS 'time; for repeated logins in a minute, of the first';
COMMENT ON COLUMN rt.audit.action IS 'login, login-failed, login-limited, meeting-password-failed, meeting-password-limited, token-issued, session-…, two-factor-…, user-…, password-changed, admin-changed, key-…, room-…, member-…, meeting-…, participant-…, recording-…';
COMMENT ON COLUMN rt.audit.user_id IS 'the acting user; null for plain SQL, or for a login with an unknown username';
COMMENT ON COLUMN rt.audit.role IS 'the database role of the client: rt_gateway for events and REST';
COMMENT ON COLUMN rt.audit.address IS 'client address, for logins';
COMMENT ON COLUMN rt.audit.gateway IS 'gateway, for logins';
COMMENT ON COLUMN rt.audit.detail IS 'ids of the objects concerned; for logins, count and the time of the last one';
COMMENT ON INDEX rt.audit_at IS 'finds rows older than rt.retain_audit';
COMMENT ON INDEX rt.audit_logins IS 'used to count logins';
SELECT pg_catalog.pg_extension_config_dump('rt.audit', '');

CREATE FUNCTION rt_private.audit(action text, detail jsonb) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO rt.audit (action, user_id, role, detail)
	VALUES (audit.action, rt_private.actor(), rt_private.caller(), audit.detail)
$$;
COMMENT ON FUNCTION rt_private.audit(text, jsonb) IS 'writes an audit row for the acting user';

-- Of failed ones a minute has so many rows; beyond that they are counted together, without user and address.
CREATE FUNCTION rt_private.audit_login(action text, user_id text, address text, gateway text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	most CONSTANT integer := 100;
	this_minute timestamp := date_trunc('minute', clock_timestamp() AT TIME ZONE 'UTC');
	crowded boolean := audit_login.action <> 'login' AND (SELECT count(*) FROM (SELECT FROM rt.audit AS a
		WHERE date_trunc('minute', a.at AT TIME ZONE 'UTC') = this_minute AND a.action = audit_login.action LIMIT most) AS t) >= most;
BEGIN
	INSERT INTO rt.audit AS a (action, user_id, role, address, gateway, detail)
	VALUES (audit_login.action, CASE WHEN NOT crowded THEN audit_login.user_id END, rt_private.caller(),
		CASE WHEN NOT crowded THEN audit_login.address END, audit_login.gateway, '{"count": 1}')
	ON CONFLICT (date_trunc('minute', at AT TIME ZONE 'UTC'), action, coalesce(user_id, ''), coalesce(address, ''))
		WHERE action IN ('login', 'login-failed', 'login-limited')
	DO UPDATE SET detail = jsonb_build_object('count', (a.detail ->> 'count')::bigint + 1, 'last', rt_private.iso(clock_timestamp()));
END
$$;
COMMENT ON FUNCTION rt_private.audit_login(text, text, text, text) IS 'writes or updates the audit row of a login';

-- ---- users and keys --------------------------------------------------------------------------
--
-- What a dump brings along was made, and written down, before: it is as old as it says.

CREATE FUNCTION rt_private.audit_users_made() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit('user-created', jsonb_build_object('userId', u.id))
	FROM made AS u WHERE u.created_at >= transaction_timestamp();
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_users_made() IS 'audits new users';
CREATE TRIGGER audit_users_made AFTER INSERT ON rt.users
	REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION rt_private.audit_users_made();
COMMENT ON TRIGGER audit_users_made ON rt.users IS 'audits new users';

CREATE FUNCTION rt_private.audit_users_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit('user-deleted', jsonb_build_object('userId', u.id)) FROM gone AS u;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_users_gone() IS 'audits deleted users';
CREATE TRIGGER audit_users_gone AFTER DELETE ON rt.users
	REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rt_private.audit_users_gone();
COMMENT ON TRIGGER audit_users_gone ON rt.users IS 'audits deleted users';

CREATE FUNCTION rt_private.audit_users_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.is_admin <> OLD.is_admin THEN
		PERFORM rt_private.audit('admin-changed', jsonb_build_object('userId', NEW.id, 'isAdmin', NEW.is_admin));
	END IF;
	IF (NEW.id, NEW.username) <> (OLD.id, OLD.username) THEN
		PERFORM rt_private.audit('user-renamed', jsonb_build_object('userId', NEW.id, 'username', NEW.username,
			'wasUserId', OLD.id, 'wasUsername', OLD.username));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_users_changed() IS 'audits changes of passwords, usernames and administrators';
CREATE TRIGGER audit_users_changed AFTER UPDATE OF is_admin, id, username ON rt.users
	FOR EACH ROW EXECUTE FUNCTION rt_private.audit_users_changed();
COMMENT ON TRIGGER audit_users_changed ON rt.users IS 'audits changes of passwords, usernames and administrators';

CREATE FUNCTION rt_private.audit_keys() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	k rt_private.keys := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
	action text := CASE WHEN TG_OP = 'INSERT' THEN 'key-added' WHEN TG_OP = 'DELETE' THEN 'key-deleted'
		WHEN NEW.retired_at IS NOT NULL AND OLD.retired_at IS NULL THEN 'key-retired' ELSE 'key-changed' END;
BEGIN
	IF TG_OP <> 'INSERT' OR k.created_at >= transaction_timestamp() THEN
		PERFORM rt_private.audit(action, jsonb_build_object('kid', k.kid, 'alg', k.alg, 'canSign', k.can_sign));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_keys() IS 'audits changes of keys';
CREATE TRIGGER audit_keys AFTER INSERT OR UPDATE OR DELETE ON rt_private.keys
	FOR EACH ROW EXECUTE FUNCTION rt_private.audit_keys();
COMMENT ON TRIGGER audit_keys ON rt_private.keys IS 'audits changes of keys';

-- ---- rooms -------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.audit_rooms() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit('room-deleted', jsonb_build_object('roomId', OLD.id::text, 'kind', OLD.kind, 'name', OLD.name));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_rooms() IS 'audits deleted rooms';
CREATE TRIGGER audit_rooms AFTER DELETE ON rt.rooms FOR EACH ROW EXECUTE FUNCTION rt_private.audit_rooms();
COMMENT ON TRIGGER audit_rooms ON rt.rooms IS 'audits deleted rooms';

-- Whoever leaves is not removed, nor is who goes with the room or the user.
CREATE FUNCTION rt_private.audit_members_removed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit('member-removed', jsonb_build_object('roomId', m.room_id::text, 'userId', m.user_id))
	FROM removed AS m
	WHERE m.user_id IS DISTINCT FROM rt_private.actor()
		AND EXISTS (SELECT FROM rt.rooms AS r WHERE r.id = m.room_id)
		AND EXISTS (SELECT FROM rt.users AS u WHERE u.id = m.user_id);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_members_removed() IS 'audits members removed by others';
CREATE TRIGGER audit_members_removed AFTER DELETE ON rt.room_members
	REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION rt_private.audit_members_removed();
COMMENT ON TRIGGER audit_members_removed ON rt.room_members IS 'audits members removed by others';

CREATE FUNCTION rt_private.audit_member_role() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit('member-role', jsonb_build_object('roomId', NEW.room_id::text, 'userId', NEW.user_id, 'role', NEW.role));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_member_role() IS 'audits a member''s new role';
CREATE TRIGGER audit_member_role AFTER UPDATE OF role ON rt.room_members FOR EACH ROW WHEN (OLD.role <> NEW.role)
	EXECUTE FUNCTION rt_private.audit_member_role();
COMMENT ON TRIGGER audit_member_role ON rt.room_members IS 'audits a member''s new role';

-- ---- meetings ------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.audit_meetings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	what jsonb := jsonb_build_object('meetingId', OLD.id::text);
BEGIN
	IF TG_OP = 'DELETE' THEN
		PERFORM rt_private.audit('meeting-deleted', what || jsonb_build_object('title', OLD.title));
		RETURN NULL;
	END IF;
	IF NEW.status = 'ended' AND OLD.status <> 'ended' THEN
		PERFORM rt_private.audit('meeting-ended', what);
	END IF;
	IF NEW.locked <> OLD.locked THEN
		PERFORM rt_private.audit('meeting-locked', what || jsonb_build_object('locked', NEW.locked));
	END IF;
	IF NEW.password_hash IS DISTINCT FROM OLD.password_hash THEN
		PERFORM rt_private.audit('meeting-password', what || jsonb_build_object('hasPassword', NEW.password_hash IS NOT NULL));
	END IF;
	IF NEW.host_id IS DISTINCT FROM OLD.host_id THEN
		PERFORM rt_private.audit('meeting-host', what || jsonb_build_object('userId', NEW.host_id));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_meetings() IS 'audits a host''s changes to a meeting';
CREATE TRIGGER audit_meetings_changed AFTER UPDATE ON rt.meetings FOR EACH ROW
	WHEN ((OLD.status, OLD.locked, OLD.password_hash, OLD.host_id)
		IS DISTINCT FROM (NEW.status, NEW.locked, NEW.password_hash, NEW.host_id))
	EXECUTE FUNCTION rt_private.audit_meetings();
COMMENT ON TRIGGER audit_meetings_changed ON rt.meetings IS 'audits a host''s changes to a meeting';
CREATE TRIGGER audit_meetings_deleted AFTER DELETE ON rt.meetings FOR EACH ROW EXECUTE FUNCTION rt_private.audit_meetings();
COMMENT ON TRIGGER audit_meetings_deleted ON rt.meetings IS 'audits a host''s changes to a meeting';

CREATE FUNCTION rt_private.audit_participants() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	who jsonb := jsonb_build_object('meetingId', NEW.meeting_id::text, 'participantId', NEW.id::text, 'userId', NEW.user_id);
BEGIN
	IF NEW.role <> OLD.role THEN
		PERFORM rt_private.audit('participant-role', who || jsonb_build_object('role', NEW.role));
	END IF;
	IF NEW.audio_muted <> OLD.audio_muted THEN
		PERFORM rt_private.audit('participant-muted', who || jsonb_build_object('kind', 'audio', 'muted', NEW.audio_muted));
	END IF;
	IF NEW.video_muted <> OLD.video_muted THEN
		PERFORM rt_private.audit('participant-muted', who || jsonb_build_object('kind', 'video', 'muted', NEW.video_muted));
	END IF;
	IF NEW.left_reason = 'removed' AND OLD.left_reason IS DISTINCT FROM 'removed' THEN
		PERFORM rt_private.audit('participant-removed', who || jsonb_build_object('reason', NEW.removal_reason));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_participants() IS 'audits a host''s actions on participants';
CREATE TRIGGER audit_participants AFTER UPDATE ON rt.meeting_participants FOR EACH ROW
	WHEN (NEW.role <> OLD.role OR NEW.audio_muted <> OLD.audio_muted OR NEW.video_muted <> OLD.video_muted
		OR (NEW.left_reason = 'removed' AND OLD.left_reason IS DISTINCT FROM 'removed'))
	EXECUTE FUNCTION rt_private.audit_participants();
COMMENT ON TRIGGER audit_participants ON rt.meeting_participants IS 'audits a host''s actions on participants';

CREATE FUNCTION rt_private.audit_recordings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit(CASE WHEN NEW.stopped_at IS NULL THEN 'recording-started' ELSE 'recording-stopped' END,
		jsonb_build_object('meetingId', NEW.meeting_id::text, 'recordingId', NEW.id::text));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_recordings() IS 'audits recordings';
CREATE TRIGGER audit_recordings_started AFTER INSERT ON rt.meeting_recordings FOR EACH ROW
	WHEN (NEW.stopped_at IS NULL) EXECUTE FUNCTION rt_private.audit_recordings();
COMMENT ON TRIGGER audit_recordings_started ON rt.meeting_recordings IS 'audits recordings';
CREATE TRIGGER audit_recordings_stopped AFTER UPDATE ON rt.meeting_recordings FOR EACH ROW
	WHEN (OLD.stopped_at IS NULL AND NEW.stopped_at IS NOT NULL) EXECUTE FUNCTION rt_private.audit_recordings();
COMMENT ON TRIGGER audit_recordings_stopped ON rt.meeting_recordings IS 'audits recordings';

GRANT USAGE ON SCHEMA rt TO rt_auditor;
GRANT SELECT ON rt.audit TO rt_auditor;
