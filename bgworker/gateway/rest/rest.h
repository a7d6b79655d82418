/* rest.h: REST: from a method and a path to a function of rt_api, and its result as the answer. */
#ifndef RT_REST_H
#define RT_REST_H

#include "bgworker/gateway/net/http_router.h"

struct rt_auth;
struct rt_counters;
struct rt_db;
struct rt_dbread;
struct rt_loop;
struct rt_metrics;
struct rt_rates;
struct rt_rates_settings;
struct rt_ready;
struct rt_rest;
struct rt_self;
struct rt_send;

/* What it uses; all is lent, and must live as long. */
struct rt_rest_uses
{
	const struct rt_loop *loop;
	struct rt_db *db;
	struct rt_dbread *reads;
	const struct rt_self *self;
	struct rt_http_router *http;
	struct rt_auth *auth;
	struct rt_send *send;
	struct rt_rates *writers; /* by user: of what is written, by events and by REST */
	const struct rt_rates_settings *rates;
	struct rt_counters *counters;
	const struct rt_ready *ready;
	struct rt_metrics *metrics; /* NULL: not served here */
};

struct rt_rest *rt_rest_new(const struct rt_rest_uses *uses);
void rt_rest_free(struct rt_rest *r); /* the database's callbacks must have ended; NULL is fine */

/* The user of an Authorization header's token, allocated; NULL: there is no valid token. */
char *rt_rest_user_of(struct rt_rest *rest, const char *authorization);

/* Answers a request, now or later. */
void rt_rest_serve(struct rt_rest *rest, const struct rt_http_router_request *r);

#endif
