// Takes a picture of each view of the application, 1440, 768 and 390 pixels wide, by day and by night, to look at:
// "node test/browser/views.mjs [NAME...]" leaves NAME-WIDTH.png and NAME-WIDTH-dark.png in build/views.
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ask, connect } from '../clients/lib/client.mjs';
import { Cluster } from '../clients/lib/cluster.mjs';
import { Person } from './lib/app.mjs';
import { launch, until } from './lib/browser.mjs';

const run = promisify(execFile);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const SIZES = [[1440, 900], [768, 1024], [390, 844]];
const CROWD = 48; // beside those in browsers
const wanted = process.argv.slice(2);

const cluster = await Cluster.start();
const browser = await launch();
const clients = [];

async function show({ page }, name) {
  if (wanted.length && !wanted.includes(name)) return;
  for (const [width, height] of SIZES)
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); }));
      await page.screenshot({ path: here(`../../build/views/${name}-${width}${colorScheme === 'dark' ? '-dark' : ''}.png`) });
    }
  await page.setViewportSize({ width: SIZES[0][0], height: SIZES[0][1] });
}

async function enter(name, options = { viewport: { width: 1440, height: 900 } }) {
  const person = await Person.open(browser, cluster, options);
  if (name === 'alice') {
    await show(person, 'sign-in');
    await person.signIn('alice', 'wrong');
    await person.page.getByText('Wrong username or password.').waitFor();
    await show(person, 'sign-in-wrong');
  }
  await person.signIn(name, `${name}-demo`);
  await person.page.getByRole('navigation', { name: 'Rooms' }).waitFor();
  return person;
}

// A dialog or a menu, and then without it.
async function showOpen(person, name, open, ready) {
  await open();
  await ready.first().waitFor();
  await show(person, name);
  await person.page.keyboard.press('Escape');
}

async function talkViews(alice, bob) {
  const { page } = alice;
  const dialog = page.getByRole('dialog');
  await show(alice, 'start');
  await alice.openRoom('General');
  await page.getByText('A meeting: Monday').last().waitFor();
  await bob.openRoom('General');
  await bob.input.pressSequentially('I am');
  await page.getByText('Bob is typing').waitFor();
  await show(alice, 'room');
  await bob.input.fill('');
  await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content) SELECT id, 'bob', E'**Plan**\n\n1. build the \`packages\`\n2. test them\n\n> as last time\n\n\`\`\`\nmake check\n\`\`\`\nSee https://example.com/plan' FROM rt.rooms WHERE name = 'Release 1.0'`);
  await alice.openRoom('Release 1.0');
  await page.locator('.text pre').waitFor();
  await show(alice, 'text');
  await alice.openRoom('General');
  await alice.use('ROLLBACK, and nobody has ever seen it.', 'More');
  await page.getByRole('menuitem').first().waitFor();
  await show(alice, 'message-menu');
  await page.getByRole('menuitem', { name: 'Open thread' }).click();
  await page.getByRole('complementary', { name: 'Thread' }).waitFor();
  await show(alice, 'thread');
  await page.getByRole('complementary').getByRole('button', { name: 'Close' }).click();
  const roomAction = async (name) => {
    await alice.button('Room actions').click();
    await page.getByRole('menuitem', { name, exact: true }).click();
  };
  await showOpen(alice, 'room-menu', () => alice.button('Room actions').click(), page.getByRole('menuitem'));
  await roomAction('Pinned messages');
  await page.getByRole('complementary', { name: 'Pinned messages' }).waitFor();
  await show(alice, 'pins');
  await page.getByRole('complementary').getByRole('button', { name: 'Close' }).click();
  await showOpen(alice, 'notifications', () => roomAction('Notifications'), dialog);
  await showOpen(alice, 'room-settings', () => roomAction('Room settings'), dialog);
  await showOpen(alice, 'members', () => alice.button('Members').click(), dialog);
  await showOpen(alice, 'new-room', () => alice.button('New room').click(), dialog);
  await showOpen(alice, 'new-meeting', () => alice.button('Meeting').click(), dialog);
  await showOpen(alice, 'status', () => page.getByTitle('Your status').click(), dialog);
  await showOpen(alice, 'shortcuts', () => alice.button('Keyboard shortcuts').click(), dialog);
  await page.getByLabel('Search messages').fill('gateway');
  await page.getByLabel('Search messages').press('Enter');
  await showOpen(alice, 'search', () => {}, dialog);
  await alice.input.fill('@');
  await page.getByRole('option').first().waitFor();
  await show(alice, 'mention');
  await alice.input.fill('');
  await page.context().setOffline(true);
  process.kill(await cluster.pid('gateway'), 'SIGKILL');
  await page.getByText("You're offline.").waitFor();
  await show(alice, 'offline');
  await page.context().setOffline(false);
  await until('the connection', () => page.getByText("You're offline.").isHidden());
  await alice.go('#/account');
  await page.getByRole('heading', { name: 'Sessions' }).waitFor();
  await show(alice, 'account');
  await alice.go('#/admin');
  await until('a figure', async () => (await page.locator('canvas').count()) > 0);
  await show(alice, 'admin');
}

async function crowd(meetingId) {
  await cluster.sql("SELECT rt.create_user('p' || i, (ARRAY['Ada', 'Bo', 'Chidi', 'Dora', 'Elif', 'Femi'])[1 + i % 6] || ' ' || (ARRAY['Okafor', 'Lindqvist', 'van der Meer-Hoogstraten', 'Sato'])[1 + i % 4]) FROM generate_series(1, $1::int) AS i", [CROWD]);
  for (let i = 1; i <= CROWD; i++) {
    const client = await connect(cluster, await cluster.token(`p${i}`));
    clients.push(client);
    await ask(client, 'join-meeting', { meetingId });
  }
}

async function meetingViews(alice, others) {
  const { page } = alice;
  const { body } = await cluster.rest('POST', '/api/meetings', await cluster.token('alice'), { title: 'Monday stand-up', access: 'anyone', guests: true });
  const { id } = body.data;
  const guest = await Person.open(browser, cluster);
  await guest.page.goto(`${cluster.url}/#/meeting/${id}`);
  await guest.page.reload();
  await guest.page.getByLabel('Your name').waitFor();
  await show(guest, 'guest');
  await guest.close();
  await alice.go(`#/meeting/${id}`);
  await alice.ready();
  await show(alice, 'lobby');
  for (const person of [...others, alice]) await person.join(id);
  for (const name of ['Bob', 'Carol']) await alice.sees(name);
  await others[0].button('Raise hand').click();
  await show(alice, 'meeting');
  for (const [panel, name] of [['Chat', 'meeting-chat'], ['Participants', 'meeting-people']]) {
    await alice.button(panel).click();
    await show(alice, name);
    await alice.button(panel).click();
  }
  await showOpen(alice, 'meeting-devices', () => alice.button('Camera and microphone').click(), page.getByRole('dialog'));
  await alice.button('Speaker view').click();
  await show(alice, 'meeting-speaker');
  await alice.button('Speaker view').click();
  await alice.go(await page.locator('.rooms a').first().getAttribute('href'));
  await show(alice, 'meeting-corner');
  await alice.go(`#/meeting/${id}`);
  await crowd(id);
  await page.getByText(`${CROWD + 3} people`).waitFor();
  await show(alice, 'meeting-pages');
  await alice.button('Speaker view').click();
  await show(alice, 'meeting-pages-speaker');
  await alice.button('End for everyone').click();
  await alice.answer('End meeting');
  await page.getByText('The meeting has ended.').first().waitFor();
  await show(alice, 'meeting-end');
}

try {
  await mkdir(here('../../build/views'), { recursive: true });
  await run('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', here('../demo.sql')], { env: { ...process.env, ...cluster.env } });
  const alice = await enter('alice');
  const bob = await enter('bob');
  await talkViews(alice, bob);
  await meetingViews(alice, [bob, await enter('carol')]);
} finally {
  for (const client of clients) client.disconnect();
  await browser.close();
  await cluster.stop();
}
