/* cors.c: the headers of the CORS protocol (Fetch standard, section 3.3), for origins that rt.cors_origins names.
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

/* Is the origin in the list?  *any: because of a "*". */
static bool
is_listed(const char *origins, const char *origin, size_t len, bool *any)
{
	*any = false;
	while (*origins != '\0')
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
		else if (item_len == len && strncasecmp(item, origin, len) == 0)
			return true;
	}
	return *any;
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
