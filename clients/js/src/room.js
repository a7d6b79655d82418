// room.js: a room as state that is always whole.
//
// Messages are a window without holes: from some message on up to the newest.  Their numbers (seq) count up by one, so a message
// that comes with a later number shows what is missing, which `sync-rooms` then brings.  What was changed while the client was
// away comes by the room's own count of changes.
import { Again } from './again.js';
import { isTransient } from './errors.js';
import { Messages, seqOf } from './messages.js';
import { Store } from './store.js';
import { Typing } from './typing.js';

const LINGER_MS = 1000;

const EMPTY = {
  status: 'closed', // "closed", "loading", "live", "offline", "error"
  error: undefined,
  messages: [],
  pending: [],
  hasMore: false,
  lastSeq: 0,
  lastReadSeq: 0,
  unreadCount: 0,
  mentionCount: 0,
  typing: [],
  readBy: {},
};

export class Room extends Store {
  #client;
  #messages; // also those that came before those in front of them
  #isCatchingUp = false;
  #mustCatchUp = false;
  #again = new Again(() => this.#catchUp());
  #lingering;
  #typing = new Typing((isTyping) => this.#client.tell('chat-typing', { roomId: this.id, isTyping }));
  #seen = new Set(); // what the server is to be told of
  #isTellingSeen = false;
  #seenAgain = new Again(() => this.#tellSeen());

  constructor(client, id) {
    super({ ...EMPTY, id });
    this.#client = client;
    this.id = id;
    this.#forget();
  }

  // ---- being watched ------------------------------------------------------------------------

  onWatched() {
    clearTimeout(this.#lingering);
    if (this.state.status !== 'closed') return;
    this.set({ status: 'loading', pending: this.#client.outbox?.of(this.id) ?? [] });
    this.#client.connectRoom(this);
  }

  // A view that is drawn anew unsubscribes and subscribes at once.
  onUnwatched() {
    this.#lingering = setTimeout(() => this.#close(), LINGER_MS);
    this.#lingering.unref?.();
  }

  #close() {
    this.setTyping(false);
    this.#again.stop();
    this.#seenAgain.stop();
    this.#forget();
    this.set({ ...EMPTY });
    this.#client.disconnectRoom(this);
  }

  // An answer that is still on its way comes to the former object.
  #forget() {
    const settle = (message) => this.#client.outbox?.settle(message.clientId, message);
    this.#messages = new Messages(this.id, (...args) => this.#client.call(...args), settle);
  }

  // ---- what the client tells it ----------------------------------------------------------------

  // The socket is in the room, so nothing that comes from now on is missed.
  async onJoined() {
    this.#tellSeen();
    await this.#catchUp();
  }

  onRefused(error) {
    this.set({ status: 'error', error });
  }

  onOffline() {
    if (this.state.status === 'live') this.set({ status: 'offline', typing: [] });
  }

  // Another server, which may have fewer messages: what it does not have was never there.
  onEpoch() {
    if (this.state.status === 'closed') return;
    this.#forget();
    this.set({ messages: [], lastSeq: 0, hasMore: false, status: 'loading' });
    this.#catchUp();
  }

  onPending(pending) {
    if (this.state.status !== 'closed') this.set({ pending });
  }

  onRemoved(error) {
    this.#forget();
    this.set({ ...EMPTY, status: 'error', error });
  }

  // A message may have overtaken the counts, which go up to lastSeq.
  onReadState({ lastReadSeq, unreadCount, mentionCount, lastSeq = Infinity }) {
    const me = this.#client.user?.id;
    const later = this.state.messages.filter(({ seq, senderId, deletedAt }) => seq > lastSeq && senderId !== me && !deletedAt);
    this.set({ lastReadSeq, unreadCount: unreadCount + later.length, mentionCount });
  }

  onMessage(message) {
    if (this.state.status === 'closed') {
      if (message.clientId) this.#client.outbox?.settle(message.clientId, message);
      return;
    }
    const parent = this.#messages.add(message);
    this.#show(parent ? [parent] : []);
    if ((this.#messages.newest === null || this.#messages.isBehind) && !this.#isCatchingUp) this.#catchUp();
  }

  onChange(name, data) {
    this.#show(this.#messages.onChange(name, data));
  }

  onTyping({ userId, userName, isTyping }) {
    const others = this.state.typing.filter((one) => one.userId !== userId);
    this.set({ typing: isTyping ? [...others, { userId, userName }] : others });
  }

  onSeen({ userId, messageIds }) {
    const seq = Math.max(...messageIds.map(seqOf));
    if (seq > (this.state.readBy[userId] ?? 0)) this.set({ readBy: { ...this.state.readBy, [userId]: seq } });
  }

  // ---- the window -----------------------------------------------------------------------------------

  // What fits behind the last message, and messages that are others now.
  #show(changed) {
    if (this.state.status === 'loading' || this.#messages.newest === null) return;
    const fresh = this.#messages.since(this.state.lastSeq);
    if (fresh.length === 0 && changed.length === 0) return;
    const messages = [...this.state.messages, ...fresh];
    for (const message of changed) {
      const at = indexOf(messages, message.seq);
      if (at >= 0) messages[at] = message;
    }
    this.set({ messages, lastSeq: this.#messages.newest });
  }

  // One at a time; what comes up meanwhile is done behind it.
  async #catchUp() {
    this.#mustCatchUp = true;
    if (this.#isCatchingUp) return;
    this.#isCatchingUp = true;
    try {
      while (this.#mustCatchUp && this.#client.isConnected && this.state.status !== 'closed') {
        this.#mustCatchUp = false;
        if (this.state.status === 'loading' || this.state.status === 'error') await this.#loadNewest();
        else await this.#sync();
      }
      this.#again.stop();
    } catch (error) {
      // A lost connection brings us here again.
      if (this.#client.isConnected && this.state.status !== 'closed') {
        this.set({ status: this.state.messages.length > 0 ? 'live' : 'error', error });
        this.#again.after(error);
      }
    } finally {
      this.#isCatchingUp = false;
    }
  }

  async #loadNewest() {
    const messages = this.#messages;
    const [page, data] = await Promise.all([messages.loadLatest(), this.#client.rooms.ask(this.id)]);
    if (this.#client.noteEpoch(page.epoch) || messages !== this.#messages) return;
    const { lastReadSeq, unreadCount, mentionCount } = data;
    this.set({ status: 'live', error: undefined, lastReadSeq, unreadCount, mentionCount, ...this.#window() });
    if (messages.isBehind) this.#mustCatchUp = true;
  }

  #window() {
    const messages = this.#messages.run();
    const { first, newest } = this.#messages;
    return { messages, lastSeq: newest, hasMore: messages.length > 0 && (first === null || messages[0].seq > first) };
  }

  async #sync() {
    const messages = this.#messages;
    const { epoch, rooms: [{ changed, hasMore }] } = await Messages.sync([messages], (...args) => this.#client.ask(...args));
    if (this.#client.noteEpoch(epoch) || messages !== this.#messages) return;
    this.set({ status: 'live', error: undefined });
    this.#show(changed);
    if (hasMore) this.#mustCatchUp = true;
  }

  // ---- what the application asks for ---------------------------------------------------------------

  // Earlier messages; false if there are none.
  async loadOlder() {
    const [first] = this.state.messages;
    if (!first || !this.state.hasMore) return false;
    const messages = this.#messages;
    const page = await messages.loadBefore(first.seq);
    if (messages === this.#messages) this.set(this.#window());
    return page.data.length > 0;
  }

  // Resolves with the message once the server has stored it, exactly once, however often the connection drops.
  async send(content, { replyTo, metadata, messageType } = {}) {
    this.setTyping(false);
    const outbox = await this.#client.openOutbox();
    return outbox.add(this.id, { content, replyTo, metadata, messageType }).sent;
  }

  retry(clientId) {
    this.#client.outbox?.retry(clientId);
  }

  discard(clientId) {
    this.#client.outbox?.discard(clientId);
  }

  async edit(messageId, content) {
    return (await this.#client.call('editMessage', { params: { roomId: this.id, messageId }, body: { content } })).data;
  }

  async delete(messageId) {
    await this.#client.call('deleteMessage', { params: { roomId: this.id, messageId } });
  }

  async react(messageId, emoji, on = true) {
    await this.#client.call(on ? 'addReaction' : 'removeReaction', { params: { roomId: this.id, messageId, emoji } });
  }

  // Call it on each key: it tells others at most every two seconds, and that it is over.
  setTyping(isTyping = true) {
    this.#typing.set(isTyping);
  }

  // Messages that the user has seen: ids, or a number up to which all in the window are.  Those of one turn go together.
  markSeen(upTo) {
    const me = this.#client.user?.id;
    const ids = Array.isArray(upTo) ? upTo
      : this.state.messages.filter(({ seq, senderId }) => seq <= upTo && seq > this.state.lastReadSeq && senderId !== me).map(({ id }) => id);
    if (ids.length === 0) return;
    for (const id of ids) this.#seen.add(id);
    queueMicrotask(() => this.#tellSeen());
  }

  // What comes up while it runs goes together afterwards.
  async #tellSeen() {
    if (this.#isTellingSeen || this.#seen.size === 0 || !this.#client.isConnected) return;
    const messageIds = [...this.#seen];
    this.#seen.clear();
    this.#isTellingSeen = true;
    try {
      await this.#client.ask('mark-msgs-seen', { roomId: this.id, messageIds });
      this.#seenAgain.stop();
    } catch (error) {
      if (isTransient(error)) for (const id of messageIds) this.#seen.add(id);
      this.#seenAgain.after(error);
      return;
    } finally {
      this.#isTellingSeen = false;
    }
    this.#tellSeen();
  }

  // Moves the read mark, backwards too.
  async markRead(seq = this.state.lastSeq) {
    this.onReadState((await this.#client.call('setRead', { params: { roomId: this.id }, body: { seq } })).data);
  }
}

// By number, in messages that rise.
function indexOf(messages, seq) {
  let [low, high] = [0, messages.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (messages[middle].seq < seq) low = middle + 1;
    else high = middle;
  }
  return messages[low]?.seq === seq ? low : -1;
}
