// room.js: a room as state that is always whole.
//
// Messages are a window without holes: from some message on up to the newest.  Their numbers (seq) count up by one, so a message
// that comes with a later number shows what is missing, which `sync-rooms` then brings.  What was changed while the client was
// away comes by the room's own count of changes.
import { Again } from './again.js';
import { isTransient } from './errors.js';
import { Store } from './store.js';

const PAGE = 50;
const TYPING_MS = 2000;
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

const seqOf = (messageId) => Number(messageId.slice(messageId.lastIndexOf('-') + 1));

export class Room extends Store {
  #client;
  #lastChange = 0;
  #early = new Map(); // messages that came before those in front of them, by seq
  #isCatchingUp = false;
  #mustCatchUp = false;
  #again = new Again(() => this.#catchUp());
  #lingering;
  #typing = { is: false, at: 0, timer: undefined };
  #seen = new Set(); // what the server is to be told of
  #isTellingSeen = false;
  #seenAgain = new Again(() => this.#tellSeen());

  constructor(client, id) {
    super({ ...EMPTY, id });
    this.#client = client;
    this.id = id;
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

  #forget() {
    this.#early.clear();
    this.#lastChange = 0;
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
    if (message.clientId) this.#client.outbox?.settle(message.clientId, message);
    if (this.state.status === 'closed') return;
    this.#early.set(message.seq, message);
    this.#take();
    if (this.#early.size > 0 && !this.#isCatchingUp) this.#catchUp();
  }

  onEdited({ messageId, newContent, metadata, timestamp }) {
    this.#onChange(messageId, () => ({ content: newContent, editedAt: timestamp, ...(metadata === undefined ? {} : { metadata }) }));
  }

  onDeleted({ messageId, timestamp }) {
    this.#onChange(messageId, () => ({ content: '', metadata: null, deletedAt: timestamp, reactions: [] }));
  }

  onReaction({ messageId, emoji, userId, action }) {
    this.#onChange(messageId, ({ reactions = [] }) => {
      const others = reactions.filter((reaction) => reaction.emoji !== emoji);
      const before = reactions.find((reaction) => reaction.emoji === emoji)?.userIds ?? [];
      const userIds = action === 'add' ? [...new Set([...before, userId])] : before.filter((id) => id !== userId);
      return { reactions: userIds.length > 0 ? [...others, { emoji, count: userIds.length, userIds }] : others };
    });
  }

  onPinned({ messageId, pinned }) {
    this.#change(messageId, () => ({ pinned }));
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

  // What is on its way may be from before the change, and would undo it: it is asked for again.
  #onChange(messageId, change) {
    if (this.#isCatchingUp) this.#mustCatchUp = true;
    this.#change(messageId, change);
  }

  #change(messageId, change) {
    const early = this.#early.get(seqOf(messageId));
    if (early) this.#early.set(early.seq, { ...early, ...change(early) });
    const messages = this.state.messages;
    const at = messages.findIndex(({ id }) => id === messageId);
    if (at >= 0) this.set({ messages: messages.with?.(at, { ...messages[at], ...change(messages[at]) }) ?? messages.map((m, i) => (i === at ? { ...m, ...change(m) } : m)) });
  }

  // Takes what fits behind the last message.
  #take() {
    if (this.state.status === 'loading') return;
    const fresh = [];
    let next = this.state.lastSeq + 1;
    for (const seq of this.#early.keys()) if (seq < next) this.#early.delete(seq);
    for (; this.#early.has(next); next++) {
      fresh.push(this.#early.get(next));
      this.#early.delete(next);
    }
    if (fresh.length > 0) this.set({ messages: [...this.state.messages, ...fresh], lastSeq: next - 1 });
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
    const [page, room] = await Promise.all([
      this.#client.call('listMessages', { params: { roomId: this.id }, query: { limit: PAGE } }),
      this.#client.call('getRoom', { params: { roomId: this.id } }),
    ]);
    if (this.#client.noteEpoch(page.epoch)) return;
    const { lastReadSeq, unreadCount, mentionCount } = room.data;
    const messages = withExtras(page);
    // Reading the changes of before would only repeat what the page has.
    this.#lastChange = page.lastChange ?? room.data.lastChange ?? 0;
    this.set({
      status: 'live', error: undefined, messages, hasMore: page.hasMore, lastSeq: messages.at(-1)?.seq ?? 0,
      lastReadSeq, unreadCount, mentionCount,
    });
    this.#take();
    if (this.#early.size > 0) this.#mustCatchUp = true;
  }

  async #sync() {
    const reply = await this.#client.ask('sync-rooms', { rooms: [{ roomId: this.id, afterSeq: this.state.lastSeq, afterChange: this.#lastChange }] });
    if (this.#client.noteEpoch(reply.epoch)) return;
    const [room] = reply.rooms;
    for (const message of room.messages) {
      if (message.clientId) this.#client.outbox?.settle(message.clientId, message);
      this.#early.set(message.seq, message);
    }
    if (this.state.status !== 'closed') this.set({ status: 'live', error: undefined });
    this.#take();
    // A message that the page has is as it is now; one that was taken just now may be newer than the changes.
    for (const message of room.changed) this.#change(message.id, () => message);
    this.#lastChange = room.lastChange;
    if (room.hasMore || room.hasMoreChanges) this.#mustCatchUp = true;
  }

  // ---- what the application asks for ---------------------------------------------------------------

  // Earlier messages; false if there are none.
  async loadOlder() {
    const [first] = this.state.messages;
    if (!first || !this.state.hasMore) return false;
    const page = await this.#client.call('listMessages', { params: { roomId: this.id }, query: { beforeSeq: first.seq, limit: PAGE } });
    const known = this.state.messages;
    // The window may have been replaced meanwhile.
    if (known[0]?.id === first.id) this.set({ messages: [...withExtras(page), ...known], hasMore: page.hasMore });
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
    clearTimeout(this.#typing.timer);
    if (isTyping) {
      this.#typing.timer = setTimeout(() => this.setTyping(false), TYPING_MS + 1000);
      this.#typing.timer.unref?.();
      if (this.#typing.is && Date.now() - this.#typing.at < TYPING_MS) return;
    } else if (!this.#typing.is) return;
    this.#typing.is = isTyping;
    this.#typing.at = Date.now();
    this.#client.tell('chat-typing', { roomId: this.id, isTyping });
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

// In a list, reactions and pins stand beside the messages.
function withExtras({ data, reactions = [], pinned = [] }) {
  const of = new Map();
  for (const { messageId, emoji, userIds, count } of reactions) {
    if (!of.has(messageId)) of.set(messageId, []);
    of.get(messageId).push({ emoji, userIds, count: count ?? userIds.length });
  }
  const pins = new Set(pinned.map((pin) => pin.messageId ?? pin));
  return data.map((message) => ({ ...message, reactions: of.get(message.id) ?? message.reactions ?? [], ...(pins.has(message.id) ? { pinned: true } : {}) }));
}
