// roomlist.js: the user's rooms as the server tells of them, by lists, one by one and by events, in whatever order these come.
//
// An answer may be older than events that have overtaken it, but it is not older than its request.  So what was heard since the
// request is done again on the answer: an event has a number, or the state after it.  What is heard of a room that is not known makes
// the room be asked for.
import { Again } from './again.js';
import { changes, seqOf } from './messages.js';

const MOST_HEARD = 500; // messages of a room that are counted here, before the server counts them
const ASK_MS = 100; // what comes up in this time is asked for together
const MOST_ASKED = 20; // rooms one by one; where there are more, all are asked for
const SETTINGS = ['name', 'topic', 'archived', 'whoMayPost', 'whoMayAdd', 'whoMayPin', 'whoMayMentionAll', 'history'];

const isGone = ({ code }) => code === 'not_found' || code === 'forbidden';

export class RoomList {
  rooms; // by id: what the server tells of each; it is changed in place
  #counts = new Map(); // by id: what the server has counted, up to which message, and what was heard of: see #recount
  #requests = new Set(); // for each that is under way what was heard since, by the room's id: [name, data]
  #lists = 0; // requests for all rooms that are under way
  #wanted = new Set(); // ids of rooms that are asked for soon
  #asking; // the timer
  #again = new Again(() => this.load().catch((error) => this.#again.after(error)));
  #options;

  // call, pages: as of a Session.  me(): the user's id.  make(told): the object to keep of a room that was not known.  changed(id):
  // that room is other, or without an id any may be.  removed(room, event): it is no longer the user's; the event's data, if one told it.
  constructor({ rooms = new Map(), call, pages, me, make = (told) => ({ ...told }), changed, removed = () => {} }) {
    this.rooms = rooms;
    this.#options = { call, pages, me, make, changed, removed };
  }

  // ---- asking -------------------------------------------------------------------------------

  async #under(work) {
    const heard = new Map();
    this.#requests.add(heard);
    try {
      return await work(heard);
    } finally {
      this.#requests.delete(heard);
    }
  }

  // All rooms; each page is shown as it comes.
  async load() {
    this.#again.stop();
    this.#lists += 1;
    try {
      await this.#under((heard) => this.#loadAll(heard));
    } finally {
      this.#lists -= 1;
    }
  }

  async #loadAll(heard) {
    const listed = new Set();
    for await (const page of this.#options.pages('listRooms')) {
      if (!this.#requests.has(heard)) return; // of another server
      for (const told of page) {
        listed.add(told.id);
        this.#take(told, heard);
      }
      this.#options.changed();
    }
    const missing = [...this.rooms.keys()].filter((id) => !listed.has(id));
    for (const id of missing) if (!heard.has(id)) this.#remove(id);
    // A message moves its room to the front, maybe to a page that was there already; other rooms are new.
    const late = [...heard.keys()].filter((id) => !listed.has(id) && heard.get(id).at(-1)[0] !== 'removed');
    await Promise.all(late.map((id) => this.ask(id).catch((error) => this.#failed(id, error))));
  }

  // One room.  Result: what the server tells of it.
  ask(id) {
    this.#wanted.delete(id);
    return this.#under(async (heard) => {
      const { data } = await this.#options.call('getRoom', { params: { roomId: id } });
      if (!this.#requests.has(heard)) return data;
      this.#take(data, heard);
      this.#options.changed(id);
      return data;
    });
  }

  // Together with others that come up in the same moment.
  askSoon(id) {
    this.#wanted.add(id);
    this.#asking ??= setTimeout(() => this.#askWanted(), ASK_MS);
    this.#asking.unref?.();
  }

  #askWanted() {
    const ids = [...this.#wanted];
    this.#asking = undefined;
    this.#wanted.clear();
    if (ids.length > MOST_ASKED) this.load().catch((error) => this.#again.after(error));
    else for (const id of ids) this.ask(id).catch((error) => this.#failed(id, error));
  }

  #failed(id, error) {
    if (isGone(error)) this.#remove(id);
    else this.#again.after(error);
  }

  // Nothing more is asked for.
  stop() {
    this.#again.stop();
    clearTimeout(this.#asking);
    this.#asking = undefined;
    this.#wanted.clear();
  }

  // Another server has taken over, which may have fewer messages: what is known is shown until load() has brought what it has.
  forget() {
    this.stop();
    this.#requests.clear();
    for (const room of this.rooms.values()) {
      room.lastSeq = 0;
      this.#counts.set(room.id, { upTo: 0, unread: 0, mentions: 0, heard: new Map() });
    }
  }

  // ---- keeping ------------------------------------------------------------------------------

  // As they were at an earlier time, until load() has brought what is.
  restore(all) {
    for (const told of all) this.#take(told, new Map());
  }

  #take(told, heard) {
    const events = heard.get(told.id) ?? [];
    if (events.some(([name]) => name === 'removed')) return; // whoever was added again since is asked for
    const known = this.rooms.get(told.id);
    const room = known ?? this.#options.make(told);
    const { lastSeq, lastMessage } = room;
    Object.assign(room, told);
    if (lastSeq > told.lastSeq) Object.assign(room, { lastSeq, lastMessage }); // a standby answers, which is behind
    this.rooms.set(told.id, room);
    this.#onReadState(room, told);
    for (const [name, data] of events) this.#apply(room, name, data);
  }

  #remove(id, event) {
    this.#wanted.delete(id);
    this.#counts.delete(id);
    const room = this.rooms.get(id);
    if (this.rooms.delete(id)) this.#options.removed(room, event);
  }

  // ---- hearing ------------------------------------------------------------------------------

  // An event, by its name and data: "message", "removed", "added", "updated", "mention", "read", "members", "level", "seen" (what
  // the user has read just now: { seq, fresh, isAll }, fresh being numbers of messages that were unread), or one that changes a message.
  hear(id, name, data) {
    for (const heard of this.#requests) heard.set(id, [...heard.get(id) ?? [], [name, data]]);
    const room = this.rooms.get(id);
    if (name === 'removed') this.#remove(id, data);
    else if (name === 'added') this.askSoon(id);
    else if (room) this.#apply(room, name, data);
    else if (this.#lists === 0 && name !== 'seen') this.askSoon(id);
    if (room) this.#options.changed(name === 'removed' ? undefined : id);
  }

  // Of chat-notification, which says less of rooms that the socket has not joined.
  hearNotification({ type, data, timestamp }) {
    const { roomId } = data;
    if (type === 'new-message') this.hear(roomId, 'message', data);
    else if (type === 'mention') this.hear(roomId, 'mention', data);
    else if (type === 'message-deleted') this.hear(roomId, 'chat-message-deleted', { timestamp, ...data });
    else if (type === 'message-edited') this.#onEditedElsewhere(data);
    else if (type === 'room-removed' || type === 'room-deleted') this.hear(roomId, 'removed', { type, ...data });
    else if (type === 'room-added') this.hear(roomId, 'added', data);
    else if (type === 'room-updated') this.hear(roomId, 'updated', data);
  }

  #onEditedElsewhere({ roomId, messageId }) {
    const { lastMessage } = this.rooms.get(roomId) ?? {};
    if (lastMessage?.id === messageId || this.#requests.size > 0) this.askSoon(roomId);
  }

  #apply(room, name, data) {
    if (name === 'message') this.#onMessage(room, data);
    else if (name === 'read') this.#onReadState(room, data);
    else if (name === 'seen') this.#onOwnSeen(room, data);
    else if (name === 'mention') this.#onMention(room, data);
    else if (name === 'members') room.memberCount = data.memberCount;
    else if (name === 'level') room.notifications = { level: data.level, mutedUntil: data.mutedUntil };
    else if (name === 'updated') for (const key of SETTINGS) room[key] = key in data ? data[key] : room[key];
    else if (name === 'chat-message-edited' || name === 'chat-message-deleted') this.#onChange(room, name, data);
  }

  // An event may be one that the list has overtaken.
  #onMessage(room, message) {
    const { heard } = this.#counts.get(room.id);
    if (message.seq > room.lastSeq) Object.assign(room, { lastSeq: message.seq, lastMessage: message });
    heard.set(message.seq, { ...heard.get(message.seq), isUnread: message.senderId !== this.#options.me() });
    this.#recount(room);
  }

  #onChange(room, name, data) {
    const { lastMessage } = room;
    if (lastMessage?.id === data.messageId) room.lastMessage = { ...lastMessage, ...changes[name](lastMessage, data) };
    if (name === 'chat-message-deleted') this.#onDeleted(room, seqOf(data.messageId));
  }

  // Of one that the server has counted only the server knows whose it was.
  #onDeleted(room, seq) {
    const { heard, upTo } = this.#counts.get(room.id);
    if (seq > upTo) heard.set(seq, { isUnread: false, isMention: false });
    else if (seq > room.lastReadSeq) this.askSoon(room.id);
    this.#recount(room);
  }

  // The list may have counted it already, or an edit has added it to an older message: only the server knows.
  #onMention(room, { seq }) {
    const { heard, upTo } = this.#counts.get(room.id);
    if (seq > upTo) heard.set(seq, { ...heard.get(seq), isMention: true });
    else if (seq > room.lastReadSeq) this.askSoon(room.id);
    this.#recount(room);
  }

  // ---- what is unread -----------------------------------------------------------------------

  // The server's counts go up to lastSeq.  What was heard of before is kept: a later word of the server may count less far.
  #onReadState(room, { lastReadSeq, unreadCount, mentionCount, lastSeq }) {
    const heard = this.#counts.get(room.id)?.heard ?? new Map();
    room.lastReadSeq = lastReadSeq;
    this.#counts.set(room.id, { upTo: lastSeq ?? room.lastSeq, unread: unreadCount, mentions: mentionCount, heard });
    this.#recount(room);
  }

  #onOwnSeen(room, { seq, fresh, isAll }) {
    const counts = this.#counts.get(room.id);
    if (seq <= room.lastReadSeq) return;
    const counted = fresh.filter((one) => one > room.lastReadSeq && one <= counts.upTo).length;
    room.lastReadSeq = seq;
    counts.unread = isAll ? 0 : Math.max(0, counts.unread - counted);
    if (isAll) counts.mentions = 0;
    this.#recount(room);
  }

  // What the server has counted, and what was heard of behind that.
  #recount(room) {
    const { heard, upTo, unread, mentions } = this.#counts.get(room.id);
    const after = Math.max(upTo, room.lastReadSeq);
    Object.assign(room, { unreadCount: unread, mentionCount: mentions });
    for (const [seq, { isUnread, isMention }] of heard) {
      if (seq <= after) continue;
      if (isUnread) room.unreadCount += 1;
      if (isMention) room.mentionCount += 1;
    }
    if (heard.size <= MOST_HEARD) return;
    for (const seq of heard.keys()) if (seq <= after) heard.delete(seq);
    if (heard.size > MOST_HEARD) this.askSoon(room.id);
  }
}
