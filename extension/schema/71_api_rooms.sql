-- The API of the gateways: rooms and members.  Not being a member and there being no such room look the same.

CREATE FUNCTION rt_private.api_room(actor text, req jsonb) RETURNS rt.rooms
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms;
BEGIN
	PERFORM rt_private.act_as(actor);
	SELECT t.* INTO r FROM rt.rooms AS t WHERE t.id = rt_private.req_id(req, 'roomId');
	IF NOT FOUND OR NOT rt_private.is_member(r.id, actor) THEN
		RAISE EXCEPTION 'room not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN r;
END
$$;
COMMENT ON FUNCTION rt_private.api_room(text, jsonb) IS 'the room of a request; RT404 if the actor is not in it';

CREATE FUNCTION rt_private.hidden_seq(r rt.rooms, actor text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF r.history = 'all' THEN
		RETURN 0;
	END IF;
	RETURN coalesce((SELECT m.first_seq FROM rt.room_members AS m WHERE m.room_id = r.id AND m.user_id = actor), 0);
END
$$;
COMMENT ON FUNCTION rt_private.hidden_seq(rt.rooms, text) IS 'last message of a room that is hidden from a member';

CREATE FUNCTION rt_private.api_admin_room(actor text, req jsonb) RETURNS rt.rooms
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
BEGIN
	IF NOT rt_private.is_room_admin(r.id, actor) THEN
		RAISE EXCEPTION 'only an admin of the room may do this' USING ERRCODE = 'RT403';
	END IF;
	RETURN r;
END
$$;
COMMENT ON FUNCTION rt_private.api_admin_room(text, jsonb) IS 'the room of a request; RT403 if the actor is not an admin';

-- Rooms as one of their members sees them, in this order.  In one statement, without functions of our own for what is asked of
-- each: to call one takes as long as what it does.  One plan for all calls: to plan it takes longer than a page.
CREATE FUNCTION rt_private.rooms_json(actor text, ids bigint[]) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN (SELECT coalesce(json_agg(json_build_object('id', r.id::text, 'roomId', r.id::text, 'name', r.name, 'kind', r.kind,
			'topic', r.topic, 'archived', r.archived, 'history', r.history, 'whoMayPost', r.who_may_post,
			'whoMayAdd', r.who_may_add, 'whoMayPin', r.who_may_pin, 'whoMayMentionAll', r.who_may_mention_all,
			'role', (u.m).role, 'notifications', json_build_object('level', (u.m).notify, 'mutedUntil', rt_private.iso((u.m).muted_until)),
			'createdBy', r.created_by,
			'memberCount', CASE r.kind WHEN 'direct' THEN 2 ELSE (SELECT count(*) FROM rt.room_members AS o WHERE o.room_id = r.id) END,
			'lastSeq', rt_private.last_seq(r.id, r.last_seq),
			'lastChange', coalesce((SELECT c.last_change FROM rt_private.change_counters AS c WHERE c.room_id = r.id), 0),
			'lastMessage', (SELECT rt_private.message_json(h.m) FROM rt_private.history AS h
				WHERE h.room_id = r.id AND h.seq > CASE r.history WHEN 'joined' THEN (u.m).first_seq ELSE 0 END ORDER BY h.seq DESC LIMIT 1),
			'unreadCount', u.messages, 'mentionCount', u.mentions, 'lastReadSeq', (u.m).last_read_seq, 'createdAt', rt_private.iso(r.created_at),
			'peer', CASE r.kind WHEN 'direct' THEN (SELECT rt_private.user_json(p) FROM rt.users AS p
				WHERE p.id = ANY (rt_private.direct_users(r.direct_key)) AND p.id <> actor) END) ORDER BY t.n), '[]')
		FROM unnest(ids) WITH ORDINALITY AS t (id, n)
			CROSS JOIN LATERAL (SELECT o.* FROM rt.rooms AS o WHERE o.id = t.id OFFSET 0) AS r
			CROSS JOIN LATERAL (SELECT o.* FROM rt_private.unread AS o WHERE o.room_id = t.id AND o.user_id = actor OFFSET 0) AS u);
END
$$;
COMMENT ON FUNCTION rt_private.rooms_json(text, bigint[]) IS 'rooms as one of their members sees them';

-- Read anew, and not what r holds.
CREATE FUNCTION rt_private.room_json_for(r rt.rooms, actor text) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN rt_private.rooms_json(actor, ARRAY[r.id]) -> 0;
END
$$;
COMMENT ON FUNCTION rt_private.room_json_for(rt.rooms, text) IS 'a room as a user sees it';

-- By latest activity.  All rooms of the user are sorted, so by their keys alone; only those on the page are read.
CREATE FUNCTION rt_api.rooms_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most integer := rt_private.req_limit(req, 50, 200);
	behind record;
	ids bigint[];
	rooms json;
	next_cursor text;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT * INTO behind FROM rt_private.req_cursor(req);
	IF behind.id !~ '^[0-9]{1,18}$' THEN
		RAISE EXCEPTION 'cursor must be the nextCursor of a page' USING ERRCODE = 'RT400';
	END IF;
	SELECT array_agg(t.id ORDER BY t.n) FILTER (WHERE t.n <= most),
		max(rt_private.cursor_text(t.at, t.id::text)) FILTER (WHERE t.n = most AND t.total > most)
	INTO ids, next_cursor
	FROM (SELECT f.*, row_number() OVER (ORDER BY f.at DESC, f.id DESC) AS n, count(*) OVER () AS total FROM (
			SELECT r.id, coalesce(r.last_at, r.created_at) AS at FROM rt.room_members AS m JOIN rt.rooms AS r ON r.id = m.room_id
			WHERE m.user_id = actor
				AND (behind.id IS NULL OR (coalesce(r.last_at, r.created_at), r.id) < (behind.at, behind.id::bigint))
			ORDER BY coalesce(r.last_at, r.created_at) DESC, r.id DESC LIMIT most + 1) AS f) AS t;
	rooms := rt_private.rooms_json(actor, ids);
	RETURN json_build_object('status', 200, 'data', rooms, 'count', json_array_length(rooms), 'nextCursor', next_cursor);
END
$$;
COMMENT ON FUNCTION rt_api.rooms_list(text, jsonb) IS 'GET /api/chat/rooms';

CREATE FUNCTION rt_private.req_user_ids(req jsonb, key text) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids jsonb := rt_private.req_array(req, key, 10000);
BEGIN
	IF EXISTS (SELECT FROM jsonb_array_elements(ids) AS e WHERE jsonb_typeof(e) NOT IN ('string', 'number')) THEN
		RAISE EXCEPTION '% must be an array of user ids', key USING ERRCODE = 'RT400';
	END IF;
	RETURN ARRAY(SELECT DISTINCT jsonb_array_elements_text(ids));
END
$$;
COMMENT ON FUNCTION rt_private.req_user_ids(jsonb, text) IS 'user ids in a request';

CREATE FUNCTION rt_private.req_room_name(req jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text := nullif(btrim(rt_private.req_text_opt(req, 'name')), '');
BEGIN
	IF octet_length(name) > 1024 THEN
		RAISE EXCEPTION 'name is too long' USING ERRCODE = 'RT413';
	END IF;
	RETURN name;
END
$$;
COMMENT ON FUNCTION rt_private.req_room_name(jsonb) IS 'a room''s name in a request, or null';

CREATE FUNCTION rt_private.invited(room_id bigint, users text[]) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(i.user_id ORDER BY i.user_id), '[]') FROM rt.room_invitations AS i
	WHERE i.room_id = invited.room_id AND i.user_id = ANY (users)
$$;
COMMENT ON FUNCTION rt_private.invited(bigint, text[]) IS 'those of some users who are invited to a room';

CREATE FUNCTION rt_api.room_create(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kind text := rt_private.req_choice(req, 'kind', ARRAY['direct', 'group']);
	members text[] := rt_private.req_user_ids(req, 'memberIds');
	name text := rt_private.req_room_name(req);
	made record;
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.act_as(actor);
	SELECT * INTO made FROM rt_private.make_room(actor, name, kind, members);
	RETURN json_build_object('status', CASE WHEN made.created THEN 201 ELSE 200 END,
		'data', rt_private.room_json_for(made.room, actor), 'invited', rt_private.invited((made.room).id, members));
END
$$;
COMMENT ON FUNCTION rt_api.room_create(text, jsonb) IS 'POST /api/chat/rooms';

CREATE FUNCTION rt_api.room_get(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('status', 200, 'data', rt_private.room_json_for(rt_private.api_room(actor, req), actor));
END
$$;
COMMENT ON FUNCTION rt_api.room_get(text, jsonb) IS 'GET /api/chat/rooms/:id';

CREATE FUNCTION rt_private.req_who(req jsonb, key text, otherwise text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN rt_private.req_choice(req, key, ARRAY['admins', 'members'], otherwise);
END
$$;
COMMENT ON FUNCTION rt_private.req_who(jsonb, text, text) IS 'reads "admins" or "members" from a request';

-- What is left out stays as it is.
CREATE FUNCTION rt_api.room_update(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_admin_room(actor, req);
	new_name text := rt_private.req_room_name(req);
	new_topic text := nullif(btrim(rt_private.req_text_opt(req, 'topic')), '');
BEGIN
	IF new_name IS NULL AND NOT req ?| ARRAY['topic', 'archived', 'history', 'whoMayPost', 'whoMayAdd', 'whoMayPin', 'whoMayMentionAll'] THEN
		RAISE EXCEPTION 'name is missing' USING ERRCODE = 'RT400';
	END IF;
	IF octet_length(new_topic) > 4096 THEN
		RAISE EXCEPTION 'topic is too long' USING ERRCODE = 'RT413';
	END IF;
	UPDATE rt.rooms AS t SET name = coalesce(new_name, t.name), topic = CASE WHEN req ? 'topic' THEN new_topic ELSE t.topic END,
		archived = rt_private.req_bool(req, 'archived', t.archived), history = rt_private.req_choice(req, 'history', ARRAY['all', 'joined'], t.history),
		who_may_post = rt_private.req_who(req, 'whoMayPost', t.who_may_post), who_may_add = rt_private.req_who(req, 'whoMayAdd', t.who_may_add),
		who_may_pin = rt_private.req_who(req, 'whoMayPin', t.who_may_pin),
		who_may_mention_all = rt_private.req_who(req, 'whoMayMentionAll', t.who_may_mention_all)
	WHERE t.id = r.id RETURNING t.* INTO r;
	RETURN json_build_object('status', 200, 'data', rt_private.room_json_for(r, actor));
END
$$;
COMMENT ON FUNCTION rt_api.room_update(text, jsonb) IS 'PATCH /api/chat/rooms/:id';

CREATE FUNCTION rt_api.room_read(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	seq bigint := rt_private.req_seq(req, 'seq');
BEGIN
	IF seq IS NULL THEN
		RAISE EXCEPTION 'seq is missing' USING ERRCODE = 'RT400';
	END IF;
	RETURN json_build_object('status', 200, 'data', rt.set_read(r.id, actor, seq));
END
$$;
COMMENT ON FUNCTION rt_api.room_read(text, jsonb) IS 'PUT /api/chat/rooms/:id/read';

CREATE FUNCTION rt_api.room_delete(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_admin_room(actor, req);
BEGIN
	DELETE FROM rt.rooms AS t WHERE t.id = r.id;
	RETURN json_build_object('status', 200, 'data', json_build_object('id', r.id::text, 'roomId', r.id::text));
END
$$;
COMMENT ON FUNCTION rt_api.room_delete(text, jsonb) IS 'DELETE /api/chat/rooms/:id';

-- ---- members ---------------------------------------------------------------------

CREATE FUNCTION rt_private.members_json(room_id bigint, users text[] DEFAULT NULL) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted text[] := coalesce(users, ARRAY(SELECT m.user_id FROM rt.room_members AS m WHERE m.room_id = members_json.room_id));
BEGIN
	-- LATERAL with OFFSET 0: each by its key, even if the plan expects to find half of the members.
	RETURN (SELECT coalesce(json_agg(json_build_object('userId', u.id, 'id', u.id, 'username', u.username, 'userName', u.name,
			'name', u.name, 'role', m.role, 'joinedAt', rt_private.iso(m.joined_at), 'lastReadSeq', m.last_read_seq,
			'status', coalesce(p.status, 'offline'), 'statusMessage', p.status_message,
			'lastSeen', rt_private.iso(p.last_seen)) ORDER BY m.joined_at, u.id), '[]')
		FROM unnest(wanted) AS w (id)
		CROSS JOIN LATERAL (SELECT t.* FROM rt.room_members AS t WHERE t.room_id = members_json.room_id AND t.user_id = w.id OFFSET 0) AS m
		JOIN rt.users AS u ON u.id = m.user_id LEFT JOIN rt.presence AS p ON p.user_id = u.id);
END
$$;
COMMENT ON FUNCTION rt_private.members_json(bigint, text[]) IS 'members of a room, all or some';

CREATE FUNCTION rt_api.members_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	most integer := rt_private.req_limit(req, 50, 200);
	behind record;
	users text[];
	next_cursor text;
	members json;
BEGIN
	SELECT * INTO behind FROM rt_private.req_cursor(req);
	SELECT array_agg(t.user_id) FILTER (WHERE t.n <= most),
		max(rt_private.cursor_text(t.joined_at, t.user_id)) FILTER (WHERE t.n = most AND t.total > most)
	INTO users, next_cursor
	FROM (SELECT f.*, row_number() OVER (ORDER BY f.joined_at, f.user_id) AS n, count(*) OVER () AS total FROM (
			SELECT m.user_id, m.joined_at FROM rt.room_members AS m
			WHERE m.room_id = r.id AND (m.joined_at, m.user_id) > (coalesce(behind.at, '-infinity'), coalesce(behind.id, ''))
			ORDER BY m.joined_at, m.user_id LIMIT most + 1) AS f) AS t;
	members := rt_private.members_json(r.id, coalesce(users, '{}'));
	RETURN json_build_object('status', 200, 'data', members, 'count', json_array_length(members), 'nextCursor', next_cursor);
END
$$;
COMMENT ON FUNCTION rt_api.members_list(text, jsonb) IS 'GET /api/chat/rooms/:id/members';

-- Those who are members already get the role; who has it already is a conflict, as is a member where no role was given.
CREATE FUNCTION rt_api.members_add(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	is_admin boolean := rt_private.is_room_admin(r.id, actor);
	users text[] := rt_private.req_user_ids(req, 'userIds');
	has_role boolean := coalesce(jsonb_typeof(req -> 'role'), 'null') <> 'null';
	new_role text := rt_private.req_choice(req, 'role', ARRAY['admin', 'member'], 'member');
	members json;
	strangers text[];
BEGIN
	IF NOT is_admin AND (r.who_may_add = 'admins' OR new_role = 'admin') THEN
		RAISE EXCEPTION 'only an admin of the room may do this' USING ERRCODE = 'RT403';
	END IF;
	IF r.kind = 'direct' THEN
		RAISE EXCEPTION 'a direct room has two members' USING ERRCODE = 'RT409';
	END IF;
	PERFORM rt_private.check_users(users);
	PERFORM rt_private.check_blocks(actor, users);
	-- Locked, so that what is looked at stays so.
	PERFORM FROM rt.room_members AS m WHERE m.room_id = r.id AND m.user_id = ANY (users) ORDER BY m.user_id FOR NO KEY UPDATE;
	IF EXISTS (SELECT FROM rt.room_members AS m WHERE m.room_id = r.id AND m.user_id = ANY (users) AND (m.role = new_role OR NOT has_role)) THEN
		RAISE EXCEPTION 'already a member' USING ERRCODE = 'RT409';
	END IF;
	IF NOT is_admin AND EXISTS (SELECT FROM rt.room_members AS m WHERE m.room_id = r.id AND m.user_id = ANY (users)) THEN
		RAISE EXCEPTION 'only an admin of the room may do this' USING ERRCODE = 'RT403';
	END IF;
	strangers := rt_private.strangers(actor, users);
	IF EXISTS (SELECT FROM rt.room_invitations AS i WHERE i.room_id = r.id AND i.user_id = ANY (strangers)) THEN
		RAISE EXCEPTION 'already invited' USING ERRCODE = 'RT409';
	END IF;
	PERFORM rt_private.invite(r.id, strangers, new_role, actor);
	UPDATE rt.room_members AS m SET role = new_role WHERE m.room_id = r.id AND m.user_id = ANY (users);
	INSERT INTO rt.room_members (room_id, user_id, role)
	SELECT r.id, u, new_role FROM unnest(users) AS u
	WHERE u <> ALL (strangers) AND NOT EXISTS (SELECT FROM rt.room_members AS m WHERE m.room_id = r.id AND m.user_id = u) ORDER BY u ON CONFLICT DO NOTHING;
	members := rt_private.members_json(r.id, users);
	RETURN json_build_object('status', 200, 'data', members, 'count', json_array_length(members), 'invited', rt_private.invited(r.id, users));
END
$$;
COMMENT ON FUNCTION rt_api.members_add(text, jsonb) IS 'POST /api/chat/rooms/:id/members';

CREATE FUNCTION rt_api.member_role(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_admin_room(actor, req);
	whom text := rt_private.req_name(req, 'userId');
	new_role text := rt_private.req_choice(req, 'role', ARRAY['admin', 'member']);
BEGIN
	IF r.kind = 'direct' THEN
		RAISE EXCEPTION 'both members of a direct room are its admins' USING ERRCODE = 'RT409';
	END IF;
	UPDATE rt.room_members AS m SET role = new_role WHERE m.room_id = r.id AND m.user_id = whom AND m.role <> new_role;
	IF NOT rt_private.is_member(r.id, whom) THEN
		RAISE EXCEPTION 'member not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN json_build_object('status', 200, 'data', rt_private.members_json(r.id, ARRAY[whom]) -> 0);
END
$$;
COMMENT ON FUNCTION rt_api.member_role(text, jsonb) IS 'PATCH /api/chat/rooms/:id/members/:userId';

CREATE FUNCTION rt_api.member_remove(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	whom text := rt_private.req_name(req, 'userId');
BEGIN
	IF whom <> actor AND r.kind = 'direct' THEN
		RAISE EXCEPTION 'you cannot remove the other member of a direct room' USING ERRCODE = 'RT403';
	ELSIF whom <> actor THEN
		r := rt_private.api_admin_room(actor, req);
	END IF;
	DELETE FROM rt.room_members AS m WHERE m.room_id = r.id AND m.user_id = whom;
	IF NOT FOUND THEN
		-- A declined one stays: nobody is asked again.
		DELETE FROM rt.room_invitations AS i WHERE i.room_id = r.id AND i.user_id = whom AND i.declined_at IS NULL;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'member not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN json_build_object('status', 200, 'data', json_build_object('roomId', r.id::text, 'userId', whom));
END
$$;
COMMENT ON FUNCTION rt_api.member_remove(text, jsonb) IS 'DELETE /api/chat/rooms/:id/members/:userId; anybody may leave, and admins withdraw invitations';

-- ---- invitations -------------------------------------------------------------------

CREATE FUNCTION rt_api.invitations_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	mine json;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT coalesce(json_agg(rt_private.invitation_json(i) ORDER BY i.created_at DESC, i.room_id DESC), '[]') INTO mine
	FROM (SELECT t.* FROM rt.room_invitations AS t WHERE t.user_id = actor AND t.declined_at IS NULL
		ORDER BY t.created_at DESC, t.room_id DESC LIMIT 200) AS i;
	RETURN json_build_object('status', 200, 'data', mine, 'count', json_array_length(mine));
END
$$;
COMMENT ON FUNCTION rt_api.invitations_list(text, jsonb) IS 'GET /api/users/me/invitations: the latest 200';

CREATE FUNCTION rt_api.invitation_accept(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room rt.rooms;
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.act_as(actor);
	PERFORM rt.accept_invitation(rt_private.req_id(req, 'roomId'), actor);
	SELECT r.* INTO room FROM rt.rooms AS r WHERE r.id = rt_private.req_id(req, 'roomId');
	RETURN json_build_object('status', 200, 'data', rt_private.room_json_for(room, actor));
END
$$;
COMMENT ON FUNCTION rt_api.invitation_accept(text, jsonb) IS 'POST /api/users/me/invitations/:roomId/accept';

CREATE FUNCTION rt_api.invitation_decline(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room_id bigint := rt_private.req_id(req, 'roomId');
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.act_as(actor);
	PERFORM rt.decline_invitation(room_id, actor);
	RETURN json_build_object('status', 200, 'data', json_build_object('roomId', room_id::text, 'declined', true));
END
$$;
COMMENT ON FUNCTION rt_api.invitation_decline(text, jsonb) IS 'DELETE /api/users/me/invitations/:roomId';

-- ---- sockets in rooms ----------------------------------------------------------------

CREATE FUNCTION rt_api.join_rooms(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	asked bigint[];
	mine bigint[];
	failed json;
	seen pg_snapshot;
BEGIN
	SELECT coalesce(array_agg(rt_private.to_id(r.value, 'roomIds') ORDER BY r.n), '{}') INTO asked
	FROM jsonb_array_elements(rt_private.req_array(req, 'roomIds', 10000)) WITH ORDINALITY AS r (value, n);
	PERFORM rt_private.soft_commit();
	SELECT coalesce(array_agg(m.room_id), '{}'), pg_current_snapshot() INTO mine, seen
	FROM rt.room_members AS m WHERE m.user_id = actor AND m.room_id = ANY (asked);
	IF cardinality(mine) > 0 THEN
		UPDATE rt_private.sessions AS s
		SET joined = ARRAY(SELECT DISTINCT j FROM unnest(s.joined || mine) AS j)
		WHERE s.sid = req ->> 'sid' AND s.user_id = actor AND NOT s.joined @> mine;
	END IF;
	SELECT json_agg(json_build_object('roomId', t.id::text,
		'error', json_build_object('code', 'not_found', 'message', 'Room not found')) ORDER BY t.n) INTO failed
	FROM (SELECT a AS id, min(n) AS n FROM unnest(asked) WITH ORDINALITY AS u (a, n)
		WHERE a <> ALL (mine) GROUP BY a) AS t;
	RETURN jsonb_strip_nulls(jsonb_build_object('success', failed IS NULL,
		'rooms', coalesce((SELECT json_agg(t.id::text ORDER BY t.n)
			FROM (SELECT a AS id, min(n) AS n FROM unnest(asked) WITH ORDINALITY AS u (a, n)
				WHERE a = ANY (mine) GROUP BY a) AS t), '[]'),
		'failed', coalesce(failed, '[]'),
		'message', CASE WHEN failed IS NULL THEN 'Joined' ELSE 'Some rooms could not be joined' END,
		'error', failed -> 0 -> 'error', 'epoch', rt.epoch(), 'snapshot', seen::text));
END
$$;
COMMENT ON FUNCTION rt_api.join_rooms(text, jsonb) IS 'join-chat-rooms';

CREATE FUNCTION rt_api.leave_room(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room bigint := rt_private.req_id(req, 'roomId');
BEGIN
	PERFORM rt_private.refuse_guest(actor);
	PERFORM rt_private.soft_commit();
	UPDATE rt_private.sessions AS s SET joined = array_remove(s.joined, room)
	WHERE s.sid = req ->> 'sid' AND s.user_id = actor AND room = ANY (s.joined);
	RETURN json_build_object('success', true, 'roomId', room::text);
END
$$;
COMMENT ON FUNCTION rt_api.leave_room(text, jsonb) IS 'leave-chat-room';

CREATE FUNCTION rt_api.typing(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	is_typing boolean := rt_private.req_bool(req, 'isTyping');
	r rt.rooms;
BEGIN
	-- the end of it is told even of one who was removed meanwhile
	IF is_typing THEN
		r := rt_private.api_room(actor, req);
	END IF;
	PERFORM rt_private.emit('chat-user-typing', rt_private.room_route(rt_private.req_id(req, 'roomId'), req ->> 'sid'),
		json_build_object('userId', actor, 'userName', rt_private.user_name(actor), 'roomId', rt_private.req_id(req, 'roomId')::text,
			'isTyping', is_typing, 'timestamp', rt_private.iso(clock_timestamp())), false);
	RETURN json_build_object('roomId', rt_private.req_id(req, 'roomId')::text, 'isTyping', is_typing);
END
$$;
COMMENT ON FUNCTION rt_api.typing(text, jsonb) IS 'chat-typing';

-- ---- presence ------------------------------------------------------------------------

CREATE FUNCTION rt_api.set_status(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	status text := rt_private.req_choice(req, 'status', ARRAY['online', 'away', 'busy']);
	message text := rt_private.req_text_opt(req, 'statusMessage');
BEGIN
	IF octet_length(message) > 1024 THEN
		RAISE EXCEPTION 'statusMessage is too long' USING ERRCODE = 'RT413';
	END IF;
	PERFORM rt_private.act_as(actor);
	PERFORM rt_private.set_connection_status(req ->> 'sid', actor, status, message);
	RETURN json_build_object('status', status, 'statusMessage', message);
END
$$;
COMMENT ON FUNCTION rt_api.set_status(text, jsonb) IS 'update-chat-status';

CREATE FUNCTION rt_api.online_users(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	users json;
BEGIN
	SELECT coalesce(json_agg(json_build_object('userId', u.id, 'userName', u.name, 'status', p.status,
		'lastSeen', rt_private.iso(p.last_seen), 'statusMessage', p.status_message) ORDER BY u.id), '[]') INTO users
	FROM rt.room_members AS m JOIN rt.users AS u ON u.id = m.user_id JOIN rt.presence AS p ON p.user_id = u.id
	WHERE m.room_id = r.id AND p.status <> 'offline';
	RETURN json_build_object('roomId', r.id::text, 'users', users, 'count', json_array_length(users));
END
$$;
COMMENT ON FUNCTION rt_api.online_users(text, jsonb) IS 'get-room-online-users';
