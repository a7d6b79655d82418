-- Users: who may log in, and under which name the others see them.

CREATE TABLE rt.users (
	id text PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 128 AND id !~ '[[:cntrl:]]' AND id NOT IN ('.', '..')),
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
LANGUAGE sql IMMUTABLE STRICT
	RETURN CASE WHEN pg_catalog.octet_length(password) <= 72 THEN password
		ELSE pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(password, 'UTF8')), 'base64') END;
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
		RAISE EXCEPTION 'user not found' USING ERRCODE = 'RT404';
	END IF;
END
$$;
COMMENT ON FUNCTION rt.set_password(text, text) IS 'sets a user''s password; null: none lets them in';

CREATE FUNCTION rt_private.user_name(user_id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT u.name FROM rt.users AS u WHERE u.id = user_name.user_id);
END
$$;
COMMENT ON FUNCTION rt_private.user_name(text) IS 'what the others see of a user';

CREATE FUNCTION rt_private.user_json(u rt.users) RETURNS json
LANGUAGE sql STABLE
	RETURN pg_catalog.json_build_object('id', u.id, 'username', u.username, 'name', u.name);
COMMENT ON FUNCTION rt_private.user_json(rt.users) IS 'a user on the wire';
