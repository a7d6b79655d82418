// messages.js: the messages of a room, as far as they are known.
//
// Each knows its neighbours, as far as these are known, too.  Where it knows none there is a hole, which is filled when somebody
// looks there.  `newest` is the end of the run that reaches to now: what comes behind a hole waits until the hole is filled.  A
// message is never changed, but replaced by another object.

const PAGE = 50;
const PAGE_OF_REPLIES = 200;
const MOST_KNOWN = 1200;
const AROUND = 300; // messages before and after those in view, and
const AT_END = 200; // the last ones, which are not forgotten

export const seqOf = (messageId) => Number(messageId.slice(messageId.lastIndexOf('-') + 1));

// `userIds` may be cut, `count` is not.
function reacted({ reactions = [] }, { emoji, userId, action }) {
  const known = reactions.find((reaction) => reaction.emoji === emoji) ?? { emoji, count: 0, userIds: [] };
  const isAdded = action === 'add';
  const isThere = known.userIds.includes(userId) || (!isAdded && known.count > known.userIds.length);
  if (isAdded === isThere) return {};
  const userIds = isAdded ? [...known.userIds, userId] : known.userIds.filter((id) => id !== userId);
  const now = { emoji, count: known.count + (isAdded ? 1 : -1), userIds };
  const all = reactions.includes(known) ? reactions.map((one) => (one === known ? now : one)) : [...reactions, now];
  return { reactions: all.filter(({ count }) => count > 0) };
}

// What an event changes in a message.
export const changes = {
  'chat-message-edited': (message, { newContent, metadata, timestamp }) =>
    ({ content: newContent, editedAt: timestamp, ...(metadata === undefined ? {} : { metadata }) }),
  'chat-message-deleted': (message, { timestamp }) => ({ content: '', metadata: null, deletedAt: timestamp, pinned: false, reactions: [] }),
  'chat-message-reaction': reacted,
  'chat-message-pinned': (message, { pinned }) => ({ pinned }),
};

// In a page, reactions, pins and threads stand beside the messages; one that the page has none for has none.
function withExtras({ data, reactions = [], pinned = [], threads = [] }) {
  const given = new Map();
  for (const { messageId, emoji, userIds, count = userIds.length } of reactions)
    given.set(messageId, [...(given.get(messageId) ?? []), { emoji, count, userIds }]);
  const pins = new Set(pinned);
  const replies = new Map(threads.map(({ messageId, replyCount, lastReplyAt }) => [messageId, { replyCount, lastReplyAt }]));
  return data.map((message) => ({
    ...message, reactions: given.get(message.id) ?? [], pinned: pins.has(message.id), replyCount: 0, ...replies.get(message.id),
  }));
}

export class Messages {
  #call;
  #taken;
  #nodes = new Map(); // by number: { message, older, newer }, of which the latter two are numbers, or undefined at a hole
  #last = 0; // the highest number
  #lastChange = 0; // the room's own count of changes, up to which all are known
  #asking = 0; // requests that are on their way
  #heard = []; // changes that were heard of meanwhile: [name, data]
  newest = null; // a number, once the latest page is there
  first = null; // the number of the room's first message, once that is known
  isKept = false; // from an earlier time, and to be replaced by the latest page

  // call: as of a Session.  taken(message) is called for each message that comes, to settle it in an outbox.
  constructor(roomId, call, taken = () => {}) {
    this.roomId = roomId;
    this.#call = call;
    this.#taken = taken;
  }

  // ---- looking ------------------------------------------------------------------------------

  get size() {
    return this.#nodes.size;
  }

  // Something has come behind a hole.
  get isBehind() {
    return this.newest !== null && !this.isKept && this.#last > this.newest;
  }

  get(seq) {
    return this.#nodes.get(seq)?.message;
  }

  has(seq) {
    return this.#nodes.has(seq);
  }

  keys() {
    return this.#nodes.keys();
  }

  // The numbers of its neighbours; undefined at a hole, and at the ends.
  older(seq) {
    return this.#nodes.get(seq)?.older;
  }

  newer(seq) {
    return this.#nodes.get(seq)?.newer;
  }

  // Up to `count` messages without a hole, rising, of which `last` is the last.
  run(count = Infinity, last = this.newest) {
    const found = [];
    for (let node = this.#nodes.get(last); node && found.length < count; node = this.#nodes.get(node.older)) found.push(node.message);
    return found.reverse();
  }

  // The newest ones behind a number.
  since(seq) {
    const found = [];
    for (let node = this.#nodes.get(this.newest); node && node.message.seq > seq; node = this.#nodes.get(node.older)) found.push(node.message);
    return found.reverse();
  }

  // The number of the message that is `count` behind another one, or as near to it as what is known reaches.
  after(seq, count) {
    let at = seq;
    for (let i = 0; i < count && this.newer(at); i++) at = this.newer(at);
    return at;
  }

  // ---- keeping ------------------------------------------------------------------------------

  #link(older, newer) {
    const [a, b] = [this.#nodes.get(older), this.#nodes.get(newer)];
    if (!a || !b) return;
    a.newer = newer;
    b.older = older;
  }

  #advance() {
    if (this.newest === null) return;
    for (let next; (next = this.newer(this.newest) ?? this.newest + 1), this.#nodes.has(next);) this.newest = next;
  }

  // A message as it is now.
  put(message) {
    const { seq, clientId } = message;
    const node = this.#nodes.get(seq);
    if (node) node.message = { ...node.message, ...message };
    else {
      this.#nodes.set(seq, { message: { reactions: [], ...message }, older: undefined, newer: undefined });
      this.#link(seq - 1, seq);
      this.#link(seq, seq + 1);
      this.#last = Math.max(this.#last, seq);
    }
    this.#advance();
    if (clientId) this.#taken(message);
  }

  // A page has all that there is between its messages: what the retention has removed leaves no hole.
  #putAll(messages) {
    for (const message of messages) this.put(message);
    for (let i = 1; i < messages.length; i++) this.#link(messages[i - 1].seq, messages[i].seq);
    this.#advance();
  }

  // A message that an event or the answer to sending it has brought.  One that is known may have been changed since.  Result: the
  // message that it answers, if that counts one more reply now.
  add(message) {
    if (this.#nodes.has(message.seq)) return undefined;
    this.put(message);
    return this.#countReply(message, 1);
  }

  #countReply({ replyTo, createdAt }, step) {
    return replyTo ? this.#change(seqOf(replyTo), ({ replyCount = 0 }) =>
      ({ replyCount: Math.max(0, replyCount + step), ...(step > 0 ? { lastReplyAt: createdAt } : {}) })) : undefined;
  }

  #change(seq, change) {
    const node = this.#nodes.get(seq);
    if (node) node.message = { ...node.message, ...change(node.message) };
    return node?.message;
  }

  // An event that changes a message: its name and data.  Result: the messages that are others now.
  onChange(name, data) {
    if (this.#asking > 0) this.#heard.push([name, data]);
    const seq = seqOf(data.messageId);
    const before = this.get(seq);
    const now = this.#change(seq, (message) => changes[name](message, data));
    const isGone = name === 'chat-message-deleted' && before && !before.deletedAt;
    return [now, isGone ? this.#countReply(before, -1) : undefined].filter(Boolean);
  }

  // What was kept from an earlier time: a run, shown until the latest page is there.
  restore(messages) {
    this.#putAll(messages);
    this.newest = messages.at(-1).seq;
    this.isKept = true;
  }

  // What came while the page was on its way stays.
  #dropKept(lastSeq) {
    for (const seq of this.#nodes.keys()) if (seq <= lastSeq) this.#nodes.delete(seq);
    this.#mend();
    Object.assign(this, { newest: null, first: null, isKept: false });
  }

  // Those that are far from from..to, and from the end of the room, are loaded again when somebody looks there.  Result: whether
  // there were any.
  forgetFar(from = Infinity, to = -Infinity) {
    if (this.size <= MOST_KNOWN) return false;
    const near = new Set(this.run(AT_END).map(({ seq }) => seq));
    const end = this.newest ?? this.#last;
    const isFar = (seq) => seq < end && !near.has(seq) && (seq < from - AROUND || seq > to + AROUND);
    for (const seq of this.#nodes.keys()) if (isFar(seq)) this.#nodes.delete(seq);
    this.#mend();
    return true;
  }

  // Where a neighbour was removed there is a hole.
  #mend() {
    for (const node of this.#nodes.values()) {
      if (!this.#nodes.has(node.older)) node.older = undefined;
      if (!this.#nodes.has(node.newer)) node.newer = undefined;
    }
  }

  // ---- asking -------------------------------------------------------------------------------

  // Result: how many changes were heard of before.
  #begin() {
    this.#asking += 1;
    return this.#heard.length;
  }

  #end() {
    this.#asking -= 1;
    if (this.#asking === 0) this.#heard = [];
  }

  // An answer may be from before changes that have overtaken it: these are made again.
  #repeat(from) {
    for (const [name, data] of this.#heard.slice(from)) this.#change(seqOf(data.messageId), (message) => changes[name](message, data));
  }

  // An operation of REST, the answer to which goes to take().  Result: the answer.
  async #ask(name, options, take) {
    const from = this.#begin();
    try {
      const answer = await this.#call(name, { params: { roomId: this.roomId }, ...options });
      take(answer);
      this.#repeat(from);
      return answer;
    } finally {
      this.#end();
    }
  }

  #load(query, take = () => {}) {
    return this.#ask('listMessages', { query }, (page) => {
      take(page);
      this.#putAll(withExtras(page));
    });
  }

  // Result of these: the page.
  async loadLatest() {
    const page = await this.#load({ limit: PAGE }, ({ lastSeq }) => this.isKept && this.#dropKept(lastSeq));
    const { data, hasMore, lastSeq, lastChange } = page;
    if (!hasMore) this.first = data[0]?.seq ?? lastSeq;
    if (this.newest === null) this.#lastChange = lastChange; // of what was known before, changes may be missing
    this.newest = Math.max(this.newest ?? 0, data.at(-1)?.seq ?? lastSeq);
    this.#advance();
    return page;
  }

  async loadBefore(seq) {
    const page = await this.#load({ limit: PAGE, beforeSeq: seq });
    if (page.data.length > 0) this.#link(page.data.at(-1).seq, seq);
    if (!page.hasMore) this.first = page.data[0]?.seq ?? seq;
    return page;
  }

  async loadAfter(seq) {
    const page = await this.#load({ limit: PAGE, afterSeq: seq });
    if (page.data.length > 0) this.#link(seq, page.data[0].seq);
    return page;
  }

  // One message alone, such as one that is quoted.
  loadOne(seq) {
    return this.#load({ limit: 1, beforeSeq: seq + 1 });
  }

  // The message with that number and some on both sides of it.  Result: whether there is one.
  async loadAround(seq) {
    await this.#load({ limit: PAGE, beforeSeq: seq + PAGE / 2 });
    return this.#nodes.has(seq);
  }

  // What answers a message, a page of it.  Result: the replies, and the cursor of the next page.
  async loadReplies(messageId, cursor) {
    const options = { params: { roomId: this.roomId, messageId }, query: { limit: PAGE_OF_REPLIES, cursor } };
    const { data, nextCursor } = await this.#ask('listReplies', options, (page) => {
      for (const message of page.data) this.put(message);
      this.#change(seqOf(messageId), () => ({ replyCount: page.replyCount, lastReplyAt: page.lastReplyAt }));
    });
    return { replies: data.map(({ seq }) => this.get(seq)), nextCursor };
  }

  // The latest pin first.
  async loadPins() {
    const { data } = await this.#ask('listPins', {}, (page) => {
      for (const message of page.data) this.put(message);
    });
    return data.map(({ seq }) => this.get(seq));
  }

  // What several rooms have missed, in one request; ask: as of a Connection.  Result: the server's epoch and, of each room, the
  // messages that are others now, and whether to ask again.
  static async sync(all, ask) {
    const from = all.map((one) => one.#begin());
    try {
      const wanted = all.map((one) => ({ roomId: one.roomId, afterSeq: one.newest, afterChange: one.#lastChange }));
      const { epoch, rooms } = await ask('sync-rooms', { rooms: wanted });
      return { epoch, rooms: all.map((one, i) => one.#takeMissed(rooms[i], wanted[i].afterSeq, from[i])) };
    } finally {
      for (const one of all) one.#end();
    }
  }

  #takeMissed({ messages, changed, lastChange, hasMore, hasMoreChanges }, afterSeq, from) {
    const touched = new Set(); // numbers
    for (const message of messages) touched.add(this.add(message)?.seq);
    for (const [i, { seq }] of messages.entries()) this.#link(messages[i - 1]?.seq ?? afterSeq, seq);
    // There may be nothing any more at the number that was asked with.
    if (messages.length > 0 && this.newest === afterSeq) this.newest = messages[0].seq;
    this.#advance();
    for (const { replyCount, ...message } of changed) {
      if (!this.has(message.seq)) continue;
      // Replies that are still to come are counted as they come.
      this.put(hasMore ? message : { ...message, replyCount });
      touched.add(message.seq);
    }
    this.#repeat(from);
    this.#lastChange = lastChange;
    return { changed: [...touched].map((seq) => this.get(seq)).filter(Boolean), hasMore: hasMore || hasMoreChanges };
  }
}
