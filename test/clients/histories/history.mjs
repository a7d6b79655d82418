// One history: ten users with two devices each do everything at random, with drops, gateway kills and psql beside them.
// At the end each device must hold what the database holds.
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from '../lib/cluster.mjs';
import { until } from '../lib/client.mjs';
import { act, actBySql } from './actions.mjs';
import { differences } from './check.mjs';
import { Device } from './device.mjs';
import { Random } from './random.mjs';

const USERS = 10;
const DEVICES = 2;
const ROOMS = 6;
const SETTLE_MS = 120_000;
const CALM = { actEveryMs: 120, sqlEveryMs: 150, dropEveryMs: 700, killEveryMs: 9000 };

export class History {
  constructor({ seed, seconds, pace = CALM }) {
    Object.assign(this, { seed, seconds, pace });
    this.random = new Random(seed);
    this.faults = [];
    this.counts = {};
    this.actions = [];
    this.over = false;
  }

  count(what) {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  fault(text) {
    this.faults.push(text);
  }

  did(text) {
    this.actions.push(`${new Date().toISOString().slice(11, 23)} ${text}`);
  }

  // Gives undefined where the gateway is away.
  async rest(method, path, user, body) {
    try {
      const reply = await this.cluster.rest(method, path, user.token, body);
      if (reply.status === 500) this.fault(`${method} ${path} ${JSON.stringify(body)}: ${JSON.stringify(reply.body)}`);
      return reply;
    } catch {
      return undefined;
    }
  }

  async prepare() {
    // A seed also chooses how the gateway is made up.
    const workers = this.random.pick([1, 1, 2]);
    this.cluster = await Cluster.start({ 'rt.gateway_workers': workers, 'rt.rate_messages': 0, 'rt.rate_events': 0, 'rt.media_workers': 0 });
    const ids = Array.from({ length: USERS }, (_, i) => `user${i}`);
    const tokens = await this.cluster.users(...ids);
    this.users = ids.map((id, i) => ({ id, token: tokens[i] }));
    this.roomIds = [];
    for (let i = 0; i < ROOMS; i++) this.roomIds.push(await this.cluster.room(`room ${i}`, ...this.random.some(ids, USERS)));
    for (const user of this.users) user.devices = [];
    for (const user of this.users) {
      for (let i = 0; i < DEVICES; i++) {
        const transports = this.random.pick([['websocket'], ['websocket'], ['polling'], ['polling', 'websocket']]);
        user.devices.push(new Device(this, user, `${user.id}/${i}`, new Random(this.random.below(2 ** 31)), { transports }));
      }
    }
    this.devices = this.users.flatMap(({ devices }) => devices);
    await until(() => this.devices.every(({ socket, busy }) => socket.connected && busy === 0), 'all devices have begun');
  }

  // Each with a source of its own, so that one's choices do not depend on another's pace.
  async repeat(everyMs, work) {
    const random = new Random(this.random.below(2 ** 31));
    while (Date.now() < this.endsAt) {
      await delay(everyMs * (0.2 + 1.6 * random.next()));
      if (Date.now() < this.endsAt) await work(random);
    }
  }

  async drop(random) {
    const device = random.pick(this.devices);
    const { socket } = device;
    const how = random.weighted({ engine: 6, hidden: 2, terminate: 2 });
    device.note(`drop: ${how}`);
    this.count(`drop ${how}`);
    if (how === 'engine') socket.io.engine?.close();
    else if (how === 'hidden') {
      socket.disconnect();
      await delay(random.below(1500));
      socket.connect();
    } else socket.io.engine?.transport?.ws?.terminate?.();
  }

  async kill(random) {
    const pid = await this.cluster.pid('gateway');
    if (!pid) return;
    this.did('kill -9 gateway');
    this.count('kill');
    this.killedAt = Date.now();
    process.kill(pid, random.chance(0.8) ? 'SIGKILL' : 'SIGTERM');
    await until(async () => {
      const now = await this.cluster.pid('gateway');
      return now && now !== pid;
    }, 'another gateway');
  }

  async run() {
    await this.prepare();
    try {
      const { pace } = this;
      this.endsAt = Date.now() + this.seconds * 1000;
      await Promise.all([
        ...this.users.map((user) => this.repeat(pace.actEveryMs, (random) => act(this, user, random))),
        this.repeat(pace.sqlEveryMs, (random) => actBySql(this, random)),
        this.repeat(pace.dropEveryMs, (random) => this.drop(random)),
        this.repeat(pace.killEveryMs, (random) => this.kill(random)),
      ]);
      await this.settle();
    } finally {
      this.over = true;
      for (const { socket } of this.devices) socket.disconnect();
      await this.cluster.stop();
    }
    return this;
  }

  // Until nothing is under way and all agree; what differs then is the result.
  async settle() {
    const deadline = Date.now() + SETTLE_MS;
    for (const { socket } of this.devices) if (!socket.active) socket.connect();
    do {
      await delay(250);
      const ready = this.devices.every(({ socket, busy }) => socket.connected && busy === 0);
      this.differences = ready ? await differences(this) : ['devices are not connected, or wait'];
    } while (this.differences.length > 0 && Date.now() < deadline);
  }
}
