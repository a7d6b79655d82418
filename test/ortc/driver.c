/* driver.c: the media forwarder's ORTC parameters behind a pipe, for ortc.test.mjs to compare with mediasoup's.
 * One JSON object a line in, {"op": …, arguments}; one a line out, {"ok": …} or {"error": message}. */
#include "bgworker/media/params/params.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/media/params/params_caps.h"
#include "bgworker/media/params/params_consumer.h"
#include "bgworker/media/params/params_dtls.h"
#include "bgworker/media/params/params_h264.h"
#include "bgworker/media/params/params_map.h"
#include "bgworker/media/params/params_producer.h"
#include "bgworker/media/params/params_rtp.h"

static json_t *
argument(const json_t *in, const char *key)
{
	return json_object_get(in, key);
}

static const char *
text_argument(const json_t *in, const char *key)
{
	return json_string_value(json_object_get(in, key));
}

static enum rt_result
op_router(const json_t *in, json_t **out, struct rt_params_error *e)
{
	*out = rt_params_caps_router();
	return RT_OK;
}

static enum rt_result
op_caps(const json_t *in, json_t **out, struct rt_params_error *e)
{
	return rt_params_caps_check(out, argument(in, "caps"), e);
}

static enum rt_result
op_rtp(const json_t *in, json_t **out, struct rt_params_error *e)
{
	return rt_params_rtp_check(out, argument(in, "params"), e);
}

/* The parts of produce without its own, stricter rules: any number of codecs. */
static enum rt_result
op_map(const json_t *in, json_t **out, struct rt_params_error *e)
{
	json_t *params = NULL;
	json_t *mapping;
	enum rt_kind kind = RT_KIND_VIDEO;
	enum rt_result rc = rt_params_rtp_check(&params, argument(in, "params"), e);

	rt_params_find_kind(text_argument(in, "kind"), &kind);
	if (rc == RT_OK)
		rc = rt_params_map_make(&mapping, params, argument(in, "caps"), json_integer_value(argument(in, "ssrc")), e);
	if (rc == RT_OK)
		*out = json_pack("{s:o, s:O, s:o}", "consumable",
						 rt_params_map_consumable(kind, params, argument(in, "caps"), mapping), "codecs",
						 json_object_get(params, "codecs"), "mapping", mapping);
	json_decref(params);
	return rc;
}

static json_t *
show_exts(const struct rt_ext_ids *ext)
{
	json_t *out = json_object();
	int i;

	for (i = 0; i < RT_EXT_COUNT; i++)
	{
		if (ext->id[i] != 0)
			json_object_set_new(out, rt_params_ext_uri(i), json_integer(ext->id[i]));
	}
	return out;
}

static json_t *
show_feedback(const struct rt_feedback *f)
{
	return json_pack("{s:b, s:b, s:b, s:b, s:b}", "nack", f->nack, "pli", f->pli, "fir", f->fir, "remb", f->remb,
					 "transportCc", f->transport_cc);
}

static json_t *
show_layers(const struct rt_scalability *s)
{
	return json_pack("{s:i, s:i, s:b}", "spatial", s->spatial, "temporal", s->temporal, "key", s->key);
}

static json_t *
show_encodings(const struct rt_producer_params *p)
{
	json_t *out = json_array();
	int i;

	for (i = 0; i < p->n_encodings; i++)
	{
		const struct rt_encoding *n = &p->encodings[i];

		json_array_append_new(out, json_pack("{s:I, s:I, s:s, s:I, s:o, s:b, s:I}", "ssrc", (json_int_t) n->ssrc,
											 "rtxSsrc", (json_int_t) n->rtx_ssrc, "rid", n->rid, "mappedSsrc",
											 (json_int_t) n->mapped_ssrc, "layers", show_layers(&n->layers), "dtx",
											 n->dtx, "maxBitrate", (json_int_t) n->max_bitrate_bps));
	}
	return out;
}

static enum rt_result
op_produce(const json_t *in, json_t **out, struct rt_params_error *e)
{
	struct rt_producer_context ctx = {argument(in, "caps"), text_argument(in, "cname"), "default",
									  json_integer_value(argument(in, "ssrc"))};
	struct rt_producer_params p;
	enum rt_result rc = rt_params_producer_init(&p, text_argument(in, "kind"), argument(in, "params"), &ctx, e);

	if (rc != RT_OK)
		return rc;
	*out = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:s, s:s, s:o, s:O}", "kind",
					 rt_params_kind_name(p.kind), "type", rt_params_type_name(p.type), "clockRate",
					 (int) p.clock_rate, "pt", p.pt, "rtxPt", p.rtx_pt, "mappedPt", p.mapped_pt, "mappedRtxPt",
					 p.mapped_rtx_pt, "feedback", show_feedback(&p.feedback), "ext", show_exts(&p.ext), "mid", p.mid,
					 "cname", p.cname, "encodings", show_encodings(&p), "consumable", p.consumable);
	rt_params_producer_fini(&p);
	return RT_OK;
}

static enum rt_result
op_can_consume(const json_t *in, json_t **out, struct rt_params_error *e)
{
	json_t *caps;
	enum rt_result rc = rt_params_caps_check(&caps, argument(in, "caps"), e);

	if (rc != RT_OK)
		return rc;
	*out = json_boolean(rt_params_consumer_can(argument(in, "consumable"), caps));
	json_decref(caps);
	return RT_OK;
}

static enum rt_result
op_consumer(const json_t *in, json_t **out, struct rt_params_error *e)
{
	json_t *caps;
	enum rt_result rc = rt_params_caps_check(&caps, argument(in, "caps"), e);

	if (rc != RT_OK)
		return rc;
	rc = rt_params_consumer_write(out, argument(in, "consumable"), caps, json_is_true(argument(in, "rtx")),
								  json_integer_value(argument(in, "ssrc")), e);
	json_decref(caps);
	return rc;
}

static enum rt_result
op_consume(const json_t *in, json_t **out, struct rt_params_error *e)
{
	struct rt_consumer_params c;
	enum rt_kind kind = RT_KIND_VIDEO;
	enum rt_result rc;

	rt_params_find_kind(text_argument(in, "kind"), &kind);
	rc = rt_params_consumer_init(&c, kind, argument(in, "consumable"), argument(in, "caps"), text_argument(in, "mid"),
								 json_integer_value(argument(in, "ssrc")), e);
	if (rc != RT_OK)
		return rc;
	*out = json_pack("{s:i, s:i, s:i, s:I, s:I, s:o, s:o, s:s, s:s, s:o, s:I, s:O}", "clockRate", (int) c.clock_rate,
					 "pt", c.pt, "rtxPt", c.rtx_pt, "ssrc", (json_int_t) c.ssrc, "rtxSsrc", (json_int_t) c.rtx_ssrc,
					 "feedback", show_feedback(&c.feedback), "ext", show_exts(&c.ext), "mid", c.mid, "cname", c.cname,
					 "layers", show_layers(&c.layers), "maxBitrate", (json_int_t) c.max_bitrate_bps, "rtpParameters",
					 c.rtp_parameters);
	rt_params_consumer_fini(&c);
	return RT_OK;
}

static enum rt_result
op_h264(const json_t *in, json_t **out, struct rt_params_error *e)
{
	char answer[RT_H264_ID];
	bool same = rt_params_h264_match(argument(in, "a"), argument(in, "b"), answer);

	*out = json_pack("{s:b, s:s}", "same", same, "answer", answer);
	return RT_OK;
}

static enum rt_result
op_dtls(const json_t *in, json_t **out, struct rt_params_error *e)
{
	struct rt_dtls_params d;
	enum rt_result rc = rt_params_dtls_read(&d, argument(in, "params"), e);
	char hex[2 * RT_DTLS_MAX_DIGEST + 1] = "";
	size_t i;

	if (rc != RT_OK)
		return rc;
	for (i = 0; i < d.digest_len; i++)
		snprintf(hex + 2 * i, 3, "%02X", d.digest[i]);
	*out = json_pack("{s:i, s:s, s:s}", "role", d.role, "algorithm", d.algorithm, "digest", hex);
	return RT_OK;
}

static const struct
{
	const char *name;
	enum rt_result (*run)(const json_t *in, json_t **out, struct rt_params_error *e);
} ops[] = {
	{"router", op_router},           {"caps", op_caps},         {"rtp", op_rtp},         {"map", op_map},
	{"produce", op_produce},         {"consumer", op_consumer}, {"consume", op_consume}, {"h264", op_h264},
	{"can_consume", op_can_consume}, {"dtls", op_dtls},
};

static json_t *
answer(const json_t *in)
{
	struct rt_params_error e = {""};
	json_t *out = NULL;
	size_t i;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
	{
		if (strcmp(ops[i].name, text_argument(in, "op")) != 0)
			continue;
		if (ops[i].run(in, &out, &e) == RT_OK)
			return json_pack("{s:o}", "ok", out);
		return json_pack("{s:s}", "error", e.message);
	}
	return json_pack("{s:s}", "fatal", "no such op");
}

int
main(void)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) > 0)
	{
		json_t *in = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
		json_t *out = in != NULL ? answer(in) : json_pack("{s:s}", "error", "no JSON");

		json_dumpf(out, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
		putchar('\n');
		fflush(stdout);
		json_decref(out);
		json_decref(in);
	}
	free(line);
	return 0;
}
