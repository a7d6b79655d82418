/* test_auth.c: tokens that are let in, and all those that are not.  The database is a stand-in that hands out keys.
 */
#include <jansson.h>
#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <time.h>

#include "bgworker/common/db/db.h"
#include "bgworker/common/loop.h"
#include "bgworker/gateway/bus/command.h"
#include "bgworker/gateway/bus/self.h"
#include "bgworker/gateway/clients/auth.h"
#include "bgworker/gateway/clients/dbclock.h"
#include "tap.h"

#define SECRET "0123456789abcdef0123456789abcdef"

static char *keys_json;
static const char *revocations_json = "{\"sids\":[],\"floors\":[]}";
static int asked, provisioned;
static const char *forgets; /* a user whose deletion is heard before the answer */
static struct rt_auth *auth;

/* The keys' answer comes at once; nothing of auth.c is on the stack that minds. */
void
rt_db_call(struct rt_db *db, enum rt_db_lane lane, const char *fn, const char *actor, const char *req, size_t req_len,
		   rt_db_cb cb, void *arg)
{
	const char *json = strcmp(fn, "keys") == 0 ? keys_json : strcmp(fn, "revocations") == 0 ? revocations_json : "{}";
	struct rt_db_reply reply = {.ok = true, .json = json, .json_len = strlen(json)};

	asked += strcmp(fn, "keys") == 0;
	provisioned += strcmp(fn, "provision") == 0;
	if (forgets != NULL)
		rt_auth_forget_user(auth, forgets);
	cb(arg, &reply);
}

struct rt_timer *
rt_timer_new(struct rt_loop *l, rt_loop_cb fn, void *arg)
{
	return NULL;
}

void
rt_timer_start(struct rt_timer *t, uint64_t delay_ms)
{
}

void
rt_timer_free(struct rt_timer *t)
{
}

static void
make_pair(EVP_PKEY *pkey, char **private_pem, char **public_pem)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *data;
	long len;

	PEM_write_bio_PrivateKey(b, pkey, NULL, NULL, 0, NULL, NULL);
	len = BIO_get_mem_data(b, &data);
	*private_pem = strndup(data, (size_t) len);
	BIO_free(b);
	b = BIO_new(BIO_s_mem());
	PEM_write_bio_PUBKEY(b, pkey);
	len = BIO_get_mem_data(b, &data);
	*public_pem = strndup(data, (size_t) len);
	BIO_free(b);
	EVP_PKEY_free(pkey);
}

/* A token with these claims; the caller free()s it. */
static char *
sign(jwt_alg_t alg, const char *key, const char *kid, const char *claims)
{
	jwt_t *jwt;
	char *token;

	jwt_new(&jwt);
	jwt_add_grants_json(jwt, claims);
	if (kid != NULL)
		jwt_add_header(jwt, "kid", kid);
	jwt_set_alg(jwt, alg, (const unsigned char *) key, alg == JWT_ALG_NONE ? 0 : (int) strlen(key));
	token = jwt_encode_str(jwt);
	jwt_free(jwt);
	return token;
}

/* One whose header wants an extension to be understood. */
static char *
sign_critical(const char *claims)
{
	jwt_t *jwt;
	char *token;

	jwt_new(&jwt);
	jwt_add_grants_json(jwt, claims);
	jwt_add_header(jwt, "kid", "h");
	jwt_add_headers_json(jwt, "{\"crit\":[\"b64\"],\"b64\":false}");
	jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *) SECRET, (int) strlen(SECRET));
	token = jwt_encode_str(jwt);
	jwt_free(jwt);
	return token;
}

/* Takes the token. */
static enum rt_auth_verdict
verdict(char *token, const char *expected_user)
{
	struct rt_auth_token t;
	enum rt_auth_verdict v = rt_auth_verify(auth, token, &t);

	if (v == RT_AUTH_OK && expected_user != NULL && strcmp(t.user, expected_user) != 0)
		v = RT_AUTH_INVALID;
	rt_auth_token_fini(&t);
	free(token);
	return v;
}

static char *
claims(const char *sub, long exp_in, const char *more)
{
	static char text[300];

	snprintf(text, sizeof(text), "{\"sub\":%s,\"exp\":%ld%s}", sub, (long) time(NULL) + exp_in, more);
	return text;
}

static void
on_provisioned(void *arg, bool ok)
{
}

static char *
hs(const char *text)
{
	return sign(JWT_ALG_HS256, SECRET, "h", text);
}

static void
test_times(void)
{
	ok(verdict(hs(claims("\"alice\"", 60, "")), "alice") == RT_AUTH_OK, "a good token");
	ok(verdict(hs("{\"sub\":\"alice\"}"), NULL) == RT_AUTH_INVALID, "one that never ends");
	ok(verdict(hs(claims("\"alice\"", -20, "")), "alice") == RT_AUTH_OK, "a clock that is 20 s behind");
	ok(verdict(hs(claims("\"alice\"", 60, ",\"nbf\":1.5")), "alice") == RT_AUTH_OK, "times may have fractions");
	ok(verdict(hs(claims("\"alice\"", -31, "")), NULL) == RT_AUTH_EXPIRED, "an expired one");
	ok(verdict(hs("{\"sub\":\"alice\",\"exp\":-5}"), NULL) == RT_AUTH_EXPIRED, "expired before 1970");
	ok(verdict(hs("{\"sub\":\"alice\",\"exp\":\"9999999999\"}"), NULL) == RT_AUTH_INVALID, "exp is no number");
	ok(verdict(hs(claims("\"alice\"", 60, ",\"nbf\":99999999999")), NULL) == RT_AUTH_INVALID, "not valid yet");
}

static void
test_claims(void)
{
	ok(verdict(hs(claims("5", 60, "")), NULL) == RT_AUTH_INVALID, "sub is a number");
	ok(verdict(hs(claims("\"\"", 60, "")), NULL) == RT_AUTH_INVALID, "sub is empty");
	ok(verdict(hs("{\"exp\":9999999999}"), NULL) == RT_AUTH_INVALID, "no sub");
	ok(verdict(hs(claims("\"alice\"", 60, ",\"aud\":\"x\"")), NULL) == RT_AUTH_INVALID,
	   "an audience without an issuer");
	ok(verdict(hs(claims("\"alice\"", 60, ",\"iss\":\"x\"")), NULL) == RT_AUTH_INVALID, "an issuer that is unknown");
}

/* Of two tokens the later one says whether the user is an administrator. */
static bool
is_told(struct rt_auth_token *t, enum rt_provisioned_admin admin, double issued_s)
{
	bool was = true;

	t->admin = admin;
	t->issued_s = issued_s;
	if (!rt_auth_is_provisioned(auth, t))
	{
		rt_auth_provision(auth, t, on_provisioned, NULL);
		was = false;
	}
	ok(rt_auth_is_provisioned(auth, t), "it is known then");
	return !was;
}

static void
provision_admin(struct rt_auth_token *t)
{
	ok(is_told(t, RT_PROVISIONED_UNSAID, 10), "a user is told of");
	ok(is_told(t, RT_PROVISIONED_ORDINARY, 10) && !is_told(t, RT_PROVISIONED_ORDINARY, 30), "what they are, once");
	ok(!is_told(t, RT_PROVISIONED_ADMIN, 20), "an older token says nothing");
	ok(is_told(t, RT_PROVISIONED_ADMIN, 40), "a later one does");
	ok(is_told(t, RT_PROVISIONED_ORDINARY, 50), "also what was so before");
	ok(!is_told(t, RT_PROVISIONED_ADMIN, 40), "and is not undone by the one between");
	ok(!is_told(t, RT_PROVISIONED_UNSAID, 60), "nor by an issuer that does not say");
	ok(is_told(t, RT_PROVISIONED_ADMIN, 60), "a later one still does");
}

/* The issuer's one key, and ours, do not sign for one another. */
static void
test_issuers(const char *ec_private)
{
	const char *good = ",\"iss\":\"https://idp\",\"aud\":[\"x\",\"chat\"],\"mail\":\"bob@example.com\"";
	struct rt_auth_token t;
	char *token;

	ok(verdict(sign(JWT_ALG_ES256, ec_private, "i", claims("7", 60, good)), "bob@example.com") == RT_AUTH_OK,
	   "an issuer's token, and its claim for the user");
	ok(verdict(sign(JWT_ALG_ES256, ec_private, NULL, claims("7", 60, good)), "bob@example.com") == RT_AUTH_OK,
	   "without a kid, its one key of the algorithm");
	ok(verdict(sign(JWT_ALG_ES256, ec_private, "e", claims("7", 60, good)), NULL) == RT_AUTH_INVALID,
	   "the kid of ours");
	ok(verdict(hs(claims("\"alice\"", 60, good)), NULL) == RT_AUTH_INVALID, "our key for the issuer");
	ok(verdict(sign(JWT_ALG_ES256, ec_private, "i", claims("7", 60, ",\"iss\":\"https://idp\",\"mail\":\"b\"")),
			   NULL) == RT_AUTH_INVALID,
	   "no audience");
	token = sign(JWT_ALG_ES256, ec_private, "i", claims("7", 60, good));
	ok(rt_auth_verify(auth, token, &t) == RT_AUTH_OK && t.sid == NULL && !rt_auth_is_provisioned(auth, &t),
	   "a user who may have to be created");
	rt_auth_provision(auth, &t, on_provisioned, NULL);
	ok(provisioned == 1 && rt_auth_is_provisioned(auth, &t), "is, once");
	rt_auth_forget_user(auth, "carl@example.com");
	ok(rt_auth_is_provisioned(auth, &t), "whoever else is deleted");
	rt_auth_forget_user(auth, t.user);
	ok(!rt_auth_is_provisioned(auth, &t), "and again once the user has been deleted");
	forgets = t.user;
	rt_auth_provision(auth, &t, on_provisioned, NULL);
	forgets = NULL;
	ok(provisioned == 2 && !rt_auth_is_provisioned(auth, &t), "also where that is heard while the database is asked");
	rt_auth_provision(auth, &t, on_provisioned, NULL);
	rt_auth_refresh(auth);
	ok(provisioned == 3 && !rt_auth_is_provisioned(auth, &t), "or may have been missed");
	provision_admin(&t);
	rt_auth_token_fini(&t);
	free(token);
}

static void
test_revoked(void)
{
	json_t *payload =
		json_pack("{s:[s],s:i,s:s,s:n}", "sids", "s1", "until", 2000000000, "userId", "alice", "issuedAfter");
	struct rt_auth_token t;
	char *token = hs(claims("\"alice\"", 60, ",\"sid\":\"s1\""));

	ok(rt_auth_verify(auth, token, &t) == RT_AUTH_OK && strcmp(t.sid, "s1") == 0, "a token of a session");
	rt_auth_revoke(auth, payload);
	ok(rt_auth_is_revoked(auth, &t) && verdict(token, NULL) == RT_AUTH_INVALID, "that is revoked");
	ok(verdict(hs(claims("\"alice\"", 60, ",\"sid\":\"s2\"")), "alice") == RT_AUTH_OK, "another session is not");
	ok(!rt_auth_is_withdrawn(auth, &t), "its key is not withdrawn");
	rt_auth_token_fini(&t);
	json_decref(payload);
	payload = json_pack("{s:[],s:s,s:i}", "sids", "userId", "alice", "issuedAfter", 1000);
	rt_auth_revoke(auth, payload);
	json_decref(payload);
	ok(verdict(hs(claims("\"alice\"", 60, ",\"iat\":1000")), NULL) == RT_AUTH_INVALID,
	   "issued before all were refused");
	ok(verdict(hs(claims("\"alice\"", 60, ",\"iat\":1000,\"sid\":\"s2\"")), NULL) == RT_AUTH_INVALID,
	   "whatever session its backend names");
	ok(verdict(hs(claims("\"alice\"", 60, ",\"iat\":1000,\"sid\":\"rt-s2\"")), "alice") == RT_AUTH_OK,
	   "one of ours is revoked by its name");
	ok(verdict(hs(claims("\"alice\"", 60, "")), "alice") == RT_AUTH_OK, "one that does not say cannot be that old");
	ok(verdict(hs(claims("\"alice\"", 40 * 86400, "")), NULL) == RT_AUTH_INVALID, "unless it lives for longer");
	payload =
		json_pack("{s:[],s:s,s:I}", "sids", "userId", "dora", "issuedAfter", (json_int_t) time(NULL) - 29 * 86400);
	rt_auth_revoke(auth, payload);
	json_decref(payload);
	ok(verdict(hs(claims("\"dora\"", 60, "")), NULL) == RT_AUTH_INVALID, "but may be from before this");
	ok(verdict(hs(claims("\"dora\"", 60, ",\"nbf\":1000")), NULL) == RT_AUTH_INVALID,
	   "which an old nbf does not disprove");
	ok(verdict(hs(claims("\"dora\"", 2 * 86400, "")), "dora") == RT_AUTH_OK, "as its end may");
	ok(verdict(hs(claims("\"alice\"", 60, ",\"iat\":1001")), "alice") == RT_AUTH_OK, "but not one from later");
	ok(verdict(hs(claims("\"bob\"", 60, ",\"iat\":1000")), "bob") == RT_AUTH_OK, "and nobody else's");
	revocations_json = "{\"sids\":[[\"s3\",2000000000]],\"floors\":[[\"carol\",5]]}";
	rt_auth_refresh(auth);
	ok(verdict(hs(claims("\"x\"", 60, ",\"sid\":\"s3\"")), NULL) == RT_AUTH_INVALID &&
		   verdict(hs(claims("\"carol\"", 60, ",\"iat\":5")), NULL) == RT_AUTH_INVALID,
	   "what the database says when it is asked");
	ok(verdict(hs(claims("\"x\"", 60, ",\"sid\":\"s1\"")), NULL) == RT_AUTH_INVALID, "does not undo what is known");
}

static int watched;

static void
on_watch(void *arg)
{
	watched++;
}

/* Sockets hold what rt_auth_verify() gave them. */
static void
test_withdrawn(const char *ec_private)
{
	struct rt_auth_token ours, theirs;
	char *own = hs(claims("\"zoe\"", 60, ""));
	char *token = sign(JWT_ALG_ES256, ec_private, "i",
					   claims("7", 60, ",\"iss\":\"https://idp\",\"aud\":\"chat\",\"mail\":\"z@example.com\""));
	char *before = keys_json;
	char *audience;

	ok(rt_auth_verify(auth, own, &ours) == RT_AUTH_OK && rt_auth_verify(auth, token, &theirs) == RT_AUTH_OK, "good");
	rt_auth_watch(auth, on_watch, NULL);
	rt_auth_refresh(auth);
	ok(watched == 2 && !rt_auth_is_withdrawn(auth, &ours) && !rt_auth_is_withdrawn(auth, &theirs),
	   "the same keys again are told of, and withdraw nothing");
	keys_json = strdup(before);
	audience = strstr(keys_json, "[\"chat\"]");
	memcpy(audience, "[\"else\"]", 8);
	rt_auth_refresh(auth);
	ok(!rt_auth_is_withdrawn(auth, &ours) && rt_auth_is_withdrawn(auth, &theirs), "another audience does");
	free(keys_json);
	keys_json = before;
	rt_auth_refresh(auth);
	ok(!rt_auth_is_withdrawn(auth, &theirs), "until it is back");
	rt_auth_watch(auth, NULL, NULL);
	rt_auth_token_fini(&ours);
	rt_auth_token_fini(&theirs);
	free(own);
	free(token);
}

static void
test_keys(const char *rsa_private, const char *rsa_public, const char *ec_private)
{
	const char *good = "{\"sub\":\"alice\",\"exp\":9999999999}";

	ok(verdict(sign(JWT_ALG_RS256, rsa_private, "r", good), "alice") == RT_AUTH_OK, "RS256");
	ok(verdict(sign(JWT_ALG_ES256, ec_private, "e", good), "alice") == RT_AUTH_OK, "ES256");
	ok(verdict(sign(JWT_ALG_HS256, SECRET, NULL, good), "alice") == RT_AUTH_OK, "without a kid, the key that fits");
	ok(verdict(sign(JWT_ALG_NONE, "", "h", good), NULL) == RT_AUTH_INVALID, "alg none");
	ok(verdict(sign(JWT_ALG_NONE, "", NULL, good), NULL) == RT_AUTH_INVALID, "alg none without a kid");
	ok(verdict(sign(JWT_ALG_HS256, rsa_public, "r", good), NULL) == RT_AUTH_INVALID,
	   "a public key taken for a secret");
	ok(verdict(sign(JWT_ALG_HS256, rsa_public, NULL, good), NULL) == RT_AUTH_INVALID, "the same without a kid");
	ok(verdict(sign(JWT_ALG_HS512, SECRET SECRET, "h", good), NULL) == RT_AUTH_INVALID,
	   "another algorithm of the family");
	ok(verdict(sign(JWT_ALG_HS256, SECRET "x", "h", good), NULL) == RT_AUTH_INVALID, "another secret");
	ok(verdict(sign(JWT_ALG_HS256, SECRET, "gone", good), NULL) == RT_AUTH_INVALID, "an unknown kid");
	ok(verdict(sign(JWT_ALG_HS256, SECRET, "r", good), NULL) == RT_AUTH_INVALID, "the kid of another key");
	ok(verdict(sign_critical(good), NULL) == RT_AUTH_INVALID, "an extension that is critical and not ours");
}

static char *
without_end(char *token, size_t n)
{
	token[strlen(token) - n] = '\0';
	return token;
}

static void
test_malformed(void)
{
	static const char *const bad[] = {".",
									  "..",
									  "...",
									  "a.b.c",
									  "e30.e30.",
									  "e30.e30.e30",
									  "bnVsbA.e30.AA",
									  "W10.e30.AA",
									  "eyJhbGciOiJIUzI1NiJ9",
									  "eyJhbGciOiJIUzI1NiJ9.",
									  "\xff\xfe.a.b",
									  "%00.a.b",
									  "=.=.=",
									  "eyJhbGciOjV9.e30.AA",
									  "eyJraWQiOjV9.e30.AA"};
	const char *good = "{\"sub\":\"alice\",\"exp\":9999999999}";
	char *huge = malloc(100001);

	memset(huge, 'a', 100000);
	huge[100000] = '\0';
	huge[2000] = '.';
	ok(verdict(NULL, NULL) == RT_AUTH_MISSING && verdict(strdup(""), NULL) == RT_AUTH_MISSING, "no token");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(verdict(strdup(bad[i]), NULL) == RT_AUTH_INVALID, "malformed %zu", i);
	ok(verdict(huge, NULL) == RT_AUTH_INVALID, "100,000 bytes");
	ok(verdict(without_end(hs(good), 1), NULL) == RT_AUTH_INVALID, "a signature that is cut");
	ok(verdict(without_end(hs(good), 43), NULL) == RT_AUTH_INVALID, "no signature");
	ok(verdict(without_end(hs(good), 44), NULL) == RT_AUTH_INVALID, "two parts");
}

/* The database's clock applies, and not this host's. */
static void
test_clock(void)
{
	char *kept = keys_json;
	json_t *keys = json_loads(kept, 0, NULL);
	static const struct
	{
		int ahead_s;
		int lives_s; /* by this host's clock */
		enum rt_auth_verdict verdict;
		const char *name;
	} cases[] = {
		{7200, 3600, RT_AUTH_EXPIRED, "expired two hours ago by the database's clock"},
		{7200, 7260, RT_AUTH_OK, "has not, by that clock"},
		{-7200, -3600, RT_AUTH_OK, "the database is behind: it lives for another hour"},
		{-7200, -7260, RT_AUTH_EXPIRED, "or does not"},
		{0, 60, RT_AUTH_OK, "the clocks agree again"},
		{0, -60, RT_AUTH_EXPIRED, "in both ways"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		json_object_set_new(keys, "now", json_real((double) time(NULL) + cases[i].ahead_s));
		keys_json = json_dumps(keys, 0);
		rt_auth_refresh(auth);
		free(keys_json);
		ok(verdict(hs(claims("\"alice\"", cases[i].lives_s, "")), NULL) == cases[i].verdict, "%s", cases[i].name);
	}
	json_decref(keys);
	keys_json = kept;
}

int
main(void)
{
	const struct rt_self self = {.name = "g0"};
	struct rt_commands *commands = rt_commands_new(&self);
	struct rt_dbclock *clock = rt_dbclock_new();
	char *rsa_private, *rsa_public, *ec_private, *ec_public;
	json_t *keys;

	make_pair(EVP_RSA_gen(2048), &rsa_private, &rsa_public);
	make_pair(EVP_EC_gen("P-256"), &ec_private, &ec_public);
	keys = json_pack(
		"{s:[{s:s,s:s,s:s},{s:s,s:s,s:s},{s:s,s:s,s:s},{s:s}],s:[{s:s,s:[s],s:s,s:b,s:[{s:s,s:s,s:s}]}]}", "keys",
		"kid", "h", "alg", "HS256", "key", SECRET, "kid", "r", "alg", "RS256", "key", rsa_public, "kid", "e", "alg",
		"ES256", "key", ec_public, "kid", "not usable", "issuers", "issuer", "https://idp", "audiences", "chat",
		"userClaim", "mail", "createUsers", 1, "keys", "kid", "i", "alg", "ES256", "key", ec_public);
	keys_json = json_dumps(keys, 0);
	json_decref(keys);
	auth = rt_auth_new(NULL, NULL, clock, commands);
	ok(!rt_auth_ready(auth), "not ready without keys");
	rt_auth_refresh(auth);
	ok(rt_auth_ready(auth) && asked == 1, "ready with them");
	test_times();
	test_claims();
	test_keys(rsa_private, rsa_public, ec_private);
	test_malformed();
	test_issuers(ec_private);
	test_revoked();
	test_withdrawn(ec_private);
	test_clock();
	free(keys_json);
	keys_json = strdup("{\"keys\":[]}");
	rt_auth_refresh(auth);
	ok(verdict(hs(claims("\"alice\"", 60, "")), NULL) == RT_AUTH_INVALID, "a key that was retired");
	rt_auth_free(auth);
	rt_dbclock_free(clock);
	rt_commands_free(commands);
	free(keys_json);
	free(rsa_private);
	free(rsa_public);
	free(ec_private);
	free(ec_public);
	return tap_done();
}
