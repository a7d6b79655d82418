// Contract, section 7: members that come and go, roles, direct rooms, ids.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { assertHas, closeAll, connect, event, join, received, settled } from './lib/client.mjs';

let cluster, tokens;
let roomNumber = 0;

before(async () => {
  cluster = await Cluster.start();
  tokens = await cluster.tokens('alice', 'bob', 'carol', 'dave');
});
after(() => cluster?.stop());
afterEach(closeAll);

const ok = async (method, path, user, body) => (await cluster.restOk(method, `/api/chat/rooms${path}`, tokens[user], body)).data;
const refused = (code, method, path, user, body) => cluster.restRefused(code, method, `/api/chat/rooms${path}`, tokens[user], body);

// A fresh room of alice, who is its admin, and bob, with a joined client of each.
async function scene(...more) {
  const roomId = await cluster.room(`members ${++roomNumber}`, 'alice', 'bob', ...more);
  const alice = await connect(cluster, tokens.alice);
  const bob = await connect(cluster, tokens.bob);
  await join(alice, roomId);
  await join(bob, roomId);
  return { roomId, alice, bob };
}

const roles = async (roomId) => (await cluster.sql('SELECT user_id, role FROM rt.room_members WHERE room_id = $1 ORDER BY 1', [roomId])).map(({ user_id, role }) => `${user_id} ${role}`);

describe('chat-room-members', () => {
  test('added, role and removed, by REST', async () => {
    const { roomId, bob } = await scene();
    await ok('POST', `/${roomId}/members`, 'alice', { userIds: ['carol', 'dave'] });
    const added = await event(bob, 'chat-room-members');
    assertHas(added, { roomId, action: 'added', by: 'alice', memberCount: 4,
      members: [{ userId: 'carol', userName: 'Carol', role: 'member' }, { userId: 'dave', userName: 'Dave', role: 'member' }] });
    assert.match(added.timestamp, /^\d{4}-.*Z$/);
    await ok('PATCH', `/${roomId}/members/carol`, 'alice', { role: 'admin' });
    assertHas(await event(bob, 'chat-room-members', ({ action }) => action === 'role'), { members: [{ userId: 'carol', userName: 'Carol', role: 'admin' }], by: 'alice', memberCount: 4 });
    await ok('DELETE', `/${roomId}/members/dave`, 'carol');
    assertHas(await event(bob, 'chat-room-members', ({ action }) => action === 'removed'), { members: [{ userId: 'dave', userName: 'Dave', role: 'member' }], by: 'carol', memberCount: 3 });
  });

  test('one event for each statement of psql, by null or rt.user_id', async () => {
    const { roomId, alice } = await scene();
    await cluster.sql("INSERT INTO rt.room_members (room_id, user_id) VALUES ($1, 'carol'), ($1, 'dave')", [roomId]);
    await cluster.sql("UPDATE rt.room_members SET role = 'admin' WHERE room_id = $1", [roomId]);
    await cluster.sql('UPDATE rt.room_members SET last_read_seq = 0 WHERE room_id = $1', [roomId]);
    const admin = await cluster.pool.connect();
    try {
      await admin.query("SET rt.user_id = 'bob'");
      await admin.query("DELETE FROM rt.room_members WHERE room_id = $1 AND user_id IN ('carol', 'dave')", [roomId]);
      await admin.query('RESET rt.user_id');
    } finally {
      admin.release(true);
    }
    await settled(cluster, alice);
    assert.deepEqual(received(alice, 'chat-room-members', (payload) => payload.roomId === roomId).map(({ action, by, memberCount, members }) => [action, by, memberCount, members.length]),
      [['added', null, 4, 2], ['role', null, 4, 3], ['removed', 'bob', 2, 2]]);
  });

  test("the removed user's sockets hear room-removed, not the room's event", async () => {
    const { roomId, alice, bob } = await scene();
    await ok('DELETE', `/${roomId}/members/bob`, 'alice');
    await event(bob, 'chat-notification', ({ type, data }) => type === 'room-removed' && data.roomId === roomId);
    await event(alice, 'chat-room-members', ({ action }) => action === 'removed');
    await settled(cluster, bob);
    assert.deepEqual(received(bob, 'chat-room-members', (payload) => payload.roomId === roomId), []);
  });
});

describe('roles', () => {
  test('PATCH: only admins, only members, only roles', async () => {
    const { roomId } = await scene();
    assertHas(await ok('PATCH', `/${roomId}/members/bob`, 'alice', { role: 'admin' }), { userId: 'bob', role: 'admin' });
    await ok('PATCH', `/${roomId}/members/alice`, 'bob', { role: 'member' });
    await refused('forbidden', 'PATCH', `/${roomId}/members/bob`, 'alice', { role: 'member' });
    await refused('not_found', 'PATCH', `/${roomId}/members/carol`, 'bob', { role: 'member' });
    await refused('not_found', 'PATCH', `/${roomId}/members/alice`, 'carol', { role: 'admin' });
    await refused('bad_request', 'PATCH', `/${roomId}/members/alice`, 'bob', { role: 'king' });
    await refused('bad_request', 'PATCH', `/${roomId}/members/alice`, 'bob', {});
  });

  test('POST for a member changes the role or is a conflict, never a silent 200', async () => {
    const { roomId } = await scene();
    await ok('POST', `/${roomId}/members`, 'alice', { userIds: ['bob'], role: 'admin' });
    assert.deepEqual(await roles(roomId), ['alice admin', 'bob admin']);
    await refused('conflict', 'POST', `/${roomId}/members`, 'alice', { userIds: ['bob'], role: 'admin' });
    await refused('conflict', 'POST', `/${roomId}/members`, 'alice', { userIds: ['bob'] });
    await refused('conflict', 'POST', `/${roomId}/members`, 'alice', { userIds: ['carol', 'bob'], role: 'admin' });
    assert.deepEqual(await roles(roomId), ['alice admin', 'bob admin'], 'a conflict adds nobody');
  });

  test('demoting the last admin: conflict, by psql too', async () => {
    const { roomId } = await scene();
    await refused('conflict', 'PATCH', `/${roomId}/members/alice`, 'alice', { role: 'member' });
    await refused('conflict', 'POST', `/${roomId}/members`, 'alice', { userIds: ['alice'], role: 'member' });
    await assert.rejects(cluster.sql("UPDATE rt.room_members SET role = 'member' WHERE room_id = $1", [roomId]), { code: 'RT409' });
    assert.deepEqual(await roles(roomId), ['alice admin', 'bob member']);
  });

  test('when the last admin leaves, the member of longest standing becomes admin', async () => {
    const { roomId, bob } = await scene();
    await ok('POST', `/${roomId}/members`, 'alice', { userIds: ['carol'] });
    await cluster.sql("UPDATE rt.room_members SET joined_at = joined_at - interval '1 day' WHERE room_id = $1 AND user_id = 'carol'", [roomId]);
    await ok('DELETE', `/${roomId}/members/alice`, 'alice');
    assert.deepEqual(await roles(roomId), ['bob member', 'carol admin']);
    assertHas(await event(bob, 'chat-room-members', ({ action }) => action === 'role'), { members: [{ userId: 'carol', userName: 'Carol', role: 'admin' }] });
    await cluster.sql("DELETE FROM rt.room_members WHERE room_id = $1 AND user_id = 'carol'", [roomId]);
    assert.deepEqual(await roles(roomId), ['bob admin']);
    await ok('DELETE', `/${roomId}/members/bob`, 'bob');
    assert.deepEqual(await roles(roomId), []);
    assert.equal((await cluster.sql('SELECT 1 FROM rt.rooms WHERE id = $1', [roomId])).length, 1, 'a room that nobody is in stays');
  });

  test('a user that is deleted leaves no room without an admin', async () => {
    await cluster.users('erin');
    const roomId = await cluster.room('deleted', 'erin', 'bob');
    await cluster.sql("DELETE FROM rt.users WHERE id = 'erin'");
    assert.deepEqual(await roles(roomId), ['bob admin']);
  });
});

test('a new or returning member begins with nothing unread', async () => {
  const { roomId } = await scene();
  for (let i = 0; i < 3; i++) await cluster.insert(roomId, 'alice', 'old');
  await ok('POST', `/${roomId}/members`, 'alice', { userIds: ['carol'] });
  assertHas(await ok('GET', `/${roomId}`, 'carol'), { unreadCount: 0, lastReadSeq: 3 });
  assertHas(await ok('GET', `/${roomId}`, 'bob'), { unreadCount: 3, lastReadSeq: 0 });
  await ok('DELETE', `/${roomId}/members/bob`, 'bob');
  await cluster.insert(roomId, 'alice', 'meanwhile');
  await cluster.sql("INSERT INTO rt.room_members (room_id, user_id) VALUES ($1, 'bob')", [roomId]);
  assertHas(await ok('GET', `/${roomId}`, 'bob'), { unreadCount: 0, lastReadSeq: 4 });
  await cluster.insert(roomId, 'alice', 'new');
  assert.equal((await ok('GET', `/${roomId}`, 'bob')).unreadCount, 1);
});

describe('a direct room', () => {
  const direct = async (a, b) => (await ok('POST', '', a, { kind: 'direct', memberIds: [b] })).id;

  test('nobody removes the other', async () => {
    const roomId = await direct('alice', 'bob');
    await refused('forbidden', 'DELETE', `/${roomId}/members/bob`, 'alice');
    await refused('conflict', 'PATCH', `/${roomId}/members/bob`, 'alice', { role: 'member' });
    await refused('conflict', 'POST', `/${roomId}/members`, 'alice', { userIds: ['carol'] });
    assert.deepEqual(await roles(roomId), ['alice admin', 'bob admin']);
  });

  test('leaving hides it, and the next message brings it back with its history', async () => {
    const roomId = await direct('alice', 'carol');
    await cluster.insert(roomId, 'alice', 'first');
    const alice = await connect(cluster, tokens.alice);
    const carol = await connect(cluster, tokens.carol);
    await join(alice, roomId);
    await ok('DELETE', `/${roomId}/members/carol`, 'carol');
    await refused('not_found', 'GET', `/${roomId}`, 'carol');
    assertHas(await ok('GET', `/${roomId}`, 'alice'), { memberCount: 2, peer: { id: 'carol', username: 'carol', name: 'Carol' } });
    await ok('POST', `/${roomId}/msgs`, 'alice', { content: 'are you there?' });
    await event(carol, 'chat-notification', ({ type, data }) => type === 'room-added' && data.roomId === roomId);
    const told = await event(carol, 'chat-notification', ({ type, data }) => type === 'new-message' && data.roomId === roomId);
    assert.equal(told.data.content, 'are you there?');
    assertHas(await ok('GET', `/${roomId}`, 'carol'), { memberCount: 2, unreadCount: 1, lastReadSeq: 1 });
    assert.deepEqual((await ok('GET', `/${roomId}/msgs`, 'carol')).map(({ content }) => content), ['first', 'are you there?']);
    await event(alice, 'new-chat-message', ({ data }) => data.content === 'are you there?');
  });

  test('both have left: psql brings it back for both', async () => {
    const roomId = await direct('bob', 'carol');
    await ok('DELETE', `/${roomId}/members/bob`, 'bob');
    await cluster.sql("SELECT rt.leave_direct($1, 'carol')", [roomId]);
    assert.deepEqual(await roles(roomId), []);
    await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, 'bob', 'one'), ($1, 'bob', 'two')", [roomId]);
    assert.deepEqual(await roles(roomId), ['bob admin', 'carol admin']);
    assert.equal((await ok('GET', `/${roomId}`, 'carol')).unreadCount, 2);
    assert.equal(await cluster.value('SELECT has_left FROM rt.rooms WHERE id = $1', [roomId]), false);
    assert.equal((await ok('POST', '', 'carol', { kind: 'direct', memberIds: ['bob'] })).id, roomId);
  });
});

describe('ids and paths', () => {
  // fetch() would make another path of it.
  const raw = (method, path, token) => new Promise((resolve, reject) => {
    const { hostname, port } = new URL(cluster.url);
    http.request({ hostname, port, method, path, headers: { authorization: `Bearer ${token}` } }, (reply) => { reply.resume(); resolve(reply.statusCode); }).on('error', reject).end();
  });

  test('are never . or .., nor empty; a trailing slash is not_found', async () => {
    for (const id of ['.', '..', '']) {
      await assert.rejects(cluster.sql("SELECT rt.create_user($1, 'Dots', username => $2)", [id, `dots${id.length}`]), { code: '23514' });
    }
    const { roomId } = await scene();
    await cluster.insert(roomId, 'alice', 'a message');
    for (const path of [`/${roomId}/`, `/${roomId}/members/..`, `/${roomId}/members/`, `/${roomId}/msgs/${roomId}-1/reactions/..`, `/${roomId}/msgs/${roomId}-1/`]) {
      await refused('not_found', 'DELETE', path, 'alice');
    }
    for (const [method, path] of [['DELETE', 'members/..'], ['DELETE', 'members/.'], ['PUT', `msgs/${roomId}-1/reactions/..`]]) {
      const status = await raw(method, `/api/chat/rooms/${roomId}/${path}`, tokens.alice);
      assert.ok(status === 400 || status === 404, `${path}: ${status}`);
    }
    assert.equal((await ok('GET', `/${roomId}/msgs`, 'bob'))[0].deletedAt, null, 'the room and the message are there');
  });
});
