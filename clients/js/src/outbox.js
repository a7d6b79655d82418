// outbox.js: messages that wait to be sent.  Each has a clientId, by which the server knows it again: it may be sent as often as
// it takes, by several tabs, and is stored once.  Those of a room are sent in their order.
import { isTransient } from './errors.js';
import { uuid } from './uuid.js';

const RETRY_MS = [500, 1000, 2000, 5000, 10_000];

export class Outbox {
  #items = [];
  #isSending = new Set(); // rooms
  #timers = new Map(); // by room
  #waiting = new Map(); // by clientId: who wants to know

  // send(item) gives the message; changed(roomId) is called when a room's items have changed.
  constructor({ send, changed, storage, key }) {
    this.send = send;
    this.changed = changed;
    this.storage = storage;
    this.key = key;
    this.#items = this.#load();
  }

  of(roomId) {
    return this.#items.filter((item) => item.roomId === roomId);
  }

  get rooms() {
    return [...new Set(this.#items.map(({ roomId }) => roomId))];
  }

  // Resolves with the message once the server has it.
  add(roomId, message) {
    const item = { roomId, clientId: uuid(), createdAt: new Date().toISOString(), ...message };
    this.#items = [...this.#items, item];
    this.#save(roomId);
    const sent = new Promise((resolve, reject) => { this.#waiting.set(item.clientId, { resolve, reject }); });
    // Who does not wait for it sees the error in the room's state.
    sent.catch(() => {});
    this.flush(roomId);
    return { clientId: item.clientId, sent };
  }

  // What came by another way is sent.
  settle(clientId, message) {
    const item = this.#items.find((one) => one.clientId === clientId);
    if (!item) return;
    this.#items = this.#items.filter((one) => one !== item);
    this.#save(item.roomId);
    this.#waiting.get(clientId)?.resolve(message);
    this.#waiting.delete(clientId);
  }

  retry(clientId) {
    const item = this.#items.find((one) => one.clientId === clientId);
    if (!item) return;
    this.#change(item, { error: undefined });
    this.flush(item.roomId);
  }

  discard(clientId) {
    const item = this.#items.find((one) => one.clientId === clientId);
    if (!item) return;
    this.#items = this.#items.filter((one) => one !== item);
    this.#save(item.roomId);
    this.#waiting.get(clientId)?.reject(new Error('discarded'));
    this.#waiting.delete(clientId);
  }

  flushAll() {
    for (const roomId of this.rooms) this.flush(roomId);
  }

  async flush(roomId) {
    if (this.#isSending.has(roomId) || this.isStopped) return;
    clearTimeout(this.#timers.get(roomId));
    this.#isSending.add(roomId);
    try {
      for (let item; (item = this.of(roomId).find(({ error }) => !error)) && !this.isStopped;) {
        if (!(await this.#sendOne(item))) break;
      }
    } finally {
      this.#isSending.delete(roomId);
    }
  }

  // Nothing is sent any more; what waits stays in the storage.
  stop() {
    this.isStopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  // False: later.
  async #sendOne(item) {
    try {
      this.settle(item.clientId, await this.send(item));
      return true;
    } catch (error) {
      // The socket may have brought it meanwhile.
      const now = this.#items.find(({ clientId }) => clientId === item.clientId);
      if (!now) return true;
      if (isTransient(error) || error.code === 'unauthorized') {
        this.#later(now, error);
        return false;
      }
      this.#change(now, { error: { code: error.code, message: error.message } });
      this.#waiting.get(now.clientId)?.reject(error);
      this.#waiting.delete(now.clientId);
      return true;
    }
  }

  #later(item, error) {
    const tries = item.tries ?? 0;
    const wait = error.retryAfter ? error.retryAfter * 1000 : RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];
    this.#change(item, { tries: tries + 1 });
    if (this.isStopped) return;
    const timer = setTimeout(() => this.flush(item.roomId), wait);
    timer.unref?.();
    this.#timers.set(item.roomId, timer);
  }

  #change(item, changes) {
    this.#items = this.#items.map((one) => (one === item ? { ...one, ...changes } : one));
    this.#save(item.roomId);
  }

  #load() {
    try {
      return (JSON.parse(this.storage?.getItem(this.key) ?? '[]')).map((item) => ({ ...item, tries: 0 }));
    } catch {
      return [];
    }
  }

  #save(roomId) {
    try {
      if (this.#items.length > 0) this.storage?.setItem(this.key, JSON.stringify(this.#items));
      else this.storage?.removeItem(this.key);
    } catch {
      // Full, or forbidden: it is in memory.
    }
    this.changed(roomId);
  }
}
