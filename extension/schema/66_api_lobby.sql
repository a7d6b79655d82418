-- The API of the gateways: the lobby of a meeting.  As in 74_api_meetings.sql.
--
--   admit-participant    meeting_admit    {meetingId, waitingId: id or "all"} -> {meetingId, waitingId, count}
--   refuse-participant   meeting_refuse   the same

CREATE FUNCTION rt_private.lobby_request(actor text, req jsonb, decision text) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	waiting bigint := CASE WHEN req ->> 'waitingId' = 'all' THEN NULL ELSE rt_private.req_id(req, 'waitingId') END;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'remove');
	RETURN json_build_object('meetingId', p.meeting_id::text, 'waitingId', coalesce(waiting::text, 'all'),
		'count', rt_private.lobby_decide(p.meeting_id, waiting, decision));
END
$$;
COMMENT ON FUNCTION rt_private.lobby_request(text, jsonb, text) IS 'a host''s or co-host''s decision on waiting users';

CREATE FUNCTION rt_api.meeting_admit(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN rt_private.lobby_request(actor, req, 'admitted');
END
$$;
COMMENT ON FUNCTION rt_api.meeting_admit(text, jsonb) IS 'admit-participant';

CREATE FUNCTION rt_api.meeting_refuse(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN rt_private.lobby_request(actor, req, 'refused');
END
$$;
COMMENT ON FUNCTION rt_api.meeting_refuse(text, jsonb) IS 'refuse-participant';
