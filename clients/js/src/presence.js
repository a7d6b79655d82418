// presence.js: the status of users who share a room with the user.
import { Store } from './store.js';

const ASK_MS = 250;

export class Presence extends Store {
  #client;
  #rooms = new Map(); // how often each is watched
  #asking = new Set(); // rooms that are asked for soon
  #requests = new Set(); // for each that is under way, what was heard since, by user: it may have overtaken the answer

  constructor(client) {
    super({ users: {}, rooms: {} });
    this.#client = client;
  }

  get(userId) {
    return this.state.users[userId];
  }

  // Who of a room is online, in state.rooms[roomId]; the result ends it.
  watch(roomId) {
    this.#rooms.set(roomId, (this.#rooms.get(roomId) ?? 0) + 1);
    if (this.#rooms.get(roomId) === 1) this.#ask(roomId);
    return () => {
      const left = this.#rooms.get(roomId) - 1;
      if (left > 0) this.#rooms.set(roomId, left);
      else this.#rooms.delete(roomId);
    };
  }

  onConnected() {
    for (const roomId of this.#rooms.keys()) this.#ask(roomId);
  }

  onUpdate({ userId, userName, status, isOnline, lastSeen, statusMessage }) {
    const user = { userId, userName, status, isOnline, lastSeen, statusMessage };
    for (const heard of this.#requests) heard.set(userId, user);
    const wasOnline = this.get(userId)?.isOnline;
    const rooms = { ...this.state.rooms };
    for (const roomId of this.#rooms.keys()) {
      const before = rooms[roomId] ?? [];
      if (before.some((one) => one.userId === userId)) rooms[roomId] = isOnline ? before.map((one) => (one.userId === userId ? user : one)) : before.filter((one) => one.userId !== userId);
      // Which of the rooms somebody who comes is in, the server knows.
      else if (isOnline && !wasOnline) this.#askSoon(roomId);
    }
    this.set({ users: { ...this.state.users, [userId]: user }, rooms });
  }

  onMembers({ roomId }) {
    if (this.#rooms.has(roomId)) this.#askSoon(roomId);
  }

  // Once for many who come together.
  #askSoon(roomId) {
    if (this.#asking.has(roomId)) return;
    const timer = setTimeout(() => {
      this.#asking.delete(roomId);
      if (this.#rooms.has(roomId)) this.#ask(roomId);
    }, ASK_MS);
    timer.unref?.();
    this.#asking.add(roomId);
  }

  async #ask(roomId) {
    if (!this.#client.isConnected) return;
    const heard = new Map();
    this.#requests.add(heard);
    try {
      const { users } = await this.#client.ask('get-room-online-users', { roomId });
      const known = Object.fromEntries(users.map((user) => [user.userId, { ...user, isOnline: true }]));
      this.set({ rooms: { ...this.state.rooms, [roomId]: users }, users: { ...this.state.users, ...known } });
      for (const user of heard.values()) this.onUpdate(user);
    } catch {
      // Asked again with the next connection.
    } finally {
      this.#requests.delete(heard);
    }
  }
}
