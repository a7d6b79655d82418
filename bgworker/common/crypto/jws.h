/* jws.h: signatures of JSON Web Tokens (RFC 7515, RFC 7518, RFC 8037), by OpenSSL.
 *
 * The server and the gateway verify with this same code.  It knows no claims: it splits a token, decodes its parts,
 * and says whether a key has signed it.  A key is made for one algorithm; which one a token names is compared by the
 * caller, so no token chooses how it is verified (RFC 8725, section 3.1). */
#ifndef RT_JWS_H
#define RT_JWS_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/evp.h>

#define RT_JWS_LIMIT_BYTES 8192           /* of a token; a longer one is refused */
#define RT_JWS_SIGNATURE_LIMIT_BYTES 2048 /* RSA with 16,384 bits */
#define RT_JWS_DEPTH_LIMIT 100            /* arrays and objects within one another */
#define RT_JWS_EXPONENT_LIMIT 400         /* of a number, either way; a double ends before that */

struct rt_jws_algorithm
{
	const char *name;
	const EVP_MD *(*digest)(void); /* NULL: the algorithm has its own (EdDSA) */
	int key_type;                  /* EVP_PKEY_…; 0: a shared secret */
	int curve_bits;                /* of ECDSA, else 0 */
	bool pss;                      /* RSASSA-PSS rather than PKCS #1 v1.5 */
};

/* NULL: there is none of that name. */
const struct rt_jws_algorithm *rt_jws_algorithm_find(const char *name, size_t len);
/* All of them; the last one has no name. */
const struct rt_jws_algorithm *rt_jws_algorithms(void);
/* Why a key cannot be used with the algorithm, as a sentence, or NULL: its kind, its curve, fewer than 2,048 bits of
 * RSA. */
const char *rt_jws_algorithm_fault(const struct rt_jws_algorithm *a, EVP_PKEY *key);

struct rt_jws_bytes
{
	const unsigned char *data;
	size_t len;
};

/* RFC 7515, section 3.1: header, claims, signature, as they stand, in base64url. */
struct rt_jws
{
	struct rt_jws_bytes header, claims, signature;
	struct rt_jws_bytes input; /* what is signed: header and claims with the dot between */
};

/* False where it is no compact JWS, or too long.  The parts lie in the token. */
bool rt_jws_split(const char *token, size_t len, struct rt_jws *jws);
/* Base64url without padding (RFC 7515, section 2).  How many bytes came out, or -1: not base64url, or no room. */
int rt_jws_decode(struct rt_jws_bytes text, unsigned char *out, size_t room);
/* Whether the JSON of a part is within the limits that both readers keep, PostgreSQL's jsonb and jansson: they agree
 * on no number beyond a double (RFC 8259, section 6) and on no depth.  It must end in a NUL that is no part of it.
 * What is malformed is for them to refuse. */
bool rt_jws_json_fits(const char *json);

struct rt_jws_key; /* a shared secret, or a public key */

/* The text is the secret itself, or the public key in PEM.  NULL: no key, or none for the algorithm. */
struct rt_jws_key *rt_jws_key_new(const struct rt_jws_algorithm *a, const char *text, size_t len);
void rt_jws_key_free(struct rt_jws_key *k); /* NULL is fine; secrets are overwritten */
bool rt_jws_key_has_signed(const struct rt_jws_key *k, const struct rt_jws *jws);

#endif
