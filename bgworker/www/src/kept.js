// The rooms and the last messages as they were when somebody was last here, for each user and profile apart: what is shown until
// the server has answered, and without a network.  Signing out removes it.
import { isSignedIn } from './api.js';
import { kept } from './disk.js';
import { list } from './list.js';
import { changed, listen, state } from './state.js';

const KEEP_MS = 2000;
const MESSAGES = 50; // of a room
const ROOMS = 30; // with messages: those with the latest
let timer;
const stale = new Set(); // ids of rooms whose messages have changed

// What the server tells of a room, without what the page keeps beside it.
function plain(room) {
  const { messages, pending, typing, seen, behind, draft, isShown, ...told } = room;
  return { ...told, held: false };
}

async function keepNow() {
  timer = undefined;
  if (!isSignedIn() || !state.isCurrent) return;
  const rooms = [...state.rooms.values()];
  await kept.put('rooms', rooms.map(plain));
  const last = (room) => room.lastMessage?.createdAt ?? '';
  const recent = rooms
    .filter(({ messages }) => messages.newest !== null)
    .sort((a, b) => (last(a) < last(b) ? 1 : -1));
  for (const room of recent.slice(0, ROOMS)) {
    if (!stale.delete(room.id)) continue;
    if (isSignedIn()) await kept.put(room.id, room.messages.run(MESSAGES));
  }
}

const keepSoon = (id) => {
  if (typeof id === 'string') stale.add(id);
  timer ??= setTimeout(() => keepNow().catch(() => {}), KEEP_MS);
};

// An earlier version has kept reactions in another form.
const asNow = ({ reactions, ...m }) => ({ ...m, reactions: Array.isArray(reactions) ? reactions : [] });

// Fills the state with what was kept, unless the server was faster.
export async function loadKept() {
  const rooms = await kept.get('rooms');
  if (!rooms || state.rooms.size) return;
  const messages = await Promise.all(rooms.map(({ id }) => kept.get(id)));
  if (state.rooms.size) return;
  list.restore(rooms);
  rooms.forEach(({ id }, i) => {
    if (messages[i]?.length) state.rooms.get(id).messages.restore(messages[i].map(asNow));
  });
  changed('rooms');
}

export function startKeeping() {
  listen('messages', ({ id }) => keepSoon(id));
  listen('rooms', () => keepSoon());
}
