-- Meetings: what a change of a row tells the clients.  It is the triggers that speak, so a plain statement in psql
-- and a request of a client are heard alike.
--
-- Two values, local to the transaction, say who acts: rt.user_id, and rt_private.socket_id, the socket that asked
-- (empty for SQL clients), which is left out of what goes to "the others".

-- ---- JSON ---------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_json(m rt.meetings) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object(
		'id', m.id::text, 'title', m.title, 'status', m.status, 'hostId', m.host_id, 'roomId', m.room_id::text,
		'maxParticipants', m.max_participants, 'hasPassword', m.password_hash IS NOT NULL, 'locked', m.locked,
		'recording', m.recording, 'access', m.access, 'guests', m.guests, 'lobby', m.lobby,
		'startsAt', rt_private.iso(m.starts_at), 'startedAt', rt_private.iso(m.started_at),
		'endedAt', rt_private.iso(m.ended_at), 'createdAt', rt_private.iso(m.created_at));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_json(rt.meetings) IS 'a meeting as clients see it';

CREATE FUNCTION rt_private.participant_media_json(p rt.meeting_participants) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('video', p.video AND NOT p.video_muted, 'audio', p.audio AND NOT p.audio_muted,
		'screenSharing', p.screen_sharing);
END
$$;
COMMENT ON FUNCTION rt_private.participant_media_json(rt.meeting_participants) IS 'what a participant sends; what a host has muted is off';

CREATE FUNCTION rt_private.participant_json(p rt.meeting_participants, producers json) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object(
		'meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id, 'userName', p.display_name,
		'guest', p.guest, 'role', p.role, 'media', rt_private.participant_media_json(p),
		'handRaised', p.hand_raised_at IS NOT NULL, 'handRaisedAt', rt_private.iso(p.hand_raised_at),
		'audioMuted', p.audio_muted, 'videoMuted', p.video_muted, 'joinedAt', rt_private.iso(p.joined_at),
		'permissions', rt_private.meeting_permissions(p.role),
		'producers', coalesce(producers, '[]'));
END
$$;
COMMENT ON FUNCTION rt_private.participant_json(rt.meeting_participants, json) IS 'PARTICIPANT of the wire contract';

-- Planning takes several times as long as a small meeting's list, so it is done once.
CREATE FUNCTION rt_private.participants_json(meeting_id bigint) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN (
		SELECT coalesce(json_agg(rt_private.participant_json(p, d.producers) ORDER BY p.id), '[]')
		FROM rt.meeting_participants AS p
		LEFT JOIN (
			SELECT t.participant_id, json_agg(json_build_object('producerId', t.id, 'kind', t.kind, 'source', t.source,
				'paused', t.paused OR t.muted) ORDER BY t.created_at, t.id) AS producers
			FROM rt_private.media_producers AS t
			JOIN rt_private.media_routers AS r ON r.meeting_id = t.meeting_id AND r.worker = t.worker -- not those of its former router
			WHERE t.meeting_id = participants_json.meeting_id
			GROUP BY t.participant_id) AS d ON d.participant_id = p.id
		WHERE p.meeting_id = participants_json.meeting_id AND p.left_at IS NULL);
END
$$;
COMMENT ON FUNCTION rt_private.participants_json(bigint) IS 'the participants of a meeting, including those whose place is kept';

CREATE FUNCTION rt_private.meeting_message_json(m rt.meeting_messages) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object(
		'id', m.id::text, 'senderId', coalesce(m.sender_participant_id::text, m.sender_id),
		'senderUserId', m.sender_id, 'senderName', m.sender_name, 'message', m.message,
		'recipientType', m.recipient_type, 'recipientId', coalesce(m.recipient_participant_id::text, m.recipient_id),
		'recipientUserId', m.recipient_id, 'timestamp', rt_private.iso(m.created_at));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_message_json(rt.meeting_messages) IS 'the message of new-message';

-- ---- emitting -------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_socket() RETURNS text
LANGUAGE sql STABLE
	RETURN nullif(pg_catalog.current_setting('rt_private.socket_id', true), '');
COMMENT ON FUNCTION rt_private.meeting_socket() IS 'the socket whose request this transaction carries out; null for SQL clients';

-- Participants and the private mark go into the route, see docs/protocols.md.
CREATE FUNCTION rt_private.meeting_emit(event text, meeting_id bigint, payload json, except_socket text DEFAULT NULL,
	participants bigint[] DEFAULT NULL, private boolean DEFAULT false, logged boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit(meeting_emit.event,
		json_strip_nulls(json_build_object('meeting', meeting_emit.meeting_id::text,
			'participants', array_to_json(meeting_emit.participants::text[]),
			'except', meeting_emit.except_socket,
			'private', nullif(meeting_emit.private, false))),
		meeting_emit.payload, meeting_emit.logged);
END
$$;
COMMENT ON FUNCTION rt_private.meeting_emit(text, bigint, json, text, bigint[], boolean, boolean)
	IS 'emits an event to the sockets in a meeting, or to some participants alone';

CREATE FUNCTION rt_private.meeting_emit_member(p rt.meeting_participants, socket_id text, member boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit('rt:meeting-member', '{"gateway":true}'::json,
		json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
			'sid', meeting_emit_member.socket_id, 'gateway', p.gateway, 'member', meeting_emit_member.member), true);
END
$$;
COMMENT ON FUNCTION rt_private.meeting_emit_member(rt.meeting_participants, text, boolean)
	IS 'tells the gateways that a socket has joined or left a meeting';

-- ---- meetings ----------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meetings_before() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		IF NEW.host_id IS NULL THEN
			RAISE EXCEPTION 'a meeting needs a host' USING ERRCODE = 'RT400',
				HINT = 'Give host_id, or SET rt.user_id.';
		END IF;
	ELSIF OLD.status = 'ended' AND NEW.status <> 'ended' THEN
		RAISE EXCEPTION 'meeting has ended' USING ERRCODE = 'RT410';
	ELSIF OLD.status = 'live' AND NEW.status = 'scheduled' THEN
		RAISE EXCEPTION 'meeting is already live' USING ERRCODE = 'RT409';
	END IF;
	IF NEW.status = 'live' THEN
		NEW.started_at := coalesce(NEW.started_at, clock_timestamp());
		NEW.started_by := coalesce(NEW.started_by, rt_private.actor());
	ELSIF NEW.status = 'ended' THEN
		NEW.ended_at := coalesce(NEW.ended_at, clock_timestamp());
		NEW.ended_by := coalesce(NEW.ended_by, rt_private.actor());
		NEW.recording := false;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.meetings_before() IS 'enforces a meeting''s lifecycle: forward only';

CREATE FUNCTION rt_private.meeting_put_all_out(m rt.meetings) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.media_close_meeting(m.id);
	UPDATE rt.meeting_participants AS p
	SET left_at = clock_timestamp(), left_reason = 'ended'
	WHERE p.meeting_id = m.id AND p.left_at IS NULL;
	PERFORM rt_private.meeting_emit('meeting-ended', m.id,
		json_build_object('meetingId', m.id::text, 'meeting', rt_private.meeting_json(m)));
	PERFORM rt_private.emit('rt:meeting-closed', '{"gateway":true}'::json,
		json_build_object('meetingId', m.id::text), true);
	PERFORM rt_private.lobby_end(m);
END
$$;
COMMENT ON FUNCTION rt_private.meeting_put_all_out(rt.meetings) IS 'removes everybody and all media from a meeting that ends';

CREATE FUNCTION rt_private.meetings_after_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.status = 'ended' THEN
		IF OLD.status <> 'ended' THEN
			UPDATE rt.meeting_recordings AS r
			SET stopped_at = clock_timestamp(), stopped_by = NEW.ended_by
			WHERE r.meeting_id = NEW.id AND r.stopped_at IS NULL;
			PERFORM rt_private.meeting_put_all_out(NEW);
		END IF;
	ELSIF rt_private.meeting_json(OLD)::text <> rt_private.meeting_json(NEW)::text THEN
		PERFORM rt_private.meeting_emit('meeting-updated', NEW.id,
			json_build_object('meetingId', NEW.id::text, 'meeting', rt_private.meeting_json(NEW)));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.meetings_after_update() IS 'emits meeting-updated and meeting-ended';

CREATE FUNCTION rt_private.meetings_before_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := OLD;
BEGIN
	IF m.status <> 'ended' THEN
		m.status := 'ended';
		m.ended_at := clock_timestamp();
		m.ended_by := rt_private.actor();
		PERFORM rt_private.meeting_put_all_out(m);
	END IF;
	RETURN OLD;
END
$$;
COMMENT ON FUNCTION rt_private.meetings_before_delete() IS 'ends a meeting before it is deleted';

CREATE TRIGGER meetings_before BEFORE INSERT OR UPDATE ON rt.meetings
	FOR EACH ROW EXECUTE FUNCTION rt_private.meetings_before();
COMMENT ON TRIGGER meetings_before ON rt.meetings IS 'enforces a meeting''s lifecycle: forward only';
CREATE TRIGGER meetings_after_update AFTER UPDATE ON rt.meetings
	FOR EACH ROW EXECUTE FUNCTION rt_private.meetings_after_update();
COMMENT ON TRIGGER meetings_after_update ON rt.meetings IS 'emits meeting-updated and meeting-ended';
CREATE TRIGGER meetings_before_delete BEFORE DELETE ON rt.meetings
	FOR EACH ROW EXECUTE FUNCTION rt_private.meetings_before_delete();
COMMENT ON TRIGGER meetings_before_delete ON rt.meetings IS 'ends a meeting before it is deleted';

-- ---- invitees ---------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_invitees_after_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM rt.meeting_bans AS b
	WHERE b.meeting_id = NEW.meeting_id AND b.user_id = NEW.user_id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_invitees_after_insert() IS 'an invitation lifts a ban';

CREATE TRIGGER meeting_invitees_after_insert AFTER INSERT ON rt.meeting_invitees
	FOR EACH ROW EXECUTE FUNCTION rt_private.meeting_invitees_after_insert();
COMMENT ON TRIGGER meeting_invitees_after_insert ON rt.meeting_invitees IS 'an invitation lifts a ban';

-- ---- participants -----------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.participants_before() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		NEW.display_name := coalesce(NEW.display_name, rt_private.user_name(NEW.user_id));
		NEW.guest := rt_private.is_guest(NEW.user_id);
	ELSIF OLD.left_at IS NOT NULL AND NEW.left_at IS NULL THEN
		RAISE EXCEPTION 'a participant who has left the meeting must join it again' USING ERRCODE = 'RT409';
	END IF;
	IF NEW.left_at IS NOT NULL THEN
		NEW.left_reason := coalesce(NEW.left_reason, 'left');
		NEW.hand_raised_at := NULL;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.participants_before() IS 'completes a participant''s row';

CREATE FUNCTION rt_private.participants_joined() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.meeting_emit_member(NEW, NEW.socket_id, true);
	PERFORM rt_private.meeting_emit('participant-joined', NEW.meeting_id, rt_private.participant_json(NEW, NULL),
		except_socket => NEW.socket_id);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_joined() IS 'emits participant-joined';

-- Comes back on another socket or gateway: the others never saw it leave.
CREATE FUNCTION rt_private.participants_moved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF OLD.socket_id <> NEW.socket_id THEN
		PERFORM rt_private.meeting_emit_member(OLD, OLD.socket_id, false);
	END IF;
	PERFORM rt_private.meeting_emit_member(NEW, NEW.socket_id, true);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_moved() IS 'tells the gateways which socket now acts for a participant';

CREATE FUNCTION rt_private.participant_gone(p rt.meeting_participants, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.media_participant_gone(p.id);
	IF participant_gone.reason = 'ended' THEN
		RETURN; -- meeting-ended tells it to all at once
	END IF;
	IF participant_gone.reason = 'removed' THEN
		PERFORM rt_private.meeting_emit('removed-from-meeting', p.meeting_id,
			json_build_object('meetingId', p.meeting_id::text, 'reason', p.removal_reason, 'by', p.removed_by),
			participants => ARRAY[p.id]);
	END IF;
	PERFORM rt_private.meeting_emit_member(p, p.socket_id, false);
	PERFORM rt_private.meeting_emit('participant-left', p.meeting_id,
		json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
			'userName', p.display_name, 'reason', participant_gone.reason),
		except_socket => p.socket_id);
	PERFORM rt_private.media_close_if_empty(p.meeting_id);
END
$$;
COMMENT ON FUNCTION rt_private.participant_gone(rt.meeting_participants, text)
	IS 'frees the media of a participant who has left, and emits participant-left';

-- Who may not come back is put out on their other devices too, and loses the places that are kept for them.
CREATE FUNCTION rt_private.meeting_ban(p rt.meeting_participants) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM rt.meeting_invitees AS i
	WHERE i.meeting_id = p.meeting_id AND i.user_id = p.user_id;
	INSERT INTO rt.meeting_bans (meeting_id, user_id, banned_by, reason)
	VALUES (p.meeting_id, p.user_id, p.removed_by, p.removal_reason)
	ON CONFLICT DO NOTHING;
	UPDATE rt.meeting_participants AS o
	SET left_at = p.left_at, left_reason = 'removed', removed_by = p.removed_by, removal_reason = p.removal_reason
	WHERE o.meeting_id = p.meeting_id AND o.user_id = p.user_id AND o.left_at IS NULL;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_ban(rt.meeting_participants) IS 'bans a removed user from a meeting';

CREATE FUNCTION rt_private.participants_left() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.participant_gone(NEW, NEW.left_reason);
	IF NEW.left_reason = 'removed' AND NEW.removed_by IS DISTINCT FROM NEW.user_id THEN -- not a device of one's own
		PERFORM rt_private.meeting_ban(NEW);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_left() IS 'emits participant-left, and bans a removed user';

CREATE FUNCTION rt_private.participants_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.participant_gone(OLD, 'removed');
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_deleted() IS 'emits participant-left for a row that was deleted; bans nobody';

CREATE FUNCTION rt_private.participants_role() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.meeting_emit('participant-role-updated', NEW.meeting_id,
		json_build_object('meetingId', NEW.meeting_id::text, 'participantId', NEW.id::text, 'userId', NEW.user_id,
			'userName', NEW.display_name, 'role', NEW.role, 'by', rt_private.actor(),
			'permissions', array_to_json(rt_private.meeting_permissions(NEW.role))));
	IF NOT 'produce' = ANY (rt_private.meeting_permissions(NEW.role)) THEN
		PERFORM rt_private.media_close_producers(NEW.id);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_role() IS 'emits participant-role-updated; stops producers that the role does not allow';

CREATE FUNCTION rt_private.participant_mute(p rt.meeting_participants, kind text, muted boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.meeting_emit('muted-by-host', p.meeting_id,
		json_build_object('meetingId', p.meeting_id::text, 'muted', participant_mute.muted, 'kind', participant_mute.kind,
			'by', rt_private.actor()),
		participants => ARRAY[p.id]);
	PERFORM rt_private.media_mute(p.id, participant_mute.kind, participant_mute.muted);
END
$$;
COMMENT ON FUNCTION rt_private.participant_mute(rt.meeting_participants, text, boolean)
	IS 'mutes or unmutes a participant at the forwarder, and tells the participant';

-- A mute is told to all; what a client says of itself, to the others.
CREATE FUNCTION rt_private.participants_media() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	by_host boolean := false;
BEGIN
	IF OLD.audio_muted <> NEW.audio_muted THEN
		PERFORM rt_private.participant_mute(NEW, 'audio', NEW.audio_muted);
		by_host := true;
	END IF;
	IF OLD.video_muted <> NEW.video_muted THEN
		PERFORM rt_private.participant_mute(NEW, 'video', NEW.video_muted);
		by_host := true;
	END IF;
	PERFORM rt_private.meeting_emit('participant-media-updated', NEW.meeting_id, rt_private.media_updated_json(NEW),
		except_socket => CASE WHEN NOT by_host THEN rt_private.meeting_socket() END);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_media() IS 'emits muted-by-host and participant-media-updated';

CREATE FUNCTION rt_private.media_updated_json(p rt.meeting_participants) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	media json := rt_private.participant_media_json(p);
BEGIN
	RETURN json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
		'video', media -> 'video', 'audio', media -> 'audio', 'screenSharing', media -> 'screenSharing',
		'audioMuted', p.audio_muted, 'videoMuted', p.video_muted);
END
$$;
COMMENT ON FUNCTION rt_private.media_updated_json(rt.meeting_participants) IS 'the payload of participant-media-updated';

CREATE FUNCTION rt_private.hand_raised_json(p rt.meeting_participants) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
		'userName', p.display_name, 'raised', p.hand_raised_at IS NOT NULL,
		'timestamp', rt_private.iso(coalesce(p.hand_raised_at, clock_timestamp())),
		'hands', (
			SELECT coalesce(json_agg(o.id::text ORDER BY o.hand_raised_at, o.id), '[]')
			FROM rt.meeting_participants AS o
			WHERE o.meeting_id = p.meeting_id AND o.left_at IS NULL AND o.hand_raised_at IS NOT NULL));
END
$$;
COMMENT ON FUNCTION rt_private.hand_raised_json(rt.meeting_participants)
	IS 'the payload of hand-raised; hands are all raised hands, the first one first';

CREATE FUNCTION rt_private.participants_hand() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.meeting_emit('hand-raised', NEW.meeting_id, rt_private.hand_raised_json(NEW));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_hand() IS 'emits hand-raised';

CREATE TRIGGER participants_before BEFORE INSERT OR UPDATE OF left_at, left_reason ON rt.meeting_participants
	FOR EACH ROW EXECUTE FUNCTION rt_private.participants_before();
COMMENT ON TRIGGER participants_before ON rt.meeting_participants IS 'completes a participant''s row';
CREATE TRIGGER participants_joined AFTER INSERT ON rt.meeting_participants
	FOR EACH ROW WHEN (NEW.left_at IS NULL) EXECUTE FUNCTION rt_private.participants_joined();
COMMENT ON TRIGGER participants_joined ON rt.meeting_participants IS 'emits participant-joined';
CREATE TRIGGER participants_moved AFTER UPDATE ON rt.meeting_participants
	FOR EACH ROW WHEN (NEW.left_at IS NULL AND NEW.disconnected_at IS NULL
		AND (OLD.socket_id, OLD.gateway, OLD.disconnected_at)
			IS DISTINCT FROM (NEW.socket_id, NEW.gateway, NEW.disconnected_at))
	EXECUTE FUNCTION rt_private.participants_moved();
COMMENT ON TRIGGER participants_moved ON rt.meeting_participants IS 'tells the gateways which socket now acts for a participant';
CREATE TRIGGER participants_left AFTER UPDATE ON rt.meeting_participants
	FOR EACH ROW WHEN (OLD.left_at IS NULL AND NEW.left_at IS NOT NULL) EXECUTE FUNCTION rt_private.participants_left();
COMMENT ON TRIGGER participants_left ON rt.meeting_participants IS 'emits participant-left, and bans a removed user';
CREATE TRIGGER participants_deleted AFTER DELETE ON rt.meeting_participants
	FOR EACH ROW WHEN (OLD.left_at IS NULL) EXECUTE FUNCTION rt_private.participants_deleted();
COMMENT ON TRIGGER participants_deleted ON rt.meeting_participants IS 'emits participant-left for a row that was deleted; bans nobody';
CREATE TRIGGER participants_role AFTER UPDATE ON rt.meeting_participants
	FOR EACH ROW WHEN (NEW.left_at IS NULL AND OLD.role <> NEW.role) EXECUTE FUNCTION rt_private.participants_role();
COMMENT ON TRIGGER participants_role ON rt.meeting_participants IS 'emits participant-role-updated; stops producers that the role does not allow';
CREATE TRIGGER participants_media AFTER UPDATE ON rt.meeting_participants
	FOR EACH ROW WHEN (NEW.left_at IS NULL
		AND (OLD.video, OLD.audio, OLD.screen_sharing, OLD.audio_muted, OLD.video_muted)
			IS DISTINCT FROM (NEW.video, NEW.audio, NEW.screen_sharing, NEW.audio_muted, NEW.video_muted))
	EXECUTE FUNCTION rt_private.participants_media();
COMMENT ON TRIGGER participants_media ON rt.meeting_participants IS 'emits muted-by-host and participant-media-updated';
CREATE TRIGGER participants_hand AFTER UPDATE ON rt.meeting_participants
	FOR EACH ROW WHEN (NEW.left_at IS NULL AND (OLD.hand_raised_at IS NULL) <> (NEW.hand_raised_at IS NULL))
	EXECUTE FUNCTION rt_private.participants_hand();
COMMENT ON TRIGGER participants_hand ON rt.meeting_participants IS 'emits hand-raised';

-- ---- messages and recordings ------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_messages_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sender rt.meeting_participants;
	limit_bytes integer := rt_private.max_message_size();
BEGIN
	IF octet_length(NEW.message) > limit_bytes THEN
		RAISE EXCEPTION 'the message has more than % bytes', limit_bytes USING ERRCODE = 'RT413';
	END IF;
	IF NEW.sender_participant_id IS NULL THEN
		SELECT p.* INTO sender
		FROM rt.meeting_participants AS p
		WHERE p.meeting_id = NEW.meeting_id AND p.user_id = NEW.sender_id AND p.left_at IS NULL
		ORDER BY p.id LIMIT 1;
		NEW.sender_participant_id := sender.id;
		NEW.sender_name := coalesce(NEW.sender_name, sender.display_name);
	END IF;
	NEW.sender_name := coalesce(NEW.sender_name, rt_private.user_name(NEW.sender_id));
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_messages_before_insert() IS 'completes a message''s sender';

-- A private message leaves the server's tables only towards the two: its notification carries no text.
CREATE FUNCTION rt_private.meeting_messages_after_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	receivers bigint[];
BEGIN
	-- Nobody is in it any more; so a restore of old messages is silent.
	IF EXISTS (SELECT FROM rt.meetings AS m WHERE m.id = NEW.meeting_id AND m.status = 'ended') THEN
		RETURN NULL;
	END IF;
	IF NEW.recipient_type <> 'all' THEN
		SELECT coalesce(array_agg(p.id ORDER BY p.id), '{}') INTO receivers
		FROM rt.meeting_participants AS p
		WHERE p.meeting_id = NEW.meeting_id AND p.left_at IS NULL
			AND (p.id = NEW.sender_participant_id
				OR CASE NEW.recipient_type
					WHEN 'host' THEN p.role IN ('host', 'co-host')
					ELSE p.user_id = NEW.recipient_id
						AND p.id = coalesce(NEW.recipient_participant_id, p.id)
				END);
	END IF;
	PERFORM rt_private.meeting_emit('new-message', NEW.meeting_id,
		json_build_object('meetingId', NEW.meeting_id::text, 'message', rt_private.meeting_message_json(NEW)),
		participants => receivers, private => NEW.recipient_type <> 'all');
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_messages_after_insert() IS 'emits new-message to its recipients';

CREATE TRIGGER meeting_messages_before_insert BEFORE INSERT ON rt.meeting_messages
	FOR EACH ROW EXECUTE FUNCTION rt_private.meeting_messages_before_insert();
COMMENT ON TRIGGER meeting_messages_before_insert ON rt.meeting_messages IS 'completes a message''s sender';
CREATE TRIGGER meeting_messages_after_insert AFTER INSERT ON rt.meeting_messages
	FOR EACH ROW EXECUTE FUNCTION rt_private.meeting_messages_after_insert();
COMMENT ON TRIGGER meeting_messages_after_insert ON rt.meeting_messages IS 'emits new-message to its recipients';

CREATE FUNCTION rt_private.meeting_recordings_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt.meetings AS m
	SET recording = NEW.stopped_at IS NULL
	WHERE m.id = NEW.meeting_id AND m.recording <> (NEW.stopped_at IS NULL);
	PERFORM rt_private.meeting_emit('recording-status-changed', NEW.meeting_id,
		json_build_object('meetingId', NEW.meeting_id::text, 'recording', NEW.stopped_at IS NULL,
			'startedBy', NEW.started_by, 'recordingId', NEW.id::text));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_recordings_after() IS 'emits recording-status-changed';

CREATE TRIGGER meeting_recordings_started AFTER INSERT ON rt.meeting_recordings
	FOR EACH ROW WHEN (NEW.stopped_at IS NULL) EXECUTE FUNCTION rt_private.meeting_recordings_after();
COMMENT ON TRIGGER meeting_recordings_started ON rt.meeting_recordings IS 'emits recording-status-changed';
CREATE TRIGGER meeting_recordings_stopped AFTER UPDATE ON rt.meeting_recordings
	FOR EACH ROW WHEN (OLD.stopped_at IS NULL AND NEW.stopped_at IS NOT NULL)
	EXECUTE FUNCTION rt_private.meeting_recordings_after();
COMMENT ON TRIGGER meeting_recordings_stopped ON rt.meeting_recordings IS 'emits recording-status-changed';
