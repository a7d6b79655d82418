// coturn's turnserver on the loopback address, with temporary credentials; it relays to nowhere else.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../clients/lib/ports.mjs';
import { until } from './browser.mjs';

const PROGRAM = '/usr/bin/turnserver';
export const hasTurn = existsSync(PROGRAM);

export class Turn {
  static async start(secret) {
    const turn = new Turn();
    turn.dir = await mkdtemp(join(tmpdir(), 'rt-turn-'));
    turn.port = await freePort();
    turn.program = spawn(PROGRAM, [
      '-n', '--no-cli', '--no-tls', '--no-dtls', '--listening-ip=127.0.0.1', '--relay-ip=127.0.0.1', '--allow-loopback-peers',
      `--listening-port=${turn.port}`, '--use-auth-secret', `--static-auth-secret=${secret}`, '--realm=rt', '--verbose',
      '--log-file=stdout', '--simple-log', `--pidfile=${turn.dir}/pid`, `--userdb=${turn.dir}/db`,
    ], { cwd: turn.dir });
    turn.log = '';
    for (const stream of [turn.program.stdout, turn.program.stderr]) stream.on('data', (data) => { turn.log += data; });
    await until(() => `turnserver: ${turn.log}`, () => /listener opened on\s*:\s*127/i.test(turn.log));
    return turn;
  }

  async stop() {
    const gone = new Promise((resolve) => this.program.once('exit', resolve));
    this.program.kill();
    await gone;
    await rm(this.dir, { recursive: true, force: true });
  }
}
