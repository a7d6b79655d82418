-- Who may do what with users, rooms and messages.  Nothing is PUBLIC's.

-- ---- the programs ------------------------------------------------------------------

GRANT USAGE ON SCHEMA rt_api TO rt_gateway, rt_media;
DO $$
DECLARE
	f regprocedure;
BEGIN
	FOR f IN SELECT p.oid FROM pg_catalog.pg_proc AS p
		WHERE p.pronamespace IN ('rt'::regnamespace, 'rt_api'::regnamespace, 'rt_private'::regnamespace)
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
	END LOOP;
	FOR f IN SELECT p.oid FROM pg_catalog.pg_proc AS p
		WHERE p.pronamespace = 'rt_api'::regnamespace
			AND p.proname NOT IN ('media_start', 'media_stop', 'media_drain', 'media_heartbeat', 'media_stats', 'media_fetch', 'media_answer', 'media_event')
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO rt_gateway', f);
	END LOOP;
END
$$;

-- ---- applications: role rt_app, with SET rt.user_id ------------------------------------

GRANT USAGE ON SCHEMA rt TO rt_app, pg_monitor;
-- policies call these with the rights of whoever asks
GRANT USAGE ON SCHEMA rt_private TO rt_app;
GRANT EXECUTE ON FUNCTION rt_private.actor(), rt_private.is_member(bigint, text), rt_private.own_rooms(),
	rt_private.is_room_admin(bigint, text), rt_private.is_direct(bigint), rt_private.may_send(bigint, text), rt_private.may_pin(bigint, text),
	rt_private.own_hidden(), rt_private.may_touch(bigint, bigint, text), rt_private.may_add_as(bigint, text, text, text) TO rt_app;
-- what SECURITY INVOKER triggers and functions need
GRANT EXECUTE ON FUNCTION rt_private.is_applying(), rt_private.max_message_size(), rt_private.message_fault(text, jsonb, text), rt_private.trusted(), rt_private.caller() TO rt_app;

GRANT SELECT (id, username, name, created_at), UPDATE (name) ON rt.users TO rt_app;
GRANT SELECT (id, name, kind, created_by, created_at, last_seq, topic, archived, history, who_may_post, who_may_add, who_may_pin, who_may_mention_all),
	UPDATE (name, topic, archived, history, who_may_post, who_may_add, who_may_pin, who_may_mention_all), DELETE ON rt.rooms TO rt_app;
GRANT SELECT, INSERT (room_id, user_id, role), DELETE, UPDATE (role) ON rt.room_members TO rt_app;
GRANT SELECT, INSERT (room_id, sender_id, content, message_type, metadata, reply_to, client_id),
	UPDATE (content, metadata, deleted_at), DELETE ON rt.messages TO rt_app;
GRANT SELECT ON rt.deleted_messages TO rt_app;
GRANT SELECT, INSERT (room_id, seq, user_id, emoji), DELETE ON rt.reactions TO rt_app;
GRANT SELECT, INSERT (room_id, seq, pinned_by), DELETE ON rt.pins TO rt_app;
GRANT SELECT ON rt.threads TO rt_app;
GRANT SELECT, INSERT (user_id, blocked_id), DELETE ON rt.blocks TO rt_app;
GRANT SELECT ON rt.room_invitations TO rt_app;
GRANT SELECT, INSERT, UPDATE ON rt.receipts TO rt_app;
GRANT SELECT (user_id, status, status_message, last_seen), UPDATE (status, status_message) ON rt.presence TO rt_app;
GRANT EXECUTE ON FUNCTION rt.create_room(text, text[]), rt.create_direct_room(text, text),
	rt.send_message(bigint, text, text, text, jsonb, bigint, text), rt.mark_seen(bigint, text, bigint[]),
	rt.mark_delivered(bigint, text, bigint[]), rt.leave_direct(bigint, text), rt.accept_invitation(bigint, text), rt.decline_invitation(bigint, text),
	rt.set_read(bigint, text, bigint), rt.set_notifications(bigint, text, text, timestamptz), rt.set_status(text, text, text), rt.broadcast(bigint, text, jsonb) TO rt_app;

ALTER TABLE rt.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.rooms ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.room_members ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.deleted_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.reactions ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.presence ENABLE ROW LEVEL SECURITY;

-- The directory is open to whoever is a user, as GET /api/users is.
CREATE POLICY users_read ON rt.users FOR SELECT TO rt_app USING (rt_private.actor() IS NOT NULL);
COMMENT ON POLICY users_read ON rt.users IS 'users may read all users';
CREATE POLICY users_change ON rt.users FOR UPDATE TO rt_app USING (id = rt_private.actor());
COMMENT ON POLICY users_change ON rt.users IS 'users may change their own name';

CREATE POLICY rooms_read ON rt.rooms FOR SELECT TO rt_app USING (id = ANY ((SELECT rt_private.own_rooms())::bigint[]));
COMMENT ON POLICY rooms_read ON rt.rooms IS 'users may read their own rooms';
CREATE POLICY rooms_change ON rt.rooms FOR UPDATE TO rt_app USING (rt_private.is_room_admin(id, rt_private.actor()));
COMMENT ON POLICY rooms_change ON rt.rooms IS 'admins of the room';
CREATE POLICY rooms_delete ON rt.rooms FOR DELETE TO rt_app USING (rt_private.is_room_admin(id, rt_private.actor()));
COMMENT ON POLICY rooms_delete ON rt.rooms IS 'admins of the room';

CREATE POLICY members_read ON rt.room_members FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[]));
COMMENT ON POLICY members_read ON rt.room_members IS 'users may read what is in their own rooms';
CREATE POLICY members_add ON rt.room_members FOR INSERT TO rt_app
	WITH CHECK (rt_private.may_add_as(room_id, rt_private.actor(), user_id, role));
COMMENT ON POLICY members_add ON rt.room_members IS 'admins of the room, or members if the room allows it; not users who have blocked them';
CREATE POLICY members_change ON rt.room_members FOR UPDATE TO rt_app
	USING (rt_private.is_room_admin(room_id, rt_private.actor()) AND NOT rt_private.is_direct(room_id));
COMMENT ON POLICY members_change ON rt.room_members IS 'admins of the room';
CREATE POLICY members_remove ON rt.room_members FOR DELETE TO rt_app
	USING (user_id = rt_private.actor() OR (rt_private.is_room_admin(room_id, rt_private.actor()) AND NOT rt_private.is_direct(room_id)));
COMMENT ON POLICY members_remove ON rt.room_members IS 'members may leave, admins may remove; nobody may remove the other user of a direct room';

CREATE POLICY messages_read ON rt.messages FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
	AND seq > coalesce(((SELECT rt_private.own_hidden()) ->> room_id::text)::bigint, 0));
COMMENT ON POLICY messages_read ON rt.messages IS 'users may read what is in their own rooms';
CREATE POLICY deleted_messages_read ON rt.deleted_messages FOR SELECT TO rt_app
	USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
		AND seq > coalesce(((SELECT rt_private.own_hidden()) ->> room_id::text)::bigint, 0));
COMMENT ON POLICY deleted_messages_read ON rt.deleted_messages IS 'users may read what is in their own rooms';
CREATE POLICY messages_send ON rt.messages FOR INSERT TO rt_app
	WITH CHECK (sender_id = rt_private.actor() AND rt_private.may_send(room_id, rt_private.actor()));
COMMENT ON POLICY messages_send ON rt.messages IS 'users may send as themselves, to their own rooms';
CREATE POLICY messages_change ON rt.messages FOR UPDATE TO rt_app
	USING (sender_id = rt_private.actor() AND rt_private.is_member(room_id, rt_private.actor()))
	WITH CHECK (deleted_at IS NOT NULL OR rt_private.may_touch(room_id, seq, rt_private.actor()));
COMMENT ON POLICY messages_change ON rt.messages IS 'users may change their own, in their own rooms; only delete them in archived ones';
CREATE POLICY messages_delete ON rt.messages FOR DELETE TO rt_app
	USING ((sender_id = rt_private.actor() AND rt_private.is_member(room_id, rt_private.actor()))
		OR rt_private.is_room_admin(room_id, rt_private.actor()));
COMMENT ON POLICY messages_delete ON rt.messages IS 'users may delete their own; admins may delete any';

CREATE POLICY reactions_read ON rt.reactions FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
	AND seq > coalesce(((SELECT rt_private.own_hidden()) ->> room_id::text)::bigint, 0));
COMMENT ON POLICY reactions_read ON rt.reactions IS 'users may read what is in their own rooms';
CREATE POLICY reactions_add ON rt.reactions FOR INSERT TO rt_app
	WITH CHECK (user_id = rt_private.actor() AND rt_private.may_touch(room_id, seq, rt_private.actor()));
COMMENT ON POLICY reactions_add ON rt.reactions IS 'users may add as themselves, in their own rooms, if these are not archived';
CREATE POLICY reactions_remove ON rt.reactions FOR DELETE TO rt_app
	USING (user_id = rt_private.actor() AND rt_private.may_touch(room_id, seq, rt_private.actor()));
COMMENT ON POLICY reactions_remove ON rt.reactions IS 'users may remove their own, in rooms that are not archived';

ALTER TABLE rt.pins ENABLE ROW LEVEL SECURITY;
CREATE POLICY pins_read ON rt.pins FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
	AND seq > coalesce(((SELECT rt_private.own_hidden()) ->> room_id::text)::bigint, 0));
COMMENT ON POLICY pins_read ON rt.pins IS 'users may read what is in their own rooms';
CREATE POLICY pins_add ON rt.pins FOR INSERT TO rt_app
	WITH CHECK (pinned_by = rt_private.actor() AND rt_private.may_pin(room_id, rt_private.actor())
		AND rt_private.may_touch(room_id, seq, rt_private.actor()));
COMMENT ON POLICY pins_add ON rt.pins IS 'users may add as themselves, if the room allows it';
CREATE POLICY pins_remove ON rt.pins FOR DELETE TO rt_app USING (rt_private.may_pin(room_id, rt_private.actor()));
COMMENT ON POLICY pins_remove ON rt.pins IS 'users may remove, if the room allows it';
ALTER TABLE rt.threads ENABLE ROW LEVEL SECURITY;
CREATE POLICY threads_read ON rt.threads FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
	AND seq > coalesce(((SELECT rt_private.own_hidden()) ->> room_id::text)::bigint, 0));
COMMENT ON POLICY threads_read ON rt.threads IS 'users may read what is in their own rooms';
ALTER TABLE rt.blocks ENABLE ROW LEVEL SECURITY;
CREATE POLICY blocks_own ON rt.blocks FOR ALL TO rt_app USING (user_id = rt_private.actor()) WITH CHECK (user_id = rt_private.actor());
COMMENT ON POLICY blocks_own ON rt.blocks IS 'users may access their own';
ALTER TABLE rt.room_invitations ENABLE ROW LEVEL SECURITY;
CREATE POLICY room_invitations_see ON rt.room_invitations FOR SELECT TO rt_app
	USING (user_id = rt_private.actor() OR rt_private.is_room_admin(room_id, rt_private.actor()));
COMMENT ON POLICY room_invitations_see ON rt.room_invitations IS 'the user concerned, or admins of the room';

-- Who shares a room sees who is there.
-- A statement asks once: a set that the policy's subquery hashes.
CREATE FUNCTION rt_private.own_contacts() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.actor()
	UNION
	SELECT m.user_id FROM rt.room_members AS m WHERE m.room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
$$;
COMMENT ON FUNCTION rt_private.own_contacts() IS 'the acting user and everybody who shares a room with them';
REVOKE ALL ON FUNCTION rt_private.own_contacts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rt_private.own_contacts() TO rt_app;
CREATE POLICY presence_read ON rt.presence FOR SELECT TO rt_app USING (user_id IN (SELECT rt_private.own_contacts()));
COMMENT ON POLICY presence_read ON rt.presence IS 'users may read their own, and that of users they share a room with';
CREATE POLICY presence_change ON rt.presence FOR UPDATE TO rt_app USING (user_id = rt_private.actor());
COMMENT ON POLICY presence_change ON rt.presence IS 'users may access their own';

-- ---- monitoring --------------------------------------------------------------------

CREATE FUNCTION rt_private.since_reset(g rt_private.gateways, counter text) RETURNS bigint
LANGUAGE sql STABLE
	RETURN (g.stats OPERATOR(pg_catalog.->>) counter)::pg_catalog.int8
		OPERATOR(pg_catalog.-) coalesce((g.stats_before OPERATOR(pg_catalog.->>) counter)::pg_catalog.int8, 0);
COMMENT ON FUNCTION rt_private.since_reset(rt_private.gateways, text) IS 'a gateway''s counter since rt.reset_stats()';
REVOKE ALL ON FUNCTION rt_private.since_reset(rt_private.gateways, text) FROM PUBLIC;

CREATE VIEW rt.stat_gateway AS
	SELECT g.name, g.host, g.slot, g.pid, g.port, g.started_at, g.reported_at, g.draining_until,
		(g.stats ->> 'connections')::bigint AS connections, (g.stats ->> 'websockets')::bigint AS websockets,
		(g.stats ->> 'sockets')::bigint AS sockets, (g.stats ->> 'users')::bigint AS users,
		(g.stats ->> 'rooms')::bigint AS rooms, rt_private.since_reset(g, 'events') AS events,
		(g.stats ->> 'position')::bigint AS position, rt_private.since_reset(g, 'framesOut') AS frames_out,
		rt_private.since_reset(g, 'bytesOut') AS bytes_out, rt_private.since_reset(g, 'writesOut') AS writes_out,
		rt_private.since_reset(g, 'packetsIn') AS packets_in, rt_private.since_reset(g, 'bytesIn') AS bytes_in,
		(g.stats ->> 'queuedBytes')::bigint AS queued_bytes, rt_private.since_reset(g, 'cutOff') AS cut_off,
		rt_private.since_reset(g, 'requests') AS requests, rt_private.since_reset(g, 'clientEvents') AS client_events,
		rt_private.since_reset(g, 'rateLimited') AS rate_limited, rt_private.since_reset(g, 'recovered') AS recovered,
		rt_private.since_reset(g, 'dbCalls') AS db_calls, (g.stats ->> 'dbWaiting')::bigint AS db_waiting, g.stats_reset, g.region
	FROM rt_private.gateways AS g;
COMMENT ON VIEW rt.stat_gateway IS 'running gateways, with statistics from their last report, one per second';
COMMENT ON COLUMN rt.stat_gateway.name IS 'the gateway''s name, new at each start';
COMMENT ON COLUMN rt.stat_gateway.host IS 'host it runs on';
COMMENT ON COLUMN rt.stat_gateway.slot IS 'number of the gateway, with which the ids of its sessions begin: from 0; on another host, from 100';
COMMENT ON COLUMN rt.stat_gateway.pid IS 'its process id';
COMMENT ON COLUMN rt.stat_gateway.port IS 'TCP port it listens on';
COMMENT ON COLUMN rt.stat_gateway.started_at IS 'when it started to serve';
COMMENT ON COLUMN rt.stat_gateway.reported_at IS 'when it last reported; after ten seconds it is considered dead';
COMMENT ON COLUMN rt.stat_gateway.draining_until IS 'deadline of rt.drain(); otherwise null';
COMMENT ON COLUMN rt.stat_gateway.connections IS 'open TCP connections of all kinds';
COMMENT ON COLUMN rt.stat_gateway.websockets IS 'open websockets';
COMMENT ON COLUMN rt.stat_gateway.sockets IS 'connected Socket.IO clients';
COMMENT ON COLUMN rt.stat_gateway.users IS 'connected users';
COMMENT ON COLUMN rt.stat_gateway.rooms IS 'rooms with a connected member';
COMMENT ON COLUMN rt.stat_gateway.events IS 'events received from the relay';
COMMENT ON COLUMN rt.stat_gateway.position IS 'last position in rt.events that it has processed; compare with rt.stat_relay.last_pos';
COMMENT ON COLUMN rt.stat_gateway.frames_out IS 'messages sent to clients';
COMMENT ON COLUMN rt.stat_gateway.bytes_out IS 'bytes in these messages';
COMMENT ON COLUMN rt.stat_gateway.writes_out IS 'system calls for these messages';
COMMENT ON COLUMN rt.stat_gateway.packets_in IS 'messages received from clients';
COMMENT ON COLUMN rt.stat_gateway.bytes_in IS 'bytes in these messages';
COMMENT ON COLUMN rt.stat_gateway.queued_bytes IS 'bytes currently queued for clients';
COMMENT ON COLUMN rt.stat_gateway.cut_off IS 'clients disconnected for reading too slowly, see rt.max_queued_bytes';
COMMENT ON COLUMN rt.stat_gateway.requests IS 'REST requests';
COMMENT ON COLUMN rt.stat_gateway.client_events IS 'events sent by clients';
COMMENT ON COLUMN rt.stat_gateway.rate_limited IS 'events and requests that exceeded a rate limit';
COMMENT ON COLUMN rt.stat_gateway.recovered IS 'clients that reconnected and recovered missed events';
COMMENT ON COLUMN rt.stat_gateway.db_calls IS 'calls of rt_api functions';
COMMENT ON COLUMN rt.stat_gateway.db_waiting IS 'calls currently waiting for a database connection, see rt.db_connections';
COMMENT ON COLUMN rt.stat_gateway.stats_reset IS 'start of the statistics: rt.reset_stats() or its start';
COMMENT ON COLUMN rt.stat_gateway.region IS 'region of its host, from its configuration file; null: none';

CREATE VIEW rt.stat_connections AS
	SELECT c.sid, c.user_id, c.peer, c.transport, c.gateway, c.connected_at,
		(SELECT cardinality(s.joined) FROM rt_private.sessions AS s WHERE s.sid = c.sid LIMIT 1) AS rooms,
		c.queued_bytes, c.latency
	FROM rt_private.connections AS c;
COMMENT ON VIEW rt.stat_connections IS
	'connected sockets; queued_bytes, latency and upgrades are from the gateway''s last report';
COMMENT ON COLUMN rt.stat_connections.sid IS 'id of the socket';
COMMENT ON COLUMN rt.stat_connections.user_id IS 'the user it belongs to';
COMMENT ON COLUMN rt.stat_connections.peer IS 'client address';
COMMENT ON COLUMN rt.stat_connections.transport IS 'websocket or polling';
COMMENT ON COLUMN rt.stat_connections.gateway IS 'name of its gateway';
COMMENT ON COLUMN rt.stat_connections.connected_at IS 'when it connected';
COMMENT ON COLUMN rt.stat_connections.rooms IS 'number of rooms it has joined';
COMMENT ON COLUMN rt.stat_connections.queued_bytes IS 'bytes queued for it in the gateway, within 4 kB; at rt.max_queued_bytes it is disconnected';
COMMENT ON COLUMN rt.stat_connections.latency IS
	'round trip of the last heartbeat, within 50 ms or half of it, see rt.ping_interval; null before the first one';

CREATE FUNCTION rt_private.stat_room_holder(place tid) RETURNS xid
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'rt_room_holder';
COMMENT ON FUNCTION rt_private.stat_room_holder(tid) IS
	'number of the open or prepared transaction that keeps others from sending to a room, given the place of its row in rt.rooms';

CREATE FUNCTION rt_private.stat_writers()
RETURNS TABLE (xid xid, pid integer, since timestamptz, query text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT a.backend_xid, a.pid, a.xact_start, a.query FROM pg_stat_get_activity(NULL) AS a WHERE a.backend_xid IS NOT NULL
	UNION ALL
	SELECT p.transaction, NULL, p.prepared, 'PREPARE TRANSACTION ' || quote_literal(p.gid) FROM pg_prepared_xacts AS p
	WHERE p.database = current_database()
$$;
COMMENT ON FUNCTION rt_private.stat_writers() IS 'transactions that have written or locked rows: of sessions, and prepared ones';

-- Whoever holds a room has a lock on the table: without one of that age the rooms are not looked at.
CREATE FUNCTION rt_private.room_holders(older interval)
RETURNS TABLE (pid integer, since timestamptz, rooms bigint, ids text, query text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH locks AS MATERIALIZED (
		SELECT DISTINCT coalesce(l.pid, 0) AS pid FROM pg_locks AS l WHERE l.relation = 'rt.rooms'::regclass
			AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
			AND l.mode IN ('RowShareLock', 'RowExclusiveLock') AND l.granted
	), holders AS MATERIALIZED (
		SELECT w.* FROM rt_private.stat_writers() AS w
		WHERE w.since < clock_timestamp() - older AND EXISTS (SELECT FROM locks AS l WHERE l.pid = coalesce(w.pid, 0))
	), held AS MATERIALIZED (
		SELECT r.id, rt_private.stat_room_holder(r.ctid) AS xid FROM rt.rooms AS r
		WHERE r.xmax <> '0'::xid AND EXISTS (SELECT FROM holders)
	)
	SELECT w.pid, w.since, count(*),
		array_to_string((array_agg(h.id ORDER BY h.id))[1:10], ', ') || CASE WHEN count(*) > 10 THEN ', …' ELSE '' END,
		left(regexp_replace(w.query, E'\\s+', ' ', 'g'), 200)
	FROM holders AS w JOIN held AS h ON h.xid = w.xid
	GROUP BY w.pid, w.since, w.query
$$;
COMMENT ON FUNCTION rt_private.room_holders(interval) IS
	'transactions that have held rooms for so long, with what they did last; pid is null for a prepared one';

CREATE VIEW rt.stat_rooms AS
	SELECT r.id AS room_id, r.name, r.kind, r.last_seq,
		(SELECT count(*) FROM rt.room_members AS m WHERE m.room_id = r.id) AS members,
		coalesce(j.joined, 0) AS joined, w.pid AS holder_pid, w.query AS holder_query, w.since AS holder_since
	FROM rt.rooms AS r
	LEFT JOIN (SELECT (t ->> 'roomId')::bigint AS room_id, sum((t ->> 'joined')::bigint) AS joined
		FROM rt_private.gateways AS g, jsonb_array_elements(g.rooms) AS t GROUP BY 1) AS j ON j.room_id = r.id
	LEFT JOIN rt_private.stat_writers() AS w ON w.xid = CASE WHEN r.xmax <> '0'::xid THEN rt_private.stat_room_holder(r.ctid) END;
COMMENT ON VIEW rt.stat_rooms IS 'rooms, with the number of sockets that have joined';
COMMENT ON COLUMN rt.stat_rooms.room_id IS 'the room';
COMMENT ON COLUMN rt.stat_rooms.name IS 'name; null for a direct room';
COMMENT ON COLUMN rt.stat_rooms.kind IS 'direct or group';
COMMENT ON COLUMN rt.stat_rooms.last_seq IS 'number of the last message';
COMMENT ON COLUMN rt.stat_rooms.members IS 'number of members';
COMMENT ON COLUMN rt.stat_rooms.joined IS 'number of sockets that have joined; each gateway reports at most 1,000 rooms';
COMMENT ON COLUMN rt.stat_rooms.holder_pid IS 'process id of the session whose open transaction keeps others from sending to the room; null: none, or a prepared transaction';
COMMENT ON COLUMN rt.stat_rooms.holder_query IS 'last statement of that session; PREPARE TRANSACTION with its identifier for a prepared transaction';
COMMENT ON COLUMN rt.stat_rooms.holder_since IS 'when its transaction began, or was prepared';

REVOKE ALL ON FUNCTION rt_private.stat_room_holder(tid), rt_private.stat_writers(), rt_private.room_holders(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rt_private.since_reset(rt_private.gateways, text), rt_private.stat_room_holder(tid), rt_private.stat_writers() TO pg_monitor;
GRANT SELECT ON rt.stat_gateway, rt.stat_connections, rt.stat_rooms TO pg_monitor;
