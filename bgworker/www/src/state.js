// What the page knows, and how views hear that it has changed.
import { t } from './i18n.js';

const bus = new EventTarget();

// isCurrent: nothing that happened while we were offline is still missing.
export const state = {
  me: null,
  rooms: new Map(),
  members: new Map(),
  meetings: new Map(),
  online: false,
  isCurrent: false,
  presence: new Map(),
  epoch: null, // of what is loaded
};

export function changed(what, detail) {
  bus.dispatchEvent(new CustomEvent(what, { detail }));
}

// The result stops it.
export function listen(what, handler) {
  const on = (event) => handler(event.detail);
  bus.addEventListener(what, on);
  return () => bus.removeEventListener(what, on);
}

export function title(room) {
  return room.name || room.peer?.name || t('Conversation');
}

export function membersOf(roomId) {
  return [...(state.members.get(roomId)?.values() ?? [])];
}

// Whether somebody looks at the page.
export function isInFront() {
  return !document.hidden && document.hasFocus();
}
