// liveness.js: notices early that the gateway or the way to it is gone: Socket.IO's own heartbeat takes 45 s.
//
// While somebody looks, a connection that has been silent is asked for a sign of life.  Any answer is one: the event is
// none that the server knows, so that it is refused where it arrives, and costs nothing behind that.

const LOOK_MS = 1000;
const SILENT_MS = 4500; // with ANSWER_MS and LOOK_MS less than 10 s
const ANSWER_MS = 4000;
const HINT_ANSWER_MS = 2000;

// onHint() is called when the browser says that the network has changed.
export function watchLiveness(socket, onHint) {
  let heardAt = 0;
  let isAsking = false;

  function probe(answerMs) {
    if (isAsking || !socket.connected) return;
    isAsking = true;
    socket.timeout(answerMs).emit('probe', {}, (error) => {
      isAsking = false;
      if (error) socket.io.engine?.close(); // and the library connects again
    });
  }

  function hint() {
    probe(HINT_ANSWER_MS);
    onHint();
  }

  socket.io.on('open', () => {
    heardAt = Date.now();
    socket.io.engine.on('packet', () => { heardAt = Date.now(); });
  });
  const timer = setInterval(() => {
    if (!globalThis.document?.hidden && Date.now() - heardAt > SILENT_MS) probe(ANSWER_MS);
  }, LOOK_MS);
  timer.unref?.();
  globalThis.addEventListener?.('online', hint);
  globalThis.navigator?.connection?.addEventListener?.('change', hint);
}
