// The application that the gateway serves: chat, as two people at two browsers have it.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Cluster } from '../clients/lib/cluster.mjs';
import { DESKTOP, Person, PHONE } from './lib/app.mjs';
import { launch, until } from './lib/browser.mjs';

const LARGEST_BYTES = 400 * 1024;
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

// ---- how it comes --------------------------------------------------------------------

test('the files are small, compressed, and no other origin may have a part in them', async () => {
  let total = 0;
  for (const path of ['/', '/assets/app.js', '/assets/app.css', '/assets/icon.svg']) {
    const reply = await fetch(cluster.url + path, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(reply.status, 200, path);
    assert.equal(reply.headers.get('content-encoding'), 'gzip', path);
    assert.match(reply.headers.get('content-security-policy'), /^default-src 'self';(?!.*unsafe)/);
    total += gzipSync(Buffer.from(await reply.arrayBuffer())).length;
    const again = await fetch(cluster.url + path, { headers: { 'if-none-match': reply.headers.get('etag') } });
    assert.equal(again.status, 304, path);
  }
  assert.ok(total < LARGEST_BYTES, `${total} bytes`);
});

test('a wrong password is refused in words; a reload keeps one signed in; signing out ends it', async (t) => {
  const cleo = await Person.open(browser, cluster);
  t.after(() => cleo.close());
  assert.deepEqual(await cleo.faults(), []);
  await cleo.screenshot('login');
  await cleo.signIn('cleo', 'wrong');
  await cleo.page.getByText('That user name and password do not fit.').waitFor();
  await cleo.signIn('cleo', 'cleo-password');
  await cleo.page.getByText('You are in no room yet.').waitFor();
  await cleo.screenshot('no-rooms');
  await cleo.page.reload();
  await cleo.page.getByText('You are in no room yet.').waitFor();
  await cleo.button('Sign out').click();
  await cleo.button('Sign in').waitFor();
});

// ---- talking -----------------------------------------------------------------------------

test('what one writes the other reads, and the first sees that', async () => {
  await anna.input.pressSequentially('Hel');
  await ben.page.getByText('Anna is typing …').waitFor();
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
  await ben.bubble('no mistake').getByRole('button', { name: '🎉 2', pressed: true }).click();
  await anna.bubble('no mistake').getByRole('button', { name: '🎉 1', pressed: true }).waitFor();

  await ben.use('no mistake', 'Reply');
  await ben.say('indeed');
  await anna.bubble('indeed').locator('blockquote', { hasText: 'Anna: no mistake' }).waitFor();

  await anna.use('no mistake', 'Delete');
  await ben.page.getByText('This message was deleted.').waitFor();
  await ben.bubble('indeed').locator('blockquote', { hasText: 'Anna: deleted' }).waitFor();
});

test('a mention is offered, taken, marked', async () => {
  await anna.input.fill('');
  await anna.input.pressSequentially('look @be');
  await anna.button('Ben @ben').click();
  await anna.input.press('Enter');
  await ben.page.locator('.mention.me', { hasText: '@ben' }).waitFor();
});

test('text is text, whatever it looks like', async () => {
  const evil = '<img src=x onerror="window.stolen=1"><b>bold</b>';
  await cluster.insert(general, 'ben', evil);
  await until('the text', async () => (await anna.texts()).includes(evil));
  assert.equal(await anna.page.evaluate(() => window.stolen), undefined);
});

test('a row inserted by SQL appears within 200 ms', async () => {
  const took = [];
  for (let i = 0; i < 7; i++) {
    const shown = anna.page.evaluate((text) => new Promise((resolve) => {
      const observer = new MutationObserver(() => {
        if (![...document.querySelectorAll('.messages .text')].some((node) => node.textContent === text)) return;
        observer.disconnect();
        resolve(performance.timeOrigin + performance.now());
      });
      observer.observe(document.querySelector('.messages'), { childList: true });
      window.watching = text;
    }), `from SQL ${i}`);
    await anna.page.waitForFunction((text) => window.watching === text, `from SQL ${i}`);
    const started = performance.timeOrigin + performance.now();
    await cluster.insert(general, 'ben', `from SQL ${i}`);
    took.push((await shown) - started);
  }
  const median = took.sort((a, b) => a - b)[3];
  assert.ok(median < 200, `${took.map(Math.round)} ms`);
});

// ---- breaks ---------------------------------------------------------------------------------

test('the gateway is killed: it is said, nothing is missing afterwards, nothing is doubled', async () => {
  const before = await anna.texts();
  process.kill(await cluster.pid('gateway'), 'SIGKILL');
  await anna.page.getByText('You are offline.').waitFor();
  await cluster.insert(general, 'ben', 'while you were away');
  await anna.say('written offline, first');
  await anna.say('written offline, second');
  const wanted = ['while you were away', 'written offline, first', 'written offline, second'];
  for (const person of [anna, ben])
    await until('all three, once each', async () => {
      const fresh = (await person.texts()).filter((text) => wanted.includes(text));
      return fresh.length === 3 && wanted.every((text) => fresh.includes(text));
    });
  await anna.page.getByText('You are offline.').waitFor({ state: 'hidden' });
  await until('the ticks', async () => /sent|delivered|seen/.test(await anna.ticks('written offline, second')));
  const now = await anna.texts();
  assert.deepEqual(now.slice(0, before.length), before);
  assert.ok(now.indexOf('written offline, first') < now.indexOf('written offline, second'));
});

test('a connection that cannot be recovered: what came and what was changed meanwhile is there too', async () => {
  await anna.say('to be changed meanwhile');
  await ben.bubble('to be changed meanwhile').waitFor();
  process.kill(await cluster.pid('gateway'), 'SIGKILL');
  await cluster.sql('DELETE FROM rt_private.sessions');
  await cluster.sql("UPDATE rt.messages SET content = 'changed meanwhile' WHERE room_id = $1 AND content = 'to be changed meanwhile'", [general]);
  await cluster.insert(general, 'ben', 'come meanwhile');
  for (const person of [anna, ben]) for (const text of ['changed meanwhile', 'come meanwhile']) await person.bubble(text).waitFor();
  await anna.page.getByText('You are offline.').waitFor({ state: 'hidden' });
  await anna.say('joined again');
  await ben.bubble('joined again').waitFor();
});

// ---- rooms -----------------------------------------------------------------------------------

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
  assert.match(await ben.page.title(), /^\(99\+\)/);
  await ben.openRoom('Garden');
  await ben.roomLink('Garden').getByLabel('2 unread').waitFor({ state: 'hidden' });

  await anna.button('Members').click();
  await anna.screenshot('members');
  await anna.button('Remove Ben').click();
  await ben.roomLink('Garden').waitFor({ state: 'hidden' });
  await ben.page.getByText('Choose a room.').waitFor();
  await anna.button('Members').click();
  await anna.button('Leave the room').click();
  await anna.roomLink('Garden').waitFor({ state: 'hidden' });
});

test('a direct message, with presence', async (t) => {
  const cleo = await Person.signedIn(browser, cluster, 'cleo');
  await anna.button('Message').click();
  await anna.page.getByLabel('User name').fill('cleo');
  await anna.button('Open').click();
  await anna.page.getByRole('heading', { name: 'Cleo' }).waitFor();
  await anna.page.locator('.under', { hasText: 'online' }).waitFor();
  await cleo.page.getByLabel('Your status').selectOption('busy');
  await anna.page.locator('.under', { hasText: 'busy' }).waitFor();
  await cleo.close();
  await anna.page.locator('.under', { hasText: 'last seen' }).waitFor();
});

test('search finds, and says when it does not', async () => {
  for (const [words, found] of [['indeed', 'Messages with “indeed”'], ['unheardof', 'Nothing was found.']]) {
    await anna.page.getByLabel('Search messages').fill(words);
    await anna.page.getByLabel('Search messages').press('Enter');
    await anna.page.getByText(found).waitFor();
    await anna.button('Close').click();
  }
});

test('a refused name is told in words', async () => {
  await anna.button('Message').click();
  await anna.page.getByLabel('User name').fill('nobody');
  await anna.button('Open').click();
  await until('the words', async () => (await anna.toast()).includes('There is no user “nobody”.'));
});

// ---- many, long, the other way round --------------------------------------------------------------

test('10,000 messages: history comes as one scrolls, in order, without a jolt', async () => {
  await anna.openRoom('Big');
  await anna.page.getByText(/^number 10000 /).waitFor();
  const scroller = anna.page.getByLabel('Conversation');
  for (let wanted = 200; wanted <= 600; wanted += 200) {
    await until(`${wanted} messages`, async () => {
      await scroller.evaluate((node) => { node.scrollTop = 0; });
      return (await anna.texts()).length >= wanted;
    });
  }
  const numbers = (await anna.texts()).map((text) => Number(/^number (\d+)/.exec(text)[1]));
  assert.deepEqual(numbers, numbers.map((_, i) => 10000 - numbers.length + 1 + i));
  await anna.screenshot('big');
  const longest = await scroller.evaluate(async (node) => {
    let slowest = 0, last = performance.now();
    for (let i = 0; i < 60; i++) {
      node.scrollTop += 400;
      await new Promise(requestAnimationFrame);
      slowest = Math.max(slowest, performance.now() - last);
      last = performance.now();
    }
    return slowest;
  });
  assert.ok(longest < 400, `a frame took ${longest} ms`);
  await anna.openRoom('General');
});

test('long names, text from right to left, a phone, the dark: nothing overflows, axe is content', async (t) => {
  await cluster.insert(general, 'hubert', 'مرحبا بالجميع، هذه رسالة من اليمين إلى اليسار');
  await cluster.insert(general, 'ben', `https://example.com/${'very'.repeat(40)}long`);
  const phone = await Person.signedIn(browser, cluster, 'hubert', PHONE);
  t.after(() => phone.close());
  await phone.screenshot('rooms-phone');
  assert.deepEqual(await phone.faults(), []);
  assert.equal(await phone.overflows(), false);
  await phone.openRoom('General');
  await phone.bubble('مرحبا بالجميع، هذه رسالة من اليمين إلى اليسار').waitFor();
  assert.equal(await phone.bubble('مرحبا بالجميع، هذه رسالة من اليمين إلى اليسار').locator('.text').evaluate((node) => getComputedStyle(node).direction), 'rtl');
  await phone.screenshot('room-phone');
  assert.equal(await phone.overflows(), false);
  assert.deepEqual(await phone.faults(), []);
  for (const [person, name] of [[anna, 'room'], [ben, 'room-dark']]) {
    await person.openRoom('General');
    await person.screenshot(name);
    assert.equal(await person.overflows(), false);
    assert.deepEqual(await person.faults(), [], name);
  }
});

test('behind the glass: administrators alone see the figures, and disconnect', async (t) => {
  await anna.go('#/admin');
  await anna.page.getByText('Only administrators may look here.').waitFor();
  await anna.openRoom('General');
  await cluster.sql("UPDATE rt.users SET is_admin = true WHERE id = 'cleo'");
  const cleo = await Person.signedIn(browser, cluster, 'cleo');
  t.after(() => cleo.close());
  await cleo.page.getByRole('link', { name: 'Behind the glass' }).click();
  await cleo.page.getByRole('cell', { name: 'gateway', exact: true }).waitFor();
  await until('rates', async () => !(await cleo.page.locator('.figure strong').allTextContents()).includes('–'));
  await cleo.screenshot('admin');
  assert.deepEqual(await cleo.faults(), []);
  const dropped = ben.page.evaluate(() => new Promise((resolve) => {
    new MutationObserver(() => !document.querySelector('.banner').hidden && resolve(true)).observe(document.querySelector('.banner'), { attributes: true });
  }));
  await cleo.button('Disconnect ben').click();
  await cleo.button('Yes').click();
  assert.equal(await dropped, true);
  await ben.page.getByText('You are offline.').waitFor({ state: 'hidden' });
  assert.deepEqual(cleo.errors, []);
});

test('the keyboard is enough', async () => {
  await anna.page.getByLabel('Search messages').focus();
  for (let i = 0; i < 20; i++) {
    await anna.page.keyboard.press('Tab');
    if (await anna.page.evaluate(() => document.activeElement.matches('.rooms a:not([aria-current])'))) break;
  }
  await anna.page.keyboard.press('Enter');
  await until('the line to write in has the focus', () => anna.input.evaluate((node) => node === document.activeElement));
  await anna.page.keyboard.type('by keyboard');
  await anna.page.keyboard.press('Enter');
  await anna.bubble('by keyboard').waitFor();
});
