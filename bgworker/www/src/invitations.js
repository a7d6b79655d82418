// Invitations to rooms, where the server lets strangers only invite (rt.may_add_users): a list with what one can answer.
import { call } from './api.js';
import { announce, ask, avatar, guarded, h, keepFocus, replace, rove } from './dom.js';
import { t } from './i18n.js';
import { list as rooms } from './list.js';
import { changed, listen, state } from './state.js';
import { socket } from './socket.js';

const AGAIN_MS = 5000;
let changes = 0; // heard of, so that a list that was overtaken by one is asked for again

const nameOf = ({ kind, roomName, invitedByName }) =>
  roomName || (kind === 'direct' ? invitedByName : null) || t('Conversation');

function forget(roomId) {
  changes += 1;
  if (state.invitations.delete(roomId)) changed('invitations');
}

async function load() {
  let seen;
  let data;
  do {
    seen = changes;
    ({ data } = await call('listInvitations'));
  } while (seen !== changes);
  state.invitations = new Map(data.map((one) => [one.roomId, one]));
  changed('invitations');
}

const loadAll = () =>
  load().catch(() => {
    setTimeout(() => state.online && loadAll(), AGAIN_MS);
  });

function words({ invitedByName }) {
  return invitedByName ? t('{name} invites you', { name: invitedByName }) : t('You are invited');
}

function onInvitation({ action, timestamp, ...invitation }) {
  if (action !== 'invited') {
    forget(invitation.roomId);
    return;
  }
  changes += 1;
  state.invitations.set(invitation.roomId, invitation);
  announce(`${words(invitation)}: ${nameOf(invitation)}`);
  changed('invitations');
}

// An invitation that was withdrawn meanwhile goes, and it is said why.
async function answer(roomId, work) {
  try {
    await work();
    forget(roomId);
  } catch (error) {
    if (error.code === 'not_found') forget(roomId);
    throw error;
  }
}

async function accept({ roomId }) {
  await answer(roomId, () => call('acceptInvitation', { params: { roomId } }));
  await rooms.ask(roomId);
  location.hash = `#/room/${roomId}`;
}

function decline(invitation) {
  const { roomId } = invitation;
  return ask(
    t('Decline the invitation to “{title}”?', { title: nameOf(invitation) }),
    {},
    t('Decline'),
    () => answer(roomId, () => call('declineInvitation', { params: { roomId } })),
    h('p', {}, t("You can't be invited to it again.")),
  );
}

function row(invitation) {
  const { roomId, invitedBy } = invitation;
  const title = nameOf(invitation);
  const button = (verb, label, className, work) =>
    h(
      'button',
      {
        type: 'button',
        class: className,
        'aria-label': label,
        'data-key': `${verb} ${roomId}`,
        onclick: () => guarded(() => work(invitation)),
      },
      verb,
    );
  return h(
    'li',
    {},
    avatar(title, invitation.kind === 'direct' ? invitedBy : roomId),
    h(
      'span',
      { class: 'grow' },
      h('span', { class: 'who', dir: 'auto' }, title),
      h('small', { dir: 'auto' }, words(invitation)),
    ),
    h(
      'span',
      { class: 'row' },
      button(t('Accept'), t('Accept the invitation to “{title}”', { title }), 'small primary', accept),
      button(t('Decline'), t('Decline the invitation to “{title}”', { title }), 'small', decline),
    ),
  );
}

export function invitationList() {
  const list = h('ul');
  const count = h('span', { class: 'badge' });
  const heading = h('h2', { id: 'invitations' }, t('Invitations'), ' ', count);
  const node = h(
    'section',
    { class: 'invitations', 'aria-labelledby': 'invitations', hidden: true },
    heading,
    list,
  );
  rove(list, 'button');

  function draw() {
    const all = [...state.invitations.values()].sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
    node.hidden = !all.length;
    count.textContent = String(all.length);
    const hadFocus = list.contains(document.activeElement);
    keepFocus(list, () => replace(list, all.map(row)));
    const buttons = [...list.querySelectorAll('button')];
    const stop = buttons.find((one) => one === document.activeElement) ?? buttons[0];
    for (const one of buttons) one.setAttribute('tabindex', one === stop ? '0' : '-1');
    if (hadFocus && !list.contains(document.activeElement)) stop?.focus();
  }

  listen('invitations', draw);
  listen('online', () => state.online && loadAll());
  socket.on('chat-room-invitation', onInvitation);
  return node;
}
