// A bad network on the way to one UDP port: loses a share of the packets, both ways, by a seeded generator.
import { createSocket } from 'node:dgram';

// xorshift32: the same losses in every run.
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
    this.loss = 0; // 0 to 1
    this.lost = 0;
    this.passed = 0;
    this.backs = new Map(); // by the client's port
  }

  get port() {
    return this.front.address().port;
  }

  // Handshakes and checks have their own tests; only media (RFC 7983: 128 to 191) is lost.
  loses(data) {
    const lost = data[0] >= 128 && data[0] <= 191 && this.random() < this.loss;
    lost ? this.lost++ : this.passed++;
    return lost;
  }

  forward(data, from) {
    if (this.loses(data)) return;
    this.back(from).send(data, this.target, '127.0.0.1');
  }

  // The socket that stands for one client towards the forwarder.
  back(from) {
    if (!this.backs.has(from.port)) {
      const back = createSocket('udp4');
      back.on('message', (data) => this.loses(data) || this.front.send(data, from.port, from.address));
      this.backs.set(from.port, back);
    }
    return this.backs.get(from.port);
  }

  stop() {
    this.front.close();
    for (const back of this.backs.values()) back.close();
  }
}
