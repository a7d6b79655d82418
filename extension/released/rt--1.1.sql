\echo Use "CREATE EXTENSION rt CASCADE" to load this file. \quit
-- Schemas, roles, and the small functions that the other files share.

-- Until the extension is made.  CREATE EXTENSION's own path has the schema public in it, where others may have left a
-- function or operator that fits better than pg_catalog's.
SET LOCAL search_path = pg_catalog, pg_temp;

-- The wire is UTF-8, and the triggers write it: in another encoding they would write something else.
DO $$
BEGIN
	IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
		RAISE EXCEPTION 'rt needs a database with encoding UTF8, this one has %', pg_catalog.getdatabaseencoding()
			USING ERRCODE = 'feature_not_supported', HINT = 'Create the database with TEMPLATE template0 ENCODING ''UTF8''.';
	END IF;
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
			-- A refusal is an error to the server, and clients could fill its log with them.  The programs log what is not
			-- the client's fault.
			IF r.how = 'LOGIN' THEN
				EXECUTE pg_catalog.format('ALTER ROLE %I SET log_min_messages = fatal', r.name);
			END IF;
		END IF;
	END LOOP;
END
$$;

CREATE SCHEMA rt;
COMMENT ON SCHEMA rt IS 'chat and meetings: tables, functions and views for applications and administrators';
CREATE SCHEMA rt_api;
COMMENT ON SCHEMA rt_api IS 'what the programs of rt may call: one function a request, the acting user first';
CREATE SCHEMA rt_private;
COMMENT ON SCHEMA rt_private IS 'internals of rt';
REVOKE ALL ON SCHEMA rt, rt_api, rt_private FROM PUBLIC;

-- Functions are for those whom a file of grants names.
ALTER DEFAULT PRIVILEGES IN SCHEMA rt, rt_api, rt_private REVOKE ALL ON FUNCTIONS FROM PUBLIC;

-- ---- who acts ----------------------------------------------------------------

-- Policies and views ask these with whatever path the caller has, so they name the schema of operators, too.
CREATE FUNCTION rt_private.actor() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT CASE WHEN pg_catalog.current_setting('rt.user_id', true) OPERATOR(pg_catalog.<>) ''
		THEN pg_catalog.current_setting('rt.user_id', true) END
$$;
COMMENT ON FUNCTION rt_private.actor() IS 'the acting user, rt.user_id; null if there is none';

CREATE FUNCTION rt_private.act_as(actor text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_catalog.set_config('rt.user_id', coalesce(actor, ''), true);
END
$$;
COMMENT ON FUNCTION rt_private.act_as(text) IS 'makes a user the acting one until the transaction ends';

-- In a SECURITY DEFINER function current_user is the owner: the role that asks is the one that was SET, or logged in.
CREATE FUNCTION rt_private.caller() RETURNS name
LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN pg_catalog.current_setting('role') OPERATOR(pg_catalog.=) 'none' THEN session_user
		ELSE pg_catalog.current_setting('role')::name END
$$;
COMMENT ON FUNCTION rt_private.caller() IS 'the role that the client acts with';

CREATE FUNCTION rt_private.trusted() RETURNS boolean
LANGUAGE sql STABLE AS $$
	SELECT pg_catalog.pg_has_role(rt_private.caller(), n.nspowner, 'USAGE')
	FROM pg_catalog.pg_namespace AS n WHERE n.nspname OPERATOR(pg_catalog.=) 'rt'
$$;
COMMENT ON FUNCTION rt_private.trusted() IS 'whether the caller has the rights of the extension''s owner, and need not be a user of rt';

-- ---- texts -------------------------------------------------------------------

-- No stricter than to_char() is: then the planner puts it into the query, instead of parsing it anew in each.
CREATE FUNCTION rt_private.iso(t timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT pg_catalog.to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;
COMMENT ON FUNCTION rt_private.iso(timestamptz) IS 'a time as the wire has it: ISO 8601, UTC, milliseconds';

CREATE FUNCTION rt_private.max_message_size() RETURNS integer
LANGUAGE sql STABLE AS $$
	SELECT pg_catalog.pg_size_bytes(pg_catalog.current_setting('rt.max_message_size'))::integer
$$;
COMMENT ON FUNCTION rt_private.max_message_size() IS 'rt.max_message_size in bytes';

-- ---- pgcrypto, in whichever schema the administrator has put it ------------------

CREATE FUNCTION rt_private.crypt(password text, salt text) RETURNS text
LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	hash text;
BEGIN
	EXECUTE format('SELECT %I.crypt($1, $2)', (SELECT n.nspname FROM pg_extension AS e
		JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'pgcrypto'))
	INTO hash USING crypt.password, crypt.salt;
	RETURN hash;
END
$$;
COMMENT ON FUNCTION rt_private.crypt(text, text) IS 'pgcrypto''s crypt()';

CREATE FUNCTION rt_private.gen_salt(kind text, rounds integer) RETURNS text
LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	salt text;
BEGIN
	EXECUTE format('SELECT %I.gen_salt($1, $2)', (SELECT n.nspname FROM pg_extension AS e
		JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'pgcrypto'))
	INTO salt USING gen_salt.kind, gen_salt.rounds;
	RETURN salt;
END
$$;
COMMENT ON FUNCTION rt_private.gen_salt(text, integer) IS 'pgcrypto''s gen_salt()';

-- ---- checked values of a request: a key that is missing or of another type is RT400, and named --------

CREATE FUNCTION rt_private.bad_request(message text) RETURNS void
LANGUAGE plpgsql AS $$
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
COMMENT ON FUNCTION rt_private.to_id(jsonb, text) IS 'an id, given as a string or a number';

CREATE FUNCTION rt_private.req_id_opt(req jsonb, key text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(jsonb_typeof(req -> key), 'null') = 'null' THEN
		RETURN NULL;
	END IF;
	RETURN rt_private.to_id(req -> key, key);
END
$$;
COMMENT ON FUNCTION rt_private.req_id_opt(jsonb, text) IS 'an id in a request, or null';

CREATE FUNCTION rt_private.req_id(req jsonb, key text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(jsonb_typeof(req -> key), 'null') = 'null' THEN
		RAISE EXCEPTION '% is missing', key USING ERRCODE = 'RT400';
	END IF;
	RETURN rt_private.to_id(req -> key, key);
END
$$;
COMMENT ON FUNCTION rt_private.req_id(jsonb, text) IS 'an id in a request';

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
COMMENT ON FUNCTION rt_private.req_text_opt(jsonb, text) IS 'a string in a request, or null';

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
COMMENT ON FUNCTION rt_private.req_text(jsonb, text) IS 'a string in a request, not empty';

CREATE FUNCTION rt_private.req_name(req jsonb, key text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(jsonb_typeof(req -> key), 'null') NOT IN ('string', 'number') OR req ->> key = '' THEN
		RAISE EXCEPTION '% is missing', key USING ERRCODE = 'RT400';
	END IF;
	RETURN req ->> key;
END
$$;
COMMENT ON FUNCTION rt_private.req_name(jsonb, text) IS 'a name or id in a request, as text; a number is taken too';

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
COMMENT ON FUNCTION rt_private.req_bool(jsonb, text, boolean) IS 'a boolean in a request';

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
COMMENT ON FUNCTION rt_private.req_choice(jsonb, text, text[], text) IS 'one of several words in a request';

CREATE FUNCTION rt_private.req_object(req jsonb, key text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF jsonb_typeof(req -> key) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION '% must be an object', key USING ERRCODE = 'RT400';
	END IF;
	RETURN req -> key;
END
$$;
COMMENT ON FUNCTION rt_private.req_object(jsonb, text) IS 'an object in a request';

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
COMMENT ON FUNCTION rt_private.req_array(jsonb, text, integer) IS 'an array in a request, bounded';

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
COMMENT ON FUNCTION rt_private.req_limit(jsonb, integer, integer) IS 'a page''s length in a request';

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
COMMENT ON FUNCTION rt_private.to_seq(jsonb, text, bigint) IS 'the number of a message of a room, from its id; null if it is another room''s';
-- Users: who may log in, and under which name the others see them.

CREATE TABLE rt.users (
	id text PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 128 AND id !~ '[[:cntrl:]]'),
	username text NOT NULL CHECK (octet_length(username) BETWEEN 1 AND 128 AND username !~ '[[:cntrl:][:space:]@]'),
	name text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 512),
	password_hash text,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	is_admin boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX users_username_key ON rt.users (lower(username));
COMMENT ON TABLE rt.users IS 'who may log in';
COMMENT ON COLUMN rt.users.id IS 'the subject of the user''s tokens';
COMMENT ON COLUMN rt.users.username IS 'for logging in and for @mentions; unique whatever the case';
COMMENT ON COLUMN rt.users.name IS 'what the others see';
COMMENT ON COLUMN rt.users.password_hash IS 'bcrypt; null: cannot log in by password';
COMMENT ON COLUMN rt.users.is_admin IS 'may see the server''s figures, disconnect users and end meetings';
COMMENT ON COLUMN rt.users.created_at IS 'when the user was created';
COMMENT ON INDEX rt.users_username_key IS 'logging in and mentions';
SELECT pg_catalog.pg_extension_config_dump('rt.users', '');

CREATE FUNCTION rt_private.hash_password(password text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF octet_length(password) NOT BETWEEN 1 AND 1024 THEN
		RAISE EXCEPTION 'a password must have 1 to 1024 bytes' USING ERRCODE = 'RT400';
	END IF;
	-- bcrypt looks at 72 bytes alone: a longer one is digested first
	RETURN rt_private.crypt(rt_private.password_bytes(password), rt_private.gen_salt('bf', 8));
END
$$;
COMMENT ON FUNCTION rt_private.hash_password(text) IS 'what is kept of a password';

CREATE FUNCTION rt_private.password_bytes(password text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT AS $$
	SELECT CASE WHEN pg_catalog.octet_length(password) <= 72 THEN password
		ELSE pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(password, 'UTF8')), 'base64') END
$$;
COMMENT ON FUNCTION rt_private.password_bytes(text) IS 'a password in the 72 bytes that bcrypt looks at';

-- Takes as long whether or not there is such a hash.
CREATE FUNCTION rt_private.password_matches(password text, password_hash text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	known text := coalesce(password_hash, '$2a$08$abcdefghijklmnopqrstuuWlVT8PV6Wdd6SlVuRrqAcpKrBM1HVoW');
BEGIN
	RETURN rt_private.crypt(rt_private.password_bytes(coalesce(password, '')), known) = known
		AND password_matches.password_hash IS NOT NULL;
END
$$;
COMMENT ON FUNCTION rt_private.password_matches(text, text) IS 'whether a password is the one';

CREATE FUNCTION rt.create_user(id text, name text, password text DEFAULT NULL, username text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO rt.users (id, username, name, password_hash)
	VALUES (create_user.id, coalesce(create_user.username, create_user.id), create_user.name,
		rt_private.hash_password(create_user.password));
	RETURN create_user.id;
END
$$;
ALTER FUNCTION rt_private.hash_password(text) STRICT;
COMMENT ON FUNCTION rt.create_user(text, text, text, text) IS 'creates a user; without a password only tokens let them in';

CREATE FUNCTION rt.set_password(user_id text, password text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt.users AS u SET password_hash = rt_private.hash_password(set_password.password)
	WHERE u.id = set_password.user_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'User not found' USING ERRCODE = 'RT404';
	END IF;
END
$$;
COMMENT ON FUNCTION rt.set_password(text, text) IS 'sets a user''s password; null: none lets them in';

CREATE FUNCTION rt_private.user_name(user_id text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT u.name FROM rt.users AS u WHERE u.id = user_name.user_id);
END
$$;
COMMENT ON FUNCTION rt_private.user_name(text) IS 'what the others see of a user';

CREATE FUNCTION rt_private.user_json(u rt.users) RETURNS json
LANGUAGE sql STABLE AS $$
	SELECT pg_catalog.json_build_object('id', u.id, 'username', u.username, 'name', u.name)
$$;
COMMENT ON FUNCTION rt_private.user_json(rt.users) IS 'a user on the wire';
-- Keys and tokens.  A token is a JSON Web Token; its header names the key (kid) that signed it.  All keys that are not
-- retired verify; of those with can_sign the newest signs.

CREATE TABLE rt_private.keys (
    kid text PRIMARY KEY CHECK (kid ~ '^[A-Za-z0-9_.:-]{1,64}$'),
    alg text NOT NULL CHECK (alg IN ('HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512')),
    secret text,
    private_key text,
    public_key text,
    can_sign boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz,
    CONSTRAINT keys_secret CHECK ((alg LIKE 'HS%') = (secret IS NOT NULL)),
    CONSTRAINT keys_secret_length CHECK (octet_length(secret) >= substr(alg, 3)::integer / 8),
    CONSTRAINT keys_public CHECK ((alg LIKE 'HS%') = (public_key IS NULL)),
    CONSTRAINT keys_private CHECK (private_key IS NULL OR public_key IS NOT NULL),
    CONSTRAINT keys_can_sign CHECK (NOT can_sign OR secret IS NOT NULL OR private_key IS NOT NULL)
);
COMMENT ON TABLE rt_private.keys IS 'keys that sign and verify tokens; pg_dump writes them out, secrets too';
COMMENT ON COLUMN rt_private.keys.kid IS 'name of the key in a token''s header';
COMMENT ON COLUMN rt_private.keys.alg IS 'the one algorithm that the key is for';
COMMENT ON COLUMN rt_private.keys.secret IS 'HS…: the shared secret; its bytes are the key';
COMMENT ON COLUMN rt_private.keys.private_key IS 'RS…, ES…: the private key as PEM, if tokens may be signed here';
COMMENT ON COLUMN rt_private.keys.public_key IS 'RS…, ES…: the public key as PEM';
COMMENT ON COLUMN rt_private.keys.can_sign IS 'rt.issue_token() may use it; it uses the newest';
COMMENT ON COLUMN rt_private.keys.created_at IS 'when the key was added';
COMMENT ON COLUMN rt_private.keys.retired_at IS 'since when the key verifies nothing any more';

CREATE FUNCTION rt_private.random_text(bytes integer) RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_random_text';
COMMENT ON FUNCTION rt_private.random_text(integer) IS 'that many random bytes as base64url';

CREATE FUNCTION rt_private.jwt_sign(kid text, alg text, key text, claims json) RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_jwt_sign';
COMMENT ON FUNCTION rt_private.jwt_sign(text, text, text, json) IS 'a token with these claims';

CREATE FUNCTION rt_private.jwt_part(token text, part integer) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_jwt_part';
COMMENT ON FUNCTION rt_private.jwt_part(text, integer) IS
    'the text of a token''s header (1) or claims (2), unverified; NULL if it is no token';

CREATE FUNCTION rt_private.jwt_is_signed(token text, alg text, key text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_jwt_is_signed';
COMMENT ON FUNCTION rt_private.jwt_is_signed(text, text, text) IS
    'whether this secret or public key has signed the token by this algorithm';

CREATE FUNCTION rt_private.pem_public(alg text, pem text, is_private boolean) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_pem_public';
COMMENT ON FUNCTION rt_private.pem_public(text, text, boolean) IS
    'the public half of a private or public key; NULL if pem is no such key, an error if it does not fit the algorithm';

-- ---- keys ----------------------------------------------------------------------

CREATE FUNCTION rt.add_key(kid text, alg text, key text, can_sign boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    public_key text;
    private_key text;
BEGIN
    IF add_key.alg LIKE 'HS%' THEN
        IF octet_length(add_key.key) < substr(add_key.alg, 3)::integer / 8 THEN
            RAISE EXCEPTION 'the secret is too short for %', add_key.alg
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = format('It needs %s random bytes at least.', substr(add_key.alg, 3)::integer / 8);
        END IF;
        INSERT INTO rt_private.keys (kid, alg, secret, can_sign)
        VALUES (add_key.kid, add_key.alg, add_key.key, add_key.can_sign);
        RETURN;
    END IF;
    public_key := rt_private.pem_public(add_key.alg, add_key.key, true);
    IF public_key IS NOT NULL THEN
        private_key := add_key.key;
    ELSE
        public_key := rt_private.pem_public(add_key.alg, add_key.key, false);
    END IF;
    IF public_key IS NULL THEN
        RAISE EXCEPTION 'the key is neither a public nor a private key in PEM' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF add_key.can_sign AND private_key IS NULL THEN
        RAISE EXCEPTION 'a public key cannot sign' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO rt_private.keys (kid, alg, private_key, public_key, can_sign)
    VALUES (add_key.kid, add_key.alg, private_key, public_key, add_key.can_sign);
END
$$;
COMMENT ON FUNCTION rt.add_key(text, text, text, boolean) IS
    'adds a key that verifies tokens, and signs them if can_sign: a shared secret (HS256, HS384, HS512), '
    'or a public or private key in PEM (RS256, RS384, RS512, ES256, ES384, ES512)';

CREATE FUNCTION rt.rotate_key() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    new_kid text := rt_private.random_text(9);
BEGIN
    PERFORM rt.add_key(new_kid, 'HS256', rt_private.random_text(32), true);
    RETURN new_kid;
END
$$;
COMMENT ON FUNCTION rt.rotate_key() IS
    'adds a random key that signs from now on, and returns its kid; the others verify until rt.retire_key()';

CREATE FUNCTION rt.retire_key(kid text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE rt_private.keys k SET retired_at = clock_timestamp()
    WHERE k.kid = retire_key.kid AND k.retired_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no key "%" in use', retire_key.kid USING ERRCODE = 'RT404';
    END IF;
END
$$;
COMMENT ON FUNCTION rt.retire_key(text) IS 'makes every token invalid that was signed with this key';

CREATE FUNCTION rt_private.keys_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM rt_private.emit('rt:keys', '{"gateway":true}', '{}', true);
    RETURN NULL;
EXCEPTION
    -- Where rt is not preloaded, as in a restore into a bare server, there is no gateway to tell.
    WHEN object_not_in_prerequisite_state THEN
        RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.keys_changed() IS 'tells the gateways to read the keys again';

INSERT INTO rt_private.keys (kid, alg, secret, can_sign)
VALUES (rt_private.random_text(9), 'HS256', rt_private.random_text(32), true);

-- Of a subscriber too, to which replication brings the publisher's keys: it fires triggers for rows alone, and of these
-- those that are always enabled.
CREATE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON rt_private.keys
FOR EACH ROW EXECUTE FUNCTION rt_private.keys_changed();
ALTER TABLE rt_private.keys ENABLE ALWAYS TRIGGER keys_changed;
COMMENT ON TRIGGER keys_changed ON rt_private.keys IS 'tells the gateways';
CREATE TRIGGER keys_truncated AFTER TRUNCATE ON rt_private.keys
FOR EACH STATEMENT EXECUTE FUNCTION rt_private.keys_changed();
COMMENT ON TRIGGER keys_truncated ON rt_private.keys IS 'tells the gateways';

SELECT pg_catalog.pg_extension_config_dump('rt_private.keys', '');

-- What a gateway needs to verify tokens: no private key is among it, shared secrets are.
CREATE FUNCTION rt_api.keys(actor text, req jsonb) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(json_agg(json_build_object('kid', k.kid, 'alg', k.alg, 'key', coalesce(k.secret, k.public_key))
                             ORDER BY k.created_at DESC, k.kid), '[]')
    FROM rt_private.keys k WHERE k.retired_at IS NULL
$$;
COMMENT ON FUNCTION rt_api.keys(text, jsonb) IS 'the keys that verify tokens: [{kid, alg, key}], the newest first';

-- ---- tokens --------------------------------------------------------------------

CREATE FUNCTION rt_private.make_token(user_id text, ttl interval) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named record;
    signing record;
    issued_at bigint := floor(extract(epoch FROM clock_timestamp()));
    -- A session that has not loaded the library yet, as happens without preloading, does not know the setting.
    ttl interval := coalesce(make_token.ttl, current_setting('rt.token_ttl', true)::interval, interval '12 hours');
    lifetime bigint := floor(extract(epoch FROM ttl));
BEGIN
    SELECT u.id, u.name INTO named FROM rt.users u WHERE u.id = make_token.user_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'user not found' USING ERRCODE = 'RT404';
    END IF;
    SELECT k.kid, k.alg, coalesce(k.secret, k.private_key) AS key INTO signing
    FROM rt_private.keys k WHERE k.can_sign AND k.retired_at IS NULL
    ORDER BY k.created_at DESC, k.kid LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no key to sign with' USING ERRCODE = 'RT503', HINT = 'Run rt.rotate_key().';
    END IF;
    RETURN rt_private.jwt_sign(signing.kid, signing.alg, signing.key,
        json_build_object('sub', named.id, 'name', named.name, 'iat', issued_at, 'exp', issued_at + lifetime,
                          'jti', rt_private.random_text(9)));
END
$$;
COMMENT ON FUNCTION rt_private.make_token(text, interval) IS 'a token of a user, signed by the newest key';

CREATE FUNCTION rt.issue_token(user_id text, ttl interval DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    token text := rt_private.make_token(issue_token.user_id, issue_token.ttl);
BEGIN
    PERFORM rt_private.audit('token-issued', jsonb_build_object('userId', issue_token.user_id));
    RETURN token;
END
$$;
COMMENT ON FUNCTION rt.issue_token(text, interval) IS
    'a token with which a client may connect as that user, valid for ttl (default rt.token_ttl)';

CREATE FUNCTION rt_private.signed_claims(token text) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    header json;
BEGIN
    header := rt_private.jwt_part(signed_claims.token, 1);
    -- An extension that must be understood, and is not (RFC 7515, section 4.1.11).
    IF header -> 'crit' IS NOT NULL THEN
        RETURN NULL;
    END IF;
    -- Without a kid, whichever key fits: there are few.
    PERFORM FROM rt_private.keys k
    WHERE k.retired_at IS NULL AND k.alg = header ->> 'alg' AND k.kid = coalesce(header ->> 'kid', k.kid)
        AND rt_private.jwt_is_signed(signed_claims.token, k.alg, coalesce(k.secret, k.public_key));
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN rt_private.jwt_part(signed_claims.token, 2);
EXCEPTION
    -- What is not JSON, or not even text, is no token.
    WHEN data_exception OR program_limit_exceeded THEN
        RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.signed_claims(text) IS 'a token''s claims, if one of the keys has signed it, else NULL';

CREATE FUNCTION rt.verify_token(token text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    claims json := rt_private.signed_claims(verify_token.token);
    now_s double precision := extract(epoch FROM clock_timestamp());
    leeway_s CONSTANT integer := 5;
    wrong boolean;
BEGIN
    wrong := claims IS NULL
        OR json_typeof(claims -> 'sub') IS DISTINCT FROM 'string' OR claims ->> 'sub' = ''
        OR coalesce(json_typeof(claims -> 'exp'), 'number') <> 'number'
        OR coalesce(json_typeof(claims -> 'nbf'), 'number') <> 'number';
    IF NOT wrong THEN
        IF (claims ->> 'exp')::double precision <= now_s THEN
            RAISE EXCEPTION 'Token expired' USING ERRCODE = 'RT401';
        END IF;
        wrong := coalesce((claims ->> 'nbf')::double precision - leeway_s > now_s, false);
    END IF;
    IF wrong THEN
        RAISE EXCEPTION 'Invalid token' USING ERRCODE = 'RT401';
    END IF;
    RETURN claims ->> 'sub';
END
$$;
COMMENT ON FUNCTION rt.verify_token(text) IS 'the user id in a valid token; errors Invalid token, Token expired';

-- Whoever may call these can act as any user, so nobody may who was not told that he may.
REVOKE ALL ON TABLE rt_private.keys FROM PUBLIC;
REVOKE ALL ON FUNCTION rt_private.random_text(integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION rt_private.jwt_sign(text, text, text, json) FROM PUBLIC;
REVOKE ALL ON FUNCTION rt_private.jwt_part(text, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION rt_private.jwt_is_signed(text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION rt_private.pem_public(text, text, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION rt_private.signed_claims(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION rt_private.keys_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION rt.add_key(text, text, text, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION rt.rotate_key() FROM PUBLIC;
REVOKE ALL ON FUNCTION rt.retire_key(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION rt.issue_token(text, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION rt.verify_token(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION rt_api.keys(text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rt_api.keys(text, jsonb) TO rt_gateway;
-- Rooms and their members.

CREATE TABLE rt.rooms (
	id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	name text CHECK (octet_length(name) <= 1024),
	kind text NOT NULL DEFAULT 'group' CHECK (kind IN ('direct', 'group')),
	created_by text REFERENCES rt.users (id) ON DELETE SET NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	last_seq bigint NOT NULL DEFAULT 0 CHECK (last_seq >= 0),
	direct_key text UNIQUE,
	CONSTRAINT rooms_direct CHECK ((kind = 'direct') = (direct_key IS NOT NULL))
) WITH (fillfactor = 50);
CREATE INDEX rooms_created_by_idx ON rt.rooms (created_by);
COMMENT ON TABLE rt.rooms IS 'chat rooms; each message updates last_seq in place, hence the free space in the pages';
COMMENT ON COLUMN rt.rooms.id IS 'roomId on the wire';
COMMENT ON COLUMN rt.rooms.name IS 'null for a direct room: clients show the other one''s name';
COMMENT ON COLUMN rt.rooms.kind IS 'direct: of two users, exists once; group: any number';
COMMENT ON COLUMN rt.rooms.created_by IS 'who made it';
COMMENT ON COLUMN rt.rooms.created_at IS 'when it was made';
COMMENT ON COLUMN rt.rooms.last_seq IS 'number of the newest message, 0 if there is none; its row lock orders the room''s messages';
COMMENT ON COLUMN rt.rooms.direct_key IS 'the two users of a direct room';
COMMENT ON INDEX rt.rooms_created_by_idx IS 'deleting a user';
SELECT pg_catalog.pg_extension_config_dump('rt.rooms', '');
SELECT pg_catalog.pg_extension_config_dump('rt.rooms_id_seq', '');

CREATE TABLE rt.room_members (
	room_id bigint NOT NULL REFERENCES rt.rooms (id) ON DELETE CASCADE,
	user_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	role text NOT NULL DEFAULT 'member' CHECK (role IN ('admin', 'member')),
	joined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	last_read_seq bigint NOT NULL DEFAULT 0 CHECK (last_read_seq >= 0),
	PRIMARY KEY (room_id, user_id)
) WITH (fillfactor = 80);
CREATE INDEX room_members_user_id_idx ON rt.room_members (user_id, room_id);
COMMENT ON TABLE rt.room_members IS 'who is in which room';
COMMENT ON COLUMN rt.room_members.room_id IS 'the room';
COMMENT ON COLUMN rt.room_members.user_id IS 'the member';
COMMENT ON COLUMN rt.room_members.role IS 'admin: may rename, delete, add and remove; member';
COMMENT ON COLUMN rt.room_members.joined_at IS 'since when';
COMMENT ON COLUMN rt.room_members.last_read_seq IS 'the highest message that the member has seen';
COMMENT ON INDEX rt.room_members_user_id_idx IS 'the rooms of a user';
SELECT pg_catalog.pg_extension_config_dump('rt.room_members', '');

-- Two ids in an order of their own; a NUL cannot stand in either, but neither can it in a text: hence the lengths.
CREATE FUNCTION rt_private.direct_key(a text, b text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT pg_catalog.length(least(a COLLATE "C", b COLLATE "C")) || ':' || least(a COLLATE "C", b COLLATE "C") || greatest(a COLLATE "C", b COLLATE "C")
$$;
COMMENT ON FUNCTION rt_private.direct_key(text, text) IS 'the key of the direct room of two users';

CREATE FUNCTION rt_private.direct_users(key text) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT ARRAY[left(k.ids, k.n), substr(k.ids, k.n + 1)]
	FROM (SELECT split_part(key, ':', 1)::integer AS n, substr(key, strpos(key, ':') + 1) AS ids) AS k
$$;
COMMENT ON FUNCTION rt_private.direct_users(text) IS 'the two users of a direct room, from its key';

-- Runs with the owner's rights, so that policies may ask it without asking themselves.
CREATE FUNCTION rt_private.is_member(room_id bigint, user_id text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM rt.room_members AS m
		WHERE m.room_id = is_member.room_id AND m.user_id = is_member.user_id)
$$;
COMMENT ON FUNCTION rt_private.is_member(bigint, text) IS 'whether a user is in a room';

-- For policies: a statement asks once, not once a row.
CREATE FUNCTION rt_private.own_rooms() RETURNS bigint[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT ARRAY(SELECT m.room_id FROM rt.room_members AS m WHERE m.user_id = rt_private.actor())
$$;
COMMENT ON FUNCTION rt_private.own_rooms() IS 'the rooms of the acting user';

CREATE FUNCTION rt_private.is_room_admin(room_id bigint, user_id text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM rt.room_members AS m
		WHERE m.room_id = is_room_admin.room_id AND m.user_id = is_room_admin.user_id AND m.role = 'admin')
$$;
COMMENT ON FUNCTION rt_private.is_room_admin(bigint, text) IS 'whether a user is an admin of a room';

-- ---- events ------------------------------------------------------------------

CREATE FUNCTION rt_private.room_route(room_id bigint, except_socket text DEFAULT NULL) RETURNS json
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN except_socket IS NULL THEN pg_catalog.json_build_object('room', room_id::text)
		ELSE pg_catalog.json_build_object('room', room_id::text, 'except', except_socket) END
$$;
COMMENT ON FUNCTION rt_private.room_route(bigint, text) IS 'to the sockets that joined a room';

CREATE FUNCTION rt_private.notify_users(users text[], kind text, data json, room_id bigint) RETURNS void
LANGUAGE sql AS $$
	SELECT rt_private.emit('chat-notification', pg_catalog.json_build_object('users', users),
		pg_catalog.json_build_object('type', kind, 'roomId', room_id::text, 'data', data,
			'timestamp', rt_private.iso(pg_catalog.clock_timestamp())),
		true, room_id)
	WHERE pg_catalog.cardinality(users) > 0
$$;
COMMENT ON FUNCTION rt_private.notify_users(text[], text, json, bigint) IS 'chat-notification to all sockets of some users';

CREATE FUNCTION rt_private.room_data(r rt.rooms) RETURNS json
LANGUAGE sql STABLE AS $$
	SELECT pg_catalog.json_build_object('roomId', r.id::text, 'id', r.id::text, 'name', r.name, 'kind', r.kind,
		'by', rt_private.actor())
$$;
COMMENT ON FUNCTION rt_private.room_data(rt.rooms) IS 'what a notification tells of a room';

CREATE FUNCTION rt_private.member_changed(room_id bigint, user_id text, member boolean) RETURNS void
LANGUAGE sql AS $$
	SELECT rt_private.emit('rt:member', '{"gateway":true}',
		pg_catalog.json_build_object('roomId', room_id::text, 'userId', user_id, 'member', member,
			'xid', pg_catalog.pg_current_xact_id()::text), true, room_id)
$$;
COMMENT ON FUNCTION rt_private.member_changed(bigint, text, boolean) IS 'tells the gateways who is in a room';

CREATE FUNCTION rt_private.room_members_after_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room record;
BEGIN
	FOR room IN SELECT r AS row, array_agg(m.user_id) AS users
		FROM added AS m JOIN rt.rooms AS r ON r.id = m.room_id GROUP BY r.id, r
	LOOP
		IF (room.row).kind = 'direct' AND NOT room.users <@ rt_private.direct_users((room.row).direct_key) THEN
			RAISE EXCEPTION 'A direct room has two members' USING ERRCODE = 'RT409';
		END IF;
		PERFORM rt_private.member_changed((room.row).id, u, true) FROM unnest(room.users) AS u;
		PERFORM rt_private.notify_users(room.users, 'room-added', rt_private.room_data(room.row), (room.row).id);
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.room_members_after_insert() IS 'tells who was added; lets no third one into a direct room';
CREATE TRIGGER room_members_after_insert AFTER INSERT ON rt.room_members
	REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION rt_private.room_members_after_insert();

-- With the room itself went its members; rooms_before_delete() has told them.
CREATE FUNCTION rt_private.room_members_after_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room record;
BEGIN
	FOR room IN SELECT r AS row, array_agg(m.user_id) AS users
		FROM removed AS m JOIN rt.rooms AS r ON r.id = m.room_id GROUP BY r.id, r
	LOOP
		PERFORM rt_private.member_changed((room.row).id, u, false) FROM unnest(room.users) AS u;
		PERFORM rt_private.notify_users(room.users, 'room-removed', rt_private.room_data(room.row), (room.row).id);
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.room_members_after_delete() IS 'tells who was removed, and ends delivery to them';
CREATE TRIGGER room_members_after_delete AFTER DELETE ON rt.room_members
	REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION rt_private.room_members_after_delete();

CREATE FUNCTION rt_private.room_members_before_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'a membership cannot be moved to another room or user'
		USING ERRCODE = 'RT400', HINT = 'Delete it and insert a new one.';
END
$$;
COMMENT ON FUNCTION rt_private.room_members_before_update() IS 'keeps the key of a membership';
CREATE TRIGGER room_members_before_update BEFORE UPDATE ON rt.room_members FOR EACH ROW
	WHEN (OLD.room_id <> NEW.room_id OR OLD.user_id <> NEW.user_id)
	EXECUTE FUNCTION rt_private.room_members_before_update();

CREATE FUNCTION rt_private.room_members_of(room_id bigint) RETURNS text[]
LANGUAGE sql STABLE AS $$
	SELECT coalesce(pg_catalog.array_agg(m.user_id), '{}') FROM rt.room_members AS m WHERE m.room_id = room_members_of.room_id
$$;
COMMENT ON FUNCTION rt_private.room_members_of(bigint) IS 'the users of a room';

CREATE FUNCTION rt_private.rooms_before_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit('rt:room-deleted', '{"gateway":true}', json_build_object('roomId', OLD.id::text), true, OLD.id);
	PERFORM rt_private.notify_users(rt_private.room_members_of(OLD.id), 'room-deleted', rt_private.room_data(OLD), OLD.id);
	RETURN OLD;
END
$$;
COMMENT ON FUNCTION rt_private.rooms_before_delete() IS 'tells the members that their room is gone';
CREATE TRIGGER rooms_before_delete BEFORE DELETE ON rt.rooms FOR EACH ROW
	EXECUTE FUNCTION rt_private.rooms_before_delete();

-- As the end of a room, to the gateways: everybody leaves.
CREATE FUNCTION rt_private.room_members_before_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit('rt:room-deleted', '{"gateway":true}', json_build_object('roomId', m.room_id::text), true, m.room_id)
	FROM (SELECT DISTINCT t.room_id FROM rt.room_members AS t) AS m;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.room_members_before_truncate() IS 'ends delivery to all members of all rooms';
CREATE TRIGGER room_members_before_truncate BEFORE TRUNCATE ON rt.room_members FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.room_members_before_truncate();

CREATE FUNCTION rt_private.rooms_after_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.notify_users(rt_private.room_members_of(NEW.id), 'room-updated', rt_private.room_data(NEW), NEW.id);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.rooms_after_update() IS 'tells the members of a new name';
CREATE TRIGGER rooms_after_update AFTER UPDATE OF name ON rt.rooms FOR EACH ROW
	WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION rt_private.rooms_after_update();

-- ---- functions ---------------------------------------------------------------

-- The first member is the maker, and admin.  A direct room that exists is found.
CREATE FUNCTION rt_private.make_room(maker text, name text, kind text, members text[], OUT room rt.rooms, OUT created boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	everyone text[] := (SELECT array_agg(u ORDER BY n) FROM (SELECT u, min(n) AS n
		FROM unnest(ARRAY[make_room.maker] || make_room.members) WITH ORDINALITY AS t (u, n)
		WHERE u IS NOT NULL GROUP BY u) AS t);
	key text;
BEGIN
	IF make_room.kind = 'direct' THEN
		IF cardinality(everyone) IS DISTINCT FROM 2 THEN
			RAISE EXCEPTION 'A direct room has two members' USING ERRCODE = 'RT400';
		END IF;
		key := rt_private.direct_key(everyone[1], everyone[2]);
	END IF;
	IF (SELECT count(*) FROM rt.users AS u WHERE u.id = ANY (everyone)) <> coalesce(cardinality(everyone), 0) THEN
		RAISE EXCEPTION 'User not found' USING ERRCODE = 'RT404';
	END IF;
	INSERT INTO rt.rooms (name, kind, created_by, direct_key)
	VALUES (make_room.name, make_room.kind, make_room.maker, key)
	ON CONFLICT (direct_key) DO NOTHING
	RETURNING * INTO room;
	created := FOUND;
	IF NOT created THEN
		SELECT r.* INTO room FROM rt.rooms AS r WHERE r.direct_key = key;
		IF NOT FOUND THEN
			RAISE EXCEPTION 'The room was deleted meanwhile' USING ERRCODE = 'RT409';
		END IF;
		-- one who had left comes back
		INSERT INTO rt.room_members (room_id, user_id, role)
		SELECT room.id, u, 'admin' FROM unnest(everyone) AS u ON CONFLICT DO NOTHING;
		RETURN;
	END IF;
	INSERT INTO rt.room_members (room_id, user_id, role)
	SELECT room.id, u, CASE WHEN u = make_room.maker OR make_room.kind = 'direct' THEN 'admin' ELSE 'member' END
	FROM unnest(everyone) AS u;
END
$$;
COMMENT ON FUNCTION rt_private.make_room(text, text, text, text[]) IS 'makes a room, or finds the direct one';

CREATE FUNCTION rt.create_room(name text, members text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	maker text := create_room.members[array_lower(create_room.members, 1)];
BEGIN
	IF NOT rt_private.trusted() AND maker IS DISTINCT FROM rt_private.actor() THEN
		RAISE EXCEPTION 'The first member must be the acting user' USING ERRCODE = 'RT403';
	END IF;
	RETURN ((rt_private.make_room(maker, create_room.name, 'group', create_room.members)).room).id;
END
$$;
COMMENT ON FUNCTION rt.create_room(text, text[]) IS 'makes a group room; the first member is its maker and admin';

CREATE FUNCTION rt.create_direct_room(a text, b text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.trusted() AND a IS DISTINCT FROM rt_private.actor() THEN
		RAISE EXCEPTION 'The first member must be the acting user' USING ERRCODE = 'RT403';
	END IF;
	RETURN ((rt_private.make_room(a, NULL, 'direct', ARRAY[b])).room).id;
END
$$;
COMMENT ON FUNCTION rt.create_direct_room(text, text) IS 'makes the direct room of two users, or finds it';

-- Those of Socket.IO itself, too.  All that begin with chat- are ours; those that begin with rt: are not well formed.
CREATE FUNCTION rt_private.is_own_event(event text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT event LIKE 'chat-%' OR event IN ('connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener',
		'error', 'new-chat-message', 'messages-seen', 'messages-seen-acknowledged', 'room-online-users',
		'meeting-joined', 'meeting-updated', 'meeting-ended', 'participant-joined', 'participant-left', 'participant-media-updated',
		'participant-reaction', 'participant-role-updated', 'new-message', 'user-typing', 'hand-raised', 'muted-by-host',
		'removed-from-meeting', 'recording-status-changed',
		'transport-created', 'transport-connected', 'transport-closed', 'ice-restarted', 'produced', 'new-producer', 'producer-paused',
		'producer-resumed', 'producer-closed', 'consumed', 'consumer-paused', 'consumer-resumed', 'consumer-closed', 'consumer-score',
		'layers-changed', 'active-speaker')
$$;
COMMENT ON FUNCTION rt_private.is_own_event(text) IS 'whether clients would take an event for one of rt''s own';

CREATE FUNCTION rt.broadcast(room_id bigint, event text, payload jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF event !~ '^[A-Za-z0-9_.-]{1,64}$' OR rt_private.is_own_event(event) THEN
		RAISE EXCEPTION 'event name "%" cannot be broadcast', event
			USING ERRCODE = 'RT400', HINT = 'Use letters, digits, "_", "." and "-", and no name of Socket.IO or of rt itself.';
	END IF;
	IF jsonb_typeof(payload) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION 'payload must be an object' USING ERRCODE = 'RT400';
	END IF;
	IF octet_length(payload::text) > rt_private.max_message_size() THEN
		RAISE EXCEPTION 'payload is too large' USING ERRCODE = 'RT413';
	END IF;
	IF NOT EXISTS (SELECT FROM rt.rooms AS r WHERE r.id = broadcast.room_id)
		OR NOT (rt_private.trusted() OR rt_private.is_member(broadcast.room_id, rt_private.actor())) THEN
		RAISE EXCEPTION 'Room not found' USING ERRCODE = 'RT404';
	END IF;
	PERFORM rt_private.emit(event, rt_private.room_route(broadcast.room_id), payload::json, true, broadcast.room_id);
END
$$;
COMMENT ON FUNCTION rt.broadcast(bigint, text, jsonb) IS 'sends an event of your own to the sockets that joined a room';

CREATE FUNCTION rt_private.disconnect(user_id text, reason text) RETURNS void
LANGUAGE sql AS $$
	SELECT rt_private.emit('rt:disconnect', '{"gateway":true}', pg_catalog.json_build_object('userId', user_id, 'reason', reason), false)
$$;
COMMENT ON FUNCTION rt_private.disconnect(text, text) IS 'has the gateways close every connection of a user';

CREATE FUNCTION rt.disconnect_user(user_id text, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.disconnect(disconnect_user.user_id, coalesce(disconnect_user.reason, 'disconnected'));
	PERFORM rt_private.audit('user-disconnected', jsonb_build_object('userId', disconnect_user.user_id, 'reason', disconnect_user.reason));
END
$$;
COMMENT ON FUNCTION rt.disconnect_user(text, text) IS 'closes every connection of a user';
-- Messages, reactions and receipts.
--
-- A message's number is given by the triggers in C (extension/message.c): gapless, in commit order.  Nothing else may
-- fire for each inserted row, and nothing be a CHECK: this is the path that must be fast (extension/message_check.h).

-- It grows without end, and a fifth of it, the default, is ten million rows at fifty: autovacuum comes after a fiftieth, of changes
-- and of new rows too, which it freezes while they are in memory and whose words it merges into the search index.
CREATE TABLE rt.messages (
	room_id bigint NOT NULL REFERENCES rt.rooms (id) ON DELETE CASCADE,
	seq bigint NOT NULL,
	sender_id text REFERENCES rt.users (id) ON DELETE SET NULL,
	content text NOT NULL DEFAULT '',
	message_type text NOT NULL DEFAULT 'text',
	metadata jsonb,
	reply_to bigint,
	client_id text,
	created_at timestamptz NOT NULL,
	edited_at timestamptz,
	deleted_at timestamptz,
	PRIMARY KEY (room_id, seq),
	FOREIGN KEY (room_id, reply_to) REFERENCES rt.messages (room_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE UNIQUE INDEX messages_client_id_key ON rt.messages (room_id, sender_id, client_id) WHERE client_id IS NOT NULL;
CREATE INDEX messages_sender_id_idx ON rt.messages (sender_id, room_id, seq);
CREATE INDEX messages_reply_to_idx ON rt.messages (room_id, reply_to) WHERE reply_to IS NOT NULL;
CREATE INDEX messages_search_idx ON rt.messages USING gin (to_tsvector('simple', content));
COMMENT ON TABLE rt.messages IS 'messages; an INSERT of room_id, sender_id and content sends one';
COMMENT ON COLUMN rt.messages.room_id IS 'the room';
COMMENT ON COLUMN rt.messages.seq IS 'number in the room: 1, 2, 3, … in commit order, without a hole; given by rt';
COMMENT ON COLUMN rt.messages.sender_id IS 'who sent it; null when that user was deleted';
COMMENT ON COLUMN rt.messages.content IS 'the text; empty once it is deleted';
COMMENT ON COLUMN rt.messages.message_type IS 'what sort of message the application says it is';
COMMENT ON COLUMN rt.messages.metadata IS 'an object of the application''s; mentions: [user ids] notifies these';
COMMENT ON COLUMN rt.messages.reply_to IS 'number of the message in the same room that it answers';
COMMENT ON COLUMN rt.messages.client_id IS 'the sender''s own id of it, so that sending again sends nothing';
COMMENT ON COLUMN rt.messages.created_at IS 'when it was sent; rises with seq';
COMMENT ON COLUMN rt.messages.edited_at IS 'when it was changed last';
COMMENT ON COLUMN rt.messages.deleted_at IS 'when it was deleted; the row stays, so that no hole appears';
COMMENT ON INDEX rt.messages_client_id_key IS 'sending again';
COMMENT ON INDEX rt.messages_sender_id_idx IS 'deleting a user; own messages among unread ones';
COMMENT ON INDEX rt.messages_reply_to_idx IS 'deleting for good, by retention';
COMMENT ON INDEX rt.messages_search_idx IS 'full-text search';
SELECT pg_catalog.pg_extension_config_dump('rt.messages', '');

-- ---- JSON ----------------------------------------------------------------------

CREATE FUNCTION rt_private.message_json(m rt.messages) RETURNS json
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'rt_message_json';
COMMENT ON FUNCTION rt_private.message_json(rt.messages) IS 'a message on the wire';

CREATE FUNCTION rt_private.message_payload(m rt.messages) RETURNS json
LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'rt_message_payload_json';
COMMENT ON FUNCTION rt_private.message_payload(rt.messages) IS 'the payload of new-chat-message';

CREATE FUNCTION rt_private.message_id(room_id bigint, seq bigint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT room_id::text || '-' || seq::text $$;
COMMENT ON FUNCTION rt_private.message_id(bigint, bigint) IS 'a message''s id on the wire';

-- { type, roomId, data: { messageId, roomId, …, timestamp }, timestamp }
CREATE FUNCTION rt_private.message_event(event text, kind text, room_id bigint, seq bigint, data jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	now_text text := rt_private.iso(clock_timestamp());
BEGIN
	PERFORM rt_private.emit(event, rt_private.room_route(room_id),
		json_build_object('type', kind, 'roomId', room_id::text,
			'data', jsonb_build_object('messageId', rt_private.message_id(room_id, seq), 'roomId', room_id::text,
				'timestamp', now_text) || data,
			'timestamp', now_text), true, room_id, seq);
END
$$;
COMMENT ON FUNCTION rt_private.message_event(text, text, bigint, bigint, jsonb) IS 'an event about a message to its room';

-- ---- sending -------------------------------------------------------------------

CREATE FUNCTION rt_private.messages_before_insert() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_messages_before_insert';
COMMENT ON FUNCTION rt_private.messages_before_insert() IS 'checks a message and gives it its number';
CREATE FUNCTION rt_private.messages_after_insert() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_messages_after_insert';
COMMENT ON FUNCTION rt_private.messages_after_insert() IS 'emits new-chat-message';
CREATE FUNCTION rt_private.messages_after_statement() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_messages_after_statement';
COMMENT ON FUNCTION rt_private.messages_after_statement() IS 'settles the room''s last number';

-- The last of its kind, whatever other triggers an application adds: see extension/message.c.
CREATE TRIGGER zz_rt_before_insert BEFORE INSERT ON rt.messages FOR EACH ROW
	EXECUTE FUNCTION rt_private.messages_before_insert();
CREATE TRIGGER rt_after_insert AFTER INSERT ON rt.messages FOR EACH ROW
	EXECUTE FUNCTION rt_private.messages_after_insert();
CREATE TRIGGER zz_rt_after_statement AFTER INSERT ON rt.messages FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.messages_after_statement();

-- Of the foreign keys the check at INSERT alone: rt_after_insert does it (extension/reference.c).
DO $$
DECLARE
	name name;
BEGIN
	FOR name IN
		SELECT t.tgname FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_constraint AS c ON c.oid OPERATOR(pg_catalog.=) t.tgconstraint
		WHERE t.tgrelid OPERATOR(pg_catalog.=) 'rt.messages'::pg_catalog.regclass
			AND t.tgfoid OPERATOR(pg_catalog.=) 'pg_catalog."RI_FKey_check_ins"'::pg_catalog.regproc
			AND c.conname OPERATOR(pg_catalog.=) ANY ('{messages_room_id_fkey,messages_room_id_reply_to_fkey,messages_sender_id_fkey}'::pg_catalog.name[])
	LOOP
		EXECUTE pg_catalog.format('ALTER TABLE rt.messages DISABLE TRIGGER %I', name);
	END LOOP;
END
$$;

CREATE FUNCTION rt_private.mentioned(content text, metadata jsonb, room_id bigint, sender_id text) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH named AS (
		SELECT DISTINCT lower(m[1]) AS username FROM regexp_matches(content, '(?:^|[^[:alnum:]_@])@([^[:space:][:cntrl:]@,;:!?()"''<>]+)', 'g') AS m
		LIMIT 100
	), ids AS (
		SELECT u.id FROM rt.users AS u JOIN named AS n
			ON lower(u.username) = n.username OR lower(u.username) = rtrim(n.username, '.')
		UNION
		SELECT e FROM jsonb_array_elements_text(CASE WHEN jsonb_typeof(metadata -> 'mentions') = 'array'
			THEN metadata -> 'mentions' ELSE '[]' END) AS e
	)
	SELECT array_agg(m.user_id ORDER BY m.user_id)
	FROM rt.room_members AS m JOIN ids AS i ON i.id = m.user_id
	WHERE m.room_id = mentioned.room_id AND m.user_id IS DISTINCT FROM mentioned.sender_id
$$;
COMMENT ON FUNCTION rt_private.mentioned(text, jsonb, bigint, text) IS 'the members whom a message mentions';

CREATE FUNCTION rt_private.on_mention(room_id bigint, seq bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages;
BEGIN
	SELECT t.* INTO m FROM rt.messages AS t WHERE t.room_id = on_mention.room_id AND t.seq = on_mention.seq;
	PERFORM rt_private.notify_users(rt_private.mentioned(m.content, m.metadata, m.room_id, m.sender_id), 'mention',
		json_build_object('roomId', m.room_id::text, 'messageId', rt_private.message_id(m.room_id, m.seq), 'seq', m.seq,
			'senderId', m.sender_id, 'userName', rt_private.user_name(m.sender_id), 'content', left(m.content, 280)), m.room_id);
END
$$;
COMMENT ON FUNCTION rt_private.on_mention(bigint, bigint) IS 'notifies those whom a message mentions; called for a message that may do so';

CREATE FUNCTION rt.send_message(room bigint, sender text, content text, message_type text DEFAULT 'text',
	metadata jsonb DEFAULT NULL, reply_to bigint DEFAULT NULL, client_id text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	number bigint;
BEGIN
	INSERT INTO rt.messages AS m (room_id, sender_id, content, message_type, metadata, reply_to, client_id)
	VALUES (room, sender, coalesce(send_message.content, ''), coalesce(send_message.message_type, 'text'), send_message.metadata,
		send_message.reply_to, send_message.client_id)
	ON CONFLICT (room_id, sender_id, client_id) WHERE client_id IS NOT NULL DO NOTHING
	RETURNING m.seq INTO number;
	IF number IS NULL THEN
		SELECT m.seq INTO STRICT number FROM rt.messages AS m
		WHERE m.room_id = room AND m.sender_id = sender AND m.client_id = send_message.client_id;
	END IF;
	RETURN number;
END
$$;
COMMENT ON FUNCTION rt.send_message(bigint, text, text, text, jsonb, bigint, text) IS
	'sends a message and returns its number; the same client_id again sends nothing and returns the first one''s';

CREATE FUNCTION rt_private.message_fault(message_type text, metadata jsonb, client_id text) RETURNS text
LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'rt_message_fault';
COMMENT ON FUNCTION rt_private.message_fault(text, jsonb, text) IS 'what about a message cannot be stored, or null';

-- ---- changing and deleting -----------------------------------------------------------

CREATE FUNCTION rt_private.messages_before_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fault text := rt_private.message_fault(NEW.message_type, NEW.metadata, NEW.client_id);
BEGIN
	IF fault IS NOT NULL THEN
		RAISE check_violation USING MESSAGE = fault;
	END IF;
	IF (NEW.room_id, NEW.seq, NEW.created_at, NEW.client_id) IS DISTINCT FROM (OLD.room_id, OLD.seq, OLD.created_at, OLD.client_id)
		OR (NEW.sender_id IS DISTINCT FROM OLD.sender_id AND NEW.sender_id IS NOT NULL) THEN
		RAISE EXCEPTION 'the number, sender and time of a message cannot be changed' USING ERRCODE = 'RT400';
	END IF;
	IF OLD.deleted_at IS NOT NULL THEN
		IF NEW.deleted_at IS DISTINCT FROM OLD.deleted_at OR NEW.content <> OLD.content OR NEW.metadata IS NOT NULL THEN
			RAISE EXCEPTION 'Message was deleted' USING ERRCODE = 'RT410';
		END IF;
		RETURN NEW;
	END IF;
	IF NEW.deleted_at IS NOT NULL THEN
		IF NOT isfinite(NEW.deleted_at) THEN
			RAISE EXCEPTION 'deleted_at must be a time' USING ERRCODE = 'RT400'; -- JSON has none for it
		END IF;
		NEW.content := '';
		NEW.metadata := NULL;
		RETURN NEW;
	END IF;
	IF NEW.content IS DISTINCT FROM OLD.content OR NEW.metadata IS DISTINCT FROM OLD.metadata THEN
		IF NEW.content = '' AND NEW.metadata IS NULL THEN
			RAISE EXCEPTION 'message is empty' USING ERRCODE = 'RT400';
		END IF;
		IF octet_length(NEW.content) + coalesce(octet_length(NEW.metadata::text), 0) > rt_private.max_message_size() THEN
			RAISE EXCEPTION 'message is too large' USING ERRCODE = 'RT413';
		END IF;
		NEW.edited_at := clock_timestamp();
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.messages_before_update() IS 'what may change of a message, and how';
CREATE TRIGGER rt_before_update BEFORE UPDATE ON rt.messages FOR EACH ROW
	EXECUTE FUNCTION rt_private.messages_before_update();

CREATE FUNCTION rt_private.messages_after_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	who text := coalesce(rt_private.actor(), NEW.sender_id);
BEGIN
	IF OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL THEN
		PERFORM rt_private.message_event('chat-message-deleted', 'message-deleted', NEW.room_id, NEW.seq,
			jsonb_build_object('deletedBy', who));
	ELSIF NEW.edited_at IS DISTINCT FROM OLD.edited_at THEN
		PERFORM rt_private.message_event('chat-message-edited', 'message-edited', NEW.room_id, NEW.seq,
			jsonb_build_object('newContent', NEW.content, 'editedBy', who)
				|| CASE WHEN NEW.metadata IS DISTINCT FROM OLD.metadata THEN jsonb_build_object('metadata', NEW.metadata) ELSE '{}' END);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.messages_after_update() IS 'emits chat-message-edited and chat-message-deleted';
CREATE TRIGGER rt_after_update AFTER UPDATE ON rt.messages FOR EACH ROW
	WHEN (OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.edited_at IS DISTINCT FROM NEW.edited_at)
	EXECUTE FUNCTION rt_private.messages_after_update();

-- A DELETE leaves the row without its text.  Rows really go with their room, and by retention, which suppresses events.  A
-- statement may come to a row twice (USING), which the server refuses once a trigger has changed that row; so they are
-- changed when the statement ends.
CREATE UNLOGGED TABLE rt_private.deletions (
	xid xid8 NOT NULL,
	room_id bigint NOT NULL,
	seq bigint NOT NULL,
	PRIMARY KEY (xid, room_id, seq)
);
COMMENT ON TABLE rt_private.deletions IS 'messages that a statement under way deletes';
COMMENT ON COLUMN rt_private.deletions.xid IS 'its transaction';
COMMENT ON COLUMN rt_private.deletions.room_id IS 'the room';
COMMENT ON COLUMN rt_private.deletions.seq IS 'the message';

CREATE FUNCTION rt_private.messages_before_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF current_setting('rt.suppress_events')::boolean
		OR NOT EXISTS (SELECT FROM rt.rooms AS r WHERE r.id = OLD.room_id) THEN
		RETURN OLD;
	END IF;
	INSERT INTO rt_private.deletions (xid, room_id, seq) VALUES (pg_current_xact_id(), OLD.room_id, OLD.seq) ON CONFLICT DO NOTHING;
	RETURN NULL;
END
$$;
ALTER FUNCTION rt_private.messages_before_delete() SECURITY DEFINER;
COMMENT ON FUNCTION rt_private.messages_before_delete() IS 'makes a DELETE leave the row and its number';
CREATE TRIGGER rt_before_delete BEFORE DELETE ON rt.messages FOR EACH ROW
	EXECUTE FUNCTION rt_private.messages_before_delete();

-- One by one, by the primary key: for a join the planner would have to guess how many they are.
CREATE FUNCTION rt_private.messages_after_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d record;
BEGIN
	FOR d IN DELETE FROM rt_private.deletions AS t WHERE t.xid = pg_current_xact_id() RETURNING t.room_id, t.seq LOOP
		UPDATE rt.messages AS m SET deleted_at = clock_timestamp()
		WHERE m.room_id = d.room_id AND m.seq = d.seq AND m.deleted_at IS NULL;
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.messages_after_delete() IS 'takes the texts of what a DELETE has named';
CREATE TRIGGER rt_after_delete AFTER DELETE ON rt.messages FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.messages_after_delete();

-- ---- reactions -------------------------------------------------------------------

CREATE TABLE rt.reactions (
	room_id bigint NOT NULL,
	seq bigint NOT NULL,
	user_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	emoji text NOT NULL CHECK (octet_length(emoji) BETWEEN 1 AND 64 AND emoji !~ '[[:cntrl:]]'),
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (room_id, seq, user_id, emoji),
	FOREIGN KEY (room_id, seq) REFERENCES rt.messages (room_id, seq) ON DELETE CASCADE
);
CREATE INDEX reactions_user_id_idx ON rt.reactions (user_id);
COMMENT ON TABLE rt.reactions IS 'reactions to messages; INSERT and DELETE tell the room';
COMMENT ON COLUMN rt.reactions.room_id IS 'the room';
COMMENT ON COLUMN rt.reactions.seq IS 'the message';
COMMENT ON COLUMN rt.reactions.user_id IS 'who reacted';
COMMENT ON COLUMN rt.reactions.emoji IS 'how';
COMMENT ON COLUMN rt.reactions.created_at IS 'when';
COMMENT ON INDEX rt.reactions_user_id_idx IS 'deleting a user';
SELECT pg_catalog.pg_extension_config_dump('rt.reactions', '');

CREATE FUNCTION rt_private.reactions_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF EXISTS (SELECT FROM rt.messages AS m
		WHERE m.room_id = NEW.room_id AND m.seq = NEW.seq AND m.deleted_at IS NOT NULL) THEN
		RAISE EXCEPTION 'Message was deleted' USING ERRCODE = 'RT410';
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.reactions_before_insert() IS 'refuses a reaction to a deleted message';
CREATE TRIGGER rt_before_insert BEFORE INSERT ON rt.reactions FOR EACH ROW
	EXECUTE FUNCTION rt_private.reactions_before_insert();

CREATE FUNCTION rt_private.reactions_after_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.reactions := CASE TG_OP WHEN 'INSERT' THEN NEW ELSE OLD END;
BEGIN
	IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM rt.messages AS m WHERE m.room_id = r.room_id AND m.seq = r.seq) THEN
		RETURN NULL; -- it went with its message
	END IF;
	PERFORM rt_private.message_event('chat-message-reaction', 'message-reaction', r.room_id, r.seq,
		jsonb_build_object('emoji', r.emoji, 'userId', r.user_id, 'userName', rt_private.user_name(r.user_id),
			'action', CASE TG_OP WHEN 'INSERT' THEN 'add' ELSE 'remove' END));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.reactions_after_change() IS 'emits chat-message-reaction';
CREATE TRIGGER rt_after_change AFTER INSERT OR DELETE ON rt.reactions FOR EACH ROW
	EXECUTE FUNCTION rt_private.reactions_after_change();

CREATE FUNCTION rt_private.reactions_before_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION 'a reaction cannot be changed' USING ERRCODE = 'RT400', HINT = 'Delete it and insert another.';
END
$$;
COMMENT ON FUNCTION rt_private.reactions_before_update() IS 'refuses to change a reaction';
CREATE TRIGGER rt_before_update BEFORE UPDATE ON rt.reactions FOR EACH ROW
	EXECUTE FUNCTION rt_private.reactions_before_update();

-- ---- receipts --------------------------------------------------------------------
--
-- Kept as ranges: who reads a room marks a screenful at a time, and one row holds it.  A range that follows another of
-- the same member within ten seconds is added to it, so a receipt's time is exact to ten seconds.

-- The last range of a member grows in its place, hence the free space.  The table grows as rt.messages does.
CREATE TABLE rt_private.receipt_ranges (
	room_id bigint NOT NULL,
	user_id text NOT NULL,
	kind "char" NOT NULL CHECK (kind IN ('d', 's')),
	seq_from bigint NOT NULL,
	seq_to bigint NOT NULL CHECK (seq_to >= seq_from),
	at timestamptz NOT NULL,
	PRIMARY KEY (room_id, user_id, kind, seq_from),
	FOREIGN KEY (room_id, user_id) REFERENCES rt.room_members (room_id, user_id) ON DELETE CASCADE
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE rt_private.receipt_ranges IS 'receipts of runs of messages; rt.receipts shows them one by one';
COMMENT ON COLUMN rt_private.receipt_ranges.room_id IS 'the room';
COMMENT ON COLUMN rt_private.receipt_ranges.user_id IS 'who got or saw them';
COMMENT ON COLUMN rt_private.receipt_ranges.kind IS 'd: delivered, s: seen';
COMMENT ON COLUMN rt_private.receipt_ranges.seq_from IS 'the first message';
COMMENT ON COLUMN rt_private.receipt_ranges.seq_to IS 'the last message';
COMMENT ON COLUMN rt_private.receipt_ranges.at IS 'when';
SELECT pg_catalog.pg_extension_config_dump('rt_private.receipt_ranges', '');

-- Those of seqs that the member has no receipt of this kind for, in order.
CREATE FUNCTION rt_private.receipts_missing(room_id bigint, user_id text, kind "char", seqs bigint[]) RETURNS bigint[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT coalesce(array_agg(DISTINCT s.seq), '{}')
	FROM unnest(receipts_missing.seqs) AS s (seq)
	WHERE NOT EXISTS (
		SELECT FROM (
			SELECT r.seq_to FROM rt_private.receipt_ranges AS r
			WHERE r.room_id = receipts_missing.room_id AND r.user_id = receipts_missing.user_id
				AND r.kind = receipts_missing.kind AND r.seq_from <= s.seq
			ORDER BY r.seq_from DESC LIMIT 1) AS before
		WHERE before.seq_to >= s.seq));
END
$$;
COMMENT ON FUNCTION rt_private.receipts_missing(bigint, text, "char", bigint[]) IS 'which of some messages a member has no receipt for';

-- seqs: none of them has one.  The member's row is locked, so two devices do not write the same.
CREATE FUNCTION rt_private.receipts_add(room_id bigint, user_id text, kind "char", seqs bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	run record;
BEGIN
	FOR run IN
		SELECT min(t.seq) AS lo, max(t.seq) AS hi
		FROM (SELECT s.seq, s.seq - row_number() OVER (ORDER BY s.seq) AS island
			FROM (SELECT DISTINCT unnest(receipts_add.seqs) AS seq) AS s) AS t
		GROUP BY t.island ORDER BY 1
	LOOP
		UPDATE rt_private.receipt_ranges AS r SET seq_to = run.hi
		WHERE r.room_id = receipts_add.room_id AND r.user_id = receipts_add.user_id AND r.kind = receipts_add.kind
			AND r.seq_from = (SELECT p.seq_from FROM rt_private.receipt_ranges AS p
				WHERE p.room_id = receipts_add.room_id AND p.user_id = receipts_add.user_id
					AND p.kind = receipts_add.kind AND p.seq_from < run.lo
				ORDER BY p.seq_from DESC LIMIT 1)
			AND r.seq_to = run.lo - 1 AND r.at > clock_timestamp() - interval '10 s';
		IF NOT FOUND THEN
			INSERT INTO rt_private.receipt_ranges (room_id, user_id, kind, seq_from, seq_to, at)
			VALUES (receipts_add.room_id, receipts_add.user_id, receipts_add.kind, run.lo, run.hi, clock_timestamp());
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.receipts_add(bigint, text, "char", bigint[]) IS 'stores receipts that are not there yet';

-- Those of seqs that are the room's; an unknown one refuses all.
CREATE FUNCTION rt_private.receipts_check(room_id bigint, user_id text, seqs bigint[]) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	others bigint[];
	known bigint;
BEGIN
	SELECT count(*), array_agg(m.seq) FILTER (WHERE m.sender_id IS DISTINCT FROM receipts_check.user_id)
	INTO known, others
	FROM rt.messages AS m WHERE m.room_id = receipts_check.room_id AND m.seq = ANY (receipts_check.seqs);
	IF known <> (SELECT count(DISTINCT s) FROM unnest(receipts_check.seqs) AS s) OR array_position(receipts_check.seqs, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'Message not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN coalesce(others, '{}');
END
$$;
COMMENT ON FUNCTION rt_private.receipts_check(bigint, text, bigint[]) IS 'which of a room''s messages a member can have receipts for: not the own ones';

-- Locks the membership.
CREATE FUNCTION rt_private.lock_member(room_id bigint, user_id text) RETURNS rt.room_members
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.room_members;
BEGIN
	SELECT t.* INTO m FROM rt.room_members AS t
	WHERE t.room_id = lock_member.room_id AND t.user_id = lock_member.user_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Room not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.lock_member(bigint, text) IS 'a membership, locked; RT404 if there is none';

CREATE FUNCTION rt_private.mark_seen(room bigint, user_id text, seqs bigint[], except_socket text) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.room_members := rt_private.lock_member(room, mark_seen.user_id);
	fresh bigint[];
	highest bigint := (SELECT max(s) FROM unnest(seqs) AS s);
BEGIN
	fresh := rt_private.receipts_missing(room, mark_seen.user_id, 's', rt_private.receipts_check(room, mark_seen.user_id, seqs));
	IF highest > m.last_read_seq THEN
		UPDATE rt.room_members AS t SET last_read_seq = highest
		WHERE t.room_id = room AND t.user_id = mark_seen.user_id;
	END IF;
	IF cardinality(fresh) > 0 THEN
		PERFORM rt_private.receipts_add(room, mark_seen.user_id, 's', fresh);
		PERFORM rt_private.emit('messages-seen', rt_private.room_route(room, except_socket),
			json_build_object('userId', mark_seen.user_id, 'roomId', room::text,
				'messageIds', (SELECT json_agg(rt_private.message_id(room, s) ORDER BY s) FROM unnest(fresh) AS s),
				'timestamp', rt_private.iso(clock_timestamp())), true, room);
	END IF;
	RETURN fresh;
END
$$;
COMMENT ON FUNCTION rt_private.mark_seen(bigint, text, bigint[], text) IS 'stores that a member saw messages and tells the room; returns the new ones';

CREATE FUNCTION rt_private.mark_delivered(room bigint, user_id text, seqs bigint[], except_socket text) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.room_members := rt_private.lock_member(room, mark_delivered.user_id);
	fresh bigint[];
BEGIN
	fresh := rt_private.receipts_missing(m.room_id, mark_delivered.user_id, 'd',
		rt_private.receipts_check(room, mark_delivered.user_id, seqs));
	PERFORM rt_private.receipts_add(room, mark_delivered.user_id, 'd', fresh);
	PERFORM rt_private.message_event('chat-message-delivered', 'message-delivered', room, s,
		jsonb_build_object('deliveredTo', mark_delivered.user_id))
	FROM unnest(fresh) AS s;
	RETURN fresh;
END
$$;
COMMENT ON FUNCTION rt_private.mark_delivered(bigint, text, bigint[], text) IS 'stores that messages were delivered to a member and tells the room';

CREATE FUNCTION rt_private.check_self(user_id text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT rt_private.trusted() AND check_self.user_id IS DISTINCT FROM rt_private.actor() THEN
		RAISE EXCEPTION 'Only the acting user may do this' USING ERRCODE = 'RT403';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.check_self(text) IS 'refuses to act for another user';

CREATE FUNCTION rt.mark_seen(room bigint, user_id text, seqs bigint[]) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_self(mark_seen.user_id);
	RETURN rt_private.mark_seen(room, mark_seen.user_id, seqs, NULL);
END
$$;
COMMENT ON FUNCTION rt.mark_seen(bigint, text, bigint[]) IS 'marks messages as seen by a member; returns those that were not yet';

CREATE FUNCTION rt.mark_delivered(room bigint, user_id text, seqs bigint[]) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_self(mark_delivered.user_id);
	RETURN rt_private.mark_delivered(room, mark_delivered.user_id, seqs, NULL);
END
$$;
COMMENT ON FUNCTION rt.mark_delivered(bigint, text, bigint[]) IS 'marks messages as delivered to a member; returns those that were not yet';

CREATE VIEW rt.receipts WITH (security_barrier) AS
	SELECT r.room_id, s.seq, r.user_id,
		min(r.at) FILTER (WHERE r.kind = 'd') AS delivered_at,
		min(r.at) FILTER (WHERE r.kind = 's') AS seen_at
	FROM rt_private.receipt_ranges AS r, LATERAL generate_series(r.seq_from, r.seq_to) AS s (seq)
	WHERE (SELECT rt_private.trusted()) OR r.room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
	GROUP BY r.room_id, s.seq, r.user_id;
COMMENT ON VIEW rt.receipts IS 'which message was delivered to whom, and seen, and when; INSERT and UPDATE mark';
COMMENT ON COLUMN rt.receipts.room_id IS 'the room';
COMMENT ON COLUMN rt.receipts.seq IS 'the message';
COMMENT ON COLUMN rt.receipts.user_id IS 'the member';
COMMENT ON COLUMN rt.receipts.delivered_at IS 'when it was delivered; null: that was not told';
COMMENT ON COLUMN rt.receipts.seen_at IS 'when it was seen; null: not yet';

CREATE FUNCTION rt_private.receipts_instead() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_self(NEW.user_id);
	IF NEW.delivered_at IS NOT NULL THEN
		PERFORM rt_private.mark_delivered(NEW.room_id, NEW.user_id, ARRAY[NEW.seq], NULL);
	END IF;
	IF NEW.seen_at IS NOT NULL THEN
		PERFORM rt_private.mark_seen(NEW.room_id, NEW.user_id, ARRAY[NEW.seq], NULL);
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.receipts_instead() IS 'marks by INSERT or UPDATE; the time stored is that of the statement';
CREATE TRIGGER rt_instead INSTEAD OF INSERT OR UPDATE ON rt.receipts FOR EACH ROW
	EXECUTE FUNCTION rt_private.receipts_instead();
-- Messages by the million.  What fires for each row (numbers, keys, events) would cost more than the row itself, so the
-- triggers are left out and what they check is checked for all rows together.

CREATE FUNCTION rt_private.import_number(room_id bigint) RETURNS bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_import_number';
COMMENT ON FUNCTION rt_private.import_number(bigint) IS 'the next number of a room, which is locked; import_settle() must follow';

CREATE FUNCTION rt_private.import_settle() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_import_settle';
COMMENT ON FUNCTION rt_private.import_settle() IS 'stores the last numbers that import_number() gave';

-- The column, or what stands in its place where the source has none.
CREATE FUNCTION rt_private.import_column(source regclass, name text, otherwise text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = source AND a.attnum > 0
			AND NOT a.attisdropped AND a.attname = name)
		THEN format('s.%I', name) ELSE otherwise END
$$;
COMMENT ON FUNCTION rt_private.import_column(regclass, text, text) IS 'how import_messages() reads a column';

-- Raises for the first row that the tables would not take.
CREATE FUNCTION rt_private.import_check(rows text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	senders text[];
	missing text;
	bad record;
BEGIN
	EXECUTE format('SELECT ARRAY(SELECT DISTINCT sender_id FROM (%s) AS r WHERE sender_id IS NOT NULL)', rows) INTO senders;
	-- As the foreign key does: they stay until the transaction ends.
	PERFORM FROM rt.users AS u WHERE u.id = ANY (senders) FOR KEY SHARE;
	SELECT s INTO missing FROM unnest(senders) AS s WHERE NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = s) LIMIT 1;
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'User not found' USING ERRCODE = 'RT404', DETAIL = format('There is no user "%s".', missing);
	END IF;
	EXECUTE format('SELECT room_id, created_at, finite, bytes > 0 AS filled, fault FROM (SELECT room_id, created_at, deleted_at,
			isfinite(created_at) AND isfinite(coalesce(edited_at, created_at)) AND isfinite(coalesce(deleted_at, created_at)) AS finite,
			rt_private.message_fault(message_type, metadata, client_id) AS fault, octet_length(content) + coalesce(octet_length(metadata::text), 0) AS bytes FROM (%s) AS r) AS r
		WHERE room_id IS NULL OR created_at IS NULL OR NOT finite OR fault IS NOT NULL OR bytes > $1 OR (bytes = 0 AND deleted_at IS NULL) LIMIT 1', rows)
	INTO bad USING rt_private.max_message_size();
	IF bad IS NULL THEN
		RETURN;
	ELSIF bad.room_id IS NULL OR bad.created_at IS NULL THEN
		RAISE EXCEPTION 'room_id and created_at of a message must not be null' USING ERRCODE = 'RT400';
	ELSIF NOT bad.finite THEN
		RAISE check_violation USING MESSAGE = 'times of a message must not be infinite', DETAIL = format('It is in room %s.', bad.room_id);
	ELSIF bad.fault IS NOT NULL THEN
		RAISE check_violation USING MESSAGE = bad.fault, DETAIL = format('It is in room %s, of %s.', bad.room_id, bad.created_at);
	ELSIF bad.filled THEN
		RAISE EXCEPTION 'message is too large' USING ERRCODE = 'RT413',
			DETAIL = format('It is in room %s, of %s.', bad.room_id, bad.created_at);
	END IF;
	RAISE EXCEPTION 'message is empty' USING ERRCODE = 'RT400',
		DETAIL = format('It is in room %s, of %s.', bad.room_id, bad.created_at);
END
$$;
COMMENT ON FUNCTION rt_private.import_check(text) IS 'what triggers and foreign keys would check of imported messages';

CREATE FUNCTION rt_private.import_rows(insertion text, search regclass) RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_import_rows';
COMMENT ON FUNCTION rt_private.import_rows(text, regclass) IS
	'runs an INSERT that returns ctid and what a GIN index holds of each row; that index gets its entries word by word, not row by row';

-- Runs with the caller's rights, of which a superuser alone has enough: it sets session_replication_role.
CREATE FUNCTION rt.import_messages(source regclass, rebuild_indexes boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET session_replication_role = replica
SET work_mem = '256MB' SET maintenance_work_mem = '512MB' SET jit = off AS $$
DECLARE
	-- What is sorted by comes first: it is read for each comparison.
	rows text := format('SELECT s.room_id::bigint, s.created_at::timestamptz, %6$s AS id, s.sender_id::text,
			coalesce(s.content::text, '''') AS content, %1$s::text AS message_type, %2$s::jsonb AS metadata, %3$s::text AS client_id,
			%4$s::timestamptz AS edited_at, %5$s::timestamptz AS deleted_at FROM %7$s AS s',
		rt_private.import_column(source, 'message_type', '''text'''), rt_private.import_column(source, 'metadata', 'NULL'),
		rt_private.import_column(source, 'client_id', 'NULL'), rt_private.import_column(source, 'edited_at', 'NULL'),
		rt_private.import_column(source, 'deleted_at', 'NULL'), rt_private.import_column(source, 'id', '0'), source);
	again text[] := '{}';
	imported bigint;
	indexes text;
	search regclass;
BEGIN
	PERFORM rt_private.import_check(rows);
	IF rebuild_indexes THEN
		-- All definitions are read before anything is dropped.
		SELECT array_agg(pg_get_indexdef(c.oid)) || array_agg(format('COMMENT ON INDEX %s IS %L', c.oid::regclass, obj_description(c.oid, 'pg_class'))),
			string_agg(c.oid::regclass::text, ', ')
		INTO again, indexes
		FROM pg_class AS c WHERE c.oid IN ('rt.messages_sender_id_idx'::regclass, 'rt.messages_search_idx'::regclass);
		EXECUTE 'DROP INDEX ' || indexes;
	END IF;
	search := to_regclass('rt.messages_search_idx');
	-- The inner order is the order in which the numbers are taken: by rooms, since the primary key then grows at one place.
	imported := rt_private.import_rows(format('INSERT INTO rt.messages (room_id, seq, sender_id, content, message_type, metadata,
			client_id, created_at, edited_at, deleted_at)
		SELECT r.room_id, rt_private.import_number(r.room_id), r.sender_id,
			CASE WHEN r.deleted_at IS NULL THEN r.content ELSE '''' END, coalesce(r.message_type, ''text''),
			CASE WHEN r.deleted_at IS NULL THEN r.metadata END, r.client_id, r.created_at, r.edited_at, r.deleted_at
		FROM (%s ORDER BY s.room_id, s.created_at, id OFFSET 0) AS r
		RETURNING ctid, %s', rows, coalesce(pg_get_indexdef(search, 1, true), 'NULL')), search);
	PERFORM rt_private.import_settle();
	FOR i IN 1 .. cardinality(again) LOOP
		EXECUTE again[i];
	END LOOP;
	RETURN imported;
END
$$;
COMMENT ON FUNCTION rt.import_messages(regclass, boolean) IS
	'superusers: takes all messages of a table over, in each room in the order of created_at and id, and tells nobody; returns their number';
-- Presence, and what the gateways tell of themselves.  What a crash makes void is UNLOGGED.

CREATE TABLE rt.presence (
	user_id text PRIMARY KEY REFERENCES rt.users (id) ON DELETE CASCADE,
	status text NOT NULL DEFAULT 'offline' CHECK (status IN ('online', 'away', 'busy', 'offline')),
	status_message text CHECK (octet_length(status_message) <= 1024),
	last_seen timestamptz,
	chosen text NOT NULL DEFAULT 'online' CHECK (chosen IN ('online', 'away', 'busy'))
) WITH (fillfactor = 50);
COMMENT ON TABLE rt.presence IS 'who is there; a change of status is told to all who share a room';
COMMENT ON COLUMN rt.presence.user_id IS 'the user';
COMMENT ON COLUMN rt.presence.status IS 'offline while no connection is open, else what the user chose';
COMMENT ON COLUMN rt.presence.status_message IS 'a text of the user''s';
COMMENT ON COLUMN rt.presence.last_seen IS 'when the user was last connected; while connected: since when';
COMMENT ON COLUMN rt.presence.chosen IS 'what the user is when connected: online, until another status is set';
SELECT pg_catalog.pg_extension_config_dump('rt.presence', '');

CREATE UNLOGGED TABLE rt_private.gateways (
	name text PRIMARY KEY,
	host text,
	slot integer NOT NULL,
	pid integer,
	port integer,
	started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	reported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	stats jsonb NOT NULL DEFAULT '{}',
	rooms jsonb NOT NULL DEFAULT '[]',
	stats_before jsonb NOT NULL DEFAULT '{}',
	stats_reset timestamptz NOT NULL DEFAULT clock_timestamp(),
	draining_until timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE rt_private.gateways IS 'gateways that run, by what they report each second';
COMMENT ON COLUMN rt_private.gateways.draining_until IS 'when rt.drain() wants it to have ended; its successor may run already';
COMMENT ON COLUMN rt_private.gateways.stats_before IS 'stats as of rt.reset_stats(): views show what has been counted since';

CREATE UNLOGGED TABLE rt_private.connections (
	sid text PRIMARY KEY,
	user_id text NOT NULL,
	gateway text NOT NULL,
	serial bigint NOT NULL DEFAULT 0,
	peer text,
	transport text,
	connected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	queued_bytes bigint NOT NULL DEFAULT 0,
	latency interval
) WITH (fillfactor = 70);
CREATE INDEX connections_user_id_idx ON rt_private.connections (user_id);
CREATE INDEX connections_gateway_idx ON rt_private.connections (gateway);
COMMENT ON TABLE rt_private.connections IS 'sockets that are connected';
COMMENT ON COLUMN rt_private.connections.serial IS
	'tells the connection from an earlier one under the same sid, whose end may be told after this one''s beginning';
COMMENT ON COLUMN rt_private.connections.latency IS 'with transport and queued_bytes from the gateway''s reports';

CREATE UNLOGGED TABLE rt_private.sessions (
	pid text PRIMARY KEY,
	sid text NOT NULL,
	user_id text NOT NULL,
	joined bigint[] NOT NULL DEFAULT '{}',
	ended_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX sessions_sid_idx ON rt_private.sessions (sid);
CREATE INDEX sessions_ended_at_idx ON rt_private.sessions (ended_at);
COMMENT ON TABLE rt_private.sessions IS 'what a client gets back that reconnects: its rooms';

CREATE FUNCTION rt_private.gateway_alive(gateway text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM rt_private.gateways AS g
		WHERE g.name = gateway_alive.gateway AND g.reported_at > clock_timestamp() - interval '10 s')
$$;
COMMENT ON FUNCTION rt_private.gateway_alive(text) IS 'whether a gateway has reported in the last ten seconds';

-- ---- the clock -----------------------------------------------------------------
--
-- Who is alive, and what is kept for how long, is told by times in tables.  When somebody sets the system's clock these follow it:
-- else all would be dead at once, or nobody for as long as the clock was set back.

CREATE UNLOGGED TABLE rt_private.clock (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	server_start timestamptz NOT NULL,
	ahead double precision NOT NULL
);
COMMENT ON TABLE rt_private.clock IS 'the system''s clock as follow_clock() saw it last; one row';
COMMENT ON COLUMN rt_private.clock.one IS 'keeps it at one row';
COMMENT ON COLUMN rt_private.clock.server_start IS 'of which run of the server; the machine may have been started anew before another';
COMMENT ON COLUMN rt_private.clock.ahead IS 'seconds by which it was ahead of a clock that nobody sets';

CREATE FUNCTION rt_private.clock_offset() RETURNS double precision
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_clock_offset';
COMMENT ON FUNCTION rt_private.clock_offset() IS 'seconds by which the system''s clock is ahead of one that nobody sets';

-- What has been written since the jump lies nearer to now without it.
CREATE FUNCTION rt_private.after_jump(at timestamptz, jump interval) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN abs(extract(epoch FROM at + jump - clock_timestamp())) < abs(extract(epoch FROM at - clock_timestamp()))
		THEN at + jump ELSE at END
$$;
COMMENT ON FUNCTION rt_private.after_jump(timestamptz, interval) IS 'a time of before a jump of the clock, as the clock tells it now';

CREATE FUNCTION rt_private.follow_clock() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	seen rt_private.clock := ROW (true, pg_postmaster_start_time(), rt_private.clock_offset());
	was rt_private.clock;
	jump interval;
BEGIN
	SELECT c.* INTO was FROM rt_private.clock AS c;
	IF was.server_start = seen.server_start AND abs(was.ahead - seen.ahead) < 1 THEN
		RETURN;
	END IF;
	-- one of those who see it does it
	INSERT INTO rt_private.clock AS c VALUES (seen.*)
	ON CONFLICT (one) DO UPDATE SET server_start = excluded.server_start, ahead = excluded.ahead
	WHERE c.server_start <> excluded.server_start OR abs(c.ahead - excluded.ahead) >= 1;
	IF NOT FOUND OR was.server_start IS DISTINCT FROM seen.server_start THEN
		RETURN;
	END IF;
	jump := make_interval(secs => seen.ahead - was.ahead);
	UPDATE rt_private.gateways AS g SET reported_at = rt_private.after_jump(g.reported_at, jump);
	UPDATE rt_private.media_workers AS w SET heartbeat_at = rt_private.after_jump(w.heartbeat_at, jump);
	UPDATE rt_private.sessions AS s SET ended_at = rt_private.after_jump(s.ended_at, jump) WHERE s.ended_at IS NOT NULL;
	UPDATE rt.meeting_participants AS p SET disconnected_at = rt_private.after_jump(p.disconnected_at, jump)
	WHERE p.left_at IS NULL AND p.disconnected_at IS NOT NULL;
END
$$;
COMMENT ON FUNCTION rt_private.follow_clock() IS 'moves deadlines when the system''s clock was set; before each look at them';

CREATE FUNCTION rt_private.presence_json(p rt.presence) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN pg_catalog.json_build_object('userId', p.user_id, 'userName', rt_private.user_name(p.user_id), 'status', p.status,
		'isOnline', p.status <> 'offline', 'lastSeen', rt_private.iso(p.last_seen), 'statusMessage', p.status_message,
		'timestamp', rt_private.iso(pg_catalog.clock_timestamp()));
END
$$;
COMMENT ON FUNCTION rt_private.presence_json(rt.presence) IS 'chat-user-status-update';

CREATE FUNCTION rt_private.presence_before_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.status NOT IN ('offline', OLD.status) THEN
		NEW.chosen := NEW.status;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.presence_before_update() IS 'keeps the status that was chosen';
CREATE TRIGGER rt_before_update BEFORE UPDATE ON rt.presence FOR EACH ROW
	EXECUTE FUNCTION rt_private.presence_before_update();

CREATE FUNCTION rt_private.presence_after_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit('chat-user-status-update',
		json_build_object('contacts', NEW.user_id,
			'rooms', (SELECT coalesce(json_agg(m.room_id::text), '[]') FROM rt.room_members AS m WHERE m.user_id = NEW.user_id)),
		rt_private.presence_json(NEW), false);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.presence_after_change() IS 'tells those who share a room';
CREATE TRIGGER rt_after_insert AFTER INSERT ON rt.presence FOR EACH ROW WHEN (NEW.status <> 'offline')
	EXECUTE FUNCTION rt_private.presence_after_change();
CREATE TRIGGER rt_after_update AFTER UPDATE ON rt.presence FOR EACH ROW
	WHEN (OLD.status <> NEW.status OR OLD.status_message IS DISTINCT FROM NEW.status_message)
	EXECUTE FUNCTION rt_private.presence_after_change();

-- In the order of the ids, so that two gateways do not lock each other out.
CREATE FUNCTION rt_private.come_online(users text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	WITH asked AS MATERIALIZED (
		SELECT u.id FROM rt.users AS u WHERE u.id = ANY (users) ORDER BY u.id
	)
	INSERT INTO rt.presence AS p (user_id, status, last_seen)
	SELECT a.id, 'online', clock_timestamp() FROM asked AS a
	ON CONFLICT (user_id) DO UPDATE SET status = p.chosen, last_seen = clock_timestamp() WHERE p.status = 'offline';
END
$$;
COMMENT ON FUNCTION rt_private.come_online(text[]) IS 'users that have a connection now';

-- The rows are locked first: a connection that comes meanwhile is then seen, or waits and finds the user offline.
CREATE FUNCTION rt_private.go_offline(users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM FROM rt.presence AS p WHERE p.user_id = ANY (users) AND p.status <> 'offline' ORDER BY p.user_id FOR UPDATE;
	UPDATE rt.presence AS p SET status = 'offline', chosen = 'online', last_seen = clock_timestamp()
	WHERE p.user_id = ANY (users) AND p.status <> 'offline'
		AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id);
END
$$;
COMMENT ON FUNCTION rt_private.go_offline(text[]) IS 'those of some users that have no connection left';

CREATE FUNCTION rt.set_status(user_id text, status text, status_message text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_self(set_status.user_id);
	IF set_status.status NOT IN ('online', 'away', 'busy') OR set_status.status IS NULL THEN
		RAISE EXCEPTION 'status must be one of online, away, busy' USING ERRCODE = 'RT400';
	END IF;
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = set_status.user_id) THEN
		RAISE EXCEPTION 'User not found' USING ERRCODE = 'RT404';
	END IF;
	INSERT INTO rt.presence AS p (user_id, chosen, status_message)
	VALUES (set_status.user_id, set_status.status, set_status.status_message)
	ON CONFLICT ON CONSTRAINT presence_pkey DO UPDATE SET chosen = set_status.status, status_message = set_status.status_message,
		status = CASE WHEN p.status = 'offline' THEN 'offline' ELSE set_status.status END;
END
$$;
COMMENT ON FUNCTION rt.set_status(text, text, text) IS 'what a user is while connected, and a text';

-- ---- users that are deleted ------------------------------------------------------------

-- Before it, since the rooms, and with them the contacts, are still known.
CREATE FUNCTION rt_private.users_before_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt.presence AS p SET status = 'offline', last_seen = clock_timestamp() WHERE p.user_id = OLD.id AND p.status <> 'offline';
	RETURN OLD;
END
$$;
COMMENT ON FUNCTION rt_private.users_before_delete() IS 'tells the contacts that a user is gone';
CREATE TRIGGER rt_before_delete BEFORE DELETE ON rt.users FOR EACH ROW
	EXECUTE FUNCTION rt_private.users_before_delete();

CREATE FUNCTION rt_private.users_after_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.disconnect(u.id, 'deleted') FROM gone AS u;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.users_after_delete() IS 'ends the connections of users that are gone';
CREATE TRIGGER rt_after_delete AFTER DELETE ON rt.users
	REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rt_private.users_after_delete();
-- Meetings: the tables.  What a change of them tells the clients is in 56_meeting_events.sql.
--
-- Locking: whatever changes what the people in a meeting see of it locks the meeting's row first (FOR NO KEY
-- UPDATE).  So its events leave in the order of those locks, and the state that meeting-joined gives is exactly
-- the state at one point of that order.  Several meetings are locked in the order of their ids.
--
-- Helpers in rt_private that are not SECURITY DEFINER run with the search path of the function that calls them, which is
-- always a fixed one: to set it anew in each would cost a third of the time of a request.

CREATE TABLE rt.meetings (
	id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	title text NOT NULL,
	status text NOT NULL DEFAULT 'scheduled',
	host_id text DEFAULT nullif(current_setting('rt.user_id', true), '') REFERENCES rt.users (id) ON DELETE SET NULL,
	room_id bigint REFERENCES rt.rooms (id) ON DELETE SET NULL,
	access text NOT NULL DEFAULT 'invited',
	password_hash text,
	max_participants integer NOT NULL DEFAULT 1000,
	locked boolean NOT NULL DEFAULT false,
	recording boolean NOT NULL DEFAULT false,
	starts_at timestamptz,
	created_at timestamptz NOT NULL DEFAULT now(),
	started_at timestamptz,
	started_by text REFERENCES rt.users (id) ON DELETE SET NULL,
	ended_at timestamptz,
	ended_by text REFERENCES rt.users (id) ON DELETE SET NULL,
	CONSTRAINT meetings_title_length CHECK (char_length(title) BETWEEN 1 AND 200),
	CONSTRAINT meetings_status CHECK (status IN ('scheduled', 'live', 'ended')),
	CONSTRAINT meetings_access CHECK (access IN ('invited', 'room', 'anyone')),
	CONSTRAINT meetings_capacity CHECK (max_participants BETWEEN 1 AND 10000),
	CONSTRAINT meetings_lifecycle CHECK (
		(status = 'scheduled' AND started_at IS NULL AND ended_at IS NULL)
		OR (status = 'live' AND started_at IS NOT NULL AND ended_at IS NULL)
		OR (status = 'ended' AND ended_at IS NOT NULL))
);
CREATE INDEX meetings_host ON rt.meetings (host_id, id);
CREATE INDEX meetings_room ON rt.meetings (room_id, id) WHERE room_id IS NOT NULL;
CREATE INDEX meetings_started_by ON rt.meetings (started_by) WHERE started_by IS NOT NULL;
CREATE INDEX meetings_ended_by ON rt.meetings (ended_by) WHERE ended_by IS NOT NULL;
COMMENT ON TABLE rt.meetings IS 'meetings: scheduled, live, ended; a change reaches the people in it as an event';
COMMENT ON COLUMN rt.meetings.created_at IS 'when it was made';
COMMENT ON COLUMN rt.meetings.ended_at IS 'when it ended; null: not yet';
COMMENT ON COLUMN rt.meetings.ended_by IS 'who ended it';
COMMENT ON COLUMN rt.meetings.id IS 'meetingId on the wire';
COMMENT ON COLUMN rt.meetings.started_at IS 'when it went live; null: not yet';
COMMENT ON COLUMN rt.meetings.title IS 'what it is called';
COMMENT ON COLUMN rt.meetings.status IS 'scheduled, live (from the start or the first join on), ended (for good)';
COMMENT ON COLUMN rt.meetings.host_id IS 'the user who owns it, and is its host when in it';
COMMENT ON COLUMN rt.meetings.room_id IS 'the chat room that it belongs to, or null';
COMMENT ON COLUMN rt.meetings.access IS 'who may join besides host and invitees: nobody (invited), the room''s members (room), anyone';
COMMENT ON COLUMN rt.meetings.password_hash IS 'bcrypt, by rt.set_meeting_password(); null: no password';
COMMENT ON COLUMN rt.meetings.max_participants IS 'places, those that are kept for dropped participants included';
COMMENT ON COLUMN rt.meetings.locked IS 'nobody but the host may join; whoever dropped may return';
COMMENT ON COLUMN rt.meetings.recording IS 'a recording is under way; kept by rt.meeting_recordings';
COMMENT ON COLUMN rt.meetings.starts_at IS 'when it is planned to start; joining earlier is allowed';
COMMENT ON COLUMN rt.meetings.started_by IS 'who started it, or joined first';

CREATE TABLE rt.meeting_invitees (
	meeting_id bigint NOT NULL REFERENCES rt.meetings (id) ON DELETE CASCADE,
	user_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	role text NOT NULL DEFAULT 'participant',
	invited_by text DEFAULT nullif(current_setting('rt.user_id', true), '') REFERENCES rt.users (id) ON DELETE SET NULL,
	invited_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (meeting_id, user_id),
	CONSTRAINT meeting_invitees_role CHECK (role IN ('host', 'co-host', 'participant', 'viewer'))
);
CREATE INDEX meeting_invitees_user ON rt.meeting_invitees (user_id, meeting_id);
CREATE INDEX meeting_invitees_invited_by ON rt.meeting_invitees (invited_by) WHERE invited_by IS NOT NULL;
COMMENT ON TABLE rt.meeting_invitees IS 'who may join a meeting; a new row lets in again who was removed';
COMMENT ON COLUMN rt.meeting_invitees.invited_at IS 'when';
COMMENT ON COLUMN rt.meeting_invitees.invited_by IS 'by whom';
COMMENT ON COLUMN rt.meeting_invitees.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt.meeting_invitees.user_id IS 'who may join';
COMMENT ON COLUMN rt.meeting_invitees.role IS 'the role in which they join for the first time';

CREATE TABLE rt.meeting_bans (
	meeting_id bigint NOT NULL REFERENCES rt.meetings (id) ON DELETE CASCADE,
	user_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	banned_by text REFERENCES rt.users (id) ON DELETE SET NULL,
	banned_at timestamptz NOT NULL DEFAULT now(),
	reason text,
	PRIMARY KEY (meeting_id, user_id)
);
CREATE INDEX meeting_bans_user ON rt.meeting_bans (user_id);
CREATE INDEX meeting_bans_banned_by ON rt.meeting_bans (banned_by) WHERE banned_by IS NOT NULL;
COMMENT ON TABLE rt.meeting_bans IS 'who was removed from a meeting and may not come back unless invited again';
COMMENT ON COLUMN rt.meeting_bans.banned_at IS 'when';
COMMENT ON COLUMN rt.meeting_bans.banned_by IS 'by whom';
COMMENT ON COLUMN rt.meeting_bans.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt.meeting_bans.reason IS 'the reason that was given';
COMMENT ON COLUMN rt.meeting_bans.user_id IS 'who may not come back, until invited again';

CREATE TABLE rt.meeting_participants (
	id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	meeting_id bigint NOT NULL REFERENCES rt.meetings (id) ON DELETE CASCADE,
	user_id text NOT NULL REFERENCES rt.users (id) ON DELETE CASCADE,
	display_name text NOT NULL,
	role text NOT NULL DEFAULT 'participant',
	video boolean NOT NULL DEFAULT false,
	audio boolean NOT NULL DEFAULT false,
	screen_sharing boolean NOT NULL DEFAULT false,
	audio_muted boolean NOT NULL DEFAULT false,
	video_muted boolean NOT NULL DEFAULT false,
	hand_raised_at timestamptz,
	joined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	left_at timestamptz,
	left_reason text,
	removed_by text REFERENCES rt.users (id) ON DELETE SET NULL,
	removal_reason text,
	socket_id text,
	gateway text,
	disconnected_at timestamptz,
	CONSTRAINT meeting_participants_name_length CHECK (octet_length(display_name) BETWEEN 1 AND 512),
	CONSTRAINT meeting_participants_role CHECK (role IN ('host', 'co-host', 'participant', 'viewer')),
	CONSTRAINT meeting_participants_left CHECK ((left_at IS NULL) = (left_reason IS NULL)),
	CONSTRAINT meeting_participants_left_reason CHECK (left_reason IN ('left', 'disconnected', 'removed', 'ended')),
	CONSTRAINT meeting_participants_removal_length CHECK (char_length(removal_reason) <= 500)
);
CREATE UNIQUE INDEX meeting_participants_live ON rt.meeting_participants (meeting_id, socket_id) WHERE left_at IS NULL;
CREATE INDEX meeting_participants_socket ON rt.meeting_participants (socket_id) WHERE left_at IS NULL;
CREATE INDEX meeting_participants_user ON rt.meeting_participants (meeting_id, user_id, id);
CREATE INDEX meeting_participants_of_user ON rt.meeting_participants (user_id, meeting_id);
CREATE INDEX meeting_participants_removed_by ON rt.meeting_participants (removed_by) WHERE removed_by IS NOT NULL;
-- What the sweep looks through each second: those in the grace, and the gateways of the others.
CREATE INDEX meeting_participants_grace ON rt.meeting_participants (disconnected_at)
	WHERE left_at IS NULL AND disconnected_at IS NOT NULL;
CREATE INDEX meeting_participants_gateway ON rt.meeting_participants (gateway)
	WHERE left_at IS NULL AND disconnected_at IS NULL;
COMMENT ON TABLE rt.meeting_participants IS 'who is, and was, in a meeting: one row a socket that joined; the same user from two devices has two';
COMMENT ON COLUMN rt.meeting_participants.audio IS 'whether the client says that its microphone is on';
COMMENT ON COLUMN rt.meeting_participants.display_name IS 'what the others see; the users name if none is given';
COMMENT ON COLUMN rt.meeting_participants.id IS 'participantId on the wire';
COMMENT ON COLUMN rt.meeting_participants.joined_at IS 'when it joined';
COMMENT ON COLUMN rt.meeting_participants.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt.meeting_participants.removal_reason IS 'the reason that the host gave';
COMMENT ON COLUMN rt.meeting_participants.removed_by IS 'the host who removed it';
COMMENT ON COLUMN rt.meeting_participants.role IS 'host, co-host, participant, or viewer, who may not produce';
COMMENT ON COLUMN rt.meeting_participants.screen_sharing IS 'whether the client says that it shows its screen';
COMMENT ON COLUMN rt.meeting_participants.user_id IS 'the user; two devices of one user are two participants';
COMMENT ON COLUMN rt.meeting_participants.video_muted IS 'the camera is muted by a host, as audio_muted';
COMMENT ON COLUMN rt.meeting_participants.video IS 'what the client says of itself, as audio and screen_sharing';
COMMENT ON COLUMN rt.meeting_participants.audio_muted IS 'muted by a host: the forwarder stops it whatever the client does';
COMMENT ON COLUMN rt.meeting_participants.hand_raised_at IS 'since when the hand is up; null: it is not';
COMMENT ON COLUMN rt.meeting_participants.left_at IS 'null: in the meeting, or the place is kept; set it to put somebody out';
COMMENT ON COLUMN rt.meeting_participants.left_reason IS 'left, disconnected (the grace was over), removed (and banned), ended';
COMMENT ON COLUMN rt.meeting_participants.socket_id IS 'the socket that acts for it';
COMMENT ON COLUMN rt.meeting_participants.gateway IS 'the gateway which has that socket';
COMMENT ON COLUMN rt.meeting_participants.disconnected_at IS 'since when the socket is gone; the place is kept for rt.meeting_grace';

CREATE TABLE rt.meeting_messages (
	id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	meeting_id bigint NOT NULL REFERENCES rt.meetings (id) ON DELETE CASCADE,
	sender_id text DEFAULT nullif(current_setting('rt.user_id', true), '') REFERENCES rt.users (id) ON DELETE SET NULL,
	sender_participant_id bigint REFERENCES rt.meeting_participants (id) ON DELETE SET NULL,
	sender_name text NOT NULL,
	message text NOT NULL,
	recipient_type text NOT NULL DEFAULT 'all',
	recipient_id text REFERENCES rt.users (id) ON DELETE CASCADE,
	recipient_participant_id bigint REFERENCES rt.meeting_participants (id) ON DELETE SET NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CONSTRAINT meeting_messages_not_empty CHECK (message <> ''),
	CONSTRAINT meeting_messages_recipient_type CHECK (recipient_type IN ('all', 'private', 'host')),
	CONSTRAINT meeting_messages_recipient CHECK ((recipient_type = 'private') = (recipient_id IS NOT NULL))
);
CREATE INDEX meeting_messages_meeting ON rt.meeting_messages (meeting_id, id);
CREATE INDEX meeting_messages_sender ON rt.meeting_messages (sender_id);
CREATE INDEX meeting_messages_sender_participant ON rt.meeting_messages (sender_participant_id);
CREATE INDEX meeting_messages_recipient ON rt.meeting_messages (recipient_id) WHERE recipient_id IS NOT NULL;
CREATE INDEX meeting_messages_recipient_participant ON rt.meeting_messages (recipient_participant_id)
	WHERE recipient_participant_id IS NOT NULL;
COMMENT ON TABLE rt.meeting_messages IS 'chat inside meetings; INSERT (meeting_id, sender_id, message) sends one';
COMMENT ON COLUMN rt.meeting_messages.created_at IS 'when it was sent';
COMMENT ON COLUMN rt.meeting_messages.id IS 'the messages id on the wire';
COMMENT ON COLUMN rt.meeting_messages.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt.meeting_messages.message IS 'the text';
COMMENT ON COLUMN rt.meeting_messages.recipient_id IS 'the user whom a private message is for';
COMMENT ON COLUMN rt.meeting_messages.sender_participant_id IS 'the device that sent it';
COMMENT ON COLUMN rt.meeting_messages.sender_id IS 'the user who sent it';
COMMENT ON COLUMN rt.meeting_messages.sender_name IS 'their name when they sent it; filled in';
COMMENT ON COLUMN rt.meeting_messages.recipient_type IS 'all, private (to recipient_id alone), host (to hosts and co-hosts)';
COMMENT ON COLUMN rt.meeting_messages.recipient_participant_id IS 'the one device it goes to; null: all of recipient_id''s';

CREATE TABLE rt.meeting_recordings (
	id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	meeting_id bigint NOT NULL REFERENCES rt.meetings (id) ON DELETE CASCADE,
	started_by text DEFAULT nullif(current_setting('rt.user_id', true), '') REFERENCES rt.users (id) ON DELETE SET NULL,
	started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	stopped_by text REFERENCES rt.users (id) ON DELETE SET NULL,
	stopped_at timestamptz,
	location text,
	CONSTRAINT meeting_recordings_order CHECK (stopped_at >= started_at)
);
CREATE INDEX meeting_recordings_meeting ON rt.meeting_recordings (meeting_id, id);
CREATE UNIQUE INDEX meeting_recordings_running ON rt.meeting_recordings (meeting_id) WHERE stopped_at IS NULL;
CREATE INDEX meeting_recordings_started_by ON rt.meeting_recordings (started_by) WHERE started_by IS NOT NULL;
CREATE INDEX meeting_recordings_stopped_by ON rt.meeting_recordings (stopped_by) WHERE stopped_by IS NOT NULL;
COMMENT ON TABLE rt.meeting_recordings IS 'recordings of meetings, at most one at a time; a recorder may write here by itself';
COMMENT ON COLUMN rt.meeting_recordings.id IS 'number of the recording';
COMMENT ON COLUMN rt.meeting_recordings.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt.meeting_recordings.started_at IS 'when it began';
COMMENT ON COLUMN rt.meeting_recordings.started_by IS 'who began it';
COMMENT ON COLUMN rt.meeting_recordings.stopped_at IS 'when it ended; null: under way';
COMMENT ON COLUMN rt.meeting_recordings.stopped_by IS 'who ended it';
COMMENT ON COLUMN rt.meeting_recordings.location IS 'where the recorder has put it';

CREATE TABLE rt.ice_servers (
	url text PRIMARY KEY,
	username text,
	credential text,
	CONSTRAINT ice_servers_url CHECK (url ~ '^(stuns?|turns?):[^[:space:]]+$')
);
COMMENT ON TABLE rt.ice_servers IS 'STUN and TURN servers that clients in meetings are told of; none are needed where they reach the media port';
COMMENT ON COLUMN rt.ice_servers.credential IS 'the password for it';
COMMENT ON COLUMN rt.ice_servers.url IS 'stun: or turn: URL, given to clients in webrtcConfig';
COMMENT ON COLUMN rt.ice_servers.username IS 'the name for it';

-- One statement each: all of them change the extension's one row in the catalog.
DO $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY ARRAY['meetings', 'meetings_id_seq', 'meeting_invitees', 'meeting_bans', 'meeting_participants',
		'meeting_participants_id_seq', 'meeting_messages', 'meeting_messages_id_seq', 'meeting_recordings',
		'meeting_recordings_id_seq', 'ice_servers']
	LOOP
		PERFORM pg_catalog.pg_extension_config_dump(('rt.' || t)::pg_catalog.regclass, '');
	END LOOP;
END
$$;

-- ---- who may do what ----------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_permissions(role text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT CASE meeting_permissions.role
		WHEN 'host' THEN ARRAY['chat', 'react', 'raise-hand', 'produce', 'consume', 'mute', 'remove', 'role', 'lock', 'end', 'record']
		WHEN 'co-host' THEN ARRAY['chat', 'react', 'raise-hand', 'produce', 'consume', 'mute', 'remove']
		WHEN 'participant' THEN ARRAY['chat', 'react', 'raise-hand', 'produce', 'consume']
		WHEN 'viewer' THEN ARRAY['chat', 'react', 'raise-hand', 'consume']
	END
$$;
COMMENT ON FUNCTION rt_private.meeting_permissions(text) IS 'what a role may do in a meeting; the one place that says so';
-- Media: which worker carries which meeting, and what is on it.
--
-- All of it is soft: a crash of the server ends the media workers too, so the tables are UNLOGGED and none of
-- them refers to a logged one (that would write WAL, and make signalling wait for the disk).  What belongs to a
-- participant is dropped by rt_private.media_participant_gone().

CREATE UNLOGGED TABLE rt_private.media_workers (
	id text PRIMARY KEY,
	slot text NOT NULL UNIQUE,
	addresses text[] NOT NULL,
	udp_port integer,
	tcp_port integer,
	capacity integer NOT NULL CHECK (capacity > 0),
	load integer NOT NULL DEFAULT 0 CHECK (load >= 0),
	fingerprint jsonb,
	can_record boolean NOT NULL DEFAULT false,
	started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	totals jsonb NOT NULL DEFAULT '{}',
	ice_candidates jsonb NOT NULL DEFAULT '[]'
);
COMMENT ON TABLE rt_private.media_workers IS 'running media forwarders; one that is silent for over 3 s is given up';
COMMENT ON COLUMN rt_private.media_workers.id IS 'new with each start of the program';
COMMENT ON COLUMN rt_private.media_workers.slot IS 'which worker of which host; a start in a slot gives up the one before';
COMMENT ON COLUMN rt_private.media_workers.capacity IS 'producers and consumers that it can carry';
COMMENT ON COLUMN rt_private.media_workers.load IS 'producers and consumers that it carries';
COMMENT ON COLUMN rt_private.media_workers.ice_candidates IS 'iceCandidates of its transports, as clients get them';
COMMENT ON COLUMN rt_private.media_workers.totals IS 'what it did since it started, for the metrics';

CREATE UNLOGGED TABLE rt_private.media_routers (
	id text PRIMARY KEY,
	meeting_id bigint NOT NULL UNIQUE,
	worker text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX media_routers_worker ON rt_private.media_routers (worker);
COMMENT ON TABLE rt_private.media_routers IS 'the placement of meetings on media workers';

-- Each second the figures of what is on a router are written anew: with room beside them, without touching an index.
CREATE UNLOGGED TABLE rt_private.media_transports (
	id text PRIMARY KEY,
	router_id text NOT NULL,
	worker text NOT NULL,
	meeting_id bigint NOT NULL,
	participant_id bigint NOT NULL,
	socket_id text NOT NULL,
	direction text NOT NULL CHECK (direction IN ('send', 'recv')),
	connected boolean NOT NULL DEFAULT false,
	stats jsonb NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 40);
CREATE INDEX media_transports_participant ON rt_private.media_transports (participant_id);
CREATE INDEX media_transports_meeting ON rt_private.media_transports (meeting_id);
COMMENT ON TABLE rt_private.media_transports IS 'one peer''s way into a router';
COMMENT ON COLUMN rt_private.media_transports.socket_id IS 'the socket that made it';
COMMENT ON COLUMN rt_private.media_transports.connected IS 'the client has given its DTLS parameters';

CREATE UNLOGGED TABLE rt_private.media_producers (
	id text PRIMARY KEY,
	transport_id text NOT NULL REFERENCES rt_private.media_transports (id) ON DELETE CASCADE,
	worker text NOT NULL,
	meeting_id bigint NOT NULL,
	participant_id bigint NOT NULL,
	kind text NOT NULL CHECK (kind IN ('audio', 'video')),
	source text NOT NULL CHECK (source IN ('camera', 'microphone', 'screen', 'screen-audio')),
	type text NOT NULL DEFAULT 'simple',
	paused boolean NOT NULL DEFAULT false,
	muted boolean NOT NULL DEFAULT false,
	stats jsonb NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	paused_by bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 40);
CREATE INDEX media_producers_transport ON rt_private.media_producers (transport_id);
CREATE INDEX media_producers_participant ON rt_private.media_producers (participant_id);
CREATE INDEX media_producers_meeting ON rt_private.media_producers (meeting_id);
COMMENT ON TABLE rt_private.media_producers IS 'a stream that comes in';
COMMENT ON COLUMN rt_private.media_producers.paused IS 'by its owner';
COMMENT ON COLUMN rt_private.media_producers.muted IS 'by a host';
COMMENT ON COLUMN rt_private.media_producers.paused_by IS 'the newest request that paused or resumed it; 0: none has';

CREATE UNLOGGED TABLE rt_private.media_consumers (
	id text PRIMARY KEY,
	transport_id text NOT NULL REFERENCES rt_private.media_transports (id) ON DELETE CASCADE,
	producer_id text NOT NULL REFERENCES rt_private.media_producers (id) ON DELETE CASCADE,
	worker text NOT NULL,
	meeting_id bigint NOT NULL,
	participant_id bigint NOT NULL,
	kind text NOT NULL CHECK (kind IN ('audio', 'video')),
	paused boolean NOT NULL DEFAULT true,
	stats jsonb NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 40);
CREATE INDEX media_consumers_transport ON rt_private.media_consumers (transport_id);
CREATE INDEX media_consumers_producer ON rt_private.media_consumers (producer_id);
CREATE INDEX media_consumers_meeting ON rt_private.media_consumers (meeting_id);
COMMENT ON TABLE rt_private.media_consumers IS 'a stream that goes out to one participant';

CREATE UNLOGGED TABLE rt_private.media_requests (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	worker text NOT NULL,
	op text NOT NULL,
	meeting_id bigint NOT NULL,
	participant_id bigint,
	object_id text,
	body jsonb NOT NULL,
	gateway text,
	socket_id text,
	tag text,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	fetched boolean NOT NULL DEFAULT false,
	answer json
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX media_requests_waiting ON rt_private.media_requests (worker, id) WHERE NOT fetched;
CREATE INDEX media_requests_participant ON rt_private.media_requests (participant_id);
CREATE INDEX media_requests_handed ON rt_private.media_requests (worker) WHERE fetched AND gateway IS NULL;
COMMENT ON TABLE rt_private.media_requests IS 'what media workers are to do: requests of clients (with gateway), and commands (without)';
COMMENT ON COLUMN rt_private.media_requests.object_id IS 'the transport, producer or consumer that it makes or concerns';
COMMENT ON COLUMN rt_private.media_requests.body IS 'what the worker gets besides op and the ids of the row';
COMMENT ON COLUMN rt_private.media_requests.tag IS 'the gateway''s own name for the request';
COMMENT ON COLUMN rt_private.media_requests.fetched IS 'the worker has it, or it is in the notification';
COMMENT ON COLUMN rt_private.media_requests.answer IS 'an answer that waits to be fetched by the gateway';

-- ---- what a router can -----------------------------------------------------------------------------
--
-- One value for every meeting and every worker, so that a client can load its device before any worker is known.
-- Codecs are in the order in which clients prefer them; payload types rise from 100 and never reach 127 (the probator
-- of mediasoup-client); `direction` of an extension is the router's.

CREATE FUNCTION rt_private.router_rtp_capabilities() RETURNS json
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	WITH media (n, kind, mime_type, clock_rate, channels, parameters) AS (
		VALUES
			(0, 'audio', 'audio/opus', 48000, 2, '{}'::jsonb),
			(1, 'video', 'video/VP8', 90000, NULL, '{}'),
			(2, 'video', 'video/VP9', 90000, NULL, '{"profile-id":0}'),
			(3, 'video', 'video/H264', 90000, NULL,
				'{"packetization-mode":1,"profile-level-id":"42e01f","level-asymmetry-allowed":1}'),
			(4, 'video', 'video/H264', 90000, NULL,
				'{"packetization-mode":0,"profile-level-id":"42e01f","level-asymmetry-allowed":1}'),
			(5, 'video', 'video/AV1', 90000, NULL, '{}')
	),
	-- Audio takes one payload type; each video codec takes two, its own and that of its retransmissions.
	codecs (payload_type, codec) AS (
		SELECT p.payload_type, json_strip_nulls(json_build_object('kind', m.kind, 'mimeType', m.mime_type,
			'preferredPayloadType', p.payload_type, 'clockRate', m.clock_rate, 'channels', m.channels,
			'parameters', m.parameters, 'rtcpFeedback', CASE m.kind
				WHEN 'audio' THEN '[{"type":"nack","parameter":""},{"type":"transport-cc","parameter":""}]'::json
				ELSE (
					SELECT json_agg(json_build_object('type', f[1], 'parameter', f[2]))
					FROM (VALUES (ARRAY['nack', '']), (ARRAY['nack', 'pli']), (ARRAY['ccm', 'fir']),
						(ARRAY['goog-remb', '']), (ARRAY['transport-cc', ''])) AS v (f))
			END))
		FROM media AS m
		CROSS JOIN LATERAL (SELECT CASE m.n WHEN 0 THEN 100 ELSE 99 + 2 * m.n END AS payload_type) AS p
		UNION ALL
		SELECT 100 + 2 * m.n, json_build_object('kind', 'video', 'mimeType', 'video/rtx',
			'preferredPayloadType', 100 + 2 * m.n, 'clockRate', m.clock_rate,
			'parameters', json_build_object('apt', 99 + 2 * m.n), 'rtcpFeedback', '[]'::json)
		FROM media AS m
		WHERE m.kind = 'video'
	),
	extensions (id, uri, audio, video) AS (
		VALUES
			(1, 'urn:ietf:params:rtp-hdrext:sdes:mid', 'sendrecv', 'sendrecv'),
			(2, 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id', NULL, 'recvonly'),
			(3, 'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id', NULL, 'recvonly'),
			(4, 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time', 'sendrecv', 'sendrecv'),
			(5, 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01', 'recvonly', 'sendrecv'),
			(6, 'urn:ietf:params:rtp-hdrext:ssrc-audio-level', 'sendrecv', NULL),
			(7, 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension', NULL, 'sendrecv'),
			(8, 'urn:3gpp:video-orientation', NULL, 'sendrecv'),
			(9, 'urn:ietf:params:rtp-hdrext:toffset', NULL, 'sendrecv'),
			(10, 'http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time', 'sendrecv', 'sendrecv'),
			(11, 'http://www.webrtc.org/experiments/rtp-hdrext/playout-delay', 'sendrecv', 'sendrecv')
	)
	SELECT json_build_object(
		'codecs', (SELECT json_agg(c.codec ORDER BY c.payload_type) FROM codecs AS c),
		'headerExtensions', (
			SELECT json_agg(json_build_object('kind', k.kind, 'uri', e.uri, 'preferredId', e.id,
				'preferredEncrypt', false, 'direction', k.direction) ORDER BY e.id, k.kind)
			FROM extensions AS e
			CROSS JOIN LATERAL (VALUES ('audio', e.audio), ('video', e.video)) AS k (kind, direction)
			WHERE k.direction IS NOT NULL))
$$;
COMMENT ON FUNCTION rt_private.router_rtp_capabilities() IS 'routerRtpCapabilities for mediasoup-client; media/params_caps has the same table';
-- Meetings: what a change of a row tells the clients.  It is the triggers that speak, so a plain statement in psql
-- and a request of a client are heard alike.
--
-- Two values, local to the transaction, say who acts: rt.user_id, and rt_private.socket_id, the socket that asked
-- (empty for SQL clients), which is left out of what goes to "the others".

-- ---- JSON ---------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_json(m rt.meetings) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN json_build_object(
		'id', m.id::text, 'title', m.title, 'status', m.status, 'hostId', m.host_id, 'roomId', m.room_id::text,
		'maxParticipants', m.max_participants, 'hasPassword', m.password_hash IS NOT NULL, 'locked', m.locked,
		'recording', m.recording, 'access', m.access,
		'startsAt', rt_private.iso(m.starts_at), 'startedAt', rt_private.iso(m.started_at),
		'endedAt', rt_private.iso(m.ended_at), 'createdAt', rt_private.iso(m.created_at));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_json(rt.meetings) IS 'a meeting as clients see it';

-- These are without settings of their own, so that the planner puts them into the query: a join tells of hundreds.

CREATE FUNCTION rt_private.participant_media_json(p rt.meeting_participants) RETURNS json
LANGUAGE sql STABLE AS $$
	SELECT pg_catalog.json_build_object('video', p.video AND NOT p.video_muted, 'audio', p.audio AND NOT p.audio_muted,
		'screenSharing', p.screen_sharing)
$$;
COMMENT ON FUNCTION rt_private.participant_media_json(rt.meeting_participants) IS 'what a participant sends; what a host has muted is off';

CREATE FUNCTION rt_private.participant_json(p rt.meeting_participants, producers json) RETURNS json
LANGUAGE sql STABLE AS $$
	SELECT pg_catalog.json_build_object(
		'meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id, 'userName', p.display_name,
		'role', p.role, 'media', rt_private.participant_media_json(p),
		'handRaised', p.hand_raised_at IS NOT NULL, 'handRaisedAt', rt_private.iso(p.hand_raised_at),
		'audioMuted', p.audio_muted, 'videoMuted', p.video_muted, 'joinedAt', rt_private.iso(p.joined_at),
		'permissions', rt_private.meeting_permissions(p.role),
		'producers', coalesce(producers, '[]'))
$$;
COMMENT ON FUNCTION rt_private.participant_json(rt.meeting_participants, json) IS 'PARTICIPANT of the wire contract';

-- Planning takes several times as long as a small meeting's list, so it is done once.
CREATE FUNCTION rt_private.participants_json(meeting_id bigint) RETURNS json
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
	RETURN (
		SELECT coalesce(json_agg(rt_private.participant_json(p, d.producers) ORDER BY p.id), '[]')
		FROM rt.meeting_participants AS p
		LEFT JOIN (
			SELECT t.participant_id, json_agg(json_build_object('producerId', t.id, 'kind', t.kind, 'source', t.source,
				'paused', t.paused OR t.muted) ORDER BY t.created_at, t.id) AS producers
			FROM rt_private.media_producers AS t
			WHERE t.meeting_id = participants_json.meeting_id
			GROUP BY t.participant_id) AS d ON d.participant_id = p.id
		WHERE p.meeting_id = participants_json.meeting_id AND p.left_at IS NULL);
END
$$;
COMMENT ON FUNCTION rt_private.participants_json(bigint) IS 'everybody who is in a meeting, or whose place is kept';

CREATE FUNCTION rt_private.meeting_message_json(m rt.meeting_messages) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN json_build_object(
		'id', m.id::text, 'senderId', coalesce(m.sender_participant_id::text, m.sender_id),
		'senderUserId', m.sender_id, 'senderName', m.sender_name, 'message', m.message,
		'recipientType', m.recipient_type, 'recipientId', coalesce(m.recipient_participant_id::text, m.recipient_id),
		'recipientUserId', m.recipient_id, 'timestamp', rt_private.iso(m.created_at));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_message_json(rt.meeting_messages) IS 'the message of new-message';

-- ---- emitting -------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_socket() RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT nullif(pg_catalog.current_setting('rt_private.socket_id', true), '')
$$;
COMMENT ON FUNCTION rt_private.meeting_socket() IS 'the socket that asked for what this transaction does; null for SQL clients';

-- Participants and the private mark go into the route, see docs/architecture.md.
CREATE FUNCTION rt_private.meeting_emit(event text, meeting_id bigint, payload json, except_socket text DEFAULT NULL,
	participants bigint[] DEFAULT NULL, private boolean DEFAULT false, logged boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rt_private.emit(meeting_emit.event,
		json_strip_nulls(json_build_object('meeting', meeting_emit.meeting_id::text,
			'participants', array_to_json(meeting_emit.participants::text[]),
			'except', meeting_emit.except_socket,
			'private', nullif(meeting_emit.private, false))),
		meeting_emit.payload, meeting_emit.logged);
END
$$;
COMMENT ON FUNCTION rt_private.meeting_emit(text, bigint, json, text, bigint[], boolean, boolean)
	IS 'emits an event to the sockets in a meeting, or to some participants alone';

CREATE FUNCTION rt_private.meeting_emit_member(p rt.meeting_participants, socket_id text, member boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rt_private.emit('rt:meeting-member', '{"gateway":true}'::json,
		json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
			'sid', meeting_emit_member.socket_id, 'gateway', p.gateway, 'member', meeting_emit_member.member), true);
END
$$;
COMMENT ON FUNCTION rt_private.meeting_emit_member(rt.meeting_participants, text, boolean)
	IS 'tells the gateways that a socket is in a meeting, or no longer';

-- ---- meetings ----------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meetings_before() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		IF NEW.host_id IS NULL THEN
			RAISE EXCEPTION 'a meeting needs a host' USING ERRCODE = 'RT400',
				HINT = 'Give host_id, or SET rt.user_id.';
		END IF;
	ELSIF OLD.status = 'ended' AND NEW.status <> 'ended' THEN
		RAISE EXCEPTION 'Meeting has ended' USING ERRCODE = 'RT410';
	ELSIF OLD.status = 'live' AND NEW.status = 'scheduled' THEN
		RAISE EXCEPTION 'Meeting is live already' USING ERRCODE = 'RT409';
	END IF;
	IF NEW.status = 'live' THEN
		NEW.started_at := coalesce(NEW.started_at, clock_timestamp());
		NEW.started_by := coalesce(NEW.started_by, rt_private.actor());
	ELSIF NEW.status = 'ended' THEN
		NEW.ended_at := coalesce(NEW.ended_at, clock_timestamp());
		NEW.ended_by := coalesce(NEW.ended_by, rt_private.actor());
		NEW.recording := false;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.meetings_before() IS 'keeps a meeting''s lifecycle: only forward, with who and when';

CREATE FUNCTION rt_private.meeting_put_all_out(m rt.meetings) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rt_private.media_close_meeting(m.id);
	UPDATE rt.meeting_participants AS p
	SET left_at = clock_timestamp(), left_reason = 'ended'
	WHERE p.meeting_id = m.id AND p.left_at IS NULL;
	PERFORM rt_private.meeting_emit('meeting-ended', m.id,
		json_build_object('meetingId', m.id::text, 'meeting', rt_private.meeting_json(m)));
	PERFORM rt_private.emit('rt:meeting-closed', '{"gateway":true}'::json,
		json_build_object('meetingId', m.id::text), true);
END
$$;
COMMENT ON FUNCTION rt_private.meeting_put_all_out(rt.meetings) IS 'ends everything in a meeting that has ended or is about to go';

CREATE FUNCTION rt_private.meetings_after_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.status = 'ended' THEN
		IF OLD.status <> 'ended' THEN
			UPDATE rt.meeting_recordings AS r
			SET stopped_at = clock_timestamp(), stopped_by = NEW.ended_by
			WHERE r.meeting_id = NEW.id AND r.stopped_at IS NULL;
			PERFORM rt_private.meeting_put_all_out(NEW);
		END IF;
	ELSIF rt_private.meeting_json(OLD)::text <> rt_private.meeting_json(NEW)::text THEN
		PERFORM rt_private.meeting_emit('meeting-updated', NEW.id,
			json_build_object('meetingId', NEW.id::text, 'meeting', rt_private.meeting_json(NEW)));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.meetings_after_update() IS 'emits meeting-updated and meeting-ended';

CREATE FUNCTION rt_private.meetings_before_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := OLD;
BEGIN
	IF m.status <> 'ended' THEN
		m.status := 'ended';
		m.ended_at := clock_timestamp();
		m.ended_by := rt_private.actor();
		PERFORM rt_private.meeting_put_all_out(m);
	END IF;
	RETURN OLD;
END
$$;
COMMENT ON FUNCTION rt_private.meetings_before_delete() IS 'a meeting that is deleted ends first';

CREATE TRIGGER meetings_before BEFORE INSERT OR UPDATE ON rt.meetings
	FOR EACH ROW EXECUTE FUNCTION rt_private.meetings_before();
CREATE TRIGGER meetings_after_update AFTER UPDATE ON rt.meetings
	FOR EACH ROW EXECUTE FUNCTION rt_private.meetings_after_update();
CREATE TRIGGER meetings_before_delete BEFORE DELETE ON rt.meetings
	FOR EACH ROW EXECUTE FUNCTION rt_private.meetings_before_delete();

-- ---- invitees ---------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_invitees_after_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM rt.meeting_bans AS b
	WHERE b.meeting_id = NEW.meeting_id AND b.user_id = NEW.user_id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_invitees_after_insert() IS 'an invitation lifts a ban';

CREATE TRIGGER meeting_invitees_after_insert AFTER INSERT ON rt.meeting_invitees
	FOR EACH ROW EXECUTE FUNCTION rt_private.meeting_invitees_after_insert();

-- ---- participants -----------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.participants_before() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		NEW.display_name := coalesce(NEW.display_name, rt_private.user_name(NEW.user_id));
	ELSIF OLD.left_at IS NOT NULL AND NEW.left_at IS NULL THEN
		RAISE EXCEPTION 'who has left a meeting joins it anew' USING ERRCODE = 'RT409';
	END IF;
	IF NEW.left_at IS NOT NULL THEN
		NEW.left_reason := coalesce(NEW.left_reason, 'left');
		NEW.hand_raised_at := NULL;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.participants_before() IS 'completes a participant''s row';

CREATE FUNCTION rt_private.participants_joined() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.meeting_emit_member(NEW, NEW.socket_id, true);
	PERFORM rt_private.meeting_emit('participant-joined', NEW.meeting_id, rt_private.participant_json(NEW, NULL),
		except_socket => NEW.socket_id);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_joined() IS 'emits participant-joined';

-- Comes back on another socket or gateway: the others never saw it leave.
CREATE FUNCTION rt_private.participants_moved() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF OLD.socket_id <> NEW.socket_id THEN
		PERFORM rt_private.meeting_emit_member(OLD, OLD.socket_id, false);
	END IF;
	PERFORM rt_private.meeting_emit_member(NEW, NEW.socket_id, true);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_moved() IS 'tells the gateways which socket now acts for a participant';

CREATE FUNCTION rt_private.participant_gone(p rt.meeting_participants, reason text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rt_private.media_participant_gone(p.id);
	IF participant_gone.reason = 'ended' THEN
		RETURN; -- meeting-ended tells it to all at once
	END IF;
	IF participant_gone.reason = 'removed' THEN
		PERFORM rt_private.meeting_emit('removed-from-meeting', p.meeting_id,
			json_build_object('meetingId', p.meeting_id::text, 'reason', p.removal_reason, 'by', p.removed_by),
			participants => ARRAY[p.id]);
	END IF;
	PERFORM rt_private.meeting_emit_member(p, p.socket_id, false);
	PERFORM rt_private.meeting_emit('participant-left', p.meeting_id,
		json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
			'userName', p.display_name, 'reason', participant_gone.reason),
		except_socket => p.socket_id);
	PERFORM rt_private.media_close_if_empty(p.meeting_id);
END
$$;
COMMENT ON FUNCTION rt_private.participant_gone(rt.meeting_participants, text)
	IS 'frees the media of who has left, and emits participant-left';

-- Who may not come back is put out on their other devices too, and loses the places that are kept for them.
CREATE FUNCTION rt_private.meeting_ban(p rt.meeting_participants) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM rt.meeting_invitees AS i
	WHERE i.meeting_id = p.meeting_id AND i.user_id = p.user_id;
	INSERT INTO rt.meeting_bans (meeting_id, user_id, banned_by, reason)
	VALUES (p.meeting_id, p.user_id, p.removed_by, p.removal_reason)
	ON CONFLICT DO NOTHING;
	UPDATE rt.meeting_participants AS o
	SET left_at = p.left_at, left_reason = 'removed', removed_by = p.removed_by, removal_reason = p.removal_reason
	WHERE o.meeting_id = p.meeting_id AND o.user_id = p.user_id AND o.left_at IS NULL;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_ban(rt.meeting_participants) IS 'keeps a user who was removed out of a meeting';

CREATE FUNCTION rt_private.participants_left() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.participant_gone(NEW, NEW.left_reason);
	IF NEW.left_reason = 'removed' AND NEW.removed_by IS DISTINCT FROM NEW.user_id THEN -- not a device of one's own
		PERFORM rt_private.meeting_ban(NEW);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_left() IS 'emits participant-left, and bans who was removed';

CREATE FUNCTION rt_private.participants_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.participant_gone(OLD, 'removed');
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_deleted() IS 'emits participant-left for a row that was deleted; bans nobody';

CREATE FUNCTION rt_private.participants_role() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.meeting_emit('participant-role-updated', NEW.meeting_id,
		json_build_object('meetingId', NEW.meeting_id::text, 'participantId', NEW.id::text, 'userId', NEW.user_id,
			'userName', NEW.display_name, 'role', NEW.role, 'by', rt_private.actor(),
			'permissions', array_to_json(rt_private.meeting_permissions(NEW.role))));
	IF NOT 'produce' = ANY (rt_private.meeting_permissions(NEW.role)) THEN
		PERFORM rt_private.media_close_producers(NEW.id);
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_role() IS 'emits participant-role-updated; who may not produce any more is stopped';

CREATE FUNCTION rt_private.participant_mute(p rt.meeting_participants, kind text, muted boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rt_private.meeting_emit('muted-by-host', p.meeting_id,
		json_build_object('meetingId', p.meeting_id::text, 'muted', participant_mute.muted, 'kind', participant_mute.kind,
			'by', rt_private.actor()),
		participants => ARRAY[p.id]);
	PERFORM rt_private.media_mute(p.id, participant_mute.kind, participant_mute.muted);
END
$$;
COMMENT ON FUNCTION rt_private.participant_mute(rt.meeting_participants, text, boolean)
	IS 'tells a participant that it was muted or unmuted, and the forwarder to see to it';

-- A mute is told to all; what a client says of itself, to the others.
CREATE FUNCTION rt_private.participants_media() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	by_host boolean := false;
BEGIN
	IF OLD.audio_muted <> NEW.audio_muted THEN
		PERFORM rt_private.participant_mute(NEW, 'audio', NEW.audio_muted);
		by_host := true;
	END IF;
	IF OLD.video_muted <> NEW.video_muted THEN
		PERFORM rt_private.participant_mute(NEW, 'video', NEW.video_muted);
		by_host := true;
	END IF;
	PERFORM rt_private.meeting_emit('participant-media-updated', NEW.meeting_id, rt_private.media_updated_json(NEW),
		except_socket => CASE WHEN NOT by_host THEN rt_private.meeting_socket() END);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_media() IS 'emits muted-by-host and participant-media-updated';

CREATE FUNCTION rt_private.media_updated_json(p rt.meeting_participants) RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
	media json := rt_private.participant_media_json(p);
BEGIN
	RETURN json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
		'video', media -> 'video', 'audio', media -> 'audio', 'screenSharing', media -> 'screenSharing',
		'audioMuted', p.audio_muted, 'videoMuted', p.video_muted);
END
$$;
COMMENT ON FUNCTION rt_private.media_updated_json(rt.meeting_participants) IS 'the payload of participant-media-updated';

CREATE FUNCTION rt_private.hand_raised_json(p rt.meeting_participants) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
		'userName', p.display_name, 'raised', p.hand_raised_at IS NOT NULL,
		'timestamp', rt_private.iso(coalesce(p.hand_raised_at, clock_timestamp())),
		'hands', (
			SELECT coalesce(json_agg(o.id::text ORDER BY o.hand_raised_at, o.id), '[]')
			FROM rt.meeting_participants AS o
			WHERE o.meeting_id = p.meeting_id AND o.left_at IS NULL AND o.hand_raised_at IS NOT NULL));
END
$$;
COMMENT ON FUNCTION rt_private.hand_raised_json(rt.meeting_participants)
	IS 'the payload of hand-raised; hands are all raised hands, the first one first';

CREATE FUNCTION rt_private.participants_hand() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.meeting_emit('hand-raised', NEW.meeting_id, rt_private.hand_raised_json(NEW));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.participants_hand() IS 'emits hand-raised';

CREATE TRIGGER participants_before BEFORE INSERT OR UPDATE OF left_at, left_reason ON rt.meeting_participants
	FOR EACH ROW EXECUTE FUNCTION rt_private.participants_before();
CREATE TRIGGER participants_joined AFTER INSERT ON rt.meeting_participants
	FOR EACH ROW WHEN (NEW.left_at IS NULL) EXECUTE FUNCTION rt_private.participants_joined();
CREATE TRIGGER participants_moved AFTER UPDATE ON rt.meeting_participants
	FOR EACH ROW WHEN (NEW.left_at IS NULL AND NEW.disconnected_at IS NULL
		AND (OLD.socket_id, OLD.gateway, OLD.disconnected_at)
			IS DISTINCT FROM (NEW.socket_id, NEW.gateway, NEW.disconnected_at))
	EXECUTE FUNCTION rt_private.participants_moved();
CREATE TRIGGER participants_left AFTER UPDATE ON rt.meeting_participants
	FOR EACH ROW WHEN (OLD.left_at IS NULL AND NEW.left_at IS NOT NULL) EXECUTE FUNCTION rt_private.participants_left();
CREATE TRIGGER participants_deleted AFTER DELETE ON rt.meeting_participants
	FOR EACH ROW WHEN (OLD.left_at IS NULL) EXECUTE FUNCTION rt_private.participants_deleted();
CREATE TRIGGER participants_role AFTER UPDATE ON rt.meeting_participants
	FOR EACH ROW WHEN (NEW.left_at IS NULL AND OLD.role <> NEW.role) EXECUTE FUNCTION rt_private.participants_role();
CREATE TRIGGER participants_media AFTER UPDATE ON rt.meeting_participants
	FOR EACH ROW WHEN (NEW.left_at IS NULL
		AND (OLD.video, OLD.audio, OLD.screen_sharing, OLD.audio_muted, OLD.video_muted)
			IS DISTINCT FROM (NEW.video, NEW.audio, NEW.screen_sharing, NEW.audio_muted, NEW.video_muted))
	EXECUTE FUNCTION rt_private.participants_media();
CREATE TRIGGER participants_hand AFTER UPDATE ON rt.meeting_participants
	FOR EACH ROW WHEN (NEW.left_at IS NULL AND (OLD.hand_raised_at IS NULL) <> (NEW.hand_raised_at IS NULL))
	EXECUTE FUNCTION rt_private.participants_hand();

-- ---- messages and recordings ------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_messages_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sender rt.meeting_participants;
	limit_bytes integer := rt_private.max_message_size();
BEGIN
	IF octet_length(NEW.message) > limit_bytes THEN
		RAISE EXCEPTION 'the message has more than % bytes', limit_bytes USING ERRCODE = 'RT413';
	END IF;
	IF NEW.sender_participant_id IS NULL THEN
		SELECT p.* INTO sender
		FROM rt.meeting_participants AS p
		WHERE p.meeting_id = NEW.meeting_id AND p.user_id = NEW.sender_id AND p.left_at IS NULL
		ORDER BY p.id LIMIT 1;
		NEW.sender_participant_id := sender.id;
		NEW.sender_name := coalesce(NEW.sender_name, sender.display_name);
	END IF;
	NEW.sender_name := coalesce(NEW.sender_name, rt_private.user_name(NEW.sender_id));
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_messages_before_insert() IS 'completes a message''s sender';

-- A private message leaves the server's tables only towards the two: its notification carries no text.
CREATE FUNCTION rt_private.meeting_messages_after_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	receivers bigint[];
BEGIN
	-- Nobody is in it any more; so a restore of old messages is silent.
	IF EXISTS (SELECT FROM rt.meetings AS m WHERE m.id = NEW.meeting_id AND m.status = 'ended') THEN
		RETURN NULL;
	END IF;
	IF NEW.recipient_type <> 'all' THEN
		SELECT coalesce(array_agg(p.id ORDER BY p.id), '{}') INTO receivers
		FROM rt.meeting_participants AS p
		WHERE p.meeting_id = NEW.meeting_id AND p.left_at IS NULL
			AND (p.id = NEW.sender_participant_id
				OR CASE NEW.recipient_type
					WHEN 'host' THEN p.role IN ('host', 'co-host')
					ELSE p.user_id = NEW.recipient_id
						AND p.id = coalesce(NEW.recipient_participant_id, p.id)
				END);
	END IF;
	PERFORM rt_private.meeting_emit('new-message', NEW.meeting_id,
		json_build_object('meetingId', NEW.meeting_id::text, 'message', rt_private.meeting_message_json(NEW)),
		participants => receivers, private => NEW.recipient_type <> 'all');
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_messages_after_insert() IS 'emits new-message to those whom it is for';

CREATE TRIGGER meeting_messages_before_insert BEFORE INSERT ON rt.meeting_messages
	FOR EACH ROW EXECUTE FUNCTION rt_private.meeting_messages_before_insert();
CREATE TRIGGER meeting_messages_after_insert AFTER INSERT ON rt.meeting_messages
	FOR EACH ROW EXECUTE FUNCTION rt_private.meeting_messages_after_insert();

CREATE FUNCTION rt_private.meeting_recordings_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt.meetings AS m
	SET recording = NEW.stopped_at IS NULL
	WHERE m.id = NEW.meeting_id AND m.recording <> (NEW.stopped_at IS NULL);
	PERFORM rt_private.meeting_emit('recording-status-changed', NEW.meeting_id,
		json_build_object('meetingId', NEW.meeting_id::text, 'recording', NEW.stopped_at IS NULL,
			'startedBy', NEW.started_by, 'recordingId', NEW.id::text));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_recordings_after() IS 'emits recording-status-changed';

CREATE TRIGGER meeting_recordings_started AFTER INSERT ON rt.meeting_recordings
	FOR EACH ROW WHEN (NEW.stopped_at IS NULL) EXECUTE FUNCTION rt_private.meeting_recordings_after();
CREATE TRIGGER meeting_recordings_stopped AFTER UPDATE ON rt.meeting_recordings
	FOR EACH ROW WHEN (OLD.stopped_at IS NULL AND NEW.stopped_at IS NOT NULL)
	EXECUTE FUNCTION rt_private.meeting_recordings_after();
-- Meetings: functions for SQL clients, and what they share with rt_api.
--
-- They run with the owner's rights and check for themselves: an application role acts as its rt.user_id and may do what
-- that user may; the owner of the database may do all (rt_private.trusted()).

CREATE FUNCTION rt_private.meeting_lock(meeting_id bigint) RETURNS rt.meetings
LANGUAGE plpgsql AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = meeting_lock.meeting_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Meeting not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_lock(bigint) IS 'locks a meeting against whatever changes what is seen of it';

CREATE FUNCTION rt_private.meeting_lock_open(meeting_id bigint) RETURNS rt.meetings
LANGUAGE plpgsql AS $$
DECLARE
	m rt.meetings := rt_private.meeting_lock(meeting_id);
BEGIN
	IF m.status = 'ended' THEN
		RAISE EXCEPTION 'Meeting has ended' USING ERRCODE = 'RT410';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_lock_open(bigint) IS 'locks a meeting that has not ended';

-- ---- who may ---------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_banned(meeting_id bigint, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (
		SELECT FROM rt.meeting_bans AS b
		WHERE b.meeting_id = meeting_banned.meeting_id AND b.user_id = meeting_banned.user_id);
END
$$;
COMMENT ON FUNCTION rt_private.meeting_banned(bigint, text) IS 'was removed and not invited again';

CREATE FUNCTION rt_private.meeting_may_join(m rt.meetings, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF rt_private.meeting_banned(m.id, meeting_may_join.user_id) THEN
		RETURN false;
	END IF;
	RETURN m.access = 'anyone'
		OR m.host_id = meeting_may_join.user_id
		OR EXISTS (
			SELECT FROM rt.meeting_invitees AS i
			WHERE i.meeting_id = m.id AND i.user_id = meeting_may_join.user_id)
		OR (m.access = 'room' AND EXISTS (
			SELECT FROM rt.room_members AS r
			WHERE r.room_id = m.room_id AND r.user_id = meeting_may_join.user_id));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_may_join(rt.meetings, text) IS 'has access: host, invited, member of its room, or open to anyone; and not removed';

-- Whoever has been in it may look back at it, but for who was removed.
CREATE FUNCTION rt_private.meeting_may_see(m rt.meetings, user_id text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN coalesce(rt_private.meeting_may_join(m, meeting_may_see.user_id), false)
		OR (NOT rt_private.meeting_banned(m.id, meeting_may_see.user_id) AND EXISTS (
			SELECT FROM rt.meeting_participants AS p
			WHERE p.meeting_id = m.id AND p.user_id = meeting_may_see.user_id));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_may_see(rt.meetings, text) IS 'may read a meeting and who is in it';

-- For what does not come from a participant's socket (REST, SQL): the owner, or whoever is in it in a role that may.
CREATE FUNCTION rt_private.meeting_user_may(m rt.meetings, user_id text, action text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN coalesce(m.host_id = meeting_user_may.user_id, false)
		OR EXISTS (
			SELECT FROM rt.meeting_participants AS p
			WHERE p.meeting_id = m.id AND p.user_id = meeting_user_may.user_id AND p.left_at IS NULL
				AND meeting_user_may.action = ANY (rt_private.meeting_permissions(p.role)));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_user_may(rt.meetings, text, text) IS 'may do something in a meeting without a socket in it';

CREATE FUNCTION rt_private.meeting_check_user(m rt.meetings, action text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF NOT rt_private.trusted() AND NOT rt_private.meeting_user_may(m, rt_private.actor(), action) THEN
		RAISE EXCEPTION 'only a host may do that' USING ERRCODE = 'RT403';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_check_user(rt.meetings, text) IS 'refuses who may not do something in a meeting; the database''s owner may';

CREATE FUNCTION rt_private.meeting_hash(password text) RETURNS text
LANGUAGE plpgsql STRICT AS $$
BEGIN
	IF octet_length(password) NOT BETWEEN 1 AND 1024 THEN
		RAISE EXCEPTION 'a password must have 1 to 1024 bytes' USING ERRCODE = 'RT400';
	END IF;
	RETURN rt_private.crypt(rt_private.password_bytes(password), rt_private.gen_salt('bf', 6));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_hash(text) IS 'bcrypt; cheaper than for accounts, since every join checks it';

-- ---- for SQL clients ----------------------------------------------------------------------------------------

CREATE FUNCTION rt.create_meeting(title text, host text DEFAULT NULL, password text DEFAULT NULL,
	max_participants integer DEFAULT NULL, starts_at timestamptz DEFAULT NULL, room bigint DEFAULT NULL,
	invitees text[] DEFAULT '{}', access text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	host_id text := coalesce(create_meeting.host, rt_private.actor());
	who_may text := coalesce(create_meeting.access, CASE WHEN room IS NOT NULL THEN 'room' ELSE 'invited' END);
	meeting bigint;
BEGIN
	IF NOT rt_private.trusted() AND host_id IS DISTINCT FROM rt_private.actor() THEN
		RAISE EXCEPTION 'a meeting is made in one''s own name' USING ERRCODE = 'RT403';
	END IF;
	IF who_may = 'room' AND room IS NULL THEN
		RAISE EXCEPTION 'access for a room''s members needs a room' USING ERRCODE = 'RT400';
	END IF;
	IF room IS NOT NULL AND NOT EXISTS (
		SELECT FROM rt.room_members AS r WHERE r.room_id = create_meeting.room AND r.user_id = host_id)
	THEN
		RAISE EXCEPTION 'Room not found' USING ERRCODE = 'RT404';
	END IF;
	INSERT INTO rt.meetings (title, host_id, room_id, access, password_hash, max_participants, starts_at)
	VALUES (create_meeting.title, host_id, room, who_may, rt_private.meeting_hash(create_meeting.password),
		coalesce(create_meeting.max_participants, 1000), create_meeting.starts_at)
	RETURNING id INTO meeting;
	PERFORM rt_private.meeting_invite(meeting, invitees);
	RETURN meeting;
END
$$;
COMMENT ON FUNCTION rt.create_meeting(text, text, text, integer, timestamptz, bigint, text[], text)
	IS 'makes a meeting and returns its id; the host is rt.user_id unless given';

-- One who is invited already is so still; one who was removed may come back.
CREATE FUNCTION rt_private.meeting_invite(meeting_id bigint, users text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (
		SELECT FROM unnest(meeting_invite.users) AS w (user_id)
		WHERE NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = w.user_id))
	THEN
		RAISE EXCEPTION 'User not found' USING ERRCODE = 'RT404';
	END IF;
	INSERT INTO rt.meeting_invitees (meeting_id, user_id)
	SELECT DISTINCT meeting_invite.meeting_id, w.user_id FROM unnest(meeting_invite.users) AS w (user_id)
	ON CONFLICT DO NOTHING;
	DELETE FROM rt.meeting_bans AS b
	WHERE b.meeting_id = meeting_invite.meeting_id AND b.user_id = ANY (meeting_invite.users);
END
$$;
COMMENT ON FUNCTION rt_private.meeting_invite(bigint, text[]) IS 'invites users, again if they were removed';

CREATE FUNCTION rt.start_meeting(meeting bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_lock_open(meeting);
BEGIN
	PERFORM rt_private.meeting_check_user(m, 'end');
	UPDATE rt.meetings AS t SET status = 'live' WHERE t.id = m.id AND t.status = 'scheduled';
END
$$;
COMMENT ON FUNCTION rt.start_meeting(bigint) IS 'makes a scheduled meeting live';

CREATE FUNCTION rt.end_meeting(meeting bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_lock_open(meeting);
BEGIN
	PERFORM rt_private.meeting_check_user(m, 'end');
	UPDATE rt.meetings AS t SET status = 'ended' WHERE t.id = m.id;
END
$$;
COMMENT ON FUNCTION rt.end_meeting(bigint) IS 'ends a meeting for good and puts all out';

CREATE FUNCTION rt.set_meeting_password(meeting bigint, password text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_lock_open(meeting);
BEGIN
	PERFORM rt_private.meeting_check_user(m, 'lock');
	UPDATE rt.meetings AS t
	SET password_hash = rt_private.meeting_hash(set_meeting_password.password)
	WHERE t.id = m.id;
END
$$;
COMMENT ON FUNCTION rt.set_meeting_password(bigint, text) IS 'sets the password that joining takes; null: none';

-- Finds a participant who is in a meeting, and locks the meeting.
CREATE FUNCTION rt_private.participant_lock(participant bigint) RETURNS rt.meeting_participants
LANGUAGE plpgsql AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	SELECT t.* INTO p FROM rt.meeting_participants AS t WHERE t.id = participant;
	IF FOUND THEN
		PERFORM rt_private.meeting_lock(p.meeting_id);
		SELECT t.* INTO p FROM rt.meeting_participants AS t WHERE t.id = participant AND t.left_at IS NULL;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Participant not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN p;
END
$$;
COMMENT ON FUNCTION rt_private.participant_lock(bigint) IS 'a participant who has not left, with the meeting locked';

CREATE FUNCTION rt_private.participant_remove(p rt.meeting_participants, reason text) RETURNS void
LANGUAGE sql AS $$
	UPDATE rt.meeting_participants AS t
	SET left_at = clock_timestamp(), left_reason = 'removed', removed_by = rt_private.actor(),
		removal_reason = participant_remove.reason
	WHERE t.id = p.id
$$;
COMMENT ON FUNCTION rt_private.participant_remove(rt.meeting_participants, text) IS 'puts somebody out, who may not come back';

CREATE FUNCTION rt_private.participant_set_muted(p rt.meeting_participants, kind text, muted boolean) RETURNS void
LANGUAGE sql AS $$
	UPDATE rt.meeting_participants AS t
	SET audio_muted = CASE participant_set_muted.kind WHEN 'audio' THEN muted ELSE t.audio_muted END,
		video_muted = CASE participant_set_muted.kind WHEN 'video' THEN muted ELSE t.video_muted END
	WHERE t.id = p.id
$$;
COMMENT ON FUNCTION rt_private.participant_set_muted(rt.meeting_participants, text, boolean) IS 'mutes or unmutes somebody';

CREATE FUNCTION rt_private.participant_check_user(p rt.meeting_participants, action text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO STRICT m FROM rt.meetings AS t WHERE t.id = p.meeting_id;
	PERFORM rt_private.meeting_check_user(m, action);
	IF action = 'remove' AND p.role = 'host' THEN -- not by a co-host
		PERFORM rt_private.meeting_check_user(m, 'end');
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.participant_check_user(rt.meeting_participants, text)
	IS 'refuses who may not do something to a participant';

CREATE FUNCTION rt.kick_participant(participant bigint, reason text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants := rt_private.participant_lock(participant);
BEGIN
	PERFORM rt_private.participant_check_user(p, 'remove');
	PERFORM rt_private.participant_remove(p, reason);
END
$$;
COMMENT ON FUNCTION rt.kick_participant(bigint, text) IS 'puts a participant out of its meeting; that user may not come back unless invited again';

CREATE FUNCTION rt.mute_participant(participant bigint, mute boolean DEFAULT true, kind text DEFAULT 'audio') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants := rt_private.participant_lock(participant);
BEGIN
	IF mute IS NULL OR kind IS NULL OR kind NOT IN ('audio', 'video') THEN
		RAISE EXCEPTION 'kind must be audio or video, mute true or false' USING ERRCODE = 'RT400';
	END IF;
	PERFORM rt_private.participant_check_user(p, 'mute');
	PERFORM rt_private.participant_set_muted(p, kind, mute);
END
$$;
COMMENT ON FUNCTION rt.mute_participant(bigint, boolean, text) IS 'mutes a participant''s audio or video in the forwarder, or lifts that';
-- Media: placing meetings on workers, and closing what is on them.
--
-- A producer's row speaks for itself (triggers): all hear of it when it comes, pauses, goes, but for its owner where it was
-- the owner who asked.  Commands to workers are rows of media_requests without a gateway.
--
-- Locking: meetings, in the order of their ids, before requests, in the order of theirs, before what is on a router.

-- ---- telling workers ------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.media_wake(worker text, request bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rt_private.emit('rt:media-request', json_build_object('media', media_wake.worker),
		json_build_object('requestId', media_wake.request::text), false);
END
$$;
COMMENT ON FUNCTION rt_private.media_wake(text, bigint) IS 'tells a media worker that a request waits';

CREATE FUNCTION rt_private.media_request_json(r rt_private.media_requests) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN jsonb_build_object('requestId', r.id::text, 'op', r.op, 'reply', r.gateway IS NOT NULL,
		'meetingId', r.meeting_id::text, 'participantId', r.participant_id::text) || r.body;
END
$$;
COMMENT ON FUNCTION rt_private.media_request_json(rt_private.media_requests) IS 'a request, as the worker gets it';

-- What fits into the notification goes with it, which saves the worker a call: requests of clients hold no secret.
CREATE FUNCTION rt_private.media_send(r rt_private.media_requests) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
	r.fetched := octet_length(r.body::text) <= 6000;
	INSERT INTO rt_private.media_requests (worker, op, meeting_id, participant_id, object_id, body, gateway, socket_id, tag, fetched)
	VALUES (r.worker, r.op, r.meeting_id, r.participant_id, r.object_id, r.body, r.gateway, r.socket_id, r.tag, r.fetched)
	RETURNING id INTO r.id;
	IF r.fetched THEN
		PERFORM rt_private.emit('rt:media-request', json_build_object('media', r.worker),
			json_build_object('requestId', r.id::text, 'request', rt_private.media_request_json(r)), false);
	ELSE
		PERFORM rt_private.media_wake(r.worker, r.id);
	END IF;
	RETURN r.id;
END
$$;
COMMENT ON FUNCTION rt_private.media_send(rt_private.media_requests) IS 'stores a client''s request and sends it to its worker';

CREATE FUNCTION rt_private.media_command(worker text, op text, meeting_id bigint, body jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	request bigint;
BEGIN
	INSERT INTO rt_private.media_requests (worker, op, meeting_id, body)
	SELECT w.id, media_command.op, media_command.meeting_id, media_command.body
	FROM rt_private.media_workers AS w
	WHERE w.id = media_command.worker
	RETURNING id INTO request;
	IF FOUND THEN
		PERFORM rt_private.media_wake(media_command.worker, request);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_command(text, text, bigint, jsonb) IS 'has a media worker, if it lives, do something that nobody waits for';

-- ---- placement ----------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.media_alive(w rt_private.media_workers) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
	SELECT w.heartbeat_at > pg_catalog.clock_timestamp() - interval '3 seconds'
$$;
COMMENT ON FUNCTION rt_private.media_alive(rt_private.media_workers) IS 'has been heard of within 3 s';

CREATE FUNCTION rt_private.media_totals() RETURNS json
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(json_build_object('slot', w.slot, 'totals', w.totals) ORDER BY w.slot), '[]')
	FROM rt_private.media_workers AS w
	WHERE rt_private.media_alive(w)
$$;
COMMENT ON FUNCTION rt_private.media_totals() IS 'what the living media workers did since they started';

-- Meetings placed a moment ago are not in the reported load yet: each counts for four streams at least.
CREATE FUNCTION rt_private.media_pick_worker() RETURNS text
LANGUAGE sql VOLATILE AS $$
	SELECT w.id
	FROM rt_private.media_workers AS w
	CROSS JOIN LATERAL (
		SELECT count(*) AS n FROM rt_private.media_routers AS r WHERE r.worker = w.id) AS placed
	WHERE rt_private.media_alive(w) AND w.load < w.capacity
	ORDER BY greatest(w.load, 4 * placed.n)::float8 / w.capacity, w.slot
	LIMIT 1
$$;
COMMENT ON FUNCTION rt_private.media_pick_worker() IS 'the least loaded live worker, or null';

-- The meeting is locked.  Null where there is no worker.
CREATE FUNCTION rt_private.media_place(meeting_id bigint) RETURNS rt_private.media_routers
LANGUAGE plpgsql AS $$
DECLARE
	r rt_private.media_routers;
	worker text;
BEGIN
	SELECT t.* INTO r FROM rt_private.media_routers AS t WHERE t.meeting_id = media_place.meeting_id;
	IF FOUND THEN
		RETURN r;
	END IF;
	worker := rt_private.media_pick_worker();
	IF worker IS NULL THEN
		RETURN NULL;
	END IF;
	INSERT INTO rt_private.media_routers (id, meeting_id, worker)
	VALUES (gen_random_uuid()::text, media_place.meeting_id, worker)
	RETURNING * INTO r;
	RETURN r;
END
$$;
COMMENT ON FUNCTION rt_private.media_place(bigint) IS 'the router of a meeting, placed if it has none';

-- ---- producers speak -----------------------------------------------------------------------------------

CREATE FUNCTION rt_private.producer_json(d rt_private.media_producers) RETURNS json
LANGUAGE sql STABLE AS $$
	SELECT pg_catalog.json_build_object('meetingId', d.meeting_id::text, 'participantId', d.participant_id::text,
		'producerId', d.id, 'kind', d.kind, 'source', d.source, 'paused', d.paused OR d.muted, 'muted', d.muted)
$$;
COMMENT ON FUNCTION rt_private.producer_json(rt_private.media_producers) IS 'the payload of new-producer and of its changes';

CREATE FUNCTION rt_private.producers_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	d rt_private.media_producers := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
	PERFORM rt_private.meeting_emit(
		CASE
			WHEN TG_OP = 'INSERT' THEN 'new-producer'
			WHEN TG_OP = 'DELETE' THEN 'producer-closed'
			WHEN NEW.paused OR NEW.muted THEN 'producer-paused'
			ELSE 'producer-resumed'
		END,
		d.meeting_id, rt_private.producer_json(d), except_socket => (
			SELECT p.socket_id FROM rt.meeting_participants AS p
			WHERE p.id = d.participant_id AND p.socket_id = rt_private.meeting_socket()));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.producers_changed() IS 'emits new-producer, producer-paused, producer-resumed, producer-closed';

CREATE TRIGGER producers_changed AFTER INSERT OR DELETE ON rt_private.media_producers
	FOR EACH ROW EXECUTE FUNCTION rt_private.producers_changed();
CREATE TRIGGER producers_paused AFTER UPDATE ON rt_private.media_producers
	FOR EACH ROW WHEN ((OLD.paused OR OLD.muted) <> (NEW.paused OR NEW.muted))
	EXECUTE FUNCTION rt_private.producers_changed();

-- ---- closing ----------------------------------------------------------------------------------------------

-- A request that is being answered at this moment is waited for: then its object is there, and is closed too.
CREATE FUNCTION rt_private.media_participant_gone(participant_id bigint) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
	t record;
BEGIN
	DELETE FROM rt_private.media_requests AS r WHERE r.participant_id = media_participant_gone.participant_id;
	FOR t IN
		WITH gone AS (
			DELETE FROM rt_private.media_transports AS d
			WHERE d.participant_id = media_participant_gone.participant_id
			RETURNING d.id, d.worker, d.meeting_id)
		SELECT gone.worker, gone.meeting_id, jsonb_agg(gone.id) AS ids FROM gone GROUP BY gone.worker, gone.meeting_id
	LOOP
		PERFORM rt_private.media_command(t.worker, 'close-transports', t.meeting_id,
			jsonb_build_object('transportIds', t.ids));
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_participant_gone(bigint) IS 'frees the media of a participant who has left';

CREATE FUNCTION rt_private.media_close_producers(participant_id bigint) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
	d record;
BEGIN
	FOR d IN
		WITH gone AS (
			DELETE FROM rt_private.media_producers AS p
			WHERE p.participant_id = media_close_producers.participant_id
			RETURNING p.id, p.worker, p.meeting_id)
		SELECT gone.worker, gone.meeting_id, jsonb_agg(gone.id) AS ids FROM gone GROUP BY gone.worker, gone.meeting_id
	LOOP
		PERFORM rt_private.media_command(d.worker, 'close-producers', d.meeting_id,
			jsonb_build_object('producerIds', d.ids));
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_close_producers(bigint) IS 'stops all that a participant sends';

CREATE FUNCTION rt_private.media_mute(participant_id bigint, kind text, muted boolean) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
	d rt_private.media_producers;
BEGIN
	FOR d IN
		UPDATE rt_private.media_producers AS p
		SET muted = media_mute.muted
		WHERE p.participant_id = media_mute.participant_id AND p.kind = media_mute.kind AND p.muted <> media_mute.muted
		RETURNING p.*
	LOOP
		PERFORM rt_private.media_command(d.worker, 'mute-producer', d.meeting_id,
			jsonb_build_object('producerId', d.id, 'muted', d.muted));
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_mute(bigint, text, boolean) IS 'has the forwarder stop, or let through, what a participant sends';

CREATE FUNCTION rt_private.media_close_meeting(meeting_id bigint) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
	r rt_private.media_routers;
BEGIN
	DELETE FROM rt_private.media_routers AS t WHERE t.meeting_id = media_close_meeting.meeting_id RETURNING t.* INTO r;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	DELETE FROM rt_private.media_requests AS q WHERE q.meeting_id = media_close_meeting.meeting_id AND q.participant_id IS NOT NULL;
	DELETE FROM rt_private.media_transports AS t WHERE t.meeting_id = media_close_meeting.meeting_id;
	PERFORM rt_private.media_command(r.worker, 'close-router', r.meeting_id, jsonb_build_object('routerId', r.id));
END
$$;
COMMENT ON FUNCTION rt_private.media_close_meeting(bigint) IS 'closes a meeting''s router and all that is on it';

CREATE FUNCTION rt_private.media_close_if_empty(meeting_id bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (
		SELECT FROM rt.meeting_participants AS p
		WHERE p.meeting_id = media_close_if_empty.meeting_id AND p.left_at IS NULL)
	THEN
		PERFORM rt_private.media_close_meeting(media_close_if_empty.meeting_id);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_close_if_empty(bigint) IS 'frees the router of a meeting that nobody is in';

CREATE FUNCTION rt_private.media_emit_transport_closed(t rt_private.media_transports, reason text, router_id text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rt_private.meeting_emit('transport-closed', t.meeting_id,
		json_build_object('meetingId', t.meeting_id::text, 'transportId', t.id, 'direction', t.direction,
			'reason', media_emit_transport_closed.reason, 'routerId', media_emit_transport_closed.router_id),
		participants => ARRAY[t.participant_id]);
END
$$;
COMMENT ON FUNCTION rt_private.media_emit_transport_closed(rt_private.media_transports, text, text)
	IS 'tells a transport''s owner that it is closed, and which router the next one will be on';

-- ---- answers to gateways ------------------------------------------------------------------------------------

-- Short answers travel in the notification; long ones, and those with an ICE password, wait in the row, since any role of
-- the database may listen.
CREATE FUNCTION rt_private.media_reply(r rt_private.media_requests, outcome json, secret boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	stored boolean := secret OR octet_length(outcome::text) > 6000;
	head jsonb := jsonb_build_object('requestId', r.id::text, 'to', r.gateway, 'sid', r.socket_id, 'tag', r.tag);
	reply json := (rtrim(head::text, '}') || ',' || ltrim(outcome::text, '{'))::json;
BEGIN
	IF stored THEN
		UPDATE rt_private.media_requests AS q SET answer = reply WHERE q.id = r.id;
		reply := (head || '{"stored":true}')::json;
	ELSE
		DELETE FROM rt_private.media_requests AS q WHERE q.id = r.id;
	END IF;
	PERFORM rt_private.emit('rt:media-answer', json_build_object('gateway', true, 'to', r.gateway), reply, false);
END
$$;
COMMENT ON FUNCTION rt_private.media_reply(rt_private.media_requests, json, boolean) IS 'sends the answer to a request to its gateway';

CREATE FUNCTION rt_private.media_reply_error(r rt_private.media_requests, code text, message text) RETURNS void
LANGUAGE sql AS $$
	SELECT rt_private.media_reply(r, json_build_object('error', json_build_object('code', media_reply_error.code,
		'message', media_reply_error.message)), false)
$$;
COMMENT ON FUNCTION rt_private.media_reply_error(rt_private.media_requests, text, text) IS 'sends an error to the gateway of a request';

-- ---- a worker is lost -----------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.media_replace_router(r rt_private.media_routers, reason text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	t rt_private.media_transports;
	next_router rt_private.media_routers;
BEGIN
	PERFORM FROM rt.meetings AS m WHERE m.id = r.meeting_id FOR NO KEY UPDATE;
	DELETE FROM rt_private.media_routers AS o WHERE o.id = r.id;
	IF NOT FOUND THEN
		RETURN; -- the meeting ended while we waited for it
	END IF;
	next_router := rt_private.media_place(r.meeting_id);
	FOR t IN DELETE FROM rt_private.media_transports AS o WHERE o.router_id = r.id RETURNING o.* LOOP
		PERFORM rt_private.media_emit_transport_closed(t, media_replace_router.reason, next_router.id);
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_replace_router(rt_private.media_routers, text)
	IS 'places a meeting on another worker, and tells the owners of its transports';

CREATE FUNCTION rt_private.media_abandon(worker text, reason text) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
	q rt_private.media_requests;
	r rt_private.media_routers;
BEGIN
	PERFORM FROM rt.meetings AS m
	WHERE m.id IN (SELECT t.meeting_id FROM rt_private.media_routers AS t WHERE t.worker = media_abandon.worker)
	ORDER BY m.id FOR NO KEY UPDATE;
	FOR q IN
		SELECT t.* FROM rt_private.media_requests AS t
		WHERE t.worker = media_abandon.worker AND t.gateway IS NOT NULL AND t.answer IS NULL
		ORDER BY t.id FOR UPDATE
	LOOP
		PERFORM rt_private.media_reply_error(q, 'unavailable', 'the media worker is gone');
	END LOOP;
	DELETE FROM rt_private.media_requests AS t
	WHERE t.worker = media_abandon.worker AND t.answer IS NULL;
	-- What was answered, and not fetched yet, is void too.
	UPDATE rt_private.media_requests AS t
	SET answer = (t.answer::jsonb - ARRAY['ack', 'event'] || jsonb_build_object('error',
		jsonb_build_object('code', 'unavailable', 'message', 'the media worker is gone')))::json
	WHERE t.worker = media_abandon.worker;
	FOR r IN
		SELECT t.* FROM rt_private.media_routers AS t WHERE t.worker = media_abandon.worker ORDER BY t.meeting_id
	LOOP
		PERFORM rt_private.media_replace_router(r, media_abandon.reason);
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_abandon(text, text)
	IS 'places the meetings of a worker that is gone anew, and answers those who wait for it';

CREATE FUNCTION rt_private.media_worker_lost(worker text, reason text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM rt_private.media_workers AS w WHERE w.id = media_worker_lost.worker;
	IF FOUND THEN
		PERFORM rt_private.media_abandon(media_worker_lost.worker, media_worker_lost.reason);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_worker_lost(text, text) IS 'gives up a media worker';
-- Media: what a client may ask of a media worker (rt_private.media_ask_*), and what becomes of the answer
-- (rt_private.media_settle_*).
--
-- Locking: a producer is part of what is seen of a meeting, so what makes, pauses or closes one locks the meeting
-- (rt_private.media_is_seen), before the requests' rows, which are locked before what is on a router.  The rest concerns its owner alone; there the request's
-- row is lock enough: who leaves deletes it (rt_private.media_participant_gone).

CREATE FUNCTION rt_private.media_is_seen(op text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
	SELECT op IN ('produce', 'pause-producer', 'resume-producer', 'close-producer')
$$;
COMMENT ON FUNCTION rt_private.media_is_seen(text) IS 'its answer changes what others see of a meeting';

CREATE FUNCTION rt_private.media_event_of(op text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE op
		WHEN 'create-transport' THEN 'transport-created'
		WHEN 'connect-transport' THEN 'transport-connected'
		WHEN 'restart-ice' THEN 'ice-restarted'
		WHEN 'produce' THEN 'produced'
		WHEN 'consume' THEN 'consumed'
		WHEN 'resume-consumer' THEN 'consumer-resumed'
		WHEN 'pause-consumer' THEN 'consumer-paused'
		WHEN 'close-consumer' THEN 'consumer-closed'
	END
$$;
COMMENT ON FUNCTION rt_private.media_event_of(text) IS 'the event that the caller gets besides the acknowledgement, or null';

-- ---- whose it is ------------------------------------------------------------------------------------------

-- What is not there and what is somebody else's are the same to the client, so that ids cannot be probed.
CREATE FUNCTION rt_private.media_own_transport(actor text, req jsonb) RETURNS rt_private.media_transports
LANGUAGE plpgsql STABLE AS $$
DECLARE
	t rt_private.media_transports;
BEGIN
	SELECT o.* INTO t
	FROM rt_private.media_transports AS o
	JOIN rt.meeting_participants AS p ON p.id = o.participant_id
	WHERE o.id = rt_private.req_text(req, 'transportId')
		AND p.user_id = media_own_transport.actor AND p.socket_id = req ->> 'sid' AND p.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Transport not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN t;
END
$$;
COMMENT ON FUNCTION rt_private.media_own_transport(text, jsonb) IS 'the caller''s transport that a request names';

CREATE FUNCTION rt_private.media_own_producer(actor text, req jsonb) RETURNS rt_private.media_producers
LANGUAGE plpgsql STABLE AS $$
DECLARE
	d rt_private.media_producers;
BEGIN
	SELECT o.* INTO d
	FROM rt_private.media_producers AS o
	JOIN rt.meeting_participants AS p ON p.id = o.participant_id
	WHERE o.id = rt_private.req_text(req, 'producerId')
		AND p.user_id = media_own_producer.actor AND p.socket_id = req ->> 'sid' AND p.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Producer not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN d;
END
$$;
COMMENT ON FUNCTION rt_private.media_own_producer(text, jsonb) IS 'the caller''s producer that a request names';

CREATE FUNCTION rt_private.media_own_consumer(actor text, req jsonb) RETURNS rt_private.media_consumers
LANGUAGE plpgsql STABLE AS $$
DECLARE
	c rt_private.media_consumers;
BEGIN
	SELECT o.* INTO c
	FROM rt_private.media_consumers AS o
	JOIN rt.meeting_participants AS p ON p.id = o.participant_id
	WHERE o.id = rt_private.req_text(req, 'consumerId')
		AND p.user_id = media_own_consumer.actor AND p.socket_id = req ->> 'sid' AND p.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Consumer not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN c;
END
$$;
COMMENT ON FUNCTION rt_private.media_own_consumer(text, jsonb) IS 'the caller''s consumer that a request names';

-- ---- asking -------------------------------------------------------------------------------------------------
--
-- Each returns the row that is to be stored, without id, gateway, socket and tag.

CREATE FUNCTION rt_private.media_row(op text, worker text, meeting_id bigint, participant_id bigint, object_id text,
	body jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql STABLE AS $$
DECLARE
	r rt_private.media_requests;
BEGIN
	r.op := media_row.op;
	r.worker := media_row.worker;
	r.meeting_id := media_row.meeting_id;
	r.participant_id := media_row.participant_id;
	r.object_id := media_row.object_id;
	r.body := media_row.body;
	RETURN r;
END
$$;
COMMENT ON FUNCTION rt_private.media_row(text, text, bigint, bigint, text, jsonb) IS 'a request that is not stored yet';

CREATE FUNCTION rt_private.media_unavailable() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'no media worker is available' USING ERRCODE = 'RT503';
END
$$;
COMMENT ON FUNCTION rt_private.media_unavailable() IS 'raises the error for that no worker can be asked';

CREATE FUNCTION rt_private.media_check_room(held bigint, allowed integer, what text) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF held >= allowed THEN
		RAISE EXCEPTION 'a participant can have % % at most', allowed, what USING ERRCODE = 'RT429';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_check_room(bigint, integer, text) IS 'refuses more than a participant may have of something';

CREATE FUNCTION rt_private.media_ask_create_transport(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql AS $$
DECLARE
	p rt.meeting_participants := rt_private.meeting_member(actor, req, 'consume');
	direction text := rt_private.req_choice(req, 'direction', ARRAY['send', 'recv']);
	router rt_private.media_routers;
	transport text := gen_random_uuid()::text;
BEGIN
	PERFORM rt_private.media_check_room(
		(SELECT count(*) FROM rt_private.media_transports AS t WHERE t.participant_id = p.id), 8, 'transports');
	router := rt_private.media_place(p.meeting_id);
	IF router.id IS NULL THEN
		PERFORM rt_private.media_unavailable();
	END IF;
	RETURN rt_private.media_row('create-transport', router.worker, p.meeting_id, p.id, transport,
		jsonb_build_object('routerId', router.id, 'transportId', transport, 'direction', direction));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_create_transport(text, jsonb) IS 'create-transport';

CREATE FUNCTION rt_private.media_ask_connect_transport(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql AS $$
DECLARE
	t rt_private.media_transports := rt_private.media_own_transport(actor, req);
BEGIN
	IF t.connected THEN
		RAISE EXCEPTION 'the transport is connected already' USING ERRCODE = 'RT409';
	END IF;
	RETURN rt_private.media_row('connect-transport', t.worker, t.meeting_id, t.participant_id, t.id,
		jsonb_build_object('routerId', t.router_id, 'transportId', t.id,
			'dtlsParameters', rt_private.req_object(req, 'dtlsParameters')));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_connect_transport(text, jsonb) IS 'connect-transport';

CREATE FUNCTION rt_private.media_ask_restart_ice(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql AS $$
DECLARE
	t rt_private.media_transports := rt_private.media_own_transport(actor, req);
BEGIN
	RETURN rt_private.media_row('restart-ice', t.worker, t.meeting_id, t.participant_id, t.id,
		jsonb_build_object('routerId', t.router_id, 'transportId', t.id));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_restart_ice(text, jsonb) IS 'restart-ice';

CREATE FUNCTION rt_private.media_source(req jsonb, kind text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	source text := rt_private.req_choice(req, 'source', ARRAY['camera', 'microphone', 'screen', 'screen-audio'],
		CASE kind WHEN 'audio' THEN 'microphone' ELSE 'camera' END);
BEGIN
	IF (source IN ('microphone', 'screen-audio')) <> (kind = 'audio') THEN
		RAISE EXCEPTION 'source % is not of kind %', source, kind USING ERRCODE = 'RT400';
	END IF;
	RETURN source;
END
$$;
COMMENT ON FUNCTION rt_private.media_source(jsonb, text) IS 'where a new producer''s stream comes from';

CREATE FUNCTION rt_private.media_ask_produce(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql AS $$
DECLARE
	p rt.meeting_participants := rt_private.meeting_member(actor, req, 'produce');
	t rt_private.media_transports := rt_private.media_own_transport(actor, req);
	kind text := rt_private.req_choice(req, 'kind', ARRAY['audio', 'video']);
	producer text := gen_random_uuid()::text;
BEGIN
	IF t.participant_id <> p.id THEN
		RAISE EXCEPTION 'Transport not found' USING ERRCODE = 'RT404';
	ELSIF t.direction <> 'send' THEN
		RAISE EXCEPTION 'the transport is not for sending' USING ERRCODE = 'RT400';
	END IF;
	PERFORM rt_private.media_check_room(
		(SELECT count(*) FROM rt_private.media_producers AS d WHERE d.participant_id = p.id), 16, 'producers');
	RETURN rt_private.media_row('produce', t.worker, t.meeting_id, t.participant_id, producer,
		jsonb_build_object('routerId', t.router_id, 'transportId', t.id, 'producerId', producer, 'kind', kind,
			'source', rt_private.media_source(req, kind),
			'rtpParameters', rt_private.req_object(req, 'rtpParameters'),
			'paused', rt_private.req_bool(req, 'paused', false),
			'muted', CASE kind WHEN 'audio' THEN p.audio_muted ELSE p.video_muted END));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_produce(text, jsonb) IS 'produce';

-- The producer by its id, or the newest one of a participant and kind.
CREATE FUNCTION rt_private.media_find_producer(meeting_id bigint, req jsonb) RETURNS rt_private.media_producers
LANGUAGE plpgsql STABLE AS $$
DECLARE
	d rt_private.media_producers;
	by_owner boolean := NOT req ? 'producerId' AND req ? 'producerParticipantId';
BEGIN
	IF by_owner THEN
		SELECT o.* INTO d
		FROM rt_private.media_producers AS o
		WHERE o.participant_id = rt_private.req_id(req, 'producerParticipantId')
			AND o.meeting_id = media_find_producer.meeting_id
			AND o.kind = rt_private.req_choice(req, 'kind', ARRAY['audio', 'video'])
		ORDER BY o.created_at DESC LIMIT 1;
	ELSE
		SELECT o.* INTO d
		FROM rt_private.media_producers AS o
		WHERE o.id = rt_private.req_text(req, 'producerId') AND o.meeting_id = media_find_producer.meeting_id;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Producer not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN d;
END
$$;
COMMENT ON FUNCTION rt_private.media_find_producer(bigint, jsonb) IS 'the producer that consume names';

CREATE FUNCTION rt_private.media_ask_consume(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql AS $$
DECLARE
	p rt.meeting_participants := rt_private.meeting_member(actor, req, 'consume', false);
	t rt_private.media_transports := rt_private.media_own_transport(actor, req);
	d rt_private.media_producers;
	consumer text := gen_random_uuid()::text;
BEGIN
	IF t.participant_id <> p.id THEN
		RAISE EXCEPTION 'Transport not found' USING ERRCODE = 'RT404';
	ELSIF t.direction <> 'recv' THEN
		RAISE EXCEPTION 'the transport is not for receiving' USING ERRCODE = 'RT400';
	END IF;
	d := rt_private.media_find_producer(p.meeting_id, req);
	PERFORM rt_private.media_check_room(
		(SELECT count(*) FROM rt_private.media_consumers AS c WHERE c.transport_id = t.id), 2000, 'consumers');
	RETURN rt_private.media_row('consume', t.worker, t.meeting_id, t.participant_id, consumer,
		jsonb_build_object('routerId', t.router_id, 'transportId', t.id, 'consumerId', consumer, 'producerId', d.id,
			'rtpCapabilities', rt_private.req_object(req, 'rtpCapabilities')));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_consume(text, jsonb) IS 'consume';

CREATE FUNCTION rt_private.media_ask_producer(actor text, req jsonb, op text) RETURNS rt_private.media_requests
LANGUAGE plpgsql AS $$
DECLARE
	d rt_private.media_producers := rt_private.media_own_producer(actor, req);
BEGIN
	IF op = 'resume-producer' AND d.muted THEN
		RAISE EXCEPTION 'muted by a host' USING ERRCODE = 'RT403';
	END IF;
	RETURN rt_private.media_row(op, d.worker, d.meeting_id, d.participant_id, d.id, jsonb_build_object('producerId', d.id));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_producer(text, jsonb, text) IS 'pause-producer, resume-producer, close-producer';

CREATE FUNCTION rt_private.media_ask_consumer(actor text, req jsonb, op text) RETURNS rt_private.media_requests
LANGUAGE plpgsql AS $$
DECLARE
	c rt_private.media_consumers := rt_private.media_own_consumer(actor, req);
	body jsonb := jsonb_build_object('consumerId', c.id);
BEGIN
	IF op = 'set-preferred-layers' THEN
		body := body || jsonb_build_object('spatialLayer', rt_private.req_layer(req, 'spatialLayer'),
			'temporalLayer', CASE WHEN nullif(req -> 'temporalLayer', 'null') IS NOT NULL
				THEN rt_private.req_layer(req, 'temporalLayer') END);
	END IF;
	RETURN rt_private.media_row(op, c.worker, c.meeting_id, c.participant_id, c.id, body);
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_consumer(text, jsonb, text)
	IS 'resume-consumer, pause-consumer, close-consumer, set-preferred-layers, request-keyframe';

CREATE FUNCTION rt_private.req_layer(req jsonb, key text) RETURNS integer
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	value jsonb := req -> key;
BEGIN
	IF jsonb_typeof(value) IS DISTINCT FROM 'number' OR value::text !~ '^[0-9]$' THEN
		RAISE EXCEPTION '% must be a whole number from 0 to 9', key USING ERRCODE = 'RT400';
	END IF;
	RETURN value::integer;
END
$$;
COMMENT ON FUNCTION rt_private.req_layer(jsonb, text) IS 'a layer''s number in a request';

CREATE FUNCTION rt_private.media_ask_stats(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql AS $$
DECLARE
	t rt_private.media_transports;
	d rt_private.media_producers;
	c rt_private.media_consumers;
BEGIN
	IF req ? 'producerId' THEN
		d := rt_private.media_own_producer(actor, req);
		RETURN rt_private.media_row('get-stats', d.worker, d.meeting_id, d.participant_id, d.id,
			jsonb_build_object('producerId', d.id));
	ELSIF req ? 'consumerId' THEN
		c := rt_private.media_own_consumer(actor, req);
		RETURN rt_private.media_row('get-stats', c.worker, c.meeting_id, c.participant_id, c.id,
			jsonb_build_object('consumerId', c.id));
	END IF;
	t := rt_private.media_own_transport(actor, req);
	RETURN rt_private.media_row('get-stats', t.worker, t.meeting_id, t.participant_id, t.id,
		jsonb_build_object('transportId', t.id));
END
$$;
COMMENT ON FUNCTION rt_private.media_ask_stats(text, jsonb) IS 'get-stats';

CREATE FUNCTION rt_private.media_ask(actor text, req jsonb) RETURNS rt_private.media_requests
LANGUAGE plpgsql AS $$
DECLARE
	op text := req ->> 'op';
BEGIN
	CASE op
		WHEN 'create-transport' THEN RETURN rt_private.media_ask_create_transport(actor, req);
		WHEN 'connect-transport' THEN RETURN rt_private.media_ask_connect_transport(actor, req);
		WHEN 'restart-ice' THEN RETURN rt_private.media_ask_restart_ice(actor, req);
		WHEN 'produce' THEN RETURN rt_private.media_ask_produce(actor, req);
		WHEN 'consume' THEN RETURN rt_private.media_ask_consume(actor, req);
		WHEN 'pause-producer', 'resume-producer', 'close-producer' THEN
			RETURN rt_private.media_ask_producer(actor, req, op);
		WHEN 'pause-consumer', 'resume-consumer', 'close-consumer', 'set-preferred-layers', 'request-keyframe' THEN
			RETURN rt_private.media_ask_consumer(actor, req, op);
		WHEN 'get-stats' THEN RETURN rt_private.media_ask_stats(actor, req);
		ELSE RAISE EXCEPTION 'unknown media request' USING ERRCODE = 'RT400';
	END CASE;
END
$$;
COMMENT ON FUNCTION rt_private.media_ask(text, jsonb) IS 'checks a client''s media request and makes it one for the worker';

-- ---- settling -----------------------------------------------------------------------------------------------
--
-- Each stores what the worker has made and returns the acknowledgement; null: what it was made on is gone meanwhile.

-- ice-char of RFC 8839, section 5.4.
CREATE FUNCTION rt_private.ice_random(bytes integer) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN translate(rt_private.random_text(bytes), '-_', '+/');
END
$$;
COMMENT ON FUNCTION rt_private.ice_random(integer) IS 'that many random bytes, as an ICE user name fragment or password';

-- A participant that is back on another socket and makes a transport has lost the ones it had: its page was loaded anew.
CREATE FUNCTION rt_private.media_supersede(r rt_private.media_requests) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	old rt_private.media_transports;
BEGIN
	FOR old IN
		DELETE FROM rt_private.media_transports AS t
		WHERE t.participant_id = r.participant_id AND t.direction = r.body ->> 'direction' AND t.socket_id <> r.socket_id
		RETURNING t.*
	LOOP
		PERFORM rt_private.media_command(old.worker, 'close-transports', old.meeting_id,
			jsonb_build_object('transportIds', jsonb_build_array(old.id)));
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt_private.media_supersede(rt_private.media_requests) IS 'closes the transports that a new one takes the place of';

-- Nobody waits for the worker here: what the client needs to know is known, and connect-transport comes to the worker
-- behind this.  The password goes to the worker when it fetches the command, and to the client on its gateway's connection.
CREATE FUNCTION rt_private.media_make_transport(r rt_private.media_requests, w rt_private.media_workers) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
	ice jsonb := jsonb_build_object('usernameFragment', rt_private.ice_random(12), 'password', rt_private.ice_random(24),
		'iceLite', true);
BEGIN
	PERFORM rt_private.media_supersede(r);
	INSERT INTO rt_private.media_transports (id, router_id, worker, meeting_id, participant_id, socket_id, direction)
	VALUES (r.object_id, r.body ->> 'routerId', r.worker, r.meeting_id, r.participant_id, r.socket_id, r.body ->> 'direction');
	INSERT INTO rt_private.media_requests (worker, op, meeting_id, participant_id, object_id, body)
	VALUES (r.worker, r.op, r.meeting_id, r.participant_id, r.object_id, r.body || jsonb_build_object('iceParameters', ice))
	RETURNING id INTO r.id;
	PERFORM rt_private.media_wake(r.worker, r.id);
	RETURN json_build_object('transportId', r.object_id, 'id', r.object_id, 'iceParameters', ice,
		'iceCandidates', w.ice_candidates,
		'dtlsParameters', json_build_object('role', 'auto', 'fingerprints', json_build_array(w.fingerprint)),
		'sctpParameters', NULL);
END
$$;
COMMENT ON FUNCTION rt_private.media_make_transport(rt_private.media_requests, rt_private.media_workers)
	IS 'makes a transport, has the worker make it, and returns the client''s acknowledgement';

CREATE FUNCTION rt_private.media_settle_produce(r rt_private.media_requests, result json) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
	p rt.meeting_participants;
	muted boolean;
BEGIN
	PERFORM FROM rt_private.media_transports AS t WHERE t.id = r.body ->> 'transportId' FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	SELECT t.* INTO p FROM rt.meeting_participants AS t WHERE t.id = r.participant_id;
	IF NOT 'produce' = ANY (rt_private.meeting_permissions(p.role)) THEN
		RETURN NULL;
	END IF;
	muted := CASE r.body ->> 'kind' WHEN 'audio' THEN p.audio_muted ELSE p.video_muted END;
	INSERT INTO rt_private.media_producers (id, transport_id, worker, meeting_id, participant_id, kind, source, type, paused, muted)
	VALUES (r.object_id, r.body ->> 'transportId', r.worker, r.meeting_id, r.participant_id, r.body ->> 'kind',
		r.body ->> 'source', coalesce(result ->> 'type', 'simple'), (r.body ->> 'paused')::boolean, muted);
	IF muted <> (r.body ->> 'muted')::boolean THEN
		PERFORM rt_private.media_command(r.worker, 'mute-producer', r.meeting_id,
			jsonb_build_object('producerId', r.object_id, 'muted', muted));
	END IF;
	RETURN json_build_object('producerId', r.object_id, 'id', r.object_id, 'kind', r.body ->> 'kind');
END
$$;
COMMENT ON FUNCTION rt_private.media_settle_produce(rt_private.media_requests, json) IS 'a producer was made';

CREATE FUNCTION rt_private.media_settle_consume(r rt_private.media_requests, result json) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
	d rt_private.media_producers;
BEGIN
	PERFORM FROM rt_private.media_transports AS t WHERE t.id = r.body ->> 'transportId' FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	SELECT o.* INTO d FROM rt_private.media_producers AS o WHERE o.id = r.body ->> 'producerId' FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	INSERT INTO rt_private.media_consumers (id, transport_id, producer_id, worker, meeting_id, participant_id, kind)
	VALUES (r.object_id, r.body ->> 'transportId', d.id, r.worker, r.meeting_id, r.participant_id, d.kind);
	RETURN json_build_object('consumerId', r.object_id, 'id', r.object_id, 'producerId', d.id, 'kind', d.kind,
		'rtpParameters', result -> 'rtpParameters', 'type', coalesce(result ->> 'type', d.type), 'paused', true,
		'producerPaused', d.paused OR d.muted, 'producerParticipantId', d.participant_id::text, 'source', d.source);
END
$$;
COMMENT ON FUNCTION rt_private.media_settle_consume(rt_private.media_requests, json) IS 'a consumer was made';

-- Two answers may come on two connections of the worker, the later one first: it is the later request that counts.
CREATE FUNCTION rt_private.media_settle_producer(r rt_private.media_requests) RETURNS json
LANGUAGE plpgsql AS $$
BEGIN
	IF r.op = 'close-producer' THEN
		DELETE FROM rt_private.media_producers AS d WHERE d.id = r.object_id;
	ELSE
		UPDATE rt_private.media_producers AS d
		SET paused = (r.op = 'pause-producer'), paused_by = r.id
		WHERE d.id = r.object_id AND d.paused_by < r.id;
	END IF;
	RETURN json_build_object('producerId', r.object_id);
END
$$;
COMMENT ON FUNCTION rt_private.media_settle_producer(rt_private.media_requests) IS 'a producer was paused, resumed or closed';

CREATE FUNCTION rt_private.media_settle_consumer(r rt_private.media_requests) RETURNS json
LANGUAGE plpgsql AS $$
BEGIN
	IF r.op = 'close-consumer' THEN
		DELETE FROM rt_private.media_consumers AS c WHERE c.id = r.object_id;
	ELSIF r.op IN ('pause-consumer', 'resume-consumer') THEN
		UPDATE rt_private.media_consumers AS c SET paused = (r.op = 'pause-consumer') WHERE c.id = r.object_id;
	END IF;
	RETURN json_build_object('consumerId', r.object_id);
END
$$;
COMMENT ON FUNCTION rt_private.media_settle_consumer(rt_private.media_requests) IS 'a consumer was paused, resumed, closed or set';

CREATE FUNCTION rt_private.media_settle(r rt_private.media_requests, result json) RETURNS json
LANGUAGE plpgsql AS $$
BEGIN
	CASE r.op
		WHEN 'produce' THEN RETURN rt_private.media_settle_produce(r, result);
		WHEN 'consume' THEN RETURN rt_private.media_settle_consume(r, result);
		WHEN 'connect-transport' THEN
			UPDATE rt_private.media_transports AS t SET connected = true WHERE t.id = r.object_id;
			RETURN json_build_object('transportId', r.object_id);
		WHEN 'restart-ice' THEN
			RETURN json_build_object('transportId', r.object_id, 'iceParameters', result -> 'iceParameters');
		WHEN 'get-stats' THEN
			RETURN json_build_object('stats', coalesce(result -> 'stats', '[]'));
		WHEN 'pause-producer', 'resume-producer', 'close-producer' THEN RETURN rt_private.media_settle_producer(r);
		ELSE RETURN rt_private.media_settle_consumer(r);
	END CASE;
END
$$;
COMMENT ON FUNCTION rt_private.media_settle(rt_private.media_requests, json) IS 'stores what a worker did and returns the client''s acknowledgement';
-- 60_events.sql: events on their way to the clients: emitting, the log, what gateways read from it.

CREATE FUNCTION rt_private.emit(event text, route json, payload json, logged boolean DEFAULT true,
                                room_id bigint DEFAULT NULL, seq bigint DEFAULT NULL) RETURNS void
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'rt_emit';
COMMENT ON FUNCTION rt_private.emit(text, json, json, boolean, bigint, bigint) IS
    'leaves an event, which goes to those whom route names when, and only if, the transaction commits';

CREATE FUNCTION rt_private.change_payload(message rt.messages) RETURNS json
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN message.deleted_at IS NULL THEN
        json_build_object('type', 'message-edited', 'roomId', message.room_id::text,
            'data', json_build_object('messageId', message.room_id || '-' || message.seq,
                'roomId', message.room_id::text, 'newContent', message.content, 'editedBy', message.sender_id,
                'timestamp', t.iso), 'timestamp', t.iso)
    ELSE
        json_build_object('type', 'message-deleted', 'roomId', message.room_id::text,
            'data', json_build_object('messageId', message.room_id || '-' || message.seq,
                'roomId', message.room_id::text, 'deletedBy', message.sender_id,
                'timestamp', t.iso), 'timestamp', t.iso)
    END
    FROM (SELECT to_char(coalesce(message.deleted_at, message.edited_at) AT TIME ZONE 'UTC',
                         'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) AS t (iso)
$$;
COMMENT ON FUNCTION rt_private.change_payload(rt.messages) IS
    'payload of the event for a message that was edited or deleted, where the one that its writer left was lost';

-- The room of what was purged is to be used again soon: with a fifth of it dead, as by default, the log were that much larger.
CREATE TABLE rt.events (
    pos     bigint PRIMARY KEY,
    at      timestamptz NOT NULL,
    event   text NOT NULL,
    route   text,
    room_id bigint,
    seq     bigint,
    payload text
) WITH (autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE rt.events IS
    'log of the events of the last rt.recovery_window, written by the relay in the order in which clients get them';
COMMENT ON COLUMN rt.events.pos IS 'position: the offset of Socket.IO''s connection state recovery';
COMMENT ON COLUMN rt.events.at IS 'when the transaction committed';
COMMENT ON COLUMN rt.events.event IS 'name of the event';
COMMENT ON COLUMN rt.events.route IS 'to whom it goes, a JSON object; null: to those who joined the room';
COMMENT ON COLUMN rt.events.room_id IS 'room that it is about, if any';
COMMENT ON COLUMN rt.events.seq IS 'message that it is about, if any';
COMMENT ON COLUMN rt.events.payload IS 'what clients get, a JSON object; null: the message (room_id, seq) as it is now';

-- For the relay's rescan: what of a room has been logged.
CREATE INDEX events_message ON rt.events (room_id, seq) WHERE event = 'new-chat-message';
CREATE INDEX events_change ON rt.events (room_id, seq)
    WHERE event IN ('chat-message-edited', 'chat-message-deleted');
CREATE INDEX messages_changed ON rt.messages (greatest(edited_at, deleted_at))
    WHERE edited_at IS NOT NULL OR deleted_at IS NOT NULL;
COMMENT ON INDEX rt.events_message IS 'the last message of a room that was logged';
COMMENT ON INDEX rt.events_change IS 'whether a change of a message was logged';
COMMENT ON INDEX rt.messages_changed IS 'messages that were edited or deleted lately';

CREATE TABLE rt_private.relay_state (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    last_pos   bigint NOT NULL DEFAULT 0,
    clean      boolean NOT NULL DEFAULT true,
    horizon    xid8 NOT NULL,
    horizon_at timestamptz NOT NULL
);
COMMENT ON TABLE rt_private.relay_state IS 'what the relay must know when it starts; one row';
COMMENT ON COLUMN rt_private.relay_state.one IS 'keeps it at one row';
COMMENT ON COLUMN rt_private.relay_state.last_pos IS 'a position that was given out, in case the log is empty';
COMMENT ON COLUMN rt_private.relay_state.clean IS 'the last relay ended in order';
COMMENT ON COLUMN rt_private.relay_state.horizon IS 'all that older transactions left has been logged';
COMMENT ON COLUMN rt_private.relay_state.horizon_at IS 'transactions from horizon on began after it';
INSERT INTO rt_private.relay_state (horizon, horizon_at)
VALUES (pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()), pg_catalog.clock_timestamp());

CREATE FUNCTION rt_private.event_text(pos bigint, event text, route text, room_id bigint, payload text) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_event_text';
COMMENT ON FUNCTION rt_private.event_text(bigint, text, text, bigint, text) IS
    'an event as it is notified on channel rt_events';

-- An event whose message has been removed for good keeps its position, so that positions stay gapless.
CREATE FUNCTION rt_private.event_text(e rt.events) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(
        rt_private.event_text(e.pos, e.event, e.route, e.room_id,
            coalesce(e.payload, (SELECT rt_private.message_payload(m)::text FROM rt.messages m
                                 WHERE m.room_id = e.room_id AND m.seq = e.seq))),
        rt_private.event_text(e.pos, 'rt:gone', '{"gateway":true}', NULL, '{}'))
$$;
COMMENT ON FUNCTION rt_private.event_text(rt.events) IS 'the text of a row of the log';

CREATE FUNCTION rt_api.events_since(actor text, req jsonb) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH page AS MATERIALIZED (
        SELECT e.pos, rt_private.event_text(e) AS line FROM rt.events e
        WHERE e.pos > (req->>'pos')::bigint
        ORDER BY e.pos
        LIMIT least(greatest(coalesce((req->>'limit')::integer, 500), 1), 1000)
    ), sized AS (
        SELECT page.pos, page.line, sum(octet_length(page.line)) OVER (ORDER BY page.pos) - octet_length(page.line) AS before
        FROM page
    )
    SELECT json_build_object(
        'events', coalesce((SELECT json_agg(sized.line ORDER BY sized.pos) FROM sized
                            WHERE sized.before < coalesce((req->>'bytes')::bigint, 1048576)), '[]'),
        'relay', (SELECT r.pid FROM rt_private.stat_relay() r),
        'first', (SELECT min(e.pos)::text FROM rt.events e),
        'last', (SELECT greatest(s.last_pos, (SELECT max(e.pos) FROM rt.events e))::text
                 FROM rt_private.relay_state s))
$$;
COMMENT ON FUNCTION rt_api.events_since(text, jsonb) IS
    'for programs: events after "pos", at most "limit" and about "bytes"; the log''s first and last position; the relay''s process';

CREATE FUNCTION rt_private.stat_relay(
    OUT pid integer, OUT last_pos bigint, OUT events bigint, OUT batches bigint, OUT largest_batch bigint,
    OUT lag interval, OUT largest_lag interval, OUT ring_bytes bigint, OUT ring_used bigint, OUT ring_high_water bigint,
    OUT published bigint, OUT lost bigint, OUT rescans bigint, OUT rescued bigint, OUT notify_failures bigint,
    OUT stats_reset timestamptz, OUT lag_sum interval, OUT lag_counts bigint[], OUT lag_bounds_us bigint[])
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rt_stat_relay';
COMMENT ON FUNCTION rt_private.stat_relay() IS 'figures of this database''s relay and ring';

CREATE FUNCTION rt_private.reset_relay_stats() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rt_reset_relay_stats';
COMMENT ON FUNCTION rt_private.reset_relay_stats() IS 'counts of rt.stat_relay begin anew';

CREATE VIEW rt.stat_relay AS
    SELECT s.pid, s.last_pos, s.events, s.batches, s.largest_batch, s.lag, s.lag_sum / nullif(t.measured, 0) AS mean_lag,
           s.largest_lag, s.ring_bytes, s.ring_used, s.ring_high_water, s.published, s.lost, s.rescans, s.rescued,
           s.notify_failures, s.stats_reset
    FROM rt_private.stat_relay() s
    CROSS JOIN LATERAL (SELECT sum(n)::float8 AS measured FROM unnest(s.lag_counts) AS n) AS t;
COMMENT ON VIEW rt.stat_relay IS 'how the relay of this database does';
COMMENT ON COLUMN rt.stat_relay.pid IS 'its process; null: it does not run';
COMMENT ON COLUMN rt.stat_relay.last_pos IS 'position of the last event in rt.events';
COMMENT ON COLUMN rt.stat_relay.events IS 'events that it has notified';
COMMENT ON COLUMN rt.stat_relay.batches IS 'transactions that it took for them';
COMMENT ON COLUMN rt.stat_relay.largest_batch IS 'most events in one transaction';
COMMENT ON COLUMN rt.stat_relay.lag IS 'age of the oldest event of the last batch when it was notified';
COMMENT ON COLUMN rt.stat_relay.mean_lag IS 'mean of that over all batches; null: there was none';
COMMENT ON COLUMN rt.stat_relay.largest_lag IS 'highest of that';
COMMENT ON COLUMN rt.stat_relay.ring_bytes IS 'size of the ring, rt.ring_size';
COMMENT ON COLUMN rt.stat_relay.ring_used IS 'bytes that wait in the ring';
COMMENT ON COLUMN rt.stat_relay.ring_high_water IS 'most bytes that have waited';
COMMENT ON COLUMN rt.stat_relay.published IS 'transactions that have left events in the ring';
COMMENT ON COLUMN rt.stat_relay.lost IS 'transactions that found the ring full; their messages were found in the tables';
COMMENT ON COLUMN rt.stat_relay.rescans IS 'searches of the tables for messages that had not been logged';
COMMENT ON COLUMN rt.stat_relay.rescued IS 'events that these have found';
COMMENT ON COLUMN rt.stat_relay.notify_failures IS 'batches that were logged without notifications, their queue being full';
COMMENT ON COLUMN rt.stat_relay.stats_reset IS 'since when all this is counted: rt.reset_stats() or the server''s start';

REVOKE ALL ON FUNCTION rt_private.emit(text, json, json, boolean, bigint, bigint),
    rt_private.change_payload(rt.messages),
    rt_private.event_text(bigint, text, text, bigint, text), rt_private.event_text(rt.events),
    rt_private.stat_relay(), rt_private.reset_relay_stats(), rt_api.events_since(text, jsonb) FROM PUBLIC;
REVOKE ALL ON rt.events, rt_private.relay_state, rt.stat_relay FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rt_api.events_since(text, jsonb) TO rt_gateway;
GRANT EXECUTE ON FUNCTION rt_private.stat_relay() TO pg_monitor;
GRANT SELECT ON rt.stat_relay TO pg_monitor;
-- The API of the gateways, first part: connections, sessions, logging in.
--
-- Every function is rt_api.<name>(actor text, req jsonb) RETURNS json.  Event functions return the bare result of the
-- acknowledgement; REST functions {"status": n, "data": …, further top-level keys}.  Errors are SQLSTATEs of class RT.
-- req has the client's keys, and of the gateway's own "sid" and "gateway" where a socket asks.
--
--   connect            {requests: [{user, sid, pid?, offset?, gateway, serial, peer, transport}]} -> {results: [
--                        {ok: true, sid, pid, user: {id, username, name}, rooms: [{id, lastSeq}], joined: [id], recovered,
--                         meetings: [id] | null}
--                        | {ok: false, code, message}]}
--   disconnect         {gateway, connections: [{sid, user, serial, recoverable}]} -> {}
--   roaming            {gateway, joined: [{userId, n, rooms: [id]}], ask: [userId]} -> {}: tells other gateways; n rises
--   presence_sweep     {gateway, users: [id]} -> {}: those without a connection are offline from now on
--   gateway_start, gateway_report, gateway_stop {gateway, host, slot, pid, port, stats, rooms,
--                        connections: [{sid, serial, transport, queuedBytes, latencyUs | null}], seenPos?, seenAtUs?}
--                        -> {relay, delayUs: from the commit of the event seenPos until seenAtUs | null}; the others -> {}
--   auth               {username, password, address, gateway} -> {status, token, expiresAt, user}; refused: {status, error}
--   auth_refresh       {} -> the same
--   join_rooms         {sid, roomIds} -> {success, rooms, failed: [{roomId, error}], message, error?, snapshot}: the last
--                        for the gateway, which tells by it whether an rt:member was known already
--   leave_room         {sid, roomId} -> {success, roomId}
--   typing             {sid, roomId, isTyping} -> {roomId, isTyping}
--   mark_seen          {sid, roomId, messageIds} -> {success, roomId, messageIds}
--   set_status         {status, statusMessage?} -> {status, statusMessage}
--   online_users       {roomId} -> {roomId, users: [{userId, userName, status, lastSeen}], count}
--   sync_rooms         {rooms: [{roomId, afterSeq}], limit?} -> {rooms: [{roomId, messages, lastSeq, hasMore}]}
--
-- REST: rooms_list, room_create, room_get, room_update, room_delete, members_list, members_add, member_remove,
-- message_send, message_list, message_edit, message_delete, reaction_add, reaction_remove, message_delivered, receipts,
-- search, me, users_search.
--
--   message_send_batch {roomId, requests: [{actor, req}]} -> {results: [{status, data} | {status, error: {code, message}}]}

-- ---- connections -----------------------------------------------------------------

-- What of a session is still its user's: rooms that were left, or lost, are not given back.
CREATE FUNCTION rt_private.session_find(pid text, user_id text, pos text) RETURNS rt_private.sessions
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s rt_private.sessions;
	last_pos bigint := (SELECT greatest(state.last_pos, (SELECT max(e.pos) FROM rt.events AS e))
		FROM rt_private.relay_state AS state);
	first_pos bigint := (SELECT coalesce(min(e.pos), last_pos + 1) FROM rt.events AS e);
BEGIN
	IF session_find.pid IS NULL OR pos IS NULL OR pos !~ '^[0-9]{1,18}$'
		OR pos::bigint > last_pos OR pos::bigint < first_pos - 1 THEN
		RETURN NULL;
	END IF;
	SELECT t.* INTO s FROM rt_private.sessions AS t
	WHERE t.pid = session_find.pid AND t.user_id = session_find.user_id FOR UPDATE;
	IF FOUND THEN
		s.joined := ARRAY(SELECT m.room_id FROM rt.room_members AS m
			WHERE m.user_id = session_find.user_id AND m.room_id = ANY (s.joined) ORDER BY m.room_id);
	END IF;
	RETURN s;
END
$$;
COMMENT ON FUNCTION rt_private.session_find(text, text, text) IS 'the session that a client may go on with; null if there is none';

CREATE FUNCTION rt_private.connect_one(r jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	u rt.users;
	s rt_private.sessions;
	recovered boolean;
BEGIN
	-- Locked: of a user that is deleted meanwhile, presence would refuse the whole batch.
	SELECT t.* INTO u FROM rt.users AS t WHERE t.id = r ->> 'user' FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN jsonb_build_object('ok', false, 'code', 'unauthorized', 'message', 'User not found');
	END IF;
	s := rt_private.session_find(r ->> 'pid', u.id, r ->> 'offset');
	recovered := s.pid IS NOT NULL;
	IF recovered THEN
		UPDATE rt_private.sessions AS t SET ended_at = NULL, joined = s.joined WHERE t.pid = s.pid;
	ELSE
		s.pid := rt_private.random_text(15);
		s.sid := r ->> 'sid';
		INSERT INTO rt_private.sessions (pid, sid, user_id) VALUES (s.pid, s.sid, u.id);
	END IF;
	INSERT INTO rt_private.connections AS c (sid, user_id, gateway, serial, peer, transport)
	VALUES (s.sid, u.id, r ->> 'gateway', coalesce((r ->> 'serial')::bigint, 0), r ->> 'peer', r ->> 'transport')
	ON CONFLICT (sid) DO UPDATE SET gateway = excluded.gateway, serial = excluded.serial, peer = excluded.peer, transport = excluded.transport,
		connected_at = excluded.connected_at, queued_bytes = 0, latency = NULL;
	RETURN jsonb_build_object('ok', true, 'sid', s.sid, 'pid', s.pid, 'recovered', recovered,
		'joined', coalesce((SELECT jsonb_agg(j::text) FROM unnest(s.joined) AS j), '[]'),
		'meetings', CASE WHEN recovered THEN (SELECT jsonb_agg(p.meeting_id::text)
			FROM rt.meeting_participants AS p WHERE p.socket_id = s.sid AND p.left_at IS NULL) END,
		'user', rt_private.user_json(u)::jsonb,
		'rooms', coalesce((SELECT jsonb_agg(jsonb_build_object('id', m.room_id::text, 'lastSeq', room.last_seq))
			FROM rt.room_members AS m JOIN rt.rooms AS room ON room.id = m.room_id WHERE m.user_id = u.id), '[]'));
END
$$;
COMMENT ON FUNCTION rt_private.connect_one(jsonb) IS 'one client of rt_api.connect()';

-- A session that another gateway still believes in: that one drops its socket, without ending the session.
CREATE FUNCTION rt_private.take_over(requests jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF NOT jsonb_path_exists(requests, '$[*].pid') THEN
		RETURN; -- nobody comes back
	END IF;
	PERFORM rt_private.emit('rt:disconnect', '{"gateway":true}',
		json_build_object('sid', c.sid, 'userId', c.user_id, 'gateway', c.gateway, 'reason', 'taken over'), false)
	FROM jsonb_array_elements(requests) AS r
	JOIN rt_private.sessions AS s ON s.pid = r ->> 'pid' AND s.user_id = r ->> 'user'
	JOIN rt_private.connections AS c ON c.sid = s.sid AND c.gateway <> r ->> 'gateway';
END
$$;
COMMENT ON FUNCTION rt_private.take_over(jsonb) IS 'ends sockets elsewhere whose clients have come back here';

-- Users who are connected to several gateways: these tell one another what is joined at them.
CREATE FUNCTION rt_private.tell_roaming(users text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF (SELECT count(*) FROM rt_private.gateways) < 2 THEN
		RETURN;
	END IF;
	PERFORM rt_private.emit('rt:roaming', '{"gateway":true}', json_build_object('gateways', r.gateways, 'userIds', json_agg(r.user_id)))
	FROM (SELECT c.user_id, array_agg(DISTINCT c.gateway) AS gateways FROM rt_private.connections AS c
		WHERE c.user_id = ANY (users) GROUP BY c.user_id) AS r
	WHERE cardinality(r.gateways) > 1
	GROUP BY r.gateways;
END
$$;
COMMENT ON FUNCTION rt_private.tell_roaming(text[]) IS 'names the users that several gateways have to these';

CREATE FUNCTION rt_private.gateways_gone(names text[]) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.emit('rt:gateway-gone', '{"gateway":true}', json_build_object('gateway', g.name)) FROM unnest(names) AS g (name)
$$;
COMMENT ON FUNCTION rt_private.gateways_gone(text[]) IS 'tells the gateways that others are no more';

CREATE FUNCTION rt_api.roaming(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.emit('rt:joined', '{"gateway":true}', json_build_object('gateway', req ->> 'gateway', 'userId', j ->> 'userId',
		'n', (j ->> 'n')::bigint, 'rooms', j -> 'rooms')) FROM jsonb_array_elements(rt_private.req_array(req, 'joined', 1000)) AS j;
	PERFORM rt_private.tell_roaming(ARRAY(SELECT jsonb_array_elements_text(rt_private.req_array(req, 'ask', 1000000))));
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION rt_api.roaming(text, jsonb) IS 'what users have joined at a gateway, for others that have these users too; or who is to be told of anew';

CREATE FUNCTION rt_api.connect(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	requests jsonb := rt_private.req_array(req, 'requests', 1000);
	users text[] := ARRAY(SELECT DISTINCT r ->> 'user' FROM jsonb_array_elements(requests) AS r);
	results json;
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.take_over(requests);
	SELECT coalesce(json_agg(rt_private.connect_one(r.value) ORDER BY r.n), '[]') INTO results
	FROM jsonb_array_elements(requests) WITH ORDINALITY AS r (value, n);
	PERFORM rt_private.come_online(users);
	-- After it, since it waits for another gateway that is letting one of them in.
	PERFORM rt_private.tell_roaming(users);
	RETURN json_build_object('results', results);
END
$$;
COMMENT ON FUNCTION rt_api.connect(text, jsonb) IS 'lets clients in, many at once';

CREATE FUNCTION rt_api.disconnect(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	gone jsonb := rt_private.req_array(req, 'connections', 10000);
BEGIN
	PERFORM rt_private.soft_commit();
	-- just these: the client may be back already, through another gateway or the same one
	DELETE FROM rt_private.connections AS c USING jsonb_array_elements(gone) AS g
	WHERE c.sid = g ->> 'sid' AND c.gateway = req ->> 'gateway' AND c.serial = coalesce((g ->> 'serial')::bigint, 0);
	UPDATE rt_private.sessions AS s SET ended_at = clock_timestamp() FROM jsonb_array_elements(gone) AS g
	WHERE s.sid = g ->> 'sid' AND (g ->> 'recoverable')::boolean
		AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.sid = s.sid);
	DELETE FROM rt_private.sessions AS s USING jsonb_array_elements(gone) AS g
	WHERE s.sid = g ->> 'sid' AND NOT (g ->> 'recoverable')::boolean
		AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.sid = s.sid);
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION rt_api.disconnect(text, jsonb) IS 'sockets that are gone; whoever may come back keeps the session';

CREATE FUNCTION rt_api.presence_sweep(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.go_offline(ARRAY(SELECT jsonb_array_elements_text(rt_private.req_array(req, 'users', 10000))));
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION rt_api.presence_sweep(text, jsonb) IS 'after the grace: users without a connection go offline';

-- ---- gateways --------------------------------------------------------------------

-- Connections of gateways that are no more, and users that have had none for longer than any grace.
--
-- Runs each second over all that is connected, so it must be linear whatever the statistics say: joins by hashing, and
-- the time in a variable, since a volatile function would make a subquery run once a row.
CREATE FUNCTION rt_private.sweep_gateways() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
	swept_at timestamptz := clock_timestamp();
	users text[];
	dead text[];
BEGIN
	WITH gone AS (DELETE FROM rt_private.gateways AS g WHERE g.reported_at < swept_at - interval '10 s' RETURNING g.name)
	SELECT array_agg(gone.name) INTO dead FROM gone;
	PERFORM rt_private.gateways_gone(dead);
	DELETE FROM rt_private.connections AS c
	WHERE NOT EXISTS (SELECT FROM rt_private.gateways AS g WHERE g.name = c.gateway)
		AND c.connected_at < swept_at - interval '10 s';
	UPDATE rt_private.sessions AS s SET ended_at = swept_at
	WHERE s.ended_at IS NULL AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.sid = s.sid);
	DELETE FROM rt_private.sessions AS s
	WHERE s.ended_at < swept_at - pg_catalog.current_setting('rt.recovery_window')::interval;
	SELECT array_agg(p.user_id) INTO users FROM rt.presence AS p
	WHERE p.status <> 'offline' AND p.last_seen < swept_at - interval '5 s'
		AND NOT EXISTS (SELECT FROM rt_private.connections AS c WHERE c.user_id = p.user_id)
		AND NOT EXISTS (SELECT FROM rt_private.sessions AS s
			WHERE s.user_id = p.user_id AND s.ended_at > swept_at - interval '5 s');
	IF users IS NOT NULL THEN
		PERFORM rt_private.go_offline(users);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.sweep_gateways() IS 'clears up after gateways that died';

CREATE FUNCTION rt_api.gateway_start(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	gateway text := rt_private.req_text(req, 'gateway');
	dead text[];
BEGIN
	PERFORM rt_private.soft_commit();
	-- the one that ran in this slot before
	WITH former AS (
		DELETE FROM rt_private.gateways AS g
		WHERE g.slot = (req ->> 'slot')::integer AND g.name <> gateway AND g.port IS NOT DISTINCT FROM (req ->> 'port')::integer
			AND g.host IS NOT DISTINCT FROM req ->> 'host' AND g.draining_until IS NULL
		RETURNING g.name
	)
	SELECT array_agg(f.name) INTO dead FROM former AS f;
	PERFORM rt_private.gateways_gone(dead);
	DELETE FROM rt_private.connections AS c WHERE c.gateway = ANY (dead);
	INSERT INTO rt_private.gateways AS g (name, host, slot, pid, port)
	VALUES (gateway, req ->> 'host', (req ->> 'slot')::integer, (req ->> 'pid')::integer, (req ->> 'port')::integer)
	ON CONFLICT (name) DO UPDATE SET reported_at = clock_timestamp();
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION rt_api.gateway_start(text, jsonb) IS 'a gateway begins to serve; its dead predecessor''s connections go';

-- Those whose figures have changed, some at a time.  No index has these columns, so that the rows stay where they are.
CREATE FUNCTION rt_private.note_connections(gateway text, reports jsonb) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	UPDATE rt_private.connections AS c
	SET transport = r.transport, queued_bytes = r."queuedBytes", latency = r."latencyUs" * interval '1 microsecond'
	FROM jsonb_to_recordset(reports) AS r (sid text, serial bigint, transport text, "queuedBytes" bigint, "latencyUs" bigint)
	WHERE c.sid = r.sid AND c.serial = r.serial AND c.gateway = note_connections.gateway
$$;
COMMENT ON FUNCTION rt_private.note_connections(text, jsonb) IS 'what a gateway reports of its sockets, for rt.stat_connections';

-- For the gateways' /metrics.
CREATE FUNCTION rt_private.relay_figures() RETURNS json
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('up', (r.pid IS NOT NULL)::integer, 'position', r.last_pos, 'events', r.events, 'batches', r.batches,
		'published', r.published, 'lost', r.lost, 'rescans', r.rescans, 'rescued', r.rescued, 'notifyFailures', r.notify_failures,
		'ringBytes', r.ring_bytes, 'ringUsed', r.ring_used, 'ringHighWater', r.ring_high_water,
		'lagSumUs', (extract(epoch FROM r.lag_sum) * 1000000)::bigint, 'lagCounts', r.lag_counts, 'lagBoundsUs', r.lag_bounds_us)
	FROM rt_private.stat_relay() AS r
$$;
COMMENT ON FUNCTION rt_private.relay_figures() IS 'what rt.stat_relay shows, for metrics';

CREATE FUNCTION rt_api.gateway_report(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.follow_clock();
	UPDATE rt_private.gateways AS g
	SET reported_at = clock_timestamp(), stats = coalesce(req -> 'stats', '{}'), rooms = coalesce(req -> 'rooms', '[]')
	WHERE g.name = rt_private.req_text(req, 'gateway');
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Gateway not found' USING ERRCODE = 'RT404';
	END IF;
	IF req ? 'connections' THEN
		PERFORM rt_private.note_connections(req ->> 'gateway', rt_private.req_array(req, 'connections', 10000));
	END IF;
	-- One of them clears up.  A row that nobody else may lock tells which: an advisory lock any role could take, and keep.
	PERFORM FROM rt_private.clock AS c FOR UPDATE SKIP LOCKED;
	IF FOUND THEN
		PERFORM rt_private.sweep_gateways();
	END IF;
	RETURN json_build_object('relay', rt_private.relay_figures(), 'media', rt_private.media_totals(),
		'delayUs', (SELECT greatest(((req ->> 'seenAtUs')::bigint - extract(epoch FROM e.at) * 1000000)::bigint, 0)
			FROM rt.events AS e WHERE e.pos = (req ->> 'seenPos')::bigint));
END
$$;
COMMENT ON FUNCTION rt_api.gateway_report(text, jsonb) IS 'a gateway is alive, and its figures; each second';

CREATE FUNCTION rt_api.gateway_stop(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	UPDATE rt_private.sessions AS s SET ended_at = clock_timestamp() FROM rt_private.connections AS c
	WHERE c.gateway = req ->> 'gateway' AND s.sid = c.sid;
	DELETE FROM rt_private.connections AS c WHERE c.gateway = req ->> 'gateway';
	DELETE FROM rt_private.gateways AS g WHERE g.name = req ->> 'gateway';
	PERFORM rt_private.gateways_gone(ARRAY[req ->> 'gateway']);
	RETURN '{}';
END
$$;
COMMENT ON FUNCTION rt_api.gateway_stop(text, jsonb) IS 'a gateway ends; its clients will be back elsewhere';

-- ---- logging in ------------------------------------------------------------------

CREATE FUNCTION rt_private.token_json(u rt.users) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ttl interval := current_setting('rt.token_ttl')::interval;
BEGIN
	RETURN json_build_object('status', 200, 'token', rt_private.make_token(u.id, ttl),
		'expiresAt', rt_private.iso(clock_timestamp() + ttl), 'user', rt_private.user_json(u));
END
$$;
COMMENT ON FUNCTION rt_private.token_json(rt.users) IS 'what a login is answered with';

-- A refusal is an answer and no error, which would undo that it was written down.
CREATE FUNCTION rt_api.auth(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	given_name text := rt_private.req_text(req, 'username');
	password text := rt_private.req_text(req, 'password');
	u rt.users;
BEGIN
	SELECT t.* INTO u FROM rt.users AS t WHERE lower(t.username) = lower(given_name);
	IF NOT rt_private.password_matches(password, u.password_hash) THEN
		PERFORM rt_private.audit_login('login-failed', u.id, req ->> 'address', req ->> 'gateway');
		RETURN '{"status": 401, "error": {"code": "unauthorized", "message": "Wrong username or password"}}';
	END IF;
	PERFORM rt_private.audit_login('login', u.id, req ->> 'address', req ->> 'gateway');
	RETURN rt_private.token_json(u);
END
$$;
COMMENT ON FUNCTION rt_api.auth(text, jsonb) IS 'POST /auth';

CREATE FUNCTION rt_api.auth_refresh(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	u rt.users;
BEGIN
	SELECT t.* INTO u FROM rt.users AS t WHERE t.id = actor;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'User not found' USING ERRCODE = 'RT401';
	END IF;
	RETURN rt_private.token_json(u);
END
$$;
COMMENT ON FUNCTION rt_api.auth_refresh(text, jsonb) IS 'POST /auth/refresh';

-- For what does not ask whether the user is in something: a token may outlive its user.
CREATE FUNCTION rt_private.check_user(actor text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = actor) THEN
		RAISE EXCEPTION 'User not found' USING ERRCODE = 'RT401';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.check_user(text) IS 'refuses a user that is no more';

CREATE FUNCTION rt_api.me(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	u rt.users;
	p rt.presence;
BEGIN
	SELECT t.* INTO u FROM rt.users AS t WHERE t.id = actor;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'User not found' USING ERRCODE = 'RT401';
	END IF;
	SELECT t.* INTO p FROM rt.presence AS t WHERE t.user_id = actor;
	RETURN json_build_object('status', 200, 'data', rt_private.user_json(u)::jsonb || jsonb_build_object(
		'status', coalesce(p.status, 'offline'), 'statusMessage', p.status_message, 'isAdmin', u.is_admin,
		'createdAt', rt_private.iso(u.created_at)));
END
$$;
COMMENT ON FUNCTION rt_api.me(text, jsonb) IS 'GET /api/users/me';

CREATE FUNCTION rt_api.users_search(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	prefix text := lower(coalesce(rt_private.req_text_opt(req, 'q'), ''));
	most integer := rt_private.req_limit(req, 50, 200);
	found_users json;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT coalesce(json_agg(rt_private.user_json(u)::jsonb || jsonb_build_object('status', coalesce(p.status, 'offline'))
		ORDER BY lower(u.username)), '[]') INTO found_users
	FROM (SELECT t.* FROM rt.users AS t
		WHERE prefix = '' OR starts_with(lower(t.username), prefix) OR strpos(lower(t.name), prefix) > 0
		ORDER BY lower(t.username) LIMIT most) AS u
	LEFT JOIN rt.presence AS p ON p.user_id = u.id;
	RETURN json_build_object('status', 200, 'data', found_users, 'count', json_array_length(found_users));
END
$$;
COMMENT ON FUNCTION rt_api.users_search(text, jsonb) IS 'GET /api/users';
-- The API of the gateways: rooms and members.  Not being a member and there being no such room look the same.

CREATE FUNCTION rt_private.api_room(actor text, req jsonb) RETURNS rt.rooms
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms;
BEGIN
	PERFORM rt_private.act_as(actor);
	SELECT t.* INTO r FROM rt.rooms AS t WHERE t.id = rt_private.req_id(req, 'roomId');
	IF NOT FOUND OR NOT rt_private.is_member(r.id, actor) THEN
		RAISE EXCEPTION 'Room not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN r;
END
$$;
COMMENT ON FUNCTION rt_private.api_room(text, jsonb) IS 'the room of a request; RT404 if the actor is not in it';

CREATE FUNCTION rt_private.api_admin_room(actor text, req jsonb) RETURNS rt.rooms
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
BEGIN
	IF NOT rt_private.is_room_admin(r.id, actor) THEN
		RAISE EXCEPTION 'Only an admin of the room may do this' USING ERRCODE = 'RT403';
	END IF;
	RETURN r;
END
$$;
COMMENT ON FUNCTION rt_private.api_admin_room(text, jsonb) IS 'the room of a request; RT403 if the actor is no admin of it';

-- How many messages of others a member has not read; counted up to 1,000, so that a list of rooms stays cheap.
CREATE FUNCTION rt_private.unread_count(m rt.room_members) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT count(*) FROM (SELECT FROM rt.messages AS t
		WHERE t.room_id = m.room_id AND t.seq > m.last_read_seq AND t.sender_id IS DISTINCT FROM m.user_id
			AND t.deleted_at IS NULL
		LIMIT 1000) AS few);
END
$$;
COMMENT ON FUNCTION rt_private.unread_count(rt.room_members) IS 'unread messages of a member, own and deleted ones left out; at most 1,000';

-- In PL/pgSQL, as unread_count(), since that keeps plans: the list of rooms calls both for each room.
CREATE FUNCTION rt_private.room_json(r rt.rooms, m rt.room_members) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN jsonb_build_object('id', r.id::text, 'roomId', r.id::text, 'name', r.name, 'kind', r.kind, 'role', m.role,
		'createdBy', r.created_by,
		'memberCount', (SELECT count(*) FROM rt.room_members AS t WHERE t.room_id = r.id),
		'lastSeq', r.last_seq,
		'lastMessage', (SELECT rt_private.message_json(t) FROM rt.messages AS t
			WHERE t.room_id = r.id ORDER BY t.seq DESC LIMIT 1),
		'unreadCount', rt_private.unread_count(m), 'lastReadSeq', m.last_read_seq, 'createdAt', rt_private.iso(r.created_at),
		'peer', CASE WHEN r.kind = 'direct' THEN (SELECT rt_private.user_json(u) FROM rt.room_members AS o
			JOIN rt.users AS u ON u.id = o.user_id WHERE o.room_id = r.id AND o.user_id <> m.user_id LIMIT 1) END);
END
$$;
COMMENT ON FUNCTION rt_private.room_json(rt.rooms, rt.room_members) IS 'a room as one of its members sees it';

CREATE FUNCTION rt_private.room_json_for(r rt.rooms, actor text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	-- read anew: the last message is looked for after what gave us r
	SELECT rt_private.room_json(t, m) FROM rt.room_members AS m JOIN rt.rooms AS t ON t.id = m.room_id
	WHERE m.room_id = r.id AND m.user_id = actor
$$;
COMMENT ON FUNCTION rt_private.room_json_for(rt.rooms, text) IS 'a room as a user sees it';

CREATE FUNCTION rt_api.rooms_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	rooms json;
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT coalesce(json_agg(rt_private.room_json(r, m) ORDER BY r.id), '[]') INTO rooms
	FROM rt.room_members AS m JOIN rt.rooms AS r ON r.id = m.room_id WHERE m.user_id = actor;
	RETURN json_build_object('status', 200, 'data', rooms, 'count', json_array_length(rooms));
END
$$;
COMMENT ON FUNCTION rt_api.rooms_list(text, jsonb) IS 'GET /api/chat/rooms';

CREATE FUNCTION rt_private.req_user_ids(req jsonb, key text) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ids jsonb := rt_private.req_array(req, key, 10000);
BEGIN
	IF EXISTS (SELECT FROM jsonb_array_elements(ids) AS e WHERE jsonb_typeof(e) NOT IN ('string', 'number')) THEN
		RAISE EXCEPTION '% must be an array of user ids', key USING ERRCODE = 'RT400';
	END IF;
	RETURN ARRAY(SELECT DISTINCT jsonb_array_elements_text(ids));
END
$$;
COMMENT ON FUNCTION rt_private.req_user_ids(jsonb, text) IS 'user ids in a request';

CREATE FUNCTION rt_private.req_room_name(req jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text := nullif(btrim(rt_private.req_text_opt(req, 'name')), '');
BEGIN
	IF octet_length(name) > 1024 THEN
		RAISE EXCEPTION 'name is too long' USING ERRCODE = 'RT413';
	END IF;
	RETURN name;
END
$$;
COMMENT ON FUNCTION rt_private.req_room_name(jsonb) IS 'a room''s name in a request, or null';

CREATE FUNCTION rt_api.room_create(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	kind text := rt_private.req_choice(req, 'kind', ARRAY['direct', 'group']);
	members text[] := rt_private.req_user_ids(req, 'memberIds');
	name text := rt_private.req_room_name(req);
	made record;
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.act_as(actor);
	SELECT * INTO made FROM rt_private.make_room(actor, name, kind, members);
	RETURN json_build_object('status', CASE WHEN made.created THEN 201 ELSE 200 END,
		'data', rt_private.room_json_for(made.room, actor));
END
$$;
COMMENT ON FUNCTION rt_api.room_create(text, jsonb) IS 'POST /api/chat/rooms';

CREATE FUNCTION rt_api.room_get(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('status', 200, 'data', rt_private.room_json_for(rt_private.api_room(actor, req), actor));
END
$$;
COMMENT ON FUNCTION rt_api.room_get(text, jsonb) IS 'GET /api/chat/rooms/:id';

CREATE FUNCTION rt_api.room_update(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_admin_room(actor, req);
	new_name text := rt_private.req_room_name(req);
BEGIN
	IF new_name IS NULL THEN
		RAISE EXCEPTION 'name is missing' USING ERRCODE = 'RT400';
	END IF;
	UPDATE rt.rooms AS t SET name = new_name WHERE t.id = r.id RETURNING t.* INTO r;
	RETURN json_build_object('status', 200, 'data', rt_private.room_json_for(r, actor));
END
$$;
COMMENT ON FUNCTION rt_api.room_update(text, jsonb) IS 'PATCH /api/chat/rooms/:id';

CREATE FUNCTION rt_api.room_delete(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_admin_room(actor, req);
BEGIN
	DELETE FROM rt.rooms AS t WHERE t.id = r.id;
	RETURN json_build_object('status', 200, 'data', json_build_object('id', r.id::text, 'roomId', r.id::text));
END
$$;
COMMENT ON FUNCTION rt_api.room_delete(text, jsonb) IS 'DELETE /api/chat/rooms/:id';

-- ---- members ---------------------------------------------------------------------

CREATE FUNCTION rt_private.members_json(room_id bigint, users text[] DEFAULT NULL) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(json_build_object('userId', u.id, 'id', u.id, 'username', u.username, 'userName', u.name,
		'name', u.name, 'role', m.role, 'joinedAt', rt_private.iso(m.joined_at), 'lastReadSeq', m.last_read_seq,
		'status', coalesce(p.status, 'offline'), 'statusMessage', p.status_message,
		'lastSeen', rt_private.iso(p.last_seen)) ORDER BY m.joined_at, u.id), '[]')
	FROM rt.room_members AS m JOIN rt.users AS u ON u.id = m.user_id LEFT JOIN rt.presence AS p ON p.user_id = u.id
	WHERE m.room_id = members_json.room_id AND (users IS NULL OR u.id = ANY (users))
$$;
COMMENT ON FUNCTION rt_private.members_json(bigint, text[]) IS 'members of a room, all or some';

CREATE FUNCTION rt_api.members_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	members json := rt_private.members_json(r.id);
BEGIN
	RETURN json_build_object('status', 200, 'data', members, 'count', json_array_length(members));
END
$$;
COMMENT ON FUNCTION rt_api.members_list(text, jsonb) IS 'GET /api/chat/rooms/:id/members';

CREATE FUNCTION rt_api.members_add(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_admin_room(actor, req);
	users text[] := rt_private.req_user_ids(req, 'userIds');
	new_role text := rt_private.req_choice(req, 'role', ARRAY['admin', 'member'], 'member');
	members json;
BEGIN
	IF r.kind = 'direct' THEN
		RAISE EXCEPTION 'A direct room has two members' USING ERRCODE = 'RT409';
	END IF;
	IF (SELECT count(*) FROM rt.users AS u WHERE u.id = ANY (users)) <> cardinality(users) THEN
		RAISE EXCEPTION 'User not found' USING ERRCODE = 'RT404';
	END IF;
	INSERT INTO rt.room_members (room_id, user_id, role)
	SELECT r.id, u, new_role FROM unnest(users) AS u ORDER BY u ON CONFLICT DO NOTHING;
	members := rt_private.members_json(r.id, users);
	RETURN json_build_object('status', 200, 'data', members, 'count', json_array_length(members));
END
$$;
COMMENT ON FUNCTION rt_api.members_add(text, jsonb) IS 'POST /api/chat/rooms/:id/members';

CREATE FUNCTION rt_api.member_remove(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	whom text := rt_private.req_name(req, 'userId');
BEGIN
	IF whom <> actor THEN
		r := rt_private.api_admin_room(actor, req);
	END IF;
	DELETE FROM rt.room_members AS m WHERE m.room_id = r.id AND m.user_id = whom;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Member not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN json_build_object('status', 200, 'data', json_build_object('roomId', r.id::text, 'userId', whom));
END
$$;
COMMENT ON FUNCTION rt_api.member_remove(text, jsonb) IS 'DELETE /api/chat/rooms/:id/members/:userId; anybody may leave';

-- ---- sockets in rooms ----------------------------------------------------------------

CREATE FUNCTION rt_api.join_rooms(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	asked bigint[];
	mine bigint[];
	failed json;
	seen pg_snapshot;
BEGIN
	SELECT coalesce(array_agg(rt_private.to_id(r.value, 'roomIds') ORDER BY r.n), '{}') INTO asked
	FROM jsonb_array_elements(rt_private.req_array(req, 'roomIds', 10000)) WITH ORDINALITY AS r (value, n);
	PERFORM rt_private.soft_commit();
	SELECT coalesce(array_agg(m.room_id), '{}'), pg_current_snapshot() INTO mine, seen
	FROM rt.room_members AS m WHERE m.user_id = actor AND m.room_id = ANY (asked);
	IF cardinality(mine) > 0 THEN
		UPDATE rt_private.sessions AS s
		SET joined = ARRAY(SELECT DISTINCT j FROM unnest(s.joined || mine) AS j)
		WHERE s.sid = req ->> 'sid' AND s.user_id = actor AND NOT s.joined @> mine;
	END IF;
	SELECT json_agg(json_build_object('roomId', t.id::text,
		'error', json_build_object('code', 'not_found', 'message', 'Room not found')) ORDER BY t.n) INTO failed
	FROM (SELECT a AS id, min(n) AS n FROM unnest(asked) WITH ORDINALITY AS u (a, n)
		WHERE a <> ALL (mine) GROUP BY a) AS t;
	RETURN jsonb_strip_nulls(jsonb_build_object('success', failed IS NULL,
		'rooms', coalesce((SELECT json_agg(t.id::text ORDER BY t.n)
			FROM (SELECT a AS id, min(n) AS n FROM unnest(asked) WITH ORDINALITY AS u (a, n)
				WHERE a = ANY (mine) GROUP BY a) AS t), '[]'),
		'failed', coalesce(failed, '[]'),
		'message', CASE WHEN failed IS NULL THEN 'Joined' ELSE 'Some rooms could not be joined' END,
		'error', failed -> 0 -> 'error', 'snapshot', seen::text));
END
$$;
COMMENT ON FUNCTION rt_api.join_rooms(text, jsonb) IS 'join-chat-rooms';

CREATE FUNCTION rt_api.leave_room(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room bigint := rt_private.req_id(req, 'roomId');
BEGIN
	PERFORM rt_private.soft_commit();
	UPDATE rt_private.sessions AS s SET joined = array_remove(s.joined, room)
	WHERE s.sid = req ->> 'sid' AND s.user_id = actor AND room = ANY (s.joined);
	RETURN json_build_object('success', true, 'roomId', room::text);
END
$$;
COMMENT ON FUNCTION rt_api.leave_room(text, jsonb) IS 'leave-chat-room';

CREATE FUNCTION rt_api.typing(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	is_typing boolean := rt_private.req_bool(req, 'isTyping');
	r rt.rooms;
BEGIN
	-- the end of it is told even of one who was removed meanwhile
	IF is_typing THEN
		r := rt_private.api_room(actor, req);
	END IF;
	PERFORM rt_private.emit('chat-user-typing', rt_private.room_route(rt_private.req_id(req, 'roomId'), req ->> 'sid'),
		json_build_object('userId', actor, 'userName', rt_private.user_name(actor), 'roomId', rt_private.req_id(req, 'roomId')::text,
			'isTyping', is_typing, 'timestamp', rt_private.iso(clock_timestamp())), false);
	RETURN json_build_object('roomId', rt_private.req_id(req, 'roomId')::text, 'isTyping', is_typing);
END
$$;
COMMENT ON FUNCTION rt_api.typing(text, jsonb) IS 'chat-typing';

-- ---- presence ------------------------------------------------------------------------

CREATE FUNCTION rt_api.set_status(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	status text := rt_private.req_choice(req, 'status', ARRAY['online', 'away', 'busy']);
	message text := rt_private.req_text_opt(req, 'statusMessage');
BEGIN
	IF octet_length(message) > 1024 THEN
		RAISE EXCEPTION 'statusMessage is too long' USING ERRCODE = 'RT413';
	END IF;
	PERFORM rt_private.act_as(actor);
	PERFORM rt.set_status(actor, status, message);
	RETURN json_build_object('status', status, 'statusMessage', message);
END
$$;
COMMENT ON FUNCTION rt_api.set_status(text, jsonb) IS 'update-chat-status';

CREATE FUNCTION rt_api.online_users(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	users json;
BEGIN
	SELECT coalesce(json_agg(json_build_object('userId', u.id, 'userName', u.name, 'status', p.status,
		'lastSeen', rt_private.iso(p.last_seen), 'statusMessage', p.status_message) ORDER BY u.id), '[]') INTO users
	FROM rt.room_members AS m JOIN rt.users AS u ON u.id = m.user_id JOIN rt.presence AS p ON p.user_id = u.id
	WHERE m.room_id = r.id AND p.status <> 'offline';
	RETURN json_build_object('roomId', r.id::text, 'users', users, 'count', json_array_length(users));
END
$$;
COMMENT ON FUNCTION rt_api.online_users(text, jsonb) IS 'get-room-online-users';
-- The API of the gateways: messages, reactions, receipts, history.

-- ---- sending ---------------------------------------------------------------------

-- One request after the checks that need no table: {n, actor, content, message_type, metadata, reply_to, client_id, code, message}.
CREATE TYPE rt_private.outgoing AS (
	n bigint,
	actor text,
	content text,
	message_type text,
	metadata jsonb,
	reply_to bigint,
	client_id text,
	code text,
	problem text
);
COMMENT ON TYPE rt_private.outgoing IS 'a message that is to be sent, or why it cannot';

-- Raises nothing: a request that is wrong must not stop the others of its batch.
CREATE FUNCTION rt_private.read_outgoing(n bigint, actor text, req jsonb, room_id bigint, limit_bytes integer) RETURNS rt_private.outgoing
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o rt_private.outgoing;
	reply text[];
BEGIN
	o.n := n;
	o.actor := actor;
	o.code := 'bad_request';
	IF jsonb_typeof(req) IS DISTINCT FROM 'object' THEN
		o.problem := 'the request must be an object';
	ELSIF coalesce(jsonb_typeof(req -> 'content'), 'null') NOT IN ('string', 'null') THEN
		o.problem := 'content must be a string';
	ELSIF coalesce(jsonb_typeof(req -> 'messageType'), 'null') NOT IN ('string', 'null')
		OR octet_length(req ->> 'messageType') NOT BETWEEN 1 AND 64 THEN
		o.problem := 'messageType must be a string of 1 to 64 bytes';
	ELSIF coalesce(jsonb_typeof(req -> 'metadata'), 'null') NOT IN ('object', 'null') THEN
		o.problem := 'metadata must be an object';
	ELSIF coalesce(jsonb_typeof(req -> 'clientId'), 'null') NOT IN ('string', 'number', 'null')
		OR octet_length(req ->> 'clientId') NOT BETWEEN 1 AND 128 THEN
		o.problem := 'clientId must be a string of 1 to 128 bytes';
	ELSIF coalesce(req ->> 'content', '') = '' AND coalesce(jsonb_typeof(req -> 'metadata'), 'null') = 'null' THEN
		o.problem := 'content is missing';
	END IF;
	IF o.problem IS NOT NULL THEN
		RETURN o;
	END IF;
	IF coalesce(jsonb_typeof(req -> 'replyTo'), 'null') <> 'null' THEN
		reply := regexp_match(req ->> 'replyTo', '^([0-9]{1,18})-([0-9]{1,18})$');
		IF jsonb_typeof(req -> 'replyTo') <> 'string' OR reply IS NULL THEN
			o.problem := 'replyTo must be a message id';
			RETURN o;
		END IF;
		IF reply[1]::bigint <> room_id THEN
			o.code := 'not_found';
			o.problem := 'Message not found';
			RETURN o;
		END IF;
		o.reply_to := reply[2]::bigint;
	END IF;
	o.content := coalesce(req ->> 'content', '');
	o.message_type := coalesce(req ->> 'messageType', 'text');
	o.metadata := CASE WHEN jsonb_typeof(req -> 'metadata') = 'object' THEN req -> 'metadata' END;
	o.client_id := req ->> 'clientId';
	IF octet_length(o.content) + coalesce(octet_length(o.metadata::text), 0) > limit_bytes THEN
		o.code := 'too_large';
		o.problem := 'message is too large';
	ELSE
		o.code := NULL;
	END IF;
	RETURN o;
END
$$;
COMMENT ON FUNCTION rt_private.read_outgoing(bigint, text, jsonb, bigint, integer) IS 'reads a request to send a message';

CREATE FUNCTION rt_private.send_result(o rt_private.outgoing, m rt.messages, is_new boolean) RETURNS json
LANGUAGE sql STABLE AS $$
	SELECT CASE
		WHEN o.code IS NOT NULL THEN pg_catalog.json_build_object('status',
			CASE o.code WHEN 'not_found' THEN 404 WHEN 'too_large' THEN 413 ELSE 400 END,
			'error', pg_catalog.json_build_object('code', o.code, 'message', o.problem))
		ELSE pg_catalog.json_build_object('status', CASE WHEN is_new THEN 201 ELSE 200 END,
			'data', rt_private.message_json(m)) END
$$;
COMMENT ON FUNCTION rt_private.send_result(rt_private.outgoing, rt.messages, boolean) IS 'one sender''s own result';

-- What waits for one room goes in one transaction, with one lock of the room and one INSERT.
CREATE FUNCTION rt_private.send_all(room_id bigint, requests jsonb) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	limit_bytes integer := rt_private.max_message_size();
	asked rt_private.outgoing[];
	results json;
BEGIN
	-- The room's lock first: what is looked at below then stays so until the end.
	PERFORM FROM rt.rooms AS r WHERE r.id = send_all.room_id FOR NO KEY UPDATE;
	asked := ARRAY(
		SELECT CASE
			WHEN o.code IS NULL AND NOT EXISTS (SELECT FROM rt.room_members AS m
				WHERE m.room_id = send_all.room_id AND m.user_id = o.actor)
				THEN (o.n, o.actor, NULL, NULL, NULL, NULL, NULL, 'not_found', 'Room not found')::rt_private.outgoing
			WHEN o.code IS NULL AND o.reply_to IS NOT NULL AND NOT EXISTS (SELECT FROM rt.messages AS m
				WHERE m.room_id = send_all.room_id AND m.seq = o.reply_to)
				THEN (o.n, o.actor, NULL, NULL, NULL, NULL, NULL, 'not_found', 'Message not found')::rt_private.outgoing
			ELSE o::rt_private.outgoing END
		FROM jsonb_array_elements(requests) WITH ORDINALITY AS r (value, n),
			LATERAL rt_private.read_outgoing(r.n, r.value ->> 'actor', r.value -> 'req', send_all.room_id, limit_bytes) AS o
		ORDER BY r.n);
	-- What goes in in order comes out in order: the k-th message of a sender (with this clientId, if it has one) is the
	-- sender's k-th row.
	WITH sent AS (
		INSERT INTO rt.messages AS m (room_id, sender_id, content, message_type, metadata, reply_to, client_id)
		SELECT send_all.room_id, o.actor, o.content, o.message_type, o.metadata, o.reply_to, o.client_id
		FROM unnest(asked) AS o WHERE o.code IS NULL ORDER BY o.n
		ON CONFLICT (room_id, sender_id, client_id) WHERE client_id IS NOT NULL DO NOTHING
		RETURNING m AS item
	), numbered AS (
		SELECT s.item, row_number() OVER (PARTITION BY (s.item).sender_id, (s.item).client_id ORDER BY (s.item).seq) AS k
		FROM sent AS s
	), places AS (
		SELECT o AS item, o.code IS NULL AS good,
			row_number() OVER (PARTITION BY o.actor, o.client_id, o.code IS NULL ORDER BY o.n) AS k
		FROM unnest(asked) AS o
	)
	SELECT json_agg(rt_private.send_result(p.item, CASE WHEN x.k IS NOT NULL THEN x.item WHEN y.k IS NOT NULL THEN y.item ELSE z.item END, x.k IS NOT NULL) ORDER BY (p.item).n)
	INTO results
	FROM places AS p
	LEFT JOIN numbered AS x ON p.good AND (x.item).sender_id = (p.item).actor
		AND (x.item).client_id IS NOT DISTINCT FROM (p.item).client_id AND x.k = p.k
	-- sent again: within this batch, or before
	LEFT JOIN numbered AS y ON p.good AND p.k > 1 AND (y.item).sender_id = (p.item).actor
		AND (y.item).client_id = (p.item).client_id
	LEFT JOIN LATERAL (SELECT t AS item FROM rt.messages AS t
		WHERE p.good AND x.k IS NULL AND y.k IS NULL AND t.room_id = send_all.room_id AND t.sender_id = (p.item).actor
			AND t.client_id = (p.item).client_id) AS z ON true;
	RETURN results;
END
$$;
COMMENT ON FUNCTION rt_private.send_all(bigint, jsonb) IS 'sends messages of several users to one room';

CREATE FUNCTION rt_api.message_send_batch(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('results', coalesce(rt_private.send_all(rt_private.req_id(req, 'roomId'),
		rt_private.req_array(req, 'requests', 1000)), '[]'));
END
$$;
COMMENT ON FUNCTION rt_api.message_send_batch(text, jsonb) IS 'POST /api/chat/rooms/:id/msgs, many at once';

CREATE FUNCTION rt_api.message_send(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result json;
BEGIN
	PERFORM rt_private.act_as(actor);
	result := rt_private.send_all(rt_private.req_id(req, 'roomId'),
		jsonb_build_array(jsonb_build_object('actor', actor, 'req', req))) -> 0;
	IF result -> 'error' IS NOT NULL THEN
		RAISE EXCEPTION '%', result #>> '{error,message}' USING ERRCODE = 'RT' || (result ->> 'status');
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION rt_api.message_send(text, jsonb) IS 'POST /api/chat/rooms/:id/msgs';

-- ---- one message -------------------------------------------------------------------

CREATE FUNCTION rt_private.api_message(actor text, req jsonb) RETURNS rt.messages
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	m rt.messages;
BEGIN
	SELECT t.* INTO m FROM rt.messages AS t
	WHERE t.room_id = r.id AND t.seq = rt_private.to_seq(req -> 'messageId', 'messageId', r.id);
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Message not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.api_message(text, jsonb) IS 'the message of a request';

CREATE FUNCTION rt_api.message_edit(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
	new_content text := rt_private.req_text_opt(req, 'content');
	new_metadata jsonb := CASE WHEN coalesce(jsonb_typeof(req -> 'metadata'), 'null') <> 'null'
		THEN rt_private.req_object(req, 'metadata') END;
BEGIN
	IF m.sender_id IS DISTINCT FROM actor THEN
		RAISE EXCEPTION 'Only the sender may edit a message' USING ERRCODE = 'RT403';
	END IF;
	IF m.deleted_at IS NOT NULL THEN
		RAISE EXCEPTION 'Message was deleted' USING ERRCODE = 'RT410';
	END IF;
	IF new_content IS NULL AND NOT req ? 'metadata' THEN
		RAISE EXCEPTION 'content is missing' USING ERRCODE = 'RT400';
	END IF;
	UPDATE rt.messages AS t SET content = coalesce(new_content, t.content), metadata = coalesce(new_metadata, t.metadata)
	WHERE t.room_id = m.room_id AND t.seq = m.seq RETURNING t.* INTO m;
	RETURN json_build_object('status', 200, 'data', rt_private.message_json(m));
END
$$;
COMMENT ON FUNCTION rt_api.message_edit(text, jsonb) IS 'PATCH …/msgs/:messageId';

CREATE FUNCTION rt_api.message_delete(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
BEGIN
	IF m.sender_id IS DISTINCT FROM actor AND NOT rt_private.is_room_admin(m.room_id, actor) THEN
		RAISE EXCEPTION 'Only the sender or an admin may delete a message' USING ERRCODE = 'RT403';
	END IF;
	UPDATE rt.messages AS t SET deleted_at = clock_timestamp()
	WHERE t.room_id = m.room_id AND t.seq = m.seq AND t.deleted_at IS NULL RETURNING t.* INTO m;
	IF NOT FOUND THEN
		m := rt_private.api_message(actor, req);
	END IF;
	RETURN json_build_object('status', 200, 'data', rt_private.message_json(m));
END
$$;
COMMENT ON FUNCTION rt_api.message_delete(text, jsonb) IS 'DELETE …/msgs/:messageId; again is no error';

-- ---- reactions ---------------------------------------------------------------------

CREATE FUNCTION rt_private.req_emoji(req jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	emoji text := rt_private.req_text(req, 'emoji');
BEGIN
	IF octet_length(emoji) > 64 OR emoji ~ '[[:cntrl:]]' THEN
		RAISE EXCEPTION 'emoji must have 1 to 64 bytes' USING ERRCODE = 'RT400';
	END IF;
	RETURN emoji;
END
$$;
COMMENT ON FUNCTION rt_private.req_emoji(jsonb) IS 'a reaction in a request';

CREATE FUNCTION rt_private.reaction_data(m rt.messages, actor text, emoji text) RETURNS json
LANGUAGE sql STABLE AS $$
	SELECT pg_catalog.json_build_object('status', 200, 'data', pg_catalog.json_build_object(
		'messageId', rt_private.message_id(m.room_id, m.seq), 'roomId', m.room_id::text, 'userId', actor, 'emoji', emoji))
$$;
COMMENT ON FUNCTION rt_private.reaction_data(rt.messages, text, text) IS 'what a reaction is answered with';

CREATE FUNCTION rt_api.reaction_add(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
	reaction text := rt_private.req_emoji(req);
BEGIN
	IF (SELECT count(*) FROM rt.reactions AS r WHERE r.room_id = m.room_id AND r.seq = m.seq AND r.user_id = actor) >= 20
		AND NOT EXISTS (SELECT FROM rt.reactions AS r WHERE r.room_id = m.room_id AND r.seq = m.seq AND r.user_id = actor
			AND r.emoji = reaction) THEN
		RAISE EXCEPTION 'Too many reactions' USING ERRCODE = 'RT409';
	END IF;
	INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (m.room_id, m.seq, actor, reaction) ON CONFLICT DO NOTHING;
	RETURN rt_private.reaction_data(m, actor, reaction);
END
$$;
COMMENT ON FUNCTION rt_api.reaction_add(text, jsonb) IS 'PUT …/reactions/:emoji; again is no error';

CREATE FUNCTION rt_api.reaction_remove(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
	reaction text := rt_private.req_emoji(req);
BEGIN
	DELETE FROM rt.reactions AS r
	WHERE r.room_id = m.room_id AND r.seq = m.seq AND r.user_id = actor AND r.emoji = reaction;
	RETURN rt_private.reaction_data(m, actor, reaction);
END
$$;
COMMENT ON FUNCTION rt_api.reaction_remove(text, jsonb) IS 'DELETE …/reactions/:emoji; again is no error';

-- ---- receipts ----------------------------------------------------------------------

CREATE FUNCTION rt_api.mark_seen(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms;
	ids jsonb := rt_private.req_array(req, 'messageIds', 10000);
	seqs bigint[];
BEGIN
	SELECT coalesce(array_agg(rt_private.to_seq(i, 'messageIds', rt_private.req_id(req, 'roomId'))), '{}') INTO seqs
	FROM jsonb_array_elements(ids) AS i;
	r := rt_private.api_room(actor, req);
	PERFORM rt_private.mark_seen(r.id, actor, seqs, req ->> 'sid');
	RETURN json_build_object('success', true, 'roomId', r.id::text, 'messageIds', ids);
END
$$;
COMMENT ON FUNCTION rt_api.mark_seen(text, jsonb) IS 'mark-msgs-seen';

CREATE FUNCTION rt_api.message_delivered(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
BEGIN
	PERFORM rt_private.mark_delivered(m.room_id, actor, ARRAY[m.seq], NULL);
	RETURN json_build_object('status', 200, 'data', json_build_object('messageId', rt_private.message_id(m.room_id, m.seq),
		'roomId', m.room_id::text, 'deliveredTo', actor));
END
$$;
COMMENT ON FUNCTION rt_api.message_delivered(text, jsonb) IS 'PUT …/delivered; again is no error';

CREATE FUNCTION rt_api.receipts(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.messages := rt_private.api_message(actor, req);
	receipts json;
BEGIN
	SELECT coalesce(json_agg(json_build_object('userId', t.user_id, 'userName', rt_private.user_name(t.user_id),
		'deliveredAt', rt_private.iso(coalesce(t.delivered, t.seen)), 'seenAt', rt_private.iso(t.seen)) ORDER BY t.user_id), '[]') INTO receipts
	FROM (
		SELECT member.user_id, min(r.at) FILTER (WHERE r.kind = 'd') AS delivered, min(r.at) FILTER (WHERE r.kind = 's') AS seen
		FROM rt.room_members AS member
		CROSS JOIN (VALUES ('d'::"char"), ('s')) AS k (kind)
		CROSS JOIN LATERAL (SELECT t.kind, t.at, t.seq_to FROM rt_private.receipt_ranges AS t
			WHERE t.room_id = m.room_id AND t.user_id = member.user_id AND t.kind = k.kind AND t.seq_from <= m.seq
			ORDER BY t.seq_from DESC LIMIT 1) AS r
		WHERE member.room_id = m.room_id AND r.seq_to >= m.seq
		GROUP BY member.user_id) AS t;
	RETURN json_build_object('status', 200, 'data', receipts, 'count', json_array_length(receipts));
END
$$;
COMMENT ON FUNCTION rt_api.receipts(text, jsonb) IS 'GET …/receipts';

-- ---- history -----------------------------------------------------------------------

CREATE FUNCTION rt_private.req_seq(req jsonb, key text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(jsonb_typeof(req -> key), 'null') = 'null' THEN
		RETURN NULL;
	END IF;
	IF jsonb_typeof(req -> key) NOT IN ('string', 'number') OR req ->> key !~ '^[0-9]{1,18}$' THEN
		RAISE EXCEPTION '% must be a number', key USING ERRCODE = 'RT400';
	END IF;
	RETURN (req ->> key)::bigint;
END
$$;
COMMENT ON FUNCTION rt_private.req_seq(jsonb, text) IS 'a message''s number in a request, or null';

-- Rising; one more than asked for tells whether there are more.  The first message comes whatever its size, if anything
-- may come at all; size is what was taken, last_seq the room's as the page was read.  In PL/pgSQL, which keeps plans: sync-rooms
-- calls it for each of many rooms.
CREATE FUNCTION rt_private.page_after(room_id bigint, after bigint, before bigint, most integer, bytes bigint,
	OUT page json, OUT has_more boolean, OUT size bigint, OUT last_seq bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT coalesce(json_agg(rt_private.message_json(t.m) ORDER BY t.n) FILTER (WHERE t.fits), '[]'),
		count(*) > count(*) FILTER (WHERE t.fits), coalesce(max(t.upto) FILTER (WHERE t.fits), 0),
		(SELECT r.last_seq FROM rt.rooms AS r WHERE r.id = page_after.room_id)
	INTO page, has_more, size, last_seq
	FROM (SELECT s.m, s.n, s.upto, s.n <= most AND bytes > 0 AND (s.n = 1 OR s.upto <= bytes) AS fits
		FROM (SELECT m, row_number() OVER w AS n,
				sum(octet_length(m.content) + coalesce(octet_length(m.metadata::text), 0) + 300) OVER w AS upto
			FROM rt.messages AS m
			WHERE m.room_id = page_after.room_id AND m.seq > after AND m.seq < coalesce(before, 9223372036854775807)
			WINDOW w AS (ORDER BY m.seq)
			ORDER BY m.seq LIMIT CASE WHEN bytes > 0 THEN most + 1 ELSE 1 END) AS s) AS t;
END
$$;
COMMENT ON FUNCTION rt_private.page_after(bigint, bigint, bigint, integer, bigint) IS 'messages of a room from a number on';

CREATE FUNCTION rt_private.page_before(room_id bigint, before bigint, most integer,
	OUT page json, OUT has_more boolean, OUT last_seq bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	SELECT coalesce(json_agg(rt_private.message_json(t.m) ORDER BY t.n DESC) FILTER (WHERE t.n <= most), '[]'), count(*) > most,
		(SELECT r.last_seq FROM rt.rooms AS r WHERE r.id = page_before.room_id)
	INTO page, has_more, last_seq
	FROM (SELECT m, row_number() OVER (ORDER BY m.seq DESC) AS n FROM rt.messages AS m
		WHERE m.room_id = page_before.room_id AND m.seq < coalesce(before, 9223372036854775807)
		ORDER BY m.seq DESC LIMIT most + 1) AS t;
END
$$;
COMMENT ON FUNCTION rt_private.page_before(bigint, bigint, integer) IS 'the newest messages of a room below a number, rising';

-- What a page of messages lacks, since a reaction is no part of a message: [{ messageId, emoji, userIds }], rising.
CREATE FUNCTION rt_private.page_reactions(room_id bigint, page json) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT coalesce(json_agg(json_build_object('messageId', rt_private.message_id(t.room_id, t.seq), 'emoji', t.emoji,
		'userIds', t.users) ORDER BY t.seq, t.first), '[]')
	FROM (SELECT r.room_id, r.seq, r.emoji, json_agg(r.user_id ORDER BY r.created_at, r.user_id) AS users, min(r.created_at) AS first
		FROM rt.reactions AS r
		WHERE r.room_id = page_reactions.room_id
			AND r.seq BETWEEN (page -> 0 ->> 'seq')::bigint AND (page -> -1 ->> 'seq')::bigint
		GROUP BY r.room_id, r.seq, r.emoji) AS t
$$;
COMMENT ON FUNCTION rt_private.page_reactions(bigint, json) IS 'the reactions to a page of messages';

CREATE FUNCTION rt_api.message_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r rt.rooms := rt_private.api_room(actor, req);
	after bigint := rt_private.req_seq(req, 'afterSeq');
	before bigint := rt_private.req_seq(req, 'beforeSeq');
	most integer := rt_private.req_limit(req, 50, 200);
	found_page record;
BEGIN
	IF after IS NULL THEN
		SELECT * INTO found_page FROM rt_private.page_before(r.id, before, most);
	ELSE
		SELECT * INTO found_page FROM rt_private.page_after(r.id, after, before, most, 16777216);
	END IF;
	RETURN json_build_object('status', 200, 'data', found_page.page, 'hasMore', found_page.has_more,
		'count', json_array_length(found_page.page), 'lastSeq', found_page.last_seq,
		'reactions', rt_private.page_reactions(r.id, found_page.page));
END
$$;
COMMENT ON FUNCTION rt_api.message_list(text, jsonb) IS 'GET /api/chat/rooms/:id/msgs';

CREATE FUNCTION rt_api.sync_rooms(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most integer := rt_private.req_limit(req, 200, 1000);
	-- An answer must fit into what a gateway keeps for one socket; what does not is asked for again.
	bytes_left bigint := 800000;
	asked jsonb := rt_private.req_array(req, 'rooms', 1000);
	answer json := '[]';
	one jsonb;
	after bigint;
	parts json[] := '{}';
	r rt.rooms;
	found_page record;
BEGIN
	FOR one IN SELECT jsonb_array_elements(asked) LOOP
		IF jsonb_typeof(one) <> 'object' THEN
			RAISE EXCEPTION 'rooms must be an array of objects' USING ERRCODE = 'RT400';
		END IF;
		after := rt_private.req_seq(one, 'afterSeq');
		IF after IS NULL THEN
			RAISE EXCEPTION 'afterSeq is missing' USING ERRCODE = 'RT400';
		END IF;
		r := rt_private.api_room(actor, one);
		SELECT * INTO found_page FROM rt_private.page_after(r.id, after, NULL, most, bytes_left);
		bytes_left := bytes_left - found_page.size;
		parts := parts || json_build_object('roomId', r.id::text, 'messages', found_page.page, 'lastSeq', found_page.last_seq,
			'hasMore', found_page.has_more);
	END LOOP;
	IF cardinality(parts) > 0 THEN
		answer := array_to_json(parts);
	END IF;
	RETURN json_build_object('rooms', answer);
END
$$;
COMMENT ON FUNCTION rt_api.sync_rooms(text, jsonb) IS 'sync-rooms';

-- A common word is in so many messages that finding and sorting them takes long; but then the newest of each room have
-- enough of them.  The answer is exact if that many are newer than all that was not looked at, else it is null.
CREATE FUNCTION rt_private.search_newest(rooms bigint[], words tsquery, most integer) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most_messages CONSTANT integer := 4000;
	most_bytes CONSTANT integer := 2000000;
	nrooms integer := greatest(cardinality(rooms), 1);
	a_room integer := most_messages / nrooms;
	hits json;
	found_hits bigint;
	is_all boolean;
BEGIN
	IF a_room < 10 THEN
		RETURN NULL;
	END IF;
	WITH page AS (
		SELECT m.*, row_number() OVER w = a_room OR sum(octet_length((m.m).content)) OVER w > most_bytes / nrooms AS is_last
		FROM unnest(rooms) AS r (id)
		CROSS JOIN LATERAL (SELECT m FROM rt.messages AS m WHERE m.room_id = r.id ORDER BY m.seq DESC LIMIT a_room) AS m
		WINDOW w AS (PARTITION BY r.id ORDER BY (m.m).seq DESC)
	), unseen AS (
		SELECT max((p.m).created_at) AS newest FROM page AS p WHERE p.is_last
	), newest AS (
		SELECT p.m FROM page AS p, unseen AS u
		WHERE NOT p.is_last AND (u.newest IS NULL OR (p.m).created_at > u.newest)
			AND (p.m).deleted_at IS NULL AND to_tsvector('simple', (p.m).content) @@ words
		ORDER BY (p.m).created_at DESC, (p.m).room_id, (p.m).seq DESC LIMIT most
	)
	SELECT count(n.m), coalesce(json_agg(rt_private.message_json(n.m) ORDER BY (n.m).created_at DESC, (n.m).room_id, (n.m).seq DESC), '[]'),
		(SELECT u.newest IS NULL FROM unseen AS u)
	INTO found_hits, hits, is_all FROM newest AS n;
	RETURN CASE WHEN is_all OR found_hits = most THEN hits END;
END
$$;
COMMENT ON FUNCTION rt_private.search_newest(bigint[], tsquery, integer) IS
	'the newest messages with some words, or null where that cannot be told from the last few thousand';

CREATE FUNCTION rt_api.search(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	words tsquery := websearch_to_tsquery('simple', rt_private.req_text(req, 'q'));
	most integer := rt_private.req_limit(req, 50, 200);
	room bigint := rt_private.req_id_opt(req, 'roomId');
	rooms bigint[];
	hits json;
BEGIN
	PERFORM rt_private.check_user(actor);
	IF room IS NOT NULL THEN
		PERFORM rt_private.api_room(actor, req);
	END IF;
	rooms := ARRAY(SELECT mine.room_id FROM rt.room_members AS mine
		WHERE mine.user_id = actor AND (room IS NULL OR mine.room_id = room));
	hits := rt_private.search_newest(rooms, words, most);
	IF hits IS NULL THEN
		SELECT coalesce(json_agg(rt_private.message_json(t.m) ORDER BY (t.m).created_at DESC, (t.m).room_id, (t.m).seq DESC), '[]') INTO hits
		FROM (SELECT m FROM rt.messages AS m
			WHERE to_tsvector('simple', m.content) @@ words AND m.deleted_at IS NULL AND m.room_id = ANY (rooms)
			ORDER BY m.created_at DESC, m.room_id, m.seq DESC LIMIT most) AS t;
	END IF;
	RETURN json_build_object('status', 200, 'data', hits, 'count', json_array_length(hits));
END
$$;
COMMENT ON FUNCTION rt_api.search(text, jsonb) IS 'GET /api/chat/search';
-- Meetings, as the gateway asks for them.  Every function is rt_api.<name>(actor text, req jsonb) RETURNS json.
--
-- EVENTS.  The request is the client's payload; the gateway puts these keys over whatever the client sent:
--
--   sid       the socket's id                    gateway   the gateway's name, as in gateway_start
--
-- The result is the acknowledgement's content, and the payload of the event that goes to the caller, where
-- there is one.
--
--   event of the client       function              result
--   join-meeting              meeting_join          { meeting, participantId, participants, webrtcConfig }  -> meeting-joined
--   leave-meeting             meeting_leave         { meetingId, participantId }
--   media-status-update       meeting_media         { meetingId, participantId, userId, video, audio, screenSharing }
--   send-message              meeting_say           { meetingId, message }
--   typing                    meeting_typing        { meetingId, userId, userName, typing, ... }
--   send-reaction             meeting_react         { meetingId, participantId, userId, userName, reaction, timestamp }
--   raise-hand                meeting_hand          { meetingId, participantId, userId, userName, raised, timestamp, hands }
--   mute-participant          meeting_mute          { meetingId, participantId, kind, muted }
--   remove-participant        meeting_remove        { meetingId, participantId, reason }
--   update-participant-role   meeting_role          { meetingId, participantId, userId, role, by }
--   lock-meeting              meeting_lock          { meetingId, meeting }
--   end-meeting               meeting_close         { meetingId, meeting }
--   toggle-recording          meeting_record        { meetingId, recording, startedBy }
--
-- What the others see leaves through the bus, from triggers.  Two events are for the gateways alone, in the
-- same order as the rest, and say which sockets a route {"meeting": ...} reaches:
--
--   rt:meeting-member  { meetingId, participantId, userId, sid, gateway, member: true | false }
--   rt:meeting-closed  { meetingId }       the meeting has ended or is gone: nobody is in it any more
--
-- A socket belongs to the meeting from rt:meeting-member with member true on; what a gateway gets before the
-- acknowledgement of meeting_join, but after that event, goes to the socket behind meeting-joined.  `participants`
-- of meeting-joined is exactly the state at that event.  With member false it gets what comes before, its own
-- removed-from-meeting included, and nothing after.
--
-- CONNECTIONS
--
--   meeting_disconnected  { sid, gateway }  the socket dropped: its places are kept for rt.meeting_grace
--                                           -> { meetings: [{ meetingId, participantId }] }
--   meeting_resume        { sid, gateway }  a socket was recovered under its old id: it takes its places back
--                                           -> { meetings: [{ meetingId, participantId }] }
--   meeting_sweep         { }               each gateway, about once a second (actor NULL): ends the places whose
--                                           grace is over, those of dead gateways included, gives up dead media
--                                           workers.  -> { left, workersLost }
--
-- REST.  The request is body, path and query in one object; the result { status, data, ... }.
--
--   GET    /api/meetings                    meetings_list           limit, before, status -> count, hasMore beside data
--   POST   /api/meetings                    meeting_create          201
--   GET    /api/meetings/:meetingId         meeting_get
--   PATCH  /api/meetings/:meetingId         meeting_update          title, password (null: none), maxParticipants, startsAt,
--                                                                   access, roomId, locked, inviteeIds (invites them, again)
--   DELETE /api/meetings/:meetingId         meeting_delete
--   POST   /api/meetings/:meetingId/start   meeting_start
--   POST   /api/meetings/:meetingId/end     meeting_end
--   POST   /api/meetings/:meetingId/join    meeting_check_join      password
--   GET    .../:meetingId/participants      meeting_participants
--   GET    .../:meetingId/messages          meeting_messages        limit, before (a message's id)
--   GET    .../:meetingId/webrtc-config     meeting_webrtc_config
--   GET    .../:meetingId/recordings        meeting_recordings

-- ---- who asks ---------------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_act(actor text, req jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rt_private.act_as(actor);
	PERFORM set_config('rt_private.socket_id', coalesce(req ->> 'sid', ''), true);
END
$$;
COMMENT ON FUNCTION rt_private.meeting_act(text, jsonb) IS 'lets the transaction act for a user, and for the socket that asks';

-- For what a crash of the server makes void anyway: signalling need not wait for the disk.
CREATE FUNCTION rt_private.soft_commit() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
END
$$;
COMMENT ON FUNCTION rt_private.soft_commit() IS 'lets the transaction commit without waiting for the disk';

-- The participant as whom a socket asks, in a role that may do what it asks for.
CREATE FUNCTION rt_private.meeting_member(actor text, req jsonb, action text, lock boolean DEFAULT true)
RETURNS rt.meeting_participants
LANGUAGE plpgsql AS $$
DECLARE
	meeting bigint := rt_private.req_id(req, 'meetingId');
	status text;
	p rt.meeting_participants;
BEGIN
	IF lock THEN
		SELECT m.status INTO status FROM rt.meetings AS m WHERE m.id = meeting FOR NO KEY UPDATE;
	ELSE
		SELECT m.status INTO status FROM rt.meetings AS m WHERE m.id = meeting;
	END IF;
	IF status IS NULL THEN
		RAISE EXCEPTION 'Meeting not found' USING ERRCODE = 'RT404';
	ELSIF status = 'ended' THEN
		RAISE EXCEPTION 'Meeting has ended' USING ERRCODE = 'RT410';
	END IF;
	SELECT t.* INTO p
	FROM rt.meeting_participants AS t
	WHERE t.meeting_id = meeting AND t.socket_id = req ->> 'sid' AND t.user_id = meeting_member.actor AND t.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'you are not in the meeting' USING ERRCODE = 'RT403';
	ELSIF NOT coalesce(action = ANY (rt_private.meeting_permissions(p.role)), true) THEN
		RAISE EXCEPTION 'a % may not do that', p.role USING ERRCODE = 'RT403';
	END IF;
	RETURN p;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_member(text, jsonb, text, boolean)
	IS 'the participant that asks, checked for what it asks; action null: anything';

CREATE FUNCTION rt_private.meeting_target(p rt.meeting_participants, req jsonb) RETURNS rt.meeting_participants
LANGUAGE plpgsql STABLE AS $$
DECLARE
	target rt.meeting_participants;
BEGIN
	SELECT t.* INTO target
	FROM rt.meeting_participants AS t
	WHERE t.id = rt_private.req_id(req, 'participantId') AND t.meeting_id = p.meeting_id AND t.left_at IS NULL;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Participant not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN target;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_target(rt.meeting_participants, jsonb) IS 'the participant of the same meeting to whom something is to be done';

-- ---- joining ----------------------------------------------------------------------------------------------

-- In the contract's order.  Who is in the grace returns past all that comes after "has ended".
CREATE FUNCTION rt_private.meeting_check_access(m rt.meetings, actor text, password text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	is_host boolean := coalesce(m.host_id = actor, false);
BEGIN
	PERFORM rt_private.check_user(actor);
	IF NOT coalesce(rt_private.meeting_may_join(m, actor), false) THEN
		RAISE EXCEPTION 'Access denied' USING ERRCODE = 'RT403';
	ELSIF m.locked AND NOT is_host THEN
		RAISE EXCEPTION 'Meeting is locked' USING ERRCODE = 'RT403';
	ELSIF m.password_hash IS NOT NULL AND NOT is_host
		AND NOT rt_private.password_matches(password, m.password_hash)
	THEN
		RAISE EXCEPTION 'Wrong password' USING ERRCODE = 'RT4WP';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_check_access(rt.meetings, text, text) IS 'access, lock and password, in this order';

CREATE FUNCTION rt_private.meeting_check_capacity(m rt.meetings) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT count(*) FROM rt.meeting_participants AS p WHERE p.meeting_id = m.id AND p.left_at IS NULL)
		>= m.max_participants
	THEN
		RAISE EXCEPTION 'Meeting is full' USING ERRCODE = 'RT4FU';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_check_capacity(rt.meetings) IS 'refuses when no place is left; with the meeting locked, no two get the last one';

CREATE FUNCTION rt_private.meeting_find_open(meeting_id bigint) RETURNS rt.meetings
LANGUAGE plpgsql STABLE AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = meeting_find_open.meeting_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Meeting not found' USING ERRCODE = 'RT404';
	ELSIF m.status = 'ended' THEN
		RAISE EXCEPTION 'Meeting has ended' USING ERRCODE = 'RT410';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_find_open(bigint) IS 'a meeting that is there and has not ended';

CREATE FUNCTION rt_private.req_password(req jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	value jsonb := coalesce(nullif(req -> 'password', 'null'), nullif(req -> 'meeting_password', 'null'));
BEGIN
	IF jsonb_typeof(value) <> 'string' THEN
		RAISE EXCEPTION 'password must be a string' USING ERRCODE = 'RT400';
	END IF;
	RETURN value #>> '{}';
END
$$;
COMMENT ON FUNCTION rt_private.req_password(jsonb) IS 'the password in a request, under either of its names; null if there is none';

-- The place that a socket already has, or one of the same user's whose socket is gone.
CREATE FUNCTION rt_private.meeting_kept_place(meeting_id bigint, actor text, sid text) RETURNS rt.meeting_participants
LANGUAGE plpgsql STABLE AS $$
DECLARE
	kept rt.meeting_participants;
BEGIN
	SELECT p.* INTO kept
	FROM rt.meeting_participants AS p
	WHERE p.meeting_id = meeting_kept_place.meeting_id AND p.user_id = actor AND p.left_at IS NULL
		AND (p.disconnected_at IS NOT NULL OR p.socket_id = sid)
	ORDER BY p.socket_id = sid DESC NULLS LAST, p.disconnected_at DESC
	LIMIT 1;
	RETURN kept;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_kept_place(bigint, text, text) IS 'the place in a meeting that a socket may take back';

-- Who was in it before has the role it had, so that leaving and joining anew makes nobody more than they were made.
CREATE FUNCTION rt_private.meeting_role_for(m rt.meetings, actor text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN coalesce(
		(SELECT p.role FROM rt.meeting_participants AS p
			WHERE p.meeting_id = m.id AND p.user_id = actor ORDER BY p.id DESC LIMIT 1),
		CASE WHEN m.host_id = actor THEN 'host' END,
		(SELECT i.role FROM rt.meeting_invitees AS i WHERE i.meeting_id = m.id AND i.user_id = actor),
		'participant');
END
$$;
COMMENT ON FUNCTION rt_private.meeting_role_for(rt.meetings, text) IS 'the role in which a user joins';

CREATE FUNCTION rt_private.meeting_take_place(m rt.meetings, actor text, req jsonb) RETURNS rt.meeting_participants
LANGUAGE plpgsql AS $$
DECLARE
	name text := nullif(btrim(rt_private.req_text_opt(req, 'displayName')), '');
	p rt.meeting_participants;
BEGIN
	p := rt_private.meeting_kept_place(m.id, actor, req ->> 'sid');
	IF p.id IS NOT NULL THEN
		UPDATE rt.meeting_participants AS t
		SET socket_id = req ->> 'sid', gateway = req ->> 'gateway', disconnected_at = NULL,
			display_name = coalesce(name, t.display_name)
		WHERE t.id = p.id
		RETURNING t.* INTO p;
		RETURN p;
	END IF;
	PERFORM rt_private.meeting_check_capacity(m);
	INSERT INTO rt.meeting_participants (meeting_id, user_id, display_name, role, socket_id, gateway)
	VALUES (m.id, actor, name, rt_private.meeting_role_for(m, actor), req ->> 'sid', req ->> 'gateway')
	RETURNING * INTO p;
	RETURN p;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_take_place(rt.meetings, text, jsonb) IS 'makes a participant, or gives a kept place back; the meeting is locked';

CREATE FUNCTION rt_private.webrtc_config(router_id text) RETURNS json
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN json_build_object('routerId', webrtc_config.router_id,
		'rtpCapabilities', rt_private.router_rtp_capabilities(),
		'iceServers', (
			SELECT coalesce(json_agg(json_strip_nulls(json_build_object('urls', s.url, 'username', s.username,
				'credential', s.credential)) ORDER BY s.url), '[]')
			FROM rt.ice_servers AS s),
		'iceTransportPolicy', 'all');
END
$$;
COMMENT ON FUNCTION rt_private.webrtc_config(text) IS 'webrtcConfig of the wire contract';

-- Only what starts a meeting waits for the disk: whoever was in it when the server crashed has lost the connection, too, and
-- joins again.
--
-- What costs (bcrypt) is checked before the meeting is locked; what can change in between, once more after it.
CREATE FUNCTION rt_api.meeting_join(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
	p rt.meeting_participants;
	router rt_private.media_routers;
	sid text := rt_private.req_text(req, 'sid');
	password text := rt_private.req_password(req);
	checked text;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	m := rt_private.meeting_find_open(rt_private.req_id(req, 'meetingId'));
	p := rt_private.meeting_kept_place(m.id, actor, sid);
	IF p.id IS NULL THEN
		PERFORM rt_private.meeting_check_access(m, actor, password);
		checked := m.password_hash;
	END IF;
	m := rt_private.meeting_lock_open(m.id);
	p := rt_private.meeting_kept_place(m.id, actor, sid);
	IF p.id IS NULL THEN
		IF m.password_hash IS NOT DISTINCT FROM checked THEN
			m.password_hash := NULL;
		END IF;
		PERFORM rt_private.meeting_check_access(m, actor, password);
	END IF;
	UPDATE rt.meetings AS t SET status = 'live' WHERE t.id = m.id AND t.status = 'scheduled';
	IF NOT FOUND THEN
		PERFORM rt_private.soft_commit();
	END IF;
	p := rt_private.meeting_take_place(m, actor, req);
	router := rt_private.media_place(m.id);
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = m.id;
	RETURN json_build_object('meeting', rt_private.meeting_json(m), 'participantId', p.id::text,
		'participants', rt_private.participants_json(m.id), 'webrtcConfig', rt_private.webrtc_config(router.id));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_join(text, jsonb) IS 'join-meeting';

CREATE FUNCTION rt_api.meeting_leave(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, NULL);
	UPDATE rt.meeting_participants AS t SET left_at = clock_timestamp(), left_reason = 'left' WHERE t.id = p.id;
	RETURN json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_leave(text, jsonb) IS 'leave-meeting';

-- ---- sockets that drop and come back --------------------------------------------------------------------------

CREATE FUNCTION rt_private.meeting_grace() RETURNS interval
LANGUAGE sql STABLE AS $$
	SELECT current_setting('rt.meeting_grace')::interval
$$;
COMMENT ON FUNCTION rt_private.meeting_grace() IS 'how long a place is kept';

CREATE FUNCTION rt_private.places_json(places rt.meeting_participants[]) RETURNS json
LANGUAGE sql STABLE AS $$
	SELECT json_build_object('meetings', coalesce(json_agg(json_build_object('meetingId', p.meeting_id::text,
		'participantId', p.id::text) ORDER BY p.meeting_id), '[]'))
	FROM unnest(places) AS p
$$;
COMMENT ON FUNCTION rt_private.places_json(rt.meeting_participants[]) IS 'meetings and participants of a socket';

-- The gateway is named too: a session that went over to another one is not its predecessor's to end.
CREATE FUNCTION rt_api.meeting_disconnected(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sid text := rt_private.req_text(req, 'sid');
	from_gateway text := rt_private.req_text(req, 'gateway');
	places rt.meeting_participants[];
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	WITH dropped AS (
		UPDATE rt.meeting_participants AS p
		SET disconnected_at = clock_timestamp()
		WHERE p.socket_id = sid AND p.gateway = from_gateway
			AND p.left_at IS NULL AND p.disconnected_at IS NULL
		RETURNING p)
	SELECT array_agg(d.p) INTO places FROM dropped AS d;
	RETURN rt_private.places_json(places);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_disconnected(text, jsonb) IS 'a socket has dropped: its places are kept for a while';

CREATE FUNCTION rt_api.meeting_resume(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	places rt.meeting_participants[];
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	PERFORM FROM rt.meetings AS m
	WHERE m.id IN (
		SELECT p.meeting_id FROM rt.meeting_participants AS p
		WHERE p.socket_id = rt_private.req_text(req, 'sid') AND p.left_at IS NULL)
	ORDER BY m.id FOR NO KEY UPDATE;
	WITH resumed AS (
		UPDATE rt.meeting_participants AS p
		SET disconnected_at = NULL, gateway = rt_private.req_text(req, 'gateway')
		WHERE p.socket_id = rt_private.req_text(req, 'sid') AND p.user_id = meeting_resume.actor AND p.left_at IS NULL
		RETURNING p)
	SELECT array_agg(r.p) INTO places FROM resumed AS r;
	RETURN rt_private.places_json(places);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_resume(text, jsonb) IS 'a socket was recovered: it takes its places back';

-- Looks at each gateway that participants name, not at each participant: a few index probes.
CREATE FUNCTION rt_private.meeting_dead_gateways() RETURNS text[]
LANGUAGE sql STABLE AS $$
	WITH RECURSIVE named (gateway) AS (
		(SELECT p.gateway FROM rt.meeting_participants AS p
			WHERE p.left_at IS NULL AND p.disconnected_at IS NULL AND p.gateway IS NOT NULL
			ORDER BY p.gateway LIMIT 1)
		UNION ALL
		SELECT (
			SELECT p.gateway FROM rt.meeting_participants AS p
			WHERE p.left_at IS NULL AND p.disconnected_at IS NULL AND p.gateway > n.gateway
			ORDER BY p.gateway LIMIT 1)
		FROM named AS n
		WHERE n.gateway IS NOT NULL
	)
	SELECT coalesce(array_agg(n.gateway), '{}') FROM named AS n
	WHERE n.gateway IS NOT NULL AND NOT rt_private.gateway_alive(n.gateway)
$$;
COMMENT ON FUNCTION rt_private.meeting_dead_gateways() IS 'gateways that participants are connected to, and that are dead';

CREATE FUNCTION rt_private.meeting_drop_dead_gateways() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	dead text[] := rt_private.meeting_dead_gateways();
BEGIN
	IF dead <> '{}' THEN
		UPDATE rt.meeting_participants AS p
		SET disconnected_at = clock_timestamp()
		WHERE p.left_at IS NULL AND p.disconnected_at IS NULL AND p.gateway = ANY (dead);
	END IF;
	UPDATE rt.meeting_participants AS p
	SET disconnected_at = clock_timestamp()
	WHERE p.left_at IS NULL AND p.disconnected_at IS NULL AND p.gateway IS NULL;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_drop_dead_gateways() IS 'lets the grace begin for participants whose gateway is dead, or who have none';

-- A hundred meetings a call at most; the next call does the rest.
CREATE FUNCTION rt_private.meeting_end_places() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	meeting bigint;
	limit_at timestamptz := clock_timestamp() - rt_private.meeting_grace();
	ended bigint;
	total bigint := 0;
BEGIN
	FOR meeting IN
		SELECT m.id FROM rt.meetings AS m
		WHERE m.id IN (
			SELECT p.meeting_id FROM rt.meeting_participants AS p
			WHERE p.left_at IS NULL AND p.disconnected_at < limit_at)
		ORDER BY m.id LIMIT 100 FOR NO KEY UPDATE SKIP LOCKED
	LOOP
		UPDATE rt.meeting_participants AS p
		SET left_at = clock_timestamp(), left_reason = 'disconnected'
		WHERE p.meeting_id = meeting AND p.left_at IS NULL AND p.disconnected_at < limit_at;
		GET DIAGNOSTICS ended = ROW_COUNT;
		total := total + ended;
	END LOOP;
	RETURN total;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_end_places() IS 'puts out those whose grace is over, and returns how many';

CREATE FUNCTION rt_api.meeting_sweep(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	gone bigint;
	lost integer;
BEGIN
	PERFORM rt_private.meeting_act(NULL, '{}');
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.follow_clock();
	lost := rt_private.media_sweep();
	PERFORM rt_private.meeting_drop_dead_gateways();
	gone := rt_private.meeting_end_places();
	RETURN json_build_object('left', gone, 'workersLost', lost);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_sweep(text, jsonb) IS 'ends what has been kept long enough; cheap when there is nothing';
-- Meetings: what a client in one does, and what hosts do.  Shapes are at the top of 75_api_meetings.sql; who may do what
-- is in rt_private.meeting_permissions().

-- ---- in the meeting -----------------------------------------------------------------------------------------

CREATE FUNCTION rt_api.meeting_media(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	PERFORM rt_private.soft_commit();
	p := rt_private.meeting_member(actor, req, NULL);
	UPDATE rt.meeting_participants AS t
	SET video = rt_private.req_bool(req, 'video'), audio = rt_private.req_bool(req, 'audio'),
		screen_sharing = rt_private.req_bool(req, 'screenSharing')
	WHERE t.id = p.id
	RETURNING t.* INTO p;
	RETURN rt_private.media_updated_json(p);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_media(text, jsonb) IS 'media-status-update';

-- A participant's id, or a user's; the user's then reaches all of their devices.
CREATE FUNCTION rt_private.meeting_recipient(meeting_id bigint, recipient text) RETURNS rt.meeting_participants
LANGUAGE plpgsql STABLE AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	SELECT t.* INTO p
	FROM rt.meeting_participants AS t
	WHERE t.meeting_id = meeting_recipient.meeting_id AND t.id::text = recipient AND t.left_at IS NULL;
	IF NOT FOUND THEN
		SELECT t.* INTO p
		FROM rt.meeting_participants AS t
		WHERE t.meeting_id = meeting_recipient.meeting_id AND t.user_id = recipient AND t.left_at IS NULL
		ORDER BY t.id LIMIT 1;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Recipient not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN p;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_recipient(bigint, text) IS 'whom a private message is for';

CREATE FUNCTION rt_api.meeting_say(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	kind text := rt_private.req_choice(req, 'recipientType', ARRAY['all', 'private', 'host'], 'all');
	said text := rt_private.req_text(req, 'message');
	recipient rt.meeting_participants;
	m rt.meeting_messages;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'chat');
	IF kind = 'private' THEN
		recipient := rt_private.meeting_recipient(p.meeting_id, rt_private.req_name(req, 'recipientId'));
	END IF;
	INSERT INTO rt.meeting_messages (meeting_id, sender_id, sender_participant_id, sender_name, message, recipient_type,
		recipient_id, recipient_participant_id)
	VALUES (p.meeting_id, actor, p.id, p.display_name, said, kind, recipient.user_id, recipient.id)
	RETURNING * INTO m;
	RETURN json_build_object('meetingId', p.meeting_id::text, 'message', rt_private.meeting_message_json(m));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_say(text, jsonb) IS 'send-message';

CREATE FUNCTION rt_api.meeting_typing(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	payload json;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'chat', false);
	payload := json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
		'userName', p.display_name, 'typing', rt_private.req_bool(req, 'typing'));
	PERFORM rt_private.meeting_emit('user-typing', p.meeting_id, payload, except_socket => p.socket_id, logged => false);
	RETURN payload;
END
$$;
COMMENT ON FUNCTION rt_api.meeting_typing(text, jsonb) IS 'typing in a meeting';

CREATE FUNCTION rt_api.meeting_react(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	reaction text := rt_private.req_text(req, 'reaction');
	payload json;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'react', false);
	IF char_length(reaction) NOT BETWEEN 1 AND 64 THEN
		RAISE EXCEPTION 'reaction must have 1 to 64 characters' USING ERRCODE = 'RT400';
	END IF;
	payload := json_build_object('meetingId', p.meeting_id::text, 'participantId', p.id::text, 'userId', p.user_id,
		'userName', p.display_name, 'reaction', reaction, 'timestamp', rt_private.iso(clock_timestamp()));
	PERFORM rt_private.meeting_emit('participant-reaction', p.meeting_id, payload, logged => false);
	RETURN payload;
END
$$;
COMMENT ON FUNCTION rt_api.meeting_react(text, jsonb) IS 'send-reaction';

-- A hand that is up already keeps its place in the order.
CREATE FUNCTION rt_api.meeting_hand(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	PERFORM rt_private.soft_commit();
	p := rt_private.meeting_member(actor, req, 'raise-hand');
	UPDATE rt.meeting_participants AS t
	SET hand_raised_at = CASE WHEN rt_private.req_bool(req, 'raised') THEN coalesce(t.hand_raised_at, clock_timestamp()) END
	WHERE t.id = p.id
	RETURNING t.* INTO p;
	RETURN rt_private.hand_raised_json(p);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_hand(text, jsonb) IS 'raise-hand';

-- ---- hosts ----------------------------------------------------------------------------------------------------

CREATE FUNCTION rt_api.meeting_mute(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target rt.meeting_participants;
	kind text := rt_private.req_choice(req, 'kind', ARRAY['audio', 'video'], 'audio');
	muted boolean := rt_private.req_bool(req, 'mute');
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	target := rt_private.meeting_target(rt_private.meeting_member(actor, req, 'mute'), req);
	PERFORM rt_private.participant_set_muted(target, kind, muted);
	RETURN json_build_object('meetingId', target.meeting_id::text, 'participantId', target.id::text, 'kind', kind,
		'muted', muted);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_mute(text, jsonb) IS 'mute-participant';

CREATE FUNCTION rt_api.meeting_remove(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	target rt.meeting_participants;
	reason text := rt_private.req_text_opt(req, 'reason');
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'remove');
	target := rt_private.meeting_target(p, req);
	IF target.role = 'host' AND p.role <> 'host' THEN
		RAISE EXCEPTION 'a % may not remove a host', p.role USING ERRCODE = 'RT403';
	END IF;
	PERFORM rt_private.participant_remove(target, reason);
	RETURN json_build_object('meetingId', target.meeting_id::text, 'participantId', target.id::text, 'reason', reason);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_remove(text, jsonb) IS 'remove-participant';

CREATE FUNCTION rt_api.meeting_role(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target rt.meeting_participants;
	new_role text := rt_private.req_choice(req, 'role', ARRAY['host', 'co-host', 'participant', 'viewer']);
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	target := rt_private.meeting_target(rt_private.meeting_member(actor, req, 'role'), req);
	IF target.role = 'host' AND new_role <> 'host' AND NOT EXISTS (
		SELECT FROM rt.meeting_participants AS o
		WHERE o.meeting_id = target.meeting_id AND o.left_at IS NULL AND o.role = 'host' AND o.id <> target.id)
	THEN
		RAISE EXCEPTION 'a meeting keeps at least one host' USING ERRCODE = 'RT409';
	END IF;
	UPDATE rt.meeting_participants AS t SET role = new_role WHERE t.id = target.id;
	RETURN json_build_object('meetingId', target.meeting_id::text, 'participantId', target.id::text,
		'userId', target.user_id, 'role', new_role, 'by', actor);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_role(text, jsonb) IS 'update-participant-role';

CREATE FUNCTION rt_private.meeting_ack(meeting_id bigint) RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = meeting_ack.meeting_id;
	RETURN json_build_object('meetingId', m.id::text, 'meeting', rt_private.meeting_json(m));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_ack(bigint) IS 'a meeting as it is now, as meeting-updated has it';

CREATE FUNCTION rt_api.meeting_lock(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	lock boolean := rt_private.req_bool(req, 'locked');
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'lock');
	UPDATE rt.meetings AS m SET locked = lock WHERE m.id = p.meeting_id;
	RETURN rt_private.meeting_ack(p.meeting_id);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_lock(text, jsonb) IS 'lock-meeting';

CREATE FUNCTION rt_api.meeting_close(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'end');
	UPDATE rt.meetings AS m SET status = 'ended' WHERE m.id = p.meeting_id;
	RETURN rt_private.meeting_ack(p.meeting_id);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_close(text, jsonb) IS 'end-meeting';

CREATE FUNCTION rt_private.meeting_can_record(meeting_id bigint) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
	SELECT EXISTS (
		SELECT FROM rt_private.media_routers AS r
		JOIN rt_private.media_workers AS w ON w.id = r.worker
		WHERE r.meeting_id = meeting_can_record.meeting_id AND w.can_record AND rt_private.media_alive(w))
$$;
COMMENT ON FUNCTION rt_private.meeting_can_record(bigint) IS 'the worker that carries the meeting has said that it can record';

CREATE FUNCTION rt_private.meeting_set_recording(p rt.meeting_participants, start boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF start THEN
		INSERT INTO rt.meeting_recordings (meeting_id, started_by) VALUES (p.meeting_id, p.user_id)
		ON CONFLICT DO NOTHING;
	ELSE
		UPDATE rt.meeting_recordings AS r
		SET stopped_at = clock_timestamp(), stopped_by = p.user_id
		WHERE r.meeting_id = p.meeting_id AND r.stopped_at IS NULL;
	END IF;
	IF FOUND THEN
		PERFORM rt_private.media_command(r.worker, 'record', r.meeting_id,
			jsonb_build_object('routerId', r.id, 'recording', start))
		FROM rt_private.media_routers AS r
		WHERE r.meeting_id = p.meeting_id;
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_set_recording(rt.meeting_participants, boolean) IS 'starts or stops a recording; again is no error';

CREATE FUNCTION rt_api.meeting_record(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	p rt.meeting_participants;
	start boolean := rt_private.req_bool(req, 'start');
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	p := rt_private.meeting_member(actor, req, 'record');
	IF NOT rt_private.meeting_can_record(p.meeting_id) THEN
		RAISE EXCEPTION 'nothing here can record' USING ERRCODE = 'RT503';
	END IF;
	PERFORM rt_private.meeting_set_recording(p, start);
	RETURN json_build_object('meetingId', p.meeting_id::text, 'recording', start, 'startedBy', (
		SELECT r.started_by FROM rt.meeting_recordings AS r WHERE r.meeting_id = p.meeting_id ORDER BY r.id DESC LIMIT 1));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_record(text, jsonb) IS 'toggle-recording';
-- Media signalling.  Every function is rt_api.<name>(actor text, req jsonb) RETURNS json.
--
-- THE GATEWAY'S SIDE
--
--   media_request  the client's payload, over which the gateway puts
--                    op       the client's event: create-transport, connect-transport, restart-ice, produce, consume,
--                             resume-consumer, pause-consumer, close-consumer, pause-producer, resume-producer,
--                             close-producer, set-preferred-layers, request-keyframe, get-stats
--                    sid      the socket's id          gateway  the gateway's name
--                    tag      the gateway's own name for this request, up to 64 characters
--                  -> { pending: "<request id>", event: "transport-connected" | ... | null }, or an error at once.
--                  `event` is what the caller gets beside the acknowledgement.
--                  create-transport -> { ack: {...}, event: "transport-created" }: that is the answer.  The worker hears of
--                  it, and has it before whatever is asked of that transport.
--
-- The answer to the others comes over the bus, possibly before the result of media_request is read (hence the tag):
--
--   rt:media-answer  route {"gateway":true,"to":"<gateway>"}
--     { requestId, to, sid, tag, event, ack: {...} }        acknowledge with ack, and emit event with it
--     { requestId, to, sid, tag, error: { code, message } } acknowledge with the error
--     { requestId, to, sid, tag, stored: true }             fetch it: it is long, or holds an ICE password
--
--   media_result   { requestIds: [..] }  -> { answers: [{ requestId, sid, tag, event, ack | error }] }, once each.
--
-- The gateway gives up after 5 s (unavailable); an answer that comes later than that is not accepted either.
--
-- THE MEDIA WORKER'S SIDE (actor NULL)
--
--   media_start      { worker, slot, addresses: [".."], udpPort, tcpPort, capacity, fingerprint: { algorithm, value },
--                      iceCandidates: [..], canRecord? } -> { heartbeatMs, relay }
--                    `worker` is new with each start of the program, `slot` says which worker of which host it is: a
--                    start in the same slot gives up the one before it.  capacity counts producers and consumers.
--   media_stop       { worker }  it is going: its meetings are placed anew at once
--   media_heartbeat  { worker, load, totals?: {..numbers..},
--                      stats?: [{ type: "transport" | "producer" | "consumer", id, ...figures }] }
--                    once a second or oftener -> { known: true | false, relay }.  Not known: the database has given it up
--                    (silent for over 3 s); it drops everything and calls media_start with a new name.  `relay` is the
--                    process whose notifications are to be believed.
--                    Figures that rt.stat_media shows: packets, bytes, lost, jitterMs, rttMs, bitrateBps, estimateBps,
--                    nacks, plis, spatialLayer, temporalLayer, score, reason, iceState, dtlsState, tuple.  The totals
--                    are for the gateways' /metrics, which have them of gateway_report.
--   rt:media-request route {"media":"<worker>"} { requestId, request?: REQUEST }: that request, and then media_fetch does
--                    not hand it out; or, without one, something waits: call media_fetch, unless one is under way (then
--                    once more after it).  One that comes while media_fetch is under way is behind what that brings.
--   media_fetch      { worker, again? } -> { requests: [REQUEST] } in order.  Each is handed out once; with again: true
--                    (after the connection broke, or when a notification was not the relay's) also those that were
--                    handed out, or notified of, and not answered, and the commands of the fetch before.  At most 200
--                    a call: with 200, call again.
--   media_answer     { worker, answers: [{ requestId, ok: true, result: {..} } | { requestId, ok: false, error: {code, message} }] }
--                    -> { void: ["<request id>"] }: requests that nobody waits for any more (the participant left, or
--                    5 s are over).  The worker undoes what it made for them.
--   media_event      { worker, events: [EVENT] } -> { }
--
-- REQUEST: { requestId, op, reply: true | false, meetingId, routerId, participantId, ... }; with reply false it is a command
-- that wants no answer.  Ids of new objects are made here and handed to the worker.
--
--   op                    has besides                                             result
--   connect-transport     transportId, dtlsParameters                             -
--   restart-ice           transportId                                             iceParameters
--   produce               transportId, producerId, kind, source, rtpParameters,   type ("simple" | "simulcast" | "svc")
--                         paused, muted
--   consume               transportId, consumerId, producerId, rtpCapabilities    rtpParameters, type
--   resume-consumer, pause-consumer, close-consumer, request-keyframe             -
--                         consumerId
--   pause-producer, resume-producer, close-producer                               -
--                         producerId
--   set-preferred-layers  consumerId, spatialLayer, temporalLayer (or null)       -
--   get-stats             transportId | producerId | consumerId                   stats: [..]
--
--   commands: create-transport { routerId, transportId, direction, iceParameters }, close-transports { transportIds: [..] }, close-producers { producerIds: [..] },
--             mute-producer { producerId, muted } (stops it whatever `paused` says), close-router { routerId },
--             record { routerId, recording } (to workers alone that said canRecord)
--   A router comes into being with the first request that names it.  Closing a transport closes what is on it, and
--   closing a producer its consumers; no event or answer is due for those.
--
-- EVENT: { type, ... }
--   active-speaker     { routerId, producerId, volume }
--   consumer-score     { consumerId, score, producerScore? }
--   layers-changed     { consumerId, spatialLayer, temporalLayer } (both null: nothing is forwarded)
--   transport-closed   { transportId, reason }          idle, DTLS failed, ...
--   transport-state    { transportId, iceState?, dtlsState? }

-- Tables of media are small and change all the time: a plan that was made while one was empty must not scan it whole when
-- what was deleted has filled it up.  Hence enable_seqscan, here and where other requests come to these tables.

-- ---- the gateway's side ---------------------------------------------------------------------------------------

CREATE FUNCTION rt_api.media_request(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	r rt_private.media_requests;
	w rt_private.media_workers;
BEGIN
	PERFORM rt_private.meeting_act(actor, req);
	PERFORM rt_private.soft_commit();
	r := rt_private.media_ask(actor, req);
	r.gateway := rt_private.req_text(req, 'gateway');
	r.socket_id := req ->> 'sid';
	r.tag := left(req ->> 'tag', 64);
	PERFORM rt_private.media_check_room(
		(SELECT count(*) FROM rt_private.media_requests AS q WHERE q.participant_id = r.participant_id), 64,
		'requests under way');
	SELECT t.* INTO w FROM rt_private.media_workers AS t WHERE t.id = r.worker AND rt_private.media_alive(t);
	IF NOT FOUND THEN
		PERFORM rt_private.media_unavailable();
	ELSIF r.op = 'create-transport' THEN
		RETURN json_build_object('ack', rt_private.media_make_transport(r, w), 'event', rt_private.media_event_of(r.op));
	END IF;
	RETURN json_build_object('pending', rt_private.media_send(r)::text, 'event', rt_private.media_event_of(r.op));
END
$$;
COMMENT ON FUNCTION rt_api.media_request(text, jsonb) IS 'a client''s media signalling; the answer comes as rt:media-answer';

CREATE FUNCTION rt_api.media_result(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	answers json;
BEGIN
	PERFORM rt_private.soft_commit();
	WITH taken AS (
		DELETE FROM rt_private.media_requests AS r
		WHERE r.id IN (SELECT e::bigint FROM jsonb_array_elements_text(req -> 'requestIds') AS e)
			AND r.answer IS NOT NULL
		RETURNING r.id, r.answer)
	SELECT coalesce(json_agg(t.answer ORDER BY t.id), '[]') INTO answers FROM taken AS t;
	RETURN json_build_object('answers', answers);
END
$$;
COMMENT ON FUNCTION rt_api.media_result(text, jsonb) IS 'answers that did not fit, or did not belong, into a notification';

-- ---- the worker's side ----------------------------------------------------------------------------------------

CREATE FUNCTION rt_api.media_start(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	former text;
BEGIN
	PERFORM rt_private.soft_commit();
	DELETE FROM rt_private.media_workers AS w WHERE w.slot = rt_private.req_text(req, 'slot') RETURNING w.id INTO former;
	INSERT INTO rt_private.media_workers (id, slot, addresses, udp_port, tcp_port, capacity, fingerprint, can_record, ice_candidates)
	VALUES (rt_private.req_text(req, 'worker'), req ->> 'slot',
		ARRAY(SELECT jsonb_array_elements_text(req -> 'addresses')), (req ->> 'udpPort')::integer,
		(req ->> 'tcpPort')::integer, (req ->> 'capacity')::integer, req -> 'fingerprint',
		coalesce((req ->> 'canRecord')::boolean, false), coalesce(req -> 'iceCandidates', '[]'));
	IF former IS NOT NULL THEN
		PERFORM rt_private.media_abandon(former, 'worker-restarted');
	END IF;
	RETURN json_build_object('heartbeatMs', 1000, 'relay', (SELECT s.pid FROM rt_private.stat_relay() AS s));
END
$$;
COMMENT ON FUNCTION rt_api.media_start(text, jsonb) IS 'a media worker registers itself';

CREATE FUNCTION rt_api.media_stop(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM rt_private.media_worker_lost(rt_private.req_text(req, 'worker'), 'worker-stopped');
	RETURN '{}'::json;
END
$$;
COMMENT ON FUNCTION rt_api.media_stop(text, jsonb) IS 'a media worker is going';

-- Never waits: answers take the same rows in another order.  What is being changed gets its figures a second later.
CREATE FUNCTION rt_private.media_store_stats(stats jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	UPDATE rt_private.media_transports AS o
	SET stats = f.stats
	FROM (
		SELECT t.id, s - 'type' - 'id' AS stats
		FROM jsonb_array_elements(media_store_stats.stats) AS s
		JOIN rt_private.media_transports AS t ON t.id = s ->> 'id'
		WHERE s ->> 'type' = 'transport'
		FOR NO KEY UPDATE OF t SKIP LOCKED) AS f
	WHERE o.id = f.id;
	UPDATE rt_private.media_producers AS o
	SET stats = f.stats
	FROM (
		SELECT t.id, s - 'type' - 'id' AS stats
		FROM jsonb_array_elements(media_store_stats.stats) AS s
		JOIN rt_private.media_producers AS t ON t.id = s ->> 'id'
		WHERE s ->> 'type' = 'producer'
		FOR NO KEY UPDATE OF t SKIP LOCKED) AS f
	WHERE o.id = f.id;
	UPDATE rt_private.media_consumers AS o
	SET stats = f.stats
	FROM (
		SELECT t.id, s - 'type' - 'id' AS stats
		FROM jsonb_array_elements(media_store_stats.stats) AS s
		JOIN rt_private.media_consumers AS t ON t.id = s ->> 'id'
		WHERE s ->> 'type' = 'consumer'
		FOR NO KEY UPDATE OF t SKIP LOCKED) AS f
	WHERE o.id = f.id;
END
$$;
COMMENT ON FUNCTION rt_private.media_store_stats(jsonb) IS 'keeps the figures that a worker reports, for rt.stat_media';

CREATE FUNCTION rt_api.media_heartbeat(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	known boolean;
BEGIN
	PERFORM rt_private.soft_commit();
	UPDATE rt_private.media_workers AS w
	SET heartbeat_at = clock_timestamp(), load = coalesce((req ->> 'load')::integer, w.load),
		totals = coalesce(req -> 'totals', w.totals)
	WHERE w.id = rt_private.req_text(req, 'worker');
	known := FOUND;
	IF known AND jsonb_typeof(req -> 'stats') = 'array' THEN
		PERFORM rt_private.media_store_stats(req -> 'stats');
	END IF;
	RETURN json_build_object('known', known, 'relay', (SELECT s.pid FROM rt_private.stat_relay() AS s));
END
$$;
COMMENT ON FUNCTION rt_api.media_heartbeat(text, jsonb) IS 'a media worker is alive, and how it fares';

-- A command is deleted by the fetch after the one that handed it out: whoever asks on has got it.
CREATE FUNCTION rt_api.media_fetch(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	again boolean := coalesce((req ->> 'again')::boolean, false);
	asker text := rt_private.req_text(req, 'worker');
	waiting bigint[];
	requests json;
BEGIN
	PERFORM rt_private.soft_commit();
	IF again THEN
		waiting := ARRAY(
			SELECT r.id FROM rt_private.media_requests AS r
			WHERE r.worker = asker AND r.answer IS NULL
			ORDER BY r.id LIMIT 200);
	ELSE -- by the index of those that are not fetched
		DELETE FROM rt_private.media_requests AS r WHERE r.worker = asker AND r.fetched AND r.gateway IS NULL;
		waiting := ARRAY(
			SELECT r.id FROM rt_private.media_requests AS r
			WHERE r.worker = asker AND NOT r.fetched AND r.answer IS NULL
			ORDER BY r.id LIMIT 200);
	END IF;
	SELECT coalesce(json_agg(rt_private.media_request_json(r) ORDER BY r.id), '[]') INTO requests
	FROM rt_private.media_requests AS r
	WHERE r.id = ANY (waiting);
	UPDATE rt_private.media_requests AS r SET fetched = true WHERE r.id = ANY (waiting) AND NOT r.fetched;
	RETURN json_build_object('requests', requests);
END
$$;
COMMENT ON FUNCTION rt_api.media_fetch(text, jsonb) IS 'hands a media worker what it is to do';

-- One answer.  False: nobody waits for it any more.
CREATE FUNCTION rt_private.media_answer_one(worker text, answer json) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	r rt_private.media_requests;
	ack json;
BEGIN
	SELECT q.* INTO r
	FROM rt_private.media_requests AS q
	WHERE q.id = (media_answer_one.answer ->> 'requestId')::bigint AND q.worker = media_answer_one.worker
		AND q.answer IS NULL
		AND q.created_at > clock_timestamp() - interval '5 seconds'
	FOR UPDATE;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	IF NOT (media_answer_one.answer ->> 'ok')::boolean THEN
		PERFORM rt_private.media_reply_error(r, coalesce(media_answer_one.answer #>> '{error,code}', 'internal'),
			coalesce(media_answer_one.answer #>> '{error,message}', 'the media worker could not do that'));
		RETURN true;
	END IF;
	PERFORM set_config('rt_private.socket_id', r.socket_id, true);
	ack := rt_private.media_settle(r, media_answer_one.answer -> 'result');
	IF ack IS NULL THEN
		PERFORM rt_private.media_reply_error(r, 'not_found', 'it was closed meanwhile');
		RETURN false;
	END IF;
	PERFORM rt_private.media_reply(r, json_build_object('event', rt_private.media_event_of(r.op), 'ack', ack),
		r.op = 'restart-ice');
	RETURN true;
END
$$;
COMMENT ON FUNCTION rt_private.media_answer_one(text, json) IS 'stores what a worker did, and tells the gateway that waits';

CREATE FUNCTION rt_api.media_answer(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	worker text := rt_private.req_text(req, 'worker');
	answer jsonb;
	void text[] := '{}';
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM FROM rt.meetings AS m
	WHERE m.id IN (
		SELECT r.meeting_id
		FROM jsonb_array_elements(req -> 'answers') AS a
		JOIN rt_private.media_requests AS r ON r.id = (a ->> 'requestId')::bigint
		WHERE rt_private.media_is_seen(r.op))
	ORDER BY m.id FOR NO KEY UPDATE;
	PERFORM FROM rt_private.media_requests AS r
	WHERE r.id IN (SELECT (a ->> 'requestId')::bigint FROM jsonb_array_elements(req -> 'answers') AS a)
	ORDER BY r.id FOR UPDATE;
	FOR answer IN SELECT a FROM jsonb_array_elements(req -> 'answers') AS a LOOP
		IF NOT rt_private.media_answer_one(worker, answer::json) THEN
			void := void || (answer ->> 'requestId');
		END IF;
	END LOOP;
	RETURN json_build_object('void', array_to_json(void));
END
$$;
COMMENT ON FUNCTION rt_api.media_answer(text, jsonb) IS 'a media worker has done, or refused, what was asked';

-- ---- what happens by itself ------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.media_tell_speaker(e jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	d rt_private.media_producers;
BEGIN
	SELECT o.* INTO d FROM rt_private.media_producers AS o WHERE o.id = e ->> 'producerId';
	IF FOUND THEN
		PERFORM rt_private.meeting_emit('active-speaker', d.meeting_id,
			json_build_object('meetingId', d.meeting_id::text, 'participantId', d.participant_id::text,
				'producerId', d.id, 'volume', e -> 'volume'), logged => false);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_tell_speaker(jsonb) IS 'emits active-speaker';

CREATE FUNCTION rt_private.media_tell_consumer(event text, e jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	c rt_private.media_consumers;
BEGIN
	SELECT o.* INTO c FROM rt_private.media_consumers AS o WHERE o.id = e ->> 'consumerId';
	IF FOUND THEN
		PERFORM rt_private.meeting_emit(media_tell_consumer.event, c.meeting_id,
			((e - 'type') || jsonb_build_object('meetingId', c.meeting_id::text, 'producerId', c.producer_id))::json,
			participants => ARRAY[c.participant_id], logged => false);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_tell_consumer(text, jsonb) IS 'emits consumer-score or layers-changed to the consumer''s owner';

CREATE FUNCTION rt_private.media_transport_closed(worker text, e jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	t rt_private.media_transports;
BEGIN
	DELETE FROM rt_private.media_transports AS o
	WHERE o.id = e ->> 'transportId' AND o.worker = media_transport_closed.worker
	RETURNING o.* INTO t;
	IF FOUND THEN
		PERFORM rt_private.media_emit_transport_closed(t, coalesce(e ->> 'reason', 'closed'), t.router_id);
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.media_transport_closed(text, jsonb) IS 'a transport has ended by itself: what was on it is closed';

CREATE FUNCTION rt_private.media_event_one(worker text, e jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	CASE e ->> 'type'
		WHEN 'active-speaker' THEN PERFORM rt_private.media_tell_speaker(e);
		WHEN 'consumer-score', 'layers-changed' THEN PERFORM rt_private.media_tell_consumer(e ->> 'type', e);
		WHEN 'transport-closed' THEN PERFORM rt_private.media_transport_closed(worker, e);
		WHEN 'transport-state' THEN
			UPDATE rt_private.media_transports AS t -- like figures, which tell it too
			SET stats = t.stats || (e - 'type' - 'transportId')
			WHERE t.id = (SELECT o.id FROM rt_private.media_transports AS o WHERE o.id = e ->> 'transportId'
				FOR NO KEY UPDATE SKIP LOCKED);
		ELSE
			RAISE EXCEPTION 'unknown media event' USING ERRCODE = 'RT400';
	END CASE;
END
$$;
COMMENT ON FUNCTION rt_private.media_event_one(text, jsonb) IS 'one event of a media worker';

CREATE FUNCTION rt_api.media_event(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
	worker text := rt_private.req_text(req, 'worker');
	e jsonb;
BEGIN
	PERFORM rt_private.soft_commit();
	PERFORM set_config('rt_private.socket_id', '', true);
	PERFORM FROM rt.meetings AS m
	WHERE m.id IN (
		SELECT t.meeting_id
		FROM jsonb_array_elements(req -> 'events') AS x
		JOIN rt_private.media_transports AS t ON t.id = x ->> 'transportId'
		WHERE x ->> 'type' = 'transport-closed')
	ORDER BY m.id FOR NO KEY UPDATE;
	FOR e IN SELECT x FROM jsonb_array_elements(req -> 'events') AS x LOOP
		PERFORM rt_private.media_event_one(worker, e);
	END LOOP;
	RETURN '{}'::json;
END
$$;
COMMENT ON FUNCTION rt_api.media_event(text, jsonb) IS 'what a media worker has seen happen';

-- Part of rt_api.meeting_sweep: workers that are silent, requests that nobody came for.
CREATE FUNCTION rt_private.media_sweep() RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	worker text;
	lost integer := 0;
BEGIN
	FOR worker IN
		SELECT w.id FROM rt_private.media_workers AS w WHERE NOT rt_private.media_alive(w) FOR UPDATE SKIP LOCKED
	LOOP
		PERFORM rt_private.media_worker_lost(worker, 'worker-lost');
		lost := lost + 1;
	END LOOP;
	DELETE FROM rt_private.media_requests AS r
	WHERE r.id IN (SELECT o.id FROM rt_private.media_requests AS o ORDER BY o.id LIMIT 1000)
		AND r.gateway IS NOT NULL AND r.created_at < clock_timestamp() - interval '15 seconds';
	RETURN lost;
END
$$;
COMMENT ON FUNCTION rt_private.media_sweep() IS 'gives up silent media workers, and returns how many';
-- Meetings by REST.  Shapes are at the top of 75_api_meetings.sql.  There is no socket here: the caller is the owner, or
-- somebody who has access.

CREATE FUNCTION rt_private.meeting_find(req jsonb) RETURNS rt.meetings
LANGUAGE plpgsql STABLE AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = rt_private.req_id(req, 'meetingId');
	IF NOT FOUND THEN
		RAISE EXCEPTION 'Meeting not found' USING ERRCODE = 'RT404';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_find(jsonb) IS 'the meeting that a request names';

CREATE FUNCTION rt_private.meeting_visible(actor text, req jsonb) RETURNS rt.meetings
LANGUAGE plpgsql STABLE AS $$
DECLARE
	m rt.meetings := rt_private.meeting_find(req);
BEGIN
	PERFORM rt_private.check_user(actor);
	IF NOT rt_private.meeting_may_see(m, actor) THEN
		RAISE EXCEPTION 'Access denied' USING ERRCODE = 'RT403';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_visible(text, jsonb) IS 'the meeting that a request names, if the caller may see it';

CREATE FUNCTION rt_private.meeting_managed(actor text, req jsonb) RETURNS rt.meetings
LANGUAGE plpgsql AS $$
DECLARE
	m rt.meetings := rt_private.meeting_lock(rt_private.req_id(req, 'meetingId'));
BEGIN
	IF NOT rt_private.meeting_user_may(m, actor, 'end') THEN
		RAISE EXCEPTION 'only a host may do that' USING ERRCODE = 'RT403';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_managed(text, jsonb) IS 'the meeting that a request names, locked, if the caller is a host of it';

CREATE FUNCTION rt_private.meeting_answer(meeting_id bigint, status integer DEFAULT 200) RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = meeting_answer.meeting_id;
	RETURN json_build_object('status', meeting_answer.status, 'data', rt_private.meeting_json(m));
END
$$;
COMMENT ON FUNCTION rt_private.meeting_answer(bigint, integer) IS 'a REST answer that is a meeting';

CREATE FUNCTION rt_private.req_timestamp(req jsonb, key text) RETURNS timestamptz
LANGUAGE plpgsql STABLE AS $$
DECLARE
	value text := rt_private.req_text_opt(req, key);
BEGIN
	-- ISO 8601 with a zone; anything looser would depend on the session's settings, as backslashes here would.
	IF value IS NULL THEN
		RETURN NULL;
	ELSIF value !~ '^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})$' THEN
		RAISE EXCEPTION '% must be a time, as 2026-11-22T10:30:00.000Z', key USING ERRCODE = 'RT400';
	END IF;
	RETURN value::timestamptz;
END
$$;
COMMENT ON FUNCTION rt_private.req_timestamp(jsonb, text) IS 'a time in a request, or null';

CREATE FUNCTION rt_private.req_capacity(req jsonb) RETURNS integer
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	value jsonb := nullif(req -> 'maxParticipants', 'null');
BEGIN
	IF value IS NULL THEN
		RETURN NULL;
	ELSIF jsonb_typeof(value) <> 'number' OR value::text !~ '^[0-9]{1,5}$' OR value::integer NOT BETWEEN 1 AND 10000 THEN
		RAISE EXCEPTION 'maxParticipants must be a whole number from 1 to 10000' USING ERRCODE = 'RT400';
	END IF;
	RETURN value::integer;
END
$$;
COMMENT ON FUNCTION rt_private.req_capacity(jsonb) IS 'maxParticipants in a request, or null';

CREATE FUNCTION rt_private.req_title(req jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	title text := btrim(rt_private.req_text(req, 'title'));
BEGIN
	IF char_length(title) NOT BETWEEN 1 AND 200 THEN
		RAISE EXCEPTION 'title must have 1 to 200 characters' USING ERRCODE = 'RT400';
	END IF;
	RETURN title;
END
$$;
COMMENT ON FUNCTION rt_private.req_title(jsonb) IS 'the title in a request';

CREATE FUNCTION rt_private.req_users(req jsonb, key text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	value jsonb := nullif(req -> key, 'null');
BEGIN
	IF value IS NULL THEN
		RETURN '{}';
	ELSIF jsonb_typeof(value) <> 'array' OR jsonb_array_length(value) > 1000
		OR EXISTS (SELECT FROM jsonb_array_elements(value) AS e WHERE jsonb_typeof(e) NOT IN ('string', 'number'))
	THEN
		RAISE EXCEPTION '% must be a list of up to 1000 user ids', key USING ERRCODE = 'RT400';
	END IF;
	RETURN ARRAY(SELECT jsonb_array_elements_text(value));
END
$$;
COMMENT ON FUNCTION rt_private.req_users(jsonb, text) IS 'a list of user ids in a request; empty if it is not there';

-- ---- meetings -----------------------------------------------------------------------------------------------

CREATE FUNCTION rt_api.meetings_list(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	page integer := rt_private.req_limit(req, 100, 200);
	before bigint := rt_private.req_id_opt(req, 'before');
	wanted text := rt_private.req_choice(req, 'status', ARRAY['scheduled', 'live', 'ended', 'all'], 'all');
	rows json[];
BEGIN
	PERFORM rt_private.check_user(actor);
	SELECT array_agg(rt_private.meeting_json(m) ORDER BY m.id DESC) INTO rows
	FROM (
		SELECT t.*
		FROM rt.meetings AS t
		WHERE t.id IN (
				SELECT h.id FROM rt.meetings AS h WHERE h.host_id = meetings_list.actor
				UNION SELECT i.meeting_id FROM rt.meeting_invitees AS i WHERE i.user_id = meetings_list.actor
				UNION SELECT p.meeting_id FROM rt.meeting_participants AS p WHERE p.user_id = meetings_list.actor
				UNION SELECT r.id FROM rt.room_members AS o
					JOIN rt.meetings AS r ON r.room_id = o.room_id AND r.access = 'room'
					WHERE o.user_id = meetings_list.actor)
			AND (wanted = 'all' OR t.status = wanted)
			AND (before IS NULL OR t.id < before)
			AND NOT rt_private.meeting_banned(t.id, meetings_list.actor)
		ORDER BY t.id DESC LIMIT page + 1) AS m;
	RETURN json_build_object('status', 200, 'data', coalesce(array_to_json(rows[1:page]), '[]'),
		'count', coalesce(cardinality(rows[1:page]), 0), 'hasMore', coalesce(cardinality(rows) > page, false));
END
$$;
COMMENT ON FUNCTION rt_api.meetings_list(text, jsonb) IS 'GET /api/meetings: the caller''s own, newest first';

CREATE FUNCTION rt_api.meeting_create(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	meeting bigint;
BEGIN
	PERFORM rt_private.check_user(actor);
	PERFORM rt_private.meeting_act(actor, '{}');
	meeting := rt.create_meeting(rt_private.req_title(req), actor, rt_private.req_password(req),
		rt_private.req_capacity(req), rt_private.req_timestamp(req, 'startsAt'), rt_private.req_id_opt(req, 'roomId'),
		rt_private.req_users(req, 'inviteeIds'),
		CASE WHEN nullif(req -> 'access', 'null') IS NOT NULL
			THEN rt_private.req_choice(req, 'access', ARRAY['invited', 'room', 'anyone']) END);
	RETURN rt_private.meeting_answer(meeting, 201);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_create(text, jsonb) IS 'POST /api/meetings';

CREATE FUNCTION rt_api.meeting_get(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_visible(actor, req);
BEGIN
	RETURN rt_private.meeting_answer(m.id);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_get(text, jsonb) IS 'GET /api/meetings/:id';

CREATE FUNCTION rt_private.meeting_change(m rt.meetings, actor text, req jsonb) RETURNS rt.meetings
LANGUAGE plpgsql AS $$
BEGIN
	IF req ? 'title' THEN
		m.title := rt_private.req_title(req);
	END IF;
	IF req ? 'password' OR req ? 'meeting_password' THEN
		m.password_hash := rt_private.meeting_hash(rt_private.req_password(req));
	END IF;
	IF req ? 'maxParticipants' THEN
		m.max_participants := coalesce(rt_private.req_capacity(req), 1000);
	END IF;
	IF req ? 'startsAt' THEN
		m.starts_at := rt_private.req_timestamp(req, 'startsAt');
	END IF;
	IF req ? 'locked' THEN
		m.locked := rt_private.req_bool(req, 'locked');
	END IF;
	IF req ? 'roomId' THEN
		m.room_id := rt_private.req_id_opt(req, 'roomId');
		IF m.room_id IS NOT NULL AND NOT EXISTS (
			SELECT FROM rt.room_members AS r WHERE r.room_id = m.room_id AND r.user_id = actor)
		THEN
			RAISE EXCEPTION 'Room not found' USING ERRCODE = 'RT404';
		END IF;
	END IF;
	IF req ? 'access' THEN
		m.access := rt_private.req_choice(req, 'access', ARRAY['invited', 'room', 'anyone']);
	END IF;
	IF (req ? 'access' OR req ? 'roomId') AND m.access = 'room' AND m.room_id IS NULL THEN
		RAISE EXCEPTION 'access for a room''s members needs a room' USING ERRCODE = 'RT400';
	END IF;
	RETURN m;
END
$$;
COMMENT ON FUNCTION rt_private.meeting_change(rt.meetings, text, jsonb) IS 'a meeting as a request wants it to be';

CREATE FUNCTION rt_api.meeting_update(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	PERFORM rt_private.meeting_act(actor, '{}');
	m := rt_private.meeting_managed(actor, req);
	IF m.status = 'ended' THEN
		RAISE EXCEPTION 'Meeting has ended' USING ERRCODE = 'RT410';
	END IF;
	m := rt_private.meeting_change(m, actor, req);
	UPDATE rt.meetings AS t
	SET title = m.title, password_hash = m.password_hash, max_participants = m.max_participants, starts_at = m.starts_at,
		locked = m.locked, room_id = m.room_id, access = m.access
	WHERE t.id = m.id;
	PERFORM rt_private.meeting_invite(m.id, rt_private.req_users(req, 'inviteeIds'));
	RETURN rt_private.meeting_answer(m.id);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_update(text, jsonb) IS 'PATCH /api/meetings/:id';

CREATE FUNCTION rt_api.meeting_delete(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	PERFORM rt_private.meeting_act(actor, '{}');
	m := rt_private.meeting_managed(actor, req);
	DELETE FROM rt.meetings AS t WHERE t.id = m.id;
	RETURN json_build_object('status', 200, 'data', json_build_object('id', m.id::text, 'deleted', true));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_delete(text, jsonb) IS 'DELETE /api/meetings/:id';

CREATE FUNCTION rt_api.meeting_start(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	PERFORM rt_private.meeting_act(actor, '{}');
	m := rt_private.meeting_managed(actor, req);
	PERFORM rt.start_meeting(m.id);
	RETURN rt_private.meeting_answer(m.id);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_start(text, jsonb) IS 'POST /api/meetings/:id/start; again is no error';

CREATE FUNCTION rt_api.meeting_end(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	PERFORM rt_private.meeting_act(actor, '{}');
	m := rt_private.meeting_managed(actor, req);
	PERFORM rt.end_meeting(m.id);
	RETURN rt_private.meeting_answer(m.id);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_end(text, jsonb) IS 'POST /api/meetings/:id/end';

CREATE FUNCTION rt_api.meeting_check_join(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_find_open(rt_private.req_id(req, 'meetingId'));
	kept rt.meeting_participants := rt_private.meeting_kept_place(m.id, actor, NULL);
BEGIN
	IF kept.id IS NULL THEN
		PERFORM rt_private.meeting_check_access(m, actor, rt_private.req_password(req));
		PERFORM rt_private.meeting_check_capacity(m);
	END IF;
	RETURN json_build_object('status', 200, 'data', json_build_object('meeting', rt_private.meeting_json(m),
		'canJoin', true, 'role', rt_private.meeting_role_for(m, actor)));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_check_join(text, jsonb) IS 'POST /api/meetings/:id/join: what join-meeting would check; joins nothing';

-- ---- what is in them ---------------------------------------------------------------------------------------

CREATE FUNCTION rt_api.meeting_participants(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_visible(actor, req);
	people json := rt_private.participants_json(m.id);
BEGIN
	RETURN json_build_object('status', 200, 'data', people, 'count', json_array_length(people));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_participants(text, jsonb) IS 'GET /api/meetings/:id/participants: who is in it now';

CREATE FUNCTION rt_private.meeting_message_visible(g rt.meeting_messages, actor text, hosts boolean) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
	SELECT g.recipient_type = 'all'
		OR coalesce(g.sender_id = actor, false)
		OR coalesce(g.recipient_id = actor, false)
		OR (g.recipient_type = 'host' AND hosts)
$$;
COMMENT ON FUNCTION rt_private.meeting_message_visible(rt.meeting_messages, text, boolean)
	IS 'may be read by a user; hosts: they are, or were, a host or co-host';

CREATE FUNCTION rt_private.meeting_is_host(meeting_id bigint, user_id text) RETURNS boolean
LANGUAGE sql STABLE AS $$
	SELECT EXISTS (SELECT FROM rt.meetings AS m
			WHERE m.id = meeting_is_host.meeting_id AND m.host_id = meeting_is_host.user_id)
		OR EXISTS (SELECT FROM rt.meeting_participants AS p
			WHERE p.meeting_id = meeting_is_host.meeting_id AND p.user_id = meeting_is_host.user_id
				AND p.role IN ('host', 'co-host'))
$$;
COMMENT ON FUNCTION rt_private.meeting_is_host(bigint, text) IS 'is, or was, host or co-host';

CREATE FUNCTION rt_private.meeting_was_in(meeting_id bigint, user_id text) RETURNS boolean
LANGUAGE sql STABLE AS $$
	SELECT EXISTS (SELECT FROM rt.meeting_participants AS p
		WHERE p.meeting_id = meeting_was_in.meeting_id AND p.user_id = meeting_was_in.user_id)
$$;
COMMENT ON FUNCTION rt_private.meeting_was_in(bigint, text) IS 'is, or was, in a meeting';

CREATE FUNCTION rt_api.meeting_messages(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_visible(actor, req);
	page integer := rt_private.req_limit(req, 100, 200);
	before bigint := rt_private.req_id_opt(req, 'before');
	hosts boolean := rt_private.meeting_is_host(m.id, actor);
	rows json[];
	n integer;
BEGIN
	IF NOT hosts AND NOT rt_private.meeting_was_in(m.id, actor) THEN
		RAISE EXCEPTION 'you are not in the meeting' USING ERRCODE = 'RT403';
	END IF;
	SELECT coalesce(array_agg(rt_private.meeting_message_json(g) ORDER BY g.id DESC), '{}') INTO rows
	FROM (
		SELECT t.*
		FROM rt.meeting_messages AS t
		WHERE t.meeting_id = m.id AND (before IS NULL OR t.id < before)
			AND rt_private.meeting_message_visible(t, meeting_messages.actor, hosts)
		ORDER BY t.id DESC LIMIT page + 1) AS g;
	n := least(cardinality(rows), page);
	RETURN json_build_object('status', 200,
		'data', (SELECT coalesce(json_agg(rows[i] ORDER BY i DESC), '[]') FROM generate_series(1, n) AS i),
		'count', n, 'hasMore', cardinality(rows) > page);
END
$$;
COMMENT ON FUNCTION rt_api.meeting_messages(text, jsonb) IS 'GET /api/meetings/:id/messages: the latest page, or the one before a message, rising';

CREATE FUNCTION rt_api.meeting_webrtc_config(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_visible(actor, req);
	router text;
BEGIN
	SELECT r.id INTO router FROM rt_private.media_routers AS r WHERE r.meeting_id = m.id;
	RETURN json_build_object('status', 200, 'data', rt_private.webrtc_config(router));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_webrtc_config(text, jsonb) IS 'GET /api/meetings/:id/webrtc-config';

CREATE FUNCTION rt_api.meeting_recordings(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings := rt_private.meeting_visible(actor, req);
	found_rows json;
BEGIN
	SELECT coalesce(json_agg(json_build_object('id', r.id::text, 'meetingId', r.meeting_id::text,
		'startedBy', r.started_by, 'startedAt', rt_private.iso(r.started_at), 'stoppedBy', r.stopped_by,
		'stoppedAt', rt_private.iso(r.stopped_at), 'location', r.location) ORDER BY r.id), '[]') INTO found_rows
	FROM rt.meeting_recordings AS r
	WHERE r.meeting_id = m.id;
	RETURN json_build_object('status', 200, 'data', found_rows, 'count', json_array_length(found_rows));
END
$$;
COMMENT ON FUNCTION rt_api.meeting_recordings(text, jsonb) IS 'GET /api/meetings/:id/recordings';
-- For administrators (rt.users.is_admin): live figures by REST, and the two things that somebody who watches needs to do.

CREATE FUNCTION rt_private.check_admin(actor text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = actor AND u.is_admin) THEN
		RAISE EXCEPTION 'only administrators may do that' USING ERRCODE = 'RT403';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.check_admin(text) IS 'refuses who is no administrator';

CREATE FUNCTION rt_private.milliseconds(i interval) RETURNS numeric
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT round((extract(epoch FROM i) * 1000)::numeric, 1)
$$;
COMMENT ON FUNCTION rt_private.milliseconds(interval) IS 'an interval in milliseconds';

-- The rows of rt.stat_*, as they are; of the long lists the first few.
CREATE FUNCTION rt_api.admin_stats(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.check_admin(actor);
	RETURN json_build_object('status', 200, 'data', json_build_object(
		'at', rt_private.iso(clock_timestamp()),
		'relay', (SELECT to_jsonb(s) - 'lag' || jsonb_build_object('lagMs', rt_private.milliseconds(s.lag)) FROM rt.stat_relay AS s),
		'latencyMs', (SELECT rt_private.milliseconds(percentile_cont(0.5) WITHIN GROUP (ORDER BY c.latency)) FROM rt.stat_connections AS c),
		'gateways', (SELECT coalesce(json_agg(g ORDER BY g.slot, g.name), '[]') FROM rt.stat_gateway AS g),
		'programs', (SELECT coalesce(json_agg(p ORDER BY p.kind, p.worker), '[]') FROM rt.stat_programs AS p),
		'workers', (SELECT coalesce(json_agg(w ORDER BY w.slot), '[]') FROM rt.stat_media_workers AS w),
		'media', (SELECT json_build_object('streams', count(*) FILTER (WHERE m.object <> 'transport'),
				'packets', coalesce(sum(m.packets), 0), 'bytes', coalesce(sum(m.bytes), 0),
				'bitrateBps', coalesce(sum(m.bitrate_bps) FILTER (WHERE m.object = 'consumer'), 0))
			FROM rt.stat_media AS m),
		'meetings', (SELECT coalesce(json_agg(m), '[]') FROM (
			SELECT s.meeting_id::text AS "meetingId", s.title, s.participants, s.producers, s.consumers, rt_private.iso(s.started_at) AS "startedAt"
			FROM rt.stat_meetings AS s ORDER BY s.participants DESC, s.meeting_id LIMIT 50) AS m),
		'rooms', (SELECT coalesce(json_agg(r), '[]') FROM (
			SELECT s.room_id::text AS "roomId", s.name, s.kind, s.members, s.joined, s.last_seq AS "lastSeq"
			FROM rt.stat_rooms AS s WHERE s.joined > 0 ORDER BY s.joined DESC, s.room_id LIMIT 20) AS r),
		'connections', (SELECT coalesce(json_agg(c), '[]') FROM (
			SELECT s.user_id AS "userId", count(*) AS sockets, min(s.transport) AS transport, rt_private.iso(min(s.connected_at)) AS since,
				coalesce(sum(s.queued_bytes), 0) AS "queuedBytes", rt_private.milliseconds(max(s.latency)) AS "latencyMs"
			FROM rt.stat_connections AS s GROUP BY s.user_id ORDER BY count(*) DESC, s.user_id LIMIT 100) AS c)));
END
$$;
COMMENT ON FUNCTION rt_api.admin_stats(text, jsonb) IS 'GET /api/admin/stats';

CREATE FUNCTION rt_api.admin_disconnect(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	target text := rt_private.req_text(req, 'userId');
BEGIN
	PERFORM rt_private.check_admin(actor);
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = target) THEN
		RAISE EXCEPTION 'User not found' USING ERRCODE = 'RT404';
	END IF;
	PERFORM rt_private.act_as(actor);
	PERFORM rt.disconnect_user(target, 'disconnected by an administrator');
	RETURN json_build_object('status', 200, 'data', json_build_object('userId', target));
END
$$;
COMMENT ON FUNCTION rt_api.admin_disconnect(text, jsonb) IS 'DELETE /api/admin/users/:userId/connections';

CREATE FUNCTION rt_api.admin_end_meeting(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	PERFORM rt_private.check_admin(actor);
	PERFORM rt_private.act_as(actor);
	m := rt_private.meeting_lock_open(rt_private.req_id(req, 'meetingId'));
	UPDATE rt.meetings AS t SET status = 'ended' WHERE t.id = m.id;
	RETURN rt_private.meeting_answer(m.id);
END
$$;
COMMENT ON FUNCTION rt_api.admin_end_meeting(text, jsonb) IS 'POST /api/admin/meetings/:meetingId/end';
-- The audit: who logged in, and who did what to others.
--
-- Written by triggers and by the functions that let in or put out, in the transaction that does it: by SQL, REST or event
-- alike, once, and not at all when it rolls back.  Messages are not audited, nor is what users do to what is their own.
-- No password, token or key is ever in it.

CREATE TABLE rt.audit (
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	action text NOT NULL,
	user_id text,
	role name NOT NULL,
	address text,
	gateway text,
	detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_at ON rt.audit (at);
-- The same user's logins from the same address within a minute are one row that counts: a flood fills no disk.
CREATE UNIQUE INDEX audit_logins ON rt.audit (date_trunc('minute', at AT TIME ZONE 'UTC'), action, coalesce(user_id, ''),
	coalesce(address, '')) WHERE action IN ('login', 'login-failed');
-- It has no key: where all tables are published, the server refused to count logins and to remove what is old.
ALTER TABLE rt.audit REPLICA IDENTITY FULL;
COMMENT ON TABLE rt.audit IS 'who logged in, and who did what to others; kept for rt.retain_audit';
COMMENT ON COLUMN rt.audit.at IS 'when; of logins in the same minute the first one''s';
COMMENT ON COLUMN rt.audit.action IS 'login, login-failed, token-issued, user-…, password-changed, admin-changed, key-…, room-…, member-…, meeting-…, participant-…, recording-…';
COMMENT ON COLUMN rt.audit.user_id IS 'the user who did it, or whose login it was; null: nobody''s, as in plain SQL, or a login for a name that is no user''s';
COMMENT ON COLUMN rt.audit.role IS 'the role that the client had: rt_gateway for what came by event or REST';
COMMENT ON COLUMN rt.audit.address IS 'the client''s address, of logins';
COMMENT ON COLUMN rt.audit.gateway IS 'the gateway that it came by, of logins';
COMMENT ON COLUMN rt.audit.detail IS 'what it was done to, by ids; of logins count, and last, the time of the last one';
COMMENT ON INDEX rt.audit_at IS 'what is older than rt.retain_audit';
COMMENT ON INDEX rt.audit_logins IS 'counting logins';
SELECT pg_catalog.pg_extension_config_dump('rt.audit', '');

CREATE FUNCTION rt_private.audit(action text, detail jsonb) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO rt.audit (action, user_id, role, detail)
	VALUES (audit.action, rt_private.actor(), rt_private.caller(), audit.detail)
$$;
COMMENT ON FUNCTION rt_private.audit(text, jsonb) IS 'writes down what the acting user does';

-- Of failed ones a minute has so many rows; beyond that they are counted together, without user and address.
CREATE FUNCTION rt_private.audit_login(action text, user_id text, address text, gateway text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
	most CONSTANT integer := 100;
	this_minute timestamp := date_trunc('minute', clock_timestamp() AT TIME ZONE 'UTC');
	crowded boolean := audit_login.action = 'login-failed' AND (SELECT count(*) FROM (SELECT FROM rt.audit AS a
		WHERE date_trunc('minute', a.at AT TIME ZONE 'UTC') = this_minute AND a.action = 'login-failed' LIMIT most) AS t) >= most;
BEGIN
	INSERT INTO rt.audit AS a (action, user_id, role, address, gateway, detail)
	VALUES (audit_login.action, CASE WHEN NOT crowded THEN audit_login.user_id END, rt_private.caller(),
		CASE WHEN NOT crowded THEN audit_login.address END, audit_login.gateway, '{"count": 1}')
	ON CONFLICT (date_trunc('minute', at AT TIME ZONE 'UTC'), action, coalesce(user_id, ''), coalesce(address, ''))
		WHERE action IN ('login', 'login-failed')
	DO UPDATE SET detail = jsonb_build_object('count', (a.detail ->> 'count')::bigint + 1, 'last', rt_private.iso(clock_timestamp()));
END
$$;
COMMENT ON FUNCTION rt_private.audit_login(text, text, text, text) IS 'writes down or counts a login';

-- ---- users and keys --------------------------------------------------------------------------
--
-- What a dump brings along was made, and written down, before: it is as old as it says.

CREATE FUNCTION rt_private.audit_users_made() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit('user-created', jsonb_build_object('userId', u.id))
	FROM made AS u WHERE u.created_at >= transaction_timestamp();
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_users_made() IS 'audits new users';
CREATE TRIGGER audit_users_made AFTER INSERT ON rt.users
	REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION rt_private.audit_users_made();

CREATE FUNCTION rt_private.audit_users_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit('user-deleted', jsonb_build_object('userId', u.id)) FROM gone AS u;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_users_gone() IS 'audits users that are deleted';
CREATE TRIGGER audit_users_gone AFTER DELETE ON rt.users
	REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION rt_private.audit_users_gone();

CREATE FUNCTION rt_private.audit_users_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.password_hash IS DISTINCT FROM OLD.password_hash THEN
		PERFORM rt_private.audit('password-changed', jsonb_build_object('userId', NEW.id, 'hasPassword', NEW.password_hash IS NOT NULL));
	END IF;
	IF NEW.is_admin <> OLD.is_admin THEN
		PERFORM rt_private.audit('admin-changed', jsonb_build_object('userId', NEW.id, 'isAdmin', NEW.is_admin));
	END IF;
	IF (NEW.id, NEW.username) <> (OLD.id, OLD.username) THEN
		PERFORM rt_private.audit('user-renamed', jsonb_build_object('userId', NEW.id, 'username', NEW.username,
			'wasUserId', OLD.id, 'wasUsername', OLD.username));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_users_changed() IS 'audits what changes who gets in, and as whom';
CREATE TRIGGER audit_users_changed AFTER UPDATE OF password_hash, is_admin, id, username ON rt.users
	FOR EACH ROW EXECUTE FUNCTION rt_private.audit_users_changed();

CREATE FUNCTION rt_private.audit_keys() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	k rt_private.keys := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
	action text := CASE WHEN TG_OP = 'INSERT' THEN 'key-added' WHEN TG_OP = 'DELETE' THEN 'key-deleted'
		WHEN NEW.retired_at IS NOT NULL AND OLD.retired_at IS NULL THEN 'key-retired' ELSE 'key-changed' END;
BEGIN
	IF TG_OP <> 'INSERT' OR k.created_at >= transaction_timestamp() THEN
		PERFORM rt_private.audit(action, jsonb_build_object('kid', k.kid, 'alg', k.alg, 'canSign', k.can_sign));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_keys() IS 'audits the keys of tokens';
CREATE TRIGGER audit_keys AFTER INSERT OR UPDATE OR DELETE ON rt_private.keys
	FOR EACH ROW EXECUTE FUNCTION rt_private.audit_keys();

-- ---- rooms -------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.audit_rooms() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit('room-deleted', jsonb_build_object('roomId', OLD.id::text, 'kind', OLD.kind, 'name', OLD.name));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_rooms() IS 'audits rooms that are deleted';
CREATE TRIGGER audit_rooms AFTER DELETE ON rt.rooms FOR EACH ROW EXECUTE FUNCTION rt_private.audit_rooms();

-- Whoever leaves is not removed, nor is who goes with the room or the user.
CREATE FUNCTION rt_private.audit_members_removed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit('member-removed', jsonb_build_object('roomId', m.room_id::text, 'userId', m.user_id))
	FROM removed AS m
	WHERE m.user_id IS DISTINCT FROM rt_private.actor()
		AND EXISTS (SELECT FROM rt.rooms AS r WHERE r.id = m.room_id)
		AND EXISTS (SELECT FROM rt.users AS u WHERE u.id = m.user_id);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_members_removed() IS 'audits members that others remove';
CREATE TRIGGER audit_members_removed AFTER DELETE ON rt.room_members
	REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION rt_private.audit_members_removed();

CREATE FUNCTION rt_private.audit_member_role() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit('member-role', jsonb_build_object('roomId', NEW.room_id::text, 'userId', NEW.user_id, 'role', NEW.role));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_member_role() IS 'audits a member''s new role';
CREATE TRIGGER audit_member_role AFTER UPDATE OF role ON rt.room_members FOR EACH ROW WHEN (OLD.role <> NEW.role)
	EXECUTE FUNCTION rt_private.audit_member_role();

-- ---- meetings ------------------------------------------------------------------------------------

CREATE FUNCTION rt_private.audit_meetings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	what jsonb := jsonb_build_object('meetingId', OLD.id::text);
BEGIN
	IF TG_OP = 'DELETE' THEN
		PERFORM rt_private.audit('meeting-deleted', what || jsonb_build_object('title', OLD.title));
		RETURN NULL;
	END IF;
	IF NEW.status = 'ended' AND OLD.status <> 'ended' THEN
		PERFORM rt_private.audit('meeting-ended', what);
	END IF;
	IF NEW.locked <> OLD.locked THEN
		PERFORM rt_private.audit('meeting-locked', what || jsonb_build_object('locked', NEW.locked));
	END IF;
	IF NEW.password_hash IS DISTINCT FROM OLD.password_hash THEN
		PERFORM rt_private.audit('meeting-password', what || jsonb_build_object('hasPassword', NEW.password_hash IS NOT NULL));
	END IF;
	IF NEW.host_id IS DISTINCT FROM OLD.host_id THEN
		PERFORM rt_private.audit('meeting-host', what || jsonb_build_object('userId', NEW.host_id));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_meetings() IS 'audits what a host does to a meeting';
CREATE TRIGGER audit_meetings_changed AFTER UPDATE ON rt.meetings FOR EACH ROW
	WHEN ((OLD.status, OLD.locked, OLD.password_hash, OLD.host_id)
		IS DISTINCT FROM (NEW.status, NEW.locked, NEW.password_hash, NEW.host_id))
	EXECUTE FUNCTION rt_private.audit_meetings();
CREATE TRIGGER audit_meetings_deleted AFTER DELETE ON rt.meetings FOR EACH ROW EXECUTE FUNCTION rt_private.audit_meetings();

CREATE FUNCTION rt_private.audit_participants() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	who jsonb := jsonb_build_object('meetingId', NEW.meeting_id::text, 'participantId', NEW.id::text, 'userId', NEW.user_id);
BEGIN
	IF NEW.role <> OLD.role THEN
		PERFORM rt_private.audit('participant-role', who || jsonb_build_object('role', NEW.role));
	END IF;
	IF NEW.audio_muted <> OLD.audio_muted THEN
		PERFORM rt_private.audit('participant-muted', who || jsonb_build_object('kind', 'audio', 'muted', NEW.audio_muted));
	END IF;
	IF NEW.video_muted <> OLD.video_muted THEN
		PERFORM rt_private.audit('participant-muted', who || jsonb_build_object('kind', 'video', 'muted', NEW.video_muted));
	END IF;
	IF NEW.left_reason = 'removed' AND OLD.left_reason IS DISTINCT FROM 'removed' THEN
		PERFORM rt_private.audit('participant-removed', who || jsonb_build_object('reason', NEW.removal_reason));
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_participants() IS 'audits what a host does to participants';
CREATE TRIGGER audit_participants AFTER UPDATE ON rt.meeting_participants FOR EACH ROW
	WHEN (NEW.role <> OLD.role OR NEW.audio_muted <> OLD.audio_muted OR NEW.video_muted <> OLD.video_muted
		OR (NEW.left_reason = 'removed' AND OLD.left_reason IS DISTINCT FROM 'removed'))
	EXECUTE FUNCTION rt_private.audit_participants();

CREATE FUNCTION rt_private.audit_recordings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.audit(CASE WHEN NEW.stopped_at IS NULL THEN 'recording-started' ELSE 'recording-stopped' END,
		jsonb_build_object('meetingId', NEW.meeting_id::text, 'recordingId', NEW.id::text));
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.audit_recordings() IS 'audits recordings';
CREATE TRIGGER audit_recordings_started AFTER INSERT ON rt.meeting_recordings FOR EACH ROW
	WHEN (NEW.stopped_at IS NULL) EXECUTE FUNCTION rt_private.audit_recordings();
CREATE TRIGGER audit_recordings_stopped AFTER UPDATE ON rt.meeting_recordings FOR EACH ROW
	WHEN (OLD.stopped_at IS NULL AND NEW.stopped_at IS NOT NULL) EXECUTE FUNCTION rt_private.audit_recordings();

GRANT USAGE ON SCHEMA rt TO rt_auditor;
GRANT SELECT ON rt.audit TO rt_auditor;
-- What rt's workers and programs are doing.

CREATE FUNCTION rt_private.stat_programs(
    OUT kind text, OUT worker integer, OUT pid integer, OUT state text, OUT restarts integer, OUT since timestamptz)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'rt_stat_programs';
COMMENT ON FUNCTION rt_private.stat_programs() IS 'see rt.stat_programs';

CREATE VIEW rt.stat_programs AS SELECT kind, worker, pid, state, restarts, since FROM rt_private.stat_programs();
COMMENT ON VIEW rt.stat_programs IS 'the programs that the supervisor of this database looks after';
COMMENT ON COLUMN rt.stat_programs.kind IS 'gateway or media';
COMMENT ON COLUMN rt.stat_programs.worker IS 'number of the process among those of its kind, from 0';
COMMENT ON COLUMN rt.stat_programs.pid IS 'its process id; NULL while it does not run';
COMMENT ON COLUMN rt.stat_programs.state IS 'waiting (for its next start), starting, ready, draining (beside its successor, see rt.drain), or stopping';
COMMENT ON COLUMN rt.stat_programs.restarts IS 'how many times it was started again since the supervisor was';
COMMENT ON COLUMN rt.stat_programs.since IS 'when it was started or, while it does not run, when it ended';

REVOKE ALL ON FUNCTION rt_private.stat_programs() FROM PUBLIC;
REVOKE ALL ON TABLE rt.stat_programs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rt_private.stat_programs() TO pg_monitor;
GRANT SELECT ON TABLE rt.stat_programs TO pg_monitor;
-- Live figures of meetings and media, as the pg_stat_* views are.

CREATE VIEW rt.stat_meetings AS
	SELECT m.id AS meeting_id, m.title, m.status, m.host_id, m.started_at,
		p.participants, p.in_grace, p.hands,
		o.transports, o.producers, o.consumers,
		r.worker AS media_worker, r.id AS router_id
	FROM rt.meetings AS m
	CROSS JOIN LATERAL (
		SELECT count(*) AS participants, count(t.disconnected_at) AS in_grace, count(t.hand_raised_at) AS hands
		FROM rt.meeting_participants AS t
		WHERE t.meeting_id = m.id AND t.left_at IS NULL) AS p
	CROSS JOIN LATERAL (
		SELECT (SELECT count(*) FROM rt_private.media_transports AS t WHERE t.meeting_id = m.id) AS transports,
			(SELECT count(*) FROM rt_private.media_producers AS d WHERE d.meeting_id = m.id) AS producers,
			(SELECT count(*) FROM rt_private.media_consumers AS c WHERE c.meeting_id = m.id) AS consumers) AS o
	LEFT JOIN rt_private.media_routers AS r ON r.meeting_id = m.id
	WHERE m.status = 'live';
COMMENT ON VIEW rt.stat_meetings IS 'live meetings: who is in them, and what media they carry';

-- The figures that media workers report with their heartbeats; null where one does not apply.
CREATE VIEW rt.stat_media AS
	SELECT o.worker, o.meeting_id, o.participant_id, o.object, o.id, o.kind, o.source, o.type, o.state,
		(o.stats ->> 'packets')::bigint AS packets,
		(o.stats ->> 'bytes')::bigint AS bytes,
		(o.stats ->> 'lost')::bigint AS lost,
		(o.stats ->> 'jitterMs')::float8 AS jitter_ms,
		(o.stats ->> 'rttMs')::float8 AS rtt_ms,
		(o.stats ->> 'bitrateBps')::bigint AS bitrate_bps,
		(o.stats ->> 'estimateBps')::bigint AS estimate_bps,
		(o.stats ->> 'nacks')::bigint AS nacks,
		(o.stats ->> 'plis')::bigint AS plis,
		(o.stats ->> 'spatialLayer')::integer AS spatial_layer,
		(o.stats ->> 'temporalLayer')::integer AS temporal_layer,
		(o.stats ->> 'score')::integer AS score,
		o.stats ->> 'reason' AS reason,
		o.created_at
	FROM (
		SELECT t.worker, t.meeting_id, t.participant_id, 'transport' AS object, t.id, NULL AS kind, NULL AS source,
			t.direction AS type,
			coalesce(t.stats ->> 'dtlsState', t.stats ->> 'iceState', CASE WHEN t.connected THEN 'connecting' ELSE 'new' END) AS state,
			t.stats, t.created_at
		FROM rt_private.media_transports AS t
		UNION ALL
		SELECT d.worker, d.meeting_id, d.participant_id, 'producer', d.id, d.kind, d.source, d.type,
			CASE WHEN d.muted THEN 'muted' WHEN d.paused THEN 'paused' ELSE 'live' END, d.stats, d.created_at
		FROM rt_private.media_producers AS d
		UNION ALL
		SELECT c.worker, c.meeting_id, c.participant_id, 'consumer', c.id, c.kind, d.source, d.type,
			CASE WHEN c.paused THEN 'paused' WHEN d.paused OR d.muted THEN 'producer paused' ELSE 'live' END, c.stats, c.created_at
		FROM rt_private.media_consumers AS c
		JOIN rt_private.media_producers AS d ON d.id = c.producer_id) AS o;
COMMENT ON VIEW rt.stat_media IS 'a row a transport, producer and consumer; reason says why a consumer gets the layer it gets';

CREATE VIEW rt.stat_media_workers AS
	SELECT w.id AS worker, w.slot, w.addresses, w.udp_port, w.tcp_port, w.capacity, w.load,
		(SELECT count(*) FROM rt_private.media_routers AS r WHERE r.worker = w.id) AS meetings,
		w.heartbeat_at > clock_timestamp() - interval '3 seconds' AS alive, w.started_at, w.heartbeat_at
	FROM rt_private.media_workers AS w;
COMMENT ON VIEW rt.stat_media_workers IS 'media workers, with their load and the meetings placed on them';
-- What an administrator does while it runs.

CREATE FUNCTION rt.reset_stats() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.reset_relay_stats();
	UPDATE rt_private.gateways AS g SET stats_before = g.stats, stats_reset = clock_timestamp();
$$;
COMMENT ON FUNCTION rt.reset_stats() IS
	'lets the counts of rt.stat_relay and rt.stat_gateway begin anew, as pg_stat_reset() does; /metrics goes on';

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
		RAISE EXCEPTION 'gateway "%" does not run', drain.gateway
			USING ERRCODE = 'undefined_object', HINT = 'rt.stat_gateway has the names of those that do.';
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
-- Who may do what with users, rooms and messages.  Nothing is PUBLIC's.

-- ---- the programs ------------------------------------------------------------------

GRANT USAGE ON SCHEMA rt_api TO rt_gateway, rt_media;
DO $$
DECLARE
	f regprocedure;
BEGIN
	FOR f IN SELECT p.oid FROM pg_catalog.pg_proc AS p
		WHERE p.pronamespace IN ('rt'::regnamespace, 'rt_api'::regnamespace, 'rt_private'::regnamespace)
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
	END LOOP;
	FOR f IN SELECT p.oid FROM pg_catalog.pg_proc AS p
		WHERE p.pronamespace = 'rt_api'::regnamespace
			AND p.proname NOT IN ('media_start', 'media_stop', 'media_heartbeat', 'media_fetch', 'media_answer', 'media_event')
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO rt_gateway', f);
	END LOOP;
END
$$;

-- ---- applications: role rt_app, with SET rt.user_id ------------------------------------

GRANT USAGE ON SCHEMA rt TO rt_app, pg_monitor;
-- policies call these with the rights of whoever asks
GRANT USAGE ON SCHEMA rt_private TO rt_app;
GRANT EXECUTE ON FUNCTION rt_private.actor(), rt_private.is_member(bigint, text), rt_private.own_rooms(),
	rt_private.is_room_admin(bigint, text) TO rt_app;
-- what SECURITY INVOKER triggers and functions need
GRANT EXECUTE ON FUNCTION rt_private.max_message_size(), rt_private.message_fault(text, jsonb, text), rt_private.trusted(), rt_private.caller() TO rt_app;

GRANT SELECT (id, username, name, created_at), UPDATE (name) ON rt.users TO rt_app;
GRANT SELECT (id, name, kind, created_by, created_at, last_seq), UPDATE (name), DELETE ON rt.rooms TO rt_app;
GRANT SELECT, INSERT (room_id, user_id, role), DELETE, UPDATE (role) ON rt.room_members TO rt_app;
GRANT SELECT, INSERT (room_id, sender_id, content, message_type, metadata, reply_to, client_id),
	UPDATE (content, metadata, deleted_at), DELETE ON rt.messages TO rt_app;
GRANT SELECT, INSERT (room_id, seq, user_id, emoji), DELETE ON rt.reactions TO rt_app;
GRANT SELECT, INSERT, UPDATE ON rt.receipts TO rt_app;
GRANT SELECT (user_id, status, status_message, last_seen), UPDATE (status, status_message) ON rt.presence TO rt_app;
GRANT EXECUTE ON FUNCTION rt.create_room(text, text[]), rt.create_direct_room(text, text),
	rt.send_message(bigint, text, text, text, jsonb, bigint, text), rt.mark_seen(bigint, text, bigint[]),
	rt.mark_delivered(bigint, text, bigint[]), rt.set_status(text, text, text), rt.broadcast(bigint, text, jsonb) TO rt_app;

ALTER TABLE rt.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.rooms ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.room_members ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.reactions ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.presence ENABLE ROW LEVEL SECURITY;

-- The directory is open to whoever is a user, as GET /api/users is.
CREATE POLICY users_read ON rt.users FOR SELECT TO rt_app USING (rt_private.actor() IS NOT NULL);
CREATE POLICY users_change ON rt.users FOR UPDATE TO rt_app USING (id = rt_private.actor());

CREATE POLICY rooms_read ON rt.rooms FOR SELECT TO rt_app USING (id = ANY ((SELECT rt_private.own_rooms())::bigint[]));
CREATE POLICY rooms_change ON rt.rooms FOR UPDATE TO rt_app USING (rt_private.is_room_admin(id, rt_private.actor()));
CREATE POLICY rooms_delete ON rt.rooms FOR DELETE TO rt_app USING (rt_private.is_room_admin(id, rt_private.actor()));

CREATE POLICY members_read ON rt.room_members FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[]));
CREATE POLICY members_add ON rt.room_members FOR INSERT TO rt_app
	WITH CHECK (rt_private.is_room_admin(room_id, rt_private.actor()));
CREATE POLICY members_change ON rt.room_members FOR UPDATE TO rt_app
	USING (rt_private.is_room_admin(room_id, rt_private.actor()));
CREATE POLICY members_remove ON rt.room_members FOR DELETE TO rt_app
	USING (user_id = rt_private.actor() OR rt_private.is_room_admin(room_id, rt_private.actor()));

CREATE POLICY messages_read ON rt.messages FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[]));
CREATE POLICY messages_send ON rt.messages FOR INSERT TO rt_app
	WITH CHECK (sender_id = rt_private.actor() AND rt_private.is_member(room_id, rt_private.actor()));
CREATE POLICY messages_change ON rt.messages FOR UPDATE TO rt_app
	USING (sender_id = rt_private.actor() AND rt_private.is_member(room_id, rt_private.actor()));
CREATE POLICY messages_delete ON rt.messages FOR DELETE TO rt_app
	USING ((sender_id = rt_private.actor() AND rt_private.is_member(room_id, rt_private.actor()))
		OR rt_private.is_room_admin(room_id, rt_private.actor()));

CREATE POLICY reactions_read ON rt.reactions FOR SELECT TO rt_app USING (room_id = ANY ((SELECT rt_private.own_rooms())::bigint[]));
CREATE POLICY reactions_add ON rt.reactions FOR INSERT TO rt_app
	WITH CHECK (user_id = rt_private.actor() AND rt_private.is_member(room_id, rt_private.actor()));
CREATE POLICY reactions_remove ON rt.reactions FOR DELETE TO rt_app
	USING (user_id = rt_private.actor() AND rt_private.is_member(room_id, rt_private.actor()));

-- Who shares a room sees who is there.
-- A statement asks once: a set that the policy's subquery hashes.
CREATE FUNCTION rt_private.own_contacts() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.actor()
	UNION
	SELECT m.user_id FROM rt.room_members AS m WHERE m.room_id = ANY ((SELECT rt_private.own_rooms())::bigint[])
$$;
COMMENT ON FUNCTION rt_private.own_contacts() IS 'the acting user, and all who share a room with it';
REVOKE ALL ON FUNCTION rt_private.own_contacts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rt_private.own_contacts() TO rt_app;
CREATE POLICY presence_read ON rt.presence FOR SELECT TO rt_app USING (user_id IN (SELECT rt_private.own_contacts()));
CREATE POLICY presence_change ON rt.presence FOR UPDATE TO rt_app USING (user_id = rt_private.actor());

-- ---- monitoring --------------------------------------------------------------------

CREATE FUNCTION rt_private.since_reset(g rt_private.gateways, counter text) RETURNS bigint
LANGUAGE sql STABLE AS $$
	SELECT (g.stats OPERATOR(pg_catalog.->>) counter)::pg_catalog.int8
		OPERATOR(pg_catalog.-) coalesce((g.stats_before OPERATOR(pg_catalog.->>) counter)::pg_catalog.int8, 0)
$$;
COMMENT ON FUNCTION rt_private.since_reset(rt_private.gateways, text) IS 'what a gateway has counted since rt.reset_stats()';
REVOKE ALL ON FUNCTION rt_private.since_reset(rt_private.gateways, text) FROM PUBLIC;

CREATE VIEW rt.stat_gateway AS
	SELECT g.name, g.host, g.slot, g.pid, g.port, g.started_at, g.reported_at, g.draining_until,
		(g.stats ->> 'connections')::bigint AS connections, (g.stats ->> 'websockets')::bigint AS websockets,
		(g.stats ->> 'sockets')::bigint AS sockets, (g.stats ->> 'users')::bigint AS users,
		(g.stats ->> 'rooms')::bigint AS rooms, rt_private.since_reset(g, 'events') AS events,
		(g.stats ->> 'position')::bigint AS position, rt_private.since_reset(g, 'framesOut') AS frames_out,
		rt_private.since_reset(g, 'bytesOut') AS bytes_out, rt_private.since_reset(g, 'writesOut') AS writes_out,
		rt_private.since_reset(g, 'packetsIn') AS packets_in, rt_private.since_reset(g, 'bytesIn') AS bytes_in,
		(g.stats ->> 'queuedBytes')::bigint AS queued_bytes, rt_private.since_reset(g, 'cutOff') AS cut_off,
		rt_private.since_reset(g, 'requests') AS requests, rt_private.since_reset(g, 'clientEvents') AS client_events,
		rt_private.since_reset(g, 'rateLimited') AS rate_limited, rt_private.since_reset(g, 'recovered') AS recovered,
		rt_private.since_reset(g, 'dbCalls') AS db_calls, (g.stats ->> 'dbWaiting')::bigint AS db_waiting, g.stats_reset
	FROM rt_private.gateways AS g;
COMMENT ON VIEW rt.stat_gateway IS 'gateways that run, with the figures of their last report, which comes each second';

CREATE VIEW rt.stat_connections AS
	SELECT c.sid, c.user_id, c.peer, c.transport, c.gateway, c.connected_at,
		(SELECT cardinality(s.joined) FROM rt_private.sessions AS s WHERE s.sid = c.sid LIMIT 1) AS rooms,
		c.queued_bytes, c.latency
	FROM rt_private.connections AS c;
COMMENT ON VIEW rt.stat_connections IS
	'sockets that are connected; the last two columns, and an upgraded transport, as of the gateway''s last report';

CREATE VIEW rt.stat_rooms AS
	SELECT r.id AS room_id, r.name, r.kind, r.last_seq,
		(SELECT count(*) FROM rt.room_members AS m WHERE m.room_id = r.id) AS members,
		coalesce(j.joined, 0) AS joined
	FROM rt.rooms AS r
	LEFT JOIN (SELECT (t ->> 'roomId')::bigint AS room_id, sum((t ->> 'joined')::bigint) AS joined
		FROM rt_private.gateways AS g, jsonb_array_elements(g.rooms) AS t GROUP BY 1) AS j ON j.room_id = r.id;
COMMENT ON VIEW rt.stat_rooms IS 'rooms, and how many sockets have joined each';

GRANT EXECUTE ON FUNCTION rt_private.since_reset(rt_private.gateways, text) TO pg_monitor;
GRANT SELECT ON rt.stat_gateway, rt.stat_connections, rt.stat_rooms TO pg_monitor;
-- Who may do what with meetings.  An application role (a member of rt_app) is let at the tables by row-level security,
-- as the user of rt.user_id; the rest is done by the functions, which check for themselves.

ALTER TABLE rt.meetings ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.meeting_invitees ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.meeting_bans ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.meeting_participants ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.meeting_messages ENABLE ROW LEVEL SECURITY;
ALTER TABLE rt.meeting_recordings ENABLE ROW LEVEL SECURITY;

-- Policies ask functions that see past row-level security, so that they cannot call one another in a circle.
CREATE FUNCTION rt_private.app_sees_meeting(meeting_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = app_sees_meeting.meeting_id;
	RETURN FOUND AND rt_private.meeting_may_see(m, rt_private.actor());
END
$$;
COMMENT ON FUNCTION rt_private.app_sees_meeting(bigint) IS 'policy: rt.user_id may see a meeting';

CREATE FUNCTION rt_private.app_runs_meeting(meeting_id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	m rt.meetings;
BEGIN
	SELECT t.* INTO m FROM rt.meetings AS t WHERE t.id = app_runs_meeting.meeting_id;
	RETURN FOUND AND rt_private.meeting_user_may(m, rt_private.actor(), 'end');
END
$$;
COMMENT ON FUNCTION rt_private.app_runs_meeting(bigint) IS 'policy: rt.user_id is a host of a meeting';

CREATE FUNCTION rt_private.app_reads_message(g rt.meeting_messages) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	reader text := rt_private.actor();
BEGIN
	RETURN rt_private.app_sees_meeting(g.meeting_id)
		AND (rt_private.meeting_was_in(g.meeting_id, reader) OR rt_private.meeting_is_host(g.meeting_id, reader))
		AND rt_private.meeting_message_visible(g, reader, rt_private.meeting_is_host(g.meeting_id, reader));
END
$$;
COMMENT ON FUNCTION rt_private.app_reads_message(rt.meeting_messages) IS 'policy: rt.user_id may read a message';

CREATE FUNCTION rt_private.app_speaks_in(meeting_id bigint) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (
		SELECT FROM rt.meeting_participants AS p
		WHERE p.meeting_id = app_speaks_in.meeting_id AND p.user_id = rt_private.actor() AND p.left_at IS NULL
			AND 'chat' = ANY (rt_private.meeting_permissions(p.role)))
$$;
COMMENT ON FUNCTION rt_private.app_speaks_in(bigint) IS 'policy: rt.user_id is in a meeting and may write there';

CREATE POLICY meetings_see ON rt.meetings FOR SELECT TO rt_app
	USING (host_id = rt_private.actor() OR rt_private.app_sees_meeting(id));
CREATE POLICY meetings_make ON rt.meetings FOR INSERT TO rt_app WITH CHECK (host_id = rt_private.actor());
CREATE POLICY meetings_run ON rt.meetings FOR UPDATE TO rt_app USING (rt_private.app_runs_meeting(id));
CREATE POLICY meetings_delete ON rt.meetings FOR DELETE TO rt_app USING (rt_private.app_runs_meeting(id));

CREATE POLICY meeting_invitees_see ON rt.meeting_invitees FOR SELECT TO rt_app
	USING (user_id = rt_private.actor() OR rt_private.app_runs_meeting(meeting_id));
CREATE POLICY meeting_invitees_run ON rt.meeting_invitees FOR ALL TO rt_app
	USING (rt_private.app_runs_meeting(meeting_id)) WITH CHECK (rt_private.app_runs_meeting(meeting_id));

CREATE POLICY meeting_bans_run ON rt.meeting_bans FOR ALL TO rt_app
	USING (rt_private.app_runs_meeting(meeting_id)) WITH CHECK (rt_private.app_runs_meeting(meeting_id));

CREATE POLICY meeting_participants_see ON rt.meeting_participants FOR SELECT TO rt_app
	USING (rt_private.app_sees_meeting(meeting_id));

CREATE POLICY meeting_messages_see ON rt.meeting_messages FOR SELECT TO rt_app
	USING (rt_private.app_reads_message(meeting_messages));
CREATE POLICY meeting_messages_send ON rt.meeting_messages FOR INSERT TO rt_app
	WITH CHECK (sender_id = rt_private.actor() AND rt_private.app_speaks_in(meeting_id));

CREATE POLICY meeting_recordings_see ON rt.meeting_recordings FOR SELECT TO rt_app
	USING (rt_private.app_sees_meeting(meeting_id));

GRANT SELECT (id, title, status, host_id, room_id, access, max_participants, locked, recording, starts_at, created_at,
	started_at, started_by, ended_at, ended_by) ON rt.meetings TO rt_app;
GRANT INSERT (title, host_id, access, max_participants, starts_at) ON rt.meetings TO rt_app;
GRANT UPDATE (title, status, access, max_participants, locked, starts_at) ON rt.meetings TO rt_app;
GRANT DELETE ON rt.meetings TO rt_app;
GRANT SELECT, DELETE ON rt.meeting_invitees, rt.meeting_bans TO rt_app;
GRANT INSERT (meeting_id, user_id) ON rt.meeting_invitees TO rt_app;
GRANT SELECT (id, meeting_id, user_id, display_name, role, video, audio, screen_sharing, audio_muted, video_muted,
	hand_raised_at, joined_at, left_at, left_reason) ON rt.meeting_participants TO rt_app;
GRANT SELECT ON rt.meeting_messages, rt.meeting_recordings TO rt_app;
GRANT INSERT (meeting_id, sender_id, message, recipient_type, recipient_id) ON rt.meeting_messages TO rt_app;

GRANT EXECUTE ON FUNCTION
	rt.create_meeting(text, text, text, integer, timestamptz, bigint, text[], text),
	rt.start_meeting(bigint), rt.end_meeting(bigint), rt.set_meeting_password(bigint, text),
	rt.kick_participant(bigint, text), rt.mute_participant(bigint, boolean, text) TO rt_app;

GRANT SELECT ON rt.stat_meetings, rt.stat_media, rt.stat_media_workers TO pg_monitor;

-- The functions of these files are nobody's but those named here; policies are evaluated as the role that asks.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA rt, rt_api, rt_private FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rt_private.actor(), rt_private.app_sees_meeting(bigint), rt_private.app_runs_meeting(bigint),
	rt_private.app_reads_message(rt.meeting_messages), rt_private.app_speaks_in(bigint) TO rt_app;

GRANT EXECUTE ON FUNCTION
	rt_api.meeting_join(text, jsonb), rt_api.meeting_leave(text, jsonb), rt_api.meeting_media(text, jsonb),
	rt_api.meeting_say(text, jsonb), rt_api.meeting_typing(text, jsonb), rt_api.meeting_react(text, jsonb),
	rt_api.meeting_hand(text, jsonb), rt_api.meeting_mute(text, jsonb), rt_api.meeting_remove(text, jsonb),
	rt_api.meeting_role(text, jsonb), rt_api.meeting_lock(text, jsonb), rt_api.meeting_close(text, jsonb),
	rt_api.meeting_record(text, jsonb), rt_api.meeting_disconnected(text, jsonb), rt_api.meeting_resume(text, jsonb),
	rt_api.meeting_sweep(text, jsonb), rt_api.meetings_list(text, jsonb), rt_api.meeting_create(text, jsonb),
	rt_api.meeting_get(text, jsonb), rt_api.meeting_update(text, jsonb), rt_api.meeting_delete(text, jsonb),
	rt_api.meeting_start(text, jsonb), rt_api.meeting_end(text, jsonb), rt_api.meeting_check_join(text, jsonb),
	rt_api.meeting_participants(text, jsonb), rt_api.meeting_messages(text, jsonb),
	rt_api.meeting_webrtc_config(text, jsonb), rt_api.meeting_recordings(text, jsonb),
	rt_api.media_request(text, jsonb), rt_api.media_result(text, jsonb) TO rt_gateway;
GRANT EXECUTE ON FUNCTION
	rt_api.media_start(text, jsonb), rt_api.media_stop(text, jsonb), rt_api.media_heartbeat(text, jsonb),
	rt_api.media_fetch(text, jsonb), rt_api.media_answer(text, jsonb), rt_api.media_event(text, jsonb) TO rt_media;
-- What the columns of the views of figures mean; docs/views.md is made of these.

COMMENT ON COLUMN rt.stat_gateway.name IS 'name that the gateway gave itself, new at each start';
COMMENT ON COLUMN rt.stat_gateway.host IS 'host that it runs on';
COMMENT ON COLUMN rt.stat_gateway.slot IS 'number of the gateway worker, from 0';
COMMENT ON COLUMN rt.stat_gateway.pid IS 'its process id';
COMMENT ON COLUMN rt.stat_gateway.port IS 'TCP port that it listens on';
COMMENT ON COLUMN rt.stat_gateway.started_at IS 'when it began to serve';
COMMENT ON COLUMN rt.stat_gateway.reported_at IS 'when it reported last; above ten seconds ago it is taken for dead';
COMMENT ON COLUMN rt.stat_gateway.draining_until IS 'by when it will have ended its clients, and itself, after rt.drain(); else null';
COMMENT ON COLUMN rt.stat_gateway.connections IS 'open TCP connections of all kinds';
COMMENT ON COLUMN rt.stat_gateway.websockets IS 'those of them that are websockets';
COMMENT ON COLUMN rt.stat_gateway.sockets IS 'clients that are connected by Socket.IO';
COMMENT ON COLUMN rt.stat_gateway.users IS 'users with such a client';
COMMENT ON COLUMN rt.stat_gateway.rooms IS 'rooms with such a user among their members';
COMMENT ON COLUMN rt.stat_gateway.events IS 'events that came from the relay';
COMMENT ON COLUMN rt.stat_gateway.position IS 'position in rt.events that it has reached; compare with rt.stat_relay.last_pos';
COMMENT ON COLUMN rt.stat_gateway.frames_out IS 'messages sent to clients';
COMMENT ON COLUMN rt.stat_gateway.bytes_out IS 'bytes of these';
COMMENT ON COLUMN rt.stat_gateway.writes_out IS 'system calls that carried them';
COMMENT ON COLUMN rt.stat_gateway.packets_in IS 'messages received from clients';
COMMENT ON COLUMN rt.stat_gateway.bytes_in IS 'bytes of these';
COMMENT ON COLUMN rt.stat_gateway.queued_bytes IS 'bytes that wait for clients now';
COMMENT ON COLUMN rt.stat_gateway.cut_off IS 'clients that were cut off for reading too slowly, see rt.max_queued_bytes';
COMMENT ON COLUMN rt.stat_gateway.requests IS 'REST requests';
COMMENT ON COLUMN rt.stat_gateway.client_events IS 'events sent by clients';
COMMENT ON COLUMN rt.stat_gateway.rate_limited IS 'events and requests that were above a rate limit';
COMMENT ON COLUMN rt.stat_gateway.recovered IS 'clients that came back and got what they had missed';

COMMENT ON COLUMN rt.stat_gateway.db_calls IS 'calls of rt_api that it made';
COMMENT ON COLUMN rt.stat_gateway.db_waiting IS 'calls that wait for a connection of its pool now, see rt.db_connections';
COMMENT ON COLUMN rt.stat_gateway.stats_reset IS 'since when it counts: rt.reset_stats() or its start';

COMMENT ON COLUMN rt.stat_connections.sid IS 'id of the socket';
COMMENT ON COLUMN rt.stat_connections.user_id IS 'whose it is';
COMMENT ON COLUMN rt.stat_connections.peer IS 'address that it comes from';
COMMENT ON COLUMN rt.stat_connections.transport IS 'websocket or polling';
COMMENT ON COLUMN rt.stat_connections.gateway IS 'name of its gateway';
COMMENT ON COLUMN rt.stat_connections.connected_at IS 'when it connected';
COMMENT ON COLUMN rt.stat_connections.rooms IS 'how many rooms it has joined';
COMMENT ON COLUMN rt.stat_connections.queued_bytes IS 'bytes that wait for it in the gateway; at rt.max_queued_bytes it is cut off';
COMMENT ON COLUMN rt.stat_connections.latency IS
	'how long the answer to the last heartbeat took, see rt.ping_interval; null before the first one';

COMMENT ON COLUMN rt.stat_rooms.room_id IS 'the room';
COMMENT ON COLUMN rt.stat_rooms.name IS 'its name; null for a direct room';
COMMENT ON COLUMN rt.stat_rooms.kind IS 'direct or group';
COMMENT ON COLUMN rt.stat_rooms.last_seq IS 'number of its last message';
COMMENT ON COLUMN rt.stat_rooms.members IS 'how many members it has';
COMMENT ON COLUMN rt.stat_rooms.joined IS 'how many sockets have joined it; each gateway reports a thousand rooms at most';

COMMENT ON COLUMN rt.stat_meetings.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt.stat_meetings.title IS 'its title';
COMMENT ON COLUMN rt.stat_meetings.status IS 'live: the others are not shown';
COMMENT ON COLUMN rt.stat_meetings.host_id IS 'whose it is';
COMMENT ON COLUMN rt.stat_meetings.started_at IS 'when it became live';
COMMENT ON COLUMN rt.stat_meetings.participants IS 'places that are taken, those in the grace among them';
COMMENT ON COLUMN rt.stat_meetings.in_grace IS 'participants whose connection dropped and whose place is kept, see rt.meeting_grace';
COMMENT ON COLUMN rt.stat_meetings.hands IS 'raised hands';
COMMENT ON COLUMN rt.stat_meetings.transports IS 'media transports';
COMMENT ON COLUMN rt.stat_meetings.producers IS 'streams that are sent';
COMMENT ON COLUMN rt.stat_meetings.consumers IS 'streams that are received';
COMMENT ON COLUMN rt.stat_meetings.media_worker IS 'media worker that carries it; null: none does now';
COMMENT ON COLUMN rt.stat_meetings.router_id IS 'its router there';

COMMENT ON COLUMN rt.stat_media.worker IS 'media worker';
COMMENT ON COLUMN rt.stat_media.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt.stat_media.participant_id IS 'whose it is';
COMMENT ON COLUMN rt.stat_media.object IS 'transport, producer or consumer';
COMMENT ON COLUMN rt.stat_media.id IS 'its id, as clients know it';
COMMENT ON COLUMN rt.stat_media.kind IS 'audio or video; null for a transport';
COMMENT ON COLUMN rt.stat_media.source IS 'camera, microphone, screen or screen-audio; null for a transport';
COMMENT ON COLUMN rt.stat_media.type IS 'send or recv for a transport, else simple, simulcast or svc';
COMMENT ON COLUMN rt.stat_media.state IS 'of a transport its connection''s; else live, paused, muted or producer paused';
COMMENT ON COLUMN rt.stat_media.packets IS 'packets so far; this and what follows is null where it does not apply';
COMMENT ON COLUMN rt.stat_media.bytes IS 'bytes so far';
COMMENT ON COLUMN rt.stat_media.lost IS 'packets lost so far';
COMMENT ON COLUMN rt.stat_media.jitter_ms IS 'jitter in milliseconds';
COMMENT ON COLUMN rt.stat_media.rtt_ms IS 'round trip in milliseconds';
COMMENT ON COLUMN rt.stat_media.bitrate_bps IS 'bits a second now';
COMMENT ON COLUMN rt.stat_media.estimate_bps IS 'what a transport''s way to the client is thought to carry';
COMMENT ON COLUMN rt.stat_media.nacks IS 'requests to send packets again';
COMMENT ON COLUMN rt.stat_media.plis IS 'requests for a key frame';
COMMENT ON COLUMN rt.stat_media.spatial_layer IS 'spatial layer that a consumer gets';
COMMENT ON COLUMN rt.stat_media.temporal_layer IS 'temporal layer that it gets';
COMMENT ON COLUMN rt.stat_media.score IS 'quality from 0 to 10';
COMMENT ON COLUMN rt.stat_media.reason IS 'why a consumer gets the layer that it gets';
COMMENT ON COLUMN rt.stat_media.created_at IS 'when it was made';

COMMENT ON COLUMN rt.stat_media_workers.worker IS 'name of the process, new at each start';
COMMENT ON COLUMN rt.stat_media_workers.slot IS 'which worker of which host it is';
COMMENT ON COLUMN rt.stat_media_workers.addresses IS 'addresses that clients are told';
COMMENT ON COLUMN rt.stat_media_workers.udp_port IS 'its UDP port';
COMMENT ON COLUMN rt.stat_media_workers.tcp_port IS 'its TCP port';
COMMENT ON COLUMN rt.stat_media_workers.capacity IS 'producers and consumers that it takes';
COMMENT ON COLUMN rt.stat_media_workers.load IS 'producers and consumers that it has';
COMMENT ON COLUMN rt.stat_media_workers.meetings IS 'meetings that it carries';
COMMENT ON COLUMN rt.stat_media_workers.alive IS 'whether it has reported in the last three seconds';
COMMENT ON COLUMN rt.stat_media_workers.started_at IS 'when it started';
COMMENT ON COLUMN rt.stat_media_workers.heartbeat_at IS 'when it reported last';
-- What is not described where it is made: sequences, tables of rt_private, indexes, policies and triggers.

-- ---- sequences ---------------------------------------------------------------------------------

COMMENT ON SEQUENCE rt.rooms_id_seq IS 'ids of rooms';
COMMENT ON SEQUENCE rt.meetings_id_seq IS 'ids of meetings';
COMMENT ON SEQUENCE rt.meeting_participants_id_seq IS 'ids of participants';
COMMENT ON SEQUENCE rt.meeting_messages_id_seq IS 'ids of meetings'' messages';
COMMENT ON SEQUENCE rt.meeting_recordings_id_seq IS 'ids of recordings';
COMMENT ON SEQUENCE rt_private.media_requests_id_seq IS 'ids of requests';

-- ---- columns of rt_private ---------------------------------------------------------------------

COMMENT ON COLUMN rt_private.gateways.name IS 'the name that it gave itself, new at each start';
COMMENT ON COLUMN rt_private.gateways.host IS 'the host that it runs on';
COMMENT ON COLUMN rt_private.gateways.slot IS 'its number among the workers of the host';
COMMENT ON COLUMN rt_private.gateways.pid IS 'its process';
COMMENT ON COLUMN rt_private.gateways.port IS 'the TCP port that it listens on';
COMMENT ON COLUMN rt_private.gateways.started_at IS 'when it began to serve';
COMMENT ON COLUMN rt_private.gateways.reported_at IS 'when it reported last';
COMMENT ON COLUMN rt_private.gateways.stats IS 'its counters and figures';
COMMENT ON COLUMN rt_private.gateways.rooms IS 'its rooms with joined sockets, the largest ones';
COMMENT ON COLUMN rt_private.gateways.stats_reset IS 'since when the views count';
COMMENT ON COLUMN rt_private.connections.sid IS 'the socket''s id';
COMMENT ON COLUMN rt_private.connections.user_id IS 'whose it is';
COMMENT ON COLUMN rt_private.connections.gateway IS 'the gateway that has it';
COMMENT ON COLUMN rt_private.connections.peer IS 'the client''s address';
COMMENT ON COLUMN rt_private.connections.transport IS 'websocket or polling';
COMMENT ON COLUMN rt_private.connections.connected_at IS 'since when';
COMMENT ON COLUMN rt_private.connections.queued_bytes IS 'what waits for the client';
COMMENT ON COLUMN rt_private.sessions.pid IS 'the private id by which the client comes back';
COMMENT ON COLUMN rt_private.sessions.sid IS 'the socket''s id, which it keeps';
COMMENT ON COLUMN rt_private.sessions.user_id IS 'whose it is';
COMMENT ON COLUMN rt_private.sessions.joined IS 'the rooms that it had joined';
COMMENT ON COLUMN rt_private.sessions.ended_at IS 'when the connection ended; null: it is there';
COMMENT ON COLUMN rt_private.media_workers.addresses IS 'the addresses that it is reached at';
COMMENT ON COLUMN rt_private.media_workers.udp_port IS 'its UDP port';
COMMENT ON COLUMN rt_private.media_workers.tcp_port IS 'its TCP port';
COMMENT ON COLUMN rt_private.media_workers.fingerprint IS 'of its DTLS certificate';
COMMENT ON COLUMN rt_private.media_workers.can_record IS 'whether it can record';
COMMENT ON COLUMN rt_private.media_workers.started_at IS 'when it began to serve';
COMMENT ON COLUMN rt_private.media_workers.heartbeat_at IS 'when it was heard of last';
COMMENT ON COLUMN rt_private.media_routers.id IS 'the router''s id on the wire';
COMMENT ON COLUMN rt_private.media_routers.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_routers.worker IS 'the media worker that has it';
COMMENT ON COLUMN rt_private.media_routers.created_at IS 'when it was made';
COMMENT ON COLUMN rt_private.media_transports.id IS 'its id on the wire';
COMMENT ON COLUMN rt_private.media_transports.router_id IS 'the router';
COMMENT ON COLUMN rt_private.media_transports.worker IS 'the media worker that has it';
COMMENT ON COLUMN rt_private.media_transports.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_transports.participant_id IS 'whose it is';
COMMENT ON COLUMN rt_private.media_transports.direction IS 'send: from the client; recv: to it';
COMMENT ON COLUMN rt_private.media_transports.stats IS 'its figures, as the worker reports them';
COMMENT ON COLUMN rt_private.media_transports.created_at IS 'when it was made';
COMMENT ON COLUMN rt_private.media_producers.id IS 'its id on the wire';
COMMENT ON COLUMN rt_private.media_producers.transport_id IS 'the transport that it comes in by';
COMMENT ON COLUMN rt_private.media_producers.worker IS 'the media worker that has it';
COMMENT ON COLUMN rt_private.media_producers.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_producers.participant_id IS 'whose it is';
COMMENT ON COLUMN rt_private.media_producers.kind IS 'audio or video';
COMMENT ON COLUMN rt_private.media_producers.source IS 'what is shown or heard: camera, microphone, screen, screen-audio';
COMMENT ON COLUMN rt_private.media_producers.type IS 'simple, simulcast or svc';
COMMENT ON COLUMN rt_private.media_producers.stats IS 'its figures, as the worker reports them';
COMMENT ON COLUMN rt_private.media_producers.created_at IS 'when it was made';
COMMENT ON COLUMN rt_private.media_consumers.id IS 'its id on the wire';
COMMENT ON COLUMN rt_private.media_consumers.transport_id IS 'the transport that it goes out by';
COMMENT ON COLUMN rt_private.media_consumers.producer_id IS 'the stream that it passes on';
COMMENT ON COLUMN rt_private.media_consumers.worker IS 'the media worker that has it';
COMMENT ON COLUMN rt_private.media_consumers.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_consumers.participant_id IS 'who receives it';
COMMENT ON COLUMN rt_private.media_consumers.kind IS 'audio or video';
COMMENT ON COLUMN rt_private.media_consumers.paused IS 'by the one who receives it; so it begins';
COMMENT ON COLUMN rt_private.media_consumers.stats IS 'its figures, as the worker reports them';
COMMENT ON COLUMN rt_private.media_consumers.created_at IS 'when it was made';
COMMENT ON COLUMN rt_private.media_requests.id IS 'the order in which they are carried out';
COMMENT ON COLUMN rt_private.media_requests.worker IS 'the media worker that is to do it';
COMMENT ON COLUMN rt_private.media_requests.op IS 'what is to be done';
COMMENT ON COLUMN rt_private.media_requests.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_requests.participant_id IS 'who asks, or whom it concerns';
COMMENT ON COLUMN rt_private.media_requests.gateway IS 'the gateway that gets the answer; null: a command, which has none';
COMMENT ON COLUMN rt_private.media_requests.socket_id IS 'the socket that asked';
COMMENT ON COLUMN rt_private.media_requests.created_at IS 'when it was asked';
COMMENT ON COLUMN rt_private.outgoing.n IS 'its place in the batch';
COMMENT ON COLUMN rt_private.outgoing.actor IS 'the sender';
COMMENT ON COLUMN rt_private.outgoing.content IS 'the text';
COMMENT ON COLUMN rt_private.outgoing.message_type IS 'the application''s sort of message';
COMMENT ON COLUMN rt_private.outgoing.metadata IS 'the application''s object';
COMMENT ON COLUMN rt_private.outgoing.reply_to IS 'number of the message that it answers';
COMMENT ON COLUMN rt_private.outgoing.client_id IS 'the sender''s own id of it';
COMMENT ON COLUMN rt_private.outgoing.code IS 'why it cannot be sent, for programs; null: it can';
COMMENT ON COLUMN rt_private.outgoing.problem IS 'the same, for people';

-- ---- indexes -----------------------------------------------------------------------------------

COMMENT ON INDEX rt_private.connections_user_id_idx IS 'whether a user is connected';
COMMENT ON INDEX rt_private.connections_gateway_idx IS 'what a gateway had that is gone';
COMMENT ON INDEX rt_private.sessions_sid_idx IS 'the session of a socket';
COMMENT ON INDEX rt_private.sessions_ended_at_idx IS 'sessions that are too old to be given back';
COMMENT ON INDEX rt.meetings_host IS 'a user''s own meetings; deleting a user';
COMMENT ON INDEX rt.meetings_room IS 'a room''s meetings; deleting a room';
COMMENT ON INDEX rt.meetings_started_by IS 'deleting a user';
COMMENT ON INDEX rt.meetings_ended_by IS 'deleting a user';
COMMENT ON INDEX rt.meeting_invitees_user IS 'meetings that a user is invited to; deleting a user';
COMMENT ON INDEX rt.meeting_invitees_invited_by IS 'deleting a user';
COMMENT ON INDEX rt.meeting_bans_user IS 'deleting a user';
COMMENT ON INDEX rt.meeting_bans_banned_by IS 'deleting a user';
COMMENT ON INDEX rt.meeting_participants_live IS 'a socket is once in a meeting';
COMMENT ON INDEX rt.meeting_participants_socket IS 'the places of a socket';
COMMENT ON INDEX rt.meeting_participants_user IS 'a user''s places in a meeting';
COMMENT ON INDEX rt.meeting_participants_of_user IS 'meetings that a user was in; deleting a user';
COMMENT ON INDEX rt.meeting_participants_removed_by IS 'deleting a user';
COMMENT ON INDEX rt.meeting_participants_grace IS 'places that are kept for somebody who was cut off';
COMMENT ON INDEX rt.meeting_participants_gateway IS 'what a gateway had that is gone';
COMMENT ON INDEX rt.meeting_messages_meeting IS 'a meeting''s messages';
COMMENT ON INDEX rt.meeting_messages_sender IS 'deleting a user';
COMMENT ON INDEX rt.meeting_messages_sender_participant IS 'deleting a participant';
COMMENT ON INDEX rt.meeting_messages_recipient IS 'deleting a user';
COMMENT ON INDEX rt.meeting_messages_recipient_participant IS 'deleting a participant';
COMMENT ON INDEX rt.meeting_recordings_meeting IS 'a meeting''s recordings';
COMMENT ON INDEX rt.meeting_recordings_running IS 'one at a time is under way in a meeting';
COMMENT ON INDEX rt.meeting_recordings_started_by IS 'deleting a user';
COMMENT ON INDEX rt.meeting_recordings_stopped_by IS 'deleting a user';
COMMENT ON INDEX rt_private.media_routers_worker IS 'what a media worker had that is gone';
COMMENT ON INDEX rt_private.media_transports_participant IS 'what a participant has';
COMMENT ON INDEX rt_private.media_transports_meeting IS 'what a meeting has';
COMMENT ON INDEX rt_private.media_producers_transport IS 'what a transport carries';
COMMENT ON INDEX rt_private.media_producers_participant IS 'what a participant sends';
COMMENT ON INDEX rt_private.media_producers_meeting IS 'what a meeting has';
COMMENT ON INDEX rt_private.media_consumers_transport IS 'what a transport carries';
COMMENT ON INDEX rt_private.media_consumers_producer IS 'who receives a stream';
COMMENT ON INDEX rt_private.media_consumers_meeting IS 'what a meeting has';
COMMENT ON INDEX rt_private.media_requests_waiting IS 'what a media worker is to fetch';
COMMENT ON INDEX rt_private.media_requests_participant IS 'what a participant has asked for';
COMMENT ON INDEX rt_private.media_requests_handed IS 'commands that a media worker has';

-- ---- policies of rt_app ------------------------------------------------------------------------

COMMENT ON POLICY users_change ON rt.users IS 'one''s own name';
COMMENT ON POLICY users_read ON rt.users IS 'everybody, for whoever acts as a user';
COMMENT ON POLICY rooms_read ON rt.rooms IS 'one''s own rooms';
COMMENT ON POLICY rooms_change ON rt.rooms IS 'by admins of the room';
COMMENT ON POLICY rooms_delete ON rt.rooms IS 'by admins of the room';
COMMENT ON POLICY members_read ON rt.room_members IS 'those of one''s own rooms';
COMMENT ON POLICY members_add ON rt.room_members IS 'by admins of the room';
COMMENT ON POLICY members_change ON rt.room_members IS 'by admins of the room';
COMMENT ON POLICY members_remove ON rt.room_members IS 'oneself, or by admins of the room';
COMMENT ON POLICY messages_change ON rt.messages IS 'one''s own, in one''s own rooms';
COMMENT ON POLICY messages_read ON rt.messages IS 'those of one''s own rooms';
COMMENT ON POLICY messages_send ON rt.messages IS 'as oneself, to one''s own rooms';
COMMENT ON POLICY messages_delete ON rt.messages IS 'one''s own, or by admins of the room';
COMMENT ON POLICY reactions_read ON rt.reactions IS 'those of one''s own rooms';
COMMENT ON POLICY reactions_remove ON rt.reactions IS 'one''s own';
COMMENT ON POLICY reactions_add ON rt.reactions IS 'as oneself, in one''s own rooms';
COMMENT ON POLICY presence_read ON rt.presence IS 'of those who share a room, and one''s own';
COMMENT ON POLICY presence_change ON rt.presence IS 'one''s own';
COMMENT ON POLICY meetings_see ON rt.meetings IS 'those that one may join, or was in';
COMMENT ON POLICY meetings_make ON rt.meetings IS 'as their host';
COMMENT ON POLICY meetings_run ON rt.meetings IS 'by those who run it';
COMMENT ON POLICY meetings_delete ON rt.meetings IS 'by those who run it';
COMMENT ON POLICY meeting_invitees_see ON rt.meeting_invitees IS 'oneself, or by those who run the meeting';
COMMENT ON POLICY meeting_invitees_run ON rt.meeting_invitees IS 'by those who run the meeting';
COMMENT ON POLICY meeting_bans_run ON rt.meeting_bans IS 'by those who run the meeting';
COMMENT ON POLICY meeting_participants_see ON rt.meeting_participants IS 'those of meetings that one sees';
COMMENT ON POLICY meeting_messages_see ON rt.meeting_messages IS 'those that were said to one';
COMMENT ON POLICY meeting_messages_send ON rt.meeting_messages IS 'as oneself, where one is';
COMMENT ON POLICY meeting_recordings_see ON rt.meeting_recordings IS 'those of meetings that one sees';

-- ---- triggers ----------------------------------------------------------------------------------

-- What a trigger does is what its function does.
DO $$
DECLARE
	t record;
BEGIN
	FOR t IN
		SELECT g.tgname, g.tgrelid, pg_catalog.obj_description(g.tgfoid, 'pg_proc') AS does
		FROM pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) g.tgrelid
			JOIN pg_catalog.pg_proc AS p ON p.oid OPERATOR(pg_catalog.=) g.tgfoid
			JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
		WHERE n.nspname OPERATOR(pg_catalog.=) ANY ('{rt,rt_private}'::pg_catalog.name[]) AND NOT g.tgisinternal
			AND p.pronamespace OPERATOR(pg_catalog.=) 'rt_private'::pg_catalog.regnamespace
			AND pg_catalog.obj_description(g.oid, 'pg_trigger') IS NULL
	LOOP
		EXECUTE pg_catalog.format('COMMENT ON TRIGGER %I ON %s IS %L', t.tgname, t.tgrelid::pg_catalog.regclass, t.does);
	END LOOP;
END
$$;
