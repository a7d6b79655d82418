/* id.c: ids from the kernel's generator, in the alphabet of base64url (RFC 4648, section 5).
 *
 * Who knows a session's id has the session, so no seed of our own is good enough. */
#include "id.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

#include "bgworker/common/log.h"

#define ID_BYTES (RT_RANDOM_ID_LEN / 4 * 3)

void
rt_id_make(char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t bytes[ID_BYTES];

	/* So few bytes come whole and at once, once the kernel's generator is seeded. */
	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t) sizeof(bytes))
	{
		rt_log(RT_LOG_ERROR, "id", "the kernel gives no random bytes");
		_Exit(1);
	}
	for (int i = 0; i < ID_BYTES; i += 3, out += 4)
	{
		uint32_t bits = (uint32_t) bytes[i] << 16 | (uint32_t) bytes[i + 1] << 8 | bytes[i + 2];

		out[0] = digits[bits >> 18];
		out[1] = digits[bits >> 12 & 63];
		out[2] = digits[bits >> 6 & 63];
		out[3] = digits[bits & 63];
	}
	*out = '\0';
}
