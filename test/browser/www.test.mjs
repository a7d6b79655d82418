// The application that the gateway serves: chat, as two people at two browsers have it.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { after, afterEach, before, test } from 'node:test';
import prettier from 'prettier';
import { within } from '../clients/lib/client.mjs';
import { Cluster } from '../clients/lib/cluster.mjs';
import { DESKTOP, Person, PHONE } from './lib/app.mjs';
import { launch, until } from './lib/browser.mjs';
import { underPath } from './lib/proxy.mjs';

const LARGEST_BYTES = { login: 25_000, chat: 60_000 }; // compressed
const LONG_NAME = 'Hubert Blaine Wolfeschlegelsteinhausenbergerdorff of Philadelphia, Pennsylvania';

let cluster, browser, anna, ben, general;

before(async () => {
  cluster = await Cluster.start();
  await cluster.users('anna', 'ben', 'cleo');
  await cluster.sql('SELECT rt.create_user($1, $2, $3)', ['hubert', LONG_NAME, 'hubert-password']);
  general = await cluster.room('General', 'anna', 'ben', 'hubert');
  const big = await cluster.room('Big', 'ben', 'anna');
  await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content)
    SELECT $1, CASE WHEN i % 3 = 0 THEN 'anna' ELSE 'ben' END, 'number ' || i || repeat(' and more words', i % 9) FROM generate_series(1, 10000) AS i`, [big]);
  await cluster.sql("UPDATE rt.room_members SET last_read_seq = 10000 WHERE room_id = $1 AND user_id = 'anna'", [big]);
  browser = await launch();
  anna = await Person.signedIn(browser, cluster, 'anna');
  ben = await Person.signedIn(browser, cluster, 'ben', { ...DESKTOP, colorScheme: 'dark' });
  await Promise.all([anna, ben].map((person) => person.openRoom('General')));
});

after(async () => {
  await browser?.close();
  await cluster?.stop();
});

afterEach(() => {
  assert.deepEqual([...anna.errors.splice(0), ...ben.errors.splice(0)], []);
});

// ---- how it is made, and how it comes --------------------------------------------------------------------

test('the files are compressed, and no other origin may have a part in them', async () => {
  for (const path of ['/', '/assets/app.js', '/assets/app.css', '/assets/icon.svg']) {
    const reply = await fetch(cluster.url + path, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(reply.status, 200, path);
    assert.equal(reply.headers.get('content-encoding'), 'gzip', path);
    assert.match(reply.headers.get('content-security-policy'), /^default-src 'self';(?!.*unsafe)/);
    assert.equal(reply.headers.get('cache-control'), 'no-cache', path); // kept, and asked about
    assert.match(reply.headers.get('vary'), /accept-encoding/i, path);
    await reply.arrayBuffer();
    const again = await fetch(cluster.url + path, { headers: { 'if-none-match': reply.headers.get('etag') } });
    assert.equal(again.status, 304, path);
  }
});

test('little is loaded before one signs in, and what only meetings and figures need, with them', async (t) => {
  const cleo = await Person.open(browser, { url: 'about:blank' });
  t.after(() => cleo.close());
  const loaded = new Map();
  cleo.page.on('requestfinished', async (request) => {
    const { pathname } = new URL(request.url());
    if (pathname === '/' || pathname.startsWith('/assets/')) loaded.set(pathname, (await request.sizes()).responseBodySize);
  });
  const total = () => [...loaded.values()].reduce((sum, size) => sum + size, 0);
  const has = (name) => [...loaded.keys()].some((path) => path.startsWith(`/assets/${name}`));
  await cleo.page.goto(cluster.url);
  await cleo.button('Sign in').waitFor();
  await until('its script', () => has('app.js') && has('app.css'));
  const login = total();
  assert.ok(login > 1000 && login <= LARGEST_BYTES.login, `${login} bytes before login`);
  await cleo.signIn('cleo', 'cleo-password');
  await cleo.page.getByText("You aren't in any rooms yet.").waitFor();
  await until('the chat', () => has('chat-'));
  const chat = total();
  t.diagnostic(`compressed: ${login} bytes before login, ${chat} with the chat`);
  assert.ok(chat <= LARGEST_BYTES.chat, `${chat} bytes with the chat`);
  assert.ok(!has('meeting-') && !has('admin-'));
  await cleo.go('#/meeting/1');
  await cleo.page.getByRole('heading', { name: 'Meeting not found.' }).waitFor();
  await until('its own script', () => has('meeting-'));
});

test('its source is formatted as it says', async () => {
  const folder = new URL('../../bgworker/www/', import.meta.url);
  const options = JSON.parse(await readFile(new URL('.prettierrc', folder), 'utf8'));
  const untidy = [];
  for (const name of await readdir(new URL('src/', folder))) {
    if (!/\.(js|css)$/.test(name)) continue;
    const text = await readFile(new URL(`src/${name}`, folder), 'utf8');
    if (!(await prettier.check(text, { ...options, filepath: name }))) untidy.push(name);
  }
  assert.deepEqual(untidy, []);
});

test('a wrong password is refused in words; a reload keeps one signed in; signing out ends it', async (t) => {
  const cleo = await Person.open(browser, cluster);
  t.after(() => cleo.close());
  assert.deepEqual(await cleo.faults('login'), []);
  await cleo.signIn('cleo', 'wrong');
  await cleo.page.getByText('Wrong username or password.').waitFor();
  await cleo.signIn('cleo', 'cleo-password');
  await cleo.page.getByText("You aren't in any rooms yet.").waitFor();
  assert.deepEqual(await cleo.faults('no-rooms'), []);
  await cleo.page.reload();
  await cleo.page.getByText("You aren't in any rooms yet.").waitFor();
  await cleo.button('Sign out').click();
  await cleo.button('Sign in').waitFor();
});

// ---- talking -----------------------------------------------------------------------------

test('what one writes the other reads, and the first sees that', async () => {
  await anna.input.pressSequentially('Hel');
  await ben.page.getByText('Anna is typing…').waitFor();
  await anna.say('Hello Ben');
  await ben.bubble('Hello Ben').waitFor();
  await until('the typing line to be gone', async () => !(await ben.page.locator('#view .typing').textContent()));
  await until('seen by Ben', async () => (await anna.ticks('Hello Ben')) === 'seen by Ben');
});

test('editing, reacting, replying, deleting', async () => {
  await anna.say('a mistake');
  await ben.bubble('a mistake').waitFor();
  await anna.use('a mistake', 'Edit');
  await anna.page.getByLabel('Text').fill('no mistake');
  await anna.button('Save').click();
  await ben.bubble('no mistake').getByText('edited').waitFor();

  await ben.use('no mistake', 'React with 🎉');
  const reaction = anna.bubble('no mistake').getByRole('button', { name: '🎉 1' });
  await reaction.click();
  await ben.bubble('no mistake').getByRole('button', { name: '🎉 2' }).waitFor();
  await ben.page.reload();
  await ben.page.locator('.history:not([aria-busy])').waitFor(); // what is shown before may be drawn anew under a click
  await ben.bubble('no mistake').getByRole('button', { name: '🎉 2', pressed: true }).click();
  await anna.bubble('no mistake').getByRole('button', { name: '🎉 1', pressed: true }).waitFor();

  await ben.use('no mistake', 'Reply');
  await ben.say('indeed');
  await anna.bubble('indeed').locator('.quote', { hasText: 'Anna: no mistake' }).waitFor();

  await anna.use('no mistake', 'Delete');
  await anna.answer('Delete');
  await ben.page.getByText('This message was deleted.').waitFor();
  await ben.bubble('indeed').locator('.quote', { hasText: 'Anna: Message deleted' }).waitFor();
});

test('a mention is offered, taken, marked', async () => {
  await anna.input.fill('');
  await anna.input.pressSequentially('look @be');
  await anna.page.getByRole('option', { name: 'Ben @ben' }).click();
  await anna.input.press('Enter');
  await ben.page.locator('.mention.me', { hasText: '@ben' }).waitFor();
  await anna.input.pressSequentially('and @'); // arrows choose, Enter takes
  const option = (name, selected) => anna.page.getByRole('option', { name, selected }).waitFor();
  await option('Ben @ben', true);
  await anna.input.press('ArrowDown');
  await option('Ben @ben', false);
  await anna.input.press('ArrowUp');
  await option('Ben @ben', true);
  await anna.input.press('Enter');
  assert.equal(await anna.input.inputValue(), 'and @ben ');
  await anna.input.fill('');
});

test('text is text, whatever it looks like', async () => {
  const evil = '<img src=x onerror="window.stolen=1"><b>bold</b>';
  await cluster.insert(general, 'ben', evil);
  await until('the text', async () => (await anna.texts()).includes(evil));
  assert.equal(await anna.page.evaluate(() => window.stolen), undefined);
});

test('links, code, lists, quotes and emphasis are shown as such; what could do harm is text', async () => {
  const text = [
    '**bold** _slanted_ ~~gone~~ `x<y` https://example.com/a?b=1&c=2. [evil](javascript:alert(1)) [good](https://example.com/) <b>no</b>',
    '- one', '- two', '', '> quoted', '', '```', 'code *here*', '```', '', '# no heading'].join('\n');
  await cluster.insert(general, 'ben', text);
  const bubble = anna.page.locator('.bubble', { hasText: 'slanted' });
  await bubble.locator('strong').waitFor(); // what makes it so is loaded when it is needed
  const found = await bubble.locator('.text').evaluate((node) => Object.fromEntries(
    ['strong', 'em', 'del', 'a', 'li', 'blockquote', 'pre', 'p code', 'b', 'h1'].map((tag) => [tag, [...node.querySelectorAll(tag)].map((one) => one.textContent)])));
  assert.deepEqual(found, {
    strong: ['bold'], em: ['slanted'], del: ['gone'], a: ['https://example.com/a?b=1&c=2', 'good'], li: ['one', 'two'],
    blockquote: ['quoted'], pre: ['code *here*'], 'p code': ['x<y'], b: [], h1: [] });
  const links = await bubble.locator('a').evaluateAll((nodes) => nodes.map(({ href, target, rel }) => [href, target, rel]));
  assert.deepEqual(links.map(([href]) => href), ['https://example.com/a?b=1&c=2', 'https://example.com/']);
  for (const [, target, rel] of links) assert.ok(target === '_blank' && /noopener/.test(rel));
  await bubble.getByText('<b>no</b>').waitFor();
  // In one line it is words.
  await anna.roomLink('General').locator('.snippet', { hasText: 'bold slanted gone x<y https://example.com/a?b=1&c=2. [evil](javascript:alert(1)) good <b>no</b>' }).waitFor();
  // What makes links is loaded after the message is drawn: they are no tab stops all the same.
  await anna.page.reload();
  await bubble.locator('strong').waitFor();
  const stops = () => bubble.locator('a').evaluateAll((nodes) => nodes.map((node) => node.tabIndex));
  assert.deepEqual(await stops(), [-1, -1]);
  await bubble.locator('xpath=ancestor::li').focus();
  assert.deepEqual(await stops(), [0, 0]);
  await bubble.getByText('# no heading').waitFor();
  await cluster.insert(general, 'ben', '*');
  await anna.page.locator('.text', { hasText: /^\*$/ }).waitFor();
});

test('system messages look like it, and an unknown type of message says what it is', async () => {
  await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content, message_type) VALUES ($1, 'ben', 'Ben turned the heating on', 'system'), ($1, 'ben', 'red or blue?', 'poll')", [general]);
  await anna.page.locator('.message.system', { hasText: 'Ben turned the heating on' }).waitFor();
  assert.equal(await anna.page.locator('.message.system .tools').count(), 0);
  await anna.page.locator('.bubble', { hasText: 'type “poll”' }).getByText('red or blue?').waitFor();
  await anna.screenshot('text');
});

// How long after the INSERT was sent the text is in Anna's page, in milliseconds.
async function timeOfInsert(text) {
  const shown = anna.page.evaluate((wanted) => new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${wanted} does not come`)), 60_000);
    const observer = new MutationObserver(() => {
      if (![...document.querySelectorAll('.messages .text')].some((node) => node.textContent === wanted)) return;
      observer.disconnect();
      resolve(performance.timeOrigin + performance.now());
    });
    observer.observe(document.querySelector('.messages'), { childList: true });
    window.watching = wanted;
  }), text);
  await anna.page.waitForFunction((wanted) => window.watching === wanted, text);
  const started = performance.timeOrigin + performance.now();
  await cluster.insert(general, 'ben', text);
  return (await shown) - started;
}

// The bound is for the median of nine.
test('a row inserted by SQL appears within 200 ms', (t) => within(200, async () => {
  const took = [];
  for (let i = 0; i < 9; i++) took.push(await timeOfInsert(`from SQL ${Math.random()}`));
  const median = took.sort((a, b) => a - b)[4];
  t.diagnostic(`INSERT to page: median ${median.toFixed(1)} ms`);
  return median;
}));

// ---- breaks ---------------------------------------------------------------------------------

test('the gateway is killed: it is said, nothing is missing afterwards, nothing is doubled', async () => {
  const before = await anna.texts();
  await ben.input.pressSequentially('I was about to');
  await anna.page.getByText('Ben is typing…').waitFor();
  const isTold = await anna.glimpseOffline();
  process.kill(await cluster.pid('gateway'), 'SIGKILL');
  await isTold();
  await until('the typing line to be empty', async () => !(await anna.page.locator('#view .typing').textContent()));
  await ben.input.fill('');
  await cluster.insert(general, 'ben', 'while you were away');
  await anna.say('written offline, first');
  await anna.say('written offline, second');
  const wanted = ['while you were away', 'written offline, first', 'written offline, second'];
  for (const person of [anna, ben])
    await until('all three, once each', async () => {
      const fresh = (await person.texts()).filter((text) => wanted.includes(text));
      return fresh.length === 3 && wanted.every((text) => fresh.includes(text));
    });
  await anna.page.getByText("You're offline.").waitFor({ state: 'hidden' });
  await until('the ticks', async () => /sent|delivered|seen/.test(await anna.ticks('written offline, second')));
  const now = await anna.texts();
  assert.deepEqual(now.slice(0, before.length), before);
  assert.ok(now.indexOf('written offline, first') < now.indexOf('written offline, second'));
});

test('a gateway that hangs is noticed within 10 s', (t) => within(10_000, async () => {
  const gateway = await cluster.pid('gateway');
  const goOn = () => { try { process.kill(gateway, 'SIGCONT'); } catch { /* it was replaced */ } };
  t.after(goOn);
  await anna.page.locator('.me .dot:not(.offline)').waitFor();
  await anna.page.evaluate(() => {
    const banner = document.querySelector('.banner');
    new MutationObserver(() => { if (!banner.hidden) window.noticedAt ??= performance.timeOrigin + performance.now(); }).observe(banner, { attributes: true });
    delete window.noticedAt;
  });
  const stopped = performance.timeOrigin + performance.now();
  process.kill(gateway, 'SIGSTOP');
  const took = (await until('it is noticed', () => anna.page.evaluate(() => window.noticedAt))) - stopped;
  t.diagnostic(`noticed after ${(took / 1000).toFixed(1)} s`);
  goOn();
  for (const person of [anna, ben]) await person.page.getByText("You're offline.").waitFor({ state: 'hidden' });
  return took;
}));

test('a tab that is closed loses nothing: the next one sends what was written, once, and has the draft', async (t) => {
  const hubert = await Person.signedIn(browser, cluster, 'hubert');
  t.after(() => hubert.close());
  const sent = [];
  hubert.context.on('request', (request) => request.method() === 'POST' && request.url().endsWith('/msgs') && sent.push(request.postData()));
  let refused = true;
  await hubert.context.route('**/msgs', (route) => (refused && route.request().method() === 'POST' ? route.abort() : route.continue()).catch(() => {}));
  await hubert.openRoom('General');
  for (const text of ['for the next tab, first', 'for the next tab, second']) {
    await hubert.say(text);
    await hubert.bubble(text).waitFor();
  }
  await hubert.input.fill('half a thought');
  await until('an attempt', () => sent.length > 0);
  const tabs = [await hubert.context.newPage(), await hubert.context.newPage()]; // blank: a window with no tab is gone
  const closed = hubert.page.waitForEvent('close');
  await hubert.page.close({ runBeforeUnload: true });
  await closed;
  refused = false;
  sent.length = 0;
  await Promise.all(tabs.map((tab) => tab.goto(cluster.url)));
  [hubert.page] = tabs;
  for (const text of ['for the next tab, first', 'for the next tab, second']) await ben.bubble(text).waitFor();
  await hubert.openRoom('General');
  await until('the draft', async () => (await hubert.input.inputValue()) === 'half a thought');
  await until('the ticks', async () => /sent|delivered|seen/.test(await hubert.ticks('for the next tab, second')));
  const texts = (await ben.texts()).filter((text) => text.startsWith('for the next tab'));
  assert.deepEqual(texts, ['for the next tab, first', 'for the next tab, second']);
  assert.equal(sent.length, 2, 'each was sent by one tab');

  // It is Hubert's draft, and nobody else's who uses this browser.
  await hubert.button('Sign out').click();
  await hubert.signIn('anna', 'anna-password');
  await hubert.openRoom('General');
  assert.equal(await hubert.input.inputValue(), '');
});

test('a connection that cannot be recovered: what came and what was changed meanwhile is there too', async () => {
  await anna.say('to be changed meanwhile');
  await ben.bubble('to be changed meanwhile').waitFor();
  await cluster.sql('DELETE FROM rt_private.sessions'); // none can be recovered
  process.kill(await cluster.pid('gateway'), 'SIGKILL');
  await cluster.sql("UPDATE rt.messages SET content = 'changed meanwhile' WHERE room_id = $1 AND content = 'to be changed meanwhile'", [general]);
  await cluster.insert(general, 'ben', 'come meanwhile');
  for (const person of [anna, ben]) for (const text of ['changed meanwhile', 'come meanwhile']) await person.bubble(text).waitFor();
  await anna.page.getByText("You're offline.").waitFor({ state: 'hidden' });
  await anna.say('joined again');
  await ben.bubble('joined again').waitFor();
});

// The page's connection, anew.  What it says on later ones that matches is held until it is released.
async function holding(t, person, what) {
  const held = [];
  let isFirst = true;
  let isOver = false;
  await person.page.routeWebSocket(/socket\.io/, (route) => {
    const holds = !isFirst;
    const server = route.connectToServer();
    route.onMessage((message) => (holds && !isOver && what.test(message) ? held.push(() => server.send(message)) : server.send(message)));
    server.onMessage((message) => route.send(message));
    isFirst = false;
  });
  held.release = () => {
    isOver = true;
    held.splice(0).forEach((send) => send());
  };
  t.after(async () => {
    held.release();
    await person.page.unrouteAll({ behavior: 'ignoreErrors' });
  });
  await person.page.reload();
  await person.page.locator('.me .dot:not(.offline)').waitFor(); // what is shown may be what was kept
  return held;
}

test('a request that is slow on its way: what comes before its answer is there once, and nothing hangs', async (t) => {
  const held = await holding(t, ben, /"sync-rooms"/);
  await cluster.sql('DELETE FROM rt_private.sessions'); // none can be recovered
  process.kill(await cluster.pid('gateway'), 'SIGKILL');
  await until('it asks what it missed', () => held.length > 0);
  const wanted = Array.from({ length: 3 }, (_, i) => `before the answer ${i + 1}`);
  for (const text of wanted) await cluster.insert(general, 'anna', text);
  await ben.bubble(wanted.at(-1)).waitFor();
  held.release();
  await cluster.insert(general, 'anna', 'after the answer');
  await ben.bubble('after the answer').waitFor();
  await until('all of them in order', async () => (await ben.texts()).slice(-4).join() === [...wanted, 'after the answer'].join());
  await ben.page.locator('.me .dot:not(.offline)').waitFor();
});

test('more is missed than a page has, and one message overtakes the rest: there is no hole', async (t) => {
  const held = [];
  let hold = false;
  // The acknowledgement of joining comes late, so that what is new arrives before what was missed is asked for.
  await ben.page.routeWebSocket(/socket\.io/, (route) => {
    const server = route.connectToServer();
    route.onMessage((message) => server.send(message));
    server.onMessage((message) => (hold && /^43\d/.test(message) ? held.push(() => route.send(message)) : route.send(message)));
  });
  t.after(() => {
    hold = false;
    return ben.page.unrouteAll({ behavior: 'ignoreErrors' });
  });
  await ben.page.reload();
  await ben.bubble('joined again').waitFor();
  await ben.page.locator('.me .dot:not(.offline)').waitFor(); // what is shown may be what was kept
  hold = true;
  await cluster.sql('DELETE FROM rt_private.sessions'); // none can be recovered
  process.kill(await cluster.pid('gateway'), 'SIGKILL');
  await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, 'anna', 'missed ' || i FROM generate_series(1, 120) AS i`, [general]);
  await until('the acknowledgement', () => held.length > 0);
  await cluster.insert(general, 'anna', 'the one that overtakes');
  await anna.bubble('the one that overtakes').waitFor();
  hold = false;
  held.splice(0).forEach((send) => send());
  await ben.bubble('the one that overtakes').waitFor();
  const wanted = [...Array.from({ length: 120 }, (_, i) => `missed ${i + 1}`), 'the one that overtakes'];
  await until('all of them in order', async () => (await ben.texts()).slice(-121).join() === wanted.join());
  await ben.page.unrouteAll();
  await ben.page.reload();
  await ben.bubble('missed 1').waitFor(); // it opens there
  await ben.button('Jump to latest').click();
  await ben.button('Mark as read').click();
  await ben.bubble('the one that overtakes').waitFor();
});

test('a room that was not open when something came has its history, too', async () => {
  const room = await cluster.room('Attic', 'anna', 'ben');
  await anna.roomLink('Attic').waitFor();
  await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, 'ben', 'old ' || i FROM generate_series(1, 9) AS i`, [room]);
  await anna.roomLink('Attic').getByLabel('9 unread').waitFor();
  await anna.page.reload();
  await anna.roomLink('Attic').getByLabel('9 unread').waitFor();
  await cluster.insert(room, 'ben', 'new 10');
  await anna.roomLink('Attic').getByLabel('10 unread').waitFor();
  await anna.openRoom('Attic');
  await until('all ten', async () => (await anna.texts()).length === 10);
  await anna.page.getByText('This is the beginning of the conversation.').waitFor();
  await anna.roomLink('Attic').getByLabel('unread').waitFor({ state: 'hidden' });
  await anna.openRoom('General');
});

test('nobody looks: what comes stays unread, is in the title, and is told', async (t) => {
  await anna.context.grantPermissions(['notifications'], { origin: cluster.url });
  await anna.page.evaluate(() => {
    window.notes = [];
    window.RealNotification = Notification;
    window.Notification = class { static permission = 'granted'; constructor(title, options) { window.notes.push([title, options.body]); } };
    document.hasFocus = () => false;
  });
  t.after(() => anna.page.evaluate(() => {
    delete document.hasFocus;
    window.Notification = window.RealNotification;
    window.dispatchEvent(new Event('focus'));
  }));
  await until('nothing in the title', async () => (await anna.page.title()) === 'rt');
  await ben.say('are you there');
  await anna.bubble('are you there').waitFor();
  await until('the title', async () => (await anna.page.title()) === '(1) rt');
  assert.deepEqual(await anna.page.evaluate(() => window.notes), [['Ben', 'are you there']]);
  await until('delivered', async () => (await ben.ticks('are you there')) === 'delivered');
  await anna.page.evaluate(() => { delete document.hasFocus; window.dispatchEvent(new Event('focus')); });
  await until('seen', async () => (await ben.ticks('are you there')) === 'seen by Anna');
  await until('nothing in the title again', async () => (await anna.page.title()) === 'rt');
});

// ---- rooms -----------------------------------------------------------------------------------

test('two devices: what is read on one is read on the other; who comes into a room is counted', async (t) => {
  const room = await cluster.room('Staircase', 'ben', 'anna');
  const tablet = await Person.signedIn(browser, cluster, 'anna');
  t.after(() => tablet.close());
  await anna.roomLink('Staircase').waitFor();
  await cluster.insert(room, 'ben', 'mind the step');
  for (const person of [anna, tablet]) await person.roomLink('Staircase').getByLabel('1 unread').waitFor();
  await anna.openRoom('Staircase');
  await tablet.roomLink('Staircase').getByLabel('unread').waitFor({ state: 'hidden' });
  await anna.page.locator('.under', { hasText: '2 members' }).waitFor();
  await cluster.sql("INSERT INTO rt.room_members (room_id, user_id) VALUES ($1, 'hubert')", [room]);
  await anna.page.locator('.under', { hasText: '3 members' }).waitFor();
  await anna.openRoom('General');
});

test('a new room with a member, unread counts, the title, removing and leaving', async () => {
  await anna.button('New room').click();
  await anna.page.getByLabel('Name', { exact: true }).fill('Garden');
  await anna.page.getByLabel('Members (').fill('ben');
  await anna.button('Create').click();
  await anna.page.getByRole('heading', { name: 'Garden' }).waitFor();
  await ben.roomLink('Garden').waitFor();
  await anna.say('one');
  await anna.say('two');
  await ben.roomLink('Garden').getByLabel('2 unread').waitFor();
  await until('a large number in the title', async () => (await ben.page.title()).startsWith('(99+)'));
  await ben.openRoom('Garden');
  await ben.roomLink('Garden').getByLabel('2 unread').waitFor({ state: 'hidden' });

  await anna.button('Members').click();
  assert.deepEqual(await anna.faults('members'), []);
  await anna.button('Remove Ben').click();
  await anna.answer('Cancel');
  await anna.button('Members').click();
  await anna.button('Remove Ben').click();
  await anna.answer('Remove');
  await ben.roomLink('Garden').waitFor({ state: 'hidden' });
  await ben.page.getByText('You were removed from “Garden”.').waitFor();
  await ben.page.getByText('Select a room.').waitFor();
  await anna.button('Members').click();
  await anna.answer('Leave');
  await anna.answer('Leave');
  await anna.roomLink('Garden').waitFor({ state: 'hidden' });
});

test('a direct message, with presence', async () => {
  const cleo = await Person.signedIn(browser, cluster, 'cleo');
  await anna.button('Message').click();
  await anna.page.getByLabel('Username').fill('cleo');
  await anna.button('Open').click();
  await anna.page.getByRole('heading', { name: 'Cleo' }).waitFor();
  await anna.page.locator('.under', { hasText: 'online' }).waitFor();
  await cleo.page.locator('.me', { hasText: 'online' }).click();
  await cleo.page.getByRole('dialog').getByRole('combobox').selectOption('busy');
  await cleo.field('Message (optional)').fill('in the garden');
  await cleo.answer('Save');
  await cleo.page.locator('.me', { hasText: 'in the garden' }).waitFor();
  await anna.page.locator('.under', { hasText: 'busy: in the garden' }).waitFor();
  await anna.page.reload();
  await until(async () => `the same after loading it anew, and not ${await anna.page.locator('.under').textContent()}`,
    async () => (await anna.page.locator('.under').textContent()).includes('busy: in the garden'));
  await cleo.close();
  await anna.page.locator('.under', { hasText: 'last seen' }).waitFor();
});

const isInSight = (text) => anna.bubble(text).evaluate((node) => {
  const [{ top, bottom }, box] = [node.getBoundingClientRect(), node.closest('.scroller').getBoundingClientRect()];
  return top >= box.top && bottom <= box.bottom;
});
const seek = async (words) => {
  await anna.page.getByLabel('Search messages').fill(words);
  await anna.page.getByLabel('Search messages').press('Enter');
  await anna.page.getByRole('dialog').locator('.hits button').click();
};

test('search leads to what it finds, a reply to what it answers, wherever that is', async () => {
  await anna.openRoom('General');
  await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content)
    SELECT id, 'ben', CASE i WHEN 50 THEN 'the needle' ELSE 'straw ' || i END FROM rt.rooms, generate_series(1, 600) AS i WHERE name = 'Attic'`);
  await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content, reply_to)
    SELECT room_id, 'ben', 'about that', seq - 30 FROM rt.messages WHERE content = 'straw 600'`);
  await anna.page.reload();
  await anna.page.getByRole('heading', { name: 'General' }).waitFor();
  const isMarked = await anna.glimpse('.message.found');
  await seek('needle'); // in another room, far back
  await until('the needle in sight', async () => (await anna.bubble('the needle').count()) && isInSight('the needle'));
  await isMarked();
  const around = (await anna.texts()).filter((text) => /straw|needle/.test(text));
  assert.ok(around.includes('straw 49') && around.includes('straw 51'));
  await anna.button('Jump to latest').click();
  await anna.bubble('about that').waitFor();
  await anna.page.locator('.quote', { hasText: 'Ben: straw 570' }).click();
  await until('the quoted one in sight', () => isInSight('straw 570'));
  await seek('needle'); // in this room
  await until('the needle in sight', () => isInSight('the needle'));
  // Down again through what is not loaded, without a hole.
  const scroller = anna.page.getByLabel('Conversation');
  await until('the way down', async () => {
    await scroller.evaluate((node) => { node.scrollTop += 4000; });
    return (await anna.texts()).some((text) => text === 'straw 400');
  });
  const numbers = (await anna.texts()).map((text) => Number(/^straw (\d+)/.exec(text)?.[1] ?? 50));
  assert.deepEqual(numbers, numbers.map((_, i) => numbers[0] + i));
  await anna.openRoom('General');
});

test('a quoted message that is long gone from sight is quoted all the same, and found', async () => {
  await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content, reply_to)
    SELECT room_id, 'ben', 'remember?', seq FROM rt.messages WHERE content = 'the needle'`);
  await anna.page.reload();
  await anna.openRoom('Attic');
  await anna.button('Jump to latest').click();
  await anna.page.locator('.quote', { hasText: 'Ben: the needle' }).click();
  await until('the needle in sight', async () => (await anna.bubble('the needle').count()) > 0);
  assert.ok((await anna.texts()).includes('straw 51'));
  await anna.openRoom('General');
});

test('read is what was in view: a hit far ahead marks nothing, a room opens at its first unread message', async () => {
  const room = await cluster.room('Cellar', 'anna', 'ben');
  await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content)
    SELECT $1, 'ben', CASE i WHEN 300 THEN 'the thimble' ELSE 'jar ' || i END FROM generate_series(1, 600) AS i`, [room]);
  await cluster.sql("UPDATE rt.room_members SET last_read_seq = 100 WHERE room_id = $1 AND user_id = 'anna'", [room]);
  const mark = async () => Number(await cluster.value("SELECT last_read_seq FROM rt.room_members WHERE room_id = $1 AND user_id = 'anna'", [room]));
  const unread = async () => Number(/\d+/.exec((await anna.page.locator('.unread span').textContent()) || '0'));
  await anna.page.reload();
  await anna.openRoom('General');
  await anna.roomLink('Cellar').getByLabel('500 unread').waitFor();
  await seek('thimble');
  await until('the thimble in sight', async () => (await anna.bubble('the thimble').count()) && isInSight('the thimble'));
  await anna.page.getByText('500 unread').waitFor();
  await anna.openRoom('General');
  assert.equal(await mark(), 100);

  await anna.openRoom('Cellar');
  await until('the first unread message', async () => (await anna.bubble('jar 101').count()) && isInSight('jar 101'));
  assert.ok(await anna.page.locator('.line.new').isVisible());
  await until('what is in view to be read', async () => (await mark()) > 101);
  assert.ok((await mark()) < 150, `${await mark()}`);
  await until('the number to follow', async () => (await unread()) === 600 - (await mark()));

  await anna.button('Jump to latest').click();
  await until('the newest in sight', async () => (await anna.bubble('jar 600').count()) && isInSight('jar 600'));
  assert.ok((await unread()) > 400, 'what was jumped over is unread');
  await anna.button('Mark as read').click();
  await anna.roomLink('Cellar').getByLabel('unread').waitFor({ state: 'hidden' });
  await until('all is read', async () => (await mark()) === 600);
  await anna.openRoom('General');
});

test('search finds, and says when it does not', async () => {
  for (const [words, found] of [['indeed', 'Results for “indeed”'], ['unheardof', 'No results.']]) {
    await anna.page.getByLabel('Search messages').fill(words);
    await anna.page.getByLabel('Search messages').press('Enter');
    await anna.page.getByText(found).waitFor();
    await anna.button('Close').click();
  }
});

test('a refused name is told in words', async () => {
  await anna.button('Message').click();
  await anna.page.getByLabel('Username').fill('nobody');
  await anna.button('Open').click();
  await anna.page.getByRole('dialog').getByText('User “nobody” not found.').waitFor();
  assert.equal(await anna.field('Username').inputValue(), 'nobody');
  await anna.answer('Cancel');

  await anna.button('New room').click(); // what was typed is still there
  await anna.field('Name').fill('Shed');
  await anna.page.getByLabel('Members (').fill('ben, noone, nobody');
  await anna.answer('Create');
  await anna.page.getByRole('dialog').getByText('Users “noone”, “nobody” not found.').waitFor();
  assert.equal(await anna.field('Name').inputValue(), 'Shed');
  await anna.page.getByLabel('Members (').fill('ben');
  await anna.answer('Create');
  await anna.page.getByRole('heading', { name: 'Shed' }).waitFor();
  await anna.openRoom('General');
});

test('a name is found by its letters, whoever else has them; a room by typing, from anywhere', async () => {
  await cluster.sql(`INSERT INTO rt.users (id, username, name) SELECT 'a' || i, 'a' || i, 'Smithers ' || i FROM generate_series(1, 60) AS i`);
  await cluster.sql("SELECT rt.create_user('smith', 'Smith', 'smith-password')");
  await anna.button('Message').click();
  await anna.page.getByLabel('Username').fill('smith');
  await anna.button('Open').click();
  await anna.page.getByRole('heading', { name: 'Smith' }).waitFor();
  await anna.page.keyboard.press('Control+k');
  await anna.page.keyboard.type('gener');
  await anna.roomLink('Big').waitFor({ state: 'hidden' });
  await anna.page.keyboard.press('Enter');
  await anna.page.getByRole('heading', { name: 'General', exact: true }).waitFor();
  await anna.roomLink('Big').waitFor();
});

test('a session that ended says so; signing out ends all tabs; two profiles are two users', async (t) => {
  const cleo = await Person.signedIn(browser, cluster, 'cleo');
  t.after(() => cleo.close());
  const second = await cleo.context.newPage();
  await second.goto(cluster.url);
  await second.getByRole('navigation', { name: 'Rooms' }).waitFor();
  const other = await cleo.context.newPage();
  await other.goto(`${cluster.url}/?profile=2`);
  await other.getByLabel('Username').fill('ben');
  await other.getByLabel('Password').fill('ben-password');
  await other.getByRole('button', { name: 'Sign in' }).click();
  await other.locator('.me', { hasText: 'Ben' }).waitFor();
  const token = await cleo.page.evaluate(() => localStorage.getItem('rt-token'));
  assert.equal((await cluster.rest('GET', '/api/users/me', token)).status, 200);
  await cleo.button('Sign out').click();
  await second.getByRole('button', { name: 'Sign in' }).waitFor();
  assert.equal((await cluster.rest('GET', '/api/users/me', token)).status, 401, 'the server has ended the session');
  await other.reload();
  await other.locator('.me', { hasText: 'Ben' }).waitFor();
  assert.match(other.url(), /profile=2/);

  await cleo.signIn('cleo', 'cleo-password');
  await cleo.page.locator('.me', { hasText: 'Cleo' }).waitFor();
  await cleo.page.evaluate(() => localStorage.setItem('rt-token', 'no.longer.valid'));
  await cleo.page.reload();
  await cleo.page.getByText('Your session has ended. Sign in again.').waitFor();
});

test('under a path of a proxy all of it works', async (t) => {
  const proxy = await underPath(cluster.url, '/chat');
  t.after(() => proxy.close());
  const cleo = await Person.open(browser, { url: `${proxy.origin}/chat/` });
  t.after(() => cleo.close());
  await cleo.signIn('cleo', 'cleo-password');
  await cleo.page.locator('.me .dot:not(.offline)').waitFor();
  await cleo.page.locator('img.brand').evaluateAll((images) => Promise.all(images.map((image) => image.decode())));
  assert.deepEqual(proxy.strays, [], 'nothing is asked for outside the path');
  await cleo.button('Sign out').click();
  await cleo.button('Sign in').waitFor();
  assert.equal(cleo.page.url(), `${proxy.origin}/chat/`);
});

// ---- many, long, the other way round --------------------------------------------------------------

test('10,000 messages: history comes as one scrolls, in order, without a jolt', async (t) => {
  await anna.openRoom('Big');
  await anna.page.getByText(/^number 10000 /).waitFor();
  const scroller = anna.page.getByLabel('Conversation');
  const first = async () => Number(/^number (\d+)/.exec((await anna.texts())[0])[1]);

  // What the reader looks at stays where it is while more comes in above it.
  await within(150, async () => {
    const jolts = await scroller.evaluate(async (node) => {
      const frame = () => new Promise(requestAnimationFrame);
      const jolts = [];
      for (let i = 0; i < 150; i++) {
        node.scrollTop -= 300;
        const [top] = [node.getBoundingClientRect().top];
        const mark = [...node.querySelectorAll('.message')].find((one) => one.getBoundingClientRect().top >= top);
        const before = mark.getBoundingClientRect().top;
        await frame();
        await frame();
        if (mark.isConnected) jolts.push(Math.abs(mark.getBoundingClientRect().top - before));
      }
      return jolts.sort((a, b) => a - b);
    });
    const [p50, p95] = [0.5, 0.95].map((part) => jolts[Math.floor(jolts.length * part)]);
    t.diagnostic(`moved by itself: p50 ${p50.toFixed(1)} px, p95 ${p95.toFixed(1)} px, longest ${jolts.at(-1).toFixed(1)} px`);
    return jolts.length > 100 && p95 < 20 ? jolts.at(-1) : Infinity;
  });

  for (let wanted = 9600; wanted >= 8800; wanted -= 200)
    await until(`number ${wanted}`, async () => {
      await scroller.evaluate((node) => { node.scrollTop = 0; });
      return (await first()) <= wanted;
    });
  const numbers = (await anna.texts()).map((text) => Number(/^number (\d+)/.exec(text)[1]));
  assert.deepEqual(numbers, numbers.map((_, i) => numbers[0] + i));
  assert.ok(numbers.length <= 450, `${numbers.length} bubbles in the page`);
  await anna.screenshot('big');

  // What a frame costs while one scrolls fast: the page's own time on a processor, whatever else this machine does.
  const cdp = await anna.context.newCDPSession(anna.page);
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
  const spent = async () => (await cdp.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration').value * 1000;
  let way = 300;
  await within(16, async () => {
    const before = await spent();
    const frames = await scroller.evaluate(async (node, pixels) => {
      const times = [];
      let last = performance.now();
      for (let i = 0; i < 100; i++) {
        node.scrollTop += pixels;
        await new Promise(requestAnimationFrame);
        times.push(performance.now() - last);
        last = performance.now();
      }
      return times.sort((a, b) => a - b);
    }, way);
    way = -way;
    const cost = ((await spent()) - before) / frames.length;
    t.diagnostic(`a frame while scrolling: ${cost.toFixed(1)} ms of work; by the clock p50 ${frames[50].toFixed(1)} ms, p95 ${frames[95].toFixed(1)} ms`);
    return cost;
  });
  await anna.button('Jump to latest').click();
  await anna.page.getByText(/^number 10000 /).waitFor();
  await anna.openRoom('General');
});

test('long names, text from right to left, a phone, the dark: nothing overflows, axe is content', async (t) => {
  await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, 'ben', 'unread ' || i FROM generate_series(1, 40) AS i", [general]);
  await cluster.insert(general, 'hubert', 'مرحبا بالجميع، هذه رسالة من اليمين إلى اليسار');
  await cluster.insert(general, 'ben', `https://example.com/${'very'.repeat(40)}long`);
  const phone = await Person.signedIn(browser, cluster, 'hubert', PHONE);
  t.after(() => phone.close());
  assert.deepEqual(await phone.faults('rooms-phone'), []);
  await phone.openRoom('General');
  await phone.button('Jump to latest').click();
  await phone.bubble('مرحبا بالجميع، هذه رسالة من اليمين إلى اليسار').waitFor();
  assert.equal(await phone.bubble('مرحبا بالجميع، هذه رسالة من اليمين إلى اليسار').locator('.text p').evaluate((node) => getComputedStyle(node).direction), 'rtl');
  assert.deepEqual(await phone.faults('room-phone'), []);
  await anna.openRoom('General');
  assert.deepEqual(await anna.faults('room'), []);
});

test('administration: only administrators see the figures, disconnect, and end meetings', async (t) => {
  await anna.go('#/admin');
  await anna.page.getByText('Only administrators can see this page.').waitFor();
  await anna.openRoom('General');
  await cluster.sql("UPDATE rt.users SET is_admin = true WHERE id = 'cleo'");
  const cleo = await Person.signedIn(browser, cluster, 'cleo');
  t.after(() => cleo.close());
  await cleo.page.getByRole('link', { name: 'Administration' }).click();
  await cleo.page.getByRole('cell', { name: 'gateway', exact: true }).waitFor();
  await until('rates', async () => !(await cleo.page.locator('.figure strong').allTextContents()).includes('–'));
  await until('a line', () => cleo.page.locator('.chart canvas').first().evaluate((canvas) => canvas.width > 100));
  assert.deepEqual(await cleo.faults('admin'), []);
  await cleo.page.setViewportSize(PHONE.viewport);
  assert.deepEqual(await cleo.faults('admin-phone'), []);
  await cleo.page.setViewportSize(DESKTOP.viewport);
  const isDropped = await ben.glimpseOffline();
  await cleo.button('Disconnect ben').click();
  await cleo.button('Yes').click();
  await isDropped();
  await ben.page.getByText("You're offline.").waitFor({ state: 'hidden' });
  const meetingId = await cluster.value("SELECT rt.create_meeting('Endless', host => 'ben')");
  await cluster.sql('SELECT rt.start_meeting($1)', [meetingId]);
  await cleo.button('End Endless').click();
  await cleo.button('Yes').click();
  await until('its end', async () => (await cluster.value('SELECT status FROM rt.meetings WHERE id = $1', [meetingId])) === 'ended');
  await cleo.button('End Endless').waitFor({ state: 'hidden' });
  assert.deepEqual(cleo.errors, []);
});

test('the keyboard is enough', async () => {
  await anna.page.getByLabel('Search messages').focus();
  for (let i = 0; i < 20; i++) {
    await anna.page.keyboard.press('Tab');
    if (await anna.page.evaluate(() => document.activeElement.matches('.rooms a'))) break;
  }
  for (const key of ['ArrowDown', 'ArrowUp', 'ArrowUp']) {
    if (await anna.page.evaluate(() => document.activeElement.matches('.rooms a:not([aria-current])'))) break;
    await anna.page.keyboard.press(key);
  }
  await anna.page.keyboard.press('Enter');
  await until('the line to write in has the focus', () => anna.input.evaluate((node) => node === document.activeElement));
  await anna.page.keyboard.type('by keyboard');
  await anna.page.keyboard.press('Enter');
  await anna.bubble('by keyboard').waitFor();

  // Among 150 messages Tab stops once; arrows lead from one to the other, and Tab from a message to what it can do.
  await anna.openRoom('General');
  await anna.openRoom('Big');
  await anna.page.getByText(/^number 10000 /).waitFor();
  const stops = await anna.page.evaluate(() => [...document.querySelectorAll('a[href], button, input, textarea, select, [tabindex]')]
    .filter((node) => node.tabIndex >= 0 && !node.disabled && node.offsetParent).map((node) => node.getAttribute('aria-label') ?? node.textContent.slice(0, 20)));
  assert.ok(stops.length <= 18, `${stops.length} tab stops: ${stops}`);
  await anna.page.keyboard.press('Shift+Tab');
  const newest = Number(await cluster.value("SELECT last_seq FROM rt.rooms WHERE name = 'Big'"));
  const focused = () => anna.page.evaluate(() => Number(document.activeElement.dataset.seq));
  await until('the last message', async () => (await focused()) === newest);
  await anna.page.keyboard.press('ArrowUp');
  await until('the one before it', async () => (await focused()) === newest - 1);
  await anna.page.keyboard.press('Tab');
  await until('what it can do', async () => (await anna.page.evaluate(() => Number(document.activeElement.closest('.message')?.dataset.seq))) === newest - 1);
  await anna.openRoom('General');
  await anna.page.evaluate(() => document.activeElement.blur());
  await anna.page.keyboard.press('?');
  await anna.page.getByRole('dialog').getByText('Previous and next room').waitFor();
  assert.deepEqual(await anna.faults('shortcuts'), []);
  await anna.answer('Close');
});

test('a message is told to a screen reader once, without its buttons', async () => {
  await anna.page.evaluate(() => {
    window.told = [];
    const watch = document.getElementById('announce');
    new MutationObserver(() => window.told.push(watch.textContent)).observe(watch, { childList: true });
  });
  await ben.openRoom('General');
  await ben.say('told once');
  const told = async (words) => (await anna.page.evaluate(() => window.told)).filter((text) => text.includes(words));
  await until('it is told', async () => (await told('told once')).length > 0);
  const live = await anna.page.evaluate(() => [...document.querySelectorAll('[aria-live], [role=log], [role=status]')].filter((node) => node.textContent.includes('told once')).map((node) => node.id));
  assert.deepEqual(live, ['announce']);
  await ben.say('and another');
  await until('the next one is told', async () => (await told('and another')).length > 0);
  assert.deepEqual(await told('told once'), ['Ben: told once']);
});

test('zoomed to 200 %, and 320 pixels wide, nothing is out of reach', async (t) => {
  t.after(() => anna.page.setViewportSize(DESKTOP.viewport));
  for (const [name, viewport] of [['zoomed', { width: 550, height: 360 }], ['narrow', { width: 320, height: 640 }]]) {
    await anna.page.setViewportSize(viewport);
    assert.deepEqual(await anna.faults(`room-${name}`), []);
    await anna.go('#/');
    await anna.page.locator('#view .history').waitFor({ state: 'detached' });
    assert.deepEqual(await anna.faults(`rooms-${name}`), []);
    await anna.go('#/meeting/999999');
    await anna.page.getByRole('heading', { name: 'Meeting not found.' }).waitFor();
    assert.deepEqual(await anna.faults(`end-${name}`), []);
    await anna.go(`#/room/${general}`);
    await anna.page.getByRole('heading', { name: 'General', exact: true }).waitFor();
  }
});
