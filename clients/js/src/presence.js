// presence.js: the status of users who share a room with the user.
import { Store } from './store.js';

export class Presence extends Store {
  #client;
  #rooms = new Map(); // how often each is watched

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
    this.set({ users: { ...this.state.users, [userId]: { userId, userName, status, isOnline, lastSeen, statusMessage } } });
    // Which of the rooms the user is in, the server knows.
    const shares = (roomId) => this.state.rooms[roomId]?.some((user) => user.userId === userId);
    for (const roomId of this.#rooms.keys()) if (isOnline !== Boolean(shares(roomId)) || shares(roomId)) this.#ask(roomId);
  }

  onMembers({ roomId }) {
    if (this.#rooms.has(roomId)) this.#ask(roomId);
  }

  async #ask(roomId) {
    if (!this.#client.isConnected) return;
    try {
      const { users } = await this.#client.ask('get-room-online-users', { roomId });
      const known = Object.fromEntries(users.map((user) => [user.userId, { ...user, isOnline: true }]));
      this.set({ rooms: { ...this.state.rooms, [roomId]: users }, users: { ...this.state.users, ...known } });
    } catch {
      // Asked again with the next connection.
    }
  }
}
