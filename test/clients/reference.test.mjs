// What the gateway serves about itself: the descriptions, and the page made from them.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { until } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';
import { ASYNCAPI, OPENAPI, asyncapi, openapi } from './lib/descriptions.mjs';

let cluster;
before(async () => { cluster = await Cluster.start({ 'rt.media_workers': 0 }); });
after(() => cluster?.stop());

const PATHS = ['/openapi.yaml', '/asyncapi.yaml', '/reference'];

for (const [path, file] of [['/openapi.yaml', OPENAPI], ['/asyncapi.yaml', ASYNCAPI]]) {
  test(`${path} is the file in docs`, async () => {
    const reply = await fetch(cluster.url + path);
    assert.equal(reply.status, 200);
    assert.match(reply.headers.get('content-type'), /^application\/yaml/);
    assert.equal(await reply.text(), await readFile(file, 'utf8'));
  });
}

test('the page has every operation, event and schema, and needs nothing from elsewhere', async () => {
  const reply = await fetch(`${cluster.url}/reference`);
  const page = await reply.text();
  assert.equal(reply.status, 200);
  assert.match(reply.headers.get('content-type'), /^text\/html/);
  assert.match(reply.headers.get('content-security-policy'), /default-src 'self'/);
  const operations = Object.values(openapi.paths).flatMap((item) => Object.values(item)).map(({ operationId }) => operationId).filter(Boolean);
  const events = Object.keys(asyncapi.components.messages).filter((name) => !name.endsWith('.ack'));
  const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
  assert.deepEqual(operations.filter((name) => !ids.includes(`operation-${name}`)), []);
  assert.deepEqual(events.filter((name) => !ids.includes(`event-${name}`)), []);
  assert.equal(new Set(ids).size, ids.length, 'ids are unique');
  assert.doesNotMatch(page, /<script|<style| style=| src=|https?:\/\//);
  for (const [, link] of page.matchAll(/href="([^"]+)"/g)) {
    if (link.startsWith('#')) assert.ok(ids.includes(link.slice(1)), link);
    else assert.equal((await fetch(new URL(link, `${cluster.url}/reference`))).status, 200, link);
  }
});

test('another method is refused', async () => {
  for (const path of PATHS) {
    const reply = await fetch(cluster.url + path, { method: 'POST' });
    assert.equal(reply.status, 405);
    assert.equal(reply.headers.get('allow'), 'GET, HEAD');
  }
});

test('rt.serve_reference = off hides it, without a restart', async () => {
  const pid = await cluster.pid('gateway');
  const statuses = () => Promise.all(PATHS.map(async (path) => (await fetch(cluster.url + path)).status));
  await cluster.sql('ALTER SYSTEM SET rt.serve_reference = off');
  await cluster.sql('SELECT pg_reload_conf()');
  await until(async () => (await statuses()).every((status) => status === 404), 'it is hidden');
  assert.equal((await fetch(cluster.url)).status, 200, 'the application is there');
  await cluster.sql('ALTER SYSTEM RESET rt.serve_reference');
  await cluster.sql('SELECT pg_reload_conf()');
  await until(async () => (await statuses()).every((status) => status === 200), 'it is back');
  assert.equal(await cluster.pid('gateway'), pid);
});
