// A network that breaks connections at random points: through one gateway worker and through two, every client has
// every message once and in order.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, afterEach, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { askOk, closeAll, connect, event, join, received, settled, until } from './lib/client.mjs';

const CLIENTS = 24;
const MESSAGES = 10_000;
const ROOMS = 3;
const BATCH = 10;

const clusters = [];
after(() => Promise.all(clusters.map((cluster) => cluster.stop())));
afterEach(closeAll);

// A TCP proxy that cuts each connection after a random number of bytes, as long as it is told to.
class Faults {
  static async before(cluster) {
    const faults = new Faults(cluster);
    await new Promise((resolve) => { faults.server.listen(0, '127.0.0.1', resolve); });
    faults.url = `http://127.0.0.1:${faults.server.address().port}`;
    return faults;
  }

  constructor(cluster) {
    this.port = Number(new URL(cluster.url).port);
    this.cutting = false;
    this.cuts = 0;
    this.open = new Set();
    this.server = net.createServer((client) => this.carry(client));
  }

  carry(client) {
    const server = net.connect(this.port, '127.0.0.1');
    const end = () => { client.destroy(); server.destroy(); this.open.delete(end); };
    let left = 2000 + Math.random() * 60_000;
    server.on('data', (data) => {
      left -= data.length;
      if (!this.cutting || left > 0) {
        client.write(data);
        return;
      }
      // In the middle of what was being sent.
      client.write(data.subarray(0, Math.floor(Math.random() * data.length)), end);
      this.cuts++;
    });
    client.on('data', (data) => server.write(data));
    for (const socket of [client, server]) {
      socket.on('error', end);
      socket.on('close', end);
    }
    this.open.add(end);
  }

  close() {
    for (const end of this.open) end();
    this.server.close();
  }
}

async function listener(cluster, faults, token, i, roomIds) {
  const client = await connect({ url: faults.url }, token, {
    reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 200, timeout: 60_000,
    transports: i % 3 === 0 ? ['polling'] : i % 3 === 1 ? ['websocket'] : ['polling', 'websocket'],
  });
  client.offAny();
  client.seqs = new Map(roomIds.map((roomId) => [roomId, []]));
  client.recoveries = 0;
  client.losses = 0;
  client.on('connect', () => { client.recovered ? client.recoveries++ : client.losses++; });
  client.on('new-chat-message', ({ roomId, data }) => client.seqs.get(roomId).push(data.seq));
  await join(client, ...roomIds);
  return client;
}

async function write(cluster, roomIds, userId) {
  await Promise.all(roomIds.map(async (roomId) => {
    for (let done = 0; done < MESSAGES / ROOMS; done += BATCH) {
      await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, $2, repeat('x', 100) FROM generate_series(1, $3::int)", [roomId, userId, BATCH]);
    }
  }));
}

function missing(client, lasts) {
  return client.seqs && [...lasts].find(([roomId, last]) => client.seqs.get(roomId).length < last);
}

for (const workers of [1, 2]) {
  test(`connections cut at random, ${workers} gateway worker${workers > 1 ? 's' : ''}: each message once, in order`, { timeout: 900_000 }, async () => {
    const cluster = await Cluster.start({ 'rt.gateway_workers': workers });
    clusters.push(cluster);
    const userIds = Array.from({ length: 6 }, (_, i) => `user${i}`);
    const tokens = await cluster.users(...userIds);
    const roomIds = await Promise.all(Array.from({ length: ROOMS }, (_, i) => cluster.room(`faults ${i}`, ...userIds)));
    const faults = await Faults.before(cluster);
    try {
      const clients = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => listener(cluster, faults, tokens[i % tokens.length], i, roomIds)));
      faults.cutting = true;
      // How many are cut meanwhile depends on how fast they read.
      const enough = () => faults.cuts > CLIENTS && clients.filter((client) => client.recoveries > 0).length > CLIENTS / 2;
      for (let round = 0; round === 0 || (round < 10 && !enough()); round++) await write(cluster, roomIds, userIds[0]);
      faults.cutting = false;
      const rows = await cluster.sql('SELECT id::text, last_seq::int FROM rt.rooms WHERE id = ANY ($1)', [roomIds]);
      const lasts = new Map(rows.map((row) => [row.id, row.last_seq]));
      await until(() => !clients.some((client) => missing(client, lasts)), 'every client has every message', 300_000);
      for (const client of clients) {
        assert.equal(client.losses, 0, 'each reconnect was a recovery');
        for (const [roomId, last] of lasts) {
          const seqs = client.seqs.get(roomId);
          const wrong = seqs.findIndex((seq, i) => seq !== i + 1);
          assert.equal(wrong, -1, `room ${roomId}: at ${wrong} came ${seqs.slice(Math.max(0, wrong - 2), wrong + 3)}`);
          assert.equal(seqs.length, last);
        }
      }
      assert.ok(faults.cuts > CLIENTS, `only ${faults.cuts} connections were cut`);
      assert.ok(clients.filter((client) => client.recoveries > 0).length > CLIENTS / 2, 'most clients were cut off and came back');
    } finally {
      faults.close();
    }
  });
}

test('whoever is removed while the ring is full gets nothing more', { timeout: 900_000 }, async () => {
  const cluster = await Cluster.start({ 'rt.ring_size': '64kB', 'rt.media_workers': 0 });
  clusters.push(cluster);
  const [ann, bob] = await cluster.users('ann', 'bob');
  const roomId = await cluster.room('crowd', 'ann', 'bob');
  const other = await cluster.room('other', 'bob');
  await cluster.sql("INSERT INTO rt.users (id, username, name) SELECT 'u' || n, 'u' || n, 'U' FROM generate_series(1, 1000) n");
  const [staying, removed] = [await connect(cluster, ann), await connect(cluster, bob)];
  await join(staying, roomId);
  await join(removed, roomId, other);
  const meetingId = await cluster.value("SELECT rt.create_meeting('Standup', 'ann', access => 'anyone')");
  for (const client of [staying, removed]) await askOk(client, 'join-meeting', { meetingId });
  // A transaction whose events the ring has no place for.
  await cluster.sql("INSERT INTO rt.room_members (room_id, user_id) SELECT $1, id FROM rt.users WHERE id LIKE 'u%'", [roomId]);
  await cluster.sql(`WITH one AS (UPDATE rt.meeting_participants SET left_at = clock_timestamp(), left_reason = 'removed' WHERE user_id = 'bob')
    DELETE FROM rt.room_members WHERE room_id = ${roomId} AND user_id <> 'ann'`);
  assert.ok(Number(await cluster.value('SELECT lost FROM rt.stat_relay')) > 0, 'the ring had no place');
  await cluster.insert(roomId, 'ann', 'for those who stayed');
  await event(staying, 'new-chat-message', ({ data }) => data.content === 'for those who stayed');
  await askOk(staying, 'send-message', { meetingId, message: 'for those who are here' });
  await event(staying, 'new-message');
  await cluster.insert(other, 'bob', 'still his');
  await event(removed, 'new-chat-message', ({ data }) => data.content === 'still his');
  await settled(cluster, removed);
  assert.deepEqual(received(removed, 'new-chat-message', (payload) => payload.roomId === roomId), []);
  assert.deepEqual(received(removed, 'new-message'), []);
});
