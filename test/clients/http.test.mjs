// The HTTP server itself: what a request is, pipelining, chunks, limits; websockets byte by byte; readers that do not read.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { closeAll, connect, join, Polling, until, within } from './lib/client.mjs';

const UPGRADE = '/socket.io/?EIO=4&transport=websocket';
let cluster, alice, roomId;

before(async () => {
  cluster = await Cluster.start({ 'rt.max_queued_bytes': '256kB', 'rt.max_payload': '100kB' });
  [alice] = await cluster.users('alice');
  roomId = await cluster.room('http', 'alice');
});
after(() => cluster?.stop());
afterEach(closeAll);

// A plain connection: .text is what came, .ended whether the server closed it.
async function dialPlain(...bytes) {
  const { hostname, port } = new URL(cluster.url);
  const socket = net.connect(Number(port), hostname);
  socket.text = '';
  socket.on('data', (data) => { socket.text += data.toString('latin1'); });
  socket.on('close', () => { socket.ended = true; });
  socket.on('error', () => {});
  for (const part of bytes) socket.write(part);
  return socket;
}

async function statusOf(request) {
  const socket = await dialPlain(request);
  await until(() => socket.text.includes('\r\n\r\n'), `a reply to ${JSON.stringify(request.slice(0, 60))}`);
  socket.destroy();
  return Number(socket.text.slice(9, 12));
}

// An unmasking mask, so that the payload can be read in the source.
function frame(opcode, text, final = true) {
  const payload = Buffer.from(text);
  const length = payload.length < 126 ? [0x80 | payload.length] : [0x80 | 126, payload.length >> 8, payload.length & 255];
  return Buffer.concat([Buffer.from([(final ? 0x80 : 0) | opcode, ...length, 0, 0, 0, 0]), payload]);
}

function upgradeRequest(extra = '') {
  return `GET ${UPGRADE} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n`
    + `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n${extra}\r\n`;
}

describe('requests', () => {
  const malformed = [
    ['line ends without CR', 'GET / HTTP/1.1\nHost: h\n\n', 400],
    ['white space before a colon', 'GET / HTTP/1.1\r\nHost : h\r\n\r\n', 400],
    ['a folded header', 'GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n', 400],
    ['no host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['two lengths', 'POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na', 400],
    ['a length and chunks', 'POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
    ['an unknown encoding', 'POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 501],
    ['a malformed chunk', 'POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', 400],
    ['a malformed escape', 'GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['an escaped NUL', 'GET /a%00b HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['a way out of the folder', 'GET /assets/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n', 400],
    ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\r\n', 400],
    ['an unknown method', 'BREW / HTTP/1.1\r\nHost: h\r\n\r\n', 405],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
    ['a long header', `GET / HTTP/1.1\r\nHost: h\r\nA: ${'b'.repeat(20_000)}\r\n\r\n`, 431],
    ['very many headers', `GET / HTTP/1.1\r\nHost: h\r\n${'A: b\r\n'.repeat(200)}\r\n`, 431],
    ['a large body', 'POST /auth HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n', 413],
    ['a large chunked body', `POST /auth HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n${'x'.repeat(0x20000)}\r\n`, 413],
  ];

  for (const [name, request, status] of malformed) test(`${status}: ${name}`, async () => assert.equal(await statusOf(request), status));

  test('a request in single bytes', async () => {
    const socket = await dialPlain();
    for (const byte of 'GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n') socket.write(byte);
    await until(() => socket.text.startsWith('HTTP/1.1 200 '), 'the reply');
    socket.destroy();
  });

  // The request is gone then; a session that still had it would answer it once more.
  for (const [name, chunks, status] of [['too long', `20000\r\n${'x'.repeat(0x20000)}\r\n`, 413], ['malformed', 'zz\r\n', 400]]) {
    test(`a session whose POST is ${name} ends with it`, async () => {
      const session = await Polling.open(cluster);
      const { sid } = session.handshake;
      const head = `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n`;
      assert.equal(await statusOf(head + chunks), status);
      const { body } = await session.request('POST', '', '40');
      assert.equal(JSON.parse(body).message, 'Session ID unknown');
      assert.equal((await cluster.rest('GET', '/healthz')).status, 200);
    });
  }

  test('pipelined requests are answered in order, the connection ends as asked', async () => {
    let socket;
    const pipeline = 'GET /healthz HTTP/1.1\r\nHost: h\r\n\r\nHEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n'
      + 'POST /auth HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n'
      + 'GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n';
    // The end comes before that of its patience.
    await within(9_000, async () => {
      const begun = performance.now();
      socket = await dialPlain(pipeline);
      await until(() => socket.ended, 'the end');
      return performance.now() - begun;
    });
    const statuses = [...socket.text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status));
    assert.equal(statuses.length, 4);
    assert.deepEqual(statuses.slice(0, 2), [200, 200]);
    assert.ok(statuses[2] >= 400 && statuses[2] < 500);
    assert.equal(statuses[3], 404);
  });

  test('Expect: 100-continue', async () => {
    const socket = await dialPlain('POST /auth HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
    await until(() => socket.text === 'HTTP/1.1 100 Continue\r\n\r\n', '100');
    socket.write('{}');
    await until(() => /HTTP\/1\.1 4\d\d /.test(socket.text), 'the reply');
    socket.destroy();
  });

  test('a poll that is given up ends its session', async () => {
    const handshake = await (await fetch(`${cluster.url}/socket.io/?EIO=4&transport=polling`)).text();
    const url = `${cluster.url}/socket.io/?EIO=4&transport=polling&sid=${JSON.parse(handshake.slice(1)).sid}`;
    const { pathname, search } = new URL(url);
    const socket = await dialPlain(`GET ${pathname}${search} HTTP/1.1\r\nHost: h\r\n\r\n`);
    await until(async () => (await fetch(url, { method: 'POST', body: '3' })).status === 200, 'the session is served');
    socket.destroy();
    await until(async () => (await fetch(url, { method: 'POST', body: '3' })).status === 400, 'the session is gone');
  });
});

describe('websockets', () => {
  test('frames that come with the request are not lost', async () => {
    const socket = await dialPlain(Buffer.concat([Buffer.from(upgradeRequest()), frame(1, '40{"token":"x"}')]));
    await until(() => socket.text.includes('44{"message":"Invalid token"'), 'the answer to CONNECT');
    assert.match(socket.text, /^HTTP\/1\.1 101 .*s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/s);
    socket.destroy();
  });

  test('nor are they when a token makes them long', async () => {
    for (const length of [240, 241, 242, 500, 1000]) {
      const socket = await dialPlain(Buffer.concat([Buffer.from(upgradeRequest()), frame(1, `40{"token":"${'x'.repeat(length)}"}`)]));
      await until(() => socket.text.includes('44{"message":"Invalid token"'), `the answer to a token of ${length} bytes`);
      socket.destroy();
    }
  });

  test('fragments, and a ping between them', async () => {
    const socket = await dialPlain(upgradeRequest(), frame(1, '40{"tok', false), frame(9, 'hello'), frame(0, 'en":', false), frame(0, '"x"}'));
    await until(() => socket.text.includes('44{"message":"Invalid token"'), 'the answer to CONNECT');
    await until(() => socket.text.includes('\x8a\x05hello'), 'the pong');
    socket.destroy();
  });

  test('the first subprotocol is confirmed', async () => {
    const socket = await dialPlain(upgradeRequest('Sec-WebSocket-Protocol: one, two\r\n'));
    await until(() => /Sec-WebSocket-Protocol: one\r\n/i.test(socket.text), 'the header');
    socket.destroy();
  });

  for (const [name, change] of [['no version', ['Sec-WebSocket-Version: 13\r\n', '']], ['a short key', ['dGhlIHNhbXBsZSBub25jZQ==', 'dGhl']],
    ['no Connection', ['Connection: keep-alive, Upgrade', 'Connection: keep-alive']], ['POST', ['GET ', 'POST ']]]) {
    test(`400: ${name}`, async () => assert.equal(await statusOf(upgradeRequest().replace(...change)), 400));
  }

  test('who does not read is cut off, and the others get everything', async () => {
    const reader = await connect(cluster, alice);
    await join(reader, roomId);
    const stuck = await dialPlain(upgradeRequest(), frame(1, '40'));
    stuck.destroy();
    const lazy = await connect(cluster, alice);
    await join(lazy, roomId);
    lazy.io.engine.transport.ws._socket.pause();
    const gone = 'SELECT count(*)::int FROM rt.messages WHERE room_id = $1';
    const content = 'x'.repeat(60_000);
    const seen = () => reader.events.filter(([name]) => name === 'new-chat-message').length;
    let sent = 0;
    await until(async () => {
      await cluster.sql('INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, $2, $3 FROM generate_series(1, 20)', [roomId, 'alice', content]);
      sent += 20;
      await until(() => seen() === sent, 'the reader has all');
      return /rt_gateway_cut_off_total(?:\{[^}]*\})? [1-9]/.test(await (await fetch(`${cluster.url}/metrics`)).text());
    }, 'the lazy one is cut off', 180_000);
    assert.equal(await cluster.value(gone, [roomId]), sent);
    assert.equal(reader.connected, true);
  });
});

test('refusals are kept by nobody, and are nothing but what they say', async () => {
  const refusals = [
    ['GET', '/api/chat/rooms', 401], ['GET', '/nothing', 404], ['GET', '/%zz', 400], ['PATCH', '/healthz', 405],
    ['GET', '/socket.io/?EIO=3&transport=polling', 400], ['GET', '/socket.io/?EIO=4&transport=polling&sid=x', 400],
  ];
  for (const [method, path, status] of refusals) {
    const reply = await fetch(cluster.url + path, { method });
    assert.equal(reply.status, status, path);
    assert.equal(reply.headers.get('cache-control'), 'no-store', path);
    assert.equal(reply.headers.get('x-content-type-options'), 'nosniff', path);
  }
  const socket = await dialPlain('GET / HTTP/1.1\n\n');
  await until(() => socket.ended, 'the end');
  assert.match(socket.text, /^HTTP\/1\.1 400[^]*Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n/);
});

test('no browser takes any answer for anything but what it says it is', async () => {
  const authorization = `Bearer ${alice}`;
  const answers = [
    ['GET', '/healthz', 200], ['GET', '/readyz', 200], ['GET', '/metrics', 200], ['HEAD', '/metrics', 200], ['GET', '/', 200], ['GET', '/openapi.yaml', 200],
    ['GET', '/reference', 200], ['GET', '/assets/settings.json', 200], ['GET', '/api/chat/rooms', 200, { authorization }],
    ['OPTIONS', '/api/chat/rooms', 204, { origin: cluster.url, 'access-control-request-method': 'GET' }], ['GET', '/socket.io/?EIO=4&transport=polling', 200],
    ['POST', '/auth', 400], ['POST', '/metrics', 405],
  ];
  for (const [method, path, status, headers = {}] of answers) {
    const reply = await fetch(cluster.url + path, { method, headers });
    assert.equal(reply.status, status, `${method} ${path}`);
    assert.equal(reply.headers.get('x-content-type-options'), 'nosniff', `${method} ${path}`);
    await reply.arrayBuffer();
  }
  const etag = (await fetch(`${cluster.url}/openapi.yaml`)).headers.get('etag');
  const same = await fetch(`${cluster.url}/openapi.yaml`, { headers: { 'if-none-match': etag } });
  assert.deepEqual([same.status, same.headers.get('x-content-type-options')], [304, 'nosniff']);
});

test('the application page talks to its own server, and to what is configured', async () => {
  const policy = async () => (await fetch(cluster.url)).headers.get('content-security-policy');
  assert.match(await policy(), /; connect-src 'self'; /);
  await cluster.sql("ALTER SYSTEM SET rt.connect_sources = 'wss://other.example.com', 'https://*.example.net'");
  await cluster.sql('SELECT pg_reload_conf()');
  await until(async () => /; connect-src 'self' wss:\/\/other\.example\.com https:\/\/\*\.example\.net; /.test(await policy()), 'the sources');
});
