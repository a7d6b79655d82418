// meeting.js: a meeting as state, its tracks over mediasoup-client.
//
// Signalling goes by events with acknowledgements.  What is sent belongs to the application: it gives tracks and stops them.
// What is lost (a transport, a connection, the media worker) is built anew with the same tracks.
import { RtError } from './errors.js';
import { sendingRed, withRed } from './red.js';
import { Store } from './store.js';

const EMPTY = {
  status: 'idle', // "idle", "joining", "waiting", "joined", "left", "removed", "refused", "ended"
  error: undefined,
  meeting: undefined,
  participantId: undefined,
  participants: [],
  waiting: [],
  tracks: [], // of others: { participantId, producerId, consumerId, kind, source, track, paused }
  sources: [], // what the user sends: { source, kind, track, paused }
  messages: [],
  hands: [],
  typing: [],
  speaker: undefined,
};

const LATER_MS = 1000; // than the server a former transport is closed here
const LOOK_MS = 50;

// Optional: with this handler of import() bundlers warn where it is missing, and go on.
function withoutMediasoup(cause) {
  throw new Error('A meeting needs the package mediasoup-client', { cause });
}

// Until the consumer has something to see or to hear, or is closed.  A track is no longer muted with its first packet; a
// picture may take several.
async function arrival(consumer) {
  while (!consumer.closed) {
    if (!consumer.track.muted) {
      const figures = consumer.kind === 'video' ? [...(await consumer.getStats()).values()] : [];
      const rtp = figures.find(({ type }) => type === 'inbound-rtp');
      if (!rtp || rtp.framesDecoded > 0) return;
    }
    await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
  }
}

const ending = (consumer) => new Promise((resolve) => {
  if (!consumer || consumer.closed) resolve();
  else consumer.observer.once('close', resolve);
});

export class Meeting extends Store {
  #client;
  #device;
  #config; // webrtcConfig of the server
  #sending = new Map(); // by source: { track, options, producer, paused }
  #consumers = new Map(); // by producerId
  #transports = {};
  #former = new Set(); // transports that the server is about to close
  #coming = new Map(); // by producerId: tracks that take the place of others as soon as something arrives
  #options = {};
  #turn = Promise.resolve();
  #off = [];

  constructor(client, id) {
    super({ ...EMPTY, id });
    this.#client = client;
    this.id = id;
  }

  get isIn() {
    return this.state.status === 'joined';
  }

  #ask(name, payload) {
    return this.#client.ask(name, { meetingId: this.id, ...payload });
  }

  // Media is set up by one at a time, in order.
  #inTurn(action) {
    const done = this.#turn.then(action);
    this.#turn = done.catch(() => {});
    return done;
  }

  // ---- joining and leaving ------------------------------------------------------------------------

  // Resolves once in; where the meeting has a lobby, once a host has let the user in.
  async join(options = {}) {
    if (this.isIn) return;
    this.#options = options;
    this.#listen();
    this.set({ ...EMPTY, status: 'joining' });
    try {
      await this.#enter();
    } catch (error) {
      if (error.code !== 'waiting') {
        this.#end('idle', error);
        throw error;
      }
      this.set({ status: 'waiting' });
      await this.#untilAdmitted();
    }
  }

  async #enter() {
    const { password, displayName } = this.#options;
    const reply = await this.#ask('join-meeting', { password, displayName });
    this.#config = reply.webrtcConfig;
    this.#onJoined(reply);
    if (this.#options.media !== false) await this.#inTurn(() => this.#setUpMedia());
  }

  #untilAdmitted() {
    return new Promise((resolve, reject) => {
      const off = this.subscribe(({ status, error }) => {
        if (status === 'waiting' || status === 'joining') return;
        off();
        if (status === 'joined') resolve();
        else reject(error ?? new RtError({ code: 'forbidden', message: `The meeting is over for you: ${status}` }));
      });
    });
  }

  async leave() {
    if (['idle', 'left'].includes(this.state.status)) return;
    await this.#ask('leave-meeting', {}).catch(() => {});
    this.#end('left');
  }

  close() {
    this.#end('left');
  }

  // Tracks are the application's: they are not stopped.
  #end(status, error) {
    for (const off of this.#off.splice(0)) off();
    this.#closeMedia();
    this.#sending.clear();
    this.set({ ...EMPTY, status, error, meeting: this.state.meeting });
  }

  #closeMedia() {
    this.#closeFormer();
    for (const transport of Object.values(this.#transports)) transport.close();
    this.#transports = {};
    this.#consumers.clear();
    this.#coming.clear();
    for (const sent of this.#sending.values()) sent.producer = undefined;
    this.set({ tracks: [] });
  }

  // Called by the client.  A recovered socket still has its place, and gets meeting-joined again.
  onConnected(isRecovered) {
    if (isRecovered || !['joined', 'waiting'].includes(this.state.status)) return;
    this.#closeMedia();
    this.set({ status: 'joining' });
    this.#enter().catch((error) => {
      if (error.code === 'waiting') this.set({ status: 'waiting' });
      else if (this.#client.isConnected) this.#end(error.code === 'gone' ? 'ended' : 'idle', error);
    });
  }

  // ---- events ----------------------------------------------------------------------------------------

  #on(name, handler) {
    const { socket } = this.#client;
    const listener = (payload) => { if (payload.meetingId === this.id) handler(payload); };
    socket.on(name, listener);
    this.#off.push(() => socket.off(name, listener));
  }

  #listen() {
    if (this.#off.length > 0) return;
    const change = (id, changes) => this.set({ participants: this.state.participants.map((p) => (p.participantId === id ? { ...p, ...changes } : p)) });
    this.#on('participant-joined', (p) => this.set({ participants: [...this.state.participants.filter(({ participantId }) => participantId !== p.participantId), p] }));
    this.#on('participant-left', (p) => this.#onLeft(p));
    this.#on('participant-media-updated', ({ participantId, video, audio, screenSharing, audioMuted, videoMuted }) =>
      change(participantId, { media: { video, audio, screenSharing }, audioMuted, videoMuted }));
    this.#on('participant-role-updated', ({ participantId, role, permissions }) => change(participantId, { role, permissions }));
    this.#on('hand-raised', ({ participantId, raised, timestamp, hands }) => {
      change(participantId, { handRaised: raised, handRaisedAt: raised ? timestamp : null });
      this.set({ hands });
    });
    this.#on('new-message', ({ message }) => this.#onMessage(message));
    this.#on('user-typing', ({ participantId, userId, userName, typing }) => {
      const others = this.state.typing.filter((one) => one.participantId !== participantId);
      this.set({ typing: typing ? [...others, { participantId, userId, userName }] : others });
    });
    this.#on('participant-waiting', (w) => this.set({ waiting: [...this.state.waiting.filter(({ waitingId }) => waitingId !== w.waitingId), w] }));
    this.#on('participant-waiting-left', ({ waitingId }) => this.set({ waiting: this.state.waiting.filter((w) => w.waitingId !== waitingId) }));
    this.#on('meeting-admitted', () => this.#enter().catch((error) => this.#end('idle', error)));
    this.#on('meeting-refused', () => this.#end('refused'));
    this.#on('removed-from-meeting', ({ reason }) => this.#end('removed', reason ? new RtError({ code: 'forbidden', message: reason }) : undefined));
    this.#on('meeting-updated', ({ meeting }) => this.set({ meeting }));
    this.#on('meeting-ended', ({ meeting }) => { this.set({ meeting }); this.#end('ended'); });
    this.#on('active-speaker', ({ participantId }) => this.set({ speaker: participantId }));
    this.#on('new-producer', (producer) => this.#consumeSoon(producer));
    this.#on('producer-closed', ({ producerId }) => this.#onProducerClosed(producerId));
    this.#on('producer-paused', ({ producerId }) => this.#setTrack(producerId, { paused: true }));
    this.#on('producer-resumed', ({ producerId }) => this.#setTrack(producerId, { paused: false }));
    this.#on('transport-closed', (payload) => this.#inTurn(() => this.#onTransportClosed(payload)).catch((error) => this.set({ error })));
  }

  #onJoined({ meeting, participantId, participants, waiting }) {
    const hands = participants.filter(({ handRaised }) => handRaised).sort((a, b) => (a.handRaisedAt < b.handRaisedAt ? -1 : 1));
    this.set({ status: 'joined', error: undefined, meeting, participantId, participants, waiting: waiting ?? [], hands: hands.map((p) => p.participantId) });
  }

  #onLeft({ participantId }) {
    const gone = this.state.tracks.filter((track) => track.participantId === participantId);
    for (const { producerId } of gone) this.#drop(producerId);
    this.set({
      participants: this.state.participants.filter((p) => p.participantId !== participantId),
      hands: this.state.hands.filter((id) => id !== participantId),
      typing: this.state.typing.filter((one) => one.participantId !== participantId),
    });
  }

  #onMessage(message) {
    if (!this.state.messages.some(({ id }) => id === message.id)) this.set({ messages: [...this.state.messages, message] });
  }

  // ---- media -------------------------------------------------------------------------------------------

  async #setUpMedia() {
    const webrtcConfig = this.#config;
    // No media worker: the meeting goes on without.
    if (!webrtcConfig.routerId) return;
    if (!this.#device) {
      const { Device } = this.#client.mediasoup ?? await import('mediasoup-client').catch(withoutMediasoup);
      this.#device = new Device(this.#client.device);
    }
    if (!this.#device.loaded) await this.#device.load({ routerRtpCapabilities: webrtcConfig.rtpCapabilities });
    await this.#openTransport('recv');
    for (const participant of this.state.participants) {
      if (participant.participantId === this.state.participantId) continue;
      for (const producer of participant.producers) await this.#consume({ ...producer, participantId: participant.participantId });
    }
    for (const source of this.#sending.keys()) await this.#sendSource(source);
  }

  async #openTransport(direction) {
    if (this.#transports[direction] && !this.#transports[direction].closed) return this.#transports[direction];
    const parameters = await this.#ask('create-transport', { direction });
    const options = { ...parameters, iceServers: this.#config.iceServers, iceTransportPolicy: this.#config.iceTransportPolicy };
    const transport = direction === 'send' ? sendingRed(() => this.#device.createSendTransport(options)) : this.#device.createRecvTransport(options);
    transport.on('connect', ({ dtlsParameters }, done, failed) => {
      this.#client.ask('connect-transport', { transportId: transport.id, dtlsParameters }).then(() => done(), failed);
    });
    transport.on('produce', ({ kind, rtpParameters, appData }, done, failed) => {
      this.#ask('produce', { transportId: transport.id, kind, rtpParameters: withRed(transport, kind, rtpParameters), source: appData.source, paused: appData.paused })
        .then(({ id }) => done({ id }), failed);
    });
    transport.on('connectionstatechange', (state) => {
      if (state === 'failed' || state === 'disconnected') this.#restartIce(transport).catch(() => {});
    });
    this.#transports[direction] = transport;
    return transport;
  }

  async #restartIce(transport) {
    if (transport.closed || this.#former.has(transport) || !this.#client.isConnected) return;
    const { iceParameters } = await this.#client.ask('restart-ice', { transportId: transport.id });
    await transport.restartIce({ iceParameters });
  }

  async #onTransportClosed({ transportId, direction, closesInMs }) {
    if (!this.isIn || this.#transports[direction]?.id !== transportId) return;
    if (closesInMs) await this.#move(direction, closesInMs);
    else await this.#rebuild(direction);
  }

  // The server will close it.  What is sent goes both ways until then; what is received comes as new producers, each of which
  // takes the place of a former one.
  async #move(direction, closesInMs) {
    const former = this.#transports[direction];
    delete this.#transports[direction];
    this.#former.add(former);
    setTimeout(() => this.#closeFormer(), closesInMs + LATER_MS);
    if (direction === 'recv') {
      await this.#again(() => this.#openTransport('recv'));
      return;
    }
    for (const [source, sent] of [...this.#sending]) {
      sent.former = sent.producer;
      sent.producer = undefined;
      await this.#again(() => this.#sendSource(source));
    }
  }

  #closeFormer() {
    for (const transport of this.#former) transport.close();
    this.#former.clear();
  }

  // The former track stays until something comes by the new one.
  async #succeed(former, track, consumer) {
    this.#coming.set(track.producerId, track);
    if (!track.paused) await Promise.race([arrival(consumer), ending(this.#consumers.get(former.producerId))]);
    const next = this.#coming.get(track.producerId);
    this.#coming.delete(track.producerId);
    if (!next || this.#consumers.get(track.producerId) !== consumer) return;
    this.#consumers.get(former.producerId)?.close();
    this.#consumers.delete(former.producerId);
    const { tracks } = this.state;
    const isThere = tracks.some(({ producerId }) => producerId === former.producerId);
    this.set({ tracks: isThere ? tracks.map((one) => (one.producerId === former.producerId ? next : one)) : [...tracks, next] });
  }

  // The server has closed it, as when its media worker has ended.
  async #rebuild(direction) {
    this.#transports[direction]?.close();
    delete this.#transports[direction];
    if (direction === 'send') {
      for (const sent of this.#sending.values()) sent.producer = undefined;
      for (const source of this.#sending.keys()) await this.#again(() => this.#sendSource(source));
      return;
    }
    const lost = this.state.tracks;
    this.#consumers.clear();
    this.set({ tracks: [] });
    await this.#again(() => this.#openTransport('recv'));
    for (const track of lost) await this.#consume(track).catch(() => {});
  }

  // A new media worker may take a moment.
  async #again(action) {
    for (let tries = 1; ; tries++) {
      try {
        return await action();
      } catch (error) {
        if (error.code !== 'unavailable' || tries === 10 || !this.isIn) throw error;
        await new Promise((resolve) => { setTimeout(resolve, 500); });
      }
    }
  }

  #consumeSoon(producer) {
    if (this.#options.media === false) return;
    this.#inTurn(() => this.#consume(producer)).catch((error) => this.set({ error }));
  }

  async #consume({ producerId, participantId, source, kind }) {
    if (!this.#device?.loaded || this.#consumers.has(producerId) || !this.isIn || this.#options.receive?.({ source, kind, participantId }) === false) return;
    const transport = await this.#openTransport('recv');
    let answer;
    try {
      answer = await this.#ask('consume', { transportId: transport.id, producerId, rtpCapabilities: this.#device.rtpCapabilities });
    } catch (error) {
      if (error.code === 'not_found') return; // it has ended meanwhile
      throw error;
    }
    const consumer = await transport.consume({ ...answer, appData: { transportId: transport.id } });
    const former = this.state.tracks.find((one) => one.participantId === participantId && one.source === (answer.source ?? source)
      && this.#consumers.get(one.producerId)?.appData.transportId !== transport.id);
    this.#consumers.set(producerId, consumer);
    await this.#client.ask('resume-consumer', { consumerId: consumer.id });
    const track = { participantId, producerId, consumerId: consumer.id, kind: consumer.kind, source: answer.source ?? source, track: consumer.track, paused: answer.producerPaused };
    if (former) this.#succeed(former, track, consumer).catch((error) => this.set({ error }));
    else this.set({ tracks: [...this.state.tracks, track] });
  }

  // With what is sent by a former transport that one is closed too.
  #onProducerClosed(producerId) {
    if ([...this.#sending.values()].some(({ former }) => former?.id === producerId)) this.#closeFormer();
    this.#drop(producerId);
  }

  #drop(producerId) {
    this.#coming.delete(producerId);
    this.#consumers.get(producerId)?.close();
    this.#consumers.delete(producerId);
    this.set({ tracks: this.state.tracks.filter((track) => track.producerId !== producerId) });
  }

  #setTrack(producerId, changes) {
    if (this.#coming.has(producerId)) this.#coming.set(producerId, { ...this.#coming.get(producerId), ...changes });
    this.set({ tracks: this.state.tracks.map((track) => (track.producerId === producerId ? { ...track, ...changes } : track)) });
  }

  // ---- what the application asks for --------------------------------------------------------------------

  // Sends a track; one that the source had is replaced.
  async produce(track, { source = track.kind === 'audio' ? 'microphone' : 'camera', ...options } = {}) {
    const before = this.#sending.get(source);
    if (before?.producer && !before.producer.closed) {
      before.track = track;
      await before.producer.replaceTrack({ track });
      if (before.former && !before.former.closed) await before.former.replaceTrack({ track });
    } else {
      this.#sending.set(source, { track, options, paused: false });
      await this.#inTurn(() => this.#sendSource(source));
    }
    await this.#tellSources();
  }

  async #sendSource(source) {
    const sent = this.#sending.get(source);
    if (!sent || sent.producer || !this.isIn || !this.#device?.loaded) return;
    const transport = await this.#openTransport('send');
    // The application stops its own tracks.
    sent.producer = await transport.produce({ ...sent.options, track: sent.track, stopTracks: false, appData: { source, paused: sent.paused } });
  }

  async setPaused(source, paused) {
    const sent = this.#sending.get(source);
    if (!sent || sent.paused === paused) return;
    sent.paused = paused;
    if (sent.producer) {
      if (paused) sent.producer.pause();
      else sent.producer.resume();
      await this.#client.ask(paused ? 'pause-producer' : 'resume-producer', { producerId: sent.producer.id });
    }
    await this.#tellSources();
  }

  async stop(source) {
    const sent = this.#sending.get(source);
    this.#sending.delete(source);
    for (const producer of [sent?.producer, sent?.former]) {
      if (!producer || producer.closed) continue;
      producer.close();
      await this.#client.ask('close-producer', { producerId: producer.id }).catch(() => {});
    }
    await this.#tellSources();
  }

  async #tellSources() {
    const sources = [...this.#sending].map(([source, { track, paused }]) => ({ source, kind: track.kind, track, paused }));
    this.set({ sources });
    const sends = (name) => sources.some(({ source, paused }) => source === name && !paused);
    if (this.isIn) await this.#ask('media-status-update', { video: sends('camera'), audio: sends('microphone'), screenSharing: sends('screen') });
  }

  async setLayers(producerId, spatialLayer, temporalLayer) {
    const consumer = this.#consumers.get(producerId);
    if (consumer) await this.#client.ask('set-preferred-layers', { consumerId: consumer.id, spatialLayer, temporalLayer });
  }

  async send(message, { recipientType, recipientId } = {}) {
    const reply = await this.#ask('send-message', { message, recipientType, recipientId });
    this.#onMessage(reply.message);
    return reply.message;
  }

  react(reaction) {
    return this.#ask('send-reaction', { reaction });
  }

  raiseHand(raised = true) {
    return this.#ask('raise-hand', { raised });
  }

  setTyping(typing) {
    this.#client.tell('typing', { meetingId: this.id, typing });
  }

  // ---- of hosts ---------------------------------------------------------------------------------------------

  admit(waitingId = 'all') { return this.#ask('admit-participant', { waitingId }); }
  refuse(waitingId = 'all') { return this.#ask('refuse-participant', { waitingId }); }
  mute(participantId, kind = 'audio', mute = true) { return this.#ask('mute-participant', { participantId, kind, mute }); }
  remove(participantId, reason) { return this.#ask('remove-participant', { participantId, reason }); }
  setRole(participantId, role) { return this.#ask('update-participant-role', { participantId, role }); }
  lock(locked = true) { return this.#ask('lock-meeting', { locked }); }
  end() { return this.#ask('end-meeting', {}); }
}
