// Contract, section 3: joining a meeting, what is heard in it, who may do what, and what becomes of dropped sockets.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { unlink, writeFile } from 'node:fs/promises';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { ask, askError, askOk, closeAll, connect, connected, dial, event, received, settled, until, within } from './lib/client.mjs';
import { createMeeting, enter } from './lib/meeting.mjs';

// So long that whoever is to come back within it can; expire() ends it.
const GRACE = '5 min';
const NAMES = ['alice', 'bob', 'carol', 'dave'];
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

let cluster, tokens;

before(async () => {
  cluster = await Cluster.start({ 'rt.meeting_grace': GRACE, 'rt.gateway_workers': 2 });
  tokens = await cluster.tokens(...NAMES);
});
after(() => cluster?.stop());
afterEach(closeAll);

// A meeting of alice, its host, and others; each a client that has joined.
async function scene(...names) {
  const meetingId = await createMeeting(cluster, tokens.alice);
  const clients = { meetingId };
  for (const name of ['alice', ...names]) clients[name] = await enter(cluster, tokens[name], meetingId);
  return clients;
}

const participants = (meetingId) =>
  cluster.sql('SELECT * FROM rt.meeting_participants WHERE meeting_id = $1 AND left_at IS NULL ORDER BY id', [meetingId]);

// The grace of those who have dropped and whose user is given, or of all of them, is over.
const expire = (meetingId, userId) => cluster.sql(`UPDATE rt.meeting_participants SET disconnected_at = disconnected_at - $2::interval
  WHERE meeting_id = $1 AND left_at IS NULL AND disconnected_at > now() - $2::interval AND user_id = coalesce($3, user_id)`, [meetingId, GRACE, userId]);
const dropped = (meetingId, userId) => until(async () => (await participants(meetingId)).some((p) => p.disconnected_at && p.user_id === userId), 'the drop');

describe('TURN', () => {
  const secret = 'north, south & 東';
  let changed = [];

  async function change(values) {
    for (const [name, value] of Object.entries(values)) await cluster.sql(`ALTER SYSTEM SET ${name} = '${value}'`);
    changed = Object.keys(values);
    await cluster.sql('SELECT pg_reload_conf()');
  }

  afterEach(async () => {
    for (const name of changed) await cluster.sql(`ALTER SYSTEM RESET ${name}`);
    await cluster.sql('SELECT pg_reload_conf()');
  });

  const config = async (meetingId) => (await cluster.rest('GET', `/api/meetings/${meetingId}/webrtc-config`, tokens.alice)).body.data;

  test('a user gets credentials as coturn checks them', async () => {
    const meetingId = await createMeeting(cluster, tokens.alice);
    const file = `${cluster.folder}/turn-secret`;
    await writeFile(file, `${secret}\n`);
    assert.deepEqual((await config(meetingId)).iceServers, []);
    assert.equal((await config(meetingId)).iceTransportPolicy, 'all');
    const urls = ['turn:turn.example.com:3478?transport=udp', 'turns:turn.example.com:443?transport=tcp'];
    await change({ 'rt.turn_urls': urls.join(', '), 'rt.turn_secret_file': file, 'rt.turn_lifetime': '10min', 'rt.ice_transport_policy': 'relay' });
    // Each of the gateways' sessions reads them by itself.
    for (let good = 0; good < 30; good++) if ((await config(meetingId)).iceTransportPolicy !== 'relay') good = -1;
    const { joined } = await enter(cluster, tokens.bob, meetingId);
    for (const [user, { iceServers: [server] }] of [['alice', await config(meetingId)], ['bob', joined.webrtcConfig]]) {
      assert.deepEqual(server.urls, urls);
      const [, expiry, name] = server.username.match(/^(\d+):(.*)$/);
      assert.equal(name, user);
      assert.ok(Math.abs(expiry - Date.now() / 1000 - 600) < 60, expiry);
      assert.equal(server.credential, createHmac('sha1', secret).update(server.username).digest('base64'));
    }
    // Another secret holds from the next join on.
    await writeFile(file, 'another');
    const { iceServers: [next] } = await config(meetingId);
    assert.equal(next.credential, createHmac('sha1', 'another').update(next.username).digest('base64'));
    // A file that has gone keeps nobody out.
    await unlink(file);
    assert.deepEqual((await config(meetingId)).iceServers, []);
  });

  test('nobody but the server makes them', async () => {
    await cluster.sql("DO $$ BEGIN CREATE ROLE turn_guest; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    for (const role of ['rt_gateway', 'rt_app', 'turn_guest'])
      for (const statement of ["SELECT rt_private.turn_hmac('9999999999:eve')", 'SHOW rt.turn_secret_file'])
        await assert.rejects(cluster.sql(`DO $$ BEGIN SET LOCAL ROLE ${role}; EXECUTE '${statement.replaceAll("'", "''")}'; END $$`), /permission denied|must be/);
  });
});

describe('join-meeting', () => {
  test('meeting-joined, the ack and participant-joined', async () => {
    const meetingId = await createMeeting(cluster, tokens.alice, { title: 'planning', maxParticipants: 7 });
    const alice = await enter(cluster, tokens.alice, meetingId);
    const bob = await enter(cluster, tokens.bob, meetingId, { join: { displayName: 'Bobby' } });
    const joined = await event(bob, 'meeting-joined');
    for (const seen of [joined, bob.joined]) {
      assert.equal(seen.participantId, bob.participantId);
      assert.equal(seen.meeting.id, meetingId);
      assert.equal(seen.meeting.title, 'planning');
      assert.equal(seen.meeting.status, 'live');
      assert.equal(seen.meeting.hostId, 'alice');
      assert.equal(seen.meeting.maxParticipants, 7);
      assert.equal(seen.meeting.hasPassword, false);
      assert.match(seen.meeting.startedAt, ISO);
      assert.deepEqual(Object.keys(seen.webrtcConfig).sort(), ['iceServers', 'iceTransportPolicy', 'routerId', 'rtpCapabilities']);
      assert.deepEqual(seen.participants.map(({ userId }) => userId), ['alice', 'bob']);
    }
    const other = await event(alice, 'participant-joined');
    assert.deepEqual(other, joined.participants[1]);
    assert.equal(other.userName, 'Bobby');
    assert.equal(other.role, 'participant');
    assert.deepEqual(other.media, { video: false, audio: false, screenSharing: false });
    assert.equal(other.handRaised, false);
    assert.deepEqual(other.producers, []);
    assert.ok(other.permissions.includes('produce'));
    assert.match(other.joinedAt, ISO);
    await settled(cluster, bob);
    assert.deepEqual(received(bob, 'participant-joined'), []);
  });

  test('refusals, in the contract\'s order', async () => {
    const bob = await connect(cluster, tokens.bob);
    await askError(bob, 'bad_request', 'join-meeting', {});
    await askError(bob, 'bad_request', 'join-meeting', { meetingId: 'x' });
    await askError(bob, 'bad_request', 'join-meeting', { meetingId: { a: 1 } });
    assert.equal((await askError(bob, 'not_found', 'join-meeting', { meetingId: '999999999' })).error.message, 'Meeting not found');

    const options = { password: 'sesame', maxParticipants: 2, access: 'invited', inviteeIds: ['bob', 'carol'] };
    const meetingId = await createMeeting(cluster, tokens.alice, options);
    const dave = await connect(cluster, tokens.dave);
    assert.equal((await askError(dave, 'forbidden', 'join-meeting', { meetingId })).error.message, 'Access denied');
    assert.equal((await askError(bob, 'wrong_password', 'join-meeting', { meetingId })).error.message, 'Wrong password');
    await askError(bob, 'wrong_password', 'join-meeting', { meetingId, password: 'simsim' });
    await askError(bob, 'bad_request', 'join-meeting', { meetingId, password: 7 });
    await askOk(bob, 'join-meeting', { meetingId, meeting_password: 'sesame' });
    await enter(cluster, tokens.alice, meetingId);
    const carol = await connect(cluster, tokens.carol);
    await askError(carol, 'wrong_password', 'join-meeting', { meetingId, password: 'x' });
    assert.equal((await askError(carol, 'full', 'join-meeting', { meetingId, password: 'sesame' })).error.message, 'Meeting is full');
    await cluster.sql('SELECT rt.end_meeting($1)', [meetingId]);
    assert.equal((await askError(dave, 'gone', 'join-meeting', { meetingId })).error.message, 'Meeting has ended');
  });

  test('without an ack: the error event', async () => {
    const bob = await connect(cluster, tokens.bob);
    bob.emit('join-meeting', { meetingId: '999999999' });
    const told = await event(bob, 'error');
    assert.equal(told.code, 'not_found');
    assert.equal(told.event, 'join-meeting');
  });

  test('a locked meeting: nobody but who was in it, and the host', async () => {
    const { meetingId, alice, bob } = await scene('bob');
    await askOk(alice, 'lock-meeting', { meetingId, locked: true });
    assert.equal((await event(bob, 'meeting-updated')).meeting.locked, true);
    const carol = await connect(cluster, tokens.carol);
    assert.equal((await askError(carol, 'forbidden', 'join-meeting', { meetingId })).error.message, 'Meeting is locked');
    bob.disconnect();
    await until(async () => (await participants(meetingId)).some((p) => p.disconnected_at), 'the drop');
    assert.equal((await enter(cluster, tokens.bob, meetingId)).participantId, bob.participantId);
    await askOk(alice, 'lock-meeting', { meetingId, locked: false });
    await askOk(carol, 'join-meeting', { meetingId });
  });

  test('one user on two devices is two participants', async () => {
    const { meetingId, alice } = await scene();
    const phone = await enter(cluster, tokens.bob, meetingId);
    const laptop = await enter(cluster, tokens.bob, meetingId);
    assert.notEqual(phone.participantId, laptop.participantId);
    await askOk(phone, 'leave-meeting', { meetingId });
    const left = await event(alice, 'participant-left');
    assert.equal(left.participantId, phone.participantId);
    await askOk(laptop, 'send-message', { meetingId, message: 'still here' });
  });

  test('twenty race for five places, from two gateways, a hundred times', async () => {
    const sockets = await Promise.all(Array.from({ length: 20 }, (_, i) => connect(cluster, tokens[NAMES[i % 4]])));
    for (let round = 0; round < 100; round++) {
      const meetingId = await createMeeting(cluster, tokens.alice, { maxParticipants: 5 });
      const replies = await Promise.all(sockets.map((socket) => ask(socket, 'join-meeting', { meetingId })));
      assert.equal(replies.filter(({ success }) => success).length, 5);
      for (const { success, error } of replies) assert.ok(success || error.code === 'full', JSON.stringify(error));
      assert.equal((await participants(meetingId)).length, 5);
      await cluster.sql('SELECT rt.end_meeting($1)', [meetingId]);
    }
  });

  test('nothing is missed and nothing comes before meeting-joined', async () => {
    const { meetingId, alice } = await scene();
    let more = true;
    const talking = (async () => {
      for (let i = 0; more; i++) await askOk(alice, 'send-message', { meetingId, message: `${i}` });
    })();
    talking.catch(() => {});
    for (let round = 0; round < 10; round++) {
      const bob = await connect(cluster, tokens.bob);
      bob.emit('join-meeting', { meetingId });
      const heard = await until(() => received(bob, 'new-message').length > 5 && received(bob, 'new-message'), 'messages');
      assert.equal(bob.events.find(([name]) => name !== 'chat-user-status-update')[0], 'meeting-joined');
      const numbers = heard.map(({ message }) => Number(message.message));
      assert.deepEqual(numbers, numbers.map((_, i) => numbers[0] + i), 'without a hole');
      await askOk(bob, 'leave-meeting', { meetingId });
    }
    more = false;
    await talking;
  });
});

describe('leaving', () => {
  test('leave-meeting: participant-left once, and nothing more arrives', async () => {
    const { meetingId, alice, bob } = await scene('bob');
    const reply = await askOk(bob, 'leave-meeting', { meetingId });
    assert.equal(reply.meetingId, meetingId);
    const left = await event(alice, 'participant-left');
    for (const [key, value] of Object.entries({ meetingId, participantId: bob.participantId, userId: 'bob', userName: 'Bob', reason: 'left' }))
      assert.equal(left[key], value);
    await askOk(alice, 'send-message', { meetingId, message: 'to those who stayed' });
    await event(alice, 'new-message');
    await settled(cluster, alice, bob);
    assert.deepEqual(received(bob, 'new-message'), []);
    assert.equal(received(alice, 'participant-left').length, 1);
    await askError(bob, 'forbidden', 'leave-meeting', { meetingId });
  });

  test('a dropped socket keeps its place, and takes it back', async () => {
    const { meetingId, alice, bob, carol } = await scene('bob', 'carol');
    bob.io.engine.close();
    carol.disconnect();
    await dropped(meetingId, 'bob');
    await dropped(meetingId, 'carol');
    const again = await enter(cluster, tokens.bob, meetingId);
    assert.equal(again.participantId, bob.participantId);
    await askOk(alice, 'send-message', { meetingId, message: 'welcome back' });
    await event(again, 'new-message');
    await expire(meetingId);
    await event(alice, 'participant-left', ({ userId }) => userId === 'carol');
    await settled(cluster, alice);
    assert.deepEqual(received(alice, 'participant-left').map(({ userId }) => userId), ['carol'], 'who did not come back');
    assert.equal(received(alice, 'participant-joined').length, 2);
  });

  test('after the grace: participant-left, once', () => within(5000, async () => {
    const { meetingId, alice, bob } = await scene('bob');
    bob.disconnect();
    await dropped(meetingId, 'bob');
    await settled(cluster, alice);
    assert.deepEqual(received(alice, 'participant-left'), [], 'not before');
    const gone = performance.now();
    await expire(meetingId);
    const left = await event(alice, 'participant-left');
    const took = performance.now() - gone;
    assert.equal(left.participantId, bob.participantId);
    assert.equal(left.reason, 'disconnected');
    await settled(cluster, alice);
    assert.equal(received(alice, 'participant-left').length, 1);
    return took;
  }));

  test('a session that is recovered is in its meetings again', async () => {
    const { meetingId, alice } = await scene();
    const bob = dial(cluster, tokens.bob, { reconnection: true, reconnectionDelay: 50 });
    await connected(bob);
    const { participantId } = await askOk(bob, 'join-meeting', { meetingId });
    await askOk(alice, 'send-message', { meetingId, message: 'one' });
    await event(bob, 'new-message');
    bob.io.engine.close();
    await until(() => !bob.connected, 'the drop');
    await connected(bob);
    assert.equal(bob.recovered, true);
    await until(() => received(bob, 'meeting-joined').length === 2, 'meeting-joined again');
    assert.equal(received(bob, 'meeting-joined')[1].participantId, participantId);
    await askOk(alice, 'send-message', { meetingId, message: 'two' });
    await event(bob, 'new-message', ({ message }) => message.message === 'two');
    assert.deepEqual(received(alice, 'participant-left'), []);
  });

  test('a killed gateway leaves no ghosts', async () => {
    const { meetingId } = await scene('bob', 'carol');
    const pid = await cluster.pid('gateway');
    process.kill(pid, 'SIGKILL');
    const back = await until(() => connect(cluster, tokens.dave).catch(() => undefined), 'a gateway');
    assert.ok(back);
    closeAll();
    await until(async () => { await expire(meetingId); return (await participants(meetingId)).length === 0; }, 'an empty meeting');
  });

  test('an ended or deleted meeting puts all out', async () => {
    for (const statement of ['SELECT rt.end_meeting($1)', 'DELETE FROM rt.meetings WHERE id = $1']) {
      const { meetingId, alice, bob } = await scene('bob');
      await cluster.sql(statement, [meetingId]);
      for (const client of [alice, bob]) assert.equal((await event(client, 'meeting-ended')).meeting.status, 'ended');
      const code = statement.startsWith('DELETE') ? 'not_found' : 'gone';
      await askError(bob, code, 'send-message', { meetingId, message: 'anyone?' });
      assert.equal((await participants(meetingId)).length, 0);
    }
  });
});

describe('in the meeting', () => {
  test('media-status-update', async () => {
    const { meetingId, alice, bob } = await scene('bob');
    await askOk(bob, 'media-status-update', { meetingId, video: true, audio: false, screenSharing: true });
    const told = await event(alice, 'participant-media-updated');
    for (const [key, value] of Object.entries({ meetingId, participantId: bob.participantId, userId: 'bob', video: true, audio: false, screenSharing: true }))
      assert.equal(told[key], value);
    const carol = await enter(cluster, tokens.carol, meetingId);
    assert.deepEqual(carol.joined.participants[1].media, { video: true, audio: false, screenSharing: true });
    await askError(bob, 'bad_request', 'media-status-update', { meetingId, video: 'yes' });
  });

  test('send-message: to all, to one, to the hosts', async () => {
    const { meetingId, alice, bob, carol, dave } = await scene('bob', 'carol', 'dave');
    await askOk(alice, 'update-participant-role', { meetingId, participantId: dave.participantId, role: 'co-host' });
    await askOk(bob, 'send-message', { meetingId, message: 'all' });
    await askOk(bob, 'send-message', { meetingId, message: 'carol', recipientType: 'private', recipientId: carol.participantId });
    await askOk(bob, 'send-message', { meetingId, message: 'carol too', recipientType: 'private', recipientId: 'carol' });
    await askOk(bob, 'send-message', { meetingId, message: 'hosts', recipientType: 'host' });
    await settled(cluster, alice, bob, carol, dave);
    const heard = (client) => received(client, 'new-message').map(({ message }) => message.message);
    assert.deepEqual(heard(alice), ['all', 'hosts']);
    assert.deepEqual(heard(bob), ['all', 'carol', 'carol too', 'hosts']);
    assert.deepEqual(heard(carol), ['all', 'carol', 'carol too']);
    assert.deepEqual(heard(dave), ['all', 'hosts']);
    const { message } = received(carol, 'new-message')[1];
    assert.equal(message.senderId, bob.participantId);
    assert.equal(message.senderUserId, 'bob');
    assert.equal(message.senderName, 'Bob');
    assert.equal(message.recipientType, 'private');
    assert.equal(message.recipientId, carol.participantId);
    assert.match(message.timestamp, ISO);
    await askError(bob, 'not_found', 'send-message', { meetingId, message: 'x', recipientType: 'private', recipientId: 'nobody' });
    await askError(bob, 'bad_request', 'send-message', { meetingId, message: 'x', recipientType: 'some' });
    await askError(bob, 'bad_request', 'send-message', { meetingId });
  });

  test('a private message is not on the channel that any role may listen to', async () => {
    const { meetingId, bob, carol } = await scene('bob', 'carol');
    const listener = await cluster.pool.connect();
    const heard = [];
    listener.on('notification', ({ payload }) => heard.push(payload));
    await listener.query('LISTEN rt_events');
    await askOk(bob, 'send-message', { meetingId, message: 'only-for-carol', recipientType: 'private', recipientId: carol.participantId });
    await event(carol, 'new-message');
    await until(() => heard.some((payload) => payload.includes('new-message')), 'its notification');
    assert.deepEqual(heard.filter((payload) => payload.includes('only-for-carol')), []);
    await listener.query('UNLISTEN *');
    listener.release(true);
  });

  test('typing ends by itself, once', async () => {
    const { meetingId, alice, bob } = await scene('bob');
    await askOk(bob, 'typing', { meetingId, typing: true });
    const told = await event(alice, 'user-typing');
    assert.equal(told.userId, 'bob');
    assert.equal(told.userName, 'Bob');
    assert.equal(told.typing, true);
    await event(alice, 'user-typing', ({ typing }) => !typing);
    await settled(cluster, alice, bob);
    assert.deepEqual(received(alice, 'user-typing').map(({ typing }) => typing), [true, false]);
    assert.deepEqual(received(bob, 'user-typing'), []);
    await askError(bob, 'bad_request', 'typing', { meetingId, typing: 1 });
  });

  // How long somebody types who ends it like that.
  async function typed(end) {
    const { meetingId, alice, bob } = await scene('bob');
    const begun = performance.now();
    await askOk(bob, 'typing', { meetingId, typing: true });
    await event(alice, 'user-typing');
    end(bob);
    await event(alice, 'user-typing', ({ typing }) => !typing);
    return performance.now() - begun;
  }

  test('typing ends after three seconds', () => within(1000, async () => Math.abs((await typed(() => {})) - 3000)));
  test('typing ends with the socket', () => within(2500, () => typed((bob) => bob.disconnect())));

  test('reactions, and hands in their order', async () => {
    const { meetingId, alice, bob, carol } = await scene('bob', 'carol');
    await askOk(bob, 'send-reaction', { meetingId, reaction: '👏' });
    for (const client of [alice, bob]) {
      const told = await event(client, 'participant-reaction');
      assert.equal(told.reaction, '👏');
      assert.equal(told.participantId, bob.participantId);
    }
    await askOk(carol, 'raise-hand', { meetingId, raised: true });
    await askOk(bob, 'raise-hand', { meetingId, raised: true });
    await askOk(carol, 'raise-hand', { meetingId, raised: false });
    await until(() => received(alice, 'hand-raised').length === 3, 'three hands');
    assert.deepEqual(received(alice, 'hand-raised').map(({ userId, raised }) => [userId, raised]),
      [['carol', true], ['bob', true], ['carol', false]]);
    await until(() => received(bob, 'hand-raised').length === 3, 'three hands, by his gateway');
  });

  test('two of one client in a row keep their order', async () => {
    const { meetingId, alice, bob } = await scene('bob');
    for (let i = 0; i < 50; i++) bob.emit('raise-hand', { meetingId, raised: i % 2 === 0 });
    await until(() => received(alice, 'hand-raised').length === 50, 'fifty hands');
    received(alice, 'hand-raised').forEach(({ raised }, i) => assert.equal(raised, i % 2 === 0));
  });

  test('what SQL does is heard at once', async () => {
    const { meetingId, alice, bob } = await scene('bob');
    await cluster.sql('SELECT rt.mute_participant($1)', [bob.participantId]);
    await event(bob, 'muted-by-host');
    await cluster.sql('UPDATE rt.meetings SET title = $2 WHERE id = $1', [meetingId, 'renamed']);
    assert.equal((await event(alice, 'meeting-updated')).meeting.title, 'renamed');
    await cluster.sql('SELECT rt.kick_participant($1)', [bob.participantId]);
    await event(bob, 'removed-from-meeting');
    await event(alice, 'participant-left', ({ reason }) => reason === 'removed');
  });
});

describe('who may do what', () => {
  const doings = {
    'send-message': { message: 'x' }, 'send-reaction': { reaction: 'x' }, 'raise-hand': { raised: true }, 'typing': { typing: false },
    'mute-participant': { mute: true }, 'remove-participant': {}, 'update-participant-role': { role: 'participant' },
    'lock-meeting': { locked: false }, 'toggle-recording': { start: true }, 'end-meeting': {},
  };
  const everybody = ['send-message', 'send-reaction', 'raise-hand', 'typing'];
  const allowed = {
    'host': Object.keys(doings), 'co-host': [...everybody, 'mute-participant', 'remove-participant'],
    'participant': everybody, 'viewer': everybody,
  };

  for (const [role, may] of Object.entries(allowed)) {
    test(role, async () => {
      const { meetingId, alice, bob } = await scene('bob', 'carol');
      await askOk(alice, 'update-participant-role', { meetingId, participantId: bob.participantId, role: 'co-host' });
      await askOk(alice, 'update-participant-role', { meetingId, participantId: bob.participantId, role });
      const told = await event(bob, 'participant-role-updated', (payload) => payload.role === role);
      for (const [key, value] of Object.entries({ meetingId, participantId: bob.participantId, userId: 'bob', by: 'alice' }))
        assert.equal(told[key], value);
      for (const [name, payload] of Object.entries(doings)) {
        const target = await enter(cluster, tokens.dave, meetingId).catch(() => undefined);
        if (target) await cluster.sql('DELETE FROM rt.meeting_bans WHERE meeting_id = $1', [meetingId]);
        const reply = await ask(bob, name, { meetingId, participantId: target?.participantId, ...payload });
        const code = reply.success ? 'done' : reply.error.code;
        const expected = may.includes(name) ? (name === 'toggle-recording' ? 'unavailable' : 'done') : 'forbidden';
        assert.equal(code, expected, `${role}: ${name}: ${JSON.stringify(reply)}`);
        target?.disconnect();
        await cluster.sql('DELETE FROM rt.meeting_bans WHERE meeting_id = $1', [meetingId]);
      }
    });
  }

  test('who is not in it may do nothing', async () => {
    const { meetingId } = await scene();
    const bob = await connect(cluster, tokens.bob);
    for (const [name, payload] of Object.entries({ ...doings, 'media-status-update': { video: true, audio: true, screenSharing: false }, 'leave-meeting': {} }))
      await askError(bob, 'forbidden', name, { meetingId, participantId: '1', ...payload });
  });

  test('removed: told, out, and not let in again unless invited', async () => {
    const { meetingId, alice, bob, carol } = await scene('bob', 'carol');
    await askOk(alice, 'remove-participant', { meetingId, participantId: bob.participantId, reason: 'noise' });
    const removed = await event(bob, 'removed-from-meeting');
    assert.deepEqual([removed.meetingId, removed.reason, removed.by], [meetingId, 'noise', 'alice']);
    const left = await event(carol, 'participant-left');
    assert.equal(left.reason, 'removed');
    await askOk(alice, 'send-message', { meetingId, message: 'now then' });
    await event(carol, 'new-message');
    await settled(cluster, bob);
    assert.deepEqual(received(bob, 'new-message'), []);
    await askError(bob, 'forbidden', 'join-meeting', { meetingId });
    await cluster.rest('PATCH', `/api/meetings/${meetingId}`, tokens.alice, { inviteeIds: ['bob'] });
    await askOk(bob, 'join-meeting', { meetingId });
  });

  test('removed: out on all devices, and no kept place lets anybody back in', async () => {
    const { meetingId, alice, bob } = await scene('bob');
    const [laptop, phone] = [await enter(cluster, tokens.bob, meetingId), await enter(cluster, tokens.bob, meetingId)];
    phone.disconnect();
    await until(async () => (await participants(meetingId)).some((row) => row.disconnected_at), 'a kept place');
    await askOk(alice, 'remove-participant', { meetingId, participantId: bob.participantId, reason: 'noise' });
    assert.equal((await event(laptop, 'removed-from-meeting')).reason, 'noise');
    assert.deepEqual((await participants(meetingId)).map((row) => row.user_id), ['alice']);
    await askError(bob, 'forbidden', 'join-meeting', { meetingId });
  });

  test('a host may remove a device of their own, and be back', async () => {
    const { meetingId, alice, bob } = await scene('bob');
    const phone = await enter(cluster, tokens.alice, meetingId);
    await askOk(alice, 'remove-participant', { meetingId, participantId: phone.participantId });
    await event(phone, 'removed-from-meeting');
    await askOk(alice, 'send-message', { meetingId, message: 'the other one stays' });
    await event(bob, 'new-message');
    await askOk(phone, 'join-meeting', { meetingId });
  });

  test('a co-host removes no host, by SQL neither', async () => {
    const { meetingId, alice, bob, carol } = await scene('bob', 'carol');
    await askOk(alice, 'update-participant-role', { meetingId, participantId: bob.participantId, role: 'co-host' });
    await askError(bob, 'forbidden', 'remove-participant', { meetingId, participantId: alice.participantId });
    const kick = ({ participantId }) => cluster.sql(`SET LOCAL ROLE rt_app; SET LOCAL rt.user_id = 'bob';
      SELECT rt.kick_participant(${participantId})`);
    await assert.rejects(kick(alice), { code: 'RT403' });
    await kick(carol);
    await event(carol, 'removed-from-meeting');
  });

  test('end-meeting', async () => {
    const { meetingId, alice, bob } = await scene('bob');
    await askOk(alice, 'end-meeting', { meetingId });
    const ended = await event(bob, 'meeting-ended');
    assert.equal(ended.meetingId, meetingId);
    assert.match(ended.meeting.endedAt, ISO);
    await askError(bob, 'gone', 'typing', { meetingId, typing: true });
  });
});
