/* media_event.h: the events of rt_api.media_event, written.  It only tells: what an event means for an object is its
 * owner's business. */
#ifndef RT_MEDIA_EVENT_H
#define RT_MEDIA_EVENT_H

#include "hub.h"

void rt_media_event_transport_state(struct rt_hub *h, const char *id, const char *ice_state, const char *dtls_state);
void rt_media_event_transport_closed(struct rt_hub *h, const char *id, const char *reason);
/* volume: -127 (silence) to 0 dBov. */
void rt_media_event_active_speaker(struct rt_hub *h, const char *router_id, const char *producer_id, int volume);
/* spatial < 0: nothing goes out, both are null. */
void rt_media_event_layers(struct rt_hub *h, const char *consumer_id, int spatial, int temporal);
/* Scores are from 0 to 10. */
void rt_media_event_score(struct rt_hub *h, const char *consumer_id, int score, int producer_score);

#endif
