// The meetings one can go to: those that run, and those that were announced.  The server tells nobody but those in a
// meeting when it begins or ends, so the list is asked for again when somebody looks.
import { t } from './i18n.js';
import { call } from './api.js';
import { h, replace, rove, whenOf } from './dom.js';
import { icon } from './icons.js';
import { isInFront, listen, changed, state } from './state.js';

const AGAIN_MS = 30_000;
const ANNOUNCED_FOR_MS = 12 * 3600_000; // how long a meeting that nobody has begun is offered
const SHOWN = 8;

function isOffered(meeting) {
  if (meeting.status === 'live') return true;
  return (
    meeting.status === 'scheduled' &&
    Date.now() - new Date(meeting.startsAt ?? meeting.createdAt) < ANNOUNCED_FOR_MS
  );
}

export async function loadMeetings() {
  const { data } = await call('listMeetings', { query: { limit: 50 } });
  for (const meeting of data) know(meeting);
}

// What is known of a meeting, for the list and for messages that lead to it.
export function know(meeting) {
  const known = state.meetings.get(meeting.id);
  state.meetings.set(meeting.id, meeting);
  if (known?.status !== meeting.status || known?.title !== meeting.title) changed('meetings', meeting.id);
}

// Asks about one that the list does not have; once.
const asked = new Set();
export function statusOf(id) {
  if (!state.meetings.has(id) && !asked.has(id)) {
    asked.add(id);
    call('getMeeting', { params: { meetingId: id } }).then(
      ({ data }) => know(data),
      (error) => error.code === 'not_found' && know({ id, status: 'ended', title: '' }),
    );
  }
  return state.meetings.get(id)?.status;
}

function row(meeting) {
  const words =
    meeting.status === 'live'
      ? t('Live now')
      : meeting.startsAt
        ? t('Starts {when}', { when: whenOf(meeting.startsAt) })
        : t('Not started');
  return h(
    'li',
    { class: meeting.status },
    h(
      'a',
      { href: `#/meeting/${meeting.id}`, tabindex: '-1' },
      icon('camera'),
      h('span', { class: 'who', dir: 'auto' }, meeting.title),
      h('small', {}, words),
    ),
  );
}

export function meetingList() {
  const list = h('ul', { class: 'meetings' });
  const node = h('section', { 'aria-label': t('Meetings'), hidden: true }, list);
  rove(list, 'a');

  function draw() {
    const offered = [...state.meetings.values()].filter(isOffered);
    offered.sort((a, b) =>
      a.status === b.status ? Number(b.id) - Number(a.id) : a.status === 'live' ? -1 : 1,
    );
    node.hidden = !offered.length;
    replace(list, offered.slice(0, SHOWN).map(row));
    list.querySelector('a')?.setAttribute('tabindex', '0');
  }

  const load = () => {
    if (state.online) loadMeetings().catch(() => {});
  };
  listen('meetings', draw);
  listen('online', load);
  listen('messages', ({ message }) => message?.metadata?.meetingId && load());
  addEventListener('focus', load);
  setInterval(() => isInFront() && load(), AGAIN_MS);
  return node;
}
