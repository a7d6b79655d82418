/* httpreply.h: one HTTP reply on its way out: its text, and how much of it the kernel has taken.
 *
 * Embedded in a connection, of which it knows nothing but the descriptor that it is given.  Time limits, keep-alive
 * and what comes after the reply are the connection's business. */
#ifndef RT_HTTPREPLY_H
#define RT_HTTPREPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/buf.h"
#include "bgworker/common/result.h"

/* What a request is answered with. */
struct rt_http_answer
{
	int status;
	const char *content_type; /* NULL: none */
	const char *headers;      /* further ones, "Name: value\r\n…"; NULL: none */
	const void *body;
	size_t len;
	bool body_is_static; /* body stays valid for ever, so it needs not be copied */
	bool may_gzip;       /* compressed for those who accept it */
	bool close;          /* the connection ends with this reply */
};

/* What the connection adds to the head. */
struct rt_httpreply_context
{
	const char *date;           /* of now, as RFC 9110, section 5.6.7, has it */
	const char *server_headers; /* of every reply; NULL: none */
	const char *headers;        /* of this request; NULL: none */
	bool gzip;                  /* the body is compressed */
	bool keep_alive;
	bool old_version; /* HTTP/1.0, which must be told that the connection stays */
	bool head_only;   /* HEAD: no body, but its length */
};

/* Between two replies all is empty.  For others than httpreply.c: read-only. */
struct rt_httpreply
{
	struct rt_buf out; /* the head, and what had to be copied of the body */
	const char *tail;  /* what of the body follows `out`: static, or lent until rt_httpreply_keep() */
	size_t tail_len;
};

void rt_httpreply_init(struct rt_httpreply *r);
void rt_httpreply_fini(struct rt_httpreply *r);

void rt_httpreply_put_continue(struct rt_httpreply *r); /* 100 Continue (RFC 9110, section 15.2.1) */
void rt_httpreply_put(struct rt_httpreply *r, const struct rt_http_answer *a, const struct rt_httpreply_context *x);

/* Hands the kernel what it takes, and adds it to *sent.  RT_OK: that was all; RT_AGAIN: later; RT_GONE. */
enum rt_result rt_httpreply_send(struct rt_httpreply *r, int fd, uint64_t *sent);

size_t rt_httpreply_left(const struct rt_httpreply *r); /* bytes that the kernel has not taken */
void rt_httpreply_keep(struct rt_httpreply *r);         /* copies a tail that was lent */

const char *rt_httpreply_reason(int status); /* "Not Found" */

#endif
