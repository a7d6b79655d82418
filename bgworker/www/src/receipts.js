// Who got and who saw what: telling it of ourselves, and knowing it of others.
import { Again } from '../../../clients/js/src/again.js';
import { isTransient } from './api.js';
import { delay } from './delay.js';
import { atMostEvery } from './frame.js';
import { list } from './list.js';
import { receipts, tellDelivered } from './messages.js';
import { emit } from './socket.js';
import { changed, membersOf, state } from './state.js';

const SEEN_AT_ONCE = 200; // of one event
const DELIVERED_IN = 20; // members up to which a receipt of delivery is worth a request
const DELIVERED_MS = 300; // between two of them, and before the first
const SEEN_MS = 1000; // between two events of a room

const isNothingToRead = (m) => m.senderId === state.me.id || Boolean(m.deletedAt);

// The first message behind the mark, as far as that is loaded.  Retention may have removed what stood at the mark.
function afterMark(room, lastReadSeq) {
  const { messages } = room;
  const { first } = messages;
  const next = messages.newer(lastReadSeq) ?? (first > lastReadSeq ? first : lastReadSeq + 1);
  return messages.get(next) ?? unreadAtEnd(room, lastReadSeq);
}

// One's own messages do not move the server's mark: all that is unread may be far behind it, at the end of the room.
function unreadAtEnd(room, lastReadSeq) {
  const unread = room.messages.run(SEEN_AT_ONCE).filter((m) => m.seq > lastReadSeq && !isNothingToRead(m));
  return unread.length >= room.unreadCount ? unread[0] : undefined;
}

// Where a reader goes on.
export function firstUnread(room) {
  return unreadAtEnd(room, room.lastReadSeq)?.seq ?? room.lastReadSeq + 1;
}

// A message is seen when it was in view while somebody looked at the page.  The mark moves only over messages that were
// seen, are one's own, or are deleted: what somebody has jumped over stays unread.
export function markSeen(room, seqs) {
  if (room.held) return;
  for (const seq of seqs) if (seq > room.lastReadSeq) room.seen.add(seq);
  let mark = room.lastReadSeq;
  const fresh = [];
  for (let m; (m = afterMark(room, mark)) && (isNothingToRead(m) || room.seen.has(m.seq)); mark = m.seq)
    if (!isNothingToRead(m)) fresh.push(m);
  if (mark === room.lastReadSeq) return;
  list.hear(room.id, 'seen', { seq: mark, fresh: fresh.map(({ seq }) => seq), isAll: mark >= room.lastSeq });
  unsaid.set(room.id, [...(unsaid.get(room.id) ?? []), ...fresh]);
  tellSoon(room.id);
}

// By room: the messages that were seen and are not told yet.  The first is told at once; in a burst they go together.
const unsaid = new Map();
const telling = new Map(); // by room, too

function tellSoon(id) {
  if (!telling.has(id))
    telling.set(
      id,
      atMostEvery(SEEN_MS, () => tellUnsaid(id)),
    );
  telling.get(id)();
}

function tellUnsaid(id) {
  const room = state.rooms.get(id);
  const messages = (unsaid.get(id) ?? []).filter((m) => room?.seen.has(m.seq)); // not marked as unread meanwhile
  unsaid.delete(id);
  for (let i = 0; i < messages.length; i += SEEN_AT_ONCE) tellSeen(room, messages.slice(i, i + SEEN_AT_ONCE));
}

// Before nobody can any more.
const tellNow = () => telling.forEach(({ now }) => now());
addEventListener('pagehide', tellNow);
document.addEventListener('visibilitychange', () => document.hidden && tellNow());

// What could not be told stays in `seen`, and is told again in a while.
const tellAgain = new Again(() => unsaid.forEach((messages, id) => tellSoon(id)));

async function tellSeen(room, messages) {
  try {
    await emit('mark-msgs-seen', { roomId: room.id, messageIds: messages.map((m) => m.id) });
    messages.forEach((m) => room.seen.delete(m.seq));
    tellAgain.stop();
  } catch (error) {
    if (isTransient(error)) unsaid.set(room.id, [...messages, ...(unsaid.get(room.id) ?? [])]);
    tellAgain.after(error);
  }
}

// Without having looked: a receipt for the last message moves the mark over all before it.
export async function markAllRead(room) {
  const last = room.messages.run(SEEN_AT_ONCE).findLast((m) => !isNothingToRead(m));
  if (!last) return;
  await emit('mark-msgs-seen', { roomId: room.id, messageIds: [last.id] });
  room.held = false;
  list.hear(room.id, 'seen', { seq: last.seq, fresh: [], isAll: true });
}

// A receipt for the last message of a room stands for those before it.  Rooms take turns, so that a burst in many of them costs no
// more requests than one in one.
const undelivered = new Set(); // ids of rooms
let delivering = false;

export function delivered(room) {
  if (room.memberCount > DELIVERED_IN) return;
  undelivered.add(room.id);
  if (!delivering) deliverAll();
}

async function deliverAll() {
  delivering = true;
  while (undelivered.size) {
    await delay(DELIVERED_MS);
    const [id] = undelivered;
    undelivered.delete(id);
    const room = state.rooms.get(id);
    if (room) await tellDelivered(room.lastMessage).catch(() => {});
  }
  delivering = false;
}

// What others got while we were not here: of our last message, which stands for those before it.
export async function loadDelivered(room) {
  const own = room.messages.run(SEEN_AT_ONCE).findLast((m) => m.senderId === state.me.id && !m.deletedAt);
  if (!own || own.seq <= room.deliveredSeq) return;
  const { data } = await receipts(own);
  if (!data.some((receipt) => receipt.userId !== state.me.id && receipt.deliveredAt)) return;
  room.deliveredSeq = Math.max(room.deliveredSeq, own.seq);
  changed('seen', room.id);
}

export function seenBy(room, message) {
  return membersOf(room.id).filter((who) => who.userId !== state.me.id && who.lastReadSeq >= message.seq);
}
