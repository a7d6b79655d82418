-- What part k needs: 2,000 users, 500 rooms of 20 members, 20 meetings; and a function for each thing that happens in a day, as
-- the gateway does it.

INSERT INTO rt.users (id, username, name) SELECT 'k' || i, 'k' || i, 'Day ' || i FROM generate_series(0, 1999) AS i;
SET rt.suppress_events = on;
SELECT rt.create_room('day ' || r, ARRAY(SELECT 'k' || (r * 7 + n * 31) % 2000 FROM generate_series(0, 19) AS n))
FROM (SELECT r FROM generate_series(0, 499) AS r ORDER BY r) AS rooms;
RESET rt.suppress_events;
SELECT rt.create_meeting('day ' || n, 'k0', access => 'anyone') FROM (SELECT n FROM generate_series(0, 19) AS n ORDER BY n) AS meetings;

CREATE SCHEMA day;
CREATE TABLE day.place AS SELECT (SELECT min(id) FROM rt.rooms WHERE name LIKE 'day %') AS room,
	(SELECT min(id) FROM rt.meetings WHERE title LIKE 'day %') AS meeting, (SELECT name FROM rt_private.gateways) AS gateway;

CREATE FUNCTION day.words() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(substr(md5((random() ^ 2 * 20000)::integer::text), 1, 2 + n % 6), ' ') FROM generate_series(1, 12) AS n
$$;

-- A room, and one of its members.
CREATE FUNCTION day.pick(r integer, n integer, OUT room bigint, OUT who text) LANGUAGE sql AS $$
	SELECT p.room + r, 'k' || (r * 7 + n * 31) % 2000 FROM day.place AS p
$$;

CREATE FUNCTION day.send(r integer, n integer) RETURNS void LANGUAGE sql AS $$
	SELECT rt_api.message_send(p.who, jsonb_build_object('roomId', p.room::text, 'content', day.words())) FROM day.pick(r, n) AS p
$$;

CREATE FUNCTION day.edit(r integer, n integer) RETURNS void LANGUAGE sql AS $$
	SELECT rt_api.message_edit(p.who, jsonb_build_object('roomId', p.room::text, 'messageId', p.room || '-' || m.seq, 'content', day.words()))
	FROM day.pick(r, n) AS p, LATERAL (SELECT m.seq FROM rt.messages AS m WHERE m.room_id = p.room AND m.sender_id = p.who ORDER BY m.seq DESC LIMIT 1) AS m
$$;

CREATE FUNCTION day.react(r integer, n integer) RETURNS void LANGUAGE sql AS $$
	SELECT CASE WHEN random() < 0.8
		THEN rt_api.reaction_add(p.who, jsonb_build_object('roomId', p.room::text, 'messageId', p.room || '-' || o.last_seq, 'emoji', '👍'))
		ELSE rt_api.reaction_remove(p.who, jsonb_build_object('roomId', p.room::text, 'messageId', p.room || '-' || o.last_seq, 'emoji', '👍')) END
	FROM day.pick(r, n) AS p JOIN rt.rooms AS o ON o.id = p.room WHERE o.last_seq > 0
$$;

-- The newest twenty at most, delivered and seen.
CREATE FUNCTION day.read(r integer, n integer) RETURNS void LANGUAGE sql AS $$
	SELECT rt_api.message_delivered(p.who, jsonb_build_object('roomId', p.room::text, 'messageId', p.room || '-' || o.last_seq)),
		rt_api.mark_seen(p.who, jsonb_build_object('roomId', p.room::text, 'messageIds',
			(SELECT jsonb_agg(p.room || '-' || s) FROM generate_series(greatest(m.last_read_seq + 1, o.last_seq - 19), o.last_seq) AS s)))
	FROM day.pick(r, n) AS p JOIN rt.rooms AS o ON o.id = p.room JOIN rt.room_members AS m ON m.room_id = p.room AND m.user_id = p.who
	WHERE o.last_seq > m.last_read_seq
$$;

CREATE FUNCTION day.typing(r integer, n integer) RETURNS void LANGUAGE sql AS $$
	SELECT rt_api.typing(p.who, jsonb_build_object('roomId', p.room::text, 'isTyping', random() < 0.5)) FROM day.pick(r, n) AS p
$$;

CREATE FUNCTION day.status(who text) RETURNS void LANGUAGE sql AS $$
	SELECT rt_api.set_status(who, jsonb_build_object('status', (ARRAY['online', 'away', 'busy'])[1 + floor(3 * random())::integer]))
$$;

-- Comes, or goes and may come back; some come back.
CREATE FUNCTION day.socket(who text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	at text := (SELECT p.gateway FROM day.place AS p);
	c record;
BEGIN
	SELECT t.sid, t.serial INTO c FROM rt_private.connections AS t WHERE t.user_id = who LIMIT 1;
	IF c.sid IS NULL THEN
		PERFORM rt_api.connect(NULL, jsonb_build_object('requests', jsonb_build_array(jsonb_build_object('user', who, 'sid', md5(random()::text),
			'gateway', at, 'transport', 'websocket'))));
		PERFORM rt_api.join_rooms(who, jsonb_build_object('sid', t.sid, 'roomIds', ARRAY(SELECT m.room_id::text FROM rt.room_members AS m WHERE m.user_id = who)))
		FROM rt_private.connections AS t WHERE t.user_id = who LIMIT 1;
	ELSE
		PERFORM rt_api.disconnect(NULL, jsonb_build_object('gateway', at, 'connections',
			jsonb_build_array(jsonb_build_object('sid', c.sid, 'user', who, 'serial', c.serial, 'recoverable', random() < 0.7))));
		PERFORM rt_api.presence_sweep(NULL, jsonb_build_object('users', jsonb_build_array(who)));
	END IF;
END
$$;

-- Joins a meeting, or says something, raises the hand and leaves.  Two at once may be refused.
CREATE FUNCTION day.meet(n integer, who text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	wish jsonb := (SELECT jsonb_build_object('meetingId', (p.meeting + n)::text, 'sid', 'day-' || who, 'gateway', p.gateway) FROM day.place AS p);
BEGIN
	PERFORM rt_api.meeting_join(who, wish);
	PERFORM rt_api.meeting_say(who, wish || jsonb_build_object('message', day.words()));
	PERFORM rt_api.meeting_hand(who, wish || '{"raised": true}');
	PERFORM rt_api.meeting_leave(who, wish);
EXCEPTION WHEN OTHERS THEN
	RAISE LOG 'day: %', SQLERRM;
END
$$;
VACUUM ANALYZE;
