/* rest.c: see rest.h.  The network hands it each request that is neither Socket.IO's nor a static file's.
 *
 * A request passes these steps, and each may answer it: paths that need no database, the table of paths, the end of
 * the program, the token, the rate, the form of the request.  Then it waits for the database, or in a batch of
 * send.c.
 *
 * What must stay true:
 *
 * - Each request gets exactly one answer.  A request that waits knows its id, not its connection: the client may have
 *   left, and then the answer goes nowhere.
 * - The body's and query's keys stand before those of the path and of the gateway, since of a key that stands
 *   twice jsonb keeps the last.  `address` and `gateway` of a login are the gateway's: add_origin() puts them
 *   last.
 * - What is written counts against the same bucket of the user as events that write. */
#include "rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/db/dbread.h"
#include "bgworker/common/json.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/clients/auth.h"
#include "bgworker/gateway/bus/self.h"
#include "bgworker/gateway/clients/counters.h"
#include "bgworker/gateway/ops/metrics.h"
#include "bgworker/gateway/ops/ready.h"
#include "bgworker/gateway/http/share.h"
#include "bgworker/gateway/clients/rates.h"
#include "rest_hint.h"
#include "rest_request.h"
#include "rest_table.h"
#include "bgworker/gateway/chat/send.h"
#include "bgworker/gateway/text/json_scan.h"

#define MAX_ACCOUNT 512 /* bytes of a username, for turns; of a longer one the address alone counts */
#define JSON_TYPE "application/json; charset=utf-8"
/* Of one user, tokens among it: nobody keeps it. */
#define PRIVATE "Cache-Control: no-store\r\n"

struct rt_rest
{
	struct rt_rest_uses uses;
	struct rt_rates *readers;   /* by user: what only reads has a limit of its own, rt.rate_events */
	struct rt_rates *addresses; /* for logins */
};

/* A request that waits for the database. */
struct waiting
{
	struct rt_rest *rest;
	uint64_t id;
	uint64_t began_us;
	enum rt_db_lane lane;
};

struct rt_rest *
rt_rest_new(const struct rt_rest_uses *uses)
{
	struct rt_rest *r = rt_alloc(sizeof(*r));

	r->uses = *uses;
	r->readers = rt_rates_new();
	r->addresses = rt_rates_new();
	return r;
}

void
rt_rest_free(struct rt_rest *r)
{
	if (r == NULL)
		return;
	rt_rates_free(r->readers);
	rt_rates_free(r->addresses);
	free(r);
}

/* ---- answers -------------------------------------------------------------------------- */

static int
status_of(const char *code)
{
	static const struct
	{
		const char *code;
		int status;
	} statuses[] = {
		{"bad_request", 400}, {"unauthorized", 401}, {"wrong_password", 401}, {"forbidden", 403},
		{"waiting", 403},     {"not_found", 404},    {"conflict", 409},       {"full", 409},
		{"gone", 410},        {"too_large", 413},    {"rate_limited", 429},   {"unavailable", 503},
	};

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
	{
		if (strcmp(statuses[i].code, code) == 0)
			return statuses[i].status;
	}
	return 500;
}

static void
reply_error(struct rt_rest *rest, uint64_t id, int status, const char *code, const char *message, const char *headers)
{
	struct rt_text t;

	rt_counters_add(rest->uses.counters, RT_COUNT_REQUEST_ERRORS, 1);
	rt_text_init(&t);
	rt_text_add(&t, "{\"success\":false,\"error\":{\"code\":");
	rt_text_quote(&t, code);
	rt_text_add(&t, ",\"message\":");
	rt_text_quote(&t, message);
	rt_text_add(&t, "}}");
	rt_http_router_reply(rest->uses.http, id, status, JSON_TYPE, headers, t.data, t.len);
	rt_text_fini(&t);
}

static void
refuse(struct rt_rest *rest, uint64_t id, const char *code, const char *message)
{
	int status = status_of(code);

	reply_error(rest, id, status, code, message, status == 503 ? "Retry-After: 1\r\n" : NULL);
}

static void
refuse_rate(struct rt_rest *rest, uint64_t id, uint32_t retry_ms)
{
	char header[40];

	rt_counters_add(rest->uses.counters, RT_COUNT_RATE_LIMITED, 1);
	snprintf(header, sizeof(header), "Retry-After: %u\r\n", (retry_ms + 999) / 1000);
	reply_error(rest, id, 429, "rate_limited", "Too many requests", header);
}

/* With the time after which somebody may try again, where the database gives one. */
static void
headers_of(char *headers, size_t size, long status, const char *json, size_t len)
{
	json_t *body = status == 429 ? rt_json_parse_object(json, len) : NULL;
	int64_t seconds = rt_json_int(body, "retryAfter", 0);
	size_t n = (size_t) snprintf(headers, size, "%s", PRIVATE);

	if (seconds > 0)
		snprintf(headers + n, size - n, "Retry-After: %lld\r\n", (long long) seconds);
	json_decref(body);
}

/* What has ended is told to all gateways, but the client's next request may be here before that.  ended: an array of
 * sids. */
static void
end_sessions(struct rt_rest *rest, const struct rt_json_span *ended)
{
	json_t *sids = json_loadb(ended->text, ended->len, 0, NULL);
	json_t *sid;
	size_t i;

	json_array_foreach(sids, i, sid)
	{
		if (json_is_string(sid))
			rt_auth_end_session(rest->uses.auth, json_string_value(sid));
	}
	json_decref(sids);
}

/* The database's `{"status":n,"data":…}` as `{"success":true,"data":…}` with that status.  Its key `ended`, sids, is
 * for the gateway. */
static void
reply_result(struct rt_rest *rest, uint64_t id, const char *json, size_t len)
{
	struct rt_json_pick picks[] = {{.key = "status", .cut = true}, {.key = "ended", .cut = true}};
	const struct rt_json_pick *picked = &picks[0], *ended = &picks[1];
	struct rt_json_rest others;
	char headers[sizeof(PRIVATE) + 60];
	struct rt_text t;
	long status = 200;

	if (rt_json_scan_split(json, len, picks, 2, &others) != RT_OK ||
		(picked->value.text != NULL && !rt_json_scan_int(&picked->value, &status)))
	{
		reply_error(rest, id, 500, "internal", "Internal error", NULL);
		return;
	}
	if (ended->value.text != NULL)
		end_sessions(rest, &ended->value);
	rt_text_init(&t);
	rt_text_add(&t, status < 400 ? "{\"success\":true" : "{\"success\":false");
	for (int i = 0; i < others.n; i++)
	{
		rt_text_add(&t, ",");
		rt_text_add_n(&t, others.runs[i].p, (size_t) (others.runs[i].end - others.runs[i].p));
	}
	rt_text_add(&t, "}");
	if (status >= 400)
		rt_counters_add(rest->uses.counters, RT_COUNT_REQUEST_ERRORS, 1);
	headers_of(headers, sizeof(headers), status, t.data, t.len);
	rt_http_router_reply(rest->uses.http, id, (int) status, JSON_TYPE, headers, t.data, t.len);
	rt_text_fini(&t);
}

static struct waiting *
wait_for(struct rt_rest *rest, uint64_t id, enum rt_db_lane lane)
{
	struct waiting *w = rt_alloc(sizeof(*w));

	w->rest = rest;
	w->id = id;
	w->lane = lane;
	w->began_us = rt_clock_us();
	return w;
}

static void
end_wait(struct waiting *w)
{
	rt_counters_observe(w->rest->uses.counters,
						w->lane == RT_DB_SLOW ? RT_DURATION_REQUEST_SLOW : RT_DURATION_REQUEST_FAST,
						rt_clock_us() - w->began_us);
	free(w);
}

static void
on_reply(void *arg, const struct rt_db_reply *reply)
{
	struct waiting *w = arg;

	if (reply->ok)
		reply_result(w->rest, w->id, reply->json, reply->json_len);
	else
		refuse(w->rest, w->id, reply->code, reply->message);
	end_wait(w);
}

static void
on_sent(void *arg, const char *item, size_t len, const char *code, const char *message)
{
	struct waiting *w = arg;

	if (item != NULL)
		reply_result(w->rest, w->id, item, len);
	else
		refuse(w->rest, w->id, code, message);
	end_wait(w);
}

/* ---- what needs no database --------------------------------------------------------------- */

static void
reply_ready(struct rt_rest *rest, const struct rt_http_router_request *r, const char *why_not, const char *warning)
{
	bool ready = why_not == NULL;
	char body[200] = "{\"status\":\"ok\"}";

	if (!ready)
		snprintf(body, sizeof(body), "{\"status\":\"not ready\",\"reason\":\"%s\"}", why_not);
	else if (warning != NULL)
		snprintf(body, sizeof(body), "{\"status\":\"ok\",\"warning\":\"%s\"}", warning);
	rt_http_router_reply(rest->uses.http, r->id, ready ? 200 : 503, JSON_TYPE,
						 ready ? "Cache-Control: no-store\r\n" : "Cache-Control: no-store\r\nRetry-After: 1\r\n",
						 body, strlen(body));
}

static bool
reply_health(struct rt_rest *rest, const struct rt_http_router_request *r)
{
	bool live = strcmp(r->path, "/healthz") == 0;
	bool ready = strcmp(r->path, "/readyz") == 0;

	if (!live && !ready && (strcmp(r->path, "/metrics") != 0 || rest->uses.metrics == NULL))
		return false;
	if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0)
		reply_error(rest, r->id, 405, "bad_request", "Method not allowed", "Allow: GET, HEAD\r\n");
	else if (live)
		reply_ready(rest, r, NULL, NULL);
	else if (ready)
		reply_ready(rest, r, rt_ready_why_not(rest->uses.ready), rt_ready_warning(rest->uses.ready));
	else
		rt_metrics_reply(rest->uses.metrics, rest->uses.http, r->id);
	return true;
}

/* ---- requests ------------------------------------------------------------------------------- */

static const struct rt_rest_def *
find_def(const struct rt_http_router_request *r, struct rt_rest_param *params, int *nparams, struct rt_text *allow)
{
	const char *method = strcmp(r->method, "HEAD") == 0 ? "GET" : r->method;
	int n;
	const struct rt_rest_def *defs = rt_rest_table(&n);

	for (int i = 0; i < n; i++)
	{
		int matched = rt_rest_request_match(defs[i].pattern, r->raw_path, params);

		if (matched < 0)
			continue;
		*nparams = matched;
		if (strcmp(defs[i].method, method) == 0)
			return &defs[i];
		rt_text_add(allow, allow->len > 0 ? ", " : "Allow: ");
		rt_text_add(allow, defs[i].method);
	}
	return NULL;
}

static void
refuse_path(struct rt_rest *rest, const struct rt_http_router_request *r, struct rt_text *allow)
{
	char message[RT_REST_HINT_BYTES];

	if (allow->len == 0)
	{
		rt_rest_hint_path(message, r->path);
		refuse(rest, r->id, "not_found", message);
		return;
	}
	snprintf(message, sizeof(message), "Method %.16s not allowed; allowed: %s", r->method,
			 allow->data + strlen("Allow: "));
	rt_text_add(allow, "\r\n");
	reply_error(rest, r->id, 405, "bad_request", message, allow->data);
}

/* The token of an Authorization header; of another scheme, a text that is none. */
static const char *
token_of(const char *header)
{
	if (header != NULL && strncasecmp(header, "Bearer ", 7) == 0)
		return header + 7 + strspn(header + 7, " ");
	return header == NULL || *header == '\0' ? NULL : "no bearer token";
}

char *
rt_rest_user_of(struct rt_rest *rest, const char *authorization)
{
	struct rt_auth_token token = {0};
	char *user = NULL;

	if (rt_auth_ready(rest->uses.auth) &&
		rt_auth_verify(rest->uses.auth, token_of(authorization), &token) == RT_AUTH_OK)
		user = rt_strdup(token.user);
	rt_auth_token_fini(&token);
	return user;
}

/* The messages of CONNECT_ERROR, and for what is no token at all where one belongs. */
static void
refuse_token(struct rt_rest *rest, const struct rt_http_router_request *r, enum rt_auth_verdict v)
{
	const char *hint = rt_rest_hint_token(r->authorization, r->query);
	char message[RT_REST_HINT_BYTES];

	snprintf(message, sizeof(message), hint == NULL ? "%s" : "%s: %s", rt_auth_message(v), hint);
	reply_error(rest, r->id, 401, "unauthorized", message, "WWW-Authenticate: Bearer\r\n");
}

/* False: the token is refused, which has been answered. */
static bool
authenticate(struct rt_rest *rest, const struct rt_http_router_request *r, struct rt_auth_token *token)
{
	enum rt_auth_verdict v;

	if (!rt_auth_ready(rest->uses.auth))
	{
		refuse(rest, r->id, "unavailable", "Not ready yet");
		return false;
	}
	v = rt_auth_verify(rest->uses.auth, token_of(r->authorization), token);
	if (v == RT_AUTH_OK)
		rt_http_router_admit(rest->uses.http, r->id, token->user);
	else
		refuse_token(rest, r, v);
	return v == RT_AUTH_OK;
}

static bool
within_rate(struct rt_rest *rest, const struct rt_rest_def *def, const struct rt_http_router_request *r,
			const char *user)
{
	const struct rt_rates_settings *rates = rest->uses.rates;
	uint64_t now_ms = rt_loop_now_ms(rest->uses.loop);
	uint32_t retry_ms = 0;
	bool within = true;

	if (def->flags & RT_REST_LOGIN)
	{
		double a_minute = rates->logins_per_minute;
		char network[RT_SHARE_ADDRESS_BYTES];

		rt_share_network(r->peer, network);
		within = rt_rates_take(rest->addresses, network, now_ms, a_minute / 60, a_minute, &retry_ms);
	}
	else if (def->flags & RT_REST_WRITES)
		within = rt_rates_take(rest->uses.writers, user, now_ms, rates->writes_per_s, rates->writes_burst, &retry_ms);
	else
	{
		double per_s = rates->events_per_s;

		within = rt_rates_take(rest->readers, user, now_ms, per_s, per_s * 2, &retry_ms);
	}
	if (!within)
		refuse_rate(rest, r->id, retry_ms);
	return within;
}

static bool
send_grouped(struct rt_rest *rest, const struct rt_http_router_request *r, const struct rt_rest_param *room,
			 const char *user, const struct rt_text *req)
{
	uint64_t number;
	char id[RT_ID_LEN + 1];

	if (!rt_json_pos_text(room->value, room->value_len, &number) || number == 0)
		return false;
	snprintf(id, sizeof(id), "%llu", (unsigned long long) number);
	rt_send_message(rest->uses.send, id, user, req->data, req->len, on_sent, wait_for(rest, r->id, RT_DB_FAST));
	return true;
}

static struct rt_rest_param
text_param(const char *name, const char *value)
{
	return (struct rt_rest_param){name, strlen(name), value, strlen(value), true};
}

/* What the gateway knows of a request, behind the body's keys, so that these win. */
static int
add_own_params(struct rt_rest_param *params, int nparams, const struct rt_rest *rest, const struct rt_rest_def *def,
			   const struct rt_http_router_request *r, const struct rt_auth_token *token)
{
	if (def->flags & RT_REST_LOGIN)
	{
		params[nparams++] = text_param("address", r->peer);
		params[nparams++] = text_param("gateway", rest->uses.self->name);
		params[nparams++] = text_param("userAgent", r->user_agent == NULL ? "" : r->user_agent);
	}
	if (def->flags & RT_REST_SESSION)
		params[nparams++] = text_param("session", token->sid == NULL ? "" : token->sid);
	if (def->flags & RT_REST_ADMIN)
		params[nparams++] = text_param("mayAdminister", rt_auth_may_administer(token) ? "true" : "false");
	return nparams;
}

/* A request whose user is being created. */
struct deferred
{
	struct rt_rest *rest;
	const struct rt_rest_def *def;
	uint64_t id;
	char *user;
	struct rt_text req;
};

static void
on_provisioned(void *arg, bool ok)
{
	struct deferred *d = arg;

	if (ok)
		rt_db_call(d->rest->uses.db, d->def->lane, d->def->fn, d->user, d->req.data, d->req.len, on_reply,
				   wait_for(d->rest, d->id, d->def->lane));
	else
		refuse(d->rest, d->id, "unavailable", "Temporarily unavailable");
	rt_text_fini(&d->req);
	free(d->user);
	free(d);
}

/* Takes the request's text. */
static void
defer(struct rt_rest *rest, const struct rt_rest_def *def, uint64_t id, const struct rt_auth_token *token,
	  struct rt_text *req)
{
	struct deferred *d = rt_alloc(sizeof(*d));

	*d = (struct deferred){rest, def, id, rt_strdup(token->user), *req};
	rt_text_init(req);
	rt_auth_provision(rest->uses.auth, token, on_provisioned, d);
}

/* Checking a password takes long by design, and anybody may ask for it: addresses and accounts take turns, so that
 * who tries many passwords, or many try one account, waits for themselves alone. */
static void
log_in(struct rt_rest *rest, const struct rt_rest_def *def, const struct rt_http_router_request *r,
	   const struct rt_text *req)
{
	struct rt_json_pick name = {.key = "username"};
	struct rt_json_rest rest_of_it;
	char network[RT_SHARE_ADDRESS_BYTES];
	char account[MAX_ACCOUNT] = "";

	rt_share_network(r->peer, network);
	if (rt_json_scan_split(req->data, req->len, &name, 1, &rest_of_it) == RT_OK && name.value.text != NULL &&
		name.value.kind == RT_JSON_STRING && name.value.len <= sizeof(account))
		rt_json_scan_decode(name.value.text, name.value.len, account);
	for (char *p = account; *p != '\0'; p++)
		*p = (char) (*p >= 'A' && *p <= 'Z' ? *p + ('a' - 'A') : *p);
	rt_db_call_heavy(rest->uses.db, def->lane, def->fn, NULL, network, account[0] == '\0' ? NULL : account, req->data,
					 req->len, on_reply, wait_for(rest, r->id, def->lane));
}

static void
run(struct rt_rest *rest, const struct rt_rest_def *def, const struct rt_http_router_request *r,
	struct rt_rest_param *params, int nparams, const struct rt_auth_token *token)
{
	struct rt_text req;

	nparams = add_own_params(params, nparams, rest, def, r, token);
	rt_text_init(&req);
	if (!rt_rest_request_write(&req, r->body, r->body_len, r->query, params, nparams))
		refuse(rest, r->id, "bad_request", rt_rest_hint_form(r->content_type, r->body, r->body_len));
	else if (!rt_auth_is_provisioned(rest->uses.auth, token))
		defer(rest, def, r->id, token, &req);
	else if (def->flags & RT_REST_LOGIN)
		log_in(rest, def, r, &req);
	else if (def->flags & RT_REST_HEAVY)
		rt_db_call_heavy(rest->uses.db, def->lane, def->fn, token->user, token->user, NULL, req.data, req.len,
						 on_reply, wait_for(rest, r->id, def->lane));
	else if (def->flags & RT_REST_READS)
		rt_dbread_call(rest->uses.reads, def->lane, def->fn, token->user, req.data, req.len, on_reply,
					   wait_for(rest, r->id, def->lane));
	else if (!(def->flags & RT_REST_SEND) || !send_grouped(rest, r, &params[0], token->user, &req))
		rt_db_call(rest->uses.db, def->lane, def->fn, token->user, req.data, req.len, on_reply,
				   wait_for(rest, r->id, def->lane));
	rt_text_fini(&req);
}

void
rt_rest_serve(struct rt_rest *rest, const struct rt_http_router_request *r)
{
	struct rt_rest_param params[RT_REST_PARAMS_MAX];
	const struct rt_rest_def *def;
	struct rt_text allow;
	struct rt_auth_token token = {0};
	int nparams = 0;

	rt_counters_add(rest->uses.counters, RT_COUNT_REQUESTS, 1);
	if (reply_health(rest, r))
		return;
	rt_text_init(&allow);
	def = find_def(r, params, &nparams, &allow);
	if (def == NULL)
		refuse_path(rest, r, &allow);
	else if (rest->uses.self->ending)
		refuse(rest, r->id, "unavailable", "Server shutting down");
	else if (((def->flags & RT_REST_OPEN) || authenticate(rest, r, &token)) && within_rate(rest, def, r, token.user))
		run(rest, def, r, params, nparams, &token);
	rt_auth_token_fini(&token);
	rt_text_fini(&allow);
}
