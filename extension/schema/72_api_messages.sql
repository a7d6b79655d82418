-- The API of the gateways: messages, reactions, receipts, history.

-- ---- sending ---------------------------------------------------------------------

-- Why a user may not send to a room, whose row is locked; null: may.
CREATE FUNCTION rt_private.send_refusal(room rt.rooms, actor text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	role text := (SELECT m.role FROM rt.room_members AS m WHERE m.room_id = room.id AND m.user_id = actor);
BEGIN
	RETURN CASE
		WHEN role IS NULL THEN 'room not found'
		WHEN room.archived THEN 'the room is archived'
		WHEN room.who_may_post = 'admins' AND role <> 'admin' THEN 'only admins may send messages to this room'
		WHEN room.kind = 'direct' AND EXISTS (SELECT FROM rt.blocks AS b
			WHERE (b.user_id, b.blocked_id) IN (SELECT x, y FROM unnest(rt_private.direct_users(room.direct_key)) AS x,
				unnest(rt_private.direct_users(room.direct_key)) AS y)) THEN 'one of you has blocked the other' END;
END
$$;
COMMENT ON FUNCTION rt_private.send_refusal(rt.rooms, text) IS 'why a user may not send to a room; null if they may';

-- What waits for one room goes in one transaction, with one lock of the room and one INSERT (extension/messages/send.c).
CREATE FUNCTION rt_api.message_send_batch(actor text, req jsonb) RETURNS json
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rt_send_batch';
COMMENT ON FUNCTION rt_api.message_send_batch(text, jsonb) IS 'POST /api/chat/rooms/:id/msgs, many at once';

CREATE FUNCTION rt_api.message_send(actor text, req jsonb) RETURNS json
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rt_send_one';
COMMENT ON FUNCTION rt_api.message_send(text, jsonb) IS 'POST /api/chat/rooms/:id/msgs';

-- ---- one message -------------------------------------------------------------------

CREATE FUNCTION rt_private.api_message(actor text, req jsonb) RETURNS rt.messages
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	m rt.messages;
BEGIN
	SELECT (h.m).* INTO m FROM rt_private.history AS h
	WHERE h.room_id = r.id AND h.seq = rt_private.to_seq(req -> 'messageId', 'messageId', r.id);
	IF NOT FOUND OR m.seq <= rt_private.hidden_seq(r, actor) THEN
		RAISE EXCEPTION 'message not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.api_message(text, jsonb) IS 'the message of a request';

CREATE FUNCTION rt_private.api_open_message(actor text, req jsonb) RETURNS rt.messages
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
BEGIN
	IF (SELECT r.archived FROM rt.rooms AS r WHERE r.id = m.room_id) THEN
		RAISE EXCEPTION 'the room is archived' USING ERRCODE = 'RT403';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.api_open_message(text, jsonb) IS 'the message of a request, in a room that is not archived';

CREATE FUNCTION rt_api.message_edit(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_open_message(actor, req);
	new_content text := rt_private.req_text_opt(req, 'content');
	new_metadata jsonb := CASE WHEN coalesce(jsonb_typeof(req -> 'metadata'), 'null') <> 'null'
		THEN rt_private.req_object(req, 'metadata') END;
BEGIN
	IF m.sender_id IS DISTINCT FROM actor THEN
		RAISE EXCEPTION 'only the sender may edit a message' USING ERRCODE = 'RT403';
	END IF;
	IF m.deleted_at IS NOT NULL THEN
		RAISE EXCEPTION 'message was deleted' USING ERRCODE = 'RT410';
	END IF;
	IF new_content IS NULL AND NOT req ? 'metadata' THEN
		RAISE EXCEPTION 'content is missing' USING ERRCODE = 'RT400';
	END IF;
	UPDATE rt.messages AS t SET content = coalesce(new_content, t.content), metadata = coalesce(new_metadata, t.metadata)
	WHERE t.room_id = m.room_id AND t.seq = m.seq RETURNING t.* INTO m;
	RETURN json_build_object('status', 200, 'data', rt_private.message_json(m));
END
$$;
COMMENT ON FUNCTION rt_api.message_edit(text, jsonb) IS 'PATCH …/msgs/:messageId';

CREATE FUNCTION rt_api.message_delete(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
BEGIN
	IF m.sender_id IS DISTINCT FROM actor AND NOT rt_private.is_room_admin(m.room_id, actor) THEN
		RAISE EXCEPTION 'only the sender or an admin may delete a message' USING ERRCODE = 'RT403';
	END IF;
	UPDATE rt.messages AS t SET deleted_at = clock_timestamp()
	WHERE t.room_id = m.room_id AND t.seq = m.seq AND t.deleted_at IS NULL RETURNING t.* INTO m;
	IF NOT FOUND THEN
		m := rt_private.api_message(actor, req);
	END IF;
	RETURN json_build_object('status', 200, 'data', rt_private.message_json(m));
END
$$;
COMMENT ON FUNCTION rt_api.message_delete(text, jsonb) IS 'DELETE …/msgs/:messageId; again is no error';

-- ---- reactions ---------------------------------------------------------------------

CREATE FUNCTION rt_private.req_emoji(req jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	emoji text := rt_private.req_text(req, 'emoji');
BEGIN
	IF octet_length(emoji) > 64 OR emoji ~ '[[:cntrl:]]' OR emoji IN ('.', '..') THEN
		RAISE EXCEPTION 'emoji must have 1 to 64 bytes' USING ERRCODE = 'RT400';
	END IF;
	RETURN emoji;
END
$$;
COMMENT ON FUNCTION rt_private.req_emoji(jsonb) IS 'a reaction in a request';

CREATE FUNCTION rt_private.reaction_data(m rt.messages, actor text, emoji text) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('status', 200, 'data', json_build_object(
		'messageId', rt_private.message_id(m.room_id, m.seq), 'roomId', m.room_id::text, 'userId', actor, 'emoji', emoji));
END
$$;
COMMENT ON FUNCTION rt_private.reaction_data(rt.messages, text, text) IS 'the response to a reaction';

CREATE FUNCTION rt_api.reaction_add(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_open_message(actor, req);
	reaction text := rt_private.req_emoji(req);
BEGIN
	IF (SELECT count(*) FROM rt.reactions AS r WHERE r.room_id = m.room_id AND r.seq = m.seq AND r.user_id = actor) >= 20
		AND NOT EXISTS (SELECT FROM rt.reactions AS r WHERE r.room_id = m.room_id AND r.seq = m.seq AND r.user_id = actor
			AND r.emoji = reaction) THEN
		RAISE EXCEPTION 'too many reactions' USING ERRCODE = 'RT409';
	END IF;
	INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (m.room_id, m.seq, actor, reaction) ON CONFLICT DO NOTHING;
	RETURN rt_private.reaction_data(m, actor, reaction);
END
$$;
COMMENT ON FUNCTION rt_api.reaction_add(text, jsonb) IS 'PUT …/reactions/:emoji; again is no error';

CREATE FUNCTION rt_api.reaction_remove(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_open_message(actor, req);
	reaction text := rt_private.req_emoji(req);
BEGIN
	DELETE FROM rt.reactions AS r
	WHERE r.room_id = m.room_id AND r.seq = m.seq AND r.user_id = actor AND r.emoji = reaction;
	RETURN rt_private.reaction_data(m, actor, reaction);
END
$$;
COMMENT ON FUNCTION rt_api.reaction_remove(text, jsonb) IS 'DELETE …/reactions/:emoji; again is no error';

-- ---- receipts ----------------------------------------------------------------------

CREATE FUNCTION rt_api.mark_seen(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms;
	ids jsonb := rt_private.req_array(req, 'messageIds', 10000);
	seqs bigint[];
BEGIN
	SELECT coalesce(array_agg(rt_private.to_seq(i, 'messageIds', rt_private.req_id(req, 'roomId'))), '{}') INTO seqs
	FROM jsonb_array_elements(ids) AS i;
	r := rt_private.api_room(actor, req);
	IF (SELECT min(s) FROM unnest(seqs) AS s) <= rt_private.hidden_seq(r, actor) THEN
		RAISE EXCEPTION 'message not found' USING ERRCODE = 'RT404';
	END IF;
	PERFORM rt_private.mark_seen(r.id, actor, seqs, req ->> 'sid');
	RETURN json_build_object('success', true, 'roomId', r.id::text, 'messageIds', ids);
END
$$;
COMMENT ON FUNCTION rt_api.mark_seen(text, jsonb) IS 'mark-msgs-seen';

CREATE FUNCTION rt_api.message_delivered(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
BEGIN
	PERFORM rt_private.mark_delivered(m.room_id, actor, ARRAY[m.seq], NULL);
	RETURN json_build_object('status', 200, 'data', json_build_object('messageId', rt_private.message_id(m.room_id, m.seq),
		'roomId', m.room_id::text, 'deliveredTo', actor));
END
$$;
COMMENT ON FUNCTION rt_api.message_delivered(text, jsonb) IS 'PUT …/delivered; again is no error';

CREATE FUNCTION rt_api.receipts(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
	receipts json;
BEGIN
	SELECT coalesce(json_agg(json_build_object('userId', t.user_id, 'userName', rt_private.user_name(t.user_id),
		'deliveredAt', rt_private.iso(coalesce(t.delivered, t.seen)), 'seenAt', rt_private.iso(t.seen)) ORDER BY t.user_id), '[]') INTO receipts
	FROM (
		SELECT member.user_id, min(r.at) FILTER (WHERE r.kind = 'd') AS delivered, min(r.at) FILTER (WHERE r.kind = 's') AS seen
		FROM rt.room_members AS member
		CROSS JOIN (VALUES ('d'::"char"), ('s')) AS k (kind)
		CROSS JOIN LATERAL (SELECT t.kind, t.at, t.seq_to FROM rt_private.receipt_ranges AS t
			WHERE t.room_id = m.room_id AND t.user_id = member.user_id AND t.kind = k.kind AND t.seq_from <= m.seq
			ORDER BY t.seq_from DESC LIMIT 1) AS r
		WHERE member.room_id = m.room_id AND r.seq_to >= m.seq
		GROUP BY member.user_id) AS t;
	RETURN json_build_object('status', 200, 'data', receipts, 'count', json_array_length(receipts));
END
$$;
COMMENT ON FUNCTION rt_api.receipts(text, jsonb) IS 'GET …/receipts';

-- ---- history -----------------------------------------------------------------------

CREATE FUNCTION rt_private.req_seq(req jsonb, key text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(jsonb_typeof(req -> key), 'null') = 'null' THEN
		RETURN NULL;
	END IF;
	IF jsonb_typeof(req -> key) NOT IN ('string', 'number') OR req ->> key !~ '^[0-9]{1,255}$' THEN
		RAISE EXCEPTION '% must be a number', key USING ERRCODE = 'RT400';
	END IF;
	-- No message has a number beyond 64 bits, nor comes behind the highest.
	RETURN least((req ->> key)::numeric, 9223372036854775807)::bigint;
END
$$;
COMMENT ON FUNCTION rt_private.req_seq(jsonb, text) IS 'a message''s number in a request, or null';

-- Rising; one more than asked for tells whether there are more.  The first message comes whatever its size, if anything
-- may come at all; size is what was taken, last_seq the room's as the page was read.  In PL/pgSQL, which keeps plans: sync-rooms
-- calls it for each of many rooms.
CREATE FUNCTION rt_private.page_after(room_id bigint, after bigint, before bigint, most integer, bytes bigint,
	OUT page json, OUT has_more boolean, OUT size bigint, OUT last_seq bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT coalesce(json_agg(rt_private.message_json(t.m) ORDER BY t.n) FILTER (WHERE t.fits), '[]'),
		count(*) > count(*) FILTER (WHERE t.fits), coalesce(max(t.upto) FILTER (WHERE t.fits), 0),
		(SELECT rt_private.last_seq(r.id, r.last_seq) FROM rt.rooms AS r WHERE r.id = page_after.room_id)
	INTO page, has_more, size, last_seq
	FROM (SELECT s.m, s.n, s.upto, s.n <= most AND bytes > 0 AND (s.n = 1 OR s.upto <= bytes) AS fits
		FROM (SELECT h.m, row_number() OVER w AS n,
				sum(octet_length((h.m).content) + coalesce(octet_length((h.m).metadata::text), 0) + 300) OVER w AS upto
			FROM rt_private.history AS h
			WHERE h.room_id = page_after.room_id AND h.seq > after AND h.seq < coalesce(before, 9223372036854775807)
			WINDOW w AS (ORDER BY h.seq)
			ORDER BY h.seq LIMIT CASE WHEN bytes > 0 THEN most + 1 ELSE 1 END) AS s) AS t;
END
$$;
COMMENT ON FUNCTION rt_private.page_after(bigint, bigint, bigint, integer, bigint) IS 'messages of a room after a number';

CREATE FUNCTION rt_private.page_before(room_id bigint, before bigint, above bigint, most integer,
	OUT page json, OUT has_more boolean, OUT last_seq bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT coalesce(json_agg(rt_private.message_json(t.m) ORDER BY t.n DESC) FILTER (WHERE t.n <= most), '[]'), count(*) > most,
		(SELECT rt_private.last_seq(r.id, r.last_seq) FROM rt.rooms AS r WHERE r.id = page_before.room_id)
	INTO page, has_more, last_seq
	FROM (SELECT h.m, row_number() OVER (ORDER BY h.seq DESC) AS n FROM rt_private.history AS h
		WHERE h.room_id = page_before.room_id AND h.seq < coalesce(before, 9223372036854775807) AND h.seq > above
		ORDER BY h.seq DESC LIMIT most + 1) AS t;
END
$$;
COMMENT ON FUNCTION rt_private.page_before(bigint, bigint, bigint, integer) IS 'the newest messages of a room below a number, and above another, rising';

-- What a page of messages lacks, since a reaction is no part of a message: [{ messageId, emoji, userIds }], rising.
CREATE FUNCTION rt_private.page_reactions(room_id bigint, page json) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(json_build_object('messageId', rt_private.message_id(t.room_id, t.seq), 'emoji', t.emoji,
		'userIds', t.users) ORDER BY t.seq, t.first), '[]')
	FROM (SELECT r.room_id, r.seq, r.emoji, json_agg(r.user_id ORDER BY r.created_at, r.user_id) AS users, min(r.created_at) AS first
		FROM rt.reactions AS r
		WHERE r.room_id = page_reactions.room_id
			AND r.seq BETWEEN (page -> 0 ->> 'seq')::bigint AND (page -> -1 ->> 'seq')::bigint
		GROUP BY r.room_id, r.seq, r.emoji) AS t
$$;
COMMENT ON FUNCTION rt_private.page_reactions(bigint, json) IS 'the reactions to a page of messages';

-- Which of a page are pinned, as message ids, rising.
CREATE FUNCTION rt_private.page_pins(room_id bigint, page json) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(rt_private.message_id(p.room_id, p.seq) ORDER BY p.seq), '[]')
	FROM rt.pins AS p
	WHERE p.room_id = page_pins.room_id AND p.seq BETWEEN (page -> 0 ->> 'seq')::bigint AND (page -> -1 ->> 'seq')::bigint
$$;
COMMENT ON FUNCTION rt_private.page_pins(bigint, json) IS 'the pinned messages of a page';

-- Which of a page have replies: [{ messageId, replyCount, lastReplySeq, lastReplyAt }], rising.
CREATE FUNCTION rt_private.page_threads(room_id bigint, page json) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(json_build_object('messageId', rt_private.message_id(t.room_id, t.seq), 'replyCount', t.replies,
		'lastReplySeq', t.last_reply_seq, 'lastReplyAt', rt_private.iso(t.last_reply_at)) ORDER BY t.seq), '[]')
	FROM rt.threads AS t
	WHERE t.room_id = page_threads.room_id AND t.replies > 0
		AND t.seq BETWEEN (page -> 0 ->> 'seq')::bigint AND (page -> -1 ->> 'seq')::bigint
$$;
COMMENT ON FUNCTION rt_private.page_threads(bigint, json) IS 'the replies to a page of messages, counted';

CREATE FUNCTION rt_api.message_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	after bigint := rt_private.req_seq(req, 'afterSeq');
	before bigint := rt_private.req_seq(req, 'beforeSeq');
	most integer := rt_private.req_limit(req, 50, 200);
	hidden bigint := rt_private.hidden_seq(r, actor);
	last_change bigint := rt_private.last_change(r.id); -- before the page, which then has all up to it
	found_page record;
BEGIN
	IF after IS NULL THEN
		SELECT * INTO found_page FROM rt_private.page_before(r.id, before, hidden, most);
	ELSE
		SELECT * INTO found_page FROM rt_private.page_after(r.id, greatest(after, hidden), before, most, 16777216);
	END IF;
	RETURN json_build_object('status', 200, 'data', found_page.page, 'hasMore', found_page.has_more,
		'count', json_array_length(found_page.page), 'lastSeq', found_page.last_seq, 'lastChange', last_change, 'epoch', rt.epoch(),
		'reactions', rt_private.page_reactions(r.id, found_page.page), 'pinned', rt_private.page_pins(r.id, found_page.page),
		'threads', rt_private.page_threads(r.id, found_page.page));
END
$$;
COMMENT ON FUNCTION rt_api.message_list(text, jsonb) IS 'GET /api/chat/rooms/:id/msgs';

-- ---- search --------------------------------------------------------------------------

-- What is asked, read once: { q, from, rooms, hidden, before, after, at, room, seq }; the last three from the cursor.
CREATE TYPE rt_private.search_request AS (
	q text,
	words tsquery,
	sender text,
	rooms bigint[],
	hidden jsonb,
	before timestamptz,
	after timestamptz,
	at timestamptz,
	room bigint,
	seq bigint
);
COMMENT ON TYPE rt_private.search_request IS 'a search for messages, with the position of its page';
COMMENT ON COLUMN rt_private.search_request.q IS 'the search string';
COMMENT ON COLUMN rt_private.search_request.words IS 'the query for the index';
COMMENT ON COLUMN rt_private.search_request.sender IS 'only messages of this user; null: of any user';
COMMENT ON COLUMN rt_private.search_request.rooms IS 'the rooms that are searched';
COMMENT ON COLUMN rt_private.search_request.hidden IS 'last hidden message of rooms that hide their history';
COMMENT ON COLUMN rt_private.search_request.before IS 'only messages sent before it';
COMMENT ON COLUMN rt_private.search_request.after IS 'only messages sent after it';
COMMENT ON COLUMN rt_private.search_request.at IS 'position of the page: time of the last message,';
COMMENT ON COLUMN rt_private.search_request.room IS 'its room,';
COMMENT ON COLUMN rt_private.search_request.seq IS 'its number';

CREATE FUNCTION rt_private.search_fits(s rt_private.search_request, m rt.messages) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN m.deleted_at IS NULL AND (s.sender IS NULL OR m.sender_id = s.sender)
		AND (s.before IS NULL OR m.created_at < s.before) AND (s.after IS NULL OR m.created_at > s.after)
		AND m.seq > coalesce((s.hidden ->> m.room_id::text)::bigint, 0)
		AND (s.at IS NULL OR m.created_at < s.at OR (m.created_at = s.at AND (m.room_id > s.room OR (m.room_id = s.room AND m.seq < s.seq))));
END
$$;
COMMENT ON FUNCTION rt_private.search_fits(rt_private.search_request, rt.messages) IS 'whether a message matches the filters of a search';

CREATE FUNCTION rt_private.search_hit(m rt.messages, q text) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (left(rt_private.message_json(m)::text, -1) || ',"highlights":' || rt_private.search_highlights(m.content, q)::text || '}')::json;
END
$$;
COMMENT ON FUNCTION rt_private.search_hit(rt.messages, text) IS 'a message that was found';

-- From the newest message backwards, until the page is full (extension/messages/search_walk.c).  Null where it is cheaper to read
-- all matches.  In each room times must rise with numbers.
CREATE FUNCTION rt_private.search_walk(words tsquery, rooms bigint[], hidden bigint[], sender text, before timestamptz, after timestamptz,
	at timestamptz, room bigint, seq bigint, most integer) RETURNS tid[]
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'rt_search_walk';
COMMENT ON FUNCTION rt_private.search_walk(tsquery, bigint[], bigint[], text, timestamptz, timestamptz, timestamptz, bigint, bigint, integer) IS
	'finds the newest messages of rooms that match; null: not found out';

-- By the index.  A bitmap that does not fit its memory would have the words of whole pages of messages made anew; and the array of
-- rooms is hashed only where the plan knows it.  search_fits() is asked only where there is something to ask: it is called for
-- each match.  Where a user is in many rooms, their messages in the primary key are more than the matches: + 0 leaves it out.
CREATE FUNCTION rt_private.search_index(s rt_private.search_request, most integer) RETURNS rt.messages[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' SET plan_cache_mode = force_custom_plan SET jit = off AS $$
DECLARE
	words tsquery := s.words;
	rooms bigint[] := s.rooms;
	is_filtered boolean := s.sender IS NOT NULL OR s.before IS NOT NULL OR s.after IS NOT NULL OR s.at IS NOT NULL
		OR coalesce(s.hidden, '{}') <> '{}';
BEGIN
	IF cardinality(rooms) <= 8 THEN
		RETURN ARRAY(SELECT m FROM rt.messages AS m
			WHERE rt_private.search_vector(m.content) @@ words AND m.deleted_at IS NULL AND m.room_id = ANY (rooms)
				AND (NOT is_filtered OR rt_private.search_fits(s, m))
			ORDER BY m.created_at DESC, m.room_id, m.seq DESC LIMIT most);
	END IF;
	RETURN ARRAY(SELECT m FROM rt.messages AS m
		WHERE rt_private.search_vector(m.content) @@ words AND m.deleted_at IS NULL AND m.room_id + 0 = ANY (rooms)
			AND (NOT is_filtered OR rt_private.search_fits(s, m))
		ORDER BY m.created_at DESC, m.room_id, m.seq DESC LIMIT most);
END
$$;
COMMENT ON FUNCTION rt_private.search_index(rt_private.search_request, integer) IS 'searches by the index';

-- The rooms whose times do not rise are searched by the index.  All of it under one snapshot, as the function is STABLE: what
-- rt.rooms says of a room holds for the messages that are seen.
CREATE FUNCTION rt_private.search_newest(s rt_private.search_request, most integer) RETURNS rt.messages[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET work_mem = '64MB' AS $$
DECLARE
	others rt_private.search_request := s;
	rooms bigint[];
	hidden bigint[];
	places tid[];
	late rt.messages[] := '{}';
BEGIN
	SELECT coalesce(array_agg(r.id) FILTER (WHERE r.rises), '{}'), coalesce(array_agg(r.id) FILTER (WHERE NOT r.rises), '{}')
	INTO rooms, others.rooms
	FROM (SELECT t.id, coalesce(t.newest_at < 'infinity', t.last_seq = 0) AS rises FROM rt.rooms AS t WHERE t.id = ANY (s.rooms)) AS r;
	IF rooms = '{}' THEN
		RETURN NULL;
	END IF;
	hidden := CASE WHEN s.hidden <> '{}' THEN ARRAY(SELECT coalesce((s.hidden ->> r.id::text)::bigint, 0)
		FROM unnest(rooms) WITH ORDINALITY AS r (id, n) ORDER BY r.n) END;
	places := rt_private.search_walk(s.words, rooms, hidden, s.sender, s.before, s.after, s.at, s.room, s.seq, most);
	IF places IS NULL THEN
		RETURN NULL;
	ELSIF others.rooms <> '{}' THEN
		late := rt_private.search_index(others, most);
	END IF;
	RETURN ARRAY(SELECT t.m FROM (SELECT m FROM rt.messages AS m WHERE m.ctid = ANY (places)
			UNION ALL SELECT l FROM unnest(late) AS l) AS t
		ORDER BY (t.m).created_at DESC, (t.m).room_id, (t.m).seq DESC LIMIT most);
END
$$;
COMMENT ON FUNCTION rt_private.search_newest(rt_private.search_request, integer) IS
	'searches from the newest message backwards; null if that does not pay';

CREATE FUNCTION rt_private.req_search(actor text, req jsonb) RETURNS rt_private.search_request
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s rt_private.search_request;
	wanted_room bigint := rt_private.req_id_opt(req, 'roomId');
	behind record;
	parts text[];
BEGIN
	s.q := rt_private.req_text(req, 'q');
	s.words := rt_private.search_query(s.q);
	s.sender := rt_private.req_text_opt(req, 'from');
	s.before := rt_private.req_timestamp(req, 'before');
	s.after := rt_private.req_timestamp(req, 'after');
	SELECT * INTO behind FROM rt_private.req_cursor(req);
	IF behind.id IS NOT NULL THEN
		parts := regexp_match(behind.id, '^([0-9]{1,18})-([0-9]{1,18})$');
		IF parts IS NULL THEN
			RAISE EXCEPTION 'cursor must be the nextCursor of a page' USING ERRCODE = 'RT400';
		END IF;
		s.at := behind.at;
		s.room := parts[1]::bigint;
		s.seq := parts[2]::bigint;
	END IF;
	s.hidden := rt_private.own_hidden();
	s.rooms := ARRAY(SELECT mine.room_id FROM rt.room_members AS mine
		WHERE mine.user_id = actor AND (wanted_room IS NULL OR mine.room_id = wanted_room));
	RETURN s;
END
$$;
COMMENT ON FUNCTION rt_private.req_search(text, jsonb) IS 'reads a request to search';

CREATE FUNCTION rt_api.search(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most integer := rt_private.req_limit(req, 50, 200);
	s rt_private.search_request;
	hits rt.messages[];
	answer json;
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.act_as(actor);
	IF rt_private.req_id_opt(req, 'roomId') IS NOT NULL THEN
		PERFORM rt_private.api_room(actor, req);
	END IF;
	s := rt_private.req_search(actor, req);
	IF numnode(s.words) = 0 THEN
		hits := '{}';
	ELSE
		hits := rt_private.search_newest(s, most + 1);
	END IF;
	IF hits IS NULL THEN
		hits := rt_private.search_index(s, most + 1);
	END IF;
	SELECT coalesce(json_agg(rt_private.search_hit(h, s.q) ORDER BY h.created_at DESC, h.room_id, h.seq DESC), '[]') INTO answer
	FROM unnest(hits[1:most]) AS h;
	RETURN json_build_object('status', 200, 'data', answer, 'count', json_array_length(answer), 'nextCursor',
		CASE WHEN cardinality(hits) > most THEN rt_private.cursor_text(hits[most].created_at, rt_private.message_id(hits[most].room_id, hits[most].seq)) END);
END
$$;
COMMENT ON FUNCTION rt_api.search(text, jsonb) IS 'GET /api/chat/search';
