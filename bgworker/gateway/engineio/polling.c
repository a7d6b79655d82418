/* polling.c: Engine.IO's long-polling: the GET that waits for packets, the POST that brings some.
 *
 * A session on polling has at most one GET and one POST at a time; a second one beside it ends the session, as in the
 * reference implementation.  `poll` and `post` point to live requests: who answers one, or hears that it was
 * abandoned, takes it out of the session in the same breath.  engineio.c has found the session and checked the
 * request; eio_session.c calls back when there is something to send, or the session ends.
 *
 * In a reply or a body packets are separated by U+001E, binary ones are in base64 behind a `b` (eio_payload.c).
 * A reply holds as many packets as wait, up to REPLY_BYTES; what is behind that goes with the next GET. */
#include "polling.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bgworker/common/buf.h"
#include "bgworker/common/log.h"
#include "eio_payload.h"
#include "bgworker/gateway/text/utf8.h"

#define REPLY_BYTES 1000000 /* of packets in one reply; a single packet may be larger */

static void
reply_text(struct rt_httpconn *c, const char *type, const char *body, size_t len)
{
	rt_httpconn_reply(c, &(struct rt_http_answer){.status = 200,
												  .content_type = type,
												  .headers = "Cache-Control: no-store\r\n",
												  .body = body,
												  .len = len,
												  .may_gzip = true});
}

/* Answers the waiting GET with one packet of our own. */
static void
answer_poll(struct rt_eio_session *s, const char *packet)
{
	struct rt_httpconn *c = s->poll;

	if (c == NULL)
		return;
	s->poll = NULL;
	rt_httpconn_set_owner(c, NULL);
	reply_text(c, "text/plain; charset=UTF-8", packet, strlen(packet));
}

void
rt_polling_flush(struct rt_eio_session *s)
{
	struct rt_httpconn *c = s->poll;
	struct rt_frame *f;
	struct rt_buf body;
	size_t len;
	char *text;

	if (c == NULL)
		return;
	if (s->queue.count == 0)
	{
		/* The client waits for the end of this request before it upgrades. */
		if (s->probe != NULL && s->probe->answered)
			answer_poll(s, "6");
		return;
	}
	s->poll = NULL;
	rt_httpconn_set_owner(c, NULL);
	rt_buf_init(&body, SIZE_MAX / 2); /* bounded by the queue */
	while ((f = rt_outq_peek(&s->queue, 0)) != NULL)
	{
		if (rt_buf_len(&body) > 0 && rt_buf_len(&body) + rt_eio_payload_cost(f) > REPLY_BYTES)
			break;
		rt_eio_payload_put(&body, f);
		rt_outq_pop(&s->queue);
		s->set->traffic->frames_out++;
	}
	s->set->traffic->writes_out++;
	text = rt_buf_peek(&body, &len);
	reply_text(c, "text/plain; charset=UTF-8", text, len);
	rt_buf_fini(&body);
}

/* Two at once: the reference implementation closes the session, and so do we. */
static void
refuse_overlap(struct rt_eio_session *s, struct rt_httpconn *c)
{
	s->set->traffic->protocol_errors++;
	rt_log(RT_LOG_DEBUG, "engineio", "socket=%s peer=%s: two requests at once", s->name, s->peer);
	rt_eio_session_refuse(c, RT_EIO_BAD_REQUEST);
	rt_eio_session_end(s, "transport error");
}

void
rt_polling_get(struct rt_eio_session *s, struct rt_httpconn *c)
{
	if (s->poll != NULL)
	{
		refuse_overlap(s, c);
		return;
	}
	s->poll = c;
	rt_httpconn_set_owner(c, s);
	rt_eio_session_own(s, c);
	if (s->queue.count > 0 || s->close_reason != NULL || s->probe != NULL)
		rt_eio_session_mark_dirty(s);
	rt_httpconn_hold(c);
}

enum rt_http_verdict
rt_polling_begin_post(struct rt_eio_session *s, struct rt_httpconn *c)
{
	if (s->post != NULL)
	{
		refuse_overlap(s, c);
		return RT_HTTP_ANSWERED;
	}
	s->post = c;
	rt_httpconn_set_owner(c, s);
	rt_eio_session_own(s, c);
	return RT_HTTP_READ_BODY;
}

static enum rt_result
take_packet(struct rt_eio_session *s, const char *packet, size_t len)
{
	s->set->traffic->packets_in++;
	if (len == 0 || packet[0] != 'b')
		return rt_eio_session_packet(s, packet, len);
	/* What is in an attachment concerns nobody here, so it is not decoded. */
	return rt_eio_session_binary(s, packet + 1, len - 1);
}

static enum rt_result
take_payload(struct rt_eio_session *s, const char *body, size_t len)
{
	const char *packet;
	size_t packet_len;
	size_t pos = 0;
	enum rt_result rc = RT_OK;

	while (rc == RT_OK && !s->closed && rt_eio_payload_next(body, len, &pos, &packet, &packet_len))
		rc = take_packet(s, packet, packet_len);
	return rc;
}

static bool
is_binary_body(const struct rt_http_head *h)
{
	const struct rt_http_header *type = rt_http_find_header(h, "content-type");
	static const char octets[] = "application/octet-stream";

	return type != NULL && type->value_len >= sizeof(octets) - 1 &&
		   strncasecmp(type->value, octets, sizeof(octets) - 1) == 0;
}

void
rt_polling_post(struct rt_eio_session *s, struct rt_httpconn *c, const struct rt_http_head *h, const char *body,
				size_t len)
{
	s->post = NULL;
	rt_httpconn_set_owner(c, NULL);
	if (s->ws != NULL || !rt_utf8_valid(body, len))
	{
		rt_eio_session_refuse(c, RT_EIO_BAD_REQUEST);
		return;
	}
	if (is_binary_body(h))
	{
		rt_eio_session_refuse(c, RT_EIO_BAD_REQUEST);
		rt_eio_session_end(s, "transport error");
		return;
	}
	if (take_payload(s, body, len) == RT_OK)
		reply_text(c, "text/html", "ok", 2);
	else
		rt_eio_session_refuse(c, RT_EIO_BAD_REQUEST);
}

void
rt_polling_abandon(struct rt_eio_session *s, struct rt_httpconn *c)
{
	if (s->poll == c)
		s->poll = NULL;
	if (s->post == c)
		s->post = NULL;
	rt_eio_session_end(s, "transport error");
}

void
rt_polling_end(struct rt_eio_session *s, bool by_client)
{
	answer_poll(s, by_client ? "6" : "1");
	if (s->post != NULL)
		rt_httpconn_set_owner(s->post, NULL);
	s->post = NULL;
}
