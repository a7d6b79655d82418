// rt_gateway --config: a gateway as it runs on a host of its own.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from './client.mjs';
import { freePort } from './ports.mjs';

const run = promisify(execFile);

// Connects as the role gw, whose password is pw.
export class Gateway {
  static async start(cluster, folder, name, settings = {}) {
    const gateway = new Gateway();
    const bindir = (await run('pg_config', ['--bindir'])).stdout.trim();
    gateway.port = await freePort();
    gateway.file = join(folder, `${name}.conf`);
    const all = {
      conninfo: `host=127.0.0.1 port=${cluster.env.PGPORT} dbname=rt user=gw password=pw`, name, port: gateway.port, ...settings,
    };
    await writeFile(gateway.file, Object.entries(all).map(([key, value]) => `${key} = '${value}'\n`).join(''));
    gateway.log = '';
    gateway.process = spawn(join(bindir, 'rt_gateway'), ['--config', gateway.file], { stdio: ['ignore', 'ignore', 'pipe'] });
    gateway.process.stderr.on('data', (text) => { gateway.log += text; });
    await until(() => gateway.log.includes(' ready\n') || gateway.process.exitCode !== null, 'the gateway serves');
    assert.equal(gateway.process.exitCode, null, gateway.log);
    return gateway;
  }

  async stop(signal = 'SIGTERM') {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill(signal);
    await once(this.process, 'exit');
  }
}
