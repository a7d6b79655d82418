// Calls between tabs of Chromium, with unmodified mediasoup-client.  Chromium's own statistics are the judge.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { within } from '../clients/lib/client.mjs';
import { Cluster } from '../clients/lib/cluster.mjs';
import { Relay } from './lib/relay.mjs';
import { hasTurn, Turn } from './lib/turn.mjs';
import { launch, servePage, Tab, until } from './lib/browser.mjs';

let cluster, page, browser, relay, tokens;
const names = ['anna', 'ben', 'cleo', 'dan'];

before(async () => {
  cluster = await Cluster.start({ 'rt.cors_origins': '*' });
  tokens = await cluster.users(...names);
  page = await servePage();
  browser = await launch();
  relay = await Relay.start(Number(cluster.env.RT_MEDIA.split(":")[1]), { seed: 20 });
});

after(async () => {
  relay?.stop();
  await browser?.close();
  page?.close();
  await cluster?.stop();
});

// A meeting with n tabs in it; the first is its host.  They are closed when the test ends.  options: of all tabs, or a
// function of the tab's number.
async function meeting(t, n, options = {}) {
  const reply = await cluster.rest('POST', '/api/meetings', tokens[0], { title: t.name, access: 'anyone' });
  const tabs = [];
  t.after(() => Promise.all(tabs.map((tab) => tab.close())));
  for (let i = 0; i < n; i++)
    tabs.push(await Tab.open(browser, page.origin, {
      url: cluster.url, token: tokens[i], meetingId: reply.body.data.id, ...(typeof options === 'function' ? options(i) : options),
    }));
  return tabs;
}

// Options of tabs that are behind the relay, which is good again when the test ends.
function badNetwork(t) {
  relay.heal();
  t.after(() => relay.heal());
  return { protocol: 'udp', relayPort: relay.port };
}

// Until the test ends; a meeting that is joined when this has returned goes by them.
async function settings(t, values) {
  const change = async (statements) => {
    for (const statement of statements) await cluster.sql(statement);
    await cluster.sql('SELECT pg_reload_conf()');
  };
  t.after(() => change(Object.keys(values).map((name) => `ALTER SYSTEM RESET ${name}`)));
  await change(Object.entries(values).map(([name, value]) => `ALTER SYSTEM SET ${name} = '${value}'`));
  const { body } = await cluster.rest('POST', '/api/meetings', tokens[0], { title: 'settings' });
  // Each of the gateway's sessions reads the settings by itself.
  for (let good = 0; good < 30; good++) {
    const reply = await cluster.rest('GET', `/api/meetings/${body.data.id}/webrtc-config`, tokens[0]);
    if (reply.body.data.iceTransportPolicy !== (values['rt.ice_transport_policy'] ?? 'all')) good = -1;
  }
}

const width = (tab, from, wanted) => until(`a width of ${wanted}`, async () => (await tab.stream(from, 'camera')).frameWidth === wanted);

// While that happens no picture stays for longer.
function withoutFreeze(boundMs, tab, from, happen) {
  return within(boundMs, async () => {
    await tab.do('forgetGaps');
    await happen();
    return (await tab.frames(from)).longestGapMs;
  });
}

const twoLayers = {
  codec: 'vp8', width: 640, height: 480,
  encodings: [{ scaleResolutionDownBy: 2, maxBitrate: 150_000 }, { scaleResolutionDownBy: 1, maxBitrate: 500_000 }],
};

// The number of packets of a stream does not change for a while.
async function stands(tab, from, source) {
  let last = -1, since = Date.now();
  await until(`silence of the ${source}`, async () => {
    const { packets } = await tab.stream(from, source);
    if (packets !== last) since = Date.now();
    last = packets;
    return Date.now() - since > 1500;
  });
}

test('two tabs see and hear each other', async (t) => {
  const [a, b] = await meeting(t, 2);
  for (const tab of [a, b]) {
    await tab.do('produceCamera', { codec: 'vp8' });
    await tab.do('produceMicrophone');
  }
  for (const [to, from] of [[a, b], [b, a]]) {
    const picture = await to.frames(from);
    assert.equal(picture.videoWidth, 320);
    assert.equal(picture.codec, 'video/VP8');
    assert.ok((await to.sound(from)).energy > 0);
  }
  assert.equal(await a.do('protocol', 'recv'), 'udp');
  assert.deepEqual([...a.errors, ...b.errors], []);
});

test('the media worker has figures on /metrics', async (t) => {
  const [a, b] = await meeting(t, 2);
  await a.do('produceCamera');
  await b.frames(a);
  // A stream that begins after its receiver was there needs no asking.
  const [{ consumerId }] = await b.do('received');
  await b.ask('request-keyframe', { consumerId });
  const figures = await until('figures of this call', async () => {
    const { body } = await cluster.rest('GET', '/metrics');
    const found = Object.fromEntries([...body.matchAll(/^rt_media_(\w+)\{[^}]*worker="[^"]+\/0"\} (\d+)$/gm)].map(([, name, n]) => [name, Number(n)]));
    return found.producers === 1 && found.consumers === 1 && found.transports === 4 && found.packets_out_total > 100
      && found.keyframes_asked_total > 0 && found;
  });
  assert.ok(figures.packets_in_total > 100 && figures.bytes_out_total > 10_000, JSON.stringify(figures));
});

test('the one who speaks becomes the active speaker', async (t) => {
  const [a, b] = await meeting(t, 2);
  await b.do('produceTone');
  const [told] = await until('an active speaker', async () => {
    const events = await a.events('active-speaker');
    return events.length > 0 && events;
  });
  assert.equal(told.payload.participantId, b.participantId);
  assert.ok(told.payload.volume > -60 && told.payload.volume <= 0, `volume ${told.payload.volume}`);
});

for (const codec of ['h264', 'vp9', 'av1'])
  test(`${codec} is forwarded`, async (t) => {
    const [a, b] = await meeting(t, 2);
    if (!(await a.do('produceCamera', { codec }))) return t.skip('this Chromium does not encode it');
    const picture = await b.frames(a);
    assert.equal(picture.codec.toLowerCase(), `video/${codec}`);
    assert.equal(picture.videoWidth, 320);
  });

test('VP9 with two spatial layers in one stream: down and up', async (t) => {
  const [a, b] = await meeting(t, 2);
  await a.do('produceCamera', { codec: 'vp9', width: 640, height: 480, encodings: [{ scalabilityMode: 'L2T2_KEY', maxBitrate: 600_000 }] });
  const { consumerId } = await b.frames(a);
  for (const [spatialLayer, width] of [[0, 320], [1, 640]]) {
    await b.ask('set-preferred-layers', { consumerId, spatialLayer });
    await until(`a width of ${width}`, async () => (await b.stream(a, 'camera')).frameWidth === width);
    await b.frames(a);
  }
});

for (const scalabilityMode of ['L2T2', 'L2T3_KEY'])
  test(`AV1 ${scalabilityMode}, by the dependency descriptor: down and up`, async (t) => {
    const [a, b] = await meeting(t, 2);
    const camera = { codec: 'av1', width: 640, height: 480, frameRate: 12, encodings: [{ scalabilityMode, maxBitrate: 600_000 }] };
    if (!(await a.do('produceCamera', camera))) return t.skip('this Chromium does not encode it');
    const { consumerId } = await b.frames(a);
    await width(b, a, 640);
    await withoutFreeze(1500, b, a, async () => {
      for (const [spatialLayer, wanted] of [[0, 320], [1, 640]]) {
        await b.ask('set-preferred-layers', { consumerId, spatialLayer });
        await width(b, a, wanted);
        await b.frames(a, 'camera', 10);
      }
      await b.ask('set-preferred-layers', { consumerId, spatialLayer: 1, temporalLayer: 0 });
      await until('half of the frames', async () => (await b.stream(a, 'camera')).fps <= 7);
    });
    const { shownTwice, frameWidth } = await b.stream(a, 'camera');
    assert.equal(frameWidth, 640);
    assert.equal(shownTwice, 0);
  });

test('four tabs', async (t) => {
  const tabs = await meeting(t, 4);
  for (const tab of tabs) await tab.do('produceCamera', { codec: 'vp8', width: 160, height: 120, frameRate: 8 });
  for (const to of tabs)
    for (const from of tabs) if (to !== from) await to.frames(from, 'camera', 8);
});

test('what the host mutes stops in the forwarder, whatever the client does', async (t) => {
  const [host, b] = await meeting(t, 2);
  await b.do('produceMicrophone');
  await b.do('produceCamera');
  await host.sound(b);
  await host.frames(b);
  const mute = (kind, on) => host.ask('mute-participant', { meetingId: b.options.meetingId, participantId: b.participantId, mute: on, kind });
  await mute('audio', true);
  await stands(host, b, 'microphone');
  await host.frames(b);
  await mute('video', true);
  await stands(host, b, 'camera');
  await mute('audio', false);
  await mute('video', false);
  await host.sound(b);
  await host.frames(b);
});

test('a screen beside the camera', async (t) => {
  const [a, b] = await meeting(t, 2);
  await a.do('produceCamera');
  await a.do('produceScreen');
  assert.equal((await b.frames(a, 'screen')).videoWidth, 400);
  assert.equal((await b.frames(a, 'camera')).videoWidth, 320);
  await a.do('closeProducer', 'screen');
  await until('the end of the screen', async () => !(await b.stream(a, 'screen')));
  await b.frames(a, 'camera');
});

// Two tracks whose streams have the same names: a packet's MID tells whose it is.
test('a screen beside the camera, both in two layers', async (t) => {
  const [a, b] = await meeting(t, 2);
  await a.do('produceCamera', twoLayers);
  await a.do('produceScreen', { encodings: twoLayers.encodings });
  await b.frames(a, 'screen');
  await b.frames(a, 'camera');
  await width(b, a, 640);
});

test('simulcast: down and up again, without a freeze', async (t) => {
  const [a, b] = await meeting(t, 2);
  await a.do('produceCamera', twoLayers);
  await b.frames(a);
  const { consumerId } = await b.stream(a, 'camera');
  await width(b, a, 640);
  await withoutFreeze(1000, b, a, async () => {
    await b.ask('set-preferred-layers', { consumerId, spatialLayer: 0 });
    await width(b, a, 320);
    await b.frames(a);
    await b.ask('set-preferred-layers', { consumerId, spatialLayer: 1 });
    await width(b, a, 640);
  });
  await until('both to be told', async () => (await b.events('layers-changed')).slice(-2).map((e) => e.payload.spatialLayer).join() === '0,1');
});

test('ICE restart', async (t) => {
  const [a, b] = await meeting(t, 2);
  await a.do('produceCamera');
  await b.frames(a);
  await a.do('restartIce');
  await b.do('restartIce');
  await b.frames(a, 'camera', 60);
  assert.equal(await b.page.evaluate(() => window.peer.recv.connectionState), 'connected');
});

test('TCP alone', async (t) => {
  const [a, b] = await meeting(t, 2, { protocol: 'tcp' });
  await a.do('produceCamera');
  await a.do('produceMicrophone');
  await b.frames(a);
  await b.sound(a);
  assert.equal(await a.do('protocol', 'send'), 'tcp');
  assert.equal(await b.do('protocol', 'recv'), 'tcp');
});

test('one packet of twenty is lost, and repaired', async (t) => {
  const [a, b] = await meeting(t, 2, badNetwork(t));
  await a.do('produceCamera', { codec: 'vp8' });
  await b.frames(a);
  relay.loss = 0.05;
  await withoutFreeze(1000, b, a, async () => {
    const [lost, before] = [relay.lost, await b.stream(a, 'camera')];
    await b.frames(a, 'camera', 120);
    await until('packets lost, asked for again, and got by RTX', async () => {
      const { nacks, repaired } = await b.stream(a, 'camera');
      return relay.lost > lost + 20 && nacks > before.nacks && repaired > (before.repaired ?? 0);
    });
  });
});

test('a way that carries too little: a lower layer, and the higher one again', async (t) => {
  const behind = badNetwork(t);
  const [a, b] = await meeting(t, 2, (i) => (i === 1 ? behind : {}));
  await a.do('produceCamera', twoLayers);
  await b.frames(a);
  await width(b, a, 640);
  await withoutFreeze(3000, b, a, async () => {
    // Less than the higher layer takes even at its lowest frame rate, on a machine that is busy too; the lower one fits.
    relay.rate = 110_000;
    await width(b, a, 320);
    const { consumerId } = await b.frames(a);
    // Now and then the forwarder tries the higher layer, and takes it back.
    let layer;
    await until(() => `the lower layer for want of bandwidth: ${JSON.stringify(layer)}`, async () => {
      const { stats: [{ reason, spatialLayer }] } = await b.ask('get-stats', { consumerId });
      layer = { reason, spatialLayer };
      return spatialLayer === 0 && /bandwidth|trying more/.test(reason);
    });
    relay.rate = 0;
    await width(b, a, 640);
  });
});

test('packets that are late, out of order and doubled: a picture without a freeze, nothing shown twice', async (t) => {
  const [a, b] = await meeting(t, 2, badNetwork(t));
  await a.do('produceCamera', { codec: 'vp8' });
  await b.frames(a);
  Object.assign(relay, { delayMs: 30, jitterMs: 40, duplicate: 0.1 });
  await b.frames(a, 'camera', 30);
  await withoutFreeze(1000, b, a, async () => {
    const [before, { reordered, doubled }] = [await b.stream(a, 'camera'), relay];
    // How many packets a frame has is the machine's affair; so it goes on until enough of them have suffered.
    let counted;
    await until(() => `enough that suffers, and is shown: ${JSON.stringify(counted)}`, async () => {
      const s = await b.stream(a, 'camera');
      counted = { reordered: relay.reordered - reordered, doubled: relay.doubled - doubled, shown: s.shown - before.shown, decoded: s.frames - before.frames };
      return counted.reordered > 100 && counted.doubled > 50 && counted.shown > 60 && counted.decoded >= 90;
    });
  });
  for (const [tab, way] of [[a, 'send'], [b, 'recv']]) {
    let roundTripTime;
    await until(() => `55 to 600 ms there and back on ${way}, not ${roundTripTime}`, async () => {
      ({ roundTripTime } = (await tab.ask('get-stats', { transportId: await tab.do('transportId', way) })).stats[0]);
      return roundTripTime >= 55 && roundTripTime < 600;
    });
  }
  assert.equal((await b.stream(a, 'camera')).shownTwice, 0);
});

test('the network changes in mid-call: no ICE restart, and the picture is back', async (t) => {
  const [a, b] = await meeting(t, 2, badNetwork(t));
  await a.do('produceCamera', { codec: 'vp8' });
  await b.frames(a);
  const tuple = async () => (await a.ask('get-stats', { transportId: await a.do('transportId', 'send') })).stats[0].selectedTuple;
  const before = await tuple();
  relay.move();
  await b.frames(a, 'camera', 40);
  await until('another tuple', async () => (await tuple()) !== before);
  assert.equal(await a.page.evaluate(() => window.peer.send.connectionState), 'connected');
});

test('a tab is loaded anew', async (t) => {
  const [a, b] = await meeting(t, 2);
  await a.do('produceCamera');
  await b.do('produceCamera');
  await a.frames(b);
  await b.load();
  await b.do('produceCamera');
  await b.frames(a);
  await a.frames(b);
});

test('the media worker is killed in mid-call: the picture is back within 5 s', async (t) => {
  const [a, b] = await meeting(t, 2);
  await a.do('produceCamera');
  await b.frames(a);
  await within(5000, async () => {
    const pid = await cluster.pid('media');
    const rebuilt = () => b.page.evaluate(() => window.peer.rebuilt);
    const before = await rebuilt();
    process.kill(pid, 'SIGKILL');
    const killed = performance.now();
    await until('a picture through another worker', async () => (await rebuilt()) > before && (await b.stream(a, 'camera'))?.frames > 0);
    const took = performance.now() - killed;
    assert.notEqual(await cluster.pid('media'), pid);
    await b.frames(a);
    return took;
  });
});

test('a call through a TURN server, with temporary credentials and nothing but relayed candidates', { skip: !hasTurn && 'no coturn' }, async (t) => {
  const turn = await Turn.start('browser-secret');
  t.after(() => turn.stop());
  const file = `${cluster.folder}/turn-secret`;
  await writeFile(file, 'browser-secret\n');
  await settings(t, {
    'rt.turn_secret_file': file, 'rt.turn_urls': `turn:127.0.0.1:${turn.port}?transport=udp`, 'rt.ice_transport_policy': 'relay',
  });
  const [a, b] = await meeting(t, 2);
  for (const tab of [a, b]) await tab.do('produceCamera', { codec: 'vp8' });
  for (const [to, from] of [[a, b], [b, a]]) await to.frames(from);
  const port = Number(cluster.env.RT_MEDIA.split(':')[1]);
  for (const tab of [a, b]) {
    const paths = await tab.do('paths');
    assert.ok(paths.length >= 2);
    for (const path of paths) assert.deepEqual(path, { local: 'relay', remote: port });
  }
  await a.do('restartIce');
  for (const [to, from] of [[a, b], [b, a]]) await to.frames(from);
});

// The part of the sound that the viewer had to make up in so many seconds; silence between words does not count.
async function concealed(tab, from, seconds) {
  const before = await tab.stream(from, 'microphone');
  await until('the sound of the time', async () => (await tab.stream(from, 'microphone')).samples - before.samples >= seconds * 48_000);
  const now = await tab.stream(from, 'microphone');
  return (now.concealed - before.concealed) / (now.samples - before.samples);
}

for (const [loss, delayMs, bound, side] of [[0.05, 20, 0.005, 'receiver'], [0.1, 20, 0.015, 'receiver'], [0.1, 150, 0.015, 'receiver'], [0.1, 20, 0.015, 'sender']])
  test(`sound that loses ${loss * 100} % on the ${side}'s way of ${delayMs} ms`, async (t) => {
    const bad = { ...badNetwork(t), red: side === 'sender' };
    const [a, b] = await meeting(t, 2, (i) => ((side === 'sender') === (i === 0) ? bad : {}));
    await a.do('produceTone');
    await b.sound(a);
    Object.assign(relay, { loss, delayMs });
    await concealed(b, a, 5); // the first losses are what it learns by
    await within(bound * 1000, async () => 1000 * (await concealed(b, a, 20)));
  });

// Bits a second of the picture now.
async function rateOf(tab, from) {
  const before = await tab.stream(from, 'camera'), at = Date.now();
  await new Promise((resolve) => setTimeout(resolve, 3000));
  return ((await tab.stream(from, 'camera')).received - before.received) * 8000 / (Date.now() - at);
}

// Picture and sound of a viewer whose link drops to a part of what comes.
async function slowLink(t, { encodings, share, bps }) {
  const bad = badNetwork(t);
  const [a, b] = await meeting(t, 2, (i) => (i ? bad : {}));
  await a.do('produceTone');
  await a.do('produceCamera', { codec: 'vp8', width: 640, height: 480, frameRate: 30, encodings });
  await b.sound(a);
  await b.frames(a, 'camera', 200); // the sender has reached its rate
  const measure = async () => {
    relay.heal();
    await b.frames(a, 'camera', 200);
    relay.rate = bps ?? share * (await rateOf(b, a)) + 50_000;
    const from = await b.stream(a, 'camera');
    const part = await concealed(b, a, 30);
    return { part, frozenS: (await b.stream(a, 'camera')).frozenS - from.frozenS };
  };
  return { a, b, measure };
}

test('one layer, more than the link carries: the sound goes on, and the viewer is told of the pause', async (t) => {
  const { b, measure } = await slowLink(t, { encodings: [{ maxBitrate: 1_200_000 }], share: 0.6 });
  await within(10, async () => 1000 * (await measure()).part);
  assert.ok((await b.events('layers-changed')).some(({ payload }) => payload.spatialLayer === null));
  relay.heal();
  await until('pictures again', async () => (await b.events('layers-changed')).at(-1).payload.spatialLayer !== null);
});

test('two layers, and a link for the lower one: a picture within a second, and the sound goes on', async (t) => {
  const { a, b, measure } = await slowLink(t, {
    encodings: [{ scaleResolutionDownBy: 2, maxBitrate: 150_000 }, { scaleResolutionDownBy: 1, maxBitrate: 700_000 }], bps: 350_000,
  });
  let frozenS;
  await within(10, async () => {
    const seen = await measure();
    frozenS = seen.frozenS;
    return Math.max(1000 * seen.part, frozenS * 5); // 1 %, and 2 s
  });
  await width(b, a, 320);
});

test('the viewer has another address: the picture is back within 3 s', async (t) => {
  const bad = badNetwork(t);
  const [a, b] = await meeting(t, 2, (i) => (i ? bad : {}));
  await a.do('produceCamera', { codec: 'vp8' });
  await b.frames(a);
  await withoutFreeze(3000, b, a, async () => {
    relay.move();
    await b.do('restartIce');
    await b.frames(a, 'camera', 30);
  });
});
