-- Users: who may log in, and under which name the others see them.

CREATE TABLE rt.users (
	id text PRIMARY KEY CHECK (octet_length(id) BETWEEN 1 AND 128 AND id !~ '[[:cntrl:]]' AND id NOT IN ('.', '..')),
	username text NOT NULL CHECK (octet_length(username) BETWEEN 1 AND 128 AND username !~ '[[:cntrl:][:space:]]'),
	name text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 512),
	password_hash text,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	is_admin boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX users_username_key ON rt.users (lower(username));
COMMENT ON TABLE rt.users IS 'users; each of them can log in, or connect with a token';
COMMENT ON COLUMN rt.users.id IS 'the subject of the user''s tokens';
COMMENT ON COLUMN rt.users.username IS 'name for logins and @mentions, may be an e-mail address; unique regardless of case';
COMMENT ON COLUMN rt.users.name IS 'display name';
COMMENT ON COLUMN rt.users.password_hash IS 'bcrypt hash; null: no login by password';
COMMENT ON COLUMN rt.users.is_admin IS 'administrator: may see server statistics, disconnect users and end meetings';
COMMENT ON COLUMN rt.users.created_at IS 'when the user was created';
COMMENT ON INDEX rt.users_username_key IS 'used by logins and mentions';
CREATE INDEX users_password_cost ON rt.users (substr(password_hash, 5, 2)) WHERE password_hash LIKE '$2%';
COMMENT ON INDEX rt.users_password_cost IS 'finds the slowest stored hash: every login takes that long';
SELECT pg_catalog.pg_extension_config_dump('rt.users', '');

-- Usernames are RFC 8265's: stored as UsernameCasePreserved has it (section 3.4), compared as UsernameCaseMapped (section 3.3).
-- Wide and narrow forms of East Asian characters become the usual ones, and all is composed.
CREATE FUNCTION rt_private.username_form(username text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT normalize(CASE WHEN username ~ E'[\uFF00-\uFFEF]' THEN (SELECT string_agg(CASE WHEN c ~ E'[\uFF00-\uFFEF]' THEN normalize(c, NFKC)
		ELSE c END, '' ORDER BY n) FROM regexp_split_to_table(username, '') WITH ORDINALITY AS chars (c, n)) ELSE username END, NFC)
$$;
COMMENT ON FUNCTION rt_private.username_form(text) IS 'normalizes a username for storage';

CREATE FUNCTION rt_private.precis_fault(value text, is_identifier boolean) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rt_precis_fault';
COMMENT ON FUNCTION rt_private.precis_fault(text, boolean) IS
	'why a text is not in the IdentifierClass, with the Bidi Rule, or in the FreeformClass of PRECIS (RFC 8264); NULL: it is';

CREATE FUNCTION rt_private.username_fault(username text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt_private.precis_fault(rt_private.username_form(username), true)
$$;
COMMENT ON FUNCTION rt_private.username_fault(text) IS 'what is wrong with a username; NULL: nothing';

CREATE FUNCTION rt_private.user_names() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	NEW.username := rt_private.username_form(NEW.username);
	IF NEW.username !~ '^[!-~]+$' AND rt_private.precis_fault(NEW.username, true) IS NOT NULL
		AND (TG_OP = 'INSERT' OR NEW.username <> OLD.username) THEN
		RAISE EXCEPTION 'invalid username "%"', NEW.username USING ERRCODE = 'check_violation', DETAIL = rt_private.precis_fault(NEW.username, true),
			HINT = 'Use letters, digits and the punctuation of ASCII, without spaces.';
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.user_names() IS 'normalizes usernames before they are stored';
CREATE TRIGGER user_names BEFORE INSERT OR UPDATE OF username ON rt.users
	FOR EACH ROW EXECUTE FUNCTION rt_private.user_names();
COMMENT ON TRIGGER user_names ON rt.users IS 'normalizes usernames before they are stored';

-- What the table's constraints refuse is refused here, before them: the server's own message about a constraint shows the whole row,
-- and with it the hash of the password.  By its name it fires after user_names.
CREATE FUNCTION rt_private.user_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF NEW.id IS NULL OR NEW.username IS NULL OR NEW.name IS NULL OR NEW.created_at IS NULL OR NEW.is_admin IS NULL THEN
		RAISE EXCEPTION 'only the password of a user may be null' USING ERRCODE = 'not_null_violation';
	ELSIF octet_length(NEW.id) NOT BETWEEN 1 AND 128 OR NEW.id ~ '[[:cntrl:]]' OR NEW.id IN ('.', '..') THEN
		RAISE EXCEPTION 'invalid user id "%"', left(NEW.id, 128) USING ERRCODE = 'check_violation',
			DETAIL = 'It must have 1 to 128 bytes, no control characters, and not be "." or "..".';
	ELSIF octet_length(NEW.name) NOT BETWEEN 1 AND 512 THEN
		RAISE EXCEPTION 'invalid name of user "%"', NEW.id USING ERRCODE = 'check_violation', DETAIL = 'It must have 1 to 512 bytes.';
	ELSIF octet_length(NEW.username) NOT BETWEEN 1 AND 128 OR NEW.username ~ '[[:cntrl:][:space:]]' THEN
		RAISE EXCEPTION 'invalid username "%"', left(NEW.username, 128) USING ERRCODE = 'check_violation',
			DETAIL = 'It must have 1 to 128 bytes, without spaces.';
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.user_check() IS 'refuses invalid users, without showing their password''s hash';
CREATE TRIGGER user_names_check BEFORE INSERT OR UPDATE OF id, username, name, created_at, is_admin ON rt.users
	FOR EACH ROW EXECUTE FUNCTION rt_private.user_check();
COMMENT ON TRIGGER user_names_check ON rt.users IS 'refuses invalid users, without showing their password''s hash';

-- ---- passwords -----------------------------------------------------------------------

-- OWASP's least for bcrypt.  What is stored with less is hashed anew at the next login.
CREATE FUNCTION rt_private.least_password_cost() RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$ SELECT 10 $$;
COMMENT ON FUNCTION rt_private.least_password_cost() IS 'the cost of new password hashes: 2 to this power rounds of bcrypt';

CREATE FUNCTION rt_private.password_cost(password_hash text) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN password_hash ~ E'^\\$2[abxy]\\$\\d\\d\\$' THEN substr(password_hash, 5, 2)::integer ELSE 0 END
$$;
COMMENT ON FUNCTION rt_private.password_cost(text) IS 'the bcrypt cost of a hash; 0: not a bcrypt hash';

-- RFC 8265, section 4.2.2 (OpaqueString): any space is a space, and all is composed.
CREATE FUNCTION rt_private.password_form(password text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT normalize(regexp_replace(password, E'[\u00A0\u1680\u2000-\u200A\u202F\u205F\u3000]', ' ', 'g'), NFC)
$$;
COMMENT ON FUNCTION rt_private.password_form(text) IS 'normalizes a password before hashing';

CREATE FUNCTION rt_private.password_bytes(password text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT
	RETURN CASE WHEN pg_catalog.octet_length(password) <= 72 THEN password
		ELSE pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(password, 'UTF8')), 'base64') END;
COMMENT ON FUNCTION rt_private.password_bytes(text) IS 'a password in the 72 bytes that bcrypt uses';

CREATE FUNCTION rt_private.hash_password(password text) RETURNS text
LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	fault text := rt_private.precis_fault(rt_private.password_form(password), false);
BEGIN
	IF octet_length(password) NOT BETWEEN 1 AND 1024 OR password ~ '[[:cntrl:]]' THEN
		RAISE EXCEPTION 'a password must have 1 to 1024 bytes and no control characters' USING ERRCODE = 'RT400';
	END IF;
	IF fault IS NOT NULL THEN
		RAISE EXCEPTION 'a password must not have invisible characters' USING ERRCODE = 'RT400', DETAIL = fault;
	END IF;
	-- bcrypt looks at 72 bytes alone: a longer one is digested first
	RETURN rt_private.crypt(rt_private.password_bytes(rt_private.password_form(password)),
		rt_private.gen_salt('bf', rt_private.least_password_cost()));
END
$$;
COMMENT ON FUNCTION rt_private.hash_password(text) IS 'hashes a password';

-- Takes as long as the slowest stored hash, whatever this one is, and whether or not there is one: each step of the cost
-- doubles the time, so the steps from a cheap hash's up to the dearest add up to that one's time.
CREATE FUNCTION rt_private.password_matches(password text, password_hash text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	salt CONSTANT text := '$abcdefghijklmnopqrstuu';
	dearest integer := greatest(rt_private.least_password_cost(), (SELECT max(substr(u.password_hash, 5, 2)) FROM rt.users AS u
		WHERE u.password_hash LIKE '$2%')::integer);
	known text := coalesce(password_matches.password_hash, '$2a$' || lpad(dearest::text, 2, '0') || salt || 'WlVT8PV6Wdd6SlVuRrqAcpKrBM1HVoW');
	given text := rt_private.password_bytes(rt_private.password_form(coalesce(password, '')));
	raw text := rt_private.password_bytes(coalesce(password, ''));
	matches boolean := rt_private.crypt(given, known) = known;
BEGIN
	-- What was hashed before passwords were brought into one form.
	IF raw <> given THEN
		matches := rt_private.crypt(raw, known) = known OR matches;
	END IF;
	FOR cost IN greatest(rt_private.password_cost(known), 4) .. dearest - 1
	LOOP
		PERFORM rt_private.crypt(given, '$2a$' || lpad(cost::text, 2, '0') || salt);
	END LOOP;
	RETURN matches AND password_matches.password_hash IS NOT NULL;
END
$$;
COMMENT ON FUNCTION rt_private.password_matches(text, text) IS 'whether a password matches a hash';

-- What an update of a password is for, for the trigger that ends sessions: a row for as long as the statement takes.
CREATE UNLOGGED TABLE rt_private.password_updates (
	user_id text PRIMARY KEY,
	keep_sid text,
	is_rehash boolean NOT NULL
);
COMMENT ON TABLE rt_private.password_updates IS 'password changes in progress that keep a session; empty between transactions';
COMMENT ON COLUMN rt_private.password_updates.user_id IS 'the user';
COMMENT ON COLUMN rt_private.password_updates.keep_sid IS 'the session to keep; null: none';
COMMENT ON COLUMN rt_private.password_updates.is_rehash IS 'the password is unchanged, only hashed with a higher cost';
CREATE FUNCTION rt.create_user(id text, name text, password text DEFAULT NULL, username text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO rt.users (id, username, name, password_hash)
	VALUES (create_user.id, coalesce(create_user.username, create_user.id), create_user.name,
		rt_private.hash_password(create_user.password));
	RETURN create_user.id;
END
$$;
COMMENT ON FUNCTION rt.create_user(text, text, text, text) IS 'creates a user; without a password, the user can connect only with tokens';

-- Which of them is missing is said: the caller named them.
CREATE FUNCTION rt_private.check_users(users text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	missing text[] := ARRAY(SELECT DISTINCT left(w.user_id, 64) FROM unnest(users) AS w (user_id)
		WHERE NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = w.user_id) AND w.user_id IS NOT NULL ORDER BY 1 LIMIT 4);
BEGIN
	IF cardinality(missing) > 0 THEN
		RAISE EXCEPTION '% not found', CASE cardinality(missing) WHEN 1 THEN 'user ' ELSE 'users ' END
			|| (SELECT string_agg(format('"%s"', m.user_id), ', ' ORDER BY m.n) FROM unnest(missing[:3]) WITH ORDINALITY AS m (user_id, n))
			|| CASE WHEN cardinality(missing) > 3 THEN ' and others' ELSE '' END
			USING ERRCODE = 'RT404', HINT = 'Users are named by their ids: see rt.users.';
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.check_users(text[]) IS 'RT404, with their ids, if some of these users do not exist';

CREATE FUNCTION rt.set_password(user_id text, password text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE rt.users AS u SET password_hash = rt_private.hash_password(set_password.password)
	WHERE u.id = set_password.user_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'user "%" not found', left(set_password.user_id, 64) USING ERRCODE = 'RT404';
	END IF;
END
$$;
COMMENT ON FUNCTION rt.set_password(text, text) IS 'sets a user''s password; null: no login by password';

CREATE FUNCTION rt_private.user_name(user_id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT u.name FROM rt.users AS u WHERE u.id = user_name.user_id);
END
$$;
COMMENT ON FUNCTION rt_private.user_name(text) IS 'a user''s display name';

-- Here and elsewhere: a body that is parsed only when it is called lets a DBA add columns with a default to the table whose rows it takes.
CREATE FUNCTION rt_private.user_json(u rt.users) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN json_build_object('id', u.id, 'username', u.username, 'name', u.name);
END
$$;
COMMENT ON FUNCTION rt_private.user_json(rt.users) IS 'a user as clients get it';
