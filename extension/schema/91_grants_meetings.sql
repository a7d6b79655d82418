-- Who may do what with meetings.  An application role (a member of rt_app) is let at the tables by row-level security,
-- as the user of rt.user_id; the rest is done by the functions, which check for themselves.

ALTER TABLE rt.meetings ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.meeting_invitees ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.meeting_bans ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.meeting_participants ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.meeting_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.meeting_recordings ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.meeting_waiting ENABLE ROW LEVEL SECURITY;

-- Policies ask functions that see past row-level security, so that they cannot call one another in a circle.
CREATE FUNCTION rt_private.app_sees_meeting(meeting_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = app_sees_meeting.meeting_id;
	RETURN FOUND AND rt_private.meeting_may_see(m, rt_private.actor());
END
$$;
COMMENT ON FUNCTION rt_private.app_sees_meeting(bigint) IS 'policy: rt.user_id may see a meeting';

CREATE FUNCTION rt_private.app_runs_meeting(meeting_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = app_runs_meeting.meeting_id;
	RETURN FOUND AND rt_private.meeting_user_may(m, rt_private.actor(), 'end');
END
$$;
COMMENT ON FUNCTION rt_private.app_runs_meeting(bigint) IS 'policy: rt.user_id is a host of a meeting';

CREATE FUNCTION rt_private.app_reads_message(g rt.meeting_messages) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	reader text := rt_private.actor();
BEGIN
	RETURN rt_private.app_sees_meeting(g.meeting_id)
		AND (rt_private.meeting_was_in(g.meeting_id, reader) OR rt_private.meeting_is_host(g.meeting_id, reader))
		AND rt_private.meeting_message_visible(g, reader, rt_private.meeting_is_host(g.meeting_id, reader));
END
$$;
COMMENT ON FUNCTION rt_private.app_reads_message(rt.meeting_messages) IS 'policy: rt.user_id may read a message';

CREATE FUNCTION rt_private.app_speaks_in(meeting_id bigint) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (
		SELECT FROM rt.meeting_participants AS p
		WHERE p.meeting_id = app_speaks_in.meeting_id AND p.user_id = rt_private.actor() AND p.left_at IS NULL
			AND 'chat' = ANY (rt_private.meeting_permissions(p.role)))
$$;
COMMENT ON FUNCTION rt_private.app_speaks_in(bigint) IS 'policy: rt.user_id is in a meeting and may write there';

CREATE POLICY meetings_see ON rt.meetings FOR SELECT TO rt_app
	USING (host_id = rt_private.actor() OR rt_private.app_sees_meeting(id));
COMMENT ON POLICY meetings_see ON rt.meetings IS 'users may see meetings that they may join, or were in';
CREATE POLICY meetings_make ON rt.meetings FOR INSERT TO rt_app WITH CHECK (host_id = rt_private.actor());
COMMENT ON POLICY meetings_make ON rt.meetings IS 'users may create meetings as host';
CREATE POLICY meetings_run ON rt.meetings FOR UPDATE TO rt_app USING (rt_private.app_runs_meeting(id));
COMMENT ON POLICY meetings_run ON rt.meetings IS 'hosts of the meeting';
CREATE POLICY meetings_delete ON rt.meetings FOR DELETE TO rt_app USING (rt_private.app_runs_meeting(id));
COMMENT ON POLICY meetings_delete ON rt.meetings IS 'hosts of the meeting';

CREATE POLICY meeting_invitees_see ON rt.meeting_invitees FOR SELECT TO rt_app
	USING (user_id = rt_private.actor() OR rt_private.app_runs_meeting(meeting_id));
COMMENT ON POLICY meeting_invitees_see ON rt.meeting_invitees IS 'the user concerned, or hosts of the meeting';
CREATE POLICY meeting_invitees_run ON rt.meeting_invitees FOR ALL TO rt_app
	USING (rt_private.app_runs_meeting(meeting_id)) WITH CHECK (rt_private.app_runs_meeting(meeting_id));
COMMENT ON POLICY meeting_invitees_run ON rt.meeting_invitees IS 'hosts of the meeting';

CREATE POLICY meeting_bans_run ON rt.meeting_bans FOR ALL TO rt_app
	USING (rt_private.app_runs_meeting(meeting_id)) WITH CHECK (rt_private.app_runs_meeting(meeting_id));
COMMENT ON POLICY meeting_bans_run ON rt.meeting_bans IS 'hosts of the meeting';

CREATE POLICY meeting_participants_see ON rt.meeting_participants FOR SELECT TO rt_app
	USING (rt_private.app_sees_meeting(meeting_id));
COMMENT ON POLICY meeting_participants_see ON rt.meeting_participants IS 'users may see what belongs to meetings they may see';

CREATE POLICY meeting_messages_see ON rt.meeting_messages FOR SELECT TO rt_app
	USING (rt_private.app_reads_message(meeting_messages));
COMMENT ON POLICY meeting_messages_see ON rt.meeting_messages IS 'users may read messages addressed to them';
CREATE POLICY meeting_messages_send ON rt.meeting_messages FOR INSERT TO rt_app
	WITH CHECK (sender_id = rt_private.actor() AND rt_private.app_speaks_in(meeting_id));
COMMENT ON POLICY meeting_messages_send ON rt.meeting_messages IS 'users may send as themselves, in meetings they are in';

CREATE POLICY meeting_recordings_see ON rt.meeting_recordings FOR SELECT TO rt_app
	USING (rt_private.app_sees_meeting(meeting_id));
COMMENT ON POLICY meeting_recordings_see ON rt.meeting_recordings IS 'users may see what belongs to meetings they may see';

CREATE POLICY meeting_waiting_see ON rt.meeting_waiting FOR SELECT TO rt_app
	USING (user_id = rt_private.actor() OR rt_private.app_runs_meeting(meeting_id));
COMMENT ON POLICY meeting_waiting_see ON rt.meeting_waiting IS 'the user concerned, or hosts of the meeting';

GRANT SELECT (id, title, status, host_id, room_id, access, max_participants, locked, guests, lobby, recording, starts_at, created_at,
	started_at, started_by, ended_at, ended_by) ON rt.meetings TO rt_app;
GRANT INSERT (title, host_id, access, max_participants, starts_at, guests, lobby) ON rt.meetings TO rt_app;
GRANT UPDATE (title, status, access, max_participants, locked, starts_at, guests, lobby) ON rt.meetings TO rt_app;
GRANT DELETE ON rt.meetings TO rt_app;
GRANT SELECT, DELETE ON rt.meeting_invitees, rt.meeting_bans TO rt_app;
GRANT INSERT (meeting_id, user_id) ON rt.meeting_invitees TO rt_app;
GRANT SELECT (id, meeting_id, user_id, display_name, guest, role, video, audio, screen_sharing, audio_muted, video_muted,
	hand_raised_at, joined_at, left_at, left_reason) ON rt.meeting_participants TO rt_app;
GRANT SELECT ON rt.meeting_messages, rt.meeting_recordings TO rt_app;
GRANT SELECT (id, meeting_id, user_id, display_name, status, asked_at, decided_at, decided_by) ON rt.meeting_waiting TO rt_app;
GRANT INSERT (meeting_id, sender_id, message, recipient_type, recipient_id) ON rt.meeting_messages TO rt_app;

GRANT EXECUTE ON FUNCTION
	rt.create_meeting(text, text, text, integer, timestamptz, bigint, text[], text, boolean, boolean),
	rt.admit_waiting(bigint, bigint), rt.refuse_waiting(bigint, bigint),
	rt.start_meeting(bigint), rt.end_meeting(bigint), rt.set_meeting_password(bigint, text),
	rt.kick_participant(bigint, text), rt.mute_participant(bigint, boolean, text) TO rt_app;

GRANT SELECT ON rt.stat_meetings, rt.stat_media, rt.stat_media_workers TO pg_monitor;

-- The functions of these files are nobody's but those named here; policies are evaluated as the role that asks.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA rt, rt_api, rt_private FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rt_private.actor(), rt_private.app_sees_meeting(bigint), rt_private.app_runs_meeting(bigint),
	rt_private.app_reads_message(rt.meeting_messages), rt_private.app_speaks_in(bigint) TO rt_app;

GRANT EXECUTE ON FUNCTION
	rt_api.meeting_join(text, jsonb), rt_api.meeting_leave(text, jsonb), rt_api.meeting_media(text, jsonb),
	rt_api.meeting_say(text, jsonb), rt_api.meeting_typing(text, jsonb), rt_api.meeting_react(text, jsonb),
	rt_api.meeting_hand(text, jsonb), rt_api.meeting_mute(text, jsonb), rt_api.meeting_remove(text, jsonb),
	rt_api.meeting_role(text, jsonb), rt_api.meeting_lock(text, jsonb), rt_api.meeting_close(text, jsonb),
	rt_api.meeting_record(text, jsonb), rt_api.meeting_disconnected(text, jsonb), rt_api.meeting_resume(text, jsonb),
	rt_api.meeting_sweep(text, jsonb), rt_api.meetings_list(text, jsonb), rt_api.meeting_create(text, jsonb),
	rt_api.meeting_get(text, jsonb), rt_api.meeting_update(text, jsonb), rt_api.meeting_delete(text, jsonb),
	rt_api.meeting_start(text, jsonb), rt_api.meeting_end(text, jsonb), rt_api.meeting_check_join(text, jsonb),
	rt_api.meeting_participants(text, jsonb), rt_api.meeting_messages(text, jsonb),
	rt_api.meeting_webrtc_config(text, jsonb), rt_api.meeting_recordings(text, jsonb),
	rt_api.guest_create(text, jsonb), rt_api.meeting_admit(text, jsonb), rt_api.meeting_refuse(text, jsonb), rt_api.media_request(text, jsonb), rt_api.media_result(text, jsonb) TO rt_gateway;
GRANT EXECUTE ON FUNCTION
	rt_api.media_start(text, jsonb), rt_api.media_stop(text, jsonb), rt_api.media_drain(text, jsonb), rt_api.media_heartbeat(text, jsonb), rt_api.media_stats(text, jsonb),
	rt_api.media_fetch(text, jsonb), rt_api.media_answer(text, jsonb), rt_api.media_event(text, jsonb), rt_api.hello(text, jsonb) TO rt_media;

-- ---- is anybody told? ------------------------------------------------------------------------

DO $$
BEGIN
	PERFORM rt_private.check_served();
END
$$;

-- Indexes call these with the rights of whoever writes a row.  They read nothing.
GRANT EXECUTE ON FUNCTION rt_private.search_vector(text), rt_private.name_key(text) TO PUBLIC;
