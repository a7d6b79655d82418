// Contract, section 7: what changed meanwhile.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { ask, askError, askOk, assertHas, closeAll, connect } from './lib/client.mjs';

let cluster, tokens;
let roomNumber = 0;

before(async () => {
  cluster = await Cluster.start();
  tokens = await cluster.tokens('alice', 'bob', 'carol');
});
after(() => cluster?.stop());
afterEach(closeAll);

// A fresh room with five messages of bob, and a client of alice.
async function scene(...more) {
  const roomId = await cluster.room(`changes ${++roomNumber}`, 'alice', 'bob', ...more);
  for (let i = 1; i <= 5; i++) await cluster.insert(roomId, 'bob', `m${i}`);
  return { roomId, alice: await connect(cluster, tokens.alice) };
}

const path = (roomId, seq, rest = '') => `/api/chat/rooms/${roomId}/msgs/${roomId}-${seq}${rest}`;

const ok = (method, where, token, body) => cluster.restOk(method, where, token, body);

async function sync(client, room, more = {}) {
  const { rooms: [answer] } = await askOk(client, 'sync-rooms', { rooms: [room], ...more });
  return answer;
}

const change = async (roomId, text) => cluster.sql(text, [roomId]);

describe('afterChange', () => {
  test('edits, deletions and reactions by REST, as they are now', async () => {
    const { roomId, alice } = await scene();
    assertHas(await sync(alice, { roomId, afterSeq: 5, afterChange: 0 }), { messages: [], changed: [], lastSeq: 5, lastChange: 0, hasMoreChanges: false });
    await ok('PATCH', path(roomId, 2), tokens.bob, { content: 'first' });
    await ok('PATCH', path(roomId, 2), tokens.bob, { content: 'second' });
    await ok('DELETE', path(roomId, 3), tokens.bob);
    await ok('PUT', path(roomId, 4, '/reactions/%F0%9F%91%8D'), tokens.alice);
    await ok('PUT', path(roomId, 4, '/reactions/%F0%9F%91%8D'), tokens.bob);
    await cluster.insert(roomId, 'bob', 'm6');
    const answer = await sync(alice, { roomId, afterSeq: 5, afterChange: 0 });
    assert.deepEqual(answer.messages.map(({ seq }) => seq), [6]);
    assert.deepEqual(answer.changed.map(({ seq, content }) => [seq, content]), [[2, 'second'], [3, ''], [4, 'm4']]);
    assert.ok(answer.changed[1].deletedAt);
    assert.deepEqual(answer.changed[2].reactions, [{ emoji: '👍', count: 2, userIds: ['alice', 'bob'] }]);
    assert.deepEqual(answer.changed[0].reactions, []);
    assert.equal(answer.lastChange, 5);
    assert.equal(answer.hasMoreChanges, false);
    await ok('DELETE', path(roomId, 4, '/reactions/%F0%9F%91%8D'), tokens.alice);
    const next = await sync(alice, { roomId, afterChange: 5 });
    assert.deepEqual(next.changed.map(({ seq, reactions }) => [seq, reactions]), [[4, [{ emoji: '👍', count: 1, userIds: ['bob'] }]]]);
    assert.equal(next.lastChange, 6);
    assert.equal('messages' in next, false, 'without afterSeq there is no messages');
  });

  test('plain UPDATE, DELETE and INSERT tell the same', async () => {
    const { roomId, alice } = await scene();
    await change(roomId, "UPDATE rt.messages SET content = 'by psql' WHERE room_id = $1 AND seq IN (1, 2)");
    await change(roomId, 'UPDATE rt.messages SET deleted_at = now() WHERE room_id = $1 AND seq = 3');
    await change(roomId, 'DELETE FROM rt.messages WHERE room_id = $1 AND seq = 4');
    await change(roomId, "INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES ($1, 5, 'bob', '+1')");
    await change(roomId, 'DELETE FROM rt.reactions WHERE room_id = $1');
    const answer = await sync(alice, { roomId, afterChange: 0 });
    assert.deepEqual(answer.changed.map(({ seq, content }) => [seq, content]), [[1, 'by psql'], [2, 'by psql'], [3, ''], [4, ''], [5, 'm5']]);
    assert.ok(answer.changed[2].deletedAt && answer.changed[3].deletedAt);
    assert.deepEqual(answer.changed[4].reactions, []);
    assert.equal(answer.lastChange, 6);
  });

  test('what rolls back is no change; what changes nothing is none', async () => {
    const { roomId, alice } = await scene();
    const writer = await cluster.pool.connect();
    try {
      await writer.query('BEGIN');
      await writer.query("UPDATE rt.messages SET content = 'no' WHERE room_id = $1 AND seq = 1", [roomId]);
      await writer.query('ROLLBACK');
      await writer.query('UPDATE rt.messages SET content = content WHERE room_id = $1', [roomId]);
    } finally {
      writer.release(true);
    }
    assertHas(await sync(alice, { roomId, afterChange: 0 }), { changed: [], lastChange: 0 });
  });

  test('a device that was away while its user left and came back hears of what changed in between', async () => {
    const { roomId, alice } = await scene('carol');
    const { lastChange } = await sync(alice, { roomId, afterSeq: 5, afterChange: 0 });
    assert.equal(lastChange, 0);
    await ok('DELETE', path(roomId, 3), tokens.bob);
    await change(roomId, "DELETE FROM rt.room_members WHERE room_id = $1 AND user_id = 'alice'");
    await ok('PATCH', path(roomId, 2), tokens.bob, { content: 'second' });
    await change(roomId, "INSERT INTO rt.room_members (room_id, user_id) VALUES ($1, 'alice')");
    const changed = async (asked) => (await sync(alice, { roomId, ...asked })).changed.map(({ seq, content }) => [seq, content]);
    assert.deepEqual(await changed({ afterSeq: 5, afterChange: 0 }), [[3, ''], [2, 'second']]);
    assert.deepEqual(await changed({ afterSeq: 5, afterChange: 1 }), [[2, 'second']]);
    assert.deepEqual(await changed({ afterChange: 1 }), [[2, 'second']]);
    assert.deepEqual(await changed({ afterSeq: 0, afterChange: 0 }), [], 'whoever holds nothing gets the messages as they are now');
  });

  test('pages: lastChange is that of the page', async () => {
    const { roomId, alice } = await scene();
    for (let seq = 1; seq <= 5; seq++) await change(roomId, `UPDATE rt.messages SET content = 'new ${seq}' WHERE room_id = $1 AND seq = ${seq}`);
    const seen = [];
    let afterChange = 0, pages = 0, answer;
    do {
      answer = await sync(alice, { roomId, afterChange }, { limit: 2 });
      assert.equal(answer.lastChange, Math.min(afterChange + 2, 5));
      seen.push(...answer.changed.map(({ content }) => content));
      afterChange = answer.lastChange;
      pages++;
    } while (answer.hasMoreChanges);
    assert.deepEqual(seen, ['new 1', 'new 2', 'new 3', 'new 4', 'new 5']);
    assert.equal(pages, 3);
  });

  test('limit holds for each of the two lists; without afterChange there is no changed', async () => {
    const { roomId, alice } = await scene();
    await change(roomId, "UPDATE rt.messages SET content = 'new ' || seq WHERE room_id = $1");
    const both = await sync(alice, { roomId, afterSeq: 1, afterChange: 1 }, { limit: 2 });
    assert.deepEqual([both.messages.map(({ seq }) => seq), both.hasMore], [[2, 3], true]);
    assert.deepEqual([both.changed.map(({ seq }) => seq), both.hasMoreChanges, both.lastChange], [[2, 3], true, 3]);
    const one = await sync(alice, { roomId, afterSeq: 3 });
    assert.deepEqual(one.messages.map(({ seq }) => seq), [4, 5]);
    assert.equal('changed' in one, false);
    assert.equal(one.lastChange, 5);
  });

  test('reactions name fifty users at most, and count all', async () => {
    const { roomId, alice } = await scene();
    await change(roomId, `WITH made AS (INSERT INTO rt.users (id, username, name) SELECT 'crowd' || i, 'crowd' || i, 'Crowd' FROM generate_series(1, 60) AS i RETURNING id),
      joined AS (INSERT INTO rt.room_members (room_id, user_id) SELECT $1::bigint, id FROM made RETURNING user_id) SELECT count(*) FROM joined`);
    await change(roomId, "INSERT INTO rt.reactions (room_id, seq, user_id, emoji) SELECT $1, 2, user_id, '👍' FROM rt.room_members WHERE room_id = $1 AND user_id LIKE 'crowd%'");
    const { changed: [{ reactions: [reaction] }] } = await sync(alice, { roomId, afterChange: 0 });
    assert.deepEqual([reaction.emoji, reaction.count, reaction.userIds.length], ['👍', 60, 50]);
  });

  test('DELETE says what it removed; clients see the number, and answers keep theirs', async () => {
    const { roomId, alice } = await scene();
    await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES ($1, 'alice', 'answer', 2)", [roomId]);
    const deleted = await cluster.sql('DELETE FROM rt.messages WHERE room_id = $1 AND seq IN (2, 3) RETURNING seq::int, content', [roomId]);
    assert.deepEqual(deleted.sort((a, b) => a.seq - b.seq), [{ seq: 2, content: 'm2' }, { seq: 3, content: 'm3' }]);
    assert.equal(await cluster.value('SELECT count(*)::int FROM rt.messages WHERE room_id = $1', [roomId]), 4);
    const { messages, changed } = await sync(alice, { roomId });
    assert.deepEqual(changed.map(({ seq, content }) => [seq, content]).sort(), [[2, ''], [3, '']]);
    for (const list of [messages, (await ok('GET', `/api/chat/rooms/${roomId}/msgs`, tokens.alice)).data]) {
      assert.deepEqual(list.map(({ seq, content, deletedAt }) => [seq, content, deletedAt !== null]),
        [[1, 'm1', false], [2, '', true], [3, '', true], [4, 'm4', false], [5, 'm5', false], [6, 'answer', false]]);
      assert.equal(list[5].replyTo, `${roomId}-2`);
    }
  });

  test('with neither: from 0, both', async () => {
    const { roomId, alice } = await scene();
    await change(roomId, "UPDATE rt.messages SET content = 'new' WHERE room_id = $1 AND seq = 2");
    const answer = await sync(alice, { roomId });
    assert.deepEqual(answer.messages.map(({ seq }) => seq), [1, 2, 3, 4, 5]);
    assert.deepEqual(answer.changed.map(({ seq }) => seq), [2]);
  });

  test('who was added later sees changes from then on', async () => {
    const { roomId } = await scene();
    await change(roomId, "UPDATE rt.messages SET content = 'before' WHERE room_id = $1 AND seq = 1");
    await ok('POST', `/api/chat/rooms/${roomId}/members`, tokens.alice, { userIds: ['carol'] });
    await change(roomId, "UPDATE rt.messages SET content = 'later' WHERE room_id = $1 AND seq = 2");
    const carol = await connect(cluster, tokens.carol);
    const answer = await sync(carol, { roomId });
    assert.deepEqual(answer.changed.map(({ content }) => content), ['later']);
    assert.deepEqual(answer.messages.map(({ content }) => content), ['before', 'later', 'm3', 'm4', 'm5']);
  });

  test('history and rooms give lastChange', async () => {
    const { roomId } = await scene();
    await change(roomId, "UPDATE rt.messages SET content = 'new' WHERE room_id = $1 AND seq IN (1, 2, 3)");
    assert.equal((await ok('GET', `/api/chat/rooms/${roomId}/msgs`, tokens.alice)).lastChange, 3);
    assert.equal((await ok('GET', `/api/chat/rooms/${roomId}`, tokens.alice)).data.lastChange, 3);
    const { data } = await ok('GET', '/api/chat/rooms', tokens.alice);
    assert.equal(data.find(({ id }) => id === roomId).lastChange, 3);
  });
});

describe('a room that cannot be had', () => {
  test('is answered in its place, and does not refuse the others', async () => {
    const { roomId, alice } = await scene();
    const other = await cluster.room('not hers', 'bob');
    const reply = await ask(alice, 'sync-rooms', { rooms: [{ roomId: other, afterSeq: 0 }, { roomId, afterSeq: 3 }, { roomId: '999999999' }] });
    assert.equal(reply.success, false);
    assert.equal(reply.error.code, 'not_found');
    assert.deepEqual(reply.rooms.map((room) => [room.roomId, room.error?.code]), [[other, 'not_found'], [roomId, undefined], ['999999999', 'not_found']]);
    assert.deepEqual(reply.rooms[1].messages.map(({ seq }) => seq), [4, 5]);
  });

  test('a malformed number is bad_request for all', async () => {
    const { roomId, alice } = await scene();
    for (const key of ['afterSeq', 'afterChange']) {
      for (const value of [-1, 'x', {}, 1.5]) {
        const reply = await askError(alice, 'bad_request', 'sync-rooms', { rooms: [{ roomId, afterSeq: 0 }, { roomId, [key]: value }] });
        assert.equal(reply.rooms, undefined);
      }
    }
    await askError(alice, 'bad_request', 'sync-rooms', { rooms: [{ afterSeq: 1 }] });
  });
});

test('many writers at once: no change is passed over', async () => {
  const { roomId, alice } = await scene();
  for (let i = 6; i <= 40; i++) await cluster.insert(roomId, 'bob', `m${i}`);
  const contents = new Map();
  let writing = true;
  const writers = [1, 2, 3, 4].map(async (n) => {
    for (let i = 0; i < 40; i++) {
      const seq = 1 + ((i * 7 + n * 11) % 40);
      await change(roomId, `UPDATE rt.messages SET content = '${n}-${i}' WHERE room_id = $1 AND seq = ${seq}`);
    }
  });
  const all = Promise.all(writers).then(() => { writing = false; });
  let afterChange = 0, last;
  do {
    last = !writing;
    const answer = await sync(alice, { roomId, afterChange }, { limit: 5 });
    for (const { seq, content } of answer.changed) contents.set(seq, content);
    afterChange = answer.lastChange;
    if (answer.hasMoreChanges) last = false;
  } while (!last);
  await all;
  const rows = await cluster.sql('SELECT seq::int, content FROM rt.messages WHERE room_id = $1 AND edited_at IS NOT NULL ORDER BY seq', [roomId]);
  assert.deepEqual([...contents].sort(([a], [b]) => a - b), rows.map(({ seq, content }) => [seq, content]));
});

test('GET of one message answers MESSAGE', async () => {
  const { roomId } = await scene();
  await ok('PUT', path(roomId, 1, '/reactions/x'), tokens.alice);
  const { data } = await ok('GET', path(roomId, 1), tokens.alice);
  assertHas(data, { id: `${roomId}-1`, messageId: `${roomId}-1`, roomId, seq: 1, senderId: 'bob', content: 'm1', deletedAt: null, reactions: [{ emoji: 'x', count: 1, userIds: ['alice'] }] });
  await ok('DELETE', path(roomId, 1), tokens.bob);
  const { data: deleted } = await ok('GET', path(roomId, 1), tokens.alice);
  assert.equal(deleted.content, '');
  assert.ok(deleted.deletedAt);
  assert.equal((await cluster.rest('GET', path(roomId, 99), tokens.alice)).status, 404);
  assert.equal((await cluster.rest('GET', path(roomId, 2), tokens.carol)).status, 404);
});
