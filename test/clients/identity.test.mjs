// Who gets in, and until when: sessions, revocation, and the tokens of other issuers, made by npm jose as a provider makes them.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import http, { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import * as jose from 'jose';
import { closeAll, connect, connected, dial, refusal, until } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';

const ISSUER = 'https://login.example.com/realm';
const AUDIENCE = 'chat';
const now = () => Math.floor(Date.now() / 1000);

let cluster;
before(async () => { cluster = await Cluster.start({ 'rt.gateway_workers': '2' }); });
after(async () => { await cluster?.stop(); });

const me = (token) => cluster.rest('GET', '/api/users/me', token);
const sidOf = (token) => jose.decodeJwt(token).sid;
const login = (username, password, headers) => cluster.rest('POST', '/auth', undefined, { username, password }, headers);

// A socket by a token whose key a worker of the gateway may not have read yet.
const connectSoon = (token, options) => until(() => connect(cluster, token, options).catch(() => null), 'a socket');

// A token that was good: each worker of the gateway learns of its end by itself, so one may be later than the other.
async function isOver(token) {
  const { body } = await until(async () => {
    const answer = await me(token);
    return answer.status === 401 && answer;
  }, 'REST refuses it');
  assert.deepEqual(body, { success: false, error: { code: 'unauthorized', message: 'Invalid token' } });
  const error = await until(() => connected(dial(cluster, token)).then(() => null, (refused) => refused), 'sockets are refused');
  assert.equal(error.message, 'Invalid token');
}

describe('sessions', () => {
  test('a login is a session, which its user sees in the list', async () => {
    await cluster.users('lia');
    const { body } = await login('lia', 'lia-password', { 'user-agent': 'a phone' });
    const other = await cluster.token('lia');
    const { body: list } = await cluster.rest('GET', '/api/users/me/sessions', body.token);
    const mine = list.data.find((s) => s.id === sidOf(body.token));
    assert.deepEqual(Object.keys(mine).sort(), ['address', 'createdAt', 'current', 'expiresAt', 'id', 'lastUsedAt', 'userAgent']);
    assert.equal(mine.current, true);
    assert.equal(mine.userAgent, 'a phone');
    assert.equal(mine.address, '127.0.0.1');
    assert.equal(list.data.find((s) => s.id === sidOf(other)).current, false);
    assert.equal(list.count, list.data.length);
  });

  test('logging out ends this session: REST, refresh, sockets, recovery; another session goes on', async () => {
    await cluster.users('leo');
    const [one, two] = [(await login('leo', 'leo-password')).body.token, (await login('leo', 'leo-password')).body.token];
    const client = await connect(cluster, one);
    const other = await connect(cluster, two);
    const ended = new Promise((resolve) => client.once('disconnect', resolve));
    const { status, body } = await cluster.rest('POST', '/auth/logout', one);
    assert.deepEqual([status, body], [200, { success: true }]);
    assert.equal(await ended, 'io server disconnect');
    await isOver(one);
    assert.equal((await cluster.rest('POST', '/auth/refresh', one)).status, 401);
    assert.equal((await cluster.rest('POST', '/auth/logout', one)).status, 401);
    assert.equal((await me(two)).status, 200);
    assert.equal(other.connected, true);
  });

  test('what one has ended is over at the next request', async () => {
    await cluster.users('leif');
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 }); // one connection is one worker's
    const ask = (method, path, token, body) => new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const request = http.request(new URL(path, cluster.url), { method, agent, headers }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode));
      });
      request.on('error', reject).end(body && JSON.stringify(body));
    });
    const stays = await cluster.token('leif');
    for (let i = 0; i < 20; i++) {
      const [one, two] = [await cluster.token('leif'), await cluster.token('leif')];
      assert.equal(await ask('POST', '/auth/logout', one), 200);
      assert.equal(await ask('GET', '/api/users/me', one), 401);
      assert.equal(await ask('DELETE', `/api/users/me/sessions/${sidOf(two)}`, stays), 200);
      assert.equal(await ask('GET', '/api/users/me', two), 401);
      assert.equal(await ask('DELETE', '/api/users/me/sessions/none', stays), 404);
      assert.equal(await ask('GET', '/api/users/me', stays), 200);
    }
    for (let i = 0; i < 3; i++) {
      const another = await cluster.token('leif');
      assert.equal(await ask('PUT', '/api/users/me/password', stays, { old: `${i ? i - 1 : 'leif'}-password`, new: `${i}-password` }), 200);
      assert.equal(await ask('GET', '/api/users/me', another), 401);
      assert.equal(await ask('GET', '/api/users/me', stays), 200);
    }
    agent.destroy();
  });

  test('a session that is deleted from the list or the table is over', async () => {
    await cluster.users('len');
    const [one, two, three] = [await cluster.token('len'), await cluster.token('len'), await cluster.token('len')];
    assert.equal((await cluster.rest('DELETE', `/api/users/me/sessions/${sidOf(two)}`, one)).status, 200);
    assert.equal((await cluster.rest('DELETE', '/api/users/me/sessions/none', one)).status, 404);
    await until(async () => (await me(two)).status === 401, 'deleted by REST');
    await cluster.sql('DELETE FROM rt.sessions WHERE id = $1', [sidOf(three)]);
    await until(async () => (await me(three)).status === 401, 'deleted by SQL');
    assert.equal((await me(one)).status, 200);
  });

  test('a new password ends all sessions but the one that it came from', async () => {
    await cluster.users('liv');
    const [one, two] = [await cluster.token('liv'), await cluster.token('liv')];
    const wrong = await cluster.rest('PUT', '/api/users/me/password', one, { old: 'x', new: 'y' });
    assert.deepEqual([wrong.status, wrong.body.error.code], [401, 'wrong_password']);
    assert.equal((await cluster.rest('PUT', '/api/users/me/password', one, { old: 'liv-password', new: 'another' })).status, 200);
    await until(async () => (await me(two)).status === 401, 'the other session ends');
    assert.equal((await me(one)).status, 200);
    assert.equal((await login('liv', 'another')).status, 200);
    await cluster.sql("SELECT rt.set_password('liv', 'a third')");
    await until(async () => (await me(one)).status === 401, 'by SQL all end');
  });

  test('refreshing keeps the session, and ends with it', async () => {
    await cluster.users('lev');
    const first = (await login('lev', 'lev-password')).body;
    const second = (await cluster.rest('POST', '/auth/refresh', first.token)).body;
    assert.deepEqual(Object.keys(second).sort(), ['expiresAt', 'success', 'token', 'user']);
    assert.equal(sidOf(second.token), sidOf(first.token));
    await cluster.sql("UPDATE rt.sessions SET expires_at = clock_timestamp() + interval '10 minutes' WHERE id = $1", [sidOf(first.token)]);
    const third = (await cluster.rest('POST', '/auth/refresh', first.token)).body;
    assert.ok(jose.decodeJwt(third.token).exp <= now() + 601);
    await cluster.sql('UPDATE rt.sessions SET expires_at = clock_timestamp() WHERE id = $1', [sidOf(first.token)]);
    assert.equal((await cluster.rest('POST', '/auth/refresh', third.token)).status, 401);
  });

  test('what was revoked stays so over a restart of the gateways and of the server', async () => {
    await cluster.users('lex');
    const [gone, good] = [await cluster.token('lex'), await cluster.token('lex')];
    await cluster.sql('UPDATE rt.sessions SET revoked_at = now() WHERE id = $1', [sidOf(gone)]);
    await cluster.killGateway();
    await until(async () => (await me(good)).status === 200, 'it is known');
    for (let i = 0; i < 10; i++) assert.equal((await me(gone)).status, 401);
  });

  test('the tokens of a deleted user are not those of a later user of the same id, also after a restart', async () => {
    await cluster.users('leda');
    const [old, older] = [await cluster.token('leda'), (await login('leda', 'leda-password')).body.token];
    await cluster.sql("DELETE FROM rt.users WHERE id = 'leda'");
    assert.equal((await me(old)).status, 401);
    await cluster.users('leda');
    const fresh = await cluster.token('leda');
    await until(async () => (await me(old)).status === 401 && (await me(older)).status === 401, 'the old ones are refused');
    await isOver(old);
    assert.equal((await cluster.rest('POST', '/auth/refresh', old)).status, 401);
    assert.equal((await me(fresh)).status, 200);
    await cluster.killGateway();
    await until(async () => (await me(fresh)).status === 200, 'it is known');
    for (let i = 0; i < 5; i++) assert.equal((await me(old)).status, 401);
  });

  test('where administrators must have a second factor, they have no rights without; a code is good once, however many use it at once', async (t) => {
    const [token] = await cluster.users('ada');
    await cluster.sql("UPDATE rt.users SET is_admin = true WHERE id = 'ada'");
    const stats = () => cluster.rest('GET', '/api/admin/stats', token);
    assert.equal((await stats()).status, 200);
    const isAdmin = async () => (await me(token)).body.data.isAdmin;
    assert.equal(await isAdmin(), true);
    t.after(() => cluster.set('rt.require_2fa', null));
    await cluster.set('rt.require_2fa', 'on');
    const { body: refused } = await until(async () => {
      const answer = await stats();
      return answer.status === 403 && answer;
    }, 'an ordinary user');
    assert.equal(refused.error.message, 'Administrators need a second factor on this server');
    const twoFactor = (method, body) => cluster.rest(method, '/api/users/me/two-factor', token, body);
    const code = (ahead) => cluster.value(`SELECT rt_private.totp(secret, floor(extract(epoch FROM clock_timestamp()) / 30)::bigint + $1)
      FROM rt_private.two_factor WHERE user_id = 'ada'`, [ahead]);
    assert.equal((await twoFactor('POST')).status, 200);
    assert.equal((await stats()).status, 403, 'not yet confirmed');
    assert.equal(await isAdmin(), false);
    const { body: { data: { recoveryCodes } } } = await twoFactor('PUT', { code: await code(0) });
    assert.equal((await stats()).status, 200);
    assert.equal(await isAdmin(), true);
    assert.equal((await login('ada', 'ada-password')).body.twoFactor, 'required');
    const atOnce = async (given) => {
      const answers = await Promise.all(Array.from({ length: 5 }, () => cluster.rest('POST', '/auth', undefined, { username: 'ada', password: 'ada-password', code: given })));
      return answers.filter(({ status }) => status === 200).length;
    };
    assert.equal(await atOnce(await code(1)), 1, 'one of them');
    assert.equal(await atOnce(recoveryCodes[0]), 1, 'one of them by a recovery code');
    assert.equal(await atOnce(recoveryCodes[0]), 0, 'which is used up');
    await cluster.sql("SELECT rt.reset_two_factor('ada')");
    assert.equal((await stats()).status, 403, 'without it again');
    assert.equal(await isAdmin(), false);
  });

  test('a token of a backend that shares a key ends with all of its user\'s, whatever its sid is', async () => {
    const secret = Buffer.alloc(32, 'shared');
    await cluster.sql("SELECT rt.add_key('backend', 'HS256', $1)", [secret.toString()]);
    await cluster.users('lola');
    const made = (claims) => new jose.SignJWT({ sub: 'lola', iat: now(), exp: now() + 300, ...claims }).setProtectedHeader({ alg: 'HS256', kid: 'backend' }).sign(secret);
    const sids = [{}, { sid: 'one-of-the-backend' }, { sid: 'V1StGXR8_Z5jdHi6B-my' }, { sid: '' }, { sid: 7 }];
    for (const [revoke, keeps] of [
      [() => cluster.sql("SELECT rt.revoke_sessions('lola')"), false],
      [(own) => cluster.rest('PUT', '/api/users/me/password', own, { old: 'lola-password', new: 'another' }), true],
      [() => cluster.sql("SELECT rt.set_password('lola', 'a third')"), false],
    ]) {
      const own = await cluster.token('lola');
      const tokens = await Promise.all(sids.map(made));
      for (const token of tokens) await until(async () => (await me(token)).status === 200, 'the gateways know the key');
      const client = await connectSoon(tokens[1]);
      const ended = new Promise((resolve) => client.once('disconnect', resolve));
      await revoke(own);
      assert.equal(await ended, 'io server disconnect');
      for (const token of tokens) {
        await isOver(token);
        await assert.rejects(cluster.sql('SELECT rt.verify_token($1)', [token]), { code: 'RT401' });
      }
      if (keeps) assert.equal((await me(own)).status, 200);
      else await isOver(own);
      const fresh = await cluster.token('lola');
      assert.equal((await me(fresh)).status, 200, 'one of a session of the same second');
      const later = now();
      await until(() => now() > later, 'the next second');
      for (const sid of sids) await until(async () => (await me(await made(sid))).status === 200, 'a later one');
    }
  });

  test('a key of ours that is retired ends the sockets of its tokens; the others stay', async () => {
    const kid = await cluster.value('SELECT kid FROM rt_private.keys WHERE can_sign AND retired_at IS NULL ORDER BY created_at DESC LIMIT 1');
    const [old] = await cluster.users('lena');
    await cluster.sql('SELECT rt.rotate_key()');
    const fresh = await cluster.token('lena');
    await until(async () => (await me(fresh)).status === 200, 'the new key is known');
    const clients = [await connect(cluster, old, { reconnection: false }), await connectSoon(fresh)];
    const ended = new Promise((resolve) => clients[0].once('disconnect', resolve));
    await cluster.sql('SELECT rt.retire_key($1)', [kid]);
    assert.equal(await ended, 'transport close');
    await isOver(old);
    assert.equal((await me(fresh)).status, 200);
    assert.equal(clients[1].connected, true);
  });

  test('which check a token failed is in the log at debug, and not in the answer', async (t) => {
    await cluster.users('lara');
    const good = await cluster.token('lara');
    const [head, body] = good.split('.');
    t.after(() => cluster.set('rt.log_min_messages', null));
    await cluster.set('rt.log_min_messages', 'debug');
    const told = await until(async () => {
      assert.deepEqual((await me(`${head}.${body}.${'A'.repeat(86)}`)).body.error, { code: 'unauthorized', message: 'Invalid token' });
      return (await cluster.log()).match(/auth: a token is refused: (.*)/);
    }, 'the line');
    assert.equal(told[1], 'its key has not signed it');
    assert.ok(!(await cluster.log()).includes(body), 'no token is in the log');
  });

  test('an account is held back after ten failures, a known address is not', async () => {
    await cluster.users('lux');
    const proxied = (address) => ({ 'x-forwarded-for': address });
    assert.equal((await login('lux', 'lux-password')).status, 200);
    await cluster.sql("DELETE FROM rt_private.login_addresses WHERE user_id = 'lux'");
    for (let i = 0; i < 10; i++) assert.equal((await login('lux', 'wrong')).status, 401);
    const { status, headers, body } = await login('lux', 'lux-password', proxied('198.51.100.7'));
    assert.deepEqual([status, body.success, body.error.code], [429, false, 'rate_limited']);
    assert.ok(Number(headers.get('retry-after')) > 800);
    const audited = async (action) => cluster.value("SELECT sum((detail ->> 'count')::int)::int FROM rt.audit WHERE user_id = 'lux' AND action = $1", [action]);
    assert.equal(await audited('login-failed'), 10);
    assert.equal(await audited('login-limited'), 1);
    await cluster.sql("INSERT INTO rt_private.login_addresses (user_id, address) VALUES ('lux', '127.0.0.1')");
    assert.equal((await login('lux', 'lux-password')).status, 200);
    for (let i = 0; i < 10; i++) assert.equal((await login('no such user', 'wrong')).status, 401);
    assert.equal((await login('no such user', 'wrong')).status, 429);
  });
});

test('the page\'s trigger keeps rt.users in step with a table of the business, and its backend issues tokens', async () => {
  const page = await readFile(new URL('../../docs/identity.md', import.meta.url), 'utf8');
  const [section] = page.match(/## Keep an existing users table[^]*?(?=\n## )/);
  const [trigger, grants, issue] = section.match(/(?:^ {4}.*\n|^\n(?= {4}))+/gm).map((block) => block.replace(/^ {4}/gm, ''));
  const admin = (text) => cluster.sql(text);
  await admin('CREATE SCHEMA app; CREATE ROLE app_owner; CREATE ROLE app_backend; GRANT USAGE ON SCHEMA app TO app_owner');
  await admin('CREATE TABLE app.customers (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL UNIQUE, full_name text NOT NULL)');
  await admin('GRANT SELECT, INSERT, UPDATE, DELETE ON app.customers TO app_owner');
  await admin("INSERT INTO app.customers (email, full_name) VALUES ('early@example.com', 'Early Bird')");
  await admin(trigger);
  await admin(grants);
  const as = async (role, text, values) => {
    const client = await cluster.pool.connect();
    try {
      await client.query(`SET ROLE ${role}`);
      return (await client.query(text, values)).rows;
    } finally {
      await client.query('RESET ROLE');
      client.release(true);
    }
  };
  const known = () => cluster.sql("SELECT u.id, u.username, u.name FROM rt.users AS u JOIN app.customers AS c ON c.id::text = u.id ORDER BY u.username");
  assert.deepEqual((await known()).map(({ username }) => username), ['early@example.com']);
  const [{ id }] = await as('app_owner', "INSERT INTO app.customers (email, full_name) VALUES ('cora@example.com', 'Cora C.') RETURNING id");
  await as('app_owner', "UPDATE app.customers SET email = 'cora.new@example.com', full_name = 'Cora N.' WHERE id = $1", [id]);
  assert.deepEqual((await known())[0], { id, username: 'cora.new@example.com', name: 'Cora N.' });
  const uuid = '7d5e0c2e-5b1c-4f0a-9a6e-0d6a3a1f6d11';
  await as('app_owner', 'UPDATE app.customers SET id = $2 WHERE id = $1', [id, uuid]);
  assert.deepEqual((await known())[0], { id: uuid, username: 'cora.new@example.com', name: 'Cora N.' });
  await as('app_owner', 'UPDATE app.customers SET id = $2 WHERE id = $1', [uuid, id]);
  const [{ issue_token: token }] = await as('app_backend', issue, [id]);
  const { status, body } = await me(token);
  assert.deepEqual([status, body.data.id, body.data.username], [200, id, 'cora.new@example.com']);
  await assert.rejects(as('app_owner', issue, [id]), { code: '42501' });
  await assert.rejects(as('app_backend', 'SELECT password_hash FROM rt.users'), { code: '42501' });
  await as('app_owner', 'DELETE FROM app.customers WHERE id = $1', [id]);
  assert.equal((await me(token)).status, 401);
  assert.equal((await known()).length, 1);
});

describe('other issuers', () => {
  const keys = {};
  const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'ES384', 'ES512', 'EdDSA'];

  before(async () => {
    for (const alg of ALGORITHMS) keys[alg] = await jose.generateKeyPair(alg, { extractable: true });
    keys.stranger = await jose.generateKeyPair('ES256', { extractable: true });
    keys.other = await jose.generateKeyPair('ES256', { extractable: true });
    const jwk = async (name, more) => ({ ...await jose.exportJWK(keys[name].publicKey), ...more });
    const jwks = { keys: [{ kty: 'future', kid: 'x' }] };
    for (const alg of ALGORITHMS) jwks.keys.push(await jwk(alg, { kid: `kid/${alg}=`, alg, use: 'sig' }));
    await cluster.sql('SELECT rt.add_issuer($1, $2, $3)', [ISSUER, [AUDIENCE, 'second'], jwks]);
    await cluster.sql('SELECT rt.add_issuer($1, $2, $3, $4, true, NULL, $5, $6, $7, $8)', ['https://creates.example.com', [AUDIENCE],
      { keys: [await jwk('other', { kid: 'o' })] }, 'email', 'name', 'preferred_username', 'groups', 'rt-admins']);
    await cluster.users('alice');
    await until(async () => (await me(await token())).status === 200, 'the gateways know the issuer');
  });

  function token({ alg = 'ES256', key = alg, claims = {}, header = {} } = {}) {
    const all = { iss: ISSUER, aud: AUDIENCE, sub: 'alice', iat: now(), exp: now() + 300, ...claims };
    for (const name of Object.keys(all)) if (all[name] === undefined) delete all[name];
    const head = { alg, kid: `kid/${alg}=`, typ: 'JWT', ...header };
    for (const name of Object.keys(head)) if (head[name] === undefined) delete head[name];
    return new jose.SignJWT(all).setProtectedHeader(head).sign(keys[key].privateKey);
  }

  // The gateway and rt.verify_token() are of one mind.
  async function judge(made) {
    const { status } = await me(made);
    const sql = await cluster.sql('SELECT rt.verify_token($1)', [made]).then(() => 200, (error) => (error.code === 'RT401' ? 401 : error));
    assert.equal(status, sql, made);
    return status;
  }

  const GOOD = {
    'each algorithm': () => ALGORITHMS.map((alg) => ({ alg })),
    'an audience among others': () => [{ claims: { aud: ['x', AUDIENCE] } }, { claims: { aud: ['second'] } }, { claims: { aud: 'second' } }],
    'an access token (RFC 9068)': () => [{ header: { typ: 'at+jwt' } }, { header: { typ: 'AT+JWT' } }, { header: { typ: 'application/at+jwt' } },
      { header: { typ: undefined } }],
    'times within the leeway': () => [{ claims: { exp: now() - 20, iat: now() - 100 } }, { claims: { nbf: now() + 20 } }, { claims: { iat: now() + 20 } },
      { claims: { exp: now() + 0.5 } }],
    'no kid, and one key of the algorithm': () => [{ header: { kid: undefined } }],
    'no iat': () => [{ claims: { iat: undefined } }],
    'Ed25519 by its later name (RFC 9864)': () => [{ alg: 'EdDSA', header: { alg: 'Ed25519' } }, { alg: 'EdDSA', header: { alg: 'Ed25519', kid: undefined } }],
  };
  for (const [name, cases] of Object.entries(GOOD)) {
    test(`taken: ${name}`, async () => {
      for (const given of cases()) assert.equal(await judge(await token(given)), 200, JSON.stringify(given));
    });
  }

  const BAD = {
    'an issuer that is unknown, of another kind or missing': () => [{ claims: { iss: 'https://evil.example.com' } }, { claims: { iss: `${ISSUER}/` } },
      { claims: { iss: 7 } }, { claims: { iss: undefined } }, { claims: { iss: undefined, aud: undefined } }, { claims: { iss: [ISSUER] } }],
    'an audience that is another, empty or missing': () => [{ claims: { aud: 'payroll-app' } }, { claims: { aud: [] } }, { claims: { aud: undefined } },
      { claims: { aud: 'CHAT' } }, { claims: { aud: { chat: true } } }, { claims: { aud: [['chat']] } }],
    'no end, or one that is over': () => [{ claims: { exp: undefined } }, { claims: { exp: now() - 60 } }, { claims: { exp: 0 } }],
    'times that are in the future or no numbers': () => [{ claims: { nbf: now() + 90 } }, { claims: { iat: now() + 90 } }, { claims: { exp: `${now() + 90}` } },
      { claims: { nbf: 'x' } }, { claims: { iat: null } }],
    'another type of token': () => [{ header: { typ: 'logout+jwt' } }, { header: { typ: 'dpop+jwt' } }, { header: { typ: '' } }],
    'a user that is missing or no text': () => [{ claims: { sub: undefined } }, { claims: { sub: '' } }, { claims: { sub: 7 } }, { claims: { sub: null } }],
    'the key of somebody else': () => [{ key: 'stranger' }, { key: 'other' }, { key: 'other', header: { kid: 'o' } }, { key: 'stranger', header: { kid: undefined } }],
    'a kid that is unknown or of another key': () => [{ header: { kid: 'x' } }, { header: { kid: 'kid/RS256=' } }],
  };
  for (const [name, cases] of Object.entries(BAD)) {
    test(`refused: ${name}`, async () => {
      for (const given of cases()) assert.equal(await judge(await token(given)), 401, JSON.stringify(given));
    });
  }

  // JSON as it is written: a number in JavaScript would not keep it.
  const written = (name, text) => {
    const all = { iss: ISSUER, aud: AUDIENCE, sub: 'alice', iat: now(), exp: now() + 300, [name]: 'ODD' };
    return new jose.CompactSign(new TextEncoder().encode(JSON.stringify(all).replace('"ODD"', text)))
      .setProtectedHeader({ alg: 'ES256', kid: 'kid/ES256=', typ: 'JWT' }).sign(keys.ES256.privateKey);
  };

  test('times that are odd: both take them, or both refuse them', async () => {
    const odd = ['1e400', '-1e400', '1e300', '-1e300', '1e200000', '9223372036854775807', '9223372036854775808', '-9223372036854775808',
      '-9223372036854775809', '18446744073709551616', '9007199254740992', '-9007199254740992', '9007199254740991.5', '"1"', '""', 'true', 'false', 'null', '[]', '{}'];
    for (const name of ['exp', 'nbf', 'iat']) for (const text of odd) assert.equal(await judge(await written(name, text)), 401, `${name} ${text}`);
    for (const text of ['0', '-0', '-1', '-1.5', '1e-400', '-9007199254740991']) {
      assert.equal(await judge(await written('exp', text)), 401, `exp ${text}`);
      for (const name of ['nbf', 'iat']) assert.equal(await judge(await written(name, text)), 200, `${name} ${text}`);
    }
    for (const text of ['9007199254740991', '9e15', `${now() + 60}.25`]) assert.equal(await judge(await written('exp', text)), 200, `exp ${text}`);
  });

  test('claims that are odd: both take them, or both refuse them', async () => {
    const deep = (n) => '['.repeat(n) + ']'.repeat(n);
    const right = ['9223372036854775807', '9223372036854775808', '-9223372036854775809', '9'.repeat(300), '1e308', '1e-400', '0e400', `0.${'1'.repeat(400)}`, deep(90),
      '"[[{{ 1e999"', '"\\"[1e999"', '{"1e999":"\\\\"}'];
    const wrong = ['1e309', '-1e309', '1.8e308', '1e400', '[{"y":[1e400]}]', '1E400', '9'.repeat(310), '1e-401', '0e401', '1e-20000', '1e99999999999999999999', '1e-99999999999999999999',
      deep(200), deep(2500), '{"a":'.repeat(200) + '1' + '}'.repeat(200), '"\\u0000"', '"\\ud800"', '01', '+1', '.5', '1.', 'NaN', '0x1p99999', '-'];
    for (const text of right) assert.equal(await judge(await written('x', text)), 200, text);
    for (const text of wrong) assert.equal(await judge(await written('x', text)), 401, text);
    await assert.rejects(cluster.sql('SELECT rt.verify_token($1)', [await written('x', '1e400')]), (error) => /beyond the range of a double/.test(error.detail));
    const header = (text) => `${Buffer.from(`{"alg":"ES256","kid":"kid/ES256=","x":${text}}`).toString('base64url')}.e30.AAAA`;
    for (const text of ['1e400', deep(2500)]) assert.equal(await judge(header(text)), 401, text);
  });

  test('a shared secret of any bytes, in a key set beside other keys', async () => {
    const secret = Buffer.from([0, 255, 254, 128, ...Array(60).keys()]);
    const issuer = 'https://shares.example.com';
    const jwks = { keys: [{ kty: 'oct', kid: 's', alg: 'HS256', k: secret.toString('base64url') }, { kty: 'oct', kid: 't', k: Buffer.alloc(32, 'text').toString('base64url') },
      { ...await jose.exportJWK(keys.other.publicKey), kid: 'o' }] };
    await cluster.sql('SELECT rt.add_issuer($1, $2, $3)', [issuer, [AUDIENCE], jwks]);
    const made = (kid, key, alg = 'HS256') => new jose.SignJWT({ iss: issuer, aud: AUDIENCE, sub: 'alice', exp: now() + 300 }).setProtectedHeader({ alg, kid }).sign(key);
    await until(async () => (await me(await made('s', secret))).status === 200, 'the gateways know the issuer');
    for (const good of [await made('s', secret), await made('t', Buffer.alloc(32, 'text')), await made('o', keys.other.privateKey, 'ES256')])
      await until(async () => (await judge(good)) === 200, 'taken');
    for (const wrong of [await made('s', secret.subarray(1)), await made('s', Buffer.from(jwks.keys[0].k)), await made('t', secret), await made('o', secret)])
      assert.equal(await judge(wrong), 401);
    for (const k of [Buffer.alloc(31, 'x').toString('base64url'), Buffer.alloc(1025, 'x').toString('base64url'), '!', '', 7, undefined])
      await assert.rejects(cluster.sql('SELECT rt.set_jwks($1, $2)', [issuer, { keys: [{ kty: 'oct', k }] }]), /cannot be used/, `${k}`);
  });

  test('a token that does not say when it was issued is older than a revocation or deletion only as long as it can be', async () => {
    const issuer = 'https://undated.example.com';
    await cluster.sql("SELECT rt.add_issuer($1, $2, $3, create_users => true, token_lifetime => '10 minutes')",
      [issuer, [AUDIENCE], { keys: [{ ...await jose.exportJWK(keys.other.publicKey), kid: 'o' }] }]);
    const made = (sub, claims) => token({ key: 'other', header: { kid: 'o' }, claims: { iss: issuer, sub, iat: undefined, ...claims } });
    await until(async () => (await me(await made('una', {}))).status === 200, 'the gateways know the issuer');
    // Half of its life is over, or all but a second of it lies ahead; the third lives longer than the issuer says.
    const old = (sub) => Promise.all([{ exp: now() + 300 }, { exp: now() + 599 }, { exp: now() + 7200 }, { nbf: now() - 1 }].map((claims) => made(sub, claims)));
    const refused = async (sub, ends) => {
      const tokens = await old(sub);
      for (const one of tokens) assert.equal((await me(one)).status, 200);
      await ends(sub);
      for (const one of tokens) {
        await until(async () => (await me(one)).status === 401, 'it is refused');
        assert.match((await refusal(dial(cluster, one))).message, /^(Invalid token|User not found)$/);
      }
    };
    // As if the end had been five minutes ago: what was issued since is taken.
    const taken = async (sub) => {
      for (const later of [{ exp: now() + 590 }, { nbf: now() - 100 }]) {
        const fresh = await made(sub, later);
        await until(async () => (await me(fresh)).status === 200, 'a later one is taken');
        assert.equal(await cluster.value('SELECT rt.verify_token($1)', [fresh]), sub);
      }
      for (const wrong of [{ exp: now() + 200 }, { exp: now() + 7200 }, { nbf: now() - 400, exp: now() + 200 }]) {
        const one = await made(sub, wrong);
        await until(async () => (await me(one)).status === 401, 'an older one, and one that lives too long, are not');
        assert.equal(await judge(one), 401);
      }
    };
    await refused('deleted', (sub) => cluster.sql('DELETE FROM rt.users WHERE id = $1', [sub]));
    await cluster.sql("UPDATE rt_private.deleted_users SET deleted_at = now() - interval '5 minutes' WHERE digest = rt_private.user_digest('deleted')");
    await taken('deleted');
    await refused('revoked', (sub) => cluster.sql('SELECT rt.revoke_sessions($1)', [sub]));
    await cluster.sql(`INSERT INTO rt_private.token_floors VALUES ('una', now() - interval '5 minutes')`);
    await cluster.sql(`SELECT rt_private.tell_revoked('una', '{}', NULL, now() - interval '5 minutes')`);
    await taken('una');
  });

  // Each dimension has what is right and what is wrong; an algorithm is right with its own key.
  const DIMENSIONS = {
    key: [[{}], [{ key: 'stranger' }, { header: { kid: 'unknown' } }, { header: { kid: 'o' } }]],
    issuer: [[{}], [{ iss: 'https://evil.example.com' }, { iss: 'https://creates.example.com' }, { iss: undefined }]],
    audience: [[{}, { aud: ['x', AUDIENCE] }, { aud: 'second' }], [{ aud: 'payroll-app' }, { aud: [] }, { aud: undefined }, { aud: [AUDIENCE.toUpperCase()] }]],
    times: [[{}, { iat: undefined }, { nbf: -60 }, { exp: 3600.5 }],
      [{ exp: undefined }, { exp: -60 }, { nbf: 90 }, { iat: 90 }, { exp: 'soon' }, { iat: [] }]],
    typ: [[{}, { header: { typ: 'at+jwt' } }, { header: { typ: undefined } }], [{ header: { typ: 'logout+jwt' } }, { header: { typ: '' } }, { header: { typ: 'secevent+jwt' } }]],
    claims: [[{}, { name: 'Alice', more: { a: [1] } }], [{ sub: undefined }, { sub: '' }, { sub: 7 }, { sub: ['alice'] }]],
  };

  // The parts of a token, one of each dimension, made to one.  Times count from now.
  function tokenOf(alg, parts) {
    const all = { key: alg, header: {}, claims: {} };
    for (const { key = all.key, header, ...claims } of parts) {
      all.key = key;
      Object.assign(all.header, header);
      Object.assign(all.claims, claims);
    }
    for (const name of ['exp', 'nbf', 'iat']) if (typeof all.claims[name] === 'number') all.claims[name] += now();
    return token({ ...all, alg: all.key === 'stranger' ? 'ES256' : alg });
  }

  test('a matrix of algorithm, key, issuer, audience, times, type and claims: all right ones are taken, all wrong ones are refused', async () => {
    const sides = Object.values(DIMENSIONS);
    const right = sides.reduce((all, [good]) => all.flatMap((parts) => good.map((part) => [...parts, part])), [[]]);
    const cases = ALGORITHMS.flatMap((alg) => right.map((parts) => [200, alg, parts]));
    // One thing is wrong with each algorithm, two things with one of them after the other.
    const pick = (n) => right[n % right.length];
    const spoil = (parts, ...changes) => changes.reduce((all, [i, part]) => all.with(i, part), parts);
    const wrong = sides.flatMap(([, bad], i) => bad.map((part) => [i, part]));
    for (const one of wrong) for (const alg of ALGORITHMS) cases.push([401, alg, spoil(pick(cases.length), one)]);
    for (const one of wrong) for (const two of wrong) {
      if (one[0] < two[0]) cases.push([401, ALGORITHMS[cases.length % ALGORITHMS.length], spoil(pick(cases.length), one, two)]);
    }
    for (const [wanted, alg, parts] of cases) assert.equal(await judge(await tokenOf(alg, parts)), wanted, JSON.stringify([alg, parts]));
    const counted = (status) => cases.filter(([wanted]) => wanted === status).length;
    assert.deepEqual([counted(200), counted(401)], [432, 355]);
  });

  test('refused: none, a public key taken for a secret, signatures and claims that were changed', async () => {
    const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
    const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'alice', iat: now(), exp: now() + 300 };
    const pem = await jose.exportSPKI(keys.ES256.publicKey);
    const confused = (alg) => new jose.SignJWT(claims).setProtectedHeader({ alg, kid: 'kid/ES256=' }).sign(new TextEncoder().encode(pem));
    const [head, body, signature] = (await token()).split('.');
    const made = [
      `${encode({ alg: 'none' })}.${encode(claims)}.`, `${encode({ alg: 'none', kid: 'kid/ES256=' })}.${encode(claims)}.${signature}`,
      await confused('HS256'), await confused('HS512'), `${head}.${encode({ ...claims, sub: 'root' })}.${signature}`, `${head}.${body}.`,
      `${head}.${body}.${signature.slice(0, -4)}`, `${head}.${body}.${signature}AAAA`, `${head}.${body}.${signature}.x`, `${head}.${body}`,
      `${encode({ alg: 'ES256', kid: 'kid/ES256=', crit: ['b64'], b64: false })}.${body}.${signature}`,
      `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`,
    ];
    for (const one of made) assert.equal(await judge(one), 401, one);
    // A key in the header is nobody's (RFC 8725, section 3.10).
    const jwk = await jose.exportJWK(keys.stranger.publicKey);
    assert.equal(await judge(await token({ key: 'stranger', header: { jwk, kid: undefined } })), 401);
    assert.equal(await judge(await token({ key: 'stranger', header: { jku: 'https://evil.example.com/jwks' } })), 401);
  });

  test('a token of an issuer is not refreshed, and ends when the user\'s sessions are revoked', async () => {
    const made = await token({ claims: { iat: now() - 10 } });
    assert.equal((await cluster.rest('POST', '/auth/refresh', made)).status, 401);
    const client = await connect(cluster, made);
    const ended = new Promise((resolve) => client.once('disconnect', resolve));
    await cluster.sql("SELECT rt.revoke_sessions('alice')");
    assert.equal(await ended, 'io server disconnect');
    await isOver(made);
    await assert.rejects(cluster.sql('SELECT rt.verify_token($1)', [made]), { code: 'RT401' });
    await until(async () => (await me(await token())).status === 200, 'a later one is taken');
  });

  test('users of an issuer that creates them are there at the first sight, by REST and by socket', async () => {
    const made = (email, more = {}) => token({ key: 'other', header: { kid: 'o' },
      claims: { iss: 'https://creates.example.com', sub: undefined, email, name: `N ${email}`, ...more } });
    const first = await me(await made('rest@example.com', { preferred_username: 'rest' }));
    assert.deepEqual([first.status, first.body.data.id, first.body.data.username, first.body.data.name, first.body.data.isAdmin],
      [200, 'rest@example.com', 'rest', 'N rest@example.com', false]);
    const client = await connect(cluster, await made('socket@example.com'));
    assert.equal(client.connected, true);
    const posted = await cluster.rest('POST', '/api/chat/rooms', await made('post@example.com'), { kind: 'group', name: 'theirs', memberIds: [] });
    assert.equal(posted.status, 201, JSON.stringify(posted.body));
    // An address that the provider has not verified is nobody's.
    for (const verified of [false, 'false', null, 0, 'yes']) assert.equal(await judge(await made('rest@example.com', { email_verified: verified })), 401, `${verified}`);
    for (const verified of [true, 'true']) assert.equal(await judge(await made('rest@example.com', { email_verified: verified })), 200, `${verified}`);
    // Only the claim that was named makes administrators, and unmakes them.
    // In whatever order they are used, at whichever worker of the gateway, the later token says.
    let issued = now() - 100;
    const admin = async (groups, wanted) => {
      const later = await made('grown@example.com', { groups, iat: ++issued });
      const isAdmin = async () => (await cluster.rest('GET', '/api/users/me', later, undefined, { connection: 'close' })).body.data.isAdmin;
      await until(async () => await isAdmin() === wanted, `${groups}: ${wanted}`);
      for (let i = 0; i < 8; i++) assert.equal(await isAdmin(), wanted, `${groups}`);
    };
    for (let i = 0; i < 3; i++) {
      await admin(['x', 'rt-admins'], true);
      await admin(['x'], false);
      await admin('rt-admins', true);
      await admin(undefined, false);
    }
    const old = await made('grown@example.com', { groups: ['rt-admins'], iat: issued - 1 });
    for (let i = 0; i < 8; i++) {
      const { body } = await cluster.rest('GET', '/api/users/me', old, undefined, { connection: 'close' });
      assert.equal(body.data.isAdmin, false);
    }
    await admin('rt-admins', true);
    // One that does not create its users lets in nobody who is unknown.
    assert.equal((await me(await token({ claims: { sub: 'nobody' } }))).status, 401);
    assert.equal((await refusal(dial(cluster, await token({ claims: { sub: 'nobody' } })))).message, 'User not found');
  });

  test('an issuer speaks for an administrator only if it is to make some; it may make some of users that it does not create', async () => {
    await cluster.users('root');
    await cluster.sql("UPDATE rt.users SET is_admin = true WHERE id = 'root'");
    const made = await token({ claims: { sub: 'root' } });
    assert.equal((await me(made)).body.data.isAdmin, false);
    for (const path of ['/api/admin/stats', '/api/admin/stats?mayAdminister=true']) assert.equal((await cluster.rest('GET', path, made)).status, 403);
    assert.equal((await cluster.rest('DELETE', '/api/admin/users/alice/connections', made, { mayAdminister: 'true' })).status, 403);
    assert.equal((await me(await cluster.token('root'))).body.data.isAdmin, true);
    const issuer = 'https://administers.example.com';
    await cluster.sql("SELECT rt.add_issuer($1, $2, $3, admin_claim => 'admin', admin_value => 'true')",
      [issuer, [AUDIENCE], { keys: [{ ...await jose.exportJWK(keys.other.publicKey), kid: 'o' }] }]);
    const by = (sub, claims) => token({ key: 'other', header: { kid: 'o' }, claims: { iss: issuer, sub, ...claims } });
    await cluster.users('anka');
    const known = async (made) => {
      for (let i = 0; i < 8; i++) if ((await cluster.rest('GET', '/api/users/me', made, undefined, { connection: 'close' })).status !== 200) return false;
      return true;
    };
    const anka = await by('anka', { admin: true });
    await until(() => known(anka), 'each worker of the gateway knows the issuer');
    assert.equal((await me(anka)).body.data.isAdmin, true);
    assert.equal((await cluster.rest('GET', '/api/admin/stats', await by('anka', { admin: true }))).status, 200);
    assert.equal((await cluster.rest('GET', '/api/admin/stats', await by('anka', { admin: 'yes' }))).status, 403);
    assert.equal((await me(await by('nobody-yet', { admin: true }))).status, 401);
    // A claim within another, as Keycloak has it.
    await cluster.sql('SELECT rt.remove_issuer($1)', [issuer]);
    await cluster.sql("SELECT rt.add_issuer($1, $2, $3, admin_claim => '/realm~0/roles~1of', admin_value => 'chief')",
      [issuer, [AUDIENCE], { keys: [{ ...await jose.exportJWK(keys.other.publicKey), kid: 'o' }] }]);
    await cluster.users('kim');
    const within = (roles) => by('kim', { 'realm~': { 'roles/of': roles } });
    const chief = await within(['staff', 'chief']);
    await until(async () => await known(chief) && (await me(chief)).body.data.isAdmin, 'each knows it again');
    for (const made of [await within(['staff']), await within({ chief: true }), await by('kim', { 'realm~': 'chief' }), await by('kim', { 'realm~': ['chief'] }), await by('kim')]) {
      await until(async () => !(await me(made)).body.data.isAdmin, 'an administrator no longer');
    }
  });

  test('a username that is taken, too long or none keeps nobody out; an id that is none is refused', async () => {
    const made = (email, name) => token({ key: 'other', header: { kid: 'o' }, claims: { iss: 'https://creates.example.com', sub: undefined, email, preferred_username: name } });
    const username = async (email, name) => (await me(await made(email, name))).body.data?.username;
    assert.equal(await username('squatter@example.com', 'victim@example.com'), 'victim@example.com');
    assert.match(await username('victim@example.com', 'victim@example.com'), /^user-[0-9a-f-]{36}$/);
    assert.equal(await username('long@example.com', '\u6f22'.repeat(100)), 'long@example.com');
    assert.equal(await username('none@example.com', '\u2603'), 'none@example.com');
    assert.match(await username('odd\u2603@example.com'), /^user-[0-9a-f-]{36}$/);
    const shown = async (email, name) => (await me(await token({ key: 'other', header: { kid: 'o' },
      claims: { iss: 'https://creates.example.com', sub: undefined, email, name } }))).body.data.name;
    assert.equal(await shown('turned@example.com', 'Eve \u202e(guest)\n'), 'Eve (guest)');
    assert.equal(await shown('unseen@example.com', '\u200b\u2060'), 'unseen@example.com');
    assert.equal(await shown('unnamed@example.com', ['x']), 'unnamed@example.com');
    for (const id of ['x'.repeat(129), '.', '..', 'a\tb']) assert.equal((await me(await made(id))).status, 401, id);
  });

  test('a user of an issuer who is deleted is created again by a later token, by REST and by socket, without a restart', async () => {
    const made = () => token({ key: 'other', header: { kid: 'o' }, claims: { iss: 'https://creates.example.com', sub: undefined, email: 'again@example.com', name: 'Again' } });
    // Each worker of the gateway has seen the user.
    const everyWorker = async (wanted) => {
      for (let i = 0; i < 8; i++) assert.equal((await cluster.rest('GET', '/api/users/me', await made(), undefined, { connection: 'close' })).status, wanted);
    };
    await everyWorker(200);
    for (const comeBack of [
      async () => (await me(await made())).status === 200,
      async () => connected(dial(cluster, await made())).then(() => true, () => false),
    ]) {
      await cluster.sql("DELETE FROM rt.users WHERE id = 'again@example.com'");
      await until(comeBack, 'the user is back');
      assert.equal(await cluster.value("SELECT name FROM rt.users WHERE id = 'again@example.com'"), 'Again');
      await everyWorker(200);
    }
  });

  test('a token of an issuer is not that of a later user of the same id, nor does it bring a deleted user back', async () => {
    const made = (more) => token({ key: 'other', header: { kid: 'o' }, claims: { iss: 'https://creates.example.com', sub: undefined, email: 'later@example.com', ...more } });
    const [old, undated] = [await made({ iat: now() - 60 }), await made({ iat: undefined })];
    for (const one of [old, undated]) assert.equal((await me(one)).status, 200);
    const client = await connect(cluster, old);
    const ended = new Promise((resolve) => client.once('disconnect', resolve));
    await cluster.sql("DELETE FROM rt.users WHERE id = 'later@example.com'");
    assert.equal(await ended, 'io server disconnect');
    for (const one of [old, undated]) {
      await until(async () => (await me(one)).status === 401, 'the user is gone');
      assert.equal((await refusal(dial(cluster, one))).message, 'User not found');
    }
    assert.equal(await cluster.value("SELECT count(*)::int FROM rt.users WHERE id = 'later@example.com'"), 0);
    const fresh = await made({ iat: now() + 2 });
    await until(async () => (await me(fresh)).status === 200, 'a later token creates the user');
    for (const one of [old, undated]) await isOver(one);
    await assert.rejects(cluster.sql('SELECT rt.verify_token($1)', [old]), { code: 'RT401' });
    // A gateway that starts asks for it; another id is another user.
    await cluster.killGateway();
    await until(async () => (await me(fresh)).status === 200, 'it is known');
    for (let i = 0; i < 5; i++) assert.equal((await me(old)).status, 401);
    const mine = await cluster.token('later@example.com');
    assert.equal((await me(mine)).status, 200);
    // A token that is younger than the new id would create the user anew.
    await until(() => now() > jose.decodeJwt(fresh).iat, 'the token is older than that');
    await cluster.sql("UPDATE rt.users SET id = 'renamed@example.com', username = 'renamed@example.com' WHERE id = 'later@example.com'");
    await until(async () => (await me(mine)).status === 401 && (await me(fresh)).status === 401, 'the id is gone');
    await cluster.sql("SELECT rt.create_user('later@example.com', 'Somebody else')");
    for (const one of [mine, fresh]) await isOver(one);
  });

  test('rotation: both keys for a while, then the new one alone', async () => {
    const old = await jose.exportJWK(keys.other.publicKey);
    keys.next = await jose.generateKeyPair('ES256', { extractable: true });
    const next = await jose.exportJWK(keys.next.publicKey);
    const made = (key, kid) => token({ key, header: { kid }, claims: { iss: 'https://creates.example.com', email: 'r@example.com' } });
    await cluster.sql('SELECT rt.set_jwks($1, $2)', ['https://creates.example.com', { keys: [{ ...old, kid: 'o' }, { ...next, kid: 'n' }] }]);
    await until(async () => (await me(await made('next', 'n'))).status === 200, 'the new key is known');
    assert.equal((await me(await made('other', 'o'))).status, 200);
    await cluster.sql('SELECT rt.set_jwks($1, $2)', ['https://creates.example.com', { keys: [{ ...next, kid: 'n' }] }]);
    await until(async () => (await me(await made('other', 'o'))).status === 401, 'the old key is gone');
    assert.equal((await me(await made('next', 'n'))).status, 200);
  });

  test('sockets end with the key of their token, and with its issuer; those of other keys stay', async () => {
    const issuer = 'https://withdrawn.example.com';
    const pairs = [await jose.generateKeyPair('ES256', { extractable: true }), await jose.generateKeyPair('ES256', { extractable: true })];
    const jwks = await Promise.all(pairs.map(async ({ publicKey }, i) => ({ ...await jose.exportJWK(publicKey), kid: `k${i}` })));
    const made = (i) => new jose.SignJWT({ iss: issuer, aud: AUDIENCE, sub: 'alice', iat: now() + 5, exp: now() + 300 }).setProtectedHeader({ alg: 'ES256', kid: `k${i}` }).sign(pairs[i].privateKey);
    const add = () => cluster.sql('SELECT rt.add_issuer($1, $2, $3)', [issuer, [AUDIENCE], { keys: jwks }]);
    const sockets = () => Promise.all([0, 1].map(async (i) => connectSoon(await made(i), { reconnection: false })));
    const ended = (client) => new Promise((resolve) => client.once('disconnect', resolve));
    await add();
    await until(async () => (await me(await made(1))).status === 200, 'the gateways know the issuer');
    const [first, second] = await sockets();
    const cut = ended(first);
    await cluster.sql('SELECT rt.set_jwks($1, $2)', [issuer, { keys: [jwks[1]] }]);
    assert.equal(await cut, 'transport close');
    await isOver(await made(0));
    await cluster.sql('SELECT rt.set_jwks($1, $2)', [issuer, { keys: [jwks[1], jwks[0]] }]);
    await until(async () => (await me(await made(0))).status === 200, 'it is back');
    assert.equal(second.connected, true, 'another key of the issuer');
    const third = await connectSoon(await made(0), { reconnection: false });
    const both = Promise.all([ended(second), ended(third)]);
    await cluster.sql('SELECT rt.remove_issuer($1)', [issuer]);
    assert.deepEqual(await both, ['transport close', 'transport close']);
    await isOver(await made(1));
  });

  test('an authorized party is one text of the list', async () => {
    const issuer = 'https://parties.example.com';
    await cluster.sql("SELECT rt.add_issuer($1, $2, $3, authorized_parties => ARRAY['web', 'phone'])",
      [issuer, [AUDIENCE], { keys: [{ ...await jose.exportJWK(keys.stranger.publicKey), kid: 's' }] }]);
    const made = (azp) => token({ key: 'stranger', header: { kid: 's' }, claims: { iss: issuer, azp, iat: now() + 5 } });
    for (const azp of ['web', 'phone']) await until(async () => (await me(await made(azp))).status === 200, 'taken');
    for (const azp of [undefined, null, '', 'WEB', 'x', 7, ['web'], { web: true }]) assert.equal(await judge(await made(azp)), 401, JSON.stringify(azp));
  });

  test('the recipe for cron follows the keys of a provider, and leaves the old ones when it does not answer', async () => {
    const page = await readFile(new URL('../../docs/identity.md', import.meta.url), 'utf8');
    const [, recipe] = page.match(/psql (?:.*) <<'SQL'\n([^]*?)\n {4}SQL/);
    const issuer = 'https://login.example.com/realms/main';
    const pair = await jose.generateKeyPair('EdDSA', { extractable: true });
    const jwk = await jose.exportJWK(pair.publicKey);
    await cluster.sql('SELECT rt.add_issuer($1, $2, $3, create_users => true)', [issuer, [AUDIENCE], { keys: [await jose.exportJWK(keys.other.publicKey)] }]);
    let status = 200;
    const server = createServer((request, response) => response.writeHead(status).end(JSON.stringify({ keys: [{ ...jwk, kid: 'fetched' }] })));
    await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    const sql = recipe.replace(/`curl (.*) https:.*`/, `\`curl $1 http://127.0.0.1:${server.address().port}/certs\``);
    const follow = () => new Promise((resolve) => {
      const child = execFile('psql', ['-qX', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1'], { env: { ...process.env, ...cluster.env } }, (error) => resolve(error?.code ?? 0));
      child.stdin.end(sql);
    });
    assert.equal(await follow(), 0);
    const claims = { iss: issuer, aud: AUDIENCE, sub: 'of-the-recipe', iat: now(), exp: now() + 300 };
    const made = await new jose.SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', kid: 'fetched' }).sign(pair.privateKey);
    await until(async () => (await me(made)).status === 200, 'the fetched key is known');
    status = 500;
    assert.notEqual(await follow(), 0);
    assert.equal((await me(made)).status, 200);
    server.close();
    // What the page says of sets that have a key for encryption too.
    const [, filter] = page.match(/^ {4}(jsonb_build_object\('keys'.*)$/m);
    const encrypts = await jose.exportJWK((await jose.generateKeyPair('RSA-OAEP', { extractable: true })).publicKey);
    const set = JSON.stringify({ keys: [{ ...encrypts, kid: 'e', use: 'enc', alg: 'RSA-OAEP' }, { ...jwk, kid: 'fetched' }, { ...jwk, kid: 'second', use: 'sig' }] });
    await assert.rejects(cluster.sql('SELECT rt.set_jwks($1, $2)', [issuer, set]), /cannot be used/);
    assert.equal(await cluster.value(`SELECT rt.set_jwks($1, ${filter.replace(":'jwks'", '$2')})`, [issuer, set]), 2);
  });

  test('a key set that is broken is refused whole, with what is wrong', async () => {
    const ec = await jose.exportJWK(keys.ES256.publicKey);
    const short = await jose.exportJWK((await import('node:crypto')).generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey);
    const secret = await jose.exportJWK(keys.ES256.privateKey);
    const cases = [[{}, 'not a JSON Web Key Set'], [{ keys: [] }, '0 keys'], [{ keys: [{ kty: 'future' }] }, '0 keys'], [{ keys: [{ ...ec, x: 'AA' }] }, 'cannot be used'],
      [{ keys: [{ ...ec, use: 'enc' }] }, 'cannot be used'], [{ keys: [short] }, 'does not fit'], [{ keys: [secret] }, 'cannot be used'],
      [{ keys: [{ ...ec, alg: 'ES384' }] }, 'cannot be used'], [{ keys: [{ ...ec, key_ops: ['sign'] }] }, 'cannot be used'], [{ keys: [ec, ec] }, 'same kid']];
    for (const ops of ['verify', { verify: true }, ['verify', 1], [['verify']], ['verify', null], [], null, true]) cases.push([{ keys: [{ ...ec, key_ops: ops }] }, 'cannot be used']);
    for (const element of [1, null, 'x', [], {}, { kid: 'a' }, { kty: 7 }]) cases.push([{ keys: [ec, element] }, 'not a JSON Web Key']);
    cases.push([{ keys: Array.from({ length: 5000 }, (_, i) => ({ ...ec, kid: `${i}` })) }, '5000 keys']);
    // RSA exponents 0, 1, 2, 65536, 2^64 + 1, and one as long as the modulus.
    const rsa = await jose.exportJWK(keys.RS256.publicKey);
    for (const e of ['AA', 'AQ', 'Ag', 'AQAA', 'AQAAAAAAAAAB', rsa.n, '', '!', 3, null, undefined]) cases.push([{ keys: [{ ...rsa, e }] }, 'cannot be used']);
    for (const [jwks, message] of cases) {
      await assert.rejects(cluster.sql('SELECT rt.set_jwks($1, $2)', [ISSUER, jwks]), (error) => error.message.includes(message), JSON.stringify(jwks));
    }
    await assert.rejects(cluster.sql('SELECT rt.set_jwks($1, $2)', ['https://unknown.example.com', { keys: [ec] }]), /not found/);
    const add = (...values) => cluster.sql('SELECT rt.add_issuer($1, $2, $3, admin_claim => $4)', [...values.slice(0, 2), { keys: [ec] }, values[2]]);
    await assert.rejects(add(ISSUER, [AUDIENCE]), { code: '23505', message: `issuer "${ISSUER}" already exists` });
    for (const issuer of ['', null, 'a\tb', 'x'.repeat(1025)]) await assert.rejects(add(issuer, [AUDIENCE]), { code: '22023', message: 'invalid issuer' });
    for (const audiences of [[], null, [null], Array(101).fill('x')]) await assert.rejects(add('https://new.example.com', audiences), { code: '22023', message: /needs 1 to 100 audiences/ });
    await assert.rejects(add('https://new.example.com', [AUDIENCE], 'groups'), { code: '22023', message: /must be given together/ });
  });

  test('rt.verify_token says which check failed', async () => {
    const detail = async (given) => cluster.sql('SELECT rt.verify_token($1)', [await token(given)]).then(() => 'taken', (error) => error.detail);
    assert.match(await detail({ claims: { aud: 'payroll' } }), /"aud" is "payroll", and must have one of \["chat", "second"\]/);
    assert.match(await detail({ claims: { iss: 'x' } }), /Issuer "x" is unknown/);
    assert.match(await detail({ claims: { exp: now() - 90 } }), /It expired at /);
    assert.match(await detail({ claims: { exp: undefined } }), /"exp" is missing/);
    assert.match(await detail({ header: { typ: 'x' } }), /type \("typ"\) is "x"/);
    assert.match(await detail({ key: 'stranger' }), /has not signed it/);
  });
});

after(closeAll);
