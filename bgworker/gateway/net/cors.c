/* cors.c: which pages may use the server: the headers of the CORS protocol (Fetch standard, section 3.3) for origins
 * that rt.cors_origins names, and whether a session may come from a page at all.
 *
 * Browsers do not apply the CORS protocol to websockets, and a polling request may be one that they send without
 * asking first: so for sessions the Origin itself is judged (RFC 6455, section 10.2).  Only browsers send one.
 *
 * http_router.c asks once for each request.  Credentials are allowed to origins that are named, never to "*". */
#include "cors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bgworker/common/alloc.h"

#define MAX_ORIGIN 256
#define MAX_ASKED_HEADERS 1024

static bool
ends_with(const char *text, size_t len, const char *end, size_t end_len)
{
	return len > end_len && strncasecmp(text + len - end_len, end, end_len) == 0;
}

/* A star at the beginning of a host stands for one or more labels in front of the domain; the port, or that there is
 * none, is part of what must be the same.  What the star stands for has no character that could end the host (RFC
 * 6454, section 7.1). */
static bool
matches(const char *item, size_t item_len, const char *origin, size_t len)
{
	static const char host_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	const char *star = memmem(item, item_len, "://*.", 5);
	size_t scheme_len = star == NULL ? 0 : (size_t) (star - item) + 3;
	size_t domain_len = item_len - scheme_len - 1; /* with its dot */
	size_t labels_len;

	if (star == NULL)
		return item_len == len && strncasecmp(item, origin, len) == 0;
	if (len <= scheme_len || strncasecmp(item, origin, scheme_len) != 0 ||
		!ends_with(origin + scheme_len, len - scheme_len, star + 4, domain_len))
		return false;
	labels_len = len - scheme_len - domain_len;
	for (size_t i = 0; i < labels_len; i++)
		if (memchr(host_chars, origin[scheme_len + i], sizeof(host_chars) - 1) == NULL)
			return false;
	return origin[scheme_len] != '.' && origin[scheme_len + labels_len - 1] != '.';
}

/* Is the origin in the list?  *any: because of a "*". */
static bool
is_listed(const char *origins, const char *origin, size_t len, bool *any)
{
	*any = false;
	while (origins != NULL && *origins != '\0')
	{
		size_t item_len = strcspn(origins, ",");
		const char *item = origins;

		origins += item_len + (origins[item_len] == ',');
		while (item_len > 0 && (*item == ' ' || *item == '\t'))
		{
			item++;
			item_len--;
		}
		while (item_len > 0 && (item[item_len - 1] == ' ' || item[item_len - 1] == '/'))
			item_len--;
		if (item_len == 1 && *item == '*')
			*any = true;
		else if (item_len > 0 && matches(item, item_len, origin, len))
			return true;
	}
	return *any;
}

/* The origin is where the request went to: what it says behind its scheme is the Host.  The scheme is not compared
 * where TLS may have ended in front of us.  A Host may name the port that a scheme has anyway, an Origin does not. */
static bool
is_own(const struct rt_http_head *h, const char *origin, size_t len, bool tls)
{
	static const struct
	{
		const char *scheme;
		const char *port;
		bool secure;
	} schemes[] = {{"https://", ":443", true}, {"http://", ":80", false}};
	const struct rt_http_header *host = rt_http_find_header(h, "host");

	for (size_t i = 0; host != NULL && i < sizeof(schemes) / sizeof(schemes[0]); i++)
	{
		size_t scheme_len = strlen(schemes[i].scheme);
		size_t port_len = strlen(schemes[i].port);
		size_t name_len = len - scheme_len;

		if (len <= scheme_len || strncasecmp(origin, schemes[i].scheme, scheme_len) != 0 ||
			(tls && !schemes[i].secure))
			continue;
		if (host->value_len == name_len + port_len &&
			ends_with(host->value, host->value_len, schemes[i].port, port_len))
			return strncasecmp(host->value, origin + scheme_len, name_len) == 0;
		return host->value_len == name_len && strncasecmp(host->value, origin + scheme_len, name_len) == 0;
	}
	return false;
}

bool
rt_cors_admits(const char *origins, const struct rt_http_head *h, bool tls)
{
	const struct rt_http_header *origin = rt_http_find_header(h, "origin");
	bool any;

	return origin == NULL || is_own(h, origin->value, origin->value_len, tls) ||
		   is_listed(origins, origin->value, origin->value_len, &any);
}

static void
add_preflight(char *out, size_t size, const struct rt_http_head *h)
{
	const struct rt_http_header *asked = rt_http_find_header(h, "access-control-request-headers");
	size_t used = strlen(out);
	int n = snprintf(out + used, size - used,
					 "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE\r\n"
					 "Access-Control-Max-Age: 600\r\n");

	if (asked != NULL && asked->value_len <= MAX_ASKED_HEADERS)
		snprintf(out + used + n, size - used - (size_t) n, "Access-Control-Allow-Headers: %.*s\r\n",
				 (int) asked->value_len, asked->value);
}

char *
rt_cors_headers(const char *origins, const struct rt_http_head *h)
{
	const struct rt_http_header *origin = rt_http_find_header(h, "origin");
	char out[MAX_ORIGIN + MAX_ASKED_HEADERS + 512];
	bool any;

	if (origin == NULL || origins == NULL || origin->value_len > MAX_ORIGIN ||
		!is_listed(origins, origin->value, origin->value_len, &any))
		return NULL;
	if (any)
		snprintf(out, sizeof(out), "Access-Control-Allow-Origin: *\r\n");
	else
		snprintf(out, sizeof(out),
				 "Access-Control-Allow-Origin: %.*s\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n",
				 (int) origin->value_len, origin->value);
	if (rt_http_find_header(h, "access-control-request-method") != NULL)
		add_preflight(out, sizeof(out), h);
	else
		strcat(out, "Access-Control-Expose-Headers: Retry-After\r\n");
	return rt_strdup(out);
}
