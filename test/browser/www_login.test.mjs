// Signing in to the application: at an identity provider, with a second factor; and one's own sessions and password.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import jsQRModule from 'jsqr';
import { PNG } from 'pngjs';
import { Cluster } from '../clients/lib/cluster.mjs';
import { Person } from './lib/app.mjs';
import { launch, until } from './lib/browser.mjs';
import { underPath } from './lib/proxy.mjs';
import { CLIENT, provide } from './lib/provider.mjs';

const jsQR = jsQRModule.default ?? jsQRModule;

let cluster, browser;
before(async () => {
  cluster = await Cluster.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await cluster?.stop();
});

async function set(settings) {
  for (const [name, value] of Object.entries(settings)) await cluster.sql(`ALTER SYSTEM SET ${name} = '${value}'`);
  await cluster.sql('SELECT pg_reload_conf()');
}

describe('an identity provider', () => {
  let provider;
  const where = (person) => person.page.evaluate(() => location.href);

  async function offer(options = {}, issuer = {}) {
    provider?.close();
    provider = await provide({ redirects: [`${cluster.url}/`], ...options });
    await cluster.sql('SELECT rt.add_issuer(issuer => $1, audiences => $2, jwks => $3, create_users => $4)',
      [provider.issuer, issuer.audiences ?? ['chat'], await provider.jwks(), issuer.createUsers ?? true]);
    await set({ 'rt.oidc_issuer': provider.issuer, 'rt.oidc_client_id': CLIENT });
    await until('the application offers it', async () => {
      const { oidc } = await (await fetch(`${cluster.url}/assets/settings.json`)).json();
      return oidc?.issuer === provider.issuer;
    });
  }
  after(() => provider?.close());

  const host = () => new URL(provider.issuer).host;
  const tokens = (person) => person.page.evaluate(() => ({ token: localStorage.getItem('rt-token'), session: JSON.parse(localStorage.getItem('rt-oidc')) }));
  const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());

  // Through the provider's own pages.
  async function signIn(person, name) {
    await person.button(`Sign in with ${host()}`).click();
    await person.page.getByPlaceholder('Enter any login').fill(name);
    await person.page.getByPlaceholder('and password').fill('whatever');
    await person.page.getByRole('button', { name: 'Sign-in' }).click();
    await person.page.getByRole('button', { name: 'Continue' }).click();
  }

  async function open(t, path = '') {
    const person = await Person.open(browser, { url: cluster.url + path });
    t.after(() => person.close());
    return person;
  }

  const isIn = (person) => person.page.getByRole('navigation', { name: 'Rooms' }).waitFor();
  async function told(person, words) {
    let said;
    const says = async () => (said = (await person.page.getByRole('alert').allTextContents()).join()).includes(words);
    await until(() => `"${words}", but "${said}" at ${person.page.url()}`, says);
  }

  before(() => offer());

  test('without a provider none is offered, and the policy of the pages names it alone', async () => {
    const policy = async () => (await fetch(cluster.url)).headers.get('content-security-policy');
    await until('the policy', async () => (await policy()).includes(`connect-src 'self' ${provider.issuer};`));
    await cluster.sql('ALTER SYSTEM RESET rt.oidc_client_id');
    await cluster.sql('SELECT pg_reload_conf()');
    await until('none', async () => (await (await fetch(`${cluster.url}/assets/settings.json`)).json()).oidc === null);
    await until('the policy without it', async () => (await policy()).includes("connect-src 'self';"));
    await set({ 'rt.oidc_client_id': CLIENT });
    await until('again', async () => (await (await fetch(`${cluster.url}/assets/settings.json`)).json()).oidc);
  });

  test('one signs in there, comes back to where one was, is created, chats, and stays in over a reload', async (t) => {
    const person = await open(t, '/?profile=2#/room/77');
    assert.deepEqual(await person.faults('login-provider'), []);
    await signIn(person, 'olga');
    await isIn(person);
    await until('the address of before', async () => (await where(person)) === `${cluster.url}/?profile=2#/room/77`);
    assert.equal(await cluster.value("SELECT name FROM rt.users WHERE id = 'olga'"), 'olga of the provider');
    const room = await cluster.room('Theirs', 'olga');
    await person.openRoom('Theirs');
    await person.say('hello from elsewhere');
    await until('it is stored', () => cluster.value("SELECT true FROM rt.messages WHERE room_id = $1 AND content = 'hello from elsewhere'", [room]));
    await person.page.reload();
    await person.roomLink('Theirs').waitFor();
    assert.deepEqual(person.errors, []);
    // Signed out, the provider takes the refresh token back.
    await person.button('Sign out').click();
    await person.button('Sign in').waitFor();
    await until('the provider is told', () => provider.requests.includes('POST /token/revocation'));
    await until('nothing is left', async () => (await person.page.evaluate(() => Object.keys(localStorage))).length === 0);
  });

  test('the request and the answer are bound to the tab: PKCE, state, nonce', async (t) => {
    const person = await open(t);
    const begin = async () => {
      const [request] = await Promise.all([person.page.waitForRequest(/\/auth\?/), person.button(`Sign in with ${host()}`).click()]);
      await person.page.getByPlaceholder('Enter any login').waitFor();
      return request;
    };
    const request = await begin();
    const query = new URL(request.url()).searchParams;
    assert.deepEqual([...query.keys()].sort(), ['client_id', 'code_challenge', 'code_challenge_method', 'nonce', 'redirect_uri', 'response_type', 'scope', 'state']);
    assert.equal(query.get('code_challenge_method'), 'S256');
    assert.equal(query.get('code_challenge').length, 43);
    assert.equal(query.get('redirect_uri'), `${cluster.url}/`);
    // An answer to something that this tab has not begun is not followed: no code goes to the provider.
    const before = provider.requests.filter((one) => one === 'POST /token').length;
    await person.page.goto(`${cluster.url}/?code=stolen&state=foreign`);
    await told(person, 'was not started in this tab');
    await until('an address without the answer', async () => (await where(person)) === `${cluster.url}/`);
    // Nor one that names another issuer (RFC 9207), nor one twice.
    await person.page.goto(cluster.url);
    const again = await begin();
    const state = new URL(again.url()).searchParams.get('state');
    await person.page.goto(`${cluster.url}/?code=x&state=${state}&iss=https://evil.example.com`);
    await told(person, 'The answer is not from');
    await person.page.goto(`${cluster.url}/?code=x&state=${state}&iss=${provider.issuer}`);
    await told(person, 'was not started in this tab');
    assert.equal(provider.requests.filter((one) => one === 'POST /token').length, before);
  });

  test('an ID token with another nonce is not taken', async (t) => {
    const person = await open(t);
    await person.page.route('**/token', async (route) => {
      const response = await route.fetch();
      const body = await response.json();
      const [head, payload, signature] = body.id_token.split('.');
      const changed = { ...JSON.parse(Buffer.from(payload, 'base64url')), nonce: 'another' };
      body.id_token = [head, Buffer.from(JSON.stringify(changed)).toString('base64url'), signature].join('.');
      await route.fulfill({ response, json: body });
    });
    await signIn(person, 'oscar');
    await told(person, 'The answer is not from');
    assert.equal((await tokens(person)).token, null);
  });

  test('cancelled, unreachable, unknown: each has its words, and the password is still offered', async (t) => {
    const person = await open(t);
    await person.button(`Sign in with ${host()}`).click();
    await person.page.getByRole('link', { name: 'Cancel' }).click();
    await told(person, 'was cancelled');
    await person.page.route('**/.well-known/openid-configuration', (route) => route.abort());
    await person.button(`Sign in with ${host()}`).click();
    await told(person, `Can't reach ${host()}`);
    await person.page.unroute('**/.well-known/openid-configuration');
    await person.page.route('**/.well-known/openid-configuration', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), issuer: 'https://evil.example.com' } });
    });
    await person.button(`Sign in with ${host()}`).click();
    await told(person, 'says that its name is https://evil.example.com');
    await cluster.users('petra');
    await person.signIn('petra', 'petra-password');
    await isIn(person);
  });

  test('who has no account here is told so, where users are not created', async (t) => {
    await offer({}, { createUsers: false });
    const person = await open(t);
    await signIn(person, 'nobody');
    await told(person, 'you have no account here');
    assert.equal(await cluster.value("SELECT count(*)::int FROM rt.users WHERE id = 'nobody'"), 0);
  });

  test('a token that ends is renewed, by one tab of several; without that, the session ends in words', async (t) => {
    await offer({ tokenSeconds: 3 });
    const person = await open(t);
    await signIn(person, 'ruth');
    await isIn(person);
    for (let i = 0; i < 2; i++) {
      const other = await person.context.newPage();
      await other.goto(cluster.url);
      await other.getByRole('navigation', { name: 'Rooms' }).waitFor();
    }
    // The provider ends the whole grant when a refresh token comes twice.
    const renewals = () => provider.requests.filter((one) => one === 'POST /token').length;
    const before = renewals();
    await until('ten renewals', () => renewals() >= before + 10);
    assert.deepEqual(provider.requests.filter((one) => one.startsWith('refused')), []);
    await until('a fresh token', async () => claims((await tokens(person)).token).exp > Date.now() / 1000 - 2);
    await cluster.room('Renewed', 'ruth');
    for (const page of person.context.pages()) await page.locator('.rooms a', { hasText: 'Renewed' }).waitFor();
    // The provider does not go on with it.
    await person.context.route('**/token', (route) => route.fulfill({ status: 400, json: { error: 'invalid_grant' }, headers: { 'access-control-allow-origin': '*' } }));
    for (const page of person.context.pages()) await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    const words = async () => (await Promise.all(person.context.pages().map((page) => page.getByRole('alert').allTextContents()))).flat();
    await until('the words', async () => (await words()).includes('Your session has ended. Sign in again.'));
  });

  test('where access tokens are opaque, the ID token is sent', async (t) => {
    await offer({ jwt: false }, { audiences: [CLIENT] });
    const person = await open(t);
    await signIn(person, 'sara');
    await isIn(person);
    const { token, session } = await tokens(person);
    assert.equal(session.use, 'id_token');
    assert.equal(claims(token).aud, CLIENT);
  });

  test('below a path of a proxy', async (t) => {
    const proxy = await underPath(cluster.url, '/below/chat');
    t.after(() => proxy.close());
    const url = `${proxy.origin}/below/chat/`;
    await offer({ redirects: [url] });
    const person = await Person.open(browser, { url });
    t.after(() => person.close());
    await signIn(person, 'tina');
    await isIn(person);
    await until('the address of the application', async () => (await where(person)) === url);
    assert.deepEqual(proxy.strays, []);
  });
});

// RFC 6238 with SHA-1, six digits, 30 s, as authenticators have it.
function totp(secret, at = Date.now()) {
  const bits = [...secret.replace(/[\s=]/g, '')].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const digest = createHmac('sha1', key).update(counter).digest();
  const number = digest.readUInt32BE(digest.at(-1) & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, '0');
}

// What is in the QR code, as a camera would read it.
async function readQrCode(person) {
  const picture = await person.page.locator('svg.qr').screenshot();
  const { data, width, height } = PNG.sync.read(picture);
  return jsQR(new Uint8ClampedArray(data), width, height)?.data;
}

describe('the account', () => {
  const heading = (person, name) => person.page.getByRole('region', { name });

  async function open(t, name) {
    const person = await Person.signedIn(browser, cluster, name);
    t.after(() => person.close());
    await person.page.getByRole('link', { name: 'Account' }).click();
    await heading(person, 'Sessions').waitFor();
    return person;
  }

  test('a second factor: the QR code says what the text says; signing in needs a code, or a recovery code, once', async (t) => {
    await cluster.users('vera');
    const person = await open(t, 'vera');
    assert.deepEqual(await person.faults('account'), []);
    await person.button('Set up').click();
    await person.page.locator('svg.qr').waitFor();
    assert.deepEqual(await person.faults('account-two-factor'), []);
    const secret = (await person.page.locator('.secret').textContent()).replaceAll(' ', '');
    const uri = await person.page.getByRole('link', { name: 'Open the authenticator app' }).getAttribute('href');
    assert.equal(await readQrCode(person), uri);
    assert.equal(new URL(uri).searchParams.get('secret'), secret);
    await person.field('Code').fill('000000');
    await person.answer('Turn on');
    await person.page.getByText('Wrong code. Check that').waitFor();
    await until('enough of this step is left', () => Date.now() % 30_000 < 15_000);
    await person.field('Code').fill(totp(secret, Date.now() - 30_000)); // the step before is taken too
    await person.answer('Turn on');
    await person.page.getByRole('heading', { name: 'Recovery codes' }).waitFor();
    const codes = await person.page.locator('.codes code').allTextContents();
    assert.equal(codes.length, 10);
    assert.deepEqual(await person.faults('account-recovery-codes'), []);
    await person.answer("I've kept them");
    await person.page.getByText('On: signing in needs a code').waitFor();
    await person.button('Sign out').click();

    await person.signIn('vera', 'vera-password');
    const code = person.page.getByLabel('Code from your authenticator app');
    await code.waitFor();
    assert.deepEqual(await person.faults('login-code'), []);
    await code.fill('123456');
    await person.button('Sign in').click();
    await person.page.getByText('Wrong code.').waitFor();
    await code.fill(totp(secret));
    await person.button('Sign in').click();
    await person.page.getByRole('navigation', { name: 'Rooms' }).waitFor();
    const signInBy = async (text) => {
      await person.button('Sign out').click();
      await person.signIn('vera', 'vera-password');
      await code.fill(text);
      await person.button('Sign in').click();
    };
    await signInBy(codes[0]);
    await person.page.getByRole('navigation', { name: 'Rooms' }).waitFor();
    await signInBy(codes[0]);
    await person.page.getByText('Wrong code.').waitFor();
    await code.fill(codes[1]);
    await person.button('Sign in').click();
    await person.page.getByRole('link', { name: 'Account' }).click();
    await person.button('Turn off').click();
    await person.field('Password').fill('wrong');
    await person.answer('Turn off');
    await person.page.getByText('Wrong password.').waitFor();
    await person.field('Password').fill('vera-password');
    await person.answer('Turn off');
    await person.page.getByText('Off: your password is enough').waitFor();
    assert.deepEqual(person.errors, []);
  });

  test('a changed password ends the other sessions and keeps this one; sessions are listed, and ended one by one', async (t) => {
    await cluster.users('wanda');
    const person = await open(t, 'wanda');
    const other = await Person.signedIn(browser, cluster, 'wanda');
    t.after(() => other.close());
    await person.button('Change password').click();
    const fill = async (old, fresh, again) => {
      await person.field('Current password').fill(old);
      await person.field('New password').fill(fresh);
      await person.field('New password, again').fill(again);
      await person.answer('Change');
    };
    await fill('wanda-password', 'a', 'b');
    await person.page.getByText("The new passwords aren't the same.").waitFor();
    await fill('wrong', 'a better one', 'a better one');
    await person.page.getByText('Wrong password.').waitFor();
    await fill('wanda-password', 'a better one', 'a better one');
    await person.page.getByText('Password changed.').waitFor();
    await other.page.getByText('Your session has ended.').waitFor();
    await other.signIn('wanda', 'a better one');
    await other.page.getByRole('navigation', { name: 'Rooms' }).waitFor();
    await person.page.reload();
    const rows = heading(person, 'Sessions').getByRole('listitem');
    await until('both', async () => (await rows.count()) === 2);
    assert.match((await rows.allTextContents()).join(), /Chrome, Linux.*127\.0\.0\.1.*This one|This one.*Chrome, Linux/);
    await person.page.getByRole('button', { name: /^End the session/ }).click();
    await until('one', async () => (await rows.count()) === 1);
    await other.page.getByText('Your session has ended.').waitFor();
  });
});

describe('guests and the lobby', () => {
  let host, meetingId;
  before(async () => {
    await cluster.users('hana');
    host = await Person.signedIn(browser, cluster, 'hana');
    await host.page.getByRole('navigation', { name: 'Rooms' }).getByRole('button', { name: 'Meeting' }).click();
    await host.field('Title').fill('Open house');
    await host.field('Password (optional)').fill('sesame');
    await host.page.getByLabel('People with the link may join without an account').check();
    await host.page.getByLabel('People wait until a host admits them').check();
    await host.answer('Create');
    await host.button('Join').waitFor();
    meetingId = new URL(host.page.url()).hash.split('/')[2];
    await host.ready();
    await host.button('Join').click();
    await host.page.getByRole('group', { name: 'Meeting' }).waitFor();
  });
  after(() => host?.close());

  const link = () => ({ url: `${cluster.url}/#/meeting/${meetingId}` });
  const waiting = () => host.page.getByRole('region', { name: 'Waiting to join' });

  // With the link, up to the lobby of the meeting.
  async function visit(t, name, password = 'sesame', options) {
    const guest = await Person.open(browser, link(), options);
    t.after(() => guest.close());
    await guest.page.getByLabel('Your name').fill(name);
    await guest.button('Continue as a guest').click();
    await guest.page.getByLabel('Meeting password').fill(password);
    await guest.button('Continue as a guest').click();
    return guest;
  }
  async function ask(guest) {
    await guest.ready();
    await guest.button('Join').click();
    await guest.page.getByText('Waiting for the host').waitFor();
  }
  const isIn = (guest) => guest.page.getByRole('group', { name: 'Meeting' }).waitFor();

  test('with the link, a name and the password one is let in by the host, is marked as a guest, and comes back over a reload', async (t) => {
    const guest = await visit(t, 'Gus', 'wrong');
    await guest.page.getByText('Wrong meeting password.').waitFor();
    assert.deepEqual(await guest.faults('guest'), []);
    await guest.page.getByLabel('Meeting password').fill('sesame');
    await guest.button('Continue as a guest').click();
    await ask(guest);
    assert.deepEqual(await guest.faults('lobby-waiting'), []);
    await waiting().getByText('Gus (guest)').waitFor();
    assert.deepEqual(await host.faults('meeting-waiting'), []);
    await waiting().getByRole('button', { name: 'Admit Gus (guest)' }).click();
    await isIn(guest);
    await waiting().waitFor({ state: 'hidden' });
    await host.tile('Gus (guest)').waitFor();
    await guest.sees('Hana');
    await host.button('Participants').click();
    await host.page.locator('.people').getByText('Gus (guest)').waitFor();
    await host.button('Participants').click();
    // There is nothing but the meeting.
    assert.equal(await guest.page.getByRole('navigation', { name: 'Rooms' }).count(), 0);
    await guest.page.reload();
    await guest.button('Join').waitFor();
    await guest.ready();
    await guest.button('Join').click();
    await isIn(guest);
    await guest.button('Leave').click();
    await guest.page.getByText('You left the meeting.').waitFor();
    await guest.button('Join again').click();
    await guest.button('Join').waitFor();
    await guest.go('#/');
    await guest.button('Done').click();
    await guest.page.getByLabel('Your name').or(guest.page.getByLabel('Username')).first().waitFor();
    assert.deepEqual(guest.errors, []);
  });

  test('refused is said; who cancels, or closes the page, waits no longer; all at once are admitted', async (t) => {
    const rude = await visit(t, 'Rude');
    await ask(rude);
    await waiting().getByRole('button', { name: 'Refuse Rude (guest)' }).click();
    await rude.page.getByText('The host did not let you in.').waitFor();
    await rude.button('Join').click();
    await rude.page.getByText('You can ask again').waitFor();
    const shy = await visit(t, 'Shy');
    await ask(shy);
    await waiting().getByText('Shy (guest)').waitFor();
    await shy.button('Cancel').click();
    await waiting().waitFor({ state: 'hidden' });
    await ask(shy);
    const late = await visit(t, 'Late');
    await ask(late);
    await waiting().getByText('2 people are waiting').waitFor();
    await host.page.setViewportSize({ width: 390, height: 800 });
    assert.deepEqual(await host.faults('meeting-waiting-phone'), []);
    await host.page.setViewportSize({ width: 1100, height: 720 });
    await waiting().getByRole('button', { name: 'Admit all' }).click();
    await Promise.all([isIn(shy), isIn(late)]);
    const gone = await visit(t, 'Gone');
    await ask(gone);
    await waiting().getByText('Gone (guest)').waitFor();
    await gone.close();
    await waiting().waitFor({ state: 'hidden' });
  });

  test('who waits is in again after the gateway was killed; the host opens the door, and shuts it for guests', async (t) => {
    const guest = await visit(t, 'Patient');
    await ask(guest);
    await waiting().getByText('Patient').waitFor();
    // Only where it is checked at that moment: a second click would check it again.
    const shut = (words, column) => until(words, async () => {
      if ((await cluster.value(`SELECT ${column} FROM rt.meetings WHERE id = $1`, [meetingId])) === false) return true;
      await host.page.getByLabel(words).evaluate((box) => box.checked && box.click());
      return false;
    });
    process.kill(await cluster.pid('gateway'), 'SIGKILL');
    await until('a gateway serves', async () => (await fetch(`${cluster.url}/readyz`).catch(() => ({}))).ok);
    await waiting().getByText('Patient').waitFor();
    await host.button('Participants').click();
    await shut('People wait until a host admits them', 'lobby');
    await isIn(guest);
    await shut('People with the link may join without an account', 'guests');
    const other = await Person.open(browser, link());
    t.after(() => other.close());
    await other.page.getByLabel('Your name').fill('Other');
    await other.button('Continue as a guest').click();
    await other.page.getByText('This meeting is not open to guests.').waitFor();
    assert.deepEqual(host.errors, []);
  });
});
