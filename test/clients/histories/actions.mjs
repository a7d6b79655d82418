// What users do, by REST, by events of their sockets, and by psql.  Most of it is drawn from what the user's devices show,
// which may be out of date: a refusal is fine, but not an internal error.

const EMOJI = ['👍', '❤️', '🎉', '1️⃣'];
const WORDS = ['hello', 'grüß', '爸爸', 'deploy', '😀', "'quoted'", 'a\\b', '"', '<b>', 'نص', '\u200d'];

const REFUSALS = new Set([400, 401, 403, 404, 409, 410, 429, 503]);

function textOf(history, random) {
  const words = Array.from({ length: 1 + random.below(6) }, () => random.pick(WORDS));
  if (random.chance(0.25)) words.splice(random.below(words.length + 1), 0, `@${random.pick(history.users).id}`);
  if (random.chance(0.05)) words.push('@all');
  return `${words.join(' ')} ${random.below(1e6)}`;
}

function placeOf(history, user, random) {
  const rooms = [...random.pick(user.devices).rooms.values()];
  const room = rooms.length > 0 && random.chance(0.97) ? random.pick(rooms) : { id: random.pick(history.roomIds), messages: new Map(), lastSeq: 1 };
  const top = Math.max(room.lastSeq, room.badge?.upTo ?? 0, 1);
  // Recent ones are what people touch.
  const seq = Math.max(1, top - random.below(random.chance(0.8) ? 10 : top));
  return { room, roomId: room.id, top, seq, path: `/api/chat/rooms/${room.id}`, message: `/api/chat/rooms/${room.id}/msgs/${room.id}-${seq}`, messageId: `${room.id}-${seq}` };
}

const doings = {
  send: [30, (h, user, random, at) => h.rest('POST', `${at.path}/msgs`, user, { content: textOf(h, random), ...(random.chance(0.2) && { replyTo: at.messageId }) })],
  resend: [2, async (h, user, random, at) => {
    const body = { content: textOf(h, random), clientId: `c${random.below(1e9)}` };
    await Promise.all([h.rest('POST', `${at.path}/msgs`, user, body), h.rest('POST', `${at.path}/msgs`, user, body)]);
  }],
  edit: [10, (h, user, random, at) => {
    const own = [...at.room.messages].filter(([, m]) => m.sender === user.id && !m.deleted).slice(-5);
    const seq = own.length > 0 ? random.pick(own)[0] : at.seq;
    return h.rest('PATCH', `${at.path}/msgs/${at.roomId}-${seq}`, user, { content: textOf(h, random) });
  }],
  delete: [4, (h, user, random, at) => h.rest('DELETE', at.message, user)],
  react: [10, (h, user, random, at) => h.rest(random.chance(0.65) ? 'PUT' : 'DELETE', `${at.message}/reactions/${encodeURIComponent(random.pick(EMOJI))}`, user)],
  pin: [5, (h, user, random, at) => h.rest(random.chance(0.6) ? 'PUT' : 'DELETE', `${at.message}/pin`, user)],
  seen: [10, (h, user, random, at) => random.pick(user.devices).ask('mark-msgs-seen', { roomId: at.roomId, messageIds: [at.messageId] })],
  read: [6, (h, user, random, at) => h.rest('PUT', `${at.path}/read`, user, { seq: random.chance(0.7) ? at.top : random.below(at.top + 3) })],
  typing: [4, (h, user, random, at) => random.pick(user.devices).ask('chat-typing', { roomId: at.roomId, isTyping: random.chance(0.7) })],
  status: [2, (h, user, random) => random.pick(user.devices).ask('update-chat-status', { status: random.pick(['online', 'away', 'busy']) })],
  leave: [1, (h, user, random, at) => h.rest('DELETE', `${at.path}/members/${user.id}`, user)],
  remove: [2, (h, user, random, at) => h.rest('DELETE', `${at.path}/members/${random.pick(h.users).id}`, user)],
  add: [6, (h, user, random, at) => h.rest('POST', `${at.path}/members`, user, { userIds: random.some(h.users, 3).map(({ id }) => id), ...(random.chance(0.3) && { role: 'admin' }) })],
  role: [2, (h, user, random, at) => h.rest('PATCH', `${at.path}/members/${random.pick(h.users).id}`, user, { role: random.pick(['admin', 'member']) })],
  direct: [2, (h, user, random) => h.rest('POST', '/api/chat/rooms', user, { kind: 'direct', memberIds: [random.pick(h.users).id] })],
  mute: [3, (h, user, random, at) => h.rest('PUT', `${at.path}/notifications`, user, { level: random.pick(['all', 'mentions', 'none']) })],
  rename: [1, (h, user, random, at) => h.rest('PATCH', at.path, user, { name: `renamed ${random.below(100)}` })],
};

export async function act(history, user, random) {
  const name = random.weighted(Object.fromEntries(Object.entries(doings).map(([key, [weight]]) => [key, weight])));
  const at = placeOf(history, user, random);
  history.did(`${user.id} ${name} ${at.messageId}`);
  const reply = await doings[name][1](history, user, random, at);
  history.count(name);
  if (reply?.status >= 400) {
    history.count(`${name} ${reply.status}`);
    if (!REFUSALS.has(reply.status)) history.fault(`${name}: ${reply.status} ${JSON.stringify(reply.body)}`);
  } else if (reply?.error?.code === 'internal') history.fault(`${name}: ${JSON.stringify(reply.error)}`);
}

// ---- psql ---------------------------------------------------------------------------

const statements = {
  insert: [20, (h, random) => ["INSERT INTO rt.messages (room_id, sender_id, content) SELECT room_id, user_id, $2 FROM rt.room_members WHERE room_id = $1 ORDER BY random() LIMIT 1", textOf(h, random)]],
  insertMany: [4, (h, random) => ["INSERT INTO rt.messages (room_id, sender_id, content) SELECT room_id, user_id, $2 || ' ' || user_id FROM rt.room_members WHERE room_id = $1", textOf(h, random)]],
  update: [6, (h, random) => ["UPDATE rt.messages SET content = $2 WHERE room_id = $1 AND deleted_at IS NULL AND seq > (SELECT last_seq - 4 FROM rt.rooms WHERE id = $1)", textOf(h, random)]],
  softDelete: [3, (h, random) => ["UPDATE rt.messages SET deleted_at = now() WHERE room_id = $1 AND seq = (SELECT last_seq - $2::int FROM rt.rooms WHERE id = $1)", random.below(8)]],
  delete: [3, (h, random) => ["DELETE FROM rt.messages WHERE room_id = $1 AND seq = (SELECT last_seq - $2::int FROM rt.rooms WHERE id = $1)", random.below(8)]],
  react: [5, (h, random) => ["INSERT INTO rt.reactions (room_id, seq, user_id, emoji) SELECT m.room_id, r.last_seq, m.user_id, $2 FROM rt.room_members m JOIN rt.rooms r ON r.id = m.room_id WHERE r.id = $1 AND r.last_seq > 0 ON CONFLICT DO NOTHING", random.pick(EMOJI)]],
  unreact: [3, (h, random) => ["DELETE FROM rt.reactions WHERE room_id = $1 AND emoji = $2", random.pick(EMOJI)]],
  read: [5, (h, random) => ["UPDATE rt.room_members m SET last_read_seq = greatest(0, r.last_seq - $2::int) FROM rt.rooms r WHERE r.id = m.room_id AND r.id = $1", random.below(6)]],
  setRead: [5, (h, random) => ["SELECT rt.set_read(m.room_id, m.user_id, $2::int) FROM rt.room_members m WHERE m.room_id = $1 ORDER BY random() LIMIT 1", random.below(60)]],
  add: [4, (h, random) => ["INSERT INTO rt.room_members (room_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", random.pick(h.users).id]],
  remove: [3, (h, random) => ["DELETE FROM rt.room_members WHERE room_id = $1 AND user_id = $2", random.pick(h.users).id]],
  pin: [3, (h, random) => ["INSERT INTO rt.pins (room_id, seq, pinned_by) SELECT m.room_id, m.seq, m.sender_id FROM rt.messages m JOIN rt.rooms r ON r.id = m.room_id WHERE r.id = $1 AND m.seq = r.last_seq - $2::int AND m.deleted_at IS NULL ON CONFLICT DO NOTHING", random.below(6)]],
  unpin: [2, (h, random) => ["DELETE FROM rt.pins WHERE room_id = $1 AND seq % 4 = $2::int", random.below(4)]],
  mute: [2, (h, random) => ["UPDATE rt.room_members SET notify = (ARRAY['all', 'mentions', 'none'])[1 + (length(user_id) + last_read_seq + $2::int) % 3] WHERE room_id = $1", random.below(3)]],
  promote: [2, (h, random) => ["UPDATE rt.room_members SET role = CASE role WHEN 'admin' THEN 'member' ELSE 'admin' END WHERE room_id = $1 AND user_id = $2", random.pick(h.users).id]],
};

// SQLSTATEs of refusals (RT4xx), of deadlocks and of a third member in a direct room.
const isRefusal = (code) => /^RT4/.test(code) || code === '40P01' || code === '23505';

export async function actBySql(history, random) {
  const client = await history.cluster.pool.connect();
  const roomId = random.pick(history.roomIds);
  const rollsBack = random.chance(0.1);
  const n = random.chance(0.7) ? 1 : 1 + random.below(4);
  try {
    await client.query('BEGIN');
    for (let i = 0; i < n; i++) {
      const name = random.weighted(Object.fromEntries(Object.entries(statements).map(([key, [weight]]) => [key, weight])));
      const [text, value] = statements[name][1](history, random);
      history.did(`psql ${name} ${roomId} ${value}${rollsBack ? ' (rolled back)' : ''}`);
      history.count(`psql ${name}`);
      await client.query(text, [roomId, value]);
    }
    await client.query(rollsBack ? 'ROLLBACK' : 'COMMIT');
  } catch (error) {
    history.did(`psql: ${error.code} ${error.message}`);
    if (!isRefusal(error.code ?? '')) history.fault(`psql: ${error.code} ${error.message}`);
    await client.query('ROLLBACK').catch(() => {});
  } finally {
    client.release();
  }
}
