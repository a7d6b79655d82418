// /metrics, and what stands on it: the format, the figures, the dashboard, the alert rules, the page that lists them.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { parse as parseYaml } from 'yaml';
import { Cluster } from './lib/cluster.mjs';
import { closeAll, connect, event, join, until } from './lib/client.mjs';
import { freePort } from './lib/ports.mjs';

const file = (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.e+]+|\+Inf|NaN)$/;

let cluster, alice;

before(async () => {
  cluster = await Cluster.start({ 'rt.ping_interval': '300ms' });
  [alice] = await cluster.users('alice');
  // Media workers come with their first heartbeat, the relay with the first report's answer.
  await until(async () => { const families = await metrics(); return families.rt_relay_up && Object.values(families).every(({ samples }) => samples.length > 0); }, 'samples of everything');
});
after(() => cluster?.stop());
afterEach(closeAll);

// { name: { type, help, samples: [{ name, labels, value }] } }; a line that the format has not fails.
function parse(text) {
  const families = {};
  let current;
  for (const line of text.trimEnd().split('\n')) {
    const [, kind, name, rest] = line.match(/^# (HELP|TYPE) (\S+) (.+)$/) ?? [];
    if (kind === 'HELP') {
      assert.ok(!families[name], `${name} is there once`);
      current = families[name] = { help: rest, samples: [] };
    } else if (kind === 'TYPE') {
      assert.equal(families[name], current, `TYPE follows HELP of ${name}`);
      current.type = rest;
      current.name = name;
    } else {
      const [, sample, labels, value] = line.match(SAMPLE) ?? assert.fail(`no sample: ${line}`);
      assert.ok(sample === current.name || (current.type === 'histogram' && /^_(bucket|sum|count)$/.test(sample.slice(current.name.length))), `${sample} belongs to ${current.name}`);
      current.samples.push({ name: sample, labels: Object.fromEntries([...(labels ?? '').matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text_]) => [key, text_])), value: Number(value.replace('+Inf', 'Infinity')) });
    }
  }
  return families;
}

const metrics = async () => parse((await cluster.rest('GET', '/metrics')).body);
const one = (families, name, labels = {}) => families[name.replace(/_(bucket|sum|count)$/, '')]?.samples.find((sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value))?.value
  ?? families[name]?.samples[0].value;

test('the format, and the conventions of names', async () => {
  const reply = await cluster.rest('GET', '/metrics');
  assert.match(reply.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  for (const [name, { type, help, samples }] of Object.entries(parse(reply.body))) {
    assert.match(name, /^(rt|process)_[a-z0-9_]+$/);
    assert.ok(['counter', 'gauge', 'histogram'].includes(type), `${name}: ${type}`);
    assert.equal(/_total$/.test(name), type === 'counter', `${name}: counters, and they alone, end in _total`);
    assert.ok(!/_(ms|us|milliseconds|microseconds|kb|count|bucket|sum)(_|$)/.test(name), `${name}: base units`);
    if (type === 'histogram') assert.match(name, /_seconds$/);
    assert.match(help, /^[A-Z0-9].*\.$/, `${name}: ${help}`);
    assert.ok(samples.length > 0, `${name} has a sample`);
    if (name !== 'rt_build_info') assert.ok(samples.every(({ labels }) => labels.database === 'rt'), `${name}: of which database`);
  }
});

test('histograms are cumulative, and count what happens', async () => {
  const roomId = await cluster.room('measured', 'alice');
  const client = await connect(cluster, alice);
  await join(client, roomId);
  const before_ = await metrics();
  await cluster.rest('POST', '/auth', undefined, { username: 'alice', password: 'alice-password' });
  for (let i = 0; i < 5; i++) await cluster.rest('POST', `/api/chat/rooms/${roomId}/msgs`, alice, { content: `${i}` });
  await event(client, 'new-chat-message', ({ data }) => data.content === '4');
  const grown = (now, name, labels) => one(now, name, labels) - one(before_, name, labels);
  const now = await until(async () => {
    const families = await metrics();
    return grown(families, 'rt_gateway_delivery_delay_seconds_count') >= 1 && grown(families, 'rt_gateway_heartbeat_duration_seconds_count') >= 1
      && grown(families, 'rt_relay_lag_seconds_count') >= 1 && families;
  }, 'what is sampled');
  assert.equal(grown(now, 'rt_gateway_request_duration_seconds_count', { lane: 'fast' }), 5);
  assert.equal(grown(now, 'rt_gateway_request_duration_seconds_count', { lane: 'slow' }), 1);
  assert.ok(grown(now, 'rt_gateway_db_call_duration_seconds_count', { lane: 'fast' }) >= 2);
  assert.equal(grown(now, 'rt_gateway_db_call_duration_seconds_count', { lane: 'slow' }), 1);
  assert.ok(grown(now, 'rt_gateway_request_duration_seconds_sum', { lane: 'slow' }) > 0.002, 'a password check takes its time');
  assert.ok(grown(now, 'rt_gateway_turn_duration_seconds_count') > 5);
  for (const [name, { type, samples }] of Object.entries(now)) {
    if (type !== 'histogram') continue;
    for (const lane of new Set(samples.map(({ labels }) => labels.lane))) {
      const mine = samples.filter(({ labels }) => labels.lane === lane);
      const buckets = mine.filter((sample) => sample.name === `${name}_bucket`).map(({ labels, value }) => [Number(labels.le.replace('+Inf', 'Infinity')), value]);
      assert.ok(buckets.length > 5 && buckets.at(-1)[0] === Infinity, name);
      for (let i = 1; i < buckets.length; i++) assert.ok(buckets[i][0] > buckets[i - 1][0] && buckets[i][1] >= buckets[i - 1][1], `${name} ${buckets}`);
      const [count, sum] = ['count', 'sum'].map((what) => mine.find((sample) => sample.name === `${name}_${what}`).value);
      assert.equal(buckets.at(-1)[1], count, name);
      assert.ok(sum >= 0 && (count === 0 || sum / count < 5), `${name}: ${sum} / ${count}`);
    }
  }
});

test('the figures are those of the views', async () => {
  await connect(cluster, alice);
  const now = await until(async () => { const families = await metrics(); return one(families, 'rt_gateway_sockets') === 1 && families; }, 'one socket');
  assert.equal(one(now, 'rt_gateway_users'), 1);
  assert.equal(one(now, 'rt_gateway_ready'), 1);
  assert.equal(one(now, 'rt_gateway_draining'), 0);
  assert.equal(one(now, 'rt_relay_up'), 1);
  assert.ok(one(now, 'process_resident_memory_bytes') > 1e6 && one(now, 'process_cpu_seconds_total') > 0);
  assert.ok(Math.abs(one(now, 'process_start_time_seconds') - Date.now() / 1000) < 600);
  await until(async () => {
    const [{ last_pos: position, events, ring_bytes: bytes }] = await cluster.sql('SELECT * FROM rt.stat_relay');
    const families = await metrics();
    return one(families, 'rt_relay_position') === Number(position) && one(families, 'rt_relay_events_total') === Number(events) && one(families, 'rt_relay_ring_bytes') === Number(bytes);
  }, 'the relay\'s figures');
});

// Names in an expression: what is no function, label or keyword.
const namesIn = (expression) => expression.match(/\b(?:rt|process)_[a-z0-9_]+/g) ?? [];

test('the dashboard, the alert rules and the page name metrics that are there', async () => {
  const families = await metrics();
  const samples = new Set(Object.values(families).flatMap((family) => family.samples.map(({ name }) => name)));
  const dashboard = JSON.parse(await file('monitoring/grafana-dashboard.json'));
  const expressions = [...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)), ...dashboard.annotations.list.map(({ expr }) => expr)];
  assert.ok(expressions.length > 40);
  for (const expression of expressions) {
    assert.ok(namesIn(expression).length > 0, expression);
    for (const name of namesIn(expression)) assert.ok(samples.has(name), `the dashboard's ${name}`);
  }
  assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length, 'panels have ids of their own');
  const rules = parseYaml(await file('monitoring/alerts.yml')).groups.flatMap((group) => group.rules);
  const page = await file('docs/monitoring.md');
  assert.ok(rules.length > 10);
  for (const { alert, expr, labels, annotations } of rules) {
    assert.ok(namesIn(expr).length > 0 || /^up\{/.test(expr), expr);
    for (const name of namesIn(expr)) assert.ok(samples.has(name), `${alert}'s ${name}`);
    assert.match(labels.severity, /^(warning|critical)$/);
    assert.ok(annotations.summary.length > 10, alert);
    assert.ok(page.includes(`\`${alert}\``), `docs/monitoring.md tells what to do about ${alert}`);
  }
  const listed = new Map([...page.matchAll(/^\| `((?:rt|process)_\w+)` \| (counter|gauge|histogram) \| (.*) \|$/gm)].map(([, name, type, help]) => [name, `${type} ${help}`]));
  for (const [name, { type, help }] of Object.entries(families)) assert.equal(listed.get(name), `${type} ${help}`, `docs/monitoring.md has ${name}`);
  for (const name of listed.keys()) assert.ok(families[name], `${name} of docs/monitoring.md is there`);
  for (const doc of ['tuning', 'troubleshooting', 'security', 'monitoring']) {
    for (const [, name] of (await file(`docs/${doc}.md`)).matchAll(/`(rt_(?:gateway|relay|media)_[a-z_]+)`/g)) assert.ok(samples.has(name) || families[name], `docs/${doc}.md names ${name}`);
  }
});

test('an address of its own takes no connections from the clients', async () => {
  const own = await Cluster.start({ 'rt.max_connections': 900, 'rt.media_workers': 0, 'rt.metrics_address': `127.0.0.1:${await freePort()}` });
  const sockets = [];
  try {
    assert.equal((await fetch(own.env.RT_METRICS_URL)).status, 200);
    assert.equal((await own.rest('GET', '/metrics')).status, 404);
    // More than the descriptors that the few connections for metrics need.
    const { hostname, port } = new URL(own.url);
    for (let i = 0; i < 700; i++) sockets.push(connectTcp(Number(port), hostname).on('error', () => {}));
    const [user] = await own.users('alice');
    assert.equal((await own.rest('GET', '/api/users/me', user)).status, 200);
    const served = async () => Number((await (await fetch(own.env.RT_METRICS_URL)).text()).match(/^rt_gateway_connections\S* (\d+)$/m)[1]);
    await until(async () => (await served()) >= 700, 'all are served');
  } finally {
    for (const socket of sockets) socket.destroy();
    await own.stop();
  }
});
