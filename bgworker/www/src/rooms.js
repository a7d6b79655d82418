// The list of rooms: the newest first, with what was said last and how much is unread.
import { t } from './i18n.js';
import { avatar, briefOf, h, replace, rove } from './dom.js';
import { listen, state, title } from './state.js';

function lastTime(room) {
  return room.lastMessage?.createdAt ?? room.createdAt;
}

function isOpen(room) {
  return location.hash.startsWith('#/room/') && location.hash.split('/')[2] === room.id;
}

function snippet(room) {
  if (room.typing.size) return h('span', { class: 'typing' }, `${[...room.typing.values()].join(', ')} …`);
  if (room.draft?.trim() && !isOpen(room)) return [h('em', {}, t('Draft: ')), room.draft];
  const m = room.lastMessage;
  if (!m) return t('No messages yet');
  if (m.deletedAt) return t('Message deleted');
  const who = m.senderId === state.me.id ? t('You') : (m.userName ?? t('Unknown user'));
  return room.kind === 'direct' && m.senderId !== state.me.id ? m.content : `${who}: ${m.content}`;
}

export function dot(userId) {
  const status = state.presence.get(userId)?.status ?? 'offline';
  return h('span', { class: `dot ${status}`, title: t(status), role: 'img', 'aria-label': t(status) });
}

function badge(room) {
  const count = room.unreadCount;
  if (!count) return null;
  return h(
    'span',
    { class: 'badge', role: 'img', 'aria-label': t('{n} unread', { n: count }) },
    count > 99 ? '99+' : String(count),
  );
}

function fill(link, room) {
  const parts = [
    h(
      'span',
      { class: 'face' },
      avatar(title(room), room.peer?.id ?? room.id),
      room.kind === 'direct' && room.peer && dot(room.peer.id),
    ),
    h('span', { class: 'who', dir: 'auto' }, title(room)),
    h('time', { datetime: lastTime(room) }, briefOf(lastTime(room))),
    h('span', { class: 'snippet', dir: 'auto' }, snippet(room)),
    badge(room),
  ].filter(Boolean);
  if (isOpen(room)) link.setAttribute('aria-current', 'page');
  else link.removeAttribute('aria-current');
  const html = parts.map((part) => part.outerHTML).join('');
  if (link.innerHTML !== html) replace(link, parts);
}

// The room that is shown, or the first one.
function oneTabStop(list) {
  const links = [...list.querySelectorAll('a')];
  const stop =
    links.find((link) => link === document.activeElement) ??
    links.find((link) => link.hasAttribute('aria-current')) ??
    links.find((link) => !link.parentNode.hidden);
  for (const link of links) link.setAttribute('tabindex', link === stop ? '0' : '-1');
}

// Narrows the list by what is typed; Enter opens the first that is left.  Ctrl+K leads here from anywhere.
function filterField(list, draw) {
  const input = h('input', {
    type: 'search',
    class: 'filter',
    placeholder: t('Find a room'),
    'aria-label': t('Find a room'),
    'aria-keyshortcuts': 'Control+K',
    title: t('Find a room (Ctrl+K)'),
    autocomplete: 'off',
  });
  const links = () => [...list.querySelectorAll('li:not([hidden]) a')];
  const clear = () => {
    input.value = '';
    draw();
  };
  input.addEventListener('input', draw);
  input.addEventListener('keydown', (event) => {
    const [first] = links();
    if (event.key === 'Enter' && first) {
      location.hash = first.hash;
      clear();
    } else if (event.key === 'ArrowDown') first?.focus();
    else if (event.key === 'Escape') clear();
    else return;
    event.preventDefault();
  });
  addEventListener('keydown', (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'k') return;
    event.preventDefault();
    input.select();
    input.focus();
  });
  return input;
}

// What stays stays the same element, so that a click or the keyboard's place is not lost under a busy list.
export function roomList() {
  const list = h('ul', { class: 'rooms' });
  const filter = filterField(list, () => draw());
  rove(list, 'a');
  const items = new Map(); // room id -> li
  let planned = false;

  function draw() {
    planned = false;
    const focused = list.contains(document.activeElement) && document.activeElement;
    for (const [id, node] of items)
      if (!state.rooms.has(id)) {
        node.remove();
        items.delete(id);
      }
    const wanted = filter.value.trim().toLowerCase();
    let before = list.firstElementChild;
    for (const room of [...state.rooms.values()].sort((a, b) => lastTime(b).localeCompare(lastTime(a)))) {
      if (!items.has(room.id)) items.set(room.id, h('li', {}, h('a', { href: `#/room/${room.id}` })));
      const node = items.get(room.id);
      fill(node.firstElementChild, room);
      node.hidden = !title(room).toLowerCase().includes(wanted);
      if (node === before) before = before.nextElementSibling;
      else list.insertBefore(node, before);
    }
    oneTabStop(list);
    if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }

  const plan = () => {
    if (!planned) {
      planned = true;
      requestAnimationFrame(draw);
    }
  };
  for (const what of ['rooms', 'typing', 'presence']) listen(what, plan);
  addEventListener('hashchange', plan);
  return [filter, list];
}
