-- 33_invitations.sql: invitations to rooms.  With rt.may_add_users = invitation strangers are invited, and become members when they accept.

-- A declined invitation stays, so that the same room does not ask twice.
CREATE TABLE rt.room_invitations (
	room_id bigint NOT NULL REFERENCES rt.rooms (id) ON DELETE CASCADE,
	user_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	role text NOT NULL DEFAULT 'member' CHECK (role IN ('admin', 'member')),
	invited_by text DEFAULT rt_private.actor() REFERENCES rt.users (id) ON DELETE SET NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	declined_at timestamptz,
	PRIMARY KEY (room_id, user_id)
);
CREATE INDEX room_invitations_user_id_idx ON rt.room_invitations (user_id);
CREATE INDEX room_invitations_invited_by_idx ON rt.room_invitations (invited_by);
COMMENT ON TABLE rt.room_invitations IS 'users who were invited to a room and have not accepted';
COMMENT ON COLUMN rt.room_invitations.room_id IS 'the room';
COMMENT ON COLUMN rt.room_invitations.user_id IS 'the user who was invited';
COMMENT ON COLUMN rt.room_invitations.role IS 'what the user becomes in the room: admin or member';
COMMENT ON COLUMN rt.room_invitations.invited_by IS 'the user who invited; null for plain SQL';
COMMENT ON COLUMN rt.room_invitations.created_at IS 'when it was made';
COMMENT ON COLUMN rt.room_invitations.declined_at IS 'when the user declined; null while it is open';
COMMENT ON INDEX rt.room_invitations_user_id_idx IS 'finds the invitations of a user';
COMMENT ON INDEX rt.room_invitations_invited_by_idx IS 'finds what a user who is deleted has made';
SELECT pg_catalog.pg_extension_config_dump('rt.room_invitations', '');

CREATE FUNCTION rt_private.invitation_json(i rt.room_invitations) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT json_build_object('roomId', i.room_id::text, 'roomName', r.name, 'kind', r.kind, 'role', i.role, 'invitedBy', i.invited_by,
		'invitedByName', rt_private.user_name(i.invited_by), 'createdAt', rt_private.iso(i.created_at))
		FROM (VALUES (1)) AS one LEFT JOIN rt.rooms AS r ON r.id = i.room_id);
END
$$;
COMMENT ON FUNCTION rt_private.invitation_json(rt.room_invitations) IS 'an invitation as the invited user sees it';

-- Only the devices of the invited user are told.
CREATE FUNCTION rt_private.room_invitations_after_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	i rt.room_invitations := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
	action text := 'invited';
BEGIN
	IF TG_OP = 'DELETE' THEN
		action := CASE WHEN rt_private.is_member(i.room_id, i.user_id) THEN 'accepted' ELSE 'withdrawn' END;
	ELSIF i.declined_at IS NOT NULL THEN
		action := 'declined';
	END IF;
	PERFORM rt_private.emit('chat-room-invitation', json_build_object('users', ARRAY[i.user_id], 'private', true),
		(rt_private.invitation_json(i)::jsonb || jsonb_build_object('action', action, 'timestamp', rt_private.iso(clock_timestamp())))::json, true);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.room_invitations_after_change() IS 'tells all sockets of a user about an invitation';
CREATE TRIGGER rt_after_change AFTER INSERT OR UPDATE OF declined_at OR DELETE ON rt.room_invitations FOR EACH ROW
	EXECUTE FUNCTION rt_private.room_invitations_after_change();
COMMENT ON TRIGGER rt_after_change ON rt.room_invitations IS 'tells all sockets of a user about an invitation';

-- For plain SQL by the owner nobody is a stranger.
CREATE FUNCTION rt_private.strangers(actor text, users text[]) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.trusted() OR current_setting('rt.may_add_users', true) IS DISTINCT FROM 'invitation' THEN
		RETURN '{}';
	END IF;
	RETURN ARRAY(SELECT u.id FROM unnest(users) AS u (id) WHERE NOT rt_private.may_add(actor, u.id));
END
$$;
COMMENT ON FUNCTION rt_private.strangers(text, text[]) IS 'those of some users whom another user can only invite';

-- Who is invited already, or has declined, is not asked again.
CREATE FUNCTION rt_private.invite(room_id bigint, users text[], role text, inviter text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO rt.room_invitations (room_id, user_id, role, invited_by)
	SELECT invite.room_id, u.id, invite.role, invite.inviter FROM unnest(users) AS u (id)
	WHERE NOT rt_private.is_member(invite.room_id, u.id) ORDER BY u.id ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION rt_private.invite(bigint, text[], text, text) IS 'invites users who are no members of a room';

-- The row is locked, so that of two answers the second finds none.
CREATE FUNCTION rt_private.lock_invitation(room_id bigint, user_id text) RETURNS rt.room_invitations
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found rt.room_invitations;
BEGIN
	SELECT i.* INTO found FROM rt.room_invitations AS i
	WHERE i.room_id = lock_invitation.room_id AND i.user_id = lock_invitation.user_id FOR UPDATE;
	IF found.room_id IS NULL THEN
		RAISE EXCEPTION 'invitation not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN found;
END
$$;
COMMENT ON FUNCTION rt_private.lock_invitation(bigint, text) IS 'finds and locks an invitation; RT404 if there is none';

CREATE FUNCTION rt.accept_invitation(room_id bigint, user_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	i rt.room_invitations;
BEGIN
	PERFORM rt_private.check_self(accept_invitation.user_id);
	i := rt_private.lock_invitation(accept_invitation.room_id, accept_invitation.user_id);
	-- Its trigger removes the invitation.
	INSERT INTO rt.room_members (room_id, user_id, role) VALUES (i.room_id, i.user_id, i.role) ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION rt.accept_invitation(bigint, text) IS 'makes an invited user a member of the room';

CREATE FUNCTION rt.decline_invitation(room_id bigint, user_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_self(decline_invitation.user_id);
	PERFORM rt_private.lock_invitation(decline_invitation.room_id, decline_invitation.user_id);
	UPDATE rt.room_invitations AS i SET declined_at = clock_timestamp()
	WHERE i.room_id = decline_invitation.room_id AND i.user_id = decline_invitation.user_id AND i.declined_at IS NULL;
END
$$;
COMMENT ON FUNCTION rt.decline_invitation(bigint, text) IS 'declines an invitation; the room cannot invite that user again';
