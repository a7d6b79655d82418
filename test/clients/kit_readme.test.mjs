// clients/*/README.md: what they show runs as it stands there, on the oldest Node.js too.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from './lib/client.mjs';
import { Cluster } from './lib/cluster.mjs';
import { install } from './lib/kit.mjs';

const path = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const running = new Set();
let cluster, kit, folder;

before(async () => {
  kit = await install();
  folder = await mkdtemp(join(tmpdir(), 'rt-readme-'));
  cluster = await Cluster.start({ 'rt.media_workers': 0 });
  for (const id of ['alice', 'bob']) await cluster.sql('SELECT rt.create_user($1, initcap($1), $2)', [id, `${id}-demo`]);
  assert.equal(await cluster.room('General', 'alice', 'bob'), '1');
});
after(async () => {
  await cluster?.stop();
  await kit?.remove();
  await rm(folder, { recursive: true, force: true });
});
afterEach(async () => {
  for (const child of running) {
    child.kill('SIGKILL');
    await child.ended;
  }
  running.clear();
});

function start(program, args, env = {}) {
  const child = spawn(program, args, { env: { ...process.env, ...env } });
  running.add(child);
  child.text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { child.text += data; });
  child.ended = new Promise((resolve) => { child.on('exit', resolve); });
  return child;
}

// The first block of a kind after a heading.
async function block(page, heading, kind) {
  const text = (await readFile(path(page), 'utf8')).split(`\n${heading}\n`)[1];
  return text.match(new RegExp(`^\`\`\`${kind}\\n([^]*?)^\`\`\`$`, 'm'))[1].replaceAll('http://localhost:4501', cluster.url);
}

const prints = (child, text) => until(() => {
  assert.equal(child.exitCode, null, child.text);
  return child.text.includes(text);
}, `it prints "${text}"`);

// What older ones and pages without HTTPS lack.
for (const [what, without] of [['with all', ''], ['without crypto.randomUUID', 'delete Crypto.prototype.randomUUID'], ['without crypto', 'delete globalThis.crypto']]) {
  test(`clients/js: a chat, ${what}`, async () => {
    await writeFile(join(kit.folder, 'main.mjs'), await block('clients/js/README.md', '## Chat', 'js'));
    await writeFile(join(kit.folder, 'without.mjs'), without);
    const sent = await cluster.value("SELECT count(*) FROM rt.messages WHERE content = 'hello'");
    await prints(start(process.execPath, ['--import', join(kit.folder, 'without.mjs'), join(kit.folder, 'main.mjs')]), 'Alice: hello');
    assert.equal(await cluster.value("SELECT count(*) FROM rt.messages WHERE content = 'hello'"), String(Number(sent) + 1));
    assert.match(await cluster.value('SELECT client_id FROM rt.messages ORDER BY seq DESC LIMIT 1'), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
}

test('clients/js: a state of one\'s own', async () => {
  await cluster.insert('1', 'bob', 'from before');
  await writeFile(join(kit.folder, 'own.mjs'), await block('clients/js/README.md', '## State of your own', 'js'));
  const child = start(process.execPath, [join(kit.folder, 'own.mjs')]);
  await prints(child, 'Bob: from before');
  await cluster.insert('1', 'bob', 'from now');
  await prints(child, 'Bob: from now');
  await cluster.sql("UPDATE rt.messages SET content = 'edited' WHERE room_id = 1 AND content = 'from before'");
  await cluster.insert('1', 'bob', 'after the edit');
  await prints(child, 'Bob: edited');
});

test('clients/python: a bot', async () => {
  const file = join(folder, 'bot.py');
  await writeFile(file, await block('clients/python/README.md', 'Copy [rt_client.py](rt_client.py) beside your program.', 'python'));
  const bot = start('/usr/bin/python3', [file], { PYTHONPATH: path('clients/python') });
  // It answers what is written once it listens, and does not say when that is.
  await until(async () => {
    assert.equal(bot.exitCode, null, bot.text);
    await cluster.insert('1', 'alice', '!ping');
    return (await cluster.value("SELECT count(*) > 0 FROM rt.messages WHERE sender_id = 'bob' AND content = 'pong'")) === true;
  }, 'it answers');
});
