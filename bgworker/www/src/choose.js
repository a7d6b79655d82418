// Another camera or microphone in the middle of a call.
import { devices } from './devices.js';
import { guarded, h, openDialog } from './dom.js';
import { t } from './i18n.js';

async function field(media, isPaused, source, kind, label) {
  const current = media.preferred.get(source) ?? media.tracks.get(source)?.getSettings().deviceId;
  const found = await devices(kind);
  const select = h(
    'select',
    { disabled: !found.length },
    found.map(({ id, label: name }) => h('option', { value: id, selected: id === current }, name)),
  );
  select.addEventListener('change', () =>
    guarded(() => {
      // What is muted stays so: the device is opened when the microphone is turned on.
      if (isPaused(source)) media.stop(source);
      return media.choose(source, select.value);
    }),
  );
  return h('label', {}, label, select);
}

// isPaused(source): whether it is open and muted.
export async function chooseDevices(media, isPaused) {
  const fields = [
    await field(media, isPaused, 'camera', 'videoinput', t('Camera')),
    await field(media, isPaused, 'microphone', 'audioinput', t('Microphone')),
  ];
  const words = t('Camera and microphone');
  const close = h('button', { type: 'button', class: 'primary', onclick: () => dialog.close() }, t('Close'));
  const dialog = openDialog(
    words,
    h('form', { method: 'dialog' }, h('h2', {}, words), fields, h('div', { class: 'row end' }, close)),
  );
}
