-- What rt's workers and programs are doing.

CREATE FUNCTION rt_private.stat_programs(
    OUT kind text, OUT worker integer, OUT pid integer, OUT state text, OUT restarts integer, OUT since timestamptz)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'rt_stat_programs';
COMMENT ON FUNCTION rt_private.stat_programs() IS 'see rt.stat_programs';

CREATE VIEW rt.stat_programs AS SELECT kind, worker, pid, state, restarts, since FROM rt_private.stat_programs();
COMMENT ON VIEW rt.stat_programs IS 'programs started by this database''s supervisor';
COMMENT ON COLUMN rt.stat_programs.kind IS 'gateway or media';
COMMENT ON COLUMN rt.stat_programs.worker IS 'number of the worker, from 0';
COMMENT ON COLUMN rt.stat_programs.pid IS 'process id; null while it is not running';
COMMENT ON COLUMN rt.stat_programs.state IS 'waiting (for its next start), starting, ready, draining (beside its successor, see rt.drain), silent (it does not answer, see rt.watchdog_timeout), or stopping';
COMMENT ON COLUMN rt.stat_programs.restarts IS 'number of restarts since the supervisor started';
COMMENT ON COLUMN rt.stat_programs.since IS 'when it started; while it is not running, when it ended';

REVOKE ALL ON FUNCTION rt_private.stat_programs() FROM PUBLIC;
REVOKE ALL ON TABLE rt.stat_programs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rt_private.stat_programs() TO pg_monitor;
GRANT SELECT ON TABLE rt.stat_programs TO pg_monitor;
