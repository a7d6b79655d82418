// Contract, section 1: connection state recovery, as the unmodified client does it.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { closeAll, connect, connected, event, join, packet, rawSocket, received, settled, until } from './lib/client.mjs';

let cluster, alice, bob;
let roomNumber = 0;

before(async () => {
  cluster = await Cluster.start();
  [alice, bob] = await cluster.users('alice', 'bob');
});
after(() => cluster?.stop());
afterEach(closeAll);

async function joinedClient(token = alice, options = {}) {
  const roomId = await cluster.room(`recovery ${++roomNumber}`, 'alice', 'bob');
  const client = await connect(cluster, token, { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200, ...options });
  await join(client, roomId);
  await cluster.insert(roomId, 'bob', 'before');
  await event(client, 'new-chat-message');
  return { client, roomId };
}

// Cuts the connection as a network would, and keeps the client from coming back until resume() is called.
function cut(client) {
  client.io.reconnection(false);
  client.io.engine.close();
}

function resume(client) {
  client.io.reconnection(true);
  client.connect();
  return connected(client);
}

function contents(client, roomId) {
  return received(client, 'new-chat-message', (payload) => payload.roomId === roomId).map(({ data }) => data.content);
}

test('missed messages come in order, without holes and doubles, and the rooms are back', async () => {
  const { client, roomId } = await joinedClient();
  assert.equal(client.recovered, false);
  cut(client);
  await until(() => !client.connected, 'cut');
  for (let i = 0; i < 50; i++) await cluster.insert(roomId, 'bob', `missed ${i}`);
  await resume(client);
  assert.equal(client.recovered, true);
  await cluster.insert(roomId, 'bob', 'after');
  await event(client, 'new-chat-message', ({ data }) => data.content === 'after');
  assert.deepEqual(contents(client, roomId), ['before', ...Array.from({ length: 50 }, (_, i) => `missed ${i}`), 'after']);
});

test('what the log has before a notification tells it comes once', async () => {
  const { client, roomId } = await joinedClient();
  const sent = ['before'];
  const send = async (content) => { sent.push(content); await cluster.insert(roomId, 'bob', content); };
  cut(client);
  await send('missed');
  await cluster.killGateway(); // its successor has to read the log
  const listens = await until(() => cluster.value("SELECT pid FROM pg_stat_activity WHERE usename = 'rt_gateway' AND query ~ '^LISTEN'"), 'its LISTEN');
  process.kill(Number(listens), 'SIGSTOP');
  try {
    client.io.reconnection(true);
    client.connect();
    while (contents(client, roomId).length < 3) await send(`early ${sent.length}`);
  } finally {
    process.kill(Number(listens), 'SIGCONT');
  }
  assert.equal(client.recovered, true);
  await send('after');
  await event(client, 'new-chat-message', ({ data }) => data.content === 'after');
  assert.deepEqual(contents(client, roomId), sent);
});

test('what is sent late does not lead a client back', async () => {
  const { client, roomId } = await joinedClient();
  const other = await connect(cluster, bob);
  const offsets = [];
  client.onAny((name, ...args) => offsets.push(BigInt(args.at(-1))));
  // The first status opens a window; the next one waits for its end, and messages overtake it.
  for (const status of ['away', 'busy']) other.emit('update-chat-status', { status });
  for (let i = 0; i < 5; i++) await cluster.insert(roomId, 'bob', `overtakes ${i}`);
  await event(client, 'chat-user-status-update', ({ userId, status }) => userId === 'bob' && status === 'busy');
  await event(client, 'new-chat-message', ({ data }) => data.content === 'overtakes 4');
  assert.deepEqual(offsets, [...offsets].sort((a, b) => Number(a - b)));
});

test('a restart of the gateway is recovered from', async () => {
  const { client, roomId } = await joinedClient();
  const gateway = await cluster.pid('gateway');
  process.kill(gateway, 'SIGKILL');
  for (let i = 0; i < 20; i++) await cluster.insert(roomId, 'bob', `missed ${i}`);
  await event(client, 'new-chat-message', ({ data }) => data.content === 'missed 19');
  assert.equal(client.recovered, true);
  await settled(cluster, client);
  assert.deepEqual(contents(client, roomId), ['before', ...Array.from({ length: 20 }, (_, i) => `missed ${i}`)]);
});

test('messages too long for a notification are recovered whole', async () => {
  const { client, roomId } = await joinedClient();
  cut(client);
  await until(() => !client.connected, 'cut');
  await cluster.insert(roomId, 'bob', 'x'.repeat(20_000));
  await resume(client);
  await until(() => contents(client, roomId).length === 2, 'recovered');
  assert.equal(contents(client, roomId)[1].length, 20_000);
});

test('edits, deletions and reactions are recovered, typing is not', async () => {
  const { client, roomId } = await joinedClient();
  const other = await connect(cluster, bob);
  await join(other, roomId);
  cut(client);
  await until(() => !client.connected, 'cut');
  await cluster.sql("UPDATE rt.messages SET content = 'edited' WHERE room_id = $1", [roomId]);
  await cluster.sql("INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES ($1, 1, 'bob', '👍')", [roomId]);
  await other.timeout(60_000).emitWithAck('chat-typing', { roomId, isTyping: true });
  await cluster.sql('DELETE FROM rt.messages WHERE room_id = $1', [roomId]);
  await resume(client);
  await event(client, 'chat-message-deleted');
  assert.equal(received(client, 'chat-message-edited').length, 1);
  assert.equal(received(client, 'chat-message-reaction').length, 1);
  assert.equal(received(client, 'chat-user-typing', ({ isTyping }) => isTyping).length, 0);
});

test('a room lost meanwhile is not given back', async () => {
  const { client, roomId } = await joinedClient();
  cut(client);
  await until(() => !client.connected, 'cut');
  await cluster.sql("DELETE FROM rt.room_members WHERE room_id = $1 AND user_id = 'alice'", [roomId]);
  await cluster.insert(roomId, 'bob', 'secret');
  await resume(client);
  await settled(cluster, client);
  assert.deepEqual(contents(client, roomId), ['before']);
});

test('a room lost before the connection broke is not given back either, though the user is in it again', async () => {
  const roomId = await cluster.room('lost and back', 'alice', 'bob');
  const client = await connect(cluster, bob, { reconnection: true, reconnectionDelay: 50 });
  await join(client, roomId);
  await cluster.sql("DELETE FROM rt.room_members WHERE room_id = $1 AND user_id = 'bob'", [roomId]);
  await event(client, 'chat-notification', ({ type }) => type === 'room-removed');
  await cluster.sql("INSERT INTO rt.room_members (room_id, user_id) VALUES ($1, 'bob')", [roomId]);
  await event(client, 'chat-notification', ({ type, data }) => type === 'room-added' && data.roomId === roomId);
  client.io.engine.close();
  await until(() => !client.connected, 'the end of the connection');
  await until(() => client.connected, 'another one');
  assert.equal(client.recovered, true);
  await cluster.insert(roomId, 'alice', 'hello');
  await event(client, 'chat-notification', ({ type, data }) => type === 'new-message' && data.roomId === roomId);
  assert.deepEqual(received(client, 'new-chat-message'), []);
});

test('a session is taken over while the server still believes in the old connection', async () => {
  const roomId = await cluster.room('take over', 'alice', 'bob');
  const first = await rawSocket(cluster);
  first.send(`40${JSON.stringify({ token: alice })}`);
  const { pid } = JSON.parse((await packet(first, '40')).slice(2));
  assert.equal(typeof pid, 'string');
  first.send(`421["join-chat-rooms",{"roomIds":["${roomId}"]}]`);
  await packet(first, '431');
  await cluster.insert(roomId, 'bob', 'one');
  const offset = JSON.parse((await packet(first, '42["new-chat-message"')).slice(2)).at(-1);
  assert.equal(typeof offset, 'string');
  await cluster.insert(roomId, 'bob', 'two');
  await packet(first, (text) => text.includes('"two"'));
  const second = await rawSocket(cluster);
  second.send(`40${JSON.stringify({ token: alice, pid, offset })}`);
  const reply = JSON.parse((await packet(second, '40')).slice(2));
  assert.equal(reply.pid, pid);
  await packet(second, (text) => text.includes('"two"'));
  await cluster.insert(roomId, 'bob', 'three');
  await packet(second, (text) => text.includes('"three"'));
  const messages = second.packets.filter((text) => text.startsWith('42["new-chat-message"')).map((text) => JSON.parse(text.slice(2))[1].data.content);
  assert.deepEqual(messages, ['two', 'three']);
});

test('a pid of another user, or unknown, gives a fresh session', async () => {
  const first = await rawSocket(cluster);
  first.send(`40${JSON.stringify({ token: alice })}`);
  const { pid, sid } = JSON.parse((await packet(first, '40')).slice(2));
  for (const wrong of [{ token: bob, pid, offset: '0' }, { token: bob, pid: 'unknown', offset: '1' }, { token: bob, pid: 7, offset: {} }]) {
    const socket = await rawSocket(cluster);
    socket.send(`40${JSON.stringify(wrong)}`);
    const reply = JSON.parse((await packet(socket, '40')).slice(2));
    assert.notEqual(reply.pid, pid);
    assert.notEqual(reply.sid, sid);
  }
});

test('a hundred clients reconnect at once and all are whole', async () => {
  const roomId = await cluster.room('herd', 'alice', 'bob');
  const clients = await Promise.all(Array.from({ length: 100 }, (_, i) => connect(cluster, i % 2 ? alice : bob, { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 300 })));
  await Promise.all(clients.map((client) => join(client, roomId)));
  await cluster.insert(roomId, 'bob', '0');
  await Promise.all(clients.map((client) => event(client, 'new-chat-message')));
  process.kill(await cluster.pid('gateway'), 'SIGKILL');
  for (let i = 1; i <= 100; i++) await cluster.insert(roomId, 'bob', String(i));
  await Promise.all(clients.map((client) => until(() => contents(client, roomId).length >= 101, 'all messages')));
  for (const client of clients) assert.deepEqual(contents(client, roomId), Array.from({ length: 101 }, (_, i) => String(i)));
});

test('CONNECT, joins, sync-rooms and REST tell one epoch', async () => {
  const { client, roomId } = await joinedClient();
  const epoch = await cluster.value('SELECT rt.epoch()');
  const socket = await rawSocket(cluster);
  socket.send(`40${JSON.stringify({ token: alice })}`);
  const reply = await packet(socket, (text) => text.startsWith('40'));
  assert.equal(JSON.parse(reply.slice(2)).epoch, epoch);
  const joined = await client.timeout(60_000).emitWithAck('join-chat-rooms', { roomIds: [roomId] });
  assert.equal(joined.epoch, epoch);
  const told = await event(client, 'chat-rooms-joined');
  assert.equal(told.epoch, epoch);
  const synced = await client.timeout(60_000).emitWithAck('sync-rooms', { rooms: [{ roomId, afterSeq: 0 }] });
  assert.equal(synced.epoch, epoch);
  assert.equal((await cluster.rest('GET', `/api/chat/rooms/${roomId}/msgs`, alice)).body.epoch, epoch);
});
