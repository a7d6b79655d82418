/* fuzz_stun.c: a STUN packet, and what is answered: bounded, and never a success without the password. */
#include <assert.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/media/secure/ice.h"
#include "bgworker/media/rtp/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *
on_password(void *arg, const char *ufrag, size_t len)
{
	(void) arg;
	return len == 4 && memcmp(ufrag, "evtj", 4) == 0 ? "VOkJxbRl1RmTxUk/WvJxBt" : NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rt_ice *ice;
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct rt_ice_check check;
	uint8_t out[512], *copy = malloc(size ? size : 1);
	size_t out_len;
	enum rt_result rc;

	if (ice == NULL)
		ice = rt_ice_new(on_password, NULL);
	if (size)
		memcpy(copy, data, size);
	rc = rt_ice_answer(ice, copy, size, (struct sockaddr *) &from, sizeof(from), out, sizeof(out), &out_len, &check);
	assert(out_len <= sizeof(out));
	assert(rc != RT_OK || (out_len >= 20 && strcmp(check.local_ufrag, "evtj") == 0));
	assert(out_len == 0 || (rt_bytes_get16(out) == 0x0101) == (rc == RT_OK));
	free(copy);
	return 0;
}
