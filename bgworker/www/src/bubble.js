// One message as it is shown.
import { ask, h, iconButton, timeOf, toast } from './dom.js';
import { withMentions } from './mention.js';
import { discard, edit, react, remove, resend, state } from './store.js';

const EMOJI = ['👍', '❤️', '😂', '🎉', '😮'];
const guarded = (work) => work().catch((error) => toast(error.message));

function seenBy(room, m) {
  return [...(state.members.get(room.id)?.values() ?? [])].filter((who) => who.userId !== state.me.id && who.lastReadSeq >= m.seq);
}

function failure(room, m) {
  return h('span', { class: 'error' }, m.failed, ' ',
    h('button', { type: 'button', class: 'small', onclick: () => resend(room.id, m.clientId) }, 'Send again'),
    h('button', { type: 'button', class: 'small', onclick: () => discard(room.id, m.clientId) }, 'Discard'));
}

function ticks(room, m) {
  if (m.senderId !== state.me.id || m.deletedAt) return null;
  if (!m.seq) return m.failed ? failure(room, m) : h('span', { class: 'ticks', role: 'img', 'aria-label': 'sending' }, '…');
  const seen = seenBy(room, m);
  const label = seen.length ? `seen by ${seen.map((who) => who.name).join(', ')}` : room.deliveredSeq >= m.seq ? 'delivered' : 'sent';
  return h('span', { class: `ticks ${seen.length ? 'seen' : ''}`, role: 'img', 'aria-label': label, title: label }, label === 'sent' ? '✓' : '✓✓');
}

function reactions(m) {
  const given = [...m.reactions ?? []].filter(([, users]) => users.size);
  return given.length > 0 && !m.deletedAt && h('div', { class: 'reactions' }, given.map(([emoji, users]) => h('button', {
    type: 'button', 'aria-pressed': String(users.has(state.me.id)), 'aria-label': `${emoji} ${users.size}`,
    onclick: () => guarded(() => react(m, emoji, !users.has(state.me.id))),
  }, `${emoji} ${users.size}`)));
}

function quote(room, m) {
  if (!m.replyTo) return null;
  const original = room.messages.get(Number(m.replyTo.split('-').at(-1)));
  if (!original) return h('blockquote', {}, 'An earlier message');
  return h('blockquote', { dir: 'auto' }, `${original.userName ?? 'Somebody'}: ${original.deletedAt ? 'deleted' : original.content.slice(0, 200)}`);
}

async function change(m) {
  const answer = await ask('Edit the message', { content: { label: 'Text', value: m.content, required: true, rows: 4 } }, 'Save');
  if (answer && answer.content !== m.content) await guarded(() => edit(m, answer.content));
}

function tools(room, m, onReply) {
  if (!m.seq || m.deletedAt) return null;
  const own = m.senderId === state.me.id;
  return h('div', { class: 'tools' },
    EMOJI.map((emoji) => iconButton(emoji, `React with ${emoji}`, () => guarded(() => react(m, emoji, true)), { class: 'icon emoji' })),
    iconButton('reply', 'Reply', () => onReply(m)),
    own && iconButton('edit', 'Edit', () => change(m)),
    (own || room.role === 'admin') && iconButton('trash', 'Delete', () => guarded(() => remove(m))));
}

function content(room, m) {
  if (m.deletedAt) return h('p', { class: 'deleted' }, 'This message was deleted.');
  const meeting = m.metadata?.meetingId;
  const members = [...(state.members.get(room.id)?.values() ?? [])];
  return h('div', {}, quote(room, m), h('p', { class: 'text', dir: 'auto' }, withMentions(m.content, members, state.me.id)),
    meeting && /^\d+$/.test(meeting) && h('a', { class: 'button', href: `#/meeting/${meeting}` }, 'Join the meeting'));
}

export function bubble(room, m, onReply) {
  const own = m.senderId === state.me.id;
  return h('li', { class: own ? 'own' : '', 'data-seq': m.seq },
    h('div', { class: 'bubble' },
      !own && h('span', { class: 'sender', dir: 'auto' }, m.userName ?? 'Somebody'),
      content(room, m),
      h('span', { class: 'meta' }, m.editedAt && !m.deletedAt ? 'edited · ' : '', h('time', { datetime: m.createdAt }, timeOf(m.createdAt)), ticks(room, m)),
      reactions(m)),
    tools(room, m, onReply));
}
