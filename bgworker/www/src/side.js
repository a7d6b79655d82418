// Beside the views: who one is, search, what can be begun, and the list of rooms.
import { findUsers, rest, signOut } from './api.js';
import { ask, avatar, briefOf, guarded, h, iconButton, openDialog, replace } from './dom.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { meetingList } from './meetings.js';
import { dot, roomList } from './rooms.js';
import { showShortcuts } from './shortcuts.js';
import { emit } from './socket.js';
import { listen, state, title } from './state.js';
import { joinRoom, loadRooms } from './store.js';

// ---- beginning something ------------------------------------------------------------

async function enter(id) {
  await loadRooms();
  await joinRoom(id);
  location.hash = `#/room/${id}`;
}

function newRoom() {
  const fields = {
    name: { label: t('Name'), required: true, maxlength: 100 },
    members: { label: t('Members (usernames, separated by commas)') },
  };
  return ask(t('New room'), fields, t('Create'), async ({ name, members }) => {
    const names = members.split(',').map((one) => one.trim());
    const memberIds = await findUsers(...names.filter(Boolean));
    const { data } = await rest('POST', '/api/chat/rooms', { kind: 'group', name, memberIds });
    await enter(data.id);
  });
}

function newDirect() {
  const fields = { who: { label: t('Username'), required: true } };
  return ask(t('New direct message'), fields, t('Open'), async ({ who }) => {
    const memberIds = await findUsers(who.trim());
    const { data } = await rest('POST', '/api/chat/rooms', { kind: 'direct', memberIds });
    await enter(data.id);
  });
}

function newMeeting() {
  const fields = {
    title: { label: t('Title'), required: true, maxlength: 200 },
    password: { label: t('Password (optional)'), maxlength: 72 },
    guests: { label: t('People with the link may join without an account'), type: 'checkbox' },
    lobby: { label: t('People wait until a host admits them'), type: 'checkbox' },
  };
  return ask(t('New meeting'), fields, t('Create'), async ({ title: name, password, guests, lobby }) => {
    const wanted = { title: name, password: password || undefined, access: 'anyone', guests, lobby };
    const { data } = await rest('POST', '/api/meetings', wanted);
    location.hash = `#/meeting/${data.id}`;
  });
}

const BEGIN = [
  ['plus', t('New room'), newRoom],
  ['mail', t('Message'), newDirect],
  ['camera', t('Meeting'), newMeeting],
];

export function beginButtons() {
  return h(
    'div',
    { class: 'row begin' },
    BEGIN.map(([sign, words, work]) =>
      h('button', { type: 'button', class: 'plain', onclick: work }, icon(sign), words),
    ),
  );
}

// ---- search -------------------------------------------------------------------------

// goTo(roomId, seq) is called for the message that somebody wants to see.
function searchForm(goTo) {
  async function search(event) {
    event.preventDefault();
    const q = new FormData(event.target).get('q').trim();
    if (!q) return;
    await guarded(async () => {
      const { data } = await rest('GET', `/api/chat/search?${new URLSearchParams({ q })}`);
      showHits(q, data, goTo);
    });
  }
  return h(
    'form',
    { class: 'search', role: 'search', onsubmit: search },
    icon('search'),
    h('input', {
      name: 'q',
      type: 'search',
      placeholder: t('Search messages'),
      'aria-label': t('Search messages'),
    }),
  );
}

function showHits(q, hits, goTo) {
  const hit = (m) => {
    const show = () => {
      dialog.close();
      goTo(m.roomId, m.seq);
    };
    return h(
      'li',
      {},
      h(
        'button',
        { type: 'button', onclick: show },
        avatar(m.userName, m.senderId),
        h(
          'span',
          { class: 'grow' },
          h('strong', { dir: 'auto' }, m.userName ?? t('Unknown user')),
          h('small', {}, ` ${t('in {title}', { title: title(state.rooms.get(m.roomId) ?? {}) })}`),
          h('span', { class: 'snippet', dir: 'auto' }, m.content),
        ),
        h('time', { datetime: m.createdAt }, briefOf(m.createdAt)),
      ),
    );
  };
  const dialog = openDialog(
    t('Results for “{q}”', { q }),
    h('h2', {}, t('Results for “{q}”', { q })),
    hits.length ? h('ul', { class: 'hits' }, hits.map(hit)) : h('p', {}, t('No results.')),
    h(
      'div',
      { class: 'row end' },
      h('button', { type: 'button', onclick: () => dialog.close() }, t('Close')),
    ),
  );
}

// ---- oneself ------------------------------------------------------------------------

function changeStatus() {
  const own = state.presence.get(state.me.id);
  const fields = {
    status: { label: t('Status'), options: ['online', 'away', 'busy'], value: own?.status },
    statusMessage: { label: t('Message (optional)'), value: own?.statusMessage ?? '', maxlength: 100 },
  };
  return ask(t('Your status'), fields, t('Save'), ({ status, statusMessage }) =>
    emit('update-chat-status', { status, statusMessage: statusMessage || null }),
  );
}

function ownLine(me) {
  const words = h('small', {});
  const face = h('span', { class: 'face' });
  function draw() {
    const { status = 'offline', statusMessage } = (state.online && state.presence.get(me.id)) || {};
    words.textContent = statusMessage || t(status);
    replace(face, avatar(me.name, me.id), dot(state.online ? me.id : ''));
  }
  listen('presence', draw);
  listen('online', draw);
  draw();
  return h(
    'button',
    { type: 'button', class: 'me', title: t('Your status'), onclick: changeStatus },
    face,
    h('span', { class: 'grow' }, h('strong', { dir: 'auto' }, me.name), words),
  );
}

export function side(me, goTo) {
  const glass = {
    class: 'icon',
    href: '#/admin',
    'aria-label': t('Administration'),
    title: t('Administration'),
  };
  return h(
    'nav',
    { class: 'side', 'aria-label': t('Rooms') },
    h('h1', { class: 'hidden' }, t('Rooms')),
    h(
      'header',
      {},
      ownLine(me),
      me.isAdmin && h('a', glass, icon('chart')),
      h(
        'a',
        { class: 'icon', href: '#/account', 'aria-label': t('Account'), title: t('Account') },
        icon('gear'),
      ),
      iconButton('keys', t('Keyboard shortcuts (?)'), showShortcuts, {
        'aria-label': t('Keyboard shortcuts'),
      }),
      iconButton('out', t('Sign out'), signOut),
    ),
    searchForm(goTo),
    beginButtons(),
    meetingList(),
    ...roomList(),
  );
}
