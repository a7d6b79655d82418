// The list of rooms: the newest first, with what was said last and how much is unread.
import { t, tn } from './i18n.js';
import { avatar, briefOf, h, replace, rove } from './dom.js';
import { atMostEvery, nextFrame, setText } from './frame.js';
import { icon } from './icons.js';
import { calling, isMuted, listen, state, title } from './state.js';
import { wordsOf } from './words.js';

const AGAIN_MS = 200; // in a burst of messages the list is drawn so often

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
  const said = wordsOf(m.content);
  return room.kind === 'direct' && m.senderId !== state.me.id ? said : `${who}: ${said}`;
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
  return [
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
  ];
}

// A room's line in the list.  It is made once; draw() writes what has changed.
class Row {
  constructor({ id }) {
    this.face = h('span', { class: 'face' });
    this.who = h('span', { class: 'who', dir: 'auto' });
    this.time = h('time');
    this.snippet = h('span', { class: 'snippet', dir: 'auto' });
    this.badges = h('span', { class: 'badges' });
    this.link = h('a', { href: `#/room/${id}` }, this.face, this.who, this.time, this.snippet, this.badges);
    this.node = h('li', {}, this.link);
    this.drawn = {}; // by part: what it was made of
  }

  // Whether a part has to be made anew.
  isStale(part, ...of) {
    const key = of.join('\n');
    if (this.drawn[part] === key) return false;
    this.drawn[part] = key;
    return true;
  }

  draw(room) {
    const isCurrent = isOpen(room);
    if (this.isStale('link', isCurrent)) {
      if (isCurrent) this.link.setAttribute('aria-current', 'page');
      else this.link.removeAttribute('aria-current');
    }
    this.drawFace(room);
    setText(this.who, title(room));
    const last = lastTime(room);
    setText(this.time, briefOf(last));
    if (this.isStale('time', last)) this.time.setAttribute('datetime', last);
    this.drawSnippet(room);
    const { archived, unreadCount, mentionCount } = room;
    if (this.isStale('badges', archived, isMuted(room), calling(room) > 0, unreadCount, mentionCount))
      replace(this.badges, badges(room));
  }

  drawFace(room) {
    const { peer } = room;
    const hasDot = room.kind === 'direct' && peer;
    if (!this.isStale('face', title(room), hasDot && (state.presence.get(peer.id)?.status ?? 'offline')))
      return;
    replace(this.face, avatar(title(room), peer?.id ?? room.id), hasDot && dot(peer.id));
  }

  drawSnippet(room) {
    const what = snippet(room);
    if (typeof what === 'string' && !this.snippet.firstElementChild) setText(this.snippet, what);
    else replace(this.snippet, what);
  }
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
  const rows = new Map(); // by room id
  let stale = new Set(); // ids of rooms that have changed; null: any may have

  function order() {
    const rooms = [...state.rooms.values()].map((room) => [room.archived ? 0 : 1, lastTime(room), room]);
    rooms.sort(([a, x], [b, y]) => b - a || (x < y ? 1 : x > y ? -1 : 0));
    return rooms.map(([, , room]) => room);
  }

  function forgetGone() {
    for (const [id, { node }] of rows)
      if (!state.rooms.has(id)) {
        node.remove();
        rows.delete(id);
      }
  }

  // Only the rooms that have changed.
  function draw() {
    const focused = list.contains(document.activeElement) && document.activeElement;
    if (!stale) forgetGone();
    const wanted = filter.value.trim().toLowerCase();
    let before = list.firstElementChild;
    for (const room of order()) {
      const isNew = !rows.has(room.id);
      if (isNew) rows.set(room.id, new Row(room));
      const row = rows.get(room.id);
      if (isNew || !stale || stale.has(room.id)) {
        row.draw(room);
        row.node.hidden = !title(room).toLowerCase().includes(wanted);
      }
      if (row.node === before) before = before.nextElementSibling;
      else list.insertBefore(row.node, before);
    }
    stale = new Set();
    oneTabStop(list);
    if (focused && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }

  const drawAll = () => {
    stale = null;
    draw();
  };
  const drawSoon = atMostEvery(AGAIN_MS, () => nextFrame(draw));
  const plan = (id) => {
    if (typeof id !== 'string') stale = null;
    stale?.add(id);
    drawSoon();
  };
  for (const what of ['rooms', 'typing']) listen(what, plan);
  listen('presence', () => plan());
  addEventListener('hashchange', () => {
    stale = null;
    nextFrame(draw);
  });
  return [filter, list];
}
