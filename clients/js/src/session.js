// session.js: who is signed in: a token that is kept good, and operations of REST with it.  It needs no socket.
import { Emitter } from './emitter.js';
import { isTransient, RtError } from './errors.js';
import { address, request } from './rest.js';
import { Tokens } from './tokens.js';

const PAGE = 200;

const isRefusal = ({ code, status }) => code === 'unauthorized' && status === 401;

export class Session {
  #emitter = new Emitter();
  #tokens;
  #ahead = new Map(); // by address: answers that somebody will want

  // See types/index.d.ts.
  constructor({ url, token, getToken, refresh } = {}) {
    this.url = (url ?? globalThis.location?.origin ?? '').replace(/\/+$/, '');
    this.#tokens = new Tokens({
      token, getToken,
      refresh: refresh ?? (async (old) => (await request(this.url, 'refreshToken', { token: old })).token),
      onChange: (now) => this.#emitter.emit('token', now),
      onEnd: () => this.end(new RtError({ code: 'unauthorized', message: 'The session has ended' })),
    });
  }

  // "token": a new one, or undefined; "ended": the server refuses the token, or it has expired, and there is no other.
  on(name, listener) {
    return this.#emitter.on(name, listener);
  }

  get token() {
    return this.#tokens.current;
  }

  // The token to use; getToken is asked for one where there is none yet.
  getToken() {
    return this.#tokens.get();
  }

  // A token that the application has got by itself; without `prolong` it is good until it expires.
  set(token, { prolong = true } = {}) {
    this.#tokens.set(token, prolong);
  }

  // Result: whether there is another token now.  An error: it may be had later.
  async renew() {
    try {
      return await this.#tokens.renew();
    } catch (error) {
      if (isTransient(error)) throw error;
      return false;
    }
  }

  async login({ username, password, code }) {
    const reply = await request(this.url, 'login', { body: { username, password, ...(code === undefined ? {} : { code }) } });
    this.#tokens.set(reply.token);
    return reply.user;
  }

  // Ends the session on the server, too.
  async logout() {
    await request(this.url, 'logOut', { token: this.token }).catch(() => {});
    this.forget();
  }

  forget() {
    this.#tokens.forget();
  }

  // The token is kept, and renewed no more.
  stop() {
    this.#tokens.stop();
  }

  // There is no way to go on, as a connection knows that was refused.
  end(error) {
    this.#emitter.emit('ended', error);
  }

  // An operation of REST.  A token that is refused is renewed once, unless it was given with the call.
  async call(name, options = {}) {
    if ('token' in options) return request(this.url, name, options);
    const ask = async () => request(this.url, name, { ...options, token: await this.getToken() });
    try {
      return await (this.#takeAhead(name, options) ?? ask());
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (await this.renew()) {
        try {
          return await ask();
        } catch (again) {
          if (!isRefusal(again)) throw again;
        }
      }
      this.end(error);
      throw error;
    }
  }

  // A list, page by page.
  async* pages(name, options = {}) {
    for (let cursor; ;) {
      const page = await this.call(name, { ...options, query: { limit: PAGE, ...options.query, cursor } });
      yield page.data;
      cursor = page.nextCursor;
      if (!cursor) return;
    }
  }

  // Asks now for what is wanted in a moment: the next such call takes the answer.
  ahead(name, options = {}) {
    const answer = request(this.url, name, { ...options, token: this.token });
    answer.catch(() => {}); // told to whoever takes it
    this.#ahead.set(this.#key(name, options), answer);
  }

  #key(name, { params, query }) {
    return `${name} ${address('', name, params, query)}`;
  }

  #takeAhead(name, options) {
    if (this.#ahead.size === 0) return undefined;
    const key = this.#key(name, options);
    const answer = this.#ahead.get(key);
    this.#ahead.delete(key);
    return answer;
  }
}
