// rooms.js: the user's rooms as state, by latest activity, with what is unread in each.
import { Again } from './again.js';
import { RoomList } from './roomlist.js';
import { Store } from './store.js';

const at = ({ lastMessage, createdAt }) => lastMessage?.createdAt ?? createdAt;
const sorted = (rooms) => [...rooms].sort((a, b) => (at(a) < at(b) ? 1 : -1));

export class Rooms extends Store {
  #client;
  #list;
  #shown = new Map(); // by id, as they are in the state
  #again = new Again(() => this.load());

  constructor(client) {
    super({ status: 'loading', rooms: [], error: undefined });
    this.#client = client;
    this.#list = new RoomList({
      call: (...args) => client.call(...args), pages: (...args) => client.session.pages(...args), me: () => client.user?.id,
      changed: (id) => this.#show(id), removed: () => this.#show(),
    });
  }

  get(roomId) {
    return this.#shown.get(roomId);
  }

  #show(id) {
    const { rooms } = this.#list;
    if (id === undefined) this.#shown = new Map([...rooms].map(([key, room]) => [key, { ...room }]));
    else if (rooms.has(id)) this.#shown.set(id, { ...rooms.get(id) });
    this.set({ rooms: sorted(this.#shown.values()) });
  }

  // All pages.
  async load() {
    try {
      await this.#list.load();
      this.#again.stop();
      this.set({ status: 'live', error: undefined });
    } catch (error) {
      this.set({ error });
      if (this.#client.isConnected) this.#again.after(error);
    }
  }

  // One room; what the server tells of it is in the list, too.
  ask(roomId) {
    return this.#list.ask(roomId);
  }

  stop() {
    this.#again.stop();
    this.#list.stop();
  }

  // Another server has taken over.
  onEpoch() {
    this.#list.forget();
    this.load();
  }

  hear(roomId, name, data) {
    this.#list.hear(roomId, name, data);
  }

  onNotification(event) {
    this.#list.hearNotification(event);
  }
}
