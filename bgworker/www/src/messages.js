// The messages of the rooms: which are loaded, what was changed, what is written.
//
// A room's `messages` are a map by `seq`.  Each knows its neighbours, `older` and `newer`, as far as these are loaded;
// where there is no link there is a hole, which is filled when somebody looks there.  `newest` is the end of the run
// that reaches to now, so whatever comes behind a hole waits until the hole is filled.
import { rest } from './api.js';
import { emit } from './socket.js';
import { changed, state } from './state.js';

const PAGE = 50;

export const seqOf = (messageId) => Number(messageId.split('-').at(-1));

export function emptyRoom(data) {
  return {
    ...data,
    messages: new Map(),
    newest: null, // until the latest page is loaded
    first: null, // the room's first message, once we have seen it
    pending: new Map(), // what we have written and the server has not numbered yet, by clientId
    outbox: Promise.resolve(),
    typing: new Map(),
    seen: new Set(), // numbers of messages that were in view, until the server knows it
    deliveredSeq: 0,
  };
}

// ---- keeping ---------------------------------------------------------------------

function link(room, older, newer) {
  const [a, b] = [room.messages.get(older), room.messages.get(newer)];
  if (!a || !b) return;
  a.newer = newer;
  b.older = older;
}

export function put(room, message) {
  const known = room.messages.get(message.seq);
  room.messages.set(message.seq, { reactions: new Map(), ...known, ...message });
  link(room, message.seq - 1, message.seq);
  link(room, message.seq, message.seq + 1);
  if (message.clientId && message.senderId === state.me.id) room.pending.delete(message.clientId);
  advance(room);
}

function advance(room) {
  if (room.newest === null) return;
  for (let next; (next = room.messages.get(room.newest)?.newer ?? room.newest + 1), room.messages.has(next);)
    room.newest = next;
}

// A page has all that there is between its messages: what the retention has removed leaves no hole.
function putAll(room, messages) {
  messages.forEach((message) => put(room, message));
  messages.slice(1).forEach((message, i) => link(room, messages[i].seq, message.seq));
  advance(room);
}

// Reactions stand beside a page of messages; a message that the page has none for has none.
function putPage(room, { data, reactions }) {
  putAll(
    room,
    data.map((message) => ({ ...message, reactions: new Map() })),
  );
  for (const { messageId, emoji, userIds } of reactions)
    room.messages.get(seqOf(messageId))?.reactions.set(emoji, new Set(userIds));
}

const fetchPage = (room, query) =>
  rest('GET', `/api/chat/rooms/${room.id}/msgs?${new URLSearchParams(query)}`);

// ---- looking -----------------------------------------------------------------------

// Up to `count` messages without a hole, rising, of which `last` is the last.
export function run(room, count, last = room.newest) {
  const found = [];
  for (let m = room.messages.get(last); m && found.length < count; m = room.messages.get(m.older))
    found.push(m);
  return found.reverse();
}

// The message that is `count` after `seq`, or as near to it as what is loaded reaches.
export function after(room, seq, count) {
  let m = room.messages.get(seq);
  for (let i = 0; i < count && m.newer; i++) m = room.messages.get(m.newer);
  return m.seq;
}

export async function loadLatest(room) {
  const page = await fetchPage(room, { limit: PAGE });
  putPage(room, page);
  const last = page.data.at(-1);
  if (!page.hasMore) room.first = page.data[0]?.seq ?? page.lastSeq;
  room.newest = Math.max(room.newest ?? 0, last?.seq ?? page.lastSeq);
  advance(room);
  changed('messages', { id: room.id });
}

export async function loadBefore(room, seq) {
  const page = await fetchPage(room, { limit: PAGE, beforeSeq: seq });
  putPage(room, page);
  if (page.data.length) link(room, page.data.at(-1).seq, seq);
  if (!page.hasMore) room.first = page.data[0]?.seq ?? seq;
}

export async function loadAfter(room, seq) {
  const page = await fetchPage(room, { limit: PAGE, afterSeq: seq });
  putPage(room, page);
  if (page.data.length) link(room, seq, page.data[0].seq);
}

// One message alone, such as one that is quoted.
export async function loadOne(room, seq) {
  putPage(room, await fetchPage(room, { limit: 1, beforeSeq: seq + 1 }));
}

// The message with that number and some on both sides of it.  Result: whether there is one.
export async function loadAround(room, seq) {
  putPage(room, await fetchPage(room, { limit: PAGE, beforeSeq: seq + PAGE / 2 }));
  return room.messages.has(seq);
}

// After a connection that was not recovered: what was missed, room by room.  What was changed meanwhile is in the
// latest page, as far as somebody is likely to look.
export async function catchUp() {
  const asked = [...state.rooms.values()].filter((room) => room.newest !== null);
  let wanted = asked;
  while (wanted.length) {
    const answer = await emit('sync-rooms', {
      rooms: wanted.map((room) => ({ roomId: room.id, afterSeq: room.newest })),
    });
    wanted = answer.rooms
      .filter((part) => takeMissed(state.rooms.get(part.roomId), part))
      .map((part) => state.rooms.get(part.roomId));
  }
  for (const room of asked) await loadLatest(room);
}

// Nothing that was loaded can be trusted: the rooms begin anew from their latest pages.
export async function renew() {
  const loaded = [...state.rooms.values()].filter((room) => room.newest !== null);
  for (const room of state.rooms.values()) {
    room.messages.clear();
    room.newest = null;
    room.first = null;
  }
  for (const room of loaded) await loadLatest(room);
}

// Result: whether there is more.
function takeMissed(room, { messages, hasMore }) {
  if (!messages.length) return false;
  const before = room.newest;
  putAll(room, messages);
  link(room, before, messages[0].seq);
  advance(room);
  return hasMore;
}

// ---- writing -------------------------------------------------------------------------

const path = (message) => `/api/chat/rooms/${message.roomId}/msgs/${message.id}`;

export const edit = (message, content) => rest('PATCH', path(message), { content });
export const remove = (message) => rest('DELETE', path(message));
export const receipts = (message) => rest('GET', `${path(message)}/receipts`);
export const tellDelivered = (message) => rest('PUT', `${path(message)}/delivered`);

export function react(message, emoji, on) {
  return rest(on ? 'PUT' : 'DELETE', `${path(message)}/reactions/${encodeURIComponent(emoji)}`);
}
