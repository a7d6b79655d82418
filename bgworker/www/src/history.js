// The part of a conversation that the page has: a window over the loaded messages, which follows the reader.
//
// It shows `count` messages up to `last`; where `last` is null, up to the newest and what is being sent.  Scrolling
// near an edge moves the window, and loads what is not there.
import { t } from './i18n.js';
import { bubble, refreshTicks } from './bubble.js';
import { dayOf, h, iconButton, keepFocus, toast } from './dom.js';
import { seqOf } from './messages.js';
import { firstUnread } from './receipts.js';
import { state } from './state.js';
import { Walk } from './walk.js';

const WINDOW = 150;
const STEP = 50;
const MOST = 400;
const NEAR_END_PX = 120;
const NEAR_EDGE_PX = 600;
const SAME_SPEAKER_MS = 5 * 60_000;
const TICKS_REFRESHED = 60;
const FLASH_MS = 2000;

const IN_VIEW_STEPS = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];

// on: { onReply(message), onThread(message), onMore(button, message) }; onView() when other messages are in view than before.
export class History {
  constructor(room, { onView, ...on }) {
    Object.assign(this, { room, on, onView, last: null, count: WINDOW, moving: false, lastTop: 0 });
    this.isSettled = false; // until it was opened where it is to be
    this.nodes = new Map(); // by key: a message's number, what is being sent, a line between
    this.quoted = new Set(); // numbers that were asked for
    this.unreadFrom = room.unreadCount ? room.lastReadSeq + 1 : Infinity;
    this.list = h('ol', { class: 'messages', 'aria-label': 'Messages' });
    this.scroller = h(
      'div',
      { class: 'scroller', role: 'region', 'aria-label': t('Conversation') },
      this.list,
    );
    this.walk = new Walk(this.list);
    this.down = iconButton('down', t('Jump to latest'), () => this.toNewest(), {
      class: 'icon to-end',
      hidden: true,
    });
    this.node = h('div', { class: 'history' }, this.scroller, this.down);
    this.stuck = true;
    this.scroller.addEventListener('scroll', () => this.onScroll());
    // Bubbles get their true height when they come into sight, so the end moves on while we look at it.
    this.sizes = new ResizeObserver(() => this.stayAtEnd());
    this.inView = new Set(); // numbers of messages of which at least half is in view, or which fill half of it
    this.views = new IntersectionObserver((entries) => this.onViews(entries), {
      root: this.scroller,
      threshold: IN_VIEW_STEPS,
    });
    this.sizes.observe(this.list);
    this.sizes.observe(this.scroller);
  }

  close() {
    this.sizes.disconnect();
    this.views.disconnect();
  }

  // Others, once another server has taken over.
  get messages() {
    return this.room.messages;
  }

  // ---- drawing -----------------------------------------------------------------------

  shown() {
    return this.messages.run(this.count, this.last ?? this.messages.newest);
  }

  // What stands in the list, in order: { key, make() }.
  *entries(messages) {
    let former = null;
    if (messages[0] && messages[0].seq <= this.messages.first)
      yield { key: 'start', make: () => line('start', t('This is the beginning of the conversation.')) };
    for (const m of messages) {
      const day = dayOf(m.createdAt);
      if (!former || dayOf(former.createdAt) !== day)
        yield { key: `day ${day}`, make: () => line('day', day) };
      if (former && former.seq < this.unreadFrom && m.seq >= this.unreadFrom)
        yield { key: 'new', make: () => line('new', t('New messages')) };
      yield { key: m.seq ?? m.clientId, make: () => this.render(m), continues: continues(former, m) };
      former = m;
    }
    if (!former)
      yield {
        key: 'empty',
        make: () =>
          line('empty', this.messages.first === null ? t('Loading…') : t('No messages yet. Say hello.')),
      };
  }

  render(m) {
    this.findQuoted(m);
    return bubble(this.room, m, { ...this.on, onQuote: (seq) => this.jump(seq) });
  }

  async findQuoted(m) {
    const seq = m.replyTo && seqOf(m.replyTo);
    if (!seq || this.messages.has(seq) || this.quoted.has(seq)) return;
    this.quoted.add(seq);
    await this.messages.loadOne(seq).catch(() => {}); // then it says so
    if (this.messages.has(seq)) this.redraw(this.messages.get(seq));
  }

  // Only what is new is made anew, so that a click, the focus or a selection is not lost under a busy list.
  draw() {
    if (this.stuck) Object.assign(this, { last: null, count: WINDOW });
    if (this.stuck) this.forgetFar();
    const messages = this.shown();
    if (this.last === null) messages.push(...this.room.pending.values());
    const entries = [...this.entries(messages)];
    const keys = new Set(entries.map(({ key }) => key));
    for (const [key, node] of this.nodes) {
      if (keys.has(key)) continue;
      this.unwatch(node);
      node.remove();
      this.nodes.delete(key);
    }
    let before = this.list.firstElementChild;
    for (const { key, make, continues: isMore } of entries) {
      if (!this.nodes.has(key)) this.nodes.set(key, this.watch(make()));
      const node = this.nodes.get(key);
      node.classList.toggle('continues', Boolean(isMore));
      if (node === before) before = before.nextElementSibling;
      else this.list.insertBefore(node, before);
    }
    this.list.classList.toggle('none', !messages.length);
    this.walk.rest();
    this.showDown();
  }

  // A message that has changed, and those that quote it.
  redraw(m) {
    this.redrawOne(m);
    if (m.seq)
      this.shown()
        .filter((one) => one.replyTo === m.id)
        .forEach((one) => this.redrawOne(one));
  }

  redrawOne(m) {
    const key = m.seq ?? m.clientId;
    const old = this.nodes.get(key);
    if (!old) return;
    const node = this.render(m);
    node.classList.toggle('continues', old.classList.contains('continues'));
    this.nodes.set(key, this.watch(node));
    this.unwatch(old);
    const hasFocus = old.contains(document.activeElement);
    keepFocus(this.list, () => old.replaceWith(node));
    if (this.walk.current === old) this.walk.setCurrent(node);
    if (hasFocus && !node.contains(document.activeElement)) node.focus({ preventScroll: true });
  }

  // Messages that lead to a meeting, when that has begun or ended.
  redrawMeeting(id) {
    this.shown()
      .filter((m) => m.metadata?.meetingId === id)
      .forEach((m) => this.redrawOne(m));
  }

  redrawAll() {
    this.shown().forEach((m) => this.redrawOne(m));
  }

  refreshTicks() {
    for (const m of this.messages.run(TICKS_REFRESHED, this.last ?? this.messages.newest)) {
      const node = this.nodes.get(m.seq);
      if (node && m.senderId === state.me.id) refreshTicks(node, this.room, m);
    }
  }

  // ---- what is in view ---------------------------------------------------------------

  watch(node) {
    if (node.dataset.seq) this.views.observe(node);
    return node;
  }

  unwatch(node) {
    this.views.unobserve(node);
    this.inView.delete(Number(node.dataset.seq));
  }

  onViews(entries) {
    for (const { target, intersectionRatio, intersectionRect, rootBounds } of entries) {
      const isSeen =
        intersectionRatio >= 0.5 || intersectionRect.height >= (rootBounds?.height ?? Infinity) / 2;
      const seq = Number(target.dataset.seq);
      if (this.nodes.get(seq) !== target) continue; // replaced meanwhile
      if (isSeen) this.inView.add(seq);
      else this.inView.delete(seq);
    }
    this.onView();
  }

  // ---- where we are ------------------------------------------------------------------

  // Stays at the end, whatever comes, until the reader scrolls up.  The observer of sizes keeps us there, so the browser must not
  // hold on to a message that moves up.
  get stuck() {
    return this.isStuck;
  }

  set stuck(is) {
    if (this.isStuck === is) return;
    this.isStuck = is;
    this.scroller.classList.toggle('stuck', is);
  }

  toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.ownTop = this.scroller.scrollTop;
  }

  isNearEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return this.last === null && scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  toNewest() {
    this.stuck = true;
    this.draw();
    this.toEnd();
  }

  showDown() {
    const isHidden = this.stuck || this.isNearEnd();
    const count = String(this.room.unreadCount || '');
    if (this.down.hidden !== isHidden) this.down.hidden = isHidden;
    if (this.down.dataset.count !== count) this.down.dataset.count = count;
  }

  onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    // Where we have put it ourselves, the end may have moved on since; that is not the reader's doing.
    if (this.isNearEnd()) this.stuck = true;
    else if (scrollTop < this.lastTop && scrollTop !== this.ownTop) this.stuck = false;
    this.lastTop = scrollTop;
    this.showDown();
    if (!this.stuck && scrollTop < NEAR_EDGE_PX) this.move(() => this.moveUp());
    else if (this.last !== null && scrollHeight - scrollTop - clientHeight < NEAR_EDGE_PX)
      this.move(() => this.moveDown());
  }

  // What is drawn may be less than a window full: then there is no edge to scroll to.
  async fill() {
    while (this.scroller.clientHeight && this.scroller.scrollHeight < 2 * this.scroller.clientHeight) {
      const before = this.shown().length;
      await this.move(() => this.moveUp());
      if (this.shown().length === before) return;
    }
  }

  // One move at a time; what the reader sees stays where it is.
  async move(work) {
    if (this.moving) return;
    this.moving = true;
    try {
      if (!(await work())) return;
      this.keepPlace(() => this.draw());
      this.forgetFar();
    } catch (error) {
      toast(error.message);
    } finally {
      this.moving = false;
    }
  }

  forgetFar() {
    const shown = this.shown();
    if (shown.length && this.messages.forgetFar(shown[0].seq, shown.at(-1).seq)) this.quoted.clear();
  }

  keepPlace(work) {
    const { top } = this.scroller.getBoundingClientRect();
    const mark = [...this.list.children].find(
      (node) => node.dataset.seq && node.getBoundingClientRect().bottom > top,
    );
    const before = mark?.getBoundingClientRect().top;
    work();
    if (this.stuck) this.toEnd();
    else if (mark?.isConnected) this.scroller.scrollTop += mark.getBoundingClientRect().top - before;
  }

  // Result of both: whether the window has moved.
  async moveUp() {
    const [oldest] = this.shown();
    if (!oldest || oldest.seq <= this.messages.first) return false;
    const isKnown = () => this.messages.older(oldest.seq) !== undefined;
    if (!isKnown()) await this.messages.loadBefore(oldest.seq);
    if (!isKnown()) return true; // it was the first; now we know
    const { length } = this.shown();
    this.count = Math.max(this.count, length) + STEP;
    if (this.count > MOST && !this.stuck) this.dropBelow();
    return true;
  }

  dropBelow() {
    const messages = this.shown();
    if (messages.length <= MOST) return;
    this.last = messages[MOST - 1].seq;
    this.count = MOST;
  }

  async moveDown() {
    const { last } = this;
    if (!this.messages.newer(last) && last < this.messages.newest) await this.messages.loadAfter(last);
    const to = this.messages.after(last, STEP);
    this.count = Math.min(MOST, this.count + STEP);
    this.last = to === this.messages.newest ? null : to;
    return true;
  }

  // Brings a message into sight, loaded or not, and points it out.
  async jump(seq) {
    try {
      if (!this.nodes.has(seq) && !(await this.messages.loadAround(seq))) {
        toast(t('That message no longer exists.'));
        return;
      }
    } catch (error) {
      toast(error.message);
      return;
    }
    this.stuck = false;
    if (!this.nodes.has(seq)) this.moveTo(seq);
    const node = this.nodes.get(seq);
    node.scrollIntoView({ block: 'center' });
    // Now that those around it have their true height.
    requestAnimationFrame(() => node.scrollIntoView({ block: 'center' }));
    node.focus({ preventScroll: true });
    node.classList.add('found');
    setTimeout(() => node.classList.remove('found'), FLASH_MS);
  }

  // The line above what was marked as unread.
  showUnreadFrom(seq) {
    this.unreadFrom = seq;
    const old = this.nodes.get('new');
    old?.remove();
    this.nodes.delete('new');
    this.draw();
  }

  // Where a room opens: at the line above what is unread, or at the end where all of that has room.
  async openAtUnread() {
    if (this.unreadFrom === Infinity) return;
    this.unreadFrom = firstUnread(this.room);
    if (!this.messages.has(this.unreadFrom)) await this.messages.loadAround(this.unreadFrom);
    const seq = Math.min(...[...this.messages.keys()].filter((one) => one >= this.unreadFrom));
    if (seq === Infinity) return;
    this.stuck = false;
    if (!this.nodes.has(seq)) this.moveTo(seq);
    const show = () => (this.nodes.get('new') ?? this.nodes.get(seq))?.scrollIntoView({ block: 'start' });
    show();
    await frame(); // now those around it have their true height
    show();
  }

  // Once what is at the top has been seen: where little is below it, that too.
  async settle() {
    await frame();
    await frame();
    this.isSettled = true;
    this.stayAtEnd();
    this.showDown();
  }

  stayAtEnd() {
    if (!this.stuck && !(this.isSettled && this.isNearEnd())) return;
    this.stuck = true;
    this.toEnd();
  }

  moveTo(seq) {
    const last = this.messages.after(seq, STEP / 2);
    this.last = last === this.messages.newest ? null : last;
    this.count = MOST;
    const position = this.shown().findIndex((m) => m.seq === seq);
    this.count = this.shown().length - Math.max(0, position - STEP / 2);
    this.draw();
  }
}

const frame = () => new Promise(requestAnimationFrame);

// Whether a message goes on with what the same person has just said.
function continues(former, m) {
  return (
    former?.senderId === m.senderId &&
    former.messageType !== 'system' &&
    m.messageType !== 'system' &&
    dayOf(former.createdAt) === dayOf(m.createdAt) &&
    new Date(m.createdAt) - new Date(former.createdAt) < SAME_SPEAKER_MS
  );
}

function line(kind, words) {
  return h('li', { class: `line ${kind}` }, h('span', {}, words));
}
