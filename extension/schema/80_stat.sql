-- What rt's workers and programs are doing.

CREATE FUNCTION rt_private.stat_programs(
    OUT kind text, OUT worker integer, OUT pid integer, OUT state text, OUT restarts integer, OUT since timestamptz)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'rt_stat_programs';
COMMENT ON FUNCTION rt_private.stat_programs() IS 'see rt.stat_programs';

CREATE FUNCTION rt_private.stat_silence(OUT launcher_us bigint, OUT supervisor_us bigint) RETURNS record
LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'rt_stat_silence';
COMMENT ON FUNCTION rt_private.stat_silence() IS
	'for how many microseconds the launcher and this database''s supervisor have done nothing; they turn at least every 2 s; null: it does not run';

-- For the gateways' /metrics and /readyz.
CREATE FUNCTION rt_private.worker_figures() RETURNS json
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('launcherUs', s.launcher_us, 'supervisorUs', s.supervisor_us,
		'silent', CASE WHEN s.supervisor_us > 10000000 THEN 'supervisor' WHEN s.launcher_us > 10000000 THEN 'launcher' END)
	FROM rt_private.stat_silence() AS s
$$;
COMMENT ON FUNCTION rt_private.worker_figures() IS 'whether the launcher and the supervisor work, for metrics';

CREATE VIEW rt.stat_programs AS
	SELECT s.kind, s.worker, s.pid, s.state, s.restarts, s.since, NULL::text AS host, NULL::text AS region
	FROM rt_private.stat_programs() AS s
	UNION ALL
	SELECT 'gateway', g.slot, g.pid,
		CASE WHEN g.reported_at < clock_timestamp() - interval '5 s' THEN 'lost'
			WHEN g.draining_until IS NOT NULL THEN 'draining' ELSE 'ready' END,
		NULL, g.started_at, g.host, g.region
	FROM rt_private.gateways AS g WHERE g.own
	UNION ALL
	SELECT 'media', NULL, w.pid, CASE WHEN w.heartbeat_at <= clock_timestamp() - interval '3 s' THEN 'lost'
			WHEN w.draining_since IS NOT NULL THEN 'draining' ELSE 'ready' END,
		NULL, w.started_at, w.host, w.region
	FROM rt_private.media_workers AS w WHERE w.own;
COMMENT ON VIEW rt.stat_programs IS 'programs started by this database''s supervisor, and those on other hosts';
COMMENT ON COLUMN rt.stat_programs.kind IS 'gateway or media';
COMMENT ON COLUMN rt.stat_programs.worker IS 'number of the worker, from 0; of a gateway on another host, from 100; null for media workers on other hosts';
COMMENT ON COLUMN rt.stat_programs.pid IS 'process id; null while it is not running';
COMMENT ON COLUMN rt.stat_programs.state IS 'waiting (for its next start), starting, ready, draining (see rt.drain and rt.drain_media), silent (it does not answer, see rt.watchdog_timeout), stopping, or unwatched (the supervisor hangs, and does not know); on another host: ready, draining, or lost (it does not report)';
COMMENT ON COLUMN rt.stat_programs.restarts IS 'number of restarts since the supervisor started; null on another host';
COMMENT ON COLUMN rt.stat_programs.since IS 'when it started; while it is not running, when it ended';
COMMENT ON COLUMN rt.stat_programs.host IS 'name of its host; null: it runs beside the server';
COMMENT ON COLUMN rt.stat_programs.region IS 'region of that host, from its configuration file';

REVOKE ALL ON FUNCTION rt_private.stat_programs(), rt_private.stat_silence(), rt_private.worker_figures() FROM PUBLIC;
REVOKE ALL ON TABLE rt.stat_programs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rt_private.stat_programs() TO pg_monitor;
GRANT SELECT ON TABLE rt.stat_programs TO pg_monitor;
