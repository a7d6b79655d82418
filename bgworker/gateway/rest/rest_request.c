/* rest_request.c: see rest_request.h.  Works on text alone, and knows no path.
 *
 *     {<the body's keys>, "<query key>": "<value>", …, "<path parameter>": "<value>", …}
 *
 * The body must be a JSON object and goes into the request as it came.  Values of query and path become strings,
 * decoded and checked to be UTF-8 without NUL; the function of rt_api reads its numbers from them. */
#include "rest_request.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "bgworker/gateway/text/json_scan.h"
#include "bgworker/gateway/text/span.h"
#include "bgworker/gateway/text/utf8.h"

#define QUERY_KEYS_MAX 32
#define KEY_LEN_MAX 32

/* One segment of the pattern, with alternatives, against one of the path. */
static bool
segment_fits(const char *pattern, size_t pattern_len, const char *segment, size_t len)
{
	const char *end = pattern + pattern_len;

	while (pattern < end)
	{
		const char *bar = memchr(pattern, '|', (size_t) (end - pattern));
		size_t n = (size_t) ((bar == NULL ? end : bar) - pattern);

		if (n == len && memcmp(pattern, segment, n) == 0)
			return true;
		pattern += n + 1;
	}
	return false;
}

int
rt_rest_request_match(const char *pattern, const char *path, struct rt_rest_param params[RT_REST_PARAMS_MAX])
{
	int n = 0;

	while (*pattern == '/' && *path == '/')
	{
		size_t pattern_len = strcspn(++pattern, "/");
		size_t len = strcspn(++path, "/");

		if (*pattern == ':')
		{
			if (len == 0 || n == RT_REST_PARAMS_MAX)
				return -1;
			params[n++] = (struct rt_rest_param){pattern + 1, pattern_len - 1, path, len, false};
		}
		else if (!segment_fits(pattern, pattern_len, path, len))
			return -1;
		pattern += pattern_len;
		path += len;
	}
	return *pattern == '\0' && *path == '\0' ? n : -1;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char) tolower((unsigned char) c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
rt_rest_request_decode(struct rt_text *t, const char *text, size_t len, bool plus_is_space)
{
	for (size_t i = 0; i < len; i++)
	{
		char c = text[i];

		if (c == '%')
		{
			int high = i + 2 < len ? hex(text[i + 1]) : -1;
			int low = i + 2 < len ? hex(text[i + 2]) : -1;

			if (high < 0 || low < 0 || (high == 0 && low == 0))
				return false;
			c = (char) (high * 16 + low);
			i += 2;
		}
		else if (c == '+' && plus_is_space)
			c = ' ';
		rt_text_add_n(t, &c, 1);
	}
	return true;
}

static bool
write_pair(struct rt_text *t, const char *key, size_t key_len, const char *value, size_t value_len, bool plus)
{
	struct rt_text decoded;
	bool ok;

	rt_text_init(&decoded);
	rt_text_add(&decoded, "");
	ok = rt_rest_request_decode(&decoded, value, value_len, plus) && rt_utf8_valid(decoded.data, decoded.len);
	if (ok)
	{
		rt_text_add(t, t->len > 1 ? "," : "");
		rt_text_quote_n(t, key, key_len);
		rt_text_add(t, ":");
		rt_text_quote_n(t, decoded.data, decoded.len);
	}
	rt_text_fini(&decoded);
	return ok;
}

/* What is no UTF-8 is left out: a header may be anything. */
static void
write_text(struct rt_text *t, const struct rt_rest_param *p)
{
	rt_text_add(t, t->len > 1 ? "," : "");
	rt_text_quote_n(t, p->name, p->name_len);
	rt_text_add(t, ":");
	rt_text_quote_n(t, p->value, rt_utf8_valid(p->value, p->value_len) ? p->value_len : 0);
}

static bool
is_plain_key(const char *key, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		if (!isalnum((unsigned char) key[i]) && key[i] != '_')
			return false;
	}
	return len > 0 && len <= KEY_LEN_MAX;
}

/* Keys that no request of ours has are left out. */
static bool
write_query(struct rt_text *t, const char *query)
{
	for (int n = 0; *query != '\0' && n < QUERY_KEYS_MAX; n++)
	{
		size_t len = strcspn(query, "&");
		const char *equals = memchr(query, '=', len);
		size_t key_len = equals == NULL ? len : (size_t) (equals - query);

		if (equals != NULL && is_plain_key(query, key_len) &&
			!write_pair(t, query, key_len, equals + 1, len - key_len - 1, true))
			return false;
		query += len;
		query += *query == '&';
	}
	return true;
}

/* The body goes into a larger text, so it must be whole in itself; within the same limits as an event's argument. */
bool
rt_rest_request_is_object(const char *body, size_t len)
{
	json_t *value = json_loadb(body, len, JSON_DECODE_INT_AS_REAL, NULL);
	bool is = json_is_object(value);
	struct rt_json_span span;

	json_decref(value);
	return is && rt_json_scan(&body, body + len, &span) == RT_OK;
}

static bool
write_body(struct rt_text *t, const char *body, size_t len)
{
	while (len > 0 && rt_span_is_space(body[len - 1]))
		len--;
	while (len > 0 && rt_span_is_space(*body))
	{
		body++;
		len--;
	}
	if (len == 0)
		return true;
	if (!rt_rest_request_is_object(body, len))
		return false;
	body++;
	len -= 2;
	while (len > 0 && rt_span_is_space(*body))
	{
		body++;
		len--;
	}
	rt_text_add_n(t, body, len);
	return true;
}

bool
rt_rest_request_write(struct rt_text *t, const char *body, size_t body_len, const char *query,
					  const struct rt_rest_param *params, int nparams)
{
	rt_text_add(t, "{");
	if (!write_body(t, body, body_len) || !write_query(t, query))
		return false;
	for (int i = 0; i < nparams; i++)
	{
		const struct rt_rest_param *p = &params[i];

		if (p->is_text)
			write_text(t, p);
		else if (!write_pair(t, p->name, p->name_len, p->value, p->value_len, false))
			return false;
	}
	rt_text_add(t, "}");
	return true;
}
