/* ops.h: what signalling asks of the engine: one function a request of rt_api.media_fetch, JSON in and JSON out.
 * Authorization was in SQL; shapes are checked here. */
#ifndef RT_OPS_H
#define RT_OPS_H

#include <jansson.h>

#include "bgworker/media/forward/engine.h"
#include "bgworker/media/params/params.h"

struct rt_meter;

struct rt_ops
{
	struct rt_engine *engine;
	const json_t *caps; /* the router's capabilities; borrowed */
	const struct rt_meter *meter;
};

struct rt_ops_error
{
	const char *code; /* of the wire contract */
	struct rt_params_error text;
};

/* A new reference, or NULL and *e. */
json_t *rt_ops_run(const struct rt_ops *ops, const json_t *request, struct rt_ops_error *e);

/* Undoes what a request made, when nobody waits for its answer any more. */
void rt_ops_undo(const struct rt_ops *ops, const json_t *request);

#endif
