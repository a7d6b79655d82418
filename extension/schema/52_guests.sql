-- Guests: people without an account who have the link of a meeting.
--
-- A guest is a user of rt.users with a row here, whose tokens are good for one meeting.  All that is not that meeting refuses
-- guests at one of three places: rt_private.check_user() and rt_private.act_as(), which every function of the API calls that does
-- not ask for a membership; the triggers below, which keep guests out of what one is a member of; and
-- rt_private.meeting_may_join(), which knows one meeting for each guest.

-- No reference to rt.meetings: if that removed the row alone, the guest would be left a user like others.
CREATE TABLE rt_private.guests (
	user_id text PRIMARY KEY REFERENCES rt.users ON DELETE CASCADE ON UPDATE CASCADE,
	meeting_id bigint NOT NULL,
	password_hash text,
	until timestamptz NOT NULL,
	CONSTRAINT guests_id CHECK (starts_with(user_id, 'guest-'))
);
CREATE INDEX guests_meeting ON rt_private.guests (meeting_id);
CREATE INDEX guests_until ON rt_private.guests (until);
COMMENT ON TABLE rt_private.guests IS 'users who are guests of one meeting';
COMMENT ON COLUMN rt_private.guests.user_id IS 'the user';
COMMENT ON COLUMN rt_private.guests.meeting_id IS 'the only meeting open to the guest';
COMMENT ON COLUMN rt_private.guests.password_hash IS 'the meeting''s password hash when the guest gave the password, which is not asked for again';
COMMENT ON COLUMN rt_private.guests.until IS 'when their token expires; an hour after that the user is removed';
COMMENT ON INDEX rt_private.guests_meeting IS 'the guests of a meeting';
COMMENT ON INDEX rt_private.guests_until IS 'removing guests';
SELECT pg_catalog.pg_extension_config_dump('rt_private.guests', '');

-- The beginning of the id decides for nearly all users, without a look at the table.
CREATE FUNCTION rt_private.is_guest(user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce(starts_with(is_guest.user_id, 'guest-'), false)
		AND EXISTS (SELECT FROM rt_private.guests AS g WHERE g.user_id = is_guest.user_id);
END
$$;
COMMENT ON FUNCTION rt_private.is_guest(text) IS 'whether a user is the guest of a meeting';

CREATE FUNCTION rt_private.refuse_guest(user_id text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.is_guest(user_id) THEN
		RAISE EXCEPTION 'guests can only take part in their meeting' USING ERRCODE = 'RT403';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.refuse_guest(text) IS 'refuses a guest of a meeting';

-- To all but their meeting there is no such user.
CREATE FUNCTION rt_private.keep_guests_out() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF rt_private.is_guest(to_jsonb(NEW) ->> TG_ARGV[0]) THEN
		RAISE EXCEPTION 'user not found' USING ERRCODE = 'RT404', DETAIL = 'This user is the guest of a meeting.';
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.keep_guests_out() IS 'refuses guests in this table';
-- A membership's user never changes, and a trigger BEFORE UPDATE has its price: see room_members_key.
CREATE TRIGGER keep_guests_out BEFORE INSERT ON rt.room_members
	FOR EACH ROW WHEN (starts_with(NEW.user_id, 'guest-')) EXECUTE FUNCTION rt_private.keep_guests_out('user_id');
COMMENT ON TRIGGER keep_guests_out ON rt.room_members IS 'refuses guests in rooms';
CREATE TRIGGER keep_guests_out BEFORE INSERT OR UPDATE OF user_id ON rt.room_invitations
	FOR EACH ROW WHEN (starts_with(NEW.user_id, 'guest-')) EXECUTE FUNCTION rt_private.keep_guests_out('user_id');
COMMENT ON TRIGGER keep_guests_out ON rt.room_invitations IS 'refuses invitations of guests';
CREATE TRIGGER keep_guests_out BEFORE INSERT OR UPDATE OF user_id ON rt.meeting_invitees
	FOR EACH ROW WHEN (starts_with(NEW.user_id, 'guest-')) EXECUTE FUNCTION rt_private.keep_guests_out('user_id');
COMMENT ON TRIGGER keep_guests_out ON rt.meeting_invitees IS 'refuses invitations of guests';
CREATE TRIGGER keep_guests_out BEFORE INSERT OR UPDATE OF host_id ON rt.meetings
	FOR EACH ROW WHEN (starts_with(NEW.host_id, 'guest-')) EXECUTE FUNCTION rt_private.keep_guests_out('host_id');
COMMENT ON TRIGGER keep_guests_out ON rt.meetings IS 'refuses guests as hosts';
CREATE TRIGGER keep_guests_out BEFORE INSERT OR UPDATE OF blocked_id ON rt.blocks
	FOR EACH ROW WHEN (starts_with(NEW.blocked_id, 'guest-')) EXECUTE FUNCTION rt_private.keep_guests_out('blocked_id');
COMMENT ON TRIGGER keep_guests_out ON rt.blocks IS 'refuses blocks of guests';

-- ---- until when ---------------------------------------------------------------------------

CREATE FUNCTION rt_private.guests_go_home(meeting_id bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt.sessions AS s SET revoked_at = clock_timestamp()
	FROM rt_private.guests AS g
	WHERE g.meeting_id = guests_go_home.meeting_id AND s.user_id = g.user_id AND s.revoked_at IS NULL;
	UPDATE rt_private.guests AS g SET until = least(g.until, clock_timestamp()) WHERE g.meeting_id = guests_go_home.meeting_id;
END
$$;
COMMENT ON FUNCTION rt_private.guests_go_home(bigint) IS 'ends the tokens of a meeting''s guests';

CREATE FUNCTION rt_private.meeting_guests_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.guests_go_home(OLD.id);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_guests_end() IS 'ends a meeting''s guests when it ends';

-- Fires after meetings_after_update: guests hear of the end before their sockets are closed.
CREATE TRIGGER meetings_guests_end AFTER UPDATE OF status ON rt.meetings
	FOR EACH ROW WHEN (NEW.status = 'ended' AND OLD.status <> 'ended') EXECUTE FUNCTION rt_private.meeting_guests_end();
COMMENT ON TRIGGER meetings_guests_end ON rt.meetings IS 'ends a meeting''s guests when it ends';
CREATE TRIGGER meetings_guests_deleted AFTER DELETE ON rt.meetings
	FOR EACH ROW EXECUTE FUNCTION rt_private.meeting_guests_end();
COMMENT ON TRIGGER meetings_guests_deleted ON rt.meetings IS 'ends a meeting''s guests when it ends';

-- Some at a time.
CREATE FUNCTION rt_private.sweep_guests() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.is_foreign('rt.users') THEN
		DELETE FROM rt.users AS u WHERE u.id IN (SELECT g.user_id FROM rt_private.guests AS g
			WHERE g.until < clock_timestamp() - interval '1 hour' ORDER BY g.until LIMIT 100);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.sweep_guests() IS 'removes guests whose token expired an hour ago';
