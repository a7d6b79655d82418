// The words of a message without the signs of Markdown, for where there is one line: the list of rooms, a quotation, a
// notification.  markdown.js draws what is shown whole; it is too large to be loaded for this.
const MAY_BE_MARKDOWN = /[*_~`>[\\]|^\s*[-+]\s/mu;
const CODE = /(?:`{3}[^\n`]*\n|`+)([^`]+)`+/;
const QUOTE_OR_ITEM = /^[ \t]*(?:>[ \t]?|[-+*][ \t]+)+/gm;
const LINK = /\[([^\]\n]+)\]\(https?:[^)\s]+\)/g;
const EMPHASIS = /(^|[^\\*\w])([*_]{1,3}|~{1,2})(?=[^\s*_~])(.*?[^\s\\])\2(?=$|[^\w*])/gs;
const ESCAPE = /\\([!-/:-@[-`{-~])/g;
const DEEPEST = 3; // such as bold in italics in a link
const LONGEST = 500; // characters; what is behind them is out of sight, and stays as it is

function withoutSigns(text) {
  let words = text.replace(QUOTE_OR_ITEM, '').replace(LINK, '$1');
  for (let i = 0; i < DEEPEST; i++) words = words.replace(EMPHASIS, '$1$3');
  return words.replace(ESCAPE, '$1');
}

export function wordsOf(content) {
  const start = content.slice(0, LONGEST);
  if (!MAY_BE_MARKDOWN.test(start)) return content;
  const words = start
    .split(CODE)
    .map((part, i) => (i % 2 ? part : withoutSigns(part)))
    .join('')
    .trim();
  return words ? words + content.slice(LONGEST) : content; // a lone "*" is a star
}
