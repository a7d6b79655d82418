// The web page of docs/tutorial.md, as it stands there but for its ports: two people chat, one by psql, and none misses
// anything when the gateway is killed.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { Cluster } from '../clients/lib/cluster.mjs';
import { launch, openPage, until } from './lib/browser.mjs';

const LIBRARY = '/node_modules/socket.io-client/dist/socket.io.esm.min.js';
const here = (path) => new URL(path, import.meta.url);

let cluster, browser, server, origin, roomId;

async function readPage() {
  const tutorial = await readFile(here('../../docs/tutorial.md'), 'utf8');
  return tutorial.match(/^```html file index\.html\n(.*?)^```$/ms)[1];
}

async function serve() {
  const page = (await readPage()).replace('http://localhost:4501', cluster.url).replace("roomId = '1'", `roomId = '${roomId}'`);
  const library = await readFile(here(`.${LIBRARY}`));
  server.on('request', (request, response) => {
    const isLibrary = request.url === LIBRARY;
    response.setHeader('content-type', isLibrary ? 'text/javascript' : 'text/html');
    response.end(isLibrary ? library : page);
  });
}

async function signIn(username) {
  const page = await openPage(browser);
  page.problems = [];
  page.on('pageerror', (error) => page.problems.push(String(error)));
  await page.goto(origin);
  await page.fill('[name=username]', username);
  await page.fill('[name=password]', `${username}-password`);
  await page.click('#login button');
  await page.waitForSelector('#send:not([hidden])');
  return page;
}

const lines = (page) => page.$$eval('#messages li', (items) => items.map((item) => item.textContent));

function shows(page, expected) {
  return until(`lines ${expected}`, async () => (await lines(page)).join('|') === expected.join('|'));
}

before(async () => {
  server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
  cluster = await Cluster.start({ 'rt.cors_origins': origin });
  await cluster.users('alice', 'bob');
  roomId = await cluster.room('General', 'alice', 'bob');
  await serve();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  server.closeAllConnections();
  server.close();
  await cluster?.stop();
});

test('two people chat, and see what SQL writes', async () => {
  await cluster.insert(roomId, 'alice', 'before');
  const [alice, bob] = [await signIn('alice'), await signIn('bob')];
  const expected = ['Alice: before'];
  await shows(bob, expected);
  await alice.fill('[name=content]', 'Hello <b>Bob</b>');
  await alice.click('#send button');
  expected.push('Alice: Hello <b>Bob</b>');
  await shows(bob, expected);
  await cluster.insert(roomId, 'bob', 'from SQL');
  expected.push('Bob: from SQL');
  for (const page of [alice, bob]) await shows(page, expected);

  process.kill(await cluster.pid('gateway'), 'SIGKILL');
  await cluster.insert(roomId, 'alice', 'while it was down');
  expected.push('Alice: while it was down');
  for (const page of [alice, bob]) await shows(page, expected);
  assert.deepEqual([...alice.problems, ...bob.problems], []);
});

test('a wrong password is told', async () => {
  const page = await openPage(browser);
  await page.goto(origin);
  await page.fill('[name=username]', 'alice');
  await page.fill('[name=password]', 'wrong');
  await page.click('#login button');
  await page.waitForFunction(() => document.querySelector('#problem').textContent === 'Wrong username or password');
});
