// gzip: REST answers above 1 kB and polling replies, for those who accept it; unmodified clients, and curl.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import http from 'node:http';
import net from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { Fetch } from 'engine.io-client';
import { Cluster } from './lib/cluster.mjs';
import { askOk, closeAll, connect, event, join, Polling, received, until } from './lib/client.mjs';

const run = promisify(execFile);
let cluster, alice, bob, large, small, huge;

before(async () => {
  cluster = await Cluster.start();
  [alice, bob] = await cluster.users('alice', 'bob');
  large = await cluster.room('large', 'alice', 'bob');
  small = await cluster.room('small', 'alice', 'bob');
  huge = await cluster.room('huge', 'alice', 'bob');
  await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content)
    SELECT $1::bigint, 'alice', 'Message number ' || i || ' 爸爸 café 😀' FROM generate_series(1, 60) i`, [large]);
  await cluster.insert(small, 'alice', 'x');
  // Text that hardly repeats itself, 6 MB of it.
  await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content)
    SELECT $1::bigint, 'alice', (SELECT string_agg(md5(random()::text || i || j), ' ') FROM generate_series(1, 1200) j)
    FROM generate_series(1, 150) i`, [huge]);
});
after(() => cluster?.stop());
afterEach(closeAll);

// One request by node's own client, which neither asks for encodings nor undoes them.
function request(path, { method = 'GET', accept, token = alice, body, agent } = {}) {
  const headers = { authorization: `Bearer ${token}` };
  if (accept !== undefined) headers['accept-encoding'] = accept;
  if (body !== undefined) headers['content-type'] = 'application/json';
  return new Promise((resolve, reject) => {
    const sent = http.request(cluster.url + path, { method, headers, agent }, (reply) => {
      const parts = [];
      reply.on('data', (part) => parts.push(part));
      reply.on('end', () => resolve({ status: reply.statusCode, headers: reply.headers, bytes: Buffer.concat(parts) }));
    });
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function isGzip(reply) {
  return reply.headers['content-encoding'] === 'gzip';
}

function parsed(reply) {
  return JSON.parse(isGzip(reply) ? gunzipSync(reply.bytes) : reply.bytes);
}

const messages = () => `/api/chat/rooms/${large}/msgs`;

describe('REST', () => {
  test('an answer above 1 kB comes in gzip, and is what it is without', async () => {
    const plain = await request(messages());
    const packed = await request(messages(), { accept: 'gzip, deflate, br' });
    assert.ok(!isGzip(plain) && isGzip(packed));
    assert.deepEqual(parsed(packed), parsed(plain));
    assert.ok(packed.bytes.length * 4 < plain.bytes.length, `${packed.bytes.length} of ${plain.bytes.length}`);
    for (const reply of [plain, packed]) {
      assert.match(reply.headers.vary, /accept-encoding/i);
      assert.equal(Number(reply.headers['content-length']), reply.bytes.length);
    }
  });

  const wishes = [
    [undefined, false], ['', false], ['identity', false], ['br', false], ['gzip;q=0', false], ['gzip;q=0, *', false],
    ['gzip;q=0.3, identity;q=0.8', false], ['*', true], ['gzip;q=0.3', true], ['deflate, gzip;q=1.0, *;q=0.5', true],
    ['identity;q=0.3, gzip;q=0.8', true], ['X-GZIP', true],
  ];
  for (const [accept, expected] of wishes) {
    test(`Accept-Encoding: ${accept ?? 'none'}`, async () => {
      const reply = await request(messages(), { accept });
      assert.equal(isGzip(reply), expected);
      assert.equal(parsed(reply).data.length, 50);
    });
  }

  test('a small answer stays as it is, unless nothing else is accepted', async () => {
    const path = `/api/chat/rooms/${small}`;
    assert.equal(isGzip(await request(path, { accept: 'gzip' })), false);
    const only = await request(path, { accept: 'gzip, identity;q=0' });
    assert.equal(isGzip(only), true);
    assert.equal(parsed(only).data.id, small);
    assert.equal(isGzip(await request('/api/nowhere', { accept: 'gzip' })), false);
  });

  test('identity refused and gzip not accepted: plain, and what was asked is done', async () => {
    const reply = await request(`/api/chat/rooms/${small}/msgs`, { method: 'POST', accept: 'identity;q=0', body: { content: 'done' } });
    assert.equal(reply.status, 201);
    assert.equal(parsed(reply).data.content, 'done');
  });

  test('an answer to a POST', async () => {
    const reply = await request(`/api/chat/rooms/${small}/msgs`, { method: 'POST', accept: 'gzip', body: { content: 'ab '.repeat(1000) } });
    assert.equal(reply.status, 201);
    assert.ok(isGzip(reply));
    assert.equal(parsed(reply).data.content, 'ab '.repeat(1000));
  });

  test('HEAD has the headers, and no body', async () => {
    const reply = await request(messages(), { method: 'HEAD', accept: 'gzip' });
    assert.equal(reply.status, (await request(messages(), { method: 'HEAD' })).status);
    assert.equal(reply.bytes.length, 0);
  });

  test('megabytes, over one connection, one after another', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const path = `/api/chat/rooms/${huge}/msgs?limit=200`;
    const plain = await request(path, { agent });
    assert.ok(plain.bytes.length > 5_000_000);
    for (let i = 0; i < 3; i++) {
      const packed = await request(path, { accept: 'gzip', agent });
      assert.ok(isGzip(packed) && packed.bytes.length < plain.bytes.length);
      assert.deepEqual(parsed(packed), parsed(plain));
    }
    const next = await request(`/api/chat/rooms/${small}`, { agent });
    assert.equal(parsed(next).data.id, small);
    agent.destroy();
  });

  test('megabytes at once', async () => {
    const path = `/api/chat/rooms/${huge}/msgs?limit=100`;
    const replies = await Promise.all(Array.from({ length: 8 }, () => request(path, { accept: 'gzip' })));
    for (const reply of replies) assert.equal(parsed(reply).data.length, 100);
  });

  test('whoever leaves while their answer is packed harms nobody', async () => {
    const { hostname, port } = new URL(cluster.url);
    for (let i = 0; i < 10; i++) {
      const socket = net.connect(Number(port), hostname);
      socket.on('error', () => {});
      socket.write(`GET /api/chat/rooms/${huge}/msgs?limit=200 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${alice}\r\nAccept-Encoding: gzip\r\n\r\n`);
      setTimeout(() => (i % 2 ? socket.resetAndDestroy() : socket.end()), 20 * i);
    }
    assert.equal(parsed(await request(`/api/chat/rooms/${huge}/msgs?limit=200`, { accept: 'gzip' })).data.length, 150);
    assert.equal((await cluster.rest('GET', '/healthz')).status, 200);
  });

  test('curl --compressed', async () => {
    const { stdout } = await run('curl', ['-sS', '--compressed', '-H', `Authorization: Bearer ${alice}`, '-w', '\n%{size_download}', cluster.url + messages()]);
    const [body, size] = stdout.split(/\n(?=\d+$)/);
    assert.equal(JSON.parse(body).data.length, 50);
    assert.ok(Number(size) < body.length / 3);
  });
});

describe('polling', () => {
  test('a long reply comes in gzip, a short one as it is', async () => {
    const session = await Polling.connected(cluster, bob);
    await session.send(`420["join-chat-rooms",{"roomIds":["${large}"]}]`);
    await session.until((text) => text.startsWith('430'));
    await cluster.insert(large, 'alice', 'long '.repeat(1000));
    const query = `/socket.io/?EIO=4&transport=polling&sid=${session.handshake.sid}`;
    const poll = async (text) => {
      for (;;) {
        const reply = await request(query, { accept: 'gzip' });
        const packets = (isGzip(reply) ? gunzipSync(reply.bytes) : reply.bytes).toString();
        if (packets.includes(text)) return reply;
        assert.match(packets, /^(2|42)/);
      }
    };
    const long = await poll('long long');
    assert.ok(isGzip(long));
    assert.match(long.headers.vary, /accept-encoding/i);
    await cluster.insert(large, 'alice', 'short');
    const short = await poll('short');
    assert.ok(!isGzip(short));
  });

  // By XMLHttpRequest, which in node asks for no encoding, and by fetch, which asks for gzip.
  for (const [name, options] of [['XMLHttpRequest', { transports: ['polling'] }], ['fetch', { transports: [Fetch] }]]) {
    test(`an unmodified client, by ${name}`, async () => {
      const client = await connect(cluster, bob, options);
      await join(client, large);
      const texts = Array.from({ length: 30 }, (_, i) => `${i} ${'grüß 爸爸 😀 '.repeat(60 * (i % 5))}`);
      for (const text of texts) await cluster.insert(large, 'alice', text);
      await until(() => received(client, 'new-chat-message').length === texts.length, 'all messages');
      assert.deepEqual(received(client, 'new-chat-message').map((payload) => payload.data.content), texts);
      const sync = await askOk(client, 'sync-rooms', { rooms: [{ roomId: large, afterSeq: 0 }] });
      assert.equal(sync.rooms[0].messages.length, Number(sync.rooms[0].lastSeq));
    });
  }

  test('the upgrade to websocket in the midst of it', async () => {
    const client = await connect(cluster, bob, { transports: ['polling', 'websocket'], extraHeaders: { 'Accept-Encoding': 'gzip' } });
    await join(client, large);
    for (let i = 0; i < 20; i++) await cluster.insert(large, 'alice', `upgrade ${i} ${'y'.repeat(2000)}`);
    await event(client, 'new-chat-message', (payload) => payload.data.content.startsWith('upgrade 19 '));
    assert.equal(received(client, 'new-chat-message', (payload) => payload.data.content.startsWith('upgrade ')).length, 20);
  });
});

test('files of the application: gzip by weight, too', async () => {
  const page = (accept) => request('/', { accept });
  assert.equal(isGzip(await page('gzip')), true);
  assert.equal(isGzip(await page('gzip;q=0')), false);
  assert.equal(isGzip(await page('br, gzip;q=0.5')), true);
});
