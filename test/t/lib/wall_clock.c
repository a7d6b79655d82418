/* wall_clock.c: preloaded into a server by a test, it moves the time of day by the seconds in the file $WALL_CLOCK.
 * What the monotonic clock says stays true. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_s;

__attribute__((constructor)) static void
map_offset(void)
{
	const char *path = getenv("WALL_CLOCK");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*offset_s), PROT_READ, MAP_SHARED, fd, 0);

	if (map != MAP_FAILED)
		offset_s = map;
	if (fd >= 0)
		close(fd);
}

static int64_t
offset(void)
{
	return offset_s == NULL ? 0 : *offset_s;
}

int
clock_gettime(clockid_t clock, struct timespec *t)
{
	int rc = (int) syscall(SYS_clock_gettime, clock, t);

	if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		t->tv_sec += offset();
	return rc;
}

int
gettimeofday(struct timeval *t, void *zone)
{
	int rc = (int) syscall(SYS_gettimeofday, t, zone);

	t->tv_sec += offset();
	return rc;
}

time_t
time(time_t *result)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (result != NULL)
		*result = t.tv_sec;
	return t.tv_sec;
}
