// What one writes: shown at once, sent one after the other, settled when it comes back with its number.
import { rest } from './api.js';
import { put } from './messages.js';
import { changed, state } from './state.js';

const RETRY_MS = 2000;

export function send(id, content, options = {}) {
  const clientId = crypto.randomUUID();
  const body = { content, clientId, ...options };
  state.rooms.get(id).pending.set(clientId, {
    ...body,
    body,
    senderId: state.me.id,
    userName: state.me.name,
    createdAt: new Date().toISOString(),
  });
  changed('messages', { id });
  resend(id, clientId);
}

export function resend(id, clientId) {
  const room = state.rooms.get(id);
  const pending = room.pending.get(clientId);
  if (pending.failed) {
    pending.failed = null;
    changed('messages', { id, changed: pending });
  }
  room.outbox = room.outbox.then(() => deliver(room, clientId));
}

export function discard(id, clientId) {
  state.rooms.get(id).pending.delete(clientId);
  changed('messages', { id });
}

// Tries until the server has said yes or no: clientId makes it safe to send again.
async function deliver(room, clientId) {
  for (let pending; (pending = room.pending.get(clientId)) && state.rooms.has(room.id);) {
    try {
      const { data } = await rest('POST', `/api/chat/rooms/${room.id}/msgs`, pending.body);
      settle(room, pending, data);
      return;
    } catch (error) {
      if (error.code !== 'unavailable' && error.code !== 'rate_limited') {
        pending.failed = error.message;
        changed('messages', { id: room.id, changed: pending });
        return;
      }
      await new Promise((resolve) => {
        setTimeout(resolve, RETRY_MS);
      });
    }
  }
}

// The answer may overtake the events of the messages before it; then it stays where it is until these are there.
function settle(room, pending, message) {
  if (message.seq <= (room.newest ?? Infinity) + 1) put(room, message);
  else if (room.pending.has(pending.clientId)) pending.accepted = true;
  changed('messages', { id: room.id, changed: pending.accepted && pending });
}
