// Capability sets and mutations by a seeded generator, so that each run compares the same ones.

/** mulberry32: a function that gives numbers in [0, 1). */
export function generator(seed) {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

export const pick = (random, list) => list[Math.floor(random() * list.length)];
const maybe = (random, p) => random() < p;

export const H264_IDS = ['42e01f', '42E01F', '42001f', '42801f', '4de01f', '58e01f', '58a01f', '4d001f', '4d0032', '640c1f',
	'64001f', 'f4001f', '42e00a', '42e034', '42c015', '42f00b', '42100b', '4d100b', '42e00b', '42e01', '42e0zz', '000000',
	'42e0ff', '42ff1f', '64ff1f', '', 640032, 0];

const FEEDBACK = [{ type: 'nack' }, { type: 'nack', parameter: '' }, { type: 'nack', parameter: 'pli' },
	{ type: 'ccm', parameter: 'fir' }, { type: 'ccm', parameter: 'tmmbr' }, { type: 'goog-remb' }, { type: 'transport-cc' },
	{ type: 'goog-lntf' }];

const CODECS = [
	() => ({ mimeType: 'audio/opus', clockRate: 48000, channels: 2 }),
	() => ({ mimeType: 'audio/OPUS', clockRate: 48000 }),
	() => ({ mimeType: 'audio/opus', clockRate: 16000, channels: 1 }),
	() => ({ mimeType: 'audio/PCMU', clockRate: 8000, channels: 1 }),
	() => ({ mimeType: 'video/VP8', clockRate: 90000, parameters: { 'x-google-start-bitrate': 1500 } }),
	() => ({ mimeType: 'VIDEO/vp8', clockRate: 90000 }),
	(random) => ({ mimeType: 'video/VP9', clockRate: 90000, parameters: { 'profile-id': pick(random, [0, 1, 2, '0', '2', '']) } }),
	() => ({ mimeType: 'video/VP9', clockRate: 90000 }),
	(random) => ({ mimeType: 'video/H264', clockRate: 90000, parameters: h264Parameters(random) }),
	(random) => ({ mimeType: 'video/h264', clockRate: 90000, parameters: h264Parameters(random) }),
	() => ({ mimeType: 'video/AV1', clockRate: 90000, parameters: { profile: 0, 'level-idx': 5, tier: 0 } }),
	() => ({ mimeType: 'video/red', clockRate: 90000 }),
];

function h264Parameters(random) {
	const parameters = {};
	if (maybe(random, 0.8))
		parameters['profile-level-id'] = pick(random, H264_IDS);
	if (maybe(random, 0.7))
		parameters['packetization-mode'] = pick(random, [0, 1, 1, '1', '0', '']);
	if (maybe(random, 0.7))
		parameters['level-asymmetry-allowed'] = pick(random, [0, 1, 1, '1']);
	return parameters;
}

function codecList(random, size, ptKey) {
	const out = [];
	let pt = 96;
	for (let i = 0; i < size; i++) {
		const codec = pick(random, CODECS)(random);
		codec[ptKey] = pt++;
		if (maybe(random, 0.9))
			codec.rtcpFeedback = FEEDBACK.filter(() => maybe(random, 0.6));
		out.push(codec);
		if (maybe(random, 0.6))
			out.push({ mimeType: pick(random, ['video/rtx', 'video/RTX']), clockRate: 90000, [ptKey]: pt++,
				parameters: { apt: maybe(random, 0.9) ? codec[ptKey] : 1 }, rtcpFeedback: maybe(random, 0.2) ? [{ type: 'nack' }] : [] });
	}
	return out.map((codec, i) => ({ codec, order: maybe(random, 0.9) ? i : random() * size }))
		.sort((a, b) => a.order - b.order).map(({ codec }) => codec);
}

/** A client's rtpCapabilities, with some of the router's extensions under their ids and some under others. */
export function capabilities(random, routerCaps) {
	const headerExtensions = routerCaps.headerExtensions.filter(() => maybe(random, 0.6))
		.map((ext) => (maybe(random, 0.85) ? { ...ext } : { ...ext, preferredId: 1 + Math.floor(random() * 14) }));
	for (const ext of headerExtensions) {
		if (maybe(random, 0.3))
			delete ext.direction;
	}
	return { codecs: codecList(random, 1 + Math.floor(random() * 8), 'preferredPayloadType'), headerExtensions };
}

/** rtpParameters with one to three codecs. */
export function parameters(random, routerCaps) {
	const encodings = [];
	const streams = Math.floor(random() * 4);
	for (let i = 0; i < streams; i++) {
		const encoding = maybe(random, 0.5) ? { rid: `r${i}` } : { ssrc: 1000 + 2 * i };
		if (encoding.ssrc && maybe(random, 0.5))
			encoding.rtx = { ssrc: encoding.ssrc + 1 };
		if (maybe(random, 0.5))
			encoding.scalabilityMode = pick(random, ['L1T1', 'L1T2', 'L1T3', 'L3T3', 'S3T3', 'L2T2_KEY', 'L3T3_KEY_SHIFT', 'L12T34',
				'L0T1', 'X1T1', 'L1', '']);
		if (maybe(random, 0.5))
			encoding.maxBitrate = Math.floor(random() * 3e6);
		if (maybe(random, 0.3))
			encoding.dtx = maybe(random, 0.5);
		encodings.push(encoding);
	}
	const uris = [...new Set(routerCaps.headerExtensions.map((ext) => ext.uri)), 'urn:example:unknown'];
	return {
		...maybe(random, 0.8) && { mid: pick(random, ['0', 'video', 'mid-123456789']) },
		codecs: codecList(random, 1 + Math.floor(random() * 2), 'payloadType'),
		headerExtensions: uris.filter(() => maybe(random, 0.5)).map((uri, i) => ({ uri, id: i + 1 })),
		...maybe(random, 0.8) && { encodings },
		...maybe(random, 0.8) && { rtcp: { ...maybe(random, 0.8) && { cname: 'someone' } } },
		...maybe(random, 0.6) && { msid: 'a b' },
	};
}
