// Takes jobs from the outbox and posts them to a webhook, such as a queue's; as many of these may run as you like.
//
//   npm install pg && PGDATABASE=app WEBHOOK=http://localhost:9000/ node worker.mjs
//
// A job is delivered at least once: it goes from the table when the webhook has answered 2xx.  The header Idempotency-Key, the
// message's room and number, lets the receiver drop a second delivery.
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

const IDLE_MS = 5000;
const database = new pg.Client();
await database.connect();

let wake = () => {};
database.on('notification', () => wake());
await database.query('LISTEN jobs');

async function deliver({ room_id: room, seq, payload }) {
  const response = await fetch(process.env.WEBHOOK, {
    method: 'POST', headers: { 'content-type': 'application/json', 'idempotency-key': `${room}-${seq}` },
    body: JSON.stringify({ room, seq, ...payload }), signal: AbortSignal.timeout(10_000),
  });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
}

// One job, in a transaction that holds its row: another worker passes it over.  False: there is none that is due.
async function workOne() {
  await database.query('BEGIN');
  const { rows: [job] } = await database.query('SELECT * FROM jobs.outbox WHERE due_at <= now() ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED');
  try {
    if (job) {
      await deliver(job);
      await database.query('DELETE FROM jobs.outbox WHERE id = $1', [job.id]);
    }
  } catch (error) {
    console.error(`job ${job.id}: ${error.message}`);
    await database.query("UPDATE jobs.outbox SET tries = tries + 1, due_at = now() + least(2 ^ tries, 300) * interval '1 s' WHERE id = $1", [job.id]);
  }
  await database.query('COMMIT');
  return Boolean(job);
}

console.log('working');
for (;;) {
  if (await workOne()) continue;
  await Promise.race([new Promise((resolve) => { wake = resolve; }), delay(IDLE_MS)]);
}
