// Contract, section 4: REST.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { assertHas, closeAll, connect, join, received, settled, until, within } from './lib/client.mjs';

let cluster, tokens;

before(async () => {
  cluster = await Cluster.start();
  tokens = await cluster.tokens('alice', 'bob', 'carol');
});
after(() => cluster?.stop());
afterEach(closeAll);

async function ok(user, method, path, body, status = 200) {
  const reply = await cluster.rest(method, path, tokens[user], body);
  assert.equal(reply.status, status, `${method} ${path}: ${JSON.stringify(reply.body)}`);
  assert.equal(reply.body.success, true);
  return reply.body;
}

async function refused(user, method, path, body, status, code) {
  const reply = await cluster.rest(method, path, tokens[user], body);
  assert.equal(reply.status, status, `${method} ${path}: ${JSON.stringify(reply.body)}`);
  assert.equal(reply.body.success, false);
  assert.equal(reply.body.error.code, code);
  assert.equal(typeof reply.body.error.message, 'string');
  return reply;
}

async function newRoom(user = 'alice', memberIds = ['bob']) {
  return (await ok(user, 'POST', '/api/chat/rooms', { name: 'a room', kind: 'group', memberIds }, 201)).data;
}

describe('/auth', () => {
  test('a token that works', async () => {
    const { status, body } = await cluster.rest('POST', '/auth', undefined, { username: 'alice', password: 'alice-password' });
    assert.equal(status, 200);
    assert.equal(body.success, true);
    assertHas(body.user, { id: 'alice', username: 'alice', name: 'Alice' });
    assert.ok(new Date(body.expiresAt) > new Date());
    assert.equal((await cluster.rest('GET', '/api/users/me', body.token)).status, 200);
    const fresh = await cluster.rest('POST', '/auth/refresh', body.token);
    assert.equal(fresh.status, 200);
    assert.equal((await cluster.rest('GET', '/api/users/me', fresh.body.token)).status, 200);
  });

  test('wrong password and unknown user: the same answer, in the time of the slowest stored hash', async (t) => {
    await cluster.users('dear');
    t.after(() => cluster.sql("DELETE FROM rt.users WHERE id = 'dear'"));
    // Four times as many rounds as the others have.
    await cluster.sql("UPDATE rt.users SET password_hash = rt_private.crypt('dear-password', rt_private.gen_salt('bf', 12)) WHERE id = 'dear'");
    // Accounts are not held back at an address that they have used.
    await cluster.sql("INSERT INTO rt_private.login_addresses (user_id, address) SELECT u, '127.0.0.1' FROM unnest('{alice,dear}'::text[]) AS u ON CONFLICT DO NOTHING");
    let attempt = 0;
    await within(2, async () => {
      const shortest = { alice: Infinity, dear: Infinity, [`nobody-${++attempt}`]: Infinity };
      for (let i = 0; i < 3; i++) {
        for (const username of Object.keys(shortest)) {
          const begun = performance.now();
          await refused(undefined, 'POST', '/auth', { username, password: 'wrong' }, 401, 'unauthorized');
          shortest[username] = Math.min(shortest[username], performance.now() - begun);
        }
      }
      return Math.max(...Object.values(shortest)) / Math.min(...Object.values(shortest));
    });
  });

  test('bad requests', async () => {
    for (const body of [{}, { username: 'alice' }, { username: 1, password: 2 }, [], '"x"', 'null']) {
      const reply = await cluster.rest('POST', '/auth', undefined, body, { 'content-type': 'application/json' });
      assert.equal(reply.status, 400, JSON.stringify(body));
    }
  });

  test('two dozen logins at once', async () => {
    const replies = await Promise.all(Array.from({ length: 24 }, () => cluster.rest('POST', '/auth', undefined, { username: 'bob', password: 'bob-password' })));
    assert.deepEqual(replies.map(({ status }) => status), Array(24).fill(200));
  });
});

describe('authorization', () => {
  test('every path wants a token', async () => {
    for (const [method, path] of [['GET', '/api/chat/rooms'], ['POST', '/api/chat/rooms'], ['GET', '/api/users/me'], ['POST', '/api/chat/rooms/1/msgs'],
      ['GET', '/api/chat/search?q=x'], ['POST', '/auth/refresh'], ['GET', '/api/meetings']]) {
      await refused(undefined, method, path, undefined, 401, 'unauthorized');
    }
  });

  test('strangers see nothing: not_found, as for what is not there', async () => {
    const { id } = await newRoom();
    const { id: messageId } = (await ok('alice', 'POST', `/api/chat/rooms/${id}/msgs`, { content: 'secret' }, 201)).data;
    for (const room of [id, '999999999']) {
      await refused('carol', 'GET', `/api/chat/rooms/${room}`, undefined, 404, 'not_found');
      await refused('carol', 'GET', `/api/chat/rooms/${room}/members`, undefined, 404, 'not_found');
      await refused('carol', 'GET', `/api/chat/rooms/${room}/msgs`, undefined, 404, 'not_found');
      await refused('carol', 'POST', `/api/chat/rooms/${room}/msgs`, { content: 'x' }, 404, 'not_found');
      await refused('carol', 'PATCH', `/api/chat/rooms/${room}`, { name: 'x' }, 404, 'not_found');
      await refused('carol', 'DELETE', `/api/chat/rooms/${room}`, undefined, 404, 'not_found');
    }
    await refused('carol', 'PATCH', `/api/chat/rooms/${id}/msgs/${messageId}`, { content: 'x' }, 404, 'not_found');
    await refused('carol', 'GET', `/api/chat/rooms/${id}/msgs/${messageId}/receipts`, undefined, 404, 'not_found');
    const found = await ok('carol', 'GET', '/api/chat/search?q=secret');
    assert.deepEqual(found.data, []);
  });

  test("others' messages are not mine to edit", async () => {
    const { id } = await newRoom();
    const { id: messageId } = (await ok('alice', 'POST', `/api/chat/rooms/${id}/msgs`, { content: 'mine' }, 201)).data;
    await refused('bob', 'PATCH', `/api/chat/rooms/${id}/msgs/${messageId}`, { content: 'x' }, 403, 'forbidden');
    await refused('bob', 'DELETE', `/api/chat/rooms/${id}/msgs/${messageId}`, undefined, 403, 'forbidden');
    await refused('bob', 'PATCH', `/api/chat/rooms/${id}`, { name: 'x' }, 403, 'forbidden');
    await refused('bob', 'DELETE', `/api/chat/rooms/${id}`, undefined, 403, 'forbidden');
    await refused('bob', 'POST', `/api/chat/rooms/${id}/members`, { userIds: ['carol'] }, 403, 'forbidden');
  });

  test('the token of a user that was deleted', async () => {
    [tokens.gone] = await cluster.users('gone');
    const { data: open } = await ok('alice', 'POST', '/api/meetings', { title: 'open', access: 'anyone' }, 201);
    await cluster.sql("DELETE FROM rt.users WHERE id = 'gone'");
    for (const [method, path, body] of [['GET', '/api/users/me'], ['GET', '/api/users'], ['POST', '/auth/refresh'], ['GET', '/api/chat/rooms'],
      ['POST', '/api/chat/rooms', { kind: 'group', memberIds: [] }], ['GET', '/api/chat/search?q=x'], ['GET', '/api/meetings'],
      ['POST', '/api/meetings', { title: 'x' }], ['GET', `/api/meetings/${open.id}`], ['POST', `/api/meetings/${open.id}/join`],
      ['GET', `/api/meetings/${open.id}/participants`]]) {
      await refused('gone', method, path, body, 401, 'unauthorized');
    }
  });
});

describe('rooms', () => {
  test('made, listed, read, renamed, deleted', async () => {
    const room = await newRoom();
    assert.equal(room.name, 'a room');
    assert.equal(room.kind, 'group');
    assert.equal(room.memberCount, 2);
    const { data: rooms } = await ok('bob', 'GET', '/api/chat/rooms');
    const listed = rooms.find(({ id }) => id === room.id);
    for (const key of ['id', 'name', 'kind', 'memberCount', 'lastSeq', 'lastMessage', 'unreadCount', 'lastReadSeq', 'createdAt']) assert.ok(key in listed, key);
    await ok('alice', 'POST', `/api/chat/rooms/${room.id}/msgs`, { content: 'one' }, 201);
    const later = (await ok('bob', 'GET', '/api/chat/rooms')).data.find(({ id }) => id === room.id);
    assert.equal(later.lastSeq, 1);
    assert.equal(later.unreadCount, 1);
    assert.equal(later.lastMessage.content, 'one');
    assert.equal((await ok('alice', 'GET', '/api/chat/rooms')).data.find(({ id }) => id === room.id).unreadCount, 0);
    assert.equal((await ok('alice', 'PATCH', `/api/chat/rooms/${room.id}`, { name: 'renamed' })).data.name, 'renamed');
    assert.equal((await ok('bob', 'GET', `/api/chat/rooms/${room.id}`)).data.name, 'renamed');
    await ok('alice', 'DELETE', `/api/chat/rooms/${room.id}`);
    await refused('bob', 'GET', `/api/chat/rooms/${room.id}`, undefined, 404, 'not_found');
  });

  test('a direct room exists once', async () => {
    const made = await Promise.all([['alice', 'bob'], ['bob', 'alice'], ['alice', 'bob']].map(([user, other]) =>
      cluster.rest('POST', '/api/chat/rooms', tokens[user], { kind: 'direct', memberIds: [other] })));
    assert.equal(new Set(made.map(({ body }) => body.data.id)).size, 1, JSON.stringify(made.map(({ body }) => body)));
  });

  test('members: added, listed, removed, leaving', async () => {
    const { id } = await newRoom('alice', []);
    await ok('alice', 'POST', `/api/chat/rooms/${id}/members`, { userIds: ['bob', 'carol'] });
    const { data } = await ok('bob', 'GET', `/api/chat/rooms/${id}/members`);
    assert.deepEqual(data.map((member) => [member.userId, member.role]).sort(), [['alice', 'admin'], ['bob', 'member'], ['carol', 'member']]);
    await ok('carol', 'DELETE', `/api/chat/rooms/${id}/members/carol`);
    await refused('carol', 'GET', `/api/chat/rooms/${id}`, undefined, 404, 'not_found');
    await refused('bob', 'DELETE', `/api/chat/rooms/${id}/members/alice`, undefined, 403, 'forbidden');
    await ok('alice', 'DELETE', `/api/chat/rooms/${id}/members/bob`);
    await refused('alice', 'POST', `/api/chat/rooms/${id}/members`, { userIds: ['no-such-user'] }, 404, 'not_found');
  });

  test('ids of users that are decimal numbers, given as numbers', async () => {
    await cluster.users('4711');
    const { id } = (await ok('alice', 'POST', '/api/chat/rooms', { kind: 'group', memberIds: [4711] }, 201)).data;
    await ok('alice', 'DELETE', `/api/chat/rooms/${id}/members/4711`);
    assert.equal((await ok('alice', 'POST', `/api/chat/rooms/${id}/members`, { userIds: [4711] })).data[0].userId, '4711');
    const { data: meeting } = await ok('alice', 'POST', '/api/meetings', { title: 'x', inviteeIds: [4711] }, 201);
    assert.equal(await cluster.value('SELECT user_id FROM rt.meeting_invitees WHERE meeting_id = $1', [meeting.id]), '4711');
  });

  test('a group needs no name', async () => {
    const room = (await ok('alice', 'POST', '/api/chat/rooms', { kind: 'group', memberIds: ['bob'] }, 201)).data;
    assert.equal(room.name, null);
    assert.equal(room.memberCount, 2);
  });

  test('bad requests', async () => {
    for (const body of [{}, { kind: 'club', memberIds: [] }, { kind: 'group', memberIds: 'bob' }, { kind: 'direct', memberIds: [] }, { kind: 'group', memberIds: [7, {}] },
      { kind: 'group', name: 'no members key' }, { name: 'no kind', memberIds: ['bob'] }]) {
      const reply = await cluster.rest('POST', '/api/chat/rooms', tokens.alice, body);
      assert.equal(reply.status, 400, JSON.stringify([body, reply.body]));
    }
  });
});

describe('messages', () => {
  test('sent, and the same clientId sends nothing again', async () => {
    const { id } = await newRoom();
    const client = await connect(cluster, tokens.bob);
    await join(client, id);
    const first = await ok('alice', 'POST', `/api/chat/rooms/${id}/msgs`, { content: 'once', clientId: 'k' }, 201);
    const again = await ok('alice', 'POST', `/api/chat/rooms/${id}/msgs`, { content: 'twice?', clientId: 'k' }, 200);
    assert.deepEqual(again.data, first.data);
    await ok('bob', 'POST', `/api/chat/rooms/${id}/messages`, { content: "bob's own k", clientId: 'k' }, 201);
    await settled(cluster, client);
    assert.deepEqual(received(client, 'new-chat-message', ({ roomId }) => roomId === id).map(({ data }) => data.content), ['once', "bob's own k"]);
  });

  test('the same clientId from many at once is one message', async () => {
    const { id } = await newRoom();
    const replies = await Promise.all(Array.from({ length: 10 }, () => cluster.rest('POST', `/api/chat/rooms/${id}/msgs`, tokens.alice, { content: 'x', clientId: 'same' })));
    assert.equal(replies.filter(({ status }) => status === 201).length, 1);
    assert.equal(replies.filter(({ status }) => status === 200).length, 9);
    assert.equal(new Set(replies.map(({ body }) => body.data.id)).size, 1);
  });

  test('history in pages, rising', async () => {
    const { id } = await newRoom();
    for (let i = 1; i <= 7; i++) await cluster.insert(id, 'alice', `m${i}`);
    const seqs = async (query) => {
      const body = await ok('bob', 'GET', `/api/chat/rooms/${id}/msgs${query}`);
      return [body.data.map(({ seq }) => seq), body.hasMore];
    };
    assert.deepEqual(await seqs(''), [[1, 2, 3, 4, 5, 6, 7], false]);
    assert.deepEqual(await seqs('?limit=3'), [[5, 6, 7], true]);
    assert.deepEqual(await seqs('?beforeSeq=5&limit=2'), [[3, 4], true]);
    assert.deepEqual(await seqs('?afterSeq=5'), [[6, 7], false]);
    assert.deepEqual(await seqs('?afterSeq=2&limit=2'), [[3, 4], true]);
    for (const query of ['?limit=0', '?limit=-1', '?limit=x', '?beforeSeq=x', '?afterSeq=1e3']) {
      await refused('bob', 'GET', `/api/chat/rooms/${id}/msgs${query}`, undefined, 400, 'bad_request');
    }
    for (const limit of [100000, 99999999999999999999n]) assert.equal((await seqs(`?limit=${limit}`))[0].length, 7);
  });

  test('replies, edits, deletion, reactions, receipts', async () => {
    const { id } = await newRoom();
    const base = `/api/chat/rooms/${id}/msgs`;
    const first = (await ok('alice', 'POST', base, { content: 'question' }, 201)).data;
    const second = (await ok('bob', 'POST', base, { content: 'answer', replyTo: first.id }, 201)).data;
    assert.equal(second.replyTo, first.id);
    await refused('bob', 'POST', base, { content: 'x', replyTo: `${id}-99` }, 404, 'not_found');
    assert.equal((await ok('alice', 'PATCH', `${base}/${first.id}`, { content: 'better' })).data.content, 'better');
    await ok('bob', 'PUT', `${base}/${first.id}/delivered`);
    const { data: receipts } = await ok('alice', 'GET', `${base}/${first.id}/receipts`);
    assert.equal(receipts.length, 1);
    assert.equal(receipts[0].userId, 'bob');
    assert.equal(receipts[0].userName, 'Bob');
    assert.ok(receipts[0].deliveredAt);
    assert.equal(receipts[0].seenAt, null);
    await ok('alice', 'DELETE', `${base}/${second.id}`);
    const { data } = await ok('bob', 'GET', base);
    assert.equal(data.length, 2);
    assert.equal(data[1].content, '');
    assert.equal(data[1].metadata, null);
    assert.ok(data[1].deletedAt);
  });

  test('the text and the metadata of a message, changed at the same time', async () => {
    const { id } = await newRoom();
    const path = `/api/chat/rooms/${id}/msgs/${(await ok('alice', 'POST', `/api/chat/rooms/${id}/msgs`, { content: 'text' }, 201)).data.id}`;
    const holder = await cluster.pool.connect();
    try {
      await holder.query('BEGIN');
      await holder.query('SELECT FROM rt.messages WHERE room_id = $1 FOR UPDATE', [id]);
      const edits = [{ content: 'new text' }, { metadata: { new: true } }].map((body) => ok('alice', 'PATCH', path, body));
      await until(async () => await cluster.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") === '2', 'both wait');
      await holder.query('COMMIT');
      await Promise.all(edits);
    } finally {
      holder.release(true);
    }
    const [row] = await cluster.sql('SELECT content, metadata FROM rt.messages WHERE room_id = $1', [id]);
    assert.deepEqual(row, { content: 'new text', metadata: { new: true } });
  });

  test('limits and bad requests', async () => {
    const { id } = await newRoom();
    const base = `/api/chat/rooms/${id}/msgs`;
    await refused('alice', 'POST', base, { content: '' }, 400, 'bad_request');
    await refused('alice', 'POST', base, {}, 400, 'bad_request');
    await refused('alice', 'POST', base, { content: 7 }, 400, 'bad_request');
    await refused('alice', 'POST', base, { content: 'a\u0000b' }, 400, 'bad_request');
    await refused('alice', 'POST', base, '{"content":"\\ud800"}', 400, 'bad_request');
    await refused('alice', 'POST', base, '{"content":', 400, 'bad_request');
    await refused('alice', 'POST', base, Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), 400, 'bad_request');
    await refused('alice', 'POST', base, { content: 'x'.repeat(66_000) }, 413, 'too_large');
    await refused('alice', 'POST', base, { content: 'x'.repeat(1_100_000) }, 413, 'too_large');
    await ok('alice', 'POST', base, { content: '', metadata: { kind: 'sticker' } }, 201);
    await refused('alice', 'GET', `${base}/nonsense/receipts`, undefined, 400, 'bad_request');
  });

  test('search gives the newest, be the word common, rare, or only in old messages', async () => {
    const rooms = [await cluster.room('busy', 'alice'), await cluster.room('calm', 'alice')];
    for (const [i, count] of [[0, 3000], [1, 300], [0, 3000]]) {
      await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, 'alice', 'common' ||
        CASE WHEN i % 1000 = 1 THEN ' rare' WHEN i % 50 = 0 THEN ' medium' ELSE '' END || CASE WHEN $3 AND i < 900 THEN ' early' ELSE '' END
        FROM generate_series(1, $2) AS i`, [rooms[i], count, i === 0]);
    }
    await cluster.sql('DELETE FROM rt.messages WHERE room_id = $1 AND seq = 6000', [rooms[0]]);
    for (const word of ['common', 'rare', 'medium', 'early', 'absent', '"common rare"', 'common medium']) {
      for (const limit of [1, 50, 200]) {
        const { data } = await ok('alice', 'GET', `/api/chat/search?q=${encodeURIComponent(word)}&limit=${limit}`);
        const expected = await cluster.sql(`SELECT room_id || '-' || seq AS id FROM rt.messages WHERE room_id = ANY ($1)
          AND deleted_at IS NULL AND to_tsvector('simple', content) @@ websearch_to_tsquery('simple', $2)
          ORDER BY created_at DESC, room_id, seq DESC LIMIT $3`, [rooms, word, limit]);
        assert.deepEqual(data.map(({ id }) => id), expected.map(({ id }) => id), `${word} ${limit}`);
      }
    }
  });

  test('search finds only in rooms of the caller', async () => {
    const { id } = await newRoom('alice', []);
    await ok('alice', 'POST', `/api/chat/rooms/${id}/msgs`, { content: 'the zebra crosses' }, 201);
    assert.equal((await ok('alice', 'GET', '/api/chat/search?q=zebra')).data.length, 1);
    assert.equal((await ok('alice', 'GET', `/api/chat/search?q=zebra&roomId=${id}`)).data.length, 1);
    assert.equal((await ok('bob', 'GET', '/api/chat/search?q=zebra')).data.length, 0);
    await ok('alice', 'GET', `/api/chat/search?q=${encodeURIComponent("') OR 1=1; -- & | ! <-> :*")}`);
  });
});

describe('users', () => {
  test('me and search', async () => {
    const { data } = await ok('alice', 'GET', '/api/users/me');
    assert.equal(data.id, 'alice');
    assert.ok(!JSON.stringify(data).includes('$2'), 'no hash');
    assert.ok((await ok('alice', 'GET', '/api/users?q=bo')).data.some(({ id }) => id === 'bob'));
  });
});

describe('the server itself', () => {
  test('liveness, readiness, metrics', async () => {
    assert.equal((await cluster.rest('GET', '/healthz')).status, 200);
    assert.equal((await cluster.rest('GET', '/readyz')).status, 200);
    const { status, headers, body } = await cluster.rest('GET', '/metrics');
    assert.equal(status, 200);
    assert.match(headers.get('content-type'), /^text\/plain/);
    assert.match(body, /^# TYPE rt_gateway_connections gauge$/m);
    assert.match(body, /^rt_gateway_connections(\{[^}]*\})? \d+$/m);
    assert.match(body, /^# TYPE rt_media_packets_in_total counter$/m);
  });

  test('405 has Allow; unknown paths are 404', async () => {
    const reply = await refused('alice', 'PUT', '/api/chat/rooms', {}, 405, 'bad_request');
    assert.match(reply.headers.get('allow'), /GET/);
    assert.match(reply.headers.get('allow'), /POST/);
    await refused('alice', 'GET', '/api/no/such/path', undefined, 404, 'not_found');
    for (const path of ['/', '/healthz', '/readyz', '/metrics']) {
      const { headers } = await refused('alice', 'POST', path, {}, 405, 'bad_request');
      assert.equal(headers.get('allow'), 'GET, HEAD');
    }
  });

  // Messages of a room that come together go to the database together.
  test('a message that a trigger refuses refuses no other', async () => {
    const { id } = await newRoom();
    await cluster.sql(`CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no such words'; END $$`);
    await cluster.sql(`CREATE TRIGGER refuse BEFORE INSERT ON rt.messages FOR EACH ROW WHEN (NEW.content = 'bad') EXECUTE FUNCTION public.refuse()`);
    try {
      const statuses = await Promise.all(Array.from({ length: 80 }, async (_, i) =>
        (await cluster.rest('POST', `/api/chat/rooms/${id}/msgs`, tokens[i % 4 ? 'alice' : 'bob'], { content: i % 4 ? `m${i}` : 'bad' })).status));
      for (const [i, status] of statuses.entries()) assert.equal(status, i % 4 ? 201 : 500, `${i}`);
    } finally {
      await cluster.sql('DROP FUNCTION public.refuse() CASCADE');
    }
    const { data } = await ok('alice', 'GET', `/api/chat/rooms/${id}/msgs?limit=200`);
    assert.deepEqual(data.map(({ seq }) => seq), Array.from({ length: 60 }, (_, i) => i + 1));
  });

  // Each is answered in time, though the last one waits for longer than any of them may take.
  test('slow statements behind one another lose no connection to the database', { timeout: 600_000 }, async () => {
    const rooms = await Promise.all(Array.from({ length: 5 * 16 }, () => newRoom()));
    await cluster.sql(`CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$`);
    await cluster.sql('CREATE TRIGGER wait BEFORE INSERT ON rt.messages FOR EACH ROW EXECUTE FUNCTION public.wait()');
    try {
      const statuses = await Promise.all(rooms.map(async ({ id }) => (await cluster.rest('POST', `/api/chat/rooms/${id}/msgs`, tokens.alice, { content: 'x' })).status));
      assert.deepEqual([...new Set(statuses)], [201]);
    } finally {
      await cluster.sql('DROP FUNCTION public.wait() CASCADE');
    }
    assert.doesNotMatch(await cluster.log(), /connection lost/);
  });

  test('what one user asks for keeps no other waiting', { timeout: 600_000 }, async () => {
    const { id } = await newRoom();
    for (let i = 0; i < 2; i++) await ok('alice', 'POST', `/api/chat/rooms/${id}/msgs`, { content: 'x' }, 201);
    await cluster.sql(`CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$`);
    await cluster.sql('CREATE TRIGGER wait BEFORE INSERT ON rt.reactions FOR EACH ROW EXECUTE FUNCTION public.wait()');
    try {
      const begun = performance.now();
      const slow = Array.from({ length: 40 }, (_, i) => cluster.rest('PUT', `/api/chat/rooms/${id}/msgs/${id}-${1 + (i % 2)}/reactions/r${i}`, tokens.alice));
      const times = [];
      for (let i = 0; i < 5; i++) {
        const asked = performance.now();
        await ok('bob', 'GET', '/api/users/me');
        times.push(performance.now() - asked);
      }
      const statuses = (await Promise.all(slow)).map(({ status }) => status);
      const all = performance.now() - begun;
      assert.ok(Math.max(...times) < all / 2, `${times.map(Math.round)} ms, and hers ${Math.round(all)} ms in all`);
      assert.deepEqual([...new Set(statuses)], [200], 'and they all come through');
    } finally {
      await cluster.sql('DROP FUNCTION public.wait() CASCADE');
    }
  });

  test('30 senders at once', async () => {
    const { id } = await newRoom();
    const replies = await Promise.all(Array.from({ length: 300 }, (_, i) => cluster.rest('POST', `/api/chat/rooms/${id}/msgs`, tokens[i % 2 ? 'alice' : 'bob'], { content: `m${i}` })));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [201]);
    assert.deepEqual(replies.map(({ body }) => body.data.seq).sort((a, b) => a - b), Array.from({ length: 300 }, (_, i) => i + 1));
  });
});
