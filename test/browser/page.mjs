// A participant of a meeting as an application would write it: unmodified mediasoup-client and socket.io-client.
// What the tests may ask of it is on window.peer.
import { Device } from 'mediasoup-client';
import { io } from 'socket.io-client';
import { clockTrack, coughs, listen, quietTalk, readClock, soundClockTrack } from './lib/clock.mjs';
import { steadyVoice } from './lib/voice.mjs';
import { sendingRed, withRed } from '../../clients/js/src/red.js';

class Peer {
  constructor(options) {
    this.options = options;
    this.consumers = new Map(); // by producer id
    this.producers = {}; // by source
    this.events = [];
    this.rebuilt = 0;
  }

  // ---- signalling ----

  async ask(name, payload) {
    const reply = await this.socket.timeout(60_000).emitWithAck(name, payload);
    if (!reply.success) throw Object.assign(new Error(`${name}: ${JSON.stringify(reply.error)}`), reply.error);
    return reply;
  }

  async join() {
    const { url, token, meetingId } = this.options;
    this.socket = io(url, { auth: { token }, transports: ['websocket'] });
    this.listen();
    await new Promise((resolve, reject) => {
      this.socket.on('connect', resolve);
      this.socket.on('connect_error', reject);
    });
    const joined = await this.ask('join-meeting', { meetingId });
    this.participantId = joined.participantId;
    this.device = new Device();
    await this.device.load({ routerRtpCapabilities: joined.webrtcConfig.rtpCapabilities });
    const { iceServers, iceTransportPolicy } = joined.webrtcConfig;
    this.ice = { iceServers, iceTransportPolicy };
    await this.openTransports();
    for (const participant of joined.participants)
      if (participant.participantId !== this.participantId)
        for (const producer of participant.producers) await this.consume({ ...producer, ...participant });
    return this.participantId;
  }

  listen() {
    this.socket.onAny((name, payload) => this.events.push({ name, payload, at: performance.now() }));
    this.socket.on('new-producer', (payload) => this.inTurn(() => this.consume(payload)));
    this.socket.on('producer-closed', ({ producerId }) => this.forget(producerId));
    this.socket.on('transport-closed', ({ transportId }) => this.inTurn(() => this.rebuild(transportId)));
  }

  // One after the other: what comes while transports are built anew waits for them.
  inTurn(action) {
    this.turn = (this.turn ?? Promise.resolve()).then(action).catch((error) => {
      this.events.push({ name: 'failed', payload: String(error) });
    });
  }

  // ---- transports ----

  async openTransports() {
    this.send = await this.open('send');
    this.recv = await this.open('recv');
  }

  // The test may take candidates away, or lead them through a relay of its own.
  candidates(offered) {
    const { protocol, relayPort } = this.options;
    const wanted = offered.filter((candidate) => !protocol || candidate.protocol === protocol);
    return relayPort ? wanted.map((candidate) => ({ ...candidate, ip: '127.0.0.1', address: '127.0.0.1', port: relayPort })) : wanted;
  }

  async open(direction) {
    const offer = await this.ask('create-transport', { meetingId: this.options.meetingId, direction });
    const options = { ...offer, sctpParameters: undefined, ...this.ice, iceCandidates: this.candidates(offer.iceCandidates) };
    const sending = () => this.device.createSendTransport(options);
    const receiving = () => this.device.createRecvTransport(options);
    const transport = direction === 'recv' ? receiving() : this.options.red ? sendingRed(sending) : sending();
    transport.on('connect', ({ dtlsParameters }, done, failed) => {
      this.ask('connect-transport', { transportId: transport.id, dtlsParameters }).then(() => done(), failed);
    });
    transport.on('produce', ({ kind, rtpParameters, appData }, done, failed) => {
      this.ask('produce', { meetingId: this.options.meetingId, transportId: transport.id, kind, rtpParameters: withRed(transport, kind, rtpParameters), source: appData.source })
        .then(done, failed);
    });
    return transport;
  }

  // The forwarder closed a transport, as when its process has died: all is made anew on the next one.
  async rebuild(transportId) {
    if (transportId !== this.send.id && transportId !== this.recv.id) return;
    const produced = Object.values(this.producers).map(({ track, source, options }) => ({ track: track.clone(), source, options }));
    this.send.close();
    this.recv.close();
    for (const producerId of [...this.consumers.keys()]) this.forget(producerId);
    this.producers = {};
    await this.openTransports();
    for (const { track, source, options } of produced) await this.produceTrack(track, source, options);
    await this.consumeOthers();
    this.rebuilt++;
  }

  async consumeOthers() {
    const response = await fetch(`${this.options.url}/api/meetings/${this.options.meetingId}/participants`, {
      headers: { authorization: `Bearer ${this.options.token}` },
    });
    for (const participant of (await response.json()).data)
      if (participant.participantId !== this.participantId)
        for (const producer of participant.producers ?? []) await this.consume({ ...producer, ...participant });
  }

  async restartIce() {
    for (const transport of [this.send, this.recv]) {
      const { iceParameters } = await this.ask('restart-ice', { transportId: transport.id });
      await transport.restartIce({ iceParameters });
    }
  }

  // ---- sending ----

  async produceCamera({ codec, width = 320, height = 240, frameRate = 15, encodings, codecOptions } = {}) {
    const media = await navigator.mediaDevices.getUserMedia({ video: { width, height, frameRate } });
    const chosen = codec && this.device.sendRtpCapabilities.codecs.find((c) => c.mimeType.toLowerCase() === `video/${codec}`);
    if (codec && !chosen) return null;
    return this.produceTrack(media.getVideoTracks()[0], 'camera', { codec: chosen, encodings, codecOptions });
  }

  async produceMicrophone() {
    const media = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false } });
    return this.produceTrack(media.getAudioTracks()[0], 'microphone');
  }

  async produceTone() {
    return this.produceTrack(await steadyVoice(), 'microphone');
  }

  // What shows and sounds how old it is: see lib/clock.mjs.
  async produceClock({ encodings, ...picture }) {
    const codec = this.device.sendRtpCapabilities.codecs.find(({ mimeType }) => mimeType === 'video/VP8');
    await this.produceTrack(clockTrack(picture), 'camera', { codec, encodings, codecOptions: { videoGoogleMinBitrate: 1500 } });
    // A busy machine makes fewer pictures of that, not smaller ones, and believes no less of its link.
    const { rtpSender } = this.producers.camera.producer;
    await rtpSender.setParameters({ ...rtpSender.getParameters(), degradationPreference: 'maintain-resolution' });
  }

  async produceSoundClock() {
    return this.produceTrack(await soundClockTrack(), 'microphone');
  }

  async produceQuietTalk() {
    return this.produceTrack(await quietTalk(), 'microphone');
  }

  async produceCoughs() {
    return this.produceTrack(await coughs(), 'microphone');
  }

  // A screen that changes when changeScreen() is called, and never else.
  async produceStillScreen() {
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 480 });
    const context = canvas.getContext('2d');
    const [track] = canvas.captureStream(0).getVideoTracks();
    track.contentHint = 'detail';
    this.changeScreen = () => {
      context.fillStyle = `hsl(${Date.now() % 360} 80% 50%)`;
      context.fillRect(0, 0, 640, 480);
      track.requestFrame();
    };
    await this.produceTrack(track, 'screen');
  }

  // A canvas that changes all the time stands for a screen.
  async produceScreen(options) {
    const canvas = Object.assign(document.createElement('canvas'), { width: 400, height: 300 });
    const context = canvas.getContext('2d');
    setInterval(() => {
      context.fillStyle = `hsl(${performance.now() % 360} 80% 50%)`;
      context.fillRect(Math.random() * 300, Math.random() * 200, 100, 100);
    }, 100);
    const [track] = canvas.captureStream(10).getVideoTracks();
    track.contentHint = 'detail'; // text: never scaled down
    return this.produceTrack(track, 'screen', options);
  }

  async produceTrack(track, source, options = {}) {
    const producer = await this.send.produce({ track, ...options, stopTracks: false, appData: { source } });
    this.producers[source] = { producer, track, source, options };
    return producer.id;
  }

  closeProducer(source) {
    const { producer } = this.producers[source];
    delete this.producers[source];
    producer.close();
    return this.ask('close-producer', { producerId: producer.id });
  }

  // ---- receiving ----

  async consume({ producerId, participantId, source }) {
    if (this.consumers.has(producerId)) return;
    const reply = await this.ask('consume', {
      meetingId: this.options.meetingId, transportId: this.recv.id, producerId, rtpCapabilities: this.device.rtpCapabilities,
    });
    const consumer = await this.recv.consume(reply);
    const element = document.createElement(consumer.kind);
    const entry = { consumer, element, participantId, source, longestGapMs: 0, shown: new Set(), shownTwice: 0, seen: [], heard: [] };
    this.consumers.set(producerId, entry);
    Object.assign(element, { autoplay: true, muted: consumer.kind === 'video', srcObject: new MediaStream([consumer.track]) });
    document.body.append(element);
    element.play().catch(() => {});
    if (consumer.kind === 'video') this.watchFrames(entry);
    else if (this.options.clocks) await listen(consumer.track, (age) => entry.heard.push({ at: Date.now(), age }));
    await this.ask('resume-consumer', { consumerId: consumer.id });
    entry.resumedAt = performance.now();
  }

  // The longest time between two shown frames, since it was set to 0 last, and the frames that were shown before: each
  // has an RTP time of its own.
  watchFrames(entry) {
    let last;
    const onFrame = (now, { rtpTimestamp }) => {
      entry.firstShownAt ??= now;
      if (this.options.clocks) this.readFrame(entry);
      if (last) entry.longestGapMs = Math.max(entry.longestGapMs, now - last);
      last = now;
      if (entry.shown.has(rtpTimestamp)) entry.shownTwice++;
      entry.shown.add(rtpTimestamp);
      entry.element.requestVideoFrameCallback(onFrame);
    };
    entry.element.requestVideoFrameCallback(onFrame);
  }

  // entry.seen: when a picture was shown, and when it had been drawn.
  readFrame({ element, seen }) {
    const drawn = readClock(element);
    if (drawn) seen.push({ at: Date.now(), age: Date.now() - drawn });
  }

  // What was seen and heard since a time: { at, age } of each.
  ages(since) {
    const later = ({ at }) => at >= since;
    const all = [...this.consumers.values()];
    return { seen: all.flatMap(({ seen }) => seen).filter(later), heard: all.flatMap(({ heard }) => heard).filter(later) };
  }

  // Milliseconds from when a stream was resumed until its first picture was shown.
  firstPictureMs(source) {
    const entry = [...this.consumers.values()].find((one) => one.source === source);
    return entry?.firstShownAt && entry.firstShownAt - entry.resumedAt;
  }

  forget(producerId) {
    const entry = this.consumers.get(producerId);
    if (!entry) return;
    this.consumers.delete(producerId);
    entry.consumer.close();
    entry.element.remove();
  }

  forgetGaps() {
    for (const entry of this.consumers.values()) entry.longestGapMs = 0;
  }

  // What arrives now: one object a consumer.
  async received() {
    const all = [];
    for (const [producerId, { consumer, element, participantId, source, longestGapMs, shown, shownTwice }] of this.consumers) {
      const stats = [...(await consumer.getStats()).values()];
      const rtp = stats.find((s) => s.type === 'inbound-rtp') ?? {};
      const codec = stats.find((s) => s.id === rtp.codecId);
      all.push({
        producerId, participantId, source, kind: consumer.kind, consumerId: consumer.id, longestGapMs,
        shown: shown.size, shownTwice,
        videoWidth: element.videoWidth, codec: codec?.mimeType, frames: rtp.framesDecoded ?? 0, frameWidth: rtp.frameWidth,
        packets: rtp.packetsReceived ?? 0, lost: rtp.packetsLost, nacks: rtp.nackCount, repaired: rtp.retransmittedPacketsReceived,
        energy: rtp.totalAudioEnergy ?? 0, concealed: rtp.concealedSamples ?? 0, samples: rtp.totalSamplesReceived ?? 0,
        waitedS: rtp.jitterBufferDelay ?? 0, emitted: rtp.jitterBufferEmittedCount ?? 0,
        freezes: rtp.freezeCount, frozenS: rtp.totalFreezesDuration ?? 0, received: rtp.bytesReceived ?? 0, decoder: rtp.decoderImplementation, fps: rtp.framesPerSecond,
      });
    }
    return all;
  }

  // The pair of candidates of each transport that is in use.
  async paths() {
    const used = [];
    for (const transport of [this.send, this.recv]) {
      const stats = await transport.getStats();
      for (const pair of stats.values())
        if (pair.type === 'candidate-pair' && pair.nominated)
          used.push({ local: stats.get(pair.localCandidateId)?.candidateType, remote: stats.get(pair.remoteCandidateId)?.port });
    }
    return used;
  }

  transportId(direction) {
    return this[direction].id;
  }

  // The protocol of the pair of candidates that is in use.
  async protocol(direction) {
    const stats = await this[direction].getStats();
    const transport = [...stats.values()].find((s) => s.type === 'transport');
    const pair = stats.get(transport?.selectedCandidatePairId);
    return pair && stats.get(pair.remoteCandidateId).protocol;
  }
}

window.startPeer = async (options) => {
  window.peer = new Peer(options);
  return window.peer.join();
};
