/* confine_landlock.c: which files can be read, and whom the program can connect to and signal.
 *
 * Everything is forbidden that the kernel's ABI knows to forbid: writing, making, removing and executing files,
 * binding TCP ports, abstract unix sockets and signals of others.  Reading is allowed where libraries and the lookup
 * of names need it, connecting by TCP to the database's ports.  The kernel's header may be older than the kernel, and
 * libc has no wrappers, so numbers are our own: they are the kernel's interface and do not change. */
#include "confine_landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define CREATE_RULESET_VERSION 1
#define RULE_PATH_BENEATH 1
#define RULE_NET_PORT 2

#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_ALL_1 ((1ULL << 13) - 1)        /* of ABI 1 */
#define FS_REFER (1ULL << 13)              /* 2 */
#define FS_TRUNCATE (1ULL << 14)           /* 3 */
#define NET_BIND_TCP (1ULL << 0)           /* 4 */
#define NET_CONNECT_TCP (1ULL << 1)        /* 4 */
#define FS_IOCTL_DEV (1ULL << 15)          /* 5 */
#define SCOPE_ABSTRACT_SOCKETS (1ULL << 0) /* 6 */
#define SCOPE_SIGNALS (1ULL << 1)          /* 6 */

#define PORT_DNS 53

struct ruleset_attr
{
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

struct path_rule
{
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

struct port_rule
{
	uint64_t allowed_access;
	uint64_t port;
};

/* What libraries load and read whenever it suits them; libsrtp loads Mozilla's NSS with the first call. */
static const char *const system_files[] = {"/lib",
										   "/lib64",
										   "/usr/lib",
										   "/usr/lib64",
										   "/usr/local/lib",
										   "/usr/share",
										   "/etc/ld.so.cache",
										   "/etc/localtime",
										   "/etc/ssl/openssl.cnf",
										   "/etc/ssl/certs",
										   "/etc/pki/tls/openssl.cnf",
										   "/etc/pki/tls/certs",
										   "/etc/crypto-policies",
										   "/proc/sys/crypto",
										   "/dev/random",
										   "/dev/urandom",
										   NULL};

/* What getaddrinfo() reads.  Whole folders, since these files are replaced by renaming. */
static const char *const name_files[] = {"/etc", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager",
										 NULL};

static void
fill_ruleset(struct ruleset_attr *a, int abi, const struct rt_confine_needs *needs)
{
	a->handled_access_fs = FS_ALL_1;
	if (abi >= 2)
		a->handled_access_fs |= FS_REFER;
	if (abi >= 3)
		a->handled_access_fs |= FS_TRUNCATE;
	if (abi >= 4)
		a->handled_access_net = NET_BIND_TCP | (needs->any_target ? 0 : NET_CONNECT_TCP);
	if (abi >= 5)
		a->handled_access_fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		a->scoped = SCOPE_SIGNALS | (needs->abstract_sockets ? 0 : SCOPE_ABSTRACT_SOCKETS);
}

static size_t
ruleset_size(int abi)
{
	return abi >= 6   ? sizeof(struct ruleset_attr)
		   : abi >= 4 ? offsetof(struct ruleset_attr, scoped)
					  : sizeof(uint64_t);
}

/* The program's working directory is the server's data directory; no folder above or below it may be opened up. */
static bool
covers_data(const char *path)
{
	char folder[PATH_MAX];
	char data[PATH_MAX];
	size_t len;

	if (realpath(path, folder) == NULL || getcwd(data, sizeof(data)) == NULL)
		return true;
	len = strlen(folder);
	return strncmp(data, folder, len) == 0 && (data[len] == '/' || data[len] == '\0' || len == 1);
}

static int
allow_reading(int ruleset, const char *path, bool own_host)
{
	struct path_rule rule = {.allowed_access = FS_READ_FILE};
	struct stat status;
	int rc;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return 0; /* what is not there needs no rule */
	if (fstat(rule.parent_fd, &status) == 0 && S_ISDIR(status.st_mode))
		rule.allowed_access |= FS_READ_DIR;
	rc = (rule.allowed_access & FS_READ_DIR) && !own_host && covers_data(path)
			 ? 0
			 : (int) syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	return rc;
}

static int
allow_list(int ruleset, const char *const *paths, bool own_host)
{
	int rc = 0;

	for (; *paths != NULL && rc == 0; paths++)
		rc = allow_reading(ruleset, *paths, own_host);
	return rc;
}

static int
allow_port(int ruleset, int port)
{
	struct port_rule rule = {.allowed_access = NET_CONNECT_TCP, .port = (uint64_t) port};

	return (int) syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0);
}

static int
allow_ports(int ruleset, const struct rt_confine_needs *needs)
{
	int rc = needs->names ? allow_port(ruleset, PORT_DNS) : 0;

	for (int i = 0; i < needs->nports && rc == 0; i++)
		rc = allow_port(ruleset, needs->ports[i]);
	return rc;
}

static int
add_rules(int ruleset, const struct ruleset_attr *a, const struct rt_confine_needs *needs)
{
	int rc = allow_list(ruleset, system_files, needs->own_host);

	if (rc == 0 && needs->names)
		rc = allow_list(ruleset, name_files, needs->own_host);
	for (int i = 0; i < needs->nfiles && rc == 0; i++)
		rc = allow_reading(ruleset, needs->files[i], needs->own_host);
	if (rc == 0 && (a->handled_access_net & NET_CONNECT_TCP))
		rc = allow_ports(ruleset, needs);
	return rc;
}

int
rt_confine_landlock(const struct rt_confine_needs *needs)
{
	int abi = (int) syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
	struct ruleset_attr attr = {0};
	int ruleset;
	int rc;

	if (abi <= 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -1;
	fill_ruleset(&attr, abi, needs);
	ruleset = (int) syscall(SYS_landlock_create_ruleset, &attr, ruleset_size(abi), 0);
	if (ruleset < 0)
		return -1;
	rc = add_rules(ruleset, &attr, needs);
	if (rc == 0)
		rc = (int) syscall(SYS_landlock_restrict_self, ruleset, 0);
	close(ruleset);
	return rc == 0 ? abi : -1;
}
