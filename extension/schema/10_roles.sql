-- Schemas, roles, and the small functions that the other files share.

-- Until the extension is made.  CREATE EXTENSION's own path has the schema public in it, where others may have left a
-- function or operator that fits better than pg_catalog's.
SET LOCAL search_path = pg_catalog, pg_temp;

-- The extension is filed under a schema that nobody drops: DROP SCHEMA public CASCADE would take all of rt along.  Not by
-- rt.control, since a dump of an older version names the schema public.
DO $$
DECLARE
	rt oid := (SELECT e.oid FROM pg_extension AS e WHERE e.extname = 'rt');
BEGIN
	DELETE FROM pg_depend WHERE classid = 'pg_extension'::regclass AND objid = rt AND refclassid = 'pg_namespace'::regclass;
	UPDATE pg_extension SET extnamespace = 'pg_catalog'::regnamespace WHERE oid = rt;
END
$$;

-- The wire is UTF-8, and the triggers write it: in another encoding they would write something else.
DO $$
BEGIN
	IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
		RAISE EXCEPTION 'rt needs a database with encoding UTF8, this one has %', pg_catalog.getdatabaseencoding()
			USING ERRCODE = 'feature_not_supported', HINT = 'Create the database with TEMPLATE template0 ENCODING ''UTF8''.';
	END IF;
END
$$;

-- Roles that were here before get the rights below.  They must not have others: a superuser called rt_gateway would be a
-- superuser for everybody who takes over a gateway.
DO $$
DECLARE
	r record;
	faults text[];
BEGIN
	FOR r IN SELECT a.* FROM pg_catalog.pg_roles AS a
		WHERE a.rolname IN ('rt_gateway', 'rt_media', 'rt_app', 'rt_auditor') ORDER BY a.rolname
	LOOP
		faults := pg_catalog.array_remove(ARRAY[
			CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
			CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
			CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
			CASE WHEN r.rolreplication THEN 'REPLICATION' END,
			CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END], NULL);
		faults := faults || ARRAY(
			WITH RECURSIVE above AS (
				SELECT m.roleid FROM pg_catalog.pg_auth_members AS m WHERE m.member = r.oid
				UNION
				SELECT m.roleid FROM above AS a JOIN pg_catalog.pg_auth_members AS m ON m.member = a.roleid
			)
			SELECT pg_catalog.format('membership in %I', g.rolname) FROM above AS a JOIN pg_catalog.pg_roles AS g ON g.oid = a.roleid
			WHERE g.rolname ~ '^pg_' OR g.rolsuper OR g.rolcreaterole OR g.rolcreatedb OR g.rolreplication OR g.rolbypassrls
			ORDER BY g.rolname);
		IF EXISTS (SELECT FROM pg_catalog.pg_shdepend AS d
			WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = r.oid AND d.deptype = 'o') THEN
			faults := faults || 'objects that it owns'::text;
		END IF;
		IF faults <> '{}' THEN
			RAISE EXCEPTION 'role "%" exists and has rights that it must not have', r.rolname
				USING ERRCODE = 'object_not_in_prerequisite_state',
					DETAIL = pg_catalog.format('It has: %s.', pg_catalog.array_to_string(faults, ', ')),
					HINT = pg_catalog.format('Take these rights away, or rename the role: ALTER ROLE %I RENAME TO …', r.rolname);
		END IF;
	END LOOP;
END
$$;

DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT * FROM (VALUES ('rt_gateway', 'LOGIN'), ('rt_media', 'LOGIN'), ('rt_app', 'NOLOGIN'),
		('rt_auditor', 'NOLOGIN')) AS v (name, how)
	LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r.name) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I %s NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT', r.name, r.how);
		END IF;
		-- Parameters of the programs' statements are passwords and tokens.  The supervisor sets these again at each start, with
		-- what else the programs need.
		IF r.how = 'LOGIN' THEN
			EXECUTE pg_catalog.format('ALTER ROLE %I RESET log_min_messages', r.name);
			EXECUTE pg_catalog.format('ALTER ROLE %I SET log_parameter_max_length = 0', r.name);
			EXECUTE pg_catalog.format('ALTER ROLE %I SET log_parameter_max_length_on_error = 0', r.name);
		END IF;
	END LOOP;
END
$$;

CREATE SCHEMA rt;
COMMENT ON SCHEMA rt IS 'chat and meetings: tables, functions and views for applications and administrators';
CREATE SCHEMA rt_api;
COMMENT ON SCHEMA rt_api IS 'functions for the programs of rt: one for each kind of request; the first argument is the acting user';
CREATE SCHEMA rt_private;
COMMENT ON SCHEMA rt_private IS 'internals of rt';
REVOKE ALL ON SCHEMA rt, rt_api, rt_private FROM PUBLIC;

-- Functions are for those whom a file of grants names.
ALTER DEFAULT PRIVILEGES IN SCHEMA rt, rt_api, rt_private REVOKE ALL ON FUNCTIONS FROM PUBLIC;

-- ---- who acts ----------------------------------------------------------------

-- Every function has a search_path of its own, or a body that CREATE FUNCTION parses (RETURN) and that no search_path changes.
-- RETURN is for expressions that the planner puts into the query that calls them: SET search_path would prevent that.
CREATE FUNCTION rt_private.actor() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
	RETURN CASE WHEN current_setting('rt.user_id', true) <> '' THEN current_setting('rt.user_id', true) END;
COMMENT ON FUNCTION rt_private.actor() IS 'the acting user, from rt.user_id; null if none is set';

CREATE FUNCTION rt_private.act_as(actor text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.refuse_guest(actor);
	PERFORM pg_catalog.set_config('rt.user_id', coalesce(actor, ''), true);
END
$$;
COMMENT ON FUNCTION rt_private.act_as(text) IS 'sets the acting user until the transaction ends; refuses guests of meetings';

-- In a SECURITY DEFINER function current_user is the owner: the role that asks is the one that was SET, or logged in.
CREATE FUNCTION rt_private.caller() RETURNS name
LANGUAGE sql STABLE
	RETURN CASE WHEN current_setting('role') = 'none' THEN session_user ELSE current_setting('role')::name END;
COMMENT ON FUNCTION rt_private.caller() IS 'the client''s current role';

CREATE FUNCTION rt_private.trusted() RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT pg_catalog.pg_has_role(rt_private.caller(), n.nspowner, 'USAGE')
	FROM pg_catalog.pg_namespace AS n WHERE n.nspname OPERATOR(pg_catalog.=) 'rt'
$$;
COMMENT ON FUNCTION rt_private.trusted() IS 'whether the caller has the rights of the extension''s owner, and so need not be a user of rt';

-- ---- texts -------------------------------------------------------------------

-- No stricter than to_char() is: then the planner puts it into the query, instead of parsing it anew in each.
CREATE FUNCTION rt_private.iso(t timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
	RETURN pg_catalog.to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
COMMENT ON FUNCTION rt_private.iso(timestamptz) IS 'formats a time for clients: ISO 8601, UTC, milliseconds';

-- The gateway does the same to what is raised (rt_dberror_show()).
CREATE FUNCTION rt_private.sentence(message text) RETURNS text
LANGUAGE sql IMMUTABLE
	RETURN CASE WHEN message ~ '^[a-z]+( |$)' THEN upper(left(message, 1)) || substr(message, 2) ELSE message END;
COMMENT ON FUNCTION rt_private.sentence(text) IS 'formats an error message for clients: capitalized, unless it begins with a field name';

CREATE FUNCTION rt_private.max_message_size() RETURNS integer
LANGUAGE sql STABLE
	RETURN pg_size_bytes(coalesce(current_setting('rt.max_message_size', true), '64kB'))::integer;
COMMENT ON FUNCTION rt_private.max_message_size() IS 'rt.max_message_size in bytes';

-- ---- passwords ------------------------------------------------------------------

CREATE FUNCTION rt_private.crypt(password text, salt text) RETURNS text
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'rt_crypt';
COMMENT ON FUNCTION rt_private.crypt(text, text) IS 'hash of a password with a salt or, to compare, with another hash; the C library''s crypt()';

CREATE FUNCTION rt_private.gen_salt(kind text, rounds integer) RETURNS text
LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'rt_gen_salt';
COMMENT ON FUNCTION rt_private.gen_salt(text, integer) IS 'a random salt for bcrypt (kind bf) with 2^rounds steps';

-- ---- checked values of a request: a key that is missing or of another type is RT400, and named --------

CREATE FUNCTION rt_private.bad_request(message text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION '%', message USING ERRCODE = 'RT400';
END
$$;
COMMENT ON FUNCTION rt_private.bad_request(text) IS 'raises RT400';

CREATE FUNCTION rt_private.to_id(value jsonb, key text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	digits text := value #>> '{}';
BEGIN
	IF jsonb_typeof(value) NOT IN ('string', 'number') OR digits !~ '^(0|[1-9][0-9]{0,18})$' OR digits::numeric > 9223372036854775807 THEN
		RAISE EXCEPTION '% must be an id', key USING ERRCODE = 'RT400';
	END IF;
	RETURN digits::bigint;
END
$$;
COMMENT ON FUNCTION rt_private.to_id(jsonb, text) IS 'reads an id that is given as a string or a number';

CREATE FUNCTION rt_private.req_id_opt(req jsonb, key text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(jsonb_typeof(req -> key), 'null') = 'null' THEN
		RETURN NULL;
	END IF;
	RETURN rt_private.to_id(req -> key, key);
END
$$;
COMMENT ON FUNCTION rt_private.req_id_opt(jsonb, text) IS 'reads an optional id from a request';

CREATE FUNCTION rt_private.req_id(req jsonb, key text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(jsonb_typeof(req -> key), 'null') = 'null' THEN
		RAISE EXCEPTION '% is missing', key USING ERRCODE = 'RT400';
	END IF;
	RETURN rt_private.to_id(req -> key, key);
END
$$;
COMMENT ON FUNCTION rt_private.req_id(jsonb, text) IS 'reads a required id from a request';

CREATE FUNCTION rt_private.req_text_opt(req jsonb, key text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(jsonb_typeof(req -> key), 'null') = 'null' THEN
		RETURN NULL;
	END IF;
	IF jsonb_typeof(req -> key) <> 'string' THEN
		RAISE EXCEPTION '% must be a string', key USING ERRCODE = 'RT400';
	END IF;
	RETURN req ->> key;
END
$$;
COMMENT ON FUNCTION rt_private.req_text_opt(jsonb, text) IS 'reads an optional string from a request';

CREATE FUNCTION rt_private.req_text(req jsonb, key text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value text := rt_private.req_text_opt(req, key);
BEGIN
	IF coalesce(value, '') = '' THEN
		RAISE EXCEPTION '% is missing', key USING ERRCODE = 'RT400';
	END IF;
	RETURN value;
END
$$;
COMMENT ON FUNCTION rt_private.req_text(jsonb, text) IS 'reads a required, nonempty string from a request';

-- Marks that turn the direction of the text around a name, and names of which nothing can be seen, are somebody else's disguise.
CREATE FUNCTION rt_private.can_be_seen(name text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT regexp_replace(name, U&'[[:space:]\00AD\034F\061C\115F\1160\17B4\17B5\180B-\180F\200B-\200F\2060-\206F\3164\FE00-\FE0F\FEFF\FFA0]',
		'', 'g') <> ''
$$;
COMMENT ON FUNCTION rt_private.can_be_seen(text) IS 'whether a name has a character that can be seen';

CREATE FUNCTION rt_private.req_display_name(req jsonb, key text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text := nullif(btrim(rt_private.req_text_opt(req, key)), '');
BEGIN
	IF octet_length(name) > 512 OR name ~ U&'[[:cntrl:]\202A-\202E\2066-\2069]' THEN
		RAISE EXCEPTION '% must have 512 bytes at most, and no control characters', key USING ERRCODE = 'RT400';
	ELSIF NOT rt_private.can_be_seen(name) THEN
		RAISE EXCEPTION '% must have a visible character', key USING ERRCODE = 'RT400';
	END IF;
	RETURN name;
END
$$;
COMMENT ON FUNCTION rt_private.req_display_name(jsonb, text) IS 'reads an optional name that others see from a request';

CREATE FUNCTION rt_private.req_name(req jsonb, key text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(jsonb_typeof(req -> key), 'null') NOT IN ('string', 'number') OR req ->> key = '' THEN
		RAISE EXCEPTION '% is missing', key USING ERRCODE = 'RT400';
	END IF;
	RETURN req ->> key;
END
$$;
COMMENT ON FUNCTION rt_private.req_name(jsonb, text) IS 'reads a name or id from a request, as text; accepts a number';

CREATE FUNCTION rt_private.req_bool(req jsonb, key text, otherwise boolean DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF otherwise IS NOT NULL AND coalesce(jsonb_typeof(req -> key), 'null') = 'null' THEN
		RETURN otherwise;
	END IF;
	IF jsonb_typeof(req -> key) IS DISTINCT FROM 'boolean' THEN
		RAISE EXCEPTION '% must be true or false', key USING ERRCODE = 'RT400';
	END IF;
	RETURN (req -> key)::boolean;
END
$$;
COMMENT ON FUNCTION rt_private.req_bool(jsonb, text, boolean) IS 'reads a boolean from a request';

CREATE FUNCTION rt_private.req_choice(req jsonb, key text, allowed text[], otherwise text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	value text := coalesce(rt_private.req_text_opt(req, key), otherwise);
BEGIN
	IF value IS NULL OR value <> ALL (allowed) THEN
		RAISE EXCEPTION '% must be one of %', key, array_to_string(allowed, ', ') USING ERRCODE = 'RT400';
	END IF;
	RETURN value;
END
$$;
COMMENT ON FUNCTION rt_private.req_choice(jsonb, text, text[], text) IS 'reads one of several words from a request';

CREATE FUNCTION rt_private.req_object(req jsonb, key text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF jsonb_typeof(req -> key) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION '% must be an object', key USING ERRCODE = 'RT400';
	END IF;
	RETURN req -> key;
END
$$;
COMMENT ON FUNCTION rt_private.req_object(jsonb, text) IS 'reads an object from a request';

CREATE FUNCTION rt_private.req_array(req jsonb, key text, most integer) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF jsonb_typeof(req -> key) IS DISTINCT FROM 'array' THEN
		RAISE EXCEPTION '% must be an array', key USING ERRCODE = 'RT400';
	END IF;
	IF jsonb_array_length(req -> key) > most THEN
		RAISE EXCEPTION '% may have % elements', key, most USING ERRCODE = 'RT413';
	END IF;
	RETURN req -> key;
END
$$;
COMMENT ON FUNCTION rt_private.req_array(jsonb, text, integer) IS 'reads an array of limited length from a request';

-- A page's length: cut to the most, refused when it is not positive.
CREATE FUNCTION rt_private.req_limit(req jsonb, otherwise integer, most integer) RETURNS integer
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	digits text := req ->> 'limit';
BEGIN
	IF coalesce(jsonb_typeof(req -> 'limit'), 'null') = 'null' THEN
		RETURN otherwise;
	END IF;
	IF jsonb_typeof(req -> 'limit') NOT IN ('string', 'number') OR digits !~ '^[0-9]+$' OR digits::numeric = 0 THEN
		RAISE EXCEPTION 'limit must be a positive number' USING ERRCODE = 'RT400';
	END IF;
	RETURN least(digits::numeric, most)::integer;
END
$$;
COMMENT ON FUNCTION rt_private.req_limit(jsonb, integer, integer) IS 'reads the page size from a request';

-- Opaque to clients: microseconds and an id.  What was cut there goes on behind it.
CREATE FUNCTION rt_private.cursor_text(at timestamptz, id text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (extract(epoch FROM at) * 1000000)::bigint::text || '_' || id;
END
$$;
COMMENT ON FUNCTION rt_private.cursor_text(timestamptz, text) IS 'builds nextCursor for a list that is ordered by a time and an id';

CREATE FUNCTION rt_private.req_cursor(req jsonb, OUT at timestamptz, OUT id text)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	cursor text := rt_private.req_text_opt(req, 'cursor');
	parts text[] := regexp_match(cursor, '^(-?[0-9]{1,18})_(.+)$');
BEGIN
	IF cursor IS NOT NULL AND parts IS NULL THEN
		RAISE EXCEPTION 'cursor must be the nextCursor of a page' USING ERRCODE = 'RT400';
	END IF;
	at := timestamptz 'epoch' + parts[1]::bigint * interval '1 microsecond';
	id := parts[2];
END
$$;
COMMENT ON FUNCTION rt_private.req_cursor(jsonb) IS 'reads the cursor from a request; null: the first page';

-- "<room>-<seq>" of this room.  What is well formed but of another room is null: not found.
CREATE FUNCTION rt_private.to_seq(value jsonb, key text, room_id bigint) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	parts text[] := regexp_match(value #>> '{}', '^(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})$');
BEGIN
	IF jsonb_typeof(value) IS DISTINCT FROM 'string' OR parts IS NULL THEN
		RAISE EXCEPTION '% must be a message id', key USING ERRCODE = 'RT400';
	END IF;
	RETURN CASE WHEN parts[1]::bigint = to_seq.room_id THEN parts[2]::bigint END;
END
$$;
COMMENT ON FUNCTION rt_private.to_seq(jsonb, text, bigint) IS 'the number of a message in a room, from its id; null if the message is in another room';
