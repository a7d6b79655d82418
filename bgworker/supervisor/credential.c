/* credential.c: stores the roles' verifiers and makes the connection strings; see credential.h.  The secrets are
 * shmem.c's: they do not change while the server runs, so they are read without a lock, and all databases share
 * them, as they share the roles.
 *
 * Runs in the supervisor.  rt_credential_store() takes a transaction, in it a ShareUpdateExclusiveLock on the role
 * until it ends, and logs its errors instead of raising them; it waits as long as the session's lock_timeout.
 * The other functions may raise, and allocate in the caller's context.  Invariant: a secret goes into the
 * verifier and into the string for the program, but never into a statement, the log or an argument of a process. */
#include "postgres.h"

#include <ctype.h>
#include <pwd.h>
#include <unistd.h>

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/user.h"
#include "libpq/crypt.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "postmaster/postmaster.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "extension/server/rt_shmem.h"
#include "bgworker/common/db/session_settings.h"
#include "extension/config/settings.h"
#include "credential.h"
#include "role_settings.h"

static const struct
{
	const char *name;
	const char *role;
} PROGRAMS[RT_PROGRAM_KINDS] = {{"gateway", "rt_gateway"}, {"media", "rt_media"}};

const char *
rt_program_name(enum rt_program_kind kind)
{
	return PROGRAMS[kind].name;
}

const char *
rt_program_role(enum rt_program_kind kind)
{
	return PROGRAMS[kind].role;
}

static const char *
secret_of(enum rt_program_kind kind)
{
	return kind == RT_PROGRAM_GATEWAY ? rt_shared_state->gateway_secret : rt_shared_state->media_secret;
}

/* ---- the verifier ------------------------------------------------------------- */

static bool
is_stored(const char *role, const char *secret)
{
	HeapTuple tuple = SearchSysCache1(AUTHNAME, CStringGetDatum(role));
	bool stored = false;
	bool isnull;
	Datum value;

	if (!HeapTupleIsValid(tuple))
		return false;
	value = SysCacheGetAttr(AUTHNAME, tuple, Anum_pg_authid_rolpassword, &isnull);
	if (!isnull)
	{
		char *verifier = TextDatumGetCString(value);
#if PG_VERSION_NUM >= 150000
		const char *detail = NULL;
#else
		char *detail = NULL;
#endif

		stored = get_password_type(verifier) == PASSWORD_TYPE_SCRAM_SHA_256 &&
				 plain_crypt_verify(role, verifier, secret, &detail) == STATUS_OK;
	}
	ReleaseSysCache(tuple);
	return stored;
}

/* What ALTER ROLE … PASSWORD does, without a statement that could be logged or kept by an extension. */
static void
store(const char *role, const char *secret)
{
	AlterRoleStmt *stmt = makeNode(AlterRoleStmt);
	RoleSpec *spec = makeNode(RoleSpec);
	char *verifier = encrypt_password(PASSWORD_TYPE_SCRAM_SHA_256, role, secret);

	spec->roletype = ROLESPEC_CSTRING;
	spec->rolename = pstrdup(role);
	spec->location = -1;
	stmt->role = spec;
	stmt->action = +1;
	stmt->options = list_make1(makeDefElem("password", (Node *) makeString(verifier), -1));
#if PG_VERSION_NUM >= 150000
	(void) AlterRole(make_parsestate(NULL), stmt);
#else
	(void) AlterRole(stmt);
#endif
}

static void
store_if_needed(const char *role, const char *secret)
{
	Oid oid = get_role_oid(role, false);

	/* Supervisors of several databases want the same.  The lock first: the one that waited for it then sees what the
	 * other has stored, where both would update the row, and one of them fail. */
	LockSharedObject(AuthIdRelationId, oid, 0, ShareUpdateExclusiveLock);
	PushActiveSnapshot(GetTransactionSnapshot());
	rt_role_settings_reset(oid, role);
	if (!is_stored(role, secret))
		store(role, secret);
	PopActiveSnapshot();
}

void
rt_credential_store(enum rt_program_kind kind)
{
	MemoryContext old = CurrentMemoryContext;

	StartTransactionCommand();
	PG_TRY();
	{
		store_if_needed(rt_program_role(kind), secret_of(kind));
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(old);
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
}

bool
rt_credential_is_set_right(enum rt_program_kind kind)
{
	Oid role = get_role_oid(rt_program_role(kind), true);

	return !OidIsValid(role) || rt_role_settings_are_right(role);
}

/* ---- the connection string ----------------------------------------------------- */

static void
append_pair(StringInfo out, const char *key, const char *value)
{
	appendStringInfo(out, "%s%s='", out->len > 0 ? " " : "", key);
	for (const char *p = value; *p != '\0'; p++)
	{
		if (*p == '\'' || *p == '\\')
			appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, *p);
	}
	appendStringInfoChar(out, '\'');
}

/* The same in a URI's query. */
static void
append_parameter(StringInfo out, const char *key, const char *value)
{
	appendStringInfo(out, "%c%s=", strchr(out->data, '?') == NULL ? '?' : '&', key);
	for (const unsigned char *p = (const unsigned char *) value; *p != '\0'; p++)
	{
		if (*p < 0x80 && isalnum(*p))
			appendStringInfoChar(out, *p);
		else
			appendStringInfo(out, "%%%02X", *p);
	}
}

/* True where a connection string of the form key=value has this key. */
static bool
has_key(const char *conninfo, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = strstr(conninfo, key); p != NULL; p = strstr(p + 1, key))
	{
		const char *end = p + len;

		while (isspace((unsigned char) *end))
			end++;
		if (*end == '=' && (p == conninfo || !(isalnum((unsigned char) p[-1]) || p[-1] == '_')))
			return true;
	}
	return false;
}

/* postgresql://user@host/database?key=value */
static void
complete_uri(StringInfo out, const char *uri, enum rt_program_kind kind, const char *database)
{
	const char *authority = strstr(uri, "://") + 3;
	size_t len = strcspn(authority, "/?");
	const char *path = authority + len;

	appendStringInfoString(out, uri);
	if (*path != '/' || path[1] == '\0' || path[1] == '?')
		append_parameter(out, "dbname", database);
	if (memchr(authority, '@', len) == NULL && strstr(path, "user=") == NULL)
	{
		append_parameter(out, "user", rt_program_role(kind));
		append_parameter(out, "password", secret_of(kind));
	}
	if (strstr(path, "application_name=") == NULL)
		append_parameter(out, "application_name", rt_program_role(kind));
}

/* What comes later wins, so the DBA's own string is last. */
static void
complete_pairs(StringInfo out, const char *pairs, enum rt_program_kind kind, const char *database)
{
	append_pair(out, "dbname", database);
	append_pair(out, "application_name", rt_program_role(kind));
	if (!has_key(pairs, "user"))
	{
		append_pair(out, "user", rt_program_role(kind));
		append_pair(out, "password", secret_of(kind));
	}
	appendStringInfo(out, " %s", pairs);
}

/* The address at which the server listens that is nearest to us; NULL where it has the unix socket alone. */
static const char *
listen_host(void)
{
	static const struct
	{
		const char *listens;
		const char *reached;
	} KNOWN[] = {{"*", "127.0.0.1"},
				 {"0.0.0.0", "127.0.0.1"},
				 {"localhost", "127.0.0.1"},
				 {"127.0.0.1", "127.0.0.1"},
				 {"::", "::1"},
				 {"::1", "::1"}};
	List *addresses;
	ListCell *cell;

	if (!SplitGUCList(pstrdup(ListenAddresses), ',', &addresses) || addresses == NIL)
		return NULL;
	for (int i = 0; i < lengthof(KNOWN); i++)
	{
		foreach (cell, addresses)
		{
			if (strcmp(lfirst(cell), KNOWN[i].listens) == 0)
				return KNOWN[i].reached;
		}
	}
	return linitial(addresses);
}

static const char *
socket_directory(void)
{
	List *directories;

	if (!SplitDirectoriesString(pstrdup(Unix_socket_directories), ',', &directories) || directories == NIL)
		return DEFAULT_PGSOCKET_DIR;
	return linitial(directories);
}

/* From the session's first moment on, and stronger than what is set for the role meanwhile (ALTER ROLE … SET), such
 * as idle_session_timeout = '1ms'.  A pooler may refuse options, so a connection string of the DBA's has none. */
static void
append_options(StringInfo out)
{
	static const char *const OPTIONS[][2] = {
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"role", "none"},
		RT_SESSION_SETTINGS,
#if PG_VERSION_NUM >= 170000
		RT_SESSION_SETTINGS_17,
#endif
		RT_PROGRAM_SETTINGS,
	};
	StringInfoData options;

	initStringInfo(&options);
	for (size_t i = 0; i < lengthof(OPTIONS); i++)
	{
		appendStringInfo(&options, "%s-c %s=", i > 0 ? " " : "", OPTIONS[i][0]);
		for (const char *p = OPTIONS[i][1]; *p != '\0'; p++)
			appendStringInfo(&options, "%s%c", *p == ' ' ? "\\" : "", *p);
	}
	append_pair(out, "options", options.data);
	pfree(options.data);
}

static void
local_pairs(StringInfo out, enum rt_program_kind kind, const char *database)
{
	const char *host = listen_host();

	append_pair(out, "host", host != NULL ? host : socket_directory());
	append_pair(out, "port", psprintf("%d", PostPortNumber));
	append_pair(out, "dbname", database);
	append_pair(out, "user", rt_program_role(kind));
	append_pair(out, "password", secret_of(kind));
	append_pair(out, "application_name", rt_program_role(kind));
	/* Over the loopback, encryption is only for a server that insists. */
	append_pair(out, "sslmode", "allow");
	append_pair(out, "gssencmode", "disable");
	append_pair(out, "connect_timeout", "10");
	append_pair(out, "client_encoding", "UTF8");
	append_options(out);
}

void
rt_credential_conninfo(StringInfo out, enum rt_program_kind kind, const char *database)
{
	StringInfoData made;

	initStringInfo(&made);
	if (rt_conninfo == NULL || rt_conninfo[0] == '\0')
		local_pairs(&made, kind, database);
	else if (strncmp(rt_conninfo, "postgresql://", 13) == 0 || strncmp(rt_conninfo, "postgres://", 11) == 0)
		complete_uri(&made, rt_conninfo, kind, database);
	else
		complete_pairs(&made, rt_conninfo, kind, database);
	appendBinaryStringInfo(out, made.data, made.len);
	pfree(made.data);
}

/* Name of the system's user as whom the server, and so the program, runs. */
static const char *
server_user(void)
{
	struct passwd *entry = getpwuid(geteuid());

	return entry == NULL ? "postgres" : entry->pw_name;
}

static bool
may_connect(Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(DatabaseRelationId, MyDatabaseId, role, ACL_CONNECT) == ACLCHECK_OK;
#else
	return pg_database_aclcheck(MyDatabaseId, role, ACL_CONNECT) == ACLCHECK_OK;
#endif
}

static bool
may_log_in(Oid role)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool may = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return may;
}

static bool
has_expired(Oid role)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool isnull = true;
	Datum until = 0;

	if (HeapTupleIsValid(tuple))
	{
		until = SysCacheGetAttr(AUTHOID, tuple, Anum_pg_authid_rolvaliduntil, &isnull);
		ReleaseSysCache(tuple);
	}
	return !isnull && DatumGetTimestampTz(until) < GetCurrentTimestamp();
}

/* The statement that gives the role a right which it lacks here, written into out; false: it lacks none. */
static bool
lacks_right(const char *role, const char *database, StringInfo out)
{
	MemoryContext old = CurrentMemoryContext;
	Oid oid;

	StartTransactionCommand();
	oid = get_role_oid(role, true);
	if (!may_log_in(oid))
		appendStringInfo(out, "ALTER ROLE %s LOGIN", role);
	else if (has_expired(oid))
		appendStringInfo(out, "ALTER ROLE %s VALID UNTIL 'infinity'", role);
	else if (!may_connect(oid))
		appendStringInfo(out, "GRANT CONNECT ON DATABASE %s TO %s", quote_identifier(database), role);
	CommitTransactionCommand();
	MemoryContextSwitchTo(old);
	return out->len > 0;
}

void
rt_credential_hint(enum rt_program_kind kind, const char *database)
{
	const char *role = rt_program_role(kind);
	const char *host = listen_host();
	StringInfoData statement;

	initStringInfo(&statement);
	if (rt_conninfo != NULL && rt_conninfo[0] != '\0')
		ereport(LOG, (errmsg("%s cannot log in to database \"%s\"", role, database),
					  errhint("Check rt.conninfo, and the pg_hba.conf of the server that it names.")));
	else if (lacks_right(role, database, &statement))
		ereport(LOG, (errmsg("%s cannot log in to database \"%s\": %s", role, database,
							 strstr(statement.data, " VALID UNTIL ") != NULL ? "the role's password has expired"
																			 : "the role lacks permission"),
					  errhint("Run: %s", statement.data)));
	else if (host == NULL)
		ereport(LOG,
				(errmsg("%s cannot log in to database \"%s\" over the unix socket", role, database),
				 errhint("Add this line at the top of pg_hba.conf, and reload: local %s %s scram-sha-256\n"
						 "Or, with the line \"local %s %s peer map=rt\", add to pg_ident.conf: rt %s %s",
						 quote_identifier(database), role, quote_identifier(database), role, server_user(), role)));
	else
		ereport(LOG, (errmsg("%s cannot log in to database \"%s\"", role, database),
					  errhint("Add this line at the top of pg_hba.conf, and reload: host %s %s %s%s scram-sha-256",
							  quote_identifier(database), role, host, strchr(host, ':') != NULL ? "/128" : "/32")));
}
