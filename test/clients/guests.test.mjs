// Guests of meetings: who gets in by a meeting's link alone, and what that lets them do; passwords of meetings that are guessed.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import * as jose from 'jose';
import { ask, askError, askOk, closeAll, connect, dial, event, refusal, until } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';
import { Call, createMeeting, enter } from './lib/meeting.mjs';

let cluster;
let host;
before(async () => {
  cluster = await Cluster.start();
  [host] = await cluster.users('hal');
});
after(async () => { await cluster?.stop(); });

const knock = (meeting, body, headers) => cluster.rest('POST', `/api/meetings/${meeting}/guests`, undefined, body, headers);
const open = (more) => createMeeting(cluster, host, { guests: true, ...more });

async function guest(meeting, name = 'Gus', more = {}) {
  const { status, body } = await knock(meeting, { name, ...more });
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

describe('guests', () => {
  after(closeAll);

  test('come in by the link, take part, and are marked as guests to others', async () => {
    const meeting = await open();
    const hal = await enter(cluster, host, meeting);
    const { success, token, expiresAt, user } = await guest(meeting, ' Gus Guest ');
    assert.equal(success, true);
    assert.deepEqual(user, { id: user.id, name: 'Gus Guest', guest: true });
    assert.ok(Date.parse(expiresAt) > Date.now());
    assert.equal(jose.decodeJwt(token).sub, user.id);
    const joined = event(hal, 'participant-joined');
    const gus = await enter(cluster, token, meeting);
    const told = await joined;
    assert.equal(told.userName, 'Gus Guest');
    assert.equal(told.guest, true);
    assert.deepEqual(gus.joined.participants.map((p) => [p.userName, p.guest]), [['Hal', false], ['Gus Guest', true]]);
    const said = event(hal, 'new-message');
    await askOk(gus, 'send-message', { meetingId: meeting, message: 'hello' });
    assert.equal((await said).message.senderName, 'Gus Guest');
    for (const path of ['', '/participants', '/messages', '/webrtc-config', '/recordings']) {
      assert.equal((await cluster.rest('GET', `/api/meetings/${meeting}${path}`, token)).status, 200, path);
    }
  });

  test('call with audio and video like others', async () => {
    const meeting = await open();
    const gus = await enter(cluster, (await guest(meeting)).token, meeting);
    const call = await new Call(gus).load();
    assert.ok((await call.open('recv')).id);
  });

  test('have a name that can be seen, and that turns no text around it', async () => {
    const wrong = ['\u200b', '\u3164', '\u00ad\ufe0f \u2060', '\u202eeve', 'a\u2066b', 'a\u0007', 'a\u0085b'];
    const right = ['😀', '❤\ufe0f', '👨\u200d👩\u200d👧', 'שָׁלוֹם', 'a\u200fb', 'किं\u200dग', '·', 'Ann O\'Neill'];
    const meeting = await open();
    for (const name of wrong) assert.equal((await knock(meeting, { name })).status, 400, JSON.stringify(name));
    for (const name of right) assert.equal((await knock(meeting, { name })).body.user?.name, name, JSON.stringify(name));
    // Nor by the name to join with, with and without a lobby.
    const { token } = await guest(meeting);
    const client = await connect(cluster, token);
    for (const lobby of [true, false]) {
      await cluster.sql('UPDATE rt.meetings SET lobby = $2 WHERE id = $1', [meeting, lobby]);
      for (const displayName of [...wrong, 'x'.repeat(513)])
        assert.equal((await ask(client, 'join-meeting', { meetingId: meeting, displayName })).error.code, 'bad_request', JSON.stringify(displayName));
    }
    assert.equal((await ask(client, 'join-meeting', { meetingId: meeting, displayName: 'x'.repeat(512) })).success, true);
  });

  test('are let in where the host wants them, and nowhere else', async () => {
    const closed = await createMeeting(cluster, host);
    const { status, body } = await knock(closed, { name: 'Gus' });
    assert.deepEqual([status, body.error.code], [403, 'forbidden']);
    assert.equal((await knock('999999999', { name: 'Gus' })).status, 404);
    for (const wrong of [{}, { name: '' }, { name: ' ' }, { name: 7 }, { name: 'x'.repeat(65) }, { name: 'a\nb' }]) {
      assert.equal((await knock(await open(), wrong)).status, 400, JSON.stringify(wrong));
    }
    for (const more of [{ access: 'invited' }, { access: 'room' }, { guests: 'yes' }]) {
      const reply = await cluster.rest('POST', '/api/meetings', host, { title: 'x', access: 'anyone', guests: true, ...more });
      assert.deepEqual([reply.status, reply.body.error.code], [400, 'bad_request'], JSON.stringify(more));
    }
    assert.equal((await cluster.rest('PATCH', `/api/meetings/${closed}`, host, { access: 'invited', guests: true })).status, 400);
    const opened = await cluster.rest('PATCH', `/api/meetings/${closed}`, host, { guests: true });
    assert.equal(opened.body.data.guests, true);
    await guest(closed);
    const shut = await cluster.rest('PATCH', `/api/meetings/${closed}`, host, { access: 'invited' });
    assert.equal(shut.body.data.guests, false);
    assert.equal((await knock(closed, { name: 'Gus' })).status, 403);
    const locked = await open();
    await cluster.rest('PATCH', `/api/meetings/${locked}`, host, { locked: true });
    assert.equal((await knock(locked, { name: 'Gus' })).status, 403);
    const ended = await open();
    await cluster.rest('POST', `/api/meetings/${ended}/end`, host);
    assert.equal((await knock(ended, { name: 'Gus' })).status, 410);
  });

  test('are as many as the meeting has places, even if all come at once', async () => {
    const meeting = await open({ maxParticipants: 3 });
    const codes = await Promise.all(Array.from({ length: 8 }, async (_, i) => (await knock(meeting, { name: `G${i}` })).status));
    assert.deepEqual(codes.sort(), [201, 201, 201, 409, 409, 409, 409, 409]);
  });

  test('give the password once; a new one keeps out who has not joined', async () => {
    const meeting = await open({ password: 'sesame' });
    assert.equal((await knock(meeting, { name: 'Gus' })).body.error.code, 'wrong_password');
    assert.equal((await knock(meeting, { name: 'Gus', password: 'wrong' })).body.error.code, 'wrong_password');
    const { token } = await guest(meeting, 'Gus', { password: 'sesame' });
    await enter(cluster, token, meeting);
    const late = (await guest(meeting, 'Late', { password: 'sesame' })).token;
    await cluster.rest('PATCH', `/api/meetings/${meeting}`, host, { password: 'other' });
    const client = await connect(cluster, late);
    await askError(client, 'wrong_password', 'join-meeting', { meetingId: meeting });
    await askOk(client, 'join-meeting', { meetingId: meeting, password: 'other' });
  });

  test('end with the meeting: they hear of it, then their token is refused everywhere', async () => {
    const meeting = await open();
    const { token, user } = await guest(meeting);
    const gus = await enter(cluster, token, meeting);
    const gone = new Promise((resolve) => gus.once('disconnect', resolve));
    const ended = event(gus, 'meeting-ended');
    await cluster.rest('POST', `/api/meetings/${meeting}/end`, host);
    assert.equal((await ended).meetingId, meeting);
    assert.equal(await gone, 'io server disconnect');
    await until(async () => (await cluster.rest('GET', `/api/meetings/${meeting}`, token)).status === 401, 'REST refuses it');
    assert.equal((await refusal(dial(cluster, token))).message, 'Invalid token');
    await cluster.sql(`UPDATE rt_private.guests SET until = now() - interval '2 hours' WHERE user_id = $1`, [user.id]);
    await until(async () => !await cluster.value('SELECT count(*)::int FROM rt.users WHERE id = $1', [user.id]), 'the user is removed');
  });

  test('go when the meeting is deleted', async () => {
    const meeting = await open();
    const { token } = await guest(meeting);
    await cluster.sql('DELETE FROM rt.meetings WHERE id = $1', [meeting]);
    await until(async () => (await cluster.rest('GET', `/api/meetings/${meeting}`, token)).status === 401, 'REST refuses it');
  });

  test('can log out', async () => {
    const { token } = await guest(await open());
    assert.equal((await cluster.rest('POST', '/auth/logout', token)).status, 200);
    await until(async () => (await refusal(dial(cluster, token))).message === 'Invalid token', 'the token is refused');
  });

  test('nobody finds them or draws them into something else', async () => {
    const { user } = await guest(await open(), 'Zacharias');
    const found = await cluster.rest('GET', '/api/users?q=zacharias', host);
    assert.deepEqual(found.body.data, []);
    const room = await cluster.room('Without guests', 'hal');
    const added = await cluster.rest('POST', `/api/chat/rooms/${room}/members`, host, { userIds: [user.id] });
    assert.equal(added.status, 404, JSON.stringify(added.body));
    assert.equal((await cluster.rest('POST', '/api/chat/rooms', host, { kind: 'direct', memberIds: [user.id] })).status, 404);
    assert.equal((await cluster.rest('POST', '/api/meetings', host, { title: 'x', inviteeIds: [user.id] })).status, 404);
    assert.equal((await cluster.rest('PUT', `/api/users/me/blocks/${user.id}`, host)).status, 404);
    await assert.rejects(cluster.sql('INSERT INTO rt.room_members (room_id, user_id) VALUES ($1, $2)', [room, user.id]), { code: 'RT404' });
  });
});

describe('what a guest may not', () => {
  after(closeAll);
  let token;
  let other;
  let room;
  let message;

  before(async () => {
    ({ token } = await guest(await open()));
    other = await open();
    room = await cluster.room('Members only', 'hal');
    message = (await cluster.rest('POST', `/api/chat/rooms/${room}/msgs`, host, { content: 'private' })).body.data.id;
  });

  // Each line of the table of paths; a new one is tested by itself.
  test('every path of REST but those of their meeting', async () => {
    const table = await readFile(new URL('../../bgworker/gateway/rest/rest_table.c', import.meta.url), 'utf8');
    const macros = Object.fromEntries([...table.matchAll(/^#define (\w+) (.+)$/gm)].map(([, name, value]) => [name, value]));
    const expand = (text) => text.replace(/\b[A-Z]+\b(?=\s*")|^[A-Z]+$/g, (name) => (macros[name] ? expand(macros[name]) : name));
    const lines = [...table.matchAll(/^\t\{"(\w+)", ([^,]+), "(\w+)", RT_DB_\w+, ([^}]+)\},$/gm)];
    assert.ok(lines.length > 50, String(lines.length));
    const bodies = {
      room_create: { kind: 'group', name: 'x', memberIds: [] }, meeting_create: { title: 'x' }, message_send: { content: 'x' },
      message_edit: { content: 'x' }, members_add: { userIds: ['hal'] }, member_role: { role: 'admin' }, room_update: { name: 'x' },
      room_read: { seq: 1 }, room_notifications: { level: 'all' }, password_change: { old: 'x', new: 'y' },
      two_factor_confirm: { code: '000000' }, two_factor_end: { password: 'x' }, meeting_update: { title: 'x' },
    };
    for (const [, method, pattern, fn, flags] of lines) {
      if (flags.includes('RT_REST_OPEN') || fn === 'auth_logout') continue;
      const path = expand(pattern).replaceAll(/[" ]/g, '').replace('msgs|messages', 'msgs').replace(':roomId', room)
        .replace(':messageId', message).replace(':meetingId', other).replace(':userId', 'hal').replace(':emoji', '%F0%9F%91%8D')
        .replace(':sessionId', 'x');
      const query = fn === 'search' || fn === 'users_search' ? '?q=private' : '';
      const { status, body } = await cluster.rest(method, path + query, token, method === 'GET' ? undefined : bodies[fn] ?? {});
      assert.ok(status === 403 || status === 404, `${method} ${path}: ${status} ${JSON.stringify(body)}`);
      assert.ok(['forbidden', 'not_found'].includes(body.error.code), `${method} ${path}: ${JSON.stringify(body)}`);
    }
  });

  test('every event but those of their meeting', async () => {
    const client = await connect(cluster, token);
    const events = {
      'leave-chat-room': { roomId: room }, 'chat-typing': { roomId: room, isTyping: true },
      'mark-msgs-seen': { roomId: room, messageIds: [message] }, 'update-chat-status': { status: 'away' },
      'get-room-online-users': { roomId: room }, 'join-meeting': { meetingId: other }, 'leave-meeting': { meetingId: other },
      'media-status-update': { meetingId: other, video: true, audio: true, screenSharing: false },
      'send-message': { meetingId: other, message: 'x' }, typing: { meetingId: other, typing: true },
      'send-reaction': { meetingId: other, reaction: 'x' }, 'raise-hand': { meetingId: other, raised: true },
      'mute-participant': { meetingId: other, participantId: '1', mute: true }, 'remove-participant': { meetingId: other, participantId: '1' },
      'update-participant-role': { meetingId: other, participantId: '1', role: 'host' }, 'lock-meeting': { meetingId: other, locked: true },
      'end-meeting': { meetingId: other }, 'toggle-recording': { meetingId: other, start: true },
      'create-transport': { meetingId: other, direction: 'recv' },
    };
    for (const [name, payload] of Object.entries(events)) {
      const reply = await ask(client, name, payload);
      assert.equal(reply.success, false, `${name}: ${JSON.stringify(reply)}`);
      assert.ok(['forbidden', 'not_found'].includes(reply.error.code), `${name}: ${JSON.stringify(reply)}`);
    }
    const rooms = await ask(client, 'join-chat-rooms', { roomIds: [room] });
    assert.deepEqual([rooms.success, rooms.rooms], [false, []]);
    const synced = await ask(client, 'sync-rooms', { rooms: [{ roomId: room, afterSeq: 0 }] });
    assert.deepEqual([synced.success, synced.rooms[0].messages], [false, undefined]);
  });

  test('SQL as the guest, with the rights of an application', async () => {
    const db = await cluster.pool.connect();
    try {
      await db.query('BEGIN');
      await db.query('SET LOCAL ROLE rt_app');
      await db.query(`SELECT set_config('rt.user_id', $1, true)`, [jose.decodeJwt(token).sub]);
      assert.deepEqual((await db.query('SELECT id FROM rt.rooms')).rows, []);
      assert.deepEqual((await db.query('SELECT content FROM rt.messages')).rows, []);
      assert.equal((await db.query('SELECT id FROM rt.meetings')).rows.length, 1);
      await assert.rejects(db.query(`SELECT rt.create_meeting('mine')`), { code: 'RT404' });
    } finally {
      await db.query('ROLLBACK');
      db.release(true);
    }
  });
});

describe('passwords of meetings', () => {
  after(closeAll);

  test('ten wrong ones in 15 minutes, by event and REST together; then even the right one has to wait', async () => {
    const [eve, ann] = await cluster.users('eve', 'ann');
    const meeting = await createMeeting(cluster, host, { password: 'sesame' });
    const client = await connect(cluster, eve);
    for (let i = 0; i < 5; i++) {
      await askError(client, 'wrong_password', 'join-meeting', { meetingId: meeting, password: `guess ${i}` });
      const { status, body } = await cluster.rest('POST', `/api/meetings/${meeting}/join`, eve, { password: `try ${i}` });
      assert.deepEqual([status, body.error.code], [401, 'wrong_password']);
    }
    await askError(client, 'rate_limited', 'join-meeting', { meetingId: meeting, password: 'sesame' });
    const limited = await cluster.rest('POST', `/api/meetings/${meeting}/join`, eve, { password: 'sesame' });
    assert.deepEqual([limited.status, limited.body.error.code], [429, 'rate_limited']);
    assert.ok(Number(limited.headers.get('retry-after')) > 800);
    const rows = await cluster.sql(`SELECT detail FROM rt.audit WHERE action = 'meeting-password-failed' AND user_id = 'eve'`);
    assert.equal(rows.length, 10);
    assert.deepEqual(rows[0].detail, { meetingId: meeting });
    const held = await cluster.sql(`SELECT detail FROM rt.audit WHERE action = 'meeting-password-limited' AND user_id = 'eve'`);
    assert.deepEqual(held, [{ detail: { meetingId: meeting } }]);
    // Neither others there nor she elsewhere are held back.
    await enter(cluster, ann, meeting, { join: { password: 'sesame' } });
    const elsewhere = await createMeeting(cluster, host, { password: 'sesame' });
    await askOk(client, 'join-meeting', { meetingId: elsewhere, password: 'sesame' });
  });

  test('a refused password without an ack is an error event', async () => {
    const [kim] = await cluster.users('kim');
    const meeting = await createMeeting(cluster, host, { password: 'sesame' });
    const client = await connect(cluster, kim);
    const error = event(client, 'error');
    client.emit('join-meeting', { meetingId: meeting, password: 'wrong' });
    const { code, event: name } = await error;
    assert.deepEqual([code, name], ['wrong_password', 'join-meeting']);
  });

  test('of guests, by address', async () => {
    const meeting = await open({ password: 'sesame' });
    for (let i = 0; i < 10; i++) assert.equal((await knock(meeting, { name: 'Gus', password: `guess ${i}` })).body.error.code, 'wrong_password');
    const { status, body } = await knock(meeting, { name: 'Gus', password: 'sesame' });
    assert.deepEqual([status, body.error.code], [429, 'rate_limited']);
    const audit = await cluster.value(`SELECT count(*)::int FROM rt.audit
      WHERE action = 'meeting-password-failed' AND user_id IS NULL AND address = '127.0.0.1' AND detail ->> 'meetingId' = $1`, [meeting]);
    assert.equal(audit, 10);
    await guest(await open({ password: 'sesame' }), 'Gus', { password: 'sesame' });
  });
});
