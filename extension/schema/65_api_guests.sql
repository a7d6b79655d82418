-- The API of the gateways: passwords of meetings, and guests.  As in 64_api_auth.sql; address and gateway are the gateway's own.
--
--   guest_create  {meetingId, name, password?, address, userAgent, gateway} -> {status, token, expiresAt, user: {id, name, guest}};
--                   refused: {status, error, retryAfter?}

-- ---- passwords ---------------------------------------------------------------------------

-- Who counts together: a user, or for who is nobody yet an address; of IPv6 the network that one subscriber has.
CREATE FUNCTION rt_private.address_network(address text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN address ~ '^[0-9a-fA-F]*:[0-9a-fA-F:]+$' THEN set_masklen(address::inet, 64)::cidr::text ELSE coalesce(address, '') END
$$;
COMMENT ON FUNCTION rt_private.address_network(text) IS 'the network of an address, by which attempts are counted';

-- Once while it lasts, however often somebody asks.
CREATE FUNCTION rt_private.audit_meeting_limited(meeting_id bigint, actor text, req jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	what jsonb := jsonb_build_object('meetingId', audit_meeting_limited.meeting_id::text);
	sender text := CASE WHEN actor IS NULL THEN req ->> 'address' END;
BEGIN
	INSERT INTO rt.audit (action, user_id, role, address, gateway, detail)
	SELECT 'meeting-password-limited', audit_meeting_limited.actor, rt_private.caller(), sender, req ->> 'gateway', what
	WHERE NOT EXISTS (SELECT FROM rt.audit AS a WHERE a.at > clock_timestamp() - interval '15 minutes' AND a.action = 'meeting-password-limited'
		AND a.user_id IS NOT DISTINCT FROM audit_meeting_limited.actor AND a.address IS NOT DISTINCT FROM sender
		AND a.detail = what);
END
$$;
COMMENT ON FUNCTION rt_private.audit_meeting_limited(bigint, text, jsonb) IS 'writes that attempts at a meeting''s password are held back';

-- Null: right, or none is needed.  A refusal is an answer and no error, which would undo that it was counted.
CREATE FUNCTION rt_private.meeting_password_refusal(m rt.meetings, actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	who text := coalesce('user ' || actor, 'address ' || rt_private.address_network(req ->> 'address'));
	attempts text := rt_private.brake_name('meeting', m.id || ' ' || who);
	wait integer;
BEGIN
	IF m.password_hash IS NULL OR m.host_id = actor
		OR EXISTS (SELECT FROM rt_private.guests AS g
			WHERE g.user_id = actor AND g.meeting_id = m.id AND g.password_hash = m.password_hash)
	THEN
		RETURN NULL;
	END IF;
	wait := rt_private.brake(attempts);
	IF wait > 0 THEN
		PERFORM rt_private.audit_meeting_limited(m.id, actor, req);
		RETURN rt_private.limited(wait);
	ELSIF rt_private.meeting_password_matches(rt_private.req_password(req), m.password_hash) THEN
		RETURN NULL;
	END IF;
	IF rt_private.req_password(req) IS NOT NULL THEN -- to ask without one guesses nothing
		PERFORM rt_private.note_failure(attempts);
		INSERT INTO rt.audit (action, user_id, role, address, gateway, detail)
		VALUES ('meeting-password-failed', actor, rt_private.caller(), CASE WHEN actor IS NULL THEN req ->> 'address' END,
			req ->> 'gateway', jsonb_build_object('meetingId', m.id::text));
	END IF;
	RETURN '{"status": 401, "error": {"code": "wrong_password", "message": "Wrong password"}}';
END
$$;
COMMENT ON FUNCTION rt_private.meeting_password_refusal(rt.meetings, text, jsonb)
	IS 'how a request with a wrong password is answered; ten in 15 minutes are looked at';

-- ---- guests ------------------------------------------------------------------------------

CREATE FUNCTION rt_private.req_guest_name(req jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text := btrim(rt_private.req_text(req, 'name'));
BEGIN
	IF char_length(name) NOT BETWEEN 1 AND 64 OR name ~ '[[:cntrl:]]' THEN
		RAISE EXCEPTION 'name must have 1 to 64 characters, and no control characters' USING ERRCODE = 'RT400';
	END IF;
	RETURN rt_private.req_display_name(req, 'name');
END
$$;
COMMENT ON FUNCTION rt_private.req_guest_name(jsonb) IS 'the name that a guest gives';

-- Checked before the meeting is locked, as in meeting_join(), and once more after it.
CREATE FUNCTION rt_private.guest_check(m rt.meetings) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT m.guests OR m.access <> 'anyone' THEN
		RAISE EXCEPTION 'this meeting is not open to guests' USING ERRCODE = 'RT403';
	ELSIF m.locked THEN
		RAISE EXCEPTION 'meeting is locked' USING ERRCODE = 'RT403';
	ELSIF (SELECT count(*) FROM rt_private.guests AS g WHERE g.meeting_id = m.id AND g.until > clock_timestamp()) >= m.max_participants THEN
		RAISE EXCEPTION 'meeting is full' USING ERRCODE = 'RT4FU';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.guest_check(rt.meetings) IS 'refuses a guest if the meeting allows none, or has too many';

CREATE FUNCTION rt_private.guest_ttl() RETURNS interval
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT least(interval '24 hours', coalesce(current_setting('rt.session_lifetime', true)::interval, interval '30 days'))
$$;
COMMENT ON FUNCTION rt_private.guest_ttl() IS 'maximum lifetime of a guest''s token, which cannot be refreshed';

CREATE FUNCTION rt_api.guest_create(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	given_name text := rt_private.req_guest_name(req);
	m rt.meetings := rt_private.meeting_find_open(rt_private.req_id(req, 'meetingId'));
	checked text := m.password_hash;
	refusal json;
	guest text := 'guest-' || rt_private.random_text(15);
	ends_at timestamptz := clock_timestamp() + rt_private.guest_ttl();
	s rt.sessions;
BEGIN
	PERFORM rt_private.guest_check(m);
	refusal := rt_private.meeting_password_refusal(m, NULL, req);
	IF refusal IS NOT NULL THEN
		RETURN refusal;
	END IF;
	m := rt_private.meeting_lock_open(m.id);
	PERFORM rt_private.guest_check(m);
	INSERT INTO rt.users (id, username, name) VALUES (guest, guest, given_name);
	INSERT INTO rt_private.guests (user_id, meeting_id, password_hash, until) VALUES (guest, m.id, checked, ends_at);
	s := rt_private.open_session(guest, req ->> 'address', req ->> 'userAgent', NULL);
	RETURN json_build_object('status', 201, 'token', rt_private.make_token(guest, ends_at - clock_timestamp(), s.id, '{"guest": true}'),
		'expiresAt', rt_private.iso(ends_at), 'user', json_build_object('id', guest, 'name', given_name, 'guest', true));
END
$$;
COMMENT ON FUNCTION rt_api.guest_create(text, jsonb) IS 'POST /api/meetings/:meetingId/guests';
