// What 50 clients see and 8 writers are told while a database server fails, and what must be true of it afterwards.
import { createRequire } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';

const require = createRequire(new URL('../clients/package.json', import.meta.url));
const { io } = require('socket.io-client');
const pg = require('pg');

// A server that is stopped answers nothing, and the sockets to it live on.
const ANSWER_MS = 3000;

// One connection that is made anew after each error.
export class Database {
  constructor(options) {
    this.options = { user: 'postgres', database: 'rt', connectionTimeoutMillis: ANSWER_MS, ...options };
  }

  async rows(text, values) {
    if (!this.client) {
      const client = new pg.Client(this.options);
      client.on('error', () => this.drop(client));
      this.client = client;
      await this.limit(client, client.connect());
    }
    return (await this.limit(this.client, this.client.query(text, values))).rows;
  }

  async value(text, values) {
    const [row] = await this.rows(text, values);
    return row && Object.values(row)[0];
  }

  // A statement without an answer may have done its work: its outcome is unknown.
  async limit(client, promise) {
    const controller = new AbortController();
    try {
      return await Promise.race([promise, delay(ANSWER_MS, undefined, { signal: controller.signal }).then(() => { throw new Error('no answer'); })]);
    } catch (error) {
      promise.catch(() => {});
      if (!error.code || /^(57|08|25006)/.test(error.code) || error.code.startsWith('E')) this.drop(client);
      throw error;
    } finally {
      controller.abort();
    }
  }

  drop(client = this.client) {
    if (this.client === client) this.client = undefined;
    client?.connection.stream.destroy();
  }
}

// An application: it holds the messages of its rooms, and drops what a new epoch does not have.
class Client {
  constructor(history, url, token, transports) {
    this.history = history;
    this.rooms = new Map(history.roomIds.map((id) => [id, { held: new Map(), high: 0, from: 0 }]));
    this.recoveries = [];
    this.breaks = 0;
    this.socket = io(url, { auth: { token }, forceNew: true, transports, reconnectionDelay: 100, reconnectionDelayMax: 500, timeout: 5000 });
    this.socket.on('connect', () => this.onConnect());
    this.socket.on('disconnect', () => this.onDisconnect());
    this.socket.on('new-chat-message', ({ roomId, data }) => this.onMessage(roomId, data));
  }

  onMessage(roomId, { seq, content }) {
    const room = this.rooms.get(roomId);
    if (!room) return;
    this.history.arrived(this, content);
    const before = room.held.get(seq);
    if (before !== undefined && before !== content) this.history.fault(`number ${seq} of room ${roomId} was "${before}", then "${content}"`);
    if (before === undefined && seq < room.high) this.history.fault(`number ${seq} of room ${roomId} came after ${room.high}`);
    this.keep(room, seq, content);
  }

  keep(room, seq, content) {
    room.held.set(seq, content);
    room.high = Math.max(room.high, seq);
  }

  // From where a room is to be fetched is its highest number now: events that come later may lie beyond what is missing.
  onDisconnect() {
    this.breaks++;
    this.joined = false;
    for (const room of this.rooms.values()) room.from ??= room.high;
  }

  async onConnect() {
    if (this.started) this.recoveries.push(this.socket.recovered);
    if (this.started && this.socket.recovered && this.hasEntered) {
      this.joined = true;
      for (const room of this.rooms.values()) room.from = undefined;
      return;
    }
    this.started = true;
    const { id } = this.socket;
    while (this.socket.id === id && !this.joined) {
      try {
        await this.enter(id);
      } catch {
        await delay(100); // no answer, or a refusal while the database is away
      }
    }
  }

  // Like emitWithAck(), but look() sees the answer before any event behind it.
  askFirst(event, body, look) {
    return new Promise((resolve, reject) => {
      this.socket.timeout(10_000).emit(event, body, (error, answer) => {
        if (error) {
          reject(error);
          return;
        }
        look(answer);
        resolve(answer);
      });
    });
  }

  // Others have written meanwhile, so a new history's rooms are fetched from their beginning.  True: this is one.
  noteEpoch(epoch) {
    const isOther = this.epoch !== undefined && epoch !== undefined && epoch !== this.epoch;
    this.epoch = epoch ?? this.epoch;
    if (!isOther) return false;
    this.knewAt = performance.now();
    this.history.note('a client knows, and drops what it held');
    for (const room of this.rooms.values()) Object.assign(room, { held: new Map(), high: 0, from: 0 });
    return true;
  }

  async enter(id) {
    this.hasEntered = false;
    // Events of the new history may come right behind the answer: what is held of the old one goes before them.
    const { success } = await this.askFirst('join-chat-rooms', { roomIds: this.history.roomIds }, ({ epoch }) => this.noteEpoch(epoch));
    if (!success) throw new Error('not joined');
    for (const [roomId, room] of this.rooms) await this.fetchRoom(id, roomId, room);
    this.hasEntered = true;
    this.joined = true;
  }

  async fetchRoom(id, roomId, room) {
    let afterSeq = room.from ?? room.high;
    for (let more = true; more;) {
      const { success, epoch, rooms: [page] = [] } = await this.socket.timeout(10_000).emitWithAck('sync-rooms', { rooms: [{ roomId, afterSeq }] });
      if (!success || this.socket.id !== id || this.noteEpoch(epoch)) throw new Error('not synchronised');
      for (const { seq, content } of page.messages ?? []) {
        this.keep(room, seq, content);
        afterSeq = seq;
      }
      more = page.hasMore;
    }
    room.from = undefined;
  }
}

export class History {
  constructor({ url, roomIds, tokens, clients, transports }) {
    Object.assign(this, { url, roomIds, tokens, faults: [], acknowledged: [], written: new Map(), counts: {}, log: [], isOver: false, firstSeen: new Map() });
    this.began = performance.now();
    this.clients = Array.from({ length: clients }, (_, i) => new Client(this, url, tokens[i % tokens.length], transports(i)));
  }

  note(text) {
    this.log.push(`${Math.round(performance.now() - this.began)} ${text}`);
  }

  fault(text) {
    this.faults.push(text);
    this.note(`FAULT ${text}`);
  }

  count(name) {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }

  // When each text first came to each client.
  arrived(client, text) {
    let times = this.firstSeen.get(text);
    if (!times) this.firstSeen.set(text, times = new Map());
    if (!times.has(client)) times.set(client, performance.now());
  }

  // A writer is told a number, an error, or nothing.
  async write(via, roomId, text, send) {
    this.written.set(text, { roomId, via });
    try {
      const seq = Number(await send(roomId, text));
      this.acknowledged.push({ seq, roomId, text, via, at: performance.now() });
      this.count(`${via} acknowledged`);
      return true;
    } catch (error) {
      this.count(`${via} not: ${error.code ?? error.message}`);
      return false;
    }
  }

  async writeOn(via, index, pauseMs, send) {
    for (let i = 0; !this.isOver; i++) {
      const isTold = await this.write(via, this.roomIds[i % this.roomIds.length], `${via} ${index} ${i}`, send);
      await delay(isTold ? pauseMs : 50);
    }
  }

  sqlWriter(database, index) {
    return this.writeOn('sql', index, 20, (roomId, text) => database.value(
      'INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, $2, $3) RETURNING seq', [roomId, 'user0', text],
    ));
  }

  restWriter(index) {
    return this.writeOn('rest', index, 20, async (roomId, text) => {
      const reply = await fetch(`${this.url}/api/chat/rooms/${roomId}/msgs`, {
        method: 'POST',
        headers: { authorization: `Bearer ${this.tokens[index % this.tokens.length]}`, 'content-type': 'application/json' },
        body: JSON.stringify({ content: text }),
        signal: AbortSignal.timeout(15_000),
      });
      if (reply.status !== 201) throw new Error(`status ${reply.status}`);
      return (await reply.json()).data.seq;
    });
  }

  close() {
    this.isOver = true;
    for (const { socket } of this.clients) socket.disconnect();
  }

  // ---- afterwards ------------------------------------------------------------------

  // What the tables have: a Map of seq to text for each room.
  static async tables(database, roomIds) {
    const tables = new Map(roomIds.map((id) => [id, new Map()]));
    const rows = await database.rows('SELECT room_id, seq, content FROM rt.messages WHERE room_id = ANY($1::bigint[]) ORDER BY room_id, seq', [roomIds]);
    for (const { room_id: roomId, seq, content } of rows) tables.get(String(roomId)).set(Number(seq), content);
    return tables;
  }

  // Every client has the last message of each room.
  isCaughtUp(tables) {
    return this.clients.every((client) => client.joined && this.roomIds.every((id) => client.rooms.get(id).high >= Math.max(...tables.get(id).keys())));
  }

  check(tables, { synchronous, keptSeqs }) {
    const lost = this.acknowledged.filter(({ roomId, seq, text }) => tables.get(roomId).get(seq) !== text);
    if (synchronous) for (const { seq, roomId, text } of lost) this.fault(`"${text}" was acknowledged as ${seq} of room ${roomId}, and is lost`);
    else this.checkLost(lost, keptSeqs);
    this.checkTables(tables);
    for (const [i, client] of this.clients.entries()) this.checkClient(i, client, tables);
    const isInTables = new Set([...tables.values()].flatMap((table) => [...table.values()]));
    const phantoms = [...this.firstSeen.keys()].filter((text) => !isInTables.has(text));
    if (synchronous) for (const text of phantoms) this.fault(`clients have seen "${text}", which is lost`);
    return { lost: lost.length, phantoms };
  }

  // What the old server alone had: nothing below the number that the new one began with.
  checkLost(lost, keptSeqs) {
    for (const { seq, roomId, text } of lost) {
      if (seq <= keptSeqs.get(roomId)) this.fault(`"${text}" is lost, but ${seq} of room ${roomId} was there at the promotion`);
    }
  }

  checkTables(tables) {
    for (const [roomId, table] of tables) {
      const texts = new Set(table.values());
      if (texts.size !== table.size) this.fault(`a message is twice in room ${roomId}`);
      for (const text of texts) if (this.written.get(text)?.roomId !== roomId) this.fault(`nobody wrote "${text}" to room ${roomId}`);
    }
  }

  checkClient(i, client, tables) {
    for (const [roomId, { held }] of client.rooms) {
      const table = tables.get(roomId);
      const missing = [...table.keys()].filter((seq) => !held.has(seq));
      if (missing.length > 0) this.fault(`client ${i} misses ${missing.length} of room ${roomId}, from ${missing[0]} to ${missing.at(-1)}`);
      for (const [seq, text] of held) {
        if (table.get(seq) !== text) this.fault(`client ${i} holds ${seq} of room ${roomId} as "${text}", the table has "${table.get(seq)}"`);
      }
    }
  }
}
