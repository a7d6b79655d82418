// red.js: sends sound in RED (RFC 2198), each packet with the one before, where the browser can.
//
// mediasoup-client keeps one codec of each answer, and so leaves audio/red out.  Here it is put back: before opus in each
// answer to an offer that has it, and among the codecs of the producer.  The forwarder unpacks it for receivers without RED.
// The application of rt uses this file, too.

const sections = (sdp) => sdp.split(/(?=^m=)/m);
const redOf = (section) => /^a=rtpmap:(\d+) red\/48000\/2\r$/m.exec(section)?.[1];
const opusOf = (section) => /^a=rtpmap:(\d+) opus\/48000\/2\r$/m.exec(section)?.[1];

function addToSection(offered, answered) {
  const red = offered && redOf(offered);
  const opus = opusOf(answered);
  if (!red || !opus || redOf(answered)) return answered;
  return answered
    .replace(/^(m=audio \S+ \S+) /, `$1 ${red} `)
    .replace(/^(a=rtpmap:)/m, `a=rtpmap:${red} red/48000/2\r\na=fmtp:${red} ${opus}/${opus}\r\n$1`);
}

function addRed(offer, answer) {
  const offered = sections(offer);
  return sections(answer).map((section, i) => addToSection(offered[i], section)).join('');
}

// The codecs of a producer of sound, as its connection has agreed on them.
function redCodecs(codecs, offer) {
  const [opus] = codecs;
  const red = opus.mimeType.toLowerCase() === 'audio/opus' && redOf(offer);
  if (!red) return codecs;
  const { clockRate, channels, payloadType } = opus;
  const parameters = { '': `${payloadType}/${payloadType}` };
  return [...codecs, { mimeType: 'audio/red', payloadType: Number(red), clockRate, channels, parameters, rtcpFeedback: [] }];
}

const connections = new WeakMap(); // the RTCPeerConnection of each transport that was made here

// make() makes a transport of mediasoup-client that sends; result: that transport.  While make() runs, and no longer,
// RTCPeerConnection is a class that puts RED into answers.
export function sendingRed(make) {
  const Native = globalThis.RTCPeerConnection;
  if (!Native) return make();
  let connection;
  globalThis.RTCPeerConnection = class extends Native {
    constructor(...options) {
      super(...options);
      connection = this;
    }

    setRemoteDescription(description) {
      if (description.type !== 'answer' || !this.localDescription) return super.setRemoteDescription(description);
      return super.setRemoteDescription({ type: 'answer', sdp: addRed(this.localDescription.sdp, description.sdp) });
    }
  };
  try {
    const transport = make();
    if (connection) connections.set(transport, connection);
    return transport;
  } finally {
    globalThis.RTCPeerConnection = Native;
  }
}

// The parameters to produce with on that transport.
export function withRed(transport, kind, rtpParameters) {
  const offer = connections.get(transport)?.localDescription?.sdp;
  if (kind !== 'audio' || !offer) return rtpParameters;
  return { ...rtpParameters, codecs: redCodecs(rtpParameters.codecs, offer) };
}
