-- Presence, and what the gateways tell of themselves.  What a crash makes void is UNLOGGED.

CREATE TABLE rt.presence (
	user_id text PRIMARY KEY REFERENCES rt.users (id) ON DELETE CASCADE,
	status text NOT NULL DEFAULT 'offline' CHECK (status IN ('online', 'away', 'busy', 'offline')),
	status_message text CHECK (octet_length(status_message) <= 1024),
	last_seen timestamptz,
	chosen text NOT NULL DEFAULT 'online' CHECK (chosen IN ('online', 'away', 'busy')),
	busy_by text
) WITH (fillfactor = 50);
COMMENT ON TABLE rt.presence IS 'presence of users; everybody who shares a room is told of a change';
COMMENT ON COLUMN rt.presence.user_id IS 'the user';
COMMENT ON COLUMN rt.presence.status IS 'offline without a connection; else busy if chosen, online if any connection is, or away';
COMMENT ON COLUMN rt.presence.status_message IS 'status text set by the user';
COMMENT ON COLUMN rt.presence.last_seen IS 'when the user was last connected; while connected, since when';
COMMENT ON COLUMN rt.presence.chosen IS 'status set for the user, not one connection; busy stays until it is changed or the last connection ends';
COMMENT ON COLUMN rt.presence.busy_by IS 'the connection that set busy; null if unknown';
SELECT pg_catalog.pg_extension_config_dump('rt.presence', '');

CREATE UNLOGGED TABLE rt_private.gateways (
	name text PRIMARY KEY,
	host text,
	slot integer NOT NULL,
	pid integer,
	port integer,
	started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	reported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	stats jsonb NOT NULL DEFAULT '{}',
	rooms jsonb NOT NULL DEFAULT '[]',
	stats_before jsonb NOT NULL DEFAULT '{}',
	stats_reset timestamptz NOT NULL DEFAULT clock_timestamp(),
	draining_until timestamptz,
	region text,
	own boolean NOT NULL DEFAULT false,
	addresses text[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
COMMENT ON TABLE rt_private.gateways IS 'running gateways, as they report each second';
COMMENT ON COLUMN rt_private.gateways.draining_until IS 'deadline of rt.drain(); the successor may be running already';
COMMENT ON COLUMN rt_private.gateways.stats_before IS 'stats at rt.reset_stats(); views show the difference';
COMMENT ON COLUMN rt_private.gateways.name IS 'the gateway''s name, new at each start';
COMMENT ON COLUMN rt_private.gateways.host IS 'the host it runs on';
COMMENT ON COLUMN rt_private.gateways.slot IS 'its number, with which the ids of its sessions begin';
COMMENT ON COLUMN rt_private.gateways.pid IS 'its process id';
COMMENT ON COLUMN rt_private.gateways.port IS 'the TCP port that it listens on';
COMMENT ON COLUMN rt_private.gateways.started_at IS 'when it started to serve';
COMMENT ON COLUMN rt_private.gateways.reported_at IS 'when it last reported';
COMMENT ON COLUMN rt_private.gateways.stats IS 'its statistics';
COMMENT ON COLUMN rt_private.gateways.rooms IS 'its largest rooms, by joined sockets';
COMMENT ON COLUMN rt_private.gateways.stats_reset IS 'start of the statistics in views';
COMMENT ON COLUMN rt_private.gateways.region IS 'the region of its host, from its configuration file; null: none';
COMMENT ON COLUMN rt_private.gateways.own IS 'it runs on a host of its own, and the supervisor knows nothing of it';

COMMENT ON COLUMN rt_private.gateways.addresses IS 'where gateways on other hosts may find it';

-- By it gateways know each other; the first one that starts makes it.  A dump does not have it, so that a copy of the database has another one.
CREATE TABLE rt_private.gateway_secret (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	secret text NOT NULL DEFAULT rpad(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 64, '0')
);
COMMENT ON TABLE rt_private.gateway_secret IS 'the secret that gateways share';
COMMENT ON COLUMN rt_private.gateway_secret.only_row IS 'there is one row';
COMMENT ON COLUMN rt_private.gateway_secret.secret IS '64 hexadecimal digits, 244 bits of them random';
COMMENT ON INDEX rt_private.gateway_secret_pkey IS 'there is one row';

-- A gateway keeps its number over restarts, so that a rule of a load balancer may name it.  Below 100 are those that the
-- supervisor starts.
CREATE TABLE rt_private.gateway_numbers (
	host text NOT NULL,
	port integer NOT NULL,
	number integer NOT NULL UNIQUE CHECK (number BETWEEN 100 AND 99999),
	used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (host, port)
);
COMMENT ON TABLE rt_private.gateway_numbers IS 'numbers of gateways on hosts of their own';
COMMENT ON COLUMN rt_private.gateway_numbers.host IS 'name of the host';
COMMENT ON COLUMN rt_private.gateway_numbers.port IS 'the TCP port that the gateway listens on';
COMMENT ON COLUMN rt_private.gateway_numbers.number IS 'with which the ids of its sessions begin';
COMMENT ON COLUMN rt_private.gateway_numbers.used_at IS 'when it last asked for it';
COMMENT ON INDEX rt_private.gateway_numbers_pkey IS 'the number of a gateway';
COMMENT ON INDEX rt_private.gateway_numbers_number_key IS 'no two have the same number';

CREATE UNLOGGED TABLE rt_private.connections (
	sid text PRIMARY KEY,
	user_id text NOT NULL,
	gateway text NOT NULL,
	serial bigint NOT NULL DEFAULT 0,
	peer text,
	transport text,
	connected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	queued_bytes bigint NOT NULL DEFAULT 0,
	latency interval,
	status text NOT NULL DEFAULT 'online' CHECK (status IN ('online', 'away'))
) WITH (fillfactor = 70);
COMMENT ON COLUMN rt_private.connections.sid IS 'the socket''s id';
COMMENT ON COLUMN rt_private.connections.user_id IS 'the user it belongs to';
COMMENT ON COLUMN rt_private.connections.gateway IS 'its gateway';
COMMENT ON COLUMN rt_private.connections.peer IS 'the client''s address';
COMMENT ON COLUMN rt_private.connections.transport IS 'websocket or polling';
COMMENT ON COLUMN rt_private.connections.connected_at IS 'since when it applies';
COMMENT ON COLUMN rt_private.connections.queued_bytes IS 'bytes queued for the client';
CREATE INDEX connections_user_id_idx ON rt_private.connections (user_id);
COMMENT ON INDEX rt_private.connections_user_id_idx IS 'finds the connections of a user';
CREATE INDEX connections_gateway_idx ON rt_private.connections (gateway);
COMMENT ON TABLE rt_private.connections IS 'connected sockets';
COMMENT ON COLUMN rt_private.connections.serial IS
	'distinguishes the connection from an earlier one with the same sid, whose end may be reported later';
COMMENT ON COLUMN rt_private.connections.status IS 'status of this connection; the user''s status is the most present one';
COMMENT ON COLUMN rt_private.connections.latency IS 'with transport and queued_bytes from the gateway''s reports';
COMMENT ON INDEX rt_private.connections_gateway_idx IS 'finds what a dead gateway had';

-- Logged, so that clients go on with their sessions at a server that has crashed, or at a standby that was promoted.
CREATE TABLE rt_private.sessions (
	pid text PRIMARY KEY,
	sid text NOT NULL,
	user_id text NOT NULL,
	joined bigint[] NOT NULL DEFAULT '{}',
	ended_at timestamptz,
	pos bigint NOT NULL DEFAULT 0,
	status text NOT NULL DEFAULT 'online'
) WITH (fillfactor = 70);
COMMENT ON COLUMN rt_private.sessions.pid IS 'private id (pid) with which the client reconnects';
COMMENT ON COLUMN rt_private.sessions.sid IS 'the socket''s id, which survives a reconnect';
COMMENT ON COLUMN rt_private.sessions.user_id IS 'the user it belongs to';
COMMENT ON COLUMN rt_private.sessions.joined IS 'rooms that the socket had joined';
COMMENT ON COLUMN rt_private.sessions.pos IS 'last position of the log at connect: recovery starts there if nothing was delivered';
COMMENT ON COLUMN rt_private.sessions.status IS 'status of the connection, which the next one of the session takes over';
COMMENT ON COLUMN rt_private.sessions.ended_at IS 'when the connection ended; null if connected';
CREATE INDEX sessions_sid_idx ON rt_private.sessions (sid);
COMMENT ON INDEX rt_private.sessions_sid_idx IS 'finds the session of a socket';
CREATE INDEX sessions_user_id_idx ON rt_private.sessions (user_id);
COMMENT ON INDEX rt_private.sessions_user_id_idx IS 'finds the sessions of a user who leaves a room';
CREATE INDEX sessions_ended_at_idx ON rt_private.sessions (ended_at) WHERE ended_at IS NOT NULL;
COMMENT ON TABLE rt_private.sessions IS 'state that a client gets back when it reconnects: its rooms and its status';
COMMENT ON INDEX rt_private.sessions_ended_at_idx IS 'finds sessions that are too old to recover';

CREATE FUNCTION rt_private.gateway_alive(gateway text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM rt_private.gateways AS g
		WHERE g.name = gateway_alive.gateway AND g.reported_at > clock_timestamp() - interval '10 s')
$$;
COMMENT ON FUNCTION rt_private.gateway_alive(text) IS 'whether a gateway has reported in the last ten seconds';

-- ---- the clock -----------------------------------------------------------------
--
-- Who is alive, and what is kept for how long, is told by times in tables.  When somebody sets the system's clock these follow it:
-- else all would be dead at once, or nobody for as long as the clock was set back.

CREATE UNLOGGED TABLE rt_private.clock (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	server_start timestamptz NOT NULL,
	ahead double precision NOT NULL,
	seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE rt_private.clock IS 'the system clock at the last follow_clock(); one row';
COMMENT ON COLUMN rt_private.clock.one IS 'restricts the table to one row';
COMMENT ON COLUMN rt_private.clock.server_start IS 'start time of the server that stored this row; a reboot may have come since';
COMMENT ON COLUMN rt_private.clock.seen_at IS 'when this run of the server was seen first, or the clock was set';
COMMENT ON COLUMN rt_private.clock.ahead IS 'seconds by which it was ahead of the monotonic clock';

CREATE FUNCTION rt_private.clock_offset() RETURNS double precision
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_clock_offset';
COMMENT ON FUNCTION rt_private.clock_offset() IS 'seconds by which the system clock is ahead of the monotonic clock';

-- What has been written since the jump lies nearer to now without it.
CREATE FUNCTION rt_private.after_jump(at timestamptz, jump interval) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN abs(extract(epoch FROM at + jump - clock_timestamp())) < abs(extract(epoch FROM at - clock_timestamp()))
		THEN at + jump ELSE at END
$$;
COMMENT ON FUNCTION rt_private.after_jump(timestamptz, interval) IS 'converts a time from before a clock jump';

-- At the start of a server that was behind: set back while it was down, or promoted, with another clock than the primary's.  What
-- lies in the future would last until then, and one who has gone stay online.
CREATE FUNCTION rt_private.forget_future() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	now_at timestamptz := clock_timestamp();
BEGIN
	UPDATE rt_private.gateways AS g SET reported_at = now_at WHERE g.reported_at > now_at;
	UPDATE rt_private.connections AS c SET connected_at = now_at WHERE c.connected_at > now_at;
	UPDATE rt_private.sessions AS s SET ended_at = now_at WHERE s.ended_at > now_at;
	UPDATE rt_private.media_workers AS w SET heartbeat_at = now_at WHERE w.heartbeat_at > now_at;
	IF NOT rt_private.is_foreign('rt.presence') THEN
		UPDATE rt.presence AS p SET last_seen = now_at WHERE p.last_seen > now_at;
	END IF;
	IF NOT rt_private.is_foreign('rt.meeting_participants') THEN
		UPDATE rt.meeting_participants AS p SET disconnected_at = now_at WHERE p.left_at IS NULL AND p.disconnected_at > now_at;
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.forget_future() IS 'moves deadlines from before a server''s start that lie in the future';

CREATE FUNCTION rt_private.follow_clock() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	seen rt_private.clock := ROW (true, pg_postmaster_start_time(), rt_private.clock_offset(), clock_timestamp());
	was rt_private.clock;
	jump interval;
BEGIN
	SELECT c.* INTO was FROM rt_private.clock AS c;
	IF was.server_start = seen.server_start AND abs(was.ahead - seen.ahead) < 1 THEN
		RETURN;
	END IF;
	-- one of those who see it does it
	INSERT INTO rt_private.clock AS c VALUES (seen.*)
	ON CONFLICT (one) DO UPDATE SET server_start = excluded.server_start, ahead = excluded.ahead, seen_at = excluded.seen_at
	WHERE c.server_start <> excluded.server_start OR abs(c.ahead - excluded.ahead) >= 1;
	IF NOT FOUND THEN
		RETURN;
	ELSIF was.server_start IS DISTINCT FROM seen.server_start THEN
		PERFORM rt_private.forget_future();
		RETURN;
	END IF;
	jump := make_interval(secs => seen.ahead - was.ahead);
	UPDATE rt_private.gateways AS g SET reported_at = rt_private.after_jump(g.reported_at, jump);
	UPDATE rt_private.media_workers AS w SET heartbeat_at = rt_private.after_jump(w.heartbeat_at, jump);
	UPDATE rt_private.media_routers AS r SET former_until = rt_private.after_jump(r.former_until, jump) WHERE r.former IS NOT NULL;
	UPDATE rt_private.sessions AS s SET ended_at = rt_private.after_jump(s.ended_at, jump) WHERE s.ended_at IS NOT NULL;
	IF NOT rt_private.is_foreign('rt.meeting_participants') THEN
		UPDATE rt.meeting_participants AS p SET disconnected_at = rt_private.after_jump(p.disconnected_at, jump)
		WHERE p.left_at IS NULL AND p.disconnected_at IS NOT NULL;
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.follow_clock() IS 'moves deadlines after the system clock was set; called before each check of a deadline';

-- The most present of a user's connections, unless the user is busy.  The plan is kept, and may have been made while hardly anybody was
-- connected: in a storm it would read all connections for each user.
CREATE FUNCTION rt_private.present_status(user_id text, chosen text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
	IF chosen = 'busy' THEN
		RETURN 'busy';
	END IF;
	RETURN coalesce((SELECT max(c.status) FROM rt_private.connections AS c WHERE c.user_id = present_status.user_id), 'online');
END
$$;
COMMENT ON FUNCTION rt_private.present_status(text, text) IS 'status of a connected user; relies on "online" sorting after "away"';

-- Of those that have gone too: they may come back.
CREATE FUNCTION rt_private.set_all_statuses(user_id text, status text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt_private.connections AS c SET status = set_all_statuses.status
	WHERE c.user_id = set_all_statuses.user_id AND c.status <> set_all_statuses.status;
	UPDATE rt_private.sessions AS s SET status = set_all_statuses.status
	WHERE s.user_id = set_all_statuses.user_id AND s.status <> set_all_statuses.status;
END
$$;
COMMENT ON FUNCTION rt_private.set_all_statuses(text, text) IS 'sets the status of all connections of a user: online or away';

-- A status that does not follow from the connections was set by hand, for all of them.
CREATE FUNCTION rt_private.presence_before_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.status NOT IN ('offline', OLD.status) AND NEW.status <> rt_private.present_status(NEW.user_id, NEW.chosen) THEN
		NEW.chosen := NEW.status;
		NEW.busy_by := NULL;
		IF NEW.status <> 'busy' THEN
			PERFORM rt_private.set_all_statuses(NEW.user_id, NEW.status);
		END IF;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.presence_before_update() IS 'stores the chosen status';
-- Not for each user of a storm: those who come online as they have chosen are looked at together, by presence_after_change().
CREATE TRIGGER rt_before_update BEFORE UPDATE ON rt.presence FOR EACH ROW
	WHEN (NEW.status NOT IN ('offline', OLD.status) AND (OLD.status, NEW.status, NEW.chosen) <> ('offline', 'online', 'online'))
	EXECUTE FUNCTION rt_private.presence_before_update();
COMMENT ON TRIGGER rt_before_update ON rt.presence IS 'stores the chosen status';

CREATE FUNCTION rt_private.status_rooms(user_id text) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(m.room_id::text), '[]') FROM rt.room_members AS m
	WHERE m.user_id = status_rooms.user_id AND NOT rt_private.is_large(m.room_id)
$$;
COMMENT ON FUNCTION rt_private.status_rooms(text) IS 'the rooms whose members hear of a user''s status';

-- Once for a statement, since thousands may come online in one.  A user in many rooms makes a small event all the same: the gateways
-- look the rooms up, for several users at once.  One plan for all calls: with a plan for each array, most of a lone change is planning.
CREATE FUNCTION rt_private.presence_after_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
SET enable_nestloop = on AS $$
DECLARE
	changed text[];
	came text[];
	most bigint := current_setting('rt.presence_room_limit')::bigint;
BEGIN
	IF TG_OP = 'INSERT' THEN
		SELECT array_agg(n.user_id) INTO changed FROM new_rows AS n WHERE n.status <> 'offline';
	ELSE
		SELECT array_agg(n.user_id), array_agg(n.user_id) FILTER (WHERE (o.status, n.status, n.chosen) = ('offline', 'online', 'online'))
		INTO changed, came FROM new_rows AS n JOIN old_rows AS o USING (user_id)
		WHERE o.status <> n.status OR o.status_message IS DISTINCT FROM n.status_message;
	END IF;
	IF changed IS NULL THEN
		RETURN NULL; -- as for each offline user that is deleted
	END IF;
	-- What rt_before_update left out.
	PERFORM rt_private.set_all_statuses(u.id, 'online') FROM unnest(came) AS u (id)
	WHERE (SELECT max(c.status) FROM rt_private.connections AS c WHERE c.user_id = u.id) = 'away';
	-- Rooms without a row in room_sizes have fewer than 200 members.
	PERFORM rt_private.emit('chat-user-status-update',
		(SELECT CASE WHEN count(*) > 50 THEN json_build_object('contacts', p.user_id)
				ELSE json_build_object('contacts', p.user_id, 'rooms', coalesce(json_agg(m.room_id::text) FILTER (
					WHERE NOT EXISTS (SELECT FROM rt_private.room_sizes AS s WHERE s.room_id = m.room_id AND s.members > most)
						AND (most >= 200 OR NOT rt_private.is_large(m.room_id))), '[]')) END
			FROM (SELECT t.room_id FROM rt.room_members AS t WHERE t.user_id = p.user_id LIMIT 51) AS m),
		json_build_object('userId', p.user_id, 'userName', u.name, 'status', p.status, 'isOnline', p.status <> 'offline',
			'lastSeen', rt_private.iso(p.last_seen), 'statusMessage', p.status_message, 'timestamp', rt_private.iso(clock_timestamp())), false)
	FROM unnest(changed) AS c (id) JOIN rt.presence AS p ON p.user_id = c.id JOIN rt.users AS u ON u.id = p.user_id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.presence_after_change() IS 'tells users who share a room';
CREATE TRIGGER rt_after_insert AFTER INSERT ON rt.presence REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.presence_after_change();
COMMENT ON TRIGGER rt_after_insert ON rt.presence IS 'tells users who share a room';
CREATE TRIGGER rt_after_update AFTER UPDATE ON rt.presence REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.presence_after_change();
COMMENT ON TRIGGER rt_after_update ON rt.presence IS 'tells users who share a room';

-- ---- rooms that tell counts alone ------------------------------------------------

CREATE UNLOGGED TABLE rt_private.room_presence (
	room_id bigint PRIMARY KEY,
	online bigint NOT NULL,
	told_at timestamptz NOT NULL
);
COMMENT ON TABLE rt_private.room_presence IS 'how many members of large rooms were online when it was told last; row 0: when all were looked at';
COMMENT ON COLUMN rt_private.room_presence.room_id IS 'the room';
COMMENT ON COLUMN rt_private.room_presence.online IS 'how many members were not offline';
COMMENT ON COLUMN rt_private.room_presence.told_at IS 'when they were counted';

-- Rooms that somebody has joined, every two seconds; called by one gateway's report at a time.
CREATE FUNCTION rt_private.tell_large_rooms() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room record;
	n bigint;
	most bigint := current_setting('rt.presence_room_limit')::bigint;
BEGIN
	INSERT INTO rt_private.room_presence AS p VALUES (0, 0, clock_timestamp())
	ON CONFLICT ON CONSTRAINT room_presence_pkey DO UPDATE SET told_at = excluded.told_at WHERE p.told_at < excluded.told_at - interval '2 s';
	-- Rooms without a row in room_sizes have fewer than 200 members.
	IF NOT FOUND OR most >= 200 AND NOT EXISTS (SELECT FROM rt_private.room_sizes AS s WHERE s.members > most) THEN
		RETURN;
	END IF;
	FOR room IN SELECT r AS row, p.online FROM (SELECT DISTINCT j AS id FROM rt_private.sessions AS s, unnest(s.joined) AS j WHERE s.ended_at IS NULL) AS t
		JOIN rt.rooms AS r ON r.id = t.id LEFT JOIN rt_private.room_presence AS p ON p.room_id = r.id
		WHERE rt_private.is_large(r.id) ORDER BY p.told_at NULLS FIRST LIMIT 20
	LOOP
		SELECT count(*) INTO n FROM rt.room_members AS m JOIN rt.presence AS p ON p.user_id = m.user_id
		WHERE m.room_id = (room.row).id AND p.status <> 'offline';
		IF n IS DISTINCT FROM room.online THEN
			PERFORM rt_private.emit('chat-room-presence', rt_private.room_route((room.row).id),
				json_build_object('roomId', (room.row).id::text, 'onlineCount', n, 'memberCount', rt_private.member_count(room.row),
					'timestamp', rt_private.iso(clock_timestamp())), false, (room.row).id);
		END IF;
		INSERT INTO rt_private.room_presence AS p VALUES ((room.row).id, n, clock_timestamp())
		ON CONFLICT ON CONSTRAINT room_presence_pkey DO UPDATE SET online = excluded.online, told_at = excluded.told_at;
	END LOOP;
	DELETE FROM rt_private.room_presence AS p WHERE p.told_at < clock_timestamp() - interval '1 hour';
END
$$;
COMMENT ON FUNCTION rt_private.tell_large_rooms() IS 'tells large rooms how many of their members are online, where that has changed';

-- Of users that exist, and that the caller has locked.  In the order of the ids, so that two gateways do not lock each other out: a scan of
-- the index looks for them so.  In a storm nearly all have been offline, and an UPDATE takes half of an INSERT that finds a row.  Of
-- somebody who comes back, all connections may have been away.  That makes nobody less present who was not offline: the rest may come
-- back too, and else sweep_gateways() finds it.
CREATE FUNCTION rt_private.come_online(users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
	others text[];
BEGIN
	IF users IS NULL OR rt_private.is_foreign('rt.presence') THEN
		RETURN;
	END IF;
	WITH came AS (
		UPDATE rt.presence AS p SET last_seen = clock_timestamp(), status = CASE p.chosen WHEN 'online'
			THEN coalesce((SELECT max(c.status) FROM rt_private.connections AS c WHERE c.user_id = p.user_id), 'online') ELSE p.chosen END
		WHERE p.user_id = ANY (users) AND p.status = 'offline' RETURNING p.user_id
	)
	SELECT array_agg(o.id ORDER BY o.id) INTO others FROM (SELECT unnest(users) EXCEPT SELECT c.user_id FROM came AS c) AS o (id);
	IF others IS NULL THEN
		RETURN;
	END IF;
	INSERT INTO rt.presence AS p (user_id, status, last_seen)
	SELECT a.id, 'online', clock_timestamp() FROM unnest(others) AS a (id)
	ON CONFLICT (user_id) DO UPDATE SET status = CASE WHEN p.status = 'offline' AND p.chosen <> 'online' THEN p.chosen ELSE rt_private.present_status(p.user_id, p.chosen) END,
		last_seen = CASE p.status WHEN 'offline' THEN clock_timestamp() ELSE p.last_seen END
	WHERE p.status = 'offline' OR (p.status = 'away' AND rt_private.present_status(p.user_id, p.chosen) = 'online');
END
$$;
COMMENT ON FUNCTION rt_private.come_online(text[]) IS 'sets users online';

-- The rows are locked first: a connection that comes meanwhile is then seen, or waits and finds the user offline.
CREATE FUNCTION rt_private.go_offline(users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.is_foreign('rt.presence') THEN
		RETURN;
	END IF;
	PERFORM FROM rt.presence AS p WHERE p.user_id = ANY (users) AND p.status <> 'offline' ORDER BY p.user_id FOR UPDATE;
	UPDATE rt.presence AS p SET status = 'offline', chosen = 'online', busy_by = NULL, last_seen = clock_timestamp()
	WHERE p.user_id = ANY (users) AND p.status <> 'offline'
		AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id);
END
$$;
COMMENT ON FUNCTION rt_private.go_offline(text[]) IS 'sets users without a connection offline';

-- When connections have gone, but not the last one.
CREATE FUNCTION rt_private.follow_connections(users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
	connected text[];
BEGIN
	IF rt_private.is_foreign('rt.presence') THEN
		RETURN;
	END IF;
	-- Of most the last connection has gone.  One that comes meanwhile sets the status itself.
	SELECT array_agg(u.id) INTO connected FROM unnest(users) AS u (id)
	WHERE EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = u.id OFFSET 0);
	IF connected IS NULL THEN
		RETURN;
	END IF;
	PERFORM FROM rt.presence AS p WHERE p.user_id = ANY (connected) AND p.status IN ('online', 'away') ORDER BY p.user_id FOR UPDATE;
	UPDATE rt.presence AS p SET status = rt_private.present_status(p.user_id, p.chosen)
	WHERE p.user_id = ANY (connected) AND p.status IN ('online', 'away') AND p.status <> rt_private.present_status(p.user_id, p.chosen)
		AND EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id);
END
$$;
COMMENT ON FUNCTION rt_private.follow_connections(text[]) IS 'derives users'' status from their connections';

-- busy is the user's: "online" ends it from any connection, "away" from the one that has set it, or once that one is gone.
CREATE FUNCTION rt_private.set_connection_status(sid text, user_id text, status text, status_message text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.presence;
	own_status text := CASE set_connection_status.status WHEN 'away' THEN 'away' ELSE 'online' END;
BEGIN
	SELECT t.* INTO p FROM rt.presence AS t WHERE t.user_id = set_connection_status.user_id FOR UPDATE;
	UPDATE rt_private.sessions AS s SET status = own_status
	WHERE s.sid = set_connection_status.sid AND s.user_id = set_connection_status.user_id AND s.status <> own_status;
	UPDATE rt_private.connections AS c SET status = own_status
	WHERE c.sid = set_connection_status.sid AND c.user_id = set_connection_status.user_id;
	IF NOT FOUND OR p.user_id IS NULL OR p.status = 'offline' THEN
		PERFORM rt.set_status(set_connection_status.user_id, set_connection_status.status, set_connection_status.status_message);
		RETURN;
	END IF;
	IF set_connection_status.status = 'busy' THEN
		p.chosen := 'busy';
		p.busy_by := set_connection_status.sid;
	ELSIF set_connection_status.status = 'online' OR p.busy_by IS NOT DISTINCT FROM set_connection_status.sid
		OR NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.sid = p.busy_by) THEN
		p.chosen := 'online';
		p.busy_by := NULL;
	END IF;
	UPDATE rt.presence AS t SET chosen = p.chosen, busy_by = p.busy_by, status_message = set_connection_status.status_message,
		status = rt_private.present_status(t.user_id, p.chosen)
	WHERE t.user_id = set_connection_status.user_id;
END
$$;
COMMENT ON FUNCTION rt_private.set_connection_status(text, text, text, text) IS 'sets the status of one connection';

CREATE FUNCTION rt.set_status(user_id text, status text, status_message text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_self(set_status.user_id);
	IF set_status.status NOT IN ('online', 'away', 'busy') OR set_status.status IS NULL THEN
		RAISE EXCEPTION 'status must be one of online, away, busy' USING ERRCODE = 'RT400';
	END IF;
	PERFORM rt_private.check_users(ARRAY[set_status.user_id]);
	IF set_status.status <> 'busy' THEN
		PERFORM rt_private.set_all_statuses(set_status.user_id, set_status.status);
	END IF;
	INSERT INTO rt.presence AS p (user_id, chosen, status_message)
	VALUES (set_status.user_id, set_status.status, set_status.status_message)
	ON CONFLICT ON CONSTRAINT presence_pkey DO UPDATE SET chosen = set_status.status, busy_by = NULL, status_message = set_status.status_message,
		status = CASE WHEN p.status = 'offline' THEN 'offline' ELSE set_status.status END;
END
$$;
COMMENT ON FUNCTION rt.set_status(text, text, text) IS 'sets a user''s status while connected, and a status text';

-- ---- users that are deleted ------------------------------------------------------------

-- Before it, since the rooms, and with them the contacts, are still known.
CREATE FUNCTION rt_private.users_before_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt.presence AS p SET status = 'offline', last_seen = clock_timestamp() WHERE p.user_id = OLD.id AND p.status <> 'offline';
	RETURN OLD;
END
$$;
COMMENT ON FUNCTION rt_private.users_before_delete() IS 'tells contacts that a user was deleted';
CREATE TRIGGER rt_before_delete BEFORE DELETE ON rt.users FOR EACH ROW
	EXECUTE FUNCTION rt_private.users_before_delete();
COMMENT ON TRIGGER rt_before_delete ON rt.users IS 'tells contacts that a user was deleted';

CREATE FUNCTION rt_private.users_after_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.disconnect(u.id, 'deleted') FROM gone AS u;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.users_after_delete() IS 'closes connections of deleted users';
CREATE TRIGGER rt_after_delete AFTER DELETE ON rt.users
	REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rt_private.users_after_delete();
COMMENT ON TRIGGER rt_after_delete ON rt.users IS 'closes connections of deleted users';
