// A message's text as nodes: links, code, and simple Markdown.  No HTML is ever parsed: what looks like it is text.
import { h } from './dom.js';
import { withMentions } from './mention.js';

const MAY_BE_MARKDOWN = /[*_~`>[\\]|^\s*(?:[-+]|\d+[.)])\s|https?:|www\./mu;
const LONGEST = 10_000; // characters; what is longer is shown as it is

let markdown = null;
let loading = null;

function fill(node, content, words, isMarked) {
  node.replaceChildren(...(isMarked && markdown ? markdown.marked(content, words) : []));
  // A lone "*" is an empty list to Markdown, and a star to whoever wrote it.
  if (!node.textContent.trim()) node.replaceChildren(h('p', { dir: 'auto' }, words(content)));
  return node;
}

// Until the module is there, it is text.
async function fillLater(node, ...what) {
  loading ??= import('./markdown.js').then((module) => {
    markdown = module;
  });
  try {
    await loading;
    fill(node, ...what);
  } catch {
    loading = null; // with the next message
  }
}

export function textOf(content, members, ownId) {
  const words = (text) => withMentions(text, members, ownId);
  const isMarked = content.length <= LONGEST && MAY_BE_MARKDOWN.test(content);
  const node = fill(h('div', { class: 'text' }), content, words, isMarked);
  if (isMarked && !markdown) fillLater(node, content, words, true);
  return node;
}
