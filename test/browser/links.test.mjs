// Calls on slow links, as a viewer sees and hears them, by clocks that are sent as pictures and as sound (lib/clock.mjs).
//
// Beside the viewer behind the link there is another one on a free link.  What both suffer is the machine's doing, so the
// difference counts.  RT_LINK_SECONDS is for how long a link stays slow.  Where it is set, the rows run that a suite has no
// time for.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { within } from '../clients/lib/client.mjs';
import { Cluster } from '../clients/lib/cluster.mjs';
import { launch, servePage, Tab, until } from './lib/browser.mjs';
import { Relay } from './lib/relay.mjs';
import { TcpLink } from './lib/tcp_link.mjs';

const skip = process.env.RT_LINK_SECONDS === undefined && 'it takes a quiet minute: RT_LINK_SECONDS=30';
const SLOW_S = Number(process.env.RT_LINK_SECONDS ?? 30);
const SETTLED_S = 20; // what a sender may take until it sends what it may
// What libwebrtc sends in three layers: it makes no third one of a smaller picture.
const LARGE = { width: 960, height: 540, frameRate: 10 };
const [SMALL, MIDDLE, TOP] = [240, 480, 960];

let cluster, page, browser, mediaPort, tokens;

before(async () => {
  cluster = await Cluster.start({ 'rt.cors_origins': '*' });
  tokens = await cluster.users('anna', 'ben', 'cleo');
  page = await servePage();
  browser = await launch();
  mediaPort = Number(cluster.env.RT_MEDIA.split(':')[1]);
});

after(async () => {
  await browser?.close();
  page?.close();
  await cluster?.stop();
});

const seconds = (n) => new Promise((resolve) => { setTimeout(resolve, n * 1000); });

// Result: opens tabs in a meeting of its own, which are closed when the test ends.
async function meeting(t) {
  const reply = await cluster.rest('POST', '/api/meetings', tokens[0], { title: t.name, access: 'anyone' });
  return async (person, options = {}) => {
    const tab = await Tab.open(browser, page.origin, { url: cluster.url, token: tokens[person], meetingId: reply.body.data.id, ...options });
    t.after(() => tab.close());
    return tab;
  };
}

const quantile = (list, part) => list.toSorted((a, b) => a - b)[Math.floor((list.length - 1) * part)];

// How much older one viewer's pictures are than another's in the middle: all but one of twenty are younger.
function olderPictures(slow, free) {
  const [late, usual] = [slow, free].map(({ ages: { seen } }) => seen.map(({ age }) => age));
  return late.length && usual.length ? quantile(late, 0.95) - quantile(usual, 0.5) : 0;
}

// The same of sound, when it arrives: what it then waits in the jitter buffer is the browser's doing.
function olderSound(slow, free) {
  const [late, usual] = [[slow, 0.9], [free, 0.5]].map(([{ ages: { heard }, bufferMs }, part]) => quantile(heard.map(({ age }) => age), part) - bufferMs);
  return late - usual;
}

async function figures(tab, from) {
  const [camera, microphone] = [await tab.stream(from, 'camera'), await tab.stream(from, 'microphone')];
  const { concealed, samples, waitedS, emitted } = microphone;
  return { frozenS: camera.frozenS, received: camera.received, concealed, samples, waitedS, emitted };
}

// What a viewer suffers while something happens.
async function suffered(tabs, from, happen) {
  const since = Date.now();
  const begun = await Promise.all(tabs.map((tab) => figures(tab, from)));
  await happen();
  return Promise.all(tabs.map(async (tab, i) => {
    const now = await figures(tab, from);
    const is = (name) => now[name] - begun[i][name];
    return {
      frozenS: is('frozenS'), concealed: is('concealed') / Math.max(1, is('samples')), bufferMs: (1000 * is('waitedS')) / Math.max(1, is('emitted')),
      kbps: (is('received') * 8) / (Date.now() - since), ages: await tab.do('ages', since),
    };
  }));
}

// How far the worst of it is from its bound, in thousandths: [measured, bound] of each.
const worst = (all) => 1000 * Math.max(...all.map(([measured, bound]) => measured / bound));

const width = async (tab, from) => (await tab.stream(from, 'camera')).frameWidth;

// A sender of a clock in sound and pictures, a viewer behind a link, and one on a free link.  Undefined: too busy to encode.
async function clocks(t, open, { picture, encodings }, slowOptions, freeOptions) {
  const sender = await open(0, freeOptions);
  const slow = await open(1, { clocks: true, ...slowOptions });
  const free = await open(2, { clocks: true, ...freeOptions });
  await sender.do('produceSoundClock');
  await sender.do('produceClock', { ...picture, encodings });
  for (const tab of [slow, free]) {
    await tab.sound(sender);
    await tab.frames(sender);
  }
  const sent = Math.max(...encodings.map(({ maxBitrate }) => maxBitrate));
  const end = Date.now() + SETTLED_S * 1000;
  let now;
  do {
    [now] = await suffered([free], sender, () => seconds(2));
    if (now.kbps * 1000 > 0.8 * sent && (await width(slow, sender)) === picture.width) return { sender, slow, free };
  } while (Date.now() < end);
  t.skip(`this machine is too busy: its encoder makes ${Math.round(now.kbps)} of ${sent / 1000} kbit/s`);
  return undefined;
}

test('TCP alone, one layer of 900 kbit/s, 500 kbit/s for a while: neither picture nor sound gets old', { skip }, async (t) => {
  const link = await TcpLink.start(mediaPort);
  t.after(() => link.stop());
  const made = await clocks(t, await meeting(t), { picture: { width: 480, height: 360, frameRate: 12 }, encodings: [{ maxBitrate: 900_000 }] }, { protocol: 'tcp', relayPort: link.port }, { protocol: 'tcp' });
  if (!made) return;
  const { sender, slow, free } = made;
  let seen;
  await within(1000, async () => {
    const [a, b] = await suffered([slow, free], sender, async () => {
      link.rate = 500_000;
      await seconds(SLOW_S);
      link.rate = 0;
      await slow.frames(sender, 'camera', 12);
    });
    seen = { pictureMs: olderPictures(a, b), soundMs: olderSound(a, b), bufferMs: a.bufferMs };
    return worst([[seen.pictureMs, 1500], [seen.soundMs, 500]]);
  });
  t.diagnostic(JSON.stringify(seen));
});

test('three layers: the middle one on 500 kbit/s, the top one when the link is good again, a picture on 300 kbit/s', { skip }, async (t) => {
  const relay = await Relay.start(mediaPort, { seed: 20 });
  t.after(() => relay.stop());
  const made = await clocks(t, await meeting(t), {
    picture: LARGE,
    encodings: [{ scaleResolutionDownBy: 4, maxBitrate: 100_000 }, { scaleResolutionDownBy: 2, maxBitrate: 300_000 }, { scaleResolutionDownBy: 1, maxBitrate: 900_000 }],
  }, { protocol: 'udp', relayPort: relay.port });
  if (!made) return;
  const { sender, slow, free } = made;

  const healed = async () => {
    relay.heal();
    const begun = performance.now();
    await until('the top layer', async () => (await width(slow, sender)) === TOP);
    return performance.now() - begun;
  };
  const drop = async (bps, frozenS, concealed) => {
    await healed();
    let toMiddleMs;
    const [a, b] = await suffered([slow, free], sender, async () => {
      relay.rate = bps;
      const begun = performance.now();
      while (performance.now() - begun < SLOW_S * 1000) {
        if ((await width(slow, sender)) === MIDDLE) toMiddleMs ??= performance.now() - begun;
        await seconds(0.1);
      }
    });
    const seen = { bps, toMiddleMs, frozenS: a.frozenS - b.frozenS, concealed: a.concealed - b.concealed, pictureMs: olderPictures(a, b) };
    t.diagnostic(JSON.stringify(seen));
    return worst([[seen.frozenS, frozenS], [seen.concealed, concealed], [seen.pictureMs, 1500], ...(bps === 500_000 ? [[toMiddleMs ?? Infinity, 5000]] : [])]);
  };
  await within(1000, () => drop(500_000, 0.8, (0.01 * 30) / SLOW_S));
  let topMs;
  await within(10_000, async () => {
    relay.rate = 300_000;
    await until('less than the top layer', async () => (await width(slow, sender)) < TOP);
    topMs = await healed();
    return topMs;
  });
  t.diagnostic(JSON.stringify({ topMs }));
  await within(1000, () => drop(300_000, 1.5, 0.02));
  assert.ok([SMALL, MIDDLE].includes(await width(slow, sender)));
});

test('a screen that does not change: a viewer who joins later has a picture within 0.5 s', async (t) => {
  const open = await meeting(t);
  const sender = await open(0);
  const first = await open(1);
  await sender.do('produceStillScreen');
  await until('the picture', async () => {
    await sender.do('changeScreen');
    return (await first.stream(sender, 'screen'))?.frames > 0;
  });
  let packets = -1, since = Date.now();
  await until('nothing more to come', async () => {
    const s = await first.stream(sender, 'screen');
    if (s.packets !== packets) since = Date.now();
    packets = s.packets;
    return Date.now() - since > 1500;
  });
  let pictureMs;
  await within(500, async () => {
    const later = await open(2);
    pictureMs = await until('a picture', () => later.do('firstPictureMs', 'screen'));
    await later.close();
    return pictureMs;
  });
  t.diagnostic(JSON.stringify({ pictureMs }));
});

test('someone who coughs takes nobody\'s place', async (t) => {
  const open = await meeting(t);
  const talker = await open(0), cougher = await open(1);
  await talker.do('produceQuietTalk');
  const speakers = async () => (await talker.events('active-speaker')).map(({ payload }) => payload.participantId);
  await until('a speaker', async () => (await speakers()).at(-1) === talker.participantId);
  await cougher.do('produceCoughs');
  // Two coughs, as they are heard: the energy of each is 0.006.
  await until('two coughs', async () => ((await talker.stream(cougher, 'microphone'))?.energy ?? 0) > 0.01);
  await seconds(1);
  assert.ok(!(await speakers()).includes(cougher.participantId));
});
