/* ops.c: one function a request; see ops.h.  work.c calls it, once for each request.
 *
 * Who may do what was decided in SQL; that ids are text of a sane length, that what they name is there, and that it
 * fits together, is decided here.  A request that is handed out again after its answer was lost finds its object and
 * answers as it did (create-transport), or says that it exists. */
#include "ops.h"

#include <stdio.h>
#include <string.h>
#include <openssl/rand.h>

#include "bgworker/common/json.h"
#include "bgworker/media/params/params_caps.h"
#include "bgworker/media/params/params_dtls.h"
#include "meter.h"
#include "stats.h"

typedef json_t *(*op_cb)(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e);

static json_t *
fail(struct rt_ops_error *e, const char *code, const char *message)
{
	e->code = code;
	snprintf(e->text.message, sizeof(e->text.message), "%s", message);
	return NULL;
}

static json_t *
fail_params(struct rt_ops_error *e, enum rt_result rc)
{
	e->code = rc == RT_LIMIT ? "full" : rc == RT_INTERNAL ? "internal" : "bad_request";
	return NULL;
}

/* ---- what a request names ---- */

static const char *
id_of(const json_t *req, const char *key)
{
	const char *id = rt_json_str(req, key);

	return id != NULL && id[0] && strlen(id) < RT_OBJECT_ID ? id : NULL;
}

static struct rt_endpoint *
need_transport(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	const char *id = id_of(req, "transportId");
	struct rt_endpoint *t = id != NULL ? rt_engine_endpoint(ops->engine, id) : NULL;

	if (t == NULL)
		fail(e, "not_found", "Transport not found");
	return t;
}

static struct rt_producer *
need_producer(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	const char *id = id_of(req, "producerId");
	struct rt_producer *p = id != NULL ? rt_engine_producer(ops->engine, id) : NULL;

	if (p == NULL)
		fail(e, "not_found", "Producer not found");
	return p;
}

static struct rt_consumer *
need_consumer(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	const char *id = id_of(req, "consumerId");
	struct rt_consumer *c = id != NULL ? rt_engine_consumer(ops->engine, id) : NULL;

	if (c == NULL)
		fail(e, "not_found", "Consumer not found");
	return c;
}

static uint32_t
random32(uint32_t from, uint32_t range)
{
	uint32_t r = 0;

	RAND_bytes((unsigned char *) &r, sizeof(r));
	return from + r % range;
}

/* ---- transports ---- */

static json_t *
ice_parameters(const struct rt_endpoint *t)
{
	const struct rt_webrtc_transport *w = rt_endpoint_transport(t);

	return json_pack("{s:s, s:s, s:b}", "usernameFragment", rt_webrtc_transport_ufrag(w), "password",
					 rt_webrtc_transport_pwd(w), "iceLite", 1);
}

static json_t *
op_create_transport(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	const char *router = id_of(req, "routerId"), *id = id_of(req, "transportId"),
			   *direction = rt_json_str(req, "direction");
	const char *participant = id_of(req, "participantId"), *user = rt_json_str(req, "userId");
	const json_t *ice = rt_json_object(req, "iceParameters");
	const char *ufrag = rt_json_str(ice, "usernameFragment"), *pwd = rt_json_str(ice, "password");
	struct rt_endpoint *t;

	if (router == NULL || id == NULL || participant == NULL || user == NULL || direction == NULL ||
		(strcmp(direction, "send") && strcmp(direction, "recv")))
		return fail(e, "bad_request",
					"create-transport: routerId, transportId, participantId, userId and direction are needed");
	if (rt_engine_endpoint(ops->engine, id) != NULL)
		return json_object(); /* handed out again */
	t = rt_engine_new_endpoint(ops->engine, router, id, user, strcmp(direction, "send") == 0);
	if (ufrag == NULL || pwd == NULL || rt_webrtc_transport_set_ice(rt_endpoint_transport(t), ufrag, pwd) != RT_OK)
		rt_endpoint_end(t, "no ICE parameters"); /* the client has them already */
	return json_object();
}

static json_t *
op_connect_transport(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	struct rt_endpoint *t = need_transport(ops, req, e);
	struct rt_dtls_params dtls;
	enum rt_result rc;

	if (t == NULL)
		return NULL;
	rc = rt_params_dtls_read(&dtls, json_object_get(req, "dtlsParameters"), &e->text);
	if (rc != RT_OK)
		return fail_params(e, rc);
	if (rt_webrtc_transport_connect(rt_endpoint_transport(t), &dtls) != RT_OK)
		return fail(e, "conflict", "Transport is already connected");
	return json_object();
}

static json_t *
op_restart_ice(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	struct rt_endpoint *t = need_transport(ops, req, e);

	if (t == NULL)
		return NULL;
	rt_webrtc_transport_restart_ice(rt_endpoint_transport(t));
	return json_pack("{s:o}", "iceParameters", ice_parameters(t));
}

/* ---- producers ---- */

static bool
is_full(const struct rt_ops *ops, struct rt_ops_error *e)
{
	const char *fault = rt_meter_fault(ops->meter, rt_stats_load(ops->engine));

	if (fault != NULL)
		fail(e, "full", fault);
	return fault != NULL;
}

static json_t *
op_produce(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	struct rt_endpoint *t = need_transport(ops, req, e);
	const char *id = id_of(req, "producerId"), *kind = rt_json_str(req, "kind"), *source = rt_json_str(req, "source");
	char cname[17];
	struct rt_producer_context ctx = {.caps = ops->caps, .default_cname = cname};
	struct rt_producer_params params;
	struct rt_producer *p;
	enum rt_result rc;

	if (t == NULL)
		return NULL;
	if (id == NULL || kind == NULL)
		return fail(e, "bad_request", "produce: producerId and kind are needed");
	if (!rt_endpoint_sends(t))
		return fail(e, "bad_request", "produce: the transport only receives");
	if (rt_engine_producer(ops->engine, id) != NULL)
		return fail(e, "conflict", "Producer exists");
	if (is_full(ops, e))
		return NULL;
	rt_ice_random(cname, 16);
	ctx.cname = rt_endpoint_cname(t);
	ctx.first_ssrc = random32(100000000, 900000000);
	rc = rt_params_producer_init(&params, kind, json_object_get(req, "rtpParameters"), &ctx, &e->text);
	if (rc != RT_OK)
		return fail_params(e, rc);
	rc = rt_endpoint_produce(&p, t, id, &params);
	if (rc != RT_OK)
	{
		rt_params_producer_fini(&params);
		return fail(e, rc == RT_LIMIT ? "full" : "bad_request",
					rc == RT_LIMIT ? "Too many producers"
								   : "rtpParameters: an SSRC or mid is in use on this transport");
	}
	rt_producer_pause(p, rt_json_bool(req, "paused", false));
	rt_producer_mute(p, rt_json_bool(req, "muted", false));
	rt_producer_set_screen(p, source != NULL && strcmp(source, "screen") == 0);
	rt_endpoint_announced(t);
	return json_pack("{s:s}", "type", rt_params_type_name(rt_producer_parameters(p)->type));
}

static json_t *
set_producer_pause(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e, bool paused)
{
	struct rt_producer *p = need_producer(ops, req, e);

	if (p == NULL)
		return NULL;
	rt_producer_pause(p, paused);
	return json_object();
}

static json_t *
op_pause_producer(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	return set_producer_pause(ops, req, e, true);
}

static json_t *
op_resume_producer(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	return set_producer_pause(ops, req, e, false);
}

static json_t *
op_close_producer(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	struct rt_producer *p = need_producer(ops, req, e);

	if (p == NULL)
		return NULL;
	rt_producer_close(p);
	return json_object();
}

static json_t *
op_mute_producer(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	struct rt_producer *p = need_producer(ops, req, e);

	if (p == NULL)
		return NULL;
	rt_producer_mute(p, rt_json_bool(req, "muted", true));
	return json_object();
}

/* ---- consumers ---- */

/* Takes the parameters over in any case. */
static json_t *
add_consumer(struct rt_endpoint *t, struct rt_producer *p, const char *id, struct rt_consumer_params *params,
			 struct rt_ops_error *e)
{
	struct rt_consumer *c;
	enum rt_result rc = rt_endpoint_consume(&c, t, p, id, params);

	if (rc == RT_OK)
		return json_pack("{s:o, s:s}", "rtpParameters", rt_consumer_take_rtp_parameters(c), "type",
						 rt_params_type_name(rt_producer_parameters(p)->type));
	rt_params_consumer_fini(params);
	return rc == RT_LIMIT ? fail(e, "full", "Too many consumers") : fail(e, "not_found", "Producer not found");
}

static json_t *
op_consume(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	struct rt_endpoint *t = need_transport(ops, req, e);
	struct rt_producer *p = t != NULL ? need_producer(ops, req, e) : NULL;
	const char *id = id_of(req, "consumerId");
	struct rt_consumer_params params;
	char mid[RT_ENDPOINT_MID];
	uint32_t ssrc;
	enum rt_result rc;

	if (p == NULL)
		return NULL;
	if (id == NULL)
		return fail(e, "bad_request", "consume: consumerId is needed");
	if (rt_endpoint_sends(t))
		return fail(e, "bad_request", "consume: the transport only sends");
	if (rt_engine_consumer(ops->engine, id) != NULL)
		return fail(e, "conflict", "Consumer exists");
	if (is_full(ops, e))
		return NULL;
	rt_endpoint_name_next(t, mid, &ssrc);
	rc = rt_params_consumer_init(&params, rt_producer_parameters(p)->kind, rt_producer_parameters(p)->consumable,
								 json_object_get(req, "rtpCapabilities"), mid, ssrc, &e->text);
	if (rc != RT_OK)
		return fail_params(e, rc);
	return add_consumer(t, p, id, &params, e);
}

static json_t *
set_consumer_pause(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e, bool paused)
{
	struct rt_consumer *c = need_consumer(ops, req, e);

	if (c == NULL)
		return NULL;
	rt_consumer_pause(c, paused);
	return json_object();
}

static json_t *
op_pause_consumer(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	return set_consumer_pause(ops, req, e, true);
}

static json_t *
op_resume_consumer(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	return set_consumer_pause(ops, req, e, false);
}

static json_t *
op_close_consumer(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	struct rt_consumer *c = need_consumer(ops, req, e);

	if (c == NULL)
		return NULL;
	rt_consumer_close(c);
	return json_object();
}

static json_t *
op_request_keyframe(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	struct rt_consumer *c = need_consumer(ops, req, e);

	if (c == NULL)
		return NULL;
	rt_consumer_want_keyframe(c);
	return json_object();
}

static json_t *
op_set_preferred_layers(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	struct rt_consumer *c = need_consumer(ops, req, e);
	int64_t spatial = rt_json_int(req, "spatialLayer", -1), temporal = rt_json_int(req, "temporalLayer", -1);
	int64_t priority = rt_json_int(req, "priority", 0);

	if (c == NULL)
		return NULL;
	if (spatial < 0 || temporal < -1)
		return fail(e, "bad_request", "spatialLayer and temporalLayer are numbers from 0 on");
	if (priority > 0)
		rt_consumer_set_priority(c, priority > 255 ? 255 : (int) priority);
	rt_consumer_prefer(c, spatial > 7 ? 7 : (int) spatial, temporal > 7 ? 7 : (int) temporal);
	return json_object();
}

static json_t *
op_get_stats(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	struct rt_endpoint *t;
	struct rt_producer *p;
	struct rt_consumer *c;

	if (id_of(req, "consumerId") != NULL)
		return (c = need_consumer(ops, req, e)) != NULL ? json_pack("{s:o}", "stats", rt_stats_consumer(c)) : NULL;
	if (id_of(req, "producerId") != NULL)
		return (p = need_producer(ops, req, e)) != NULL ? json_pack("{s:o}", "stats", rt_stats_producer(p)) : NULL;
	return (t = need_transport(ops, req, e)) != NULL ? json_pack("{s:o}", "stats", rt_stats_transport(t)) : NULL;
}

/* ---- commands ---- */

static json_t *
op_close_transports(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	const json_t *id;
	size_t i;

	(void) e;
	json_array_foreach(rt_json_array(req, "transportIds"), i, id)
	{
		struct rt_endpoint *t = json_is_string(id) ? rt_engine_endpoint(ops->engine, json_string_value(id)) : NULL;

		if (t != NULL)
			rt_endpoint_close(t);
	}
	return json_object();
}

static json_t *
op_close_producers(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	const json_t *id;
	size_t i;

	(void) e;
	json_array_foreach(rt_json_array(req, "producerIds"), i, id)
	{
		struct rt_producer *p = json_is_string(id) ? rt_engine_producer(ops->engine, json_string_value(id)) : NULL;

		if (p != NULL)
			rt_producer_close(p);
	}
	return json_object();
}

static json_t *
op_close_router(const struct rt_ops *ops, const json_t *req, struct rt_ops_error *e)
{
	const char *id = id_of(req, "routerId");

	if (id == NULL)
		return fail(e, "bad_request", "routerId is needed");
	rt_engine_close_router(ops->engine, id);
	return json_object();
}

static const struct
{
	const char *name;
	op_cb run;
} ops_table[] = {
	{"create-transport", op_create_transport},
	{"connect-transport", op_connect_transport},
	{"restart-ice", op_restart_ice},
	{"produce", op_produce},
	{"consume", op_consume},
	{"resume-consumer", op_resume_consumer},
	{"pause-consumer", op_pause_consumer},
	{"close-consumer", op_close_consumer},
	{"request-keyframe", op_request_keyframe},
	{"set-preferred-layers", op_set_preferred_layers},
	{"pause-producer", op_pause_producer},
	{"resume-producer", op_resume_producer},
	{"close-producer", op_close_producer},
	{"mute-producer", op_mute_producer},
	{"get-stats", op_get_stats},
	{"close-transports", op_close_transports},
	{"close-producers", op_close_producers},
	{"close-router", op_close_router},
};

json_t *
rt_ops_run(const struct rt_ops *ops, const json_t *request, struct rt_ops_error *e)
{
	const char *op = rt_json_str(request, "op");

	rt_engine_touch(ops->engine);
	for (size_t i = 0; op != NULL && i < sizeof(ops_table) / sizeof(*ops_table); i++)
		if (strcmp(ops_table[i].name, op) == 0)
			return ops_table[i].run(ops, request, e);
	return fail(e, "bad_request", "unknown operation");
}

void
rt_ops_undo(const struct rt_ops *ops, const json_t *request)
{
	const char *op = rt_json_str(request, "op");
	struct rt_ops_error e;

	if (op == NULL)
		return;
	if (strcmp(op, "produce") == 0)
		json_decref(op_close_producer(ops, request, &e));
	else if (strcmp(op, "consume") == 0)
		json_decref(op_close_consumer(ops, request, &e));
}
