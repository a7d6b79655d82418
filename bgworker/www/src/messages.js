// The messages of the rooms: which are loaded, what was changed, what is written.
//
// A room's `messages` are a map by `seq`.  Each knows its neighbours, `older` and `newer`, as far as these are loaded;
// where there is no link there is a hole, which is filled when somebody looks there.  `newest` is the end of the run
// that reaches to now, so whatever comes behind a hole waits until the hole is filled.
import { call } from './api.js';
import { emit } from './socket.js';
import { changed, state } from './state.js';

const PAGE = 50;
const MOST_TRIES = 5;

export const seqOf = (messageId) => Number(messageId.split('-').at(-1));

export function emptyRoom(data) {
  return {
    ...data,
    messages: new Map(),
    newest: null, // until the latest page is loaded
    first: null, // the room's first message, once we have seen it
    pending: new Map(), // what we have written and the server has not numbered yet, by clientId
    typing: new Map(),
    seen: new Set(), // numbers of messages that were in view, until the server knows it
    held: false, // marked as unread: what is in view is not seen until the room is opened again
    counted: data.lastSeq, // the last message that unreadCount and mentionCount have counted at the server
    mentioned: new Set(), // numbers of messages that mention us, of those we heard of since
    deliveredSeq: 0,
    changes: 0, // of messages, that we heard of
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
  if (message.clientId && message.senderId === state.me.id) changed('taken', message.clientId);
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

// Reactions, pins and threads stand beside a page of messages; a message that the page has none for has none.
function putPage(room, { data, reactions, pinned = [], threads = [] }) {
  putAll(
    room,
    data.map((message) => ({ ...message, reactions: new Map(), pinned: false, replies: 0 })),
  );
  const of = (messageId) => room.messages.get(seqOf(messageId)) ?? {};
  for (const { messageId, emoji, userIds } of reactions)
    of(messageId).reactions?.set(emoji, new Set(userIds));
  for (const messageId of pinned) of(messageId).pinned = true;
  for (const { messageId, replyCount, lastReplyAt } of threads)
    Object.assign(of(messageId), { replies: replyCount, lastReplyAt });
}

// A message that came or went counts in the thread of the one it answers.  Result: that one, if it is loaded.
export function countReply(room, { replyTo, createdAt }, step) {
  const parent = replyTo && room.messages.get(seqOf(replyTo));
  if (!parent) return null;
  parent.replies = Math.max(0, (parent.replies ?? 0) + step);
  if (step > 0) parent.lastReplyAt = createdAt;
  return parent;
}

// As the server gives messages that were asked for one by one: with what else there is to them.
function putFull(room, { reactions, replyCount, ...message }) {
  const given = new Map(reactions.map(({ emoji, userIds }) => [emoji, new Set(userIds)]));
  put(room, { ...message, reactions: given, replies: replyCount });
  return room.messages.get(message.seq);
}

// What answers a message, a page of it.
export async function loadReplies(room, message, cursor) {
  const page = await call('listReplies', { params: paramsOf(message), query: { limit: 200, cursor } });
  Object.assign(message, { replies: page.replyCount, lastReplyAt: page.lastReplyAt });
  return { replies: page.data.map((one) => putFull(room, one)), nextCursor: page.nextCursor };
}

// The latest pin first.
export async function loadPins(room) {
  const { data } = await call('listPins', { params: { roomId: room.id } });
  return data.map((one) => putFull(room, one));
}

// A page that a change has overtaken may be from before it, and is asked for again: unless it is always so.
async function fetchPage(room, query) {
  for (let tries = 1; ; tries++) {
    const { changes } = room;
    const page = await call('listMessages', { params: { roomId: room.id }, query });
    if (room.changes === changes || tries === MOST_TRIES) return page;
  }
}

// ---- forgetting ------------------------------------------------------------------

const MOST_LOADED = 1200;
const AROUND = 300;
const AT_END = 200;

// What is far from what is shown, the numbers from..to, and from the end of the room, is loaded again when somebody looks there.
// Result: whether there was any.
export function forgetFar(room, from = Infinity, to = -Infinity) {
  if (room.messages.size <= MOST_LOADED) return false;
  const near = new Set(run(room, AT_END).map(({ seq }) => seq));
  const end = room.newest ?? Math.max(...room.messages.keys());
  const isFar = (seq) => seq < end && !near.has(seq) && (seq < from - AROUND || seq > to + AROUND);
  for (const seq of room.messages.keys()) if (isFar(seq)) room.messages.delete(seq);
  for (const m of room.messages.values()) {
    if (!room.messages.has(m.older)) m.older = undefined;
    if (!room.messages.has(m.newer)) m.newer = undefined;
  }
  return true;
}

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

// What was kept from last time: shown until the latest page is there.
export function putKept(room, messages) {
  putAll(room, messages);
  room.newest = messages.at(-1).seq;
  room.isKept = true;
}

// What came while the page was on its way stays.
function dropKept(room, lastSeq) {
  for (const seq of room.messages.keys()) if (seq <= lastSeq) room.messages.delete(seq);
  Object.assign(room, { newest: null, first: null, isKept: false });
}

export async function loadLatest(room) {
  const page = await fetchPage(room, { limit: PAGE });
  const wasKept = room.isKept;
  if (wasKept) dropKept(room, page.lastSeq);
  putPage(room, page);
  const last = page.data.at(-1);
  if (!page.hasMore) room.first = page.data[0]?.seq ?? page.lastSeq;
  room.newest = Math.max(room.newest ?? 0, last?.seq ?? page.lastSeq);
  advance(room);
  changed('messages', { id: room.id });
  if (wasKept) changed('renewed', room.id);
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
  const loaded = [...state.rooms.values()].filter((room) => room.newest !== null && !room.isKept);
  let wanted = loaded;
  while (wanted.length) {
    const rooms = wanted.map((room) => ({ roomId: room.id, afterSeq: room.newest }));
    const answer = await emit('sync-rooms', { rooms });
    const asked = new Map(rooms.map(({ roomId, afterSeq }) => [roomId, afterSeq]));
    wanted = answer.rooms
      .filter((part) => state.rooms.has(part.roomId))
      .filter((part) => takeMissed(state.rooms.get(part.roomId), asked.get(part.roomId), part))
      .map((part) => state.rooms.get(part.roomId));
  }
  for (const room of loaded) {
    await loadLatest(room);
    changed('renewed', room.id); // what was changed meanwhile has no event
  }
}

// Nothing that was loaded can be trusted: the rooms begin anew from their latest pages.
export async function renew() {
  const loaded = [...state.rooms.values()].filter((room) => room.newest !== null);
  for (const room of state.rooms.values()) {
    room.messages.clear();
    room.newest = null;
    room.first = null;
    room.lastSeq = 0;
  }
  for (const room of loaded) await loadLatest(room);
}

// What was missed behind the number that we asked with; others may have come by now.  Result: whether there is more.
function takeMissed(room, asked, { messages, hasMore }) {
  if (!messages.length) return false;
  for (const message of messages) if (!room.messages.has(message.seq)) countReply(room, message, 1);
  putAll(room, messages);
  link(room, asked, messages[0].seq);
  advance(room);
  return hasMore;
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
