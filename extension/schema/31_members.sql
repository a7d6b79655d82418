-- 31_members.sql: members that come, go and change their role, by whatever statement; direct rooms that were left.

-- How large the large rooms are, within a tenth: written by statements that change members, so rarely.
CREATE TABLE rt_private.room_sizes (
	room_id bigint PRIMARY KEY REFERENCES rt.rooms (id) ON DELETE CASCADE,
	members bigint NOT NULL
);
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

-- Counted anew only now and then, so that a transaction of many statements does not count the room for each
-- (extension/changes/member_count.c).
CREATE FUNCTION rt_private.count_members(room_id bigint, delta bigint) RETURNS bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_count_members';
COMMENT ON FUNCTION rt_private.count_members(bigint, bigint) IS 'how many members a room has; the statement has added delta of them';

CREATE FUNCTION rt_private.forget_member_counts() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_forget_member_counts';
COMMENT ON FUNCTION rt_private.forget_member_counts() IS 'lets the transaction count members anew';

-- One event for each statement and room.  delta: members added, less those removed; null: unknown.
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

-- A direct room is one of two, also while one of them has left it.
CREATE FUNCTION rt_private.member_count(r rt.rooms) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN CASE WHEN r.kind = 'direct' THEN 2 ELSE (SELECT count(*) FROM rt.room_members AS m WHERE m.room_id = r.id) END;
END
$$;
COMMENT ON FUNCTION rt_private.member_count(rt.rooms) IS 'how many members a room has';

CREATE FUNCTION rt_private.room_members_after_insert() RETURNS trigger
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
CREATE TRIGGER room_members_after_insert AFTER INSERT ON rt.room_members
	REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION rt_private.room_members_after_insert();
COMMENT ON TRIGGER room_members_after_insert ON rt.room_members IS 'emits that members were added; refuses a third member in a direct room';

-- The room's row is locked first, so that of two admins who leave at once the later one sees that the other has left.
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

-- With the room itself went its members; rooms_before_delete() has told them.  The removed leave the room first: they hear
-- room-removed, not the room's event.
CREATE FUNCTION rt_private.room_members_after_delete() RETURNS trigger
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
CREATE TRIGGER room_members_after_delete AFTER DELETE ON rt.room_members
	REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION rt_private.room_members_after_delete();
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

-- ---- direct rooms that were left -------------------------------------------------------

-- Called by the triggers of rt.messages, before the message itself is told, for a room whose row has has_left.
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
