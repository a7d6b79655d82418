-- For administrators (rt.users.is_admin): live figures by REST, and the two things that somebody who watches needs to do.

CREATE FUNCTION rt_private.needs_second_factor(actor text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(current_setting('rt.require_2fa', true)::boolean, false) AND NOT rt_private.needs_code(actor)
$$;
COMMENT ON FUNCTION rt_private.needs_second_factor(text) IS 'whether a user has no second factor where administrators must have one';

-- mayAdminister is the gateway's: false where the token is of an issuer that has no admin_claim.  A provider speaks for its users, and
-- not for whoever has the same id and administers.
CREATE FUNCTION rt_private.is_administrator(actor text, req jsonb) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(req ->> 'mayAdminister', 'true') = 'true' AND NOT rt_private.needs_second_factor(actor)
		AND EXISTS (SELECT FROM rt.users AS u WHERE u.id = actor AND u.is_admin)
$$;
COMMENT ON FUNCTION rt_private.is_administrator(text, jsonb) IS 'whether a request''s user has the rights of an administrator';

CREATE FUNCTION rt_private.check_admin(actor text, req jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = actor AND u.is_admin) THEN
		RAISE EXCEPTION 'only administrators may do that' USING ERRCODE = 'RT403';
	END IF;
	IF NOT coalesce(req ->> 'mayAdminister', 'true') = 'true' THEN
		RAISE EXCEPTION 'the issuer of this token cannot make users administrators' USING ERRCODE = 'RT403',
			HINT = 'Give the issuer an admin_claim, or sign in with a password.';
	ELSIF rt_private.needs_second_factor(actor) THEN
		RAISE EXCEPTION 'administrators need a second factor on this server' USING ERRCODE = 'RT403',
			HINT = 'Turn it on with POST /api/users/me/two-factor.';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.check_admin(text, jsonb) IS 'refuses users who are not administrators';

CREATE FUNCTION rt_private.milliseconds(i interval) RETURNS numeric
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT round((extract(epoch FROM i) * 1000)::numeric, 1)
$$;
COMMENT ON FUNCTION rt_private.milliseconds(interval) IS 'an interval in milliseconds';

-- The rows of rt.stat_*, as they are; of the long lists the first few.
CREATE FUNCTION rt_api.admin_stats(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_admin(actor, req);
	RETURN json_build_object('status', 200, 'data', json_build_object(
		'at', rt_private.iso(clock_timestamp()),
		'relay', (SELECT to_jsonb(s) - 'lag' || jsonb_build_object('lagMs', rt_private.milliseconds(s.lag)) FROM rt.stat_relay AS s),
		'latencyMs', (SELECT rt_private.milliseconds(percentile_cont(0.5) WITHIN GROUP (ORDER BY c.latency)) FROM rt.stat_connections AS c),
		'gateways', (SELECT coalesce(json_agg(g ORDER BY g.slot, g.name), '[]') FROM rt.stat_gateway AS g),
		'programs', (SELECT coalesce(json_agg(p ORDER BY p.kind, p.worker), '[]') FROM rt.stat_programs AS p),
		'workers', (SELECT coalesce(json_agg(w ORDER BY w.slot), '[]') FROM rt.stat_media_workers AS w),
		'media', (SELECT json_build_object('streams', count(*) FILTER (WHERE m.object <> 'transport'),
				'packets', coalesce(sum(m.packets), 0), 'bytes', coalesce(sum(m.bytes), 0),
				'bitrateBps', coalesce(sum(m.bitrate_bps) FILTER (WHERE m.object = 'consumer'), 0))
			FROM rt.stat_media AS m),
		'meetings', (SELECT coalesce(json_agg(m), '[]') FROM (
			SELECT s.meeting_id::text AS "meetingId", s.title, s.participants, s.producers, s.consumers, rt_private.iso(s.started_at) AS "startedAt"
			FROM rt.stat_meetings AS s ORDER BY s.participants DESC, s.meeting_id LIMIT 50) AS m),
		'rooms', (SELECT coalesce(json_agg(r), '[]') FROM (
			SELECT s.room_id::text AS "roomId", s.name, s.kind, s.members, s.joined, s.last_seq AS "lastSeq"
			FROM rt.stat_rooms AS s WHERE s.joined > 0 ORDER BY s.joined DESC, s.room_id LIMIT 20) AS r),
		'connections', (SELECT coalesce(json_agg(c), '[]') FROM (
			SELECT s.user_id AS "userId", count(*) AS sockets, min(s.transport) AS transport, rt_private.iso(min(s.connected_at)) AS since,
				coalesce(sum(s.queued_bytes), 0) AS "queuedBytes", rt_private.milliseconds(max(s.latency)) AS "latencyMs"
			FROM rt.stat_connections AS s GROUP BY s.user_id ORDER BY count(*) DESC, s.user_id LIMIT 100) AS c)));
END
$$;
COMMENT ON FUNCTION rt_api.admin_stats(text, jsonb) IS 'GET /api/admin/stats';

CREATE FUNCTION rt_api.admin_disconnect(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target text := rt_private.req_text(req, 'userId');
BEGIN
	PERFORM rt_private.check_admin(actor, req);
	PERFORM rt_private.check_users(ARRAY[target]);
	PERFORM rt_private.act_as(actor);
	PERFORM rt.disconnect_user(target, 'disconnected by an administrator');
	RETURN json_build_object('status', 200, 'data', json_build_object('userId', target));
END
$$;
COMMENT ON FUNCTION rt_api.admin_disconnect(text, jsonb) IS 'DELETE /api/admin/users/:userId/connections';

CREATE FUNCTION rt_api.admin_end_meeting(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	PERFORM rt_private.check_admin(actor, req);
	PERFORM rt_private.act_as(actor);
	m := rt_private.meeting_lock_open(rt_private.req_id(req, 'meetingId'));
	UPDATE rt.meetings AS t SET status = 'ended' WHERE t.id = m.id;
	RETURN rt_private.meeting_answer(m.id);
END
$$;
COMMENT ON FUNCTION rt_api.admin_end_meeting(text, jsonb) IS 'POST /api/admin/meetings/:meetingId/end';
