// What outlives the page: drafts, and what was read last; in IndexedDB, for each user and profile apart.  What is not sent yet is
// kept by the outbox.
//
// A browser may refuse storage.  Then nothing is found and nothing is kept, and the rest works as it does without.
import { PROFILE } from './profile.js';

const VERSION = 1;
let opened = Promise.resolve(null);

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

export function openDisk(userId) {
  const request = globalThis.indexedDB?.open(`rt${PROFILE}/${userId}`, VERSION);
  if (!request) return;
  request.onupgradeneeded = () => {
    request.result.createObjectStore('drafts');
  };
  opened = done(request).catch(() => null);
  keptDb = openKept(userId);
}

// work(store) makes its requests at once; the transaction is committed without waiting for the page to look at it again,
// since the page may be about to close.
async function using(name, mode, work) {
  const db = await opened;
  if (!db) return undefined;
  const transaction = db.transaction(name, mode);
  const request = work(transaction.objectStore(name));
  transaction.commit?.();
  return done(request).catch(() => undefined);
}

export const keep = (name, value, key) => using(name, 'readwrite', (store) => store.put(value, key));
export const forget = (name, key) => using(name, 'readwrite', (store) => store.delete(key));

export async function loadDrafts() {
  const keys = (await using('drafts', 'readonly', (store) => store.getAllKeys())) ?? [];
  const values = (await using('drafts', 'readonly', (store) => store.getAll())) ?? [];
  return keys.map((key, i) => [key, values[i] ?? '']);
}

// ---- what was read last, in a database of its own: signing out empties it -----------------------------------

const KEPT = 'kept';
let keptDb; // a promise

const openKept = (userId) => {
  const request = globalThis.indexedDB?.open(`rt${PROFILE}/${userId}/kept`, 1);
  if (!request) return Promise.resolve(null);
  request.onupgradeneeded = () => request.result.createObjectStore(KEPT);
  return done(request).catch(() => null);
};

async function inKept(mode, work) {
  const db = await keptDb;
  return db ? done(work(db.transaction(KEPT, mode).objectStore(KEPT))).catch(() => undefined) : undefined;
}

export const kept = {
  get: (key) => inKept('readonly', (store) => store.get(key)),
  put: (key, value) => inKept('readwrite', (store) => store.put(value, key)),
};

export async function forgetKept(userId) {
  keptDb ??= openKept(userId);
  await inKept('readwrite', (store) => store.clear());
}
