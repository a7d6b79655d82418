/* cors.h: which pages of other origins may use the server (Fetch standard, CORS protocol).  Pure. */
#ifndef RT_CORS_H
#define RT_CORS_H

#include <stdbool.h>

#include "bgworker/gateway/http/http.h"

/* Headers for a reply to this request, allocated; NULL if none are needed: no Origin, or one that is not allowed.
 * `origins` is a comma-separated list, "*" for any, a star in front of a domain for all below it; NULL or "": none.
 * A preflight gets what it asked for. */
char *rt_cors_headers(const char *origins, const struct rt_http_head *h);

/* May a session come from the page that this request is of?  It may without an Origin, from the server's own, and
 * from those listed.  tls: the server itself speaks TLS, so an own origin does too. */
bool rt_cors_admits(const char *origins, const struct rt_http_head *h, bool tls);

#endif
