-- What was emitted since the last call, once the relay has logged it.  Ids and times are left out.
CREATE SEQUENCE pg_temp.heard_pos;
SELECT setval('pg_temp.heard_pos', coalesce(max(pos), 0) + 1, false) > 0 AS ready FROM rt.events;
CREATE FUNCTION pg_temp.heard(wanted text DEFAULT '%') RETURNS TABLE (event text, receivers text, payload jsonb)
LANGUAGE plpgsql AS $$
DECLARE
	from_pos bigint := nextval('pg_temp.heard_pos');
	to_pos bigint;
	deadline timestamptz := clock_timestamp() + interval '2 minutes';
BEGIN
	LOOP
		SELECT min(e.pos) INTO to_pos FROM rt.events AS e WHERE e.pos >= from_pos AND e.event = 'test-mark';
		EXIT WHEN to_pos IS NOT NULL;
		IF clock_timestamp() > deadline THEN
			RAISE EXCEPTION 'the relay has not logged the mark';
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
	PERFORM setval('pg_temp.heard_pos', to_pos + 1, false);
	RETURN QUERY
	SELECT e.event,
		coalesce((SELECT string_agg(p.user_id, ',' ORDER BY p.user_id) FROM rt.meeting_participants AS p
			WHERE p.id::text IN (SELECT jsonb_array_elements_text(e.route::jsonb -> 'participants'))),
			CASE WHEN e.route::jsonb ? 'gateway' THEN 'gateways' WHEN e.route::jsonb ? 'participants' THEN 'one who is gone'
				ELSE 'all' END)
			|| coalesce(' but ' || (e.route::jsonb ->> 'except'), '')
			|| CASE WHEN e.route::jsonb ? 'private' THEN ' in private' ELSE '' END,
		CASE WHEN e.payload::jsonb ? 'meeting'
			THEN jsonb_build_object('meeting', (e.payload::jsonb -> 'meeting') - ARRAY['id', 'roomId', 'createdAt', 'startsAt',
				'startedAt', 'endedAt', 'recording', 'access', 'maxParticipants', 'hostId', 'title'])
			WHEN e.payload::jsonb ? 'message'
			THEN (e.payload::jsonb -> 'message') - ARRAY['id', 'senderId', 'recipientId', 'timestamp']
			ELSE e.payload::jsonb - ARRAY['meetingId', 'participantId', 'timestamp', 'joinedAt', 'permissions', 'handRaisedAt',
				'hands', 'audioMuted', 'videoMuted', 'recordingId', 'gateway']
		END
	FROM rt.events AS e
	WHERE e.pos BETWEEN from_pos AND to_pos - 1 AND e.event LIKE wanted AND e.event <> 'test-mark'
	ORDER BY e.pos;
END
$$;
PREPARE mark AS SELECT rt_private.emit('test-mark', '{"gateway":true}', '{}');

INSERT INTO rt_private.gateways (name, slot, reported_at) VALUES ('test-gateway', 99, now() + interval '1 hour')
ON CONFLICT (name) DO UPDATE SET reported_at = EXCLUDED.reported_at;
