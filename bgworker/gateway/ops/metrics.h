/* metrics.h: /metrics, in Prometheus' text format: all figures of this gateway, and those of the relay and the media
 * workers.
 *
 * Served with everything else, or on an address of its own (rt.metrics_address, "host:port"), so that it need not be
 * public. Worker n of several listens on port + n. */
#ifndef RT_METRICS_H
#define RT_METRICS_H

#include <stdint.h>

#include "bgworker/common/result.h"
#include "bgworker/gateway/net/http_router.h"

struct rt_bus;
struct rt_counters;
struct rt_db;
struct rt_gauges_uses;
struct rt_loop;
struct rt_metrics;
struct rt_report;
struct rt_network;

/* What it uses; all is lent, and must live as long. */
struct rt_metrics_uses
{
	struct rt_loop *loop;
	const struct rt_db *db;
	const struct rt_bus *bus;
	struct rt_network *network; /* the clients' */
	const struct rt_counters *counters;
	const struct rt_gauges_uses *gauges;
	const struct rt_report *report;
	const char *database;
	int worker; /* among those of the host, by which its port is chosen */
	int number; /* among all, for the label */
};

struct rt_metrics *rt_metrics_new(const struct rt_metrics_uses *uses);
void rt_metrics_free(struct rt_metrics *m); /* NULL is fine */

/* Opens the address of its own; a failure is logged. */
enum rt_result rt_metrics_listen(struct rt_metrics *m, const char *address);
void rt_metrics_stop_listening(struct rt_metrics *m); /* if it does */

/* Answers a request for /metrics. */
void rt_metrics_reply(struct rt_metrics *m, struct rt_http_router *h, uint64_t id);

#endif
