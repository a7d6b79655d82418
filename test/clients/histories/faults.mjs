// Faults, planted in the SQL of a history's server: the checker must find each.  `run.mjs --faults` tries them all.

function edited(fn, from, to) {
  return async (cluster) => {
    const text = await cluster.value('SELECT pg_get_functiondef($1::regprocedure)', [fn]);
    if (!text.includes(from)) throw new Error(`${fn} has no "${from}"`);
    await cluster.sql(text.replaceAll(from, to));
  };
}

// Runs only if the condition does not hold.
const unless = (fn, statement, condition, result) => edited(fn, statement, `IF ${condition} THEN RETURN ${result}; END IF; ${statement}`);

const typing = 'rt_api.typing(text,jsonb)';
const typed = "PERFORM rt_private.emit('chat-user-typing'";
const presence = 'rt_private.presence_after_change()';
const moved = 'rt_private.mark_moved()';
const emits = 'PERFORM rt_private.emit(';

export const faults = {
  'nobody hears that somebody types': unless(typing, typed, 'is_typing', "'{}'"),
  'typing does not end': unless(typing, typed, 'NOT is_typing', "'{}'"),
  'nobody hears of away': edited(presence, 'o.status <> n.status OR', "(o.status <> n.status AND n.status <> 'away') OR"),
  'statuses are lost': unless(presence, 'IF changed IS NULL THEN', 'random() < 0.2', 'NULL'),
  'lists of who is online lack who is away': edited('rt_api.online_users(text,jsonb)', "p.status <> 'offline'", "p.status NOT IN ('offline', 'away')"),
  'badges count no mentions': edited('rt_private.read_state(rt.room_members)', 'u.mentions', 'least(u.mentions, 0)'),
  'mark as unread is not told': unless(moved, emits, 'NEW.last_read_seq < OLD.last_read_seq', 'NULL'),
  'unpinning is not told': unless('rt_private.pins_after_change()', 'PERFORM rt_private.message_event(', "TG_OP = 'DELETE'", 'NULL'),
  'levels are not told': unless('rt_private.level_changed()', emits, 'true', 'NULL'),
};
