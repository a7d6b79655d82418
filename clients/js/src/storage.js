// storage.js: where an outbox keeps its messages, so that they outlive the page.
//
// A storage has put(item, all), remove(clientId, all), and adopt(): the items that are nobody's and now this outbox's, in the order
// in which they were written.
import { uuid } from './uuid.js';

// A Web Storage, or null: all items under one key.  It is read once.
export class TextStorage {
  #storage;
  #key;
  #isRead = false;

  constructor(storage, key) {
    this.#storage = storage;
    this.#key = key;
  }

  put(item, all) {
    this.#save(all);
  }

  remove(clientId, all) {
    this.#save(all);
  }

  adopt() {
    if (this.#isRead) return [];
    this.#isRead = true;
    try {
      return JSON.parse(this.#storage?.getItem(this.#key) ?? '[]');
    } catch {
      return [];
    }
  }

  #save(all) {
    try {
      if (all.length > 0) this.#storage?.setItem(this.#key, JSON.stringify(all));
      else this.#storage?.removeItem(this.#key);
    } catch {
      // Full, or forbidden: it is in memory.
    }
  }
}

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

// IndexedDB, for a browser with several tabs.  Each item has the name of the tab that sends it.  A tab holds a lock of its name
// while it lives; what belongs to a tab that is gone is adopted by another.  Where a browser has no locks, several tabs may send
// the same item, and the server takes it once.
//
// A browser may refuse storage: then nothing is found and nothing is kept, and the rest works as it does without.
export class TabStorage {
  #name;
  #tab;
  #opened;

  // One name for each user.
  constructor(name) {
    this.#name = name;
    this.#tab = `${name} ${uuid()}`;
    this.#opened = this.#open().catch(() => undefined);
    navigator.locks?.request(this.#tab, () => new Promise(() => {})); // until the page ends
  }

  async #open() {
    const request = indexedDB.open(this.#name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore('items', { keyPath: 'clientId' }).createIndex('order', 'order');
    return done(request);
  }

  // The transaction is committed without waiting for the page to look at it again, since the page may be about to close.
  async #using(mode, work) {
    const db = await this.#opened;
    if (!db) return undefined;
    const transaction = db.transaction('items', mode);
    const request = work(transaction.objectStore('items'));
    transaction.commit?.();
    return done(request).catch(() => undefined);
  }

  put(item) {
    return this.#using('readwrite', (items) => items.put({ ...item, tab: this.#tab }));
  }

  remove(clientId) {
    return this.#using('readwrite', (items) => items.delete(clientId));
  }

  // One tab at a time.
  adopt() {
    const { locks } = navigator;
    return locks ? locks.request(`${this.#name} adopt`, () => this.#adoptNow()) : this.#adoptNow();
  }

  async #adoptNow() {
    const { held = [] } = (await navigator.locks?.query()) ?? {};
    const alive = new Set([this.#tab, ...held.map(({ name }) => name)]);
    const all = (await this.#using('readonly', (items) => items.index('order').getAll())) ?? [];
    const left = all.filter(({ tab }) => !alive.has(tab));
    for (const item of left) await this.put(item);
    return left.map(({ tab, ...item }) => item);
  }
}
