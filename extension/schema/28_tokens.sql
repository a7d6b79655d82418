-- Tokens: issuing and verifying.  The gateway verifies by the same rules in C (bgworker/gateway/clients/auth.c); a test holds the
-- two together.

CREATE FUNCTION rt_private.make_token(user_id text, ttl interval, sid text, more jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	named record;
	signing record;
	issued_at bigint := floor(extract(epoch FROM clock_timestamp()));
	ends_at bigint := issued_at + floor(extract(epoch FROM make_token.ttl));
BEGIN
	SELECT u.id, u.name INTO named FROM rt.users AS u WHERE u.id = make_token.user_id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'user "%" not found', make_token.user_id USING ERRCODE = 'RT404';
	END IF;
	SELECT k.kid, k.alg, coalesce(k.secret, k.private_key) AS key INTO signing
	FROM rt_private.keys AS k WHERE k.can_sign AND k.retired_at IS NULL
	ORDER BY k.created_at DESC, k.kid LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no key to sign with' USING ERRCODE = 'RT503', HINT = 'Run rt.rotate_key().';
	END IF;
	UPDATE rt.sessions AS s SET token_expires_at = CASE WHEN s.token_expires_at = 'infinity' THEN to_timestamp(ends_at)
		ELSE greatest(s.token_expires_at, to_timestamp(ends_at)) END, last_used_at = clock_timestamp()
	WHERE s.id = make_token.sid;
	RETURN rt_private.jwt_sign(signing.kid, signing.alg, signing.key, (jsonb_build_object('sub', named.id, 'name', named.name,
		'iat', issued_at, 'exp', ends_at, 'jti', rt_private.random_text(9), 'sid', make_token.sid) || more)::json);
END
$$;
COMMENT ON FUNCTION rt_private.make_token(text, interval, text, jsonb) IS 'makes a token for a session, signed by the newest key';

CREATE FUNCTION rt_private.token_ttl() RETURNS interval
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	-- A session that has not loaded the library yet, as happens without preloading, does not know the setting.
	SELECT coalesce(current_setting('rt.token_ttl', true)::interval, interval '12 hours')
$$;
COMMENT ON FUNCTION rt_private.token_ttl() IS 'default lifetime of a token';

CREATE FUNCTION rt.issue_token(user_id text, ttl interval DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	s rt.sessions;
	token text;
BEGIN
	IF NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = issue_token.user_id) THEN
		RAISE EXCEPTION 'user "%" not found', issue_token.user_id USING ERRCODE = 'RT404';
	END IF;
	s := rt_private.open_session(issue_token.user_id, NULL, NULL, issue_token.ttl);
	token := rt_private.make_token(issue_token.user_id, coalesce(issue_token.ttl, rt_private.token_ttl()), s.id);
	PERFORM rt_private.audit('token-issued', jsonb_build_object('userId', issue_token.user_id, 'sessionId', s.id));
	RETURN token;
END
$$;
COMMENT ON FUNCTION rt.issue_token(text, interval) IS
	'makes a session and a token for it, with which a client can connect as that user; valid for ttl (default rt.token_ttl)';

-- ---- verifying -----------------------------------------------------------------------

-- RFC 8725, section 3.11: a token of another kind, such as an ID token's logout, is none of these.
CREATE FUNCTION rt_private.is_access_token(header jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN header ? 'typ' THEN coalesce(jsonb_typeof(header -> 'typ') = 'string'
		AND lower(header ->> 'typ') IN ('jwt', 'at+jwt', 'application/at+jwt'), false) ELSE true END
$$;
COMMENT ON FUNCTION rt_private.is_access_token(jsonb) IS 'whether a token''s header is that of a JWT or an access token';

-- RFC 9864, section 2.2: Ed25519 is the name that says which of the EdDSA algorithms it is, and here that is the one.
CREATE FUNCTION rt_private.token_alg(header jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE header ->> 'alg' WHEN 'Ed25519' THEN 'EdDSA' ELSE header ->> 'alg' END
$$;
COMMENT ON FUNCTION rt_private.token_alg(jsonb) IS 'the algorithm that a token''s header names';

-- OpenID Connect Core, section 5.1: an address that somebody has only given is not theirs.  Not all providers say.
CREATE FUNCTION rt_private.is_unverified(claim text, claims jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT claim = 'email' AND claims ? 'email_verified' AND claims -> 'email_verified' NOT IN ('true', '"true"')
$$;
COMMENT ON FUNCTION rt_private.is_unverified(text, jsonb) IS 'whether a claim is an e-mail address that its issuer has not verified';

CREATE FUNCTION rt_private.audience_fits(aud jsonb, audiences text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE jsonb_typeof(aud) WHEN 'string' THEN aud #>> '{}' = ANY (audiences) WHEN 'array' THEN aud ?| audiences ELSE false END
$$;
COMMENT ON FUNCTION rt_private.audience_fits(jsonb, text[]) IS 'whether claim aud, a string or an array, contains one of the audiences';

-- Why a token is refused.  The first two are what a client is told, the detail is for whoever integrates.
CREATE FUNCTION rt_private.refuse_token(message text, detail text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION '%', refuse_token.message USING ERRCODE = 'RT401', DETAIL = refuse_token.detail;
END
$$;
COMMENT ON FUNCTION rt_private.refuse_token(text, text) IS 'refuses a token, and says which check failed';

-- RFC 7519, section 4.1, with a leeway for clocks that differ.  Numbers may have fractions; they must be finite, and within
-- 2^53, as far as JSON's numbers are exact everywhere (RFC 8259, section 6).
CREATE FUNCTION rt_private.check_token_times(claims jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	now_s numeric := extract(epoch FROM clock_timestamp());
	leeway_s CONSTANT integer := 30;
	name text;
BEGIN
	FOREACH name IN ARRAY ARRAY['exp', 'nbf', 'iat']
	LOOP
		IF coalesce(jsonb_typeof(claims -> name), 'number') <> 'number' THEN
			PERFORM rt_private.refuse_token('invalid token', format('Claim "%s" must be a number.', name));
		ELSIF round(abs((claims ->> name)::numeric)) >= 9007199254740992 THEN
			PERFORM rt_private.refuse_token('invalid token', format('Claim "%s" is out of range.', name));
		END IF;
	END LOOP;
	IF NOT claims ? 'exp' THEN
		PERFORM rt_private.refuse_token('invalid token', 'Claim "exp" is missing.');
	ELSIF (claims ->> 'exp')::numeric + leeway_s <= now_s THEN
		PERFORM rt_private.refuse_token('token expired', format('It expired at %s.',
			rt_private.iso(to_timestamp(round(greatest((claims ->> 'exp')::numeric, 0), 3)::double precision))));
	ELSIF (claims ->> 'nbf')::numeric - leeway_s > now_s THEN
		PERFORM rt_private.refuse_token('invalid token', 'Claim "nbf" is in the future.');
	-- Our own clock may have been set back since we issued a token.
	ELSIF claims ? 'iss' AND (claims ->> 'iat')::numeric - leeway_s > now_s THEN
		PERFORM rt_private.refuse_token('invalid token', 'Claim "iat" is in the future.');
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.check_token_times(jsonb) IS 'refuses a token that is expired or not valid yet';

-- Another issuer's token: a key of that issuer has signed it, and it is meant for here.
CREATE FUNCTION rt_private.check_issued(token text, header jsonb, claims jsonb) RETURNS rt_private.issuers
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	i rt_private.issuers;
	k rt_private.issuer_keys;
	nkeys integer;
BEGIN
	SELECT t.* INTO i FROM rt_private.issuers AS t WHERE jsonb_typeof(claims -> 'iss') = 'string' AND t.issuer = claims ->> 'iss';
	IF NOT FOUND THEN
		PERFORM rt_private.refuse_token('invalid token', format('Issuer %s is unknown.', claims -> 'iss'));
	END IF;
	SELECT count(*) INTO nkeys FROM rt_private.issuer_keys AS t
	WHERE t.issuer = i.issuer AND t.alg = rt_private.token_alg(header) AND (NOT header ? 'kid' OR t.kid = header ->> 'kid');
	IF nkeys <> 1 THEN
		PERFORM rt_private.refuse_token('invalid token', format('The issuer has %s keys of algorithm "%s" for kid %s; it must be one.',
			nkeys, header ->> 'alg', coalesce((header -> 'kid')::text, '(none)')));
	END IF;
	SELECT t.* INTO k FROM rt_private.issuer_keys AS t
	WHERE t.issuer = i.issuer AND t.alg = rt_private.token_alg(header) AND (NOT header ? 'kid' OR t.kid = header ->> 'kid');
	IF NOT rt_private.jwt_is_signed(check_issued.token, k.alg,
		CASE WHEN k.alg LIKE 'HS%' THEN rt_private.from_base64url(k.key) ELSE convert_to(k.key, 'UTF8') END) THEN
		PERFORM rt_private.refuse_token('invalid token', format('Key "%s" has not signed it.', k.kid));
	ELSIF NOT rt_private.audience_fits(claims -> 'aud', i.audiences) THEN
		PERFORM rt_private.refuse_token('invalid token', format('Claim "aud" is %s, and must have one of %s.',
			coalesce((claims -> 'aud')::text, 'missing'), to_jsonb(i.audiences)));
	ELSIF i.authorized_parties IS NOT NULL AND NOT coalesce(jsonb_typeof(claims -> 'azp') = 'string'
		AND claims ->> 'azp' = ANY (i.authorized_parties), false) THEN
		PERFORM rt_private.refuse_token('invalid token', format('Claim "azp" is %s, and must be one of %s.',
			coalesce((claims -> 'azp')::text, 'missing'), to_jsonb(i.authorized_parties)));
	END IF;
	RETURN i;
END
$$;
COMMENT ON FUNCTION rt_private.check_issued(text, jsonb, jsonb) IS 'refuses a token whose signature, issuer or audience is wrong';

-- A token of ours, or of a backend that shares one of our keys.  It names no issuer and no audience: who does means somebody else.
CREATE FUNCTION rt_private.check_own(token text, header jsonb, claims jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF claims ? 'aud' THEN
		PERFORM rt_private.refuse_token('invalid token', 'It has an audience ("aud"), but no issuer ("iss").');
	END IF;
	-- Without a kid, whichever key fits: there are few.
	PERFORM FROM rt_private.keys AS k
	WHERE k.retired_at IS NULL AND k.alg = rt_private.token_alg(header) AND k.kid = coalesce(header ->> 'kid', k.kid)
		AND rt_private.jwt_is_signed(check_own.token, k.alg, convert_to(coalesce(k.secret, k.public_key), 'UTF8'));
	IF NOT FOUND THEN
		PERFORM rt_private.refuse_token('invalid token', format('No key in use of algorithm %s and kid %s has signed it.',
			coalesce((header -> 'alg')::text, '(none)'), coalesce((header -> 'kid')::text, '(none)')));
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.check_own(text, jsonb, jsonb) IS 'refuses a token that is not signed by one of our keys';

-- When a token was issued, of those whose times are right.  One that does not say was issued at nbf, or at the earliest one
-- lifetime before its end, whichever is later.  If that is still to come, the issuer's tokens live longer than it says, and
-- nothing is known: 0.
CREATE FUNCTION rt_private.issued_at(claims jsonb, token_lifetime interval) RETURNS numeric
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	at_the_earliest numeric := (claims ->> 'exp')::numeric - extract(epoch FROM coalesce(token_lifetime, interval '30 days'))::numeric;
BEGIN
	IF at_the_earliest > extract(epoch FROM clock_timestamp())::numeric THEN
		at_the_earliest := 0;
	END IF;
	RETURN coalesce((claims ->> 'iat')::numeric, greatest((claims ->> 'nbf')::numeric, at_the_earliest));
END
$$;
COMMENT ON FUNCTION rt_private.issued_at(jsonb, interval) IS 'when a token was issued, in seconds since 1970: iat, or a bound from its other times';

-- A session that has been revoked, or a token from before all of the user's were refused.  Which sessions are kept then is known of
-- ours alone.
CREATE FUNCTION rt_private.check_revoked(user_id text, claims jsonb, token_lifetime interval) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	session_id text := CASE WHEN NOT claims ? 'iss' AND jsonb_typeof(claims -> 'sid') = 'string' THEN claims ->> 'sid' END;
BEGIN
	IF EXISTS (SELECT FROM rt_private.revoked_sessions AS r WHERE r.sid = session_id) THEN
		PERFORM rt_private.refuse_token('invalid token', 'Its session has been revoked.');
	ELSIF NOT coalesce(starts_with(session_id, 'rt-'), false) AND EXISTS (SELECT FROM rt_private.token_floors AS f WHERE f.user_id = check_revoked.user_id
		AND rt_private.issued_at(claims, token_lifetime) <= floor(extract(epoch FROM f.issued_after))) THEN
		PERFORM rt_private.refuse_token('invalid token', 'It was issued before the user''s sessions were revoked.');
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.check_revoked(text, jsonb, interval) IS 'refuses a token that has been revoked';

CREATE FUNCTION rt_private.check_token(token text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	header jsonb;
	claims jsonb;
	i rt_private.issuers;
	user_claim text := 'sub';
BEGIN
	BEGIN
		header := rt_private.jwt_part(check_token.token, 1);
		claims := rt_private.jwt_part(check_token.token, 2);
	EXCEPTION
		WHEN numeric_value_out_of_range THEN
			PERFORM rt_private.refuse_token('invalid token', 'It has a number beyond the range of a double, or is nested too deeply.');
		-- What is not JSON, or not even text, is no token.
		WHEN data_exception OR program_limit_exceeded THEN
			claims := NULL;
	END;
	IF jsonb_typeof(header) IS DISTINCT FROM 'object' OR jsonb_typeof(claims) IS DISTINCT FROM 'object' THEN
		PERFORM rt_private.refuse_token('invalid token', 'It is not a JSON Web Token.');
	-- An extension that must be understood, and is not (RFC 7515, section 4.1.11).
	ELSIF header ? 'crit' THEN
		PERFORM rt_private.refuse_token('invalid token', 'Its header has a critical extension ("crit").');
	ELSIF NOT rt_private.is_access_token(header) THEN
		PERFORM rt_private.refuse_token('invalid token', format('Its type ("typ") is %s, not "JWT" or "at+jwt".', header -> 'typ'));
	ELSIF coalesce(jsonb_typeof(header -> 'kid'), 'string') <> 'string' THEN
		PERFORM rt_private.refuse_token('invalid token', 'Its "kid" is not a text.');
	ELSIF claims ? 'iss' THEN
		i := rt_private.check_issued(check_token.token, header, claims);
		user_claim := i.user_claim;
	ELSE
		PERFORM rt_private.check_own(check_token.token, header, claims);
	END IF;
	PERFORM rt_private.check_token_times(claims);
	IF jsonb_typeof(claims -> user_claim) IS DISTINCT FROM 'string' OR claims ->> user_claim = '' THEN
		PERFORM rt_private.refuse_token('invalid token', format('Claim "%s", the user, is missing or not a text.', user_claim));
	ELSIF claims ? 'iss' AND rt_private.is_unverified(user_claim, claims) THEN
		PERFORM rt_private.refuse_token('invalid token', format('Claim "%s", the user, is not verified ("email_verified").', user_claim));
	END IF;
	PERFORM rt_private.check_revoked(claims ->> user_claim, claims, i.token_lifetime);
	RETURN claims ->> user_claim;
END
$$;
COMMENT ON FUNCTION rt_private.check_token(text) IS 'the user id in a valid token; otherwise an error that says which check failed';

CREATE FUNCTION rt.verify_token(token text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN rt_private.check_token(verify_token.token);
END
$$;
COMMENT ON FUNCTION rt.verify_token(text) IS
	'the user id in a valid token; otherwise error "invalid token" or "token expired", whose detail says which check failed';
