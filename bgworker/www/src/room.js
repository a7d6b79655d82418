// One conversation: its messages, who is in it, and the line to write in.
import { emit, rest } from './api.js';
import { announce, ask, dayOf, h, iconButton, replace, timeOf, toast } from './dom.js';
import { dot } from './rooms.js';
import { edit, listen, loadMembers, loadOlder, markSeen, react, remove, send, state, title } from './store.js';

const EMOJI = ['👍', '❤️', '😂', '🎉', '😮'];

export function openRoom(view, id) {
  const room = state.rooms.get(id);
  const list = h('ol', { class: 'messages', 'aria-label': 'Messages' });
  const scroller = h('div', { class: 'scroller', tabindex: '0', role: 'log', 'aria-label': 'Conversation' }, list);
  const typing = h('p', { class: 'typing', role: 'status' });
  const nodes = new Map();
  let replyTo = null;
  let loading = false;

  const guarded = (work) => work().catch((error) => toast(error.message));
  const nearEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 120;
  const toEnd = () => { scroller.scrollTop = scroller.scrollHeight; };

  // ---- messages ------------------------------------------------------------------

  const seenBy = (m) => [...(state.members.get(id)?.values() ?? [])].filter((who) => who.userId !== state.me.id && who.lastReadSeq >= m.seq);

  function ticks(m) {
    if (m.senderId !== state.me.id) return null;
    if (m.failed) return h('span', { class: 'error' }, m.failed);
    if (!m.seq) return h('span', { class: 'ticks', role: 'img', 'aria-label': 'sending' }, '🕓');
    const seen = seenBy(m);
    const label = seen.length ? `seen by ${seen.map((who) => who.name).join(', ')}` : m.delivered?.size ? 'delivered' : 'sent';
    return h('span', { class: `ticks ${seen.length ? 'seen' : ''}`, role: 'img', 'aria-label': label, title: label }, seen.length || m.delivered?.size ? '✓✓' : '✓');
  }

  function reactions(m) {
    const given = [...m.reactions ?? []].filter(([, users]) => users.size);
    return given.length > 0 && h('div', { class: 'reactions' }, given.map(([emoji, users]) => h('button', {
      type: 'button', 'aria-pressed': String(users.has(state.me.id)), 'aria-label': `${emoji} ${users.size}`,
      onclick: () => guarded(() => react(m, emoji, !users.has(state.me.id))),
    }, `${emoji} ${users.size}`)));
  }

  function quote(m) {
    if (!m.replyTo) return null;
    const original = room.messages.get(Number(m.replyTo.split('-').at(-1)));
    return h('blockquote', { dir: 'auto' }, original ? `${original.userName ?? 'Somebody'}: ${original.deletedAt ? 'deleted' : original.content}` : 'An earlier message');
  }

  async function change(m) {
    const answer = await ask('Edit the message', { content: { label: 'Text', value: m.content, required: true } }, 'Save');
    if (answer && answer.content !== m.content) await guarded(() => edit(m, answer.content));
  }

  function tools(m) {
    if (!m.seq || m.deletedAt) return null;
    const own = m.senderId === state.me.id;
    return h('div', { class: 'tools' },
      EMOJI.map((emoji) => iconButton(emoji, `React with ${emoji}`, () => guarded(() => react(m, emoji, true)))),
      iconButton('↩', 'Reply', () => startReply(m)),
      own && iconButton('✎', 'Edit', () => change(m)),
      (own || room.role === 'admin') && iconButton('🗑', 'Delete', () => guarded(() => remove(m))));
  }

  function body(m) {
    if (m.deletedAt) return h('p', { class: 'deleted' }, 'This message was deleted.');
    const meeting = m.metadata?.meetingId;
    return h('div', {}, quote(m), h('p', { class: 'text', dir: 'auto' }, m.content),
      meeting && h('a', { class: 'button', href: `#/meeting/${meeting}` }, 'Join the meeting'));
  }

  function render(m) {
    const own = m.senderId === state.me.id;
    return h('li', { class: own ? 'own' : '', 'data-seq': m.seq },
      h('div', { class: 'bubble' },
        !own && h('span', { class: 'sender', dir: 'auto' }, m.userName ?? 'Somebody'),
        body(m),
        h('span', { class: 'meta' }, m.editedAt && !m.deletedAt ? 'edited · ' : '', h('time', { datetime: m.createdAt }, timeOf(m.createdAt)), ticks(m)),
        reactions(m)),
      tools(m));
  }

  // Only what is new or changed is made anew: ten thousand messages stay where they are.
  function draw() {
    const wanted = [...room.messages.values()].sort((a, b) => a.seq - b.seq).concat([...room.pending].map(([clientId, m]) => ({ ...m, clientId })));
    const keys = new Set(wanted.map((m) => m.seq ?? m.clientId));
    for (const [key, node] of nodes) if (!keys.has(key)) { node.remove(); nodes.delete(key); }
    let before = list.firstElementChild;
    let day = '';
    list.querySelectorAll('.day').forEach((node) => { if (node === before) before = node.nextElementSibling; node.remove(); });
    for (const m of wanted) {
      const key = m.seq ?? m.clientId;
      let node = nodes.get(key);
      if (!node) { node = render(m); nodes.set(key, node); }
      if (dayOf(m.createdAt) !== day) {
        day = dayOf(m.createdAt);
        list.insertBefore(h('li', { class: 'day' }, h('span', {}, day)), before);
      }
      if (node === before) before = before.nextElementSibling;
      else list.insertBefore(node, before);
    }
    if (!wanted.length) replace(list, h('li', { class: 'empty' }, 'Nothing was said yet. Say hello.'));
    else list.querySelector('.empty')?.remove();
  }

  function redraw(m) {
    const node = nodes.get(m.seq);
    if (!node) return;
    const fresh = render(m);
    node.replaceWith(fresh);
    nodes.set(m.seq, fresh);
  }

  async function more() {
    if (loading || !room.hasMore) return;
    loading = true;
    const fromEnd = scroller.scrollHeight - scroller.scrollTop;
    await guarded(() => loadOlder(id));
    scroller.scrollTop = scroller.scrollHeight - fromEnd;
    loading = false;
  }

  const seeAll = () => { if (!document.hidden && nearEnd()) markSeen(id); };

  // ---- writing -----------------------------------------------------------------------

  const input = h('textarea', { rows: 1, 'aria-label': 'Message', placeholder: 'Write a message', dir: 'auto', maxlength: 20000 });
  const replying = h('div', { class: 'replying', hidden: true });
  let typingSent = 0;

  function startReply(m) {
    replyTo = m;
    replace(replying, h('span', { dir: 'auto' }, `Reply to ${m.userName}: ${m.content.slice(0, 80)}`), iconButton('✕', 'Do not reply', endReply));
    replying.hidden = false;
    input.focus();
  }

  function endReply() {
    replyTo = null;
    replying.hidden = true;
  }

  function tellTyping(isTyping) {
    if (isTyping && Date.now() - typingSent < 1500) return;
    if (!isTyping && !typingSent) return;
    typingSent = isTyping ? Date.now() : 0;
    emit('chat-typing', { roomId: id, isTyping }).catch(() => {});
  }

  function submit(event) {
    event?.preventDefault();
    const content = input.value.trim();
    if (!content) return;
    input.value = '';
    grow();
    send(id, content, replyTo ? { replyTo: replyTo.id } : {});
    endReply();
    tellTyping(false);
    toEnd();
  }

  function grow() {
    input.style.height = 'auto';
    input.style.height = `${Math.min(input.scrollHeight, 160)}px`;
  }

  input.addEventListener('input', () => { grow(); tellTyping(input.value !== ''); });
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) submit(event);
    if (event.key === 'Escape') endReply();
  });

  // ---- members -----------------------------------------------------------------------

  async function meet() {
    await guarded(async () => {
      const { data } = await rest('POST', '/api/meetings', { title: title(room), roomId: id, access: 'room' });
      await send(id, `A meeting: ${title(room)}`, { metadata: { meetingId: data.id } });
      location.hash = `#/meeting/${data.id}`;
    });
  }

  async function invite(dialog) {
    dialog.close();
    const answer = await ask('Add a member', { who: { label: 'User name', required: true } }, 'Add');
    if (!answer) return;
    await guarded(async () => {
      const { data } = await rest('GET', `/api/users?q=${encodeURIComponent(answer.who)}`);
      const user = data.find((one) => one.username.toLowerCase() === answer.who.trim().toLowerCase());
      if (!user) throw new Error(`There is no user “${answer.who}”.`);
      await rest('POST', `/api/chat/rooms/${id}/members`, { userIds: [user.id] });
      await loadMembers(id);
    });
  }

  async function takeOut(userId, dialog) {
    dialog.close();
    await guarded(() => rest('DELETE', `/api/chat/rooms/${id}/members/${encodeURIComponent(userId)}`));
    if (state.rooms.has(id)) await loadMembers(id).catch(() => {});
  }

  function showMembers() {
    const dialog = h('dialog', { 'aria-label': 'Members' },
      h('h2', {}, 'Members'),
      h('ul', { class: 'members' }, [...(state.members.get(id)?.values() ?? [])].map((who) => h('li', {},
        dot(who.userId), h('span', { dir: 'auto' }, who.name), h('small', {}, who.role === 'admin' ? 'admin' : ''),
        h('small', {}, who.status === 'offline' && who.lastSeen ? `last seen ${timeOf(who.lastSeen)}` : ''),
        room.role === 'admin' && who.userId !== state.me.id && iconButton('✕', `Remove ${who.name}`, () => takeOut(who.userId, dialog))))),
      h('div', { class: 'row end' },
        room.kind === 'group' && room.role === 'admin' && h('button', { type: 'button', onclick: () => invite(dialog) }, 'Add'),
        h('button', { type: 'button', onclick: () => takeOut(state.me.id, dialog) }, 'Leave the room'),
        h('button', { type: 'button', class: 'primary', onclick: () => dialog.close() }, 'Close')));
    dialog.addEventListener('close', () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  // ---- together ----------------------------------------------------------------------

  const heading = h('h1', { dir: 'auto' }, title(room));
  replace(view,
    h('header', { class: 'bar' },
      h('a', { class: 'icon back', href: '#/', 'aria-label': 'All rooms' }, '‹'), heading,
      iconButton('🎥', 'Start a meeting', meet), iconButton('👥', 'Members', showMembers)),
    scroller, typing,
    h('form', { class: 'write', onsubmit: submit }, replying, h('div', { class: 'row' }, input, h('button', { class: 'primary', type: 'submit' }, 'Send'))));

  scroller.addEventListener('scroll', () => { if (scroller.scrollTop < 300) more(); seeAll(); });
  addEventListener('focus', seeAll);
  document.addEventListener('visibilitychange', seeAll);

  const off = [
    listen('messages', (what) => {
      if (what.id !== id) return;
      const stay = nearEnd();
      if (what.changed) redraw(what.changed);
      else draw();
      if (stay && !what.older) toEnd();
      if (what.message && what.message.senderId !== state.me.id) announce(`${what.message.userName}: ${what.message.content}`);
      seeAll();
    }),
    listen('seen', (which) => { if (which === id) [...room.messages.values()].slice(-60).filter((m) => m.senderId === state.me.id).forEach(redraw); }),
    listen('members', (which) => { if (which === id) draw(); }),
    listen('typing', (which) => { if (which === id) typing.textContent = room.typing.size ? `${[...room.typing.values()].join(', ')} ${room.typing.size > 1 ? 'are' : 'is'} typing …` : ''; }),
    listen('rooms', () => { heading.textContent = title(room); }),
  ];

  guarded(async () => {
    await Promise.all([loadMembers(id), room.messages.size ? null : loadOlder(id)]);
    draw();
    toEnd();
    seeAll();
  });
  draw();
  input.focus({ preventScroll: true });
  globalThis.Notification?.permission === 'default' && input.addEventListener('focus', () => Notification.requestPermission().catch(() => {}), { once: true });

  return () => {
    off.forEach((stop) => stop());
    removeEventListener('focus', seeAll);
    document.removeEventListener('visibilitychange', seeAll);
    tellTyping(false);
  };
}
