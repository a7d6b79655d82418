// The lobby of a meeting: who waits, who lets in, and what everybody hears of it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ask, askError, askOk, closeAll, connect, event, until } from './lib/client.mjs';
import * as jose from 'jose';
import { Cluster } from './lib/cluster.mjs';
import { createMeeting, enter } from './lib/meeting.mjs';

let cluster;
let host;
let users;
before(async () => {
  cluster = await Cluster.start({ 'rt.meeting_grace': '60s' });
  [host, ...users] = await cluster.users('hal', 'ann', 'ben', 'cat');
});
after(async () => { await cluster?.stop(); });

const open = (more) => createMeeting(cluster, host, { lobby: true, ...more });

// A client that waits, and what the host heard of it.
async function wait(token, meetingId, ...hosts) {
  const client = await connect(cluster, token);
  const userId = jose.decodeJwt(token).sub;
  const told = hosts.map((h) => event(h, 'participant-waiting', (w) => w.userId === userId));
  const reply = await ask(client, 'join-meeting', { meetingId });
  assert.deepEqual([reply.success, reply.error.code], [false, 'waiting']);
  const heard = await Promise.all(told);
  return { client, heard, waitingId: heard[0]?.waitingId };
}

describe('lobby', () => {
  after(closeAll);

  test('who joins waits; a host admits; the client joins again', async () => {
    const meetingId = await open();
    const hal = await enter(cluster, host, meetingId);
    assert.equal(hal.joined.meeting.lobby, true);
    assert.deepEqual(hal.joined.waiting, []);
    const { client: ann, heard: [told], waitingId } = await wait(users[0], meetingId, hal);
    assert.deepEqual({ ...told, timestamp: undefined },
      { meetingId, waitingId, userId: 'ann', userName: 'Ann', guest: false, timestamp: undefined });
    assert.equal((await cluster.rest('GET', `/api/meetings/${meetingId}/participants`, host)).body.count, 1);
    const admitted = event(ann, 'meeting-admitted');
    const left = event(hal, 'participant-waiting-left');
    assert.equal((await askOk(hal, 'admit-participant', { meetingId, waitingId })).count, 1);
    assert.deepEqual(await admitted, { meetingId });
    assert.deepEqual(await left, { meetingId, waitingId, userName: 'Ann', reason: 'admitted' });
    const joined = await askOk(ann, 'join-meeting', { meetingId });
    assert.equal(joined.participants.length, 2);
    assert.equal(joined.waiting, null);
    // Once in, they may leave and come back.
    await askOk(ann, 'leave-meeting', { meetingId });
    await askOk(ann, 'join-meeting', { meetingId });
    await askError(hal, 'not_found', 'admit-participant', { meetingId, waitingId });
  });

  test('without an ack the answer is an error event', async () => {
    const meetingId = await open();
    const ann = await connect(cluster, users[0]);
    const error = event(ann, 'error');
    ann.emit('join-meeting', { meetingId });
    const { code, event: name } = await error;
    assert.deepEqual([code, name], ['waiting', 'join-meeting']);
    assert.equal(await cluster.value('SELECT status FROM rt.meetings WHERE id = $1', [meetingId]), 'scheduled');
  });

  test('a host refuses: the client hears it, and may ask again only later', async () => {
    const meetingId = await open();
    const hal = await enter(cluster, host, meetingId);
    const { client: ann, waitingId } = await wait(users[0], meetingId, hal);
    const refused = event(ann, 'meeting-refused');
    await askOk(hal, 'refuse-participant', { meetingId, waitingId });
    assert.deepEqual(await refused, { meetingId });
    await askError(ann, 'forbidden', 'join-meeting', { meetingId });
    await cluster.sql(`UPDATE rt.meeting_waiting SET decided_at = decided_at - interval '31 s' WHERE id = $1`, [waitingId]);
    await askError(ann, 'waiting', 'join-meeting', { meetingId });
    await until(() => hal.events.filter(([name]) => name === 'participant-waiting').length === 2, 'the host hears it again');
  });

  test('all at once, by a co-host; who waits is in the list of a host who joins', async () => {
    const meetingId = await open();
    const waiting = [await wait(users[0], meetingId), await wait(users[1], meetingId)];
    const hal = await enter(cluster, host, meetingId);
    assert.deepEqual(hal.joined.waiting.map((w) => w.userId), ['ann', 'ben']);
    await cluster.sql('INSERT INTO rt.meeting_invitees (meeting_id, user_id, role) VALUES ($1, $2, $3)', [meetingId, 'cat', 'co-host']);
    const cat = await enter(cluster, users[2], meetingId);
    assert.equal(cat.joined.waiting.length, 2);
    const admitted = waiting.map(({ client }) => event(client, 'meeting-admitted'));
    assert.equal((await askOk(cat, 'admit-participant', { meetingId, waitingId: 'all' })).count, 2);
    await Promise.all(admitted);
    assert.equal((await askOk(cat, 'admit-participant', { meetingId, waitingId: 'all' })).count, 0);
  });

  test('only hosts and co-hosts hear of it, and may decide; who becomes one is told who waits', async () => {
    const meetingId = await open();
    const hal = await enter(cluster, host, meetingId);
    const { client: ann, waitingId } = await wait(users[0], meetingId, hal);
    await askOk(hal, 'admit-participant', { meetingId, waitingId });
    const in_ = await askOk(ann, 'join-meeting', { meetingId });
    const { waitingId: ben } = await wait(users[1], meetingId, hal);
    await askError(ann, 'forbidden', 'admit-participant', { meetingId, waitingId: ben });
    await askError(ann, 'forbidden', 'refuse-participant', { meetingId, waitingId: ben });
    assert.ok(!ann.events.some(([name]) => name === 'participant-waiting'));
    const told = event(ann, 'participant-waiting');
    await askOk(hal, 'update-participant-role', { meetingId, participantId: in_.participantId, role: 'co-host' });
    assert.equal((await told).waitingId, ben);
    await askOk(ann, 'refuse-participant', { meetingId, waitingId: ben });
    await askError(hal, 'bad_request', 'admit-participant', { meetingId, waitingId: {} });
    await askError(hal, 'bad_request', 'admit-participant', { meetingId });
  });

  test('to ask again is no second event; who drops or leaves waits no longer', async () => {
    const meetingId = await open();
    const hal = await enter(cluster, host, meetingId);
    const { client: ann, waitingId } = await wait(users[0], meetingId, hal);
    await askError(ann, 'waiting', 'join-meeting', { meetingId });
    const left = event(hal, 'participant-waiting-left');
    ann.disconnect();
    assert.deepEqual(await left, { meetingId, waitingId, userName: 'Ann', reason: 'left' });
    assert.equal(hal.events.filter(([name]) => name === 'participant-waiting').length, 1);
    await askError(hal, 'not_found', 'admit-participant', { meetingId, waitingId });
    const { client: ben } = await wait(users[1], meetingId, hal);
    const gone = event(hal, 'participant-waiting-left', (w) => w.userName === 'Ben');
    await askOk(ben, 'leave-meeting', { meetingId });
    assert.equal((await gone).reason, 'left');
  });

  test('those in the grace do not wait', async () => {
    const meetingId = await createMeeting(cluster, host);
    const ann = await enter(cluster, users[0], meetingId);
    await cluster.rest('PATCH', `/api/meetings/${meetingId}`, host, { lobby: true });
    ann.io.engine.close();
    await until(() => cluster.value('SELECT disconnected_at FROM rt.meeting_participants WHERE id = $1', [ann.participantId]), 'dropped');
    assert.equal((await enter(cluster, users[0], meetingId)).participantId, ann.participantId);
  });

  test('the order of the checks: access and password before, places after', async () => {
    const meetingId = await open({ access: 'invited', inviteeIds: ['ann'], password: 'sesame', maxParticipants: 1 });
    await enter(cluster, host, meetingId);
    const [ann, ben] = [await connect(cluster, users[0]), await connect(cluster, users[1])];
    await askError(ben, 'forbidden', 'join-meeting', { meetingId, password: 'sesame' });
    await askError(ann, 'wrong_password', 'join-meeting', { meetingId, password: 'no' });
    await askError(ann, 'waiting', 'join-meeting', { meetingId, password: 'sesame' });
    await cluster.sql('SELECT rt.admit_waiting($1)', [meetingId]);
    await askError(ann, 'full', 'join-meeting', { meetingId, password: 'sesame' });
  });

  test('REST says that one would have to wait, and puts nobody into the lobby', async () => {
    const meetingId = await open();
    const { status, body } = await cluster.rest('POST', `/api/meetings/${meetingId}/join`, users[0], {});
    assert.deepEqual([status, body.success, body.error.code], [403, false, 'waiting']);
    assert.equal(await cluster.value('SELECT count(*)::int FROM rt.meeting_waiting WHERE meeting_id = $1', [meetingId]), 0);
    assert.equal((await cluster.rest('POST', `/api/meetings/${meetingId}/join`, host, {})).status, 200);
    assert.equal((await cluster.rest('POST', '/api/meetings', host, { title: 'x', lobby: 'yes' })).status, 400);
  });

  test('guests wait too, and are marked', async () => {
    const meetingId = await open({ guests: true });
    const hal = await enter(cluster, host, meetingId);
    const { body } = await cluster.rest('POST', `/api/meetings/${meetingId}/guests`, undefined, { name: 'Gus' });
    const { client: gus, heard: [told], waitingId } = await wait(body.token, meetingId, hal);
    assert.deepEqual([told.userName, told.guest], ['Gus', true]);
    const admitted = event(gus, 'meeting-admitted');
    await cluster.sql('SELECT rt.admit_waiting($1, $2)', [meetingId, waitingId]);
    await admitted;
    await askOk(gus, 'join-meeting', { meetingId });
  });

  test('a lobby that is switched off lets all in; the end of the meeting is told to who waits', async () => {
    const meetingId = await open();
    const { client: ann } = await wait(users[0], meetingId);
    const admitted = event(ann, 'meeting-admitted');
    await cluster.rest('PATCH', `/api/meetings/${meetingId}`, host, { lobby: false });
    await admitted;
    await askOk(ann, 'join-meeting', { meetingId });
    for (const end of ['UPDATE rt.meetings SET status = $$ended$$ WHERE id = $1', 'DELETE FROM rt.meetings WHERE id = $1']) {
      const other = await open();
      const { client: ben } = await wait(users[1], other);
      const ended = event(ben, 'meeting-ended');
      await cluster.sql(end, [other]);
      const { meetingId: id, meeting } = await ended;
      assert.deepEqual([id, meeting.status], [other, 'ended']);
    }
  });

  test('who waits hears nothing of the meeting', async () => {
    const meetingId = await open();
    const hal = await enter(cluster, host, meetingId);
    const { client: ann } = await wait(users[0], meetingId, hal);
    await askOk(hal, 'send-message', { meetingId, message: 'secret' });
    await askError(ann, 'forbidden', 'send-message', { meetingId, message: 'hello?' });
    const admitted = event(ann, 'meeting-admitted');
    await askOk(hal, 'admit-participant', { meetingId, waitingId: 'all' });
    await admitted;
    assert.deepEqual(ann.events.map(([name]) => name).filter((name) => name !== 'meeting-admitted' && name !== 'chat-user-status-update'), []);
  });
});
