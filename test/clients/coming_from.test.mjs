// docs/from-*.md: the halves of rt, run as they stand there.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { until } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';
import { install } from './lib/kit.mjs';

const AsyncFunction = (async () => {}).constructor;
let kit, Library;

before(async () => {
  kit = await install();
  ({ Client: Library } = await kit.load());
});
after(() => kit?.remove());

for (const name of ['socketio', 'supabase', 'centrifugo']) {
  test(`from ${name}`, async () => {
    const page = await readFile(new URL(`../../docs/from-${name}.md`, import.meta.url), 'utf8');
    const block = (kind) => page.match(new RegExp(`^\`\`\`${kind} run\\n([^]*?)^\`\`\`$`, 'm'))[1];
    const cluster = await Cluster.start({ 'rt.media_workers': 0 });
    const ends = [];
    try {
      const [token] = await cluster.users('alice', 'bob');
      await cluster.sql(block('sql'));
      const shown = new Map();
      const dial = (...args) => {
        const socket = io(...args);
        ends.push(() => socket.close());
        return socket;
      };
      class Client extends Library {
        constructor(options) {
          super({ ...options, storage: null });
          ends.push(() => this.close());
        }
      }
      const show = (message) => shown.set(message.seq, message.content);
      await new AsyncFunction('io', 'Client', 'url', 'token', 'last', 'show', block('js'))(dial, Client, cluster.url, token, 0, show);
      await until(() => shown.size === 2, 'both messages');
      assert.deepEqual([...shown].sort(), [[1, 'hello'], [2, 'hello']]);
    } finally {
      for (const end of ends) end();
      await cluster.stop();
    }
  });
}
