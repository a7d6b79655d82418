/* red.c: see red.h.
 *
 * A redundant block's header (RFC 2198 section 3):  F=1 | payload type, 7 | timestamp offset, 14 | length, 10
 * The primary block's, the last one:                F=0 | payload type, 7
 * Then the blocks' data in the same order. */
#include "red.h"

#include <string.h>

#include "rtp.h"

#define HEADER 4
#define LAST_HEADER 1

int
rt_red_read(struct rt_red_block blocks[RT_RED_BLOCKS], const uint8_t *payload, size_t len)
{
	size_t at = 0, data = 0;
	int n = 0;

	for (;; n++)
	{
		if (n == RT_RED_BLOCKS || at >= len)
			return 0;
		blocks[n] = (struct rt_red_block){.pt = payload[at] & 0x7f};
		if (!(payload[at] & 0x80))
			break;
		if (len - at < HEADER)
			return 0;
		blocks[n].ts_offset = (uint16_t) (rt_bytes_get16(payload + at + 1) >> 2);
		blocks[n].len = rt_bytes_get16(payload + at + 2) & 0x3ff;
		data += blocks[n].len;
		at += HEADER;
	}
	at += LAST_HEADER;
	if (data > len - at)
		return 0;
	blocks[n].len = (uint16_t) (len - at - data);
	for (int i = 0; i <= n; at += blocks[i++].len)
		blocks[i].data = payload + at;
	return n + 1;
}

size_t
rt_red_write(uint8_t *out, size_t cap, const struct rt_red_block *blocks, int n)
{
	const struct rt_red_block *primary = &blocks[n - 1];
	bool taken[RT_RED_BLOCKS] = {false};
	size_t size = LAST_HEADER + primary->len, at = 0;

	if (n < 1 || n > RT_RED_BLOCKS || size > cap)
		return 0;
	for (int i = n - 2; i >= 0; i--) /* the newest is worth the most */
		if (blocks[i].len <= RT_RED_MAX_LEN && blocks[i].ts_offset && blocks[i].ts_offset <= RT_RED_MAX_OFFSET &&
			size + HEADER + blocks[i].len <= cap)
		{
			taken[i] = true;
			size += HEADER + blocks[i].len;
		}
	for (int i = 0; i < n - 1; i++)
		if (taken[i])
		{
			out[at] = 0x80 | blocks[i].pt;
			rt_bytes_put24(out + at + 1, (uint32_t) blocks[i].ts_offset << 10 | blocks[i].len);
			at += HEADER;
		}
	out[at++] = primary->pt & 0x7f;
	for (int i = 0; i < n; i++)
		if (taken[i] || i == n - 1)
		{
			if (blocks[i].len)
				memcpy(out + at, blocks[i].data, blocks[i].len);
			at += blocks[i].len;
		}
	return at;
}
