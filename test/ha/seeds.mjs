// Fails one database server over to the other, once for each seed; "run" has built the hosts and says how.
import { execFileSync, spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { Random } from '../clients/histories/random.mjs';
import { Database, History } from './history.mjs';

const { HA_NET, HA_DIR, HA_PASSWORD, HA_GATEWAYS } = process.env;
const [seeds, first, clients, writers] = ['SEEDS', 'FIRST', 'CLIENTS', 'WRITERS'].map((name) => Number(process.env[`HA_${name}`]));
const isSynchronous = process.env.HA_SYNC === 'true';
const hasOwnHosts = HA_GATEWAYS === 'hosts';
const addresses = Object.fromEntries(process.env.HA_HOSTS.split(' ').map((host, i) => [host, `10.77.${i + 1}.2`]));
const url = `http://${addresses.lb}`;

const KNOWN_MS = 5000; // within this every client knows that it holds what is not there
const GAP_MS = 1000; // beyond the promotion
const USERS = 10;

const primaryOf = (host) => new Database({ host, password: HA_PASSWORD });

async function until(condition, what, ms = 60_000) {
  const deadline = performance.now() + ms;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await delay(50);
  }
}

// ---- faults --------------------------------------------------------------------------

const pids = (host) => execFileSync('ip', ['netns', 'pids', `${HA_NET}-${host}`], { encoding: 'utf8' }).trim().split('\n').filter(Boolean).map(Number);

function signal(host, name) {
  for (const pid of pids(host)) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }
}

// The router drops what goes from one address to another, without a word to either.
const rule = (verb, ...selector) => execFileSync('ip', ['-n', `${HA_NET}-router`, 'rule', verb, ...selector, 'blackhole']);
const postmaster = (host) => Number(execFileSync('head', ['-n', '1', `${HA_DIR}/${host}/data/postmaster.pid`], { encoding: 'utf8' }));
const startHost = (host) => spawnSync('ip', ['netns', 'exec', `${HA_NET}-${host}`, 'setsid', `${HA_DIR}/${host}/start`], { stdio: 'ignore' });

// Each is begun, and ended once the other server has been promoted.
const faults = {
  // PostgreSQL is killed; Patroni is there, and hands over.
  'kill -9': { begin: (host) => process.kill(postmaster(host), 'SIGKILL') },
  'power off': { begin: (host) => signal(host, 'SIGKILL'), end: startHost },
  stop: { begin: (host) => signal(host, 'SIGSTOP'), end: (host) => signal(host, 'SIGCONT') },
  cut: {
    begin: (host) => { rule('add', 'from', addresses[host]); rule('add', 'to', addresses[host]); },
    end: (host) => { rule('del', 'from', addresses[host]); rule('del', 'to', addresses[host]); },
  },
  'cut outward': { begin: (host) => rule('add', 'from', addresses[host]), end: (host) => rule('del', 'from', addresses[host]) },
  'cut inward': { begin: (host) => rule('add', 'to', addresses[host]), end: (host) => rule('del', 'to', addresses[host]) },
  promote: {
    begin: async (host, other) => {
      const reply = await fetch(`http://${addresses[host]}:8008/switchover`, { method: 'POST', body: JSON.stringify({ leader: host, candidate: other }) });
      // 503: Patroni has not seen the end of it.  Whether the other server is promoted, the probe finds out.
      if (reply.status !== 200 && reply.status !== 503) throw new Error(`switchover: ${reply.status} ${await reply.text()}`);
    },
  },
  // The standby falls behind, then the primary dies.  With a synchronous standby, writers wait meanwhile.
  'lag, then kill -9': {
    begin: async (host, other) => {
      rule('add', 'from', addresses[host], 'to', addresses[other]);
      await delay(700);
      signal(host, 'SIGKILL');
    },
    end: (host, other) => { rule('del', 'from', addresses[host], 'to', addresses[other]); startHost(host); },
  },
};

// ---- one seed ------------------------------------------------------------------------

async function members() {
  for (const host of ['db1', 'db2']) {
    const told = await fetch(`http://${addresses[host]}:8008/cluster`, { signal: AbortSignal.timeout(1000) }).then((reply) => reply.json()).catch(() => undefined);
    if (told?.members?.length > 0) return told.members;
  }
  return [];
}

// Both servers are there, and the standby follows the primary.  Result: [primary, standby].
async function healthy() {
  let found;
  await until(async () => {
    const all = await members();
    const leader = all.find(({ role }) => role === 'leader');
    const standby = all.find(({ role }) => role === (isSynchronous ? 'sync_standby' : 'replica'));
    if (!leader || !standby || leader.timeline !== standby.timeline) return false;
    const database = primaryOf(addresses[leader.name]);
    const isStreaming = await database.value("SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming' AND (NOT $1 OR sync_state <> 'async')", [isSynchronous]).catch(() => false);
    database.drop();
    found = [leader.name, standby.name];
    return isStreaming && (await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(1000) }).catch(() => ({}))).status === 200;
  }, 'both servers work');
  return found;
}

async function prepare(primary, seed) {
  const database = primaryOf(addresses[primary]);
  const users = Array.from({ length: USERS }, (_, i) => `user${i}`);
  const tokens = [];
  for (const id of users) {
    await database.rows('SELECT rt.create_user($1, $1, $1) WHERE NOT EXISTS (SELECT FROM rt.users WHERE id = $1)', [id]);
    tokens.push(await database.value("SELECT rt.issue_token($1, interval '1 hour')", [id]));
  }
  const roomIds = [];
  for (const name of ['one', 'two']) roomIds.push(String(await database.value('SELECT rt.create_room($1, $2)', [`${name} ${seed}`, users])));
  database.drop();
  return { tokens, roomIds };
}

// Writes to the new server as soon as it takes anything: that is when the promotion is over.
async function probe(history, standby) {
  const database = primaryOf(addresses[standby]);
  const result = { keptSeqs: new Map() };
  const looks = `SELECT r.id, (SELECT coalesce(max(seq), 0) FROM rt.messages WHERE room_id = r.id) AS seq, pg_is_in_recovery() AS waits
    FROM unnest($1::bigint[]) AS r (id)`;
  await until(async () => {
    const rows = await database.rows(looks, [history.roomIds]).catch(() => []);
    // The last look before the promotion: at least these messages are kept.
    for (const { id, seq, waits } of rows) if (waits) result.keptSeqs.set(String(id), Number(seq));
    return rows.length > 0 && !rows[0].waits;
  }, 'the promotion');
  const insert = (roomId, text) => database.value('INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, $2, $3) RETURNING seq', [roomId, 'user0', text]);
  for (let i = 0; result.text === undefined; i++) {
    if (await history.write('probe', history.roomIds[0], `probe ${i}`, insert)) {
      result.promotedAt = performance.now();
      result.text = `probe ${i}`;
    }
  }
  database.drop();
  return result;
}

async function runSeed(seed) {
  const random = new Random(seed);
  const names = Object.keys(faults);
  const name = names[(seed - 1) % names.length];
  const [primary, standby] = await healthy();
  const { tokens, roomIds } = await prepare(primary, seed);
  const transports = (i) => (i % 5 === 4 ? ['polling', 'websocket'] : ['websocket']);
  const history = new History({ url, roomIds, tokens, clients, transports });
  const writing = [];
  try {
    await until(() => history.clients.every((client) => client.joined), 'all have joined');
    for (let i = 0; i < writers; i++) writing.push(i % 2 ? history.restWriter(i) : history.sqlWriter(primaryOf(addresses.lb), i));
    await until(() => history.acknowledged.length > 200 + random.below(200), 'there is a load');
    await delay(random.below(1000));
    history.note(`${name}: ${primary}`);
    const begun = performance.now();
    await faults[name].begin(primary, standby);
    const promotion = await probe(history, standby);
    history.note('promoted');
    await delay(1000 + random.below(3000));
    await faults[name].end?.(primary, standby);
    await healthy();
    await until(() => history.acknowledged.filter(({ at, via }) => at > promotion.promotedAt && via !== 'probe').length > 100, 'the load goes on');
    history.isOver = true;
    await Promise.all(writing);
    const database = primaryOf(addresses[standby]);
    for (const roomId of roomIds) await history.write('last', roomId, `last ${roomId}`, (id, text) => database.value('INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, $2, $3) RETURNING seq', [id, 'user0', text]));
    const tables = await History.tables(database, roomIds);
    await until(() => history.isCaughtUp(tables), 'every client has the last message', 30_000).catch((error) => history.fault(error.message));
    const { lost, phantoms } = history.check(tables, { synchronous: isSynchronous, keptSeqs: promotion.keptSeqs });
    const programs = hasOwnHosts ? Number(await database.value("SELECT count(*) FROM rt.stat_programs WHERE host IS NOT NULL AND state = 'ready'")) : 4;
    if (programs !== 4) history.fault(`${programs} of 4 programs on other hosts are known to the new server`);
    database.drop();
    return judge(history, { name, begun, promotion, lost, phantoms });
  } catch (error) {
    history.fault(error.stack);
    return { faults: history.faults, figures: name, log: history.log, counts: history.counts };
  } finally {
    history.close();
    await Promise.all(writing);
  }
}

const ms = (value) => (Number.isFinite(value) ? `${Math.round(value)} ms` : 'never');

function judge(history, { name, begun, promotion, lost, phantoms }) {
  const seen = history.firstSeen.get(promotion.text) ?? new Map();
  const gaps = history.clients.map((client) => seen.has(client) ? seen.get(client) - promotion.promotedAt : undefined).filter((gap) => gap !== undefined);
  const gap = gaps.length > 0 ? Math.max(...gaps) : NaN;
  const holders = new Set(phantoms.flatMap((text) => [...history.firstSeen.get(text).keys()]));
  // The old server may have told of events that the new one does not have, although it has their messages: the relay's commit came too late.
  const isTold = !isSynchronous && history.clients.some((client) => client.knewAt !== undefined);
  // From when another epoch is told, a client knows, and drops what is lost.
  const known = Math.max(0, ...[...holders].map((client) => (client.knewAt ?? Infinity) - promotion.promotedAt));
  const recoveries = history.clients.flatMap((client) => client.recoveries);
  const breaks = history.clients.reduce((sum, client) => sum + client.breaks, 0);
  if (known > KNOWN_MS) history.fault(`clients did not know until ${ms(known)} after the promotion that something is lost`);
  if (phantoms.length === 0 && !isTold) {
    if (hasOwnHosts && breaks > 0) history.fault(`${breaks} connections ended`);
    if (hasOwnHosts && !(gap <= GAP_MS)) history.fault(`the first message came ${ms(gap)} after the promotion`);
    if (recoveries.includes(false)) history.fault(`${recoveries.filter((recovered) => !recovered).length} of ${recoveries.length} were not recovered`);
  }
  const figures = [
    name.padEnd(18), `promotion ${ms(promotion.promotedAt - begun)}`, `gap ${ms(gap)}`, `acknowledged ${history.acknowledged.length}`, `lost ${lost}`,
    `seen and lost ${phantoms.length}`, `known after ${ms(known)}`, `broken ${breaks}`, `recovered ${recoveries.filter(Boolean).length} of ${recoveries.length}`,
  ];
  return { faults: history.faults, figures: figures.join(', '), log: history.log, counts: history.counts };
}

// The end of a long log matters most; the fault is near its beginning.
const ENDS = [15, 45];
const shorten = (log) => log.length <= ENDS[0] + ENDS[1] ? log : [...log.slice(0, ENDS[0]), '…', ...log.slice(-ENDS[1])];

let failed = 0;
const reasons = [];
for (let seed = first; seed < first + seeds; seed++) {
  const { faults: found, figures, log, counts } = await runSeed(seed).catch((error) => ({ faults: [error.stack], figures: '', log: [], counts: {} }));
  const isOk = found.length === 0;
  if (!isOk) failed++;
  console.log(`${isOk ? 'ok' : 'not ok'} ${seed} - ${figures}`);
  if (!isOk) {
    for (const text of found.slice(0, 10)) console.log(`    ${text}`);
    console.log(`    ${JSON.stringify(counts)}\n${shorten(log).map((line) => `    # ${line}`).join('\n')}`);
    reasons.push(`seed ${seed} failed: ${found.slice(0, 3).map((text) => text.split('\n')[0]).join('; ')}${found.length > 3 ? `, and ${found.length - 3} more` : ''}`);
  }
}
for (const reason of reasons) console.log(reason);
console.log(`${seeds - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
