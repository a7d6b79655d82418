// RFC 8725, JSON Web Token Best Current Practices, section by section: each of section 3 has its test here.
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import * as jose from 'jose';
import { dial, refusal, until } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';

const ISSUER = 'https://login.example.com';
const OTHER = 'https://other.example.com';
const keys = {};
let cluster;

const now = () => Math.floor(Date.now() / 1000);
const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const claims = (more = {}) => ({ iss: ISSUER, aud: 'chat', sub: 'alice', iat: now(), exp: now() + 300, ...more });
const sign = (payload = claims(), header = {}, key = keys.es.privateKey) =>
  new jose.SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: 'es', ...header }).sign(key);

before(async () => {
  cluster = await Cluster.start();
  await cluster.users('alice', 'bob');
  keys.es = await jose.generateKeyPair('ES256', { extractable: true });
  keys.rs = await jose.generateKeyPair('RS256', { extractable: true });
  keys.other = await jose.generateKeyPair('ES256', { extractable: true });
  const jwk = async (key, kid) => ({ ...(await jose.exportJWK(key.publicKey)), kid });
  await cluster.sql('SELECT rt.add_issuer($1, $2, $3)', [ISSUER, ['chat'], { keys: [await jwk(keys.es, 'es'), await jwk(keys.rs, 'rs')] }]);
  await cluster.sql('SELECT rt.add_issuer($1, $2, $3)', [OTHER, ['chat'], { keys: [await jwk(keys.other, 'other')] }]);
  await until(async () => (await status(await sign())) === 200, 'the gateway knows the issuers');
});
after(async () => { await cluster?.stop(); });

const status = async (token) => (await cluster.rest('GET', '/api/users/me', token)).status;

// At REST, at a socket, and in SQL.
async function refused(token, why) {
  assert.equal(await status(token), 401, why);
  assert.equal((await refusal(dial(cluster, token))).data.code, 'unauthorized', why);
  await assert.rejects(cluster.sql('SELECT rt.verify_token($1)', [token]), { code: 'RT401' }, why);
}

describe('RFC 8725', () => {
  test('3.1 Perform Algorithm Verification: each key is for one algorithm; the header does not choose', async () => {
    const pem = await jose.exportSPKI(keys.es.publicKey);
    const [head, body] = (await sign()).split('.');
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      const forged = `${encode({ alg, kid: 'es' })}.${body}`;
      const mac = createHmac(`sha${alg.slice(2)}`, pem).update(forged).digest('base64url');
      await refused(`${forged}.${mac}`, `${alg} with a public key as secret`);
    }
    await refused(await sign(claims(), { alg: 'RS256', kid: 'es' }, keys.rs.privateKey), "another algorithm than the kid's");
    await refused(await sign(claims(), { alg: 'PS256', kid: 'rs' }, keys.rs.privateKey), 'PS256 with a key for RS256');
    await refused(`${head.replace(/^./, 'x')}.${body}.AAAA`, 'a header that is none');
  });

  test('3.2 Use Appropriate Algorithms: none is never taken, in no spelling; weak keys are not added', async () => {
    for (const alg of ['none', 'None', 'NONE', 'nOnE', '', null, 1]) await refused(`${encode({ alg, kid: 'es' })}.${encode(claims())}.`, `alg ${alg}`);
    await refused(`${encode({ kid: 'es' })}.${encode(claims())}.AAAA`, 'no alg');
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
    await assert.rejects(cluster.sql('SELECT rt.set_jwks($1, $2)', [ISSUER, { keys: [weak] }]));
    await refused(await sign(claims(), { alg: 'RS256', kid: 'rs' }, keys.rs.privateKey).then((made) => made.slice(0, -3)), 'a truncated signature');
  });

  test('3.3 Validate All Cryptographic Operations: one that fails refuses the whole; there is no nested token', async () => {
    const made = await sign();
    const [head, body, signature] = made.split('.');
    for (const at of [0, 20, 60]) await refused(`${head}.${body}.${signature.slice(0, at)}${signature[at] === 'A' ? 'B' : 'A'}${signature.slice(at + 1)}`, `a bit at ${at}`);
    await refused(`${head}.${body}.${signature}.${signature}`, 'a fourth part');
    await refused(`${head}.${body}.${Buffer.alloc(64).toString('base64url')}`, 'r = s = 0 (CVE-2022-21449)');
    await refused(await sign(claims(), { cty: 'JWT', typ: 'JWE' }), 'a nested token');
    await refused(await new jose.EncryptJWT(claims()).setProtectedHeader({ alg: 'dir', enc: 'A256GCM' }).encrypt(new Uint8Array(32)), 'an encrypted one');
  });

  test('3.4 Validate Cryptographic Inputs: a key must be a point on its curve', async () => {
    const good = await jose.exportJWK(keys.es.publicKey);
    for (const bad of [{ ...good, x: encode(Buffer.alloc(32, 1).toString('latin1')) }, { ...good, x: good.x.slice(4) }, { ...good, crv: 'P-384' }, { ...good, y: undefined }])
      await assert.rejects(cluster.sql('SELECT rt.set_jwks($1, $2)', [ISSUER, { keys: [bad] }]), JSON.stringify(bad));
    assert.equal(await status(await sign()), 200, 'the keys before are still there');
  });

  test('3.5 Ensure Cryptographic Keys Have Sufficient Entropy: short secrets are not added, ours are random', async () => {
    for (const secret of ['secret', 'x'.repeat(31)]) {
      const jwk = { kty: 'oct', alg: 'HS256', k: encode(secret) };
      await assert.rejects(cluster.sql('SELECT rt.set_jwks($1, $2)', [OTHER, { keys: [jwk] }]), secret);
    }
    const dictionary = new TextEncoder().encode('secret');
    await refused(await new jose.SignJWT({ sub: 'alice', exp: now() + 300 }).setProtectedHeader({ alg: 'HS256' }).sign(dictionary).catch(() => 'x.y.z'), 'a guessed secret');
  });

  test('3.6 Avoid Compression of Encryption Inputs: what is compressed is not taken', async () => {
    await refused(await sign(claims(), { zip: 'DEF', crit: ['zip'] }).catch(async () => {
      const [, body, signature] = (await sign()).split('.');
      return `${encode({ alg: 'ES256', kid: 'es', zip: 'DEF' })}.${body}.${signature}`;
    }), 'zip');
  });

  test('3.7 Use UTF-8: what is not is refused', async () => {
    const payload = Buffer.concat([Buffer.from('{"sub":"'), Buffer.from([0xff, 0xfe]), Buffer.from(`","iss":"${ISSUER}","aud":"chat","exp":${now() + 300}}`)]);
    const made = await new jose.CompactSign(payload).setProtectedHeader({ alg: 'ES256', kid: 'es' }).sign(keys.es.privateKey);
    assert.equal(await status(made), 401);
    const utf16 = Buffer.from(JSON.stringify(claims()), 'utf16le');
    assert.equal(await status(await new jose.CompactSign(utf16).setProtectedHeader({ alg: 'ES256', kid: 'es' }).sign(keys.es.privateKey)), 401);
  });

  test('3.8 Validate Issuer and Subject: a key speaks for its issuer alone, and the subject must be a user', async () => {
    await refused(await sign(claims({ iss: OTHER })), "one issuer's key for another");
    await refused(await sign(claims(), { kid: 'other' }, keys.other.privateKey), "the other's key");
    await refused(await sign(claims({ iss: 'https://unknown.example.com' })), 'an unknown issuer');
    for (const sub of ['', null, 7, ['alice'], { id: 'alice' }]) await refused(await sign(claims({ sub })), `sub ${JSON.stringify(sub)}`);
    assert.equal(await status(await sign(claims({ sub: 'nobody' }))), 401);
    assert.equal(await status(await sign(claims({ iss: OTHER }), { kid: 'other' }, keys.other.privateKey)), 200);
  });

  test('3.9 Use and Validate Audience: it must be there, and be ours', async () => {
    for (const aud of [undefined, '', [], 'payroll', ['payroll'], 'chat2', null]) {
      const payload = claims({ aud });
      if (aud === undefined) delete payload.aud;
      await refused(await sign(payload), `aud ${JSON.stringify(aud)}`);
    }
    assert.equal(await status(await sign(claims({ aud: ['payroll', 'chat'] }))), 200);
  });

  test('3.10 Do Not Trust Received Claims: kid is looked up as text; jku, x5u, jwk and x5c are not followed', async () => {
    for (const kid of ["' OR true --", '../../etc/passwd', '%', 'es\0', 'ES', 'x'.repeat(10_000), { kid: 'es' }, ['es'], 7])
      assert.equal(await status(`${encode({ alg: 'ES256', kid })}.${(await sign()).split('.').slice(1).join('.')}`), 401, `kid ${JSON.stringify(kid)}`);
    const stranger = await jose.generateKeyPair('ES256', { extractable: true });
    const jwk = await jose.exportJWK(stranger.publicKey);
    for (const header of [{ jwk }, { jku: 'http://127.0.0.1:9/jwks' }, { x5u: 'http://127.0.0.1:9/cert' }, { x5c: ['AAAA'] }])
      await refused(await sign(claims(), header, stranger.privateKey), Object.keys(header)[0]);
  });

  test('3.11 Use Explicit Typing: other kinds of tokens are not access tokens', async () => {
    for (const typ of ['JWT', 'jwt', 'at+jwt', 'application/at+jwt']) assert.equal(await status(await sign(claims(), { typ })), 200, typ);
    for (const typ of ['logout+jwt', 'secevent+jwt', 'dpop+jwt', 'JOSE', 'at+jwt+x', '']) await refused(await sign(claims(), { typ }), `typ ${typ}`);
  });

  test('3.12 Use Mutually Exclusive Validation Rules: an issuer cannot make a token of ours, nor of a guest, nor the reverse', async () => {
    await refused(await sign({ sub: 'alice', exp: now() + 300 }), "without iss it would be of our own keys");
    const own = await cluster.token('alice');
    const sid = jose.decodeJwt(own).sid;
    const withSid = await sign(claims({ sid, guest: true }));
    assert.equal((await cluster.rest('POST', '/auth/refresh', withSid)).status, 401, 'it is not refreshed');
    assert.equal((await cluster.rest('POST', '/auth/logout', withSid)).status, 401, 'it ends no session');
    const [head, , signature] = own.split('.');
    await refused(`${head}.${encode(claims())}.${signature}`, 'our signature under another payload');
  });

  test('each section of the RFC\'s chapter 3 is here', async () => {
    const text = await readFile(new URL(import.meta.url), 'utf8');
    const sections = [...text.matchAll(/^ {2}test\('3\.(\d+) /gm)].map(([, n]) => Number(n));
    assert.deepEqual(sections, Array.from({ length: 12 }, (_, i) => i + 1));
  });
});
