// rt.conninfo_read: hot standbys answer reads, and nobody notices but them.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { askOk, closeAll, connect, until } from './lib/client.mjs';
import { Standby } from './lib/standby.mjs';

let cluster, standbys, alice, roomId;

const answered = async (standby) => ((await standby.log()).match(/execute replica_read/g) ?? []).length;
const page = async (query = '') => (await cluster.rest('GET', `/api/chat/rooms/${roomId}/msgs${query}`, alice)).body;
const send = async (content) => (await cluster.rest('POST', `/api/chat/rooms/${roomId}/msgs`, alice, { content })).body.data.seq;

before(async () => {
  cluster = await Cluster.start({ 'rt.media_workers': 0, 'rt.gateway_workers': 1 });
  [alice] = await cluster.users('alice');
  roomId = await cluster.room('reads', 'alice');
  const settings = { 'rt.gateway_workers': 0, 'rt.media_workers': 0, log_min_duration_statement: 0 };
  standbys = [await Standby.start(cluster, settings), await Standby.start(cluster, settings)];
  const conninfo = `host=127.0.0.1,127.0.0.1 port=${standbys.map(({ port }) => port).join(',')}`;
  await cluster.sql(`ALTER SYSTEM SET rt.conninfo_read = '${conninfo}'`);
  await cluster.sql('SELECT pg_reload_conf()');
  await allAnswer();
});
after(async () => {
  await Promise.all((standbys ?? []).map((standby) => standby.stop()));
  await cluster?.stop();
});
afterEach(closeAll);

// Each standby answers some of the reads.
async function allAnswer() {
  const was = await Promise.all(standbys.map(answered));
  await until(async () => {
    await page().catch(() => {}); // the gateway may be restarting
    const is = await Promise.all(standbys.map(answered));
    return is.every((n, i) => n > was[i]);
  }, 'both standbys answer');
}

test('a standby takes the calls that the tables of paths and events mark as reads, and no others', async () => {
  const source = (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
  const paths = (await source('bgworker/gateway/rest/rest_table.c')).matchAll(/"(\w+)", RT_DB_\w+,[^}]*RT_REST_READS/g);
  const events = (await source('bgworker/gateway/chat/chat.c')).matchAll(/\.fn = "(\w+)"[^}]*\.reads = true/g);
  const [, list] = (await source('extension/schema/78_api_reads.sql')).match(/fn NOT IN \(([^)]*)\)/);
  assert.deepEqual([...list.matchAll(/'(\w+)'/g)].map(([, name]) => name).sort(), [...paths, ...events].map(([, name]) => name).sort());
});

test('history, search, lists and sync-rooms are what the primary would say', async () => {
  await send('needle in a haystack');
  const client = await connect(cluster, alice);
  const was = await Promise.all(standbys.map(answered));
  assert.equal((await cluster.rest('GET', '/api/chat/search?q=needle', alice)).body.data.length, 1);
  assert.equal((await cluster.rest('GET', '/api/chat/rooms', alice)).body.data[0].id, roomId);
  assert.equal((await cluster.rest('GET', `/api/chat/rooms/${roomId}/members`, alice)).body.data[0].userId, 'alice');
  const synced = await askOk(client, 'sync-rooms', { rooms: [{ roomId, afterSeq: 0 }] });
  assert.equal(synced.rooms[0].messages.at(-1).content, 'needle in a haystack');
  assert.equal(synced.epoch, await cluster.value('SELECT rt.epoch()'));
  assert.equal((await cluster.rest('GET', '/api/chat/rooms/999/msgs', alice)).status, 404);
  // One that has not yet replayed what was written is not asked.
  await until(async () => {
    await page();
    const is = await Promise.all(standbys.map(answered));
    return is[0] + is[1] > was[0] + was[1];
  }, 'standbys are asked');
});

test('whoever has written reads it', async () => {
  for (let i = 0; i < 60; i++) {
    const seq = await send(`message ${i}`);
    const { data, lastSeq } = await page('?limit=1');
    assert.equal(lastSeq, seq);
    assert.equal(data[0].content, `message ${i}`);
  }
  for (let i = 0; i < 20; i++) {
    await cluster.insert(roomId, 'alice', `by SQL ${i}`);
    assert.equal((await page('?limit=1')).data[0].content, `by SQL ${i}`);
  }
});

test('a standby that lags is left out, and so is one that hangs or is gone; they come back', async () => {
  for (const standby of standbys) await standby.value('SELECT pg_wal_replay_pause()');
  for (let i = 0; i < 5; i++) {
    const seq = await send(`while paused ${i}`);
    assert.equal((await page('?limit=1')).data[0].seq, seq);
  }
  for (const standby of standbys) await standby.value('SELECT pg_wal_replay_resume()');
  await allAnswer();

  const { rows } = await standbys[0].pool.query("SELECT pid FROM pg_stat_activity WHERE usename = 'rt_gateway'");
  const hung = rows.map(({ pid }) => pid);
  assert.ok(hung.length > 0, 'the gateway has sessions at the standby');
  for (const pid of hung) process.kill(pid, 'SIGSTOP');
  try {
    for (let i = 0; i < 6; i++) {
      const seq = await send(`while one hangs ${i}`);
      assert.equal((await page('?limit=1')).data[0].seq, seq);
    }
  } finally {
    for (const pid of hung) process.kill(pid, 'SIGCONT');
  }
  await allAnswer();

  await standbys[1].halt();
  for (let i = 0; i < 6; i++) {
    const seq = await send(`while one is gone ${i}`);
    assert.equal((await page('?limit=1')).data[0].seq, seq);
  }
  await standbys[1].launch();
  await allAnswer();
});
