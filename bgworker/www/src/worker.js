// The page's side of the service worker: registers it, and notices when the server has another version of the application.
import { BASE } from './api.js';
import { h } from './dom.js';
import { t } from './i18n.js';

const YOUNG_MS = 10_000; // so early nobody has begun anything that a reload would disturb
const LOOK_MS = 30 * 60_000;
const SCRIPT = new URL('sw.js', BASE);

function offer() {
  if (document.querySelector('.update')) return;
  const reload = h(
    'button',
    { type: 'button', class: 'small', onclick: () => location.reload() },
    t('Reload'),
  );
  document
    .querySelector('.content')
    ?.prepend(h('p', { class: 'update', role: 'status' }, t('There is a new version.'), reload));
}

// A server of before has none: then the application must come from it again.
async function giveUp(registration) {
  const reply = await fetch(SCRIPT, { cache: 'no-store' }).catch(() => null);
  if (reply?.status !== 404) return;
  await registration.unregister();
  offer();
}

// isBusy(): whether a reload would disturb somebody.
export async function keepShell(isBusy) {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return; // no TLS
  const isUpdate = Boolean(serviceWorker.controller);
  serviceWorker.addEventListener('controllerchange', () => {
    if (!isUpdate) return;
    const isYoung = performance.now() < YOUNG_MS && !document.querySelector('dialog[open]');
    if ((document.hidden || isYoung) && !isBusy()) location.reload();
    else offer();
  });
  try {
    const registration = await serviceWorker.register(SCRIPT);
    const look = () => registration.update().catch(() => giveUp(registration));
    if (isUpdate) look();
    setInterval(look, LOOK_MS);
  } catch {
    // the browser does not want it, and all works without
  }
}
