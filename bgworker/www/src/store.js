// Members and presence, and what the server tells: the wire's events come in here alone.
import { all, call, isTransient } from './api.js';
import { openDisk } from './disk.js';
import { loadKept, startKeeping } from './kept.js';
import { comeBack, goAway, joinLate, list, loadRooms } from './list.js';
import { catchUp, changes, fill, seqOf } from './messages.js';
import { adopt, startOutbox } from './outbox.js';
import { delivered } from './receipts.js';
import { connection, socket } from './socket.js';
import { changed, state } from './state.js';

const DIRECT_ROOMS = 30; // whose members' presence is asked for at the start
const RETRY_MS = 2000;
const BEHIND_MS = 400; // how long what we have told may take to come back

// ---- members, presence -------------------------------------------------------------

// What is refused for good leaves the others as they are; anything else is tried again with the next connection.
const unlessTransient = (error) => {
  if (isTransient(error)) throw error;
  return null;
};

function keepPresence({ userId, status, lastSeen, statusMessage }) {
  const known = state.presence.get(userId);
  state.presence.set(userId, { status, lastSeen, statusMessage: statusMessage ?? known?.statusMessage });
}

export async function loadMembers(id) {
  const data = await all('listMembers', { params: { roomId: id } });
  const before = state.members.get(id);
  state.members.set(id, new Map(data.map((member) => [member.userId, member])));
  data.forEach(keepPresence);
  if (!before || JSON.stringify([...before.values()]) !== JSON.stringify(data)) changed('members', id);
  changed('presence');
}

// Of the others in direct rooms, whose dots stand in the list; and of the rooms that are known already, who read what.
async function refreshMembers() {
  const direct = [...state.rooms.values()].filter((room) => room.kind === 'direct').slice(0, DIRECT_ROOMS);
  const wanted = new Set([...direct.map((room) => room.id), ...state.members.keys()]);
  for (const id of wanted) if (state.rooms.has(id)) await loadMembers(id).catch(unlessTransient);
}

// ---- what the server tells ---------------------------------------------------------

function onMessage({ roomId, data }) {
  const room = state.rooms.get(roomId);
  const isKnown = room && data.seq <= room.lastSeq && room.messages.has(data.seq);
  list.hear(roomId, 'message', data);
  if (!room || isKnown) return;
  const answered = room.messages.add(data);
  if (!room.isShown) room.messages.forgetFar();
  if (room.messages.isBehind && state.isCurrent) fill(room);
  room.typing.delete(data.senderId);
  if (data.senderId !== state.me.id) delivered(room);
  changed('messages', { id: roomId, message: data, changed: answered });
}

// The list of rooms may have a message that is not loaded.
function onChange(name, { roomId, data }) {
  list.hear(roomId, name, data);
  const room = state.rooms.get(roomId);
  if (!room) return;
  for (const one of room.messages.onChange(name, data)) changed('messages', { id: roomId, changed: one });
  if (name === 'chat-message-pinned') changed('pins', roomId);
}

function onDelivered({ roomId, data }) {
  const room = state.rooms.get(roomId);
  if (!room) return;
  room.deliveredSeq = Math.max(room.deliveredSeq, seqOf(data.messageId));
  changed('seen', roomId);
}

function onSeen({ userId, roomId, messageIds }) {
  const member = state.members.get(roomId)?.get(userId);
  if (member) member.lastReadSeq = Math.max(member.lastReadSeq, ...messageIds.map(seqOf));
  changed('seen', roomId);
}

// Our mark has moved, here or on another device.  One that is behind ours may be of what we told a moment ago; the last
// of them, when nothing follows and nothing waits to be told, is of a device that has marked messages as unread.
function onReadState(told) {
  const room = state.rooms.get(told.roomId);
  clearTimeout(room?.behind);
  if (!room || told.lastReadSeq >= room.lastReadSeq) list.hear(told.roomId, 'read', told);
  else room.behind = setTimeout(() => room.seen.size || holdUnread(room, told), BEHIND_MS);
}

export function holdUnread(room, told) {
  room.held = true;
  room.seen.clear();
  list.hear(room.id, 'read', told);
  changed('held', room.id);
}

async function loadBlocks() {
  const { data } = await call('listBlocks');
  state.blocks = new Set(data.map(({ id }) => id));
  changed('rooms');
}

function onBlocked({ userId, blocked }) {
  if (blocked) state.blocks.add(userId);
  else state.blocks.delete(userId);
  changed('rooms');
}

function onMembers(event) {
  const { roomId } = event;
  list.hear(roomId, 'members', event);
  if (state.members.has(roomId)) loadMembers(roomId).catch(() => {});
}

function onTyping({ roomId, userId, userName, isTyping }) {
  const room = state.rooms.get(roomId);
  if (!room) return;
  if (isTyping) room.typing.set(userId, userName);
  else room.typing.delete(userId);
  changed('typing', roomId);
}

function onNotification(note) {
  const { type, data } = note;
  if (type === 'new-message') onMessage({ roomId: data.roomId, data });
  else list.hearNotification(note);
  if (type === 'room-updated') changed('members', data.roomId); // what one can do with its messages
  if (type === 'mention' && state.rooms.has(data.roomId)) changed('mention', data);
}

// ---- coming and going ----------------------------------------------------------------

// What belongs to a connection that is lost meanwhile is left to the next one.
let connections = 0;

async function onConnect({ recovered }) {
  const mine = ++connections;
  const isLost = () => mine !== connections;
  state.online = true;
  changed('online');
  try {
    if (!recovered) {
      for (const step of [() => comeBack(isLost), catchUp]) {
        await step();
        if (isLost()) return;
      }
    }
    state.isCurrent = true;
    changed('current');
    joinLate(); // rooms that came meanwhile
    adopt();
    // Messages and receipts are given back by a recovered connection, presence is not.
    const { data: me } = await call('getMe');
    keepPresence({ ...me, userId: me.id });
    await Promise.all([refreshMembers(), loadBlocks()]);
    changed('presence');
  } catch {
    if (isLost()) return;
    socket.disconnect();
    setTimeout(() => socket.connect(), RETRY_MS);
  }
}

function onDisconnect() {
  connections += 1;
  goAway();
  state.online = false;
  state.isCurrent = false;
  for (const room of state.rooms.values()) {
    room.typing.clear();
    changed('typing', room.id);
  }
  changed('online');
}

export function startStore(me) {
  state.me = me;
  openDisk(me.id);
  startOutbox();
  loadKept().catch(() => {});
  startKeeping();
  loadRooms().catch(() => {}); // while the socket connects
  addEventListener('focus', () => state.online && adopt());
  socket.on('new-chat-message', onMessage);
  for (const name of Object.keys(changes)) socket.on(name, (event) => onChange(name, event));
  socket.on('chat-message-delivered', onDelivered);
  socket.on('messages-seen', onSeen);
  socket.on('chat-read-state', onReadState);
  socket.on('chat-room-notifications', (event) => list.hear(event.roomId, 'level', event));
  socket.on('chat-user-blocked', onBlocked);
  socket.on('chat-room-members', onMembers);
  socket.on('chat-user-typing', onTyping);
  socket.on('chat-user-status-update', (who) => {
    keepPresence(who);
    changed('presence');
  });
  socket.on('chat-notification', onNotification);
  connection.on('connected', onConnect);
  connection.on('disconnected', onDisconnect);
  connection.on('failed', () => {
    state.online = false;
    changed('online');
  });
  connection.open();
}
