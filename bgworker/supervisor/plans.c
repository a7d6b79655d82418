/* plans.c: decides which programs should run for a database, and with what settings; see plans.h.  Starting them
 * is runner.c's.
 *
 * Runs in the supervisor, outside of transactions.  Reads the slot's ports under rt_shared.lock.  All that is
 * made anew lies in one context, which is reset each time: a plan is good until then.  The pairs of sockets stay
 * for the life of the process.  May raise (no descriptors, no memory), which ends the supervisor and its
 * programs; the launcher starts it again. */
#include "postgres.h"

#include <sys/socket.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "plans.h"
#include "extension/config/settings.h"

#define MAX_PEM_BYTES (64 * 1024) /* two of them, escaped, fit into a line that the program takes */
#define MAX_WORKERS RT_PLANS_MAX_WORKERS

struct rt_plans
{
	rt_database *db;
	char *database;
	MemoryContext context; /* of what is made anew */
	bool stopping;
	int port; /* 0: another database has it */
	int media_port;
	char *path[RT_PROGRAM_KINDS]; /* NULL: not installed */
	char *identity[RT_PROGRAM_KINDS];
	char *line[RT_PROGRAM_KINDS][MAX_WORKERS];
	int sockets[MAX_WORKERS]
			   [MAX_WORKERS];  /* for one gateway: those to send to its siblings, its own to receive from */
	int pairs[MAX_WORKERS][2]; /* gateway i receives at [0]; the others send to it at [1] */
	int npairs;
	bool missing_told[RT_PROGRAM_KINDS];
};

struct rt_plans *
rt_plans_new(rt_database *db, const char *database)
{
	struct rt_plans *p = MemoryContextAllocZero(TopMemoryContext, sizeof(*p));

	p->db = db;
	p->database = MemoryContextStrdup(TopMemoryContext, database);
	p->context = AllocSetContextCreate(TopMemoryContext, "rt plans", ALLOCSET_DEFAULT_SIZES);
	return p;
}

static void
read_ports(const struct rt_plans *p, int *port, int *media_port)
{
	LWLockAcquire(&rt_shared_state->lock, LW_SHARED);
	*port = p->db->port;
	*media_port = p->db->media_port;
	LWLockRelease(&rt_shared_state->lock);
}

bool
rt_plans_are_outdated(const struct rt_plans *p)
{
	int port;
	int media_port;

	read_ports(p, &port, &media_port);
	return port != p->port || media_port != p->media_port;
}

static int
setting_count(enum rt_program_kind kind)
{
	return Min(kind == RT_PROGRAM_GATEWAY ? rt_gateway_workers : rt_media_workers, MAX_WORKERS);
}

int
rt_plans_count(const struct rt_plans *p, enum rt_program_kind kind)
{
	int port = kind == RT_PROGRAM_GATEWAY ? p->port : p->media_port;

	return p->stopping || p->path[kind] == NULL || port == 0 ? 0 : setting_count(kind);
}

struct rt_runner_plan
rt_plans_get(struct rt_plans *p, enum rt_program_kind kind, int worker)
{
	return (struct rt_runner_plan){
		.path = p->path[kind],
		.line = p->line[kind][worker],
		.identity = p->identity[kind],
		.sockets = p->sockets[worker],
		.nsockets = kind == RT_PROGRAM_GATEWAY ? rt_plans_count(p, kind) : 0,
	};
}

/* ---- sockets ------------------------------------------------------------------ */

/* Gateway workers hand each other accepted sockets.  Both ends stay open here, so that what is on the way to a worker
 * outlives it. */
static void
make_pairs(struct rt_plans *p, int count)
{
	for (; p->npairs < count; p->npairs++)
	{
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p->pairs[p->npairs]) != 0)
			ereport(ERROR, (errcode_for_socket_access(), errmsg("could not create socket pair: %m")));
	}
	for (int i = 0; i < count; i++)
	{
		for (int to = 0; to < count; to++)
			p->sockets[i][to] = p->pairs[to][to == i ? 0 : 1];
	}
}

/* ---- settings ----------------------------------------------------------------- */

static const char *
program_folder(void)
{
	return rt_program_path != NULL && rt_program_path[0] != '\0' ? rt_program_path : pkglib_path;
}

static char *
find_program(enum rt_program_kind kind)
{
	char *path = psprintf("%s/%s", program_folder(), rt_program_role(kind));

	return access(path, X_OK) == 0 ? path : NULL;
}

static void
append_string(StringInfo out, const char *key, const char *value)
{
	char *utf8 = pg_server_to_any(value, strlen(value), PG_UTF8);

	appendStringInfo(out, ",\"%s\":", key);
	escape_json(out, utf8);
}

/* A file of PEM as a string, or null.  Between its blocks may be remarks in any encoding, which are none of JSON's.
 */
static void
append_pem(StringInfo out, const char *key, const char *setting, const char *file)
{
	char *text = palloc0(MAX_PEM_BYTES + 1);
	FILE *f = AllocateFile(file, "r");

	appendStringInfo(out, "\"%s\":", key);
	if (f == NULL || (fread(text, 1, MAX_PEM_BYTES, f) == 0 && ferror(f)))
	{
		ereport(LOG, (errcode_for_file_access(), errmsg("could not read %s \"%s\": %m", setting, file),
					  errhint("Make the file readable, then reload the configuration.")));
		appendStringInfoString(out, "null");
	}
	else
	{
		for (char *c = text; *c != '\0'; c++)
			*c = *c & 0x80 ? '?' : *c;
		escape_json(out, text);
	}
	if (f != NULL)
		FreeFile(f);
	explicit_bzero(text, MAX_PEM_BYTES);
	pfree(text);
}

/* A confined gateway opens no file of the server's, so it is given what is in these. */
static void
append_tls(StringInfo out)
{
	if (rt_ssl_cert_file[0] == '\0')
		return;
	appendStringInfoString(out, ",\"tls\":{");
	append_pem(out, "cert", "rt.ssl_cert_file", rt_ssl_cert_file);
	appendStringInfoChar(out, ',');
	append_pem(out, "key", "rt.ssl_key_file", rt_ssl_key_file);
	appendStringInfoChar(out, '}');
}

/* The line of docs/protocols.md.  It has secrets in it. */
static char *
make_line(const struct rt_plans *p, enum rt_program_kind kind, int worker, int count)
{
	StringInfoData line;
	StringInfoData conninfo;

	initStringInfo(&line);
	initStringInfo(&conninfo);
	rt_credential_conninfo(&conninfo, kind, p->database);
	appendStringInfo(&line, "{\"program\":\"%s\",\"worker\":%d,\"workers\":%d", rt_program_name(kind), worker, count);
	/* So that every reload is told: a file that a setting names, like the certificate, may have changed. */
	appendStringInfo(&line, ",\"loaded\":" INT64_FORMAT, PgReloadTime);
	append_string(&line, "database", p->database);
	append_string(&line, "conninfo", conninfo.data);
	/* See runner.h: a gateway that drains is replaced at once. */
	if (kind == RT_PROGRAM_GATEWAY)
		appendStringInfoString(&line, ",\"successor\":true");
	appendStringInfoString(&line, ",\"socket_fds\":[");
	for (int i = 0; kind == RT_PROGRAM_GATEWAY && i < count; i++)
		appendStringInfo(&line, "%s%d", i > 0 ? "," : "", RT_CHILD_SOCKETS_FD + i);
	appendStringInfoChar(&line, ']');
	if (kind == RT_PROGRAM_GATEWAY)
		append_tls(&line);
	appendStringInfoString(&line, ",\"settings\":");
	rt_settings_json(&line, p->port, p->media_port, kind == RT_PROGRAM_GATEWAY);
	appendStringInfoChar(&line, '}');
	return line.data;
}

/* What a running program cannot take over by a reload: its listeners, its connections, its siblings. */
static char *
make_identity(const struct rt_plans *p, enum rt_program_kind kind, int count)
{
	StringInfoData identity;

	initStringInfo(&identity);
	appendStringInfo(&identity, "%s\n%s\n%d\n", p->path[kind], rt_listen_addresses, rt_confine);
	rt_credential_conninfo(&identity, kind, p->database);
	if (kind == RT_PROGRAM_GATEWAY)
		appendStringInfo(&identity, "\n%d\n%d\n%d\n%s\n%s\n%s\n%s", p->port, count, rt_db_connections,
						 rt_metrics_address, rt_ssl_cert_file, rt_ssl_key_file, rt_conninfo_read);
	else
		appendStringInfo(&identity, "\n%d\n%s", p->media_port, rt_media_announced_address);
	return identity.data;
}

static void
make_kind(struct rt_plans *p, enum rt_program_kind kind)
{
	int count;

	p->path[kind] = find_program(kind);
	count = rt_plans_count(p, kind);
	p->identity[kind] = count > 0 ? make_identity(p, kind, count) : NULL;
	for (int i = 0; i < count; i++)
		p->line[kind][i] = make_line(p, kind, i, count);
}

/* One line for a program that is missed, until it is there. */
static void
tell_missing(struct rt_plans *p, enum rt_program_kind kind)
{
	bool missing = p->path[kind] == NULL && setting_count(kind) > 0;
	bool told = p->missing_told[kind];

	p->missing_told[kind] = missing;
	if (missing && !told)
		ereport(LOG, (errmsg("%s is not installed in \"%s\" and does not run for database \"%s\"",
							 rt_program_role(kind), program_folder(), p->database),
					  errhint("Install it and reload, or set rt.%s_workers to 0.", rt_program_name(kind))));
}

void
rt_plans_make(struct rt_plans *p, bool stopping)
{
	MemoryContext old;

	MemoryContextReset(p->context);
	old = MemoryContextSwitchTo(p->context);
	p->stopping = stopping;
	read_ports(p, &p->port, &p->media_port);
	for (int kind = 0; kind < RT_PROGRAM_KINDS; kind++)
		make_kind(p, kind);
	MemoryContextSwitchTo(old);
	make_pairs(p, rt_plans_count(p, RT_PROGRAM_GATEWAY));
	for (int kind = 0; kind < RT_PROGRAM_KINDS; kind++)
		tell_missing(p, kind);
}
