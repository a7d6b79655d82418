// Who got and who saw what: telling it of ourselves, and knowing it of others.
import { emit } from './api.js';
import { receipts, run, tellDelivered } from './messages.js';
import { changed, membersOf, state } from './state.js';

const SEEN_AT_ONCE = 200; // whoever jumps over more than that has not seen it
const DELIVERED_IN = 20; // members up to which a receipt of delivery is worth a request
const DELIVERED_MS = 300;

export async function markSeen(id) {
  const room = state.rooms.get(id);
  if (room.lastSeq <= room.lastReadSeq && !room.unreadCount) return;
  const fresh = run(room, SEEN_AT_ONCE).filter((m) => m.seq > room.lastReadSeq && m.senderId !== state.me.id);
  if (!fresh.length) return;
  room.lastReadSeq = Math.max(...fresh.map((m) => m.seq));
  room.unreadCount = 0;
  changed('rooms');
  await emit('mark-msgs-seen', { roomId: id, messageIds: fresh.map((m) => m.id) }).catch(() => {});
}

// One receipt for all that came within a moment: what is before a delivered message is delivered too.
export function delivered(room) {
  if (room.memberCount > DELIVERED_IN) return;
  room.delivering ??= setTimeout(() => {
    room.delivering = undefined;
    tellDelivered(room.lastMessage).catch(() => {});
  }, DELIVERED_MS);
}

// What others got while we were not here: of our last message, which stands for those before it.
export async function loadDelivered(room) {
  const own = run(room, SEEN_AT_ONCE).findLast((m) => m.senderId === state.me.id && !m.deletedAt);
  if (!own || own.seq <= room.deliveredSeq) return;
  const { data } = await receipts(own);
  if (!data.some((receipt) => receipt.userId !== state.me.id && receipt.deliveredAt)) return;
  room.deliveredSeq = Math.max(room.deliveredSeq, own.seq);
  changed('seen', room.id);
}

export function seenBy(room, message) {
  return membersOf(room.id).filter((who) => who.userId !== state.me.id && who.lastReadSeq >= message.seq);
}
