// A running server for the tests of one file, its database, its users and its REST interface.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { until } from './client.mjs';

const run = promisify(execFile);
const RT_CLUSTER = join(dirname(fileURLToPath(import.meta.url)), '../../rt-cluster');

export class Cluster {
  // Settings are an object of name: value.  End it with stop(), in after().
  static async start(settings = {}) {
    const folder = await mkdtemp(join(tmpdir(), 'rt-node-'));
    const cluster = new Cluster(folder);
    const args = ['start', '--dir', cluster.dir];
    for (const [name, value] of Object.entries(settings)) args.push('--set', `${name}=${value}`);
    if (process.env.RT_SANITIZE) args.push('--sanitize');
    const { stdout } = await run(RT_CLUSTER, args);
    cluster.env = parseEnv(stdout);
    cluster.pool = cluster.connections(8);
    return cluster;
  }

  constructor(folder) {
    this.folder = folder;
    this.dir = join(folder, 'c');
  }

  async stop() {
    // A connection that a failed test has not given back would hold it up; it ends with the server.
    const ended = this.pool.end();
    await Promise.race([ended, new Promise((resolve) => { setTimeout(resolve, 5000).unref(); })]);
    await run(RT_CLUSTER, ['stop', '--dir', this.dir]);
    if (process.env.RT_SANITIZE) await this.refuseSanitizerReports();
    await rm(this.folder, { recursive: true, force: true });
  }

  // A report in the log of a sanitized program is a failure, whatever the test saw.
  async refuseSanitizerReports() {
    const reports = (await this.log()).match(/.*(ERROR: \w+Sanitizer|runtime error:).*/g);
    if (reports) throw new Error(`sanitizer: ${reports.join('\n')}`);
  }

  get url() {
    return this.env.RT_URL;
  }

  connections(max) {
    const { PGHOST, PGPORT, PGUSER, PGDATABASE } = this.env;
    const pool = new pg.Pool({ host: PGHOST, port: Number(PGPORT), user: PGUSER, database: PGDATABASE, max });
    pool.on('error', () => {});
    return pool;
  }

  // The rows of one statement.
  async sql(text, values) {
    return (await this.pool.query(text, values)).rows;
  }

  // The first column of the first row.
  async value(text, values) {
    const [row] = await this.sql(text, values);
    return row && Object.values(row)[0];
  }

  // A setting of the server, which follows it a moment later; null: as it was.
  async set(name, value) {
    await this.sql(value === null ? `ALTER SYSTEM RESET ${name}` : `ALTER SYSTEM SET ${name} = '${value}'`);
    await this.sql('SELECT pg_reload_conf()');
  }

  log() {
    return readFile(this.env.RT_LOG, 'utf8');
  }

  // The pid of now of "postmaster", "gateway" or "media"; 0 when there is none.
  async pid(kind) {
    const { stdout } = await run(RT_CLUSTER, ['env', '--dir', this.dir]);
    return Number(parseEnv(stdout).RT_PIDS.match(new RegExp(`${kind}=(\\d+)`))[1]);
  }

  // kill -9 of a gateway, until the one in its place serves.  Where it had a neighbour that one may answer at once, while
  // connections to the one that was killed are still to break: a request that is not repeated would fail by one of those.
  async killGateway() {
    const killed = await this.pid('gateway');
    process.kill(killed, 'SIGKILL');
    await until(async () => {
      const pid = await this.pid('gateway');
      return pid && pid !== killed && (await this.rest('GET', '/readyz').catch(() => ({}))).status === 200;
    }, 'another gateway serves');
  }

  // Users with passwords like their ids and names with a capital; gives a token for each, in order.
  async users(...ids) {
    const tokens = [];
    for (const id of ids) {
      await this.sql('SELECT rt.create_user($1, $2, $3)', [id, id[0].toUpperCase() + id.slice(1), `${id}-password`]);
      tokens.push(await this.token(id));
    }
    return tokens;
  }

  // The same by their ids.
  async tokens(...ids) {
    const all = await this.users(...ids);
    return Object.fromEntries(ids.map((id, i) => [id, all[i]]));
  }

  token(id, ttl = '1 hour') {
    return this.value('SELECT rt.issue_token($1, $2::interval)', [id, ttl]);
  }

  // The id of a new room, as clients see it.
  async room(name, ...members) {
    return String(await this.value('SELECT rt.create_room($1, $2)', [name, members]));
  }

  insert(roomId, senderId, content) {
    return this.sql('INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, $2, $3)', [roomId, senderId, content]);
  }

  // One request; result: { status, headers, body }, the body parsed where it is JSON.
  async rest(method, path, token, body, headers = {}) {
    const all = { ...headers };
    if (token) all.authorization = `Bearer ${token}`;
    if (body !== undefined) all['content-type'] ??= 'application/json';
    const text = body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
    const reply = await fetch(this.url + path, { method, headers: all, body: text, signal: AbortSignal.timeout(120_000) });
    const content = await reply.text();
    const isJson = (reply.headers.get('content-type') ?? '').startsWith('application/json');
    return { status: reply.status, headers: reply.headers, body: isJson && content ? JSON.parse(content) : content };
  }

  // The body of the answer to a request that must succeed.
  async restOk(method, path, token, body) {
    const reply = await this.rest(method, path, token, body);
    assert.ok(reply.status < 300, `${method} ${path}: ${reply.status} ${JSON.stringify(reply.body)}`);
    return reply.body;
  }

  // A request that must be refused with this code.
  async restRefused(code, method, path, token, body) {
    const reply = await this.rest(method, path, token, body);
    assert.equal(reply.body.error?.code, code, `${method} ${path}: ${reply.status} ${JSON.stringify(reply.body)}`);
  }
}

function parseEnv(text) {
  const env = {};
  for (const [, name, quoted, plain] of text.matchAll(/(\w+)=(?:"([^"]*)"|(\S*))/g)) env[name] = quoted ?? plain;
  return env;
}
