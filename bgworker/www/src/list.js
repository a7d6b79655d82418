// The list of rooms: the kit's RoomList, and what the page adds: drafts, and being in the rooms.
import { Again } from '../../../clients/js/src/again.js';
import { RoomList } from '../../../clients/js/src/roomlist.js';
import { call, isTransient, session } from './api.js';
import { loadDrafts } from './disk.js';
import { t } from './i18n.js';
import { emptyRoom, renew } from './messages.js';
import { emit } from './socket.js';
import { changed, state, title } from './state.js';

const JOIN_MS = 5; // rooms that come together are joined together

let drafts = null; // as they were on the disk when the page began

// Each page is shown as it comes: the room that is open need not wait for the others.
async function* pages(name) {
  for await (const page of session.pages(name)) {
    if (!drafts) {
      drafts = new Map(await loadDrafts());
      for (const room of state.rooms.values()) room.draft ??= drafts.get(room.id);
    }
    yield page;
  }
}

// Whoever leaves, or deletes, knows it.
function whyGone(room, { type, by }) {
  if (by === state.me.id) return '';
  return type === 'room-deleted'
    ? t('The room “{name}” was deleted.', { name: title(room) })
    : t('You were removed from “{name}”.', { name: title(room) });
}

function make(told) {
  if (state.isCurrent) joining ??= setTimeout(joinLate, JOIN_MS);
  return { ...emptyRoom(told), draft: drafts?.get(told.id) };
}

function removed(room, event) {
  joined.delete(room.id);
  changed('rooms');
  changed('room-gone', { id: room.id, words: event ? whyGone(room, event) : '' });
}

export const list = new RoomList({
  rooms: state.rooms,
  call,
  pages,
  me: () => state.me.id,
  make,
  changed: (id) => changed('rooms', id),
  removed,
});

// As the server has it, and not as it was kept from last time.
let firstRooms = null;
export const roomsKnown = () => firstRooms;

export function loadRooms() {
  firstRooms = list.load();
  return firstRooms;
}

// ---- being in the rooms --------------------------------------------------------------

const joined = new Set(); // ids of the rooms that the socket is in
const joinAgain = new Again(() => joinLate());
let joining; // the timer

// Result: the ids of the rooms that the socket has come into.  Of another epoch is another server's history: it may lack messages
// that we hold, and has given their numbers to others.
async function join() {
  const roomIds = [...state.rooms.keys()].filter((id) => !joined.has(id));
  if (!roomIds.length) return [];
  const { epoch } = await emit('join-chat-rooms', { roomIds });
  for (const id of roomIds) joined.add(id);
  if (state.epoch && state.epoch !== epoch) {
    list.forget();
    await renew();
  }
  state.epoch = epoch;
  return roomIds;
}

// Rooms that have come since.  They are asked for again: until the socket was in them it was not told of all that changes.
export async function joinLate() {
  joining = undefined;
  try {
    for (const id of await join()) list.askSoon(id);
    joinAgain.stop();
  } catch (error) {
    if (state.online) joinAgain.after(error);
  }
}

// What is refused for good leaves the others as they are: it is of a room that we are in no more.
const unlessTransient = (error) => {
  if (isTransient(error)) throw error;
};

// With a connection that was not recovered.  First into the rooms that are known, so that the list misses nothing of them.
export async function comeBack(isLost) {
  joined.clear();
  await firstRooms.catch(() => {});
  await join().catch(unlessTransient);
  if (isLost()) return;
  await loadRooms();
  if (!isLost()) await join().catch(unlessTransient);
}

export function goAway() {
  clearTimeout(joining);
  joining = undefined;
  joinAgain.stop();
}
