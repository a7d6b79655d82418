// client.js: one user's connection, and what all rooms and meetings share.
import { Again } from './again.js';
import { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import { isTransient, RtError } from './errors.js';
import { Meeting } from './meeting.js';
import { changes } from './messages.js';
import { Outbox } from './outbox.js';
import { Presence } from './presence.js';
import { Room } from './room.js';
import { Rooms } from './rooms.js';
import { Session } from './session.js';
import { TextStorage } from './storage.js';
import { Store } from './store.js';

const JOIN_MS = 5;
const JOIN_ANSWER_MS = 20_000;

export class Client extends Store {
  #emitter = new Emitter();
  #rooms = new Map();
  #meetings = new Map();
  #wanted = new Set(); // rooms that are watched
  #toJoin = new Set();
  #joining;
  #joinAgain = new Again(() => this.#joinSoon());
  #epoch;
  #starting;
  #outbox;

  // See types/index.d.ts.
  constructor({ url, token, getToken, session, storage = globalThis.localStorage, socket, ackTimeout, liveness, mediasoup, device } = {}) {
    super({ status: 'signed-out', user: undefined, error: undefined });
    this.session = session ?? new Session({ url, token, getToken });
    this.url = this.session.url;
    this.storage = storage;
    this.mediasoup = mediasoup;
    this.device = device;
    this.session.on('token', (now) => this.#emitter.emit('token', now));
    this.session.on('ended', (error) => this.#signOut(error));
    this.rooms = new Rooms(this);
    this.presence = new Presence(this);
    this.connection = new Connection(this.session, { socket, ackTimeout, liveness });
    this.socket = this.connection.socket;
    this.#listen();
  }

  get user() {
    return this.state.user;
  }

  get outbox() {
    return this.#outbox;
  }

  get isConnected() {
    return this.connection.isConnected;
  }

  on(name, listener) {
    return this.#emitter.on(name, listener);
  }

  // ---- sign in and out --------------------------------------------------------------------------

  async login(credentials) {
    const user = await this.session.login(credentials);
    await this.connect();
    return user;
  }

  // With the token that was given, or that getToken gives; resolves with the user once connected for the first time.
  async connect() {
    this.#starting ??= this.#start().finally(() => { this.#starting = undefined; });
    return this.#starting;
  }

  async #start() {
    if (!(await this.session.getToken())) throw new RtError({ code: 'unauthorized', message: 'There is no token' });
    this.set({ status: 'connecting', error: undefined });
    try {
      const user = (await this.call('getMe')).data;
      this.set({ user });
    } catch (error) {
      if (error.code === 'unauthorized') this.#signOut(error);
      throw error;
    }
    await this.openOutbox();
    await new Promise((resolve, reject) => {
      const done = [
        this.on('connected', () => { stop(); resolve(); }),
        this.on('signed-out', (error) => { stop(); reject(error ?? new Error('signed out')); }),
      ];
      const stop = () => { for (const off of done) off(); };
      this.connection.open();
    });
    return this.user;
  }

  // Ends the session on the server, too.
  async logout() {
    await this.session.logout();
    this.#signOut();
  }

  // Ends the connection and leaves the session as it is.
  close() {
    this.#joinAgain.stop();
    this.rooms.stop();
    this.session.stop();
    this.#outbox?.stop();
    for (const meeting of this.#meetings.values()) meeting.close();
    this.connection.close();
    this.set({ status: 'closed' });
  }

  #signOut(error) {
    if (error && this.state.status === 'signed-out') return; // that is known already
    this.#outbox?.stop();
    this.#outbox = undefined;
    this.session.forget();
    this.connection.close();
    this.set({ status: 'signed-out', user: undefined, error });
    this.#emitter.emit('signed-out', error);
  }

  // ---- the server ------------------------------------------------------------------------------------

  // An operation of REST.
  call(name, options) {
    return this.session.call(name, options);
  }

  // An event with its acknowledgement.
  ask(name, payload) {
    return this.connection.ask(name, payload);
  }

  // An event that does not matter if it is lost.
  tell(name, payload) {
    this.connection.tell(name, payload);
  }

  async openOutbox() {
    if (this.#outbox) return this.#outbox;
    const user = this.user ?? (await this.call('getMe')).data;
    if (this.#outbox) return this.#outbox; // another call was faster
    const { storage } = this;
    this.#outbox = new Outbox({
      storage: storage?.adopt ? storage : new TextStorage(storage, `rt.outbox ${this.url} ${user.id}`),
      send: async ({ roomId, clientId, content, replyTo, metadata, messageType }) =>
        (await this.call('sendMessage', { params: { roomId }, body: { content, replyTo, metadata, messageType, clientId } })).data,
      changed: (roomId) => this.#rooms.get(roomId)?.onPending(this.#outbox?.of(roomId) ?? []),
    });
    this.#outbox.adopt();
    return this.#outbox;
  }

  // True: another server has taken over, and all rooms load anew.
  noteEpoch(epoch) {
    if (!epoch || epoch === this.#epoch) return false;
    const isOther = this.#epoch !== undefined;
    this.#epoch = epoch;
    if (!isOther) return false;
    this.rooms.onEpoch();
    for (const room of this.#rooms.values()) room.onEpoch();
    return true;
  }

  // ---- rooms and meetings ----------------------------------------------------------------------------

  room(id) {
    const key = String(id);
    if (!this.#rooms.has(key)) this.#rooms.set(key, new Room(this, key));
    return this.#rooms.get(key);
  }

  meeting(id) {
    const key = String(id);
    if (!this.#meetings.has(key)) this.#meetings.set(key, new Meeting(this, key));
    return this.#meetings.get(key);
  }

  connectRoom(room) {
    this.#wanted.add(room);
    if (this.isConnected) this.#joinSoon(room);
  }

  disconnectRoom(room) {
    this.#wanted.delete(room);
    this.#toJoin.delete(room);
    this.tell('leave-chat-room', { roomId: room.id });
  }

  // Rooms that are opened together are joined together.
  #joinSoon(...rooms) {
    for (const room of rooms) this.#toJoin.add(room);
    if (this.#joining) return;
    this.#joining = setTimeout(() => {
      this.#joining = undefined;
      this.#join();
    }, JOIN_MS);
  }

  async #join() {
    const rooms = [...this.#toJoin];
    this.#toJoin.clear();
    if (rooms.length === 0 || !this.isConnected) return;
    let reply;
    try {
      reply = await this.socket.timeout(JOIN_ANSWER_MS).emitWithAck('join-chat-rooms', { roomIds: rooms.map(({ id }) => id) });
    } catch (error) {
      this.#joinLater(rooms, error);
      return;
    }
    this.noteEpoch(reply.epoch);
    this.#joinAgain.stop();
    const failed = new Map((reply.failed ?? []).map(({ roomId, error }) => [String(roomId), error]));
    for (const room of rooms) {
      const refusal = failed.get(room.id) ?? (reply.rooms ? undefined : reply.error);
      const error = refusal && new RtError(refusal);
      if (!error) room.onJoined();
      else if (isTransient(error)) this.#joinLater([room], error);
      else room.onRefused(error);
    }
  }

  // A connection that is lost meanwhile joins all that is wanted once it is back.
  #joinLater(rooms, error) {
    for (const room of rooms) if (this.#wanted.has(room)) this.#toJoin.add(room);
    this.#joinAgain.after(error);
  }

  // ---- the socket ---------------------------------------------------------------------------------------

  #listen() {
    const { connection, socket } = this;
    connection.on('connected', (info) => this.#onConnect(info));
    connection.on('disconnected', (reason) => this.#onDisconnect(reason));
    const toRoom = (name, method) => socket.on(name, (event) => this.#rooms.get(event.roomId)?.[method](event.data ?? event));
    const toList = (event, name) => socket.on(event, (it) => this.rooms.hear(it.roomId, name, it.data ?? it));
    for (const name of Object.keys(changes)) {
      socket.on(name, ({ roomId, data }) => this.#rooms.get(roomId)?.onChange(name, data));
      toList(name, name);
    }
    toRoom('chat-user-typing', 'onTyping');
    toRoom('messages-seen', 'onSeen');
    toRoom('chat-read-state', 'onReadState');
    toRoom('new-chat-message', 'onMessage');
    toList('new-chat-message', 'message');
    toList('chat-read-state', 'read');
    toList('chat-room-notifications', 'level');
    toList('chat-room-members', 'members');
    socket.on('chat-user-status-update', (event) => this.presence.onUpdate(event));
    socket.on('chat-room-members', (event) => this.presence.onMembers(event));
    socket.on('chat-notification', (event) => this.#onNotification(event));
    socket.on('error', (event) => this.#emitter.emit('error', new RtError(event)));
  }

  #onNotification(event) {
    const { type, data } = event;
    const room = this.#rooms.get(data.roomId);
    if (type === 'room-removed' || type === 'room-deleted')
      room?.onRemoved(new RtError({ code: 'not_found', message: type === 'room-deleted' ? 'The room was deleted' : 'You are no longer a member of this room' }));
    if (type === 'room-added' && room && this.#wanted.has(room)) this.#joinSoon(room);
    if (type === 'new-message' && data.clientId) this.#outbox?.settle(data.clientId, data);
    this.rooms.onNotification(event);
    this.#emitter.emit('notification', event);
  }

  #onConnect({ recovered }) {
    this.set({ status: 'connected', error: undefined });
    this.#joinSoon(...this.#wanted);
    this.rooms.load();
    this.presence.onConnected();
    this.#outbox?.adopt();
    for (const meeting of this.#meetings.values()) meeting.onConnected(recovered);
    this.#emitter.emit('connected', { recovered });
  }

  #onDisconnect(reason) {
    for (const room of this.#wanted) room.onOffline();
    if (reason === 'io client disconnect') return;
    this.set({ status: 'connecting' });
    this.#emitter.emit('disconnected', reason);
  }
}
