// The two sides that are compared: npm mediasoup's ortc module, called as its Transport calls it, and the forwarder's
// C modules behind build/ortc/driver.

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const ortc = require('mediasoup/ortc');

const PACKET_ID = 'urn:mediasoup:params:rtp-hdrext:packet-id';

/** As JSON carries it: without what is undefined. */
export const plain = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

/** The outcome of fn: { ok } or { error }. */
function outcome(fn) {
	try {
		return { ok: plain(fn()) };
	} catch (error) {
		return { error: `${error.message}` };
	}
}

/** Router capabilities for these codecs.  The packet-id extension is mediasoup's own; rt does not offer it. */
export function router(mediaCodecs) {
	const caps = plain(ortc.generateRouterRtpCapabilities(plain(mediaCodecs)));
	caps.headerExtensions = caps.headerExtensions.filter((ext) => ext.uri !== PACKET_ID);
	return caps;
}

/** Of an encoding, what the router uses; the rest is the browser's own business. */
function knownEncoding({ ssrc, rid, rtx, dtx, scalabilityMode, maxBitrate, codecPayloadType }) {
	return { ssrc, rid, rtx: rtx && { ssrc: rtx.ssrc }, dtx, scalabilityMode, maxBitrate, codecPayloadType };
}

export function checkCapabilities(caps) {
	return outcome(() => {
		const copy = plain(caps);
		ortc.validateAndNormalizeRtpCapabilities(copy);
		return copy;
	});
}

function mapped(kind, copy, caps) {
	copy.encodings = copy.encodings.map(knownEncoding);
	const mapping = ortc.getProducerRtpParametersMapping(copy, plain(caps));
	const consumable = ortc.getConsumableRtpParameters(kind, copy, plain(caps), mapping);
	return { codecs: copy.codecs, mapping, consumable };
}

/** The check of rtpParameters, and what follows from them. */
export function map(kind, params, caps) {
	return outcome(() => {
		const copy = plain(params);
		ortc.validateAndNormalizeRtpParameters(copy);
		return mapped(kind, copy, caps);
	});
}

/** The same with what Transport.produce() adds.  cname: of the transport's first producer. */
export function produce(kind, params, caps, cname) {
	return outcome(() => {
		const copy = plain(params);
		ortc.validateAndNormalizeRtpParameters(copy);
		if (copy.encodings.length === 0)
			copy.encodings = [{}];
		copy.rtcp.cname = cname ?? copy.rtcp.cname;
		return mapped(kind, copy, caps);
	});
}

export function canConsume(consumable, caps) {
	return outcome(() => ortc.canConsume(plain(consumable), plain(caps)));
}

export function consumer(consumable, caps, enableRtx) {
	return outcome(() => {
		const copy = plain(caps);
		ortc.validateAndNormalizeRtpCapabilities(copy);
		return ortc.getConsumerRtpParameters({ consumableRtpParameters: plain(consumable), remoteRtpCapabilities: copy,
			pipe: false, enableRtx });
	});
}

/** The C side: call() asks it one thing and gives { ok } or { error }. */
export class Driver {
	constructor() {
		this.process = spawn(fileURLToPath(new URL('../../build/ortc/driver', import.meta.url)), {
			stdio: ['pipe', 'pipe', 'inherit'],
		});
		this.waiting = [];
		readline.createInterface({ input: this.process.stdout }).on('line', (line) => {
			this.waiting.shift().resolve(JSON.parse(line));
		});
		this.process.on('exit', (code, signal) => {
			for (const { reject } of this.waiting)
				reject(new Error(`driver ended: ${signal ?? code}`));
		});
	}

	call(op, args = {}) {
		return this.callText(JSON.stringify({ op, ...args }));
	}

	/** One line of JSON, as it is. */
	callText(line) {
		return new Promise((resolve, reject) => {
			this.waiting.push({ resolve, reject });
			this.process.stdin.write(`${line}\n`);
		});
	}

	/** Resolves to the exit code: the sanitizers tell of leaks at the end. */
	close() {
		return new Promise((resolve) => {
			this.process.on('exit', resolve);
			this.process.stdin.end();
		});
	}
}
