-- Programs on hosts of their own: what they are told, since no supervisor does.

CREATE FUNCTION rt_private.program_settings() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_program_settings';
COMMENT ON FUNCTION rt_private.program_settings() IS 'the settings that programs are told, as JSON: times in milliseconds, sizes in bytes';

-- A program compares it with the one that it has had: there is no other way to learn of a reload that cannot be missed.
CREATE FUNCTION rt_private.settings_stamp() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT md5(rt_private.program_settings())
$$;
COMMENT ON FUNCTION rt_private.settings_stamp() IS 'changes when a setting that programs are told does';

CREATE FUNCTION rt_private.gateway_number(host text, port integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	found integer;
BEGIN
	UPDATE rt_private.gateway_numbers AS n SET used_at = clock_timestamp()
	WHERE n.host = gateway_number.host AND n.port = gateway_number.port
	RETURNING n.number INTO found;
	IF found IS NOT NULL THEN
		RETURN found;
	END IF;
	LOCK TABLE rt_private.gateway_numbers IN SHARE ROW EXCLUSIVE MODE;
	-- Hosts that come and go under new names must not use the numbers up.
	DELETE FROM rt_private.gateway_numbers AS n WHERE n.used_at < clock_timestamp() - interval '7 days'
		AND NOT EXISTS (SELECT FROM rt_private.gateways AS g WHERE g.slot = n.number);
	INSERT INTO rt_private.gateway_numbers (host, port, number)
	SELECT gateway_number.host, gateway_number.port, min(free.number)
	FROM (
		SELECT 100 AS number
		UNION ALL
		SELECT n.number + 1 FROM rt_private.gateway_numbers AS n) AS free
	WHERE NOT EXISTS (SELECT FROM rt_private.gateway_numbers AS n WHERE n.number = free.number)
	ON CONFLICT ON CONSTRAINT gateway_numbers_pkey DO UPDATE SET used_at = clock_timestamp()
	RETURNING number INTO found;
	RETURN found;
END
$$;
COMMENT ON FUNCTION rt_private.gateway_number(text, integer) IS 'the number of a gateway on a host of its own: as before, or a free one';

-- {program: "gateway" | "media", version, host, port} -> {version, database, settings, stamp, number | null}.  Both sides compare
-- versions: a program that is older than this function may not know what it gets.
CREATE FUNCTION rt_api.hello(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kind text := rt_private.req_choice(req, 'program', ARRAY['gateway', 'media']);
	library text := current_setting('rt.version', true);
	installed text := (SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'rt');
BEGIN
	IF installed IS DISTINCT FROM library THEN
		RAISE EXCEPTION 'extension rt has version % in database "%", the server''s library is version %', installed, current_database(),
			coalesce(library, 'unknown') USING ERRCODE = 'RT409', HINT = 'Run "ALTER EXTENSION rt UPDATE" in this database.';
	END IF;
	IF req ->> 'version' IS DISTINCT FROM library THEN
		RAISE EXCEPTION 'the server runs version % of rt, this rt_% is version %', library, kind, coalesce(req ->> 'version', 'unknown')
			USING ERRCODE = 'RT409', HINT = 'Install the same version on both hosts.';
	END IF;
	RETURN json_build_object('version', library, 'database', current_database(),
		'settings', CASE kind WHEN 'gateway' THEN rt_private.program_settings()::jsonb
			ELSE rt_private.program_settings()::jsonb - 'conninfo_read' END, 'stamp', rt_private.settings_stamp(),
		'number', CASE kind WHEN 'gateway' THEN
			rt_private.gateway_number(rt_private.req_text(req, 'host'), (req ->> 'port')::integer) END);
END
$$;
COMMENT ON FUNCTION rt_api.hello(text, jsonb) IS 'a program on a host of its own asks for its settings and its number';
