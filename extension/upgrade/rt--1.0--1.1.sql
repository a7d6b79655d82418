\echo Use "ALTER EXTENSION rt UPDATE" to load this file. \quit

-- From 1.0 to 1.1.  Written by extension/upgrade/draft, but for the part that says that it is by hand.

-- The functions below may need what only the library of 1.1 has.  A server that still runs the one before would fail in the
-- midst of this, or later.
LOAD 'MODULE_PATHNAME';
DO $$
BEGIN
	IF pg_catalog.string_to_array(coalesce(pg_catalog.current_setting('rt.version', true), '0'), '.')::integer[]
		OPERATOR(pg_catalog.<) pg_catalog.string_to_array('1.1', '.')::integer[] THEN
		RAISE EXCEPTION 'the server runs an older version of rt than 1.1'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Restart the server after installing rt 1.1, then run ALTER EXTENSION rt UPDATE.';
	END IF;
END
$$;

REVOKE EXECUTE ON FUNCTION rt_api.events_since(text, jsonb) FROM rt_gateway, rt_media;
REVOKE EXECUTE ON FUNCTION rt_private.actor(), rt_private.is_member(bigint, text), rt_private.is_room_admin(bigint, text) FROM rt_app;
REVOKE EXECUTE ON FUNCTION rt_private.max_message_size(), rt_private.trusted(), rt_private.caller() FROM rt_app;
REVOKE EXECUTE ON FUNCTION rt_private.share_room(text, text) FROM rt_app;
DROP VIEW rt.stat_relay;
DROP VIEW rt.stat_gateway;
DROP TRIGGER keys_changed ON rt_private.keys;
DROP POLICY rooms_read ON rt.rooms;
DROP POLICY members_read ON rt.room_members;
DROP POLICY messages_read ON rt.messages;
DROP POLICY reactions_read ON rt.reactions;
DROP POLICY presence_read ON rt.presence;
DROP INDEX rt.messages_created_at;
DROP FUNCTION rt_private.media_settle_transport(rt_private.media_requests, json);
DROP FUNCTION rt_private.share_room(text, text);
DROP FUNCTION rt_private.stat_relay();
DROP FUNCTION rt_private.page_after(bigint, bigint, bigint, integer, bigint);
DROP FUNCTION rt_private.page_before(bigint, bigint, integer);

ALTER TABLE rt_private.receipt_ranges SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE rt_private.gateways ADD COLUMN stats_before jsonb NOT NULL DEFAULT '{}';
ALTER TABLE rt_private.gateways ADD COLUMN stats_reset timestamptz NOT NULL DEFAULT clock_timestamp();
ALTER TABLE rt_private.gateways ADD COLUMN draining_until timestamptz;
ALTER TABLE rt_private.connections SET (fillfactor = 70);
ALTER TABLE rt_private.connections ADD COLUMN queued_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE rt_private.connections ADD COLUMN latency interval;
ALTER TABLE rt_private.media_workers ADD COLUMN totals jsonb NOT NULL DEFAULT '{}';
ALTER TABLE rt_private.media_workers ADD COLUMN ice_candidates jsonb NOT NULL DEFAULT '[]';
ALTER TABLE rt_private.media_transports SET (fillfactor = 40);
ALTER TABLE rt_private.media_producers SET (fillfactor = 40);
ALTER TABLE rt_private.media_producers ADD COLUMN paused_by bigint NOT NULL DEFAULT 0;
ALTER TABLE rt_private.media_consumers SET (fillfactor = 40);
ALTER TABLE rt.events SET (autovacuum_vacuum_scale_factor = 0.05);

-- ---- by hand ----------------------------------------------------------------
-- done: TABLE rt.messages
ALTER TABLE rt.messages DROP CONSTRAINT messages_seq_check, DROP CONSTRAINT messages_message_type_check,
	DROP CONSTRAINT messages_metadata_check, DROP CONSTRAINT messages_client_id_check,
	SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
-- ---- end of what is by hand --------------------------------------------------

SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
	IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
		RAISE EXCEPTION 'rt needs a database with encoding UTF8, this one has %', pg_catalog.getdatabaseencoding()
			USING ERRCODE = 'feature_not_supported', HINT = 'Create the database with TEMPLATE template0 ENCODING ''UTF8''.';
	END IF;
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
			-- A refusal is an error to the server, and clients could fill its log with them.  The programs log what is not
			-- the client's fault.
			IF r.how = 'LOGIN' THEN
				EXECUTE pg_catalog.format('ALTER ROLE %I SET log_min_messages = fatal', r.name);
			END IF;
		END IF;
	END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.actor() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT CASE WHEN pg_catalog.current_setting('rt.user_id', true) OPERATOR(pg_catalog.<>) ''
		THEN pg_catalog.current_setting('rt.user_id', true) END
$$;

CREATE OR REPLACE FUNCTION rt_private.act_as(actor text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_catalog.set_config('rt.user_id', coalesce(actor, ''), true);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.caller() RETURNS name
LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN pg_catalog.current_setting('role') OPERATOR(pg_catalog.=) 'none' THEN session_user
		ELSE pg_catalog.current_setting('role')::name END
$$;

CREATE OR REPLACE FUNCTION rt_private.trusted() RETURNS boolean
LANGUAGE sql STABLE AS $$
	SELECT pg_catalog.pg_has_role(rt_private.caller(), n.nspowner, 'USAGE')
	FROM pg_catalog.pg_namespace AS n WHERE n.nspname OPERATOR(pg_catalog.=) 'rt'
$$;

CREATE OR REPLACE FUNCTION rt_private.to_id(value jsonb, key text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	digits text := value #>> '{}';
BEGIN
	IF jsonb_typeof(value) NOT IN ('string', 'number') OR digits !~ '^(0|[1-9][0-9]{0,18})$' OR digits::numeric > 9223372036854775807 THEN
		RAISE EXCEPTION '% must be an id', key USING ERRCODE = 'RT400';
	END IF;
	RETURN digits::bigint;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.req_limit(req jsonb, otherwise integer, most integer) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	digits text := req ->> 'limit';
BEGIN
	IF coalesce(jsonb_typeof(req -> 'limit'), 'null') = 'null' THEN
		RETURN otherwise;
	END IF;
	IF jsonb_typeof(req -> 'limit') NOT IN ('string', 'number') OR digits !~ '^[0-9]+$' OR digits::numeric = 0 THEN
		RAISE EXCEPTION 'limit must be a positive number' USING ERRCODE = 'RT400';
	END IF;
	RETURN least(digits::numeric, most)::integer;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.to_seq(value jsonb, key text, room_id bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	parts text[] := regexp_match(value #>> '{}', '^(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})$');
BEGIN
	IF jsonb_typeof(value) IS DISTINCT FROM 'string' OR parts IS NULL THEN
		RAISE EXCEPTION '% must be a message id', key USING ERRCODE = 'RT400';
	END IF;
	RETURN CASE WHEN parts[1]::bigint = to_seq.room_id THEN parts[2]::bigint END;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.user_name(user_id text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT u.name FROM rt.users AS u WHERE u.id = user_name.user_id);
END
$$;

CREATE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON rt_private.keys
FOR EACH ROW EXECUTE FUNCTION rt_private.keys_changed();

ALTER TABLE rt_private.keys ENABLE ALWAYS TRIGGER keys_changed;

COMMENT ON TRIGGER keys_changed ON rt_private.keys IS 'tells the gateways';

CREATE TRIGGER keys_truncated AFTER TRUNCATE ON rt_private.keys
FOR EACH STATEMENT EXECUTE FUNCTION rt_private.keys_changed();

COMMENT ON TRIGGER keys_truncated ON rt_private.keys IS 'tells the gateways';

CREATE FUNCTION rt_private.make_token(user_id text, ttl interval) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named record;
    signing record;
    issued_at bigint := floor(extract(epoch FROM clock_timestamp()));
    -- A session that has not loaded the library yet, as happens without preloading, does not know the setting.
    ttl interval := coalesce(make_token.ttl, current_setting('rt.token_ttl', true)::interval, interval '12 hours');
    lifetime bigint := floor(extract(epoch FROM ttl));
BEGIN
    SELECT u.id, u.name INTO named FROM rt.users u WHERE u.id = make_token.user_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'user not found' USING ERRCODE = 'RT404';
    END IF;
    SELECT k.kid, k.alg, coalesce(k.secret, k.private_key) AS key INTO signing
    FROM rt_private.keys k WHERE k.can_sign AND k.retired_at IS NULL
    ORDER BY k.created_at DESC, k.kid LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no key to sign with' USING ERRCODE = 'RT503', HINT = 'Run rt.rotate_key().';
    END IF;
    RETURN rt_private.jwt_sign(signing.kid, signing.alg, signing.key,
        json_build_object('sub', named.id, 'name', named.name, 'iat', issued_at, 'exp', issued_at + lifetime,
                          'jti', rt_private.random_text(9)));
END
$$;

COMMENT ON FUNCTION rt_private.make_token(text, interval) IS 'a token of a user, signed by the newest key';

CREATE OR REPLACE FUNCTION rt.issue_token(user_id text, ttl interval DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    token text := rt_private.make_token(issue_token.user_id, issue_token.ttl);
BEGIN
    PERFORM rt_private.audit('token-issued', jsonb_build_object('userId', issue_token.user_id));
    RETURN token;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.signed_claims(token text) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    header json;
BEGIN
    header := rt_private.jwt_part(signed_claims.token, 1);
    -- An extension that must be understood, and is not (RFC 7515, section 4.1.11).
    IF header -> 'crit' IS NOT NULL THEN
        RETURN NULL;
    END IF;
    -- Without a kid, whichever key fits: there are few.
    PERFORM FROM rt_private.keys k
    WHERE k.retired_at IS NULL AND k.alg = header ->> 'alg' AND k.kid = coalesce(header ->> 'kid', k.kid)
        AND rt_private.jwt_is_signed(signed_claims.token, k.alg, coalesce(k.secret, k.public_key));
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN rt_private.jwt_part(signed_claims.token, 2);
EXCEPTION
    -- What is not JSON, or not even text, is no token.
    WHEN data_exception OR program_limit_exceeded THEN
        RETURN NULL;
END
$$;

CREATE FUNCTION rt_private.direct_users(key text) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT ARRAY[left(k.ids, k.n), substr(k.ids, k.n + 1)]
	FROM (SELECT split_part(key, ':', 1)::integer AS n, substr(key, strpos(key, ':') + 1) AS ids) AS k
$$;

COMMENT ON FUNCTION rt_private.direct_users(text) IS 'the two users of a direct room, from its key';

CREATE FUNCTION rt_private.own_rooms() RETURNS bigint[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT ARRAY(SELECT m.room_id FROM rt.room_members AS m WHERE m.user_id = rt_private.actor())
$$;

COMMENT ON FUNCTION rt_private.own_rooms() IS 'the rooms of the acting user';

CREATE OR REPLACE FUNCTION rt_private.member_changed(room_id bigint, user_id text, member boolean) RETURNS void
LANGUAGE sql AS $$
	SELECT rt_private.emit('rt:member', '{"gateway":true}',
		pg_catalog.json_build_object('roomId', room_id::text, 'userId', user_id, 'member', member,
			'xid', pg_catalog.pg_current_xact_id()::text), true, room_id)
$$;

CREATE OR REPLACE FUNCTION rt_private.room_members_after_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room record;
BEGIN
	FOR room IN SELECT r AS row, array_agg(m.user_id) AS users
		FROM added AS m JOIN rt.rooms AS r ON r.id = m.room_id GROUP BY r.id, r
	LOOP
		IF (room.row).kind = 'direct' AND NOT room.users <@ rt_private.direct_users((room.row).direct_key) THEN
			RAISE EXCEPTION 'A direct room has two members' USING ERRCODE = 'RT409';
		END IF;
		PERFORM rt_private.member_changed((room.row).id, u, true) FROM unnest(room.users) AS u;
		PERFORM rt_private.notify_users(room.users, 'room-added', rt_private.room_data(room.row), (room.row).id);
	END LOOP;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.room_members_after_insert() IS 'tells who was added; lets no third one into a direct room';

CREATE OR REPLACE FUNCTION rt_private.room_members_before_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'a membership cannot be moved to another room or user'
		USING ERRCODE = 'RT400', HINT = 'Delete it and insert a new one.';
END
$$;

CREATE FUNCTION rt_private.room_members_before_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit('rt:room-deleted', '{"gateway":true}', json_build_object('roomId', m.room_id::text), true, m.room_id)
	FROM (SELECT DISTINCT t.room_id FROM rt.room_members AS t) AS m;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.room_members_before_truncate() IS 'ends delivery to all members of all rooms';

CREATE TRIGGER room_members_before_truncate BEFORE TRUNCATE ON rt.room_members FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.room_members_before_truncate();

CREATE FUNCTION rt_private.is_own_event(event text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT event LIKE 'chat-%' OR event IN ('connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener',
		'error', 'new-chat-message', 'messages-seen', 'messages-seen-acknowledged', 'room-online-users',
		'meeting-joined', 'meeting-updated', 'meeting-ended', 'participant-joined', 'participant-left', 'participant-media-updated',
		'participant-reaction', 'participant-role-updated', 'new-message', 'user-typing', 'hand-raised', 'muted-by-host',
		'removed-from-meeting', 'recording-status-changed',
		'transport-created', 'transport-connected', 'transport-closed', 'ice-restarted', 'produced', 'new-producer', 'producer-paused',
		'producer-resumed', 'producer-closed', 'consumed', 'consumer-paused', 'consumer-resumed', 'consumer-closed', 'consumer-score',
		'layers-changed', 'active-speaker')
$$;

COMMENT ON FUNCTION rt_private.is_own_event(text) IS 'whether clients would take an event for one of rt''s own';

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
		RAISE EXCEPTION 'Room not found' USING ERRCODE = 'RT404';
	END IF;
	PERFORM rt_private.emit(event, rt_private.room_route(broadcast.room_id), payload::json, true, broadcast.room_id);
END
$$;

CREATE FUNCTION rt_private.disconnect(user_id text, reason text) RETURNS void
LANGUAGE sql AS $$
	SELECT rt_private.emit('rt:disconnect', '{"gateway":true}', pg_catalog.json_build_object('userId', user_id, 'reason', reason), false)
$$;

COMMENT ON FUNCTION rt_private.disconnect(text, text) IS 'has the gateways close every connection of a user';

CREATE OR REPLACE FUNCTION rt.disconnect_user(user_id text, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.disconnect(disconnect_user.user_id, coalesce(disconnect_user.reason, 'disconnected'));
	PERFORM rt_private.audit('user-disconnected', jsonb_build_object('userId', disconnect_user.user_id, 'reason', disconnect_user.reason));
END
$$;

DO $$
DECLARE
	name name;
BEGIN
	FOR name IN
		SELECT t.tgname FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_constraint AS c ON c.oid OPERATOR(pg_catalog.=) t.tgconstraint
		WHERE t.tgrelid OPERATOR(pg_catalog.=) 'rt.messages'::pg_catalog.regclass
			AND t.tgfoid OPERATOR(pg_catalog.=) 'pg_catalog."RI_FKey_check_ins"'::pg_catalog.regproc
			AND c.conname OPERATOR(pg_catalog.=) ANY ('{messages_room_id_fkey,messages_room_id_reply_to_fkey,messages_sender_id_fkey}'::pg_catalog.name[])
	LOOP
		EXECUTE pg_catalog.format('ALTER TABLE rt.messages DISABLE TRIGGER %I', name);
	END LOOP;
END
$$;

CREATE FUNCTION rt_private.message_fault(message_type text, metadata jsonb, client_id text) RETURNS text
LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'rt_message_fault';

COMMENT ON FUNCTION rt_private.message_fault(text, jsonb, text) IS 'what about a message cannot be stored, or null';

CREATE OR REPLACE FUNCTION rt_private.messages_before_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fault text := rt_private.message_fault(NEW.message_type, NEW.metadata, NEW.client_id);
BEGIN
	IF fault IS NOT NULL THEN
		RAISE check_violation USING MESSAGE = fault;
	END IF;
	IF (NEW.room_id, NEW.seq, NEW.created_at, NEW.client_id) IS DISTINCT FROM (OLD.room_id, OLD.seq, OLD.created_at, OLD.client_id)
		OR (NEW.sender_id IS DISTINCT FROM OLD.sender_id AND NEW.sender_id IS NOT NULL) THEN
		RAISE EXCEPTION 'the number, sender and time of a message cannot be changed' USING ERRCODE = 'RT400';
	END IF;
	IF OLD.deleted_at IS NOT NULL THEN
		IF NEW.deleted_at IS DISTINCT FROM OLD.deleted_at OR NEW.content <> OLD.content OR NEW.metadata IS NOT NULL THEN
			RAISE EXCEPTION 'Message was deleted' USING ERRCODE = 'RT410';
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

CREATE UNLOGGED TABLE rt_private.deletions (
	xid xid8 NOT NULL,
	room_id bigint NOT NULL,
	seq bigint NOT NULL,
	PRIMARY KEY (xid, room_id, seq)
);

COMMENT ON TABLE rt_private.deletions IS 'messages that a statement under way deletes';

COMMENT ON COLUMN rt_private.deletions.xid IS 'its transaction';

COMMENT ON COLUMN rt_private.deletions.room_id IS 'the room';

COMMENT ON COLUMN rt_private.deletions.seq IS 'the message';

CREATE OR REPLACE FUNCTION rt_private.messages_before_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF current_setting('rt.suppress_events')::boolean
		OR NOT EXISTS (SELECT FROM rt.rooms AS r WHERE r.id = OLD.room_id) THEN
		RETURN OLD;
	END IF;
	INSERT INTO rt_private.deletions (xid, room_id, seq) VALUES (pg_current_xact_id(), OLD.room_id, OLD.seq) ON CONFLICT DO NOTHING;
	RETURN NULL;
END
$$;

ALTER FUNCTION rt_private.messages_before_delete() SECURITY DEFINER;

CREATE FUNCTION rt_private.messages_after_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d record;
BEGIN
	FOR d IN DELETE FROM rt_private.deletions AS t WHERE t.xid = pg_current_xact_id() RETURNING t.room_id, t.seq LOOP
		UPDATE rt.messages AS m SET deleted_at = clock_timestamp()
		WHERE m.room_id = d.room_id AND m.seq = d.seq AND m.deleted_at IS NULL;
	END LOOP;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.messages_after_delete() IS 'takes the texts of what a DELETE has named';

CREATE TRIGGER rt_after_delete AFTER DELETE ON rt.messages FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.messages_after_delete();

CREATE OR REPLACE FUNCTION rt_private.reactions_before_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'a reaction cannot be changed' USING ERRCODE = 'RT400', HINT = 'Delete it and insert another.';
END
$$;

CREATE OR REPLACE FUNCTION rt_private.receipts_missing(room_id bigint, user_id text, kind "char", seqs bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
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

CREATE OR REPLACE VIEW rt.receipts WITH (security_barrier) AS
	SELECT r.room_id, s.seq, r.user_id,
		min(r.at) FILTER (WHERE r.kind = 'd') AS delivered_at,
		min(r.at) FILTER (WHERE r.kind = 's') AS seen_at
	FROM rt_private.receipt_ranges AS r, LATERAL generate_series(r.seq_from, r.seq_to) AS s (seq)
	WHERE (SELECT rt_private.trusted()) OR r.room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
	GROUP BY r.room_id, s.seq, r.user_id;

CREATE FUNCTION rt_private.import_number(room_id bigint) RETURNS bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_import_number';

COMMENT ON FUNCTION rt_private.import_number(bigint) IS 'the next number of a room, which is locked; import_settle() must follow';

CREATE FUNCTION rt_private.import_settle() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_import_settle';

COMMENT ON FUNCTION rt_private.import_settle() IS 'stores the last numbers that import_number() gave';

CREATE FUNCTION rt_private.import_column(source regclass, name text, otherwise text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = source AND a.attnum > 0
			AND NOT a.attisdropped AND a.attname = name)
		THEN format('s.%I', name) ELSE otherwise END
$$;

COMMENT ON FUNCTION rt_private.import_column(regclass, text, text) IS 'how import_messages() reads a column';

CREATE FUNCTION rt_private.import_check(rows text) RETURNS void
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
		RAISE EXCEPTION 'User not found' USING ERRCODE = 'RT404', DETAIL = format('There is no user "%s".', missing);
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

COMMENT ON FUNCTION rt_private.import_check(text) IS 'what triggers and foreign keys would check of imported messages';

CREATE FUNCTION rt_private.import_rows(insertion text, search regclass) RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_import_rows';

COMMENT ON FUNCTION rt_private.import_rows(text, regclass) IS
	'runs an INSERT that returns ctid and what a GIN index holds of each row; that index gets its entries word by word, not row by row';

CREATE FUNCTION rt.import_messages(source regclass, rebuild_indexes boolean DEFAULT false) RETURNS bigint
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
		SELECT r.room_id, rt_private.import_number(r.room_id), r.sender_id,
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
	'superusers: takes all messages of a table over, in each room in the order of created_at and id, and tells nobody; returns their number';

COMMENT ON COLUMN rt.presence.chosen IS 'what the user is when connected: online, until another status is set';

COMMENT ON COLUMN rt_private.gateways.draining_until IS 'when rt.drain() wants it to have ended; its successor may run already';

COMMENT ON COLUMN rt_private.gateways.stats_before IS 'stats as of rt.reset_stats(): views show what has been counted since';

COMMENT ON COLUMN rt_private.connections.latency IS 'with transport and queued_bytes from the gateway''s reports';

CREATE UNLOGGED TABLE rt_private.clock (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	server_start timestamptz NOT NULL,
	ahead double precision NOT NULL
);

COMMENT ON TABLE rt_private.clock IS 'the system''s clock as follow_clock() saw it last; one row';

COMMENT ON COLUMN rt_private.clock.one IS 'keeps it at one row';

COMMENT ON COLUMN rt_private.clock.server_start IS 'of which run of the server; the machine may have been started anew before another';

COMMENT ON COLUMN rt_private.clock.ahead IS 'seconds by which it was ahead of a clock that nobody sets';

CREATE FUNCTION rt_private.clock_offset() RETURNS double precision
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_clock_offset';

COMMENT ON FUNCTION rt_private.clock_offset() IS 'seconds by which the system''s clock is ahead of one that nobody sets';

CREATE FUNCTION rt_private.after_jump(at timestamptz, jump interval) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN abs(extract(epoch FROM at + jump - clock_timestamp())) < abs(extract(epoch FROM at - clock_timestamp()))
		THEN at + jump ELSE at END
$$;

COMMENT ON FUNCTION rt_private.after_jump(timestamptz, interval) IS 'a time of before a jump of the clock, as the clock tells it now';

CREATE FUNCTION rt_private.follow_clock() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	seen rt_private.clock := ROW (true, pg_postmaster_start_time(), rt_private.clock_offset());
	was rt_private.clock;
	jump interval;
BEGIN
	SELECT c.* INTO was FROM rt_private.clock AS c;
	IF was.server_start = seen.server_start AND abs(was.ahead - seen.ahead) < 1 THEN
		RETURN;
	END IF;
	-- one of those who see it does it
	INSERT INTO rt_private.clock AS c VALUES (seen.*)
	ON CONFLICT (one) DO UPDATE SET server_start = excluded.server_start, ahead = excluded.ahead
	WHERE c.server_start <> excluded.server_start OR abs(c.ahead - excluded.ahead) >= 1;
	IF NOT FOUND OR was.server_start IS DISTINCT FROM seen.server_start THEN
		RETURN;
	END IF;
	jump := make_interval(secs => seen.ahead - was.ahead);
	UPDATE rt_private.gateways AS g SET reported_at = rt_private.after_jump(g.reported_at, jump);
	UPDATE rt_private.media_workers AS w SET heartbeat_at = rt_private.after_jump(w.heartbeat_at, jump);
	UPDATE rt_private.sessions AS s SET ended_at = rt_private.after_jump(s.ended_at, jump) WHERE s.ended_at IS NOT NULL;
	UPDATE rt.meeting_participants AS p SET disconnected_at = rt_private.after_jump(p.disconnected_at, jump)
	WHERE p.left_at IS NULL AND p.disconnected_at IS NOT NULL;
END
$$;

COMMENT ON FUNCTION rt_private.follow_clock() IS 'moves deadlines when the system''s clock was set; before each look at them';

CREATE OR REPLACE FUNCTION rt_private.presence_json(p rt.presence) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN pg_catalog.json_build_object('userId', p.user_id, 'userName', rt_private.user_name(p.user_id), 'status', p.status,
		'isOnline', p.status <> 'offline', 'lastSeen', rt_private.iso(p.last_seen), 'statusMessage', p.status_message,
		'timestamp', rt_private.iso(pg_catalog.clock_timestamp()));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.come_online(users text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	WITH asked AS MATERIALIZED (
		SELECT u.id FROM rt.users AS u WHERE u.id = ANY (users) ORDER BY u.id
	)
	INSERT INTO rt.presence AS p (user_id, status, last_seen)
	SELECT a.id, 'online', clock_timestamp() FROM asked AS a
	ON CONFLICT (user_id) DO UPDATE SET status = p.chosen, last_seen = clock_timestamp() WHERE p.status = 'offline';
END
$$;

CREATE OR REPLACE FUNCTION rt_private.go_offline(users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM rt.presence AS p WHERE p.user_id = ANY (users) AND p.status <> 'offline' ORDER BY p.user_id FOR UPDATE;
	UPDATE rt.presence AS p SET status = 'offline', chosen = 'online', last_seen = clock_timestamp()
	WHERE p.user_id = ANY (users) AND p.status <> 'offline'
		AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id);
END
$$;

CREATE FUNCTION rt_private.users_before_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt.presence AS p SET status = 'offline', last_seen = clock_timestamp() WHERE p.user_id = OLD.id AND p.status <> 'offline';
	RETURN OLD;
END
$$;

COMMENT ON FUNCTION rt_private.users_before_delete() IS 'tells the contacts that a user is gone';

CREATE TRIGGER rt_before_delete BEFORE DELETE ON rt.users FOR EACH ROW
	EXECUTE FUNCTION rt_private.users_before_delete();

CREATE FUNCTION rt_private.users_after_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.disconnect(u.id, 'deleted') FROM gone AS u;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.users_after_delete() IS 'ends the connections of users that are gone';

CREATE TRIGGER rt_after_delete AFTER DELETE ON rt.users
	REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rt_private.users_after_delete();

CREATE INDEX meetings_started_by ON rt.meetings (started_by) WHERE started_by IS NOT NULL;

CREATE INDEX meetings_ended_by ON rt.meetings (ended_by) WHERE ended_by IS NOT NULL;

CREATE INDEX meeting_invitees_invited_by ON rt.meeting_invitees (invited_by) WHERE invited_by IS NOT NULL;

CREATE INDEX meeting_bans_banned_by ON rt.meeting_bans (banned_by) WHERE banned_by IS NOT NULL;

CREATE INDEX meeting_participants_removed_by ON rt.meeting_participants (removed_by) WHERE removed_by IS NOT NULL;

CREATE INDEX meeting_recordings_started_by ON rt.meeting_recordings (started_by) WHERE started_by IS NOT NULL;

CREATE INDEX meeting_recordings_stopped_by ON rt.meeting_recordings (stopped_by) WHERE stopped_by IS NOT NULL;

COMMENT ON COLUMN rt_private.media_workers.ice_candidates IS 'iceCandidates of its transports, as clients get them';

COMMENT ON COLUMN rt_private.media_workers.totals IS 'what it did since it started, for the metrics';

COMMENT ON COLUMN rt_private.media_producers.paused_by IS 'the newest request that paused or resumed it; 0: none has';

CREATE INDEX media_requests_handed ON rt_private.media_requests (worker) WHERE fetched AND gateway IS NULL;

COMMENT ON COLUMN rt_private.media_requests.fetched IS 'the worker has it, or it is in the notification';

CREATE OR REPLACE FUNCTION rt_private.router_rtp_capabilities() RETURNS json
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
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

CREATE OR REPLACE FUNCTION rt_private.participants_json(meeting_id bigint) RETURNS json
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN (
		SELECT coalesce(json_agg(rt_private.participant_json(p, d.producers) ORDER BY p.id), '[]')
		FROM rt.meeting_participants AS p
		LEFT JOIN (
			SELECT t.participant_id, json_agg(json_build_object('producerId', t.id, 'kind', t.kind, 'source', t.source,
				'paused', t.paused OR t.muted) ORDER BY t.created_at, t.id) AS producers
			FROM rt_private.media_producers AS t
			WHERE t.meeting_id = participants_json.meeting_id
			GROUP BY t.participant_id) AS d ON d.participant_id = p.id
		WHERE p.meeting_id = participants_json.meeting_id AND p.left_at IS NULL);
END
$$;

CREATE FUNCTION rt_private.meeting_ban(p rt.meeting_participants) RETURNS void
LANGUAGE plpgsql AS $$
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

COMMENT ON FUNCTION rt_private.meeting_ban(rt.meeting_participants) IS 'keeps a user who was removed out of a meeting';

CREATE OR REPLACE FUNCTION rt_private.participants_left() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.participant_gone(NEW, NEW.left_reason);
	IF NEW.left_reason = 'removed' AND NEW.removed_by IS DISTINCT FROM NEW.user_id THEN -- not a device of one's own
		PERFORM rt_private.meeting_ban(NEW);
	END IF;
	RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_updated_json(p rt.meeting_participants) RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
	media json := rt_private.participant_media_json(p);
BEGIN
	RETURN json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
		'video', media -> 'video', 'audio', media -> 'audio', 'screenSharing', media -> 'screenSharing',
		'audioMuted', p.audio_muted, 'videoMuted', p.video_muted);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.participant_check_user(p rt.meeting_participants, action text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
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

CREATE FUNCTION rt_private.media_request_json(r rt_private.media_requests) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN jsonb_build_object('requestId', r.id::text, 'op', r.op, 'reply', r.gateway IS NOT NULL,
		'meetingId', r.meeting_id::text, 'participantId', r.participant_id::text) || r.body;
END
$$;

COMMENT ON FUNCTION rt_private.media_request_json(rt_private.media_requests) IS 'a request, as the worker gets it';

CREATE FUNCTION rt_private.media_send(r rt_private.media_requests) RETURNS bigint
LANGUAGE plpgsql AS $$
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

COMMENT ON FUNCTION rt_private.media_send(rt_private.media_requests) IS 'stores a client''s request and sends it to its worker';

CREATE FUNCTION rt_private.media_totals() RETURNS json
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(json_build_object('slot', w.slot, 'totals', w.totals) ORDER BY w.slot), '[]')
	FROM rt_private.media_workers AS w
	WHERE rt_private.media_alive(w)
$$;

COMMENT ON FUNCTION rt_private.media_totals() IS 'what the living media workers did since they started';

CREATE OR REPLACE FUNCTION rt_private.media_is_seen(op text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
	SELECT op IN ('produce', 'pause-producer', 'resume-producer', 'close-producer')
$$;

COMMENT ON FUNCTION rt_private.media_is_seen(text) IS 'its answer changes what others see of a meeting';

CREATE FUNCTION rt_private.ice_random(bytes integer) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN translate(rt_private.random_text(bytes), '-_', '+/');
END
$$;

COMMENT ON FUNCTION rt_private.ice_random(integer) IS 'that many random bytes, as an ICE user name fragment or password';

CREATE FUNCTION rt_private.media_make_transport(r rt_private.media_requests, w rt_private.media_workers) RETURNS json
LANGUAGE plpgsql AS $$
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

COMMENT ON FUNCTION rt_private.media_make_transport(rt_private.media_requests, rt_private.media_workers)
	IS 'makes a transport, has the worker make it, and returns the client''s acknowledgement';

CREATE OR REPLACE FUNCTION rt_private.media_settle_producer(r rt_private.media_requests) RETURNS json
LANGUAGE plpgsql AS $$
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

CREATE OR REPLACE FUNCTION rt_private.media_settle(r rt_private.media_requests, result json) RETURNS json
LANGUAGE plpgsql AS $$
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

CREATE FUNCTION rt_private.stat_relay(
    OUT pid integer, OUT last_pos bigint, OUT events bigint, OUT batches bigint, OUT largest_batch bigint,
    OUT lag interval, OUT largest_lag interval, OUT ring_bytes bigint, OUT ring_used bigint, OUT ring_high_water bigint,
    OUT published bigint, OUT lost bigint, OUT rescans bigint, OUT rescued bigint, OUT notify_failures bigint,
    OUT stats_reset timestamptz, OUT lag_sum interval, OUT lag_counts bigint[], OUT lag_bounds_us bigint[])
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rt_stat_relay';

COMMENT ON FUNCTION rt_private.stat_relay() IS 'figures of this database''s relay and ring';

CREATE FUNCTION rt_private.reset_relay_stats() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rt_reset_relay_stats';

COMMENT ON FUNCTION rt_private.reset_relay_stats() IS 'counts of rt.stat_relay begin anew';

CREATE VIEW rt.stat_relay AS
    SELECT s.pid, s.last_pos, s.events, s.batches, s.largest_batch, s.lag, s.lag_sum / nullif(t.measured, 0) AS mean_lag,
           s.largest_lag, s.ring_bytes, s.ring_used, s.ring_high_water, s.published, s.lost, s.rescans, s.rescued,
           s.notify_failures, s.stats_reset
    FROM rt_private.stat_relay() s
    CROSS JOIN LATERAL (SELECT sum(n)::float8 AS measured FROM unnest(s.lag_counts) AS n) AS t;

COMMENT ON VIEW rt.stat_relay IS 'how the relay of this database does';

COMMENT ON COLUMN rt.stat_relay.pid IS 'its process; null: it does not run';

COMMENT ON COLUMN rt.stat_relay.last_pos IS 'position of the last event in rt.events';

COMMENT ON COLUMN rt.stat_relay.events IS 'events that it has notified';

COMMENT ON COLUMN rt.stat_relay.batches IS 'transactions that it took for them';

COMMENT ON COLUMN rt.stat_relay.largest_batch IS 'most events in one transaction';

COMMENT ON COLUMN rt.stat_relay.lag IS 'age of the oldest event of the last batch when it was notified';

COMMENT ON COLUMN rt.stat_relay.mean_lag IS 'mean of that over all batches; null: there was none';

COMMENT ON COLUMN rt.stat_relay.largest_lag IS 'highest of that';

COMMENT ON COLUMN rt.stat_relay.ring_bytes IS 'size of the ring, rt.ring_size';

COMMENT ON COLUMN rt.stat_relay.ring_used IS 'bytes that wait in the ring';

COMMENT ON COLUMN rt.stat_relay.ring_high_water IS 'most bytes that have waited';

COMMENT ON COLUMN rt.stat_relay.published IS 'transactions that have left events in the ring';

COMMENT ON COLUMN rt.stat_relay.lost IS 'transactions that found the ring full; their messages were found in the tables';

COMMENT ON COLUMN rt.stat_relay.rescans IS 'searches of the tables for messages that had not been logged';

COMMENT ON COLUMN rt.stat_relay.rescued IS 'events that these have found';

COMMENT ON COLUMN rt.stat_relay.notify_failures IS 'batches that were logged without notifications, their queue being full';

COMMENT ON COLUMN rt.stat_relay.stats_reset IS 'since when all this is counted: rt.reset_stats() or the server''s start';

REVOKE ALL ON FUNCTION rt_private.emit(text, json, json, boolean, bigint, bigint),
    rt_private.change_payload(rt.messages),
    rt_private.event_text(bigint, text, text, bigint, text), rt_private.event_text(rt.events),
    rt_private.stat_relay(), rt_private.reset_relay_stats(), rt_api.events_since(text, jsonb) FROM PUBLIC;

REVOKE ALL ON rt.events, rt_private.relay_state, rt.stat_relay FROM PUBLIC;

GRANT EXECUTE ON FUNCTION rt_api.events_since(text, jsonb) TO rt_gateway;

GRANT EXECUTE ON FUNCTION rt_private.stat_relay() TO pg_monitor;

GRANT SELECT ON rt.stat_relay TO pg_monitor;

CREATE OR REPLACE FUNCTION rt_private.connect_one(r jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	u rt.users;
	s rt_private.sessions;
	recovered boolean;
BEGIN
	-- Locked: of a user that is deleted meanwhile, presence would refuse the whole batch.
	SELECT t.* INTO u FROM rt.users AS t WHERE t.id = r ->> 'user' FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN jsonb_build_object('ok', false, 'code', 'unauthorized', 'message', 'User not found');
	END IF;
	s := rt_private.session_find(r ->> 'pid', u.id, r ->> 'offset');
	recovered := s.pid IS NOT NULL;
	IF recovered THEN
		UPDATE rt_private.sessions AS t SET ended_at = NULL, joined = s.joined WHERE t.pid = s.pid;
	ELSE
		s.pid := rt_private.random_text(15);
		s.sid := r ->> 'sid';
		INSERT INTO rt_private.sessions (pid, sid, user_id) VALUES (s.pid, s.sid, u.id);
	END IF;
	INSERT INTO rt_private.connections AS c (sid, user_id, gateway, serial, peer, transport)
	VALUES (s.sid, u.id, r ->> 'gateway', coalesce((r ->> 'serial')::bigint, 0), r ->> 'peer', r ->> 'transport')
	ON CONFLICT (sid) DO UPDATE SET gateway = excluded.gateway, serial = excluded.serial, peer = excluded.peer, transport = excluded.transport,
		connected_at = excluded.connected_at, queued_bytes = 0, latency = NULL;
	RETURN jsonb_build_object('ok', true, 'sid', s.sid, 'pid', s.pid, 'recovered', recovered,
		'joined', coalesce((SELECT jsonb_agg(j::text) FROM unnest(s.joined) AS j), '[]'),
		'meetings', CASE WHEN recovered THEN (SELECT jsonb_agg(p.meeting_id::text)
			FROM rt.meeting_participants AS p WHERE p.socket_id = s.sid AND p.left_at IS NULL) END,
		'user', rt_private.user_json(u)::jsonb,
		'rooms', coalesce((SELECT jsonb_agg(jsonb_build_object('id', m.room_id::text, 'lastSeq', room.last_seq))
			FROM rt.room_members AS m JOIN rt.rooms AS room ON room.id = m.room_id WHERE m.user_id = u.id), '[]'));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.take_over(requests jsonb) RETURNS void
LANGUAGE plpgsql AS $$
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

CREATE FUNCTION rt_private.tell_roaming(users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF (SELECT count(*) FROM rt_private.gateways) < 2 THEN
		RETURN;
	END IF;
	PERFORM rt_private.emit('rt:roaming', '{"gateway":true}', json_build_object('gateways', r.gateways, 'userIds', json_agg(r.user_id)))
	FROM (SELECT c.user_id, array_agg(DISTINCT c.gateway) AS gateways FROM rt_private.connections AS c
		WHERE c.user_id = ANY (users) GROUP BY c.user_id) AS r
	WHERE cardinality(r.gateways) > 1
	GROUP BY r.gateways;
END
$$;

COMMENT ON FUNCTION rt_private.tell_roaming(text[]) IS 'names the users that several gateways have to these';

CREATE FUNCTION rt_private.gateways_gone(names text[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.emit('rt:gateway-gone', '{"gateway":true}', json_build_object('gateway', g.name)) FROM unnest(names) AS g (name)
$$;

COMMENT ON FUNCTION rt_private.gateways_gone(text[]) IS 'tells the gateways that others are no more';

CREATE FUNCTION rt_api.roaming(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.emit('rt:joined', '{"gateway":true}', json_build_object('gateway', req ->> 'gateway', 'userId', j ->> 'userId',
		'n', (j ->> 'n')::bigint, 'rooms', j -> 'rooms')) FROM jsonb_array_elements(rt_private.req_array(req, 'joined', 1000)) AS j;
	PERFORM rt_private.tell_roaming(ARRAY(SELECT jsonb_array_elements_text(rt_private.req_array(req, 'ask', 1000000))));
	RETURN '{}';
END
$$;

COMMENT ON FUNCTION rt_api.roaming(text, jsonb) IS 'what users have joined at a gateway, for others that have these users too; or who is to be told of anew';

CREATE OR REPLACE FUNCTION rt_api.connect(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	requests jsonb := rt_private.req_array(req, 'requests', 1000);
	users text[] := ARRAY(SELECT DISTINCT r ->> 'user' FROM jsonb_array_elements(requests) AS r);
	results json;
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.take_over(requests);
	SELECT coalesce(json_agg(rt_private.connect_one(r.value) ORDER BY r.n), '[]') INTO results
	FROM jsonb_array_elements(requests) WITH ORDINALITY AS r (value, n);
	PERFORM rt_private.come_online(users);
	-- After it, since it waits for another gateway that is letting one of them in.
	PERFORM rt_private.tell_roaming(users);
	RETURN json_build_object('results', results);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.sweep_gateways() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
	swept_at timestamptz := clock_timestamp();
	users text[];
	dead text[];
BEGIN
	WITH gone AS (DELETE FROM rt_private.gateways AS g WHERE g.reported_at < swept_at - interval '10 s' RETURNING g.name)
	SELECT array_agg(gone.name) INTO dead FROM gone;
	PERFORM rt_private.gateways_gone(dead);
	DELETE FROM rt_private.connections AS c
	WHERE NOT EXISTS (SELECT FROM rt_private.gateways AS g WHERE g.name = c.gateway)
		AND c.connected_at < swept_at - interval '10 s';
	UPDATE rt_private.sessions AS s SET ended_at = swept_at
	WHERE s.ended_at IS NULL AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.sid = s.sid);
	DELETE FROM rt_private.sessions AS s
	WHERE s.ended_at < swept_at - pg_catalog.current_setting('rt.recovery_window')::interval;
	SELECT array_agg(p.user_id) INTO users FROM rt.presence AS p
	WHERE p.status <> 'offline' AND p.last_seen < swept_at - interval '5 s'
		AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id)
		AND NOT EXISTS (SELECT FROM rt_private.sessions AS s
			WHERE s.user_id = p.user_id AND s.ended_at > swept_at - interval '5 s');
	IF users IS NOT NULL THEN
		PERFORM rt_private.go_offline(users);
	END IF;
END
$$;

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
	PERFORM rt_private.gateways_gone(dead);
	DELETE FROM rt_private.connections AS c WHERE c.gateway = ANY (dead);
	INSERT INTO rt_private.gateways AS g (name, host, slot, pid, port)
	VALUES (gateway, req ->> 'host', (req ->> 'slot')::integer, (req ->> 'pid')::integer, (req ->> 'port')::integer)
	ON CONFLICT (name) DO UPDATE SET reported_at = clock_timestamp();
	RETURN '{}';
END
$$;

CREATE FUNCTION rt_private.note_connections(gateway text, reports jsonb) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	UPDATE rt_private.connections AS c
	SET transport = r.transport, queued_bytes = r."queuedBytes", latency = r."latencyUs" * interval '1 microsecond'
	FROM jsonb_to_recordset(reports) AS r (sid text, serial bigint, transport text, "queuedBytes" bigint, "latencyUs" bigint)
	WHERE c.sid = r.sid AND c.serial = r.serial AND c.gateway = note_connections.gateway
$$;

COMMENT ON FUNCTION rt_private.note_connections(text, jsonb) IS 'what a gateway reports of its sockets, for rt.stat_connections';

CREATE FUNCTION rt_private.relay_figures() RETURNS json
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('up', (r.pid IS NOT NULL)::integer, 'position', r.last_pos, 'events', r.events, 'batches', r.batches,
		'published', r.published, 'lost', r.lost, 'rescans', r.rescans, 'rescued', r.rescued, 'notifyFailures', r.notify_failures,
		'ringBytes', r.ring_bytes, 'ringUsed', r.ring_used, 'ringHighWater', r.ring_high_water,
		'lagSumUs', (extract(epoch FROM r.lag_sum) * 1000000)::bigint, 'lagCounts', r.lag_counts, 'lagBoundsUs', r.lag_bounds_us)
	FROM rt_private.stat_relay() AS r
$$;

COMMENT ON FUNCTION rt_private.relay_figures() IS 'what rt.stat_relay shows, for metrics';

CREATE OR REPLACE FUNCTION rt_api.gateway_report(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.follow_clock();
	UPDATE rt_private.gateways AS g
	SET reported_at = clock_timestamp(), stats = coalesce(req -> 'stats', '{}'), rooms = coalesce(req -> 'rooms', '[]')
	WHERE g.name = rt_private.req_text(req, 'gateway');
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Gateway not found' USING ERRCODE = 'RT404';
	END IF;
	IF req ? 'connections' THEN
		PERFORM rt_private.note_connections(req ->> 'gateway', rt_private.req_array(req, 'connections', 10000));
	END IF;
	-- One of them clears up.  A row that nobody else may lock tells which: an advisory lock any role could take, and keep.
	PERFORM FROM rt_private.clock AS c FOR UPDATE SKIP LOCKED;
	IF FOUND THEN
		PERFORM rt_private.sweep_gateways();
	END IF;
	RETURN json_build_object('relay', rt_private.relay_figures(), 'media', rt_private.media_totals(),
		'delayUs', (SELECT greatest(((req ->> 'seenAtUs')::bigint - extract(epoch FROM e.at) * 1000000)::bigint, 0)
			FROM rt.events AS e WHERE e.pos = (req ->> 'seenPos')::bigint));
END
$$;

CREATE OR REPLACE FUNCTION rt_api.gateway_stop(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	UPDATE rt_private.sessions AS s SET ended_at = clock_timestamp() FROM rt_private.connections AS c
	WHERE c.gateway = req ->> 'gateway' AND s.sid = c.sid;
	DELETE FROM rt_private.connections AS c WHERE c.gateway = req ->> 'gateway';
	DELETE FROM rt_private.gateways AS g WHERE g.name = req ->> 'gateway';
	PERFORM rt_private.gateways_gone(ARRAY[req ->> 'gateway']);
	RETURN '{}';
END
$$;

CREATE OR REPLACE FUNCTION rt_private.token_json(u rt.users) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ttl interval := current_setting('rt.token_ttl')::interval;
BEGIN
	RETURN json_build_object('status', 200, 'token', rt_private.make_token(u.id, ttl),
		'expiresAt', rt_private.iso(clock_timestamp() + ttl), 'user', rt_private.user_json(u));
END
$$;

CREATE OR REPLACE FUNCTION rt_api.auth(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	given_name text := rt_private.req_text(req, 'username');
	password text := rt_private.req_text(req, 'password');
	u rt.users;
BEGIN
	SELECT t.* INTO u FROM rt.users AS t WHERE lower(t.username) = lower(given_name);
	IF NOT rt_private.password_matches(password, u.password_hash) THEN
		PERFORM rt_private.audit_login('login-failed', u.id, req ->> 'address', req ->> 'gateway');
		RETURN '{"status": 401, "error": {"code": "unauthorized", "message": "Wrong username or password"}}';
	END IF;
	PERFORM rt_private.audit_login('login', u.id, req ->> 'address', req ->> 'gateway');
	RETURN rt_private.token_json(u);
END
$$;

CREATE FUNCTION rt_private.check_user(actor text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = actor) THEN
		RAISE EXCEPTION 'User not found' USING ERRCODE = 'RT401';
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.check_user(text) IS 'refuses a user that is no more';

CREATE OR REPLACE FUNCTION rt_api.users_search(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	prefix text := lower(coalesce(rt_private.req_text_opt(req, 'q'), ''));
	most integer := rt_private.req_limit(req, 50, 200);
	found_users json;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT coalesce(json_agg(rt_private.user_json(u)::jsonb || jsonb_build_object('status', coalesce(p.status, 'offline'))
		ORDER BY lower(u.username)), '[]') INTO found_users
	FROM (SELECT t.* FROM rt.users AS t
		WHERE prefix = '' OR starts_with(lower(t.username), prefix) OR strpos(lower(t.name), prefix) > 0
		ORDER BY lower(t.username) LIMIT most) AS u
	LEFT JOIN rt.presence AS p ON p.user_id = u.id;
	RETURN json_build_object('status', 200, 'data', found_users, 'count', json_array_length(found_users));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.unread_count(m rt.room_members) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT count(*) FROM (SELECT FROM rt.messages AS t
		WHERE t.room_id = m.room_id AND t.seq > m.last_read_seq AND t.sender_id IS DISTINCT FROM m.user_id
			AND t.deleted_at IS NULL
		LIMIT 1000) AS few);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.room_json(r rt.rooms, m rt.room_members) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN jsonb_build_object('id', r.id::text, 'roomId', r.id::text, 'name', r.name, 'kind', r.kind, 'role', m.role,
		'createdBy', r.created_by,
		'memberCount', (SELECT count(*) FROM rt.room_members AS t WHERE t.room_id = r.id),
		'lastSeq', r.last_seq,
		'lastMessage', (SELECT rt_private.message_json(t) FROM rt.messages AS t
			WHERE t.room_id = r.id ORDER BY t.seq DESC LIMIT 1),
		'unreadCount', rt_private.unread_count(m), 'lastReadSeq', m.last_read_seq, 'createdAt', rt_private.iso(r.created_at),
		'peer', CASE WHEN r.kind = 'direct' THEN (SELECT rt_private.user_json(u) FROM rt.room_members AS o
			JOIN rt.users AS u ON u.id = o.user_id WHERE o.room_id = r.id AND o.user_id <> m.user_id LIMIT 1) END);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.room_json_for(r rt.rooms, actor text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	-- read anew: the last message is looked for after what gave us r
	SELECT rt_private.room_json(t, m) FROM rt.room_members AS m JOIN rt.rooms AS t ON t.id = m.room_id
	WHERE m.room_id = r.id AND m.user_id = actor
$$;

CREATE OR REPLACE FUNCTION rt_api.rooms_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	rooms json;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT coalesce(json_agg(rt_private.room_json(r, m) ORDER BY r.id), '[]') INTO rooms
	FROM rt.room_members AS m JOIN rt.rooms AS r ON r.id = m.room_id WHERE m.user_id = actor;
	RETURN json_build_object('status', 200, 'data', rooms, 'count', json_array_length(rooms));
END
$$;

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
		'data', rt_private.room_json_for(made.room, actor));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.members_json(room_id bigint, users text[] DEFAULT NULL) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(json_build_object('userId', u.id, 'id', u.id, 'username', u.username, 'userName', u.name,
		'name', u.name, 'role', m.role, 'joinedAt', rt_private.iso(m.joined_at), 'lastReadSeq', m.last_read_seq,
		'status', coalesce(p.status, 'offline'), 'statusMessage', p.status_message,
		'lastSeen', rt_private.iso(p.last_seen)) ORDER BY m.joined_at, u.id), '[]')
	FROM rt.room_members AS m JOIN rt.users AS u ON u.id = m.user_id LEFT JOIN rt.presence AS p ON p.user_id = u.id
	WHERE m.room_id = members_json.room_id AND (users IS NULL OR u.id = ANY (users))
$$;

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
		'error', failed -> 0 -> 'error', 'snapshot', seen::text));
END
$$;

CREATE OR REPLACE FUNCTION rt_api.message_edit(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
	new_content text := rt_private.req_text_opt(req, 'content');
	new_metadata jsonb := CASE WHEN coalesce(jsonb_typeof(req -> 'metadata'), 'null') <> 'null'
		THEN rt_private.req_object(req, 'metadata') END;
BEGIN
	IF m.sender_id IS DISTINCT FROM actor THEN
		RAISE EXCEPTION 'Only the sender may edit a message' USING ERRCODE = 'RT403';
	END IF;
	IF m.deleted_at IS NOT NULL THEN
		RAISE EXCEPTION 'Message was deleted' USING ERRCODE = 'RT410';
	END IF;
	IF new_content IS NULL AND NOT req ? 'metadata' THEN
		RAISE EXCEPTION 'content is missing' USING ERRCODE = 'RT400';
	END IF;
	UPDATE rt.messages AS t SET content = coalesce(new_content, t.content), metadata = coalesce(new_metadata, t.metadata)
	WHERE t.room_id = m.room_id AND t.seq = m.seq RETURNING t.* INTO m;
	RETURN json_build_object('status', 200, 'data', rt_private.message_json(m));
END
$$;

CREATE FUNCTION rt_private.page_after(room_id bigint, after bigint, before bigint, most integer, bytes bigint,
	OUT page json, OUT has_more boolean, OUT size bigint, OUT last_seq bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT coalesce(json_agg(rt_private.message_json(t.m) ORDER BY t.n) FILTER (WHERE t.fits), '[]'),
		count(*) > count(*) FILTER (WHERE t.fits), coalesce(max(t.upto) FILTER (WHERE t.fits), 0),
		(SELECT r.last_seq FROM rt.rooms AS r WHERE r.id = page_after.room_id)
	INTO page, has_more, size, last_seq
	FROM (SELECT s.m, s.n, s.upto, s.n <= most AND bytes > 0 AND (s.n = 1 OR s.upto <= bytes) AS fits
		FROM (SELECT m, row_number() OVER w AS n,
				sum(octet_length(m.content) + coalesce(octet_length(m.metadata::text), 0) + 300) OVER w AS upto
			FROM rt.messages AS m
			WHERE m.room_id = page_after.room_id AND m.seq > after AND m.seq < coalesce(before, 9223372036854775807)
			WINDOW w AS (ORDER BY m.seq)
			ORDER BY m.seq LIMIT CASE WHEN bytes > 0 THEN most + 1 ELSE 1 END) AS s) AS t;
END
$$;

COMMENT ON FUNCTION rt_private.page_after(bigint, bigint, bigint, integer, bigint) IS 'messages of a room from a number on';

CREATE FUNCTION rt_private.page_before(room_id bigint, before bigint, most integer,
	OUT page json, OUT has_more boolean, OUT last_seq bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT coalesce(json_agg(rt_private.message_json(t.m) ORDER BY t.n DESC) FILTER (WHERE t.n <= most), '[]'), count(*) > most,
		(SELECT r.last_seq FROM rt.rooms AS r WHERE r.id = page_before.room_id)
	INTO page, has_more, last_seq
	FROM (SELECT m, row_number() OVER (ORDER BY m.seq DESC) AS n FROM rt.messages AS m
		WHERE m.room_id = page_before.room_id AND m.seq < coalesce(before, 9223372036854775807)
		ORDER BY m.seq DESC LIMIT most + 1) AS t;
END
$$;

COMMENT ON FUNCTION rt_private.page_before(bigint, bigint, integer) IS 'the newest messages of a room below a number, rising';

CREATE OR REPLACE FUNCTION rt_api.message_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	after bigint := rt_private.req_seq(req, 'afterSeq');
	before bigint := rt_private.req_seq(req, 'beforeSeq');
	most integer := rt_private.req_limit(req, 50, 200);
	found_page record;
BEGIN
	IF after IS NULL THEN
		SELECT * INTO found_page FROM rt_private.page_before(r.id, before, most);
	ELSE
		SELECT * INTO found_page FROM rt_private.page_after(r.id, after, before, most, 16777216);
	END IF;
	RETURN json_build_object('status', 200, 'data', found_page.page, 'hasMore', found_page.has_more,
		'count', json_array_length(found_page.page), 'lastSeq', found_page.last_seq,
		'reactions', rt_private.page_reactions(r.id, found_page.page));
END
$$;

CREATE OR REPLACE FUNCTION rt_api.sync_rooms(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most integer := rt_private.req_limit(req, 200, 1000);
	-- An answer must fit into what a gateway keeps for one socket; what does not is asked for again.
	bytes_left bigint := 800000;
	asked jsonb := rt_private.req_array(req, 'rooms', 1000);
	answer json := '[]';
	one jsonb;
	after bigint;
	parts json[] := '{}';
	r rt.rooms;
	found_page record;
BEGIN
	FOR one IN SELECT jsonb_array_elements(asked) LOOP
		IF jsonb_typeof(one) <> 'object' THEN
			RAISE EXCEPTION 'rooms must be an array of objects' USING ERRCODE = 'RT400';
		END IF;
		after := rt_private.req_seq(one, 'afterSeq');
		IF after IS NULL THEN
			RAISE EXCEPTION 'afterSeq is missing' USING ERRCODE = 'RT400';
		END IF;
		r := rt_private.api_room(actor, one);
		SELECT * INTO found_page FROM rt_private.page_after(r.id, after, NULL, most, bytes_left);
		bytes_left := bytes_left - found_page.size;
		parts := parts || json_build_object('roomId', r.id::text, 'messages', found_page.page, 'lastSeq', found_page.last_seq,
			'hasMore', found_page.has_more);
	END LOOP;
	IF cardinality(parts) > 0 THEN
		answer := array_to_json(parts);
	END IF;
	RETURN json_build_object('rooms', answer);
END
$$;

CREATE FUNCTION rt_private.search_newest(rooms bigint[], words tsquery, most integer) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most_messages CONSTANT integer := 4000;
	most_bytes CONSTANT integer := 2000000;
	nrooms integer := greatest(cardinality(rooms), 1);
	a_room integer := most_messages / nrooms;
	hits json;
	found_hits bigint;
	is_all boolean;
BEGIN
	IF a_room < 10 THEN
		RETURN NULL;
	END IF;
	WITH page AS (
		SELECT m.*, row_number() OVER w = a_room OR sum(octet_length((m.m).content)) OVER w > most_bytes / nrooms AS is_last
		FROM unnest(rooms) AS r (id)
		CROSS JOIN LATERAL (SELECT m FROM rt.messages AS m WHERE m.room_id = r.id ORDER BY m.seq DESC LIMIT a_room) AS m
		WINDOW w AS (PARTITION BY r.id ORDER BY (m.m).seq DESC)
	), unseen AS (
		SELECT max((p.m).created_at) AS newest FROM page AS p WHERE p.is_last
	), newest AS (
		SELECT p.m FROM page AS p, unseen AS u
		WHERE NOT p.is_last AND (u.newest IS NULL OR (p.m).created_at > u.newest)
			AND (p.m).deleted_at IS NULL AND to_tsvector('simple', (p.m).content) @@ words
		ORDER BY (p.m).created_at DESC, (p.m).room_id, (p.m).seq DESC LIMIT most
	)
	SELECT count(n.m), coalesce(json_agg(rt_private.message_json(n.m) ORDER BY (n.m).created_at DESC, (n.m).room_id, (n.m).seq DESC), '[]'),
		(SELECT u.newest IS NULL FROM unseen AS u)
	INTO found_hits, hits, is_all FROM newest AS n;
	RETURN CASE WHEN is_all OR found_hits = most THEN hits END;
END
$$;

COMMENT ON FUNCTION rt_private.search_newest(bigint[], tsquery, integer) IS
	'the newest messages with some words, or null where that cannot be told from the last few thousand';

CREATE OR REPLACE FUNCTION rt_api.search(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	words tsquery := websearch_to_tsquery('simple', rt_private.req_text(req, 'q'));
	most integer := rt_private.req_limit(req, 50, 200);
	room bigint := rt_private.req_id_opt(req, 'roomId');
	rooms bigint[];
	hits json;
BEGIN
	PERFORM rt_private.check_user(actor);
	IF room IS NOT NULL THEN
		PERFORM rt_private.api_room(actor, req);
	END IF;
	rooms := ARRAY(SELECT mine.room_id FROM rt.room_members AS mine
		WHERE mine.user_id = actor AND (room IS NULL OR mine.room_id = room));
	hits := rt_private.search_newest(rooms, words, most);
	IF hits IS NULL THEN
		SELECT coalesce(json_agg(rt_private.message_json(t.m) ORDER BY (t.m).created_at DESC, (t.m).room_id, (t.m).seq DESC), '[]') INTO hits
		FROM (SELECT m FROM rt.messages AS m
			WHERE to_tsvector('simple', m.content) @@ words AND m.deleted_at IS NULL AND m.room_id = ANY (rooms)
			ORDER BY m.created_at DESC, m.room_id, m.seq DESC LIMIT most) AS t;
	END IF;
	RETURN json_build_object('status', 200, 'data', hits, 'count', json_array_length(hits));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.meeting_check_access(m rt.meetings, actor text, password text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	is_host boolean := coalesce(m.host_id = actor, false);
BEGIN
	PERFORM rt_private.check_user(actor);
	IF NOT coalesce(rt_private.meeting_may_join(m, actor), false) THEN
		RAISE EXCEPTION 'Access denied' USING ERRCODE = 'RT403';
	ELSIF m.locked AND NOT is_host THEN
		RAISE EXCEPTION 'Meeting is locked' USING ERRCODE = 'RT403';
	ELSIF m.password_hash IS NOT NULL AND NOT is_host
		AND NOT rt_private.password_matches(password, m.password_hash)
	THEN
		RAISE EXCEPTION 'Wrong password' USING ERRCODE = 'RT4WP';
	END IF;
END
$$;

CREATE OR REPLACE FUNCTION rt_api.meeting_join(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
	p rt.meeting_participants;
	router rt_private.media_routers;
	sid text := rt_private.req_text(req, 'sid');
	password text := rt_private.req_password(req);
	checked text;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	m := rt_private.meeting_find_open(rt_private.req_id(req, 'meetingId'));
	p := rt_private.meeting_kept_place(m.id, actor, sid);
	IF p.id IS NULL THEN
		PERFORM rt_private.meeting_check_access(m, actor, password);
		checked := m.password_hash;
	END IF;
	m := rt_private.meeting_lock_open(m.id);
	p := rt_private.meeting_kept_place(m.id, actor, sid);
	IF p.id IS NULL THEN
		IF m.password_hash IS NOT DISTINCT FROM checked THEN
			m.password_hash := NULL;
		END IF;
		PERFORM rt_private.meeting_check_access(m, actor, password);
	END IF;
	UPDATE rt.meetings AS t SET status = 'live' WHERE t.id = m.id AND t.status = 'scheduled';
	IF NOT FOUND THEN
		PERFORM rt_private.soft_commit();
	END IF;
	p := rt_private.meeting_take_place(m, actor, req);
	router := rt_private.media_place(m.id);
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = m.id;
	RETURN json_build_object('meeting', rt_private.meeting_json(m), 'participantId', p.id::text,
		'participants', rt_private.participants_json(m.id), 'webrtcConfig', rt_private.webrtc_config(router.id));
END
$$;

CREATE OR REPLACE FUNCTION rt_api.meeting_disconnected(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sid text := rt_private.req_text(req, 'sid');
	from_gateway text := rt_private.req_text(req, 'gateway');
	places rt.meeting_participants[];
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	WITH dropped AS (
		UPDATE rt.meeting_participants AS p
		SET disconnected_at = clock_timestamp()
		WHERE p.socket_id = sid AND p.gateway = from_gateway
			AND p.left_at IS NULL AND p.disconnected_at IS NULL
		RETURNING p)
	SELECT array_agg(d.p) INTO places FROM dropped AS d;
	RETURN rt_private.places_json(places);
END
$$;

CREATE OR REPLACE FUNCTION rt_api.meeting_sweep(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	gone bigint;
	lost integer;
BEGIN
	PERFORM rt_private.meeting_act(NULL, '{}');
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.follow_clock();
	lost := rt_private.media_sweep();
	PERFORM rt_private.meeting_drop_dead_gateways();
	gone := rt_private.meeting_end_places();
	RETURN json_build_object('left', gone, 'workersLost', lost);
END
$$;

CREATE OR REPLACE FUNCTION rt_api.media_request(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	r rt_private.media_requests;
	w rt_private.media_workers;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	PERFORM rt_private.soft_commit();
	r := rt_private.media_ask(actor, req);
	r.gateway := rt_private.req_text(req, 'gateway');
	r.socket_id := req ->> 'sid';
	r.tag := left(req ->> 'tag', 64);
	PERFORM rt_private.media_check_room(
		(SELECT count(*) FROM rt_private.media_requests AS q WHERE q.participant_id = r.participant_id), 64,
		'requests under way');
	SELECT t.* INTO w FROM rt_private.media_workers AS t WHERE t.id = r.worker AND rt_private.media_alive(t);
	IF NOT FOUND THEN
		PERFORM rt_private.media_unavailable();
	ELSIF r.op = 'create-transport' THEN
		RETURN json_build_object('ack', rt_private.media_make_transport(r, w), 'event', rt_private.media_event_of(r.op));
	END IF;
	RETURN json_build_object('pending', rt_private.media_send(r)::text, 'event', rt_private.media_event_of(r.op));
END
$$;

CREATE OR REPLACE FUNCTION rt_api.media_start(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	former text;
BEGIN
	PERFORM rt_private.soft_commit();
	DELETE FROM rt_private.media_workers AS w WHERE w.slot = rt_private.req_text(req, 'slot') RETURNING w.id INTO former;
	INSERT INTO rt_private.media_workers (id, slot, addresses, udp_port, tcp_port, capacity, fingerprint, can_record, ice_candidates)
	VALUES (rt_private.req_text(req, 'worker'), req ->> 'slot',
		ARRAY(SELECT jsonb_array_elements_text(req -> 'addresses')), (req ->> 'udpPort')::integer,
		(req ->> 'tcpPort')::integer, (req ->> 'capacity')::integer, req -> 'fingerprint',
		coalesce((req ->> 'canRecord')::boolean, false), coalesce(req -> 'iceCandidates', '[]'));
	IF former IS NOT NULL THEN
		PERFORM rt_private.media_abandon(former, 'worker-restarted');
	END IF;
	RETURN json_build_object('heartbeatMs', 1000, 'relay', (SELECT s.pid FROM rt_private.stat_relay() AS s));
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_store_stats(stats jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	UPDATE rt_private.media_transports AS o
	SET stats = f.stats
	FROM (
		SELECT t.id, s - 'type' - 'id' AS stats
		FROM jsonb_array_elements(media_store_stats.stats) AS s
		JOIN rt_private.media_transports AS t ON t.id = s ->> 'id'
		WHERE s ->> 'type' = 'transport'
		FOR NO KEY UPDATE OF t SKIP LOCKED) AS f
	WHERE o.id = f.id;
	UPDATE rt_private.media_producers AS o
	SET stats = f.stats
	FROM (
		SELECT t.id, s - 'type' - 'id' AS stats
		FROM jsonb_array_elements(media_store_stats.stats) AS s
		JOIN rt_private.media_producers AS t ON t.id = s ->> 'id'
		WHERE s ->> 'type' = 'producer'
		FOR NO KEY UPDATE OF t SKIP LOCKED) AS f
	WHERE o.id = f.id;
	UPDATE rt_private.media_consumers AS o
	SET stats = f.stats
	FROM (
		SELECT t.id, s - 'type' - 'id' AS stats
		FROM jsonb_array_elements(media_store_stats.stats) AS s
		JOIN rt_private.media_consumers AS t ON t.id = s ->> 'id'
		WHERE s ->> 'type' = 'consumer'
		FOR NO KEY UPDATE OF t SKIP LOCKED) AS f
	WHERE o.id = f.id;
END
$$;

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
	RETURN json_build_object('known', known, 'relay', (SELECT s.pid FROM rt_private.stat_relay() AS s));
END
$$;

CREATE OR REPLACE FUNCTION rt_api.media_fetch(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	again boolean := coalesce((req ->> 'again')::boolean, false);
	asker text := rt_private.req_text(req, 'worker');
	waiting bigint[];
	requests json;
BEGIN
	PERFORM rt_private.soft_commit();
	IF again THEN
		waiting := ARRAY(
			SELECT r.id FROM rt_private.media_requests AS r
			WHERE r.worker = asker AND r.answer IS NULL
			ORDER BY r.id LIMIT 200);
	ELSE -- by the index of those that are not fetched
		DELETE FROM rt_private.media_requests AS r WHERE r.worker = asker AND r.fetched AND r.gateway IS NULL;
		waiting := ARRAY(
			SELECT r.id FROM rt_private.media_requests AS r
			WHERE r.worker = asker AND NOT r.fetched AND r.answer IS NULL
			ORDER BY r.id LIMIT 200);
	END IF;
	SELECT coalesce(json_agg(rt_private.media_request_json(r) ORDER BY r.id), '[]') INTO requests
	FROM rt_private.media_requests AS r
	WHERE r.id = ANY (waiting);
	UPDATE rt_private.media_requests AS r SET fetched = true WHERE r.id = ANY (waiting) AND NOT r.fetched;
	RETURN json_build_object('requests', requests);
END
$$;

CREATE OR REPLACE FUNCTION rt_private.media_answer_one(worker text, answer json) RETURNS boolean
LANGUAGE plpgsql AS $$
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

CREATE OR REPLACE FUNCTION rt_private.media_event_one(worker text, e jsonb) RETURNS void
LANGUAGE plpgsql AS $$
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

CREATE OR REPLACE FUNCTION rt_private.meeting_visible(actor text, req jsonb) RETURNS rt.meetings
LANGUAGE plpgsql STABLE AS $$
DECLARE
	m rt.meetings := rt_private.meeting_find(req);
BEGIN
	PERFORM rt_private.check_user(actor);
	IF NOT rt_private.meeting_may_see(m, actor) THEN
		RAISE EXCEPTION 'Access denied' USING ERRCODE = 'RT403';
	END IF;
	RETURN m;
END
$$;

CREATE OR REPLACE FUNCTION rt_private.req_timestamp(req jsonb, key text) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
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

CREATE OR REPLACE FUNCTION rt_private.req_users(req jsonb, key text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
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

CREATE OR REPLACE FUNCTION rt_api.meetings_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	page integer := rt_private.req_limit(req, 100, 200);
	before bigint := rt_private.req_id_opt(req, 'before');
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
		'count', coalesce(cardinality(rows[1:page]), 0), 'hasMore', coalesce(cardinality(rows) > page, false));
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
			THEN rt_private.req_choice(req, 'access', ARRAY['invited', 'room', 'anyone']) END);
	RETURN rt_private.meeting_answer(meeting, 201);
END
$$;

CREATE FUNCTION rt_private.milliseconds(i interval) RETURNS numeric
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT round((extract(epoch FROM i) * 1000)::numeric, 1)
$$;

COMMENT ON FUNCTION rt_private.milliseconds(interval) IS 'an interval in milliseconds';

CREATE OR REPLACE FUNCTION rt_api.admin_stats(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_admin(actor);
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
	PERFORM rt_private.check_admin(actor);
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = target) THEN
		RAISE EXCEPTION 'User not found' USING ERRCODE = 'RT404';
	END IF;
	PERFORM rt_private.act_as(actor);
	PERFORM rt.disconnect_user(target, 'disconnected by an administrator');
	RETURN json_build_object('status', 200, 'data', json_build_object('userId', target));
END
$$;

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

CREATE UNIQUE INDEX audit_logins ON rt.audit (date_trunc('minute', at AT TIME ZONE 'UTC'), action, coalesce(user_id, ''),
	coalesce(address, '')) WHERE action IN ('login', 'login-failed');

ALTER TABLE rt.audit REPLICA IDENTITY FULL;

COMMENT ON TABLE rt.audit IS 'who logged in, and who did what to others; kept for rt.retain_audit';

COMMENT ON COLUMN rt.audit.at IS 'when; of logins in the same minute the first one''s';

COMMENT ON COLUMN rt.audit.action IS 'login, login-failed, token-issued, user-…, password-changed, admin-changed, key-…, room-…, member-…, meeting-…, participant-…, recording-…';

COMMENT ON COLUMN rt.audit.user_id IS 'the user who did it, or whose login it was; null: nobody''s, as in plain SQL, or a login for a name that is no user''s';

COMMENT ON COLUMN rt.audit.role IS 'the role that the client had: rt_gateway for what came by event or REST';

COMMENT ON COLUMN rt.audit.address IS 'the client''s address, of logins';

COMMENT ON COLUMN rt.audit.gateway IS 'the gateway that it came by, of logins';

COMMENT ON COLUMN rt.audit.detail IS 'what it was done to, by ids; of logins count, and last, the time of the last one';

COMMENT ON INDEX rt.audit_at IS 'what is older than rt.retain_audit';

COMMENT ON INDEX rt.audit_logins IS 'counting logins';

SELECT pg_catalog.pg_extension_config_dump('rt.audit', '');

CREATE FUNCTION rt_private.audit(action text, detail jsonb) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO rt.audit (action, user_id, role, detail)
	VALUES (audit.action, rt_private.actor(), rt_private.caller(), audit.detail)
$$;

COMMENT ON FUNCTION rt_private.audit(text, jsonb) IS 'writes down what the acting user does';

CREATE FUNCTION rt_private.audit_login(action text, user_id text, address text, gateway text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	most CONSTANT integer := 100;
	this_minute timestamp := date_trunc('minute', clock_timestamp() AT TIME ZONE 'UTC');
	crowded boolean := audit_login.action = 'login-failed' AND (SELECT count(*) FROM (SELECT FROM rt.audit AS a
		WHERE date_trunc('minute', a.at AT TIME ZONE 'UTC') = this_minute AND a.action = 'login-failed' LIMIT most) AS t) >= most;
BEGIN
	INSERT INTO rt.audit AS a (action, user_id, role, address, gateway, detail)
	VALUES (audit_login.action, CASE WHEN NOT crowded THEN audit_login.user_id END, rt_private.caller(),
		CASE WHEN NOT crowded THEN audit_login.address END, audit_login.gateway, '{"count": 1}')
	ON CONFLICT (date_trunc('minute', at AT TIME ZONE 'UTC'), action, coalesce(user_id, ''), coalesce(address, ''))
		WHERE action IN ('login', 'login-failed')
	DO UPDATE SET detail = jsonb_build_object('count', (a.detail ->> 'count')::bigint + 1, 'last', rt_private.iso(clock_timestamp()));
END
$$;

COMMENT ON FUNCTION rt_private.audit_login(text, text, text, text) IS 'writes down or counts a login';

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

CREATE FUNCTION rt_private.audit_users_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit('user-deleted', jsonb_build_object('userId', u.id)) FROM gone AS u;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.audit_users_gone() IS 'audits users that are deleted';

CREATE TRIGGER audit_users_gone AFTER DELETE ON rt.users
	REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rt_private.audit_users_gone();

CREATE FUNCTION rt_private.audit_users_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.password_hash IS DISTINCT FROM OLD.password_hash THEN
		PERFORM rt_private.audit('password-changed', jsonb_build_object('userId', NEW.id, 'hasPassword', NEW.password_hash IS NOT NULL));
	END IF;
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

COMMENT ON FUNCTION rt_private.audit_users_changed() IS 'audits what changes who gets in, and as whom';

CREATE TRIGGER audit_users_changed AFTER UPDATE OF password_hash, is_admin, id, username ON rt.users
	FOR EACH ROW EXECUTE FUNCTION rt_private.audit_users_changed();

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

COMMENT ON FUNCTION rt_private.audit_keys() IS 'audits the keys of tokens';

CREATE TRIGGER audit_keys AFTER INSERT OR UPDATE OR DELETE ON rt_private.keys
	FOR EACH ROW EXECUTE FUNCTION rt_private.audit_keys();

CREATE FUNCTION rt_private.audit_rooms() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit('room-deleted', jsonb_build_object('roomId', OLD.id::text, 'kind', OLD.kind, 'name', OLD.name));
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.audit_rooms() IS 'audits rooms that are deleted';

CREATE TRIGGER audit_rooms AFTER DELETE ON rt.rooms FOR EACH ROW EXECUTE FUNCTION rt_private.audit_rooms();

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

COMMENT ON FUNCTION rt_private.audit_members_removed() IS 'audits members that others remove';

CREATE TRIGGER audit_members_removed AFTER DELETE ON rt.room_members
	REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION rt_private.audit_members_removed();

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

COMMENT ON FUNCTION rt_private.audit_meetings() IS 'audits what a host does to a meeting';

CREATE TRIGGER audit_meetings_changed AFTER UPDATE ON rt.meetings FOR EACH ROW
	WHEN ((OLD.status, OLD.locked, OLD.password_hash, OLD.host_id)
		IS DISTINCT FROM (NEW.status, NEW.locked, NEW.password_hash, NEW.host_id))
	EXECUTE FUNCTION rt_private.audit_meetings();

CREATE TRIGGER audit_meetings_deleted AFTER DELETE ON rt.meetings FOR EACH ROW EXECUTE FUNCTION rt_private.audit_meetings();

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

COMMENT ON FUNCTION rt_private.audit_participants() IS 'audits what a host does to participants';

CREATE TRIGGER audit_participants AFTER UPDATE ON rt.meeting_participants FOR EACH ROW
	WHEN (NEW.role <> OLD.role OR NEW.audio_muted <> OLD.audio_muted OR NEW.video_muted <> OLD.video_muted
		OR (NEW.left_reason = 'removed' AND OLD.left_reason IS DISTINCT FROM 'removed'))
	EXECUTE FUNCTION rt_private.audit_participants();

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

CREATE TRIGGER audit_recordings_stopped AFTER UPDATE ON rt.meeting_recordings FOR EACH ROW
	WHEN (OLD.stopped_at IS NULL AND NEW.stopped_at IS NOT NULL) EXECUTE FUNCTION rt_private.audit_recordings();

GRANT USAGE ON SCHEMA rt TO rt_auditor;

GRANT SELECT ON rt.audit TO rt_auditor;

COMMENT ON COLUMN rt.stat_programs.state IS 'waiting (for its next start), starting, ready, draining (beside its successor, see rt.drain), or stopping';

CREATE FUNCTION rt.reset_stats() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.reset_relay_stats();
	UPDATE rt_private.gateways AS g SET stats_before = g.stats, stats_reset = clock_timestamp();
$$;

COMMENT ON FUNCTION rt.reset_stats() IS
	'lets the counts of rt.stat_relay and rt.stat_gateway begin anew, as pg_stat_reset() does; /metrics goes on';

CREATE FUNCTION rt.drain(spread interval DEFAULT '30 s', gateway text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	told integer;
BEGIN
	IF spread IS NULL OR spread < interval '0' OR spread > interval '1 hour' THEN
		RAISE EXCEPTION 'spread must be between 0 and one hour' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF drain.gateway IS NOT NULL AND NOT EXISTS (SELECT FROM rt_private.gateways AS g WHERE g.name = drain.gateway) THEN
		RAISE EXCEPTION 'gateway "%" does not run', drain.gateway
			USING ERRCODE = 'undefined_object', HINT = 'rt.stat_gateway has the names of those that do.';
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

COMMENT ON FUNCTION rt.drain(interval, text) IS
	'restarts gateways (all of this database, or one by its name in rt.stat_gateway) without dropping anybody: a successor takes '
	'new clients, those of the old one are moved over, spread evenly over the time; returns how many gateways were told, at once';

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
			AND p.proname NOT IN ('media_start', 'media_stop', 'media_heartbeat', 'media_fetch', 'media_answer', 'media_event')
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO rt_gateway', f);
	END LOOP;
END
$$;

GRANT EXECUTE ON FUNCTION rt_private.actor(), rt_private.is_member(bigint, text), rt_private.own_rooms(),
	rt_private.is_room_admin(bigint, text) TO rt_app;

GRANT EXECUTE ON FUNCTION rt_private.max_message_size(), rt_private.message_fault(text, jsonb, text), rt_private.trusted(), rt_private.caller() TO rt_app;

CREATE POLICY rooms_read ON rt.rooms FOR SELECT TO rt_app USING (id = ANY ((SELECT rt_private.own_rooms())::bigint[]));

CREATE POLICY members_read ON rt.room_members FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[]));

CREATE POLICY messages_read ON rt.messages FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[]));

CREATE POLICY reactions_read ON rt.reactions FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[]));

CREATE FUNCTION rt_private.own_contacts() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.actor()
	UNION
	SELECT m.user_id FROM rt.room_members AS m WHERE m.room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
$$;

COMMENT ON FUNCTION rt_private.own_contacts() IS 'the acting user, and all who share a room with it';

REVOKE ALL ON FUNCTION rt_private.own_contacts() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION rt_private.own_contacts() TO rt_app;

CREATE POLICY presence_read ON rt.presence FOR SELECT TO rt_app USING (user_id IN (SELECT rt_private.own_contacts()));

CREATE FUNCTION rt_private.since_reset(g rt_private.gateways, counter text) RETURNS bigint
LANGUAGE sql STABLE AS $$
	SELECT (g.stats OPERATOR(pg_catalog.->>) counter)::pg_catalog.int8
		OPERATOR(pg_catalog.-) coalesce((g.stats_before OPERATOR(pg_catalog.->>) counter)::pg_catalog.int8, 0)
$$;

COMMENT ON FUNCTION rt_private.since_reset(rt_private.gateways, text) IS 'what a gateway has counted since rt.reset_stats()';

REVOKE ALL ON FUNCTION rt_private.since_reset(rt_private.gateways, text) FROM PUBLIC;

CREATE VIEW rt.stat_gateway AS
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
		rt_private.since_reset(g, 'dbCalls') AS db_calls, (g.stats ->> 'dbWaiting')::bigint AS db_waiting, g.stats_reset
	FROM rt_private.gateways AS g;

COMMENT ON VIEW rt.stat_gateway IS 'gateways that run, with the figures of their last report, which comes each second';

CREATE OR REPLACE VIEW rt.stat_connections AS
	SELECT c.sid, c.user_id, c.peer, c.transport, c.gateway, c.connected_at,
		(SELECT cardinality(s.joined) FROM rt_private.sessions AS s WHERE s.sid = c.sid LIMIT 1) AS rooms,
		c.queued_bytes, c.latency
	FROM rt_private.connections AS c;

COMMENT ON VIEW rt.stat_connections IS
	'sockets that are connected; the last two columns, and an upgraded transport, as of the gateway''s last report';

GRANT EXECUTE ON FUNCTION rt_private.since_reset(rt_private.gateways, text) TO pg_monitor;

GRANT SELECT ON rt.stat_gateway, rt.stat_connections, rt.stat_rooms TO pg_monitor;

COMMENT ON COLUMN rt.stat_gateway.name IS 'name that the gateway gave itself, new at each start';

COMMENT ON COLUMN rt.stat_gateway.host IS 'host that it runs on';

COMMENT ON COLUMN rt.stat_gateway.slot IS 'number of the gateway worker, from 0';

COMMENT ON COLUMN rt.stat_gateway.pid IS 'its process id';

COMMENT ON COLUMN rt.stat_gateway.port IS 'TCP port that it listens on';

COMMENT ON COLUMN rt.stat_gateway.started_at IS 'when it began to serve';

COMMENT ON COLUMN rt.stat_gateway.reported_at IS 'when it reported last; above ten seconds ago it is taken for dead';

COMMENT ON COLUMN rt.stat_gateway.draining_until IS 'by when it will have ended its clients, and itself, after rt.drain(); else null';

COMMENT ON COLUMN rt.stat_gateway.connections IS 'open TCP connections of all kinds';

COMMENT ON COLUMN rt.stat_gateway.websockets IS 'those of them that are websockets';

COMMENT ON COLUMN rt.stat_gateway.sockets IS 'clients that are connected by Socket.IO';

COMMENT ON COLUMN rt.stat_gateway.users IS 'users with such a client';

COMMENT ON COLUMN rt.stat_gateway.rooms IS 'rooms with such a user among their members';

COMMENT ON COLUMN rt.stat_gateway.events IS 'events that came from the relay';

COMMENT ON COLUMN rt.stat_gateway.position IS 'position in rt.events that it has reached; compare with rt.stat_relay.last_pos';

COMMENT ON COLUMN rt.stat_gateway.frames_out IS 'messages sent to clients';

COMMENT ON COLUMN rt.stat_gateway.bytes_out IS 'bytes of these';

COMMENT ON COLUMN rt.stat_gateway.writes_out IS 'system calls that carried them';

COMMENT ON COLUMN rt.stat_gateway.packets_in IS 'messages received from clients';

COMMENT ON COLUMN rt.stat_gateway.bytes_in IS 'bytes of these';

COMMENT ON COLUMN rt.stat_gateway.queued_bytes IS 'bytes that wait for clients now';

COMMENT ON COLUMN rt.stat_gateway.cut_off IS 'clients that were cut off for reading too slowly, see rt.max_queued_bytes';

COMMENT ON COLUMN rt.stat_gateway.requests IS 'REST requests';

COMMENT ON COLUMN rt.stat_gateway.client_events IS 'events sent by clients';

COMMENT ON COLUMN rt.stat_gateway.rate_limited IS 'events and requests that were above a rate limit';

COMMENT ON COLUMN rt.stat_gateway.recovered IS 'clients that came back and got what they had missed';

COMMENT ON COLUMN rt.stat_gateway.db_calls IS 'calls of rt_api that it made';

COMMENT ON COLUMN rt.stat_gateway.db_waiting IS 'calls that wait for a connection of its pool now, see rt.db_connections';

COMMENT ON COLUMN rt.stat_gateway.stats_reset IS 'since when it counts: rt.reset_stats() or its start';

COMMENT ON COLUMN rt.stat_connections.transport IS 'websocket or polling';

COMMENT ON COLUMN rt.stat_connections.queued_bytes IS 'bytes that wait for it in the gateway; at rt.max_queued_bytes it is cut off';

COMMENT ON COLUMN rt.stat_connections.latency IS
	'how long the answer to the last heartbeat took, see rt.ping_interval; null before the first one';

COMMENT ON SEQUENCE rt.rooms_id_seq IS 'ids of rooms';

COMMENT ON SEQUENCE rt.meetings_id_seq IS 'ids of meetings';

COMMENT ON SEQUENCE rt.meeting_participants_id_seq IS 'ids of participants';

COMMENT ON SEQUENCE rt.meeting_messages_id_seq IS 'ids of meetings'' messages';

COMMENT ON SEQUENCE rt.meeting_recordings_id_seq IS 'ids of recordings';

COMMENT ON SEQUENCE rt_private.media_requests_id_seq IS 'ids of requests';

COMMENT ON COLUMN rt_private.gateways.name IS 'the name that it gave itself, new at each start';

COMMENT ON COLUMN rt_private.gateways.host IS 'the host that it runs on';

COMMENT ON COLUMN rt_private.gateways.slot IS 'its number among the workers of the host';

COMMENT ON COLUMN rt_private.gateways.pid IS 'its process';

COMMENT ON COLUMN rt_private.gateways.port IS 'the TCP port that it listens on';

COMMENT ON COLUMN rt_private.gateways.started_at IS 'when it began to serve';

COMMENT ON COLUMN rt_private.gateways.reported_at IS 'when it reported last';

COMMENT ON COLUMN rt_private.gateways.stats IS 'its counters and figures';

COMMENT ON COLUMN rt_private.gateways.rooms IS 'its rooms with joined sockets, the largest ones';

COMMENT ON COLUMN rt_private.gateways.stats_reset IS 'since when the views count';

COMMENT ON COLUMN rt_private.connections.sid IS 'the socket''s id';

COMMENT ON COLUMN rt_private.connections.user_id IS 'whose it is';

COMMENT ON COLUMN rt_private.connections.gateway IS 'the gateway that has it';

COMMENT ON COLUMN rt_private.connections.peer IS 'the client''s address';

COMMENT ON COLUMN rt_private.connections.transport IS 'websocket or polling';

COMMENT ON COLUMN rt_private.connections.connected_at IS 'since when';

COMMENT ON COLUMN rt_private.connections.queued_bytes IS 'what waits for the client';

COMMENT ON COLUMN rt_private.sessions.pid IS 'the private id by which the client comes back';

COMMENT ON COLUMN rt_private.sessions.sid IS 'the socket''s id, which it keeps';

COMMENT ON COLUMN rt_private.sessions.user_id IS 'whose it is';

COMMENT ON COLUMN rt_private.sessions.joined IS 'the rooms that it had joined';

COMMENT ON COLUMN rt_private.sessions.ended_at IS 'when the connection ended; null: it is there';

COMMENT ON COLUMN rt_private.media_workers.addresses IS 'the addresses that it is reached at';

COMMENT ON COLUMN rt_private.media_workers.udp_port IS 'its UDP port';

COMMENT ON COLUMN rt_private.media_workers.tcp_port IS 'its TCP port';

COMMENT ON COLUMN rt_private.media_workers.fingerprint IS 'of its DTLS certificate';

COMMENT ON COLUMN rt_private.media_workers.can_record IS 'whether it can record';

COMMENT ON COLUMN rt_private.media_workers.started_at IS 'when it began to serve';

COMMENT ON COLUMN rt_private.media_workers.heartbeat_at IS 'when it was heard of last';

COMMENT ON COLUMN rt_private.media_routers.id IS 'the router''s id on the wire';

COMMENT ON COLUMN rt_private.media_routers.meeting_id IS 'the meeting';

COMMENT ON COLUMN rt_private.media_routers.worker IS 'the media worker that has it';

COMMENT ON COLUMN rt_private.media_routers.created_at IS 'when it was made';

COMMENT ON COLUMN rt_private.media_transports.id IS 'its id on the wire';

COMMENT ON COLUMN rt_private.media_transports.router_id IS 'the router';

COMMENT ON COLUMN rt_private.media_transports.worker IS 'the media worker that has it';

COMMENT ON COLUMN rt_private.media_transports.meeting_id IS 'the meeting';

COMMENT ON COLUMN rt_private.media_transports.participant_id IS 'whose it is';

COMMENT ON COLUMN rt_private.media_transports.direction IS 'send: from the client; recv: to it';

COMMENT ON COLUMN rt_private.media_transports.stats IS 'its figures, as the worker reports them';

COMMENT ON COLUMN rt_private.media_transports.created_at IS 'when it was made';

COMMENT ON COLUMN rt_private.media_producers.id IS 'its id on the wire';

COMMENT ON COLUMN rt_private.media_producers.transport_id IS 'the transport that it comes in by';

COMMENT ON COLUMN rt_private.media_producers.worker IS 'the media worker that has it';

COMMENT ON COLUMN rt_private.media_producers.meeting_id IS 'the meeting';

COMMENT ON COLUMN rt_private.media_producers.participant_id IS 'whose it is';

COMMENT ON COLUMN rt_private.media_producers.kind IS 'audio or video';

COMMENT ON COLUMN rt_private.media_producers.source IS 'what is shown or heard: camera, microphone, screen, screen-audio';

COMMENT ON COLUMN rt_private.media_producers.type IS 'simple, simulcast or svc';

COMMENT ON COLUMN rt_private.media_producers.stats IS 'its figures, as the worker reports them';

COMMENT ON COLUMN rt_private.media_producers.created_at IS 'when it was made';

COMMENT ON COLUMN rt_private.media_consumers.id IS 'its id on the wire';

COMMENT ON COLUMN rt_private.media_consumers.transport_id IS 'the transport that it goes out by';

COMMENT ON COLUMN rt_private.media_consumers.producer_id IS 'the stream that it passes on';

COMMENT ON COLUMN rt_private.media_consumers.worker IS 'the media worker that has it';

COMMENT ON COLUMN rt_private.media_consumers.meeting_id IS 'the meeting';

COMMENT ON COLUMN rt_private.media_consumers.participant_id IS 'who receives it';

COMMENT ON COLUMN rt_private.media_consumers.kind IS 'audio or video';

COMMENT ON COLUMN rt_private.media_consumers.paused IS 'by the one who receives it; so it begins';

COMMENT ON COLUMN rt_private.media_consumers.stats IS 'its figures, as the worker reports them';

COMMENT ON COLUMN rt_private.media_consumers.created_at IS 'when it was made';

COMMENT ON COLUMN rt_private.media_requests.id IS 'the order in which they are carried out';

COMMENT ON COLUMN rt_private.media_requests.worker IS 'the media worker that is to do it';

COMMENT ON COLUMN rt_private.media_requests.op IS 'what is to be done';

COMMENT ON COLUMN rt_private.media_requests.meeting_id IS 'the meeting';

COMMENT ON COLUMN rt_private.media_requests.participant_id IS 'who asks, or whom it concerns';

COMMENT ON COLUMN rt_private.media_requests.gateway IS 'the gateway that gets the answer; null: a command, which has none';

COMMENT ON COLUMN rt_private.media_requests.socket_id IS 'the socket that asked';

COMMENT ON COLUMN rt_private.media_requests.created_at IS 'when it was asked';

COMMENT ON COLUMN rt_private.outgoing.n IS 'its place in the batch';

COMMENT ON COLUMN rt_private.outgoing.actor IS 'the sender';

COMMENT ON COLUMN rt_private.outgoing.content IS 'the text';

COMMENT ON COLUMN rt_private.outgoing.message_type IS 'the application''s sort of message';

COMMENT ON COLUMN rt_private.outgoing.metadata IS 'the application''s object';

COMMENT ON COLUMN rt_private.outgoing.reply_to IS 'number of the message that it answers';

COMMENT ON COLUMN rt_private.outgoing.client_id IS 'the sender''s own id of it';

COMMENT ON COLUMN rt_private.outgoing.code IS 'why it cannot be sent, for programs; null: it can';

COMMENT ON COLUMN rt_private.outgoing.problem IS 'the same, for people';

COMMENT ON INDEX rt_private.connections_user_id_idx IS 'whether a user is connected';

COMMENT ON INDEX rt_private.connections_gateway_idx IS 'what a gateway had that is gone';

COMMENT ON INDEX rt_private.sessions_sid_idx IS 'the session of a socket';

COMMENT ON INDEX rt_private.sessions_ended_at_idx IS 'sessions that are too old to be given back';

COMMENT ON INDEX rt.meetings_host IS 'a user''s own meetings; deleting a user';

COMMENT ON INDEX rt.meetings_room IS 'a room''s meetings; deleting a room';

COMMENT ON INDEX rt.meetings_started_by IS 'deleting a user';

COMMENT ON INDEX rt.meetings_ended_by IS 'deleting a user';

COMMENT ON INDEX rt.meeting_invitees_user IS 'meetings that a user is invited to; deleting a user';

COMMENT ON INDEX rt.meeting_invitees_invited_by IS 'deleting a user';

COMMENT ON INDEX rt.meeting_bans_user IS 'deleting a user';

COMMENT ON INDEX rt.meeting_bans_banned_by IS 'deleting a user';

COMMENT ON INDEX rt.meeting_participants_live IS 'a socket is once in a meeting';

COMMENT ON INDEX rt.meeting_participants_socket IS 'the places of a socket';

COMMENT ON INDEX rt.meeting_participants_user IS 'a user''s places in a meeting';

COMMENT ON INDEX rt.meeting_participants_of_user IS 'meetings that a user was in; deleting a user';

COMMENT ON INDEX rt.meeting_participants_removed_by IS 'deleting a user';

COMMENT ON INDEX rt.meeting_participants_grace IS 'places that are kept for somebody who was cut off';

COMMENT ON INDEX rt.meeting_participants_gateway IS 'what a gateway had that is gone';

COMMENT ON INDEX rt.meeting_messages_meeting IS 'a meeting''s messages';

COMMENT ON INDEX rt.meeting_messages_sender IS 'deleting a user';

COMMENT ON INDEX rt.meeting_messages_sender_participant IS 'deleting a participant';

COMMENT ON INDEX rt.meeting_messages_recipient IS 'deleting a user';

COMMENT ON INDEX rt.meeting_messages_recipient_participant IS 'deleting a participant';

COMMENT ON INDEX rt.meeting_recordings_meeting IS 'a meeting''s recordings';

COMMENT ON INDEX rt.meeting_recordings_running IS 'one at a time is under way in a meeting';

COMMENT ON INDEX rt.meeting_recordings_started_by IS 'deleting a user';

COMMENT ON INDEX rt.meeting_recordings_stopped_by IS 'deleting a user';

COMMENT ON INDEX rt_private.media_routers_worker IS 'what a media worker had that is gone';

COMMENT ON INDEX rt_private.media_transports_participant IS 'what a participant has';

COMMENT ON INDEX rt_private.media_transports_meeting IS 'what a meeting has';

COMMENT ON INDEX rt_private.media_producers_transport IS 'what a transport carries';

COMMENT ON INDEX rt_private.media_producers_participant IS 'what a participant sends';

COMMENT ON INDEX rt_private.media_producers_meeting IS 'what a meeting has';

COMMENT ON INDEX rt_private.media_consumers_transport IS 'what a transport carries';

COMMENT ON INDEX rt_private.media_consumers_producer IS 'who receives a stream';

COMMENT ON INDEX rt_private.media_consumers_meeting IS 'what a meeting has';

COMMENT ON INDEX rt_private.media_requests_waiting IS 'what a media worker is to fetch';

COMMENT ON INDEX rt_private.media_requests_participant IS 'what a participant has asked for';

COMMENT ON INDEX rt_private.media_requests_handed IS 'commands that a media worker has';

COMMENT ON POLICY users_change ON rt.users IS 'one''s own name';

COMMENT ON POLICY users_read ON rt.users IS 'everybody, for whoever acts as a user';

COMMENT ON POLICY rooms_read ON rt.rooms IS 'one''s own rooms';

COMMENT ON POLICY rooms_change ON rt.rooms IS 'by admins of the room';

COMMENT ON POLICY rooms_delete ON rt.rooms IS 'by admins of the room';

COMMENT ON POLICY members_read ON rt.room_members IS 'those of one''s own rooms';

COMMENT ON POLICY members_add ON rt.room_members IS 'by admins of the room';

COMMENT ON POLICY members_change ON rt.room_members IS 'by admins of the room';

COMMENT ON POLICY members_remove ON rt.room_members IS 'oneself, or by admins of the room';

COMMENT ON POLICY messages_change ON rt.messages IS 'one''s own, in one''s own rooms';

COMMENT ON POLICY messages_read ON rt.messages IS 'those of one''s own rooms';

COMMENT ON POLICY messages_send ON rt.messages IS 'as oneself, to one''s own rooms';

COMMENT ON POLICY messages_delete ON rt.messages IS 'one''s own, or by admins of the room';

COMMENT ON POLICY reactions_read ON rt.reactions IS 'those of one''s own rooms';

COMMENT ON POLICY reactions_remove ON rt.reactions IS 'one''s own';

COMMENT ON POLICY reactions_add ON rt.reactions IS 'as oneself, in one''s own rooms';

COMMENT ON POLICY presence_read ON rt.presence IS 'of those who share a room, and one''s own';

COMMENT ON POLICY presence_change ON rt.presence IS 'one''s own';

COMMENT ON POLICY meetings_see ON rt.meetings IS 'those that one may join, or was in';

COMMENT ON POLICY meetings_make ON rt.meetings IS 'as their host';

COMMENT ON POLICY meetings_run ON rt.meetings IS 'by those who run it';

COMMENT ON POLICY meetings_delete ON rt.meetings IS 'by those who run it';

COMMENT ON POLICY meeting_invitees_see ON rt.meeting_invitees IS 'oneself, or by those who run the meeting';

COMMENT ON POLICY meeting_invitees_run ON rt.meeting_invitees IS 'by those who run the meeting';

COMMENT ON POLICY meeting_bans_run ON rt.meeting_bans IS 'by those who run the meeting';

COMMENT ON POLICY meeting_participants_see ON rt.meeting_participants IS 'those of meetings that one sees';

COMMENT ON POLICY meeting_messages_see ON rt.meeting_messages IS 'those that were said to one';

COMMENT ON POLICY meeting_messages_send ON rt.meeting_messages IS 'as oneself, where one is';

COMMENT ON POLICY meeting_recordings_see ON rt.meeting_recordings IS 'those of meetings that one sees';

DO $$
DECLARE
	t record;
BEGIN
	FOR t IN
		SELECT g.tgname, g.tgrelid, pg_catalog.obj_description(g.tgfoid, 'pg_proc') AS does
		FROM pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) g.tgrelid
			JOIN pg_catalog.pg_proc AS p ON p.oid OPERATOR(pg_catalog.=) g.tgfoid
			JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
		WHERE n.nspname OPERATOR(pg_catalog.=) ANY ('{rt,rt_private}'::pg_catalog.name[]) AND NOT g.tgisinternal
			AND p.pronamespace OPERATOR(pg_catalog.=) 'rt_private'::pg_catalog.regnamespace
			AND pg_catalog.obj_description(g.oid, 'pg_trigger') IS NULL
	LOOP
		EXECUTE pg_catalog.format('COMMENT ON TRIGGER %I ON %s IS %L', t.tgname, t.tgrelid::pg_catalog.regclass, t.does);
	END LOOP;
END
$$;
