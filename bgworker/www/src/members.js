// Who is in a room: looking, adding, removing, renaming, leaving.
import { t } from './i18n.js';
import { call, findUsers } from './api.js';
import { tellInvited } from './begin.js';
import { ask, avatar, guarded, h, iconButton, openDialog } from './dom.js';
import { lastSeen } from './presence.js';
import { list } from './list.js';
import { dot } from './rooms.js';
import { membersOf, state, title } from './state.js';
import { loadMembers } from './store.js';

const ROLES = ['member', 'admin'];

function add(id) {
  const fields = { who: { label: t('Username'), required: true } };
  return ask(t('Add member'), fields, t('Add'), async ({ who }) => {
    const userIds = await findUsers(who.trim());
    tellInvited(await call('addMembers', { params: { roomId: id }, body: { userIds } }));
    await loadMembers(id);
  });
}

function rename(id) {
  const fields = {
    name: { label: t('Name'), value: title(state.rooms.get(id)), required: true, maxlength: 100 },
  };
  return ask(t('Rename room'), fields, t('Rename'), async ({ name }) => {
    await call('changeRoom', { params: { roomId: id }, body: { name } });
    await list.ask(id);
  });
}

const takeOut = (roomId, userId) => call('removeMember', { params: { roomId, userId } });

function remove(room, who) {
  return ask(
    t('Remove {name} from “{title}”?', { name: who.name, title: title(room) }),
    {},
    t('Remove'),
    async () => {
      await takeOut(room.id, who.userId);
      await loadMembers(room.id);
    },
  );
}

function leave(room) {
  return ask(t('Leave “{title}”?', { title: title(room) }), {}, t('Leave'), () =>
    takeOut(room.id, state.me.id),
  );
}

const setRole = (id, userId, role) =>
  guarded(async () => {
    await call('changeRole', { params: { roomId: id, userId }, body: { role } });
    await loadMembers(id);
  });

function roleSelect(id, who) {
  const select = h(
    'select',
    {
      'aria-label': t('Role of {name}', { name: who.name }),
      onchange: () => setRole(id, who.userId, select.value),
    },
    ROLES.map((one) => h('option', { value: one, selected: one === who.role }, t(one))),
  );
  return select;
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
          [`@${who.username}`, who.role === 'admin' && t('admin'), lastSeen(who.userId)]
            .filter(Boolean)
            .join(' · '),
        ),
      ),
      isAdmin && who.userId !== state.me.id && roleSelect(id, who),
      isAdmin &&
        who.userId !== state.me.id &&
        iconButton(
          'close',
          t('Remove {name}', { name: who.name }),
          then(() => remove(room, who)),
        ),
    );
  const button = (words, work) => h('button', { type: 'button', onclick: then(work) }, words);
  const dialog = openDialog(
    t('Members'),
    h('h2', {}, t('Members')),
    h('ul', { class: 'members' }, membersOf(id).map(row)),
    h(
      'div',
      { class: 'row end' },
      isAdmin && button(t('Add'), () => add(id)),
      isAdmin && button(t('Rename'), () => rename(id)),
      room.kind === 'group' && button(t('Leave'), () => leave(room)),
      h('button', { type: 'button', class: 'primary', onclick: () => dialog.close() }, t('Close')),
    ),
  );
}
