-- 47_marks.sql: read marks, and what is unread.

-- How many messages of others a member has not read; counted up to 1,000, so that a list of rooms stays cheap.
-- Without own and deleted ones.  A view and not functions: the list of rooms counts both for each, in one statement.
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

-- lastSeq says up to where the counts go: a message that commits between this snapshot and our commit may be told first.
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
