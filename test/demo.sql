-- What the demo and the pictures in docs/images show: three users, three rooms with some talk in them, a meeting that
-- one may join.  Does nothing in a database that has a room.
SELECT EXISTS (SELECT FROM rt.rooms) AS is_there \gset
\if :is_there
\quit
\endif

BEGIN;
SELECT rt.create_user(id, initcap(id), id || '-demo') FROM unnest(ARRAY['alice', 'bob', 'carol']) AS id;
UPDATE rt.users SET is_admin = true WHERE id = 'alice';

SELECT rt.create_room('General', ARRAY['alice', 'bob', 'carol']) AS general \gset
SELECT rt.create_room('Release 1.0', ARRAY['bob', 'alice', 'carol']) AS release \gset
SELECT rt.create_direct_room('carol', 'alice') AS direct \gset
SELECT rt.create_meeting('Monday stand-up', 'carol', room => :general) AS meeting \gset

CREATE TEMPORARY TABLE talk (n serial, room bigint, ago interval, sender text, content text, reply_to bigint, metadata jsonb)
	ON COMMIT DROP;
INSERT INTO talk (room, ago, sender, content, reply_to, metadata) VALUES
	(:general, '1 day 3 hours', 'alice', 'Hello! This chat is a few tables in PostgreSQL.', NULL, NULL),
	(:general, '1 day 2 hours 58 minutes', 'bob', 'So a message is a row?', NULL, NULL),
	(:general, '1 day 2 hours 57 minutes', 'alice', 'A row. INSERT it with psql, and every open page has it once you COMMIT.', 2, NULL),
	(:general, '1 day 2 hours 57 minutes', 'alice', 'ROLLBACK, and nobody has ever seen it.', NULL, NULL),
	(:general, '1 day 2 hours 51 minutes', 'carol', 'Then search, backups and replicas come for free 🎉', NULL, NULL),
	(:general, '47 minutes', 'bob', '@alice the gateway went down for a second just now. Did you miss anything?', NULL, NULL),
	(:general, '46 minutes', 'alice', 'No. The numbers have no holes, so the page knows what it lacks and asks for it.', 6, NULL),
	(:general, '44 minutes', 'carol', 'مرحبا! النص من اليمين إلى اليسار يعمل أيضا', NULL, NULL),
	(:general, '12 minutes', 'carol', 'A meeting: Monday stand-up', NULL, jsonb_build_object('meetingId', :'meeting')),
	(:release, '6 hours', 'bob', 'Packages for PostgreSQL 14 to 18 are built.', NULL, NULL),
	(:release, '5 hours', 'carol', 'And the update from last week''s build is tested.', NULL, NULL),
	(:release, '5 hours', 'bob', '👍', NULL, NULL),
	(:direct, '2 hours', 'carol', 'Lunch at one?', NULL, NULL),
	(:direct, '2 hours', 'alice', 'Gladly. The usual place?', NULL, NULL),
	(:direct, '9 minutes', 'carol', 'Yes, and bring the figures of the load test.', NULL, NULL);

INSERT INTO rt.messages (room_id, sender_id, content, reply_to, metadata, created_at)
SELECT room, sender, content, reply_to, metadata, now() - ago FROM talk ORDER BY n;

INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES
	(:general, 3, 'bob', '👍'), (:general, 3, 'carol', '👍'), (:general, 5, 'alice', '🎉'), (:general, 7, 'bob', '❤️');
SELECT rt.mark_seen(:general, id, ARRAY(SELECT generate_series(1, 9)::bigint)) FROM unnest(ARRAY['bob', 'carol']) AS id;
SELECT rt.mark_seen(:general, 'alice', ARRAY[1, 2, 3, 4, 5, 6, 7]), rt.mark_seen(:release, 'alice', ARRAY[1]),
	rt.mark_seen(:direct, 'carol', ARRAY[1, 2]), rt.mark_seen(:direct, 'alice', ARRAY[1]);
COMMIT;
