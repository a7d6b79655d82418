-- Meetings, as the gateway asks for them.  Every function is rt_api.<name>(actor text, req jsonb) RETURNS json.
--
-- EVENTS.  The request is the client's payload; the gateway puts these keys over whatever the client sent:
--
--   sid       the socket's id                    gateway   the gateway's name, as in gateway_start
--
-- The result is the acknowledgement's content, and the payload of the event that goes to the caller, where
-- there is one.  meeting_join may answer { error: { code, message } } instead: a refusal that leaves a row behind.
--
--   event of the client       function              result
--   join-meeting              meeting_join          { meeting, participantId, participants, webrtcConfig, waiting }  -> meeting-joined
--   leave-meeting             meeting_leave         { meetingId, participantId | null: waited in the lobby }
--   media-status-update       meeting_media         { meetingId, participantId, userId, video, audio, screenSharing }
--   send-message              meeting_say           { meetingId, message }
--   typing                    meeting_typing        { meetingId, userId, userName, typing, ... }
--   send-reaction             meeting_react         { meetingId, participantId, userId, userName, reaction, timestamp }
--   raise-hand                meeting_hand          { meetingId, participantId, userId, userName, raised, timestamp, hands }
--   mute-participant          meeting_mute          { meetingId, participantId, kind, muted }
--   remove-participant        meeting_remove        { meetingId, participantId, reason }
--   update-participant-role   meeting_role          { meetingId, participantId, userId, role, by }
--   lock-meeting              meeting_lock          { meetingId, meeting }
--   end-meeting               meeting_close         { meetingId, meeting }
--   toggle-recording          meeting_record        { meetingId, recording, startedBy }
--
-- What the others see leaves through the bus, from triggers.  Two events are for the gateways alone, in the
-- same order as the rest, and say which sockets a route {"meeting": ...} reaches:
--
--   rt:meeting-member  { meetingId, participantId, userId, sid, gateway, member: true | false }
--   rt:meeting-closed  { meetingId }       the meeting has ended or is gone: nobody is in it any more
--
-- A socket belongs to the meeting from rt:meeting-member with member true on; what a gateway gets before the
-- acknowledgement of meeting_join, but after that event, goes to the socket behind meeting-joined.  `participants`
-- of meeting-joined is exactly the state at that event.  With member false it gets what comes before, its own
-- removed-from-meeting included, and nothing after.
--
-- CONNECTIONS
--
--   meeting_disconnected  { sid, gateway }  the socket dropped: its places are kept for rt.meeting_grace
--                                           -> { meetings: [{ meetingId, participantId }] }
--   meeting_resume        { sid, gateway }  a socket was recovered under its old id: it takes its places back
--                                           -> { meetings: [{ meetingId, participantId }] }
--   meeting_sweep         { }               each gateway, about once a second (actor NULL): ends the places whose
--                                           grace is over, those of dead gateways included, gives up dead media
--                                           workers.  -> { left, workersLost }
--
-- REST.  The request is body, path and query in one object; the result { status, data, ... }.
--
--   GET    /api/meetings                    meetings_list           limit, before, status -> count, hasMore beside data
--   POST   /api/meetings                    meeting_create          201
--   GET    /api/meetings/:meetingId         meeting_get
--   PATCH  /api/meetings/:meetingId         meeting_update          title, password (null: none), maxParticipants, startsAt,
--                                                                   access, roomId, locked, inviteeIds (invites them, again)
--   DELETE /api/meetings/:meetingId         meeting_delete
--   POST   /api/meetings/:meetingId/start   meeting_start
--   POST   /api/meetings/:meetingId/end     meeting_end
--   POST   /api/meetings/:meetingId/join    meeting_check_join      password
--   GET    .../:meetingId/participants      meeting_participants
--   GET    .../:meetingId/messages          meeting_messages        limit, before (a message's id)
--   GET    .../:meetingId/webrtc-config     meeting_webrtc_config
--   GET    .../:meetingId/recordings        meeting_recordings

-- ---- who asks ---------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_act(actor text, req jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM set_config('rt.user_id', coalesce(actor, ''), true);
	PERFORM set_config('rt_private.socket_id', coalesce(req ->> 'sid', ''), true);
END
$$;
COMMENT ON FUNCTION rt_private.meeting_act(text, jsonb) IS 'sets the acting user, who may be a guest, and the socket, for the transaction';

-- For what a crash of the server makes void anyway: signalling need not wait for the disk.
CREATE FUNCTION rt_private.soft_commit() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
END
$$;
COMMENT ON FUNCTION rt_private.soft_commit() IS 'lets the transaction commit without waiting for the disk';

-- The participant as whom a socket asks, in a role that may do what it asks for.
CREATE FUNCTION rt_private.meeting_member(actor text, req jsonb, action text, lock boolean DEFAULT true)
RETURNS rt.meeting_participants
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	meeting bigint := rt_private.req_id(req, 'meetingId');
	status text;
	p rt.meeting_participants;
BEGIN
	IF lock THEN
		SELECT m.status INTO status FROM rt.meetings AS m WHERE m.id = meeting FOR NO KEY UPDATE;
	ELSE
		SELECT m.status INTO status FROM rt.meetings AS m WHERE m.id = meeting;
	END IF;
	IF status IS NULL THEN
		RAISE EXCEPTION 'meeting not found' USING ERRCODE = 'RT404';
	ELSIF status = 'ended' THEN
		RAISE EXCEPTION 'meeting has ended' USING ERRCODE = 'RT410';
	END IF;
	SELECT t.* INTO p
	FROM rt.meeting_participants AS t
	WHERE t.meeting_id = meeting AND t.socket_id = req ->> 'sid' AND t.user_id = meeting_member.actor AND t.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'you are not in the meeting' USING ERRCODE = 'RT403';
	ELSIF NOT coalesce(action = ANY (rt_private.meeting_permissions(p.role)), true) THEN
		RAISE EXCEPTION 'a % may not do that', p.role USING ERRCODE = 'RT403';
	END IF;
	RETURN p;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_member(text, jsonb, text, boolean)
	IS 'the calling participant, after a check that the role allows the action; null: any action';

CREATE FUNCTION rt_private.meeting_target(p rt.meeting_participants, req jsonb) RETURNS rt.meeting_participants
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target rt.meeting_participants;
BEGIN
	SELECT t.* INTO target
	FROM rt.meeting_participants AS t
	WHERE t.id = rt_private.req_id(req, 'participantId') AND t.meeting_id = p.meeting_id AND t.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'participant not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN target;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_target(rt.meeting_participants, jsonb) IS 'the participant of the same meeting that a request acts on';

-- ---- joining ----------------------------------------------------------------------------------------------

-- In the contract's order.  Who is in the grace returns past all that comes after "has ended".
CREATE FUNCTION rt_private.meeting_check_access(m rt.meetings, actor text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	is_host boolean := coalesce(m.host_id = actor, false);
BEGIN
	PERFORM rt_private.check_known(actor);
	IF NOT coalesce(rt_private.meeting_may_join(m, actor), false) THEN
		RAISE EXCEPTION 'access denied' USING ERRCODE = 'RT403';
	ELSIF m.locked AND NOT is_host THEN
		RAISE EXCEPTION 'meeting is locked' USING ERRCODE = 'RT403';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_check_access(rt.meetings, text) IS 'checks access, then the lock; the password is checked afterwards';

CREATE FUNCTION rt_private.meeting_check_capacity(m rt.meetings) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF (SELECT count(*) FROM rt.meeting_participants AS p WHERE p.meeting_id = m.id AND p.left_at IS NULL)
		>= m.max_participants
	THEN
		RAISE EXCEPTION 'meeting is full' USING ERRCODE = 'RT4FU';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_check_capacity(rt.meetings) IS 'refuses to exceed max_participants; the caller has locked the meeting';

CREATE FUNCTION rt_private.meeting_find_open(meeting_id bigint) RETURNS rt.meetings
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = meeting_find_open.meeting_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'meeting not found' USING ERRCODE = 'RT404';
	ELSIF m.status = 'ended' THEN
		RAISE EXCEPTION 'meeting has ended' USING ERRCODE = 'RT410';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_find_open(bigint) IS 'finds a meeting that has not ended';

CREATE FUNCTION rt_private.req_password(req jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value jsonb := coalesce(nullif(req -> 'password', 'null'), nullif(req -> 'meeting_password', 'null'));
BEGIN
	IF jsonb_typeof(value) <> 'string' THEN
		RAISE EXCEPTION 'password must be a string' USING ERRCODE = 'RT400';
	END IF;
	RETURN value #>> '{}';
END
$$;
COMMENT ON FUNCTION rt_private.req_password(jsonb) IS 'the password in a request, under either key; null if there is none';

-- The place that a socket already has, or one of the same user's whose socket is gone.
CREATE FUNCTION rt_private.meeting_kept_place(meeting_id bigint, actor text, sid text) RETURNS rt.meeting_participants
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kept rt.meeting_participants;
BEGIN
	SELECT p.* INTO kept
	FROM rt.meeting_participants AS p
	WHERE p.meeting_id = meeting_kept_place.meeting_id AND p.user_id = actor AND p.left_at IS NULL
		AND (p.disconnected_at IS NOT NULL OR p.socket_id = sid)
	ORDER BY p.socket_id = sid DESC NULLS LAST, p.disconnected_at DESC
	LIMIT 1;
	RETURN kept;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_kept_place(bigint, text, text) IS 'the place in a meeting that a socket may take back';

-- Who was in it before has the role it had, so that leaving and joining anew makes nobody more than they were made.
CREATE FUNCTION rt_private.meeting_role_for(m rt.meetings, actor text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce(
		(SELECT p.role FROM rt.meeting_participants AS p
			WHERE p.meeting_id = m.id AND p.user_id = actor ORDER BY p.id DESC LIMIT 1),
		CASE WHEN m.host_id = actor THEN 'host' END,
		(SELECT i.role FROM rt.meeting_invitees AS i WHERE i.meeting_id = m.id AND i.user_id = actor),
		'participant');
END
$$;
COMMENT ON FUNCTION rt_private.meeting_role_for(rt.meetings, text) IS 'the role in which a user joins';

CREATE FUNCTION rt_private.meeting_take_place(m rt.meetings, actor text, req jsonb) RETURNS rt.meeting_participants
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text := rt_private.req_display_name(req, 'displayName');
	p rt.meeting_participants;
BEGIN
	p := rt_private.meeting_kept_place(m.id, actor, req ->> 'sid');
	IF p.id IS NOT NULL THEN
		UPDATE rt.meeting_participants AS t
		SET socket_id = req ->> 'sid', gateway = req ->> 'gateway', disconnected_at = NULL,
			display_name = coalesce(name, t.display_name)
		WHERE t.id = p.id
		RETURNING t.* INTO p;
		RETURN p;
	END IF;
	PERFORM rt_private.meeting_check_capacity(m);
	INSERT INTO rt.meeting_participants (meeting_id, user_id, display_name, role, socket_id, gateway)
	VALUES (m.id, actor, name, rt_private.meeting_role_for(m, actor), req ->> 'sid', req ->> 'gateway')
	RETURNING * INTO p;
	RETURN p;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_take_place(rt.meetings, text, jsonb) IS 'creates a participant, or returns a kept place; the caller has locked the meeting';

CREATE FUNCTION rt_private.turn_hmac(username text) RETURNS bytea
LANGUAGE c STABLE STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rt_turn_hmac';
COMMENT ON FUNCTION rt_private.turn_hmac(text) IS 'HMAC with SHA-1 and the secret in rt.turn_secret_file; null: there is none';

-- One entry of iceServers, or none.  A browser refuses a TURN server without credentials.
CREATE FUNCTION rt_private.turn_servers(actor text) RETURNS SETOF json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	urls text[] := regexp_split_to_array(nullif(btrim(current_setting('rt.turn_urls', true)), ''), E'\\s*,\\s*');
	lifetime integer := extract(epoch FROM current_setting('rt.turn_lifetime', true)::interval);
	username text := floor(extract(epoch FROM clock_timestamp()) + lifetime) || ':' || actor;
	hmac bytea;
BEGIN
	IF cardinality(urls) > 0 THEN
		hmac := rt_private.turn_hmac(username);
	END IF;
	IF hmac IS NOT NULL THEN
		RETURN NEXT json_build_object('urls', urls, 'username', username, 'credential', encode(hmac, 'base64'));
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.turn_servers(text) IS 'the TURN servers in rt.turn_urls with temporary credentials for a user';

CREATE FUNCTION rt_private.webrtc_config(actor text, router_id text) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('routerId', webrtc_config.router_id,
		'rtpCapabilities', rt_private.router_rtp_capabilities(),
		'iceServers', (
			SELECT coalesce(json_agg(g.server ORDER BY g.url), '[]')
			FROM (
				SELECT s.url, json_strip_nulls(json_build_object('urls', s.url, 'username', s.username, 'credential', s.credential))
				FROM rt.ice_servers AS s
				UNION ALL
				SELECT NULL, t FROM rt_private.turn_servers(webrtc_config.actor) AS t) AS g (url, server)),
		'iceTransportPolicy', coalesce(current_setting('rt.ice_transport_policy', true), 'all'));
END
$$;
COMMENT ON FUNCTION rt_private.webrtc_config(text, text) IS 'webrtcConfig of the wire contract';

-- Only what starts a meeting waits for the disk: whoever was in it when the server crashed has lost the connection, too, and
-- joins again.
--
-- What costs (bcrypt) is checked before the meeting is locked; what can change in between, once more after it.
CREATE FUNCTION rt_api.meeting_join(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
	p rt.meeting_participants;
	router rt_private.media_routers;
	sid text := rt_private.req_text(req, 'sid');
	checked text;
	refusal json;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	m := rt_private.meeting_find_open(rt_private.req_id(req, 'meetingId'));
	p := rt_private.meeting_kept_place(m.id, actor, sid);
	IF p.id IS NULL THEN
		PERFORM rt_private.meeting_check_access(m, actor);
		refusal := rt_private.meeting_password_refusal(m, actor, req);
		checked := m.password_hash;
	END IF;
	IF refusal IS NOT NULL THEN
		RETURN refusal;
	END IF;
	m := rt_private.meeting_lock_open(m.id);
	p := rt_private.meeting_kept_place(m.id, actor, sid);
	IF p.id IS NULL THEN
		IF m.password_hash IS NOT DISTINCT FROM checked THEN
			m.password_hash := NULL;
		END IF;
		PERFORM rt_private.meeting_check_access(m, actor);
		refusal := rt_private.meeting_password_refusal(m, actor, req);
	END IF;
	IF refusal IS NULL AND p.id IS NULL AND NOT rt_private.lobby_passes(m, actor) THEN
		PERFORM rt_private.soft_commit();
		refusal := rt_private.lobby_wait(m, actor, req);
	END IF;
	IF refusal IS NOT NULL THEN
		RETURN refusal;
	END IF;
	UPDATE rt.meetings AS t SET status = 'live' WHERE t.id = m.id AND t.status = 'scheduled';
	IF NOT FOUND THEN
		PERFORM rt_private.soft_commit();
	END IF;
	p := rt_private.meeting_take_place(m, actor, req);
	router := rt_private.media_place_for(m.id, req);
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = m.id;
	RETURN json_build_object('meeting', rt_private.meeting_json(m), 'participantId', p.id::text,
		'participants', rt_private.participants_json(m.id), 'webrtcConfig', rt_private.webrtc_config(actor, router.id),
		'waiting', rt_private.lobby_json(p));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_join(text, jsonb) IS 'join-meeting';

CREATE FUNCTION rt_api.meeting_leave(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	DELETE FROM rt.meeting_waiting AS w
	WHERE w.meeting_id = rt_private.req_id(req, 'meetingId') AND w.user_id = actor AND w.socket_id = req ->> 'sid' AND w.status = 'waiting';
	IF FOUND THEN
		RETURN json_build_object('meetingId', rt_private.req_id(req, 'meetingId')::text, 'participantId', NULL);
	END IF;
	p := rt_private.meeting_member(actor, req, NULL);
	UPDATE rt.meeting_participants AS t SET left_at = clock_timestamp(), left_reason = 'left' WHERE t.id = p.id;
	RETURN json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_leave(text, jsonb) IS 'leave-meeting';

-- ---- sockets that drop and come back --------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_grace() RETURNS interval
LANGUAGE sql STABLE
	RETURN current_setting('rt.meeting_grace')::interval;
COMMENT ON FUNCTION rt_private.meeting_grace() IS 'the grace period for dropped participants';

CREATE FUNCTION rt_private.places_json(places rt.meeting_participants[]) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('meetings', coalesce(json_agg(json_build_object('meetingId', p.meeting_id::text,
		'participantId', p.id::text) ORDER BY p.meeting_id), '[]'))
	FROM unnest(places) AS p
$$;
COMMENT ON FUNCTION rt_private.places_json(rt.meeting_participants[]) IS 'meetings and participants of a socket';

-- The gateway is named too: a session that went over to another one is not its predecessor's to end.
CREATE FUNCTION rt_api.meeting_disconnected(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sid text := rt_private.req_text(req, 'sid');
	from_gateway text := rt_private.req_text(req, 'gateway');
	places rt.meeting_participants[];
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	WITH dropped AS (
		UPDATE rt.meeting_participants AS p
		SET disconnected_at = clock_timestamp()
		WHERE p.socket_id = sid AND p.gateway = from_gateway
			AND p.left_at IS NULL AND p.disconnected_at IS NULL
		RETURNING p)
	SELECT array_agg(d.p) INTO places FROM dropped AS d;
	RETURN rt_private.places_json(places);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_disconnected(text, jsonb) IS 'starts the grace period for the places of a dropped socket';

CREATE FUNCTION rt_api.meeting_resume(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	places rt.meeting_participants[];
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	PERFORM FROM rt.meetings AS m
	WHERE m.id IN (
		SELECT p.meeting_id FROM rt.meeting_participants AS p
		WHERE p.socket_id = rt_private.req_text(req, 'sid') AND p.left_at IS NULL)
	ORDER BY m.id FOR NO KEY UPDATE;
	WITH resumed AS (
		UPDATE rt.meeting_participants AS p
		SET disconnected_at = NULL, gateway = rt_private.req_text(req, 'gateway')
		WHERE p.socket_id = rt_private.req_text(req, 'sid') AND p.user_id = meeting_resume.actor AND p.left_at IS NULL
		RETURNING p)
	SELECT array_agg(r.p) INTO places FROM resumed AS r;
	RETURN rt_private.places_json(places);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_resume(text, jsonb) IS 'returns kept places to a recovered socket';

-- Looks at each gateway that participants name, not at each participant: a few index probes.
CREATE FUNCTION rt_private.meeting_dead_gateways() RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH RECURSIVE named (gateway) AS (
		(SELECT p.gateway FROM rt.meeting_participants AS p
			WHERE p.left_at IS NULL AND p.disconnected_at IS NULL AND p.gateway IS NOT NULL
			ORDER BY p.gateway LIMIT 1)
		UNION ALL
		SELECT (
			SELECT p.gateway FROM rt.meeting_participants AS p
			WHERE p.left_at IS NULL AND p.disconnected_at IS NULL AND p.gateway > n.gateway
			ORDER BY p.gateway LIMIT 1)
		FROM named AS n
		WHERE n.gateway IS NOT NULL
	)
	SELECT coalesce(array_agg(n.gateway), '{}') FROM named AS n
	WHERE n.gateway IS NOT NULL AND NOT rt_private.gateway_alive(n.gateway)
$$;
COMMENT ON FUNCTION rt_private.meeting_dead_gateways() IS 'dead gateways that still have participants';

CREATE FUNCTION rt_private.meeting_drop_dead_gateways() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	dead text[] := rt_private.meeting_dead_gateways();
BEGIN
	IF dead <> '{}' THEN
		UPDATE rt.meeting_participants AS p
		SET disconnected_at = clock_timestamp()
		WHERE p.left_at IS NULL AND p.disconnected_at IS NULL AND p.gateway = ANY (dead);
	END IF;
	UPDATE rt.meeting_participants AS p
	SET disconnected_at = clock_timestamp()
	WHERE p.left_at IS NULL AND p.disconnected_at IS NULL AND p.gateway IS NULL;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_drop_dead_gateways() IS 'starts the grace period for participants whose gateway is dead';

-- A hundred meetings a call at most; the next call does the rest.
CREATE FUNCTION rt_private.meeting_end_places() RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	meeting bigint;
	limit_at timestamptz := clock_timestamp() - rt_private.meeting_grace();
	ended bigint;
	total bigint := 0;
BEGIN
	FOR meeting IN
		SELECT m.id FROM rt.meetings AS m
		WHERE m.id IN (
			SELECT p.meeting_id FROM rt.meeting_participants AS p
			WHERE p.left_at IS NULL AND p.disconnected_at < limit_at)
		ORDER BY m.id LIMIT 100 FOR NO KEY UPDATE SKIP LOCKED
	LOOP
		UPDATE rt.meeting_participants AS p
		SET left_at = clock_timestamp(), left_reason = 'disconnected'
		WHERE p.meeting_id = meeting AND p.left_at IS NULL AND p.disconnected_at < limit_at;
		GET DIAGNOSTICS ended = ROW_COUNT;
		total := total + ended;
	END LOOP;
	RETURN total;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_end_places() IS 'removes participants whose grace period is over; returns how many';

CREATE FUNCTION rt_api.meeting_sweep(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	gone bigint;
	lost integer;
BEGIN
	IF rt_private.is_foreign('rt.meetings') THEN
		RETURN '{}'; -- their gateways are the writer's
	END IF;
	PERFORM rt_private.meeting_act(NULL, '{}');
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.follow_clock();
	lost := rt_private.media_sweep();
	PERFORM rt_private.meeting_drop_dead_gateways();
	PERFORM rt_private.sweep_lobbies();
	gone := rt_private.meeting_end_places();
	RETURN json_build_object('left', gone, 'workersLost', lost);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_sweep(text, jsonb) IS 'ends expired grace periods; cheap if there are none';
