// What the page knows: rooms, their messages, who is there.  Views listen; the wire's events come in here alone.
import { emit, rest, socket } from './api.js';

const PAGE = 50;
const SEEN_AT_ONCE = 200; // whoever jumps over more than that has not seen it
const DIRECT_ROOMS = 30; // whose members' presence is asked for at the start
const DELIVERED_IN = 20; // members up to which a receipt of delivery is worth a request
const DELIVERED_MS = 300;
const RETRY_MS = 2000;

export const bus = new EventTarget();
export const state = { me: null, rooms: new Map(), members: new Map(), online: false, presence: new Map() };

export function changed(what, detail) {
  bus.dispatchEvent(new CustomEvent(what, { detail }));
}

export function listen(what, handler) {
  const on = (event) => handler(event.detail);
  bus.addEventListener(what, on);
  return () => bus.removeEventListener(what, on);
}

function emptyRoom(data) {
  return { ...data, messages: new Map(), pending: new Map(), outbox: Promise.resolve(), typing: new Map(), deliveredSeq: 0, oldest: Infinity, hasMore: true };
}

export function title(room) {
  return room.name || room.peer?.name || 'Conversation';
}

// ---- rooms ---------------------------------------------------------------------

export async function loadRooms() {
  const { data } = await rest('GET', '/api/chat/rooms');
  const seen = new Set(data.map((room) => room.id));
  for (const id of state.rooms.keys()) if (!seen.has(id)) state.rooms.delete(id);
  for (const room of data) {
    const known = state.rooms.get(room.id);
    state.rooms.set(room.id, known ? Object.assign(known, room) : emptyRoom(room));
  }
  changed('rooms');
}

export async function joinRoom(id) {
  await emit('join-chat-rooms', { roomIds: [id] }).catch(() => {});
}

async function joinAll() {
  const roomIds = [...state.rooms.keys()];
  if (roomIds.length) await emit('join-chat-rooms', { roomIds }).catch(() => {});
}

function keepPresence(who) {
  state.presence.set(who.userId, { ...state.presence.get(who.userId), status: who.status, lastSeen: who.lastSeen, statusMessage: who.statusMessage });
}

export async function loadMembers(id) {
  const { data } = await rest('GET', `/api/chat/rooms/${id}/members`);
  state.members.set(id, new Map(data.map((member) => [member.userId, member])));
  data.forEach(keepPresence);
  changed('members', id);
  changed('presence');
}

// Of the others in direct rooms, whose dots stand in the list; and of the rooms that are known already, who read what.
async function refreshMembers() {
  const wanted = [...state.rooms.values()].filter((room) => room.kind === 'direct').slice(0, DIRECT_ROOMS).map((room) => room.id);
  for (const id of new Set([...wanted, ...state.members.keys()])) if (state.rooms.has(id)) await loadMembers(id).catch(() => {});
}

// ---- messages ------------------------------------------------------------------

const seqOf = (messageId) => Number(messageId.split('-').at(-1));

function put(room, message) {
  const known = room.messages.get(message.seq);
  room.messages.set(message.seq, { reactions: new Map(), ...known, ...message });
  room.oldest = Math.min(room.oldest, message.seq);
  if (message.clientId && message.senderId === state.me.id) room.pending.delete(message.clientId);
}

// Reactions stand beside a page of messages; a message that the page has none for has none.
function putPage(room, { data, reactions = [] }) {
  for (const message of data) put(room, { ...message, reactions: new Map() });
  for (const { messageId, emoji, userIds } of reactions) room.messages.get(seqOf(messageId))?.reactions.set(emoji, new Set(userIds));
}

// The newest messages of those that are loaded, rising.
export function latest(room, count) {
  const newest = [];
  const last = Math.max(room.lastSeq, ...[...room.messages.keys()].slice(-1));
  for (let seq = last; seq >= room.oldest && newest.length < count; seq--) if (room.messages.has(seq)) newest.push(room.messages.get(seq));
  return newest.reverse();
}

export async function loadOlder(id) {
  const room = state.rooms.get(id);
  const before = room.oldest === Infinity ? '' : `&beforeSeq=${room.oldest}`;
  const page = await rest('GET', `/api/chat/rooms/${id}/msgs?limit=${PAGE}${before}`);
  putPage(room, page);
  room.hasMore = page.hasMore;
  changed('messages', { id });
}

// After a connection that was not recovered: what was missed, room by room.  What was changed meanwhile is in the
// latest page, as far as somebody is likely to look.
async function catchUp() {
  const asked = [...state.rooms.values()].filter((room) => room.messages.size);
  let rooms = asked.map((room) => ({ roomId: room.id, afterSeq: Math.max(...room.messages.keys()) }));
  while (rooms.length) {
    const answer = await emit('sync-rooms', { rooms });
    for (const part of answer.rooms) part.messages.forEach((message) => put(state.rooms.get(part.roomId), message));
    rooms = answer.rooms.filter((part) => part.hasMore && part.messages.length)
      .map((part) => ({ roomId: part.roomId, afterSeq: part.messages.at(-1).seq }));
  }
  for (const room of asked) {
    putPage(room, await rest('GET', `/api/chat/rooms/${room.id}/msgs?limit=${PAGE}`));
    changed('messages', { id: room.id });
    changed('members', room.id);
  }
}

// Shown at once; settles when the message comes back with its number.  One after the other, so that the order stays.
export function send(id, content, options = {}) {
  const clientId = crypto.randomUUID();
  const body = { content, clientId, ...options };
  state.rooms.get(id).pending.set(clientId, { ...body, body, senderId: state.me.id, userName: state.me.name, createdAt: new Date().toISOString() });
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
      put(room, data);
      changed('messages', { id: room.id });
      return;
    } catch (error) {
      if (error.code !== 'unavailable' && error.code !== 'rate_limited') {
        pending.failed = error.message;
        changed('messages', { id: room.id, changed: pending });
        return;
      }
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
    }
  }
}

const path = (message) => `/api/chat/rooms/${message.roomId}/msgs/${message.id}`;
export const edit = (message, content) => rest('PATCH', path(message), { content });
export const remove = (message) => rest('DELETE', path(message));
export const react = (message, emoji, on) => rest(on ? 'PUT' : 'DELETE', `${path(message)}/reactions/${encodeURIComponent(emoji)}`);

export async function markSeen(id) {
  const room = state.rooms.get(id);
  if (room.lastSeq <= room.lastReadSeq && !room.unreadCount) return;
  const fresh = latest(room, SEEN_AT_ONCE).filter((m) => m.seq > room.lastReadSeq && m.senderId !== state.me.id);
  if (!fresh.length) return;
  room.lastReadSeq = Math.max(...fresh.map((m) => m.seq));
  room.unreadCount = 0;
  changed('rooms');
  await emit('mark-msgs-seen', { roomId: id, messageIds: fresh.map((m) => m.id) }).catch(() => {});
}

// One receipt for all that came within a moment: what is before a delivered message is delivered too.
function tellDelivered(room) {
  room.delivering ??= setTimeout(() => {
    room.delivering = undefined;
    rest('PUT', `${path(room.lastMessage)}/delivered`).catch(() => {});
  }, DELIVERED_MS);
}

// ---- what the server tells ---------------------------------------------------------

function onMessage({ roomId, data }) {
  const room = state.rooms.get(roomId);
  if (!room) return;
  put(room, data);
  room.lastSeq = Math.max(room.lastSeq, data.seq);
  room.lastMessage = data;
  room.typing.delete(data.senderId);
  if (data.senderId !== state.me.id) {
    room.unreadCount += 1;
    if (room.memberCount <= DELIVERED_IN) tellDelivered(room);
  }
  changed('messages', { id: roomId, message: data });
  changed('rooms');
}

function change(event, apply) {
  socket.on(event, ({ roomId, data }) => {
    const room = state.rooms.get(roomId);
    const message = room?.messages.get(seqOf(data.messageId)) ?? (room?.lastMessage?.id === data.messageId ? room.lastMessage : null);
    if (!message) return;
    apply(message, data);
    if (room.lastMessage?.id === message.id) room.lastMessage = message;
    changed('messages', { id: roomId, changed: message });
    changed('rooms');
  });
}

function onReaction(message, { emoji, userId, action }) {
  if (!message.reactions) return; // known from the list of rooms alone
  const users = message.reactions.get(emoji) ?? new Set();
  if (action === 'add') users.add(userId); else users.delete(userId);
  message.reactions.set(emoji, users);
}

async function onNotification({ type, data }) {
  if (type === 'room-removed' || type === 'room-deleted') {
    state.rooms.delete(data.roomId);
    changed('rooms');
    changed('room-gone', data.roomId);
  } else if (type === 'room-added' || type === 'room-updated') {
    await loadRooms();
    if (type === 'room-added') await joinRoom(data.roomId);
  } else if (type === 'mention') {
    changed('mention', data);
  }
}

async function begin() {
  await loadRooms();
  await joinAll();
  await catchUp();
  await refreshMembers();
}

export function startStore(me) {
  state.me = me;
  socket.on('new-chat-message', onMessage);
  change('chat-message-edited', (m, data) => Object.assign(m, { content: data.newContent, editedAt: data.timestamp }));
  change('chat-message-deleted', (m, data) => Object.assign(m, { content: '', metadata: null, deletedAt: data.timestamp }));
  change('chat-message-reaction', onReaction);
  socket.on('chat-message-delivered', ({ roomId, data }) => {
    const room = state.rooms.get(roomId);
    if (!room) return;
    room.deliveredSeq = Math.max(room.deliveredSeq, seqOf(data.messageId));
    changed('seen', roomId);
  });
  socket.on('messages-seen', ({ userId, roomId, messageIds }) => {
    const member = state.members.get(roomId)?.get(userId);
    const highest = Math.max(...messageIds.map(seqOf));
    if (member) member.lastReadSeq = Math.max(member.lastReadSeq, highest);
    changed('seen', roomId);
  });
  socket.on('chat-user-typing', ({ roomId, userId, userName, isTyping }) => {
    const room = state.rooms.get(roomId);
    if (!room) return;
    if (isTyping) room.typing.set(userId, userName); else room.typing.delete(userId);
    changed('typing', roomId);
  });
  socket.on('chat-user-status-update', (who) => {
    keepPresence(who);
    changed('presence');
  });
  socket.on('chat-notification', (note) => { onNotification(note).catch(() => {}); });
  socket.on('connect', async () => {
    state.online = true;
    changed('online');
    if (socket.recovered) return;
    await begin().catch(() => socket.disconnect().connect());
  });
  socket.on('disconnect', (reason) => {
    state.online = false;
    changed('online');
    // When the server has closed it on purpose, the library leaves it to us to come back.
    if (reason === 'io server disconnect') setTimeout(() => socket.connect(), RETRY_MS);
  });
  socket.on('connect_error', () => { state.online = false; changed('online'); });
  socket.connect();
}
