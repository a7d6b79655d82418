-- Pages of a search, by whatever way they are found (extension/messages/search_walk.c), are those of comparing all messages.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;
BEGIN;
INSERT INTO rt.users (id, username, name) SELECT 'sp-' || i, 'sp-' || i, 'SP ' || i FROM generate_series(1, 5) AS i;
INSERT INTO rt.rooms (id, name, history) OVERRIDING SYSTEM VALUE
SELECT 9100 + i, 'search ' || i, CASE i WHEN 7 THEN 'joined' ELSE 'all' END FROM generate_series(1, 12) AS i;
INSERT INTO rt.room_members (room_id, user_id) SELECT 9100 + i, 'sp-' || u FROM generate_series(1, 12) AS i, generate_series(2, 5) AS u;
CREATE TABLE searched AS SELECT 9101 + h % 12 AS room_id, 'sp-' || 2 + h % 4 AS sender_id, timestamptz '2026-01-01T00:00:00Z' + i * interval '1 minute' AS created_at,
	concat_ws(' ', 'Every', CASE WHEN h % 2 = 0 THEN 'second' END, CASE WHEN h % 7 = 0 THEN 'séventh' END, CASE WHEN h % 20 = 0 THEN 'twentieth' END, CASE WHEN h % 80 = 0 THEN 'rather-seldom' END,
		CASE WHEN h % 83 = 0 THEN '我的爸爸' END, CASE WHEN h % 211 = 0 THEN 'deployments' END, CASE WHEN i % 4999 = 0 THEN 'rare' END,
		CASE WHEN h % 300 < 2 THEN 'one two three' END, CASE WHEN h % 300 = 2 THEN 'two one' END, 'm' || i) AS content
FROM generate_series(1, 16000) AS i, LATERAL (SELECT hashint4(i) & 2147483647 AS h) AS hashed;
SELECT rt.import_messages('searched');
-- Some are gone, and one room shows its newer half alone.
DELETE FROM rt.messages WHERE room_id = 9103 AND seq % 3 = 0;
UPDATE rt.messages SET deleted_at = now() WHERE room_id = 9104 AND seq % 100 = 0;
UPDATE rt.messages SET content = content || ' edited' WHERE room_id = 9105 AND seq % 50 = 0;
INSERT INTO rt.room_members (room_id, user_id) SELECT 9100 + i, 'sp-1' FROM generate_series(1, 11) AS i;
UPDATE rt.room_members SET first_seq = 1000 WHERE user_id = 'sp-1';
ANALYZE rt.messages;

CREATE TABLE vectors AS SELECT m AS m, rt_private.search_vector(m.content) AS words FROM rt.messages AS m WHERE m.room_id > 9100;
-- All that match, by comparing each.
CREATE FUNCTION compared(req jsonb) RETURNS text[] LANGUAGE sql AS $$
	SELECT array_agg((v.m).room_id || '-' || (v.m).seq ORDER BY (v.m).created_at DESC, (v.m).room_id, (v.m).seq DESC)
	FROM (SELECT t.* FROM vectors AS t WHERE t.words @@ rt_private.search_query(req ->> 'q') OFFSET 0) AS v
		JOIN rt.rooms AS r ON r.id = (v.m).room_id JOIN rt.room_members AS s ON s.room_id = r.id AND s.user_id = 'sp-1'
	WHERE (v.m).deleted_at IS NULL AND (r.history = 'all' OR (v.m).seq > s.first_seq)
		AND (v.m).sender_id = coalesce(req ->> 'from', (v.m).sender_id) AND r.id = coalesce((req ->> 'roomId')::bigint, r.id)
		AND (v.m).created_at < coalesce((req ->> 'before')::timestamptz, 'infinity')
		AND (v.m).created_at > coalesce((req ->> 'after')::timestamptz, '-infinity')
$$;
-- The first pages.
CREATE FUNCTION paged(req jsonb, pages integer) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	found text[] := '{}';
	page json;
BEGIN
	FOR i IN 1 .. pages LOOP
		page := rt_api.search('sp-1', req);
		found := found || ARRAY(SELECT e.value ->> 'id' FROM json_array_elements(page -> 'data') WITH ORDINALITY AS e (value, n) ORDER BY e.n);
		EXIT WHEN page ->> 'nextCursor' IS NULL;
		req := req || jsonb_build_object('cursor', page ->> 'nextCursor');
	END LOOP;
	RETURN found;
END
$$;
CREATE FUNCTION walks(q text) RETURNS boolean LANGUAGE sql AS $$
	SELECT rt_private.search_walk(rt_private.search_query(q), ARRAY(SELECT m.room_id FROM rt.room_members AS m WHERE m.user_id = 'sp-1'),
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, 51) IS NOT NULL
$$;
CREATE FUNCTION check_searches() RETURNS TABLE (req jsonb, found integer, same boolean) LANGUAGE sql AS $$
	SELECT f.req, cardinality(f.ids), f.ids = f.compared[1:4 * f.most]
	FROM (SELECT r.req, coalesce((r.req ->> 'limit')::integer, 50) AS most, paged(r.req, 4) AS ids, coalesce(compared(r.req), '{}') AS compared
		FROM (SELECT jsonb_build_object('q', w) || filter AS req
			FROM unnest(ARRAY['every', 'seventh', 'seldom', '我的爸爸', 'depl', 'rare', 'edited', 'nowhere', 'second seventh', 'every twentieth', 'every seldom', '"one two"', 'm12']) AS w,
				unnest(ARRAY['{}', '{"from": "sp-2", "before": "2026-01-09T00:00:00Z", "limit": 7}', '{"after": "2026-01-09T00:00:00Z", "limit": 7}',
					'{"roomId": "9107", "limit": 3}']::jsonb[]) AS filter) AS r) AS f
$$;
SELECT q, walks(q) FROM unnest(ARRAY['every', 'second', 'seldom', '爸爸', 'second seventh', 'every twentieth', 'every seldom', 'rare', 'nowhere']) AS q;
SELECT count(*), sum(found) AS found, count(*) FILTER (WHERE NOT same) AS wrong FROM check_searches();
SELECT * FROM check_searches() WHERE NOT same;

-- A room with newer messages below older ones: it is searched by the index.
CREATE TABLE searched_late AS SELECT 9102 AS room_id, 'sp-2' AS sender_id, timestamptz '2025-01-01T00:00:00Z' + i * interval '1 minute' AS created_at, 'Every late' AS content
FROM generate_series(1, 2000) AS i;
SELECT rt.import_messages('searched_late');
INSERT INTO vectors SELECT m, rt_private.search_vector(m.content) FROM rt.messages AS m WHERE m.content = 'Every late';
SELECT count(*), count(*) FILTER (WHERE NOT same) AS wrong FROM check_searches() WHERE req ->> 'q' IN ('every', 'seldom');

-- An entry is what tsvector's own input makes of it: each word once, in its order, with its first positions.
SELECT rt_private.search_vector('Bob, a b-bob; "bobby" bobb 我的爸爸我的 bob Ça ß! ''q''\x elephants elephantine');
SELECT count(*), count(*) FILTER (WHERE tsvectorsend(v.words) = tsvectorsend(v.words::text::tsvector)) AS same, max(length(v.words)) AS words,
	max(octet_length(tsvectorsend(v.words))) AS bytes
FROM (SELECT rt_private.search_vector(t.content) AS words
	FROM (SELECT (SELECT coalesce(string_agg(substr('ab爸 c学e9.x é,', 1 + (ascii(substr(md5(n || '-' || k), 1, 1)) * 7 + k * n) % 14, 1), '' ORDER BY k), '') FROM generate_series(1, n % 90) AS k) AS content
		FROM generate_series(1, 500) AS n
		UNION ALL SELECT repeat('a bb ', 9000) || repeat('爸爸', 300)
		UNION ALL SELECT string_agg('word' || n, ' ' ORDER BY n) FROM generate_series(1, 80000) AS n
		UNION ALL SELECT unnest(ARRAY['', ' ', U&'\0301', repeat('x', 1000)])) AS t) AS v;
ROLLBACK;
