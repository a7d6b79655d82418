// What people expect of a room, in the application: threads, pins, marks, badges on two devices, mute, blocks, rooms that are
// read-only.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Cluster } from '../clients/lib/cluster.mjs';
import { DESKTOP, Person, PHONE } from './lib/app.mjs';
import { launch, until } from './lib/browser.mjs';

let cluster, browser, anna, tablet, ben, general;

before(async () => {
  cluster = await Cluster.start();
  await cluster.users('anna', 'ben');
  general = await cluster.room('General', 'anna', 'ben');
  await cluster.room('Quiet', 'ben', 'anna');
  await cluster.room('Notices', 'ben', 'anna');
  browser = await launch();
  anna = await Person.signedIn(browser, cluster, 'anna');
  tablet = await Person.signedIn(browser, cluster, 'anna', PHONE);
  ben = await Person.signedIn(browser, cluster, 'ben', { ...DESKTOP, colorScheme: 'dark' });
});

after(async () => {
  await browser?.close();
  await cluster?.stop();
});

afterEach(() => {
  for (const person of [anna, tablet, ben]) assert.deepEqual(person.errors.splice(0), []);
});

const choose = async (person, name) => person.page.getByRole('menuitem', { name, exact: true }).click();
const roomAction = async (person, name) => {
  await person.button('Room actions').click();
  await choose(person, name);
};
const messageAction = async (person, text, name) => {
  await person.use(text, 'More');
  await choose(person, name);
};
const aside = (person, name) => person.page.getByRole('complementary', { name });
const badge = (person, room, label) => person.roomLink(room).getByLabel(label, { exact: true });

test('what is marked as unread is so on both devices, until the room is opened again', async () => {
  await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $1, 'ben', 'line ' || i FROM generate_series(1, 5) AS i", [general]);
  await badge(tablet, 'General', '5 unread').waitFor();
  await anna.openRoom('General');
  for (const device of [anna, tablet]) await device.roomLink('General').getByLabel('unread').waitFor({ state: 'hidden' });
  await messageAction(anna, 'line 3', 'Mark as unread');
  for (const device of [anna, tablet]) await badge(device, 'General', '3 unread').waitFor();
  await anna.page.locator('.line.new').waitFor();
  await until('the mark', async () => (await cluster.value("SELECT last_read_seq FROM rt.room_members WHERE room_id = $1 AND user_id = 'anna'", [general])) === '2');
  await cluster.insert(general, 'ben', 'line 6'); // somebody looks, and yet it is unread
  for (const device of [anna, tablet]) await badge(device, 'General', '4 unread').waitFor();
  await anna.openRoom('Quiet');
  await anna.openRoom('General');
  for (const device of [anna, tablet]) await device.roomLink('General').getByLabel('unread').waitFor({ state: 'hidden' });
});

test('mentions have a badge of their own, counted as the server counts them', async () => {
  await anna.openRoom('Quiet');
  await cluster.insert(general, 'ben', 'dear **@anna**, look');
  await cluster.insert(general, 'ben', 'nobody in particular');
  for (const device of [anna, tablet]) {
    await badge(device, 'General', '1 mention').waitFor();
    await badge(device, 'General', '2 unread').waitFor();
  }
  await anna.openRoom('General');
  for (const device of [anna, tablet]) await device.roomLink('General').getByLabel(/mention|unread/).first().waitFor({ state: 'hidden' });
  await anna.page.locator('.mention.me', { hasText: '@anna' }).waitFor();
});

test('a thread: its replies as a list, count and last, live on both sides', async () => {
  for (const person of [anna, ben]) await person.openRoom('General');
  await anna.say('who brings what');
  await messageAction(anna, 'who brings what', 'Open thread');
  const thread = aside(anna, 'Thread');
  await thread.getByLabel('Reply in thread').fill('I bring cake');
  await thread.getByLabel('Reply in thread').press('Enter');
  await thread.getByText('1 reply').waitFor();
  await ben.bubble('who brings what').getByRole('button', { name: /^1 reply/ }).click();
  await aside(ben, 'Thread').locator('.text', { hasText: 'I bring cake' }).waitFor();
  await aside(ben, 'Thread').getByLabel('Reply in thread').fill('and I tea');
  await aside(ben, 'Thread').getByLabel('Reply in thread').press('Enter');
  await thread.locator('.text', { hasText: 'and I tea' }).waitFor();
  await anna.bubble('who brings what').first().getByRole('button', { name: /^2 replies/ }).waitFor();
  assert.deepEqual(await anna.faults('thread'), []);
  assert.deepEqual(await ben.faults('thread-other'), []);
  await cluster.sql("DELETE FROM rt.messages WHERE room_id = $1 AND content = 'and I tea'", [general]);
  await ben.bubble('who brings what').first().getByRole('button', { name: /^1 reply/ }).waitFor();
  await anna.page.keyboard.press('Escape'); // the focus is in it
  await thread.waitFor({ state: 'hidden' });
  await ben.page.reload(); // counted by the server
  await ben.bubble('who brings what').getByRole('button', { name: /^1 reply/ }).waitFor();
});

test('pins: made by a menu that the keyboard works, listed, found, taken off', async () => {
  for (const person of [anna, ben]) await person.openRoom('General');
  await cluster.insert(general, 'ben', 'worth a pin');
  const item = anna.bubble('worth a pin');
  await item.focus();
  await item.getByRole('button', { name: 'More' }).focus();
  await anna.page.keyboard.press('Enter');
  const focused = () => anna.page.evaluate(() => document.activeElement.textContent);
  await until('the menu', async () => (await focused()) === 'Open thread');
  assert.deepEqual(await anna.barriers(), []);
  await anna.page.keyboard.press('ArrowDown');
  await until('the next item', async () => (await focused()) === 'Pin message');
  await anna.page.keyboard.press('Escape');
  await anna.page.getByRole('menu').waitFor({ state: 'detached' });
  await until('the focus where it was', async () => (await anna.page.evaluate(() => document.activeElement.getAttribute('aria-label'))) === 'More');
  await messageAction(anna, 'worth a pin', 'Pin message');
  await ben.bubble('worth a pin').getByLabel('pinned').waitFor();
  await roomAction(anna, 'Pinned messages');
  const isMarked = await anna.glimpse('.message.found');
  await aside(anna, 'Pinned messages').getByRole('button', { name: 'worth a pin' }).click();
  await isMarked();
  await anna.bubble('worth a pin').waitFor();
  assert.deepEqual(await anna.faults('pins'), []);
  await tablet.openRoom('General');
  await roomAction(tablet, 'Pinned messages');
  await aside(tablet, 'Pinned messages').getByRole('button', { name: 'worth a pin' }).waitFor();
  assert.deepEqual(await tablet.faults('pins-phone'), []);
  await aside(anna, 'Pinned messages').getByRole('button', { name: 'Unpin message' }).click();
  for (const device of [anna, tablet]) await aside(device, 'Pinned messages').getByText('Nothing is pinned in this room.').waitFor();
  await ben.bubble('worth a pin').getByLabel('pinned').waitFor({ state: 'hidden' });
  for (const device of [anna, tablet]) await device.button('Close').click();
  await tablet.go('#/');
});

test('a muted room is pale and silent, on all devices; the level says what counts', async () => {
  await anna.openRoom('Quiet');
  await roomAction(anna, 'Notifications');
  await anna.page.locator('[name=mute]').selectOption('always');
  assert.deepEqual(await anna.faults('notifications'), []);
  await anna.answer('Save');
  for (const device of [anna, tablet]) await device.roomLink('Quiet').getByLabel('muted').waitFor();
  await anna.openRoom('General');
  await cluster.insert(await cluster.value("SELECT id FROM rt.rooms WHERE name = 'Quiet'"), 'ben', 'psst');
  await anna.roomLink('Quiet').locator('.badge.pale', { hasText: '1' }).waitFor();
  await until('no number in the title', async () => (await anna.page.title()) === 'rt');
  await anna.openRoom('Quiet');
  await roomAction(anna, 'Notifications');
  await anna.page.getByRole('option', { name: 'Muted', exact: true }).waitFor({ state: 'attached' });
  await anna.page.locator('[name=mute]').selectOption('');
  await anna.page.locator('[name=level]').selectOption('mentions');
  await anna.answer('Save');
  await anna.roomLink('Quiet').getByLabel('muted').waitFor({ state: 'hidden' });
  await until('the level', () => cluster.value("SELECT notify = 'mentions' AND muted_until IS NULL FROM rt.room_members AS m JOIN rt.rooms AS r ON r.id = m.room_id WHERE r.name = 'Quiet' AND user_id = 'anna'"));
});

test('settings of a room; who may not write sees why, and again when that is over', async () => {
  await ben.openRoom('Notices');
  await anna.openRoom('Notices');
  await roomAction(ben, 'Room settings');
  assert.deepEqual(await ben.faults('room-settings'), []);
  await ben.field('Topic').fill('What everyone should know');
  await ben.page.locator('[name=whoMayPost]').selectOption('admins');
  await ben.answer('Save');
  await anna.page.getByText('Only admins can write in this room.').waitFor();
  await anna.page.locator('.under', { hasText: 'What everyone should know' }).waitFor();
  await anna.input.waitFor({ state: 'hidden' });
  await ben.say('the lift is broken');
  await anna.bubble('the lift is broken').waitFor();
  await roomAction(ben, 'Room settings');
  await ben.field('Archived: read-only for everyone').check();
  await ben.answer('Save');
  for (const person of [anna, ben]) {
    await person.page.getByText('This room is archived. Nobody can write in it.').waitFor();
    await person.roomLink('Notices').getByLabel('archived').waitFor();
  }
  await until('no tools but the menu', async () => (await ben.bubble('the lift is broken').locator('.tools button').count()) === 1);
  assert.deepEqual(await anna.faults('archived'), []);
  await cluster.sql("UPDATE rt.rooms SET archived = false, who_may_post = 'members' WHERE name = 'Notices'");
  await anna.input.waitFor();
});

test('blocking: neither writes, and the account lists whom one has blocked', async () => {
  await anna.button('Message').click();
  await anna.field('Username').fill('ben');
  await anna.answer('Open');
  await anna.page.getByRole('heading', { name: 'Ben', exact: true }).waitFor();
  await roomAction(anna, 'Block Ben');
  await anna.answer('Block');
  await anna.page.locator('.closed', { hasText: 'You blocked Ben.' }).waitFor();
  await ben.openRoom('Anna');
  await ben.say('hello?');
  await ben.page.getByText('one of you has blocked the other', { exact: false }).waitFor();
  await ben.button('Discard').click();
  await anna.go('#/account');
  await anna.page.getByRole('heading', { name: 'Blocked users' }).waitFor();
  assert.deepEqual(await anna.faults('account-blocked'), []);
  await anna.button('Unblock Ben').click();
  await anna.page.getByRole('heading', { name: 'Blocked users' }).waitFor({ state: 'detached' });
  await anna.openRoom('Ben');
  await anna.say('there you are');
  await ben.bubble('there you are').waitFor();
});

test('a burst of messages is drawn, counted, and told to the server in few requests', async (t) => {
  const rooms = [];
  for (const letter of 'ABCDEFGHIJKL') rooms.push(await cluster.room(`Burst ${letter}`, 'ben', 'anna'));
  const person = await Person.open(browser, cluster);
  t.after(async () => {
    await person.close();
    await cluster.sql("DELETE FROM rt.rooms WHERE name LIKE 'Burst %'");
  });
  let delivered = 0;
  let seen = 0;
  person.page.on('request', (request) => { delivered += request.url().endsWith('/delivered') ? 1 : 0; });
  person.page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => { seen += String(payload).includes('mark-msgs-seen') ? 1 : 0; }));
  await person.signIn('anna', 'anna-password');
  await person.openRoom('Burst A');
  await person.input.waitFor();
  const started = Date.now();
  for (let i = 1; i <= 30; i++)
    await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT r, 'ben', 'burst ' || $2::text FROM unnest($1::bigint[]) AS r", [rooms, String(i)]);
  await person.bubble('burst 30').waitFor();
  for (const letter of 'BCDEFGHIJKL') await badge(person, `Burst ${letter}`, '30 unread').waitFor();
  await until('it is read', async () => (await cluster.value("SELECT last_read_seq FROM rt.room_members WHERE room_id = $1 AND user_id = 'anna'", [rooms[0]])) === '30');
  const wanted = Array.from({ length: 30 }, (_, i) => `burst ${i + 1}`);
  await until('all of them in order', async () => (await person.texts()).filter((text) => /^burst/.test(text)).join() === wanted.join());
  const seconds = (Date.now() - started) / 1000;
  assert.ok(delivered <= seconds / 0.3 + 1, `${delivered} requests in ${seconds} s`);
  assert.ok(seen >= 1 && seen <= seconds + 2, `${seen} events in ${seconds} s`);
  assert.deepEqual(person.errors, []);
});

// The setting takes a moment to reach all sessions.
async function mayAddUsers(value) {
  await cluster.sql(`ALTER SYSTEM SET rt.may_add_users = ${value}`);
  await cluster.sql('SELECT pg_reload_conf()');
  await until('the setting', async () => (await cluster.value("SELECT current_setting('rt.may_add_users')")) === value);
}

test('another server has taken over: what it does not have goes, and what it has instead is shown', async () => {
  const room = await cluster.room('Elsewhere', 'anna', 'ben');
  for (const text of ['kept', 'lost']) await cluster.insert(room, 'ben', text);
  await anna.openRoom('Elsewhere');
  await anna.bubble('lost').waitFor();
  // As the page sees a standby that was promoted before it had the second message, and has another one now.
  await cluster.sql(`SET session_replication_role = replica; DELETE FROM rt.messages WHERE room_id = ${room} AND seq = 2;
    UPDATE rt.rooms SET last_seq = 1 WHERE id = ${room}; UPDATE rt_private.epochs SET epoch = 'another'; RESET session_replication_role`);
  await cluster.insert(room, 'ben', 'of the new server');
  await cluster.sql('DELETE FROM rt_private.sessions'); // none can be recovered
  process.kill(await cluster.pid('gateway'), 'SIGKILL');
  await until('what the new one has', async () => (await anna.texts()).join() === 'kept,of the new server');
  await cluster.insert(room, 'ben', 'next');
  await until('what comes', async () => (await anna.texts()).join() === 'kept,of the new server,next');
  await anna.openRoom('General');
});

test('a list of several pages: the open room need not wait for the others, and one of a later page opens when it is known', async (t) => {
  await cluster.users('dora');
  await cluster.sql("SELECT rt.create_room('Many ' || i, ARRAY['dora']) FROM generate_series(1, 201) AS i");
  const ids = (await cluster.sql("SELECT id::text FROM rt.rooms WHERE name LIKE 'Many %' ORDER BY id")).map(({ id }) => id);
  for (const id of [ids[0], ids.at(-1)]) await cluster.insert(id, 'ben', `hello in ${id}`);
  await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT id, 'ben', 'later' FROM rt.rooms WHERE id = ANY ($1::bigint[])", [ids.slice(1)]);
  const dora = await Person.open(browser, cluster);
  t.after(() => dora.close());
  let release;
  let isAsked = false;
  const released = new Promise((resolve) => { release = resolve; });
  await dora.page.route(/\/api\/chat\/rooms\?.*cursor=/, async (route) => {
    isAsked = true;
    await released;
    await route.continue().catch(() => {}); // the page may have gone on
  });
  await dora.signIn('dora', 'dora-password');
  await dora.page.getByText('Select a room.').waitFor();
  await dora.go(`#/room/${ids.at(-1)}`);
  await dora.bubble(`hello in ${ids.at(-1)}`).waitFor();
  await until('the next page to be asked for', () => isAsked);

  await dora.go(`#/room/${ids[0]}`); // of the page that is on its way
  await dora.page.getByText('Select a room.').waitFor();
  release();
  await dora.bubble(`hello in ${ids[0]}`).waitFor();
  assert.deepEqual(dora.errors, []);
});

test('a stranger is invited, told at once, and accepts or declines, by keyboard too', async (t) => {
  await cluster.users('cleo');
  await mayAddUsers('invitation');
  const cleo = await Person.signedIn(browser, cluster, 'cleo');
  t.after(async () => {
    await cleo.close();
    await mayAddUsers('anyone');
    await cluster.sql("DELETE FROM rt.rooms WHERE name IN ('Boat', 'Raft', 'Barge')");
  });
  await cleo.page.getByText("You aren't in any rooms yet", { exact: false }).waitFor();
  const list = cleo.page.getByRole('region', { name: 'Invitations' });
  assert.equal(await list.count(), 0);

  await ben.button('New room').click();
  await ben.field('Name').fill('Boat');
  await ben.page.getByRole('dialog').getByLabel('Members (').fill('cleo');
  await ben.answer('Create');
  await ben.page.getByRole('heading', { name: 'Boat', exact: true }).waitFor();
  await ben.page.locator('.toast', { hasText: '1 person was invited' }).waitFor();
  await list.getByText('Ben invites you').waitFor();
  await until('the title', async () => (await cleo.page.title()) === '(1) rt');
  for (const name of ['Raft', 'Barge'])
    await cluster.sql("INSERT INTO rt.room_invitations (room_id, user_id, invited_by) VALUES ($1, 'cleo', 'anna')", [await cluster.room(name, 'anna')]);
  await list.locator('.badge', { hasText: '3' }).waitFor();
  assert.deepEqual(await cleo.faults('invitations'), []);
  await cleo.page.setViewportSize(PHONE.viewport);
  await cleo.go('#/');
  assert.deepEqual(await cleo.faults('invitations-phone'), []);
  await cleo.page.setViewportSize(DESKTOP.viewport);

  await list.getByRole('button', { name: 'Accept the invitation to “Boat”' }).click();
  await cleo.page.getByRole('heading', { name: 'Boat', exact: true }).waitFor();
  await cleo.roomLink('Boat').waitFor();
  await list.getByText('Boat').waitFor({ state: 'detached' });

  // One tab stop; the arrows lead on.
  assert.equal(await list.locator('button[tabindex="0"]').count(), 1);
  await list.getByRole('button').first().focus();
  await cleo.page.keyboard.press('End');
  await cleo.page.keyboard.press('Enter');
  await cleo.page.getByText("You can't be invited to it again.").waitFor();
  await cleo.answer('Decline');
  await list.locator('.badge', { hasText: '1' }).waitFor();
  await until('it is declined', async () => (await cluster.value("SELECT count(*) FROM rt.room_invitations WHERE user_id = 'cleo' AND declined_at IS NOT NULL")) === '1');

  // What is withdrawn goes by itself.
  await cluster.sql("DELETE FROM rt.room_invitations WHERE user_id = 'cleo' AND declined_at IS NULL");
  await list.waitFor({ state: 'hidden' });
  assert.deepEqual(cleo.errors, []);
});

test('a phone, 320 pixels, 200 %, from right to left: the new views have room', async (t) => {
  t.after(() => anna.page.setViewportSize(DESKTOP.viewport));
  await anna.openRoom('General');
  await cluster.insert(general, 'ben', 'for a narrow screen');
  await messageAction(anna, 'for a narrow screen', 'Open thread');
  await aside(anna, 'Thread').getByLabel('Reply in thread').waitFor();
  for (const [name, viewport] of [['narrow', { width: 320, height: 640 }], ['zoomed', { width: 550, height: 360 }], ['phone', PHONE.viewport]]) {
    await anna.page.setViewportSize(viewport);
    assert.deepEqual(await anna.faults(`thread-${name}`), []);
  }
  await anna.page.evaluate(() => { document.documentElement.dir = 'rtl'; });
  assert.deepEqual(await anna.faults('thread-rtl-phone'), []);
  await anna.page.evaluate(() => { document.documentElement.dir = 'ltr'; });
  await anna.button('Close').click();
  await anna.button('Room actions').click();
  await anna.page.getByRole('menuitem').first().waitFor();
  assert.deepEqual(await anna.faults('room-menu-phone'), []);
  await anna.page.keyboard.press('Escape');
});
