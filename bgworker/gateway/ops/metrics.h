/* metrics.h: /metrics on an address of its own (rt.metrics_address, "host:port"), so that it need not be public.
 * Worker n of several listens on port + n. */
#ifndef RT_METRICS_H
#define RT_METRICS_H

#include "bgworker/common/result.h"
#include "bgworker/gateway/net/http_router.h"

struct rt_app;
struct rt_metrics;

/* RT_OK with *mp NULL where the setting is empty. */
enum rt_result rt_metrics_new(struct rt_metrics **mp, struct rt_app *app);
void rt_metrics_free(struct rt_metrics *m); /* NULL is fine */

/* Answers a request for /metrics. */
void rt_metrics_reply(struct rt_app *app, struct rt_http_router *h, uint64_t id);

#endif
