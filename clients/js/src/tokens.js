// tokens.js: the token of now.  It comes from a login, from the application, or from a function that the application gives;
// one of a login is prolonged before it expires.
import { isTransient } from './errors.js';

// A part of the token's life that must remain; at the least a minute is left for trying again.
const REFRESH_AT = 0.7;
const AGAIN_MS = 30_000;
const MAX_TIMER_MS = 2 ** 31 - 1;

function claims(token) {
  try {
    const text = atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'));
    return JSON.parse(text);
  } catch {
    return {};
  }
}

export class Tokens {
  #token;
  #timer;
  #asking;

  // getToken: a function that gives a token; refresh: one that prolongs the given token; onChange hears of each new one, onEnd
  // that one has expired which cannot be prolonged.
  constructor({ token, getToken, refresh, onChange, onEnd }) {
    Object.assign(this, { getToken, refresh, onChange, onEnd });
    if (token) this.set(token);
  }

  get current() {
    return this.#token;
  }

  set(token, prolong = true) {
    this.#token = token;
    clearTimeout(this.#timer);
    if (prolong) this.#plan();
    this.onChange?.(token);
  }

  forget() {
    clearTimeout(this.#timer);
    this.#token = undefined;
    this.onChange?.(undefined);
  }

  // The token to use; asks for one where there is none yet.
  async get() {
    if (!this.#token && this.getToken) await this.renew();
    return this.#token;
  }

  // A new token; false if there is none to be had, which is final.  What fails for another reason throws.
  renew() {
    this.#asking ??= this.#renew().finally(() => { this.#asking = undefined; });
    return this.#asking;
  }

  async #renew() {
    const token = this.getToken ? await this.getToken() : await this.refresh(this.#token);
    if (!token) return false;
    this.set(token);
    return true;
  }

  stop() {
    clearTimeout(this.#timer);
  }

  #plan() {
    const { iat, exp } = claims(this.#token);
    if (!exp) return;
    const life = (exp - (iat ?? Date.now() / 1000)) * 1000;
    const left = Math.max(0, exp * 1000 - Date.now());
    const wait = Math.max(1000, left - life * (1 - REFRESH_AT));
    this.#after(wait, () => this.#prolong());
  }

  #after(ms, work) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(work, Math.min(ms, MAX_TIMER_MS));
    this.#timer.unref?.();
  }

  async #prolong() {
    const before = this.#token;
    let isFinal;
    try {
      isFinal = !(await this.renew());
    } catch (error) {
      isFinal = !isTransient(error);
    }
    if (this.#token !== before || !before) return;
    if (isFinal) this.#after(claims(before).exp * 1000 - Date.now(), () => this.onEnd?.());
    else this.#after(AGAIN_MS, () => this.#prolong());
  }
}
