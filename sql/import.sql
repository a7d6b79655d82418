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
UPDATE old_chat SET deleted_at = 'infinity' WHERE id = 2;
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

-- What the search index was given, word by word and in several pieces, is what a scan of the rows finds.
CREATE TABLE old_texts AS SELECT i AS id, 9001 + i % 2 AS room_id, 'imp-ann' AS sender_id, timestamptz '2022-01-01' AS created_at,
	format('often n%s m%s often', i, i % 100) AS content, CASE WHEN i % 10 = 0 THEN timestamptz '2022-01-02' END AS deleted_at
FROM generate_series(1, 8000) AS i;
SET LOCAL maintenance_work_mem = '1MB';
ALTER FUNCTION rt.import_messages(regclass, boolean) RESET maintenance_work_mem;
SELECT rt.import_messages('old_texts');
CREATE TEMP TABLE found (how text, word text, room_id bigint, seq bigint);
PREPARE search(text) AS INSERT INTO found SELECT $1, w, m.room_id, m.seq
	FROM (SELECT unnest(ARRAY['often', 'm7', 'm10', 'n1', 'n2', 'n4711', 'n7999', 'first', 'nowhere']) AS w) AS words,
	LATERAL (SELECT room_id, seq FROM rt.messages WHERE to_tsvector('simple', content) @@ to_tsquery('simple', w)) AS m;
SET LOCAL enable_seqscan = off;
EXECUTE search('index');
SET LOCAL enable_seqscan = on;
SET LOCAL enable_bitmapscan = off;
EXECUTE search('rows');
SELECT how, word, count(*), count(DISTINCT (room_id, seq)) FROM found GROUP BY 1, 2 ORDER BY 2, 1;
SELECT count(*) FROM ((SELECT word, room_id, seq FROM found WHERE how = 'index') EXCEPT (SELECT word, room_id, seq FROM found WHERE how = 'rows')) AS f;
SET LOCAL enable_bitmapscan = on;
-- Rows without a word are in the index too, since a search for what is not there finds them.
SET LOCAL enable_seqscan = off;
SELECT count(*) = (SELECT count(*) FROM rt.messages WHERE content !~ 'often') FROM rt.messages WHERE to_tsvector('simple', content) @@ '!often'::tsquery;
SET LOCAL enable_seqscan = on;
DEALLOCATE search;
ROLLBACK TO s;
-- Without that index, or with one that searches something else.
UPDATE old_chat SET client_id = NULL;
DROP INDEX rt.messages_search_idx;
SELECT rt.import_messages('old_chat');
CREATE INDEX messages_search_idx ON rt.messages USING gin (to_tsvector('english', content));
SELECT rt.import_messages('old_chat');
SET LOCAL enable_seqscan = off;
SELECT count(*) FROM rt.messages WHERE to_tsvector('english', content) @@ 'time'::tsquery;
CREATE INDEX another ON rt.messages USING gin (metadata);
SELECT rt_private.import_rows('INSERT INTO rt.messages SELECT * FROM rt.messages', 'rt.another');
ROLLBACK TO s;
SELECT rt_private.import_rows('SELECT 1', NULL);
ROLLBACK TO s;

-- Many rows of one statement, as a plain INSERT has them: numbers without a hole, and no event.
SET LOCAL rt.suppress_events = on;
INSERT INTO rt.messages (room_id, sender_id, content, created_at)
SELECT 9001 + i % 2, 'imp-ann', 'row ' || i, '2021-01-01' FROM generate_series(1, 1000) i;
SELECT r.id, r.last_seq, count(*), max(m.seq) FROM rt.rooms r JOIN rt.messages m ON m.room_id = r.id WHERE r.id > 9000 GROUP BY r.id ORDER BY 1;
ROLLBACK;
