-- 43_deletions.sql: DELETE FROM rt.messages.
--
-- Rows really go, so that counts, RETURNING, MERGE and foreign keys of others are right.  What stays of each is its place: a row of
-- rt.deleted_messages, from which clients get the message without its text.  INSERT touches nothing of this.  With their room rows go
-- altogether, and so they do under rt.suppress_events, as retention deletes.

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

-- No stored expression names the type of a table that a DBA may add a column to: the server would refuse that.
CREATE FUNCTION rt_private.tombstone(d rt.deleted_messages) RETURNS rt.messages
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_tombstone';
COMMENT ON FUNCTION rt_private.tombstone(rt.deleted_messages) IS 'a removed message as clients get it: without text';

-- Read a room's history from here.  m is the message as clients get it.  Ordered by seq with a LIMIT it reads both primary keys side
-- by side.
CREATE VIEW rt_private.history AS
	SELECT m.room_id, m.seq, m AS m FROM rt.messages AS m
	UNION ALL
	SELECT d.room_id, d.seq, rt_private.tombstone(d)
	FROM rt.deleted_messages AS d;
COMMENT ON VIEW rt_private.history IS 'messages and tombstones';
COMMENT ON COLUMN rt_private.history.room_id IS 'the room';
COMMENT ON COLUMN rt_private.history.seq IS 'the number in the room';
COMMENT ON COLUMN rt_private.history.m IS 'the message; without text if deleted';

CREATE FUNCTION rt_private.messages_after_delete() RETURNS trigger
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

-- The numbers go on, and nobody is told, as by retention.  TRUNCATE rt.rooms CASCADE has emptied the others, too, and still has them open.
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

-- Retention removes tombstones.  A message that a restore puts in its place keeps its change.
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

-- ---- their numbers as changes --------------------------------------------------------
--
-- A trigger of each row would queue an event for each of a million.  One row here, whose trigger is deferred, stands for all that the
-- transaction has deleted.

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
