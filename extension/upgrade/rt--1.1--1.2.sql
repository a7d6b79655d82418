\echo Use "ALTER EXTENSION rt UPDATE" to load this file. \quit

-- From 1.1 to 1.2.  Written by extension/upgrade/draft, but for the part that says that it is by hand.

SET LOCAL search_path = pg_catalog, pg_temp;

-- The functions below may need what only the library of 1.2 has.  A server that still runs the one before would fail in the
-- midst of this, or later.
LOAD 'MODULE_PATHNAME';
DO $$
BEGIN
	IF pg_catalog.string_to_array(coalesce(pg_catalog.current_setting('rt.version', true), '0'), '.')::integer[]
		OPERATOR(pg_catalog.<) pg_catalog.string_to_array('1.2', '.')::integer[] THEN
		RAISE EXCEPTION 'the server runs an older version of rt than 1.2'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Restart the server after installing rt 1.2, then run ALTER EXTENSION rt UPDATE.';
	END IF;
END
$$;

REVOKE EXECUTE ON FUNCTION rt_api.keys(text, jsonb) FROM rt_gateway;
REVOKE EXECUTE ON FUNCTION rt_api.events_since(text, jsonb) FROM rt_gateway;
REVOKE EXECUTE ON FUNCTION rt_private.stat_relay() FROM pg_monitor;
REVOKE SELECT ON rt.stat_relay FROM pg_monitor;
REVOKE EXECUTE ON FUNCTION rt_private.actor(), rt_private.is_member(bigint, text), rt_private.own_rooms(),
	rt_private.is_room_admin(bigint, text) FROM rt_app;
REVOKE EXECUTE ON FUNCTION rt_private.max_message_size(), rt_private.message_fault(text, jsonb, text), rt_private.trusted(), rt_private.caller() FROM rt_app;
REVOKE SELECT (id, name, kind, created_by, created_at, last_seq), UPDATE (name), DELETE ON rt.rooms FROM rt_app;
REVOKE EXECUTE ON FUNCTION rt.create_room(text, text[]), rt.create_direct_room(text, text),
	rt.send_message(bigint, text, text, text, jsonb, bigint, text), rt.mark_seen(bigint, text, bigint[]),
	rt.mark_delivered(bigint, text, bigint[]), rt.set_status(text, text, text), rt.broadcast(bigint, text, jsonb) FROM rt_app;
REVOKE EXECUTE ON FUNCTION rt_private.since_reset(rt_private.gateways, text) FROM pg_monitor;
REVOKE SELECT (id, title, status, host_id, room_id, access, max_participants, locked, recording, starts_at, created_at,
	started_at, started_by, ended_at, ended_by) ON rt.meetings FROM rt_app;
REVOKE INSERT (title, host_id, access, max_participants, starts_at) ON rt.meetings FROM rt_app;
REVOKE UPDATE (title, status, access, max_participants, locked, starts_at) ON rt.meetings FROM rt_app;
REVOKE SELECT (id, meeting_id, user_id, display_name, role, video, audio, screen_sharing, audio_muted, video_muted,
	hand_raised_at, joined_at, left_at, left_reason) ON rt.meeting_participants FROM rt_app;
REVOKE EXECUTE ON FUNCTION
	rt.create_meeting(text, text, text, integer, timestamptz, bigint, text[], text),
	rt.start_meeting(bigint), rt.end_meeting(bigint), rt.set_meeting_password(bigint, text),
	rt.kick_participant(bigint, text), rt.mute_participant(bigint, boolean, text) FROM rt_app;
REVOKE EXECUTE ON FUNCTION
	rt_api.meeting_join(text, jsonb), rt_api.meeting_leave(text, jsonb), rt_api.meeting_media(text, jsonb),
	rt_api.meeting_say(text, jsonb), rt_api.meeting_typing(text, jsonb), rt_api.meeting_react(text, jsonb),
	rt_api.meeting_hand(text, jsonb), rt_api.meeting_mute(text, jsonb), rt_api.meeting_remove(text, jsonb),
	rt_api.meeting_role(text, jsonb), rt_api.meeting_lock(text, jsonb), rt_api.meeting_close(text, jsonb),
	rt_api.meeting_record(text, jsonb), rt_api.meeting_disconnected(text, jsonb), rt_api.meeting_resume(text, jsonb),
	rt_api.meeting_sweep(text, jsonb), rt_api.meetings_list(text, jsonb), rt_api.meeting_create(text, jsonb),
	rt_api.meeting_get(text, jsonb), rt_api.meeting_update(text, jsonb), rt_api.meeting_delete(text, jsonb),
	rt_api.meeting_start(text, jsonb), rt_api.meeting_end(text, jsonb), rt_api.meeting_check_join(text, jsonb),
	rt_api.meeting_participants(text, jsonb), rt_api.meeting_messages(text, jsonb),
	rt_api.meeting_webrtc_config(text, jsonb), rt_api.meeting_recordings(text, jsonb),
	rt_api.media_request(text, jsonb), rt_api.media_result(text, jsonb) FROM rt_gateway;
REVOKE EXECUTE ON FUNCTION
	rt_api.media_start(text, jsonb), rt_api.media_stop(text, jsonb), rt_api.media_heartbeat(text, jsonb),
	rt_api.media_fetch(text, jsonb), rt_api.media_answer(text, jsonb), rt_api.media_event(text, jsonb) FROM rt_media;
DROP VIEW rt.stat_relay;
DROP VIEW rt.stat_media;
DROP TRIGGER room_members_before_update ON rt.room_members;
DROP TRIGGER rt_before_delete ON rt.messages;
DROP TRIGGER rooms_after_update ON rt.rooms;
DROP TRIGGER rt_after_delete ON rt.messages;
DROP TRIGGER rt_before_update ON rt.presence;
DROP TRIGGER rt_after_insert ON rt.presence;
DROP TRIGGER rt_after_update ON rt.presence;
DROP TRIGGER audit_users_changed ON rt.users;
DROP POLICY members_add ON rt.room_members;
DROP POLICY members_change ON rt.room_members;
DROP POLICY members_remove ON rt.room_members;
DROP POLICY messages_read ON rt.messages;
DROP POLICY messages_send ON rt.messages;
DROP POLICY messages_change ON rt.messages;
DROP POLICY reactions_read ON rt.reactions;
DROP POLICY reactions_add ON rt.reactions;
DROP POLICY reactions_remove ON rt.reactions;
DROP INDEX rt.messages_search_idx;
DROP INDEX rt_private.sessions_ended_at_idx;
DROP INDEX rt.audit_logins;
DROP FUNCTION rt_private.jwt_is_signed(text, text, text);
DROP FUNCTION rt_private.make_token(text, interval);
DROP FUNCTION rt_private.signed_claims(text);
DROP FUNCTION rt_private.room_members_before_update();
DROP FUNCTION rt_private.mentioned(text, jsonb, bigint, text);
DROP FUNCTION rt_private.messages_before_delete();
DROP FUNCTION rt_private.import_number(bigint);
DROP FUNCTION rt_private.presence_json(rt.presence);
DROP FUNCTION rt.create_meeting(text, text, text, integer, timestamptz, bigint, text[], text);
DROP FUNCTION rt_private.media_pick_worker();
DROP FUNCTION rt_private.media_place(bigint);
DROP FUNCTION rt_private.media_emit_transport_closed(rt_private.media_transports, text, text);
DROP FUNCTION rt_private.media_find_producer(bigint, jsonb);
DROP FUNCTION rt_private.change_payload(rt.messages);
DROP FUNCTION rt_private.connect_one(jsonb);
DROP FUNCTION rt_private.tell_roaming(text[]);
DROP FUNCTION rt_private.gateways_gone(text[]);
DROP FUNCTION rt_api.roaming(text, jsonb);
DROP FUNCTION rt_private.token_json(rt.users);
DROP FUNCTION rt_private.unread_count(rt.room_members);
DROP FUNCTION rt_private.room_json(rt.rooms, rt.room_members);
DROP FUNCTION rt_private.read_outgoing(bigint, text, jsonb, bigint, integer);
DROP FUNCTION rt_private.send_result(rt_private.outgoing, rt.messages, boolean);
DROP FUNCTION rt_private.send_all(bigint, jsonb);
DROP FUNCTION rt_private.page_before(bigint, bigint, integer);
DROP FUNCTION rt_private.search_newest(bigint[], tsquery, integer);
DROP FUNCTION rt_private.meeting_check_access(rt.meetings, text, text);
DROP FUNCTION rt_private.webrtc_config(text);
DROP FUNCTION rt_private.check_admin(text);
DROP FUNCTION rt_private.stat_relay();
DROP FUNCTION rt_private.room_json_for(rt.rooms, text);
DROP TABLE rt_private.deletions;
DROP TYPE rt_private.outgoing;

ALTER TABLE rt.presence ADD COLUMN busy_by text;
ALTER TABLE rt_private.gateways ADD COLUMN region text;
ALTER TABLE rt_private.gateways ADD COLUMN own boolean NOT NULL DEFAULT false;
ALTER TABLE rt_private.gateways ADD COLUMN addresses text[] NOT NULL DEFAULT '{}';
ALTER TABLE rt_private.connections ADD COLUMN status text NOT NULL DEFAULT 'online' CHECK (status IN ('online', 'away'));
ALTER TABLE rt_private.clock ADD COLUMN seen_at timestamptz NOT NULL DEFAULT clock_timestamp();
ALTER TABLE rt.meetings ADD COLUMN guests boolean NOT NULL DEFAULT false;
ALTER TABLE rt.meetings ADD COLUMN lobby boolean NOT NULL DEFAULT false;
ALTER TABLE rt.meetings ADD CONSTRAINT meetings_guests CHECK (NOT guests OR access = 'anyone');
ALTER TABLE rt.meeting_participants ADD COLUMN guest boolean NOT NULL DEFAULT false;
ALTER TABLE rt_private.media_workers ADD COLUMN host text;
ALTER TABLE rt_private.media_workers ADD COLUMN region text;
ALTER TABLE rt_private.media_workers ADD COLUMN own boolean NOT NULL DEFAULT false;
ALTER TABLE rt_private.media_workers ADD COLUMN pid integer;
ALTER TABLE rt_private.media_workers ADD COLUMN draining_since timestamptz;
ALTER TABLE rt_private.media_routers ADD COLUMN region text;
ALTER TABLE rt_private.media_routers ADD COLUMN former text;
ALTER TABLE rt_private.media_routers ADD COLUMN former_worker text;
ALTER TABLE rt_private.media_routers ADD COLUMN former_until timestamptz;

-- ---- by hand ----------------------------------------------------------------
-- done: TABLE rt.room_members
-- Members of before have seen the rooms' whole history come.
ALTER TABLE rt.room_members ADD COLUMN first_seq bigint NOT NULL DEFAULT 0, ADD COLUMN first_change bigint NOT NULL DEFAULT 0,
	ADD COLUMN notify text NOT NULL DEFAULT 'all' CHECK (notify IN ('all', 'mentions', 'none')), ADD COLUMN muted_until timestamptz,
	ALTER COLUMN last_read_seq DROP DEFAULT;
ALTER TABLE rt.room_members ALTER COLUMN first_seq DROP DEFAULT, ALTER COLUMN first_change DROP DEFAULT;
-- done: TABLE rt.users
-- In a path browsers take "." and ".." for folders, so nobody may have such an id.  Whoever has it gets another, wherever it
-- stands: by triggers this would be told as that many changes.
DO $rename$
DECLARE
	held record;
	place record;
	other text;
	n integer;
	role_before text := current_setting('session_replication_role');
BEGIN
	FOR held IN SELECT u.id FROM rt.users AS u WHERE u.id IN ('.', '..') LOOP
		other := CASE held.id WHEN '.' THEN 'dot' ELSE 'dot-dot' END;
		n := 1;
		WHILE EXISTS (SELECT FROM rt.users AS u WHERE u.id = other) LOOP
			n := n + 1;
			other := CASE held.id WHEN '.' THEN 'dot-' ELSE 'dot-dot-' END || n;
		END LOOP;
		PERFORM set_config('session_replication_role', 'replica', true);
		UPDATE rt.users AS u SET id = other WHERE u.id = held.id;
		FOR place IN SELECT c.conrelid::regclass AS name, a.attname AS col FROM pg_constraint AS c
				JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
			WHERE c.contype = 'f' AND c.confrelid = 'rt.users'::regclass
		LOOP
			EXECUTE format('UPDATE %s SET %I = $1 WHERE %I = $2', place.name, place.col, place.col) USING other, held.id;
		END LOOP;
		UPDATE rt.rooms AS r SET direct_key = (SELECT rt_private.direct_key(min(t.id), max(t.id))
			FROM (SELECT CASE pair.id WHEN held.id THEN other ELSE pair.id END AS id FROM unnest(rt_private.direct_users(r.direct_key)) AS pair (id)) AS t)
		WHERE r.kind = 'direct' AND held.id = ANY (rt_private.direct_users(r.direct_key));
		PERFORM set_config('session_replication_role', role_before, true);
		RAISE WARNING 'the user with the id "%" has the id "%" now', held.id, other USING HINT = 'Their tokens of before are not valid any more.';
	END LOOP;
END
$rename$;
ALTER TABLE rt.users DROP CONSTRAINT users_id_check,
	ADD CONSTRAINT users_id_check CHECK (octet_length(id) BETWEEN 1 AND 128 AND id !~ '[[:cntrl:]]' AND id NOT IN ('.', '..'));
-- done: TABLE rt.reactions
DELETE FROM rt.reactions WHERE emoji IN ('.', '..');
ALTER TABLE rt.reactions DROP CONSTRAINT reactions_emoji_check,
	ADD CONSTRAINT reactions_emoji_check CHECK (octet_length(emoji) BETWEEN 1 AND 64 AND emoji !~ '[[:cntrl:]]' AND emoji NOT IN ('.', '..'));
-- done: TABLE rt.messages
-- done: ALTER FUNCTION rt_private.messages_before_delete() SECURITY DEFINER
-- What is answered may be deleted: rt.deleted_messages keeps its place.
ALTER TABLE rt.messages DROP CONSTRAINT messages_room_id_reply_to_fkey;
-- done: TABLE rt.rooms
ALTER TABLE rt.rooms ADD COLUMN has_left boolean NOT NULL DEFAULT false,
	ADD COLUMN last_at timestamptz,
	ADD COLUMN newest_at timestamptz,
	ADD COLUMN topic text CHECK (octet_length(topic) <= 4096),
	ADD COLUMN archived boolean NOT NULL DEFAULT false,
	ADD COLUMN history text NOT NULL DEFAULT 'all' CHECK (history IN ('all', 'joined')),
	ADD COLUMN who_may_post text NOT NULL DEFAULT 'members' CHECK (who_may_post IN ('admins', 'members')),
	ADD COLUMN who_may_add text NOT NULL DEFAULT 'admins' CHECK (who_may_add IN ('admins', 'members')),
	ADD COLUMN who_may_pin text NOT NULL DEFAULT 'members' CHECK (who_may_pin IN ('admins', 'members')),
	ADD COLUMN who_may_mention_all text NOT NULL DEFAULT 'admins' CHECK (who_may_mention_all IN ('admins', 'members'));
UPDATE rt.rooms AS r SET last_at = (SELECT m.created_at FROM rt.messages AS m WHERE m.room_id = r.id ORDER BY m.seq DESC LIMIT 1),
	has_left = r.kind = 'direct' AND (SELECT count(*) FROM rt.room_members AS m WHERE m.room_id = r.id) < 2,
	newest_at = o.newest_at
FROM (SELECT t.id, CASE WHEN t.last_seq > 0 THEN coalesce(n.newest_at, '-infinity') END AS newest_at
	FROM rt.rooms AS t LEFT JOIN (
		SELECT m.room_id, CASE WHEN bool_or(m.created_at < m.before) THEN 'infinity' ELSE max(m.created_at) END AS newest_at
		FROM (SELECT s.room_id, s.created_at, lag(s.created_at) OVER (PARTITION BY s.room_id ORDER BY s.seq) AS before FROM rt.messages AS s) AS m
		GROUP BY m.room_id) AS n ON n.room_id = t.id) AS o
WHERE o.id = r.id;
-- done: TABLE rt.threads
CREATE TABLE rt.threads (
	room_id bigint NOT NULL REFERENCES rt.rooms (id) ON DELETE CASCADE,
	seq bigint NOT NULL,
	replies bigint NOT NULL,
	last_reply_seq bigint NOT NULL,
	last_reply_at timestamptz NOT NULL,
	PRIMARY KEY (room_id, seq)
) WITH (fillfactor = 80);
INSERT INTO rt.threads (room_id, seq, replies, last_reply_seq, last_reply_at)
SELECT m.room_id, m.reply_to, count(*), max(m.seq), max(m.created_at) FROM rt.messages AS m
WHERE m.reply_to IS NOT NULL AND m.deleted_at IS NULL GROUP BY m.room_id, m.reply_to;
-- done: ALTER FUNCTION rt_private.hash_password(text) STRICT
-- done: TABLE rt_private.keys
ALTER TABLE rt_private.keys DROP CONSTRAINT keys_kid_check, DROP CONSTRAINT keys_alg_check,
	ADD CONSTRAINT keys_kid_check CHECK (octet_length(kid) BETWEEN 1 AND 255 AND kid !~ '[[:cntrl:]]'),
	ADD CONSTRAINT keys_alg_check CHECK (alg IN ('HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512',
		'ES256', 'ES384', 'ES512', 'EdDSA'));
ALTER TABLE rt.users DROP CONSTRAINT users_username_check,
	ADD CONSTRAINT users_username_check CHECK (octet_length(username) BETWEEN 1 AND 128 AND username !~ '[[:cntrl:][:space:]]');
-- done: TABLE rt_private.sessions
ALTER TABLE rt_private.sessions ADD COLUMN pos bigint NOT NULL DEFAULT 0, ADD COLUMN status text NOT NULL DEFAULT 'online';
ALTER TABLE rt_private.sessions SET LOGGED;
ALTER TABLE rt.messages ALTER COLUMN seq SET DEFAULT (-9223372036854775808), ALTER COLUMN created_at SET DEFAULT '-infinity';
-- done: TABLE rt_private.room_sizes
CREATE TABLE rt_private.room_sizes (
	room_id bigint PRIMARY KEY REFERENCES rt.rooms (id) ON DELETE CASCADE,
	members bigint NOT NULL
);
INSERT INTO rt_private.room_sizes (room_id, members)
SELECT m.room_id, count(*) FROM rt.room_members AS m GROUP BY m.room_id HAVING count(*) >= 200;
-- ---- end of what is by hand --------------------------------------------------

DO $$
DECLARE
	rt oid := (SELECT e.oid FROM pg_extension AS e WHERE e.extname = 'rt');
BEGIN
	DELETE FROM pg_depend WHERE classid = 'pg_extension'::regclass AND objid = rt AND refclassid = 'pg_namespace'::regclass;
	UPDATE pg_extension SET extnamespace = 'pg_catalog'::regnamespace WHERE oid = rt;
END
$$;

DO $$
DECLARE
	r record;
	faults text[];
BEGIN
	FOR r IN SELECT a.* FROM pg_catalog.pg_roles AS a
		WHERE a.rolname IN ('rt_gateway', 'rt_media', 'rt_app', 'rt_auditor') ORDER BY a.rolname
	LOOP
		faults := pg_catalog.array_remove(ARRAY[
			CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
			CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
			CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
			CASE WHEN r.rolreplication THEN 'REPLICATION' END,
			CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END], NULL);
		faults := faults || ARRAY(
			WITH RECURSIVE above AS (
				SELECT m.roleid FROM pg_catalog.pg_auth_members AS m WHERE m.member = r.oid
				UNION
				SELECT m.roleid FROM above AS a JOIN pg_catalog.pg_auth_members AS m ON m.member = a.roleid
			)
			SELECT pg_catalog.format('membership in %I', g.rolname) FROM above AS a JOIN pg_catalog.pg_roles AS g ON g.oid = a.roleid
			WHERE g.rolname ~ '^pg_' OR g.rolsuper OR g.rolcreaterole OR g.rolcreatedb OR g.rolreplication OR g.rolbypassrls
			ORDER BY g.rolname);
		IF EXISTS (SELECT FROM pg_catalog.pg_shdepend AS d
			WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = r.oid AND d.deptype = 'o') THEN
			faults := faults || 'objects that it owns'::text;
		END IF;
		IF faults <> '{}' THEN
			RAISE EXCEPTION 'role "%" exists and has rights that it must not have', r.rolname
				USING ERRCODE = 'object_not_in_prerequisite_state',
					DETAIL = pg_catalog.format('It has: %s.', pg_catalog.array_to_string(faults, ', ')),
					HINT = pg_catalog.format('Take these rights away, or rename the role: ALTER ROLE %I RENAME TO …', r.rolname);
		END IF;
	END LOOP;
END
$$;

DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT * FROM (VALUES ('rt_gateway', 'LOGIN'), ('rt_media', 'LOGIN'), ('rt_app', 'NOLOGIN'),
		('rt_auditor', 'NOLOGIN')) AS v (name, how)
	LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r.name) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I %s NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT', r.name, r.how);
		END IF;
		-- Parameters of the programs' statements are passwords and tokens.  The supervisor sets these again at each start, with
		-- what else the programs need.
		IF r.how = 'LOGIN' THEN
			EXECUTE pg_catalog.format('ALTER ROLE %I RESET log_min_messages', r.name);
			EXECUTE pg_catalog.format('ALTER ROLE %I SET log_parameter_max_length = 0', r.name);
			EXECUTE pg_catalog.format('ALTER ROLE %I SET log_parameter_max_length_on_error = 0', r.name);
		END IF;
	END LOOP;
END
$$;

COMMENT ON SCHEMA rt_api IS 'functions for the programs of rt: one for each kind of request; the first argument is the acting user';

CREATE OR REPLACE FUNCTION rt_private.actor() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
	RETURN CASE WHEN current_setting('rt.user_id', true) <> '' THEN current_setting('rt.user_id', true) END;

COMMENT ON FUNCTION rt_private.actor() IS 'the acting user, from rt.user_id; null if none is set';

CREATE OR REPLACE FUNCTION rt_private.act_as(actor text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.refuse_guest(actor);
	PERFORM pg_catalog.set_config('rt.user_id', coalesce(actor, ''), true);
END
$$;

COMMENT ON FUNCTION rt_private.act_as(text) IS 'sets the acting user until the transaction ends; refuses guests of meetings';

CREATE OR REPLACE FUNCTION rt_private.caller() RETURNS name
LANGUAGE sql STABLE
	RETURN CASE WHEN current_setting('role') = 'none' THEN session_user ELSE current_setting('role')::name END;

COMMENT ON FUNCTION rt_private.caller() IS 'the client''s current role';

CREATE OR REPLACE FUNCTION rt_private.trusted() RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT pg_catalog.pg_has_role(rt_private.caller(), n.nspowner, 'USAGE')
	FROM pg_catalog.pg_namespace AS n WHERE n.nspname OPERATOR(pg_catalog.=) 'rt'
$$;

COMMENT ON FUNCTION rt_private.trusted() IS 'whether the caller has the rights of the extension''s owner, and so need not be a user of rt';

CREATE OR REPLACE FUNCTION rt_private.iso(t timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
	RETURN pg_catalog.to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

COMMENT ON FUNCTION rt_private.iso(timestamptz) IS 'formats a time for clients: ISO 8601, UTC, milliseconds';

CREATE FUNCTION rt_private.sentence(message text) RETURNS text
LANGUAGE sql IMMUTABLE
	RETURN CASE WHEN message ~ '^[a-z]+( |$)' THEN upper(left(message, 1)) || substr(message, 2) ELSE message END;

COMMENT ON FUNCTION rt_private.sentence(text) IS 'formats an error message for clients: capitalized, unless it begins with a field name';

CREATE OR REPLACE FUNCTION rt_private.max_message_size() RETURNS integer
LANGUAGE sql STABLE
	RETURN pg_size_bytes(coalesce(current_setting('rt.max_message_size', true), '64kB'))::integer;

CREATE OR REPLACE FUNCTION rt_private.crypt(password text, salt text) RETURNS text
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'rt_crypt';

COMMENT ON FUNCTION rt_private.crypt(text, text) IS 'hash of a password with a salt or, to compare, with another hash; the C library''s crypt()';

CREATE OR REPLACE FUNCTION rt_private.gen_salt(kind text, rounds integer) RETURNS text
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'rt_gen_salt';

COMMENT ON FUNCTION rt_private.gen_salt(text, integer) IS 'a random salt for bcrypt (kind bf) with 2^rounds steps';

CREATE OR REPLACE FUNCTION rt_private.bad_request(message text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION '%', message USING ERRCODE = 'RT400';
END
$$;

COMMENT ON FUNCTION rt_private.to_id(jsonb, text) IS 'reads an id that is given as a string or a number';

COMMENT ON FUNCTION rt_private.req_id_opt(jsonb, text) IS 'reads an optional id from a request';

COMMENT ON FUNCTION rt_private.req_id(jsonb, text) IS 'reads a required id from a request';

COMMENT ON FUNCTION rt_private.req_text_opt(jsonb, text) IS 'reads an optional string from a request';

COMMENT ON FUNCTION rt_private.req_text(jsonb, text) IS 'reads a required, nonempty string from a request';

CREATE FUNCTION rt_private.can_be_seen(name text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT regexp_replace(name, U&'[[:space:]\00AD\034F\061C\115F\1160\17B4\17B5\180B-\180F\200B-\200F\2060-\206F\3164\FE00-\FE0F\FEFF\FFA0]',
		'', 'g') <> ''
$$;

COMMENT ON FUNCTION rt_private.can_be_seen(text) IS 'whether a name has a character that can be seen';

CREATE FUNCTION rt_private.req_display_name(req jsonb, key text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text := nullif(btrim(rt_private.req_text_opt(req, key)), '');
BEGIN
	IF octet_length(name) > 512 OR name ~ U&'[[:cntrl:]\202A-\202E\2066-\2069]' THEN
		RAISE EXCEPTION '% must have 512 bytes at most, and no control characters', key USING ERRCODE = 'RT400';
	ELSIF NOT rt_private.can_be_seen(name) THEN
		RAISE EXCEPTION '% must have a visible character', key USING ERRCODE = 'RT400';
	END IF;
	RETURN name;
END
$$;

COMMENT ON FUNCTION rt_private.req_display_name(jsonb, text) IS 'reads an optional name that others see from a request';

COMMENT ON FUNCTION rt_private.req_name(jsonb, text) IS 'reads a name or id from a request, as text; accepts a number';

COMMENT ON FUNCTION rt_private.req_bool(jsonb, text, boolean) IS 'reads a boolean from a request';

COMMENT ON FUNCTION rt_private.req_choice(jsonb, text, text[], text) IS 'reads one of several words from a request';

COMMENT ON FUNCTION rt_private.req_object(jsonb, text) IS 'reads an object from a request';

COMMENT ON FUNCTION rt_private.req_array(jsonb, text, integer) IS 'reads an array of limited length from a request';

COMMENT ON FUNCTION rt_private.req_limit(jsonb, integer, integer) IS 'reads the page size from a request';

CREATE FUNCTION rt_private.cursor_text(at timestamptz, id text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (extract(epoch FROM at) * 1000000)::bigint::text || '_' || id;
END
$$;

COMMENT ON FUNCTION rt_private.cursor_text(timestamptz, text) IS 'builds nextCursor for a list that is ordered by a time and an id';

CREATE FUNCTION rt_private.req_cursor(req jsonb, OUT at timestamptz, OUT id text)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	cursor text := rt_private.req_text_opt(req, 'cursor');
	parts text[] := regexp_match(cursor, '^(-?[0-9]{1,18})_(.+)$');
BEGIN
	IF cursor IS NOT NULL AND parts IS NULL THEN
		RAISE EXCEPTION 'cursor must be the nextCursor of a page' USING ERRCODE = 'RT400';
	END IF;
	at := timestamptz 'epoch' + parts[1]::bigint * interval '1 microsecond';
	id := parts[2];
END
$$;

COMMENT ON FUNCTION rt_private.req_cursor(jsonb) IS 'reads the cursor from a request; null: the first page';

COMMENT ON FUNCTION rt_private.to_seq(jsonb, text, bigint) IS 'the number of a message in a room, from its id; null if the message is in another room';

CREATE FUNCTION rt_private.is_foreign(t regclass) RETURNS boolean
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'rt_is_foreign';

COMMENT ON FUNCTION rt_private.is_foreign(regclass) IS 'whether a subscription of this database replicates into a table';

CREATE FUNCTION rt_private.is_applying() RETURNS boolean
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'rt_is_applying';

COMMENT ON FUNCTION rt_private.is_applying() IS 'whether this process is a subscription''s worker: what it writes was checked and numbered by the publisher';

CREATE FUNCTION rt_private.server_of(conninfo text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN conninfo ~ '^postgres(ql)?://' THEN regexp_replace(conninfo, '^[^:]*://([^@/]*@)?([^?]*).*$', E'\\2')
		ELSE (SELECT string_agg(m[1] || '=' || coalesce(m[2], m[3]), ' ')
			FROM regexp_matches(conninfo, E'\\m(host|hostaddr|port|dbname)\\s*=\\s*(?:''([^'']*)''|(\\S+))', 'g') AS m) END
$$;

COMMENT ON FUNCTION rt_private.server_of(text) IS 'the server and database of a libpq connection string, without user and password';

CREATE FUNCTION rt_private.raise_foreign(t regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	subscription name;
	conninfo text;
BEGIN
	SELECT s.subname INTO subscription FROM pg_subscription_rel AS r JOIN pg_subscription AS s ON s.oid = r.srsubid WHERE r.srrelid = t LIMIT 1;
	IF has_column_privilege('pg_catalog.pg_subscription', 'subconninfo', 'SELECT') THEN
		SELECT s.subconninfo INTO conninfo FROM pg_subscription AS s WHERE s.subname = subscription
			AND s.subdbid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
	END IF;
	RAISE EXCEPTION '"%" is written by another server: %', t, coalesce(rt_private.server_of(conninfo), format('see subscription "%s"', subscription))
		USING ERRCODE = 'RT403', DETAIL = format('Subscription "%s" replicates the table to this server.', subscription),
			HINT = 'Write there. To write here instead, drop the subscription.';
END
$$;

COMMENT ON FUNCTION rt_private.raise_foreign(regclass) IS 'refuses a write, and says where the writer is';

CREATE FUNCTION rt_private.refuse_foreign() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_refuse_foreign';

COMMENT ON FUNCTION rt_private.refuse_foreign() IS 'refuses to write to a table that a subscription fills';

REVOKE ALL ON FUNCTION rt_private.is_foreign(regclass), rt_private.is_applying(), rt_private.server_of(text), rt_private.raise_foreign(regclass),
	rt_private.refuse_foreign() FROM PUBLIC;

COMMENT ON TABLE rt.users IS 'users; each of them can log in, or connect with a token';

COMMENT ON COLUMN rt.users.username IS 'name for logins and @mentions, may be an e-mail address; unique regardless of case';

COMMENT ON COLUMN rt.users.name IS 'display name';

COMMENT ON COLUMN rt.users.password_hash IS 'bcrypt hash; null: no login by password';

COMMENT ON COLUMN rt.users.is_admin IS 'administrator: may see server statistics, disconnect users and end meetings';

COMMENT ON INDEX rt.users_username_key IS 'used by logins and mentions';

CREATE INDEX users_password_cost ON rt.users (substr(password_hash, 5, 2)) WHERE password_hash LIKE '$2%';

COMMENT ON INDEX rt.users_password_cost IS 'finds the slowest stored hash: every login takes that long';

CREATE FUNCTION rt_private.username_form(username text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT normalize(CASE WHEN username ~ E'[\uFF00-\uFFEF]' THEN (SELECT string_agg(CASE WHEN c ~ E'[\uFF00-\uFFEF]' THEN normalize(c, NFKC)
		ELSE c END, '' ORDER BY n) FROM regexp_split_to_table(username, '') WITH ORDINALITY AS chars (c, n)) ELSE username END, NFC)
$$;

COMMENT ON FUNCTION rt_private.username_form(text) IS 'normalizes a username for storage';

CREATE FUNCTION rt_private.precis_fault(value text, is_identifier boolean) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rt_precis_fault';

COMMENT ON FUNCTION rt_private.precis_fault(text, boolean) IS
	'why a text is not in the IdentifierClass, with the Bidi Rule, or in the FreeformClass of PRECIS (RFC 8264); NULL: it is';

CREATE FUNCTION rt_private.username_fault(username text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.precis_fault(rt_private.username_form(username), true)
$$;

COMMENT ON FUNCTION rt_private.username_fault(text) IS 'what is wrong with a username; NULL: nothing';

CREATE FUNCTION rt_private.user_names() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NEW.username := rt_private.username_form(NEW.username);
	IF NEW.username !~ '^[!-~]+$' AND rt_private.precis_fault(NEW.username, true) IS NOT NULL
		AND (TG_OP = 'INSERT' OR NEW.username <> OLD.username) THEN
		RAISE EXCEPTION 'invalid username "%"', NEW.username USING ERRCODE = 'check_violation', DETAIL = rt_private.precis_fault(NEW.username, true),
			HINT = 'Use letters, digits and the punctuation of ASCII, without spaces.';
	END IF;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION rt_private.user_names() IS 'normalizes usernames before they are stored';

CREATE TRIGGER user_names BEFORE INSERT OR UPDATE OF username ON rt.users
	FOR EACH ROW EXECUTE FUNCTION rt_private.user_names();

COMMENT ON TRIGGER user_names ON rt.users IS 'normalizes usernames before they are stored';

CREATE FUNCTION rt_private.user_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.id IS NULL OR NEW.username IS NULL OR NEW.name IS NULL OR NEW.created_at IS NULL OR NEW.is_admin IS NULL THEN
		RAISE EXCEPTION 'only the password of a user may be null' USING ERRCODE = 'not_null_violation';
	ELSIF octet_length(NEW.id) NOT BETWEEN 1 AND 128 OR NEW.id ~ '[[:cntrl:]]' OR NEW.id IN ('.', '..') THEN
		RAISE EXCEPTION 'invalid user id "%"', left(NEW.id, 128) USING ERRCODE = 'check_violation',
			DETAIL = 'It must have 1 to 128 bytes, no control characters, and not be "." or "..".';
	ELSIF octet_length(NEW.name) NOT BETWEEN 1 AND 512 THEN
		RAISE EXCEPTION 'invalid name of user "%"', NEW.id USING ERRCODE = 'check_violation', DETAIL = 'It must have 1 to 512 bytes.';
	ELSIF octet_length(NEW.username) NOT BETWEEN 1 AND 128 OR NEW.username ~ '[[:cntrl:][:space:]]' THEN
		RAISE EXCEPTION 'invalid username "%"', left(NEW.username, 128) USING ERRCODE = 'check_violation',
			DETAIL = 'It must have 1 to 128 bytes, without spaces.';
	END IF;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION rt_private.user_check() IS 'refuses invalid users, without showing their password''s hash';

CREATE TRIGGER user_names_check BEFORE INSERT OR UPDATE OF id, username, name, created_at, is_admin ON rt.users
	FOR EACH ROW EXECUTE FUNCTION rt_private.user_check();

COMMENT ON TRIGGER user_names_check ON rt.users IS 'refuses invalid users, without showing their password''s hash';

CREATE FUNCTION rt_private.least_password_cost() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$ SELECT 10 $$;

COMMENT ON FUNCTION rt_private.least_password_cost() IS 'the cost of new password hashes: 2 to this power rounds of bcrypt';

CREATE FUNCTION rt_private.password_cost(password_hash text) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN password_hash ~ E'^\\$2[abxy]\\$\\d\\d\\$' THEN substr(password_hash, 5, 2)::integer ELSE 0 END
$$;

COMMENT ON FUNCTION rt_private.password_cost(text) IS 'the bcrypt cost of a hash; 0: not a bcrypt hash';

CREATE FUNCTION rt_private.password_form(password text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT normalize(regexp_replace(password, E'[\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000]', ' ', 'g'), NFC)
$$;

COMMENT ON FUNCTION rt_private.password_form(text) IS 'normalizes a password before hashing';

CREATE OR REPLACE FUNCTION rt_private.password_bytes(password text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT
	RETURN CASE WHEN pg_catalog.octet_length(password) <= 72 THEN password
		ELSE pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(password, 'UTF8')), 'base64') END;

COMMENT ON FUNCTION rt_private.password_bytes(text) IS 'a password in the 72 bytes that bcrypt uses';

CREATE OR REPLACE FUNCTION rt_private.hash_password(password text) RETURNS text
LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fault text := rt_private.precis_fault(rt_private.password_form(password), false);
BEGIN
	IF octet_length(password) NOT BETWEEN 1 AND 1024 OR password ~ '[[:cntrl:]]' THEN
		RAISE EXCEPTION 'a password must have 1 to 1024 bytes and no control characters' USING ERRCODE = 'RT400';
	END IF;
	IF fault IS NOT NULL THEN
		RAISE EXCEPTION 'a password must not have invisible characters' USING ERRCODE = 'RT400', DETAIL = fault;
	END IF;
	-- bcrypt looks at 72 bytes alone: a longer one is digested first
	RETURN rt_private.crypt(rt_private.password_bytes(rt_private.password_form(password)),
		rt_private.gen_salt('bf', rt_private.least_password_cost()));
END
$$;

COMMENT ON FUNCTION rt_private.hash_password(text) IS 'hashes a password';

CREATE OR REPLACE FUNCTION rt_private.password_matches(password text, password_hash text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	salt CONSTANT text := '$abcdefghijklmnopqrstuu';
	dearest integer := greatest(rt_private.least_password_cost(), (SELECT max(substr(u.password_hash, 5, 2)) FROM rt.users AS u
		WHERE u.password_hash LIKE '$2%')::integer);
	known text := coalesce(password_matches.password_hash, '$2a$' || lpad(dearest::text, 2, '0') || salt || 'WlVT8PV6Wdd6SlVuRrqAcpKrBM1HVoW');
	given text := rt_private.password_bytes(rt_private.password_form(coalesce(password, '')));
	raw text := rt_private.password_bytes(coalesce(password, ''));
	matches boolean := rt_private.crypt(given, known) = known;
BEGIN
	-- What was hashed before passwords were brought into one form.
	IF raw <> given THEN
		matches := rt_private.crypt(raw, known) = known OR matches;
	END IF;
	FOR cost IN greatest(rt_private.password_cost(known), 4) .. dearest - 1
	LOOP
		PERFORM rt_private.crypt(given, '$2a$' || lpad(cost::text, 2, '0') || salt);
	END LOOP;
	RETURN matches AND password_matches.password_hash IS NOT NULL;
END
$$;

COMMENT ON FUNCTION rt_private.password_matches(text, text) IS 'whether a password matches a hash';

CREATE UNLOGGED TABLE rt_private.password_updates (
	user_id text PRIMARY KEY,
	keep_sid text,
	is_rehash boolean NOT NULL
);

COMMENT ON TABLE rt_private.password_updates IS 'password changes in progress that keep a session; empty between transactions';

COMMENT ON COLUMN rt_private.password_updates.user_id IS 'the user';

COMMENT ON COLUMN rt_private.password_updates.keep_sid IS 'the session to keep; null: none';

COMMENT ON COLUMN rt_private.password_updates.is_rehash IS 'the password is unchanged, only hashed with a higher cost';

COMMENT ON FUNCTION rt.create_user(text, text, text, text) IS 'creates a user; without a password, the user can connect only with tokens';

CREATE FUNCTION rt_private.check_users(users text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	missing text[] := ARRAY(SELECT DISTINCT left(w.user_id, 64) FROM unnest(users) AS w (user_id)
		WHERE NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = w.user_id) AND w.user_id IS NOT NULL ORDER BY 1 LIMIT 4);
BEGIN
	IF cardinality(missing) > 0 THEN
		RAISE EXCEPTION '% not found', CASE cardinality(missing) WHEN 1 THEN 'user ' ELSE 'users ' END
			|| (SELECT string_agg(format('"%s"', m.user_id), ', ' ORDER BY m.n) FROM unnest(missing[:3]) WITH ORDINALITY AS m (user_id, n))
			|| CASE WHEN cardinality(missing) > 3 THEN ' and others' ELSE '' END
			USING ERRCODE = 'RT404', HINT = 'Users are named by their ids: see rt.users.';
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.check_users(text[]) IS 'RT404, with their ids, if some of these users do not exist';

CREATE OR REPLACE FUNCTION rt.set_password(user_id text, password text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt.users AS u SET password_hash = rt_private.hash_password(set_password.password)
	WHERE u.id = set_password.user_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'user "%" not found', left(set_password.user_id, 64) USING ERRCODE = 'RT404';
	END IF;
END
$$;

COMMENT ON FUNCTION rt.set_password(text, text) IS 'sets a user''s password; null: no login by password';

CREATE OR REPLACE FUNCTION rt_private.user_name(user_id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT u.name FROM rt.users AS u WHERE u.id = user_name.user_id);
END
$$;

COMMENT ON FUNCTION rt_private.user_name(text) IS 'a user''s display name';

CREATE OR REPLACE FUNCTION rt_private.user_json(u rt.users) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('id', u.id, 'username', u.username, 'name', u.name);
END
$$;

COMMENT ON FUNCTION rt_private.user_json(rt.users) IS 'a user as clients get it';

COMMENT ON TABLE rt_private.keys IS 'keys that sign and verify tokens; pg_dump includes them and their secrets';

COMMENT ON COLUMN rt_private.keys.kid IS 'key id (kid) in a token''s header';

COMMENT ON COLUMN rt_private.keys.alg IS 'the only algorithm that the key is valid for';

COMMENT ON COLUMN rt_private.keys.secret IS 'HS256, HS384, HS512: the shared secret, whose bytes are the key';

COMMENT ON COLUMN rt_private.keys.private_key IS 'other algorithms: the private key as PEM, if tokens may be signed here';

COMMENT ON COLUMN rt_private.keys.public_key IS 'other algorithms: the public key as PEM';

COMMENT ON COLUMN rt_private.keys.can_sign IS 'rt.issue_token() may sign with it; the newest such key signs';

COMMENT ON COLUMN rt_private.keys.retired_at IS 'when the key was retired; it no longer verifies tokens';

COMMENT ON FUNCTION rt_private.random_text(integer) IS 'random bytes in base64url';

COMMENT ON FUNCTION rt_private.jwt_sign(text, text, text, json) IS 'signs a token with the given claims';

CREATE FUNCTION rt_private.jwt_is_signed(token text, alg text, key bytea) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_jwt_is_signed';

COMMENT ON FUNCTION rt_private.jwt_is_signed(text, text, bytea) IS
	'whether a token has a valid signature by a key';

CREATE OR REPLACE FUNCTION rt.add_key(kid text, alg text, key text, can_sign boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	public_key text;
	private_key text;
BEGIN
	IF add_key.alg LIKE 'HS%' THEN
		IF octet_length(add_key.key) < substr(add_key.alg, 3)::integer / 8 THEN
			RAISE EXCEPTION 'the secret is too short for %', add_key.alg
				USING ERRCODE = 'invalid_parameter_value',
					  HINT = format('It needs %s random bytes at least.', substr(add_key.alg, 3)::integer / 8);
		END IF;
		INSERT INTO rt_private.keys (kid, alg, secret, can_sign)
		VALUES (add_key.kid, add_key.alg, add_key.key, add_key.can_sign);
		RETURN;
	END IF;
	public_key := rt_private.pem_public(add_key.alg, add_key.key, true);
	IF public_key IS NOT NULL THEN
		private_key := add_key.key;
	ELSE
		public_key := rt_private.pem_public(add_key.alg, add_key.key, false);
	END IF;
	IF public_key IS NULL THEN
		RAISE EXCEPTION 'the key is neither a public nor a private key in PEM' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF add_key.can_sign AND private_key IS NULL THEN
		RAISE EXCEPTION 'a public key cannot sign' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	INSERT INTO rt_private.keys (kid, alg, private_key, public_key, can_sign)
	VALUES (add_key.kid, add_key.alg, private_key, public_key, add_key.can_sign);
END
$$;

COMMENT ON FUNCTION rt.add_key(text, text, text, boolean) IS
	'adds a key that verifies tokens, and signs them if can_sign: a shared secret (HS256, HS384, HS512), '
	'or a public or private key in PEM (RS256 to RS512, PS256 to PS512, ES256 to ES512, EdDSA)';

CREATE OR REPLACE FUNCTION rt.rotate_key() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	new_kid text := rt_private.random_text(9);
BEGIN
	PERFORM rt.add_key(new_kid, 'HS256', rt_private.random_text(32), true);
	RETURN new_kid;
END
$$;

CREATE OR REPLACE FUNCTION rt.retire_key(kid text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt_private.keys k SET retired_at = clock_timestamp()
	WHERE k.kid = retire_key.kid AND k.retired_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no key "%" in use', retire_key.kid USING ERRCODE = 'RT404';
	END IF;
END
$$;

COMMENT ON FUNCTION rt.retire_key(text) IS 'retires a key: tokens that were signed with it become invalid';

CREATE FUNCTION rt_private.tell_gateways(command text, payload json) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit(command, '{"gateway":true}', payload, true);
EXCEPTION
	-- Where rt is not preloaded, as in a restore into a bare server, there is no gateway to tell.
	WHEN object_not_in_prerequisite_state THEN
		RETURN;
END
$$;

COMMENT ON FUNCTION rt_private.tell_gateways(text, json) IS 'sends a command to all gateways; does nothing if rt is not preloaded';

CREATE OR REPLACE FUNCTION rt_private.keys_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.tell_gateways('rt:keys', '{}');
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.keys_changed() IS 'tells the gateways to reload the keys';

COMMENT ON TRIGGER keys_changed ON rt_private.keys IS 'tells the gateways to reload the keys';

COMMENT ON TRIGGER keys_truncated ON rt_private.keys IS 'tells the gateways to reload the keys';

CREATE TABLE rt_private.issuers (
	issuer text PRIMARY KEY CHECK (octet_length(issuer) BETWEEN 1 AND 1024 AND issuer !~ '[[:cntrl:]]'),
	audiences text[] NOT NULL CHECK (cardinality(audiences) BETWEEN 1 AND 100 AND array_position(audiences, NULL) IS NULL),
	user_claim text NOT NULL DEFAULT 'sub' CHECK (octet_length(user_claim) BETWEEN 1 AND 128),
	create_users boolean NOT NULL DEFAULT false,
	authorized_parties text[],
	name_claim text NOT NULL DEFAULT 'name',
	username_claim text NOT NULL DEFAULT 'email',
	admin_claim text,
	admin_value text,
	token_lifetime interval NOT NULL DEFAULT '30 days' CHECK (token_lifetime BETWEEN interval '1 second' AND interval '10 years'),
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CONSTRAINT issuers_admin CHECK ((admin_claim IS NULL) = (admin_value IS NULL))
);

COMMENT ON TABLE rt_private.issuers IS 'identity providers whose tokens are accepted';

COMMENT ON COLUMN rt_private.issuers.issuer IS 'exact value of the claim iss';

COMMENT ON COLUMN rt_private.issuers.audiences IS 'claim aud must contain one of these';

COMMENT ON COLUMN rt_private.issuers.user_claim IS 'the claim that is the user''s id';

COMMENT ON COLUMN rt_private.issuers.create_users IS 'whether unknown users are created';

COMMENT ON COLUMN rt_private.issuers.authorized_parties IS 'claim azp must be one of these; null: azp is not checked';

COMMENT ON COLUMN rt_private.issuers.name_claim IS 'claim with a new user''s display name; if it is missing, the id is used';

COMMENT ON COLUMN rt_private.issuers.username_claim IS 'claim with a new user''s username; if it is missing or taken, the id is used';

COMMENT ON COLUMN rt_private.issuers.admin_claim IS 'claim that makes a user an administrator; null: none';

COMMENT ON COLUMN rt_private.issuers.admin_value IS 'value of that claim, or of one of its elements';

COMMENT ON COLUMN rt_private.issuers.token_lifetime IS 'how long its tokens live at most: a token without iat counts as issued that long before exp';

COMMENT ON COLUMN rt_private.issuers.created_at IS 'when the issuer was added';

SELECT pg_catalog.pg_extension_config_dump('rt_private.issuers', '');

CREATE TABLE rt_private.issuer_keys (
	issuer text NOT NULL REFERENCES rt_private.issuers ON DELETE CASCADE ON UPDATE CASCADE,
	kid text NOT NULL,
	alg text NOT NULL,
	key text NOT NULL,
	added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (issuer, kid, alg)
);

COMMENT ON TABLE rt_private.issuer_keys IS 'keys of issuers, from their JSON Web Key Sets';

COMMENT ON COLUMN rt_private.issuer_keys.issuer IS 'the issuer';

COMMENT ON COLUMN rt_private.issuer_keys.kid IS 'key id (kid) in a token''s header; empty: the key has none';

COMMENT ON COLUMN rt_private.issuer_keys.alg IS 'the only algorithm that the key is valid for';

COMMENT ON COLUMN rt_private.issuer_keys.key IS 'the public key as PEM, or the shared secret in base64url';

COMMENT ON COLUMN rt_private.issuer_keys.added_at IS 'when the key was added';

SELECT pg_catalog.pg_extension_config_dump('rt_private.issuer_keys', '');

CREATE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON rt_private.issuers
FOR EACH ROW EXECUTE FUNCTION rt_private.keys_changed();

COMMENT ON TRIGGER keys_changed ON rt_private.issuers IS 'tells the gateways to reload the keys';

ALTER TABLE rt_private.issuers ENABLE ALWAYS TRIGGER keys_changed;

CREATE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON rt_private.issuer_keys
FOR EACH ROW EXECUTE FUNCTION rt_private.keys_changed();

COMMENT ON TRIGGER keys_changed ON rt_private.issuer_keys IS 'tells the gateways to reload the keys';

ALTER TABLE rt_private.issuer_keys ENABLE ALWAYS TRIGGER keys_changed;

CREATE FUNCTION rt_private.jwk_public(alg text, a bytea, b bytea) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rt_jwk_public';

COMMENT ON FUNCTION rt_private.jwk_public(text, bytea, bytea) IS
	'converts a JWK''s numbers (n and e, x and y, or x alone) to PEM; NULL if they are not a valid key';

CREATE FUNCTION rt_private.from_base64url(value text) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF value !~ '^[A-Za-z0-9_-]+$' THEN
		RETURN NULL;
	END IF;
	RETURN decode(rpad(translate(value, '-_', '+/'), (length(value) + 3) / 4 * 4, '='), 'base64');
EXCEPTION
	WHEN data_exception THEN
		RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.from_base64url(text) IS 'decodes base64url without padding; NULL if it is malformed';

CREATE FUNCTION rt_private.jwk_alg(jwk jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE jwk ->> 'kty'
		WHEN 'RSA' THEN coalesce(jwk ->> 'alg', 'RS256')
		WHEN 'EC' THEN CASE jwk ->> 'crv' WHEN 'P-256' THEN 'ES256' WHEN 'P-384' THEN 'ES384' WHEN 'P-521' THEN 'ES512' END
		WHEN 'OKP' THEN CASE jwk ->> 'crv' WHEN 'Ed25519' THEN 'EdDSA' END
		WHEN 'oct' THEN coalesce(jwk ->> 'alg', 'HS256')
	END
$$;

COMMENT ON FUNCTION rt_private.jwk_alg(jsonb) IS 'the algorithm of a JWK; NULL: unknown kind of key';

CREATE FUNCTION rt_private.jwk_fault(jwk jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE
		WHEN coalesce(jwk ->> 'use', 'sig') <> 'sig' THEN format('Its use is "%s", not "sig".', jwk ->> 'use')
		WHEN jwk ? 'key_ops' AND (jsonb_typeof(jwk -> 'key_ops') <> 'array'
			OR jsonb_path_exists(jwk -> 'key_ops', 'strict $[*] ? (@.type() != "string")')) THEN 'Its key_ops are not an array of texts.'
		WHEN jwk ? 'key_ops' AND NOT jwk -> 'key_ops' ? 'verify' THEN 'Its key_ops do not have "verify".'
		WHEN jwk ? 'd' THEN 'It is a private key.'
		WHEN jwk ? 'kid' AND (jsonb_typeof(jwk -> 'kid') <> 'string' OR octet_length(jwk ->> 'kid') NOT BETWEEN 1 AND 255
			OR jwk ->> 'kid' ~ '[[:cntrl:]]') THEN 'Its kid is not a text of 1 to 255 bytes.'
		WHEN jwk ? 'alg' AND NOT coalesce(jwk ->> 'alg' = CASE jwk ->> 'kty' WHEN 'RSA' THEN substring(jwk ->> 'alg' FROM '^[RP]S(?:256|384|512)$')
			WHEN 'oct' THEN substring(jwk ->> 'alg' FROM '^HS(?:256|384|512)$')
			WHEN 'OKP' THEN substring(jwk ->> 'alg' FROM '^(?:EdDSA|Ed25519)$') ELSE rt_private.jwk_alg(jwk) END, false)
			THEN format('Its alg is "%s", which is no algorithm of such a key.', jwk ->> 'alg')
	END
$$;

COMMENT ON FUNCTION rt_private.jwk_fault(jsonb) IS 'why a JWK cannot verify tokens; NULL if it can';

CREATE FUNCTION rt_private.jwk_key(jwk jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	alg text := rt_private.jwk_alg(jwk);
	fault text := rt_private.jwk_fault(jwk);
	secret bytea;
	key text;
BEGIN
	IF fault IS NULL AND jwk ->> 'kty' = 'oct' THEN
		secret := rt_private.from_base64url(jwk ->> 'k');
		IF octet_length(secret) NOT BETWEEN substr(alg, 3)::integer / 8 AND 1024 THEN
			fault := format('It needs %s to 1024 bytes.', substr(alg, 3)::integer / 8);
		ELSIF secret IS NOT NULL THEN
			key := jwk ->> 'k';
		END IF;
	ELSIF fault IS NULL THEN
		key := rt_private.jwk_public(alg, rt_private.from_base64url(coalesce(jwk ->> 'n', jwk ->> 'x')),
			rt_private.from_base64url(coalesce(jwk ->> 'e', jwk ->> 'y', 'AA')));
	END IF;
	IF key IS NULL THEN
		RAISE EXCEPTION 'key "%" of the key set cannot be used', coalesce(jwk ->> 'kid', '')
			USING ERRCODE = 'invalid_parameter_value', DETAIL = coalesce(fault, 'Its numbers are missing or are not a key.');
	END IF;
	RETURN key;
END
$$;

COMMENT ON FUNCTION rt_private.jwk_key(jsonb) IS 'the key of a JWK, as PEM or as a shared secret; an error if it is unusable';

CREATE FUNCTION rt.set_jwks(issuer text, jwks jsonb) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	jwk jsonb;
	nkeys integer;
	wanted jsonb := '[]';
BEGIN
	IF jsonb_typeof(set_jwks.jwks -> 'keys') IS DISTINCT FROM 'array' THEN
		RAISE EXCEPTION 'not a JSON Web Key Set' USING ERRCODE = 'invalid_parameter_value',
			DETAIL = 'It must be an object whose "keys" is an array.', HINT = 'Pass what the issuer''s jwks_uri answers, unchanged.';
	END IF;
	PERFORM FROM rt_private.issuers AS i WHERE i.issuer = set_jwks.issuer FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'issuer "%" not found', set_jwks.issuer USING ERRCODE = 'RT404', HINT = 'Run rt.add_issuer() first.';
	END IF;
	IF EXISTS (SELECT FROM jsonb_array_elements(set_jwks.jwks -> 'keys') AS e WHERE jsonb_typeof(e -> 'kty') IS DISTINCT FROM 'string') THEN
		RAISE EXCEPTION 'the key set has an element that is not a JSON Web Key' USING ERRCODE = 'invalid_parameter_value',
			DETAIL = 'It must be an object with a "kty".';
	END IF;
	nkeys := (SELECT count(*) FROM jsonb_array_elements(set_jwks.jwks -> 'keys') AS e WHERE rt_private.jwk_alg(e) IS NOT NULL);
	IF nkeys NOT BETWEEN 1 AND 50 THEN
		RAISE EXCEPTION 'the key set has % keys that can verify tokens', nkeys
			USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It must have 1 to 50 keys of kind RSA, EC, OKP or oct.';
	END IF;
	FOR jwk IN SELECT jsonb_array_elements(set_jwks.jwks -> 'keys')
	LOOP
		CONTINUE WHEN rt_private.jwk_alg(jwk) IS NULL;
		wanted := wanted || jsonb_build_object('kid', coalesce(jwk ->> 'kid', ''), 'alg', rt_private.jwk_alg(jwk),
			'key', rt_private.jwk_key(jwk));
	END LOOP;
	DELETE FROM rt_private.issuer_keys AS k WHERE k.issuer = set_jwks.issuer
		AND NOT EXISTS (SELECT FROM jsonb_array_elements(wanted) AS w WHERE (w ->> 'kid', w ->> 'alg', w ->> 'key') = (k.kid, k.alg, k.key));
	INSERT INTO rt_private.issuer_keys (issuer, kid, alg, key)
	SELECT set_jwks.issuer, w ->> 'kid', w ->> 'alg', w ->> 'key' FROM jsonb_array_elements(wanted) AS w
	WHERE NOT EXISTS (SELECT FROM rt_private.issuer_keys AS k WHERE (k.issuer, k.kid, k.alg, k.key)
		= (set_jwks.issuer, w ->> 'kid', w ->> 'alg', w ->> 'key'));
	RETURN nkeys;
EXCEPTION
	WHEN unique_violation THEN
		RAISE EXCEPTION 'two keys of the key set have the same kid and algorithm' USING ERRCODE = 'invalid_parameter_value';
END
$$;

COMMENT ON FUNCTION rt.set_jwks(text, jsonb) IS
	'replaces the keys of an issuer by those of a JSON Web Key Set, and returns how many of them can verify tokens';

CREATE FUNCTION rt.add_issuer(issuer text, audiences text[], jwks jsonb, user_claim text DEFAULT 'sub', create_users boolean DEFAULT false,
	authorized_parties text[] DEFAULT NULL, name_claim text DEFAULT 'name', username_claim text DEFAULT 'email',
	admin_claim text DEFAULT NULL, admin_value text DEFAULT NULL, token_lifetime interval DEFAULT '30 days') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(octet_length(add_issuer.issuer), 0) NOT BETWEEN 1 AND 1024 OR add_issuer.issuer ~ '[[:cntrl:]]' THEN
		RAISE EXCEPTION 'invalid issuer' USING ERRCODE = 'invalid_parameter_value',
			DETAIL = 'It must be what the claim "iss" of its tokens has: 1 to 1024 bytes.';
	ELSIF coalesce(cardinality(add_issuer.audiences), 0) NOT BETWEEN 1 AND 100 OR array_position(add_issuer.audiences, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'an issuer needs 1 to 100 audiences' USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Ask the provider for an audience of your own: it signs tokens for other programs too.';
	ELSIF (add_issuer.admin_claim IS NULL) <> (add_issuer.admin_value IS NULL) THEN
		RAISE EXCEPTION 'admin_claim and admin_value must be given together' USING ERRCODE = 'invalid_parameter_value';
	ELSIF EXISTS (SELECT FROM rt_private.issuers AS i WHERE i.issuer = add_issuer.issuer) THEN
		RAISE EXCEPTION 'issuer "%" already exists', add_issuer.issuer USING ERRCODE = 'unique_violation',
			HINT = 'Use rt.set_jwks() for new keys. For anything else use rt.remove_issuer() first, in the same transaction.';
	END IF;
	INSERT INTO rt_private.issuers (issuer, audiences, user_claim, create_users, authorized_parties, name_claim, username_claim,
		admin_claim, admin_value, token_lifetime)
	VALUES (add_issuer.issuer, add_issuer.audiences, add_issuer.user_claim, add_issuer.create_users, add_issuer.authorized_parties,
		add_issuer.name_claim, add_issuer.username_claim, add_issuer.admin_claim, add_issuer.admin_value, add_issuer.token_lifetime);
	PERFORM rt.set_jwks(add_issuer.issuer, add_issuer.jwks);
END
$$;

COMMENT ON FUNCTION rt.add_issuer(text, text[], jsonb, text, boolean, text[], text, text, text, text, interval) IS
	'adds an identity provider, whose tokens for one of the audiences are accepted; '
	'user_claim names the user, who is created if create_users is true';

CREATE FUNCTION rt.remove_issuer(issuer text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM rt_private.issuers AS i WHERE i.issuer = remove_issuer.issuer;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'issuer "%" not found', remove_issuer.issuer USING ERRCODE = 'RT404';
	END IF;
END
$$;

COMMENT ON FUNCTION rt.remove_issuer(text) IS 'removes an identity provider; its tokens are no longer accepted';

CREATE OR REPLACE FUNCTION rt_api.keys(actor text, req jsonb) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object(
		'now', extract(epoch FROM clock_timestamp()),
		'keys', (SELECT coalesce(json_agg(json_build_object('kid', k.kid, 'alg', k.alg, 'key', coalesce(k.secret, k.public_key))
			ORDER BY k.created_at DESC, k.kid), '[]')
			FROM rt_private.keys AS k WHERE k.retired_at IS NULL),
		'issuers', (SELECT coalesce(json_agg(json_build_object('issuer', i.issuer, 'audiences', i.audiences, 'userClaim', i.user_claim,
			'createUsers', i.create_users, 'authorizedParties', i.authorized_parties, 'nameClaim', i.name_claim,
			'usernameClaim', i.username_claim, 'adminClaim', i.admin_claim, 'adminValue', i.admin_value,
			'tokenLifetimeS', extract(epoch FROM i.token_lifetime),
			'keys', (SELECT coalesce(json_agg(json_build_object('kid', k.kid, 'alg', k.alg, 'key', k.key) ORDER BY k.kid, k.alg), '[]')
				FROM rt_private.issuer_keys AS k WHERE k.issuer = i.issuer)) ORDER BY i.issuer), '[]')
			FROM rt_private.issuers AS i))
$$;

COMMENT ON FUNCTION rt_api.keys(text, jsonb) IS
	'keys that verify tokens, and the time of day: {now, keys: [{kid, alg, key}], issuers: [{issuer, audiences, keys, …}]}, with own keys newest first';

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

CREATE TABLE rt_private.token_floors (
	user_id text PRIMARY KEY REFERENCES rt.users ON DELETE CASCADE ON UPDATE CASCADE,
	issued_after timestamptz NOT NULL
);

COMMENT ON TABLE rt_private.token_floors IS 'users whose older tokens are refused';

COMMENT ON COLUMN rt_private.token_floors.user_id IS 'the user';

COMMENT ON COLUMN rt_private.token_floors.issued_after IS 'a token that is of no session of ours must have been issued later';

SELECT pg_catalog.pg_extension_config_dump('rt_private.token_floors', '');

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

CREATE FUNCTION rt_private.last_use(token_expires_at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE STRICT PARALLEL SAFE
	RETURN token_expires_at OPERATOR(pg_catalog.+) interval '1 minute';

COMMENT ON FUNCTION rt_private.last_use(timestamptz) IS 'after this, nobody takes a token that expires then';

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

CREATE FUNCTION rt_api.revocations(actor text, req jsonb) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object(
		'sids', (SELECT coalesce(json_agg(json_build_array(r.sid, ceil(extract(epoch FROM least(r.until, now() + interval '10 years')))::bigint)), '[]')
			FROM rt_private.revoked_sessions AS r WHERE r.until > now() AND r.deleted_user IS NULL),
		'floors', (SELECT coalesce(json_agg(json_build_array(f.user_id, floor(extract(epoch FROM f.issued_after))::bigint)), '[]')
			FROM rt_private.token_floors AS f))
$$;

COMMENT ON FUNCTION rt_api.revocations(text, jsonb) IS 'revocations of unexpired tokens: {sids: [[sid, until]], floors: [[userId, issuedAfter]]}';

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

CREATE FUNCTION rt_private.make_token(user_id text, ttl interval, sid text, more jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	named record;
	signing record;
	issued_at bigint := floor(extract(epoch FROM clock_timestamp()));
	ends_at bigint := issued_at + floor(extract(epoch FROM make_token.ttl));
BEGIN
	SELECT u.id, u.name INTO named FROM rt.users AS u WHERE u.id = make_token.user_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'user "%" not found', make_token.user_id USING ERRCODE = 'RT404';
	END IF;
	SELECT k.kid, k.alg, coalesce(k.secret, k.private_key) AS key INTO signing
	FROM rt_private.keys AS k WHERE k.can_sign AND k.retired_at IS NULL
	ORDER BY k.created_at DESC, k.kid LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no key to sign with' USING ERRCODE = 'RT503', HINT = 'Run rt.rotate_key().';
	END IF;
	UPDATE rt.sessions AS s SET token_expires_at = CASE WHEN s.token_expires_at = 'infinity' THEN to_timestamp(ends_at)
		ELSE greatest(s.token_expires_at, to_timestamp(ends_at)) END, last_used_at = clock_timestamp()
	WHERE s.id = make_token.sid;
	RETURN rt_private.jwt_sign(signing.kid, signing.alg, signing.key, (jsonb_build_object('sub', named.id, 'name', named.name,
		'iat', issued_at, 'exp', ends_at, 'jti', rt_private.random_text(9), 'sid', make_token.sid) || more)::json);
END
$$;

COMMENT ON FUNCTION rt_private.make_token(text, interval, text, jsonb) IS 'makes a token for a session, signed by the newest key';

CREATE FUNCTION rt_private.token_ttl() RETURNS interval
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	-- A session that has not loaded the library yet, as happens without preloading, does not know the setting.
	SELECT coalesce(current_setting('rt.token_ttl', true)::interval, interval '12 hours')
$$;

COMMENT ON FUNCTION rt_private.token_ttl() IS 'default lifetime of a token';

CREATE OR REPLACE FUNCTION rt.issue_token(user_id text, ttl interval DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s rt.sessions;
	token text;
BEGIN
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = issue_token.user_id) THEN
		RAISE EXCEPTION 'user "%" not found', issue_token.user_id USING ERRCODE = 'RT404';
	END IF;
	s := rt_private.open_session(issue_token.user_id, NULL, NULL, issue_token.ttl);
	token := rt_private.make_token(issue_token.user_id, coalesce(issue_token.ttl, rt_private.token_ttl()), s.id);
	PERFORM rt_private.audit('token-issued', jsonb_build_object('userId', issue_token.user_id, 'sessionId', s.id));
	RETURN token;
END
$$;

COMMENT ON FUNCTION rt.issue_token(text, interval) IS
	'makes a session and a token for it, with which a client can connect as that user; valid for ttl (default rt.token_ttl)';

CREATE FUNCTION rt_private.is_access_token(header jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN header ? 'typ' THEN coalesce(jsonb_typeof(header -> 'typ') = 'string'
		AND lower(header ->> 'typ') IN ('jwt', 'at+jwt', 'application/at+jwt'), false) ELSE true END
$$;

COMMENT ON FUNCTION rt_private.is_access_token(jsonb) IS 'whether a token''s header is that of a JWT or an access token';

CREATE FUNCTION rt_private.token_alg(header jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE header ->> 'alg' WHEN 'Ed25519' THEN 'EdDSA' ELSE header ->> 'alg' END
$$;

COMMENT ON FUNCTION rt_private.token_alg(jsonb) IS 'the algorithm that a token''s header names';

CREATE FUNCTION rt_private.is_unverified(claim text, claims jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT claim = 'email' AND claims ? 'email_verified' AND claims -> 'email_verified' NOT IN ('true', '"true"')
$$;

COMMENT ON FUNCTION rt_private.is_unverified(text, jsonb) IS 'whether a claim is an e-mail address that its issuer has not verified';

CREATE FUNCTION rt_private.audience_fits(aud jsonb, audiences text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE jsonb_typeof(aud) WHEN 'string' THEN aud #>> '{}' = ANY (audiences) WHEN 'array' THEN aud ?| audiences ELSE false END
$$;

COMMENT ON FUNCTION rt_private.audience_fits(jsonb, text[]) IS 'whether claim aud, a string or an array, contains one of the audiences';

CREATE FUNCTION rt_private.refuse_token(message text, detail text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION '%', refuse_token.message USING ERRCODE = 'RT401', DETAIL = refuse_token.detail;
END
$$;

COMMENT ON FUNCTION rt_private.refuse_token(text, text) IS 'refuses a token, and says which check failed';

CREATE FUNCTION rt_private.check_token_times(claims jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	now_s numeric := extract(epoch FROM clock_timestamp());
	leeway_s CONSTANT integer := 30;
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['exp', 'nbf', 'iat']
	LOOP
		IF coalesce(jsonb_typeof(claims -> name), 'number') <> 'number' THEN
			PERFORM rt_private.refuse_token('invalid token', format('Claim "%s" must be a number.', name));
		ELSIF round(abs((claims ->> name)::numeric)) >= 9007199254740992 THEN
			PERFORM rt_private.refuse_token('invalid token', format('Claim "%s" is out of range.', name));
		END IF;
	END LOOP;
	IF NOT claims ? 'exp' THEN
		PERFORM rt_private.refuse_token('invalid token', 'Claim "exp" is missing.');
	ELSIF (claims ->> 'exp')::numeric + leeway_s <= now_s THEN
		PERFORM rt_private.refuse_token('token expired', format('It expired at %s.',
			rt_private.iso(to_timestamp(round(greatest((claims ->> 'exp')::numeric, 0), 3)::double precision))));
	ELSIF (claims ->> 'nbf')::numeric - leeway_s > now_s THEN
		PERFORM rt_private.refuse_token('invalid token', 'Claim "nbf" is in the future.');
	-- Our own clock may have been set back since we issued a token.
	ELSIF claims ? 'iss' AND (claims ->> 'iat')::numeric - leeway_s > now_s THEN
		PERFORM rt_private.refuse_token('invalid token', 'Claim "iat" is in the future.');
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.check_token_times(jsonb) IS 'refuses a token that is expired or not valid yet';

CREATE FUNCTION rt_private.check_issued(token text, header jsonb, claims jsonb) RETURNS rt_private.issuers
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	i rt_private.issuers;
	k rt_private.issuer_keys;
	nkeys integer;
BEGIN
	SELECT t.* INTO i FROM rt_private.issuers AS t WHERE jsonb_typeof(claims -> 'iss') = 'string' AND t.issuer = claims ->> 'iss';
	IF NOT FOUND THEN
		PERFORM rt_private.refuse_token('invalid token', format('Issuer %s is unknown.', claims -> 'iss'));
	END IF;
	SELECT count(*) INTO nkeys FROM rt_private.issuer_keys AS t
	WHERE t.issuer = i.issuer AND t.alg = rt_private.token_alg(header) AND (NOT header ? 'kid' OR t.kid = header ->> 'kid');
	IF nkeys <> 1 THEN
		PERFORM rt_private.refuse_token('invalid token', format('The issuer has %s keys of algorithm "%s" for kid %s; it must be one.',
			nkeys, header ->> 'alg', coalesce((header -> 'kid')::text, '(none)')));
	END IF;
	SELECT t.* INTO k FROM rt_private.issuer_keys AS t
	WHERE t.issuer = i.issuer AND t.alg = rt_private.token_alg(header) AND (NOT header ? 'kid' OR t.kid = header ->> 'kid');
	IF NOT rt_private.jwt_is_signed(check_issued.token, k.alg,
		CASE WHEN k.alg LIKE 'HS%' THEN rt_private.from_base64url(k.key) ELSE convert_to(k.key, 'UTF8') END) THEN
		PERFORM rt_private.refuse_token('invalid token', format('Key "%s" has not signed it.', k.kid));
	ELSIF NOT rt_private.audience_fits(claims -> 'aud', i.audiences) THEN
		PERFORM rt_private.refuse_token('invalid token', format('Claim "aud" is %s, and must have one of %s.',
			coalesce((claims -> 'aud')::text, 'missing'), to_jsonb(i.audiences)));
	ELSIF i.authorized_parties IS NOT NULL AND NOT coalesce(jsonb_typeof(claims -> 'azp') = 'string'
		AND claims ->> 'azp' = ANY (i.authorized_parties), false) THEN
		PERFORM rt_private.refuse_token('invalid token', format('Claim "azp" is %s, and must be one of %s.',
			coalesce((claims -> 'azp')::text, 'missing'), to_jsonb(i.authorized_parties)));
	END IF;
	RETURN i;
END
$$;

COMMENT ON FUNCTION rt_private.check_issued(text, jsonb, jsonb) IS 'refuses a token whose signature, issuer or audience is wrong';

CREATE FUNCTION rt_private.check_own(token text, header jsonb, claims jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF claims ? 'aud' THEN
		PERFORM rt_private.refuse_token('invalid token', 'It has an audience ("aud"), but no issuer ("iss").');
	END IF;
	-- Without a kid, whichever key fits: there are few.
	PERFORM FROM rt_private.keys AS k
	WHERE k.retired_at IS NULL AND k.alg = rt_private.token_alg(header) AND k.kid = coalesce(header ->> 'kid', k.kid)
		AND rt_private.jwt_is_signed(check_own.token, k.alg, convert_to(coalesce(k.secret, k.public_key), 'UTF8'));
	IF NOT FOUND THEN
		PERFORM rt_private.refuse_token('invalid token', format('No key in use of algorithm %s and kid %s has signed it.',
			coalesce((header -> 'alg')::text, '(none)'), coalesce((header -> 'kid')::text, '(none)')));
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.check_own(text, jsonb, jsonb) IS 'refuses a token that is not signed by one of our keys';

CREATE FUNCTION rt_private.issued_at(claims jsonb, token_lifetime interval) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	at_the_earliest numeric := (claims ->> 'exp')::numeric - extract(epoch FROM coalesce(token_lifetime, interval '30 days'))::numeric;
BEGIN
	IF at_the_earliest > extract(epoch FROM clock_timestamp())::numeric THEN
		at_the_earliest := 0;
	END IF;
	RETURN coalesce((claims ->> 'iat')::numeric, greatest((claims ->> 'nbf')::numeric, at_the_earliest));
END
$$;

COMMENT ON FUNCTION rt_private.issued_at(jsonb, interval) IS 'when a token was issued, in seconds since 1970: iat, or a bound from its other times';

CREATE FUNCTION rt_private.check_revoked(user_id text, claims jsonb, token_lifetime interval) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	session_id text := CASE WHEN NOT claims ? 'iss' AND jsonb_typeof(claims -> 'sid') = 'string' THEN claims ->> 'sid' END;
BEGIN
	IF EXISTS (SELECT FROM rt_private.revoked_sessions AS r WHERE r.sid = session_id) THEN
		PERFORM rt_private.refuse_token('invalid token', 'Its session has been revoked.');
	ELSIF NOT coalesce(starts_with(session_id, 'rt-'), false) AND EXISTS (SELECT FROM rt_private.token_floors AS f WHERE f.user_id = check_revoked.user_id
		AND rt_private.issued_at(claims, token_lifetime) <= floor(extract(epoch FROM f.issued_after))) THEN
		PERFORM rt_private.refuse_token('invalid token', 'It was issued before the user''s sessions were revoked.');
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.check_revoked(text, jsonb, interval) IS 'refuses a token that has been revoked';

CREATE FUNCTION rt_private.check_token(token text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	header jsonb;
	claims jsonb;
	i rt_private.issuers;
	user_claim text := 'sub';
BEGIN
	BEGIN
		header := rt_private.jwt_part(check_token.token, 1);
		claims := rt_private.jwt_part(check_token.token, 2);
	EXCEPTION
		WHEN numeric_value_out_of_range THEN
			PERFORM rt_private.refuse_token('invalid token', 'It has a number beyond the range of a double, or is nested too deeply.');
		-- What is not JSON, or not even text, is no token.
		WHEN data_exception OR program_limit_exceeded THEN
			claims := NULL;
	END;
	IF jsonb_typeof(header) IS DISTINCT FROM 'object' OR jsonb_typeof(claims) IS DISTINCT FROM 'object' THEN
		PERFORM rt_private.refuse_token('invalid token', 'It is not a JSON Web Token.');
	-- An extension that must be understood, and is not (RFC 7515, section 4.1.11).
	ELSIF header ? 'crit' THEN
		PERFORM rt_private.refuse_token('invalid token', 'Its header has a critical extension ("crit").');
	ELSIF NOT rt_private.is_access_token(header) THEN
		PERFORM rt_private.refuse_token('invalid token', format('Its type ("typ") is %s, not "JWT" or "at+jwt".', header -> 'typ'));
	ELSIF coalesce(jsonb_typeof(header -> 'kid'), 'string') <> 'string' THEN
		PERFORM rt_private.refuse_token('invalid token', 'Its "kid" is not a text.');
	ELSIF claims ? 'iss' THEN
		i := rt_private.check_issued(check_token.token, header, claims);
		user_claim := i.user_claim;
	ELSE
		PERFORM rt_private.check_own(check_token.token, header, claims);
	END IF;
	PERFORM rt_private.check_token_times(claims);
	IF jsonb_typeof(claims -> user_claim) IS DISTINCT FROM 'string' OR claims ->> user_claim = '' THEN
		PERFORM rt_private.refuse_token('invalid token', format('Claim "%s", the user, is missing or not a text.', user_claim));
	ELSIF claims ? 'iss' AND rt_private.is_unverified(user_claim, claims) THEN
		PERFORM rt_private.refuse_token('invalid token', format('Claim "%s", the user, is not verified ("email_verified").', user_claim));
	END IF;
	PERFORM rt_private.check_revoked(claims ->> user_claim, claims, i.token_lifetime);
	RETURN claims ->> user_claim;
END
$$;

COMMENT ON FUNCTION rt_private.check_token(text) IS 'the user id in a valid token; otherwise an error that says which check failed';

CREATE OR REPLACE FUNCTION rt.verify_token(token text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN rt_private.check_token(verify_token.token);
END
$$;

COMMENT ON FUNCTION rt.verify_token(text) IS
	'the user id in a valid token; otherwise error "invalid token" or "token expired", whose detail says which check failed';

COMMENT ON TABLE rt.rooms IS 'chat rooms; each message updates last_seq in place, for which pages have free space';

COMMENT ON COLUMN rt.rooms.name IS 'the room''s name; null in a direct room, where clients show the other user''s name';

COMMENT ON COLUMN rt.rooms.kind IS 'direct: two users, one such room for each pair; group: any number of users';

COMMENT ON COLUMN rt.rooms.created_by IS 'the user who created it';

COMMENT ON COLUMN rt.rooms.created_at IS 'when it was created';

COMMENT ON COLUMN rt.rooms.last_seq IS 'number of the newest message, 0 if there is none; the row lock orders the room''s messages; a transaction that sends to a room by more than 50 statements may see an older number until it commits';

COMMENT ON COLUMN rt.rooms.has_left IS 'whether a user has left this direct room; the next message brings both back';

COMMENT ON COLUMN rt.rooms.last_at IS 'when the last message was sent; null if there is none';

COMMENT ON COLUMN rt.rooms.newest_at IS 'the highest created_at of its messages; infinity: their created_at does not rise with seq; null: there are none, or they are from a dump of rt 1.1';

COMMENT ON COLUMN rt.rooms.topic IS 'the room''s topic';

COMMENT ON COLUMN rt.rooms.archived IS 'whether the room is archived: read-only';

COMMENT ON COLUMN rt.rooms.history IS 'which older messages new members see: all, or none (joined)';

COMMENT ON COLUMN rt.rooms.who_may_post IS 'who may send messages: admins or members';

COMMENT ON COLUMN rt.rooms.who_may_add IS 'who may add members: admins or members';

COMMENT ON COLUMN rt.rooms.who_may_pin IS 'who may pin messages: admins or members';

COMMENT ON COLUMN rt.rooms.who_may_mention_all IS 'who may mention @all and @here: admins or members';

COMMENT ON INDEX rt.rooms_created_by_idx IS 'used when a user is deleted';

CREATE INDEX room_members_joined_at_idx ON rt.room_members (room_id, joined_at, user_id);

COMMENT ON TABLE rt.room_members IS 'members of rooms';

COMMENT ON COLUMN rt.room_members.role IS 'admin (may rename and delete the room, add and remove members) or member';

COMMENT ON COLUMN rt.room_members.joined_at IS 'since when it applies';

COMMENT ON COLUMN rt.room_members.last_read_seq IS 'the member''s read mark: messages up to it count as read';

COMMENT ON COLUMN rt.room_members.first_seq IS 'number of the room''s last message when the member joined';

COMMENT ON COLUMN rt.room_members.first_change IS 'number of the room''s last change when the member joined; clients that hold nothing of the room get later ones';

COMMENT ON COLUMN rt.room_members.notify IS 'which messages notify the member: all, mentions, none';

COMMENT ON COLUMN rt.room_members.muted_until IS 'until when the member has muted the room';

COMMENT ON INDEX rt.room_members_user_id_idx IS 'finds the rooms of a user';

COMMENT ON INDEX rt.room_members_joined_at_idx IS 'pages of the list of members';

CREATE FUNCTION rt_private.last_seq(room_id bigint, stored bigint) RETURNS bigint
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'rt_last_seq';

COMMENT ON FUNCTION rt_private.last_seq(bigint, bigint) IS 'number of a room''s newest message, which its row says, or will say at the commit';

CREATE OR REPLACE FUNCTION rt_private.direct_key(a text, b text) RETURNS text
LANGUAGE sql IMMUTABLE
	RETURN pg_catalog.length(least(a COLLATE "C", b COLLATE "C")) || ':' || least(a COLLATE "C", b COLLATE "C") || greatest(a COLLATE "C", b COLLATE "C");

CREATE OR REPLACE FUNCTION rt_private.room_route(room_id bigint, except_socket text DEFAULT NULL) RETURNS json
LANGUAGE sql IMMUTABLE
	RETURN CASE WHEN except_socket IS NULL THEN pg_catalog.json_build_object('room', room_id::text)
		ELSE pg_catalog.json_build_object('room', room_id::text, 'except', except_socket) END;

COMMENT ON FUNCTION rt_private.room_route(bigint, text) IS 'the route to the sockets that joined a room';

CREATE OR REPLACE FUNCTION rt_private.notify_users(users text[], kind text, data json, room_id bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.emit('chat-notification', pg_catalog.json_build_object('users', users),
		pg_catalog.json_build_object('type', kind, 'roomId', room_id::text, 'data', data,
			'timestamp', rt_private.iso(pg_catalog.clock_timestamp())),
		true, room_id)
	WHERE pg_catalog.cardinality(users) > 0
$$;

CREATE FUNCTION rt_private.room_settings(r rt.rooms) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN jsonb_build_object('topic', r.topic, 'archived', r.archived, 'history', r.history, 'whoMayPost', r.who_may_post,
		'whoMayAdd', r.who_may_add, 'whoMayPin', r.who_may_pin, 'whoMayMentionAll', r.who_may_mention_all);
END
$$;

COMMENT ON FUNCTION rt_private.room_settings(rt.rooms) IS 'a room''s settings as clients get them';

CREATE OR REPLACE FUNCTION rt_private.room_data(r rt.rooms) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN jsonb_build_object('roomId', r.id::text, 'id', r.id::text, 'name', r.name, 'kind', r.kind, 'by', rt_private.actor())
		|| rt_private.room_settings(r);
END
$$;

COMMENT ON FUNCTION rt_private.room_data(rt.rooms) IS 'a room as it appears in a notification';

CREATE OR REPLACE FUNCTION rt_private.member_changed(room_id bigint, user_id text, member boolean) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.emit('rt:member', '{"gateway":true}',
		pg_catalog.json_build_object('roomId', room_id::text, 'userId', user_id, 'member', member,
			'xid', pg_catalog.pg_current_xact_id()::text), true, room_id)
$$;

COMMENT ON FUNCTION rt_private.member_changed(bigint, text, boolean) IS 'tells the gateways about a change of membership';

CREATE FUNCTION rt_private.room_members_key() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'a membership cannot be moved to another room or user'
		USING ERRCODE = 'RT400', HINT = 'Delete it and insert a new one.';
END
$$;

COMMENT ON FUNCTION rt_private.room_members_key() IS 'refuses to change the key of a membership';

CREATE TRIGGER room_members_key AFTER UPDATE ON rt.room_members FOR EACH ROW
	WHEN (OLD.room_id <> NEW.room_id OR OLD.user_id <> NEW.user_id)
	EXECUTE FUNCTION rt_private.room_members_key();

COMMENT ON TRIGGER room_members_key ON rt.room_members IS 'refuses to change the key of a membership';

CREATE OR REPLACE FUNCTION rt_private.room_members_of(room_id bigint) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(pg_catalog.array_agg(m.user_id), '{}') FROM rt.room_members AS m WHERE m.room_id = room_members_of.room_id
$$;

COMMENT ON FUNCTION rt_private.room_members_of(bigint) IS 'the members of a room';

COMMENT ON TRIGGER rooms_before_delete ON rt.rooms IS 'tells the members that their room is gone';

CREATE OR REPLACE FUNCTION rt_private.room_members_before_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit('rt:room-deleted', '{"gateway":true}', json_build_object('roomId', m.room_id::text), true, m.room_id)
	FROM (SELECT DISTINCT t.room_id FROM rt.room_members AS t) AS m;
	PERFORM rt_private.forget_member_counts();
	RETURN NULL;
END
$$;

COMMENT ON TRIGGER room_members_before_truncate ON rt.room_members IS 'ends delivery to all members of all rooms';

CREATE OR REPLACE FUNCTION rt_private.rooms_after_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.notify_users(rt_private.room_members_of(NEW.id), 'room-updated', rt_private.room_data(NEW), NEW.id);
	-- What is hidden now is not unread.
	IF NEW.history = 'joined' AND OLD.history <> 'joined' AND NOT rt_private.is_applying() THEN
		UPDATE rt.room_members AS m SET last_read_seq = m.first_seq WHERE m.room_id = NEW.id AND m.last_read_seq < m.first_seq;
	END IF;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.rooms_after_update() IS 'tells the members of a new name or setting';

CREATE TRIGGER rooms_after_update AFTER UPDATE OF name, topic, archived, history, who_may_post, who_may_add, who_may_pin, who_may_mention_all
	ON rt.rooms FOR EACH ROW
	WHEN ((OLD.name, OLD.topic, OLD.archived, OLD.history, OLD.who_may_post, OLD.who_may_add, OLD.who_may_pin, OLD.who_may_mention_all)
		IS DISTINCT FROM (NEW.name, NEW.topic, NEW.archived, NEW.history, NEW.who_may_post, NEW.who_may_add, NEW.who_may_pin, NEW.who_may_mention_all)) EXECUTE FUNCTION rt_private.rooms_after_update();

COMMENT ON TRIGGER rooms_after_update ON rt.rooms IS 'tells the members of a new name or setting';

CREATE OR REPLACE FUNCTION rt_private.make_room(maker text, name text, kind text, members text[], OUT room rt.rooms, OUT created boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	everyone text[] := (SELECT array_agg(u ORDER BY n) FROM (SELECT u, min(n) AS n
		FROM unnest(ARRAY[make_room.maker] || make_room.members) WITH ORDINALITY AS t (u, n)
		WHERE u IS NOT NULL GROUP BY u) AS t);
	strangers text[];
	key text;
BEGIN
	IF make_room.kind = 'direct' THEN
		IF cardinality(everyone) IS DISTINCT FROM 2 THEN
			RAISE EXCEPTION 'a direct room has two members' USING ERRCODE = 'RT400';
		END IF;
		key := rt_private.direct_key(everyone[1], everyone[2]);
	END IF;
	PERFORM rt_private.check_users(everyone);
	PERFORM rt_private.check_blocks(make_room.maker, everyone);
	strangers := rt_private.strangers(make_room.maker, everyone);
	INSERT INTO rt.rooms (name, kind, created_by, direct_key)
	VALUES (make_room.name, make_room.kind, make_room.maker, key)
	ON CONFLICT (direct_key) DO NOTHING
	RETURNING * INTO room;
	created := FOUND;
	IF NOT created THEN
		SELECT r.* INTO room FROM rt.rooms AS r WHERE r.direct_key = key;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'the room was deleted meanwhile' USING ERRCODE = 'RT409';
		END IF;
		-- one who had left comes back
		INSERT INTO rt.room_members (room_id, user_id, role)
		SELECT room.id, u, 'admin' FROM unnest(everyone) AS u WHERE u <> ALL (strangers) ON CONFLICT DO NOTHING;
		PERFORM rt_private.invite(room.id, strangers, 'admin', make_room.maker);
		RETURN;
	END IF;
	INSERT INTO rt.room_members (room_id, user_id, role)
	SELECT room.id, u, CASE WHEN u = make_room.maker OR make_room.kind = 'direct' THEN 'admin' ELSE 'member' END
	FROM unnest(everyone) AS u WHERE u <> ALL (strangers);
	PERFORM rt_private.invite(room.id, strangers, CASE make_room.kind WHEN 'direct' THEN 'admin' ELSE 'member' END, make_room.maker);
END
$$;

COMMENT ON FUNCTION rt_private.make_room(text, text, text, text[]) IS 'creates a room, or finds the existing direct room';

CREATE OR REPLACE FUNCTION rt.create_room(name text, members text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	maker text := create_room.members[array_lower(create_room.members, 1)];
BEGIN
	IF NOT rt_private.trusted() AND maker IS DISTINCT FROM rt_private.actor() THEN
		RAISE EXCEPTION 'the first member must be the acting user' USING ERRCODE = 'RT403';
	END IF;
	RETURN ((rt_private.make_room(maker, create_room.name, 'group', create_room.members)).room).id;
END
$$;

COMMENT ON FUNCTION rt.create_room(text, text[]) IS 'creates a group room; the first member becomes its admin';

CREATE OR REPLACE FUNCTION rt.create_direct_room(a text, b text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.trusted() AND a IS DISTINCT FROM rt_private.actor() THEN
		RAISE EXCEPTION 'the first member must be the acting user' USING ERRCODE = 'RT403';
	END IF;
	RETURN ((rt_private.make_room(a, NULL, 'direct', ARRAY[b])).room).id;
END
$$;

COMMENT ON FUNCTION rt.create_direct_room(text, text) IS 'creates the direct room of two users, or finds the existing one';

CREATE OR REPLACE FUNCTION rt_private.is_own_event(event text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT event LIKE 'chat-%' OR event IN ('connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener',
		'error', 'new-chat-message', 'messages-seen', 'messages-seen-acknowledged', 'room-online-users',
		'meeting-joined', 'meeting-updated', 'meeting-ended', 'meeting-admitted', 'meeting-refused', 'participant-waiting',
		'participant-waiting-left', 'participant-joined', 'participant-left', 'participant-media-updated', 'participant-reaction',
		'participant-role-updated', 'new-message', 'user-typing', 'hand-raised', 'muted-by-host', 'removed-from-meeting',
		'recording-status-changed',
		'transport-created', 'transport-connected', 'transport-closed', 'ice-restarted', 'produced', 'new-producer', 'producer-paused',
		'producer-resumed', 'producer-closed', 'consumed', 'consumer-paused', 'consumer-resumed', 'consumer-closed', 'consumer-score',
		'layers-changed', 'active-speaker')
$$;

COMMENT ON FUNCTION rt_private.is_own_event(text) IS 'whether an event name is reserved for rt';

CREATE OR REPLACE FUNCTION rt.broadcast(room_id bigint, event text, payload jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF event !~ '^[A-Za-z0-9_.-]{1,64}$' OR rt_private.is_own_event(event) THEN
		RAISE EXCEPTION 'event name "%" cannot be broadcast', event
			USING ERRCODE = 'RT400', HINT = 'Use letters, digits, "_", "." and "-", and no name of Socket.IO or of rt itself.';
	END IF;
	IF jsonb_typeof(payload) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION 'payload must be an object' USING ERRCODE = 'RT400';
	END IF;
	IF octet_length(payload::text) > rt_private.max_message_size() THEN
		RAISE EXCEPTION 'payload is too large' USING ERRCODE = 'RT413';
	END IF;
	IF NOT EXISTS (SELECT FROM rt.rooms AS r WHERE r.id = broadcast.room_id)
		OR NOT (rt_private.trusted() OR rt_private.is_member(broadcast.room_id, rt_private.actor())) THEN
		RAISE EXCEPTION 'room not found' USING ERRCODE = 'RT404';
	END IF;
	PERFORM rt_private.emit(event, rt_private.room_route(broadcast.room_id), payload::json, true, broadcast.room_id);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.disconnect(user_id text, reason text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.emit('rt:disconnect', '{"gateway":true}', pg_catalog.json_build_object('userId', user_id,
		'reason', CASE WHEN pg_catalog.current_setting('rt.notify_content', true) IS DISTINCT FROM 'off' THEN reason END), false)
$$;

COMMENT ON TABLE rt_private.room_sizes IS 'number of members, within a tenth, of rooms that have had 200 or more';

COMMENT ON COLUMN rt_private.room_sizes.room_id IS 'the room';

COMMENT ON COLUMN rt_private.room_sizes.members IS 'how many members it has';

CREATE FUNCTION rt_private.note_size(room_id bigint, members bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF members >= 200 OR EXISTS (SELECT FROM rt_private.room_sizes AS s WHERE s.room_id = note_size.room_id) THEN
		INSERT INTO rt_private.room_sizes AS s (room_id, members) VALUES (note_size.room_id, note_size.members)
		ON CONFLICT ON CONSTRAINT room_sizes_pkey DO UPDATE SET members = excluded.members WHERE abs(s.members - excluded.members) > s.members / 10;
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.note_size(bigint, bigint) IS 'keeps the size of a large room';

CREATE FUNCTION rt_private.is_large(room_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most bigint := current_setting('rt.presence_room_limit')::bigint;
	known bigint;
BEGIN
	SELECT s.members INTO known FROM rt_private.room_sizes AS s WHERE s.room_id = is_large.room_id;
	IF known IS NULL AND most < 200 THEN
		SELECT count(*) INTO known FROM (SELECT FROM rt.room_members AS m WHERE m.room_id = is_large.room_id LIMIT most + 1) AS t;
	END IF;
	RETURN coalesce(known > most, false);
END
$$;

COMMENT ON FUNCTION rt_private.is_large(bigint) IS 'whether a room has more than rt.presence_room_limit members';

CREATE FUNCTION rt_private.count_members(room_id bigint, delta bigint) RETURNS bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_count_members';

COMMENT ON FUNCTION rt_private.count_members(bigint, bigint) IS 'how many members a room has; the statement has added delta of them';

CREATE FUNCTION rt_private.forget_member_counts() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_forget_member_counts';

COMMENT ON FUNCTION rt_private.forget_member_counts() IS 'lets the transaction count members anew';

CREATE FUNCTION rt_private.tell_members(room_id bigint, action text, members json, delta bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit('chat-room-members', rt_private.room_route(room_id),
		json_build_object('roomId', room_id::text, 'action', action, 'members', members, 'by', rt_private.actor(),
			'memberCount', c.n, 'timestamp', rt_private.iso(clock_timestamp())), true, tell_members.room_id),
		rt_private.note_size(r.id, c.n)
	FROM rt.rooms AS r CROSS JOIN LATERAL (SELECT CASE WHEN r.kind = 'direct' OR delta IS NULL
		THEN rt_private.member_count(r) ELSE rt_private.count_members(r.id, delta) END OFFSET 0) AS c (n) WHERE r.id = tell_members.room_id;
END
$$;

COMMENT ON FUNCTION rt_private.tell_members(bigint, text, json, bigint) IS 'emits chat-room-members to a room';

CREATE FUNCTION rt_private.member_count(r rt.rooms) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN r.kind = 'direct' THEN 2 ELSE (SELECT count(*) FROM rt.room_members AS m WHERE m.room_id = r.id) END;
END
$$;

COMMENT ON FUNCTION rt_private.member_count(rt.rooms) IS 'how many members a room has';

CREATE OR REPLACE FUNCTION rt_private.room_members_after_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room record;
	delta bigint;
BEGIN
	FOR room IN SELECT r AS row, array_agg(m.user_id) AS users,
			array_to_json((array_agg(json_build_object('userId', m.user_id, 'userName', u.name, 'role', m.role) ORDER BY m.user_id))[1:1000]) AS members
		FROM added AS m JOIN rt.rooms AS r ON r.id = m.room_id JOIN rt.users AS u ON u.id = m.user_id GROUP BY r.id, r
	LOOP
		IF (room.row).kind = 'direct' AND NOT room.users <@ rt_private.direct_users((room.row).direct_key) THEN
			RAISE EXCEPTION 'a direct room has two members' USING ERRCODE = 'RT409';
		END IF;
		delta := cardinality(room.users);
		-- Of very many, those who are here, or may come back to their session: the others find the room when they connect.
		IF cardinality(room.users) > 1000 THEN
			room.users := ARRAY(SELECT u FROM unnest(room.users) AS u
				WHERE u IN (SELECT c.user_id FROM rt_private.connections AS c) OR u IN (SELECT s.user_id FROM rt_private.sessions AS s));
			PERFORM rt_private.emit('rt:lost', '{"gateway":true}', '{}'); -- whoever is connecting is looked up once more
		END IF;
		PERFORM rt_private.member_changed((room.row).id, u, true) FROM unnest(room.users) AS u;
		PERFORM rt_private.notify_users(room.users[i : i + 199], 'room-added', rt_private.room_data(room.row), (room.row).id)
		FROM generate_series(1, cardinality(room.users), 200) AS i;
		PERFORM rt_private.tell_members((room.row).id, 'added', room.members, delta);
	END LOOP;
	DELETE FROM rt.room_invitations AS i USING added AS m WHERE i.room_id = m.room_id AND i.user_id = m.user_id;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.room_members_after_insert() IS 'emits that members were added; refuses a third member in a direct room';

COMMENT ON TRIGGER room_members_after_insert ON rt.room_members IS 'emits that members were added; refuses a third member in a direct room';

CREATE FUNCTION rt_private.has_admin(room_id bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM rt.rooms AS r WHERE r.id = has_admin.room_id FOR NO KEY UPDATE;
	RETURN EXISTS (SELECT FROM rt.room_members AS m WHERE m.room_id = has_admin.room_id AND m.role = 'admin');
END
$$;

COMMENT ON FUNCTION rt_private.has_admin(bigint) IS 'whether a room has an admin; the caller has locked the room';

CREATE FUNCTION rt_private.appoint_admin(room_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.has_admin(appoint_admin.room_id) THEN
		UPDATE rt.room_members AS m SET role = 'admin'
		WHERE m.room_id = appoint_admin.room_id AND m.user_id = (SELECT o.user_id FROM rt.room_members AS o
			WHERE o.room_id = appoint_admin.room_id ORDER BY o.joined_at, o.user_id LIMIT 1);
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.appoint_admin(bigint) IS 'makes the longest-standing member admin if the room has none';

CREATE OR REPLACE FUNCTION rt_private.room_members_after_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room record;
BEGIN
	FOR room IN SELECT r AS row, array_agg(m.user_id) AS users, bool_or(m.role = 'admin') AS had_admin,
			json_agg(json_build_object('userId', m.user_id, 'userName', rt_private.user_name(m.user_id), 'role', m.role) ORDER BY m.user_id) AS members
		FROM removed AS m JOIN rt.rooms AS r ON r.id = m.room_id GROUP BY r.id, r ORDER BY r.id
	LOOP
		PERFORM rt_private.member_changed((room.row).id, u, false) FROM unnest(room.users) AS u;
		-- Whoever is added again has not joined it: no recovery gives it back.
		UPDATE rt_private.sessions AS s SET joined = array_remove(s.joined, (room.row).id)
		WHERE s.user_id = ANY (room.users) AND s.joined @> ARRAY[(room.row).id];
		PERFORM rt_private.notify_users(room.users, 'room-removed', rt_private.room_data(room.row), (room.row).id);
		PERFORM rt_private.tell_members((room.row).id, 'removed', room.members, -cardinality(room.users));
		IF (room.row).kind = 'direct' THEN
			UPDATE rt.rooms AS r SET has_left = true WHERE r.id = (room.row).id AND NOT r.has_left;
		ELSIF room.had_admin THEN
			PERFORM rt_private.appoint_admin((room.row).id);
		END IF;
	END LOOP;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.room_members_after_delete() IS 'emits that members were removed, ends delivery to them, and appoints an admin if none is left';

COMMENT ON TRIGGER room_members_after_delete ON rt.room_members IS 'emits that members were removed, ends delivery to them, and appoints an admin if none is left';

CREATE FUNCTION rt_private.room_members_after_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room record;
BEGIN
	FOR room IN SELECT n.room_id AS id, bool_or(o.role = 'admin') AS demotes,
			json_agg(json_build_object('userId', n.user_id, 'userName', rt_private.user_name(n.user_id), 'role', n.role) ORDER BY n.user_id) AS members
		FROM after AS n JOIN before AS o ON o.room_id = n.room_id AND o.user_id = n.user_id
		WHERE o.role <> n.role GROUP BY n.room_id ORDER BY n.room_id
	LOOP
		IF room.demotes AND NOT rt_private.has_admin(room.id) THEN
			RAISE EXCEPTION 'a room needs an admin' USING ERRCODE = 'RT409';
		END IF;
		PERFORM rt_private.tell_members(room.id, 'role', room.members, 0);
	END LOOP;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.room_members_after_update() IS 'emits the changed role; refuses to demote the last admin';

CREATE TRIGGER room_members_after_update AFTER UPDATE ON rt.room_members
	REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION rt_private.room_members_after_update();

COMMENT ON TRIGGER room_members_after_update ON rt.room_members IS 'emits the changed role; refuses to demote the last admin';

CREATE FUNCTION rt_private.direct_return(room_id bigint, seq bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	pair text[] := (SELECT rt_private.direct_users(r.direct_key) FROM rt.rooms AS r WHERE r.id = direct_return.room_id AND r.kind = 'direct');
BEGIN
	UPDATE rt.rooms AS r SET has_left = false WHERE r.id = direct_return.room_id;
	INSERT INTO rt.room_members (room_id, user_id, role, last_read_seq)
	SELECT direct_return.room_id, u.id, 'admin', direct_return.seq - 1 FROM rt.users AS u WHERE u.id = ANY (pair)
		AND NOT EXISTS (SELECT FROM rt.room_invitations AS i WHERE i.room_id = direct_return.room_id AND i.user_id = u.id) ORDER BY u.id
	ON CONFLICT DO NOTHING;
END
$$;

COMMENT ON FUNCTION rt_private.direct_return(bigint, bigint) IS 'brings back users who have left a direct room; takes the number of its next message';

CREATE FUNCTION rt.leave_direct(room_id bigint, user_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.trusted() AND leave_direct.user_id IS DISTINCT FROM rt_private.actor() THEN
		RAISE EXCEPTION 'only the acting user may do this' USING ERRCODE = 'RT403';
	END IF;
	DELETE FROM rt.room_members AS m USING rt.rooms AS r
	WHERE r.id = leave_direct.room_id AND r.kind = 'direct' AND m.room_id = r.id AND m.user_id = leave_direct.user_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'room not found' USING ERRCODE = 'RT404';
	END IF;
END
$$;

COMMENT ON FUNCTION rt.leave_direct(bigint, text) IS 'hides a direct room from one of its users, until the next message';

CREATE FUNCTION rt_private.is_direct(room_id bigint) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM rt.rooms AS r WHERE r.id = is_direct.room_id AND r.kind = 'direct')
$$;

COMMENT ON FUNCTION rt_private.is_direct(bigint) IS 'whether a room is a direct room';

CREATE TABLE rt.blocks (
	user_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	blocked_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (user_id, blocked_id),
	CHECK (user_id <> blocked_id)
);

CREATE INDEX blocks_blocked_id_idx ON rt.blocks (blocked_id);

COMMENT ON TABLE rt.blocks IS 'users who have blocked other users';

COMMENT ON COLUMN rt.blocks.user_id IS 'the user who blocked';

COMMENT ON COLUMN rt.blocks.blocked_id IS 'the user who is blocked';

COMMENT ON COLUMN rt.blocks.created_at IS 'since when it applies';

COMMENT ON INDEX rt.blocks_blocked_id_idx IS 'finds who has blocked a user';

SELECT pg_catalog.pg_extension_config_dump('rt.blocks', '');

CREATE FUNCTION rt_private.has_blocked(user_id text, other text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (SELECT FROM rt.blocks AS b WHERE b.user_id = has_blocked.user_id AND b.blocked_id = has_blocked.other);
END
$$;

COMMENT ON FUNCTION rt_private.has_blocked(text, text) IS 'whether a user has blocked another';

CREATE FUNCTION rt_private.blocks_after_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	b rt.blocks := CASE TG_OP WHEN 'INSERT' THEN NEW ELSE OLD END;
BEGIN
	PERFORM rt_private.emit('chat-user-blocked', json_build_object('users', ARRAY[b.user_id], 'private', true),
		json_build_object('userId', b.blocked_id, 'blocked', TG_OP = 'INSERT', 'timestamp', rt_private.iso(clock_timestamp())), true);
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.blocks_after_change() IS 'tells all sockets of a user about a changed block';

CREATE TRIGGER rt_after_change AFTER INSERT OR DELETE ON rt.blocks FOR EACH ROW
	EXECUTE FUNCTION rt_private.blocks_after_change();

COMMENT ON TRIGGER rt_after_change ON rt.blocks IS 'tells all sockets of a user about a changed block';

CREATE FUNCTION rt_private.may_add(actor text, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce(current_setting('rt.may_add_users', true), 'anyone') = 'anyone' OR user_id = actor OR EXISTS (
		SELECT FROM rt.room_members AS a JOIN rt.room_members AS b ON b.room_id = a.room_id
		WHERE a.user_id = may_add.actor AND b.user_id = may_add.user_id);
END
$$;

COMMENT ON FUNCTION rt_private.may_add(text, text) IS 'whether rt.may_add_users lets one user put another into a room';

CREATE FUNCTION rt_private.check_blocks(actor text, users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.trusted() AND EXISTS (SELECT FROM rt.blocks AS b WHERE b.blocked_id = actor AND b.user_id = ANY (users)) THEN
		RAISE EXCEPTION 'this user has blocked you' USING ERRCODE = 'RT403';
	END IF;
	IF NOT rt_private.trusted() AND current_setting('rt.may_add_users', true) = 'contacts'
		AND EXISTS (SELECT FROM unnest(users) AS u (id) WHERE NOT rt_private.may_add(actor, u.id)) THEN
		RAISE EXCEPTION 'you can only add people who share a room with you' USING ERRCODE = 'RT403';
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.check_blocks(text, text[]) IS 'refuses an action if a user concerned has blocked the actor, or may not be added by them';

CREATE TABLE rt.room_invitations (
	room_id bigint NOT NULL REFERENCES rt.rooms (id) ON DELETE CASCADE,
	user_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	role text NOT NULL DEFAULT 'member' CHECK (role IN ('admin', 'member')),
	invited_by text DEFAULT rt_private.actor() REFERENCES rt.users (id) ON DELETE SET NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	declined_at timestamptz,
	PRIMARY KEY (room_id, user_id)
);

CREATE INDEX room_invitations_user_id_idx ON rt.room_invitations (user_id);

CREATE INDEX room_invitations_invited_by_idx ON rt.room_invitations (invited_by);

COMMENT ON TABLE rt.room_invitations IS 'users who were invited to a room and have not accepted';

COMMENT ON COLUMN rt.room_invitations.room_id IS 'the room';

COMMENT ON COLUMN rt.room_invitations.user_id IS 'the user who was invited';

COMMENT ON COLUMN rt.room_invitations.role IS 'what the user becomes in the room: admin or member';

COMMENT ON COLUMN rt.room_invitations.invited_by IS 'the user who invited; null for plain SQL';

COMMENT ON COLUMN rt.room_invitations.created_at IS 'when it was made';

COMMENT ON COLUMN rt.room_invitations.declined_at IS 'when the user declined; null while it is open';

COMMENT ON INDEX rt.room_invitations_user_id_idx IS 'finds the invitations of a user';

COMMENT ON INDEX rt.room_invitations_invited_by_idx IS 'finds what a user who is deleted has made';

SELECT pg_catalog.pg_extension_config_dump('rt.room_invitations', '');

CREATE FUNCTION rt_private.invitation_json(i rt.room_invitations) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT json_build_object('roomId', i.room_id::text, 'roomName', r.name, 'kind', r.kind, 'role', i.role, 'invitedBy', i.invited_by,
		'invitedByName', rt_private.user_name(i.invited_by), 'createdAt', rt_private.iso(i.created_at))
		FROM (VALUES (1)) AS one LEFT JOIN rt.rooms AS r ON r.id = i.room_id);
END
$$;

COMMENT ON FUNCTION rt_private.invitation_json(rt.room_invitations) IS 'an invitation as the invited user sees it';

CREATE FUNCTION rt_private.room_invitations_after_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	i rt.room_invitations := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
	action text := 'invited';
BEGIN
	IF TG_OP = 'DELETE' THEN
		action := CASE WHEN rt_private.is_member(i.room_id, i.user_id) THEN 'accepted' ELSE 'withdrawn' END;
	ELSIF i.declined_at IS NOT NULL THEN
		action := 'declined';
	END IF;
	PERFORM rt_private.emit('chat-room-invitation', json_build_object('users', ARRAY[i.user_id], 'private', true),
		(rt_private.invitation_json(i)::jsonb || jsonb_build_object('action', action, 'timestamp', rt_private.iso(clock_timestamp())))::json, true);
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.room_invitations_after_change() IS 'tells all sockets of a user about an invitation';

CREATE TRIGGER rt_after_change AFTER INSERT OR UPDATE OF declined_at OR DELETE ON rt.room_invitations FOR EACH ROW
	EXECUTE FUNCTION rt_private.room_invitations_after_change();

COMMENT ON TRIGGER rt_after_change ON rt.room_invitations IS 'tells all sockets of a user about an invitation';

CREATE FUNCTION rt_private.strangers(actor text, users text[]) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.trusted() OR current_setting('rt.may_add_users', true) IS DISTINCT FROM 'invitation' THEN
		RETURN '{}';
	END IF;
	RETURN ARRAY(SELECT u.id FROM unnest(users) AS u (id) WHERE NOT rt_private.may_add(actor, u.id));
END
$$;

COMMENT ON FUNCTION rt_private.strangers(text, text[]) IS 'those of some users whom another user can only invite';

CREATE FUNCTION rt_private.invite(room_id bigint, users text[], role text, inviter text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO rt.room_invitations (room_id, user_id, role, invited_by)
	SELECT invite.room_id, u.id, invite.role, invite.inviter FROM unnest(users) AS u (id)
	WHERE NOT rt_private.is_member(invite.room_id, u.id) ORDER BY u.id ON CONFLICT DO NOTHING;
END
$$;

COMMENT ON FUNCTION rt_private.invite(bigint, text[], text, text) IS 'invites users who are no members of a room';

CREATE FUNCTION rt_private.lock_invitation(room_id bigint, user_id text) RETURNS rt.room_invitations
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found rt.room_invitations;
BEGIN
	SELECT i.* INTO found FROM rt.room_invitations AS i
	WHERE i.room_id = lock_invitation.room_id AND i.user_id = lock_invitation.user_id FOR UPDATE;
	IF found.room_id IS NULL THEN
		RAISE EXCEPTION 'invitation not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN found;
END
$$;

COMMENT ON FUNCTION rt_private.lock_invitation(bigint, text) IS 'finds and locks an invitation; RT404 if there is none';

CREATE FUNCTION rt.accept_invitation(room_id bigint, user_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	i rt.room_invitations;
BEGIN
	PERFORM rt_private.check_self(accept_invitation.user_id);
	i := rt_private.lock_invitation(accept_invitation.room_id, accept_invitation.user_id);
	-- Its trigger removes the invitation.
	INSERT INTO rt.room_members (room_id, user_id, role) VALUES (i.room_id, i.user_id, i.role) ON CONFLICT DO NOTHING;
END
$$;

COMMENT ON FUNCTION rt.accept_invitation(bigint, text) IS 'makes an invited user a member of the room';

CREATE FUNCTION rt.decline_invitation(room_id bigint, user_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_self(decline_invitation.user_id);
	PERFORM rt_private.lock_invitation(decline_invitation.room_id, decline_invitation.user_id);
	UPDATE rt.room_invitations AS i SET declined_at = clock_timestamp()
	WHERE i.room_id = decline_invitation.room_id AND i.user_id = decline_invitation.user_id AND i.declined_at IS NULL;
END
$$;

COMMENT ON FUNCTION rt.decline_invitation(bigint, text) IS 'declines an invitation; the room cannot invite that user again';

CREATE FUNCTION rt_private.search_vector(content text) RETURNS tsvector
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'rt_search_vector';

COMMENT ON FUNCTION rt_private.search_vector(text) IS 'the search index entry of a text';

CREATE FUNCTION rt_private.search_query(q text) RETURNS tsquery
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_search_query';

COMMENT ON FUNCTION rt_private.search_query(text) IS 'converts a search string to a query: all words as prefixes, "quoted words" as a phrase';

CREATE FUNCTION rt_private.search_highlights(content text, q text) RETURNS json
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_search_highlights';

COMMENT ON FUNCTION rt_private.search_highlights(text, text) IS 'the matches of a search in a text: [[start, end]] in UTF-16 code units';

CREATE INDEX messages_search_idx ON rt.messages USING gin (rt_private.search_vector(content));

COMMENT ON COLUMN rt.messages.seq IS 'number in the room, assigned by rt: 1, 2, 3, … in commit order, without gaps';

COMMENT ON COLUMN rt.messages.sender_id IS 'the sender; null if that user has been deleted';

COMMENT ON COLUMN rt.messages.content IS 'the text; empty if deleted';

COMMENT ON COLUMN rt.messages.message_type IS 'type of message, defined by the application';

COMMENT ON COLUMN rt.messages.metadata IS 'JSON object, defined by the application; mentions: [user ids] notifies these users';

COMMENT ON COLUMN rt.messages.reply_to IS 'number of the message in the same room that it replies to, which may have been deleted';

COMMENT ON COLUMN rt.messages.client_id IS 'the sender''s id of the message, which makes sending idempotent';

COMMENT ON COLUMN rt.messages.created_at IS 'when it was sent; rises with seq, unless the sender gave another time';

COMMENT ON COLUMN rt.messages.edited_at IS 'when it was last edited';

COMMENT ON COLUMN rt.messages.deleted_at IS 'when it was soft-deleted by UPDATE; for rows removed by DELETE see rt.deleted_messages';

COMMENT ON INDEX rt.messages_client_id_key IS 'used by repeated sends';

COMMENT ON INDEX rt.messages_sender_id_idx IS 'used when a user is deleted, and to count unread messages';

COMMENT ON INDEX rt.messages_reply_to_idx IS 'finds replies to messages that retention removes';

COMMENT ON INDEX rt.messages_search_idx IS 'full-text search';

COMMENT ON FUNCTION rt_private.message_json(rt.messages) IS 'a message as clients get it';

CREATE OR REPLACE FUNCTION rt_private.message_id(room_id bigint, seq bigint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN room_id::text || '-' || seq::text;

COMMENT ON FUNCTION rt_private.message_id(bigint, bigint) IS 'a message''s id as clients get it';

CREATE OR REPLACE FUNCTION rt_private.message_event(event text, kind text, room_id bigint, seq bigint, data jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	now_text text := rt_private.iso(clock_timestamp());
BEGIN
	PERFORM rt_private.emit(event, rt_private.room_route(room_id),
		json_build_object('type', kind, 'roomId', room_id::text,
			'data', jsonb_build_object('messageId', rt_private.message_id(room_id, seq), 'roomId', room_id::text,
				'timestamp', now_text) || data,
			'timestamp', now_text), true, room_id, seq);
	IF kind IN ('message-edited', 'message-deleted') THEN
		-- to sockets that have not joined the room, without the text
		PERFORM rt_private.emit('chat-notification', json_build_object('unjoined', room_id::text),
			json_build_object('type', kind, 'data', json_build_object('roomId', room_id::text,
				'messageId', rt_private.message_id(room_id, seq), 'seq', seq, 'by', coalesce(data ->> 'editedBy', data ->> 'deletedBy')),
				'timestamp', now_text), true, room_id);
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.message_event(text, text, bigint, bigint, jsonb) IS 'emits an event about a message to its room';

COMMENT ON FUNCTION rt_private.messages_before_insert() IS 'checks a message and assigns its number';

COMMENT ON FUNCTION rt_private.messages_after_statement() IS 'stores the room''s last number';

COMMENT ON TRIGGER zz_rt_before_insert ON rt.messages IS 'checks a message and assigns its number';

COMMENT ON TRIGGER rt_after_insert ON rt.messages IS 'emits new-chat-message';

COMMENT ON TRIGGER zz_rt_after_statement ON rt.messages IS 'stores the room''s last number';

DO $$
DECLARE
	name name;
BEGIN
	FOR name IN
		SELECT t.tgname FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_constraint AS c ON c.oid OPERATOR(pg_catalog.=) t.tgconstraint
		WHERE t.tgrelid OPERATOR(pg_catalog.=) 'rt.messages'::pg_catalog.regclass
			AND t.tgfoid OPERATOR(pg_catalog.=) 'pg_catalog."RI_FKey_check_ins"'::pg_catalog.regproc
			AND c.conname OPERATOR(pg_catalog.=) ANY ('{messages_room_id_fkey,messages_sender_id_fkey}'::pg_catalog.name[])
	LOOP
		EXECUTE pg_catalog.format('ALTER TABLE rt.messages DISABLE TRIGGER %I', name);
	END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION rt.send_message(room bigint, sender text, content text, message_type text DEFAULT 'text',
	metadata jsonb DEFAULT NULL, reply_to bigint DEFAULT NULL, client_id text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	number bigint := (SELECT d.seq FROM rt.deleted_messages AS d
		WHERE d.room_id = room AND d.sender_id = sender AND d.client_id = send_message.client_id LIMIT 1);
BEGIN
	IF number IS NOT NULL THEN
		RETURN number; -- sent, and deleted meanwhile
	END IF;
	INSERT INTO rt.messages AS m (room_id, sender_id, content, message_type, metadata, reply_to, client_id)
	VALUES (room, sender, coalesce(send_message.content, ''), coalesce(send_message.message_type, 'text'), send_message.metadata,
		send_message.reply_to, send_message.client_id)
	ON CONFLICT (room_id, sender_id, client_id) WHERE client_id IS NOT NULL DO NOTHING
	RETURNING m.seq INTO number;
	IF number IS NULL THEN
		SELECT m.seq INTO STRICT number FROM rt.messages AS m
		WHERE m.room_id = room AND m.sender_id = sender AND m.client_id = send_message.client_id;
	END IF;
	RETURN number;
END
$$;

COMMENT ON FUNCTION rt.send_message(bigint, text, text, text, jsonb, bigint, text) IS
	'sends a message and returns its number; idempotent for the same client_id';

COMMENT ON FUNCTION rt_private.message_fault(text, jsonb, text) IS 'why a message cannot be stored; null if it can';

CREATE OR REPLACE FUNCTION rt_private.messages_before_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fault text := rt_private.message_fault(NEW.message_type, NEW.metadata, NEW.client_id);
BEGIN
	IF rt_private.is_applying() THEN
		RETURN NEW;
	END IF;
	IF fault IS NOT NULL THEN
		RAISE check_violation USING MESSAGE = fault;
	END IF;
	IF (NEW.room_id, NEW.seq, NEW.created_at, NEW.client_id) IS DISTINCT FROM (OLD.room_id, OLD.seq, OLD.created_at, OLD.client_id)
		OR (NEW.sender_id IS DISTINCT FROM OLD.sender_id AND NEW.sender_id IS NOT NULL) THEN
		RAISE EXCEPTION 'the number, sender and time of a message cannot be changed' USING ERRCODE = 'RT400';
	END IF;
	IF NEW.reply_to IS DISTINCT FROM OLD.reply_to AND NEW.reply_to IS NOT NULL
		AND NOT EXISTS (SELECT FROM rt_private.history AS h WHERE h.room_id = NEW.room_id AND h.seq = NEW.reply_to) THEN
		RAISE foreign_key_violation USING MESSAGE = format('message %s that is answered does not exist in room %s', NEW.reply_to, NEW.room_id);
	END IF;
	IF OLD.deleted_at IS NOT NULL THEN
		IF NEW.deleted_at IS DISTINCT FROM OLD.deleted_at OR NEW.content <> OLD.content OR NEW.metadata IS NOT NULL THEN
			RAISE EXCEPTION 'message was deleted' USING ERRCODE = 'RT410';
		END IF;
		RETURN NEW;
	END IF;
	IF NEW.deleted_at IS NOT NULL THEN
		IF NOT isfinite(NEW.deleted_at) THEN
			RAISE EXCEPTION 'deleted_at must be a time' USING ERRCODE = 'RT400'; -- JSON has none for it
		END IF;
		NEW.content := '';
		NEW.metadata := NULL;
		RETURN NEW;
	END IF;
	IF NEW.content IS DISTINCT FROM OLD.content OR NEW.metadata IS DISTINCT FROM OLD.metadata THEN
		IF NEW.content = '' AND NEW.metadata IS NULL THEN
			RAISE EXCEPTION 'message is empty' USING ERRCODE = 'RT400';
		END IF;
		IF octet_length(NEW.content) + coalesce(octet_length(NEW.metadata::text), 0) > rt_private.max_message_size() THEN
			RAISE EXCEPTION 'message is too large' USING ERRCODE = 'RT413';
		END IF;
		NEW.edited_at := clock_timestamp();
	END IF;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION rt_private.messages_before_update() IS 'checks a change to a message';

COMMENT ON TRIGGER rt_before_update ON rt.messages IS 'checks a change to a message';

CREATE OR REPLACE FUNCTION rt_private.messages_after_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	who text := coalesce(rt_private.actor(), NEW.sender_id);
BEGIN
	IF NOT coalesce(current_setting('rt.suppress_events', true)::boolean, false) AND NOT rt_private.is_applying() THEN
		PERFORM rt_private.note_change(NEW.room_id, NEW.seq);
	END IF;
	IF OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL THEN
		PERFORM rt_private.message_event('chat-message-deleted', 'message-deleted', NEW.room_id, NEW.seq,
			jsonb_build_object('deletedBy', who));
	ELSIF NEW.edited_at IS DISTINCT FROM OLD.edited_at THEN
		PERFORM rt_private.message_event('chat-message-edited', 'message-edited', NEW.room_id, NEW.seq,
			jsonb_build_object('newContent', NEW.content, 'editedBy', who)
				|| CASE WHEN NEW.metadata IS DISTINCT FROM OLD.metadata THEN jsonb_build_object('metadata', NEW.metadata) ELSE '{}' END);
	END IF;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.messages_after_update() IS 'notes a change and emits chat-message-edited or chat-message-deleted';

COMMENT ON TRIGGER rt_after_update ON rt.messages IS 'notes a change and emits chat-message-edited or chat-message-deleted';

CREATE FUNCTION rt_private.messages_lose_order() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.is_applying() THEN
		UPDATE rt.rooms AS r SET newest_at = 'infinity' WHERE r.id = NEW.room_id AND r.newest_at IS DISTINCT FROM 'infinity';
	END IF;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.messages_lose_order() IS 'notes that created_at does not rise with seq in a room';

CREATE TRIGGER rt_lose_order AFTER UPDATE OF room_id, seq, created_at ON rt.messages FOR EACH ROW
	WHEN (OLD.room_id <> NEW.room_id OR OLD.seq <> NEW.seq OR OLD.created_at <> NEW.created_at)
	EXECUTE FUNCTION rt_private.messages_lose_order();

ALTER TABLE rt.messages ENABLE ALWAYS TRIGGER rt_lose_order;

COMMENT ON TRIGGER rt_lose_order ON rt.messages IS 'notes that created_at does not rise with seq in a room';

COMMENT ON COLUMN rt.reactions.user_id IS 'the user';

COMMENT ON COLUMN rt.reactions.emoji IS 'the emoji';

COMMENT ON COLUMN rt.reactions.created_at IS 'when it happened';

COMMENT ON INDEX rt.reactions_user_id_idx IS 'used when a user is deleted';

CREATE OR REPLACE FUNCTION rt_private.reactions_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	-- One from before this transaction comes from a dump.
	IF NEW.created_at >= now() AND NOT rt_private.is_applying() AND EXISTS (SELECT FROM rt_private.history AS h
		WHERE h.room_id = NEW.room_id AND h.seq = NEW.seq AND (h.m).deleted_at IS NOT NULL) THEN
		RAISE EXCEPTION 'message was deleted' USING ERRCODE = 'RT410';
	END IF;
	RETURN NEW;
END
$$;

COMMENT ON TRIGGER rt_before_insert ON rt.reactions IS 'refuses a reaction to a deleted message';

CREATE OR REPLACE FUNCTION rt_private.reactions_after_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.reactions := CASE TG_OP WHEN 'INSERT' THEN NEW ELSE OLD END;
BEGIN
	IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM rt.messages AS m WHERE m.room_id = r.room_id AND m.seq = r.seq) THEN
		RETURN NULL; -- it went with its message, and is no change of its own
	END IF;
	IF NOT rt_private.is_applying() THEN
		PERFORM rt_private.note_change(r.room_id, r.seq);
	END IF;
	PERFORM rt_private.message_event('chat-message-reaction', 'message-reaction', r.room_id, r.seq,
		jsonb_build_object('emoji', r.emoji, 'userId', r.user_id, 'userName', rt_private.user_name(r.user_id),
			'action', CASE TG_OP WHEN 'INSERT' THEN 'add' ELSE 'remove' END));
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.reactions_after_change() IS 'notes a change and emits chat-message-reaction';

COMMENT ON TRIGGER rt_after_change ON rt.reactions IS 'notes a change and emits chat-message-reaction';

COMMENT ON TRIGGER rt_before_update ON rt.reactions IS 'refuses to change a reaction';

COMMENT ON TABLE rt_private.receipt_ranges IS 'receipts for ranges of messages; rt.receipts shows them one by one';

COMMENT ON COLUMN rt_private.receipt_ranges.user_id IS 'the user who got or saw the messages';

COMMENT ON COLUMN rt_private.receipt_ranges.at IS 'when it happened';

CREATE OR REPLACE FUNCTION rt_private.receipts_missing(room_id bigint, user_id text, kind "char", seqs bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN (SELECT coalesce(array_agg(DISTINCT s.seq), '{}')
	FROM unnest(receipts_missing.seqs) AS s (seq)
	WHERE NOT EXISTS (
		SELECT FROM (
			SELECT r.seq_to FROM rt_private.receipt_ranges AS r
			WHERE r.room_id = receipts_missing.room_id AND r.user_id = receipts_missing.user_id
				AND r.kind = receipts_missing.kind AND r.seq_from <= s.seq
			ORDER BY r.seq_from DESC LIMIT 1) AS before
		WHERE before.seq_to >= s.seq));
END
$$;

COMMENT ON FUNCTION rt_private.receipts_missing(bigint, text, "char", bigint[]) IS 'filters messages that a member has no receipt for';

COMMENT ON FUNCTION rt_private.receipts_add(bigint, text, "char", bigint[]) IS 'stores missing receipts';

CREATE OR REPLACE FUNCTION rt_private.receipts_check(room_id bigint, user_id text, seqs bigint[]) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	others bigint[];
	known bigint;
BEGIN
	SELECT count(*), array_agg(h.seq) FILTER (WHERE (h.m).sender_id IS DISTINCT FROM receipts_check.user_id)
	INTO known, others
	FROM rt_private.history AS h WHERE h.room_id = receipts_check.room_id AND h.seq = ANY (receipts_check.seqs);
	IF known <> (SELECT count(DISTINCT s) FROM unnest(receipts_check.seqs) AS s) OR array_position(receipts_check.seqs, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'message not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN coalesce(others, '{}');
END
$$;

COMMENT ON FUNCTION rt_private.receipts_check(bigint, text, bigint[]) IS 'filters messages that a member can have receipts for: not their own';

CREATE OR REPLACE FUNCTION rt_private.lock_member(room_id bigint, user_id text) RETURNS rt.room_members
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.room_members;
BEGIN
	SELECT t.* INTO m FROM rt.room_members AS t
	WHERE t.room_id = lock_member.room_id AND t.user_id = lock_member.user_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'room not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN m;
END
$$;

COMMENT ON FUNCTION rt_private.lock_member(bigint, text) IS 'locks and returns a membership; RT404 if there is none';

CREATE OR REPLACE FUNCTION rt_private.mark_seen(room bigint, user_id text, seqs bigint[], except_socket text) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fresh bigint[];
	highest bigint := (SELECT max(s) FROM unnest(seqs) AS s);
BEGIN
	-- One that is not the room's is refused below.
	UPDATE rt.room_members AS t SET last_read_seq = highest
	WHERE t.room_id = room AND t.user_id = mark_seen.user_id AND t.last_read_seq < highest;
	IF NOT FOUND THEN
		PERFORM rt_private.lock_member(room, mark_seen.user_id);
	END IF;
	fresh := rt_private.receipts_missing(room, mark_seen.user_id, 's', rt_private.receipts_check(room, mark_seen.user_id, seqs));
	IF cardinality(fresh) > 0 THEN
		PERFORM rt_private.receipts_add(room, mark_seen.user_id, 's', fresh);
		PERFORM rt_private.emit('messages-seen', rt_private.room_route(room, except_socket),
			json_build_object('userId', mark_seen.user_id, 'roomId', room::text,
				'messageIds', (SELECT json_agg(rt_private.message_id(room, s) ORDER BY s) FROM unnest(fresh) AS s),
				'timestamp', rt_private.iso(clock_timestamp())), true, room);
	END IF;
	RETURN fresh;
END
$$;

COMMENT ON FUNCTION rt_private.mark_seen(bigint, text, bigint[], text) IS 'marks messages as seen and tells the room; returns those that were not yet';

COMMENT ON FUNCTION rt_private.mark_delivered(bigint, text, bigint[], text) IS 'marks messages as delivered and tells the room; returns those that were not yet';

CREATE OR REPLACE FUNCTION rt_private.check_self(user_id text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.trusted() AND check_self.user_id IS DISTINCT FROM rt_private.actor() THEN
		RAISE EXCEPTION 'only the acting user may do this' USING ERRCODE = 'RT403';
	END IF;
END
$$;

CREATE OR REPLACE VIEW rt.receipts WITH (security_barrier) AS
	SELECT r.room_id, s.seq, r.user_id,
		min(r.at) FILTER (WHERE r.kind = 'd') AS delivered_at,
		min(r.at) FILTER (WHERE r.kind = 's') AS seen_at
	FROM rt_private.receipt_ranges AS r, LATERAL generate_series(r.seq_from, r.seq_to) AS s (seq)
			WHERE (SELECT NOT pg_has_role(c.name, 'rt_app', 'MEMBER') OR pg_has_role(c.name, n.nspowner, 'USAGE')
			FROM pg_namespace AS n, LATERAL (SELECT CASE WHEN current_setting('role') = 'none' THEN session_user
				ELSE current_setting('role')::name END) AS c (name)
			WHERE n.nspname = 'rt')
		OR r.room_id = ANY ((SELECT ARRAY(SELECT m.room_id FROM rt.room_members AS m
			WHERE m.user_id = nullif(current_setting('rt.user_id', true), '')))::bigint[])
	GROUP BY r.room_id, s.seq, r.user_id;

COMMENT ON VIEW rt.receipts IS 'receipts: when each message was delivered to, and seen by, each member; INSERT and UPDATE mark messages';

COMMENT ON COLUMN rt.receipts.delivered_at IS 'when it was delivered; null if unknown';

COMMENT ON COLUMN rt.receipts.seen_at IS 'when it was seen; null if not yet';

COMMENT ON FUNCTION rt_private.receipts_instead() IS 'marks messages on INSERT or UPDATE, with the time of the statement';

COMMENT ON TRIGGER rt_instead ON rt.receipts IS 'marks messages on INSERT or UPDATE, with the time of the statement';

CREATE FUNCTION rt_private.import_number(room_id bigint, created_at timestamptz) RETURNS bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_import_number';

COMMENT ON FUNCTION rt_private.import_number(bigint, timestamptz) IS 'the next number in a locked room; import_settle() must follow';

COMMENT ON FUNCTION rt_private.import_settle() IS 'stores the last numbers that import_number() assigned';

CREATE OR REPLACE FUNCTION rt_private.import_check(rows text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	senders text[];
	missing text;
	bad record;
BEGIN
	EXECUTE format('SELECT ARRAY(SELECT DISTINCT sender_id FROM (%s) AS r WHERE sender_id IS NOT NULL)', rows) INTO senders;
	-- As the foreign key does: they stay until the transaction ends.
	PERFORM FROM rt.users AS u WHERE u.id = ANY (senders) FOR KEY SHARE;
	SELECT s INTO missing FROM unnest(senders) AS s WHERE NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = s) LIMIT 1;
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'user not found' USING ERRCODE = 'RT404', DETAIL = format('There is no user "%s".', missing);
	END IF;
	EXECUTE format('SELECT room_id, created_at, finite, bytes > 0 AS filled, fault FROM (SELECT room_id, created_at, deleted_at,
			isfinite(created_at) AND isfinite(coalesce(edited_at, created_at)) AND isfinite(coalesce(deleted_at, created_at)) AS finite,
			rt_private.message_fault(message_type, metadata, client_id) AS fault, octet_length(content) + coalesce(octet_length(metadata::text), 0) AS bytes FROM (%s) AS r) AS r
		WHERE room_id IS NULL OR created_at IS NULL OR NOT finite OR fault IS NOT NULL OR bytes > $1 OR (bytes = 0 AND deleted_at IS NULL) LIMIT 1', rows)
	INTO bad USING rt_private.max_message_size();
	IF bad IS NULL THEN
		RETURN;
	ELSIF bad.room_id IS NULL OR bad.created_at IS NULL THEN
		RAISE EXCEPTION 'room_id and created_at of a message must not be null' USING ERRCODE = 'RT400';
	ELSIF NOT bad.finite THEN
		RAISE check_violation USING MESSAGE = 'times of a message must not be infinite', DETAIL = format('It is in room %s.', bad.room_id);
	ELSIF bad.fault IS NOT NULL THEN
		RAISE check_violation USING MESSAGE = bad.fault, DETAIL = format('It is in room %s, of %s.', bad.room_id, bad.created_at);
	ELSIF bad.filled THEN
		RAISE EXCEPTION 'message is too large' USING ERRCODE = 'RT413',
			DETAIL = format('It is in room %s, of %s.', bad.room_id, bad.created_at);
	END IF;
	RAISE EXCEPTION 'message is empty' USING ERRCODE = 'RT400',
		DETAIL = format('It is in room %s, of %s.', bad.room_id, bad.created_at);
END
$$;

COMMENT ON FUNCTION rt_private.import_check(text) IS 'checks imported messages as triggers and foreign keys would';

COMMENT ON FUNCTION rt_private.import_rows(text, regclass) IS
	'runs an INSERT that returns ctid and the GIN entries of each row, and adds these to the index word by word';

CREATE OR REPLACE FUNCTION rt.import_messages(source regclass, rebuild_indexes boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET session_replication_role = replica
SET work_mem = '256MB' SET maintenance_work_mem = '512MB' SET jit = off AS $$
DECLARE
	-- What is sorted by comes first: it is read for each comparison.
	rows text := format('SELECT s.room_id::bigint, s.created_at::timestamptz, %6$s AS id, s.sender_id::text,
			coalesce(s.content::text, '''') AS content, %1$s::text AS message_type, %2$s::jsonb AS metadata, %3$s::text AS client_id,
			%4$s::timestamptz AS edited_at, %5$s::timestamptz AS deleted_at FROM %7$s AS s',
		rt_private.import_column(source, 'message_type', '''text'''), rt_private.import_column(source, 'metadata', 'NULL'),
		rt_private.import_column(source, 'client_id', 'NULL'), rt_private.import_column(source, 'edited_at', 'NULL'),
		rt_private.import_column(source, 'deleted_at', 'NULL'), rt_private.import_column(source, 'id', '0'), source);
	again text[] := '{}';
	imported bigint;
	indexes text;
	search regclass;
BEGIN
	PERFORM rt_private.import_check(rows);
	IF rebuild_indexes THEN
		-- All definitions are read before anything is dropped.
		SELECT array_agg(pg_get_indexdef(c.oid)) || array_agg(format('COMMENT ON INDEX %s IS %L', c.oid::regclass, obj_description(c.oid, 'pg_class'))),
			string_agg(c.oid::regclass::text, ', ')
		INTO again, indexes
		FROM pg_class AS c WHERE c.oid IN ('rt.messages_sender_id_idx'::regclass, 'rt.messages_search_idx'::regclass);
		EXECUTE 'DROP INDEX ' || indexes;
	END IF;
	search := to_regclass('rt.messages_search_idx');
	-- The inner order is the order in which the numbers are taken: by rooms, since the primary key then grows at one place.
	imported := rt_private.import_rows(format('INSERT INTO rt.messages (room_id, seq, sender_id, content, message_type, metadata,
			client_id, created_at, edited_at, deleted_at)
		SELECT r.room_id, rt_private.import_number(r.room_id, r.created_at), r.sender_id,
			CASE WHEN r.deleted_at IS NULL THEN r.content ELSE '''' END, coalesce(r.message_type, ''text''),
			CASE WHEN r.deleted_at IS NULL THEN r.metadata END, r.client_id, r.created_at, r.edited_at, r.deleted_at
		FROM (%s ORDER BY s.room_id, s.created_at, id OFFSET 0) AS r
		RETURNING ctid, %s', rows, coalesce(pg_get_indexdef(search, 1, true), 'NULL')), search);
	PERFORM rt_private.import_settle();
	FOR i IN 1 .. cardinality(again) LOOP
		EXECUTE again[i];
	END LOOP;
	RETURN imported;
END
$$;

COMMENT ON FUNCTION rt.import_messages(regclass, boolean) IS
	'for superusers: imports all messages of a table, in each room in the order of created_at and id, without events; returns their number';

CREATE TABLE rt_private.change_counters (
	room_id bigint PRIMARY KEY REFERENCES rt.rooms (id) ON DELETE CASCADE,
	last_change bigint NOT NULL
) WITH (fillfactor = 50);

COMMENT ON TABLE rt_private.change_counters IS 'number of the last change in each room';

COMMENT ON COLUMN rt_private.change_counters.room_id IS 'the room';

COMMENT ON COLUMN rt_private.change_counters.last_change IS 'the number; the row lock orders the room''s changes';

SELECT pg_catalog.pg_extension_config_dump('rt_private.change_counters', '');

CREATE TABLE rt_private.room_changes (
	room_id bigint NOT NULL REFERENCES rt.rooms (id) ON DELETE CASCADE,
	seq bigint NOT NULL,
	change bigint NOT NULL,
	PRIMARY KEY (room_id, seq)
) WITH (fillfactor = 80);

CREATE INDEX room_changes_change_idx ON rt_private.room_changes (room_id, change);

COMMENT ON TABLE rt_private.room_changes IS 'messages that have changed since they were sent, with the number of the latest change';

COMMENT ON COLUMN rt_private.room_changes.room_id IS 'the room';

COMMENT ON COLUMN rt_private.room_changes.seq IS 'the message';

COMMENT ON COLUMN rt_private.room_changes.change IS 'the number of its latest change';

COMMENT ON INDEX rt_private.room_changes_change_idx IS 'finds changes after a number';

SELECT pg_catalog.pg_extension_config_dump('rt_private.room_changes', '');

CREATE FUNCTION rt_private.change_counters_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF pg_trigger_depth() = 1 THEN
		DELETE FROM rt_private.change_counters AS c WHERE c.room_id = NEW.room_id AND c.last_change <= NEW.last_change;
		IF EXISTS (SELECT FROM rt_private.change_counters AS c WHERE c.room_id = NEW.room_id) THEN
			RETURN NULL;
		END IF;
	END IF;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION rt_private.change_counters_before_insert() IS 'lets a restore raise counters, never lower them';

CREATE TRIGGER rt_before_insert BEFORE INSERT ON rt_private.change_counters FOR EACH ROW
	EXECUTE FUNCTION rt_private.change_counters_before_insert();

COMMENT ON TRIGGER rt_before_insert ON rt_private.change_counters IS 'lets a restore raise counters, never lower them';

CREATE FUNCTION rt_private.room_changes_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF pg_trigger_depth() = 1 THEN
		DELETE FROM rt_private.room_changes AS c WHERE c.room_id = NEW.room_id AND c.seq = NEW.seq;
	END IF;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION rt_private.room_changes_before_insert() IS 'lets a restore replace rows that its own triggers have stored';

CREATE TRIGGER rt_before_insert BEFORE INSERT ON rt_private.room_changes FOR EACH ROW
	EXECUTE FUNCTION rt_private.room_changes_before_insert();

COMMENT ON TRIGGER rt_before_insert ON rt_private.room_changes IS 'lets a restore replace rows that its own triggers have stored';

CREATE FUNCTION rt_private.number_change(room_id bigint, seq bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	number bigint;
BEGIN
	INSERT INTO rt_private.change_counters AS c (room_id, last_change)
	SELECT r.id, 1 FROM rt.rooms AS r WHERE r.id = number_change.room_id
	ON CONFLICT ON CONSTRAINT change_counters_pkey DO UPDATE SET last_change = c.last_change + 1
	RETURNING c.last_change INTO number;
	IF number IS NOT NULL THEN
		INSERT INTO rt_private.room_changes AS c (room_id, seq, change) VALUES (number_change.room_id, number_change.seq, number)
		ON CONFLICT ON CONSTRAINT room_changes_pkey DO UPDATE SET change = number;
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.number_change(bigint, bigint) IS 'assigns the room''s next change number to a message';

CREATE FUNCTION rt_private.number_changes(room_id bigint, seqs bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	number bigint;
BEGIN
	INSERT INTO rt_private.change_counters AS c (room_id, last_change)
	SELECT r.id, cardinality(seqs) FROM rt.rooms AS r WHERE r.id = number_changes.room_id
	ON CONFLICT ON CONSTRAINT change_counters_pkey DO UPDATE SET last_change = c.last_change + cardinality(seqs)
	RETURNING c.last_change - cardinality(seqs) INTO number;
	IF number IS NOT NULL THEN
		INSERT INTO rt_private.room_changes AS c (room_id, seq, change)
		SELECT number_changes.room_id, s.seq, number + max(s.n) FROM unnest(seqs) WITH ORDINALITY AS s (seq, n) GROUP BY s.seq
		ON CONFLICT ON CONSTRAINT room_changes_pkey DO UPDATE SET change = excluded.change;
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.number_changes(bigint, bigint[]) IS 'assigns the next change numbers to messages of a room, one to each change in their order';

CREATE FUNCTION rt_private.note_change(room_id bigint, seq bigint) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_note_change';

COMMENT ON FUNCTION rt_private.note_change(bigint, bigint) IS 'notes a changed message, to be numbered at commit';

CREATE FUNCTION rt_private.note_changes(room_id bigint, seqs bigint[]) RETURNS boolean
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_note_changes';

COMMENT ON FUNCTION rt_private.note_changes(bigint, bigint[]) IS 'notes changed messages of a room; true if the caller must see to it that they are numbered';

CREATE FUNCTION rt_private.number_noted() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_number_noted';

COMMENT ON FUNCTION rt_private.number_noted() IS 'numbers all changes that the transaction has noted';

CREATE FUNCTION rt_private.row_changed() RETURNS trigger
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rt_row_changed';

COMMENT ON FUNCTION rt_private.row_changed() IS 'numbers all changes that the transaction has noted';

CREATE FUNCTION rt_private.last_change(room_id bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce((SELECT c.last_change FROM rt_private.change_counters AS c WHERE c.room_id = last_change.room_id), 0);
END
$$;

COMMENT ON FUNCTION rt_private.last_change(bigint) IS 'number of a room''s last change, 0 if there was none';

CREATE CONSTRAINT TRIGGER rt_changed AFTER UPDATE ON rt.messages DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	WHEN (OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.edited_at IS DISTINCT FROM NEW.edited_at)
	EXECUTE FUNCTION rt_private.row_changed();

COMMENT ON TRIGGER rt_changed ON rt.messages IS 'numbers an edit or a deletion, which rt_after_update has noted';

CREATE CONSTRAINT TRIGGER rt_changed AFTER INSERT OR DELETE ON rt.reactions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	EXECUTE FUNCTION rt_private.row_changed();

COMMENT ON TRIGGER rt_changed ON rt.reactions IS 'numbers an added or removed reaction, which rt_after_change has noted';

CREATE FUNCTION rt_private.room_members_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	last_seq bigint := coalesce((SELECT rt_private.last_seq(r.id, r.last_seq) FROM rt.rooms AS r WHERE r.id = NEW.room_id), 0);
BEGIN
	NEW.last_read_seq := coalesce(NEW.last_read_seq, last_seq);
	NEW.first_seq := coalesce(NEW.first_seq, last_seq);
	NEW.first_change := coalesce(NEW.first_change, rt_private.last_change(NEW.room_id));
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION rt_private.room_members_before_insert() IS 'lets a new member start with nothing unread';

CREATE TRIGGER rt_before_insert BEFORE INSERT ON rt.room_members FOR EACH ROW
	EXECUTE FUNCTION rt_private.room_members_before_insert();

COMMENT ON TRIGGER rt_before_insert ON rt.room_members IS 'lets a new member start with nothing unread';

CREATE TABLE rt.deleted_messages (
	room_id bigint NOT NULL REFERENCES rt.rooms (id) ON DELETE CASCADE,
	seq bigint NOT NULL,
	sender_id text REFERENCES rt.users (id) ON DELETE SET NULL,
	message_type text NOT NULL,
	reply_to bigint,
	client_id text,
	created_at timestamptz NOT NULL,
	edited_at timestamptz,
	deleted_at timestamptz NOT NULL,
	deleted_by text,
	PRIMARY KEY (room_id, seq)
);

CREATE INDEX deleted_messages_client_id_idx ON rt.deleted_messages (room_id, sender_id, client_id) WHERE client_id IS NOT NULL;

CREATE INDEX deleted_messages_sender_id_idx ON rt.deleted_messages (sender_id);

CREATE INDEX deleted_messages_created_at_idx ON rt.deleted_messages (created_at);

CREATE INDEX deleted_messages_deleted_at_idx ON rt.deleted_messages (deleted_at);

COMMENT ON TABLE rt.deleted_messages IS 'tombstones of messages that DELETE has removed: number and times, without text';

COMMENT ON COLUMN rt.deleted_messages.room_id IS 'the room';

COMMENT ON COLUMN rt.deleted_messages.seq IS 'the message''s number in the room';

COMMENT ON COLUMN rt.deleted_messages.sender_id IS 'the sender; null if that user has been deleted';

COMMENT ON COLUMN rt.deleted_messages.message_type IS 'type of message';

COMMENT ON COLUMN rt.deleted_messages.reply_to IS 'number of the message that it replied to';

COMMENT ON COLUMN rt.deleted_messages.client_id IS 'the sender''s id of the message, which makes sending idempotent';

COMMENT ON COLUMN rt.deleted_messages.created_at IS 'when it was sent';

COMMENT ON COLUMN rt.deleted_messages.edited_at IS 'when it was last edited';

COMMENT ON COLUMN rt.deleted_messages.deleted_at IS 'when it was deleted';

COMMENT ON COLUMN rt.deleted_messages.deleted_by IS 'who deleted it: rt.user_id of the session, otherwise the sender';

COMMENT ON INDEX rt.deleted_messages_client_id_idx IS 'used by repeated sends';

COMMENT ON INDEX rt.deleted_messages_sender_id_idx IS 'used when a user is deleted';

COMMENT ON INDEX rt.deleted_messages_created_at_idx IS 'used by retention';

COMMENT ON INDEX rt.deleted_messages_deleted_at_idx IS 'finds recent deletions after a crash of the relay';

SELECT pg_catalog.pg_extension_config_dump('rt.deleted_messages', '');

CREATE FUNCTION rt_private.tombstone(d rt.deleted_messages) RETURNS rt.messages
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_tombstone';

COMMENT ON FUNCTION rt_private.tombstone(rt.deleted_messages) IS 'a removed message as clients get it: without text';

CREATE VIEW rt_private.history AS
	SELECT m.room_id, m.seq, m AS m FROM rt.messages AS m
	UNION ALL
	SELECT d.room_id, d.seq, rt_private.tombstone(d)
	FROM rt.deleted_messages AS d;

COMMENT ON VIEW rt_private.history IS 'messages and tombstones';

COMMENT ON COLUMN rt_private.history.room_id IS 'the room';

COMMENT ON COLUMN rt_private.history.seq IS 'the number in the room';

COMMENT ON COLUMN rt_private.history.m IS 'the message; without text if deleted';

CREATE OR REPLACE FUNCTION rt_private.messages_after_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	at timestamptz := clock_timestamp();
	who text := rt_private.actor();
	room record;
BEGIN
	IF coalesce(current_setting('rt.suppress_events', true)::boolean, false) OR NOT EXISTS (SELECT FROM gone) THEN
		RETURN NULL;
	END IF;
	-- A room that is deleted takes its messages along, and their places.
	INSERT INTO rt.deleted_messages (room_id, seq, sender_id, message_type, reply_to, client_id, created_at, edited_at, deleted_at,
		deleted_by)
	SELECT g.room_id, g.seq, g.sender_id, g.message_type, g.reply_to, g.client_id, g.created_at, g.edited_at,
		coalesce(g.deleted_at, at), coalesce(who, g.sender_id)
	FROM gone AS g WHERE EXISTS (SELECT FROM rt.rooms AS r WHERE r.id = g.room_id)
	ON CONFLICT DO NOTHING;
	-- What had lost its text before has been told.
	PERFORM rt_private.message_event('chat-message-deleted', 'message-deleted', g.room_id, g.seq,
		jsonb_build_object('deletedBy', coalesce(who, g.sender_id)))
	FROM (SELECT t.room_id, t.seq, t.sender_id FROM gone AS t
		WHERE t.deleted_at IS NULL AND EXISTS (SELECT FROM rt.rooms AS r WHERE r.id = t.room_id)
		ORDER BY t.room_id, t.seq) AS g;
	FOR room IN
		SELECT g.room_id, array_agg(g.seq ORDER BY g.seq) AS seqs FROM gone AS g
		WHERE g.deleted_at IS NULL AND EXISTS (SELECT FROM rt.rooms AS r WHERE r.id = g.room_id)
		GROUP BY g.room_id
	LOOP
		IF rt_private.note_changes(room.room_id, room.seqs) THEN
			INSERT INTO rt_private.pending_changes (xid) VALUES (pg_current_xact_id());
		END IF;
	END LOOP;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.messages_after_delete() IS 'stores tombstones of deleted messages and emits chat-message-deleted';

CREATE TRIGGER rt_after_delete AFTER DELETE ON rt.messages REFERENCING OLD TABLE AS gone FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.messages_after_delete();

COMMENT ON TRIGGER rt_after_delete ON rt.messages IS 'stores tombstones of deleted messages and emits chat-message-deleted';

CREATE FUNCTION rt_private.messages_after_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM rt.deleted_messages) OR EXISTS (SELECT FROM rt.threads) OR EXISTS (SELECT FROM rt_private.room_changes) THEN
		TRUNCATE rt.deleted_messages, rt.threads, rt_private.room_changes;
	END IF;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.messages_after_truncate() IS 'removes tombstones, threads and changes too';

CREATE TRIGGER rt_after_truncate AFTER TRUNCATE ON rt.messages FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.messages_after_truncate();

COMMENT ON TRIGGER rt_after_truncate ON rt.messages IS 'removes tombstones, threads and changes too';

CREATE FUNCTION rt_private.deleted_messages_after_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM rt_private.room_changes AS c USING gone AS g WHERE c.room_id = g.room_id AND c.seq = g.seq
		AND NOT EXISTS (SELECT FROM rt.messages AS m WHERE m.room_id = g.room_id AND m.seq = g.seq);
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.deleted_messages_after_delete() IS 'removes the changes of tombstones that are gone';

CREATE TRIGGER rt_after_delete AFTER DELETE ON rt.deleted_messages REFERENCING OLD TABLE AS gone FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.deleted_messages_after_delete();

COMMENT ON TRIGGER rt_after_delete ON rt.deleted_messages IS 'removes the changes of tombstones that are gone';

CREATE UNLOGGED TABLE rt_private.pending_changes (
	xid xid8 NOT NULL
);

CREATE INDEX pending_changes_xid_idx ON rt_private.pending_changes (xid);

COMMENT ON TABLE rt_private.pending_changes IS 'open transactions with deletions that get their numbers at commit';

COMMENT ON COLUMN rt_private.pending_changes.xid IS 'the transaction';

COMMENT ON INDEX rt_private.pending_changes_xid_idx IS 'finds the rows of a transaction';

CREATE FUNCTION rt_private.pending_changes_number() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM rt_private.pending_changes AS p WHERE p.xid = NEW.xid;
	PERFORM rt_private.number_noted();
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.pending_changes_number() IS 'numbers all changes of the transaction';

CREATE CONSTRAINT TRIGGER rt_number AFTER INSERT ON rt_private.pending_changes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	EXECUTE FUNCTION rt_private.pending_changes_number();

COMMENT ON TRIGGER rt_number ON rt_private.pending_changes IS 'numbers all changes of the transaction';

CREATE FUNCTION rt_private.name_key(name text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_name_key';

COMMENT ON FUNCTION rt_private.name_key(text) IS 'a name in NFC and case-folded, for comparison';

CREATE INDEX users_name_key_idx ON rt.users (rt_private.name_key(username));

COMMENT ON INDEX rt.users_name_key_idx IS 'mentions';

CREATE FUNCTION rt_private.mention_names(content text, OUT at integer[], OUT keys text[])
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_mention_names';

COMMENT ON FUNCTION rt_private.mention_names(text) IS 'candidates for usernames after each @ in a text: every possible prefix';

CREATE TABLE rt_private.mentions (
	room_id bigint NOT NULL,
	user_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	seq bigint NOT NULL,
	PRIMARY KEY (user_id, room_id, seq),
	FOREIGN KEY (room_id, seq) REFERENCES rt.messages (room_id, seq) ON DELETE CASCADE
);

CREATE INDEX mentions_seq_idx ON rt_private.mentions (room_id, seq);

COMMENT ON TABLE rt_private.mentions IS 'mentions of users in messages';

COMMENT ON COLUMN rt_private.mentions.room_id IS 'the room';

COMMENT ON COLUMN rt_private.mentions.user_id IS 'the mentioned user';

COMMENT ON COLUMN rt_private.mentions.seq IS 'the message';

COMMENT ON INDEX rt_private.mentions_seq_idx IS 'finds the mentions in a message';

SELECT pg_catalog.pg_extension_config_dump('rt_private.mentions', '');

CREATE TABLE rt_private.mentions_all (
	room_id bigint NOT NULL,
	seq bigint NOT NULL,
	PRIMARY KEY (room_id, seq),
	FOREIGN KEY (room_id, seq) REFERENCES rt.messages (room_id, seq) ON DELETE CASCADE
);

COMMENT ON TABLE rt_private.mentions_all IS 'messages that mention all members of their room';

COMMENT ON COLUMN rt_private.mentions_all.room_id IS 'the room';

COMMENT ON COLUMN rt_private.mentions_all.seq IS 'the message';

SELECT pg_catalog.pg_extension_config_dump('rt_private.mentions_all', '');

CREATE FUNCTION rt_private.mentioned(m rt.messages, OUT users text[], OUT everybody boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	may_all boolean;
	is_seen_by_all boolean;
	groups text[];
BEGIN
	SELECT r.who_may_mention_all = 'members' OR rt_private.is_room_admin(r.id, m.sender_id), r.history = 'all' INTO may_all, is_seen_by_all
	FROM rt.rooms AS r WHERE r.id = m.room_id;
	WITH names AS MATERIALIZED (
		SELECT t.at, t.key FROM rt_private.mention_names(m.content) AS n, LATERAL unnest(n.at, n.keys) AS t (at, key)
	), named AS (
		SELECT DISTINCT ON (n.at) n.at, member.user_id
		FROM names AS n JOIN rt.users AS u ON rt_private.name_key(u.username) = n.key
		JOIN rt.room_members AS member ON member.room_id = m.room_id AND member.user_id = u.id
		ORDER BY n.at, length(n.key) DESC
	), wanted AS (
		SELECT n.user_id FROM named AS n
		UNION
		SELECT e FROM jsonb_array_elements_text(CASE WHEN jsonb_typeof(m.metadata -> 'mentions') = 'array'
			THEN m.metadata -> 'mentions' ELSE '[]' END) AS e
	)
	SELECT (SELECT array_agg(t.user_id) FROM rt.room_members AS t JOIN wanted AS w ON w.user_id = t.user_id
			WHERE t.room_id = m.room_id AND t.user_id IS DISTINCT FROM m.sender_id AND (is_seen_by_all OR m.seq > t.first_seq)
				AND NOT EXISTS (SELECT FROM rt.blocks AS b WHERE b.user_id = t.user_id AND b.blocked_id = m.sender_id)),
		(SELECT array_agg(DISTINCT n.key) FROM names AS n WHERE n.key IN ('all', 'here')
			AND NOT EXISTS (SELECT FROM named WHERE named.at = n.at)
			AND NOT EXISTS (SELECT FROM names AS o WHERE o.at = n.at AND o.key = n.key || '_'))
	INTO users, groups;
	users := coalesce(users, '{}');
	everybody := coalesce(may_all AND 'all' = ANY (groups), false);
	IF may_all AND 'here' = ANY (groups) THEN
		users := ARRAY(SELECT unnest(users)
			UNION
			SELECT t.user_id FROM rt.room_members AS t JOIN rt.presence AS p ON p.user_id = t.user_id
			WHERE t.room_id = m.room_id AND p.status <> 'offline' AND t.user_id IS DISTINCT FROM m.sender_id
				AND (is_seen_by_all OR m.seq > t.first_seq)
				AND NOT EXISTS (SELECT FROM rt.blocks AS b WHERE b.user_id = t.user_id AND b.blocked_id = m.sender_id));
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.mentioned(rt.messages) IS 'the members whom a message mentions, except its sender and those who have blocked the sender or may not see the message';

CREATE OR REPLACE FUNCTION rt_private.on_mention(room_id bigint, seq bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	m rt.messages;
	old_users text[];
	old_everybody boolean;
	is_seen_by_all boolean;
	now_mentioned record;
	told text[];
BEGIN
	SELECT t.* INTO m FROM rt.messages AS t WHERE t.room_id = on_mention.room_id AND t.seq = on_mention.seq;
	SELECT * INTO now_mentioned FROM rt_private.mentioned(m);
	old_users := ARRAY(SELECT t.user_id FROM rt_private.mentions AS t WHERE t.room_id = m.room_id AND t.seq = m.seq);
	old_everybody := EXISTS (SELECT FROM rt_private.mentions_all AS t WHERE t.room_id = m.room_id AND t.seq = m.seq);
	DELETE FROM rt_private.mentions AS t WHERE t.room_id = m.room_id AND t.seq = m.seq AND t.user_id <> ALL (now_mentioned.users);
	INSERT INTO rt_private.mentions (room_id, user_id, seq)
	SELECT m.room_id, u, m.seq FROM unnest(now_mentioned.users) AS u WHERE u <> ALL (old_users) ORDER BY u ON CONFLICT DO NOTHING;
	IF old_everybody AND NOT now_mentioned.everybody THEN
		DELETE FROM rt_private.mentions_all AS t WHERE t.room_id = m.room_id AND t.seq = m.seq;
	ELSIF now_mentioned.everybody AND NOT old_everybody THEN
		INSERT INTO rt_private.mentions_all (room_id, seq) VALUES (m.room_id, m.seq);
	END IF;
	IF old_everybody THEN
		RETURN; -- all have been told
	END IF;
	is_seen_by_all := (SELECT r.history = 'all' FROM rt.rooms AS r WHERE r.id = m.room_id);
	told := ARRAY(SELECT t.user_id FROM rt.room_members AS t
		WHERE t.room_id = m.room_id AND t.user_id IS DISTINCT FROM m.sender_id AND (is_seen_by_all OR m.seq > t.first_seq)
			AND (now_mentioned.everybody OR t.user_id = ANY (now_mentioned.users)) AND t.user_id <> ALL (old_users)
			AND t.notify <> 'none' AND (t.muted_until IS NULL OR t.muted_until < clock_timestamp())
			AND NOT EXISTS (SELECT FROM rt.blocks AS b WHERE b.user_id = t.user_id AND b.blocked_id = m.sender_id)
		ORDER BY t.user_id);
	PERFORM rt_private.notify_users(told, 'mention',
		json_build_object('roomId', m.room_id::text, 'messageId', rt_private.message_id(m.room_id, m.seq), 'seq', m.seq,
			'senderId', m.sender_id, 'userName', rt_private.user_name(m.sender_id), 'content', left(m.content, 280)), m.room_id);
END
$$;

COMMENT ON FUNCTION rt_private.on_mention(bigint, bigint) IS 'stores a message''s mentions and notifies newly mentioned users';

CREATE FUNCTION rt_private.messages_mention() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.is_applying() THEN
		RETURN NULL; -- they come by themselves
	END IF;
	IF NEW.deleted_at IS NOT NULL THEN
		DELETE FROM rt_private.mentions AS t WHERE t.room_id = NEW.room_id AND t.seq = NEW.seq;
		DELETE FROM rt_private.mentions_all AS t WHERE t.room_id = NEW.room_id AND t.seq = NEW.seq;
	ELSIF strpos(OLD.content || NEW.content, '@') > 0 OR OLD.metadata ? 'mentions' OR NEW.metadata ? 'mentions' THEN
		PERFORM rt_private.on_mention(NEW.room_id, NEW.seq);
	END IF;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.messages_mention() IS 'updates the mentions of a changed message; removes those of a deleted one';

CREATE TRIGGER rt_mention AFTER UPDATE ON rt.messages FOR EACH ROW
	WHEN (OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.content IS DISTINCT FROM NEW.content OR OLD.metadata IS DISTINCT FROM NEW.metadata)
	EXECUTE FUNCTION rt_private.messages_mention();

COMMENT ON TRIGGER rt_mention ON rt.messages IS 'updates the mentions of a changed message; removes those of a deleted one';

COMMENT ON TABLE rt.presence IS 'presence of users; everybody who shares a room is told of a change';

COMMENT ON COLUMN rt.presence.status IS 'offline without a connection; else busy if chosen, online if any connection is, or away';

COMMENT ON COLUMN rt.presence.status_message IS 'status text set by the user';

COMMENT ON COLUMN rt.presence.last_seen IS 'when the user was last connected; while connected, since when';

COMMENT ON COLUMN rt.presence.chosen IS 'status set for the user, not one connection; busy stays until it is changed or the last connection ends';

COMMENT ON COLUMN rt.presence.busy_by IS 'the connection that set busy; null if unknown';

COMMENT ON TABLE rt_private.gateways IS 'running gateways, as they report each second';

COMMENT ON COLUMN rt_private.gateways.draining_until IS 'deadline of rt.drain(); the successor may be running already';

COMMENT ON COLUMN rt_private.gateways.stats_before IS 'stats at rt.reset_stats(); views show the difference';

COMMENT ON COLUMN rt_private.gateways.name IS 'the gateway''s name, new at each start';

COMMENT ON COLUMN rt_private.gateways.host IS 'the host it runs on';

COMMENT ON COLUMN rt_private.gateways.slot IS 'its number, with which the ids of its sessions begin';

COMMENT ON COLUMN rt_private.gateways.pid IS 'its process id';

COMMENT ON COLUMN rt_private.gateways.started_at IS 'when it started to serve';

COMMENT ON COLUMN rt_private.gateways.reported_at IS 'when it last reported';

COMMENT ON COLUMN rt_private.gateways.stats IS 'its statistics';

COMMENT ON COLUMN rt_private.gateways.rooms IS 'its largest rooms, by joined sockets';

COMMENT ON COLUMN rt_private.gateways.stats_reset IS 'start of the statistics in views';

COMMENT ON COLUMN rt_private.gateways.region IS 'the region of its host, from its configuration file; null: none';

COMMENT ON COLUMN rt_private.gateways.own IS 'it runs on a host of its own, and the supervisor knows nothing of it';

COMMENT ON COLUMN rt_private.gateways.addresses IS 'where gateways on other hosts may find it';

CREATE TABLE rt_private.gateway_secret (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	secret text NOT NULL DEFAULT rpad(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 64, '0')
);

COMMENT ON TABLE rt_private.gateway_secret IS 'the secret that gateways share';

COMMENT ON COLUMN rt_private.gateway_secret.only_row IS 'there is one row';

COMMENT ON COLUMN rt_private.gateway_secret.secret IS '64 hexadecimal digits, 244 bits of them random';

COMMENT ON INDEX rt_private.gateway_secret_pkey IS 'there is one row';

CREATE TABLE rt_private.gateway_numbers (
	host text NOT NULL,
	port integer NOT NULL,
	number integer NOT NULL UNIQUE CHECK (number BETWEEN 100 AND 99999),
	used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (host, port)
);

COMMENT ON TABLE rt_private.gateway_numbers IS 'numbers of gateways on hosts of their own';

COMMENT ON COLUMN rt_private.gateway_numbers.host IS 'name of the host';

COMMENT ON COLUMN rt_private.gateway_numbers.port IS 'the TCP port that the gateway listens on';

COMMENT ON COLUMN rt_private.gateway_numbers.number IS 'with which the ids of its sessions begin';

COMMENT ON COLUMN rt_private.gateway_numbers.used_at IS 'when it last asked for it';

COMMENT ON INDEX rt_private.gateway_numbers_pkey IS 'the number of a gateway';

COMMENT ON INDEX rt_private.gateway_numbers_number_key IS 'no two have the same number';

COMMENT ON COLUMN rt_private.connections.user_id IS 'the user it belongs to';

COMMENT ON COLUMN rt_private.connections.gateway IS 'its gateway';

COMMENT ON COLUMN rt_private.connections.connected_at IS 'since when it applies';

COMMENT ON COLUMN rt_private.connections.queued_bytes IS 'bytes queued for the client';

COMMENT ON INDEX rt_private.connections_user_id_idx IS 'finds the connections of a user';

COMMENT ON TABLE rt_private.connections IS 'connected sockets';

COMMENT ON COLUMN rt_private.connections.serial IS
	'distinguishes the connection from an earlier one with the same sid, whose end may be reported later';

COMMENT ON COLUMN rt_private.connections.status IS 'status of this connection; the user''s status is the most present one';

COMMENT ON INDEX rt_private.connections_gateway_idx IS 'finds what a dead gateway had';

COMMENT ON COLUMN rt_private.sessions.pid IS 'private id (pid) with which the client reconnects';

COMMENT ON COLUMN rt_private.sessions.sid IS 'the socket''s id, which survives a reconnect';

COMMENT ON COLUMN rt_private.sessions.user_id IS 'the user it belongs to';

COMMENT ON COLUMN rt_private.sessions.joined IS 'rooms that the socket had joined';

COMMENT ON COLUMN rt_private.sessions.pos IS 'last position of the log at connect: recovery starts there if nothing was delivered';

COMMENT ON COLUMN rt_private.sessions.status IS 'status of the connection, which the next one of the session takes over';

COMMENT ON COLUMN rt_private.sessions.ended_at IS 'when the connection ended; null if connected';

COMMENT ON INDEX rt_private.sessions_sid_idx IS 'finds the session of a socket';

CREATE INDEX sessions_user_id_idx ON rt_private.sessions (user_id);

COMMENT ON INDEX rt_private.sessions_user_id_idx IS 'finds the sessions of a user who leaves a room';

CREATE INDEX sessions_ended_at_idx ON rt_private.sessions (ended_at) WHERE ended_at IS NOT NULL;

COMMENT ON TABLE rt_private.sessions IS 'state that a client gets back when it reconnects: its rooms and its status';

COMMENT ON INDEX rt_private.sessions_ended_at_idx IS 'finds sessions that are too old to recover';

COMMENT ON TABLE rt_private.clock IS 'the system clock at the last follow_clock(); one row';

COMMENT ON COLUMN rt_private.clock.one IS 'restricts the table to one row';

COMMENT ON COLUMN rt_private.clock.server_start IS 'start time of the server that stored this row; a reboot may have come since';

COMMENT ON COLUMN rt_private.clock.seen_at IS 'when this run of the server was seen first, or the clock was set';

COMMENT ON COLUMN rt_private.clock.ahead IS 'seconds by which it was ahead of the monotonic clock';

COMMENT ON FUNCTION rt_private.clock_offset() IS 'seconds by which the system clock is ahead of the monotonic clock';

COMMENT ON FUNCTION rt_private.after_jump(timestamptz, interval) IS 'converts a time from before a clock jump';

CREATE FUNCTION rt_private.forget_future() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	now_at timestamptz := clock_timestamp();
BEGIN
	UPDATE rt_private.gateways AS g SET reported_at = now_at WHERE g.reported_at > now_at;
	UPDATE rt_private.connections AS c SET connected_at = now_at WHERE c.connected_at > now_at;
	UPDATE rt_private.sessions AS s SET ended_at = now_at WHERE s.ended_at > now_at;
	UPDATE rt_private.media_workers AS w SET heartbeat_at = now_at WHERE w.heartbeat_at > now_at;
	IF NOT rt_private.is_foreign('rt.presence') THEN
		UPDATE rt.presence AS p SET last_seen = now_at WHERE p.last_seen > now_at;
	END IF;
	IF NOT rt_private.is_foreign('rt.meeting_participants') THEN
		UPDATE rt.meeting_participants AS p SET disconnected_at = now_at WHERE p.left_at IS NULL AND p.disconnected_at > now_at;
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.forget_future() IS 'moves deadlines from before a server''s start that lie in the future';

CREATE OR REPLACE FUNCTION rt_private.follow_clock() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	seen rt_private.clock := ROW (true, pg_postmaster_start_time(), rt_private.clock_offset(), clock_timestamp());
	was rt_private.clock;
	jump interval;
BEGIN
	SELECT c.* INTO was FROM rt_private.clock AS c;
	IF was.server_start = seen.server_start AND abs(was.ahead - seen.ahead) < 1 THEN
		RETURN;
	END IF;
	-- one of those who see it does it
	INSERT INTO rt_private.clock AS c VALUES (seen.*)
	ON CONFLICT (one) DO UPDATE SET server_start = excluded.server_start, ahead = excluded.ahead, seen_at = excluded.seen_at
	WHERE c.server_start <> excluded.server_start OR abs(c.ahead - excluded.ahead) >= 1;
	IF NOT FOUND THEN
		RETURN;
	ELSIF was.server_start IS DISTINCT FROM seen.server_start THEN
		PERFORM rt_private.forget_future();
		RETURN;
	END IF;
	jump := make_interval(secs => seen.ahead - was.ahead);
	UPDATE rt_private.gateways AS g SET reported_at = rt_private.after_jump(g.reported_at, jump);
	UPDATE rt_private.media_workers AS w SET heartbeat_at = rt_private.after_jump(w.heartbeat_at, jump);
	UPDATE rt_private.media_routers AS r SET former_until = rt_private.after_jump(r.former_until, jump) WHERE r.former IS NOT NULL;
	UPDATE rt_private.sessions AS s SET ended_at = rt_private.after_jump(s.ended_at, jump) WHERE s.ended_at IS NOT NULL;
	IF NOT rt_private.is_foreign('rt.meeting_participants') THEN
		UPDATE rt.meeting_participants AS p SET disconnected_at = rt_private.after_jump(p.disconnected_at, jump)
		WHERE p.left_at IS NULL AND p.disconnected_at IS NOT NULL;
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.follow_clock() IS 'moves deadlines after the system clock was set; called before each check of a deadline';

CREATE FUNCTION rt_private.present_status(user_id text, chosen text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
	IF chosen = 'busy' THEN
		RETURN 'busy';
	END IF;
	RETURN coalesce((SELECT max(c.status) FROM rt_private.connections AS c WHERE c.user_id = present_status.user_id), 'online');
END
$$;

COMMENT ON FUNCTION rt_private.present_status(text, text) IS 'status of a connected user; relies on "online" sorting after "away"';

CREATE FUNCTION rt_private.set_all_statuses(user_id text, status text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt_private.connections AS c SET status = set_all_statuses.status
	WHERE c.user_id = set_all_statuses.user_id AND c.status <> set_all_statuses.status;
	UPDATE rt_private.sessions AS s SET status = set_all_statuses.status
	WHERE s.user_id = set_all_statuses.user_id AND s.status <> set_all_statuses.status;
END
$$;

COMMENT ON FUNCTION rt_private.set_all_statuses(text, text) IS 'sets the status of all connections of a user: online or away';

CREATE OR REPLACE FUNCTION rt_private.presence_before_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.status NOT IN ('offline', OLD.status) AND NEW.status <> rt_private.present_status(NEW.user_id, NEW.chosen) THEN
		NEW.chosen := NEW.status;
		NEW.busy_by := NULL;
		IF NEW.status <> 'busy' THEN
			PERFORM rt_private.set_all_statuses(NEW.user_id, NEW.status);
		END IF;
	END IF;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION rt_private.presence_before_update() IS 'stores the chosen status';

CREATE TRIGGER rt_before_update BEFORE UPDATE ON rt.presence FOR EACH ROW
	WHEN (NEW.status NOT IN ('offline', OLD.status) AND (OLD.status, NEW.status, NEW.chosen) <> ('offline', 'online', 'online'))
	EXECUTE FUNCTION rt_private.presence_before_update();

COMMENT ON TRIGGER rt_before_update ON rt.presence IS 'stores the chosen status';

CREATE FUNCTION rt_private.status_rooms(user_id text) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(m.room_id::text), '[]') FROM rt.room_members AS m
	WHERE m.user_id = status_rooms.user_id AND NOT rt_private.is_large(m.room_id)
$$;

COMMENT ON FUNCTION rt_private.status_rooms(text) IS 'the rooms whose members hear of a user''s status';

CREATE OR REPLACE FUNCTION rt_private.presence_after_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
SET enable_nestloop = on AS $$
DECLARE
	changed text[];
	came text[];
	most bigint := current_setting('rt.presence_room_limit')::bigint;
BEGIN
	IF TG_OP = 'INSERT' THEN
		SELECT array_agg(n.user_id) INTO changed FROM new_rows AS n WHERE n.status <> 'offline';
	ELSE
		SELECT array_agg(n.user_id), array_agg(n.user_id) FILTER (WHERE (o.status, n.status, n.chosen) = ('offline', 'online', 'online'))
		INTO changed, came FROM new_rows AS n JOIN old_rows AS o USING (user_id)
		WHERE o.status <> n.status OR o.status_message IS DISTINCT FROM n.status_message;
	END IF;
	IF changed IS NULL THEN
		RETURN NULL; -- as for each offline user that is deleted
	END IF;
	-- What rt_before_update left out.
	PERFORM rt_private.set_all_statuses(u.id, 'online') FROM unnest(came) AS u (id)
	WHERE (SELECT max(c.status) FROM rt_private.connections AS c WHERE c.user_id = u.id) = 'away';
	-- Rooms without a row in room_sizes have fewer than 200 members.
	PERFORM rt_private.emit('chat-user-status-update',
		(SELECT CASE WHEN count(*) > 50 THEN json_build_object('contacts', p.user_id)
				ELSE json_build_object('contacts', p.user_id, 'rooms', coalesce(json_agg(m.room_id::text) FILTER (
					WHERE NOT EXISTS (SELECT FROM rt_private.room_sizes AS s WHERE s.room_id = m.room_id AND s.members > most)
						AND (most >= 200 OR NOT rt_private.is_large(m.room_id))), '[]')) END
			FROM (SELECT t.room_id FROM rt.room_members AS t WHERE t.user_id = p.user_id LIMIT 51) AS m),
		json_build_object('userId', p.user_id, 'userName', u.name, 'status', p.status, 'isOnline', p.status <> 'offline',
			'lastSeen', rt_private.iso(p.last_seen), 'statusMessage', p.status_message, 'timestamp', rt_private.iso(clock_timestamp())), false)
	FROM unnest(changed) AS c (id) JOIN rt.presence AS p ON p.user_id = c.id JOIN rt.users AS u ON u.id = p.user_id;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.presence_after_change() IS 'tells users who share a room';

CREATE TRIGGER rt_after_insert AFTER INSERT ON rt.presence REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.presence_after_change();

COMMENT ON TRIGGER rt_after_insert ON rt.presence IS 'tells users who share a room';

CREATE TRIGGER rt_after_update AFTER UPDATE ON rt.presence REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.presence_after_change();

COMMENT ON TRIGGER rt_after_update ON rt.presence IS 'tells users who share a room';

CREATE UNLOGGED TABLE rt_private.room_presence (
	room_id bigint PRIMARY KEY,
	online bigint NOT NULL,
	told_at timestamptz NOT NULL
);

COMMENT ON TABLE rt_private.room_presence IS 'how many members of large rooms were online when it was told last; row 0: when all were looked at';

COMMENT ON COLUMN rt_private.room_presence.room_id IS 'the room';

COMMENT ON COLUMN rt_private.room_presence.online IS 'how many members were not offline';

COMMENT ON COLUMN rt_private.room_presence.told_at IS 'when they were counted';

CREATE FUNCTION rt_private.tell_large_rooms() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room record;
	n bigint;
	most bigint := current_setting('rt.presence_room_limit')::bigint;
BEGIN
	INSERT INTO rt_private.room_presence AS p VALUES (0, 0, clock_timestamp())
	ON CONFLICT ON CONSTRAINT room_presence_pkey DO UPDATE SET told_at = excluded.told_at WHERE p.told_at < excluded.told_at - interval '2 s';
	-- Rooms without a row in room_sizes have fewer than 200 members.
	IF NOT FOUND OR most >= 200 AND NOT EXISTS (SELECT FROM rt_private.room_sizes AS s WHERE s.members > most) THEN
		RETURN;
	END IF;
	FOR room IN SELECT r AS row, p.online FROM (SELECT DISTINCT j AS id FROM rt_private.sessions AS s, unnest(s.joined) AS j WHERE s.ended_at IS NULL) AS t
		JOIN rt.rooms AS r ON r.id = t.id LEFT JOIN rt_private.room_presence AS p ON p.room_id = r.id
		WHERE rt_private.is_large(r.id) ORDER BY p.told_at NULLS FIRST LIMIT 20
	LOOP
		SELECT count(*) INTO n FROM rt.room_members AS m JOIN rt.presence AS p ON p.user_id = m.user_id
		WHERE m.room_id = (room.row).id AND p.status <> 'offline';
		IF n IS DISTINCT FROM room.online THEN
			PERFORM rt_private.emit('chat-room-presence', rt_private.room_route((room.row).id),
				json_build_object('roomId', (room.row).id::text, 'onlineCount', n, 'memberCount', rt_private.member_count(room.row),
					'timestamp', rt_private.iso(clock_timestamp())), false, (room.row).id);
		END IF;
		INSERT INTO rt_private.room_presence AS p VALUES ((room.row).id, n, clock_timestamp())
		ON CONFLICT ON CONSTRAINT room_presence_pkey DO UPDATE SET online = excluded.online, told_at = excluded.told_at;
	END LOOP;
	DELETE FROM rt_private.room_presence AS p WHERE p.told_at < clock_timestamp() - interval '1 hour';
END
$$;

COMMENT ON FUNCTION rt_private.tell_large_rooms() IS 'tells large rooms how many of their members are online, where that has changed';

CREATE OR REPLACE FUNCTION rt_private.come_online(users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
	others text[];
BEGIN
	IF users IS NULL OR rt_private.is_foreign('rt.presence') THEN
		RETURN;
	END IF;
	WITH came AS (
		UPDATE rt.presence AS p SET last_seen = clock_timestamp(), status = CASE p.chosen WHEN 'online'
			THEN coalesce((SELECT max(c.status) FROM rt_private.connections AS c WHERE c.user_id = p.user_id), 'online') ELSE p.chosen END
		WHERE p.user_id = ANY (users) AND p.status = 'offline' RETURNING p.user_id
	)
	SELECT array_agg(o.id ORDER BY o.id) INTO others FROM (SELECT unnest(users) EXCEPT SELECT c.user_id FROM came AS c) AS o (id);
	IF others IS NULL THEN
		RETURN;
	END IF;
	INSERT INTO rt.presence AS p (user_id, status, last_seen)
	SELECT a.id, 'online', clock_timestamp() FROM unnest(others) AS a (id)
	ON CONFLICT (user_id) DO UPDATE SET status = CASE WHEN p.status = 'offline' AND p.chosen <> 'online' THEN p.chosen ELSE rt_private.present_status(p.user_id, p.chosen) END,
		last_seen = CASE p.status WHEN 'offline' THEN clock_timestamp() ELSE p.last_seen END
	WHERE p.status = 'offline' OR (p.status = 'away' AND rt_private.present_status(p.user_id, p.chosen) = 'online');
END
$$;

COMMENT ON FUNCTION rt_private.come_online(text[]) IS 'sets users online';

CREATE OR REPLACE FUNCTION rt_private.go_offline(users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.is_foreign('rt.presence') THEN
		RETURN;
	END IF;
	PERFORM FROM rt.presence AS p WHERE p.user_id = ANY (users) AND p.status <> 'offline' ORDER BY p.user_id FOR UPDATE;
	UPDATE rt.presence AS p SET status = 'offline', chosen = 'online', busy_by = NULL, last_seen = clock_timestamp()
	WHERE p.user_id = ANY (users) AND p.status <> 'offline'
		AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id);
END
$$;

COMMENT ON FUNCTION rt_private.go_offline(text[]) IS 'sets users without a connection offline';

CREATE FUNCTION rt_private.follow_connections(users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
	connected text[];
BEGIN
	IF rt_private.is_foreign('rt.presence') THEN
		RETURN;
	END IF;
	-- Of most the last connection has gone.  One that comes meanwhile sets the status itself.
	SELECT array_agg(u.id) INTO connected FROM unnest(users) AS u (id)
	WHERE EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = u.id OFFSET 0);
	IF connected IS NULL THEN
		RETURN;
	END IF;
	PERFORM FROM rt.presence AS p WHERE p.user_id = ANY (connected) AND p.status IN ('online', 'away') ORDER BY p.user_id FOR UPDATE;
	UPDATE rt.presence AS p SET status = rt_private.present_status(p.user_id, p.chosen)
	WHERE p.user_id = ANY (connected) AND p.status IN ('online', 'away') AND p.status <> rt_private.present_status(p.user_id, p.chosen)
		AND EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id);
END
$$;

COMMENT ON FUNCTION rt_private.follow_connections(text[]) IS 'derives users'' status from their connections';

CREATE FUNCTION rt_private.set_connection_status(sid text, user_id text, status text, status_message text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.presence;
	own_status text := CASE set_connection_status.status WHEN 'away' THEN 'away' ELSE 'online' END;
BEGIN
	SELECT t.* INTO p FROM rt.presence AS t WHERE t.user_id = set_connection_status.user_id FOR UPDATE;
	UPDATE rt_private.sessions AS s SET status = own_status
	WHERE s.sid = set_connection_status.sid AND s.user_id = set_connection_status.user_id AND s.status <> own_status;
	UPDATE rt_private.connections AS c SET status = own_status
	WHERE c.sid = set_connection_status.sid AND c.user_id = set_connection_status.user_id;
	IF NOT FOUND OR p.user_id IS NULL OR p.status = 'offline' THEN
		PERFORM rt.set_status(set_connection_status.user_id, set_connection_status.status, set_connection_status.status_message);
		RETURN;
	END IF;
	IF set_connection_status.status = 'busy' THEN
		p.chosen := 'busy';
		p.busy_by := set_connection_status.sid;
	ELSIF set_connection_status.status = 'online' OR p.busy_by IS NOT DISTINCT FROM set_connection_status.sid
		OR NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.sid = p.busy_by) THEN
		p.chosen := 'online';
		p.busy_by := NULL;
	END IF;
	UPDATE rt.presence AS t SET chosen = p.chosen, busy_by = p.busy_by, status_message = set_connection_status.status_message,
		status = rt_private.present_status(t.user_id, p.chosen)
	WHERE t.user_id = set_connection_status.user_id;
END
$$;

COMMENT ON FUNCTION rt_private.set_connection_status(text, text, text, text) IS 'sets the status of one connection';

CREATE OR REPLACE FUNCTION rt.set_status(user_id text, status text, status_message text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_self(set_status.user_id);
	IF set_status.status NOT IN ('online', 'away', 'busy') OR set_status.status IS NULL THEN
		RAISE EXCEPTION 'status must be one of online, away, busy' USING ERRCODE = 'RT400';
	END IF;
	PERFORM rt_private.check_users(ARRAY[set_status.user_id]);
	IF set_status.status <> 'busy' THEN
		PERFORM rt_private.set_all_statuses(set_status.user_id, set_status.status);
	END IF;
	INSERT INTO rt.presence AS p (user_id, chosen, status_message)
	VALUES (set_status.user_id, set_status.status, set_status.status_message)
	ON CONFLICT ON CONSTRAINT presence_pkey DO UPDATE SET chosen = set_status.status, busy_by = NULL, status_message = set_status.status_message,
		status = CASE WHEN p.status = 'offline' THEN 'offline' ELSE set_status.status END;
END
$$;

COMMENT ON FUNCTION rt.set_status(text, text, text) IS 'sets a user''s status while connected, and a status text';

COMMENT ON FUNCTION rt_private.users_before_delete() IS 'tells contacts that a user was deleted';

COMMENT ON TRIGGER rt_before_delete ON rt.users IS 'tells contacts that a user was deleted';

COMMENT ON FUNCTION rt_private.users_after_delete() IS 'closes connections of deleted users';

COMMENT ON TRIGGER rt_after_delete ON rt.users IS 'closes connections of deleted users';

CREATE TABLE rt.pins (
	room_id bigint NOT NULL,
	seq bigint NOT NULL,
	pinned_by text REFERENCES rt.users (id) ON DELETE SET NULL,
	pinned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (room_id, seq),
	FOREIGN KEY (room_id, seq) REFERENCES rt.messages (room_id, seq) ON DELETE CASCADE
);

CREATE INDEX pins_pinned_by_idx ON rt.pins (pinned_by);

COMMENT ON TABLE rt.pins IS 'pinned messages; INSERT and DELETE tell the room';

COMMENT ON COLUMN rt.pins.room_id IS 'the room';

COMMENT ON COLUMN rt.pins.seq IS 'the message';

COMMENT ON COLUMN rt.pins.pinned_by IS 'who pinned it';

COMMENT ON COLUMN rt.pins.pinned_at IS 'when it happened';

COMMENT ON INDEX rt.pins_pinned_by_idx IS 'used when a user is deleted';

SELECT pg_catalog.pg_extension_config_dump('rt.pins', '');

CREATE FUNCTION rt_private.pins_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	gone_at timestamptz;
BEGIN
	IF rt_private.is_applying() THEN
		RETURN NEW;
	END IF;
	SELECT m.deleted_at INTO gone_at FROM rt.messages AS m WHERE m.room_id = NEW.room_id AND m.seq = NEW.seq FOR SHARE;
	IF gone_at IS NOT NULL AND NEW.pinned_at >= now() THEN
		RAISE EXCEPTION 'message was deleted' USING ERRCODE = 'RT410';
	END IF;
	RETURN CASE WHEN gone_at IS NULL THEN NEW END;
END
$$;

COMMENT ON FUNCTION rt_private.pins_before_insert() IS 'refuses to pin a deleted message';

CREATE TRIGGER rt_before_insert BEFORE INSERT ON rt.pins FOR EACH ROW
	EXECUTE FUNCTION rt_private.pins_before_insert();

COMMENT ON TRIGGER rt_before_insert ON rt.pins IS 'refuses to pin a deleted message';

CREATE FUNCTION rt_private.pins_after_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.pins := CASE TG_OP WHEN 'INSERT' THEN NEW ELSE OLD END;
BEGIN
	IF EXISTS (SELECT FROM rt.messages AS m WHERE m.room_id = p.room_id AND m.seq = p.seq) THEN
		IF NOT rt_private.is_applying() THEN
			PERFORM rt_private.note_change(p.room_id, p.seq);
		END IF;
		PERFORM rt_private.message_event('chat-message-pinned', 'message-pinned', p.room_id, p.seq,
			jsonb_build_object('pinned', TG_OP = 'INSERT', 'by', CASE TG_OP WHEN 'INSERT' THEN coalesce(rt_private.actor(), p.pinned_by) ELSE rt_private.actor() END));
	END IF;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.pins_after_change() IS 'notes a change and emits chat-message-pinned';

CREATE TRIGGER rt_after_change AFTER INSERT OR DELETE ON rt.pins FOR EACH ROW
	EXECUTE FUNCTION rt_private.pins_after_change();

COMMENT ON TRIGGER rt_after_change ON rt.pins IS 'notes a change and emits chat-message-pinned';

CREATE CONSTRAINT TRIGGER rt_changed AFTER INSERT OR DELETE ON rt.pins DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	EXECUTE FUNCTION rt_private.row_changed();

COMMENT ON TRIGGER rt_changed ON rt.pins IS 'numbers an added or removed pin, which rt_after_change has noted';

COMMENT ON TABLE rt.threads IS 'messages with replies; maintained by triggers on rt.messages';

COMMENT ON COLUMN rt.threads.room_id IS 'the room';

COMMENT ON COLUMN rt.threads.seq IS 'the message that is replied to';

COMMENT ON COLUMN rt.threads.replies IS 'number of replies, without deleted ones';

COMMENT ON COLUMN rt.threads.last_reply_seq IS 'number of the latest reply';

COMMENT ON COLUMN rt.threads.last_reply_at IS 'when the latest reply was sent';

SELECT pg_catalog.pg_extension_config_dump('rt.threads', '');

DO $$
DECLARE
	name name;
BEGIN
	FOR name IN
		SELECT t.tgname FROM pg_catalog.pg_trigger AS t
		WHERE t.tgrelid OPERATOR(pg_catalog.=) 'rt.threads'::pg_catalog.regclass
			AND t.tgfoid OPERATOR(pg_catalog.=) 'pg_catalog."RI_FKey_check_upd"'::pg_catalog.regproc
	LOOP
		EXECUTE pg_catalog.format('ALTER TABLE rt.threads DISABLE TRIGGER %I', name);
	END LOOP;
END
$$;

CREATE FUNCTION rt_private.thread_place(room_id bigint, seq bigint) RETURNS tid
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_thread_place';

COMMENT ON FUNCTION rt_private.thread_place(bigint, bigint) IS 'where the transaction has written a thread''s row last';

CREATE FUNCTION rt_private.note_thread_place(room_id bigint, seq bigint, place tid) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_note_thread_place';

COMMENT ON FUNCTION rt_private.note_thread_place(bigint, bigint, tid) IS 'remembers where the transaction has written a thread''s row';

CREATE FUNCTION rt_private.on_reply(room_id bigint, seq bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	reply record;
	place tid;
	counted bigint;
BEGIN
	SELECT m.reply_to, m.created_at INTO reply FROM rt.messages AS m WHERE m.room_id = on_reply.room_id AND m.seq = on_reply.seq;
	IF reply.reply_to IS NULL THEN
		RETURN; -- a trigger was faster
	END IF;
	place := rt_private.thread_place(on_reply.room_id, reply.reply_to);
	IF place IS NOT NULL THEN
		UPDATE rt.threads AS t SET replies = t.replies + 1,
			last_reply_seq = greatest(t.last_reply_seq, on_reply.seq), last_reply_at = greatest(t.last_reply_at, reply.created_at)
		WHERE t.ctid = place AND t.room_id = on_reply.room_id AND t.seq = reply.reply_to
		RETURNING t.replies, t.ctid INTO counted, place;
	END IF;
	IF counted IS NULL THEN
		INSERT INTO rt.threads AS t (room_id, seq, replies, last_reply_seq, last_reply_at)
		VALUES (on_reply.room_id, reply.reply_to, 1, on_reply.seq, reply.created_at)
		ON CONFLICT ON CONSTRAINT threads_pkey DO UPDATE SET replies = t.replies + 1,
			last_reply_seq = greatest(t.last_reply_seq, excluded.last_reply_seq), last_reply_at = greatest(t.last_reply_at, excluded.last_reply_at)
		RETURNING t.replies, t.ctid INTO counted, place;
	END IF;
	IF counted > 1 THEN
		PERFORM rt_private.note_thread_place(on_reply.room_id, reply.reply_to, place);
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.on_reply(bigint, bigint) IS 'counts a reply';

CREATE FUNCTION rt_private.count_replies(room_id bigint, seq bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM rt.threads AS t WHERE t.room_id = count_replies.room_id AND t.seq = count_replies.seq FOR UPDATE;
	DELETE FROM rt.threads AS t WHERE t.room_id = count_replies.room_id AND t.seq = count_replies.seq;
	INSERT INTO rt.threads (room_id, seq, replies, last_reply_seq, last_reply_at)
	SELECT m.room_id, m.reply_to, count(*), max(m.seq), max(m.created_at) FROM rt.messages AS m
	WHERE m.room_id = count_replies.room_id AND m.reply_to = count_replies.seq AND m.deleted_at IS NULL
	GROUP BY m.room_id, m.reply_to;
END
$$;

COMMENT ON FUNCTION rt_private.count_replies(bigint, bigint) IS 'recounts the replies to a message';

CREATE FUNCTION rt_private.messages_unlink() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.deleted_at IS NOT NULL THEN
		DELETE FROM rt.pins AS p WHERE p.room_id = NEW.room_id AND p.seq = NEW.seq;
	END IF;
	IF OLD.reply_to IS NOT NULL THEN
		PERFORM rt_private.count_replies(OLD.room_id, OLD.reply_to);
	END IF;
	IF NEW.reply_to IS NOT NULL AND NEW.reply_to IS DISTINCT FROM OLD.reply_to THEN
		PERFORM rt_private.count_replies(NEW.room_id, NEW.reply_to);
	END IF;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.messages_unlink() IS 'updates pins and threads when a message is deleted or its reply_to changes';

CREATE TRIGGER rt_unlink AFTER UPDATE ON rt.messages FOR EACH ROW
	WHEN (OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.reply_to IS DISTINCT FROM NEW.reply_to)
	EXECUTE FUNCTION rt_private.messages_unlink();

COMMENT ON TRIGGER rt_unlink ON rt.messages IS 'updates pins and threads when a message is deleted or its reply_to changes';

CREATE FUNCTION rt_private.threads_after_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF current_setting('rt.suppress_events')::boolean THEN
		DELETE FROM rt.threads AS t USING gone AS g WHERE t.room_id = g.room_id AND t.seq = g.seq;
		DELETE FROM rt_private.room_changes AS c USING gone AS g WHERE c.room_id = g.room_id AND c.seq = g.seq;
		RETURN NULL;
	END IF;
	PERFORM rt_private.count_replies(g.room_id, g.reply_to) FROM (SELECT DISTINCT d.room_id, d.reply_to FROM gone AS d
		WHERE d.reply_to IS NOT NULL AND d.deleted_at IS NULL AND EXISTS (SELECT FROM rt.rooms AS r WHERE r.id = d.room_id)
		ORDER BY d.room_id, d.reply_to) AS g;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.threads_after_delete() IS 'recounts replies when some were deleted';

CREATE TRIGGER rt_threads_after_delete AFTER DELETE ON rt.messages REFERENCING OLD TABLE AS gone FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.threads_after_delete();

COMMENT ON TRIGGER rt_threads_after_delete ON rt.messages IS 'recounts replies when some were deleted';

CREATE FUNCTION rt_private.notification_level(m rt.room_members) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('level', m.notify, 'mutedUntil', rt_private.iso(m.muted_until));
END
$$;

COMMENT ON FUNCTION rt_private.notification_level(rt.room_members) IS 'a member''s notification level';

CREATE FUNCTION rt_private.level_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit('chat-room-notifications', json_build_object('users', ARRAY[NEW.user_id]),
		json_build_object('roomId', NEW.room_id::text, 'level', NEW.notify, 'mutedUntil', rt_private.iso(NEW.muted_until),
			'timestamp', rt_private.iso(clock_timestamp())), true, NEW.room_id);
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.level_changed() IS 'tells all sockets of a user about the notification level of a room';

CREATE TRIGGER rt_level_changed AFTER UPDATE ON rt.room_members FOR EACH ROW
	WHEN (OLD.notify IS DISTINCT FROM NEW.notify OR OLD.muted_until IS DISTINCT FROM NEW.muted_until)
	EXECUTE FUNCTION rt_private.level_changed();

COMMENT ON TRIGGER rt_level_changed ON rt.room_members IS 'tells all sockets of a user about the notification level of a room';

CREATE FUNCTION rt.set_notifications(room bigint, user_id text, level text, muted_until timestamptz DEFAULT NULL) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.room_members;
BEGIN
	PERFORM rt_private.check_self(set_notifications.user_id);
	IF set_notifications.level NOT IN ('all', 'mentions', 'none') OR set_notifications.level IS NULL THEN
		RAISE EXCEPTION 'level must be one of all, mentions, none' USING ERRCODE = 'RT400';
	END IF;
	m := rt_private.lock_member(room, set_notifications.user_id);
	UPDATE rt.room_members AS t SET notify = set_notifications.level, muted_until = set_notifications.muted_until
	WHERE t.room_id = m.room_id AND t.user_id = m.user_id RETURNING t.* INTO m;
	RETURN rt_private.notification_level(m);
END
$$;

COMMENT ON FUNCTION rt.set_notifications(bigint, text, text, timestamptz) IS
	'sets which messages of a room notify a member, and until when the member has muted the room';

CREATE FUNCTION rt_private.may_send(room_id bigint, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce((SELECT rt_private.send_refusal(r, may_send.user_id) IS NULL FROM rt.rooms AS r WHERE r.id = may_send.room_id), false);
END
$$;

COMMENT ON FUNCTION rt_private.may_send(bigint, text) IS 'whether a user may send messages to a room';

CREATE FUNCTION rt_private.may_pin(room_id bigint, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (SELECT FROM rt.rooms AS r JOIN rt.room_members AS m ON m.room_id = r.id
		WHERE r.id = may_pin.room_id AND m.user_id = may_pin.user_id AND NOT r.archived AND (r.who_may_pin = 'members' OR m.role = 'admin'));
END
$$;

COMMENT ON FUNCTION rt_private.may_pin(bigint, text) IS 'whether a user may pin messages of a room';

CREATE FUNCTION rt_private.may_touch(room_id bigint, seq bigint, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (SELECT FROM rt.rooms AS r JOIN rt.room_members AS m ON m.room_id = r.id
		WHERE r.id = may_touch.room_id AND m.user_id = may_touch.user_id AND NOT r.archived AND (r.history = 'all' OR may_touch.seq > m.first_seq));
END
$$;

COMMENT ON FUNCTION rt_private.may_touch(bigint, bigint, text) IS 'whether a user may edit, react to or pin a message: it is not hidden, and its room is not archived';

CREATE FUNCTION rt_private.may_add_as(room_id bigint, actor text, user_id text, role text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (SELECT FROM rt.rooms AS r JOIN rt.room_members AS m ON m.room_id = r.id
			WHERE r.id = may_add_as.room_id AND m.user_id = may_add_as.actor
				AND (m.role = 'admin' OR (r.who_may_add = 'members' AND may_add_as.role = 'member')))
		AND rt_private.may_add(may_add_as.actor, may_add_as.user_id) AND NOT rt_private.has_blocked(may_add_as.user_id, may_add_as.actor);
END
$$;

COMMENT ON FUNCTION rt_private.may_add_as(bigint, text, text, text) IS 'whether one user may add another to a room, in a role';

CREATE FUNCTION rt_private.own_hidden() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(jsonb_object_agg(m.room_id::text, m.first_seq), '{}') FROM rt.room_members AS m JOIN rt.rooms AS r ON r.id = m.room_id
	WHERE m.user_id = rt_private.actor() AND r.history = 'joined'
$$;

COMMENT ON FUNCTION rt_private.own_hidden() IS 'rooms that hide older messages from the acting user, with the last hidden message';

CREATE VIEW rt_private.unread AS
	SELECT m.room_id, m.user_id, m AS m,
		(SELECT count(*) FROM (SELECT FROM rt.messages AS t
			WHERE t.room_id = m.room_id AND t.seq > m.last_read_seq AND t.sender_id IS DISTINCT FROM m.user_id AND t.deleted_at IS NULL
			LIMIT 1000) AS few) AS messages,
		(SELECT count(*) FROM (
			SELECT t.seq FROM rt_private.mentions AS t
			WHERE t.user_id = m.user_id AND t.room_id = m.room_id AND t.seq > m.last_read_seq
			UNION
			SELECT a.seq FROM rt_private.mentions_all AS a JOIN rt.messages AS s ON s.room_id = a.room_id AND s.seq = a.seq
			WHERE a.room_id = m.room_id AND a.seq > greatest(m.last_read_seq, m.first_seq) AND s.sender_id IS DISTINCT FROM m.user_id
				AND NOT EXISTS (SELECT FROM rt.blocks AS b WHERE b.user_id = m.user_id AND b.blocked_id = s.sender_id)
			LIMIT 1000) AS few) AS mentions
	FROM rt.room_members AS m;

COMMENT ON VIEW rt_private.unread IS 'what members have not read, counted up to 1,000';

COMMENT ON COLUMN rt_private.unread.room_id IS 'the room';

COMMENT ON COLUMN rt_private.unread.user_id IS 'the member';

COMMENT ON COLUMN rt_private.unread.m IS 'the membership';

COMMENT ON COLUMN rt_private.unread.messages IS 'unread messages, without own and deleted ones';

COMMENT ON COLUMN rt_private.unread.mentions IS 'unread messages that mention the member';

CREATE FUNCTION rt_private.read_state(m rt.room_members) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT json_build_object('roomId', m.room_id::text, 'lastReadSeq', m.last_read_seq, 'unreadCount', u.messages,
			'mentionCount', u.mentions, 'lastSeq', rt_private.last_seq(r.id, r.last_seq), 'timestamp', rt_private.iso(clock_timestamp()))
		FROM rt_private.unread AS u JOIN rt.rooms AS r ON r.id = u.room_id WHERE u.room_id = m.room_id AND u.user_id = m.user_id);
END
$$;

COMMENT ON FUNCTION rt_private.read_state(rt.room_members) IS 'chat-read-state';

CREATE FUNCTION rt_private.mark_moved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit('chat-read-state', json_build_object('users', ARRAY[NEW.user_id]), rt_private.read_state(NEW), true, NEW.room_id);
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.mark_moved() IS 'tells all sockets of a user that the read mark has moved';

CREATE TRIGGER rt_mark_moved AFTER UPDATE ON rt.room_members FOR EACH ROW
	WHEN (OLD.last_read_seq IS DISTINCT FROM NEW.last_read_seq)
	EXECUTE FUNCTION rt_private.mark_moved();

COMMENT ON TRIGGER rt_mark_moved ON rt.room_members IS 'tells all sockets of a user that the read mark has moved';

CREATE FUNCTION rt.set_read(room bigint, user_id text, seq bigint) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.room_members;
	r rt.rooms;
	last bigint;
BEGIN
	PERFORM rt_private.check_self(set_read.user_id);
	IF set_read.seq IS NULL OR set_read.seq < 0 THEN
		RAISE EXCEPTION 'seq must be a number' USING ERRCODE = 'RT400';
	END IF;
	SELECT t.* INTO r FROM rt.rooms AS t WHERE t.id = room;
	last := least(set_read.seq, rt_private.last_seq(r.id, r.last_seq));
	-- Not locked before: see lock_member().
	UPDATE rt.room_members AS t SET last_read_seq = greatest(last, CASE WHEN r.history = 'joined' THEN t.first_seq ELSE 0 END)
	WHERE t.room_id = room AND t.user_id = set_read.user_id
		AND t.last_read_seq <> greatest(last, CASE WHEN r.history = 'joined' THEN t.first_seq ELSE 0 END)
	RETURNING t.* INTO m;
	IF NOT FOUND THEN
		m := rt_private.lock_member(room, set_read.user_id);
	END IF;
	RETURN rt_private.read_state(m);
END
$$;

COMMENT ON FUNCTION rt.set_read(bigint, text, bigint) IS 'sets a member''s read mark, forwards or backwards, at most to the last message';

COMMENT ON INDEX rt.meetings_started_by IS 'used when a user is deleted';

COMMENT ON TABLE rt.meetings IS 'meetings; participants get an event for each change';

COMMENT ON COLUMN rt.meetings.created_at IS 'when it was created';

COMMENT ON COLUMN rt.meetings.ended_at IS 'when it ended; null if not yet';

COMMENT ON COLUMN rt.meetings.started_at IS 'when it became live; null if not yet';

COMMENT ON COLUMN rt.meetings.title IS 'the title';

COMMENT ON COLUMN rt.meetings.host_id IS 'the owner, who is host when present';

COMMENT ON COLUMN rt.meetings.room_id IS 'the chat room it belongs to; null if none';

COMMENT ON COLUMN rt.meetings.max_participants IS 'maximum number of participants, including those whose place is kept';

COMMENT ON COLUMN rt.meetings.locked IS 'only the host may join; participants who dropped may return';

COMMENT ON COLUMN rt.meetings.guests IS 'people without an account may join by the meeting''s link; only with access for anyone';

COMMENT ON COLUMN rt.meetings.lobby IS 'joining users wait until a host admits them; turning it off admits all who wait';

COMMENT ON COLUMN rt.meetings.recording IS 'whether a recording is running; maintained by rt.meeting_recordings';

COMMENT ON INDEX rt.meetings_ended_by IS 'used when a user is deleted';

COMMENT ON TABLE rt.meeting_invitees IS 'users who are invited to a meeting; inviting a removed user lifts the ban';

COMMENT ON COLUMN rt.meeting_invitees.invited_at IS 'when it happened';

COMMENT ON COLUMN rt.meeting_invitees.invited_by IS 'the user who did it';

COMMENT ON COLUMN rt.meeting_invitees.role IS 'role at the first join';

COMMENT ON INDEX rt.meeting_invitees_invited_by IS 'used when a user is deleted';

COMMENT ON INDEX rt.meeting_bans_user IS 'used when a user is deleted';

COMMENT ON TABLE rt.meeting_bans IS 'users who were removed from a meeting and may not return unless invited again';

COMMENT ON COLUMN rt.meeting_bans.banned_at IS 'when it happened';

COMMENT ON COLUMN rt.meeting_bans.banned_by IS 'the user who did it';

COMMENT ON COLUMN rt.meeting_bans.reason IS 'the reason given';

COMMENT ON COLUMN rt.meeting_bans.user_id IS 'the banned user';

COMMENT ON INDEX rt.meeting_bans_banned_by IS 'used when a user is deleted';

COMMENT ON INDEX rt.meeting_participants_live IS 'a socket is in a meeting at most once';

COMMENT ON INDEX rt.meeting_participants_socket IS 'finds the places of a socket';

COMMENT ON INDEX rt.meeting_participants_user IS 'finds a user''s places in a meeting';

COMMENT ON INDEX rt.meeting_participants_removed_by IS 'used when a user is deleted';

COMMENT ON INDEX rt.meeting_participants_grace IS 'finds places kept for dropped participants';

COMMENT ON TABLE rt.meeting_participants IS 'current and past participants of meetings: one row for each socket that joined';

COMMENT ON COLUMN rt.meeting_participants.audio IS 'whether the client has reported its microphone as on';

COMMENT ON COLUMN rt.meeting_participants.display_name IS 'display name; default: the user''s name';

COMMENT ON COLUMN rt.meeting_participants.guest IS 'whether it is a guest; set by a trigger';

COMMENT ON COLUMN rt.meeting_participants.screen_sharing IS 'whether the client has reported that it shares its screen';

COMMENT ON COLUMN rt.meeting_participants.video_muted IS 'camera muted by a host; the media worker drops the stream';

COMMENT ON COLUMN rt.meeting_participants.video IS 'whether the client has reported its camera as on';

COMMENT ON COLUMN rt.meeting_participants.audio_muted IS 'muted by a host; the media worker drops the stream';

COMMENT ON COLUMN rt.meeting_participants.hand_raised_at IS 'since when the hand is raised; null if it is not';

COMMENT ON COLUMN rt.meeting_participants.left_at IS 'when the participant left; null while present or while the place is kept. Set it to remove a participant';

COMMENT ON COLUMN rt.meeting_participants.left_reason IS 'left, disconnected (grace period over), removed (and banned) or ended';

COMMENT ON COLUMN rt.meeting_participants.socket_id IS 'the participant''s socket';

COMMENT ON COLUMN rt.meeting_participants.gateway IS 'the gateway of that socket';

COMMENT ON COLUMN rt.meeting_participants.disconnected_at IS 'when the socket dropped; the place is kept for rt.meeting_grace';

COMMENT ON INDEX rt.meeting_participants_gateway IS 'finds what a dead gateway had';

COMMENT ON INDEX rt.meeting_messages_sender IS 'used when a user is deleted';

COMMENT ON INDEX rt.meeting_messages_recipient IS 'used when a user is deleted';

COMMENT ON INDEX rt.meeting_recordings_running IS 'a meeting has at most one running recording';

COMMENT ON INDEX rt.meeting_recordings_started_by IS 'used when a user is deleted';

COMMENT ON TABLE rt.meeting_recordings IS 'recordings of meetings, at most one at a time for each; recorders may write here';

COMMENT ON COLUMN rt.meeting_recordings.location IS 'where the recorder stored it';

COMMENT ON INDEX rt.meeting_recordings_stopped_by IS 'used when a user is deleted';

COMMENT ON TABLE rt.ice_servers IS 'STUN and TURN servers for clients in meetings; none needed if they can reach the media port';

COMMENT ON COLUMN rt.ice_servers.credential IS 'its password';

COMMENT ON COLUMN rt.ice_servers.username IS 'its username';

CREATE OR REPLACE FUNCTION rt_private.meeting_permissions(role text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE meeting_permissions.role
		WHEN 'host' THEN ARRAY['chat', 'react', 'raise-hand', 'produce', 'consume', 'mute', 'remove', 'role', 'lock', 'end', 'record']
		WHEN 'co-host' THEN ARRAY['chat', 'react', 'raise-hand', 'produce', 'consume', 'mute', 'remove']
		WHEN 'participant' THEN ARRAY['chat', 'react', 'raise-hand', 'produce', 'consume']
		WHEN 'viewer' THEN ARRAY['chat', 'react', 'raise-hand', 'consume']
	END;

COMMENT ON FUNCTION rt_private.meeting_permissions(text) IS 'what a role may do in a meeting; the only definition';

CREATE TABLE rt_private.guests (
	user_id text PRIMARY KEY REFERENCES rt.users ON DELETE CASCADE ON UPDATE CASCADE,
	meeting_id bigint NOT NULL,
	password_hash text,
	until timestamptz NOT NULL,
	CONSTRAINT guests_id CHECK (starts_with(user_id, 'guest-'))
);

CREATE INDEX guests_meeting ON rt_private.guests (meeting_id);

CREATE INDEX guests_until ON rt_private.guests (until);

COMMENT ON TABLE rt_private.guests IS 'users who are guests of one meeting';

COMMENT ON COLUMN rt_private.guests.user_id IS 'the user';

COMMENT ON COLUMN rt_private.guests.meeting_id IS 'the only meeting open to the guest';

COMMENT ON COLUMN rt_private.guests.password_hash IS 'the meeting''s password hash when the guest gave the password, which is not asked for again';

COMMENT ON COLUMN rt_private.guests.until IS 'when their token expires; an hour after that the user is removed';

COMMENT ON INDEX rt_private.guests_meeting IS 'the guests of a meeting';

COMMENT ON INDEX rt_private.guests_until IS 'removing guests';

SELECT pg_catalog.pg_extension_config_dump('rt_private.guests', '');

CREATE FUNCTION rt_private.is_guest(user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce(starts_with(is_guest.user_id, 'guest-'), false)
		AND EXISTS (SELECT FROM rt_private.guests AS g WHERE g.user_id = is_guest.user_id);
END
$$;

COMMENT ON FUNCTION rt_private.is_guest(text) IS 'whether a user is the guest of a meeting';

CREATE FUNCTION rt_private.refuse_guest(user_id text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.is_guest(user_id) THEN
		RAISE EXCEPTION 'guests can only take part in their meeting' USING ERRCODE = 'RT403';
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.refuse_guest(text) IS 'refuses a guest of a meeting';

CREATE FUNCTION rt_private.keep_guests_out() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.is_guest(to_jsonb(NEW) ->> TG_ARGV[0]) THEN
		RAISE EXCEPTION 'user not found' USING ERRCODE = 'RT404', DETAIL = 'This user is the guest of a meeting.';
	END IF;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION rt_private.keep_guests_out() IS 'refuses guests in this table';

CREATE TRIGGER keep_guests_out BEFORE INSERT ON rt.room_members
	FOR EACH ROW WHEN (starts_with(NEW.user_id, 'guest-')) EXECUTE FUNCTION rt_private.keep_guests_out('user_id');

COMMENT ON TRIGGER keep_guests_out ON rt.room_members IS 'refuses guests in rooms';

CREATE TRIGGER keep_guests_out BEFORE INSERT OR UPDATE OF user_id ON rt.room_invitations
	FOR EACH ROW WHEN (starts_with(NEW.user_id, 'guest-')) EXECUTE FUNCTION rt_private.keep_guests_out('user_id');

COMMENT ON TRIGGER keep_guests_out ON rt.room_invitations IS 'refuses invitations of guests';

CREATE TRIGGER keep_guests_out BEFORE INSERT OR UPDATE OF user_id ON rt.meeting_invitees
	FOR EACH ROW WHEN (starts_with(NEW.user_id, 'guest-')) EXECUTE FUNCTION rt_private.keep_guests_out('user_id');

COMMENT ON TRIGGER keep_guests_out ON rt.meeting_invitees IS 'refuses invitations of guests';

CREATE TRIGGER keep_guests_out BEFORE INSERT OR UPDATE OF host_id ON rt.meetings
	FOR EACH ROW WHEN (starts_with(NEW.host_id, 'guest-')) EXECUTE FUNCTION rt_private.keep_guests_out('host_id');

COMMENT ON TRIGGER keep_guests_out ON rt.meetings IS 'refuses guests as hosts';

CREATE TRIGGER keep_guests_out BEFORE INSERT OR UPDATE OF blocked_id ON rt.blocks
	FOR EACH ROW WHEN (starts_with(NEW.blocked_id, 'guest-')) EXECUTE FUNCTION rt_private.keep_guests_out('blocked_id');

COMMENT ON TRIGGER keep_guests_out ON rt.blocks IS 'refuses blocks of guests';

CREATE FUNCTION rt_private.guests_go_home(meeting_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt.sessions AS s SET revoked_at = clock_timestamp()
	FROM rt_private.guests AS g
	WHERE g.meeting_id = guests_go_home.meeting_id AND s.user_id = g.user_id AND s.revoked_at IS NULL;
	UPDATE rt_private.guests AS g SET until = least(g.until, clock_timestamp()) WHERE g.meeting_id = guests_go_home.meeting_id;
END
$$;

COMMENT ON FUNCTION rt_private.guests_go_home(bigint) IS 'ends the tokens of a meeting''s guests';

CREATE FUNCTION rt_private.meeting_guests_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.guests_go_home(OLD.id);
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_guests_end() IS 'ends a meeting''s guests when it ends';

CREATE TRIGGER meetings_guests_end AFTER UPDATE OF status ON rt.meetings
	FOR EACH ROW WHEN (NEW.status = 'ended' AND OLD.status <> 'ended') EXECUTE FUNCTION rt_private.meeting_guests_end();

COMMENT ON TRIGGER meetings_guests_end ON rt.meetings IS 'ends a meeting''s guests when it ends';

CREATE TRIGGER meetings_guests_deleted AFTER DELETE ON rt.meetings
	FOR EACH ROW EXECUTE FUNCTION rt_private.meeting_guests_end();

COMMENT ON TRIGGER meetings_guests_deleted ON rt.meetings IS 'ends a meeting''s guests when it ends';

CREATE FUNCTION rt_private.sweep_guests() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.is_foreign('rt.users') THEN
		DELETE FROM rt.users AS u WHERE u.id IN (SELECT g.user_id FROM rt_private.guests AS g
			WHERE g.until < clock_timestamp() - interval '1 hour' ORDER BY g.until LIMIT 100);
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.sweep_guests() IS 'removes guests whose token expired an hour ago';

CREATE FUNCTION rt_private.quota(what text) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(current_setting(format('rt.max_%s_per_user', what), true)::integer, CASE what WHEN 'meetings' THEN 100 WHEN 'consumers' THEN 4000 ELSE 64 END)
$$;

COMMENT ON FUNCTION rt_private.quota(text) IS 'how many meetings, transports, producers or consumers one user may have';

CREATE FUNCTION rt_private.lock_user(user_id text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM rt.users AS u WHERE u.id = lock_user.user_id FOR NO KEY UPDATE;
END
$$;

COMMENT ON FUNCTION rt_private.lock_user(text) IS 'lets one transaction at a time count what a user has';

CREATE FUNCTION rt_private.check_quota(held bigint, what text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF held >= rt_private.quota(what) THEN
		RAISE EXCEPTION 'a user can have % % at most', rt_private.quota(what), what USING ERRCODE = 'RT429';
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.check_quota(bigint, text) IS 'refuses what exceeds a user''s quota';

CREATE INDEX meetings_host_open ON rt.meetings (host_id) WHERE status <> 'ended';

COMMENT ON INDEX rt.meetings_host_open IS 'counting a user''s meetings';

CREATE INDEX meeting_participants_user_now ON rt.meeting_participants (user_id) WHERE left_at IS NULL;

COMMENT ON INDEX rt.meeting_participants_user_now IS 'counting a user''s transports and producers';

CREATE FUNCTION rt_private.meetings_quota() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.host_id IS NOT NULL AND NEW.status <> 'ended' AND NOT rt_private.trusted() THEN
		PERFORM rt_private.lock_user(NEW.host_id);
		PERFORM rt_private.check_quota((SELECT count(*) FROM rt.meetings AS m
			WHERE m.host_id = NEW.host_id AND m.status <> 'ended'), 'meetings');
	END IF;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION rt_private.meetings_quota() IS 'refuses more meetings than rt.max_meetings_per_user';

CREATE TRIGGER meetings_quota BEFORE INSERT ON rt.meetings
	FOR EACH ROW EXECUTE FUNCTION rt_private.meetings_quota();

COMMENT ON TRIGGER meetings_quota ON rt.meetings IS 'refuses more meetings than rt.max_meetings_per_user';

CREATE FUNCTION rt_private.check_transports(actor text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.lock_user(actor);
	PERFORM rt_private.check_quota((SELECT count(*) FROM rt.meeting_participants AS p
		JOIN rt_private.media_transports AS t ON t.participant_id = p.id
		JOIN rt_private.media_routers AS r ON r.id = t.router_id -- while a meeting moves, those of its former router do not count
		WHERE p.user_id = actor AND p.left_at IS NULL), 'transports');
END
$$;

COMMENT ON FUNCTION rt_private.check_transports(text) IS 'refuses more transports than rt.max_transports_per_user';

CREATE FUNCTION rt_private.check_producers(actor text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	held bigint;
BEGIN
	PERFORM rt_private.lock_user(actor);
	WITH here AS (SELECT p.id FROM rt.meeting_participants AS p WHERE p.user_id = actor AND p.left_at IS NULL)
	SELECT count(*) INTO held FROM (
		SELECT d.id FROM here JOIN rt_private.media_producers AS d ON d.participant_id = here.id
			JOIN rt_private.media_routers AS r ON r.meeting_id = d.meeting_id AND r.worker = d.worker
		UNION SELECT r.object_id FROM here JOIN rt_private.media_requests AS r ON r.participant_id = here.id
			WHERE r.op = 'produce' AND r.answer IS NULL) AS all_of_them;
	PERFORM rt_private.check_quota(held, 'producers');
END
$$;

COMMENT ON FUNCTION rt_private.check_producers(text) IS 'refuses more producers than rt.max_producers_per_user';

CREATE FUNCTION rt_private.check_consumers(actor text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	held bigint;
BEGIN
	WITH here AS (SELECT p.id FROM rt.meeting_participants AS p WHERE p.user_id = actor AND p.left_at IS NULL)
	SELECT (SELECT count(*) FROM here JOIN rt_private.media_transports AS t ON t.participant_id = here.id
			JOIN rt_private.media_routers AS r ON r.id = t.router_id
			JOIN rt_private.media_consumers AS c ON c.transport_id = t.id)
		+ (SELECT count(*) FROM here JOIN rt_private.media_requests AS q ON q.participant_id = here.id
			WHERE q.op = 'consume' AND q.answer IS NULL) INTO held;
	PERFORM rt_private.check_quota(held, 'consumers');
END
$$;

COMMENT ON FUNCTION rt_private.check_consumers(text) IS 'refuses more consumers than rt.max_consumers_per_user';

CREATE TABLE rt.meeting_waiting (
	id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	meeting_id bigint NOT NULL REFERENCES rt.meetings (id) ON DELETE CASCADE,
	user_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	display_name text NOT NULL,
	status text NOT NULL DEFAULT 'waiting',
	asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	decided_at timestamptz,
	decided_by text REFERENCES rt.users (id) ON DELETE SET NULL,
	socket_id text,
	CONSTRAINT meeting_waiting_user UNIQUE (meeting_id, user_id),
	CONSTRAINT meeting_waiting_status CHECK (status IN ('waiting', 'admitted', 'refused')),
	CONSTRAINT meeting_waiting_name_length CHECK (octet_length(display_name) BETWEEN 1 AND 512)
);

CREATE INDEX meeting_waiting_of_user ON rt.meeting_waiting (user_id);

CREATE INDEX meeting_waiting_decided_by ON rt.meeting_waiting (decided_by) WHERE decided_by IS NOT NULL;

CREATE INDEX meeting_waiting_socket ON rt.meeting_waiting (socket_id) WHERE status = 'waiting';

COMMENT ON TABLE rt.meeting_waiting IS 'people in the lobby of a meeting, and decisions on them';

COMMENT ON SEQUENCE rt.meeting_waiting_id_seq IS 'ids of rt.meeting_waiting';

COMMENT ON COLUMN rt.meeting_waiting.id IS 'waitingId on the wire';

COMMENT ON COLUMN rt.meeting_waiting.meeting_id IS 'the meeting';

COMMENT ON COLUMN rt.meeting_waiting.user_id IS 'the user who wants to join';

COMMENT ON COLUMN rt.meeting_waiting.display_name IS 'the name that hosts see';

COMMENT ON COLUMN rt.meeting_waiting.status IS 'waiting; admitted, and may join; refused, and may ask again after half a minute';

COMMENT ON COLUMN rt.meeting_waiting.asked_at IS 'since when the user waits';

COMMENT ON COLUMN rt.meeting_waiting.decided_at IS 'when they were admitted or refused';

COMMENT ON COLUMN rt.meeting_waiting.decided_by IS 'who decided; null: plain SQL, or the lobby was turned off';

COMMENT ON COLUMN rt.meeting_waiting.socket_id IS 'the socket that waits';

COMMENT ON INDEX rt.meeting_waiting_of_user IS 'used when a user is deleted';

COMMENT ON INDEX rt.meeting_waiting_decided_by IS 'used when a user is deleted';

COMMENT ON INDEX rt.meeting_waiting_socket IS 'sockets that drop';

SELECT pg_catalog.pg_extension_config_dump('rt.meeting_waiting', 'WHERE status <> ''waiting''');

SELECT pg_catalog.pg_extension_config_dump('rt.meeting_waiting_id_seq', '');

CREATE FUNCTION rt_private.meeting_doorkeepers(meeting_id bigint) RETURNS bigint[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(p.id ORDER BY p.id) FROM rt.meeting_participants AS p
	WHERE p.meeting_id = meeting_doorkeepers.meeting_id AND p.left_at IS NULL AND 'remove' = ANY (rt_private.meeting_permissions(p.role))
$$;

COMMENT ON FUNCTION rt_private.meeting_doorkeepers(bigint) IS 'participants who manage the lobby: those who may remove others';

CREATE FUNCTION rt_private.waiting_json(w rt.meeting_waiting) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('meetingId', w.meeting_id::text, 'waitingId', w.id::text, 'userId', w.user_id, 'userName', w.display_name,
		'guest', rt_private.is_guest(w.user_id), 'timestamp', rt_private.iso(w.asked_at));
END
$$;

COMMENT ON FUNCTION rt_private.waiting_json(rt.meeting_waiting) IS 'somebody in the lobby, as hosts see them';

CREATE FUNCTION rt_private.lobby_json(p rt.meeting_participants) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN 'remove' = ANY (rt_private.meeting_permissions(p.role)) THEN (
		SELECT coalesce(json_agg(rt_private.waiting_json(w) ORDER BY w.id), '[]') FROM rt.meeting_waiting AS w
		WHERE w.meeting_id = p.meeting_id AND w.status = 'waiting') END;
END
$$;

COMMENT ON FUNCTION rt_private.lobby_json(rt.meeting_participants) IS 'who waits, for a host or co-host';

CREATE FUNCTION rt_private.lobby_emit(event text, w rt.meeting_waiting, payload json) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	doorkeepers bigint[] := rt_private.meeting_doorkeepers(w.meeting_id);
BEGIN
	IF doorkeepers IS NOT NULL THEN
		PERFORM rt_private.meeting_emit(lobby_emit.event, w.meeting_id, payload, participants => doorkeepers);
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.lobby_emit(text, rt.meeting_waiting, json) IS 'emits an event to the hosts and co-hosts who are in the meeting';

CREATE FUNCTION rt_private.lobby_left(w rt.meeting_waiting, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.lobby_emit('participant-waiting-left', w, json_build_object('meetingId', w.meeting_id::text,
		'waitingId', w.id::text, 'userName', w.display_name, 'reason', lobby_left.reason));
END
$$;

COMMENT ON FUNCTION rt_private.lobby_left(rt.meeting_waiting, text) IS 'tells the hosts that somebody no longer waits';

CREATE FUNCTION rt_private.waiting_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.status = 'waiting' THEN
		PERFORM rt_private.lobby_emit('participant-waiting', NEW, rt_private.waiting_json(NEW));
		RETURN NULL;
	END IF;
	PERFORM rt_private.emit(CASE NEW.status WHEN 'admitted' THEN 'meeting-admitted' ELSE 'meeting-refused' END,
		json_build_object('users', ARRAY[NEW.user_id]), json_build_object('meetingId', NEW.meeting_id::text), true);
	PERFORM rt_private.lobby_left(NEW, NEW.status);
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.waiting_changed() IS 'tells hosts who waits, and tells waiting users the decision';

CREATE TRIGGER waiting_asked AFTER INSERT ON rt.meeting_waiting
	FOR EACH ROW WHEN (NEW.status = 'waiting') EXECUTE FUNCTION rt_private.waiting_changed();

COMMENT ON TRIGGER waiting_asked ON rt.meeting_waiting IS 'emits participant-waiting';

CREATE TRIGGER waiting_changed AFTER UPDATE ON rt.meeting_waiting
	FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION rt_private.waiting_changed();

COMMENT ON TRIGGER waiting_changed ON rt.meeting_waiting IS 'emits participant-waiting, meeting-admitted or meeting-refused';

CREATE FUNCTION rt_private.waiting_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.lobby_left(OLD, 'left');
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.waiting_gone() IS 'emits participant-waiting-left';

CREATE TRIGGER waiting_gone AFTER DELETE ON rt.meeting_waiting
	FOR EACH ROW WHEN (OLD.status = 'waiting') EXECUTE FUNCTION rt_private.waiting_gone();

COMMENT ON TRIGGER waiting_gone ON rt.meeting_waiting IS 'emits participant-waiting-left';

CREATE FUNCTION rt_private.lobby_end(m rt.meetings) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	users text[];
BEGIN
	WITH gone AS (DELETE FROM rt.meeting_waiting AS w WHERE w.meeting_id = m.id RETURNING w.user_id, w.status)
	SELECT array_agg(g.user_id) INTO users FROM gone AS g WHERE g.status = 'waiting';
	IF users IS NOT NULL THEN
		PERFORM rt_private.emit('meeting-ended', json_build_object('users', users),
			json_build_object('meetingId', m.id::text, 'meeting', rt_private.meeting_json(m)), true);
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.lobby_end(rt.meetings) IS 'tells those who wait that the meeting has ended';

CREATE FUNCTION rt_private.lobby_opened() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt.meeting_waiting AS w SET status = 'admitted', decided_at = clock_timestamp()
	WHERE w.meeting_id = NEW.id AND w.status = 'waiting';
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.lobby_opened() IS 'admits all who wait when the lobby is turned off';

CREATE TRIGGER meetings_lobby_opened AFTER UPDATE OF lobby ON rt.meetings
	FOR EACH ROW WHEN (OLD.lobby AND NOT NEW.lobby) EXECUTE FUNCTION rt_private.lobby_opened();

COMMENT ON TRIGGER meetings_lobby_opened ON rt.meetings IS 'admits all who wait when the lobby is turned off';

CREATE FUNCTION rt_private.lobby_promoted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.meeting_emit('participant-waiting', w.meeting_id, rt_private.waiting_json(w), participants => ARRAY[NEW.id])
	FROM rt.meeting_waiting AS w WHERE w.meeting_id = NEW.meeting_id AND w.status = 'waiting' ORDER BY w.id;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.lobby_promoted() IS 'tells a new host or co-host who waits';

CREATE TRIGGER participants_promoted AFTER UPDATE ON rt.meeting_participants
	FOR EACH ROW WHEN (NEW.left_at IS NULL AND NEW.role IN ('host', 'co-host') AND OLD.role NOT IN ('host', 'co-host'))
	EXECUTE FUNCTION rt_private.lobby_promoted();

COMMENT ON TRIGGER participants_promoted ON rt.meeting_participants IS 'tells a new host or co-host who waits';

CREATE FUNCTION rt_private.lobby_disconnected() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.is_foreign('rt.meeting_waiting') THEN
		RETURN NULL; -- their gateways are the writer's
	END IF;
	DELETE FROM rt.meeting_waiting AS w USING gone
	WHERE w.socket_id = gone.sid AND w.status = 'waiting';
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.lobby_disconnected() IS 'removes a disconnected socket from the lobby';

CREATE TRIGGER lobby_disconnected AFTER DELETE ON rt_private.connections
	REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rt_private.lobby_disconnected();

COMMENT ON TRIGGER lobby_disconnected ON rt_private.connections IS 'removes a disconnected socket from the lobby';

CREATE FUNCTION rt_private.sweep_lobbies() RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	DELETE FROM rt.meeting_waiting AS w
	WHERE w.status = 'waiting' AND w.asked_at < clock_timestamp() - interval '10 s'
		AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.sid = w.socket_id)
$$;

COMMENT ON FUNCTION rt_private.sweep_lobbies() IS 'removes disconnected users from lobbies';

CREATE FUNCTION rt_private.lobby_passes(m rt.meetings, actor text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN NOT m.lobby OR coalesce(m.host_id = actor, false)
		OR 'remove' = ANY (rt_private.meeting_permissions(rt_private.meeting_role_for(m, actor)))
		OR rt_private.meeting_was_in(m.id, actor)
		OR EXISTS (SELECT FROM rt.meeting_waiting AS w
			WHERE w.meeting_id = m.id AND w.user_id = actor AND w.status = 'admitted');
END
$$;

COMMENT ON FUNCTION rt_private.lobby_passes(rt.meetings, text) IS 'whether a user may join without waiting';

CREATE FUNCTION rt_private.lobby_answer() RETURNS json
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('status', 403, 'error', json_build_object('code', 'waiting', 'message', 'Wait until a host lets you in'))
$$;

COMMENT ON FUNCTION rt_private.lobby_answer() IS 'the answer to a user who has to wait';

CREATE FUNCTION rt_private.lobby_wait(m rt.meetings, actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM rt.meeting_waiting AS w WHERE w.meeting_id = m.id AND w.user_id = actor
		AND w.status = 'refused' AND w.decided_at > clock_timestamp() - interval '30 s')
	THEN
		RAISE EXCEPTION 'a host has refused to let you in' USING ERRCODE = 'RT403';
	ELSIF (SELECT count(*) FROM rt.meeting_waiting AS w WHERE w.meeting_id = m.id AND w.status = 'waiting' AND w.user_id <> actor)
		>= m.max_participants
	THEN
		RAISE EXCEPTION 'the lobby is full' USING ERRCODE = 'RT4FU';
	END IF;
	INSERT INTO rt.meeting_waiting AS w (meeting_id, user_id, display_name, socket_id)
	VALUES (m.id, actor, coalesce(rt_private.req_display_name(req, 'displayName'), rt_private.user_name(actor)), req ->> 'sid')
	ON CONFLICT (meeting_id, user_id) DO UPDATE
	SET socket_id = excluded.socket_id, display_name = excluded.display_name, status = 'waiting', decided_at = NULL, decided_by = NULL,
		asked_at = CASE WHEN w.status = 'waiting' THEN w.asked_at ELSE excluded.asked_at END;
	RETURN rt_private.lobby_answer();
END
$$;

COMMENT ON FUNCTION rt_private.lobby_wait(rt.meetings, text, jsonb) IS 'puts a user into the lobby; idempotent';

CREATE FUNCTION rt_private.lobby_decide(meeting bigint, waiting bigint, decision text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_lock_open(meeting);
	decided integer;
BEGIN
	PERFORM rt_private.meeting_check_user(m, 'remove');
	UPDATE rt.meeting_waiting AS w
	SET status = decision, decided_at = clock_timestamp(), decided_by = rt_private.actor()
	WHERE w.meeting_id = m.id AND w.status = 'waiting' AND (lobby_decide.waiting IS NULL OR w.id = lobby_decide.waiting);
	GET DIAGNOSTICS decided = ROW_COUNT;
	IF decided = 0 AND lobby_decide.waiting IS NOT NULL THEN
		RAISE EXCEPTION 'nobody with this id is waiting' USING ERRCODE = 'RT404';
	END IF;
	RETURN decided;
END
$$;

COMMENT ON FUNCTION rt_private.lobby_decide(bigint, bigint, text) IS 'admits or refuses a waiting user; the first of two concurrent decisions wins';

CREATE FUNCTION rt.admit_waiting(meeting bigint, waiting bigint DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN rt_private.lobby_decide(meeting, waiting, 'admitted');
END
$$;

COMMENT ON FUNCTION rt.admit_waiting(bigint, bigint) IS 'admits one or all who wait in a meeting''s lobby; returns how many';

CREATE FUNCTION rt.refuse_waiting(meeting bigint, waiting bigint DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN rt_private.lobby_decide(meeting, waiting, 'refused');
END
$$;

COMMENT ON FUNCTION rt.refuse_waiting(bigint, bigint) IS 'refuses one or all who wait in a meeting''s lobby; returns how many';

COMMENT ON TABLE rt_private.media_workers IS 'running media workers; one that has not reported for 3 s is considered dead';

COMMENT ON COLUMN rt_private.media_workers.id IS 'new at each start of the program';

COMMENT ON COLUMN rt_private.media_workers.slot IS 'host and number of the worker; a start replaces the previous worker of the slot';

COMMENT ON COLUMN rt_private.media_workers.totals IS 'totals since its start, for metrics';

COMMENT ON COLUMN rt_private.media_workers.addresses IS 'the addresses it announces';

COMMENT ON COLUMN rt_private.media_workers.started_at IS 'when it started to serve';

COMMENT ON COLUMN rt_private.media_workers.heartbeat_at IS 'when it last reported';

COMMENT ON COLUMN rt_private.media_workers.host IS 'the host that it runs on';

COMMENT ON COLUMN rt_private.media_workers.region IS 'the region of its host, from its configuration file; null: none';

COMMENT ON COLUMN rt_private.media_workers.own IS 'it runs on a host of its own, and the supervisor knows nothing of it';

COMMENT ON COLUMN rt_private.media_workers.pid IS 'its process';

COMMENT ON COLUMN rt_private.media_workers.draining_since IS 'when rt.drain_media() was called; null: it takes new meetings';

COMMENT ON COLUMN rt_private.media_routers.former IS 'the router that the meeting moves away from, which forwards on until clients have new transports; null: it does not move';

COMMENT ON COLUMN rt_private.media_routers.former_worker IS 'the worker of the former router';

COMMENT ON COLUMN rt_private.media_routers.former_until IS 'when the former router is closed at the latest';

COMMENT ON COLUMN rt_private.media_routers.id IS 'the router''s id as clients get it';

COMMENT ON COLUMN rt_private.media_routers.worker IS 'its media worker';

COMMENT ON COLUMN rt_private.media_routers.created_at IS 'when it was created';

COMMENT ON COLUMN rt_private.media_routers.region IS 'where its worker should be: the region of who came first; null: anywhere';

CREATE INDEX media_routers_former ON rt_private.media_routers (former_worker) WHERE former IS NOT NULL;

COMMENT ON INDEX rt_private.media_routers_worker IS 'finds what a dead media worker had';

COMMENT ON INDEX rt_private.media_routers_former IS 'finds meetings that move';

COMMENT ON COLUMN rt_private.media_transports.id IS 'its id as clients get it';

COMMENT ON COLUMN rt_private.media_transports.worker IS 'its media worker';

COMMENT ON COLUMN rt_private.media_transports.participant_id IS 'the user it belongs to';

COMMENT ON COLUMN rt_private.media_transports.created_at IS 'when it was created';

COMMENT ON INDEX rt_private.media_transports_participant IS 'finds what a participant has';

COMMENT ON TABLE rt_private.media_transports IS 'transports: connections of peers to routers';

COMMENT ON COLUMN rt_private.media_transports.connected IS 'whether the client has sent its DTLS parameters';

COMMENT ON INDEX rt_private.media_transports_meeting IS 'finds what a meeting has';

COMMENT ON COLUMN rt_private.media_producers.id IS 'its id as clients get it';

COMMENT ON COLUMN rt_private.media_producers.transport_id IS 'its transport';

COMMENT ON COLUMN rt_private.media_producers.worker IS 'its media worker';

COMMENT ON COLUMN rt_private.media_producers.participant_id IS 'the user it belongs to';

COMMENT ON COLUMN rt_private.media_producers.source IS 'camera, microphone, screen or screen-audio';

COMMENT ON COLUMN rt_private.media_producers.created_at IS 'when it was created';

COMMENT ON INDEX rt_private.media_producers_transport IS 'finds what a transport carries';

COMMENT ON INDEX rt_private.media_producers_participant IS 'finds what a participant sends';

COMMENT ON TABLE rt_private.media_producers IS 'incoming media streams';

COMMENT ON COLUMN rt_private.media_producers.paused IS 'paused by its owner';

COMMENT ON COLUMN rt_private.media_producers.muted IS 'muted by a host';

COMMENT ON COLUMN rt_private.media_producers.paused_by IS 'newest request that paused or resumed it; 0 if none has';

COMMENT ON INDEX rt_private.media_producers_meeting IS 'finds what a meeting has';

COMMENT ON COLUMN rt_private.media_consumers.id IS 'its id as clients get it';

COMMENT ON COLUMN rt_private.media_consumers.transport_id IS 'its transport';

COMMENT ON COLUMN rt_private.media_consumers.producer_id IS 'the stream that it forwards';

COMMENT ON COLUMN rt_private.media_consumers.worker IS 'its media worker';

COMMENT ON COLUMN rt_private.media_consumers.participant_id IS 'the receiving participant';

COMMENT ON COLUMN rt_private.media_consumers.paused IS 'paused by the receiver, as it is at first';

COMMENT ON COLUMN rt_private.media_consumers.created_at IS 'when it was created';

COMMENT ON INDEX rt_private.media_consumers_transport IS 'finds what a transport carries';

COMMENT ON INDEX rt_private.media_consumers_producer IS 'finds the receivers of a stream';

COMMENT ON TABLE rt_private.media_consumers IS 'outgoing media streams, each to one participant';

COMMENT ON INDEX rt_private.media_consumers_meeting IS 'finds what a meeting has';

COMMENT ON COLUMN rt_private.media_requests.id IS 'id, in order of execution';

COMMENT ON COLUMN rt_private.media_requests.worker IS 'the media worker it is for';

COMMENT ON COLUMN rt_private.media_requests.op IS 'the operation';

COMMENT ON COLUMN rt_private.media_requests.participant_id IS 'the participant who asks, or who is concerned';

COMMENT ON INDEX rt_private.media_requests_waiting IS 'finds requests that a media worker has to fetch';

COMMENT ON INDEX rt_private.media_requests_participant IS 'finds the requests of a participant';

COMMENT ON TABLE rt_private.media_requests IS 'work for media workers: requests of clients (with gateway) and commands (without)';

COMMENT ON COLUMN rt_private.media_requests.object_id IS 'the transport, producer or consumer concerned';

COMMENT ON COLUMN rt_private.media_requests.body IS 'parameters of the operation';

COMMENT ON COLUMN rt_private.media_requests.tag IS 'the gateway''s id of the request';

COMMENT ON COLUMN rt_private.media_requests.fetched IS 'the worker has it, or the notification contains it';

COMMENT ON COLUMN rt_private.media_requests.answer IS 'an answer that the gateway has yet to fetch';

COMMENT ON INDEX rt_private.media_requests_handed IS 'finds commands that a media worker has';

CREATE OR REPLACE FUNCTION rt_private.router_rtp_capabilities() RETURNS json
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	WITH media (n, kind, mime_type, clock_rate, channels, parameters) AS (
		VALUES
			(0, 'audio', 'audio/opus', 48000, 2, '{}'::jsonb),
			(1, 'video', 'video/VP8', 90000, NULL, '{}'),
			(2, 'video', 'video/VP9', 90000, NULL, '{"profile-id":0}'),
			(3, 'video', 'video/H264', 90000, NULL,
				'{"packetization-mode":1,"profile-level-id":"42e01f","level-asymmetry-allowed":1}'),
			(4, 'video', 'video/H264', 90000, NULL,
				'{"packetization-mode":0,"profile-level-id":"42e01f","level-asymmetry-allowed":1}'),
			(5, 'video', 'video/AV1', 90000, NULL, '{}')
	),
	-- Audio takes one payload type; each video codec takes two, its own and that of its retransmissions.
	codecs (payload_type, codec) AS (
		SELECT p.payload_type, json_strip_nulls(json_build_object('kind', m.kind, 'mimeType', m.mime_type,
			'preferredPayloadType', p.payload_type, 'clockRate', m.clock_rate, 'channels', m.channels,
			'parameters', m.parameters, 'rtcpFeedback', CASE m.kind
				WHEN 'audio' THEN '[{"type":"nack","parameter":""},{"type":"transport-cc","parameter":""}]'::json
				ELSE (
					SELECT json_agg(json_build_object('type', f[1], 'parameter', f[2]))
					FROM (VALUES (ARRAY['nack', '']), (ARRAY['nack', 'pli']), (ARRAY['ccm', 'fir']),
						(ARRAY['goog-remb', '']), (ARRAY['transport-cc', ''])) AS v (f))
			END))
		FROM media AS m
		CROSS JOIN LATERAL (SELECT CASE m.n WHEN 0 THEN 100 ELSE 99 + 2 * m.n END AS payload_type) AS p
		UNION ALL
		SELECT 100 + 2 * m.n, json_build_object('kind', 'video', 'mimeType', 'video/rtx',
			'preferredPayloadType', 100 + 2 * m.n, 'clockRate', m.clock_rate,
			'parameters', json_build_object('apt', 99 + 2 * m.n), 'rtcpFeedback', '[]'::json)
		FROM media AS m
		WHERE m.kind = 'video'
		UNION ALL
		-- Its parameter has no name: RFC 2198, section 5.
		SELECT 111, json_build_object('kind', 'audio', 'mimeType', 'audio/red', 'preferredPayloadType', 111,
			'clockRate', m.clock_rate, 'channels', m.channels, 'parameters', json_build_object('', '100/100'),
			'rtcpFeedback', '[]'::json)
		FROM media AS m
		WHERE m.n = 0
	),
	extensions (id, uri, audio, video) AS (
		VALUES
			(1, 'urn:ietf:params:rtp-hdrext:sdes:mid', 'sendrecv', 'sendrecv'),
			(2, 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id', NULL, 'recvonly'),
			(3, 'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id', NULL, 'recvonly'),
			(4, 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time', 'sendrecv', 'sendrecv'),
			(5, 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01', 'recvonly', 'sendrecv'),
			(6, 'urn:ietf:params:rtp-hdrext:ssrc-audio-level', 'sendrecv', NULL),
			(7, 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension', NULL, 'sendrecv'),
			(8, 'urn:3gpp:video-orientation', NULL, 'sendrecv'),
			(9, 'urn:ietf:params:rtp-hdrext:toffset', NULL, 'sendrecv'),
			(10, 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time', 'sendrecv', 'sendrecv'),
			(11, 'http://www.webrtc.org/experiments/rtp-hdrext/playout-delay', 'sendrecv', 'sendrecv')
	)
	SELECT json_build_object(
		'codecs', (SELECT json_agg(c.codec ORDER BY c.payload_type) FROM codecs AS c),
		'headerExtensions', (
			SELECT json_agg(json_build_object('kind', k.kind, 'uri', e.uri, 'preferredId', e.id,
				'preferredEncrypt', false, 'direction', k.direction) ORDER BY e.id, k.kind)
			FROM extensions AS e
			CROSS JOIN LATERAL (VALUES ('audio', e.audio), ('video', e.video)) AS k (kind, direction)
			WHERE k.direction IS NOT NULL))
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_json(m rt.meetings) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object(
		'id', m.id::text, 'title', m.title, 'status', m.status, 'hostId', m.host_id, 'roomId', m.room_id::text,
		'maxParticipants', m.max_participants, 'hasPassword', m.password_hash IS NOT NULL, 'locked', m.locked,
		'recording', m.recording, 'access', m.access, 'guests', m.guests, 'lobby', m.lobby,
		'startsAt', rt_private.iso(m.starts_at), 'startedAt', rt_private.iso(m.started_at),
		'endedAt', rt_private.iso(m.ended_at), 'createdAt', rt_private.iso(m.created_at));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.participant_media_json(p rt.meeting_participants) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('video', p.video AND NOT p.video_muted, 'audio', p.audio AND NOT p.audio_muted,
		'screenSharing', p.screen_sharing);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.participant_json(p rt.meeting_participants, producers json) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object(
		'meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id, 'userName', p.display_name,
		'guest', p.guest, 'role', p.role, 'media', rt_private.participant_media_json(p),
		'handRaised', p.hand_raised_at IS NOT NULL, 'handRaisedAt', rt_private.iso(p.hand_raised_at),
		'audioMuted', p.audio_muted, 'videoMuted', p.video_muted, 'joinedAt', rt_private.iso(p.joined_at),
		'permissions', rt_private.meeting_permissions(p.role),
		'producers', coalesce(producers, '[]'));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.participants_json(meeting_id bigint) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN (
		SELECT coalesce(json_agg(rt_private.participant_json(p, d.producers) ORDER BY p.id), '[]')
		FROM rt.meeting_participants AS p
		LEFT JOIN (
			SELECT t.participant_id, json_agg(json_build_object('producerId', t.id, 'kind', t.kind, 'source', t.source,
				'paused', t.paused OR t.muted) ORDER BY t.created_at, t.id) AS producers
			FROM rt_private.media_producers AS t
			JOIN rt_private.media_routers AS r ON r.meeting_id = t.meeting_id AND r.worker = t.worker -- not those of its former router
			WHERE t.meeting_id = participants_json.meeting_id
			GROUP BY t.participant_id) AS d ON d.participant_id = p.id
		WHERE p.meeting_id = participants_json.meeting_id AND p.left_at IS NULL);
END
$$;

COMMENT ON FUNCTION rt_private.participants_json(bigint) IS 'the participants of a meeting, including those whose place is kept';

CREATE OR REPLACE FUNCTION rt_private.meeting_message_json(m rt.meeting_messages) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object(
		'id', m.id::text, 'senderId', coalesce(m.sender_participant_id::text, m.sender_id),
		'senderUserId', m.sender_id, 'senderName', m.sender_name, 'message', m.message,
		'recipientType', m.recipient_type, 'recipientId', coalesce(m.recipient_participant_id::text, m.recipient_id),
		'recipientUserId', m.recipient_id, 'timestamp', rt_private.iso(m.created_at));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_socket() RETURNS text
LANGUAGE sql STABLE
	RETURN nullif(pg_catalog.current_setting('rt_private.socket_id', true), '');

COMMENT ON FUNCTION rt_private.meeting_socket() IS 'the socket whose request this transaction carries out; null for SQL clients';

CREATE OR REPLACE FUNCTION rt_private.meeting_emit(event text, meeting_id bigint, payload json, except_socket text DEFAULT NULL,
	participants bigint[] DEFAULT NULL, private boolean DEFAULT false, logged boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit(meeting_emit.event,
		json_strip_nulls(json_build_object('meeting', meeting_emit.meeting_id::text,
			'participants', array_to_json(meeting_emit.participants::text[]),
			'except', meeting_emit.except_socket,
			'private', nullif(meeting_emit.private, false))),
		meeting_emit.payload, meeting_emit.logged);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_emit_member(p rt.meeting_participants, socket_id text, member boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit('rt:meeting-member', '{"gateway":true}'::json,
		json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
			'sid', meeting_emit_member.socket_id, 'gateway', p.gateway, 'member', meeting_emit_member.member), true);
END
$$;

COMMENT ON FUNCTION rt_private.meeting_emit_member(rt.meeting_participants, text, boolean)
	IS 'tells the gateways that a socket has joined or left a meeting';

CREATE OR REPLACE FUNCTION rt_private.meetings_before() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		IF NEW.host_id IS NULL THEN
			RAISE EXCEPTION 'a meeting needs a host' USING ERRCODE = 'RT400',
				HINT = 'Give host_id, or SET rt.user_id.';
		END IF;
	ELSIF OLD.status = 'ended' AND NEW.status <> 'ended' THEN
		RAISE EXCEPTION 'meeting has ended' USING ERRCODE = 'RT410';
	ELSIF OLD.status = 'live' AND NEW.status = 'scheduled' THEN
		RAISE EXCEPTION 'meeting is already live' USING ERRCODE = 'RT409';
	END IF;
	IF NEW.status = 'live' THEN
		NEW.started_at := coalesce(NEW.started_at, clock_timestamp());
		NEW.started_by := coalesce(NEW.started_by, rt_private.actor());
	ELSIF NEW.status = 'ended' THEN
		NEW.ended_at := coalesce(NEW.ended_at, clock_timestamp());
		NEW.ended_by := coalesce(NEW.ended_by, rt_private.actor());
		NEW.recording := false;
	END IF;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION rt_private.meetings_before() IS 'enforces a meeting''s lifecycle: forward only';

CREATE OR REPLACE FUNCTION rt_private.meeting_put_all_out(m rt.meetings) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.media_close_meeting(m.id);
	UPDATE rt.meeting_participants AS p
	SET left_at = clock_timestamp(), left_reason = 'ended'
	WHERE p.meeting_id = m.id AND p.left_at IS NULL;
	PERFORM rt_private.meeting_emit('meeting-ended', m.id,
		json_build_object('meetingId', m.id::text, 'meeting', rt_private.meeting_json(m)));
	PERFORM rt_private.emit('rt:meeting-closed', '{"gateway":true}'::json,
		json_build_object('meetingId', m.id::text), true);
	PERFORM rt_private.lobby_end(m);
END
$$;

COMMENT ON FUNCTION rt_private.meeting_put_all_out(rt.meetings) IS 'removes everybody and all media from a meeting that ends';

COMMENT ON FUNCTION rt_private.meetings_before_delete() IS 'ends a meeting before it is deleted';

COMMENT ON TRIGGER meetings_before ON rt.meetings IS 'enforces a meeting''s lifecycle: forward only';

COMMENT ON TRIGGER meetings_after_update ON rt.meetings IS 'emits meeting-updated and meeting-ended';

COMMENT ON TRIGGER meetings_before_delete ON rt.meetings IS 'ends a meeting before it is deleted';

COMMENT ON TRIGGER meeting_invitees_after_insert ON rt.meeting_invitees IS 'an invitation lifts a ban';

CREATE OR REPLACE FUNCTION rt_private.participants_before() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		NEW.display_name := coalesce(NEW.display_name, rt_private.user_name(NEW.user_id));
		NEW.guest := rt_private.is_guest(NEW.user_id);
	ELSIF OLD.left_at IS NOT NULL AND NEW.left_at IS NULL THEN
		RAISE EXCEPTION 'a participant who has left the meeting must join it again' USING ERRCODE = 'RT409';
	END IF;
	IF NEW.left_at IS NOT NULL THEN
		NEW.left_reason := coalesce(NEW.left_reason, 'left');
		NEW.hand_raised_at := NULL;
	END IF;
	RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.participant_gone(p rt.meeting_participants, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.media_participant_gone(p.id);
	IF participant_gone.reason = 'ended' THEN
		RETURN; -- meeting-ended tells it to all at once
	END IF;
	IF participant_gone.reason = 'removed' THEN
		PERFORM rt_private.meeting_emit('removed-from-meeting', p.meeting_id,
			json_build_object('meetingId', p.meeting_id::text, 'reason', p.removal_reason, 'by', p.removed_by),
			participants => ARRAY[p.id]);
	END IF;
	PERFORM rt_private.meeting_emit_member(p, p.socket_id, false);
	PERFORM rt_private.meeting_emit('participant-left', p.meeting_id,
		json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
			'userName', p.display_name, 'reason', participant_gone.reason),
		except_socket => p.socket_id);
	PERFORM rt_private.media_close_if_empty(p.meeting_id);
END
$$;

COMMENT ON FUNCTION rt_private.participant_gone(rt.meeting_participants, text)
	IS 'frees the media of a participant who has left, and emits participant-left';

CREATE OR REPLACE FUNCTION rt_private.meeting_ban(p rt.meeting_participants) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM rt.meeting_invitees AS i
	WHERE i.meeting_id = p.meeting_id AND i.user_id = p.user_id;
	INSERT INTO rt.meeting_bans (meeting_id, user_id, banned_by, reason)
	VALUES (p.meeting_id, p.user_id, p.removed_by, p.removal_reason)
	ON CONFLICT DO NOTHING;
	UPDATE rt.meeting_participants AS o
	SET left_at = p.left_at, left_reason = 'removed', removed_by = p.removed_by, removal_reason = p.removal_reason
	WHERE o.meeting_id = p.meeting_id AND o.user_id = p.user_id AND o.left_at IS NULL;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_ban(rt.meeting_participants) IS 'bans a removed user from a meeting';

COMMENT ON FUNCTION rt_private.participants_left() IS 'emits participant-left, and bans a removed user';

COMMENT ON FUNCTION rt_private.participants_role() IS 'emits participant-role-updated; stops producers that the role does not allow';

CREATE OR REPLACE FUNCTION rt_private.participant_mute(p rt.meeting_participants, kind text, muted boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.meeting_emit('muted-by-host', p.meeting_id,
		json_build_object('meetingId', p.meeting_id::text, 'muted', participant_mute.muted, 'kind', participant_mute.kind,
			'by', rt_private.actor()),
		participants => ARRAY[p.id]);
	PERFORM rt_private.media_mute(p.id, participant_mute.kind, participant_mute.muted);
END
$$;

COMMENT ON FUNCTION rt_private.participant_mute(rt.meeting_participants, text, boolean)
	IS 'mutes or unmutes a participant at the forwarder, and tells the participant';

CREATE OR REPLACE FUNCTION rt_private.media_updated_json(p rt.meeting_participants) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	media json := rt_private.participant_media_json(p);
BEGIN
	RETURN json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
		'video', media -> 'video', 'audio', media -> 'audio', 'screenSharing', media -> 'screenSharing',
		'audioMuted', p.audio_muted, 'videoMuted', p.video_muted);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.hand_raised_json(p rt.meeting_participants) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
		'userName', p.display_name, 'raised', p.hand_raised_at IS NOT NULL,
		'timestamp', rt_private.iso(coalesce(p.hand_raised_at, clock_timestamp())),
		'hands', (
			SELECT coalesce(json_agg(o.id::text ORDER BY o.hand_raised_at, o.id), '[]')
			FROM rt.meeting_participants AS o
			WHERE o.meeting_id = p.meeting_id AND o.left_at IS NULL AND o.hand_raised_at IS NOT NULL));
END
$$;

COMMENT ON TRIGGER participants_before ON rt.meeting_participants IS 'completes a participant''s row';

COMMENT ON TRIGGER participants_joined ON rt.meeting_participants IS 'emits participant-joined';

COMMENT ON TRIGGER participants_moved ON rt.meeting_participants IS 'tells the gateways which socket now acts for a participant';

COMMENT ON TRIGGER participants_left ON rt.meeting_participants IS 'emits participant-left, and bans a removed user';

COMMENT ON TRIGGER participants_deleted ON rt.meeting_participants IS 'emits participant-left for a row that was deleted; bans nobody';

COMMENT ON TRIGGER participants_role ON rt.meeting_participants IS 'emits participant-role-updated; stops producers that the role does not allow';

COMMENT ON TRIGGER participants_media ON rt.meeting_participants IS 'emits muted-by-host and participant-media-updated';

COMMENT ON TRIGGER participants_hand ON rt.meeting_participants IS 'emits hand-raised';

COMMENT ON FUNCTION rt_private.meeting_messages_after_insert() IS 'emits new-message to its recipients';

COMMENT ON TRIGGER meeting_messages_before_insert ON rt.meeting_messages IS 'completes a message''s sender';

COMMENT ON TRIGGER meeting_messages_after_insert ON rt.meeting_messages IS 'emits new-message to its recipients';

COMMENT ON TRIGGER meeting_recordings_started ON rt.meeting_recordings IS 'emits recording-status-changed';

COMMENT ON TRIGGER meeting_recordings_stopped ON rt.meeting_recordings IS 'emits recording-status-changed';

CREATE OR REPLACE FUNCTION rt_private.meeting_lock(meeting_id bigint) RETURNS rt.meetings
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = meeting_lock.meeting_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'meeting not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN m;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_lock(bigint) IS 'locks a meeting against visible changes';

CREATE OR REPLACE FUNCTION rt_private.meeting_lock_open(meeting_id bigint) RETURNS rt.meetings
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_lock(meeting_id);
BEGIN
	IF m.status = 'ended' THEN
		RAISE EXCEPTION 'meeting has ended' USING ERRCODE = 'RT410';
	END IF;
	RETURN m;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_banned(meeting_id bigint, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (
		SELECT FROM rt.meeting_bans AS b
		WHERE b.meeting_id = meeting_banned.meeting_id AND b.user_id = meeting_banned.user_id);
END
$$;

COMMENT ON FUNCTION rt_private.meeting_banned(bigint, text) IS 'whether a user was removed and not invited again';

CREATE OR REPLACE FUNCTION rt_private.meeting_may_join(m rt.meetings, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.meeting_banned(m.id, meeting_may_join.user_id) THEN
		RETURN false;
	ELSIF rt_private.is_guest(meeting_may_join.user_id) THEN
		RETURN m.guests AND EXISTS (
			SELECT FROM rt_private.guests AS g WHERE g.user_id = meeting_may_join.user_id AND g.meeting_id = m.id);
	END IF;
	RETURN m.access = 'anyone'
		OR m.host_id = meeting_may_join.user_id
		OR EXISTS (
			SELECT FROM rt.meeting_invitees AS i
			WHERE i.meeting_id = m.id AND i.user_id = meeting_may_join.user_id)
		OR (m.access = 'room' AND EXISTS (
			SELECT FROM rt.room_members AS r
			WHERE r.room_id = m.room_id AND r.user_id = meeting_may_join.user_id));
END
$$;

COMMENT ON FUNCTION rt_private.meeting_may_join(rt.meetings, text) IS 'whether a user has access: host, invitee, member of its room, guest, or open to anyone; and not removed';

CREATE OR REPLACE FUNCTION rt_private.meeting_may_see(m rt.meetings, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce(rt_private.meeting_may_join(m, meeting_may_see.user_id), false)
		OR (NOT rt_private.meeting_banned(m.id, meeting_may_see.user_id) AND EXISTS (
			SELECT FROM rt.meeting_participants AS p
			WHERE p.meeting_id = m.id AND p.user_id = meeting_may_see.user_id));
END
$$;

COMMENT ON FUNCTION rt_private.meeting_may_see(rt.meetings, text) IS 'whether a user may see a meeting and its participants';

CREATE OR REPLACE FUNCTION rt_private.meeting_user_may(m rt.meetings, user_id text, action text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce(m.host_id = meeting_user_may.user_id, false)
		OR EXISTS (
			SELECT FROM rt.meeting_participants AS p
			WHERE p.meeting_id = m.id AND p.user_id = meeting_user_may.user_id AND p.left_at IS NULL
				AND meeting_user_may.action = ANY (rt_private.meeting_permissions(p.role)));
END
$$;

COMMENT ON FUNCTION rt_private.meeting_user_may(rt.meetings, text, text) IS 'whether a user may do something in a meeting without being in it';

CREATE OR REPLACE FUNCTION rt_private.meeting_check_user(m rt.meetings, action text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.trusted() AND NOT rt_private.meeting_user_may(m, rt_private.actor(), action) THEN
		RAISE EXCEPTION 'only a host may do that' USING ERRCODE = 'RT403';
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_check_user(rt.meetings, text) IS 'refuses users who may not do something in a meeting; the database''s owner may';

CREATE OR REPLACE FUNCTION rt_private.meeting_hash(password text) RETURNS text
LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF octet_length(password) NOT BETWEEN 1 AND 1024 THEN
		RAISE EXCEPTION 'a password must have 1 to 1024 bytes' USING ERRCODE = 'RT400';
	END IF;
	RETURN rt_private.crypt(rt_private.password_bytes(rt_private.password_form(password)),
		rt_private.gen_salt('bf', rt_private.least_password_cost()));
END
$$;

COMMENT ON FUNCTION rt_private.meeting_hash(text) IS 'hashes the password of a meeting';

CREATE FUNCTION rt_private.meeting_password_matches(password text, password_hash text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(password_hash IN (rt_private.crypt(rt_private.password_bytes(rt_private.password_form(password)), password_hash),
		rt_private.crypt(rt_private.password_bytes(password), password_hash)), false)
$$;

COMMENT ON FUNCTION rt_private.meeting_password_matches(text, text) IS 'whether a password matches; accepts hashes from before normalization';

CREATE FUNCTION rt.create_meeting(title text, host text DEFAULT NULL, password text DEFAULT NULL,
	max_participants integer DEFAULT NULL, starts_at timestamptz DEFAULT NULL, room bigint DEFAULT NULL,
	invitees text[] DEFAULT '{}', access text DEFAULT NULL, guests boolean DEFAULT false,
	lobby boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	host_id text := coalesce(create_meeting.host, rt_private.actor());
	who_may text := coalesce(create_meeting.access, CASE WHEN room IS NOT NULL THEN 'room' ELSE 'invited' END);
	meeting bigint;
BEGIN
	IF NOT rt_private.trusted() AND host_id IS DISTINCT FROM rt_private.actor() THEN
		RAISE EXCEPTION 'you can only create meetings as yourself' USING ERRCODE = 'RT403';
	END IF;
	IF who_may = 'room' AND room IS NULL THEN
		RAISE EXCEPTION 'access for a room''s members needs a room' USING ERRCODE = 'RT400';
	END IF;
	IF create_meeting.guests AND who_may <> 'anyone' THEN
		RAISE EXCEPTION 'guests need access for anyone' USING ERRCODE = 'RT400';
	END IF;
	IF room IS NOT NULL AND NOT EXISTS (
		SELECT FROM rt.room_members AS r WHERE r.room_id = create_meeting.room AND r.user_id = host_id)
	THEN
		RAISE EXCEPTION 'room not found' USING ERRCODE = 'RT404';
	END IF;
	INSERT INTO rt.meetings (title, host_id, room_id, access, password_hash, max_participants, starts_at, guests, lobby)
	VALUES (create_meeting.title, host_id, room, who_may, rt_private.meeting_hash(create_meeting.password),
		coalesce(create_meeting.max_participants, 1000), create_meeting.starts_at, coalesce(create_meeting.guests, false),
		coalesce(create_meeting.lobby, false))
	RETURNING id INTO meeting;
	PERFORM rt_private.meeting_invite(meeting, invitees);
	RETURN meeting;
END
$$;

COMMENT ON FUNCTION rt.create_meeting(text, text, text, integer, timestamptz, bigint, text[], text, boolean, boolean)
	IS 'makes a meeting and returns its id; the host is rt.user_id unless given';

CREATE OR REPLACE FUNCTION rt_private.meeting_invite(meeting_id bigint, users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_users(meeting_invite.users);
	INSERT INTO rt.meeting_invitees (meeting_id, user_id)
	SELECT DISTINCT meeting_invite.meeting_id, w.user_id FROM unnest(meeting_invite.users) AS w (user_id)
	ON CONFLICT DO NOTHING;
	DELETE FROM rt.meeting_bans AS b
	WHERE b.meeting_id = meeting_invite.meeting_id AND b.user_id = ANY (meeting_invite.users);
END
$$;

COMMENT ON FUNCTION rt.end_meeting(bigint) IS 'ends a meeting and removes everybody';

COMMENT ON FUNCTION rt.set_meeting_password(bigint, text) IS 'sets a meeting''s password; null: none';

CREATE OR REPLACE FUNCTION rt_private.participant_lock(participant bigint) RETURNS rt.meeting_participants
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	SELECT t.* INTO p FROM rt.meeting_participants AS t WHERE t.id = participant;
	IF FOUND THEN
		PERFORM rt_private.meeting_lock(p.meeting_id);
		SELECT t.* INTO p FROM rt.meeting_participants AS t WHERE t.id = participant AND t.left_at IS NULL;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'participant not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN p;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.participant_remove(p rt.meeting_participants, reason text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	UPDATE rt.meeting_participants AS t
	SET left_at = clock_timestamp(), left_reason = 'removed', removed_by = rt_private.actor(),
		removal_reason = participant_remove.reason
	WHERE t.id = p.id
$$;

COMMENT ON FUNCTION rt_private.participant_remove(rt.meeting_participants, text) IS 'removes and bans a participant';

CREATE OR REPLACE FUNCTION rt_private.participant_set_muted(p rt.meeting_participants, kind text, muted boolean) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	UPDATE rt.meeting_participants AS t
	SET audio_muted = CASE participant_set_muted.kind WHEN 'audio' THEN muted ELSE t.audio_muted END,
		video_muted = CASE participant_set_muted.kind WHEN 'video' THEN muted ELSE t.video_muted END
	WHERE t.id = p.id
$$;

CREATE OR REPLACE FUNCTION rt_private.participant_check_user(p rt.meeting_participants, action text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO STRICT m FROM rt.meetings AS t WHERE t.id = p.meeting_id;
	PERFORM rt_private.meeting_check_user(m, action);
	IF action = 'remove' AND p.role = 'host' THEN -- not by a co-host
		PERFORM rt_private.meeting_check_user(m, 'end');
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.participant_check_user(rt.meeting_participants, text)
	IS 'refuses users who may not act on a participant';

COMMENT ON FUNCTION rt.kick_participant(bigint, text) IS 'removes a participant from a meeting; that user may not return unless invited again';

COMMENT ON FUNCTION rt.mute_participant(bigint, boolean, text) IS 'mutes or unmutes a participant''s audio or video in the media worker';

CREATE OR REPLACE FUNCTION rt_private.media_wake(worker text, request bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit('rt:media-request', json_build_object('media', media_wake.worker),
		json_build_object('requestId', media_wake.request::text), false);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_request_json(r rt_private.media_requests) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN jsonb_build_object('requestId', r.id::text, 'op', r.op, 'reply', r.gateway IS NOT NULL,
		'meetingId', r.meeting_id::text, 'participantId', r.participant_id::text) || r.body;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_send(r rt_private.media_requests) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	r.fetched := octet_length(r.body::text) <= 6000;
	INSERT INTO rt_private.media_requests (worker, op, meeting_id, participant_id, object_id, body, gateway, socket_id, tag, fetched)
	VALUES (r.worker, r.op, r.meeting_id, r.participant_id, r.object_id, r.body, r.gateway, r.socket_id, r.tag, r.fetched)
	RETURNING id INTO r.id;
	IF r.fetched THEN
		PERFORM rt_private.emit('rt:media-request', json_build_object('media', r.worker),
			json_build_object('requestId', r.id::text, 'request', rt_private.media_request_json(r)), false);
	ELSE
		PERFORM rt_private.media_wake(r.worker, r.id);
	END IF;
	RETURN r.id;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_command(worker text, op text, meeting_id bigint, body jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	request bigint;
BEGIN
	INSERT INTO rt_private.media_requests (worker, op, meeting_id, body)
	SELECT w.id, media_command.op, media_command.meeting_id, media_command.body
	FROM rt_private.media_workers AS w
	WHERE w.id = media_command.worker
	RETURNING id INTO request;
	IF FOUND THEN
		PERFORM rt_private.media_wake(media_command.worker, request);
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.media_command(text, text, bigint, jsonb) IS 'sends a media worker a command, if it is alive';

CREATE OR REPLACE FUNCTION rt_private.media_alive(w rt_private.media_workers) RETURNS boolean
LANGUAGE sql VOLATILE
	RETURN w.heartbeat_at > pg_catalog.clock_timestamp() - interval '3 seconds';

COMMENT ON FUNCTION rt_private.media_alive(rt_private.media_workers) IS 'whether a media worker has reported within 3 s';

COMMENT ON FUNCTION rt_private.media_totals() IS 'totals of the live media workers';

CREATE FUNCTION rt_private.media_meetings(worker text) RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT (SELECT count(*) FROM rt_private.media_routers AS r WHERE r.worker = media_meetings.worker)
		+ (SELECT count(*) FROM rt_private.media_routers AS r WHERE r.former_worker = media_meetings.worker AND r.former IS NOT NULL)
$$;

COMMENT ON FUNCTION rt_private.media_meetings(text) IS 'how many meetings are on a media worker';

CREATE FUNCTION rt_private.media_pick_worker(region text) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT w.id
	FROM rt_private.media_workers AS w
	CROSS JOIN LATERAL (
		SELECT count(*) AS n FROM rt_private.media_routers AS r WHERE r.worker = w.id) AS placed
	WHERE rt_private.media_alive(w) AND w.load < w.capacity AND w.draining_since IS NULL
	ORDER BY coalesce(w.region = media_pick_worker.region, false) DESC,
		greatest(w.load, 4 * placed.n)::float8 / w.capacity, w.slot
	LIMIT 1
$$;

COMMENT ON FUNCTION rt_private.media_pick_worker(text) IS 'the least loaded live worker, of the region if one there has room; or null';

CREATE FUNCTION rt_private.media_region(req jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce(
		(SELECT w.region FROM rt_private.media_workers AS w WHERE w.region = media_region.req ->> 'region' AND rt_private.media_alive(w) LIMIT 1),
		(SELECT nullif(g.region, '') FROM rt_private.gateways AS g WHERE g.name = media_region.req ->> 'gateway'));
END
$$;

COMMENT ON FUNCTION rt_private.media_region(jsonb) IS 'the region of a request: the one that the client names, or its gateway''s; or null';

CREATE FUNCTION rt_private.media_place(meeting_id bigint, region text) RETURNS rt_private.media_routers
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt_private.media_routers;
	worker text;
BEGIN
	worker := rt_private.media_pick_worker(media_place.region);
	IF worker IS NULL THEN
		RETURN NULL;
	END IF;
	INSERT INTO rt_private.media_routers (id, meeting_id, worker, region)
	VALUES (gen_random_uuid()::text, media_place.meeting_id, worker, media_place.region)
	RETURNING * INTO r;
	RETURN r;
END
$$;

COMMENT ON FUNCTION rt_private.media_place(bigint, text) IS 'places a meeting that has no router';

CREATE FUNCTION rt_private.media_place_for(meeting_id bigint, req jsonb) RETURNS rt_private.media_routers
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt_private.media_routers;
BEGIN
	SELECT t.* INTO r FROM rt_private.media_routers AS t WHERE t.meeting_id = media_place_for.meeting_id;
	IF NOT FOUND THEN
		r := rt_private.media_place(meeting_id, rt_private.media_region(req));
	END IF;
	RETURN r;
END
$$;

COMMENT ON FUNCTION rt_private.media_place_for(bigint, jsonb) IS 'the router of a meeting, placed in the region of a request if it has none';

CREATE OR REPLACE FUNCTION rt_private.producer_json(d rt_private.media_producers) RETURNS json
LANGUAGE sql STABLE
	RETURN pg_catalog.json_build_object('meetingId', d.meeting_id::text, 'participantId', d.participant_id::text,
		'producerId', d.id, 'kind', d.kind, 'source', d.source, 'paused', d.paused OR d.muted, 'muted', d.muted);

COMMENT ON TRIGGER producers_changed ON rt_private.media_producers IS 'emits new-producer, producer-paused, producer-resumed, producer-closed';

COMMENT ON TRIGGER producers_paused ON rt_private.media_producers IS 'emits new-producer, producer-paused, producer-resumed, producer-closed';

CREATE OR REPLACE FUNCTION rt_private.media_participant_gone(participant_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	t record;
BEGIN
	DELETE FROM rt_private.media_requests AS r WHERE r.participant_id = media_participant_gone.participant_id;
	FOR t IN
		WITH gone AS (
			DELETE FROM rt_private.media_transports AS d
			WHERE d.participant_id = media_participant_gone.participant_id
			RETURNING d.id, d.worker, d.meeting_id)
		SELECT gone.worker, gone.meeting_id, jsonb_agg(gone.id) AS ids FROM gone GROUP BY gone.worker, gone.meeting_id
	LOOP
		PERFORM rt_private.media_command(t.worker, 'close-transports', t.meeting_id,
			jsonb_build_object('transportIds', t.ids));
	END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_close_producers(participant_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	d record;
BEGIN
	FOR d IN
		WITH gone AS (
			DELETE FROM rt_private.media_producers AS p
			WHERE p.participant_id = media_close_producers.participant_id
			RETURNING p.id, p.worker, p.meeting_id)
		SELECT gone.worker, gone.meeting_id, jsonb_agg(gone.id) AS ids FROM gone GROUP BY gone.worker, gone.meeting_id
	LOOP
		PERFORM rt_private.media_command(d.worker, 'close-producers', d.meeting_id,
			jsonb_build_object('producerIds', d.ids));
	END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_mute(participant_id bigint, kind text, muted boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	d rt_private.media_producers;
BEGIN
	FOR d IN
		UPDATE rt_private.media_producers AS p
		SET muted = media_mute.muted
		WHERE p.participant_id = media_mute.participant_id AND p.kind = media_mute.kind AND p.muted <> media_mute.muted
		RETURNING p.*
	LOOP
		PERFORM rt_private.media_command(d.worker, 'mute-producer', d.meeting_id,
			jsonb_build_object('producerId', d.id, 'muted', d.muted));
	END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_close_meeting(meeting_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	r rt_private.media_routers;
BEGIN
	DELETE FROM rt_private.media_routers AS t WHERE t.meeting_id = media_close_meeting.meeting_id RETURNING t.* INTO r;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	DELETE FROM rt_private.media_requests AS q WHERE q.meeting_id = media_close_meeting.meeting_id AND q.participant_id IS NOT NULL;
	DELETE FROM rt_private.media_transports AS t WHERE t.meeting_id = media_close_meeting.meeting_id;
	PERFORM rt_private.media_command(r.worker, 'close-router', r.meeting_id, jsonb_build_object('routerId', r.id));
	PERFORM rt_private.media_command(r.former_worker, 'close-router', r.meeting_id, jsonb_build_object('routerId', r.former));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_close_if_empty(meeting_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (
		SELECT FROM rt.meeting_participants AS p
		WHERE p.meeting_id = media_close_if_empty.meeting_id AND p.left_at IS NULL)
	THEN
		PERFORM rt_private.media_close_meeting(media_close_if_empty.meeting_id);
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.media_close_if_empty(bigint) IS 'frees the router of an empty meeting';

CREATE FUNCTION rt_private.media_emit_transport_closed(t rt_private.media_transports, reason text, router_id text,
	closes_in_ms integer DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.meeting_emit('transport-closed', t.meeting_id,
		(jsonb_build_object('meetingId', t.meeting_id::text, 'transportId', t.id, 'direction', t.direction,
			'reason', media_emit_transport_closed.reason, 'routerId', media_emit_transport_closed.router_id)
		|| CASE WHEN closes_in_ms IS NULL THEN '{}' ELSE jsonb_build_object('closesInMs', closes_in_ms) END)::json,
		participants => ARRAY[t.participant_id]);
END
$$;

COMMENT ON FUNCTION rt_private.media_emit_transport_closed(rt_private.media_transports, text, text, integer)
	IS 'tells a transport''s owner that it is closed, or will be, and which router the next one will be on';

CREATE OR REPLACE FUNCTION rt_private.media_reply(r rt_private.media_requests, outcome json, secret boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored boolean := secret OR octet_length(outcome::text) > 6000;
	head jsonb := jsonb_build_object('requestId', r.id::text, 'to', r.gateway, 'sid', r.socket_id, 'tag', r.tag);
	reply json := (rtrim(head::text, '}') || ',' || ltrim(outcome::text, '{'))::json;
BEGIN
	IF stored THEN
		UPDATE rt_private.media_requests AS q SET answer = reply WHERE q.id = r.id;
		reply := (head || '{"stored":true}')::json;
	ELSE
		DELETE FROM rt_private.media_requests AS q WHERE q.id = r.id;
	END IF;
	PERFORM rt_private.emit('rt:media-answer', json_build_object('gateway', true, 'to', r.gateway), reply, false);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_reply_error(r rt_private.media_requests, code text, message text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.media_reply(r, json_build_object('error', json_build_object('code', media_reply_error.code,
		'message', rt_private.sentence(media_reply_error.message))), false)
$$;

CREATE FUNCTION rt_private.media_move_time() RETURNS interval
LANGUAGE sql IMMUTABLE
	RETURN interval '20 seconds';

COMMENT ON FUNCTION rt_private.media_move_time() IS 'how long the former router of a meeting that moves forwards on at most';

CREATE FUNCTION rt_private.media_has_moved(r rt_private.media_routers) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT NOT EXISTS (
		SELECT FROM rt_private.media_transports AS t
		CROSS JOIN LATERAL (
			SELECT count(*) AS n FROM rt_private.media_producers AS d WHERE d.transport_id = t.id AND NOT d.paused) AS sent
		CROSS JOIN LATERAL (
			SELECT count(*) AS n, count(*) FILTER (WHERE (c.stats ->> 'packets')::bigint > 0) AS arrived
			FROM rt_private.media_consumers AS c
			JOIN rt_private.media_producers AS d ON d.id = c.producer_id
			WHERE c.transport_id = t.id AND NOT c.paused AND NOT d.paused AND NOT d.muted) AS received
		WHERE t.meeting_id = r.meeting_id
		GROUP BY t.participant_id
		HAVING sum(sent.n) FILTER (WHERE t.router_id = r.former) > coalesce(sum(sent.n) FILTER (WHERE t.router_id = r.id), 0)
			OR sum(received.n) FILTER (WHERE t.router_id = r.former) > coalesce(sum(received.arrived) FILTER (WHERE t.router_id = r.id), 0))
$$;

COMMENT ON FUNCTION rt_private.media_has_moved(rt_private.media_routers)
	IS 'whether each participant sends and receives by the new router as much as by the former one';

CREATE FUNCTION rt_private.media_close_former(r rt_private.media_routers) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt_private.media_routers AS o
	SET former = NULL, former_worker = NULL, former_until = NULL
	WHERE o.id = r.id AND o.former = r.former;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	DELETE FROM rt_private.media_transports AS t WHERE t.meeting_id = r.meeting_id AND t.router_id = r.former;
	PERFORM rt_private.media_command(r.former_worker, 'close-router', r.meeting_id, jsonb_build_object('routerId', r.former));
END
$$;

COMMENT ON FUNCTION rt_private.media_close_former(rt_private.media_routers) IS 'closes the router that a meeting has moved away from';

CREATE FUNCTION rt_private.media_move(r rt_private.media_routers) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target text := rt_private.media_pick_worker(r.region);
	moved rt_private.media_routers;
	t rt_private.media_transports;
	closes_in_ms integer := (extract(epoch FROM rt_private.media_move_time()) * 1000)::integer;
BEGIN
	IF target IS NULL THEN
		RETURN false;
	END IF;
	UPDATE rt_private.media_routers AS o
	SET id = gen_random_uuid()::text, worker = target, former = o.id, former_worker = o.worker,
		former_until = clock_timestamp() + rt_private.media_move_time()
	WHERE o.id = r.id AND o.former IS NULL
	RETURNING o.* INTO moved;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	FOR t IN SELECT o.* FROM rt_private.media_transports AS o WHERE o.meeting_id = r.meeting_id AND o.router_id = r.id LOOP
		PERFORM rt_private.media_emit_transport_closed(t, 'worker-draining', moved.id, closes_in_ms);
	END LOOP;
	RETURN true;
END
$$;

COMMENT ON FUNCTION rt_private.media_move(rt_private.media_routers) IS 'moves a meeting to another worker, and tells the owners of its transports';

CREATE FUNCTION rt_private.media_move_some() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	r rt_private.media_routers;
BEGIN
	FOR r IN
		SELECT t.* FROM rt_private.media_routers AS t
		JOIN rt_private.media_workers AS w ON w.id = t.worker
		JOIN rt.meetings AS m ON m.id = t.meeting_id
		WHERE w.draining_since IS NOT NULL AND t.former IS NULL
		ORDER BY t.meeting_id LIMIT 50
		FOR NO KEY UPDATE OF m SKIP LOCKED
	LOOP
		EXIT WHEN NOT rt_private.media_move(r);
	END LOOP;
END
$$;

COMMENT ON FUNCTION rt_private.media_move_some() IS 'moves meetings off draining workers';

CREATE FUNCTION rt_private.media_close_formers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	r rt_private.media_routers;
BEGIN
	FOR r IN
		SELECT t.* FROM rt_private.media_routers AS t
		JOIN rt.meetings AS m ON m.id = t.meeting_id
		WHERE t.former IS NOT NULL AND (t.former_until < clock_timestamp()
			OR t.former_until < clock_timestamp() + rt_private.media_move_time() - interval '5 seconds' AND rt_private.media_has_moved(t))
		ORDER BY t.meeting_id LIMIT 200
		FOR NO KEY UPDATE OF m SKIP LOCKED
	LOOP
		PERFORM rt_private.media_close_former(r);
	END LOOP;
END
$$;

COMMENT ON FUNCTION rt_private.media_close_formers() IS 'closes routers that meetings moved away from long enough ago';

CREATE FUNCTION rt_private.media_drain(workers text[]) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (
		SELECT FROM rt_private.media_workers AS w
		WHERE w.id <> ALL (media_drain.workers) AND w.draining_since IS NULL AND rt_private.media_alive(w))
	THEN
		RETURN false;
	END IF;
	UPDATE rt_private.media_workers AS w SET draining_since = clock_timestamp()
	WHERE w.id = ANY (media_drain.workers) AND w.draining_since IS NULL;
	PERFORM rt_private.media_move_some();
	RETURN true;
END
$$;

COMMENT ON FUNCTION rt_private.media_drain(text[]) IS 'drains media workers';

CREATE OR REPLACE FUNCTION rt_private.media_replace_router(r rt_private.media_routers, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t rt_private.media_transports;
	next_router rt_private.media_routers;
BEGIN
	PERFORM FROM rt.meetings AS m WHERE m.id = r.meeting_id FOR NO KEY UPDATE;
	DELETE FROM rt_private.media_routers AS o WHERE o.id = r.id;
	IF NOT FOUND THEN
		RETURN; -- the meeting ended while we waited for it
	END IF;
	PERFORM rt_private.media_command(r.former_worker, 'close-router', r.meeting_id, jsonb_build_object('routerId', r.former));
	next_router := rt_private.media_place(r.meeting_id, r.region);
	FOR t IN DELETE FROM rt_private.media_transports AS o WHERE o.router_id IN (r.id, r.former) RETURNING o.* LOOP
		PERFORM rt_private.media_emit_transport_closed(t, media_replace_router.reason, next_router.id);
	END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_abandon(worker text, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	q rt_private.media_requests;
	r rt_private.media_routers;
BEGIN
	PERFORM FROM rt.meetings AS m
	WHERE m.id IN (SELECT t.meeting_id FROM rt_private.media_routers AS t WHERE t.worker = media_abandon.worker
		UNION ALL SELECT t.meeting_id FROM rt_private.media_routers AS t
		WHERE t.former_worker = media_abandon.worker AND t.former IS NOT NULL)
	ORDER BY m.id FOR NO KEY UPDATE;
	FOR q IN
		SELECT t.* FROM rt_private.media_requests AS t
		WHERE t.worker = media_abandon.worker AND t.gateway IS NOT NULL AND t.answer IS NULL
		ORDER BY t.id FOR UPDATE
	LOOP
		PERFORM rt_private.media_reply_error(q, 'unavailable', 'the media worker is gone');
	END LOOP;
	DELETE FROM rt_private.media_requests AS t
	WHERE t.worker = media_abandon.worker AND t.answer IS NULL;
	-- What was answered, and not fetched yet, is void too.
	UPDATE rt_private.media_requests AS t
	SET answer = (t.answer::jsonb - ARRAY['ack', 'event'] || jsonb_build_object('error',
		jsonb_build_object('code', 'unavailable', 'message', 'The media worker is gone')))::json
	WHERE t.worker = media_abandon.worker;
	FOR r IN
		SELECT t.* FROM rt_private.media_routers AS t WHERE t.worker = media_abandon.worker ORDER BY t.meeting_id
	LOOP
		PERFORM rt_private.media_replace_router(r, media_abandon.reason);
	END LOOP;
	FOR r IN
		SELECT t.* FROM rt_private.media_routers AS t
		WHERE t.former_worker = media_abandon.worker AND t.former IS NOT NULL ORDER BY t.meeting_id
	LOOP
		PERFORM rt_private.media_close_former(r);
	END LOOP;
END
$$;

COMMENT ON FUNCTION rt_private.media_abandon(text, text)
	IS 'moves the meetings of a worker that is gone to other workers, and answers the requests that wait for it';

CREATE OR REPLACE FUNCTION rt_private.media_worker_lost(worker text, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM rt_private.media_workers AS w WHERE w.id = media_worker_lost.worker;
	IF FOUND THEN
		PERFORM rt_private.media_abandon(media_worker_lost.worker, media_worker_lost.reason);
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.media_worker_lost(text, text) IS 'removes a dead media worker';

CREATE OR REPLACE FUNCTION rt_private.media_is_seen(op text) RETURNS boolean
LANGUAGE sql IMMUTABLE
	RETURN op IN ('produce', 'pause-producer', 'resume-producer', 'close-producer');

COMMENT ON FUNCTION rt_private.media_is_seen(text) IS 'whether the answer changes what others see of a meeting';

CREATE OR REPLACE FUNCTION rt_private.media_event_of(op text) RETURNS text
LANGUAGE sql IMMUTABLE
	RETURN CASE op
		WHEN 'create-transport' THEN 'transport-created'
		WHEN 'connect-transport' THEN 'transport-connected'
		WHEN 'restart-ice' THEN 'ice-restarted'
		WHEN 'produce' THEN 'produced'
		WHEN 'consume' THEN 'consumed'
		WHEN 'resume-consumer' THEN 'consumer-resumed'
		WHEN 'pause-consumer' THEN 'consumer-paused'
		WHEN 'close-consumer' THEN 'consumer-closed'
	END;

COMMENT ON FUNCTION rt_private.media_event_of(text) IS 'the event that the caller gets besides the acknowledgement; null if none';

CREATE OR REPLACE FUNCTION rt_private.media_own_transport(actor text, req jsonb) RETURNS rt_private.media_transports
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t rt_private.media_transports;
BEGIN
	SELECT o.* INTO t
	FROM rt_private.media_transports AS o
	JOIN rt.meeting_participants AS p ON p.id = o.participant_id
	WHERE o.id = rt_private.req_text(req, 'transportId')
		AND p.user_id = media_own_transport.actor AND p.socket_id = req ->> 'sid' AND p.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'transport not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN t;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_own_producer(actor text, req jsonb) RETURNS rt_private.media_producers
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d rt_private.media_producers;
BEGIN
	SELECT o.* INTO d
	FROM rt_private.media_producers AS o
	JOIN rt.meeting_participants AS p ON p.id = o.participant_id
	WHERE o.id = rt_private.req_text(req, 'producerId')
		AND p.user_id = media_own_producer.actor AND p.socket_id = req ->> 'sid' AND p.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'producer not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN d;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_own_consumer(actor text, req jsonb) RETURNS rt_private.media_consumers
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c rt_private.media_consumers;
BEGIN
	SELECT o.* INTO c
	FROM rt_private.media_consumers AS o
	JOIN rt.meeting_participants AS p ON p.id = o.participant_id
	WHERE o.id = rt_private.req_text(req, 'consumerId')
		AND p.user_id = media_own_consumer.actor AND p.socket_id = req ->> 'sid' AND p.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'consumer not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN c;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_row(op text, worker text, meeting_id bigint, participant_id bigint, object_id text,
	body jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt_private.media_requests;
BEGIN
	r.op := media_row.op;
	r.worker := media_row.worker;
	r.meeting_id := media_row.meeting_id;
	r.participant_id := media_row.participant_id;
	r.object_id := media_row.object_id;
	r.body := media_row.body;
	RETURN r;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_unavailable() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'no media worker is available' USING ERRCODE = 'RT503';
END
$$;

COMMENT ON FUNCTION rt_private.media_unavailable() IS 'raises the error that no media worker is available';

CREATE OR REPLACE FUNCTION rt_private.media_check_room(held bigint, allowed integer, what text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF held >= allowed THEN
		RAISE EXCEPTION 'a participant can have % % at most', allowed, what USING ERRCODE = 'RT429';
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.media_check_room(bigint, integer, text) IS 'refuses what exceeds a participant''s limit';

CREATE FUNCTION rt_private.media_object(req jsonb, key text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value jsonb := rt_private.req_object(req, key);
BEGIN
	IF pg_column_size(value) > 100000 THEN
		RAISE EXCEPTION '% is too long', key USING ERRCODE = 'RT400';
	ELSIF value @? 'strict $.** ? (@ > 9007199254740992 || @ < -9007199254740992)' THEN
		RAISE EXCEPTION '% has a number that is out of range', key USING ERRCODE = 'RT400';
	END IF;
	RETURN value;
END
$$;

COMMENT ON FUNCTION rt_private.media_object(jsonb, text) IS 'reads an object that a media worker can read, too';

CREATE OR REPLACE FUNCTION rt_private.media_ask_create_transport(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants := rt_private.meeting_member(actor, req, 'consume');
	direction text := rt_private.req_choice(req, 'direction', ARRAY['send', 'recv']);
	router rt_private.media_routers;
	transport text := gen_random_uuid()::text;
BEGIN
	router := rt_private.media_place_for(p.meeting_id, req);
	IF router.id IS NULL THEN
		PERFORM rt_private.media_unavailable();
	END IF;
	PERFORM rt_private.media_check_room(
		(SELECT count(*) FROM rt_private.media_transports AS t WHERE t.participant_id = p.id AND t.router_id = router.id), 8, 'transports');
	PERFORM rt_private.check_transports(actor);
	RETURN rt_private.media_row('create-transport', router.worker, p.meeting_id, p.id, transport,
		jsonb_build_object('routerId', router.id, 'transportId', transport, 'direction', direction, 'userId', actor));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_ask_connect_transport(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t rt_private.media_transports := rt_private.media_own_transport(actor, req);
BEGIN
	IF t.connected THEN
		RAISE EXCEPTION 'the transport is already connected' USING ERRCODE = 'RT409';
	END IF;
	RETURN rt_private.media_row('connect-transport', t.worker, t.meeting_id, t.participant_id, t.id,
		jsonb_build_object('routerId', t.router_id, 'transportId', t.id,
			'dtlsParameters', rt_private.media_object(req, 'dtlsParameters')));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_ask_restart_ice(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t rt_private.media_transports := rt_private.media_own_transport(actor, req);
BEGIN
	RETURN rt_private.media_row('restart-ice', t.worker, t.meeting_id, t.participant_id, t.id,
		jsonb_build_object('routerId', t.router_id, 'transportId', t.id));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_source(req jsonb, kind text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	source text := rt_private.req_choice(req, 'source', ARRAY['camera', 'microphone', 'screen', 'screen-audio'],
		CASE kind WHEN 'audio' THEN 'microphone' ELSE 'camera' END);
BEGIN
	IF (source IN ('microphone', 'screen-audio')) <> (kind = 'audio') THEN
		RAISE EXCEPTION 'source % is not of kind %', source, kind USING ERRCODE = 'RT400';
	END IF;
	RETURN source;
END
$$;

COMMENT ON FUNCTION rt_private.media_source(jsonb, text) IS 'the source of a new producer';

CREATE OR REPLACE FUNCTION rt_private.media_ask_produce(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants := rt_private.meeting_member(actor, req, 'produce');
	t rt_private.media_transports := rt_private.media_own_transport(actor, req);
	kind text := rt_private.req_choice(req, 'kind', ARRAY['audio', 'video']);
	producer text := gen_random_uuid()::text;
BEGIN
	IF t.participant_id <> p.id THEN
		RAISE EXCEPTION 'transport not found' USING ERRCODE = 'RT404';
	ELSIF t.direction <> 'send' THEN
		RAISE EXCEPTION 'the transport is not for sending' USING ERRCODE = 'RT400';
	END IF;
	PERFORM rt_private.media_check_room(
		(SELECT count(*) FROM rt_private.media_producers AS d WHERE d.participant_id = p.id AND d.worker = t.worker), 16, 'producers');
	PERFORM rt_private.check_producers(actor);
	RETURN rt_private.media_row('produce', t.worker, t.meeting_id, t.participant_id, producer,
		jsonb_build_object('routerId', t.router_id, 'transportId', t.id, 'producerId', producer, 'kind', kind,
			'source', rt_private.media_source(req, kind),
			'rtpParameters', rt_private.media_object(req, 'rtpParameters'),
			'paused', rt_private.req_bool(req, 'paused', false),
			'muted', CASE kind WHEN 'audio' THEN p.audio_muted ELSE p.video_muted END));
END
$$;

CREATE FUNCTION rt_private.media_find_producer(meeting_id bigint, worker text, req jsonb) RETURNS rt_private.media_producers
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d rt_private.media_producers;
	by_owner boolean := NOT req ? 'producerId' AND req ? 'producerParticipantId';
BEGIN
	IF by_owner THEN
		SELECT o.* INTO d
		FROM rt_private.media_producers AS o
		WHERE o.participant_id = rt_private.req_id(req, 'producerParticipantId')
			AND o.meeting_id = media_find_producer.meeting_id AND o.worker = media_find_producer.worker
			AND o.kind = rt_private.req_choice(req, 'kind', ARRAY['audio', 'video'])
		ORDER BY o.created_at DESC LIMIT 1;
	ELSE
		SELECT o.* INTO d
		FROM rt_private.media_producers AS o
		WHERE o.id = rt_private.req_text(req, 'producerId') AND o.meeting_id = media_find_producer.meeting_id
			AND o.worker = media_find_producer.worker;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'producer not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN d;
END
$$;

COMMENT ON FUNCTION rt_private.media_find_producer(bigint, text, jsonb) IS 'the producer that consume names';

CREATE OR REPLACE FUNCTION rt_private.media_ask_consume(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants := rt_private.meeting_member(actor, req, 'consume', false);
	t rt_private.media_transports := rt_private.media_own_transport(actor, req);
	d rt_private.media_producers;
	consumer text := gen_random_uuid()::text;
BEGIN
	IF t.participant_id <> p.id THEN
		RAISE EXCEPTION 'transport not found' USING ERRCODE = 'RT404';
	ELSIF t.direction <> 'recv' THEN
		RAISE EXCEPTION 'the transport is not for receiving' USING ERRCODE = 'RT400';
	END IF;
	d := rt_private.media_find_producer(p.meeting_id, t.worker, req);
	PERFORM rt_private.media_check_room(
		(SELECT count(*) FROM rt_private.media_consumers AS c WHERE c.transport_id = t.id), 2000, 'consumers');
	PERFORM rt_private.check_consumers(actor);
	RETURN rt_private.media_row('consume', t.worker, t.meeting_id, t.participant_id, consumer,
		jsonb_build_object('routerId', t.router_id, 'transportId', t.id, 'consumerId', consumer, 'producerId', d.id,
			'rtpCapabilities', rt_private.media_object(req, 'rtpCapabilities')));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_ask_producer(actor text, req jsonb, op text) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d rt_private.media_producers := rt_private.media_own_producer(actor, req);
BEGIN
	IF op = 'resume-producer' AND d.muted THEN
		RAISE EXCEPTION 'muted by a host' USING ERRCODE = 'RT403';
	END IF;
	RETURN rt_private.media_row(op, d.worker, d.meeting_id, d.participant_id, d.id, jsonb_build_object('producerId', d.id));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_ask_consumer(actor text, req jsonb, op text) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c rt_private.media_consumers := rt_private.media_own_consumer(actor, req);
	body jsonb := jsonb_build_object('consumerId', c.id);
BEGIN
	IF op = 'set-preferred-layers' THEN
		body := body || jsonb_build_object('spatialLayer', rt_private.req_layer(req, 'spatialLayer'),
			'temporalLayer', CASE WHEN nullif(req -> 'temporalLayer', 'null') IS NOT NULL
				THEN rt_private.req_layer(req, 'temporalLayer') END,
			'priority', rt_private.req_priority(req));
	END IF;
	RETURN rt_private.media_row(op, c.worker, c.meeting_id, c.participant_id, c.id, body);
END
$$;

CREATE FUNCTION rt_private.req_priority(req jsonb) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value jsonb := nullif(req -> 'priority', 'null');
BEGIN
	IF jsonb_typeof(value) <> 'number' OR value::text !~ '^[0-9]{1,3}$' OR value::text::integer NOT BETWEEN 1 AND 255 THEN
		RAISE EXCEPTION 'priority must be a whole number from 1 to 255' USING ERRCODE = 'RT400';
	END IF;
	RETURN value::text::integer;
END
$$;

COMMENT ON FUNCTION rt_private.req_priority(jsonb) IS 'a consumer''s priority in a request; null: as it was';

CREATE OR REPLACE FUNCTION rt_private.req_layer(req jsonb, key text) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value jsonb := req -> key;
BEGIN
	IF jsonb_typeof(value) IS DISTINCT FROM 'number' OR value::text !~ '^[0-9]$' THEN
		RAISE EXCEPTION '% must be a whole number from 0 to 9', key USING ERRCODE = 'RT400';
	END IF;
	RETURN value::integer;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_ask_stats(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t rt_private.media_transports;
	d rt_private.media_producers;
	c rt_private.media_consumers;
BEGIN
	IF req ? 'producerId' THEN
		d := rt_private.media_own_producer(actor, req);
		RETURN rt_private.media_row('get-stats', d.worker, d.meeting_id, d.participant_id, d.id,
			jsonb_build_object('producerId', d.id));
	ELSIF req ? 'consumerId' THEN
		c := rt_private.media_own_consumer(actor, req);
		RETURN rt_private.media_row('get-stats', c.worker, c.meeting_id, c.participant_id, c.id,
			jsonb_build_object('consumerId', c.id));
	END IF;
	t := rt_private.media_own_transport(actor, req);
	RETURN rt_private.media_row('get-stats', t.worker, t.meeting_id, t.participant_id, t.id,
		jsonb_build_object('transportId', t.id));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_ask(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	op text := req ->> 'op';
BEGIN
	CASE op
		WHEN 'create-transport' THEN RETURN rt_private.media_ask_create_transport(actor, req);
		WHEN 'connect-transport' THEN RETURN rt_private.media_ask_connect_transport(actor, req);
		WHEN 'restart-ice' THEN RETURN rt_private.media_ask_restart_ice(actor, req);
		WHEN 'produce' THEN RETURN rt_private.media_ask_produce(actor, req);
		WHEN 'consume' THEN RETURN rt_private.media_ask_consume(actor, req);
		WHEN 'pause-producer', 'resume-producer', 'close-producer' THEN
			RETURN rt_private.media_ask_producer(actor, req, op);
		WHEN 'pause-consumer', 'resume-consumer', 'close-consumer', 'set-preferred-layers', 'request-keyframe' THEN
			RETURN rt_private.media_ask_consumer(actor, req, op);
		WHEN 'get-stats' THEN RETURN rt_private.media_ask_stats(actor, req);
		ELSE RAISE EXCEPTION 'unknown media request' USING ERRCODE = 'RT400';
	END CASE;
END
$$;

COMMENT ON FUNCTION rt_private.media_ask(text, jsonb) IS 'checks a client''s media request and converts it for the worker';

CREATE OR REPLACE FUNCTION rt_private.ice_random(bytes integer) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN translate(rt_private.random_text(bytes), '-_', '+/');
END
$$;

COMMENT ON FUNCTION rt_private.ice_random(integer) IS 'random bytes for an ICE ufrag or password';

CREATE OR REPLACE FUNCTION rt_private.media_supersede(r rt_private.media_requests) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old rt_private.media_transports;
BEGIN
	FOR old IN
		DELETE FROM rt_private.media_transports AS t
		WHERE t.participant_id = r.participant_id AND t.direction = r.body ->> 'direction' AND t.socket_id <> r.socket_id
		RETURNING t.*
	LOOP
		PERFORM rt_private.media_command(old.worker, 'close-transports', old.meeting_id,
			jsonb_build_object('transportIds', jsonb_build_array(old.id)));
	END LOOP;
END
$$;

COMMENT ON FUNCTION rt_private.media_supersede(rt_private.media_requests) IS 'closes transports that a new one replaces';

CREATE OR REPLACE FUNCTION rt_private.media_make_transport(r rt_private.media_requests, w rt_private.media_workers) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ice jsonb := jsonb_build_object('usernameFragment', rt_private.ice_random(12), 'password', rt_private.ice_random(24),
		'iceLite', true);
BEGIN
	PERFORM rt_private.media_supersede(r);
	INSERT INTO rt_private.media_transports (id, router_id, worker, meeting_id, participant_id, socket_id, direction)
	VALUES (r.object_id, r.body ->> 'routerId', r.worker, r.meeting_id, r.participant_id, r.socket_id, r.body ->> 'direction');
	INSERT INTO rt_private.media_requests (worker, op, meeting_id, participant_id, object_id, body)
	VALUES (r.worker, r.op, r.meeting_id, r.participant_id, r.object_id, r.body || jsonb_build_object('iceParameters', ice))
	RETURNING id INTO r.id;
	PERFORM rt_private.media_wake(r.worker, r.id);
	RETURN json_build_object('transportId', r.object_id, 'id', r.object_id, 'iceParameters', ice,
		'iceCandidates', w.ice_candidates,
		'dtlsParameters', json_build_object('role', 'auto', 'fingerprints', json_build_array(w.fingerprint)),
		'sctpParameters', NULL);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_settle_produce(r rt_private.media_requests, result json) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	muted boolean;
BEGIN
	PERFORM FROM rt_private.media_transports AS t WHERE t.id = r.body ->> 'transportId' FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	SELECT t.* INTO p FROM rt.meeting_participants AS t WHERE t.id = r.participant_id;
	IF NOT 'produce' = ANY (rt_private.meeting_permissions(p.role)) THEN
		RETURN NULL;
	END IF;
	muted := CASE r.body ->> 'kind' WHEN 'audio' THEN p.audio_muted ELSE p.video_muted END;
	INSERT INTO rt_private.media_producers (id, transport_id, worker, meeting_id, participant_id, kind, source, type, paused, muted)
	VALUES (r.object_id, r.body ->> 'transportId', r.worker, r.meeting_id, r.participant_id, r.body ->> 'kind',
		r.body ->> 'source', coalesce(result ->> 'type', 'simple'), (r.body ->> 'paused')::boolean, muted);
	IF muted <> (r.body ->> 'muted')::boolean THEN
		PERFORM rt_private.media_command(r.worker, 'mute-producer', r.meeting_id,
			jsonb_build_object('producerId', r.object_id, 'muted', muted));
	END IF;
	RETURN json_build_object('producerId', r.object_id, 'id', r.object_id, 'kind', r.body ->> 'kind');
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_settle_consume(r rt_private.media_requests, result json) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d rt_private.media_producers;
BEGIN
	PERFORM FROM rt_private.media_transports AS t WHERE t.id = r.body ->> 'transportId' FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	SELECT o.* INTO d FROM rt_private.media_producers AS o WHERE o.id = r.body ->> 'producerId' FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	INSERT INTO rt_private.media_consumers (id, transport_id, producer_id, worker, meeting_id, participant_id, kind)
	VALUES (r.object_id, r.body ->> 'transportId', d.id, r.worker, r.meeting_id, r.participant_id, d.kind);
	RETURN json_build_object('consumerId', r.object_id, 'id', r.object_id, 'producerId', d.id, 'kind', d.kind,
		'rtpParameters', result -> 'rtpParameters', 'type', coalesce(result ->> 'type', d.type), 'paused', true,
		'producerPaused', d.paused OR d.muted, 'producerParticipantId', d.participant_id::text, 'source', d.source);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_settle_producer(r rt_private.media_requests) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF r.op = 'close-producer' THEN
		DELETE FROM rt_private.media_producers AS d WHERE d.id = r.object_id;
	ELSE
		UPDATE rt_private.media_producers AS d
		SET paused = (r.op = 'pause-producer'), paused_by = r.id
		WHERE d.id = r.object_id AND d.paused_by < r.id;
	END IF;
	RETURN json_build_object('producerId', r.object_id);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_settle_consumer(r rt_private.media_requests) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF r.op = 'close-consumer' THEN
		DELETE FROM rt_private.media_consumers AS c WHERE c.id = r.object_id;
	ELSIF r.op IN ('pause-consumer', 'resume-consumer') THEN
		UPDATE rt_private.media_consumers AS c SET paused = (r.op = 'pause-consumer') WHERE c.id = r.object_id;
	END IF;
	RETURN json_build_object('consumerId', r.object_id);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_settle(r rt_private.media_requests, result json) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	CASE r.op
		WHEN 'produce' THEN RETURN rt_private.media_settle_produce(r, result);
		WHEN 'consume' THEN RETURN rt_private.media_settle_consume(r, result);
		WHEN 'connect-transport' THEN
			UPDATE rt_private.media_transports AS t SET connected = true WHERE t.id = r.object_id;
			RETURN json_build_object('transportId', r.object_id);
		WHEN 'restart-ice' THEN
			RETURN json_build_object('transportId', r.object_id, 'iceParameters', result -> 'iceParameters');
		WHEN 'get-stats' THEN
			RETURN json_build_object('stats', coalesce(result -> 'stats', '[]'));
		WHEN 'pause-producer', 'resume-producer', 'close-producer' THEN RETURN rt_private.media_settle_producer(r);
		ELSE RETURN rt_private.media_settle_consumer(r);
	END CASE;
END
$$;

CREATE FUNCTION rt_private.lineage() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_lineage';

COMMENT ON FUNCTION rt_private.lineage() IS
	'which history of which server this database is: system identifier, timeline, where the timeline began, database';

CREATE TABLE rt_private.epochs (
	from_pos bigint PRIMARY KEY,
	after_pos bigint NOT NULL,
	epoch text NOT NULL,
	lineage text NOT NULL,
	is_new boolean NOT NULL DEFAULT true,
	began_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE rt_private.epochs IS 'where positions begin again behind a gap; the epoch of the highest from_pos is the present one';

COMMENT ON COLUMN rt_private.epochs.from_pos IS 'its positions are above this one';

COMMENT ON COLUMN rt_private.epochs.after_pos IS 'the last known position of the epoch before; what is between the two was lost';

COMMENT ON COLUMN rt_private.epochs.epoch IS 'what clients are told, random';

COMMENT ON COLUMN rt_private.epochs.lineage IS 'lineage() of then';

COMMENT ON COLUMN rt_private.epochs.is_new IS 'false: the same epoch goes on after a crash, which has lost no message';

COMMENT ON COLUMN rt_private.epochs.began_at IS 'when';

CREATE FUNCTION rt.epoch() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT coalesce((SELECT e.epoch FROM (SELECT t.* FROM rt_private.epochs AS t ORDER BY t.from_pos DESC LIMIT 1) AS e
				WHERE e.lineage = l.lineage),
			'x' || left(md5(l.lineage || coalesce((SELECT max(t.from_pos) FROM rt_private.epochs AS t), 0)), 12))
		FROM rt_private.lineage() AS l (lineage));
END
$$;

COMMENT ON FUNCTION rt.epoch() IS
	'changes when a server with possibly fewer messages has taken over: numbers of messages and positions mean the same only within one';

CREATE FUNCTION rt_private.begin_epoch(last_pos bigint, crashed boolean, anew boolean) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	present text := rt_private.lineage();
	e rt_private.epochs;
BEGIN
	SELECT t.* INTO e FROM rt_private.epochs AS t ORDER BY t.from_pos DESC LIMIT 1;
	IF e.lineage = present AND NOT crashed THEN
		RETURN last_pos;
	ELSIF e.lineage = present AND NOT anew THEN
		e.is_new := false;
		e.from_pos := last_pos + 1000000;
	ELSE
		-- By chance too: of two standbys that are promoted at the same point, one after the other, neither's positions are the other's.
		e.from_pos := last_pos + CASE WHEN e.epoch IS NULL THEN 0 ELSE 1000000000 + floor(random() * 1000000000)::bigint END;
		e.is_new := true;
		e.epoch := rt_private.random_text(9);
	END IF;
	DELETE FROM rt_private.epochs AS t WHERE NOT t.is_new AND t.began_at < clock_timestamp() - interval '1 day';
	INSERT INTO rt_private.epochs (from_pos, after_pos, epoch, lineage, is_new) VALUES (e.from_pos, last_pos, e.epoch, present, e.is_new);
	RETURN e.from_pos;
END
$$;

COMMENT ON FUNCTION rt_private.begin_epoch(bigint, boolean, boolean) IS
	'for the relay at its start: returns the position after which it continues; begins an epoch if the lineage has changed, or after a crash if anew is true';

CREATE FUNCTION rt_private.is_lost(pos bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM rt_private.epochs AS e WHERE e.is_new AND e.after_pos < is_lost.pos AND is_lost.pos < e.from_pos)
$$;

COMMENT ON FUNCTION rt_private.is_lost(bigint) IS 'whether a position is of a part of an older epoch that this server never had';

SELECT rt_private.begin_epoch(0, false, false);

REVOKE ALL ON FUNCTION rt_private.lineage(), rt.epoch(), rt_private.begin_epoch(bigint, boolean, boolean), rt_private.is_lost(bigint) FROM PUBLIC;

REVOKE ALL ON rt_private.epochs FROM PUBLIC;

GRANT EXECUTE ON FUNCTION rt.epoch() TO rt_app;

COMMENT ON FUNCTION rt_private.emit(text, json, json, boolean, bigint, bigint) IS
    'queues an event for the recipients that route names, sent when, and only if, the transaction commits';

CREATE FUNCTION rt_private.check_served() RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rt_check_served';

COMMENT ON FUNCTION rt_private.check_served() IS 'whether this session can send events; warns once if it cannot';

CREATE FUNCTION rt_private.change_payload(message rt.messages, deleted_by text) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN message.deleted_at IS NULL THEN
        json_build_object('type', 'message-edited', 'roomId', message.room_id::text,
            'data', json_build_object('messageId', message.room_id || '-' || message.seq,
                'roomId', message.room_id::text, 'newContent', message.content, 'editedBy', message.sender_id,
                'timestamp', t.iso), 'timestamp', t.iso)
    ELSE
        json_build_object('type', 'message-deleted', 'roomId', message.room_id::text,
            'data', json_build_object('messageId', message.room_id || '-' || message.seq,
                'roomId', message.room_id::text, 'deletedBy', coalesce(deleted_by, message.sender_id),
                'timestamp', t.iso), 'timestamp', t.iso)
    END
    FROM (SELECT to_char(coalesce(message.deleted_at, message.edited_at) AT TIME ZONE 'UTC',
                         'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) AS t (iso)
$$;

COMMENT ON FUNCTION rt_private.change_payload(rt.messages, text) IS
    'rebuilds the event payload for an edited or deleted message whose event was lost';

COMMENT ON TABLE rt.events IS
    'event log of the last rt.recovery_window, in the order of delivery; written by the relay';

COMMENT ON COLUMN rt.events.route IS 'recipients, as a JSON object; null: all who joined the room';

COMMENT ON COLUMN rt.events.room_id IS 'the room concerned, if any';

COMMENT ON COLUMN rt.events.seq IS 'the message concerned, if any';

COMMENT ON COLUMN rt.events.payload IS 'payload, a JSON object; null: the current message (room_id, seq)';

COMMENT ON INDEX rt.events_message IS 'finds a room''s last logged message';

COMMENT ON INDEX rt.events_change IS 'finds logged changes of messages';

COMMENT ON INDEX rt.messages_changed IS 'finds recently edited or deleted messages';

COMMENT ON TABLE rt_private.relay_state IS 'state that the relay needs at start; one row';

COMMENT ON COLUMN rt_private.relay_state.one IS 'restricts the table to one row';

COMMENT ON COLUMN rt_private.relay_state.last_pos IS 'last assigned position, for an empty log';

COMMENT ON COLUMN rt_private.relay_state.clean IS 'whether the last relay shut down cleanly';

COMMENT ON COLUMN rt_private.relay_state.horizon IS 'all events of older transactions have been logged';

COMMENT ON COLUMN rt_private.relay_state.horizon_at IS 'transactions from horizon on started after this time';

CREATE FUNCTION rt_private.payload_now(e rt.events) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_edit boolean := e.event = 'chat-message-edited';
    number bigint := e.seq;
BEGIN
    IF NOT is_edit AND (e.event <> 'chat-notification' OR strpos(e.payload, '"mention"') = 0) THEN
        RETURN e.payload;
    END IF;
    IF NOT is_edit THEN
        IF e.payload::jsonb ->> 'type' IS DISTINCT FROM 'mention' THEN
            RETURN e.payload;
        END IF;
        number := (e.payload::jsonb #>> '{data,seq}')::bigint;
    END IF;
    IF EXISTS (SELECT FROM rt.messages m WHERE m.room_id = e.room_id AND m.seq = number AND m.deleted_at IS NULL) THEN
        RETURN e.payload;
    END IF;
    RETURN jsonb_set(e.payload::jsonb, CASE WHEN is_edit THEN '{data,newContent}' ELSE '{data,content}' END::text[], '""')::text;
END
$$;

COMMENT ON FUNCTION rt_private.payload_now(rt.events) IS 'the payload of a log row, without the text of a message deleted since';

CREATE OR REPLACE FUNCTION rt_private.event_text(e rt.events) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(
        rt_private.event_text(e.pos, e.event, e.route, e.room_id,
            coalesce(rt_private.payload_now(e), (SELECT rt_private.message_payload(h.m)::text FROM rt_private.history h
                                 WHERE h.room_id = e.room_id AND h.seq = e.seq))),
        rt_private.event_text(e.pos, 'rt:gone', '{"gateway":true}', NULL, '{}'))
$$;

CREATE FUNCTION rt_private.log_last_pos() RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT greatest(state.last_pos, (SELECT max(e.pos) FROM rt.events AS e)) FROM rt_private.relay_state AS state);
END
$$;

COMMENT ON FUNCTION rt_private.log_last_pos() IS 'the position of the last event that was logged';

CREATE FUNCTION rt_private.log_reaches(pos bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	floor bigint := (SELECT coalesce(min(e.pos) - 1, rt_private.log_last_pos()) FROM rt.events AS e);
	at bigint := log_reaches.pos;
BEGIN
	WHILE at < floor LOOP
		SELECT e.from_pos INTO at FROM rt_private.epochs AS e WHERE e.after_pos <= at AND at < e.from_pos ORDER BY e.from_pos LIMIT 1;
		IF NOT FOUND THEN
			RETURN false;
		END IF;
	END LOOP;
	RETURN at IS NOT NULL;
END
$$;

COMMENT ON FUNCTION rt_private.log_reaches(bigint) IS 'whether the log still has all that came after a position';

CREATE OR REPLACE FUNCTION rt_api.events_since(actor text, req jsonb) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH page AS MATERIALIZED (
        SELECT e.pos, rt_private.event_text(e) AS line FROM rt.events e
        WHERE e.pos > (req->>'pos')::bigint
        ORDER BY e.pos
        LIMIT least(greatest(coalesce((req->>'limit')::integer, 500), 1), 1000)
    ), sized AS (
        SELECT page.pos, page.line, sum(octet_length(page.line)) OVER (ORDER BY page.pos) - octet_length(page.line) AS before
        FROM page
    )
    SELECT json_build_object(
        'events', coalesce((SELECT json_agg(sized.line ORDER BY sized.pos) FROM sized
                            WHERE sized.before < coalesce((req->>'bytes')::bigint, 1048576)), '[]'),
        'relay', (SELECT r.pid FROM rt_private.stat_relay() r),
        'epoch', rt.epoch(),
        'lost', rt_private.is_lost((req->>'pos')::bigint),
        'whole', rt_private.log_reaches((req->>'pos')::bigint),
        'first', (SELECT min(e.pos)::text FROM rt.events e),
        'last', (SELECT greatest(s.last_pos, (SELECT max(e.pos) FROM rt.events e))::text
                 FROM rt_private.relay_state s))
$$;

COMMENT ON FUNCTION rt_api.events_since(text, jsonb) IS
    'events after "pos", at most "limit" and about "bytes"; first and last position of the log; process id of the relay; the epoch, whether "pos" was lost, and whether the log still has all after "pos"';

CREATE FUNCTION rt_api.echo(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	token text := rt_private.req_text(req, 'token');
	channel text := rt_private.req_choice(req, 'channel', ARRAY['rt_events', 'rt_media'], 'rt_events');
BEGIN
	IF token !~ '^[0-9a-f.]{1,39}$' THEN
		RAISE EXCEPTION 'token is malformed' USING ERRCODE = 'RT400';
	END IF;
	PERFORM rt_private.soft_commit();
	PERFORM pg_notify(channel, '{"echo":"' || token || '"}');
	RETURN '{}'::json;
END
$$;

COMMENT ON FUNCTION rt_api.echo(text, jsonb) IS 'notifies a program''s token, so that the program learns whether it hears';

CREATE FUNCTION rt_private.stat_relay(
    OUT pid integer, OUT last_pos bigint, OUT events bigint, OUT batches bigint, OUT largest_batch bigint,
    OUT lag interval, OUT largest_lag interval, OUT ring_bytes bigint, OUT ring_used bigint, OUT ring_high_water bigint,
    OUT published bigint, OUT lost bigint, OUT rescans bigint, OUT rescued bigint, OUT notify_failures bigint,
    OUT stats_reset timestamptz, OUT oldest_wait interval, OUT blocker_pid integer, OUT rooms_held bigint, OUT lag_sum interval, OUT lag_counts bigint[], OUT lag_bounds_us bigint[])
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rt_stat_relay';

COMMENT ON FUNCTION rt_private.stat_relay() IS 'statistics of this database''s relay and ring';

COMMENT ON FUNCTION rt_private.reset_relay_stats() IS 'resets the counters of rt.stat_relay';

CREATE VIEW rt.stat_relay AS
    SELECT s.pid, s.last_pos, s.events, s.batches, s.largest_batch, s.lag, s.lag_sum / nullif(t.measured, 0) AS mean_lag,
           s.largest_lag, s.ring_bytes, s.ring_used, s.ring_high_water, s.published, s.lost, s.rescans, s.rescued,
           s.notify_failures, s.stats_reset, s.oldest_wait, s.blocker_pid,
           (SELECT a.wait_event_type || ': ' || a.wait_event FROM pg_catalog.pg_stat_get_activity(coalesce(s.blocker_pid, s.pid)) AS a
            WHERE s.oldest_wait IS NOT NULL) AS waits_for, s.rooms_held
    FROM rt_private.stat_relay() s
    CROSS JOIN LATERAL (SELECT sum(n)::float8 AS measured FROM unnest(s.lag_counts) AS n) AS t;

COMMENT ON VIEW rt.stat_relay IS 'statistics of this database''s relay';

COMMENT ON COLUMN rt.stat_relay.pid IS 'process id of the relay; null if not running';

COMMENT ON COLUMN rt.stat_relay.last_pos IS 'position of the last event in rt.events';

COMMENT ON COLUMN rt.stat_relay.events IS 'events sent';

COMMENT ON COLUMN rt.stat_relay.batches IS 'transactions in which it sent them';

COMMENT ON COLUMN rt.stat_relay.largest_batch IS 'largest number of events in one transaction';

COMMENT ON COLUMN rt.stat_relay.lag IS 'age of the oldest event in the last batch when sent';

COMMENT ON COLUMN rt.stat_relay.mean_lag IS 'mean lag over all batches; null if there was none';

COMMENT ON COLUMN rt.stat_relay.largest_lag IS 'largest lag';

COMMENT ON COLUMN rt.stat_relay.ring_bytes IS 'size of the ring, rt.ring_size';

COMMENT ON COLUMN rt.stat_relay.ring_used IS 'bytes used in the ring';

COMMENT ON COLUMN rt.stat_relay.ring_high_water IS 'largest number of bytes used';

COMMENT ON COLUMN rt.stat_relay.published IS 'transactions that put events into the ring';

COMMENT ON COLUMN rt.stat_relay.lost IS 'transactions that found the ring full; their messages are recovered from the tables';

COMMENT ON COLUMN rt.stat_relay.rescans IS 'scans of the tables for messages missing from the log';

COMMENT ON COLUMN rt.stat_relay.rescued IS 'events found by rescans';

COMMENT ON COLUMN rt.stat_relay.notify_failures IS 'batches logged without notifications because the notification queue was full';

COMMENT ON COLUMN rt.stat_relay.oldest_wait IS 'age of the oldest unsent event; null if none waits. See rt.max_relay_wait';

COMMENT ON COLUMN rt.stat_relay.blocker_pid IS 'process id of the session whose commit that event waits for; null if the relay itself is behind';

COMMENT ON COLUMN rt.stat_relay.waits_for IS 'wait event of that session, or of the relay';

COMMENT ON COLUMN rt.stat_relay.rooms_held IS 'rooms whose old messages rt.retain_messages could not remove, because another table refers to them or a trigger keeps them';

COMMENT ON COLUMN rt.stat_relay.stats_reset IS 'since when all this is counted: rt.reset_stats() or the server''s start';

CREATE FUNCTION rt_private.stat_table_locks()
RETURNS TABLE (pid integer, table_name text, mode text, granted boolean, since timestamptz, waiting bigint, blocked_by integer[], query text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH all_locks AS MATERIALIZED (SELECT * FROM pg_locks),
	locks AS MATERIALIZED (
		SELECT l.pid, l.relation, l.mode, l.granted, l.waitstart, l.virtualtransaction FROM all_locks AS l
		WHERE l.locktype = 'relation' AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
	)
	SELECT l.pid, n.nspname || '.' || c.relname, l.mode, l.granted, CASE WHEN l.granted THEN coalesce(a.xact_start, p.prepared) ELSE l.waitstart END,
		(SELECT count(*) FROM locks AS w WHERE w.relation = l.relation AND NOT w.granted AND w.pid IS DISTINCT FROM l.pid),
		CASE WHEN l.granted THEN '{}' ELSE pg_blocking_pids(l.pid) END, coalesce(a.query, 'PREPARE TRANSACTION ' || quote_literal(p.gid))
	FROM locks AS l JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
	LEFT JOIN LATERAL (SELECT * FROM pg_stat_get_activity(l.pid) WHERE l.pid IS NOT NULL) AS a ON true
	-- It keeps the name of its session's transaction until a restart.  The lock on its own number says which it is.
	LEFT JOIN all_locks AS x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock'
		AND x.virtualtransaction = l.virtualtransaction
	LEFT JOIN pg_prepared_xacts AS p ON p.transaction = x.transactionid
	WHERE n.nspname IN ('rt', 'rt_private') AND c.relkind = 'r'
		AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
$$;

COMMENT ON FUNCTION rt_private.stat_table_locks() IS 'locks on whole tables of rt that keep writers waiting, and sessions that wait for such a lock';

CREATE VIEW rt.stat_locks AS
	SELECT l.pid, l.table_name, l.mode, l.granted, l.since, l.waiting, l.blocked_by, l.query FROM rt_private.stat_table_locks() AS l;

COMMENT ON VIEW rt.stat_locks IS 'locks on whole tables of rt that keep writers waiting, such as those of LOCK TABLE, ALTER TABLE, CREATE INDEX or VACUUM FULL';

COMMENT ON COLUMN rt.stat_locks.pid IS 'process id of the session; null: a prepared transaction';

COMMENT ON COLUMN rt.stat_locks.table_name IS 'the table';

COMMENT ON COLUMN rt.stat_locks.mode IS 'the lock, as in pg_locks; AccessExclusiveLock keeps readers waiting, too';

COMMENT ON COLUMN rt.stat_locks.granted IS 'false: the session waits for the lock, and others wait behind it';

COMMENT ON COLUMN rt.stat_locks.since IS 'when its transaction began, or when it began to wait';

COMMENT ON COLUMN rt.stat_locks.waiting IS 'sessions that wait for the table';

COMMENT ON COLUMN rt.stat_locks.blocked_by IS 'process ids that it waits for';

COMMENT ON COLUMN rt.stat_locks.query IS 'last statement of the session';

CREATE FUNCTION rt_private.lock_figures() RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('tables', count(DISTINCT l.table_name),
		'oldestUs', coalesce((extract(epoch FROM clock_timestamp() - min(l.since)) * 1000000)::bigint, 0),
		'exclusive', coalesce(bool_or(l.mode = 'AccessExclusiveLock'), false),
		'locked', current_setting('rt.max_relay_wait')::interval > interval '0' AND coalesce(bool_or(l.mode = 'AccessExclusiveLock'
			AND l.table_name IN ('rt.messages', 'rt.rooms', 'rt.room_members', 'rt.users')
			AND l.since < clock_timestamp() - current_setting('rt.max_relay_wait')::interval), false))
	FROM rt_private.stat_table_locks() AS l
$$;

COMMENT ON FUNCTION rt_private.lock_figures() IS 'what rt.stat_locks shows, for metrics';

REVOKE ALL ON FUNCTION rt_private.emit(text, json, json, boolean, bigint, bigint),
    rt_private.change_payload(rt.messages, text),
    rt_private.event_text(bigint, text, text, bigint, text), rt_private.event_text(rt.events),
    rt_private.stat_relay(), rt_private.reset_relay_stats(), rt_private.stat_table_locks(), rt_private.lock_figures(), rt_api.events_since(text, jsonb), rt_api.echo(text, jsonb) FROM PUBLIC;

REVOKE ALL ON rt.events, rt_private.relay_state, rt.stat_relay, rt.stat_locks FROM PUBLIC;

GRANT EXECUTE ON FUNCTION rt_api.events_since(text, jsonb), rt_api.echo(text, jsonb) TO rt_gateway;

GRANT EXECUTE ON FUNCTION rt_api.echo(text, jsonb) TO rt_media;

GRANT EXECUTE ON FUNCTION rt_private.stat_relay(), rt_private.stat_table_locks() TO pg_monitor;

GRANT SELECT ON rt.stat_relay, rt.stat_locks TO pg_monitor;

CREATE FUNCTION rt_private.program_settings() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_program_settings';

COMMENT ON FUNCTION rt_private.program_settings() IS 'the settings that programs are told, as JSON: times in milliseconds, sizes in bytes';

CREATE FUNCTION rt_private.settings_stamp() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT md5(rt_private.program_settings())
$$;

COMMENT ON FUNCTION rt_private.settings_stamp() IS 'changes when a setting that programs are told does';

CREATE FUNCTION rt_private.gateway_number(host text, port integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found integer;
BEGIN
	UPDATE rt_private.gateway_numbers AS n SET used_at = clock_timestamp()
	WHERE n.host = gateway_number.host AND n.port = gateway_number.port
	RETURNING n.number INTO found;
	IF found IS NOT NULL THEN
		RETURN found;
	END IF;
	LOCK TABLE rt_private.gateway_numbers IN SHARE ROW EXCLUSIVE MODE;
	-- Hosts that come and go under new names must not use the numbers up.
	DELETE FROM rt_private.gateway_numbers AS n WHERE n.used_at < clock_timestamp() - interval '7 days'
		AND NOT EXISTS (SELECT FROM rt_private.gateways AS g WHERE g.slot = n.number);
	INSERT INTO rt_private.gateway_numbers (host, port, number)
	SELECT gateway_number.host, gateway_number.port, min(free.number)
	FROM (
		SELECT 100 AS number
		UNION ALL
		SELECT n.number + 1 FROM rt_private.gateway_numbers AS n) AS free
	WHERE NOT EXISTS (SELECT FROM rt_private.gateway_numbers AS n WHERE n.number = free.number)
	ON CONFLICT ON CONSTRAINT gateway_numbers_pkey DO UPDATE SET used_at = clock_timestamp()
	RETURNING number INTO found;
	RETURN found;
END
$$;

COMMENT ON FUNCTION rt_private.gateway_number(text, integer) IS 'the number of a gateway on a host of its own: as before, or a free one';

CREATE FUNCTION rt_api.hello(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kind text := rt_private.req_choice(req, 'program', ARRAY['gateway', 'media']);
	library text := current_setting('rt.version', true);
	installed text := (SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'rt');
BEGIN
	IF installed IS DISTINCT FROM library THEN
		RAISE EXCEPTION 'extension rt has version % in database "%", the server''s library is version %', installed, current_database(),
			coalesce(library, 'unknown') USING ERRCODE = 'RT409', HINT = 'Run "ALTER EXTENSION rt UPDATE" in this database.';
	END IF;
	IF req ->> 'version' IS DISTINCT FROM library THEN
		RAISE EXCEPTION 'the server runs version % of rt, this rt_% is version %', library, kind, coalesce(req ->> 'version', 'unknown')
			USING ERRCODE = 'RT409', HINT = 'Install the same version on both hosts.';
	END IF;
	RETURN json_build_object('version', library, 'database', current_database(),
		'settings', CASE kind WHEN 'gateway' THEN rt_private.program_settings()::jsonb
			ELSE rt_private.program_settings()::jsonb - 'conninfo_read' END, 'stamp', rt_private.settings_stamp(),
		'number', CASE kind WHEN 'gateway' THEN
			rt_private.gateway_number(rt_private.req_text(req, 'host'), (req ->> 'port')::integer) END);
END
$$;

COMMENT ON FUNCTION rt_api.hello(text, jsonb) IS 'a program on a host of its own asks for its settings and its number';

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

CREATE OR REPLACE FUNCTION rt_api.auth(actor text, req jsonb) RETURNS json
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

CREATE OR REPLACE FUNCTION rt_api.auth_refresh(actor text, req jsonb) RETURNS json
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

CREATE FUNCTION rt_private.free_username(wanted text, actor text) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT f.username FROM (VALUES (1, wanted), (2, actor), (3, 'user-' || gen_random_uuid())) AS f (n, username)
	WHERE rt_private.username_fault(f.username) IS NULL AND octet_length(rt_private.username_form(f.username)) BETWEEN 1 AND 128
		AND f.username !~ '[[:cntrl:][:space:]]' AND NOT EXISTS (SELECT FROM rt.users AS u
			WHERE lower(u.username) = lower(rt_private.username_form(f.username)) AND u.id <> actor)
	ORDER BY f.n LIMIT 1
$$;

COMMENT ON FUNCTION rt_private.free_username(text, text) IS 'a username for a user whom an issuer creates';

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

CREATE FUNCTION rt_private.address_network(address text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN address ~ '^[0-9a-fA-F]*:[0-9a-fA-F:]+$' THEN set_masklen(address::inet, 64)::cidr::text ELSE coalesce(address, '') END
$$;

COMMENT ON FUNCTION rt_private.address_network(text) IS 'the network of an address, by which attempts are counted';

CREATE FUNCTION rt_private.audit_meeting_limited(meeting_id bigint, actor text, req jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	what jsonb := jsonb_build_object('meetingId', audit_meeting_limited.meeting_id::text);
	sender text := CASE WHEN actor IS NULL THEN req ->> 'address' END;
BEGIN
	INSERT INTO rt.audit (action, user_id, role, address, gateway, detail)
	SELECT 'meeting-password-limited', audit_meeting_limited.actor, rt_private.caller(), sender, req ->> 'gateway', what
	WHERE NOT EXISTS (SELECT FROM rt.audit AS a WHERE a.at > clock_timestamp() - interval '15 minutes' AND a.action = 'meeting-password-limited'
		AND a.user_id IS NOT DISTINCT FROM audit_meeting_limited.actor AND a.address IS NOT DISTINCT FROM sender
		AND a.detail = what);
END
$$;

COMMENT ON FUNCTION rt_private.audit_meeting_limited(bigint, text, jsonb) IS 'writes that attempts at a meeting''s password are held back';

CREATE FUNCTION rt_private.meeting_password_refusal(m rt.meetings, actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	who text := coalesce('user ' || actor, 'address ' || rt_private.address_network(req ->> 'address'));
	attempts text := rt_private.brake_name('meeting', m.id || ' ' || who);
	wait integer;
BEGIN
	IF m.password_hash IS NULL OR m.host_id = actor
		OR EXISTS (SELECT FROM rt_private.guests AS g
			WHERE g.user_id = actor AND g.meeting_id = m.id AND g.password_hash = m.password_hash)
	THEN
		RETURN NULL;
	END IF;
	wait := rt_private.brake(attempts);
	IF wait > 0 THEN
		PERFORM rt_private.audit_meeting_limited(m.id, actor, req);
		RETURN rt_private.limited(wait);
	ELSIF rt_private.meeting_password_matches(rt_private.req_password(req), m.password_hash) THEN
		RETURN NULL;
	END IF;
	IF rt_private.req_password(req) IS NOT NULL THEN -- to ask without one guesses nothing
		PERFORM rt_private.note_failure(attempts);
		INSERT INTO rt.audit (action, user_id, role, address, gateway, detail)
		VALUES ('meeting-password-failed', actor, rt_private.caller(), CASE WHEN actor IS NULL THEN req ->> 'address' END,
			req ->> 'gateway', jsonb_build_object('meetingId', m.id::text));
	END IF;
	RETURN '{"status": 401, "error": {"code": "wrong_password", "message": "Wrong password"}}';
END
$$;

COMMENT ON FUNCTION rt_private.meeting_password_refusal(rt.meetings, text, jsonb)
	IS 'how a request with a wrong password is answered; ten in 15 minutes are looked at';

CREATE FUNCTION rt_private.req_guest_name(req jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text := btrim(rt_private.req_text(req, 'name'));
BEGIN
	IF char_length(name) NOT BETWEEN 1 AND 64 OR name ~ '[[:cntrl:]]' THEN
		RAISE EXCEPTION 'name must have 1 to 64 characters, and no control characters' USING ERRCODE = 'RT400';
	END IF;
	RETURN rt_private.req_display_name(req, 'name');
END
$$;

COMMENT ON FUNCTION rt_private.req_guest_name(jsonb) IS 'the name that a guest gives';

CREATE FUNCTION rt_private.guest_check(m rt.meetings) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT m.guests OR m.access <> 'anyone' THEN
		RAISE EXCEPTION 'this meeting is not open to guests' USING ERRCODE = 'RT403';
	ELSIF m.locked THEN
		RAISE EXCEPTION 'meeting is locked' USING ERRCODE = 'RT403';
	ELSIF (SELECT count(*) FROM rt_private.guests AS g WHERE g.meeting_id = m.id AND g.until > clock_timestamp()) >= m.max_participants THEN
		RAISE EXCEPTION 'meeting is full' USING ERRCODE = 'RT4FU';
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.guest_check(rt.meetings) IS 'refuses a guest if the meeting allows none, or has too many';

CREATE FUNCTION rt_private.guest_ttl() RETURNS interval
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT least(interval '24 hours', coalesce(current_setting('rt.session_lifetime', true)::interval, interval '30 days'))
$$;

COMMENT ON FUNCTION rt_private.guest_ttl() IS 'maximum lifetime of a guest''s token, which cannot be refreshed';

CREATE FUNCTION rt_api.guest_create(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	given_name text := rt_private.req_guest_name(req);
	m rt.meetings := rt_private.meeting_find_open(rt_private.req_id(req, 'meetingId'));
	checked text := m.password_hash;
	refusal json;
	guest text := 'guest-' || rt_private.random_text(15);
	ends_at timestamptz := clock_timestamp() + rt_private.guest_ttl();
	s rt.sessions;
BEGIN
	PERFORM rt_private.guest_check(m);
	refusal := rt_private.meeting_password_refusal(m, NULL, req);
	IF refusal IS NOT NULL THEN
		RETURN refusal;
	END IF;
	m := rt_private.meeting_lock_open(m.id);
	PERFORM rt_private.guest_check(m);
	INSERT INTO rt.users (id, username, name) VALUES (guest, guest, given_name);
	INSERT INTO rt_private.guests (user_id, meeting_id, password_hash, until) VALUES (guest, m.id, checked, ends_at);
	s := rt_private.open_session(guest, req ->> 'address', req ->> 'userAgent', NULL);
	RETURN json_build_object('status', 201, 'token', rt_private.make_token(guest, ends_at - clock_timestamp(), s.id, '{"guest": true}'),
		'expiresAt', rt_private.iso(ends_at), 'user', json_build_object('id', guest, 'name', given_name, 'guest', true));
END
$$;

COMMENT ON FUNCTION rt_api.guest_create(text, jsonb) IS 'POST /api/meetings/:meetingId/guests';

CREATE FUNCTION rt_private.lobby_request(actor text, req jsonb, decision text) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	waiting bigint := CASE WHEN req ->> 'waitingId' = 'all' THEN NULL ELSE rt_private.req_id(req, 'waitingId') END;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'remove');
	RETURN json_build_object('meetingId', p.meeting_id::text, 'waitingId', coalesce(waiting::text, 'all'),
		'count', rt_private.lobby_decide(p.meeting_id, waiting, decision));
END
$$;

COMMENT ON FUNCTION rt_private.lobby_request(text, jsonb, text) IS 'a host''s or co-host''s decision on waiting users';

CREATE FUNCTION rt_api.meeting_admit(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN rt_private.lobby_request(actor, req, 'admitted');
END
$$;

COMMENT ON FUNCTION rt_api.meeting_admit(text, jsonb) IS 'admit-participant';

CREATE FUNCTION rt_api.meeting_refuse(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN rt_private.lobby_request(actor, req, 'refused');
END
$$;

COMMENT ON FUNCTION rt_api.meeting_refuse(text, jsonb) IS 'refuse-participant';

CREATE FUNCTION rt_private.api_pin_message(actor text, req jsonb) RETURNS rt.messages
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_open_message(actor, req);
	r rt.rooms := rt_private.api_room(actor, req);
BEGIN
	IF r.who_may_pin = 'admins' AND NOT rt_private.is_room_admin(r.id, actor) THEN
		RAISE EXCEPTION 'only an admin of the room may do this' USING ERRCODE = 'RT403';
	END IF;
	RETURN m;
END
$$;

COMMENT ON FUNCTION rt_private.api_pin_message(text, jsonb) IS 'the message that a request pins or unpins';

CREATE FUNCTION rt_private.pin_data(m rt.messages, actor text, pinned boolean) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('status', 200, 'data', json_build_object('messageId', rt_private.message_id(m.room_id, m.seq),
		'roomId', m.room_id::text, 'pinned', pinned, 'by', actor));
END
$$;

COMMENT ON FUNCTION rt_private.pin_data(rt.messages, text, boolean) IS 'the response to a pin';

CREATE FUNCTION rt_api.pin_add(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_pin_message(actor, req);
BEGIN
	IF m.deleted_at IS NOT NULL THEN
		RAISE EXCEPTION 'message was deleted' USING ERRCODE = 'RT410';
	END IF;
	IF (SELECT count(*) FROM rt.pins AS p WHERE p.room_id = m.room_id) >= 100 THEN
		RAISE EXCEPTION 'too many pinned messages' USING ERRCODE = 'RT409';
	END IF;
	INSERT INTO rt.pins (room_id, seq, pinned_by) VALUES (m.room_id, m.seq, actor) ON CONFLICT DO NOTHING;
	RETURN rt_private.pin_data(m, actor, true);
END
$$;

COMMENT ON FUNCTION rt_api.pin_add(text, jsonb) IS 'PUT …/msgs/:messageId/pin; again is no error';

CREATE FUNCTION rt_api.pin_remove(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_pin_message(actor, req);
BEGIN
	DELETE FROM rt.pins AS p WHERE p.room_id = m.room_id AND p.seq = m.seq;
	RETURN rt_private.pin_data(m, actor, false);
END
$$;

COMMENT ON FUNCTION rt_api.pin_remove(text, jsonb) IS 'DELETE …/msgs/:messageId/pin; again is no error';

CREATE FUNCTION rt_api.pins_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	hidden bigint := rt_private.hidden_seq(r, actor);
	pins json;
BEGIN
	SELECT coalesce(json_agg(rt_private.message_full(m) ORDER BY p.pinned_at DESC, p.seq DESC), '[]') INTO pins
	FROM rt.pins AS p JOIN rt.messages AS m ON m.room_id = p.room_id AND m.seq = p.seq
	WHERE p.room_id = r.id AND p.seq > hidden;
	RETURN json_build_object('status', 200, 'data', pins, 'count', json_array_length(pins));
END
$$;

COMMENT ON FUNCTION rt_api.pins_list(text, jsonb) IS 'GET /api/chat/rooms/:id/pins; the latest first';

CREATE FUNCTION rt_api.replies_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
	most integer := rt_private.req_limit(req, 50, 200);
	after bigint := coalesce(rt_private.req_seq(req, 'cursor'), 0);
	page json;
	next_cursor text;
	t rt.threads;
BEGIN
	SELECT coalesce(json_agg(rt_private.message_full(x.m) ORDER BY x.n) FILTER (WHERE x.n <= most), '[]'),
		CASE WHEN count(*) > most THEN max((x.m).seq) FILTER (WHERE x.n <= most) END::text
	INTO page, next_cursor
	FROM (SELECT a AS m, row_number() OVER (ORDER BY a.seq) AS n FROM rt.messages AS a
		WHERE a.room_id = m.room_id AND a.reply_to = m.seq AND a.seq > after AND a.deleted_at IS NULL
		ORDER BY a.seq LIMIT most + 1) AS x;
	SELECT x.* INTO t FROM rt.threads AS x WHERE x.room_id = m.room_id AND x.seq = m.seq;
	RETURN json_build_object('status', 200, 'data', page, 'count', json_array_length(page), 'nextCursor', next_cursor,
		'replyCount', coalesce(t.replies, 0), 'lastReplySeq', t.last_reply_seq, 'lastReplyAt', rt_private.iso(t.last_reply_at));
END
$$;

COMMENT ON FUNCTION rt_api.replies_list(text, jsonb) IS 'GET …/msgs/:messageId/replies';

CREATE FUNCTION rt_api.room_notifications(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	wanted text := CASE WHEN req ? 'level' THEN rt_private.req_choice(req, 'level', ARRAY['all', 'mentions', 'none']) END;
	until timestamptz := rt_private.req_timestamp(req, 'mutedUntil');
	m rt.room_members;
BEGIN
	IF wanted IS NULL AND NOT req ? 'mutedUntil' THEN
		RAISE EXCEPTION 'level is missing' USING ERRCODE = 'RT400';
	END IF;
	UPDATE rt.room_members AS t SET notify = coalesce(wanted, t.notify),
		muted_until = CASE WHEN req ? 'mutedUntil' THEN until ELSE t.muted_until END
	WHERE t.room_id = r.id AND t.user_id = actor RETURNING t.* INTO m;
	RETURN json_build_object('status', 200, 'data', rt_private.notification_level(m));
END
$$;

COMMENT ON FUNCTION rt_api.room_notifications(text, jsonb) IS 'PUT /api/chat/rooms/:id/notifications';

CREATE FUNCTION rt_api.blocks_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	blocked json;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT coalesce(json_agg(rt_private.user_json(u) ORDER BY b.created_at, u.id), '[]') INTO blocked
	FROM rt.blocks AS b JOIN rt.users AS u ON u.id = b.blocked_id WHERE b.user_id = actor;
	RETURN json_build_object('status', 200, 'data', blocked, 'count', json_array_length(blocked));
END
$$;

COMMENT ON FUNCTION rt_api.blocks_list(text, jsonb) IS 'GET /api/users/me/blocks';

CREATE FUNCTION rt_private.api_other_user(actor text, req jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	whom text := rt_private.req_name(req, 'userId');
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.act_as(actor);
	PERFORM rt_private.check_users(ARRAY[whom]);
	IF whom = actor THEN
		RAISE EXCEPTION 'userId must be another user''s' USING ERRCODE = 'RT400';
	END IF;
	RETURN whom;
END
$$;

COMMENT ON FUNCTION rt_private.api_other_user(text, jsonb) IS 'another user named in a request';

CREATE FUNCTION rt_api.block_add(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	whom text := rt_private.api_other_user(actor, req);
BEGIN
	INSERT INTO rt.blocks (user_id, blocked_id) VALUES (actor, whom) ON CONFLICT DO NOTHING;
	RETURN json_build_object('status', 200, 'data', json_build_object('userId', whom, 'blocked', true));
END
$$;

COMMENT ON FUNCTION rt_api.block_add(text, jsonb) IS 'PUT /api/users/me/blocks/:userId';

CREATE FUNCTION rt_api.block_remove(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	whom text := rt_private.api_other_user(actor, req);
BEGIN
	DELETE FROM rt.blocks AS b WHERE b.user_id = actor AND b.blocked_id = whom;
	RETURN json_build_object('status', 200, 'data', json_build_object('userId', whom, 'blocked', false));
END
$$;

COMMENT ON FUNCTION rt_api.block_remove(text, jsonb) IS 'DELETE /api/users/me/blocks/:userId';

CREATE OR REPLACE FUNCTION rt_private.session_find(pid text, user_id text, pos text) RETURNS rt_private.sessions
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s rt_private.sessions;
	last_pos bigint;
BEGIN
	IF session_find.pid IS NULL OR session_find.pos !~ '^[0-9]{1,18}$' THEN
		RETURN NULL;
	END IF;
	SELECT t.* INTO s FROM rt_private.sessions AS t
	WHERE t.pid = session_find.pid AND t.user_id = session_find.user_id FOR UPDATE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	last_pos := rt_private.log_last_pos();
	s.pos := coalesce(session_find.pos::bigint, s.pos);
	IF s.pos > last_pos OR rt_private.is_lost(s.pos) OR NOT rt_private.log_reaches(s.pos) THEN
		RETURN NULL;
	END IF;
	s.joined := ARRAY(SELECT m.room_id FROM rt.room_members AS m
		WHERE m.user_id = session_find.user_id AND m.room_id = ANY (s.joined) ORDER BY m.room_id);
	RETURN s;
END
$$;

COMMENT ON FUNCTION rt_private.session_find(text, text, text) IS 'the session that a client can resume, and the position; null if there is none';

CREATE OR REPLACE FUNCTION rt_private.take_over(requests jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT jsonb_path_exists(requests, '$[*].pid') THEN
		RETURN; -- nobody comes back
	END IF;
	PERFORM rt_private.emit('rt:disconnect', '{"gateway":true}',
		json_build_object('sid', c.sid, 'userId', c.user_id, 'gateway', c.gateway, 'reason', 'taken over'), false)
	FROM jsonb_array_elements(requests) AS r
	JOIN rt_private.sessions AS s ON s.pid = r ->> 'pid' AND s.user_id = r ->> 'user'
	JOIN rt_private.connections AS c ON c.sid = s.sid AND c.gateway <> r ->> 'gateway';
END
$$;

COMMENT ON FUNCTION rt_private.take_over(jsonb) IS 'ends old sockets of clients that have reconnected here';

CREATE FUNCTION rt_private.connect_all(requests jsonb, last_pos bigint, OUT results json, OUT users text[], OUT sessions text[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	is_on boolean := current_setting('rt.recovery_window')::interval > interval '0';
BEGIN
	WITH asked AS MATERIALIZED (
		SELECT r.* FROM ROWS FROM (jsonb_to_recordset(requests) AS ("user" text, sid text, pid text, "offset" text, recovery boolean, session text,
			gateway text, serial bigint, peer text, transport text)) WITH ORDINALITY
			AS r ("user", sid, pid, "offset", recovery, session, gateway, serial, peer, transport, n)
	), known AS MATERIALIZED (
		SELECT u.id, u.username, u.name FROM (SELECT DISTINCT a."user" AS id FROM asked AS a) AS a JOIN rt.users AS u ON u.id = a.id
		ORDER BY u.id FOR KEY SHARE OF u
	), found AS MATERIALIZED (
		SELECT a.*, u.id AS user_id, u.username, u.name, is_on AND coalesce(a.recovery, true) AS recoverable,
			CASE WHEN is_on AND coalesce(a.recovery, true) AND a.pid IS NOT NULL THEN rt_private.session_find(a.pid, u.id, a."offset") END AS s
		FROM asked AS a LEFT JOIN known AS u ON u.id = a."user"
	), entering AS MATERIALIZED (
		SELECT f.n, f.user_id, f.username, f.name, f.gateway, f.serial, f.peer, f.transport, f.session, (f.s).pos, (f.s).joined, (f.s).status,
			(f.s).pid IS NOT NULL AS recovered, coalesce((f.s).sid, f.sid) AS sid,
			CASE WHEN f.recoverable THEN coalesce((f.s).pid, rt_private.random_text(15)) END AS pid
		FROM found AS f
	), resumed AS (
		UPDATE rt_private.sessions AS t SET ended_at = NULL, joined = e.joined FROM entering AS e WHERE e.recovered AND t.pid = e.pid
	), begun AS (
		INSERT INTO rt_private.sessions (pid, sid, user_id, pos)
		SELECT e.pid, e.sid, e.user_id, connect_all.last_pos FROM entering AS e WHERE NOT e.recovered AND e.pid IS NOT NULL AND e.user_id IS NOT NULL
	), connected AS (
		INSERT INTO rt_private.connections AS c (sid, user_id, gateway, serial, peer, transport, status)
		SELECT DISTINCT ON (e.sid) e.sid, e.user_id, e.gateway, coalesce(e.serial, 0), e.peer, e.transport, coalesce(e.status, 'online')
		FROM entering AS e WHERE e.user_id IS NOT NULL ORDER BY e.sid, e.n DESC
		ON CONFLICT (sid) DO UPDATE SET gateway = excluded.gateway, serial = excluded.serial, peer = excluded.peer, transport = excluded.transport,
			connected_at = excluded.connected_at, queued_bytes = 0, latency = NULL
	)
	SELECT json_agg(CASE WHEN e.user_id IS NULL THEN json_build_object('ok', false, 'code', 'unauthorized', 'message', 'User not found')
		ELSE json_build_object('ok', true, 'sid', e.sid, 'pid', e.pid, 'recovered', e.recovered,
			'pos', CASE WHEN e.recovered THEN e.pos::text END,
			'joined', coalesce((SELECT json_agg(j::text) FROM unnest(e.joined) AS j), '[]'),
			'meetings', CASE WHEN e.recovered THEN (SELECT json_agg(p.meeting_id::text)
				FROM rt.meeting_participants AS p WHERE p.socket_id = e.sid AND p.left_at IS NULL) END,
			'user', json_build_object('id', e.user_id, 'username', e.username, 'name', e.name),
			'rooms', coalesce((SELECT json_agg(m.room_id::text) FROM rt.room_members AS m WHERE m.user_id = e.user_id), '[]'))
		END ORDER BY e.n), array_agg(e.user_id) FILTER (WHERE e.user_id IS NOT NULL), array_agg(e.session) FILTER (WHERE e.session IS NOT NULL)
	INTO results, users, sessions FROM entering AS e;
END
$$;

COMMENT ON FUNCTION rt_private.connect_all(jsonb, bigint) IS 'the clients of rt_api.connect(), their users, and the sessions of their tokens';

CREATE OR REPLACE FUNCTION rt_api.connect(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
SET enable_bitmapscan = off AS $$
DECLARE
	requests jsonb := rt_private.req_array(req, 'requests', 2000);
	done record;
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.take_over(requests);
	SELECT c.* INTO done FROM rt_private.connect_all(requests, rt_private.log_last_pos()) AS c;
	-- A replica refuses a statement on a table of its publisher's, whatever rows it finds.
	IF done.sessions IS NOT NULL AND NOT rt_private.is_foreign('rt.sessions') THEN
		UPDATE rt.sessions AS s SET last_used_at = clock_timestamp()
		WHERE s.id = ANY (done.sessions) AND s.last_used_at < clock_timestamp() - interval '1 minute';
	END IF;
	PERFORM rt_private.come_online(done.users);
	RETURN json_build_object('results', coalesce(done.results, '[]'), 'epoch', rt.epoch());
END
$$;

COMMENT ON FUNCTION rt_api.connect(text, jsonb) IS 'connects clients, in batches';

CREATE OR REPLACE FUNCTION rt_api.disconnect(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
	gone jsonb := rt_private.req_array(req, 'connections', 10000);
	resumable text[];
	ended text[];
	users text[];
BEGIN
	PERFORM rt_private.soft_commit();
	-- just these: the client may be back already, through another gateway or the same one
	DELETE FROM rt_private.connections AS c USING jsonb_to_recordset(gone) AS g (sid text, serial bigint)
	WHERE c.sid = g.sid AND c.gateway = req ->> 'gateway' AND c.serial = coalesce(g.serial, 0);
	SELECT array_agg(g.sid) FILTER (WHERE g.recoverable), array_agg(g.sid) FILTER (WHERE NOT g.recoverable),
		array_agg(DISTINCT g."user") FILTER (WHERE NOT g.recoverable)
	INTO resumable, ended, users FROM jsonb_to_recordset(gone) AS g (sid text, "user" text, recoverable boolean);
	IF resumable IS NOT NULL THEN
		UPDATE rt_private.sessions AS s SET ended_at = clock_timestamp() WHERE s.sid = ANY (resumable)
			AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.sid = s.sid);
	END IF;
	IF ended IS NOT NULL THEN
		DELETE FROM rt_private.sessions AS s WHERE s.sid = ANY (ended)
			AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.sid = s.sid);
	END IF;
	-- For those that may come back there is a grace: sweep_gateways().
	PERFORM rt_private.follow_connections(users);
	RETURN '{}';
END
$$;

COMMENT ON FUNCTION rt_api.disconnect(text, jsonb) IS 'disconnects sockets; recoverable ones keep their session';

CREATE FUNCTION rt_private.standing(user_id text) RETURNS json
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('userId', standing.user_id,
		'known', EXISTS (SELECT FROM rt.users AS u WHERE u.id = standing.user_id),
		'rooms', ARRAY(SELECT m.room_id::text FROM rt.room_members AS m WHERE m.user_id = standing.user_id),
		'participants', (SELECT coalesce(json_object_agg(p.id, p.socket_id), '{}') FROM rt.meeting_participants AS p
			WHERE p.user_id = standing.user_id AND p.left_at IS NULL),
		'xid', pg_current_xact_id()::text)
$$;

COMMENT ON FUNCTION rt_private.standing(text) IS 'rooms and places of a user, for the gateways';

CREATE FUNCTION rt_api.reconnect(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	asked jsonb := rt_private.req_array(req, 'connections', 1000);
	own_name text := rt_private.req_text(req, 'gateway');
	users text[] := ARRAY(SELECT DISTINCT r ->> 'user' FROM jsonb_array_elements(asked) AS r ORDER BY 1);
	known text[]; -- those of the users that exist
	mine text[];
BEGIN
	PERFORM rt_private.soft_commit();
	known := ARRAY(SELECT u.id FROM rt.users AS u WHERE u.id = ANY (users) ORDER BY u.id FOR KEY SHARE);
	INSERT INTO rt_private.connections AS c (sid, user_id, gateway, serial, peer, transport, status)
	SELECT r.sid, u.id, own_name, r.serial, r.peer, r.transport, coalesce((SELECT max(s.status) FROM rt_private.sessions AS s
		WHERE s.sid = r.sid AND s.user_id = u.id), 'online')
	FROM jsonb_to_recordset(asked) AS r (sid text, "user" text, serial bigint, peer text, transport text)
	JOIN rt.users AS u ON u.id = r."user"
	ON CONFLICT (sid) DO UPDATE SET gateway = excluded.gateway, serial = excluded.serial, peer = excluded.peer, transport = excluded.transport
	WHERE NOT rt_private.gateway_alive(c.gateway);
	mine := ARRAY(SELECT c.sid FROM rt_private.connections AS c JOIN jsonb_array_elements(asked) AS r ON c.sid = r ->> 'sid' WHERE c.gateway = own_name);
	INSERT INTO rt_private.sessions AS s (pid, sid, user_id, joined, pos)
	SELECT r.pid, r.sid, u.id, ARRAY(SELECT jsonb_array_elements_text(r.joined)::bigint), rt_private.log_last_pos()
	FROM jsonb_to_recordset(asked) AS r (pid text, sid text, "user" text, joined jsonb)
	JOIN rt.users AS u ON u.id = r."user"
	WHERE r.pid IS NOT NULL AND r.sid = ANY (mine)
	ON CONFLICT (pid) DO UPDATE SET ended_at = NULL, joined = excluded.joined
	WHERE s.sid = excluded.sid AND s.user_id = excluded.user_id;
	PERFORM FROM rt.meetings AS m
	WHERE m.id IN (SELECT p.meeting_id FROM rt.meeting_participants AS p WHERE p.socket_id = ANY (mine) AND p.left_at IS NULL AND p.disconnected_at IS NOT NULL)
	ORDER BY m.id FOR NO KEY UPDATE;
	IF FOUND THEN
		UPDATE rt.meeting_participants AS p SET disconnected_at = NULL, gateway = own_name
		WHERE p.socket_id = ANY (mine) AND p.left_at IS NULL AND p.disconnected_at IS NOT NULL;
	END IF;
	PERFORM rt_private.come_online(known);
	RETURN json_build_object(
		'standings', (SELECT coalesce(json_agg(rt_private.standing(u.id)), '[]') FROM unnest(users) AS u (id)),
		'elsewhere', (SELECT coalesce(json_agg(r ->> 'sid'), '[]') FROM jsonb_array_elements(asked) AS r
			WHERE r ->> 'sid' <> ALL (mine) AND r ->> 'user' IN (SELECT u.id FROM rt.users AS u WHERE u.id = ANY (users))));
END
$$;

COMMENT ON FUNCTION rt_api.reconnect(text, jsonb) IS 'sockets of a gateway that the database had given up, many at once';

COMMENT ON FUNCTION rt_api.presence_sweep(text, jsonb) IS 'sets users without a connection offline after the grace period';

CREATE FUNCTION rt_api.status_rooms(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT coalesce(json_object_agg(u.id, rt_private.status_rooms(u.id)), '{}')
		FROM jsonb_array_elements_text(rt_private.req_array(req, 'users', 1000)) AS u (id));
END
$$;

COMMENT ON FUNCTION rt_api.status_rooms(text, jsonb) IS 'for statuses of users in many rooms: whom to tell';

CREATE FUNCTION rt_private.lost_gateways() RETURNS text[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
	RETURN ARRAY(
		WITH RECURSIVE names (name) AS (
			SELECT min(c.gateway) FROM rt_private.connections AS c
			UNION ALL
			SELECT (SELECT min(c.gateway) FROM rt_private.connections AS c WHERE c.gateway > n.name) FROM names AS n WHERE n.name IS NOT NULL
		)
		SELECT n.name FROM names AS n
		WHERE n.name IS NOT NULL AND NOT EXISTS (SELECT FROM rt_private.gateways AS g WHERE g.name = n.name));
END
$$;

COMMENT ON FUNCTION rt_private.lost_gateways() IS 'gateways that have connections, but do not report';

CREATE OR REPLACE FUNCTION rt_private.sweep_gateways() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
	swept_at timestamptz := clock_timestamp();
	lost text[];
	users text[];
BEGIN
	DELETE FROM rt_private.gateways AS g WHERE g.reported_at < swept_at - interval '10 s';
	lost := rt_private.lost_gateways();
	IF cardinality(lost) = 0 AND extract(second FROM swept_at)::integer % 3 > 0
		AND NOT EXISTS (SELECT FROM rt_private.gateways AS g WHERE g.started_at > swept_at - interval '30 s')
		AND EXISTS (SELECT FROM rt_private.clock AS c WHERE c.seen_at < swept_at - interval '30 s') THEN
		RETURN;
	END IF;
	DELETE FROM rt_private.connections AS c WHERE c.gateway = ANY (lost) AND c.connected_at < swept_at - interval '10 s';
	UPDATE rt_private.sessions AS s SET ended_at = swept_at
	WHERE s.ended_at IS NULL AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.sid = s.sid);
	DELETE FROM rt_private.sessions AS s
	WHERE s.ended_at < swept_at - pg_catalog.current_setting('rt.recovery_window')::interval;
	-- At a server that was just promoted, or has crashed, gateways have yet to tell which connections they have.
	IF NOT EXISTS (SELECT FROM rt_private.clock AS c WHERE c.seen_at < swept_at - interval '5 s') THEN
		RETURN;
	END IF;
	SELECT array_agg(p.user_id) INTO users FROM rt.presence AS p
	WHERE p.status <> 'offline' AND p.last_seen < swept_at - interval '5 s'
		AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id)
		AND NOT EXISTS (SELECT FROM rt_private.sessions AS s
			WHERE s.user_id = p.user_id AND s.ended_at > swept_at - interval '5 s');
	IF users IS NOT NULL THEN
		PERFORM rt_private.go_offline(users);
	END IF;
	SELECT array_agg(p.user_id) INTO users FROM rt.presence AS p
	WHERE p.status = 'online' AND EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id AND c.status = 'away')
		AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id AND c.status = 'online')
		AND NOT EXISTS (SELECT FROM rt_private.sessions AS s WHERE s.user_id = p.user_id
			AND s.ended_at > swept_at - pg_catalog.current_setting('rt.presence_grace')::interval);
	PERFORM rt_private.follow_connections(users);
END
$$;

COMMENT ON FUNCTION rt_private.sweep_gateways() IS 'cleans up after dead gateways';

CREATE OR REPLACE FUNCTION rt_api.gateway_start(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	gateway text := rt_private.req_text(req, 'gateway');
	dead text[];
BEGIN
	PERFORM rt_private.soft_commit();
	-- the one that ran in this slot before
	WITH former AS (
		DELETE FROM rt_private.gateways AS g
		WHERE g.slot = (req ->> 'slot')::integer AND g.name <> gateway AND g.port IS NOT DISTINCT FROM (req ->> 'port')::integer
			AND g.host IS NOT DISTINCT FROM req ->> 'host' AND g.draining_until IS NULL
		RETURNING g.name
	)
	SELECT array_agg(f.name) INTO dead FROM former AS f;
	DELETE FROM rt_private.connections AS c WHERE c.gateway = ANY (dead);
	INSERT INTO rt_private.gateways AS g (name, host, slot, pid, port, region, own, addresses)
	VALUES (gateway, req ->> 'host', (req ->> 'slot')::integer, (req ->> 'pid')::integer, (req ->> 'port')::integer,
		nullif(req ->> 'region', ''), coalesce((req ->> 'own')::boolean, false),
		ARRAY(SELECT jsonb_array_elements_text(coalesce(req -> 'addresses', '[]'))))
	ON CONFLICT (name) DO UPDATE SET reported_at = clock_timestamp();
	INSERT INTO rt_private.gateway_secret DEFAULT VALUES ON CONFLICT DO NOTHING;
	RETURN (SELECT json_build_object('secret', s.secret) FROM rt_private.gateway_secret AS s);
END
$$;

COMMENT ON FUNCTION rt_api.gateway_start(text, jsonb) IS 'registers a gateway and removes its predecessor''s connections';

CREATE FUNCTION rt_api.gateway_peer(actor text, req jsonb) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('addresses', to_json(g.addresses), 'port', g.port) FROM rt_private.gateways AS g
	WHERE g.slot = (req ->> 'number')::integer AND g.reported_at > clock_timestamp() - interval '10 s'
	ORDER BY g.draining_until NULLS FIRST, g.started_at DESC LIMIT 1
$$;

COMMENT ON FUNCTION rt_api.gateway_peer(text, jsonb) IS 'where the gateway of that number is found by others; null: there is none';

COMMENT ON FUNCTION rt_private.note_connections(text, jsonb) IS 'stores a gateway''s report on its sockets, for rt.stat_connections';

CREATE OR REPLACE FUNCTION rt_private.relay_figures() RETURNS json
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('up', (r.pid IS NOT NULL)::integer, 'position', r.last_pos, 'events', r.events, 'batches', r.batches,
		'published', r.published, 'lost', r.lost, 'rescans', r.rescans, 'rescued', r.rescued, 'notifyFailures', r.notify_failures,
		'ringBytes', r.ring_bytes, 'ringUsed', r.ring_used, 'ringHighWater', r.ring_high_water,
		'oldestUs', coalesce((extract(epoch FROM r.oldest_wait) * 1000000)::bigint, 0), 'roomsHeld', r.rooms_held,
		'stalled', current_setting('rt.max_relay_wait')::interval > interval '0'
			AND coalesce(r.oldest_wait > current_setting('rt.max_relay_wait')::interval, false),
		'lagSumUs', (extract(epoch FROM r.lag_sum) * 1000000)::bigint, 'lagCounts', r.lag_counts, 'lagBoundsUs', r.lag_bounds_us)
	FROM rt_private.stat_relay() AS r
$$;

COMMENT ON FUNCTION rt_private.relay_figures() IS 'what rt.stat_relay shows, for metrics';

CREATE OR REPLACE FUNCTION rt_api.gateway_report(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	locks json := rt_private.lock_figures();
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.follow_clock();
	UPDATE rt_private.gateways AS g
	SET reported_at = clock_timestamp(), stats = coalesce(req -> 'stats', '{}'), rooms = coalesce(req -> 'rooms', '[]')
	WHERE g.name = rt_private.req_text(req, 'gateway');
	IF NOT FOUND THEN
		RAISE EXCEPTION 'gateway not found' USING ERRCODE = 'RT404';
	END IF;
	IF req ? 'connections' THEN
		PERFORM rt_private.note_connections(req ->> 'gateway', rt_private.req_array(req, 'connections', 10000));
	END IF;
	-- One of them clears up.  A row that nobody else may lock tells which: an advisory lock any role could take, and keep.  Clearing up
	-- would wait for a table that somebody has locked, and the report has to come through and tell of it.
	PERFORM FROM rt_private.clock AS c WHERE NOT (locks ->> 'exclusive')::boolean FOR UPDATE SKIP LOCKED;
	IF FOUND THEN
		PERFORM rt_private.sweep_gateways();
		PERFORM rt_private.sweep_sessions();
		PERFORM rt_private.sweep_guests();
		PERFORM rt_private.tell_large_rooms();
	END IF;
	RETURN json_build_object('relay', rt_private.relay_figures(), 'locks', locks, 'workers', rt_private.worker_figures(), 'media', rt_private.media_totals(),
		'stamp', rt_private.settings_stamp(), 'now', extract(epoch FROM clock_timestamp()),
		'delayUs', (SELECT greatest(((req ->> 'seenAtUs')::bigint - extract(epoch FROM e.at) * 1000000)::bigint, 0)
			FROM rt.events AS e WHERE e.pos = (req ->> 'seenPos')::bigint));
END
$$;

COMMENT ON FUNCTION rt_api.gateway_report(text, jsonb) IS 'stores a gateway''s report, each second';

CREATE OR REPLACE FUNCTION rt_api.gateway_stop(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	UPDATE rt_private.sessions AS s SET ended_at = clock_timestamp() FROM rt_private.connections AS c
	WHERE c.gateway = req ->> 'gateway' AND s.sid = c.sid;
	DELETE FROM rt_private.connections AS c WHERE c.gateway = req ->> 'gateway';
	DELETE FROM rt_private.gateways AS g WHERE g.name = req ->> 'gateway';
	RETURN '{}';
END
$$;

COMMENT ON FUNCTION rt_api.gateway_stop(text, jsonb) IS 'unregisters a gateway';

CREATE FUNCTION rt_private.check_known(actor text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = actor) THEN
		RAISE EXCEPTION 'user not found' USING ERRCODE = 'RT401';
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.check_known(text) IS 'refuses a deleted user';

CREATE OR REPLACE FUNCTION rt_private.check_user(actor text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_known(actor);
	PERFORM rt_private.refuse_guest(actor);
END
$$;

COMMENT ON FUNCTION rt_private.check_user(text) IS 'refuses a deleted user, and guests of meetings';

CREATE OR REPLACE FUNCTION rt_api.me(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	u rt.users;
	p rt.presence;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT t.* INTO u FROM rt.users AS t WHERE t.id = actor;
	SELECT t.* INTO p FROM rt.presence AS t WHERE t.user_id = actor;
	RETURN json_build_object('status', 200, 'data', rt_private.user_json(u)::jsonb || jsonb_build_object(
		'status', coalesce(p.status, 'offline'), 'statusMessage', p.status_message,
		'isAdmin', rt_private.is_administrator(actor, req), 'hasPassword', u.password_hash IS NOT NULL,
		'twoFactor', rt_private.needs_code(actor), 'createdAt', rt_private.iso(u.created_at)));
END
$$;

CREATE FUNCTION rt_private.req_name_cursor(req jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	cursor text := rt_private.req_text_opt(req, 'cursor');
BEGIN
	IF cursor !~ '^u_.' THEN
		RAISE EXCEPTION 'cursor must be the nextCursor of a page' USING ERRCODE = 'RT400';
	END IF;
	RETURN substr(cursor, 3);
END
$$;

COMMENT ON FUNCTION rt_private.req_name_cursor(jsonb) IS 'reads the cursor of a list of users from a request; null: the first page';

CREATE OR REPLACE FUNCTION rt_api.users_search(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	prefix text := lower(coalesce(rt_private.req_text_opt(req, 'q'), ''));
	most integer := rt_private.req_limit(req, 50, 200);
	after text := rt_private.req_name_cursor(req);
	found_users json;
	next_cursor text;
	-- Who is there is for those who share a room.
	contacts text[] := ARRAY(SELECT actor UNION SELECT b.user_id FROM rt.room_members AS a
		JOIN rt.room_members AS b ON b.room_id = a.room_id WHERE a.user_id = actor);
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT coalesce(json_agg(rt_private.user_json(u.u)::jsonb || CASE WHEN (u.u).id = ANY (contacts)
				THEN jsonb_build_object('status', coalesce(p.status, 'offline')) ELSE '{}' END
			ORDER BY u.n) FILTER (WHERE u.n <= most), '[]'),
		max('u_' || lower((u.u).username)) FILTER (WHERE u.n = most AND u.total > most)
	INTO found_users, next_cursor
	FROM (SELECT f.u, f.n, count(*) OVER () AS total FROM (
			SELECT t AS u, row_number() OVER (ORDER BY lower(t.username)) AS n FROM rt.users AS t
			WHERE (prefix = '' OR starts_with(lower(t.username), prefix) OR strpos(lower(t.name), prefix) > 0)
				AND (after IS NULL OR lower(t.username) > after) AND NOT rt_private.is_guest(t.id)
			ORDER BY lower(t.username) LIMIT most + 1) AS f) AS u
	LEFT JOIN rt.presence AS p ON p.user_id = (u.u).id;
	RETURN json_build_object('status', 200, 'data', found_users, 'count', json_array_length(found_users), 'nextCursor', next_cursor);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.api_room(actor text, req jsonb) RETURNS rt.rooms
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms;
BEGIN
	PERFORM rt_private.act_as(actor);
	SELECT t.* INTO r FROM rt.rooms AS t WHERE t.id = rt_private.req_id(req, 'roomId');
	IF NOT FOUND OR NOT rt_private.is_member(r.id, actor) THEN
		RAISE EXCEPTION 'room not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN r;
END
$$;

CREATE FUNCTION rt_private.hidden_seq(r rt.rooms, actor text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF r.history = 'all' THEN
		RETURN 0;
	END IF;
	RETURN coalesce((SELECT m.first_seq FROM rt.room_members AS m WHERE m.room_id = r.id AND m.user_id = actor), 0);
END
$$;

COMMENT ON FUNCTION rt_private.hidden_seq(rt.rooms, text) IS 'last message of a room that is hidden from a member';

CREATE OR REPLACE FUNCTION rt_private.api_admin_room(actor text, req jsonb) RETURNS rt.rooms
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
BEGIN
	IF NOT rt_private.is_room_admin(r.id, actor) THEN
		RAISE EXCEPTION 'only an admin of the room may do this' USING ERRCODE = 'RT403';
	END IF;
	RETURN r;
END
$$;

COMMENT ON FUNCTION rt_private.api_admin_room(text, jsonb) IS 'the room of a request; RT403 if the actor is not an admin';

CREATE FUNCTION rt_private.rooms_json(actor text, ids bigint[]) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN (SELECT coalesce(json_agg(json_build_object('id', r.id::text, 'roomId', r.id::text, 'name', r.name, 'kind', r.kind,
			'topic', r.topic, 'archived', r.archived, 'history', r.history, 'whoMayPost', r.who_may_post,
			'whoMayAdd', r.who_may_add, 'whoMayPin', r.who_may_pin, 'whoMayMentionAll', r.who_may_mention_all,
			'role', (u.m).role, 'notifications', json_build_object('level', (u.m).notify, 'mutedUntil', rt_private.iso((u.m).muted_until)),
			'createdBy', r.created_by,
			'memberCount', CASE r.kind WHEN 'direct' THEN 2 ELSE (SELECT count(*) FROM rt.room_members AS o WHERE o.room_id = r.id) END,
			'lastSeq', rt_private.last_seq(r.id, r.last_seq),
			'lastChange', coalesce((SELECT c.last_change FROM rt_private.change_counters AS c WHERE c.room_id = r.id), 0),
			'lastMessage', (SELECT rt_private.message_json(h.m) FROM rt_private.history AS h
				WHERE h.room_id = r.id AND h.seq > CASE r.history WHEN 'joined' THEN (u.m).first_seq ELSE 0 END ORDER BY h.seq DESC LIMIT 1),
			'unreadCount', u.messages, 'mentionCount', u.mentions, 'lastReadSeq', (u.m).last_read_seq, 'createdAt', rt_private.iso(r.created_at),
			'peer', CASE r.kind WHEN 'direct' THEN (SELECT rt_private.user_json(p) FROM rt.users AS p
				WHERE p.id = ANY (rt_private.direct_users(r.direct_key)) AND p.id <> actor) END) ORDER BY t.n), '[]')
		FROM unnest(ids) WITH ORDINALITY AS t (id, n)
			CROSS JOIN LATERAL (SELECT o.* FROM rt.rooms AS o WHERE o.id = t.id OFFSET 0) AS r
			CROSS JOIN LATERAL (SELECT o.* FROM rt_private.unread AS o WHERE o.room_id = t.id AND o.user_id = actor OFFSET 0) AS u);
END
$$;

COMMENT ON FUNCTION rt_private.rooms_json(text, bigint[]) IS 'rooms as one of their members sees them';

CREATE FUNCTION rt_private.room_json_for(r rt.rooms, actor text) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN rt_private.rooms_json(actor, ARRAY[r.id]) -> 0;
END
$$;

COMMENT ON FUNCTION rt_private.room_json_for(rt.rooms, text) IS 'a room as a user sees it';

CREATE OR REPLACE FUNCTION rt_api.rooms_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most integer := rt_private.req_limit(req, 50, 200);
	behind record;
	ids bigint[];
	rooms json;
	next_cursor text;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT * INTO behind FROM rt_private.req_cursor(req);
	IF behind.id !~ '^[0-9]{1,18}$' THEN
		RAISE EXCEPTION 'cursor must be the nextCursor of a page' USING ERRCODE = 'RT400';
	END IF;
	SELECT array_agg(t.id ORDER BY t.n) FILTER (WHERE t.n <= most),
		max(rt_private.cursor_text(t.at, t.id::text)) FILTER (WHERE t.n = most AND t.total > most)
	INTO ids, next_cursor
	FROM (SELECT f.*, row_number() OVER (ORDER BY f.at DESC, f.id DESC) AS n, count(*) OVER () AS total FROM (
			SELECT r.id, coalesce(r.last_at, r.created_at) AS at FROM rt.room_members AS m JOIN rt.rooms AS r ON r.id = m.room_id
			WHERE m.user_id = actor
				AND (behind.id IS NULL OR (coalesce(r.last_at, r.created_at), r.id) < (behind.at, behind.id::bigint))
			ORDER BY coalesce(r.last_at, r.created_at) DESC, r.id DESC LIMIT most + 1) AS f) AS t;
	rooms := rt_private.rooms_json(actor, ids);
	RETURN json_build_object('status', 200, 'data', rooms, 'count', json_array_length(rooms), 'nextCursor', next_cursor);
END
$$;

CREATE FUNCTION rt_private.invited(room_id bigint, users text[]) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(i.user_id ORDER BY i.user_id), '[]') FROM rt.room_invitations AS i
	WHERE i.room_id = invited.room_id AND i.user_id = ANY (users)
$$;

COMMENT ON FUNCTION rt_private.invited(bigint, text[]) IS 'those of some users who are invited to a room';

CREATE OR REPLACE FUNCTION rt_api.room_create(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kind text := rt_private.req_choice(req, 'kind', ARRAY['direct', 'group']);
	members text[] := rt_private.req_user_ids(req, 'memberIds');
	name text := rt_private.req_room_name(req);
	made record;
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.act_as(actor);
	SELECT * INTO made FROM rt_private.make_room(actor, name, kind, members);
	RETURN json_build_object('status', CASE WHEN made.created THEN 201 ELSE 200 END,
		'data', rt_private.room_json_for(made.room, actor), 'invited', rt_private.invited((made.room).id, members));
END
$$;

CREATE FUNCTION rt_private.req_who(req jsonb, key text, otherwise text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN rt_private.req_choice(req, key, ARRAY['admins', 'members'], otherwise);
END
$$;

COMMENT ON FUNCTION rt_private.req_who(jsonb, text, text) IS 'reads "admins" or "members" from a request';

CREATE OR REPLACE FUNCTION rt_api.room_update(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_admin_room(actor, req);
	new_name text := rt_private.req_room_name(req);
	new_topic text := nullif(btrim(rt_private.req_text_opt(req, 'topic')), '');
BEGIN
	IF new_name IS NULL AND NOT req ?| ARRAY['topic', 'archived', 'history', 'whoMayPost', 'whoMayAdd', 'whoMayPin', 'whoMayMentionAll'] THEN
		RAISE EXCEPTION 'name is missing' USING ERRCODE = 'RT400';
	END IF;
	IF octet_length(new_topic) > 4096 THEN
		RAISE EXCEPTION 'topic is too long' USING ERRCODE = 'RT413';
	END IF;
	UPDATE rt.rooms AS t SET name = coalesce(new_name, t.name), topic = CASE WHEN req ? 'topic' THEN new_topic ELSE t.topic END,
		archived = rt_private.req_bool(req, 'archived', t.archived), history = rt_private.req_choice(req, 'history', ARRAY['all', 'joined'], t.history),
		who_may_post = rt_private.req_who(req, 'whoMayPost', t.who_may_post), who_may_add = rt_private.req_who(req, 'whoMayAdd', t.who_may_add),
		who_may_pin = rt_private.req_who(req, 'whoMayPin', t.who_may_pin),
		who_may_mention_all = rt_private.req_who(req, 'whoMayMentionAll', t.who_may_mention_all)
	WHERE t.id = r.id RETURNING t.* INTO r;
	RETURN json_build_object('status', 200, 'data', rt_private.room_json_for(r, actor));
END
$$;

CREATE FUNCTION rt_api.room_read(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	seq bigint := rt_private.req_seq(req, 'seq');
BEGIN
	IF seq IS NULL THEN
		RAISE EXCEPTION 'seq is missing' USING ERRCODE = 'RT400';
	END IF;
	RETURN json_build_object('status', 200, 'data', rt.set_read(r.id, actor, seq));
END
$$;

COMMENT ON FUNCTION rt_api.room_read(text, jsonb) IS 'PUT /api/chat/rooms/:id/read';

CREATE OR REPLACE FUNCTION rt_private.members_json(room_id bigint, users text[] DEFAULT NULL) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted text[] := coalesce(users, ARRAY(SELECT m.user_id FROM rt.room_members AS m WHERE m.room_id = members_json.room_id));
BEGIN
	-- LATERAL with OFFSET 0: each by its key, even if the plan expects to find half of the members.
	RETURN (SELECT coalesce(json_agg(json_build_object('userId', u.id, 'id', u.id, 'username', u.username, 'userName', u.name,
			'name', u.name, 'role', m.role, 'joinedAt', rt_private.iso(m.joined_at), 'lastReadSeq', m.last_read_seq,
			'status', coalesce(p.status, 'offline'), 'statusMessage', p.status_message,
			'lastSeen', rt_private.iso(p.last_seen)) ORDER BY m.joined_at, u.id), '[]')
		FROM unnest(wanted) AS w (id)
		CROSS JOIN LATERAL (SELECT t.* FROM rt.room_members AS t WHERE t.room_id = members_json.room_id AND t.user_id = w.id OFFSET 0) AS m
		JOIN rt.users AS u ON u.id = m.user_id LEFT JOIN rt.presence AS p ON p.user_id = u.id);
END
$$;

CREATE OR REPLACE FUNCTION rt_api.members_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	most integer := rt_private.req_limit(req, 50, 200);
	behind record;
	users text[];
	next_cursor text;
	members json;
BEGIN
	SELECT * INTO behind FROM rt_private.req_cursor(req);
	SELECT array_agg(t.user_id) FILTER (WHERE t.n <= most),
		max(rt_private.cursor_text(t.joined_at, t.user_id)) FILTER (WHERE t.n = most AND t.total > most)
	INTO users, next_cursor
	FROM (SELECT f.*, row_number() OVER (ORDER BY f.joined_at, f.user_id) AS n, count(*) OVER () AS total FROM (
			SELECT m.user_id, m.joined_at FROM rt.room_members AS m
			WHERE m.room_id = r.id AND (m.joined_at, m.user_id) > (coalesce(behind.at, '-infinity'), coalesce(behind.id, ''))
			ORDER BY m.joined_at, m.user_id LIMIT most + 1) AS f) AS t;
	members := rt_private.members_json(r.id, coalesce(users, '{}'));
	RETURN json_build_object('status', 200, 'data', members, 'count', json_array_length(members), 'nextCursor', next_cursor);
END
$$;

CREATE OR REPLACE FUNCTION rt_api.members_add(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	is_admin boolean := rt_private.is_room_admin(r.id, actor);
	users text[] := rt_private.req_user_ids(req, 'userIds');
	has_role boolean := coalesce(jsonb_typeof(req -> 'role'), 'null') <> 'null';
	new_role text := rt_private.req_choice(req, 'role', ARRAY['admin', 'member'], 'member');
	members json;
	strangers text[];
BEGIN
	IF NOT is_admin AND (r.who_may_add = 'admins' OR new_role = 'admin') THEN
		RAISE EXCEPTION 'only an admin of the room may do this' USING ERRCODE = 'RT403';
	END IF;
	IF r.kind = 'direct' THEN
		RAISE EXCEPTION 'a direct room has two members' USING ERRCODE = 'RT409';
	END IF;
	PERFORM rt_private.check_users(users);
	PERFORM rt_private.check_blocks(actor, users);
	-- Locked, so that what is looked at stays so.
	PERFORM FROM rt.room_members AS m WHERE m.room_id = r.id AND m.user_id = ANY (users) ORDER BY m.user_id FOR NO KEY UPDATE;
	IF EXISTS (SELECT FROM rt.room_members AS m WHERE m.room_id = r.id AND m.user_id = ANY (users) AND (m.role = new_role OR NOT has_role)) THEN
		RAISE EXCEPTION 'already a member' USING ERRCODE = 'RT409';
	END IF;
	IF NOT is_admin AND EXISTS (SELECT FROM rt.room_members AS m WHERE m.room_id = r.id AND m.user_id = ANY (users)) THEN
		RAISE EXCEPTION 'only an admin of the room may do this' USING ERRCODE = 'RT403';
	END IF;
	strangers := rt_private.strangers(actor, users);
	IF EXISTS (SELECT FROM rt.room_invitations AS i WHERE i.room_id = r.id AND i.user_id = ANY (strangers)) THEN
		RAISE EXCEPTION 'already invited' USING ERRCODE = 'RT409';
	END IF;
	PERFORM rt_private.invite(r.id, strangers, new_role, actor);
	UPDATE rt.room_members AS m SET role = new_role WHERE m.room_id = r.id AND m.user_id = ANY (users);
	INSERT INTO rt.room_members (room_id, user_id, role)
	SELECT r.id, u, new_role FROM unnest(users) AS u
	WHERE u <> ALL (strangers) AND NOT EXISTS (SELECT FROM rt.room_members AS m WHERE m.room_id = r.id AND m.user_id = u) ORDER BY u ON CONFLICT DO NOTHING;
	members := rt_private.members_json(r.id, users);
	RETURN json_build_object('status', 200, 'data', members, 'count', json_array_length(members), 'invited', rt_private.invited(r.id, users));
END
$$;

CREATE FUNCTION rt_api.member_role(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_admin_room(actor, req);
	whom text := rt_private.req_name(req, 'userId');
	new_role text := rt_private.req_choice(req, 'role', ARRAY['admin', 'member']);
BEGIN
	IF r.kind = 'direct' THEN
		RAISE EXCEPTION 'both members of a direct room are its admins' USING ERRCODE = 'RT409';
	END IF;
	UPDATE rt.room_members AS m SET role = new_role WHERE m.room_id = r.id AND m.user_id = whom AND m.role <> new_role;
	IF NOT rt_private.is_member(r.id, whom) THEN
		RAISE EXCEPTION 'member not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN json_build_object('status', 200, 'data', rt_private.members_json(r.id, ARRAY[whom]) -> 0);
END
$$;

COMMENT ON FUNCTION rt_api.member_role(text, jsonb) IS 'PATCH /api/chat/rooms/:id/members/:userId';

CREATE OR REPLACE FUNCTION rt_api.member_remove(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	whom text := rt_private.req_name(req, 'userId');
BEGIN
	IF whom <> actor AND r.kind = 'direct' THEN
		RAISE EXCEPTION 'you cannot remove the other member of a direct room' USING ERRCODE = 'RT403';
	ELSIF whom <> actor THEN
		r := rt_private.api_admin_room(actor, req);
	END IF;
	DELETE FROM rt.room_members AS m WHERE m.room_id = r.id AND m.user_id = whom;
	IF NOT FOUND THEN
		-- A declined one stays: nobody is asked again.
		DELETE FROM rt.room_invitations AS i WHERE i.room_id = r.id AND i.user_id = whom AND i.declined_at IS NULL;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'member not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN json_build_object('status', 200, 'data', json_build_object('roomId', r.id::text, 'userId', whom));
END
$$;

COMMENT ON FUNCTION rt_api.member_remove(text, jsonb) IS 'DELETE /api/chat/rooms/:id/members/:userId; anybody may leave, and admins withdraw invitations';

CREATE FUNCTION rt_api.invitations_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	mine json;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT coalesce(json_agg(rt_private.invitation_json(i) ORDER BY i.created_at DESC, i.room_id DESC), '[]') INTO mine
	FROM (SELECT t.* FROM rt.room_invitations AS t WHERE t.user_id = actor AND t.declined_at IS NULL
		ORDER BY t.created_at DESC, t.room_id DESC LIMIT 200) AS i;
	RETURN json_build_object('status', 200, 'data', mine, 'count', json_array_length(mine));
END
$$;

COMMENT ON FUNCTION rt_api.invitations_list(text, jsonb) IS 'GET /api/users/me/invitations: the latest 200';

CREATE FUNCTION rt_api.invitation_accept(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room rt.rooms;
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.act_as(actor);
	PERFORM rt.accept_invitation(rt_private.req_id(req, 'roomId'), actor);
	SELECT r.* INTO room FROM rt.rooms AS r WHERE r.id = rt_private.req_id(req, 'roomId');
	RETURN json_build_object('status', 200, 'data', rt_private.room_json_for(room, actor));
END
$$;

COMMENT ON FUNCTION rt_api.invitation_accept(text, jsonb) IS 'POST /api/users/me/invitations/:roomId/accept';

CREATE FUNCTION rt_api.invitation_decline(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room_id bigint := rt_private.req_id(req, 'roomId');
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.act_as(actor);
	PERFORM rt.decline_invitation(room_id, actor);
	RETURN json_build_object('status', 200, 'data', json_build_object('roomId', room_id::text, 'declined', true));
END
$$;

COMMENT ON FUNCTION rt_api.invitation_decline(text, jsonb) IS 'DELETE /api/users/me/invitations/:roomId';

CREATE OR REPLACE FUNCTION rt_api.join_rooms(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	asked bigint[];
	mine bigint[];
	failed json;
	seen pg_snapshot;
BEGIN
	SELECT coalesce(array_agg(rt_private.to_id(r.value, 'roomIds') ORDER BY r.n), '{}') INTO asked
	FROM jsonb_array_elements(rt_private.req_array(req, 'roomIds', 10000)) WITH ORDINALITY AS r (value, n);
	PERFORM rt_private.soft_commit();
	SELECT coalesce(array_agg(m.room_id), '{}'), pg_current_snapshot() INTO mine, seen
	FROM rt.room_members AS m WHERE m.user_id = actor AND m.room_id = ANY (asked);
	IF cardinality(mine) > 0 THEN
		UPDATE rt_private.sessions AS s
		SET joined = ARRAY(SELECT DISTINCT j FROM unnest(s.joined || mine) AS j)
		WHERE s.sid = req ->> 'sid' AND s.user_id = actor AND NOT s.joined @> mine;
	END IF;
	SELECT json_agg(json_build_object('roomId', t.id::text,
		'error', json_build_object('code', 'not_found', 'message', 'Room not found')) ORDER BY t.n) INTO failed
	FROM (SELECT a AS id, min(n) AS n FROM unnest(asked) WITH ORDINALITY AS u (a, n)
		WHERE a <> ALL (mine) GROUP BY a) AS t;
	RETURN jsonb_strip_nulls(jsonb_build_object('success', failed IS NULL,
		'rooms', coalesce((SELECT json_agg(t.id::text ORDER BY t.n)
			FROM (SELECT a AS id, min(n) AS n FROM unnest(asked) WITH ORDINALITY AS u (a, n)
				WHERE a = ANY (mine) GROUP BY a) AS t), '[]'),
		'failed', coalesce(failed, '[]'),
		'message', CASE WHEN failed IS NULL THEN 'Joined' ELSE 'Some rooms could not be joined' END,
		'error', failed -> 0 -> 'error', 'epoch', rt.epoch(), 'snapshot', seen::text));
END
$$;

CREATE OR REPLACE FUNCTION rt_api.leave_room(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room bigint := rt_private.req_id(req, 'roomId');
BEGIN
	PERFORM rt_private.refuse_guest(actor);
	PERFORM rt_private.soft_commit();
	UPDATE rt_private.sessions AS s SET joined = array_remove(s.joined, room)
	WHERE s.sid = req ->> 'sid' AND s.user_id = actor AND room = ANY (s.joined);
	RETURN json_build_object('success', true, 'roomId', room::text);
END
$$;

CREATE OR REPLACE FUNCTION rt_api.set_status(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	status text := rt_private.req_choice(req, 'status', ARRAY['online', 'away', 'busy']);
	message text := rt_private.req_text_opt(req, 'statusMessage');
BEGIN
	IF octet_length(message) > 1024 THEN
		RAISE EXCEPTION 'statusMessage is too long' USING ERRCODE = 'RT413';
	END IF;
	PERFORM rt_private.act_as(actor);
	PERFORM rt_private.set_connection_status(req ->> 'sid', actor, status, message);
	RETURN json_build_object('status', status, 'statusMessage', message);
END
$$;

CREATE FUNCTION rt_private.send_refusal(room rt.rooms, actor text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	role text := (SELECT m.role FROM rt.room_members AS m WHERE m.room_id = room.id AND m.user_id = actor);
BEGIN
	RETURN CASE
		WHEN role IS NULL THEN 'room not found'
		WHEN room.archived THEN 'the room is archived'
		WHEN room.who_may_post = 'admins' AND role <> 'admin' THEN 'only admins may send messages to this room'
		WHEN room.kind = 'direct' AND EXISTS (SELECT FROM rt.blocks AS b
			WHERE (b.user_id, b.blocked_id) IN (SELECT x, y FROM unnest(rt_private.direct_users(room.direct_key)) AS x,
				unnest(rt_private.direct_users(room.direct_key)) AS y)) THEN 'one of you has blocked the other' END;
END
$$;

COMMENT ON FUNCTION rt_private.send_refusal(rt.rooms, text) IS 'why a user may not send to a room; null if they may';

CREATE OR REPLACE FUNCTION rt_api.message_send_batch(actor text, req jsonb) RETURNS json
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rt_send_batch';

CREATE OR REPLACE FUNCTION rt_api.message_send(actor text, req jsonb) RETURNS json
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rt_send_one';

CREATE OR REPLACE FUNCTION rt_private.api_message(actor text, req jsonb) RETURNS rt.messages
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	m rt.messages;
BEGIN
	SELECT (h.m).* INTO m FROM rt_private.history AS h
	WHERE h.room_id = r.id AND h.seq = rt_private.to_seq(req -> 'messageId', 'messageId', r.id);
	IF NOT FOUND OR m.seq <= rt_private.hidden_seq(r, actor) THEN
		RAISE EXCEPTION 'message not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN m;
END
$$;

CREATE FUNCTION rt_private.api_open_message(actor text, req jsonb) RETURNS rt.messages
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
BEGIN
	IF (SELECT r.archived FROM rt.rooms AS r WHERE r.id = m.room_id) THEN
		RAISE EXCEPTION 'the room is archived' USING ERRCODE = 'RT403';
	END IF;
	RETURN m;
END
$$;

COMMENT ON FUNCTION rt_private.api_open_message(text, jsonb) IS 'the message of a request, in a room that is not archived';

CREATE OR REPLACE FUNCTION rt_api.message_edit(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_open_message(actor, req);
	new_content text := rt_private.req_text_opt(req, 'content');
	new_metadata jsonb := CASE WHEN coalesce(jsonb_typeof(req -> 'metadata'), 'null') <> 'null'
		THEN rt_private.req_object(req, 'metadata') END;
BEGIN
	IF m.sender_id IS DISTINCT FROM actor THEN
		RAISE EXCEPTION 'only the sender may edit a message' USING ERRCODE = 'RT403';
	END IF;
	IF m.deleted_at IS NOT NULL THEN
		RAISE EXCEPTION 'message was deleted' USING ERRCODE = 'RT410';
	END IF;
	IF new_content IS NULL AND NOT req ? 'metadata' THEN
		RAISE EXCEPTION 'content is missing' USING ERRCODE = 'RT400';
	END IF;
	UPDATE rt.messages AS t SET content = coalesce(new_content, t.content), metadata = coalesce(new_metadata, t.metadata)
	WHERE t.room_id = m.room_id AND t.seq = m.seq RETURNING t.* INTO m;
	RETURN json_build_object('status', 200, 'data', rt_private.message_json(m));
END
$$;

CREATE OR REPLACE FUNCTION rt_api.message_delete(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
BEGIN
	IF m.sender_id IS DISTINCT FROM actor AND NOT rt_private.is_room_admin(m.room_id, actor) THEN
		RAISE EXCEPTION 'only the sender or an admin may delete a message' USING ERRCODE = 'RT403';
	END IF;
	UPDATE rt.messages AS t SET deleted_at = clock_timestamp()
	WHERE t.room_id = m.room_id AND t.seq = m.seq AND t.deleted_at IS NULL RETURNING t.* INTO m;
	IF NOT FOUND THEN
		m := rt_private.api_message(actor, req);
	END IF;
	RETURN json_build_object('status', 200, 'data', rt_private.message_json(m));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.req_emoji(req jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	emoji text := rt_private.req_text(req, 'emoji');
BEGIN
	IF octet_length(emoji) > 64 OR emoji ~ '[[:cntrl:]]' OR emoji IN ('.', '..') THEN
		RAISE EXCEPTION 'emoji must have 1 to 64 bytes' USING ERRCODE = 'RT400';
	END IF;
	RETURN emoji;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.reaction_data(m rt.messages, actor text, emoji text) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('status', 200, 'data', json_build_object(
		'messageId', rt_private.message_id(m.room_id, m.seq), 'roomId', m.room_id::text, 'userId', actor, 'emoji', emoji));
END
$$;

COMMENT ON FUNCTION rt_private.reaction_data(rt.messages, text, text) IS 'the response to a reaction';

CREATE OR REPLACE FUNCTION rt_api.reaction_add(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_open_message(actor, req);
	reaction text := rt_private.req_emoji(req);
BEGIN
	IF (SELECT count(*) FROM rt.reactions AS r WHERE r.room_id = m.room_id AND r.seq = m.seq AND r.user_id = actor) >= 20
		AND NOT EXISTS (SELECT FROM rt.reactions AS r WHERE r.room_id = m.room_id AND r.seq = m.seq AND r.user_id = actor
			AND r.emoji = reaction) THEN
		RAISE EXCEPTION 'too many reactions' USING ERRCODE = 'RT409';
	END IF;
	INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (m.room_id, m.seq, actor, reaction) ON CONFLICT DO NOTHING;
	RETURN rt_private.reaction_data(m, actor, reaction);
END
$$;

CREATE OR REPLACE FUNCTION rt_api.reaction_remove(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_open_message(actor, req);
	reaction text := rt_private.req_emoji(req);
BEGIN
	DELETE FROM rt.reactions AS r
	WHERE r.room_id = m.room_id AND r.seq = m.seq AND r.user_id = actor AND r.emoji = reaction;
	RETURN rt_private.reaction_data(m, actor, reaction);
END
$$;

CREATE OR REPLACE FUNCTION rt_api.mark_seen(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms;
	ids jsonb := rt_private.req_array(req, 'messageIds', 10000);
	seqs bigint[];
BEGIN
	SELECT coalesce(array_agg(rt_private.to_seq(i, 'messageIds', rt_private.req_id(req, 'roomId'))), '{}') INTO seqs
	FROM jsonb_array_elements(ids) AS i;
	r := rt_private.api_room(actor, req);
	IF (SELECT min(s) FROM unnest(seqs) AS s) <= rt_private.hidden_seq(r, actor) THEN
		RAISE EXCEPTION 'message not found' USING ERRCODE = 'RT404';
	END IF;
	PERFORM rt_private.mark_seen(r.id, actor, seqs, req ->> 'sid');
	RETURN json_build_object('success', true, 'roomId', r.id::text, 'messageIds', ids);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.req_seq(req jsonb, key text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(jsonb_typeof(req -> key), 'null') = 'null' THEN
		RETURN NULL;
	END IF;
	IF jsonb_typeof(req -> key) NOT IN ('string', 'number') OR req ->> key !~ '^[0-9]{1,255}$' THEN
		RAISE EXCEPTION '% must be a number', key USING ERRCODE = 'RT400';
	END IF;
	-- No message has a number beyond 64 bits, nor comes behind the highest.
	RETURN least((req ->> key)::numeric, 9223372036854775807)::bigint;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.page_after(room_id bigint, after bigint, before bigint, most integer, bytes bigint,
	OUT page json, OUT has_more boolean, OUT size bigint, OUT last_seq bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT coalesce(json_agg(rt_private.message_json(t.m) ORDER BY t.n) FILTER (WHERE t.fits), '[]'),
		count(*) > count(*) FILTER (WHERE t.fits), coalesce(max(t.upto) FILTER (WHERE t.fits), 0),
		(SELECT rt_private.last_seq(r.id, r.last_seq) FROM rt.rooms AS r WHERE r.id = page_after.room_id)
	INTO page, has_more, size, last_seq
	FROM (SELECT s.m, s.n, s.upto, s.n <= most AND bytes > 0 AND (s.n = 1 OR s.upto <= bytes) AS fits
		FROM (SELECT h.m, row_number() OVER w AS n,
				sum(octet_length((h.m).content) + coalesce(octet_length((h.m).metadata::text), 0) + 300) OVER w AS upto
			FROM rt_private.history AS h
			WHERE h.room_id = page_after.room_id AND h.seq > after AND h.seq < coalesce(before, 9223372036854775807)
			WINDOW w AS (ORDER BY h.seq)
			ORDER BY h.seq LIMIT CASE WHEN bytes > 0 THEN most + 1 ELSE 1 END) AS s) AS t;
END
$$;

COMMENT ON FUNCTION rt_private.page_after(bigint, bigint, bigint, integer, bigint) IS 'messages of a room after a number';

CREATE FUNCTION rt_private.page_before(room_id bigint, before bigint, above bigint, most integer,
	OUT page json, OUT has_more boolean, OUT last_seq bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT coalesce(json_agg(rt_private.message_json(t.m) ORDER BY t.n DESC) FILTER (WHERE t.n <= most), '[]'), count(*) > most,
		(SELECT rt_private.last_seq(r.id, r.last_seq) FROM rt.rooms AS r WHERE r.id = page_before.room_id)
	INTO page, has_more, last_seq
	FROM (SELECT h.m, row_number() OVER (ORDER BY h.seq DESC) AS n FROM rt_private.history AS h
		WHERE h.room_id = page_before.room_id AND h.seq < coalesce(before, 9223372036854775807) AND h.seq > above
		ORDER BY h.seq DESC LIMIT most + 1) AS t;
END
$$;

COMMENT ON FUNCTION rt_private.page_before(bigint, bigint, bigint, integer) IS 'the newest messages of a room below a number, and above another, rising';

CREATE FUNCTION rt_private.page_pins(room_id bigint, page json) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(rt_private.message_id(p.room_id, p.seq) ORDER BY p.seq), '[]')
	FROM rt.pins AS p
	WHERE p.room_id = page_pins.room_id AND p.seq BETWEEN (page -> 0 ->> 'seq')::bigint AND (page -> -1 ->> 'seq')::bigint
$$;

COMMENT ON FUNCTION rt_private.page_pins(bigint, json) IS 'the pinned messages of a page';

CREATE FUNCTION rt_private.page_threads(room_id bigint, page json) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(json_build_object('messageId', rt_private.message_id(t.room_id, t.seq), 'replyCount', t.replies,
		'lastReplySeq', t.last_reply_seq, 'lastReplyAt', rt_private.iso(t.last_reply_at)) ORDER BY t.seq), '[]')
	FROM rt.threads AS t
	WHERE t.room_id = page_threads.room_id AND t.replies > 0
		AND t.seq BETWEEN (page -> 0 ->> 'seq')::bigint AND (page -> -1 ->> 'seq')::bigint
$$;

COMMENT ON FUNCTION rt_private.page_threads(bigint, json) IS 'the replies to a page of messages, counted';

CREATE OR REPLACE FUNCTION rt_api.message_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	after bigint := rt_private.req_seq(req, 'afterSeq');
	before bigint := rt_private.req_seq(req, 'beforeSeq');
	most integer := rt_private.req_limit(req, 50, 200);
	hidden bigint := rt_private.hidden_seq(r, actor);
	last_change bigint := rt_private.last_change(r.id); -- before the page, which then has all up to it
	found_page record;
BEGIN
	IF after IS NULL THEN
		SELECT * INTO found_page FROM rt_private.page_before(r.id, before, hidden, most);
	ELSE
		SELECT * INTO found_page FROM rt_private.page_after(r.id, greatest(after, hidden), before, most, 16777216);
	END IF;
	RETURN json_build_object('status', 200, 'data', found_page.page, 'hasMore', found_page.has_more,
		'count', json_array_length(found_page.page), 'lastSeq', found_page.last_seq, 'lastChange', last_change, 'epoch', rt.epoch(),
		'reactions', rt_private.page_reactions(r.id, found_page.page), 'pinned', rt_private.page_pins(r.id, found_page.page),
		'threads', rt_private.page_threads(r.id, found_page.page));
END
$$;

CREATE TYPE rt_private.search_request AS (
	q text,
	words tsquery,
	sender text,
	rooms bigint[],
	hidden jsonb,
	before timestamptz,
	after timestamptz,
	at timestamptz,
	room bigint,
	seq bigint
);

COMMENT ON TYPE rt_private.search_request IS 'a search for messages, with the position of its page';

COMMENT ON COLUMN rt_private.search_request.q IS 'the search string';

COMMENT ON COLUMN rt_private.search_request.words IS 'the query for the index';

COMMENT ON COLUMN rt_private.search_request.sender IS 'only messages of this user; null: of any user';

COMMENT ON COLUMN rt_private.search_request.rooms IS 'the rooms that are searched';

COMMENT ON COLUMN rt_private.search_request.hidden IS 'last hidden message of rooms that hide their history';

COMMENT ON COLUMN rt_private.search_request.before IS 'only messages sent before it';

COMMENT ON COLUMN rt_private.search_request.after IS 'only messages sent after it';

COMMENT ON COLUMN rt_private.search_request.at IS 'position of the page: time of the last message,';

COMMENT ON COLUMN rt_private.search_request.room IS 'its room,';

COMMENT ON COLUMN rt_private.search_request.seq IS 'its number';

CREATE FUNCTION rt_private.search_fits(s rt_private.search_request, m rt.messages) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN m.deleted_at IS NULL AND (s.sender IS NULL OR m.sender_id = s.sender)
		AND (s.before IS NULL OR m.created_at < s.before) AND (s.after IS NULL OR m.created_at > s.after)
		AND m.seq > coalesce((s.hidden ->> m.room_id::text)::bigint, 0)
		AND (s.at IS NULL OR m.created_at < s.at OR (m.created_at = s.at AND (m.room_id > s.room OR (m.room_id = s.room AND m.seq < s.seq))));
END
$$;

COMMENT ON FUNCTION rt_private.search_fits(rt_private.search_request, rt.messages) IS 'whether a message matches the filters of a search';

CREATE FUNCTION rt_private.search_hit(m rt.messages, q text) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (left(rt_private.message_json(m)::text, -1) || ',"highlights":' || rt_private.search_highlights(m.content, q)::text || '}')::json;
END
$$;

COMMENT ON FUNCTION rt_private.search_hit(rt.messages, text) IS 'a message that was found';

CREATE FUNCTION rt_private.search_walk(words tsquery, rooms bigint[], hidden bigint[], sender text, before timestamptz, after timestamptz,
	at timestamptz, room bigint, seq bigint, most integer) RETURNS tid[]
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'rt_search_walk';

COMMENT ON FUNCTION rt_private.search_walk(tsquery, bigint[], bigint[], text, timestamptz, timestamptz, timestamptz, bigint, bigint, integer) IS
	'finds the newest messages of rooms that match; null: not found out';

CREATE FUNCTION rt_private.search_index(s rt_private.search_request, most integer) RETURNS rt.messages[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' SET plan_cache_mode = force_custom_plan SET jit = off AS $$
DECLARE
	words tsquery := s.words;
	rooms bigint[] := s.rooms;
	is_filtered boolean := s.sender IS NOT NULL OR s.before IS NOT NULL OR s.after IS NOT NULL OR s.at IS NOT NULL
		OR coalesce(s.hidden, '{}') <> '{}';
BEGIN
	IF cardinality(rooms) <= 8 THEN
		RETURN ARRAY(SELECT m FROM rt.messages AS m
			WHERE rt_private.search_vector(m.content) @@ words AND m.deleted_at IS NULL AND m.room_id = ANY (rooms)
				AND (NOT is_filtered OR rt_private.search_fits(s, m))
			ORDER BY m.created_at DESC, m.room_id, m.seq DESC LIMIT most);
	END IF;
	RETURN ARRAY(SELECT m FROM rt.messages AS m
		WHERE rt_private.search_vector(m.content) @@ words AND m.deleted_at IS NULL AND m.room_id + 0 = ANY (rooms)
			AND (NOT is_filtered OR rt_private.search_fits(s, m))
		ORDER BY m.created_at DESC, m.room_id, m.seq DESC LIMIT most);
END
$$;

COMMENT ON FUNCTION rt_private.search_index(rt_private.search_request, integer) IS 'searches by the index';

CREATE FUNCTION rt_private.search_newest(s rt_private.search_request, most integer) RETURNS rt.messages[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' AS $$
DECLARE
	others rt_private.search_request := s;
	rooms bigint[];
	hidden bigint[];
	places tid[];
	late rt.messages[] := '{}';
BEGIN
	SELECT coalesce(array_agg(r.id) FILTER (WHERE r.rises), '{}'), coalesce(array_agg(r.id) FILTER (WHERE NOT r.rises), '{}')
	INTO rooms, others.rooms
	FROM (SELECT t.id, coalesce(t.newest_at < 'infinity', t.last_seq = 0) AS rises FROM rt.rooms AS t WHERE t.id = ANY (s.rooms)) AS r;
	IF rooms = '{}' THEN
		RETURN NULL;
	END IF;
	hidden := CASE WHEN s.hidden <> '{}' THEN ARRAY(SELECT coalesce((s.hidden ->> r.id::text)::bigint, 0)
		FROM unnest(rooms) WITH ORDINALITY AS r (id, n) ORDER BY r.n) END;
	places := rt_private.search_walk(s.words, rooms, hidden, s.sender, s.before, s.after, s.at, s.room, s.seq, most);
	IF places IS NULL THEN
		RETURN NULL;
	ELSIF others.rooms <> '{}' THEN
		late := rt_private.search_index(others, most);
	END IF;
	RETURN ARRAY(SELECT t.m FROM (SELECT m FROM rt.messages AS m WHERE m.ctid = ANY (places)
			UNION ALL SELECT l FROM unnest(late) AS l) AS t
		ORDER BY (t.m).created_at DESC, (t.m).room_id, (t.m).seq DESC LIMIT most);
END
$$;

COMMENT ON FUNCTION rt_private.search_newest(rt_private.search_request, integer) IS
	'searches from the newest message backwards; null if that does not pay';

CREATE FUNCTION rt_private.req_search(actor text, req jsonb) RETURNS rt_private.search_request
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s rt_private.search_request;
	wanted_room bigint := rt_private.req_id_opt(req, 'roomId');
	behind record;
	parts text[];
BEGIN
	s.q := rt_private.req_text(req, 'q');
	s.words := rt_private.search_query(s.q);
	s.sender := rt_private.req_text_opt(req, 'from');
	s.before := rt_private.req_timestamp(req, 'before');
	s.after := rt_private.req_timestamp(req, 'after');
	SELECT * INTO behind FROM rt_private.req_cursor(req);
	IF behind.id IS NOT NULL THEN
		parts := regexp_match(behind.id, '^([0-9]{1,18})-([0-9]{1,18})$');
		IF parts IS NULL THEN
			RAISE EXCEPTION 'cursor must be the nextCursor of a page' USING ERRCODE = 'RT400';
		END IF;
		s.at := behind.at;
		s.room := parts[1]::bigint;
		s.seq := parts[2]::bigint;
	END IF;
	s.hidden := rt_private.own_hidden();
	s.rooms := ARRAY(SELECT mine.room_id FROM rt.room_members AS mine
		WHERE mine.user_id = actor AND (wanted_room IS NULL OR mine.room_id = wanted_room));
	RETURN s;
END
$$;

COMMENT ON FUNCTION rt_private.req_search(text, jsonb) IS 'reads a request to search';

CREATE OR REPLACE FUNCTION rt_api.search(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most integer := rt_private.req_limit(req, 50, 200);
	s rt_private.search_request;
	hits rt.messages[];
	answer json;
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.act_as(actor);
	IF rt_private.req_id_opt(req, 'roomId') IS NOT NULL THEN
		PERFORM rt_private.api_room(actor, req);
	END IF;
	s := rt_private.req_search(actor, req);
	IF numnode(s.words) = 0 THEN
		hits := '{}';
	ELSE
		hits := rt_private.search_newest(s, most + 1);
	END IF;
	IF hits IS NULL THEN
		hits := rt_private.search_index(s, most + 1);
	END IF;
	SELECT coalesce(json_agg(rt_private.search_hit(h, s.q) ORDER BY h.created_at DESC, h.room_id, h.seq DESC), '[]') INTO answer
	FROM unnest(hits[1:most]) AS h;
	RETURN json_build_object('status', 200, 'data', answer, 'count', json_array_length(answer), 'nextCursor',
		CASE WHEN cardinality(hits) > most THEN rt_private.cursor_text(hits[most].created_at, rt_private.message_id(hits[most].room_id, hits[most].seq)) END);
END
$$;

CREATE FUNCTION rt_private.message_reactions(room_id bigint, seq bigint) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT coalesce(json_agg(json_build_object('emoji', t.emoji, 'count', t.n, 'userIds', t.users) ORDER BY t.first, t.emoji), '[]')
		FROM (SELECT r.emoji, count(*) AS n, min(r.created_at) AS first,
				(array_agg(r.user_id ORDER BY r.created_at, r.user_id))[1:50] AS users
			FROM rt.reactions AS r
			WHERE r.room_id = message_reactions.room_id AND r.seq = message_reactions.seq
			GROUP BY r.emoji) AS t);
END
$$;

COMMENT ON FUNCTION rt_private.message_reactions(bigint, bigint) IS 'the reactions to a message, at most 50 users each';

CREATE FUNCTION rt_private.message_full(m rt.messages) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (left(rt_private.message_json(m)::text, -1) || ',"reactions":' || rt_private.message_reactions(m.room_id, m.seq)::text
		|| ',"pinned":' || EXISTS (SELECT FROM rt.pins AS p WHERE p.room_id = m.room_id AND p.seq = m.seq)::text
		|| ',"replyCount":' || coalesce((SELECT t.replies FROM rt.threads AS t WHERE t.room_id = m.room_id AND t.seq = m.seq), 0)::text
		|| '}')::json;
END
$$;

COMMENT ON FUNCTION rt_private.message_full(rt.messages) IS 'a message as clients get it, with reactions, pin and number of replies';

CREATE FUNCTION rt_private.changes_after(room_id bigint, after bigint, hidden bigint, most integer, bytes bigint,
	OUT page json, OUT has_more boolean, OUT size bigint, OUT upto bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT coalesce(json_agg(rt_private.message_full(t.m) ORDER BY t.n) FILTER (WHERE t.fits), '[]'),
		count(*) > count(*) FILTER (WHERE t.fits), coalesce(max(t.upto) FILTER (WHERE t.fits), 0),
		CASE WHEN count(*) > count(*) FILTER (WHERE t.fits) THEN coalesce(max(t.change) FILTER (WHERE t.fits), after)
			ELSE rt_private.last_change(changes_after.room_id) END
	INTO page, has_more, size, upto
	FROM (SELECT s.m, s.n, s.change, s.upto, s.n <= most AND bytes > 0 AND (s.n = 1 OR s.upto <= bytes) AS fits
		FROM (SELECT h.m, c.change, row_number() OVER w AS n,
				sum(octet_length((h.m).content) + coalesce(octet_length((h.m).metadata::text), 0) + 400) OVER w AS upto
			FROM rt_private.room_changes AS c JOIN rt_private.history AS h ON h.room_id = c.room_id AND h.seq = c.seq
			WHERE c.room_id = changes_after.room_id AND c.change > after AND c.seq > hidden
			WINDOW w AS (ORDER BY c.change)
			ORDER BY c.change LIMIT CASE WHEN bytes > 0 THEN most + 1 ELSE 1 END) AS s) AS t;
END
$$;

COMMENT ON FUNCTION rt_private.changes_after(bigint, bigint, bigint, integer, bigint) IS 'messages of a room that changed after a number, as they are now';

CREATE FUNCTION rt_private.with_reactions(room_id bigint, page json) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	head bigint := (page -> 0 ->> 'seq')::bigint;
	tail bigint := (page -> -1 ->> 'seq')::bigint;
BEGIN
	RETURN (SELECT coalesce(json_agg((left(e.message::text, -1) || ',"reactions":' || coalesce(t.reactions, '[]') || '}')::json ORDER BY e.n), '[]')
		FROM json_array_elements(page) WITH ORDINALITY AS e (message, n)
			LEFT JOIN (SELECT g.seq, json_agg(json_build_object('emoji', g.emoji, 'count', g.n, 'userIds', g.users) ORDER BY g.first, g.emoji)::text AS reactions
				FROM (SELECT r.seq, r.emoji, count(*) AS n, min(r.created_at) AS first,
						(array_agg(r.user_id ORDER BY r.created_at, r.user_id))[1:50] AS users
					FROM rt.reactions AS r
					WHERE r.room_id = with_reactions.room_id AND r.seq BETWEEN head AND tail
					GROUP BY r.seq, r.emoji) AS g
				GROUP BY g.seq) AS t
			ON t.seq = head + e.n - 1);
END
$$;

COMMENT ON FUNCTION rt_private.with_reactions(bigint, json) IS 'messages, of which none is missing between the first and the last, with the reactions to them';

CREATE FUNCTION rt_private.sync_one(actor text, room bigint, after bigint, after_change bigint, most integer, bytes bigint,
	OUT part json, OUT size bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.room_members;
	r rt.rooms;
	hidden bigint := 0;
	found_page record;
	changes record;
	parts jsonb := jsonb_build_object('roomId', room::text);
BEGIN
	size := 0;
	SELECT t.* INTO m FROM rt.room_members AS t WHERE t.room_id = room AND t.user_id = actor;
	IF NOT FOUND THEN
		part := json_build_object('roomId', room::text, 'error', json_build_object('code', 'not_found', 'message', 'Room not found'));
		RETURN;
	END IF;
	SELECT t.* INTO r FROM rt.rooms AS t WHERE t.id = room;
	IF r.history = 'joined' THEN
		hidden := m.first_seq;
	END IF;
	IF after IS NOT NULL OR after_change IS NULL THEN
		SELECT * INTO found_page FROM rt_private.page_after(room, greatest(coalesce(after, 0), hidden), NULL, most, bytes);
		size := found_page.size;
		parts := parts || jsonb_build_object('messages', rt_private.with_reactions(room, found_page.page), 'lastSeq', found_page.last_seq, 'hasMore', found_page.has_more);
	ELSE
		parts := parts || jsonb_build_object('lastSeq', rt_private.last_seq(r.id, r.last_seq), 'hasMore', false);
	END IF;
	IF after_change IS NOT NULL OR after IS NULL THEN
		-- Who holds messages may hold them from an earlier membership.
		SELECT * INTO changes FROM rt_private.changes_after(room,
			CASE WHEN coalesce(after, 0) > 0 OR after_change > 0 THEN coalesce(after_change, 0) ELSE m.first_change END,
			hidden, most, bytes - size);
		size := size + changes.size;
		parts := parts || jsonb_build_object('changed', changes.page, 'lastChange', changes.upto, 'hasMoreChanges', changes.has_more);
	ELSE
		parts := parts || jsonb_build_object('lastChange', rt_private.last_change(room), 'hasMoreChanges', false);
	END IF;
	part := parts;
END
$$;

COMMENT ON FUNCTION rt_private.sync_one(text, bigint, bigint, bigint, integer, bigint) IS 'one room of sync-rooms';

CREATE OR REPLACE FUNCTION rt_api.sync_rooms(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most integer := rt_private.req_limit(req, 200, 1000);
	-- An answer must fit into what a gateway keeps for one socket; what does not is asked for again.
	bytes_left bigint := 800000;
	asked jsonb := rt_private.req_array(req, 'rooms', 1000);
	one jsonb;
	parts json[] := '{}';
	error json;
	answer record;
BEGIN
	FOR one IN SELECT jsonb_array_elements(asked) LOOP
		IF jsonb_typeof(one) <> 'object' THEN
			RAISE EXCEPTION 'rooms must be an array of objects' USING ERRCODE = 'RT400';
		END IF;
		PERFORM rt_private.req_id(one, 'roomId'), rt_private.req_seq(one, 'afterSeq'), rt_private.req_seq(one, 'afterChange');
	END LOOP;
	FOR one IN SELECT jsonb_array_elements(asked) LOOP
		SELECT * INTO answer FROM rt_private.sync_one(actor, rt_private.req_id(one, 'roomId'), rt_private.req_seq(one, 'afterSeq'),
			rt_private.req_seq(one, 'afterChange'), most, bytes_left);
		bytes_left := bytes_left - answer.size;
		error := coalesce(error, answer.part -> 'error');
		parts := parts || answer.part;
	END LOOP;
	RETURN json_build_object('success', error IS NULL, 'epoch', rt.epoch(), 'rooms', CASE WHEN cardinality(parts) > 0 THEN array_to_json(parts) ELSE '[]' END)::jsonb
		|| CASE WHEN error IS NULL THEN '{}' ELSE jsonb_build_object('error', error) END;
END
$$;

CREATE FUNCTION rt_api.message_get(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('status', 200, 'data', rt_private.message_full(rt_private.api_message(actor, req)));
END
$$;

COMMENT ON FUNCTION rt_api.message_get(text, jsonb) IS 'GET …/msgs/:messageId';

CREATE OR REPLACE FUNCTION rt_private.meeting_act(actor text, req jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM set_config('rt.user_id', coalesce(actor, ''), true);
	PERFORM set_config('rt_private.socket_id', coalesce(req ->> 'sid', ''), true);
END
$$;

COMMENT ON FUNCTION rt_private.meeting_act(text, jsonb) IS 'sets the acting user, who may be a guest, and the socket, for the transaction';

CREATE OR REPLACE FUNCTION rt_private.soft_commit() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_member(actor text, req jsonb, action text, lock boolean DEFAULT true)
RETURNS rt.meeting_participants
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	meeting bigint := rt_private.req_id(req, 'meetingId');
	status text;
	p rt.meeting_participants;
BEGIN
	IF lock THEN
		SELECT m.status INTO status FROM rt.meetings AS m WHERE m.id = meeting FOR NO KEY UPDATE;
	ELSE
		SELECT m.status INTO status FROM rt.meetings AS m WHERE m.id = meeting;
	END IF;
	IF status IS NULL THEN
		RAISE EXCEPTION 'meeting not found' USING ERRCODE = 'RT404';
	ELSIF status = 'ended' THEN
		RAISE EXCEPTION 'meeting has ended' USING ERRCODE = 'RT410';
	END IF;
	SELECT t.* INTO p
	FROM rt.meeting_participants AS t
	WHERE t.meeting_id = meeting AND t.socket_id = req ->> 'sid' AND t.user_id = meeting_member.actor AND t.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'you are not in the meeting' USING ERRCODE = 'RT403';
	ELSIF NOT coalesce(action = ANY (rt_private.meeting_permissions(p.role)), true) THEN
		RAISE EXCEPTION 'a % may not do that', p.role USING ERRCODE = 'RT403';
	END IF;
	RETURN p;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_member(text, jsonb, text, boolean)
	IS 'the calling participant, after a check that the role allows the action; null: any action';

CREATE OR REPLACE FUNCTION rt_private.meeting_target(p rt.meeting_participants, req jsonb) RETURNS rt.meeting_participants
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target rt.meeting_participants;
BEGIN
	SELECT t.* INTO target
	FROM rt.meeting_participants AS t
	WHERE t.id = rt_private.req_id(req, 'participantId') AND t.meeting_id = p.meeting_id AND t.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'participant not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN target;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_target(rt.meeting_participants, jsonb) IS 'the participant of the same meeting that a request acts on';

CREATE FUNCTION rt_private.meeting_check_access(m rt.meetings, actor text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	is_host boolean := coalesce(m.host_id = actor, false);
BEGIN
	PERFORM rt_private.check_known(actor);
	IF NOT coalesce(rt_private.meeting_may_join(m, actor), false) THEN
		RAISE EXCEPTION 'access denied' USING ERRCODE = 'RT403';
	ELSIF m.locked AND NOT is_host THEN
		RAISE EXCEPTION 'meeting is locked' USING ERRCODE = 'RT403';
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_check_access(rt.meetings, text) IS 'checks access, then the lock; the password is checked afterwards';

CREATE OR REPLACE FUNCTION rt_private.meeting_check_capacity(m rt.meetings) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF (SELECT count(*) FROM rt.meeting_participants AS p WHERE p.meeting_id = m.id AND p.left_at IS NULL)
		>= m.max_participants
	THEN
		RAISE EXCEPTION 'meeting is full' USING ERRCODE = 'RT4FU';
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_check_capacity(rt.meetings) IS 'refuses to exceed max_participants; the caller has locked the meeting';

CREATE OR REPLACE FUNCTION rt_private.meeting_find_open(meeting_id bigint) RETURNS rt.meetings
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = meeting_find_open.meeting_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'meeting not found' USING ERRCODE = 'RT404';
	ELSIF m.status = 'ended' THEN
		RAISE EXCEPTION 'meeting has ended' USING ERRCODE = 'RT410';
	END IF;
	RETURN m;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_find_open(bigint) IS 'finds a meeting that has not ended';

CREATE OR REPLACE FUNCTION rt_private.req_password(req jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value jsonb := coalesce(nullif(req -> 'password', 'null'), nullif(req -> 'meeting_password', 'null'));
BEGIN
	IF jsonb_typeof(value) <> 'string' THEN
		RAISE EXCEPTION 'password must be a string' USING ERRCODE = 'RT400';
	END IF;
	RETURN value #>> '{}';
END
$$;

COMMENT ON FUNCTION rt_private.req_password(jsonb) IS 'the password in a request, under either key; null if there is none';

CREATE OR REPLACE FUNCTION rt_private.meeting_kept_place(meeting_id bigint, actor text, sid text) RETURNS rt.meeting_participants
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kept rt.meeting_participants;
BEGIN
	SELECT p.* INTO kept
	FROM rt.meeting_participants AS p
	WHERE p.meeting_id = meeting_kept_place.meeting_id AND p.user_id = actor AND p.left_at IS NULL
		AND (p.disconnected_at IS NOT NULL OR p.socket_id = sid)
	ORDER BY p.socket_id = sid DESC NULLS LAST, p.disconnected_at DESC
	LIMIT 1;
	RETURN kept;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_role_for(m rt.meetings, actor text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce(
		(SELECT p.role FROM rt.meeting_participants AS p
			WHERE p.meeting_id = m.id AND p.user_id = actor ORDER BY p.id DESC LIMIT 1),
		CASE WHEN m.host_id = actor THEN 'host' END,
		(SELECT i.role FROM rt.meeting_invitees AS i WHERE i.meeting_id = m.id AND i.user_id = actor),
		'participant');
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_take_place(m rt.meetings, actor text, req jsonb) RETURNS rt.meeting_participants
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text := rt_private.req_display_name(req, 'displayName');
	p rt.meeting_participants;
BEGIN
	p := rt_private.meeting_kept_place(m.id, actor, req ->> 'sid');
	IF p.id IS NOT NULL THEN
		UPDATE rt.meeting_participants AS t
		SET socket_id = req ->> 'sid', gateway = req ->> 'gateway', disconnected_at = NULL,
			display_name = coalesce(name, t.display_name)
		WHERE t.id = p.id
		RETURNING t.* INTO p;
		RETURN p;
	END IF;
	PERFORM rt_private.meeting_check_capacity(m);
	INSERT INTO rt.meeting_participants (meeting_id, user_id, display_name, role, socket_id, gateway)
	VALUES (m.id, actor, name, rt_private.meeting_role_for(m, actor), req ->> 'sid', req ->> 'gateway')
	RETURNING * INTO p;
	RETURN p;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_take_place(rt.meetings, text, jsonb) IS 'creates a participant, or returns a kept place; the caller has locked the meeting';

CREATE FUNCTION rt_private.turn_hmac(username text) RETURNS bytea
LANGUAGE c STABLE STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rt_turn_hmac';

COMMENT ON FUNCTION rt_private.turn_hmac(text) IS 'HMAC with SHA-1 and the secret in rt.turn_secret_file; null: there is none';

CREATE FUNCTION rt_private.turn_servers(actor text) RETURNS SETOF json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	urls text[] := regexp_split_to_array(nullif(btrim(current_setting('rt.turn_urls', true)), ''), E'\\s*,\\s*');
	lifetime integer := extract(epoch FROM current_setting('rt.turn_lifetime', true)::interval);
	username text := floor(extract(epoch FROM clock_timestamp()) + lifetime) || ':' || actor;
	hmac bytea;
BEGIN
	IF cardinality(urls) > 0 THEN
		hmac := rt_private.turn_hmac(username);
	END IF;
	IF hmac IS NOT NULL THEN
		RETURN NEXT json_build_object('urls', urls, 'username', username, 'credential', encode(hmac, 'base64'));
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.turn_servers(text) IS 'the TURN servers in rt.turn_urls with temporary credentials for a user';

CREATE FUNCTION rt_private.webrtc_config(actor text, router_id text) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('routerId', webrtc_config.router_id,
		'rtpCapabilities', rt_private.router_rtp_capabilities(),
		'iceServers', (
			SELECT coalesce(json_agg(g.server ORDER BY g.url), '[]')
			FROM (
				SELECT s.url, json_strip_nulls(json_build_object('urls', s.url, 'username', s.username, 'credential', s.credential))
				FROM rt.ice_servers AS s
				UNION ALL
				SELECT NULL, t FROM rt_private.turn_servers(webrtc_config.actor) AS t) AS g (url, server)),
		'iceTransportPolicy', coalesce(current_setting('rt.ice_transport_policy', true), 'all'));
END
$$;

COMMENT ON FUNCTION rt_private.webrtc_config(text, text) IS 'webrtcConfig of the wire contract';

CREATE OR REPLACE FUNCTION rt_api.meeting_join(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
	p rt.meeting_participants;
	router rt_private.media_routers;
	sid text := rt_private.req_text(req, 'sid');
	checked text;
	refusal json;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	m := rt_private.meeting_find_open(rt_private.req_id(req, 'meetingId'));
	p := rt_private.meeting_kept_place(m.id, actor, sid);
	IF p.id IS NULL THEN
		PERFORM rt_private.meeting_check_access(m, actor);
		refusal := rt_private.meeting_password_refusal(m, actor, req);
		checked := m.password_hash;
	END IF;
	IF refusal IS NOT NULL THEN
		RETURN refusal;
	END IF;
	m := rt_private.meeting_lock_open(m.id);
	p := rt_private.meeting_kept_place(m.id, actor, sid);
	IF p.id IS NULL THEN
		IF m.password_hash IS NOT DISTINCT FROM checked THEN
			m.password_hash := NULL;
		END IF;
		PERFORM rt_private.meeting_check_access(m, actor);
		refusal := rt_private.meeting_password_refusal(m, actor, req);
	END IF;
	IF refusal IS NULL AND p.id IS NULL AND NOT rt_private.lobby_passes(m, actor) THEN
		PERFORM rt_private.soft_commit();
		refusal := rt_private.lobby_wait(m, actor, req);
	END IF;
	IF refusal IS NOT NULL THEN
		RETURN refusal;
	END IF;
	UPDATE rt.meetings AS t SET status = 'live' WHERE t.id = m.id AND t.status = 'scheduled';
	IF NOT FOUND THEN
		PERFORM rt_private.soft_commit();
	END IF;
	p := rt_private.meeting_take_place(m, actor, req);
	router := rt_private.media_place_for(m.id, req);
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = m.id;
	RETURN json_build_object('meeting', rt_private.meeting_json(m), 'participantId', p.id::text,
		'participants', rt_private.participants_json(m.id), 'webrtcConfig', rt_private.webrtc_config(actor, router.id),
		'waiting', rt_private.lobby_json(p));
END
$$;

CREATE OR REPLACE FUNCTION rt_api.meeting_leave(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	DELETE FROM rt.meeting_waiting AS w
	WHERE w.meeting_id = rt_private.req_id(req, 'meetingId') AND w.user_id = actor AND w.socket_id = req ->> 'sid' AND w.status = 'waiting';
	IF FOUND THEN
		RETURN json_build_object('meetingId', rt_private.req_id(req, 'meetingId')::text, 'participantId', NULL);
	END IF;
	p := rt_private.meeting_member(actor, req, NULL);
	UPDATE rt.meeting_participants AS t SET left_at = clock_timestamp(), left_reason = 'left' WHERE t.id = p.id;
	RETURN json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_grace() RETURNS interval
LANGUAGE sql STABLE
	RETURN current_setting('rt.meeting_grace')::interval;

COMMENT ON FUNCTION rt_private.meeting_grace() IS 'the grace period for dropped participants';

CREATE OR REPLACE FUNCTION rt_private.places_json(places rt.meeting_participants[]) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('meetings', coalesce(json_agg(json_build_object('meetingId', p.meeting_id::text,
		'participantId', p.id::text) ORDER BY p.meeting_id), '[]'))
	FROM unnest(places) AS p
$$;

COMMENT ON FUNCTION rt_api.meeting_disconnected(text, jsonb) IS 'starts the grace period for the places of a dropped socket';

COMMENT ON FUNCTION rt_api.meeting_resume(text, jsonb) IS 'returns kept places to a recovered socket';

CREATE OR REPLACE FUNCTION rt_private.meeting_dead_gateways() RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE named (gateway) AS (
		(SELECT p.gateway FROM rt.meeting_participants AS p
			WHERE p.left_at IS NULL AND p.disconnected_at IS NULL AND p.gateway IS NOT NULL
			ORDER BY p.gateway LIMIT 1)
		UNION ALL
		SELECT (
			SELECT p.gateway FROM rt.meeting_participants AS p
			WHERE p.left_at IS NULL AND p.disconnected_at IS NULL AND p.gateway > n.gateway
			ORDER BY p.gateway LIMIT 1)
		FROM named AS n
		WHERE n.gateway IS NOT NULL
	)
	SELECT coalesce(array_agg(n.gateway), '{}') FROM named AS n
	WHERE n.gateway IS NOT NULL AND NOT rt_private.gateway_alive(n.gateway)
$$;

COMMENT ON FUNCTION rt_private.meeting_dead_gateways() IS 'dead gateways that still have participants';

CREATE OR REPLACE FUNCTION rt_private.meeting_drop_dead_gateways() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	dead text[] := rt_private.meeting_dead_gateways();
BEGIN
	IF dead <> '{}' THEN
		UPDATE rt.meeting_participants AS p
		SET disconnected_at = clock_timestamp()
		WHERE p.left_at IS NULL AND p.disconnected_at IS NULL AND p.gateway = ANY (dead);
	END IF;
	UPDATE rt.meeting_participants AS p
	SET disconnected_at = clock_timestamp()
	WHERE p.left_at IS NULL AND p.disconnected_at IS NULL AND p.gateway IS NULL;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_drop_dead_gateways() IS 'starts the grace period for participants whose gateway is dead';

CREATE OR REPLACE FUNCTION rt_private.meeting_end_places() RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	meeting bigint;
	limit_at timestamptz := clock_timestamp() - rt_private.meeting_grace();
	ended bigint;
	total bigint := 0;
BEGIN
	FOR meeting IN
		SELECT m.id FROM rt.meetings AS m
		WHERE m.id IN (
			SELECT p.meeting_id FROM rt.meeting_participants AS p
			WHERE p.left_at IS NULL AND p.disconnected_at < limit_at)
		ORDER BY m.id LIMIT 100 FOR NO KEY UPDATE SKIP LOCKED
	LOOP
		UPDATE rt.meeting_participants AS p
		SET left_at = clock_timestamp(), left_reason = 'disconnected'
		WHERE p.meeting_id = meeting AND p.left_at IS NULL AND p.disconnected_at < limit_at;
		GET DIAGNOSTICS ended = ROW_COUNT;
		total := total + ended;
	END LOOP;
	RETURN total;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_end_places() IS 'removes participants whose grace period is over; returns how many';

CREATE OR REPLACE FUNCTION rt_api.meeting_sweep(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	gone bigint;
	lost integer;
BEGIN
	IF rt_private.is_foreign('rt.meetings') THEN
		RETURN '{}'; -- their gateways are the writer's
	END IF;
	PERFORM rt_private.meeting_act(NULL, '{}');
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.follow_clock();
	lost := rt_private.media_sweep();
	PERFORM rt_private.meeting_drop_dead_gateways();
	PERFORM rt_private.sweep_lobbies();
	gone := rt_private.meeting_end_places();
	RETURN json_build_object('left', gone, 'workersLost', lost);
END
$$;

COMMENT ON FUNCTION rt_api.meeting_sweep(text, jsonb) IS 'ends expired grace periods; cheap if there are none';

CREATE OR REPLACE FUNCTION rt_private.meeting_recipient(meeting_id bigint, recipient text) RETURNS rt.meeting_participants
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	SELECT t.* INTO p
	FROM rt.meeting_participants AS t
	WHERE t.meeting_id = meeting_recipient.meeting_id AND t.id::text = recipient AND t.left_at IS NULL;
	IF NOT FOUND THEN
		SELECT t.* INTO p
		FROM rt.meeting_participants AS t
		WHERE t.meeting_id = meeting_recipient.meeting_id AND t.user_id = recipient AND t.left_at IS NULL
		ORDER BY t.id LIMIT 1;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'recipient not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN p;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_recipient(bigint, text) IS 'the recipient of a private message';

CREATE OR REPLACE FUNCTION rt_api.meeting_say(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	kind text := rt_private.req_choice(req, 'recipientType', ARRAY['all', 'private', 'host'], 'all');
	said text;
	recipient rt.meeting_participants;
	m rt.meeting_messages;
BEGIN
	IF NOT req ? 'meetingId' AND req ? 'roomId' THEN
		RAISE EXCEPTION 'meetingId is missing: send-message is for meetings; send messages of a room with POST /api/chat/rooms/:roomId/msgs'
			USING ERRCODE = 'RT400';
	END IF;
	said := rt_private.req_text(req, 'message');
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'chat');
	IF kind = 'private' THEN
		recipient := rt_private.meeting_recipient(p.meeting_id, rt_private.req_name(req, 'recipientId'));
	END IF;
	INSERT INTO rt.meeting_messages (meeting_id, sender_id, sender_participant_id, sender_name, message, recipient_type,
		recipient_id, recipient_participant_id)
	VALUES (p.meeting_id, actor, p.id, p.display_name, said, kind, recipient.user_id, recipient.id)
	RETURNING * INTO m;
	RETURN json_build_object('meetingId', p.meeting_id::text, 'message', rt_private.meeting_message_json(m));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_ack(meeting_id bigint) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = meeting_ack.meeting_id;
	RETURN json_build_object('meetingId', m.id::text, 'meeting', rt_private.meeting_json(m));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_can_record(meeting_id bigint) RETURNS boolean
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (
		SELECT FROM rt_private.media_routers AS r
		JOIN rt_private.media_workers AS w ON w.id = r.worker
		WHERE r.meeting_id = meeting_can_record.meeting_id AND w.can_record AND rt_private.media_alive(w))
$$;

COMMENT ON FUNCTION rt_private.meeting_can_record(bigint) IS 'whether the meeting''s media worker can record';

CREATE OR REPLACE FUNCTION rt_private.meeting_set_recording(p rt.meeting_participants, start boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF start THEN
		INSERT INTO rt.meeting_recordings (meeting_id, started_by) VALUES (p.meeting_id, p.user_id)
		ON CONFLICT DO NOTHING;
	ELSE
		UPDATE rt.meeting_recordings AS r
		SET stopped_at = clock_timestamp(), stopped_by = p.user_id
		WHERE r.meeting_id = p.meeting_id AND r.stopped_at IS NULL;
	END IF;
	IF FOUND THEN
		PERFORM rt_private.media_command(r.worker, 'record', r.meeting_id,
			jsonb_build_object('routerId', r.id, 'recording', start))
		FROM rt_private.media_routers AS r
		WHERE r.meeting_id = p.meeting_id;
	END IF;
END
$$;

CREATE OR REPLACE FUNCTION rt_api.meeting_record(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	start boolean := rt_private.req_bool(req, 'start');
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'record');
	IF NOT rt_private.meeting_can_record(p.meeting_id) THEN
		RAISE EXCEPTION 'recording is not available on this server' USING ERRCODE = 'RT503';
	END IF;
	PERFORM rt_private.meeting_set_recording(p, start);
	RETURN json_build_object('meetingId', p.meeting_id::text, 'recording', start, 'startedBy', (
		SELECT r.started_by FROM rt.meeting_recordings AS r WHERE r.meeting_id = p.meeting_id ORDER BY r.id DESC LIMIT 1));
END
$$;

COMMENT ON FUNCTION rt_api.media_result(text, jsonb) IS 'answers that were too large or too private for a notification';

CREATE OR REPLACE FUNCTION rt_api.media_start(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	former text;
BEGIN
	PERFORM rt_private.soft_commit();
	DELETE FROM rt_private.media_workers AS w WHERE w.slot = rt_private.req_text(req, 'slot') RETURNING w.id INTO former;
	INSERT INTO rt_private.media_workers (id, slot, addresses, udp_port, tcp_port, capacity, fingerprint, can_record, ice_candidates,
		host, region, own, pid)
	VALUES (rt_private.req_text(req, 'worker'), req ->> 'slot',
		ARRAY(SELECT jsonb_array_elements_text(req -> 'addresses')), (req ->> 'udpPort')::integer,
		(req ->> 'tcpPort')::integer, (req ->> 'capacity')::integer, req -> 'fingerprint',
		coalesce((req ->> 'canRecord')::boolean, false), coalesce(req -> 'iceCandidates', '[]'),
		req ->> 'host', nullif(req ->> 'region', ''), coalesce((req ->> 'own')::boolean, false), (req ->> 'pid')::integer);
	IF former IS NOT NULL THEN
		PERFORM rt_private.media_abandon(former, 'worker-restarted');
	END IF;
	RETURN json_build_object('heartbeatMs', 1000, 'relay', (SELECT s.pid FROM rt_private.stat_relay() AS s),
		'stamp', rt_private.settings_stamp());
END
$$;

COMMENT ON FUNCTION rt_api.media_start(text, jsonb) IS 'registers a media worker';

CREATE FUNCTION rt_api.media_drain(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	asker text := rt_private.req_text(req, 'worker');
	can_move boolean;
BEGIN
	PERFORM rt_private.soft_commit();
	can_move := rt_private.media_drain(ARRAY[asker]);
	PERFORM rt_private.media_close_formers();
	RETURN json_build_object('canMove', can_move, 'meetings', rt_private.media_meetings(asker));
END
$$;

COMMENT ON FUNCTION rt_api.media_drain(text, jsonb) IS 'drains a media worker that is about to end; returns how many meetings are on it';

COMMENT ON FUNCTION rt_api.media_stop(text, jsonb) IS 'unregisters a media worker';

CREATE OR REPLACE FUNCTION rt_private.media_store_stats(stats jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	object text;
	kind text;
	figures jsonb;
BEGIN
	FOR object, kind, figures IN
		SELECT s ->> 'id', s ->> 'type', s - 'type' - 'id' FROM jsonb_array_elements(media_store_stats.stats) AS s
	LOOP
		IF kind = 'transport' THEN
			UPDATE rt_private.media_transports AS o SET stats = figures
			WHERE o.id = (SELECT t.id FROM rt_private.media_transports AS t WHERE t.id = object FOR NO KEY UPDATE SKIP LOCKED);
		ELSIF kind = 'producer' THEN
			UPDATE rt_private.media_producers AS o SET stats = figures
			WHERE o.id = (SELECT t.id FROM rt_private.media_producers AS t WHERE t.id = object FOR NO KEY UPDATE SKIP LOCKED);
		ELSIF kind = 'consumer' THEN
			UPDATE rt_private.media_consumers AS o SET stats = figures
			WHERE o.id = (SELECT t.id FROM rt_private.media_consumers AS t WHERE t.id = object FOR NO KEY UPDATE SKIP LOCKED);
		END IF;
	END LOOP;
END
$$;

COMMENT ON FUNCTION rt_private.media_store_stats(jsonb) IS 'stores a worker''s statistics, for rt.stat_media';

CREATE OR REPLACE FUNCTION rt_api.media_heartbeat(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	known boolean;
BEGIN
	PERFORM rt_private.soft_commit();
	UPDATE rt_private.media_workers AS w
	SET heartbeat_at = clock_timestamp(), load = coalesce((req ->> 'load')::integer, w.load),
		totals = coalesce(req -> 'totals', w.totals)
	WHERE w.id = rt_private.req_text(req, 'worker');
	known := FOUND;
	IF known AND jsonb_typeof(req -> 'stats') = 'array' THEN
		PERFORM rt_private.media_store_stats(req -> 'stats');
	END IF;
	RETURN json_build_object('known', known, 'relay', (SELECT s.pid FROM rt_private.stat_relay() AS s),
		'stamp', rt_private.settings_stamp());
END
$$;

COMMENT ON FUNCTION rt_api.media_heartbeat(text, jsonb) IS 'notes that a media worker is alive, with its load and totals';

CREATE FUNCTION rt_api.media_stats(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	IF jsonb_typeof(req -> 'stats') = 'array' THEN
		PERFORM rt_private.media_store_stats(req -> 'stats');
	END IF;
	RETURN '{}'::json;
END
$$;

COMMENT ON FUNCTION rt_api.media_stats(text, jsonb) IS 'stores figures of a media worker''s transports, producers and consumers';

COMMENT ON FUNCTION rt_api.media_fetch(text, jsonb) IS 'returns waiting requests to a media worker';

CREATE OR REPLACE FUNCTION rt_private.media_answer_one(worker text, answer json) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt_private.media_requests;
	ack json;
BEGIN
	SELECT q.* INTO r
	FROM rt_private.media_requests AS q
	WHERE q.id = (media_answer_one.answer ->> 'requestId')::bigint AND q.worker = media_answer_one.worker
		AND q.answer IS NULL
		AND q.created_at > clock_timestamp() - interval '5 seconds'
	FOR UPDATE;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	IF NOT (media_answer_one.answer ->> 'ok')::boolean THEN
		PERFORM rt_private.media_reply_error(r, coalesce(media_answer_one.answer #>> '{error,code}', 'internal'),
			coalesce(media_answer_one.answer #>> '{error,message}', 'the media worker could not do that'));
		RETURN true;
	END IF;
	PERFORM set_config('rt_private.socket_id', r.socket_id, true);
	ack := rt_private.media_settle(r, media_answer_one.answer -> 'result');
	IF ack IS NULL THEN
		PERFORM rt_private.media_reply_error(r, 'not_found', 'it was closed meanwhile');
		RETURN false;
	END IF;
	PERFORM rt_private.media_reply(r, json_build_object('event', rt_private.media_event_of(r.op), 'ack', ack),
		r.op = 'restart-ice');
	RETURN true;
END
$$;

COMMENT ON FUNCTION rt_private.media_answer_one(text, json) IS 'stores a worker''s answer and sends it to the waiting gateway';

COMMENT ON FUNCTION rt_api.media_answer(text, jsonb) IS 'stores a media worker''s answers to requests';

CREATE OR REPLACE FUNCTION rt_private.media_tell_speaker(e jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d rt_private.media_producers;
BEGIN
	SELECT o.* INTO d FROM rt_private.media_producers AS o WHERE o.id = e ->> 'producerId';
	IF FOUND THEN
		PERFORM rt_private.meeting_emit('active-speaker', d.meeting_id,
			json_build_object('meetingId', d.meeting_id::text, 'participantId', d.participant_id::text,
				'producerId', d.id, 'volume', e -> 'volume'), logged => false);
	END IF;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_tell_consumer(event text, e jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c rt_private.media_consumers;
BEGIN
	SELECT o.* INTO c FROM rt_private.media_consumers AS o WHERE o.id = e ->> 'consumerId';
	IF FOUND THEN
		PERFORM rt_private.meeting_emit(media_tell_consumer.event, c.meeting_id,
			((e - 'type') || jsonb_build_object('meetingId', c.meeting_id::text, 'producerId', c.producer_id))::json,
			participants => ARRAY[c.participant_id], logged => false);
	END IF;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_transport_closed(worker text, e jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t rt_private.media_transports;
BEGIN
	DELETE FROM rt_private.media_transports AS o
	WHERE o.id = e ->> 'transportId' AND o.worker = media_transport_closed.worker
	RETURNING o.* INTO t;
	IF FOUND THEN
		PERFORM rt_private.media_emit_transport_closed(t, coalesce(e ->> 'reason', 'closed'), t.router_id);
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.media_transport_closed(text, jsonb) IS 'closes a transport that has ended, and everything on it';

CREATE OR REPLACE FUNCTION rt_private.media_event_one(worker text, e jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	CASE e ->> 'type'
		WHEN 'active-speaker' THEN PERFORM rt_private.media_tell_speaker(e);
		WHEN 'consumer-score', 'layers-changed' THEN PERFORM rt_private.media_tell_consumer(e ->> 'type', e);
		WHEN 'transport-closed' THEN PERFORM rt_private.media_transport_closed(worker, e);
		WHEN 'transport-state' THEN
			UPDATE rt_private.media_transports AS t -- like figures, which tell it too
			SET stats = t.stats || (e - 'type' - 'transportId')
			WHERE t.id = (SELECT o.id FROM rt_private.media_transports AS o WHERE o.id = e ->> 'transportId'
				FOR NO KEY UPDATE SKIP LOCKED);
		ELSE
			RAISE EXCEPTION 'unknown media event' USING ERRCODE = 'RT400';
	END CASE;
END
$$;

COMMENT ON FUNCTION rt_api.media_event(text, jsonb) IS 'handles events of a media worker';

CREATE OR REPLACE FUNCTION rt_private.media_sweep() RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	worker text;
	lost integer := 0;
BEGIN
	FOR worker IN
		SELECT w.id FROM rt_private.media_workers AS w WHERE NOT rt_private.media_alive(w) FOR UPDATE SKIP LOCKED
	LOOP
		PERFORM rt_private.media_worker_lost(worker, 'worker-lost');
		lost := lost + 1;
	END LOOP;
	PERFORM rt_private.media_close_formers();
	PERFORM rt_private.media_move_some();
	DELETE FROM rt_private.media_requests AS r
	WHERE r.id IN (SELECT o.id FROM rt_private.media_requests AS o ORDER BY o.id LIMIT 1000)
		AND r.gateway IS NOT NULL AND r.created_at < clock_timestamp() - interval '15 seconds';
	RETURN lost;
END
$$;

COMMENT ON FUNCTION rt_private.media_sweep() IS 'removes silent media workers; returns how many';

CREATE OR REPLACE FUNCTION rt_private.meeting_find(req jsonb) RETURNS rt.meetings
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = rt_private.req_id(req, 'meetingId');
	IF NOT FOUND THEN
		RAISE EXCEPTION 'meeting not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN m;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_visible(actor text, req jsonb) RETURNS rt.meetings
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_find(req);
BEGIN
	PERFORM rt_private.check_known(actor);
	IF NOT rt_private.meeting_may_see(m, actor) THEN
		RAISE EXCEPTION 'access denied' USING ERRCODE = 'RT403';
	END IF;
	RETURN m;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_managed(actor text, req jsonb) RETURNS rt.meetings
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_lock(rt_private.req_id(req, 'meetingId'));
BEGIN
	IF NOT rt_private.meeting_user_may(m, actor, 'end') THEN
		RAISE EXCEPTION 'only a host may do that' USING ERRCODE = 'RT403';
	END IF;
	RETURN m;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_managed(text, jsonb) IS 'locks and returns the meeting that a request names, if the caller is a host';

CREATE OR REPLACE FUNCTION rt_private.meeting_answer(meeting_id bigint, status integer DEFAULT 200) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = meeting_answer.meeting_id;
	RETURN json_build_object('status', meeting_answer.status, 'data', rt_private.meeting_json(m));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.req_timestamp(req jsonb, key text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value text := rt_private.req_text_opt(req, key);
BEGIN
	-- ISO 8601 with a zone; anything looser would depend on the session's settings, as backslashes here would.
	IF value IS NULL THEN
		RETURN NULL;
	ELSIF value !~ '^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})$' THEN
		RAISE EXCEPTION '% must be a time, as 2026-11-22T10:30:00.000Z', key USING ERRCODE = 'RT400';
	END IF;
	RETURN value::timestamptz;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.req_capacity(req jsonb) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value jsonb := nullif(req -> 'maxParticipants', 'null');
BEGIN
	IF value IS NULL THEN
		RETURN NULL;
	ELSIF jsonb_typeof(value) <> 'number' OR value::text !~ '^[0-9]{1,5}$' OR value::integer NOT BETWEEN 1 AND 10000 THEN
		RAISE EXCEPTION 'maxParticipants must be a whole number from 1 to 10000' USING ERRCODE = 'RT400';
	END IF;
	RETURN value::integer;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.req_title(req jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	title text := btrim(rt_private.req_text(req, 'title'));
BEGIN
	IF char_length(title) NOT BETWEEN 1 AND 200 THEN
		RAISE EXCEPTION 'title must have 1 to 200 characters' USING ERRCODE = 'RT400';
	END IF;
	RETURN title;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.req_users(req jsonb, key text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value jsonb := nullif(req -> key, 'null');
BEGIN
	IF value IS NULL THEN
		RETURN '{}';
	ELSIF jsonb_typeof(value) <> 'array' OR jsonb_array_length(value) > 1000
		OR EXISTS (SELECT FROM jsonb_array_elements(value) AS e WHERE jsonb_typeof(e) NOT IN ('string', 'number'))
	THEN
		RAISE EXCEPTION '% must be a list of up to 1000 user ids', key USING ERRCODE = 'RT400';
	END IF;
	RETURN ARRAY(SELECT jsonb_array_elements_text(value));
END
$$;

COMMENT ON FUNCTION rt_private.req_users(jsonb, text) IS 'reads a list of user ids from a request; empty if missing';

CREATE OR REPLACE FUNCTION rt_api.meetings_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	page integer := rt_private.req_limit(req, 50, 200);
	before bigint := coalesce(rt_private.req_id_opt(req, 'cursor'), rt_private.req_id_opt(req, 'before'));
	wanted text := rt_private.req_choice(req, 'status', ARRAY['scheduled', 'live', 'ended', 'all'], 'all');
	rows json[];
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT array_agg(rt_private.meeting_json(m) ORDER BY m.id DESC) INTO rows
	FROM (
		SELECT t.*
		FROM rt.meetings AS t
		WHERE t.id IN (
				SELECT h.id FROM rt.meetings AS h WHERE h.host_id = meetings_list.actor
				UNION SELECT i.meeting_id FROM rt.meeting_invitees AS i WHERE i.user_id = meetings_list.actor
				UNION SELECT p.meeting_id FROM rt.meeting_participants AS p WHERE p.user_id = meetings_list.actor
				UNION SELECT r.id FROM rt.room_members AS o
					JOIN rt.meetings AS r ON r.room_id = o.room_id AND r.access = 'room'
					WHERE o.user_id = meetings_list.actor)
			AND (wanted = 'all' OR t.status = wanted)
			AND (before IS NULL OR t.id < before)
			AND NOT rt_private.meeting_banned(t.id, meetings_list.actor)
		ORDER BY t.id DESC LIMIT page + 1) AS m;
	RETURN json_build_object('status', 200, 'data', coalesce(array_to_json(rows[1:page]), '[]'),
		'count', coalesce(cardinality(rows[1:page]), 0), 'hasMore', coalesce(cardinality(rows) > page, false),
		'nextCursor', CASE WHEN cardinality(rows) > page THEN rows[page] ->> 'id' END);
END
$$;

CREATE OR REPLACE FUNCTION rt_api.meeting_create(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	meeting bigint;
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.meeting_act(actor, '{}');
	meeting := rt.create_meeting(rt_private.req_title(req), actor, rt_private.req_password(req),
		rt_private.req_capacity(req), rt_private.req_timestamp(req, 'startsAt'), rt_private.req_id_opt(req, 'roomId'),
		rt_private.req_users(req, 'inviteeIds'),
		CASE WHEN nullif(req -> 'access', 'null') IS NOT NULL
			THEN rt_private.req_choice(req, 'access', ARRAY['invited', 'room', 'anyone']) END,
		rt_private.req_bool(req, 'guests', false), rt_private.req_bool(req, 'lobby', false));
	RETURN rt_private.meeting_answer(meeting, 201);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_change(m rt.meetings, actor text, req jsonb) RETURNS rt.meetings
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF req ? 'title' THEN
		m.title := rt_private.req_title(req);
	END IF;
	IF req ? 'password' OR req ? 'meeting_password' THEN
		m.password_hash := rt_private.meeting_hash(rt_private.req_password(req));
	END IF;
	IF req ? 'maxParticipants' THEN
		m.max_participants := coalesce(rt_private.req_capacity(req), 1000);
	END IF;
	IF req ? 'startsAt' THEN
		m.starts_at := rt_private.req_timestamp(req, 'startsAt');
	END IF;
	IF req ? 'locked' THEN
		m.locked := rt_private.req_bool(req, 'locked');
	END IF;
	IF req ? 'roomId' THEN
		m.room_id := rt_private.req_id_opt(req, 'roomId');
		IF m.room_id IS NOT NULL AND NOT EXISTS (
			SELECT FROM rt.room_members AS r WHERE r.room_id = m.room_id AND r.user_id = actor)
		THEN
			RAISE EXCEPTION 'room not found' USING ERRCODE = 'RT404';
		END IF;
	END IF;
	IF req ? 'access' THEN
		m.access := rt_private.req_choice(req, 'access', ARRAY['invited', 'room', 'anyone']);
		m.guests := m.guests AND m.access = 'anyone';
	END IF;
	IF req ? 'guests' THEN
		m.guests := rt_private.req_bool(req, 'guests');
	END IF;
	IF req ? 'lobby' THEN
		m.lobby := rt_private.req_bool(req, 'lobby');
	END IF;
	IF m.guests AND m.access <> 'anyone' THEN
		RAISE EXCEPTION 'guests need access for anyone' USING ERRCODE = 'RT400';
	END IF;
	IF (req ? 'access' OR req ? 'roomId') AND m.access = 'room' AND m.room_id IS NULL THEN
		RAISE EXCEPTION 'access for a room''s members needs a room' USING ERRCODE = 'RT400';
	END IF;
	RETURN m;
END
$$;

COMMENT ON FUNCTION rt_private.meeting_change(rt.meetings, text, jsonb) IS 'applies a request to a meeting';

CREATE OR REPLACE FUNCTION rt_api.meeting_update(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	PERFORM rt_private.meeting_act(actor, '{}');
	m := rt_private.meeting_managed(actor, req);
	IF m.status = 'ended' THEN
		RAISE EXCEPTION 'meeting has ended' USING ERRCODE = 'RT410';
	END IF;
	m := rt_private.meeting_change(m, actor, req);
	UPDATE rt.meetings AS t
	SET title = m.title, password_hash = m.password_hash, max_participants = m.max_participants, starts_at = m.starts_at,
		locked = m.locked, room_id = m.room_id, access = m.access, guests = m.guests, lobby = m.lobby
	WHERE t.id = m.id;
	PERFORM rt_private.meeting_invite(m.id, rt_private.req_users(req, 'inviteeIds'));
	RETURN rt_private.meeting_answer(m.id);
END
$$;

CREATE OR REPLACE FUNCTION rt_api.meeting_check_join(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_find_open(rt_private.req_id(req, 'meetingId'));
	kept rt.meeting_participants := rt_private.meeting_kept_place(m.id, actor, NULL);
	refusal json;
BEGIN
	IF kept.id IS NULL THEN
		PERFORM rt_private.meeting_check_access(m, actor);
		refusal := rt_private.meeting_password_refusal(m, actor, req);
		IF refusal IS NOT NULL THEN
			RETURN refusal;
		ELSIF NOT rt_private.lobby_passes(m, actor) THEN
			RETURN rt_private.lobby_answer();
		END IF;
		PERFORM rt_private.meeting_check_capacity(m);
	END IF;
	RETURN json_build_object('status', 200, 'data', json_build_object('meeting', rt_private.meeting_json(m),
		'canJoin', true, 'role', rt_private.meeting_role_for(m, actor)));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_message_visible(g rt.meeting_messages, actor text, hosts boolean) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN g.recipient_type = 'all'
		OR coalesce(g.sender_id = actor, false)
		OR coalesce(g.recipient_id = actor, false)
		OR (g.recipient_type = 'host' AND hosts);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_is_host(meeting_id bigint, user_id text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM rt.meetings AS m
			WHERE m.id = meeting_is_host.meeting_id AND m.host_id = meeting_is_host.user_id)
		OR EXISTS (SELECT FROM rt.meeting_participants AS p
			WHERE p.meeting_id = meeting_is_host.meeting_id AND p.user_id = meeting_is_host.user_id
				AND p.role IN ('host', 'co-host'))
$$;

COMMENT ON FUNCTION rt_private.meeting_is_host(bigint, text) IS 'whether a user is, or was, host or co-host';

CREATE OR REPLACE FUNCTION rt_private.meeting_was_in(meeting_id bigint, user_id text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM rt.meeting_participants AS p
		WHERE p.meeting_id = meeting_was_in.meeting_id AND p.user_id = meeting_was_in.user_id)
$$;

COMMENT ON FUNCTION rt_private.meeting_was_in(bigint, text) IS 'whether a user is, or was, in a meeting';

CREATE OR REPLACE FUNCTION rt_api.meeting_webrtc_config(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_visible(actor, req);
	router text;
BEGIN
	SELECT r.id INTO router FROM rt_private.media_routers AS r WHERE r.meeting_id = m.id;
	RETURN json_build_object('status', 200, 'data', rt_private.webrtc_config(actor, router));
END
$$;

CREATE FUNCTION rt_private.needs_second_factor(actor text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(current_setting('rt.require_2fa', true)::boolean, false) AND NOT rt_private.needs_code(actor)
$$;

COMMENT ON FUNCTION rt_private.needs_second_factor(text) IS 'whether a user has no second factor where administrators must have one';

CREATE FUNCTION rt_private.is_administrator(actor text, req jsonb) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(req ->> 'mayAdminister', 'true') = 'true' AND NOT rt_private.needs_second_factor(actor)
		AND EXISTS (SELECT FROM rt.users AS u WHERE u.id = actor AND u.is_admin)
$$;

COMMENT ON FUNCTION rt_private.is_administrator(text, jsonb) IS 'whether a request''s user has the rights of an administrator';

CREATE FUNCTION rt_private.check_admin(actor text, req jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = actor AND u.is_admin) THEN
		RAISE EXCEPTION 'only administrators may do that' USING ERRCODE = 'RT403';
	END IF;
	IF NOT coalesce(req ->> 'mayAdminister', 'true') = 'true' THEN
		RAISE EXCEPTION 'the issuer of this token cannot make users administrators' USING ERRCODE = 'RT403',
			HINT = 'Give the issuer an admin_claim, or sign in with a password.';
	ELSIF rt_private.needs_second_factor(actor) THEN
		RAISE EXCEPTION 'administrators need a second factor on this server' USING ERRCODE = 'RT403',
			HINT = 'Turn it on with POST /api/users/me/two-factor.';
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.check_admin(text, jsonb) IS 'refuses users who are not administrators';

CREATE OR REPLACE FUNCTION rt_api.admin_stats(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_admin(actor, req);
	RETURN json_build_object('status', 200, 'data', json_build_object(
		'at', rt_private.iso(clock_timestamp()),
		'relay', (SELECT to_jsonb(s) - 'lag' || jsonb_build_object('lagMs', rt_private.milliseconds(s.lag)) FROM rt.stat_relay AS s),
		'latencyMs', (SELECT rt_private.milliseconds(percentile_cont(0.5) WITHIN GROUP (ORDER BY c.latency)) FROM rt.stat_connections AS c),
		'gateways', (SELECT coalesce(json_agg(g ORDER BY g.slot, g.name), '[]') FROM rt.stat_gateway AS g),
		'programs', (SELECT coalesce(json_agg(p ORDER BY p.kind, p.worker), '[]') FROM rt.stat_programs AS p),
		'workers', (SELECT coalesce(json_agg(w ORDER BY w.slot), '[]') FROM rt.stat_media_workers AS w),
		'media', (SELECT json_build_object('streams', count(*) FILTER (WHERE m.object <> 'transport'),
				'packets', coalesce(sum(m.packets), 0), 'bytes', coalesce(sum(m.bytes), 0),
				'bitrateBps', coalesce(sum(m.bitrate_bps) FILTER (WHERE m.object = 'consumer'), 0))
			FROM rt.stat_media AS m),
		'meetings', (SELECT coalesce(json_agg(m), '[]') FROM (
			SELECT s.meeting_id::text AS "meetingId", s.title, s.participants, s.producers, s.consumers, rt_private.iso(s.started_at) AS "startedAt"
			FROM rt.stat_meetings AS s ORDER BY s.participants DESC, s.meeting_id LIMIT 50) AS m),
		'rooms', (SELECT coalesce(json_agg(r), '[]') FROM (
			SELECT s.room_id::text AS "roomId", s.name, s.kind, s.members, s.joined, s.last_seq AS "lastSeq"
			FROM rt.stat_rooms AS s WHERE s.joined > 0 ORDER BY s.joined DESC, s.room_id LIMIT 20) AS r),
		'connections', (SELECT coalesce(json_agg(c), '[]') FROM (
			SELECT s.user_id AS "userId", count(*) AS sockets, min(s.transport) AS transport, rt_private.iso(min(s.connected_at)) AS since,
				coalesce(sum(s.queued_bytes), 0) AS "queuedBytes", rt_private.milliseconds(max(s.latency)) AS "latencyMs"
			FROM rt.stat_connections AS s GROUP BY s.user_id ORDER BY count(*) DESC, s.user_id LIMIT 100) AS c)));
END
$$;

CREATE OR REPLACE FUNCTION rt_api.admin_disconnect(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target text := rt_private.req_text(req, 'userId');
BEGIN
	PERFORM rt_private.check_admin(actor, req);
	PERFORM rt_private.check_users(ARRAY[target]);
	PERFORM rt_private.act_as(actor);
	PERFORM rt.disconnect_user(target, 'disconnected by an administrator');
	RETURN json_build_object('status', 200, 'data', json_build_object('userId', target));
END
$$;

CREATE OR REPLACE FUNCTION rt_api.admin_end_meeting(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	PERFORM rt_private.check_admin(actor, req);
	PERFORM rt_private.act_as(actor);
	m := rt_private.meeting_lock_open(rt_private.req_id(req, 'meetingId'));
	UPDATE rt.meetings AS t SET status = 'ended' WHERE t.id = m.id;
	RETURN rt_private.meeting_answer(m.id);
END
$$;

CREATE FUNCTION rt_private.wal_position() RETURNS pg_lsn
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rt_wal_position';

COMMENT ON FUNCTION rt_private.wal_position() IS 'the end of the log, flushed so that standbys get it; at a standby, up to where it is replayed';

CREATE FUNCTION rt_api.wal_position(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('lsn', rt_private.wal_position(), 'lineage', rt_private.lineage());
END
$$;

COMMENT ON FUNCTION rt_api.wal_position(text, jsonb) IS 'a position of the write-ahead log for replica_read()';

CREATE FUNCTION rt_api.replica_read(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fn text := req ->> 'fn';
	wanted pg_lsn := req -> 'at' ->> 'lsn';
	until timestamptz := clock_timestamp() + interval '50 ms';
	result json;
BEGIN
	IF fn NOT IN ('rooms_list', 'room_get', 'members_list', 'message_list', 'message_get', 'pins_list', 'replies_list', 'receipts', 'search',
		'sync_rooms', 'users_search', 'meetings_list', 'meeting_messages') THEN
		RAISE EXCEPTION 'rt_api.% cannot run on a standby', fn USING ERRCODE = 'RT503';
	END IF;
	IF rt_private.lineage() IS DISTINCT FROM req -> 'at' ->> 'lineage' THEN
		RAISE EXCEPTION 'it follows another server' USING ERRCODE = 'RT503';
	END IF;
	WHILE pg_is_in_recovery() AND coalesce(pg_last_wal_replay_lsn() < wanted, true) LOOP
		IF clock_timestamp() > until THEN
			RAISE EXCEPTION 'it lags' USING ERRCODE = 'RT503';
		END IF;
		PERFORM pg_sleep(0.001);
	END LOOP;
	-- Promoted meanwhile, it may never get to that position.
	IF NOT pg_is_in_recovery() AND rt_private.lineage() IS DISTINCT FROM req -> 'at' ->> 'lineage' THEN
		RAISE EXCEPTION 'it has been promoted' USING ERRCODE = 'RT503';
	END IF;
	EXECUTE format('SELECT rt_api.%I($1, $2)', fn) INTO result USING actor, req -> 'req';
	RETURN result;
END
$$;

COMMENT ON FUNCTION rt_api.replica_read(text, jsonb) IS 'a read by a standby, once it has replayed a position';

CREATE UNIQUE INDEX audit_logins ON rt.audit (date_trunc('minute', at AT TIME ZONE 'UTC'), action, coalesce(user_id, ''),
	coalesce(address, '')) WHERE action IN ('login', 'login-failed', 'login-limited');

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

CREATE OR REPLACE FUNCTION rt_private.audit(action text, detail jsonb) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	INSERT INTO rt.audit (action, user_id, role, detail)
	VALUES (audit.action, rt_private.actor(), rt_private.caller(), audit.detail)
$$;

COMMENT ON FUNCTION rt_private.audit(text, jsonb) IS 'writes an audit row for the acting user';

CREATE OR REPLACE FUNCTION rt_private.audit_login(action text, user_id text, address text, gateway text) RETURNS void
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

COMMENT ON TRIGGER audit_users_made ON rt.users IS 'audits new users';

COMMENT ON FUNCTION rt_private.audit_users_gone() IS 'audits deleted users';

COMMENT ON TRIGGER audit_users_gone ON rt.users IS 'audits deleted users';

CREATE OR REPLACE FUNCTION rt_private.audit_users_changed() RETURNS trigger
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

COMMENT ON FUNCTION rt_private.audit_keys() IS 'audits changes of keys';

COMMENT ON TRIGGER audit_keys ON rt_private.keys IS 'audits changes of keys';

COMMENT ON FUNCTION rt_private.audit_rooms() IS 'audits deleted rooms';

COMMENT ON TRIGGER audit_rooms ON rt.rooms IS 'audits deleted rooms';

COMMENT ON FUNCTION rt_private.audit_members_removed() IS 'audits members removed by others';

COMMENT ON TRIGGER audit_members_removed ON rt.room_members IS 'audits members removed by others';

COMMENT ON TRIGGER audit_member_role ON rt.room_members IS 'audits a member''s new role';

COMMENT ON FUNCTION rt_private.audit_meetings() IS 'audits a host''s changes to a meeting';

COMMENT ON TRIGGER audit_meetings_changed ON rt.meetings IS 'audits a host''s changes to a meeting';

COMMENT ON TRIGGER audit_meetings_deleted ON rt.meetings IS 'audits a host''s changes to a meeting';

COMMENT ON FUNCTION rt_private.audit_participants() IS 'audits a host''s actions on participants';

COMMENT ON TRIGGER audit_participants ON rt.meeting_participants IS 'audits a host''s actions on participants';

COMMENT ON TRIGGER audit_recordings_started ON rt.meeting_recordings IS 'audits recordings';

COMMENT ON TRIGGER audit_recordings_stopped ON rt.meeting_recordings IS 'audits recordings';

CREATE FUNCTION rt_private.stat_silence(OUT launcher_us bigint, OUT supervisor_us bigint) RETURNS record
LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'rt_stat_silence';

COMMENT ON FUNCTION rt_private.stat_silence() IS
	'for how many microseconds the launcher and this database''s supervisor have done nothing; they turn at least every 2 s; null: it does not run';

CREATE FUNCTION rt_private.worker_figures() RETURNS json
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('launcherUs', s.launcher_us, 'supervisorUs', s.supervisor_us,
		'silent', CASE WHEN s.supervisor_us > 10000000 THEN 'supervisor' WHEN s.launcher_us > 10000000 THEN 'launcher' END)
	FROM rt_private.stat_silence() AS s
$$;

COMMENT ON FUNCTION rt_private.worker_figures() IS 'whether the launcher and the supervisor work, for metrics';

CREATE OR REPLACE VIEW rt.stat_programs AS
	SELECT s.kind, s.worker, s.pid, s.state, s.restarts, s.since, NULL::text AS host, NULL::text AS region
	FROM rt_private.stat_programs() AS s
	UNION ALL
	SELECT 'gateway', g.slot, g.pid,
		CASE WHEN g.reported_at < clock_timestamp() - interval '5 s' THEN 'lost'
			WHEN g.draining_until IS NOT NULL THEN 'draining' ELSE 'ready' END,
		NULL, g.started_at, g.host, g.region
	FROM rt_private.gateways AS g WHERE g.own
	UNION ALL
	SELECT 'media', NULL, w.pid, CASE WHEN w.heartbeat_at <= clock_timestamp() - interval '3 s' THEN 'lost'
			WHEN w.draining_since IS NOT NULL THEN 'draining' ELSE 'ready' END,
		NULL, w.started_at, w.host, w.region
	FROM rt_private.media_workers AS w WHERE w.own;

COMMENT ON VIEW rt.stat_programs IS 'programs started by this database''s supervisor, and those on other hosts';

COMMENT ON COLUMN rt.stat_programs.worker IS 'number of the worker, from 0; of a gateway on another host, from 100; null for media workers on other hosts';

COMMENT ON COLUMN rt.stat_programs.pid IS 'process id; null while it is not running';

COMMENT ON COLUMN rt.stat_programs.state IS 'waiting (for its next start), starting, ready, draining (see rt.drain and rt.drain_media), silent (it does not answer, see rt.watchdog_timeout), stopping, or unwatched (the supervisor hangs, and does not know); on another host: ready, draining, or lost (it does not report)';

COMMENT ON COLUMN rt.stat_programs.restarts IS 'number of restarts since the supervisor started; null on another host';

COMMENT ON COLUMN rt.stat_programs.since IS 'when it started; while it is not running, when it ended';

COMMENT ON COLUMN rt.stat_programs.host IS 'name of its host; null: it runs beside the server';

COMMENT ON COLUMN rt.stat_programs.region IS 'region of that host, from its configuration file';

REVOKE ALL ON FUNCTION rt_private.stat_programs(), rt_private.stat_silence(), rt_private.worker_figures() FROM PUBLIC;

COMMENT ON VIEW rt.stat_meetings IS 'live meetings, with numbers of participants and media streams';

COMMENT ON COLUMN rt.stat_meetings.status IS 'always live';

COMMENT ON COLUMN rt.stat_meetings.host_id IS 'the user it belongs to';

COMMENT ON COLUMN rt.stat_meetings.participants IS 'participants, including those whose place is kept';

COMMENT ON COLUMN rt.stat_meetings.in_grace IS 'participants who dropped and whose place is kept, see rt.meeting_grace';

COMMENT ON COLUMN rt.stat_meetings.producers IS 'incoming streams';

COMMENT ON COLUMN rt.stat_meetings.consumers IS 'outgoing streams';

COMMENT ON COLUMN rt.stat_meetings.media_worker IS 'its media worker; null if none';

COMMENT ON COLUMN rt.stat_meetings.router_id IS 'its router';

CREATE VIEW rt.stat_media AS
	SELECT o.worker, o.meeting_id, o.participant_id, o.object, o.id, o.kind, o.source, o.type, o.state,
		(o.stats ->> 'packets')::bigint AS packets,
		(o.stats ->> 'bytes')::bigint AS bytes,
		(o.stats ->> 'lost')::bigint AS lost,
		(o.stats ->> 'jitterMs')::float8 AS jitter_ms,
		(o.stats ->> 'rttMs')::float8 AS rtt_ms,
		(o.stats ->> 'bitrateBps')::bigint AS bitrate_bps,
		(o.stats ->> 'estimateBps')::bigint AS estimate_bps,
		(o.stats ->> 'nacks')::bigint AS nacks,
		(o.stats ->> 'plis')::bigint AS plis,
		(o.stats ->> 'spatialLayer')::integer AS spatial_layer,
		(o.stats ->> 'temporalLayer')::integer AS temporal_layer,
		(o.stats ->> 'score')::integer AS score,
		o.stats ->> 'reason' AS reason,
		(o.stats ->> 'copiesPerSecond')::bigint AS copies_per_second,
		o.created_at
	FROM (
		SELECT t.worker, t.meeting_id, t.participant_id, 'transport' AS object, t.id, NULL AS kind, NULL AS source,
			t.direction AS type,
			coalesce(t.stats ->> 'dtlsState', t.stats ->> 'iceState', CASE WHEN t.connected THEN 'connecting' ELSE 'new' END) AS state,
			t.stats, t.created_at
		FROM rt_private.media_transports AS t
		UNION ALL
		SELECT d.worker, d.meeting_id, d.participant_id, 'producer', d.id, d.kind, d.source, d.type,
			CASE WHEN d.muted THEN 'muted' WHEN d.paused THEN 'paused' ELSE 'live' END, d.stats, d.created_at
		FROM rt_private.media_producers AS d
		UNION ALL
		SELECT c.worker, c.meeting_id, c.participant_id, 'consumer', c.id, c.kind, d.source, d.type,
			CASE WHEN c.paused THEN 'paused' WHEN d.paused OR d.muted THEN 'producer paused' ELSE 'live' END, c.stats, c.created_at
		FROM rt_private.media_consumers AS c
		JOIN rt_private.media_producers AS d ON d.id = c.producer_id) AS o;

COMMENT ON VIEW rt.stat_media IS 'one row for each transport, producer and consumer';

COMMENT ON COLUMN rt.stat_media.worker IS 'media worker';

COMMENT ON COLUMN rt.stat_media.meeting_id IS 'the meeting';

COMMENT ON COLUMN rt.stat_media.participant_id IS 'the user it belongs to';

COMMENT ON COLUMN rt.stat_media.object IS 'transport, producer or consumer';

COMMENT ON COLUMN rt.stat_media.id IS 'its id, as clients know it';

COMMENT ON COLUMN rt.stat_media.kind IS 'audio or video; null for a transport';

COMMENT ON COLUMN rt.stat_media.source IS 'camera, microphone, screen or screen-audio; null for a transport';

COMMENT ON COLUMN rt.stat_media.type IS 'transports: send or recv; others: simple, simulcast or svc';

COMMENT ON COLUMN rt.stat_media.state IS 'transports: state of the connection; others: live, paused, muted or producer paused';

COMMENT ON COLUMN rt.stat_media.packets IS 'packets so far; this and the following columns are null where they do not apply';

COMMENT ON COLUMN rt.stat_media.bytes IS 'bytes so far';

COMMENT ON COLUMN rt.stat_media.lost IS 'packets lost so far';

COMMENT ON COLUMN rt.stat_media.jitter_ms IS 'jitter in milliseconds';

COMMENT ON COLUMN rt.stat_media.rtt_ms IS 'round trip in milliseconds';

COMMENT ON COLUMN rt.stat_media.bitrate_bps IS 'current bits per second';

COMMENT ON COLUMN rt.stat_media.estimate_bps IS 'estimated bandwidth to the client, in bits per second';

COMMENT ON COLUMN rt.stat_media.nacks IS 'NACKs: requests for retransmission';

COMMENT ON COLUMN rt.stat_media.plis IS 'PLIs: requests for a key frame';

COMMENT ON COLUMN rt.stat_media.spatial_layer IS 'current spatial layer of a consumer';

COMMENT ON COLUMN rt.stat_media.temporal_layer IS 'current temporal layer of a consumer';

COMMENT ON COLUMN rt.stat_media.score IS 'quality from 0 to 10';

COMMENT ON COLUMN rt.stat_media.reason IS 'why a consumer gets its current layer; why a producer is limited';

COMMENT ON COLUMN rt.stat_media.copies_per_second IS 'packets of a producer that its worker sends a second, to all receivers together';

COMMENT ON COLUMN rt.stat_media.created_at IS 'when it was created';

CREATE OR REPLACE VIEW rt.stat_media_workers AS
	SELECT w.id AS worker, w.slot, w.addresses, w.udp_port, w.tcp_port, w.capacity, w.load,
		(SELECT count(*) FROM rt_private.media_routers AS r WHERE r.worker = w.id)
			+ (SELECT count(*) FROM rt_private.media_routers AS r WHERE r.former_worker = w.id AND r.former IS NOT NULL) AS meetings,
		w.heartbeat_at > clock_timestamp() - interval '3 seconds' AS alive, w.started_at, w.heartbeat_at,
		(w.totals ->> 'cpuPercent')::integer AS cpu_percent,
		(w.totals ->> 'packetsPerSecond')::bigint AS packets_per_second,
		w.draining_since
	FROM rt_private.media_workers AS w;

COMMENT ON VIEW rt.stat_media_workers IS 'media workers, with load and number of meetings';

COMMENT ON COLUMN rt.stat_media_workers.worker IS 'id of the process, new at each start';

COMMENT ON COLUMN rt.stat_media_workers.slot IS 'host and number of the worker';

COMMENT ON COLUMN rt.stat_media_workers.addresses IS 'addresses it announces to clients';

COMMENT ON COLUMN rt.stat_media_workers.capacity IS 'maximum number of producers and consumers';

COMMENT ON COLUMN rt.stat_media_workers.load IS 'current number of producers and consumers';

COMMENT ON COLUMN rt.stat_media_workers.meetings IS 'number of meetings; one that moves counts on both workers';

COMMENT ON COLUMN rt.stat_media_workers.alive IS 'whether it has reported within 3 seconds';

COMMENT ON COLUMN rt.stat_media_workers.heartbeat_at IS 'when it last reported';

COMMENT ON COLUMN rt.stat_media_workers.cpu_percent IS 'percent of a core that it uses; null until it has reported';

COMMENT ON COLUMN rt.stat_media_workers.packets_per_second IS 'packets that it sends a second; null until it has reported';

COMMENT ON COLUMN rt.stat_media_workers.draining_since IS 'when rt.drain_media() was called for it; null: it takes new meetings';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.users FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.users IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.rooms FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.rooms IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.room_members FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.room_members IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.messages FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.messages IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.reactions FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.reactions IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.pins FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.pins IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.blocks FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.blocks IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.room_invitations FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.room_invitations IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meetings FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.meetings IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meeting_invitees FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.meeting_invitees IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meeting_bans FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.meeting_bans IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meeting_participants FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.meeting_participants IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meeting_messages FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.meeting_messages IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meeting_recordings FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.meeting_recordings IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meeting_waiting FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.meeting_waiting IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.sessions FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt.sessions IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt_private.receipt_ranges FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt_private.receipt_ranges IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt_private.keys FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt_private.keys IS 'refuses to write what a subscription replicates to this server';

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt_private.issuers FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();

COMMENT ON TRIGGER aa_rt_foreign ON rt_private.issuers IS 'refuses to write what a subscription replicates to this server';

CREATE FUNCTION rt_private.replicated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room rt.rooms;
	member record := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
	action text := CASE TG_OP WHEN 'INSERT' THEN 'added' WHEN 'DELETE' THEN 'removed' ELSE 'role' END;
BEGIN
	IF NOT rt_private.is_applying() THEN
		RETURN NULL; -- a restore
	END IF;
	IF TG_RELID = 'rt.deleted_messages'::regclass THEN
		PERFORM rt_private.message_event('chat-message-deleted', 'message-deleted', NEW.room_id, NEW.seq,
			jsonb_build_object('deletedBy', coalesce(NEW.deleted_by, NEW.sender_id)));
		RETURN NULL;
	ELSIF TG_RELID = 'rt_private.revoked_sessions'::regclass THEN
		PERFORM rt_private.tell_revoked((SELECT s.user_id FROM rt.sessions AS s WHERE s.id = NEW.sid), ARRAY[NEW.sid], NEW.until, NULL);
		RETURN NULL;
	ELSIF TG_RELID = 'rt_private.token_floors'::regclass THEN
		PERFORM rt_private.tell_revoked(NEW.user_id, '{}', NULL, NEW.issued_after);
		RETURN NULL;
	END IF;
	SELECT r.* INTO room FROM rt.rooms AS r WHERE r.id = member.room_id;
	IF NOT FOUND OR (TG_OP = 'UPDATE' AND OLD.role = NEW.role) THEN
		RETURN NULL;
	END IF;
	IF TG_OP <> 'UPDATE' THEN
		PERFORM rt_private.member_changed(room.id, member.user_id, TG_OP = 'INSERT');
		PERFORM rt_private.notify_users(ARRAY[member.user_id], 'room-' || action, rt_private.room_data(room), room.id);
	END IF;
	PERFORM rt_private.tell_members(room.id, action, json_build_array(json_build_object('userId', member.user_id,
		'userName', rt_private.user_name(member.user_id), 'role', member.role)), NULL);
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.replicated() IS 'emits what a replicated row means';

CREATE TRIGGER rt_replicated AFTER INSERT OR UPDATE OR DELETE ON rt.room_members FOR EACH ROW EXECUTE FUNCTION rt_private.replicated();

COMMENT ON TRIGGER rt_replicated ON rt.room_members IS 'emits what a replicated row means; rt.serve_replica() enables it';

ALTER TABLE rt.room_members DISABLE TRIGGER rt_replicated;

CREATE TRIGGER rt_replicated AFTER INSERT ON rt.deleted_messages FOR EACH ROW EXECUTE FUNCTION rt_private.replicated();

COMMENT ON TRIGGER rt_replicated ON rt.deleted_messages IS 'emits what a replicated row means; rt.serve_replica() enables it';

ALTER TABLE rt.deleted_messages DISABLE TRIGGER rt_replicated;

CREATE TRIGGER rt_replicated AFTER INSERT ON rt_private.revoked_sessions FOR EACH ROW EXECUTE FUNCTION rt_private.replicated();

COMMENT ON TRIGGER rt_replicated ON rt_private.revoked_sessions IS 'emits what a replicated row means; rt.serve_replica() enables it';

ALTER TABLE rt_private.revoked_sessions DISABLE TRIGGER rt_replicated;

CREATE TRIGGER rt_replicated AFTER INSERT OR UPDATE ON rt_private.token_floors FOR EACH ROW EXECUTE FUNCTION rt_private.replicated();

COMMENT ON TRIGGER rt_replicated ON rt_private.token_floors IS 'emits what a replicated row means; rt.serve_replica() enables it';

ALTER TABLE rt_private.token_floors DISABLE TRIGGER rt_replicated;

CREATE FUNCTION rt.serve_replica(enable boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t record;
	always text := CASE WHEN enable THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END;
	replica text := CASE WHEN enable THEN 'ENABLE REPLICA' ELSE 'DISABLE' END;
BEGIN
	FOR t IN SELECT * FROM (VALUES ('rt.messages', 'rt_after_insert', always), ('rt.messages', 'rt_after_update', always),
		('rt.reactions', 'rt_after_change', always), ('rt.pins', 'rt_after_change', always),
		('rt.rooms', 'rooms_before_delete', always), ('rt.rooms', 'rooms_after_update', always),
		('rt.room_members', 'rt_replicated', replica), ('rt.deleted_messages', 'rt_replicated', replica),
		('rt_private.revoked_sessions', 'rt_replicated', replica), ('rt_private.token_floors', 'rt_replicated', replica)) AS v (name, trigger, mode)
	LOOP
		EXECUTE format('ALTER TABLE %s %s TRIGGER %I', t.name, t.mode, t.trigger);
	END LOOP;
END
$$;

COMMENT ON FUNCTION rt.serve_replica(boolean) IS
	'on a subscriber: its own clients get messages, edits, deletions, reactions, pins, rooms and members as they are replicated; false ends that';

REVOKE ALL ON FUNCTION rt_private.replicated(), rt.serve_replica(boolean) FROM PUBLIC;

COMMENT ON FUNCTION rt.reset_stats() IS
	'resets the counters of rt.stat_relay and rt.stat_gateway, as pg_stat_reset() does; those of /metrics go on';

CREATE OR REPLACE FUNCTION rt.drain(spread interval DEFAULT '30 s', gateway text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	told integer;
BEGIN
	IF spread IS NULL OR spread < interval '0' OR spread > interval '1 hour' THEN
		RAISE EXCEPTION 'spread must be between 0 and one hour' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF drain.gateway IS NOT NULL AND NOT EXISTS (SELECT FROM rt_private.gateways AS g WHERE g.name = drain.gateway) THEN
		RAISE EXCEPTION 'gateway "%" is not running', drain.gateway
			USING ERRCODE = 'undefined_object', HINT = 'The view rt.stat_gateway has the names of running gateways.';
	END IF;
	WITH draining AS (
		UPDATE rt_private.gateways AS g SET draining_until = least(g.draining_until, clock_timestamp() + spread)
		WHERE g.name = coalesce(drain.gateway, g.name)
		RETURNING g.name
	)
	SELECT count(*) INTO told FROM draining AS d, LATERAL rt_private.emit('rt:drain', '{"gateway":true}',
		json_build_object('gateway', d.name, 'spreadMs', (extract(epoch FROM spread) * 1000)::bigint)) AS e;
	RETURN told;
END
$$;

CREATE FUNCTION rt.drain_media(name text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	chosen text[] := ARRAY(
		SELECT w.id FROM rt_private.media_workers AS w
		WHERE drain_media.name IN (w.host, w.slot, w.id) AND rt_private.media_alive(w));
BEGIN
	IF cardinality(chosen) = 0 THEN
		RAISE EXCEPTION 'media worker or host "%" is not running', drain_media.name
			USING ERRCODE = 'undefined_object', HINT = 'The view rt.stat_media_workers has the workers that are running.';
	ELSIF NOT rt_private.media_drain(chosen) THEN
		RAISE EXCEPTION 'no other media worker could take the meetings' USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Start another one first, or raise rt.media_workers.';
	END IF;
	RETURN cardinality(chosen);
END
$$;

COMMENT ON FUNCTION rt.drain_media(text) IS
	'empties the media workers of a host, or one worker (its slot or id in rt.stat_media_workers): they take no new meetings, and '
	'clients build the media of the running ones elsewhere before it ends here; lasts until the worker ends; returns how many workers '
	'were told, at once';

DO $$
DECLARE
	f regprocedure;
BEGIN
	FOR f IN SELECT p.oid FROM pg_catalog.pg_proc AS p
		WHERE p.pronamespace IN ('rt'::regnamespace, 'rt_api'::regnamespace, 'rt_private'::regnamespace)
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
	END LOOP;
	FOR f IN SELECT p.oid FROM pg_catalog.pg_proc AS p
		WHERE p.pronamespace = 'rt_api'::regnamespace
			AND p.proname NOT IN ('media_start', 'media_stop', 'media_drain', 'media_heartbeat', 'media_stats', 'media_fetch', 'media_answer', 'media_event')
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO rt_gateway', f);
	END LOOP;
END
$$;

GRANT EXECUTE ON FUNCTION rt_private.actor(), rt_private.is_member(bigint, text), rt_private.own_rooms(),
	rt_private.is_room_admin(bigint, text), rt_private.is_direct(bigint), rt_private.may_send(bigint, text), rt_private.may_pin(bigint, text),
	rt_private.own_hidden(), rt_private.may_touch(bigint, bigint, text), rt_private.may_add_as(bigint, text, text, text) TO rt_app;

GRANT EXECUTE ON FUNCTION rt_private.is_applying(), rt_private.max_message_size(), rt_private.message_fault(text, jsonb, text), rt_private.trusted(), rt_private.caller() TO rt_app;

GRANT SELECT (id, name, kind, created_by, created_at, last_seq, topic, archived, history, who_may_post, who_may_add, who_may_pin, who_may_mention_all),
	UPDATE (name, topic, archived, history, who_may_post, who_may_add, who_may_pin, who_may_mention_all), DELETE ON rt.rooms TO rt_app;

GRANT SELECT ON rt.deleted_messages TO rt_app;

GRANT SELECT, INSERT (room_id, seq, pinned_by), DELETE ON rt.pins TO rt_app;

GRANT SELECT ON rt.threads TO rt_app;

GRANT SELECT, INSERT (user_id, blocked_id), DELETE ON rt.blocks TO rt_app;

GRANT SELECT ON rt.room_invitations TO rt_app;

GRANT EXECUTE ON FUNCTION rt.create_room(text, text[]), rt.create_direct_room(text, text),
	rt.send_message(bigint, text, text, text, jsonb, bigint, text), rt.mark_seen(bigint, text, bigint[]),
	rt.mark_delivered(bigint, text, bigint[]), rt.leave_direct(bigint, text), rt.accept_invitation(bigint, text), rt.decline_invitation(bigint, text),
	rt.set_read(bigint, text, bigint), rt.set_notifications(bigint, text, text, timestamptz), rt.set_status(text, text, text), rt.broadcast(bigint, text, jsonb) TO rt_app;

ALTER TABLE rt.deleted_messages ENABLE ROW LEVEL SECURITY;

COMMENT ON POLICY users_read ON rt.users IS 'users may read all users';

COMMENT ON POLICY users_change ON rt.users IS 'users may change their own name';

COMMENT ON POLICY rooms_read ON rt.rooms IS 'users may read their own rooms';

COMMENT ON POLICY rooms_change ON rt.rooms IS 'admins of the room';

COMMENT ON POLICY rooms_delete ON rt.rooms IS 'admins of the room';

COMMENT ON POLICY members_read ON rt.room_members IS 'users may read what is in their own rooms';

CREATE POLICY members_add ON rt.room_members FOR INSERT TO rt_app
	WITH CHECK (rt_private.may_add_as(room_id, rt_private.actor(), user_id, role));

COMMENT ON POLICY members_add ON rt.room_members IS 'admins of the room, or members if the room allows it; not users who have blocked them';

CREATE POLICY members_change ON rt.room_members FOR UPDATE TO rt_app
	USING (rt_private.is_room_admin(room_id, rt_private.actor()) AND NOT rt_private.is_direct(room_id));

COMMENT ON POLICY members_change ON rt.room_members IS 'admins of the room';

CREATE POLICY members_remove ON rt.room_members FOR DELETE TO rt_app
	USING (user_id = rt_private.actor() OR (rt_private.is_room_admin(room_id, rt_private.actor()) AND NOT rt_private.is_direct(room_id)));

COMMENT ON POLICY members_remove ON rt.room_members IS 'members may leave, admins may remove; nobody may remove the other user of a direct room';

CREATE POLICY messages_read ON rt.messages FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
	AND seq > coalesce(((SELECT rt_private.own_hidden()) ->> room_id::text)::bigint, 0));

COMMENT ON POLICY messages_read ON rt.messages IS 'users may read what is in their own rooms';

CREATE POLICY deleted_messages_read ON rt.deleted_messages FOR SELECT TO rt_app
	USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
		AND seq > coalesce(((SELECT rt_private.own_hidden()) ->> room_id::text)::bigint, 0));

COMMENT ON POLICY deleted_messages_read ON rt.deleted_messages IS 'users may read what is in their own rooms';

CREATE POLICY messages_send ON rt.messages FOR INSERT TO rt_app
	WITH CHECK (sender_id = rt_private.actor() AND rt_private.may_send(room_id, rt_private.actor()));

COMMENT ON POLICY messages_send ON rt.messages IS 'users may send as themselves, to their own rooms';

CREATE POLICY messages_change ON rt.messages FOR UPDATE TO rt_app
	USING (sender_id = rt_private.actor() AND rt_private.is_member(room_id, rt_private.actor()))
	WITH CHECK (deleted_at IS NOT NULL OR rt_private.may_touch(room_id, seq, rt_private.actor()));

COMMENT ON POLICY messages_change ON rt.messages IS 'users may change their own, in their own rooms; only delete them in archived ones';

COMMENT ON POLICY messages_delete ON rt.messages IS 'users may delete their own; admins may delete any';

CREATE POLICY reactions_read ON rt.reactions FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
	AND seq > coalesce(((SELECT rt_private.own_hidden()) ->> room_id::text)::bigint, 0));

COMMENT ON POLICY reactions_read ON rt.reactions IS 'users may read what is in their own rooms';

CREATE POLICY reactions_add ON rt.reactions FOR INSERT TO rt_app
	WITH CHECK (user_id = rt_private.actor() AND rt_private.may_touch(room_id, seq, rt_private.actor()));

COMMENT ON POLICY reactions_add ON rt.reactions IS 'users may add as themselves, in their own rooms, if these are not archived';

CREATE POLICY reactions_remove ON rt.reactions FOR DELETE TO rt_app
	USING (user_id = rt_private.actor() AND rt_private.may_touch(room_id, seq, rt_private.actor()));

COMMENT ON POLICY reactions_remove ON rt.reactions IS 'users may remove their own, in rooms that are not archived';

ALTER TABLE rt.pins ENABLE ROW LEVEL SECURITY;

CREATE POLICY pins_read ON rt.pins FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
	AND seq > coalesce(((SELECT rt_private.own_hidden()) ->> room_id::text)::bigint, 0));

COMMENT ON POLICY pins_read ON rt.pins IS 'users may read what is in their own rooms';

CREATE POLICY pins_add ON rt.pins FOR INSERT TO rt_app
	WITH CHECK (pinned_by = rt_private.actor() AND rt_private.may_pin(room_id, rt_private.actor())
		AND rt_private.may_touch(room_id, seq, rt_private.actor()));

COMMENT ON POLICY pins_add ON rt.pins IS 'users may add as themselves, if the room allows it';

CREATE POLICY pins_remove ON rt.pins FOR DELETE TO rt_app USING (rt_private.may_pin(room_id, rt_private.actor()));

COMMENT ON POLICY pins_remove ON rt.pins IS 'users may remove, if the room allows it';

ALTER TABLE rt.threads ENABLE ROW LEVEL SECURITY;

CREATE POLICY threads_read ON rt.threads FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
	AND seq > coalesce(((SELECT rt_private.own_hidden()) ->> room_id::text)::bigint, 0));

COMMENT ON POLICY threads_read ON rt.threads IS 'users may read what is in their own rooms';

ALTER TABLE rt.blocks ENABLE ROW LEVEL SECURITY;

CREATE POLICY blocks_own ON rt.blocks FOR ALL TO rt_app USING (user_id = rt_private.actor()) WITH CHECK (user_id = rt_private.actor());

COMMENT ON POLICY blocks_own ON rt.blocks IS 'users may access their own';

ALTER TABLE rt.room_invitations ENABLE ROW LEVEL SECURITY;

CREATE POLICY room_invitations_see ON rt.room_invitations FOR SELECT TO rt_app
	USING (user_id = rt_private.actor() OR rt_private.is_room_admin(room_id, rt_private.actor()));

COMMENT ON POLICY room_invitations_see ON rt.room_invitations IS 'the user concerned, or admins of the room';

COMMENT ON FUNCTION rt_private.own_contacts() IS 'the acting user and everybody who shares a room with them';

COMMENT ON POLICY presence_read ON rt.presence IS 'users may read their own, and that of users they share a room with';

COMMENT ON POLICY presence_change ON rt.presence IS 'users may access their own';

CREATE OR REPLACE FUNCTION rt_private.since_reset(g rt_private.gateways, counter text) RETURNS bigint
LANGUAGE sql STABLE
	RETURN (g.stats OPERATOR(pg_catalog.->>) counter)::pg_catalog.int8
		OPERATOR(pg_catalog.-) coalesce((g.stats_before OPERATOR(pg_catalog.->>) counter)::pg_catalog.int8, 0);

COMMENT ON FUNCTION rt_private.since_reset(rt_private.gateways, text) IS 'a gateway''s counter since rt.reset_stats()';

CREATE OR REPLACE VIEW rt.stat_gateway AS
	SELECT g.name, g.host, g.slot, g.pid, g.port, g.started_at, g.reported_at, g.draining_until,
		(g.stats ->> 'connections')::bigint AS connections, (g.stats ->> 'websockets')::bigint AS websockets,
		(g.stats ->> 'sockets')::bigint AS sockets, (g.stats ->> 'users')::bigint AS users,
		(g.stats ->> 'rooms')::bigint AS rooms, rt_private.since_reset(g, 'events') AS events,
		(g.stats ->> 'position')::bigint AS position, rt_private.since_reset(g, 'framesOut') AS frames_out,
		rt_private.since_reset(g, 'bytesOut') AS bytes_out, rt_private.since_reset(g, 'writesOut') AS writes_out,
		rt_private.since_reset(g, 'packetsIn') AS packets_in, rt_private.since_reset(g, 'bytesIn') AS bytes_in,
		(g.stats ->> 'queuedBytes')::bigint AS queued_bytes, rt_private.since_reset(g, 'cutOff') AS cut_off,
		rt_private.since_reset(g, 'requests') AS requests, rt_private.since_reset(g, 'clientEvents') AS client_events,
		rt_private.since_reset(g, 'rateLimited') AS rate_limited, rt_private.since_reset(g, 'recovered') AS recovered,
		rt_private.since_reset(g, 'dbCalls') AS db_calls, (g.stats ->> 'dbWaiting')::bigint AS db_waiting, g.stats_reset, g.region
	FROM rt_private.gateways AS g;

COMMENT ON VIEW rt.stat_gateway IS 'running gateways, with statistics from their last report, one per second';

COMMENT ON COLUMN rt.stat_gateway.name IS 'the gateway''s name, new at each start';

COMMENT ON COLUMN rt.stat_gateway.host IS 'host it runs on';

COMMENT ON COLUMN rt.stat_gateway.slot IS 'number of the gateway, with which the ids of its sessions begin: from 0; on another host, from 100';

COMMENT ON COLUMN rt.stat_gateway.port IS 'TCP port it listens on';

COMMENT ON COLUMN rt.stat_gateway.started_at IS 'when it started to serve';

COMMENT ON COLUMN rt.stat_gateway.reported_at IS 'when it last reported; after ten seconds it is considered dead';

COMMENT ON COLUMN rt.stat_gateway.draining_until IS 'deadline of rt.drain(); otherwise null';

COMMENT ON COLUMN rt.stat_gateway.websockets IS 'open websockets';

COMMENT ON COLUMN rt.stat_gateway.sockets IS 'connected Socket.IO clients';

COMMENT ON COLUMN rt.stat_gateway.users IS 'connected users';

COMMENT ON COLUMN rt.stat_gateway.rooms IS 'rooms with a connected member';

COMMENT ON COLUMN rt.stat_gateway.events IS 'events received from the relay';

COMMENT ON COLUMN rt.stat_gateway.position IS 'last position in rt.events that it has processed; compare with rt.stat_relay.last_pos';

COMMENT ON COLUMN rt.stat_gateway.bytes_out IS 'bytes in these messages';

COMMENT ON COLUMN rt.stat_gateway.writes_out IS 'system calls for these messages';

COMMENT ON COLUMN rt.stat_gateway.bytes_in IS 'bytes in these messages';

COMMENT ON COLUMN rt.stat_gateway.queued_bytes IS 'bytes currently queued for clients';

COMMENT ON COLUMN rt.stat_gateway.cut_off IS 'clients disconnected for reading too slowly, see rt.max_queued_bytes';

COMMENT ON COLUMN rt.stat_gateway.rate_limited IS 'events and requests that exceeded a rate limit';

COMMENT ON COLUMN rt.stat_gateway.recovered IS 'clients that reconnected and recovered missed events';

COMMENT ON COLUMN rt.stat_gateway.db_calls IS 'calls of rt_api functions';

COMMENT ON COLUMN rt.stat_gateway.db_waiting IS 'calls currently waiting for a database connection, see rt.db_connections';

COMMENT ON COLUMN rt.stat_gateway.stats_reset IS 'start of the statistics: rt.reset_stats() or its start';

COMMENT ON COLUMN rt.stat_gateway.region IS 'region of its host, from its configuration file; null: none';

COMMENT ON VIEW rt.stat_connections IS
	'connected sockets; queued_bytes, latency and upgrades are from the gateway''s last report';

COMMENT ON COLUMN rt.stat_connections.user_id IS 'the user it belongs to';

COMMENT ON COLUMN rt.stat_connections.peer IS 'client address';

COMMENT ON COLUMN rt.stat_connections.rooms IS 'number of rooms it has joined';

COMMENT ON COLUMN rt.stat_connections.queued_bytes IS 'bytes queued for it in the gateway, within 4 kB; at rt.max_queued_bytes it is disconnected';

COMMENT ON COLUMN rt.stat_connections.latency IS
	'round trip of the last heartbeat, within 50 ms or half of it, see rt.ping_interval; null before the first one';

CREATE FUNCTION rt_private.stat_room_holder(place tid) RETURNS xid
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'rt_room_holder';

COMMENT ON FUNCTION rt_private.stat_room_holder(tid) IS
	'number of the open or prepared transaction that keeps others from sending to a room, given the place of its row in rt.rooms';

CREATE FUNCTION rt_private.stat_writers()
RETURNS TABLE (xid xid, pid integer, since timestamptz, query text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT a.backend_xid, a.pid, a.xact_start, a.query FROM pg_stat_get_activity(NULL) AS a WHERE a.backend_xid IS NOT NULL
	UNION ALL
	SELECT p.transaction, NULL, p.prepared, 'PREPARE TRANSACTION ' || quote_literal(p.gid) FROM pg_prepared_xacts AS p
	WHERE p.database = current_database()
$$;

COMMENT ON FUNCTION rt_private.stat_writers() IS 'transactions that have written or locked rows: of sessions, and prepared ones';

CREATE FUNCTION rt_private.room_holders(older interval)
RETURNS TABLE (pid integer, since timestamptz, rooms bigint, ids text, query text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH locks AS MATERIALIZED (
		SELECT DISTINCT coalesce(l.pid, 0) AS pid FROM pg_locks AS l WHERE l.relation = 'rt.rooms'::regclass
			AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
			AND l.mode IN ('RowShareLock', 'RowExclusiveLock') AND l.granted
	), holders AS MATERIALIZED (
		SELECT w.* FROM rt_private.stat_writers() AS w
		WHERE w.since < clock_timestamp() - older AND EXISTS (SELECT FROM locks AS l WHERE l.pid = coalesce(w.pid, 0))
	), held AS MATERIALIZED (
		SELECT r.id, rt_private.stat_room_holder(r.ctid) AS xid FROM rt.rooms AS r
		WHERE r.xmax <> '0'::xid AND EXISTS (SELECT FROM holders)
	)
	SELECT w.pid, w.since, count(*),
		array_to_string((array_agg(h.id ORDER BY h.id))[1:10], ', ') || CASE WHEN count(*) > 10 THEN ', …' ELSE '' END,
		left(regexp_replace(w.query, E'\\s+', ' ', 'g'), 200)
	FROM holders AS w JOIN held AS h ON h.xid = w.xid
	GROUP BY w.pid, w.since, w.query
$$;

COMMENT ON FUNCTION rt_private.room_holders(interval) IS
	'transactions that have held rooms for so long, with what they did last; pid is null for a prepared one';

CREATE OR REPLACE VIEW rt.stat_rooms AS
	SELECT r.id AS room_id, r.name, r.kind, r.last_seq,
		(SELECT count(*) FROM rt.room_members AS m WHERE m.room_id = r.id) AS members,
		coalesce(j.joined, 0) AS joined, w.pid AS holder_pid, w.query AS holder_query, w.since AS holder_since
	FROM rt.rooms AS r
	LEFT JOIN (SELECT (t ->> 'roomId')::bigint AS room_id, sum((t ->> 'joined')::bigint) AS joined
		FROM rt_private.gateways AS g, jsonb_array_elements(g.rooms) AS t GROUP BY 1) AS j ON j.room_id = r.id
	LEFT JOIN rt_private.stat_writers() AS w ON w.xid = CASE WHEN r.xmax <> '0'::xid THEN rt_private.stat_room_holder(r.ctid) END;

COMMENT ON VIEW rt.stat_rooms IS 'rooms, with the number of sockets that have joined';

COMMENT ON COLUMN rt.stat_rooms.name IS 'name; null for a direct room';

COMMENT ON COLUMN rt.stat_rooms.last_seq IS 'number of the last message';

COMMENT ON COLUMN rt.stat_rooms.members IS 'number of members';

COMMENT ON COLUMN rt.stat_rooms.joined IS 'number of sockets that have joined; each gateway reports at most 1,000 rooms';

COMMENT ON COLUMN rt.stat_rooms.holder_pid IS 'process id of the session whose open transaction keeps others from sending to the room; null: none, or a prepared transaction';

COMMENT ON COLUMN rt.stat_rooms.holder_query IS 'last statement of that session; PREPARE TRANSACTION with its identifier for a prepared transaction';

COMMENT ON COLUMN rt.stat_rooms.holder_since IS 'when its transaction began, or was prepared';

REVOKE ALL ON FUNCTION rt_private.stat_room_holder(tid), rt_private.stat_writers(), rt_private.room_holders(interval) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION rt_private.since_reset(rt_private.gateways, text), rt_private.stat_room_holder(tid), rt_private.stat_writers() TO pg_monitor;

ALTER TABLE rt.meeting_waiting ENABLE ROW LEVEL SECURITY;

COMMENT ON POLICY meetings_see ON rt.meetings IS 'users may see meetings that they may join, or were in';

COMMENT ON POLICY meetings_make ON rt.meetings IS 'users may create meetings as host';

COMMENT ON POLICY meetings_run ON rt.meetings IS 'hosts of the meeting';

COMMENT ON POLICY meetings_delete ON rt.meetings IS 'hosts of the meeting';

COMMENT ON POLICY meeting_invitees_see ON rt.meeting_invitees IS 'the user concerned, or hosts of the meeting';

COMMENT ON POLICY meeting_invitees_run ON rt.meeting_invitees IS 'hosts of the meeting';

COMMENT ON POLICY meeting_bans_run ON rt.meeting_bans IS 'hosts of the meeting';

COMMENT ON POLICY meeting_participants_see ON rt.meeting_participants IS 'users may see what belongs to meetings they may see';

COMMENT ON POLICY meeting_messages_see ON rt.meeting_messages IS 'users may read messages addressed to them';

COMMENT ON POLICY meeting_messages_send ON rt.meeting_messages IS 'users may send as themselves, in meetings they are in';

COMMENT ON POLICY meeting_recordings_see ON rt.meeting_recordings IS 'users may see what belongs to meetings they may see';

CREATE POLICY meeting_waiting_see ON rt.meeting_waiting FOR SELECT TO rt_app
	USING (user_id = rt_private.actor() OR rt_private.app_runs_meeting(meeting_id));

COMMENT ON POLICY meeting_waiting_see ON rt.meeting_waiting IS 'the user concerned, or hosts of the meeting';

GRANT SELECT (id, title, status, host_id, room_id, access, max_participants, locked, guests, lobby, recording, starts_at, created_at,
	started_at, started_by, ended_at, ended_by) ON rt.meetings TO rt_app;

GRANT INSERT (title, host_id, access, max_participants, starts_at, guests, lobby) ON rt.meetings TO rt_app;

GRANT UPDATE (title, status, access, max_participants, locked, starts_at, guests, lobby) ON rt.meetings TO rt_app;

GRANT SELECT (id, meeting_id, user_id, display_name, guest, role, video, audio, screen_sharing, audio_muted, video_muted,
	hand_raised_at, joined_at, left_at, left_reason) ON rt.meeting_participants TO rt_app;

GRANT SELECT (id, meeting_id, user_id, display_name, status, asked_at, decided_at, decided_by) ON rt.meeting_waiting TO rt_app;

GRANT EXECUTE ON FUNCTION
	rt.create_meeting(text, text, text, integer, timestamptz, bigint, text[], text, boolean, boolean),
	rt.admit_waiting(bigint, bigint), rt.refuse_waiting(bigint, bigint),
	rt.start_meeting(bigint), rt.end_meeting(bigint), rt.set_meeting_password(bigint, text),
	rt.kick_participant(bigint, text), rt.mute_participant(bigint, boolean, text) TO rt_app;

GRANT SELECT ON rt.stat_meetings, rt.stat_media, rt.stat_media_workers TO pg_monitor;

GRANT EXECUTE ON FUNCTION
	rt_api.meeting_join(text, jsonb), rt_api.meeting_leave(text, jsonb), rt_api.meeting_media(text, jsonb),
	rt_api.meeting_say(text, jsonb), rt_api.meeting_typing(text, jsonb), rt_api.meeting_react(text, jsonb),
	rt_api.meeting_hand(text, jsonb), rt_api.meeting_mute(text, jsonb), rt_api.meeting_remove(text, jsonb),
	rt_api.meeting_role(text, jsonb), rt_api.meeting_lock(text, jsonb), rt_api.meeting_close(text, jsonb),
	rt_api.meeting_record(text, jsonb), rt_api.meeting_disconnected(text, jsonb), rt_api.meeting_resume(text, jsonb),
	rt_api.meeting_sweep(text, jsonb), rt_api.meetings_list(text, jsonb), rt_api.meeting_create(text, jsonb),
	rt_api.meeting_get(text, jsonb), rt_api.meeting_update(text, jsonb), rt_api.meeting_delete(text, jsonb),
	rt_api.meeting_start(text, jsonb), rt_api.meeting_end(text, jsonb), rt_api.meeting_check_join(text, jsonb),
	rt_api.meeting_participants(text, jsonb), rt_api.meeting_messages(text, jsonb),
	rt_api.meeting_webrtc_config(text, jsonb), rt_api.meeting_recordings(text, jsonb),
	rt_api.guest_create(text, jsonb), rt_api.meeting_admit(text, jsonb), rt_api.meeting_refuse(text, jsonb), rt_api.media_request(text, jsonb), rt_api.media_result(text, jsonb) TO rt_gateway;

GRANT EXECUTE ON FUNCTION
	rt_api.media_start(text, jsonb), rt_api.media_stop(text, jsonb), rt_api.media_drain(text, jsonb), rt_api.media_heartbeat(text, jsonb), rt_api.media_stats(text, jsonb),
	rt_api.media_fetch(text, jsonb), rt_api.media_answer(text, jsonb), rt_api.media_event(text, jsonb), rt_api.hello(text, jsonb) TO rt_media;

DO $$
BEGIN
	PERFORM rt_private.check_served();
END
$$;

GRANT EXECUTE ON FUNCTION rt_private.search_vector(text), rt_private.name_key(text) TO PUBLIC;

CREATE TABLE rt_private.own_ddl (
	kind text,
	relation text,
	name text,
	PRIMARY KEY (kind, relation, name)
);

COMMENT ON TABLE rt_private.own_ddl IS 'indexes, constraints, triggers and policies that the extension itself made';

COMMENT ON COLUMN rt_private.own_ddl.kind IS 'index, constraint, foreign key, trigger or policy';

COMMENT ON COLUMN rt_private.own_ddl.relation IS 'the table, with its schema';

COMMENT ON COLUMN rt_private.own_ddl.name IS 'name of the object';

CREATE FUNCTION rt_private.all_ddl() RETURNS TABLE (kind text, relation text, name text, ddl text, described boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH tables AS (
		SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('rt', 'rt_private') AND c.relkind IN ('r', 'p', 'v')
	)
	SELECT 'index', t.name, c.relname::text, pg_get_indexdef(i.indexrelid), obj_description(c.oid, 'pg_class') IS NOT NULL
	FROM tables AS t JOIN pg_index AS i ON i.indrelid = t.oid JOIN pg_class AS c ON c.oid = i.indexrelid
	WHERE NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
	UNION ALL
	SELECT 'trigger', t.name, g.tgname::text, pg_get_triggerdef(g.oid)
			|| CASE WHEN g.tgenabled = 'O' THEN '' ELSE format(E';\nALTER TABLE %s %s TRIGGER %I', t.name,
				CASE g.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, g.tgname) END,
		obj_description(g.oid, 'pg_trigger') IS NOT NULL
	FROM tables AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal AND g.tgparentid = 0
	UNION ALL
	SELECT 'policy', t.name, p.polname::text, concat_ws(' ', format('CREATE POLICY %I ON %s', p.polname, t.name),
			CASE WHEN NOT p.polpermissive THEN 'AS RESTRICTIVE' END,
			'FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
			'TO ' || (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, ', ') FROM unnest(p.polroles) AS r),
			'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', 'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
		obj_description(p.oid, 'pg_policy') IS NOT NULL
	FROM tables AS t JOIN pg_policy AS p ON p.polrelid = t.oid
	UNION ALL
	SELECT CASE k.contype WHEN 'f' THEN 'foreign key' ELSE 'constraint' END, t.name, k.conname::text,
		format('ALTER TABLE %s ADD CONSTRAINT %I %s', t.name, k.conname, pg_get_constraintdef(k.oid)), false
	FROM tables AS t JOIN pg_constraint AS k ON k.conrelid = t.oid WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conparentid = 0
$$;

COMMENT ON FUNCTION rt_private.all_ddl() IS 'indexes, constraints, triggers and policies on the tables of rt';

INSERT INTO rt_private.own_ddl SELECT a.kind, a.relation, a.name FROM rt_private.all_ddl() AS a WHERE a.described ON CONFLICT DO NOTHING;

INSERT INTO rt_private.own_ddl
SELECT CASE WHEN pg_catalog.right(k.name, 5) OPERATOR(pg_catalog.=) '_fkey' THEN 'foreign key' ELSE 'constraint' END, t.relation, k.name
FROM (VALUES
	('rt.blocks', '{blocks_blocked_id_fkey, blocks_check, blocks_pkey, blocks_user_id_fkey}'),
	('rt.deleted_messages', '{deleted_messages_pkey, deleted_messages_room_id_fkey, deleted_messages_sender_id_fkey}'),
	('rt.events', '{events_pkey}'),
	('rt.ice_servers', '{ice_servers_pkey, ice_servers_url}'),
	('rt.meeting_bans', '{meeting_bans_banned_by_fkey, meeting_bans_meeting_id_fkey, meeting_bans_pkey, meeting_bans_user_id_fkey}'),
	('rt.meeting_invitees',
		'{meeting_invitees_invited_by_fkey, meeting_invitees_meeting_id_fkey, meeting_invitees_pkey, meeting_invitees_role,
		meeting_invitees_user_id_fkey}'),
	('rt.meeting_messages',
		'{meeting_messages_meeting_id_fkey, meeting_messages_not_empty, meeting_messages_pkey, meeting_messages_recipient,
		meeting_messages_recipient_id_fkey, meeting_messages_recipient_participant_id_fkey, meeting_messages_recipient_type,
		meeting_messages_sender_id_fkey, meeting_messages_sender_participant_id_fkey}'),
	('rt.meeting_participants',
		'{meeting_participants_left, meeting_participants_left_reason, meeting_participants_meeting_id_fkey, meeting_participants_name_length,
		meeting_participants_pkey, meeting_participants_removal_length, meeting_participants_removed_by_fkey, meeting_participants_role,
		meeting_participants_user_id_fkey}'),
	('rt.meeting_recordings',
		'{meeting_recordings_meeting_id_fkey, meeting_recordings_order, meeting_recordings_pkey, meeting_recordings_started_by_fkey,
		meeting_recordings_stopped_by_fkey}'),
	('rt.meeting_waiting',
		'{meeting_waiting_decided_by_fkey, meeting_waiting_meeting_id_fkey, meeting_waiting_name_length, meeting_waiting_pkey,
		meeting_waiting_status, meeting_waiting_user, meeting_waiting_user_id_fkey}'),
	('rt.meetings',
		'{meetings_access, meetings_capacity, meetings_ended_by_fkey, meetings_guests, meetings_host_id_fkey, meetings_lifecycle,
		meetings_pkey, meetings_room_id_fkey, meetings_started_by_fkey, meetings_status, meetings_title_length}'),
	('rt.messages', '{messages_pkey, messages_room_id_fkey, messages_sender_id_fkey}'),
	('rt.pins', '{pins_pinned_by_fkey, pins_pkey, pins_room_id_seq_fkey}'),
	('rt.presence', '{presence_chosen_check, presence_pkey, presence_status_check, presence_status_message_check, presence_user_id_fkey}'),
	('rt.reactions', '{reactions_emoji_check, reactions_pkey, reactions_room_id_seq_fkey, reactions_user_id_fkey}'),
	('rt.room_invitations',
		'{room_invitations_invited_by_fkey, room_invitations_pkey, room_invitations_role_check, room_invitations_room_id_fkey,
		room_invitations_user_id_fkey}'),
	('rt.room_members',
		'{room_members_last_read_seq_check, room_members_notify_check, room_members_pkey, room_members_role_check, room_members_room_id_fkey,
		room_members_user_id_fkey}'),
	('rt.rooms',
		'{rooms_created_by_fkey, rooms_direct, rooms_direct_key_key, rooms_history_check, rooms_kind_check, rooms_last_seq_check,
		rooms_name_check, rooms_pkey, rooms_topic_check, rooms_who_may_add_check, rooms_who_may_mention_all_check, rooms_who_may_pin_check,
		rooms_who_may_post_check}'),
	('rt.sessions', '{sessions_pkey, sessions_user_id_fkey}'),
	('rt.threads', '{threads_pkey, threads_room_id_fkey}'),
	('rt.users', '{users_id_check, users_name_check, users_pkey, users_username_check}'),
	('rt_private.admin_claims', '{admin_claims_pkey, admin_claims_user_id_fkey}'),
	('rt_private.change_counters', '{change_counters_pkey, change_counters_room_id_fkey}'),
	('rt_private.clock', '{clock_one_check, clock_pkey}'),
	('rt_private.connections', '{connections_pkey, connections_status_check}'),
	('rt_private.deleted_users', '{deleted_users_pkey}'),
	('rt_private.epochs', '{epochs_pkey}'),
	('rt_private.gateway_numbers', '{gateway_numbers_number_check, gateway_numbers_number_key, gateway_numbers_pkey}'),
	('rt_private.gateway_secret', '{gateway_secret_only_row_check, gateway_secret_pkey}'),
	('rt_private.gateways', '{gateways_pkey}'),
	('rt_private.guests', '{guests_id, guests_pkey, guests_user_id_fkey}'),
	('rt_private.issuer_keys', '{issuer_keys_issuer_fkey, issuer_keys_pkey}'),
	('rt_private.issuers',
		'{issuers_admin, issuers_audiences_check, issuers_issuer_check, issuers_pkey, issuers_token_lifetime_check,
		issuers_user_claim_check}'),
	('rt_private.keys',
		'{keys_alg_check, keys_can_sign, keys_kid_check, keys_pkey, keys_private, keys_public, keys_secret, keys_secret_length}'),
	('rt_private.login_addresses', '{login_addresses_pkey, login_addresses_user_id_fkey}'),
	('rt_private.media_consumers',
		'{media_consumers_kind_check, media_consumers_pkey, media_consumers_producer_id_fkey, media_consumers_transport_id_fkey}'),
	('rt_private.media_producers',
		'{media_producers_kind_check, media_producers_pkey, media_producers_source_check, media_producers_transport_id_fkey}'),
	('rt_private.media_requests', '{media_requests_pkey}'),
	('rt_private.media_routers', '{media_routers_meeting_id_key, media_routers_pkey}'),
	('rt_private.media_transports', '{media_transports_direction_check, media_transports_pkey}'),
	('rt_private.media_workers', '{media_workers_capacity_check, media_workers_load_check, media_workers_pkey, media_workers_slot_key}'),
	('rt_private.mentions', '{mentions_pkey, mentions_room_id_seq_fkey, mentions_user_id_fkey}'),
	('rt_private.mentions_all', '{mentions_all_pkey, mentions_all_room_id_seq_fkey}'),
	('rt_private.own_ddl', '{own_ddl_pkey}'),
	('rt_private.password_updates', '{password_updates_pkey}'),
	('rt_private.receipt_ranges',
		'{receipt_ranges_check, receipt_ranges_kind_check, receipt_ranges_pkey, receipt_ranges_room_id_user_id_fkey}'),
	('rt_private.relay_state', '{relay_state_one_check, relay_state_pkey}'),
	('rt_private.revoked_sessions', '{revoked_sessions_pkey}'),
	('rt_private.room_changes', '{room_changes_pkey, room_changes_room_id_fkey}'),
	('rt_private.room_presence', '{room_presence_pkey}'),
	('rt_private.room_sizes', '{room_sizes_pkey, room_sizes_room_id_fkey}'),
	('rt_private.sessions', '{sessions_pkey}'),
	('rt_private.token_floors', '{token_floors_pkey, token_floors_user_id_fkey}'),
	('rt_private.two_factor', '{two_factor_pkey, two_factor_user_id_fkey}')
) AS t (relation, names), pg_catalog.unnest(t.names::pg_catalog.text[]) AS k (name) ON CONFLICT DO NOTHING;

CREATE FUNCTION rt.extra_ddl() RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT a.ddl || ';' FROM rt_private.all_ddl() AS a
	WHERE NOT EXISTS (SELECT FROM rt_private.own_ddl AS o WHERE o.kind = a.kind AND o.relation = a.relation AND o.name = a.name)
	ORDER BY a.kind = 'foreign key', a.kind, a.relation, a.name -- a foreign key needs the unique index of what it refers to
$$;

COMMENT ON FUNCTION rt.extra_ddl() IS
	'returns the statements that make the indexes, constraints, triggers and policies that you have added to tables of rt; a dump does not contain them';

REVOKE ALL ON FUNCTION rt_private.all_ddl(), rt.extra_ddl() FROM PUBLIC;

REVOKE ALL ON TABLE rt_private.own_ddl FROM PUBLIC;
