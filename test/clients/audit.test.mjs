// What real clients do is in rt.audit, once, with where it came from.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { askOk, closeAll, connect } from './lib/client.mjs';
import { createMeeting, enter } from './lib/meeting.mjs';

let cluster, alice, bob;

before(async () => {
  cluster = await Cluster.start();
  [alice, bob] = await cluster.users('alice', 'bob');
});
after(() => cluster?.stop());
afterEach(closeAll);

// The rows of one action, oldest first.
const audited = (action) => cluster.sql('SELECT user_id, role, address, gateway, detail FROM rt.audit WHERE action = $1 ORDER BY at', [action]);

const logIn = (body) => cluster.rest('POST', '/auth', null, body);

test('logins: where they come from is the gateway\'s to say', async () => {
  const refused = await logIn({ username: 'alice', password: 'wrong', address: '203.0.113.7', gateway: 'made up' });
  assert.equal(refused.status, 401);
  assert.deepEqual(refused.body, { success: false, error: { code: 'unauthorized', message: 'Wrong username or password' } });
  assert.equal((await logIn({ username: 'nobody', password: 'wrong' })).status, 401);
  assert.equal((await logIn({ username: 'alice', password: 'alice-password', address: '203.0.113.7' })).status, 200);
  const answer = await logIn({ username: 'bob', password: 'bob-password' });
  assert.equal(answer.headers.get('cache-control'), 'no-store', 'a token is kept by no cache');
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  const [login] = await audited('login');
  assert.deepEqual({ ...login, gateway: undefined }, { user_id: 'alice', role: 'rt_gateway', address: '127.0.0.1', gateway: undefined, detail: { count: 1 } });
  const running = await cluster.sql('SELECT name FROM rt.stat_gateway');
  assert.deepEqual(running, [{ name: login.gateway }]);
  const failed = await audited('login-failed');
  assert.deepEqual(failed.map(({ user_id, address }) => [user_id, address]), [['alice', '127.0.0.1'], [null, '127.0.0.1']]);
});

test('many logins at once that fail are counted', async () => {
  const total = async () => Number(await cluster.value("SELECT sum((detail ->> 'count')::bigint) FROM rt.audit WHERE action = 'login-failed' AND user_id = 'bob'"));
  const begun = Date.now();
  const replies = await Promise.all(Array.from({ length: 30 }, () => logIn({ username: 'bob', password: 'wrong' })));
  assert.ok(replies.every(({ status }) => status === 401));
  assert.equal(await total(), 30);
  const minutes = Math.ceil((Date.now() - begun) / 60_000);
  assert.ok((await audited('login-failed')).filter(({ user_id }) => user_id === 'bob').length <= 1 + minutes, 'in a row a minute');
});

test('what a host does by events', async () => {
  const meetingId = await createMeeting(cluster, alice);
  const host = await enter(cluster, alice, meetingId);
  const guest = await enter(cluster, bob, meetingId);
  const { participantId } = guest;
  await askOk(host, 'mute-participant', { meetingId, participantId, mute: true });
  await askOk(host, 'update-participant-role', { meetingId, participantId, role: 'viewer' });
  await askOk(host, 'lock-meeting', { meetingId, locked: true });
  await askOk(host, 'remove-participant', { meetingId, participantId, reason: 'noise' });
  await askOk(host, 'end-meeting', { meetingId });
  const what = { meetingId, participantId, userId: 'bob' };
  for (const [action, detail] of [
    ['participant-muted', { ...what, kind: 'audio', muted: true }], ['participant-role', { ...what, role: 'viewer' }],
    ['meeting-locked', { meetingId, locked: true }], ['participant-removed', { ...what, reason: 'noise' }], ['meeting-ended', { meetingId }],
  ]) {
    assert.deepEqual(await audited(action), [{ user_id: 'alice', role: 'rt_gateway', address: null, gateway: null, detail }], action);
  }
});

test('rooms by REST, an administrator by REST, the same by SQL', async () => {
  const roomId = await cluster.room('audit', 'alice', 'bob');
  assert.equal((await cluster.rest('DELETE', `/api/chat/rooms/${roomId}/members/bob`, alice)).status, 200);
  assert.equal((await cluster.rest('DELETE', `/api/chat/rooms/${roomId}`, alice)).status, 200);
  await cluster.sql("UPDATE rt.users SET is_admin = true WHERE id = 'alice'");
  await connect(cluster, bob);
  assert.equal((await cluster.rest('DELETE', '/api/admin/users/bob/connections', alice)).status, 200);
  await cluster.sql("SELECT rt.disconnect_user('bob', 'by hand')");
  const who = (rows) => rows.map(({ user_id, role }) => [user_id, role]);
  assert.deepEqual(who(await audited('member-removed')), [['alice', 'rt_gateway']]);
  assert.deepEqual(who(await audited('room-deleted')), [['alice', 'rt_gateway']]);
  assert.deepEqual(who(await audited('user-disconnected')), [['alice', 'rt_gateway'], [null, 'postgres']]);
  assert.deepEqual(who(await audited('admin-changed')), [[null, 'postgres']]);
});

test('no password and no token is in it', async () => {
  const text = JSON.stringify(await cluster.sql('SELECT * FROM rt.audit'));
  for (const secret of ['alice-password', 'wrong', alice, bob]) assert.ok(!text.includes(secret), secret);
});
