/* sio_packet.h: packets of the Socket.IO protocol, version 5: from text, as strictly as the reference parser, and to
 * frames. Pure.  The one place that knows how they are written. */
#ifndef RT_SIO_PACKET_H
#define RT_SIO_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/result.h"
#include "bgworker/gateway/engineio/frame.h"
#include "bgworker/gateway/text/json_scan.h"
#include "bgworker/gateway/text/span.h"

enum rt_sio_packet_type
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
	enum rt_sio_packet_type type;
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
	struct rt_json_members members; /* of arg, if it is an object; otherwise its text is NULL */
};

/* RT_BAD_INPUT: not a packet; RT_LIMIT: too many attachments, or a CONNECT over a limit of rt_json_scan(). */
enum rt_result rt_sio_packet_parse(const char *text, size_t len, struct rt_sio_packet *p);

/* Names that the protocol keeps for itself; an EVENT of one is malformed.  Escapes have been decoded. */
bool rt_sio_packet_is_reserved(const char *name);

/* ---- writing: each result is a new frame, with one reference -------------------- */

/* `40{"sid":"…","pid":"…"}`; pid NULL leaves it out. */
struct rt_frame *rt_sio_packet_connect(const char *sid, const char *pid, const char *epoch); /* NULL: left out */
/* `44{"message":"…","data":…}` for the namespace of the packet, or the main one where p is NULL; data is JSON text,
 * or NULL. */
struct rt_frame *rt_sio_packet_connect_error(const struct rt_sio_packet *p, const char *message, const char *data);
struct rt_frame *rt_sio_packet_disconnect(void); /* `41` */
/* `43<ack>[<json>]` */
struct rt_frame *rt_sio_packet_ack(int64_t ack, const char *json, size_t len);

/* What a frame of an event remembers the place of. */
enum rt_sio_packet_part
{
	RT_SIO_ARGUMENT, /* the event's argument, `{…}` */
	RT_SIO_DATA,     /* of the argument: the values of these keys, if the source named them */
	RT_SIO_TIMESTAMP,
	RT_SIO_PARTS
};

/* What an event is made of, in pieces that lie elsewhere. */
struct rt_sio_packet_source
{
	const char *name; /* as it stands between the quotes in JSON */
	size_t name_len;
	struct rt_json_rest members;        /* of the argument, without its braces */
	struct rt_span parts[RT_SIO_PARTS]; /* of DATA and TIMESTAMP: within the runs; p NULL: none */
};

/* `42["name",{…},"pos"]` */
struct rt_frame *rt_sio_packet_event(const struct rt_sio_packet_source *e, uint64_t pos);
/* The same, with the whole argument in one piece, an object. */
struct rt_frame *rt_sio_packet_event_of(const char *name, const char *json, size_t len, uint64_t pos);
/* An event of the same name, with another argument. */
struct rt_frame *rt_sio_packet_event_with(const struct rt_frame *f, const char *json, size_t len, uint64_t pos);
/* The same event without a position, for sockets that want none; kept with the frame, and lent. */
struct rt_frame *rt_sio_packet_event_plain(struct rt_frame *f);
/* The same event at another position. */
struct rt_frame *rt_sio_packet_event_at(const struct rt_frame *f, uint64_t pos);

/* The part's text, lent from the frame.  False: it has none. */
bool rt_sio_packet_part(const struct rt_frame *f, enum rt_sio_packet_part part, struct rt_span *span);

#endif
