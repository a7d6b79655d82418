-- Meetings: functions for SQL clients, and what they share with rt_api.
--
-- They run with the owner's rights and check for themselves: an application role acts as its rt.user_id and may do what
-- that user may; the owner of the database may do all (rt_private.trusted()).

CREATE FUNCTION rt_private.meeting_lock(meeting_id bigint) RETURNS rt.meetings
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = meeting_lock.meeting_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'meeting not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_lock(bigint) IS 'locks a meeting against visible changes';

CREATE FUNCTION rt_private.meeting_lock_open(meeting_id bigint) RETURNS rt.meetings
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_lock(meeting_id);
BEGIN
	IF m.status = 'ended' THEN
		RAISE EXCEPTION 'meeting has ended' USING ERRCODE = 'RT410';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_lock_open(bigint) IS 'locks a meeting that has not ended';

-- ---- who may ---------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_banned(meeting_id bigint, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (
		SELECT FROM rt.meeting_bans AS b
		WHERE b.meeting_id = meeting_banned.meeting_id AND b.user_id = meeting_banned.user_id);
END
$$;
COMMENT ON FUNCTION rt_private.meeting_banned(bigint, text) IS 'whether a user was removed and not invited again';

CREATE FUNCTION rt_private.meeting_may_join(m rt.meetings, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.meeting_banned(m.id, meeting_may_join.user_id) THEN
		RETURN false;
	ELSIF rt_private.is_guest(meeting_may_join.user_id) THEN
		RETURN m.guests AND EXISTS (
			SELECT FROM rt_private.guests AS g WHERE g.user_id = meeting_may_join.user_id AND g.meeting_id = m.id);
	END IF;
	RETURN m.access = 'anyone'
		OR m.host_id = meeting_may_join.user_id
		OR EXISTS (
			SELECT FROM rt.meeting_invitees AS i
			WHERE i.meeting_id = m.id AND i.user_id = meeting_may_join.user_id)
		OR (m.access = 'room' AND EXISTS (
			SELECT FROM rt.room_members AS r
			WHERE r.room_id = m.room_id AND r.user_id = meeting_may_join.user_id));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_may_join(rt.meetings, text) IS 'whether a user has access: host, invitee, member of its room, guest, or open to anyone; and not removed';

-- Whoever has been in it may look back at it, but for who was removed.
CREATE FUNCTION rt_private.meeting_may_see(m rt.meetings, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce(rt_private.meeting_may_join(m, meeting_may_see.user_id), false)
		OR (NOT rt_private.meeting_banned(m.id, meeting_may_see.user_id) AND EXISTS (
			SELECT FROM rt.meeting_participants AS p
			WHERE p.meeting_id = m.id AND p.user_id = meeting_may_see.user_id));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_may_see(rt.meetings, text) IS 'whether a user may see a meeting and its participants';

-- For what does not come from a participant's socket (REST, SQL): the owner, or whoever is in it in a role that may.
CREATE FUNCTION rt_private.meeting_user_may(m rt.meetings, user_id text, action text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce(m.host_id = meeting_user_may.user_id, false)
		OR EXISTS (
			SELECT FROM rt.meeting_participants AS p
			WHERE p.meeting_id = m.id AND p.user_id = meeting_user_may.user_id AND p.left_at IS NULL
				AND meeting_user_may.action = ANY (rt_private.meeting_permissions(p.role)));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_user_may(rt.meetings, text, text) IS 'whether a user may do something in a meeting without being in it';

CREATE FUNCTION rt_private.meeting_check_user(m rt.meetings, action text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.trusted() AND NOT rt_private.meeting_user_may(m, rt_private.actor(), action) THEN
		RAISE EXCEPTION 'only a host may do that' USING ERRCODE = 'RT403';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_check_user(rt.meetings, text) IS 'refuses users who may not do something in a meeting; the database''s owner may';

CREATE FUNCTION rt_private.meeting_hash(password text) RETURNS text
LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF octet_length(password) NOT BETWEEN 1 AND 1024 THEN
		RAISE EXCEPTION 'a password must have 1 to 1024 bytes' USING ERRCODE = 'RT400';
	END IF;
	RETURN rt_private.crypt(rt_private.password_bytes(rt_private.password_form(password)),
		rt_private.gen_salt('bf', rt_private.least_password_cost()));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_hash(text) IS 'hashes the password of a meeting';

CREATE FUNCTION rt_private.meeting_password_matches(password text, password_hash text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(password_hash IN (rt_private.crypt(rt_private.password_bytes(rt_private.password_form(password)), password_hash),
		rt_private.crypt(rt_private.password_bytes(password), password_hash)), false)
$$;
COMMENT ON FUNCTION rt_private.meeting_password_matches(text, text) IS 'whether a password matches; accepts hashes from before normalization';

-- ---- for SQL clients ----------------------------------------------------------------------------------------

CREATE FUNCTION rt.create_meeting(title text, host text DEFAULT NULL, password text DEFAULT NULL,
	max_participants integer DEFAULT NULL, starts_at timestamptz DEFAULT NULL, room bigint DEFAULT NULL,
	invitees text[] DEFAULT '{}', access text DEFAULT NULL, guests boolean DEFAULT false,
	lobby boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	host_id text := coalesce(create_meeting.host, rt_private.actor());
	who_may text := coalesce(create_meeting.access, CASE WHEN room IS NOT NULL THEN 'room' ELSE 'invited' END);
	meeting bigint;
BEGIN
	IF NOT rt_private.trusted() AND host_id IS DISTINCT FROM rt_private.actor() THEN
		RAISE EXCEPTION 'you can only create meetings as yourself' USING ERRCODE = 'RT403';
	END IF;
	IF who_may = 'room' AND room IS NULL THEN
		RAISE EXCEPTION 'access for a room''s members needs a room' USING ERRCODE = 'RT400';
	END IF;
	IF create_meeting.guests AND who_may <> 'anyone' THEN
		RAISE EXCEPTION 'guests need access for anyone' USING ERRCODE = 'RT400';
	END IF;
	IF room IS NOT NULL AND NOT EXISTS (
		SELECT FROM rt.room_members AS r WHERE r.room_id = create_meeting.room AND r.user_id = host_id)
	THEN
		RAISE EXCEPTION 'room not found' USING ERRCODE = 'RT404';
	END IF;
	INSERT INTO rt.meetings (title, host_id, room_id, access, password_hash, max_participants, starts_at, guests, lobby)
	VALUES (create_meeting.title, host_id, room, who_may, rt_private.meeting_hash(create_meeting.password),
		coalesce(create_meeting.max_participants, 1000), create_meeting.starts_at, coalesce(create_meeting.guests, false),
		coalesce(create_meeting.lobby, false))
	RETURNING id INTO meeting;
	PERFORM rt_private.meeting_invite(meeting, invitees);
	RETURN meeting;
END
$$;
COMMENT ON FUNCTION rt.create_meeting(text, text, text, integer, timestamptz, bigint, text[], text, boolean, boolean)
	IS 'makes a meeting and returns its id; the host is rt.user_id unless given';

-- One who is invited already is so still; one who was removed may come back.
CREATE FUNCTION rt_private.meeting_invite(meeting_id bigint, users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_users(meeting_invite.users);
	INSERT INTO rt.meeting_invitees (meeting_id, user_id)
	SELECT DISTINCT meeting_invite.meeting_id, w.user_id FROM unnest(meeting_invite.users) AS w (user_id)
	ON CONFLICT DO NOTHING;
	DELETE FROM rt.meeting_bans AS b
	WHERE b.meeting_id = meeting_invite.meeting_id AND b.user_id = ANY (meeting_invite.users);
END
$$;
COMMENT ON FUNCTION rt_private.meeting_invite(bigint, text[]) IS 'invites users, again if they were removed';

CREATE FUNCTION rt.start_meeting(meeting bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_lock_open(meeting);
BEGIN
	PERFORM rt_private.meeting_check_user(m, 'end');
	UPDATE rt.meetings AS t SET status = 'live' WHERE t.id = m.id AND t.status = 'scheduled';
END
$$;
COMMENT ON FUNCTION rt.start_meeting(bigint) IS 'makes a scheduled meeting live';

CREATE FUNCTION rt.end_meeting(meeting bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_lock_open(meeting);
BEGIN
	PERFORM rt_private.meeting_check_user(m, 'end');
	UPDATE rt.meetings AS t SET status = 'ended' WHERE t.id = m.id;
END
$$;
COMMENT ON FUNCTION rt.end_meeting(bigint) IS 'ends a meeting and removes everybody';

CREATE FUNCTION rt.set_meeting_password(meeting bigint, password text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_lock_open(meeting);
BEGIN
	PERFORM rt_private.meeting_check_user(m, 'lock');
	UPDATE rt.meetings AS t
	SET password_hash = rt_private.meeting_hash(set_meeting_password.password)
	WHERE t.id = m.id;
END
$$;
COMMENT ON FUNCTION rt.set_meeting_password(bigint, text) IS 'sets a meeting''s password; null: none';

-- Finds a participant who is in a meeting, and locks the meeting.
CREATE FUNCTION rt_private.participant_lock(participant bigint) RETURNS rt.meeting_participants
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	SELECT t.* INTO p FROM rt.meeting_participants AS t WHERE t.id = participant;
	IF FOUND THEN
		PERFORM rt_private.meeting_lock(p.meeting_id);
		SELECT t.* INTO p FROM rt.meeting_participants AS t WHERE t.id = participant AND t.left_at IS NULL;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'participant not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN p;
END
$$;
COMMENT ON FUNCTION rt_private.participant_lock(bigint) IS 'a participant who has not left, with the meeting locked';

CREATE FUNCTION rt_private.participant_remove(p rt.meeting_participants, reason text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	UPDATE rt.meeting_participants AS t
	SET left_at = clock_timestamp(), left_reason = 'removed', removed_by = rt_private.actor(),
		removal_reason = participant_remove.reason
	WHERE t.id = p.id
$$;
COMMENT ON FUNCTION rt_private.participant_remove(rt.meeting_participants, text) IS 'removes and bans a participant';

CREATE FUNCTION rt_private.participant_set_muted(p rt.meeting_participants, kind text, muted boolean) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	UPDATE rt.meeting_participants AS t
	SET audio_muted = CASE participant_set_muted.kind WHEN 'audio' THEN muted ELSE t.audio_muted END,
		video_muted = CASE participant_set_muted.kind WHEN 'video' THEN muted ELSE t.video_muted END
	WHERE t.id = p.id
$$;
COMMENT ON FUNCTION rt_private.participant_set_muted(rt.meeting_participants, text, boolean) IS 'mutes or unmutes somebody';

CREATE FUNCTION rt_private.participant_check_user(p rt.meeting_participants, action text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO STRICT m FROM rt.meetings AS t WHERE t.id = p.meeting_id;
	PERFORM rt_private.meeting_check_user(m, action);
	IF action = 'remove' AND p.role = 'host' THEN -- not by a co-host
		PERFORM rt_private.meeting_check_user(m, 'end');
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.participant_check_user(rt.meeting_participants, text)
	IS 'refuses users who may not act on a participant';

CREATE FUNCTION rt.kick_participant(participant bigint, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants := rt_private.participant_lock(participant);
BEGIN
	PERFORM rt_private.participant_check_user(p, 'remove');
	PERFORM rt_private.participant_remove(p, reason);
END
$$;
COMMENT ON FUNCTION rt.kick_participant(bigint, text) IS 'removes a participant from a meeting; that user may not return unless invited again';

CREATE FUNCTION rt.mute_participant(participant bigint, mute boolean DEFAULT true, kind text DEFAULT 'audio') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants := rt_private.participant_lock(participant);
BEGIN
	IF mute IS NULL OR kind IS NULL OR kind NOT IN ('audio', 'video') THEN
		RAISE EXCEPTION 'kind must be audio or video, mute true or false' USING ERRCODE = 'RT400';
	END IF;
	PERFORM rt_private.participant_check_user(p, 'mute');
	PERFORM rt_private.participant_set_muted(p, kind, mute);
END
$$;
COMMENT ON FUNCTION rt.mute_participant(bigint, boolean, text) IS 'mutes or unmutes a participant''s audio or video in the media worker';
