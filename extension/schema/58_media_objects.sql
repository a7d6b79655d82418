-- Media: placing meetings on workers, and closing what is on them.
--
-- A producer's row speaks for itself (triggers): all hear of it when it comes, pauses, goes, but for its owner where it was
-- the owner who asked.  Commands to workers are rows of media_requests without a gateway.
--
-- Locking: meetings, in the order of their ids, before requests, in the order of theirs, before what is on a router.

-- ---- telling workers ------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.media_wake(worker text, request bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit('rt:media-request', json_build_object('media', media_wake.worker),
		json_build_object('requestId', media_wake.request::text), false);
END
$$;
COMMENT ON FUNCTION rt_private.media_wake(text, bigint) IS 'tells a media worker that a request waits';

CREATE FUNCTION rt_private.media_request_json(r rt_private.media_requests) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN jsonb_build_object('requestId', r.id::text, 'op', r.op, 'reply', r.gateway IS NOT NULL,
		'meetingId', r.meeting_id::text, 'participantId', r.participant_id::text) || r.body;
END
$$;
COMMENT ON FUNCTION rt_private.media_request_json(rt_private.media_requests) IS 'a request, as the worker gets it';

-- What fits into the notification goes with it, which saves the worker a call: requests of clients hold no secret.
CREATE FUNCTION rt_private.media_send(r rt_private.media_requests) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	r.fetched := octet_length(r.body::text) <= 6000;
	INSERT INTO rt_private.media_requests (worker, op, meeting_id, participant_id, object_id, body, gateway, socket_id, tag, fetched)
	VALUES (r.worker, r.op, r.meeting_id, r.participant_id, r.object_id, r.body, r.gateway, r.socket_id, r.tag, r.fetched)
	RETURNING id INTO r.id;
	IF r.fetched THEN
		PERFORM rt_private.emit('rt:media-request', json_build_object('media', r.worker),
			json_build_object('requestId', r.id::text, 'request', rt_private.media_request_json(r)), false);
	ELSE
		PERFORM rt_private.media_wake(r.worker, r.id);
	END IF;
	RETURN r.id;
END
$$;
COMMENT ON FUNCTION rt_private.media_send(rt_private.media_requests) IS 'stores a client''s request and sends it to its worker';

CREATE FUNCTION rt_private.media_command(worker text, op text, meeting_id bigint, body jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	request bigint;
BEGIN
	INSERT INTO rt_private.media_requests (worker, op, meeting_id, body)
	SELECT w.id, media_command.op, media_command.meeting_id, media_command.body
	FROM rt_private.media_workers AS w
	WHERE w.id = media_command.worker
	RETURNING id INTO request;
	IF FOUND THEN
		PERFORM rt_private.media_wake(media_command.worker, request);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_command(text, text, bigint, jsonb) IS 'sends a media worker a command, if it is alive';

-- ---- placement ----------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.media_alive(w rt_private.media_workers) RETURNS boolean
LANGUAGE sql VOLATILE
	RETURN w.heartbeat_at > pg_catalog.clock_timestamp() - interval '3 seconds';
COMMENT ON FUNCTION rt_private.media_alive(rt_private.media_workers) IS 'whether a media worker has reported within 3 s';

CREATE FUNCTION rt_private.media_totals() RETURNS json
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(json_build_object('slot', w.slot, 'totals', w.totals) ORDER BY w.slot), '[]')
	FROM rt_private.media_workers AS w
	WHERE rt_private.media_alive(w)
$$;
COMMENT ON FUNCTION rt_private.media_totals() IS 'totals of the live media workers';

-- Those that move count on both workers.
CREATE FUNCTION rt_private.media_meetings(worker text) RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT (SELECT count(*) FROM rt_private.media_routers AS r WHERE r.worker = media_meetings.worker)
		+ (SELECT count(*) FROM rt_private.media_routers AS r WHERE r.former_worker = media_meetings.worker AND r.former IS NOT NULL)
$$;
COMMENT ON FUNCTION rt_private.media_meetings(text) IS 'how many meetings are on a media worker';

-- Meetings placed a moment ago are not in the reported load yet: each counts for four streams at least.
CREATE FUNCTION rt_private.media_pick_worker(region text) RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT w.id
	FROM rt_private.media_workers AS w
	CROSS JOIN LATERAL (
		SELECT count(*) AS n FROM rt_private.media_routers AS r WHERE r.worker = w.id) AS placed
	WHERE rt_private.media_alive(w) AND w.load < w.capacity AND w.draining_since IS NULL
	ORDER BY coalesce(w.region = media_pick_worker.region, false) DESC,
		greatest(w.load, 4 * placed.n)::float8 / w.capacity, w.slot
	LIMIT 1
$$;
COMMENT ON FUNCTION rt_private.media_pick_worker(text) IS 'the least loaded live worker, of the region if one there has room; or null';

-- A region that no worker is in is nobody's.
CREATE FUNCTION rt_private.media_region(req jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce(
		(SELECT w.region FROM rt_private.media_workers AS w WHERE w.region = media_region.req ->> 'region' AND rt_private.media_alive(w) LIMIT 1),
		(SELECT nullif(g.region, '') FROM rt_private.gateways AS g WHERE g.name = media_region.req ->> 'gateway'));
END
$$;
COMMENT ON FUNCTION rt_private.media_region(jsonb) IS 'the region of a request: the one that the client names, or its gateway''s; or null';

-- The meeting is locked, and has no router.  Null where there is no worker.
CREATE FUNCTION rt_private.media_place(meeting_id bigint, region text) RETURNS rt_private.media_routers
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt_private.media_routers;
	worker text;
BEGIN
	worker := rt_private.media_pick_worker(media_place.region);
	IF worker IS NULL THEN
		RETURN NULL;
	END IF;
	INSERT INTO rt_private.media_routers (id, meeting_id, worker, region)
	VALUES (gen_random_uuid()::text, media_place.meeting_id, worker, media_place.region)
	RETURNING * INTO r;
	RETURN r;
END
$$;
COMMENT ON FUNCTION rt_private.media_place(bigint, text) IS 'places a meeting that has no router';

-- Only who comes first has a say where.
CREATE FUNCTION rt_private.media_place_for(meeting_id bigint, req jsonb) RETURNS rt_private.media_routers
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt_private.media_routers;
BEGIN
	SELECT t.* INTO r FROM rt_private.media_routers AS t WHERE t.meeting_id = media_place_for.meeting_id;
	IF NOT FOUND THEN
		r := rt_private.media_place(meeting_id, rt_private.media_region(req));
	END IF;
	RETURN r;
END
$$;
COMMENT ON FUNCTION rt_private.media_place_for(bigint, jsonb) IS 'the router of a meeting, placed in the region of a request if it has none';

-- ---- producers speak -----------------------------------------------------------------------------------

CREATE FUNCTION rt_private.producer_json(d rt_private.media_producers) RETURNS json
LANGUAGE sql STABLE
	RETURN pg_catalog.json_build_object('meetingId', d.meeting_id::text, 'participantId', d.participant_id::text,
		'producerId', d.id, 'kind', d.kind, 'source', d.source, 'paused', d.paused OR d.muted, 'muted', d.muted);
COMMENT ON FUNCTION rt_private.producer_json(rt_private.media_producers) IS 'the payload of new-producer and of its changes';

CREATE FUNCTION rt_private.producers_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d rt_private.media_producers := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
	PERFORM rt_private.meeting_emit(
		CASE
			WHEN TG_OP = 'INSERT' THEN 'new-producer'
			WHEN TG_OP = 'DELETE' THEN 'producer-closed'
			WHEN NEW.paused OR NEW.muted THEN 'producer-paused'
			ELSE 'producer-resumed'
		END,
		d.meeting_id, rt_private.producer_json(d), except_socket => (
			SELECT p.socket_id FROM rt.meeting_participants AS p
			WHERE p.id = d.participant_id AND p.socket_id = rt_private.meeting_socket()));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.producers_changed() IS 'emits new-producer, producer-paused, producer-resumed, producer-closed';

CREATE TRIGGER producers_changed AFTER INSERT OR DELETE ON rt_private.media_producers
	FOR EACH ROW EXECUTE FUNCTION rt_private.producers_changed();
COMMENT ON TRIGGER producers_changed ON rt_private.media_producers IS 'emits new-producer, producer-paused, producer-resumed, producer-closed';
CREATE TRIGGER producers_paused AFTER UPDATE ON rt_private.media_producers
	FOR EACH ROW WHEN ((OLD.paused OR OLD.muted) <> (NEW.paused OR NEW.muted))
	EXECUTE FUNCTION rt_private.producers_changed();
COMMENT ON TRIGGER producers_paused ON rt_private.media_producers IS 'emits new-producer, producer-paused, producer-resumed, producer-closed';

-- ---- closing ----------------------------------------------------------------------------------------------

-- A request that is being answered at this moment is waited for: then its object is there, and is closed too.
CREATE FUNCTION rt_private.media_participant_gone(participant_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	t record;
BEGIN
	DELETE FROM rt_private.media_requests AS r WHERE r.participant_id = media_participant_gone.participant_id;
	FOR t IN
		WITH gone AS (
			DELETE FROM rt_private.media_transports AS d
			WHERE d.participant_id = media_participant_gone.participant_id
			RETURNING d.id, d.worker, d.meeting_id)
		SELECT gone.worker, gone.meeting_id, jsonb_agg(gone.id) AS ids FROM gone GROUP BY gone.worker, gone.meeting_id
	LOOP
		PERFORM rt_private.media_command(t.worker, 'close-transports', t.meeting_id,
			jsonb_build_object('transportIds', t.ids));
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_participant_gone(bigint) IS 'frees the media of a participant who has left';

CREATE FUNCTION rt_private.media_close_producers(participant_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	d record;
BEGIN
	FOR d IN
		WITH gone AS (
			DELETE FROM rt_private.media_producers AS p
			WHERE p.participant_id = media_close_producers.participant_id
			RETURNING p.id, p.worker, p.meeting_id)
		SELECT gone.worker, gone.meeting_id, jsonb_agg(gone.id) AS ids FROM gone GROUP BY gone.worker, gone.meeting_id
	LOOP
		PERFORM rt_private.media_command(d.worker, 'close-producers', d.meeting_id,
			jsonb_build_object('producerIds', d.ids));
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_close_producers(bigint) IS 'stops all that a participant sends';

CREATE FUNCTION rt_private.media_mute(participant_id bigint, kind text, muted boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	d rt_private.media_producers;
BEGIN
	FOR d IN
		UPDATE rt_private.media_producers AS p
		SET muted = media_mute.muted
		WHERE p.participant_id = media_mute.participant_id AND p.kind = media_mute.kind AND p.muted <> media_mute.muted
		RETURNING p.*
	LOOP
		PERFORM rt_private.media_command(d.worker, 'mute-producer', d.meeting_id,
			jsonb_build_object('producerId', d.id, 'muted', d.muted));
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_mute(bigint, text, boolean) IS 'has the forwarder stop, or let through, what a participant sends';

CREATE FUNCTION rt_private.media_close_meeting(meeting_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	r rt_private.media_routers;
BEGIN
	DELETE FROM rt_private.media_routers AS t WHERE t.meeting_id = media_close_meeting.meeting_id RETURNING t.* INTO r;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	DELETE FROM rt_private.media_requests AS q WHERE q.meeting_id = media_close_meeting.meeting_id AND q.participant_id IS NOT NULL;
	DELETE FROM rt_private.media_transports AS t WHERE t.meeting_id = media_close_meeting.meeting_id;
	PERFORM rt_private.media_command(r.worker, 'close-router', r.meeting_id, jsonb_build_object('routerId', r.id));
	PERFORM rt_private.media_command(r.former_worker, 'close-router', r.meeting_id, jsonb_build_object('routerId', r.former));
END
$$;
COMMENT ON FUNCTION rt_private.media_close_meeting(bigint) IS 'closes a meeting''s router and all that is on it';

CREATE FUNCTION rt_private.media_close_if_empty(meeting_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (
		SELECT FROM rt.meeting_participants AS p
		WHERE p.meeting_id = media_close_if_empty.meeting_id AND p.left_at IS NULL)
	THEN
		PERFORM rt_private.media_close_meeting(media_close_if_empty.meeting_id);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_close_if_empty(bigint) IS 'frees the router of an empty meeting';

-- With closes_in_ms the transport forwards on for so long: the owner has time to make another one first.
CREATE FUNCTION rt_private.media_emit_transport_closed(t rt_private.media_transports, reason text, router_id text,
	closes_in_ms integer DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.meeting_emit('transport-closed', t.meeting_id,
		(jsonb_build_object('meetingId', t.meeting_id::text, 'transportId', t.id, 'direction', t.direction,
			'reason', media_emit_transport_closed.reason, 'routerId', media_emit_transport_closed.router_id)
		|| CASE WHEN closes_in_ms IS NULL THEN '{}' ELSE jsonb_build_object('closesInMs', closes_in_ms) END)::json,
		participants => ARRAY[t.participant_id]);
END
$$;
COMMENT ON FUNCTION rt_private.media_emit_transport_closed(rt_private.media_transports, text, text, integer)
	IS 'tells a transport''s owner that it is closed, or will be, and which router the next one will be on';

-- ---- answers to gateways ------------------------------------------------------------------------------------

-- Short answers travel in the notification; long ones, and those with an ICE password, wait in the row, since any role of
-- the database may listen.
CREATE FUNCTION rt_private.media_reply(r rt_private.media_requests, outcome json, secret boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored boolean := secret OR octet_length(outcome::text) > 6000;
	head jsonb := jsonb_build_object('requestId', r.id::text, 'to', r.gateway, 'sid', r.socket_id, 'tag', r.tag);
	reply json := (rtrim(head::text, '}') || ',' || ltrim(outcome::text, '{'))::json;
BEGIN
	IF stored THEN
		UPDATE rt_private.media_requests AS q SET answer = reply WHERE q.id = r.id;
		reply := (head || '{"stored":true}')::json;
	ELSE
		DELETE FROM rt_private.media_requests AS q WHERE q.id = r.id;
	END IF;
	PERFORM rt_private.emit('rt:media-answer', json_build_object('gateway', true, 'to', r.gateway), reply, false);
END
$$;
COMMENT ON FUNCTION rt_private.media_reply(rt_private.media_requests, json, boolean) IS 'sends the answer to a request to its gateway';

CREATE FUNCTION rt_private.media_reply_error(r rt_private.media_requests, code text, message text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.media_reply(r, json_build_object('error', json_build_object('code', media_reply_error.code,
		'message', rt_private.sentence(media_reply_error.message))), false)
$$;
COMMENT ON FUNCTION rt_private.media_reply_error(rt_private.media_requests, text, text) IS 'sends an error to the gateway of a request';

-- ---- a worker is drained -------------------------------------------------------------------------------------
--
-- A DTLS session cannot move to another host, so a meeting that leaves a draining worker has two routers for a time:
-- clients that know `closesInMs` make their transports on the new one, and let go of the old one when pictures and sound
-- arrive.  The former router is closed when everybody has moved, after 5 s at the earliest and after
-- rt_private.media_move_time() at the latest.  A meeting moves once at a time.

CREATE FUNCTION rt_private.media_move_time() RETURNS interval
LANGUAGE sql IMMUTABLE
	RETURN interval '20 seconds';
COMMENT ON FUNCTION rt_private.media_move_time() IS 'how long the former router of a meeting that moves forwards on at most';

-- What is paused or muted sends nothing, and need not have arrived.
CREATE FUNCTION rt_private.media_has_moved(r rt_private.media_routers) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT NOT EXISTS (
		SELECT FROM rt_private.media_transports AS t
		CROSS JOIN LATERAL (
			SELECT count(*) AS n FROM rt_private.media_producers AS d WHERE d.transport_id = t.id AND NOT d.paused) AS sent
		CROSS JOIN LATERAL (
			SELECT count(*) AS n, count(*) FILTER (WHERE (c.stats ->> 'packets')::bigint > 0) AS arrived
			FROM rt_private.media_consumers AS c
			JOIN rt_private.media_producers AS d ON d.id = c.producer_id
			WHERE c.transport_id = t.id AND NOT c.paused AND NOT d.paused AND NOT d.muted) AS received
		WHERE t.meeting_id = r.meeting_id
		GROUP BY t.participant_id
		HAVING sum(sent.n) FILTER (WHERE t.router_id = r.former) > coalesce(sum(sent.n) FILTER (WHERE t.router_id = r.id), 0)
			OR sum(received.n) FILTER (WHERE t.router_id = r.former) > coalesce(sum(received.arrived) FILTER (WHERE t.router_id = r.id), 0))
$$;
COMMENT ON FUNCTION rt_private.media_has_moved(rt_private.media_routers)
	IS 'whether each participant sends and receives by the new router as much as by the former one';

-- The meeting is locked.
CREATE FUNCTION rt_private.media_close_former(r rt_private.media_routers) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt_private.media_routers AS o
	SET former = NULL, former_worker = NULL, former_until = NULL
	WHERE o.id = r.id AND o.former = r.former;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	DELETE FROM rt_private.media_transports AS t WHERE t.meeting_id = r.meeting_id AND t.router_id = r.former;
	PERFORM rt_private.media_command(r.former_worker, 'close-router', r.meeting_id, jsonb_build_object('routerId', r.former));
END
$$;
COMMENT ON FUNCTION rt_private.media_close_former(rt_private.media_routers) IS 'closes the router that a meeting has moved away from';

-- The meeting is locked.  False where no worker has room: it stays, and rt_private.media_sweep() tries again.
CREATE FUNCTION rt_private.media_move(r rt_private.media_routers) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target text := rt_private.media_pick_worker(r.region);
	moved rt_private.media_routers;
	t rt_private.media_transports;
	closes_in_ms integer := (extract(epoch FROM rt_private.media_move_time()) * 1000)::integer;
BEGIN
	IF target IS NULL THEN
		RETURN false;
	END IF;
	UPDATE rt_private.media_routers AS o
	SET id = gen_random_uuid()::text, worker = target, former = o.id, former_worker = o.worker,
		former_until = clock_timestamp() + rt_private.media_move_time()
	WHERE o.id = r.id AND o.former IS NULL
	RETURNING o.* INTO moved;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	FOR t IN SELECT o.* FROM rt_private.media_transports AS o WHERE o.meeting_id = r.meeting_id AND o.router_id = r.id LOOP
		PERFORM rt_private.media_emit_transport_closed(t, 'worker-draining', moved.id, closes_in_ms);
	END LOOP;
	RETURN true;
END
$$;
COMMENT ON FUNCTION rt_private.media_move(rt_private.media_routers) IS 'moves a meeting to another worker, and tells the owners of its transports';

-- Each meeting that moves costs two DTLS handshakes a participant: so many begin at a time, the others with the next sweep.
-- One that somebody has locked is left to the next sweep too, so this never waits.
CREATE FUNCTION rt_private.media_move_some() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	r rt_private.media_routers;
BEGIN
	FOR r IN
		SELECT t.* FROM rt_private.media_routers AS t
		JOIN rt_private.media_workers AS w ON w.id = t.worker
		JOIN rt.meetings AS m ON m.id = t.meeting_id
		WHERE w.draining_since IS NOT NULL AND t.former IS NULL
		ORDER BY t.meeting_id LIMIT 50
		FOR NO KEY UPDATE OF m SKIP LOCKED
	LOOP
		EXIT WHEN NOT rt_private.media_move(r);
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_move_some() IS 'moves meetings off draining workers';

CREATE FUNCTION rt_private.media_close_formers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	r rt_private.media_routers;
BEGIN
	FOR r IN
		SELECT t.* FROM rt_private.media_routers AS t
		JOIN rt.meetings AS m ON m.id = t.meeting_id
		WHERE t.former IS NOT NULL AND (t.former_until < clock_timestamp()
			OR t.former_until < clock_timestamp() + rt_private.media_move_time() - interval '5 seconds' AND rt_private.media_has_moved(t))
		ORDER BY t.meeting_id LIMIT 200
		FOR NO KEY UPDATE OF m SKIP LOCKED
	LOOP
		PERFORM rt_private.media_close_former(r);
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_close_formers() IS 'closes routers that meetings moved away from long enough ago';

-- Takes no new meetings from now on.  False: no other worker could take its meetings.
CREATE FUNCTION rt_private.media_drain(workers text[]) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (
		SELECT FROM rt_private.media_workers AS w
		WHERE w.id <> ALL (media_drain.workers) AND w.draining_since IS NULL AND rt_private.media_alive(w))
	THEN
		RETURN false;
	END IF;
	UPDATE rt_private.media_workers AS w SET draining_since = clock_timestamp()
	WHERE w.id = ANY (media_drain.workers) AND w.draining_since IS NULL;
	PERFORM rt_private.media_move_some();
	RETURN true;
END
$$;
COMMENT ON FUNCTION rt_private.media_drain(text[]) IS 'drains media workers';

-- ---- a worker is lost -----------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.media_replace_router(r rt_private.media_routers, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t rt_private.media_transports;
	next_router rt_private.media_routers;
BEGIN
	PERFORM FROM rt.meetings AS m WHERE m.id = r.meeting_id FOR NO KEY UPDATE;
	DELETE FROM rt_private.media_routers AS o WHERE o.id = r.id;
	IF NOT FOUND THEN
		RETURN; -- the meeting ended while we waited for it
	END IF;
	PERFORM rt_private.media_command(r.former_worker, 'close-router', r.meeting_id, jsonb_build_object('routerId', r.former));
	next_router := rt_private.media_place(r.meeting_id, r.region);
	FOR t IN DELETE FROM rt_private.media_transports AS o WHERE o.router_id IN (r.id, r.former) RETURNING o.* LOOP
		PERFORM rt_private.media_emit_transport_closed(t, media_replace_router.reason, next_router.id);
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_replace_router(rt_private.media_routers, text)
	IS 'places a meeting on another worker, and tells the owners of its transports';

CREATE FUNCTION rt_private.media_abandon(worker text, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	q rt_private.media_requests;
	r rt_private.media_routers;
BEGIN
	PERFORM FROM rt.meetings AS m
	WHERE m.id IN (SELECT t.meeting_id FROM rt_private.media_routers AS t WHERE t.worker = media_abandon.worker
		UNION ALL SELECT t.meeting_id FROM rt_private.media_routers AS t
		WHERE t.former_worker = media_abandon.worker AND t.former IS NOT NULL)
	ORDER BY m.id FOR NO KEY UPDATE;
	FOR q IN
		SELECT t.* FROM rt_private.media_requests AS t
		WHERE t.worker = media_abandon.worker AND t.gateway IS NOT NULL AND t.answer IS NULL
		ORDER BY t.id FOR UPDATE
	LOOP
		PERFORM rt_private.media_reply_error(q, 'unavailable', 'the media worker is gone');
	END LOOP;
	DELETE FROM rt_private.media_requests AS t
	WHERE t.worker = media_abandon.worker AND t.answer IS NULL;
	-- What was answered, and not fetched yet, is void too.
	UPDATE rt_private.media_requests AS t
	SET answer = (t.answer::jsonb - ARRAY['ack', 'event'] || jsonb_build_object('error',
		jsonb_build_object('code', 'unavailable', 'message', 'The media worker is gone')))::json
	WHERE t.worker = media_abandon.worker;
	FOR r IN
		SELECT t.* FROM rt_private.media_routers AS t WHERE t.worker = media_abandon.worker ORDER BY t.meeting_id
	LOOP
		PERFORM rt_private.media_replace_router(r, media_abandon.reason);
	END LOOP;
	FOR r IN
		SELECT t.* FROM rt_private.media_routers AS t
		WHERE t.former_worker = media_abandon.worker AND t.former IS NOT NULL ORDER BY t.meeting_id
	LOOP
		PERFORM rt_private.media_close_former(r);
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_abandon(text, text)
	IS 'moves the meetings of a worker that is gone to other workers, and answers the requests that wait for it';

CREATE FUNCTION rt_private.media_worker_lost(worker text, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM rt_private.media_workers AS w WHERE w.id = media_worker_lost.worker;
	IF FOUND THEN
		PERFORM rt_private.media_abandon(media_worker_lost.worker, media_worker_lost.reason);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_worker_lost(text, text) IS 'removes a dead media worker';
