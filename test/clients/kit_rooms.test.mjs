// The list of rooms of clients/js, with a server that answers when a test wants: what comes in whatever order, the list ends as the
// server has it.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from './lib/client.mjs';
import { install } from './lib/kit.mjs';

let kit, Client;
const open = new Set();

before(async () => {
  kit = await install();
  ({ Client } = await kit.load());
});
after(() => kit?.remove());
afterEach(() => {
  for (const { client } of open) client.close();
  open.clear();
});

const DATE = '2026-01-01T00:00:00.000Z';

// A user's rooms at a server of ours.  hold(): answers are made at once, and handed over by the function that it returns.
class World {
  rooms = new Map();
  asked = [];
  pageSize = 200;
  #held;

  constructor(...rooms) {
    for (const room of rooms) this.put(room);
    const session = {
      url: 'http://127.0.0.1:9', on() {}, stop() {}, getToken: async () => 'token',
      call: (name, options) => this.#call(name, options), pages: (name) => this.#pages(name),
    };
    this.client = new Client({ session, storage: null });
    this.client.set({ user: { id: 'alice' } });
    open.add(this);
  }

  put(room) {
    const { messages = [], ...more } = room;
    this.rooms.set(room.id, { roomId: room.id, kind: 'group', name: room.id, createdAt: DATE, memberCount: 2, lastReadSeq: 0, messages, ...more });
  }

  told(id) {
    const { messages, ...room } = this.rooms.get(id);
    const unread = messages.filter(({ seq, senderId, deletedAt }) => seq > room.lastReadSeq && senderId !== 'alice' && !deletedAt);
    return {
      ...room, lastSeq: messages.length, lastMessage: messages.at(-1) ?? null,
      unreadCount: unread.length, mentionCount: unread.filter(({ content }) => content.includes('@alice')).length,
    };
  }

  hold() {
    let release;
    this.#held = new Promise((resolve) => { release = resolve; });
    return () => { this.#held = undefined; release(); };
  }

  async #answer(answer) {
    const held = this.#held;
    await delay(5);
    await held;
    return answer;
  }

  async #call(name, { params }) {
    this.asked.push(`${name} ${params.roomId}`);
    assert.equal(name, 'getRoom');
    if (this.rooms.has(params.roomId)) return this.#answer({ data: this.told(params.roomId) });
    await this.#answer();
    throw Object.assign(new Error('not found'), { code: 'not_found' });
  }

  async* #pages(name) {
    this.asked.push(name);
    const all = () => [...this.rooms.keys()].map((id) => this.told(id)).sort((a, b) => ((a.lastMessage?.seq ?? 0) < (b.lastMessage?.seq ?? 0) ? 1 : -1));
    const before = new Set();
    for (let more = true; more;) {
      const page = all().filter(({ id }) => !before.has(id)).slice(0, this.pageSize);
      for (const { id } of page) before.add(id);
      more = page.length === this.pageSize;
      if (more) await this.turned?.();
      yield await this.#answer(page);
    }
  }

  event(name, event) {
    this.client.socket.emitEvent([name, event]); // as if connected
  }

  notify(type, data) {
    this.event('chat-notification', { type, data, timestamp: DATE });
  }

  // A message, without its event.
  add(roomId, senderId = 'bob', content = 'hello') {
    const { messages } = this.rooms.get(roomId);
    const seq = messages.length + 1;
    const message = { id: `${roomId}-${seq}`, roomId, seq, senderId, content, createdAt: DATE, deletedAt: null };
    messages.push(message);
    return message;
  }

  say(roomId, senderId, content) {
    const message = this.add(roomId, senderId, content);
    this.notify('new-message', message);
    return message;
  }

  readState(roomId, seq) {
    this.rooms.get(roomId).lastReadSeq = seq;
    const { lastReadSeq, unreadCount, mentionCount, lastSeq } = this.told(roomId);
    return { roomId, lastReadSeq, unreadCount, mentionCount, lastSeq };
  }

  members(roomId, memberCount) {
    this.rooms.get(roomId).memberCount = memberCount;
    this.event('chat-room-members', { roomId, action: 'added', members: [], memberCount });
  }

  edit(roomId, seq, content) {
    Object.assign(this.rooms.get(roomId).messages[seq - 1], { content });
    this.event('chat-message-edited', { roomId, data: { messageId: `${roomId}-${seq}`, roomId, newContent: content, timestamp: DATE } });
  }

  delete(roomId, seq) {
    Object.assign(this.rooms.get(roomId).messages[seq - 1], { content: '', deletedAt: DATE });
    this.event('chat-message-deleted', { roomId, data: { messageId: `${roomId}-${seq}`, roomId, timestamp: DATE } });
  }

  remove(roomId) {
    this.rooms.delete(roomId);
    this.notify('room-removed', { roomId });
  }

  get list() {
    return this.client.rooms;
  }

  // What the list says is what the server has.
  async agrees() {
    const brief = ({ id, lastSeq, lastReadSeq, unreadCount, mentionCount, memberCount, lastMessage }) =>
      JSON.stringify({ id, lastSeq, lastReadSeq, unreadCount, mentionCount, memberCount, content: lastMessage?.content, isDeleted: Boolean(lastMessage?.deletedAt) });
    const is = () => this.list.state.rooms.map(brief).sort().join('\n');
    const should = () => [...this.rooms.keys()].map((id) => brief(this.told(id))).sort().join('\n');
    await until(() => is() === should(), 'they agree', 3000).catch(() => assert.equal(is(), should()));
  }
}

const room = (id, ...messages) => ({ id, messages: messages.map((senderId, i) => ({ id: `${id}-${i + 1}`, roomId: id, seq: i + 1, senderId, content: 'old', createdAt: DATE, deletedAt: null })) });

test('a load ends while messages come without a pause', async () => {
  const world = new World(room('1', 'bob'), room('2'));
  const loading = world.list.load();
  let isOver = false;
  const busy = (async () => { while (!isOver) { world.say('1'); await delay(1); } })();
  const ended = await Promise.race([loading.then(() => true), delay(3000)]);
  isOver = true;
  await busy;
  assert.ok(ended, 'it ended');
  assert.ok(world.asked.length <= 2, world.asked.join());
  await world.agrees();
});

test('messages that come before the first list is there ask for nothing else', async () => {
  const world = new World(room('1', 'bob'), room('2'));
  const loading = world.list.load();
  for (let i = 0; i < 20; i++) world.say('1');
  await loading;
  await world.agrees();
  assert.deepEqual(world.asked, ['listRooms']);
});

test('a read mark that messages of ours and of others have overtaken', async () => {
  const world = new World(room('1', 'bob', 'bob'));
  await world.list.load();
  const told = world.readState('1', 2);
  for (const who of ['bob', 'alice', 'bob', 'alice', 'bob', 'alice']) world.say('1', who, who === 'bob' ? 'look, @alice' : 'yes');
  for (const seq of [3, 5, 7]) world.notify('mention', { roomId: '1', seq });
  world.event('chat-read-state', told);
  await world.agrees();
  assert.equal(world.list.get('1').unreadCount, 3);
  assert.equal(world.list.get('1').mentionCount, 3);
});

test('a read mark that the list has overtaken, and messages in front of it', async () => {
  const world = new World(room('1', 'bob', 'bob'));
  await world.list.load();
  const told = world.readState('1', 2);
  world.say('1');
  world.say('1', 'alice');
  await world.list.load();
  world.event('chat-read-state', told);
  await world.agrees();
});

test('what comes between the making of the list and its arrival', async () => {
  const world = new World(room('1', 'bob', 'bob', 'bob'), room('2', 'bob', 'bob'), room('3', 'bob'), room('4', 'bob'), room('5', 'bob'));
  await world.list.load();
  const release = world.hold();
  const loading = world.list.load();
  await delay(20);
  world.event('chat-read-state', world.readState('1', 3));
  world.members('1', 3);
  world.edit('2', 2, 'other words');
  world.delete('3', 1);
  world.remove('4');
  world.say('5', 'bob', 'look, @alice');
  world.notify('mention', { roomId: '5', seq: 2 });
  world.put(room('6', 'bob'));
  world.notify('room-added', { roomId: '6' });
  world.event('chat-room-notifications', { roomId: '5', level: 'none', mutedUntil: null });
  release();
  await loading;
  await world.agrees();
  assert.equal(world.list.get('5').notifications.level, 'none');
});

test('removed and added again while the list is under way', async () => {
  const world = new World(room('1', 'bob'), room('2'));
  const release = world.hold();
  const loading = world.list.load();
  await delay(20);
  world.remove('1');
  world.put({ ...room('1', 'bob', 'bob'), memberCount: 7 });
  world.notify('room-added', { roomId: '1' });
  release();
  await loading;
  await world.agrees();
});

test('two loads at once, of which the older one ends last', async () => {
  const world = new World(room('1', 'bob'), room('2'));
  const release = world.hold();
  const older = world.list.load();
  await delay(20);
  world.event('chat-read-state', world.readState('1', 1));
  world.members('2', 9);
  world.remove('2');
  world.put(room('3'));
  world.notify('room-added', { roomId: '3' });
  world.hold();
  const younger = world.list.load();
  await delay(20);
  release();
  await Promise.all([older, Promise.race([younger, delay(100)])]);
  await world.agrees();
});

test('rooms on later pages: one moves to the front between two pages, one is removed, one is new', async () => {
  const world = new World(...Array.from({ length: 7 }, (_, i) => room(`${i + 1}`, ...Array(7 - i).fill('bob'))));
  world.pageSize = 2;
  let turns = 0;
  world.turned = async () => {
    turns += 1;
    if (turns === 1) for (let i = 0; i < 9; i++) world.say('7');
    if (turns === 2) world.remove('6');
    if (turns === 3) { world.put(room('8', 'bob')); world.notify('room-added', { roomId: '8' }); }
  };
  await world.list.load();
  await world.agrees();
  world.turned = undefined;
  world.rooms.delete('5'); // while we were away
  await world.list.load();
  await world.agrees();
});

test('the last message is edited or deleted; members come; one that was unread is deleted', async () => {
  const world = new World(room('1', 'bob', 'bob', 'bob'), room('2', 'bob'));
  await world.list.load();
  world.edit('1', 3, 'other words');
  world.members('2', 5);
  await world.agrees();
  world.delete('1', 3);
  world.delete('1', 1);
  world.say('2');
  world.delete('2', 2);
  await world.agrees();
});

test('the same where the socket has not joined the room, which is told less then', async () => {
  const world = new World(room('1', 'bob', 'bob'));
  await world.list.load();
  Object.assign(world.rooms.get('1').messages[1], { content: 'other words' });
  world.notify('message-edited', { roomId: '1', messageId: '1-2', seq: 2, by: 'bob' });
  await world.agrees();
  Object.assign(world.rooms.get('1').messages[1], { content: '', deletedAt: DATE });
  world.notify('message-deleted', { roomId: '1', messageId: '1-2', seq: 2, by: 'bob' });
  await world.agrees();
});

test('another server that has fewer messages: what it does not have was never there', async () => {
  const world = new World(room('1', 'bob', 'bob', 'bob'), room('2', 'bob'));
  world.client.noteEpoch('a');
  await world.list.load();
  const release = world.hold();
  const late = world.list.load(); // of the former server
  await delay(20);
  world.put(room('1', 'alice'));
  world.rooms.delete('2');
  world.client.noteEpoch('b');
  await delay(20);
  release();
  await late;
  world.say('1');
  await world.agrees();
});

test('a new room, a thousand unread messages, many rooms at once: few requests', async () => {
  const world = new World(room('1'));
  await world.list.load();
  for (let i = 0; i < 1200; i++) world.say('1', i % 2 ? 'alice' : 'bob');
  await world.agrees();
  assert.ok(world.asked.length < 10, world.asked.join());
  const before = world.asked.length;
  for (let i = 0; i < 100; i++) {
    world.put(room(`new ${i}`, 'bob'));
    world.notify('room-added', { roomId: `new ${i}` });
  }
  await world.agrees();
  assert.ok(world.asked.length <= before + 2, world.asked.slice(before).join());
});

test('presence: who leaves before the answer comes that still has them', async () => {
  const { client } = new World(room('1'));
  client.socket.connected = true;
  let answer;
  client.ask = () => new Promise((resolve) => { answer = resolve; });
  client.presence.watch('1');
  const status = (userId, isOnline) => ({ userId, userName: userId, status: isOnline ? 'online' : 'offline', isOnline, lastSeen: DATE, statusMessage: null });
  client.socket.emitEvent(['chat-user-status-update', status('bob', false)]);
  answer({ users: [status('alice', true), status('bob', true)] });
  await until(() => client.presence.state.rooms['1']?.map(({ userId }) => userId).join() === 'alice' && !client.presence.get('bob').isOnline, 'alone', 3000);
  client.socket.connected = false;
});
