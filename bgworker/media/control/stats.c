/* stats.c: see stats.h.  It reads and changes nothing; control.c and ops.c call it. */
#include "stats.h"

#include "bgworker/common/clock.h"
#include "bgworker/common/loop.h"

static void
set_int(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t) value));
}

static json_t *
begin(const char *type, const char *id)
{
	return json_pack("{s:s, s:s, s:I}", "type", type, "id", id, "timestamp",
					 (json_int_t) (rt_clock_of_day_us() / 1000));
}

static json_t *
one(json_t *o)
{
	return json_pack("[o]", o);
}

static void
set_tuple(json_t *o, const char *key, const struct rt_webrtc_transport_stats *s)
{
	char text[RT_TUPLE_TEXT];

	if (!s->selected)
		return;
	rt_tuple_text(&s->tuple, text);
	json_object_set_new(o, key, json_string(text));
}

static void
set_states(json_t *o, const struct rt_webrtc_transport *t)
{
	json_object_set_new(o, "iceState", json_string(rt_webrtc_transport_ice_state(t)));
	json_object_set_new(o, "dtlsState", json_string(rt_webrtc_transport_dtls_state(t)));
}

json_t *
rt_stats_transport(const struct rt_endpoint *e)
{
	const struct rt_webrtc_transport *t = rt_endpoint_transport(e);
	const struct rt_egress *egress = rt_endpoint_egress(e);
	json_t *o = begin("transport", rt_endpoint_id(e));
	struct rt_webrtc_transport_stats s;

	rt_webrtc_transport_read_stats(t, &s);
	set_states(o, t);
	set_tuple(o, "selectedTuple", &s);
	set_int(o, "packetsReceived", s.packets_in);
	set_int(o, "bytesReceived", s.bytes_in);
	set_int(o, "packetsSent", s.packets_out);
	set_int(o, "bytesSent", s.bytes_out);
	set_int(o, "roundTripTime", s.rtt_ms);
	set_int(o, "srtpFailures", s.srtp_failures);
	if (egress != NULL && rt_egress_known(egress))
	{
		set_int(o, "availableOutgoingBitrate", rt_egress_estimate_bps(egress));
		json_object_set_new(o, "outgoingLoss", json_real(rt_egress_loss(egress)));
	}
	return one(o);
}

static void
name_track(json_t *o, const struct rt_producer *p)
{
	const struct rt_producer_params *params = rt_producer_parameters(p);
	const json_t *codecs = json_object_get(params->consumable, "codecs");

	json_object_set_new(o, "kind", json_string(rt_params_kind_name(params->kind)));
	json_object_set(o, "mimeType", json_object_get(json_array_get(codecs, 0), "mimeType"));
}

static json_t *
layer_stats(const struct rt_producer *p, int i)
{
	const struct rt_encoding *encoding = &rt_producer_parameters(p)->encodings[i];
	json_t *o = begin("inbound-rtp", rt_producer_id(p));
	struct rt_producer_layer_stats s;

	rt_producer_read_stats(p, i, &s);
	name_track(o, p);
	set_int(o, "ssrc", s.ssrc);
	set_int(o, "encodingIdx", (uint64_t) i);
	if (encoding->rid[0])
		json_object_set_new(o, "rid", json_string(encoding->rid));
	set_int(o, "packetsReceived", s.packets);
	set_int(o, "bytesReceived", s.bytes);
	json_object_set_new(o, "packetsLost", json_integer(s.lost));
	set_int(o, "fractionLost", s.fraction_lost);
	json_object_set_new(o, "jitter", json_real(s.jitter_ms / 1000));
	set_int(o, "bitrate", s.bitrate_bps);
	set_int(o, "nackCount", s.nacks);
	set_int(o, "nackPacketCount", s.nacked_packets);
	set_int(o, "packetsRepaired", s.repaired);
	set_int(o, "packetsDiscarded", s.discarded);
	set_int(o, "pliCount", s.plis);
	set_int(o, "roundTripTime", s.rtt_ms);
	set_int(o, "score", rt_producer_score(p));
	return o;
}

static void
add_layers(json_t *list, const struct rt_producer *p)
{
	for (int i = 0; i < rt_producer_parameters(p)->n_encodings; i++)
		json_array_append_new(list, layer_stats(p, i));
}

json_t *
rt_stats_producer(const struct rt_producer *p)
{
	json_t *list = json_array();

	add_layers(list, p);
	return list;
}

static json_t *
level_json(int layer)
{
	return layer < 0 ? json_null() : json_integer(layer);
}

static void
set_layers(json_t *o, const struct rt_consumer *c)
{
	const struct rt_layers *l = rt_consumer_layers(c);

	if (!l->video)
		return;
	json_object_set_new(o, "spatialLayer", level_json(l->current.spatial));
	json_object_set_new(o, "temporalLayer", level_json(l->current.temporal));
	json_object_set_new(o, "reason", json_string(l->reason));
}

json_t *
rt_stats_consumer(const struct rt_consumer *c)
{
	const struct rt_layers *l = rt_consumer_layers(c);
	const struct rt_producer *p = rt_consumer_producer(c);
	json_t *o = begin("outbound-rtp", rt_consumer_id(c)), *list;
	struct rt_consumer_stats s;

	rt_consumer_read_stats(c, &s);
	name_track(o, p);
	json_object_set_new(o, "producerId", json_string(rt_producer_id(p)));
	set_int(o, "ssrc", s.ssrc);
	set_int(o, "packetsSent", s.packets);
	set_int(o, "bytesSent", s.bytes);
	set_int(o, "bitrate", s.bitrate_bps);
	set_int(o, "retransmittedPacketsSent", s.retransmitted);
	set_int(o, "nackCount", s.nacks);
	set_int(o, "pliCount", s.plis);
	set_int(o, "firCount", s.firs);
	json_object_set_new(o, "packetsLost", json_integer(s.lost));
	set_int(o, "fractionLost", s.fraction_lost);
	json_object_set_new(o, "jitter", json_real(s.jitter_ms / 1000));
	set_int(o, "roundTripTime", s.rtt_ms);
	set_int(o, "score", s.score);
	json_object_set_new(o, "preferredSpatialLayer", json_integer(l->preferred.spatial));
	json_object_set_new(o, "preferredTemporalLayer", json_integer(l->preferred.temporal));
	set_int(o, "targetSpatialLayer", (uint64_t) (l->target.spatial < 0 ? 0 : l->target.spatial));
	set_layers(o, c);
	list = one(o);
	add_layers(list, p);
	return list;
}

/* ---- rows ---- */

static json_t *
transport_row(const struct rt_endpoint *e)
{
	const struct rt_webrtc_transport *t = rt_endpoint_transport(e);
	const struct rt_egress *egress = rt_endpoint_egress(e);
	json_t *o = json_pack("{s:s, s:s}", "type", "transport", "id", rt_endpoint_id(e));
	struct rt_webrtc_transport_stats s;

	rt_webrtc_transport_read_stats(t, &s);
	set_int(o, "packets", rt_endpoint_sends(e) ? s.packets_in : s.packets_out);
	set_int(o, "bytes", rt_endpoint_sends(e) ? s.bytes_in : s.bytes_out);
	set_int(o, "rttMs", s.rtt_ms);
	if (egress != NULL && rt_egress_known(egress))
		set_int(o, "estimateBps", rt_egress_estimate_bps(egress));
	set_states(o, t);
	set_tuple(o, "tuple", &s);
	return o;
}

static json_t *
producer_row(const struct rt_producer *p)
{
	json_t *o = json_pack("{s:s, s:s}", "type", "producer", "id", rt_producer_id(p));
	uint64_t packets = 0, bytes = 0, bitrate = 0, nacks = 0, plis = 0;
	int64_t lost = 0;
	double jitter_ms = 0;
	uint32_t rtt = 0;

	for (int i = 0; i < rt_producer_parameters(p)->n_encodings; i++)
	{
		struct rt_producer_layer_stats s;

		rt_producer_read_stats(p, i, &s);
		packets += s.packets;
		bytes += s.bytes;
		bitrate += s.bitrate_bps;
		nacks += s.nacks;
		plis += s.plis;
		lost += s.lost;
		jitter_ms = s.jitter_ms;
		rtt = s.rtt_ms;
	}
	set_int(o, "packets", packets);
	set_int(o, "bytes", bytes);
	json_object_set_new(o, "lost", json_integer(lost));
	json_object_set_new(o, "jitterMs", json_real(jitter_ms));
	set_int(o, "rttMs", rtt);
	set_int(o, "bitrateBps", bitrate);
	set_int(o, "nacks", nacks);
	set_int(o, "plis", plis);
	set_int(o, "score", rt_producer_score(p));
	set_int(o, "copiesPerSecond", rt_producer_copies(p));
	if (rt_producer_limit(p) != RT_FANOUT_ALL)
		json_object_set_new(o, "reason", json_string(RT_FANOUT_REASON));
	return o;
}

static json_t *
consumer_row(const struct rt_consumer *c)
{
	json_t *o = json_pack("{s:s, s:s}", "type", "consumer", "id", rt_consumer_id(c));
	struct rt_consumer_stats s;

	rt_consumer_read_stats(c, &s);
	set_int(o, "packets", s.packets);
	set_int(o, "bytes", s.bytes);
	json_object_set_new(o, "lost", json_integer(s.lost));
	json_object_set_new(o, "jitterMs", json_real(s.jitter_ms));
	set_int(o, "rttMs", s.rtt_ms);
	set_int(o, "bitrateBps", s.bitrate_bps);
	set_int(o, "nacks", s.nacks);
	set_int(o, "plis", s.plis);
	set_int(o, "score", s.score);
	set_layers(o, c);
	return o;
}

json_t *
rt_stats_rows(const struct rt_engine *engine, size_t *pos, size_t most)
{
	json_t *rows = json_array();
	struct rt_endpoint *e;

	while (json_array_size(rows) < most && (e = rt_engine_next_endpoint(engine, pos)) != NULL)
	{
		json_array_append_new(rows, transport_row(e));
		for (struct rt_producer *p = rt_endpoint_producers(e); p != NULL; p = rt_producer_next(p))
			json_array_append_new(rows, producer_row(p));
		for (struct rt_consumer *c = rt_endpoint_consumers(e); c != NULL; c = rt_consumer_next(c))
			json_array_append_new(rows, consumer_row(c));
	}
	return rows;
}

/* By the names that the metrics have them under. */
static const struct
{
	const char *name;
	enum rt_hub_counter counter;
} counters[] = {{"retransmitted", RT_HUB_RETRANSMITTED},
				{"nacksSent", RT_HUB_NACKS_SENT},
				{"nacksReceived", RT_HUB_NACKS_RECEIVED},
				{"keyframesAsked", RT_HUB_KEYFRAMES_ASKED},
				{"layerChanges", RT_HUB_LAYER_CHANGES},
				{"badStun", RT_HUB_BAD_STUN},
				{"badSrtp", RT_HUB_BAD_SRTP},
				{"badRtp", RT_HUB_BAD_RTP},
				{"badRtcp", RT_HUB_BAD_RTCP},
				{"stray", RT_HUB_STRAY},
				{"unknownSsrc", RT_HUB_UNKNOWN_SSRC}};

json_t *
rt_stats_totals(const struct rt_engine *e)
{
	const struct rt_hub *h = rt_engine_hub(e);
	const struct rt_port_stats *p = rt_port_totals(rt_hub_port(h));
	json_t *o = json_object();

	set_int(o, "transports", rt_hub_size(h, RT_HUB_ENDPOINTS));
	set_int(o, "producers", rt_hub_size(h, RT_HUB_PRODUCERS));
	set_int(o, "consumers", rt_hub_size(h, RT_HUB_CONSUMERS));
	set_int(o, "limitedUsers", rt_engine_limited(e));
	set_int(o, "tcpConnections", p->tcp_connections);
	set_int(o, "packetsIn", p->packets_in);
	set_int(o, "bytesIn", p->bytes_in);
	set_int(o, "packetsOut", p->packets_out);
	set_int(o, "bytesOut", p->bytes_out);
	set_int(o, "writesOut", p->sends);
	set_int(o, "dropped", p->dropped);
	for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
		set_int(o, counters[i].name, rt_hub_total(h, counters[i].counter));
	set_int(o, "slowTurns", rt_loop_slow_turns(rt_hub_loop(h)));
	return o;
}

size_t
rt_stats_load(const struct rt_engine *e)
{
	const struct rt_hub *h = rt_engine_hub(e);

	return rt_hub_size(h, RT_HUB_PRODUCERS) + rt_hub_size(h, RT_HUB_CONSUMERS);
}
