// The extension goes while clients are connected: they are let go at once, and find what comes after it.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster } from './lib/cluster.mjs';
import { closeAll, connect, connected, event, join, until } from './lib/client.mjs';

const CLIENTS = 20;
const RECONNECTING = { reconnection: true, reconnectionDelay: 100, reconnectionDelayMax: 500 };

describe('DROP EXTENSION with clients connected', () => {
  let cluster;
  before(async () => { cluster = await Cluster.start({ 'rt.media_workers': 0 }); });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const isServed = () => fetch(`${cluster.url}/readyz`).then((reply) => reply.ok, () => false);

  // A user, a room of its own, and clients that have joined it.
  const crowd = async () => {
    const [token] = await cluster.users('alice');
    const roomId = await cluster.room('all', 'alice');
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(cluster, token, RECONNECTING)));
    await Promise.all(clients.map((client) => join(client, roomId)));
    return { roomId, clients };
  };

  const hear = (clients, content) =>
    Promise.all(clients.map((client) => event(client, 'new-chat-message', (payload) => payload.data.content === content)));

  // One session, since what it does is one transaction.
  const transaction = async (...statements) => {
    const session = await cluster.pool.connect();
    try {
      for (const statement of statements) await session.query(statement);
    } finally {
      session.release(true);
    }
  };

  test('taken back, they come back and go on', async () => {
    const { roomId, clients } = await crowd();
    await transaction('BEGIN', 'DROP EXTENSION rt', 'ROLLBACK');
    await until(isServed, 'the gateway serves again');
    await Promise.all(clients.map((client) => connected(client)));
    await cluster.insert(roomId, 'alice', 'still here');
    await hear(clients, 'still here');
  });

  test('done, their connections end, and no gateway is left; made anew, it serves new ones', async () => {
    await cluster.sql('DELETE FROM rt.users');
    const { clients } = await crowd();
    const ended = clients.map((client) => new Promise((resolve) => { client.once('disconnect', resolve); }));
    const begun = Date.now();
    await cluster.sql('DROP EXTENSION rt');
    assert.ok(Date.now() - begun < 120_000, 'it did not wait for the clients');
    await Promise.all(ended);
    await until(async () => await cluster.pid('gateway') === 0, 'no gateway is left');
    await until(async () => await cluster.value(`SELECT count(*)::integer FROM pg_stat_activity WHERE application_name LIKE 'rt_gateway%'`) === 0, 'and no session of one');
    closeAll();

    await cluster.sql('CREATE EXTENSION rt CASCADE');
    await until(isServed, 'a gateway serves the new one');
    const anew = await crowd();
    await cluster.insert(anew.roomId, 'alice', 'anew');
    await hear(anew.clients, 'anew');
  });
});
