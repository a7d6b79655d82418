/* media_metrics.c: see media_metrics.h.  A metric is a line of the table: the key of the worker's totals
 * (bgworker/media/control/stats.c), and its name and help on /metrics.  A worker that has not beaten yet has no
 * sample. */
#include "media_metrics.h"

#include <inttypes.h>
#include <stdint.h>

#include "bgworker/common/json.h"
#include "bgworker/common/metric.h"

/* key: of the worker's totals, bgworker/media/stats.c */
static const struct
{
	const char *key;
	const char *name;
	const char *help;
	enum rt_metric_kind kind;
} metrics[] = {
	{"transports", "rt_media_transports", "Open transports.", RT_GAUGE},
	{"producers", "rt_media_producers", "Tracks that clients send to the worker.", RT_GAUGE},
	{"consumers", "rt_media_consumers", "Tracks that the worker sends.", RT_GAUGE},
	{"tcpConnections", "rt_media_tcp_connections", "Open TCP connections.", RT_GAUGE},
	{"cpuPercent", "rt_media_cpu_percent", "Percent of a core that the worker uses.", RT_GAUGE},
	{"packetsPerSecond", "rt_media_packets_per_second", "Packets that the worker sends a second.", RT_GAUGE},
	{"limitedUsers", "rt_media_limited_users",
	 "Users whose media the worker limits because it is overloaded and they use more than their share.", RT_GAUGE},
	{"packetsIn", "rt_media_packets_in_total", "Packets received, of all kinds.", RT_COUNTER},
	{"bytesIn", "rt_media_bytes_in_total", "Bytes received.", RT_COUNTER},
	{"packetsOut", "rt_media_packets_out_total", "Packets sent, of all kinds.", RT_COUNTER},
	{"bytesOut", "rt_media_bytes_out_total", "Bytes sent.", RT_COUNTER},
	{"writesOut", "rt_media_writes_out_total", "System calls that sent packets.", RT_COUNTER},
	{"dropped", "rt_media_dropped_total",
	 "Packets dropped because the kernel or a slow TCP peer did not accept them.", RT_COUNTER},
	{"retransmitted", "rt_media_retransmitted_total", "Packets retransmitted to receivers.", RT_COUNTER},
	{"nacksReceived", "rt_media_nacks_received_total", "Packets that receivers requested again.", RT_COUNTER},
	{"nacksSent", "rt_media_nacks_sent_total", "Packets requested again from senders.", RT_COUNTER},
	{"keyframesAsked", "rt_media_keyframes_asked_total", "Key frames requested from senders.", RT_COUNTER},
	{"layerChanges", "rt_media_layer_changes_total", "Changes of the layer that a receiver gets.", RT_COUNTER},
	{"badStun", "rt_media_bad_stun_total", "STUN packets rejected.", RT_COUNTER},
	{"badSrtp", "rt_media_bad_srtp_total", "SRTP packets rejected as not authentic or replayed.", RT_COUNTER},
	{"badRtp", "rt_media_bad_rtp_total", "Malformed RTP packets.", RT_COUNTER},
	{"badRtcp", "rt_media_bad_rtcp_total", "Malformed RTCP packets.", RT_COUNTER},
	{"stray", "rt_media_stray_total", "Packets from addresses that STUN has not validated.", RT_COUNTER},
	{"unknownSsrc", "rt_media_unknown_ssrc_total", "RTP packets of no known track.", RT_COUNTER},
	{"slowTurns", "rt_media_slow_turns_total", "Turns of the event loop longer than 20 ms.", RT_COUNTER},
};

static void
write_sample(struct rt_text *out, const char *name, const char *database, const json_t *worker, int64_t value)
{
	const char *slot = rt_json_str(worker, "slot");
	struct rt_text labels;

	rt_text_init(&labels);
	rt_text_add(&labels, database);
	rt_metric_label(&labels, "worker", slot == NULL ? "" : slot);
	rt_text_addf(out, "%s{%s} %" PRId64 "\n", name, labels.data, value);
	rt_text_fini(&labels);
}

void
rt_media_metrics_write(const json_t *workers, struct rt_text *out, const char *database)
{
	const json_t *worker;
	size_t i;

	for (size_t k = 0; k < sizeof(metrics) / sizeof(metrics[0]); k++)
	{
		rt_metric_write_head(out, metrics[k].name, metrics[k].help,
							 metrics[k].kind == RT_COUNTER ? "counter" : "gauge");
		json_array_foreach(workers, i, worker)
		{
			int64_t value = rt_json_int(rt_json_object(worker, "totals"), metrics[k].key, -1);

			if (value >= 0) /* else it has not beaten yet */
				write_sample(out, metrics[k].name, database, worker, value);
		}
	}
}
