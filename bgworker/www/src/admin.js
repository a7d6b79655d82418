// Behind the glass: the server's figures as they change, for administrators.
import { rest } from './api.js';
import { ask, h, iconButton, replace, timeOf, toast } from './dom.js';

const EVERY_MS = 2000;
const KEPT = 90; // samples of a chart
const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 180;
const HEIGHT = 40;

const NUMBER = new Intl.NumberFormat([], { maximumFractionDigits: 1, notation: 'compact' });
const sum = (rows, key) => rows.reduce((total, row) => total + (row[key] ?? 0), 0);

// Each figure: words, unit, and how it comes from the figures of now; a rate is per second, from one look to the next.
const FIGURES = [
  { label: 'Connections', of: (s) => sum(s.gateways, 'sockets') },
  { label: 'Users', of: (s) => sum(s.gateways, 'users') },
  { label: 'Events a second', of: (s) => s.relay?.events ?? 0, isRate: true },
  { label: 'Frames out a second', of: (s) => sum(s.gateways, 'frames_out'), isRate: true },
  { label: 'Bytes out a second', of: (s) => sum(s.gateways, 'bytes_out'), isRate: true },
  { label: 'Answer to this page', unit: 'ms', of: (s) => s.answerMs },
  { label: 'Relay behind by', unit: 'ms', of: (s) => s.relay?.lagMs ?? 0 },
  {
    label: 'Ring in use',
    unit: '%',
    of: (s) => (s.relay?.ring_bytes ? (100 * s.relay.ring_used) / s.relay.ring_bytes : 0),
  },
  { label: 'Meetings', of: (s) => s.meetings.length },
  { label: 'Streams', of: (s) => s.media.streams },
  { label: 'Media out', unit: 'bit/s', of: (s) => s.media.bitrateBps },
];

// A line through the samples, from 0 to their highest.
function chart() {
  const svg = document.createElementNS(SVG, 'svg');
  const line = document.createElementNS(SVG, 'polyline');
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('class', 'chart');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(line);
  function draw(samples) {
    const top = Math.max(1e-9, ...samples);
    line.setAttribute(
      'points',
      samples
        .map(
          (value, i) =>
            `${(WIDTH * (i + KEPT - samples.length)) / (KEPT - 1)},${HEIGHT - 2 - ((HEIGHT - 4) * value) / top}`,
        )
        .join(' '),
    );
  }
  return { svg, draw };
}

function figure({ label, unit = '', of, isRate }) {
  const value = h('strong', {}, '–');
  const { svg, draw } = chart();
  const samples = [];
  let former = null;
  const node = h('li', { class: 'figure' }, h('span', {}, label), value, svg);
  function add(stats) {
    const now = { at: Date.parse(stats.at), raw: of(stats) };
    const shown = isRate
      ? former && (1000 * Math.max(0, now.raw - former.raw)) / Math.max(1, now.at - former.at)
      : now.raw;
    former = now;
    if (shown === null) return;
    samples.push(shown);
    if (samples.length > KEPT) samples.shift();
    value.textContent = `${NUMBER.format(shown)} ${unit}`;
    draw(samples);
  }
  return { node, add };
}

function table(caption, heads, rows) {
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
          heads.map((head) => h('th', { scope: 'col' }, head)),
        ),
      ),
      h(
        'tbody',
        {},
        rows.length
          ? rows.map((cells) =>
              h(
                'tr',
                {},
                cells.map((cell) => h('td', { dir: 'auto' }, cell ?? '–')),
              ),
            )
          : h('tr', {}, h('td', { colspan: heads.length }, 'None')),
      ),
    ),
  );
}

export function openAdmin(view) {
  const figures = FIGURES.map(figure);
  const tables = h('div', { class: 'tables' });
  const problem = h('p', { class: 'error', role: 'status' });
  let timer;
  let over = false;

  async function act(question, method, path) {
    if (!(await ask(question, {}, 'Yes'))) return;
    await rest(method, path).then(look, (error) => toast(error.message));
  }

  const disconnect = ({ userId }) =>
    iconButton('close', `Disconnect ${userId}`, () =>
      act(`Disconnect ${userId}?`, 'DELETE', `/api/admin/users/${encodeURIComponent(userId)}/connections`),
    );
  const end = ({ meetingId, title }) =>
    iconButton('close', `End ${title}`, () =>
      act(`End the meeting “${title}” for everybody?`, 'POST', `/api/admin/meetings/${meetingId}/end`),
    );

  function drawTables(s) {
    if (tables.contains(document.activeElement) || document.querySelector('dialog')) return; // somebody is about to press something
    replace(
      tables,
      table(
        'Programs',
        ['Kind', 'No.', 'State', 'Restarts', 'Since'],
        s.programs.map((p) => [p.kind, p.worker, p.state, p.restarts, p.since && timeOf(p.since)]),
      ),
      table(
        'Meetings',
        ['Title', 'Participants', 'Sent', 'Received', ''],
        s.meetings.map((m) => [m.title, m.participants, m.producers, m.consumers, end(m)]),
      ),
      table(
        'Rooms that are open',
        ['Name', 'Joined', 'Members', 'Messages'],
        s.rooms.map((r) => [r.name ?? 'direct', r.joined, r.members, r.lastSeq]),
      ),
      table(
        'Connections',
        ['User', 'Sockets', 'By', 'Since', ''],
        s.connections.map((c) => [c.userId, c.sockets, c.transport, timeOf(c.since), disconnect(c)]),
      ),
    );
  }

  async function look() {
    clearTimeout(timer);
    try {
      const started = performance.now();
      const { data } = await rest('GET', '/api/admin/stats');
      data.answerMs = performance.now() - started;
      problem.textContent = '';
      figures.forEach((one) => one.add(data));
      drawTables(data);
    } catch (error) {
      problem.textContent = error.code === 'forbidden' ? 'Only administrators may look here.' : error.message;
      if (error.code === 'forbidden') return;
    }
    if (!over) timer = setTimeout(look, EVERY_MS);
  }

  replace(
    view,
    h(
      'header',
      { class: 'bar' },
      h('a', { class: 'icon back', href: '#/', 'aria-label': 'All rooms' }, '‹'),
      h('h1', {}, 'Behind the glass'),
    ),
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
    },
  };
}
