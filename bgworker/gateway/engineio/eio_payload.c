/* eio_payload.c: bodies of long-polling, taken apart and put together.
 *
 *     <packet> 1E <packet> 1E <packet>          (engine.io-protocol 4, "Payload")
 *
 * A text packet stands as it is on a websocket; a binary one is `b` and base64 (RFC 4648, section 4, with padding).
 * Only polling.c writes bodies, and it has checked that what it reads is UTF-8; U+001E cannot be within another
 * character. */
#include "eio_payload.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"

#define SEPARATOR '\x1e'

bool
rt_eio_payload_next(const char *body, size_t len, size_t *pos, const char **packet, size_t *packet_len)
{
	const char *from;
	const char *to;

	if (*pos > len)
		return false;
	from = body + *pos;
	to = memchr(from, SEPARATOR, len - *pos);
	*packet = from;
	*packet_len = to != NULL ? (size_t) (to - from) : len - *pos;
	*pos += *packet_len + 1;
	return true;
}

static size_t
base64_len(size_t len)
{
	return (len + 2) / 3 * 4;
}

static void
encode_base64(const unsigned char *in, size_t len, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (; len > 0; in += 3, out += 4)
	{
		size_t n = len < 3 ? len : 3;
		uint32_t bits = (uint32_t) in[0] << 16 | (n > 1 ? (uint32_t) in[1] << 8 : 0) | (n > 2 ? in[2] : 0);

		out[0] = digits[bits >> 18];
		out[1] = digits[bits >> 12 & 63];
		out[2] = n > 1 ? digits[bits >> 6 & 63] : '=';
		out[3] = n > 2 ? digits[bits & 63] : '=';
		len -= n;
	}
}

size_t
rt_eio_payload_cost(const struct rt_frame *f)
{
	size_t len;

	rt_frame_text(f, &len);
	return 1 + (rt_frame_is_binary(f) ? 1 + base64_len(len) : len);
}

static enum rt_result
put_binary(struct rt_buf *body, const char *data, size_t len)
{
	size_t out_len = 1 + base64_len(len);
	char *out = rt_alloc(out_len);
	enum rt_result rc;

	out[0] = 'b';
	encode_base64((const unsigned char *) data, len, out + 1);
	rc = rt_buf_put(body, out, out_len);
	free(out);
	return rc;
}

enum rt_result
rt_eio_payload_put(struct rt_buf *body, const struct rt_frame *f)
{
	const char separator = SEPARATOR;
	size_t len;
	const char *text = rt_frame_text(f, &len);

	if (rt_buf_len(body) > 0)
	{
		enum rt_result rc = rt_buf_put(body, &separator, 1);

		if (rc != RT_OK)
			return rc;
	}
	return rt_frame_is_binary(f) ? put_binary(body, text, len) : rt_buf_put(body, text, len);
}
