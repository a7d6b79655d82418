// Where tokens are checked: in the memory of each gateway, so that a request costs no query, and so that one that has been
// revoked is refused at once, by whichever gateway: two workers of the server, and a gateway on a host of its own.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { after, before, test } from 'node:test';
import { closeAll, connect, connected, dial, join, until } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';
import { Gateway } from './lib/gateway.mjs';

let cluster, folder, gateway, hosts;
before(async () => {
  cluster = await Cluster.start({ 'rt.gateway_workers': 2, 'rt.media_workers': 0, log_statement: 'all' });
  folder = await mkdtemp(joinPath(tmpdir(), 'rt-revocation-'));
  await cluster.sql("CREATE ROLE gw LOGIN PASSWORD 'pw' IN ROLE rt_gateway");
  gateway = await Gateway.start(cluster, folder, 'host-1');
  hosts = [{ url: cluster.url }, { url: `http://127.0.0.1:${gateway.port}` }];
});
after(async () => {
  closeAll();
  await gateway?.stop();
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});

const request = (host, method, path, token) => cluster.rest.call({ url: host.url }, method, path, token, undefined, { connection: 'close' });
const workerOf = (client) => client.io.engine.id.split('.')[0];

// A socket at each worker of each host.
async function everywhere(token, options) {
  const found = new Map();
  for (const host of hosts) {
    const wanted = found.size + (host === hosts[0] ? 2 : 1);
    await until(async () => {
      const client = await connect(host, token, options);
      if (found.has(workerOf(client))) client.disconnect();
      else found.set(workerOf(client), { client, host });
      return found.size === wanted;
    }, 'a socket at each worker');
  }
  return [...found.values()];
}

const gone = (client) => new Promise((resolve) => {
  if (client.connected) client.once('disconnect', () => resolve(performance.now()));
  else resolve(performance.now());
});

// Eight connections, so that each worker gets some: the last moment at which one of them was let in.
async function lastAnswer(host, method, path, token) {
  const times = await Promise.all(Array.from({ length: 8 }, async () => {
    for (;;) {
      const sent = performance.now();
      const { status } = await request(host, method, path, token);
      if (status === 401) return sent;
      assert.equal(status, 200);
    }
  }));
  return Math.max(...times);
}

for (const [what, revoke] of Object.entries({
  'rt.revoke_sessions()': () => cluster.sql("SELECT rt.revoke_sessions('vera')"),
  'a new password': () => cluster.sql("SELECT rt.set_password('vera', 'vera-password-' || gen_random_uuid())"),
  'a row of rt.sessions': () => cluster.sql("UPDATE rt.sessions SET revoked_at = now() WHERE user_id = 'vera' AND revoked_at IS NULL"),
  'a logout': (token) => cluster.rest('POST', '/auth/logout', token),
})) {
  test(`${what}: every gateway refuses the token at REST, at sockets, at recovery and at refresh`, async (t) => {
    if (!await cluster.value("SELECT 1 FROM rt.users WHERE id = 'vera'")) await cluster.users('vera');
    const token = await cluster.token('vera');
    const roomId = await cluster.room(what, 'vera');
    const sockets = await everywhere(token);
    const lost = await everywhere(token);
    for (const { client } of lost) {
      await join(client, roomId);
      await cluster.insert(roomId, 'vera', 'so that there is an offset');
      await until(() => client.events.some(([name]) => name === 'new-chat-message'), 'a message');
      client.io.engine.close();
    }
    for (const host of hosts) assert.equal((await request(host, 'GET', '/api/users/me', token)).status, 200);

    const began = performance.now();
    await revoke(token);
    const done = performance.now();
    const [rest, refresh, closed] = await Promise.all([
      Promise.all(hosts.map((host) => lastAnswer(host, 'GET', '/api/users/me', token))),
      Promise.all(hosts.map((host) => lastAnswer(host, 'POST', '/auth/refresh', token))),
      Promise.all(sockets.map(({ client }) => gone(client))),
    ]);
    // Each comes back to a worker of its host with its pid and offset; the session is kept, and lets nobody in.
    const recovery = await Promise.all(lost.map(async ({ client }) => {
      const error = await new Promise((resolve, reject) => {
        client.once('connect_error', resolve);
        client.once('connect', () => reject(new Error('a revoked session was recovered')));
        client.connect();
      });
      assert.equal(error.message, 'Invalid token');
      return performance.now();
    }));
    for (const host of hosts) await assert.rejects(connected(dial(host, token)), { message: 'Invalid token' });
    const ms = (times) => `${Math.max(0, Math.round(Math.max(...times) - done))} ms`;
    t.diagnostic(`the statement took ${Math.round(done - began)} ms; after it REST let in for ${ms(rest)}, refresh for ${ms(refresh)}, ` +
      `sockets stayed for ${ms(closed)}, the last recovery, tried then, was refused after ${ms(recovery)}`);
  });
}

// By path.
const FUNCTIONS = (roomId) => ({
  '/api/users/me': 'me', '/api/chat/rooms': 'rooms_list', [`/api/chat/rooms/${roomId}/msgs`]: 'message_list', '/api/users/me/sessions': 'sessions_list',
});

test('a request costs its own statement, a refused one none', async () => {
  const [token] = await cluster.users('vito');
  const roomId = await cluster.room('counted', 'vito');
  await cluster.insert(roomId, 'vito', 'hello');
  const TIMES = 40;
  const statements = async (from) => {
    const counts = new Map();
    for (const [, text] of (await cluster.log()).slice(from).matchAll(/(?:statement|execute [^:]*): (.*)/g)) counts.set(text, (counts.get(text) ?? 0) + 1);
    return counts;
  };
  // What the gateways ask for from time to time is less than once a request, if these do not take long: they come eight at a
  // time, and again if they have taken long.
  const costly = async (from) => [...await statements(from)].filter(([, count]) => count >= TIMES);
  const ask = async (host, path, as, status) => {
    for (let i = 0; i < TIMES; i += 8) {
      const replies = await Promise.all(Array.from({ length: 8 }, () => request(host, 'GET', path, as)));
      assert.deepEqual(replies.map((reply) => reply.status), Array(8).fill(status));
    }
  };
  const costOf = async (...asked) => {
    for (let tries = 1; ; tries++) {
      const from = (await cluster.log()).length;
      const begun = performance.now();
      await ask(...asked);
      if (performance.now() - begun < 5000 || tries === 10) return costly(from);
    }
  };
  const wrong = token.replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A'));
  for (const host of hosts) {
    for (const [path, fn] of Object.entries(FUNCTIONS(roomId))) {
      const seen = await costOf(host, path, token, 200);
      assert.equal(seen.length, 1, JSON.stringify(seen));
      assert.equal(seen[0][1], TIMES, JSON.stringify(seen));
      assert.ok(seen[0][0].startsWith(`SELECT rt_api.${fn}(`), seen[0][0]);
      assert.deepEqual(await costOf(host, path, wrong, 401), []);
    }
  }
});
