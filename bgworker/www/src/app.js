// Starts the page: signing in, the frame around the views, and which view the address names.
import { emit, findUser, hasToken, resume, rest, signIn, signOut, socket } from './api.js';
import { announce, ask, h, iconButton, openDialog, replace, toast } from './dom.js';
import { openAdmin } from './admin.js';
import { openMeeting } from './meeting.js';
import { icon } from './icons.js';
import { openRoom } from './room.js';
import { roomList } from './rooms.js';
import { joinRoom, listen, loadRooms, startStore, state, title } from './store.js';

const root = document.getElementById('app');
let close = () => {};

function showLogin(problem) {
  const error = h('p', { class: 'error', role: 'alert' }, problem ?? '');
  const username = h('input', { name: 'username', autocomplete: 'username', required: true, autofocus: true });
  const password = h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true });
  const form = h('form', { class: 'card' },
    h('h1', {}, 'Sign in'),
    h('label', {}, 'User name', username),
    h('label', {}, 'Password', password),
    error,
    h('button', { class: 'primary', type: 'submit' }, 'Sign in'));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    error.textContent = '';
    try {
      start(await signIn(username.value, password.value));
    } catch (failure) {
      error.textContent = failure.code === 'unauthorized' ? 'That user name and password do not fit.' : failure.message;
      password.select();
    }
  });
  replace(root, h('main', { class: 'login' }, form));
  username.focus();
}

// ---- the frame -------------------------------------------------------------------

async function newRoom() {
  const answer = await ask('New room', { name: { label: 'Name', required: true, maxlength: 100 }, members: { label: 'Members (user names, separated by commas)' } }, 'Create');
  if (!answer) return;
  await guarded(async () => {
    const memberIds = await Promise.all(answer.members.split(',').map((name) => name.trim()).filter(Boolean).map(findUser));
    const { data } = await rest('POST', '/api/chat/rooms', { kind: 'group', name: answer.name, memberIds });
    await enter(data.id);
  });
}

async function newDirect() {
  const answer = await ask('Message somebody', { who: { label: 'User name', required: true } }, 'Open');
  if (!answer) return;
  await guarded(async () => {
    const { data } = await rest('POST', '/api/chat/rooms', { kind: 'direct', memberIds: [await findUser(answer.who.trim())] });
    await enter(data.id);
  });
}

async function newMeeting() {
  const answer = await ask('New meeting', { title: { label: 'Title', required: true, maxlength: 200 }, password: { label: 'Password (may be left out)', maxlength: 72 } }, 'Create');
  if (!answer) return;
  await guarded(async () => {
    const { data } = await rest('POST', '/api/meetings', { title: answer.title, password: answer.password || undefined, access: 'anyone' });
    location.hash = `#/meeting/${data.id}`;
  });
}

async function enter(id) {
  await loadRooms();
  await joinRoom(id);
  location.hash = `#/room/${id}`;
}

async function guarded(work) {
  try {
    await work();
  } catch (error) {
    toast(error.message);
  }
}

async function setStatus(select) {
  await guarded(() => emit('update-chat-status', { status: select.value }));
}

async function search(event) {
  event.preventDefault();
  const q = new FormData(event.target).get('q').trim();
  if (!q) return;
  await guarded(async () => {
    const { data } = await rest('GET', `/api/chat/search?q=${encodeURIComponent(q)}`);
    showHits(q, data);
  });
}

function showHits(q, hits) {
  const dialog = openDialog(`Messages with ${q}`,
    h('h2', {}, `Messages with “${q}”`),
    hits.length ? h('ul', { class: 'hits' }, hits.map((m) => h('li', {},
      h('a', { href: `#/room/${m.roomId}`, onclick: () => dialog.close() },
        h('strong', {}, m.userName ?? 'Somebody'), ' · ', title(state.rooms.get(m.roomId) ?? {}),
        h('span', { class: 'snippet', dir: 'auto' }, m.content))))) : h('p', {}, 'Nothing was found.'),
    h('div', { class: 'row end' }, h('button', { type: 'button', onclick: () => dialog.close() }, 'Close')));
}

function frame(me) {
  const status = h('select', { 'aria-label': 'Your status', onchange: (event) => setStatus(event.target) },
    ['online', 'away', 'busy'].map((value) => h('option', { value }, value)));
  const banner = h('p', { class: 'banner', role: 'status', hidden: true }, 'You are offline. What you write is sent when the connection is back.');
  const view = h('main', { id: 'view', tabindex: '-1' });
  replace(root, h('div', { class: 'frame' },
    h('nav', { class: 'side', 'aria-label': 'Rooms' },
      h('header', {},
        h('strong', { class: 'me', dir: 'auto' }, me.name), status,
        me.isAdmin && h('a', { class: 'icon', href: '#/admin', 'aria-label': 'Behind the glass', title: 'Behind the glass' }, icon('chart')),
        iconButton('out', 'Sign out', signOut)),
      h('form', { class: 'search', role: 'search', onsubmit: search },
        h('input', { name: 'q', type: 'search', placeholder: 'Search messages', 'aria-label': 'Search messages' })),
      h('div', { class: 'row' },
        h('button', { type: 'button', onclick: newRoom }, 'New room'),
        h('button', { type: 'button', onclick: newDirect }, 'Message'),
        h('button', { type: 'button', onclick: newMeeting }, 'Meeting')),
      roomList()),
    h('div', { class: 'content' }, banner, view)));
  listen('online', () => { banner.hidden = state.online; });
  return view;
}

// ---- where we are ------------------------------------------------------------------

function route(view) {
  const [, kind, id] = location.hash.split('/');
  close();
  close = () => {};
  document.body.classList.toggle('in-view', Boolean(kind));
  if (kind === 'room' && state.rooms.has(id)) close = openRoom(view, id);
  else if (kind === 'admin') close = openAdmin(view);
  else if (kind === 'meeting' && /^\d+$/.test(id ?? '')) close = openMeeting(view, id);
  else {
    replace(view, h('p', { class: 'empty' }, state.rooms.size ? 'Choose a room.' : 'You are in no room yet. Make one, or message somebody.'));
    document.body.classList.remove('in-view');
  }
}

function unreadTitle() {
  const unread = [...state.rooms.values()].reduce((sum, room) => sum + room.unreadCount, 0);
  const wanted = unread > 99 ? '(99+) rt' : unread ? `(${unread}) rt` : 'rt';
  if (document.title !== wanted) document.title = wanted;
}

function notify({ message }) {
  if (!message || message.senderId === state.me.id || !document.hidden) return;
  announce(`${message.userName}: ${message.content}`);
  if (globalThis.Notification?.permission !== 'granted') return;
  try {
    new Notification(message.userName, { body: message.content, tag: message.roomId }).onclick = () => {
      window.focus();
      location.hash = `#/room/${message.roomId}`;
    };
  } catch {
    // browsers of phones want a service worker for it
  }
}

async function start(me) {
  const view = frame(me);
  listen('rooms', unreadTitle);
  listen('messages', notify);
  listen('room-gone', (id) => { if (location.hash === `#/room/${id}`) location.hash = ''; });
  let routed = false;
  listen('rooms', () => { if (!routed) { routed = true; route(view); } });
  addEventListener('hashchange', () => route(view));
  socket.on('connect_error', ({ message }) => {
    if (['Invalid token', 'Token expired', 'User not found'].includes(message)) signOut();
  });
  startStore(me);
}

if (hasToken()) resume().then(start, (error) => (error.code === 'unavailable' ? showLogin(error.message) : showLogin()));
else showLogin();
