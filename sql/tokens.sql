-- Keys and tokens: who may, what verifies, and what does not.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;

INSERT INTO rt.users (id, username, name) VALUES ('tk-ann', 'tk-ann', 'Ann'), ('tk-ä', 'tk-ä', 'Ä');

-- Keys that are good for this test alone.
CREATE TABLE pem (name text PRIMARY KEY, value text);
INSERT INTO pem VALUES
('rsa', '-----BEGIN PRIVATE KEY-----
MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCcQdFU89HsmNrq
O4cAjM4BSUWhl1NSu9zQEeJSlHOge6+j9XCavVyhjgNRnkQWBg7qh2hGPyw84/xr
yLtFc7o//VUpAyiXbJG5dGyG39WNXkrjzhB05qud/wy39wymEZL7fixNECT4FPRw
Fyx/Itq1NC0DpKeo3YGvH+aYGL85cWMiOt9LzpadGn4f+N4+lMbrWPAPcvBe0Y3C
xeFhZC/pycAykhPvvsY+YsRTNVgZQ/M5WI3/HGtfwDZNzuVMGk1dCtpOU+w4z7Z+
D9D7p5qiDfg/iP66ysHrO1UnBT7cGPjqD+Ir7HV1u2l6V5pHnIA66EYU4chpoAk1
lv9KdwTpAgMBAAECggEAFKrW8XXTXwgjsmX/t/inub9ThKlDhdafwOyQowwMFB6v
70+EHo9rzFmAgl/c0Q3plKcmyV3LL92W0jnJXUkOii6rgCJxEMA1MRKfVSKPeCSP
4rwrbI7jBaGJsN5uD5wU9Qst+F5piV+aKiZChilZxKxbRNdXLqxnnf5p7VWem035
WaKvK3+BT+VpfLIaZ3U9oNIRaCvzk41k6Awp6dQXAz4TzMJb3Rx3O1zmD/h7b/o1
J1Xcm6b/6F6I07rgsLgtAkuM/aY+encV0/JjMlDWuxmFtTh/ze//KWkIAsrJ5RDg
A8xL9khoVsI1bJvf0Nm992mwzGWfdzv1nWqDJfkE1QKBgQDNdEE38nbugun08JC5
B/o19A1vXQoh7Zq10KOGNAHtR7mtUhX5/UXcgQ9zeMJjH6ja6aM2h7vrQ0JOsNT9
mu9rywQ/qxWx74DmcZoVVmTXogXs9tdtSiRuSNl234QsFXR9UPW2xnGqqiykRJsH
3gRfbbIZ0d5Fzon4LEhC+xYaJQKBgQDCsxN2xseGsEUftkgbPnwdeaIhmcpW5Gxw
nIIl1z4/2N252rLwzRTDf9GpFlN2bzWo52tVXno27qacOsezgRd01oD7Ct4fkUkT
GkC7Tqs2HzBPit8BBnRl6wNfRw9Kq+wAix3S7YFjo3y/8ZKm5ttnCLdSd7P5a+qt
9sd45NcqdQKBgEPOM1wAhGnRAN+aqVi3nkdCJVD0lsx9u0p38g/viBdETa464g/g
G7dbTLsiRp0qLLMa2oe7ojRRvUd1KsYL5SphFSTiFMXlslfbdCvImH1l9qivCogC
KSXQmxyVRey6o/hbyMwqkAbwJM2N6tBc4HqSHG5TChVlxbkG/E5GyZOVAoGAEBG5
nIcBdsNboSdpQh5hHgmo8P8BbTSDIrQ4JaljMN/URP+g3zD98ri89CiskMzS7/LR
sAURLzF5PNG5I76W0gTWNmIKPS6/ij0TdKIkjV37ncUHbM08lCDWcWmrAG26F71j
o8IIeNHIfQsSIIZTO2jDwKGyj/ZxMxR4GClC/PUCgYAMWhXb+rwnqvbulvR0iASb
sMYBbsUlxUn6e1HudRTGJ1/3+KjtKUyHNM+C3FGiN6i0g5mhSowGFrCpgPv3+SM+
e/4Duq+sycoNjRqoSmZx47xDzwIT4yacinR+d9RNqdVYYND/OZN+cIEopkFpbmrh
SlH2bI6k7wjJ7QBVZ+lnxg==
-----END PRIVATE KEY-----'),
('rsa public', '-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAnEHRVPPR7Jja6juHAIzO
AUlFoZdTUrvc0BHiUpRzoHuvo/Vwmr1coY4DUZ5EFgYO6odoRj8sPOP8a8i7RXO6
P/1VKQMol2yRuXRsht/VjV5K484QdOarnf8Mt/cMphGS+34sTRAk+BT0cBcsfyLa
tTQtA6SnqN2Brx/mmBi/OXFjIjrfS86WnRp+H/jePpTG61jwD3LwXtGNwsXhYWQv
6cnAMpIT777GPmLEUzVYGUPzOViN/xxrX8A2Tc7lTBpNXQraTlPsOM+2fg/Q+6ea
og34P4j+usrB6ztVJwU+3Bj46g/iK+x1dbtpeleaR5yAOuhGFOHIaaAJNZb/SncE
6QIDAQAB
-----END PUBLIC KEY-----'),
('ec', '-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIFazgpccTpgXYUuoI/r9WJ1qOqptE3LiVlfakhT/JsPsoAoGCCqGSM49
AwEHoUQDQgAE6yXfgsPqgKf5+Wr47nuM56xLI1XujZSAzTLBKb/T+DVhbqYhPBmQ
ZkGCXTM7wqFGUFBPXqaGBqcrtvcVpTFjqA==
-----END EC PRIVATE KEY-----'),
('ec public', '-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6yXfgsPqgKf5+Wr47nuM56xLI1Xu
jZSAzTLBKb/T+DVhbqYhPBmQZkGCXTM7wqFGUFBPXqaGBqcrtvcVpTFjqA==
-----END PUBLIC KEY-----'),
('rsa short', '-----BEGIN PRIVATE KEY-----
MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAM6VbYteHdWAu8YD
epTWlSALwZGxoWzgV3DOfR46w+/o42fwoRxhFRgNy31pa42dIgkvllt2lYrdHuXr
WC2LsOv7CmokCB89QDl787638xfbf46do10qy+CHFet/gfxVS8XxMqGcwo3E0GAz
BW5d80PS47pehHAY5YyMmzCuTeq5AgMBAAECgYBWegLTNmCywSLZbxdfOrxOH921
yW/Tjc3MsQN7JgpjYU/gcMBgitszqIKoSvr02vQmeD8upmNPL+UBRhUxa6pxPSRm
XUYtJ/j46R7MjxhDfvTs3O6wQokjeo4Y2vGRhOPfhhI8nuT0b5g7gCDuyEWq6sy0
tx+6Q0ytVj1qT0rT6QJBAPeT4Qc20lfOYoVnLGZFpdU/Lhi/1f1ZnBMmnrzioqKM
MX4ehI/Dzn7BSjNDJSEkHkrWtIWeXpdX9c/4+xXaiDMCQQDVnIm7QtxNGP7mpqWP
wvVTYbEuihV9bD026SpMdpYMzYkyPuHvQBLltuSmmhPZpgomBI3rq2XQ1+FS/oLk
FMVjAkBNu7eezT6z5RAX9LIDFoEf+Gtfx/PHTThs5uZWRg5sXPo5MBnNDdyq/cNv
XvisdCuyscESZwwqFqsOdo1XajrzAkEAr2eeNZXefrSSw2V+OAGYH4Lt0lBy+w3B
anCmWilaZ2LzUL4QGrzbh6PaN+/3ctaEKNm+jBGvRoGutc7mPlHMDwJBALjSsYCz
+Np/jLw3VJAz20BXlgcrbj+UL6ck0xfvV3f62jTy0qhIRgQTPrJo5B4ZMuN1ytNQ
1uu1MTLTNMBS9kc=
-----END PRIVATE KEY-----'),
('rsa passphrase', '-----BEGIN ENCRYPTED PRIVATE KEY-----
MIIFLTBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQISStiOvBfovwCAggA
MAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAECBBDzf+uhDrVpgKusAYO/yay4BIIE
0F5sFUHNU9QmbRjNes+RZwnkcOQMebMbRhToQ6lMxhLTKLGiAMyUJESH4CCoikt7
30Ohxyp3KeBBI1nLTuMC6IF3Moc04pUHuuDcIx+ZbLy17TEEBtDuJX9iX2fG+8vq
zoj0hwWiyGMRWVM1aT14iB2KKV+3M3C5vuui+LC1PPdixh0vt+yQCrpbQ9Qa49fV
24uNSwrES6ie9dPhkpDOpPPX+k9wGpLZQYPlP7OYogbx14azQDDxMXra4X10G8ZD
IZXu2cKuOjaMERSX0mMlv4KXwF2xjuBYjmsietGmJp9jFMmkRLlXYbBnDxKPRS6K
qvIcOohbuz8T32Qf2gfP+St4OaUNjk/Mmn5H2G4wGA3SoIofgcxcitAwb5HeECed
pUI6f9KLvvDUnAYZHaxYxigJINgTq85kuDx+Ot1ofmjLcOjDhVQDqO1wp/UhygIA
W0ENYvdFKFDtX4su9LxUo4hPOzEJ9xI9fTKjSJiKtWesykcMD297xRDMRzH+XiJU
UJTnUXbcR5Zv1LtUkX6/xEg07f1dVE9aOwns0F18uFcEbPczWu7yfj//JZiSTo9S
S/Vu2NdaIJd1KTadjFwEE0nDP3Y5AFluM/gGCamANl3f1wC4CTYAvj39wPcTFZck
0hHJOJsjwPvWv8RFq9w8rHAkdNPFDRBH7e43kXJtz2Vhzlp1tVIiGEASmOLcXQtk
Yj9QZRMTVAB5U07Vf1rt/EkwUPH1zi7X6r7ePc1QeHhdq7KOWhyCeABCpSRAe13x
cKEbIGk08C6mWiWJCqsLKz4qz9mjnU3OjE+QzJugzQ8K4Y0RRIcDvaFupuHCkuSk
bSnRn9DVKxV4jrY4H4JQoI2Gh0kAgqwQFwOwJL0alcECZDxJEq38PNR5ZAkvUY5A
AuxMQJ91V0bzc98DqMdoUuY0GpnivYo72Fj31W2IOtqc2t9dXPrQKQzWKLcTDqKI
J2JOeOQ16KgJg2x66BvP9n8xSr2zbU+4QCokIL12i3tGP/qkgpXtxqiN41aRvJ+B
IO9zycmdGdhe5XLpT86+by58OxubxZvNhjhGEtqDIbzcO4SFpyre9zpmy1lBPnw9
AqyiGOrhckrb62vGYAxQDHckv3CtQkHl1AGXUGJx1w8t2I4Ud2ovdh0hrI5l03s0
0SKjp5DF9FHCcwDp+d8OjFbxwHJ8XxJnX/o0WC1mIBwq9VKFmA0UdQXsNpdX2RuS
Wv55vIuQWwlPS74hBBNAOFQwY1R/0uO4Sj5RJEHjSMEQXDoh6vPuHLmhGVAO54oN
GPQ7MDAbsCU67Smbqo+/Wf+M+/vtzsn/RwFfo9kyCnb/a2H5GpDeaZCaE/J4fTM+
0HFOd/5qeGr+pdrGC4JVmJtNXY44K2b610pvxhNmbipKHFjfyZkfY9lxO/d3WMFK
KADw5yIllPCaZ5oV3wglAcg0L03EjCCIB/I8xXONcMslw25PlgxB4cWwbvDOgPnM
dnyTuDrbshtSNQUDAcBhvzBUnxkOHJbp0eNB2VLWcSWWpU0tHNe+xtIlIPztQcTY
zwGPRkuDiNKC7HD5MF1GCXrCgzVsTA/hs4/VnDYCxR2140VYTshIQ2bDLiMkQnpV
VPTkAv0+FYRDvgXNU3PrVkBvH6WqtmvubGxNA8X4UiIh
-----END ENCRYPTED PRIVATE KEY-----');
CREATE FUNCTION pem(text) RETURNS text LANGUAGE sql AS $$ SELECT value FROM pem WHERE name = $1 $$;

-- The parts of a token as a client that makes one up would write them.
CREATE FUNCTION base64url(text) RETURNS text LANGUAGE sql AS $$
    SELECT translate(encode(convert_to($1, 'UTF8'), 'base64'), E'+/=\n', '-_')
$$;
CREATE FUNCTION made_up(header text, claims text) RETURNS text LANGUAGE sql AS $$
    SELECT base64url(header) || '.' || base64url(claims) || '.'
$$;

-- The key of CREATE EXTENSION signs.
SELECT alg, can_sign, length(secret) FROM rt_private.keys;
SELECT rt.issue_token('tk-ann') AS token \gset
SELECT rt.verify_token(:'token');
SELECT rt.verify_token(rt.issue_token('tk-ä', '1 minute'));
SELECT c ->> 'sub' AS sub, c ->> 'name' AS name, (c ->> 'exp')::bigint - (c ->> 'iat')::bigint AS lifetime,
    abs((c ->> 'iat')::bigint - extract(epoch FROM now())) < 60 AS now
FROM CAST(rt_private.jwt_part(:'token', 2) AS json) AS c;
SELECT h ->> 'alg' AS alg, h ->> 'typ' AS typ, (SELECT count(*) FROM rt_private.keys k WHERE k.kid = h ->> 'kid') AS keys
FROM CAST(rt_private.jwt_part(:'token', 1) AS json) AS h;
SELECT rt.issue_token('tk-ann') <> rt.issue_token('tk-ann') AS different;
SELECT rt.issue_token('tk-nobody');
SELECT rt.issue_token(NULL);

-- Each algorithm.
SELECT rt.add_key('tk-384', 'HS384', repeat('x', 48), true);
SELECT rt.verify_token(rt.issue_token('tk-ann'));
SELECT rt.add_key('tk-512', 'HS512', repeat('x', 64), true);
SELECT rt.verify_token(rt.issue_token('tk-ann'));
SELECT rt.add_key('tk-rsa', 'RS256', pem('rsa'), true);
SELECT rt.issue_token('tk-ann') AS rsa_token \gset
SELECT rt.verify_token(:'rsa_token');
SELECT rt.add_key('tk-rsa-384', 'RS384', pem('rsa'), true);
SELECT rt.verify_token(rt.issue_token('tk-ann'));
SELECT rt.add_key('tk-rsa-512', 'RS512', pem('rsa'), true);
SELECT rt.verify_token(rt.issue_token('tk-ann'));
SELECT rt.add_key('tk-ec', 'ES256', pem('ec'), true);
SELECT rt.issue_token('tk-ann') AS ec_token \gset
SELECT rt.verify_token(:'ec_token');
SELECT public_key = pem('ec public') || E'\n' AS derived FROM rt_private.keys WHERE kid = 'tk-ec';
-- The two numbers of the signature keep their leading zeros.
SELECT count(*), bool_and(rt_private.jwt_is_signed(t, 'ES256', convert_to(pem('ec public'), 'UTF8'))) AS good, min(length(t)) = max(length(t)) AS same
FROM (SELECT rt_private.jwt_sign('k', 'ES256', pem('ec'), '{"sub":"a"}') AS t FROM generate_series(1, 600)) s;

-- What does not verify.
SELECT rt.verify_token(rt.issue_token('tk-ann', '-31 seconds'));
SELECT rt.verify_token(rt_private.jwt_sign('tk-384', 'HS384', repeat('x', 48), '{"sub":"a","exp":1}'));
SELECT rt.verify_token(rt_private.jwt_sign('tk-384', 'HS384', repeat('x', 48), '{"sub":"a","exp":"1"}'));
SELECT rt.verify_token(rt_private.jwt_sign('tk-384', 'HS384', repeat('x', 48), '{"sub":"a","nbf":32503680000}'));
SELECT rt.verify_token(rt_private.jwt_sign('tk-384', 'HS384', repeat('x', 48), '{"sub":7}'));
SELECT rt.verify_token(rt_private.jwt_sign('tk-384', 'HS384', repeat('x', 48), '{"sub":""}'));
SELECT rt.verify_token(rt_private.jwt_sign('tk-384', 'HS384', repeat('x', 48), '["sub"]'));
SELECT rt.verify_token(rt_private.jwt_sign('tk-384', 'HS384', repeat('y', 48), '{"sub":"a"}'));
SELECT rt.verify_token(rt_private.jwt_sign('tk-none', 'HS384', repeat('x', 48), '{"sub":"a"}'));
SELECT rt.verify_token('');
SELECT rt.verify_token('..');
SELECT rt.verify_token('e30.e30.');
SELECT rt.verify_token('e30.e30.e30');
SELECT rt.verify_token(repeat('x', 9000));
SELECT rt.verify_token(:'token' || 'x');
SELECT rt.verify_token(:'token' || '.x');
SELECT rt.verify_token(split_part(:'token', '.', 1) || '.' || base64url('{"sub":"tk-ä"}') || '.' || split_part(:'token', '.', 3));
SELECT rt.verify_token(made_up('{"alg":"none"}', '{"sub":"a"}'));
SELECT rt.verify_token(made_up('{"alg":"none","kid":"tk-384"}', '{"sub":"a"}'));
SELECT rt.verify_token(made_up('{"alg":"HS384","kid":"tk-384"}', '{"sub":"a"}'));
SELECT rt.verify_token(made_up(repeat('[', 3000), '{}'));
SELECT rt.verify_token('gIGC.e30.e30');
-- A public key is no shared secret, whatever the token says.
SELECT rt.verify_token(rt_private.jwt_sign('tk-rsa', 'HS256', public_key, '{"sub":"a"}')) FROM rt_private.keys WHERE kid = 'tk-rsa';
SELECT rt.verify_token(rt_private.jwt_sign('tk-ec', 'HS256', public_key, '{"sub":"a"}')) FROM rt_private.keys WHERE kid = 'tk-ec';
SELECT rt_private.jwt_is_signed(rt_private.jwt_sign('k', 'HS256', pem('ec public'), '{}'), 'ES256', convert_to(pem('ec public'), 'UTF8'));
SELECT rt_private.jwt_is_signed(:'rsa_token', 'ES256', convert_to(pem('rsa public'), 'UTF8'));
SELECT rt_private.jwt_is_signed(:'ec_token', 'RS256', convert_to(pem('ec public'), 'UTF8'));
CREATE EXTENSION IF NOT EXISTS pgcrypto SCHEMA public;
-- A token may go without a kid.
SELECT rt.verify_token(input || '.' || translate(encode(hmac(input, repeat('x', 48), 'sha384'), 'base64'), E'+/=\n', '-_'))
FROM CAST(base64url('{"alg":"HS384"}') || '.' || base64url('{"sub":"a","exp":32503680000}') AS text) AS input;
-- An extension that is critical must be understood.
SELECT rt.verify_token(input || '.' || translate(encode(hmac(input, repeat('x', 48), 'sha384'), 'base64'), E'+/=\n', '-_'))
FROM CAST(base64url('{"alg":"HS384","crit":["b64"],"b64":false}') || '.' || base64url('{"sub":"a"}') AS text) AS input;

-- Keys that are none.
SELECT rt.add_key('tk-bad', 'none', 'x');
SELECT rt.add_key('tk-bad', 'HS256', 'short');
SELECT rt.add_key('tk-bad', 'HS512', repeat('x', 63));
SELECT rt.add_key('tk-bad', 'RS256', 'x');
SELECT rt.add_key('tk-bad', 'RS256', pem('ec public'));
SELECT rt.add_key('tk-bad', 'ES384', pem('ec'));
SELECT rt.add_key('tk-bad', 'RS256', pem('rsa short'));
SELECT rt.add_key('tk-bad', 'RS256', pem('rsa passphrase'));
SELECT rt.add_key('tk-bad', 'RS256', pem('rsa public'), true);
SELECT rt.add_key('tk-rsa', 'RS256', pem('rsa public'));
SELECT rt.add_key(E'a\nb', 'HS256', repeat('x', 32));
SELECT rt.add_key('https://keys.example.com/a=b', 'HS256', repeat('x', 32));
DELETE FROM rt_private.keys WHERE kid LIKE 'https:%';

-- Rotation and retirement; the gateways are told.
SELECT rt.verify_token(:'rsa_token');
SELECT rt.rotate_key() AS kid \gset
SELECT alg, can_sign FROM rt_private.keys WHERE kid = :'kid';
SELECT CAST(rt_private.jwt_part(rt.issue_token('tk-ann'), 1) AS json) ->> 'alg';
SELECT rt.retire_key('tk-rsa');
SELECT rt.retire_key('tk-rsa');
SELECT rt.verify_token(:'rsa_token');
SELECT rt.verify_token(:'ec_token');
DO $$
BEGIN
    FOR i IN 1 .. 12000 LOOP
        EXIT WHEN (SELECT count(*) FROM rt.events WHERE event = 'rt:keys') >= 8;
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;
SELECT count(*) >= 8 AS told, min(route) AS route FROM rt.events WHERE event = 'rt:keys';
SELECT key ->> 'kid' AS kid, key ->> 'alg' AS alg, key ->> 'key' LIKE '-----BEGIN PUBLIC KEY-----%' AS public
FROM json_array_elements(rt_api.keys(NULL, '{}') -> 'keys') AS key WHERE key ->> 'kid' LIKE 'tk-%' ORDER BY 1;
SELECT rt_api.keys(NULL, '{}')::text LIKE '%PRIVATE%' AS private;
UPDATE rt_private.keys SET retired_at = now() WHERE kid NOT LIKE 'tk-%';
UPDATE rt_private.keys SET can_sign = false;
SELECT rt.issue_token('tk-ann');

-- Who was not told that he may, may not.
CREATE ROLE tk_stranger;
GRANT USAGE ON SCHEMA rt TO tk_stranger;
SET ROLE tk_stranger;
\set VERBOSITY sqlstate
SELECT rt.issue_token('tk-ann');
SELECT rt.verify_token('x');
SELECT rt.add_key('tk-bad', 'HS256', repeat('x', 32), true);
SELECT rt.rotate_key();
SELECT rt.retire_key('tk-ec');
SELECT * FROM rt_private.keys;
SELECT rt_api.keys(NULL, '{}');
SELECT rt_private.jwt_sign('a', 'HS256', repeat('x', 32), '{}');
SELECT * FROM rt.stat_programs;
RESET ROLE;
SET ROLE rt_media;
SELECT rt_api.keys(NULL, '{}');
RESET ROLE;
GRANT pg_monitor TO tk_stranger;
SET ROLE tk_stranger;
SELECT count(*) >= 0 AS seen FROM rt.stat_programs;
RESET ROLE;
\set VERBOSITY terse

-- The next test finds a key again.
DELETE FROM rt_private.keys WHERE kid LIKE 'tk-%' OR retired_at IS NOT NULL;
SELECT length(rt.rotate_key());
DELETE FROM rt.users WHERE id LIKE 'tk-%';
REVOKE USAGE ON SCHEMA rt FROM tk_stranger;
DROP ROLE tk_stranger;
DROP FUNCTION made_up(text, text), base64url(text), pem(text);
DROP TABLE pem;
