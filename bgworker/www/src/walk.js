// Messages as a list that Tab stops at once: the arrows lead from one to the next, and Tab from one to what is in it.
const partsOf = (message) => message.querySelectorAll('a, button');

export class Walk {
  constructor(list) {
    Object.assign(this, { list, current: null });
    list.addEventListener('focusin', ({ target }) => this.onFocus(target.closest('.message')));
    list.addEventListener('keydown', (event) => this.onKey(event));
  }

  setCurrent(node) {
    if (this.current === node) return;
    if (this.current)
      [this.current, ...partsOf(this.current)].forEach((part) => part.setAttribute('tabindex', '-1'));
    this.current = node;
    node?.setAttribute('tabindex', '0');
  }

  // Its links and buttons can be reached once somebody is there.
  onFocus(node) {
    this.setCurrent(node);
    if (node) partsOf(node).forEach((part) => part.setAttribute('tabindex', '0'));
  }

  onKey(event) {
    if (!event.target.matches('.message')) return;
    const all = [...this.list.querySelectorAll('.message')];
    const at = all.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (!all[to]) return;
    event.preventDefault();
    all[to].focus();
  }

  // Unless somebody is in the list, Tab stops at its last message.
  rest() {
    if (!this.list.contains(document.activeElement))
      this.setCurrent([...this.list.querySelectorAll('.message')].at(-1));
  }
}
