// The configurations of proxies in examples/, with TLS and under a path: the application, REST, websockets and long-polling.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { io } from 'socket.io-client';
import { ask, connected, event, until } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';
import { install } from './lib/kit.mjs';
import { freePort } from './lib/ports.mjs';

const run = promisify(execFile);
const example = (name) => readFile(new URL(`../../examples/${name}`, import.meta.url), 'utf8');
let cluster, folder, token, kit, roomId;

before(async () => {
  // The certificate is our own.
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  folder = await mkdtemp(join(tmpdir(), 'rt-proxy-'));
  await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', join(folder, 'key.pem'), '-out', join(folder, 'fullchain.pem')]);
  await writeFile(join(folder, 'all.pem'), (await readFile(join(folder, 'fullchain.pem'), 'utf8')) + (await readFile(join(folder, 'key.pem'), 'utf8')));
  kit = await install();
  cluster = await Cluster.start({ 'rt.media_workers': 0, 'rt.trusted_proxies': '127.0.0.1', 'rt.log_connections': 'on' });
  [token] = await cluster.users('alice');
  roomId = await cluster.room('General', 'alice');
});
after(async () => {
  await cluster?.stop();
  await kit?.remove();
  await rm(folder, { recursive: true, force: true });
});

// What an example has, on ports and in folders of the test.
function adapt(text, port) {
  return text.replaceAll('127.0.0.1:4501', new URL(cluster.url).host).replaceAll('/etc/ssl/rt/', `${folder}/`)
    .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`).replace('bind :443', `bind 127.0.0.1:${port}`);
}

const proxies = {
  nginx: async (port) => {
    const file = join(folder, 'nginx.conf');
    await mkdir(join(folder, 'nginx'), { recursive: true });
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/nginx/${name};`).join(' ');
    await writeFile(file, `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr; events {}
      http { access_log off; ${temporary} ${adapt(await example('nginx/rt.conf'), port)} }`);
    return ['/usr/sbin/nginx', ['-c', file, '-e', 'stderr']];
  },
  haproxy: async (port) => {
    const file = join(folder, 'haproxy.cfg');
    await writeFile(file, adapt(await example('haproxy/haproxy.cfg'), port));
    return ['/usr/sbin/haproxy', ['-db', '-f', file]];
  },
  caddy: async (port) => {
    const file = join(folder, 'Caddyfile');
    const text = adapt(await example('caddy/Caddyfile'), port)
      .replace('example.org {', `{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system ${folder}/caddy\n}\n\nhttps://127.0.0.1:${port} {\n\tbind 127.0.0.1\n\ttls ${folder}/fullchain.pem ${folder}/key.pem`);
    await writeFile(file, text);
    return ['/usr/bin/caddy', ['run', '--config', file, '--adapter', 'caddyfile']];
  },
};

for (const [name, prepare] of Object.entries(proxies)) {
  describe(name, () => {
    const sockets = [];
    let proxy, url, origin;

    before(async () => {
      const port = await freePort();
      const [program, args] = await prepare(port);
      proxy = spawn(program, args, { env: { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder } });
      proxy.text = '';
      for (const stream of [proxy.stdout, proxy.stderr]) stream.on('data', (data) => { proxy.text += data; });
      origin = `https://127.0.0.1:${port}`;
      url = `${origin}/chat`;
      await until(async () => {
        assert.equal(proxy.exitCode, null, proxy.text);
        return (await fetch(`${url}/readyz`).catch(() => ({}))).status === 200;
      }, `${name} serves`);
    });
    after(async () => {
      for (const socket of sockets) socket.close();
      proxy.kill('SIGTERM');
      await until(() => proxy.exitCode !== null || proxy.signalCode !== null, `${name} has ended`);
    });

    test('the application and the reference, and what they load', async () => {
      assert.equal(new URL((await fetch(url)).url).pathname, '/chat/', 'without the slash it leads there');
      for (const page of [`${url}/`, `${url}/reference`]) {
        const reply = await fetch(page);
        assert.equal(reply.status, 200);
        const links = [...(await reply.text()).matchAll(/<(?:script|link)[^>]+(?:src|href)="([^"]+)"/g)].map(([, link]) => link);
        assert.ok(links.length > 0);
        for (const link of links) assert.equal((await fetch(new URL(link, page))).status, 200, link);
      }
    });

    for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
      test(`Socket.IO by ${transports.join(', then ')}`, async () => {
        const socket = io(origin, { path: '/chat/socket.io/', auth: { token }, transports, forceNew: true, rejectUnauthorized: false, extraHeaders: { origin } });
        sockets.push(socket);
        socket.events = [];
        socket.onAny((...heard) => socket.events.push(heard));
        await connected(socket);
        if (transports.length > 1) await until(() => socket.io.engine.transport.name === 'websocket', 'it is upgraded');
        assert.ok((await ask(socket, 'join-chat-rooms', { roomIds: [roomId] })).success);
        const content = `${name} ${transports}`;
        await cluster.insert(roomId, 'alice', content);
        await event(socket, 'new-chat-message', ({ data }) => data.content === content);
      });
    }

    test('the client, with the path in its url', async () => {
      const { Client } = await kit.load();
      const client = new Client({ url, token, storage: null, socket: { rejectUnauthorized: false } });
      try {
        await client.connect();
        const room = client.room(roomId);
        room.subscribe(() => {});
        const sent = await room.send(`the client, by ${name}`);
        await until(() => room.state.messages.at(-1)?.id === sent.id, 'it is there');
      } finally {
        client.close();
      }
    });

    test('the gateway knows the address of the client, from the proxy alone', async () => {
      const body = JSON.stringify({ username: 'alice', password: 'alice-password' });
      const reply = await fetch(`${url}/auth`, { method: 'POST', headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.9' }, body });
      assert.equal(reply.status, 200);
      const address = await cluster.value("SELECT address FROM rt.sessions WHERE user_id = 'alice' ORDER BY created_at DESC LIMIT 1");
      assert.match(String(address), /^127\.0\.0\.1/);
    });
  });
}
