// A bad network on the way to one UDP port, by a seeded generator: it loses, delays, reorders and doubles packets, and
// carries no more than so much a second; both ways.  A test sets what it needs, at any time.
import { createSocket } from 'node:dgram';

// xorshift32: the same choices in every run.
function generator(seed) {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

const bind = (socket) => new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));

// One direction: a bottleneck with a queue, and then a way of some length.
class Line {
  constructor(relay) {
    this.relay = relay;
    this.freeAt = 0; // when the bottleneck is through with all before
    this.waiting = []; // { due, send }, by due
  }

  // When a packet of that size arrives at the other end; NaN: the queue is full.
  due(bytes) {
    const { rate, queueMs, delayMs, jitterMs, random } = this.relay;
    const now = performance.now();
    const begin = Math.max(now, this.freeAt);
    if (!rate) return now + delayMs + random() * jitterMs;
    if (begin - now > queueMs) return NaN;
    this.freeAt = begin + (bytes * 8000) / rate;
    return this.freeAt + delayMs + random() * jitterMs;
  }

  pass(data, send) {
    const due = this.due(data.length);
    if (Number.isNaN(due)) return this.relay.lost++;
    const at = this.waiting.findLastIndex((other) => other.due <= due) + 1;
    if (at < this.waiting.length) this.relay.reordered++;
    this.waiting.splice(at, 0, { due, send });
    if (at === 0) this.arm();
  }

  arm() {
    clearTimeout(this.timer);
    if (this.waiting.length) this.timer = setTimeout(() => this.deliver(), Math.max(0, this.waiting[0].due - performance.now()));
  }

  deliver() {
    const now = performance.now();
    while (this.waiting.length && this.waiting[0].due <= now) this.waiting.shift().send();
    this.arm();
  }

  stop() {
    clearTimeout(this.timer);
    this.waiting = [];
  }
}

export class Relay {
  static async start(port, { seed = 1 } = {}) {
    const relay = new Relay();
    relay.random = generator(seed);
    relay.target = port;
    relay.front = createSocket('udp4');
    relay.front.on('message', (data, from) => relay.forward(data, from));
    await bind(relay.front);
    return relay;
  }

  constructor() {
    this.backs = new Map(); // by the client's port
    this.passed = 0;
    this.heal();
  }

  // A good network again; what is on its way still comes as it would have.
  heal() {
    Object.assign(this, { loss: 0, duplicate: 0, delayMs: 0, jitterMs: 0, rate: 0, queueMs: 250 }); // rate: bits a second
    Object.assign(this, { lost: 0, doubled: 0, reordered: 0 });
  }

  get port() {
    return this.front.address().port;
  }

  // Handshakes and checks have their own tests; only media (RFC 7983: 128 to 191) suffers.
  carry(line, data, send) {
    if (data[0] < 128 || data[0] > 191) return send();
    if (this.random() < this.loss) return this.lost++;
    this.passed++;
    line.pass(data, send);
    if (this.random() >= this.duplicate) return;
    this.doubled++;
    line.pass(data, send);
  }

  forward(data, from) {
    const back = this.back(from);
    this.carry(back.up, data, () => back.socket.send(data, this.target, '127.0.0.1'));
  }

  // What stands for one client towards the forwarder.
  back(from) {
    if (!this.backs.has(from.port)) this.backs.set(from.port, { from, up: new Line(this), down: new Line(this), socket: this.open(from) });
    return this.backs.get(from.port);
  }

  open(from) {
    const socket = createSocket('udp4');
    socket.on('message', (data) => {
      const back = this.backs.get(from.port);
      this.carry(back.down, data, () => this.front.send(data, from.port, from.address));
    });
    return socket;
  }

  // All clients come from other ports from now on, as behind another network; nothing comes to the old ones.
  move() {
    for (const back of this.backs.values()) {
      back.socket.close();
      back.socket = this.open(back.from);
    }
  }

  stop() {
    this.front.close();
    for (const { up, down, socket } of this.backs.values()) {
      up.stop();
      down.stop();
      socket.close();
    }
  }
}
