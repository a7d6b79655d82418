-- Many changes of a room's members in one transaction: each event says how many there are, and they are not counted for each.
\set ON_ERROR_STOP off
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;
SELECT set_config('rt.suppress_events', 'on', false) \gset
INSERT INTO rt.users (id, username, name) SELECT 'mem-' || i, 'mem-' || i, 'Member' FROM generate_series(0, 700) AS i;
SELECT set_config('rt.suppress_events', 'off', false) \gset
SELECT rt.create_room('members', ARRAY['mem-0']) AS room \gset
SELECT set_config('test.room', :'room', false) \gset
-- The counts of the room's events, once the relay has logged as many.
CREATE FUNCTION pg_temp.told(events bigint) RETURNS TABLE (n bigint, action text, members bigint)
LANGUAGE plpgsql AS $$
DECLARE
	deadline timestamptz := clock_timestamp() + interval '2 minutes';
BEGIN
	WHILE clock_timestamp() < deadline AND (SELECT count(*) FROM rt.events AS e
		WHERE e.event = 'chat-room-members' AND e.payload::jsonb ->> 'roomId' = current_setting('test.room')) < told.events
	LOOP
		PERFORM pg_sleep(0.05);
	END LOOP;
	RETURN QUERY SELECT row_number() OVER (ORDER BY e.pos), e.payload::jsonb ->> 'action', (e.payload::jsonb ->> 'memberCount')::bigint
	FROM rt.events AS e WHERE e.event = 'chat-room-members' AND e.payload::jsonb ->> 'roomId' = current_setting('test.room');
END
$$;
CREATE FUNCTION pg_temp.rows_read() RETURNS bigint LANGUAGE sql AS $$
	SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relid = 'rt.room_members'::regclass
$$;
\set QUIET off

-- each in a subtransaction, of which every tenth is rolled back
BEGIN;
DO $$
BEGIN
	FOR i IN 1 .. 700 LOOP
		BEGIN
			INSERT INTO rt.room_members (room_id, user_id) VALUES (current_setting('test.room')::bigint, 'mem-' || i);
			IF i % 10 = 0 THEN
				RAISE EXCEPTION USING ERRCODE = '22000';
			END IF;
		EXCEPTION WHEN data_exception THEN
			NULL;
		END;
	END LOOP;
END
$$;
SELECT pg_temp.rows_read() < 100 * 700 AS few;
COMMIT;
SELECT count(*), bool_and(members = n AND action = 'added') AS right FROM pg_temp.told(631);
SELECT count(*) FROM rt.room_members WHERE room_id = :room;

-- nested savepoints, and other changes
BEGIN;
UPDATE rt.room_members SET role = 'admin' WHERE room_id = :room AND user_id = 'mem-1';
SAVEPOINT a;
DELETE FROM rt.room_members WHERE room_id = :room AND user_id IN ('mem-1', 'mem-2', 'mem-3');
SAVEPOINT b;
DELETE FROM rt.room_members WHERE room_id = :room AND user_id = 'mem-4';
RELEASE b;
ROLLBACK TO a;
DELETE FROM rt.room_members WHERE room_id = :room AND user_id IN ('mem-5', 'mem-6');
RELEASE a;
SAVEPOINT c;
INSERT INTO rt.room_members (room_id, user_id) VALUES (:room, 'mem-10'), (:room, 'mem-20'), (:room, 'mem-30');
RELEASE c;
UPDATE rt.room_members SET role = 'member' WHERE room_id = :room AND user_id = 'mem-1';
COMMIT;
SELECT * FROM pg_temp.told(635) WHERE n > 631 ORDER BY n;
SELECT count(*) FROM rt.room_members WHERE room_id = :room;

-- a truncated table is counted anew
BEGIN;
DELETE FROM rt.room_members WHERE room_id = :room AND user_id = 'mem-7';
SAVEPOINT a;
TRUNCATE rt.room_members CASCADE;
INSERT INTO rt.room_members (room_id, user_id) VALUES (:room, 'mem-1');
SELECT rt_private.count_members(:room, 0);
ROLLBACK TO a;
SELECT rt_private.count_members(:room, 0);
INSERT INTO rt.room_members (room_id, user_id) VALUES (:room, 'mem-40');
COMMIT;
SELECT * FROM pg_temp.told(637) WHERE n > 635 ORDER BY n;

\set QUIET on
DELETE FROM rt.rooms WHERE id = :room;
DELETE FROM rt.users WHERE id LIKE 'mem-%';
