-- Meetings: what a client in one does, and what hosts do.  Shapes are at the top of 74_api_meetings.sql; who may do what
-- is in rt_private.meeting_permissions().

-- ---- in the meeting -----------------------------------------------------------------------------------------

CREATE FUNCTION rt_api.meeting_media(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	PERFORM rt_private.soft_commit();
	p := rt_private.meeting_member(actor, req, NULL);
	UPDATE rt.meeting_participants AS t
	SET video = rt_private.req_bool(req, 'video'), audio = rt_private.req_bool(req, 'audio'),
		screen_sharing = rt_private.req_bool(req, 'screenSharing')
	WHERE t.id = p.id
	RETURNING t.* INTO p;
	RETURN rt_private.media_updated_json(p);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_media(text, jsonb) IS 'media-status-update';

-- A participant's id, or a user's; the user's then reaches all of their devices.
CREATE FUNCTION rt_private.meeting_recipient(meeting_id bigint, recipient text) RETURNS rt.meeting_participants
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	SELECT t.* INTO p
	FROM rt.meeting_participants AS t
	WHERE t.meeting_id = meeting_recipient.meeting_id AND t.id::text = recipient AND t.left_at IS NULL;
	IF NOT FOUND THEN
		SELECT t.* INTO p
		FROM rt.meeting_participants AS t
		WHERE t.meeting_id = meeting_recipient.meeting_id AND t.user_id = recipient AND t.left_at IS NULL
		ORDER BY t.id LIMIT 1;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'recipient not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN p;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_recipient(bigint, text) IS 'the recipient of a private message';

CREATE FUNCTION rt_api.meeting_say(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	kind text := rt_private.req_choice(req, 'recipientType', ARRAY['all', 'private', 'host'], 'all');
	said text;
	recipient rt.meeting_participants;
	m rt.meeting_messages;
BEGIN
	IF NOT req ? 'meetingId' AND req ? 'roomId' THEN
		RAISE EXCEPTION 'meetingId is missing: send-message is for meetings; send messages of a room with POST /api/chat/rooms/:roomId/msgs'
			USING ERRCODE = 'RT400';
	END IF;
	said := rt_private.req_text(req, 'message');
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'chat');
	IF kind = 'private' THEN
		recipient := rt_private.meeting_recipient(p.meeting_id, rt_private.req_name(req, 'recipientId'));
	END IF;
	INSERT INTO rt.meeting_messages (meeting_id, sender_id, sender_participant_id, sender_name, message, recipient_type,
		recipient_id, recipient_participant_id)
	VALUES (p.meeting_id, actor, p.id, p.display_name, said, kind, recipient.user_id, recipient.id)
	RETURNING * INTO m;
	RETURN json_build_object('meetingId', p.meeting_id::text, 'message', rt_private.meeting_message_json(m));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_say(text, jsonb) IS 'send-message';

CREATE FUNCTION rt_api.meeting_typing(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	payload json;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'chat', false);
	payload := json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
		'userName', p.display_name, 'typing', rt_private.req_bool(req, 'typing'));
	PERFORM rt_private.meeting_emit('user-typing', p.meeting_id, payload, except_socket => p.socket_id, logged => false);
	RETURN payload;
END
$$;
COMMENT ON FUNCTION rt_api.meeting_typing(text, jsonb) IS 'typing in a meeting';

CREATE FUNCTION rt_api.meeting_react(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	reaction text := rt_private.req_text(req, 'reaction');
	payload json;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'react', false);
	IF char_length(reaction) NOT BETWEEN 1 AND 64 THEN
		RAISE EXCEPTION 'reaction must have 1 to 64 characters' USING ERRCODE = 'RT400';
	END IF;
	payload := json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
		'userName', p.display_name, 'reaction', reaction, 'timestamp', rt_private.iso(clock_timestamp()));
	PERFORM rt_private.meeting_emit('participant-reaction', p.meeting_id, payload, logged => false);
	RETURN payload;
END
$$;
COMMENT ON FUNCTION rt_api.meeting_react(text, jsonb) IS 'send-reaction';

-- A hand that is up already keeps its place in the order.
CREATE FUNCTION rt_api.meeting_hand(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	PERFORM rt_private.soft_commit();
	p := rt_private.meeting_member(actor, req, 'raise-hand');
	UPDATE rt.meeting_participants AS t
	SET hand_raised_at = CASE WHEN rt_private.req_bool(req, 'raised') THEN coalesce(t.hand_raised_at, clock_timestamp()) END
	WHERE t.id = p.id
	RETURNING t.* INTO p;
	RETURN rt_private.hand_raised_json(p);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_hand(text, jsonb) IS 'raise-hand';

-- ---- hosts ----------------------------------------------------------------------------------------------------

CREATE FUNCTION rt_api.meeting_mute(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target rt.meeting_participants;
	kind text := rt_private.req_choice(req, 'kind', ARRAY['audio', 'video'], 'audio');
	muted boolean := rt_private.req_bool(req, 'mute');
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	target := rt_private.meeting_target(rt_private.meeting_member(actor, req, 'mute'), req);
	PERFORM rt_private.participant_set_muted(target, kind, muted);
	RETURN json_build_object('meetingId', target.meeting_id::text, 'participantId', target.id::text, 'kind', kind,
		'muted', muted);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_mute(text, jsonb) IS 'mute-participant';

CREATE FUNCTION rt_api.meeting_remove(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	target rt.meeting_participants;
	reason text := rt_private.req_text_opt(req, 'reason');
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'remove');
	target := rt_private.meeting_target(p, req);
	IF target.role = 'host' AND p.role <> 'host' THEN
		RAISE EXCEPTION 'a % may not remove a host', p.role USING ERRCODE = 'RT403';
	END IF;
	PERFORM rt_private.participant_remove(target, reason);
	RETURN json_build_object('meetingId', target.meeting_id::text, 'participantId', target.id::text, 'reason', reason);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_remove(text, jsonb) IS 'remove-participant';

CREATE FUNCTION rt_api.meeting_role(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target rt.meeting_participants;
	new_role text := rt_private.req_choice(req, 'role', ARRAY['host', 'co-host', 'participant', 'viewer']);
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	target := rt_private.meeting_target(rt_private.meeting_member(actor, req, 'role'), req);
	IF target.role = 'host' AND new_role <> 'host' AND NOT EXISTS (
		SELECT FROM rt.meeting_participants AS o
		WHERE o.meeting_id = target.meeting_id AND o.left_at IS NULL AND o.role = 'host' AND o.id <> target.id)
	THEN
		RAISE EXCEPTION 'a meeting keeps at least one host' USING ERRCODE = 'RT409';
	END IF;
	UPDATE rt.meeting_participants AS t SET role = new_role WHERE t.id = target.id;
	RETURN json_build_object('meetingId', target.meeting_id::text, 'participantId', target.id::text,
		'userId', target.user_id, 'role', new_role, 'by', actor);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_role(text, jsonb) IS 'update-participant-role';

CREATE FUNCTION rt_private.meeting_ack(meeting_id bigint) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = meeting_ack.meeting_id;
	RETURN json_build_object('meetingId', m.id::text, 'meeting', rt_private.meeting_json(m));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_ack(bigint) IS 'a meeting as it is now, as meeting-updated has it';

CREATE FUNCTION rt_api.meeting_lock(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	lock boolean := rt_private.req_bool(req, 'locked');
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'lock');
	UPDATE rt.meetings AS m SET locked = lock WHERE m.id = p.meeting_id;
	RETURN rt_private.meeting_ack(p.meeting_id);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_lock(text, jsonb) IS 'lock-meeting';

CREATE FUNCTION rt_api.meeting_close(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'end');
	UPDATE rt.meetings AS m SET status = 'ended' WHERE m.id = p.meeting_id;
	RETURN rt_private.meeting_ack(p.meeting_id);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_close(text, jsonb) IS 'end-meeting';

CREATE FUNCTION rt_private.meeting_can_record(meeting_id bigint) RETURNS boolean
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (
		SELECT FROM rt_private.media_routers AS r
		JOIN rt_private.media_workers AS w ON w.id = r.worker
		WHERE r.meeting_id = meeting_can_record.meeting_id AND w.can_record AND rt_private.media_alive(w))
$$;
COMMENT ON FUNCTION rt_private.meeting_can_record(bigint) IS 'whether the meeting''s media worker can record';

CREATE FUNCTION rt_private.meeting_set_recording(p rt.meeting_participants, start boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF start THEN
		INSERT INTO rt.meeting_recordings (meeting_id, started_by) VALUES (p.meeting_id, p.user_id)
		ON CONFLICT DO NOTHING;
	ELSE
		UPDATE rt.meeting_recordings AS r
		SET stopped_at = clock_timestamp(), stopped_by = p.user_id
		WHERE r.meeting_id = p.meeting_id AND r.stopped_at IS NULL;
	END IF;
	IF FOUND THEN
		PERFORM rt_private.media_command(r.worker, 'record', r.meeting_id,
			jsonb_build_object('routerId', r.id, 'recording', start))
		FROM rt_private.media_routers AS r
		WHERE r.meeting_id = p.meeting_id;
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_set_recording(rt.meeting_participants, boolean) IS 'starts or stops a recording; again is no error';

CREATE FUNCTION rt_api.meeting_record(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	start boolean := rt_private.req_bool(req, 'start');
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'record');
	IF NOT rt_private.meeting_can_record(p.meeting_id) THEN
		RAISE EXCEPTION 'recording is not available on this server' USING ERRCODE = 'RT503';
	END IF;
	PERFORM rt_private.meeting_set_recording(p, start);
	RETURN json_build_object('meetingId', p.meeting_id::text, 'recording', start, 'startedBy', (
		SELECT r.started_by FROM rt.meeting_recordings AS r WHERE r.meeting_id = p.meeting_id ORDER BY r.id DESC LIMIT 1));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_record(text, jsonb) IS 'toggle-recording';
