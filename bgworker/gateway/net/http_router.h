/* http_router.h: starts and ends what http.h gives to the application. */
#ifndef RT_HTTP_ROUTER_H
#define RT_HTTP_ROUTER_H

#include "http.h"
#include "bgworker/gateway/http/httpconn.h"

struct rt_eio;

/* Passes the connection, by rt_httpconn_take(), to another worker.  Not RT_OK: it could not, and nothing was taken.
 */
typedef enum rt_result (*rt_http_pass_cb)(void *arg, int worker, struct rt_httpconn *c);

struct rt_http_router
{
	rt_http_cb on_request; /* of the application */
	void *on_request_arg;
	rt_http_pass_cb pass; /* NULL: there is one worker */
	void *pass_arg;
	void (*on_descriptor_gone)(void *arg);
	void *gone_arg;
};

struct rt_http *rt_http_new(struct rt_loop *l, struct rt_wheel *w, const struct rt_transport_options *conf,
							struct rt_transport_stats *stats, struct rt_eio *eio,
							const struct rt_http_router *router);
void rt_http_free(struct rt_http *http);                    /* NULL is fine */
struct rt_httpserver *rt_http_server(struct rt_http *http); /* lent: where connections are added */
void rt_http_reload(struct rt_http *http);                  /* the settings have changed */

#endif
