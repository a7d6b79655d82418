// Signing in.
import { signIn } from './api.js';
import { brand, h, replace } from './dom.js';

// done(me) is called once somebody is in; `problem` is said at the start.
export function showLogin(root, done, problem = '') {
  const error = h('p', { class: 'error', role: 'alert' }, problem);
  const username = h('input', {
    name: 'username',
    autocomplete: 'username',
    autocapitalize: 'none',
    required: true,
  });
  const password = h('input', {
    name: 'password',
    type: 'password',
    autocomplete: 'current-password',
    required: true,
  });
  const button = h('button', { class: 'primary', type: 'submit' }, 'Sign in');

  async function submit(event) {
    event.preventDefault();
    error.textContent = '';
    button.disabled = true;
    try {
      await done(await signIn(username.value, password.value));
    } catch (failure) {
      error.textContent = failure.code === 'unauthorized' ? 'Wrong username or password.' : failure.message;
      button.disabled = false;
      password.select();
    }
  }

  replace(
    root,
    h(
      'main',
      { class: 'login' },
      h(
        'form',
        { class: 'card', onsubmit: submit },
        h('header', {}, brand(), h('h1', {}, 'Sign in')),
        h('p', { class: 'under' }, 'Chat and meetings, served by PostgreSQL.'),
        h('label', {}, 'Username', username),
        h('label', {}, 'Password', password),
        error,
        button,
      ),
    ),
  );
  username.focus();
}
