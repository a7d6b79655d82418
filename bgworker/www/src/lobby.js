// Before a meeting: a look at oneself, the choice of devices, and the password where one is asked for.
import { devices } from './devices.js';
import { avatar, backLink, h, replace } from './dom.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { watchLevel } from './level.js';
import { state } from './state.js';

const LOUDEST = 1;
const KIND = { camera: 'videoinput', microphone: 'audioinput' };

// join({ password }) is called when the person wants in; it throws with words to show.  What `media` has by then, or is
// still waiting for, goes along.  `other` is the title of the call that one is in.
export function openLobby(view, meeting, { media, asksPassword, other, join, cancel }) {
  const problem = h('p', { class: 'error', role: 'alert' });
  const preview = h('video', {
    autoplay: true,
    playsinline: true,
    muted: true,
    'aria-label': t('Your camera'),
  });
  const password = h('input', { type: 'password', name: 'password', autocomplete: 'off' });
  const passwordField = h('label', { hidden: true }, t('Meeting password'), password);
  const button = h(
    'button',
    { class: 'primary', type: 'submit' },
    other ? t('Leave “{title}” and join', { title: other }) : t('Join'),
  );

  const waiting = h(
    'div',
    { class: 'wait', role: 'status', hidden: true },
    h('span', { class: 'spinner', 'aria-hidden': 'true' }),
    h('span', { class: 'grow' }, t('Waiting for the host to let you in…')),
    h('button', { type: 'button', onclick: cancel }, t('Cancel')),
  );

  function showPassword() {
    passwordField.hidden = false;
    password.required = true;
  }

  function showWaiting(isWaiting) {
    waiting.hidden = !isWaiting;
    button.hidden = isWaiting;
    if (isWaiting) waiting.querySelector('button').focus();
  }

  const level = h('meter', {
    class: 'level',
    min: 0,
    max: LOUDEST,
    value: 0,
    'aria-label': t('Microphone level'),
  });
  let heard = null; // the track that the meter shows
  let stopHearing = () => {};

  function hear() {
    const track = media.tracks.get('microphone') ?? null;
    if (track === heard) return;
    stopHearing();
    heard = track;
    level.hidden = !track;
    stopHearing = track
      ? watchLevel(track, (value) => {
          if (!level.isConnected) stopHearing();
          else level.value = value;
        })
      : () => {};
  }

  function show() {
    hear();
    const camera = media.tracks.get('camera');
    preview.srcObject = camera ? new MediaStream([camera]) : null;
    preview.hidden = !camera;
    for (const [what, { toggle }] of Object.entries(fields)) {
      toggle.setAttribute('aria-pressed', String(media.tracks.has(what)));
      toggle.setAttribute('aria-busy', String(media.isOpening(what)));
    }
  }

  const troubles = new Map(); // device -> why it cannot be had
  const tell = () => {
    problem.textContent = [...troubles.values()].join(' ');
  };

  async function open(what, id) {
    try {
      await media.open(what, id);
    } catch (error) {
      troubles.set(what, error.message);
      tell();
    }
    await offer(what);
  }

  async function offer(what) {
    const current = media.tracks.get(what)?.getSettings().deviceId;
    const { select } = fields[what];
    replace(
      select,
      (await devices(KIND[what])).map(({ id, label }) =>
        h('option', { value: id, selected: id === current }, label),
      ),
    );
    select.disabled = !select.options.length;
  }

  function turn(what) {
    troubles.delete(what);
    tell();
    if (media.tracks.has(what) || media.isOpening(what)) media.stop(what);
    else open(what, fields[what].select.value);
  }

  function field(what, label) {
    const select = h('select', {
      'aria-label': t('Choose {device}', { device: t(what) }),
      disabled: true,
      onchange: () => open(what, select.value),
    });
    const toggle = h(
      'button',
      { type: 'button', 'aria-pressed': 'false', onclick: () => turn(what) },
      icon(what),
      label,
    );
    return { select, toggle, row: h('div', { class: 'row' }, toggle, select) };
  }

  const fields = { camera: field('camera', t('Camera')), microphone: field('microphone', t('Microphone')) };

  async function submit(event) {
    event.preventDefault();
    problem.textContent = '';
    button.disabled = true;
    try {
      await join({ password: passwordField.hidden ? undefined : password.value }, () => showWaiting(true));
      showWaiting(false);
      button.disabled = false;
    } catch (error) {
      showWaiting(false);
      problem.textContent = error.message;
      button.disabled = false;
      if (error.code === 'wrong_password') {
        showPassword();
        password.select();
      }
    }
  }

  replace(
    view,
    h('header', { class: 'bar' }, backLink(), h('h1', { dir: 'auto' }, meeting.title)),
    h(
      'form',
      { class: 'lobby', onsubmit: submit },
      h('div', { class: 'preview' }, avatar(state.me.name, state.me.id), preview),
      fields.camera.row,
      fields.microphone.row,
      level,
      passwordField,
      problem,
      waiting,
      button,
    ),
  );
  if (asksPassword) showPassword();
  media.onChange = show;
  show();
  open('camera');
  open('microphone');
}
