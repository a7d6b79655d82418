// Mentions: names of members that are offered while one writes @, and shown where they stand in a message.
import { t } from './i18n.js';
import { h, replace } from './dom.js';

const BEING_WRITTEN = /(?:^|\s)@([^\s@]*)$/u;
const OFFERED = 6;
let made = 0; // a conversation and a thread beside it have one each

// Offers members() above a text field: arrows choose, Enter and Tab take.
export class MentionOffer {
  constructor(input, members) {
    Object.assign(this, { input, members, found: [], chosen: 0, id: `mentions${made++}` });
    this.node = h('div', {
      class: 'row offer',
      id: this.id,
      role: 'listbox',
      'aria-label': t('Mention a member'),
      hidden: true,
    });
    input.setAttribute('aria-autocomplete', 'list');
    input.setAttribute('aria-controls', this.id);
    input.addEventListener('input', () => this.look());
  }

  matches() {
    const { input } = this;
    const written = BEING_WRITTEN.exec(input.value.slice(0, input.selectionStart));
    if (!written) return [];
    const start = written[1].toLowerCase();
    const fits = (who) =>
      who.username.toLowerCase().startsWith(start) || who.name.toLowerCase().startsWith(start);
    return this.members().filter(fits).slice(0, OFFERED);
  }

  take(who) {
    const { input } = this;
    const before = input.value.slice(0, input.selectionStart).replace(/@[^\s@]*$/u, `@${who.username} `);
    input.setRangeText(before, 0, input.selectionStart, 'end');
    this.hide();
    input.focus();
  }

  hide() {
    this.node.hidden = true;
    this.input.removeAttribute('aria-activedescendant');
  }

  look() {
    this.found = this.matches();
    this.choose(0);
  }

  choose(index) {
    this.chosen = (index + this.found.length) % Math.max(1, this.found.length);
    if (this.found.length) this.draw();
    else this.hide();
  }

  draw() {
    this.node.hidden = false;
    const option = (who, i) =>
      h(
        'div',
        {
          role: 'option',
          id: `${this.id}-${i}`,
          'aria-selected': String(i === this.chosen),
          onclick: () => this.take(who),
        },
        h('bdi', {}, who.name),
        ` @${who.username}`,
      );
    replace(this.node, this.found.map(option));
    this.input.setAttribute('aria-activedescendant', `${this.id}-${this.chosen}`);
  }

  // Result: whether the key was for the offer.
  onKey(event) {
    if (this.node.hidden || event.isComposing) return false;
    const keys = {
      Escape: () => this.hide(),
      Tab: () => this.take(this.found[this.chosen]),
      Enter: () => this.take(this.found[this.chosen]),
      ArrowDown: () => this.choose(this.chosen + 1),
      ArrowUp: () => this.choose(this.chosen - 1),
    };
    if (event.shiftKey || !keys[event.key]) return false;
    keys[event.key]();
    event.preventDefault();
    return true;
  }
}

// Where an @ may begin a mention: after anything but a letter, a digit or one of _/.@; letters of scripts that do not divide
// words do not hinder.
const HINDERS = /[\p{L}\p{N}_/.@]$/u;
const UNDIVIDED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]$/u;
const GOES_ON = /^[\p{L}\p{N}]/u;

const plain = (text) => text.normalize('NFC').toLowerCase();

// The longest name that stands there, as long as no letter or digit goes on behind it.
function nameAt(text, names) {
  return names.find(({ name, last }) => {
    const rest = text.slice(name.length);
    const isWhole = !GOES_ON.test(rest) || UNDIVIDED.test(rest.slice(0, 1)) || UNDIVIDED.test(last);
    return plain(text.slice(0, name.length)) === name && isWhole;
  });
}

// A message's text as nodes, with the mentions of members marked.
export function withMentions(text, members, ownId) {
  if (!text.includes('@')) return [text];
  const named = members.map((who) => ({ who, name: plain(who.username) }));
  const names = [...named, ...['all', 'here'].map((name) => ({ who: { userId: ownId, name: '' }, name }))]
    .map((one) => ({ ...one, last: one.name.slice(-1) }))
    .sort((a, b) => b.name.length - a.name.length);
  const parts = [];
  let from = 0;
  for (let at = text.indexOf('@'); at >= 0; at = text.indexOf('@', at + 1)) {
    const before = text.slice(0, at);
    const found = (!HINDERS.test(before) || UNDIVIDED.test(before)) && nameAt(text.slice(at + 1), names);
    if (!found) continue;
    const { who, name } = found;
    const end = at + 1 + name.length;
    parts.push(
      text.slice(from, at),
      h(
        'span',
        { class: `mention ${who.userId === ownId ? 'me' : ''}`, title: who.name },
        text.slice(at, end),
      ),
    );
    from = end;
  }
  return [...parts, text.slice(from)].filter((part) => part !== '');
}
