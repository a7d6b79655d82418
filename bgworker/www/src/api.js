// Who is signed in: the kit's session, and what the page keeps of it.  What is refused is an RtError, which has the contract's `code`.
import { RtError } from '../../../clients/js/src/errors.js';
import { Session } from '../../../clients/js/src/session.js';
import { forgetKept } from './disk.js';
import { t, tn } from './i18n.js';
import { PROFILE } from './profile.js';

export { isTransient } from '../../../clients/js/src/errors.js';

const KEY = `rt-token${PROFILE}`;
const PROVIDED = `rt-oidc${PROFILE}`; // beside a token of an identity provider: how to get the next one
const ME = `rt-me${PROFILE}`; // who is signed in, for when the server can't be asked
const NOTICE = `rt-notice${PROFILE}`;
export const BASE = new URL('.', document.baseURI); // a proxy may serve us under a path of its own
const GUEST = 'rt-guest-'; // and a meeting's id: the token of its guest, in this tab
let guestOf = null; // the meeting

export const session = new Session({
  url: BASE.href,
  token: localStorage.getItem(KEY) ?? undefined,
  async refresh(old) {
    if (guestOf) return undefined;
    if (!providedSession()) return (await session.call('refreshToken', { token: old })).token;
    const { renew } = await import('./oidc.js');
    return renew(old);
  },
});
session.on('token', (token) => {
  if (token && !guestOf) localStorage.setItem(KEY, token);
});
session.on('ended', () => {
  if (guestOf) leaveAsGuest(guestOf).then(() => location.reload());
  else endSession();
});

export function failure(error) {
  return new RtError(error ?? { code: 'unavailable', message: t("Can't reach the server") });
}

// In this tab, and in no other has somebody signed out.
export const isSignedIn = () => Boolean(localStorage.getItem(KEY));

export function knownMe() {
  const me = localStorage.getItem(ME);
  return me && JSON.parse(me);
}

async function askMe() {
  const { data } = await call('getMe');
  if (isSignedIn()) localStorage.setItem(ME, JSON.stringify(data));
  return data;
}

// ---- sessions of an identity provider ----------------------------------------------

// `provided` says how to get the next token; what is secret in it is kept by oidc.js.
export const keepProvided = (provided) => localStorage.setItem(PROVIDED, JSON.stringify(provided));

export function providedSession() {
  const provided = localStorage.getItem(PROVIDED);
  return provided && JSON.parse(provided);
}

// ---- guests of a meeting -----------------------------------------------------------

export function becomeGuest(meetingId, token, user) {
  guestOf = meetingId;
  session.set(token, { prolong: false });
  sessionStorage.setItem(GUEST + meetingId, JSON.stringify({ made: token, user }));
}

// Who the tab was as a guest of that meeting, if that is still good.
export async function guestAgain(meetingId) {
  const known = sessionStorage.getItem(GUEST + meetingId);
  if (!known) return null;
  const { made, user } = JSON.parse(known);
  becomeGuest(meetingId, made, user);
  try {
    await session.call('getMeeting', { params: { meetingId }, token: made });
    return user;
  } catch {
    await leaveAsGuest(meetingId);
    return null;
  }
}

export async function leaveAsGuest(meetingId) {
  await session.logout();
  sessionStorage.removeItem(GUEST + meetingId);
  guestOf = null;
}

// ---- requests ------------------------------------------------------------------------

const isUnanswered = (error) =>
  !(error instanceof RtError) || (error.code === 'unavailable' && error.status >= 500);

// An operation of REST by its name in openapi.yaml.  With `token` as that user or, where it is null, as nobody yet.
export async function call(name, options) {
  try {
    return await session.call(name, options);
  } catch (error) {
    throw isUnanswered(error) ? failure() : error;
  }
}

// Whose a token is that is not kept yet.
export const tokenOf = async (token) => (await call('getMe', { token })).data;

export async function all(name, options) {
  const items = [];
  for await (const page of session.pages(name, options)) items.push(...page);
  return items;
}

// The id of the user with that name, to the letter; undefined if there is none.
async function idOf(username) {
  const { data } = await call('findUsers', { query: { q: username, limit: 200 } });
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

// ---- in and out ----------------------------------------------------------------------

// `code` is of an authenticator, where the server has asked for one: then the error has `twoFactor`.
export async function signIn(username, password, code) {
  try {
    await session.login({ username, password, code });
  } catch (error) {
    throw isUnanswered(error) ? failure() : error;
  }
  return askMe();
}

// A session of ours begins its time anew with each page.
export async function resume() {
  if (!providedSession() && !(await session.renew().catch(() => true))) {
    endSession();
    throw failure({ code: 'unauthorized', message: '' });
  }
  return askMe();
}

// The server ends the session, whoever else has the token.  Other tabs of the profile hear of it, and are signed out too.
export async function signOut() {
  if (!localStorage.getItem(PROVIDED)) await session.logout();
  else await import('./oidc.js').then(({ revoke }) => revoke()).catch(() => {});
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
  if (key === KEY && !newValue && session.token) location.reload();
});
