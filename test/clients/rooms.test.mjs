// Contract, section 7: what a room lets whom do; pins, threads, notifications, blocked users.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { askOk, assertHas, closeAll, connect, event, join, received, settled } from './lib/client.mjs';

let cluster, tokens;
let roomNumber = 0;

before(async () => {
  cluster = await Cluster.start();
  tokens = await cluster.tokens('alice', 'bob', 'carol', 'dave');
});
after(() => cluster?.stop());
afterEach(closeAll);

const ok = async (method, path, user, body) => (await cluster.restOk(method, path, tokens[user], body)).data;

const refused = (code, method, path, user, body) => cluster.restRefused(code, method, path, tokens[user], body);

// A fresh room of alice, who is its admin, and bob, with three messages.
async function scene() {
  const roomId = await cluster.room(`rooms ${++roomNumber}`, 'alice', 'bob');
  for (let i = 1; i <= 3; i++) await cluster.insert(roomId, 'alice', `m${i}`);
  return { roomId, room: `/api/chat/rooms/${roomId}`, message: (seq) => `/api/chat/rooms/${roomId}/msgs/${roomId}-${seq}` };
}

describe('settings', () => {
  test('are shown, changed by admins alone, and told', async () => {
    const { roomId, room } = await scene();
    const bob = await connect(cluster, tokens.bob);
    assertHas(await ok('GET', room, 'bob'), { topic: null, archived: false, history: 'all', whoMayPost: 'members', whoMayAdd: 'admins', whoMayPin: 'members', whoMayMentionAll: 'admins' });
    const changed = { topic: 'tea', history: 'joined', whoMayPost: 'admins', whoMayAdd: 'members', whoMayPin: 'admins', whoMayMentionAll: 'members' };
    assertHas(await ok('PATCH', room, 'alice', changed), changed);
    const told = await event(bob, 'chat-notification', ({ type, data }) => type === 'room-updated' && data.roomId === roomId);
    assertHas(told.data, { ...changed, by: 'alice' });
    await refused('forbidden', 'PATCH', room, 'bob', { topic: 'coffee' });
    for (const bad of [{ whoMayPost: 'everybody' }, { archived: 'yes' }, { history: 1 }, { topic: 7 }, {}]) await refused('bad_request', 'PATCH', room, 'alice', bad);
    assert.equal((await ok('PATCH', room, 'alice', { topic: null })).topic, null);
    await cluster.sql("UPDATE rt.rooms SET topic = 'by psql' WHERE id = $1", [roomId]);
    await event(bob, 'chat-notification', ({ type, data }) => type === 'room-updated' && data.topic === 'by psql');
  });

  test('whoMayPost', async () => {
    const { roomId, room } = await scene();
    await ok('PATCH', room, 'alice', { whoMayPost: 'admins' });
    await refused('forbidden', 'POST', `${room}/msgs`, 'bob', { content: 'no' });
    await ok('POST', `${room}/msgs`, 'alice', { content: 'yes' });
    await cluster.insert(roomId, 'bob', 'the owner of the tables may');
  });

  test('whoMayAdd', async () => {
    const { room } = await scene();
    await refused('forbidden', 'POST', `${room}/members`, 'bob', { userIds: ['carol'] });
    await ok('PATCH', room, 'alice', { whoMayAdd: 'members' });
    await refused('forbidden', 'POST', `${room}/members`, 'bob', { userIds: ['carol'], role: 'admin' });
    await ok('POST', `${room}/members`, 'bob', { userIds: ['carol'] });
  });

  test('archived: nothing is sent or changed', async () => {
    const { room, message } = await scene();
    await ok('PATCH', room, 'alice', { archived: true });
    await refused('forbidden', 'POST', `${room}/msgs`, 'alice', { content: 'no' });
    await refused('forbidden', 'PATCH', message(1), 'alice', { content: 'no' });
    await refused('forbidden', 'PUT', `${message(1)}/reactions/x`, 'bob');
    await refused('forbidden', 'PUT', `${message(1)}/pin`, 'bob');
    assert.equal((await ok('GET', `${room}/msgs`, 'bob')).length, 3);
    await ok('PATCH', room, 'alice', { archived: false });
    await ok('POST', `${room}/msgs`, 'bob', { content: 'again' });
  });

  test('history: joined hides what was before, everywhere', async () => {
    const { roomId, room, message } = await scene();
    await ok('PATCH', room, 'alice', { history: 'joined' });
    await ok('PUT', `${message(2)}/pin`, 'alice');
    await ok('POST', `${room}/members`, 'alice', { userIds: ['carol'] });
    assert.equal((await ok('GET', room, 'carol')).lastMessage, null);
    await cluster.insert(roomId, 'alice', 'm4');
    assert.deepEqual((await ok('GET', `${room}/msgs`, 'carol')).map(({ content }) => content), ['m4']);
    assert.deepEqual((await ok('GET', `${room}/msgs?afterSeq=0`, 'carol')).map(({ content }) => content), ['m4']);
    assert.deepEqual(await ok('GET', `${room}/pins`, 'carol'), []);
    await refused('not_found', 'GET', message(2), 'carol');
    await refused('not_found', 'PUT', `${message(2)}/reactions/x`, 'carol');
    for (const seq of [2, 3, 99]) await refused('not_found', 'POST', `${room}/msgs`, 'carol', { content: 'yes', replyTo: `${roomId}-${seq}` });
    assert.deepEqual(await ok('GET', `/api/chat/search?q=m2&roomId=${roomId}`, 'carol'), []);
    const carol = await connect(cluster, tokens.carol);
    const { rooms: [answer] } = await askOk(carol, 'sync-rooms', { rooms: [{ roomId }] });
    assert.deepEqual(answer.messages.map(({ content }) => content), ['m4']);
    assert.equal((await ok('GET', `${room}/msgs`, 'bob')).length, 4);
    const app = await cluster.pool.connect();
    try {
      await app.query("SET ROLE rt_app; SET rt.user_id = 'carol'");
      assert.deepEqual((await app.query('SELECT content FROM rt.messages WHERE room_id = $1', [roomId])).rows, [{ content: 'm4' }]);
      const reply = (seq) =>
        app.query("INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES ($1, 'carol', 'yes', $2)", [roomId, seq]);
      for (const seq of [2, 3, 99])
        await assert.rejects(reply(seq), { code: '23503', message: `message ${seq} that is answered does not exist in room ${roomId}` });
      await reply(4);
    } finally {
      await app.query('RESET ROLE; RESET rt.user_id');
      app.release(true);
    }
    await ok('POST', `${room}/msgs`, 'carol', { content: 'yes', replyTo: `${roomId}-4` });
    await ok('POST', `${room}/msgs`, 'bob', { content: 'yes', replyTo: `${roomId}-2` });
  });

  test('history: joined: what was sent before comes again by its clientId', async () => {
    const { roomId, room } = await scene();
    const body = { content: 'yes', replyTo: `${roomId}-1`, clientId: 'once' };
    const { id } = await ok('POST', `${room}/msgs`, 'bob', body);
    await ok('PATCH', room, 'alice', { history: 'joined' });
    await ok('DELETE', `${room}/members/bob`, 'bob');
    await ok('POST', `${room}/members`, 'alice', { userIds: ['bob'] });
    const { status, body: { data } } = await cluster.rest('POST', `${room}/msgs`, tokens.bob, body);
    assert.deepEqual([status, data?.id], [200, id]);
    await refused('not_found', 'POST', `${room}/msgs`, 'bob', { ...body, clientId: 'twice' });
  });

  test('history: joined: an edit mentions nobody who may not see the message, and marks move on', async () => {
    const { roomId, room, message } = await scene();
    await ok('PATCH', room, 'alice', { history: 'joined' });
    await ok('POST', `${room}/members`, 'alice', { userIds: ['carol'] });
    const [bob, carol] = [await connect(cluster, tokens.bob), await connect(cluster, tokens.carol)];
    await ok('PATCH', message(1), 'alice', { content: '@carol @bob @all the secret', metadata: { mentions: ['carol'] } });
    assertHas((await event(bob, 'chat-notification', ({ type }) => type === 'mention')).data, { messageId: `${roomId}-1` });
    await settled(cluster, carol);
    assert.deepEqual(received(carol, 'chat-notification').filter(({ type }) => type === 'mention'), []);
    assertHas(await ok('GET', room, 'carol'), { mentionCount: 0, unreadCount: 0 });

    await ok('PATCH', room, 'alice', { history: 'all' });
    assertHas(await ok('PUT', `${room}/read`, 'carol', { seq: 0 }), { unreadCount: 3 });
    await ok('PATCH', room, 'alice', { history: 'joined' });
    assertHas(await event(carol, 'chat-read-state', ({ lastReadSeq }) => lastReadSeq === 3), { unreadCount: 0, mentionCount: 0 });
    assertHas(await ok('GET', room, 'carol'), { mentionCount: 0, unreadCount: 0, lastReadSeq: 3 });
  });
});

describe('pins', () => {
  test('by members, with an event, as a change, and in MESSAGE', async () => {
    const { roomId, room, message } = await scene();
    const bob = await connect(cluster, tokens.bob);
    await join(bob, roomId);
    assertHas(await ok('PUT', `${message(2)}/pin`, 'bob'), { messageId: `${roomId}-2`, roomId, pinned: true, by: 'bob' });
    await ok('PUT', `${message(2)}/pin`, 'alice');
    const told = await event(bob, 'chat-message-pinned');
    assertHas(told, { type: 'message-pinned', roomId });
    assertHas(told.data, { messageId: `${roomId}-2`, roomId, pinned: true, by: 'bob' });
    assert.match(told.data.timestamp, /Z$/);
    assert.deepEqual((await ok('GET', `${room}/pins`, 'alice')).map(({ seq, pinned }) => [seq, pinned]), [[2, true]]);
    const { rooms: [answer] } = await askOk(bob, 'sync-rooms', { rooms: [{ roomId, afterChange: 0 }] });
    assert.deepEqual(answer.changed.map(({ seq, pinned }) => [seq, pinned]), [[2, true]]);
    await ok('DELETE', `${message(2)}/pin`, 'alice');
    await event(bob, 'chat-message-pinned', ({ data }) => data.pinned === false && data.by === 'alice');
    await settled(cluster, bob);
    assert.equal(received(bob, 'chat-message-pinned').length, 2, 'again is told to nobody');
  });

  test('admins alone where the room says so; a deleted message is pinned no more', async () => {
    const { roomId, room, message } = await scene();
    await ok('PATCH', room, 'alice', { whoMayPin: 'admins' });
    await refused('forbidden', 'PUT', `${message(1)}/pin`, 'bob');
    await ok('PUT', `${message(1)}/pin`, 'alice');
    await refused('forbidden', 'DELETE', `${message(1)}/pin`, 'bob');
    await ok('DELETE', message(1), 'alice');
    assert.deepEqual(await ok('GET', `${room}/pins`, 'bob'), []);
    await refused('gone', 'PUT', `${message(1)}/pin`, 'alice');
    await refused('not_found', 'PUT', `${message(9)}/pin`, 'alice');
    await cluster.sql("INSERT INTO rt.pins (room_id, seq, pinned_by) VALUES ($1, 3, 'bob')", [roomId]);
    assert.equal((await ok('GET', `${room}/pins`, 'bob')).length, 1);
  });
});

describe('threads', () => {
  test('replies as a list, with count and last', async () => {
    const { roomId, room, message } = await scene();
    for (let i = 1; i <= 5; i++) await ok('POST', `${room}/msgs`, 'bob', { content: `answer ${i}`, replyTo: `${roomId}-1` });
    await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES ($1, 'alice', 'by psql', 1)", [roomId]);
    const reply = await cluster.rest('GET', `${message(1)}/replies?limit=4`, tokens.alice);
    assert.deepEqual(reply.body.data.map(({ content }) => content), ['answer 1', 'answer 2', 'answer 3', 'answer 4']);
    assertHas(reply.body, { replyCount: 6, lastReplySeq: 9, count: 4 });
    assert.match(reply.body.lastReplyAt, /Z$/);
    const next = await cluster.rest('GET', `${message(1)}/replies?limit=4&cursor=${encodeURIComponent(reply.body.nextCursor)}`, tokens.alice);
    assert.deepEqual(next.body.data.map(({ content }) => content), ['answer 5', 'by psql']);
    assert.equal(next.body.nextCursor, null);
    assert.equal((await ok('GET', message(1), 'bob')).replyCount, 6);
    await ok('DELETE', message(9), 'alice');
    assertHas((await cluster.rest('GET', `${message(1)}/replies`, tokens.alice)).body, { replyCount: 5, lastReplySeq: 8, count: 5 });
  });
});

test('notifications of a room: on all devices, in the room, and for mentions', async () => {
  const { roomId, room } = await scene();
  const bob = await connect(cluster, tokens.bob);
  const other = await connect(cluster, tokens.bob);
  assert.deepEqual((await ok('GET', room, 'bob')).notifications, { level: 'all', mutedUntil: null });
  assert.deepEqual(await ok('PUT', `${room}/notifications`, 'bob', { level: 'none' }), { level: 'none', mutedUntil: null });
  for (const device of [bob, other]) assertHas(await event(device, 'chat-room-notifications'), { roomId, level: 'none', mutedUntil: null });
  await cluster.insert(roomId, 'alice', 'quietly @bob');
  await ok('PUT', `${room}/notifications`, 'bob', { level: 'mentions', mutedUntil: '2099-01-01T00:00:00.000Z' });
  await cluster.insert(roomId, 'alice', 'muted @bob');
  assert.deepEqual(await ok('PUT', `${room}/notifications`, 'bob', { mutedUntil: null }), { level: 'mentions', mutedUntil: null });
  await cluster.insert(roomId, 'alice', 'aloud @bob');
  assert.equal((await event(bob, 'chat-notification', ({ type }) => type === 'mention')).data.content, 'aloud @bob');
  assert.equal((await ok('GET', room, 'bob')).mentionCount, 3, 'all are counted');
  for (const bad of [{}, { level: 'some' }, { mutedUntil: 'later' }]) await refused('bad_request', 'PUT', `${room}/notifications`, 'bob', bad);
});

test('blocked: no direct messages, no being added, no mentions', async () => {
  const direct = (await ok('POST', '/api/chat/rooms', 'alice', { kind: 'direct', memberIds: ['dave'] })).id;
  const alice = await connect(cluster, tokens.alice);
  assert.deepEqual(await ok('PUT', '/api/users/me/blocks/dave', 'alice'), { userId: 'dave', blocked: true });
  await ok('PUT', '/api/users/me/blocks/dave', 'alice');
  assertHas(await event(alice, 'chat-user-blocked'), { userId: 'dave', blocked: true });
  assert.deepEqual((await ok('GET', '/api/users/me/blocks', 'alice')).map(({ id }) => id), ['dave']);
  await refused('forbidden', 'POST', `/api/chat/rooms/${direct}/msgs`, 'dave', { content: 'hello' });
  await refused('forbidden', 'POST', '/api/chat/rooms', 'dave', { kind: 'group', name: 'x', memberIds: ['alice'] });
  const { id } = await ok('POST', '/api/chat/rooms', 'dave', { kind: 'group', name: 'x', memberIds: ['bob'] });
  await refused('forbidden', 'POST', `/api/chat/rooms/${id}/members`, 'dave', { userIds: ['alice'] });
  const both = await cluster.room('both', 'bob', 'alice', 'dave');
  await ok('PATCH', `/api/chat/rooms/${both}`, 'bob', { whoMayMentionAll: 'members' });
  for (const content of ['@alice', '@all', '@here']) await ok('POST', `/api/chat/rooms/${both}/msgs`, 'dave', { content });
  await ok('POST', `/api/chat/rooms/${both}/msgs`, 'bob', { content: 'and @alice' });
  await event(alice, 'chat-notification', ({ type, data }) => type === 'mention' && data.content === 'and @alice');
  assert.equal(received(alice, 'chat-notification', ({ type }) => type === 'mention').length, 1);
  assertHas(await ok('GET', `/api/chat/rooms/${both}`, 'alice'), { unreadCount: 4, mentionCount: 1 });
  await ok('DELETE', '/api/users/me/blocks/dave', 'alice');
  await ok('POST', `/api/chat/rooms/${direct}/msgs`, 'dave', { content: 'hello' });
  await refused('not_found', 'PUT', '/api/users/me/blocks/nobody', 'alice');
  await refused('bad_request', 'PUT', '/api/users/me/blocks/alice', 'alice');
});
