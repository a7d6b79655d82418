/* http_router.c: tells the requests apart: Engine.IO's, static files', the application's; those whose session lives
 * in another worker are passed on.
 *
 * httpconn.c calls it twice for a request: at its head, when it can still be refused or given away before a body has
 * been read, and when the body is there.  It adds what every answer has (CORS), and finds out who asks behind
 * proxies. */
#include "http_router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"
#include "cors.h"
#include "bgworker/gateway/engineio/engineio.h"
#include "tls.h"
#include "http_static.h"
#include "proxies.h"

#define ALLOWED "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

struct rt_http_router
{
	const struct rt_network_settings *settings;
	struct rt_traffic *traffic;
	struct rt_shares *shares;
	struct rt_httpconn_server *server;
	struct rt_engineio *engineio;
	struct rt_http_static *files;
	struct rt_proxies *proxies;
	struct rt_http_router_app app;
	rt_http_router_pass_cb pass;
	rt_http_router_pass_cb pass_far;
	void (*on_other)(void *arg, struct rt_httpconn *c);
	void *pass_arg;
	char always[80]; /* headers of every reply */
};

/* The request's target, taken apart; all in one block of memory. */
struct target
{
	char *raw_path;
	char *path;
	char *query;
};

/* ---- targets --------------------------------------------------------------------- */

/* Behind "http://host" of the absolute form (RFC 9112, section 3.2.2); clients of proxies send it. */
static const char *
skip_authority(const char *target, const char *end)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
	{
		size_t len = strlen(schemes[i]);

		if ((size_t) (end - target) < len || strncasecmp(target, schemes[i], len) != 0)
			continue;
		for (target += len; target < end && *target != '/' && *target != '?'; target++)
			continue;
		break;
	}
	return target;
}

static enum rt_result
parse_target(const struct rt_http_head *h, struct target *t)
{
	const char *end = h->target + h->target_len;
	const char *path = skip_authority(h->target, end);
	const char *path_end;
	const char *query_end;
	size_t path_len;
	size_t query_len;

	for (query_end = path; query_end < end && *query_end != '#'; query_end++)
		continue;
	path_end = memchr(path, '?', (size_t) (query_end - path));
	if (path_end == NULL)
		path_end = query_end;
	path_len = (size_t) (path_end - path);
	query_len = path_end < query_end ? (size_t) (query_end - path_end - 1) : 0;
	t->raw_path = rt_alloc(2 * (path_len + 1) + query_len + 1);
	t->path = t->raw_path + path_len + 1;
	t->query = t->path + path_len + 1;
	memcpy(t->raw_path, path, path_len);
	if (query_len > 0)
		memcpy(t->query, path_end + 1, query_len);
	if (path_len > 0 && path[0] == '/' && rt_http_decode_path(path, path_len, t->path) == RT_OK)
		return RT_OK;
	free(t->raw_path);
	return RT_BAD_INPUT;
}

static bool
is_engineio(const struct target *t)
{
	return strcmp(t->path, "/socket.io/") == 0 || strcmp(t->path, "/socket.io") == 0;
}

/* ---- answers of our own ------------------------------------------------------------ */

static void
reply_error(struct rt_httpconn *c, int status, const char *headers, const char *code, const char *message)
{
	char body[256];
	int n = snprintf(body, sizeof(body), "{\"success\":false,\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}", code,
					 message);

	rt_httpconn_reply(c, &(struct rt_http_answer){.status = status,
												  .content_type = "application/json",
												  .headers = headers,
												  .body = body,
												  .len = (size_t) n});
}

static enum rt_http_verdict
refuse(struct rt_http_router *r, struct rt_httpconn *c, int status, const char *headers, const char *code,
	   const char *message)
{
	r->traffic->http_bad_requests++;
	reply_error(c, status, headers, code, message);
	return RT_HTTP_ANSWERED;
}

static bool
is_known_method(const struct rt_http_head *h)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (rt_http_method_is(h, methods[i]))
			return true;
	return false;
}

/* ---- requests ------------------------------------------------------------------------ */

static char *
copy_header(const struct rt_http_head *h, const char *name)
{
	const struct rt_http_header *header = rt_http_find_header(h, name);

	return header == NULL ? NULL : rt_strndup(header->value, header->value_len);
}

static void
admit(struct rt_http_router *r, struct rt_httpconn *c, const char *user)
{
	struct rt_share *share = rt_share_of_user(r->shares, user);

	rt_httpconn_admit(c, share);
	rt_share_drop(share);
}

static enum rt_http_verdict
judge_engineio(struct rt_http_router *r, struct rt_httpconn *c, const struct rt_http_head *h, const struct target *t)
{
	int number = rt_engineio_number_of(t->query);
	bool is_near = r->pass != NULL && number < r->settings->workers;

	if (!rt_cors_admits(r->settings->cors_origins, h, r->settings->tls))
	{
		r->traffic->foreign_origins++;
		rt_eio_session_refuse(c, RT_EIO_FORBIDDEN);
		return RT_HTTP_ANSWERED;
	}
	if (number >= 0 && number != r->settings->eio.number && is_near && r->pass(r->pass_arg, number, c) == RT_OK)
		return RT_HTTP_TAKEN;
	if (number >= 0 && number != r->settings->eio.number && !is_near && !rt_httpconn_was_passed(c) &&
		r->pass_far != NULL && r->pass_far(r->pass_arg, number, c) == RT_OK)
		return RT_HTTP_TAKEN;
	return rt_engineio_on_head(r->engineio, c, h, t->query);
}

/* True: the token is a user's, who may send it. */
static bool
admit_body(struct rt_http_router *r, struct rt_httpconn *c, const struct rt_http_head *h)
{
	char *authorization = copy_header(h, "authorization");
	char *user = r->app.user_of == NULL ? NULL : r->app.user_of(r->app.arg, authorization);

	free(authorization);
	if (user == NULL)
		return false;
	admit(r, c, user);
	free(user);
	return true;
}

static enum rt_http_verdict
judge(struct rt_http_router *r, struct rt_httpconn *c, const struct rt_http_head *h, const struct target *t)
{
	if (h->has_length && h->content_length > r->settings->limits.max_payload_bytes)
		return refuse(r, c, 413, NULL, "too_large", "The request is too large");
	if (rt_http_method_is(h, "OPTIONS"))
	{
		rt_httpconn_reply(c, &(struct rt_http_answer){.status = 204, .headers = "Allow: " ALLOWED "\r\n"});
		return RT_HTTP_ANSWERED;
	}
	if (is_engineio(t))
		return judge_engineio(r, c, h, t);
	if (!is_known_method(h))
		return refuse(r, c, 405, "Allow: " ALLOWED "\r\n", "bad_request", "Method not allowed");
	if (rt_http_header_has_token(h, "upgrade", "websocket"))
		return refuse(r, c, 400, NULL, "bad_request", "No websocket here");
	/* No stranger's body is read beyond the little that a login needs. */
	if ((h->chunked || h->content_length > RT_SHARE_STRANGER_BODY_BYTES) && !admit_body(r, c, h) && !h->chunked)
		return refuse(r, c, 401, "WWW-Authenticate: Bearer\r\n", "unauthorized", "A body of this size needs a token");
	return RT_HTTP_READ_BODY;
}

static void
on_client(void *arg, struct rt_httpconn *c, const struct rt_http_head *h)
{
	struct rt_http_router *r = arg;
	char client[RT_PEER_BYTES];

	rt_proxies_client(r->proxies, rt_httpconn_peer(c), h, client);
	rt_httpconn_set_client(c, client);
}

static enum rt_http_verdict
on_head(void *arg, struct rt_httpconn *c, const struct rt_http_head *h)
{
	struct rt_http_router *r = arg;
	struct target t;
	enum rt_http_verdict verdict;

	rt_httpconn_set_headers(c, rt_cors_headers(r->settings->cors_origins, h));
	if (rt_http_method_is(h, "OPTIONS") && h->target_len == 1 && h->target[0] == '*')
	{
		rt_httpconn_reply(c, &(struct rt_http_answer){.status = 204, .headers = "Allow: " ALLOWED "\r\n"});
		return RT_HTTP_ANSWERED;
	}
	if (parse_target(h, &t) != RT_OK)
		return refuse(r, c, 400, NULL, "bad_request", "Malformed path");
	verdict = judge(r, c, h, &t);
	free(t.raw_path);
	return verdict;
}

static void
ask_application(struct rt_http_router *r, struct rt_httpconn *c, const struct rt_http_head *h, const struct target *t,
				const char *body, size_t len)
{
	char *method = rt_strndup(h->method, h->method_len);
	char *authorization = copy_header(h, "authorization");
	char *content_type = copy_header(h, "content-type");
	char *user_agent = copy_header(h, "user-agent");
	struct rt_http_router_request request = {.id = rt_httpconn_id(c),
											 .method = method,
											 .path = t->path,
											 .raw_path = t->raw_path,
											 .query = t->query,
											 .authorization = authorization,
											 .content_type = content_type,
											 .user_agent = user_agent,
											 .body = body == NULL ? "" : body,
											 .body_len = len,
											 .peer = rt_httpconn_client(c)};

	r->app.on_request(r->app.arg, &request);
	free(method);
	free(authorization);
	free(content_type);
	free(user_agent);
}

static void
on_request(void *arg, struct rt_httpconn *c, const struct rt_http_head *h, const char *body, size_t len)
{
	struct rt_http_router *r = arg;
	struct target t;

	if (parse_target(h, &t) != RT_OK)
		return; /* on_head saw the same bytes and found them fine */
	if (is_engineio(&t))
		rt_engineio_on_request(r->engineio, c, h, t.query, body, len);
	else if (!rt_http_static_has(r->files, t.path))
		ask_application(r, c, h, &t, body, len);
	else if (rt_http_method_is(h, "GET") || rt_http_method_is(h, "HEAD"))
		rt_http_static_serve(r->files, c, h, t.path);
	else
		refuse(r, c, 405, "Allow: GET, HEAD\r\n", "bad_request", "Method not allowed");
	free(t.raw_path);
}

static void
on_abandoned(void *arg, struct rt_httpconn *c)
{
	(void) arg;
	rt_engineio_on_abandoned(c);
}

static void
on_other(void *arg, struct rt_httpconn *c)
{
	struct rt_http_router *r = arg;

	r->on_other(r->pass_arg, c);
}

/* ---- for the application --------------------------------------------------------------- */

/* Lines of "Name: value", each with its CRLF, and nothing that would begin a line of its own. */
static bool
are_headers_sound(const char *headers)
{
	while (*headers != '\0')
	{
		size_t len = strcspn(headers, "\r\n");
		const char *colon = memchr(headers, ':', len);

		if (colon == NULL || colon == headers || headers[len] != '\r' || headers[len + 1] != '\n')
			return false;
		headers += len + 2;
	}
	return true;
}

void
rt_http_router_admit(struct rt_http_router *r, uint64_t id, const char *user)
{
	struct rt_httpconn *c = rt_httpconn_server_find(r->server, id);

	if (c != NULL)
		admit(r, c, user);
}

void
rt_http_router_reply(struct rt_http_router *r, uint64_t id, int status, const char *content_type, const char *headers,
					 const void *body, size_t len)
{
	struct rt_httpconn *c = rt_httpconn_server_find(r->server, id);

	if (c == NULL)
		return;
	if (headers != NULL && !are_headers_sound(headers))
	{
		rt_log(RT_LOG_ERROR, "http", "headers of a reply were malformed and left out");
		headers = NULL;
	}
	rt_httpconn_reply(c, &(struct rt_http_answer){.status = status,
												  .content_type = content_type,
												  .headers = headers,
												  .body = body,
												  .len = len,
												  .may_gzip = true});
}

/* RFC 6797, section 6.1.  Where TLS ends in front of us, whoever ends it says so. */
static void
apply_settings(struct rt_http_router *r)
{
	const struct rt_network_settings *s = r->settings;

	r->always[0] = '\0';
	if (s->tls && s->hsts_max_age_s > 0)
		snprintf(r->always, sizeof(r->always), "Strict-Transport-Security: max-age=%d\r\n", s->hsts_max_age_s);
	rt_httpconn_server_set_headers(r->server, r->always);
	rt_http_static_configure(r->files, s->connect_sources, s->oidc_issuer, s->oidc_client_id);
	rt_http_static_show_reference(r->files, s->serve_reference);
}

struct rt_http_router *
rt_http_router_new(struct rt_loop *l, struct rt_wheel *w, const struct rt_network_settings *settings,
				   struct rt_traffic *traffic, struct rt_shares *shares, struct rt_engineio *engineio,
				   const struct rt_http_router_handler *handler)
{
	struct rt_http_router *r = rt_alloc(sizeof(*r));
	struct rt_httpconn_handler conn_handler = {.on_client = on_client,
											   .on_head = on_head,
											   .on_request = on_request,
											   .on_abandoned = on_abandoned,
											   .other_hello = handler->on_other == NULL ? NULL : RT_TLS_HELLO,
											   .on_other = on_other,
											   .on_gone = handler->on_descriptor_gone,
											   .arg = r,
											   .gone_arg = handler->gone_arg};

	r->settings = settings;
	r->traffic = traffic;
	r->shares = shares;
	r->engineio = engineio;
	r->app = handler->app;
	r->pass = handler->pass;
	r->pass_far = handler->pass_far;
	r->on_other = handler->on_other;
	r->pass_arg = handler->pass_arg;
	r->files = rt_http_static_new(settings->static_dir);
	r->proxies = rt_proxies_new(settings->trusted_proxies);
	r->server = rt_httpconn_server_new(l, w, &settings->limits, traffic, shares, &conn_handler);
	apply_settings(r);
	return r;
}

void
rt_http_router_reload(struct rt_http_router *r)
{
	rt_proxies_free(r->proxies);
	r->proxies = rt_proxies_new(r->settings->trusted_proxies);
	apply_settings(r);
}

struct rt_httpconn_server *
rt_http_router_server(struct rt_http_router *r)
{
	return r->server;
}

void
rt_http_router_free(struct rt_http_router *r)
{
	if (r == NULL)
		return;
	rt_httpconn_server_free(r->server);
	rt_http_static_free(r->files);
	rt_proxies_free(r->proxies);
	free(r);
}
