// What one writes: shown at once, sent one after the other, settled when it comes back with its number.
//
// Until the server has answered, a message lies on the disk too, with the name of the tab that sends it.  A tab holds a
// lock of its name while it lives; what belongs to a tab that is gone is adopted by another.  The server takes the same
// `clientId` once, so that nothing is doubled even where a browser has no locks.
import { call, isTransient } from './api.js';
import { delay } from './delay.js';
import { forget, keep, loadOutbox } from './disk.js';
import { put } from './messages.js';
import { PROFILE } from './profile.js';
import { changed, state } from './state.js';
import { uuid } from '../../../clients/js/src/uuid.js';

const RETRY_MS = 2000;
const TAB = `rt-tab${PROFILE}-${uuid()}`;
const { locks } = navigator;

locks?.request(TAB, () => new Promise(() => {})); // until the page ends

export function send(id, content, options = {}) {
  const clientId = uuid();
  const entry = {
    clientId,
    roomId: id,
    tab: TAB,
    order: performance.timeOrigin + performance.now(),
    body: { content, clientId, ...options },
    createdAt: new Date().toISOString(),
    failed: null,
  };
  keep('outbox', entry);
  take(entry);
}

function take(entry) {
  const room = state.rooms.get(entry.roomId);
  room.pending.set(entry.clientId, {
    ...entry.body,
    entry,
    failed: entry.failed,
    roomId: entry.roomId,
    senderId: state.me.id,
    userName: state.me.name,
    createdAt: entry.createdAt,
  });
  changed('messages', { id: room.id });
  if (!entry.failed) resend(room.id, entry.clientId);
}

export function resend(id, clientId) {
  const room = state.rooms.get(id);
  const pending = room.pending.get(clientId);
  if (pending.failed) fail(room, pending, null);
  room.outbox = room.outbox.then(() => deliver(room, clientId));
}

function fail(room, pending, words) {
  pending.failed = words;
  pending.entry.failed = words;
  keep('outbox', pending.entry);
  changed('messages', { id: room.id, changed: pending });
}

export function discard(id, clientId) {
  forget('outbox', clientId);
  state.rooms.get(id).pending.delete(clientId);
  changed('messages', { id });
}

// Tries until the server has said yes or no: clientId makes it safe to send again.
async function deliver(room, clientId) {
  for (let pending; (pending = room.pending.get(clientId)) && state.rooms.has(room.id);) {
    try {
      const { body } = pending.entry;
      const { data } = await call('sendMessage', { params: { roomId: room.id }, body });
      forget('outbox', clientId);
      settle(room, pending, data);
      return;
    } catch (error) {
      if (error.code === 'unauthorized') return; // kept for when the user has signed in again
      if (!isTransient(error)) {
        fail(room, pending, error.message);
        return;
      }
      await delay(RETRY_MS);
    }
  }
  forget('outbox', clientId); // its event overtook the answer, or the room is gone
}

// The answer may overtake the events of the messages before it; then it stays where it is until these are there.
function settle(room, pending, message) {
  if (message.seq <= (room.newest ?? Infinity) + 1) put(room, message);
  else if (room.pending.has(pending.clientId)) pending.accepted = true;
  changed('messages', { id: room.id, changed: pending.accepted && pending });
}

// Takes over what tabs that are gone have left unsent.  One tab at a time.
export function adopt() {
  return locks ? locks.request(`rt-adopt${PROFILE}`, adoptNow) : adoptNow();
}

async function adoptNow() {
  const { held = [] } = (await locks?.query()) ?? {};
  const alive = new Set([TAB, ...held.map(({ name }) => name)]);
  for (const entry of await loadOutbox()) {
    if (alive.has(entry.tab)) continue;
    if (state.rooms.has(entry.roomId)) {
      entry.tab = TAB;
      await keep('outbox', entry);
      take(entry);
    } else await forget('outbox', entry.clientId);
  }
}
