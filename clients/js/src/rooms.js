// rooms.js: the user's rooms, by latest activity, with what is unread in each.
import { Again } from './again.js';
import { Store } from './store.js';

const at = ({ lastMessage, createdAt }) => lastMessage?.createdAt ?? createdAt;
const sorted = (rooms) => [...rooms].sort((a, b) => (at(a) < at(b) ? 1 : -1));

export class Rooms extends Store {
  #client;
  #isLoading = false;
  #isStale = false;
  #mentions = new Map(); // by room: up to which message the server has counted them, and those heard of since
  #again = new Again(() => this.load());

  constructor(client) {
    super({ status: 'loading', rooms: [], error: undefined });
    this.#client = client;
  }

  get(roomId) {
    return this.state.rooms.find(({ id }) => id === roomId);
  }

  // All pages.  What comes while it runs makes it run again.
  async load() {
    this.#isStale = true;
    if (this.#isLoading) return;
    this.#isLoading = true;
    try {
      while (this.#isStale) {
        this.#isStale = false;
        const rooms = [];
        for await (const page of this.#client.session.pages('listRooms')) rooms.push(...page);
        this.#mentions = new Map(rooms.map(({ id, lastSeq }) => [id, { counted: lastSeq, heard: new Set() }]));
        this.set({ status: 'live', rooms: sorted(rooms), error: undefined });
      }
      this.#again.stop();
    } catch (error) {
      this.set({ error });
      if (this.#client.isConnected) this.#again.after(error);
    } finally {
      this.#isLoading = false;
    }
  }

  stop() {
    this.#again.stop();
  }

  #change(roomId, change) {
    if (this.#isLoading) this.#isStale = true;
    const room = this.get(roomId);
    if (room) this.set({ rooms: sorted(this.state.rooms.map((one) => (one === room ? { ...room, ...change(room) } : one))) });
    else this.load();
  }

  onMessage(message) {
    const isOwn = message.senderId === this.#client.user?.id;
    this.#change(message.roomId, (room) => (message.seq <= room.lastSeq ? {} : {
      lastSeq: message.seq, lastMessage: message, unreadCount: isOwn ? room.unreadCount : room.unreadCount + 1,
    }));
  }

  onReadState({ roomId, lastReadSeq, unreadCount, mentionCount, lastSeq = Infinity }) {
    // Messages may have overtaken the counts, which go up to lastSeq.
    const isOwn = (room) => room.lastMessage?.senderId === this.#client.user?.id;
    const later = [...this.#mentions.get(roomId)?.heard ?? []].filter((seq) => seq > lastSeq);
    this.#change(roomId, (room) => {
      this.#mentions.set(roomId, { counted: Number.isFinite(lastSeq) ? lastSeq : room.lastSeq, heard: new Set(later) });
      return {
        lastReadSeq, mentionCount: mentionCount + later.length, unreadCount: unreadCount + (isOwn(room) ? 0 : Math.max(0, room.lastSeq - lastSeq)),
      };
    });
  }

  // The list may have counted it already, or an edit has added it to an older message: only the server knows.
  #onMention({ roomId, seq }) {
    const { counted, heard } = this.#mentions.get(roomId) ?? {};
    if (!heard || seq <= counted) return this.load();
    if (heard.has(seq)) return undefined;
    heard.add(seq);
    return this.#change(roomId, (room) => ({ mentionCount: room.mentionCount + 1 }));
  }

  onNotification({ type, data }) {
    if (type === 'new-message') this.onMessage(data);
    else if (type === 'mention') this.#onMention(data);
    else if (type === 'room-removed' || type === 'room-deleted') this.set({ rooms: this.state.rooms.filter(({ id }) => id !== data.roomId) });
    else if (type === 'room-added' || type === 'room-updated') this.load();
  }

  onNotificationLevel({ roomId, level, mutedUntil }) {
    this.#change(roomId, () => ({ notifications: { level, mutedUntil } }));
  }
}
