// Several workers behind one port, and TLS: what must not differ for a client.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { askOk, closeAll, connect, event, join, received, settled, until } from './lib/client.mjs';

afterEach(closeAll);

describe('two workers', () => {
  let cluster, alice, bob, roomId;

  before(async () => {
    cluster = await Cluster.start({ 'rt.gateway_workers': 2 });
    [alice, bob] = await cluster.users('alice', 'bob');
    roomId = await cluster.room('workers', 'alice', 'bob');
  });
  after(() => cluster?.stop());

  test('long-polling finds its session, and upgrades', async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, (_, i) =>
      connect(cluster, i % 2 ? alice : bob, { transports: i % 4 < 2 ? ['polling'] : ['polling', 'websocket'] })));
    await Promise.all(clients.map((client) => join(client, roomId)));
    for (let i = 0; i < 20; i++) await cluster.insert(roomId, 'alice', `m${i}`);
    const ours = (payload) => payload.roomId === roomId;
    await Promise.all(clients.map((client) => until(() => received(client, 'new-chat-message', ours).length >= 20, 'all messages')));
    for (const client of clients) {
      assert.deepEqual(received(client, 'new-chat-message', ours).map(({ data }) => data.content), Array.from({ length: 20 }, (_, i) => `m${i}`));
    }
  });

  test('typing, presence and removal cross from one to the other', async () => {
    const clients = await Promise.all(Array.from({ length: 16 }, (_, i) => connect(cluster, i % 2 ? alice : bob)));
    await Promise.all(clients.map((client) => join(client, roomId)));
    const bobs = clients.filter((_, i) => i % 2 === 0);
    await askOk(clients[1], 'chat-typing', { roomId, isTyping: true });
    await Promise.all(bobs.map((client) => event(client, 'chat-user-typing', ({ userId }) => userId === 'alice')));
    await askOk(clients[1], 'update-chat-status', { status: 'away' });
    await Promise.all(bobs.map((client) => event(client, 'chat-user-status-update', ({ userId, status }) => userId === 'alice' && status === 'away')));
    await cluster.sql("DELETE FROM rt.room_members WHERE room_id = $1 AND user_id = 'bob'", [roomId]);
    await cluster.insert(roomId, 'alice', 'not for bob');
    await settled(cluster, ...bobs);
    for (const client of bobs) assert.equal(received(client, 'new-chat-message', ({ data }) => data.content === 'not for bob').length, 0);
    await cluster.sql("INSERT INTO rt.room_members (room_id, user_id) VALUES ($1, 'bob')", [roomId]);
  });

  test('one that is killed comes back, and its clients are whole', async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, (_, i) => connect(cluster, i % 2 ? alice : bob, { reconnection: true, reconnectionDelay: 50 })));
    await Promise.all(clients.map((client) => join(client, roomId)));
    await cluster.insert(roomId, 'alice', 'begin');
    await Promise.all(clients.map((client) => event(client, 'new-chat-message', ({ data }) => data.content === 'begin')));
    process.kill(await cluster.pid('gateway'), 'SIGKILL');
    for (let i = 0; i < 20; i++) await cluster.insert(roomId, 'alice', `after ${i}`);
    await Promise.all(clients.map((client) => event(client, 'new-chat-message', ({ data }) => data.content === 'after 19', 20_000)));
    for (const client of clients) {
      const after = received(client, 'new-chat-message', ({ data }) => data.content.startsWith('after')).map(({ data }) => data.content);
      assert.deepEqual(after, Array.from({ length: 20 }, (_, i) => `after ${i}`));
    }
  });
});

describe('TLS', () => {
  let cluster, folder, alice;

  before(async () => {
    folder = mkdtempSync(joinPath(tmpdir(), 'rt-tls-'));
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => joinPath(folder, name));
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
      '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
    // The server's user reads them.
    chmodSync(folder, 0o755);
    chmodSync(key, 0o644);
    cluster = await Cluster.start({ 'rt.ssl_cert_file': cert, 'rt.ssl_key_file': key });
    [alice] = await cluster.users('alice');
  });
  after(async () => {
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    test(transports.join(' then '), async () => {
      assert.match(cluster.url, /^https:/);
      const roomId = await cluster.room('tls', 'alice');
      const client = await connect(cluster, alice, { transports, rejectUnauthorized: false });
      await join(client, roomId);
      await cluster.insert(roomId, 'alice', 'z'.repeat(20_000));
      assert.equal((await event(client, 'new-chat-message', (payload) => payload.roomId === roomId)).data.content.length, 20_000);
    });
  }

  test('plain HTTP on that port is refused', async () => {
    await assert.rejects(async () => {
      const reply = await fetch(`${cluster.url.replace('https', 'http')}/healthz`);
      assert.ok(reply.status >= 400);
      throw new Error('refused by status');
    });
  });
});
