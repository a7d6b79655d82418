// Mentions: names of members that are offered while one writes @, and shown where they stand in a message.
import { h, replace } from './dom.js';

const BEING_WRITTEN = /(?:^|\s)@([^\s@]*)$/u;
const OFFERED = 6;

// Offers members() above a text field.
export class MentionOffer {
  constructor(input, members) {
    Object.assign(this, { input, members });
    this.node = h('div', {
      class: 'row offer',
      role: 'group',
      'aria-label': 'Mention a member',
      hidden: true,
    });
    input.addEventListener('input', () => this.draw());
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
  }

  draw() {
    const found = this.matches();
    this.node.hidden = !found.length;
    const button = (who) =>
      h(
        'button',
        { type: 'button', onclick: () => this.take(who) },
        h('bdi', {}, who.name),
        ` @${who.username}`,
      );
    replace(this.node, found.map(button));
  }

  // Result: whether the key was for the offer.
  onKey(event) {
    if (this.node.hidden) return false;
    if (event.key === 'Escape') this.hide();
    else if (event.key === 'Tab' && !event.shiftKey) this.take(this.matches()[0]);
    else return false;
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
