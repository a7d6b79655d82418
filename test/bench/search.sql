-- Messages to search, and lists to page through.  Variables: messages.  Words are as frequent as in a language (Zipf's law): rank =
-- exp(u * ln(N)).  Every fifth word is two Chinese characters.  A message is two fragments of five words.
SELECT count(*) FROM (SELECT rt.create_user('find' || i, 'Find ' || i, NULL) FROM generate_series(1, 1000) AS i) AS made;
SELECT count(*) FROM (SELECT rt.create_room('find ' || r, ARRAY(SELECT DISTINCT CASE WHEN k = 0 AND r <= 200 THEN 'find1' ELSE 'find' || (1 + (r * 37 + k * 13) % 1000) END
	FROM generate_series(0, 49) AS k)) FROM generate_series(1, 300) AS r) AS made;
CREATE SCHEMA find;
CREATE TABLE find.vocabulary AS SELECT i AS n, CASE WHEN i % 5 = 0
	THEN chr(19968 + ((i::bigint * 7919) % 6000)::integer) || chr(19968 + ((i::bigint * 104729) % 6000)::integer)
	ELSE (SELECT string_agg(substr('bcdfghklmnprstvwz', 1 + (hashint4(i * 31 + k) & 2147483647) % 17, 1) || substr('aeiou', 1 + (hashint4(i * 17 + k * 7) & 2147483647) % 5, 1), '')
		FROM generate_series(1, 2 + i % 3) AS k) END AS word
FROM generate_series(1, 60000) AS i;
CREATE UNIQUE INDEX ON find.vocabulary (n);
CREATE UNLOGGED TABLE find.fragment AS SELECT f AS n, array_to_string(ARRAY(
	SELECT (SELECT v.word FROM find.vocabulary AS v WHERE v.n = exp(((hashint8(f::bigint * 100 + k)::bigint & 2147483647)::float8 / 2147483648.0) * ln(60000))::integer)
	FROM generate_series(1, 5) AS k), ' ') AS words
FROM generate_series(0, 199999) AS f;
CREATE UNIQUE INDEX ON find.fragment (n);
ANALYZE find.fragment;
CREATE UNLOGGED TABLE find.incoming AS
SELECT r.first + x.room - 1 AS room_id, 'find' || (1 + (x.room * 37 + (x.i % 50) * 13) % 1000) AS sender_id, a.words || ' ' || b.words AS content,
	timestamptz '2026-01-01' + x.i * interval '5 seconds' AS created_at
FROM (SELECT i, 1 + (hashint4(i) & 2147483647) % 300 AS room, (hashint4(i + 7) & 2147483647) % 200000 AS fa,
		(hashint4((i::bigint * 3 % 2147483647)::integer) & 2147483647) % 200000 AS fb FROM generate_series(1, :messages) AS i) AS x
	JOIN find.fragment AS a ON a.n = x.fa JOIN find.fragment AS b ON b.n = x.fb,
	(SELECT min(id) AS first FROM rt.rooms WHERE name LIKE 'find %') AS r;
SELECT rt.import_messages('find.incoming', true);
-- A user with 3,000 rooms, and a room with 20,000 members.
SELECT count(*) FROM (SELECT rt.create_user('many', 'Many', NULL)) AS made;
SELECT count(*) FROM (SELECT rt.create_room('many ' || i, ARRAY['many', 'find' || (1 + i % 1000)]) FROM generate_series(1, 3000) AS i) AS made;
INSERT INTO rt.messages (room_id, sender_id, content) SELECT r.id, m.user_id, 'hello ' || k FROM rt.rooms AS r JOIN rt.room_members AS m ON m.room_id = r.id AND m.user_id <> 'many',
	generate_series(1, 5) AS k WHERE r.name LIKE 'many %';
INSERT INTO rt.users (id, username, name) SELECT 'crowd' || i, 'crowd' || i, 'Crowd ' || i FROM generate_series(1, 20000) AS i;
SELECT rt.create_room('crowd', ARRAY['many']) AS crowd \gset
INSERT INTO rt.room_members (room_id, user_id) SELECT :crowd, 'crowd' || i FROM generate_series(1, 20000) AS i;
VACUUM ANALYZE;
