// The line to write in, under a conversation.
import { emit } from './api.js';
import { h, iconButton, replace } from './dom.js';
import { offerMentions } from './mention.js';
import { send } from './outbox.js';
import { membersOf, state } from './state.js';

const TYPING_AGAIN_MS = 1500;
const TALLEST_PX = 160;

// Result: { node, focus(), replyTo(message), close() }; onSent() is called when something was sent.
// What is not sent when it closes is there when it opens again.
export function openCompose(room, onSent) {
  const { id } = room;
  const input = h('textarea', {
    rows: 1,
    'aria-label': 'Message',
    placeholder: 'Write a message',
    dir: 'auto',
    maxlength: 20000,
    value: room.draft ?? '',
  });
  const replying = h('div', { class: 'replying', hidden: true });
  const offer = offerMentions(input, () => membersOf(id).filter((who) => who.userId !== state.me.id));
  let answered = null;
  let typingSent = 0;

  function replyTo(m) {
    answered = m;
    replying.hidden = !m;
    if (!m) return;
    replace(
      replying,
      h('span', { dir: 'auto' }, `Reply to ${m.userName}: ${m.content.slice(0, 80)}`),
      iconButton('close', 'Do not reply', () => replyTo(null)),
    );
    input.focus();
  }

  function tellTyping(isTyping) {
    if (isTyping ? Date.now() - typingSent < TYPING_AGAIN_MS : !typingSent) return;
    typingSent = isTyping ? Date.now() : 0;
    emit('chat-typing', { roomId: id, isTyping }).catch(() => {});
  }

  function grow() {
    input.style.height = 'auto';
    input.style.height = `${Math.min(input.scrollHeight + 2, TALLEST_PX)}px`;
  }

  function submit(event) {
    event.preventDefault();
    const content = input.value.trim();
    if (!content) return;
    input.value = '';
    offer.node.hidden = true;
    grow();
    send(id, content, answered ? { replyTo: answered.id } : {});
    replyTo(null);
    tellTyping(false);
    onSent();
  }

  input.addEventListener('input', () => {
    grow();
    tellTyping(input.value !== '');
  });
  input.addEventListener('keydown', (event) => {
    if (offer.onKey(event)) return;
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) submit(event);
    if (event.key === 'Escape') replyTo(null);
  });

  return {
    node: h(
      'form',
      { class: 'write', onsubmit: submit },
      replying,
      offer.node,
      h(
        'div',
        { class: 'row' },
        input,
        iconButton('send', 'Send', null, { class: 'primary round', type: 'submit' }),
      ),
    ),
    focus() {
      grow();
      input.focus({ preventScroll: true });
    },
    replyTo,
    close() {
      room.draft = input.value;
      tellTyping(false);
    },
  };
}
