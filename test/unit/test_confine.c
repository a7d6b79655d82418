/* What a confined program still can do, and what it cannot.  Each attempt is a process of its own, which confines
 * itself as the programs do, in a folder that stands for the data directory. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bgworker/common/confine/confine.h"
#include "bgworker/common/log.h"
#include "tap.h"

#define KILLED 1000 /* by the filter */

static int database_port; /* something listens there */
static int other_port;    /* and there, which is none of the program's business */
static int open_listener;
static int open_file; /* for writing, from before */
static char unix_path[80];

/* 0, or errno */
static int
result(long rc)
{
	return rc < 0 ? errno : 0;
}

/* ---- attempts ------------------------------------------------------------------------------- *
 *
 * On one line each where they are one call, so that they read as the list that they are. */

static int
read_data(void)
{
	return result(open("secret", O_RDONLY));
}
static int
read_passwd(void)
{
	return result(open("/etc/passwd", O_RDONLY));
}
static int
read_proc(void)
{
	return result(open("/proc/self/environ", O_RDONLY));
}
static int
read_library(void)
{
	return result(open("/usr/share", O_RDONLY | O_DIRECTORY));
}
static int
write_data(void)
{
	return result(open("secret", O_WRONLY));
}
static int
make_file(void)
{
	return result(open("new", O_RDONLY | O_CREAT, 0600));
}
static int
write_tmp(void)
{
	return result(open("/tmp/rt-confine-new", O_RDWR | O_CREAT, 0600));
}
static int
grow_file(void)
{
	return result(write(open_file, "more", 4));
}
static int
remove_file(void)
{
	return result(unlink("secret"));
}
static int
make_link(void)
{
	return result(symlink("secret", "link"));
}
static int
change_mode(void)
{
	return result(chmod("secret", 0777));
}
static int
make_memory_file(void)
{
	return result(syscall(SYS_memfd_create, "x", 0));
}
static int
use_ring(void)
{
	return result(syscall(SYS_io_uring_setup, 1, NULL));
}
static int
be_dumpable(void)
{
	return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}
static int
take_identity(void)
{
	return result(setuid(getuid()));
}
static int
make_namespace(void)
{
	return result(syscall(SYS_unshare, 0x10000000));
}
static int
debug_parent(void)
{
	return result(ptrace(PTRACE_ATTACH, getppid(), 0, 0));
}
static int
signal_parent(void)
{
	return result(kill(getppid(), 0));
}
static int
make_process(void)
{
	return result(fork());
}
static int
packet_socket(void)
{
	return result(socket(AF_PACKET, SOCK_RAW, 0));
}
static int
unix_socket(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}
static int
udp_socket(void)
{
	return result(socket(AF_INET, SOCK_DGRAM, 0));
}
static int
mptcp_socket(void)
{
	return result(socket(AF_INET, SOCK_STREAM, 262));
}
static int
netlink_socket(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
}

static int
run_program(void)
{
	char *argv[] = {"true", NULL};

	return result(execv("/bin/true", argv));
}

static void *
do_nothing(void *arg)
{
	return arg;
}

static int
make_thread(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, do_nothing, NULL);
}

static int
make_pair(int type)
{
	int pair[2];

	return result(socketpair(AF_UNIX, type, 0, pair));
}

static int
stream_pair(void)
{
	return make_pair(SOCK_STREAM | SOCK_NONBLOCK);
}
static int
datagram_pair(void)
{
	return make_pair(SOCK_DGRAM);
}

static int
map(int prot)
{
	return mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}

static int
map_data(void)
{
	return map(PROT_READ | PROT_WRITE);
}
static int
map_code(void)
{
	return map(PROT_READ | PROT_EXEC);
}
static int
map_both(void)
{
	return map(PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int
make_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return result(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static int
reach(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd < 0 ? errno : result(connect(fd, (struct sockaddr *) &address, sizeof(address)));
}

static int
reach_database(void)
{
	return reach(database_port);
}
static int
reach_other(void)
{
	return reach(other_port);
}

static int
reach_unix(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", unix_path);
	return fd < 0 ? errno : result(connect(fd, (struct sockaddr *) &address, sizeof(address)));
}

static int
listen_again(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return result(bind(fd, (struct sockaddr *) &address, sizeof(address)));
}

static int
accept_one(void)
{
	return reach_database() != 0 ? errno : result(accept4(open_listener, NULL, NULL, SOCK_CLOEXEC));
}

static int
look_up(void)
{
	struct addrinfo *list = NULL;
	int rc = getaddrinfo("localhost", "80", NULL, &list);

	return rc == 0 && list != NULL ? 0 : 1;
}

static int
more_files(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_max++;
	return result(setrlimit(RLIMIT_NOFILE, &limit));
}

static void
on_signal(int signo)
{
	(void) signo;
}

static int
signal_self(void)
{
	signal(SIGUSR1, on_signal);
	return raise(SIGUSR1) == 0 ? 0 : 1;
}

static int
wait_and_draw(void)
{
	struct epoll_event event;
	char bytes[16];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t) sizeof(bytes))
		return errno;
	return epoll_wait(-1, &event, 1, 0) < 0 && errno == EBADF ? 0 : errno;
}

/* ---- the harness ------------------------------------------------------------------------------ */

static int
attempt(const char *conninfo, int (*what)(void))
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
	{
		rt_confine_early();
		rt_confine(conninfo, NULL);
		_exit(what());
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED : -WTERMSIG(status);
	return WEXITSTATUS(status);
}

static void
expect(const char *conninfo, int (*what)(void), int expected, const char *name)
{
	int got = attempt(conninfo, what);

	ok(got == expected, "%s%s", name, expected == 0 ? "" : expected == KILLED ? " ends the process" : " is refused");
	if (got != expected)
		printf("# got %d, expected %d\n", got, expected);
}

static int
listen_on(int *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *) &address, len) != 0 || listen(fd, 100) != 0)
		return -1;
	getsockname(fd, (struct sockaddr *) &address, &len);
	*port = ntohs(address.sin_port);
	return fd;
}

static void
listen_on_unix(const char *folder)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(unix_path, sizeof(unix_path), "%s/socket", folder);
	memcpy(address.sun_path, unix_path, sizeof(unix_path));
	ok(bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0 && listen(fd, 10) == 0, "a unix socket listens");
}

static void
test_any_kernel(const char *tcp)
{
	expect(tcp, write_data, ENOSYS, "writing a file");
	expect(tcp, make_file, ENOSYS, "making a file");
	expect(tcp, write_tmp, ENOSYS, "making one in /tmp");
	expect(tcp, grow_file, EFBIG, "writing to a file from before");
	expect(tcp, remove_file, ENOSYS, "removing a file");
	expect(tcp, make_link, ENOSYS, "making a link");
	expect(tcp, change_mode, ENOSYS, "changing a file's mode");
	expect(tcp, make_memory_file, ENOSYS, "making a file in memory");
	expect(tcp, use_ring, ENOSYS, "a ring of system calls");
	expect(tcp, be_dumpable, ENOSYS, "becoming dumpable");
	expect(tcp, take_identity, ENOSYS, "taking an identity");
	expect(tcp, more_files, ENOSYS, "raising a limit");
	expect(tcp, signal_parent, ENOSYS, "a signal to another process");
	expect(tcp, make_thread, ENOSYS, "a thread");
	expect(tcp, run_program, KILLED, "executing a program");
	expect(tcp, make_process, KILLED, "making a process");
	expect(tcp, make_namespace, KILLED, "making a namespace");
	expect(tcp, debug_parent, KILLED, "debugging another process");
	expect(tcp, packet_socket, ENOSYS, "a packet socket");
	expect(tcp, unix_socket, ENOSYS, "a unix socket, where the database is reached by TCP,");
	expect(tcp, udp_socket, ENOSYS, "a UDP socket");
	expect(tcp, mptcp_socket, ENOSYS, "an MPTCP socket");
	expect(tcp, netlink_socket, ENOSYS, "a netlink socket");
	expect(tcp, datagram_pair, ENOSYS, "a pair of datagram sockets");
	expect(tcp, listen_again, ENOSYS, "listening");
	expect(tcp, map_code, ENOSYS, "anonymous executable memory");
	expect(tcp, map_both, ENOSYS, "memory that is writable and executable");
	expect(tcp, make_executable, ENOSYS, "making memory executable");
	expect(tcp, map_data, 0, "memory for data");
	expect(tcp, read_library, 0, "opening the libraries' files");
	expect(tcp, stream_pair, 0, "a pair of streams");
	expect(tcp, accept_one, 0, "connecting to the database, and accepting");
	expect(tcp, signal_self, 0, "a signal to itself");
	expect(tcp, wait_and_draw, 0, "waiting, and random numbers");
}

static void
test_landlock(int abi, const char *tcp, const char *name, const char *path)
{
	if (abi < 1)
		return;
	expect(tcp, read_data, EACCES, "reading the data directory");
	expect(tcp, read_passwd, EACCES, "reading /etc/passwd");
	expect(tcp, read_proc, EACCES, "reading the environment");
	expect(name, read_data, EACCES, "reading the data directory, where names are looked up,");
	if (abi < 4)
		return;
	expect(tcp, reach_other, EACCES, "connecting to another port");
	expect(path, reach_database, EACCES, "connecting by TCP, where the database is reached by another port,");
}

int
main(void)
{
	char folder[] = "/tmp/rt-confine-XXXXXX";
	char tcp[120];
	char path[120];
	int abi = (int) syscall(444, NULL, 0, 1); /* landlock_create_ruleset: the ABI's number */

#if defined(__SANITIZE_ADDRESS__)
	printf("1..0 # skip a sanitized program is not confined\n");
	return 0;
#endif
	rt_log_set_level(RT_LOG_ERROR);
	ok(mkdtemp(folder) != NULL && chdir(folder) == 0, "a folder");
	open_file = open("secret", O_RDWR | O_CREAT, 0644);
	open_listener = listen_on(&database_port);
	ok(open_file >= 0 && open_listener >= 0 && listen_on(&other_port) >= 0, "a file and two listeners");
	listen_on_unix(folder);
	snprintf(tcp, sizeof(tcp), "host=127.0.0.1 port=%d user=x password=y sslmode=allow", database_port);
	snprintf(path, sizeof(path), "host=%s user=x password=y", folder);
	test_any_kernel(tcp);
	test_landlock(abi, tcp, "host=localhost port=1", path);
	expect(path, reach_unix, 0, "connecting to a unix socket, where the database is reached by one");
	expect("host=localhost port=1", look_up, 0, "looking up a name, where the database has one");
	expect("service=none", reach_other, 0, "connecting anywhere, where it cannot be told whereto");
	unlink("secret");
	unlink("socket");
	ok(rmdir(folder) == 0, "nothing was made in the folder");
	return tap_done();
}
