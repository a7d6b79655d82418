import type { ManagerOptions, Socket, SocketOptions } from 'socket.io-client';
import type {
  ChatNotification, ClientToServerEvents, Failure, Meeting as MeetingInfo, MeetingMessage, MeetingRole, Message, Operations, Participant,
  Presence as Status, Room as RoomInfo, ServerToClientEvents, Source, Kind, User, Me, Waiting,
} from './api.js';

export * from './api.js';

/** What the server refuses. `code` is stable, `message` is for people. */
export class RtError extends Error {
  readonly code: Failure['error']['code'];
  /** The status of HTTP; undefined if an event was refused. */
  readonly status?: number;
  /** Seconds after which to try again. */
  readonly retryAfter?: number;
  /** Of a login: "required" where the password was right and a code is needed, too. */
  readonly twoFactor?: string;
}

/** Makes a transport of mediasoup-client that sends sound in RED (RFC 2198), where the browser can. */
export function sendingRed<Transport extends object>(make: () => Transport): Transport;

/** What to send as `rtpParameters` with `produce` on such a transport. */
export function withRed<Parameters extends object>(transport: object, kind: Kind, rtpParameters: Parameters): Parameters;

/** Method and path of each operation of REST. */
export const operations: { readonly [K in keyof Operations]: readonly [method: string, path: string] };

/** A value that others watch. `state` is a new object after each change. */
export interface Store<State> {
  readonly state: State;
  /** Calls back after changes, once for several in one turn; the result ends it. */
  subscribe(watcher: (state: State) => void): () => void;
  /** For `useSyncExternalStore`. */
  getSnapshot(): State;
}

export interface ConnectionOptions {
  /** Further options of socket.io-client. */
  socket?: Partial<ManagerOptions & SocketOptions>;
  /** How long an acknowledgement is waited for, in milliseconds. Default: 20,000. */
  ackTimeout?: number;
  /** Asks a silent connection for a sign of life while the page is in view, so that a loss is noticed within 10 s instead of 45. Default: false. */
  liveness?: boolean;
}

export interface ClientOptions extends ConnectionOptions {
  /** Of the gateway, such as `https://example.org` or, behind a proxy, `https://example.org/chat`. Default: the page's origin. */
  url?: string;
  /** A token, of `POST /auth` or `rt.issue_token()`. It is prolonged before it expires. */
  token?: string;
  /** Gives a new token whenever one is needed, such as from your own server. */
  getToken?: () => Promise<string | undefined> | string | undefined;
  /** Instead of these: a session that is there already. */
  session?: Session;
  /**
   * Where messages wait that are not sent yet. Default: `localStorage`, if there is one; null: in memory alone. Where one user has
   * several tabs: a `TabStorage`.
   */
  storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | OutboxStorage | null;
  /** The module mediasoup-client. Default: `import('mediasoup-client')`, when a meeting is joined. */
  mediasoup?: unknown;
  /** Options of mediasoup-client's `Device`. */
  device?: unknown;
}

export interface ClientState {
  status: 'signed-out' | 'connecting' | 'connected' | 'closed';
  user?: Me;
  error?: RtError;
}

type Empty<T> = unknown extends T ? true : T extends undefined ? true : false;
type Field<Name extends string, T> = Empty<T> extends true ? { [K in Name]?: undefined } : undefined extends T ? { [K in Name]?: T } : { [K in Name]: T };
type Query<T> = unknown extends T ? { query?: undefined } : {} extends T ? { query?: T } : { query: T };

/** Parameters, query and body of an operation. */
export type CallOptions<K extends keyof Operations> =
  Field<'params', Operations[K]['params']> & Query<Operations[K]['query']> & Field<'body', Operations[K]['body']> & { signal?: AbortSignal };

type Args<T> = {} extends T ? [options?: T] : [options: T];
type SessionArgs<T> = {} extends T ? [options?: T & { token?: string }] : [options: T & { token?: string }];

export type Request<K extends keyof ClientToServerEvents> = Parameters<ClientToServerEvents[K]>[0];
export type Ack<K extends keyof ClientToServerEvents> = Exclude<Parameters<Parameters<ClientToServerEvents[K]>[1]>[0], Failure>;

export interface ClientEvents {
  connected: (info: { recovered: boolean }) => void;
  disconnected: (reason: string) => void;
  /** The session has ended: the token was revoked, or expired and cannot be renewed. */
  'signed-out': (error?: RtError) => void;
  /** A new token; undefined after signing out. */
  token: (token: string | undefined) => void;
  notification: (notification: ChatNotification) => void;
  error: (error: Error) => void;
}

export interface SessionOptions {
  /** As of a `Client`. */
  url?: string;
  token?: string;
  getToken?: () => Promise<string | undefined> | string | undefined;
  /** Prolongs a token. Default: `POST /auth/refresh`. */
  refresh?: (token: string) => Promise<string | undefined>;
}

export interface SessionEvents {
  /** A new token; undefined after signing out. */
  token: (token: string | undefined) => void;
  /** The token was refused, or has expired, and there is no other. */
  ended: (error: RtError) => void;
}

/** Who is signed in: a token that is kept good, and operations of REST with it. It needs no socket; a `Client` has one. */
export class Session {
  constructor(options?: SessionOptions);
  readonly url: string;
  readonly token: string | undefined;
  getToken(): Promise<string | undefined>;
  /** A token that you have got by yourself. */
  set(token: string, options?: { prolong?: boolean }): void;
  /** Resolves with whether there is another token now; rejects if it may be had later. */
  renew(): Promise<boolean>;
  login(credentials: { username: string; password: string; code?: string }): Promise<User>;
  /** Ends the session on the server, too. */
  logout(): Promise<void>;
  forget(): void;
  /** The token is kept, and prolonged no more. */
  stop(): void;
  /** As of a `Client`. With `token` in the options that token is used, and none is renewed. */
  call<K extends keyof Operations>(name: K, ...options: SessionArgs<CallOptions<K>>): Promise<Operations[K]['reply']>;
  /** A list, page by page. */
  pages<K extends keyof Operations>(name: K, options?: CallOptions<K>): AsyncGenerator<Operations[K]['reply'] extends { data: infer Data } ? Data : never>;
  /** Asks now for what is wanted in a moment: the next such call takes the answer. */
  ahead<K extends keyof Operations>(name: K, ...options: Args<CallOptions<K>>): void;
  on<K extends keyof SessionEvents>(name: K, listener: SessionEvents[K]): () => void;
}

export interface ConnectionEvents {
  connected: (info: { recovered: boolean }) => void;
  disconnected: (reason: string) => void;
  /** It could not connect, and tries again. */
  failed: (error: Error) => void;
  /** With `liveness`: the browser says that the network has changed. */
  network: () => void;
}

/** The socket of a session: it comes back, with a token that is good, until the session has ended. A `Client` has one. */
export class Connection {
  constructor(session: Session, options?: ConnectionOptions);
  readonly socket: Socket<ServerToClientEvents, ClientToServerEvents>;
  readonly isConnected: boolean;
  open(): void;
  close(): void;
  /** An event with its acknowledgement. Throws RtError. */
  ask<K extends keyof ClientToServerEvents>(name: K, payload: Request<K>): Promise<Ack<K>>;
  /** An event that does not matter if it is lost. */
  tell<K extends keyof ClientToServerEvents>(name: K, payload: Request<K>): void;
  on<K extends keyof ConnectionEvents>(name: K, listener: ConnectionEvents[K]): () => void;
}

/** One user's connection. */
export class Client implements Store<ClientState> {
  constructor(options?: ClientOptions);
  readonly state: ClientState;
  subscribe(watcher: (state: ClientState) => void): () => void;
  getSnapshot(): ClientState;
  readonly user: Me | undefined;
  readonly isConnected: boolean;
  readonly session: Session;
  readonly connection: Connection;
  /** socket.io-client's own, for events that the client does not cover. */
  readonly socket: Socket<ServerToClientEvents, ClientToServerEvents>;
  /** The user's rooms, by latest activity. */
  readonly rooms: Store<RoomsState> & { get(roomId: string): RoomInfo | undefined; load(): Promise<void> };
  readonly presence: Presence;
  login(credentials: { username: string; password: string; code?: string }): Promise<User>;
  /** With `token` or `getToken`; resolves once connected for the first time. */
  connect(): Promise<Me>;
  /** Ends the session on the server, too. */
  logout(): Promise<void>;
  /** Ends the connection, not the session. */
  close(): void;
  room(id: string | number): Room;
  meeting(id: string | number): Meeting;
  /** An operation of REST, by its name in openapi.yaml. Throws RtError. */
  call<K extends keyof Operations>(name: K, ...options: Args<CallOptions<K>>): Promise<Operations[K]['reply']>;
  /** An event with its acknowledgement. Throws RtError. */
  ask<K extends keyof ClientToServerEvents>(name: K, payload: Request<K>): Promise<Ack<K>>;
  on<K extends keyof ClientEvents>(name: K, listener: ClientEvents[K]): () => void;
}

export interface RoomsState {
  status: 'loading' | 'live';
  rooms: RoomInfo[];
  error?: Error;
}

/** A message of a room, with what the server keeps beside it. */
export interface RoomMessage extends Message {
  reactions: NonNullable<Message['reactions']>;
  lastReplyAt?: string | null;
}

/** Events that change messages. */
export type ChangeName = 'chat-message-edited' | 'chat-message-deleted' | 'chat-message-reaction' | 'chat-message-pinned';

type ChangeData<K extends ChangeName> = Parameters<ServerToClientEvents[K]>[0]['data'];

/** By the name of an event: what it changes in a message. */
export const changes: { readonly [K in ChangeName]: (message: Message, data: ChangeData<K>) => Partial<RoomMessage> };

/**
 * The messages of a room, as far as they are known: runs without holes, which grow where pages are loaded. A `Room` has them for its
 * window; for applications that keep their own state. Numbers are `seq`. A message is never changed, but replaced.
 */
export class Messages {
  /** `call`: a `Session`'s or a `Client`'s. `taken` is called for each message with a `clientId`. */
  constructor(roomId: string, call: (name: 'listMessages' | 'listReplies' | 'listPins', options: any) => Promise<any>, taken?: (message: Message) => void);
  readonly roomId: string;
  /** The end of the run that reaches to now; null until the latest page is there. */
  readonly newest: number | null;
  /** The room's first message, once it is known. */
  readonly first: number | null;
  /** They are from an earlier time, until the latest page is there. */
  readonly isKept: boolean;
  /** Something has come behind a hole: `sync` brings what is missing. */
  readonly isBehind: boolean;
  readonly size: number;
  get(seq: number): RoomMessage | undefined;
  has(seq: number): boolean;
  keys(): IterableIterator<number>;
  /** The number of its neighbour; undefined at a hole, and at the end. */
  older(seq: number): number | undefined;
  newer(seq: number): number | undefined;
  /** Up to `count` messages without a hole, rising, of which `last` is the last. */
  run(count?: number, last?: number | null): RoomMessage[];
  /** Those of the newest run behind a number. */
  since(seq: number): RoomMessage[];
  /** The number of the message that is `count` behind another one, or as near to it as what is known reaches. */
  after(seq: number, count: number): number;
  /** A message as it is now. */
  put(message: Message): void;
  /** A message that an event or an answer has brought. Returns the message that it answers, if that counts a reply more now. */
  add(message: Message): RoomMessage | undefined;
  /** An event that changes a message. Returns the messages that are others now. */
  onChange<K extends ChangeName>(name: K, data: ChangeData<K>): RoomMessage[];
  /** What `run` gave at an earlier time. */
  restore(messages: RoomMessage[]): void;
  /** Forgets what is far from `from` to `to` and from the newest, if that is more than 1,200 messages. */
  forgetFar(from?: number, to?: number): boolean;
  loadLatest(): Promise<Operations['listMessages']['reply']>;
  loadBefore(seq: number): Promise<Operations['listMessages']['reply']>;
  loadAfter(seq: number): Promise<Operations['listMessages']['reply']>;
  loadOne(seq: number): Promise<Operations['listMessages']['reply']>;
  /** Loads it and some before and after it. False: there is no such message. */
  loadAround(seq: number): Promise<boolean>;
  loadReplies(messageId: string, cursor?: string | null): Promise<{ replies: RoomMessage[]; nextCursor: string | null }>;
  loadPins(): Promise<RoomMessage[]>;
  /**
   * Asks in one request what several rooms, whose latest pages are there, have missed. `ask`: a `Connection`'s or a `Client`'s.
   * `hasMore`: ask again.
   */
  static sync(all: Messages[], ask: (name: 'sync-rooms', payload: Request<'sync-rooms'>) => Promise<Ack<'sync-rooms'>>): Promise<{ epoch: string; rooms: { changed: RoomMessage[]; hasMore: boolean }[] }>;
}

/** A message that waits to be sent, or, with `error`, was refused. */
export interface PendingMessage {
  clientId: string;
  roomId: string;
  content: string;
  createdAt: string;
  replyTo?: string;
  metadata?: Record<string, unknown>;
  messageType?: string;
  error?: { code: string; message: string };
  /** Of the time at which it was written, rising. */
  order: number;
}

/** Where an outbox keeps its messages. `all` are all that wait. */
export interface OutboxStorage {
  put(item: PendingMessage, all: PendingMessage[]): unknown;
  remove(clientId: string, all: PendingMessage[]): unknown;
  /** Those that are nobody's, and now the caller's, in their order. */
  adopt(): PendingMessage[] | Promise<PendingMessage[]>;
}

/** IndexedDB, for several tabs: each sends its own, and those of a tab that is gone are taken over by another. */
export class TabStorage implements OutboxStorage {
  /** One name for each user. */
  constructor(name: string);
  put(item: PendingMessage): Promise<unknown>;
  remove(clientId: string): Promise<unknown>;
  adopt(): Promise<PendingMessage[]>;
}

export interface RoomState {
  id: string;
  status: 'closed' | 'loading' | 'live' | 'offline' | 'error';
  error?: Error;
  /** From some message on up to the newest, without holes. */
  messages: RoomMessage[];
  pending: PendingMessage[];
  /** Whether there are earlier messages. */
  hasMore: boolean;
  lastSeq: number;
  lastReadSeq: number;
  unreadCount: number;
  mentionCount: number;
  typing: { userId: string; userName: string }[];
  /** Up to which message others have read, as far as was heard. */
  readBy: Record<string, number>;
}

/** Tells the others that the user types, at most every two seconds, and that it is over. A `Room` has one. */
export class Typing {
  constructor(tell: (isTyping: boolean) => void);
  /** Call it on each key, and with false when what was written is sent or removed. */
  set(isTyping?: boolean): void;
}

export interface SendOptions {
  replyTo?: string;
  metadata?: Record<string, unknown>;
  messageType?: string;
}

/** A room. It is joined as long as somebody subscribes to it. */
export interface Room extends Store<RoomState> {
  readonly id: string;
  /** Resolves once the server has stored the message, exactly once, however often the connection drops. */
  send(content: string, options?: SendOptions): Promise<Message>;
  retry(clientId: string): void;
  discard(clientId: string): void;
  edit(messageId: string, content: string): Promise<Message>;
  delete(messageId: string): Promise<void>;
  react(messageId: string, emoji: string, on?: boolean): Promise<void>;
  /** Call it on each key. */
  setTyping(isTyping?: boolean): void;
  /** Ids of messages, or a number up to which all were seen. */
  markSeen(upTo: number | string[]): void;
  /** Moves the read mark, backwards too. */
  markRead(seq?: number): Promise<void>;
  /** False if there are no earlier messages. */
  loadOlder(): Promise<boolean>;
}

export interface UserStatus {
  userId: string;
  userName: string;
  status: Status;
  isOnline?: boolean;
  lastSeen: string | null;
  statusMessage: string | null;
}

export interface Presence extends Store<{ users: Record<string, UserStatus>; rooms: Record<string, UserStatus[]> }> {
  get(userId: string): UserStatus | undefined;
  /** Keeps `state.rooms[roomId]`, who is online there; the result ends it. */
  watch(roomId: string): () => void;
}

export interface MeetingTrack {
  participantId: string;
  producerId: string;
  consumerId: string;
  kind: Kind;
  source: Source;
  track: MediaStreamTrack;
  paused: boolean;
}

export interface MeetingState {
  id: string;
  status: 'idle' | 'joining' | 'waiting' | 'joined' | 'left' | 'removed' | 'refused' | 'ended';
  error?: Error;
  meeting?: MeetingInfo;
  participantId?: string;
  participants: Participant[];
  /** For hosts: who waits in the lobby. */
  waiting: Waiting[];
  /** Tracks of the others. */
  tracks: MeetingTrack[];
  /** What the user sends. */
  sources: { source: Source; kind: Kind; track: MediaStreamTrack; paused: boolean }[];
  messages: MeetingMessage[];
  /** Participants with a raised hand, the earliest first. */
  hands: string[];
  typing: { participantId: string; userId: string; userName: string }[];
  /** The participant who spoke last. */
  speaker?: string;
}

export interface JoinOptions {
  password?: string;
  displayName?: string;
  /** False: neither sends nor receives tracks. */
  media?: boolean;
  /** Returns false for tracks that are not wanted. */
  receive?: (producer: { source: Source; kind: Kind; participantId: string }) => boolean;
}

export interface Meeting extends Store<MeetingState> {
  readonly id: string;
  /** Resolves once in; where there is a lobby, once a host lets the user in. */
  join(options?: JoinOptions): Promise<void>;
  leave(): Promise<void>;
  /** Sends a track; one that the source had is replaced. The caller stops tracks. Further options are those of mediasoup-client. */
  produce(track: MediaStreamTrack, options?: { source?: Source; [option: string]: unknown }): Promise<void>;
  setPaused(source: Source, paused: boolean): Promise<void>;
  stop(source: Source): Promise<void>;
  setLayers(producerId: string, spatialLayer: number, temporalLayer?: number): Promise<void>;
  send(message: string, options?: { recipientType?: 'all' | 'private' | 'host'; recipientId?: string }): Promise<MeetingMessage>;
  react(reaction: string): Promise<unknown>;
  raiseHand(raised?: boolean): Promise<unknown>;
  setTyping(typing: boolean): void;
  admit(waitingId?: string): Promise<unknown>;
  refuse(waitingId?: string): Promise<unknown>;
  mute(participantId: string, kind?: Kind, mute?: boolean): Promise<unknown>;
  remove(participantId: string, reason?: string): Promise<unknown>;
  setRole(participantId: string, role: MeetingRole): Promise<unknown>;
  lock(locked?: boolean): Promise<unknown>;
  end(): Promise<unknown>;
}
