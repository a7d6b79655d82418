// README.md: its example for browsers, run as it stands there, shows what its INSERT sends.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { until } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
const sockets = [];
let cluster;

before(async () => { cluster = await Cluster.start({ 'rt.media_workers': 0 }); });
after(async () => {
  for (const socket of sockets) socket.close();
  await cluster?.stop();
});

test('a message that SQL inserts is seen', async () => {
  const [alice] = await cluster.users('alice');
  assert.equal(await cluster.room('General', 'alice'), '1');
  const [insert] = readme.match(/^ {4}INSERT INTO rt\.messages .*;$/m);
  const [, example] = readme.match(/^ {4}import \{ io \} from 'socket\.io-client';\n((?: {4}.*\n)+)/m);
  const code = example.replace("'…'", `'${alice}'`).replace('http://localhost:4501', cluster.url);
  assert.ok(code.includes(alice) && code.includes(cluster.url));

  const shown = [];
  const dial = (...args) => {
    sockets.push(io(...args));
    return sockets.at(-1);
  };
  new Function('io', 'console', code)(dial, { log: (line) => shown.push(line) });
  await until(async () => (await cluster.value('SELECT count(*) FROM rt.stat_connections WHERE rooms = 1')) === '1', 'it has joined');
  await cluster.sql(insert);
  await until(() => shown.length > 0, 'the message is shown');
  assert.deepEqual(shown, ['Alice: hello']);
});
