-- 46_pins_threads.sql: pinned messages; the answers to a message, counted; what a member wants to be notified of.

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

-- The lock conflicts with a deletion's, which removes the pins that it sees.  A pin from before this transaction comes from a dump, and
-- is left out: a release that did not lock may have kept it.
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

-- ---- threads -------------------------------------------------------------------------

CREATE TABLE rt.threads (
	room_id bigint NOT NULL REFERENCES rt.rooms (id) ON DELETE CASCADE,
	seq bigint NOT NULL,
	replies bigint NOT NULL,
	last_reply_seq bigint NOT NULL,
	last_reply_at timestamptz NOT NULL,
	PRIMARY KEY (room_id, seq)
) WITH (fillfactor = 80);
COMMENT ON TABLE rt.threads IS 'messages with replies; maintained by triggers on rt.messages';
COMMENT ON COLUMN rt.threads.room_id IS 'the room';
COMMENT ON COLUMN rt.threads.seq IS 'the message that is replied to';
COMMENT ON COLUMN rt.threads.replies IS 'number of replies, without deleted ones';
COMMENT ON COLUMN rt.threads.last_reply_seq IS 'number of the latest reply';
COMMENT ON COLUMN rt.threads.last_reply_at IS 'when the latest reply was sent';
SELECT pg_catalog.pg_extension_config_dump('rt.threads', '');

-- Of the foreign key the check at UPDATE alone: on_reply() leaves the key as it is.  The check would look for the room's row, behind
-- which there is a version for each subtransaction that has sent a message.
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

-- The version of a thread's row that the transaction has written last (extension/changes/thread_place.c).
CREATE FUNCTION rt_private.thread_place(room_id bigint, seq bigint) RETURNS tid
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_thread_place';
COMMENT ON FUNCTION rt_private.thread_place(bigint, bigint) IS 'where the transaction has written a thread''s row last';

CREATE FUNCTION rt_private.note_thread_place(room_id bigint, seq bigint, place tid) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_note_thread_place';
COMMENT ON FUNCTION rt_private.note_thread_place(bigint, bigint, tid) IS 'remembers where the transaction has written a thread''s row';

-- Called by the triggers of rt.messages, for an answer alone.  The row that the transaction wrote last is found by its place: behind
-- its key there is a version for each reply before.  What is at the place is not the row any more where the row was deleted
-- meanwhile.  A table of one page would be read as a whole, and the plan kept while it grows.
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

-- A message that was deleted is pinned no more, and answers nothing.
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

-- Retention, which deletes under rt.suppress_events, takes the threads and changes of what it deletes along.
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

-- ---- notifications of a room -----------------------------------------------------------

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

-- ---- for the policies of applications --------------------------------------------------

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

-- As the API does: a room that is archived takes no edit and no reaction, and what the history hides takes nothing.
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
