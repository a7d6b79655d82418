// What the keyboard can do, and the page that lists it.
import { t } from './i18n.js';
import { h, openDialog } from './dom.js';

const SHORTCUTS = [
  ['Ctrl+K', t('Find a room')],
  ['Alt+↑, Alt+↓', t('Previous and next room')],
  ['↑, ↓, Home, End', t('Move in a list: rooms, meetings, messages')],
  ['Tab', t('At a message: its links and actions')],
  ['Enter', t('Send the message')],
  ['Shift+Enter', t('New line')],
  ['@, then ↑, ↓, Enter', t('Mention a member')],
  ['Page Up, Page Down', t('Previous and next page of a meeting')],
  ['Esc', t('Cancel a reply, close a dialog')],
  ['?', t('This list')],
];

export function showShortcuts() {
  const row = ([keys, words]) => [h('dt', {}, h('kbd', {}, keys)), h('dd', {}, words)];
  const dialog = openDialog(
    t('Keyboard shortcuts'),
    h('h2', {}, t('Keyboard shortcuts')),
    h('dl', { class: 'shortcuts' }, SHORTCUTS.flatMap(row)),
    h(
      'div',
      { class: 'row end' },
      h('button', { type: 'button', class: 'primary', onclick: () => dialog.close() }, t('Close')),
    ),
  );
}

function goToNeighbour(step) {
  const links = [...document.querySelectorAll('.rooms li:not([hidden]) a')];
  const at = links.findIndex((link) => link.hasAttribute('aria-current'));
  const next = links[at < 0 ? 0 : at + step];
  if (next) location.hash = next.hash;
}

export function startShortcuts() {
  addEventListener('keydown', (event) => {
    if (document.querySelector('dialog[open]')) return;
    const isTyping = event.target.closest?.('input, textarea, select');
    if (event.altKey && event.key === 'ArrowUp') goToNeighbour(-1);
    else if (event.altKey && event.key === 'ArrowDown') goToNeighbour(1);
    else if (event.key === '?' && !isTyping) showShortcuts();
    else return;
    event.preventDefault();
  });
}
