// Several workers behind one port, and TLS: any client by any transport, whichever worker its connections come to.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import tls from 'node:tls';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { io } from 'socket.io-client';
import { Cluster } from './lib/cluster.mjs';
import { closeAll, connect, connected, event, join, received, settled, until } from './lib/client.mjs';

const run = promisify(execFile);
const CLIENTS = 12;

// All transports, each client on connections of its own, so that the kernel spreads them over the workers.
async function useAll(cluster, url, token, roomId) {
  const clients = [];
  for (let i = 0; i < CLIENTS; i++) {
    const transports = [['polling'], ['websocket'], ['polling', 'websocket']][i % 3];
    const client = io(url, { auth: { token }, forceNew: true, reconnection: false, transports, rejectUnauthorized: false });
    client.seen = 0;
    client.on('new-chat-message', () => { client.seen++; });
    clients.push(client);
    await connected(client);
    assert.equal((await client.timeout(60_000).emitWithAck('join-chat-rooms', { roomIds: [roomId] })).success, true);
  }
  for (let i = 0; i < 5; i++) await cluster.insert(roomId, 'alice', `message ${i}`);
  await until(() => clients.every((client) => client.seen === 5), 'five messages each');
  const workers = new Set(clients.map((client) => client.io.engine.id[0]));
  for (const client of clients) client.disconnect();
  return workers;
}

describe('two workers', () => {
  let cluster;
  after(() => cluster?.stop());

  test('clients of every transport find their sessions', async () => {
    cluster = await Cluster.start({ 'rt.gateway_workers': 2 });
    const [alice] = await cluster.users('alice');
    const roomId = await cluster.room('workers', 'alice');
    const workers = new Set();
    await until(async () => {
      for (const worker of await useAll(cluster, cluster.url, alice, roomId)) workers.add(worker);
      return workers.size === 2;
    }, 'sessions on both workers');
  });
});

describe('one user on two workers', () => {
  let cluster, roomId, token;
  after(async () => {
    closeAll();
    await cluster?.stop();
  });

  const worker = (client) => client.io.engine.id[0];

  // The kernel picks the worker.
  async function connectTo(wanted) {
    for (;;) {
      const client = await connect(cluster, token, { forceNew: true });
      if (wanted(worker(client))) return client;
      client.disconnect();
    }
  }

  test('each socket is told by itself, wherever the user has joined', { timeout: 600_000 }, async () => {
    cluster = await Cluster.start({ 'rt.gateway_workers': 2 });
    [, token] = await cluster.users('alice', 'bob');
    roomId = await cluster.room('two workers', 'alice', 'bob');
    const here = await connectTo(() => true);
    const there = await connectTo((name) => name !== worker(here));
    await join(here, roomId);
    await cluster.insert(roomId, 'alice', 'hello');
    await event(there, 'chat-notification', ({ type, data }) => type === 'new-message' && data.content === 'hello');
    await event(here, 'new-chat-message', ({ data }) => data.content === 'hello');
    await settled(cluster, here);
    assert.deepEqual(received(here, 'chat-notification', ({ type }) => type === 'new-message'), []);
  });
});

describe('TLS', () => {
  let cluster, folder;
  after(async () => {
    await cluster?.stop();
    if (folder) await rm(folder, { recursive: true });
  });

  async function makeCertificate(name) {
    const file = (kind) => joinPath(folder, `${name}.${kind}`);
    await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-subj', `/CN=${name}`, '-keyout', file('key'), '-out', file('crt')]);
    await chmod(file('key'), 0o644);
    return [file('crt'), file('key')];
  }

  async function handshake(url, options = {}) {
    const { hostname, port } = new URL(url);
    const socket = tls.connect({ host: hostname, port: Number(port), rejectUnauthorized: false, ...options });
    await new Promise((resolve, reject) => { socket.once('secureConnect', resolve); socket.once('error', reject); });
    const found = { name: socket.getPeerCertificate().subject.CN, alpn: socket.alpnProtocol, version: socket.getProtocol(), cipher: socket.getCipher().name };
    socket.destroy();
    return found;
  }

  async function subject(url) {
    const { name, alpn } = await handshake(url, { ALPNProtocols: ['h2', 'http/1.1'] });
    return { name, alpn };
  }

  async function headersOf(url) {
    const [reply] = await once(https.get(url, { rejectUnauthorized: false, agent: false }), 'response');
    reply.resume();
    return reply.headers;
  }

  async function reload(settings = {}) {
    for (const [name, value] of Object.entries(settings)) await cluster.sql(`ALTER SYSTEM SET ${name} = '${value}'`);
    await cluster.sql('SELECT pg_reload_conf()');
  }

  test('clients of every transport, on two workers; a new certificate is used after a reload', async () => {
    folder = await mkdtemp(joinPath(tmpdir(), 'rt-tls-'));
    await chmod(folder, 0o755);
    const [cert, key] = await makeCertificate('first');
    const [cert2, key2] = await makeCertificate('second');
    cluster = await Cluster.start({ 'rt.gateway_workers': 2, 'rt.ssl_cert_file': cert, 'rt.ssl_key_file': key });
    const url = cluster.url.replace('http:', 'https:');
    const [alice] = await cluster.users('alice');
    const roomId = await cluster.room('tls', 'alice');
    await useAll(cluster, url, alice, roomId);
    assert.deepEqual(await subject(url), { name: 'first', alpn: 'http/1.1' });
    for (const path of ['/healthz', '/nothing']) assert.equal((await headersOf(url + path))['strict-transport-security'], 'max-age=31536000');
    const handshake = https.get(`${url}/socket.io/?EIO=4&transport=websocket`, { rejectUnauthorized: false, agent: false,
      headers: { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'sec-websocket-protocol': 'mine' } });
    const [opened, websocket] = await once(handshake, 'upgrade');
    assert.deepEqual([opened.headers['strict-transport-security'], opened.headers['sec-websocket-protocol']], ['max-age=31536000', 'mine']);
    websocket.destroy();
    const before = io(url, { auth: { token: alice }, forceNew: true, reconnection: false, transports: ['websocket'], rejectUnauthorized: false });
    await connected(before);
    let seen = 0;
    before.on('new-chat-message', () => { seen++; });
    await before.emitWithAck('join-chat-rooms', { roomIds: [roomId] });
    await copyFile(cert2, cert);
    await copyFile(key2, key);
    await reload();
    await until(async () => (await subject(url)).name === 'second', 'the new certificate');
    await cluster.insert(roomId, 'alice', 'to a connection from before');
    await until(() => seen === 1, 'the connection from before lives on');
    before.disconnect();
  });

  test('a file that is broken, or gone, leaves the certificate of before', async () => {
    const url = cluster.url.replace('http:', 'https:');
    const cert = joinPath(folder, 'first.crt');
    const complaints = async (pattern) => (await cluster.log()).match(pattern)?.length ?? 0;
    await writeFile(cert, '-----BEGIN CERTIFICATE-----\n\u00fc\u0000 no base64 \n-----END CERTIFICATE-----\n');
    await reload();
    await until(async () => await complaints(/tls: cannot use the certificate of rt\.ssl_cert_file: /g) >= 2, 'both workers complain');
    assert.ok(await complaints(/tls: keeping the previous certificate/g) >= 2);
    assert.equal((await subject(url)).name, 'second');
    await rm(cert);
    await reload();
    await until(async () => await complaints(/could not read rt\.ssl_cert_file .*: No such file or directory/g) > 0, 'it is missed');
    assert.equal((await subject(url)).name, 'second');
    const [cert3, key3] = await makeCertificate('third');
    await copyFile(key3, joinPath(folder, 'first.key'));
    await copyFile(cert3, cert);
    await reload();
    await until(async () => (await subject(url)).name === 'third', 'one that is whole again');
  });

  test('TLS 1.2 with forward secrecy at the least, 1.3 alone if that is wanted; nothing is resumed', async () => {
    const url = cluster.url.replace('http:', 'https:');
    assert.equal((await handshake(url)).version, 'TLSv1.3');
    const old = await handshake(url, { maxVersion: 'TLSv1.2' });
    assert.match(`${old.version} ${old.cipher}`, /^TLSv1\.2 ECDHE-.*(GCM|CHACHA20)/);
    await assert.rejects(handshake(url, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }));
    await assert.rejects(handshake(url, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' }));
    await assert.rejects(cluster.sql("ALTER SYSTEM SET rt.ssl_min_protocol_version = 'TLSv1'"), /invalid value/);
    await reload({ 'rt.ssl_min_protocol_version': 'TLSv1.3' });
    await until(() => handshake(url, { maxVersion: 'TLSv1.2' }).then(() => false, () => true), 'TLS 1.2 is refused');
    assert.equal((await handshake(url)).version, 'TLSv1.3');
  });
});
