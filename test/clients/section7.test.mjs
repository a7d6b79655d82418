// Contract, section 7, with samples of other languages and of what people and programs send: mentions, search, lists, sync.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { ask, askOk, closeAll, connect, event, join, received, settled, until, within } from './lib/client.mjs';

const NAMES = ['alice', 'bob', 'bob_2', 'anna-lena', "o'neil", 'müller', 'жанна', '김철수', 'สมชาย', '爸爸', 'عمر', 'x.y', 'carol@example.com', 'Ångström'];
let cluster, tokens;
let number = 0;

before(async () => {
  cluster = await Cluster.start({ 'rt.rate_messages': 0, 'rt.rate_events': 0 });
  const ids = NAMES.map((_, i) => `u${i}`);
  tokens = {};
  for (const [i, id] of ids.entries()) {
    await cluster.sql('SELECT rt.create_user($1, $2, NULL, $3)', [id, NAMES[i], NAMES[i]]);
    tokens[NAMES[i]] = await cluster.token(id);
  }
});
after(() => cluster?.stop());
afterEach(closeAll);

const idOf = (name) => `u${NAMES.indexOf(name)}`;
const room = (...names) => cluster.room(`seven ${++number}`, ...names.map(idOf));

async function rest(method, path, name, body) {
  return cluster.rest(method, path, tokens[name], body);
}

const ok = (method, path, name, body) => cluster.restOk(method, path, tokens[name], body);

async function refused(status, code, method, path, name, body) {
  const reply = await rest(method, path, name, body);
  assert.equal(`${reply.status} ${reply.body?.error?.code}`, `${status} ${code}`, `${method} ${path}: ${JSON.stringify(reply.body)}`);
}

describe('mentions', () => {
  // What alice, the admin, writes, and the names of whom that notifies.
  const samples = [
    ['Hi @bob!', 'bob'], ['(@bob)', 'bob'], ['«@bob»', 'bob'], ['„@bob“', 'bob'], ['¡@bob!', 'bob'], ['@BOB', 'bob'], ['@Bob.', 'bob'],
    ['@bob, @anna-lena; and @müller', 'bob anna-lena müller'], ['@bob@müller', 'bob'], ['@bob_2', 'bob_2'], ['@bob_3', 'bob'], ['@bob-2', 'bob'],
    ["@o'neil's turn", "o'neil"], ["@O'Neil", "o'neil"], ['@o’neil', ''], ['@MU\u0308LLER', 'müller'], ['@mu\u0308ller\u00a0x', 'müller'],
    ['@ångström', 'Ångström'], ['@\u212bngstro\u0308m?', 'Ångström'],
    ['@жанна, привет', 'жанна'], ['@ЖАННА', 'жанна'], ['@жаннам', ''], ['привет@bob', ''], ['γειά@bob', ''], ['שלום@bob', ''],
    ['@김철수님', '김철수'], ['안녕@김철수', '김철수'], ['@爸爸你好', '爸爸'], ['你好@爸爸。', '爸爸'], ['テスト@bobさん', 'bob'], ['สวัสดี@สมชายครับ', 'สมชาย'],
    ['@عمر؟', 'عمر'], ['مرحبا @عمر', 'عمر'], ['@x.y.', 'x.y'], ['@x.yz', ''], ['mail carol@example.com', ''], ['@carol@example.com, look', 'carol@example.com'],
    ['@bobby', ''], ['@bob7', ''], ['@bobé', ''], ['@bob٣', ''], ['@bobは', 'bob'], ['7@bob', ''], ['٣@bob', ''], ['é@bob', ''],
    ['_@bob', ''], ['/@bob', ''], ['.@bob', ''], ['@@bob', ''], ['-@bob', 'bob'], ['+@bob', 'bob'], ['\u200b@bob\u200b', 'bob'], ['\u200f@bob', 'bob'],
    ['👩‍👩‍👧@bob👋', 'bob'], ['**@bob**', 'bob'], ['~~@bob~~', 'bob'], ['[@bob](x)', 'bob'], ['> @bob', 'bob'], ['- @bob', 'bob'], ['# @bob', 'bob'],
    ['https://example.com/a?to=@bob', ''], ['http://h:80/x#@bob', ''], ['see https://h/ @bob', 'bob'], ['<https://h/x>@bob', 'bob'],
    ['`@bob`', ''], ['`` ` @bob ``', ''], ['`open @bob', 'bob'], ['```\n@bob\n```', ''], ['```\n@bob', ''], ['~~~js\n@bob\n~~~\n@müller', 'müller'],
    ['    @bob', ''], ['\t@bob', ''], ['text\n    @bob', 'bob'], ['```\ncode\n```\n@bob', 'bob'],
    ['❤️@bob', 'bob'], ['☀️ 1️⃣@bob', 'bob'], ['नमस्ते@bob', ''], ['e\u0301@bob', ''], ['@nobody '.repeat(150) + '@bob', 'bob'],
    ['@alice', ''], ['@nobody', ''], ['@', ''], ['@ bob', ''], ['', ''],
  ];

  test('of each sample those, and nobody else', async () => {
    const roomId = await room(...NAMES);
    const clients = new Map();
    for (const name of NAMES) clients.set(name, await connect(cluster, tokens[name]));
    const expected = [];
    for (const [content, names] of samples) {
      if (content === '') continue;
      const { data } = await ok('POST', `/api/chat/rooms/${roomId}/msgs`, 'alice', { content });
      expected.push([data.seq, content, names.split(' ').filter(Boolean).sort()]);
    }
    await settled(cluster, ...clients.values());
    const mentions = (seq) => NAMES.filter((name) => received(clients.get(name), 'chat-notification',
      ({ type, data }) => type === 'mention' && data.roomId === roomId && data.seq === seq).length > 0).sort();
    const wrong = expected.filter(([seq, , names]) => mentions(seq).join() !== names.join())
      .map(([seq, content, names]) => `${JSON.stringify(content)}: ${mentions(seq)}, not ${names}`);
    assert.deepEqual(wrong, []);
  });

  test('@all and @here: whole words, by admins or where the room says so; @all counts for who is offline', async () => {
    const roomId = await room('alice', 'bob', 'müller');
    await cluster.sql("SELECT rt.create_user('away', 'Away', NULL, 'away')");
    tokens.away = await cluster.token('away');
    await ok('POST', `/api/chat/rooms/${roomId}/members`, 'alice', { userIds: ['away'] });
    const bob = await connect(cluster, tokens.bob);
    const post = async (name, content) => (await ok('POST', `/api/chat/rooms/${roomId}/msgs`, name, { content })).data.seq;
    const told = (seq) => received(bob, 'chat-notification', ({ type, data }) => type === 'mention' && data.roomId === roomId && data.seq === seq).length;
    const yes = [await post('alice', '@all: lunch'), await post('alice', 'Lunch, @ALL!'), await post('alice', '@here')];
    const no = [await post('alice', '@allies'), await post('alice', '`@all`'), await post('alice', 'x@all'), await post('müller', '@all'), await post('müller', '@here')];
    await ok('PATCH', `/api/chat/rooms/${roomId}`, 'alice', { whoMayMentionAll: 'members' });
    yes.push(await post('müller', '@all now'));
    await settled(cluster, bob);
    assert.deepEqual([yes.map(told), no.map(told)], [[1, 1, 1, 1], [0, 0, 0, 0, 0]]);
    // Whoever was away all the time: three times @all, and no @here.
    const { data } = await ok('GET', `/api/chat/rooms/${roomId}`, 'away');
    assert.equal(data.mentionCount, 3);
  });

  test('metadata.mentions, by id; who is no member is not told; an edit tells those added, and them once', async () => {
    const roomId = await room('alice', 'bob', '爸爸');
    const [bob, father, outsider] = await Promise.all(['bob', '爸爸', 'müller'].map((name) => connect(cluster, tokens[name])));
    const { data } = await ok('POST', `/api/chat/rooms/${roomId}/msgs`, 'alice', { content: 'x', metadata: { mentions: [idOf('bob'), idOf('müller'), 'nobody'] } });
    await event(bob, 'chat-notification', ({ type, data: { messageId } }) => type === 'mention' && messageId === data.id);
    await ok('PATCH', `/api/chat/rooms/${roomId}/msgs/${data.id}`, 'alice', { content: 'x @爸爸 @bob' });
    await event(father, 'chat-notification', ({ type, data: { messageId } }) => type === 'mention' && messageId === data.id);
    await settled(cluster, bob, father, outsider);
    assert.equal(received(bob, 'chat-notification', ({ type }) => type === 'mention').length, 1);
    assert.equal(received(outsider, 'chat-notification', ({ type }) => type === 'mention').length, 0);
  });
});

describe('search', () => {
  const texts = [
    '👋👩‍👩‍👧 déjà vu', 'cafe\u0301 au lait', 'Ünïcödé ﬁle', '학교에서 만나요', 'カタカナとひらがな', 'ภาษาไทยไม่มีช่องว่าง', '今天去爸爸家', 'host-42.example.com is down',
    'deployments of the snake_case_name', 'the quick brown fox', 'brown the quick dog', 'Straße in Köln', 'İstanbul ılık', 'mail to first.last+tag@example.org', 'über100mal', 'Ελλάδα', 'Русский ёж', 'مَدْرَسَة',
    'C++ and C# and .NET', '𝔘𝔫𝔦 😀abc😀', 'ﬂat ＤＲＡＦＴ for v2.10.3', 'ｶﾞｽ ｶﾗｵｹ', 'ガラス'.normalize('NFD'), '강남스타일'.normalize('NFD'), 'กรุง\u200bเทพ น้ำใจ', 'Donau\u00addampf',
    'می\u200cخواهم', 'كـــتاب',
  ];
  // What is asked, the texts that are found (by number), and the marked parts of the first.
  const questions = [
    ['deja', [0], ['déjà']], ['déj', [0]], ['CAFÉ', [1], ['cafe\u0301']], ['unicode', [2]], ['학교', [3], ['학교']], ['교에', [3]], ['カナ', [4], ['カナ']], ['ひら', [4]],
    ['ไทย', [5], ['ไทย']], ['爸爸', [6], ['爸爸']], ['爸', [6]], ['host', [7]], ['example', [7, 13]], ['host-42', [7]], ['42', [7]], ['deploy', [8]], ['snake', [8]], ['case', [8]], ['snake_case', [8]],
    ['quick brown', [9, 10]], ['"quick brown"', [9]], ['"the quick"', [9, 10]], ['"brown quick"', []], ['strasse', [11]], ['koln', [11]], ['istanbul', [12]], ['first.last', [13]],
    ['uber', [14]], ['ελλαδα', [15]], ['ежа', []], ['еж', [16], ['ёж']], ['РУССКИЙ', [16]], ['مدرسة', [17]], ['abc', [19], ['abc']], ['nothing', []], ['quick fox', [9]],
    ['flat', [20]], ['draft', [20], ['ＤＲＡＦＴ']], ['2.10', [20]], ['2.10.3', [20]], ['v2.1', [20]], ['カラ', [21], ['ｶﾗ']], ['ガ', [21, 22]], ['ガラス', [22], ['ガラス'.normalize('NFD')]], ['ラス', [22]],
    ['남스', [23], ['남스'.normalize('NFD')]], ['กรุงเทพ', [24], ['กรุง\u200bเทพ']], ['น้ำ', [24]], ['donaudampf', [25]], ['میخواهم', [26]], ['كتاب', [27]], ['𝔘𝔫', [2, 19]], ['uni', [2, 19]],
  ];

  test('of each question those, and marked in UTF-16 units', async () => {
    const roomId = await room('alice', 'bob');
    const numbers = new Map();
    for (const [i, content] of texts.entries()) {
      const { data } = await ok('POST', `/api/chat/rooms/${roomId}/msgs`, 'alice', { content });
      numbers.set(data.id, i);
    }
    const wrong = [];
    for (const [q, expected, marked] of questions) {
      const { data } = await ok('GET', `/api/chat/search?roomId=${roomId}&q=${encodeURIComponent(q)}`, 'bob');
      const found = data.map(({ id }) => numbers.get(id)).sort((a, b) => a - b);
      if (found.join() !== expected.join()) wrong.push(`${q}: ${found}, not ${expected}`);
      for (const hit of data) {
        if (hit.highlights.length === 0) wrong.push(`${q}: nothing marked`);
        for (const [start, end] of hit.highlights) {
          const isWhole = start < end && end <= hit.content.length && hit.content.slice(start, end).isWellFormed?.() !== false;
          if (!isWhole) wrong.push(`${q}: ${start} to ${end} of ${hit.content}`);
        }
      }
      const parts = data[0]?.highlights.map(([start, end]) => data[0].content.slice(start, end));
      // A highlight covers the match or its word.
      if (marked && !marked.every((part) => parts?.some((actual) => actual.includes(part)))) wrong.push(`${q}: marks ${JSON.stringify(parts)}`);
    }
    assert.deepEqual(wrong, []);
  });

  test('a message is found within 5 s, however it came; an edit is found by its new words, a deleted one not at all', () => within(5000, async () => {
    const roomId = await room('alice', 'bob');
    const took = [];
    const soon = async (condition, what) => {
      const begun = performance.now();
      await until(condition, what);
      took.push(performance.now() - begun);
    };
    const find = async (q) => (await ok('GET', `/api/chat/search?roomId=${roomId}&q=${q}`, 'bob')).data.map(({ seq }) => seq);
    await cluster.insert(roomId, idOf('alice'), 'zebra');
    await soon(async () => (await find('zebra')).join() === '1', 'zebra');
    await cluster.sql("UPDATE rt.messages SET content = 'giraffe' WHERE room_id = $1", [roomId]);
    await soon(async () => (await find('giraffe')).join() === '1' && (await find('zebra')).length === 0, 'giraffe');
    await cluster.sql('DELETE FROM rt.messages WHERE room_id = $1', [roomId]);
    await soon(async () => (await find('giraffe')).length === 0, 'nothing');
    return Math.max(...took);
  }));

  test('pages under concurrent inserts have each hit of before once', async () => {
    const roomId = await room('alice', 'bob');
    await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1::bigint, $2, 'page ' || i FROM generate_series(1, 95) i", [roomId, idOf('alice')]);
    const seen = [];
    for (let cursor = ''; cursor !== null;) {
      const { data, nextCursor } = await ok('GET', `/api/chat/search?roomId=${roomId}&q=page&limit=10${cursor && `&cursor=${encodeURIComponent(cursor)}`}`, 'bob');
      seen.push(...data.map(({ seq }) => seq));
      await cluster.insert(roomId, idOf('alice'), 'page new');
      cursor = nextCursor;
    }
    assert.deepEqual(seen.filter((seq) => seq <= 95).sort((a, b) => a - b), Array.from({ length: 95 }, (_, i) => i + 1));
    assert.equal(new Set(seen).size, seen.length);
  });
});

describe('changes', () => {
  test('a number beyond the last change is answered with the last one; what history hides cannot be marked', async () => {
    const roomId = await room('alice', 'bob');
    await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1::bigint, $2, 'old' FROM generate_series(1, 3)", [roomId, idOf('alice')]);
    await cluster.sql("UPDATE rt.messages SET content = 'new' WHERE room_id = $1 AND seq < 3", [roomId]);
    const bob = await connect(cluster, tokens.bob);
    const { rooms: [beyond] } = await askOk(bob, 'sync-rooms', { rooms: [{ roomId, afterChange: 1000 }] });
    assert.deepEqual([beyond.changed, beyond.lastChange, beyond.hasMoreChanges], [[], 2, false]);
    for (const huge of [Number.MAX_SAFE_INTEGER, 1e20, '9223372036854775807', '9'.repeat(40)]) {
      const { rooms: [part] } = await askOk(bob, 'sync-rooms', { rooms: [{ roomId, afterSeq: huge, afterChange: huge }] });
      assert.deepEqual([part.messages, part.lastSeq, part.hasMore, part.changed, part.lastChange], [[], 3, false, [], 2]);
    }
    assert.equal((await ok('PUT', `/api/chat/rooms/${roomId}/read`, 'bob', { seq: 1e20 })).data.lastReadSeq, 3);
    await ok('PATCH', `/api/chat/rooms/${roomId}`, 'alice', { history: 'joined' });
    await ok('POST', `/api/chat/rooms/${roomId}/members`, 'alice', { userIds: [idOf('müller')] });
    await cluster.insert(roomId, idOf('alice'), 'seen');
    const muller = await connect(cluster, tokens['müller']);
    const mark = (...seqs) => ask(muller, 'mark-msgs-seen', { roomId, messageIds: seqs.map((seq) => `${roomId}-${seq}`) });
    assert.equal((await mark(3)).error?.code, 'not_found');
    assert.equal((await mark(4, 2)).error?.code, 'not_found');
    assert.equal((await mark(4)).success, true);
    assert.deepEqual(await cluster.sql('SELECT seq::integer FROM rt.receipts WHERE room_id = $1 AND user_id = $2', [roomId, idOf('müller')]), [{ seq: 4 }]);
  });
});

describe('lists', () => {
  const lists = async () => {
    const roomId = await room('alice', 'bob');
    return ['/api/chat/rooms?', `/api/chat/rooms/${roomId}/members?`, '/api/users?q=a&', '/api/meetings?', `/api/chat/search?q=x&`, `/api/chat/rooms/${roomId}/msgs?`];
  };

  test('limit', async () => {
    for (const path of await lists()) {
      for (const limit of ['0', '-1', 'x', '1.5', '1e2', '%20', '٣', '99999999999999999999x']) await refused(400, 'bad_request', 'GET', `${path}limit=${limit}`, 'alice');
      for (const limit of ['1', '200', '201', '1000000']) await ok('GET', `${path}limit=${limit}`, 'alice');
    }
  });

  test('nextCursor stands beside data, null at the end', async () => {
    for (const path of await lists()) {
      if (path.includes('/msgs')) continue;
      const body = await ok('GET', `${path}limit=200`, 'alice');
      assert.equal(body.nextCursor, null, path);
      assert.ok(Array.isArray(body.data), path);
      await refused(400, 'bad_request', 'GET', `${path}cursor=no-cursor`, 'alice');
    }
  });

  test('250 rooms: pages, sync-rooms of all, and those that cannot be had in their places', async () => {
    await cluster.sql("SELECT rt.create_room('many ' || i, ARRAY[$1, $2]) FROM generate_series(1, 250) i", [idOf('жанна'), idOf('bob')]);
    const strange = await room('alice');
    const ids = [];
    for (let cursor = ''; cursor !== null;) {
      const body = await ok('GET', `/api/chat/rooms?limit=201${cursor && `&cursor=${encodeURIComponent(cursor)}`}`, 'жанна');
      assert.ok(body.data.length <= 200);
      ids.push(...body.data.map(({ id }) => id));
      cursor = body.nextCursor;
    }
    assert.ok(ids.length >= 250 && new Set(ids).size === ids.length);
    const client = await connect(cluster, tokens['жанна']);
    const asked = [...ids.slice(0, 100), strange, ...ids.slice(100), '999999999'];
    const reply = await ask(client, 'sync-rooms', { rooms: asked.map((roomId) => ({ roomId, afterSeq: 0, afterChange: 0 })) });
    assert.equal(reply.success, false);
    assert.equal(reply.error.code, 'not_found');
    assert.deepEqual(reply.rooms.map(({ roomId }) => roomId), asked);
    assert.deepEqual(reply.rooms.filter(({ error }) => error).map(({ roomId }) => roomId), [strange, '999999999']);
    assert.equal((await askOk(client, 'sync-rooms', { rooms: ids.map((roomId) => ({ roomId, afterSeq: 0 })) })).rooms.length, ids.length);
  });
});

describe('ids', () => {
  test('of users: never empty, . or ..; what looks like them is fine', async () => {
    for (const id of ['', '.', '..']) await assert.rejects(cluster.sql('SELECT rt.create_user($1, $2, NULL, $3)', [id, 'X', `n${++number}`]), undefined, JSON.stringify(id));
    const roomId = await room('alice');
    for (const id of ['...', '.x', 'a/b', 'a b', '%2e', '?', '#', 'ü', '爸']) {
      await cluster.sql('SELECT rt.create_user($1, $2, NULL, $3)', [id, 'X', `n${++number}`]);
      await ok('POST', `/api/chat/rooms/${roomId}/members`, 'alice', { userIds: [id] });
      await ok('PATCH', `/api/chat/rooms/${roomId}/members/${encodeURIComponent(id)}`, 'alice', { role: 'admin' });
      await ok('DELETE', `/api/chat/rooms/${roomId}/members/${encodeURIComponent(id)}`, 'alice');
    }
  });

  test('a trailing slash is not_found, and does nothing', async () => {
    const roomId = await room('alice', 'bob');
    for (const path of [`/api/chat/rooms/${roomId}/`, `/api/chat/rooms/${roomId}/members/`, `/api/chat/rooms/${roomId}/msgs/`, '/api/users/me/']) {
      for (const method of ['GET', 'DELETE', 'PATCH']) await refused(404, 'not_found', method, path, 'alice', method === 'PATCH' ? {} : undefined);
    }
    await ok('GET', `/api/chat/rooms/${roomId}`, 'alice');
  });
});

describe('direct rooms', () => {
  test('leaving hides it, memberCount stays 2, the next message brings it back for both, and the other hears of it', async () => {
    const { data: { id } } = await ok('POST', '/api/chat/rooms', 'alice', { kind: 'direct', memberIds: [idOf('müller')] });
    const [alice, muller] = [await connect(cluster, tokens.alice), await connect(cluster, tokens['müller'])];
    await join(alice, id);
    await ok('POST', `/api/chat/rooms/${id}/msgs`, 'alice', { content: 'one' });
    await refused(403, 'forbidden', 'DELETE', `/api/chat/rooms/${id}/members/${idOf('müller')}`, 'alice');
    await ok('DELETE', `/api/chat/rooms/${id}/members/${idOf('müller')}`, 'müller');
    await event(muller, 'chat-notification', ({ type, data }) => type === 'room-removed' && data.roomId === id);
    assert.equal((await event(alice, 'chat-room-members', ({ action }) => action === 'removed')).memberCount, 2);
    assert.equal((await ok('GET', `/api/chat/rooms/${id}`, 'alice')).data.memberCount, 2);
    await refused(404, 'not_found', 'GET', `/api/chat/rooms/${id}`, 'müller');
    await ok('POST', `/api/chat/rooms/${id}/msgs`, 'alice', { content: 'two' });
    await event(muller, 'chat-notification', ({ type, data }) => type === 'room-added' && data.roomId === id);
    const { data } = await ok('GET', `/api/chat/rooms/${id}/msgs`, 'müller');
    assert.deepEqual(data.map(({ content }) => content), ['one', 'two']);
    assert.equal((await ok('GET', `/api/chat/rooms/${id}`, 'müller')).data.unreadCount, 1);
    const again = await rest('POST', '/api/chat/rooms', 'müller', { kind: 'direct', memberIds: [idOf('alice')] });
    assert.equal(again.body.data.id, id);
  });
});
