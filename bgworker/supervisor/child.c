/* child.c: starts a program by fork and exec below a postmaster; see child.h.  Who lives how long is runner.c's.
 *
 * A child of a background worker inherits what a program that faces the network must not have: the worker's
 * process group (the postmaster signals it as one), ignored and blocked signals, the server's handlers until it
 * executes, the postmaster-death pipe, relation files and sockets.  Between fork and exec only async-signal-safe
 * functions run, so all that needs memory is prepared before.
 *
 * Runs in the supervisor, without a lock.  Only the allocation before the fork may raise.  Afterwards the parent
 * reports failures by its result and errno, and the child by exit code 127: it never returns into the server. */
#include "postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "child.h"

#define FIRST_SPARE_FD 256 /* above every descriptor that the child will have */
#define EXIT_NO_EXEC 127

extern char **environ;

/* What the child needs to know, all of it prepared by the parent. */
struct plan
{
	const char *path;
	char *const *argv;
	char *const *envp;
	pid_t parent;
	int config_fd;
	int log_fd;
	int activity_fd;
	const int *sockets;
	int nsockets;
};

/* Nothing of the server's environment, which may hold a superuser's password (POSTGRES_PASSWORD of a container), but
 * language and time zone. */
static bool
may_pass(const char *variable)
{
	return strncmp(variable, "LANG=", 5) == 0 || strncmp(variable, "LC_", 3) == 0 || strncmp(variable, "TZ=", 3) == 0;
}

static char **
make_environment(void)
{
	int count = 0;
	int kept = 0;
	char **envp;

	while (environ[count] != NULL)
		count++;
	envp = palloc(sizeof(char *) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		if (may_pass(environ[i]))
			envp[kept++] = environ[i];
	}
	envp[kept] = NULL;
	return envp;
}

/* ---- in the child: async-signal-safe functions only --------------------------- */

static void
reset_signals(void)
{
	struct sigaction action;
	sigset_t none;

	memset(&action, 0, sizeof(action));
	action.sa_handler = SIG_DFL;
	for (int signo = 1; signo < NSIG; signo++)
		(void) sigaction(signo, &action, NULL);
	sigemptyset(&none);
	(void) sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Dies with the worker, whatever ends it.  SIGKILL, since a program that hangs must not outlive the server.  A parent
 * that ended before prctl() sends no signal any more, hence the second look. */
static void
bind_to_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(EXIT_NO_EXEC);
}

static void
close_from(unsigned int first)
{
	struct rlimit limit;

#ifdef SYS_close_range
	if (syscall(SYS_close_range, first, ~0U, 0) == 0)
		return;
#endif
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > 1 << 20)
		limit.rlim_cur = 1 << 20;
	for (unsigned int fd = first; fd < limit.rlim_cur; fd++)
		(void) close(fd);
}

/* First everything goes out of the way, then each to its place: a target may be the number of a source not yet moved.
 * Where the limit of files is not above FIRST_SPARE_FD, F_DUPFD fails and the program does not start. */
static void
arrange_descriptors(const struct plan *p)
{
	int config_fd = fcntl(p->config_fd, F_DUPFD, FIRST_SPARE_FD);
	int log_fd = fcntl(p->log_fd, F_DUPFD, FIRST_SPARE_FD);
	int null_fd = open("/dev/null", O_RDONLY);
	int activity_fd = fcntl(p->activity_fd < 0 ? null_fd : p->activity_fd, F_DUPFD, FIRST_SPARE_FD);
	int sockets[RT_CHILD_MAX_SOCKETS];

	if (config_fd < 0 || log_fd < 0 || null_fd < 0 || activity_fd < 0)
		_exit(EXIT_NO_EXEC);
	for (int i = 0; i < p->nsockets; i++)
	{
		sockets[i] = fcntl(p->sockets[i], F_DUPFD, FIRST_SPARE_FD);
		if (sockets[i] < 0)
			_exit(EXIT_NO_EXEC);
	}
	if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0 ||
		dup2(config_fd, RT_CHILD_CONFIG_FD) < 0 || dup2(activity_fd, RT_ACTIVITY_FD) < 0)
		_exit(EXIT_NO_EXEC);
	for (int i = 0; i < p->nsockets; i++)
	{
		if (dup2(sockets[i], RT_CHILD_SOCKETS_FD + i) < 0)
			_exit(EXIT_NO_EXEC);
	}
	close_from(RT_CHILD_SOCKETS_FD + p->nsockets);
}

/* Each client of the program is a descriptor. */
static void
raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void) setrlimit(RLIMIT_NOFILE, &limit);
}

/* Where the server is protected from the kernel's out-of-memory killer, the program is not. */
static void
drop_oom_protection(void)
{
	char first = 0;
	int fd = open("/proc/self/oom_score_adj", O_RDWR);

	if (fd < 0)
		return;
	if (read(fd, &first, 1) == 1 && first == '-' && lseek(fd, 0, SEEK_SET) == 0)
	{
		ssize_t ignored = write(fd, "0", 1);

		(void) ignored;
	}
	(void) close(fd);
}

/* The order matters: out of the worker's process group first; signals are unblocked only once their handlers are
 * gone; and the limit of files rises after the others are closed, which may walk through all up to the limit. */
static void
become(const struct plan *p)
{
	(void) setsid();
	bind_to_parent(p->parent);
	reset_signals();
	arrange_descriptors(p);
	raise_file_limit();
	drop_oom_protection();
	(void) execve(p->path, p->argv, p->envp);
	/* exit() would run the server's exit hooks. */
	_exit(EXIT_NO_EXEC);
}

/* ---- in the parent ------------------------------------------------------------ */

/* No handler of the server may run in the child before its signals are reset. */
static pid_t
fork_blocked(const struct plan *p)
{
	sigset_t all;
	sigset_t old;
	pid_t pid;
	int saved;

	sigfillset(&all);
	(void) sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		become(p);
	saved = errno;
	(void) sigprocmask(SIG_SETMASK, &old, NULL);
	errno = saved;
	return pid;
}

static void
close_pipe(int *fds)
{
	int saved = errno;

	(void) close(fds[0]);
	(void) close(fds[1]);
	errno = saved;
}

static void
close_kept(int fd)
{
	int saved = errno;

	if (fd >= 0)
		(void) close(fd);
	errno = saved;
}

static bool
set_nonblocking(int fd)
{
	return fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

/* Of a fixed size, so that a program that was taken over cannot fill memory by it.  Without one, as on a kernel that
 * has no memfd, the watchdog says less. */
static int
make_activity(void)
{
	int fd = memfd_create("rt activity", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, sizeof(uint64)) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
	{
		(void) close(fd);
		return -1;
	}
	return fd;
}

bool
rt_child_start(struct rt_child *child, const char *path, const char *title, const int *sockets, int nsockets)
{
	char *argv[2] = {unconstify(char *, title), NULL};
	char **envp = make_environment();
	struct plan p = {.path = path, .argv = argv, .envp = envp, .parent = getpid()};
	int config[2];
	int log[2];

	Assert(nsockets <= RT_CHILD_MAX_SOCKETS);
	if (pipe2(config, O_CLOEXEC) != 0)
		return false;
	if (pipe2(log, O_CLOEXEC) != 0)
	{
		close_pipe(config);
		return false;
	}
	p.config_fd = config[0];
	p.log_fd = log[1];
	p.activity_fd = make_activity();
	p.sockets = sockets;
	p.nsockets = nsockets;
	child->pid = -1;
	if (set_nonblocking(config[1]) && set_nonblocking(log[0]))
		child->pid = fork_blocked(&p);
	pfree(envp);
	if (child->pid < 0)
	{
		close_pipe(config);
		close_pipe(log);
		close_kept(p.activity_fd);
		return false;
	}
	(void) close(config[0]);
	(void) close(log[1]);
	child->config_fd = config[1];
	child->log_fd = log[0];
	child->activity_fd = p.activity_fd;
	return true;
}
