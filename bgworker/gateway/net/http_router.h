/* http_router.h: which request goes where: Engine.IO's, static files', the application's; and limits, CORS, other
 * workers. Knows no path of the API.  Connections are httpconn.h's. */
#ifndef RT_HTTP_ROUTER_H
#define RT_HTTP_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "bgworker/gateway/http/httpconn.h"
#include "network_settings.h"

struct rt_engineio;
struct rt_loop;
struct rt_wheel;
struct rt_http_router;

/* One request whose body has arrived whole.  Lent for the time of the call; the id outlives it. */
struct rt_http_router_request
{
	uint64_t id;               /* for rt_http_router_reply(); never reused */
	const char *method;        /* "GET", "POST", "PATCH", "PUT", "DELETE", "HEAD" */
	const char *path;          /* percent-decoded, NUL-terminated, without the query; no NUL, no ".." segment */
	const char *raw_path;      /* as it came, without the query */
	const char *query;         /* as it came, without the "?"; "" if none */
	const char *authorization; /* header, or NULL */
	const char *content_type;  /* header, or NULL */
	const char *user_agent;    /* header, or NULL */
	const char *body;
	size_t body_len;
	const char *peer;
};

typedef void (*rt_http_router_cb)(void *arg, const struct rt_http_router_request *r);

/* The user of the header's token, allocated; the header may be NULL.  NULL: there is no valid token. */
typedef char *(*rt_http_router_user_cb)(void *arg, const char *authorization);

struct rt_http_router_app
{
	rt_http_router_cb on_request;
	rt_http_router_user_cb user_of; /* NULL: there are no users */
	void *arg;
};

/* The request's token is this user's: neither its time nor the connection is a stranger's. */
void rt_http_router_admit(struct rt_http_router *h, uint64_t id, const char *user);

/* Answers now or later; a client that has left is no error.  headers: "Name: value\r\n..." or NULL.  HEAD gets no
 * body.  CORS and Date are added here. */
void rt_http_router_reply(struct rt_http_router *h, uint64_t id, int status, const char *content_type,
						  const char *headers, const void *body, size_t len);

/* ---- start and end: network.c ---------------------------------------------------- */

/* Passes the connection, by rt_httpconn_take(), to another worker.  Not RT_OK: it could not, and nothing was taken.
 */
typedef enum rt_result (*rt_http_router_pass_cb)(void *arg, int worker, struct rt_httpconn *c);

struct rt_http_router_handler
{
	struct rt_http_router_app app;
	rt_http_router_pass_cb pass;                        /* NULL: there is one worker */
	rt_http_router_pass_cb pass_far;                    /* to the gateway of this number, on another host */
	void (*on_other)(void *arg, struct rt_httpconn *c); /* another gateway speaks */
	void *pass_arg;
	void (*on_descriptor_gone)(void *arg);
	void *gone_arg;
};

struct rt_http_router *rt_http_router_new(struct rt_loop *l, struct rt_wheel *w,
										  const struct rt_network_settings *settings, struct rt_traffic *traffic,
										  struct rt_shares *shares, struct rt_engineio *engineio,
										  const struct rt_http_router_handler *handler);
void rt_http_router_free(struct rt_http_router *r);                         /* NULL is fine */
struct rt_httpconn_server *rt_http_router_server(struct rt_http_router *r); /* lent: where connections are added */
void rt_http_router_reload(struct rt_http_router *r);                       /* the settings have changed */

#endif
