// Who waits to be let into a meeting, for its hosts.
import { announce, h, replace } from './dom.js';
import { t, tn } from './i18n.js';

export const nameOf = ({ userName, guest }) => (guest ? t('{name} (guest)', { name: userName }) : userName);

export class Waiting {
  // act(event, payload) asks the server and shows a refusal.  `waiting` are those of join-meeting; null: not for us to know.
  constructor(act, waiting) {
    this.act = act;
    this.people = new Map();
    this.list = h('ul', {});
    this.heading = h('h2', {});
    this.all = h(
      'button',
      { type: 'button', class: 'primary', onclick: () => this.decide('admit', 'all') },
      t('Admit all'),
    );
    this.node = h(
      'section',
      { class: 'waiting', 'aria-label': t('Waiting to join'), hidden: true },
      h('header', { class: 'row' }, this.heading, this.all),
      this.list,
    );
    this.replaceAll(waiting);
  }

  replaceAll(waiting) {
    this.people.clear();
    for (const who of waiting ?? []) this.people.set(who.waitingId, who);
    this.draw();
  }

  add(who) {
    if (!this.people.has(who.waitingId)) announce(t('{name} is waiting to join', { name: nameOf(who) }));
    this.people.set(who.waitingId, who);
    this.draw();
  }

  remove(waitingId) {
    this.people.delete(waitingId);
    this.draw();
  }

  decide(verb, waitingId) {
    return this.act(`${verb}-participant`, { waitingId });
  }

  row(who) {
    const button = (verb, words, label, props) =>
      h(
        'button',
        { type: 'button', 'aria-label': label, onclick: () => this.decide(verb, who.waitingId), ...props },
        words,
      );
    const name = nameOf(who);
    return h(
      'li',
      { class: 'row' },
      h('span', { class: 'grow', dir: 'auto' }, name),
      button('refuse', t('Refuse'), t('Refuse {name}', { name })),
      button('admit', t('Admit'), t('Admit {name}', { name }), { class: 'primary' }),
    );
  }

  draw() {
    const { size } = this.people;
    this.node.hidden = !size;
    this.all.hidden = size < 2;
    this.heading.textContent = tn(size, '1 person is waiting', '{n} people are waiting');
    replace(
      this.list,
      [...this.people.values()].map((who) => this.row(who)),
    );
  }
}
