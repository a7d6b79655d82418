// Makes the pictures of docs/images: the application with the data of the demo, as somebody sees it at a desk and at a
// phone.  "node test/browser/pictures.mjs", after test/browser/run has installed what it needs.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Cluster } from '../clients/lib/cluster.mjs';
import { Person, PHONE } from './lib/app.mjs';
import { launch, until } from './lib/browser.mjs';

const run = promisify(execFile);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const DESK = { viewport: { width: 1120, height: 700 }, deviceScaleFactor: 1.25 };
const SMALL = { viewport: { width: 480, height: 400 } };
const BUSY_S = 45; // of talk before the picture of the figures

const cluster = await Cluster.start();
const browser = await launch();

// Cameras that show a person, so to speak.
function drawCamera({ hue, shift }) {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width: 640, height: 480 });
  const context = canvas.getContext('2d');
  const oval = (x, y, width, height, colour) => {
    context.fillStyle = colour;
    context.beginPath();
    context.ellipse(x, y, width, height, 0, 0, 2 * Math.PI);
    context.fill();
  };
  function draw() {
    const light = context.createLinearGradient(0, 0, 640, 480);
    light.addColorStop(0, `hsl(${hue} 40% 82%)`);
    light.addColorStop(1, `hsl(${hue} 38% 58%)`);
    context.fillStyle = light;
    context.fillRect(0, 0, 640, 480);
    const x = 320 + shift + 4 * Math.sin(performance.now() / 900);
    oval(x, 500, 190, 170, `hsl(${hue} 45% 34%)`);
    oval(x, 225, 92, 112, `hsl(${hue + 180} 22% 78%)`);
    context.save();
    context.beginPath();
    context.rect(0, 0, 640, 195);
    context.clip();
    oval(x, 215, 102, 120, `hsl(${hue + 180} 26% 24%)`);
    context.restore();
  }
  setInterval(draw, 50);
  draw();
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = (wanted) => (wanted.video ? Promise.resolve(canvas.captureStream(20)) : real(wanted));
}

async function enter(name, options, camera) {
  const person = await Person.open(browser, cluster, options);
  person.page.setDefaultTimeout(60_000);
  if (camera) await person.page.addInitScript(drawCamera, camera);
  if (camera) await person.page.reload();
  await person.signIn(name, `${name}-demo`);
  await person.page.getByRole('navigation', { name: 'Rooms' }).waitFor();
  return person;
}

async function picture(person, name) {
  await person.page.mouse.move(0, 0);
  await person.page.evaluate(() => document.activeElement.blur());
  await person.page.screenshot({ path: here(`../../docs/images/${name}.png`) });
}

async function talk(person, seconds) {
  for (const end = Date.now() + 1000 * seconds; Date.now() < end; ) {
    await cluster.sql(`INSERT INTO rt.messages (room_id, sender_id, content)
      SELECT id, 'bob', 'The load test, line ' || n FROM rt.rooms, generate_series(1, (1 + 40 * random())::integer) AS n WHERE name = 'Release 1.0'`);
    await new Promise((resolve) => { setTimeout(resolve, 300 + 1500 * Math.random()); });
  }
}

try {
  await run('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', here('../demo.sql')], { env: { ...process.env, ...cluster.env } });
  const meeting = await cluster.value('SELECT max(id) FROM rt.meetings');
  const alice = await enter('alice', DESK, { hue: 215, shift: -20 });
  const bob = await enter('bob', SMALL, { hue: 150, shift: 30 });
  const carol = await enter('carol', SMALL, { hue: 25, shift: 0 });
  const phone = await enter('alice', { ...PHONE, deviceScaleFactor: 1.5, colorScheme: 'dark' });

  await alice.openRoom('General');
  await alice.page.getByText('A meeting: Monday').last().waitFor();
  await bob.openRoom('General');
  await bob.input.pressSequentially('I am');
  await alice.page.getByText('Bob is typing').waitFor();
  await picture(alice, 'chat');
  await bob.input.fill('');
  await phone.openRoom('General');
  await until('the reactions', async () => (await phone.page.locator('.reactions').count()) > 2);
  await picture(phone, 'phone');

  for (const person of [carol, alice, bob]) await person.join(meeting);
  for (const other of ['Bob', 'Carol']) await alice.sees(other);
  await bob.button('Raise hand').click();
  await alice.button('Chat').click();
  for (const [person, words] of [[carol, 'Good morning! Who begins?'], [bob, 'I do: the packages are built.']]) {
    await person.button('Chat').click();
    await person.page.getByLabel('Message to the meeting').fill(words);
    await person.page.getByLabel('Message to the meeting').press('Enter');
    await alice.page.getByText(words).waitFor();
  }
  await new Promise((resolve) => { setTimeout(resolve, 4000); }); // the larger layers have come
  await picture(alice, 'meeting');

  await alice.button('Leave').click(); // the others go on
  await alice.page.emulateMedia({ colorScheme: 'dark' });
  await alice.go('#/admin');
  await talk(bob, BUSY_S);
  await picture(alice, 'figures');
} finally {
  await browser.close();
  await cluster.stop();
}
