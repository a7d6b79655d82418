// README.md: its page, run as it stands there, shows what its INSERT sends.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { until } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';

const file = (name) => readFile(new URL(`../../${name}`, import.meta.url), 'utf8');
const readme = await file('README.md');
const page = await file('examples/page.html');
const sockets = [];
let cluster;

before(async () => { cluster = await Cluster.start({ 'rt.media_workers': 0 }); });
after(async () => {
  for (const socket of sockets) socket.close();
  await cluster?.stop();
});

test('it has the page of examples, in five lines', () => {
  assert.equal(page.trimEnd().split('\n').length, 5);
  assert.ok(readme.includes(page.trimEnd().replace(/^/gm, ' '.repeat(8))));
});

test('a message that SQL inserts is seen', async () => {
  for (const id of ['alice', 'bob']) await cluster.sql('SELECT rt.create_user($1, initcap($1), $2)', [id, `${id}-demo`]);
  assert.equal(await cluster.room('General', 'alice', 'bob'), '1');
  const [, insert] = readme.match(/^ {4}psql .* -c "(INSERT INTO rt\.messages .*)"$/m);
  const [, code] = page.replaceAll('http://localhost:4501', cluster.url).match(/<script type="module">\n([^]*)<\/script>/);
  const shown = [];
  const dial = (...args) => {
    sockets.push(io(...args));
    return sockets.at(-1);
  };
  const document = { querySelector: (selector) => assert.equal(selector, 'pre') ?? { append: (text) => shown.push(text) } };
  const AsyncFunction = (async () => {}).constructor;
  await new AsyncFunction('io', 'document', code)(dial, document);
  await until(async () => (await cluster.value('SELECT count(*) FROM rt.stat_connections WHERE rooms = 1')) === '1', 'it has joined');
  await cluster.sql(insert);
  await until(() => shown.length > 0, 'the message is shown');
  assert.deepEqual(shown, ['Bob: hello\n']);
});

test('the gateway serves the library that the page loads', async () => {
  for (const name of ['socket.io.min.js', 'socket.io.esm.min.js']) {
    const reply = await fetch(`${cluster.url}/socket.io/${name}`);
    assert.equal(reply.status, 200);
    assert.match(reply.headers.get('content-type'), /^text\/javascript/);
    assert.match(await reply.text(), /Socket\.IO v4\./);
  }
});
