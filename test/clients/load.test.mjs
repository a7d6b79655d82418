// Under load: every socket gets each message of its rooms exactly once and in order, through a killed gateway too.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from './lib/cluster.mjs';
import { closeAll, connect, join, until, within } from './lib/client.mjs';

const ROOMS = 4;
const SOCKETS = 200;
const WRITERS = 8;
const MESSAGES = 20_000;
const BATCH = 5;

let cluster, tokens, userIds;

before(async () => {
  cluster = await Cluster.start();
  userIds = Array.from({ length: 8 }, (_, i) => `user${i}`);
  tokens = await cluster.users(...userIds);
});
after(() => cluster?.stop());
afterEach(closeAll);

function rooms(name) {
  return Promise.all(Array.from({ length: ROOMS }, (_, i) => cluster.room(`${name} ${i}`, ...userIds)));
}

// Sockets that note nothing but each room's numbers.
async function audience(roomIds, options) {
  return Promise.all(Array.from({ length: SOCKETS }, async (_, i) => {
    const client = await connect(cluster, tokens[i % tokens.length], options);
    client.offAny();
    client.seqs = new Map();
    client.roomIds = [roomIds[i % ROOMS], roomIds[(i + 1) % ROOMS]];
    for (const roomId of client.roomIds) client.seqs.set(roomId, []);
    client.on('new-chat-message', ({ roomId, data }) => client.seqs.get(roomId).push(data.seq));
    await join(client, ...client.roomIds);
    return client;
  }));
}

// Eight sessions insert, some of them rolling back; gives the number of errors that any session saw.
async function write(roomIds, total) {
  let errors = 0;
  await Promise.all(Array.from({ length: WRITERS }, async (_, writer) => {
    const session = await cluster.pool.connect();
    try {
      for (let done = 0; done < total / WRITERS; done += BATCH) {
        const roomId = roomIds[(done / BATCH + writer) % ROOMS];
        try {
          if (done % 100 === 0) {
            await session.query('BEGIN');
            await session.query("INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, $2, 'rolled back')", [roomId, userIds[writer]]);
            await session.query('ROLLBACK');
          }
          await session.query('INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, $2, i::text FROM generate_series(1, $3::int) i', [roomId, userIds[writer], BATCH]);
        } catch {
          errors++;
        }
      }
    } finally {
      session.release(true);
    }
  }));
  return errors;
}

async function allReceived(clients, roomIds) {
  const lasts = new Map();
  for (const { id, last_seq: last } of await cluster.sql('SELECT id, last_seq FROM rt.rooms WHERE id = ANY ($1)', [roomIds])) lasts.set(String(id), Number(last));
  const behind = () => clients.find((client) => client.roomIds.some((roomId) => client.seqs.get(roomId).length < lasts.get(roomId)));
  await until(() => !behind(), 'every socket has as many as there are', 300_000).catch((error) => {
    const client = behind();
    throw new Error(`${error.message}; one has ${client.roomIds.map((roomId) => `${client.seqs.get(roomId).length} of ${lasts.get(roomId)}`)}`);
  });
  for (const client of clients) {
    for (const roomId of client.roomIds) {
      const seqs = client.seqs.get(roomId);
      assert.equal(seqs.length, lasts.get(roomId));
      const wrong = seqs.findIndex((seq, i) => seq !== i + 1);
      assert.equal(wrong, -1, `room ${roomId}: at ${wrong} came ${seqs.slice(Math.max(0, wrong - 2), wrong + 3)}`);
    }
  }
}

test(`${WRITERS} writers, ${ROOMS} rooms, ${MESSAGES} messages, ${SOCKETS} sockets: exactly once, in order`, { timeout: 900_000 }, async () => {
  const roomIds = await rooms('exact');
  const clients = await audience(roomIds);
  assert.equal(await write(roomIds, MESSAGES), 0);
  assert.equal(Number(await cluster.value('SELECT sum(last_seq) FROM rt.rooms WHERE id = ANY ($1)', [roomIds])), MESSAGES);
  await allReceived(clients, roomIds);
});

test('kill -9 of the gateway under that load: no SQL session notices, it serves again in under 2 s, nothing is lost', { timeout: 900_000 }, async () => {
  const roomIds = await rooms('killed');
  const clients = await audience(roomIds, { reconnection: true, reconnectionDelay: 100, reconnectionDelayMax: 1000 });
  const started = await cluster.value('SELECT pg_postmaster_start_time()::text');
  await within(2000, async () => {
    const seen = clients[0].seqs.get(clients[0].roomIds[0]);
    const before = seen.length;
    const writing = write(roomIds, MESSAGES / 2);
    await until(() => seen.length > before + 100, 'load is on');
    const gateway = await cluster.pid('gateway');
    process.kill(gateway, 'SIGKILL');
    const killed = performance.now();
    await until(isServed, 'served again');
    const outage = performance.now() - killed;
    assert.equal(await writing, 0);
    assert.equal(await cluster.value('SELECT pg_postmaster_start_time()::text'), started);
    assert.notEqual(await cluster.pid('gateway'), gateway);
    await allReceived(clients, roomIds);
    return outage;
  });
});

async function isServed() {
  try {
    return (await cluster.rest('GET', '/api/users/me', tokens[0])).status === 200;
  } catch {
    await delay(10);
    return false;
  }
}
