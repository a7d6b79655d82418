// rt_gateway --config and rt_media --config: as they run on hosts of their own.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from './client.mjs';
import { freePort } from './ports.mjs';

const run = promisify(execFile);

// Connects as the role gw, whose password is pw; media as md.
export class Gateway {
  static program = 'rt_gateway';
  static role = 'gw';

  static async start(cluster, folder, name, settings = {}) {
    const gateway = new this();
    const bindir = (await run('pg_config', ['--bindir'])).stdout.trim();
    gateway.port = await freePort();
    gateway.file = join(folder, `${name}.conf`);
    const all = {
      conninfo: `host=127.0.0.1 port=${cluster.env.PGPORT} dbname=rt user=${this.role} password=pw`, name, port: gateway.port, ...settings,
    };
    await writeFile(gateway.file, Object.entries(all).map(([key, value]) => `${key} = '${value}'\n`).join(''));
    gateway.log = '';
    gateway.process = spawn(join(bindir, this.program), ['--config', gateway.file], { stdio: ['ignore', 'ignore', 'pipe'] });
    gateway.process.stderr.on('data', (text) => { gateway.log += text; });
    await until(() => gateway.log.includes(' ready\n') || gateway.process.exitCode !== null, `${this.program} serves`);
    assert.equal(gateway.process.exitCode, null, gateway.log);
    return gateway;
  }

  async stop(signal = 'SIGTERM') {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill(signal);
    await once(this.process, 'exit');
  }
}

export class Media extends Gateway {
  static program = 'rt_media';
  static role = 'md';

  static async start(cluster, folder, name, settings) {
    await cluster.sql(`DO $$ BEGIN IF to_regrole('md') IS NULL THEN CREATE ROLE md LOGIN PASSWORD 'pw' IN ROLE rt_media; END IF; END $$`);
    return super.start(cluster, folder, name, settings);
  }
}
