// Contract, section 7: search.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';

let cluster, tokens, roomId;

before(async () => {
  cluster = await Cluster.start({ 'rt.media_workers': 0 });
  tokens = await cluster.tokens('alice', 'bob', 'carol');
  roomId = await cluster.room('search', 'alice', 'bob');
});
after(() => cluster?.stop());

async function search(query, user = 'alice') {
  const reply = await cluster.rest('GET', `/api/chat/search?${new URLSearchParams({ roomId, ...query })}`, tokens[user]);
  assert.equal(reply.status, 200, JSON.stringify(reply.body));
  return reply.body;
}

const texts = ['café au lait', 'both deployments failed', 'restart host-42.example.com now', '今天爸爸去学校', '나는 학교에 간다', 'Straße nach Łódź', 'an apple a day', 'day an apple',
  'สวัสดีครับเพื่อน', '😀😀 smile here', 'mixed中文text', 'snake_case_name', 'ΣΟΦΟΣ'];

test('words by their beginning, without accents and case, compounds, and scripts that do not divide words', async () => {
  for (const text of texts) await cluster.insert(roomId, 'bob', text);
  for (const [q, ...found] of [['cafe', 0], ['CAFÉ', 0], ['deploy', 1], ['ployment'], ['host', 2], ['example', 2], ['host-42.example.com', 2], ['host-42', 2], ['42 restart', 2],
    ['爸爸', 3], ['爸', 3], ['校', 3], ['去学校', 3], ['学去'], ['학교', 4], ['strasse', 5], ['lodz', 5], ['day apple', 6, 7], ['"apple a day"', 6], ['"day an"', 7], ['"a day" an', 6],
    ['เพื่อน', 8], ['smile', 9], ['中文', 10], ['mixed', 10], ['text', 10], ['case', 11], ['σοφος', 12], ['nothing'], ['!?']]) {
    const { data, nextCursor } = await search({ q });
    assert.deepEqual(data.map(({ content }) => texts.indexOf(content)).sort((a, b) => a - b), found, q);
    assert.equal(nextCursor, null);
  }
});

test('highlights in UTF-16 units', async () => {
  const marked = async (q) => {
    const { data: [{ content, highlights }] } = await search({ q });
    return highlights.map(([start, end]) => content.slice(start, end));
  };
  assert.deepEqual(await marked('cafe'), ['café']);
  assert.deepEqual(await marked('smile her'), ['smile', 'here']);
  assert.deepEqual(await marked('爸爸'), ['爸爸']);
  assert.deepEqual(await marked('学校'), ['学校']);
  assert.deepEqual(await marked('host'), ['host']);
});

test('from, before, after, limit and cursor; only rooms of the caller', async () => {
  for (let i = 0; i < 7; i++) await cluster.insert(roomId, i % 2 ? 'bob' : 'alice', `pageable ${i}`);
  assert.equal((await search({ q: 'pageable', from: 'bob' })).count, 3);
  const seen = [];
  let cursor, pages = 0;
  do {
    const body = await search({ q: 'pageable', limit: 3, ...(cursor && { cursor }) });
    seen.push(...body.data.map(({ content }) => content));
    cursor = body.nextCursor;
    pages++;
  } while (cursor);
  assert.deepEqual(seen, [6, 5, 4, 3, 2, 1, 0].map((i) => `pageable ${i}`));
  assert.equal(pages, 3);
  const { data } = await search({ q: 'pageable' });
  const middle = data[3].createdAt;
  assert.ok((await search({ q: 'pageable', before: middle })).data.every(({ createdAt }) => createdAt <= middle));
  assert.ok((await search({ q: 'pageable', after: middle })).data.every(({ createdAt }) => createdAt >= middle));
  assert.equal((await search({ q: 'pageable', before: '2001-01-01T00:00:00Z' })).count, 0);
  assert.equal((await cluster.rest('GET', '/api/chat/search?q=pageable', tokens.carol)).body.count, 0);
  for (const bad of [{ q: 'x', cursor: 'x' }, { q: 'x', cursor: '1_x' }, { q: 'x', before: 'x' }, { q: '' }]) {
    assert.equal((await cluster.rest('GET', `/api/chat/search?${new URLSearchParams(bad)}`, tokens.alice)).status, 400, JSON.stringify(bad));
  }
});

test('the index finds the same as the newest messages', async () => {
  const many = await cluster.room('many', 'alice');
  await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, 'alice', CASE i % 1000 WHEN 7 THEN 'needle ' || i ELSE 'hay ' || i END FROM generate_series(1, 6000) AS i", [many]);
  assert.deepEqual((await search({ q: 'needle', roomId: many })).data.map(({ seq }) => seq), [5007, 4007, 3007, 2007, 1007, 7]);
});
