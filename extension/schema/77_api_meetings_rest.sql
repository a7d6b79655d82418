-- Meetings by REST.  Shapes are at the top of 74_api_meetings.sql.  There is no socket here: the caller is the owner, or
-- somebody who has access.

CREATE FUNCTION rt_private.meeting_find(req jsonb) RETURNS rt.meetings
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = rt_private.req_id(req, 'meetingId');
	IF NOT FOUND THEN
		RAISE EXCEPTION 'meeting not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_find(jsonb) IS 'the meeting that a request names';

CREATE FUNCTION rt_private.meeting_visible(actor text, req jsonb) RETURNS rt.meetings
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_find(req);
BEGIN
	PERFORM rt_private.check_known(actor);
	IF NOT rt_private.meeting_may_see(m, actor) THEN
		RAISE EXCEPTION 'access denied' USING ERRCODE = 'RT403';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_visible(text, jsonb) IS 'the meeting that a request names, if the caller may see it';

CREATE FUNCTION rt_private.meeting_managed(actor text, req jsonb) RETURNS rt.meetings
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_lock(rt_private.req_id(req, 'meetingId'));
BEGIN
	IF NOT rt_private.meeting_user_may(m, actor, 'end') THEN
		RAISE EXCEPTION 'only a host may do that' USING ERRCODE = 'RT403';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_managed(text, jsonb) IS 'locks and returns the meeting that a request names, if the caller is a host';

CREATE FUNCTION rt_private.meeting_answer(meeting_id bigint, status integer DEFAULT 200) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = meeting_answer.meeting_id;
	RETURN json_build_object('status', meeting_answer.status, 'data', rt_private.meeting_json(m));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_answer(bigint, integer) IS 'a REST answer that is a meeting';

CREATE FUNCTION rt_private.req_timestamp(req jsonb, key text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value text := rt_private.req_text_opt(req, key);
BEGIN
	-- ISO 8601 with a zone; anything looser would depend on the session's settings, as backslashes here would.
	IF value IS NULL THEN
		RETURN NULL;
	ELSIF value !~ '^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})$' THEN
		RAISE EXCEPTION '% must be a time, as 2026-11-22T10:30:00.000Z', key USING ERRCODE = 'RT400';
	END IF;
	RETURN value::timestamptz;
END
$$;
COMMENT ON FUNCTION rt_private.req_timestamp(jsonb, text) IS 'a time in a request, or null';

CREATE FUNCTION rt_private.req_capacity(req jsonb) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value jsonb := nullif(req -> 'maxParticipants', 'null');
BEGIN
	IF value IS NULL THEN
		RETURN NULL;
	ELSIF jsonb_typeof(value) <> 'number' OR value::text !~ '^[0-9]{1,5}$' OR value::integer NOT BETWEEN 1 AND 10000 THEN
		RAISE EXCEPTION 'maxParticipants must be a whole number from 1 to 10000' USING ERRCODE = 'RT400';
	END IF;
	RETURN value::integer;
END
$$;
COMMENT ON FUNCTION rt_private.req_capacity(jsonb) IS 'maxParticipants in a request, or null';

CREATE FUNCTION rt_private.req_title(req jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	title text := btrim(rt_private.req_text(req, 'title'));
BEGIN
	IF char_length(title) NOT BETWEEN 1 AND 200 THEN
		RAISE EXCEPTION 'title must have 1 to 200 characters' USING ERRCODE = 'RT400';
	END IF;
	RETURN title;
END
$$;
COMMENT ON FUNCTION rt_private.req_title(jsonb) IS 'the title in a request';

CREATE FUNCTION rt_private.req_users(req jsonb, key text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value jsonb := nullif(req -> key, 'null');
BEGIN
	IF value IS NULL THEN
		RETURN '{}';
	ELSIF jsonb_typeof(value) <> 'array' OR jsonb_array_length(value) > 1000
		OR EXISTS (SELECT FROM jsonb_array_elements(value) AS e WHERE jsonb_typeof(e) NOT IN ('string', 'number'))
	THEN
		RAISE EXCEPTION '% must be a list of up to 1000 user ids', key USING ERRCODE = 'RT400';
	END IF;
	RETURN ARRAY(SELECT jsonb_array_elements_text(value));
END
$$;
COMMENT ON FUNCTION rt_private.req_users(jsonb, text) IS 'reads a list of user ids from a request; empty if missing';

-- ---- meetings -----------------------------------------------------------------------------------------------

CREATE FUNCTION rt_api.meetings_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	page integer := rt_private.req_limit(req, 50, 200);
	before bigint := coalesce(rt_private.req_id_opt(req, 'cursor'), rt_private.req_id_opt(req, 'before'));
	wanted text := rt_private.req_choice(req, 'status', ARRAY['scheduled', 'live', 'ended', 'all'], 'all');
	rows json[];
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT array_agg(rt_private.meeting_json(m) ORDER BY m.id DESC) INTO rows
	FROM (
		SELECT t.*
		FROM rt.meetings AS t
		WHERE t.id IN (
				SELECT h.id FROM rt.meetings AS h WHERE h.host_id = meetings_list.actor
				UNION SELECT i.meeting_id FROM rt.meeting_invitees AS i WHERE i.user_id = meetings_list.actor
				UNION SELECT p.meeting_id FROM rt.meeting_participants AS p WHERE p.user_id = meetings_list.actor
				UNION SELECT r.id FROM rt.room_members AS o
					JOIN rt.meetings AS r ON r.room_id = o.room_id AND r.access = 'room'
					WHERE o.user_id = meetings_list.actor)
			AND (wanted = 'all' OR t.status = wanted)
			AND (before IS NULL OR t.id < before)
			AND NOT rt_private.meeting_banned(t.id, meetings_list.actor)
		ORDER BY t.id DESC LIMIT page + 1) AS m;
	RETURN json_build_object('status', 200, 'data', coalesce(array_to_json(rows[1:page]), '[]'),
		'count', coalesce(cardinality(rows[1:page]), 0), 'hasMore', coalesce(cardinality(rows) > page, false),
		'nextCursor', CASE WHEN cardinality(rows) > page THEN rows[page] ->> 'id' END);
END
$$;
COMMENT ON FUNCTION rt_api.meetings_list(text, jsonb) IS 'GET /api/meetings: the caller''s own, newest first';

CREATE FUNCTION rt_api.meeting_create(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	meeting bigint;
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.meeting_act(actor, '{}');
	meeting := rt.create_meeting(rt_private.req_title(req), actor, rt_private.req_password(req),
		rt_private.req_capacity(req), rt_private.req_timestamp(req, 'startsAt'), rt_private.req_id_opt(req, 'roomId'),
		rt_private.req_users(req, 'inviteeIds'),
		CASE WHEN nullif(req -> 'access', 'null') IS NOT NULL
			THEN rt_private.req_choice(req, 'access', ARRAY['invited', 'room', 'anyone']) END,
		rt_private.req_bool(req, 'guests', false), rt_private.req_bool(req, 'lobby', false));
	RETURN rt_private.meeting_answer(meeting, 201);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_create(text, jsonb) IS 'POST /api/meetings';

CREATE FUNCTION rt_api.meeting_get(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_visible(actor, req);
BEGIN
	RETURN rt_private.meeting_answer(m.id);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_get(text, jsonb) IS 'GET /api/meetings/:id';

CREATE FUNCTION rt_private.meeting_change(m rt.meetings, actor text, req jsonb) RETURNS rt.meetings
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF req ? 'title' THEN
		m.title := rt_private.req_title(req);
	END IF;
	IF req ? 'password' OR req ? 'meeting_password' THEN
		m.password_hash := rt_private.meeting_hash(rt_private.req_password(req));
	END IF;
	IF req ? 'maxParticipants' THEN
		m.max_participants := coalesce(rt_private.req_capacity(req), 1000);
	END IF;
	IF req ? 'startsAt' THEN
		m.starts_at := rt_private.req_timestamp(req, 'startsAt');
	END IF;
	IF req ? 'locked' THEN
		m.locked := rt_private.req_bool(req, 'locked');
	END IF;
	IF req ? 'roomId' THEN
		m.room_id := rt_private.req_id_opt(req, 'roomId');
		IF m.room_id IS NOT NULL AND NOT EXISTS (
			SELECT FROM rt.room_members AS r WHERE r.room_id = m.room_id AND r.user_id = actor)
		THEN
			RAISE EXCEPTION 'room not found' USING ERRCODE = 'RT404';
		END IF;
	END IF;
	IF req ? 'access' THEN
		m.access := rt_private.req_choice(req, 'access', ARRAY['invited', 'room', 'anyone']);
		m.guests := m.guests AND m.access = 'anyone';
	END IF;
	IF req ? 'guests' THEN
		m.guests := rt_private.req_bool(req, 'guests');
	END IF;
	IF req ? 'lobby' THEN
		m.lobby := rt_private.req_bool(req, 'lobby');
	END IF;
	IF m.guests AND m.access <> 'anyone' THEN
		RAISE EXCEPTION 'guests need access for anyone' USING ERRCODE = 'RT400';
	END IF;
	IF (req ? 'access' OR req ? 'roomId') AND m.access = 'room' AND m.room_id IS NULL THEN
		RAISE EXCEPTION 'access for a room''s members needs a room' USING ERRCODE = 'RT400';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_change(rt.meetings, text, jsonb) IS 'applies a request to a meeting';

CREATE FUNCTION rt_api.meeting_update(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	PERFORM rt_private.meeting_act(actor, '{}');
	m := rt_private.meeting_managed(actor, req);
	IF m.status = 'ended' THEN
		RAISE EXCEPTION 'meeting has ended' USING ERRCODE = 'RT410';
	END IF;
	m := rt_private.meeting_change(m, actor, req);
	UPDATE rt.meetings AS t
	SET title = m.title, password_hash = m.password_hash, max_participants = m.max_participants, starts_at = m.starts_at,
		locked = m.locked, room_id = m.room_id, access = m.access, guests = m.guests, lobby = m.lobby
	WHERE t.id = m.id;
	PERFORM rt_private.meeting_invite(m.id, rt_private.req_users(req, 'inviteeIds'));
	RETURN rt_private.meeting_answer(m.id);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_update(text, jsonb) IS 'PATCH /api/meetings/:id';

CREATE FUNCTION rt_api.meeting_delete(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	PERFORM rt_private.meeting_act(actor, '{}');
	m := rt_private.meeting_managed(actor, req);
	DELETE FROM rt.meetings AS t WHERE t.id = m.id;
	RETURN json_build_object('status', 200, 'data', json_build_object('id', m.id::text, 'deleted', true));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_delete(text, jsonb) IS 'DELETE /api/meetings/:id';

CREATE FUNCTION rt_api.meeting_start(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	PERFORM rt_private.meeting_act(actor, '{}');
	m := rt_private.meeting_managed(actor, req);
	PERFORM rt.start_meeting(m.id);
	RETURN rt_private.meeting_answer(m.id);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_start(text, jsonb) IS 'POST /api/meetings/:id/start; again is no error';

CREATE FUNCTION rt_api.meeting_end(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	PERFORM rt_private.meeting_act(actor, '{}');
	m := rt_private.meeting_managed(actor, req);
	PERFORM rt.end_meeting(m.id);
	RETURN rt_private.meeting_answer(m.id);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_end(text, jsonb) IS 'POST /api/meetings/:id/end';

CREATE FUNCTION rt_api.meeting_check_join(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_find_open(rt_private.req_id(req, 'meetingId'));
	kept rt.meeting_participants := rt_private.meeting_kept_place(m.id, actor, NULL);
	refusal json;
BEGIN
	IF kept.id IS NULL THEN
		PERFORM rt_private.meeting_check_access(m, actor);
		refusal := rt_private.meeting_password_refusal(m, actor, req);
		IF refusal IS NOT NULL THEN
			RETURN refusal;
		ELSIF NOT rt_private.lobby_passes(m, actor) THEN
			RETURN rt_private.lobby_answer();
		END IF;
		PERFORM rt_private.meeting_check_capacity(m);
	END IF;
	RETURN json_build_object('status', 200, 'data', json_build_object('meeting', rt_private.meeting_json(m),
		'canJoin', true, 'role', rt_private.meeting_role_for(m, actor)));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_check_join(text, jsonb) IS 'POST /api/meetings/:id/join: what join-meeting would check; joins nothing';

-- ---- what is in them ---------------------------------------------------------------------------------------

CREATE FUNCTION rt_api.meeting_participants(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_visible(actor, req);
	people json := rt_private.participants_json(m.id);
BEGIN
	RETURN json_build_object('status', 200, 'data', people, 'count', json_array_length(people));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_participants(text, jsonb) IS 'GET /api/meetings/:id/participants: who is in it now';

CREATE FUNCTION rt_private.meeting_message_visible(g rt.meeting_messages, actor text, hosts boolean) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN g.recipient_type = 'all'
		OR coalesce(g.sender_id = actor, false)
		OR coalesce(g.recipient_id = actor, false)
		OR (g.recipient_type = 'host' AND hosts);
END
$$;
COMMENT ON FUNCTION rt_private.meeting_message_visible(rt.meeting_messages, text, boolean)
	IS 'may be read by a user; hosts: they are, or were, a host or co-host';

CREATE FUNCTION rt_private.meeting_is_host(meeting_id bigint, user_id text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM rt.meetings AS m
			WHERE m.id = meeting_is_host.meeting_id AND m.host_id = meeting_is_host.user_id)
		OR EXISTS (SELECT FROM rt.meeting_participants AS p
			WHERE p.meeting_id = meeting_is_host.meeting_id AND p.user_id = meeting_is_host.user_id
				AND p.role IN ('host', 'co-host'))
$$;
COMMENT ON FUNCTION rt_private.meeting_is_host(bigint, text) IS 'whether a user is, or was, host or co-host';

CREATE FUNCTION rt_private.meeting_was_in(meeting_id bigint, user_id text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM rt.meeting_participants AS p
		WHERE p.meeting_id = meeting_was_in.meeting_id AND p.user_id = meeting_was_in.user_id)
$$;
COMMENT ON FUNCTION rt_private.meeting_was_in(bigint, text) IS 'whether a user is, or was, in a meeting';

CREATE FUNCTION rt_api.meeting_messages(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_visible(actor, req);
	page integer := rt_private.req_limit(req, 100, 200);
	before bigint := rt_private.req_id_opt(req, 'before');
	hosts boolean := rt_private.meeting_is_host(m.id, actor);
	rows json[];
	n integer;
BEGIN
	IF NOT hosts AND NOT rt_private.meeting_was_in(m.id, actor) THEN
		RAISE EXCEPTION 'you are not in the meeting' USING ERRCODE = 'RT403';
	END IF;
	SELECT coalesce(array_agg(rt_private.meeting_message_json(g) ORDER BY g.id DESC), '{}') INTO rows
	FROM (
		SELECT t.*
		FROM rt.meeting_messages AS t
		WHERE t.meeting_id = m.id AND (before IS NULL OR t.id < before)
			AND rt_private.meeting_message_visible(t, meeting_messages.actor, hosts)
		ORDER BY t.id DESC LIMIT page + 1) AS g;
	n := least(cardinality(rows), page);
	RETURN json_build_object('status', 200,
		'data', (SELECT coalesce(json_agg(rows[i] ORDER BY i DESC), '[]') FROM generate_series(1, n) AS i),
		'count', n, 'hasMore', cardinality(rows) > page);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_messages(text, jsonb) IS 'GET /api/meetings/:id/messages: the latest page, or the one before a message, rising';

CREATE FUNCTION rt_api.meeting_webrtc_config(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_visible(actor, req);
	router text;
BEGIN
	SELECT r.id INTO router FROM rt_private.media_routers AS r WHERE r.meeting_id = m.id;
	RETURN json_build_object('status', 200, 'data', rt_private.webrtc_config(actor, router));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_webrtc_config(text, jsonb) IS 'GET /api/meetings/:id/webrtc-config';

CREATE FUNCTION rt_api.meeting_recordings(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_visible(actor, req);
	found_rows json;
BEGIN
	SELECT coalesce(json_agg(json_build_object('id', r.id::text, 'meetingId', r.meeting_id::text,
		'startedBy', r.started_by, 'startedAt', rt_private.iso(r.started_at), 'stoppedBy', r.stopped_by,
		'stoppedAt', rt_private.iso(r.stopped_at), 'location', r.location) ORDER BY r.id), '[]') INTO found_rows
	FROM rt.meeting_recordings AS r
	WHERE r.meeting_id = m.id;
	RETURN json_build_object('status', 200, 'data', found_rows, 'count', json_array_length(found_rows));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_recordings(text, jsonb) IS 'GET /api/meetings/:id/recordings';
