-- The foreign keys of a message: what is refused is what the server's own triggers refuse.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;

SELECT c.conname, string_agg(p.proname, ', ' ORDER BY p.proname) FILTER (WHERE t.tgenabled = 'D') AS disabled,
	string_agg(p.proname, ', ' ORDER BY p.proname COLLATE "C") FILTER (WHERE t.tgenabled <> 'D') AS enabled
FROM pg_constraint c JOIN pg_trigger t ON t.tgconstraint = c.oid JOIN pg_proc p ON p.oid = t.tgfoid
WHERE c.conrelid = 'rt.messages'::regclass AND c.contype = 'f' GROUP BY 1 ORDER BY c.conname COLLATE "C";

BEGIN;
INSERT INTO rt.users (id, username, name) VALUES ('ref-ann', 'ref-ann', 'Ann');
INSERT INTO rt.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (920001, 'references');
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (920001, 'ref-ann', 'one'), (920001, NULL, 'two');

-- a sender who is not there, a room that is not there, with and without a number of its own
SAVEPOINT a;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (920001, 'ref-ann', 'three'), (920001, 'ref-nobody', 'four');
ROLLBACK TO a;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (920002, 'ref-ann', 'nowhere');
ROLLBACK TO a;
INSERT INTO rt.messages (room_id, seq, sender_id, content, created_at) VALUES (920001, 1, 'ref-ann', 'again', now());
ROLLBACK TO a;
UPDATE rt.rooms SET last_seq = 9 WHERE id = 920001;
INSERT INTO rt.messages (room_id, seq, sender_id, content, created_at) VALUES (920001, 5, 'ref-nobody', 'restored', now());
ROLLBACK TO a;
SET LOCAL rt.suppress_events = on;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (920001, 'ref-nobody', 'imported');
ROLLBACK TO a;

-- an answer to what is not there, or is in another room, or comes with it
\set VERBOSITY default
INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES (920001, 'ref-ann', 'to none', 77);
\set VERBOSITY terse
ROLLBACK TO a;
INSERT INTO rt.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (920003, 'elsewhere');
INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES (920003, 'ref-ann', 'across', 2);
ROLLBACK TO a;
INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES (920001, 'ref-ann', 'early', 4), (920001, NULL, 'late', 3)
	RETURNING seq, reply_to;
ROLLBACK TO a;

-- whoever was made by the same statement is there, and whoever was deleted before is not
WITH made AS (INSERT INTO rt.users (id, username, name) VALUES ('ref-bob', 'ref-bob', 'Bob') RETURNING id)
INSERT INTO rt.messages (room_id, sender_id, content) SELECT 920001, id, 'three' FROM made;
DELETE FROM rt.users WHERE id = 'ref-bob';
SAVEPOINT a;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (920001, 'ref-bob', 'four');
ROLLBACK TO a;

-- changes of a message, of a room and of a user go by the server's triggers
UPDATE rt.messages SET sender_id = 'ref-nobody' WHERE room_id = 920001 AND seq = 1;
ROLLBACK TO a;
UPDATE rt.users SET id = 'ref-anna' WHERE id = 'ref-ann';
ROLLBACK TO a;
DELETE FROM rt.users WHERE id = 'ref-ann';
SELECT seq, sender_id, content FROM rt.messages WHERE room_id = 920001 ORDER BY seq;
DELETE FROM rt.rooms WHERE id = 920001;
SELECT count(*) FROM rt.messages WHERE room_id = 920001;
ROLLBACK;

-- another trigger that sends a message elsewhere than where it got its number
BEGIN;
INSERT INTO rt.users (id, username, name) VALUES ('ref-ann', 'ref-ann', 'Ann');
INSERT INTO rt.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (920001, 'references');
CREATE FUNCTION pg_temp.elsewhere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.room_id := 920099; RETURN NEW; END $$;
CREATE TRIGGER zzz_elsewhere BEFORE INSERT ON rt.messages FOR EACH ROW EXECUTE FUNCTION pg_temp.elsewhere();
SAVEPOINT b;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (920001, 'ref-ann', 'astray');
ROLLBACK TO b;
INSERT INTO rt.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (920099, 'elsewhere');
\set VERBOSITY default
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (920001, 'ref-ann', 'astray');
\set VERBOSITY terse
ROLLBACK TO b;
DROP TRIGGER zzz_elsewhere ON rt.messages;

-- times that JSON has no form for
INSERT INTO rt.messages (room_id, sender_id, content, created_at) VALUES (920001, 'ref-ann', 'for ever', 'infinity');
ROLLBACK TO b;
INSERT INTO rt.messages (room_id, sender_id, content, edited_at) VALUES (920001, 'ref-ann', 'carthago', '0146-01-01 BC');
ROLLBACK;
