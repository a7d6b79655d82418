/* http.h: HTTP requests that are not Socket.IO's, and the answers to them: limits, CORS, static files.  Knows no
 * path of the API.  Connections are httpconn.h's. */
#ifndef RT_HTTP_H
#define RT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_http;

/* One request whose body has arrived whole.  Lent for the time of the call; the id outlives it. */
struct rt_http_request
{
	uint64_t id;               /* for rt_http_reply(); never reused */
	const char *method;        /* "GET", "POST", "PATCH", "PUT", "DELETE", "HEAD" */
	const char *path;          /* percent-decoded, NUL-terminated, without the query; no NUL, no ".." segment */
	const char *raw_path;      /* as it came, without the query */
	const char *query;         /* as it came, without the "?"; "" if none */
	const char *authorization; /* header, or NULL */
	const char *content_type;  /* header, or NULL */
	const char *body;
	size_t body_len;
	const char *peer;
};

typedef void (*rt_http_cb)(void *arg, const struct rt_http_request *r);

/* Answers now or later; a client that has left is no error.  headers: "Name: value\r\n..." or NULL.  HEAD gets no
 * body.  CORS and Date are added here. */
void rt_http_reply(struct rt_http *h, uint64_t id, int status, const char *content_type, const char *headers,
				   const void *body, size_t len);

#endif
