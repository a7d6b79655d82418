-- What one user may have of meetings, transports, producers and consumers, in all meetings together.
--
-- Each count is made with the user's row locked, so that of two requests at once the second one sees the first.  Where the meeting is
-- locked too, it is locked first.

-- A session that has not loaded the library yet, as happens without preloading, does not know the settings.
CREATE FUNCTION rt_private.quota(what text) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(current_setting(format('rt.max_%s_per_user', what), true)::integer, CASE what WHEN 'meetings' THEN 100 WHEN 'consumers' THEN 4000 ELSE 64 END)
$$;
COMMENT ON FUNCTION rt_private.quota(text) IS 'how many meetings, transports, producers or consumers one user may have';

CREATE FUNCTION rt_private.lock_user(user_id text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM rt.users AS u WHERE u.id = lock_user.user_id FOR NO KEY UPDATE;
END
$$;
COMMENT ON FUNCTION rt_private.lock_user(text) IS 'lets one transaction at a time count what a user has';

CREATE FUNCTION rt_private.check_quota(held bigint, what text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF held >= rt_private.quota(what) THEN
		RAISE EXCEPTION 'a user can have % % at most', rt_private.quota(what), what USING ERRCODE = 'RT429';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.check_quota(bigint, text) IS 'refuses what exceeds a user''s quota';

CREATE INDEX meetings_host_open ON rt.meetings (host_id) WHERE status <> 'ended';
COMMENT ON INDEX rt.meetings_host_open IS 'counting a user''s meetings';
CREATE INDEX meeting_participants_user_now ON rt.meeting_participants (user_id) WHERE left_at IS NULL;
COMMENT ON INDEX rt.meeting_participants_user_now IS 'counting a user''s transports and producers';

-- The owner of the database makes as many as it likes.
CREATE FUNCTION rt_private.meetings_quota() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.host_id IS NOT NULL AND NEW.status <> 'ended' AND NOT rt_private.trusted() THEN
		PERFORM rt_private.lock_user(NEW.host_id);
		PERFORM rt_private.check_quota((SELECT count(*) FROM rt.meetings AS m
			WHERE m.host_id = NEW.host_id AND m.status <> 'ended'), 'meetings');
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.meetings_quota() IS 'refuses more meetings than rt.max_meetings_per_user';
CREATE TRIGGER meetings_quota BEFORE INSERT ON rt.meetings
	FOR EACH ROW EXECUTE FUNCTION rt_private.meetings_quota();
COMMENT ON TRIGGER meetings_quota ON rt.meetings IS 'refuses more meetings than rt.max_meetings_per_user';

CREATE FUNCTION rt_private.check_transports(actor text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.lock_user(actor);
	PERFORM rt_private.check_quota((SELECT count(*) FROM rt.meeting_participants AS p
		JOIN rt_private.media_transports AS t ON t.participant_id = p.id
		JOIN rt_private.media_routers AS r ON r.id = t.router_id -- while a meeting moves, those of its former router do not count
		WHERE p.user_id = actor AND p.left_at IS NULL), 'transports');
END
$$;
COMMENT ON FUNCTION rt_private.check_transports(text) IS 'refuses more transports than rt.max_transports_per_user';

-- A producer is there once the media worker has answered: what it has not answered yet counts too.
CREATE FUNCTION rt_private.check_producers(actor text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	held bigint;
BEGIN
	PERFORM rt_private.lock_user(actor);
	WITH here AS (SELECT p.id FROM rt.meeting_participants AS p WHERE p.user_id = actor AND p.left_at IS NULL)
	SELECT count(*) INTO held FROM (
		SELECT d.id FROM here JOIN rt_private.media_producers AS d ON d.participant_id = here.id
			JOIN rt_private.media_routers AS r ON r.meeting_id = d.meeting_id AND r.worker = d.worker
		UNION SELECT r.object_id FROM here JOIN rt_private.media_requests AS r ON r.participant_id = here.id
			WHERE r.op = 'produce' AND r.answer IS NULL) AS all_of_them;
	PERFORM rt_private.check_quota(held, 'producers');
END
$$;
COMMENT ON FUNCTION rt_private.check_producers(text) IS 'refuses more producers than rt.max_producers_per_user';

-- A large meeting has many: two requests of one user at once may not see each other, rather than wait.
CREATE FUNCTION rt_private.check_consumers(actor text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	held bigint;
BEGIN
	WITH here AS (SELECT p.id FROM rt.meeting_participants AS p WHERE p.user_id = actor AND p.left_at IS NULL)
	SELECT (SELECT count(*) FROM here JOIN rt_private.media_transports AS t ON t.participant_id = here.id
			JOIN rt_private.media_routers AS r ON r.id = t.router_id
			JOIN rt_private.media_consumers AS c ON c.transport_id = t.id)
		+ (SELECT count(*) FROM here JOIN rt_private.media_requests AS q ON q.participant_id = here.id
			WHERE q.op = 'consume' AND q.answer IS NULL) INTO held;
	PERFORM rt_private.check_quota(held, 'consumers');
END
$$;
COMMENT ON FUNCTION rt_private.check_consumers(text) IS 'refuses more consumers than rt.max_consumers_per_user';
