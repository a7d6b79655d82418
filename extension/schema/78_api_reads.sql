-- Reads by hot standbys (rt.conninfo_read), for the gateways.
--
--   wal_position       {} -> {lsn, lineage}: at the primary, all that has committed lies before it; at a standby, it is replayed
--   replica_read       {fn, at: what the primary's wal_position gave, req} -> what rt_api.<fn>(actor, req) gives

CREATE FUNCTION rt_private.wal_position() RETURNS pg_lsn
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rt_wal_position';
COMMENT ON FUNCTION rt_private.wal_position() IS 'the end of the log, flushed so that standbys get it; at a standby, up to where it is replayed';

CREATE FUNCTION rt_api.wal_position(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('lsn', rt_private.wal_position(), 'lineage', rt_private.lineage());
END
$$;
COMMENT ON FUNCTION rt_api.wal_position(text, jsonb) IS 'a position of the write-ahead log for replica_read()';

-- VOLATILE, so that what is read has a snapshot that is younger than the look at the position.
CREATE FUNCTION rt_api.replica_read(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fn text := req ->> 'fn';
	wanted pg_lsn := req -> 'at' ->> 'lsn';
	until timestamptz := clock_timestamp() + interval '50 ms';
	result json;
BEGIN
	IF fn NOT IN ('rooms_list', 'room_get', 'members_list', 'message_list', 'message_get', 'pins_list', 'replies_list', 'receipts', 'search',
		'sync_rooms', 'users_search', 'meetings_list', 'meeting_messages') THEN
		RAISE EXCEPTION 'rt_api.% cannot run on a standby', fn USING ERRCODE = 'RT503';
	END IF;
	IF rt_private.lineage() IS DISTINCT FROM req -> 'at' ->> 'lineage' THEN
		RAISE EXCEPTION 'it follows another server' USING ERRCODE = 'RT503';
	END IF;
	WHILE pg_is_in_recovery() AND coalesce(pg_last_wal_replay_lsn() < wanted, true) LOOP
		IF clock_timestamp() > until THEN
			RAISE EXCEPTION 'it lags' USING ERRCODE = 'RT503';
		END IF;
		PERFORM pg_sleep(0.001);
	END LOOP;
	-- Promoted meanwhile, it may never get to that position.
	IF NOT pg_is_in_recovery() AND rt_private.lineage() IS DISTINCT FROM req -> 'at' ->> 'lineage' THEN
		RAISE EXCEPTION 'it has been promoted' USING ERRCODE = 'RT503';
	END IF;
	EXECUTE format('SELECT rt_api.%I($1, $2)', fn) INTO result USING actor, req -> 'req';
	RETURN result;
END
$$;
COMMENT ON FUNCTION rt_api.replica_read(text, jsonb) IS 'a read by a standby, once it has replayed a position';
