/* frame.c: one packet as the wire has it.
 *
 * A frame is immutable once it has been given to somebody: it is in the queues of thousands of sockets at once.
 * Frames are counted, not copied; the last rt_frame_unref() frees.  The program has one thread, so the count is a
 * plain number.
 *
 *     header (2, 4 or 10 bytes: RFC 6455, section 5.2)   payload
 *     ^ rt_frame_wire(): websockets                      ^ rt_frame_text(): long-polling
 */
#include "frame.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"

#define OPCODE_TEXT 0x1
#define OPCODE_BINARY 0x2
#define FIN 0x80
#define MAX_HEADER 10

struct rt_frame
{
	uint32_t refs;
	uint8_t header_len;
	bool binary;
	size_t len; /* without the header */
	struct
	{
		uint32_t at; /* in the text */
		uint32_t len;
	} marks[RT_FRAME_MARKS]; /* len 0: not set */
	struct rt_frame *plain;  /* NULL: not made yet */
	uint8_t wire[];          /* header, payload */
};

/* RFC 6455, section 5.2; returns the header's length. */
static uint8_t
write_header(uint8_t *out, int opcode, size_t len)
{
	out[0] = (uint8_t) (FIN | opcode);
	if (len < 126)
	{
		out[1] = (uint8_t) len;
		return 2;
	}
	if (len <= UINT16_MAX)
	{
		out[1] = 126;
		out[2] = (uint8_t) (len >> 8);
		out[3] = (uint8_t) len;
		return 4;
	}
	out[1] = 127;
	for (int i = 0; i < 8; i++)
		out[2 + i] = (uint8_t) ((uint64_t) len >> (56 - 8 * i));
	return MAX_HEADER;
}

static struct rt_frame *
new_frame(int opcode, size_t len)
{
	struct rt_frame *f = rt_alloc(sizeof(*f) + MAX_HEADER + len);

	f->refs = 1;
	f->len = len;
	f->binary = opcode == OPCODE_BINARY;
	f->header_len = write_header(f->wire, opcode, len);
	return f;
}

struct rt_frame *
rt_frame_new(const struct rt_frame_part *parts, int n)
{
	struct rt_frame *f;
	size_t len = 0;
	uint8_t *out;

	for (int i = 0; i < n; i++)
		len += parts[i].len;
	f = new_frame(OPCODE_TEXT, len);
	out = f->wire + f->header_len;
	for (int i = 0; i < n; i++)
	{
		if (parts[i].len > 0)
			memcpy(out, parts[i].data, parts[i].len);
		out += parts[i].len;
	}
	return f;
}

struct rt_frame *
rt_frame_new_binary(const void *data, size_t len)
{
	struct rt_frame *f = new_frame(OPCODE_BINARY, len);

	if (len > 0)
		memcpy(f->wire + f->header_len, data, len);
	return f;
}

struct rt_frame *
rt_frame_ref(struct rt_frame *f)
{
	f->refs++;
	return f;
}

void
rt_frame_unref(struct rt_frame *f)
{
	if (f == NULL || --f->refs > 0)
		return;
	rt_frame_unref(f->plain);
	free(f);
}

void
rt_frame_set_plain(struct rt_frame *f, struct rt_frame *plain)
{
	assert(f->plain == NULL);
	f->plain = plain;
}

struct rt_frame *
rt_frame_plain(const struct rt_frame *f)
{
	return f->plain;
}

void
rt_frame_set_mark(struct rt_frame *f, int mark, size_t at, size_t len)
{
	assert(f->refs == 1 && at + len <= f->len);
	f->marks[mark].at = (uint32_t) at;
	f->marks[mark].len = (uint32_t) len;
}

void
rt_frame_copy_marks(struct rt_frame *to, const struct rt_frame *from)
{
	memcpy(to->marks, from->marks, sizeof(to->marks));
}

const char *
rt_frame_mark(const struct rt_frame *f, int mark, size_t *len)
{
	*len = f->marks[mark].len;
	return *len == 0 ? NULL : (const char *) f->wire + f->header_len + f->marks[mark].at;
}

bool
rt_frame_is_binary(const struct rt_frame *f)
{
	return f->binary;
}

const char *
rt_frame_text(const struct rt_frame *f, size_t *len)
{
	*len = f->len;
	return (const char *) f->wire + f->header_len;
}

const char *
rt_frame_wire(const struct rt_frame *f, size_t *len)
{
	*len = f->header_len + f->len;
	return (const char *) f->wire;
}
