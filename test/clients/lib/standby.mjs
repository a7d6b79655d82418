// A hot standby of a Cluster, on ports of its own, and a proxy in front of both: what a failover is made of.
import { execFile, spawn } from 'node:child_process';
import { chown, mkdtemp, readFile, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { until } from './client.mjs';
import { freePort } from './ports.mjs';

const run = promisify(execFile);
const isRoot = process.getuid() === 0;

// Runs a program of the server as the user who owns it.
export async function serverCommand(program, ...args) {
  const { stdout } = await run('pg_config', ['--bindir']);
  const command = [join(stdout.trim(), program), ...args];
  if (isRoot) command.unshift('runuser', '-u', 'postgres', '--');
  // pg_ctl's server would keep a pipe open
  return new Promise((resolve, reject) => {
    const child = spawn(command[0], command.slice(1), { stdio: 'ignore' });
    child.on('error', reject);
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${program} ${args.join(' ')}: ${code}`))));
  });
}

export class Standby {
  static async start(cluster, settings = {}) {
    const standby = new Standby();
    standby.root = await mkdtemp(join(tmpdir(), 'rt-standby-'));
    if (isRoot) {
      const { stdout } = await run('id', ['-u', 'postgres']);
      await chown(standby.root, Number(stdout), -1);
    }
    standby.data = join(standby.root, 'data');
    const { PGHOST, PGPORT } = cluster.env;
    await serverCommand('pg_basebackup', '-R', '-c', 'fast', '-X', 'stream', '-D', standby.data, '-d', `host=${PGHOST} port=${PGPORT} user=postgres`);
    [standby.port, standby.gatewayPort, standby.mediaPort] = [await freePort(), await freePort(), await freePort()];
    standby.settings = { ...settings, unix_socket_directories: standby.root, 'rt.port': standby.gatewayPort, 'rt.media_port': standby.mediaPort };
    await standby.launch();
    return standby;
  }

  async launch() {
    const options = Object.entries(this.settings).map(([name, value]) => `-c ${name}='${value}'`);
    await serverCommand('pg_ctl', '-D', this.data, '-l', `${this.root}/log`, '-w', '-o', `-p ${this.port} ${options.join(' ')}`, 'start');
    this.pool = new pg.Pool({ host: this.root, port: this.port, user: 'postgres', database: 'rt', max: 8 });
    this.pool.on('error', () => {});
  }

  // Without an end in order; launch() starts it again.
  async halt() {
    await this.pool.end();
    await serverCommand('pg_ctl', '-D', this.data, '-m', 'immediate', '-w', 'stop').catch(() => {});
  }

  async stop() {
    await this.halt();
    await rm(this.root, { recursive: true, force: true });
  }

  async value(text, values) {
    const { rows: [row] } = await this.pool.query(text, values);
    return row && Object.values(row)[0];
  }

  // Until it has replayed what the primary has written so far.
  async catchUp(cluster) {
    const lsn = await cluster.value('SELECT pg_current_wal_insert_lsn()::text');
    await until(() => this.value('SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn', [lsn]), 'the standby catches up');
  }

  promote() {
    return serverCommand('pg_ctl', '-D', this.data, '-w', 'promote');
  }

  log() {
    return readFile(`${this.root}/log`, 'utf8');
  }

  async isReady() {
    return (await fetch(`http://127.0.0.1:${this.gatewayPort}/readyz`).catch(() => ({}))).status === 200;
  }
}

// Passes connections on to a port, which may change; then those that there are end.
export class Proxy {
  static async start(target) {
    const proxy = new Proxy();
    proxy.target = target;
    proxy.sockets = new Set();
    proxy.server = net.createServer((socket) => proxy.pass(socket));
    await new Promise((resolve) => { proxy.server.listen(0, '127.0.0.1', resolve); });
    proxy.port = proxy.server.address().port;
    proxy.url = `http://127.0.0.1:${proxy.port}`;
    return proxy;
  }

  pass(socket) {
    const onward = net.connect(this.target, '127.0.0.1');
    for (const [one, other] of [[socket, onward], [onward, socket]]) {
      this.sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => { this.sockets.delete(one); other.destroy(); });
      one.pipe(other);
    }
  }

  turnTo(target) {
    this.target = target;
    for (const socket of this.sockets) socket.destroy();
  }

  async stop() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => { this.server.close(resolve); });
  }
}
