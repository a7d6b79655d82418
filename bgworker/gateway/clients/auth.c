/* auth.c: see auth.h.
 *
 * The token's header chooses a key by its kid; its alg must be the one that the key was made for before the
 * signature is looked at, so neither `none` nor a public key taken for a shared secret gets anywhere. */
#include "auth.h"

#include <jwt.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bgworker/common/db/db.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/gateway/bus/command.h"

#define HEADER_LIMIT_BYTES 2048
#define MAX_KEYS 64
#define LEEWAY_S 5 /* of the issuer's clock, for tokens that are not valid yet */
#define RETRY_MS 500

struct key
{
	char *kid;
	char *alg;
	unsigned char *bytes;
	size_t len;
};

struct rt_auth
{
	struct rt_db *db;
	struct key keys[MAX_KEYS];
	size_t nkeys;
	bool ready;
	bool reading;
	bool again; /* the keys changed while they were read */
	struct rt_timer *retry;
};

static void
drop_keys(struct rt_auth *a)
{
	for (size_t i = 0; i < a->nkeys; i++)
	{
		explicit_bzero(a->keys[i].bytes, a->keys[i].len);
		free(a->keys[i].bytes);
		free(a->keys[i].kid);
		free(a->keys[i].alg);
	}
	a->nkeys = 0;
}

static void
add_key(struct rt_auth *a, const json_t *item)
{
	const char *kid = rt_json_str(item, "kid");
	const char *alg = rt_json_str(item, "alg");
	const char *text = rt_json_str(item, "key");
	struct key *k = &a->keys[a->nkeys];

	if (kid == NULL || alg == NULL || text == NULL || a->nkeys == MAX_KEYS)
	{
		rt_log(RT_LOG_WARNING, "auth", "a key is not usable or one too many");
		return;
	}
	k->kid = rt_strdup(kid);
	k->alg = rt_strdup(alg);
	k->len = strlen(text);
	k->bytes = (unsigned char *) rt_strdup(text);
	a->nkeys++;
}

static void
on_keys(void *arg, const struct rt_db_reply *reply)
{
	struct rt_auth *a = arg;
	json_t *root = reply->ok ? rt_json_parse(reply->json, reply->json_len) : NULL;
	const json_t *list = json_is_array(root) ? root : rt_json_array(root, "keys");
	json_t *item;
	size_t i;

	a->reading = false;
	if (list == NULL)
	{
		json_decref(root);
		rt_timer_start(a->retry, RETRY_MS);
		return;
	}
	drop_keys(a);
	json_array_foreach(list, i, item) add_key(a, item);
	json_decref(root);
	a->ready = true;
	if (a->again)
		rt_auth_refresh(a);
}

void
rt_auth_refresh(struct rt_auth *a)
{
	a->again = a->reading;
	if (a->reading)
		return;
	a->reading = true;
	rt_db_call(a->db, RT_DB_OWN, "keys", NULL, "{}", 2, on_keys, a);
}

static void
on_retry(void *arg)
{
	rt_auth_refresh(arg);
}

/* rt:keys: they have changed. */
static void
run_keys(void *owner, const json_t *payload)
{
	rt_auth_refresh(owner);
}

static const struct rt_command_def commands[] = {{"rt:keys", run_keys}};

struct rt_auth *
rt_auth_new(struct rt_loop *l, struct rt_db *db, struct rt_commands *cs)
{
	struct rt_auth *a = rt_alloc(sizeof(*a));

	a->db = db;
	a->retry = rt_timer_new(l, on_retry, a);
	rt_commands_add(cs, commands, sizeof(commands) / sizeof(commands[0]), a);
	return a;
}

void
rt_auth_free(struct rt_auth *a)
{
	if (a == NULL)
		return;
	rt_timer_free(a->retry);
	drop_keys(a);
	free(a);
}

bool
rt_auth_ready(const struct rt_auth *a)
{
	return a->ready;
}

/* base64url without padding (RFC 7515, section 2), into a NUL-terminated buffer; how much came out, or -1. */
static int
decode_base64url(const char *text, size_t len, unsigned char *out, size_t room)
{
	char padded[HEADER_LIMIT_BYTES + 4];
	size_t n = 0;
	int decoded;

	if (len == 0 || len > HEADER_LIMIT_BYTES || len % 4 == 1 || len / 4 * 3 + 4 > room)
		return -1;
	for (; n < len; n++)
		padded[n] = text[n] == '-' ? '+' : text[n] == '_' ? '/' : text[n] == '+' || text[n] == '/' ? '!' : text[n];
	while (n % 4 != 0)
		padded[n++] = '=';
	decoded = EVP_DecodeBlock(out, (unsigned char *) padded, (int) n);
	if (decoded < 0)
		return -1;
	decoded -= (int) (n - len);
	out[decoded] = '\0';
	return decoded;
}

static json_t *
read_header(const char *token)
{
	unsigned char text[HEADER_LIMIT_BYTES + 8];
	const char *dot = strchr(token, '.');
	int len = dot == NULL ? -1 : decode_base64url(token, (size_t) (dot - token), text, sizeof(text));

	return len < 0 ? NULL : rt_json_parse_object((const char *) text, (size_t) len);
}

/* The token's claims if this key has signed it, else NULL. */
static json_t *
verify_with(const struct key *k, const char *token)
{
	jwt_t *jwt = NULL;
	char *text;
	json_t *claims;

	if (jwt_decode(&jwt, token, k->bytes, (int) k->len) != 0)
		return NULL;
	text = jwt_get_grants_json(jwt, NULL);
	claims = text == NULL ? NULL : rt_json_parse_object(text, strlen(text));
	free(text);
	jwt_free(jwt);
	return claims;
}

static json_t *
verify_signature(const struct rt_auth *a, const char *token)
{
	json_t *header = read_header(token);
	const char *alg = rt_json_str(header, "alg");
	const char *kid = rt_json_str(header, "kid");
	json_t *claims = NULL;

	/* An extension that must be understood, and is not (RFC 7515, section 4.1.11). */
	if (json_object_get(header, "crit") != NULL)
		alg = NULL;
	/* Without a kid, whichever key fits: there are few. */
	for (size_t i = 0; alg != NULL && claims == NULL && i < a->nkeys; i++)
	{
		const struct key *k = &a->keys[i];

		if (strcmp(k->alg, alg) == 0 && (kid == NULL || strcmp(k->kid, kid) == 0))
			claims = verify_with(k, token);
	}
	json_decref(header);
	return claims;
}

/* exp and nbf may have fractions (RFC 7519, section 2, NumericDate). */
static enum rt_auth_verdict
check_times(const json_t *claims, double now)
{
	const json_t *exp = json_object_get(claims, "exp");
	const json_t *nbf = json_object_get(claims, "nbf");

	if ((exp != NULL && !json_is_number(exp)) || (nbf != NULL && !json_is_number(nbf)))
		return RT_AUTH_INVALID;
	if (exp != NULL && json_number_value(exp) <= now)
		return RT_AUTH_EXPIRED;
	if (nbf != NULL && json_number_value(nbf) - LEEWAY_S > now)
		return RT_AUTH_INVALID;
	return RT_AUTH_OK;
}

enum rt_auth_verdict
rt_auth_verify(struct rt_auth *a, const char *token, char **user, double *expires_s)
{
	json_t *claims;
	const char *sub;
	enum rt_auth_verdict v;

	if (token == NULL || *token == '\0')
		return RT_AUTH_MISSING;
	if (strlen(token) > RT_TOKEN_LIMIT_BYTES)
		return RT_AUTH_INVALID;
	claims = verify_signature(a, token);
	if (claims == NULL)
		return RT_AUTH_INVALID;
	v = check_times(claims, (double) time(NULL));
	sub = rt_json_str(claims, "sub");
	if (v == RT_AUTH_OK && (sub == NULL || *sub == '\0'))
		v = RT_AUTH_INVALID;
	if (v == RT_AUTH_OK)
		*user = rt_strdup(sub);
	if (v == RT_AUTH_OK && expires_s != NULL)
		*expires_s = json_number_value(json_object_get(claims, "exp"));
	json_decref(claims);
	return v;
}

const char *
rt_auth_message(enum rt_auth_verdict v)
{
	switch (v)
	{
		case RT_AUTH_MISSING:
			return "Authentication token missing";
		case RT_AUTH_EXPIRED:
			return "Token expired";
		case RT_AUTH_INVALID:
		case RT_AUTH_OK:
			break;
	}
	return "Invalid token";
}
