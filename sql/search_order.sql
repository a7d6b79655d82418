-- Rooms whose messages do not rise in time are known, and searches find all of them (extension/messages/order.h).
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;
BEGIN;
INSERT INTO rt.users (id, username, name) VALUES ('so-1', 'so-1', 'SO 1'), ('so-2', 'so-2', 'SO 2');
INSERT INTO rt.rooms (id, name) OVERRIDING SYSTEM VALUE SELECT 9200 + i, 'order ' || i FROM generate_series(1, 30) AS i;
INSERT INTO rt.room_members (room_id, user_id) SELECT r.id, u.id FROM rt.rooms AS r, rt.users AS u WHERE r.id BETWEEN 9201 AND 9230 AND u.id LIKE 'so-_';
CREATE FUNCTION at(minute double precision) RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '2026-01-01T00:00:00Z' + minute * interval '1 minute' $$;
CREATE FUNCTION order_of(room bigint) RETURNS text LANGUAGE sql AS $$
	SELECT CASE r.newest_at WHEN 'infinity' THEN 'lost' ELSE coalesce(((extract(epoch FROM r.newest_at) - extract(epoch FROM at(0))) / 60)::integer::text, 'none') END
	FROM rt.rooms AS r WHERE r.id = 9200 + room
$$;
SELECT order_of(1);

-- Plain messages, and given times that rise, several at once or one by one, keep the order.
INSERT INTO rt.messages (room_id, sender_id, content) SELECT 9201, 'so-2', 'plain ' || i FROM generate_series(1, 100) AS i;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (9201, 'so-2', 'plain');
SELECT r.newest_at = (SELECT max(m.created_at) FROM rt.messages AS m WHERE m.room_id = 9201) AS newest FROM rt.rooms AS r WHERE r.id = 9201;
INSERT INTO rt.messages (room_id, sender_id, content, created_at, client_id) SELECT 9202, 'so-2', 'given ' || i, at(i / 2), 'c' || i FROM generate_series(0, 99) AS i;
INSERT INTO rt.messages (room_id, sender_id, content, created_at) VALUES (9202, 'so-2', 'given', at(49)), (9202, 'so-2', 'given', at(60));
SELECT order_of(2);
-- Rows that do not come in do not count, nor do those of a rolled back savepoint.
INSERT INTO rt.messages (room_id, sender_id, content, created_at, client_id) VALUES (9202, 'so-2', 'again', at(1), 'c1') ON CONFLICT DO NOTHING;
INSERT INTO rt.messages (room_id, sender_id, content, created_at, client_id)
VALUES (9202, 'so-2', 'again', at(2), 'c2'), (9202, 'so-2', 'new', at(61), 'c-new'), (9202, 'so-2', 'again', at(99), 'c3') ON CONFLICT DO NOTHING;
SELECT order_of(2);
SAVEPOINT before;
INSERT INTO rt.messages (room_id, sender_id, content, created_at) VALUES (9202, 'so-2', 'earlier', at(3));
SELECT order_of(2);
ROLLBACK TO before;
INSERT INTO rt.messages (room_id, sender_id, content, created_at) VALUES (9202, 'so-2', 'later', at(61));
SELECT order_of(2), r.last_seq FROM rt.rooms AS r WHERE r.id = 9202;

-- An earlier time loses it, for good: in a statement of its own, in the midst of one, and after plain messages.
INSERT INTO rt.messages (room_id, sender_id, content, created_at) VALUES (9203, 'so-2', 'one', at(10));
INSERT INTO rt.messages (room_id, sender_id, content, created_at) VALUES (9203, 'so-2', 'two', at(10) - interval '1 microsecond');
INSERT INTO rt.messages (room_id, sender_id, content, created_at) VALUES (9204, 'so-2', 'one', at(10)), (9204, 'so-2', 'two', at(9)), (9204, 'so-2', 'three', at(11));
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (9205, 'so-2', 'plain'), (9203, 'so-2', 'plain'), (9204, 'so-2', 'plain');
INSERT INTO rt.messages (room_id, sender_id, content, created_at) VALUES (9205, 'so-2', 'old', at(10));
SELECT i, order_of(i) FROM generate_series(3, 5) AS i;

-- A clock that goes back a little does not.
INSERT INTO rt.messages (room_id, sender_id, content, created_at) VALUES (9206, 'so-2', 'ahead', clock_timestamp() + interval '5 seconds');
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (9206, 'so-2', 'plain'), (9206, 'so-2', 'plain');
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (9206, 'so-2', 'plain');
SELECT r.newest_at = 'infinity' AS lost FROM rt.rooms AS r WHERE r.id = 9206;
INSERT INTO rt.messages (room_id, sender_id, content, created_at) VALUES (9207, 'so-2', 'far ahead', clock_timestamp() + interval '1 hour');
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (9207, 'so-2', 'plain');
SELECT order_of(7);

-- Imports are ordered by themselves.
CREATE TABLE old AS SELECT 9208 + i % 2 AS room_id, 'so-2' AS sender_id, at(i) AS created_at, 'imported ' || i AS content FROM generate_series(1, 100) AS i;
SELECT rt.import_messages('old');
SELECT i, order_of(i) FROM generate_series(8, 9) AS i;
UPDATE old SET created_at = created_at + interval '2 hours';
SELECT rt.import_messages('old');
UPDATE old SET created_at = created_at - interval '1 hour';
DELETE FROM old WHERE room_id = 9209;
SELECT rt.import_messages('old');
SELECT i, order_of(i) FROM generate_series(8, 9) AS i;

-- Messages that are restored: in their place, or not.
INSERT INTO rt.messages (room_id, sender_id, content, created_at) SELECT r, 'so-2', 'given ' || i, at(i * 10) FROM generate_series(9210, 9213) AS r, generate_series(1, 10) AS i;
DELETE FROM rt.messages WHERE room_id BETWEEN 9210 AND 9213 AND seq IN (5, 6, 10);
INSERT INTO rt.messages (room_id, seq, sender_id, content, created_at) VALUES (9210, 10, 'so-2', 'restored', at(100)), (9210, 6, 'so-2', 'restored', at(60)), (9210, 5, 'so-2', 'restored', at(40));
INSERT INTO rt.messages (room_id, seq, sender_id, content, created_at) VALUES (9211, 5, 'so-2', 'restored', at(39));
INSERT INTO rt.messages (room_id, seq, sender_id, content, created_at) VALUES (9212, 6, 'so-2', 'restored', at(60)), (9212, 5, 'so-2', 'restored', at(61));
INSERT INTO rt.messages (room_id, seq, sender_id, content, created_at) VALUES (9213, 10, 'so-2', 'restored', at(101));
SELECT i, order_of(i) FROM generate_series(10, 13) AS i;
-- A dump of 1.1 has no such column: nobody knows.
UPDATE rt.rooms SET newest_at = NULL WHERE id = 9210;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (9210, 'so-2', 'plain');
SELECT order_of(10);

-- A time cannot be changed, but by a superuser without the trigger.
INSERT INTO rt.messages (room_id, sender_id, content, created_at) SELECT 9214, 'so-2', 'given ' || i, at(i * 10) FROM generate_series(1, 10) AS i;
SAVEPOINT before;
UPDATE rt.messages SET created_at = at(1) WHERE room_id = 9214 AND seq = 5;
ROLLBACK TO before;
SELECT order_of(14);
SET LOCAL session_replication_role = replica;
UPDATE rt.messages SET created_at = created_at, content = content || ' edited' WHERE room_id = 9214 AND seq = 5;
SELECT order_of(14);
UPDATE rt.messages SET created_at = at(1) WHERE room_id = 9214 AND seq = 5;
SET LOCAL session_replication_role = origin;
SELECT order_of(14);

-- At random, which no few samples show: some rooms rise, some have few messages out of place, some are wild.
SELECT setseed(0.15);
INSERT INTO rt.messages (room_id, sender_id, content, created_at)
SELECT 9214 + r, 'so-' || 1 + i % 2, concat_ws(' ', CASE WHEN random() < 0.5 THEN 'half' END, CASE WHEN random() < 0.03 THEN 'seldom' END, CASE WHEN random() < 0.01 THEN '我的爸爸' END, 'm' || i),
	at(CASE WHEN r <= 6 THEN i WHEN r <= 11 AND i % 97 <> r THEN i ELSE trunc(random() * 150) END)
FROM generate_series(1, 200) AS i, generate_series(1, 16) AS r ORDER BY i, r;
ANALYZE rt.messages;
SELECT count(*) FILTER (WHERE order_of(i) = 'lost') AS lost, count(*) FILTER (WHERE order_of(i) = '200') AS rise FROM generate_series(15, 30) AS i;
SELECT count(*) AS wrong FROM rt.rooms AS r WHERE r.id BETWEEN 9201 AND 9230 AND r.newest_at < 'infinity'
	AND EXISTS (SELECT FROM (SELECT m.created_at, lag(m.created_at) OVER (ORDER BY m.seq) AS before FROM rt.messages AS m WHERE m.room_id = r.id) AS t WHERE t.created_at < t.before);

CREATE FUNCTION compared(req jsonb) RETURNS text[] LANGUAGE sql AS $$
	SELECT coalesce(array_agg(m.room_id || '-' || m.seq ORDER BY m.created_at DESC, m.room_id, m.seq DESC), '{}')
	FROM (SELECT t.* FROM rt.messages AS t WHERE t.room_id BETWEEN 9201 AND 9230 AND rt_private.search_vector(t.content) @@ rt_private.search_query(req ->> 'q') OFFSET 0) AS m
	WHERE m.sender_id = coalesce(req ->> 'from', m.sender_id) AND m.room_id = coalesce((req ->> 'roomId')::bigint, m.room_id)
		AND m.created_at < coalesce((req ->> 'before')::timestamptz, 'infinity') AND m.created_at > coalesce((req ->> 'after')::timestamptz, '-infinity')
$$;
CREATE FUNCTION paged(req jsonb) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	found text[] := '{}';
	page json;
BEGIN
	LOOP
		page := rt_api.search('so-1', req);
		found := found || ARRAY(SELECT e.value ->> 'id' FROM json_array_elements(page -> 'data') WITH ORDINALITY AS e (value, n) ORDER BY e.n);
		IF page ->> 'nextCursor' IS NULL THEN
			RETURN found;
		END IF;
		req := req || jsonb_build_object('cursor', page ->> 'nextCursor');
	END LOOP;
END
$$;
CREATE FUNCTION check_searches() RETURNS TABLE (req jsonb, found integer, same boolean) LANGUAGE sql AS $$
	SELECT f.req, cardinality(f.ids), f.ids = compared(f.req)
	FROM (SELECT r.req, paged(r.req) AS ids
		FROM (SELECT jsonb_build_object('q', w) || filter AS req
			FROM unnest(ARRAY['half', 'seldom', '爸爸', 'half seldom', 'm', 'restored', 'imported']) AS w,
				unnest(ARRAY['{"limit": 200}', '{"from": "so-2", "before": "2026-01-01T02:00:00Z", "limit": 47}', '{"after": "2026-01-01T01:30:00Z", "limit": 61}',
					'{"roomId": "9221", "limit": 33}', '{"roomId": "9216", "limit": 33}', '{"roomId": "9230", "limit": 33}']::jsonb[]) AS filter) AS r) AS f
$$;
SELECT count(*), sum(found) > 4000 AS many, count(*) FILTER (WHERE NOT same) AS wrong FROM check_searches();
SELECT * FROM check_searches() WHERE NOT same;
-- Those that rise are walked all the same: a room that does not costs the reader its own messages only.
SELECT cardinality(rt_private.search_newest(rt_private.req_search('so-1', '{"q": "half"}'), 51)) AS walked;
ROLLBACK;

-- The planner knows that dividing a text into words is dear: it uses the index, and does not divide the messages of a room for each search.
SELECT procost >= 1000 AS dear FROM pg_proc WHERE oid = 'rt_private.search_vector(text)'::regprocedure;
