// A crash of PostgreSQL and a promotion: clients come back with their sessions, miss nothing, and take no number twice.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join as pathJoin } from 'node:path';
import { afterEach, test } from 'node:test';
import { promisify } from 'node:util';
import { Cluster } from './lib/cluster.mjs';
import { ask, closeAll, connect, join, received, until } from './lib/client.mjs';
import { freePort } from './lib/ports.mjs';
import { Proxy, serverCommand, Standby } from './lib/standby.mjs';

const CLIENTS = 20;
const cleanUps = [];

afterEach(async () => {
  await closeAll();
  while (cleanUps.length) await cleanUps.pop()();
});

async function startCluster(settings = {}) {
  const cluster = await Cluster.start({ 'rt.media_workers': 0, 'rt.gateway_workers': 1, ...settings });
  cleanUps.push(() => cluster.stop().catch(() => {}));
  return cluster;
}

async function startStandby(cluster, settings = {}) {
  const standby = await Standby.start(cluster, { 'rt.media_workers': 0, ...settings });
  cleanUps.push(() => standby.stop());
  return standby;
}

// Clients in one room; client.recoveries has what socket.recovered was at each later connect.
async function joinMany(cluster, url, roomId, tokens) {
  const clients = [];
  for (let i = 0; i < CLIENTS; i++) {
    const client = await connect({ url }, tokens[i % tokens.length], { reconnection: true, reconnectionDelay: 100, reconnectionDelayMax: 500 });
    client.recoveries = [];
    client.on('connect', () => client.recoveries.push(client.recovered));
    await join(client, roomId);
    clients.push(client);
  }
  return clients;
}

const seqs = (client, roomId) => received(client, 'new-chat-message', (payload) => payload.roomId === roomId).map(({ data }) => data.seq);

async function killServer(cluster) {
  const pid = await cluster.pid('postmaster');
  process.kill(pid, 'SIGKILL');
  await until(() => { try { process.kill(pid, 0); return false; } catch { return true; } }, 'the end of the postmaster');
}

const statusOf = async (url, token, method = 'GET', path = '/api/users/me') => (await fetch(url + path, { method, headers: { authorization: `Bearer ${token}` } })).status;

// What was revoked stays so.
async function assertRevoked(url, gone, good) {
  assert.equal(await statusOf(url, good), 200);
  for (let i = 0; i < 5; i++) assert.equal(await statusOf(url, gone), 401);
  assert.equal(await statusOf(url, gone, 'POST', '/auth/refresh'), 401);
}

// A token of a session that is over.
async function revoked(cluster, id) {
  const token = await cluster.token(id);
  await cluster.sql('UPDATE rt.sessions SET revoked_at = now() WHERE id = (SELECT id FROM rt.sessions WHERE user_id = $1 ORDER BY created_at DESC LIMIT 1)', [id]);
  await until(async () => (await statusOf(cluster.url, token)) === 401, 'the session is over');
  return token;
}

// The number of every message that the table has must have come to every client, once, in order.
async function assertWhole(server, clients, roomId) {
  const { rows } = await server.pool.query('SELECT seq FROM rt.messages WHERE room_id = $1 ORDER BY seq', [roomId]);
  const all = rows.map(({ seq }) => Number(seq));
  for (const client of clients) {
    await until(() => seqs(client, roomId).at(-1) === all.at(-1), 'the last message');
    assert.deepEqual([...new Set(seqs(client, roomId))], all);
  }
}

test('after a crash of the server all are recovered and get what they missed', async () => {
  const cluster = await startCluster();
  const tokens = await cluster.users('alice', 'bob');
  const gone = await revoked(cluster, 'bob');
  const roomId = await cluster.room('crash', 'alice', 'bob');
  const clients = await joinMany(cluster, cluster.url, roomId, tokens);
  await cluster.insert(roomId, 'alice', 'before');
  for (const client of clients) await until(() => seqs(client, roomId).length === 1, 'the first message');
  const epoch = await cluster.value('SELECT rt.epoch()');
  await killServer(cluster);
  await until(() => clients.every((client) => !client.connected), 'all are cut off');
  await until(() => serverCommand('pg_ctl', '-D', `${cluster.dir}/data`, '-l', `${cluster.dir}/again.log`, '-w', 'start').then(() => true, () => false), 'the server is back');
  await cluster.insert(roomId, 'alice', 'meanwhile');
  await until(() => clients.every((client) => client.connected), 'all are back');
  assert.deepEqual(clients.map((client) => client.recoveries), clients.map(() => [true]));
  await cluster.insert(roomId, 'alice', 'after');
  await assertWhole(cluster, clients, roomId);
  assert.equal(await cluster.value('SELECT rt.epoch()'), epoch);
  await assertRevoked(cluster.url, gone, tokens[1]);
});

test('after a promotion behind a proxy all are recovered, and the epoch is another one', async () => {
  const cluster = await startCluster();
  const standby = await startStandby(cluster);
  const tokens = await cluster.users('alice', 'bob');
  const gone = await revoked(cluster, 'bob');
  const roomId = await cluster.room('promotion', 'alice', 'bob');
  const proxy = await Proxy.start(Number(new URL(cluster.url).port));
  cleanUps.push(() => proxy.stop());
  const clients = await joinMany(cluster, proxy.url, roomId, tokens);
  const { epoch } = await ask(clients[0], 'join-chat-rooms', { roomIds: [roomId] });
  await cluster.insert(roomId, 'alice', 'before');
  for (const client of clients) await until(() => seqs(client, roomId).length === 1, 'the first message');
  await standby.catchUp(cluster);
  await killServer(cluster);
  await standby.promote();
  await standby.pool.query('INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, $2, $3)', [roomId, 'bob', 'meanwhile']);
  proxy.turnTo(standby.gatewayPort);
  await until(() => clients.every((client) => client.connected && client.recoveries.length > 0), 'all are back');
  assert.deepEqual(clients.map((client) => client.recoveries), clients.map(() => [true]));
  await standby.pool.query('INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, $2, $3)', [roomId, 'bob', 'after']);
  await assertWhole(standby, clients, roomId);
  await assertRevoked(proxy.url, gone, tokens[1]);
  assert.notEqual((await ask(clients[0], 'join-chat-rooms', { roomIds: [roomId] })).epoch, epoch);
});

test('with a synchronous standby nothing that was acknowledged, or seen, is lost', async () => {
  const cluster = await startCluster();
  const standby = await startStandby(cluster);
  const tokens = await cluster.users('alice', 'bob');
  const roomId = await cluster.room('synchronous', 'alice', 'bob');
  await cluster.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
  await cluster.sql('SELECT pg_reload_conf()');
  await until(() => cluster.value("SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'"), 'a synchronous standby');
  const proxy = await Proxy.start(Number(new URL(cluster.url).port));
  cleanUps.push(() => proxy.stop());
  const clients = await joinMany(cluster, proxy.url, roomId, tokens);

  const acknowledged = [];
  let stopped = false;
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    for (let i = 0; !stopped; i++) {
      const text = `${writer}-${i}`;
      try {
        const seq = await cluster.value('INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, $2, $3) RETURNING seq', [roomId, 'alice', text]);
        acknowledged.push([Number(seq), text]);
      } catch {
        return;
      }
    }
  });
  await until(() => acknowledged.length > 300 && seqs(clients[0], roomId).length > 200, 'there is a load');
  await killServer(cluster);
  stopped = true;
  await Promise.all(writers);
  await standby.promote();
  proxy.turnTo(standby.gatewayPort);
  await until(() => clients.every((client) => client.connected && client.recoveries.length > 0), 'all are back');
  const { rows } = await standby.pool.query('SELECT seq, content FROM rt.messages WHERE room_id = $1 ORDER BY seq', [roomId]);
  const kept = new Map(rows.map(({ seq, content }) => [Number(seq), content]));
  for (const [seq, text] of acknowledged) assert.equal(kept.get(seq), text, `message ${seq} was acknowledged`);
  await standby.pool.query('INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, $2, $3)', [roomId, 'bob', 'after']);
  await assertWhole(standby, clients, roomId);
  for (const client of clients) {
    for (const { data } of received(client, 'new-chat-message', (payload) => payload.roomId === roomId && payload.data.content !== 'after'))
      assert.equal(kept.get(data.seq), data.content, 'what was seen is there');
  }
  assert.deepEqual(clients.map((client) => client.recoveries), clients.map(() => [true]));
});

test('a gateway that the database had given up makes its clients online again', async () => {
  const cluster = await startCluster({ 'rt.gateway_workers': 2, 'rt.watchdog_timeout': 0, 'rt.ping_timeout': '2min' });
  const [alice, bob] = await cluster.users('alice', 'bob');
  await cluster.room('stopped', 'alice', 'bob');
  const gateways = async () => (await cluster.sql('SELECT pid FROM rt.stat_gateway ORDER BY pid')).map(({ pid }) => pid);
  const status = (id) => cluster.value('SELECT status FROM rt.presence WHERE user_id = $1', [id]);
  await until(async () => (await gateways()).length === 2, 'both gateways');
  const client = await connect(cluster, alice);
  const other = await connect(cluster, bob);
  const pid = await cluster.value('SELECT g.pid FROM rt.stat_connections AS c JOIN rt.stat_gateway AS g ON g.name = c.gateway WHERE c.user_id = $1', ['alice']);
  process.kill(pid, 'SIGSTOP');
  try {
    await until(async () => (await status('alice')) === 'offline', 'the database gives her up');
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await until(async () => (await status('alice')) === 'online', 'she is online again');
  await until(() => cluster.value('SELECT count(*) = 1 FROM rt.stat_connections WHERE user_id = $1', ['alice']), 'her connection is known');
  assert.equal(client.connected, true);
  assert.equal(other.connected, true);
});

test('a gateway on a host of its own keeps its sockets through a promotion', async () => {
  const cluster = await startCluster({ 'rt.gateway_workers': 0 });
  const standby = await startStandby(cluster, { 'rt.gateway_workers': 0 });
  const tokens = await cluster.users('alice', 'bob');
  const roomId = await cluster.room('host', 'alice', 'bob');
  await cluster.sql("CREATE ROLE gw1 LOGIN PASSWORD 'secret' IN ROLE rt_gateway");
  const port = await freePort();
  const file = pathJoin(cluster.folder, 'gateway.conf');
  await writeFile(file, `conninfo = 'host=127.0.0.1,127.0.0.1 port=${cluster.env.PGPORT},${standby.port} dbname=rt user=gw1 password=secret target_session_attrs=read-write'
name = 'host1'
listen_addresses = '127.0.0.1'
port = ${port}
`);
  const { stdout } = await promisify(execFile)('pg_config', ['--bindir']);
  const gateway = spawn(pathJoin(stdout.trim(), 'rt_gateway'), ['--config', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  gateway.stderr.on('data', (text) => { log += text; });
  cleanUps.push(async () => {
    if (gateway.exitCode === null) {
      gateway.kill('SIGKILL');
      await new Promise((resolve) => { gateway.on('exit', resolve); });
    }
  });
  await until(() => /ready/.test(log), `the gateway serves: ${log}`);
  const clients = await joinMany(cluster, `http://127.0.0.1:${port}`, roomId, tokens);
  await cluster.insert(roomId, 'alice', 'before');
  for (const client of clients) await until(() => seqs(client, roomId).length === 1, 'the first message');
  await standby.catchUp(cluster);
  await killServer(cluster);
  await standby.promote();
  await standby.pool.query('INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, $2, $3)', [roomId, 'bob', 'after']);
  await assertWhole(standby, clients, roomId);
  assert.ok(clients.every((client) => client.connected && client.recoveries.length === 0), `all sockets have stayed: ${log}`);
  await until(() => standby.value('SELECT count(*) = $1 FROM rt.stat_connections', [CLIENTS]), 'the new server knows the connections');
  await until(async () => await standby.value("SELECT count(*) FROM rt.presence WHERE status = 'online'") === '2', 'the users are online');
  assert.equal(gateway.exitCode, null);
  assert.equal((await ask(clients[0], 'join-chat-rooms', { roomIds: [roomId] })).epoch, await standby.value('SELECT rt.epoch()'));
});
