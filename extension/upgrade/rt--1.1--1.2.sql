\echo Use "ALTER EXTENSION rt UPDATE" to load this file. \quit

-- From 1.1 to 1.2.  Written by extension/upgrade/draft, but for the part that says that it is by hand.

-- The functions below may need what only the library of 1.2 has.  A server that still runs the one before would fail in the
-- midst of this, or later.
LOAD 'MODULE_PATHNAME';
DO $$
BEGIN
	IF pg_catalog.current_setting('rt.version', true) IS DISTINCT FROM '1.2' THEN
		RAISE EXCEPTION 'the server runs another version of rt than 1.2'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Restart the server after installing rt 1.2, then run ALTER EXTENSION rt UPDATE.';
	END IF;
END
$$;

-- ---- by hand ----------------------------------------------------------------
-- done: TABLE rt.room_members
-- Members of before have seen the rooms' whole history come.
ALTER TABLE rt.room_members ADD COLUMN first_seq bigint NOT NULL DEFAULT 0, ADD COLUMN first_change bigint NOT NULL DEFAULT 0,
	ALTER COLUMN last_read_seq DROP DEFAULT;
ALTER TABLE rt.room_members ALTER COLUMN first_seq DROP DEFAULT, ALTER COLUMN first_change DROP DEFAULT;
-- ---- end of what is by hand --------------------------------------------------

COMMENT ON COLUMN rt.room_members.last_read_seq IS 'the member''s read mark: messages up to it count as read';

COMMENT ON COLUMN rt.room_members.first_seq IS 'the room''s last message when the member came';

COMMENT ON COLUMN rt.room_members.first_change IS 'the room''s last change when the member came; later ones are told';

CREATE TABLE rt_private.change_counters (
	room_id bigint PRIMARY KEY REFERENCES rt.rooms (id) ON DELETE CASCADE,
	last_change bigint NOT NULL
) WITH (fillfactor = 50);

COMMENT ON TABLE rt_private.change_counters IS 'the number of the last change of each room that had one';

COMMENT ON COLUMN rt_private.change_counters.room_id IS 'the room';

COMMENT ON COLUMN rt_private.change_counters.last_change IS 'the number; its row lock orders the room''s changes';

SELECT pg_catalog.pg_extension_config_dump('rt_private.change_counters', '');

CREATE TABLE rt_private.room_changes (
	room_id bigint NOT NULL REFERENCES rt.rooms (id) ON DELETE CASCADE,
	seq bigint NOT NULL,
	change bigint NOT NULL,
	PRIMARY KEY (room_id, seq)
) WITH (fillfactor = 80);

CREATE INDEX room_changes_change_idx ON rt_private.room_changes (room_id, change);

COMMENT ON TABLE rt_private.room_changes IS 'messages that have changed since they were sent, each with its latest change';

COMMENT ON COLUMN rt_private.room_changes.room_id IS 'the room';

COMMENT ON COLUMN rt_private.room_changes.seq IS 'the message';

COMMENT ON COLUMN rt_private.room_changes.change IS 'the number of its latest change';

COMMENT ON INDEX rt_private.room_changes_change_idx IS 'what changed after a number';

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

COMMENT ON FUNCTION rt_private.change_counters_before_insert() IS 'lets a restore replace counters, never by lower ones';

CREATE TRIGGER rt_before_insert BEFORE INSERT ON rt_private.change_counters FOR EACH ROW
	EXECUTE FUNCTION rt_private.change_counters_before_insert();

CREATE FUNCTION rt_private.room_changes_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF pg_trigger_depth() = 1 THEN
		DELETE FROM rt_private.room_changes AS c WHERE c.room_id = NEW.room_id AND c.seq = NEW.seq;
	END IF;
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION rt_private.room_changes_before_insert() IS 'lets a restore replace what its own triggers have noted';

CREATE TRIGGER rt_before_insert BEFORE INSERT ON rt_private.room_changes FOR EACH ROW
	EXECUTE FUNCTION rt_private.room_changes_before_insert();

CREATE FUNCTION rt_private.note_change(room_id bigint, seq bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	number bigint;
BEGIN
	INSERT INTO rt_private.change_counters AS c (room_id, last_change)
	SELECT r.id, 1 FROM rt.rooms AS r WHERE r.id = note_change.room_id
	ON CONFLICT ON CONSTRAINT change_counters_pkey DO UPDATE SET last_change = c.last_change + 1
	RETURNING c.last_change INTO number;
	IF number IS NOT NULL THEN
		INSERT INTO rt_private.room_changes AS c (room_id, seq, change) VALUES (note_change.room_id, note_change.seq, number)
		ON CONFLICT ON CONSTRAINT room_changes_pkey DO UPDATE SET change = number;
	END IF;
END
$$;

COMMENT ON FUNCTION rt_private.note_change(bigint, bigint) IS 'gives a change of a message the next number of its room';

CREATE FUNCTION rt_private.last_change(room_id bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce((SELECT c.last_change FROM rt_private.change_counters AS c WHERE c.room_id = last_change.room_id), 0);
END
$$;

COMMENT ON FUNCTION rt_private.last_change(bigint) IS 'the number of a room''s last change, 0 if there was none';

CREATE FUNCTION rt_private.message_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT current_setting('rt.suppress_events')::boolean THEN
		PERFORM rt_private.note_change(NEW.room_id, NEW.seq);
	END IF;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.message_changed() IS 'numbers an edit or a deletion';

CREATE CONSTRAINT TRIGGER rt_changed AFTER UPDATE ON rt.messages DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	WHEN (OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.edited_at IS DISTINCT FROM NEW.edited_at)
	EXECUTE FUNCTION rt_private.message_changed();

CREATE FUNCTION rt_private.reaction_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.reactions := CASE TG_OP WHEN 'INSERT' THEN NEW ELSE OLD END;
BEGIN
	IF EXISTS (SELECT FROM rt.messages AS m WHERE m.room_id = r.room_id AND m.seq = r.seq) THEN
		PERFORM rt_private.note_change(r.room_id, r.seq);
	END IF;
	RETURN NULL;
END
$$;

COMMENT ON FUNCTION rt_private.reaction_changed() IS 'numbers a reaction that came or went';

CREATE CONSTRAINT TRIGGER rt_changed AFTER INSERT OR DELETE ON rt.reactions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	EXECUTE FUNCTION rt_private.reaction_changed();

CREATE FUNCTION rt_private.room_members_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	last_seq bigint := coalesce((SELECT r.last_seq FROM rt.rooms AS r WHERE r.id = NEW.room_id), 0);
BEGIN
	NEW.last_read_seq := coalesce(NEW.last_read_seq, last_seq);
	NEW.first_seq := coalesce(NEW.first_seq, last_seq);
	NEW.first_change := coalesce(NEW.first_change, rt_private.last_change(NEW.room_id));
	RETURN NEW;
END
$$;

COMMENT ON FUNCTION rt_private.room_members_before_insert() IS 'a new member begins with nothing unread';

CREATE TRIGGER rt_before_insert BEFORE INSERT ON rt.room_members FOR EACH ROW
	EXECUTE FUNCTION rt_private.room_members_before_insert();

CREATE OR REPLACE FUNCTION rt_private.room_json(r rt.rooms, m rt.room_members) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN jsonb_build_object('id', r.id::text, 'roomId', r.id::text, 'name', r.name, 'kind', r.kind, 'role', m.role,
		'createdBy', r.created_by,
		'memberCount', (SELECT count(*) FROM rt.room_members AS t WHERE t.room_id = r.id),
		'lastSeq', r.last_seq, 'lastChange', rt_private.last_change(r.id),
		'lastMessage', (SELECT rt_private.message_json(t) FROM rt.messages AS t
			WHERE t.room_id = r.id ORDER BY t.seq DESC LIMIT 1),
		'unreadCount', rt_private.unread_count(m), 'lastReadSeq', m.last_read_seq, 'createdAt', rt_private.iso(r.created_at),
		'peer', CASE WHEN r.kind = 'direct' THEN (SELECT rt_private.user_json(u) FROM rt.room_members AS o
			JOIN rt.users AS u ON u.id = o.user_id WHERE o.room_id = r.id AND o.user_id <> m.user_id LIMIT 1) END);
END
$$;

CREATE OR REPLACE FUNCTION rt_api.message_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	after bigint := rt_private.req_seq(req, 'afterSeq');
	before bigint := rt_private.req_seq(req, 'beforeSeq');
	most integer := rt_private.req_limit(req, 50, 200);
	last_change bigint := rt_private.last_change(r.id); -- before the page, which then has all up to it
	found_page record;
BEGIN
	IF after IS NULL THEN
		SELECT * INTO found_page FROM rt_private.page_before(r.id, before, most);
	ELSE
		SELECT * INTO found_page FROM rt_private.page_after(r.id, after, before, most, 16777216);
	END IF;
	RETURN json_build_object('status', 200, 'data', found_page.page, 'hasMore', found_page.has_more,
		'count', json_array_length(found_page.page), 'lastSeq', found_page.last_seq, 'lastChange', last_change,
		'reactions', rt_private.page_reactions(r.id, found_page.page));
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
	RETURN (left(rt_private.message_json(m)::text, -1) || ',"reactions":' || rt_private.message_reactions(m.room_id, m.seq)::text || '}')::json;
END
$$;

COMMENT ON FUNCTION rt_private.message_full(rt.messages) IS 'a message on the wire, with its reactions';

CREATE FUNCTION rt_private.changes_after(room_id bigint, after bigint, most integer, bytes bigint,
	OUT page json, OUT has_more boolean, OUT size bigint, OUT upto bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT coalesce(json_agg(rt_private.message_full(t.m) ORDER BY t.n) FILTER (WHERE t.fits), '[]'),
		count(*) > count(*) FILTER (WHERE t.fits), coalesce(max(t.upto) FILTER (WHERE t.fits), 0),
		CASE WHEN count(*) > count(*) FILTER (WHERE t.fits) THEN coalesce(max(t.change) FILTER (WHERE t.fits), after)
			ELSE greatest(rt_private.last_change(changes_after.room_id), after) END
	INTO page, has_more, size, upto
	FROM (SELECT s.m, s.n, s.change, s.upto, s.n <= most AND bytes > 0 AND (s.n = 1 OR s.upto <= bytes) AS fits
		FROM (SELECT m, c.change, row_number() OVER w AS n,
				sum(octet_length(m.content) + coalesce(octet_length(m.metadata::text), 0) + 400) OVER w AS upto
			FROM rt_private.room_changes AS c JOIN rt.messages AS m ON m.room_id = c.room_id AND m.seq = c.seq
			WHERE c.room_id = changes_after.room_id AND c.change > after
			WINDOW w AS (ORDER BY c.change)
			ORDER BY c.change LIMIT CASE WHEN bytes > 0 THEN most + 1 ELSE 1 END) AS s) AS t;
END
$$;

COMMENT ON FUNCTION rt_private.changes_after(bigint, bigint, integer, bigint) IS 'messages of a room that changed after a number, as they are now';

CREATE FUNCTION rt_private.sync_one(actor text, room bigint, after bigint, after_change bigint, most integer, bytes bigint,
	OUT part json, OUT size bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.room_members;
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
	IF after IS NOT NULL OR after_change IS NULL THEN
		SELECT * INTO found_page FROM rt_private.page_after(room, coalesce(after, 0), NULL, most, bytes);
		size := found_page.size;
		parts := parts || jsonb_build_object('messages', found_page.page, 'lastSeq', found_page.last_seq, 'hasMore', found_page.has_more);
	ELSE
		parts := parts || jsonb_build_object('lastSeq', (SELECT r.last_seq FROM rt.rooms AS r WHERE r.id = room), 'hasMore', false);
	END IF;
	IF after_change IS NOT NULL OR after IS NULL THEN
		SELECT * INTO changes FROM rt_private.changes_after(room, greatest(coalesce(after_change, 0), m.first_change), most, bytes - size);
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
	RETURN json_build_object('success', error IS NULL, 'rooms', CASE WHEN cardinality(parts) > 0 THEN array_to_json(parts) ELSE '[]' END)::jsonb
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
