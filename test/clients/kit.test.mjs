// clients/js against a running server: rooms stay whole through drops, kills and changes from SQL; what is sent is stored once.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, afterEach, before, describe, test } from 'node:test';
import { FakeMediaStreamTrack } from 'fake-mediastreamtrack';
import { until } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';
import { detour, install } from './lib/kit.mjs';
import { createMeeting } from './lib/meeting.mjs';

const require = createRequire(import.meta.url);
const { FakeHandler } = require('mediasoup-client/lib/handlers/FakeHandler');
const fakeParameters = require('mediasoup-client/lib/test/fakeParameters');

let cluster, kit, Client, Messages, RtError, Session, changes, tokens;
const open = new Set();
const ways = new Set();

before(async () => {
  kit = await install();
  ({ Client, Messages, RtError, Session, changes } = await kit.load());
  cluster = await Cluster.start({ 'rt.meeting_grace': '20s', 'rt.presence_grace': '100ms' });
  tokens = await cluster.tokens('alice', 'bob', 'carol');
});
after(async () => {
  await cluster?.stop();
  await kit?.remove();
});
afterEach(() => {
  for (const client of open) client.close();
  for (const way of ways) way.close();
  open.clear();
  ways.clear();
});

class Memory {
  #items = new Map();
  getItem(key) { return this.#items.get(key) ?? null; }
  setItem(key, value) { this.#items.set(key, value); }
  removeItem(key) { this.#items.delete(key); }
  get size() { return this.#items.size; }
}

function make(user, options = {}) {
  const client = new Client({
    url: cluster.url, token: tokens[user], storage: null, device: { handlerFactory: FakeHandler.createFactory(fakeParameters) },
    socket: { reconnectionDelay: 50, reconnectionDelayMax: 200 }, ...options,
  });
  open.add(client);
  return client;
}

async function started(user, options) {
  const client = make(user, options);
  await client.connect();
  return client;
}

async function way() {
  const it = await detour(cluster);
  ways.add(it);
  return it;
}

// A watched room, once it is live.
async function watch(client, roomId) {
  const room = client.room(roomId);
  room.subscribe(() => {});
  await until(() => room.state.status === 'live', `the room is live, and not ${room.state.status}: ${room.state.error}`);
  return room;
}

const contents = (room) => room.state.messages.map(({ content }) => content);
const shows = (room, expected) => until(() => contents(room).join() === expected.join(), `${expected}`).catch((error) => {
  throw new Error(`${error.message}; it has ${contents(room)}, ${room.state.status}`);
});

function assertWhole(room) {
  const numbers = room.state.messages.map(({ seq }) => seq);
  assert.deepEqual(numbers, numbers.map((_, i) => numbers[0] + i), 'no hole, no double');
}

// The server lacks functions of rt_api for a while.
async function without(names, body) {
  const rename = async (from, to) => { for (const name of names) await cluster.sql(`ALTER FUNCTION rt_api.${name}${from}(text, jsonb) RENAME TO ${name}${to}`); };
  await rename('', '_away');
  try {
    await body();
  } finally {
    await rename('_away', '');
  }
}

describe('signing in', () => {
  test('by password; the token is refreshed; logout ends the session', async () => {
    const client = make(undefined, { token: undefined });
    const heard = [];
    client.on('token', (token) => heard.push(token));
    assert.equal((await client.login({ username: 'alice', password: 'alice-password' })).id, 'alice');
    assert.equal(client.state.status, 'connected');
    assert.equal(client.user.name, 'Alice');
    await client.logout();
    assert.equal(client.state.status, 'signed-out');
    assert.equal(heard.at(-1), undefined);
    // The gateways hear of it by an event.
    await until(async () => (await cluster.rest('GET', '/api/users/me', heard[0])).status === 401, 'the token is refused');
  });

  test('a wrong password', async () => {
    const client = make(undefined, { token: undefined });
    await assert.rejects(client.login({ username: 'alice', password: 'wrong' }), (error) => error instanceof RtError && error.code === 'unauthorized' && error.status === 401);
    await assert.rejects(client.connect(), { code: 'unauthorized' });
  });

  test('a token of a few seconds is prolonged before it expires', async () => {
    const begin = async (seconds) => started('alice', { token: await cluster.token('alice', `${seconds} seconds`) });
    const client = await begin(4).catch(() => begin(30)); // on a busy machine the first may have expired
    const first = await new Promise((resolve) => { client.on('token', resolve); });
    await until(() => Date.now() / 1000 > JSON.parse(Buffer.from(first.split('.')[1], 'base64url')).iat + 5, 'the first one has expired');
    assert.equal((await client.call('getMe')).data.id, 'alice');
    assert.equal(client.state.status, 'connected');
  });

  test('getToken is asked whenever one is needed', async () => {
    let asked = 0;
    const client = await started(undefined, { token: undefined, getToken: () => { asked++; return cluster.token('bob', '1 hour'); } });
    assert.equal(client.user.id, 'bob');
    assert.equal(asked, 1);
    // One that has been refused is replaced.
    await cluster.sql("SELECT rt.revoke_sessions('bob')");
    await until(() => asked > 1 && client.state.status === 'connected', 'it is back with another token');
    assert.equal((await client.call('getMe')).data.id, 'bob');
    tokens.bob = await cluster.token('bob');
  });

  test('a session alone: signs in, calls, asks ahead, pages, is taken over by a client, and says when it has ended', async () => {
    const session = new Session({ url: `${cluster.url}/` });
    const heard = [];
    const ended = new Promise((resolve) => { session.on('ended', resolve); });
    session.on('token', (token) => heard.push(token));
    assert.equal((await session.login({ username: 'alice', password: 'alice-password' })).id, 'alice');
    assert.deepEqual(heard, [session.token]);
    for (let i = 0; i < 3; i++) await cluster.room(`Paged ${i}`, 'alice');
    const names = [];
    for await (const page of session.pages('listRooms', { query: { limit: 1 } })) names.push(...page.map(({ name }) => name));
    for (let i = 0; i < 3; i++) assert.equal(names.filter((name) => name === `Paged ${i}`).length, 1, names.join());
    session.ahead('getMe');
    assert.equal((await session.call('getMe')).data.id, 'alice');
    await assert.rejects(session.call('getMe', { token: null }), { code: 'unauthorized', status: 401 });
    const client = make(undefined, { session, token: undefined, url: undefined });
    await client.connect();
    assert.equal(client.user.id, 'alice');
    assert.equal(client.session, session);
    await cluster.sql("SELECT rt.revoke_sessions('alice')");
    await assert.rejects(until(async () => { await session.call('getMe'); return false; }, 'it is refused'), { code: 'unauthorized' });
    assert.equal((await ended).code, 'unauthorized');
    await until(() => client.state.status === 'signed-out', 'the client knows it');
    tokens.alice = await cluster.token('alice');
  });

  test('with liveness a way that swallows all answers is noticed long before the heartbeat', async () => {
    const path = await way();
    const client = await started('bob', { url: path.url, liveness: true });
    path.swallows = true;
    await until(() => client.state.status !== 'connected', 'it is noticed', 35_000); // without it: 45 s
    path.swallows = false;
    await until(() => client.state.status === 'connected', 'it is back');
  });

  test('a session that is revoked: signed out, and why', async () => {
    const client = await started('carol', { token: await cluster.token('carol') });
    const ended = new Promise((resolve) => { client.on('signed-out', resolve); });
    await cluster.sql("SELECT rt.revoke_sessions('carol')");
    assert.equal((await ended).code, 'unauthorized');
    tokens.carol = await cluster.token('carol');
  });
});

describe('a room', () => {
  test('messages by REST and by SQL, edits, deletions, reactions, pins', async () => {
    const roomId = await cluster.room('room', 'alice', 'bob');
    for (let i = 1; i <= 60; i++) await cluster.insert(roomId, 'bob', `old ${i}`);
    const [a, b] = await Promise.all([started('alice'), started('bob')]);
    const [room, other] = await Promise.all([watch(a, roomId), watch(b, roomId)]);
    assert.equal(room.state.messages.length, 50);
    assert.equal(room.state.hasMore, true);
    assert.equal(await room.loadOlder(), true);
    assert.equal(room.state.messages.length, 60);
    assert.equal(room.state.hasMore, false);
    assertWhole(room);
    const sent = await room.send('hello', { metadata: { a: 1 } });
    assert.equal(sent.seq, 61);
    await cluster.insert(roomId, 'bob', 'from SQL');
    await until(() => other.state.lastSeq === 62 && room.state.lastSeq === 62, 'both have both');
    await room.edit(sent.id, 'hello, you');
    await other.react(sent.id, '👍');
    await until(() => other.state.messages.at(-2).content === 'hello, you' && room.state.messages.at(-2).reactions?.[0]?.userIds[0] === 'bob', 'the edit and the reaction');
    assert.deepEqual(room.state.messages.at(-2).metadata, { a: 1 });
    await other.react(sent.id, '👍', false);
    await cluster.sql('DELETE FROM rt.messages WHERE room_id = $1 AND seq = 62', [roomId]);
    await until(() => room.state.messages.at(-1).deletedAt && room.state.messages.at(-2).reactions.length === 0, 'the deletion');
    assert.equal(room.state.messages.at(-1).content, '');
    assertWhole(room);
  });

  test('drops: what was missed comes, and so does what was changed', async () => {
    const roomId = await cluster.room('drops', 'alice', 'bob');
    const path = await way();
    const room = await watch(await started('alice', { url: path.url }), roomId);
    for (const text of ['one', 'two', 'three']) await cluster.insert(roomId, 'bob', text);
    await shows(room, ['one', 'two', 'three']);
    for (let round = 0; round < 3; round++) {
      path.cut();
      await until(() => room.state.status === 'offline', 'it is offline');
      await cluster.insert(roomId, 'bob', `missed ${round}`);
      await cluster.sql('UPDATE rt.messages SET content = $2 WHERE room_id = $1 AND seq = 1', [roomId, `edited ${round}`]);
      path.open();
      await until(() => room.state.status === 'live' && contents(room).at(-1) === `missed ${round}` && contents(room)[0] === `edited ${round}`, 'it is whole again');
    }
    await cluster.sql('DELETE FROM rt.messages WHERE room_id = $1 AND seq = 2', [roomId]);
    await shows(room, ['edited 2', '', 'three', 'missed 0', 'missed 1', 'missed 2']);
    assertWhole(room);
  });

  for (const [what, name] of [['the first page', 'listMessages'], ['what was missed', 'sync-rooms']]) {
    test(`what is changed while ${what} is on its way`, async () => {
      const roomId = await cluster.room('overtaken', 'alice', 'bob');
      await cluster.insert(roomId, 'bob', 'before');
      const path = await way();
      const client = await started('alice', { url: path.url });
      // The answer is there, and is handed over once the edit has come.
      let pending = name === 'listMessages';
      const overtake = (method) => async (...args) => {
        const reply = await method.apply(client, args);
        if (args[0] !== name || !pending) return reply;
        pending = false;
        const told = new Promise((resolve) => { client.socket.once('chat-message-edited', resolve); });
        await cluster.sql("UPDATE rt.messages SET content = 'after' WHERE room_id = $1", [roomId]);
        await told;
        return reply;
      };
      client.call = overtake(client.call);
      client.ask = overtake(client.ask);
      const room = await watch(client, roomId);
      if (name === 'sync-rooms') {
        path.cut();
        await until(() => room.state.status === 'offline', 'it is offline');
        await cluster.sql("UPDATE rt.messages SET content = 'meanwhile' WHERE room_id = $1", [roomId]);
        pending = true;
        path.open();
      }
      await until(() => !pending, 'it was asked for');
      await shows(room, ['after']);
    });
  }

  test('what is changed while earlier messages are on their way', async () => {
    const roomId = await cluster.room('overtaken history', 'alice', 'bob');
    await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, 'bob', 'n' || n FROM generate_series(1, 60) AS n", [roomId]);
    const client = await started('alice');
    const room = await watch(client, roomId);
    const call = client.call.bind(client);
    client.call = async (name, options) => {
      const reply = await call(name, options);
      if (name !== 'listMessages') return reply;
      const told = new Promise((resolve) => { client.socket.once('chat-message-edited', resolve); });
      await cluster.sql("UPDATE rt.messages SET content = 'after' WHERE room_id = $1 AND seq = 1", [roomId]);
      await told;
      return reply;
    };
    assert.equal(await room.loadOlder(), true);
    assert.equal(room.state.messages.length, 60);
    assert.equal(contents(room)[0], 'after');
  });

  test('without recovery by the server: more than a page is missed', async () => {
    const roomId = await cluster.room('long away', 'alice', 'bob');
    const path = await way();
    const client = await started('alice', { url: path.url, socket: { query: { recovery: '0' }, reconnectionDelay: 50, reconnectionDelayMax: 100 } });
    const room = await watch(client, roomId);
    await cluster.insert(roomId, 'bob', 'first');
    await shows(room, ['first']);
    path.cut();
    await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, 'bob', 'n' || n FROM generate_series(1, 450) AS n", [roomId]);
    path.open();
    await until(() => room.state.lastSeq === 451, 'all are there');
    assert.ok(!client.socket.recovered);
    assertWhole(room);
    assert.equal(room.state.messages.length, 451);
  });

  test('what the server cannot do for a while is asked again: the list, joining, history, what was missed, what was seen', async () => {
    const roomId = await cluster.room('for a while', 'alice', 'bob');
    await cluster.insert(roomId, 'bob', 'first');
    const path = await way();
    const client = make('alice', { url: path.url, socket: { query: { recovery: '0' }, reconnectionDelay: 50, reconnectionDelayMax: 100 } });
    const room = client.room(roomId);
    await without(['rooms_list', 'join_rooms'], async () => {
      await client.connect();
      room.subscribe(() => {});
      await assert.rejects(client.ask('join-chat-rooms', { roomIds: [roomId] }), { code: 'internal' });
      await until(() => client.rooms.state.error, 'the list is refused');
    });
    await shows(room, ['first']);
    await until(() => client.rooms.state.status === 'live' && !client.rooms.state.error, 'the list');
    path.cut();
    await cluster.insert(roomId, 'bob', 'second');
    await without(['sync_rooms'], async () => {
      path.open();
      await until(() => room.state.error, 'what was missed is refused');
    });
    await shows(room, ['first', 'second']);
    const seen = () => cluster.value("SELECT last_read_seq FROM rt.room_members WHERE room_id = $1 AND user_id = 'alice'", [roomId]);
    await without(['mark_seen'], async () => {
      room.markSeen(2);
      await assert.rejects(client.ask('mark-msgs-seen', { roomId, messageIds: [room.state.messages[0].id] }), { code: 'internal' });
      assert.equal(await seen(), '0');
    });
    await until(async () => (await seen()) === '2', 'what was seen');
    const again = client.room(await cluster.room('for a while, too', 'alice', 'bob'));
    await without(['message_list'], async () => {
      again.subscribe(() => {});
      await until(() => again.state.status === 'error', 'the history is refused');
    });
    await until(() => again.state.status === 'live' && !again.state.error, 'the history');
  });

  test('the gateway is killed: nothing is lost, nothing comes twice', async () => {
    const roomId = await cluster.room('killed', 'alice', 'bob');
    const [a, b] = await Promise.all([started('alice'), started('bob')]);
    const [room, other] = await Promise.all([watch(a, roomId), watch(b, roomId)]);
    const sending = [];
    for (let i = 0; i < 20; i++) {
      sending.push(room.send(`a${i}`), other.send(`b${i}`), cluster.insert(roomId, 'bob', `s${i}`));
      if (i === 10) process.kill(await cluster.pid('gateway'), 'SIGKILL');
    }
    await Promise.all(sending);
    await until(() => room.state.lastSeq === 60 && other.state.lastSeq === 60, 'both have all');
    for (const it of [room, other]) {
      assertWhole(it);
      assert.equal(new Set(contents(it)).size, 60);
      const own = contents(it).filter((text) => text.startsWith('a'));
      assert.deepEqual(own, Array.from({ length: 20 }, (_, i) => `a${i}`), 'in order');
      assert.deepEqual(it.state.pending, []);
    }
    assert.equal(await cluster.value('SELECT count(*) FROM rt.messages WHERE room_id = $1', [roomId]), '60');
  });

  test('another server has taken over: what it does not have goes', async () => {
    const roomId = await cluster.room('epoch', 'alice', 'bob');
    const path = await way();
    const client = await started('alice', { url: path.url });
    const room = await watch(client, roomId);
    for (const text of ['kept', 'lost']) await cluster.insert(roomId, 'bob', text);
    await shows(room, ['kept', 'lost']);
    // As the client sees a standby that was promoted before it had the second message, and has another one now.
    path.cut();
    await until(() => room.state.status === 'offline', 'it is offline');
    await cluster.sql(`SET session_replication_role = replica; DELETE FROM rt.messages WHERE room_id = ${roomId} AND seq = 2;
      UPDATE rt.rooms SET last_seq = 1 WHERE id = ${roomId}; UPDATE rt_private.epochs SET epoch = 'another'; RESET session_replication_role`);
    await cluster.insert(roomId, 'bob', 'of the new server');
    path.open();
    await shows(room, ['kept', 'of the new server']);
    await cluster.insert(roomId, 'bob', 'next');
    await shows(room, ['kept', 'of the new server', 'next']);
  });

  test('being removed, added again; a room that is none', async () => {
    const roomId = await cluster.room('members', 'alice', 'bob');
    const client = await started('bob');
    const room = await watch(client, roomId);
    await until(() => client.rooms.get(roomId), 'it is in the list');
    await cluster.insert(roomId, 'alice', 'hello');
    await shows(room, ['hello']);
    await cluster.sql("DELETE FROM rt.room_members WHERE room_id = $1 AND user_id = 'bob'", [roomId]);
    await until(() => room.state.status === 'error' && !client.rooms.get(roomId), 'it is gone');
    assert.match(room.state.error.message, /no longer a member/);
    assert.deepEqual(room.state.messages, []);
    await cluster.sql("INSERT INTO rt.room_members (room_id, user_id) VALUES ($1, 'bob')", [roomId]);
    await until(() => room.state.status === 'live' && client.rooms.get(roomId), 'it is back');
    await shows(room, ['hello']);
    const none = client.room('999999');
    none.subscribe(() => {});
    await until(() => none.state.status === 'error', 'it is refused');
    assert.equal(none.state.error.code, 'not_found');
  });

  test('a room that nobody watches any more is left; watched again it is loaded anew', async () => {
    const roomId = await cluster.room('left', 'alice', 'bob');
    const client = await started('alice');
    const room = client.room(roomId);
    const stop = room.subscribe(() => {});
    await until(() => room.state.status === 'live', 'live');
    stop();
    await until(async () => Number(await cluster.value("SELECT max(rooms) FROM rt.stat_connections WHERE user_id = 'alice'")) === 0, 'it is left');
    await cluster.insert(roomId, 'bob', 'meanwhile');
    await watch(client, roomId);
    await shows(room, ['meanwhile']);
  });
});

describe('messages without a room', () => {
  const fill = (roomId, count) => cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, 'bob', 'n' || n FROM generate_series(1, $2::int) AS n", [roomId, count]);
  const numbers = (messages) => messages.map(({ seq }) => seq);
  const range = (first, last) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

  // As an application with a state of its own does it.
  async function listening(client, roomId, taken) {
    const messages = new Messages(roomId, (...args) => client.call(...args), taken);
    const mine = (handle) => (event) => { if (event.roomId === roomId) handle(event.data); };
    client.socket.on('new-chat-message', mine((data) => messages.add(data)));
    for (const name of Object.keys(changes)) client.socket.on(name, mine((data) => messages.onChange(name, data)));
    await client.ask('join-chat-rooms', { roomIds: [roomId] });
    await messages.loadLatest();
    return messages;
  }

  test('pages leave holes, which are filled where somebody looks', async () => {
    const roomId = await cluster.room('pages', 'alice', 'bob');
    await fill(roomId, 130);
    const session = new Session({ url: cluster.url, token: tokens.alice });
    const messages = new Messages(roomId, (...args) => session.call(...args));
    await messages.loadLatest();
    assert.deepEqual(numbers(messages.run()), range(81, 130));
    assert.deepEqual([messages.newest, messages.first, messages.isBehind], [130, null, false]);
    assert.equal(await messages.loadAround(20), true);
    assert.deepEqual(numbers(messages.run(Infinity, 44)), range(1, 44));
    assert.deepEqual([messages.newer(44), messages.older(81), messages.older(44)], [undefined, undefined, 43]);
    assert.equal(messages.after(40, 100), 44);
    assert.deepEqual(numbers(messages.run()), range(81, 130));
    await messages.loadAfter(44);
    assert.deepEqual(numbers(messages.run()), range(1, 130));
    assert.deepEqual(numbers(messages.run(3)), range(128, 130));
    assert.deepEqual(numbers(messages.since(127)), range(128, 130));
    await messages.loadBefore(1);
    assert.equal(messages.first, 1);
    assert.equal(await messages.loadAround(999), false);
    // What is far from the end and from what is shown goes, and comes back.
    const later = new Messages(roomId, (...args) => session.call(...args));
    await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, 'bob', 'm' || n FROM generate_series(131, 1300) AS n", [roomId]);
    await later.loadLatest();
    while (later.first === null) await later.loadBefore(later.run()[0].seq);
    assert.equal(later.size, 1300);
    assert.equal(later.forgetFar(1, 100), true);
    assert.deepEqual(numbers(later.run()), range(1101, 1300));
    assert.deepEqual(numbers(later.run(Infinity, 400)), range(1, 400));
    assert.deepEqual([later.has(401), later.newer(400), later.older(1101)], [false, undefined, undefined]);
    await later.loadBefore(1101);
    assert.deepEqual(numbers(later.run()), range(1051, 1300));
  });

  test('replies, reactions, pins and deletions, by events and by pages alike; each change is another object', async () => {
    const roomId = await cluster.room('alike', 'alice', 'bob');
    const client = await started('alice');
    await cluster.insert(roomId, 'bob', 'asked');
    const taken = [];
    const messages = await listening(client, roomId, ({ clientId }) => taken.push(clientId));
    const asked = messages.get(1);
    const params = { roomId, messageId: asked.id };
    const say = async (content) => (await client.call('sendMessage', { params: { roomId }, body: { content, replyTo: asked.id, clientId: `of ${content}` } })).data;
    await say('one');
    const two = await say('two');
    await until(() => messages.get(1).replyCount === 2 && messages.newest === 3, 'two replies');
    assert.ok(taken.includes('of one') && taken.includes('of two'), taken.join());
    assert.equal(messages.add(two), undefined); // it is there
    assert.equal(messages.get(1).replyCount, 2);
    await client.call('addReaction', { params: { ...params, emoji: '👍' } });
    await client.call('pinMessage', { params });
    await client.call('deleteMessage', { params: { roomId, messageId: two.id } });
    const says = (it) => { const { reactions, pinned, replyCount } = it.get(1) ?? {}; return JSON.stringify([reactions, pinned, replyCount, it.get(3)?.content]); };
    const expected = JSON.stringify([[{ emoji: '👍', count: 1, userIds: ['alice'] }], true, 1, '']);
    await until(() => says(messages) === expected, expected);
    assert.ok(messages.get(1) !== asked && asked.reactions.length === 0);
    const again = new Messages(roomId, (...args) => client.call(...args));
    await again.loadLatest();
    assert.equal(says(again), expected);
    const { replies, nextCursor } = await again.loadReplies(asked.id);
    assert.deepEqual([numbers(replies), nextCursor], [[2], null]); // without those that are deleted
    assert.deepEqual(numbers(await again.loadPins()), [1]);
    await client.call('removeReaction', { params: { ...params, emoji: '👍' } });
    await until(() => messages.get(1).reactions.length === 0, 'none any more');
  });

  test('several rooms are brought up to date in one request', async () => {
    const path = await way();
    const client = await started('alice', { url: path.url, socket: { query: { recovery: '0' }, reconnectionDelay: 50, reconnectionDelayMax: 100 } });
    const ids = [];
    for (const name of ['up', 'to', 'date']) ids.push(await cluster.room(name, 'alice', 'bob'));
    await fill(ids[0], 3);
    const all = [];
    for (const id of ids) all.push(await listening(client, id));
    path.cut();
    await until(() => !client.isConnected, 'it is offline');
    await fill(ids[0], 250);
    await fill(ids[1], 1);
    await cluster.sql("UPDATE rt.messages SET content = 'edited' WHERE room_id = $1 AND seq = 2", [ids[0]]);
    path.open();
    await until(() => client.isConnected, 'it is back');
    await client.ask('join-chat-rooms', { roomIds: ids });
    await cluster.insert(ids[2], 'bob', 'live');
    await cluster.insert(ids[0], 'bob', 'live');
    await until(() => all[0].isBehind && all[2].newest === 1, 'what is new comes');
    assert.equal(all[0].newest, 3);
    let asked = 0;
    const ask = (...args) => { asked++; return client.ask(...args); };
    const { rooms, epoch } = await Messages.sync(all, ask);
    assert.equal(asked, 1);
    assert.ok(epoch);
    assert.deepEqual(rooms.map(({ hasMore }) => hasMore), [true, false, false]); // 200 at a time
    assert.deepEqual(rooms[0].changed.map(({ seq, content }) => [seq, content]), [[2, 'edited']]);
    assert.deepEqual((await Messages.sync([all[0]], ask)).rooms, [{ changed: [], hasMore: false }]);
    assert.deepEqual(all.map((one) => numbers(one.run())), [range(1, 254), [1], [1]]);
    assert.ok(!all[0].isBehind);
    assert.deepEqual((await Messages.sync(all, ask)).rooms, all.map(() => ({ changed: [], hasMore: false })));
  });

  test('what was kept is shown until the latest page is there, which replaces it', async () => {
    const roomId = await cluster.room('kept', 'alice', 'bob');
    await fill(roomId, 3);
    const session = new Session({ url: cluster.url, token: tokens.alice });
    const make = () => new Messages(roomId, (...args) => session.call(...args));
    const before = make();
    await before.loadLatest();
    await fill(roomId, 60);
    const messages = make();
    messages.restore(JSON.parse(JSON.stringify(before.run())));
    messages.add({ ...before.get(3), id: `${roomId}-63`, seq: 63 });
    assert.deepEqual([numbers(messages.run()), messages.isKept, messages.isBehind], [[1, 2, 3], true, false]);
    await messages.loadLatest();
    assert.deepEqual([numbers(messages.run()), messages.isKept], [range(14, 63), false]);
  });
});

describe('the outbox', () => {
  test('an answer that is lost: sent again, stored once', async () => {
    const roomId = await cluster.room('swallowed', 'alice', 'bob');
    const path = await way();
    const room = await watch(await started('alice', { url: path.url }), roomId);
    path.swallows = true;
    const sent = room.send('once');
    await until(async () => (await cluster.value('SELECT count(*) FROM rt.messages WHERE room_id = $1', [roomId])) === '1', 'the server has it');
    assert.equal(room.state.pending.length, 1);
    path.cut();
    path.swallows = false;
    path.open();
    assert.equal((await sent).seq, 1);
    await shows(room, ['once']);
    await until(() => room.state.pending.length === 0, 'nothing waits');
    assert.equal(await cluster.value('SELECT count(*) FROM rt.messages WHERE room_id = $1', [roomId]), '1');
  });

  test('what is not sent outlives the client, and two of them send it once, in order', async () => {
    const roomId = await cluster.room('storage', 'alice', 'bob');
    const storage = new Memory();
    const path = await way();
    const first = await started('alice', { url: path.url, storage });
    const room = await watch(first, roomId);
    path.cut();
    for (let i = 0; i < 5; i++) room.send(`m${i}`);
    await until(() => room.state.pending.length === 5, 'they wait');
    first.close();
    assert.equal(storage.size, 1);
    path.open();
    const [one, two] = await Promise.all([started('alice', { url: path.url, storage }), started('alice', { url: path.url, storage })]);
    const rooms = await Promise.all([watch(one, roomId), watch(two, roomId)]);
    for (const it of rooms) await shows(it, ['m0', 'm1', 'm2', 'm3', 'm4']);
    await until(() => storage.size === 0 && rooms.every(({ state }) => state.pending.length === 0), 'nothing waits');
    assert.equal(await cluster.value('SELECT count(*) FROM rt.messages WHERE room_id = $1', [roomId]), '5');
  });

  test('what the server refuses stays, with the reason, and holds up nothing', async () => {
    const roomId = await cluster.room('refused', 'alice', 'bob');
    const room = await watch(await started('alice'), roomId);
    const large = room.send('x'.repeat(100_000));
    const small = room.send('small');
    await assert.rejects(large, { code: 'too_large' });
    assert.equal((await small).seq, 1);
    const [failed] = room.state.pending;
    assert.equal(failed.error.code, 'too_large');
    await cluster.sql("ALTER SYSTEM SET rt.max_message_size = '256kB'");
    await cluster.sql('SELECT pg_reload_conf()');
    await until(() => { if (room.state.pending[0]?.error) room.retry(failed.clientId); return room.state.pending.length === 0; }, 'it is sent');
    await until(() => room.state.lastSeq === 2, 'it came');
    await cluster.sql('ALTER SYSTEM RESET rt.max_message_size');
    await cluster.sql('SELECT pg_reload_conf()');
    await until(async () => { await room.send('y'.repeat(100_000)).catch(() => {}); return room.state.pending.some(({ error }) => error); }, 'refused again');
    room.discard(room.state.pending[0].clientId);
    await until(() => room.state.pending.length === 0, 'thrown away');
  });
});

describe('people', () => {
  test('typing, and that it ends', async () => {
    const roomId = await cluster.room('typing', 'alice', 'bob');
    const [a, b] = await Promise.all([started('alice'), started('bob')]);
    const [room, other] = await Promise.all([watch(a, roomId), watch(b, roomId)]);
    other.setTyping();
    await until(() => room.state.typing[0]?.userName === 'Bob', 'Bob types');
    await until(() => room.state.typing.length === 0, 'Bob has stopped');
    other.setTyping();
    await until(() => room.state.typing.length === 1, 'Bob types again');
    await other.send('done');
    await until(() => room.state.typing.length === 0, 'sending ends it');
  });

  test('two devices: read on one is read on the other, and the sender sees it', async () => {
    const roomId = await cluster.room('devices', 'alice', 'bob');
    const [a, desk, phone] = await Promise.all([started('alice'), started('bob'), started('bob')]);
    const room = await watch(a, roomId);
    const [onDesk] = await Promise.all([watch(desk, roomId), until(() => phone.rooms.get(roomId), 'the list')]);
    for (const text of ['one', 'two', 'three']) await room.send(text);
    await until(() => onDesk.state.lastSeq === 3 && phone.rooms.get(roomId).unreadCount === 3, 'three unread');
    assert.equal(phone.rooms.state.rooms[0].id, roomId, 'the latest first');
    onDesk.markSeen(2);
    await until(() => phone.rooms.get(roomId).unreadCount === 1 && phone.rooms.get(roomId).lastReadSeq === 2, 'one unread');
    await until(() => room.state.readBy.bob === 2, 'the sender sees it');
    await onDesk.markRead(0);
    await until(() => phone.rooms.get(roomId).unreadCount === 3, 'unread again');
  });

  test('presence: in a room, and of each user', async () => {
    const roomId = await cluster.room('presence', 'alice', 'bob', 'carol');
    const client = await started('alice');
    const stop = client.presence.watch(roomId);
    await until(() => client.presence.state.rooms[roomId]?.map(({ userId }) => userId).join() === 'alice', 'alone');
    const bob = await started('bob');
    await until(() => client.presence.state.rooms[roomId].length === 2 && client.presence.get('bob').isOnline, 'Bob is there');
    await bob.ask('update-chat-status', { status: 'busy', statusMessage: 'in a call' });
    await until(() => client.presence.get('bob').status === 'busy' && client.presence.get('bob').statusMessage === 'in a call', 'busy');
    bob.close();
    await until(() => client.presence.state.rooms[roomId].length === 1 && client.presence.get('bob').isOnline === false, 'Bob has left');
    stop();
  });

  test('notifications, and errors of events', async () => {
    const client = await started('bob');
    const heard = [];
    client.on('notification', (it) => heard.push(it));
    const roomId = await cluster.room('notified', 'alice', 'bob');
    await cluster.insert(roomId, 'alice', 'look, @bob');
    await until(() => heard.some(({ type }) => type === 'mention') && heard.some(({ type }) => type === 'room-added'), 'both');
    await until(() => client.rooms.get(roomId)?.mentionCount === 1, 'a mention in the list');
    await assert.rejects(client.ask('send-chat-message', {}), (error) => error instanceof RtError && /POST/.test(error.message));
  });

  test('a mention that the list has counted before its event comes counts once; so does one that an edit adds', async () => {
    const client = await started('bob');
    const { socket } = client;
    const held = [];
    const { onevent } = socket;
    socket.onevent = (packet) => held.push(packet);
    const roomId = await cluster.room('counted', 'alice', 'bob');
    await cluster.insert(roomId, 'alice', 'look, @bob');
    const mention = await until(() => held.find(({ data: [, event] }) => event.type === 'mention'), 'the event');
    await client.rooms.load();
    assert.equal(client.rooms.get(roomId).mentionCount, 1);
    socket.onevent = onevent;
    socket.onevent(mention);
    await cluster.insert(roomId, 'alice', 'and again, @bob');
    await cluster.insert(roomId, 'alice', 'nothing');
    await until(() => client.rooms.get(roomId).lastSeq === 3 && client.rooms.get(roomId).mentionCount === 2, 'two mentions');
    await client.rooms.load();
    await cluster.sql("UPDATE rt.messages SET content = 'now @bob, too' WHERE room_id = $1 AND seq = 3", [roomId]);
    await until(() => client.rooms.get(roomId).mentionCount === 3, 'three mentions');
  });
});

describe('a meeting', () => {
  const track = (kind) => new FakeMediaStreamTrack({ kind });
  const joined = async (user, meetingId, options) => {
    const client = await started(user);
    const meeting = client.meeting(meetingId);
    await meeting.join(options);
    return meeting;
  };
  const has = (meeting, sources) => until(() => meeting.state.tracks.map(({ source }) => source).sort().join() === sources, `tracks ${sources}`);

  test('tracks, pausing, leaving; messages, hands, roles', async () => {
    const meetingId = await createMeeting(cluster, tokens.alice);
    const host = await joined('alice', meetingId);
    await host.produce(track('audio'));
    await host.produce(track('video'));
    const guest = await joined('bob', meetingId);
    await has(guest, 'camera,microphone');
    assert.equal(guest.state.participants.length, 2);
    await guest.produce(track('audio'));
    await has(host, 'microphone');
    await guest.setPaused('microphone', true);
    await until(() => host.state.tracks[0].paused, 'paused');
    await guest.setPaused('microphone', false);
    await until(() => !host.state.tracks[0].paused, 'resumed');
    await until(() => host.state.participants.find(({ userId }) => userId === 'bob').media.audio, 'it is told');
    await guest.send('hello');
    await until(() => host.state.messages[0]?.message === 'hello', 'the message');
    await guest.raiseHand();
    await until(() => host.state.hands[0] === guest.state.participantId, 'the hand');
    await host.setRole(guest.state.participantId, 'co-host');
    await until(() => guest.state.participants.find(({ userId }) => userId === 'bob').role === 'co-host', 'the role');
    await guest.stop('microphone');
    await has(host, '');
    await host.leave();
    await until(() => guest.state.participants.length === 1 && guest.state.tracks.length === 0, 'the host has left');
    assert.equal(host.state.status, 'left');
  });

  test('a drop, a kill of the gateway, a kill of the media worker: the same tracks again', async () => {
    const meetingId = await createMeeting(cluster, tokens.alice);
    const host = await joined('alice', meetingId);
    await host.produce(track('video'));
    const guest = await joined('bob', meetingId);
    await guest.produce(track('audio'));
    await has(guest, 'camera');
    await has(host, 'microphone');
    for (const program of ['media', 'gateway']) {
      const before = guest.state.tracks[0].consumerId;
      process.kill(await cluster.pid(program), 'SIGKILL');
      if (program === 'media') await until(() => guest.state.tracks[0] && guest.state.tracks[0].consumerId !== before, 'another consumer');
      else await until(async () => (await cluster.pid('gateway')) > 0 && (await cluster.rest('GET', '/readyz').catch(() => ({}))).status === 200, 'the gateway is back');
      await has(guest, 'camera');
      await has(host, 'microphone');
    }
    await host.send('still here');
    await until(() => guest.state.messages.some(({ message }) => message === 'still here'), 'the message');
  });

  test('a lobby: waiting, admitted, refused; the end', async () => {
    const meetingId = await createMeeting(cluster, tokens.alice, { lobby: true });
    const host = await joined('alice', meetingId, { media: false });
    const bob = (await started('bob')).meeting(meetingId);
    const entering = bob.join({ media: false });
    await until(() => host.state.waiting.length === 1 && bob.state.status === 'waiting', 'Bob waits');
    await host.admit(host.state.waiting[0].waitingId);
    await entering;
    assert.equal(bob.state.status, 'joined');
    const carol = (await started('carol')).meeting(meetingId);
    const refused = assert.rejects(carol.join({ media: false }), { code: 'forbidden' });
    await until(() => host.state.waiting.length === 1, 'Carol waits');
    await host.refuse();
    await refused;
    assert.equal(carol.state.status, 'refused');
    await host.end();
    await until(() => bob.state.status === 'ended', 'it has ended');
    await assert.rejects((await started('bob')).meeting(meetingId).join(), { code: 'gone' });
  });
});
