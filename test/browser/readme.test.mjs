// The page at the top of README.md, opened as a file: it shows what SQL sends.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Cluster } from '../clients/lib/cluster.mjs';
import { launch, openPage, until } from './lib/browser.mjs';

let cluster, browser, folder;

before(async () => {
  // As the demo has it, where the page's origin is "null".
  cluster = await Cluster.start({ 'rt.cors_origins': '*', 'rt.media_workers': 0 });
  for (const id of ['alice', 'bob']) await cluster.sql('SELECT rt.create_user($1, initcap($1), $2)', [id, `${id}-demo`]);
  await cluster.room('General', 'alice', 'bob');
  folder = await mkdtemp(join(tmpdir(), 'rt-page-'));
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});

test('a page that is a file', async () => {
  const page = await openPage(browser);
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  const text = await readFile(new URL('../../examples/page.html', import.meta.url), 'utf8');
  await writeFile(join(folder, 'page.html'), text.replaceAll('http://localhost:4501', cluster.url));
  await page.goto(`file://${join(folder, 'page.html')}`);
  await until('it has joined', async () => (await cluster.value('SELECT count(*) FROM rt.stat_connections WHERE rooms = 1')) === '1');
  await cluster.insert('1', 'bob', '<b>hello</b>');
  await until('the message is shown', async () => (await page.textContent('pre')) === 'Bob: <b>hello</b>\n');
  assert.deepEqual(problems, []);
});
