// connection.js: the socket of a session.  It comes back, with a token that is good, until the session has ended.
import { io } from 'socket.io-client';
import { Emitter } from './emitter.js';
import { RtError } from './errors.js';
import { watchLiveness } from './liveness.js';

const ACK_MS = 20_000;
const BACKOFF_MS = [500, 1000, 2000, 5000];

export class Connection {
  #session;
  #emitter = new Emitter();
  #ackTimeout;
  #refusals = 0;
  #reconnecting;

  // See types/index.d.ts.
  constructor(session, { socket = {}, ackTimeout = ACK_MS, liveness = false } = {}) {
    this.#session = session;
    this.#ackTimeout = ackTimeout;
    this.socket = this.#make(socket);
    this.socket.on('connect', () => this.#onConnect());
    this.socket.on('disconnect', (reason) => this.#onDisconnect(reason));
    this.socket.on('connect_error', (error) => this.#onConnectError(error));
    if (liveness) watchLiveness(this.socket, () => this.#emitter.emit('network'));
  }

  get isConnected() {
    return this.socket.connected;
  }

  // "connected", "disconnected" (reason), "failed": it could not connect, and tries again; "network": the browser says that the
  // network has changed.
  on(name, listener) {
    return this.#emitter.on(name, listener);
  }

  open() {
    this.socket.connect();
  }

  close() {
    clearTimeout(this.#reconnecting);
    this.socket.disconnect();
  }

  // An event with its acknowledgement.
  async ask(name, payload = {}) {
    const reply = await this.socket.timeout(this.#ackTimeout).emitWithAck(name, payload);
    if (!reply.success && reply.error) throw new RtError(reply.error);
    return reply;
  }

  // An event that does not matter if it is lost.
  tell(name, payload) {
    if (this.isConnected) this.socket.volatile.emit(name, payload);
  }

  // ---- the socket -------------------------------------------------------------------------------

  #make(options) {
    // Under a path, as behind a proxy: https://example.org/chat
    const { origin, pathname } = new URL(this.#session.url);
    return io(origin, {
      path: `${pathname.replace(/\/$/, '')}/socket.io/`, transports: ['websocket', 'polling'], ...options, autoConnect: false,
      forceNew: true, auth: (give) => { this.#session.getToken().then((token) => give({ token }), () => give({})); },
    });
  }

  #onConnect() {
    this.#refusals = 0;
    this.#emitter.emit('connected', { recovered: this.socket.recovered });
  }

  #onDisconnect(reason) {
    this.#emitter.emit('disconnected', reason);
    // socket.io-client comes back by itself but where the server has ended it.
    if (reason === 'io server disconnect') this.#reconnect();
  }

  async #onConnectError(error) {
    this.#emitter.emit('failed', error);
    if (this.socket.active) return; // it tries again by itself
    if (error.data?.code !== 'unauthorized') this.#reconnect();
    else if (this.#refusals < BACKOFF_MS.length && await this.#session.renew().catch(() => true)) this.#reconnect();
    else this.#session.end(new RtError({ code: 'unauthorized', message: error.message }));
  }

  #reconnect() {
    clearTimeout(this.#reconnecting);
    const wait = BACKOFF_MS[Math.min(this.#refusals++, BACKOFF_MS.length - 1)];
    this.#reconnecting = setTimeout(() => this.socket.connect(), wait);
  }
}
