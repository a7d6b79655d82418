// The media of one meeting: what we send, what we receive.  mediasoup-client does WebRTC, this module its signalling.
import { t } from './i18n.js';
import { Device } from 'mediasoup-client';
import { call } from './api.js';
import { delay } from './delay.js';
import { emit, socket } from './socket.js';
import { sendingRed, withRed } from '../../../clients/js/src/red.js';

// A camera goes out in three sizes, from a weak machine in two; who shows it small gets the small one.
const SIZES =
  navigator.hardwareConcurrency > 2
    ? [
        { scaleResolutionDownBy: 4, maxBitrate: 100_000 },
        { scaleResolutionDownBy: 2, maxBitrate: 300_000 },
        { scaleResolutionDownBy: 1, maxBitrate: 900_000 },
      ]
    : [
        { scaleResolutionDownBy: 4, maxBitrate: 100_000 },
        { scaleResolutionDownBy: 1, maxBitrate: 700_000 },
      ];
const CAMERA = {
  encodings: SIZES.map((size, i) => ({ rid: `r${i}`, ...size })),
  codecOptions: { videoGoogleStartBitrate: 600 },
};
const OPTIONS = {
  camera: CAMERA,
  microphone: { codecOptions: { opusDtx: true }, zeroRtpOnPause: true },
  screen: {},
};
const RETRY_MS = 1000;
const MOST_TRIES = 3; // of what has no answer
const TOP_LAYER = 2;
const LATER_MS = 1000; // than the server a former transport is closed here

// Until something arrives of a track that was just made.
function arrival(track) {
  if (!track.muted) return Promise.resolve();
  return new Promise((resolve) => {
    track.addEventListener('unmute', resolve, { once: true });
  });
}

function ending({ consumer }) {
  if (consumer.closed) return Promise.resolve();
  return new Promise((resolve) => {
    consumer.observer.once('close', resolve);
  });
}

export class Call {
  // on: { isSeen(participantId): whether their tile is in view, stream(entry): resolves once it is seen, streamGone(entry), own() when what we send has changed, failed(source, error), problem(words) }
  constructor(meetingId, on) {
    Object.assign(this, { meetingId, on, closed: false });
    this.former = []; // transports that the server is about to close
    this.own = new Map(); // source -> { track, producer, paused }
    this.streams = new Map(); // producer id -> { consumer, track, participantId, source }
    this.unseen = new Map(); // producer id -> cameras that nobody has looked at yet
    this.turn = Promise.resolve();
  }

  // Signalling that depends on what was made before it goes one after the other.
  inTurn(work) {
    this.turn = this.turn
      .then(() => (this.closed ? undefined : work()))
      .catch((error) => this.complain(error));
    return this.turn;
  }

  complain(error) {
    if (!this.closed) this.on.problem(error.message);
  }

  // `joined` is what join-meeting acknowledged.
  start(joined) {
    return this.inTurn(async () => {
      this.participantId = joined.participantId;
      const { iceServers, iceTransportPolicy } = joined.webrtcConfig;
      this.ice = { iceServers, iceTransportPolicy };
      this.device = new Device();
      await this.device.load({ routerRtpCapabilities: joined.webrtcConfig.rtpCapabilities });
      await this.openTransports();
      await this.consumeAll(joined.participants);
    });
  }

  // ---- transports ------------------------------------------------------------------

  // The forwarder may be about to be started again: then we wait for it.
  async patiently(work) {
    for (let told = false; !this.closed; told = true) {
      try {
        return await work();
      } catch (error) {
        if (error.code !== 'unavailable') throw error;
        if (!told) this.on.problem(t("Audio and video aren't available right now. Reconnecting…"));
        await delay(RETRY_MS);
      }
    }
    return null;
  }

  // An answer that is late, or lost with a connection, is asked for again, unless the server has closed the transport: then
  // all is made anew.
  async persistently(transport, event, payload) {
    for (let tries = 1; ; tries++) {
      try {
        return await emit(event, payload);
      } catch (error) {
        if (error.code !== 'unavailable' || tries === MOST_TRIES || this.closed || transport.isLost)
          throw error;
        await delay(RETRY_MS);
      }
    }
  }

  async openTransports() {
    this.sender = await this.patiently(() => this.open('send'));
    this.receiver = await this.patiently(() => this.open('recv'));
  }

  async open(direction) {
    const offer = await emit('create-transport', { meetingId: this.meetingId, direction });
    const options = { ...offer, sctpParameters: undefined, ...this.ice };
    const transport =
      direction === 'send'
        ? sendingRed(() => this.device.createSendTransport(options))
        : this.device.createRecvTransport(options);
    transport.on('connect', ({ dtlsParameters }, done, failed) => {
      emit('connect-transport', { transportId: transport.id, dtlsParameters }).then(() => done(), failed);
    });
    transport.on('produce', ({ kind, rtpParameters, appData }, done, failed) => {
      emit('produce', {
        meetingId: this.meetingId,
        transportId: transport.id,
        kind,
        rtpParameters: withRed(transport, kind, rtpParameters),
        source: appData.source,
        paused: appData.paused,
      }).then(done, failed);
    });
    transport.on('connectionstatechange', (state) => {
      if (state === 'disconnected' || state === 'failed') this.restartIce(transport);
    });
    return transport;
  }

  // Credentials for a TURN server expire, and a new way through it needs some that are good.
  async renewIceServers(transport) {
    if (this.ice.iceServers.length === 0) return;
    const { data } = await call('getWebrtcConfig', { params: { meetingId: this.meetingId } });
    this.ice = { iceServers: data.iceServers, iceTransportPolicy: data.iceTransportPolicy };
    await transport.updateIceServers({ iceServers: data.iceServers });
  }

  // The network has changed: the candidates of before may lead nowhere.
  restartAll() {
    for (const transport of [this.sender, this.receiver])
      if (transport && transport.connectionState !== 'new') this.restartIce(transport);
  }

  // Signalling waits for the socket, which is often lost by the same change.
  restartIce(transport) {
    if (transport.isRestarting || !this.isCurrent(transport.id)) return this.turn;
    transport.isRestarting = true;
    return this.inTurn(async () => {
      if (!socket.connected) await new Promise((resolve) => socket.once('connect', resolve));
      transport.isRestarting = false;
      if (transport.closed || this.closed || !this.isCurrent(transport.id)) return;
      try {
        await this.renewIceServers(transport);
        const { iceParameters } = await emit('restart-ice', { transportId: transport.id });
        await transport.restartIce({ iceParameters });
      } catch {
        await this.rebuild();
      }
    });
  }

  isCurrent(transportId) {
    return transportId === this.sender?.id || transportId === this.receiver?.id;
  }

  // The server closed a transport, as when the forwarder's process has died: all is made anew on the next one.  With
  // closesInMs it goes on for so long, and we move first.
  transportClosed({ transportId, closesInMs }) {
    for (const transport of [this.sender, this.receiver])
      if (transport?.id === transportId) transport.isLost = true;
    this.inTurn(async () => {
      if (!this.isCurrent(transportId)) return;
      if (closesInMs) await this.move(closesInMs).catch(() => this.rebuild());
      else await this.rebuild();
    });
  }

  // What we send goes both ways until the server closes the former one.  What we receive comes as new producers, each of
  // which takes the place of a former one: see succeed().
  async move(closesInMs) {
    this.former.push(this.sender, this.receiver);
    setTimeout(() => this.closeFormer(), closesInMs + LATER_MS);
    await this.openTransports();
    for (const [source, { track, paused, producer }] of [...this.own]) {
      await this.produce(source, track, paused);
      this.own.get(source).former = producer;
    }
  }

  closeFormer() {
    this.former.splice(0).forEach((transport) => transport?.close());
    for (const [id, { receiver }] of [...this.streams]) if (receiver !== this.receiver) this.forget(id);
  }

  // What we sent by the former way is closed, so that way is.
  producerClosed(producerId) {
    if ([...this.own.values()].some((entry) => entry.former?.id === producerId)) this.closeFormer();
    return this.inTurn(() => this.forget(producerId));
  }

  async rebuild() {
    this.closeFormer();
    this.sender?.close();
    this.receiver?.close();
    [...this.streams.keys()].forEach((id) => this.forget(id));
    await this.openTransports();
    for (const [source, { track, paused }] of [...this.own])
      await this.produce(source, track, paused).catch((error) => this.complain(error));
    await this.refresh();
  }

  // What the others send now; for after a time in which events were missed.
  async refresh() {
    const { data } = await call('listParticipants', { params: { meetingId: this.meetingId } });
    const there = new Set(
      data.flatMap((participant) => participant.producers.map((producer) => producer.producerId)),
    );
    for (const [id, { receiver = this.receiver }] of [...this.streams, ...this.unseen])
      if (receiver === this.receiver && !there.has(id)) this.forget(id); // a former one ends with closeFormer()
    await this.consumeAll(data);
  }

  // ---- what we send ----------------------------------------------------------------

  send(source, track) {
    return this.inTurn(async () => {
      try {
        await this.produce(source, track, false);
      } catch (error) {
        if (!this.closed) this.on.failed(source, error);
      }
    });
  }

  // A track may have been stopped while its turn was waited for.
  async produce(source, track, paused) {
    if (track.readyState === 'ended') return;
    const producer = await this.sender.produce({
      ...OPTIONS[source],
      track,
      stopTracks: false,
      appData: { source, paused },
    });
    if (paused) producer.pause();
    this.own.set(source, { track, producer, paused });
    this.on.own();
  }

  // With `isGone` the server has closed it already: a viewer sends nothing.
  stop(source, isGone = false) {
    return this.inTurn(async () => {
      const entry = this.own.get(source);
      if (!entry) return;
      this.own.delete(source);
      entry.producer.close();
      this.on.own();
      if (!isGone) await emit('close-producer', { producerId: entry.producer.id });
      if (!entry.former || entry.former.closed) return;
      entry.former.close();
      await emit('close-producer', { producerId: entry.former.id }).catch(() => {});
    });
  }

  pause(source, paused) {
    return this.inTurn(async () => {
      const entry = this.own.get(source);
      if (!entry || entry.paused === paused) return;
      entry.paused = paused;
      if (paused) entry.producer.pause();
      else entry.producer.resume();
      await emit(paused ? 'pause-producer' : 'resume-producer', { producerId: entry.producer.id });
    });
  }

  sends(source) {
    const entry = this.own.get(source);
    return Boolean(entry && !entry.paused);
  }

  // ---- what we receive ---------------------------------------------------------------

  // One that cannot be had keeps nobody from the others.
  async consumeAll(participants) {
    for (const { participantId, producers } of participants)
      for (const producer of producers)
        await this.consume({ ...producer, participantId }).catch((error) => this.complain(error));
  }

  receive(producer) {
    this.inTurn(() => this.consume(producer));
  }

  async consume(producer) {
    if (producer.participantId === this.participantId || this.streams.has(producer.producerId)) return;
    if (producer.source === 'camera' && !this.on.isSeen(producer.participantId)) {
      this.unseen.set(producer.producerId, producer);
      return;
    }
    this.unseen.delete(producer.producerId);
    try {
      await this.take(producer);
    } catch (error) {
      if (error.code !== 'not_found') throw error; // it was closed meanwhile
    }
  }

  async take({ producerId, participantId, source, paused }) {
    const { receiver } = this;
    const offer = await this.persistently(receiver, 'consume', {
      meetingId: this.meetingId,
      transportId: receiver.id,
      producerId,
      rtpCapabilities: this.device.rtpCapabilities,
    });
    const consumer = await receiver.consume(offer);
    const former = this.formerOf(participantId, source, receiver);
    const entry = {
      consumer,
      receiver,
      tileId: former?.tileId,
      producerId,
      participantId,
      source,
      kind: consumer.kind,
      track: consumer.track,
      paused,
      layer: null,
      isIdle: false, // whether we have paused it, out of sight
    };
    this.streams.set(producerId, entry);
    if (former) this.succeed(former, entry);
    else this.on.stream(entry);
    // Out of sight meanwhile: it is begun when it is seen.
    entry.isIdle = source === 'camera' && !this.on.isSeen(participantId);
    if (!entry.isIdle) await this.persistently(receiver, 'resume-consumer', { consumerId: consumer.id });
  }

  // What the same camera, microphone or screen sends by the way that we are leaving.
  formerOf(participantId, source, receiver) {
    return [...this.streams.values()].find(
      (entry) =>
        entry.participantId === participantId && entry.source === source && entry.receiver !== receiver,
    );
  }

  // The former one is seen and heard until something comes of the new one; never both are heard.
  async succeed(former, entry) {
    if (entry.kind === 'audio' && !entry.paused) await Promise.race([arrival(entry.track), ending(former)]);
    if (this.streams.get(entry.producerId) !== entry) return;
    await this.on.stream(entry);
    this.forget(former.producerId);
  }

  // The server has closed it, or whoever sends it has left.  Of our own we need not be told: with a transport that is
  // lost all is made anew, and who may not send any more is told that.
  forget(producerId) {
    const entry = this.streams.get(producerId);
    this.unseen.delete(producerId);
    if (!entry) return;
    this.streams.delete(producerId);
    entry.consumer.close();
    this.on.streamGone(entry);
  }

  forgetParticipant(participantId) {
    for (const [id, entry] of [...this.streams, ...this.unseen])
      if (entry.participantId === participantId) this.forget(id);
  }

  // A tile came into view, or went out of it: cameras are received while somebody can see them.
  see(participantId, isSeen) {
    const ours = (entry) => entry.participantId === participantId && entry.source === 'camera';
    if (isSeen) [...this.unseen.values()].filter(ours).forEach((producer) => this.receive(producer));
    for (const entry of [...this.streams.values()].filter(ours)) this.setIdle(entry, !isSeen);
  }

  setIdle(entry, isIdle) {
    if (entry.isIdle === isIdle) return;
    entry.isIdle = isIdle;
    emit(isIdle ? 'pause-consumer' : 'resume-consumer', { consumerId: entry.consumer.id }).catch(() => {});
  }

  // The size at which a picture is shown decides which one we ask for; its place, how it stands to the others.
  preferLayer(entry, layer, priority) {
    if (entry.layer === layer && entry.priority === priority) return;
    Object.assign(entry, { layer, priority });
    const spatialLayer = entry.source === 'camera' ? layer : TOP_LAYER;
    emit('set-preferred-layers', { consumerId: entry.consumer.id, spatialLayer, priority }).catch(() => {
      entry.layer = null;
    });
  }

  close() {
    this.closed = true;
    this.closeFormer();
    this.sender?.close();
    this.receiver?.close();
  }
}
