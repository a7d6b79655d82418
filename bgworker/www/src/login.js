// Signing in: by a password and, where the user has one, a second factor, or at an identity provider.
import { BASE, signIn } from './api.js';
import { brand, h, replace } from './dom.js';
import { t } from './i18n.js';

// The provider that the server offers, or null.
async function provider() {
  try {
    return (await (await fetch(new URL('assets/settings.json', BASE))).json()).oidc;
  } catch {
    return null;
  }
}

function field(label, name, props) {
  const input = h('input', { name, required: true, ...props });
  return { input, node: h('label', {}, label, input) };
}

// done(me) is called once somebody is in; `problem` is said at the start.  With the link of a meeting one may join as a guest,
// too: doneAsGuest(me).
export function showLogin(root, { done, problem = '', meetingId, doneAsGuest }) {
  const error = h('p', { class: 'error', role: 'alert' }, problem);
  const username = field(t('Username'), 'username', { autocomplete: 'username', autocapitalize: 'none' });
  const password = field(t('Password'), 'password', { type: 'password', autocomplete: 'current-password' });
  const code = field(t('Code from your authenticator app, or a recovery code'), 'code', {
    autocomplete: 'one-time-code',
    autocapitalize: 'characters',
    spellcheck: 'false',
    required: false,
  });
  const button = h('button', { class: 'primary', type: 'submit' }, t('Sign in'));
  const others = h('div', { class: 'others', hidden: true });

  // The second step: the name and the password stay, and are sent again with the code.
  function askForCode() {
    username.node.hidden = true;
    password.node.hidden = true;
    code.node.hidden = false;
    others.hidden = true;
    code.input.required = true;
    code.input.focus();
  }

  function tell(failure) {
    const isCode = !code.node.hidden;
    if (failure.twoFactor === 'required') askForCode();
    else if (failure.code === 'unauthorized')
      error.textContent = isCode ? t('Wrong code.') : t('Wrong username or password.');
    else error.textContent = failure.message;
    button.disabled = false;
    (code.node.hidden ? password : code).input.select();
  }

  async function submit(event) {
    event.preventDefault();
    error.textContent = '';
    button.disabled = true;
    try {
      await done(
        await signIn(username.input.value, password.input.value, code.input.value.trim() || undefined),
      );
    } catch (failure) {
      tell(failure);
    }
  }

  async function offerProvider() {
    const offered = await provider();
    if (!offered) return;
    const at = h(
      'button',
      { type: 'button', class: 'provider' },
      t('Sign in with {host}', { host: new URL(offered.issuer).host }),
    );
    at.addEventListener('click', async () => {
      error.textContent = '';
      at.disabled = true;
      try {
        const { begin } = await import('./oidc.js');
        await begin(offered);
      } catch (failure) {
        error.textContent = failure.message;
        at.disabled = false;
      }
    });
    replace(others, h('p', { class: 'or' }, h('span', {}, t('or'))), at);
    others.hidden = !code.node.hidden;
  }

  const guests = h('div', { class: 'guests', hidden: true });
  async function offerGuests() {
    const { guestForm } = await import('./guest.js');
    replace(guests, guestForm(meetingId, doneAsGuest));
    guests.hidden = false;
  }

  code.node.hidden = true;
  replace(
    root,
    h(
      'main',
      { class: 'login' },
      h(
        'form',
        { class: 'card', onsubmit: submit },
        h('header', {}, brand(), h('h1', {}, t('Sign in'))),
        h('p', { class: 'under' }, t('Chat and meetings, served by PostgreSQL.')),
        username.node,
        password.node,
        code.node,
        error,
        button,
        others,
      ),
      guests,
    ),
  );
  username.input.focus();
  offerProvider();
  if (meetingId) offerGuests();
}
