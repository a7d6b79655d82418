-- Messages, reactions and receipts.
--
-- A message's number is given by the triggers in C (extension/message.c): gapless, in commit order.  Nothing else may
-- fire for each inserted row, and nothing be a CHECK: this is the path that must be fast (extension/message_check.h).

-- It grows without end, and a fifth of it, the default, is ten million rows at fifty: autovacuum comes after a fiftieth, of changes
-- and of new rows too, which it freezes while they are in memory and whose words it merges into the search index.
CREATE TABLE rt.messages (
	room_id bigint NOT NULL REFERENCES rt.rooms (id) ON DELETE CASCADE,
	seq bigint NOT NULL DEFAULT (-9223372036854775808), -- the trigger's number: defaults tell tools that both may be left out
	sender_id text REFERENCES rt.users (id) ON DELETE SET NULL,
	content text NOT NULL DEFAULT '',
	message_type text NOT NULL DEFAULT 'text',
	metadata jsonb,
	reply_to bigint,
	client_id text,
	created_at timestamptz NOT NULL DEFAULT '-infinity',
	edited_at timestamptz,
	deleted_at timestamptz,
	PRIMARY KEY (room_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE UNIQUE INDEX messages_client_id_key ON rt.messages (room_id, sender_id, client_id) WHERE client_id IS NOT NULL;
CREATE INDEX messages_sender_id_idx ON rt.messages (sender_id, room_id, seq);
CREATE INDEX messages_reply_to_idx ON rt.messages (room_id, reply_to) WHERE reply_to IS NOT NULL;

-- The words of a text without case and accents, and pairs of characters where a script does not divide words (extension/messages/search.c).
-- To make the entry of a text takes some microseconds for each word: the cost makes the planner use the index rather than compute it for each
-- message of a room.
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
COMMENT ON TABLE rt.messages IS 'messages; an INSERT of room_id, sender_id and content sends one';
COMMENT ON COLUMN rt.messages.room_id IS 'the room';
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
SELECT pg_catalog.pg_extension_config_dump('rt.messages', '');

-- ---- JSON ----------------------------------------------------------------------

CREATE FUNCTION rt_private.message_json(m rt.messages) RETURNS json
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'rt_message_json';
COMMENT ON FUNCTION rt_private.message_json(rt.messages) IS 'a message as clients get it';

CREATE FUNCTION rt_private.message_payload(m rt.messages) RETURNS json
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'rt_message_payload_json';
COMMENT ON FUNCTION rt_private.message_payload(rt.messages) IS 'the payload of new-chat-message';

CREATE FUNCTION rt_private.message_id(room_id bigint, seq bigint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
	RETURN room_id::text || '-' || seq::text;
COMMENT ON FUNCTION rt_private.message_id(bigint, bigint) IS 'a message''s id as clients get it';

-- { type, roomId, data: { messageId, roomId, …, timestamp }, timestamp }
CREATE FUNCTION rt_private.message_event(event text, kind text, room_id bigint, seq bigint, data jsonb) RETURNS void
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

-- ---- sending -------------------------------------------------------------------

CREATE FUNCTION rt_private.messages_before_insert() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_messages_before_insert';
COMMENT ON FUNCTION rt_private.messages_before_insert() IS 'checks a message and assigns its number';
CREATE FUNCTION rt_private.messages_after_insert() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_messages_after_insert';
COMMENT ON FUNCTION rt_private.messages_after_insert() IS 'emits new-chat-message';
CREATE FUNCTION rt_private.messages_after_statement() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_messages_after_statement';
COMMENT ON FUNCTION rt_private.messages_after_statement() IS 'stores the room''s last number';

-- The last of its kind, whatever other triggers an application adds: see extension/message.c.
CREATE TRIGGER zz_rt_before_insert BEFORE INSERT ON rt.messages FOR EACH ROW
	EXECUTE FUNCTION rt_private.messages_before_insert();
COMMENT ON TRIGGER zz_rt_before_insert ON rt.messages IS 'checks a message and assigns its number';
CREATE TRIGGER rt_after_insert AFTER INSERT ON rt.messages FOR EACH ROW
	EXECUTE FUNCTION rt_private.messages_after_insert();
COMMENT ON TRIGGER rt_after_insert ON rt.messages IS 'emits new-chat-message';
CREATE TRIGGER zz_rt_after_statement AFTER INSERT ON rt.messages FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.messages_after_statement();
COMMENT ON TRIGGER zz_rt_after_statement ON rt.messages IS 'stores the room''s last number';

-- Of the foreign keys the check at INSERT alone: rt_after_insert does it (extension/reference.c).
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

CREATE FUNCTION rt.send_message(room bigint, sender text, content text, message_type text DEFAULT 'text',
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

CREATE FUNCTION rt_private.message_fault(message_type text, metadata jsonb, client_id text) RETURNS text
LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'rt_message_fault';
COMMENT ON FUNCTION rt_private.message_fault(text, jsonb, text) IS 'why a message cannot be stored; null if it can';

-- ---- changing and deleting -----------------------------------------------------------

CREATE FUNCTION rt_private.messages_before_update() RETURNS trigger
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
CREATE TRIGGER rt_before_update BEFORE UPDATE ON rt.messages FOR EACH ROW
	EXECUTE FUNCTION rt_private.messages_before_update();
COMMENT ON TRIGGER rt_before_update ON rt.messages IS 'checks a change to a message';

CREATE FUNCTION rt_private.messages_after_update() RETURNS trigger
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
CREATE TRIGGER rt_after_update AFTER UPDATE ON rt.messages FOR EACH ROW
	WHEN (OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.edited_at IS DISTINCT FROM NEW.edited_at)
	EXECUTE FUNCTION rt_private.messages_after_update();
COMMENT ON TRIGGER rt_after_update ON rt.messages IS 'notes a change and emits chat-message-edited or chat-message-deleted';

-- Superusers may do without the trigger that refuses this.  A search then does not rely on the order any more.
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

-- ---- reactions -------------------------------------------------------------------

CREATE TABLE rt.reactions (
	room_id bigint NOT NULL,
	seq bigint NOT NULL,
	user_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	emoji text NOT NULL CHECK (octet_length(emoji) BETWEEN 1 AND 64 AND emoji !~ '[[:cntrl:]]' AND emoji NOT IN ('.', '..')),
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (room_id, seq, user_id, emoji),
	FOREIGN KEY (room_id, seq) REFERENCES rt.messages (room_id, seq) ON DELETE CASCADE
);
CREATE INDEX reactions_user_id_idx ON rt.reactions (user_id);
COMMENT ON TABLE rt.reactions IS 'reactions to messages; INSERT and DELETE tell the room';
COMMENT ON COLUMN rt.reactions.room_id IS 'the room';
COMMENT ON COLUMN rt.reactions.seq IS 'the message';
COMMENT ON COLUMN rt.reactions.user_id IS 'the user';
COMMENT ON COLUMN rt.reactions.emoji IS 'the emoji';
COMMENT ON COLUMN rt.reactions.created_at IS 'when it happened';
COMMENT ON INDEX rt.reactions_user_id_idx IS 'used when a user is deleted';
SELECT pg_catalog.pg_extension_config_dump('rt.reactions', '');

CREATE FUNCTION rt_private.reactions_before_insert() RETURNS trigger
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
COMMENT ON FUNCTION rt_private.reactions_before_insert() IS 'refuses a reaction to a deleted message';
CREATE TRIGGER rt_before_insert BEFORE INSERT ON rt.reactions FOR EACH ROW
	EXECUTE FUNCTION rt_private.reactions_before_insert();
COMMENT ON TRIGGER rt_before_insert ON rt.reactions IS 'refuses a reaction to a deleted message';

CREATE FUNCTION rt_private.reactions_after_change() RETURNS trigger
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
CREATE TRIGGER rt_after_change AFTER INSERT OR DELETE ON rt.reactions FOR EACH ROW
	EXECUTE FUNCTION rt_private.reactions_after_change();
COMMENT ON TRIGGER rt_after_change ON rt.reactions IS 'notes a change and emits chat-message-reaction';

CREATE FUNCTION rt_private.reactions_before_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'a reaction cannot be changed' USING ERRCODE = 'RT400', HINT = 'Delete it and insert another.';
END
$$;
COMMENT ON FUNCTION rt_private.reactions_before_update() IS 'refuses to change a reaction';
CREATE TRIGGER rt_before_update BEFORE UPDATE ON rt.reactions FOR EACH ROW
	EXECUTE FUNCTION rt_private.reactions_before_update();
COMMENT ON TRIGGER rt_before_update ON rt.reactions IS 'refuses to change a reaction';

-- ---- receipts --------------------------------------------------------------------
--
-- Kept as ranges: who reads a room marks a screenful at a time, and one row holds it.  A range that follows another of
-- the same member within ten seconds is added to it, so a receipt's time is exact to ten seconds.

-- The last range of a member grows in its place, hence the free space.  The table grows as rt.messages does.
CREATE TABLE rt_private.receipt_ranges (
	room_id bigint NOT NULL,
	user_id text NOT NULL,
	kind "char" NOT NULL CHECK (kind IN ('d', 's')),
	seq_from bigint NOT NULL,
	seq_to bigint NOT NULL CHECK (seq_to >= seq_from),
	at timestamptz NOT NULL,
	PRIMARY KEY (room_id, user_id, kind, seq_from),
	FOREIGN KEY (room_id, user_id) REFERENCES rt.room_members (room_id, user_id) ON DELETE CASCADE
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE rt_private.receipt_ranges IS 'receipts for ranges of messages; rt.receipts shows them one by one';
COMMENT ON COLUMN rt_private.receipt_ranges.room_id IS 'the room';
COMMENT ON COLUMN rt_private.receipt_ranges.user_id IS 'the user who got or saw the messages';
COMMENT ON COLUMN rt_private.receipt_ranges.kind IS 'd: delivered, s: seen';
COMMENT ON COLUMN rt_private.receipt_ranges.seq_from IS 'the first message';
COMMENT ON COLUMN rt_private.receipt_ranges.seq_to IS 'the last message';
COMMENT ON COLUMN rt_private.receipt_ranges.at IS 'when it happened';
SELECT pg_catalog.pg_extension_config_dump('rt_private.receipt_ranges', '');

-- Those of seqs that the member has no receipt of this kind for, in order.  One plan for all calls: planning takes longer than the rest.
CREATE FUNCTION rt_private.receipts_missing(room_id bigint, user_id text, kind "char", seqs bigint[]) RETURNS bigint[]
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

-- seqs: none of them has one.  The member's row is locked, so two devices do not write the same.
CREATE FUNCTION rt_private.receipts_add(room_id bigint, user_id text, kind "char", seqs bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	run record;
BEGIN
	FOR run IN
		SELECT min(t.seq) AS lo, max(t.seq) AS hi
		FROM (SELECT s.seq, s.seq - row_number() OVER (ORDER BY s.seq) AS island
			FROM (SELECT DISTINCT unnest(receipts_add.seqs) AS seq) AS s) AS t
		GROUP BY t.island ORDER BY 1
	LOOP
		UPDATE rt_private.receipt_ranges AS r SET seq_to = run.hi
		WHERE r.room_id = receipts_add.room_id AND r.user_id = receipts_add.user_id AND r.kind = receipts_add.kind
			AND r.seq_from = (SELECT p.seq_from FROM rt_private.receipt_ranges AS p
				WHERE p.room_id = receipts_add.room_id AND p.user_id = receipts_add.user_id
					AND p.kind = receipts_add.kind AND p.seq_from < run.lo
				ORDER BY p.seq_from DESC LIMIT 1)
			AND r.seq_to = run.lo - 1 AND r.at > clock_timestamp() - interval '10 s';
		IF NOT FOUND THEN
			INSERT INTO rt_private.receipt_ranges (room_id, user_id, kind, seq_from, seq_to, at)
			VALUES (receipts_add.room_id, receipts_add.user_id, receipts_add.kind, run.lo, run.hi, clock_timestamp());
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.receipts_add(bigint, text, "char", bigint[]) IS 'stores missing receipts';

-- Those of seqs that are the room's; an unknown one refuses all.
CREATE FUNCTION rt_private.receipts_check(room_id bigint, user_id text, seqs bigint[]) RETURNS bigint[]
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

-- Locks the membership.  Whoever will write to the row lets the UPDATE lock it: with a lock of its own before that, in a transaction of
-- many subtransactions, each version of the row has a MultiXact, which takes ten times as long to look past.
CREATE FUNCTION rt_private.lock_member(room_id bigint, user_id text) RETURNS rt.room_members
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

CREATE FUNCTION rt_private.mark_seen(room bigint, user_id text, seqs bigint[], except_socket text) RETURNS bigint[]
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

CREATE FUNCTION rt_private.mark_delivered(room bigint, user_id text, seqs bigint[], except_socket text) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.room_members := rt_private.lock_member(room, mark_delivered.user_id);
	fresh bigint[];
BEGIN
	fresh := rt_private.receipts_missing(m.room_id, mark_delivered.user_id, 'd',
		rt_private.receipts_check(room, mark_delivered.user_id, seqs));
	PERFORM rt_private.receipts_add(room, mark_delivered.user_id, 'd', fresh);
	PERFORM rt_private.message_event('chat-message-delivered', 'message-delivered', room, s,
		jsonb_build_object('deliveredTo', mark_delivered.user_id))
	FROM unnest(fresh) AS s;
	RETURN fresh;
END
$$;
COMMENT ON FUNCTION rt_private.mark_delivered(bigint, text, bigint[], text) IS 'marks messages as delivered and tells the room; returns those that were not yet';

CREATE FUNCTION rt_private.check_self(user_id text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.trusted() AND check_self.user_id IS DISTINCT FROM rt_private.actor() THEN
		RAISE EXCEPTION 'only the acting user may do this' USING ERRCODE = 'RT403';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.check_self(text) IS 'refuses to act for another user';

CREATE FUNCTION rt.mark_seen(room bigint, user_id text, seqs bigint[]) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_self(mark_seen.user_id);
	RETURN rt_private.mark_seen(room, mark_seen.user_id, seqs, NULL);
END
$$;
COMMENT ON FUNCTION rt.mark_seen(bigint, text, bigint[]) IS 'marks messages as seen by a member; returns those that were not yet';

CREATE FUNCTION rt.mark_delivered(room bigint, user_id text, seqs bigint[]) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_self(mark_delivered.user_id);
	RETURN rt_private.mark_delivered(room, mark_delivered.user_id, seqs, NULL);
END
$$;
COMMENT ON FUNCTION rt.mark_delivered(bigint, text, bigint[]) IS 'marks messages as delivered to a member; returns those that were not yet';

CREATE VIEW rt.receipts WITH (security_barrier) AS
	SELECT r.room_id, s.seq, r.user_id,
		min(r.at) FILTER (WHERE r.kind = 'd') AS delivered_at,
		min(r.at) FILTER (WHERE r.kind = 's') AS seen_at
	FROM rt_private.receipt_ranges AS r, LATERAL generate_series(r.seq_from, r.seq_to) AS s (seq)
	-- Written out, since functions here would need rights of whoever reads the view: SELECT on it is enough.  Who is not in
	-- rt_app has that by a grant of its own, and sees all.
	WHERE (SELECT NOT pg_has_role(c.name, 'rt_app', 'MEMBER') OR pg_has_role(c.name, n.nspowner, 'USAGE')
			FROM pg_namespace AS n, LATERAL (SELECT CASE WHEN current_setting('role') = 'none' THEN session_user
				ELSE current_setting('role')::name END) AS c (name)
			WHERE n.nspname = 'rt')
		OR r.room_id = ANY ((SELECT ARRAY(SELECT m.room_id FROM rt.room_members AS m
			WHERE m.user_id = nullif(current_setting('rt.user_id', true), '')))::bigint[])
	GROUP BY r.room_id, s.seq, r.user_id;
COMMENT ON VIEW rt.receipts IS 'receipts: when each message was delivered to, and seen by, each member; INSERT and UPDATE mark messages';
COMMENT ON COLUMN rt.receipts.room_id IS 'the room';
COMMENT ON COLUMN rt.receipts.seq IS 'the message';
COMMENT ON COLUMN rt.receipts.user_id IS 'the member';
COMMENT ON COLUMN rt.receipts.delivered_at IS 'when it was delivered; null if unknown';
COMMENT ON COLUMN rt.receipts.seen_at IS 'when it was seen; null if not yet';

CREATE FUNCTION rt_private.receipts_instead() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_self(NEW.user_id);
	IF NEW.delivered_at IS NOT NULL THEN
		PERFORM rt_private.mark_delivered(NEW.room_id, NEW.user_id, ARRAY[NEW.seq], NULL);
	END IF;
	IF NEW.seen_at IS NOT NULL THEN
		PERFORM rt_private.mark_seen(NEW.room_id, NEW.user_id, ARRAY[NEW.seq], NULL);
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.receipts_instead() IS 'marks messages on INSERT or UPDATE, with the time of the statement';
CREATE TRIGGER rt_instead INSTEAD OF INSERT OR UPDATE ON rt.receipts FOR EACH ROW
	EXECUTE FUNCTION rt_private.receipts_instead();
COMMENT ON TRIGGER rt_instead ON rt.receipts IS 'marks messages on INSERT or UPDATE, with the time of the statement';
