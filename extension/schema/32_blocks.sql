-- 32_blocks.sql: users who want nothing of one another: no direct messages, no being added to rooms, no mentions.

CREATE TABLE rt.blocks (
	user_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	blocked_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (user_id, blocked_id),
	CHECK (user_id <> blocked_id)
);
CREATE INDEX blocks_blocked_id_idx ON rt.blocks (blocked_id);
COMMENT ON TABLE rt.blocks IS 'users who have blocked other users';
COMMENT ON COLUMN rt.blocks.user_id IS 'the user who blocked';
COMMENT ON COLUMN rt.blocks.blocked_id IS 'the user who is blocked';
COMMENT ON COLUMN rt.blocks.created_at IS 'since when it applies';
COMMENT ON INDEX rt.blocks_blocked_id_idx IS 'finds who has blocked a user';
SELECT pg_catalog.pg_extension_config_dump('rt.blocks', '');

CREATE FUNCTION rt_private.has_blocked(user_id text, other text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN EXISTS (SELECT FROM rt.blocks AS b WHERE b.user_id = has_blocked.user_id AND b.blocked_id = has_blocked.other);
END
$$;
COMMENT ON FUNCTION rt_private.has_blocked(text, text) IS 'whether a user has blocked another';

-- Only the devices of whoever blocks are told.
CREATE FUNCTION rt_private.blocks_after_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	b rt.blocks := CASE TG_OP WHEN 'INSERT' THEN NEW ELSE OLD END;
BEGIN
	PERFORM rt_private.emit('chat-user-blocked', json_build_object('users', ARRAY[b.user_id], 'private', true),
		json_build_object('userId', b.blocked_id, 'blocked', TG_OP = 'INSERT', 'timestamp', rt_private.iso(clock_timestamp())), true);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.blocks_after_change() IS 'tells all sockets of a user about a changed block';
CREATE TRIGGER rt_after_change AFTER INSERT OR DELETE ON rt.blocks FOR EACH ROW
	EXECUTE FUNCTION rt_private.blocks_after_change();
COMMENT ON TRIGGER rt_after_change ON rt.blocks IS 'tells all sockets of a user about a changed block';

-- For plain SQL by the owner nobody acts, and nothing is refused.
-- With the rights of the owner, since a policy calls it for whoever adds a member.
CREATE FUNCTION rt_private.may_add(actor text, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce(current_setting('rt.may_add_users', true), 'anyone') = 'anyone' OR user_id = actor OR EXISTS (
		SELECT FROM rt.room_members AS a JOIN rt.room_members AS b ON b.room_id = a.room_id
		WHERE a.user_id = may_add.actor AND b.user_id = may_add.user_id);
END
$$;
COMMENT ON FUNCTION rt_private.may_add(text, text) IS 'whether rt.may_add_users lets one user put another into a room';

CREATE FUNCTION rt_private.check_blocks(actor text, users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.trusted() AND EXISTS (SELECT FROM rt.blocks AS b WHERE b.blocked_id = actor AND b.user_id = ANY (users)) THEN
		RAISE EXCEPTION 'this user has blocked you' USING ERRCODE = 'RT403';
	END IF;
	IF NOT rt_private.trusted() AND current_setting('rt.may_add_users', true) = 'contacts'
		AND EXISTS (SELECT FROM unnest(users) AS u (id) WHERE NOT rt_private.may_add(actor, u.id)) THEN
		RAISE EXCEPTION 'you can only add people who share a room with you' USING ERRCODE = 'RT403';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.check_blocks(text, text[]) IS 'refuses an action if a user concerned has blocked the actor, or may not be added by them';
