/* confine_syscalls.c: the filter of system calls, by libseccomp.
 *
 * An allow list: what serving and connecting to the database take.  A call that only an intruder makes (another
 * program, another process's memory, a namespace) ends the process, which the server log shows and the supervisor
 * mends.  Any other call that is not on the list is answered with ENOSYS, as if the kernel did not know it: a libc or
 * library newer than this list then takes its older way, instead of clients losing their connections.  The kernel's
 * audit log has what was refused. */
#include "confine_syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef CLONE_THREAD
#define CLONE_THREAD 0x00010000
#endif
#define SOCKET_TYPE 0xf /* without SOCK_NONBLOCK and SOCK_CLOEXEC */
#define ALL ((scmp_datum_t) -1)

#define DENY (SCMP_ACT_ERRNO(ENOSYS))
#define MASKED(arg, mask, value) SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, (scmp_datum_t) (mask), (scmp_datum_t) (value))
#define EQUAL(arg, value) SCMP_CMP(arg, SCMP_CMP_EQ, (scmp_datum_t) (value))

static const int allowed[] = {
	/* memory */
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
	/* descriptors; opening is looked at below */
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close),
	SCMP_SYS(lseek), SCMP_SYS(_llseek), SCMP_SYS(fstat), SCMP_SYS(fstat64), SCMP_SYS(fstatat64), SCMP_SYS(newfstatat),
	SCMP_SYS(stat), SCMP_SYS(stat64), SCMP_SYS(lstat), SCMP_SYS(lstat64), SCMP_SYS(statx), SCMP_SYS(access),
	SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents64),
	SCMP_SYS(getcwd), SCMP_SYS(fcntl), SCMP_SYS(fcntl64), SCMP_SYS(dup), SCMP_SYS(fadvise64),
	/* sockets; making them is looked at below */
	SCMP_SYS(connect), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(send), SCMP_SYS(sendto), SCMP_SYS(sendmsg),
	SCMP_SYS(sendmmsg), SCMP_SYS(recv), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg),
	SCMP_SYS(recvmmsg_time64), SCMP_SYS(shutdown),
	/* waiting and time */
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(poll),
	SCMP_SYS(ppoll), SCMP_SYS(ppoll_time64), SCMP_SYS(select), SCMP_SYS(_newselect), SCMP_SYS(pselect6),
	SCMP_SYS(pselect6_time64), SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64), SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_nanosleep_time64), SCMP_SYS(restart_syscall),
	/* signals of our own; sending one is looked at below */
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigpending),
	SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_sigtimedwait_time64), SCMP_SYS(sigreturn), SCMP_SYS(sigaltstack),
	/* the process */
	SCMP_SYS(futex), SCMP_SYS(futex_time64), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getuid),
	SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getuid32), SCMP_SYS(geteuid32),
	SCMP_SYS(getgid32), SCMP_SYS(getegid32), SCMP_SYS(getrandom), SCMP_SYS(uname), SCMP_SYS(sysinfo),
	SCMP_SYS(getrusage), SCMP_SYS(getrlimit), SCMP_SYS(ugetrlimit), SCMP_SYS(exit), SCMP_SYS(exit_group)};

static const int deadly[] = {SCMP_SYS(execve),
							 SCMP_SYS(execveat),
							 SCMP_SYS(fork),
							 SCMP_SYS(vfork),
							 SCMP_SYS(ptrace),
							 SCMP_SYS(process_vm_readv),
							 SCMP_SYS(process_vm_writev),
							 SCMP_SYS(mount),
							 SCMP_SYS(umount2),
							 SCMP_SYS(pivot_root),
							 SCMP_SYS(chroot),
							 SCMP_SYS(setns),
							 SCMP_SYS(unshare),
							 SCMP_SYS(bpf),
							 SCMP_SYS(init_module),
							 SCMP_SYS(finit_module),
							 SCMP_SYS(delete_module),
							 SCMP_SYS(kexec_load),
							 SCMP_SYS(kexec_file_load),
							 SCMP_SYS(open_by_handle_at)};

/* -EDOM: this architecture has no such call. */
static int
add(scmp_filter_ctx ctx, uint32_t action, int syscall, unsigned int n, const struct scmp_arg_cmp *args)
{
	int rc = seccomp_rule_add_array(ctx, action, syscall, n, args);

	return rc == -EDOM ? 0 : rc;
}

static int
add_list(scmp_filter_ctx ctx, uint32_t action, const int *syscalls, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = add(ctx, action, syscalls[i], 0, NULL);
	return rc;
}

#define ALLOW_IF(...) \
	do \
	{ \
		const struct scmp_arg_cmp args[] = {__VA_ARGS__}; \
\
		if (rc == 0) \
			rc = add(ctx, SCMP_ACT_ALLOW, call, sizeof(args) / sizeof(args[0]), args); \
	} while (0)

/* Only for reading, and what is there. */
static int
add_opening(scmp_filter_ctx ctx)
{
	const int writes = O_ACCMODE | O_CREAT | O_TRUNC;
	int call = SCMP_SYS(openat);
	int rc = 0;

	ALLOW_IF(MASKED(2, writes, O_RDONLY));
	call = SCMP_SYS(open);
	ALLOW_IF(MASKED(1, writes, O_RDONLY));
	return rc;
}

/* Memory is never writable and executable at once, nor made executable later; libraries are mapped from files. */
static int
add_memory(scmp_filter_ctx ctx)
{
	const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mmap2)};
	int call = SCMP_SYS(mprotect);
	int rc = 0;

	ALLOW_IF(MASKED(2, PROT_EXEC, 0));
	for (size_t i = 0; i < 2; i++)
	{
		call = calls[i];
		ALLOW_IF(MASKED(2, PROT_EXEC, 0));
		ALLOW_IF(MASKED(2, PROT_WRITE | PROT_EXEC, PROT_EXEC), MASKED(3, MAP_ANONYMOUS, 0));
	}
	return rc;
}

static int
add_stream(scmp_filter_ctx ctx, int family, int protocol)
{
	int call = SCMP_SYS(socket);
	int rc = 0;

	ALLOW_IF(EQUAL(0, family), MASKED(1, SOCKET_TYPE, SOCK_STREAM), EQUAL(2, protocol));
	return rc;
}

/* Asking a name server, and the kernel for our addresses, by which getaddrinfo() sorts. */
static int
add_lookup(scmp_filter_ctx ctx)
{
	int call = SCMP_SYS(socket);
	int rc = 0;

	for (int i = 0; i < 2; i++)
	{
		ALLOW_IF(EQUAL(0, i == 0 ? AF_INET : AF_INET6), MASKED(1, SOCKET_TYPE, SOCK_DGRAM), EQUAL(2, 0));
		ALLOW_IF(EQUAL(0, i == 0 ? AF_INET : AF_INET6), MASKED(1, SOCKET_TYPE, SOCK_DGRAM), EQUAL(2, IPPROTO_UDP));
	}
	ALLOW_IF(EQUAL(0, AF_NETLINK), MASKED(1, SOCKET_TYPE, SOCK_RAW), EQUAL(2, 0));
	return rc == 0 ? add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(bind), 0, NULL) : rc;
}

/* By protocol too: Landlock does not see MPTCP.  A pair of streams is connected, and cannot be connected elsewhere.
 */
static int
add_sockets(scmp_filter_ctx ctx, const struct rt_confine_needs *needs)
{
	int call = SCMP_SYS(socketpair);
	int rc = 0;

	ALLOW_IF(EQUAL(0, AF_UNIX), MASKED(1, SOCKET_TYPE, SOCK_STREAM));
	for (int i = 0; i < 2 && rc == 0; i++)
	{
		rc = add_stream(ctx, i == 0 ? AF_INET : AF_INET6, 0);
		if (rc == 0)
			rc = add_stream(ctx, i == 0 ? AF_INET : AF_INET6, IPPROTO_TCP);
	}
	if (rc == 0 && needs->unix_sockets)
		rc = add_stream(ctx, AF_UNIX, 0);
	return rc == 0 && needs->names ? add_lookup(ctx) : rc;
}

/* A process that is not a thread is deadly; which number the flags have is the architecture's own.  clone3() has them
 * in memory, where no filter looks, so it is unknown. */
static int
add_process(scmp_filter_ctx ctx)
{
#ifdef __s390__
	const unsigned int flags = 1;
#else
	const unsigned int flags = 0;
#endif
	const struct scmp_arg_cmp no_thread[] = {MASKED(flags, CLONE_THREAD, 0)};
	int call = SCMP_SYS(tgkill);
	int rc = 0;

	ALLOW_IF(EQUAL(0, getpid()));
	call = SCMP_SYS(prlimit64);
	ALLOW_IF(EQUAL(0, 0), EQUAL(2, 0));
	call = SCMP_SYS(ioctl);
	ALLOW_IF(EQUAL(1, FIONREAD));
	ALLOW_IF(EQUAL(1, FIONBIO));
	return rc == 0 ? add(ctx, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1, no_thread) : rc;
}

static int
fill(scmp_filter_ctx ctx, const struct rt_confine_needs *needs)
{
	int rc = add_list(ctx, SCMP_ACT_ALLOW, allowed, sizeof(allowed) / sizeof(allowed[0]));

	if (rc == 0)
		rc = add_list(ctx, SCMP_ACT_KILL_PROCESS, deadly, sizeof(deadly) / sizeof(deadly[0]));
	if (rc == 0)
		rc = add_opening(ctx);
	if (rc == 0)
		rc = add_memory(ctx);
	if (rc == 0)
		rc = add_sockets(ctx, needs);
	return rc == 0 ? add_process(ctx) : rc;
}

int
rt_confine_syscalls(const struct rt_confine_needs *needs)
{
	scmp_filter_ctx ctx = seccomp_init(DENY);
	int rc;

	if (ctx == NULL)
		return ENOMEM;
	rc = fill(ctx, needs);
	/* All threads, should a library have made one; what is refused goes to the kernel's audit log where that is on.
	 */
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (rc == 0)
		(void) seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	if (rc == 0)
		(void) seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc == 0 ? 0 : rc == -EINVAL ? ENOSYS : -rc;
}

/* Where the kernel has no filters the ring does no harm: there is none that it would pass by. */
void
rt_confine_syscalls_no_ring(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	if (ctx == NULL)
		return;
	if (seccomp_rule_add(ctx, DENY, SCMP_SYS(io_uring_setup), 0) == 0)
		(void) seccomp_load(ctx);
	seccomp_release(ctx);
}
