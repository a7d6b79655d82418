// Who is in a room: looking, adding, removing, renaming, leaving.
import { findUser, rest } from './api.js';
import { ask, h, iconButton, openDialog, timeOf, toast } from './dom.js';
import { dot } from './rooms.js';
import { loadMembers, loadRooms, state, title } from './store.js';

const guarded = (work) => work().catch((error) => toast(error.message));

async function add(id) {
  const answer = await ask('Add a member', { who: { label: 'User name', required: true } }, 'Add');
  if (!answer) return;
  await guarded(async () => {
    await rest('POST', `/api/chat/rooms/${id}/members`, { userIds: [await findUser(answer.who.trim())] });
    await loadMembers(id);
  });
}

async function rename(id) {
  const answer = await ask('Rename the room', { name: { label: 'Name', value: title(state.rooms.get(id)), required: true, maxlength: 100 } }, 'Rename');
  if (!answer) return;
  await guarded(async () => {
    await rest('PATCH', `/api/chat/rooms/${id}`, { name: answer.name });
    await loadRooms();
  });
}

async function takeOut(id, userId) {
  await guarded(() => rest('DELETE', `/api/chat/rooms/${id}/members/${encodeURIComponent(userId)}`));
  if (userId !== state.me.id) await guarded(() => loadMembers(id));
}

export function lastSeen(who) {
  const known = { ...who, ...state.presence.get(who.userId) };
  if (known.status && known.status !== 'offline') return [known.status, known.statusMessage].filter(Boolean).join(': ');
  return known.lastSeen ? `last seen ${new Date(known.lastSeen).toLocaleDateString()} ${timeOf(known.lastSeen)}` : 'offline';
}

export function showMembers(id) {
  const room = state.rooms.get(id);
  const isAdmin = room.kind === 'group' && room.role === 'admin';
  const close = (then) => () => { dialog.close(); then(); };
  const dialog = openDialog('Members',
    h('h2', {}, 'Members'),
    h('ul', { class: 'members' }, [...(state.members.get(id)?.values() ?? [])].map((who) => h('li', {},
      dot(who.userId), h('span', { dir: 'auto' }, who.name),
      h('small', {}, [who.role === 'admin' && 'admin', lastSeen(who)].filter(Boolean).join(' · ')),
      isAdmin && who.userId !== state.me.id && iconButton('close', `Remove ${who.name}`, close(() => takeOut(id, who.userId)))))),
    h('div', { class: 'row end' },
      isAdmin && h('button', { type: 'button', onclick: close(() => add(id)) }, 'Add'),
      isAdmin && h('button', { type: 'button', onclick: close(() => rename(id)) }, 'Rename'),
      room.kind === 'group' && h('button', { type: 'button', onclick: close(() => takeOut(id, state.me.id)) }, 'Leave the room'),
      h('button', { type: 'button', class: 'primary', onclick: () => dialog.close() }, 'Close')));
}
