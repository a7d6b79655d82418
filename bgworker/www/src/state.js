// What the page knows, and how views hear that it has changed.
import { t } from './i18n.js';

const listeners = new Map(); // by what has changed

// isCurrent: nothing that happened while we were offline is still missing.
export const state = {
  me: null,
  rooms: new Map(),
  members: new Map(),
  meetings: new Map(),
  invitations: new Map(), // by the id of their room
  online: false,
  isCurrent: false,
  presence: new Map(),
  epoch: null, // of what is loaded
  blocks: new Set(), // ids of users
};

// One listener's failure is not the others'.
export function changed(what, detail) {
  for (const handler of [...(listeners.get(what) ?? [])]) {
    try {
      handler(detail);
    } catch (error) {
      reportError(error);
    }
  }
}

// The result stops it.
export function listen(what, handler) {
  const entry = (detail) => handler(detail); // the same handler may listen twice
  if (!listeners.has(what)) listeners.set(what, new Set());
  listeners.get(what).add(entry);
  return () => listeners.get(what).delete(entry);
}

export function title(room) {
  return room.name || room.peer?.name || t('Conversation');
}

export function membersOf(roomId) {
  return [...(state.members.get(roomId)?.values() ?? [])];
}

export function isMuted({ notifications: { level, mutedUntil } = {} }) {
  return level === 'none' || (Boolean(mutedUntil) && new Date(mutedUntil) > new Date());
}

// How many messages of a room call for us.
export function calling(room) {
  if (isMuted(room)) return 0;
  return room.notifications?.level === 'mentions' ? room.mentionCount : room.unreadCount;
}

// Why one cannot write in a room; '' if one can.
export function whyClosed(room) {
  if (room.archived) return t('This room is archived. Nobody can write in it.');
  if (room.whoMayPost === 'admins' && room.role !== 'admin') return t('Only admins can write in this room.');
  if (state.blocks.has(room.peer?.id)) return t('You blocked {name}.', { name: title(room) });
  return '';
}

// Whether somebody looks at the page.
export function isInFront() {
  return !document.hidden && document.hasFocus();
}
