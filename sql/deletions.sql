-- DELETE FROM rt.messages tells the truth: rows go, counts are right, and clients keep the places.
\set ON_ERROR_STOP off
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;
INSERT INTO rt.users (id, username, name) VALUES ('del-ann', 'del-ann', 'Ann'), ('del-bob', 'del-bob', 'Bob');
SELECT rt.create_room('deletions', ARRAY['del-ann', 'del-bob']) AS room \gset
INSERT INTO rt.messages (room_id, sender_id, content, client_id) SELECT :room, CASE i % 2 WHEN 0 THEN 'del-bob' ELSE 'del-ann' END, 'm' || i, 'c' || i FROM generate_series(1, 12) i;
INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES (:room, 'del-bob', 'an answer', 2);
CREATE TABLE archive AS SELECT * FROM rt.messages WHERE false;
CREATE TABLE tagged (room_id bigint, seq bigint, tag text, FOREIGN KEY (room_id, seq) REFERENCES rt.messages ON DELETE CASCADE);
CREATE TABLE held (room_id bigint, seq bigint, FOREIGN KEY (room_id, seq) REFERENCES rt.messages);
CREATE FUNCTION shown(room bigint) RETURNS TABLE (seq bigint, content text, reply_to text, deleted boolean) LANGUAGE sql AS $$
	SELECT (e ->> 'seq')::bigint, e ->> 'content', e ->> 'replyTo' IS NOT NULL, e ->> 'deletedAt' IS NOT NULL
	FROM json_array_elements(rt_api.message_list('del-ann', json_build_object('roomId', room, 'limit', 200)::jsonb) -> 'data') e
$$;
\set QUIET off

-- ---- counts, RETURNING, CTEs, MERGE, foreign keys --------------------------------
DELETE FROM rt.messages WHERE room_id = :room AND seq = 1;
DELETE FROM rt.messages WHERE room_id = :room AND seq = 1;
DELETE FROM rt.messages WHERE room_id = :room AND seq = 2 RETURNING seq, content;
WITH gone AS (DELETE FROM rt.messages WHERE room_id = :room AND seq IN (3, 4) RETURNING *) INSERT INTO archive SELECT * FROM gone;
SELECT seq, content FROM archive ORDER BY seq;
INSERT INTO tagged VALUES (:room, 5, 'a'), (:room, 6, 'b');
DELETE FROM rt.messages WHERE room_id = :room AND seq = 5;
SELECT seq, tag FROM tagged;
INSERT INTO held VALUES (:room, 7);
\set VERBOSITY sqlstate
DELETE FROM rt.messages WHERE room_id = :room AND seq = 7;
\set VERBOSITY default
DELETE FROM held;
DELETE FROM rt.messages m USING generate_series(1, 3) i WHERE m.room_id = :room AND m.seq = 7 AND i > 0;
SELECT set_config('del.room', :room::text, false) = '' AS unset;
DO $$
DECLARE
	n bigint;
BEGIN
	IF current_setting('server_version_num')::integer >= 150000 THEN
		EXECUTE $m$MERGE INTO rt.messages m USING (VALUES (8), (9)) AS s (seq) ON m.room_id = current_setting('del.room')::bigint AND m.seq = s.seq
			WHEN MATCHED THEN DELETE$m$;
	ELSE
		DELETE FROM rt.messages WHERE room_id = current_setting('del.room')::bigint AND seq IN (8, 9);
	END IF;
	GET DIAGNOSTICS n = ROW_COUNT;
	RAISE WARNING '% merged', n;
END
$$;
SELECT seq FROM rt.messages WHERE room_id = :room ORDER BY seq;

-- ---- what clients see ----------------------------------------------------------------
SELECT * FROM shown(:room);
SELECT last_seq FROM rt.rooms WHERE id = :room;
SELECT seq, sender_id, deleted_by FROM rt.deleted_messages WHERE room_id = :room ORDER BY seq;
SELECT x ->> 'seq' AS seq, x ->> 'deletedAt' IS NOT NULL AS deleted FROM json_array_elements((rt_api.sync_rooms('del-ann',
	json_build_object('rooms', json_build_array(json_build_object('roomId', :room, 'afterSeq', 0, 'afterChange', 0)))::jsonb)) -> 'rooms' -> 0 -> 'changed') x ORDER BY 1;
SELECT rt_api.message_delete('del-ann', json_build_object('roomId', :room, 'messageId', format('%s-3', :room))::jsonb) ->> 'status' AS again;
\set VERBOSITY sqlstate
SELECT rt_api.message_edit('del-ann', json_build_object('roomId', :room, 'messageId', format('%s-3', :room), 'content', 'x')::jsonb);
SELECT rt_api.reaction_add('del-ann', json_build_object('roomId', :room, 'messageId', format('%s-3', :room), 'emoji', 'x')::jsonb);
INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES (:room, 'del-bob', 'to nobody', 99);
\set VERBOSITY default
INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES (:room, 'del-bob', 'to a deleted one', 4) RETURNING seq, reply_to;
SELECT rt.mark_seen(:room, 'del-ann', ARRAY[2, 4, 6]::bigint[]) AS newly;
-- sent again by its sender, after it was deleted: nothing is sent
SELECT rt_api.message_send('del-bob', json_build_object('roomId', :room, 'content', 'm4', 'clientId', 'c4')::jsonb) ->> 'status' AS again;
SELECT rt.send_message(:room, 'del-bob', 'm4', client_id => 'c4') AS again;
-- soft: the row stays
UPDATE rt.messages SET deleted_at = now() WHERE room_id = :room AND seq = 10;
SELECT seq, content FROM rt.messages WHERE room_id = :room AND seq = 10;
DELETE FROM rt.messages WHERE room_id = :room AND seq = 10;
-- a number that is given again by a restore takes its place
INSERT INTO rt.messages (room_id, seq, sender_id, content, created_at) VALUES (:room, 3, 'del-ann', 'restored', now());
SELECT count(*) FROM rt.deleted_messages WHERE room_id = :room AND seq = 3;
SELECT * FROM shown(:room) WHERE seq = 3;
-- rolled back
BEGIN;
DELETE FROM rt.messages WHERE room_id = :room;
ROLLBACK;
SELECT count(*) FROM shown(:room) WHERE NOT deleted;
-- a trigger of the application's deletes what comes in: its number is not given to another
CREATE FUNCTION moderate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM rt.messages WHERE room_id = NEW.room_id AND seq = NEW.seq; RETURN NULL; END $$;
CREATE TRIGGER aa_moderate AFTER INSERT ON rt.messages FOR EACH ROW WHEN (NEW.content = 'bad word') EXECUTE FUNCTION moderate();
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:room, 'del-bob', 'bad word');
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:room, 'del-bob', 'a good one') RETURNING seq;
DROP TRIGGER aa_moderate ON rt.messages;
DROP FUNCTION moderate();

-- ---- by the thousand; without a trace ---------------------------------------------
INSERT INTO rt.messages (room_id, sender_id, content) SELECT :room, 'del-ann', 'many ' || i FROM generate_series(1, 5000) i;
DELETE FROM rt.messages WHERE room_id = :room AND content LIKE 'many%';
SELECT count(*) FROM rt.deleted_messages WHERE room_id = :room AND seq > 16;
SELECT rt_private.last_change(:room) >= 5000 AS numbered, (SELECT count(*) FROM rt_private.pending_changes) AS pending;
BEGIN;
SET LOCAL rt.suppress_events = on;
DELETE FROM rt.messages WHERE room_id = :room AND seq = 11;
COMMIT;
SELECT count(*) FROM shown(:room) WHERE seq = 11;
-- as a client's role
SET ROLE rt_app;
SET rt.user_id = 'del-bob';
DELETE FROM rt.messages WHERE room_id = :room AND seq IN (12, 13);
SELECT count(*) > 0 AS own_rooms FROM rt.deleted_messages;
SET rt.user_id = 'del-cat';
SELECT count(*) FROM rt.deleted_messages;
DELETE FROM rt.messages WHERE room_id = :room AND seq = 6;
RESET rt.user_id;
RESET ROLE;
-- with the user, and with the room
DELETE FROM rt.users WHERE id = 'del-bob';
SELECT count(*) FROM rt.deleted_messages WHERE room_id = :room AND sender_id = 'del-bob';
DELETE FROM rt.rooms WHERE id = :room;
SELECT count(*) FROM rt.deleted_messages WHERE room_id = :room;
BEGIN;
SELECT rt.create_room('truncated', ARRAY['del-ann']) AS room \gset
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:room, 'del-ann', 'one'), (:room, 'del-ann', 'two');
INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES (:room, 'del-ann', 'three', 2);
DELETE FROM rt.messages WHERE room_id = :room AND seq = 1;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT (SELECT count(*) FROM rt.threads WHERE room_id = :room) AS threads, (SELECT count(*) FROM rt_private.room_changes WHERE room_id = :room) AS changes;
TRUNCATE rt.messages CASCADE;
SELECT (SELECT count(*) FROM rt.deleted_messages) AS places, (SELECT count(*) FROM rt.threads) AS threads,
	(SELECT count(*) FROM rt_private.room_changes) AS changes, (SELECT last_seq FROM rt.rooms WHERE id = :room) AS last_seq;
ROLLBACK;
-- what retention removes leaves no change behind
SELECT rt.create_room('purged', ARRAY['del-ann']) AS room \gset
INSERT INTO rt.messages (room_id, sender_id, content) SELECT :room, 'del-ann', 'm' FROM generate_series(1, 3);
UPDATE rt.messages SET content = 'edited' WHERE room_id = :room AND seq = 1;
DELETE FROM rt.messages WHERE room_id = :room AND seq IN (2, 3);
INSERT INTO rt.messages (room_id, seq, sender_id, content, created_at) VALUES (:room, 3, 'del-ann', 'restored', now());
SELECT seq FROM rt_private.room_changes WHERE room_id = :room ORDER BY 1;
BEGIN;
SET LOCAL rt.suppress_events = on;
DELETE FROM rt.messages WHERE room_id = :room AND seq = 1;
DELETE FROM rt.deleted_messages WHERE room_id = :room;
COMMIT;
SELECT seq FROM rt_private.room_changes WHERE room_id = :room ORDER BY 1;
DELETE FROM rt.rooms WHERE id = :room;

\set QUIET on
DELETE FROM rt.users WHERE id LIKE 'del-%';
DROP TABLE archive, tagged, held;
DROP FUNCTION shown(bigint);
