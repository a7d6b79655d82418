// Contract, sections 1 and 7: a client in another language, Debian's python3-socketio, unmodified: threads and asyncio, by
// polling, by websocket, and with the upgrade between them.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { until } from './lib/client.mjs';

// Debian's own, whose packages the library is among, and not another one that comes first in PATH.
const PYTHON = '/usr/bin/python3';
const CLIENT = join(dirname(fileURLToPath(import.meta.url)), 'python/socketio_client.py');
const missing = spawnSync(PYTHON, ['-c', 'import socketio, requests, websocket, aiohttp']).status !== 0 && 'no python3-socketio: test/install-deps test';
const running = new Set();
let cluster, tokens;
let number = 0;

before(async () => {
  cluster = await Cluster.start();
  const all = await cluster.users('alice', 'bob', 'zoë');
  tokens = { alice: all[0], bob: all[1], zoe: all[2] };
});
after(() => cluster?.stop());
afterEach(() => {
  for (const client of running) client.process.kill();
  running.clear();
});

class Python {
  constructor(query, token, transport, ...more) {
    this.lines = [];
    this.process = spawn(PYTHON, [CLIENT, cluster.url + query, token, transport, ...more], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.process.stdin.on('error', () => {});
    createInterface({ input: this.process.stdout }).on('line', (line) => this.lines.push(JSON.parse(line)));
    this.acks = 0;
    running.add(this);
  }

  static async connected(query, token, transport, ...more) {
    const client = new Python(query, token, transport, ...more);
    await client.line(({ connected }) => connected);
    return client;
  }

  line(matches) {
    return until(() => this.lines.find(matches), 'a line of the client').catch((error) => assert.fail(`${error.message}: ${JSON.stringify(this.lines)}`));
  }

  command(command) {
    this.process.stdin.write(`${JSON.stringify(command)}\n`);
  }

  async ask(event, payload) {
    const id = ++this.acks;
    this.command({ emit: [event, payload], id });
    return (await this.line(({ ack }) => ack === id)).args[0];
  }

  events(name) {
    return this.lines.filter(({ event }) => event?.[0] === name).map(({ event }) => event[1]);
  }

  event(name, matches = () => true) {
    return until(() => this.events(name).find(matches), `${name}: ${JSON.stringify(this.lines)}`);
  }
}

const room = (...members) => cluster.room(`python ${++number}`, ...members);

describe('python3-socketio', { skip: missing }, () => {
  for (const [transport, ...more] of [['polling'], ['websocket'], ['both'], ['websocket', '--async'], ['polling', '--async']]) {
    test(`connects, joins, receives, gets acks: ${[transport, ...more].join(' ')}`, async () => {
      const roomId = await room('alice', 'zoë');
      const client = await Python.connected('/?recovery=0', tokens.zoe, transport, ...more);
      const joined = await client.ask('join-chat-rooms', { roomIds: [roomId] });
      assert.equal(joined.success, true);
      assert.deepEqual(joined.rooms, [roomId]);
      await cluster.insert(roomId, 'alice', 'Grüß dich, @zoë 👋');
      const message = await client.event('new-chat-message', ({ roomId: id }) => id === roomId);
      assert.equal(message.data.content, 'Grüß dich, @zoë 👋');
      await client.event('chat-notification', ({ type, data }) => type === 'mention' && data.roomId === roomId);
      const seen = await client.ask('mark-msgs-seen', { roomId, messageIds: [`${roomId}-1`] });
      assert.equal(seen.success, true);
      assert.equal((await client.event('chat-read-state', ({ roomId: id }) => id === roomId)).unreadCount, 0);
      const refused = await client.ask('join-chat-rooms', { roomIds: ['999999'] });
      assert.equal(refused.success, false);
      assert.equal(refused.error.code, 'not_found');
      client.command({ send: ['chat-typing', { roomId: 'x' }] });
      assert.equal((await client.event('error')).event, 'chat-typing');
      assert.deepEqual(client.lines.filter(({ raised }) => raised), []);
    });
  }

  test('with recovery each handler gets the offset too, which python refuses: what ?recovery=0 is for', async () => {
    const roomId = await room('alice', 'bob');
    const client = await Python.connected('', tokens.bob, 'websocket');
    assert.equal((await client.ask('join-chat-rooms', { roomIds: [roomId] })).success, true);
    await cluster.insert(roomId, 'alice', 'hello');
    const { raised } = await client.line((line) => line.raised);
    assert.match(raised, /takes .*1 .*positional argument/);
  });

  test('a token that is wrong', async () => {
    const client = new Python('/?recovery=0', 'wrong', 'websocket');
    assert.deepEqual((await client.line(({ refused }) => refused)).refused, { message: 'Invalid token', data: { code: 'unauthorized' } });
  });

  test('a gateway that is killed: it connects again by itself, and sync-rooms has what it missed', async () => {
    const roomId = await room('alice', 'bob');
    const client = await Python.connected('/?recovery=0', tokens.bob, 'both');
    await client.ask('join-chat-rooms', { roomIds: [roomId] });
    await cluster.insert(roomId, 'alice', 'before');
    await client.event('new-chat-message', ({ data }) => data.content === 'before');
    process.kill(await cluster.pid('gateway'), 'SIGKILL');
    await client.line(({ disconnected }) => disconnected);
    await cluster.insert(roomId, 'alice', 'meanwhile');
    await until(() => client.lines.filter(({ connected }) => connected).length === 2, 'a second connection');
    assert.equal((await client.ask('join-chat-rooms', { roomIds: [roomId] })).success, true);
    const { rooms: [answer] } = await client.ask('sync-rooms', { rooms: [{ roomId, afterSeq: 1, afterChange: 0 }] });
    assert.deepEqual(answer.messages.map(({ content }) => content), ['meanwhile']);
    await cluster.insert(roomId, 'alice', 'after');
    await client.event('new-chat-message', ({ data }) => data.content === 'after');
    assert.deepEqual(client.lines.filter(({ raised }) => raised), []);
  });

  for (const transport of ['websocket', 'polling']) {
    test(`a connection that breaks, by ${transport}: the user's other device sees them stay or return`, async () => {
      const roomId = await room('alice', 'bob');
      const client = await Python.connected('/?recovery=0', tokens.bob, transport);
      await client.ask('join-chat-rooms', { roomIds: [roomId] });
      client.command({ drop: true });
      // By polling the library notices at its next request.
      await cluster.insert(roomId, 'alice', 'wakes the poll');
      await until(() => client.lines.filter(({ connected }) => connected).length === 2, `a second connection: ${JSON.stringify(client.lines)}`);
      assert.equal((await client.ask('join-chat-rooms', { roomIds: [roomId] })).success, true);
      await cluster.insert(roomId, 'alice', 'back');
      await client.event('new-chat-message', ({ data }) => data.content === 'back');
    });
  }

  test('recovery off in CONNECT is the same as in the query', async () => {
    const roomId = await room('alice', 'bob');
    const script = `
import socketio, sys, threading
done = threading.Event()
client = socketio.Client()
@client.on('new-chat-message')
def handle(payload):
    print(payload['data']['content'], flush=True)
    done.set()
client.connect(sys.argv[1], auth={'token': sys.argv[2], 'recovery': False})
client.call('join-chat-rooms', {'roomIds': [sys.argv[3]]})
print('joined', flush=True)
done.wait(60)
client.disconnect()
`;
    const child = spawn(PYTHON, ['-c', script, cluster.url, tokens.bob, roomId], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = [];
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
    await until(() => lines.includes('joined'), 'it has joined');
    await cluster.insert(roomId, 'alice', 'one argument');
    await until(() => lines.includes('one argument'), 'the handler has run');
    child.kill();
  });
});
