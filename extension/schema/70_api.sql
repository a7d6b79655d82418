-- The API of the gateways, first part: connections, sessions, logging in.
--
-- Every function is rt_api.<name>(actor text, req jsonb) RETURNS json.  Event functions return the bare result of the
-- acknowledgement; REST functions {"status": n, "data": …, further top-level keys}, of which "ended", sids, is the
-- gateway's: what the answer says has ended is refused from now on.  Errors are SQLSTATEs of class RT.
-- req has the client's keys, and of the gateway's own "sid" and "gateway" where a socket asks.
--
--   connect            {requests: [{user, sid, pid?, offset?, recovery?, gateway, serial, peer, transport}]} -> {results: [
--                        {ok: true, sid, pid | null, pos?, user: {id, username, name}, rooms: [id], joined: [id], recovered,
--                         meetings: [id] | null}
--                        | {ok: false, code, message}], epoch}
--   disconnect         {gateway, connections: [{sid, user, serial, recoverable}]} -> {}
--   reconnect          {gateway, connections: [{sid, user, serial, peer, transport, pid?, joined: [id]}]} ->
--                        {standings: [see rt_private.standing()], elsewhere: [sid]}: sockets that another gateway has by now
--   status_rooms       {users: [id]} -> {id: [room id]}
--   presence_sweep     {gateway, users: [id]} -> {}: those without a connection are offline from now on
--   gateway_start, gateway_report, gateway_stop {gateway, host, slot, pid, port, stats, rooms,
--                        connections: [{sid, serial, transport, queuedBytes, latencyUs | null}], seenPos?, seenAtUs?, addresses?}
--                        -> {secret} at the start; {relay, stamp, delayUs: from the commit of the event seenPos until seenAtUs | null}; the others -> {}
--   gateway_peer       {number} -> {addresses, port} | null: where another gateway is
--   join_rooms         {sid, roomIds} -> {success, rooms, failed: [{roomId, error}], message, error?, epoch, snapshot}: the last
--                        for the gateway, which tells by it whether an rt:member was known already
--   leave_room         {sid, roomId} -> {success, roomId}
--   typing             {sid, roomId, isTyping} -> {roomId, isTyping}
--   mark_seen          {sid, roomId, messageIds} -> {success, roomId, messageIds}
--   set_status         {status, statusMessage?} -> {status, statusMessage}
--   online_users       {roomId} -> {roomId, users: [{userId, userName, status, lastSeen}], count}
--   sync_rooms         {rooms: [{roomId, afterSeq?, afterChange?}], limit?} -> {success, rooms: [{roomId, messages?, lastSeq, hasMore,
--                        changed?, lastChange, hasMoreChanges} | {roomId, error}], epoch, error?}
--
-- bgworker/gateway/rest/rest_table.c has the functions of REST.
--
--   message_send_batch {roomId, requests: [{actor, req}]} -> {results: [{status, data} | {status, error: {code, message}}]}

-- ---- connections -----------------------------------------------------------------

-- What of a session is still its user's: rooms that were left, or lost, are not given back.  Without an offset nothing had been
-- delivered, and the session goes on from where it connected.
CREATE FUNCTION rt_private.session_find(pid text, user_id text, pos text) RETURNS rt_private.sessions
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s rt_private.sessions;
	last_pos bigint;
BEGIN
	IF session_find.pid IS NULL OR session_find.pos !~ '^[0-9]{1,18}$' THEN
		RETURN NULL;
	END IF;
	SELECT t.* INTO s FROM rt_private.sessions AS t
	WHERE t.pid = session_find.pid AND t.user_id = session_find.user_id FOR UPDATE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	last_pos := rt_private.log_last_pos();
	s.pos := coalesce(session_find.pos::bigint, s.pos);
	IF s.pos > last_pos OR rt_private.is_lost(s.pos) OR NOT rt_private.log_reaches(s.pos) THEN
		RETURN NULL;
	END IF;
	s.joined := ARRAY(SELECT m.room_id FROM rt.room_members AS m
		WHERE m.user_id = session_find.user_id AND m.room_id = ANY (s.joined) ORDER BY m.room_id);
	RETURN s;
END
$$;
COMMENT ON FUNCTION rt_private.session_find(text, text, text) IS 'the session that a client can resume, and the position; null if there is none';

-- A session that another gateway still believes in: that one drops its socket, without ending the session.
CREATE FUNCTION rt_private.take_over(requests jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT jsonb_path_exists(requests, '$[*].pid') THEN
		RETURN; -- nobody comes back
	END IF;
	PERFORM rt_private.emit('rt:disconnect', '{"gateway":true}',
		json_build_object('sid', c.sid, 'userId', c.user_id, 'gateway', c.gateway, 'reason', 'taken over'), false)
	FROM jsonb_array_elements(requests) AS r
	JOIN rt_private.sessions AS s ON s.pid = r ->> 'pid' AND s.user_id = r ->> 'user'
	JOIN rt_private.connections AS c ON c.sid = s.sid AND c.gateway <> r ->> 'gateway';
END
$$;
COMMENT ON FUNCTION rt_private.take_over(jsonb) IS 'ends old sockets of clients that have reconnected here';

-- All in one statement, whose plan must be good for one client and for a storm of them, whatever the tables held when it was made.
-- The users are locked, in the order of their ids: of one that is deleted meanwhile, presence would refuse the whole batch.  Two requests
-- of a batch can resume the same session: the later one has the connection then.
CREATE FUNCTION rt_private.connect_all(requests jsonb, last_pos bigint, OUT results json, OUT users text[], OUT sessions text[])
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	is_on boolean := current_setting('rt.recovery_window')::interval > interval '0';
BEGIN
	WITH asked AS MATERIALIZED (
		SELECT r.* FROM ROWS FROM (jsonb_to_recordset(requests) AS ("user" text, sid text, pid text, "offset" text, recovery boolean, session text,
			gateway text, serial bigint, peer text, transport text)) WITH ORDINALITY
			AS r ("user", sid, pid, "offset", recovery, session, gateway, serial, peer, transport, n)
	), known AS MATERIALIZED (
		SELECT u.id, u.username, u.name FROM (SELECT DISTINCT a."user" AS id FROM asked AS a) AS a JOIN rt.users AS u ON u.id = a.id
		ORDER BY u.id FOR KEY SHARE OF u
	), found AS MATERIALIZED (
		SELECT a.*, u.id AS user_id, u.username, u.name, is_on AND coalesce(a.recovery, true) AS recoverable,
			CASE WHEN is_on AND coalesce(a.recovery, true) AND a.pid IS NOT NULL THEN rt_private.session_find(a.pid, u.id, a."offset") END AS s
		FROM asked AS a LEFT JOIN known AS u ON u.id = a."user"
	), entering AS MATERIALIZED (
		SELECT f.n, f.user_id, f.username, f.name, f.gateway, f.serial, f.peer, f.transport, f.session, (f.s).pos, (f.s).joined, (f.s).status,
			(f.s).pid IS NOT NULL AS recovered, coalesce((f.s).sid, f.sid) AS sid,
			CASE WHEN f.recoverable THEN coalesce((f.s).pid, rt_private.random_text(15)) END AS pid
		FROM found AS f
	), resumed AS (
		UPDATE rt_private.sessions AS t SET ended_at = NULL, joined = e.joined FROM entering AS e WHERE e.recovered AND t.pid = e.pid
	), begun AS (
		INSERT INTO rt_private.sessions (pid, sid, user_id, pos)
		SELECT e.pid, e.sid, e.user_id, connect_all.last_pos FROM entering AS e WHERE NOT e.recovered AND e.pid IS NOT NULL AND e.user_id IS NOT NULL
	), connected AS (
		INSERT INTO rt_private.connections AS c (sid, user_id, gateway, serial, peer, transport, status)
		SELECT DISTINCT ON (e.sid) e.sid, e.user_id, e.gateway, coalesce(e.serial, 0), e.peer, e.transport, coalesce(e.status, 'online')
		FROM entering AS e WHERE e.user_id IS NOT NULL ORDER BY e.sid, e.n DESC
		ON CONFLICT (sid) DO UPDATE SET gateway = excluded.gateway, serial = excluded.serial, peer = excluded.peer, transport = excluded.transport,
			connected_at = excluded.connected_at, queued_bytes = 0, latency = NULL
	)
	SELECT json_agg(CASE WHEN e.user_id IS NULL THEN json_build_object('ok', false, 'code', 'unauthorized', 'message', 'User not found')
		ELSE json_build_object('ok', true, 'sid', e.sid, 'pid', e.pid, 'recovered', e.recovered,
			'pos', CASE WHEN e.recovered THEN e.pos::text END,
			'joined', coalesce((SELECT json_agg(j::text) FROM unnest(e.joined) AS j), '[]'),
			'meetings', CASE WHEN e.recovered THEN (SELECT json_agg(p.meeting_id::text)
				FROM rt.meeting_participants AS p WHERE p.socket_id = e.sid AND p.left_at IS NULL) END,
			'user', json_build_object('id', e.user_id, 'username', e.username, 'name', e.name),
			'rooms', coalesce((SELECT json_agg(m.room_id::text) FROM rt.room_members AS m WHERE m.user_id = e.user_id), '[]'))
		END ORDER BY e.n), array_agg(e.user_id) FILTER (WHERE e.user_id IS NOT NULL), array_agg(e.session) FILTER (WHERE e.session IS NOT NULL)
	INTO results, users, sessions FROM entering AS e;
END
$$;
COMMENT ON FUNCTION rt_private.connect_all(jsonb, bigint) IS 'the clients of rt_api.connect(), their users, and the sessions of their tokens';

CREATE FUNCTION rt_api.connect(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
SET enable_bitmapscan = off AS $$
DECLARE
	requests jsonb := rt_private.req_array(req, 'requests', 2000);
	done record;
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.take_over(requests);
	SELECT c.* INTO done FROM rt_private.connect_all(requests, rt_private.log_last_pos()) AS c;
	-- A replica refuses a statement on a table of its publisher's, whatever rows it finds.
	IF done.sessions IS NOT NULL AND NOT rt_private.is_foreign('rt.sessions') THEN
		UPDATE rt.sessions AS s SET last_used_at = clock_timestamp()
		WHERE s.id = ANY (done.sessions) AND s.last_used_at < clock_timestamp() - interval '1 minute';
	END IF;
	PERFORM rt_private.come_online(done.users);
	RETURN json_build_object('results', coalesce(done.results, '[]'), 'epoch', rt.epoch());
END
$$;
COMMENT ON FUNCTION rt_api.connect(text, jsonb) IS 'connects clients, in batches';

-- Plans that are good for many, whatever the tables held when they were made.
CREATE FUNCTION rt_api.disconnect(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
	gone jsonb := rt_private.req_array(req, 'connections', 10000);
	resumable text[];
	ended text[];
	users text[];
BEGIN
	PERFORM rt_private.soft_commit();
	-- just these: the client may be back already, through another gateway or the same one
	DELETE FROM rt_private.connections AS c USING jsonb_to_recordset(gone) AS g (sid text, serial bigint)
	WHERE c.sid = g.sid AND c.gateway = req ->> 'gateway' AND c.serial = coalesce(g.serial, 0);
	SELECT array_agg(g.sid) FILTER (WHERE g.recoverable), array_agg(g.sid) FILTER (WHERE NOT g.recoverable),
		array_agg(DISTINCT g."user") FILTER (WHERE NOT g.recoverable)
	INTO resumable, ended, users FROM jsonb_to_recordset(gone) AS g (sid text, "user" text, recoverable boolean);
	IF resumable IS NOT NULL THEN
		UPDATE rt_private.sessions AS s SET ended_at = clock_timestamp() WHERE s.sid = ANY (resumable)
			AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.sid = s.sid);
	END IF;
	IF ended IS NOT NULL THEN
		DELETE FROM rt_private.sessions AS s WHERE s.sid = ANY (ended)
			AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.sid = s.sid);
	END IF;
	-- For those that may come back there is a grace: sweep_gateways().
	PERFORM rt_private.follow_connections(users);
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION rt_api.disconnect(text, jsonb) IS 'disconnects sockets; recoverable ones keep their session';

-- What a connected user is in, as a whole; in the order of the bus what comes from later transactions than xid is newer.
CREATE FUNCTION rt_private.standing(user_id text) RETURNS json
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('userId', standing.user_id,
		'known', EXISTS (SELECT FROM rt.users AS u WHERE u.id = standing.user_id),
		'rooms', ARRAY(SELECT m.room_id::text FROM rt.room_members AS m WHERE m.user_id = standing.user_id),
		'participants', (SELECT coalesce(json_object_agg(p.id, p.socket_id), '{}') FROM rt.meeting_participants AS p
			WHERE p.user_id = standing.user_id AND p.left_at IS NULL),
		'xid', pg_current_xact_id()::text)
$$;
COMMENT ON FUNCTION rt_private.standing(text) IS 'rooms and places of a user, for the gateways';

-- Connections are lost in a crash and by a promotion, and those of a gateway that was silent for ten seconds are removed.  The
-- gateway still has the sockets.
CREATE FUNCTION rt_api.reconnect(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	asked jsonb := rt_private.req_array(req, 'connections', 1000);
	own_name text := rt_private.req_text(req, 'gateway');
	users text[] := ARRAY(SELECT DISTINCT r ->> 'user' FROM jsonb_array_elements(asked) AS r ORDER BY 1);
	known text[]; -- those of the users that exist
	mine text[];
BEGIN
	PERFORM rt_private.soft_commit();
	known := ARRAY(SELECT u.id FROM rt.users AS u WHERE u.id = ANY (users) ORDER BY u.id FOR KEY SHARE);
	INSERT INTO rt_private.connections AS c (sid, user_id, gateway, serial, peer, transport, status)
	SELECT r.sid, u.id, own_name, r.serial, r.peer, r.transport, coalesce((SELECT max(s.status) FROM rt_private.sessions AS s
		WHERE s.sid = r.sid AND s.user_id = u.id), 'online')
	FROM jsonb_to_recordset(asked) AS r (sid text, "user" text, serial bigint, peer text, transport text)
	JOIN rt.users AS u ON u.id = r."user"
	ON CONFLICT (sid) DO UPDATE SET gateway = excluded.gateway, serial = excluded.serial, peer = excluded.peer, transport = excluded.transport
	WHERE NOT rt_private.gateway_alive(c.gateway);
	mine := ARRAY(SELECT c.sid FROM rt_private.connections AS c JOIN jsonb_array_elements(asked) AS r ON c.sid = r ->> 'sid' WHERE c.gateway = own_name);
	INSERT INTO rt_private.sessions AS s (pid, sid, user_id, joined, pos)
	SELECT r.pid, r.sid, u.id, ARRAY(SELECT jsonb_array_elements_text(r.joined)::bigint), rt_private.log_last_pos()
	FROM jsonb_to_recordset(asked) AS r (pid text, sid text, "user" text, joined jsonb)
	JOIN rt.users AS u ON u.id = r."user"
	WHERE r.pid IS NOT NULL AND r.sid = ANY (mine)
	ON CONFLICT (pid) DO UPDATE SET ended_at = NULL, joined = excluded.joined
	WHERE s.sid = excluded.sid AND s.user_id = excluded.user_id;
	PERFORM FROM rt.meetings AS m
	WHERE m.id IN (SELECT p.meeting_id FROM rt.meeting_participants AS p WHERE p.socket_id = ANY (mine) AND p.left_at IS NULL AND p.disconnected_at IS NOT NULL)
	ORDER BY m.id FOR NO KEY UPDATE;
	IF FOUND THEN
		UPDATE rt.meeting_participants AS p SET disconnected_at = NULL, gateway = own_name
		WHERE p.socket_id = ANY (mine) AND p.left_at IS NULL AND p.disconnected_at IS NOT NULL;
	END IF;
	PERFORM rt_private.come_online(known);
	RETURN json_build_object(
		'standings', (SELECT coalesce(json_agg(rt_private.standing(u.id)), '[]') FROM unnest(users) AS u (id)),
		'elsewhere', (SELECT coalesce(json_agg(r ->> 'sid'), '[]') FROM jsonb_array_elements(asked) AS r
			WHERE r ->> 'sid' <> ALL (mine) AND r ->> 'user' IN (SELECT u.id FROM rt.users AS u WHERE u.id = ANY (users))));
END
$$;
COMMENT ON FUNCTION rt_api.reconnect(text, jsonb) IS 'sockets of a gateway that the database had given up, many at once';

CREATE FUNCTION rt_api.presence_sweep(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.go_offline(ARRAY(SELECT jsonb_array_elements_text(rt_private.req_array(req, 'users', 10000))));
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION rt_api.presence_sweep(text, jsonb) IS 'sets users without a connection offline after the grace period';

CREATE FUNCTION rt_api.status_rooms(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT coalesce(json_object_agg(u.id, rt_private.status_rooms(u.id)), '{}')
		FROM jsonb_array_elements_text(rt_private.req_array(req, 'users', 1000)) AS u (id));
END
$$;
COMMENT ON FUNCTION rt_api.status_rooms(text, jsonb) IS 'for statuses of users in many rooms: whom to tell';

-- ---- gateways --------------------------------------------------------------------

-- By the index, in as many steps as there are names.
CREATE FUNCTION rt_private.lost_gateways() RETURNS text[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
	RETURN ARRAY(
		WITH RECURSIVE names (name) AS (
			SELECT min(c.gateway) FROM rt_private.connections AS c
			UNION ALL
			SELECT (SELECT min(c.gateway) FROM rt_private.connections AS c WHERE c.gateway > n.name) FROM names AS n WHERE n.name IS NOT NULL
		)
		SELECT n.name FROM names AS n
		WHERE n.name IS NOT NULL AND NOT EXISTS (SELECT FROM rt_private.gateways AS g WHERE g.name = n.name));
END
$$;
COMMENT ON FUNCTION rt_private.lost_gateways() IS 'gateways that have connections, but do not report';

-- Connections of gateways that are no more, users that have had none for longer than any grace, and users whose devices in use have
-- not come back.
--
-- Runs each second.  What looks at all that is connected does so only while a gateway is gone or has just started, and after a start of
-- the server; else there is nothing to find, and it looks every third second.  It must be linear whatever the statistics say: joins by
-- hashing, and the time in a variable, since a volatile function would make a subquery run once a row.
CREATE FUNCTION rt_private.sweep_gateways() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
	swept_at timestamptz := clock_timestamp();
	lost text[];
	users text[];
BEGIN
	DELETE FROM rt_private.gateways AS g WHERE g.reported_at < swept_at - interval '10 s';
	lost := rt_private.lost_gateways();
	IF cardinality(lost) = 0 AND extract(second FROM swept_at)::integer % 3 > 0
		AND NOT EXISTS (SELECT FROM rt_private.gateways AS g WHERE g.started_at > swept_at - interval '30 s')
		AND EXISTS (SELECT FROM rt_private.clock AS c WHERE c.seen_at < swept_at - interval '30 s') THEN
		RETURN;
	END IF;
	DELETE FROM rt_private.connections AS c WHERE c.gateway = ANY (lost) AND c.connected_at < swept_at - interval '10 s';
	UPDATE rt_private.sessions AS s SET ended_at = swept_at
	WHERE s.ended_at IS NULL AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.sid = s.sid);
	DELETE FROM rt_private.sessions AS s
	WHERE s.ended_at < swept_at - pg_catalog.current_setting('rt.recovery_window')::interval;
	-- At a server that was just promoted, or has crashed, gateways have yet to tell which connections they have.
	IF NOT EXISTS (SELECT FROM rt_private.clock AS c WHERE c.seen_at < swept_at - interval '5 s') THEN
		RETURN;
	END IF;
	SELECT array_agg(p.user_id) INTO users FROM rt.presence AS p
	WHERE p.status <> 'offline' AND p.last_seen < swept_at - interval '5 s'
		AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id)
		AND NOT EXISTS (SELECT FROM rt_private.sessions AS s
			WHERE s.user_id = p.user_id AND s.ended_at > swept_at - interval '5 s');
	IF users IS NOT NULL THEN
		PERFORM rt_private.go_offline(users);
	END IF;
	SELECT array_agg(p.user_id) INTO users FROM rt.presence AS p
	WHERE p.status = 'online' AND EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id AND c.status = 'away')
		AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id AND c.status = 'online')
		AND NOT EXISTS (SELECT FROM rt_private.sessions AS s WHERE s.user_id = p.user_id
			AND s.ended_at > swept_at - pg_catalog.current_setting('rt.presence_grace')::interval);
	PERFORM rt_private.follow_connections(users);
END
$$;
COMMENT ON FUNCTION rt_private.sweep_gateways() IS 'cleans up after dead gateways';

CREATE FUNCTION rt_api.gateway_start(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	gateway text := rt_private.req_text(req, 'gateway');
	dead text[];
BEGIN
	PERFORM rt_private.soft_commit();
	-- the one that ran in this slot before
	WITH former AS (
		DELETE FROM rt_private.gateways AS g
		WHERE g.slot = (req ->> 'slot')::integer AND g.name <> gateway AND g.port IS NOT DISTINCT FROM (req ->> 'port')::integer
			AND g.host IS NOT DISTINCT FROM req ->> 'host' AND g.draining_until IS NULL
		RETURNING g.name
	)
	SELECT array_agg(f.name) INTO dead FROM former AS f;
	DELETE FROM rt_private.connections AS c WHERE c.gateway = ANY (dead);
	INSERT INTO rt_private.gateways AS g (name, host, slot, pid, port, region, own, addresses)
	VALUES (gateway, req ->> 'host', (req ->> 'slot')::integer, (req ->> 'pid')::integer, (req ->> 'port')::integer,
		nullif(req ->> 'region', ''), coalesce((req ->> 'own')::boolean, false),
		ARRAY(SELECT jsonb_array_elements_text(coalesce(req -> 'addresses', '[]'))))
	ON CONFLICT (name) DO UPDATE SET reported_at = clock_timestamp();
	INSERT INTO rt_private.gateway_secret DEFAULT VALUES ON CONFLICT DO NOTHING;
	RETURN (SELECT json_build_object('secret', s.secret) FROM rt_private.gateway_secret AS s);
END
$$;
COMMENT ON FUNCTION rt_api.gateway_start(text, jsonb) IS 'registers a gateway and removes its predecessor''s connections';

CREATE FUNCTION rt_api.gateway_peer(actor text, req jsonb) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('addresses', to_json(g.addresses), 'port', g.port) FROM rt_private.gateways AS g
	WHERE g.slot = (req ->> 'number')::integer AND g.reported_at > clock_timestamp() - interval '10 s'
	ORDER BY g.draining_until NULLS FIRST, g.started_at DESC LIMIT 1
$$;
COMMENT ON FUNCTION rt_api.gateway_peer(text, jsonb) IS 'where the gateway of that number is found by others; null: there is none';

-- Those whose figures have changed, some at a time.  No index has these columns, so that the rows stay where they are.
CREATE FUNCTION rt_private.note_connections(gateway text, reports jsonb) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	UPDATE rt_private.connections AS c
	SET transport = r.transport, queued_bytes = r."queuedBytes", latency = r."latencyUs" * interval '1 microsecond'
	FROM jsonb_to_recordset(reports) AS r (sid text, serial bigint, transport text, "queuedBytes" bigint, "latencyUs" bigint)
	WHERE c.sid = r.sid AND c.serial = r.serial AND c.gateway = note_connections.gateway
$$;
COMMENT ON FUNCTION rt_private.note_connections(text, jsonb) IS 'stores a gateway''s report on its sockets, for rt.stat_connections';

-- For the gateways' /metrics.
CREATE FUNCTION rt_private.relay_figures() RETURNS json
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('up', (r.pid IS NOT NULL)::integer, 'position', r.last_pos, 'events', r.events, 'batches', r.batches,
		'published', r.published, 'lost', r.lost, 'rescans', r.rescans, 'rescued', r.rescued, 'notifyFailures', r.notify_failures,
		'ringBytes', r.ring_bytes, 'ringUsed', r.ring_used, 'ringHighWater', r.ring_high_water,
		'oldestUs', coalesce((extract(epoch FROM r.oldest_wait) * 1000000)::bigint, 0), 'roomsHeld', r.rooms_held,
		'stalled', current_setting('rt.max_relay_wait')::interval > interval '0'
			AND coalesce(r.oldest_wait > current_setting('rt.max_relay_wait')::interval, false),
		'lagSumUs', (extract(epoch FROM r.lag_sum) * 1000000)::bigint, 'lagCounts', r.lag_counts, 'lagBoundsUs', r.lag_bounds_us)
	FROM rt_private.stat_relay() AS r
$$;
COMMENT ON FUNCTION rt_private.relay_figures() IS 'what rt.stat_relay shows, for metrics';

CREATE FUNCTION rt_api.gateway_report(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	locks json := rt_private.lock_figures();
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.follow_clock();
	UPDATE rt_private.gateways AS g
	SET reported_at = clock_timestamp(), stats = coalesce(req -> 'stats', '{}'), rooms = coalesce(req -> 'rooms', '[]')
	WHERE g.name = rt_private.req_text(req, 'gateway');
	IF NOT FOUND THEN
		RAISE EXCEPTION 'gateway not found' USING ERRCODE = 'RT404';
	END IF;
	IF req ? 'connections' THEN
		PERFORM rt_private.note_connections(req ->> 'gateway', rt_private.req_array(req, 'connections', 10000));
	END IF;
	-- One of them clears up.  A row that nobody else may lock tells which: an advisory lock any role could take, and keep.  Clearing up
	-- would wait for a table that somebody has locked, and the report has to come through and tell of it.
	PERFORM FROM rt_private.clock AS c WHERE NOT (locks ->> 'exclusive')::boolean FOR UPDATE SKIP LOCKED;
	IF FOUND THEN
		PERFORM rt_private.sweep_gateways();
		PERFORM rt_private.sweep_sessions();
		PERFORM rt_private.sweep_guests();
		PERFORM rt_private.tell_large_rooms();
	END IF;
	RETURN json_build_object('relay', rt_private.relay_figures(), 'locks', locks, 'workers', rt_private.worker_figures(), 'media', rt_private.media_totals(),
		'stamp', rt_private.settings_stamp(), 'now', extract(epoch FROM clock_timestamp()),
		'delayUs', (SELECT greatest(((req ->> 'seenAtUs')::bigint - extract(epoch FROM e.at) * 1000000)::bigint, 0)
			FROM rt.events AS e WHERE e.pos = (req ->> 'seenPos')::bigint));
END
$$;
COMMENT ON FUNCTION rt_api.gateway_report(text, jsonb) IS 'stores a gateway''s report, each second';

CREATE FUNCTION rt_api.gateway_stop(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	UPDATE rt_private.sessions AS s SET ended_at = clock_timestamp() FROM rt_private.connections AS c
	WHERE c.gateway = req ->> 'gateway' AND s.sid = c.sid;
	DELETE FROM rt_private.connections AS c WHERE c.gateway = req ->> 'gateway';
	DELETE FROM rt_private.gateways AS g WHERE g.name = req ->> 'gateway';
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION rt_api.gateway_stop(text, jsonb) IS 'unregisters a gateway';

-- For what does not ask whether the user is in something: a token may outlive its user.
CREATE FUNCTION rt_private.check_known(actor text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = actor) THEN
		RAISE EXCEPTION 'user not found' USING ERRCODE = 'RT401';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.check_known(text) IS 'refuses a deleted user';

CREATE FUNCTION rt_private.check_user(actor text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_known(actor);
	PERFORM rt_private.refuse_guest(actor);
END
$$;
COMMENT ON FUNCTION rt_private.check_user(text) IS 'refuses a deleted user, and guests of meetings';

CREATE FUNCTION rt_api.me(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	u rt.users;
	p rt.presence;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT t.* INTO u FROM rt.users AS t WHERE t.id = actor;
	SELECT t.* INTO p FROM rt.presence AS t WHERE t.user_id = actor;
	RETURN json_build_object('status', 200, 'data', rt_private.user_json(u)::jsonb || jsonb_build_object(
		'status', coalesce(p.status, 'offline'), 'statusMessage', p.status_message,
		'isAdmin', rt_private.is_administrator(actor, req), 'hasPassword', u.password_hash IS NOT NULL,
		'twoFactor', rt_private.needs_code(actor), 'createdAt', rt_private.iso(u.created_at)));
END
$$;
COMMENT ON FUNCTION rt_api.me(text, jsonb) IS 'GET /api/users/me';

-- Of a list that is ordered by a name: u_ and the name.
CREATE FUNCTION rt_private.req_name_cursor(req jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	cursor text := rt_private.req_text_opt(req, 'cursor');
BEGIN
	IF cursor !~ '^u_.' THEN
		RAISE EXCEPTION 'cursor must be the nextCursor of a page' USING ERRCODE = 'RT400';
	END IF;
	RETURN substr(cursor, 3);
END
$$;
COMMENT ON FUNCTION rt_private.req_name_cursor(jsonb) IS 'reads the cursor of a list of users from a request; null: the first page';

CREATE FUNCTION rt_api.users_search(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	prefix text := lower(coalesce(rt_private.req_text_opt(req, 'q'), ''));
	most integer := rt_private.req_limit(req, 50, 200);
	after text := rt_private.req_name_cursor(req);
	found_users json;
	next_cursor text;
	-- Who is there is for those who share a room.
	contacts text[] := ARRAY(SELECT actor UNION SELECT b.user_id FROM rt.room_members AS a
		JOIN rt.room_members AS b ON b.room_id = a.room_id WHERE a.user_id = actor);
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT coalesce(json_agg(rt_private.user_json(u.u)::jsonb || CASE WHEN (u.u).id = ANY (contacts)
				THEN jsonb_build_object('status', coalesce(p.status, 'offline')) ELSE '{}' END
			ORDER BY u.n) FILTER (WHERE u.n <= most), '[]'),
		max('u_' || lower((u.u).username)) FILTER (WHERE u.n = most AND u.total > most)
	INTO found_users, next_cursor
	FROM (SELECT f.u, f.n, count(*) OVER () AS total FROM (
			SELECT t AS u, row_number() OVER (ORDER BY lower(t.username)) AS n FROM rt.users AS t
			WHERE (prefix = '' OR starts_with(lower(t.username), prefix) OR strpos(lower(t.name), prefix) > 0)
				AND (after IS NULL OR lower(t.username) > after) AND NOT rt_private.is_guest(t.id)
			ORDER BY lower(t.username) LIMIT most + 1) AS f) AS u
	LEFT JOIN rt.presence AS p ON p.user_id = (u.u).id;
	RETURN json_build_object('status', 200, 'data', found_users, 'count', json_array_length(found_users), 'nextCursor', next_cursor);
END
$$;
COMMENT ON FUNCTION rt_api.users_search(text, jsonb) IS 'GET /api/users';
