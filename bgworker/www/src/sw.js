// The service worker: keeps the application itself, so that it opens at once and without a network.  What people have
// written is kept by the page (kept.js), for each user; nothing of the server's API goes through here.
//
// The build writes in front of this file which files there are, and a version that follows from what is in them:
// SHELL = { version, files }.  Each version has a cache of its own, which is complete before it is used.  The cache of the
// version before stays: a page that still runs it may need a part that it has not loaded yet.
/* global SHELL */
const PREFIX = `rt-shell ${self.registration.scope} `;
const CACHE = PREFIX + SHELL.version;
const HASHED = /-[A-Z0-9]{8}\.js$/;
const root = new URL(self.registration.scope);

// Past the browser's own cache, which may have the files of the version before.
async function fill() {
  const cache = await caches.open(CACHE);
  await cache.addAll(SHELL.files.map((file) => new Request(new URL(file, root), { cache: 'no-cache' })));
}

async function dropOld() {
  const ours = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(ours.slice(0, -1).map((name) => caches.delete(name)));
}

// A part of the application that is not among the files: it is kept from its first use on.
async function keep(request) {
  const found = await caches.match(request);
  if (found) return found;
  const reply = await fetch(request);
  if (reply.ok) await (await caches.open(CACHE)).put(request, reply.clone());
  return reply;
}

async function fromShell(request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(request, { ignoreSearch: true })) ?? fetch(request);
}

self.addEventListener('install', (event) => {
  event.waitUntil(fill().then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  event.waitUntil(dropOld().then(() => self.clients.claim()));
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== root.origin || !url.pathname.startsWith(root.pathname))
    return;
  const path = url.pathname.slice(root.pathname.length);
  if (SHELL.files.includes(path)) event.respondWith(fromShell(request));
  else if (path.startsWith('assets/') && HASHED.test(path)) event.respondWith(keep(request));
});
