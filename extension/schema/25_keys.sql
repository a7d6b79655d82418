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
COMMENT ON TRIGGER keys_changed ON rt_private.keys IS 'tells the gateways';
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
            RAISE EXCEPTION 'token expired' USING ERRCODE = 'RT401';
        END IF;
        wrong := coalesce((claims ->> 'nbf')::double precision - leeway_s > now_s, false);
    END IF;
    IF wrong THEN
        RAISE EXCEPTION 'invalid token' USING ERRCODE = 'RT401';
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
