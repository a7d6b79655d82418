-- Bringing in an existing chat: rt.import_messages(), and plain INSERT with suppressed events.
\set VERBOSITY terse
SET client_min_messages = warning;
BEGIN;
INSERT INTO rt.users (id, username, name) VALUES ('imp-ann', 'imp-ann', 'Ann'), ('imp-bob', 'imp-bob', 'Bob');
INSERT INTO rt.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (9001, 'one'), (9002, 'two');
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (9002, 'imp-ann', 'already there');

CREATE TABLE old_chat (id int, room_id int, sender_id text, content text, created_at timestamptz, deleted_at timestamptz, client_id text);
INSERT INTO old_chat VALUES
	(5, 9001, 'imp-bob', 'third', '2020-01-03', NULL, 'c5'),
	(1, 9001, 'imp-ann', 'first', '2020-01-01', NULL, 'c1'),
	(4, 9002, 'imp-bob', 'gone', '2020-01-02', '2020-01-05', 'c4'),
	(3, 9001, NULL, 'second, of the same time', '2020-01-02', NULL, 'c3'),
	(2, 9002, 'imp-ann', 'other room, @imp-bob', '2020-01-02', NULL, 'c2');
SELECT rt.import_messages('old_chat');
SELECT room_id, seq, sender_id, content, client_id, extract(day FROM created_at AT TIME ZONE 'UTC') AS day, deleted_at IS NOT NULL AS deleted
FROM rt.messages WHERE room_id > 9000 AND client_id IS NOT NULL ORDER BY 1, 2;
SELECT id, last_seq FROM rt.rooms WHERE id > 9000 ORDER BY 1;
SHOW session_replication_role;

-- The rooms go on, and a savepoint takes an import back with its numbers.
SAVEPOINT before;
UPDATE old_chat SET client_id = NULL;
SELECT rt.import_messages('old_chat', rebuild_indexes => true);
SELECT id, last_seq FROM rt.rooms WHERE id > 9000 ORDER BY 1;
SELECT indexrelid::regclass, obj_description(indexrelid, 'pg_class') FROM pg_index
WHERE indrelid = 'rt.messages'::regclass AND indexrelid::regclass::text ~ '(sender_id|search)_idx' ORDER BY 1;
ROLLBACK TO before;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (9001, 'imp-ann', 'next') RETURNING seq;

-- What triggers and keys would refuse is refused.
\set VERBOSITY default
\set SHOW_CONTEXT never
SAVEPOINT s;
UPDATE old_chat SET sender_id = 'imp-nobody' WHERE id = 2;
SELECT rt.import_messages('old_chat');
ROLLBACK TO s;
UPDATE old_chat SET room_id = 8999, created_at = '2019-01-01' WHERE id = 2;
SELECT rt.import_messages('old_chat');
ROLLBACK TO s;
UPDATE old_chat SET content = '' WHERE id = 2;
SELECT rt.import_messages('old_chat');
ROLLBACK TO s;
UPDATE old_chat SET content = repeat('x', 70000) WHERE id = 2;
SELECT rt.import_messages('old_chat');
ROLLBACK TO s;
UPDATE old_chat SET client_id = '' WHERE id = 2;
SELECT rt.import_messages('old_chat');
ROLLBACK TO s;
UPDATE old_chat SET created_at = NULL WHERE id = 2;
SELECT rt.import_messages('old_chat');
ROLLBACK TO s;
-- its client_id is there already
SELECT rt.import_messages('old_chat');
ROLLBACK TO s;
CREATE ROLE imp_role;
GRANT USAGE ON SCHEMA rt TO imp_role;
SET ROLE imp_role;
SELECT rt.import_messages('old_chat');
ROLLBACK TO s;

-- Many rows of one statement, as a plain INSERT has them: numbers without a hole, and no event.
SET LOCAL rt.suppress_events = on;
INSERT INTO rt.messages (room_id, sender_id, content, created_at)
SELECT 9001 + i % 2, 'imp-ann', 'row ' || i, '2021-01-01' FROM generate_series(1, 1000) i;
SELECT r.id, r.last_seq, count(*), max(m.seq) FROM rt.rooms r JOIN rt.messages m ON m.room_id = r.id WHERE r.id > 9000 GROUP BY r.id ORDER BY 1;
ROLLBACK;
