// The list of rooms: the newest first, with what was said last and how much is unread.
import { t, tn } from './i18n.js';
import { avatar, briefOf, h, replace, rove } from './dom.js';
import { icon } from './icons.js';
import { calling, isMuted, listen, state, title } from './state.js';

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

const short = (n) => (n > 99 ? '99+' : String(n));
const sign = (name, words) => h('span', { role: 'img', 'aria-label': words, title: words }, icon(name));

// Muted, mentions of us, what is unread.  What does not call for us is pale.
function badges(room) {
  const { unreadCount, mentionCount } = room;
  return h(
    'span',
    { class: 'badges' },
    room.archived && sign('archive', t('archived')),
    isMuted(room) && sign('silent', t('muted')),
    mentionCount > 0 &&
      h(
        'span',
        {
          class: `badge mentions ${isMuted(room) ? 'pale' : ''}`,
          role: 'img',
          'aria-label': tn(mentionCount, '1 mention', '{n} mentions'),
        },
        `@${short(mentionCount)}`,
      ),
    unreadCount > 0 &&
      h(
        'span',
        {
          class: `badge ${calling(room) ? '' : 'pale'}`,
          role: 'img',
          'aria-label': t('{n} unread', { n: unreadCount }),
        },
        short(unreadCount),
      ),
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
    badges(room),
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
  for (const link of links) {
    const index = link === stop ? '0' : '-1';
    if (link.getAttribute('tabindex') !== index) link.setAttribute('tabindex', index);
  }
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
  const filter = filterField(list, () => drawAll());
  rove(list, 'a');
  const items = new Map(); // room id -> li
  let stale = new Set(); // ids of rooms that have changed; null: any may have
  let planned = false;

  function order() {
    const rooms = [...state.rooms.values()].map((room) => [room.archived ? 0 : 1, lastTime(room), room]);
    rooms.sort(([a, x], [b, y]) => b - a || (x < y ? 1 : x > y ? -1 : 0));
    return rooms.map(([, , room]) => room);
  }

  function forgetGone() {
    for (const [id, node] of items)
      if (!state.rooms.has(id)) {
        node.remove();
        items.delete(id);
      }
  }

  // Once a frame, and only the rooms that have changed.
  function draw() {
    planned = false;
    const focused = list.contains(document.activeElement) && document.activeElement;
    if (!stale) forgetGone();
    const wanted = filter.value.trim().toLowerCase();
    let before = list.firstElementChild;
    for (const room of order()) {
      const isNew = !items.has(room.id);
      if (isNew) items.set(room.id, h('li', {}, h('a', { href: `#/room/${room.id}` })));
      const node = items.get(room.id);
      if (isNew || !stale || stale.has(room.id)) {
        fill(node.firstElementChild, room);
        node.hidden = !title(room).toLowerCase().includes(wanted);
      }
      if (node === before) before = before.nextElementSibling;
      else list.insertBefore(node, before);
    }
    stale = new Set();
    oneTabStop(list);
    if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }

  const drawAll = () => {
    stale = null;
    draw();
  };
  const plan = (id) => {
    if (typeof id !== 'string') stale = null;
    stale?.add(id);
    if (!planned) requestAnimationFrame(draw);
    planned = true;
  };
  for (const what of ['rooms', 'typing']) listen(what, plan);
  listen('presence', () => plan());
  addEventListener('hashchange', () => plan());
  return [filter, list];
}
