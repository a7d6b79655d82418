/* power_cut.c: preloaded into a server, keeps beside each segment of the WAL what of it has been flushed, in folder
 * RT_POWER_CUT, so that a test can take away the rest as a power cut would.  While a file "gate" is there, no flush
 * of the WAL begins.
 *
 * The server writes and flushes its WAL under one lock, so nothing here is done by two processes at a time.  What is
 * written to data files needs no such care: its WAL was flushed before. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SEGMENTS 256
#define NAME_LEN 24

/* Of one segment: what was written since the last flush. */
struct dirty
{
	char name[NAME_LEN + 1];
	off_t from;
	off_t to;
};

static ssize_t (*real_pwrite)(int fd, const void *data, size_t len, off_t at);
static ssize_t (*real_pwritev)(int fd, const struct iovec *iov, int n, off_t at);
static int (*real_fdatasync)(int fd);
static const char *folder;
static struct dirty *segments; /* shared by all processes */

__attribute__((constructor)) static void
set_up(void)
{
	char path[PATH_MAX];
	int fd;

	real_pwrite = (ssize_t(*)(int, const void *, size_t, off_t)) dlsym(RTLD_NEXT, "pwrite");
	real_pwritev = (ssize_t(*)(int, const struct iovec *, int, off_t)) dlsym(RTLD_NEXT, "pwritev");
	real_fdatasync = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
	if (getenv("RT_POWER_CUT") == NULL)
		return;
	/* The server writes its title over its environment. */
	folder = strdup(getenv("RT_POWER_CUT"));
	snprintf(path, sizeof(path), "%s/state", folder);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, SEGMENTS * sizeof(struct dirty)) != 0)
		return;
	segments = mmap(NULL, SEGMENTS * sizeof(struct dirty), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (segments == MAP_FAILED)
		segments = NULL;
	close(fd);
}

/* The name of the segment that fd is; NULL: it is none. */
static const char *
segment_name(int fd, char path[PATH_MAX])
{
	char link[64];
	const char *name;
	ssize_t len;

	if (segments == NULL)
		return NULL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, PATH_MAX - 1);
	if (len < 0)
		return NULL;
	path[len] = '\0';
	name = strrchr(path, '/');
	if (name == NULL || name - path < 6 || strncmp(name - 6, "pg_wal", 6) != 0)
		return NULL;
	name++;
	return strlen(name) == NAME_LEN && strspn(name, "0123456789ABCDEF") == NAME_LEN ? name : NULL;
}

static void
copy(int fd, const char *name, off_t from, off_t to)
{
	char path[PATH_MAX];
	char page[65536];
	int shadow;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	shadow = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	while (from < to)
	{
		size_t most = to - from < (off_t) sizeof(page) ? (size_t) (to - from) : sizeof(page);
		ssize_t n = pread(fd, page, most, from);

		if (shadow < 0 || n <= 0 || real_pwrite(shadow, page, n, from) != n)
		{
			perror(path);
			abort();
		}
		from += n;
	}
	close(shadow);
}

static struct dirty *
find_segment(const char *name)
{
	for (int i = 0; i < SEGMENTS; i++)
		if (segments[i].name[0] == '\0' || strcmp(segments[i].name, name) == 0)
			return &segments[i];
	abort();
}

static void
note_write(int fd, size_t len, off_t at)
{
	char path[PATH_MAX];
	const char *name = segment_name(fd, path);
	struct dirty *d;
	int reader;

	if (name == NULL)
		return;
	/* The server may have it open for writing alone. */
	d = find_segment(name);
	if (d->name[0] == '\0')
	{
		reader = open(path, O_RDONLY | O_CLOEXEC);
		copy(reader, name, 0, lseek(reader, 0, SEEK_END));
		close(reader);
		strcpy(d->name, name);
		d->from = d->to = 0;
	}
	if (d->from == d->to)
	{
		d->from = at;
		d->to = at + (off_t) len;
		return;
	}
	d->from = d->from < at ? d->from : at;
	d->to = d->to > at + (off_t) len ? d->to : at + (off_t) len;
}

ssize_t
pwrite(int fd, const void *data, size_t len, off_t at)
{
	note_write(fd, len, at);
	return real_pwrite(fd, data, len, at);
}

ssize_t
pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	note_write(fd, len, at);
	return real_pwritev(fd, iov, n, at);
}

static void
wait_at_gate(void)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	char gate[PATH_MAX];

	snprintf(gate, sizeof(gate), "%s/gate", folder);
	while (access(gate, F_OK) == 0)
		nanosleep(&nap, NULL);
}

int
fdatasync(int fd)
{
	char path[PATH_MAX];
	const char *name = segment_name(fd, path);
	struct dirty *d;
	int reader;

	if (name == NULL)
		return real_fdatasync(fd);
	wait_at_gate();
	d = find_segment(name);
	if (d->from < d->to)
	{
		reader = open(path, O_RDONLY | O_CLOEXEC);
		copy(reader, name, d->from, d->to);
		close(reader);
		d->from = d->to = 0;
	}
	return real_fdatasync(fd);
}
