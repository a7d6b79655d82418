-- 73_api_changes.sql: the API of the gateways: what changed meanwhile.

-- What is no part of a message's row: [{ emoji, count, userIds }], the earliest reaction first.
CREATE FUNCTION rt_private.message_reactions(room_id bigint, seq bigint) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT coalesce(json_agg(json_build_object('emoji', t.emoji, 'count', t.n, 'userIds', t.users) ORDER BY t.first, t.emoji), '[]')
		FROM (SELECT r.emoji, count(*) AS n, min(r.created_at) AS first,
				(array_agg(r.user_id ORDER BY r.created_at, r.user_id))[1:50] AS users
			FROM rt.reactions AS r
			WHERE r.room_id = message_reactions.room_id AND r.seq = message_reactions.seq
			GROUP BY r.emoji) AS t);
END
$$;
COMMENT ON FUNCTION rt_private.message_reactions(bigint, bigint) IS 'the reactions to a message, at most 50 users each';

CREATE FUNCTION rt_private.message_full(m rt.messages) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (left(rt_private.message_json(m)::text, -1) || ',"reactions":' || rt_private.message_reactions(m.room_id, m.seq)::text
		|| ',"pinned":' || EXISTS (SELECT FROM rt.pins AS p WHERE p.room_id = m.room_id AND p.seq = m.seq)::text
		|| ',"replyCount":' || coalesce((SELECT t.replies FROM rt.threads AS t WHERE t.room_id = m.room_id AND t.seq = m.seq), 0)::text
		|| '}')::json;
END
$$;
COMMENT ON FUNCTION rt_private.message_full(rt.messages) IS 'a message as clients get it, with reactions, pin and number of replies';

-- Rising; upto is the room's last change, or that of the page where the page is cut.  Some change comes whatever its size, if
-- anything may come at all.  The counter is read in the same snapshot as the changes.
CREATE FUNCTION rt_private.changes_after(room_id bigint, after bigint, hidden bigint, most integer, bytes bigint,
	OUT page json, OUT has_more boolean, OUT size bigint, OUT upto bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT coalesce(json_agg(rt_private.message_full(t.m) ORDER BY t.n) FILTER (WHERE t.fits), '[]'),
		count(*) > count(*) FILTER (WHERE t.fits), coalesce(max(t.upto) FILTER (WHERE t.fits), 0),
		CASE WHEN count(*) > count(*) FILTER (WHERE t.fits) THEN coalesce(max(t.change) FILTER (WHERE t.fits), after)
			ELSE rt_private.last_change(changes_after.room_id) END
	INTO page, has_more, size, upto
	FROM (SELECT s.m, s.n, s.change, s.upto, s.n <= most AND bytes > 0 AND (s.n = 1 OR s.upto <= bytes) AS fits
		FROM (SELECT h.m, c.change, row_number() OVER w AS n,
				sum(octet_length((h.m).content) + coalesce(octet_length((h.m).metadata::text), 0) + 400) OVER w AS upto
			FROM rt_private.room_changes AS c JOIN rt_private.history AS h ON h.room_id = c.room_id AND h.seq = c.seq
			WHERE c.room_id = changes_after.room_id AND c.change > after AND c.seq > hidden
			WINDOW w AS (ORDER BY c.change)
			ORDER BY c.change LIMIT CASE WHEN bytes > 0 THEN most + 1 ELSE 1 END) AS s) AS t;
END
$$;
COMMENT ON FUNCTION rt_private.changes_after(bigint, bigint, bigint, integer, bigint) IS 'messages of a room that changed after a number, as they are now';

-- A page of messages with the reactions to each, since whoever was added later hears of earlier ones in no other way.
CREATE FUNCTION rt_private.with_reactions(room_id bigint, page json) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	head bigint := (page -> 0 ->> 'seq')::bigint;
	tail bigint := (page -> -1 ->> 'seq')::bigint;
BEGIN
	RETURN (SELECT coalesce(json_agg((left(e.message::text, -1) || ',"reactions":' || coalesce(t.reactions, '[]') || '}')::json ORDER BY e.n), '[]')
		FROM json_array_elements(page) WITH ORDINALITY AS e (message, n)
			LEFT JOIN (SELECT g.seq, json_agg(json_build_object('emoji', g.emoji, 'count', g.n, 'userIds', g.users) ORDER BY g.first, g.emoji)::text AS reactions
				FROM (SELECT r.seq, r.emoji, count(*) AS n, min(r.created_at) AS first,
						(array_agg(r.user_id ORDER BY r.created_at, r.user_id))[1:50] AS users
					FROM rt.reactions AS r
					WHERE r.room_id = with_reactions.room_id AND r.seq BETWEEN head AND tail
					GROUP BY r.seq, r.emoji) AS g
				GROUP BY g.seq) AS t
			ON t.seq = head + e.n - 1);
END
$$;
COMMENT ON FUNCTION rt_private.with_reactions(bigint, json) IS 'messages, of which none is missing between the first and the last, with the reactions to them';

CREATE FUNCTION rt_private.sync_one(actor text, room bigint, after bigint, after_change bigint, most integer, bytes bigint,
	OUT part json, OUT size bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.room_members;
	r rt.rooms;
	hidden bigint := 0;
	found_page record;
	changes record;
	parts jsonb := jsonb_build_object('roomId', room::text);
BEGIN
	size := 0;
	SELECT t.* INTO m FROM rt.room_members AS t WHERE t.room_id = room AND t.user_id = actor;
	IF NOT FOUND THEN
		part := json_build_object('roomId', room::text, 'error', json_build_object('code', 'not_found', 'message', 'Room not found'));
		RETURN;
	END IF;
	SELECT t.* INTO r FROM rt.rooms AS t WHERE t.id = room;
	IF r.history = 'joined' THEN
		hidden := m.first_seq;
	END IF;
	IF after IS NOT NULL OR after_change IS NULL THEN
		SELECT * INTO found_page FROM rt_private.page_after(room, greatest(coalesce(after, 0), hidden), NULL, most, bytes);
		size := found_page.size;
		parts := parts || jsonb_build_object('messages', rt_private.with_reactions(room, found_page.page), 'lastSeq', found_page.last_seq, 'hasMore', found_page.has_more);
	ELSE
		parts := parts || jsonb_build_object('lastSeq', rt_private.last_seq(r.id, r.last_seq), 'hasMore', false);
	END IF;
	IF after_change IS NOT NULL OR after IS NULL THEN
		-- Who holds messages may hold them from an earlier membership.
		SELECT * INTO changes FROM rt_private.changes_after(room,
			CASE WHEN coalesce(after, 0) > 0 OR after_change > 0 THEN coalesce(after_change, 0) ELSE m.first_change END,
			hidden, most, bytes - size);
		size := size + changes.size;
		parts := parts || jsonb_build_object('changed', changes.page, 'lastChange', changes.upto, 'hasMoreChanges', changes.has_more);
	ELSE
		parts := parts || jsonb_build_object('lastChange', rt_private.last_change(room), 'hasMoreChanges', false);
	END IF;
	part := parts;
END
$$;
COMMENT ON FUNCTION rt_private.sync_one(text, bigint, bigint, bigint, integer, bigint) IS 'one room of sync-rooms';

-- A room that cannot be had is answered in its place; a malformed number refuses all.
CREATE FUNCTION rt_api.sync_rooms(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most integer := rt_private.req_limit(req, 200, 1000);
	-- An answer must fit into what a gateway keeps for one socket; what does not is asked for again.
	bytes_left bigint := 800000;
	asked jsonb := rt_private.req_array(req, 'rooms', 1000);
	one jsonb;
	parts json[] := '{}';
	error json;
	answer record;
BEGIN
	FOR one IN SELECT jsonb_array_elements(asked) LOOP
		IF jsonb_typeof(one) <> 'object' THEN
			RAISE EXCEPTION 'rooms must be an array of objects' USING ERRCODE = 'RT400';
		END IF;
		PERFORM rt_private.req_id(one, 'roomId'), rt_private.req_seq(one, 'afterSeq'), rt_private.req_seq(one, 'afterChange');
	END LOOP;
	FOR one IN SELECT jsonb_array_elements(asked) LOOP
		SELECT * INTO answer FROM rt_private.sync_one(actor, rt_private.req_id(one, 'roomId'), rt_private.req_seq(one, 'afterSeq'),
			rt_private.req_seq(one, 'afterChange'), most, bytes_left);
		bytes_left := bytes_left - answer.size;
		error := coalesce(error, answer.part -> 'error');
		parts := parts || answer.part;
	END LOOP;
	RETURN json_build_object('success', error IS NULL, 'epoch', rt.epoch(), 'rooms', CASE WHEN cardinality(parts) > 0 THEN array_to_json(parts) ELSE '[]' END)::jsonb
		|| CASE WHEN error IS NULL THEN '{}' ELSE jsonb_build_object('error', error) END;
END
$$;
COMMENT ON FUNCTION rt_api.sync_rooms(text, jsonb) IS 'sync-rooms';

CREATE FUNCTION rt_api.message_get(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('status', 200, 'data', rt_private.message_full(rt_private.api_message(actor, req)));
END
$$;
COMMENT ON FUNCTION rt_api.message_get(text, jsonb) IS 'GET …/msgs/:messageId';
