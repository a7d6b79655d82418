/* slowdisk.c: preloaded into a server, makes each flush longer by RT_BENCH_FLUSH_US microseconds, as a slower disk
 * would. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static int (*flush)(int fd);
static struct timespec longer;

__attribute__((constructor)) static void
set_up(void)
{
	const char *us = getenv("RT_BENCH_FLUSH_US");

	longer.tv_nsec = us != NULL ? atol(us) % 1000000 * 1000 : 0;
	flush = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
}

int
fdatasync(int fd)
{
	/* By default the kernel wakes a sleeper up to 50 us late. */
	(void) prctl(PR_SET_TIMERSLACK, 1000UL);
	(void) nanosleep(&longer, NULL);
	return flush(fd);
}
