// One conversation: its messages, who is in it, and the line to write in.
import { rest } from './api.js';
import { bubble } from './bubble.js';
import { openCompose } from './compose.js';
import { announce, dayOf, h, iconButton, replace, toast } from './dom.js';
import { lastSeen, showMembers } from './members.js';
import { latest, listen, loadMembers, loadOlder, markSeen, send, state, title } from './store.js';

const WINDOW = 150;
const WIDER = 50;
const NEAR_PX = 120;
const SEEN_REDRAWN = 60;

export function openRoom(view, id) {
  const room = state.rooms.get(id);
  const list = h('ol', { class: 'messages', 'aria-label': 'Messages' });
  const scroller = h('div', { class: 'scroller', tabindex: '0', role: 'log', 'aria-label': 'Conversation' }, list);
  const typing = h('p', { class: 'typing', role: 'status' });
  const nodes = new Map();
  let width = WINDOW;
  let loading = false;

  const guarded = (work) => work().catch((error) => toast(error.message));
  const compose = openCompose(id, () => { stuck = true; toEnd(); });

  // ---- messages ------------------------------------------------------------------

  const render = (m) => bubble(room, m, compose.replyTo);

  // Of what is loaded, the page has the newest `width` messages; scrolling up widens it, being at its end narrows
  // it again.  Only what is new or changed is made anew.
  function draw() {
    if (stuck) width = WINDOW;
    const wanted = latest(room, width).concat([...room.pending.values()]);
    const keys = new Set(wanted.map((m) => m.seq ?? m.clientId));
    for (const [key, node] of nodes) if (!keys.has(key)) { node.remove(); nodes.delete(key); }
    let before = list.firstElementChild;
    let day = '';
    for (const m of wanted) {
      if (dayOf(m.createdAt) !== day) {
        day = dayOf(m.createdAt);
        if (before?.dataset.day === day) before = before.nextElementSibling;
        else list.insertBefore(h('li', { class: 'day', 'data-day': day }, h('span', {}, day)), before);
      }
      // Day lines that have lost their place, as when older messages of that day came in above them.
      while (before?.dataset.day) before = dropAndNext(before);
      const key = m.seq ?? m.clientId;
      if (!nodes.has(key)) nodes.set(key, render(m));
      if (nodes.get(key) === before) before = before.nextElementSibling;
      else list.insertBefore(nodes.get(key), before);
    }
    while (before) before = dropAndNext(before);
    if (!wanted.length) replace(list, h('li', { class: 'empty' }, 'Nothing was said yet. Say hello.'));
  }

  function dropAndNext(node) {
    const next = node.nextElementSibling;
    node.remove();
    return next;
  }

  function redraw(m) {
    const key = m.seq ?? m.clientId;
    const node = nodes.get(key);
    if (!node) return;
    nodes.set(key, render(m));
    node.replaceWith(nodes.get(key));
  }

  async function more() {
    if (loading) return;
    const isHidden = room.messages.size > width;
    if (!isHidden && !room.hasMore) return;
    loading = true;
    const fromEnd = scroller.scrollHeight - scroller.scrollTop;
    width += WIDER;
    if (!isHidden) await guarded(() => loadOlder(id));
    draw();
    scroller.scrollTop = scroller.scrollHeight - fromEnd;
    loading = false;
  }

  // ---- where we are in it ------------------------------------------------------------

  // Bubbles get their true height when they come into sight, so the end moves on while we look at it; until the
  // reader scrolls up we stay there.
  let stuck = true;
  let lastTop = 0;
  const nearEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX;
  const toEnd = () => { scroller.scrollTop = scroller.scrollHeight; };
  const seeAll = () => { if (!document.hidden && (stuck || nearEnd())) markSeen(id); };
  const sizes = new ResizeObserver(() => { if (stuck) toEnd(); });

  scroller.addEventListener('scroll', () => {
    if (nearEnd()) stuck = true;
    else if (scroller.scrollTop < lastTop) stuck = false;
    lastTop = scroller.scrollTop;
    if (!stuck && scroller.scrollTop < 300) more();
    seeAll();
  });
  sizes.observe(list);
  sizes.observe(scroller);
  addEventListener('focus', seeAll);
  document.addEventListener('visibilitychange', seeAll);

  // ---- together ----------------------------------------------------------------------

  async function meet() {
    await guarded(async () => {
      const { data } = await rest('POST', '/api/meetings', { title: title(room), roomId: id, access: 'room' });
      send(id, `A meeting: ${title(room)}`, { metadata: { meetingId: data.id } });
      location.hash = `#/meeting/${data.id}`;
    });
  }

  const heading = h('h1', { dir: 'auto' }, title(room));
  const under = h('p', { class: 'under' });

  function drawHeading() {
    heading.textContent = title(room);
    under.textContent = room.kind === 'direct' && room.peer ? lastSeen({ userId: room.peer.id })
      : `${room.memberCount} ${room.memberCount === 1 ? 'member' : 'members'}`;
  }

  function drawTyping() {
    const names = [...room.typing.values()];
    typing.textContent = names.length ? `${names.join(', ')} ${names.length > 1 ? 'are' : 'is'} typing …` : '';
  }

  // Once a frame: a burst of a thousand messages is drawn once.
  const stale = new Set();
  let planned = false;

  function onMessages({ message, changed }) {
    if (changed) stale.add(changed);
    if (message && message.senderId !== state.me.id) announce(`${message.userName}: ${message.content}`);
    if (!planned) requestAnimationFrame(drawAll);
    planned = true;
  }

  function drawAll() {
    planned = false;
    if (!list.isConnected) return;
    draw();
    for (const m of stale) {
      redraw(m);
      if (m.seq) latest(room, width).filter((one) => one.replyTo === m.id).forEach(redraw);
    }
    stale.clear();
    if (stuck) toEnd();
    seeAll();
  }

  const mine = (handle) => (what) => { if ((what?.id ?? what) === id) handle(what); };
  const off = [
    listen('messages', mine(onMessages)),
    listen('seen', mine(() => latest(room, SEEN_REDRAWN).filter((m) => m.senderId === state.me.id).forEach(redraw))),
    listen('members', mine(() => latest(room, width).forEach(redraw))),
    listen('typing', mine(drawTyping)),
    listen('rooms', drawHeading),
    listen('presence', drawHeading),
  ];

  replace(view,
    h('header', { class: 'bar' },
      h('a', { class: 'icon back', href: '#/', 'aria-label': 'All rooms' }, '‹'), h('div', { class: 'grow' }, heading, under),
      iconButton('camera', 'Start a meeting', meet, { class: 'icon plain' }), iconButton('people', 'Members', () => showMembers(id))),
    scroller, typing, compose.node);
  drawHeading();
  draw();
  compose.focus();
  if (globalThis.Notification?.permission === 'default') compose.node.addEventListener('submit', () => Notification.requestPermission().catch(() => {}), { once: true });

  guarded(async () => {
    await loadMembers(id);
    if (!room.messages.size) await loadOlder(id);
    draw();
    toEnd();
    seeAll();
  });

  return () => {
    off.forEach((stop) => stop());
    sizes.disconnect();
    removeEventListener('focus', seeAll);
    document.removeEventListener('visibilitychange', seeAll);
    compose.close();
  };
}
