// REST and Socket.IO: the two ways to the server.  Both refuse with an Error that has the contract's `code`.
import { io } from 'socket.io-client';

const KEY = 'rt-token';
let token = localStorage.getItem(KEY);
let refresh;

function failure(error) {
  return Object.assign(new Error(error?.message ?? 'The server did not answer'), { code: error?.code ?? 'unavailable' });
}

export function hasToken() {
  return Boolean(token);
}

function keep(answer) {
  token = answer.token;
  localStorage.setItem(KEY, token);
  clearTimeout(refresh);
  const half = (new Date(answer.expiresAt) - Date.now()) / 2;
  refresh = setTimeout(() => rest('POST', '/auth/refresh').then(keep, () => {}), Math.min(half, 2 ** 31 - 1));
  return answer;
}

export async function rest(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: { ...(token && { authorization: `Bearer ${token}` }), ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
  } catch {
    throw failure();
  }
  const answer = await response.json().catch(() => ({}));
  if (!answer.success) throw failure(answer.error);
  return answer;
}

export async function signIn(username, password) {
  return keep(await rest('POST', '/auth', { username, password })).user;
}

export async function resume() {
  keep(await rest('POST', '/auth/refresh'));
  return (await rest('GET', '/api/users/me')).data;
}

export function signOut() {
  localStorage.removeItem(KEY);
  location.assign('/');
}

export const socket = io({ autoConnect: false, auth: (give) => give({ token }), transports: ['websocket', 'polling'] });

// Emits and waits for the acknowledgement.
export async function emit(event, payload) {
  let answer;
  try {
    answer = await socket.timeout(10_000).emitWithAck(event, payload);
  } catch {
    throw failure();
  }
  if (!answer.success) throw failure(answer.error);
  return answer;
}
