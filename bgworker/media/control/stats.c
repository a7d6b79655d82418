#include "stats.h"

#include "bgworker/common/clock.h"
#include "bgworker/media/forward/consumer.h"
#include "bgworker/media/forward/engine.h"
#include "bgworker/media/forward/layers.h"
#include "bgworker/media/forward/producer.h"
#include "bgworker/media/forward/transport.h"

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

json_t *
rt_stats_transport(const struct rt_transport *t)
{
	json_t *o = begin("transport", t->id);
	char tuple[RT_TUPLE_TEXT];

	json_object_set_new(o, "iceState", json_string(rt_transport_ice_state(t)));
	json_object_set_new(o, "dtlsState", json_string(rt_transport_dtls_state(t)));
	if (t->selected)
	{
		rt_tuple_text(&t->outlet.tuple, tuple);
		json_object_set_new(o, "selectedTuple", json_string(tuple));
	}
	set_int(o, "packetsReceived", t->packets_in);
	set_int(o, "bytesReceived", t->bytes_in);
	set_int(o, "packetsSent", t->packets_out);
	set_int(o, "bytesSent", t->bytes_out);
	set_int(o, "roundTripTime", t->rtt_ms);
	set_int(o, "srtpFailures", t->srtp_failures);
	if (t->bwe != NULL && rt_bwe_known(t->bwe))
	{
		set_int(o, "availableOutgoingBitrate", rt_bwe_estimate(t->bwe));
		json_object_set_new(o, "outgoingLoss", json_real(rt_bwe_loss(t->bwe)));
	}
	return one(o);
}

static void
name_track(json_t *o, const struct rt_producer *p)
{
	const json_t *codecs = json_object_get(p->params.consumable, "codecs");

	json_object_set_new(o, "kind", json_string(rt_kind_name(p->params.kind)));
	json_object_set(o, "mimeType", json_object_get(json_array_get(codecs, 0), "mimeType"));
}

static json_t *
layer_stats(const struct rt_producer *p, int i)
{
	const struct rt_layer *l = &p->layers[i];
	const struct rt_recv *r = &l->recv;
	json_t *o = begin("inbound-rtp", p->id);
	int64_t lost = rt_recv_lost(r);

	name_track(o, p);
	set_int(o, "ssrc", r->ssrc);
	set_int(o, "encodingIdx", (uint64_t) i);
	if (p->params.encodings[i].rid[0])
		json_object_set_new(o, "rid", json_string(p->params.encodings[i].rid));
	set_int(o, "packetsReceived", r->packets);
	set_int(o, "bytesReceived", r->bytes);
	json_object_set_new(o, "packetsLost", json_integer(lost));
	set_int(o, "fractionLost", r->fraction_lost);
	json_object_set_new(o, "jitter", json_real(r->clock_rate ? r->jitter / r->clock_rate : 0));
	set_int(o, "bitrate", rt_producer_bitrate(p, i));
	set_int(o, "nackCount", r->nacks);
	set_int(o, "nackPacketCount", r->nacked_packets);
	set_int(o, "packetsRepaired", r->repaired);
	set_int(o, "packetsDiscarded", r->discarded);
	set_int(o, "pliCount", l->plis);
	set_int(o, "roundTripTime", p->transport->rtt_ms);
	set_int(o, "score", p->score);
	return o;
}

json_t *
rt_stats_producer(const struct rt_producer *p)
{
	json_t *list = json_array();

	for (int i = 0; i < p->params.n_encodings; i++)
		json_array_append_new(list, layer_stats(p, i));
	return list;
}

static void
set_layers(json_t *o, const struct rt_consumer *c)
{
	if (c->params.kind != RT_KIND_VIDEO)
		return;
	json_object_set_new(o, "spatialLayer", c->current_spatial < 0 ? json_null() : json_integer(c->current_spatial));
	json_object_set_new(o, "temporalLayer",
						c->current_temporal < 0 ? json_null() : json_integer(c->current_temporal));
	json_object_set_new(o, "reason", json_string(c->reason));
}

json_t *
rt_stats_consumer(const struct rt_consumer *c)
{
	json_t *o = begin("outbound-rtp", c->id), *list;

	name_track(o, c->producer);
	json_object_set_new(o, "producerId", json_string(c->producer->id));
	set_int(o, "ssrc", c->params.ssrc);
	set_int(o, "packetsSent", c->packets);
	set_int(o, "bytesSent", c->bytes);
	set_int(o, "bitrate", rt_consumer_bitrate(c));
	set_int(o, "retransmittedPacketsSent", c->retransmitted);
	set_int(o, "nackCount", c->nacks);
	set_int(o, "pliCount", c->plis);
	set_int(o, "firCount", c->firs);
	json_object_set_new(o, "packetsLost", json_integer(c->lost));
	set_int(o, "fractionLost", c->fraction_lost);
	json_object_set_new(o, "jitter", json_real((double) c->jitter / c->params.clock_rate));
	set_int(o, "roundTripTime", c->transport->rtt_ms);
	set_int(o, "score", c->score);
	json_object_set_new(o, "preferredSpatialLayer", json_integer(c->preferred_spatial));
	json_object_set_new(o, "preferredTemporalLayer", json_integer(c->preferred_temporal));
	set_int(o, "targetSpatialLayer", (uint64_t) (c->target_spatial < 0 ? 0 : c->target_spatial));
	set_layers(o, c);
	list = one(o);
	for (int i = 0; i < c->producer->params.n_encodings; i++)
		json_array_append_new(list, layer_stats(c->producer, i));
	return list;
}

/* ---- rows ---- */

static json_t *
transport_row(const struct rt_transport *t)
{
	json_t *o = json_pack("{s:s, s:s}", "type", "transport", "id", t->id);
	char tuple[RT_TUPLE_TEXT];

	set_int(o, "packets", t->sends ? t->packets_in : t->packets_out);
	set_int(o, "bytes", t->sends ? t->bytes_in : t->bytes_out);
	set_int(o, "rttMs", t->rtt_ms);
	if (t->bwe != NULL && rt_bwe_known(t->bwe))
		set_int(o, "estimateBps", rt_bwe_estimate(t->bwe));
	json_object_set_new(o, "iceState", json_string(rt_transport_ice_state(t)));
	json_object_set_new(o, "dtlsState", json_string(rt_transport_dtls_state(t)));
	if (t->selected)
	{
		rt_tuple_text(&t->outlet.tuple, tuple);
		json_object_set_new(o, "tuple", json_string(tuple));
	}
	return o;
}

static json_t *
producer_row(const struct rt_producer *p)
{
	json_t *o = json_pack("{s:s, s:s}", "type", "producer", "id", p->id);
	uint64_t packets = 0, bytes = 0, bitrate = 0, nacks = 0, plis = 0;
	int64_t lost = 0;
	double jitter_ms = 0;

	for (int i = 0; i < p->params.n_encodings; i++)
	{
		const struct rt_recv *r = &p->layers[i].recv;

		packets += r->packets;
		bytes += r->bytes;
		bitrate += rt_producer_bitrate(p, i);
		nacks += r->nacks;
		plis += p->layers[i].plis;
		lost += rt_recv_lost(r);
		if (r->clock_rate)
			jitter_ms = 1000 * r->jitter / r->clock_rate;
	}
	set_int(o, "packets", packets);
	set_int(o, "bytes", bytes);
	json_object_set_new(o, "lost", json_integer(lost));
	json_object_set_new(o, "jitterMs", json_real(jitter_ms));
	set_int(o, "rttMs", p->transport->rtt_ms);
	set_int(o, "bitrateBps", bitrate);
	set_int(o, "nacks", nacks);
	set_int(o, "plis", plis);
	set_int(o, "score", p->score);
	return o;
}

static json_t *
consumer_row(const struct rt_consumer *c)
{
	json_t *o = json_pack("{s:s, s:s}", "type", "consumer", "id", c->id);

	set_int(o, "packets", c->packets);
	set_int(o, "bytes", c->bytes);
	json_object_set_new(o, "lost", json_integer(c->lost));
	json_object_set_new(o, "jitterMs", json_real(1000.0 * c->jitter / c->params.clock_rate));
	set_int(o, "rttMs", c->transport->rtt_ms);
	set_int(o, "bitrateBps", rt_consumer_bitrate(c));
	set_int(o, "nacks", c->nacks);
	set_int(o, "plis", c->plis);
	set_int(o, "score", c->score);
	set_layers(o, c);
	return o;
}

json_t *
rt_stats_rows(const struct rt_engine *e)
{
	json_t *rows = json_array();
	struct rt_transport *t;
	size_t pos = 0;

	while ((t = rt_map_next(e->transports, &pos)) != NULL)
	{
		json_array_append_new(rows, transport_row(t));
		for (struct rt_producer *p = t->producers; p != NULL; p = p->next)
			json_array_append_new(rows, producer_row(p));
		for (struct rt_consumer *c = t->consumers; c != NULL; c = c->next)
			json_array_append_new(rows, consumer_row(c));
	}
	return rows;
}

json_t *
rt_stats_totals(const struct rt_engine *e)
{
	const struct rt_port_stats *p = rt_port_stats(e->port);
	json_t *o = json_object();

	set_int(o, "transports", rt_map_count(e->transports));
	set_int(o, "producers", rt_map_count(e->producers));
	set_int(o, "consumers", rt_map_count(e->consumers));
	set_int(o, "tcpConnections", p->tcp_connections);
	set_int(o, "packetsIn", p->packets_in);
	set_int(o, "bytesIn", p->bytes_in);
	set_int(o, "packetsOut", p->packets_out);
	set_int(o, "bytesOut", p->bytes_out);
	set_int(o, "writesOut", p->sends);
	set_int(o, "dropped", p->dropped);
	set_int(o, "retransmitted", e->retransmitted);
	set_int(o, "nacksSent", e->nacks_sent);
	set_int(o, "nacksReceived", e->nacks_received);
	set_int(o, "keyframesAsked", e->keyframes_asked);
	set_int(o, "layerChanges", e->layer_changes);
	set_int(o, "badStun", e->bad_stun);
	set_int(o, "badSrtp", e->bad_srtp);
	set_int(o, "badRtp", e->bad_rtp);
	set_int(o, "badRtcp", e->bad_rtcp);
	set_int(o, "stray", e->stray);
	set_int(o, "unknownSsrc", e->unknown_ssrc);
	set_int(o, "slowTurns", rt_loop_slow_turns(e->loop));
	return o;
}

size_t
rt_stats_load(const struct rt_engine *e)
{
	return rt_map_count(e->producers) + rt_map_count(e->consumers);
}
