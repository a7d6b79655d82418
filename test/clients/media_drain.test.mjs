// rt.drain_media() and SIGTERM: a media worker's meetings move to another one, while the old one forwards on.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, afterEach, before, test } from 'node:test';
import { FakeMediaStreamTrack } from 'fake-mediastreamtrack';
import { Cluster } from './lib/cluster.mjs';
import { askError, askOk, closeAll, event, received, until } from './lib/client.mjs';
import { Media } from './lib/gateway.mjs';
import { install } from './lib/kit.mjs';
import { Call, call, createMeeting, enter, producerOf } from './lib/meeting.mjs';

const require = createRequire(import.meta.url);
const { FakeHandler } = require('mediasoup-client/lib/handlers/FakeHandler');
const fakeParameters = require('mediasoup-client/lib/test/fakeParameters');

let cluster, tokens;

before(async () => {
  cluster = await Cluster.start({ 'rt.media_workers': 2 });
  // What is late on a busy machine is not lost.
  await cluster.sql(`CREATE OR REPLACE FUNCTION rt_private.media_alive(w rt_private.media_workers) RETURNS boolean LANGUAGE sql VOLATILE
    RETURN w.heartbeat_at > pg_catalog.clock_timestamp() - interval '60 seconds'`);
  tokens = await cluster.tokens('alice', 'bob', 'carol');
  await until(async () => await alive() === 2, 'two media workers');
});
after(() => cluster?.stop());
afterEach(closeAll);

const alive = () => cluster.value('SELECT count(*)::integer FROM rt_private.media_workers');
const workers = () => cluster.sql('SELECT slot, meetings::integer, draining_since FROM rt.stat_media_workers ORDER BY slot');
const slotOf = (meetingId) => cluster.value(`SELECT w.slot FROM rt_private.media_routers AS r JOIN rt_private.media_workers AS w ON w.id = r.worker
  WHERE r.meeting_id = $1`, [meetingId]);

async function reopened(it) {
  const moved = {};
  for (const direction of ['send', 'recv']) {
    const told = await event(it.client, 'transport-closed', (payload) => payload.transportId === it[direction].id);
    assert.equal(told.direction, direction);
    assert.equal(told.reason, 'worker-draining');
    assert.equal(told.closesInMs, 20000);
    assert.equal(told.meetingId, it.meetingId);
    moved.routerId = told.routerId;
  }
  moved.old = { send: it.send, recv: it.recv };
  moved.ports = [(await it.open('send')).iceCandidates[0].port, (await it.open('recv')).iceCandidates[0].port];
  return moved;
}

test('a running meeting is on two workers until clients have new transports', async () => {
  const meetingId = await createMeeting(cluster, tokens.alice);
  const alice = await call(cluster, tokens.alice, meetingId);
  const bob = await call(cluster, tokens.bob, meetingId);
  const camera = await alice.produce('video', { source: 'camera' });
  await bob.consume({ producerId: (await producerOf(bob.client, alice.client.participantId, 'video')).producerId });
  const from = await slotOf(meetingId);
  const [{ slot: to, port }] = await cluster.sql('SELECT slot, udp_port AS port FROM rt.stat_media_workers WHERE slot <> $1', [from]);

  assert.equal(await cluster.value('SELECT rt.drain_media($1)', [from]), 1, 'one worker is told');
  await until(async () => await slotOf(meetingId) === to, 'it moves');
  for (const { slot, meetings, draining_since: since } of await workers()) {
    assert.equal(meetings, 1, 'the meeting counts on both');
    assert.equal(since !== null, slot === from);
  }
  const moved = await reopened(alice);
  assert.deepEqual(moved.ports, [port, port]);
  assert.notEqual(moved.routerId, alice.client.joined.webrtcConfig.routerId);
  assert.equal((await reopened(bob)).routerId, moved.routerId);

  // What is on the former router goes on, and is not to be had on the new one.
  await askOk(alice.client, 'restart-ice', { transportId: moved.old.send.id });
  await askError(bob.client, 'not_found', 'consume', { meetingId, transportId: bob.recv.id, producerId: camera.id, rtpCapabilities: bob.device.rtpCapabilities });
  assert.deepEqual(received(bob.client, 'producer-closed'), []);

  const again = await alice.produce('video', { source: 'camera' });
  await event(bob.client, 'new-producer', ({ producerId }) => producerId === again.id);
  assert.equal((await bob.consume({ producerParticipantId: alice.client.participantId, kind: 'video' })).answer.producerId, again.id);

  // Who joins now is on the new router.
  const carol = await call(cluster, tokens.carol, meetingId);
  assert.equal(carol.client.joined.webrtcConfig.routerId, moved.routerId);
  await carol.consume({ producerId: again.id });

  await event(bob.client, 'producer-closed', ({ producerId }) => producerId === camera.id);
  await until(async () => (await workers()).every(({ slot, meetings }) => meetings === (slot === to ? 1 : 0)), 'the worker is empty');
  await askError(alice.client, 'not_found', 'restart-ice', { transportId: moved.old.send.id });
  await askOk(alice.client, 'restart-ice', { transportId: alice.send.id });
  assert.equal(received(alice.client, 'transport-closed').length, 2, 'each transport is told of once');

  // It takes no new meetings; and the last worker cannot be drained.
  for (let i = 0; i < 4; i++) {
    const id = await createMeeting(cluster, tokens.alice);
    await enter(cluster, tokens.alice, id);
    assert.equal(await slotOf(id), to);
  }
  await assert.rejects(cluster.sql('SELECT rt.drain_media($1)', [to]), { code: '55000', message: 'no other media worker could take the meetings' });
  assert.equal(await slotOf(meetingId), to);
});

test('who may drain, and what', async () => {
  await assert.rejects(cluster.sql("SELECT rt.drain_media('nobody')"), { code: '42704', message: 'media worker or host "nobody" is not running' });
  await assert.rejects(cluster.sql("SET ROLE pg_monitor; SELECT rt.drain_media('nobody')"), { code: '42501' });
});

test('a program on a host of its own serves a call, and moves it when it ends by SIGTERM', async () => {
  const host = await Media.start(cluster, cluster.folder, 'media-host', { region: 'mars' });
  try {
    await until(async () => await alive() === 3, 'it is known');
    const meetingId = await createMeeting(cluster, tokens.alice);
    const alice = new Call(await enter(cluster, tokens.alice, meetingId, { join: { region: 'mars' } }));
    await alice.load();
    for (const direction of ['send', 'recv'])
      assert.equal((await alice.open(direction)).iceCandidates[0].port, host.port);
    await alice.produce('audio');

    host.process.kill('SIGTERM');
    const { ports } = await reopened(alice);
    assert.ok(!ports.includes(host.port));
    await alice.produce('audio');
    await until(() => host.process.exitCode !== null, 'it ends');
    assert.equal(host.process.exitCode, 0, host.log);
    await askOk(alice.client, 'restart-ice', { transportId: alice.send.id });
    assert.equal(received(alice.client, 'transport-closed').length, 2, 'nothing is lost when it ends');
  } finally {
    await host.stop('SIGKILL');
  }
});

test('clients/js: a track is replaced by its successor, and is never missing', async () => {
  const kit = await install();
  const host = await Media.start(cluster, cluster.folder, 'kit-host', { region: 'moon' });
  const clients = [];
  try {
    const { Client } = await kit.load();
    const join = async (user) => {
      const client = new Client({ url: cluster.url, token: tokens[user], storage: null, device: { handlerFactory: FakeHandler.createFactory(fakeParameters) } });
      clients.push(client);
      await client.connect();
      const meeting = client.meeting(meetingId);
      await meeting.join();
      return meeting;
    };
    await until(async () => await alive() === 3, 'it is known');
    const meetingId = await createMeeting(cluster, tokens.alice);
    await enter(cluster, tokens.carol, meetingId, { join: { region: 'moon' } });
    const [alice, bob] = [await join('alice'), await join('bob')];
    await alice.produce(new FakeMediaStreamTrack({ kind: 'video' }));
    await alice.produce(new FakeMediaStreamTrack({ kind: 'audio' }));
    await until(() => bob.state.tracks.length === 2, 'two tracks');
    const before = bob.state.tracks;
    const counts = new Set();
    bob.subscribe(({ tracks }) => counts.add(tracks.length));
    assert.equal(await cluster.value("SELECT rt.drain_media('kit-host')"), 1, 'by the name of the host');
    await until(() => bob.state.tracks.every(({ producerId }) => !before.some((track) => track.producerId === producerId)), 'other tracks');
    assert.deepEqual(bob.state.tracks.map(({ source }) => source), before.map(({ source }) => source));
    assert.deepEqual([...counts], [2]);

    // What is stopped is stopped on both ways.
    await alice.stop('camera');
    await until(() => bob.state.tracks.map(({ source }) => source).join() === 'microphone', 'the microphone is left');
    assert.equal(await cluster.value("SELECT count(*)::integer FROM rt_private.media_producers WHERE meeting_id = $1 AND kind = 'video'", [meetingId]), 0);
    assert.equal(bob.state.error, undefined);
  } finally {
    for (const client of clients) client.close();
    await host.stop('SIGKILL');
    await kit.remove();
  }
});
