// Contract, section 5: what plain SQL does, and who sees it.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { askOk, closeAll, connect, event, join, received, settled, until } from './lib/client.mjs';

let cluster, alice, bob;
let roomNumber = 0;

before(async () => {
  cluster = await Cluster.start();
  [alice, bob] = await cluster.users('alice', 'bob');
});
after(() => cluster?.stop());
afterEach(closeAll);

async function watched() {
  const roomId = await cluster.room(`sql ${++roomNumber}`, 'alice', 'bob');
  const client = await connect(cluster, bob);
  await join(client, roomId);
  return { roomId, client };
}

function contents(client, roomId) {
  return received(client, 'new-chat-message', (payload) => payload.roomId === roomId).map(({ data }) => data.content);
}

// Runs the statements in one session.
async function session(statements) {
  const client = await cluster.pool.connect();
  try {
    for (const [text, values] of statements) await client.query(text, values);
  } finally {
    client.release(true);
  }
}

const INSERT = 'INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, $2, $3)';

test('a plain INSERT reaches clients when, and only when, it commits', async () => {
  const { roomId, client } = await watched();
  const writer = await cluster.pool.connect();
  try {
    await writer.query('BEGIN');
    await writer.query(INSERT, [roomId, 'alice', 'committed']);
    await settled(cluster, client);
    assert.deepEqual(contents(client, roomId), []);
    await writer.query('COMMIT');
  } finally {
    writer.release(true);
  }
  await event(client, 'new-chat-message', (payload) => payload.roomId === roomId);
});

test('a rollback sends nothing and leaves no hole', async () => {
  const { roomId, client } = await watched();
  await session([['BEGIN'], [INSERT, [roomId, 'alice', 'rolled back']], ['ROLLBACK'], [INSERT, [roomId, 'alice', 'first']]]);
  const payload = await event(client, 'new-chat-message', (payload) => payload.roomId === roomId);
  assert.equal(payload.data.seq, 1);
  assert.deepEqual(contents(client, roomId), ['first']);
});

test('savepoints: only what survives is sent', async () => {
  const { roomId, client } = await watched();
  await session([['BEGIN'], [INSERT, [roomId, 'alice', 'one']], ['SAVEPOINT s'], [INSERT, [roomId, 'alice', 'dropped']], ['ROLLBACK TO s'],
    [INSERT, [roomId, 'alice', 'two']], ['COMMIT']]);
  await until(() => contents(client, roomId).length === 2, 'two messages');
  assert.deepEqual(contents(client, roomId), ['one', 'two']);
  assert.deepEqual(received(client, 'new-chat-message', (payload) => payload.roomId === roomId).map(({ data }) => data.seq), [1, 2]);
});

test('many rows in one statement, in order', async () => {
  const { roomId, client } = await watched();
  await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, 'alice', i::text FROM generate_series(1, 1000) i", [roomId]);
  await until(() => contents(client, roomId).length === 1000, '1000 messages');
  assert.deepEqual(contents(client, roomId), Array.from({ length: 1000 }, (_, i) => String(i + 1)));
});

test('the functions of the contract', async () => {
  const { roomId, client } = await watched();
  await cluster.sql("SELECT rt.send_message($1, 'alice', 'by function')", [roomId]);
  await event(client, 'new-chat-message', ({ data }) => data.content === 'by function');
  const aliceClient = await connect(cluster, alice);
  await join(aliceClient, roomId);
  await cluster.sql("SELECT rt.mark_seen($1, 'bob', ARRAY[1]::bigint[])", [roomId]);
  const seen = await event(aliceClient, 'messages-seen');
  assert.deepEqual(seen.messageIds, [`${roomId}-1`]);
});

test('UPDATE, DELETE and reactions by plain statements send the events', async () => {
  const { roomId, client } = await watched();
  await cluster.insert(roomId, 'alice', 'text');
  await cluster.sql("UPDATE rt.messages SET content = 'changed' WHERE room_id = $1", [roomId]);
  assert.equal((await event(client, 'chat-message-edited')).data.newContent, 'changed');
  await cluster.sql("INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES ($1, 1, 'bob', '🎉')", [roomId]);
  assert.equal((await event(client, 'chat-message-reaction')).data.action, 'add');
  await cluster.sql('DELETE FROM rt.messages WHERE room_id = $1', [roomId]);
  await event(client, 'chat-message-deleted');
  const [row] = await cluster.sql('SELECT (m).content, (m).deleted_at FROM rt_private.history WHERE room_id = $1', [roomId]);
  assert.equal(row.content, '');
  assert.ok(row.deleted_at);
});

test('LISTEN rt_events gets the same events', async () => {
  const { roomId } = await watched();
  const listener = await cluster.pool.connect();
  try {
    const seen = [];
    listener.on('notification', ({ channel, payload }) => channel === 'rt_events' && seen.push(JSON.parse(payload)));
    await listener.query('LISTEN rt_events');
    await cluster.insert(roomId, 'alice', 'heard');
    await cluster.insert(roomId, 'alice', 'y'.repeat(9000));
    await until(() => seen.filter((item) => item.roomId === roomId && item.event === 'new-chat-message').length === 2, 'notifications');
    const [short, long] = seen.filter((item) => item.roomId === roomId && item.event === 'new-chat-message');
    assert.equal(short.data.content, 'heard');
    assert.equal(long.truncated, true);
    assert.equal(Number(long.seq), 2);
  } finally {
    listener.release(true);
  }
});

test('rt.notify_content = off: no notification has text, and clients get all of it', async () => {
  const discreet = await Cluster.start({ 'rt.notify_content': 'off', 'rt.media_workers': 0 });
  let listener;
  try {
    const [, token] = await discreet.users('alice', 'bob');
    const roomId = await discreet.room('discreet', 'alice', 'bob');
    const client = await connect(discreet, token);
    await join(client, roomId);
    const seen = [];
    listener = await discreet.pool.connect();
    listener.on('notification', ({ channel, payload }) => channel === 'rt_events' && seen.push(payload));
    await listener.query('LISTEN rt_events');
    await discreet.insert(roomId, 'alice', 'confidential @bob');
    assert.equal((await event(client, 'new-chat-message')).data.content, 'confidential @bob');
    assert.equal((await event(client, 'chat-notification', ({ type }) => type === 'mention')).data.content, 'confidential @bob');
    await discreet.sql("UPDATE rt.messages SET content = 'confidential too' WHERE room_id = $1", [roomId]);
    assert.equal((await event(client, 'chat-message-edited')).data.newContent, 'confidential too');
    await askOk(client, 'update-chat-status', { status: 'busy', statusMessage: 'confidential status' });
    assert.equal((await event(client, 'chat-user-status-update', ({ status }) => status === 'busy')).statusMessage, 'confidential status');
    const meetingId = await discreet.value("SELECT rt.create_meeting('confidential title', 'bob')");
    await askOk(client, 'join-meeting', { meetingId });
    await askOk(client, 'send-reaction', { meetingId, reaction: 'confidential reaction' });
    assert.equal((await event(client, 'participant-reaction')).reaction, 'confidential reaction');
    await discreet.sql("SELECT rt.disconnect_user('bob', 'confidential reason')");
    await until(() => client.disconnected, 'the end');
    const told = (name) => seen.some((payload) => JSON.parse(payload).event === name);
    await until(() => ['new-chat-message', 'chat-notification', 'chat-message-edited', 'chat-user-status-update', 'participant-reaction', 'rt:disconnect'].every(told),
      'notifications');
    assert.deepEqual(seen.filter((payload) => /confidential/.test(payload)), []);
  } finally {
    listener?.release(true);
    await discreet.stop();
  }
});

test('rt_app meets row-level security', async () => {
  const { roomId } = await watched();
  const other = await cluster.room('not of bob', 'alice');
  await cluster.insert(other, 'alice', 'secret');
  await cluster.insert(roomId, 'alice', 'open');
  const client = await cluster.pool.connect();
  try {
    await client.query('BEGIN');
    await client.query('SET LOCAL ROLE rt_app');
    await client.query("SET LOCAL rt.user_id = 'bob'");
    const { rows } = await client.query('SELECT DISTINCT content FROM rt.messages WHERE room_id IN ($1, $2)', [roomId, other]);
    assert.deepEqual(rows, [{ content: 'open' }]);
    await client.query('SAVEPOINT s');
    await assert.rejects(client.query(INSERT, [other, 'bob', 'x']));
    await client.query('ROLLBACK TO s');
    await assert.rejects(client.query(INSERT, [roomId, 'alice', 'as somebody else']));
    await client.query('ROLLBACK TO s');
    await assert.rejects(client.query('SELECT password_hash FROM rt.users'));
    await client.query('ROLLBACK TO s');
    await client.query(INSERT, [roomId, 'bob', 'allowed']);
    await client.query('ROLLBACK');
  } finally {
    client.release(true);
  }
});

test('a role without grants reads nothing and issues no token', async () => {
  await cluster.sql('CREATE ROLE nobody_special');
  const client = await cluster.pool.connect();
  try {
    for (const text of ['SELECT * FROM rt.messages', 'SELECT * FROM rt.users', "SELECT rt.issue_token('alice', '1 hour')", 'SELECT * FROM rt_private.keys',
      "SELECT rt.create_user('x', 'x', 'x')", "SELECT rt_api.me('alice', '{}')"]) {
      await client.query('BEGIN');
      await client.query('SET LOCAL ROLE nobody_special');
      await assert.rejects(client.query(text), { code: '42501' }, text);
      await client.query('ROLLBACK');
    }
  } finally {
    client.release(true);
  }
});

test('live figures are views', async () => {
  const { client } = await watched();
  assert.ok(client.connected);
  await until(async () => Number(await cluster.value('SELECT count(*) FROM rt.stat_connections')) >= 1, 'rt.stat_connections');
  assert.equal(await cluster.value('SELECT count(*) FROM rt.stat_gateway'), '1');
  await cluster.sql('SELECT * FROM rt.stat_rooms');
});

test('what another role notifies on the channel reaches nobody', async () => {
  const { roomId, client } = await watched();
  await session([
    ['CREATE ROLE forger'],
    ['SET ROLE forger'],
    ["SELECT pg_notify('rt_events', $1)", [JSON.stringify({ event: 'new-chat-message', route: { room: roomId }, roomId, data: { content: 'forged' } })]],
    ["SELECT pg_notify('rt_events', $1)", [JSON.stringify({ event: 'new-chat-message', offset: '999999', route: { room: roomId }, roomId, data: { content: 'forged' } })]],
    ["SELECT pg_notify('rt_events', $1)", [JSON.stringify({ event: 'rt:disconnect', route: { gateway: true }, userId: 'bob' })]],
    ['RESET ROLE'],
    [INSERT, [roomId, 'alice', 'real']],
  ]);
  await event(client, 'new-chat-message', (payload) => payload.roomId === roomId);
  await settled(cluster, client);
  assert.deepEqual(contents(client, roomId), ['real']);
  assert.ok(client.connected);
});

// The last one: it leaves nobody in any room.
test('TRUNCATE of the members ends the delivery to all of them', async () => {
  const { roomId, client } = await watched();
  await cluster.sql('TRUNCATE rt.room_members CASCADE');
  await cluster.insert(roomId, 'alice', 'to nobody');
  await settled(cluster, client);
  assert.deepEqual(contents(client, roomId), []);
});
