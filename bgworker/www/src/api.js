// REST, and who is signed in.  What is refused is an Error that has the contract's `code`.
import { forgetKept } from './disk.js';
import { t, tn } from './i18n.js';
import { PROFILE } from './profile.js';

const KEY = `rt-token${PROFILE}`;
const PROVIDED = `rt-oidc${PROFILE}`; // beside a token of an identity provider: how to get the next one
const ME = `rt-me${PROFILE}`; // who is signed in, for when the server can't be asked
const NOTICE = `rt-notice${PROFILE}`;
export const BASE = new URL('.', document.baseURI); // a proxy may serve us under a path of its own
const RENEW_RETRY_MS = 30_000;
const FRESH_MS = 10_000; // a token that is refused so soon after it was made is not made again
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const ANSWER_MS = 15_000;
const GUEST = 'rt-guest-'; // and a meeting's id: the token of its guest, in this tab
let token = localStorage.getItem(KEY);
let guestOf = null; // the meeting
let madeAt = 0;
let refresh;

export function failure(error) {
  return Object.assign(new Error(error?.message ?? t("Can't reach the server")), {
    code: error?.code ?? 'unavailable',
  });
}

// The server could not be asked, or wants to be asked later.
export const isTransient = ({ code }) => code === 'unavailable' || code === 'rate_limited';

export function currentToken() {
  return token;
}

// In this tab, and in no other has somebody signed out.
export const isSignedIn = () => Boolean(localStorage.getItem(KEY));

export function knownMe() {
  const me = localStorage.getItem(ME);
  return me && JSON.parse(me);
}

async function askMe() {
  const { data } = await rest('GET', '/api/users/me');
  if (isSignedIn()) localStorage.setItem(ME, JSON.stringify(data));
  return data;
}

// ---- tokens, and their renewal -----------------------------------------------------

function keep({ token: made, expiresAt }) {
  token = made;
  madeAt = Date.now();
  localStorage.setItem(KEY, token);
  renewAfter((new Date(expiresAt) - Date.now()) / 2);
}

// `session` says how to get the next one; what is secret in it is kept by oidc.js.
export function keepProvided(made, session) {
  localStorage.setItem(PROVIDED, JSON.stringify(session));
  keep({ token: made, expiresAt: session.expiresAt });
}

export function providedSession() {
  const session = localStorage.getItem(PROVIDED);
  return session && JSON.parse(session);
}

function renewAfter(ms) {
  clearTimeout(refresh);
  refresh = setTimeout(() => renew().catch(onNotRenewed), Math.min(ms, LONGEST_TIMER_MS));
}

// What a provider does not renew is good until it ends.
function onNotRenewed({ code }) {
  const session = providedSession();
  if (code === 'unavailable') renewAfter(RENEW_RETRY_MS);
  else if (session) refresh = setTimeout(endSession, new Date(session.expiresAt) - Date.now());
}

async function renew() {
  if (!providedSession()) keep(await rest('POST', '/auth/refresh'));
  else await import('./oidc.js').then(({ renew: renewProvided }) => renewProvided());
}

// A token of a provider may have ended while the machine slept.  Result: whether there is another one now.
export async function renewRefused() {
  if (!providedSession() || Date.now() - madeAt < FRESH_MS) return false;
  try {
    await renew();
    return true;
  } catch (error) {
    if (error.code === 'unavailable') throw error;
    return false;
  }
}

// ---- guests of a meeting -----------------------------------------------------------

export function becomeGuest(meetingId, made, user) {
  guestOf = meetingId;
  token = made;
  sessionStorage.setItem(GUEST + meetingId, JSON.stringify({ made, user }));
}

// Who the tab was as a guest of that meeting, if that is still good.
export async function guestAgain(meetingId) {
  const known = sessionStorage.getItem(GUEST + meetingId);
  if (!known) return null;
  const { made, user } = JSON.parse(known);
  becomeGuest(meetingId, made, user);
  try {
    await ask('GET', `/api/meetings/${meetingId}`, undefined, made);
    return user;
  } catch {
    await leaveAsGuest(meetingId);
    return null;
  }
}

export async function leaveAsGuest(meetingId) {
  await ask('POST', '/auth/logout', undefined, token).catch(() => {});
  sessionStorage.removeItem(GUEST + meetingId);
  guestOf = null;
  token = null;
}

// ---- requests ------------------------------------------------------------------------

async function ask(method, path, body, bearer) {
  let response;
  try {
    response = await fetch(new URL(path.slice(1), BASE), {
      method,
      headers: {
        ...(bearer && { authorization: `Bearer ${bearer}` }),
        ...(body && { 'content-type': 'application/json' }),
      },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
  } catch {
    throw failure();
  }
  const answer = await response.json().catch(() => ({}));
  if (!answer.success) throw Object.assign(failure(answer.error), { answer });
  return answer;
}

// What is wanted in a moment is asked for while the part of the page that wants it is loaded.
const early = new Map(); // path -> promise
export function askEarly(path) {
  const answer = ask('GET', path, undefined, token);
  answer.catch(() => {}); // told to whoever takes it
  early.set(path, answer);
}

function takeEarly(method, path) {
  const answer = method === 'GET' && early.get(path);
  early.delete(path);
  return answer;
}

export async function rest(method, path, body) {
  try {
    return await (takeEarly(method, path) || ask(method, path, body, token));
  } catch (error) {
    if (error.code !== 'unauthorized' || path === '/auth' || path.endsWith('/guests')) throw error;
    if (await renewRefused()) return ask(method, path, body, token);
    if (guestOf) leaveAsGuest(guestOf).then(() => location.reload());
    else endSession();
    throw error;
  }
}

// Whose a token is that is not kept yet.
export const tokenOf = async (made) => (await ask('GET', '/api/users/me', undefined, made)).data;

// A list, page by page.
export async function* pages(path) {
  let cursor = null;
  do {
    const query = new URLSearchParams({ limit: 200, ...(cursor && { cursor }) });
    const { data, nextCursor } = await rest('GET', `${path}?${query}`);
    yield data;
    cursor = nextCursor;
  } while (cursor);
}

export async function all(path) {
  const items = [];
  for await (const page of pages(path)) items.push(...page);
  return items;
}

// The id of the user with that name, to the letter; undefined if there is none.
async function idOf(username) {
  const { data } = await rest('GET', `/api/users?q=${encodeURIComponent(username)}&limit=200`);
  return data.find((one) => one.username.toLowerCase() === username.toLowerCase())?.id;
}

// The ids of users by their names; says of all which are wrong.
export async function findUsers(...usernames) {
  const ids = await Promise.all(usernames.map(idOf));
  const missing = usernames.filter((_, i) => !ids[i]).map((name) => `“${name}”`);
  if (missing.length)
    throw new Error(
      tn(missing.length, 'User {names} not found.', 'Users {names} not found.', {
        names: missing.join(', '),
      }),
    );
  return ids;
}

// `code` is of an authenticator, where the server has asked for one: then the error's answer has `twoFactor`.
export async function signIn(username, password, code) {
  keep(await rest('POST', '/auth', { username, password, code }));
  return askMe();
}

export async function resume() {
  const session = providedSession();
  if (session) renewAfter((new Date(session.expiresAt) - Date.now()) / 2);
  else await renew();
  return askMe();
}

// The server ends the session, whoever else has the token.  Other tabs of the profile hear of it, and are signed out too.
export async function signOut() {
  if (localStorage.getItem(PROVIDED))
    await import('./oidc.js').then(({ revoke }) => revoke()).catch(() => {});
  else await ask('POST', '/auth/logout', undefined, token).catch(() => {});
  forgetSession();
}

// With what was kept of what the user has read.
async function forgetSession() {
  const me = knownMe();
  for (const key of [PROVIDED, KEY, ME]) localStorage.removeItem(key);
  if (me) await forgetKept(me.id).catch(() => {});
  location.assign(location.pathname + location.search);
}

export function endSession() {
  sessionStorage.setItem(NOTICE, t('Your session has ended. Sign in again.'));
  forgetSession();
}

// Why somebody has to sign in again; said once.
export function takeNotice() {
  const notice = sessionStorage.getItem(NOTICE) ?? '';
  sessionStorage.removeItem(NOTICE);
  return notice;
}

addEventListener('storage', ({ key, newValue }) => {
  if (key === KEY && !newValue && token) location.reload();
});
