// A reverse proxy that serves another server under a path, as nginx does by "location /chat/ { proxy_pass http://…/; }".
import { createServer, request } from 'node:http';

// Result: { origin, strays, close }; `strays` are the paths that were asked for outside.
export async function underPath(url, prefix) {
  const { hostname, port } = new URL(url);
  const strays = [];
  const forward = ({ method, headers, url: path }) => request({ hostname, port, method, headers, path: path.slice(prefix.length) });
  const isOurs = ({ url: path }) => path.startsWith(`${prefix}/`) || !strays.push(path);
  const server = createServer((incoming, outgoing) => {
    if (!isOurs(incoming)) {
      outgoing.writeHead(404).end();
      return;
    }
    const onward = forward(incoming).on('response', (reply) => {
      outgoing.writeHead(reply.statusCode, reply.rawHeaders);
      reply.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.on('upgrade', (incoming, socket, head) => {
    if (!isOurs(incoming)) {
      socket.destroy();
      return;
    }
    const onward = forward(incoming).on('upgrade', (reply, backend, rest) => {
      const lines = reply.rawHeaders.map((part, i) => (i % 2 ? `${part}\r\n` : `${part}: `)).join('');
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines}\r\n`);
      socket.write(rest);
      backend.write(head);
      backend.on('error', () => socket.destroy());
      socket.on('error', () => backend.destroy());
      backend.pipe(socket).pipe(backend);
    });
    onward.on('error', () => socket.destroy());
    onward.end();
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    strays,
    close: () => { server.closeAllConnections(); server.close(); },
  };
}
