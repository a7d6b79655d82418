// A menu at a button: arrows move in it, Enter chooses, Escape and a click elsewhere close it.
import { h } from './dom.js';
import { icon } from './icons.js';

const EDGE_PX = 8;

// Below the button, or above it where there is no room; in sight in any case.
function place(node, anchor) {
  const { top, bottom, left, right } = anchor.getBoundingClientRect();
  const { offsetWidth, offsetHeight } = node;
  const isRtl = document.documentElement.dir === 'rtl';
  const x = isRtl ? left : right - offsetWidth;
  const y = bottom + offsetHeight + EDGE_PX > innerHeight ? top - offsetHeight : bottom;
  const clamp = (value, most) => `${Math.max(EDGE_PX, Math.min(value, most - EDGE_PX))}px`;
  node.style.left = clamp(x, innerWidth - offsetWidth);
  node.style.top = clamp(y, innerHeight - offsetHeight);
}

// items: { sign: an icon's name, words, act }; what is false is left out.
export function openMenu(anchor, label, items) {
  const choose = (act) => () => {
    close();
    act();
  };
  const node = h(
    'div',
    { class: 'menu', role: 'menu', 'aria-label': label, popover: 'auto' },
    items
      .filter(Boolean)
      .map(({ sign, words, act }) =>
        h(
          'button',
          { type: 'button', role: 'menuitem', tabindex: '-1', onclick: choose(act) },
          icon(sign),
          words,
        ),
      ),
  );
  const all = [...node.children];

  function close() {
    node.hidePopover();
  }

  node.addEventListener('keydown', (event) => {
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === 'Tab') close();
    if (to === undefined) return;
    event.preventDefault();
    all.at(to % all.length).focus();
  });
  node.addEventListener('toggle', ({ newState }) => {
    if (newState !== 'closed') return;
    anchor.setAttribute('aria-expanded', 'false');
    node.remove();
  });
  (anchor.closest('main, nav') ?? document.body).append(node);
  anchor.setAttribute('aria-haspopup', 'menu');
  anchor.setAttribute('aria-expanded', 'true');
  node.showPopover();
  place(node, anchor);
  all[0]?.focus();
}
