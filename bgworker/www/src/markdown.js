// Markdown as it is written in chat, as nodes.  Loaded with the first message that may have some.
import { Lexer, Tokenizer } from 'marked';
import { h } from './dom.js';

// What a line of chat does not mean, though it looks like it: it stays text.
const NOT_HERE = ['code', 'def', 'heading', 'hr', 'html', 'lheading', 'reflink', 'table', 'tag'];

class ChatTokenizer extends Tokenizer {
  link(source) {
    return source.startsWith('!') ? undefined : super.link(source); // no images
  }
}
for (const name of NOT_HERE) ChatTokenizer.prototype[name] = () => undefined;

// words(text) gives the nodes of text that is nothing else.
class Renderer {
  constructor(words) {
    this.words = words;
  }

  all(tokens) {
    return tokens.flatMap((token) => this[token.type]?.(token) ?? this.words(token.raw));
  }

  wrap(tag, { tokens }) {
    return h(tag, {}, this.all(tokens));
  }

  paragraph({ tokens }) {
    return h('p', { dir: 'auto' }, this.all(tokens));
  }

  blockquote(token) {
    return this.wrap('blockquote', token);
  }

  list({ ordered, start, items }) {
    return h(
      ordered ? 'ol' : 'ul',
      { start: ordered ? start : null, dir: 'auto' },
      items.map((item) => this.wrap('li', item)),
    );
  }

  code({ text }) {
    return h('pre', { tabindex: '-1' }, h('code', {}, text));
  }

  space() {
    return [];
  }

  text({ tokens, text }) {
    return tokens ? this.all(tokens) : this.words(text);
  }

  escape({ text }) {
    return text;
  }

  strong(token) {
    return this.wrap('strong', token);
  }

  em(token) {
    return this.wrap('em', token);
  }

  del(token) {
    return this.wrap('del', token);
  }

  codespan({ text }) {
    return h('code', {}, text);
  }

  br() {
    return h('br');
  }

  // No tab stop until somebody is at the message: see walk.js.
  link({ href, raw, tokens }) {
    if (!/^https?:\/\/[^\s]/iu.test(href)) return this.words(raw);
    return h(
      'a',
      {
        href,
        title: raw === href ? null : href,
        target: '_blank',
        rel: 'noopener noreferrer',
        tabindex: '-1',
      },
      new Renderer((text) => text).all(tokens),
    );
  }
}

export function marked(content, words) {
  const lexer = new Lexer({ breaks: true, gfm: true, tokenizer: new ChatTokenizer() });
  return new Renderer(words).all(lexer.lex(content));
}
