/* cors.h: which pages of other origins may use the server (Fetch standard, CORS protocol).  Pure. */
#ifndef RT_CORS_H
#define RT_CORS_H

#include "bgworker/gateway/http/http.h"

/* Headers for a reply to this request, allocated; NULL if none are needed: no Origin, or one that is not allowed.
 * `origins` is a comma-separated list, "*" for any. A preflight gets what it asked for. */
char *rt_cors_headers(const char *origins, const struct rt_http_head *h);

#endif
