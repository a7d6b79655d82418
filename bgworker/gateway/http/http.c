/* http.c: heads of HTTP requests, and bodies in chunks, taken apart (RFC 9110 and 9112).
 *
 *     method SP target SP "HTTP/1." DIGIT CRLF           RFC 9112, section 3
 *     *( name ":" OWS value OWS CRLF ) CRLF               section 5
 *     body: Content-Length bytes, or chunks               section 6
 *
 * Refused, where the RFC lets a recipient be lenient: a CR or LF alone, white space before a colon, folded lines,
 * repeated lengths, a length beside chunks, any transfer coding but "chunked", no Host or two of them.  So no two
 * parties can read different requests out of the same bytes.  Limits: RT_HTTP_MAX_HEAD bytes and RT_HTTP_MAX_HEADERS
 * headers (431), MAX_CHUNK_EXTRA bytes of chunk extensions and trailers.  httpconn.c calls this with what it has read
 * so far, and again when more has come; nothing is kept in between but struct rt_http_chunks. */
#include "http.h"

#include <string.h>
#include <strings.h>

#include "bgworker/common/crypto/hex.h"
#include "bgworker/gateway/text/utf8.h"

#define MAX_CHUNK_EXTRA 4096 /* chunk extensions and trailers, which nobody reads */
#define MAX_LENGTH_DIGITS 18

/* RFC 9110, section 5.6.2. */
static bool
is_token_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		   (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_field_char(unsigned char c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static bool
same_word(const char *a, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(a, word, len) == 0;
}

/* The next line without its CRLF.  RT_AGAIN: it is incomplete; RT_BAD_INPUT: a CR or LF stands alone. */
static enum rt_result
next_line(const char **p, const char *end, const char **line, size_t *len)
{
	const char *at = *p;

	while (at < end && *at != '\r' && *at != '\n')
		at++;
	if (at == end || (*at == '\r' && end - at < 2))
		return RT_AGAIN;
	if (*at == '\n' || at[1] != '\n')
		return RT_BAD_INPUT;
	*line = *p;
	*len = (size_t) (at - *p);
	*p = at + 2;
	return RT_OK;
}

static bool
parse_target(struct rt_http_head *h)
{
	if (h->target_len == 0)
		return false;
	for (size_t i = 0; i < h->target_len; i++)
		if ((unsigned char) h->target[i] <= 0x20 || h->target[i] == 0x7f)
			return false;
	return true;
}

/* method SP target SP HTTP/1.x; returns the status of the refusal, 0 if it is fine. */
static int
parse_request_line(struct rt_http_head *h, const char *line, size_t len)
{
	const char *end = line + len;
	const char *p = line;

	while (p < end && is_token_char((unsigned char) *p))
		p++;
	if (p == line || p == end || *p != ' ')
		return 400;
	h->method = line;
	h->method_len = (size_t) (p - line);
	h->target = ++p;
	while (p < end && *p != ' ')
		p++;
	h->target_len = (size_t) (p - h->target);
	if (!parse_target(h) || end - p != (ptrdiff_t) strlen(" HTTP/1.1") || memcmp(p, " HTTP/", 6) != 0)
		return 400;
	p += 6;
	if (p[0] != '1' || p[1] != '.')
		return 505;
	if (p[2] < '0' || p[2] > '9')
		return 400;
	h->minor = p[2] - '0';
	return 0;
}

static int
parse_header(struct rt_http_head *h, const char *line, size_t len)
{
	const char *end = line + len;
	const char *p = line;
	struct rt_http_header *header;

	if (h->nheaders == RT_HTTP_MAX_HEADERS)
		return 431;
	while (p < end && is_token_char((unsigned char) *p))
		p++;
	if (p == line || p == end || *p != ':')
		return 400;
	header = &h->headers[h->nheaders++];
	header->name = line;
	header->name_len = (size_t) (p - line);
	p++;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	header->value = p;
	header->value_len = (size_t) (end - p);
	for (; p < end; p++)
		if (!is_field_char((unsigned char) *p))
			return 400;
	return 0;
}

bool
rt_http_method_is(const struct rt_http_head *h, const char *method)
{
	return h->method_len == strlen(method) && memcmp(h->method, method, h->method_len) == 0;
}

const struct rt_http_header *
rt_http_find_header(const struct rt_http_head *h, const char *name)
{
	for (int i = 0; i < h->nheaders; i++)
		if (same_word(h->headers[i].name, h->headers[i].name_len, name))
			return &h->headers[i];
	return NULL;
}

static bool
list_has_token(const char *list, size_t len, const char *token)
{
	const char *end = list + len;

	while (list < end)
	{
		const char *comma = memchr(list, ',', (size_t) (end - list));
		const char *item_end = comma != NULL ? comma : end;

		while (list < item_end && (*list == ' ' || *list == '\t'))
			list++;
		while (item_end > list && (item_end[-1] == ' ' || item_end[-1] == '\t'))
			item_end--;
		if (same_word(list, (size_t) (item_end - list), token))
			return true;
		list = comma != NULL ? comma + 1 : end;
	}
	return false;
}

/* A weight in thousandths (RFC 9110, section 12.4.2).  One that is malformed is 0: it is no wish for the coding. */
static int
weight_of(const char *p, const char *end)
{
	int value = 0;
	int unit = 1000;

	while (p < end && (*p == ' ' || *p == '\t' || *p == ';'))
		p++;
	if (p == end)
		return 1000;
	if (end - p < 3 || (*p != 'q' && *p != 'Q') || p[1] != '=')
		return 0;
	for (p += 2; p < end && unit > 0; p++)
	{
		if (*p == '.' && unit == 100)
			continue;
		if (*p < '0' || *p > '9')
			return 0;
		value += unit * (*p - '0');
		unit /= 10;
	}
	return p == end && value <= 1000 ? value : 0;
}

/* Weights that are not there are -1. */
struct weights
{
	int gzip;
	int identity;
	int any;
};

static void
weigh_list(struct weights *w, const char *list, size_t len)
{
	const char *end = list + len;

	while (list < end)
	{
		const char *comma = memchr(list, ',', (size_t) (end - list));
		const char *item_end = comma != NULL ? comma : end;
		size_t name_len;
		int weight;

		while (list < item_end && (*list == ' ' || *list == '\t'))
			list++;
		while (item_end > list && (item_end[-1] == ' ' || item_end[-1] == '\t'))
			item_end--;
		for (name_len = 0; list + name_len < item_end && is_token_char((unsigned char) list[name_len]); name_len++)
			continue;
		weight = weight_of(list + name_len, item_end);
		if (same_word(list, name_len, "gzip") || same_word(list, name_len, "x-gzip"))
			w->gzip = weight;
		else if (same_word(list, name_len, "identity"))
			w->identity = weight;
		else if (same_word(list, name_len, "*"))
			w->any = weight;
		list = comma != NULL ? comma + 1 : end;
	}
}

enum rt_http_coding
rt_http_accepted_coding(const struct rt_http_head *h)
{
	struct weights w = {-1, -1, -1};
	int gzip;
	int identity;

	for (int i = 0; i < h->nheaders; i++)
		if (same_word(h->headers[i].name, h->headers[i].name_len, "accept-encoding"))
			weigh_list(&w, h->headers[i].value, h->headers[i].value_len);
	gzip = w.gzip >= 0 ? w.gzip : w.any;
	/* Unless it is refused, identity is acceptable, and the last choice. */
	identity = w.identity >= 0 ? w.identity : w.any == 0 ? 0 : 1;
	if (gzip <= 0 || w.identity > gzip)
		return RT_HTTP_IDENTITY;
	return identity == 0 ? RT_HTTP_GZIP_ONLY : RT_HTTP_GZIP;
}

bool
rt_http_header_has_token(const struct rt_http_head *h, const char *name, const char *token)
{
	for (int i = 0; i < h->nheaders; i++)
		if (same_word(h->headers[i].name, h->headers[i].name_len, name) &&
			list_has_token(h->headers[i].value, h->headers[i].value_len, token))
			return true;
	return false;
}

static int
parse_length(struct rt_http_head *h, const struct rt_http_header *header)
{
	if (h->has_length || header->value_len == 0 || header->value_len > MAX_LENGTH_DIGITS)
		return 400;
	for (size_t i = 0; i < header->value_len; i++)
	{
		char c = header->value[i];

		if (c < '0' || c > '9')
			return 400;
		h->content_length = h->content_length * 10 + (uint64_t) (c - '0');
	}
	h->has_length = true;
	return 0;
}

/* How the body is framed (RFC 9112, section 6), and whether the connection goes on. */
static int
read_framing(struct rt_http_head *h)
{
	int status = 0;
	int hosts = 0;

	for (int i = 0; i < h->nheaders && status == 0; i++)
	{
		const struct rt_http_header *header = &h->headers[i];

		if (same_word(header->name, header->name_len, "content-length"))
			status = parse_length(h, header);
		else if (same_word(header->name, header->name_len, "transfer-encoding"))
		{
			if (h->chunked || h->minor == 0 || !same_word(header->value, header->value_len, "chunked"))
				status = 501;
			h->chunked = true;
		}
		else if (same_word(header->name, header->name_len, "expect"))
			h->expect_continue = same_word(header->value, header->value_len, "100-continue");
		else if (same_word(header->name, header->name_len, "host"))
			hosts++;
	}
	/* A request with no host, or with two, is malformed (RFC 9112, section 3.2). */
	if (status == 0 && ((h->chunked && h->has_length) || hosts > 1 || (hosts == 0 && h->minor >= 1)))
		status = 400;
	h->keep_alive = h->minor >= 1 ? !rt_http_header_has_token(h, "connection", "close")
								  : rt_http_header_has_token(h, "connection", "keep-alive");
	return status;
}

/* Line by line, up to the empty one. */
static enum rt_result
parse_lines(struct rt_http_head *h, const char **p, const char *end, int *status)
{
	const char *line;
	size_t len;
	enum rt_result rc = next_line(p, end, &line, &len);

	if (rc == RT_OK)
		*status = parse_request_line(h, line, len);
	while (rc == RT_OK && *status == 0)
	{
		rc = next_line(p, end, &line, &len);
		if (rc != RT_OK)
			break;
		if (len == 0)
			return RT_OK;
		*status = parse_header(h, line, len);
	}
	return rc;
}

enum rt_result
rt_http_parse_head(const char *data, size_t len, struct rt_http_head *h, size_t *used, int *status)
{
	const char *p = data;
	const char *end = data + (len < RT_HTTP_MAX_HEAD ? len : RT_HTTP_MAX_HEAD);
	enum rt_result rc;

	h->nheaders = 0;
	h->chunked = h->has_length = h->expect_continue = false;
	h->content_length = 0;
	*status = 0;
	/* An empty line before the request is to be ignored (RFC 9112, section 2.2). */
	if (len >= 2 && p[0] == '\r' && p[1] == '\n')
		p += 2;
	rc = parse_lines(h, &p, end, status);
	if (rc == RT_OK && *status == 0)
		*status = read_framing(h);
	else if (rc == RT_BAD_INPUT && *status == 0)
		*status = 400;
	else if (rc == RT_AGAIN && *status == 0 && len >= RT_HTTP_MAX_HEAD)
		*status = 431;
	*used = (size_t) (p - data);
	if (*status != 0)
		return RT_BAD_INPUT;
	return rc;
}

/* One byte, or an escape of three; negative if it is malformed. */
static int
decode_char(const char **p, const char *end)
{
	int high;
	int low;

	if (**p != '%')
		return (unsigned char) *(*p)++;
	if (end - *p < 3)
		return -1;
	high = rt_hex_value((*p)[1]);
	low = rt_hex_value((*p)[2]);
	*p += 3;
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool
has_dot_segment(const char *path)
{
	while (path != NULL)
	{
		const char *segment = path[0] == '/' ? path + 1 : path;
		size_t len = strcspn(segment, "/");

		if ((len == 1 && segment[0] == '.') || (len == 2 && segment[0] == '.' && segment[1] == '.'))
			return true;
		path = strchr(segment, '/');
	}
	return false;
}

enum rt_result
rt_http_decode_path(const char *raw, size_t len, char *out)
{
	const char *p = raw;
	const char *end = raw + len;
	char *to = out;

	while (p < end)
	{
		int c = decode_char(&p, end);

		if (c <= 0)
			return RT_BAD_INPUT;
		*to++ = (char) c;
	}
	*to = '\0';
	return has_dot_segment(out) || !rt_utf8_valid(out, (size_t) (to - out)) ? RT_BAD_INPUT : RT_OK;
}

static bool
decode_param(const char *p, const char *end, char *out, size_t out_size)
{
	size_t n = 0;

	while (p < end)
	{
		bool plus = *p == '+';
		int c = decode_char(&p, end);

		if (c <= 0 || n + 1 >= out_size)
			return false;
		out[n++] = plus ? ' ' : (char) c;
	}
	out[n] = '\0';
	return true;
}

/* Where the value of the parameter begins, and its length, which is not 0; NULL: it has none. */
static const char *
find_param(const char *query, const char *name, size_t *value_len)
{
	size_t name_len = strlen(name);

	while (*query != '\0')
	{
		size_t len = strcspn(query, "&");

		if (len > name_len + 1 && query[name_len] == '=' && memcmp(query, name, name_len) == 0)
		{
			*value_len = len - name_len - 1;
			return query + name_len + 1;
		}
		query += len;
		if (*query == '&')
			query++;
	}
	return NULL;
}

bool
rt_http_has_query_param(const char *query, const char *name)
{
	size_t len;

	return find_param(query, name, &len) != NULL;
}

bool
rt_http_query_param(const char *query, const char *name, char *out, size_t out_size)
{
	size_t len;
	const char *value = find_param(query, name, &len);

	return value != NULL && decode_param(value, value + len, out, out_size);
}

/* ---- chunks (RFC 9112, section 7.1) ---------------------------------------- */

enum
{
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER,
	CHUNK_TRAILER_LF
};

static enum rt_result
feed_size(struct rt_http_chunks *c, char ch)
{
	int digit = rt_hex_value(ch);

	if (digit >= 0)
	{
		if (++c->line_len > 15)
			return RT_BAD_INPUT;
		c->remaining = c->remaining << 4 | (uint64_t) digit;
		return RT_AGAIN;
	}
	if (c->line_len == 0)
		return RT_BAD_INPUT;
	if (ch == '\r')
		c->state = CHUNK_SIZE_LF;
	else if (ch == ';')
		c->state = CHUNK_EXTENSION;
	else
		return RT_BAD_INPUT;
	return RT_AGAIN;
}

/* Extensions and trailers are skipped, up to a limit. */
static enum rt_result
feed_skipped(struct rt_http_chunks *c, char ch)
{
	if (++c->extra > MAX_CHUNK_EXTRA)
		return RT_BAD_INPUT;
	if (ch == '\r')
		c->state = c->state == CHUNK_EXTENSION ? CHUNK_SIZE_LF : CHUNK_TRAILER_LF;
	else if (!is_field_char((unsigned char) ch))
		return RT_BAD_INPUT;
	else
		c->line_len++;
	return RT_AGAIN;
}

/* A chunk that the body has no room for is refused by its size line: its bytes need not come. */
static enum rt_result
feed_line_end(struct rt_http_chunks *c, char ch, const struct rt_buf *body)
{
	bool empty = c->line_len == 0;

	if (ch != '\n')
		return RT_BAD_INPUT;
	c->line_len = 0;
	switch (c->state)
	{
		case CHUNK_SIZE_LF:
			if (rt_buf_len(body) + c->remaining > body->limit_bytes)
				return RT_LIMIT;
			c->state = c->remaining > 0 ? CHUNK_DATA : CHUNK_TRAILER;
			return RT_AGAIN;
		case CHUNK_DATA_LF:
			c->state = CHUNK_SIZE;
			return RT_AGAIN;
		default:
			c->state = CHUNK_TRAILER;
			return empty ? RT_OK : RT_AGAIN;
	}
}

static enum rt_result
feed_char(struct rt_http_chunks *c, char ch, const struct rt_buf *body)
{
	switch (c->state)
	{
		case CHUNK_SIZE:
			return feed_size(c, ch);
		case CHUNK_EXTENSION:
		case CHUNK_TRAILER:
			return feed_skipped(c, ch);
		case CHUNK_DATA_CR:
			c->state = CHUNK_DATA_LF;
			return ch == '\r' ? RT_AGAIN : RT_BAD_INPUT;
		default:
			return feed_line_end(c, ch, body);
	}
}

enum rt_result
rt_http_chunks_feed(struct rt_http_chunks *c, const char *data, size_t len, size_t *used, struct rt_buf *body)
{
	enum rt_result rc = RT_AGAIN;
	size_t pos = 0;

	while (pos < len && rc == RT_AGAIN)
	{
		if (c->state == CHUNK_DATA)
		{
			size_t n = len - pos < c->remaining ? len - pos : (size_t) c->remaining;

			if (rt_buf_put(body, data + pos, n) != RT_OK)
			{
				rc = RT_LIMIT;
				break;
			}
			pos += n;
			c->remaining -= n;
			if (c->remaining == 0)
				c->state = CHUNK_DATA_CR;
		}
		else
			rc = feed_char(c, data[pos++], body);
	}
	*used = pos;
	return rc;
}
