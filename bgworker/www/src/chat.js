// Once somebody is signed in: the frame around the views, and which view the address names.
import { t } from './i18n.js';
import { announce, brand, h, replace, toast } from './dom.js';
import { nextFrame } from './frame.js';
import { RoomView } from './room.js';
import { startShortcuts } from './shortcuts.js';
import { beginButtons, side } from './side.js';
import { calling, isInFront, isMuted, listen, state } from './state.js';
import { startStore } from './store.js';
import { wordsOf } from './words.js';
import { keepShell } from './worker.js';

const callPlace = h('section', { class: 'call', 'aria-label': t('Call'), hidden: true });
let current = { close() {} }; // the view
let awaited = null; // the room that the address names, while it is in no list that we have

// ---- where we are ------------------------------------------------------------------

// #/room/1 is a room, #/room/1/17 a message in it, #/meeting/5 a meeting, #/admin the figures.
function route(view) {
  const [, kind, id, seq] = location.hash.split('/');
  current.close();
  current = { close() {} };
  awaited = kind === 'room' && !state.rooms.has(id) ? id : null;
  view.hidden = false;
  document.body.dataset.view = kind ?? '';
  if (kind === 'room' && state.rooms.has(id)) showRoom(view, id, Number(seq));
  else if (kind === 'admin') later(view, import('./admin.js'), ({ openAdmin }) => openAdmin(view));
  else if (kind === 'account') later(view, import('./extras.js'), ({ openAccount }) => openAccount(view));
  else if (kind === 'meeting' && /^\d+$/.test(id ?? ''))
    later(view, import('./meeting.js'), ({ openMeeting }) => openMeeting(view, callPlace, id));
  else showNothing(view);
}

// What few people need is loaded when they do.
async function later(view, loading, open) {
  const waiting = { close() {} };
  current = waiting;
  if (callPlace.hidden) replace(view, h('p', { class: 'empty' }, t('Loading…')));
  try {
    const module = await loading;
    if (current === waiting) current = open(module);
  } catch {
    toast(t("Can't reach the server"));
  }
}

function showRoom(view, id, seq) {
  history.replaceState(null, '', `#/room/${id}`);
  current = new RoomView(view, id);
  if (seq) current.jump(seq);
}

let notice = ''; // why the room that was shown is gone

function showNothing(view) {
  const why = notice && h('p', { class: 'notice', role: 'status' }, notice);
  notice = '';
  const words = state.rooms.size
    ? t('Select a room.')
    : t("You aren't in any rooms yet. Create one, or message someone.");
  document.body.dataset.view = '';
  replace(
    view,
    h('div', { class: 'empty' }, brand(), why, h('p', {}, words), !state.rooms.size && beginButtons()),
  );
}

function goTo(roomId, seq) {
  if (location.hash === `#/room/${roomId}`) current.jump(seq);
  else location.hash = `#/room/${roomId}/${seq}`;
}

// ---- while nobody looks ------------------------------------------------------------

function tellUnread() {
  closeNotes();
  const unread = [...state.rooms.values()].reduce((sum, room) => sum + calling(room), state.invitations.size);
  const wanted = unread > 99 ? '(99+) rt' : unread ? `(${unread}) rt` : 'rt';
  if (document.title !== wanted) document.title = wanted;
}

function notify({ message }) {
  if (!message || message.senderId === state.me.id || isInFront()) return;
  // The room that is shown tells it itself.
  if (!location.hash.startsWith(`#/room/${message.roomId}`))
    announce(`${message.userName}: ${wordsOf(message.content)}`);
  if (state.rooms.get(message.roomId)?.notifications?.level !== 'mentions') show(message);
}

const notes = new Map(); // room id -> the last one, until its room is read

function show({ roomId, seq, userName, content }) {
  if (globalThis.Notification?.permission !== 'granted' || isMuted(state.rooms.get(roomId))) return;
  try {
    const note = new Notification(userName, { body: wordsOf(content), tag: roomId });
    note.onclick = () => {
      window.focus();
      goTo(roomId, seq);
    };
    notes.set(roomId, note);
  } catch {
    // browsers of phones want a service worker for it
  }
}

// Where only mentions are told, their own event does that.
function notifyMention(mention) {
  if (state.rooms.get(mention.roomId)?.notifications?.level === 'mentions' && !isInFront()) show(mention);
}

// Read here or on another device.
function closeNotes() {
  for (const [id, note] of notes)
    if (!state.rooms.get(id)?.unreadCount) {
      note.close?.();
      notes.delete(id);
    }
}

// A browser wants a gesture before it asks: the first message that one sends.
function askToNotify() {
  if (globalThis.Notification?.permission === 'default') Notification.requestPermission().catch(() => {});
}

// ---- together ----------------------------------------------------------------------

export function start(root, me) {
  const view = h('div', { id: 'view', tabindex: '-1' });
  const banner = h(
    'p',
    { class: 'banner', role: 'status', hidden: true },
    t("You're offline. Messages will be sent when you reconnect."),
  );
  replace(
    root,
    h('div', { class: 'frame' }, side(me, goTo), h('main', { class: 'content' }, banner, view, callPlace)),
  );

  listen('online', () => {
    banner.hidden = state.online;
  });
  for (const what of ['rooms', 'invitations']) listen(what, () => nextFrame(tellUnread));
  listen('messages', notify);
  listen('mention', notifyMention);
  listen('room-gone', ({ id, words }) => {
    const isShown = location.hash === `#/room/${id}`;
    if (isShown) {
      notice = words;
      location.hash = '';
    } else if (words) toast(words);
  });
  const stop = listen('rooms', () => {
    stop();
    route(view);
    listen('rooms', () => state.rooms.has(awaited) && route(view));
  });
  addEventListener('hashchange', () => route(view));
  root.addEventListener('submit', ({ target }) => target.classList.contains('write') && askToNotify());
  startShortcuts();
  startStore(me);
  keepShell(() => !callPlace.hidden || location.hash.startsWith('#/meeting'));
}
