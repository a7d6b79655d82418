// The messages of the rooms: the kit's Messages, and what the page adds: what is done with a message, and who hears of it.
import { Messages } from '../../../clients/js/src/messages.js';
import { call } from './api.js';
import { emit } from './socket.js';
import { changed, state } from './state.js';

export { changes, seqOf } from '../../../clients/js/src/messages.js';

// What is ours may be waiting in the outbox.
function taken({ clientId, senderId }) {
  if (senderId === state.me.id) changed('taken', clientId);
}

const noMessages = (roomId) => new Messages(roomId, call, taken);

export function emptyRoom(data) {
  return {
    ...data,
    messages: noMessages(data.id),
    pending: new Map(), // what we have written and the server has not numbered yet, by clientId
    typing: new Map(),
    seen: new Set(), // numbers of messages that were in view, until the server knows it
    held: false, // marked as unread: what is in view is not seen until the room is opened again
    deliveredSeq: 0,
  };
}

const isLoaded = ({ messages }) => messages.newest !== null && !messages.isKept;

// What was missed while we were away may be missing in a page that was asked for before.
export async function loadLatest(room) {
  if (isLoaded(room)) return;
  const { isCurrent } = state;
  const { isKept } = room.messages;
  while (!isLoaded(room)) await room.messages.loadLatest(); // another server may have taken over meanwhile
  changed('messages', { id: room.id });
  if (isKept) changed('renewed', room.id);
  if (state.isCurrent && !isCurrent) await fill(room);
}

// ---- what was missed ---------------------------------------------------------------

// In one request for all of them, until there is no more.
async function sync(rooms) {
  for (let wanted = rooms; wanted.length;) {
    const asked = wanted;
    const answer = await Messages.sync(
      asked.map(({ messages }) => messages),
      emit,
    );
    answer.rooms.forEach((part, i) => {
      changed('messages', { id: asked[i].id });
      for (const message of part.changed) changed('messages', { id: asked[i].id, changed: message });
    });
    wanted = asked.filter((_, i) => answer.rooms[i].hasMore);
  }
}

// After a connection that was not recovered.  What was loaded while we asked may lack something, too; where nothing was loaded,
// what we have heard of begins anew.
export async function catchUp() {
  for (const room of state.rooms.values())
    if (room.messages.newest === null && room.messages.size) room.messages = noMessages(room.id);
  const done = new Set();
  const wanted = () => [...state.rooms.values()].filter((room) => isLoaded(room) && !done.has(room));
  for (let rooms; (rooms = wanted()).length;) {
    await sync(rooms);
    for (const room of rooms) done.add(room);
  }
}

// A hole in front of the newest.  Without a connection the next one brings what is missing.
const filling = new Set(); // rooms
export async function fill(room) {
  if (filling.has(room)) return;
  filling.add(room);
  await sync([room]).catch(() => {});
  filling.delete(room);
}

// Nothing that was loaded can be trusted: the rooms begin anew from their latest pages.
export async function renew() {
  const loaded = [...state.rooms.values()].filter(({ messages }) => messages.newest !== null);
  for (const room of state.rooms.values()) room.messages = noMessages(room.id);
  for (const room of loaded) {
    await loadLatest(room);
    changed('renewed', room.id);
  }
}

// ---- writing -------------------------------------------------------------------------

const paramsOf = ({ roomId, id }) => ({ roomId, messageId: id });

export const edit = (message, content) =>
  call('editMessage', { params: paramsOf(message), body: { content } });
export const pin = (message, on) => call(on ? 'pinMessage' : 'unpinMessage', { params: paramsOf(message) });
export const remove = (message) => call('deleteMessage', { params: paramsOf(message) });
export const receipts = (message) => call('listReceipts', { params: paramsOf(message) });
export const tellDelivered = (message) => call('markDelivered', { params: paramsOf(message) });

export const react = (message, emoji, on) =>
  call(on ? 'addReaction' : 'removeReaction', { params: { ...paramsOf(message), emoji } });
