/* utf8.c: well-formed UTF-8 (RFC 3629, section 4), eight bytes at a time while they are ASCII.
 *
 * Everything that a client sends passes here before it is parsed: PostgreSQL would refuse what is malformed, in the
 * middle of a batch of others' calls. */
#include "utf8.h"

#include <stdint.h>
#include <string.h>

#define HIGH_BITS 0x8080808080808080u

static bool
is_continuation(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Length of the well-formed sequence that begins with a byte above 0x7f; 0 if there is none. RFC 3629, section 4. */
static size_t
sequence_len(const unsigned char *p, size_t len)
{
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	if (p[0] < 0xe0)
		return len >= 2 && is_continuation(p[1]) ? 2 : 0;
	if (p[0] < 0xf0)
	{
		if (len < 3 || !is_continuation(p[1]) || !is_continuation(p[2]))
			return 0;
		if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
			return 0;
		return 3;
	}
	if (len < 4 || !is_continuation(p[1]) || !is_continuation(p[2]) || !is_continuation(p[3]))
		return 0;
	if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return 4;
}

bool
rt_utf8_valid(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *) text;
	uint64_t word;
	size_t n;

	while (len > 0)
	{
		if (len >= sizeof(word))
		{
			memcpy(&word, p, sizeof(word));
			if ((word & HIGH_BITS) == 0)
			{
				p += sizeof(word);
				len -= sizeof(word);
				continue;
			}
		}
		n = p[0] < 0x80 ? 1 : sequence_len(p, len);
		if (n == 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

size_t
rt_utf8_cut(const char *text, size_t max_bytes)
{
	size_t len = strnlen(text, max_bytes + 1);

	if (len <= max_bytes)
		return len;
	for (len = max_bytes; len > 0 && is_continuation((unsigned char) text[len]); len--)
		continue;
	return len;
}
