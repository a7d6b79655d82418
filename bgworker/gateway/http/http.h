/* http.h: heads of HTTP/1.x requests, and bodies in chunks (RFC 9112).  Pure.
 *
 * Strict where leniency lets two parties read different requests out of the same bytes: line ends, white space before
 * colons, folded lines, repeated or contradictory lengths. */
#ifndef RT_HTTP_H
#define RT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/buf.h"
#include "bgworker/common/result.h"

#define RT_HTTP_MAX_HEAD 16384
#define RT_HTTP_MAX_HEADERS 100

struct rt_http_header
{
	const char *name;
	size_t name_len;
	const char *value; /* without white space around it */
	size_t value_len;
};

/* Spans are lent from the bytes that were parsed. */
struct rt_http_head
{
	const char *method;
	size_t method_len;
	const char *target; /* as it came, fragment and query included */
	size_t target_len;
	int minor; /* of HTTP/1.x */
	struct rt_http_header headers[RT_HTTP_MAX_HEADERS];
	int nheaders;
	/* What follows from the headers. */
	bool keep_alive;
	bool chunked;
	bool has_length;
	bool expect_continue;
	uint64_t content_length;
};

/* RT_OK: *used bytes are the head; RT_AGAIN: incomplete; else *status is 400, 431, 501 or 505 and the connection
 * cannot be used any more. */
enum rt_result rt_http_parse_head(const char *data, size_t len, struct rt_http_head *h, size_t *used, int *status);

bool rt_http_method_is(const struct rt_http_head *h, const char *method); /* methods know upper and lower case */
const struct rt_http_header *rt_http_find_header(const struct rt_http_head *h, const char *name); /* first; or NULL */
bool rt_http_header_has_token(const struct rt_http_head *h, const char *name, const char *token); /* of a list */

/* What Accept-Encoding asks for (RFC 9110, section 12.5.3), of the two codings that we have.  Who takes neither gets
 * the body as it is: a request may have changed something, so 406 would be a lie. */
enum rt_http_coding
{
	RT_HTTP_IDENTITY,
	RT_HTTP_GZIP,      /* preferred, or as welcome */
	RT_HTTP_GZIP_ONLY, /* identity;q=0 */
};
enum rt_http_coding rt_http_accepted_coding(const struct rt_http_head *h);

/* Percent-decodes a path into out, which has room for len + 1 bytes.  RT_BAD_INPUT: a wrong escape, a NUL, a "." or
 * ".." segment, or not UTF-8. */
enum rt_result rt_http_decode_path(const char *raw, size_t len, char *out);

/* A parameter of a query string, percent-decoded ("+" is a space) into out of out_size bytes.  False if it is not
 * there, empty, malformed, or too long. */
bool rt_http_query_param(const char *query, const char *name, char *out, size_t out_size);
/* Whether it is there, and not empty. */
bool rt_http_has_query_param(const char *query, const char *name);

/* A chunked body, fed as it comes. All zero to begin with. */
struct rt_http_chunks
{
	int state;
	uint64_t remaining;
	size_t line_len; /* of the current size line or trailer */
	size_t extra;    /* bytes of extensions and trailers so far */
};

/* Takes bytes, puts the body's into body.  RT_OK: complete; RT_AGAIN: all was taken, more is needed; RT_LIMIT: the
 * body is larger than the buffer may get, or a size line says that it will be; RT_BAD_INPUT. *used were taken. */
enum rt_result rt_http_chunks_feed(struct rt_http_chunks *c, const char *data, size_t len, size_t *used,
								   struct rt_buf *body);

#endif
