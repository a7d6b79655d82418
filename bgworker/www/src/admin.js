// Behind the glass: the server's figures as they change, for administrators.
import { call } from './api.js';
import { chart } from './chart.js';
import { ask, backLink, guarded, h, iconButton, keepFocus, replace, timeOf } from './dom.js';

const EVERY_MS = 2000;
const KEPT = 90; // samples of a figure

const SHORT = new Intl.NumberFormat([], { maximumFractionDigits: 1, notation: 'compact' });
const CLOCK = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const sum = (rows, key) => rows.reduce((total, row) => total + (row[key] ?? 0), 0);
const short = (value) => SHORT.format(value);

// Each figure: words, unit, and how it comes from the figures of now; a rate is per second, from one look to the next.
const FIGURES = [
  { label: 'Connections', of: (s) => sum(s.gateways, 'sockets'), least: 4 },
  { label: 'Users', of: (s) => sum(s.gateways, 'users'), least: 4 },
  { label: 'Events per second', of: (s) => s.relay?.events ?? 0, isRate: true, least: 4 },
  { label: 'Frames sent per second', of: (s) => sum(s.gateways, 'frames_out'), isRate: true, least: 4 },
  { label: 'Bytes sent per second', of: (s) => sum(s.gateways, 'bytes_out'), isRate: true, least: 1000 },
  { label: 'Bytes queued for clients', of: (s) => sum(s.gateways, 'queued_bytes'), least: 1000 },
  { label: 'Heartbeat round trip', unit: 'ms', of: (s) => s.latencyMs ?? 0, least: 20 },
  { label: 'API response time', unit: 'ms', of: (s) => s.answerMs, least: 20 },
  { label: 'Relay lag', unit: 'ms', of: (s) => s.relay?.lagMs ?? 0, least: 20 },
  { label: 'Ring in use', unit: '%', of: ringPercent, least: 10 },
  { label: 'Media streams', of: (s) => s.media.streams, least: 4 },
  { label: 'Media out', unit: 'bit/s', of: (s) => s.media.bitrateBps, least: 1000 },
];

function ringPercent({ relay }) {
  return relay?.ring_bytes ? (100 * relay.ring_used) / relay.ring_bytes : 0;
}

// ---- figures ----------------------------------------------------------------------

class Figure {
  constructor({ label, unit = '', of, isRate = false, least }) {
    Object.assign(this, { unit, of, isRate, former: null, times: [], values: [], pointed: null });
    this.value = h('strong', {}, '–');
    this.when = h('small', {});
    this.chart = chart({ format: short, least, onPoint: (index) => this.point(index) });
    this.node = h('li', { class: 'figure' }, h('span', {}, label, this.when), this.value, this.chart.node);
  }

  add(stats) {
    const at = Date.parse(stats.at) / 1000;
    const value = this.valueOf(at, this.of(stats));
    if (value === null) return;
    this.times.push(at);
    this.values.push(value);
    if (this.times.length > KEPT) {
      this.times.shift();
      this.values.shift();
    }
    this.chart.draw(this.times, this.values);
    this.say();
  }

  // A rate is known from the second look on.
  valueOf(at, raw) {
    const { former } = this;
    this.former = { at, raw };
    if (!this.isRate) return raw;
    return former && Math.max(0, raw - former.raw) / Math.max(0.001, at - former.at);
  }

  point(index) {
    this.pointed = index;
    this.say();
  }

  say() {
    const index = this.pointed ?? this.values.length - 1;
    if (this.values[index] === undefined) return;
    this.value.textContent = `${short(this.values[index])} ${this.unit}`;
    this.when.textContent = this.pointed === null ? '' : ` at ${CLOCK.format(this.times[index] * 1000)}`;
  }
}

// ---- tables -----------------------------------------------------------------------

function table(caption, heads, rows) {
  const line = (cells) =>
    h(
      'tr',
      {},
      cells.map((cell) => h('td', { dir: 'auto' }, cell ?? '–')),
    );
  const none = h('tr', {}, h('td', { colspan: heads.length, class: 'none' }, 'None'));
  return h(
    'div',
    { class: 'wide', tabindex: '0', role: 'region', 'aria-label': caption },
    h(
      'table',
      {},
      h('caption', {}, caption),
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          heads.map((head) => h('th', { scope: 'col' }, head || h('span', { class: 'hidden' }, 'Actions'))),
        ),
      ),
      h('tbody', {}, rows.length ? rows.map(line) : none),
    ),
  );
}

const milliseconds = (value) => (value === null ? null : `${short(value)} ms`);

const TABLES = [
  (s) =>
    table(
      'Processes',
      ['Kind', 'No.', 'State', 'Restarts', 'Since'],
      s.programs.map((p) => [p.kind, p.worker, p.state, p.restarts, p.since && timeOf(p.since)]),
    ),
  (s) =>
    table(
      'Gateways',
      ['No.', 'Clients', 'Disconnected', 'Rate limited', 'Recovered', 'Draining until'],
      s.gateways.map((g) => [
        g.slot,
        g.sockets,
        g.cut_off,
        g.rate_limited,
        g.recovered,
        g.draining_until && timeOf(g.draining_until),
      ]),
    ),
  (s, { end }) =>
    table(
      'Meetings',
      ['Title', 'Participants', 'Sent', 'Received', ''],
      s.meetings.map((m) => [m.title, m.participants, m.producers, m.consumers, end(m)]),
    ),
  (s) =>
    table(
      'Open rooms',
      ['Name', 'Joined', 'Members', 'Messages'],
      s.rooms.map((r) => [r.name ?? 'direct', r.joined, r.members, short(r.lastSeq)]),
    ),
  (s, { disconnect }) =>
    table(
      'Connections',
      ['User', 'Sockets', 'Transport', 'Heartbeat', 'Queued', 'Since', ''],
      s.connections.map((c) => [
        c.userId,
        c.sockets,
        c.transport,
        milliseconds(c.latencyMs),
        `${short(c.queuedBytes)} B`,
        timeOf(c.since),
        disconnect(c),
      ]),
    ),
];

// ---- together ---------------------------------------------------------------------

export function openAdmin(view) {
  const figures = FIGURES.map((figure) => new Figure(figure));
  const tables = h('div', { class: 'tables' });
  const problem = h('p', { class: 'error', role: 'status' });
  let timer;
  let over = false;

  async function act(question, name, params) {
    if (!(await ask(question, {}, 'Yes'))) return;
    await guarded(async () => {
      await call(name, { params });
      await look();
    });
  }

  const actions = {
    disconnect: ({ userId }) =>
      iconButton('close', `Disconnect ${userId}`, () =>
        act(`Disconnect ${userId}?`, 'disconnectUser', { userId }),
      ),
    end: ({ meetingId, title }) =>
      iconButton('close', `End ${title}`, () =>
        act(`End the meeting “${title}” for everyone?`, 'endAnyMeeting', { meetingId }),
      ),
  };

  function drawTables(stats) {
    if (tables.querySelector(':active') || document.querySelector('dialog')) return; // something is being pressed
    keepFocus(tables, () =>
      replace(
        tables,
        TABLES.map((draw) => draw(stats, actions)),
      ),
    );
  }

  async function look() {
    clearTimeout(timer);
    try {
      const started = performance.now();
      const { data } = await call('getStats');
      if (over) return;
      data.answerMs = performance.now() - started;
      problem.textContent = '';
      figures.forEach((figure) => figure.add(data));
      drawTables(data);
    } catch (error) {
      problem.textContent =
        error.code === 'forbidden' ? 'Only administrators can see this page.' : error.message;
      if (error.code === 'forbidden') return;
    }
    if (!over) timer = setTimeout(look, EVERY_MS);
  }

  replace(
    view,
    h('header', { class: 'bar' }, backLink(), h('h1', {}, 'Administration')),
    h(
      'div',
      { class: 'admin', tabindex: '0', role: 'region', 'aria-label': 'Figures' },
      problem,
      h(
        'ul',
        { class: 'figures' },
        figures.map(({ node }) => node),
      ),
      tables,
    ),
  );
  look();
  return {
    close() {
      over = true;
      clearTimeout(timer);
      figures.forEach((figure) => figure.chart.close());
    },
  };
}
