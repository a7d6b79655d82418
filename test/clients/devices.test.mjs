// Contract, section 7: a user's devices; offsets, and recovery as things are now.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import pg from 'pg';
import { Cluster } from './lib/cluster.mjs';
import { askOk, assertHas, closeAll, connect, dial, connected, event, join, rawSocket, packet, received, settled, until } from './lib/client.mjs';

let cluster, tokens;
let roomNumber = 0;

before(async () => {
  cluster = await Cluster.start();
  tokens = await cluster.tokens('alice', 'bob', 'carol');
});
after(() => cluster?.stop());
afterEach(closeAll);

const ok = async (method, path, user, body) => (await cluster.restOk(method, path, tokens[user], body)).data;

const room = (...members) => cluster.room(`devices ${++roomNumber}`, ...members);
const notices = (client, roomId, type) => received(client, 'chat-notification', (payload) => payload.data.roomId === roomId && (!type || payload.type === type));
const notice = (client, roomId, type) => event(client, 'chat-notification', (payload) => payload.data.roomId === roomId && payload.type === type);

describe('chat-notification is decided for each socket', () => {
  test('one that has not joined hears of messages, whatever the others did', async () => {
    const roomId = await room('alice', 'bob');
    const joined = await connect(cluster, tokens.bob);
    const other = await connect(cluster, tokens.bob);
    await join(joined, roomId);
    await ok('POST', `/api/chat/rooms/${roomId}/msgs`, 'alice', { content: 'hello' });
    const told = await notice(other, roomId, 'new-message');
    assert.equal(told.data.content, 'hello');
    assert.equal(told.own, undefined);
    await settled(cluster, joined, other);
    assert.deepEqual(notices(joined, roomId), []);
    assert.deepEqual(received(other, 'new-chat-message', (payload) => payload.roomId === roomId), []);
  });

  test("the sender's own other sockets too, with own: true", async () => {
    const roomId = await room('alice', 'bob');
    const joined = await connect(cluster, tokens.alice);
    const other = await connect(cluster, tokens.alice);
    await join(joined, roomId);
    await ok('POST', `/api/chat/rooms/${roomId}/msgs`, 'alice', { content: 'from my phone' });
    const told = await notice(other, roomId, 'new-message');
    assertHas(told, { type: 'new-message', own: true });
    assert.equal(told.data.content, 'from my phone');
    await settled(cluster, joined);
    assert.deepEqual(notices(joined, roomId), []);
  });

  test('edits and deletions, by REST and by psql', async () => {
    const roomId = await room('alice', 'bob');
    const alice = await connect(cluster, tokens.alice);
    const bob = await connect(cluster, tokens.bob);
    const { id } = await ok('POST', `/api/chat/rooms/${roomId}/msgs`, 'alice', { content: 'hello' });
    await ok('PATCH', `/api/chat/rooms/${roomId}/msgs/${id}`, 'alice', { content: 'secret' });
    const edited = await notice(bob, roomId, 'message-edited');
    assertHas(edited.data, { roomId, messageId: id, seq: 1 });
    assert.equal(edited.own, undefined);
    assert.doesNotMatch(JSON.stringify(edited), /secret/);
    assert.equal((await notice(alice, roomId, 'message-edited')).own, true);
    await ok('DELETE', `/api/chat/rooms/${roomId}/msgs/${id}`, 'alice');
    assertHas((await notice(bob, roomId, 'message-deleted')).data, { roomId, messageId: id, seq: 1 });
    assert.equal((await notice(alice, roomId, 'message-deleted')).own, true);
    await cluster.insert(roomId, 'bob', 'another');
    await cluster.sql('DELETE FROM rt.messages WHERE room_id = $1 AND seq = 2', [roomId]);
    await until(() => notices(alice, roomId, 'message-deleted').length === 2, 'the second deletion');
  });
});

describe('read marks', () => {
  test('chat-read-state goes to all sockets of the user, by event, REST and SQL', async () => {
    const roomId = await room('alice', 'bob');
    for (const content of ['1', '2 @bob', '3', '4 @bob', '5']) await cluster.insert(roomId, 'alice', content);
    const bob = await connect(cluster, tokens.bob);
    const other = await connect(cluster, tokens.bob);
    const alice = await connect(cluster, tokens.alice);
    await join(bob, roomId);
    await join(alice, roomId);
    assertHas(await ok('GET', `/api/chat/rooms/${roomId}`, 'bob'), { unreadCount: 5, mentionCount: 2, lastReadSeq: 0 });
    await askOk(bob, 'mark-msgs-seen', { roomId, messageIds: [`${roomId}-1`, `${roomId}-2`] });
    for (const device of [bob, other]) {
      const state = await event(device, 'chat-read-state', (payload) => payload.lastReadSeq === 2);
      assertHas(state, { roomId, unreadCount: 3, mentionCount: 1 });
      assert.match(state.timestamp, /Z$/);
    }
    const answer = await ok('PUT', `/api/chat/rooms/${roomId}/read`, 'bob', { seq: 4 });
    assertHas(answer, { roomId, lastReadSeq: 4, unreadCount: 1, mentionCount: 0 });
    await event(other, 'chat-read-state', (payload) => payload.lastReadSeq === 4);
    assertHas(await ok('PUT', `/api/chat/rooms/${roomId}/read`, 'bob', { seq: 1 }), { lastReadSeq: 1, unreadCount: 4, mentionCount: 2 });
    await event(other, 'chat-read-state', (payload) => payload.lastReadSeq === 1);
    assertHas(await ok('PUT', `/api/chat/rooms/${roomId}/read`, 'bob', { seq: 99 }), { lastReadSeq: 5, unreadCount: 0 });
    await cluster.sql("SELECT rt.set_read($1, 'bob', 3)", [roomId]);
    await event(other, 'chat-read-state', (payload) => payload.lastReadSeq === 3);
    await cluster.sql("UPDATE rt.room_members SET last_read_seq = 0 WHERE room_id = $1 AND user_id = 'bob'", [roomId]);
    await event(other, 'chat-read-state', (payload) => payload.lastReadSeq === 0);
    await settled(cluster, alice);
    assert.deepEqual(received(alice, 'chat-read-state', (payload) => payload.roomId === roomId), [], 'nobody else is told');
    for (const body of [{}, { seq: -1 }, { seq: 'x' }, { seq: null }]) {
      assert.equal((await cluster.rest('PUT', `/api/chat/rooms/${roomId}/read`, tokens.bob, body)).status, 400);
    }
    assert.equal((await cluster.rest('PUT', `/api/chat/rooms/${roomId}/read`, tokens.carol, { seq: 1 })).status, 404);
  });

  test('an edit that adds a mention notifies those added', async () => {
    const roomId = await room('alice', 'bob', 'carol');
    const bob = await connect(cluster, tokens.bob);
    const carol = await connect(cluster, tokens.carol);
    const { id } = await ok('POST', `/api/chat/rooms/${roomId}/msgs`, 'alice', { content: 'hello **@bob**' });
    assertHas((await notice(bob, roomId, 'mention')).data, { messageId: id, senderId: 'alice' });
    await ok('PATCH', `/api/chat/rooms/${roomId}/msgs/${id}`, 'alice', { content: 'hello @bob and @carol’s cat' });
    await notice(carol, roomId, 'mention');
    await settled(cluster, bob);
    assert.equal(notices(bob, roomId, 'mention').length, 1);
    assert.equal((await ok('GET', `/api/chat/rooms/${roomId}`, 'carol')).mentionCount, 1);
    await ok('POST', `/api/chat/rooms/${roomId}/msgs`, 'alice', { content: '@all: lunch' });
    await until(() => notices(bob, roomId, 'mention').length === 2 && notices(carol, roomId, 'mention').length === 2, '@all');
    await ok('POST', `/api/chat/rooms/${roomId}/msgs`, 'bob', { content: '@all: no admin' });
    await settled(cluster, carol);
    assert.equal(notices(carol, roomId, 'mention').length, 2);
  });
});

describe('presence is kept per connection', () => {
  const status = () => cluster.value("SELECT status FROM rt.presence WHERE user_id = 'alice'");

  test("one idle tab's away does not override the device in use", async () => {
    await room('alice', 'bob');
    const bob = await connect(cluster, tokens.bob);
    const desk = await connect(cluster, tokens.alice);
    const tab = await connect(cluster, tokens.alice);
    await askOk(tab, 'update-chat-status', { status: 'away' });
    assert.equal(await status(), 'online');
    await askOk(desk, 'update-chat-status', { status: 'away' });
    assert.equal(await status(), 'away');
    await event(bob, 'chat-user-status-update', (payload) => payload.userId === 'alice' && payload.status === 'away');
    await askOk(tab, 'update-chat-status', { status: 'online' });
    assert.equal(await status(), 'online');
    tab.disconnect();
    await until(async () => (await status()) === 'away', 'the rest is away');
    const third = await connect(cluster, tokens.alice);
    await until(async () => (await status()) === 'online', 'a new one is online');
    third.disconnect();
  });

  test('busy is the user’s: until it is set otherwise, or the last connection ends', async () => {
    const desk = await connect(cluster, tokens.alice);
    const phone = await connect(cluster, tokens.alice);
    await askOk(desk, 'update-chat-status', { status: 'busy', statusMessage: 'do not disturb' });
    await askOk(phone, 'update-chat-status', { status: 'away', statusMessage: 'at lunch' });
    assert.equal(await status(), 'busy');
    assert.equal(await cluster.value("SELECT status_message FROM rt.presence WHERE user_id = 'alice'"), 'at lunch', 'the message is the user’s, and not the device’s');
    desk.disconnect();
    await until(async () => (await cluster.value("SELECT count(*)::int FROM rt_private.connections WHERE user_id = 'alice'")) === 1, 'the desk is gone');
    assert.equal(await status(), 'busy');
    await askOk(phone, 'update-chat-status', { status: 'online' });
    assert.equal(await status(), 'online');
    await askOk(phone, 'update-chat-status', { status: 'busy' });
    phone.disconnect();
    await until(async () => (await status()) === 'offline', 'nobody is there');
    await connect(cluster, tokens.alice);
    await until(async () => (await status()) === 'online', 'back, and not busy');
  });

  // Every status of alice that anybody is told, in order, whatever becomes of gateways.
  const tellings = async () => {
    const { PGHOST, PGPORT, PGUSER, PGDATABASE } = cluster.env;
    const listener = new pg.Client({ host: PGHOST, port: Number(PGPORT), user: PGUSER, database: PGDATABASE });
    const told = [];
    listener.on('notification', ({ payload }) => {
      const { event: name, userId, status: now } = JSON.parse(payload);
      if (name === 'chat-user-status-update' && userId === 'alice') told.push(now);
    });
    await listener.connect();
    await listener.query('LISTEN rt_events');
    return { listener, told };
  };

  const devices = async () => {
    const desk = await connect(cluster, tokens.alice);
    const tab = await connect(cluster, tokens.alice);
    for (const client of [desk, tab]) await join(client, await room('alice', 'bob'));
    await askOk(tab, 'update-chat-status', { status: 'away' });
    return [desk, tab];
  };
  const gone = (n) => until(async () => (await cluster.value("SELECT count(*)::int FROM rt_private.connections WHERE user_id = 'alice'")) === n, `${n} connections`);
  const cut = (client) => client.io.engine.transport.ws.terminate();
  const resume = async (client) => {
    if (!client.connected) client.connect();
    await connected(client);
    assert.equal(client.recovered, true);
  };
  const away = async (sid) => (await cluster.value('SELECT status FROM rt_private.connections WHERE sid = $1', [sid])) === 'away';

  for (const [name, lose] of [['dropped', async (desk, tab) => {
    cut(tab);
    await gone(1);
  }], ['taken over before the server notices', async (desk, tab) => {
    tab.io.engine.transport.ws._socket.pause();
    tab.io.engine._onClose('network');
  }], ['whose gateway was killed', () => cluster.killGateway()]]) {
    test(`a tab that is away stays so: ${name}`, async () => {
      await until(async () => [undefined, 'offline'].includes(await status()), 'nobody is there');
      const [desk, tab] = await devices();
      const { listener, told } = await tellings();
      try {
        await lose(desk, tab);
        await until(() => !tab.connected, 'the tab has noticed');
        await resume(tab);
        await until(() => away(tab.id), 'the tab is away');
        if (!desk.connected) await resume(desk);
        assert.equal(await status(), 'online');
        assert.ok(await away(tab.id), 'the tab is away still');
        cut(desk);
        await gone(1);
        await resume(desk);
        await settled(cluster, desk);
        assert.deepEqual(told, told.filter((one) => one === 'online'), 'nobody heard of it');
        cut(desk);
        await until(() => told.includes('away'), 'the desk has not come back');
        await resume(desk);
        await until(() => told.at(-1) === 'online', 'it has');
        await askOk(desk, 'update-chat-status', { status: 'away' });
        await until(() => told.at(-1) === 'away', 'all are away');
        cut(tab);
        await gone(1);
        await resume(tab);
        assert.equal(await status(), 'away');
        cut(desk);
        cut(tab);
        await until(() => told.includes('offline'), 'nobody is there');
        await resume(tab);
        await until(() => told.at(-1) === 'away', 'back, and away');
        await resume(desk);
        await askOk(desk, 'update-chat-status', { status: 'online' });
        await until(() => told.at(-1) === 'online', 'the desk is in use');
        assert.deepEqual(told.filter((one, i) => one !== told[i - 1] && (i || one !== 'online')), ['away', 'online', 'away', 'offline', 'away', 'online']);
        assert.ok(await away(tab.id));
      } finally {
        await listener.end();
      }
    });
  }

  test('what was set by psql while a tab was gone holds when it comes back', async () => {
    const [desk, tab] = await devices();
    cut(tab);
    await gone(1);
    await cluster.sql("SELECT rt.set_status('alice', 'online')");
    await resume(tab);
    assert.ok(!await away(tab.id));
    cut(tab);
    await gone(1);
    await cluster.sql("UPDATE rt.presence SET status = 'away' WHERE user_id = 'alice'");
    await resume(tab);
    assert.ok(await away(tab.id));
    assert.ok(await away(desk.id));
    assert.equal(await status(), 'away');
  });

  test('by psql, for all connections', async () => {
    await connect(cluster, tokens.alice);
    await connect(cluster, tokens.alice);
    await cluster.sql("SELECT rt.set_status('alice', 'away')");
    assert.equal(await status(), 'away');
    await cluster.sql("UPDATE rt.presence SET status = 'busy' WHERE user_id = 'alice'");
    assert.equal(await status(), 'busy');
    await cluster.sql("UPDATE rt.presence SET status = 'online' WHERE user_id = 'alice'");
    assert.equal(await status(), 'online');
  });
});

// A connection that breaks without a word, as a network does.
const drop = (client) => client.io.engine.close();

describe('offsets', () => {
  for (const [name, options] of [['recovery: false in CONNECT', (token) => ({ auth: { token, recovery: false } })],
    ['?recovery=0', (token) => ({ auth: { token }, query: { recovery: '0' } })], ['?recovery=false, by polling', (token) => ({ auth: { token }, query: { recovery: 'false' }, transports: ['polling'] })]]) {
    test(`none with ${name}`, async () => {
      const roomId = await room('alice', 'bob');
      const plain = await connect(cluster, undefined, options(tokens.alice));
      const other = await connect(cluster, tokens.bob);
      await join(plain, roomId);
      await join(other, roomId);
      await cluster.insert(roomId, 'bob', 'hello');
      await event(plain, 'new-chat-message');
      await event(other, 'new-chat-message');
      const lengths = (client) => new Set(client.events.map((args) => args.length));
      assert.deepEqual(lengths(plain), new Set([2]), 'name and payload');
      assert.deepEqual(lengths(other), new Set([3]), 'name, payload and offset');
      assert.equal(plain._pid, undefined);
      assert.ok(other._pid);
      drop(plain);
      const again = await connect(cluster, undefined, options(tokens.alice));
      assert.ok(!again.recovered);
    });
  }

  test('CONNECT’s reply has no pid', async () => {
    const socket = await rawSocket(cluster);
    await packet(socket, (text) => text[0] === '0');
    socket.send(`40${JSON.stringify({ token: tokens.alice, recovery: false })}`);
    const reply = JSON.parse((await packet(socket, (text) => text.startsWith('40'))).slice(2));
    assert.equal('pid' in reply, false);
    assert.ok(reply.sid);
  });
});

describe('recovery', () => {
  const resume = async (client) => {
    client.connect();
    await connected(client);
  };

  test('a pid without an offset resumes from where that session connected', async () => {
    const witness = await connect(cluster, tokens.alice);
    const roomId = await room('alice', 'bob');
    await notice(witness, roomId, 'room-added'); // else the room itself may be news to the next session
    const client = dial(cluster, tokens.alice);
    await connected(client);
    assert.equal(client._lastOffset, undefined);
    const pid = client._pid;
    drop(client);
    await cluster.insert(roomId, 'bob', 'missed, @alice');
    await resume(client);
    assert.equal(client.recovered, true);
    assert.equal(client._pid, pid);
    await notice(client, roomId, 'mention');
    await notice(client, roomId, 'new-message');
  });

  for (const [name, lose] of [['from the gateway', async () => {}], ['from the log', () => cluster.killGateway()]]) {
    test(`what is replayed ${name} is as it is now`, async () => {
      const roomId = await room('alice', 'bob');
      const client = dial(cluster, tokens.alice);
      await connected(client);
      await join(client, roomId);
      await cluster.insert(roomId, 'bob', 'first');
      await event(client, 'new-chat-message', ({ data }) => data.content === 'first');
      client.events.length = 0;
      drop(client);
      await cluster.insert(roomId, 'bob', 'deleted secret @alice');
      await cluster.insert(roomId, 'bob', 'edited secret');
      await cluster.insert(roomId, 'bob', 'removed secret');
      await cluster.sql("UPDATE rt.messages SET content = 'another secret' WHERE room_id = $1 AND seq = 2", [roomId]);
      await cluster.sql('UPDATE rt.messages SET deleted_at = now() WHERE room_id = $1 AND seq = 2', [roomId]);
      await cluster.sql("UPDATE rt.messages SET content = 'as it is now' WHERE room_id = $1 AND seq = 3", [roomId]);
      await cluster.sql('DELETE FROM rt.messages WHERE room_id = $1 AND seq = 4', [roomId]);
      await cluster.insert(roomId, 'bob', 'last');
      await lose();
      await resume(client);
      assert.equal(client.recovered, true);
      await event(client, 'new-chat-message', ({ data }) => data.content === 'last');
      const messages = received(client, 'new-chat-message').map(({ data }) => [data.seq, data.content, Boolean(data.deletedAt)]);
      assert.deepEqual(messages, [[2, '', true], [3, 'as it is now', false], [4, '', true], [5, 'last', false]]);
      assert.doesNotMatch(JSON.stringify(client.events), /secret/);
      assert.equal(received(client, 'chat-message-deleted').length, 2);
    });
  }

  test('rt.recovery_window = 0: no pid, no offsets', async () => {
    await cluster.sql("ALTER SYSTEM SET rt.recovery_window = 0");
    await cluster.sql('SELECT pg_reload_conf()');
    try {
      await until(async () => (await cluster.value("SELECT current_setting('rt.recovery_window')")) === '0', 'the setting');
      const roomId = await room('alice', 'bob');
      const client = await until(async () => {
        const one = await connect(cluster, tokens.alice);
        return one._pid === undefined && one;
      }, 'a client without a pid');
      await join(client, roomId);
      await cluster.insert(roomId, 'bob', 'hello');
      await event(client, 'new-chat-message');
      assert.deepEqual(new Set(client.events.map((args) => args.length)), new Set([2]));
    } finally {
      await cluster.sql('ALTER SYSTEM RESET rt.recovery_window');
      await cluster.sql('SELECT pg_reload_conf()');
    }
  });
});
