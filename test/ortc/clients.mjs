// Clients as they come: the capabilities that mediasoup-client reads from a browser's SDP, and the rtpParameters with
// which it asks to produce.
//
// shapes/chromium-*.sdp are offers that Chromium 156 made; the others are the lists that those browsers offer, in
// their order and with their numbers.

import fs from 'node:fs';
import { createRequire } from 'node:module';

import { plain } from './oracle.mjs';

const require = createRequire(import.meta.url);
const sdpTransform = require('sdp-transform');
const ortc = require('mediasoup-client/ortc');
const { extractRtpCapabilities } = require('mediasoup-client/handlers/sdp/commonUtils');

const SHAPES = new URL('shapes/', import.meta.url);

export const browsers = fs.readdirSync(SHAPES).filter((name) => name.endsWith('.sdp')).sort().map((name) => ({
	name: name.replace('.sdp', ''),
	native: () => {
		const caps = extractRtpCapabilities({ sdpObject: sdpTransform.parse(fs.readFileSync(new URL(name, SHAPES), 'utf8')) });
		ortc.validateAndNormalizeRtpCapabilities(caps);
		return plain(caps);
	},
}));

function extended(browser, routerCaps) {
	return ortc.getExtendedRtpCapabilities(browser.native(), plain(routerCaps), false);
}

/** What Device.load() leaves as recvRtpCapabilities. */
export function recvCapabilities(browser, routerCaps) {
	return plain(ortc.getRecvRtpCapabilities(extended(browser, routerCaps)));
}

export const canReceive = (rtpParameters, caps) => ortc.canReceive(rtpParameters, caps);

const SSRC = 0xfffffff0;

/** The encodings that handlers send: name → list, given whether there is RTX. */
const ENCODINGS = {
	'one stream': (rtx) => [{ ssrc: SSRC, ...rtx && { rtx: { ssrc: SSRC + 1 } }, dtx: false }],
	'one stream, learnt by mid': () => [],
	'L1T3': (rtx) => [{ ssrc: 7, ...rtx && { rtx: { ssrc: 8 } }, scalabilityMode: 'L1T3', maxBitrate: 1500000 }],
	'L3T3_KEY': (rtx) => [{ ssrc: 7, ...rtx && { rtx: { ssrc: 8 } }, scalabilityMode: 'L3T3_KEY', maxBitrate: 2500000.5 }],
	'S2T1': () => [{ ssrc: 7, scalabilityMode: 'S2T1', active: true, networkPriority: 'high' }],
	'three by rid': () => ['r0', 'r1', 'r2'].map((rid, i) => ({ rid, active: true, scaleResolutionDownBy: 4 >> i,
		maxBitrate: 100000 * 3 ** i, scalabilityMode: 'L1T3', dtx: true })),
	'two by rid': () => ['lo', 'hi'].map((rid) => ({ rid, maxFramerate: 30 })),
	'three by ssrc': (rtx) => [10, 20, 30].map((ssrc) => ({ ssrc, ...rtx && { rtx: { ssrc: ssrc + 1 } }, dtx: false })),
};

/** Every rtpParameters that this browser would produce with: { name, kind, params }. */
export function productions(browser, routerCaps) {
	const out = [];
	for (const kind of ['audio', 'video']) {
		const sending = ortc.getSendingRtpParameters(kind, extended(browser, routerCaps));
		for (const media of sending.codecs.filter((codec) => !/\/rtx$/i.test(codec.mimeType))) {
			const codecs = ortc.reduceCodecs(sending.codecs, media);
			for (const [name, make] of Object.entries(ENCODINGS)) {
				if (kind === 'audio' && name !== 'one stream')
					continue;
				const params = plain({ ...sending, codecs, mid: '1', encodings: make(codecs.length > 1),
					rtcp: { cname: 'R6oL4hZ057dQgNv/', reducedSize: true, mux: true }, msid: 'stream-1 track-1' });
				out.push({ name: `${browser.name} ${media.mimeType} ${media.payloadType} ${name}`, kind, params });
			}
		}
	}
	return out;
}
