-- 47_marks.sql: read marks, and what is unread.

-- How many messages of others a member has not read; counted up to 1,000, so that a list of rooms stays cheap.
CREATE FUNCTION rt_private.unread_count(m rt.room_members) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT count(*) FROM (SELECT FROM rt.messages AS t
		WHERE t.room_id = m.room_id AND t.seq > m.last_read_seq AND t.sender_id IS DISTINCT FROM m.user_id
			AND t.deleted_at IS NULL
		LIMIT 1000) AS few);
END
$$;
COMMENT ON FUNCTION rt_private.unread_count(rt.room_members) IS 'number of a member''s unread messages, without own and deleted ones; at most 1,000';

-- lastSeq says up to where the counts go: a message that commits between this snapshot and our commit may be told first.
CREATE FUNCTION rt_private.read_state(m rt.room_members) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('roomId', m.room_id::text, 'lastReadSeq', m.last_read_seq, 'unreadCount', rt_private.unread_count(m),
		'mentionCount', rt_private.mention_count(m), 'lastSeq', (SELECT r.last_seq FROM rt.rooms AS r WHERE r.id = m.room_id),
		'timestamp', rt_private.iso(clock_timestamp()));
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
	target bigint;
BEGIN
	PERFORM rt_private.check_self(set_read.user_id);
	IF set_read.seq IS NULL OR set_read.seq < 0 THEN
		RAISE EXCEPTION 'seq must be a number' USING ERRCODE = 'RT400';
	END IF;
	m := rt_private.lock_member(room, set_read.user_id);
	SELECT t.* INTO STRICT r FROM rt.rooms AS t WHERE t.id = room;
	target := greatest(least(set_read.seq, r.last_seq), CASE WHEN r.history = 'joined' THEN m.first_seq ELSE 0 END);
	IF target <> m.last_read_seq THEN
		UPDATE rt.room_members AS t SET last_read_seq = target
		WHERE t.room_id = m.room_id AND t.user_id = m.user_id RETURNING t.* INTO m;
	END IF;
	RETURN rt_private.read_state(m);
END
$$;
COMMENT ON FUNCTION rt.set_read(bigint, text, bigint) IS 'sets a member''s read mark, forwards or backwards, at most to the last message';
