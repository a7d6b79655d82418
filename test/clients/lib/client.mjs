// What the tests do with sockets: unmodified socket.io-client, and Engine.IO by hand where a client would not misbehave.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { io } from 'socket.io-client';
import WebSocket from 'ws';

// Far more than anything here takes on a slow machine: it is what a failure costs.
const WAIT_MS = 120_000;

const open = new Set();

// Polls until the condition gives something true, which is the result.
export async function until(condition, what, ms = WAIT_MS) {
  const deadline = Date.now() + ms;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await delay(20);
  }
}

// Measures what is less than the bound, mostly milliseconds: ten times at the most, until it is.  A machine that is busy
// with something else spoils some measurements, so they are spread over a few seconds; a server that is slow spoils all.
// What is promised is promised where a program gets a processor when it wants one: where it gets a third of one, it takes
// three times as long.
export async function within(bound, measure) {
  const all = [];
  let allowed = bound;
  while (all.length < 10 && !(all.at(-1) < allowed)) {
    await delay(100 * all.length);
    all.push(await measure());
    if (!(all.at(-1) < bound)) allowed = bound / share();
  }
  assert.ok(all.at(-1) < allowed, `${all.map(Math.round).join(', ')}, where less than ${bound} is promised, and ${Math.round(allowed)} on a machine as busy as this`);
}

// The part of a processor that this program gets, measured for a quarter of a second.
function share() {
  const begun = performance.now();
  const used = process.cpuUsage();
  while (performance.now() - begun < 250);
  const { user, system } = process.cpuUsage(used);
  return Math.min(1, Math.max(0.05, (user + system) / 1000 / (performance.now() - begun)));
}

// A connected client.  client.events holds all that has arrived, in order, as [name, ...arguments].
export async function connect(cluster, token, options = {}) {
  const client = dial(cluster, token, options);
  await connected(client);
  return client;
}

export function dial(cluster, token, options = {}) {
  const client = io(cluster.url, {
    auth: token === undefined ? undefined : { token }, forceNew: true, reconnection: false, transports: ['websocket'], ...options,
  });
  open.add(client);
  client.events = [];
  client.onAny((...event) => client.events.push(event));
  return client;
}

export function connected(client, ms = WAIT_MS) {
  if (client.connected) return Promise.resolve(client);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no connection in time')), ms);
    client.once('connect', () => { clearTimeout(timer); resolve(client); });
    client.once('connect_error', (error) => { clearTimeout(timer); reject(error); });
  });
}

// The error that refuses a connection.
export async function refusal(client) {
  return connected(client).then(() => assert.fail('was connected'), (error) => error);
}

// The one argument of the ack.
export function ask(client, event, ...args) {
  return client.timeout(WAIT_MS).emitWithAck(event, ...args);
}

export async function askOk(client, event, ...args) {
  const reply = await ask(client, event, ...args);
  assert.equal(reply.success, true, `${event}: ${JSON.stringify(reply)}`);
  return reply;
}

export async function askError(client, code, event, ...args) {
  const reply = await ask(client, event, ...args);
  assert.equal(reply.success, false, `${event}: ${JSON.stringify(reply)}`);
  assert.equal(reply.error.code, code, `${event}: ${JSON.stringify(reply)}`);
  assert.equal(typeof reply.error.message, 'string');
  return reply;
}

export function join(client, ...roomIds) {
  return askOk(client, 'join-chat-rooms', { roomIds });
}

// The payloads of one event that have arrived so far.
export function received(client, name, matches = () => true) {
  return client.events.filter(([event, payload]) => event === name && matches(payload)).map(([, payload]) => payload);
}

// What is expected is there; the contract allows more keys beside.
export function assertHas(actual, expected) {
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((key) => [key, actual[key]])), expected);
}

// Waits for a payload of the event, one that arrived already included.
export function event(client, name, matches = () => true, ms = WAIT_MS) {
  return until(() => received(client, name, matches)[0], `event ${name}`, ms);
}

// Proves an absence without waiting for luck: what was caused before has been delivered once a later message, to a
// room that every given client joined for this purpose, has come through the same bus.
export async function settled(cluster, ...clients) {
  const stamp = `settled ${Math.random()}`;
  for (const client of clients) {
    client.fence ??= await makeFence(cluster, client);
    await cluster.insert(client.fence.roomId, client.fence.userId, stamp);
    await event(client, 'new-chat-message', (payload) => payload.data.content === stamp);
  }
}

async function makeFence(cluster, client) {
  const userId = JSON.parse(Buffer.from(client.auth.token.split('.')[1], 'base64url')).sub;
  const roomId = await cluster.room('fence', userId);
  await join(client, roomId);
  return { roomId, userId };
}

export function closeAll() {
  for (const client of open) client.disconnect?.() ?? client.terminate?.();
  for (const client of open) client.terminate?.();
  open.clear();
}

// A websocket that speaks Engine.IO by hand: packets that came are in .packets, .closed is the close code once it is shut.
// It answers pings, unless it is silent, so that it is not closed for its silence but for what it does.
export async function rawSocket(cluster, query = '', { silent = false, ...options } = {}) {
  const url = `${cluster.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket${query}`;
  const socket = new WebSocket(url, options);
  open.add(socket);
  socket.packets = [];
  socket.closed = undefined;
  socket.on('message', (data, isBinary) => socket.packets.push(isBinary ? data : data.toString()));
  if (!silent) socket.on('message', (data) => { if (data.toString() === '2') socket.send('3'); });
  socket.on('close', (code) => { socket.closed = code; });
  socket.on('error', (error) => { socket.failure = error; });
  socket.on('unexpected-response', (request, response) => {
    response.setEncoding('utf8');
    let body = '';
    response.on('data', (part) => { body += part; });
    response.on('end', () => { socket.refused = { status: response.statusCode, body }; });
    socket.failure = new Error(`HTTP ${response.statusCode}`);
  });
  await until(() => socket.failure || socket.readyState === WebSocket.OPEN, 'websocket open');
  return socket;
}

// A raw websocket that has done CONNECT.
export async function rawClient(cluster, token, options) {
  const socket = await rawSocket(cluster, '', options);
  await packet(socket, (text) => text[0] === '0');
  socket.send(`40${JSON.stringify({ token })}`);
  await packet(socket, (text) => text.startsWith('40'));
  return socket;
}

// The first packet that matches; a string matches by its beginning.
export function packet(socket, matches, ms = WAIT_MS) {
  const test = typeof matches === 'string' ? (text) => text.startsWith(matches) : matches;
  return until(() => socket.packets.find((item) => typeof item === 'string' && test(item)), 'packet', ms);
}

export function closed(socket, ms = WAIT_MS) {
  return until(() => socket.closed, 'close of the connection', ms);
}

// A session by long-polling, by hand.
export class Polling {
  static async open(cluster, query = '', headers = {}) {
    const session = new Polling(cluster, headers);
    const reply = await session.request('GET', query);
    assert.equal(reply.status, 200, reply.body);
    session.handshake = JSON.parse(reply.body.slice(1));
    return session;
  }

  static async connected(cluster, token) {
    const session = await Polling.open(cluster);
    await session.send(`40${JSON.stringify({ token })}`);
    await session.until((text) => text.startsWith('40'));
    return session;
  }

  constructor(cluster, headers = {}) {
    this.cluster = cluster;
    this.headers = headers;
    this.packets = [];
  }

  async request(method, query = '', body = undefined, headers = {}) {
    const sid = this.handshake ? `&sid=${this.handshake.sid}` : '';
    const reply = await fetch(`${this.cluster.url}/socket.io/?EIO=4&transport=polling${sid}${query}`, {
      method, body, headers: { ...this.headers, ...headers }, signal: AbortSignal.timeout(2 * WAIT_MS),
    });
    return { status: reply.status, headers: reply.headers, body: await reply.text() };
  }

  send(...packets) {
    return this.request('POST', '', packets.join('\x1e'), { 'content-type': 'text/plain;charset=UTF-8' });
  }

  // One GET; its packets are the result and join this.packets.
  async poll() {
    const reply = await this.request('GET');
    assert.equal(reply.status, 200, reply.body);
    const packets = reply.body.split('\x1e');
    this.packets.push(...packets);
    return packets;
  }

  async until(matches) {
    const deadline = Date.now() + WAIT_MS;
    for (;;) {
      const found = this.packets.find(matches);
      if (found) return found;
      assert.ok(Date.now() < deadline, 'packet by polling');
      await this.poll();
    }
  }
}
