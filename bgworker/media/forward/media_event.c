/* media_event.c: see media_event.h.  Called when something has happened, never in anticipation: the database and the
 * clients act on it at once. */
#include "media_event.h"

#include "bgworker/common/text.h"

static void
begin(struct rt_text *t, const char *type, const char *key, const char *id)
{
	rt_text_init(t);
	rt_text_addf(t, "{\"type\":\"%s\",\"%s\":", type, key);
	rt_text_quote(t, id);
}

static void
tell(struct rt_hub *h, struct rt_text *t)
{
	rt_text_add(t, "}");
	rt_hub_tell(h, t->data);
	rt_text_fini(t);
}

void
rt_media_event_transport_state(struct rt_hub *h, const char *id, const char *ice_state, const char *dtls_state)
{
	struct rt_text t;

	begin(&t, "transport-state", "transportId", id);
	rt_text_addf(&t, ",\"iceState\":\"%s\",\"dtlsState\":\"%s\"", ice_state, dtls_state);
	tell(h, &t);
}

void
rt_media_event_transport_closed(struct rt_hub *h, const char *id, const char *reason)
{
	struct rt_text t;

	begin(&t, "transport-closed", "transportId", id);
	rt_text_add(&t, ",\"reason\":");
	rt_text_quote(&t, reason);
	tell(h, &t);
}

void
rt_media_event_active_speaker(struct rt_hub *h, const char *router_id, const char *producer_id, int volume)
{
	struct rt_text t;

	begin(&t, "active-speaker", "routerId", router_id);
	rt_text_add(&t, ",\"producerId\":");
	rt_text_quote(&t, producer_id);
	rt_text_addf(&t, ",\"volume\":%d", volume);
	tell(h, &t);
}

void
rt_media_event_layers(struct rt_hub *h, const char *consumer_id, int spatial, int temporal)
{
	struct rt_text t;

	begin(&t, "layers-changed", "consumerId", consumer_id);
	if (spatial < 0)
		rt_text_add(&t, ",\"spatialLayer\":null,\"temporalLayer\":null");
	else
		rt_text_addf(&t, ",\"spatialLayer\":%d,\"temporalLayer\":%d", spatial, temporal);
	tell(h, &t);
}

void
rt_media_event_score(struct rt_hub *h, const char *consumer_id, int score, int producer_score)
{
	struct rt_text t;

	begin(&t, "consumer-score", "consumerId", consumer_id);
	rt_text_addf(&t, ",\"score\":%d,\"producerScore\":%d", score, producer_score);
	tell(h, &t);
}
