/* rest.h: REST: from a method and a path to a function of rt_api, and its result as the answer. */
#ifndef RT_REST_H
#define RT_REST_H

#include <stdbool.h>

#include "bgworker/common/db/db.h"
#include "bgworker/gateway/net/http_router.h"

struct rt_app;
struct rt_rest;

#define RT_REST_OPEN 1   /* needs no token */
#define RT_REST_LOGIN 2  /* limited by rt.rate_logins an address */
#define RT_REST_SEND 4   /* a message for a room: grouped by send.c */
#define RT_REST_WRITES 8 /* limited by rt.rate_messages a user */

struct rt_rest_def
{
	const char *method;
	const char *pattern; /* "/api/chat/rooms/:roomId/msgs|messages" */
	const char *fn;
	enum rt_db_lane lane;
	int flags;
};

struct rt_rest *rt_rest_new(struct rt_app *app);
void rt_rest_free(struct rt_rest *r); /* the database's callbacks must have ended; NULL is fine */

/* What the transport calls; arg is the app. */
void rt_rest_on_request(void *arg, const struct rt_http_router_request *r);

/* /readyz: the database and the bus are there, and it is not about to end. */
bool rt_rest_is_ready(const struct rt_app *app);

/* The table: rest_table.c. */
const struct rt_rest_def *rt_rest_table(int *n);

#endif
