// What the page knows: rooms, their messages, who is there.  Views listen; the wire's events come in here alone.
import { emit, rest, socket } from './api.js';

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
  return { ...data, messages: new Map(), pending: new Map(), typing: new Map(), oldest: Infinity, hasMore: true };
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

async function joinAll() {
  const roomIds = [...state.rooms.keys()];
  if (roomIds.length) await emit('join-chat-rooms', { roomIds }).catch(() => {});
}

export async function loadMembers(id) {
  const { data } = await rest('GET', `/api/chat/rooms/${id}/members`);
  state.members.set(id, new Map(data.map((member) => [member.userId, member])));
  for (const member of data) state.presence.set(member.userId, member);
  changed('members', id);
}

// ---- messages ------------------------------------------------------------------

function put(room, message) {
  const known = room.messages.get(message.seq);
  room.messages.set(message.seq, { reactions: new Map(), ...known, ...message });
  room.oldest = Math.min(room.oldest, message.seq);
  if (message.clientId && message.senderId === state.me.id) room.pending.delete(message.clientId);
}

export async function loadOlder(id, limit = 50) {
  const room = state.rooms.get(id);
  const before = room.oldest === Infinity ? '' : `&beforeSeq=${room.oldest}`;
  const { data, hasMore } = await rest('GET', `/api/chat/rooms/${id}/msgs?limit=${limit}${before}`);
  data.forEach((message) => put(room, message));
  room.hasMore = hasMore;
  changed('messages', { id, older: true });
}

// After a connection that was not recovered: what was missed, room by room.
async function catchUp() {
  const asked = [...state.rooms.values()].filter((room) => room.messages.size)
    .map((room) => ({ roomId: room.id, afterSeq: Math.max(...room.messages.keys()) }));
  for (let rooms = asked; rooms.length;) {
    const answer = await emit('sync-rooms', { rooms });
    for (const part of answer.rooms) part.messages.forEach((message) => put(state.rooms.get(part.roomId), message));
    rooms = answer.rooms.filter((part) => part.hasMore)
      .map((part) => ({ roomId: part.roomId, afterSeq: part.messages.at(-1).seq }));
  }
  for (const { roomId } of asked) changed('messages', { id: roomId });
}

// Shown at once; settles when the message comes back with its number.
export async function send(id, content, options = {}) {
  const room = state.rooms.get(id);
  const clientId = crypto.randomUUID();
  const body = { content, clientId, ...options };
  room.pending.set(clientId, { ...body, senderId: state.me.id, userName: state.me.name, createdAt: new Date().toISOString() });
  changed('messages', { id });
  await deliver(room, clientId, body);
}

// clientId makes it safe to send again.
async function deliver(room, clientId, body) {
  try {
    const { data } = await rest('POST', `/api/chat/rooms/${room.id}/msgs`, body);
    put(room, data);
  } catch (error) {
    const pending = room.pending.get(clientId);
    if (!pending) return;
    pending.failed = error.code === 'unavailable' ? null : error.message;
    if (error.code === 'unavailable') setTimeout(() => deliver(room, clientId, body), 2000);
  }
  changed('messages', { id: room.id });
}

const path = (message) => `/api/chat/rooms/${message.roomId}/msgs/${message.id}`;
export const edit = (message, content) => rest('PATCH', path(message), { content });
export const remove = (message) => rest('DELETE', path(message));
export const react = (message, emoji, on) => rest(on ? 'PUT' : 'DELETE', `${path(message)}/reactions/${encodeURIComponent(emoji)}`);

export async function markSeen(id) {
  const room = state.rooms.get(id);
  const fresh = [...room.messages.values()].filter((m) => m.seq > room.lastReadSeq && m.senderId !== state.me.id);
  if (!fresh.length) return;
  room.lastReadSeq = Math.max(...fresh.map((m) => m.seq));
  room.unreadCount = 0;
  changed('rooms');
  await emit('mark-msgs-seen', { roomId: id, messageIds: fresh.map((m) => m.id) }).catch(() => {});
}

// ---- what the server tells ---------------------------------------------------------

function onMessage({ roomId, data }) {
  const room = state.rooms.get(roomId);
  if (!room) return;
  put(room, data);
  room.lastSeq = Math.max(room.lastSeq, data.seq);
  room.lastMessage = data;
  room.typing.delete(data.senderId);
  if (data.senderId !== state.me.id) room.unreadCount += 1;
  changed('messages', { id: roomId, message: data });
  changed('rooms');
}

function change(event, apply) {
  socket.on(event, ({ roomId, data }) => {
    const room = state.rooms.get(roomId);
    const message = room && [...room.messages.values()].find((m) => m.id === data.messageId);
    if (!message) return;
    apply(message, data);
    if (room.lastMessage?.id === message.id) room.lastMessage = message;
    changed('messages', { id: roomId, changed: message });
    changed('rooms');
  });
}

function onReaction(message, { emoji, userId, action }) {
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
    if (type === 'room-added') await emit('join-chat-rooms', { roomIds: [data.roomId] }).catch(() => {});
  } else if (type === 'mention') {
    changed('mention', data);
  }
}

export function startStore(me) {
  state.me = me;
  socket.on('new-chat-message', onMessage);
  change('chat-message-edited', (m, data) => Object.assign(m, { content: data.newContent, editedAt: data.timestamp }));
  change('chat-message-deleted', (m, data) => Object.assign(m, { content: '', metadata: null, deletedAt: data.timestamp }));
  change('chat-message-reaction', onReaction);
  change('chat-message-delivered', (m, data) => { (m.delivered ??= new Set()).add(data.deliveredTo); });
  socket.on('messages-seen', ({ userId, roomId, messageIds }) => {
    const member = state.members.get(roomId)?.get(userId);
    const highest = Math.max(...messageIds.map((id) => Number(id.split('-').at(-1))));
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
    state.presence.set(who.userId, { ...state.presence.get(who.userId), ...who });
    changed('presence', who.userId);
  });
  socket.on('chat-notification', (note) => { onNotification(note).catch(() => {}); });
  socket.on('connect', async () => {
    state.online = true;
    changed('online');
    if (socket.recovered) return;
    await loadRooms();
    await joinAll();
    await catchUp();
  });
  socket.on('disconnect', () => { state.online = false; changed('online'); });
  socket.on('connect_error', () => { state.online = false; changed('online'); });
  socket.connect();
}
