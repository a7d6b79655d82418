// Limits: what one client may take, and what happens to the one that takes more.
import assert from 'node:assert/strict';
import { connect as connectTcp } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { ask, askError, closeAll, closed, connect, dial, join, rawClient, refusal, until } from './lib/client.mjs';

let cluster, alice, bob, roomId;

before(async () => {
  cluster = await Cluster.start({
    'rt.max_connections': 100, 'rt.max_connections_per_user': 5, 'rt.rate_messages': 5, 'rt.rate_burst': 10, 'rt.rate_events': 20, 'rt.rate_logins': 10,
    'rt.max_rooms_per_connection': 3,
  });
  [alice, bob] = await cluster.users('alice', 'bob');
  roomId = await cluster.room('limits', 'alice', 'bob');
});
after(() => cluster?.stop());
afterEach(closeAll);

test('connections a user', async () => {
  for (let i = 0; i < 5; i++) await connect(cluster, alice);
  const error = await refusal(dial(cluster, alice));
  assert.ok(error.message);
  await connect(cluster, bob);
});

test('connections in all: those beyond are refused, and room comes back', async () => {
  const { hostname, port } = new URL(cluster.url);
  const sockets = Array.from({ length: 150 }, () => {
    const socket = connectTcp(Number(port), hostname);
    socket.on('error', () => {});
    socket.on('close', () => { socket.ended = true; });
    socket.resume();
    return socket;
  });
  try {
    await until(() => sockets.filter(({ ended }) => ended).length >= 50, 'some are refused');
    assert.ok(sockets.filter(({ ended }) => !ended).length >= 80, 'some are not');
  } finally {
    for (const socket of sockets) socket.destroy();
  }
  await until(async () => (await cluster.rest('GET', '/healthz').catch(() => ({ status: 0 }))).status === 200, 'served again');
});

test('rooms a connection: those that are joined already count once', async () => {
  const client = await connect(cluster, alice);
  const roomIds = await Promise.all([1, 2, 3, 4].map((i) => cluster.room(`room ${i}`, 'alice')));
  await askError(client, 'too_large', 'join-rooms', { roomIds });
  await join(client, ...roomIds.slice(1));
  await join(client, ...roomIds.slice(1));
  await askError(client, 'too_large', 'join-rooms', { roomIds });
});

test('sessions that do not connect make room for those that do', async () => {
  const other = await connect(cluster, bob);
  for (let i = 0; i < 120; i++) {
    const reply = await fetch(`${cluster.url}/socket.io/?EIO=4&transport=polling`);
    assert.equal(reply.status, 200);
    await reply.text();
  }
  await connect(cluster, alice, { transports: ['polling'] });
  await connect(cluster, alice);
  assert.ok(other.connected, 'and not those that have');
});

test('messages a user: 429 with Retry-After, and later again 201', async () => {
  const send = () => cluster.rest('POST', `/api/chat/rooms/${roomId}/msgs`, alice, { content: 'x' });
  const refused = await until(async () => {
    const begun = performance.now();
    const replies = await Promise.all(Array.from({ length: 30 }, send));
    const seconds = (performance.now() - begun) / 1000;
    const accepted = replies.filter(({ status }) => status === 201).length;
    assert.ok(accepted <= 10 + 5 * seconds + 1, `${accepted} in ${seconds} s`);
    return accepted < 30 && replies.filter(({ status }) => status === 429);
  }, 'refusals');
  assert.ok(refused.length > 0);
  for (const { headers, body } of refused) {
    assert.ok(Number(headers.get('retry-after')) >= 1);
    assert.equal(body.error.code, 'rate_limited');
  }
  await until(async () => (await send()).status === 201, 'allowed again');
});

test('events a connection: rate_limited, the session lives', async () => {
  const client = await connect(cluster, bob);
  await until(async () => {
    const replies = await Promise.all(Array.from({ length: 100 }, () => ask(client, 'get-room-online-users', { roomId })));
    assert.ok(replies.some(({ success }) => success));
    return replies.some(({ error }) => error?.code === 'rate_limited');
  }, 'refusals');
  assert.ok(client.connected);
  await until(async () => (await ask(client, 'get-room-online-users', { roomId })).success, 'allowed again');
});

test('logins an address', async () => {
  const replies = await Promise.all(Array.from({ length: 15 }, () => cluster.rest('POST', '/auth', undefined, { username: 'alice', password: 'guess' })));
  assert.ok(replies.some(({ status }) => status === 429));
});

test('a reader that does not read is cut off, the others get everything', async () => {
  const slow = await rawClient(cluster, bob);
  slow.send(`421["join-chat-rooms",{"roomIds":["${roomId}"]}]`);
  await until(() => slow.packets.some((packet) => String(packet).startsWith('431')), 'joined');
  slow.pause();
  const quick = await connect(cluster, alice);
  await join(quick, roomId);
  // More than the kernel's buffers of both sides take.
  const total = 400;
  const content = 'w'.repeat(60_000);
  for (let i = 0; i < total; i++) await cluster.insert(roomId, 'alice', content);
  await until(() => quick.events.filter(([name]) => name === 'new-chat-message').length >= total, 'the quick one has all', 180_000);
  await until(async () => Number(await cluster.value('SELECT cut_off FROM rt.stat_gateway')) === 1, 'it is cut off');
  slow.resume();
  await closed(slow);
});
