/* http_static.h: the demo application's files, read once at the start and served from memory. */
#ifndef RT_HTTP_STATIC_H
#define RT_HTTP_STATIC_H

#include <stdbool.h>

#include "bgworker/gateway/http/httpconn.h"

struct rt_http_static;

/* index.html (as "/"), favicon.ico, the reference, and what lies under assets/ and socket.io/.  Never fails: what
 * cannot be read is logged. */
struct rt_http_static *rt_http_static_new(const char *dir);
void rt_http_static_free(struct rt_http_static *s); /* NULL is fine */

/* Where the pages may connect to beside their own server, in their Content-Security-Policy: `sources` separated by
 * commas, and the identity provider `issuer`.  /assets/settings.json tells the application the provider, and what it
 * is called there.  Each may be NULL: nowhere, and none. */
void rt_http_static_configure(struct rt_http_static *s, const char *sources, const char *issuer,
							  const char *client_id);

/* Whether /reference, /openapi.yaml and /asyncapi.yaml are there; they are, at first. */
void rt_http_static_show_reference(struct rt_http_static *s, bool shown);

bool rt_http_static_has(const struct rt_http_static *s, const char *path);

/* Answers and returns true if there is such a file. */
bool rt_http_static_serve(const struct rt_http_static *s, struct rt_httpconn *c, const struct rt_http_head *h,
						  const char *path);

#endif
