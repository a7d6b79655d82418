// The line to write in, under a conversation.
import { Typing } from '../../../clients/js/src/typing.js';
import { t } from './i18n.js';
import { forget, keep } from './disk.js';
import { h, iconButton, replace } from './dom.js';
import { MentionOffer } from './mention.js';
import { send } from './outbox.js';
import { connection } from './socket.js';
import { membersOf, state } from './state.js';
import { wordsOf } from './words.js';

const KEEP_DRAFT_MS = 300;
const TALLEST_PX = 160;

// Whom one can mention besides members.
function everyone(room) {
  if (room.kind !== 'group' || (room.whoMayMentionAll !== 'members' && room.role !== 'admin')) return [];
  return [
    { username: 'all', name: t('Everyone') },
    { username: 'here', name: t('Everyone who is online') },
  ];
}

// What is not sent when it closes is there when it opens again.
export class Compose {
  // onSent() is called when something was sent.  In the thread of a message all that is written answers it.
  constructor(room, onSent, thread = null) {
    Object.assign(this, { room, onSent, thread, answered: thread });
    this.typing = new Typing((isTyping) => connection.tell('chat-typing', { roomId: room.id, isTyping }));
    this.input = h('textarea', {
      rows: 1,
      'aria-label': thread ? t('Reply in thread') : t('Message'),
      placeholder: thread ? t('Reply in thread') : t('Write a message'),
      dir: 'auto',
      maxlength: 20000,
      value: thread ? '' : (room.draft ?? ''),
    });
    this.replying = h('div', { class: 'replying', hidden: true });
    this.offer = new MentionOffer(this.input, () => [
      ...membersOf(room.id).filter((who) => who.userId !== state.me.id),
      ...everyone(room),
    ]);
    this.onHide = () => this.saveDraft();
    addEventListener('pagehide', this.onHide);
    this.input.addEventListener('input', () => this.onInput());
    this.input.addEventListener('keydown', (event) => this.onKey(event));
    this.node = h(
      'form',
      { class: 'write', onsubmit: (event) => this.submit(event) },
      this.replying,
      this.offer.node,
      h(
        'div',
        { class: 'row' },
        this.input,
        iconButton('send', t('Send'), null, { class: 'primary round', type: 'submit' }),
      ),
    );
  }

  onInput() {
    this.grow();
    this.saving ??= setTimeout(() => this.saveDraft(), KEEP_DRAFT_MS);
    this.typing.set(this.input.value !== '');
  }

  onKey(event) {
    if (this.offer.onKey(event)) return;
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) this.submit(event);
    if (event.key !== 'Escape' || this.thread) return;
    if (this.answered) event.preventDefault();
    this.replyTo(null);
  }

  focus() {
    this.grow();
    this.input.focus({ preventScroll: true });
  }

  grow() {
    this.input.style.height = 'auto';
    this.input.style.height = `${Math.min(this.input.scrollHeight + 2, TALLEST_PX)}px`;
  }

  replyTo(m) {
    if (this.thread) return;
    this.answered = m;
    this.replying.hidden = !m;
    if (!m) return;
    replace(
      this.replying,
      h(
        'span',
        { dir: 'auto' },
        t('Reply to {name}: {text}', { name: m.userName, text: wordsOf(m.content).slice(0, 80) }),
      ),
      iconButton('close', t('Cancel reply'), () => this.replyTo(null)),
    );
    this.input.focus();
  }

  submit(event) {
    event.preventDefault();
    const content = this.input.value.trim();
    if (!content) return;
    this.input.value = '';
    this.offer.hide();
    this.grow();
    this.saveDraft();
    send(this.room.id, content, this.answered ? { replyTo: this.answered.id } : {});
    this.replyTo(null);
    this.typing.set(false);
    this.onSent();
  }

  saveDraft() {
    clearTimeout(this.saving);
    this.saving = undefined;
    const { value } = this.input;
    if (this.thread) return;
    if (value === (this.room.draft ?? '')) return;
    this.room.draft = value;
    if (value.trim()) keep('drafts', value, this.room.id);
    else forget('drafts', this.room.id);
  }

  close() {
    this.saveDraft();
    removeEventListener('pagehide', this.onHide);
    this.typing.set(false);
  }
}
