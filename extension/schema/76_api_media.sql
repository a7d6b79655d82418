-- Media signalling.  Every function is rt_api.<name>(actor text, req jsonb) RETURNS json.
--
-- THE GATEWAY'S SIDE
--
--   media_request  the client's payload, over which the gateway puts
--                    op       the client's event: create-transport, connect-transport, restart-ice, produce, consume,
--                             resume-consumer, pause-consumer, close-consumer, pause-producer, resume-producer,
--                             close-producer, set-preferred-layers, request-keyframe, get-stats
--                    sid      the socket's id          gateway  the gateway's name
--                    tag      the gateway's own name for this request, up to 64 characters
--                  -> { pending: "<request id>", event: "transport-connected" | ... | null }, or an error at once.
--                  `event` is what the caller gets beside the acknowledgement.
--                  create-transport -> { ack: {...}, event: "transport-created" }: that is the answer.  The worker hears of
--                  it, and has it before whatever is asked of that transport.
--
-- The answer to the others comes over the bus, possibly before the result of media_request is read (hence the tag):
--
--   rt:media-answer  route {"gateway":true,"to":"<gateway>"}
--     { requestId, to, sid, tag, event, ack: {...} }        acknowledge with ack, and emit event with it
--     { requestId, to, sid, tag, error: { code, message } } acknowledge with the error
--     { requestId, to, sid, tag, stored: true }             fetch it: it is long, or holds an ICE password
--
--   media_result   { requestIds: [..] }  -> { answers: [{ requestId, sid, tag, event, ack | error }] }, once each.
--
-- The gateway gives up after 5 s (unavailable); an answer that comes later than that is not accepted either.
--
-- THE MEDIA WORKER'S SIDE (actor NULL)
--
--   media_start      { worker, slot, addresses: [".."], udpPort, tcpPort, capacity, fingerprint: { algorithm, value },
--                      iceCandidates: [..], canRecord? } -> { heartbeatMs, relay }
--                    `worker` is new with each start of the program, `slot` says which worker of which host it is: a
--                    start in the same slot gives up the one before it.  capacity counts producers and consumers.
--   media_drain      { worker } -> { meetings, canMove }  it wants to go: it gets no new meetings, and those that it has move.
--                    `meetings` is how many are on it still; canMove false: no other worker could take them.
--   media_stop       { worker }  it is going: its meetings are placed anew at once
--   media_heartbeat  { worker, load, totals?: {..numbers..} }
--                    once a second or oftener -> { known: true | false, relay }.  Not known: the database has given it up
--                    (silent for over 3 s); it drops everything and calls media_start with a new name.  `relay` is the
--                    process whose notifications are to be believed.  The totals are for the gateways' /metrics, which
--                    have them of gateway_report.  It also accepts the `stats` of media_stats, as workers sent them before 1.2.
--   media_stats      { worker, stats: [{ type: "transport" | "producer" | "consumer", id, ...figures }] } -> { }
--                    at its own pace, on another connection than the heartbeats, and in parts: what a call does not name
--                    keeps the figures that it had.
--                    Figures that rt.stat_media shows: packets, bytes, lost, jitterMs, rttMs, bitrateBps, estimateBps,
--                    nacks, plis, spatialLayer, temporalLayer, score, reason, iceState, dtlsState, tuple.
--   rt:media-request route {"media":"<worker>"} { requestId, request?: REQUEST }: that request, and then media_fetch does
--                    not hand it out; or, without one, something waits: call media_fetch, unless one is under way (then
--                    once more after it).  One that comes while media_fetch is under way is behind what that brings.
--   media_fetch      { worker, again? } -> { requests: [REQUEST] } in order.  Each is handed out once; with again: true
--                    (after the connection broke, or when a notification was not the relay's) also those that were
--                    handed out, or notified of, and not answered, and the commands of the fetch before.  At most 200
--                    a call: with 200, call again.
--   media_answer     { worker, answers: [{ requestId, ok: true, result: {..} } | { requestId, ok: false, error: {code, message} }] }
--                    -> { void: ["<request id>"] }: requests that nobody waits for any more (the participant left, or
--                    5 s are over).  The worker undoes what it made for them.
--   media_event      { worker, events: [EVENT] } -> { }
--
-- REQUEST: { requestId, op, reply: true | false, meetingId, routerId, participantId, ... }; with reply false it is a command
-- that wants no answer.  Ids of new objects are made here and handed to the worker.
--
--   op                    has besides                                             result
--   connect-transport     transportId, dtlsParameters                             -
--   restart-ice           transportId                                             iceParameters
--   produce               transportId, producerId, kind, source, rtpParameters,   type ("simple" | "simulcast" | "svc")
--                         paused, muted
--   consume               transportId, consumerId, producerId, rtpCapabilities    rtpParameters, type
--   resume-consumer, pause-consumer, close-consumer, request-keyframe             -
--                         consumerId
--   pause-producer, resume-producer, close-producer                               -
--                         producerId
--   set-preferred-layers  consumerId, spatialLayer, temporalLayer, priority (each or null) -
--   get-stats             transportId | producerId | consumerId                   stats: [..]
--
--   commands: create-transport { routerId, transportId, direction, userId, iceParameters }, close-transports { transportIds: [..] }, close-producers { producerIds: [..] },
--             mute-producer { producerId, muted } (stops it whatever `paused` says), close-router { routerId },
--             record { routerId, recording } (to workers alone that said canRecord)
--   A router comes into being with the first request that names it.  Closing a transport closes what is on it, and
--   closing a producer its consumers; no event or answer is due for those.
--
-- EVENT: { type, ... }
--   active-speaker     { routerId, producerId, volume }
--   consumer-score     { consumerId, score, producerScore? }
--   layers-changed     { consumerId, spatialLayer, temporalLayer } (both null: nothing is forwarded)
--   transport-closed   { transportId, reason }          idle, DTLS failed, ...
--   transport-state    { transportId, iceState?, dtlsState? }

-- Tables of media are small and change all the time: a plan that was made while one was empty must not scan it whole when
-- what was deleted has filled it up.  Hence enable_seqscan, here and where other requests come to these tables.

-- ---- the gateway's side ---------------------------------------------------------------------------------------

CREATE FUNCTION rt_api.media_request(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	r rt_private.media_requests;
	w rt_private.media_workers;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	PERFORM rt_private.soft_commit();
	r := rt_private.media_ask(actor, req);
	r.gateway := rt_private.req_text(req, 'gateway');
	r.socket_id := req ->> 'sid';
	r.tag := left(req ->> 'tag', 64);
	PERFORM rt_private.media_check_room(
		(SELECT count(*) FROM rt_private.media_requests AS q WHERE q.participant_id = r.participant_id), 64,
		'requests under way');
	SELECT t.* INTO w FROM rt_private.media_workers AS t WHERE t.id = r.worker AND rt_private.media_alive(t);
	IF NOT FOUND THEN
		PERFORM rt_private.media_unavailable();
	ELSIF r.op = 'create-transport' THEN
		RETURN json_build_object('ack', rt_private.media_make_transport(r, w), 'event', rt_private.media_event_of(r.op));
	END IF;
	RETURN json_build_object('pending', rt_private.media_send(r)::text, 'event', rt_private.media_event_of(r.op));
END
$$;
COMMENT ON FUNCTION rt_api.media_request(text, jsonb) IS 'a client''s media signalling; the answer comes as rt:media-answer';

CREATE FUNCTION rt_api.media_result(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	answers json;
BEGIN
	PERFORM rt_private.soft_commit();
	WITH taken AS (
		DELETE FROM rt_private.media_requests AS r
		WHERE r.id IN (SELECT e::bigint FROM jsonb_array_elements_text(req -> 'requestIds') AS e)
			AND r.answer IS NOT NULL
		RETURNING r.id, r.answer)
	SELECT coalesce(json_agg(t.answer ORDER BY t.id), '[]') INTO answers FROM taken AS t;
	RETURN json_build_object('answers', answers);
END
$$;
COMMENT ON FUNCTION rt_api.media_result(text, jsonb) IS 'answers that were too large or too private for a notification';

-- ---- the worker's side ----------------------------------------------------------------------------------------

CREATE FUNCTION rt_api.media_start(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	former text;
BEGIN
	PERFORM rt_private.soft_commit();
	DELETE FROM rt_private.media_workers AS w WHERE w.slot = rt_private.req_text(req, 'slot') RETURNING w.id INTO former;
	INSERT INTO rt_private.media_workers (id, slot, addresses, udp_port, tcp_port, capacity, fingerprint, can_record, ice_candidates,
		host, region, own, pid)
	VALUES (rt_private.req_text(req, 'worker'), req ->> 'slot',
		ARRAY(SELECT jsonb_array_elements_text(req -> 'addresses')), (req ->> 'udpPort')::integer,
		(req ->> 'tcpPort')::integer, (req ->> 'capacity')::integer, req -> 'fingerprint',
		coalesce((req ->> 'canRecord')::boolean, false), coalesce(req -> 'iceCandidates', '[]'),
		req ->> 'host', nullif(req ->> 'region', ''), coalesce((req ->> 'own')::boolean, false), (req ->> 'pid')::integer);
	IF former IS NOT NULL THEN
		PERFORM rt_private.media_abandon(former, 'worker-restarted');
	END IF;
	RETURN json_build_object('heartbeatMs', 1000, 'relay', (SELECT s.pid FROM rt_private.stat_relay() AS s),
		'stamp', rt_private.settings_stamp());
END
$$;
COMMENT ON FUNCTION rt_api.media_start(text, jsonb) IS 'registers a media worker';

CREATE FUNCTION rt_api.media_drain(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	asker text := rt_private.req_text(req, 'worker');
	can_move boolean;
BEGIN
	PERFORM rt_private.soft_commit();
	can_move := rt_private.media_drain(ARRAY[asker]);
	PERFORM rt_private.media_close_formers();
	RETURN json_build_object('canMove', can_move, 'meetings', rt_private.media_meetings(asker));
END
$$;
COMMENT ON FUNCTION rt_api.media_drain(text, jsonb) IS 'drains a media worker that is about to end; returns how many meetings are on it';

CREATE FUNCTION rt_api.media_stop(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.media_worker_lost(rt_private.req_text(req, 'worker'), 'worker-stopped');
	RETURN '{}'::json;
END
$$;
COMMENT ON FUNCTION rt_api.media_stop(text, jsonb) IS 'unregisters a media worker';

-- Never waits: answers take the same rows in another order.  What is being changed gets its figures with the next report.
-- Each row is looked up by its key, without a join: a plan that was cached while the tables were empty is as good as any.
CREATE FUNCTION rt_private.media_store_stats(stats jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	object text;
	kind text;
	figures jsonb;
BEGIN
	FOR object, kind, figures IN
		SELECT s ->> 'id', s ->> 'type', s - 'type' - 'id' FROM jsonb_array_elements(media_store_stats.stats) AS s
	LOOP
		IF kind = 'transport' THEN
			UPDATE rt_private.media_transports AS o SET stats = figures
			WHERE o.id = (SELECT t.id FROM rt_private.media_transports AS t WHERE t.id = object FOR NO KEY UPDATE SKIP LOCKED);
		ELSIF kind = 'producer' THEN
			UPDATE rt_private.media_producers AS o SET stats = figures
			WHERE o.id = (SELECT t.id FROM rt_private.media_producers AS t WHERE t.id = object FOR NO KEY UPDATE SKIP LOCKED);
		ELSIF kind = 'consumer' THEN
			UPDATE rt_private.media_consumers AS o SET stats = figures
			WHERE o.id = (SELECT t.id FROM rt_private.media_consumers AS t WHERE t.id = object FOR NO KEY UPDATE SKIP LOCKED);
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_store_stats(jsonb) IS 'stores a worker''s statistics, for rt.stat_media';

CREATE FUNCTION rt_api.media_heartbeat(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	known boolean;
BEGIN
	PERFORM rt_private.soft_commit();
	UPDATE rt_private.media_workers AS w
	SET heartbeat_at = clock_timestamp(), load = coalesce((req ->> 'load')::integer, w.load),
		totals = coalesce(req -> 'totals', w.totals)
	WHERE w.id = rt_private.req_text(req, 'worker');
	known := FOUND;
	IF known AND jsonb_typeof(req -> 'stats') = 'array' THEN
		PERFORM rt_private.media_store_stats(req -> 'stats');
	END IF;
	RETURN json_build_object('known', known, 'relay', (SELECT s.pid FROM rt_private.stat_relay() AS s),
		'stamp', rt_private.settings_stamp());
END
$$;
COMMENT ON FUNCTION rt_api.media_heartbeat(text, jsonb) IS 'notes that a media worker is alive, with its load and totals';

CREATE FUNCTION rt_api.media_stats(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	IF jsonb_typeof(req -> 'stats') = 'array' THEN
		PERFORM rt_private.media_store_stats(req -> 'stats');
	END IF;
	RETURN '{}'::json;
END
$$;
COMMENT ON FUNCTION rt_api.media_stats(text, jsonb) IS 'stores figures of a media worker''s transports, producers and consumers';

-- A command is deleted by the fetch after the one that handed it out: whoever asks on has got it.
CREATE FUNCTION rt_api.media_fetch(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	again boolean := coalesce((req ->> 'again')::boolean, false);
	asker text := rt_private.req_text(req, 'worker');
	waiting bigint[];
	requests json;
BEGIN
	PERFORM rt_private.soft_commit();
	IF again THEN
		waiting := ARRAY(
			SELECT r.id FROM rt_private.media_requests AS r
			WHERE r.worker = asker AND r.answer IS NULL
			ORDER BY r.id LIMIT 200);
	ELSE -- by the index of those that are not fetched
		DELETE FROM rt_private.media_requests AS r WHERE r.worker = asker AND r.fetched AND r.gateway IS NULL;
		waiting := ARRAY(
			SELECT r.id FROM rt_private.media_requests AS r
			WHERE r.worker = asker AND NOT r.fetched AND r.answer IS NULL
			ORDER BY r.id LIMIT 200);
	END IF;
	SELECT coalesce(json_agg(rt_private.media_request_json(r) ORDER BY r.id), '[]') INTO requests
	FROM rt_private.media_requests AS r
	WHERE r.id = ANY (waiting);
	UPDATE rt_private.media_requests AS r SET fetched = true WHERE r.id = ANY (waiting) AND NOT r.fetched;
	RETURN json_build_object('requests', requests);
END
$$;
COMMENT ON FUNCTION rt_api.media_fetch(text, jsonb) IS 'returns waiting requests to a media worker';

-- One answer.  False: nobody waits for it any more.
CREATE FUNCTION rt_private.media_answer_one(worker text, answer json) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt_private.media_requests;
	ack json;
BEGIN
	SELECT q.* INTO r
	FROM rt_private.media_requests AS q
	WHERE q.id = (media_answer_one.answer ->> 'requestId')::bigint AND q.worker = media_answer_one.worker
		AND q.answer IS NULL
		AND q.created_at > clock_timestamp() - interval '5 seconds'
	FOR UPDATE;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	IF NOT (media_answer_one.answer ->> 'ok')::boolean THEN
		PERFORM rt_private.media_reply_error(r, coalesce(media_answer_one.answer #>> '{error,code}', 'internal'),
			coalesce(media_answer_one.answer #>> '{error,message}', 'the media worker could not do that'));
		RETURN true;
	END IF;
	PERFORM set_config('rt_private.socket_id', r.socket_id, true);
	ack := rt_private.media_settle(r, media_answer_one.answer -> 'result');
	IF ack IS NULL THEN
		PERFORM rt_private.media_reply_error(r, 'not_found', 'it was closed meanwhile');
		RETURN false;
	END IF;
	PERFORM rt_private.media_reply(r, json_build_object('event', rt_private.media_event_of(r.op), 'ack', ack),
		r.op = 'restart-ice');
	RETURN true;
END
$$;
COMMENT ON FUNCTION rt_private.media_answer_one(text, json) IS 'stores a worker''s answer and sends it to the waiting gateway';

CREATE FUNCTION rt_api.media_answer(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	worker text := rt_private.req_text(req, 'worker');
	answer jsonb;
	void text[] := '{}';
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM FROM rt.meetings AS m
	WHERE m.id IN (
		SELECT r.meeting_id
		FROM jsonb_array_elements(req -> 'answers') AS a
		JOIN rt_private.media_requests AS r ON r.id = (a ->> 'requestId')::bigint
		WHERE rt_private.media_is_seen(r.op))
	ORDER BY m.id FOR NO KEY UPDATE;
	PERFORM FROM rt_private.media_requests AS r
	WHERE r.id IN (SELECT (a ->> 'requestId')::bigint FROM jsonb_array_elements(req -> 'answers') AS a)
	ORDER BY r.id FOR UPDATE;
	FOR answer IN SELECT a FROM jsonb_array_elements(req -> 'answers') AS a LOOP
		IF NOT rt_private.media_answer_one(worker, answer::json) THEN
			void := void || (answer ->> 'requestId');
		END IF;
	END LOOP;
	RETURN json_build_object('void', array_to_json(void));
END
$$;
COMMENT ON FUNCTION rt_api.media_answer(text, jsonb) IS 'stores a media worker''s answers to requests';

-- ---- what happens by itself ------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.media_tell_speaker(e jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d rt_private.media_producers;
BEGIN
	SELECT o.* INTO d FROM rt_private.media_producers AS o WHERE o.id = e ->> 'producerId';
	IF FOUND THEN
		PERFORM rt_private.meeting_emit('active-speaker', d.meeting_id,
			json_build_object('meetingId', d.meeting_id::text, 'participantId', d.participant_id::text,
				'producerId', d.id, 'volume', e -> 'volume'), logged => false);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_tell_speaker(jsonb) IS 'emits active-speaker';

CREATE FUNCTION rt_private.media_tell_consumer(event text, e jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	c rt_private.media_consumers;
BEGIN
	SELECT o.* INTO c FROM rt_private.media_consumers AS o WHERE o.id = e ->> 'consumerId';
	IF FOUND THEN
		PERFORM rt_private.meeting_emit(media_tell_consumer.event, c.meeting_id,
			((e - 'type') || jsonb_build_object('meetingId', c.meeting_id::text, 'producerId', c.producer_id))::json,
			participants => ARRAY[c.participant_id], logged => false);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_tell_consumer(text, jsonb) IS 'emits consumer-score or layers-changed to the consumer''s owner';

CREATE FUNCTION rt_private.media_transport_closed(worker text, e jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t rt_private.media_transports;
BEGIN
	DELETE FROM rt_private.media_transports AS o
	WHERE o.id = e ->> 'transportId' AND o.worker = media_transport_closed.worker
	RETURNING o.* INTO t;
	IF FOUND THEN
		PERFORM rt_private.media_emit_transport_closed(t, coalesce(e ->> 'reason', 'closed'), t.router_id);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_transport_closed(text, jsonb) IS 'closes a transport that has ended, and everything on it';

CREATE FUNCTION rt_private.media_event_one(worker text, e jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	CASE e ->> 'type'
		WHEN 'active-speaker' THEN PERFORM rt_private.media_tell_speaker(e);
		WHEN 'consumer-score', 'layers-changed' THEN PERFORM rt_private.media_tell_consumer(e ->> 'type', e);
		WHEN 'transport-closed' THEN PERFORM rt_private.media_transport_closed(worker, e);
		WHEN 'transport-state' THEN
			UPDATE rt_private.media_transports AS t -- like figures, which tell it too
			SET stats = t.stats || (e - 'type' - 'transportId')
			WHERE t.id = (SELECT o.id FROM rt_private.media_transports AS o WHERE o.id = e ->> 'transportId'
				FOR NO KEY UPDATE SKIP LOCKED);
		ELSE
			RAISE EXCEPTION 'unknown media event' USING ERRCODE = 'RT400';
	END CASE;
END
$$;
COMMENT ON FUNCTION rt_private.media_event_one(text, jsonb) IS 'one event of a media worker';

CREATE FUNCTION rt_api.media_event(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	worker text := rt_private.req_text(req, 'worker');
	e jsonb;
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM set_config('rt_private.socket_id', '', true);
	PERFORM FROM rt.meetings AS m
	WHERE m.id IN (
		SELECT t.meeting_id
		FROM jsonb_array_elements(req -> 'events') AS x
		JOIN rt_private.media_transports AS t ON t.id = x ->> 'transportId'
		WHERE x ->> 'type' = 'transport-closed')
	ORDER BY m.id FOR NO KEY UPDATE;
	FOR e IN SELECT x FROM jsonb_array_elements(req -> 'events') AS x LOOP
		PERFORM rt_private.media_event_one(worker, e);
	END LOOP;
	RETURN '{}'::json;
END
$$;
COMMENT ON FUNCTION rt_api.media_event(text, jsonb) IS 'handles events of a media worker';

-- Part of rt_api.meeting_sweep: workers that are silent or drained, requests that nobody came for.
CREATE FUNCTION rt_private.media_sweep() RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	worker text;
	lost integer := 0;
BEGIN
	FOR worker IN
		SELECT w.id FROM rt_private.media_workers AS w WHERE NOT rt_private.media_alive(w) FOR UPDATE SKIP LOCKED
	LOOP
		PERFORM rt_private.media_worker_lost(worker, 'worker-lost');
		lost := lost + 1;
	END LOOP;
	PERFORM rt_private.media_close_formers();
	PERFORM rt_private.media_move_some();
	DELETE FROM rt_private.media_requests AS r
	WHERE r.id IN (SELECT o.id FROM rt_private.media_requests AS o ORDER BY o.id LIMIT 1000)
		AND r.gateway IS NOT NULL AND r.created_at < clock_timestamp() - interval '15 seconds';
	RETURN lost;
END
$$;
COMMENT ON FUNCTION rt_private.media_sweep() IS 'removes silent media workers; returns how many';
