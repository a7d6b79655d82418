// Figures of the application in a real browser, for part w of "make bench".  Prints lines of "what", figure and goal, between tabs.
import { Cluster } from '../clients/lib/cluster.mjs';
import { DESKTOP, Person } from './lib/app.mjs';
import { launch, until } from './lib/browser.mjs';

const ROOMS = 200; // as many as a page of the list has, the long one among them
const RATE = 200; // messages a second
const SECONDS = Number(process.env.RT_BENCH_BURST_S ?? 30);
const IN_OPEN_ROOM = 0.25; // of them
const TICK_MS = 50;
const LATENCY_MS = 500; // added to each request
const LONG = 10_000; // messages of the room that is read through

const cluster = await Cluster.start();
const browser = await launch();
const row = (what, figure, goal) => console.log(`w ${what}\t${figure}\t${goal}`);
const say = (words) => process.stderr.write(`  ${words}\n`);
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function fill() {
  await cluster.users('anna', 'ben');
  const rooms = [];
  for (let i = 0; i < ROOMS - 1; i++) rooms.push(await cluster.room(`Room ${i}`, 'ben', 'anna'));
  await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content)
    SELECT r, 'ben', 'message ' || i || ' of the room' FROM unnest($1::bigint[]) AS r, generate_series(1, 20) AS i`, [rooms]);
  const long = await cluster.room('Long', 'ben', 'anna');
  await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content)
    SELECT $1, CASE WHEN i % 3 = 0 THEN 'anna' ELSE 'ben' END, 'number ' || i || repeat(' and more words', i % 9) FROM generate_series(1, $2::integer) AS i`, [long, LONG]);
  await cluster.sql('UPDATE rt.room_members AS m SET last_read_seq = r.last_seq FROM rt.rooms AS r WHERE r.id = m.room_id');
  return { rooms, long };
}

async function weight() {
  const person = await Person.open(browser, { url: 'about:blank' });
  let bytes = 0;
  person.page.on('requestfinished', async (request) => {
    if (!request.url().startsWith(cluster.url) || /\/api\/|\/auth|socket\.io/.test(request.url())) return;
    const { responseBodySize } = await request.sizes();
    bytes += responseBodySize; // not in one line with the await: others finish meanwhile
  });
  await person.page.goto(cluster.url);
  await person.button('Sign in').waitFor();
  await pause(1000);
  row('weight before login, compressed', `${(bytes / 1000).toFixed(1)} kB`, '<= 25 kB');
  await person.signIn('anna', 'anna-password');
  await person.roomLink('Room 1').first().waitFor();
  await pause(1000);
  row('weight with the chat, compressed', `${(bytes / 1000).toFixed(1)} kB`, '<= 60 kB');
  await person.close();
}

// When the first message of a room is there after its address was opened, in milliseconds.
async function firstMessage(person, url, latency) {
  const page = await person.context.newPage();
  await page.addInitScript(() => {
    const look = () => {
      if (!document.querySelector('.messages .text')) return;
      window.firstMessage ??= performance.now();
    };
    new MutationObserver(look).observe(document, { childList: true, subtree: true });
  });
  const cdp = await person.context.newCDPSession(page);
  await cdp.send('Network.enable');
  await cdp.send('Network.emulateNetworkConditions', { offline: false, latency, downloadThroughput: -1, uploadThroughput: -1 });
  await page.goto(url);
  const took = await until('a message', () => page.evaluate(() => window.firstMessage));
  await page.close();
  return took;
}

// How many requests one after the other it takes: by how much longer it takes when each has to wait.
async function roundTrips(what, person, url, forget) {
  await forget();
  const near = await firstMessage(person, url, 0);
  await forget();
  const far = await firstMessage(person, url, LATENCY_MS);
  row(`round trips until the first message, ${what}`, `${Math.max(0, (far - near) / LATENCY_MS).toFixed(1)} (${Math.round(near)} ms)`, '<= 3');
}

async function opening(room) {
  const url = `${cluster.url}/#/room/${room}`;
  const person = await Person.signedIn(browser, cluster, 'anna');
  const cdp = await person.context.newCDPSession(person.page);
  await roundTrips('nothing in the cache', person, url, async () => {
    await cdp.send('Network.clearBrowserCache');
    await cdp.send('Storage.clearDataForOrigin', { origin: cluster.url, storageTypes: 'indexeddb' });
  });
  await person.close();
  const regular = await Person.signedIn(browser, cluster, 'anna', { ...DESKTOP, serviceWorkers: 'allow' });
  await until('the worker', () => regular.page.evaluate(() => Boolean(navigator.serviceWorker.controller)));
  await regular.go(`#/room/${room}`);
  await regular.page.locator('.messages .text').first().waitFor();
  await pause(4000); // it is kept by then
  await roundTrips('with the service worker', regular, url, async () => {});
  await regular.close();
}

async function burst(rooms) {
  const person = await Person.signedIn(browser, cluster, 'anna');
  await person.openRoom('Room 0');
  await person.page.locator('.messages .text').first().waitFor();
  await pause(3000);
  await person.page.evaluate(() => {
    window.long = [];
    window.frames = 0;
    new PerformanceObserver((list) => window.long.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });
    const count = () => { window.frames += 1; requestAnimationFrame(count); };
    count();
  });
  const cdp = await person.context.newCDPSession(person.page);
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
  const spent = async () => (await cdp.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration').value * 1000;
  const before = await spent();
  const start = Date.now();
  let sent = 0;
  while (Date.now() - start < SECONDS * 1000) {
    const due = Math.floor(((Date.now() - start) / 1000) * RATE) - sent;
    const into = Array.from({ length: due }, () => rooms[Math.random() < IN_OPEN_ROOM ? 0 : Math.floor(Math.random() * rooms.length)]);
    if (due) await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT r, 'ben', 'burst ' || n FROM unnest($1::bigint[]) WITH ORDINALITY AS t (r, n)", [into]);
    sent += due;
    await pause(TICK_MS);
  }
  await cluster.insert(rooms[0], 'ben', 'the last of the burst');
  await person.bubble('the last of the burst').waitFor();
  const seconds = (Date.now() - start) / 1000;
  const cost = (await spent()) - before;
  const { long, frames } = await person.page.evaluate(() => ({ long: window.long, frames: window.frames }));
  row(`${Math.round(sent / seconds)} messages/s for ${Math.round(seconds)} s, ${ROOMS} rooms: longest task`, long.length ? `${Math.round(Math.max(...long))} ms (${long.length} over 50)` : 'under 50 ms', 'under 50 ms');
  row('the same: work of the page, per message', `${(cost / sent).toFixed(2)} ms`, '');
  row('the same: frames a second', (frames / seconds).toFixed(0), '');
  await person.close();
}

async function reading() {
  const person = await Person.signedIn(browser, cluster, 'anna');
  await person.openRoom('Long');
  await person.page.getByText(new RegExp(`^number ${LONG} `)).or(person.page.getByText(`number ${LONG}`, { exact: true })).first().waitFor();
  const cdp = await person.context.newCDPSession(person.page);
  await cdp.send('HeapProfiler.enable');
  const heap = async () => {
    await cdp.send('HeapProfiler.collectGarbage');
    return (await cdp.send('Runtime.getHeapUsage')).usedSize / 1e6;
  };
  const scroller = person.page.getByLabel('Conversation');
  const first = async () => Number(/^number (\d+)/.exec((await person.texts())[0])[1]);
  const readTo = (wanted) => until(`number ${wanted}`, async () => {
    for (let i = 0; i < 20; i++) await scroller.evaluate((node) => { node.scrollTop = 0; return new Promise(requestAnimationFrame); });
    return (await first()) <= wanted;
  }, 600_000);
  await readTo(LONG - 1500);
  const early = await heap();
  await readTo(1);
  const late = await heap();
  row(`memory after 1,500 and after ${LONG} messages read through`, `${early.toFixed(1)} and ${late.toFixed(1)} MB`, 'flat');
  await person.close();
}

try {
  say('making rooms');
  const { rooms } = await fill();
  say('weight and round trips');
  await weight();
  await opening(rooms[0]);
  say('a burst');
  await burst(rooms);
  say('reading');
  await reading();
} finally {
  await browser.close();
  await cluster.stop();
}
