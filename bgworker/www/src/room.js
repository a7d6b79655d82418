// One conversation: its heading, its messages, and the line to write in.
import { t, tn } from './i18n.js';
import { call } from './api.js';
import { Compose } from './compose.js';
import { announce, avatar, backLink, guarded, h, iconButton, replace } from './dom.js';
import { nextFrame, setText } from './frame.js';
import { History } from './history.js';
import { roomsKnown } from './list.js';
import { lastSeen } from './presence.js';
import { loadLatest } from './messages.js';
import { send } from './outbox.js';
import { loadDelivered, markAllRead, markSeen } from './receipts.js';
import { isInFront, listen, state, title, whyClosed } from './state.js';
import { loadMembers } from './store.js';
import { wordsOf } from './words.js';

const RETRY_MS = 2000;
const NARROW = '(max-width: 64rem)'; // as in chat.css

// What few people need is loaded when they do.
const later = (loading, work) => guarded(async () => work(await loading));

export function whoTypes(names) {
  if (!names.length) return '';
  return tn(names.length, '{names} is typing…', '{names} are typing…', { names: names.join(', ') });
}

export class RoomView {
  constructor(view, id) {
    this.id = id;
    this.room = state.rooms.get(id);
    this.stale = new Map(); // messages that were changed since the last drawing, by number or clientId
    this.tail = null; // the newest message while somebody watches the end
    this.isPlaced = false; // until it was opened at the first unread message
    this.compose = new Compose(this.room, () => this.history.toNewest());
    this.panel = null; // a thread, or what is pinned
    this.room.held = false;
    this.room.isShown = true;
    this.isOpen = true;
    this.history = new History(this.room, {
      ...this.actions(),
      onView: () => {
        this.see();
        this.drawUnread();
      },
    });
    this.heading = h('h1', { dir: 'auto' });
    this.under = h('p', { class: 'under' });
    this.unread = h(
      'div',
      { class: 'unread', hidden: true },
      h('span', {}),
      h('button', { type: 'button', class: 'small', onclick: () => this.readAll() }, t('Mark as read')),
    );
    this.typing = h('p', { class: 'typing', role: 'status' });
    this.history.node.prepend(this.unread);
    this.closed = h('p', { class: 'closed', hidden: true });
    this.view = view;
    this.jobs = {
      draw: () => this.draw(),
      heading: () => this.drawHeading(),
      ticks: () => this.history.refreshTicks(),
    };
    this.listen();
    this.show();
    this.loadAgain();
  }

  actions() {
    return {
      onReply: (m) => this.compose.replyTo(m),
      onThread: (m) => this.openThread(m),
      onMore: (button, m) =>
        later(import('./extras.js'), ({ messageMenu }) =>
          messageMenu(button, this.room, m, { onThread: () => this.openThread(m) }),
        ),
    };
  }

  listen() {
    const ours = (handle) => (what) => {
      if ((what?.id ?? what) === this.id) handle(what);
    };
    this.stops = [
      listen(
        'messages',
        ours((what) => this.onMessages(what)),
      ),
      listen(
        'seen',
        ours(() => nextFrame(this.jobs.ticks)),
      ),
      listen(
        'members',
        ours(() => this.history.redrawAll()),
      ),
      listen(
        'typing',
        ours(() => this.drawTyping()),
      ),
      listen('rooms', (id) => (!id || id === this.id) && nextFrame(this.jobs.heading)),
      listen('current', () => this.isPlaced || this.loadAgain()),
      listen(
        'renewed',
        ours(() => this.history.redrawAll()),
      ),
      listen(
        'held',
        ours(() => this.history.showUnreadFrom(this.room.lastReadSeq + 1)),
      ),
      listen('meetings', (meeting) => this.history.redrawMeeting(meeting)),
      listen('presence', () => nextFrame(this.jobs.heading)),
    ];
    this.onLook = () => this.see();
    addEventListener('focus', this.onLook);
    document.addEventListener('visibilitychange', this.onLook);
  }

  show() {
    const { room } = this;
    replace(
      this.view,
      h(
        'header',
        { class: 'bar' },
        backLink(),
        avatar(title(room), room.peer?.id ?? room.id),
        h('div', { class: 'grow' }, this.heading, this.under),
        iconButton('camera', t('Start a meeting'), () => this.meet(), { class: 'icon plain' }),
        iconButton('people', t('Members'), () =>
          later(import('./extras.js'), ({ showMembers }) => showMembers(this.id)),
        ),
        iconButton('more', t('Room actions'), ({ currentTarget }) => this.openMenu(currentTarget)),
      ),
      this.history.node,
      this.typing,
      this.closed,
      this.compose.node,
    );
    this.history.node.setAttribute('aria-busy', 'true'); // until it is at its place, with what the server has
    this.drawHeading();
    this.drawTyping();
    this.draw();
    this.compose.focus();
  }

  // Without a network it is tried again with the next connection; what fails in spite of one, in a moment.
  loadAgain() {
    this.loading ??= this.load()
      .catch((error) => {
        setTimeout(() => this.isOpen && !this.isPlaced && state.isCurrent && this.loadAgain(), RETRY_MS);
        throw error;
      })
      .finally(() => {
        this.loading = null;
      });
    this.ready = guarded(() => this.loading);
  }

  // Both at once; what was kept from last time is shown until then.
  async load() {
    const { room } = this;
    await Promise.all([loadLatest(room), loadMembers(this.id), roomsKnown()]);
    this.history.unreadFrom = room.unreadCount ? room.lastReadSeq + 1 : Infinity;
    this.draw();
    if (!this.target) await this.history.openAtUnread();
    this.isPlaced = true;
    this.see();
    await this.history.settle();
    this.history.node.removeAttribute('aria-busy');
    await this.history.fill();
    await loadDelivered(this.room);
  }

  // ---- what one does ------------------------------------------------------------------

  // What is in view while somebody looks is seen; until the room is at its place nobody has asked to see it.
  see() {
    const isWatching = this.isPlaced && isInFront();
    const passed = isWatching ? this.passedBy() : [];
    if (isWatching) markSeen(this.room, [...this.history.inView, ...passed]);
    else this.tail = null;
  }

  // What came while somebody watched the end of the conversation was seen, be it that a burst went by in one frame.
  passedBy() {
    const { tail, room, history } = this;
    const isWatched = history.stuck && state.isCurrent; // what was missed while offline was not watched
    this.tail = isWatched ? room.messages.newest : null;
    if (tail === null || !isWatched) return [];
    return Array.from({ length: room.messages.newest - tail }, (_, i) => tail + 1 + i);
  }

  // Only once it is known what is in view: what has just come in sight needs no hint.
  drawUnread() {
    const { unreadCount } = this.room;
    this.unread.hidden = !unreadCount || !this.isPlaced || !isInFront();
    setText(this.unread.firstChild, t('{n} unread', { n: unreadCount }));
    this.history.showDown();
  }

  readAll() {
    return guarded(async () => {
      await markAllRead(this.room);
      this.drawUnread();
    });
  }

  async meet() {
    await guarded(async () => {
      const { data } = await call('createMeeting', {
        body: { title: title(this.room), roomId: this.id, access: 'room' },
      });
      send(this.id, t('Started a meeting: {title}', { title: title(this.room) }), {
        metadata: { meetingId: data.id },
      });
      location.hash = `#/meeting/${data.id}`;
    });
  }

  jump(seq) {
    this.target = seq;
    return this.ready.then(() => this.history.jump(seq));
  }

  // ---- beside it --------------------------------------------------------------------

  openMenu(button) {
    return later(import('./extras.js'), ({ roomMenu }) =>
      roomMenu(button, this.room, { onPins: () => this.openPins() }),
    );
  }

  openThread(m) {
    this.openPanel(({ ThreadPanel }, on) => new ThreadPanel(this.room, m, on));
  }

  openPins() {
    this.openPanel(({ PinsPanel }, on) => new PinsPanel(this.room, on));
  }

  openPanel(make) {
    return later(import('./extras.js'), (module) => {
      if (!this.history.list.isConnected) return;
      this.closePanel();
      const on = {
        ...this.actions(),
        onClose: () => this.closePanel(),
        onJump: (seq) => {
          if (matchMedia(NARROW).matches) this.closePanel();
          this.history.jump(seq);
        },
      };
      this.panel = make(module, on);
      this.view.append(this.panel.node);
      this.view.classList.add('with-aside');
      this.panel.start();
    });
  }

  closePanel() {
    this.panel?.close();
    this.panel = null;
    this.view.classList.remove('with-aside');
  }

  // ---- drawing ------------------------------------------------------------------------

  drawHeading() {
    const { room } = this;
    if (!this.unread.hidden) this.drawUnread();
    setText(this.heading, title(room));
    const who =
      room.kind === 'direct' && room.peer
        ? lastSeen(room.peer.id)
        : tn(room.memberCount, '1 member', '{n} members');
    setText(this.under, [who, room.topic].filter(Boolean).join(' · '));
    this.drawClosed();
  }

  drawClosed() {
    const why = whyClosed(this.room);
    if (this.closed.textContent === why) return;
    this.closed.textContent = why;
    this.closed.hidden = Boolean(!why);
    this.compose.node.hidden = Boolean(why);
  }

  drawTyping() {
    setText(this.typing, whoTypes([...this.room.typing.values()]));
  }

  // Once a frame: a burst of a thousand messages is drawn once.
  onMessages({ message, changed }) {
    if (changed) this.stale.set(changed.seq ?? changed.clientId, changed);
    if (message && message.senderId !== state.me.id)
      announce(`${message.userName}: ${wordsOf(message.content)}`);
    nextFrame(this.jobs.draw);
  }

  draw() {
    if (!this.history.list.isConnected) return;
    this.history.draw();
    this.stale.forEach((message) => this.history.redraw(message));
    this.stale.clear();
    this.see();
  }

  close() {
    this.stops.forEach((stop) => stop());
    this.isOpen = false;
    this.room.isShown = false;
    this.closePanel();
    this.history.close();
    removeEventListener('focus', this.onLook);
    document.removeEventListener('visibilitychange', this.onLook);
    this.compose.close();
  }
}
