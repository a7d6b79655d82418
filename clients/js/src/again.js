// again.js: what failed for a while is tried again, later and later.
import { isTransient } from './errors.js';

const WAIT_MS = [500, 1000, 2000, 5000];

export class Again {
  #act;
  #timer;
  #tries = 0;

  constructor(act) {
    this.#act = act;
  }

  // False: the error is final, and nothing will be tried.
  after(error) {
    if (!isTransient(error)) return false;
    clearTimeout(this.#timer);
    const wait = error.retryAfter ? error.retryAfter * 1000 : WAIT_MS[Math.min(this.#tries++, WAIT_MS.length - 1)];
    this.#timer = setTimeout(this.#act, wait);
    this.#timer.unref?.();
    return true;
  }

  // It has been done, or nobody wants it any more.
  stop() {
    clearTimeout(this.#timer);
    this.#tries = 0;
  }
}
