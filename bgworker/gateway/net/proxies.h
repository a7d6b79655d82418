/* proxies.h: reverse proxies whose X-Forwarded-For is believed: rt.trusted_proxies. */
#ifndef RT_PROXIES_H
#define RT_PROXIES_H

#include "bgworker/gateway/http/http.h"

#define RT_PEER_BYTES 46 /* an address as text, and its NUL */

struct rt_proxies;

/* list: addresses and networks (10.0.0.0/8), separated by commas; what is none is left out.  NULL is empty. */
struct rt_proxies *rt_proxies_new(const char *list);
void rt_proxies_free(struct rt_proxies *p); /* NULL is fine */

/* Who asks: the last address in X-Forwarded-For that no trusted proxy has; peer where peer is no trusted proxy, or
 * the header has no address in its place. */
void rt_proxies_client(const struct rt_proxies *p, const char *peer, const struct rt_http_head *h, char *client);

#endif
