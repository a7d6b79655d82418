// Rooms with many members, and users in many rooms.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { askOk, closeAll, connect, event, join, received, settled, until } from './lib/client.mjs';

let cluster, alice, bob;

before(async () => {
  cluster = await Cluster.start({ 'rt.media_workers': 0, 'rt.presence_room_limit': 20, 'rt.presence_grace': '100ms' });
  [alice, bob] = await cluster.users('alice', 'bob');
});
after(() => cluster?.stop());
afterEach(closeAll);

const statuses = (client, id) => received(client, 'chat-user-status-update', ({ userId }) => userId === id).map(({ status }) => status);

test('a status of a user in a thousand rooms is one small event', async () => {
  await cluster.sql("INSERT INTO rt.rooms (name, kind, created_by) SELECT 'many ' || i, 'group', 'alice' FROM generate_series(1, 1000) AS i");
  await cluster.sql("INSERT INTO rt.room_members (room_id, user_id, role) SELECT id, 'alice', 'admin' FROM rt.rooms WHERE name LIKE 'many %'");
  await cluster.sql("INSERT INTO rt.room_members (room_id, user_id, role) SELECT id, 'bob', 'member' FROM rt.rooms WHERE name = 'many 500'");
  const watcher = await connect(cluster, bob);
  await settled(cluster, watcher);
  const pages = async () => Number((await cluster.rest('GET', '/metrics')).body.match(/rt_gateway_bus_catch_ups_total\S* (\d+)/)?.[1] ?? 0);
  const was = await pages();
  const client = await connect(cluster, alice);
  await until(() => statuses(watcher, 'alice').at(-1) === 'online', 'alice is online');
  await askOk(client, 'update-chat-status', { status: 'busy' });
  await until(() => statuses(watcher, 'alice').at(-1) === 'busy', 'alice is busy');
  client.disconnect();
  await until(() => statuses(watcher, 'alice').at(-1) === 'offline', 'alice is offline');
  assert.equal(await cluster.value("SELECT count(*) FROM rt.events WHERE event = 'chat-user-status-update'"), '0', 'no status had to be logged');
  assert.equal(await pages(), was, 'the bus has stayed live');
});

test('a room above rt.presence_room_limit tells counts alone', async () => {
  await cluster.sql("INSERT INTO rt.users (id, username, name) SELECT 'u' || i, 'u' || i, 'U' FROM generate_series(1, 30) AS i");
  const large = String(await cluster.value("SELECT rt.create_room('large', ARRAY['bob'] || array_agg('u' || i)) FROM generate_series(1, 30) AS i"));
  const small = await cluster.room('small', 'bob', 'u1');
  const watcher = await connect(cluster, bob);
  await join(watcher, large);
  await event(watcher, 'chat-room-presence', ({ roomId, onlineCount }) => roomId === large && onlineCount === 1);
  for (const id of ['u1', 'u2', 'u3']) await connect(cluster, await cluster.token(id));
  const told = await event(watcher, 'chat-room-presence', ({ onlineCount }) => onlineCount === 4);
  assert.equal(told.memberCount, 31);
  await until(() => statuses(watcher, 'u1').length > 0, `those who share room ${small} hear of u1`);
  await settled(cluster, watcher);
  assert.deepEqual(statuses(watcher, 'u2'), []);
});

test('a room of 100,000 is made in one statement, and the ring loses nothing', async () => {
  const watcher = await connect(cluster, bob);
  await cluster.sql("INSERT INTO rt.users (id, username, name) SELECT 'member' || i, 'member' || i, 'M' FROM generate_series(1, 100000) AS i");
  const figures = () => cluster.sql('SELECT lost, rescans FROM rt.stat_relay').then(([row]) => row);
  const was = await figures();
  const id = String(await cluster.value("SELECT rt.create_room('huge', ARRAY['bob'] || array_agg('member' || i)) FROM generate_series(1, 100000) AS i"));
  const told = await event(watcher, 'chat-notification', ({ type, roomId }) => type === 'room-added' && roomId === id);
  assert.equal(told.data.name, 'huge');
  await cluster.insert(id, 'member7', 'hello');
  await event(watcher, 'chat-notification', ({ type, data }) => type === 'new-message' && data.roomId === id);
  assert.deepEqual(await figures(), was);
});
