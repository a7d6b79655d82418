// What the database holds, compared with what each device does.
import { isDeepStrictEqual } from 'node:util';

async function truthOf(cluster) {
  const [members, messages, reactions, pins, presence] = await Promise.all([
    // Counted anew, and not by the functions that the server tells clients with.
    cluster.sql(`SELECT m.room_id::text AS room, m.user_id AS user, m.role, m.notify AS level, m.last_read_seq::int AS read,
        (SELECT count(*)::int FROM rt.messages t WHERE t.room_id = m.room_id AND t.seq > m.last_read_seq
           AND t.sender_id <> m.user_id AND t.deleted_at IS NULL) AS unread,
        (SELECT u.mentions::int FROM rt_private.unread u WHERE u.room_id = m.room_id AND u.user_id = m.user_id) AS mentions
      FROM rt.room_members m`),
    cluster.sql(`SELECT h.room_id::text AS room, h.seq::int, (h.m).content, (h.m).sender_id AS sender, (h.m).deleted_at IS NOT NULL AS deleted
      FROM rt_private.history h ORDER BY 1, 2`),
    cluster.sql('SELECT room_id::text AS room, seq::int, user_id AS user, emoji FROM rt.reactions'),
    cluster.sql('SELECT p.room_id::text AS room, p.seq::int FROM rt.pins p JOIN rt.messages m USING (room_id, seq) WHERE m.deleted_at IS NULL ORDER BY 1, 2'),
    cluster.sql("SELECT u.id, coalesce(p.status, 'offline') AS status FROM rt.users u LEFT JOIN rt.presence p ON p.user_id = u.id"),
  ]);
  const rooms = new Map();
  const roomOf = (id) => rooms.get(id) ?? rooms.set(id, { members: new Map(), messages: new Map(), pins: [] }).get(id);
  for (const row of members) roomOf(row.room).members.set(row.user, row);
  for (const { room, seq, content, sender, deleted } of messages) roomOf(room).messages.set(seq, { content: deleted ? '' : content, sender, deleted, reactions: new Map() });
  for (const { room, seq, user, emoji } of reactions) {
    const message = roomOf(room).messages.get(seq);
    if (message) message.reactions.set(emoji, (message.reactions.get(emoji) ?? new Set()).add(user));
  }
  for (const { room, seq } of pins) roomOf(room).pins.push(seq);
  return { rooms, statuses: new Map(presence.map(({ id, status }) => [id, status])) };
}

const shown = (value) => JSON.stringify(value, (key, item) => (item instanceof Map || item instanceof Set ? [...item] : item));

function sorted(map) {
  return new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, value instanceof Set ? new Set([...value].sort()) : value]));
}

function* roomDifferences(device, room, truth) {
  const me = truth.members.get(device.user.id);
  const badge = room.badge && device.badgeOf(room);
  const badgeThen = { lastReadSeq: me.read, unread: me.unread, mentions: me.mentions };
  if (!isDeepStrictEqual(badge, badgeThen)) yield `badge ${shown(badge)}, where the database has ${shown(badgeThen)}`;
  if (room.level !== me.level) yield `level of notifications ${room.level}, where the database has ${me.level}`;
  if (!room.joins) return;
  if (!room.joined || room.queue) {
    yield 'not joined';
    return;
  }
  const roles = new Map([...truth.members].map(([id, { role }]) => [id, role]));
  if (!isDeepStrictEqual(sorted(room.members), sorted(roles))) yield `members ${shown(sorted(room.members))}, where the database has ${shown(sorted(roles))}`;
  for (const [seq, message] of truth.messages) {
    const held = room.messages.get(seq);
    // Reactions to what is deleted are nobody's to see.
    const copy = (m) => m && { ...m, reactions: m.deleted ? undefined : sorted(m.reactions) };
    if (!isDeepStrictEqual(copy(held), copy(message))) yield `message ${seq} ${shown(held)}, where the database has ${shown(message)}`;
  }
  const pins = [...room.pins].filter((seq) => !truth.messages.get(seq)?.deleted).sort((a, b) => a - b);
  if (!isDeepStrictEqual(pins, truth.pins)) yield `pins ${pins}, where the database has ${truth.pins}`;
  for (const seq of room.messages.keys()) if (!truth.messages.has(seq)) yield `message ${seq}, which is not in the database`;
}

// Who a user's device says is there, and who types: in the end nobody.
function* presenceDifferences(device, room, truth, statuses) {
  for (const userId of truth.members.keys()) {
    const [held, now] = [device.statuses.get(userId), statuses.get(userId)];
    if (userId !== device.user.id && held !== now) yield `${userId} is ${held}, where the database has ${now}`;
  }
  const typing = device.whoTypes(room);
  if (typing.length > 0) yield `${typing} still types`;
}

export async function differences(history) {
  const { rooms: truth, statuses } = await truthOf(history.cluster);
  const found = [];
  for (const { id, devices } of history.users) if (devices.length > 0 && statuses.get(id) === 'offline') found.push(`${id} is offline, with ${devices.length} devices`);
  for (const device of history.devices) {
    for (const [id, room] of truth) {
      const held = device.rooms.get(id);
      const isMember = room.members.has(device.user.id);
      if (isMember && !held) found.push(`${device.name} room ${id}: unknown to it`);
      if (isMember && held) for (const what of roomDifferences(device, held, room)) found.push(`${device.name} room ${id}: ${what}`);
      if (isMember && held?.joined && !held.queue) for (const what of presenceDifferences(device, held, room, statuses)) found.push(`${device.name} room ${id}: ${what}`);
    }
    for (const id of device.rooms.keys()) if (!truth.get(id)?.members.has(device.user.id)) found.push(`${device.name} room ${id}: not a member`);
  }
  return found;
}
