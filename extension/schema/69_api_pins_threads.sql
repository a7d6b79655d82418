-- 69_api_pins_threads.sql: the API of the gateways: pins, threads, notifications of a room, blocked users.

-- Who may pin, and in a room that is not archived.
CREATE FUNCTION rt_private.api_pin_message(actor text, req jsonb) RETURNS rt.messages
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_open_message(actor, req);
	r rt.rooms := rt_private.api_room(actor, req);
BEGIN
	IF r.who_may_pin = 'admins' AND NOT rt_private.is_room_admin(r.id, actor) THEN
		RAISE EXCEPTION 'only an admin of the room may do this' USING ERRCODE = 'RT403';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.api_pin_message(text, jsonb) IS 'the message that a request pins or unpins';

CREATE FUNCTION rt_private.pin_data(m rt.messages, actor text, pinned boolean) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('status', 200, 'data', json_build_object('messageId', rt_private.message_id(m.room_id, m.seq),
		'roomId', m.room_id::text, 'pinned', pinned, 'by', actor));
END
$$;
COMMENT ON FUNCTION rt_private.pin_data(rt.messages, text, boolean) IS 'the response to a pin';

CREATE FUNCTION rt_api.pin_add(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_pin_message(actor, req);
BEGIN
	IF m.deleted_at IS NOT NULL THEN
		RAISE EXCEPTION 'message was deleted' USING ERRCODE = 'RT410';
	END IF;
	IF (SELECT count(*) FROM rt.pins AS p WHERE p.room_id = m.room_id) >= 100 THEN
		RAISE EXCEPTION 'too many pinned messages' USING ERRCODE = 'RT409';
	END IF;
	INSERT INTO rt.pins (room_id, seq, pinned_by) VALUES (m.room_id, m.seq, actor) ON CONFLICT DO NOTHING;
	RETURN rt_private.pin_data(m, actor, true);
END
$$;
COMMENT ON FUNCTION rt_api.pin_add(text, jsonb) IS 'PUT …/msgs/:messageId/pin; again is no error';

CREATE FUNCTION rt_api.pin_remove(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_pin_message(actor, req);
BEGIN
	DELETE FROM rt.pins AS p WHERE p.room_id = m.room_id AND p.seq = m.seq;
	RETURN rt_private.pin_data(m, actor, false);
END
$$;
COMMENT ON FUNCTION rt_api.pin_remove(text, jsonb) IS 'DELETE …/msgs/:messageId/pin; again is no error';

CREATE FUNCTION rt_api.pins_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	hidden bigint := rt_private.hidden_seq(r, actor);
	pins json;
BEGIN
	SELECT coalesce(json_agg(rt_private.message_full(m) ORDER BY p.pinned_at DESC, p.seq DESC), '[]') INTO pins
	FROM rt.pins AS p JOIN rt.messages AS m ON m.room_id = p.room_id AND m.seq = p.seq
	WHERE p.room_id = r.id AND p.seq > hidden;
	RETURN json_build_object('status', 200, 'data', pins, 'count', json_array_length(pins));
END
$$;
COMMENT ON FUNCTION rt_api.pins_list(text, jsonb) IS 'GET /api/chat/rooms/:id/pins; the latest first';

-- ---- threads ---------------------------------------------------------------------------

CREATE FUNCTION rt_api.replies_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
	most integer := rt_private.req_limit(req, 50, 200);
	after bigint := coalesce(rt_private.req_seq(req, 'cursor'), 0);
	page json;
	next_cursor text;
	t rt.threads;
BEGIN
	SELECT coalesce(json_agg(rt_private.message_full(x.m) ORDER BY x.n) FILTER (WHERE x.n <= most), '[]'),
		CASE WHEN count(*) > most THEN max((x.m).seq) FILTER (WHERE x.n <= most) END::text
	INTO page, next_cursor
	FROM (SELECT a AS m, row_number() OVER (ORDER BY a.seq) AS n FROM rt.messages AS a
		WHERE a.room_id = m.room_id AND a.reply_to = m.seq AND a.seq > after AND a.deleted_at IS NULL
		ORDER BY a.seq LIMIT most + 1) AS x;
	SELECT x.* INTO t FROM rt.threads AS x WHERE x.room_id = m.room_id AND x.seq = m.seq;
	RETURN json_build_object('status', 200, 'data', page, 'count', json_array_length(page), 'nextCursor', next_cursor,
		'replyCount', coalesce(t.replies, 0), 'lastReplySeq', t.last_reply_seq, 'lastReplyAt', rt_private.iso(t.last_reply_at));
END
$$;
COMMENT ON FUNCTION rt_api.replies_list(text, jsonb) IS 'GET …/msgs/:messageId/replies';

-- ---- notifications of a room -----------------------------------------------------------

CREATE FUNCTION rt_api.room_notifications(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	wanted text := CASE WHEN req ? 'level' THEN rt_private.req_choice(req, 'level', ARRAY['all', 'mentions', 'none']) END;
	until timestamptz := rt_private.req_timestamp(req, 'mutedUntil');
	m rt.room_members;
BEGIN
	IF wanted IS NULL AND NOT req ? 'mutedUntil' THEN
		RAISE EXCEPTION 'level is missing' USING ERRCODE = 'RT400';
	END IF;
	UPDATE rt.room_members AS t SET notify = coalesce(wanted, t.notify),
		muted_until = CASE WHEN req ? 'mutedUntil' THEN until ELSE t.muted_until END
	WHERE t.room_id = r.id AND t.user_id = actor RETURNING t.* INTO m;
	RETURN json_build_object('status', 200, 'data', rt_private.notification_level(m));
END
$$;
COMMENT ON FUNCTION rt_api.room_notifications(text, jsonb) IS 'PUT /api/chat/rooms/:id/notifications';

-- ---- blocked users ---------------------------------------------------------------------

CREATE FUNCTION rt_api.blocks_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	blocked json;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT coalesce(json_agg(rt_private.user_json(u) ORDER BY b.created_at, u.id), '[]') INTO blocked
	FROM rt.blocks AS b JOIN rt.users AS u ON u.id = b.blocked_id WHERE b.user_id = actor;
	RETURN json_build_object('status', 200, 'data', blocked, 'count', json_array_length(blocked));
END
$$;
COMMENT ON FUNCTION rt_api.blocks_list(text, jsonb) IS 'GET /api/users/me/blocks';

CREATE FUNCTION rt_private.api_other_user(actor text, req jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	whom text := rt_private.req_name(req, 'userId');
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.act_as(actor);
	PERFORM rt_private.check_users(ARRAY[whom]);
	IF whom = actor THEN
		RAISE EXCEPTION 'userId must be another user''s' USING ERRCODE = 'RT400';
	END IF;
	RETURN whom;
END
$$;
COMMENT ON FUNCTION rt_private.api_other_user(text, jsonb) IS 'another user named in a request';

CREATE FUNCTION rt_api.block_add(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	whom text := rt_private.api_other_user(actor, req);
BEGIN
	INSERT INTO rt.blocks (user_id, blocked_id) VALUES (actor, whom) ON CONFLICT DO NOTHING;
	RETURN json_build_object('status', 200, 'data', json_build_object('userId', whom, 'blocked', true));
END
$$;
COMMENT ON FUNCTION rt_api.block_add(text, jsonb) IS 'PUT /api/users/me/blocks/:userId';

CREATE FUNCTION rt_api.block_remove(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	whom text := rt_private.api_other_user(actor, req);
BEGIN
	DELETE FROM rt.blocks AS b WHERE b.user_id = actor AND b.blocked_id = whom;
	RETURN json_build_object('status', 200, 'data', json_build_object('userId', whom, 'blocked', false));
END
$$;
COMMENT ON FUNCTION rt_api.block_remove(text, jsonb) IS 'DELETE /api/users/me/blocks/:userId';
