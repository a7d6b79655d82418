// typing.js: that somebody types: told at most every two seconds, since the server forgets it after three, and when it is over.

const AGAIN_MS = 2000;
const OVER_MS = 3000; // without another key

export class Typing {
  #tell;
  #told = 0; // when; 0: it is over
  #timer;

  // tell(isTyping) tells the others.
  constructor(tell) {
    this.#tell = tell;
  }

  // For each key, and with false when what was written is sent or removed.
  set(isTyping = true) {
    clearTimeout(this.#timer);
    if (isTyping) {
      this.#timer = setTimeout(() => this.set(false), OVER_MS);
      this.#timer.unref?.();
      if (Date.now() - this.#told < AGAIN_MS) return;
    } else if (!this.#told) return;
    this.#told = isTyping ? Date.now() : 0;
    this.#tell(isTyping);
  }
}
