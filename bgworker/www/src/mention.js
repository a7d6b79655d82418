// Mentions: names of members that are offered while one writes @, and shown where they stand in a message.
import { h, replace } from './dom.js';

const BEING_WRITTEN = /(?:^|\s)@([^\s@]*)$/u;
const OFFERED = 6;

// Offers members() above a text field.  Result: { node, onKey(event) }; onKey tells whether the key was for the offer.
export function offerMentions(input, members) {
  const node = h('div', {
    class: 'row offer',
    role: 'group',
    'aria-label': 'Members to mention',
    hidden: true,
  });

  function matches() {
    const written = BEING_WRITTEN.exec(input.value.slice(0, input.selectionStart));
    if (!written) return [];
    const start = written[1].toLowerCase();
    return members()
      .filter(
        (who) => who.username.toLowerCase().startsWith(start) || who.name.toLowerCase().startsWith(start),
      )
      .slice(0, OFFERED);
  }

  function take(who) {
    const before = input.value.slice(0, input.selectionStart).replace(/@[^\s@]*$/u, `@${who.username} `);
    input.setRangeText(before, 0, input.selectionStart, 'end');
    node.hidden = true;
    input.focus();
  }

  input.addEventListener('input', () => {
    const found = matches();
    node.hidden = !found.length;
    replace(
      node,
      found.map((who) =>
        h(
          'button',
          { type: 'button', onclick: () => take(who) },
          h('bdi', {}, who.name),
          ` @${who.username}`,
        ),
      ),
    );
  });

  function onKey(event) {
    if (node.hidden) return false;
    if (event.key === 'Escape') node.hidden = true;
    else if (event.key === 'Tab' && !event.shiftKey) take(matches()[0]);
    else return false;
    event.preventDefault();
    return true;
  }

  return { node, onKey };
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
