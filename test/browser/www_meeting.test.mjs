// The application that the gateway serves: meetings, with Chromium's own fake cameras and microphones.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { ask, connect } from '../clients/lib/client.mjs';
import { Cluster } from '../clients/lib/cluster.mjs';
import { DESKTOP, Person, PHONE } from './lib/app.mjs';
import { launch, soundSent, until, watchConnections } from './lib/browser.mjs';

let cluster, browser, anna, ben, tokens;
const everybody = () => [anna, ben];

before(async () => {
  cluster = await Cluster.start({ 'rt.meeting_grace': '2s' });
  tokens = await cluster.users('anna', 'ben', 'cleo', 'dan');
  await cluster.room('General', 'anna', 'ben');
  browser = await launch();
  anna = await Person.signedIn(browser, cluster, 'anna');
  ben = await Person.signedIn(browser, cluster, 'ben', { ...DESKTOP, colorScheme: 'dark' });
});

after(async () => {
  await browser?.close();
  await cluster?.stop();
});

afterEach(() => {
  assert.deepEqual(everybody().flatMap((person) => person.errors.splice(0)), []);
});

// A meeting of Anna's.
async function meeting(options = {}) {
  const reply = await cluster.rest('POST', '/api/meetings', tokens[0], { title: 'Standup', access: 'anyone', ...options });
  return reply.body.data.id;
}

async function together(t, options) {
  const id = await meeting(options);
  t.after(async () => { for (const person of everybody()) await person.leave(); });
  for (const person of everybody()) await person.join(id);
  return id;
}

const heading = (person, words) => person.page.getByRole('heading', { name: words }).waitFor();

test('a meeting that starts from a room: the others find it there, and all see one another', async (t) => {
  t.after(async () => { for (const person of everybody()) await person.leave(); });
  for (const person of everybody()) await person.openRoom('General');
  await ben.hum();
  await anna.button('Start a meeting').click();
  await anna.ready();
  assert.deepEqual(await anna.faults('lobby'), []);
  await anna.button('Join').click();
  await ben.page.getByRole('link', { name: 'Join meeting' }).click();
  await ben.ready();
  await ben.button('Join').click();
  await Promise.all([anna.sees('Ben'), ben.sees('Anna'), anna.sees('Anna (you)')]);
  await until('who speaks', async () => (await anna.page.locator('.tile.speaking').count()) > 0);
});

test('a call goes on in a corner while one reads; the button alone leaves it; the list shows what runs, and not what has ended', async (t) => {
  t.after(async () => { for (const person of everybody()) await person.leave(); });
  const roomId = await cluster.room('Kitchen', 'anna', 'ben');
  await cluster.rest('POST', '/api/meetings', tokens[0], { title: 'Tomorrow', roomId, access: 'room', startsAt: new Date(Date.now() + 86_400_000).toISOString() });
  await ben.page.reload();
  await ben.openRoom('Kitchen');
  const offered = (person, title) => person.page.getByRole('region', { name: 'Meetings' }).getByRole('link', { name: title });
  await offered(ben, 'Tomorrow').waitFor();

  await anna.openRoom('Kitchen');
  await anna.button('Start a meeting').click();
  await anna.ready();
  await anna.button('Join').click();
  await anna.page.getByRole('group', { name: 'Meeting' }).waitFor();
  await ben.page.evaluate(() => window.dispatchEvent(new Event('focus')));
  await until('it runs', async () => (await offered(ben, /Kitchen\s*Live now/).count()) > 0);
  await offered(ben, /Kitchen\s*Live now/).first().click();
  await ben.ready();
  await ben.button('Join').click();
  await Promise.all([anna.sees('Ben'), ben.sees('Anna')]);

  await ben.page.getByRole('link', { name: 'All rooms' }).click();
  await ben.openRoom('Kitchen');
  await ben.page.locator('.call.corner').waitFor();
  await ben.say('reading along');
  await anna.sees('Ben');
  await ben.sees('Anna');
  assert.deepEqual(await ben.faults('call-corner'), []);
  await ben.page.setViewportSize(PHONE.viewport);
  await ben.go('#/');
  await ben.sees('Anna');
  assert.deepEqual(await ben.faults('call-corner-phone'), []);
  await ben.page.setViewportSize(DESKTOP.viewport);
  await ben.openRoom('Kitchen');
  await ben.button('Microphone').click();
  await anna.tile('Ben').getByLabel('muted').waitFor();
  await ben.button('Return to the meeting').click();
  await ben.page.locator('.call:not(.corner)').waitFor();
  await ben.page.goBack();
  await ben.page.locator('.call.corner').waitFor();
  await ben.button('Leave').click();
  await anna.tile('Ben').waitFor({ state: 'hidden' });
  await ben.page.locator('.call').waitFor({ state: 'hidden' });

  await anna.button('End for everyone').click();
  await anna.answer('End meeting');
  await heading(anna, 'The meeting has ended.');
  await anna.page.getByRole('link', { name: 'Back to rooms' }).click();
  await anna.openRoom('Kitchen');
  await anna.page.locator('.bubble', { hasText: 'Started a meeting' }).last().getByText('This meeting has ended.').waitFor();
  await until('no way into it', async () => (await anna.page.getByRole('link', { name: 'Join meeting' }).count()) === 0);
  await offered(anna, /Kitchen\s*Live now/).waitFor({ state: 'hidden' });
  await ben.page.evaluate(() => window.dispatchEvent(new Event('focus')));
  await ben.page.getByRole('link', { name: 'Join meeting' }).waitFor({ state: 'hidden' });
});

test('four meet, one of them at a phone, and see each other', async (t) => {
  const id = await together(t);
  const cleo = await Person.signedIn(browser, cluster, 'cleo', PHONE);
  t.after(() => cleo.close());
  const dan = await Person.signedIn(browser, cluster, 'dan');
  t.after(() => dan.close());
  await cleo.join(id);
  await dan.join(id);
  const all = { Anna: anna, Ben: ben, Cleo: cleo, Dan: dan };
  for (const [who, person] of Object.entries(all))
    for (const other of Object.keys(all)) if (other !== who) await person.sees(other);
  await until('four tiles', async () => (await anna.page.locator('.tile').count()) === 4);
  assert.deepEqual(await cleo.faults('meeting-phone'), []);
  await anna.screenshot('meeting');
  await dan.close();
  await anna.tile('Dan').waitFor({ state: 'hidden' });
});

test('microphone, camera, screen, hand, reaction, chat: each does what it says', async (t) => {
  await together(t);
  await anna.sees('Ben');
  await ben.button('Microphone').click();
  await anna.tile('Ben').getByLabel('muted').waitFor();
  await ben.button('Microphone').click();
  await anna.tile('Ben').getByLabel('muted').waitFor({ state: 'hidden' });

  await ben.button('Camera').click();
  await anna.tile('Ben').locator('video').waitFor({ state: 'hidden' });
  await ben.button('Camera').click();
  await anna.sees('Ben');

  await ben.button('Share screen').click();
  await anna.sees('Ben’s screen');
  await anna.screenshot('meeting-screen');
  await ben.button('Share screen').click();
  await anna.tile('Ben’s screen').waitFor({ state: 'hidden' });

  await ben.button('Raise hand').click();
  await anna.tile('Ben').getByLabel('hand raised').waitFor();
  await ben.page.getByLabel('Reactions').click();
  const isShown = await anna.glimpse('.tile .reaction');
  await ben.button('React with 👏').click();
  await isShown();

  await ben.button('Chat').click();
  await ben.page.getByLabel('Message to the meeting').fill('a question');
  await ben.page.getByLabel('Message to the meeting').press('Enter');
  await anna.button('Chat').click();
  await anna.page.locator('.said', { hasText: 'a question' }).waitFor();
  await anna.button('Participants').click();
  assert.deepEqual(await anna.faults('meeting-people'), []);
  assert.deepEqual(await ben.faults('meeting-chat'), []);
});

test('names stand below the pictures, people are counted, raised hands come first, a screen has its sound, devices are changed', async (t) => {
  await together(t);
  await anna.sees('Ben');
  await anna.page.getByText('2 people').waitFor();
  const places = await anna.tile('Ben').evaluate((tile) => ({
    picture: tile.querySelector('.picture').getBoundingClientRect().bottom,
    name: tile.querySelector('.name').getBoundingClientRect().top,
  }));
  assert.ok(places.name >= places.picture - 1, JSON.stringify(places));

  await ben.button('Raise hand').click();
  await anna.tile('Ben').getByLabel('hand raised').waitFor();
  const left = (name) => anna.tile(name).evaluate((tile) => { const { left: x, top: y } = tile.getBoundingClientRect(); return y * 10_000 + x; });
  await until('Ben is first', async () => (await left('Ben')) < (await left('Anna')));
  await anna.button('Participants').click();
  await until('Ben is first in the list', async () => (await anna.page.locator('.people li').first().textContent()).includes('Ben'));
  // The list says what is, not what may be.
  const ofBen = anna.page.locator('.people li', { hasText: 'Ben' });
  await ofBen.getByLabel('microphone on').waitFor();
  await ben.button('Microphone').click();
  await ofBen.getByLabel('microphone off').waitFor();

  // A muted microphone stays muted when another one is chosen; an open camera changes at once.
  const sent = () => ben.page.getByRole('group', { name: 'Meeting' }).getByRole('button', { name: 'Microphone', exact: true }).getAttribute('aria-pressed');
  await ben.button('Camera and microphone').click();
  const dialog = ben.page.getByRole('dialog');
  await dialog.getByLabel('Microphone').waitFor();
  assert.deepEqual(await ben.faults('meeting-devices'), []);
  const inputs = await dialog.getByLabel('Microphone').locator('option').count();
  assert.ok(inputs > 1, `${inputs} microphones`);
  await dialog.getByLabel('Microphone').selectOption({ index: inputs - 1 });
  await dialog.getByLabel('Camera').dispatchEvent('change');
  await dialog.getByRole('button', { name: 'Close' }).click();
  await anna.sees('Ben');
  await until('a microphone that is muted', async () => (await sent()) === 'false');
  await ben.button('Microphone').click();
  await ofBen.getByLabel('microphone on').waitFor();

  await ben.page.evaluate(() => {
    navigator.mediaDevices.getDisplayMedia = async () => {
      const context = new AudioContext();
      const tone = context.createOscillator();
      const sound = context.createMediaStreamDestination();
      tone.connect(sound);
      tone.start();
      const canvas = document.createElement('canvas');
      setInterval(() => canvas.getContext('2d').fillRect(0, 0, Math.random() * 300, 100), 50);
      return new MediaStream([...canvas.captureStream(15).getTracks(), ...sound.stream.getTracks()]);
    };
  });
  await ben.button('Share screen').click();
  await anna.sees('Ben’s screen');
  await until('two sounds of Ben', async () => (await anna.tile('Ben').first().locator('audio').count()) + (await anna.page.locator('.tile', { hasText: 'Ben' }).locator('audio').count()) >= 2);
  await until('the server knows', async () => (await cluster.value("SELECT count(*)::int FROM rt_private.media_producers WHERE source = 'screen-audio'")) === 1);
  await ben.button('Share screen').click();
  await anna.tile('Ben’s screen').waitFor({ state: 'hidden' });
  await until('and its end', async () => (await cluster.value("SELECT count(*)::int FROM rt_private.media_producers WHERE source = 'screen-audio'")) === 0);
});

test('the lobby shows how loud the microphone is', async (t) => {
  const id = await meeting();
  await anna.go(`#/meeting/${id}`);
  t.after(() => anna.leave());
  const level = anna.page.getByLabel('Microphone level');
  await level.waitFor();
  await until('a level', () => level.evaluate((meter) => meter.value > 0));
  await anna.button('Microphone').click();
  await level.waitFor({ state: 'hidden' });
});

test('the lobby says of each device why it cannot be had, and lets one in without them', async (t) => {
  const id = await meeting();
  await ben.page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = async ({ video }) => { throw new DOMException('', video ? 'NotAllowedError' : 'NotFoundError'); };
  });
  t.after(async () => {
    await ben.leave();
    await ben.page.reload();
    await ben.page.getByRole('navigation', { name: 'Rooms' }).waitFor();
  });
  await ben.go(`#/meeting/${id}`);
  const problem = ben.page.locator('.lobby').getByRole('alert');
  await problem.filter({ hasText: 'Access to the camera is blocked.' }).filter({ hasText: 'No microphone found.' }).waitFor();
  await ben.button('Join').click();
  await ben.tile('Ben (you)').waitFor();
  for (const device of ['Camera', 'Microphone']) assert.equal(await ben.button(device).getAttribute('aria-pressed'), 'false');
});

test('what a host can do: mute, make a viewer, remove, end', async (t) => {
  const id = await together(t);
  await anna.sees('Ben');
  await anna.button('Participants').click();
  await anna.button('Turn off Ben’s microphone').click();
  await until('words', async () => (await ben.toast()).includes('The host turned off your microphone.'));
  await until('a button that is off', () => ben.button('Microphone').isDisabled());
  await anna.button('Allow Ben’s microphone').click();
  await until('a button that works again', () => ben.button('Microphone').isEnabled());
  await anna.button('Turn off Ben’s microphone').waitFor();

  await anna.page.getByLabel('Role of Ben').selectOption('viewer');
  await anna.tile('Ben').locator('video').waitFor({ state: 'hidden' });
  await until('a button that is off', () => ben.button('Camera').isDisabled());

  await anna.button('Remove Ben').click();
  await anna.page.getByLabel('Reason').fill('too loud');
  await anna.button('Remove').click();
  await heading(ben, 'The host removed you from the meeting: too loud');
  await anna.tile('Ben').waitFor({ state: 'hidden' });
  await ben.go('#/');
  await ben.page.getByText('Select a room.').waitFor();
  await until('what was said in the meeting to be gone with it', async () => !(await ben.toast()));
  await ben.go(`#/meeting/${id}`);
  await heading(ben, "You aren't invited to this meeting.");

  await anna.button('End for everyone').click();
  await anna.button('End meeting').click();
  await heading(anna, 'The meeting has ended.');
});

test('the host locks the meeting, and unlocks it', async (t) => {
  const id = await together(t);
  await anna.button('Lock meeting').click();
  await ben.page.getByText('Locked', { exact: true }).waitFor();
  const cleo = await Person.signedIn(browser, cluster, 'cleo');
  t.after(() => cleo.close());
  await cleo.go(`#/meeting/${id}`);
  await cleo.ready();
  await cleo.button('Join').click();
  await cleo.page.getByText('The host locked this meeting').waitFor();
  await anna.button('Lock meeting').click();
  await ben.page.getByText('Locked', { exact: true }).waitFor({ state: 'hidden' });
  await cleo.button('Join').click();
  await anna.tile('Cleo').waitFor();
});

test('how good the connection is is shown; a picture of another size asks for another layer', async (t) => {
  const asked = [];
  anna.page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => {
    const [, layer] = /"set-preferred-layers".*"spatialLayer":(\d)/.exec(payload) ?? [];
    if (layer !== undefined) asked.push(Number(layer));
  }));
  await anna.page.reload();
  const id = await together(t);
  await anna.sees('Ben');
  await until('the largest layer', () => asked.at(-1) === 2);
  await anna.page.setViewportSize(PHONE.viewport);
  await until('a smaller layer', () => asked.at(-1) < 2);
  await anna.page.setViewportSize(DESKTOP.viewport);
  await until('the largest layer again', () => asked.at(-1) === 2);

  const [{ id: consumerId, worker }] = await cluster.sql(`SELECT c.id, (SELECT w.id FROM rt_private.media_workers AS w) AS worker
    FROM rt_private.media_consumers AS c JOIN rt_private.media_producers AS p ON p.id = c.producer_id
    JOIN rt.meeting_participants AS a ON a.id = c.participant_id WHERE a.meeting_id = $1 AND a.user_id = 'anna' AND p.source = 'camera'`, [id]);
  for (const [score, words] of [[2, 'poor connection'], [5, 'fair connection'], [9, 'good connection']]) {
    await until(words, async () => {
      await cluster.sql('SELECT rt_api.media_event(NULL, $1)', [{ worker, events: [{ type: 'consumer-score', consumerId, score }] }]);
      return (await anna.tile('Ben').getByLabel(words).count()) > 0;
    });
    if (score === 2) await anna.screenshot('meeting-poor');
  }
});

test('what is out of view is not received; who speaks, or is pinned, is in front', async (t) => {
  const asked = [];
  const priorities = [];
  anna.page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => {
    const [, event] = /\["((?:pause|resume)-consumer|consume)"/.exec(payload) ?? [];
    if (event) asked.push(event);
    const [, priority] = /"set-preferred-layers".*"priority":(\d+)/.exec(payload) ?? [];
    if (priority) priorities.push(Number(priority));
  }));
  await anna.page.reload();
  t.after(() => anna.page.setViewportSize(DESKTOP.viewport));
  await together(t);
  const cleo = await Person.signedIn(browser, cluster, 'cleo');
  t.after(() => cleo.close());
  await cleo.join(new URL(anna.page.url()).hash.split('/')[2]);
  await Promise.all([anna.sees('Ben'), anna.sees('Cleo')]);
  asked.length = 0;
  await anna.page.setViewportSize({ width: 300, height: 230 }); // one row of tiles, and that not whole
  const scroller = anna.page.locator('.faces');
  const isInView = (name) => anna.tile(name).evaluate((node) => {
    const [{ top, bottom }, box] = [node.getBoundingClientRect(), node.parentNode.getBoundingClientRect()];
    return bottom > box.top && top < box.bottom;
  });
  await until('one out of view', async () => !(await isInView('Cleo')));
  await until('a camera to be paused', () => asked.includes('pause-consumer'));
  asked.length = 0;
  await scroller.evaluate((node) => { node.scrollTop = node.scrollHeight; });
  await until('it to be resumed', () => asked.includes('resume-consumer'));
  await anna.sees('Cleo');
  await anna.page.setViewportSize(DESKTOP.viewport);

  await anna.tile('Cleo').hover();
  await anna.button('Pin Cleo').click();
  await anna.page.locator('.tile.front', { hasText: 'Cleo' }).waitFor();
  const width = (name) => anna.tile(name).evaluate((node) => node.clientWidth);
  await until('Cleo to be large', async () => (await width('Cleo')) > 3 * (await width('Ben')));
  await anna.sees('Cleo');
  await until('Cleo to come before Ben', () => priorities.includes(200) && priorities.includes(1));
  assert.deepEqual(await anna.faults('meeting-pinned'), []);
  await anna.button('Pin Cleo').click();
  await anna.page.locator('.tile.front').waitFor({ state: 'hidden' });
  await anna.button('Speaker view').click();
  await anna.page.locator('.tile.front.speaking').waitFor();
  await anna.screenshot('meeting-speaker');
  await anna.button('Speaker view').click();
});

test('three people have room in the corner, and the buttons of a meeting in one row of a tablet', async (t) => {
  const id = await together(t);
  const client = await connect(cluster, tokens[2]);
  t.after(() => client.disconnect());
  await ask(client, 'join-meeting', { meetingId: id });
  await anna.tile('Cleo').waitFor();
  await anna.page.setViewportSize({ width: 768, height: 1024 });
  t.after(() => anna.page.setViewportSize(DESKTOP.viewport));
  const middles = () => anna.page.getByRole('group', { name: 'Meeting', exact: true }).evaluate((node) => [...node.children]
    .filter((one) => one.offsetParent).map((one) => { const { top, bottom } = one.getBoundingClientRect(); return Math.round((top + bottom) / 2); }));
  await until('one row', async () => new Set(await middles()).size === 1);
  await anna.page.setViewportSize(DESKTOP.viewport);
  await anna.page.getByRole('link', { name: 'All rooms' }).click();
  await anna.openRoom('General');
  await anna.page.locator('.call.corner').waitFor();
  const whole = () => anna.page.locator('.call .faces').evaluate((list) => {
    const box = list.getBoundingClientRect();
    const shown = [...list.children].filter((tile) => tile.offsetParent).map((tile) => tile.getBoundingClientRect());
    return shown.filter(({ top, bottom, left, right }) => top >= box.top - 1 && bottom <= box.bottom + 1 && left >= box.left - 1 && right <= box.right + 1).length;
  });
  await until('all three', async () => (await whole()) === 3);
});

// So many people without camera or microphone join a meeting.
async function crowd(t, meetingId, size) {
  await cluster.sql("SELECT rt.create_user('crowd' || i, 'Person ' || i) FROM generate_series(1, $1::int) AS i", [size]);
  for (let i = 1; i <= size; i++) {
    const client = await connect(cluster, await cluster.token(`crowd${i}`));
    t.after(() => client.disconnect());
    const answer = await ask(client, 'join-meeting', { meetingId });
    assert.ok(answer.success, JSON.stringify(answer));
  }
}

test('51 people: pages, raised hands on the first one, cameras of the current page alone, and anybody in front', async (t) => {
  const asked = [];
  anna.page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => {
    const [, event] = /\["((?:pause|resume)-consumer|consume)"/.exec(payload) ?? [];
    if (event) asked.push(event);
  }));
  await anna.page.reload();
  const id = await meeting();
  t.after(async () => { for (const person of everybody()) await person.leave(); });
  await crowd(t, id, 49);
  for (const person of [ben, anna]) await person.join(id);
  await anna.page.getByText('51 people').waitFor();
  const page = (n) => anna.page.getByText(`Page ${n} of 3`, { exact: true }).waitFor();
  const shown = () => anna.page.locator('.faces .tile:visible').count();

  await page(1);
  assert.equal(await shown(), 25);
  assert.deepEqual(await anna.faults('meeting-pages'), []);
  // Ben came after the others: his microphone is received, and his camera with his page.
  await until('his microphone', () => asked.includes('consume'));
  assert.equal(await anna.tile('Ben').locator('video').count(), 0);
  await anna.button('Next page').click();
  await page(2);
  await anna.button('Next page').press('PageDown');
  await page(3);
  assert.equal(await shown(), 1);
  await anna.page.keyboard.press('PageUp');
  await page(2);
  await anna.sees('Ben');
  asked.length = 0;
  await anna.button('Next page').press('PageUp');
  await page(1);
  await until('his camera to be paused', () => asked.includes('pause-consumer'));

  await ben.button('Raise hand').click();
  await anna.tile('Ben').waitFor();
  assert.match(await anna.page.locator('.faces .tile.hand').textContent(), /Ben/);
  await anna.sees('Ben');
  assert.equal(await shown(), 25);
  await ben.button('Raise hand').click();
  await anna.tile('Ben').waitFor({ state: 'hidden' });

  // Whoever is in front is seen from any page; the others stand in a row that scrolls.
  await anna.tile('Person 7').hover();
  await anna.button('Pin Person 7').click();
  await anna.page.locator('.tile.front', { hasText: 'Person 7' }).waitFor();
  assert.equal(await shown(), 51);
  await anna.button('Next page').waitFor({ state: 'hidden' });
  await anna.tile('Ben').hover();
  await anna.button('Pin Ben').click();
  await anna.page.locator('.tile.front', { hasText: 'Ben' }).waitFor();
  await anna.sees('Ben');
  await anna.button('Pin Ben').click();
  await page(1);
  assert.equal(await shown(), 25);

  await anna.page.setViewportSize(PHONE.viewport);
  t.after(() => anna.page.setViewportSize(DESKTOP.viewport));
  await anna.page.getByText(/^Page 1 of [456]$/).waitFor();
  assert.deepEqual(await anna.faults('meeting-pages-narrow'), []);
});

test('one stream that cannot be had keeps nobody from the others', async (t) => {
  const id = await together(t);
  const cleo = await Person.signedIn(browser, cluster, 'cleo');
  t.after(() => cleo.close());
  await cleo.page.evaluate(() => {
    const { send } = WebSocket.prototype;
    let isFirst = true;
    WebSocket.prototype.send = function sendOthers(data) {
      const spoils = isFirst && String(data).includes('["consume"');
      isFirst &&= !spoils;
      send.call(this, spoils ? data.replace('"rtpCapabilities"', '"none"') : data);
    };
  });
  await cleo.join(id);
  await cleo.page.getByText('rtpCapabilities').waitFor();
  await cleo.sees('Ben');
});

test('a request for a stream that has no answer is made again', async (t) => {
  const id = await together(t);
  const cleo = await Person.signedIn(browser, cluster, 'cleo');
  t.after(() => cleo.close());
  await cleo.page.evaluate(() => {
    const { send } = WebSocket.prototype;
    const lost = new Set();
    WebSocket.prototype.send = function sendMost(data) {
      const [, event] = /\["(consume|resume-consumer)"/.exec(String(data)) ?? [];
      if (!event || lost.has(event)) send.call(this, data);
      else lost.add(event);
    };
  });
  await cleo.join(id);
  await Promise.all([cleo.sees('Anna'), cleo.sees('Ben')]);
});

// Everything that a page can be made to wait for: what its cameras and microphones give, and the answer to its request to join.
function holdBack() {
  const gates = {};
  const tracks = [];
  let pending = 0;
  const gate = (name) => new Promise((resolve) => { (gates[name] ??= []).push(resolve); });
  const { mediaDevices } = navigator;
  const real = mediaDevices.getUserMedia.bind(mediaDevices);
  const isHeld = () => window.held.hold;
  mediaDevices.getUserMedia = async (wanted) => {
    pending += 1;
    const stream = await real(wanted);
    tracks.push(...stream.getTracks());
    if (isHeld()) await gate(wanted.video ? 'camera' : 'microphone');
    pending -= 1;
    return stream;
  };
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function sendLater(data) {
    if (isHeld() && String(data).includes('["join-meeting"')) gate('join').then(() => send.call(this, data));
    else send.call(this, data);
  };
  window.held = {
    hold: true,
    release: (name) => gates[name]?.splice(0).forEach((resolve) => resolve()),
    asked: (name) => Boolean(gates[name]?.length),
    live: () => tracks.filter((track) => track.readyState === 'live').length,
    pending: () => pending,
  };
}

function* orders(steps) {
  if (!steps.length) yield [];
  for (const step of steps) for (const rest of orders(steps.filter((one) => one !== step))) yield [step, ...rest];
}

test('sound goes out in RED', async (t) => {
  const person = await Person.open(browser, cluster);
  t.after(() => person.close());
  await watchConnections(person.page);
  let announced = '';
  person.page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => {
    if (/"produce"/.test(payload)) announced += payload;
  }));
  await person.page.reload();
  await person.signIn('cleo', 'cleo-password');
  await person.page.getByRole('navigation', { name: 'Rooms' }).waitFor();
  await person.join(await meeting());
  await until(() => `RED as announced: ${announced}`, async () => (await soundSent(person.page)).includes('audio/red') && announced.includes('"audio/red"'));
});

test('devices, permission and join in every order: what is captured is shown and sent, and nothing outlives the meeting', async (t) => {
  const id = await meeting();
  const cleo = await Person.signedIn(browser, cluster, 'cleo');
  t.after(() => cleo.close());
  await cleo.page.evaluate(holdBack);
  await anna.join(id);
  t.after(() => anna.leave());
  const held = (what, ...args) => cleo.page.evaluate(([name, list]) => window.held[name](...list), [what, args]);
  const isIn = async () => (await cluster.value(
    "SELECT count(*) FROM rt.meeting_participants WHERE meeting_id = $1 AND user_id = 'cleo' AND left_at IS NULL", [id])) > 0;

  for (const order of orders(['camera', 'microphone', 'join', 'leave'])) {
    const words = order.join(', ');
    await cleo.page.evaluate(() => { window.held.hold = true; });
    await cleo.go(`#/meeting/${id}`);
    await cleo.button('Join').click();
    await until(`${words}: both to be asked for`, async () => (await held('asked', 'camera')) && held('asked', 'join'));
    for (const step of order) {
      if (step !== 'leave') await until(`${words}: ${step}`, async () => {
        await held('release', step); // the microphone is asked for after the camera
        return order.indexOf('leave') < order.indexOf(step) || step === 'microphone' || !(await held('asked', step));
      });
      else {
        if (order.at(-1) === 'leave') {
          await cleo.page.evaluate(() => { window.held.hold = false; window.held.release('microphone'); });
          await Promise.all([anna.sees('Cleo'), cleo.sees('Cleo (you)')]);
          await anna.tile('Cleo').getByLabel('muted').waitFor({ state: 'hidden' });
          await until(`${words}: two tracks`, async () => (await held('live')) === 2);
        }
        await cleo.leave();
      }
    }
    await cleo.page.evaluate(() => { window.held.hold = false; ['camera', 'microphone', 'join'].forEach(window.held.release); });
    await until(`${words}: no request to be open`, async () => (await held('pending')) === 0);
    await until(`${words}: every track to be stopped`, async () => {
      if (order.at(-1) !== 'leave') await cleo.leave(); // in case that the answer came first
      return (await held('live')) === 0;
    });
    await until(`${words}: Cleo to be out`, async () => !(await isIn()));
    await anna.tile('Cleo').waitFor({ state: 'hidden' });
  }
  assert.deepEqual(cleo.errors, []);
});

test('every refusal has its words', async () => {
  const ended = await meeting();
  await cluster.rest('POST', `/api/meetings/${ended}/end`, tokens[0]);
  const full = await meeting({ maxParticipants: 1 });
  const locked = await meeting();
  const secret = await meeting({ password: 'sesame' });
  const closed = await meeting({ access: 'invited' });
  await cluster.sql('UPDATE rt.meetings SET locked = true WHERE id = $1', [locked]);

  for (const [id, words] of [['999999', 'Meeting not found.'], [ended, 'This meeting has ended.'], [closed, "You aren't invited to this meeting."]]) {
    await ben.go(`#/meeting/${id}`);
    await heading(ben, words);
  }
  await anna.join(full);
  for (const [id, words, password] of [
    [full, 'This meeting is full.'], [locked, 'The host locked this meeting'], [secret, 'Wrong meeting password.', 'wrong']]) {
    await ben.go(`#/meeting/${id}`);
    await ben.ready();
    if (password) await ben.page.getByLabel('Meeting password').fill(password);
    await ben.button('Join').click();
    await ben.page.getByText(words).waitFor();
    await ben.go('#/');
  }
  await ben.join(secret, { password: 'sesame' });
  await ben.sees('Ben (you)');
  await ben.screenshot('meeting-alone');
  for (const person of everybody()) await person.leave();
});

test('a meeting made from the list has a password, and its host needs none', async () => {
  await anna.button('Meeting').click();
  await anna.page.getByLabel('Title').fill('Secret talk');
  await anna.page.getByLabel('Password (').fill('sesame');
  await anna.button('Create').click();
  await heading(anna, 'Secret talk');
  await anna.ready();
  assert.equal(await anna.page.getByLabel('Meeting password').isVisible(), false);
  await ben.page.evaluate((hash) => { location.hash = hash; }, new URL(anna.page.url()).hash);
  await ben.page.getByLabel('Meeting password').waitFor();
  for (const person of everybody()) await person.leave();
});

test('the forwarder is killed: the pictures are back', async (t) => {
  await together(t);
  await Promise.all([anna.sees('Ben'), ben.sees('Anna')]);
  const pictures = [anna.tile('Ben').locator('video'), ben.tile('Anna').locator('video')];
  await Promise.all(pictures.map((video) => video.evaluate((element) => { element.id = 'of-before'; })));
  process.kill(await cluster.pid('media'), 'SIGKILL');
  for (const person of everybody()) await person.page.locator('#of-before').waitFor({ state: 'detached' });
  await Promise.all([anna.sees('Ben'), ben.sees('Anna')]);
});

test('the network changes: ICE is restarted at once', async (t) => {
  const asked = [];
  anna.page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => /\["(restart-ice|probe)"/.test(payload) && asked.push(RegExp.$1)));
  await anna.page.reload();
  await together(t);
  await anna.sees('Ben');
  await anna.page.evaluate(() => window.dispatchEvent(new Event('online')));
  await until('the restart of both transports', () => asked.filter((event) => event === 'restart-ice').length === 2);
  await until('the socket to be asked for a sign of life', () => asked.includes('probe'));
  await anna.sees('Ben');
});

test('the gateway is killed: the meeting goes on', async (t) => {
  await together(t);
  await anna.sees('Ben');
  const isTold = await anna.glimpseOffline();
  process.kill(await cluster.pid('gateway'), 'SIGKILL');
  await isTold();
  await anna.page.getByText("You're offline.").waitFor({ state: 'hidden' });
  await Promise.all([anna.sees('Ben'), ben.sees('Anna')]);
  await ben.button('Raise hand').click();
  await anna.tile('Ben').getByLabel('hand raised').waitFor();
});
