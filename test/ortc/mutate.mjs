// What a field must be.  Where mediasoup takes a wrong type for an absent field, or lets any number pass, rt refuses;
// everything else is mediasoup's to decide.

const isText = (max) => (value) => typeof value === 'string' && Buffer.byteLength(value) <= max && [...value].every((c) => c >= ' ' && c !== '\x7f');
const isInteger = (min, max) => (value) => Number.isInteger(value) && value >= min && value <= max;
const isList = (max) => (value) => Array.isArray(value) && value.length <= max;
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isBoolean = (value) => typeof value === 'boolean';
const isBitrate = (value) => typeof value === 'number' && value >= 0 && value <= 2 ** 53;
const isValue = (value) => isText(256)(value) || (typeof value === 'number' && Math.abs(value) <= 2 ** 53);
const ignored = () => true;

const codec = (list, ptKey) => ({
	[list]: isList(ptKey === 'payloadType' ? 32 : 128),
	[`${list}[]`]: isObject,
	[`${list}[].mimeType`]: isText(64),
	[`${list}[].${ptKey}`]: isInteger(0, 127),
	[`${list}[].clockRate`]: isInteger(1, 2 ** 31 - 1),
	[`${list}[].channels`]: isInteger(1, 255),
	[`${list}[].parameters`]: isObject,
	[`${list}[].parameters.*`]: isValue,
	[`${list}[].parameters.apt`]: (value) => typeof value === 'number' && isValue(value),
	[`${list}[].rtcpFeedback`]: isList(32),
	[`${list}[].rtcpFeedback[]`]: isObject,
	[`${list}[].rtcpFeedback[].type`]: (value) => isText(64)(value) && value !== '',
	[`${list}[].rtcpFeedback[].parameter`]: isText(64),
});

export const PARAMETERS = {
	...codec('codecs', 'payloadType'),
	'mid': isText(32),
	'headerExtensions': isList(32),
	'headerExtensions[]': isObject,
	'headerExtensions[].uri': isText(256),
	'headerExtensions[].id': isInteger(1, 255),
	'headerExtensions[].encrypt': (value) => value === false,
	'headerExtensions[].parameters': isObject,
	'headerExtensions[].parameters.*': isValue,
	'encodings': isList(4),
	'encodings[]': isObject,
	'encodings[].ssrc': isInteger(1, 2 ** 32 - 1),
	'encodings[].rid': (value) => isText(16)(value) && /^[A-Za-z0-9_-]*$/.test(value),
	'encodings[].rtx': isObject,
	'encodings[].rtx.ssrc': isInteger(1, 2 ** 32 - 1),
	'encodings[].dtx': isBoolean,
	'encodings[].scalabilityMode': isText(32),
	'encodings[].maxBitrate': isBitrate,
	'rtcp': isObject,
	'rtcp.cname': isText(255),
	'msid': isText(256),
};

export const CAPABILITIES = {
	...codec('codecs', 'preferredPayloadType'),
	'headerExtensions': isList(64),
	'headerExtensions[]': isObject,
	'headerExtensions[].kind': isText(5),
	'headerExtensions[].uri': isText(256),
	'headerExtensions[].preferredId': isInteger(1, 255),
	'headerExtensions[].preferredEncrypt': isBoolean,
	'headerExtensions[].direction': isText(16),
};

const JUNK = [null, true, false, 0, 1, -1, 2, 96, 127, 128, 300, 1.5, 2 ** 32, 2 ** 32 - 1, 1e300, -(2 ** 60), '', 'x', '0', 'audio',
	'audio/opus', 'video/VP8', 'video/', 'text/plain', 'VIDEO/rtx', '42e01f', 'a\nb', '\u0000', '\u007f', 'é', 'x'.repeat(17),
	'x'.repeat(40), 'x'.repeat(70), 'x'.repeat(300), [], {}, [null], [1], ['x'], [[]], [{}], { ssrc: 'x' }, { apt: 'x' },
	{ 'packetization-mode': 1 }, { a: null }, { a: true }, { a: [] }, { type: 'x' }, { uri: 'x' }];

/** All places in a value: [[keys], …], the whole of it left out. */
function places(value, keys = []) {
	if (typeof value !== 'object' || value === null)
		return keys.length > 0 ? [keys] : [];
	const below = Object.keys(value).flatMap((key) => places(value[key], [...keys, Array.isArray(value) ? Number(key) : key]));
	return keys.length > 0 ? [keys, ...below] : below;
}

const pathOf = (keys) => keys.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i ? '.' : ''}${key}`)).join('');

function parentOf(value, keys) {
	return keys.slice(0, -1).reduce((object, key) => object[key], value);
}

function ruleOf(keys, schema) {
	const path = pathOf(keys).replaceAll(/\[\d+\]/g, '[]');
	return schema[path] ?? schema[path.replace(/\.[^.]+$/, '.*')] ?? ignored;
}

/** The first place at or below keys that no longer is what it must be; undefined if there is none. */
function firstWrong(value, keys, schema) {
	const at = keys.reduce((object, key) => object[key], value);
	if (at === null && typeof keys.at(-1) === 'string' && !pathOf(keys).includes('parameters.'))
		return undefined;
	if (!ruleOf(keys, schema)(at))
		return keys;
	for (const below of places(at).filter((some) => some.length === 1)) {
		const wrong = firstWrong(value, [...keys, ...below], schema);
		if (wrong)
			return wrong;
	}
	return undefined;
}

/** null is absent, but for the values of `parameters` and in lists. */
function withoutNull(value) {
	return JSON.parse(JSON.stringify(value), function (key, at) {
		return at === null && !Array.isArray(this) && this !== value ? undefined : at;
	});
}

/**
 * Copies of value, each with one place replaced by one kind of junk: { value, described, wrong, asked }.  wrong is the
 * path of a field that must be refused by name, or undefined where mediasoup decides on `asked`, which is value as rt
 * reads it.
 */
export function* mutations(value, schema) {
	for (const keys of places(value)) {
		for (const junk of JUNK) {
			const copy = structuredClone(value);
			parentOf(copy, keys)[keys.at(-1)] = structuredClone(junk);
			const wrong = ruleOf(keys, schema) === ignored ? undefined : firstWrong(copy, keys, schema);
			yield { value: copy, asked: wrong ? undefined : withoutNull(copy), wrong: wrong && pathOf(wrong),
				described: `${pathOf(keys)} = ${JSON.stringify(junk)}` };
		}
	}
}

/** What mediasoup's worker refuses after its ortc module let it pass: what leaves a packet without one meaning. */
export function isAmbiguous({ codecs = [], headerExtensions, encodings }) {
	const twice = (list) => new Set(list).size < list.length;
	const known = (list) => list.filter((value) => value !== undefined);
	const ssrcs = known((encodings ?? []).flatMap((encoding) => [encoding.ssrc, encoding.rtx?.ssrc]));
	return codecs.length === 0 || twice(codecs.map((item) => item.payloadType)) || twice(ssrcs) ||
		twice((headerExtensions ?? []).map((ext) => ext.id)) || twice(known((encodings ?? []).map((encoding) => encoding.rid)));
}
