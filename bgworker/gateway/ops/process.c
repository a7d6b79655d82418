/* process.c: see process.h.  Reads /proc and getrusage() when somebody asks.  It keeps its descriptor open, because a
 * confined program opens none. */
#include "process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/metric.h"

struct rt_process
{
	int statm_fd; /* -1: there is no /proc */
	double started;
};

struct rt_process *
rt_process_new(void)
{
	struct rt_process *p = rt_alloc(sizeof(*p));

	p->started = (double) rt_clock_of_day_us() / 1e6;
	p->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	return p;
}

void
rt_process_free(struct rt_process *p)
{
	if (p == NULL)
		return;
	if (p->statm_fd >= 0)
		close(p->statm_fd);
	free(p);
}

static double
cpu_seconds(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) != 0)
		return 0;
	return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		   (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static uint64_t
resident_bytes(const struct rt_process *p)
{
	char text[128];
	ssize_t n = p->statm_fd < 0 ? -1 : pread(p->statm_fd, text, sizeof(text) - 1, 0);
	unsigned long long size, resident;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return sscanf(text, "%llu %llu", &size, &resident) == 2 ? resident * (uint64_t) sysconf(_SC_PAGESIZE) : 0;
}

void
rt_process_write(const struct rt_process *p, struct rt_text *out, const char *labels)
{
	uint64_t resident = resident_bytes(p);
	struct rlimit files = {0, 0};
	uint64_t max_fds;
	const struct rt_metric metrics[] = {
		{"process_resident_memory_bytes", "Resident memory of the process.", RT_GAUGE, &resident},
		{"process_max_fds", "Maximum number of open file descriptors.", RT_GAUGE, &max_fds},
	};

	getrlimit(RLIMIT_NOFILE, &files);
	max_fds = (uint64_t) files.rlim_cur;
	rt_metric_write_head(out, "process_cpu_seconds_total", "CPU time of the process.", "counter");
	rt_metric_write_double(out, "process_cpu_seconds_total", labels, cpu_seconds());
	rt_metric_write_head(out, "process_start_time_seconds", "When the process started, in seconds since 1970.",
						 "gauge");
	rt_metric_write_double(out, "process_start_time_seconds", labels, p->started);
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		rt_metric_write(out, &metrics[i], labels);
}
