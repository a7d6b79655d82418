// Beside a conversation: a thread, which is what answers one message; or what is pinned in the room.
import { bubble } from './bubble.js';
import { Compose } from './compose.js';
import { avatar, briefOf, guarded, h, iconButton, keepFocus, replace } from './dom.js';
import { t, tn } from './i18n.js';
import { pin, seqOf } from './messages.js';
import { listen, whyClosed } from './state.js';
import { Walk } from './walk.js';
import { wordsOf } from './words.js';

// What both have: a heading, a way out, and the room's events.
class Panel {
  // on: { onClose(), onJump(seq), onMore(button, message), onThread(message) }
  constructor(room, words, on) {
    Object.assign(this, { room, on, stops: [] });
    this.former = document.activeElement;
    this.body = h('div', { class: 'body' });
    this.node = h(
      'aside',
      { class: 'aside', 'aria-label': words, tabindex: '-1' },
      h('header', {}, h('h2', {}, words), iconButton('close', t('Close'), on.onClose)),
      this.body,
    );
    this.node.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !event.defaultPrevented) on.onClose();
    });
  }

  listen(what, work) {
    this.stops.push(listen(what, (detail) => (detail?.id ?? detail) === this.room.id && work(detail)));
  }

  // With the focus where it was before.
  close() {
    const hadFocus = this.node.contains(document.activeElement);
    this.stops.forEach((stop) => stop());
    this.node.remove();
    if (hadFocus && this.former?.isConnected) this.former.focus({ preventScroll: true });
  }
}

export class ThreadPanel extends Panel {
  constructor(room, m, on) {
    super(room, t('Thread'), on);
    Object.assign(this, { m, replies: new Map(), nextCursor: null, planned: false });
    this.list = h('ol', { class: 'replies', 'aria-label': t('Thread') });
    this.walk = new Walk(this.list);
    this.more = h(
      'button',
      { type: 'button', hidden: true, onclick: () => guarded(() => this.load()) },
      t('More replies'),
    );
    this.compose = new Compose(room, () => this.toEnd(), m);
    this.body.append(this.list, this.more);
    if (!whyClosed(room)) this.node.append(this.compose.node);
    this.listen('messages', (what) => this.onMessages(what));
    this.draw();
    guarded(() => this.load());
  }

  start() {
    if (this.compose.node.isConnected) this.compose.focus();
    else this.node.focus();
  }

  async load() {
    const { messages } = this.room;
    const { replies, nextCursor } = await messages.loadReplies(this.m.id, this.nextCursor);
    this.m = messages.get(this.m.seq) ?? this.m;
    for (const one of replies) this.replies.set(one.seq, one);
    this.nextCursor = nextCursor;
    this.more.hidden = !nextCursor;
    this.draw();
    this.toEnd();
  }

  // Behind what is not loaded yet nothing is shown.
  onMessages({ message, changed }) {
    const fresh = message?.replyTo === this.m.id && !this.nextCursor && this.room.messages.get(message.seq);
    if (fresh) this.replies.set(fresh.seq, fresh);
    if (changed?.seq === this.m.seq) this.m = changed;
    if (this.replies.has(changed?.seq)) this.replies.set(changed.seq, changed);
    if (!fresh && changed && changed.seq !== this.m.seq && !this.replies.has(changed.seq)) {
      if (!changed.clientId) return;
    }
    if (!this.planned) requestAnimationFrame(() => this.draw());
    this.planned = true;
  }

  // What is being sent in it.
  pending() {
    return [...this.room.pending.values()].filter(({ replyTo }) => replyTo === this.m.id);
  }

  draw() {
    this.planned = false;
    const on = {
      onReply: () => this.compose.focus(),
      onQuote: (seq) => this.on.onJump(seq),
      onMore: this.on.onMore,
    };
    const said = [...this.replies.values()].sort((a, b) => a.seq - b.seq);
    const { length } = said.filter((one) => !one.deletedAt);
    const count = Math.max(length, this.m.replyCount ?? 0);
    const { scrollHeight, scrollTop, clientHeight } = this.body;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < 40;
    keepFocus(this.list, () =>
      replace(
        this.list,
        bubble(this.room, this.m, on),
        h('li', { class: 'line' }, h('span', {}, tn(count, '1 reply', '{n} replies'))),
        [...said, ...this.pending()].map((one) => bubble(this.room, { ...one, replyTo: null }, on)),
      ),
    );
    this.walk.current = null;
    this.walk.rest();
    if (isAtEnd) this.toEnd();
  }

  toEnd() {
    this.body.scrollTop = this.body.scrollHeight;
  }

  close() {
    super.close();
    this.compose.close();
  }
}

export class PinsPanel extends Panel {
  constructor(room, on) {
    super(room, t('Pinned messages'), on);
    this.listen('pins', () => this.load());
    this.load();
  }

  start() {
    this.node.querySelector('button').focus();
  }

  load() {
    return guarded(async () => this.draw(await this.room.messages.loadPins()));
  }

  row(m) {
    const words = wordsOf(m.content) || t('Message deleted');
    return h(
      'li',
      {},
      h(
        'button',
        { type: 'button', 'data-key': m.id, onclick: () => this.on.onJump(seqOf(m.id)) },
        avatar(m.userName, m.senderId),
        h(
          'span',
          { class: 'grow' },
          h('strong', { dir: 'auto' }, m.userName ?? t('Unknown user')),
          h('span', { class: 'snippet', dir: 'auto' }, words),
        ),
        h('time', { datetime: m.createdAt }, briefOf(m.createdAt)),
      ),
      iconButton('close', t('Unpin message'), () => guarded(() => pin(m, false))),
    );
  }

  draw(pins) {
    keepFocus(this.body, () =>
      replace(
        this.body,
        pins.length
          ? h(
              'ul',
              { class: 'hits pins' },
              pins.map((m) => this.row(m)),
            )
          : h('p', { class: 'empty' }, t('Nothing is pinned in this room.')),
      ),
    );
    if (!this.node.contains(document.activeElement) && this.node.isConnected) this.start();
  }
}
