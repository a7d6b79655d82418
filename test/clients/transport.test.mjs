// Contract, section 1: transports, handshake, heartbeat, packets, acks, CORS.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Socket as EngineSocket } from 'engine.io-client';
import { Cluster } from './lib/cluster.mjs';
import { ask, askError, closeAll, closed, connect, connected, dial, event, join, packet, Polling, rawClient, rawSocket,
  received, refusal, settled, until } from './lib/client.mjs';

const ORIGIN = 'https://app.example.org';
let cluster, alice, bob, roomId;

// The timeouts are such that a client which a slow machine keeps waiting is not taken for a silent one.
before(async () => {
  cluster = await Cluster.start({ 'rt.ping_interval': '1s', 'rt.ping_timeout': '6s', 'rt.connect_timeout': '5s', 'rt.cors_origins': `${ORIGIN}, https://*.pages.example, https://*.ports.example:8443` });
  [alice, bob] = await cluster.users('alice', 'bob');
  roomId = await cluster.room('transport', 'alice', 'bob');
});
after(() => cluster?.stop());
afterEach(closeAll);

function parseHandshake(text) {
  assert.equal(text[0], '0');
  return JSON.parse(text.slice(1));
}

describe('transports', () => {
  for (const [name, transports] of [['websocket', ['websocket']], ['polling', ['polling']], ['upgrade', ['polling', 'websocket']]]) {
    test(`${name}: connects, joins, receives in order`, async () => {
      const client = await connect(cluster, alice, { transports });
      if (name === 'upgrade') await until(() => client.io.engine.transport.name === 'websocket', 'upgrade');
      else assert.equal(client.io.engine.transport.name, name);
      await join(client, roomId);
      const mark = `${name} ${Math.random()}`;
      for (let i = 0; i < 20; i++) await cluster.insert(roomId, 'bob', `${mark} ${i}`);
      const ours = (payload) => payload.data.content.startsWith(mark);
      await until(() => received(client, 'new-chat-message', ours).length === 20, '20 messages');
      assert.deepEqual(received(client, 'new-chat-message', ours).map((payload) => payload.data.content), Array.from({ length: 20 }, (_, i) => `${mark} ${i}`));
    });
  }

  test('the upgrade loses and doubles nothing, ten times', async () => {
    for (let round = 0; round < 10; round++) {
      const client = dial(cluster, alice, { transports: ['polling', 'websocket'] });
      await connected(client);
      const joining = join(client, roomId);
      const mark = `upgrade ${round} ${Math.random()}`;
      await joining;
      for (let i = 0; i < 30; i++) await cluster.insert(roomId, 'bob', `${mark} ${i}`);
      const ours = (payload) => payload.data.content.startsWith(mark);
      await until(() => client.io.engine.transport.name === 'websocket', 'upgrade');
      await until(() => received(client, 'new-chat-message', ours).length >= 30, '30 messages');
      await settled(cluster, client);
      assert.deepEqual(received(client, 'new-chat-message', ours).map((payload) => payload.data.content), Array.from({ length: 30 }, (_, i) => `${mark} ${i}`));
      client.disconnect();
    }
  });

  test('engine.io-client alone: opens, upgrades, carries packets of the layer above', async () => {
    const socket = new EngineSocket(cluster.url, { path: '/socket.io/', transports: ['polling', 'websocket'] });
    try {
      const messages = [];
      socket.on('message', (message) => messages.push(message));
      await until(() => socket.readyState === 'open', 'open');
      socket.send(`0${JSON.stringify({ token: alice })}`);
      await until(() => messages.some((message) => message.startsWith('0')), 'CONNECT answered');
      await until(() => socket.transport.name === 'websocket', 'upgrade');
      socket.send('27["no-such-event"]');
      await until(() => messages.some((message) => message.startsWith('37')), 'ack');
    } finally {
      socket.close();
    }
  });
});

describe('handshake', () => {
  test('has sid, upgrades, pingInterval, pingTimeout, maxPayload', async () => {
    const { handshake } = await Polling.open(cluster);
    assert.equal(typeof handshake.sid, 'string');
    assert.deepEqual(handshake.upgrades, ['websocket']);
    assert.equal(handshake.pingInterval, 1000);
    assert.equal(handshake.pingTimeout, 6000);
    assert.equal(handshake.maxPayload, 1_000_000);
  });

  test('by websocket offers no upgrade', async () => {
    const socket = await rawSocket(cluster);
    assert.deepEqual(parseHandshake(await packet(socket, '0')).upgrades, []);
  });

  const bad = [
    ['unknown transport', 'GET', '?EIO=4&transport=carrier-pigeon', 0],
    ['no transport', 'GET', '?EIO=4', 0],
    ['unknown sid', 'GET', '?EIO=4&transport=polling&sid=nonexistent', 1],
    ['a sid that is too long to be one', 'GET', `?EIO=4&transport=polling&sid=${'x'.repeat(300)}`, 1],
    ['a malformed sid', 'GET', '?EIO=4&transport=polling&sid=%zz', 1],
    ['unknown sid on POST', 'POST', '?EIO=4&transport=polling&sid=nonexistent', 1],
    ['method of the handshake', 'POST', '?EIO=4&transport=polling', 2],
    ['method of the handshake, PUT', 'PUT', '?EIO=4&transport=polling', 2],
    ['older protocol', 'GET', '?EIO=3&transport=polling', 5],
    ['no protocol', 'GET', '?transport=polling', 5],
    ['websocket without its headers', 'GET', '?EIO=4&transport=websocket', 3],
  ];
  for (const [name, method, query, code] of bad) {
    test(`refuses: ${name}`, async () => {
      const reply = await fetch(`${cluster.url}/socket.io/${query}`, { method });
      assert.equal(reply.status, 400);
      const body = await reply.json();
      assert.equal(body.code, code, JSON.stringify(body));
      assert.equal(typeof body.message, 'string');
    });
  }

  test('a websocket request with an unknown sid is refused before it is upgraded', async () => {
    const socket = await rawSocket(cluster, '&sid=nonexistent');
    await until(() => socket.refused, 'refusal');
    assert.equal(socket.refused.status, 400);
    assert.equal(JSON.parse(socket.refused.body).code, 1);
  });

  test('a second websocket for a sid that is on websocket is refused and the first unharmed', async () => {
    const first = await rawSocket(cluster);
    const { sid } = parseHandshake(await packet(first, '0'));
    const second = await rawSocket(cluster, `&sid=${sid}`);
    await until(() => second.refused, 'refusal');
    assert.equal(second.refused.status, 400);
    first.send(`40${JSON.stringify({ token: alice })}`);
    await packet(first, '40');
  });
});

describe('heartbeat', () => {
  test('the server pings, and a client that answers stays', async () => {
    const client = await connect(cluster, alice);
    let pings = 0;
    client.io.engine.on('ping', () => { pings++; });
    await until(() => pings >= 3, 'three pings');
    assert.ok(client.connected);
  });

  test('a client that is silent is disconnected, by websocket', async () => {
    const socket = await rawSocket(cluster, '', { silent: true });
    socket.send(`40${JSON.stringify({ token: alice })}`);
    await packet(socket, '2');
    await closed(socket);
  });

  test('a client that is silent is disconnected, by polling', async () => {
    const session = await Polling.connected(cluster, alice);
    // It polls on, but no answer to a ping ever comes.
    await until(async () => (await session.request('GET')).status === 400, 'session gone');
  });

  test('no CONNECT in time closes', async () => {
    await closed(await rawSocket(cluster));
  });

  test('packet 1 closes at once', async () => {
    const socket = await rawClient(cluster, alice);
    socket.send('1');
    await closed(socket);
  });
});

describe('polling', () => {
  test('several packets in one body', async () => {
    const session = await Polling.connected(cluster, alice);
    const reply = await session.send('421["nonsense"]', '422["nonsense"]', '423["nonsense"]');
    assert.equal(reply.status, 200);
    assert.equal(reply.body, 'ok');
    for (const id of [1, 2, 3]) {
      const ack = JSON.parse((await session.until((text) => text.startsWith(`43${id}[`))).slice(3));
      assert.equal(ack[0].error.code, 'bad_request');
    }
  });

  test('two GETs at once are refused', async () => {
    // A packet may answer the first one before the second comes.
    await until(async () => {
      const session = await Polling.connected(cluster, alice);
      const replies = await Promise.all([session.request('GET'), session.request('GET')]);
      return replies.some(({ status }) => status === 400);
    }, 'a refusal');
  });

  test('above maxPayload is 413', async () => {
    const session = await Polling.open(cluster);
    const reply = await session.request('POST', '', `4${'x'.repeat(1_000_001)}`, { 'content-type': 'text/plain' });
    assert.equal(reply.status, 413);
  });

  test('invalid UTF-8 is 400', async () => {
    const session = await Polling.connected(cluster, alice);
    const reply = await session.request('POST', '', Buffer.from([0x34, 0x32, 0x5b, 0x22, 0xff, 0xfe, 0x22, 0x5d]), { 'content-type': 'text/plain' });
    assert.equal(reply.status, 400);
  });

  test('polling responses are not cached', async () => {
    const session = await Polling.open(cluster);
    const reply = await session.request('GET', '&t=1');
    assert.equal(reply.status, 200);
    assert.match(reply.headers.get('content-type'), /^text\/plain/);
  });
});

describe('packets', () => {
  test('other namespaces are refused, the session lives', async () => {
    const socket = await rawSocket(cluster);
    await packet(socket, '0');
    socket.send('40/admin,');
    assert.equal(JSON.parse((await packet(socket, '44/admin,')).slice('44/admin,'.length)).message, 'Invalid namespace');
    socket.send(`40${JSON.stringify({ token: alice })}`);
    await packet(socket, '40');
  });

  test('every event may have an ack', async () => {
    const client = await connect(cluster, alice);
    const reply = await askError(client, 'bad_request', 'no-such-event', { x: 1 });
    assert.equal(reply.success, false);
  });

  test('an event without ack that fails is told by "error"', async () => {
    const client = await connect(cluster, alice);
    client.emit('no-such-event', 1);
    const error = await event(client, 'error');
    assert.equal(error.event, 'no-such-event');
    assert.equal(error.code, 'bad_request');
    assert.equal(typeof error.message, 'string');
  });

  test('with an ack there is no "error" event', async () => {
    const client = await connect(cluster, alice);
    await askError(client, 'bad_request', 'no-such-event');
    await settled(cluster, client);
    assert.equal(received(client, 'error').length, 0);
  });

  test('binary events are parsed, answered, and break nothing', async () => {
    const client = await connect(cluster, alice);
    await askError(client, 'bad_request', 'no-such-event', { file: Buffer.alloc(1000, 7), more: [Buffer.from('x')] });
    await join(client, roomId);
  });

  test('binary events by polling', async () => {
    const client = await connect(cluster, alice, { transports: ['polling'] });
    await askError(client, 'bad_request', 'no-such-event', { file: Buffer.alloc(1000, 7) });
    await join(client, roomId);
  });

  test('acks that the server did not ask for are ignored', async () => {
    const socket = await rawClient(cluster, alice);
    socket.send('4312["what"]');
    socket.send('461-13[{"_placeholder":true,"num":0}]');
    socket.send(Buffer.from('binary'));
    socket.send('427["no-such-event"]');
    await packet(socket, '437');
  });

  for (const [name, text] of [['not a type', '4abc'], ['an object for arguments', '42{}'], ['no JSON', '42[oops'], ['no Engine.IO type', 'x'],
    ['an empty event', '42[]'], ['a huge ack id', `42${'9'.repeat(400)}["x"]`], ['attachments without end', '45999999-["x"]']]) {
    test(`what does not parse closes: ${name}`, async () => {
      const socket = await rawClient(cluster, alice);
      socket.send(text);
      await closed(socket);
    });
  }

  test('a number for a name is an event that nobody knows, as for the reference', async () => {
    const socket = await rawClient(cluster, alice);
    socket.send('427[1]');
    assert.equal(JSON.parse((await packet(socket, '437[')).slice(3))[0].error.code, 'bad_request');
  });

  test('an event before CONNECT closes', async () => {
    const socket = await rawSocket(cluster);
    await packet(socket, '0');
    socket.send('42["join-chat-rooms",{"roomIds":[]}]');
    await closed(socket);
  });

  test('a binary event before CONNECT closes, and a missing attachment', async () => {
    const early = await rawSocket(cluster);
    await packet(early, '0');
    early.send('451-["join-chat-rooms",{"file":{"_placeholder":true,"num":0}}]');
    await closed(early);
    const late = await rawClient(cluster, alice);
    late.send('452-["join-chat-rooms",{"file":{"_placeholder":true,"num":0}}]');
    late.send(Buffer.from('one'));
    late.send('42["join-chat-rooms",{"roomIds":[]}]');
    await closed(late);
  });

  test('unannounced binary closes', async () => {
    const socket = await rawClient(cluster, alice);
    socket.send(Buffer.from([1, 2, 3]));
    await closed(socket);
  });

  test('DISCONNECT ends the session', async () => {
    const client = await connect(cluster, alice);
    client.disconnect();
    const again = await connect(cluster, alice);
    assert.ok(again.connected);
  });
});

describe('CONNECT', () => {
  const cases = [
    ['no token', undefined, 'Authentication token missing'],
    ['garbage', 'garbage', 'Invalid token'],
    ['three empty parts', '..', 'Invalid token'],
  ];
  for (const [name, token, message] of cases) {
    test(`refused: ${name}`, async () => {
      const error = await refusal(dial(cluster, token));
      assert.equal(error.message, message);
      assert.equal(error.data.code, 'unauthorized');
    });
  }

  test('refused: expired', async () => {
    const error = await refusal(dial(cluster, await cluster.token('alice', '-1 hour')));
    assert.equal(error.message, 'Token expired');
  });

  test('refused: the user is gone', async () => {
    const [token] = await cluster.users('shortlived');
    await cluster.sql("DELETE FROM rt.users WHERE id = 'shortlived'");
    const error = await refusal(dial(cluster, token));
    assert.equal(error.message, 'User not found');
  });

  test('the token may come as a header', async () => {
    await connect(cluster, undefined, { extraHeaders: { authorization: `Bearer ${alice}` } });
  });

  test('the token may come in the query', async () => {
    await connect(cluster, undefined, { query: { token: alice } });
  });

  test('auth wins over header over query', async () => {
    await connect(cluster, alice, { extraHeaders: { authorization: 'Bearer garbage' }, query: { token: 'garbage' } });
    await connect(cluster, undefined, { extraHeaders: { authorization: `Bearer ${alice}` }, query: { token: 'garbage' } });
    const error = await refusal(dial(cluster, 'garbage', { extraHeaders: { authorization: `Bearer ${alice}` } }));
    assert.equal(error.message, 'Invalid token');
  });
});

describe('CORS', () => {
  test('a preflight from an allowed origin', async () => {
    for (const path of ['/socket.io/?EIO=4&transport=polling', '/api/chat/rooms']) {
      const reply = await fetch(cluster.url + path, {
        method: 'OPTIONS', headers: { origin: ORIGIN, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type' },
      });
      assert.ok([200, 204].includes(reply.status), `${path}: ${reply.status}`);
      assert.equal(reply.headers.get('access-control-allow-origin'), ORIGIN);
      assert.match(reply.headers.get('access-control-allow-headers') ?? '', /authorization/i);
      assert.match(reply.headers.get('access-control-allow-methods') ?? '', /POST/);
    }
  });

  test('an allowed origin is named in the reply', async () => {
    const reply = await fetch(`${cluster.url}/socket.io/?EIO=4&transport=polling`, { headers: { origin: ORIGIN } });
    assert.equal(reply.headers.get('access-control-allow-origin'), ORIGIN);
  });

  test('another origin is not', async () => {
    const reply = await fetch(`${cluster.url}/healthz`, { headers: { origin: 'https://evil.example.org' } });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers.get('access-control-allow-origin'), null);
  });
});

describe('Origin', () => {
  const own = () => new URL(cluster.url).host;
  const admitted = {
    none: () => undefined,
    'its own': () => `http://${own()}`,
    'its own, TLS ending in front': () => `https://${own()}`,
    'a listed one': () => ORIGIN,
    'one of a pattern': () => 'https://a.pages.example',
    'of a pattern, deeper': () => 'https://x.y.pages.example',
    'of a pattern with a port': () => 'https://a.ports.example:8443',
  };
  const foreign = {
    another: 'https://evil.example.org', 'the same host at another port': 'http://127.0.0.1:1', null: 'null',
    'the domain of a pattern itself': 'https://pages.example', 'of a pattern, another scheme': 'http://a.pages.example',
    'of a pattern, another port': 'https://a.pages.example:8443', 'a name that ends alike': 'https://evilpages.example',
    'a pattern in front': 'https://a.pages.example.evil.org', 'a port missing': 'https://a.ports.example',
    'a path that ends alike': 'https://evil.org/.pages.example', 'a user that begins alike': 'https://evil.org:x@a.pages.example',
  };
  const get = (origin) => fetch(`${cluster.url}/socket.io/?EIO=4&transport=polling`, { headers: origin === undefined ? {} : { origin } });

  for (const [what, origin] of Object.entries(admitted)) {
    test(`${what}: a session`, async () => {
      assert.equal((await get(origin())).status, 200);
      const socket = await rawSocket(cluster, '', origin() === undefined ? {} : { origin: origin() });
      assert.equal(socket.refused, undefined);
    });
  }

  for (const [what, origin] of Object.entries(foreign)) {
    test(`${what}: 403, by polling and by websocket`, async () => {
      const reply = await get(origin);
      assert.equal(reply.status, 403);
      assert.deepEqual(await reply.json(), { code: 4, message: 'Forbidden' });
      assert.equal(reply.headers.get('access-control-allow-origin'), null);
      const socket = await rawSocket(cluster, '', { origin });
      assert.equal((await until(() => socket.refused, 'a refusal')).status, 403);
    });
  }

  test('a session that is there cannot be polled by a foreign page', async () => {
    const session = await Polling.open(cluster);
    assert.equal((await session.request('GET', '', undefined, { origin: 'https://evil.example.org' })).status, 403);
    assert.equal((await session.request('POST', '', '40{}', { origin: 'https://evil.example.org' })).status, 403);
    const reply = await session.request('POST', '', `40${JSON.stringify({ token: alice })}`, { origin: 'https://a.pages.example' });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers.get('access-control-allow-origin'), 'https://a.pages.example');
  });

  test('the real client, from a listed page and from a foreign one', async () => {
    for (const transports of [['polling'], ['websocket']]) {
      await connect(cluster, alice, { transports, extraHeaders: { origin: ORIGIN } });
      assert.match((await refusal(dial(cluster, alice, { transports, extraHeaders: { origin: 'https://evil.example.org' } }))).message, /error/);
    }
  });
});

test('maxPayload: a websocket message above it closes the connection', async () => {
  const socket = await rawClient(cluster, alice);
  socket.send(`42["x","${'y'.repeat(1_000_001)}"]`);
  await closed(socket);
});

test('the other user sees what one sends, by any transport', async () => {
  const one = await connect(cluster, alice, { transports: ['polling'] });
  const two = await connect(cluster, bob);
  await join(one, roomId);
  await join(two, roomId);
  const reply = await ask(two, 'chat-typing', { roomId, isTyping: true });
  assert.equal(reply.success, true);
  const typing = await event(one, 'chat-user-typing');
  assert.equal(typing.userId, 'bob');
});
