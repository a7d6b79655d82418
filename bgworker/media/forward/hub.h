/* hub.h: what all objects of one worker share: the loop, the port, the certificate, the clock, the counters of the
 * metrics, the maps that find an object by its id, and the way events go out.  It knows none of the objects.
 *
 * The clock stands still during a packet or a tick: whoever handles one sees one time. */
#ifndef RT_HUB_H
#define RT_HUB_H

#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/loop.h"
#include "bgworker/media/net/port.h"
#include "bgworker/media/secure/dtls.h"

#define RT_OBJECT_ID 40 /* bytes of an id, with its NUL: UUIDs have 37 */

struct rt_hub;

/* One EVENT of rt_api.media_event, as JSON; lent for the call. */
typedef void (*rt_hub_event_cb)(void *arg, const char *json);

/* Of all that ever was.  The first six are packets that were refused. */
enum rt_hub_counter
{
	RT_HUB_BAD_STUN,
	RT_HUB_BAD_SRTP,
	RT_HUB_BAD_RTP,
	RT_HUB_BAD_RTCP,
	RT_HUB_STRAY, /* from no validated address, or before there are keys */
	RT_HUB_UNKNOWN_SSRC,
	RT_HUB_NACKS_SENT, /* packets that were asked for */
	RT_HUB_NACKS_RECEIVED,
	RT_HUB_RETRANSMITTED,
	RT_HUB_KEYFRAMES_ASKED,
	RT_HUB_LAYER_CHANGES,
	RT_HUB_COUNTERS
};

enum rt_hub_kind
{
	RT_HUB_ENDPOINTS,
	RT_HUB_PRODUCERS,
	RT_HUB_CONSUMERS,
	RT_HUB_KINDS
};

/* NULL, and logged: no certificate could be made. */
struct rt_hub *rt_hub_new(struct rt_loop *l, rt_hub_event_cb on_event, void *arg);
void rt_hub_free(struct rt_hub *h); /* NULL is fine; the objects are gone */
/* Binds the sockets.  RT_INTERNAL, and logged: none could be bound. */
enum rt_result rt_hub_open(struct rt_hub *h, const char *addresses, int port, const struct rt_port_handler *handler);

struct rt_loop *rt_hub_loop(const struct rt_hub *h);
struct rt_port *rt_hub_port(const struct rt_hub *h);
struct rt_dtls_context *rt_hub_certificate(const struct rt_hub *h);

uint64_t rt_hub_now_us(const struct rt_hub *h); /* monotonic, of the packet or tick at hand */
void rt_hub_set_now(struct rt_hub *h, uint64_t now_us);

uint64_t rt_hub_idle_timeout_us(const struct rt_hub *h);
void rt_hub_set_idle_timeout(struct rt_hub *h, uint64_t ms);

void rt_hub_count(struct rt_hub *h, enum rt_hub_counter which, uint64_t n);
uint64_t rt_hub_total(const struct rt_hub *h, enum rt_hub_counter which);

/* id stays where it is until rt_hub_take(). */
void rt_hub_put(struct rt_hub *h, enum rt_hub_kind kind, const char *id, void *object);
void rt_hub_take(struct rt_hub *h, enum rt_hub_kind kind, const char *id);
void *rt_hub_find(const struct rt_hub *h, enum rt_hub_kind kind, const char *id); /* NULL: there is none */
void *rt_hub_next(const struct rt_hub *h, enum rt_hub_kind kind, size_t *pos);    /* from 0 on; NULL at the end */
size_t rt_hub_size(const struct rt_hub *h, enum rt_hub_kind kind);

void rt_hub_tell(const struct rt_hub *h, const char *json);

#endif
