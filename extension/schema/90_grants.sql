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
			AND p.proname NOT IN ('media_start', 'media_stop', 'media_heartbeat', 'media_fetch', 'media_answer', 'media_event')
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
	rt_private.is_room_admin(bigint, text) TO rt_app;
-- what SECURITY INVOKER triggers and functions need
GRANT EXECUTE ON FUNCTION rt_private.max_message_size(), rt_private.message_fault(text, jsonb, text), rt_private.trusted(), rt_private.caller() TO rt_app;

GRANT SELECT (id, username, name, created_at), UPDATE (name) ON rt.users TO rt_app;
GRANT SELECT (id, name, kind, created_by, created_at, last_seq), UPDATE (name), DELETE ON rt.rooms TO rt_app;
GRANT SELECT, INSERT (room_id, user_id, role), DELETE, UPDATE (role) ON rt.room_members TO rt_app;
GRANT SELECT, INSERT (room_id, sender_id, content, message_type, metadata, reply_to, client_id),
	UPDATE (content, metadata, deleted_at), DELETE ON rt.messages TO rt_app;
GRANT SELECT, INSERT (room_id, seq, user_id, emoji), DELETE ON rt.reactions TO rt_app;
GRANT SELECT, INSERT, UPDATE ON rt.receipts TO rt_app;
GRANT SELECT (user_id, status, status_message, last_seen), UPDATE (status, status_message) ON rt.presence TO rt_app;
GRANT EXECUTE ON FUNCTION rt.create_room(text, text[]), rt.create_direct_room(text, text),
	rt.send_message(bigint, text, text, text, jsonb, bigint, text), rt.mark_seen(bigint, text, bigint[]),
	rt.mark_delivered(bigint, text, bigint[]), rt.set_status(text, text, text), rt.broadcast(bigint, text, jsonb) TO rt_app;

ALTER TABLE rt.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.rooms ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.room_members ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.reactions ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.presence ENABLE ROW LEVEL SECURITY;

-- The directory is open to whoever is a user, as GET /api/users is.
CREATE POLICY users_read ON rt.users FOR SELECT TO rt_app USING (rt_private.actor() IS NOT NULL);
CREATE POLICY users_change ON rt.users FOR UPDATE TO rt_app USING (id = rt_private.actor());

CREATE POLICY rooms_read ON rt.rooms FOR SELECT TO rt_app USING (id = ANY ((SELECT rt_private.own_rooms())::bigint[]));
CREATE POLICY rooms_change ON rt.rooms FOR UPDATE TO rt_app USING (rt_private.is_room_admin(id, rt_private.actor()));
CREATE POLICY rooms_delete ON rt.rooms FOR DELETE TO rt_app USING (rt_private.is_room_admin(id, rt_private.actor()));

CREATE POLICY members_read ON rt.room_members FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[]));
CREATE POLICY members_add ON rt.room_members FOR INSERT TO rt_app
	WITH CHECK (rt_private.is_room_admin(room_id, rt_private.actor()));
CREATE POLICY members_change ON rt.room_members FOR UPDATE TO rt_app
	USING (rt_private.is_room_admin(room_id, rt_private.actor()));
CREATE POLICY members_remove ON rt.room_members FOR DELETE TO rt_app
	USING (user_id = rt_private.actor() OR rt_private.is_room_admin(room_id, rt_private.actor()));

CREATE POLICY messages_read ON rt.messages FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[]));
CREATE POLICY messages_send ON rt.messages FOR INSERT TO rt_app
	WITH CHECK (sender_id = rt_private.actor() AND rt_private.is_member(room_id, rt_private.actor()));
CREATE POLICY messages_change ON rt.messages FOR UPDATE TO rt_app
	USING (sender_id = rt_private.actor() AND rt_private.is_member(room_id, rt_private.actor()));
CREATE POLICY messages_delete ON rt.messages FOR DELETE TO rt_app
	USING ((sender_id = rt_private.actor() AND rt_private.is_member(room_id, rt_private.actor()))
		OR rt_private.is_room_admin(room_id, rt_private.actor()));

CREATE POLICY reactions_read ON rt.reactions FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[]));
CREATE POLICY reactions_add ON rt.reactions FOR INSERT TO rt_app
	WITH CHECK (user_id = rt_private.actor() AND rt_private.is_member(room_id, rt_private.actor()));
CREATE POLICY reactions_remove ON rt.reactions FOR DELETE TO rt_app
	USING (user_id = rt_private.actor() AND rt_private.is_member(room_id, rt_private.actor()));

-- Who shares a room sees who is there.
-- A statement asks once: a set that the policy's subquery hashes.
CREATE FUNCTION rt_private.own_contacts() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.actor()
	UNION
	SELECT m.user_id FROM rt.room_members AS m WHERE m.room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
$$;
COMMENT ON FUNCTION rt_private.own_contacts() IS 'the acting user, and all who share a room with it';
REVOKE ALL ON FUNCTION rt_private.own_contacts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rt_private.own_contacts() TO rt_app;
CREATE POLICY presence_read ON rt.presence FOR SELECT TO rt_app USING (user_id IN (SELECT rt_private.own_contacts()));
CREATE POLICY presence_change ON rt.presence FOR UPDATE TO rt_app USING (user_id = rt_private.actor());

-- ---- monitoring --------------------------------------------------------------------

CREATE FUNCTION rt_private.since_reset(g rt_private.gateways, counter text) RETURNS bigint
LANGUAGE sql STABLE AS $$
	SELECT (g.stats OPERATOR(pg_catalog.->>) counter)::pg_catalog.int8
		OPERATOR(pg_catalog.-) coalesce((g.stats_before OPERATOR(pg_catalog.->>) counter)::pg_catalog.int8, 0)
$$;
COMMENT ON FUNCTION rt_private.since_reset(rt_private.gateways, text) IS 'what a gateway has counted since rt.reset_stats()';
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
		rt_private.since_reset(g, 'dbCalls') AS db_calls, (g.stats ->> 'dbWaiting')::bigint AS db_waiting, g.stats_reset
	FROM rt_private.gateways AS g;
COMMENT ON VIEW rt.stat_gateway IS 'gateways that run, with the figures of their last report, which comes each second';

CREATE VIEW rt.stat_connections AS
	SELECT c.sid, c.user_id, c.peer, c.transport, c.gateway, c.connected_at,
		(SELECT cardinality(s.joined) FROM rt_private.sessions AS s WHERE s.sid = c.sid LIMIT 1) AS rooms,
		c.queued_bytes, c.latency
	FROM rt_private.connections AS c;
COMMENT ON VIEW rt.stat_connections IS
	'sockets that are connected; the last two columns, and an upgraded transport, as of the gateway''s last report';

CREATE VIEW rt.stat_rooms AS
	SELECT r.id AS room_id, r.name, r.kind, r.last_seq,
		(SELECT count(*) FROM rt.room_members AS m WHERE m.room_id = r.id) AS members,
		coalesce(j.joined, 0) AS joined
	FROM rt.rooms AS r
	LEFT JOIN (SELECT (t ->> 'roomId')::bigint AS room_id, sum((t ->> 'joined')::bigint) AS joined
		FROM rt_private.gateways AS g, jsonb_array_elements(g.rooms) AS t GROUP BY 1) AS j ON j.room_id = r.id;
COMMENT ON VIEW rt.stat_rooms IS 'rooms, and how many sockets have joined each';

GRANT EXECUTE ON FUNCTION rt_private.since_reset(rt_private.gateways, text) TO pg_monitor;
GRANT SELECT ON rt.stat_gateway, rt.stat_connections, rt.stat_rooms TO pg_monitor;
