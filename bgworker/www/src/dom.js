// The few lines that a framework would be used for.
import { nextFrame } from './frame.js';
import { locale, t } from './i18n.js';
import { icon } from './icons.js';

const AS_PROPERTY = new Set(['value', 'srcObject', 'muted']);
const isThere = (child) => child !== undefined && child !== null && child !== false;

// h('button', { class: 'x', onclick: f }, 'text', child): attributes, handlers ("on…"), properties of form fields.
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (!isThere(value)) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (AS_PROPERTY.has(key)) node[key] = value;
    else node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.flat().filter(isThere));
  return node;
}

// Does what makes parts of a node anew; what has the focus is found again by its data-key, or its label.
export function keepFocus(node, work) {
  const active = node.contains(document.activeElement) ? document.activeElement : null;
  const name = ['data-key', 'aria-label'].find((one) => active?.hasAttribute(one));
  const value = active?.getAttribute(name);
  work();
  if (name && !active.isConnected)
    node.querySelector(`[${name}="${CSS.escape(value)}"]`)?.focus({ preventScroll: true });
}

// One tab stop for a list: the arrows, Home and End go on inside it.  `items` is a selector of what takes the focus.
export function rove(list, items) {
  const all = () => [...list.querySelectorAll(items)].filter((item) => item.offsetParent);
  list.addEventListener('keydown', (event) => {
    const among = all();
    const at = among.indexOf(event.target.closest(items));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: among.length - 1 }[event.key];
    if (at < 0 || event.target !== among[at] || !among[to]) return;
    event.preventDefault();
    among[to].focus();
  });
  list.addEventListener('focusin', (event) => {
    const item = event.target.closest(items);
    if (!item) return;
    list.querySelectorAll(items).forEach((one) => one.setAttribute('tabindex', one === item ? '0' : '-1'));
  });
}

export function replace(parent, ...children) {
  parent.replaceChildren(...children.flat().filter(isThere));
}

// A button that is an icon to the eye and words to a screen reader.  The icon is one of icons.js, or an emoji.
export function iconButton(name, label, onclick, props = {}) {
  return h(
    'button',
    { type: 'button', class: 'icon', 'aria-label': label, title: label, onclick, ...props },
    icon(name) ?? h('span', { 'aria-hidden': 'true' }, name),
  );
}

// To the list, where that has no room beside the view.
export function backLink() {
  return h('a', { class: 'icon back', href: '#/', 'aria-label': t('All rooms') }, '‹');
}

// To screen readers.  Of a burst they get the last ones.
const MOST_SAID = 3;
let toSay = [];

function say() {
  document.getElementById('announce').textContent = toSay.slice(-MOST_SAID).join('\n'); // the same words twice are said twice
  toSay = [];
}

export function announce(text) {
  toSay.push(text);
  nextFrame(say);
}

// A short message at the bottom of the window, for refusals and the like.
export function toast(text) {
  const node = h('div', { class: 'toast', role: 'alert' }, text);
  clearToast();
  document.body.append(node);
  setTimeout(() => node.remove(), 6000);
}

export function clearToast() {
  document.querySelectorAll('.toast').forEach((old) => old.remove());
}

// A modal dialog that is gone from the page when it closes.
export function openDialog(label, ...children) {
  const dialog = h('dialog', { 'aria-label': label }, ...children);
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

function field(name, { label, rows, options, value, ...props }) {
  if (props.type === 'checkbox') {
    const input = h('input', { ...props, name });
    return { name, input, node: h('label', { class: 'check' }, input, label) };
  }
  const input = options
    ? h(
        'select',
        { name },
        options.map((one) => {
          const [choice, words] = [one].flat();
          return h('option', { value: choice, selected: choice === value }, words ?? t(choice));
        }),
      )
    : h(rows ? 'textarea' : 'input', { dir: 'auto', autocomplete: 'off', ...props, value, rows, name });
  return { name, input, node: h('label', {}, label, input) };
}

// Asks with a native dialog: fields are inputs by name, several lines where `rows` is given, a choice where `options`
// are: values, or pairs of a value and its words.  act(values) does what was asked for; what it refuses is shown in the dialog, which keeps what was typed.
// Resolves to the values once it is done, or to null.
// `about` is shown above the fields.
export function ask(title, fields, action = t('OK'), act = async () => {}, about = []) {
  return new Promise((resolve) => {
    const inputs = Object.entries(fields).map(([name, options]) => field(name, options));
    const problem = h('p', { class: 'error', role: 'alert' });
    const button = h('button', { type: 'submit', class: 'primary' }, action);
    let answer = null;

    async function submit(event) {
      event.preventDefault();
      problem.textContent = '';
      button.disabled = true;
      try {
        const values = Object.fromEntries(
          inputs.map(({ name, input }) => [name, input.type === 'checkbox' ? input.checked : input.value]),
        );
        await act(values);
        answer = values;
        dialog.close();
      } catch (error) {
        problem.textContent = error.message;
        button.disabled = false;
        inputs[0]?.input.focus();
      }
    }

    const cancel = h('button', { type: 'button', onclick: () => dialog.close() }, t('Cancel'));
    const form = h(
      'form',
      { method: 'dialog', onsubmit: submit },
      h('h2', {}, title),
      about,
      inputs.map(({ node }) => node),
      problem,
      h('div', { class: 'row end' }, cancel, button),
    );
    const dialog = openDialog(title, form);
    dialog.addEventListener('close', () => resolve(answer));
  });
}

// Does it; a refusal is shown.
export async function guarded(work) {
  try {
    await work();
  } catch (error) {
    toast(error.message);
  }
}

// ---- times -----------------------------------------------------------------------

// In the language of the page, which is known when the first time is shown.
function format(options) {
  let made;
  return { format: (date) => (made ??= new Intl.DateTimeFormat(locale(), options)).format(date) };
}

const CLOCK = format({ timeStyle: 'short' });
const DAY = format({ weekday: 'long', day: 'numeric', month: 'long' });
const DAY_AND_YEAR = format({ day: 'numeric', month: 'long', year: 'numeric' });
const SHORT_DAY = format({ day: 'numeric', month: 'short' });
const DAY_MS = 86_400_000;

const isSameDay = (a, b) => a.toDateString() === b.toDateString();

// The same times are asked for again and again: what was made of one is kept for its minute, until the day ends.
function byMinute(make) {
  let made = new Map();
  let madeOn = '';
  return (iso) => {
    const today = new Date().toDateString();
    if (today !== madeOn) [made, madeOn] = [new Map(), today];
    const minute = iso.slice(0, 16);
    if (!made.has(minute)) made.set(minute, make(iso));
    return made.get(minute);
  };
}

export const timeOf = byMinute((iso) => CLOCK.format(new Date(iso)));

function nameOfDay(iso) {
  const [date, now] = [new Date(iso), new Date()];
  if (isSameDay(date, now)) return t('Today');
  if (isSameDay(date, new Date(now - DAY_MS))) return t('Yesterday');
  return (date.getFullYear() === now.getFullYear() ? DAY : DAY_AND_YEAR).format(date);
}

export const dayOf = byMinute(nameOfDay);

// The time of today, the day of what is older.
export const briefOf = byMinute((iso) => {
  const date = new Date(iso);
  return isSameDay(date, new Date()) ? CLOCK.format(date) : SHORT_DAY.format(date);
});

export function whenOf(iso) {
  const date = new Date(iso);
  return isSameDay(date, new Date())
    ? CLOCK.format(date)
    : `${SHORT_DAY.format(date)}, ${CLOCK.format(date)}`;
}

export function brand() {
  return h('img', { class: 'brand', src: 'assets/icon.svg', alt: '', width: 48, height: 48 });
}

// ---- faces -----------------------------------------------------------------------

// Ids that differ by one lie far apart on the wheel of colours.
function hueOf(text) {
  const hash = [...text].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 65_536, 0);
  return Math.round(hash * 137.5) % 360;
}

// A round sign with the first letter of a name, in the colour of an id.
export function avatar(name, id) {
  const letter = [...(name || '?').trim()].slice(0, 1).join('').toUpperCase();
  const node = h('span', { class: 'avatar', 'aria-hidden': 'true' }, letter);
  node.style.setProperty('--hue', hueOf(String(id)));
  return node;
}
