/* confine.c: see confine.h.
 *
 * The default way to the database, by TCP with a password, needs no file and no unix socket at all.  That matters:
 * the programs run as the server's operating system user, who may read the data directory, and whom a line like
 * Debian's "local all postgres peer" lets in as superuser by the unix socket. */
#include "confine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libpq-fe.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"
#include "confine_landlock.h"
#include "confine_syscalls.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static void
set_limit(int resource, rlim_t most)
{
	struct rlimit limit = {most, most};

	setrlimit(resource, &limit);
}

void
rt_confine_early(void)
{
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
}

/* Until then no core file is made, since the process is not dumpable.  A core file holds keys and passwords. */
void
rt_confine_cores(bool confined)
{
	struct rlimit limit;

	if (confined)
		set_limit(RLIMIT_CORE, 0);
	else if (getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur > 0)
		prctl(PR_SET_DUMPABLE, 1);
}

void
rt_confine_no_ring(void)
{
	rt_confine_syscalls_no_ring();
}

/* Of a program that somebody started with a redirection. */
static bool
is_log_a_file(void)
{
	struct stat status;

	return fstat(STDERR_FILENO, &status) == 0 && S_ISREG(status.st_mode);
}

/* No file grows but the log, no process or thread is made, and descriptors stay as many as were asked for.  Pipes are
 * no files. */
static void
set_limits(const struct rt_confine_needs *needs)
{
	struct rlimit files;

	signal(SIGXFSZ, SIG_IGN);
	if (!needs->own_host || !is_log_a_file())
		set_limit(RLIMIT_FSIZE, 0);
	set_limit(RLIMIT_NPROC, 0);
	set_limit(RLIMIT_MSGQUEUE, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		set_limit(RLIMIT_NOFILE, files.rlim_cur);
}

/* ---- what the connection string asks for --------------------------------------------------------- */

/* Of what the caller must keep. */
struct paths
{
	char pgpass[PATH_MAX];
	char postgresql[PATH_MAX];
};

static const char *
value_of(const PQconninfoOption *options, const char *keyword)
{
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
		if (strcmp(o->keyword, keyword) == 0)
			return o->val != NULL && o->val[0] != '\0' ? o->val : NULL;
	return NULL;
}

static bool
is_numeric(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

static void
need_hosts(struct rt_confine_needs *needs, const char *hosts)
{
	char *list = rt_strdup(hosts);
	char *rest = NULL;

	for (char *host = strtok_r(list, ",", &rest); host != NULL; host = strtok_r(NULL, ",", &rest))
	{
		needs->abstract_sockets |= host[0] == '@';
		needs->unix_sockets |= host[0] == '/' || host[0] == '@';
		needs->names |= host[0] != '/' && host[0] != '@' && !is_numeric(host);
	}
	free(list);
}

static void
need_ports(struct rt_confine_needs *needs, const char *ports)
{
	const char *at = ports;

	while (*at != '\0' && needs->nports < RT_CONFINE_PORTS)
	{
		needs->ports[needs->nports++] = atoi(at);
		at += strcspn(at, ",");
		at += *at == ',';
	}
	needs->any_target |= *at != '\0';
}

/* libpq's own files in the home folder: a password where none is given, certificates where encryption is wanted. */
static void
need_home(struct rt_confine_needs *needs, const PQconninfoOption *options, struct paths *paths)
{
	const char *home = getenv("HOME");
	const char *mode = value_of(options, "sslmode");
	bool plain = mode != NULL && (strcmp(mode, "disable") == 0 || strcmp(mode, "allow") == 0);

	if (home == NULL || home[0] != '/')
		return;
	snprintf(paths->pgpass, sizeof(paths->pgpass), "%s/.pgpass", home);
	snprintf(paths->postgresql, sizeof(paths->postgresql), "%s/.postgresql", home);
	if (value_of(options, "password") == NULL)
		needs->files[needs->nfiles++] = paths->pgpass;
	if (!plain)
		needs->files[needs->nfiles++] = paths->postgresql;
}

static void
need_files(struct rt_confine_needs *needs, const PQconninfoOption *options)
{
	static const char *const keywords[] = {"sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir", "passfile"};

	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
	{
		const char *file = value_of(options, keywords[i]);

		if (file != NULL && strchr(file, '/') != NULL)
			needs->files[needs->nfiles++] = file;
	}
}

/* An empty host is libpq's own: a unix socket, or what the environment says. */
static void
read_needs(struct rt_confine_needs *needs, const PQconninfoOption *options, struct paths *paths)
{
	const char *addresses = value_of(options, "hostaddr");
	const char *hosts = addresses != NULL ? addresses : value_of(options, "host");
	const char *ports = value_of(options, "port");

	if (hosts == NULL || value_of(options, "service") != NULL)
	{
		needs->any_target = needs->unix_sockets = needs->names = true;
		needs->abstract_sockets = hosts != NULL;
	}
	if (hosts != NULL)
		need_hosts(needs, hosts);
	if (ports != NULL)
		need_ports(needs, ports);
	else
		needs->ports[needs->nports++] = 5432;
	need_files(needs, options);
	need_home(needs, options, paths);
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static void
tell_landlock(int abi, char *text, size_t size)
{
	if (abi > 0)
		snprintf(text, size, "Landlock (ABI %d)", abi);
	else if (abi == 0)
		snprintf(text, size, "no Landlock (the kernel has none)");
	else
		snprintf(text, size, "no Landlock (%s)", strerror(errno));
}

static void
confine_to(const struct rt_confine_needs *needs)
{
	char landlock[80];
	int abi;
	int error;

	set_limits(needs);
	abi = rt_confine_landlock(needs);
	tell_landlock(abi, landlock, sizeof(landlock));
	error = rt_confine_syscalls(needs);
	if (error == 0)
		rt_log(abi > 0 ? RT_LOG_INFO : RT_LOG_WARNING, "confine", "confined by a system call filter, %s and limits%s",
			   landlock,
			   needs->unix_sockets ? "; can connect to unix sockets, because the connection string needs one" : "");
	else
		rt_log(RT_LOG_WARNING, "confine", "not confined by a system call filter (%s), but by %s and limits",
			   strerror(error), landlock);
}

static void
add_own(struct rt_confine_needs *needs, const struct rt_confine_own *own)
{
	needs->own_host = own->is_own;
	if (own->port != 0 && needs->nports < RT_CONFINE_PORTS)
		needs->ports[needs->nports++] = own->port;
	needs->any_target |= own->connects_anywhere;
	for (int i = 0; i < own->nfolders && needs->nfiles < RT_CONFINE_FILES; i++)
		needs->files[needs->nfiles++] = own->folders[i];
}

void
rt_confine(const char *conninfo, const struct rt_confine_own *own)
{
	struct rt_confine_needs needs = {0};
	struct paths paths;
	PQconninfoOption *options;

	/* Finding leaks takes a thread that debugs the others, and reports are files' and symbolizers' business. */
	if (SANITIZED)
	{
		rt_log(RT_LOG_WARNING, "confine", "not confined: built with sanitizers");
		return;
	}
	options = PQconninfoParse(conninfo, NULL);
	if (options == NULL)
		needs.any_target = needs.unix_sockets = needs.abstract_sockets = needs.names = true;
	else
		read_needs(&needs, options, &paths);
	if (own != NULL)
		add_own(&needs, own);
	confine_to(&needs);
	PQconninfoFree(options);
}
