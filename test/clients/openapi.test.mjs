// docs/openapi.yaml: a linter accepts it, it has what the gateway's table has, and each operation answers as it says.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, describe, test } from 'node:test';
import { createConfig, lint } from '@redocly/openapi-core';
import { askOk, closeAll, connect } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';
import { OPENAPI, checkReceived, checkSent, openapi as api } from './lib/descriptions.mjs';

const TABLE = new URL('../../bgworker/gateway/rest/rest_table.c', import.meta.url);
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

const operations = new Map(); // by operationId: { method, path, ...operation }
const answered = new Set();   // "operationId status"
let cluster, tokens;

for (const [path, item] of Object.entries(api.paths)) {
  for (const method of METHODS) if (item[method]) operations.set(item[method].operationId, { method, path, ...item[method] });
}

before(async () => {
  cluster = await Cluster.start();
  tokens = await cluster.tokens('alice', 'bob', 'carol');
});
after(() => cluster?.stop());
afterEach(closeAll);

function resolve(thing) {
  if (!thing?.$ref) return thing;
  return resolve(thing.$ref.slice(2).split('/').reduce((value, key) => value[key], api));
}

function address(operation, params, query) {
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(params[name]));
  return query ? `${path}?${new URLSearchParams(query)}` : path;
}

function checkQuery(operation, query) {
  const known = [...(operation.parameters ?? [])].map(resolve).filter((parameter) => parameter.in === 'query');
  for (const name of Object.keys(query ?? {})) assert.ok(known.some((parameter) => parameter.name === name), `parameter ${name}`);
}

function checkReply(id, operation, reply) {
  const response = resolve(operation.responses[reply.status]);
  assert.ok(response, `${id}: status ${reply.status} is not documented: ${JSON.stringify(reply.body)}`);
  const [[type, { schema }]] = Object.entries(response.content);
  assert.ok(reply.headers.get('content-type').startsWith(type), `${id}: content type`);
  checkSent(schema, reply.body, `${id} ${reply.status}`);
  answered.add(`${id} ${reply.status}`);
}

// Calls an operation; its answer must have the status and be what the page says.  The result is its data.
async function call(id, status, user, { params = {}, query, body } = {}) {
  const operation = operations.get(id);
  checkQuery(operation, query);
  if (body !== undefined && status < 400) checkReceived(resolve(operation.requestBody).content['application/json'].schema, body, `${id}: body`);
  const reply = await cluster.rest(operation.method.toUpperCase(), address(operation, params, query), tokens[user], body);
  assert.equal(reply.status, status, `${id}: ${JSON.stringify(reply.body)}`);
  checkReply(id, operation, reply);
  return reply.body.data ?? reply.body;
}

describe('the page', () => {
  test('a linter has nothing to say', async () => {
    const config = await createConfig({ extends: ['recommended'] });
    const problems = await lint({ ref: OPENAPI.pathname, config });
    assert.deepEqual(problems.map((problem) => `${problem.location[0].pointer}: ${problem.message}`), []);
  });

  test('it has the operations of the gateway, and no others', async () => {
    const text = await readFile(TABLE, 'utf8');
    const macros = new Map();
    const expand = (parts) => [...parts.matchAll(/"([^"]*)"|(\w+)/g)].map(([, literal, name]) => literal ?? macros.get(name)).join('');
    for (const [, name, parts] of text.matchAll(/^#define (\w+) (.*)$/gm)) macros.set(name, expand(parts));
    const inGateway = [...text.matchAll(/^\s*\{"([A-Z]+)", ([^,]+),/gm)]
      .map(([, method, parts]) => `${method} ${expand(parts).replace(/\|\w+/g, '').replace(/:(\w+)/g, '{$1}')}`);
    const inPage = [...operations.values()].filter(({ tags }) => !tags.includes('operation')).map(({ method, path }) => `${method.toUpperCase()} ${path}`);
    assert.ok(inGateway.length > 30);
    assert.deepEqual(inPage.sort(), inGateway.sort());
  });
});

describe('what the gateway answers', () => {
  test('login and operation', async () => {
    await call('login', 200, undefined, { body: { username: 'alice', password: 'alice-password' } });
    await call('login', 401, undefined, { body: { username: 'alice', password: 'wrong' } });
    await call('login', 400, undefined, { body: {} });
    await call('refreshToken', 200, 'alice');
    await call('getHealth', 200);
    await call('getReadiness', 200);
    assert.match(await call('getMetrics', 200), /^rt_gateway_sockets/m);
  });

  test('sessions, passwords, two factors', async () => {
    [tokens.dora] = await cluster.users('dora');
    await cluster.token('dora');
    const [one, other] = await call('listSessions', 200, 'dora');
    await call('endSession', 200, 'dora', { params: { sessionId: one.current ? other.id : one.id } });
    await call('endSession', 404, 'dora', { params: { sessionId: 'none' } });
    await call('changePassword', 401, 'dora', { body: { old: 'wrong', new: 'x' } });
    await call('changePassword', 400, 'dora', { body: { old: 'wrong' } });
    await call('changePassword', 200, 'dora', { body: { old: 'dora-password', new: 'another' } });
    await call('startTwoFactor', 200, 'dora');
    await call('confirmTwoFactor', 400, 'dora', { body: { code: 'none' } });
    const code = await cluster.value(`SELECT rt_private.totp(secret, floor(extract(epoch FROM clock_timestamp()) / 30)::bigint)
      FROM rt_private.two_factor WHERE user_id = 'dora'`);
    assert.equal((await call('confirmTwoFactor', 200, 'dora', { body: { code } })).recoveryCodes.length, 10);
    await call('confirmTwoFactor', 409, 'dora', { body: { code } });
    await call('startTwoFactor', 409, 'dora');
    await call('endTwoFactor', 200, 'dora', { body: { password: 'another' } });
    await call('endTwoFactor', 404, 'dora', { body: { password: 'another' } });
    await call('logOut', 200, 'dora');
  });

  test('users', async () => {
    assert.equal((await call('getMe', 200, 'alice')).id, 'alice');
    assert.equal((await call('findUsers', 200, 'alice', { query: { q: 'bo', limit: 5 } })).length, 1);
    await call('findUsers', 400, 'alice', { query: { limit: 0 } });
  });

  test('rooms', async () => {
    const room = await call('createRoom', 201, 'alice', { body: { kind: 'group', name: 'a room', memberIds: ['bob'] } });
    const params = { roomId: room.id };
    await call('createRoom', 201, 'alice', { body: { kind: 'direct', memberIds: ['bob'] } });
    const direct = await call('createRoom', 200, 'bob', { body: { kind: 'direct', memberIds: ['alice'] } });
    await call('createRoom', 400, 'alice', { body: { kind: 'group' } });
    await call('createRoom', 404, 'alice', { body: { kind: 'group', name: 'x', memberIds: ['nobody'] } });
    await call('createRoom', 413, 'alice', { body: { kind: 'group', name: 'x'.repeat(1025), memberIds: [] } });
    await call('listRooms', 200, 'alice');
    await call('getRoom', 200, 'alice', { params });
    await call('getRoom', 404, 'carol', { params });
    await call('getRoom', 400, 'carol', { params: { roomId: 'x' } });
    await call('changeRoom', 200, 'alice', { params, body: { name: 'another' } });
    await call('changeRoom', 403, 'bob', { params, body: { name: 'mine' } });
    await call('addMembers', 200, 'alice', { params, body: { userIds: ['carol'], role: 'member' } });
    await call('addMembers', 409, 'alice', { params: { roomId: direct.id }, body: { userIds: ['carol'] } });
    await call('addMembers', 409, 'alice', { params, body: { userIds: ['carol'], role: 'member' } });
    await call('changeRole', 200, 'alice', { params: { ...params, userId: 'carol' }, body: { role: 'member' } });
    await call('changeRole', 409, 'alice', { params: { ...params, userId: 'alice' }, body: { role: 'member' } });
    assert.equal((await call('listMembers', 200, 'bob', { params })).length, 3);
    await call('removeMember', 403, 'bob', { params: { ...params, userId: 'carol' } });
    await call('removeMember', 200, 'carol', { params: { ...params, userId: 'carol' } });
    await call('removeMember', 404, 'alice', { params: { ...params, userId: 'carol' } });
    await call('changeRoom', 200, 'alice', { params, body: { topic: 'tea', archived: false, history: 'all', whoMayPost: 'members', whoMayAdd: 'admins', whoMayPin: 'members', whoMayMentionAll: 'members' } });
    await call('setNotifications', 200, 'bob', { params, body: { level: 'mentions', mutedUntil: null } });
    await call('setNotifications', 400, 'bob', { params, body: {} });
    await call('blockUser', 200, 'alice', { params: { userId: 'carol' } });
    assert.equal((await call('listBlocks', 200, 'alice')).length, 1);
    await call('unblockUser', 200, 'alice', { params: { userId: 'carol' } });
    await call('blockUser', 404, 'alice', { params: { userId: 'nobody' } });
    const other = { roomId: await cluster.room('other', 'bob') };
    for (const { roomId } of [params, other]) await cluster.sql('INSERT INTO rt.room_invitations (room_id, user_id, invited_by) VALUES ($1, $2, $3)', [roomId, 'carol', 'alice']);
    assert.equal((await call('listInvitations', 200, 'carol')).length, 2);
    await call('acceptInvitation', 200, 'carol', { params });
    await call('acceptInvitation', 404, 'carol', { params });
    await call('declineInvitation', 200, 'carol', { params: other });
    await call('declineInvitation', 404, 'bob', { params: other });
    await call('deleteRoom', 403, 'bob', { params });
    await call('deleteRoom', 200, 'alice', { params });
  });

  test('messages', async () => {
    const params = { roomId: await cluster.room('messages', 'alice', 'bob') };
    const message = await call('sendMessage', 201, 'alice', { params, body: { content: 'hello', clientId: 'c1', metadata: { mentions: ['bob'] } } });
    await call('sendMessage', 200, 'alice', { params, body: { content: 'hello', clientId: 'c1' } });
    const one = { ...params, messageId: message.id };
    await call('sendMessage', 201, 'bob', { params, body: { content: 'hi', replyTo: message.id } });
    await call('setRead', 200, 'bob', { params, body: { seq: 1 } });
    await call('setRead', 400, 'bob', { params, body: {} });
    await call('pinMessage', 200, 'bob', { params: one });
    assert.equal((await call('listPins', 200, 'bob', { params })).length, 1);
    await call('unpinMessage', 200, 'bob', { params: one });
    assert.equal((await call('listReplies', 200, 'bob', { params: one, query: { limit: 1 } })).length, 1);
    await call('sendMessage', 400, 'alice', { params, body: {} });
    await call('sendMessage', 404, 'carol', { params, body: { content: 'let me in' } });
    await call('sendMessage', 413, 'alice', { params, body: { content: 'x'.repeat(70_000) } });
    assert.equal((await call('listMessages', 200, 'bob', { params, query: { afterSeq: 0, limit: 1 } })).length, 1);
    await call('listMessages', 200, 'bob', { params, query: { beforeSeq: 2 } });
    await call('listRooms', 200, 'bob');
    await call('editMessage', 200, 'alice', { params: one, body: { content: 'hello, you' } });
    assert.equal((await call('getMessage', 200, 'bob', { params: one })).reactions.length, 0);
    await call('getMessage', 404, 'carol', { params: one });
    await call('editMessage', 403, 'bob', { params: one, body: { content: 'mine' } });
    await call('addReaction', 200, 'bob', { params: { ...one, emoji: '👍' } });
    await call('listMessages', 200, 'bob', { params });
    await call('addReaction', 400, 'bob', { params: { ...one, emoji: 'x'.repeat(65) } });
    await call('removeReaction', 200, 'bob', { params: { ...one, emoji: '👍' } });
    await call('markDelivered', 200, 'bob', { params: one });
    await cluster.sql('SELECT rt.mark_seen($1, $2, ARRAY[1])', [params.roomId, 'bob']);
    assert.equal((await call('listReceipts', 200, 'alice', { params: one })).length, 1);
    assert.equal((await call('searchMessages', 200, 'bob', { query: { q: 'you', roomId: params.roomId, limit: 3 } })).length, 1);
    await call('searchMessages', 400, 'bob');
    await call('deleteMessage', 403, 'bob', { params: one });
    await call('deleteMessage', 200, 'alice', { params: one });
    await call('editMessage', 410, 'alice', { params: one, body: { content: 'too late' } });
    await call('addReaction', 410, 'bob', { params: { ...one, emoji: '👍' } });
    await call('listReceipts', 404, 'alice', { params: { ...params, messageId: `${params.roomId}-99` } });
  });

  test('meetings', async () => {
    const body = { title: 'Standup', password: 'sesame', maxParticipants: 1, startsAt: '2030-01-01T10:00:00Z', inviteeIds: ['bob'], access: 'invited' };
    const { id: meetingId } = await call('createMeeting', 201, 'alice', { body });
    const params = { meetingId };
    await call('createMeeting', 400, 'alice', { body: { title: '' } });
    await call('createMeeting', 404, 'alice', { body: { title: 'x', inviteeIds: ['nobody'] } });
    await call('listMeetings', 200, 'bob', { query: { status: 'scheduled', limit: 5 } });
    await call('getMeeting', 200, 'bob', { params });
    await call('getMeeting', 403, 'carol', { params });
    await call('getMeeting', 404, 'bob', { params: { meetingId: '999999' } });
    await call('changeMeeting', 200, 'alice', { params, body: { title: 'Standup, late', locked: false, startsAt: null } });
    await call('changeMeeting', 403, 'bob', { params, body: { locked: true } });
    await call('startMeeting', 200, 'alice', { params });
    await call('checkJoin', 200, 'bob', { params, body: { password: 'sesame' } });
    await call('checkJoin', 401, 'bob', { params, body: { password: 'wrong' } });
    await call('checkJoin', 403, 'carol', { params, body: {} });
    const host = await connect(cluster, tokens.alice);
    await askOk(host, 'join-meeting', { meetingId });
    await askOk(host, 'send-message', { meetingId, message: 'Shall we?' });
    await call('checkJoin', 409, 'bob', { params, body: { password: 'sesame' } });
    assert.equal((await call('listParticipants', 200, 'bob', { params })).length, 1);
    assert.equal((await call('listMeetingMessages', 200, 'alice', { params, query: { limit: 1 } })).length, 1);
    await call('listMeetingMessages', 403, 'bob', { params });
    await cluster.sql("INSERT INTO rt.ice_servers (url, username, credential) VALUES ('turn:127.0.0.1:3478', 'u', 'c')");
    assert.equal((await call('getWebrtcConfig', 200, 'bob', { params })).iceServers.length, 1);
    await cluster.sql('INSERT INTO rt.meeting_recordings (meeting_id, started_by) VALUES ($1, $2)', [meetingId, 'alice']);
    assert.equal((await call('listRecordings', 200, 'bob', { params })).length, 1);
    await call('createGuest', 403, undefined, { params, body: { name: 'Gus' } });
    await call('createGuest', 400, undefined, { params, body: { name: ' ' } });
    await call('changeMeeting', 200, 'alice', { params, body: { access: 'anyone', guests: true, lobby: true } });
    assert.equal((await call('checkJoin', 403, 'carol', { params, body: { password: 'sesame' } })).error.code, 'waiting');
    await call('createGuest', 401, undefined, { params, body: { name: 'Gus', password: 'wrong' } });
    await call('createGuest', 201, undefined, { params, body: { name: 'Gus', password: 'sesame' } });
    await call('createGuest', 409, undefined, { params, body: { name: 'Two', password: 'sesame' } });
    await call('endMeeting', 403, 'bob', { params });
    await call('endMeeting', 200, 'alice', { params });
    await call('endMeeting', 410, 'alice', { params });
    await call('startMeeting', 410, 'alice', { params });
    await call('changeMeeting', 410, 'alice', { params, body: { title: 'again' } });
    await call('checkJoin', 410, 'bob', { params, body: { password: 'sesame' } });
    await call('deleteMeeting', 403, 'bob', { params });
    await call('deleteMeeting', 200, 'alice', { params });
  });

  test('administration', async () => {
    const meeting = await call('createMeeting', 201, 'bob', { body: { title: 'too long' } });
    const params = { meetingId: meeting.id };
    await call('getStats', 403, 'alice');
    await call('disconnectUser', 403, 'alice', { params: { userId: 'bob' } });
    await call('endAnyMeeting', 403, 'alice', { params });
    await cluster.sql("UPDATE rt.users SET is_admin = true WHERE id = 'alice'");
    const bob = await connect(cluster, tokens.bob);
    const stats = await call('getStats', 200, 'alice');
    assert.equal(stats.gateways.length, 1);
    await call('disconnectUser', 200, 'alice', { params: { userId: 'bob' } });
    await new Promise((resolve) => { if (bob.connected) bob.on('disconnect', resolve); else resolve(); });
    await call('disconnectUser', 404, 'alice', { params: { userId: 'nobody' } });
    assert.equal((await call('endAnyMeeting', 200, 'alice', { params })).status, 'ended');
    await call('endAnyMeeting', 404, 'alice', { params: { meetingId: '999999' } });
  });

  test('without a token: 401, wherever one is needed', async () => {
    const params = { roomId: '1', messageId: '1-1', meetingId: '1', userId: 'x', emoji: 'x' };
    for (const [id, operation] of operations) if (!operation.security) await call(id, 401, undefined, { params });
  });

  test('another method: 405, and Allow is what the page has', async () => {
    for (const [path, item] of Object.entries(api.paths).filter(([, { get }]) => !get?.tags.includes('operation'))) {
      const other = METHODS.find((method) => !item[method]);
      const reply = await cluster.rest(other.toUpperCase(), path.replace(/\{\w+\}/g, '1'), tokens.alice);
      assert.equal(reply.status, 405, path);
      assert.deepEqual(reply.headers.get('allow').toLowerCase().split(', ').sort(), METHODS.filter((method) => item[method]).sort(), path);
    }
  });

  test('every success on the page was seen', () => {
    const documented = [...operations].flatMap(([id, { responses }]) => Object.keys(responses).filter((status) => status < 300).map((status) => `${id} ${status}`));
    assert.deepEqual(documented.filter((item) => !answered.has(item)), []);
  });
});
