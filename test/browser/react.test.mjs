// examples/react-chat, on the hooks of clients/js: two people in two browsers, a server that goes away, and a meeting.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { Cluster } from '../clients/lib/cluster.mjs';
import { launch, openPage, soundSent, until, watchConnections } from './lib/browser.mjs';

const path = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
let cluster, browser, server, origin, roomId;

before(async () => {
  const { outputFiles: [script] } = await build({
    entryPoints: [path('examples/react-chat/app.jsx')], bundle: true, write: false, format: 'esm', jsx: 'automatic', splitting: false,
    alias: { '@pg-rt/client/react': path('clients/js/src/react.js'), '@pg-rt/client': path('clients/js/src/index.js') },
    nodePaths: [path('test/browser/node_modules')], define: { 'process.env.NODE_ENV': '"development"' }, logLevel: 'error',
  });
  const page = await readFile(path('examples/react-chat/index.html'), 'utf8');
  server = createServer((request, response) => {
    const isScript = request.url === '/app.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? script.text : page);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
  cluster = await Cluster.start({ 'rt.cors_origins': origin });
  await cluster.users('alice', 'bob');
  roomId = await cluster.room('General', 'alice', 'bob');
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await cluster?.stop();
  await new Promise((resolve) => { if (server) server.close(resolve); else resolve(); });
});

async function person(username) {
  const page = await openPage(browser, { permissions: ['camera', 'microphone'] });
  page.problems = [];
  await watchConnections(page);
  page.on('pageerror', (error) => page.problems.push(String(error)));
  page.on('console', (message) => { if (/^(Warning|%s)|act\(|Each child/.test(message.text())) page.problems.push(message.text()); });
  await page.goto(`${origin}/?url=${encodeURIComponent(cluster.url)}`);
  await page.getByLabel('Username').fill(username);
  await page.getByLabel('Password').fill(`${username}-password`);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'General' }).click();
  await page.getByLabel('Message', { exact: true }).waitFor();
  return page;
}

const texts = (page) => page.$$eval('ol li > span:first-of-type', (items) => items.map((item) => item.textContent));
const sees = (page, ...expected) => until(`${expected}`, async () => (await texts(page)).join('|') === expected.join('|'));

async function say(page, text) {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

test('a conversation, with what the server loses in between, and a meeting', async () => {
  const alice = await person('alice');
  const bob = await person('bob');
  await until('both are online', async () => /Alice.*Bob|Bob.*Alice/.test(await alice.getByText('Online:').textContent()));
  await bob.getByLabel('Message', { exact: true }).pressSequentially('he');
  await alice.getByText('Bob typing').waitFor();
  await say(bob, 'hello');
  await sees(alice, 'hello');
  await alice.bringToFront();
  await alice.getByRole('button', { name: 'Like hello' }).click();
  await bob.getByText('👍 1').waitFor();
  await bob.getByText('seen by 1').waitFor();
  await cluster.insert(roomId, 'alice', 'from SQL');
  for (const page of [alice, bob]) await sees(page, 'hello', 'from SQL');

  process.kill(await cluster.pid('gateway'), 'SIGKILL');
  await say(alice, 'while it is away');
  await cluster.insert(roomId, 'bob', 'by SQL meanwhile');
  for (const page of [alice, bob]) await until('both messages', async () => (await texts(page)).length === 4);
  assert.deepEqual((await texts(alice)).sort(), ['by SQL meanwhile', 'from SQL', 'hello', 'while it is away']);
  await until('one order', async () => (await texts(alice)).join() === (await texts(bob)).join());

  await alice.getByRole('button', { name: 'Delete while it is away' }).click();
  await bob.getByText('This message was deleted').waitFor();

  await alice.getByRole('button', { name: 'Meet' }).click();
  await alice.getByRole('button', { name: 'Join' }).click();
  await alice.getByText('joined Alice').waitFor();
  await bob.getByRole('button', { name: 'Meet' }).click();
  await bob.getByRole('button', { name: 'Join' }).click();
  for (const page of [alice, bob]) {
    await until('picture and sound', () => page.$$eval('video', (videos) => videos.length === 2 && videos.some((video) => video.videoWidth > 0)));
  }
  for (const page of [alice, bob]) await until('sound goes out in RED', async () => (await soundSent(page)).includes('audio/red'));
  await bob.getByRole('button', { name: 'Leave' }).click();
  await until('Bob has left', () => alice.$$eval('video', (videos) => videos.length === 0));
  for (const page of [alice, bob]) assert.deepEqual(page.problems, []);
});
