// Contract, section 3, "Media signalling": an unmodified mediasoup-client lives a whole call against the gateway.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { after, afterEach, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { Cluster } from './lib/cluster.mjs';
import { ask, askError, askOk, closeAll, event, received, settled, until, within } from './lib/client.mjs';
import { Call, call, createMeeting, enter, producerOf } from './lib/meeting.mjs';

const run = promisify(execFile);
let cluster, tokens;

before(async () => {
  cluster = await Cluster.start({ 'rt.meeting_grace': '2s' });
  tokens = await cluster.tokens('alice', 'bob', 'carol');
  await until(() => cluster.value('SELECT count(*) > 0 FROM rt_private.media_workers'), 'a media worker');
});
after(() => cluster?.stop());
afterEach(closeAll);

async function pair() {
  const meetingId = await createMeeting(cluster, tokens.alice);
  return { meetingId, alice: await call(cluster, tokens.alice, meetingId), bob: await call(cluster, tokens.bob, meetingId) };
}

// A check of ICE (RFC 8445, section 7.2.4) by a peer whose own name is "them".
function stunCheck({ usernameFragment, password }) {
  const attribute = (type, value) => {
    const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
    bytes.writeUInt16BE(type, 0);
    bytes.writeUInt16BE(value.length, 2);
    value.copy(bytes, 4);
    return bytes;
  };
  const header = Buffer.concat([Buffer.from('000100002112a442', 'hex'), randomBytes(12)]);
  let message = Buffer.concat([header, attribute(0x0006, Buffer.from(`${usernameFragment}:them`)),
    attribute(0x0024, Buffer.from([110, 0, 1, 255])), attribute(0x802a, randomBytes(8))]);
  const add = (type, length, value) => {
    message.writeUInt16BE(message.length - 20 + 4 + length, 2);
    message = Buffer.concat([message, attribute(type, value())]);
  };
  add(0x0008, 20, () => createHmac('sha1', password).update(message).digest());
  add(0x8028, 4, () => {
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE((crc32(message) ^ 0x5354554e) >>> 0);
    return sum;
  });
  return message;
}

const simulcast = { encodings: [{ maxBitrate: 100_000 }, { maxBitrate: 300_000 }, { maxBitrate: 900_000 }] };

describe('a call', () => {
  test('from load to close', async () => {
    const { meetingId, alice, bob } = await pair();
    assert.ok(alice.device.canProduce('audio') && alice.device.canProduce('video'));

    const microphone = await alice.produce('audio', { source: 'microphone' });
    const camera = await alice.produce('video', { source: 'camera' }, simulcast);
    const told = await producerOf(bob.client, alice.client.participantId, 'video');
    assert.equal(told.producerId, camera.id);
    assert.equal(told.meetingId, meetingId);
    assert.equal(told.source, 'camera');
    assert.equal(told.paused, false);
    assert.equal((await producerOf(bob.client, alice.client.participantId, 'audio')).producerId, microphone.id);
    assert.equal((await event(alice.client, 'produced', (payload) => payload.producerId === camera.id)).kind, 'video');
    assert.deepEqual(received(alice.client, 'new-producer'), [], 'a producer is not told of their own');

    const video = await bob.consume({ producerId: camera.id });
    assert.equal(video.answer.kind, 'video');
    assert.equal(video.answer.producerId, camera.id);
    assert.equal(video.answer.producerPaused, false);
    assert.equal(video.answer.rtpParameters.encodings[0].scalabilityMode, 'L3T1');
    assert.equal(video.consumer.kind, 'video');
    const audio = await bob.consume({ producerParticipantId: alice.client.participantId, kind: 'audio' });
    assert.equal(audio.answer.producerId, microphone.id);
    assert.notEqual(audio.answer.rtpParameters.mid, video.answer.rtpParameters.mid);
    assert.equal(audio.answer.rtpParameters.rtcp.cname, video.answer.rtpParameters.rtcp.cname);

    for (const { answer } of [video, audio])
      assert.equal((await askOk(bob.client, 'resume-consumer', { consumerId: answer.consumerId })).consumerId, answer.consumerId);
    await event(bob.client, 'consumer-resumed', (payload) => payload.consumerId === video.answer.consumerId);
    await askOk(bob.client, 'set-preferred-layers', { consumerId: video.answer.consumerId, spatialLayer: 1, temporalLayer: 0 });
    await askOk(bob.client, 'request-keyframe', { consumerId: video.answer.consumerId });
    for (const of of [{ consumerId: video.answer.consumerId }, { transportId: bob.recv.id }])
      assert.ok(Array.isArray((await askOk(bob.client, 'get-stats', of)).stats));
    assert.ok(Array.isArray((await askOk(alice.client, 'get-stats', { producerId: camera.id })).stats));

    await askOk(alice.client, 'pause-producer', { producerId: camera.id });
    await event(bob.client, 'producer-paused', (payload) => payload.producerId === camera.id);
    const late = await enterCall(tokens.carol, meetingId);
    assert.equal((await late.consume({ producerId: camera.id })).answer.producerPaused, true);
    await askOk(alice.client, 'resume-producer', { producerId: camera.id });
    await event(bob.client, 'producer-resumed', (payload) => payload.producerId === camera.id);

    const { iceParameters } = await askOk(bob.client, 'restart-ice', { transportId: bob.recv.id });
    await bob.recv.restartIce({ iceParameters });

    await askOk(bob.client, 'pause-consumer', { consumerId: audio.answer.consumerId });
    await askOk(bob.client, 'close-consumer', { consumerId: audio.answer.consumerId });
    await askError(bob.client, 'not_found', 'resume-consumer', { consumerId: audio.answer.consumerId });
    await askOk(alice.client, 'close-producer', { producerId: camera.id });
    await event(bob.client, 'producer-closed', (payload) => payload.producerId === camera.id);
    await askError(bob.client, 'not_found', 'resume-consumer', { consumerId: video.answer.consumerId });

    await askOk(alice.client, 'leave-meeting', { meetingId });
    await event(bob.client, 'participant-left', (payload) => payload.participantId === alice.client.participantId);
    assert.deepEqual([...new Set(bob.asked)], ['create-transport', 'consume', 'connect-transport']);
  });

  test('whoever joins later is told of the producers in meeting-joined', async () => {
    const { meetingId, alice } = await pair();
    const camera = await alice.produce('video', { source: 'screen' });
    const carol = await enter(cluster, tokens.carol, meetingId);
    const shown = carol.joined.participants.find(({ participantId }) => participantId === alice.client.participantId);
    assert.deepEqual(shown.producers, [{ producerId: camera.id, kind: 'video', source: 'screen', paused: false }]);
  });

  test('two devices of one user produce and consume each for itself', async () => {
    const meetingId = await createMeeting(cluster, tokens.alice);
    const phone = await call(cluster, tokens.alice, meetingId);
    const laptop = await call(cluster, tokens.alice, meetingId);
    assert.notEqual(phone.client.participantId, laptop.client.participantId);
    const { id } = await phone.produce('audio');
    assert.equal((await producerOf(laptop.client, phone.client.participantId, 'audio')).producerId, id);
    await laptop.consume({ producerId: id });
    await askError(laptop.client, 'not_found', 'pause-producer', { producerId: id });
  });

  test('eight in a call, each with each', async () => {
    const meetingId = await createMeeting(cluster, tokens.alice);
    const calls = [];
    for (let i = 0; i < 8; i++) calls.push(await call(cluster, tokens[['alice', 'bob', 'carol'][i % 3]], meetingId));
    await Promise.all(calls.flatMap((it) => [it.produce('audio'), it.produce('video', {}, simulcast)]));
    for (const it of calls) {
      const others = await until(() => received(it.client, 'new-producer').length === 14 && received(it.client, 'new-producer'), '14 producers');
      const consumed = await Promise.all(others.map(({ producerId }) => it.consume({ producerId })));
      const mids = consumed.map(({ answer }) => answer.rtpParameters.mid);
      assert.equal(new Set(mids).size, 14);
    }
  });
});

async function enterCall(token, meetingId) {
  const it = await new Call(await enter(cluster, token, meetingId)).load();
  await it.open('recv');
  return it;
}

describe('transport options', () => {
  test('have all that mediasoup-client reads', async () => {
    const { alice } = await pair();
    const reply = await askOk(alice.client, 'create-transport', { meetingId: alice.meetingId, direction: 'recv' });
    assert.equal(reply.id, reply.transportId);
    assert.equal(reply.sctpParameters, null);
    assert.equal(reply.iceParameters.iceLite, true);
    assert.ok(reply.iceParameters.usernameFragment.length >= 4 && reply.iceParameters.password.length >= 22);
    assert.ok(reply.iceCandidates.some(({ protocol }) => protocol === 'udp'));
    assert.ok(reply.iceCandidates.some(({ protocol, tcpType }) => protocol === 'tcp' && tcpType === 'passive'));
    for (const candidate of reply.iceCandidates) {
      assert.equal(candidate.type, 'host');
      assert.equal(candidate.address, candidate.ip);
      assert.ok(candidate.port > 0);
    }
    assert.equal(reply.dtlsParameters.role, 'auto');
    assert.equal(reply.dtlsParameters.fingerprints.length, 1);
    assert.match(reply.dtlsParameters.fingerprints[0].value, /^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/);
    const created = await event(alice.client, 'transport-created', (payload) => payload.transportId === reply.transportId);
    assert.equal(created.iceParameters.password, reply.iceParameters.password);
  });

  test('an ICE password reaches nobody but its owner', async () => {
    const listener = await cluster.pool.connect();
    const heard = [];
    listener.on('notification', ({ payload }) => heard.push(payload));
    await listener.query('LISTEN rt_events; LISTEN rt_media');
    const { alice, bob } = await pair();
    const made = await askOk(alice.client, 'create-transport', { meetingId: alice.meetingId, direction: 'send' });
    const anew = await askOk(alice.client, 'restart-ice', { transportId: made.id });
    await settled(cluster, bob.client);
    await until(() => heard.some((payload) => payload.includes('rt:media-answer')), 'the answer on the channel');
    assert.ok(heard.some((payload) => payload.includes('rt:media-request') && payload.includes(made.id)), 'the request too');
    for (const { password } of [made.iceParameters, anew.iceParameters]) {
      assert.ok(password.length >= 22 && !heard.join().includes(password));
      assert.ok(!JSON.stringify(bob.client.events).includes(password));
    }
    await listener.query('UNLISTEN *');
    listener.release(true);
  });

  test('media workers are woken on a channel of their own', async () => {
    const listener = await cluster.pool.connect();
    const heard = { rt_events: [], rt_media: [] };
    listener.on('notification', ({ channel, payload }) => heard[channel].push(JSON.parse(payload).event));
    await listener.query('LISTEN rt_events; LISTEN rt_media');
    const { alice } = await pair();
    const { id } = await askOk(alice.client, 'create-transport', { meetingId: alice.meetingId, direction: 'send' });
    await askOk(alice.client, 'restart-ice', { transportId: id });
    await until(() => heard.rt_events.includes('rt:media-answer'), 'the answer on the channel');
    assert.deepEqual([...new Set(heard.rt_media)], ['rt:media-request']);
    assert.ok(!heard.rt_events.includes('rt:media-request'));
    await listener.query('UNLISTEN *');
    listener.release(true);
  });

  test('a request that somebody else notifies of is not carried out', async () => {
    const { alice, bob } = await pair();
    const { id } = await askOk(alice.client, 'create-transport', { meetingId: alice.meetingId, direction: 'send' });
    const worker = await cluster.value('SELECT id FROM rt_private.media_workers');
    const forged = { event: 'rt:media-request', route: { media: worker }, requestId: '1',
      request: { requestId: '1', op: 'close-transports', reply: false, transportIds: [id] } };
    await cluster.sql('SELECT pg_notify($1, $2)', ['rt_media', JSON.stringify(forged)]);
    await settled(cluster, bob.client);
    assert.ok(Array.isArray((await askOk(alice.client, 'get-stats', { transportId: id })).stats));
  });
});

describe('refusals', () => {
  test('what is somebody else\'s, or nowhere, is not found', async () => {
    const { meetingId, alice, bob } = await pair();
    const { id } = await alice.produce('audio');
    const dtlsParameters = { role: 'client', fingerprints: [{ algorithm: 'sha-256', value: Array(32).fill('AB').join(':') }] };
    for (const transportId of [alice.send.id, 'nowhere', '00000000-0000-0000-0000-000000000000']) {
      await askError(bob.client, 'not_found', 'connect-transport', { transportId, dtlsParameters });
      await askError(bob.client, 'not_found', 'restart-ice', { transportId });
      await askError(bob.client, 'not_found', 'get-stats', { transportId });
    }
    for (const name of ['pause-producer', 'resume-producer', 'close-producer'])
      await askError(bob.client, 'not_found', name, { producerId: id });
    for (const name of ['resume-consumer', 'pause-consumer', 'close-consumer', 'request-keyframe'])
      await askError(bob.client, 'not_found', name, { consumerId: id });
    await askError(bob.client, 'not_found', 'consume', { meetingId, transportId: bob.recv.id, producerId: 'nowhere',
      rtpCapabilities: bob.device.rtpCapabilities });
  });

  test('who is not in the meeting', async () => {
    const { meetingId } = await pair();
    const other = await enter(cluster, tokens.carol, await createMeeting(cluster, tokens.carol));
    await askError(other, 'forbidden', 'create-transport', { meetingId, direction: 'send' });
    await askError(other, 'not_found', 'create-transport', { meetingId: '999999999', direction: 'send' });
  });

  test('parameters that are wrong are named', async () => {
    const { meetingId, alice, bob } = await pair();
    const good = { mid: '0', codecs: [{ mimeType: 'video/VP8', payloadType: 96, clockRate: 90000 }], encodings: [{ ssrc: 1111 }] };
    const produce = (rtpParameters, more = {}) =>
      ask(alice.client, 'produce', { meetingId, transportId: alice.send.id, kind: 'video', rtpParameters, ...more });
    const cases = [
      [{ ...good, codecs: [] }, /rtpParameters\.codecs/],
      [{ ...good, codecs: 'VP8' }, /rtpParameters\.codecs/],
      [{ ...good, codecs: [{ ...good.codecs[0], payloadType: 128 }] }, /rtpParameters\.codecs\[0\]\.payloadType/],
      [{ ...good, codecs: [{ ...good.codecs[0], mimeType: 'video/H265' }] }, /rtpParameters\.codecs\[0\]/],
      [{ ...good, encodings: [{ ssrc: '1' }] }, /rtpParameters\.encodings\[0\]\.ssrc/],
      [{ ...good, encodings: Array(5).fill({}) }, /rtpParameters\.encodings/],
      [{ ...good, rtcp: { cname: 'x\r\na=candidate' } }, /rtpParameters\.rtcp\.cname/],
    ];
    for (const [parameters, named] of cases) {
      const reply = await produce(parameters);
      assert.equal(reply.error?.code, 'bad_request', JSON.stringify(reply));
      assert.match(reply.error.message, named);
    }
    assert.equal((await produce(undefined)).error.code, 'bad_request');
    assert.equal((await produce(good, { kind: 'data' })).error.code, 'bad_request');
    assert.equal((await produce(good, { source: 'moon' })).error.code, 'bad_request');
    assert.equal((await produce(good)).success, true, 'and the session lives');

    const { producerId } = await event(bob.client, 'new-producer');
    const consume = (rtpCapabilities) => ask(bob.client, 'consume', { meetingId, transportId: bob.recv.id, producerId, rtpCapabilities });
    assert.match((await consume({ codecs: [{ mimeType: 'video/VP8' }] })).error.message, /rtpCapabilities\.codecs\[0\]\.clockRate/);
    assert.match((await consume({ codecs: [] })).error.message, /rtpCapabilities\.codecs/);
    assert.equal((await consume(bob.device.rtpCapabilities)).success, true);
    for (const dtlsParameters of [{}, { fingerprints: [] }, { fingerprints: [{ algorithm: 'md5', value: 'AB' }] }])
      await askError(bob.client, 'bad_request', 'connect-transport', { transportId: bob.recv.id, dtlsParameters });
  });

  // Short requests travel in a notification; long ones are fetched, together with those of others.
  test('numbers that are too large for the media worker are refused, and spoil no other request', async () => {
    const { meetingId, alice, bob } = await pair();
    const codec = { mimeType: 'video/VP8', payloadType: 96, clockRate: 90000, rtcpFeedback: [], parameters: {} };
    const good = { mid: '0', codecs: [codec], headerExtensions: [], encodings: [{ ssrc: 1111 }], rtcp: {} };
    const wrong = [2 ** 53 + 2, -1e20, 1e300].flatMap((number) => [
      { ...good, encodings: [{ ssrc: number }] },
      { ...good, codecs: [{ ...codec, parameters: { x: number } }], msid: 'x'.repeat(7000) },
      { ...good, unknown: [[{ deep: [number] }]] },
    ]);
    const produce = (rtpParameters) =>
      ask(alice.client, 'produce', { meetingId, transportId: alice.send.id, kind: 'video', rtpParameters });
    const asked = [
      ...wrong.map(produce),
      ask(bob.client, 'connect-transport', { transportId: bob.recv.id,
        dtlsParameters: { role: 'client', fingerprints: [{ algorithm: 'sha-256', value: 1e20 }] } }),
      ask(bob.client, 'consume', { meetingId, transportId: bob.recv.id, producerParticipantId: alice.client.participantId,
        kind: 'video', rtpCapabilities: { codecs: [{ ...codec, kind: 'video', preferredPayloadType: 1e19 }] } }),
    ];
    const others = Array.from({ length: 5 }, () => ask(bob.client, 'get-stats', { transportId: bob.send.id }));
    for (const reply of await Promise.all(asked.slice(0, -1))) assert.equal(reply.error?.code, 'bad_request', JSON.stringify(reply));
    assert.notEqual((await asked.at(-1)).error?.code, 'unavailable');
    for (const reply of await Promise.all(others)) assert.equal(reply.success, true, JSON.stringify(reply));
    for (const huge of [{ ...good, msid: 'x'.repeat(300_000) },
      { ...good, headerExtensions: Array.from({ length: 10_000 }, (_, i) => ({ uri: `urn:x:${i}`, id: i % 14 + 1 })) }])
      assert.equal((await produce(huge)).error?.code, 'bad_request');
    assert.equal((await produce({ ...good, codecs: [{ ...codec, parameters: { x: 2 ** 53, y: 0.5, z: -1 } }] })).success, true);
  });

  test('a transport is connected once', async () => {
    const { alice } = await pair();
    await alice.produce('audio');
    const dtlsParameters = { role: 'client', fingerprints: [{ algorithm: 'sha-256', value: Array(32).fill('AB').join(':') }] };
    await askError(alice.client, 'conflict', 'connect-transport', { transportId: alice.send.id, dtlsParameters });
  });

  test('a viewer consumes but does not produce', async () => {
    const { meetingId, alice, bob } = await pair();
    await askOk(alice.client, 'update-participant-role', { meetingId, participantId: bob.client.participantId, role: 'viewer' });
    await assert.rejects(bob.produce('audio'), /forbidden/);
    const { id } = await alice.produce('audio');
    await bob.consume({ producerId: id });
  });
});

describe('the host', () => {
  test('mutes, whatever the muted client does', async () => {
    const { meetingId, alice, bob } = await pair();
    const microphone = await bob.produce('audio');
    const participantId = bob.client.participantId;
    await askOk(alice.client, 'mute-participant', { meetingId, participantId, mute: true, kind: 'audio' });
    assert.equal((await event(bob.client, 'muted-by-host')).muted, true);
    await event(alice.client, 'producer-paused', (payload) => payload.producerId === microphone.id);
    await askError(bob.client, 'forbidden', 'resume-producer', { producerId: microphone.id });
    await askOk(alice.client, 'mute-participant', { meetingId, participantId, mute: false, kind: 'audio' });
    await askOk(bob.client, 'resume-producer', { producerId: microphone.id });
  });

  test('removes: the removed one\'s producers are closed', async () => {
    const { meetingId, alice, bob } = await pair();
    const { id } = await bob.produce('audio');
    await producerOf(alice.client, bob.client.participantId, 'audio');
    await askOk(alice.client, 'remove-participant', { meetingId, participantId: bob.client.participantId });
    await event(bob.client, 'removed-from-meeting');
    await event(alice.client, 'participant-left');
    await askError(alice.client, 'not_found', 'consume', { meetingId, transportId: alice.recv.id, producerId: id,
      rtpCapabilities: alice.device.rtpCapabilities });
  });
});

describe('the media worker', () => {
  test('statistics that cannot be stored hold up no heartbeat', async () => {
    const { alice } = await pair();
    const { id } = await alice.produce('audio');
    await until(() => cluster.value('SELECT packets IS NOT NULL FROM rt.stat_media WHERE id = $1', [id]), 'statistics');
    const other = await cluster.pool.connect();
    try {
      await other.query('BEGIN; LOCK TABLE rt_private.media_producers IN EXCLUSIVE MODE');
      await until(() => cluster.value("SELECT m.heartbeat_at > a.xact_start + interval '2 s' FROM rt.stat_media_workers AS m, pg_stat_activity AS a WHERE a.pid = $1",
        [other.processID]), 'a heartbeat');
    } finally {
      await other.query('ROLLBACK');
      other.release();
    }
  });

  test('full by packets: it takes no more, neither from senders nor for viewers, until it sends less', async () => {
    const { meetingId, alice, bob } = await pair();
    const { id } = await alice.produce('audio');
    const consume = () => ask(bob.client, 'consume', { meetingId, transportId: bob.recv.id, producerId: id, rtpCapabilities: bob.device.rtpCapabilities });
    const full = async () => (await consume()).error?.code === 'full';
    const probe = await askOk(alice.client, 'create-transport', { meetingId, direction: 'send' });
    const socket = createSocket('udp4');
    const [host, port] = cluster.env.RT_MEDIA.split(':');
    const timer = setInterval(() => socket.send(stunCheck(probe.iceParameters), Number(port), host), 10);
    try {
      await cluster.sql('ALTER SYSTEM SET rt.media_max_packets = 5');
      await cluster.sql('SELECT pg_reload_conf()');
      await until(full, 'full for viewers');
      await assert.rejects(bob.produce('audio'), /"full"/);
      clearInterval(timer);
      await until(async () => !(await full()), 'room again');
    } finally {
      clearInterval(timer);
      socket.close();
      await cluster.sql('ALTER SYSTEM RESET rt.media_max_packets');
      await cluster.sql('SELECT pg_reload_conf()');
    }
  });

  test('stopped: every request is answered, and in time', async () => {
    const { meetingId, alice } = await pair();
    const create = () => ask(alice.client, 'create-transport', { meetingId, direction: 'send' });
    await within(6000, async () => {
      const pid = await cluster.pid('media');
      const { id } = await askOk(alice.client, 'create-transport', { meetingId, direction: 'send' });
      const restart = () => ask(alice.client, 'restart-ice', { transportId: id });
      const begun = performance.now();
      process.kill(pid, 'SIGSTOP');
      try {
        for (const reply of await Promise.all(Array.from({ length: 10 }, restart))) assert.equal(reply.error?.code, 'unavailable', JSON.stringify(reply));
        return performance.now() - begun;
      } finally {
        process.kill(pid, 'SIGCONT');
        await until(async () => (await create()).success, 'it serves again');
      }
    });
  });

  test('killed: clients are told and build their transports anew', async () => {
    const { meetingId, alice, bob } = await pair();
    const closed = [alice.send.id, alice.recv.id];
    process.kill(await cluster.pid('media'), 'SIGKILL');
    for (const transportId of closed) await event(alice.client, 'transport-closed', (payload) => payload.transportId === transportId);
    for (const it of [alice, bob]) {
      await until(async () => {
        const reply = await ask(it.client, 'create-transport', { meetingId, direction: 'send' });
        if (reply.success) it.send = it.wire(it.device.createSendTransport(reply));
        return reply.success;
      }, 'a transport');
      await it.open('recv');
    }
    const { id } = await alice.produce('video');
    await bob.consume({ producerId: id });
    assert.deepEqual(received(bob.client, 'participant-left'), []);
  });
});

test('router capabilities in SQL are those of the forwarder', async () => {
  const { alice } = await pair();
  await run(fileURLToPath(new URL('../ortc/build', import.meta.url)));
  const driver = run(fileURLToPath(new URL('../../build/ortc/driver', import.meta.url)));
  driver.child.stdin.end('{"op":"router"}\n');
  const { routerId, rtpCapabilities } = alice.client.joined.webrtcConfig;
  assert.deepEqual(rtpCapabilities, JSON.parse((await driver).stdout).ok);
  assert.equal(typeof routerId, 'string');
});
