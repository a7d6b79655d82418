// The forwarder's ORTC parameters against npm mediasoup's: for each set, the same verdict and the same result.
//
// Where rt differs, it means to: it refuses what mediasoup's worker would refuse later, fields of a wrong type that
// JavaScript takes for absent, and what is too large or would not stand in an SDP (mutate.mjs tells field by field);
// it leaves out mediasoup's private packet-id extension, and sends dependency descriptors to receivers too; and of two H.264 levels it knows 1b to be below 1.1, as
// libwebrtc does, where the npm module takes every other level for lower.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, test } from 'node:test';

import { browsers, canReceive, productions, recvCapabilities } from './clients.mjs';
import { CAPABILITIES, isAmbiguous, mutations, PARAMETERS } from './mutate.mjs';
import { canConsume, checkCapabilities, consumer, Driver, map, plain, produce, router } from './oracle.mjs';
import { capabilities, generator, H264_IDS, parameters, pick } from './random.mjs';

const h264 = createRequire(import.meta.url)('h264-profile-level-id');

const opus = { kind: 'audio', mimeType: 'audio/opus', clockRate: 48000, channels: 2 };
const video = (name, params = {}) => ({ kind: 'video', mimeType: `video/${name}`, clockRate: 90000, parameters: params });
const h264Codec = (id, mode) => video('H264', { 'packetization-mode': mode, 'profile-level-id': id, 'level-asymmetry-allowed': 1 });

// What rt offers, and others, so that the rules are tried on more than its own list.
const withDescriptors = (caps) => ({
	...caps,
	headerExtensions: caps.headerExtensions.map((ext) => (ext.uri.includes('dependency-descriptor') ? { ...ext, direction: 'sendrecv' } : ext)),
});
const OFFERED = withDescriptors(router([opus, video('VP8'), video('VP9', { 'profile-id': 0 }), h264Codec('42e01f', 1), h264Codec('42e01f', 0), video('AV1')]));
const opusPt = OFFERED.codecs[0].preferredPayloadType;
const withoutRed = (caps) => ({ ...caps, codecs: caps.codecs.filter(({ mimeType }) => mimeType !== 'audio/red') });
const ROUTERS = [
	OFFERED,
	router([opus, h264Codec('640032', 1), h264Codec('4d0032', 1), h264Codec('42e01f', 1), video('VP9', { 'profile-id': 2 }), video('VP9')]),
	router([video('AV1'), video('VP8'), video('H264', { 'level-asymmetry-allowed': 0 }), opus]),
];

const SSRC = 123456789;
const driver = new Driver();
after(() => driver.close());

/** The same verdict; and where both accept, the same result. */
function assertSame(ours, theirs, what) {
	if (theirs.error !== undefined)
		assert.ok(ours.error, `${what}: accepted what mediasoup refuses with "${theirs.error}"`);
	else
		assert.deepEqual(ours.ok, theirs.ok, `${what}: ${ours.error ?? 'another result'}`);
}

/** Gives the oracle's random SSRCs the numbers that the driver was told. */
function renumber(theirs) {
	theirs.ok?.mapping.encodings.forEach((encoding, i) => {
		encoding.mappedSsrc = SSRC + i;
		theirs.ok.consumable.encodings[i].ssrc = SSRC + i;
	});
	return theirs;
}

async function compareMap(kind, params, caps, what) {
	const theirs = renumber(map(kind, params, caps));
	const ours = await driver.call('map', { kind, params, caps, ssrc: SSRC });
	assertSame(ours, theirs, what);
	return theirs.ok;
}

async function compareConsume(consumable, caps, what) {
	assertSame(await driver.call('can_consume', { consumable, caps }), canConsume(consumable, caps), `${what}, canConsume`);
	for (const rtx of [true, false]) {
		const theirs = consumer(consumable, caps, rtx);
		if (theirs.ok) {
			theirs.ok.encodings[0].ssrc = SSRC;
			if (theirs.ok.encodings[0].rtx)
				theirs.ok.encodings[0].rtx.ssrc = SSRC + 1;
		}
		assertSame(await driver.call('consumer', { consumable, caps, rtx, ssrc: SSRC }), theirs, `${what}, rtx ${rtx}`);
	}
}

/** What clients say of themselves that is like caps, but poorer. */
function poorer(caps) {
	const out = [caps, { codecs: caps.codecs }, { ...caps, codecs: caps.codecs.filter((codec) => !/\/rtx$/.test(codec.mimeType)) }];
	for (const missing of ['transport-wide-cc', 'abs-send-time']) {
		const last = out.at(-1);
		out.push({ ...last, headerExtensions: caps.headerExtensions.filter((ext) => !ext.uri.includes(missing) &&
			(missing === 'transport-wide-cc' || !ext.uri.includes('transport-wide-cc'))) });
	}
	out.push({ ...caps, codecs: caps.codecs.map((codec) => ({ ...codec, rtcpFeedback: [] })) });
	return out;
}

test('router capabilities are mediasoup\'s for the same codecs', async () => {
	const ours = (await driver.call('router')).ok;
	assert.deepEqual(withoutRed(ours), OFFERED);
	// mediasoup has no RED.  Its parameter has no name, and so mediasoup-client writes `=100/100`, which browsers read.
	assert.deepEqual(ours.codecs.at(-1), {
		...opus, mimeType: 'audio/red', preferredPayloadType: 111, parameters: { '': `${opusPt}/${opusPt}` }, rtcpFeedback: [],
	});
	for (const codec of OFFERED.codecs)
		assert.ok(codec.preferredPayloadType >= 100 && codec.preferredPayloadType < 127);
});

for (const browser of browsers) {
	test(`${browser.name}: capabilities`, async () => {
		for (const caps of [browser.native(), ...ROUTERS.map((some) => recvCapabilities(browser, some))])
			assertSame(await driver.call('caps', { caps }), checkCapabilities(caps), browser.name);
	});

	test(`${browser.name}: what it sends, and what every other browser is told to receive`, async () => {
		let compared = 0;
		for (const routerCaps of ROUTERS) {
			for (const { name, kind, params } of productions(browser, routerCaps)) {
				const made = await compareMap(kind, params, routerCaps, name);
				assert.ok(made, `${name}: mediasoup refuses its own client`);
				for (const other of routerCaps === OFFERED ? browsers : [browser]) {
					const caps = recvCapabilities(other, routerCaps);
					/* What a receiver lacks and how many streams there are do not meet in any rule. */
					const all = routerCaps === OFFERED && /one stream$|three by rid$/.test(name);
					for (const some of all ? [...poorer(caps), other.native()] : [caps]) {
						await compareConsume(made.consumable, some, `${name} → ${other.name}`);
						compared++;
					}
				}
			}
		}
		assert.ok(compared > 60, `${compared} compared`);
	});

	test(`${browser.name}: its client accepts what consume answers`, async () => {
		const routerCaps = (await driver.call('router')).ok;
		for (const { name, kind, params } of productions(browser, routerCaps)) {
			const made = await driver.call('produce', { kind, params, caps: routerCaps, ssrc: SSRC });
			if (made.error && /simulcast/.test(made.error))
				continue;
			if (/audio\/red/.test(name)) {
				assert.match(made.error, /redundancy/, 'RED without what it is the redundancy of');
				continue;
			}
			assert.ok(made.ok, `${name}: ${made.error}`);
			const caps = recvCapabilities(browser, routerCaps);
			const { ok, error } = await driver.call('consume', { kind, consumable: made.ok.consumable, caps, mid: '0', ssrc: SSRC });
			assert.ok(ok, `${name}: ${error}`);
			assert.ok(canReceive(ok.rtpParameters, caps), name);
			assert.equal(ok.rtpParameters.mid, '0');
			assert.equal(ok.rtpParameters.codecs[0].payloadType, made.ok.mappedPt);
		}
	});
}

test('400 random senders', async () => {
	const random = generator(1);
	let accepted = 0;
	for (let i = 0; i < 400; i++) {
		const caps = pick(random, ROUTERS);
		const params = parameters(random, caps);
		accepted += await compareMap(pick(random, ['audio', 'video']), params, caps, JSON.stringify(params)) ? 1 : 0;
	}
	assert.ok(accepted > 40, `${accepted} accepted`);
});

test('600 random receivers', async () => {
	const random = generator(2);
	const made = [];
	for (const browser of browsers) {
		for (const routerCaps of ROUTERS)
			made.push(...productions(browser, routerCaps).map((p) => ({ routerCaps, ...map(p.kind, p.params, routerCaps).ok })));
	}
	let able = 0;
	for (let i = 0; i < 600; i++) {
		const { consumable, routerCaps } = pick(random, made);
		const caps = capabilities(random, routerCaps);
		assertSame(await driver.call('caps', { caps }), checkCapabilities(caps), JSON.stringify(caps));
		await compareConsume(consumable, caps, JSON.stringify(caps));
		able += canConsume(consumable, caps).ok ? 1 : 0;
	}
	assert.ok(able > 60 && able < 540, `${able} of 600 can consume`);
});

test('H.264 profiles and levels, each with each', async () => {
	const settings = [undefined, ...H264_IDS].flatMap((id) => [undefined, 0, 1, '1'].map((asymmetry) => plain({
		'profile-level-id': id, 'level-asymmetry-allowed': asymmetry })));
	const is1b = (params) => h264.parseSdpProfileLevelId(params)?.level === h264.Level.L1_b;
	let same = 0;
	for (const a of settings) {
		for (const b of settings) {
			const { ok } = await driver.call('h264', { a, b });
			const what = `${JSON.stringify(a)} with ${JSON.stringify(b)}`;
			assert.equal(ok.same, h264.isSameProfile(a, b), what);
			if (!ok.same || is1b(a) || is1b(b))
				continue;
			assert.equal(ok.answer, h264.generateProfileLevelIdStringForAnswer(a, b) ?? '', what);
			same++;
		}
	}
	assert.ok(same > 500, `${same} of the same profile`);
});

test('H.264 level 1b is between 1 and 1.1', async () => {
	const answer = async (a, b) => (await driver.call('h264', { a: { 'profile-level-id': a }, b: { 'profile-level-id': b } })).ok.answer;
	assert.equal(await answer('42f00b', '42e01f'), '42f00b');
	assert.equal(await answer('42e01f', '42f00b'), '42f00b');
	assert.equal(await answer('42e00a', '42f00b'), '42e00a');
	assert.equal(await answer('42f00b', '42e00a'), '42e00a');
	assert.equal(await answer('4d001f', '4d100b'), '4d100b');
	assert.equal(await answer('42001f', '42100b'), '42100b');
});

const chromium = browsers.find(({ name }) => name === 'chromium-156-sendonly');

for (const wanted of ['VP8 96 three by ssrc', 'VP8 96 three by rid', 'H264 108 L1T3', 'opus 111 one stream']) {
	test(`mangled rtpParameters: ${wanted}`, async () => {
		const { kind, params } = productions(chromium, OFFERED).find(({ name }) => name.endsWith(wanted));
		let named = 0;
		let equal = 0;
		for (const { value, asked, wrong, described } of mutations(params, PARAMETERS)) {
			const ours = await driver.call('map', { kind, params: value, caps: OFFERED, ssrc: SSRC });
			if (wrong !== undefined) {
				assertNamed(ours, `rtpParameters.${wrong}`, described);
				named++;
			} else if (isAmbiguous(asked)) {
				assert.ok(ours.error, described);
			} else {
				const theirs = renumber(map(kind, asked, OFFERED));
				assertSame(ours, theirs, described);
				equal += theirs.ok ? 1 : 0;
			}
		}
		assert.ok(named > 500 && equal > 100, `${named} refused by name, ${equal} equal`);
	});
}

test('mangled rtpCapabilities', async () => {
	const caps = recvCapabilities(chromium, OFFERED);
	const consumable = produce('video', productions(chromium, OFFERED).find(({ kind }) => kind === 'video').params, OFFERED).ok.consumable;
	let named = 0;
	for (const { value, asked, wrong, described } of mutations(caps, CAPABILITIES)) {
		const ours = await driver.call('caps', { caps: value });
		if (wrong !== undefined) {
			assertNamed(ours, `rtpCapabilities.${wrong}`, described);
			named++;
			continue;
		}
		assertSame(ours, checkCapabilities(asked), described);
		assertSame(await driver.call('can_consume', { consumable, caps: value }), canConsume(consumable, asked), described);
	}
	assert.ok(named > 1000, `${named} refused by name`);
});

/** Refused, and the message begins with the field's path; a name inside `parameters` may be left out of it. */
function assertNamed(ours, path, what) {
	assert.ok(ours.error, `${what}: accepted`);
	assert.ok(ours.error.startsWith(path) || /has a name that/.test(ours.error), `${what}: ${ours.error}`);
}

test('what produce adds: CNAME, a stream where none is told, the type', async () => {
	const base = { mid: '0', codecs: [{ ...video('VP8'), payloadType: 96 }, { ...video('rtx', { apt: 96 }), payloadType: 97 }],
		headerExtensions: [{ uri: 'urn:ietf:params:rtp-hdrext:sdes:mid', id: 4 }] };
	const make = async (params, more = {}) => (await driver.call('produce', { kind: 'video', params: { ...base, ...params }, caps: OFFERED,
		ssrc: SSRC, ...more }));
	const type = async (encodings, more) => { const { ok, error } = await make({ encodings, ...more }); return ok?.type ?? error; };

	const first = (await make({ rtcp: { cname: 'own' } })).ok;
	assert.deepEqual(first.consumable, renumber(produce('video', { ...base, rtcp: { cname: 'own' } }, OFFERED)).ok.consumable);
	assert.equal(first.cname, 'own');
	assert.deepEqual(first.encodings, [{ ssrc: 0, rtxSsrc: 0, rid: '', mappedSsrc: SSRC, layers: { spatial: 1, temporal: 1, key: false },
		dtx: false, maxBitrate: 0 }]);
	assert.deepEqual([first.pt, first.rtxPt, first.mappedPt, first.mappedRtxPt], [96, 97, 101, 102]);
	assert.deepEqual(first.ext, { 'urn:ietf:params:rtp-hdrext:sdes:mid': 4 });
	assert.equal((await make({ rtcp: { cname: 'own' } }, { cname: 'transport' })).ok.consumable.rtcp.cname, 'transport');
	assert.equal((await make({})).ok.cname, 'default');

	assert.equal(await type([{ ssrc: 1 }]), 'simple');
	assert.equal(await type([{ ssrc: 1, scalabilityMode: 'L1T1' }]), 'simple');
	assert.equal(await type([{ ssrc: 1, scalabilityMode: 'L1T3' }]), 'svc');
	assert.equal(await type([{ rid: 'a' }, { rid: 'b' }]), 'simulcast');
	assert.match(await type([{ rid: 'a', scalabilityMode: 'L2T1' }, { rid: 'b' }]), /exclude each other/);
	for (const name of ['VP9', 'AV1'])
		assert.match(await type([{ rid: 'a' }, { rid: 'b' }], { codecs: [{ ...video(name), payloadType: 96 }] }), /simulcast/);
});

test('what no packet could be matched with is refused', async () => {
	const vp8 = { ...video('VP8'), payloadType: 96 };
	const make = async (params, kind = 'video') =>
		(await driver.call('produce', { kind, params: { codecs: [vp8], ...params }, caps: OFFERED, ssrc: SSRC })).error;
	assert.match(await make({ encodings: [{}] }), /^rtpParameters\.mid: /);
	assert.match(await make({ encodings: [] }), /^rtpParameters\.mid: /);
	assert.match(await make({ mid: '0', encodings: [{ ssrc: 1 }, {}] }), /^rtpParameters\.encodings: /);
	assert.match(await make({ encodings: [{ ssrc: 1 }, { ssrc: 1 }] }), /ssrc twice/);
	assert.match(await make({ encodings: [{ ssrc: 1, rtx: { ssrc: 1 } }] }), /ssrc twice/);
	assert.match(await make({ encodings: [{ ssrc: 1, rtx: { ssrc: 3 } }, { ssrc: 2, rtx: { ssrc: 3 } }] }), /ssrc twice/);
	assert.match(await make({ encodings: [{ rid: 'a' }, { rid: 'a' }] }), /rid twice/);
	assert.match(await make({ encodings: [{ ssrc: 1, codecPayloadType: 97 }] }), /codecPayloadType/);
	assert.match(await make({ mid: '0', codecs: [vp8, { ...video('AV1'), payloadType: 98 }] }), /one media codec/);
	assert.match(await make({ mid: '0' }, 'audio'), /other kind/);
	assert.match(await make({ mid: '0' }, 'data'), /^kind: /);
	assert.match(await make({ mid: '0', codecs: [{ ...opus, payloadType: 111 }], encodings: [{ ssrc: 1, scalabilityMode: 'L1T2' }] }, 'audio'),
		/no layers/);
});

test('any JSON at all, and too much of it, is answered', async () => {
	const many = (n, make) => Array.from({ length: n }, (_, i) => make(i));
	const vp8 = { ...video('VP8'), payloadType: 96 };
	for (const junk of [undefined, null, true, 0, 'x', [], [[]], { codecs: {} }, { codecs: [[]] }, { codecs: [null] }]) {
		for (const [op, key] of [['rtp', 'params'], ['dtls', 'params']])
			assert.ok((await driver.call(op, { [key]: junk })).error, `${op} ${JSON.stringify(junk)}`);
	}
	for (const junk of [undefined, null, true, 0, 'x', [], { codecs: {} }, { codecs: [[]] }, { headerExtensions: [1] }])
		assert.ok((await driver.call('caps', { caps: junk })).error, JSON.stringify(junk));
	const tooMany = [
		{ codecs: many(33, (i) => ({ ...vp8, payloadType: i })) },
		{ codecs: [vp8], encodings: many(5, (i) => ({ ssrc: i + 1 })) },
		{ codecs: [vp8], headerExtensions: many(33, (i) => ({ uri: `u${i}`, id: i + 1 })) },
		{ codecs: [{ ...vp8, rtcpFeedback: many(33, () => ({ type: 'nack' })) }] },
	];
	for (const params of tooMany)
		assert.match((await driver.call('rtp', { params })).error, /too many elements/);
	assert.match((await driver.call('rtp', { params: { codecs: [{ ...vp8, parameters: Object.fromEntries(many(33, (i) => [`k${i}`, i])) }] } })).error,
		/too many members/);
	assert.match((await driver.call('rtp', { params: { codecs: [{ ...vp8, parameters: { ['k\n']: 1 } }] } })).error, /has a name/);
	assert.match((await driver.callText('{"op":"rtp","params":{"codecs":[{"mimeType":"video/VP8\\u0000"}]}}')).error, /control character/);
	assert.match((await driver.callText('{"op":"rtp","params":{"codecs":[{"mimeType":"video/VP8","clockRate":1e400}]}}')).error, /no JSON/);
});

test('nothing that a sender says can break out of a line of a receiver\'s SDP', async () => {
	for (const end of ['\n', '\r', '\r\na=ssrc:1 cname:x', '\u0000', '\u007f']) {
		for (const params of [{ rtcp: { cname: `x${end}` } }, { msid: `x${end}` }, { encodings: [{ ssrc: 1, scalabilityMode: `L1T1${end}` }] },
			{ codecs: [{ ...video('VP8', { x: `1${end}` }), payloadType: 96 }] }]) {
			const { error } = await driver.call('rtp', { params: { mid: '0', codecs: [{ ...video('VP8'), payloadType: 96 }], ...params } });
			assert.match(error, /control character/);
		}
	}
});

test('dtlsParameters', async () => {
	const value = Array.from({ length: 32 }, (_, i) => i.toString(16).padStart(2, '0')).join(':');
	const read = (params) => driver.call('dtls', { params });
	const sha256 = { algorithm: 'sha-256', value };
	assert.deepEqual((await read({ role: 'client', fingerprints: [sha256, { algorithm: 'sha-1', value: 'x' }] })).ok,
		{ role: 1, algorithm: 'sha-256', digest: value.replaceAll(':', '').toUpperCase() });
	assert.equal((await read({ fingerprints: [sha256] })).ok.role, 0);
	for (const bad of [{}, { fingerprints: [] }, { fingerprints: 'x' }, { fingerprints: [{}] }, { fingerprints: [sha256], role: 'x' },
		{ fingerprints: [sha256], role: 1 }, { fingerprints: [{ algorithm: 'md5', value }] }, { fingerprints: [{ algorithm: 'sha-1', value }] },
		{ fingerprints: [{ algorithm: 'sha-256', value: value.replaceAll(':', '-') }] },
		{ fingerprints: [{ algorithm: 'sha-256', value: value.replace('00', 'zz') }] },
		{ fingerprints: [{ algorithm: 'sha-256', value: `${value}:00` }] }, { fingerprints: Array(9).fill(sha256) }])
		assert.match((await read(bad)).error, /^dtlsParameters/, JSON.stringify(bad));
});

test('the driver leaks nothing', async () => {
	assert.equal(await driver.close(), 0);
});
