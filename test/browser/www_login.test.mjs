// Signing in to the application: at an identity provider, with a second factor; and one's own sessions and password.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Cluster } from '../clients/lib/cluster.mjs';
import { Person } from './lib/app.mjs';
import { launch, until } from './lib/browser.mjs';
import { underPath } from './lib/proxy.mjs';
import { CLIENT, provide } from './lib/provider.mjs';

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
    await until(() => `"${words}", but "${said}" at ${person.page.url()}`, says, 30_000);
  }

  before(() => offer());

  test('without a provider none is offered, and the policy of the pages names it alone', async () => {
    const policy = async () => (await fetch(cluster.url)).headers.get('content-security-policy');
    assert.match(await policy(), new RegExp(`connect-src 'self' ${provider.issuer};`));
    await cluster.sql('ALTER SYSTEM RESET rt.oidc_client_id');
    await cluster.sql('SELECT pg_reload_conf()');
    await until('none', async () => (await (await fetch(`${cluster.url}/assets/settings.json`)).json()).oidc === null);
    assert.match(await policy(), /connect-src 'self';/);
    await set({ 'rt.oidc_client_id': CLIENT });
    await until('again', async () => (await (await fetch(`${cluster.url}/assets/settings.json`)).json()).oidc);
  });

  test('one signs in there, comes back to where one was, is created, chats, and stays in over a reload', async (t) => {
    const person = await open(t, '/?profile=2#/room/77');
    assert.deepEqual(await person.faults('login-provider'), []);
    await signIn(person, 'olga');
    await isIn(person);
    assert.equal(await where(person), `${cluster.url}/?profile=2#/room/77`);
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
    assert.ok(provider.requests.includes('POST /token/revocation'));
    assert.deepEqual(await person.page.evaluate(() => Object.keys(localStorage)), []);
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
    assert.equal(await where(person), `${cluster.url}/`);
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
    assert.ok(claims((await tokens(person)).token).exp > Date.now() / 1000 - 2);
    await cluster.room('Renewed', 'ruth');
    for (const page of person.context.pages()) await page.locator('.rooms a', { hasText: 'Renewed' }).waitFor();
    // The provider does not go on with it.
    await person.context.route('**/token', (route) => route.fulfill({ status: 400, json: { error: 'invalid_grant' }, headers: { 'access-control-allow-origin': '*' } }));
    for (const page of person.context.pages()) await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
    const words = await Promise.all(person.context.pages().map((page) => page.getByRole('alert').first().textContent()));
    assert.ok(words.includes('Your session has ended. Sign in again.'), words.join());
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
    assert.equal(await where(person), url);
    assert.deepEqual(proxy.strays, []);
  });
});
