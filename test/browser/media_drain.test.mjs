// rt.drain_media(): a running call moves from one media host to another.  Both hosts are programs of their own (rt_media --config).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { within } from '../clients/lib/client.mjs';
import { Cluster } from '../clients/lib/cluster.mjs';
import { Media } from '../clients/lib/gateway.mjs';
import { Person } from './lib/app.mjs';
import { launch, servePage, Tab, until } from './lib/browser.mjs';

const HOSTS = ['media-a', 'media-b'];
const LATEST_MS = 15_000;
const QUIET_MS = 300; // the longest gap by itself of a machine on which one can measure
let cluster, browser, page, tokens;
const hosts = {};

before(async () => {
  cluster = await Cluster.start({ 'rt.media_workers': 0, 'rt.cors_origins': '*' });
  // What is late on a busy machine is not lost.
  await cluster.sql(`CREATE OR REPLACE FUNCTION rt_private.media_alive(w rt_private.media_workers) RETURNS boolean LANGUAGE sql VOLATILE
    RETURN w.heartbeat_at > pg_catalog.clock_timestamp() - interval '60 seconds'`);
  tokens = await cluster.users('anna', 'ben');
  for (const host of HOSTS) await begin(host);
  browser = await launch();
  page = await servePage();
});

after(async () => {
  await browser?.close();
  page?.close();
  for (const host of Object.values(hosts)) await host.stop('SIGKILL');
  await cluster?.stop();
});

async function begin(host) {
  hosts[host] = await Media.start(cluster, cluster.folder, host);
  await until(`${host} to take meetings`, () => cluster.value('SELECT true FROM rt_private.media_workers WHERE host = $1 AND draining_since IS NULL', [host]));
}

const hostOf = (meetingId) => cluster.value(`SELECT w.host FROM rt_private.media_routers AS r JOIN rt_private.media_workers AS w ON w.id = r.worker
  WHERE r.meeting_id = $1`, [meetingId]);
const isEmpty = (host) => cluster.value(`SELECT count(*) = 0 FROM rt_private.media_transports AS t JOIN rt_private.media_workers AS w ON w.id = t.worker
  WHERE w.host = $1`, [host]);

// The meeting is on the other host when this returns, and the first one is as new.  Result: whether everybody had moved before
// the server closed the former router: on a busy machine it may have to.
async function drain(meetingId) {
  const from = await hostOf(meetingId);
  const begun = performance.now();
  assert.equal(await cluster.value('SELECT rt.drain_media($1)', [from]), 1);
  await until('the other host', async () => (await hostOf(meetingId)) !== from);
  await until(`nothing on ${from}`, () => isEmpty(from));
  const isInTime = performance.now() - begun < LATEST_MS;
  await hosts[from].stop();
  assert.equal(hosts[from].process.exitCode, 0, hosts[from].log);
  await begin(from);
  return isInTime;
}

async function meeting() {
  const reply = await cluster.rest('POST', '/api/meetings', tokens[0], { title: 'Moving', access: 'anyone' });
  return reply.body.data.id;
}

// Looks at a tile all the time: window.watched has the longest time without a new picture and without sound, and how often
// there was no picture to be shown at all.  What is on top is the last one.
const watch = (person, name) => person.page.evaluate((label) => {
  const tile = [...document.querySelectorAll('.tile')].find((one) => one.querySelector('.label').textContent === label);
  const context = new AudioContext();
  const meters = new Map(); // stream -> analyser
  const samples = new Float32Array(1024);
  const heard = (element) => {
    if (!meters.has(element.srcObject)) {
      const meter = context.createAnalyser();
      context.createMediaStreamSource(element.srcObject).connect(meter);
      meters.set(element.srcObject, meter);
    }
    meters.get(element.srcObject).getFloatTimeDomainData(samples);
    return samples.some((value) => Math.abs(value) > 0.01);
  };
  const watched = { isOn: false, streams: new Set() };
  watched.start = () => {
    const now = performance.now();
    Object.assign(watched, { picture: 0, sound: 0, blank: 0, twice: 0, seenAt: now, heardAt: now, isOn: true });
  };
  let top, count;
  window.watched = watched;
  setInterval(() => {
    const now = performance.now();
    const video = [...tile.querySelectorAll('video')].at(-1);
    const frames = video?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
    const voices = [...tile.querySelectorAll('audio')];
    if (frames > 0 && (video !== top || frames !== count)) watched.seenAt = now;
    [top, count] = [video, frames];
    if (voices.some(heard)) watched.heardAt = now;
    if (!watched.isOn) return;
    if (!video || video.readyState < 2) watched.blank++;
    if (voices.length > 1) watched.twice++;
    watched.streams.add(video?.srcObject.id);
    watched.picture = Math.max(watched.picture, now - watched.seenAt);
    watched.sound = Math.max(watched.sound, now - watched.heardAt);
  }, 20);
}, name);

const begun = (person) => person.page.evaluate(() => window.watched.start());
const seen = (person) => person.page.evaluate(() => ({ ...window.watched, streams: window.watched.streams.size }));

test('pictures and sound go on while a call moves to another host', async (t) => {
  const anna = await Person.signedIn(browser, cluster, 'anna');
  const ben = await Person.signedIn(browser, cluster, 'ben');
  const people = [anna, ben];
  const id = await meeting();
  for (const person of people) {
    await person.hum();
    await person.join(id);
  }
  await Promise.all([anna.sees('Ben'), ben.sees('Anna')]);
  await watch(anna, 'Ben');
  await watch(ben, 'Anna');
  for (const person of people)
    await until('sound', () => person.page.evaluate(() => performance.now() - window.watched.heardAt < 100));

  await within(1000, async () => {
    for (const person of people) await begun(person);
    await new Promise((resolve) => { setTimeout(resolve, 1000); });
    const before = await Promise.all(people.map(seen));
    for (const person of people) await begun(person);
    const isInTime = await drain(id);
    await until('other streams', async () => (await Promise.all(people.map(seen))).every(({ streams }, i) => streams > before[i].streams));
    const now = await Promise.all(people.map(seen));
    const gaps = ({ picture, sound, blank, twice }) => `picture ${Math.round(picture)} ms, sound ${Math.round(sound)} ms, blank ${blank}, twice ${twice}`;
    t.diagnostic(`longest gaps: ${now.map(gaps).join('; ')}; before: ${before.map(gaps).join('; ')}`);
    if (!isInTime || before.some(({ picture, sound }) => Math.max(picture, sound) > QUIET_MS)) {
      t.diagnostic('this machine is too busy to measure');
      return 0;
    }
    const isWhole = now.every(({ blank, twice }) => blank === 0 && twice === 0);
    return isWhole ? Math.max(...now.flatMap(({ picture, sound }) => [picture, sound])) : Infinity;
  });
  await Promise.all([anna.sees('Ben'), ben.sees('Anna')]);

  // A microphone that is paused stays so, and all that is sent can be stopped.
  await anna.button('Microphone').click();
  await ben.tile('Anna').getByLabel('muted').waitFor();
  await drain(id);
  await ben.tile('Anna').getByLabel('muted').waitFor();
  await anna.button('Camera').click();
  await ben.tile('Anna').locator('video').waitFor({ state: 'detached' });
  assert.deepEqual([...anna.errors, ...ben.errors], []);
  await anna.close();
  await ben.close();
});

test('a client that does not know of moving makes its transports anew', async () => {
  const id = await meeting();
  const anna = await Person.signedIn(browser, cluster, 'anna');
  await anna.join(id);
  const ben = await Tab.open(browser, page.origin, { url: cluster.url, token: tokens[1], meetingId: id });
  await ben.do('produceCamera');
  const participantId = await cluster.value("SELECT id::text FROM rt.meeting_participants WHERE meeting_id = $1 AND user_id = 'anna' AND left_at IS NULL", [id]);
  await Promise.all([anna.sees('Ben'), ben.frames({ participantId })]);
  await drain(id);
  await Promise.all([anna.sees('Ben'), ben.frames({ participantId })]);
  await until('new transports', () => ben.page.evaluate(() => window.peer.rebuilt === 1));
  assert.deepEqual([...anna.errors, ...ben.errors], []);
  await anna.close();
  await ben.close();
});
