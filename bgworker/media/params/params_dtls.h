/* params_dtls.h: dtlsParameters, in. */
#ifndef RT_PARAMS_DTLS_H
#define RT_PARAMS_DTLS_H

#include <jansson.h>
#include <stddef.h>

#include "params.h"

#define RT_DTLS_MAX_DIGEST 64

enum rt_dtls_role
{
	RT_DTLS_AUTO,
	RT_DTLS_CLIENT,
	RT_DTLS_SERVER
};

/* The peer's role, and the digest of its certificate.  Of several fingerprints the first one counts. */
struct rt_dtls_params
{
	enum rt_dtls_role role;
	const char *algorithm; /* static: "sha-1", "sha-224", "sha-256", "sha-384" or "sha-512" */
	uint8_t digest[RT_DTLS_MAX_DIGEST];
	size_t digest_len;
};

enum rt_result rt_params_dtls_read(struct rt_dtls_params *d, const json_t *dtls_parameters,
								   struct rt_params_error *e);

#endif
