// Before a meeting: a look at oneself, the choice of devices, and the password where one is asked for.
import { devices, openCamera, openMicrophone } from './devices.js';
import { avatar, h, replace } from './dom.js';
import { icon } from './icons.js';
import { state } from './state.js';

const OPEN = { camera: openCamera, microphone: openMicrophone };
const KIND = { camera: 'videoinput', microphone: 'audioinput' };

// join({ tracks, password }) is called when the person wants in; it throws with words to show.  The tracks are the
// caller's then.  Result: a function that ends the lobby.
export function openLobby(view, meeting, { asksPassword, join }) {
  const tracks = { camera: null, microphone: null };
  const problem = h('p', { class: 'error', role: 'alert' });
  const preview = h('video', { autoplay: true, playsinline: true, muted: true, 'aria-label': 'Your camera' });
  const password = h('input', { type: 'password', name: 'password', autocomplete: 'off', required: true });
  const button = h('button', { class: 'primary', type: 'submit' }, 'Join');
  let over = false;

  function show() {
    preview.srcObject = tracks.camera && new MediaStream([tracks.camera]);
    preview.hidden = !tracks.camera;
    for (const [what, { toggle }] of Object.entries(fields))
      toggle.setAttribute('aria-pressed', String(Boolean(tracks[what])));
  }

  function stop(what) {
    tracks[what]?.stop();
    tracks[what] = null;
  }

  async function open(what, id) {
    stop(what);
    try {
      const track = await OPEN[what](id);
      if (over) track.stop();
      else tracks[what] = track;
    } catch (error) {
      problem.textContent = error.message;
    }
    await offer(what);
    show();
  }

  async function offer(what) {
    const current = tracks[what]?.getSettings().deviceId;
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
    problem.textContent = '';
    if (!tracks[what]) {
      open(what, fields[what].select.value);
      return;
    }
    stop(what);
    show();
  }

  function field(what, label) {
    const select = h('select', {
      'aria-label': `Choose ${label.toLowerCase()}`,
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

  const fields = { camera: field('camera', 'Camera'), microphone: field('microphone', 'Microphone') };

  async function submit(event) {
    event.preventDefault();
    problem.textContent = '';
    button.disabled = true;
    try {
      await join({ tracks: { ...tracks }, password: asksPassword ? password.value : undefined });
      over = true;
    } catch (error) {
      problem.textContent = error.message;
      button.disabled = false;
      if (error.code === 'wrong_password') password.select();
    }
  }

  replace(
    view,
    h(
      'header',
      { class: 'bar' },
      h('a', { class: 'icon back', href: '#/', 'aria-label': 'All rooms' }, '‹'),
      h('h1', { dir: 'auto' }, meeting.title),
    ),
    h(
      'form',
      { class: 'lobby', onsubmit: submit },
      h('div', { class: 'preview' }, avatar(state.me.name, state.me.id), preview),
      fields.camera.row,
      fields.microphone.row,
      asksPassword && h('label', {}, 'Meeting password', password),
      problem,
      button,
    ),
  );
  // One after the other: browsers that ask for permission ask once at a time.
  open('camera').then(() => !over && open('microphone'));

  return () => {
    if (!over) ['camera', 'microphone'].forEach(stop);
    over = true;
  };
}
