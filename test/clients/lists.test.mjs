// Contract, section 7: lists and their pages.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { assertHas } from './lib/client.mjs';

let cluster, tokens;

before(async () => {
  cluster = await Cluster.start();
  tokens = await cluster.tokens('alice', 'bob');
});
after(() => cluster?.stop());

async function get(path, user = 'alice') {
  const reply = await cluster.rest('GET', path, tokens[user]);
  assert.equal(reply.status, 200, `${path}: ${JSON.stringify(reply.body)}`);
  return reply.body;
}

// All pages, each of its length but the last.
async function pages(path, limit) {
  const items = [];
  let cursor = '', n = 0;
  for (;;) {
    const body = await get(`${path}${path.includes('?') ? '&' : '?'}limit=${limit}${cursor}`);
    assert.equal(body.count, body.data.length);
    items.push(...body.data);
    n++;
    if (body.nextCursor === null) return { items, n };
    assert.equal(typeof body.nextCursor, 'string');
    assert.equal(body.data.length, limit);
    cursor = `&cursor=${encodeURIComponent(body.nextCursor)}`;
  }
}

async function badCursors(path, ...cursors) {
  for (const cursor of cursors) {
    const reply = await cluster.rest('GET', `${path}${path.includes('?') ? '&' : '?'}cursor=${encodeURIComponent(cursor)}`, tokens.alice);
    assert.equal(reply.body.error?.code, 'bad_request', `${path} ${cursor}: ${reply.status}`);
  }
}

describe('rooms', () => {
  let ids;

  test('50 by default, at most 200, by latest activity', async () => {
    ids = (await cluster.sql("SELECT rt.create_room('room ' || i, ARRAY['alice', 'bob'])::text AS id FROM generate_series(1, 230) AS i")).map(({ id }) => id);
    await cluster.sql('INSERT INTO rt.messages (room_id, sender_id, content) SELECT id, $2, $3 FROM unnest($1::bigint[]) AS id', [[ids[5], ids[100]], 'bob', 'newest']);
    await cluster.insert(ids[7], 'bob', 'newest of all');
    const { data, nextCursor } = await get('/api/chat/rooms');
    assert.equal(data.length, 50);
    assert.ok(nextCursor);
    assert.equal(data[0].id, ids[7]);
    assert.deepEqual(data.slice(1, 3).map(({ id }) => id).sort(), [ids[5], ids[100]].sort());
    assert.equal(data[3].id, ids[229], 'then the youngest');
    assert.equal((await get('/api/chat/rooms?limit=1000')).data.length, 200);
  });

  test('pages hold each room once', async () => {
    for (const limit of [1, 77, 115, 200]) {
      if (limit === 1) continue;
      const { items, n } = await pages('/api/chat/rooms', limit);
      assert.equal(n, Math.ceil(230 / limit));
      assert.deepEqual(items.map(({ id }) => id).sort(), [...ids].sort());
    }
  });

  test('a malformed cursor is bad_request', () => badCursors('/api/chat/rooms', 'x', '1', '1_', '1_x', '_1', '99999999999999999999_1'));
});

test('members', async () => {
  await cluster.sql("INSERT INTO rt.users (id, username, name) SELECT 'm-' || i, 'member' || i, 'Member ' || i FROM generate_series(1, 120) AS i");
  const roomId = await cluster.room('many', 'alice');
  await cluster.sql("INSERT INTO rt.room_members (room_id, user_id, joined_at) SELECT $1, 'm-' || i, now() FROM generate_series(1, 120) AS i", [roomId]);
  const path = `/api/chat/rooms/${roomId}/members`;
  const first = await get(path);
  assert.equal(first.data.length, 50);
  for (const limit of [50, 60, 121]) {
    const { items, n } = await pages(path, limit);
    assert.equal(n, Math.ceil(121 / limit));
    assert.equal(new Set(items.map(({ userId }) => userId)).size, 121);
    assert.equal(items[0].userId, 'alice', 'in the order in which they joined');
  }
  await badCursors(path, 'x', '1_');
});

test('users', async () => {
  const { items } = await pages('/api/users?q=member', 50);
  assert.equal(items.length, 120);
  assert.deepEqual(items.map(({ username }) => username), items.map(({ username }) => username).sort());
  const { items: everybody, n } = await pages('/api/users', 40);
  assert.equal(everybody.length, 122);
  assert.equal(n, 4);
  await badCursors('/api/users', '', 'x', '1', 'u_', 'member1');
});

test('meetings', async () => {
  await cluster.sql("SELECT rt.create_meeting('meeting ' || i, 'alice') FROM generate_series(1, 60) AS i");
  const first = await get('/api/meetings');
  assertHas(first, { count: 50, hasMore: true });
  const { items, n } = await pages('/api/meetings', 25);
  assert.equal(n, 3);
  assert.equal(new Set(items.map(({ id }) => id)).size, 60);
  await badCursors('/api/meetings', 'x');
});
