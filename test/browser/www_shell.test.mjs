// The application without a network, installed, and when the server gets another version of it.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { Cluster } from '../clients/lib/cluster.mjs';
import { DESKTOP, Person } from './lib/app.mjs';
import { launch, until } from './lib/browser.mjs';
import { underPath } from './lib/proxy.mjs';

const WITH_WORKER = { ...DESKTOP, serviceWorkers: 'allow' };

let cluster, browser, general;

before(async () => {
  cluster = await Cluster.start();
  await cluster.users('anna', 'ben');
  general = await cluster.room('General', 'anna', 'ben');
  await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, 'ben', 'line ' || i FROM generate_series(1, 60) AS i", [general]);
  await cluster.sql('UPDATE rt.room_members SET last_read_seq = 60 WHERE room_id = $1', [general]);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await cluster?.stop();
});

const controlled = (person) => until('a service worker', () => person.page.evaluate(() => Boolean(navigator.serviceWorker.controller)));
const keptRooms = (person, user) => person.page.evaluate((name) => new Promise((resolve, reject) => {
  const request = indexedDB.open(`rt/${name}/kept`);
  request.onerror = () => reject(request.error);
  request.onsuccess = () => {
    const db = request.result;
    if (!db.objectStoreNames.contains('kept')) { db.close(); resolve([]); return; }
    const keys = db.transaction('kept').objectStore('kept').getAllKeys();
    keys.onsuccess = () => { db.close(); resolve(keys.result); };
  };
}), user);

test('it can be installed: a manifest with icons, a worker, also under a path of a proxy', async (t) => {
  const proxy = await underPath(cluster.url, '/chat');
  t.after(() => proxy.close());
  for (const url of [`${cluster.url}/`, `${proxy.origin}/chat/`]) {
    const reply = await fetch(`${url}manifest.webmanifest`);
    assert.equal(reply.headers.get('content-type'), 'application/manifest+json');
    const manifest = await reply.json();
    assert.equal(new URL(manifest.scope, reply.url).href, url);
    assert.equal(new URL(manifest.start_url, reply.url).href, url);
    for (const { src, type } of manifest.icons) {
      const icon = await fetch(new URL(src, reply.url));
      assert.deepEqual([icon.status, icon.headers.get('content-type')], [200, type]);
      await icon.arrayBuffer();
    }
    const worker = await fetch(`${url}sw.js`);
    assert.match(worker.headers.get('content-type'), /^text\/javascript/);
    assert.match(worker.headers.get('content-security-policy'), /worker-src 'self'; manifest-src 'self'/);
    assert.equal(worker.headers.get('cache-control'), 'no-cache');
    await worker.text();
  }
  const anna = await Person.open(browser, { url: `${proxy.origin}/chat/` }, WITH_WORKER);
  t.after(() => anna.close());
  await anna.signIn('anna', 'anna-password');
  await controlled(anna);
  assert.equal(await anna.page.evaluate(async () => (await navigator.serviceWorker.ready).scope), `${proxy.origin}/chat/`);
  const cdp = await anna.context.newCDPSession(anna.page);
  const { errors } = await cdp.send('Page.getAppManifest');
  assert.deepEqual(errors, []);
  const { installabilityErrors } = await cdp.send('Page.getInstallabilityErrors');
  assert.deepEqual(installabilityErrors.filter(({ errorId }) => errorId !== 'in-incognito'), []);
  assert.deepEqual(proxy.strays, []);
  assert.deepEqual(anna.errors, []);
});

test('without a network it opens with the last messages; what is written then is sent; signing out leaves nothing', async (t) => {
  const anna = await Person.signedIn(browser, cluster, 'anna', WITH_WORKER);
  t.after(() => anna.close());
  await anna.openRoom('General');
  await anna.bubble('line 60').waitFor();
  await controlled(anna);
  await until('the messages to be kept', async () => (await keptRooms(anna, 'anna')).includes(general));
  await anna.context.setOffline(true);
  await anna.page.reload();
  await anna.bubble('line 60').waitFor();
  await anna.page.getByText("You're offline.").waitFor();
  assert.deepEqual(await anna.faults('offline'), []);
  await anna.say('written on the train');
  await anna.bubble('written on the train').waitFor();
  await cluster.sql("UPDATE rt.messages SET content = 'line 59, corrected' WHERE room_id = $1 AND seq = 59", [general]);
  await cluster.insert(general, 'ben', 'line 61');
  await anna.context.setOffline(false);
  for (const text of ['line 59, corrected', 'line 61']) await anna.bubble(text).waitFor();
  await until('it to be sent', async () => (await cluster.value("SELECT count(*) FROM rt.messages WHERE content = 'written on the train'")) === '1');
  await until('all in order', async () => (await anna.texts()).slice(-4).join() === 'line 59, corrected,line 60,line 61,written on the train');

  await anna.button('Sign out').click();
  await anna.button('Sign in').waitFor();
  await until('nothing to be kept', async () => (await keptRooms(anna, 'anna')).length === 0);
  await anna.context.setOffline(true);
  await anna.page.reload();
  await anna.button('Sign in').waitFor();
  assert.equal(await anna.page.getByText('line 60').count(), 0);
  assert.deepEqual(anna.errors, []);
});

// Passes on what the gateway says; `version` is put into the worker and the page.
async function versioned() {
  const proxy = { version: 'one', close() {} };
  const server = createServer(async (incoming, outgoing) => {
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { host, connection, 'content-length': ___, 'accept-encoding': _, 'if-none-match': __, ...headers } = incoming.headers;
    const body = chunks.length ? Buffer.concat(chunks) : undefined;
    let reply, content;
    try {
      reply = await fetch(cluster.url + incoming.url, { method: incoming.method, headers, body });
      content = Buffer.from(await reply.arrayBuffer());
    } catch {
      outgoing.destroy(); // the gateway has ended a poll
      return;
    }
    if (incoming.url === '/sw.js') content = Buffer.from(String(content).replace(/"version":"\w+"/, `"version":"${proxy.version}"`));
    if (incoming.url === '/') content = Buffer.from(String(content).replace('<title>', `<meta name="version" content="${proxy.version}"><title>`));
    if (incoming.url === '/sw.js' && proxy.version === 'none') { outgoing.writeHead(404).end(); return; }
    outgoing.writeHead(reply.status, { 'content-type': reply.headers.get('content-type') ?? 'text/plain', 'cache-control': 'no-cache' });
    outgoing.end(content);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  proxy.origin = `http://127.0.0.1:${server.address().port}`;
  proxy.close = () => { server.closeAllConnections(); server.close(); };
  return proxy;
}

test('another version of the server reaches who is there already, and one without a worker too', async (t) => {
  const proxy = await versioned();
  t.after(() => proxy.close());
  const ben = await Person.open(browser, { url: proxy.origin }, WITH_WORKER);
  t.after(() => ben.close());
  const version = () => ben.page.evaluate(() => document.querySelector('meta[name=version]')?.content).catch(() => null);
  await ben.signIn('ben', 'ben-password');
  await controlled(ben);
  await ben.page.reload();
  await ben.roomLink('General').waitFor();
  await until('a version', async () => (await version()) === 'one');
  proxy.version = 'two';
  await ben.page.reload(); // opens at once with what is kept, and with the new one a moment later
  await until('the new version', async () => (await version()) === 'two');
  await ben.roomLink('General').waitFor();
  const caches = () => ben.page.evaluate(async () => (await window.caches.keys()).length);
  await until('the one before still to be there for pages that run it', async () => (await caches()) === 2);
  proxy.version = 'none';
  await ben.page.reload();
  await ben.page.getByText('There is a new version.').waitFor();
  await ben.button('Reload').click();
  await until('the page of the server', async () => (await version()) === 'none');
});
