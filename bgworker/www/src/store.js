// Rooms, members and presence, and what the server tells: the wire's events come in here alone.
import { t } from './i18n.js';
import { all, call, isTransient, session } from './api.js';
import { loadDrafts, openDisk } from './disk.js';
import { catchUp, changes, emptyRoom, fill, renew, seqOf } from './messages.js';
import { loadKept, startKeeping } from './kept.js';
import { adopt, startOutbox } from './outbox.js';
import { delivered } from './receipts.js';
import { connection, emit, socket } from './socket.js';
import { changed, state, title } from './state.js';

const DIRECT_ROOMS = 30; // whose members' presence is asked for at the start
const RETRY_MS = 2000;
const MOST_TRIES = 5;
const BEHIND_MS = 400; // how long what we have told may take to come back

// ---- rooms, members, presence ------------------------------------------------------

// The list of rooms as the server has it, and not as it was kept from last time.
let firstRooms = null;
export const roomsKnown = () => firstRooms;

let drafts = null; // as they were on the disk when the page began

// For each list of rooms that is on its way: the ids of rooms that a message has come for.  The list may lack such a room: it is
// new, or the message has moved it to a page that we have already.
const underWay = new Set();

function takeRooms(data) {
  for (const room of data) {
    const known = state.rooms.get(room.id);
    if (known) renewRoom(known, room);
    else state.rooms.set(room.id, emptyRoom(room));
  }
  for (const [id, draft] of drafts) if (state.rooms.has(id)) state.rooms.get(id).draft ??= draft;
  changed('rooms');
}

// Each page is shown as it comes: the room that is open need not wait for the others.
async function loadList(heard) {
  const seen = new Set();
  heard.clear();
  for await (const page of session.pages('listRooms')) {
    drafts ??= await loadDrafts();
    for (const { id } of page) seen.add(id);
    takeRooms(page);
  }
  return seen;
}

export async function loadRooms() {
  const heard = new Set();
  underWay.add(heard);
  try {
    let seen = await loadList(heard);
    const isLate = () => [...heard].some((id) => !seen.has(id));
    for (let tries = 1; isLate() && tries < MOST_TRIES; tries++) seen = await loadList(heard);
    for (const id of state.rooms.keys()) {
      if (seen.has(id) || heard.has(id)) continue;
      state.rooms.delete(id);
      changed('room-gone', { id, words: '' });
    }
  } finally {
    underWay.delete(heard);
  }
  changed('rooms');
}

// What is refused for good leaves the others as they are; anything else is tried again with the next connection.
const unlessTransient = (error) => {
  if (isTransient(error)) throw error;
  return null;
};

// A message may have overtaken the list, which then lacks it.
function renewRoom(known, told) {
  const { lastSeq, lastMessage } = known;
  Object.assign(known, told, { counted: told.lastSeq });
  if (lastSeq <= told.lastSeq) return;
  Object.assign(known, { lastSeq, lastMessage });
  takeReadState(known, told);
}

export async function joinRoom(id) {
  await emit('join-chat-rooms', { roomIds: [id] }).catch(() => {});
}

// Another epoch is another server's history: it may lack messages that we hold, and has given their numbers to others.
async function joinAll() {
  const roomIds = [...state.rooms.keys()];
  if (!roomIds.length) return;
  const answer = await emit('join-chat-rooms', { roomIds }).catch(unlessTransient);
  if (!answer?.epoch) return;
  if (state.epoch && state.epoch !== answer.epoch) {
    await renew();
    await loadRooms();
  }
  state.epoch = answer.epoch;
}

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
  for (const heard of underWay) heard.add(roomId);
  if (!room || (data.seq <= room.lastSeq && room.messages.has(data.seq))) return;
  const answered = room.messages.add(data);
  if (!room.isShown) room.messages.forgetFar();
  if (room.messages.isBehind && state.isCurrent) fill(room);
  room.lastSeq = Math.max(room.lastSeq, data.seq);
  room.lastMessage = data;
  room.typing.delete(data.senderId);
  if (data.senderId !== state.me.id) {
    if (data.seq > room.counted) room.unreadCount += 1;
    delivered(room);
  }
  changed('messages', { id: roomId, message: data, changed: answered });
  changed('rooms', roomId);
}

// The list of rooms may have a message that is not loaded.
function onChange(name, { roomId, data }) {
  const room = state.rooms.get(roomId);
  if (!room) return;
  const isLast = room.lastMessage?.id === data.messageId;
  const [message, ...others] = room.messages.onChange(name, data);
  if (isLast) room.lastMessage = message ?? { ...room.lastMessage, ...changes[name](room.lastMessage, data) };
  for (const one of [message, ...others]) if (one) changed('messages', { id: roomId, changed: one });
  if (isLast) changed('rooms', roomId);
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
  if (!room) return;
  clearTimeout(room.behind);
  if (told.lastReadSeq >= room.lastReadSeq) takeReadState(room, told);
  else room.behind = setTimeout(() => room.seen.size || holdUnread(room, told), BEHIND_MS);
}

// What came behind the last message that the server has counted is counted here.
export function takeReadState(room, { lastReadSeq, unreadCount, mentionCount, lastSeq }) {
  Object.assign(room, { lastReadSeq, unreadCount, mentionCount, counted: lastSeq });
  for (let seq = Math.max(lastSeq, lastReadSeq) + 1; seq <= room.lastSeq; seq++) {
    const m = room.messages.get(seq);
    if (m && m.senderId !== state.me.id && !m.deletedAt) room.unreadCount += 1;
  }
  for (const seq of room.mentioned)
    if (seq > lastSeq) room.mentionCount += 1;
    else room.mentioned.delete(seq);
  changed('rooms', room.id);
}

export function holdUnread(room, told) {
  room.held = true;
  room.seen.clear();
  takeReadState(room, told);
  changed('held', room.id);
}

function onMention({ roomId, seq, ...more }) {
  const room = state.rooms.get(roomId);
  if (!room) return;
  if (seq > Math.max(room.counted, room.lastReadSeq) && !room.mentioned.has(seq)) {
    room.mentioned.add(seq);
    room.mentionCount += 1;
    changed('rooms', roomId);
  }
  changed('mention', { roomId, seq, ...more });
}

function onLevel({ roomId, level, mutedUntil }) {
  const room = state.rooms.get(roomId);
  if (room) room.notifications = { level, mutedUntil };
  changed('rooms', roomId);
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

function onMembers({ roomId, memberCount }) {
  const room = state.rooms.get(roomId);
  if (!room) return;
  room.memberCount = memberCount;
  changed('rooms', roomId);
  if (state.members.has(roomId)) loadMembers(roomId).catch(() => {});
}

function onTyping({ roomId, userId, userName, isTyping }) {
  const room = state.rooms.get(roomId);
  if (!room) return;
  if (isTyping) room.typing.set(userId, userName);
  else room.typing.delete(userId);
  changed('typing', roomId);
}

// Whoever leaves, or deletes, knows it.
function whyGone(type, name, by) {
  if (by === state.me.id) return '';
  return type === 'room-deleted'
    ? t('The room “{name}” was deleted.', { name })
    : t('You were removed from “{name}”.', { name });
}

async function onNotification({ type, data }) {
  if (type === 'room-removed' || type === 'room-deleted') {
    const room = state.rooms.get(data.roomId);
    state.rooms.delete(data.roomId);
    changed('rooms');
    changed('room-gone', { id: data.roomId, words: room && whyGone(type, title(room), data.by) });
  } else if (type === 'room-updated') {
    const { id, name, topic, archived, whoMayPost, whoMayAdd, whoMayPin, whoMayMentionAll, history } = data;
    const settings = { name, topic, archived, whoMayPost, whoMayAdd, whoMayPin, whoMayMentionAll, history };
    if (state.rooms.has(id)) Object.assign(state.rooms.get(id), settings);
    changed('rooms', id);
    changed('members', id); // what one can do with its messages
  } else if (type === 'room-added') {
    await loadRooms();
    await joinRoom(data.roomId);
  } else if (type === 'mention') {
    onMention(data);
  } else if (type === 'new-message') {
    onMessage({ roomId: data.roomId, data });
  }
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
      firstRooms = loadRooms();
      for (const step of [() => firstRooms, joinAll, catchUp]) {
        await step();
        if (isLost()) return;
      }
    }
    state.isCurrent = true;
    changed('current');
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
  firstRooms = loadRooms(); // while the socket connects
  firstRooms.catch(() => {});
  addEventListener('focus', () => state.online && adopt());
  socket.on('new-chat-message', onMessage);
  for (const name of Object.keys(changes)) socket.on(name, (event) => onChange(name, event));
  socket.on('chat-message-delivered', onDelivered);
  socket.on('messages-seen', onSeen);
  socket.on('chat-read-state', onReadState);
  socket.on('chat-room-notifications', onLevel);
  socket.on('chat-user-blocked', onBlocked);
  socket.on('chat-room-members', onMembers);
  socket.on('chat-user-typing', onTyping);
  socket.on('chat-user-status-update', (who) => {
    keepPresence(who);
    changed('presence');
  });
  socket.on('chat-notification', (note) => {
    onNotification(note).catch(() => {});
  });
  connection.on('connected', onConnect);
  connection.on('disconnected', onDisconnect);
  connection.on('failed', () => {
    state.online = false;
    changed('online');
  });
  connection.open();
}
