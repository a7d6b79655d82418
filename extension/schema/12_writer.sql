-- 12_writer.sql: tables that a subscription fills are another server's to write.

CREATE FUNCTION rt_private.is_foreign(t regclass) RETURNS boolean
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'rt_is_foreign';
COMMENT ON FUNCTION rt_private.is_foreign(regclass) IS 'whether a subscription of this database replicates into a table';

CREATE FUNCTION rt_private.is_applying() RETURNS boolean
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'rt_is_applying';
COMMENT ON FUNCTION rt_private.is_applying() IS 'whether this process is a subscription''s worker: what it writes was checked and numbered by the publisher';

CREATE FUNCTION rt_private.server_of(conninfo text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN conninfo ~ '^postgres(ql)?://' THEN regexp_replace(conninfo, '^[^:]*://([^@/]*@)?([^?]*).*$', E'\\2')
		ELSE (SELECT string_agg(m[1] || '=' || coalesce(m[2], m[3]), ' ')
			FROM regexp_matches(conninfo, E'\\m(host|hostaddr|port|dbname)\\s*=\\s*(?:''([^'']*)''|(\\S+))', 'g') AS m) END
$$;
COMMENT ON FUNCTION rt_private.server_of(text) IS 'the server and database of a libpq connection string, without user and password';

CREATE FUNCTION rt_private.raise_foreign(t regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	subscription name;
	conninfo text;
BEGIN
	SELECT s.subname INTO subscription FROM pg_subscription_rel AS r JOIN pg_subscription AS s ON s.oid = r.srsubid WHERE r.srrelid = t LIMIT 1;
	IF has_column_privilege('pg_catalog.pg_subscription', 'subconninfo', 'SELECT') THEN
		SELECT s.subconninfo INTO conninfo FROM pg_subscription AS s WHERE s.subname = subscription
			AND s.subdbid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
	END IF;
	RAISE EXCEPTION '"%" is written by another server: %', t, coalesce(rt_private.server_of(conninfo), format('see subscription "%s"', subscription))
		USING ERRCODE = 'RT403', DETAIL = format('Subscription "%s" replicates the table to this server.', subscription),
			HINT = 'Write there. To write here instead, drop the subscription.';
END
$$;
COMMENT ON FUNCTION rt_private.raise_foreign(regclass) IS 'refuses a write, and says where the writer is';

CREATE FUNCTION rt_private.refuse_foreign() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_refuse_foreign';
COMMENT ON FUNCTION rt_private.refuse_foreign() IS 'refuses to write to a table that a subscription fills';

REVOKE ALL ON FUNCTION rt_private.is_foreign(regclass), rt_private.is_applying(), rt_private.server_of(text), rt_private.raise_foreign(regclass),
	rt_private.refuse_foreign() FROM PUBLIC;
