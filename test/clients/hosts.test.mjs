// Gateways on hosts of their own behind a load balancer that knows nothing of sessions: each connection, or each request,
// goes to the next gateway.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import tls from 'node:tls';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { io } from 'socket.io-client';
import { Cluster } from './lib/cluster.mjs';
import { Gateway } from './lib/gateway.mjs';
import { askOk, closeAll, connect, connected, join, received, settled, until } from './lib/client.mjs';
import { createMeeting } from './lib/meeting.mjs';
import { freePort } from './lib/ports.mjs';

const run = promisify(execFile);
const ROUNDS = 10;

// Each TCP connection goes to the next gateway that takes it.
function roundRobin(...ports) {
  const sockets = new Set();
  const begin = (client, turn, attempts) => {
    const upstream = net.connect(ports[turn % ports.length], '127.0.0.1');
    upstream.on('error', () => { if (!sockets.has(upstream) && attempts > 1) begin(client, turn + 1, attempts - 1); else client.destroy(); });
    upstream.on('connect', () => {
      sockets.add(upstream);
      upstream.on('close', () => { client.destroy(); sockets.delete(upstream); });
      client.on('close', () => upstream.destroy());
      client.pipe(upstream).pipe(client);
    });
  };
  const server = net.createServer((client) => {
    sockets.add(client);
    client.on('error', () => {}).on('close', () => sockets.delete(client));
    begin(client, server.turn++, ports.length);
  });
  server.turn = 0;
  server.stop = () => { server.close(); for (const socket of sockets) socket.destroy(); };
  return new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(server)); });
}

// Each request goes to the next gateway, over connections that are kept open, as nginx and haproxy do.
function roundRobinRequests(...ports) {
  const agents = ports.map(() => new http.Agent({ keepAlive: true, maxSockets: 2 }));
  const server = http.createServer((request, reply) => {
    const turn = server.turn++ % ports.length;
    const { method, url: path, headers } = request;
    const upstream = http.request({ host: '127.0.0.1', port: ports[turn], agent: agents[turn], method, path, headers }, (answer) => {
      reply.writeHead(answer.statusCode, answer.headers);
      answer.pipe(reply);
    });
    upstream.on('error', () => reply.destroy());
    reply.on('close', () => { if (!reply.writableFinished) upstream.destroy(); });
    request.pipe(upstream);
  });
  server.turn = 0;
  server.stop = () => { server.closeAllConnections(); server.close(); for (const agent of agents) agent.destroy(); };
  return new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(server)); });
}

// The indented block that follows a line of docs/cluster.md which ends with `name:`.
async function documented(name) {
  const page = await readFile(new URL('../../docs/cluster.md', import.meta.url), 'utf8');
  const block = page.match(new RegExp(`(?:^|[ ])${name}:\\n\\n((?:    .*\\n)+)`, 'm'))?.[1];
  assert.ok(block, `docs/cluster.md has rules for ${name}`);
  return block.replace(/^ {4}/gm, '');
}

// What changes a text must change it: else the page no longer has what the test is about.
function without(text, pattern, replacement = '') {
  const changed = text.replaceAll(pattern, replacement);
  assert.notEqual(changed, text, `${pattern} is in ${text}`);
  return changed;
}

// Passes connections to the port on. server.numbers: the gateways whose sessions the requests name.
function listening(port) {
  const sockets = new Set();
  const server = net.createServer((client) => {
    const upstream = net.connect(port, '127.0.0.1');
    for (const [socket, other] of [[client, upstream], [upstream, client]]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => { sockets.delete(socket); other.destroy(); });
    }
    client.on('data', (data) => { for (const [, number] of data.toString('latin1').matchAll(/[?&]sid=(\d+)\./g)) server.numbers.add(number); });
    client.pipe(upstream).pipe(client);
  });
  server.numbers = new Set();
  // Nothing more comes or goes, and nobody is told.
  server.cut = () => { for (const socket of sockets) socket.unpipe().removeAllListeners('data').pause(); };
  server.stop = () => { server.close(); for (const socket of sockets) socket.destroy(); };
  return new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(server)); });
}

// The balancers of docs/cluster.md: what the page says, what makes it a whole configuration, and what chooses by the session.
const documentedBalancers = {
  haproxy: {
    sticky: /^ *use-server .*\n/gm,
    prepare: async (rules, folder, port) => {
      const file = joinPath(folder, 'haproxy.cfg');
      await writeFile(file, `defaults\n  mode http\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n  timeout check 30s\n`
        + `frontend rt_front\n  bind 127.0.0.1:${port}\n  default_backend rt\n${rules}`);
      return ['/usr/sbin/haproxy', ['-db', '-f', file]];
    },
  },
  nginx: {
    sticky: /~\^10[01]\S+ \S+; /g,
    prepare: async (rules, folder, port) => {
      const file = joinPath(folder, 'nginx.conf');
      await mkdir(joinPath(folder, 'nginx'), { recursive: true });
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/nginx/${name};`).join(' ');
      await writeFile(file, `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr; events {}
        http { access_log off; ${temporary} ${without(rules, 'listen 443 ssl', `listen 127.0.0.1:${port}`)} }`);
      return ['/usr/sbin/nginx', ['-c', file, '-e', 'stderr']];
    },
  },
};

describe('two gateways on hosts of their own', () => {
  let cluster, folder, one, two, token, roomId;
  const balancers = [];
  before(async () => {
    cluster = await Cluster.start({ 'rt.gateway_workers': 0, 'rt.media_workers': 0 });
    folder = await mkdtemp(joinPath(tmpdir(), 'rt-hosts-'));
    await cluster.sql("CREATE ROLE gw LOGIN PASSWORD 'pw' IN ROLE rt_gateway");
    one = await Gateway.start(cluster, folder, 'host-1');
    two = await Gateway.start(cluster, folder, 'host-2');
    [token] = await cluster.users('alice');
    roomId = await cluster.room('hosts', 'alice');
  });
  after(async () => {
    closeAll();
    for (const balancer of balancers) balancer.stop();
    await one?.stop();
    await two?.stop();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function balance(make, ...ports) {
    const balancer = await make(...ports);
    balancers.push(balancer);
    return `http://127.0.0.1:${balancer.address().port}`;
  }

  // Connects, joins, gets a message, ROUNDS times; which gateways had the sessions.
  async function useAll(url, transports, options = {}) {
    const numbers = new Set();
    for (let i = 0; i < ROUNDS; i++) {
      const client = io(url, { auth: { token }, forceNew: true, reconnection: false, transports, ...options });
      const seen = [];
      client.onAny((name, message) => { if (name === 'new-chat-message') seen.push(JSON.stringify(message)); });
      await connected(client);
      if (transports.length > 1) await until(() => client.io.engine.transport.name === 'websocket', 'the upgrade');
      numbers.add(client.io.engine.id.split('.')[0]);
      assert.equal((await client.timeout(60_000).emitWithAck('join-chat-rooms', { roomIds: [roomId] })).success, true);
      await cluster.insert(roomId, 'alice', `round ${i}`);
      await until(() => seen.some((text) => text.includes(`round ${i}`)), 'the message');
      client.disconnect();
    }
    return numbers;
  }

  test('polling alone, each connection to the next gateway: 10 of 10', async () => {
    const numbers = await useAll(await balance(roundRobin, one.port, two.port), ['polling']);
    assert.deepEqual([...numbers].sort(), ['100', '101']);
  });

  test('polling and an upgrade, each connection to the next gateway: 10 of 10', async () => {
    await useAll(await balance(roundRobin, one.port, two.port), ['polling', 'websocket']);
  });

  test('polling alone, each request to the next gateway, over kept connections: 10 of 10', async () => {
    await useAll(await balance(roundRobinRequests, one.port, two.port), ['polling']);
  });

  test('many at once', async () => {
    const url = await balance(roundRobin, one.port, two.port);
    const clients = Array.from({ length: 40 }, (_, i) => io(url, {
      auth: { token }, forceNew: true, reconnection: false, transports: i % 2 ? ['polling'] : ['polling', 'websocket'],
    }));
    await Promise.all(clients.map((client) => connected(client)));
    let seen = 0;
    for (const client of clients) client.on('new-chat-message', () => { seen++; });
    await Promise.all(clients.map((client) => client.timeout(60_000).emitWithAck('join-chat-rooms', { roomIds: [roomId] })));
    for (let i = 0; i < 3; i++) await cluster.insert(roomId, 'alice', `many ${i}`);
    await until(() => seen === 3 * clients.length, 'three messages each');
    for (const client of clients) client.disconnect();
    // What was passed on ends with its client.
    for (const gateway of [one, two]) {
      await until(async () => {
        const text = await (await fetch(`http://127.0.0.1:${gateway.port}/metrics`)).text();
        return Number(text.match(/^rt_gateway_connections\{[^}]*\} (\d+)/m)[1]) <= 2;
      }, 'no connection is left');
    }
  });

  test('while the database cannot say where gateways are, requests are passed on to where they were', async () => {
    const client = io(await balance(roundRobinRequests, one.port, two.port), { auth: { token }, forceNew: true, reconnection: false, transports: ['polling'] });
    const seen = [];
    client.on('new-chat-message', ({ data }) => seen.push(data.content));
    await connected(client);
    await client.timeout(60_000).emitWithAck('join-chat-rooms', { roomIds: [roomId] });
    const holder = await cluster.pool.connect();
    try {
      await holder.query('BEGIN');
      await holder.query('LOCK TABLE rt_private.gateways');
      for (let i = 0; i < 10; i++) {
        await cluster.insert(roomId, 'alice', `told nothing ${i}`);
        await until(() => seen.includes(`told nothing ${i}`), 'the message');
        await delay(400); // so that all of it outlasts what was kept for some seconds
      }
    } finally {
      await holder.query('ROLLBACK');
      holder.release();
    }
    client.disconnect();
  });

  test('the client of a passed request keeps its address', async () => {
    const url = await balance(roundRobin, one.port, two.port);
    const client = io(url, { auth: { token }, forceNew: true, reconnection: false, transports: ['polling'] });
    await connected(client);
    assert.equal(await cluster.value('SELECT peer FROM rt.stat_connections'), '127.0.0.1');
    client.disconnect();
  });

  test('a session of a gateway that is not there is unknown', async () => {
    const sid = `777.${'x'.repeat(20)}`;
    const reply = await fetch(`http://127.0.0.1:${one.port}/socket.io/?EIO=4&transport=polling&sid=${sid}`);
    assert.equal(reply.status, 400);
    assert.deepEqual(await reply.json(), { code: 1, message: 'Session ID unknown' });
  });

  test('nobody gets in between without the secret', async () => {
    const socket = net.connect(one.port, '127.0.0.1').on('error', () => {});
    socket.write('RTPEER1\n');
    const [greeting] = await once(socket, 'data');
    assert.equal(String(greeting), 'S');
    const secure = tls.connect({
      socket, rejectUnauthorized: false, minVersion: 'TLSv1.3',
      pskCallback: () => ({ psk: Buffer.alloc(32, 1), identity: 'rt-gateway-100' }),
    });
    const [error] = await once(secure, 'error');
    assert.ok(error);
    // And what is no TLS at all.
    const plain = net.connect(one.port, '127.0.0.1');
    plain.write('RTPEER1\n');
    await once(plain, 'data');
    plain.write('GET /api/users HTTP/1.1\r\n\r\n');
    plain.on('data', (data) => assert.doesNotMatch(String(data), /HTTP/)).on('error', () => {});
    await new Promise((resolve) => { plain.on('close', resolve); });
  });

  test('with TLS on the gateways: 10 of 10', async () => {
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=localhost', '-days',
      '2', '-keyout', joinPath(folder, 'tls.key'), '-out', joinPath(folder, 'tls.pem')]);
    const files = { ssl_cert_file: 'tls.pem', ssl_key_file: 'tls.key' };
    const three = await Gateway.start(cluster, folder, 'host-3', files);
    const four = await Gateway.start(cluster, folder, 'host-4', files);
    try {
      const url = (await balance(roundRobin, three.port, four.port)).replace('http:', 'https:');
      await useAll(url, ['polling', 'websocket'], { rejectUnauthorized: false });
      const numbers = await useAll(url, ['polling'], { rejectUnauthorized: false });
      assert.ok(['102', '103'].some((number) => numbers.has(number)));
    } finally {
      await three.stop();
      await four.stop();
    }
  });

  for (const [name, { sticky, prepare }] of Object.entries(documentedBalancers)) {
    for (const rule of ['by the session', 'in turn']) {
      test(`${name} as docs/cluster.md has it, ${rule}: 10 of 10`, async () => {
        const [first, second] = [await listening(one.port), await listening(two.port)];
        balancers.push(first, second);
        let rules = without(await documented(name), '10.0.0.11:4501', `127.0.0.1:${first.address().port}`);
        rules = without(rules, '10.0.0.12:4501', `127.0.0.1:${second.address().port}`);
        if (rule === 'in turn') rules = without(rules, sticky);
        const port = await freePort();
        const [program, args] = await prepare(rules, folder, port);
        const balancer = spawn(program, args);
        let text = '';
        balancer.on('error', (error) => { text += error; });
        for (const stream of [balancer.stdout, balancer.stderr]) stream.on('data', (data) => { text += data; });
        const ended = () => balancer.pid === undefined || balancer.exitCode !== null || balancer.signalCode !== null;
        try {
          const url = `http://127.0.0.1:${port}`;
          await until(async () => {
            assert.ok(!ended(), text);
            return (await fetch(`${url}/readyz`).catch(() => ({}))).status === 200;
          }, `${name} serves`);
          await useAll(url, ['polling', 'websocket']);
          // Only in turn, requests reach the gateway that must pass them on.
          assert.ok(first.numbers.size + second.numbers.size > 0);
          assert.equal(first.numbers.has('101') || second.numbers.has('100'), rule === 'in turn');
        } finally {
          balancer.kill('SIGTERM');
          await until(ended, `${name} has ended`);
        }
      });
    }
  }

  // Their gateways do not tell that it has ended.
  test('gateways that are killed, stopped or cut off while their users type: it ends for the others, once', async () => {
    const link = await listening(Number(cluster.env.PGPORT));
    balancers.push(link);
    const faults = {
      killed: (gateway) => gateway.stop('SIGKILL'),
      stopped: (gateway) => gateway.process.kill('SIGSTOP'),
      cut: () => link.cut(),
    };
    const names = Object.keys(faults);
    const gateways = {};
    try {
      const [watcherToken, ...tokens] = await cluster.users('watcher', ...names);
      const place = await cluster.room('typing', 'watcher', ...names);
      const meetingId = await createMeeting({ rest: cluster.rest.bind({ url: `http://127.0.0.1:${one.port}` }) }, watcherToken);
      const enter = async (gateway, userToken) => {
        const client = await connect({ url: `http://127.0.0.1:${gateway.port}` }, userToken);
        await join(client, place);
        await askOk(client, 'join-meeting', { meetingId });
        return client;
      };
      const watcher = await enter(one, watcherToken);
      const typists = {};
      for (const [i, name] of names.entries()) {
        const port = name === 'cut' ? link.address().port : cluster.env.PGPORT;
        gateways[name] = await Gateway.start(cluster, folder, name, { conninfo: `host=127.0.0.1 port=${port} dbname=rt user=gw password=pw` });
        typists[name] = await enter(gateways[name], tokens[i]);
      }
      const told = (name) => [
        received(watcher, 'chat-user-typing', ({ userId }) => userId === name).map(({ isTyping }) => isTyping),
        received(watcher, 'user-typing', ({ userId }) => userId === name).map(({ typing }) => typing),
      ];
      for (const [name, begin] of Object.entries(faults)) {
        typists[name].emit('chat-typing', { roomId: place, isTyping: true });
        typists[name].emit('typing', { meetingId, typing: true });
        await until(() => told(name).every((all) => all.includes(true)), `${name} types`);
        await begin(gateways[name]);
      }
      for (const name of names) {
        await until(() => told(name).every((all) => !all.at(-1)), `it ends: ${name}`);
      }
      const [last] = received(watcher, 'chat-user-typing', ({ userId }) => userId === 'killed').slice(-1);
      assert.equal(last.roomId, place);
      assert.equal(last.userName, 'Killed');
      assert.ok(Math.abs(new Date(last.timestamp) - Date.now()) < 600_000, last.timestamp);
      gateways.stopped.process.kill('SIGCONT');
      await join(typists.stopped, place);
      await settled(cluster, watcher);
      for (const name of names) {
        for (const all of told(name)) assert.deepEqual(all, all.map((_, i) => i % 2 === 0), `${name} is told of in turn`);
      }
    } finally {
      for (const name of names) {
        gateways[name]?.process.kill('SIGCONT');
        await gateways[name]?.stop('SIGKILL');
      }
    }
  });

  test('a gateway that ends: its clients go on at the other one', async () => {
    const url = await balance(roundRobin, one.port, two.port);
    const client = io(url, { auth: { token }, forceNew: true, transports: ['polling', 'websocket'], reconnectionDelay: 100, reconnectionDelayMax: 300 });
    const seen = [];
    client.onAny((name, message) => { if (name === 'new-chat-message') seen.push(JSON.stringify(message)); });
    await connected(client);
    await client.timeout(60_000).emitWithAck('join-chat-rooms', { roomIds: [roomId] });
    await cluster.insert(roomId, 'alice', 'before');
    await until(() => seen.some((text) => text.includes('before')), 'the first message');
    const ends = client.io.engine.id.startsWith('100.') ? one : two;
    const gone = once(client, 'disconnect');
    await ends.stop();
    assert.equal(ends.process.exitCode, 0);
    await gone;
    await cluster.insert(roomId, 'alice', 'meanwhile');
    await until(() => client.connected, 'the client is back');
    assert.equal(client.recovered, true);
    await until(() => seen.some((text) => text.includes('meanwhile')), 'what it has missed');
    client.disconnect();
  });
});
