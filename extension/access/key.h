/* key.h: algorithms of tokens, and the keys that fit them. */
#ifndef RT_KEY_H
#define RT_KEY_H

#include "postgres.h"

#include <openssl/evp.h>

struct rt_algorithm
{
	const char *name;
	const EVP_MD *(*digest)(void);
	int key_type;   /* EVP_PKEY_…; 0: a shared secret */
	int curve_bits; /* of an elliptic curve, else 0 */
};

extern const struct rt_algorithm *rt_algorithm_find(const text *name); /* or an error */

/* A private or public key in PEM, or NULL; the caller frees it by EVP_PKEY_free().  One with a passphrase is none. */
extern EVP_PKEY *rt_key_read(const text *pem, bool is_private);

#endif
