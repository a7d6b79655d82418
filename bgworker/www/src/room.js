// One conversation: its heading, its messages, and the line to write in.
import { rest } from './api.js';
import { openCompose } from './compose.js';
import { announce, avatar, guarded, h, iconButton, replace } from './dom.js';
import { History } from './history.js';
import { lastSeen, showMembers } from './members.js';
import { loadLatest } from './messages.js';
import { send } from './outbox.js';
import { loadDelivered, markSeen } from './receipts.js';
import { isInFront, listen, state, title } from './state.js';
import { loadMembers } from './store.js';

// Result: { jump(seq), close() }.
export function openRoom(view, id) {
  const room = state.rooms.get(id);
  const compose = openCompose(room, () => history.toNewest());
  const history = new History(room, { onReply: compose.replyTo, onEnd: seeAll });

  function seeAll() {
    if (isInFront() && (history.stuck || history.isNearEnd())) markSeen(id);
  }

  async function meet() {
    await guarded(async () => {
      const { data } = await rest('POST', '/api/meetings', {
        title: title(room),
        roomId: id,
        access: 'room',
      });
      send(id, `A meeting: ${title(room)}`, { metadata: { meetingId: data.id } });
      location.hash = `#/meeting/${data.id}`;
    });
  }

  // ---- heading, typing ------------------------------------------------------------

  const heading = h('h1', { dir: 'auto' });
  const under = h('p', { class: 'under' });
  const typing = h('p', { class: 'typing', role: 'status' });

  function drawHeading() {
    heading.textContent = title(room);
    under.textContent =
      room.kind === 'direct' && room.peer
        ? lastSeen(room.peer.id)
        : `${room.memberCount} ${room.memberCount === 1 ? 'member' : 'members'}`;
  }

  function drawTyping() {
    const names = [...room.typing.values()];
    typing.textContent = names.length
      ? `${names.join(', ')} ${names.length > 1 ? 'are' : 'is'} typing …`
      : '';
  }

  // ---- what changes ------------------------------------------------------------------

  // Once a frame: a burst of a thousand messages is drawn once.
  const stale = new Set();
  let planned = false;

  function onMessages({ message, changed }) {
    if (changed) stale.add(changed);
    if (message && message.senderId !== state.me.id) announce(`${message.userName}: ${message.content}`);
    if (!planned) requestAnimationFrame(draw);
    planned = true;
  }

  function draw() {
    planned = false;
    if (!history.list.isConnected) return;
    history.draw();
    stale.forEach((message) => history.redraw(message));
    stale.clear();
    if (history.stuck) history.toEnd();
    seeAll();
  }

  const ours = (handle) => (what) => {
    if ((what?.id ?? what) === id) handle(what);
  };
  const stops = [
    listen('messages', ours(onMessages)),
    listen(
      'seen',
      ours(() => history.refreshTicks()),
    ),
    listen(
      'members',
      ours(() => history.redrawAll()),
    ),
    listen('typing', ours(drawTyping)),
    listen('rooms', drawHeading),
    listen('presence', drawHeading),
  ];
  addEventListener('focus', seeAll);
  document.addEventListener('visibilitychange', seeAll);

  // ---- together ----------------------------------------------------------------------

  replace(
    view,
    h(
      'header',
      { class: 'bar' },
      h('a', { class: 'icon back', href: '#/', 'aria-label': 'All rooms' }, '‹'),
      avatar(title(room), room.peer?.id ?? room.id),
      h('div', { class: 'grow' }, heading, under),
      iconButton('camera', 'Start a meeting', meet, { class: 'icon plain' }),
      iconButton('people', 'Members', () => showMembers(id)),
    ),
    history.node,
    typing,
    compose.node,
  );
  drawHeading();
  drawTyping();
  draw();
  compose.focus();

  const ready = guarded(async () => {
    await loadMembers(id);
    if (room.newest === null) await loadLatest(room);
    draw();
    await history.fill();
    await loadDelivered(room);
  });

  return {
    jump: (seq) => ready.then(() => history.jump(seq)),
    close() {
      stops.forEach((stop) => stop());
      history.close();
      removeEventListener('focus', seeAll);
      document.removeEventListener('visibilitychange', seeAll);
      compose.close();
    },
  };
}
