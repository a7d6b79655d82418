// Mentions: names of members that are offered while one writes @, and shown where they stand in a message.
import { t } from './i18n.js';
import { h, replace } from './dom.js';

const BEING_WRITTEN = /(?:^|\s)@([^\s@]*)$/u;
const OFFERED = 6;

// Offers members() above a text field: arrows choose, Enter and Tab take.
export class MentionOffer {
  constructor(input, members) {
    Object.assign(this, { input, members, found: [], chosen: 0 });
    this.node = h('div', {
      class: 'row offer',
      id: 'mentions',
      role: 'listbox',
      'aria-label': t('Mention a member'),
      hidden: true,
    });
    input.setAttribute('aria-autocomplete', 'list');
    input.setAttribute('aria-controls', 'mentions');
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
          id: `mention-${i}`,
          'aria-selected': String(i === this.chosen),
          onclick: () => this.take(who),
        },
        h('bdi', {}, who.name),
        ` @${who.username}`,
      );
    replace(this.node, this.found.map(option));
    this.input.setAttribute('aria-activedescendant', `mention-${this.chosen}`);
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

// A message's text as nodes, with the mentions of members marked.
export function withMentions(text, members, ownId) {
  const byName = new Map(members.map((who) => [who.username.toLowerCase(), who]));
  return text.split(/(@[^\s@]+)/u).map((part) => {
    const who =
      part[0] === '@' &&
      byName.get(
        part
          .slice(1)
          .toLowerCase()
          .replace(/[.,:;!?)]+$/u, ''),
      );
    return who
      ? h('span', { class: `mention ${who.userId === ownId ? 'me' : ''}`, title: who.name }, part)
      : part;
  });
}
