/* sio_parse.h: packets of the Socket.IO protocol, version 5, from text.  Pure; as strict as the reference parser. */
#ifndef RT_SIO_PARSE_H
#define RT_SIO_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "bgworker/gateway/text/json_scan.h"

enum rt_sio_type
{
	RT_SIO_CONNECT,
	RT_SIO_DISCONNECT,
	RT_SIO_EVENT,
	RT_SIO_ACK,
	RT_SIO_CONNECT_ERROR,
	RT_SIO_BINARY_EVENT,
	RT_SIO_BINARY_ACK
};

#define RT_SIO_MAX_ATTACHMENTS 64

/* Spans are lent from the packet's text. */
struct rt_sio_packet
{
	enum rt_sio_type type;
	int attachments;       /* binary messages that follow */
	const char *namespace; /* with its slash; NULL: "/" */
	size_t namespace_len;
	int64_t ack;      /* -1: none */
	const char *data; /* the JSON, well-formed and of the type's shape (but see over_limit); NULL: none */
	size_t data_len;
	bool over_limit;          /* EVENT: RT_LIMIT of rt_json_scan(), so nothing behind the name was looked at */
	struct rt_json_span name; /* EVENT: a string, or a number */
	struct rt_json_span arg;  /* EVENT: the first argument; text is NULL if there is none */
	int nargs;
};

/* RT_BAD_INPUT: not a packet; RT_LIMIT: too many attachments, or a CONNECT over a limit of rt_json_scan(). */
enum rt_result rt_sio_parse(const char *text, size_t len, struct rt_sio_packet *p);

/* Names that the protocol keeps for itself; an EVENT of one is malformed.  Escapes have been decoded. */
bool rt_sio_is_reserved(const char *name);

#endif
