// One message as it is shown.
import { t, tn } from './i18n.js';
import { ask, guarded, h, iconButton, openDialog, timeOf, whenOf } from './dom.js';
import { icon } from './icons.js';
import { statusOf } from './meetings.js';
import { edit, react, receipts, remove, seqOf } from './messages.js';
import { discard, resend } from './outbox.js';
import { seenBy } from './receipts.js';
import { membersOf, state } from './state.js';
import { textOf } from './text.js';
import { wordsOf } from './words.js';

const KNOWN_TYPES = new Set(['text', 'system']);
const EMOJI = ['👍', '❤️', '😂', '🎉', '😮'];

// ---- how far it has got -----------------------------------------------------------

function reach(room, m) {
  if (!m.seq) return m.accepted ? 'sent' : 'sending';
  const seen = seenBy(room, m);
  if (seen.length) return t('seen by {names}', { names: seen.map((who) => who.name).join(', ') });
  return room.deliveredSeq >= m.seq ? 'delivered' : 'sent';
}

async function showReceipts(m) {
  const { data } = await receipts(m);
  const others = data.filter((one) => one.userId !== state.me.id);
  const row = (one) =>
    h(
      'li',
      {},
      h('span', { dir: 'auto' }, one.userName),
      h(
        'small',
        {},
        one.seenAt
          ? t('seen {when}', { when: whenOf(one.seenAt) })
          : t('delivered {when}', { when: whenOf(one.deliveredAt) }),
      ),
    );
  const dialog = openDialog(
    t('Read by'),
    h('h2', {}, t('Read by')),
    others.length ? h('ul', { class: 'members' }, others.map(row)) : h('p', {}, t('No one yet.')),
    h(
      'div',
      { class: 'row end' },
      h('button', { type: 'button', class: 'primary', onclick: () => dialog.close() }, t('Close')),
    ),
  );
}

function ticks(room, m) {
  const words = reach(room, m);
  const signs = { sending: '…', sent: '✓' }[words] ?? '✓✓';
  return h(
    'button',
    {
      type: 'button',
      class: `ticks ${words.startsWith('seen') ? 'seen' : ''}`,
      'aria-label': words,
      title: words,
      disabled: !m.seq,
      onclick: () => guarded(() => showReceipts(m)),
    },
    signs,
  );
}

// Receipts come often: only the ticks are made anew, and only when they say something else.
export function refreshTicks(node, room, m) {
  const old = node.querySelector('.ticks');
  if (!old || old.title === reach(room, m)) return;
  const hadFocus = old === document.activeElement;
  const fresh = ticks(room, m);
  old.replaceWith(fresh);
  if (hadFocus) fresh.focus({ preventScroll: true });
}

function failure(room, m) {
  return h(
    'span',
    { class: 'error' },
    m.failed,
    ' ',
    h('button', { type: 'button', class: 'small', onclick: () => resend(m.clientId) }, t('Retry')),
    h('button', { type: 'button', class: 'small', onclick: () => discard(m.clientId) }, t('Discard')),
  );
}

// How many answer it, and when the last one came.
function thread(m, onThread) {
  if (!m.replyCount || m.deletedAt || !onThread) return null;
  const words = tn(m.replyCount, '1 reply', '{n} replies');
  return h(
    'button',
    { type: 'button', class: 'thread', 'data-key': `thread ${m.id}`, onclick: () => onThread(m) },
    icon('talk'),
    words,
    m.lastReplyAt && h('time', { datetime: m.lastReplyAt }, whenOf(m.lastReplyAt)),
  );
}

function meta(room, m) {
  const isOwn = m.senderId === state.me.id && !m.deletedAt;
  return h(
    'span',
    { class: 'meta' },
    m.pinned && h('span', { role: 'img', 'aria-label': t('pinned'), title: t('pinned') }, icon('pin')),
    m.editedAt && !m.deletedAt && t('edited · '),
    h('time', { datetime: m.createdAt }, timeOf(m.createdAt)),
    isOwn && (m.failed ? failure(room, m) : ticks(room, m)),
  );
}

// ---- what it says -----------------------------------------------------------------

function reactions(m) {
  if (!m.reactions?.length || m.deletedAt) return null;
  const button = ({ emoji, count, userIds }) => {
    const isMine = userIds.includes(state.me.id);
    return h(
      'button',
      {
        type: 'button',
        'aria-pressed': String(isMine),
        'aria-label': `${emoji} ${count}`,
        title: nameAll(m.roomId, userIds),
        onclick: () => guarded(() => react(m, emoji, !isMine)),
      },
      `${emoji} ${count}`,
    );
  };
  return h('div', { class: 'reactions' }, m.reactions.map(button));
}

function nameAll(roomId, userIds) {
  const members = state.members.get(roomId);
  return userIds.map((id) => members?.get(id)?.name ?? t('unknown user')).join(', ');
}

function quote(room, m, onQuote) {
  if (!m.replyTo) return null;
  const seq = seqOf(m.replyTo);
  const original = room.messages.get(seq);
  const said = original?.deletedAt
    ? t('Message deleted')
    : original && wordsOf(original.content).slice(0, 200);
  const words = original ? `${original.userName ?? t('Unknown user')}: ${said}` : t('Earlier message');
  return h(
    'button',
    { type: 'button', class: 'quote', title: t('Go to message'), dir: 'auto', onclick: () => onQuote(seq) },
    words,
  );
}

function invitation(id) {
  if (statusOf(id) === 'ended') return h('p', { class: 'deleted' }, t('This meeting has ended.'));
  return h('a', { class: 'button join', href: `#/meeting/${id}` }, t('Join meeting'));
}

function content(room, m, onQuote) {
  if (m.deletedAt) return h('p', { class: 'deleted' }, t('This message was deleted.'));
  const meeting = m.metadata?.meetingId;
  return h(
    'div',
    {},
    quote(room, m, onQuote),
    !KNOWN_TYPES.has(m.messageType ?? 'text') &&
      h(
        'p',
        { class: 'deleted' },
        t('This app can’t show messages of type “{type}”.', { type: m.messageType }).replace('’', "'"),
      ),
    m.content && textOf(m.content, membersOf(room.id), state.me.id),
    /^\d+$/.test(meeting ?? '') && invitation(meeting),
  );
}

// ---- what one can do with it --------------------------------------------------------

async function change(m) {
  const field = { label: t('Text'), value: m.content, required: true, rows: 4 };
  await ask(t('Edit message'), { content: field }, t('Save'), async ({ content: text }) => {
    if (text !== m.content) await edit(m, text);
  });
}

async function askRemove(m) {
  await ask(t('Delete this message for everyone?'), {}, t('Delete'), () => remove(m));
}

function tools(room, m, { onReply, onMore }) {
  if (!m.seq || m.deletedAt) return null;
  const isOwn = m.senderId === state.me.id;
  const emoji = (sign) =>
    iconButton(sign, t('React with {sign}', { sign }), () => guarded(() => react(m, sign, true)), {
      class: 'icon emoji',
    });
  const isOpen = !room.archived;
  return h(
    'div',
    { class: 'tools', role: 'group', 'aria-label': t('Message actions') },
    isOpen && EMOJI.map(emoji),
    isOpen && iconButton('reply', t('Reply'), () => onReply(m)),
    isOpen && isOwn && iconButton('edit', t('Edit'), () => change(m)),
    isOpen && (isOwn || room.role === 'admin') && iconButton('trash', t('Delete'), () => askRemove(m)),
    iconButton('more', t('More'), ({ currentTarget }) => onMore(currentTarget, m), {
      'data-key': `more ${m.id}`,
    }),
  );
}

// What the application itself tells: centred, without tools.
function systemLine(room, m) {
  return h(
    'li',
    { class: 'message system', 'data-seq': m.seq, tabindex: '-1' },
    textOf(m.content, membersOf(room.id), state.me.id),
    h('time', { datetime: m.createdAt }, timeOf(m.createdAt)),
  );
}

// Nothing in a message is a tab stop until somebody is at the message.
function outOfTheWay(node) {
  node.querySelectorAll('a, button').forEach((part) => part.setAttribute('tabindex', '-1'));
  return node;
}

// on: { onReply(message), onQuote(number), onMore(button, message), onThread(message)? }: what somebody wants to answer, to see
// quoted, to do besides, and whose thread to see.
export function bubble(room, m, on) {
  return outOfTheWay(m.messageType === 'system' && !m.deletedAt ? systemLine(room, m) : said(room, m, on));
}

function said(room, m, on) {
  const isOwn = m.senderId === state.me.id;
  const isEmoji =
    !m.deletedAt &&
    !m.replyTo &&
    /^\p{Extended_Pictographic}(?:\p{Extended_Pictographic}|\p{M}|\u200d|\s){0,12}$/u.test(m.content);
  return h(
    'li',
    { class: `message ${isOwn ? 'own' : ''}`, 'data-seq': m.seq, tabindex: '-1' },
    h(
      'div',
      { class: `bubble ${isEmoji ? 'emoji-only' : ''}` },
      !isOwn && h('span', { class: 'sender', dir: 'auto' }, m.userName ?? t('Unknown user')),
      content(room, m, on.onQuote),
      meta(room, m),
      reactions(m),
      thread(m, on.onThread),
    ),
    tools(room, m, on),
  );
}
