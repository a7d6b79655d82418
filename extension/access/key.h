/* key.h: keys of tokens in a backend. */
#ifndef RT_KEY_H
#define RT_KEY_H

#include "postgres.h"

#include <openssl/evp.h>

#include "bgworker/common/crypto/jws.h"

/* Raises where there is no algorithm of that name. */
extern const struct rt_jws_algorithm *rt_key_algorithm(const text *name);

/* A private or public key in PEM, or NULL; the caller frees it by EVP_PKEY_free().  One with a passphrase is none. */
extern EVP_PKEY *rt_key_read(const text *pem, bool is_private);

#endif
