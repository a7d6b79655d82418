-- Issuers: identity providers whose tokens let their users in.  A token of theirs names its issuer (iss), which a key of that
-- issuer must have signed, and one of the audiences (aud) that are meant for here: a provider signs tokens for many programs
-- (RFC 8725, sections 3.8 and 3.9).

CREATE TABLE rt_private.issuers (
	issuer text PRIMARY KEY CHECK (octet_length(issuer) BETWEEN 1 AND 1024 AND issuer !~ '[[:cntrl:]]'),
	audiences text[] NOT NULL CHECK (cardinality(audiences) BETWEEN 1 AND 100 AND array_position(audiences, NULL) IS NULL),
	user_claim text NOT NULL DEFAULT 'sub' CHECK (octet_length(user_claim) BETWEEN 1 AND 128),
	create_users boolean NOT NULL DEFAULT false,
	authorized_parties text[],
	name_claim text NOT NULL DEFAULT 'name',
	username_claim text NOT NULL DEFAULT 'email',
	admin_claim text,
	admin_value text,
	token_lifetime interval NOT NULL DEFAULT '30 days' CHECK (token_lifetime BETWEEN interval '1 second' AND interval '10 years'),
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	CONSTRAINT issuers_admin CHECK ((admin_claim IS NULL) = (admin_value IS NULL))
);
COMMENT ON TABLE rt_private.issuers IS 'identity providers whose tokens are accepted';
COMMENT ON COLUMN rt_private.issuers.issuer IS 'exact value of the claim iss';
COMMENT ON COLUMN rt_private.issuers.audiences IS 'claim aud must contain one of these';
COMMENT ON COLUMN rt_private.issuers.user_claim IS 'the claim that is the user''s id';
COMMENT ON COLUMN rt_private.issuers.create_users IS 'whether unknown users are created';
COMMENT ON COLUMN rt_private.issuers.authorized_parties IS 'claim azp must be one of these; null: azp is not checked';
COMMENT ON COLUMN rt_private.issuers.name_claim IS 'claim with a new user''s display name; if it is missing, the id is used';
COMMENT ON COLUMN rt_private.issuers.username_claim IS 'claim with a new user''s username; if it is missing or taken, the id is used';
COMMENT ON COLUMN rt_private.issuers.admin_claim IS 'claim that makes a user an administrator; null: none';
COMMENT ON COLUMN rt_private.issuers.admin_value IS 'value of that claim, or of one of its elements';
COMMENT ON COLUMN rt_private.issuers.token_lifetime IS 'how long its tokens live at most: a token without iat counts as issued that long before exp';
COMMENT ON COLUMN rt_private.issuers.created_at IS 'when the issuer was added';
SELECT pg_catalog.pg_extension_config_dump('rt_private.issuers', '');

CREATE TABLE rt_private.issuer_keys (
	issuer text NOT NULL REFERENCES rt_private.issuers ON DELETE CASCADE ON UPDATE CASCADE,
	kid text NOT NULL,
	alg text NOT NULL,
	key text NOT NULL,
	added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (issuer, kid, alg)
);
COMMENT ON TABLE rt_private.issuer_keys IS 'keys of issuers, from their JSON Web Key Sets';
COMMENT ON COLUMN rt_private.issuer_keys.issuer IS 'the issuer';
COMMENT ON COLUMN rt_private.issuer_keys.kid IS 'key id (kid) in a token''s header; empty: the key has none';
COMMENT ON COLUMN rt_private.issuer_keys.alg IS 'the only algorithm that the key is valid for';
COMMENT ON COLUMN rt_private.issuer_keys.key IS 'the public key as PEM, or the shared secret in base64url';
COMMENT ON COLUMN rt_private.issuer_keys.added_at IS 'when the key was added';
SELECT pg_catalog.pg_extension_config_dump('rt_private.issuer_keys', '');

CREATE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON rt_private.issuers
FOR EACH ROW EXECUTE FUNCTION rt_private.keys_changed();
COMMENT ON TRIGGER keys_changed ON rt_private.issuers IS 'tells the gateways to reload the keys';
ALTER TABLE rt_private.issuers ENABLE ALWAYS TRIGGER keys_changed;
CREATE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON rt_private.issuer_keys
FOR EACH ROW EXECUTE FUNCTION rt_private.keys_changed();
COMMENT ON TRIGGER keys_changed ON rt_private.issuer_keys IS 'tells the gateways to reload the keys';
ALTER TABLE rt_private.issuer_keys ENABLE ALWAYS TRIGGER keys_changed;

-- ---- JSON Web Keys (RFC 7517) ------------------------------------------------------

CREATE FUNCTION rt_private.jwk_public(alg text, a bytea, b bytea) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rt_jwk_public';
COMMENT ON FUNCTION rt_private.jwk_public(text, bytea, bytea) IS
	'converts a JWK''s numbers (n and e, x and y, or x alone) to PEM; NULL if they are not a valid key';

CREATE FUNCTION rt_private.from_base64url(value text) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF value !~ '^[A-Za-z0-9_-]+$' THEN
		RETURN NULL;
	END IF;
	RETURN decode(rpad(translate(value, '-_', '+/'), (length(value) + 3) / 4 * 4, '='), 'base64');
EXCEPTION
	WHEN data_exception THEN
		RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.from_base64url(text) IS 'decodes base64url without padding; NULL if it is malformed';

-- Which algorithm a key is for, where it does not say so itself; NULL for a kind of key that is unknown here, which RFC 7517,
-- section 5, has us pass over.
CREATE FUNCTION rt_private.jwk_alg(jwk jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE jwk ->> 'kty'
		WHEN 'RSA' THEN coalesce(jwk ->> 'alg', 'RS256')
		WHEN 'EC' THEN CASE jwk ->> 'crv' WHEN 'P-256' THEN 'ES256' WHEN 'P-384' THEN 'ES384' WHEN 'P-521' THEN 'ES512' END
		WHEN 'OKP' THEN CASE jwk ->> 'crv' WHEN 'Ed25519' THEN 'EdDSA' END
		WHEN 'oct' THEN coalesce(jwk ->> 'alg', 'HS256')
	END
$$;
COMMENT ON FUNCTION rt_private.jwk_alg(jsonb) IS 'the algorithm of a JWK; NULL: unknown kind of key';

-- What is wrong with a key of a known kind, or NULL.
CREATE FUNCTION rt_private.jwk_fault(jwk jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE
		WHEN coalesce(jwk ->> 'use', 'sig') <> 'sig' THEN format('Its use is "%s", not "sig".', jwk ->> 'use')
		WHEN jwk ? 'key_ops' AND (jsonb_typeof(jwk -> 'key_ops') <> 'array'
			OR jsonb_path_exists(jwk -> 'key_ops', 'strict $[*] ? (@.type() != "string")')) THEN 'Its key_ops are not an array of texts.'
		WHEN jwk ? 'key_ops' AND NOT jwk -> 'key_ops' ? 'verify' THEN 'Its key_ops do not have "verify".'
		WHEN jwk ? 'd' THEN 'It is a private key.'
		WHEN jwk ? 'kid' AND (jsonb_typeof(jwk -> 'kid') <> 'string' OR octet_length(jwk ->> 'kid') NOT BETWEEN 1 AND 255
			OR jwk ->> 'kid' ~ '[[:cntrl:]]') THEN 'Its kid is not a text of 1 to 255 bytes.'
		WHEN jwk ? 'alg' AND NOT coalesce(jwk ->> 'alg' = CASE jwk ->> 'kty' WHEN 'RSA' THEN substring(jwk ->> 'alg' FROM '^[RP]S(?:256|384|512)$')
			WHEN 'oct' THEN substring(jwk ->> 'alg' FROM '^HS(?:256|384|512)$')
			WHEN 'OKP' THEN substring(jwk ->> 'alg' FROM '^(?:EdDSA|Ed25519)$') ELSE rt_private.jwk_alg(jwk) END, false)
			THEN format('Its alg is "%s", which is no algorithm of such a key.', jwk ->> 'alg')
	END
$$;
COMMENT ON FUNCTION rt_private.jwk_fault(jsonb) IS 'why a JWK cannot verify tokens; NULL if it can';

CREATE FUNCTION rt_private.jwk_key(jwk jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	alg text := rt_private.jwk_alg(jwk);
	fault text := rt_private.jwk_fault(jwk);
	secret bytea;
	key text;
BEGIN
	IF fault IS NULL AND jwk ->> 'kty' = 'oct' THEN
		secret := rt_private.from_base64url(jwk ->> 'k');
		IF octet_length(secret) NOT BETWEEN substr(alg, 3)::integer / 8 AND 1024 THEN
			fault := format('It needs %s to 1024 bytes.', substr(alg, 3)::integer / 8);
		ELSIF secret IS NOT NULL THEN
			key := jwk ->> 'k';
		END IF;
	ELSIF fault IS NULL THEN
		key := rt_private.jwk_public(alg, rt_private.from_base64url(coalesce(jwk ->> 'n', jwk ->> 'x')),
			rt_private.from_base64url(coalesce(jwk ->> 'e', jwk ->> 'y', 'AA')));
	END IF;
	IF key IS NULL THEN
		RAISE EXCEPTION 'key "%" of the key set cannot be used', coalesce(jwk ->> 'kid', '')
			USING ERRCODE = 'invalid_parameter_value', DETAIL = coalesce(fault, 'Its numbers are missing or are not a key.');
	END IF;
	RETURN key;
END
$$;
COMMENT ON FUNCTION rt_private.jwk_key(jsonb) IS 'the key of a JWK, as PEM or as a shared secret; an error if it is unusable';

-- ---- issuers -----------------------------------------------------------------------

CREATE FUNCTION rt.set_jwks(issuer text, jwks jsonb) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	jwk jsonb;
	nkeys integer;
	wanted jsonb := '[]';
BEGIN
	IF jsonb_typeof(set_jwks.jwks -> 'keys') IS DISTINCT FROM 'array' THEN
		RAISE EXCEPTION 'not a JSON Web Key Set' USING ERRCODE = 'invalid_parameter_value',
			DETAIL = 'It must be an object whose "keys" is an array.', HINT = 'Pass what the issuer''s jwks_uri answers, unchanged.';
	END IF;
	PERFORM FROM rt_private.issuers AS i WHERE i.issuer = set_jwks.issuer FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'issuer "%" not found', set_jwks.issuer USING ERRCODE = 'RT404', HINT = 'Run rt.add_issuer() first.';
	END IF;
	IF EXISTS (SELECT FROM jsonb_array_elements(set_jwks.jwks -> 'keys') AS e WHERE jsonb_typeof(e -> 'kty') IS DISTINCT FROM 'string') THEN
		RAISE EXCEPTION 'the key set has an element that is not a JSON Web Key' USING ERRCODE = 'invalid_parameter_value',
			DETAIL = 'It must be an object with a "kty".';
	END IF;
	nkeys := (SELECT count(*) FROM jsonb_array_elements(set_jwks.jwks -> 'keys') AS e WHERE rt_private.jwk_alg(e) IS NOT NULL);
	IF nkeys NOT BETWEEN 1 AND 50 THEN
		RAISE EXCEPTION 'the key set has % keys that can verify tokens', nkeys
			USING ERRCODE = 'invalid_parameter_value', DETAIL = 'It must have 1 to 50 keys of kind RSA, EC, OKP or oct.';
	END IF;
	FOR jwk IN SELECT jsonb_array_elements(set_jwks.jwks -> 'keys')
	LOOP
		CONTINUE WHEN rt_private.jwk_alg(jwk) IS NULL;
		wanted := wanted || jsonb_build_object('kid', coalesce(jwk ->> 'kid', ''), 'alg', rt_private.jwk_alg(jwk),
			'key', rt_private.jwk_key(jwk));
	END LOOP;
	DELETE FROM rt_private.issuer_keys AS k WHERE k.issuer = set_jwks.issuer
		AND NOT EXISTS (SELECT FROM jsonb_array_elements(wanted) AS w WHERE (w ->> 'kid', w ->> 'alg', w ->> 'key') = (k.kid, k.alg, k.key));
	INSERT INTO rt_private.issuer_keys (issuer, kid, alg, key)
	SELECT set_jwks.issuer, w ->> 'kid', w ->> 'alg', w ->> 'key' FROM jsonb_array_elements(wanted) AS w
	WHERE NOT EXISTS (SELECT FROM rt_private.issuer_keys AS k WHERE (k.issuer, k.kid, k.alg, k.key)
		= (set_jwks.issuer, w ->> 'kid', w ->> 'alg', w ->> 'key'));
	RETURN nkeys;
EXCEPTION
	WHEN unique_violation THEN
		RAISE EXCEPTION 'two keys of the key set have the same kid and algorithm' USING ERRCODE = 'invalid_parameter_value';
END
$$;
COMMENT ON FUNCTION rt.set_jwks(text, jsonb) IS
	'replaces the keys of an issuer by those of a JSON Web Key Set, and returns how many of them can verify tokens';

CREATE FUNCTION rt.add_issuer(issuer text, audiences text[], jwks jsonb, user_claim text DEFAULT 'sub', create_users boolean DEFAULT false,
	authorized_parties text[] DEFAULT NULL, name_claim text DEFAULT 'name', username_claim text DEFAULT 'email',
	admin_claim text DEFAULT NULL, admin_value text DEFAULT NULL, token_lifetime interval DEFAULT '30 days') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF coalesce(octet_length(add_issuer.issuer), 0) NOT BETWEEN 1 AND 1024 OR add_issuer.issuer ~ '[[:cntrl:]]' THEN
		RAISE EXCEPTION 'invalid issuer' USING ERRCODE = 'invalid_parameter_value',
			DETAIL = 'It must be what the claim "iss" of its tokens has: 1 to 1024 bytes.';
	ELSIF coalesce(cardinality(add_issuer.audiences), 0) NOT BETWEEN 1 AND 100 OR array_position(add_issuer.audiences, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'an issuer needs 1 to 100 audiences' USING ERRCODE = 'invalid_parameter_value',
			HINT = 'Ask the provider for an audience of your own: it signs tokens for other programs too.';
	ELSIF (add_issuer.admin_claim IS NULL) <> (add_issuer.admin_value IS NULL) THEN
		RAISE EXCEPTION 'admin_claim and admin_value must be given together' USING ERRCODE = 'invalid_parameter_value';
	ELSIF EXISTS (SELECT FROM rt_private.issuers AS i WHERE i.issuer = add_issuer.issuer) THEN
		RAISE EXCEPTION 'issuer "%" already exists', add_issuer.issuer USING ERRCODE = 'unique_violation',
			HINT = 'Use rt.set_jwks() for new keys. For anything else use rt.remove_issuer() first, in the same transaction.';
	END IF;
	INSERT INTO rt_private.issuers (issuer, audiences, user_claim, create_users, authorized_parties, name_claim, username_claim,
		admin_claim, admin_value, token_lifetime)
	VALUES (add_issuer.issuer, add_issuer.audiences, add_issuer.user_claim, add_issuer.create_users, add_issuer.authorized_parties,
		add_issuer.name_claim, add_issuer.username_claim, add_issuer.admin_claim, add_issuer.admin_value, add_issuer.token_lifetime);
	PERFORM rt.set_jwks(add_issuer.issuer, add_issuer.jwks);
END
$$;
COMMENT ON FUNCTION rt.add_issuer(text, text[], jsonb, text, boolean, text[], text, text, text, text, interval) IS
	'adds an identity provider, whose tokens for one of the audiences are accepted; '
	'user_claim names the user, who is created if create_users is true';

CREATE FUNCTION rt.remove_issuer(issuer text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM rt_private.issuers AS i WHERE i.issuer = remove_issuer.issuer;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'issuer "%" not found', remove_issuer.issuer USING ERRCODE = 'RT404';
	END IF;
END
$$;
COMMENT ON FUNCTION rt.remove_issuer(text) IS 'removes an identity provider; its tokens are no longer accepted';

-- What a gateway needs to verify tokens: no private key is among it, shared secrets are.
CREATE FUNCTION rt_api.keys(actor text, req jsonb) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object(
		'now', extract(epoch FROM clock_timestamp()),
		'keys', (SELECT coalesce(json_agg(json_build_object('kid', k.kid, 'alg', k.alg, 'key', coalesce(k.secret, k.public_key))
			ORDER BY k.created_at DESC, k.kid), '[]')
			FROM rt_private.keys AS k WHERE k.retired_at IS NULL),
		'issuers', (SELECT coalesce(json_agg(json_build_object('issuer', i.issuer, 'audiences', i.audiences, 'userClaim', i.user_claim,
			'createUsers', i.create_users, 'authorizedParties', i.authorized_parties, 'nameClaim', i.name_claim,
			'usernameClaim', i.username_claim, 'adminClaim', i.admin_claim, 'adminValue', i.admin_value,
			'tokenLifetimeS', extract(epoch FROM i.token_lifetime),
			'keys', (SELECT coalesce(json_agg(json_build_object('kid', k.kid, 'alg', k.alg, 'key', k.key) ORDER BY k.kid, k.alg), '[]')
				FROM rt_private.issuer_keys AS k WHERE k.issuer = i.issuer)) ORDER BY i.issuer), '[]')
			FROM rt_private.issuers AS i))
$$;
COMMENT ON FUNCTION rt_api.keys(text, jsonb) IS
	'keys that verify tokens, and the time of day: {now, keys: [{kid, alg, key}], issuers: [{issuer, audiences, keys, …}]}, with own keys newest first';
