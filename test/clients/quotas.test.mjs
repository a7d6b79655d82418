// What one user may have of meetings, transports, producers and consumers in all.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ask, askOk, closeAll } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';
import { Call, createMeeting, enter } from './lib/meeting.mjs';

let cluster;
let users;
before(async () => {
  cluster = await Cluster.start({
    'rt.max_meetings_per_user': '4', 'rt.max_transports_per_user': '5', 'rt.max_producers_per_user': '3',
    'rt.max_consumers_per_user': '3',
  });
  users = await cluster.users('ann', 'ben', 'cat', 'dan', 'eve');
});
after(async () => { await cluster?.stop(); });

const sorted = (list) => list.toSorted((a, b) => (a < b ? -1 : 1));

describe('quotas of a user', () => {
  after(closeAll);

  test('meetings that have not ended, however many requests come at once', async () => {
    const create = () => cluster.rest('POST', '/api/meetings', users[0], { title: 'one of many' });
    const replies = await Promise.all(Array.from({ length: 9 }, create));
    assert.deepEqual(sorted(replies.map((r) => r.status)), [201, 201, 201, 201, 429, 429, 429, 429, 429]);
    assert.equal(replies.find((r) => r.status === 429).body.error.code, 'rate_limited');
    const { id } = replies.find((r) => r.status === 201).body.data;
    await cluster.rest('POST', `/api/meetings/${id}/end`, users[0]);
    assert.equal((await create()).status, 201);
    assert.equal((await create()).status, 429);
    assert.equal((await cluster.rest('POST', '/api/meetings', users[1], { title: 'of another' })).status, 201);
    // By SQL: an application is held to it, the owner of the database is not.
    const db = await cluster.pool.connect();
    try {
      await db.query('BEGIN');
      await db.query('SET LOCAL ROLE rt_app');
      await db.query("SET LOCAL rt.user_id = 'ann'");
      await assert.rejects(db.query("INSERT INTO rt.meetings (title, host_id) VALUES ('x', 'ann')"), { code: 'RT429' });
    } finally {
      await db.query('ROLLBACK');
      db.release(true);
    }
    assert.ok(await cluster.value("SELECT rt.create_meeting('x', 'ann')"));
  });

  test('transports, over meetings and devices', async () => {
    const meetings = [await createMeeting(cluster, users[1]), await createMeeting(cluster, users[1])];
    const devices = await Promise.all([0, 0, 1, 1].map((i) => enter(cluster, users[1], meetings[i])));
    const asked = devices.flatMap((client) => ['send', 'recv'].map((direction) =>
      ask(client, 'create-transport', { meetingId: client.meetingId, direction })));
    const replies = await Promise.all(asked);
    assert.equal(replies.filter((r) => r.success).length, 5, JSON.stringify(replies));
    assert.deepEqual([...new Set(replies.filter((r) => !r.success).map((r) => r.error.code))], ['rate_limited']);
    // Who leaves gives back.
    await askOk(devices[0], 'leave-meeting', { meetingId: meetings[0] });
    await askOk(devices[1], 'leave-meeting', { meetingId: meetings[0] });
    const ann = await enter(cluster, users[0], meetings[0]);
    await askOk(ann, 'create-transport', { meetingId: meetings[0], direction: 'recv' });
    await askOk(devices[2], 'leave-meeting', { meetingId: meetings[1] });
    await askOk(devices[3], 'create-transport', { meetingId: meetings[1], direction: 'recv' });
  });

  test('producers, over meetings and devices', async () => {
    const meetings = [await createMeeting(cluster, users[2]), await createMeeting(cluster, users[2])];
    const calls = await Promise.all(meetings.map(async (id) => {
      const call = await new Call(await enter(cluster, users[2], id)).load();
      return { call, transport: await call.open('send') };
    }));
    const produce = ({ call, transport }, ssrc) => ask(call.client, 'produce', {
      meetingId: call.meetingId, transportId: transport.id, kind: 'audio', source: 'microphone',
      rtpParameters: {
        codecs: [{ mimeType: 'audio/opus', payloadType: 100, clockRate: 48000, channels: 2, parameters: {}, rtcpFeedback: [] }],
        headerExtensions: [], encodings: [{ ssrc }], rtcp: { cname: `c${ssrc}` },
      },
    });
    const replies = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => produce(calls[n % 2], 1000 + n)));
    assert.equal(replies.filter((r) => r.success).length, 3, JSON.stringify(replies));
    assert.deepEqual([...new Set(replies.filter((r) => !r.success).map((r) => r.error.code))], ['rate_limited']);
    const { producerId } = replies.find((r) => r.success);
    const owner = calls[1 - replies.findIndex((r) => r.success) % 2].call.client;
    await askOk(owner, 'close-producer', { producerId });
    assert.equal((await produce(calls[0], 2001)).success, true);
    assert.equal((await produce(calls[1], 2002)).error.code, 'rate_limited');
  });

  test('consumers, over meetings and devices', async () => {
    const meetings = [await createMeeting(cluster, users[3]), await createMeeting(cluster, users[3])];
    const senders = await Promise.all(meetings.map(async (id) => {
      const it = await new Call(await enter(cluster, users[3], id)).load();
      await it.open('send');
      return it.produce('audio');
    }));
    const devices = await Promise.all([0, 1, 1].map(async (i) => {
      const it = await new Call(await enter(cluster, users[4], meetings[i])).load();
      await it.open('recv');
      return { it, producerId: senders[i].id };
    }));
    const consume = ({ it, producerId }) => ask(it.client, 'consume', {
      meetingId: it.meetingId, transportId: it.recv.id, producerId, rtpCapabilities: it.device.rtpCapabilities });
    const replies = [];
    for (const device of [...devices, ...devices]) replies.push(await consume(device));
    assert.deepEqual(replies.map((r) => r.error?.code), [undefined, undefined, undefined, 'rate_limited', 'rate_limited', 'rate_limited']);
    await askOk(devices[1].it.client, 'close-consumer', { consumerId: replies[1].consumerId });
    assert.equal((await consume(devices[0])).success, true);
    assert.equal((await consume(devices[2])).error?.code, 'rate_limited');
  });
});
