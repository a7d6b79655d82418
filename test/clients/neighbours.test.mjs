// Bad neighbours: what one address or one account does must not be felt by the others.  Each neighbour has an address of its
// own on the loopback network.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { closeAll, closed, connect, join, rawClient, rawSocket, until, within } from './lib/client.mjs';

const BAD = '127.0.0.66';
const PLACES = 900;
let cluster, alice, bob, mallory, roomId;
const bad = new Set();

before(async () => {
  cluster = await Cluster.start({ 'rt.max_connections': PLACES, 'rt.rate_logins': 100000, 'rt.rate_messages': 100000, 'rt.rate_burst': 100000, 'rt.rate_events': 100000, 'rt.trusted_proxies': '127.0.0.77', 'rt.connect_timeout': '60s' });
  [alice, bob, mallory] = await cluster.users('alice', 'bob', 'mallory');
  roomId = await cluster.room('neighbours', 'alice', 'bob');
});
after(() => cluster?.stop());
afterEach(() => {
  for (const socket of bad) socket.destroy();
  bad.clear();
  closeAll();
});

// A connection of a neighbour: .text is what has come (the beginning of it), .bytes how much, .ended whether it is over.
function neighbour(text, localAddress = BAD) {
  const { hostname, port } = new URL(cluster.url);
  const socket = net.connect({ port: Number(port), host: hostname, localAddress });
  bad.add(socket);
  Object.assign(socket, { text: '', bytes: 0 });
  socket.on('data', (data) => {
    socket.bytes += data.length;
    if (socket.text.length < 1000) socket.text += data.toString('latin1');
  });
  socket.on('connect', () => { socket.there = true; });
  socket.on('close', () => { socket.ended = true; });
  socket.on('error', () => {});
  if (text) socket.write(text);
  return socket;
}

// One request, on a connection of its own unless an agent is given.
async function ask(method, path, { token, body, agent = false, headers = {}, localAddress = '127.0.0.1' } = {}) {
  const all = { ...headers };
  if (token) all.authorization = `Bearer ${token}`;
  const begun = performance.now();
  const request = http.request(cluster.url + path, { method, agent, localAddress, headers: all });
  request.end(body);
  const [reply] = await once(request, 'response');
  let text = '';
  for await (const part of reply) text += part;
  return { status: reply.statusCode, headers: reply.headers, text, ms: performance.now() - begun };
}

// How long a user's requests take meanwhile: the slowest but one in a hundred, in milliseconds.  All must succeed.
async function p99(seconds = 3) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const times = [];
  const until_ms = performance.now() + seconds * 1000;
  for (let i = 0; performance.now() < until_ms; i++) {
    const history = await ask('GET', `/api/chat/rooms/${roomId}/msgs?limit=10`, { token: alice, agent });
    assert.equal(history.status, 200, history.text);
    const sent = await ask('POST', `/api/chat/rooms/${roomId}/msgs`, { token: bob, agent, body: JSON.stringify({ content: `message ${i}` }), headers: { 'content-type': 'application/json' } });
    assert.equal(sent.status, 201, sent.text);
    times.push(history.ms, sent.ms);
  }
  agent.destroy();
  times.sort((a, b) => a - b);
  return times[Math.floor(times.length * 0.99)];
}

// The users' requests take at most three times what they take without the neighbour, and a little for a busy machine.
async function unfelt(begin) {
  await within(1, async () => {
    const alone = await p99();
    const end = await begin();
    try {
      return await p99() / Math.max(3 * alone, 60);
    } finally {
      await end?.();
    }
  });
}

describe('a pipelining connection', () => {
  const METRICS = 'GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n';

  // Eight connections that always have 54 kB of requests on their way, in a process of their own.
  const FLOOD = `
    const net = require('node:net');
    const [host, port, localAddress, request] = process.argv.slice(1);
    const flood = request.repeat(Math.ceil(54000 / request.length));
    for (let i = 0; i < 8; i++) {
      const socket = net.connect({ host, port: Number(port), localAddress });
      socket.resume();
      socket.on('error', () => {});
      const write = () => socket.write(flood, write);
      socket.on('connect', write);
    }`;

  function pipeline(request) {
    const { hostname, port } = new URL(cluster.url);
    const child = spawn(process.execPath, ['-e', FLOOD, hostname, port, BAD, request], { stdio: 'inherit' });
    return async () => { child.kill(); await once(child, 'exit'); };
  }

  test('others are served meanwhile', () => unfelt(() => pipeline(METRICS)));

  test('of requests that are refused, too', () => unfelt(() => pipeline('GET /api/chat/rooms HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer x.y.z\r\n\r\n')));

  test('all are answered, in order', async () => {
    const socket = neighbour(`GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n`.repeat(500) + 'GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n', '127.0.0.67');
    let text = '';
    socket.on('data', (data) => { text += data; });
    await until(() => socket.ended, 'the end');
    assert.equal(text.split('HTTP/1.1 200').length - 1, 501);
  });

  test('the page of metrics is made once a second', async () => {
    await within(1, async () => {
      const pages = await Promise.all(Array.from({ length: 10 }, () => ask('GET', '/metrics')));
      return new Set(pages.map(({ text }) => text)).size / 2;
    });
  });
});

describe('bodies that do not end', () => {
  const head = (length, extra = '') => `POST /api/chat/rooms/${roomId}/msgs HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n${extra}Content-Length: ${length}\r\n\r\n`;
  const BIG = 900_000;
  const PART = '{"content":"' + 'x'.repeat(BIG);
  const bearer = (token) => `Authorization: Bearer ${token}\r\n`;

  // A user's large request is read, whatever becomes of it; a large message by websocket too.
  async function othersCan() {
    const reply = await ask('POST', `/api/chat/rooms/${roomId}/msgs`, { token: alice, body: `${PART}"}`, headers: { 'content-type': 'application/json' } });
    assert.equal(reply.status, 413, reply.text.slice(0, 200));
    assert.equal(JSON.parse(reply.text).error.code, 'too_large');
    const socket = await rawClient(cluster, bob);
    socket.send(`421["x",{"a":"${'y'.repeat(BIG)}"}]`);
    await until(() => socket.closed || socket.packets.some((packet) => String(packet).startsWith('431')), 'an answer');
    assert.equal(socket.closed, undefined);
  }

  test('without a token none above 16 kB is read', async () => {
    for (const extra of ['', bearer('x.y.z'), bearer(`${alice}x`)]) {
      const socket = neighbour(head(20_000, extra));
      await until(() => socket.text.includes('\r\n\r\n'), 'an answer to the head');
      assert.match(socket.text, /^HTTP\/1\.1 401 /);
    }
    const login = await ask('POST', '/auth', { body: JSON.stringify({ username: 'alice', password: 'alice-password' }), headers: { 'content-type': 'application/json' } });
    assert.equal(login.status, 200);
  });

  test('nor in chunks', async () => {
    const socket = neighbour('POST /auth HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let i = 0; i < 20 && !socket.ended; i++) socket.write(`400\r\n${'x'.repeat(0x400)}\r\n`);
    await until(() => socket.text.includes('\r\n\r\n'), 'an answer');
    assert.match(socket.text, /^HTTP\/1\.1 413 /);
  });

  test('a chunk that is too large is refused by its size line', async () => {
    const chunks = (extra) => `POST /api/chat/rooms/${roomId}/msgs HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n${extra}Transfer-Encoding: chunked\r\n\r\n`;
    for (const text of [`${chunks(bearer(alice))}10000000\r\n`, `${chunks(bearer(alice))}a\r\n0123456789\r\nf4240;a=b\r\n`, `${chunks('')}4001\r\n`]) {
      const socket = neighbour(text);
      await until(() => socket.text.includes('\r\n\r\n'), 'an answer to the size line');
      assert.match(socket.text, /^HTTP\/1\.1 413 /);
    }
  });

  test('a frame that is too large is refused by its header', async () => {
    const header = (length, first = 0x81) => {
      const bytes = Buffer.alloc(14);
      bytes[0] = first;
      bytes[1] = 0xff;
      bytes.writeBigUInt64BE(length, 2);
      return bytes;
    };
    const handshake = 'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';
    // The library looks up after 256 bytes.
    const some = Buffer.alloc(300, 'x');
    const frames = {
      'whole': [header(1n << 28n), some],
      'the last fragment': [header(8_000n, 0x01), Buffer.alloc(8_000, 'x'), header(1n << 28n, 0x80), some],
      'the largest number': [header((1n << 63n) - 1n), some],
      'beyond what strangers may send': [header(16_385n), some],
    };
    for (const [name, parts] of Object.entries(frames)) {
      const socket = neighbour(Buffer.concat([Buffer.from(handshake), ...parts]));
      await until(() => socket.ended || socket.text.includes('\x03\xf1'), `${name}: close 1009`);
      assert.ok(socket.text.includes('\x03\xf1'), name);
    }
  });

  test('nor by a session that has not connected', async () => {
    const socket = await rawSocket(cluster);
    socket.send(`40${JSON.stringify({ token: 'x'.repeat(20_000) })}`);
    assert.equal(await closed(socket), 1009);
    const opened = await ask('GET', '/socket.io/?EIO=4&transport=polling');
    const { sid } = JSON.parse(opened.text.slice(1));
    assert.equal((await ask('POST', `/socket.io/?EIO=4&transport=polling&sid=${sid}`, { body: `40${'x'.repeat(20_000)}` })).status, 413);
    assert.equal((await ask('GET', `/socket.io/?EIO=4&transport=polling&sid=${sid}`)).status, 400, 'the session is over');
  });

  test('many that stay one byte short, without a login', async () => {
    const text = head(BIG) + PART.slice(0, BIG - 1);
    const sockets = Array.from({ length: 268 }, () => neighbour(text));
    await until(() => sockets.every(({ text, ended }) => ended || text.startsWith('HTTP/1.1 401')), 'all are refused');
    await othersCan();
  });

  test('many small ones that stay one byte short: an address has a share', async () => {
    const text = `POST /auth HTTP/1.1\r\nHost: h\r\nContent-Length: 16000\r\n\r\n${'x'.repeat(15_999)}`;
    const sockets = Array.from({ length: 268 }, () => neighbour(text));
    await until(() => sockets.some(({ text }) => text.startsWith('HTTP/1.1 503')), 'some are refused');
    await othersCan();
    const other = await ask('POST', '/auth', { localAddress: '127.0.0.68', body: `{"username":"alice","password":"${'x'.repeat(15_000)}"}` });
    assert.notEqual(other.status, 503);
  });

  test('many that stay one byte short, of one user', async () => {
    const text = head(BIG, bearer(mallory)) + PART.slice(0, BIG - 1);
    const sockets = Array.from({ length: 268 }, () => neighbour(text));
    await until(() => sockets.filter(({ text }) => text.startsWith('HTTP/1.1 503')).length > 200, 'most are refused');
    await othersCan();
    const held = /^rt_gateway_held_bytes\S* (\d+)/m.exec((await ask('GET', '/metrics')).text);
    assert.ok(Number(held[1]) < 8_000_000, `${held[1]} bytes`);
  });
});

describe('silent connections', () => {
  async function usersGetIn() {
    const client = await connect(cluster, alice);
    await join(client, roomId);
    for (const transports of [['polling'], ['websocket']]) await connect(cluster, bob, { transports });
    assert.equal((await ask('GET', '/healthz')).status, 200);
    return client;
  }

  test('as many as there are places: users get in at once, and stay', async () => {
    const before = await connect(cluster, bob);
    const sockets = Array.from({ length: PLACES }, () => neighbour());
    await until(() => sockets.every(({ there, ended }) => there || ended), 'all are connected');
    const begun = performance.now();
    await usersGetIn();
    assert.ok(performance.now() - begun < 30_000, 'without waiting for their timeout');
    assert.ok(before.connected);
    assert.ok(sockets.filter(({ ended }) => ended).length < PLACES / 2, 'most of the others stay');
  });

  test('from many addresses, with half a head each, again and again', async () => {
    let over = false;
    const again = (localAddress) => {
      const socket = neighbour('GET / HT', localAddress);
      socket.on('close', () => { bad.delete(socket); if (!over) setImmediate(again, localAddress); });
    };
    for (let i = 0; i < PLACES * 2; i++) again(`127.0.1.${1 + i % 50}`);
    try {
      for (let i = 0; i < 5; i++) await usersGetIn();
    } finally {
      over = true;
    }
  });

  test('sessions that never connect make room, too', async () => {
    const upgrade = 'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
      + 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';
    await until(async () => await cluster.value('SELECT max(connections) FROM rt.stat_gateway') < 100, 'those of the test before are gone');
    const sockets = Array.from({ length: PLACES }, () => neighbour(upgrade));
    await until(() => sockets.filter(({ text }) => text.startsWith('HTTP/1.1 101')).length > PLACES * 0.8, 'most are there');
    await usersGetIn();
  });
});

describe('logins', () => {
  const login = (username, password, address) => ask('POST', '/auth', { localAddress: '127.0.0.77', body: JSON.stringify({ username, password }), headers: { 'content-type': 'application/json', 'x-forwarded-for': address } });

  async function rightOne() {
    const reply = await login('alice', 'alice-password', '192.0.2.200');
    assert.equal(reply.status, 200, reply.text);
    return reply.ms;
  }

  async function search() {
    const reply = await ask('GET', '/api/chat/search?q=message', { token: alice });
    assert.equal(reply.status, 200, reply.text);
    return reply.ms;
  }

  // A right one beside 600 wrong ones: within a second and a half, or seven times what it takes alone.
  async function beside(wrongOnes, rightOnes = rightOne) {
    await within(1, async () => {
      const alone = await rightOnes();
      const wrong = wrongOnes();
      const ms = await rightOnes();
      await Promise.allSettled(wrong);
      return ms / Math.max(7 * alone, 1500);
    });
  }

  test('wrong ones of a few addresses do not delay a right one of another', () =>
    beside(() => Array.from({ length: 600 }, (_, i) => login(`nobody${i}`, 'wrong', `192.0.2.${i % 5}`))));

  test('nor do wrong ones for one account, of many addresses', () =>
    beside(() => Array.from({ length: 600 }, (_, i) => login('mallory', 'wrong', `198.51.${i % 100}.${i % 200}`))));

  test('nor do they delay a search, which takes the same lane', () =>
    beside(() => Array.from({ length: 150 }, (_, i) => login(`somebody${i}`, 'wrong', `203.0.113.${i}`)), search));

  test('one connection of the two checks passwords', async () => {
    let over = false;
    let most = 0;
    const wrong = Promise.allSettled(Array.from({ length: 30 }, (_, i) => login(`stranger${i}`, 'wrong', `192.0.2.${i % 5}`))).then(() => { over = true; });
    while (!over) most = Math.max(most, await cluster.value("SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'rt_gateway' AND state = 'active' AND query LIKE '%rt_api.auth(%'"));
    await wrong;
    assert.equal(most, 1);
  });
});
