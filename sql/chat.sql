-- Chat by plain SQL: users, rooms, messages, changes, reactions, receipts, presence, and the events of each.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;

-- ---- users -------------------------------------------------------------------
SELECT rt.create_user('c-ann', 'Ann', 'pässword'), rt.create_user('c-bob', 'Bob', username => 'c.Bob'), rt.create_user('c-cat', 'Cat');
SELECT rt.create_user('c-ann', 'Again');                    -- taken
SELECT rt.create_user('c-dan', 'Dan', username => 'C.BOB'); -- taken, whatever the case
SELECT rt.create_user('c-dan', 'Dan', username => 'with space');
SELECT rt.create_user('', 'Nobody');
SELECT password_hash LIKE '$2a$%' AS hashed FROM rt.users WHERE id = 'c-ann';
SELECT rt_private.password_matches('pässword', password_hash) AS right, rt_private.password_matches('password', password_hash) AS wrong
FROM rt.users WHERE id = 'c-ann';
SELECT rt_private.password_matches('', password_hash) AS none FROM rt.users WHERE id = 'c-bob';
SELECT rt.set_password('c-bob', repeat('x', 100)), rt.set_password('c-cat', NULL);
SELECT rt_private.password_matches(repeat('x', 100), password_hash) AS right, rt_private.password_matches(repeat('x', 99), password_hash) AS wrong
FROM rt.users WHERE id = 'c-bob';
SELECT rt.set_password('nobody', 'x');
SELECT rt.set_password('c-bob', '');

-- ---- rooms -------------------------------------------------------------------
-- id numbers are not ours to know: name them
SELECT rt.create_room('Chat', ARRAY['c-ann', 'c-bob']) AS room \gset
SELECT name, kind, created_by, last_seq FROM rt.rooms WHERE id = :room;
SELECT user_id, role, last_read_seq FROM rt.room_members WHERE room_id = :room ORDER BY 1;
SELECT rt.create_room('Nobody', ARRAY['c-ann', 'nobody']);
SELECT rt.create_direct_room('c-ann', 'c-bob') = rt.create_direct_room('c-bob', 'c-ann') AS once;
SELECT rt.create_direct_room('c-ann', 'c-ann');
-- those two and no other, also when one has left; ids with the key's own characters
SELECT rt_private.direct_users(rt_private.direct_key('2:c', 'ö:d')) AS users;
SELECT rt.create_direct_room('c-ann', 'c-bob') AS direct \gset
INSERT INTO rt.room_members (room_id, user_id) VALUES (:direct, 'c-cat');
DELETE FROM rt.room_members WHERE room_id = :direct AND user_id = 'c-bob';
INSERT INTO rt.room_members (room_id, user_id) VALUES (:direct, 'c-cat');
INSERT INTO rt.room_members (room_id, user_id) VALUES (:direct, 'c-bob');
SELECT user_id FROM rt.room_members WHERE room_id = :direct ORDER BY 1;
UPDATE rt.room_members SET user_id = 'c-cat' WHERE room_id = :room AND user_id = 'c-bob';

-- ---- messages ----------------------------------------------------------------
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:room, 'c-ann', 'one'), (:room, 'c-bob', 'two');
SELECT rt.send_message(:room, 'c-ann', 'three', client_id => 'k') AS first, rt.send_message(:room, 'c-ann', 'other', client_id => 'k') AS again;
SELECT rt.send_message(:room, 'c-bob', 'mine', client_id => 'k') AS other_sender;
INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES (:room, 'c-bob', 'five', 1) RETURNING seq, reply_to;
INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES (:room, 'c-bob', 'no such', 99);
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:room, 'c-ann', '');
INSERT INTO rt.messages (room_id, sender_id, content, metadata) VALUES (:room, 'c-ann', '', '{"card": 1}') RETURNING seq;
INSERT INTO rt.messages (room_id, sender_id, content, metadata) VALUES (:room, 'c-ann', 'x', '[1]');
INSERT INTO rt.messages (room_id, sender_id, content, message_type) VALUES (:room, 'c-ann', 'x', '');
INSERT INTO rt.messages (room_id, sender_id, content, message_type) VALUES (:room, 'c-ann', 'x', repeat('x', 65));
INSERT INTO rt.messages (room_id, sender_id, content, client_id) VALUES (:room, 'c-ann', 'x', '');
INSERT INTO rt.messages (room_id, sender_id, content, client_id) VALUES (:room, 'c-ann', 'x', repeat('x', 129));
INSERT INTO rt.messages (room_id, seq, sender_id, content) VALUES (:room, 0, 'c-ann', 'x');
UPDATE rt.messages SET message_type = '' WHERE room_id = :room AND seq = 1;
UPDATE rt.messages SET metadata = '[1]' WHERE room_id = :room AND seq = 1;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:room, 'c-ann', repeat('x', 70000));
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (-1, 'c-ann', 'no room');
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:room, 'nobody', 'no user');
SELECT seq, sender_id, content FROM rt.messages WHERE room_id = :room ORDER BY seq;
SELECT last_seq FROM rt.rooms WHERE id = :room;

-- ---- changes -----------------------------------------------------------------
UPDATE rt.messages SET content = 'ONE' WHERE room_id = :room AND seq = 1;
UPDATE rt.messages SET content = '' WHERE room_id = :room AND seq = 1;
UPDATE rt.messages SET sender_id = 'c-bob' WHERE room_id = :room AND seq = 1;
UPDATE rt.messages SET seq = 100 WHERE room_id = :room AND seq = 1;
DELETE FROM rt.messages WHERE room_id = :room AND seq = 2;
UPDATE rt.messages SET deleted_at = 'infinity' WHERE room_id = :room AND seq = 4;
UPDATE rt.messages SET deleted_at = now() WHERE room_id = :room AND seq = 4;
DELETE FROM rt.messages WHERE room_id = :room AND seq = 2; -- again: nothing
UPDATE rt.messages SET content = 'back' WHERE room_id = :room AND seq = 2;
SELECT seq, (m).content, (m).edited_at IS NOT NULL AS edited, (m).deleted_at IS NOT NULL AS deleted FROM rt_private.history WHERE room_id = :room ORDER BY seq;
SELECT rt_private.message_json(m)::jsonb - '{createdAt,timestamp,roomId,id,messageId,deletedAt}'::text[] AS deleted
FROM rt_private.history WHERE room_id = :room AND seq = 2;

-- ---- reactions ---------------------------------------------------------------
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (:room, 1, 'c-bob', '👍');
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (:room, 1, 'c-bob', '👍') ON CONFLICT DO NOTHING;
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (:room, 2, 'c-bob', '👍'); -- deleted message
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (:room, 99, 'c-bob', '👍');
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (:room, 1, 'c-bob', '');
UPDATE rt.reactions SET emoji = '👎' WHERE room_id = :room;
DELETE FROM rt.reactions WHERE room_id = :room;

-- ---- receipts ----------------------------------------------------------------
SELECT rt.mark_seen(:room, 'c-bob', ARRAY[1, 2, 3]::bigint[]) AS newly; -- 2 is bob's own
SELECT rt.mark_seen(:room, 'c-bob', ARRAY[3, 1, 6]::bigint[]) AS newly;
SELECT rt.mark_seen(:room, 'c-bob', ARRAY[1]::bigint[]) AS newly;
SELECT rt.mark_seen(:room, 'c-bob', ARRAY[1, 99]::bigint[]);
SELECT rt.mark_seen(:room, 'c-cat', ARRAY[1]::bigint[]);
SELECT rt.mark_delivered(:room, 'c-bob', ARRAY[1, 3]::bigint[]) AS newly;
SELECT last_read_seq FROM rt.room_members WHERE room_id = :room AND user_id = 'c-bob';
SELECT seq, user_id, delivered_at IS NOT NULL AS delivered, seen_at IS NOT NULL AS seen FROM rt.receipts WHERE room_id = :room ORDER BY 1, 2;
INSERT INTO rt.receipts (room_id, seq, user_id, seen_at) VALUES (:room, 5, 'c-ann', now());
SELECT seq, seen_at IS NOT NULL AS seen FROM rt.receipts WHERE room_id = :room AND user_id = 'c-ann' ORDER BY 1;
-- runs are one row each
INSERT INTO rt.messages (room_id, sender_id, content) SELECT :room, 'c-ann', 'm' || i FROM generate_series(1, 100) i;
SELECT count(*) FROM unnest(rt.mark_seen(:room, 'c-bob', ARRAY(SELECT generate_series(7, 56)::bigint)));
SELECT count(*) FROM unnest(rt.mark_seen(:room, 'c-bob', ARRAY(SELECT generate_series(57, 106)::bigint)));
SELECT seq_from, seq_to FROM rt_private.receipt_ranges WHERE room_id = :room AND user_id = 'c-bob' AND kind = 's' ORDER BY 1;

-- a DELETE that comes to a row twice
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:room, 'c-ann', 'reacted to') RETURNING seq AS reacted \gset
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (:room, :reacted, 'c-ann', 'x'), (:room, :reacted, 'c-bob', 'y');
DELETE FROM rt.messages m USING rt.reactions r WHERE (r.room_id, r.seq) = (m.room_id, m.seq) AND m.room_id = :room AND m.seq = :reacted;
SELECT (m).content, (m).deleted_at IS NOT NULL AS deleted FROM rt_private.history WHERE room_id = :room AND seq = :reacted;
DO $$ BEGIN DELETE FROM rt.messages WHERE sender_id = 'c-ann'; RAISE 'not so'; EXCEPTION WHEN raise_exception THEN NULL; END $$;
SELECT count(*) > 50 AS stay FROM rt.messages WHERE room_id = :room AND deleted_at IS NULL;
SELECT count(*) AS left_over FROM rt_private.pending_changes;

-- ---- mentions, presence ------------------------------------------------------
SELECT rt.set_status('c-ann', 'busy', 'in a meeting'), rt.set_status('c-ann', 'offline');
SELECT rt.set_status('c-ann', 'busy', 'in a meeting');
SELECT status, chosen, status_message FROM rt.presence WHERE user_id = 'c-ann';

-- ---- events ------------------------------------------------------------------
DO $$
BEGIN
    FOR i IN 1 .. 12000 LOOP
        EXIT WHEN (SELECT ring_used = 0 AND pid IS NOT NULL FROM rt.stat_relay);
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;
SELECT e.event, x.line ->> 'type' AS type, coalesce(x.line -> 'data' ->> 'messageId', x.line ->> 'messageIds') IS NOT NULL AS id, count(*)
FROM rt.events e, LATERAL (SELECT rt_private.event_text(e)::jsonb AS line) x
WHERE e.room_id = :room GROUP BY 1, 2, 3 ORDER BY min(e.pos);
SELECT rt.broadcast(:room, 'score.changed', '{"home": 1}');
SELECT rt.broadcast(:room, 'connect', '{}');
CREATE FUNCTION pg_temp.is_free(room bigint, event text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rt.broadcast(room, event, '{}');
    RETURN true;
EXCEPTION WHEN SQLSTATE 'RT400' THEN
    RETURN false;
END
$$;
SELECT name AS not_reserved FROM unnest(ARRAY[
    'error', 'new-chat-message', 'chat-message-edited', 'chat-notification', 'chat-user-typing', 'chat-rooms-joined', 'messages-seen',
    'messages-seen-acknowledged', 'room-online-users', 'new-message', 'user-typing', 'meeting-joined', 'meeting-updated', 'meeting-ended',
    'participant-joined', 'participant-left', 'participant-media-updated', 'participant-reaction', 'participant-role-updated', 'hand-raised',
    'muted-by-host', 'removed-from-meeting', 'recording-status-changed', 'transport-created', 'transport-connected', 'transport-closed',
    'ice-restarted', 'produced', 'new-producer', 'producer-paused', 'producer-resumed', 'producer-closed', 'consumed', 'consumer-paused',
    'consumer-resumed', 'consumer-closed', 'consumer-score', 'layers-changed', 'active-speaker', 'rt:keys']) AS name
WHERE pg_temp.is_free(:room, name);
SELECT rt.broadcast(:room, 'x', '[]');
SELECT rt.broadcast(-1, 'x', '{}');

-- ---- the end -----------------------------------------------------------------
DELETE FROM rt.room_members WHERE room_id = :room AND user_id = 'c-bob';
SELECT count(*) AS receipts FROM rt_private.receipt_ranges WHERE room_id = :room AND user_id = 'c-bob';
DELETE FROM rt.rooms WHERE id = :room;
SELECT count(*) AS messages FROM rt.messages WHERE room_id = :room;
DELETE FROM rt.users WHERE id LIKE 'c-%';
