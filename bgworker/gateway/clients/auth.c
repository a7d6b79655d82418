/* auth.c: see auth.h.
 *
 * Owns the keyring and what is revoked, and asks the database for both: at the start, when they have changed, and
 * after a gap of the bus.  Until both are there nobody is let in.  How a token is checked is keyring.c's. */
#include "auth.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/text.h"
#include "bgworker/gateway/bus/command.h"
#include "dbclock.h"
#include "keyring.h"
#include "provisioned.h"
#include "revoked.h"

#define RETRY_MS 500
/* By rt:revoked, which says until when the session's tokens are to be known. */
#define TOLD_WITHIN_S 60
#define FORGET_EVERY 1000 /* notifications of revocations */

struct rt_auth
{
	struct rt_db *db;
	struct rt_dbclock *clock;
	uint64_t asked_us;          /* by rt_clock_us(): when the keys were asked for */
	struct rt_keyring *keyring; /* NULL: not read yet */
	struct rt_revoked *revoked;
	bool knows_revoked;
	unsigned nrevoked;          /* notifications */
	void (*watcher)(void *arg); /* NULL: none */
	void *watcher_arg;
	bool reading;
	bool again; /* something changed while it was read */
	struct rt_provisioned *provisioned;
	struct rt_timer *retry;
};

/* ---- reading ----------------------------------------------------------------------------- */

static void
tell_watcher(const struct rt_auth *a)
{
	if (a->watcher != NULL)
		a->watcher(a->watcher_arg);
}

static void
end_reading(struct rt_auth *a, bool ok)
{
	a->reading = false;
	if (!ok)
		rt_timer_start(a->retry, RETRY_MS);
	else if (a->again)
		rt_auth_refresh(a);
}

static void
on_revocations(void *arg, const struct rt_db_reply *reply)
{
	struct rt_auth *a = arg;
	json_t *answer = reply->ok ? rt_json_parse_object(reply->json, reply->json_len) : NULL;
	bool ok = answer != NULL && rt_revoked_add_answer(a->revoked, answer);

	json_decref(answer);
	rt_revoked_forget(a->revoked, rt_dbclock_s(a->clock));
	a->knows_revoked |= ok;
	tell_watcher(a);
	end_reading(a, ok);
}

static void
on_keys(void *arg, const struct rt_db_reply *reply)
{
	struct rt_auth *a = arg;
	json_t *answer = reply->ok ? rt_json_parse_object(reply->json, reply->json_len) : NULL;
	struct rt_keyring *keyring = answer == NULL ? NULL : rt_keyring_new(answer);

	rt_dbclock_note(a->clock, answer, a->asked_us);
	json_decref(answer);
	if (keyring == NULL)
	{
		end_reading(a, false);
		return;
	}
	rt_keyring_free(a->keyring);
	a->keyring = keyring;
	tell_watcher(a);
	rt_db_call(a->db, RT_DB_OWN, "revocations", NULL, "{}", 2, on_revocations, a);
}

void
rt_auth_refresh(struct rt_auth *a)
{
	/* Deletions of users may be among what was missed. */
	rt_provisioned_forget_all(a->provisioned);
	a->again = a->reading;
	if (a->reading)
		return;
	a->reading = true;
	a->asked_us = rt_clock_us();
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

/* rt:admin: a user has become an administrator, or is one no longer, by whoever's word. */
static void
run_admin(void *owner, const json_t *payload)
{
	const char *user = rt_json_str(payload, "userId");

	if (user != NULL)
		rt_auth_forget_user(owner, user);
}

static const struct rt_command_def commands[] = {{"rt:keys", run_keys}, {"rt:admin", run_admin}};

struct rt_auth *
rt_auth_new(struct rt_loop *l, struct rt_db *db, struct rt_dbclock *clock, struct rt_commands *cs)
{
	struct rt_auth *a = rt_alloc(sizeof(*a));

	a->db = db;
	a->clock = clock;
	a->revoked = rt_revoked_new();
	a->provisioned = rt_provisioned_new();
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
	rt_keyring_free(a->keyring);
	rt_revoked_free(a->revoked);
	rt_provisioned_free(a->provisioned);
	free(a);
}

bool
rt_auth_ready(const struct rt_auth *a)
{
	return a->keyring != NULL && a->knows_revoked;
}

/* ---- tokens ------------------------------------------------------------------------------- */

static enum rt_auth_verdict
refuse(enum rt_auth_verdict v, const char *why)
{
	rt_log(RT_LOG_DEBUG, "auth", "a token is refused: %s", why);
	return v;
}

static void
take_token(struct rt_auth_token *t, const struct rt_keyring_token *k)
{
	t->user = rt_strdup(k->user);
	t->sid = k->sid == NULL ? NULL : rt_strdup(k->sid);
	t->provision = rt_keyring_provision(k);
	t->admin = rt_keyring_admin(k);
	t->is_ours = k->issuer == NULL;
	t->issued_s = k->issued_s;
	t->expires_s = k->expires_s;
	t->key = k->key;
}

enum rt_auth_verdict
rt_auth_verify(struct rt_auth *a, const char *token, struct rt_auth_token *t)
{
	enum rt_keyring_verdict v;
	struct rt_keyring_token k;
	const char *why = NULL;

	memset(t, 0, sizeof(*t));
	if (token == NULL || *token == '\0')
		return RT_AUTH_MISSING;
	v = rt_keyring_verify(a->keyring, token, rt_dbclock_s(a->clock), &k, &why);
	if (v != RT_KEYRING_OK)
		return refuse(v == RT_KEYRING_EXPIRED ? RT_AUTH_EXPIRED : RT_AUTH_INVALID, why);
	if (rt_revoked_has(a->revoked, k.sid, k.user, k.issued_s))
		why = "it has been revoked";
	else
		take_token(t, &k);
	json_decref(k.claims);
	return why == NULL ? RT_AUTH_OK : refuse(RT_AUTH_INVALID, why);
}

void
rt_auth_token_fini(struct rt_auth_token *t)
{
	free(t->user);
	free(t->sid);
	free(t->provision);
	memset(t, 0, sizeof(*t));
}

bool
rt_auth_may_administer(const struct rt_auth_token *t)
{
	return t->is_ours || t->admin != RT_PROVISIONED_UNSAID;
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

/* ---- revocation ------------------------------------------------------------------------------ */

void
rt_auth_revoke(struct rt_auth *a, const json_t *payload)
{
	const json_t *sids = rt_json_array(payload, "sids");
	const char *user = rt_json_str(payload, "userId");
	const json_t *after = json_object_get(payload, "issuedAfter");
	json_t *sid;
	size_t i;

	json_array_foreach(sids, i, sid)
	{
		if (json_is_string(sid))
			rt_revoked_add_session(a->revoked, json_string_value(sid),
								   json_number_value(json_object_get(payload, "until")));
	}
	if (++a->nrevoked % FORGET_EVERY == 0)
		rt_revoked_forget(a->revoked, rt_dbclock_s(a->clock));
	if (user != NULL && json_is_number(after))
		rt_revoked_add_floor(a->revoked, user, json_number_value(after));
}

void
rt_auth_end_session(struct rt_auth *a, const char *sid)
{
	rt_revoked_add_session(a->revoked, sid, rt_dbclock_s(a->clock) + TOLD_WITHIN_S);
}

bool
rt_auth_is_revoked(const struct rt_auth *a, const struct rt_auth_token *t)
{
	return rt_revoked_has(a->revoked, t->sid, t->user, t->issued_s);
}

bool
rt_auth_is_withdrawn(const struct rt_auth *a, const struct rt_auth_token *t)
{
	return !rt_keyring_has(a->keyring, t->key);
}

void
rt_auth_watch(struct rt_auth *a, void (*cb)(void *arg), void *arg)
{
	a->watcher = cb;
	a->watcher_arg = arg;
}

/* ---- users of other issuers --------------------------------------------------------------------- */

struct provision
{
	struct rt_auth *auth;
	rt_auth_provision_cb cb;
	void *arg;
	unsigned revision; /* of what is known, when the database was asked */
	char *user;
	enum rt_provisioned_admin admin;
	double issued_s;
};

static void
on_provisioned(void *arg, const struct rt_db_reply *reply)
{
	struct provision *p = arg;
	json_t *answer = reply->ok ? rt_json_parse_object(reply->json, reply->json_len) : NULL;

	/* known: false, there is no such user, or the token is from before they were deleted: a later one may create
	 * them. */
	if (answer != NULL && rt_json_bool(answer, "known", true))
		rt_provisioned_add(p->auth->provisioned, p->user, p->admin, p->issued_s, p->revision);
	json_decref(answer);
	p->cb(p->arg, reply->ok);
	free(p->user);
	free(p);
}

bool
rt_auth_is_provisioned(struct rt_auth *a, const struct rt_auth_token *t)
{
	return t->provision == NULL || rt_provisioned_has(a->provisioned, t->user, t->admin, t->issued_s);
}

void
rt_auth_provision(struct rt_auth *a, const struct rt_auth_token *t, rt_auth_provision_cb cb, void *arg)
{
	struct provision *p = rt_alloc(sizeof(*p));
	struct rt_text req;

	*p = (struct provision){.auth = a,
							.cb = cb,
							.arg = arg,
							.revision = rt_provisioned_revision(a->provisioned),
							.user = rt_strdup(t->user),
							.admin = t->admin,
							.issued_s = t->issued_s};
	rt_text_init(&req);
	rt_text_addf(&req, "{\"issuedAt\":%.17g,%s", t->issued_s, t->provision + 1);
	rt_db_call(a->db, RT_DB_FAST, "provision", p->user, req.data, req.len, on_provisioned, p);
	rt_text_fini(&req);
}

void
rt_auth_forget_user(struct rt_auth *a, const char *user)
{
	rt_provisioned_forget(a->provisioned, user);
}
