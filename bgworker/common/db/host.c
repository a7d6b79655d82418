/* host.c: see host.h.
 *
 *     FILE ──> values ─┐
 *                      ├──> root, as the supervisor's line ──> conf.c ──> the program's on_reload
 *     rt_api.hello ────┘
 *
 * rt_host_start() blocks: nobody is served yet.  After it nothing here does, but for reading small local files at a
 * SIGHUP.
 *
 * What must stay true:
 *
 * - A file or an answer that is wrong changes nothing: what was in force stays, and the log says why.
 * - Name, region, addresses and port are those of the start: the database knows us by them.
 * - The file's folders are all that the confined program can read, so files are read by the paths of the start's file
 *   or from its folders.
 * - Passwords are wiped; of a connection string nothing is logged. */
#include "host.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/hostfile.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/version.h"
#include "db.h"
#include "dbconn.h"
#include "dbhosts.h"

#define ERROR_BYTES 600
#define NAME_BYTES 63
#define PEM_LIMIT_BYTES (64 * 1024)
#define FIRST_PAUSE_MS 250
#define LONGEST_PAUSE_MS 4000
#define COMPLAIN_EVERY_MS 30000
#define MAX_FOLDERS 6

struct rt_host
{
	const struct rt_host_program *program;
	char *path;   /* of the file, absolute */
	char *folder; /* where relative paths in it begin */
	struct rt_hostfile file;
	char name[NAME_BYTES + 1];
	struct rt_dbhosts hosts; /* of the first hello */
	json_t *hello;           /* the last answer */
	json_t *tls;             /* {cert, key}; NULL: none */
	struct rt_conf *conf;
	bool takes_role;
	char *folders[MAX_FOLDERS];
	int nfolders;
	struct rt_db *db;
	void (*on_refused)(void *arg);
	void *arg;
	char stamp[64]; /* of the settings that are in force */
	bool asking;
	bool refused;
};

/* ---- arguments and the process ----------------------------------------------------------------- */

int
rt_host_arguments(const struct rt_host_program *program, int argc, char **argv, const char **path)
{
	*path = NULL;
	if (argc < 2)
		return -1;
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
	{
		printf("%s (rt) %s\n", program->name, RT_VERSION);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
	{
		printf("usage: %s --config FILE\n\nServes the database that FILE names, see docs/cluster.md.\n",
			   program->name);
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "--config") == 0)
		*path = argv[2];
	else if (argc == 2 && strncmp(argv[1], "--config=", 9) == 0)
		*path = argv[1] + 9;
	if (*path != NULL && **path != '\0')
		return -1;
	fprintf(stderr, "usage: %s --config FILE\n", program->name);
	return 2;
}

void
rt_host_prepare(void)
{
	struct rlimit files;
	sigset_t set;
	int fd;

	/* A socket must not become what the log is written to. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
	{
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	rt_log_be_own();
}

/* ---- the file ----------------------------------------------------------------------------------- */

static bool
is_name(const char *text)
{
	size_t len = strlen(text);

	for (const char *p = text; *p != '\0'; p++)
		if (!isalnum((unsigned char) *p) && strchr("._-", *p) == NULL)
			return false;
	return len <= NAME_BYTES;
}

static enum rt_result
complain(const struct rt_host *h, const struct rt_hostfile *f, const char *key, char *error, const char *what)
{
	snprintf(error, ERROR_BYTES, "%s:%d: %s %s", h->path, rt_hostfile_line(f, key), key, what);
	return RT_BAD_INPUT;
}

static enum rt_result
check_conninfo(const struct rt_host *h, const struct rt_hostfile *f, const char *key, char *error)
{
	char *reason = NULL;
	PQconninfoOption *options = PQconninfoParse(rt_hostfile_get(f, key), &reason);

	if (options != NULL)
	{
		PQconninfoFree(options);
		return RT_OK;
	}
	/* libpq's reason quotes the string, which may have a password in it. */
	PQfreemem(reason);
	return complain(h, f, key, error, "is not a valid libpq connection string");
}

static int
port_of(const struct rt_host *h, const struct rt_hostfile *f)
{
	const char *text = rt_hostfile_get(f, "port");
	char *end;
	long port;

	if (rt_hostfile_line(f, "port") == 0)
		return h->program->default_port;
	port = strtol(text, &end, 10);
	return isdigit((unsigned char) text[0]) && *end == '\0' && port >= 1 && port <= 65535 ? (int) port : -1;
}

static enum rt_result
check_file(const struct rt_host *h, const struct rt_hostfile *f, char *error)
{
	static const char *const names[] = {"name", "region"};
	static const char *const conninfos[] = {"conninfo", "conninfo_read"};

	if (rt_hostfile_get(f, "conninfo")[0] == '\0')
	{
		snprintf(error, ERROR_BYTES, "%s: conninfo is not set", h->path);
		return RT_BAD_INPUT;
	}
	for (int i = 0; f->keys[i] != NULL; i++)
	{
		json_t *value = json_string(rt_hostfile_get(f, f->keys[i]));

		if (value == NULL)
			return complain(h, f, f->keys[i], error, "is not valid UTF-8");
		json_decref(value);
	}
	for (int i = 0; i < 2; i++)
		if (rt_hostfile_get(f, conninfos[i])[0] != '\0' && check_conninfo(h, f, conninfos[i], error) != RT_OK)
			return RT_BAD_INPUT;
	for (int i = 0; i < 2; i++)
		if (!is_name(rt_hostfile_get(f, names[i])))
			return complain(h, f, names[i], error, "may have 63 letters, digits, dots, underscores and hyphens");
	if (port_of(h, f) < 0)
		return complain(h, f, "port", error, "must be a number from 1 to 65535");
	if ((rt_hostfile_get(f, "ssl_cert_file")[0] == '\0') != (rt_hostfile_get(f, "ssl_key_file")[0] == '\0'))
		return complain(h, f, rt_hostfile_line(f, "ssl_cert_file") > 0 ? "ssl_cert_file" : "ssl_key_file", error,
						"needs ssl_cert_file and ssl_key_file, both of them");
	return RT_OK;
}

static enum rt_result
read_file(const struct rt_host *h, struct rt_hostfile *f, char *error)
{
	enum rt_result rc = rt_hostfile_read(f, h->path, h->program->keys, error, ERROR_BYTES);

	if (rc != RT_OK)
		return rc;
	rc = check_file(h, f, error);
	if (rc != RT_OK)
		rt_hostfile_fini(f);
	return rc;
}

static char *
path_of(const struct rt_host *h, const char *name)
{
	size_t size = strlen(h->folder) + strlen(name) + 2;
	char *path;

	if (name[0] == '/')
		return rt_strdup(name);
	path = rt_alloc(size);
	snprintf(path, size, "%s/%s", h->folder, name);
	return path;
}

/* NULL, and `error`: it cannot be read. */
static json_t *
read_pem(const struct rt_host *h, const struct rt_hostfile *f, const char *key, char *error)
{
	char *path = path_of(h, rt_hostfile_get(f, key));
	char *text = rt_alloc(PEM_LIMIT_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, PEM_LIMIT_BYTES - 1);
	json_t *value = len <= 0 ? NULL : json_stringn(text, (size_t) len);

	if (value == NULL)
		snprintf(error, ERROR_BYTES, "%s:%d: could not read %s \"%s\": %s", h->path, rt_hostfile_line(f, key), key,
				 path, len < 0 ? strerror(errno) : "it has no certificate or key in PEM form");
	if (fd >= 0)
		close(fd);
	explicit_bzero(text, PEM_LIMIT_BYTES);
	free(text);
	free(path);
	return value;
}

static enum rt_result
read_tls(struct rt_host *h, const struct rt_hostfile *f, char *error)
{
	json_t *cert;
	json_t *key;

	if (rt_hostfile_get(f, "ssl_cert_file")[0] == '\0')
		return RT_OK;
	cert = read_pem(h, f, "ssl_cert_file", error);
	key = cert == NULL ? NULL : read_pem(h, f, "ssl_key_file", error);
	if (key == NULL)
	{
		json_decref(cert);
		return RT_BAD_INPUT;
	}
	json_decref(h->tls);
	h->tls = json_pack("{s:o, s:o}", "cert", cert, "key", key);
	return RT_OK;
}

/* ---- the configuration ---------------------------------------------------------------------------- */

static void
set_text(json_t *settings, const char *name, const char *value)
{
	json_object_set_new(settings, name, json_string(value));
}

/* What the file has instead of the database: where this program listens, and with which certificate. */
static json_t *
make_settings(const struct rt_host *h)
{
	json_t *settings = json_deep_copy(rt_json_object(h->hello, "settings"));
	const char *addresses = rt_hostfile_get(&h->file, "listen_addresses");

	json_object_set_new(settings, h->program->port_setting, json_integer(port_of(h, &h->file)));
	set_text(settings, "listen_addresses", addresses[0] == '\0' ? "localhost" : addresses);
	set_text(settings, "ssl_cert_file", rt_hostfile_get(&h->file, "ssl_cert_file"));
	set_text(settings, "ssl_key_file", rt_hostfile_get(&h->file, "ssl_key_file"));
	set_text(settings, "media_announced_address", rt_hostfile_get(&h->file, "announced_address"));
	if (rt_hostfile_line(&h->file, "conninfo_read") > 0)
		set_text(settings, "conninfo_read", rt_hostfile_get(&h->file, "conninfo_read"));
	return settings;
}

static json_t *
make_root(const struct rt_host *h)
{
	json_t *root =
		json_pack("{s:s, s:i, s:i, s:I, s:s, s:s, s:s, s:s, s:o}", "program", h->program->kind, "worker", 0,
				  "workers", 1, "number", (json_int_t) rt_json_int(h->hello, "number", 0), "host", h->name, "region",
				  rt_hostfile_get(&h->file, "region"), "database", rt_json_str(h->hello, "database"), "conninfo",
				  rt_hostfile_get(&h->file, "conninfo"), "settings", make_settings(h));

	if (h->tls != NULL)
		json_object_set(root, "tls", h->tls);
	return root;
}

/* True: the answer is complete, and is kept. */
static bool
take_hello(struct rt_host *h, const char *text, size_t len)
{
	json_t *hello = rt_json_parse_object(text, len);
	const char *stamp = rt_json_str(hello, "stamp");

	if (stamp == NULL || rt_json_object(hello, "settings") == NULL || rt_json_str(hello, "database") == NULL)
	{
		json_decref(hello);
		return false;
	}
	json_decref(h->hello);
	h->hello = hello;
	snprintf(h->stamp, sizeof(h->stamp), "%s", stamp);
	return true;
}

static char *
make_request(const struct rt_host *h)
{
	json_t *req = json_pack("{s:s, s:s, s:s, s:i}", "program", h->program->kind, "version", RT_VERSION, "host",
							h->name, "port", port_of(h, &h->file));
	char *text = json_dumps(req, JSON_COMPACT);

	json_decref(req);
	return text;
}

/* ---- the first hello: it blocks ----------------------------------------------------------------------- */

enum outcome
{
	DONE,
	LATER, /* the database is not there, or not yet */
	NEVER  /* somebody has to do something */
};

static void
pause_ms(int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long) (ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

static PGconn *
connect_in_time(struct rt_host *h, char *late)
{
	PGconn *pg = rt_dbhosts_connect(&h->hosts, rt_hostfile_get(&h->file, "conninfo"));
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;
	uint64_t limit_us = rt_clock_us() + rt_dbhosts_limit_ms(&h->hosts) * 1000;

	if (pg == NULL || PQstatus(pg) == CONNECTION_BAD)
		return pg;
	PQsetErrorVerbosity(pg, PQERRORS_VERBOSE); /* with the SQLSTATE */
	while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING)
	{
		struct pollfd p = {.fd = PQsocket(pg), .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT};
		uint64_t now_us = rt_clock_us();

		if (now_us >= limit_us)
		{
			rt_dbhosts_late(&h->hosts, pg, late);
			break;
		}
		(void) poll(&p, 1, (int) ((limit_us - now_us) / 1000) + 1);
		if (p.revents != 0)
			status = PQconnectPoll(pg);
	}
	return pg;
}

static enum outcome
explain_connection(PGconn *pg, const char *late, char *error)
{
	const char *reason = PQerrorMessage(pg);
	bool refused = rt_dbconn_is_login_refused(reason) || strstr(reason, "no password supplied") != NULL;

	if (late[0] != '\0')
		reason = late;
	snprintf(error, ERROR_BYTES, "%s: %.*s", refused ? "login failed" : "connection failed",
			 (int) strcspn(reason, "\n"), reason);
	return refused ? NEVER : LATER;
}

static enum outcome
explain_failure(const struct rt_host *h, PGconn *pg, const PGresult *result, char *error)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);

	if (state == NULL || message == NULL)
	{
		snprintf(error, ERROR_BYTES, "connection lost: %.*s", (int) strcspn(PQerrorMessage(pg), "\n"),
				 PQerrorMessage(pg));
		return LATER;
	}
	if (strcmp(state, "3F000") == 0 || strcmp(state, "42883") == 0)
		snprintf(error, ERROR_BYTES,
				 "database \"%s\" does not have extension rt in version %s: run CREATE EXTENSION or "
				 "ALTER EXTENSION … UPDATE there",
				 PQdb(pg), RT_VERSION);
	else if (strcmp(state, "42501") == 0)
		snprintf(error, ERROR_BYTES, "role \"%s\" is not a member of %s in database \"%s\": %s", PQuser(pg),
				 h->program->name, PQdb(pg), message);
	else if (strcmp(state, "25006") == 0)
		snprintf(error, ERROR_BYTES,
				 "the server is a standby, waiting for its promotion: name all servers in conninfo, "
				 "with target_session_attrs=read-write");
	else
		snprintf(error, ERROR_BYTES, "%s%s%s", message, hint == NULL ? "" : ". ", hint == NULL ? "" : hint);
	return strncmp(state, "RT4", 3) == 0 || strncmp(state, "42", 2) == 0 || strcmp(state, "3F000") == 0 ? NEVER
																										: LATER;
}

/* The rights of rt_gateway (or rt_media) alone where the role may take them on, its own where it may not but has
 * inherited them.  A superuser must: it would be trusted beyond what programs may do. */
static enum outcome
take_role(struct rt_host *h, PGconn *pg, char *error)
{
	const char *const values[] = {h->program->name};
	PGresult *result = PQexecParams(pg,
									"SELECT pg_catalog.pg_has_role(r.oid, CASE WHEN "
									"pg_catalog.current_setting('server_version_num')::int >= 160000"
									" THEN 'SET' ELSE 'MEMBER' END), pg_catalog.pg_has_role(r.oid, 'USAGE')"
									" FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1",
									1, NULL, values, NULL, NULL, 0);
	enum outcome out = DONE;
	char sql[100];

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		out = explain_failure(h, pg, result, error);
	else if (PQntuples(result) == 1)
		h->takes_role = strcmp(PQgetvalue(result, 0, 0), "t") == 0;
	if (out == DONE && (PQntuples(result) == 0 || (!h->takes_role && strcmp(PQgetvalue(result, 0, 1), "t") != 0)))
	{
		snprintf(error, ERROR_BYTES, "role \"%s\" is not a member of %s", PQuser(pg), h->program->name);
		out = NEVER;
	}
	PQclear(result);
	if (out != DONE || !h->takes_role)
		return out;
	snprintf(sql, sizeof(sql), "SET ROLE %s", h->program->name);
	PQclear(PQexec(pg, sql));
	return DONE;
}

static enum outcome
say_hello(struct rt_host *h, PGconn *pg, char *error)
{
	char *req = make_request(h);
	const char *const values[] = {req};
	PGresult *result = PQexecParams(pg, "SELECT rt_api.hello(NULL, $1::jsonb)", 1, NULL, values, NULL, NULL, 0);
	enum outcome out = DONE;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		out = explain_failure(h, pg, result, error);
	else if (!take_hello(h, PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0)))
	{
		snprintf(error, ERROR_BYTES, "the database's answer to rt_api.hello is not complete");
		out = NEVER;
	}
	PQclear(result);
	free(req);
	return out;
}

static enum outcome
ask_once(struct rt_host *h, char *error)
{
	char late[RT_DBHOSTS_REASON_BYTES] = "";
	PGconn *pg = connect_in_time(h, late);
	enum outcome out = PQstatus(pg) == CONNECTION_OK ? DONE : explain_connection(pg, late, error);

	if (out == DONE)
		PQclear(PQexec(pg, "SET statement_timeout = '10s'"));
	if (out == DONE)
		out = take_role(h, pg, error);
	if (out == DONE)
		out = say_hello(h, pg, error);
	PQfinish(pg);
	return out;
}

static enum rt_result
ask_until_answered(struct rt_host *h)
{
	char error[ERROR_BYTES];
	int pause = FIRST_PAUSE_MS;
	uint64_t complained_us = 0;
	enum outcome out;

	while ((out = ask_once(h, error)) == LATER)
	{
		if (complained_us == 0 || rt_clock_us() - complained_us > COMPLAIN_EVERY_MS * 1000ull)
		{
			complained_us = rt_clock_us();
			rt_log(RT_LOG_WARNING, "db", "%s", error);
		}
		pause_ms(pause);
		pause = pause * 2 > LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : pause * 2;
	}
	if (out == DONE)
		return RT_OK;
	rt_log(RT_LOG_ERROR, "db", "%s", error);
	return RT_BAD_INPUT;
}

/* ---- start and end -------------------------------------------------------------------------------------- */

static void
add_folder(struct rt_host *h, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash != NULL && h->nfolders < MAX_FOLDERS)
		h->folders[h->nfolders++] = slash == path ? rt_strdup("/") : rt_strndup(path, (size_t) (slash - path));
}

/* Whole folders, since files are replaced by renaming; and where symbolic links lead. */
static void
add_folders_of(struct rt_host *h, const char *name)
{
	char *path;
	char real[PATH_MAX];

	if (name[0] == '\0')
		return;
	path = path_of(h, name);
	add_folder(h, path);
	if (realpath(path, real) != NULL && strcmp(real, path) != 0)
		add_folder(h, real);
	free(path);
}

/* The folder's real path, and the name in it: the file itself may be replaced. */
static enum rt_result
locate(struct rt_host *h, const char *path)
{
	char folder[PATH_MAX];
	char *copy = rt_strdup(path);
	char *slash = strrchr(copy, '/');
	const char *name = slash == NULL ? path : path + (slash - copy) + 1;
	bool found;

	if (slash != NULL)
		*slash = '\0';
	found = realpath(slash == NULL ? "." : slash == copy ? "/" : copy, folder) != NULL;
	if (found)
	{
		h->folder = rt_strdup(folder);
		h->path = path_of(h, name);
	}
	else
		rt_log(RT_LOG_ERROR, "conf", "could not read \"%s\": %s", path, strerror(errno));
	free(copy);
	return found ? RT_OK : RT_BAD_INPUT;
}

static enum rt_result
read_first(struct rt_host *h)
{
	char error[ERROR_BYTES];

	if (read_file(h, &h->file, error) == RT_OK && read_tls(h, &h->file, error) == RT_OK)
		return RT_OK;
	rt_log(RT_LOG_ERROR, "conf", "%s", error);
	return RT_BAD_INPUT;
}

static void
choose_name(struct rt_host *h)
{
	const char *name = rt_hostfile_get(&h->file, "name");

	if (name[0] != '\0')
		snprintf(h->name, sizeof(h->name), "%s", name);
	else if (gethostname(h->name, sizeof(h->name) - 1) != 0)
		snprintf(h->name, sizeof(h->name), "unknown");
}

enum rt_result
rt_host_start(struct rt_host **hp, const struct rt_host_program *program, const char *path, struct rt_conf **cp)
{
	struct rt_host *h = rt_alloc(sizeof(*h));
	enum rt_result rc;

	h->program = program;
	setenv("PGAPPNAME", program->name, 0);
	rc = locate(h, path);
	if (rc == RT_OK)
		rc = read_first(h);
	if (rc == RT_OK)
	{
		choose_name(h);
		add_folder(h, h->path);
		add_folders_of(h, rt_hostfile_get(&h->file, "ssl_cert_file"));
		add_folders_of(h, rt_hostfile_get(&h->file, "ssl_key_file"));
		rc = ask_until_answered(h);
	}
	if (rc != RT_OK)
	{
		rt_host_free(h);
		return rc;
	}
	h->conf = *cp = rt_conf_of(make_root(h));
	*hp = h;
	return RT_OK;
}

void
rt_host_free(struct rt_host *h)
{
	if (h == NULL)
		return;
	rt_hostfile_fini(&h->file);
	json_decref(h->hello);
	json_decref(h->tls);
	for (int i = 0; i < h->nfolders; i++)
		free(h->folders[i]);
	free(h->path);
	free(h->folder);
	free(h);
}

const char *
rt_host_role(const struct rt_host *h)
{
	return h != NULL && h->takes_role ? h->program->name : NULL;
}

const char *const *
rt_host_folders(const struct rt_host *h, int *n)
{
	*n = h->nfolders;
	return (const char *const *) h->folders;
}

/* ---- what changes ------------------------------------------------------------------------------------------- */

/* What only the start reads. */
static void
tell_restart(const struct rt_host *h, const json_t *before)
{
	const json_t *now = rt_json_object(h->hello, "settings");

	for (const char *const *name = h->program->once; *name != NULL; name++)
		if (!json_equal(json_object_get(before, *name), json_object_get(now, *name)))
			rt_log(RT_LOG_WARNING, "conf", "the new rt.%s takes effect when %s is restarted", *name,
				   h->program->name);
}

static void
on_hello(void *arg, const struct rt_db_reply *reply)
{
	struct rt_host *h = arg;
	json_t *before;

	h->asking = false;
	if (!reply->ok)
	{
		if (strcmp(reply->code, "conflict") == 0 && !h->refused)
		{
			h->refused = true;
			rt_log(RT_LOG_ERROR, "conf", "%s", reply->message);
			h->on_refused(h->arg);
		}
		return;
	}
	before = json_incref(rt_json_object(h->hello, "settings"));
	if (take_hello(h, reply->json, reply->json_len) && rt_conf_replace(h->conf, make_root(h)) == RT_OK)
	{
		rt_log(RT_LOG_INFO, "conf", "the database's settings have changed");
		tell_restart(h, before);
	}
	json_decref(before);
}

void
rt_host_follow(struct rt_host *h, struct rt_db *db, void (*on_refused)(void *arg), void *arg)
{
	if (h == NULL)
		return;
	h->db = db;
	h->on_refused = on_refused;
	h->arg = arg;
}

void
rt_host_note_stamp(struct rt_host *h, const char *stamp)
{
	char *req;

	if (h == NULL || h->db == NULL || h->asking || h->refused || stamp == NULL || strcmp(stamp, h->stamp) == 0)
		return;
	h->asking = true;
	req = make_request(h);
	rt_db_call(h->db, RT_DB_FAST, "hello", NULL, req, strlen(req), on_hello, h);
	free(req);
}

static void
keep_from_start(struct rt_host *h, struct rt_hostfile *f)
{
	static const char *const fixed[] = {"name", "region", "listen_addresses", "port", "announced_address"};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		for (int k = 0; f->keys[k] != NULL; k++)
		{
			char *value = f->values[k];

			if (strcmp(f->keys[k], fixed[i]) != 0)
				continue;
			if (strcmp(rt_hostfile_get(f, fixed[i]), rt_hostfile_get(&h->file, fixed[i])) != 0)
				rt_log(RT_LOG_WARNING, "conf", "%s:%d: the new %s takes effect when %s is restarted", h->path,
					   f->lines[k], fixed[i], h->program->name);
			f->values[k] = h->file.values[k];
			f->lines[k] = h->file.lines[k];
			h->file.values[k] = value;
		}
}

void
rt_host_reread(struct rt_host *h)
{
	struct rt_hostfile f;
	char error[ERROR_BYTES];

	if (h == NULL || h->db == NULL)
		return;
	if (read_file(h, &f, error) != RT_OK)
	{
		rt_log(RT_LOG_ERROR, "conf", "nothing is changed: %s", error);
		return;
	}
	if (read_tls(h, &f, error) != RT_OK)
	{
		rt_hostfile_fini(&f);
		rt_log(RT_LOG_ERROR, "conf", "nothing is changed: %s", error);
		return;
	}
	keep_from_start(h, &f);
	rt_hostfile_fini(&h->file);
	h->file = f;
	rt_db_set_conninfo(h->db, rt_hostfile_get(&h->file, "conninfo"));
	if (rt_conf_replace(h->conf, make_root(h)) == RT_OK)
		rt_log(RT_LOG_INFO, "conf", "\"%s\" has been read again", h->path);
}
