// store.js: a value that others watch.  Each change is a new object, so that `===` tells whether it has changed; watchers hear
// of several changes in one turn once.

export class Store {
  #state;
  #watchers = new Set();
  #isTold = true;

  constructor(state) {
    this.#state = state;
    // For useSyncExternalStore, which calls them without their object.
    this.subscribe = this.subscribe.bind(this);
    this.getSnapshot = () => this.#state;
  }

  get state() {
    return this.#state;
  }

  subscribe(watcher) {
    // An own entry for each call, so that the same function may watch twice.
    const entry = { watcher };
    this.#watchers.add(entry);
    if (this.#watchers.size === 1) this.onWatched?.();
    return () => {
      if (this.#watchers.delete(entry) && this.#watchers.size === 0) this.onUnwatched?.();
    };
  }

  set(changes) {
    this.#state = { ...this.#state, ...changes };
    if (!this.#isTold) return;
    this.#isTold = false;
    queueMicrotask(() => {
      this.#isTold = true;
      for (const { watcher } of [...this.#watchers]) watcher(this.#state);
    });
  }
}
