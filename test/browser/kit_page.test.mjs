// clients/js in a browser: the first page of its README, bundled without mediasoup-client, and what only a browser has.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { Cluster } from '../clients/lib/cluster.mjs';
import { launch, until } from './lib/browser.mjs';

const path = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
let cluster, browser, server, folder;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rt-kit-page-'));
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, '@pg-rt/client'), { recursive: true });
  for (const name of ['src', 'package.json']) await symlink(path(`clients/js/${name}`), join(modules, '@pg-rt/client', name));
  for (const name of await readdir(path('test/browser/node_modules'))) {
    if (!/^\.|^mediasoup-client$/.test(name)) await symlink(path(`test/browser/node_modules/${name}`), join(modules, name));
  }
  // As the demo has it.
  cluster = await Cluster.start({ 'rt.cors_origins': '*', 'rt.media_workers': 0 });
  for (const id of ['alice', 'bob']) await cluster.sql('SELECT rt.create_user($1, initcap($1), $2)', [id, `${id}-demo`]);
  await cluster.room('General', 'alice', 'bob');
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
  await new Promise((resolve) => { if (server) server.close(resolve); else resolve(); });
  await rm(folder, { recursive: true, force: true });
});

// A bundle of main.js, in a folder where the client is installed without mediasoup-client.
async function bundle(source) {
  await writeFile(join(folder, 'main.js'), source);
  const { outputFiles: [script], warnings } = await build({
    entryPoints: [join(folder, 'main.js')], absWorkingDir: folder, preserveSymlinks: true, bundle: true, format: 'esm', write: false, outfile: 'app.js', logLevel: 'silent',
  });
  assert.ok(warnings.every(({ text }) => /mediasoup-client/.test(text)), JSON.stringify(warnings));
  return script.text;
}

test('it shows what is sent, and sends', async () => {
  const readme = (await readFile(path('clients/js/README.md'), 'utf8')).split('\n## A first page\n')[1];
  const block = (kind) => readme.match(new RegExp(`^\`\`\`${kind}\\n([^]*?)^\`\`\`$`, 'm'))[1];
  const script = await bundle(block('js').replaceAll('http://localhost:4501', cluster.url));
  server = createServer((request, response) => {
    const isScript = request.url === '/app.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? script : block('html'));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const page = await (await browser.newContext()).newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const sees = (...expected) => until(`${expected}`, async () => (await page.$$eval('li', (items) => items.map((item) => item.textContent))).join('|') === expected.join('|'));
  await until('it has joined', async () => (await cluster.value('SELECT count(*) FROM rt.stat_connections WHERE rooms = 1')) === '1');
  await cluster.insert('1', 'bob', '<b>hello</b>');
  await sees('Bob: <b>hello</b>');
  await page.getByLabel('Message').fill('and to you');
  await page.getByRole('button', { name: 'Send' }).click();
  await sees('Bob: <b>hello</b>', 'Alice: and to you');
  assert.deepEqual(problems, []);
});

test('what a tab has not sent is taken over once it is gone, by one of the others', async () => {
  const script = await bundle("import { TabStorage } from '@pg-rt/client'; globalThis.storage = new TabStorage('outbox of alice');");
  const context = await browser.newContext();
  await context.route('http://localhost/**', (route) => route.fulfill(new URL(route.request().url()).pathname === '/app.js'
    ? { contentType: 'text/javascript', body: script } : { contentType: 'text/html', body: '<!doctype html><script type="module" src="/app.js"></script>' }));
  const tab = async () => {
    const page = await context.newPage();
    await page.goto('http://localhost/');
    // Each holds its lock.
    await page.waitForFunction(async (count) => globalThis.storage && (await navigator.locks.query()).held.length >= count, context.pages().length);
    return page;
  };
  const item = (clientId, order) => ({ clientId, order, roomId: '1', content: `text of ${clientId}`, createdAt: '2026-01-01T00:00:00.000Z' });
  const put = (page, ...items) => page.evaluate(async (all) => { for (const one of all) await globalThis.storage.put(one); }, items);
  const adopt = (page) => page.evaluate(() => globalThis.storage.adopt());
  const [first, ...others] = [await tab(), await tab(), await tab()];
  await put(first, item('b', 2), item('a', 1), item('sent', 3));
  await put(others[0], item('own', 4));
  await first.evaluate(() => globalThis.storage.remove('sent'));
  for (const page of [first, ...others]) assert.deepEqual(await adopt(page), [], 'each is somebody\'s');
  await first.close();
  let taken = [];
  await until('one takes them', async () => (taken = (await Promise.all(others.map(adopt))).filter((all) => all.length > 0)).length > 0);
  assert.deepEqual(taken, [[item('a', 1), item('b', 2)]]);
  for (const page of others) assert.deepEqual(await adopt(page), []);
  for (const page of others) await page.close();
  const last = await tab();
  const left = [];
  await until('the last one has all', async () => left.push(...await adopt(last)) >= 3);
  assert.deepEqual(left.map(({ clientId }) => clientId).sort(), ['a', 'b', 'own']);
  await context.close();
});
