// outbox.js: messages that wait to be sent.  Each has a clientId, by which the server knows it again: it may be sent as often as
// it takes, by several tabs, and is stored once.  Those of a room are sent in their order.
import { isTransient } from './errors.js';
import { uuid } from './uuid.js';

const RETRY_MS = [500, 1000, 2000, 5000, 10_000];
const STEP_MS = 0.001; // between two messages of one turn

export class Outbox {
  #items = [];
  #last = 0; // order
  #isSending = new Set(); // rooms
  #timers = new Map(); // by room
  #tries = new Map(); // by clientId
  #waiting = new Map(); // by clientId: who wants to know

  // send(item) gives the message; changed(roomId, item) is called when a room's items have changed, with the one that is another
  // now.  isShown(message): whether the application shows a message that the server has taken; until then it stays as `accepted`,
  // and the application settles it.
  constructor({ send, changed, storage, isShown = () => true }) {
    Object.assign(this, { send, changed, storage, isShown });
  }

  of(roomId) {
    return this.#items.filter((item) => item.roomId === roomId);
  }

  get rooms() {
    return [...new Set(this.#items.map(({ roomId }) => roomId))];
  }

  #find(clientId) {
    return this.#items.find((one) => one.clientId === clientId);
  }

  // Resolves with the message once the server has it.
  add(roomId, message) {
    this.#last = Math.max(performance.timeOrigin + performance.now(), this.#last + STEP_MS);
    const item = { roomId, clientId: uuid(), createdAt: new Date().toISOString(), order: this.#last, ...message };
    this.#items = [...this.#items, item];
    this.storage.put(item, this.#items);
    this.changed(roomId, item);
    const sent = new Promise((resolve, reject) => { this.#waiting.set(item.clientId, { resolve, reject }); });
    // Who does not wait for it sees the error in the room's state.
    sent.catch(() => {});
    this.flush(roomId);
    return { clientId: item.clientId, sent };
  }

  // Takes over what was left unsent by whoever is gone.  What isWanted(item) refuses is dropped.
  async adopt(isWanted = () => true) {
    const found = this.storage.adopt();
    this.#take(found.then ? await found : found, isWanted);
  }

  #take(found, isWanted) {
    for (const item of found) {
      if (this.#find(item.clientId)) continue;
      if (isWanted(item)) {
        this.#items = [...this.#items, item];
        this.changed(item.roomId, item);
      } else this.storage.remove(item.clientId, this.#items);
    }
    this.flushAll();
  }

  // What came by another way is sent.
  settle(clientId, message) {
    const item = this.#find(clientId);
    if (!item) return;
    this.#drop(item);
    this.#answer(clientId, message);
  }

  #drop(item) {
    this.#items = this.#items.filter((one) => one !== item);
    this.#tries.delete(item.clientId);
    this.storage.remove(item.clientId, this.#items);
    this.changed(item.roomId);
  }

  #answer(clientId, message) {
    this.#waiting.get(clientId)?.resolve(message);
    this.#waiting.delete(clientId);
  }

  #refuse(clientId, error) {
    this.#waiting.get(clientId)?.reject(error);
    this.#waiting.delete(clientId);
  }

  retry(clientId) {
    const item = this.#find(clientId);
    if (!item) return;
    this.#change(item, { error: undefined });
    this.flush(item.roomId);
  }

  discard(clientId) {
    const item = this.#find(clientId);
    if (!item) return;
    this.#drop(item);
    this.#refuse(clientId, new Error('discarded'));
  }

  flushAll() {
    for (const roomId of this.rooms) this.flush(roomId);
  }

  async flush(roomId) {
    if (this.#isSending.has(roomId) || this.isStopped) return;
    clearTimeout(this.#timers.get(roomId));
    this.#isSending.add(roomId);
    try {
      for (let item; (item = this.of(roomId).find(({ error, accepted }) => !error && !accepted)) && !this.isStopped;) {
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
      this.#onTaken(item.clientId, await this.send(item));
      return true;
    } catch (error) {
      // The socket may have brought it meanwhile.
      const now = this.#find(item.clientId);
      if (!now) return true;
      if (isTransient(error) || error.code === 'unauthorized') {
        this.#later(now, error);
        return false;
      }
      this.#change(now, { error: { code: error.code, message: error.message } });
      this.#refuse(now.clientId, error);
      return true;
    }
  }

  #onTaken(clientId, message) {
    const item = this.#find(clientId);
    if (item && !this.isShown(message)) {
      this.#replace(item, { accepted: true });
      this.storage.remove(clientId, this.#items.filter(({ accepted }) => !accepted));
      this.#answer(clientId, message);
    } else this.settle(clientId, message);
  }

  #later(item, error) {
    const tries = this.#tries.get(item.clientId) ?? 0;
    const wait = error.retryAfter ? error.retryAfter * 1000 : RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];
    this.#tries.set(item.clientId, tries + 1);
    if (this.isStopped) return;
    const timer = setTimeout(() => this.flush(item.roomId), wait);
    timer.unref?.();
    this.#timers.set(item.roomId, timer);
  }

  #change(item, changes) {
    this.storage.put(this.#replace(item, changes), this.#items);
  }

  #replace(item, changes) {
    const next = { ...item, ...changes };
    this.#items = this.#items.map((one) => (one === item ? next : one));
    this.changed(item.roomId, next);
    return next;
  }
}
