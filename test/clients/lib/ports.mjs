// Ports for what a test starts by itself, chosen as test/rt-cluster does.
import { createServer } from 'node:net';

const [FIRST, LAST] = (process.env.RT_PORTS ?? '10000-31999').split('-').map(Number);
const given = new Set();

// A port of 127.0.0.1 that nobody has bound and that was not given before.  It lies below those that the system gives to
// clients: a client's connection could take one of these before the test's server does.
export async function freePort() {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
    if (!given.has(port) && await isFree(port)) {
      given.add(port);
      return port;
    }
  }
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '0.0.0.0', () => server.close(() => resolve(true)));
  });
}
