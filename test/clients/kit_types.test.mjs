// clients/js as a package: what is in it, that its types are those of the descriptions, and that they help.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { asyncapi, openapi, version } from './lib/descriptions.mjs';
import { install, packed } from './lib/kit.mjs';

const run = promisify(execFile);
const file = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
let kit;

before(async () => { kit = await install(); });
after(() => kit?.remove());

describe('the package', () => {
  test('has its version, license and sources, and needs nothing beyond the two', async () => {
    const manifest = JSON.parse(await readFile(file('clients/js/package.json'), 'utf8'));
    assert.equal(manifest.version, `${version}.0`);
    assert.deepEqual(Object.keys(manifest.dependencies), ['socket.io-client']);
    assert.deepEqual(Object.keys(manifest.peerDependencies), ['mediasoup-client', 'react']);
    assert.ok(Object.values(manifest.peerDependenciesMeta).every(({ optional }) => optional));
    assert.equal(await readFile(file('clients/js/LICENSE'), 'utf8'), await readFile(file('LICENSE'), 'utf8'));
    const names = (await packed()).files.map(({ path }) => path);
    for (const name of ['README.md', 'LICENSE', 'package.json', 'src/index.js', 'src/react.js', 'types/index.d.ts', 'types/react.d.ts', 'types/api.d.ts']) assert.ok(names.includes(name), name);
    assert.ok(!names.some((name) => name.startsWith('tools/')));
  });

  test('what is generated is up to date', async () => {
    await run('node', [file('clients/js/tools/generate.mjs'), '--check']);
  });

  test('every event and operation has its types', async () => {
    const types = await readFile(file('clients/js/types/api.d.ts'), 'utf8');
    const operations = Object.values(openapi.paths).flatMap((item) => Object.values(item)).filter(({ tags }) => tags && !tags.includes('operation')).map(({ operationId }) => operationId);
    assert.deepEqual(operations.filter((name) => !types.includes(`\n  ${name}: {\n`)), []);
    const names = Object.keys(asyncapi.components.messages).filter((name) => !name.endsWith('.ack'));
    assert.deepEqual(names.filter((name) => !types.includes(`\n  '${name}': (payload: `)), []);
  });
});

const OPTIONS = {
  compilerOptions: {
    strict: true, noEmit: true, target: 'es2022', lib: ['es2022', 'dom'], jsx: 'react-jsx', skipLibCheck: false, types: [], noUnusedLocals: true,
  },
};

async function compile(module, sources) {
  for (const [name, text] of Object.entries(sources)) await writeFile(join(kit.folder, name), text);
  const compilerOptions = { ...OPTIONS.compilerOptions, ...module, preserveSymlinks: true };
  await writeFile(join(kit.folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: Object.keys(sources) }));
  await run('node', [join(kit.folder, 'node_modules/typescript/bin/tsc'), '-p', kit.folder], { cwd: kit.folder }).catch(({ stdout }) => assert.fail(stdout));
}

// A line below "@ts-expect-error" must be an error, any other must be none.
const CHAT = `
import { changes, Client, Messages, RtError, Session, Typing, type ChangeName, type Message, type RoomMessage } from '@pg-rt/client';

const client = new Client({ url: 'http://localhost:4501', getToken: async () => 'token' });
export async function main(): Promise<void> {
  const user = await client.login({ username: 'alice', password: 'x' });
  const name: string = user.name;
  const room = client.room('1');
  const stop: () => void = room.subscribe(({ messages, pending, typing }) => {
    const last: Message | undefined = messages.at(-1);
    console.log(last?.content, last?.reactions?.[0]?.userIds, pending[0]?.error?.code, typing[0]?.userName, name);
  });
  const sent: Message = await room.send('hello', { replyTo: '1-1' });
  // @ts-expect-error a number is no text
  await room.send(1);
  // @ts-expect-error there is no such key
  console.log(sent.contents);
  const rooms = await client.call('listRooms');
  const unread: number = rooms.data[0]!.unreadCount;
  await client.call('listRooms', { query: { limit: 5 } });
  const page = await client.call('listMessages', { params: { roomId: '1' }, query: { afterSeq: 5 } });
  console.log(page.hasMore, page.data[0]?.seq, unread);
  // @ts-expect-error the room is missing
  await client.call('listMessages');
  // @ts-expect-error the kind is none
  await client.call('createRoom', { body: { kind: 'large', memberIds: [] } });
  // @ts-expect-error there is no such operation
  await client.call('sendMail');
  const ack = await client.ask('sync-rooms', { rooms: [{ roomId: '1', afterSeq: 3 }] });
  console.log(ack.rooms[0]?.hasMore);
  // @ts-expect-error the status is none
  await client.ask('update-chat-status', { status: 'asleep' });
  client.socket.on('chat-user-typing', ({ userName, isTyping }, offset) => console.log(userName, isTyping, offset));
  // @ts-expect-error there is no such event
  client.socket.on('chat-user-typin', () => {});
  client.on('notification', (it) => {
    if (it.type === 'mention') console.log(it.data.messageId);
    // @ts-expect-error an edit has no text
    if (it.type === 'message-edited') console.log(it.data.content);
  });
  try {
    await client.connect();
  } catch (error) {
    if (error instanceof RtError && error.code === 'rate_limited') console.log(error.retryAfter);
    // @ts-expect-error there is no such code
    if (error instanceof RtError && error.code === 'teapot') console.log(error);
  }
  const session: Session = client.session;
  session.on('ended', ({ code }) => console.log(code));
  session.ahead('listMessages', { params: { roomId: '1' }, query: { limit: 50 } });
  const roomIds: string[] = [];
  for await (const page of session.pages('listRooms')) roomIds.push(...page.map(({ id }) => id));
  const me = await new Session({ url: 'http://localhost:4501' }).login({ username: 'alice', password: 'secret', code: '123456' });
  console.log(me.name, (await session.call('getMe', { token: 'another' })).data.id, roomIds.length);
  // @ts-expect-error a meeting is named
  await session.call('getMeeting', { token: 'another' });
  const messages = new Messages('1', (...args) => session.call(...args), ({ clientId }) => console.log(clientId));
  const parent: RoomMessage | undefined = messages.add(sent);
  client.socket.on('chat-message-edited', ({ data }) => messages.onChange('chat-message-edited', data));
  for (const name of Object.keys(changes) as ChangeName[]) console.log(name);
  const { rooms: [missed] } = await Messages.sync([messages], (...args) => client.connection.ask(...args));
  console.log(parent?.replyCount, missed?.changed[0]?.reactions.length, (await messages.loadLatest()).hasMore, messages.run(5)[0]?.content);
  // @ts-expect-error messages have numbers
  messages.get('1-1');
  new Typing((isTyping: boolean) => console.log(isTyping)).set();
  const meeting = client.meeting('1');
  await meeting.join({ password: 'sesame', receive: ({ source }) => source !== 'screen' });
  const [track] = (await navigator.mediaDevices.getUserMedia({ audio: true })).getTracks();
  await meeting.produce(track!, { source: 'microphone' });
  // @ts-expect-error there is no such source
  await meeting.setPaused('drone', true);
  stop();
}
`;

const PLAIN = `
import { io, type Socket } from 'socket.io-client';
import type { ClientToServerEvents, ServerToClientEvents } from '@pg-rt/client/api';

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io('http://localhost:4501', { auth: { token: 'token' } });
socket.on('new-chat-message', ({ data }) => console.log(data.userName, data.content));
socket.emit('join-chat-rooms', { roomIds: ['1'] }, (reply) => console.log(reply.success));
export async function main(): Promise<void> {
  const reply = await socket.emitWithAck('join-chat-rooms', { roomIds: ['1'] });
  if (reply.success) console.log('rooms' in reply && reply.rooms);
  else console.log(reply.error?.code);
  // @ts-expect-error an array of ids
  await socket.emitWithAck('join-chat-rooms', { roomIds: '1' });
}
`;

const REACT = `
import type { ReactNode } from 'react';
import { Client } from '@pg-rt/client';
import { RtProvider, useConnection, useMeeting, usePresence, useRoom, useRooms } from '@pg-rt/client/react';

function Room({ id }: { id: string }): ReactNode {
  const { messages, send, typing } = useRoom(id);
  const online = usePresence(id);
  const users = usePresence();
  const { status, user } = useConnection();
  const { rooms } = useRooms();
  const { participants, join } = useMeeting('1');
  // @ts-expect-error an id is a text
  useRoom(1);
  return <ul onClick={() => { void send('hello'); void join(); }}>
    {messages.map((message) => <li key={message.id}>{message.content}{users[message.senderId ?? '']?.status}</li>)}
    <li>{typing.length} {online.length} {status} {user?.name} {rooms.length} {participants.length}</li>
  </ul>;
}

export const App = ({ client }: { client: Client }): ReactNode => <RtProvider client={client}><Room id="1" /></RtProvider>;
`;

for (const [what, module] of [['a bundler', { module: 'esnext', moduleResolution: 'bundler' }], ['Node.js', { module: 'nodenext', moduleResolution: 'nodenext' }]]) {
  test(`types of the client, a plain socket and hooks, as ${what} resolves them`, () => compile(module, { 'chat.mts': CHAT, 'plain.mts': PLAIN, 'react.tsx': REACT }));
}
