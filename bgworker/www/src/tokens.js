// The tokens of a provider's session, for all tabs of the profile, in IndexedDB: what one tab has written there, the next one
// that holds the lock reads.  localStorage does not promise that between processes.
import { PROFILE } from './profile.js';

const STORE = 'tokens';
let memory; // for a browser that refuses storage: then this tab alone has them

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

async function using(mode, work) {
  const request = indexedDB.open(`rt-oidc${PROFILE}`, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  const db = await done(request);
  try {
    return await done(work(db.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    db.close();
  }
}

// { token, refreshToken }, or undefined.
export const kept = () => using('readonly', (store) => store.get(STORE)).catch(() => memory);

export async function keepTokens(tokens) {
  memory = tokens;
  const work = (store) => (tokens ? store.put(tokens, STORE) : store.delete(STORE));
  await using('readwrite', work).catch(() => {});
}
