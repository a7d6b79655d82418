-- Sessions: who has logged in, what ends it, and what is held back.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;
-- Beyond a hundred failures a minute the audit names nobody; an earlier test may have made them.
DELETE FROM rt.audit WHERE action LIKE 'login%';
SELECT rt.create_user('se-ann', 'Ann', 'first password');
SELECT rt.create_user('se-bob', 'Bob');
CREATE FUNCTION sid(token text) RETURNS text LANGUAGE sql AS $$ SELECT CAST(rt_private.jwt_part(token, 2) AS json) ->> 'sid' $$;
CREATE FUNCTION log_in(password text, address text DEFAULT '192.0.2.1', code text DEFAULT NULL) RETURNS json LANGUAGE sql AS $$
	SELECT rt_api.auth(NULL, jsonb_strip_nulls(jsonb_build_object('username', 'SE-Ann', 'password', password, 'address', address,
		'userAgent', 'a browser', 'code', code)))
$$;

-- A login and a token that SQL issues are sessions.
SELECT log_in('first password') ->> 'token' AS one \gset
SELECT log_in('first password') ->> 'token' AS two \gset
SELECT rt.issue_token('se-ann') AS three \gset
SELECT rt.verify_token(:'one'), rt.verify_token(:'two'), rt.verify_token(:'three');
SELECT id IN (sid(:'one'), sid(:'two'), sid(:'three')) AS known, address, user_agent, date_trunc('second', expires_at - created_at) AS life,
	token_expires_at - date_trunc('second', created_at) BETWEEN interval '12 hours' AND interval '12 hours 2 seconds' AS token
FROM rt.sessions WHERE user_id = 'se-ann' ORDER BY address NULLS LAST;
SELECT s ->> 'address' AS address, s ->> 'userAgent' AS agent, s ->> 'current' AS current
FROM json_array_elements(rt_api.sessions_list('se-ann', jsonb_build_object('session', sid(:'two'))) -> 'data') AS s ORDER BY 3 DESC, 1 NULLS LAST;

-- Refreshing prolongs, to the session's end and not beyond it.
SELECT sid(t) = sid(:'one') AS same_session, rt.verify_token(t)
FROM CAST(rt_api.auth_refresh('se-ann', jsonb_build_object('session', sid(:'one'))) ->> 'token' AS text) AS t;
UPDATE rt.sessions SET expires_at = clock_timestamp() + interval '1 hour' WHERE id = sid(:'one');
SELECT CAST(r ->> 'expiresAt' AS timestamptz) BETWEEN clock_timestamp() + interval '59 minutes' AND clock_timestamp() + interval '60 minutes' AS cut
FROM rt_api.auth_refresh('se-ann', jsonb_build_object('session', sid(:'one'))) AS r;
UPDATE rt.sessions SET expires_at = clock_timestamp() WHERE id = sid(:'one');
SELECT rt_api.auth_refresh('se-ann', jsonb_build_object('session', sid(:'one')));
SELECT rt_api.auth_refresh('se-bob', jsonb_build_object('session', sid(:'two')));
SELECT rt_api.auth_refresh('se-ann', '{}');

-- Logging out ends this one, and none of another user's.
SELECT rt_api.auth_logout('se-bob', jsonb_build_object('session', sid(:'two')));
SELECT r ->> 'status' AS status, r -> 'ended' ->> 0 = sid(:'two') AS ended FROM rt_api.auth_logout('se-ann', jsonb_build_object('session', sid(:'two'))) AS r;
SELECT rt_api.auth_logout('se-ann', jsonb_build_object('session', sid(:'two')));
SELECT rt.verify_token(:'two');
SELECT rt_api.auth_refresh('se-ann', jsonb_build_object('session', sid(:'two')));
SELECT rt.verify_token(:'three');
SELECT rt_api.session_delete('se-bob', jsonb_build_object('sessionId', sid(:'three')));
SELECT rt_api.session_delete('se-ann', jsonb_build_object('sessionId', sid(:'three'))) ->> 'status' AS status;
SELECT rt.verify_token(:'three');
UPDATE rt.sessions SET revoked_at = NULL WHERE id = sid(:'three');
TRUNCATE rt.sessions;

-- So does plain SQL, and a session that is deleted does not come back to life.
SELECT rt.issue_token('se-ann') AS four \gset
SELECT rt.issue_token('se-ann') AS five \gset
UPDATE rt.sessions SET revoked_at = now() WHERE id = sid(:'four');
DELETE FROM rt.sessions WHERE id = sid(:'five');
SELECT rt.verify_token(:'four');
SELECT rt.verify_token(:'five');
SELECT count(*) AS revoked FROM rt_private.revoked_sessions WHERE sid IN (sid(:'two'), sid(:'three'), sid(:'four'), sid(:'five'));

-- A token is taken half a minute after its end; what is revoked is known for longer.
SELECT rt.issue_token('se-ann', '1 second') AS brief \gset
SELECT rt.issue_token('se-ann', '1 second') AS briefer \gset
DO $$ BEGIN LOOP EXIT WHEN NOT EXISTS (SELECT FROM rt.sessions WHERE user_id = 'se-ann' AND token_expires_at > clock_timestamp()
	AND token_expires_at < clock_timestamp() + interval '1 minute'); PERFORM pg_sleep(0.05); END LOOP; END $$;
UPDATE rt.sessions SET revoked_at = now() WHERE id = sid(:'brief');
DELETE FROM rt.sessions WHERE id = sid(:'briefer');
SELECT rt_private.sweep_sessions();
SELECT rt.verify_token(:'brief');
SELECT rt.verify_token(:'briefer');
SELECT count(*) FROM json_array_elements(rt_api.revocations(NULL, '{}') -> 'sids') AS r WHERE r ->> 0 IN (sid(:'brief'), sid(:'briefer'));

-- A new password ends all, by whatever statement; one's own change keeps the session it came from.
SELECT log_in('first password') ->> 'token' AS six \gset
SELECT log_in('first password') ->> 'token' AS seven \gset
SELECT rt_api.password_change('se-ann', jsonb_build_object('session', sid(:'six'), 'old', 'wrong', 'new', 'second password'));
SELECT r ->> 'status' AS status, (r -> 'ended')::jsonb ? sid(:'six') AS six, (r -> 'ended')::jsonb ? sid(:'seven') AS seven
FROM rt_api.password_change('se-ann', jsonb_build_object('session', sid(:'six'), 'old', 'first password', 'new', 'second password')) AS r;
SELECT rt.verify_token(:'six');
SELECT rt.verify_token(:'seven');
SELECT count(*) FROM rt_private.password_updates;
SELECT rt.set_password('se-ann', 'third password');
SELECT rt.verify_token(:'six');
SELECT log_in('second password') ->> 'status' AS old, log_in('third password') ->> 'status' AS new;
SELECT rt.issue_token('se-ann') AS eight \gset
SELECT rt.revoke_sessions('se-ann') > 0 AS some;
SELECT rt.verify_token(:'eight');
SELECT rt.verify_token(rt.issue_token('se-ann'));
SELECT rt.revoke_sessions('se-nobody');

-- Tokens without a session, which a backend that shares a key has signed, end by the time at which they were issued.
SELECT rt.add_key('se-shared', 'HS256', repeat('x', 32));
CREATE FUNCTION backend(issued double precision) RETURNS text LANGUAGE sql AS $$
	SELECT rt_private.jwt_sign('se-shared', 'HS256', repeat('x', 32), json_build_object('sub', 'se-ann', 'iat', issued, 'exp', 32503680000))
$$;
SELECT rt.verify_token(backend(extract(epoch FROM clock_timestamp()) - 60));
SELECT rt.verify_token(backend(extract(epoch FROM clock_timestamp()) + 2));
SELECT rt.verify_token(rt_private.jwt_sign('se-shared', 'HS256', repeat('x', 32), '{"sub":"se-ann","exp":32503680000}'));

-- Neither they nor tokens with a session are those of a later user of the same id: of one who is deleted, or gets another id.
CREATE FUNCTION backend(user_id text, issued double precision) RETURNS text LANGUAGE sql AS $$
	SELECT rt_private.jwt_sign('se-shared', 'HS256', repeat('x', 32), json_build_object('sub', user_id, 'iat', issued, 'exp', 32503680000))
$$;
SELECT rt.create_user('se-cid', 'Cid');
SELECT rt.verify_token(backend('se-cid', extract(epoch FROM clock_timestamp()) - 600));
SELECT rt.issue_token('se-cid') AS cid \gset
UPDATE rt.users SET id = 'se-dan', username = 'se-dan' WHERE id = 'se-cid';
SELECT user_id, revoked_at IS NOT NULL AS revoked FROM rt.sessions WHERE id = sid(:'cid');
SELECT rt.create_user('se-cid', 'Another Cid');
SELECT rt.verify_token(:'cid');
SELECT rt.verify_token(backend('se-cid', extract(epoch FROM clock_timestamp()) - 600));
SELECT rt.verify_token(backend('se-cid', extract(epoch FROM clock_timestamp()) + 2));
SELECT rt.verify_token(backend('se-dan', extract(epoch FROM clock_timestamp()) - 600));
DELETE FROM rt.users WHERE id = 'se-dan';
UPDATE rt.users SET id = 'se-dan', username = 'se-dan' WHERE id = 'se-cid';
SELECT rt.verify_token(backend('se-dan', extract(epoch FROM clock_timestamp()) - 600));
SELECT rt.verify_token(rt.issue_token('se-dan'));
SELECT rt_private.user_digest('se-cid') = digest AS cid, deleted_at <= clock_timestamp() AS past FROM rt_private.deleted_users ORDER BY deleted_at DESC LIMIT 1;
SELECT rt.add_issuer('https://se.example.com', '{chat}', '{"keys":[{"kty":"oct","k":"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"}]}', create_users => true);
SELECT rt_api.provision('se-cid', jsonb_build_object('issuer', 'https://se.example.com', 'issuedAt', extract(epoch FROM clock_timestamp()) - 60)) AS old,
	rt_api.provision('se-cid', '{"issuer": "https://se.example.com", "issuedAt": 0}') AS without;
SELECT rt_api.provision('se-cid', jsonb_build_object('issuer', 'https://se.example.com', 'issuedAt', extract(epoch FROM clock_timestamp()) + 2));
SELECT rt_api.provision('se-eve', jsonb_build_object('issuer', 'https://se.example.com', 'issuedAt', extract(epoch FROM clock_timestamp()) - 600));
SELECT rt.verify_token(backend('se-eve', extract(epoch FROM clock_timestamp()) - 600));
SELECT id FROM rt.users WHERE id IN ('se-cid', 'se-dan', 'se-eve') ORDER BY id;
SELECT rt.remove_issuer('https://se.example.com');
DELETE FROM rt.users WHERE id IN ('se-cid', 'se-dan', 'se-eve');
UPDATE rt_private.deleted_users SET deleted_at = deleted_at - interval '366 days' WHERE digest = rt_private.user_digest('se-cid');
SELECT rt_private.sweep_sessions();
SELECT count(*) FROM rt_private.deleted_users WHERE digest IN (rt_private.user_digest('se-cid'), rt_private.user_digest('se-dan'));

-- The account's brake: ten failures in a quarter of an hour, but for an address that has succeeded.
SELECT log_in('third password') ->> 'status' AS status;
DO $$ BEGIN FOR i IN 1 .. 10 LOOP PERFORM log_in('no', '198.51.100.9'); END LOOP; END $$;
SELECT log_in('third password', '198.51.100.9') ->> 'status' AS stranger, log_in('third password', '203.0.113.3') ->> 'status' AS elsewhere,
	log_in('third password') ->> 'status' AS known;
SELECT CAST(log_in('no', '198.51.100.9') ->> 'retryAfter' AS integer) BETWEEN 800 AND 900 AS later;
-- A name that does not exist is held back as well.
DO $$ BEGIN FOR i IN 1 .. 10 LOOP PERFORM rt_api.auth(NULL, '{"username": "se-nobody", "password": "x"}'); END LOOP; END $$;
SELECT rt_api.auth(NULL, '{"username": "SE-NOBODY", "password": "x"}') ->> 'status' AS status;
UPDATE rt_private.failures SET at = at - interval '15 minutes';
SELECT log_in('third password', '198.51.100.9') ->> 'status' AS later;

-- Passwords: composed, with any space; old and cheap hashes are taken, and hashed anew.
SELECT rt.set_password('se-ann', U&'caf\0065\0301\3000au lait');
SELECT log_in(U&'caf\00e9 au lait') ->> 'status' AS composed;
UPDATE rt.users SET password_hash = rt_private.crypt('cheap', rt_private.gen_salt('bf', 4)) WHERE id = 'se-ann';
SELECT rt.issue_token('se-ann') AS nine \gset
SELECT log_in('cheap') ->> 'status' AS status;
SELECT rt_private.password_cost(password_hash) FROM rt.users WHERE id = 'se-ann';
SELECT rt.verify_token(:'nine');
SELECT rt.set_password('se-ann', '');
SELECT rt.set_password('se-ann', E'a\nb');
-- Usernames: wide letters are the usual ones, e-mail addresses are fine, and case does not matter.
SELECT rt.create_user('se-wide', 'Wide', NULL, U&'\FF33\FF45-wide');
SELECT rt.create_user('se-mail', 'Mail', NULL, 'ann@example.com');
SELECT username FROM rt.users WHERE id LIKE 'se-%' ORDER BY id;
SELECT rt.create_user('se-wide2', 'Wide', NULL, 'SE-WIDE');

-- Two factors.
SELECT rt.set_password('se-ann', 'fourth password');
CREATE FUNCTION code(shift integer DEFAULT 0) RETURNS text LANGUAGE sql AS $$
	SELECT rt_private.totp(secret, CAST(floor(extract(epoch FROM clock_timestamp()) / 30) AS bigint) + shift) FROM rt_private.two_factor WHERE user_id = 'se-ann'
$$;
SELECT rt_api.two_factor_confirm('se-ann', '{"code": "123456"}');
SELECT r -> 'data' ->> 'uri' = 'otpauth://totp/rt:se-ann?secret=' || (r -> 'data' ->> 'secret') || '&issuer=rt' AS uri,
	length(r -> 'data' ->> 'secret') FROM rt_api.two_factor_start('se-ann', '{}') AS r;
SELECT log_in('fourth password') ->> 'status' AS not_confirmed;
SELECT rt_api.two_factor_confirm('se-ann', '{"code": "12345"}');
SELECT rt_api.two_factor_confirm('se-ann', jsonb_build_object('code', code())) -> 'data' -> 'recoveryCodes' AS codes \gset
SELECT json_array_length(:'codes') AS codes;
SELECT log_in('fourth password') AS without;
SELECT code(1) AS next \gset
SELECT log_in('fourth password', code => :'next') ->> 'status' AS good, log_in('fourth password', code => :'next') ->> 'status' AS again;
SELECT log_in('fourth password', code => lower(CAST(:'codes' AS json) ->> 3)) ->> 'status' AS recovery,
	log_in('fourth password', code => CAST(:'codes' AS json) ->> 3) ->> 'status' AS again;
-- Codes are held back at every address.
DO $$ BEGIN FOR i IN 1 .. 10 LOOP PERFORM log_in('fourth password', code => 'guessed'); END LOOP; END $$;
SELECT log_in('fourth password', code => CAST(:'codes' AS json) ->> 4) ->> 'status' AS held, log_in('no', code => 'guessed') ->> 'status' AS wrong;
UPDATE rt_private.failures SET at = at - interval '15 minutes';
SELECT log_in('fourth password', code => CAST(:'codes' AS json) ->> 4) ->> 'status' AS later;
SELECT rt_api.two_factor_start('se-ann', '{}');
SELECT rt_api.two_factor_end('se-ann', '{"password": "no"}');
SELECT rt_api.two_factor_end('se-ann', '{"password": "fourth password"}');
SELECT log_in('fourth password') ->> 'status' AS off;
SELECT rt.reset_two_factor('se-ann');
-- RFC 6238, appendix B, its last six digits.
SELECT t, rt_private.totp('12345678901234567890', t / 30) FROM unnest(ARRAY[59, 1111111109, 1111111111, 1234567890, 2000000000, 20000000000]) AS t;

SELECT action, detail - 'last' - 'sessionId' FROM rt.audit WHERE detail ->> 'userId' LIKE 'se-%' AND action ~ 'two-factor|password' ORDER BY at;
SELECT action, sum(CAST(detail ->> 'count' AS integer)) > 0 AS some FROM rt.audit WHERE user_id = 'se-ann' AND action LIKE 'login%' GROUP BY 1 ORDER BY 1;

DELETE FROM rt.users WHERE id LIKE 'se-%';
SELECT count(*) FROM rt.sessions WHERE user_id LIKE 'se-%';
DELETE FROM rt_private.keys WHERE kid = 'se-shared';
DELETE FROM rt_private.failures;
DROP FUNCTION sid(text), log_in(text, text, text), backend(double precision), code(integer);
