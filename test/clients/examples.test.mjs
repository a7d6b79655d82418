// The examples that are programs: users of a business application, an outbox into a queue; the files for containers and units.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { until } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';
import { install } from './lib/kit.mjs';

const run = promisify(execFile);
const path = (name) => fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));
const text = (name) => readFile(path(name), 'utf8');
const running = new Set();
let cluster, kit;

before(async () => {
  kit = await install();
  cluster = await Cluster.start({ 'rt.media_workers': 0 });
});
after(async () => {
  await cluster?.stop();
  await kit?.remove();
});
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});

// An example in a folder with the packages that it installs.
async function node(name, env = {}) {
  const file = join(kit.folder, name.replace('/', '-'));
  await cp(path(name), file);
  const { PGHOST, PGPORT, PGUSER, PGDATABASE } = cluster.env;
  const child = spawn(process.execPath, [file], { env: { ...process.env, PGHOST, PGPORT, PGUSER, PGDATABASE, ...env } });
  running.add(child);
  child.text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { child.text += data; });
  await until(() => child.text.includes('ing') || child.exitCode !== null, `${name} has started`);
  assert.equal(child.exitCode, null, child.text);
  return child;
}

test('own logins: employees are users, a session of theirs gives tokens, who has left gets none', async () => {
  await cluster.sql(await text('own-login/users.sql'));
  await cluster.sql("INSERT INTO app.employees VALUES (7, 'ann@example.com', 'Ann Archer'), (8, 'ben@example.com', 'Ben Baker')");
  const roomId = await cluster.room('Sales', '7', '8');
  const server = await node('own-login/server.mjs', { PORT: '0', PGUSER: 'app_web' });
  const url = `http://127.0.0.1:${/listening on (\d+)/.exec(server.text)[1]}`;
  assert.equal((await fetch(`${url}/chat-token`)).status, 403, 'a stranger gets none');
  const cookie = (await fetch(`${url}/login?employee=7`, { method: 'POST' })).headers.get('set-cookie').split(';')[0];
  const getToken = async () => {
    const reply = await fetch(`${url}/chat-token`, { headers: { cookie } });
    return reply.ok ? reply.text() : undefined;
  };
  const { Client } = await kit.load();
  const client = new Client({ url: cluster.url, getToken, storage: null });
  try {
    assert.equal((await client.connect()).name, 'Ann Archer');
    assert.equal((await client.room(roomId).send('hello')).userName, 'Ann Archer');
    await cluster.sql("UPDATE app.employees SET full_name = 'Ann Baker' WHERE number = 7");
    assert.equal((await client.call('getMe')).data.name, 'Ann Baker');
    const ended = new Promise((resolve) => { client.on('signed-out', resolve); });
    await cluster.sql('UPDATE app.employees SET left_on = current_date WHERE number = 7');
    await ended;
    assert.equal((await fetch(`${url}/chat-token`, { headers: { cookie } })).status, 403);
  } finally {
    client.close();
  }
});

describe('an outbox into a queue', () => {
  const got = [];
  let queue, url, isBroken = false;

  before(async () => {
    queue = createServer((request, response) => {
      let body = '';
      request.on('data', (data) => { body += data; });
      request.on('end', () => {
        if (!isBroken) got.push({ key: request.headers['idempotency-key'], ...JSON.parse(body) });
        response.writeHead(isBroken ? 503 : 204).end();
      });
    });
    await new Promise((resolve) => queue.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${queue.address().port}/`;
    await cluster.users('alice');
    await cluster.sql(await text('queue/outbox.sql'));
  });
  after(() => queue.close());

  test('what is committed arrives, what is rolled back does not, and a worker that is killed loses nothing', async () => {
    const roomId = await cluster.room('Orders', 'alice');
    const other = await cluster.room('Chatter', 'alice');
    await cluster.sql('INSERT INTO jobs.rooms VALUES ($1)', [roomId]);
    const env = { WEBHOOK: url };
    const [first] = await Promise.all([node('queue/worker.mjs', env), node('queue/worker.mjs', env)]);
    await cluster.insert(other, 'alice', 'not for the queue');
    const session = await cluster.pool.connect();
    await session.query('BEGIN');
    await session.query("INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, 'alice', 'never')", [roomId]);
    await session.query('ROLLBACK');
    session.release(true);
    const token = await cluster.token('alice');
    for (let i = 1; i <= 20; i++) {
      await cluster.rest('POST', `/api/chat/rooms/${roomId}/msgs`, token, { content: `order ${i}` });
      if (i === 10) first.kill('SIGKILL');
    }
    await until(() => new Set(got.map(({ key }) => key)).size === 20, 'all orders');
    assert.deepEqual(got.filter(({ content }) => !content.startsWith('order')), []);
    await until(async () => (await cluster.value('SELECT count(*) FROM jobs.outbox')) === '0', 'the outbox is empty');
  });

  test('a queue that does not answer gets them later', async () => {
    const roomId = await cluster.room('Later', 'alice');
    await cluster.sql('INSERT INTO jobs.rooms VALUES ($1)', [roomId]);
    isBroken = true;
    await node('queue/worker.mjs', { WEBHOOK: url });
    await cluster.insert(roomId, 'alice', 'patience');
    await until(async () => (await cluster.value('SELECT max(tries) FROM jobs.outbox')) > 0, 'it has been tried');
    isBroken = false;
    await until(() => got.some(({ content }) => content === 'patience'), 'it arrives');
  });
});

const isPrivate = (network) => /^(10\.|172\.16\.|192\.168\.|fd)/.test(network);

for (const file of ['compose.yaml', 'programs.yaml']) {
  test(`${file}: rt behind Caddy, as docker and Debian's podman-compose take it`, async () => {
    const source = await text(`compose/${file}`);
    const { services, networks } = parse(source);
    // podman-compose 1.0 knows no addresses of networks, and "${NAME:?}" without a message is the value to it.
    assert.equal(networks, undefined);
    for (const [name, service] of Object.entries(services)) assert.equal(service.networks, undefined, name);
    for (const [, variable] of source.matchAll(/\$\{([^}]*)\}/g)) assert.match(variable, /^[A-Z_]+:\?./);
    assert.match(await text('compose/Caddyfile'), /reverse_proxy rt:4501/);
    assert.ok(!services.rt.ports?.some((port) => port.includes('4501')), 'the proxy alone reaches the gateway');
    // What waits for it to be healthy needs a check, which images of the format OCI lack.
    assert.deepEqual(services.caddy.depends_on, { rt: { condition: 'service_healthy' } });
    const { test: [how, program, ...args] } = services.rt.healthcheck;
    assert.deepEqual([how, program], ['CMD', 'curl']);
    assert.equal((await run(program, args.map((arg) => arg.replace('http://127.0.0.1:4501', cluster.url)))).stdout.includes('ok'), true);
  });
}

test('the compose file: settings that there are, and proxies that are trusted', async () => {
  const { services } = parse(await text('compose/compose.yaml'));
  const containerfile = await readFile(new URL('../../Containerfile', import.meta.url), 'utf8');
  for (const port of ['4501', '4502/udp', '4502/tcp']) assert.match(containerfile, new RegExp(`EXPOSE.* ${port}`));
  const settings = services.rt.command.filter((word) => word !== '-c').map((word) => word.split('='));
  for (const [name] of settings) assert.equal(await cluster.value('SELECT count(*) FROM pg_settings WHERE name = $1', [name]), '1', name);
  const trusted = new Map(settings).get('rt.trusted_proxies');
  assert.ok(trusted.split(',').every(isPrivate), trusted);
  // The server checks it.
  await cluster.sql(`ALTER SYSTEM SET rt.trusted_proxies = '${trusted}'`);
  await cluster.sql('ALTER SYSTEM RESET rt.trusted_proxies');
});

test('the units: systemd knows every line of them', async () => {
  const folder = join(kit.folder, 'units');
  await mkdir(join(folder, 'postgresql@.service.d'), { recursive: true });
  const names = (await readdir(path('systemd'))).filter((name) => name.endsWith('.service'));
  assert.deepEqual(names, ['rt-bot.service', 'rt-gateway.service', 'rt-media.service']);
  // The programs are not where the units have them, on this machine.
  for (const name of names) await writeFile(join(folder, name), (await text(`systemd/${name}`)).replace(/^ExecStart=\S+/m, 'ExecStart=/bin/true'));
  await writeFile(join(folder, 'postgresql@.service'), '[Service]\nExecStart=/bin/true\n');
  await cp(path('systemd/postgresql-rt.conf'), join(folder, 'postgresql@.service.d/rt.conf'));
  const verify = async (...units) => {
    const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', ...units.map((name) => join(folder, name))]);
    return (stdout + stderr).split('\n').filter((line) => line.includes(folder));
  };
  assert.deepEqual(await verify(...names, 'postgresql@main.service'), []);
  await writeFile(join(folder, 'rt-bot.service'), (await text('systemd/rt-bot.service')).replace('ProtectSystem=', 'ProtectsSystem='));
  assert.match((await verify('rt-bot.service').catch(({ stderr }) => stderr)).toString(), /ProtectsSystem/);
});
