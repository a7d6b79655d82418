// A device: an unmodified socket.io-client, and what a careful application keeps with the contract alone.
//
// It joins some of its user's rooms, and of these has all messages, members and pins.  Of the others it has a badge, from
// notifications, and of all the level of notifications.  After a drop it relies on recovery where the server says `recovered`; else it lists the rooms, joins,
// and syncs with what it has.  Presence and typing are not recovered: after each connect it asks who is online in the rooms that it
// has joined, and nobody types.  Whatever it keeps wrong for good is a fault of the server, or of the contract.
import { io } from 'socket.io-client';

const ASK_MS = 60_000;
const KEPT_LINES = 4000;

class Room {
  constructor(id, joins) {
    this.id = id;
    this.joins = joins; // whether this device wants to be in it
    this.joined = false;
    this.messages = new Map(); // by seq
    this.lastSeq = 0;
    this.lastChange = 0;
    this.members = undefined; // userId → role
    this.pins = new Set(); // seqs
    this.level = undefined; // of notifications: all, mentions, none
    this.badge = undefined; // { lastReadSeq, unread, mentions, upTo }
    this.later = new Map(); // seq → { own, mention }: beyond what the badge counts
    this.queue = undefined; // events that wait for an answer that they follow
    this.typing = new Map(); // userId → when it began
    this.heard = new Map(); // userId → when it was last told that they type
  }
}

export class Device {
  constructor(history, user, name, random, options) {
    Object.assign(this, { history, user, name, random });
    this.rooms = new Map();
    this.statuses = new Map(); // userId → status, since the last connect
    this.lines = [];
    this.busy = 0; // answers that are under way
    this.socket = io(history.cluster.url, {
      auth: { token: user.token }, forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 1000, timeout: 10_000, ...options,
    });
    this.socket.on('connect', () => this.onConnect());
    this.socket.on('disconnect', (reason) => this.note(`disconnect ${reason}`));
    this.socket.on('connect_error', (error) => this.note(`connect_error ${error.message}`));
    this.socket.onAny((event, payload) => this.onEvent(event, payload));
  }

  note(text) {
    this.lines.push(`${new Date().toISOString().slice(11, 23)} ${text}`);
    if (this.lines.length > KEPT_LINES) this.lines.splice(0, KEPT_LINES / 2);
  }

  fault(text) {
    this.note(`FAULT ${text}`);
    this.history.fault(`${this.name}: ${text}`);
  }

  // An answer, or undefined where the connection or the gateway went away meanwhile.
  async ask(event, payload) {
    const { id } = this.socket;
    try {
      return await this.socket.timeout(ASK_MS).emitWithAck(event, payload);
    } catch {
      if (this.socket.connected && this.socket.id === id) this.fault(`no answer to ${event} ${JSON.stringify(payload)}`);
      return undefined;
    }
  }

  // Again and again while the gateway is away: what an application would do behind a spinner.
  async get(path) {
    for (;;) {
      const reply = await this.history.rest('GET', path, this.user);
      if (reply && reply.status < 500) return reply;
      if (this.history.over) return undefined;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async during(work) {
    this.busy++;
    try {
      await work();
    } catch (error) {
      this.fault(`${error.stack}`);
    } finally {
      this.busy--;
    }
  }

  // ---- connecting ------------------------------------------------------------------

  onConnect() {
    this.note(`connect ${this.socket.id} recovered=${this.socket.recovered}`);
    this.connectedAt = Date.now();
    this.history.count(this.socket.recovered ? 'recovered' : 'fresh');
    this.statuses.clear();
    for (const room of this.rooms.values()) room.typing.clear();
    if (!this.socket.recovered || this.listing) this.during(() => this.resync());
    // What was under way when the connection broke has had no answer.
    else {
      for (const room of [...this.rooms.values()]) {
        if (room.joins && (room.queue || !room.joined)) this.during(() => this.enter(room));
        else if (room.joined) this.askOnline(room);
      }
    }
  }

  async resync() {
    const { id } = this.socket;
    this.listing = []; // events wait until the list is there
    for (const room of this.rooms.values()) room.joined = false;
    const listed = new Map();
    for (let cursor = ''; cursor !== null;) {
      const { status, body } = await this.get(`/api/chat/rooms?limit=7${cursor && `&cursor=${encodeURIComponent(cursor)}`}`) ?? {};
      if (status !== 200) return;
      for (const data of body.data) listed.set(data.id, data);
      cursor = body.nextCursor;
    }
    if (this.socket.id !== id) return; // the next connection does it all again
    for (const roomId of this.rooms.keys()) if (!listed.has(roomId)) this.rooms.delete(roomId);
    for (const [roomId, data] of listed) this.setBadge(this.room(roomId), data);
    const waiting = this.listing;
    this.listing = undefined;
    this.note(`listed ${[...listed.keys()]}, ${waiting.length} events wait`);
    for (const event of waiting) this.apply(...event);
    for (const room of [...this.rooms.values()]) if (room.joins && !room.joined) this.during(() => this.enter(room));
    // Lists are pages: a room that was active meanwhile may have moved between two of them, so members of each are asked.
    for (const room of [...this.rooms.values()]) this.refreshBadge(room);
  }

  room(roomId) {
    let room = this.rooms.get(roomId);
    if (!room) this.rooms.set(roomId, room = new Room(roomId, this.random.chance(0.6)));
    return room;
  }

  isStill(room, attempt) {
    return this.rooms.get(room.id) === room && room.attempt === attempt;
  }

  // Joins, then fetches what was missed; events wait meanwhile, since an answer may be older than they are.  One attempt for
  // each connection: what an earlier one still hears counts no more.
  async enter(room) {
    const attempt = {};
    room.attempt = attempt;
    room.queue ??= [];
    const joined = await this.ask('join-chat-rooms', { roomIds: [room.id] });
    if (!joined || !this.isStill(room, attempt)) return;
    if (!joined.success) {
      this.note(`join ${room.id}: ${joined.error.code}`);
      if (joined.error.code !== 'not_found') this.fault(`join ${room.id}: ${JSON.stringify(joined.error)}`);
      return;
    }
    room.joined = true;
    if (!await this.sync(room, attempt) || !await this.loadMembers(room, attempt) || !await this.loadPins(room, attempt)) return;
    const waiting = room.queue;
    room.queue = undefined;
    for (const event of waiting) this.apply(...event);
    this.refreshBadge(room);
    this.askOnline(room);
  }

  async sync(room, attempt) {
    for (;;) {
      const limit = this.random.pick([3, 20, 200, undefined]);
      const reply = await this.ask('sync-rooms', { rooms: [{ roomId: room.id, afterSeq: room.lastSeq, afterChange: room.lastChange }], limit });
      if (!reply || !this.isStill(room, attempt)) return false;
      const [part] = reply.rooms ?? [];
      if (!part || part.error) {
        this.note(`sync ${room.id}: ${JSON.stringify(part?.error ?? reply.error)}`);
        return false;
      }
      for (const message of part.messages) {
        if (message.seq !== room.lastSeq + 1) this.fault(`sync ${room.id}: ${message.seq} after ${room.lastSeq}`);
        room.lastSeq = message.seq;
        this.keep(room, message);
      }
      for (const message of part.changed) this.keep(room, message);
      room.lastChange = part.lastChange;
      if (!part.hasMore && !part.hasMoreChanges) return true;
    }
  }

  async loadMembers(room, attempt) {
    const members = new Map();
    for (let cursor = ''; cursor !== null;) {
      const reply = await this.get(`/api/chat/rooms/${room.id}/members?limit=4${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
      if (!reply || reply.status !== 200 || !this.isStill(room, attempt)) return false;
      for (const { userId, role } of reply.body.data) members.set(userId, role);
      cursor = reply.body.nextCursor;
    }
    room.members = members;
    return true;
  }

  // All of them: those of before this user was added are no changes.
  async loadPins(room, attempt) {
    const reply = await this.get(`/api/chat/rooms/${room.id}/pins`);
    if (!reply || reply.status !== 200 || !this.isStill(room, attempt)) return false;
    room.pins = new Set(reply.body.data.map(({ seq }) => seq));
    return true;
  }

  // ---- messages ---------------------------------------------------------------------

  // A message as it is now; `reactions` where the answer has them.
  keep(room, message) {
    const known = room.messages.get(message.seq);
    const reactions = message.reactions === undefined ? known?.reactions ?? new Map()
      : new Map(message.reactions.map(({ emoji, userIds }) => [emoji, new Set(userIds)]));
    room.messages.set(message.seq, {
      content: message.content, deleted: message.deletedAt !== null, sender: message.senderId, reactions,
    });
  }

  messageOf(room, messageId) {
    return room.messages.get(Number(messageId.split('-')[1]));
  }

  // ---- events -----------------------------------------------------------------------

  onEvent(event, payload) {
    if (event === 'chat-message-delivered') return;
    this.note(`< ${event} ${JSON.stringify(payload)}`);
    if (event === 'chat-user-status-update') this.onStatus(payload);
    if (event === 'chat-user-typing') this.onTyping(payload);
    if (event === 'chat-user-status-update' || event === 'chat-user-typing') return;
    if (this.listing) this.listing.push([event, payload]);
    else this.apply(event, payload);
  }

  apply(event, payload) {
    const roomId = payload.roomId ?? payload.data?.roomId;
    const room = this.rooms.get(roomId);

    if (event === 'chat-notification' && payload.type.startsWith('room-')) this.onRoom(payload.type, roomId, room);
    else if (event === 'error') this.fault(`error ${JSON.stringify(payload)}`);
    else if (!room) this.discover(event, roomId);
    else if (event === 'chat-read-state') this.onReadState(room, payload);
    else if (event === 'chat-room-notifications') this.onLevel(room, payload);
    else if (event === 'chat-notification') this.onNotice(room, payload);
    else if (room.queue) room.queue.push([event, payload]);
    else if (room.joined) this.onRoomEvent(event, room, payload);
    else this.note('(not joined)');
  }

  onRoom(type, roomId, room) {
    if (type === 'room-removed' || type === 'room-deleted') this.rooms.delete(roomId);
    if (type !== 'room-added') return;
    // Added again: what was before may be somebody else's now, and is fetched anew.
    if (room) this.rooms.delete(roomId);
    const added = this.room(roomId);
    // The server may have this socket in the room already, if an earlier event has told of the room: it then sends the room's
    // events, and no notifications for the badge alone.
    if (room?.joins) added.joins = true;
    this.refreshBadge(added);
    if (added.joins) this.during(() => this.enter(added));
  }

  // Something happened in a room that was not in the list: it went to its top while its pages were fetched.
  discover(event, roomId) {
    if (event !== 'chat-notification' && event !== 'chat-read-state') return;
    this.note(`discovered ${roomId}`);
    this.onRoom('room-added', roomId);
  }

  onRoomEvent(event, room, payload) {
    const { data } = payload;
    if (event === 'new-chat-message') this.onMessage(room, data);
    else if (event === 'chat-room-members') this.onMembers(room, payload);
    else if (!data?.messageId) return;
    else if (!this.messageOf(room, data.messageId)) this.fault(`${event} of ${data.messageId}, which never came`);
    else this.onChange(event, room, data, this.messageOf(room, data.messageId));
  }

  onMessage(room, data) {
    // One that sync has told already may come once more, behind it.
    if (data.seq <= room.lastSeq) return;
    if (data.seq !== room.lastSeq + 1) this.fault(`room ${room.id}: ${data.seq} came after ${room.lastSeq}`);
    room.lastSeq = data.seq;
    this.keep(room, data);
    this.countLater(room, data.seq, data.senderId === this.user.id, false);
    if (room.level === 'none') this.refreshBadge(room);
  }

  onChange(event, room, data, message) {
    const seq = Number(data.messageId.split('-')[1]);
    if (event === 'chat-message-edited') message.content = data.newContent;
    if (event === 'chat-message-deleted') {
      Object.assign(message, { deleted: true, content: '', reactions: new Map() });
      room.pins.delete(seq);
    }
    if (event === 'chat-message-edited' || event === 'chat-message-deleted') this.onDoubt(room, seq);
    if (event === 'chat-message-pinned') room.pins[data.pinned ? 'add' : 'delete'](seq);
    if (event !== 'chat-message-reaction') return;
    const users = message.reactions.get(data.emoji) ?? new Set();
    if (data.action === 'add') users.add(data.userId);
    else users.delete(data.userId);
    if (users.size > 0) message.reactions.set(data.emoji, users);
    else message.reactions.delete(data.emoji);
  }

  onMembers(room, { action, members, memberCount }) {
    for (const { userId, role } of members) {
      if (action === 'removed') room.members.delete(userId);
      else room.members.set(userId, role);
    }
    room.memberCount = memberCount;
    if (action === 'added') this.askOnline(room);
  }

  // ---- presence and typing -----------------------------------------------------------

  // Of an answer and an event the order is not known, so it is asked again.
  onStatus({ userId, status }) {
    this.statuses.set(userId, status);
    for (const room of this.rooms.values()) if (room.asking) room.askAgain = true;
  }

  askOnline(room) {
    if (room.asking) {
      room.askAgain = true;
      return;
    }
    room.asking = true;
    this.during(async () => {
      do {
        room.askAgain = false;
        const reply = await this.ask('get-room-online-users', { roomId: room.id });
        if (this.rooms.get(room.id) !== room || !reply) break; // gone, or the next connect asks
        if (reply.success) this.onOnline(room, reply.users);
      } while (room.askAgain);
      room.asking = false;
    });
  }

  onOnline(room, users) {
    this.note(`online ${room.id} ${users.map(({ userId, status }) => `${userId} ${status}`)} again=${room.askAgain}`);
    for (const userId of room.members.keys()) this.statuses.set(userId, 'offline');
    for (const { userId, status } of users) this.statuses.set(userId, status);
  }

  onTyping({ roomId, userId, isTyping }) {
    const room = this.rooms.get(roomId);
    if (!room) return;
    if (isTyping) room.heard.set(userId, Date.now());
    if (isTyping) room.typing.set(userId, Date.now());
    else room.typing.delete(userId);
  }

  // A gateway that was killed ends nobody's typing at another one.
  whoTypes(room) {
    return [...room.typing].filter(([, since]) => since > this.history.typingEndsSince).map(([userId]) => userId);
  }

  onLevel(room, { level }) {
    if (room.refreshing) room.again = true;
    room.level = level;
  }

  // ---- badges ------------------------------------------------------------------------

  setBadge(room, { lastReadSeq, unreadCount, mentionCount, lastSeq, notifications }) {
    if (notifications) room.level = notifications.level;
    room.badge = { lastReadSeq, unread: unreadCount, mentions: mentionCount, upTo: lastSeq };
    for (const seq of room.later.keys()) if (seq <= lastSeq) room.later.delete(seq);
  }

  onReadState(room, payload) {
    if (room.refreshing) room.again = true;
    // It may have been counted before a message, or a deletion, that was told before it.
    const isOld = payload.lastSeq < (room.badge?.upTo ?? 0) || Date.now() - room.doubtAt < 5000;
    this.setBadge(room, payload);
    if (isOld) this.refreshBadge(room);
  }

  onNotice(room, { type, own, data }) {
    if (room.refreshing) room.again = true;
    if (type === 'new-message') this.countLater(room, data.seq, own === true, false);
    // Where the user wants to hear of nothing, mentions are counted, but not told.
    if (type === 'new-message' && room.level === 'none') this.refreshBadge(room);
    if (type === 'new-message') return;
    if (type === 'mention') this.countLater(room, data.seq, false, true);
    else this.onDoubt(room, data.seq);
  }

  countLater(room, seq, own, mention) {
    if (room.refreshing) room.again = true;
    if (!room.badge || seq > room.badge.upTo) {
      const known = room.later.get(seq);
      room.later.set(seq, { own: own || known?.own === true, mention: mention || known?.mention === true });
    } else if (mention) this.refreshBadge(room); // by an edit
  }

  // An edit or a deletion of something that may be unread.
  onDoubt(room, seq) {
    room.doubtAt = Date.now();
    if (room.refreshing) room.again = true;
    if (!room.badge || seq > room.badge.lastReadSeq) this.refreshBadge(room);
  }

  refreshBadge(room) {
    if (room.refreshing) {
      room.again = true;
      return;
    }
    room.refreshing = true;
    this.during(async () => {
      do {
        room.again = false;
        const reply = await this.get(`/api/chat/rooms/${room.id}`);
        if (this.rooms.get(room.id) !== room || !reply) break;
        this.note(`badge ${room.id} ${reply.status} ${['lastReadSeq', 'unreadCount', 'mentionCount', 'lastSeq'].map((key) => reply.body.data?.[key])} again=${room.again}`);
        if (reply.status === 200) this.setBadge(room, reply.body.data);
        else this.rooms.delete(room.id);
      } while (room.again);
      room.refreshing = false;
    });
  }

  // What the user sees.
  badgeOf(room) {
    const later = [...room.later].filter(([seq]) => seq > room.badge.lastReadSeq).map(([, what]) => what);
    return {
      lastReadSeq: room.badge.lastReadSeq,
      unread: Math.min(1000, room.badge.unread + later.filter(({ own }) => !own).length),
      mentions: room.badge.mentions + later.filter(({ mention }) => mention).length,
    };
  }
}
