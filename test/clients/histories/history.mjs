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
  constructor({ seed, seconds, pace = CALM, settleMs = SETTLE_MS, fault: plant }) {
    Object.assign(this, { seed, seconds, pace, settleMs, plant });
    this.random = new Random(seed);
    this.faults = [];
    this.counts = {};
    this.actions = [];
    this.over = false;
    this.typingEndsSince = 0; // what was told to begin later must have ended
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
    await this.plant?.(this.cluster);
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
    this.typingEndsSince = Date.now() + 5000;
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

  // Until nothing is under way and all agree.  On a slow machine little has happened by then, so some of each kind follows, at rest;
  // what differs is the result.
  async settle() {
    for (const { socket } of this.devices) if (!socket.active) socket.connect();
    for (const round of [undefined, 'there', 'listed', 'back']) {
      if (round) await this[round]();
      await this.agree();
      if (this.differences.length > 0) return;
    }
  }

  async agree() {
    const deadline = Date.now() + this.settleMs;
    do {
      await delay(250);
      const ready = this.devices.every(({ socket, busy }) => socket.connected && busy === 0);
      this.differences = ready ? await differences(this) : ['devices are not connected, or wait'];
    } while (this.differences.length > 0 && Date.now() < deadline);
  }

  // Rooms with two of their members.
  places() {
    // All agree: no badge is in doubt.
    for (const { rooms } of this.devices) for (const room of rooms.values()) room.doubtAt = 0;
    const ids = new Set(this.devices.flatMap(({ rooms }) => [...rooms.keys()]));
    return [...ids].map((id) => {
      const devices = this.devices.filter(({ rooms }) => rooms.has(id));
      const { user: one } = this.random.pick(devices);
      const { user: other } = this.random.pick(devices.filter(({ user }) => user !== one)) ?? { user: one };
      return { id, one, other, path: `/api/chat/rooms/${id}` };
    });
  }

  setLevel({ id, path, one }, from) {
    const level = from.get(one.devices[0].rooms.get(id)?.level) ?? 'all';
    return this.rest('PUT', `${path}/notifications`, one, { level });
  }

  // A mention, unread and pinned; a level; everybody away or busy.
  async there() {
    this.probes = this.places();
    await Promise.all([
      ...this.probes.map(async (place) => {
        const sent = await this.rest('POST', `${place.path}/msgs`, place.one, { content: `@${place.other.id} probe` });
        if (sent?.status !== 201) return;
        place.seq = sent.body.data.seq;
        await this.rest('PUT', `${place.path}/msgs/${sent.body.data.id}/pin`, place.one);
        await this.rest('PUT', `${place.path}/read`, place.other, { seq: place.seq });
        await this.rest('PUT', `${place.path}/read`, place.other, { seq: place.seq - 1 });
        await this.setLevel(place, new Map([['all', 'mentions'], ['mentions', 'none']]));
      }),
      ...this.devices.map((device) => device.ask('update-chat-status', { status: device.user.id > 'user4' ? 'away' : 'busy' })),
    ]);
  }

  // What lists say of it.
  listed() {
    for (const device of this.devices) for (const room of device.rooms.values()) if (room.joined) device.askOnline(room);
  }

  // And back.  Somebody types in each room: all others hear it, and of every fourth seed that the server ends it.
  async back() {
    this.typingEndsSince = Date.now() - 1;
    await Promise.all([
      ...this.probes.map(async (place) => {
        if (place.seq) await this.rest('DELETE', `${place.path}/msgs/${place.id}-${place.seq}/pin`, place.one);
        if (place.seq) await this.rest('PUT', `${place.path}/read`, place.other, { seq: place.seq });
        await this.setLevel(place, new Map([['all', 'none'], ['none', 'mentions']]));
        await this.typeIn(place.id);
      }),
      ...this.devices.map((device) => device.ask('update-chat-status', { status: 'online' })),
    ]);
  }

  async typeIn(roomId) {
    const devices = this.devices.filter(({ rooms }) => rooms.get(roomId)?.joined);
    if (devices.length === 0) return;
    const typist = this.random.pick(devices);
    const begun = Date.now() - 1;
    const reply = await typist.ask('chat-typing', { roomId, isTyping: true });
    if (!reply) return; // the connection broke
    if (!reply.success) {
      this.fault(`${typist.name} may not type in room ${roomId}: ${JSON.stringify(reply)}`);
      return;
    }
    // Whoever connects meanwhile may miss it.
    const hears = (device) => device.rooms.get(roomId)?.heard.get(typist.user.id) > begun || device.connectedAt > begun;
    const deaf = () => devices.filter((device) => device !== typist && device.socket.connected && !hears(device));
    await until(() => deaf().length === 0, 'all hear it', this.settleMs)
      .catch(() => this.fault(`${deaf().map(({ name }) => name)} room ${roomId}: not told that ${typist.user.id} types`));
    if (this.seed % 4 !== 1) await typist.ask('chat-typing', { roomId, isTyping: false });
  }
}
