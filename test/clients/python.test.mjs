// clients/python and its bot, with Debian's libraries: each message is answered once, whatever ends meanwhile.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';

const PYTHON = '/usr/bin/python3';
const path = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const running = new Set();
let cluster, folder;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rt-python-'));
  cluster = await Cluster.start({ 'rt.media_workers': 0 });
  await cluster.users('alice', 'bot');
});
after(async () => {
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});

function python(args, env = {}) {
  const child = spawn(PYTHON, args, { env: { ...process.env, RT_URL: cluster.url, RT_USER: 'bot', RT_PASSWORD: 'bot-password', PYTHONPATH: path('clients/python'), ...env } });
  running.add(child);
  child.text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { child.text += data; });
  child.ended = new Promise((resolve) => { child.on('exit', resolve); });
  return child;
}

async function bot(env) {
  const child = python([path('examples/bot.py')], env);
  await until(() => child.text.includes('listening') || child.exitCode !== null, 'the bot listens');
  assert.equal(child.exitCode, null, child.text);
  return child;
}

const answers = async (roomId) => (await cluster.sql("SELECT content, reply_to FROM rt.messages WHERE room_id = $1 AND sender_id = 'bot' ORDER BY seq", [roomId]));
const answered = (roomId, n) => until(async () => (await answers(roomId)).length === n, `${n} answers`);

test('the bot answers, in rooms of now and of later, and ends when told', async () => {
  const roomId = await cluster.room('bot', 'alice', 'bot');
  await cluster.insert(roomId, 'alice', '!ping');
  const child = await bot();
  await cluster.insert(roomId, 'alice', '!roll 2d6');
  await cluster.insert(roomId, 'alice', 'nothing for a bot');
  await cluster.insert(roomId, 'alice', '!ping');
  await answered(roomId, 2);
  const [roll, pong] = await answers(roomId);
  assert.match(roll.content, /^\d \+ \d = \d+$/);
  const last = await cluster.value("SELECT max(seq) FROM rt.messages WHERE room_id = $1 AND content = '!ping'", [roomId]);
  assert.deepEqual([roll.reply_to, pong.content, pong.reply_to], ['2', 'pong', last], 'not what was written before it came');
  const later = await cluster.room('later', 'alice', 'bot');
  await cluster.insert(later, 'alice', '!ping');
  await answered(later, 1);
  child.kill('SIGTERM');
  assert.equal(await child.ended, 0, child.text);
});

test('the gateway is killed, the bot is killed: each message is answered once', async () => {
  const roomId = await cluster.room('kills', 'alice', 'bot');
  const env = { RT_POSITIONS: join(folder, 'positions.json') };
  let child = await bot(env);
  let asked = 0;
  const ask = async (n) => { for (let i = 0; i < n; i++) await cluster.insert(roomId, 'alice', `!roll 1d${++asked}`); };
  await ask(3);
  process.kill(await cluster.pid('gateway'), 'SIGKILL');
  await ask(3);
  await answered(roomId, 6);
  child.kill('SIGKILL');
  await child.ended;
  await ask(3);
  child = await bot(env);
  await ask(1);
  await answered(roomId, 10);
  const replies = (await answers(roomId)).map(({ reply_to: seq }) => Number(seq));
  assert.equal(new Set(replies).size, 10);
  assert.deepEqual(replies, [...replies].sort((a, b) => a - b), 'in order');
});

test('a wrong password ends it, and says so', async () => {
  const child = python([path('examples/bot.py')], { RT_PASSWORD: 'wrong' });
  assert.notEqual(await child.ended, 0);
  assert.match(child.text, /RtError: unauthorized/);
});

test('what is written while a room is entered is handed over, in rooms of now and of later', async () => {
  const [alice, late] = await cluster.users('writer', 'late');
  await cluster.room('now', 'writer', 'late');
  const child = python(['-c', `
import asyncio
from rt_client import Client

alice = Client('${cluster.url}', token='${alice}')
heard, arrived, wake = [], set(), asyncio.Event()

class Slow(Client):
    """Writes just before the server joins us, and just after it, until the event of that has come."""
    async def ask(self, event, payload):
        if event != 'join-chat-rooms':
            return await super().ask(event, payload)
        for room_id in payload['roomIds']:
            await alice.send(room_id, f'before {room_id}')
        reply = await super().ask(event, payload)
        for room_id in payload['roomIds']:
            await alice.send(room_id, f'after {room_id}')
            await until(lambda: f'after {room_id}' in arrived)
        return reply

async def until(condition):
    while not condition():
        wake.clear()
        await asyncio.wait_for(wake.wait(), 60)

async def main():
    rt = Slow('${cluster.url}', token='${late}')
    @rt.on('new-chat-message')
    async def arrive(event):
        arrived.add(event['data']['content'])
        wake.set()
    @rt.on_message
    async def hear(message):
        heard.append(message['content'])
        wake.set()
    async with rt:
        await until(lambda: len(heard) == 2)
        await alice.call('POST', '/api/chat/rooms', {'kind': 'group', 'name': 'later', 'memberIds': ['late']})
        await until(lambda: len(heard) == 4)
    await alice._close()
    print([content.split(' ')[0] for content in heard])

asyncio.run(main())
`]);
  assert.equal(await child.ended, 0, child.text);
  assert.match(child.text, /^\['before', 'after', 'before', 'after'\]/m);
});

test('as a library: with a token, REST, events, errors', async () => {
  const roomId = await cluster.room('library', 'alice', 'bot');
  const code = `
import asyncio, sys
from rt_client import Client, RtError

async def main():
    async def token():
        return ${JSON.stringify(await cluster.token('bot'))}
    heard = asyncio.get_running_loop().create_future()
    async with Client('${cluster.url}', token=token, own=True) as rt:
        @rt.on_message
        async def hear(message):
            if not heard.done():
                heard.set_result(message)
        first = await rt.send(${roomId}, 'once', client_id='c1', metadata={'a': 1})
        again = await rt.send(${roomId}, 'once', client_id='c1')
        assert first['id'] == again['id'] and again['metadata'] == {'a': 1}, again
        assert (await heard)['content'] == 'once'
        rooms = await rt.call('GET', '/api/chat/rooms', limit=1)
        assert rooms['success'] and len(rooms['data']) == 1
        await rt.typing(${roomId})
        try:
            await rt.call('POST', '/api/chat/rooms/${roomId}/members', {'userIds': ['nobody']})
        except RtError as error:
            print(error.code, error.status)
        try:
            await rt.ask('send-chat-message', {})
        except RtError as error:
            print(error.message)

asyncio.run(main())
`;
  const child = python(['-c', code]);
  assert.equal(await child.ended, 0, child.text);
  assert.match(child.text, /^forbidden 403\nUnknown event "send-chat-message"\. Send a message by POST/m);
});
