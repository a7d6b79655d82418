/* stun_request.h: builds STUN requests, for tests. */
#ifndef RT_STUN_REQUEST_H
#define RT_STUN_REQUEST_H

#include <stdint.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "bgworker/media/rtp/rtp.h"

struct stun_request
{
	uint8_t data[512];
	size_t len;
};

static inline void
stun_set_length(struct stun_request *r, size_t attributes)
{
	rt_bytes_put16(r->data + 2, (uint16_t) attributes);
}

static inline void
stun_begin(struct stun_request *r)
{
	memset(r, 0, sizeof(*r));
	r->data[1] = 1;
	rt_bytes_put32(r->data + 4, 0x2112a442);
	memcpy(r->data + 8, "transaction1", 12);
	r->len = 20;
}

static inline void
stun_add(struct stun_request *r, uint16_t type, const void *value, size_t len)
{
	rt_bytes_put16(r->data + r->len, type);
	rt_bytes_put16(r->data + r->len + 2, (uint16_t) len);
	if (len)
		memcpy(r->data + r->len + 4, value, len);
	r->len += 4 + (len + 3) / 4 * 4;
}

static inline uint32_t
stun_crc32(const uint8_t *p, size_t n)
{
	uint32_t c = 0xffffffff;

	while (n--)
	{
		c ^= *p++;
		for (int k = 0; k < 8; k++)
			c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
	}
	return ~c;
}

static inline void
stun_integrity(struct stun_request *r, const char *password)
{
	uint8_t mac[20];
	unsigned n = sizeof(mac);

	stun_set_length(r, r->len - 20 + 24);
	HMAC(EVP_sha1(), password, (int) strlen(password), r->data, r->len, mac, &n);
	stun_add(r, 0x0008, mac, 20);
}

static inline void
stun_fingerprint(struct stun_request *r)
{
	uint8_t crc[4];

	stun_set_length(r, r->len - 20 + 8);
	rt_bytes_put32(crc, stun_crc32(r->data, r->len) ^ 0x5354554e);
	stun_add(r, 0x8028, crc, 4);
}

/* What every check of a controlling agent has, but integrity and fingerprint. */
static inline void
stun_check(struct stun_request *r, const char *username)
{
	stun_begin(r);
	stun_add(r, 0x0006, username, strlen(username));
	stun_add(r, 0x0024, "\x6e\x00\x01\xff", 4);
	stun_add(r, 0x802a, "12345678", 8); /* ICE-CONTROLLING */
}

#endif
