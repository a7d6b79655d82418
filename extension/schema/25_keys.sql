-- Keys and tokens.  A token is a JSON Web Token; its header names the key (kid) that signed it.  All keys that are not
-- retired verify; of those with can_sign the newest signs.

CREATE TABLE rt_private.keys (
	kid text PRIMARY KEY CHECK (octet_length(kid) BETWEEN 1 AND 255 AND kid !~ '[[:cntrl:]]'),
	alg text NOT NULL CHECK (alg IN ('HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512',
		'ES256', 'ES384', 'ES512', 'EdDSA')),
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
COMMENT ON TABLE rt_private.keys IS 'keys that sign and verify tokens; pg_dump includes them and their secrets';
COMMENT ON COLUMN rt_private.keys.kid IS 'key id (kid) in a token''s header';
COMMENT ON COLUMN rt_private.keys.alg IS 'the only algorithm that the key is valid for';
COMMENT ON COLUMN rt_private.keys.secret IS 'HS256, HS384, HS512: the shared secret, whose bytes are the key';
COMMENT ON COLUMN rt_private.keys.private_key IS 'other algorithms: the private key as PEM, if tokens may be signed here';
COMMENT ON COLUMN rt_private.keys.public_key IS 'other algorithms: the public key as PEM';
COMMENT ON COLUMN rt_private.keys.can_sign IS 'rt.issue_token() may sign with it; the newest such key signs';
COMMENT ON COLUMN rt_private.keys.created_at IS 'when the key was added';
COMMENT ON COLUMN rt_private.keys.retired_at IS 'when the key was retired; it no longer verifies tokens';

CREATE FUNCTION rt_private.random_text(bytes integer) RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_random_text';
COMMENT ON FUNCTION rt_private.random_text(integer) IS 'random bytes in base64url';

CREATE FUNCTION rt_private.jwt_sign(kid text, alg text, key text, claims json) RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_jwt_sign';
COMMENT ON FUNCTION rt_private.jwt_sign(text, text, text, json) IS 'signs a token with the given claims';

CREATE FUNCTION rt_private.jwt_part(token text, part integer) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_jwt_part';
COMMENT ON FUNCTION rt_private.jwt_part(text, integer) IS
	'the text of a token''s header (1) or claims (2), unverified; NULL if it is no token';

CREATE FUNCTION rt_private.jwt_is_signed(token text, alg text, key bytea) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_jwt_is_signed';
COMMENT ON FUNCTION rt_private.jwt_is_signed(text, text, bytea) IS
	'whether a token has a valid signature by a key';

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
	'or a public or private key in PEM (RS256 to RS512, PS256 to PS512, ES256 to ES512, EdDSA)';

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
COMMENT ON FUNCTION rt.retire_key(text) IS 'retires a key: tokens that were signed with it become invalid';

CREATE FUNCTION rt_private.tell_gateways(command text, payload json) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.emit(command, '{"gateway":true}', payload, true);
EXCEPTION
	-- Where rt is not preloaded, as in a restore into a bare server, there is no gateway to tell.
	WHEN object_not_in_prerequisite_state THEN
		RETURN;
END
$$;
COMMENT ON FUNCTION rt_private.tell_gateways(text, json) IS 'sends a command to all gateways; does nothing if rt is not preloaded';

CREATE FUNCTION rt_private.keys_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM rt_private.tell_gateways('rt:keys', '{}');
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.keys_changed() IS 'tells the gateways to reload the keys';

INSERT INTO rt_private.keys (kid, alg, secret, can_sign)
VALUES (rt_private.random_text(9), 'HS256', rt_private.random_text(32), true);

-- Of a subscriber too, to which replication brings the publisher's keys: it fires triggers for rows alone, and of these
-- those that are always enabled.
CREATE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON rt_private.keys
FOR EACH ROW EXECUTE FUNCTION rt_private.keys_changed();
COMMENT ON TRIGGER keys_changed ON rt_private.keys IS 'tells the gateways to reload the keys';
ALTER TABLE rt_private.keys ENABLE ALWAYS TRIGGER keys_changed;
CREATE TRIGGER keys_truncated AFTER TRUNCATE ON rt_private.keys
FOR EACH STATEMENT EXECUTE FUNCTION rt_private.keys_changed();
COMMENT ON TRIGGER keys_truncated ON rt_private.keys IS 'tells the gateways to reload the keys';

SELECT pg_catalog.pg_extension_config_dump('rt_private.keys', '');

REVOKE ALL ON TABLE rt_private.keys FROM PUBLIC;
