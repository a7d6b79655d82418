// REST, and who is signed in.  What is refused is an Error that has the contract's `code`.
import { PROFILE } from './profile.js';

const KEY = `rt-token${PROFILE}`;
const NOTICE = `rt-notice${PROFILE}`;
export const BASE = new URL('.', document.baseURI); // a proxy may serve us under a path of its own
const ENDED = 'Your session has ended. Sign in again.';
const RENEW_RETRY_MS = 30_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const ANSWER_MS = 15_000;
let token = localStorage.getItem(KEY);
let refresh;

export function failure(error) {
  return Object.assign(new Error(error?.message ?? "Can't reach the server"), {
    code: error?.code ?? 'unavailable',
  });
}

export function currentToken() {
  return token;
}

function keep(answer) {
  token = answer.token;
  localStorage.setItem(KEY, token);
  renewAfter((new Date(answer.expiresAt) - Date.now()) / 2);
  return answer;
}

function renewAfter(ms) {
  clearTimeout(refresh);
  refresh = setTimeout(
    () => rest('POST', '/auth/refresh').then(keep, () => renewAfter(RENEW_RETRY_MS)),
    Math.min(ms, LONGEST_TIMER_MS),
  );
}

export async function rest(method, path, body) {
  let response;
  try {
    response = await fetch(new URL(path.slice(1), BASE), {
      method,
      headers: {
        ...(token && { authorization: `Bearer ${token}` }),
        ...(body && { 'content-type': 'application/json' }),
      },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
  } catch {
    throw failure();
  }
  const answer = await response.json().catch(() => ({}));
  if (answer.error?.code === 'unauthorized' && path !== '/auth') endSession();
  if (!answer.success) throw failure(answer.error);
  return answer;
}

// All pages of a list.
export async function all(path) {
  const items = [];
  let cursor = null;
  do {
    const query = new URLSearchParams({ limit: 200, ...(cursor && { cursor }) });
    const { data, nextCursor } = await rest('GET', `${path}?${query}`);
    items.push(...data);
    cursor = nextCursor;
  } while (cursor);
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
    throw new Error(`User${missing.length > 1 ? 's' : ''} ${missing.join(', ')} not found.`);
  return ids;
}

export async function signIn(username, password) {
  keep(await rest('POST', '/auth', { username, password }));
  return (await rest('GET', '/api/users/me')).data;
}

export async function resume() {
  keep(await rest('POST', '/auth/refresh'));
  return (await rest('GET', '/api/users/me')).data;
}

// The server ends the session, whoever else has the token.  Other tabs of the profile hear of it, and are signed out too.
export async function signOut() {
  await rest('POST', '/auth/logout').catch(() => {});
  forgetSession();
}

function forgetSession() {
  localStorage.removeItem(KEY);
  location.assign(location.pathname + location.search);
}

export function endSession() {
  sessionStorage.setItem(NOTICE, ENDED);
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
