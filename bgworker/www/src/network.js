// Notices early that the gateway or the way to it is gone: Socket.IO's own heartbeat takes 45 s.
//
// While somebody looks, a connection that has been silent is asked for a sign of life.  Any answer is one: the event is
// none that the server knows, so that it is refused where it arrives, and costs nothing behind that.

const LOOK_MS = 1000;
const SILENT_MS = 4500; // with ANSWER_MS and LOOK_MS less than 10 s
const ANSWER_MS = 4000;
const HINT_ANSWER_MS = 2000;

const hints = new EventTarget();
let socket; // of socket.js, which hands it over
let heardAt = 0;
let asking = false;

function probe(answerMs) {
  if (asking || !socket.connected) return;
  asking = true;
  socket.timeout(answerMs).emit('probe', {}, (error) => {
    asking = false;
    if (error) socket.io.engine?.close(); // and the library connects again
  });
}

// The result stops it.
export function onNetworkChange(handler) {
  hints.addEventListener('change', handler);
  return () => hints.removeEventListener('change', handler);
}

function onHint() {
  probe(HINT_ANSWER_MS);
  hints.dispatchEvent(new Event('change'));
}

export function watchNetwork(watched) {
  socket = watched;
  socket.io.on('open', () => {
    heardAt = Date.now();
    socket.io.engine.on('packet', () => {
      heardAt = Date.now();
    });
  });
  setInterval(() => {
    if (!document.hidden && Date.now() - heardAt > SILENT_MS) probe(ANSWER_MS);
  }, LOOK_MS);
  addEventListener('online', onHint);
  navigator.connection?.addEventListener?.('change', onHint);
}
