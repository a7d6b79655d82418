-- Many replies to one message in one transaction: its thread is counted in time that rises with their number, not with its square.
\set ON_ERROR_STOP off
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;
INSERT INTO rt.users (id, username, name) VALUES ('rep-0', 'rep-0', 'Replier');
SELECT rt.create_room('replies', ARRAY['rep-0']) AS room \gset
SELECT set_config('test.room', :'room', false) \gset
CREATE FUNCTION pg_temp.reply(seq bigint) RETURNS void LANGUAGE sql AS $$
	INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES (current_setting('test.room')::bigint, 'rep-0', 'yes', seq)
$$;
-- Looked for by its key, a row is met with the entries of all versions before it: more than 3,000 times here.
CREATE FUNCTION pg_temp.looked_at(index regclass) RETURNS bigint LANGUAGE sql AS $$
	SELECT pg_stat_get_xact_numscans(index) + pg_stat_get_xact_tuples_returned(index)
$$;
CREATE FUNCTION pg_temp.threads() RETURNS TABLE (seq bigint, replies bigint, last bigint, at boolean, right_count boolean) LANGUAGE sql AS $$
	SELECT t.seq, t.replies, t.last_reply_seq,
		t.last_reply_at = (SELECT m.created_at FROM rt.messages AS m WHERE m.room_id = t.room_id AND m.seq = t.last_reply_seq),
		(t.replies, t.last_reply_seq) = (SELECT count(*), max(m.seq) FROM rt.messages AS m
			WHERE m.room_id = t.room_id AND m.reply_to = t.seq AND m.deleted_at IS NULL)
	FROM rt.threads AS t WHERE t.room_id = current_setting('test.room')::bigint ORDER BY t.seq
$$;
\set QUIET off
INSERT INTO rt.messages (room_id, sender_id, content) SELECT :room, 'rep-0', 'Who comes?' FROM generate_series(1, 3);

-- each in a subtransaction, of which every tenth is rolled back; the count is right in between
BEGIN;
DO $$
BEGIN
	FOR i IN 1 .. 700 LOOP
		BEGIN
			PERFORM pg_temp.reply(1);
			IF i % 10 = 0 THEN
				RAISE EXCEPTION USING ERRCODE = '22000';
			END IF;
			IF (SELECT t.replies FROM pg_temp.threads() AS t WHERE i % 100 = 1) <> i - i / 10 THEN
				RAISE 'wrong after %', i;
			END IF;
		EXCEPTION WHEN data_exception THEN
			NULL;
		END;
	END LOOP;
END
$$;
SELECT pg_temp.looked_at('rt.threads_pkey') < 700 AS few;
SELECT pg_temp.looked_at('rt.rooms_pkey') < 700 AS few;
SELECT * FROM pg_temp.threads();
COMMIT;
SELECT * FROM pg_temp.threads();

-- by one statement
BEGIN;
INSERT INTO rt.messages (room_id, sender_id, content, reply_to) SELECT :room, 'rep-0', 'yes', 2 FROM generate_series(1, 700);
SELECT pg_temp.looked_at('rt.threads_pkey') < 700 AS few;
COMMIT;
SELECT * FROM pg_temp.threads();

-- nested savepoints, and threads that are counted anew
BEGIN;
SELECT pg_temp.reply(3), pg_temp.reply(3);
SAVEPOINT a;
SELECT pg_temp.reply(3);
SAVEPOINT b;
SELECT pg_temp.reply(3), pg_temp.reply(1);
RELEASE b;
SELECT pg_temp.reply(3);
SELECT * FROM pg_temp.threads();
ROLLBACK TO a;
SELECT * FROM pg_temp.threads();
SELECT pg_temp.reply(3);
RELEASE a;
SELECT pg_temp.reply(3);
SELECT * FROM pg_temp.threads() WHERE seq = 3;
SAVEPOINT c;
DELETE FROM rt.messages WHERE room_id = :room AND seq = (SELECT max(m.seq) FROM rt.messages AS m WHERE m.room_id = :room);
SELECT pg_temp.reply(3);
SELECT * FROM pg_temp.threads() WHERE seq = 3;
DELETE FROM rt.messages WHERE room_id = :room AND reply_to = 3;
SELECT * FROM pg_temp.threads() WHERE seq = 3;
SELECT pg_temp.reply(3);
SELECT * FROM pg_temp.threads() WHERE seq = 3;
ROLLBACK TO c;
SELECT pg_temp.reply(3);
UPDATE rt.messages SET deleted_at = now() WHERE room_id = :room AND seq = (SELECT max(m.seq) FROM rt.messages AS m WHERE m.room_id = :room);
SELECT pg_temp.reply(3), pg_temp.reply(3);
UPDATE rt.messages SET reply_to = 2 WHERE room_id = :room AND seq = (SELECT max(m.seq) FROM rt.messages AS m WHERE m.room_id = :room);
SELECT pg_temp.reply(2), pg_temp.reply(3);
SELECT * FROM pg_temp.threads();
COMMIT;
SELECT * FROM pg_temp.threads();

-- a truncated table
BEGIN;
SELECT pg_temp.reply(3), pg_temp.reply(3);
SAVEPOINT d;
TRUNCATE rt.messages CASCADE;
SELECT * FROM pg_temp.threads();
ROLLBACK TO d;
SELECT pg_temp.reply(3);
COMMIT;
SELECT * FROM pg_temp.threads();

-- the key of a thread is still checked where it comes in, and goes with its room
INSERT INTO rt.threads VALUES (0, 1, 1, 2, now());
DELETE FROM rt.rooms WHERE id = :room;
SELECT * FROM pg_temp.threads();
\set QUIET on
DELETE FROM rt.users WHERE id = 'rep-0';
