// The language of the application: it follows the browser, a file for a language has all there is, and layouts run both ways.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Cluster } from '../clients/lib/cluster.mjs';
import { DESKTOP, Person, PHONE } from './lib/app.mjs';
import { launch } from './lib/browser.mjs';

const APPLICATION = new URL('../../bgworker/www/', import.meta.url);

let cluster, browser;
before(async () => {
  cluster = await Cluster.start();
  await cluster.users('anna', 'ben');
  const room = await cluster.room('General', 'anna', 'ben');
  await cluster.insert(room, 'ben', 'hello');
  await cluster.sql("INSERT INTO rt.messages (room_id, sender_id, content, created_at) VALUES ($1, 'ben', 'older', now() - interval '40 days')", [room]).catch(() => {});
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

// What t() and tn() are called with, computed words included, which i18n.js lists.
async function keysInSource() {
  const keys = new Set();
  for (const name of await readdir(new URL('src/', APPLICATION))) {
    if (!name.endsWith('.js')) continue;
    const text = await readFile(new URL(`src/${name}`, APPLICATION), 'utf8');
    const code = text.replace(/^\/\/ (t\('Leave “|tn\(3).*$/gm, ''); // examples in comments
    for (const [, , key] of code.matchAll(/(?<![\w.])t\(\s*(['"])((?:(?!\1).)*)\1/g)) keys.add(key);
    for (const [, , key] of code.matchAll(/(?<![\w.])tn\(\s*[^,]+,\s*(['"])(?:(?!\1).)*\1,\s*\1((?:(?!\1).)*)\1/g)) keys.add(key);
  }
  return [...keys].sort();
}

const holes = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();

test('each language has every text of the source and no other, with what is filled in', async () => {
  const keys = await keysInSource();
  assert.ok(keys.length > 200, `${keys.length} texts`);
  for (const name of await readdir(new URL('lang/', APPLICATION))) {
    if (!name.endsWith('.json')) continue;
    const table = JSON.parse(await readFile(new URL(`lang/${name}`, APPLICATION), 'utf8'));
    assert.deepEqual(Object.keys(table).sort(), keys, name);
    for (const [key, value] of Object.entries(table)) {
      assert.ok(value !== '', key);
      if (typeof value === 'string') assert.deepEqual(holes(value), holes(key), `${name}: ${key}`);
      else for (const form of Object.values(value)) assert.ok(holes(form).every((hole) => key.includes(hole)), `${name}: ${key}`);
    }
  }
});

test('a German browser has German words and dates; one with a language that we lack has English', async (t) => {
  const german = await Person.open(browser, cluster, { ...DESKTOP, locale: 'de-AT' });
  t.after(() => german.close());
  await german.page.getByLabel('Benutzername').fill('anna'); // its words have come
  assert.equal(await german.page.evaluate(() => document.documentElement.lang), 'de');
  await german.page.getByLabel('Passwort').fill('falsch');
  await german.button('Anmelden').click();
  await german.page.getByText('Falscher Benutzername oder falsches Passwort.').waitFor();
  await german.page.getByLabel('Passwort').fill('anna-password');
  await german.button('Anmelden').click();
  await german.roomLink('General').click();
  await german.page.locator('.messages').getByText('Heute').waitFor();
  assert.deepEqual(await german.faults('room-german'), []);
  const time = await german.page.locator('.messages time').last().textContent();
  assert.match(time, /^\d\d:\d\d$/);
  await german.page.getByRole('link', { name: 'Konto' }).click();
  await german.page.getByRole('heading', { name: 'Sitzungen' }).waitFor();
  assert.deepEqual(german.errors, []);

  const french = await Person.open(browser, cluster, { ...DESKTOP, locale: 'fr-FR' });
  t.after(() => french.close());
  await french.button('Sign in').waitFor();
  assert.equal(await french.page.evaluate(() => document.documentElement.lang), 'en');
});

test('from right to left nothing overflows, wide or narrow', async (t) => {
  for (const options of [DESKTOP, PHONE]) {
    const person = await Person.signedIn(browser, cluster, 'anna', options);
    t.after(() => person.close());
    await person.openRoom('General');
    await person.page.evaluate(() => { document.documentElement.dir = 'rtl'; });
    assert.deepEqual(await person.faults(options === PHONE ? 'room-rtl-phone' : 'room-rtl'), []);
    if (options === PHONE) continue;
    const [list, view] = await Promise.all(['.side', '#view'].map((one) => person.page.locator(one).boundingBox()));
    assert.ok(list.x > view.x, 'the list of rooms stands at the right');
  }
});
