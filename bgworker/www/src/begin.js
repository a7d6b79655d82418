// The dialogs that begin something: a room, a conversation, a meeting; what a search has found; one's status.
import { call, findUsers } from './api.js';
import { ask, avatar, briefOf, h, openDialog, toast } from './dom.js';
import { t, tn } from './i18n.js';
import { list } from './list.js';
import { emit } from './socket.js';
import { state, title } from './state.js';
import { wordsOf } from './words.js';

// ---- beginning something ------------------------------------------------------------

async function enter(id) {
  await list.ask(id);
  location.hash = `#/room/${id}`;
}

// Whom the server lets us only invite becomes a member later.
export function tellInvited({ invited = [] }) {
  if (invited.length)
    toast(
      tn(
        invited.length,
        '1 person was invited, and is a member once they accept.',
        '{n} people were invited, and are members once they accept.',
      ),
    );
}

export function newRoom() {
  const fields = {
    name: { label: t('Name'), required: true, maxlength: 100 },
    members: { label: t('Members (usernames, separated by commas)') },
  };
  return ask(t('New room'), fields, t('Create'), async ({ name, members }) => {
    const names = members.split(',').map((one) => one.trim());
    const memberIds = await findUsers(...names.filter(Boolean));
    const made = await call('createRoom', { body: { kind: 'group', name, memberIds } });
    await enter(made.data.id);
    tellInvited(made);
  });
}

export function newDirect() {
  const fields = { who: { label: t('Username'), required: true } };
  return ask(t('New direct message'), fields, t('Open'), async ({ who }) => {
    const memberIds = await findUsers(who.trim());
    const made = await call('createRoom', { body: { kind: 'direct', memberIds } });
    await enter(made.data.id);
    tellInvited(made);
  });
}

export function newMeeting() {
  const fields = {
    title: { label: t('Title'), required: true, maxlength: 200 },
    password: { label: t('Password (optional)'), maxlength: 72 },
    guests: { label: t('People with the link may join without an account'), type: 'checkbox' },
    lobby: { label: t('People wait until a host admits them'), type: 'checkbox' },
  };
  return ask(t('New meeting'), fields, t('Create'), async ({ title: name, password, guests, lobby }) => {
    const wanted = { title: name, password: password || undefined, access: 'anyone', guests, lobby };
    const { data } = await call('createMeeting', { body: wanted });
    location.hash = `#/meeting/${data.id}`;
  });
}

// ---- what was found -----------------------------------------------------------------

export function showHits(q, hits, goTo) {
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
          h('span', { class: 'snippet', dir: 'auto' }, wordsOf(m.content)),
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

export function changeStatus() {
  const own = state.presence.get(state.me.id);
  const fields = {
    status: { label: t('Status'), options: ['online', 'away', 'busy'], value: own?.status },
    statusMessage: { label: t('Message (optional)'), value: own?.statusMessage ?? '', maxlength: 100 },
  };
  return ask(t('Your status'), fields, t('Save'), ({ status, statusMessage }) =>
    emit('update-chat-status', { status, statusMessage: statusMessage || null }),
  );
}
