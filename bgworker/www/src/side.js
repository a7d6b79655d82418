// Beside the views: who one is, search, what can be begun, and the list of rooms.
import { call, signOut } from './api.js';
import { avatar, guarded, h, iconButton, replace } from './dom.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { invitationList } from './invitations.js';
import { meetingList } from './meetings.js';
import { dot, roomList } from './rooms.js';
import { showShortcuts } from './shortcuts.js';
import { listen, state } from './state.js';

// Loaded when somebody asks for it.
const dialog = (work) => guarded(async () => work(await import('./extras.js')));

// ---- beginning something ------------------------------------------------------------

const BEGIN = [
  ['plus', t('New room'), ({ newRoom }) => newRoom()],
  ['mail', t('Message'), ({ newDirect }) => newDirect()],
  ['camera', t('Meeting'), ({ newMeeting }) => newMeeting()],
];

export function beginButtons() {
  return h(
    'div',
    { class: 'row begin' },
    BEGIN.map(([sign, words, work]) =>
      h('button', { type: 'button', class: 'plain', onclick: () => dialog(work) }, icon(sign), words),
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
      const { data } = await call('searchMessages', { query: { q } });
      const { showHits } = await import('./extras.js');
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

// ---- oneself ------------------------------------------------------------------------

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
    {
      type: 'button',
      class: 'me',
      title: t('Your status'),
      onclick: () => dialog(({ changeStatus }) => changeStatus()),
    },
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
    invitationList(),
    meetingList(),
    ...roomList(),
  );
}
