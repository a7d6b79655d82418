// What goes wrong when somebody writes their first client is answered with what to do instead.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { ask, closeAll, connect, event } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';

let cluster, alice, roomId;

before(async () => {
  cluster = await Cluster.start({ 'rt.media_workers': 0 });
  [alice] = await cluster.users('alice', 'bob');
  roomId = await cluster.room('General', 'alice', 'bob');
});
after(() => cluster?.stop());
afterEach(closeAll);

async function refused(client, name, payload) {
  const { success, error } = await ask(client, name, payload);
  assert.equal(success, false);
  assert.equal(error.code, 'bad_request');
  return error.message;
}

describe('events that do not exist', () => {
  const expected = [
    ['send-chat-message', /^Unknown event "send-chat-message"\. Send a message by POST \/api\/chat\/rooms\/:roomId\/msgs$/],
    ['sendMsg', /POST \/api\/chat\/rooms\/:roomId\/msgs/],
    ['chat message', /POST \/api\/chat\/rooms\/:roomId\/msgs/],
    ['new-chat-message', /Only the server sends this event.*POST/],
    ['edit-message', /PATCH \/api\/chat\/rooms\/:roomId\/msgs\/:messageId/],
    ['joinRoom', /join-chat-rooms \{ roomIds: \[\.\.\.\] \}/],
    ['authenticate', /io\(url, \{ auth: \{ token \} \}\)/],
    ['join-chat-room', /join-chat-rooms/],
    ['chat_typing', /^Unknown event "chat_typing"\. Is it "chat-typing"\?$/],
    ['marks-msgs-seen', /Is it "mark-msgs-seen"\?/],
    ['frobnicate', /^Unknown event "frobnicate"$/],
    ['ä'.repeat(100), /^Unknown event "ä{32}"$/],
  ];

  for (const [name, message] of expected) {
    test(name.slice(0, 30), async () => assert.match(await refused(await connect(cluster, alice), name, {}), message));
  }

  test('without an ack the event error says the same', async () => {
    const client = await connect(cluster, alice);
    const error = event(client, 'error');
    client.emit('send-chat-message', { roomId, content: 'hello' });
    assert.match((await error).message, /POST \/api\/chat\/rooms\/:roomId\/msgs/);
    assert.equal((await error).event, 'send-chat-message');
  });

  test('an event of meetings that was meant for a room', async () => {
    assert.match(await refused(await connect(cluster, alice), 'send-message', { roomId, content: 'hello' }), /POST \/api\/chat\/rooms/);
  });
});

describe('users that do not exist are named', () => {
  const bodies = [
    ['POST', () => `/api/chat/rooms/${roomId}/members`, { userIds: ['bob', 'nobody'] }, 'User "nobody" not found'],
    ['POST', () => '/api/chat/rooms', { kind: 'group', name: 'x', memberIds: ['bob', 'carla', 'dan'] }, 'Users "carla", "dan" not found'],
    ['POST', () => '/api/chat/rooms', { kind: 'direct', memberIds: ['Bob'] }, 'User "Bob" not found'],
    ['POST', () => '/api/chat/rooms', { kind: 'group', name: 'x', memberIds: ['a', 'b', 'c', 'd', 'e'] }, /^Users ("\w", ){2}"\w" and others not found$/],
    ['POST', () => '/api/meetings', { title: 'x', inviteeIds: ['nobody'] }, 'User "nobody" not found'],
    ['PUT', () => '/api/users/me/blocks/nobody', {}, 'User "nobody" not found'],
  ];

  for (const [method, path, body, message] of bodies) {
    test(`${method} ${JSON.stringify(body)}`, async () => {
      const reply = await cluster.rest(method, path(), alice, body);
      assert.equal(reply.status, 404);
      assert.equal(reply.body.error.code, 'not_found');
      if (message instanceof RegExp) assert.match(reply.body.error.message, message);
      else assert.equal(reply.body.error.message, message);
    });
  }

  test('in SQL', async () => {
    await assert.rejects(cluster.sql("SELECT rt.create_room('x', ARRAY['alice', 'nobody'])"), { message: 'user "nobody" not found', code: 'RT404' });
  });
});

describe('requests', () => {
  async function answer(method, path, headers, body) {
    const reply = await fetch(cluster.url + path, { method, headers, body });
    const { error } = await reply.json();
    return { status: reply.status, allow: reply.headers.get('allow'), ...error };
  }

  test('no token, a token in the wrong place, and without its prefix', async () => {
    const path = '/api/chat/rooms';
    assert.match((await answer('GET', path)).message, /^Authentication token missing: send the header "Authorization: Bearer <token>"$/);
    const inQuery = await answer('GET', `${path}?token=${alice}`);
    assert.equal(inQuery.code, 'unauthorized');
    assert.match(inQuery.message, /no token from the query/);
    const bare = await answer('GET', path, { authorization: alice });
    assert.equal(bare.status, 401);
    assert.equal(bare.message, 'Invalid token: the header must be "Authorization: Bearer <token>"');
    assert.equal((await answer('GET', path, { authorization: 'Bearer nonsense' })).message, 'Invalid token');
  });

  test('a method that the path has not', async () => {
    const reply = await answer('PUT', '/api/chat/rooms', { authorization: `Bearer ${alice}` }, '{}');
    assert.deepEqual(reply, { status: 405, allow: 'GET, POST', code: 'bad_request', message: 'Method PUT not allowed; allowed: GET, POST' });
  });

  const paths = [
    ['/api/chat/rooms/', /Leave out the slash at the end/],
    ['/auth/login', /POST \/auth \{ username, password \}/],
    ['/api/rooms/1', /\/api\/chat\/rooms/],
    ['/api/chat/röms', /^No such path: \/api\/chat\/röms$/],
  ];
  for (const [path, message] of paths) {
    test(`a path that does not exist: ${path}`, async () => {
      const reply = await answer('GET', path, { authorization: `Bearer ${alice}` });
      assert.equal(reply.status, 404);
      assert.equal(reply.code, 'not_found');
      assert.match(reply.message, message);
    });
  }

  const bodies = [
    ['a form', 'application/x-www-form-urlencoded', 'content=hello', /Content-Type: application\/json/],
    ['JSON in a string', 'application/json', JSON.stringify('{"content":"hello"}'), /encoded twice/],
    ['an array', 'application/json', '["hello"]', /not an array/],
    ['broken JSON', 'application/json', '{"content": hello}', /cannot be parsed/],
  ];
  for (const [what, type, body, message] of bodies) {
    test(`${what} for a body`, async () => {
      const reply = await answer('POST', `/api/chat/rooms/${roomId}/msgs`, { authorization: `Bearer ${alice}`, 'content-type': type }, body);
      assert.equal(reply.status, 400);
      assert.equal(reply.code, 'bad_request');
      assert.match(reply.message, message);
    });
  }

  test('a query that is encoded wrongly', async () => {
    assert.match((await answer('GET', '/api/users?q=%zz', { authorization: `Bearer ${alice}` })).message, /percent-encoded/);
  });
});
