/* test_params.c: what the packet path reads out of ORTC parameters.  The rules themselves are compared with
 * mediasoup's in test/ortc. */
#include <stdlib.h>

#include <jansson.h>

#include "bgworker/media/params/params_caps.h"
#include "bgworker/media/params/params_consumer.h"
#include "bgworker/media/params/params_dtls.h"
#include "bgworker/media/params/params_producer.h"
#include "tap.h"

static json_t *caps;
static struct rt_params_error error;

static json_t *
parse(const char *text)
{
	json_error_t e;
	json_t *value = json_loads(text, JSON_DECODE_ANY, &e);

	if (value == NULL)
		printf("Bail out! %s\n", e.text);
	return value;
}

static enum rt_result
produce(struct rt_producer_params *p, const char *kind, const char *params)
{
	struct rt_producer_context ctx = {.caps = caps, .default_cname = "made", .first_ssrc = 500000000};
	json_t *json = parse(params);
	enum rt_result rc = rt_params_producer_init(p, kind, json, &ctx, &error);

	json_decref(json);
	return rc;
}

#define VIDEO_CODECS \
	"\"codecs\":[{\"mimeType\":\"video/VP8\",\"payloadType\":96,\"clockRate\":90000,\"rtcpFeedback\":[" \
	"{\"type\":\"nack\"},{\"type\":\"nack\",\"parameter\":\"pli\"},{\"type\":\"transport-cc\"}]}," \
	"{\"mimeType\":\"video/rtx\",\"payloadType\":97,\"clockRate\":90000,\"parameters\":{\"apt\":96}}]"
#define EXTENSIONS \
	"\"headerExtensions\":[{\"uri\":\"urn:ietf:params:rtp-hdrext:sdes:mid\",\"id\":9}," \
	"{\"uri\":\"urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\",\"id\":10},{\"uri\":\"urn:example:x\",\"id\":3}]"

static void
test_names(void)
{
	enum rt_codec codec;
	enum rt_kind kind;
	enum rt_ext ext;
	int known = 0;

	ok(rt_params_find_codec("VIDEO/h264", &codec) && codec == RT_CODEC_H264, "a codec's name in any case");
	ok(!rt_params_find_codec("video/H265", &codec) && !rt_params_find_codec("", &codec), "others are not known");
	ok(rt_params_find_kind("video", &kind) && kind == RT_KIND_VIDEO && !rt_params_find_kind("data", &kind), "kinds");
	for (int i = 0; i < RT_EXT_COUNT; i++)
		known += rt_params_ext_uri(i) != NULL && rt_params_find_ext(rt_params_ext_uri(i), &ext) && (int) ext == i;
	ok(known == RT_EXT_COUNT && !rt_params_find_ext("urn:example:x", &ext), "each extension has its URI");
}

#define OPUS "{\"mimeType\":\"audio/opus\",\"payloadType\":111,\"clockRate\":48000,\"channels\":2}"
#define RED \
	"{\"mimeType\":\"audio/red\",\"payloadType\":63,\"clockRate\":48000,\"channels\":2,\"parameters\":{\"111/" \
	"111\":\"\"}}"

static void
test_scalability(void)
{
	static const struct
	{
		const char *mode;
		struct rt_scalability s;
	} cases[] = {
		{"L3T3", {3, 3, false}},     {"S2T1", {2, 1, false}},          {"L2T2_KEY", {2, 2, true}},
		{"L12T34", {12, 34, false}}, {"L3T3_KEY_SHIFT", {3, 3, true}}, {NULL, {1, 1, false}},
		{"", {1, 1, false}},         {"L0T1", {1, 1, false}},          {"L1", {1, 1, false}},
		{"L1T", {1, 1, false}},      {"X1T1", {1, 1, false}},          {"L", {1, 1, false}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		struct rt_scalability s = rt_params_scalability(cases[i].mode);

		ok(s.spatial == cases[i].s.spatial && s.temporal == cases[i].s.temporal && s.key == cases[i].s.key, "mode %s",
		   cases[i].mode == NULL ? "(none)" : cases[i].mode);
	}
}

static void
test_producer(void)
{
	struct rt_producer_params p;

	ok(produce(
		   &p, "video",
		   "{\"mid\":\"7\"," VIDEO_CODECS "," EXTENSIONS ",\"encodings\":["
		   "{\"rid\":\"lo\",\"maxBitrate\":100000.5},{\"rid\":\"hi\",\"scalabilityMode\":\"L1T2\",\"dtx\":true}]}") ==
		   RT_OK,
	   "a simulcast producer");
	ok(p.kind == RT_KIND_VIDEO && p.codec == RT_CODEC_VP8 && p.type == RT_PRODUCER_SIMULCAST, "what it is");
	ok(p.pt == 96 && p.rtx_pt == 97 && p.mapped_pt == 101 && p.mapped_rtx_pt == 102, "its payload types and ours");
	ok(p.ext.id[RT_EXT_MID] == 9 && p.ext.id[RT_EXT_RID] == 10 && p.ext.id[RT_EXT_ABS_SEND_TIME] == 0,
	   "its extension ids");
	ok(p.feedback.nack && p.feedback.pli && p.feedback.transport_cc && !p.feedback.fir && !p.feedback.remb,
	   "its feedback");
	is_str(p.mid, "7", "its mid");
	is_str(p.cname, "made", "a CNAME for who tells none");
	ok(p.n_encodings == 2 && p.encodings[0].mapped_ssrc == 500000000 && p.encodings[1].mapped_ssrc == 500000001,
	   "our SSRCs");
	is_str(p.encodings[1].rid, "hi", "its rids");
	ok(p.encodings[0].max_bitrate_bps == 100000 && p.encodings[1].layers.temporal == 2 && p.encodings[1].dtx,
	   "its layers");
	rt_params_producer_fini(&p);

	ok(produce(&p, "video",
			   "{" VIDEO_CODECS ",\"encodings\":[{\"ssrc\":4294967295,\"rtx\":{\"ssrc\":4294967294}}]}") == RT_OK &&
		   p.encodings[0].ssrc == 4294967295 && p.encodings[0].rtx_ssrc == 4294967294 && p.type == RT_PRODUCER_SIMPLE,
	   "SSRCs have 32 bits");
	rt_params_producer_fini(&p);

	ok(produce(&p, "audio",
			   "{\"mid\":\"0\",\"codecs\":[{\"mimeType\":\"audio/"
			   "opus\",\"payloadType\":111,\"clockRate\":48000,\"channels\":2}]}") == RT_OK &&
		   p.rtx_pt == RT_NO_PT && p.mapped_rtx_pt == RT_NO_PT && p.mapped_pt == 100 && p.n_encodings == 1,
	   "audio has no retransmissions");
	rt_params_producer_fini(&p);
	ok(produce(&p, "audio", "{\"mid\":\"0\",\"codecs\":[" RED "," OPUS "]}") == RT_OK && p.pt == 111 &&
		   p.red_pt == 63 && p.mapped_pt == 100 && p.rtx_pt == RT_NO_PT,
	   "opus in RED");
	rt_params_producer_fini(&p);
	ok(produce(&p, "audio", "{\"mid\":\"0\",\"codecs\":[" RED "]}") == RT_BAD_INPUT, "RED alone");
	ok(produce(&p, "audio", "{\"mid\":\"0\",\"codecs\":[" RED "," RED "," OPUS "]}") == RT_BAD_INPUT, "RED twice");
	ok(produce(&p, "video", "{\"codecs\":[]}") == RT_BAD_INPUT, "no codec");
	is_str(error.message, "rtpParameters.codecs: is empty", "and the message says so");
	ok(produce(&p, "video", "null") == RT_BAD_INPUT && p.consumable == NULL, "no object");
}

static void
test_consumer(void)
{
	struct rt_producer_params p;
	struct rt_consumer_params c;
	json_t *none = parse("{}");

	produce(&p, "video",
			"{\"mid\":\"7\"," VIDEO_CODECS
			",\"encodings\":[{\"rid\":\"a\",\"maxBitrate\":5},{\"rid\":\"b\",\"maxBitrate\":900000}]}");
	ok(rt_params_consumer_init(&c, RT_KIND_VIDEO, p.consumable, caps, "3", 700000000, &error) == RT_OK, "a consumer");
	ok(c.pt == 101 && c.rtx_pt == 102 && c.ssrc == 700000000 && c.rtx_ssrc == 700000001, "its numbers");
	ok(c.ext.id[RT_EXT_MID] == 1 && c.ext.id[RT_EXT_TRANSPORT_CC] == 5 && c.ext.id[RT_EXT_RID] == 0 &&
		   c.ext.id[RT_EXT_ABS_CAPTURE_TIME] == 0,
	   "the extensions that go to a receiver");
	ok(c.feedback.transport_cc && !c.feedback.remb && c.feedback.nack && c.feedback.pli && c.feedback.fir,
	   "its feedback");
	ok(c.layers.spatial == 2 && c.layers.temporal == 1 && c.max_bitrate_bps == 900000, "its layers");
	is_str(c.mid, "3", "its mid");
	is_str(c.cname, "made", "the producer's CNAME");
	is_str(json_string_value(json_object_get(c.rtp_parameters, "mid")), "3", "which the client is told");
	rt_params_consumer_fini(&c);
	ok(rt_params_consumer_init(&c, RT_KIND_VIDEO, p.consumable, none, "3", 1, &error) == RT_BAD_INPUT &&
		   c.rtp_parameters == NULL,
	   "a client that can play nothing");
	rt_params_producer_fini(&p);
	json_decref(none);
}

/* A receiver that has it gets it, whether the sender sends it or not; another one gets opus alone. */
static void
test_red(void)
{
	struct rt_producer_params p;
	struct rt_consumer_params c;
	json_t *opus = parse("{\"codecs\":[{\"kind\":\"audio\",\"mimeType\":\"audio/opus\",\"preferredPayloadType\":100,"
						 "\"clockRate\":48000,\"channels\":2}]}");
	json_t *codecs, *red;

	produce(&p, "audio", "{\"mid\":\"0\",\"codecs\":[" OPUS "]}");
	ok(rt_params_consumer_init(&c, RT_KIND_AUDIO, p.consumable, caps, "3", 1, &error) == RT_OK && c.pt == 100 &&
		   c.red_pt == 111,
	   "opus and RED for a receiver");
	codecs = json_object_get(c.rtp_parameters, "codecs");
	red = json_array_get(codecs, 1);
	ok(json_array_size(codecs) == 2 && json_integer_value(json_object_get(red, "payloadType")) == 111, "opus first");
	is_str(json_string_value(json_object_get(json_object_get(red, "parameters"), "")), "100/100",
		   "of our payload type");
	rt_params_consumer_fini(&c);
	ok(rt_params_consumer_init(&c, RT_KIND_AUDIO, p.consumable, opus, "3", 1, &error) == RT_OK &&
		   c.red_pt == RT_NO_PT && json_array_size(json_object_get(c.rtp_parameters, "codecs")) == 1,
	   "opus alone for one without RED");
	rt_params_consumer_fini(&c);
	rt_params_producer_fini(&p);
	json_decref(opus);
}

static void
test_dtls(void)
{
	struct rt_dtls_params d;
	json_t *json = parse("{\"role\":\"client\",\"fingerprints\":[{\"algorithm\":\"sha-1\","
						 "\"value\":\"00:01:02:03:04:05:06:07:08:09:0a:0B:0c:0D:0e:0F:10:11:12:ff\"}]}");

	ok(rt_params_dtls_read(&d, json, &error) == RT_OK && d.role == RT_DTLS_CLIENT && d.digest_len == 20 &&
		   d.digest[10] == 0x0a && d.digest[19] == 0xff,
	   "a fingerprint");
	json_decref(json);
	ok(rt_params_dtls_read(&d, NULL, &error) == RT_BAD_INPUT, "none");
}

int
main(void)
{
	caps = rt_params_caps_router();
	test_names();
	test_scalability();
	test_producer();
	test_consumer();
	test_red();
	test_dtls();
	json_decref(caps);
	return tap_done();
}
