// A guest: somebody with the link of a meeting, and no account.  The token is good for that meeting alone, and is kept by the
// tab alone, so that it neither signs anybody out nor outlives the visit.
import { becomeGuest, call, leaveAsGuest } from './api.js';
import { brand, h, replace, toast } from './dom.js';
import { t } from './i18n.js';
import { openMeeting } from './meeting.js';
import { connection } from './socket.js';
import { changed, state } from './state.js';

// What a guest is asked for; done(me) once the server has let them through to the meeting.
export function guestForm(meetingId, done) {
  const name = h('input', { name: 'name', autocomplete: 'name', required: true, maxlength: 64, dir: 'auto' });
  const password = h('input', { name: 'meeting-password', type: 'password', autocomplete: 'off' });
  const asksPassword = h('label', { hidden: true }, t('Meeting password'), password);
  const problem = h('p', { class: 'error', role: 'alert' });
  const button = h('button', { class: 'primary', type: 'submit' }, t('Continue as a guest'));

  function tell({ code, message }) {
    if (code === 'wrong_password') {
      problem.textContent = asksPassword.hidden ? '' : t('Wrong meeting password.');
      asksPassword.hidden = false;
      password.required = true;
      password.select();
    } else
      problem.textContent =
        {
          forbidden: /locked/i.test(message)
            ? t('The host locked this meeting. No one else can join.')
            : t('This meeting is not open to guests. Sign in to join it.'),
          not_found: t('Meeting not found. Check the link.'),
          gone: t('This meeting has ended.'),
          full: t('This meeting is full. Try again later.'),
          rate_limited: t('Too many attempts. Wait a moment and try again.'),
        }[code] ?? message;
  }

  async function submit(event) {
    event.preventDefault();
    problem.textContent = '';
    button.disabled = true;
    try {
      const body = { name: name.value, password: password.value || undefined };
      const { token, user } = await call('createGuest', { params: { meetingId }, body, token: null });
      becomeGuest(meetingId, token, user);
      done(user);
    } catch (error) {
      tell(error);
      button.disabled = false;
    }
  }

  return h(
    'form',
    { class: 'card', onsubmit: submit },
    h('h2', {}, t('Join the meeting as a guest')),
    h('label', {}, t('Your name'), name),
    asksPassword,
    problem,
    button,
  );
}

// The meeting and nothing beside it.
export function startGuest(root, me, meetingId) {
  const view = h('div', { id: 'view', tabindex: '-1' });
  const callPlace = h('section', { class: 'call', 'aria-label': t('Call'), hidden: true });
  let current = { close() {} };
  state.me = { ...me, guest: true };
  document.body.dataset.view = 'meeting';

  function showLeft() {
    const again = () => {
      location.hash = `#/meeting/${meetingId}`;
    };
    const end = async () => {
      await leaveAsGuest(meetingId);
      location.reload();
    };
    replace(
      view,
      h(
        'div',
        { class: 'empty end' },
        brand(),
        h('h1', {}, t('You left the meeting.')),
        h(
          'div',
          { class: 'row' },
          h('button', { type: 'button', class: 'primary', onclick: again }, t('Join again')),
          h('button', { type: 'button', onclick: end }, t('Done')),
        ),
      ),
    );
  }

  function route() {
    current.close();
    current = { close() {} };
    view.hidden = false;
    if (location.hash === `#/meeting/${meetingId}`) current = openMeeting(view, callPlace, meetingId);
    else showLeft();
  }

  replace(root, h('main', { class: 'content guest' }, view, callPlace));
  addEventListener('hashchange', route);
  connection.on('connected', () => {
    state.online = true;
    changed('online');
  });
  connection.on('disconnected', (reason) => {
    state.online = false;
    changed('online');
    if (reason === 'io server disconnect') toast(t('Your visit has ended.'));
  });
  connection.open();
  route();
}
