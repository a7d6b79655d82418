-- What parts f to i need beside users.sql: a large room that is read, users who share a room, and crowds in rooms.

-- f: a room of 1,000 with 100,000 messages, of which nobody is told.
INSERT INTO rt.users (id, username, name)
SELECT 'f' || i, 'f' || i, 'Reader ' || i FROM generate_series(1, 1000) AS i;
SELECT rt.create_room('receipts', array_agg('f' || i)) FROM generate_series(1, 1000) AS i;
SET rt.suppress_events = on;
INSERT INTO rt.messages (room_id, sender_id, content)
SELECT r.id, 'f1000', 'It was the best of times, it was the worst of times, it was the age of wisdom'
FROM rt.rooms AS r, generate_series(1, 100000) WHERE r.name = 'receipts';
RESET rt.suppress_events;

-- g: 2,000 who share a room, and each a small one with nine of them.
INSERT INTO rt.users (id, username, name)
SELECT 'g' || i, 'g' || i, 'Coming ' || i FROM generate_series(1, 2000) AS i;
SELECT rt.create_room('presence', array_agg('g' || i)) FROM generate_series(1, 2000) AS i;
SELECT rt.create_room('presence ' || i % 200, array_agg('g' || i)) FROM generate_series(1, 2000) AS i GROUP BY i % 200;

-- h: 5,000 in 50 rooms, of which number n, from 0, has the users with i % 50 = n.
INSERT INTO rt.users (id, username, name)
SELECT 'h' || i, 'h' || i, 'Swarm ' || i FROM generate_series(0, 4999) AS i;
SELECT rt.create_room('reconnect ' || n, (SELECT array_agg('h' || i) FROM generate_series(n, 4999, 50) AS i))
FROM (SELECT n FROM generate_series(0, 49) AS n ORDER BY n) AS rooms;

-- i: 50 meetings, open to anyone.
SELECT rt.create_meeting('meeting ' || n, 'h0', access => 'anyone')
FROM (SELECT n FROM generate_series(0, 49) AS n ORDER BY n) AS meetings;

VACUUM ANALYZE;
