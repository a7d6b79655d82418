// The list of rooms: the newest first, with what was said last and how much is unread.
import { h, initials, replace, timeOf } from './dom.js';
import { listen, state, title } from './store.js';

function lastTime(room) {
  return room.lastMessage?.createdAt ?? room.createdAt;
}

function snippet(room) {
  if (room.typing.size) return h('span', { class: 'typing' }, `${[...room.typing.values()].join(', ')} …`);
  const m = room.lastMessage;
  if (!m) return 'Nothing was said yet';
  return m.deletedAt ? 'A message was deleted' : `${m.senderId === state.me.id ? 'You' : m.userName ?? 'Somebody'}: ${m.content}`;
}

export function dot(userId) {
  const status = state.presence.get(userId)?.status ?? 'offline';
  return h('span', { class: `dot ${status}`, title: status, role: 'img', 'aria-label': status });
}

function item(room) {
  const current = location.hash === `#/room/${room.id}`;
  return h('li', {}, h('a', { href: `#/room/${room.id}`, 'aria-current': current ? 'page' : undefined },
    h('span', { class: 'avatar', 'aria-hidden': 'true' }, initials(title(room))),
    h('span', { class: 'who', dir: 'auto' }, title(room), room.kind === 'direct' && room.peer && dot(room.peer.id)),
    h('time', { datetime: lastTime(room) }, timeOf(lastTime(room))),
    h('span', { class: 'snippet', dir: 'auto' }, snippet(room)),
    room.unreadCount > 0 && h('span', { class: 'badge', 'aria-label': `${room.unreadCount} unread` }, room.unreadCount > 99 ? '99+' : String(room.unreadCount))));
}

export function roomList() {
  const list = h('ul', { class: 'rooms' });
  let planned = false;
  const draw = () => {
    planned = false;
    const rooms = [...state.rooms.values()].sort((a, b) => lastTime(b).localeCompare(lastTime(a)));
    replace(list, rooms.map(item));
  };
  const plan = () => { if (!planned) { planned = true; requestAnimationFrame(draw); } };
  for (const what of ['rooms', 'typing', 'presence']) listen(what, plan);
  addEventListener('hashchange', plan);
  return list;
}
