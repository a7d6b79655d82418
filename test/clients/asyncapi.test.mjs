// docs/asyncapi.yaml: it has the events of the gateway, and a running server's events and acknowledgements are as it says.
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { after, afterEach, before, describe, test } from 'node:test';
import { ask, closeAll, event, until } from './lib/client.mjs';
import * as sockets from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';
import { asyncapi as api, checkReceived, checkSent, openapi, version } from './lib/descriptions.mjs';
import { Call, createMeeting } from './lib/meeting.mjs';

const { messages } = api.components;
const ALL = Object.entries(api.operations);
const received = ALL.filter(([, { action }]) => action === 'receive').map(([name]) => name);
const sent = ALL.filter(([, { action }]) => action === 'send').map(([name]) => name.replace('send.', ''));
const seen = new Set();
const faults = [];
let cluster, tokens;

before(async () => {
  cluster = await Cluster.start({ 'rt.meeting_grace': '1s' });
  tokens = await cluster.tokens('alice', 'bob', 'carol');
  await until(() => cluster.value('SELECT count(*) > 0 FROM rt_private.media_workers'), 'a media worker');
});
after(() => cluster?.stop());
afterEach(() => {
  closeAll();
  const found = [...new Set(faults.splice(0))];
  assert.deepEqual(found, []);
});

function note(name, schema, value) {
  seen.add(name);
  try {
    checkSent(schema, value, name);
  } catch (error) {
    faults.push(error.message);
  }
}

async function connect(token) {
  const client = await sockets.connect(cluster, token);
  client.onAny((name, payload) => {
    if (!sent.includes(name)) faults.push(`${name} is not on the page`);
    else note(name, messages[name].payload, payload);
  });
  const emitWithAck = client.emitWithAck.bind(client);
  client.timeout = () => ({
    emitWithAck: async (name, payload) => {
      const ack = await emitWithAck(name, payload);
      if (ack.success || ack.rooms) {
        checkReceived(messages[name].payload, payload, name);
        note(`${name}.ack`, messages[`${name}.ack`].payload, ack);
      } else checkSent(api.components.schemas.Failure, ack, `${name}: failure`);
      return ack;
    },
  });
  return client;
}

async function ok(client, name, payload) {
  const ack = await ask(client, name, payload);
  assert.equal(ack.success, true, `${name}: ${JSON.stringify(ack)}`);
  return ack;
}

const rest = async (method, path, user, body) => (await cluster.restOk(method, path, tokens[user], body)).data;

async function sources(folder) {
  const names = await readdir(new URL(`../../${folder}/`, import.meta.url), { recursive: true });
  const texts = names.filter((name) => /\.(c|sql)$/.test(name)).map((name) => readFile(new URL(`../../${folder}/${name}`, import.meta.url), 'utf8'));
  return (await Promise.all(texts)).join('\n');
}

describe('the page', () => {
  test('it has the version of the extension, as openapi.yaml has', async () => {
    assert.equal(api.info.version, version);
    assert.equal(openapi.info.version, version);
    assert.equal(await cluster.value("SELECT extversion FROM pg_extension WHERE extname = 'rt'"), version);
  });

  test('it has every event of the source, and no others', async () => {
    const gateway = await sources('bgworker/gateway');
    const sql = await sources('extension/schema');
    const inTables = [...gateway.matchAll(/\{\.name = "([\w-]+)"(?!,\s*\.callback)/g)].map(([, name]) => name);
    const aliases = [...gateway.matchAll(/\.alias = "([\w-]+)"/g)].map(([, name]) => name);
    const emitted = [...gateway.matchAll(/\.reply = "([\w-]+)"/g), ...sql.matchAll(/(?:meeting_emit|message_event|\bemit)\('([\w-]+)'/g)].map(([, name]) => name);
    assert.deepEqual([...received].sort(), inTables.sort());
    assert.deepEqual(ALL.map(([, operation]) => operation['x-alias']).filter(Boolean).sort(), aliases.sort());
    assert.ok(emitted.length > 40);
    assert.deepEqual(emitted.filter((name) => !sent.includes(name)), []);
  });

  test('rt.broadcast refuses to send an event of that name', async () => {
    const roomId = await cluster.room('broadcasts', 'alice');
    for (const name of sent) await assert.rejects(cluster.sql("SELECT rt.broadcast($1, $2, '{}')", [roomId, name]), { code: 'RT400' }, name);
  });

  test('its references lead somewhere', () => {
    const find = (ref) => ref.slice(2).split('/').reduce((value, key) => value?.[key], { ...api, components: { ...api.components, schemas: { ...openapi.components.schemas, ...api.components.schemas } } });
    const lost = [];
    (function walk(value) {
      if (value === null || typeof value !== 'object') return;
      if (value.$ref && !find(value.$ref)) lost.push(value.$ref);
      Object.values(value).forEach(walk);
    })(api);
    assert.deepEqual(lost, []);
  });
});

describe('what the gateway sends', () => {
  test('chat', async () => {
    const roomId = await cluster.room('chat', 'alice', 'bob');
    const [alice, bob] = await Promise.all([connect(tokens.alice), connect(tokens.bob)]);
    await ok(alice, 'join-chat-rooms', { roomIds: [roomId] });
    await ok(bob, 'join-chat-rooms', { roomIds: [roomId] });
    await ask(bob, 'join-chat-rooms', { roomIds: ['999999'] });
    await ok(alice, 'chat-typing', { roomId, isTyping: true });
    await event(bob, 'chat-user-typing');
    const first = await rest('POST', `/api/chat/rooms/${roomId}/msgs`, 'alice', { content: 'hello @bob', metadata: { a: 1 } });
    await event(bob, 'new-chat-message');
    const path = `/api/chat/rooms/${roomId}/msgs/${first.id}`;
    await ok(bob, 'mark-msgs-seen', { roomId, messageIds: [first.id] });
    await event(alice, 'messages-seen');
    await event(bob, 'chat-read-state');
    await rest('PUT', `${path}/delivered`, 'bob');
    await rest('PUT', `${path}/reactions/👍`, 'bob');
    await event(alice, 'chat-message-reaction');
    await rest('DELETE', `${path}/reactions/👍`, 'bob');
    await rest('PUT', `${path}/pin`, 'bob');
    await event(alice, 'chat-message-pinned');
    await rest('PATCH', path, 'alice', { content: 'hello, @bob', metadata: { b: 2 } });
    await event(bob, 'chat-message-edited');
    await rest('PUT', `/api/chat/rooms/${roomId}/notifications`, 'bob', { level: 'mentions', mutedUntil: null });
    await event(bob, 'chat-room-notifications');
    await rest('PUT', '/api/users/me/blocks/carol', 'bob');
    await event(bob, 'chat-user-blocked');
    await rest('DELETE', '/api/users/me/blocks/carol', 'bob');
    const carol = await connect(tokens.carol);
    await cluster.sql('INSERT INTO rt.room_invitations (room_id, user_id, invited_by) VALUES ($1, $2, $3)', [roomId, 'carol', 'alice']);
    await event(carol, 'chat-room-invitation', ({ action }) => action === 'invited');
    await rest('POST', `/api/chat/rooms/${roomId}/members`, 'alice', { userIds: ['carol'] });
    await event(bob, 'chat-room-members');
    await event(carol, 'chat-notification', ({ type }) => type === 'room-added');
    await ok(carol, 'update-chat-status', { status: 'busy', statusMessage: 'writing' });
    await event(bob, 'chat-user-status-update', ({ userId, status }) => userId === 'carol' && status === 'busy');
    await ok(bob, 'get-room-online-users', { roomId });
    await rest('POST', `/api/chat/rooms/${roomId}/msgs`, 'bob', { content: 'for @carol', replyTo: first.id });
    await event(carol, 'chat-notification', ({ type }) => type === 'mention');
    await event(carol, 'chat-notification', ({ type }) => type === 'new-message');
    await ok(alice, 'sync-rooms', { rooms: [{ roomId, afterSeq: 0, afterChange: 0 }], limit: 10 });
    await ask(alice, 'sync-rooms', { rooms: [{ roomId: '999999' }] });
    await rest('DELETE', path, 'alice');
    await event(bob, 'chat-message-deleted');
    await event(carol, 'chat-notification', ({ type }) => type === 'message-deleted');
    await rest('PATCH', `/api/chat/rooms/${roomId}`, 'alice', { name: 'renamed' });
    await event(carol, 'chat-notification', ({ type }) => type === 'room-updated');
    await cluster.sql('ALTER SYSTEM SET rt.presence_room_limit = 0');
    await cluster.sql('SELECT pg_reload_conf()');
    await event(bob, 'chat-room-presence');
    await ok(bob, 'leave-chat-room', { roomId });
    bob.emit('frobnicate', {});
    await event(bob, 'error');
    await rest('DELETE', `/api/chat/rooms/${roomId}`, 'alice');
    await event(carol, 'chat-notification', ({ type }) => type === 'room-deleted');
  });

  test('meetings', async () => {
    const meetingId = await createMeeting(cluster, tokens.alice, { lobby: true });
    const [host, bob] = await Promise.all([connect(tokens.alice), connect(tokens.bob)]);
    host.joined = await ok(host, 'join-meeting', { meetingId });
    const enter = async (client, answer = 'admit-participant') => {
      const before = host.events.length;
      await ask(client, 'join-meeting', { meetingId });
      const { waitingId } = await until(() => host.events.slice(before).find(([name]) => name === 'participant-waiting')?.[1], 'somebody waits');
      await ok(host, answer, { meetingId, waitingId });
      await event(client, answer === 'admit-participant' ? 'meeting-admitted' : 'meeting-refused');
      return answer === 'admit-participant' && ok(client, 'join-meeting', { meetingId });
    };
    const carol = await connect(tokens.carol);
    await enter(carol, 'refuse-participant');
    bob.joined = await enter(bob);
    const { participantId } = bob.joined;
    await event(host, 'participant-joined');
    await ok(bob, 'media-status-update', { meetingId, video: true, audio: false, screenSharing: false });
    await ok(bob, 'send-message', { meetingId, message: 'hello' });
    await event(host, 'new-message');
    await ok(bob, 'typing', { meetingId, typing: true });
    await event(host, 'user-typing');
    await ok(bob, 'send-reaction', { meetingId, reaction: '👏' });
    await ok(bob, 'raise-hand', { meetingId, raised: true });
    await event(host, 'hand-raised', ({ hands }) => hands.length === 1);
    await ok(host, 'mute-participant', { meetingId, participantId, mute: true, kind: 'audio' });
    await event(bob, 'muted-by-host');
    await ok(host, 'update-participant-role', { meetingId, participantId, role: 'co-host' });
    await event(bob, 'participant-role-updated');
    await ok(host, 'lock-meeting', { meetingId, locked: true });
    await event(bob, 'meeting-updated');
    await ask(host, 'toggle-recording', { meetingId, start: true });
    await cluster.sql('INSERT INTO rt.meeting_recordings (meeting_id, started_by) VALUES ($1, $2)', [meetingId, 'alice']);
    await event(host, 'recording-status-changed');
    await ok(host, 'remove-participant', { meetingId, participantId, reason: 'asleep' });
    await event(bob, 'removed-from-meeting');
    await event(host, 'participant-left');
    await ok(host, 'end-meeting', { meetingId });
    await event(host, 'meeting-ended');
    const second = await createMeeting(cluster, tokens.alice);
    await ok(host, 'join-meeting', { meetingId: second });
    await ok(host, 'leave-meeting', { meetingId: second });
  });

  test('media', async () => {
    const meetingId = await createMeeting(cluster, tokens.alice);
    const start = async (token) => {
      const client = await connect(token);
      client.meetingId = meetingId;
      client.joined = await ok(client, 'join-meeting', { meetingId });
      client.participantId = client.joined.participantId;
      const call = new Call(client);
      call.ask = (name, payload) => ok(client, name, payload);
      await call.load();
      await call.open('send');
      await call.open('recv');
      return call;
    };
    const alice = await start(tokens.alice);
    const bob = await start(tokens.bob);
    const camera = await alice.produce('video', { source: 'camera' });
    await event(bob.client, 'new-producer');
    const { answer: { consumerId } } = await bob.consume({ producerId: camera.id });
    const producerId = camera.id;
    for (const name of ['resume-consumer', 'pause-consumer', 'request-keyframe']) await ok(bob.client, name, { consumerId });
    await ok(bob.client, 'set-preferred-layers', { consumerId, spatialLayer: 0, temporalLayer: 0 });
    await ok(bob.client, 'get-stats', { consumerId });
    await ok(bob.client, 'restart-ice', { transportId: bob.recv.id });
    await ok(alice.client, 'pause-producer', { producerId });
    await event(bob.client, 'producer-paused');
    await ok(alice.client, 'resume-producer', { producerId });
    await event(bob.client, 'producer-resumed');
    // What a media worker tells when packets flow.
    const worker = await cluster.value('SELECT id FROM rt_private.media_workers LIMIT 1');
    await cluster.sql('SELECT rt_api.media_event(NULL, $1)', [{ worker, events: [
      { type: 'consumer-score', consumerId, score: 7, producerScore: 10 },
      { type: 'layers-changed', consumerId, spatialLayer: 1, temporalLayer: 0 },
      { type: 'active-speaker', routerId: alice.client.joined.webrtcConfig.routerId, producerId, volume: -30 },
    ] }]);
    for (const name of ['consumer-score', 'layers-changed', 'active-speaker']) await event(bob.client, name);
    await ok(bob.client, 'close-consumer', { consumerId });
    await ok(alice.client, 'close-producer', { producerId });
    await event(bob.client, 'producer-closed');
    process.kill(await cluster.pid('media'), 'SIGKILL');
    await event(bob.client, 'transport-closed');
  });

  test('every event and acknowledgement of the page was seen', () => {
    // No test server can record.
    const all = [...sent, ...received.map((name) => `${name}.ack`)].filter((name) => name !== 'toggle-recording.ack');
    assert.deepEqual(all.filter((name) => !seen.has(name)), []);
  });
});
