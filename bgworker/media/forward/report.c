#include "report.h"

#include "bgworker/common/text.h"
#include "transport.h"

static void
tell(struct rt_engine *e, struct rt_text *t)
{
	e->on_event(e->arg, t->data);
	rt_text_fini(t);
}

void
rt_report_transport_state(struct rt_transport *t)
{
	struct rt_text x;

	rt_text_init(&x);
	rt_text_add(&x, "{\"type\":\"transport-state\",\"transportId\":");
	rt_text_quote(&x, t->id);
	rt_text_addf(&x, ",\"iceState\":\"%s\",\"dtlsState\":\"%s\"}", rt_transport_ice_state(t),
				 rt_transport_dtls_state(t));
	tell(t->engine, &x);
}

void
rt_report_transport_closed(struct rt_transport *t, const char *reason)
{
	struct rt_text x;

	if (t->closing)
		return;
	rt_text_init(&x);
	rt_text_add(&x, "{\"type\":\"transport-closed\",\"transportId\":");
	rt_text_quote(&x, t->id);
	rt_text_add(&x, ",\"reason\":");
	rt_text_quote(&x, reason);
	rt_text_add(&x, "}");
	tell(t->engine, &x);
	rt_transport_close(t);
}

void
rt_report_active_speaker(struct rt_router *r, const char *producer_id, int volume)
{
	struct rt_text x;

	rt_text_init(&x);
	rt_text_add(&x, "{\"type\":\"active-speaker\",\"routerId\":");
	rt_text_quote(&x, r->id);
	rt_text_add(&x, ",\"producerId\":");
	rt_text_quote(&x, producer_id);
	rt_text_addf(&x, ",\"volume\":%d}", volume);
	tell(r->engine, &x);
}

void
rt_report_layers(struct rt_consumer *c)
{
	struct rt_text x;

	c->told_spatial = c->current_spatial;
	c->told_temporal = c->current_temporal;
	rt_text_init(&x);
	rt_text_add(&x, "{\"type\":\"layers-changed\",\"consumerId\":");
	rt_text_quote(&x, c->id);
	if (c->current_spatial < 0)
		rt_text_add(&x, ",\"spatialLayer\":null,\"temporalLayer\":null}");
	else
		rt_text_addf(&x, ",\"spatialLayer\":%d,\"temporalLayer\":%d}", c->current_spatial, c->current_temporal);
	tell(c->transport->engine, &x);
}

void
rt_report_score(struct rt_consumer *c)
{
	struct rt_text x;

	c->told_score = c->score;
	rt_text_init(&x);
	rt_text_add(&x, "{\"type\":\"consumer-score\",\"consumerId\":");
	rt_text_quote(&x, c->id);
	rt_text_addf(&x, ",\"score\":%d,\"producerScore\":%d}", c->score, c->producer != NULL ? c->producer->score : 0);
	tell(c->transport->engine, &x);
}
