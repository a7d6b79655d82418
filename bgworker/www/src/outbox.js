// What one writes: shown at once, sent one after the other by the kit's outbox, settled when it comes back with its number.
import { Outbox } from '../../../clients/js/src/outbox.js';
import { TabStorage } from '../../../clients/js/src/storage.js';
import { call } from './api.js';
import { PROFILE } from './profile.js';
import { changed, listen, state } from './state.js';

let outbox;

// As it is drawn: like a message that has no number yet.
function shown({ error, ...item }) {
  return { ...item, failed: error?.message, senderId: state.me.id, userName: state.me.name };
}

function onChanged(id, item) {
  const room = state.rooms.get(id);
  if (!room) return;
  room.pending = new Map(outbox.of(id).map((one) => [one.clientId, shown(one)]));
  changed('messages', { id, changed: item && room.pending.get(item.clientId) });
}

// The answer may overtake the events of the messages before it; then what is sent stays where it is until these are there.
function take(message) {
  const room = state.rooms.get(message.roomId);
  if (!room || message.seq > (room.messages.newest ?? Infinity) + 1) return !room;
  const answered = room.messages.add(message);
  if (answered) changed('messages', { id: room.id, changed: answered });
  return true;
}

export function startOutbox() {
  outbox = new Outbox({
    storage: new TabStorage(`rt${PROFILE}/${state.me.id}/outbox`),
    send: async ({ roomId, clientId, content, replyTo, metadata }) =>
      (await call('sendMessage', { params: { roomId }, body: { clientId, content, replyTo, metadata } }))
        .data,
    changed: onChanged,
    isShown: take,
  });
  listen('taken', (clientId) => outbox.settle(clientId));
  listen('room-gone', ({ id }) => outbox.of(id).forEach(({ clientId }) => outbox.discard(clientId)));
}

export const send = (id, content, options) => outbox.add(id, { content, ...options });
export const resend = (clientId) => outbox.retry(clientId);
export const discard = (clientId) => outbox.discard(clientId);

// With what tabs that are gone have left unsent.
export const adopt = () => outbox.adopt(({ roomId }) => state.rooms.has(roomId));
