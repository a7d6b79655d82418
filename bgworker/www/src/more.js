// What few people need often: the menus of a room and of a message, and the settings that they lead to.
import { call } from './api.js';
import { ask, guarded, toast, whenOf } from './dom.js';
import { t } from './i18n.js';
import { openMenu } from './menu.js';
import { pin, seqOf } from './messages.js';
import { isMuted, state, title } from './state.js';
import { holdUnread } from './store.js';

const HOUR_MS = 3600_000;
const UNTIL_UNMUTED = '9999-12-31T00:00:00Z';

// ---- a message ---------------------------------------------------------------------

const mayPin = (room) => !room.archived && (room.whoMayPin !== 'admins' || room.role === 'admin');

async function markUnread(room, m) {
  room.seen.clear(); // what was not told yet must not move the mark afterwards
  const { data } = await call('setRead', { params: { roomId: room.id }, body: { seq: seqOf(m.id) - 1 } });
  holdUnread(room, data);
}

// on: { onThread(message) }
export function messageMenu(anchor, room, m, { onThread }) {
  openMenu(anchor, t('Message actions'), [
    { sign: 'talk', words: t('Open thread'), act: () => onThread(m) },
    mayPin(room) && {
      sign: 'pin',
      words: m.pinned ? t('Unpin message') : t('Pin message'),
      act: () => guarded(() => pin(m, !m.pinned)),
    },
    m.senderId !== state.me.id && {
      sign: 'unread',
      words: t('Mark as unread'),
      act: () => guarded(() => markUnread(room, m)),
    },
  ]);
}

// ---- a room ------------------------------------------------------------------------

function muteChoices({ mutedUntil }) {
  const isOn = mutedUntil && new Date(mutedUntil) > new Date();
  const isForever = isOn && new Date(mutedUntil) > new Date(Date.now() + 10_000 * 24 * HOUR_MS);
  return [
    ['', t('Not muted')],
    isOn && ['keep', isForever ? t('Muted') : t('Muted until {when}', { when: whenOf(mutedUntil) })],
    ['1', t('Mute for 1 hour')],
    ['8', t('Mute for 8 hours')],
    ['168', t('Mute for a week')],
    ['always', t('Mute until I turn it off')],
  ].filter(Boolean);
}

function mutedUntil(choice) {
  if (choice === '') return null;
  return choice === 'always' ? UNTIL_UNMUTED : new Date(Date.now() + choice * HOUR_MS).toISOString();
}

function notifications(room) {
  const now = room.notifications ?? { level: 'all', mutedUntil: null };
  const choices = muteChoices(now);
  const levels = [
    ['all', t('All messages')],
    ['mentions', t('Only mentions of me')],
    ['none', t('Nothing')],
  ];
  const isKept = choices[1][0] === 'keep';
  const fields = {
    level: { label: t('Notify me of'), options: levels, value: now.level },
    mute: { label: t('Mute'), options: choices, value: isKept ? 'keep' : '' },
  };
  return ask(
    t('Notifications of “{title}”', { title: title(room) }),
    fields,
    t('Save'),
    async ({ level, mute }) => {
      const body = mute === 'keep' ? { level } : { level, mutedUntil: mutedUntil(mute) };
      await call('setNotifications', { params: { roomId: room.id }, body });
    },
  );
}

function settings(room) {
  const who = [
    ['members', t('All members')],
    ['admins', t('Admins only')],
  ];
  const choice = (label, key) => ({ label, options: who, value: room[key] });
  const shown = [
    ['all', t('Everything')],
    ['joined', t('What comes after they joined')],
  ];
  const fields = {
    name: { label: t('Name'), value: room.name ?? '', required: true, maxlength: 100 },
    topic: { label: t('Topic'), value: room.topic ?? '', maxlength: 1000 },
    whoMayPost: choice(t('Who may write'), 'whoMayPost'),
    whoMayAdd: choice(t('Who may add members'), 'whoMayAdd'),
    whoMayPin: choice(t('Who may pin messages'), 'whoMayPin'),
    whoMayMentionAll: choice(t('Who may mention @all'), 'whoMayMentionAll'),
    history: { label: t('What new members see'), options: shown, value: room.history },
    archived: { label: t('Archived: read-only for everyone'), type: 'checkbox', checked: room.archived },
  };
  return ask(t('Settings of “{title}”', { title: title(room) }), fields, t('Save'), async (wanted) => {
    const body = { ...wanted, topic: wanted.topic || null };
    await call('changeRoom', { params: { roomId: room.id }, body });
  });
}

export async function setBlocked({ id, name }, isBlocked) {
  await call(isBlocked ? 'blockUser' : 'unblockUser', { params: { userId: id } });
  toast(isBlocked ? t('You blocked {name}.', { name }) : t('You unblocked {name}.', { name }));
}

function block(peer) {
  return ask(t('Block {name}? They can no longer write to you.', { name: peer.name }), {}, t('Block'), () =>
    setBlocked(peer, true),
  );
}

// on: { onPins() }
export function roomMenu(anchor, room, { onPins }) {
  const { peer } = room;
  const isBlocked = state.blocks.has(peer?.id);
  openMenu(anchor, t('Room actions'), [
    { sign: 'pin', words: t('Pinned messages'), act: onPins },
    {
      sign: isMuted(room) ? 'silent' : 'bell',
      words: t('Notifications'),
      act: () => notifications(room),
    },
    room.kind === 'group' &&
      room.role === 'admin' && { sign: 'gear', words: t('Room settings'), act: () => settings(room) },
    peer && {
      sign: 'block',
      words: isBlocked ? t('Unblock {name}', { name: peer.name }) : t('Block {name}', { name: peer.name }),
      act: () => (isBlocked ? guarded(() => setBlocked(peer, false)) : block(peer)),
    },
  ]);
}
