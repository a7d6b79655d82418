// What an administrator does and sees while clients are connected: figures of connections, resetting, rolling restarts.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readlink } from 'node:fs/promises';
import { after, afterEach, before, describe, test } from 'node:test';
import pg from 'pg';
import { Cluster } from './lib/cluster.mjs';
import { Polling, closeAll, connect, connected, dial, join, rawClient, until } from './lib/client.mjs';
import { freePort } from './lib/ports.mjs';

const RECONNECTING = { reconnection: true, reconnectionDelay: 100, reconnectionDelayMax: 500 };

describe('figures', () => {
  let cluster, alice;
  before(async () => {
    cluster = await Cluster.start({ 'rt.ping_interval': '500ms', 'rt.media_workers': 0 });
    [alice] = await cluster.users('alice');
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const row = async (sid) => (await cluster.sql(
    `SELECT *, extract(epoch FROM latency) * 1000 AS latency_ms FROM rt.stat_connections WHERE sid = $1`, [sid]))[0];

  test('dead gateways are cleared up, whatever advisory locks others hold', async () => {
    await cluster.sql('CREATE ROLE stranger LOGIN');
    const stranger = new pg.Client({ host: cluster.env.PGHOST, port: Number(cluster.env.PGPORT), user: 'stranger', database: 'rt' });
    await stranger.connect();
    try {
      // Until 1.1 this was the lock of those who clear up.
      await stranger.query(`SELECT pg_advisory_lock(hashtextextended('rt sweep', 0))`);
      await cluster.sql(`INSERT INTO rt_private.gateways (name, slot, reported_at) VALUES ('dead', 99, now() - interval '1 minute')`);
      await until(async () => await cluster.value(`SELECT count(*) FROM rt_private.gateways WHERE name = 'dead'`) === '0', 'cleared up');
    } finally {
      await stranger.end();
    }
  });

  test('rt.stat_connections has the latency of the heartbeat, and the transport of now', async () => {
    const roomId = await cluster.room('figures', 'alice');
    const client = dial(cluster, alice, { transports: ['polling', 'websocket'] });
    await connected(client);
    await join(client, roomId);
    await until(async () => (await row(client.id))?.transport === 'websocket', 'the upgrade is told');
    const isQuick = ({ latency_ms: ms }) => ms !== null && ms >= 0 && ms < 300;
    const first = await until(async () => { const now = await row(client.id); return isQuick(now) && now; }, 'a latency below 300 ms');
    assert.equal(first.user_id, 'alice');
    assert.equal(first.rooms, 1);
    // A client that answers late is seen to do so.
    const slow = await rawClient(cluster, alice, { silent: true });
    const sid = JSON.parse(slow.packets.find((text) => text.startsWith('40')).slice(2)).sid;
    slow.on('message', (text) => { if (text.toString() === '2') setTimeout(() => slow.send('3'), 300); });
    await until(async () => (await row(sid))?.latency_ms >= 300, 'a late answer');
    await until(async () => isQuick(await row(client.id)), 'the other one\'s is its own');
  });

  test('rt.stat_connections has what waits for a client that does not read', async () => {
    const roomId = await cluster.room('slow', 'alice');
    const session = await Polling.connected(cluster, alice);
    await session.send(`42${JSON.stringify(['join-chat-rooms', { roomIds: [roomId] }])}`);
    const sid = JSON.parse(session.packets.find((text) => text.startsWith('40')).slice(2)).sid;
    await until(async () => (await row(sid))?.rooms === 1, 'the room is joined');
    await cluster.insert(roomId, 'alice', 'x'.repeat(5000));
    await until(async () => Number((await row(sid)).queued_bytes) > 5000, 'bytes that wait');
    assert.ok(Number(await cluster.value('SELECT queued_bytes FROM rt.stat_gateway')) > 5000);
    await session.until((text) => text.includes('new-chat-message'));
    await until(async () => Number((await row(sid)).queued_bytes) === 0, 'nothing waits any more');
  });

  test('rt.reset_stats lets counts begin anew, and leaves what is now', async () => {
    const roomId = await cluster.room('counted', 'alice');
    const client = await connect(cluster, alice);
    await join(client, roomId);
    for (let i = 0; i < 20; i++) await cluster.insert(roomId, 'alice', `${i}`);
    const before = await until(async () => {
      const [r] = await cluster.sql('SELECT r.*, g.frames_out, g.client_events, g.sockets, g.stats_reset AS gateway_reset FROM rt.stat_relay AS r, rt.stat_gateway AS g');
      return Number(r.frames_out) >= 20 && Number(r.client_events) >= 1 && Number(r.events) >= 20 && r.mean_lag && r.largest_lag && r;
    }, 'counts');
    await cluster.sql('SELECT rt.reset_stats()');
    const [after] = await cluster.sql('SELECT r.*, g.frames_out, g.client_events, g.sockets, g.stats_reset AS gateway_reset FROM rt.stat_relay AS r, rt.stat_gateway AS g');
    // Something may have happened in between.
    for (const name of ['events', 'batches', 'largest_batch', 'published', 'lost', 'frames_out', 'client_events']) assert.ok(Number(after[name]) <= 5, `${name}: ${after[name]}`);
    assert.ok(after.stats_reset > before.stats_reset && after.gateway_reset > before.gateway_reset, 'stats_reset moves');
    assert.equal(after.sockets, before.sockets, 'gauges stay');
    assert.ok(BigInt(after.last_pos) >= BigInt(before.last_pos), 'positions go on');
    await cluster.insert(roomId, 'alice', 'one more');
    await until(async () => Number(await cluster.value('SELECT frames_out FROM rt.stat_gateway')) >= 1, 'they count again');
    await assert.rejects(cluster.sql(`SET ROLE pg_monitor; SELECT rt.reset_stats()`), /permission denied/);
  });
});

// Clients in a room, a writer that numbers its messages, and what each client got.
async function load(cluster, count) {
  const [alice, bob] = await cluster.users('alice', 'bob');
  const roomId = await cluster.room('load', 'alice', 'bob');
  const clients = [];
  for (let i = 0; i < count; i++) {
    const client = dial(cluster, i % 2 ? alice : bob, { ...RECONNECTING, transports: i % 5 === 4 ? ['polling'] : ['websocket'] });
    clients.push(client);
    client.got = [];
    client.ends = [];
    client.fresh = 0;
    client.on('new-chat-message', ({ data }) => client.got.push(data.content));
    client.on('disconnect', () => client.ends.push(Date.now()));
    client.io.on('reconnect', () => { client.comes = (client.comes ?? 0) + 1; });
    client.on('connect', () => { if (client.ends.length > 0 && !client.recovered) client.fresh++; });
  }
  await Promise.all(clients.map((client) => connected(client)));
  await Promise.all(clients.map((client) => join(client, roomId)));
  let written = 0;
  let going = true;
  const writing = (async () => { while (going) { await cluster.insert(roomId, 'alice', `${written++}`); await new Promise((next) => { setTimeout(next, 5); }); } })();
  await until(() => written > 20, 'writing');
  return {
    clients,
    async finish() {
      going = false;
      await writing;
      const all = Array.from({ length: written }, (_, i) => `${i}`);
      await until(() => clients.every((client) => client.got.length >= written), 'everything has arrived');
      for (const client of clients) {
        assert.deepEqual(client.got, all, 'without holes, in order, without doubles');
        assert.equal(client.fresh, 0, 'every session was recovered');
      }
    },
  };
}

// The settings as the supervisor sends them: all, and times and sizes in milliseconds and bytes.
async function settings(cluster) {
  const rows = await cluster.sql("SELECT name, setting, unit, vartype FROM pg_settings WHERE name LIKE 'rt.%'");
  const units = { s: 1000, kB: 1024 };
  const value = ({ setting, unit, vartype }) => {
    if (vartype === 'integer') return Number(setting) * (units[unit] ?? 1);
    return vartype === 'bool' ? setting === 'on' : setting;
  };
  return Object.fromEntries(rows.map((row) => [row.name.slice('rt.'.length), value(row)]));
}

// As on another host: a gateway with a configuration of its own, without the promise of a successor.  As superuser, since
// rt_gateway has no password that a test could know.
async function foreignGateway(cluster) {
  const exe = await readlink(`/proc/${(await gateways(cluster))[0].pid}/exe`);
  const port = await freePort();
  const child = spawn(exe, [], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] });
  const other = { url: `http://127.0.0.1:${port}`, ended: undefined };
  child.on('exit', (code, signal) => { other.ended = signal ?? `exit code ${code}`; });
  child.stdio[3].write(`${JSON.stringify({
    program: 'gateway', worker: 0, workers: 1, database: 'rt', socket_fds: [],
    conninfo: `host=${cluster.dir} port=${cluster.env.PGPORT} dbname=rt user=postgres application_name=rt_gateway`,
    settings: { ...await settings(cluster), port, listen_addresses: '127.0.0.1' },
  })}\n`);
  return other;
}

const gateways = (cluster) => cluster.sql('SELECT name, pid, slot, sockets::int, draining_until FROM rt.stat_gateway ORDER BY slot, started_at');

describe('rt.drain', () => {
  let cluster;
  afterEach(async () => {
    closeAll();
    await cluster?.stop();
    cluster = undefined;
  });

  test('restarts the only gateway: clients move over evenly, and miss nothing', async () => {
    cluster = await Cluster.start({ 'rt.media_workers': 0 });
    const { clients, finish } = await load(cluster, 40);
    const [old] = await gateways(cluster);
    const began = Date.now();
    assert.equal(await cluster.value("SELECT rt.drain('8 s')"), 1);
    const [draining, next] = await until(async () => { const now = await gateways(cluster); return now.length === 2 && now; }, 'both are there');
    assert.equal(draining.name, old.name);
    assert.ok(draining.draining_until && !next.draining_until);
    assert.deepEqual(await cluster.sql("SELECT state FROM rt.stat_programs ORDER BY (state = 'draining') DESC LIMIT 1"), [{ state: 'draining' }]);
    await until(async () => (await cluster.rest('GET', '/readyz').catch(() => ({}))).status === 200, 'the successor is ready');
    await until(() => clients.every(({ ends }) => ends.length > 0), 'all have been moved');
    await until(async () => { const now = await gateways(cluster); return now.length === 1 && now[0].name === next.name && now[0].sockets === 40; }, 'all are at the successor');
    await finish();
    const times = clients.map(({ ends }) => ends[0] - began).sort((a, b) => a - b);
    assert.ok(times.at(-1) < 40_000, `the last one went after ${times.at(-1)} ms`);
    assert.ok(times[30] - times[10] > 1750, `not all at once: ${times.join(' ')}`);
    assert.ok(clients.every(({ ends }) => ends.length === 1), 'each has moved once');
    const log = await cluster.log();
    assert.match(log, new RegExp(`rt_gateway\\[${old.pid}\\]: draining for 8000 ms`));
    assert.match(log, new RegExp(`rt_gateway\\[${old.pid}\\] ended with exit code 0; it was draining`));
    assert.equal(await cluster.value("SELECT restarts FROM rt.stat_programs WHERE kind = 'gateway'"), 1);
  });

  test('one of two gateways by its name, and both, again and again', async () => {
    cluster = await Cluster.start({ 'rt.media_workers': 0, 'rt.gateway_workers': 2 });
    const { clients, finish } = await load(cluster, 30);
    const [first, second] = await until(async () => { const now = await gateways(cluster); return now.length === 2 && now; }, 'both are there');
    assert.equal(await cluster.value("SELECT rt.drain('1500 ms', $1)", [first.name]), 1);
    await until(async () => !(await gateways(cluster)).some(({ name }) => name === first.name), 'the first has gone');
    assert.ok((await gateways(cluster)).some(({ name }) => name === second.name), 'the other one was left alone');
    await until(() => clients.every(({ connected: there }) => there), 'all are back');
    assert.equal(await cluster.value("SELECT rt.drain('1 s')"), 2);
    assert.ok(await cluster.value("SELECT rt.drain('1 s')") >= 2, 'a second call does no harm');
    await until(async () => { const now = await gateways(cluster); return now.length === 2 && now.every(({ pid, draining_until: until_ }) => !until_ && pid !== second.pid); }, 'both are new');
    await until(() => clients.every(({ connected: there }) => there), 'all are back');
    await finish();
  });

  test('a gateway that something else starts tells its load balancer, and ends when it has nobody left', async () => {
    cluster = await Cluster.start({ 'rt.media_workers': 0 });
    const [alice] = await cluster.users('alice');
    const [own] = await gateways(cluster);
    const other = await foreignGateway(cluster);
    const rest = (path) => fetch(other.url + path, { signal: AbortSignal.timeout(60_000) });
    await until(async () => (await rest('/readyz').catch(() => ({}))).status === 200, 'it is ready');
    const clients = [];
    for (let i = 0; i < 5; i++) clients.push(await connect(other, alice));
    const [foreign] = (await gateways(cluster)).filter(({ name }) => name !== own.name);
    await cluster.sql("SELECT rt.drain('20 s', $1)", [foreign.name]);
    await until(async () => (await rest('/readyz').catch(() => ({}))).status === 503, 'it is not ready any more, and says so');
    const refused = await rest('/socket.io/?EIO=4&transport=polling');
    assert.equal(refused.status, 503);
    assert.ok(refused.headers.get('retry-after'));
    assert.ok(clients.some((client) => client.connected), 'who is there may stay for a while');
    await until(() => !clients.some((client) => client.connected), 'then they are ended');
    assert.equal(await until(() => other.ended, 'the program has ended'), 'exit code 0');
    assert.deepEqual((await gateways(cluster)).map(({ name }) => name), [own.name], 'and is not shown any more');
  });

  test('refuses what it cannot do, and whom it does not know', async () => {
    cluster = await Cluster.start({ 'rt.media_workers': 0 });
    await assert.rejects(cluster.sql("SELECT rt.drain('2 hours')"), /between 0 and one hour/);
    await assert.rejects(cluster.sql("SELECT rt.drain('-1 s')"), /between 0 and one hour/);
    await assert.rejects(cluster.sql("SELECT rt.drain('1 s', 'nobody')"), /gateway "nobody" is not running/);
    await assert.rejects(cluster.sql("SET ROLE pg_monitor; SELECT rt.drain('1 s')"), /permission denied/);
    const [{ pid }] = await gateways(cluster);
    await cluster.sql("BEGIN; SELECT rt.drain('0 s'); ROLLBACK");
    await cluster.sql("SELECT rt.drain('0')");
    await until(async () => { const now = await gateways(cluster); return now.length === 1 && now[0].pid !== pid; }, 'at once');
    assert.equal((await cluster.log()).match(/draining for/g).length, 1, 'what was rolled back has not happened');
    // A server that stops does not wait for a drain.
    await dial(cluster, (await cluster.users('carol'))[0]);
    await cluster.sql("SELECT rt.drain('1 hour')");
    await until(async () => /draining for 3600000 ms/.test(await cluster.log()), 'a long drain');
    const began = Date.now();
    await cluster.stop();
    assert.ok(Date.now() - began < 300_000, 'the server stops at once');
    cluster = undefined;
  });
});

describe('clients in the log, behind a proxy, and with a token that ends', () => {
  let cluster, alice;
  before(async () => {
    cluster = await Cluster.start({ 'rt.media_workers': 0, 'rt.rate_logins': 2, 'rt.trusted_proxies': '127.0.0.0/8' });
    [alice] = await cluster.users('alice');
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  async function set(name, value) {
    await cluster.sql(`ALTER SYSTEM SET ${name} = ${value}`);
    await cluster.sql('SELECT pg_reload_conf()');
  }
  const proxied = (address) => ({ extraHeaders: { 'X-Forwarded-For': address } });
  const peers = () => cluster.sql('SELECT peer FROM rt.stat_connections').then((rows) => rows.map(({ peer }) => peer));

  test('rt.trusted_proxies: the address of a client is that which the proxy saw', async () => {
    const client = await connect(cluster, alice, proxied('6.6.6.6, 203.0.113.9'));
    assert.deepEqual(await peers(), ['203.0.113.9']);
    client.disconnect();
    const login = async (address) => (await cluster.rest('POST', '/auth', undefined, { username: 'alice', password: 'wrong' }, { 'x-forwarded-for': address })).status;
    assert.deepEqual([await login('203.0.113.1'), await login('203.0.113.1'), await login('203.0.113.1')], [401, 401, 429]);
    assert.equal(await login('203.0.113.2'), 401, 'another client of the same proxy');
    assert.equal(await login('203.0.113.2, 203.0.113.1'), 429, 'what a client writes itself does not help');
    await set('rt.trusted_proxies', "'10.0.0.0/8'");
    await until(async () => {
      const other = await connect(cluster, alice, proxied('203.0.113.9'));
      const [peer] = (await cluster.sql('SELECT peer FROM rt.stat_connections WHERE sid = $1', [other.id])).map((row) => row.peer);
      other.disconnect();
      return peer === '127.0.0.1';
    }, 'no proxy is trusted any more');
  });

  test('rt.log_connections, with the ids of rt.stat_connections', async () => {
    const quiet = await connect(cluster, alice);
    const quietId = quiet.id;
    quiet.disconnect();
    await set('rt.log_connections', 'on');
    await until(async () => {
      const client = await connect(cluster, alice);
      const { id } = client;
      client.disconnect();
      return (await cluster.log()).includes(`socket=${id} peer=127.0.0.1 user="alice": connected by websocket`) && id;
    }, 'the setting is taken over');
    const client = await connect(cluster, alice);
    const sid = await cluster.value('SELECT sid FROM rt.stat_connections WHERE sid = $1', [client.id]);
    client.disconnect();
    await until(async () => new RegExp(`socket=${sid} peer=127\\.0\\.0\\.1 user="alice": disconnected after \\d+\\.\\d{3} s: client namespace disconnect`).test(await cluster.log()), 'its end');
    const stranger = dial(cluster, 'no token');
    await assert.rejects(connected(stranger));
    await until(async () => /socket=\S+ peer=127\.0\.0\.1: refused: Invalid token/.test(await cluster.log()), 'a refusal');
    const log = await cluster.log();
    assert.ok(!log.includes(quietId) && !log.includes('no token') && !log.includes(alice), 'nothing before it was on, and no token ever');
  });

  test('rt.log_min_messages lets the programs say more, or less', async () => {
    await set('rt.log_min_messages', 'debug');
    const bad = async () => {
      const socket = await rawClient(cluster, alice);
      const sid = JSON.parse(socket.packets.find((text) => text.startsWith('40')).slice(2)).sid;
      socket.send('4nonsense');
      await until(() => socket.closed, 'closed');
      return sid;
    };
    await until(async () => { const sid = await bad(); return new RegExp(`LOG: {2}rt_gateway.*socket=${sid} peer=127\\.0\\.0\\.1: session closed`).test(await cluster.log()); }, 'lines of debugging, with the id');
    await set('rt.log_min_messages', 'warning');
    const lines = async () => (await cluster.log()).match(/connected by websocket/g).length;
    await until(async () => { const before_ = await lines(); (await connect(cluster, alice)).disconnect(); await bad(); return await lines() === before_; }, 'no more lines of level log');
    assert.equal((await cluster.sql("SELECT state FROM rt.stat_programs WHERE kind = 'gateway'"))[0].state, 'ready');
    await set('rt.log_min_messages', 'log');
  });

  test('rt.disconnect_on_token_expiry', async () => {
    // A token that expires soon, and a client that has connected with it before that.
    const brief = async (use) => {
      for (let seconds = 6; ; seconds *= 2) {
        const token_ = await cluster.token('alice', `${seconds} seconds`);
        const client_ = use(token_);
        if (await connected(client_).then(() => true, () => false)) return { token: token_, client: client_ };
        client_.disconnect();
        assert.ok(seconds < 60, 'no connection before the token expires');
      }
    };
    const { token: first, client: staying } = await brief((one) => dial(cluster, one));
    await until(async () => (await cluster.rest('GET', '/api/users/me', first)).status === 401, 'the token has expired');
    assert.ok(staying.connected, 'by default a connection outlives its token');
    await set('rt.disconnect_on_token_expiry', 'on');
    await until(() => !staying.connected, 'then it does not');
    // A client that has a new token comes back by itself, and misses nothing.
    const roomId = await cluster.room('expiry', 'alice');
    let token;
    const { client } = await brief((one) => { token = one; return dial(cluster, undefined, { ...RECONNECTING, auth: (give) => give({ token }) }); });
    await join(client, roomId);
    await cluster.insert(roomId, 'alice', 'before');
    token = await cluster.token('alice', '1 hour');
    let reason;
    client.on('disconnect', (why) => { reason = why; });
    await until(() => reason !== undefined, 'the end');
    assert.equal(reason, 'transport close');
    await cluster.insert(roomId, 'alice', 'after');
    await until(() => client.connected && client.events.some(([name, payload]) => name === 'new-chat-message' && payload.data.content === 'after'), 'it is back');
    assert.equal(client.recovered, true);
    // One that has none is told so.
    const { client: old } = await brief((one) => dial(cluster, one, RECONNECTING));
    let refusal;
    old.on('connect_error', (error) => { refusal ??= error; });
    await until(() => refusal, 'its refusal');
    assert.equal(refusal.message, 'Token expired');
    assert.ok(client.connected);
  });
});
