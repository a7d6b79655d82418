// Sends sound in RED (RFC 2198), each packet with the one before, where the browser can.
//
// mediasoup-client keeps one codec of each answer, and so leaves audio/red out.  Here it is put back: before opus in each
// answer to an offer that has it, and among the codecs of the producer.  The forwarder unpacks it for whoever needs that.

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

export function addRed(offer, answer) {
  const offered = sections(offer);
  return sections(answer)
    .map((section, i) => addToSection(offered[i], section))
    .join('');
}

// The codecs of a producer of sound, as its connection has agreed on them.
export function redCodecs(codecs, offer) {
  const [opus] = codecs;
  const red = opus.mimeType.toLowerCase() === 'audio/opus' && offer && redOf(offer);
  if (!red) return codecs;
  const { clockRate, channels, payloadType } = opus;
  const parameters = { '': `${payloadType}/${payloadType}` };
  return [
    ...codecs,
    { mimeType: 'audio/red', payloadType: Number(red), clockRate, channels, parameters, rtcpFeedback: [] },
  ];
}

let lastOffer; // of a connection that sends: all of a browser have the same codecs

// From now on, for all connections of this page.
export function sendRed() {
  const Native = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Native {
    setRemoteDescription(description) {
      if (description.type !== 'answer' || !this.localDescription)
        return super.setRemoteDescription(description);
      lastOffer = this.localDescription.sdp;
      return super.setRemoteDescription({ type: 'answer', sdp: addRed(lastOffer, description.sdp) });
    }
  };
}

export const withRed = (kind, rtpParameters) =>
  kind === 'audio' ? { ...rtpParameters, codecs: redCodecs(rtpParameters.codecs, lastOffer) } : rtpParameters;
