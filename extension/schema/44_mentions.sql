-- 44_mentions.sql: whom a message mentions.  extension/messages/mention.c finds what may be names; here they are looked up.

CREATE FUNCTION rt_private.name_key(name text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_name_key';
COMMENT ON FUNCTION rt_private.name_key(text) IS 'a name in NFC and case-folded, for comparison';
CREATE INDEX users_name_key_idx ON rt.users (rt_private.name_key(username));
COMMENT ON INDEX rt.users_name_key_idx IS 'mentions';

CREATE FUNCTION rt_private.mention_names(content text, OUT at integer[], OUT keys text[])
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_mention_names';
COMMENT ON FUNCTION rt_private.mention_names(text) IS 'candidates for usernames after each @ in a text: every possible prefix';

CREATE TABLE rt_private.mentions (
	room_id bigint NOT NULL,
	user_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	seq bigint NOT NULL,
	PRIMARY KEY (user_id, room_id, seq),
	FOREIGN KEY (room_id, seq) REFERENCES rt.messages (room_id, seq) ON DELETE CASCADE
);
CREATE INDEX mentions_seq_idx ON rt_private.mentions (room_id, seq);
COMMENT ON TABLE rt_private.mentions IS 'mentions of users in messages';
COMMENT ON COLUMN rt_private.mentions.room_id IS 'the room';
COMMENT ON COLUMN rt_private.mentions.user_id IS 'the mentioned user';
COMMENT ON COLUMN rt_private.mentions.seq IS 'the message';
COMMENT ON INDEX rt_private.mentions_seq_idx IS 'finds the mentions in a message';
SELECT pg_catalog.pg_extension_config_dump('rt_private.mentions', '');

CREATE TABLE rt_private.mentions_all (
	room_id bigint NOT NULL,
	seq bigint NOT NULL,
	PRIMARY KEY (room_id, seq),
	FOREIGN KEY (room_id, seq) REFERENCES rt.messages (room_id, seq) ON DELETE CASCADE
);
COMMENT ON TABLE rt_private.mentions_all IS 'messages that mention all members of their room';
COMMENT ON COLUMN rt_private.mentions_all.room_id IS 'the room';
COMMENT ON COLUMN rt_private.mentions_all.seq IS 'the message';
SELECT pg_catalog.pg_extension_config_dump('rt_private.mentions_all', '');

-- The longest name of a member at each @ counts; @all and @here where no member has that name, and only whole.
CREATE FUNCTION rt_private.mentioned(m rt.messages, OUT users text[], OUT everybody boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	may_all boolean;
	is_seen_by_all boolean;
	groups text[];
BEGIN
	SELECT r.who_may_mention_all = 'members' OR rt_private.is_room_admin(r.id, m.sender_id), r.history = 'all' INTO may_all, is_seen_by_all
	FROM rt.rooms AS r WHERE r.id = m.room_id;
	WITH names AS MATERIALIZED (
		SELECT t.at, t.key FROM rt_private.mention_names(m.content) AS n, LATERAL unnest(n.at, n.keys) AS t (at, key)
	), named AS (
		SELECT DISTINCT ON (n.at) n.at, member.user_id
		FROM names AS n JOIN rt.users AS u ON rt_private.name_key(u.username) = n.key
		JOIN rt.room_members AS member ON member.room_id = m.room_id AND member.user_id = u.id
		ORDER BY n.at, length(n.key) DESC
	), wanted AS (
		SELECT n.user_id FROM named AS n
		UNION
		SELECT e FROM jsonb_array_elements_text(CASE WHEN jsonb_typeof(m.metadata -> 'mentions') = 'array'
			THEN m.metadata -> 'mentions' ELSE '[]' END) AS e
	)
	SELECT (SELECT array_agg(t.user_id) FROM rt.room_members AS t JOIN wanted AS w ON w.user_id = t.user_id
			WHERE t.room_id = m.room_id AND t.user_id IS DISTINCT FROM m.sender_id AND (is_seen_by_all OR m.seq > t.first_seq)
				AND NOT EXISTS (SELECT FROM rt.blocks AS b WHERE b.user_id = t.user_id AND b.blocked_id = m.sender_id)),
		(SELECT array_agg(DISTINCT n.key) FROM names AS n WHERE n.key IN ('all', 'here')
			AND NOT EXISTS (SELECT FROM named WHERE named.at = n.at)
			AND NOT EXISTS (SELECT FROM names AS o WHERE o.at = n.at AND o.key = n.key || '_'))
	INTO users, groups;
	users := coalesce(users, '{}');
	everybody := coalesce(may_all AND 'all' = ANY (groups), false);
	IF may_all AND 'here' = ANY (groups) THEN
		users := ARRAY(SELECT unnest(users)
			UNION
			SELECT t.user_id FROM rt.room_members AS t JOIN rt.presence AS p ON p.user_id = t.user_id
			WHERE t.room_id = m.room_id AND p.status <> 'offline' AND t.user_id IS DISTINCT FROM m.sender_id
				AND (is_seen_by_all OR m.seq > t.first_seq)
				AND NOT EXISTS (SELECT FROM rt.blocks AS b WHERE b.user_id = t.user_id AND b.blocked_id = m.sender_id));
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.mentioned(rt.messages) IS 'the members whom a message mentions, except its sender and those who have blocked the sender or may not see the message';

-- For a message that is new and for one that was changed: those added hear of it.  Plans may have been made while the tables were empty.
CREATE FUNCTION rt_private.on_mention(room_id bigint, seq bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	m rt.messages;
	old_users text[];
	old_everybody boolean;
	is_seen_by_all boolean;
	now_mentioned record;
	told text[];
BEGIN
	SELECT t.* INTO m FROM rt.messages AS t WHERE t.room_id = on_mention.room_id AND t.seq = on_mention.seq;
	SELECT * INTO now_mentioned FROM rt_private.mentioned(m);
	old_users := ARRAY(SELECT t.user_id FROM rt_private.mentions AS t WHERE t.room_id = m.room_id AND t.seq = m.seq);
	old_everybody := EXISTS (SELECT FROM rt_private.mentions_all AS t WHERE t.room_id = m.room_id AND t.seq = m.seq);
	DELETE FROM rt_private.mentions AS t WHERE t.room_id = m.room_id AND t.seq = m.seq AND t.user_id <> ALL (now_mentioned.users);
	INSERT INTO rt_private.mentions (room_id, user_id, seq)
	SELECT m.room_id, u, m.seq FROM unnest(now_mentioned.users) AS u WHERE u <> ALL (old_users) ORDER BY u ON CONFLICT DO NOTHING;
	IF old_everybody AND NOT now_mentioned.everybody THEN
		DELETE FROM rt_private.mentions_all AS t WHERE t.room_id = m.room_id AND t.seq = m.seq;
	ELSIF now_mentioned.everybody AND NOT old_everybody THEN
		INSERT INTO rt_private.mentions_all (room_id, seq) VALUES (m.room_id, m.seq);
	END IF;
	IF old_everybody THEN
		RETURN; -- all have been told
	END IF;
	is_seen_by_all := (SELECT r.history = 'all' FROM rt.rooms AS r WHERE r.id = m.room_id);
	told := ARRAY(SELECT t.user_id FROM rt.room_members AS t
		WHERE t.room_id = m.room_id AND t.user_id IS DISTINCT FROM m.sender_id AND (is_seen_by_all OR m.seq > t.first_seq)
			AND (now_mentioned.everybody OR t.user_id = ANY (now_mentioned.users)) AND t.user_id <> ALL (old_users)
			AND t.notify <> 'none' AND (t.muted_until IS NULL OR t.muted_until < clock_timestamp())
			AND NOT EXISTS (SELECT FROM rt.blocks AS b WHERE b.user_id = t.user_id AND b.blocked_id = m.sender_id)
		ORDER BY t.user_id);
	PERFORM rt_private.notify_users(told, 'mention',
		json_build_object('roomId', m.room_id::text, 'messageId', rt_private.message_id(m.room_id, m.seq), 'seq', m.seq,
			'senderId', m.sender_id, 'userName', rt_private.user_name(m.sender_id), 'content', left(m.content, 280)), m.room_id);
END
$$;
COMMENT ON FUNCTION rt_private.on_mention(bigint, bigint) IS 'stores a message''s mentions and notifies newly mentioned users';

CREATE FUNCTION rt_private.messages_mention() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.is_applying() THEN
		RETURN NULL; -- they come by themselves
	END IF;
	IF NEW.deleted_at IS NOT NULL THEN
		DELETE FROM rt_private.mentions AS t WHERE t.room_id = NEW.room_id AND t.seq = NEW.seq;
		DELETE FROM rt_private.mentions_all AS t WHERE t.room_id = NEW.room_id AND t.seq = NEW.seq;
	ELSIF strpos(OLD.content || NEW.content, '@') > 0 OR OLD.metadata ? 'mentions' OR NEW.metadata ? 'mentions' THEN
		PERFORM rt_private.on_mention(NEW.room_id, NEW.seq);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.messages_mention() IS 'updates the mentions of a changed message; removes those of a deleted one';
CREATE TRIGGER rt_mention AFTER UPDATE ON rt.messages FOR EACH ROW
	WHEN (OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.content IS DISTINCT FROM NEW.content OR OLD.metadata IS DISTINCT FROM NEW.metadata)
	EXECUTE FUNCTION rt_private.messages_mention();
COMMENT ON TRIGGER rt_mention ON rt.messages IS 'updates the mentions of a changed message; removes those of a deleted one';
