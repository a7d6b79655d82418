// Contract, section 2: chat events, as each side sees them.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { ask, askError, askOk, assertHas, closeAll, connect, dial, event, join, received, refusal, settled, until, within } from './lib/client.mjs';

let cluster, tokens;
let roomNumber = 0;

before(async () => {
  cluster = await Cluster.start();
  tokens = await cluster.tokens('alice', 'bob', 'carol');
});
after(() => cluster?.stop());
afterEach(closeAll);

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

// A fresh room of alice and bob, with a joined client of each.
async function scene() {
  const roomId = await cluster.room(`room ${++roomNumber}`, 'alice', 'bob');
  const alice = await connect(cluster, tokens.alice);
  const bob = await connect(cluster, tokens.bob);
  await join(alice, roomId);
  await join(bob, roomId);
  return { roomId, alice, bob };
}

async function send(roomId, senderId, content, more = {}) {
  const reply = await cluster.rest('POST', `/api/chat/rooms/${roomId}/msgs`, tokens[senderId], { content, ...more });
  assert.equal(reply.status, 201, JSON.stringify(reply.body));
  return reply.body.data;
}

describe('joining', () => {
  test('chat-rooms-joined and the ack say the same', async () => {
    const roomId = await cluster.room('joining', 'alice');
    const alice = await connect(cluster, tokens.alice);
    const reply = await askOk(alice, 'join-chat-rooms', { roomIds: [roomId] });
    assert.deepEqual(reply.rooms, [roomId]);
    assert.deepEqual(reply.failed, []);
    assert.equal(typeof reply.message, 'string');
    const joined = await event(alice, 'chat-rooms-joined');
    assert.deepEqual(joined.rooms, [roomId]);
    assert.equal(joined.success, true);
  });

  // The answer tells the epoch in which the numbers are.
  test('what is written while the database lets a client join comes behind the answer', async () => {
    const roomId = await cluster.room('joining slowly', 'alice', 'carol');
    const watcher = await connect(cluster, tokens.alice);
    await join(watcher, roomId);
    const carol = await connect(cluster, tokens.carol);
    const order = [];
    const blocker = await cluster.pool.connect();
    try {
      await blocker.query('BEGIN');
      await blocker.query("SELECT FROM rt_private.sessions WHERE user_id = 'carol' FOR UPDATE");
      carol.on('new-chat-message', ({ data }) => order.push(data.content));
      carol.on('chat-rooms-joined', () => order.push('joined'));
      carol.emit('join-chat-rooms', { roomIds: [roomId] }, () => order.push('ack'));
      await until(async () => await cluster.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") !== '0', 'the join waits');
      await send(roomId, 'alice', 'meanwhile');
      await event(watcher, 'new-chat-message', ({ data }) => data.content === 'meanwhile');
      await blocker.query('COMMIT');
      await until(() => order.length >= 3, 'all of it comes');
    } finally {
      blocker.release(true);
    }
    assert.deepEqual(order, ['joined', 'ack', 'meanwhile']);
  });

  test('the alias join-rooms, and ids as numbers', async () => {
    const roomId = await cluster.room('alias', 'alice');
    const alice = await connect(cluster, tokens.alice);
    const reply = await askOk(alice, 'join-rooms', { roomIds: [Number(roomId)] });
    assert.deepEqual(reply.rooms, [roomId]);
    alice.emit('join-rooms', { roomIds: 'x' });
    assert.equal((await event(alice, 'error')).event, 'join-rooms', 'the name that the client used');
  });

  test('partly failed', async () => {
    const mine = await cluster.room('mine', 'alice');
    const other = await cluster.room('not mine', 'bob');
    const alice = await connect(cluster, tokens.alice);
    const reply = await ask(alice, 'join-chat-rooms', { roomIds: [mine, other, '999999999'] });
    assert.equal(reply.success, false);
    assert.deepEqual(reply.rooms, [mine]);
    assert.deepEqual(reply.failed.map((item) => [item.roomId, item.error.code]), [[other, 'not_found'], ['999999999', 'not_found']]);
    assert.equal(reply.error.code, 'not_found');
    await cluster.insert(mine, 'alice', 'still joined to mine');
    await event(alice, 'new-chat-message', (payload) => payload.roomId === mine);
  });

  for (const [name, payload] of [['malformed id', { roomIds: ['x'] }], ['no list', {}], ['not a list', { roomIds: '1' }], ['no object', 'x'],
    ['nothing', undefined], ['id beyond 64 bits', { roomIds: ['99999999999999999999'] }], ['negative', { roomIds: [-1] }], ['fraction', { roomIds: [1.5] }], ['null', { roomIds: [null] }]]) {
    test(`bad_request: ${name}`, async () => {
      const alice = await connect(cluster, tokens.alice);
      await askError(alice, 'bad_request', 'join-chat-rooms', payload);
    });
  }

  test('leaving ends delivery', async () => {
    const { roomId, alice, bob } = await scene();
    const reply = await askOk(alice, 'leave-chat-room', { roomId });
    assert.equal(reply.roomId, roomId);
    await event(alice, 'chat-room-left');
    await cluster.insert(roomId, 'bob', 'after leaving');
    await event(bob, 'new-chat-message');
    await settled(cluster, alice);
    assert.equal(received(alice, 'new-chat-message', (payload) => payload.roomId === roomId).length, 0);
  });

  test('removal from the room ends delivery at once and is told', async () => {
    const { roomId, alice, bob } = await scene();
    await cluster.sql("DELETE FROM rt.room_members WHERE room_id = $1 AND user_id = 'bob'", [roomId]);
    await cluster.insert(roomId, 'alice', 'bob must not see this');
    await event(alice, 'new-chat-message');
    await settled(cluster, bob);
    assert.equal(received(bob, 'new-chat-message', (payload) => payload.roomId === roomId).length, 0);
    const removed = await event(bob, 'chat-notification', ({ type }) => type === 'room-removed');
    assert.equal(removed.data.roomId, roomId);
  });

  test('a room that is deleted is told to its members', async () => {
    const { roomId, bob } = await scene();
    await cluster.rest('DELETE', `/api/chat/rooms/${roomId}`, tokens.alice);
    const told = await event(bob, 'chat-notification', ({ type }) => type === 'room-deleted');
    assert.equal(told.data.roomId, roomId);
    await askError(bob, 'not_found', 'get-room-online-users', { roomId });
  });

  test('being added to a room is told, and a rename', async () => {
    const bob = await connect(cluster, tokens.bob);
    const roomId = await cluster.room('adding', 'alice');
    await cluster.sql("INSERT INTO rt.room_members (room_id, user_id) VALUES ($1, 'bob')", [roomId]);
    await event(bob, 'chat-notification', ({ type, data }) => type === 'room-added' && data.roomId === roomId);
    await cluster.sql("UPDATE rt.rooms SET name = 'renamed' WHERE id = $1", [roomId]);
    await event(bob, 'chat-notification', ({ type, data }) => type === 'room-updated' && data.roomId === roomId);
  });
});

// All before the gateway has heard of the removal, so it hears of the join first, or of both at once.
test('removed, added again, joined again', async () => {
  const { roomId, bob } = await scene();
  for (let i = 0; i < 30; i++) {
    await cluster.sql(`DELETE FROM rt.room_members WHERE room_id = ${roomId} AND user_id = 'bob'; COMMIT;
      INSERT INTO rt.room_members (room_id, user_id) VALUES (${roomId}, 'bob'); COMMIT`);
    await join(bob, roomId);
    await send(roomId, 'alice', `round ${i}`);
    await event(bob, 'new-chat-message', ({ data }) => data.content === `round ${i}`);
  }
  await cluster.sql("DELETE FROM rt.room_members WHERE room_id = $1 AND user_id = 'bob'", [roomId]);
  await event(bob, 'chat-notification', ({ type, data }, all = received(bob, 'chat-notification')) => type === 'room-removed' &&
    data.roomId === roomId && all.filter((other) => other.type === 'room-removed').length === 31);
  await send(roomId, 'alice', 'not for him');
  await settled(cluster, bob);
  assert.equal(received(bob, 'new-chat-message', ({ data }) => data.content === 'not for him').length, 0);
});

describe('messages', () => {
  test('new-chat-message has the whole MESSAGE, for the sender too', async () => {
    const { roomId, alice, bob } = await scene();
    const sent = await send(roomId, 'alice', 'hällo 🙂 "quoted" \\ \n\t', { messageType: 'text', metadata: { a: [1, { b: null }] }, clientId: 'c-1' });
    for (const client of [alice, bob]) {
      const payload = await event(client, 'new-chat-message');
      assert.equal(payload.type, 'new-message');
      assert.equal(payload.roomId, roomId);
      assert.match(payload.timestamp, ISO);
      const message = payload.data;
      assert.equal(message.id, `${roomId}-1`);
      assert.equal(message.messageId, message.id);
      assert.equal(message.roomId, roomId);
      assert.equal(message.seq, 1);
      assert.equal(message.senderId, 'alice');
      assert.equal(message.userId, 'alice');
      assert.equal(message.userName, 'Alice');
      assert.equal(message.content, 'hällo 🙂 "quoted" \\ \n\t');
      assert.equal(message.messageType, 'text');
      assert.deepEqual(message.metadata, { a: [1, { b: null }] });
      assert.equal(message.replyTo, null);
      assert.equal(message.clientId, 'c-1');
      assert.match(message.createdAt, ISO);
      assert.equal(message.timestamp, message.createdAt);
      assert.equal(message.editedAt, null);
      assert.equal(message.deletedAt, null);
      assert.deepEqual(message, sent);
    }
  });

  test('all sockets of the sender get it, once each', async () => {
    const { roomId, alice, bob } = await scene();
    const second = await connect(cluster, tokens.alice);
    await join(second, roomId);
    await send(roomId, 'alice', 'to all of mine');
    await settled(cluster, alice, bob, second);
    for (const client of [alice, bob, second]) assert.equal(received(client, 'new-chat-message', (payload) => payload.roomId === roomId).length, 1);
  });

  test('a long message arrives whole', async () => {
    const { roomId, bob } = await scene();
    const content = 'ü'.repeat(30_000);
    await send(roomId, 'alice', content);
    assert.equal((await event(bob, 'new-chat-message')).data.content, content);
  });

  test('edit, reaction, delivery, deletion, in order', async () => {
    const { roomId, bob } = await scene();
    const { id } = await send(roomId, 'alice', 'first');
    const path = `/api/chat/rooms/${roomId}/msgs/${id}`;
    assert.equal((await cluster.rest('PATCH', path, tokens.alice, { content: 'second' })).status, 200);
    const edited = await event(bob, 'chat-message-edited');
    assert.equal(edited.type, 'message-edited');
    assert.equal(edited.roomId, roomId);
    assertHas(edited.data, { messageId: id, roomId, newContent: 'second', editedBy: 'alice' });
    assert.match(edited.data.timestamp, ISO);

    assert.ok((await cluster.rest('PUT', `${path}/reactions/${encodeURIComponent('👍')}`, tokens.bob)).status < 300);
    const added = await event(bob, 'chat-message-reaction');
    assert.equal(added.type, 'message-reaction');
    assert.equal(added.data.emoji, '👍');
    assert.equal(added.data.userId, 'bob');
    assert.equal(added.data.action, 'add');
    assert.ok((await cluster.rest('DELETE', `${path}/reactions/${encodeURIComponent('👍')}`, tokens.bob)).status < 300);
    await event(bob, 'chat-message-reaction', ({ data }) => data.action === 'remove');

    assert.ok((await cluster.rest('PUT', `${path}/delivered`, tokens.bob)).status < 300);
    const delivered = await event(bob, 'chat-message-delivered');
    assert.equal(delivered.data.deliveredTo, 'bob');
    assert.equal(delivered.data.messageId, id);

    assert.equal((await cluster.rest('DELETE', path, tokens.alice)).status, 200);
    const deleted = await event(bob, 'chat-message-deleted');
    assert.equal(deleted.type, 'message-deleted');
    assert.equal(deleted.data.deletedBy, 'alice');
    assert.equal((await cluster.rest('PATCH', path, tokens.alice, { content: 'third' })).status, 410);
    assert.equal((await cluster.rest('DELETE', path, tokens.alice)).status, 200);
    await settled(cluster, bob);
    assert.equal(received(bob, 'chat-message-deleted').length, 1);
  });

  test('repeated reactions and deliveries send no second event', async () => {
    const { roomId, bob } = await scene();
    const { id } = await send(roomId, 'alice', 'x');
    const path = `/api/chat/rooms/${roomId}/msgs/${id}`;
    for (let i = 0; i < 2; i++) {
      assert.ok((await cluster.rest('PUT', `${path}/reactions/x`, tokens.bob)).status < 300);
      assert.ok((await cluster.rest('PUT', `${path}/delivered`, tokens.bob)).status < 300);
    }
    await settled(cluster, bob);
    assert.equal(received(bob, 'chat-message-reaction').length, 1);
    assert.equal(received(bob, 'chat-message-delivered').length, 1);
  });

  test("a message in a room not joined is a notification, to the sender's sockets as their own", async () => {
    const roomId = await cluster.room('not joined', 'alice', 'bob');
    const alice = await connect(cluster, tokens.alice);
    const bob = await connect(cluster, tokens.bob);
    await send(roomId, 'alice', 'knock');
    await event(bob, 'chat-notification', ({ type, data }) => type === 'new-message' && data.roomId === roomId);
    await settled(cluster, alice, bob);
    assert.deepEqual(received(alice, 'chat-notification', ({ type }) => type === 'new-message').map(({ own }) => own), [true]);
    assert.equal(received(bob, 'new-chat-message', (payload) => payload.roomId === roomId).length, 0);
  });

  test('also of a sender whose id has quotes', async () => {
    const odd = 'al"\\ice';
    const [token] = await cluster.users(odd);
    const roomId = await cluster.room('quotes', odd, 'bob');
    const alice = await connect(cluster, token);
    const bob = await connect(cluster, tokens.bob);
    await cluster.insert(roomId, odd, 'knock');
    await event(bob, 'chat-notification', ({ type, data }) => type === 'new-message' && data.senderId === odd);
    await settled(cluster, alice, bob);
    assert.deepEqual(received(alice, 'chat-notification', ({ type }) => type === 'new-message').map(({ own }) => own), [true]);
  });

  test('a mention is told to the mentioned, joined or not', async () => {
    const { roomId, bob } = await scene();
    await send(roomId, 'alice', 'hey @bob');
    await event(bob, 'chat-notification', ({ type, data }) => type === 'mention' && data.roomId === roomId);
    await send(roomId, 'alice', 'and again', { metadata: { mentions: ['bob'] } });
    await until(() => received(bob, 'chat-notification', ({ type }) => type === 'mention').length === 2, 'second mention');
  });
});

describe('typing', () => {
  test('others see it, the sender does not, and it ends by itself once', async () => {
    const { roomId, alice, bob } = await scene();
    await askOk(alice, 'chat-typing', { roomId, isTyping: true });
    const started = await event(bob, 'chat-user-typing');
    assert.equal(started.userId, 'alice');
    assert.equal(started.userName, 'Alice');
    assert.equal(started.roomId, roomId);
    assert.equal(started.isTyping, true);
    assert.match(started.timestamp, ISO);
    await event(bob, 'chat-user-typing', ({ isTyping }) => !isTyping);
    await settled(cluster, alice, bob);
    assert.equal(received(bob, 'chat-user-typing').length, 2);
    assert.equal(received(alice, 'chat-user-typing').length, 0);
  });

  // How long somebody typed who ends it like that, by the server's clock.
  async function typed(end) {
    const { roomId, alice, bob } = await scene();
    await askOk(alice, 'chat-typing', { roomId, isTyping: true });
    const started = await event(bob, 'chat-user-typing');
    await end(alice, roomId);
    const ended = await event(bob, 'chat-user-typing', ({ isTyping }) => !isTyping);
    return Date.parse(ended.timestamp) - Date.parse(started.timestamp);
  }

  test('ends by itself after three seconds', () => within(1000, async () => Math.abs((await typed(() => {})) - 3000)));
  test('ends when the socket drops', () => within(2000, () => typed((alice) => alice.disconnect())));
  test('ends when the socket leaves', () => within(2000, () => typed((alice, roomId) => askOk(alice, 'leave-chat-room', { roomId }))));

  test('repeats are told at most once a second', async () => {
    const { roomId, alice, bob } = await scene();
    const begun = performance.now();
    for (let i = 0; i < 20; i++) await askOk(alice, 'chat-typing', { roomId, isTyping: true });
    const seconds = (performance.now() - begun) / 1000;
    await askOk(alice, 'chat-typing', { roomId, isTyping: false });
    await event(bob, 'chat-user-typing', ({ isTyping }) => !isTyping);
    const told = received(bob, 'chat-user-typing', ({ isTyping }) => isTyping).length;
    assert.ok(told <= 1 + seconds, `${told} in ${seconds} s`);
  });

  test('whoever begins and is gone at once does not type', async () => {
    const { roomId, bob } = await scene();
    const told = () => received(bob, 'chat-user-typing').map(({ isTyping }) => isTyping);
    const wanted = [];
    for (let i = 0; i < 15; i++) {
      const phone = await connect(cluster, tokens.alice);
      await join(phone, roomId);
      wanted.push(true, false);
      phone.emit('chat-typing', { roomId, isTyping: true });
      phone.disconnect();
      await until(() => told().length >= wanted.length, 'both');
    }
    assert.deepEqual(told(), wanted);
  });

  test('beginning and ending in a row keep their order', async () => {
    const { roomId, alice, bob } = await scene();
    const told = () => received(bob, 'chat-user-typing').map(({ isTyping }) => isTyping);
    const wanted = [];
    for (let i = 0; i < 25; i++) {
      wanted.push(true, false);
      await Promise.all([true, false].map((isTyping) => askOk(alice, 'chat-typing', { roomId, isTyping })));
      await until(() => told().length >= wanted.length, 'both');
      assert.deepEqual(told(), wanted);
    }
  });

  test('without having joined: forbidden; a stranger: not_found', async () => {
    const roomId = await cluster.room('typing', 'alice', 'bob');
    const alice = await connect(cluster, tokens.alice);
    const carol = await connect(cluster, tokens.carol);
    await askError(alice, 'forbidden', 'chat-typing', { roomId, isTyping: true });
    await askError(carol, 'not_found', 'chat-typing', { roomId, isTyping: true });
    await askError(carol, 'not_found', 'chat-typing', { roomId: '999999', isTyping: true });
    await askError(alice, 'bad_request', 'chat-typing', { roomId, isTyping: 'yes' });
    await askError(alice, 'bad_request', 'chat-typing', { roomId });
  });
});

describe('seen', () => {
  test('acknowledged to the caller, told to others once, only what is new', async () => {
    const { roomId, alice, bob } = await scene();
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await send(roomId, 'alice', `m${i}`)).id);
    const reply = await askOk(bob, 'mark-msgs-seen', { roomId, messageIds: ids.slice(0, 2) });
    assert.deepEqual(reply.messageIds, ids.slice(0, 2));
    await event(bob, 'messages-seen-acknowledged');
    const seen = await event(alice, 'messages-seen');
    assert.equal(seen.userId, 'bob');
    assert.equal(seen.roomId, roomId);
    assert.deepEqual(seen.messageIds, ids.slice(0, 2));
    await askOk(bob, 'mark-messages-seen', { roomId, messageIds: ids });
    await until(() => received(alice, 'messages-seen').length === 2, 'second batch');
    assert.deepEqual(received(alice, 'messages-seen')[1].messageIds, ids.slice(2));
    await askOk(bob, 'mark-msgs-seen', { roomId, messageIds: ids });
    await settled(cluster, alice, bob);
    assert.equal(received(alice, 'messages-seen').length, 2);
    assert.equal(received(bob, 'messages-seen').length, 0);
    assert.equal(await cluster.value("SELECT last_read_seq FROM rt.room_members WHERE room_id = $1 AND user_id = 'bob'", [roomId]), '3');
  });

  test("one's own message: no error, nothing stored; foreign and unknown ids: not_found, nothing stored", async () => {
    const { roomId, alice, bob } = await scene();
    const { id } = await send(roomId, 'alice', 'mine');
    await askOk(alice, 'mark-msgs-seen', { roomId, messageIds: [id] });
    await askError(bob, 'not_found', 'mark-msgs-seen', { roomId, messageIds: [id, `${roomId}-99`] });
    await askError(bob, 'bad_request', 'mark-msgs-seen', { roomId, messageIds: ['nonsense'] });
    assert.equal(await cluster.value('SELECT count(*) FROM rt.receipts WHERE room_id = $1 AND seen_at IS NOT NULL', [roomId]), '0');
  });
});

describe('presence', () => {
  test('online, status, offline are told to who shares a room, once', async () => {
    const [dave, erin, frank] = await cluster.users('dave', 'erin', 'frank');
    const roomId = await cluster.room('presence', 'dave', 'erin');
    await cluster.room('presence two', 'dave', 'erin');
    const erinClient = await connect(cluster, erin);
    const frankClient = await connect(cluster, frank);
    const daveClient = await connect(cluster, dave);
    const ofDave = ({ userId }) => userId === 'dave';
    const online = await event(erinClient, 'chat-user-status-update', ofDave);
    assert.equal(online.status, 'online');
    assert.equal(online.isOnline, true);
    assert.equal(online.userName, 'Dave');
    await askOk(daveClient, 'update-chat-status', { status: 'busy', statusMessage: 'thinking' });
    const busy = await event(erinClient, 'chat-user-status-update', (payload) => ofDave(payload) && payload.status === 'busy');
    assert.equal(busy.statusMessage, 'thinking');
    const reply = await askOk(erinClient, 'get-room-online-users', { roomId });
    assert.deepEqual(reply.users.map((user) => user.userId).sort(), ['dave', 'erin']);
    assert.equal(reply.count, 2);
    assert.equal(reply.users.find(ofDave).status, 'busy');
    daveClient.disconnect();
    const offline = await event(erinClient, 'chat-user-status-update', (payload) => ofDave(payload) && payload.status === 'offline');
    assert.equal(offline.isOnline, false);
    assert.match(offline.lastSeen, ISO);
    await settled(cluster, erinClient, frankClient);
    assert.equal(received(erinClient, 'chat-user-status-update', ofDave).length, 3);
    assert.equal(received(frankClient, 'chat-user-status-update', ofDave).length, 0);
    await connect(cluster, await cluster.token('dave'));
    const back = () => received(erinClient, 'chat-user-status-update', ofDave).length === 4;
    await until(back, 'back again');
    assert.equal(received(erinClient, 'chat-user-status-update', ofDave)[3].status, 'online', 'a new connection is online, whatever was chosen before');
  });

  test('of two statuses in a row the second is the last word', async () => {
    const alice = await connect(cluster, tokens.alice);
    for (let i = 0; i < 50; i++) {
      await Promise.all(['away', 'busy'].map((status) => askOk(alice, 'update-chat-status', { status })));
      assert.equal(await cluster.value("SELECT status FROM rt.presence WHERE user_id = 'alice'"), 'busy', `time ${i}`);
    }
  });

  test('offline and nonsense are refused', async () => {
    const alice = await connect(cluster, tokens.alice);
    for (const status of ['offline', 'invisible', 7, null]) await askError(alice, 'bad_request', 'update-chat-status', { status });
  });

  test('whoever goes is offline after a few seconds', () => within(8000, async () => {
    const name = `user-${Math.random().toString(36).slice(2)}`;
    const [token] = await cluster.users(name);
    await cluster.room('going', name, 'bob');
    const watcher = await connect(cluster, tokens.bob);
    const client = await connect(cluster, token);
    await event(watcher, 'chat-user-status-update', ({ userId }) => userId === name);
    const gone = performance.now();
    client.disconnect();
    await event(watcher, 'chat-user-status-update', ({ userId, status }) => userId === name && status === 'offline');
    return performance.now() - gone;
  }));

  test('one of two sockets going is not offline', async () => {
    const [gina, hugo] = await cluster.users('gina', 'hugo');
    await cluster.room('two sockets', 'gina', 'hugo');
    const watcher = await connect(cluster, hugo);
    const first = await connect(cluster, gina);
    const second = await connect(cluster, gina);
    await event(watcher, 'chat-user-status-update', ({ userId }) => userId === 'gina');
    first.disconnect();
    second.disconnect();
    await event(watcher, 'chat-user-status-update', ({ userId, status }) => userId === 'gina' && status === 'offline');
    assert.deepEqual(received(watcher, 'chat-user-status-update', ({ userId }) => userId === 'gina').map(({ status }) => status), ['online', 'offline']);
  });

  test('get-room-online-users of a stranger: not_found', async () => {
    const roomId = await cluster.room('strangers', 'alice');
    const carol = await connect(cluster, tokens.carol);
    await askError(carol, 'not_found', 'get-room-online-users', { roomId });
  });
});

describe('sync-rooms', () => {
  test('what was missed, in order, in pages', async () => {
    const { roomId, alice } = await scene();
    for (let i = 1; i <= 5; i++) await cluster.insert(roomId, 'bob', `m${i}`);
    const reply = await askOk(alice, 'sync-rooms', { rooms: [{ roomId, afterSeq: 1 }], limit: 2 });
    assert.equal(reply.rooms.length, 1);
    assert.deepEqual(reply.rooms[0].messages.map(({ seq }) => seq), [2, 3]);
    assert.equal(reply.rooms[0].roomId, roomId);
    assert.equal(reply.rooms[0].lastSeq, 5);
    assert.equal(reply.rooms[0].hasMore, true);
    const rest = await askOk(alice, 'sync-rooms', { rooms: [{ roomId, afterSeq: 3 }] });
    assert.deepEqual(rest.rooms[0].messages.map(({ seq }) => seq), [4, 5]);
    assert.equal(rest.rooms[0].hasMore, false);
    await askError(alice, 'bad_request', 'sync-rooms', { rooms: [{ roomId, afterSeq: 1 }], limit: 0 });
  });

  test('the last number is that of the last message, whoever writes meanwhile', async () => {
    const { roomId, bob } = await scene();
    let writing = true;
    const writers = [1, 2, 3].map(async () => { while (writing) await cluster.insert(roomId, 'alice', 'more'); });
    try {
      for (let i = 0, afterSeq = 0; i < 150; i++) {
        const { rooms: [{ messages, lastSeq }] } = await askOk(bob, 'sync-rooms', { rooms: [{ roomId, afterSeq }], limit: 1000 });
        afterSeq = messages.at(-1)?.seq ?? afterSeq;
        assert.equal(lastSeq, afterSeq);
        const { body: { data: room } } = await cluster.rest('GET', `/api/chat/rooms/${roomId}`, tokens.bob);
        assert.equal(room.lastSeq, room.lastMessage?.seq ?? 0);
      }
    } finally {
      writing = false;
      await Promise.all(writers);
    }
  });
});

test('rt.broadcast reaches who joined; rt.disconnect_user ends sockets', async () => {
  const { roomId, alice, bob } = await scene();
  await cluster.sql(`SELECT rt.broadcast($1, 'deploy-finished', '{"version": 7}')`, [roomId]);
  assert.equal((await event(bob, 'deploy-finished')).version, 7);
  await cluster.sql("SELECT rt.disconnect_user('bob', 'bye')");
  await until(() => !bob.connected, 'bob is disconnected');
  assert.ok(alice.connected);
});

test('a user that is deleted is disconnected, and offline for the contacts', async () => {
  const [ivan, judy] = await cluster.users('ivan', 'judy');
  await cluster.room('deleted', 'ivan', 'judy');
  const watcher = await connect(cluster, judy);
  const first = await connect(cluster, ivan);
  const second = await connect(cluster, ivan);
  const ofIvan = ({ userId }) => userId === 'ivan';
  await event(watcher, 'chat-user-status-update', ofIvan);
  await cluster.sql("DELETE FROM rt.users WHERE id = 'ivan'");
  await until(() => !first.connected && !second.connected, 'both sockets are gone');
  await event(watcher, 'chat-user-status-update', (payload) => ofIvan(payload) && payload.status === 'offline');
  await settled(cluster, watcher);
  assert.deepEqual(received(watcher, 'chat-user-status-update', ofIvan).map(({ status }) => status), ['online', 'offline']);
});

test('a client that the database cannot let in comes back by itself', async () => {
  const blocker = await cluster.pool.connect();
  try {
    await blocker.query('BEGIN');
    await blocker.query('LOCK TABLE rt.presence IN ACCESS EXCLUSIVE MODE');
    const client = dial(cluster, tokens.alice, { reconnection: true, reconnectionDelay: 100 });
    const waiting = () => cluster.sql("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'rt_gateway'");
    const [{ pid }] = await until(async () => (await waiting()).length && waiting(), 'the gateway asks');
    await cluster.sql('SELECT pg_terminate_backend($1)', [pid]);
    await until(async () => (await waiting()).some((other) => other.pid !== pid), 'the client tries again');
    await blocker.query('COMMIT');
    await until(() => client.connected, 'the client is in');
  } finally {
    blocker.release(true);
  }
});

test('a user that is deleted while connecting is refused, and nobody else with it', async () => {
  const [kate] = await cluster.users('kate');
  const writer = await cluster.pool.connect();
  try {
    await writer.query('BEGIN');
    await writer.query("DELETE FROM rt.users WHERE id = 'kate'");
    const refused = refusal(dial(cluster, kate));
    const others = Array.from({ length: 5 }, () => connect(cluster, tokens.alice));
    await until(async () => await cluster.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") === '1', 'the deletion is waited for');
    await writer.query('COMMIT');
    assert.equal((await refused).message, 'User not found');
    await Promise.all(others);
  } finally {
    writer.release(true);
  }
});

test('the order of keys in what SQL emits does not matter', async () => {
  const roomId = await cluster.room('shuffled', 'alice', 'bob', 'carol');
  const connectAll = async (names) => Object.fromEntries(await Promise.all(Object.entries(names).map(async ([name, token]) => [name, await connect(cluster, token)])));
  const clients = await connectAll({ joined: tokens.bob, except: tokens.bob, late: tokens.bob, unjoined: tokens.carol, sender: tokens.alice });
  const positions = [];
  clients.joined.onAny((name, payload, offset) => payload.roomId === roomId && positions.push(offset));
  for (const name of ['joined', 'except', 'late']) await join(clients[name], roomId);
  await settled(cluster, clients.late);
  clients.late.io.reconnection(false);
  clients.late.io.engine.close();
  const data = { metadata: { senderId: 'carol', data: {} }, content: '"data":{,"senderId":"bob"', seq: 1, senderId: 'alice', id: `${roomId}-1` };
  const members = [['timestamp', '2030-01-01T00:00:00.000Z'], ['data', data], ['roomId', roomId], ['type', 'new-message']];
  for (let turn = 0; turn < members.length; turn++) {
    for (const order of [members, members.toReversed()]) {
      const payload = Object.fromEntries([...order.slice(turn), ...order.slice(0, turn)]);
      if (turn % 2) payload.data = Object.fromEntries(Object.entries(data).toReversed());
      const route = turn % 2 ? { except: clients.except.id, room: roomId } : { room: roomId, except: clients.except.id };
      await cluster.sql('SELECT rt_private.emit($1, $2, $3)', ['new-chat-message', JSON.stringify(route), JSON.stringify(payload)]);
    }
  }
  clients.late.io.reconnection(true);
  clients.late.connect();
  await event(clients.late, 'new-chat-message', (payload) => payload.roomId === roomId);
  await settled(cluster, ...Object.values(clients));
  const whole = Array.from({ length: 8 }, () => Object.fromEntries(members));
  const told = whole.map(({ type, timestamp }) => ({ type, data, timestamp }));
  const messages = (client) => received(client, 'new-chat-message', (payload) => payload.roomId === roomId);
  const notifications = (client) => received(client, 'chat-notification', (payload) => payload.data?.content === data.content);
  assert.deepEqual(messages(clients.joined), whole);
  assert.equal(clients.late.recovered, true);
  assert.deepEqual(messages(clients.late), whole, 'from the recent events, by their positions');
  assert.deepEqual(positions.map((pos, i) => i === 0 || BigInt(pos) > BigInt(positions[i - 1])), Array(8).fill(true));
  assert.deepEqual(messages(clients.except), []);
  assert.deepEqual(notifications(clients.unjoined), told);
  assert.deepEqual(notifications(clients.sender), told.map((one) => ({ own: true, ...one })));
});
