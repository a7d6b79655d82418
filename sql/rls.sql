-- An application's role sees and writes what the acting user may, and no more.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;
SELECT rt.create_user('r-ann', 'Ann', 'secret'), rt.create_user('r-bob', 'Bob'), rt.create_user('r-eve', 'Eve');
SELECT rt.create_room('Ours', ARRAY['r-ann', 'r-bob']) AS room \gset
SELECT rt.create_room('Theirs', ARRAY['r-eve']) AS other \gset
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:room, 'r-ann', 'a'), (:room, 'r-bob', 'b'), (:other, 'r-eve', 'e');
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (:room, 1, 'r-bob', 'x'), (:other, 1, 'r-eve', 'x');
INSERT INTO rt.presence (user_id) VALUES ('r-ann'), ('r-bob'), ('r-eve');
SELECT rt.mark_seen(:room, 'r-bob', ARRAY[1]::bigint[]) = '{1}' AS seen;

-- nobody: nothing
SET ROLE rt_app;
SELECT (SELECT count(*) FROM rt.rooms) + (SELECT count(*) FROM rt.room_members) + (SELECT count(*) FROM rt.messages)
    + (SELECT count(*) FROM rt.reactions) + (SELECT count(*) FROM rt.receipts) + (SELECT count(*) FROM rt.presence) AS rows,
    (SELECT count(*) FROM rt.users) AS users;

-- ann reads her own room
SET rt.user_id = 'r-ann';
SELECT id = :room AS ours, name FROM rt.rooms WHERE id IN (:room, :other);
SELECT user_id, role FROM rt.room_members WHERE room_id IN (:room, :other) ORDER BY 1;
SELECT content FROM rt.messages WHERE room_id IN (:room, :other) ORDER BY seq;
SELECT user_id, emoji FROM rt.reactions WHERE room_id IN (:room, :other);
SELECT seq, user_id FROM rt.receipts WHERE room_id IN (:room, :other);
SELECT user_id FROM rt.presence WHERE user_id LIKE 'r-%' ORDER BY 1;
SELECT id, username, name FROM rt.users WHERE id LIKE 'r-%' ORDER BY 1;
SELECT password_hash FROM rt.users;
SELECT * FROM rt_private.keys;
SELECT * FROM rt.events;

-- a policy asks for the rooms once a statement, not once a row
DO $$
DECLARE
    line text;
BEGIN
    FOREACH line IN ARRAY ARRAY['rooms', 'room_members', 'messages', 'reactions', 'receipts'] LOOP
        FOR line IN EXECUTE 'EXPLAIN SELECT FROM rt.' || line LOOP
            IF line ~ 'is_member|trusted|own_rooms' THEN RAISE EXCEPTION '%', line; END IF;
        END LOOP;
    END LOOP;
END
$$;

-- ann writes as herself
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:room, 'r-ann', 'mine') RETURNING seq;
SELECT rt.send_message(:room, 'r-ann', 'by function') AS seq;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:room, 'r-bob', 'forged');
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:other, 'r-ann', 'stranger');
INSERT INTO rt.messages (room_id, seq, sender_id, content) VALUES (:room, 1, 'r-ann', 'old number');
UPDATE rt.messages SET content = 'edited' WHERE room_id = :room AND seq = 1 RETURNING seq;
UPDATE rt.messages SET content = 'not mine' WHERE room_id = :room AND seq = 2 RETURNING seq;
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (:room, 2, 'r-ann', 'y') RETURNING emoji;
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (:room, 2, 'r-bob', 'y');
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (:other, 1, 'r-ann', 'y');
DELETE FROM rt.reactions WHERE user_id = 'r-bob' RETURNING emoji;
SELECT rt.mark_seen(:room, 'r-ann', ARRAY[2]::bigint[]);
SELECT rt.mark_seen(:room, 'r-bob', ARRAY[3]::bigint[]);
INSERT INTO rt.receipts (room_id, seq, user_id, seen_at) VALUES (:room, 3, 'r-bob', now());
SELECT rt.set_status('r-ann', 'away'), rt.set_status('r-bob', 'away');
UPDATE rt.presence SET status_message = 'hello' WHERE user_id LIKE 'r-%' RETURNING user_id;
UPDATE rt.users SET name = 'Anna' WHERE id LIKE 'r-%' RETURNING id;
UPDATE rt.users SET id = 'r-root' WHERE id = 'r-ann';
UPDATE rt.rooms SET name = 'Ours!' WHERE id IN (:room, :other) RETURNING name;
UPDATE rt.rooms SET last_seq = 99 WHERE id = :room;
SELECT rt.broadcast(:room, 'ping', '{}');
SELECT rt.broadcast(:other, 'ping', '{}');

-- an admin adds and removes; a member does not
INSERT INTO rt.room_members (room_id, user_id) VALUES (:room, 'r-eve') RETURNING user_id, role;
SET rt.user_id = 'r-bob';
INSERT INTO rt.room_members (room_id, user_id) VALUES (:other, 'r-bob');
UPDATE rt.room_members SET role = 'admin' WHERE user_id = 'r-bob' RETURNING role;
DELETE FROM rt.room_members WHERE user_id = 'r-eve' RETURNING user_id;
DELETE FROM rt.messages WHERE room_id = :room AND seq = 1;
DELETE FROM rt.rooms WHERE id = :room RETURNING name;
DELETE FROM rt.room_members WHERE room_id = :room AND user_id = 'r-bob' RETURNING user_id; -- leaves
SELECT count(*) AS visible FROM rt.messages WHERE room_id = :room;
SELECT rt.create_room('New', ARRAY['r-bob', 'r-eve']) > 0 AS made;
SELECT rt.create_room('New', ARRAY['r-eve', 'r-bob']);
SELECT rt.issue_token('r-ann');
SELECT rt.create_user('r-new', 'New');
SELECT rt.set_password('r-ann', 'stolen');
SELECT rt.disconnect_user('r-ann', 'x');
SELECT rt_api.rooms_list('r-ann', '{}');
SELECT rt_private.emit('x', '{"users":["r-ann"]}', '{}');
RESET ROLE;
RESET rt.user_id;

-- a role without grants
CREATE ROLE r_stranger;
SET ROLE r_stranger;
SELECT count(*) FROM rt.messages;
SELECT rt.issue_token('r-ann');
SELECT rt_api.rooms_list('r-ann', '{}');
RESET ROLE;
DROP ROLE r_stranger;

-- what a room's settings and blocks forbid, they forbid to applications too
SELECT rt.create_room('Rules', ARRAY['r-ann', 'r-bob']) AS rules \gset
INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES (:rules, 'r-ann', 'old', NULL), (:rules, 'r-bob', 'reply', 1);
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (:rules, 1, 'r-ann', 'x');
INSERT INTO rt.pins (room_id, seq, pinned_by) VALUES (:rules, 1, 'r-ann');
INSERT INTO rt.blocks (user_id, blocked_id) VALUES ('r-eve', 'r-ann');
SET ROLE rt_app;
SET rt.user_id = 'r-ann';
INSERT INTO rt.room_members (room_id, user_id) VALUES (:rules, 'r-eve'); -- who has blocked ann
SET rt.user_id = 'r-bob';
INSERT INTO rt.room_members (room_id, user_id) VALUES (:rules, 'r-eve');
SELECT rt.set_notifications(:rules, 'r-bob', 'mentions');
SELECT rt.set_notifications(:rules, 'r-bob', 'loud');
SELECT rt.set_notifications(:rules, 'r-ann', 'none');
SELECT rt.set_notifications(:other, 'r-bob', 'none');
RESET ROLE;
UPDATE rt.rooms SET who_may_add = 'members', history = 'joined' WHERE id = :rules;
SET ROLE rt_app;
INSERT INTO rt.room_members (room_id, user_id, role) VALUES (:rules, 'r-eve', 'admin');
INSERT INTO rt.room_members (room_id, user_id) VALUES (:rules, 'r-eve') RETURNING role;
SET rt.user_id = 'r-eve';
SELECT (SELECT count(*) FROM rt.messages WHERE room_id = :rules) AS messages, (SELECT count(*) FROM rt.reactions WHERE room_id = :rules) AS reactions,
    (SELECT count(*) FROM rt.pins WHERE room_id = :rules) AS pins, (SELECT count(*) FROM rt.threads WHERE room_id = :rules) AS threads;
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (:rules, 1, 'r-eve', 'y');
INSERT INTO rt.pins (room_id, seq, pinned_by) VALUES (:rules, 2, 'r-eve');
RESET ROLE;
UPDATE rt.rooms SET archived = true WHERE id = :rules;
SET ROLE rt_app;
SET rt.user_id = 'r-bob';
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (:rules, 1, 'r-bob', 'y');
UPDATE rt.messages SET content = 'changed' WHERE room_id = :rules AND seq = 2;
UPDATE rt.messages SET deleted_at = now() WHERE room_id = :rules AND seq = 2 RETURNING content;
SET rt.user_id = 'r-ann';
DELETE FROM rt.reactions WHERE room_id = :rules RETURNING emoji;
RESET ROLE;
RESET rt.user_id;

-- what was written in spite of all
SELECT seq, sender_id, content, deleted_at IS NOT NULL AS deleted FROM rt.messages WHERE room_id = :room ORDER BY seq;
DELETE FROM rt.rooms WHERE id IN (:room, :other) OR created_by LIKE 'r-%';
DELETE FROM rt.users WHERE id LIKE 'r-%';
