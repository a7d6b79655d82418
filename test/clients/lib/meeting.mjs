// What the tests do in meetings.
import { createRequire } from 'node:module';
import { Device } from 'mediasoup-client';
import { FakeMediaStreamTrack } from 'fake-mediastreamtrack';
import { askOk, connect, event } from './client.mjs';

const require = createRequire(import.meta.url);
const { FakeHandler } = require('mediasoup-client/lib/handlers/FakeHandler');
const fakeParameters = require('mediasoup-client/lib/test/fakeParameters');

// The id of a new meeting, made by REST; the caller of the token is host.
export async function createMeeting(cluster, token, options = {}) {
  const reply = await cluster.rest('POST', '/api/meetings', token, { title: 'a meeting', access: 'anyone', ...options });
  if (reply.status !== 201) throw new Error(`POST /api/meetings: ${JSON.stringify(reply.body)}`);
  return reply.body.data.id;
}

// A connected client in the meeting; client.joined is what meeting-joined said.
export async function enter(cluster, token, meetingId, options = {}) {
  const client = await connect(cluster, token, options.socket);
  client.meetingId = meetingId;
  client.joined = await askOk(client, 'join-meeting', { meetingId, ...options.join });
  client.participantId = client.joined.participantId;
  return client;
}

// A call of an unmodified mediasoup-client, with its own fake of a browser, over the client's socket.
export class Call {
  constructor(client) {
    this.client = client;
    this.meetingId = client.meetingId;
    this.device = new Device({ handlerFactory: FakeHandler.createFactory(fakeParameters) });
    this.asked = [];
  }

  async load() {
    await this.device.load({ routerRtpCapabilities: this.client.joined.webrtcConfig.rtpCapabilities });
    return this;
  }

  ask(name, payload) {
    this.asked.push(name);
    return askOk(this.client, name, payload);
  }

  // What the device emits, carried to the gateway as an application would.
  wire(transport) {
    transport.on('connect', ({ dtlsParameters }, done, failed) => {
      this.ask('connect-transport', { transportId: transport.id, dtlsParameters }).then(() => done(), failed);
    });
    transport.on('produce', ({ kind, rtpParameters, appData }, done, failed) => {
      this.ask('produce', { meetingId: this.meetingId, transportId: transport.id, kind, rtpParameters, ...appData.extra })
        .then(done, failed);
    });
    return transport;
  }

  async open(direction) {
    const reply = await this.ask('create-transport', { meetingId: this.meetingId, direction });
    const make = direction === 'send' ? 'createSendTransport' : 'createRecvTransport';
    this[direction] = this.wire(this.device[make](reply));
    return reply;
  }

  produce(kind, extra = {}, options = {}) {
    return this.send.produce({ track: new FakeMediaStreamTrack({ kind }), ...options, appData: { extra } });
  }

  async consume(producer) {
    const answer = await this.ask('consume', {
      meetingId: this.meetingId, transportId: this.recv.id, rtpCapabilities: this.device.rtpCapabilities, ...producer,
    });
    return { answer, consumer: await this.recv.consume(answer) };
  }
}

// A joined client with a loaded device and both transports.
export async function call(cluster, token, meetingId, options) {
  const it = await new Call(await enter(cluster, token, meetingId, options)).load();
  await it.open('send');
  await it.open('recv');
  return it;
}

export const producerOf = (client, participantId, kind) =>
  event(client, 'new-producer', (payload) => payload.participantId === participantId && payload.kind === kind);
