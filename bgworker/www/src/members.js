// Who is in a room: looking, adding, removing, renaming, leaving.
import { findUser, rest } from './api.js';
import { ask, avatar, guarded, h, iconButton, openDialog, whenOf } from './dom.js';
import { dot } from './rooms.js';
import { membersOf, state, title } from './state.js';
import { loadMembers, loadRooms } from './store.js';

async function add(id) {
  const answer = await ask('Add member', { who: { label: 'Username', required: true } }, 'Add');
  if (!answer) return;
  await guarded(async () => {
    await rest('POST', `/api/chat/rooms/${id}/members`, { userIds: [await findUser(answer.who.trim())] });
    await loadMembers(id);
  });
}

async function rename(id) {
  const answer = await ask(
    'Rename room',
    { name: { label: 'Name', value: title(state.rooms.get(id)), required: true, maxlength: 100 } },
    'Rename',
  );
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

async function leave(room) {
  if (await ask(`Leave “${title(room)}”?`, {}, 'Leave')) await takeOut(room.id, state.me.id);
}

export function lastSeen(userId) {
  const { status, statusMessage, lastSeen: since } = state.presence.get(userId) ?? {};
  if (status && status !== 'offline') return [status, statusMessage].filter(Boolean).join(': ');
  return since ? `last seen ${whenOf(since)}` : 'offline';
}

export function showMembers(id) {
  const room = state.rooms.get(id);
  const isAdmin = room.kind === 'group' && room.role === 'admin';
  const then = (work) => () => {
    dialog.close();
    work();
  };
  const row = (who) =>
    h(
      'li',
      {},
      avatar(who.name, who.userId),
      h(
        'span',
        { class: 'grow' },
        h('span', { class: 'name', dir: 'auto' }, who.name, dot(who.userId)),
        h(
          'small',
          {},
          [`@${who.username}`, who.role === 'admin' && 'admin', lastSeen(who.userId)]
            .filter(Boolean)
            .join(' · '),
        ),
      ),
      isAdmin &&
        who.userId !== state.me.id &&
        iconButton(
          'close',
          `Remove ${who.name}`,
          then(() => takeOut(id, who.userId)),
        ),
    );
  const button = (words, work) => h('button', { type: 'button', onclick: then(work) }, words);
  const dialog = openDialog(
    'Members',
    h('h2', {}, 'Members'),
    h('ul', { class: 'members' }, membersOf(id).map(row)),
    h(
      'div',
      { class: 'row end' },
      isAdmin && button('Add', () => add(id)),
      isAdmin && button('Rename', () => rename(id)),
      room.kind === 'group' && button('Leave', () => leave(room)),
      h('button', { type: 'button', class: 'primary', onclick: () => dialog.close() }, 'Close'),
    ),
  );
}
