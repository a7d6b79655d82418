-- Media: what a client may ask of a media worker (rt_private.media_ask_*), and what becomes of the answer
-- (rt_private.media_settle_*).
--
-- Locking: a producer is part of what is seen of a meeting, so what makes, pauses or closes one locks the meeting
-- (rt_private.media_is_seen), before the requests' rows, which are locked before what is on a router.  The rest concerns its owner alone; there the request's
-- row is lock enough: who leaves deletes it (rt_private.media_participant_gone).

CREATE FUNCTION rt_private.media_is_seen(op text) RETURNS boolean
LANGUAGE sql IMMUTABLE
	RETURN op IN ('produce', 'pause-producer', 'resume-producer', 'close-producer');
COMMENT ON FUNCTION rt_private.media_is_seen(text) IS 'whether the answer changes what others see of a meeting';

CREATE FUNCTION rt_private.media_event_of(op text) RETURNS text
LANGUAGE sql IMMUTABLE
	RETURN CASE op
		WHEN 'create-transport' THEN 'transport-created'
		WHEN 'connect-transport' THEN 'transport-connected'
		WHEN 'restart-ice' THEN 'ice-restarted'
		WHEN 'produce' THEN 'produced'
		WHEN 'consume' THEN 'consumed'
		WHEN 'resume-consumer' THEN 'consumer-resumed'
		WHEN 'pause-consumer' THEN 'consumer-paused'
		WHEN 'close-consumer' THEN 'consumer-closed'
	END;
COMMENT ON FUNCTION rt_private.media_event_of(text) IS 'the event that the caller gets besides the acknowledgement; null if none';

-- ---- whose it is ------------------------------------------------------------------------------------------

-- What is not there and what is somebody else's are the same to the client, so that ids cannot be probed.
CREATE FUNCTION rt_private.media_own_transport(actor text, req jsonb) RETURNS rt_private.media_transports
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t rt_private.media_transports;
BEGIN
	SELECT o.* INTO t
	FROM rt_private.media_transports AS o
	JOIN rt.meeting_participants AS p ON p.id = o.participant_id
	WHERE o.id = rt_private.req_text(req, 'transportId')
		AND p.user_id = media_own_transport.actor AND p.socket_id = req ->> 'sid' AND p.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'transport not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN t;
END
$$;
COMMENT ON FUNCTION rt_private.media_own_transport(text, jsonb) IS 'the caller''s transport that a request names';

CREATE FUNCTION rt_private.media_own_producer(actor text, req jsonb) RETURNS rt_private.media_producers
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d rt_private.media_producers;
BEGIN
	SELECT o.* INTO d
	FROM rt_private.media_producers AS o
	JOIN rt.meeting_participants AS p ON p.id = o.participant_id
	WHERE o.id = rt_private.req_text(req, 'producerId')
		AND p.user_id = media_own_producer.actor AND p.socket_id = req ->> 'sid' AND p.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'producer not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN d;
END
$$;
COMMENT ON FUNCTION rt_private.media_own_producer(text, jsonb) IS 'the caller''s producer that a request names';

CREATE FUNCTION rt_private.media_own_consumer(actor text, req jsonb) RETURNS rt_private.media_consumers
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c rt_private.media_consumers;
BEGIN
	SELECT o.* INTO c
	FROM rt_private.media_consumers AS o
	JOIN rt.meeting_participants AS p ON p.id = o.participant_id
	WHERE o.id = rt_private.req_text(req, 'consumerId')
		AND p.user_id = media_own_consumer.actor AND p.socket_id = req ->> 'sid' AND p.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'consumer not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN c;
END
$$;
COMMENT ON FUNCTION rt_private.media_own_consumer(text, jsonb) IS 'the caller''s consumer that a request names';

-- ---- asking -------------------------------------------------------------------------------------------------
--
-- Each returns the row that is to be stored, without id, gateway, socket and tag.

CREATE FUNCTION rt_private.media_row(op text, worker text, meeting_id bigint, participant_id bigint, object_id text,
	body jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt_private.media_requests;
BEGIN
	r.op := media_row.op;
	r.worker := media_row.worker;
	r.meeting_id := media_row.meeting_id;
	r.participant_id := media_row.participant_id;
	r.object_id := media_row.object_id;
	r.body := media_row.body;
	RETURN r;
END
$$;
COMMENT ON FUNCTION rt_private.media_row(text, text, bigint, bigint, text, jsonb) IS 'a request that is not stored yet';

CREATE FUNCTION rt_private.media_unavailable() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'no media worker is available' USING ERRCODE = 'RT503';
END
$$;
COMMENT ON FUNCTION rt_private.media_unavailable() IS 'raises the error that no media worker is available';

CREATE FUNCTION rt_private.media_check_room(held bigint, allowed integer, what text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF held >= allowed THEN
		RAISE EXCEPTION 'a participant can have % % at most', allowed, what USING ERRCODE = 'RT429';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_check_room(bigint, integer, text) IS 'refuses what exceeds a participant''s limit';

-- What goes to the worker as the client wrote it.  The worker reads whole numbers of 64 bits: one that is larger would spoil
-- all requests that are handed out with it.
CREATE FUNCTION rt_private.media_object(req jsonb, key text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value jsonb := rt_private.req_object(req, key);
BEGIN
	IF pg_column_size(value) > 100000 THEN
		RAISE EXCEPTION '% is too long', key USING ERRCODE = 'RT400';
	ELSIF value @? 'strict $.** ? (@ > 9007199254740992 || @ < -9007199254740992)' THEN
		RAISE EXCEPTION '% has a number that is out of range', key USING ERRCODE = 'RT400';
	END IF;
	RETURN value;
END
$$;
COMMENT ON FUNCTION rt_private.media_object(jsonb, text) IS 'reads an object that a media worker can read, too';

CREATE FUNCTION rt_private.media_ask_create_transport(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants := rt_private.meeting_member(actor, req, 'consume');
	direction text := rt_private.req_choice(req, 'direction', ARRAY['send', 'recv']);
	router rt_private.media_routers;
	transport text := gen_random_uuid()::text;
BEGIN
	router := rt_private.media_place_for(p.meeting_id, req);
	IF router.id IS NULL THEN
		PERFORM rt_private.media_unavailable();
	END IF;
	PERFORM rt_private.media_check_room(
		(SELECT count(*) FROM rt_private.media_transports AS t WHERE t.participant_id = p.id AND t.router_id = router.id), 8, 'transports');
	PERFORM rt_private.check_transports(actor);
	RETURN rt_private.media_row('create-transport', router.worker, p.meeting_id, p.id, transport,
		jsonb_build_object('routerId', router.id, 'transportId', transport, 'direction', direction, 'userId', actor));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_create_transport(text, jsonb) IS 'create-transport';

CREATE FUNCTION rt_private.media_ask_connect_transport(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t rt_private.media_transports := rt_private.media_own_transport(actor, req);
BEGIN
	IF t.connected THEN
		RAISE EXCEPTION 'the transport is already connected' USING ERRCODE = 'RT409';
	END IF;
	RETURN rt_private.media_row('connect-transport', t.worker, t.meeting_id, t.participant_id, t.id,
		jsonb_build_object('routerId', t.router_id, 'transportId', t.id,
			'dtlsParameters', rt_private.media_object(req, 'dtlsParameters')));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_connect_transport(text, jsonb) IS 'connect-transport';

CREATE FUNCTION rt_private.media_ask_restart_ice(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t rt_private.media_transports := rt_private.media_own_transport(actor, req);
BEGIN
	RETURN rt_private.media_row('restart-ice', t.worker, t.meeting_id, t.participant_id, t.id,
		jsonb_build_object('routerId', t.router_id, 'transportId', t.id));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_restart_ice(text, jsonb) IS 'restart-ice';

CREATE FUNCTION rt_private.media_source(req jsonb, kind text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	source text := rt_private.req_choice(req, 'source', ARRAY['camera', 'microphone', 'screen', 'screen-audio'],
		CASE kind WHEN 'audio' THEN 'microphone' ELSE 'camera' END);
BEGIN
	IF (source IN ('microphone', 'screen-audio')) <> (kind = 'audio') THEN
		RAISE EXCEPTION 'source % is not of kind %', source, kind USING ERRCODE = 'RT400';
	END IF;
	RETURN source;
END
$$;
COMMENT ON FUNCTION rt_private.media_source(jsonb, text) IS 'the source of a new producer';

CREATE FUNCTION rt_private.media_ask_produce(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants := rt_private.meeting_member(actor, req, 'produce');
	t rt_private.media_transports := rt_private.media_own_transport(actor, req);
	kind text := rt_private.req_choice(req, 'kind', ARRAY['audio', 'video']);
	producer text := gen_random_uuid()::text;
BEGIN
	IF t.participant_id <> p.id THEN
		RAISE EXCEPTION 'transport not found' USING ERRCODE = 'RT404';
	ELSIF t.direction <> 'send' THEN
		RAISE EXCEPTION 'the transport is not for sending' USING ERRCODE = 'RT400';
	END IF;
	PERFORM rt_private.media_check_room(
		(SELECT count(*) FROM rt_private.media_producers AS d WHERE d.participant_id = p.id AND d.worker = t.worker), 16, 'producers');
	PERFORM rt_private.check_producers(actor);
	RETURN rt_private.media_row('produce', t.worker, t.meeting_id, t.participant_id, producer,
		jsonb_build_object('routerId', t.router_id, 'transportId', t.id, 'producerId', producer, 'kind', kind,
			'source', rt_private.media_source(req, kind),
			'rtpParameters', rt_private.media_object(req, 'rtpParameters'),
			'paused', rt_private.req_bool(req, 'paused', false),
			'muted', CASE kind WHEN 'audio' THEN p.audio_muted ELSE p.video_muted END));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_produce(text, jsonb) IS 'produce';

-- The producer by its id, or the newest one of a participant and kind.  One that is on another worker than the transport,
-- while the meeting moves, is not there.
CREATE FUNCTION rt_private.media_find_producer(meeting_id bigint, worker text, req jsonb) RETURNS rt_private.media_producers
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d rt_private.media_producers;
	by_owner boolean := NOT req ? 'producerId' AND req ? 'producerParticipantId';
BEGIN
	IF by_owner THEN
		SELECT o.* INTO d
		FROM rt_private.media_producers AS o
		WHERE o.participant_id = rt_private.req_id(req, 'producerParticipantId')
			AND o.meeting_id = media_find_producer.meeting_id AND o.worker = media_find_producer.worker
			AND o.kind = rt_private.req_choice(req, 'kind', ARRAY['audio', 'video'])
		ORDER BY o.created_at DESC LIMIT 1;
	ELSE
		SELECT o.* INTO d
		FROM rt_private.media_producers AS o
		WHERE o.id = rt_private.req_text(req, 'producerId') AND o.meeting_id = media_find_producer.meeting_id
			AND o.worker = media_find_producer.worker;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'producer not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN d;
END
$$;
COMMENT ON FUNCTION rt_private.media_find_producer(bigint, text, jsonb) IS 'the producer that consume names';

CREATE FUNCTION rt_private.media_ask_consume(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants := rt_private.meeting_member(actor, req, 'consume', false);
	t rt_private.media_transports := rt_private.media_own_transport(actor, req);
	d rt_private.media_producers;
	consumer text := gen_random_uuid()::text;
BEGIN
	IF t.participant_id <> p.id THEN
		RAISE EXCEPTION 'transport not found' USING ERRCODE = 'RT404';
	ELSIF t.direction <> 'recv' THEN
		RAISE EXCEPTION 'the transport is not for receiving' USING ERRCODE = 'RT400';
	END IF;
	d := rt_private.media_find_producer(p.meeting_id, t.worker, req);
	PERFORM rt_private.media_check_room(
		(SELECT count(*) FROM rt_private.media_consumers AS c WHERE c.transport_id = t.id), 2000, 'consumers');
	PERFORM rt_private.check_consumers(actor);
	RETURN rt_private.media_row('consume', t.worker, t.meeting_id, t.participant_id, consumer,
		jsonb_build_object('routerId', t.router_id, 'transportId', t.id, 'consumerId', consumer, 'producerId', d.id,
			'rtpCapabilities', rt_private.media_object(req, 'rtpCapabilities')));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_consume(text, jsonb) IS 'consume';

CREATE FUNCTION rt_private.media_ask_producer(actor text, req jsonb, op text) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d rt_private.media_producers := rt_private.media_own_producer(actor, req);
BEGIN
	IF op = 'resume-producer' AND d.muted THEN
		RAISE EXCEPTION 'muted by a host' USING ERRCODE = 'RT403';
	END IF;
	RETURN rt_private.media_row(op, d.worker, d.meeting_id, d.participant_id, d.id, jsonb_build_object('producerId', d.id));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_producer(text, jsonb, text) IS 'pause-producer, resume-producer, close-producer';

CREATE FUNCTION rt_private.media_ask_consumer(actor text, req jsonb, op text) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c rt_private.media_consumers := rt_private.media_own_consumer(actor, req);
	body jsonb := jsonb_build_object('consumerId', c.id);
BEGIN
	IF op = 'set-preferred-layers' THEN
		body := body || jsonb_build_object('spatialLayer', rt_private.req_layer(req, 'spatialLayer'),
			'temporalLayer', CASE WHEN nullif(req -> 'temporalLayer', 'null') IS NOT NULL
				THEN rt_private.req_layer(req, 'temporalLayer') END,
			'priority', rt_private.req_priority(req));
	END IF;
	RETURN rt_private.media_row(op, c.worker, c.meeting_id, c.participant_id, c.id, body);
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_consumer(text, jsonb, text)
	IS 'resume-consumer, pause-consumer, close-consumer, set-preferred-layers, request-keyframe';

CREATE FUNCTION rt_private.req_priority(req jsonb) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value jsonb := nullif(req -> 'priority', 'null');
BEGIN
	IF jsonb_typeof(value) <> 'number' OR value::text !~ '^[0-9]{1,3}$' OR value::text::integer NOT BETWEEN 1 AND 255 THEN
		RAISE EXCEPTION 'priority must be a whole number from 1 to 255' USING ERRCODE = 'RT400';
	END IF;
	RETURN value::text::integer;
END
$$;
COMMENT ON FUNCTION rt_private.req_priority(jsonb) IS 'a consumer''s priority in a request; null: as it was';

CREATE FUNCTION rt_private.req_layer(req jsonb, key text) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value jsonb := req -> key;
BEGIN
	IF jsonb_typeof(value) IS DISTINCT FROM 'number' OR value::text !~ '^[0-9]$' THEN
		RAISE EXCEPTION '% must be a whole number from 0 to 9', key USING ERRCODE = 'RT400';
	END IF;
	RETURN value::integer;
END
$$;
COMMENT ON FUNCTION rt_private.req_layer(jsonb, text) IS 'a layer''s number in a request';

CREATE FUNCTION rt_private.media_ask_stats(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t rt_private.media_transports;
	d rt_private.media_producers;
	c rt_private.media_consumers;
BEGIN
	IF req ? 'producerId' THEN
		d := rt_private.media_own_producer(actor, req);
		RETURN rt_private.media_row('get-stats', d.worker, d.meeting_id, d.participant_id, d.id,
			jsonb_build_object('producerId', d.id));
	ELSIF req ? 'consumerId' THEN
		c := rt_private.media_own_consumer(actor, req);
		RETURN rt_private.media_row('get-stats', c.worker, c.meeting_id, c.participant_id, c.id,
			jsonb_build_object('consumerId', c.id));
	END IF;
	t := rt_private.media_own_transport(actor, req);
	RETURN rt_private.media_row('get-stats', t.worker, t.meeting_id, t.participant_id, t.id,
		jsonb_build_object('transportId', t.id));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_stats(text, jsonb) IS 'get-stats';

CREATE FUNCTION rt_private.media_ask(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	op text := req ->> 'op';
BEGIN
	CASE op
		WHEN 'create-transport' THEN RETURN rt_private.media_ask_create_transport(actor, req);
		WHEN 'connect-transport' THEN RETURN rt_private.media_ask_connect_transport(actor, req);
		WHEN 'restart-ice' THEN RETURN rt_private.media_ask_restart_ice(actor, req);
		WHEN 'produce' THEN RETURN rt_private.media_ask_produce(actor, req);
		WHEN 'consume' THEN RETURN rt_private.media_ask_consume(actor, req);
		WHEN 'pause-producer', 'resume-producer', 'close-producer' THEN
			RETURN rt_private.media_ask_producer(actor, req, op);
		WHEN 'pause-consumer', 'resume-consumer', 'close-consumer', 'set-preferred-layers', 'request-keyframe' THEN
			RETURN rt_private.media_ask_consumer(actor, req, op);
		WHEN 'get-stats' THEN RETURN rt_private.media_ask_stats(actor, req);
		ELSE RAISE EXCEPTION 'unknown media request' USING ERRCODE = 'RT400';
	END CASE;
END
$$;
COMMENT ON FUNCTION rt_private.media_ask(text, jsonb) IS 'checks a client''s media request and converts it for the worker';

-- ---- settling -----------------------------------------------------------------------------------------------
--
-- Each stores what the worker has made and returns the acknowledgement; null: what it was made on is gone meanwhile.

-- ice-char of RFC 8839, section 5.4.
CREATE FUNCTION rt_private.ice_random(bytes integer) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN translate(rt_private.random_text(bytes), '-_', '+/');
END
$$;
COMMENT ON FUNCTION rt_private.ice_random(integer) IS 'random bytes for an ICE ufrag or password';

-- A participant that is back on another socket and makes a transport has lost the ones it had: its page was loaded anew.
CREATE FUNCTION rt_private.media_supersede(r rt_private.media_requests) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old rt_private.media_transports;
BEGIN
	FOR old IN
		DELETE FROM rt_private.media_transports AS t
		WHERE t.participant_id = r.participant_id AND t.direction = r.body ->> 'direction' AND t.socket_id <> r.socket_id
		RETURNING t.*
	LOOP
		PERFORM rt_private.media_command(old.worker, 'close-transports', old.meeting_id,
			jsonb_build_object('transportIds', jsonb_build_array(old.id)));
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_supersede(rt_private.media_requests) IS 'closes transports that a new one replaces';

-- Nobody waits for the worker here: what the client needs to know is known, and connect-transport comes to the worker
-- behind this.  The password goes to the worker when it fetches the command, and to the client on its gateway's connection.
CREATE FUNCTION rt_private.media_make_transport(r rt_private.media_requests, w rt_private.media_workers) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ice jsonb := jsonb_build_object('usernameFragment', rt_private.ice_random(12), 'password', rt_private.ice_random(24),
		'iceLite', true);
BEGIN
	PERFORM rt_private.media_supersede(r);
	INSERT INTO rt_private.media_transports (id, router_id, worker, meeting_id, participant_id, socket_id, direction)
	VALUES (r.object_id, r.body ->> 'routerId', r.worker, r.meeting_id, r.participant_id, r.socket_id, r.body ->> 'direction');
	INSERT INTO rt_private.media_requests (worker, op, meeting_id, participant_id, object_id, body)
	VALUES (r.worker, r.op, r.meeting_id, r.participant_id, r.object_id, r.body || jsonb_build_object('iceParameters', ice))
	RETURNING id INTO r.id;
	PERFORM rt_private.media_wake(r.worker, r.id);
	RETURN json_build_object('transportId', r.object_id, 'id', r.object_id, 'iceParameters', ice,
		'iceCandidates', w.ice_candidates,
		'dtlsParameters', json_build_object('role', 'auto', 'fingerprints', json_build_array(w.fingerprint)),
		'sctpParameters', NULL);
END
$$;
COMMENT ON FUNCTION rt_private.media_make_transport(rt_private.media_requests, rt_private.media_workers)
	IS 'makes a transport, has the worker make it, and returns the client''s acknowledgement';

CREATE FUNCTION rt_private.media_settle_produce(r rt_private.media_requests, result json) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	muted boolean;
BEGIN
	PERFORM FROM rt_private.media_transports AS t WHERE t.id = r.body ->> 'transportId' FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	SELECT t.* INTO p FROM rt.meeting_participants AS t WHERE t.id = r.participant_id;
	IF NOT 'produce' = ANY (rt_private.meeting_permissions(p.role)) THEN
		RETURN NULL;
	END IF;
	muted := CASE r.body ->> 'kind' WHEN 'audio' THEN p.audio_muted ELSE p.video_muted END;
	INSERT INTO rt_private.media_producers (id, transport_id, worker, meeting_id, participant_id, kind, source, type, paused, muted)
	VALUES (r.object_id, r.body ->> 'transportId', r.worker, r.meeting_id, r.participant_id, r.body ->> 'kind',
		r.body ->> 'source', coalesce(result ->> 'type', 'simple'), (r.body ->> 'paused')::boolean, muted);
	IF muted <> (r.body ->> 'muted')::boolean THEN
		PERFORM rt_private.media_command(r.worker, 'mute-producer', r.meeting_id,
			jsonb_build_object('producerId', r.object_id, 'muted', muted));
	END IF;
	RETURN json_build_object('producerId', r.object_id, 'id', r.object_id, 'kind', r.body ->> 'kind');
END
$$;
COMMENT ON FUNCTION rt_private.media_settle_produce(rt_private.media_requests, json) IS 'a producer was made';

CREATE FUNCTION rt_private.media_settle_consume(r rt_private.media_requests, result json) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d rt_private.media_producers;
BEGIN
	PERFORM FROM rt_private.media_transports AS t WHERE t.id = r.body ->> 'transportId' FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	SELECT o.* INTO d FROM rt_private.media_producers AS o WHERE o.id = r.body ->> 'producerId' FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	INSERT INTO rt_private.media_consumers (id, transport_id, producer_id, worker, meeting_id, participant_id, kind)
	VALUES (r.object_id, r.body ->> 'transportId', d.id, r.worker, r.meeting_id, r.participant_id, d.kind);
	RETURN json_build_object('consumerId', r.object_id, 'id', r.object_id, 'producerId', d.id, 'kind', d.kind,
		'rtpParameters', result -> 'rtpParameters', 'type', coalesce(result ->> 'type', d.type), 'paused', true,
		'producerPaused', d.paused OR d.muted, 'producerParticipantId', d.participant_id::text, 'source', d.source);
END
$$;
COMMENT ON FUNCTION rt_private.media_settle_consume(rt_private.media_requests, json) IS 'a consumer was made';

-- Two answers may come on two connections of the worker, the later one first: it is the later request that counts.
CREATE FUNCTION rt_private.media_settle_producer(r rt_private.media_requests) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF r.op = 'close-producer' THEN
		DELETE FROM rt_private.media_producers AS d WHERE d.id = r.object_id;
	ELSE
		UPDATE rt_private.media_producers AS d
		SET paused = (r.op = 'pause-producer'), paused_by = r.id
		WHERE d.id = r.object_id AND d.paused_by < r.id;
	END IF;
	RETURN json_build_object('producerId', r.object_id);
END
$$;
COMMENT ON FUNCTION rt_private.media_settle_producer(rt_private.media_requests) IS 'a producer was paused, resumed or closed';

CREATE FUNCTION rt_private.media_settle_consumer(r rt_private.media_requests) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF r.op = 'close-consumer' THEN
		DELETE FROM rt_private.media_consumers AS c WHERE c.id = r.object_id;
	ELSIF r.op IN ('pause-consumer', 'resume-consumer') THEN
		UPDATE rt_private.media_consumers AS c SET paused = (r.op = 'pause-consumer') WHERE c.id = r.object_id;
	END IF;
	RETURN json_build_object('consumerId', r.object_id);
END
$$;
COMMENT ON FUNCTION rt_private.media_settle_consumer(rt_private.media_requests) IS 'a consumer was paused, resumed, closed or set';

CREATE FUNCTION rt_private.media_settle(r rt_private.media_requests, result json) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	CASE r.op
		WHEN 'produce' THEN RETURN rt_private.media_settle_produce(r, result);
		WHEN 'consume' THEN RETURN rt_private.media_settle_consume(r, result);
		WHEN 'connect-transport' THEN
			UPDATE rt_private.media_transports AS t SET connected = true WHERE t.id = r.object_id;
			RETURN json_build_object('transportId', r.object_id);
		WHEN 'restart-ice' THEN
			RETURN json_build_object('transportId', r.object_id, 'iceParameters', result -> 'iceParameters');
		WHEN 'get-stats' THEN
			RETURN json_build_object('stats', coalesce(result -> 'stats', '[]'));
		WHEN 'pause-producer', 'resume-producer', 'close-producer' THEN RETURN rt_private.media_settle_producer(r);
		ELSE RETURN rt_private.media_settle_consumer(r);
	END CASE;
END
$$;
COMMENT ON FUNCTION rt_private.media_settle(rt_private.media_requests, json) IS 'stores what a worker did and returns the client''s acknowledgement';
