-- What an administrator does while it runs.

CREATE FUNCTION rt.reset_stats() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.reset_relay_stats();
	UPDATE rt_private.gateways AS g SET stats_before = g.stats, stats_reset = clock_timestamp();
$$;
COMMENT ON FUNCTION rt.reset_stats() IS
	'resets the counters of rt.stat_relay and rt.stat_gateway, as pg_stat_reset() does; those of /metrics go on';

-- Returns at once; who wants to wait looks at rt.stat_gateway.  The events go by name, and are logged, so that a gateway
-- that cannot listen at the moment finds them, and one that starts meanwhile is not meant.
CREATE FUNCTION rt.drain(spread interval DEFAULT '30 s', gateway text DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	told integer;
BEGIN
	IF spread IS NULL OR spread < interval '0' OR spread > interval '1 hour' THEN
		RAISE EXCEPTION 'spread must be between 0 and one hour' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF drain.gateway IS NOT NULL AND NOT EXISTS (SELECT FROM rt_private.gateways AS g WHERE g.name = drain.gateway) THEN
		RAISE EXCEPTION 'gateway "%" is not running', drain.gateway
			USING ERRCODE = 'undefined_object', HINT = 'The view rt.stat_gateway has the names of running gateways.';
	END IF;
	WITH draining AS (
		UPDATE rt_private.gateways AS g SET draining_until = least(g.draining_until, clock_timestamp() + spread)
		WHERE g.name = coalesce(drain.gateway, g.name)
		RETURNING g.name
	)
	SELECT count(*) INTO told FROM draining AS d, LATERAL rt_private.emit('rt:drain', '{"gateway":true}',
		json_build_object('gateway', d.name, 'spreadMs', (extract(epoch FROM spread) * 1000)::bigint)) AS e;
	RETURN told;
END
$$;
COMMENT ON FUNCTION rt.drain(interval, text) IS
	'restarts gateways (all of this database, or one by its name in rt.stat_gateway) without dropping anybody: a successor takes '
	'new clients, those of the old one are moved over, spread evenly over the time; returns how many gateways were told, at once';

-- Returns at once: a meeting has left when clients have built their transports elsewhere, see rt_private.media_move().
CREATE FUNCTION rt.drain_media(name text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	chosen text[] := ARRAY(
		SELECT w.id FROM rt_private.media_workers AS w
		WHERE drain_media.name IN (w.host, w.slot, w.id) AND rt_private.media_alive(w));
BEGIN
	IF cardinality(chosen) = 0 THEN
		RAISE EXCEPTION 'media worker or host "%" is not running', drain_media.name
			USING ERRCODE = 'undefined_object', HINT = 'The view rt.stat_media_workers has the workers that are running.';
	ELSIF NOT rt_private.media_drain(chosen) THEN
		RAISE EXCEPTION 'no other media worker could take the meetings' USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Start another one first, or raise rt.media_workers.';
	END IF;
	RETURN cardinality(chosen);
END
$$;
COMMENT ON FUNCTION rt.drain_media(text) IS
	'empties the media workers of a host, or one worker (its slot or id in rt.stat_media_workers): they take no new meetings, and '
	'clients build the media of the running ones elsewhere before it ends here; lasts until the worker ends; returns how many workers '
	'were told, at once';
