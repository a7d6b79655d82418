/* keyring.c: see keyring.h
 *
 * Order of the checks: the form, the header, the key by issuer, algorithm and kid, the signature, and only then what
 * the claims say (RFC 8725, section 3).  A key is of one issuer and for one algorithm, so neither `none`, nor a
 * public key taken for a shared secret, nor another issuer's key gets anywhere. */
#include "keyring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/json.h"
#include "bgworker/common/crypto/jws.h"
#include "bgworker/common/log.h"
#include "bgworker/common/text.h"

#define LEEWAY_S 30                     /* for clocks that differ */
#define TIME_LIMIT_S 9007199254740992.0 /* 2^53: JSON's numbers are exact below it (RFC 8259, section 6) */
#define LIFETIME_S (30 * 86400)         /* of a token that does not say when it was issued, at most */
#define MAX_KEYS 10000

struct key
{
	const json_t *issuer; /* lies in the answer; NULL: ours */
	const char *kid;      /* lies there too; "": it has none */
	uint64_t id;          /* of the key and its issuer's rules; the same in each keyring that has both */
	const struct rt_jws_algorithm *algorithm;
	struct rt_jws_key *key;
};

struct rt_keyring
{
	json_t *answer;
	struct key *keys;
	size_t nkeys;
};

/* ---- reading ------------------------------------------------------------------------- */

/* An issuer's secret is what its JWK has, any bytes in base64url (RFC 7518, section 6.4.1); ours is text. */
static struct rt_jws_key *
read_key(const json_t *issuer, const struct rt_jws_algorithm *a, const char *text)
{
	unsigned char secret[RT_JWS_LIMIT_BYTES];
	int len;

	if (issuer == NULL || a->key_type != 0)
		return rt_jws_key_new(a, text, strlen(text));
	len = rt_jws_decode((struct rt_jws_bytes){(const unsigned char *) text, strlen(text)}, secret, sizeof(secret));
	return len < 0 ? NULL : rt_jws_key_new(a, (const char *) secret, (size_t) len);
}

/* Of SHA-256 the first 64 bits.  Only the keys of one server must differ. */
static uint64_t
make_id(const struct rt_text *text)
{
	unsigned char digest[EVP_MAX_MD_SIZE] = {0};
	uint64_t id;

	EVP_Digest(text->data, text->len, digest, NULL, EVP_sha256(), NULL);
	memcpy(&id, digest, sizeof(id));
	return id;
}

static void
add_rules(struct rt_text *t, const json_t *issuer)
{
	static const char *const rules[] = {"issuer", "audiences", "authorizedParties", "userClaim"};

	for (size_t i = 0; issuer != NULL && i < sizeof(rules) / sizeof(rules[0]); i++)
	{
		char *text = json_dumps(json_object_get(issuer, rules[i]), JSON_ENCODE_ANY | JSON_COMPACT);

		rt_text_add(t, text == NULL ? "null" : text);
		free(text);
	}
}

static uint64_t
identify(const json_t *issuer, const json_t *item)
{
	struct rt_text t;
	uint64_t id;

	rt_text_init(&t);
	add_rules(&t, issuer);
	rt_text_quote(&t, rt_json_str(item, "kid"));
	rt_text_quote(&t, rt_json_str(item, "alg"));
	rt_text_quote(&t, rt_json_str(item, "key"));
	id = make_id(&t);
	explicit_bzero(t.data, t.len);
	rt_text_fini(&t);
	return id;
}

/* A key of a newer release's algorithm, or one that OpenSSL does not take here, is left out: the others go on. */
static void
add_key(struct rt_keyring *k, const json_t *issuer, const json_t *item)
{
	const char *kid = rt_json_str(item, "kid");
	const char *alg = rt_json_str(item, "alg");
	const char *text = rt_json_str(item, "key");
	const struct rt_jws_algorithm *a = alg == NULL ? NULL : rt_jws_algorithm_find(alg, strlen(alg));
	struct rt_jws_key *key = a == NULL || text == NULL ? NULL : read_key(issuer, a, text);

	if (kid == NULL || key == NULL)
	{
		rt_log(RT_LOG_WARNING, "auth", "key \"%s\" of algorithm %s cannot be used", kid == NULL ? "" : kid,
			   alg == NULL ? "(none)" : alg);
		rt_jws_key_free(key);
		return;
	}
	k->keys[k->nkeys++] = (struct key){issuer, kid, identify(issuer, item), a, key};
}

static void
add_keys(struct rt_keyring *k, const json_t *issuer, const json_t *list)
{
	json_t *item;
	size_t i;

	if (json_array_size(list) == 0 || k->nkeys + json_array_size(list) > MAX_KEYS)
		return;
	k->keys = rt_realloc(k->keys, (k->nkeys + json_array_size(list)) * sizeof(*k->keys));
	json_array_foreach(list, i, item) add_key(k, issuer, item);
}

struct rt_keyring *
rt_keyring_new(const json_t *answer)
{
	const json_t *issuers = rt_json_array(answer, "issuers");
	struct rt_keyring *k;
	json_t *issuer;
	size_t i;

	if (rt_json_array(answer, "keys") == NULL)
		return NULL;
	k = rt_alloc(sizeof(*k));
	k->answer = json_deep_copy(answer);
	add_keys(k, NULL, rt_json_array(k->answer, "keys"));
	issuers = rt_json_array(k->answer, "issuers");
	json_array_foreach(issuers, i, issuer) add_keys(k, issuer, rt_json_array(issuer, "keys"));
	return k;
}

void
rt_keyring_free(struct rt_keyring *k)
{
	if (k == NULL)
		return;
	for (size_t i = 0; i < k->nkeys; i++)
		rt_jws_key_free(k->keys[i].key);
	free(k->keys);
	json_decref(k->answer);
	free(k);
}

/* ---- header and signature ----------------------------------------------------------------- */

/* NULL: not an object, or beyond the limits.  An integer of any size is a number. */
static json_t *
read_part(struct rt_jws_bytes part)
{
	char text[RT_JWS_LIMIT_BYTES + 1];
	int len = rt_jws_decode(part, (unsigned char *) text, RT_JWS_LIMIT_BYTES);
	json_t *value;

	if (len < 0)
		return NULL;
	text[len] = '\0';
	value = rt_jws_json_fits(text) ? json_loadb(text, (size_t) len, JSON_DECODE_INT_AS_REAL, NULL) : NULL;
	if (json_is_object(value))
		return value;
	json_decref(value);
	return NULL;
}

/* RFC 8725, section 3.11: a token of another type is none of ours. */
static bool
is_access_token(const json_t *header)
{
	const json_t *typ = json_object_get(header, "typ");
	const char *name = json_string_value(typ);

	return typ == NULL || (name != NULL && (strcasecmp(name, "jwt") == 0 || strcasecmp(name, "at+jwt") == 0 ||
											strcasecmp(name, "application/at+jwt") == 0));
}

/* RFC 9864, section 2.2: Ed25519 is the name that says which of the EdDSA algorithms it is, and here that is the one.
 */
static const char *
find_algorithm(const json_t *header)
{
	const char *alg = rt_json_str(header, "alg");

	return alg != NULL && strcmp(alg, "Ed25519") == 0 ? "EdDSA" : alg;
}

static const char *
find_header_fault(const json_t *header)
{
	const json_t *kid = json_object_get(header, "kid");

	/* An extension that must be understood, and is not (RFC 7515, section 4.1.11). */
	if (json_object_get(header, "crit") != NULL)
		return "its header has a critical extension";
	if (!is_access_token(header))
		return "its type is neither JWT nor at+jwt";
	if (kid != NULL && !json_is_string(kid))
		return "its kid is not a text";
	if (find_algorithm(header) == NULL)
		return "it names no algorithm";
	return NULL;
}

static const json_t *
find_issuer(const struct rt_keyring *k, const char *name)
{
	const json_t *issuers = rt_json_array(k->answer, "issuers");
	json_t *issuer;
	size_t i;

	json_array_foreach(issuers, i, issuer)
	{
		const char *known = rt_json_str(issuer, "issuer");

		if (name != NULL && known != NULL && strcmp(known, name) == 0)
			return issuer;
	}
	return NULL;
}

/* Without a kid any key of ours may have signed it. */
static const char *
find_signature_fault(const struct rt_keyring *k, const json_t *header, const struct rt_jws *jws,
					 struct rt_keyring_token *t)
{
	const char *alg = find_algorithm(header);
	const char *kid = rt_json_str(header, "kid");
	size_t candidates = 0;
	bool signed_by_one = false;

	for (size_t i = 0; i < k->nkeys && !signed_by_one; i++)
	{
		const struct key *key = &k->keys[i];

		if (key->issuer != t->issuer || strcmp(key->algorithm->name, alg) != 0 ||
			(kid != NULL && strcmp(key->kid, kid) != 0))
			continue;
		candidates++;
		signed_by_one = rt_jws_key_has_signed(key->key, jws);
		t->key = key->id;
	}
	if (candidates == 0)
		return "there is no key of its algorithm and kid";
	return signed_by_one ? NULL : "its key has not signed it";
}

/* A token without a kid, of an issuer that has several keys of its algorithm: which one is meant is not for us to
 * guess. */
static bool
is_ambiguous(const struct rt_keyring *k, const json_t *issuer, const json_t *header)
{
	const char *alg = find_algorithm(header);
	size_t n = 0;

	if (issuer == NULL || json_object_get(header, "kid") != NULL)
		return false;
	for (size_t i = 0; i < k->nkeys; i++)
		n += k->keys[i].issuer == issuer && strcmp(k->keys[i].algorithm->name, alg) == 0;
	return n > 1;
}

/* ---- claims ---------------------------------------------------------------------------------- */

static bool
has_text(const json_t *list, const char *text)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (json_is_string(item) && strcmp(json_string_value(item), text) == 0)
			return true;
	}
	return false;
}

/* A text or an array of texts (RFC 7519, section 4.1.3), one of which must be in the list. */
static bool
fits(const json_t *claim, const json_t *list)
{
	json_t *item;
	size_t i;

	if (json_is_string(claim))
		return has_text(list, json_string_value(claim));
	json_array_foreach(claim, i, item)
	{
		if (json_is_string(item) && has_text(list, json_string_value(item)))
			return true;
	}
	return false;
}

static const char *
find_audience_fault(const json_t *issuer, const json_t *claims)
{
	const json_t *parties = rt_json_array(issuer, "authorizedParties");
	const char *azp = rt_json_str(claims, "azp");

	if (issuer == NULL)
		return json_object_get(claims, "aud") != NULL ? "it has an audience, but no issuer" : NULL;
	if (!fits(json_object_get(claims, "aud"), rt_json_array(issuer, "audiences")))
		return "its audience is none of the issuer's";
	if (parties != NULL && (azp == NULL || !has_text(parties, azp)))
		return "its authorized party is none of the issuer's";
	return NULL;
}

/* When the token was issued.  One that does not say (iat) was issued at nbf, or at the earliest one lifetime before
 * its end, whichever is later.  If that is still to come, the issuer's tokens live longer than it says, and nothing
 * is known: 0. */
static double
find_issued(const json_t *claims, const json_t *issuer, double now_s)
{
	const json_t *iat = json_object_get(claims, "iat");
	double lifetime_s = json_number_value(json_object_get(issuer, "tokenLifetimeS"));
	double at_the_earliest_s =
		json_number_value(json_object_get(claims, "exp")) - (lifetime_s > 0 ? lifetime_s : LIFETIME_S);

	if (iat != NULL)
		return json_number_value(iat);
	return fmax(json_number_value(json_object_get(claims, "nbf")), at_the_earliest_s > now_s ? 0 : at_the_earliest_s);
}

/* Numbers may have fractions (RFC 7519, section 2, NumericDate). */
static enum rt_keyring_verdict
check_times(const json_t *claims, double now_s, struct rt_keyring_token *t, const char **why)
{
	const json_t *exp = json_object_get(claims, "exp");
	const json_t *nbf = json_object_get(claims, "nbf");
	const json_t *iat = json_object_get(claims, "iat");

	t->expires_s = json_number_value(exp);
	t->issued_s = find_issued(claims, t->issuer, now_s);
	if (!json_is_number(exp) || (nbf != NULL && !json_is_number(nbf)) || (iat != NULL && !json_is_number(iat)))
		*why = "exp, nbf or iat is no number, or exp is missing";
	else if (fabs(t->expires_s) >= TIME_LIMIT_S || fabs(json_number_value(nbf)) >= TIME_LIMIT_S ||
			 fabs(json_number_value(iat)) >= TIME_LIMIT_S)
		*why = "exp, nbf or iat is out of range";
	else if (t->expires_s + LEEWAY_S <= now_s)
	{
		*why = "it has expired";
		return RT_KEYRING_EXPIRED;
	}
	else if (json_number_value(nbf) - LEEWAY_S > now_s)
		*why = "nbf is in the future";
	/* Our own clock may have been set back since we issued a token. */
	else if (t->issuer != NULL && json_number_value(iat) - LEEWAY_S > now_s)
		*why = "iat is in the future";
	return *why == NULL ? RT_KEYRING_OK : RT_KEYRING_INVALID;
}

/* OpenID Connect Core, section 5.1: an address that somebody has only given is not theirs.  Not all providers say. */
static bool
is_unverified(const char *claim, const json_t *claims)
{
	const json_t *verified = json_object_get(claims, "email_verified");

	return claim != NULL && strcmp(claim, "email") == 0 && verified != NULL && !json_is_true(verified) &&
		   !(json_is_string(verified) && strcmp(json_string_value(verified), "true") == 0);
}

static enum rt_keyring_verdict
check_claims(const json_t *claims, double now_s, struct rt_keyring_token *t, const char **why)
{
	const char *user_claim = t->issuer == NULL ? "sub" : rt_json_str(t->issuer, "userClaim");
	enum rt_keyring_verdict v;

	*why = find_audience_fault(t->issuer, claims);
	v = *why != NULL ? RT_KEYRING_INVALID : check_times(claims, now_s, t, why);
	if (v != RT_KEYRING_OK)
		return v;
	t->user = user_claim == NULL ? NULL : rt_json_str(claims, user_claim);
	if (t->user == NULL || *t->user == '\0')
		*why = "the claim that is the user is missing or no text";
	else if (t->issuer != NULL && is_unverified(user_claim, claims))
		*why = "the e-mail address that is the user is not verified";
	if (*why != NULL)
		return RT_KEYRING_INVALID;
	t->sid = t->issuer == NULL ? rt_json_str(claims, "sid") : NULL;
	return RT_KEYRING_OK;
}

static enum rt_keyring_verdict
check_parts(const struct rt_keyring *k, const struct rt_jws *jws, const json_t *header, const json_t *claims,
			double now_s, struct rt_keyring_token *t, const char **why)
{
	const json_t *iss = json_object_get(claims, "iss");

	*why = find_header_fault(header);
	if (*why == NULL && iss != NULL && (t->issuer = find_issuer(k, json_string_value(iss))) == NULL)
		*why = "its issuer is unknown";
	if (*why == NULL && is_ambiguous(k, t->issuer, header))
		*why = "it has no kid, and the issuer more than one key of its algorithm";
	if (*why == NULL)
		*why = find_signature_fault(k, header, jws, t);
	return *why == NULL ? check_claims(claims, now_s, t, why) : RT_KEYRING_INVALID;
}

enum rt_keyring_verdict
rt_keyring_verify(const struct rt_keyring *k, const char *token, double now_s, struct rt_keyring_token *t,
				  const char **why)
{
	enum rt_keyring_verdict v = RT_KEYRING_INVALID;
	json_t *header = NULL;
	struct rt_jws jws;

	memset(t, 0, sizeof(*t));
	*why = "it is no JSON Web Token";
	if (rt_jws_split(token, strlen(token), &jws))
	{
		header = read_part(jws.header);
		t->claims = read_part(jws.claims);
	}
	if (header != NULL && t->claims != NULL)
		v = check_parts(k, &jws, header, t->claims, now_s, t, why);
	json_decref(header);
	if (v != RT_KEYRING_OK)
	{
		json_decref(t->claims);
		memset(t, 0, sizeof(*t));
	}
	return v;
}

bool
rt_keyring_has(const struct rt_keyring *k, uint64_t key)
{
	for (size_t i = 0; i < k->nkeys; i++)
	{
		if (k->keys[i].id == key)
			return true;
	}
	return false;
}

/* ---- users that an issuer creates --------------------------------------------------------------- */

/* The claim is the value, true, or an array that has it. */
static bool
is_value(const json_t *given, const char *value)
{
	if (json_is_boolean(given))
		return json_is_true(given) && strcmp(value, "true") == 0;
	return (json_is_string(given) && strcmp(json_string_value(given), value) == 0) || has_text(given, value);
}

/* RFC 6901: of what the pointer's next token names, in len bytes.  A member's name is at most as long as the pointer.
 */
static const json_t *
find_member(const json_t *in, const char *token, size_t len)
{
	char *name = rt_alloc(len + 1);
	const json_t *found;
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
	{
		bool escape = token[i] == '~' && i + 1 < len && (token[i + 1] == '0' || token[i + 1] == '1');

		name[n++] = (char) (!escape ? token[i] : token[i + 1] == '0' ? '~' : '/');
		i += escape;
	}
	found = json_object_get(in, name); /* NULL: not in an object */
	free(name);
	return found;
}

/* A claim by its name, or by a JSON pointer, as Keycloak's roles are: "/realm_access/roles". */
static const json_t *
find_claim(const json_t *claims, const char *claim)
{
	const json_t *found = json_object_get(claims, claim);

	if (found != NULL || *claim != '/')
		return found;
	for (found = claims; found != NULL && *claim == '/'; claim += strcspn(claim, "/"))
	{
		claim++;
		found = find_member(found, claim, strcspn(claim, "/"));
	}
	return found;
}

enum rt_provisioned_admin
rt_keyring_admin(const struct rt_keyring_token *t)
{
	const char *claim = t->issuer == NULL ? NULL : rt_json_str(t->issuer, "adminClaim");
	const char *value = claim == NULL ? NULL : rt_json_str(t->issuer, "adminValue");

	if (value == NULL)
		return RT_PROVISIONED_UNSAID;
	return is_value(find_claim(t->claims, claim), value) ? RT_PROVISIONED_ADMIN : RT_PROVISIONED_ORDINARY;
}

static const char *
text_claim(const struct rt_keyring_token *t, const char *which)
{
	const char *claim = rt_json_str(t->issuer, which);

	return claim == NULL || is_unverified(claim, t->claims) ? NULL : rt_json_str(t->claims, claim);
}

char *
rt_keyring_provision(const struct rt_keyring_token *t)
{
	enum rt_provisioned_admin admin = rt_keyring_admin(t);
	struct rt_text text;

	if (t->issuer == NULL || (!rt_json_bool(t->issuer, "createUsers", false) && admin == RT_PROVISIONED_UNSAID))
		return NULL;
	rt_text_init(&text);
	rt_text_add(&text, "{\"issuer\":");
	rt_text_quote(&text, rt_json_str(t->issuer, "issuer"));
	rt_text_add(&text, ",\"name\":");
	rt_text_quote(&text, text_claim(t, "nameClaim"));
	rt_text_add(&text, ",\"username\":");
	rt_text_quote(&text, text_claim(t, "usernameClaim"));
	rt_text_addf(&text, ",\"isAdmin\":%s}", admin == RT_PROVISIONED_ADMIN ? "true" : "false");
	return text.data;
}
