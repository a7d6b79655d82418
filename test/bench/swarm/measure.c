/* measure.c: see measure.h */
#include "measure.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <err.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX 65536

uint64_t
measure_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
}

/* ---- CPU ------------------------------------------------------------------------------- */

struct ticks
{
	pid_t parent;
	bool gateway;
	double own, children; /* children: those that have ended and were waited for */
};

/* proc(5): the second field is in parentheses and may contain anything, the rest are numbers. */
static bool
read_ticks(pid_t pid, struct ticks *t)
{
	char path[64], line[1024];
	const char *rest;
	unsigned long u = 0, s = 0, cu = 0, cs = 0;
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	rest = fgets(line, sizeof(line), f) == NULL ? NULL : strrchr(line, ')');
	t->gateway = rest != NULL && strstr(line, "(rt_gateway)") != NULL;
	ok = rest != NULL && sscanf(rest + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu", &t->parent,
								&u, &s, &cu, &cs) == 5;
	fclose(f);
	t->own = (double) (u + s);
	t->children = (double) (cu + cs);
	return ok;
}

/* The server and its children; its grandchildren are the programs. */
static double
postgres_ticks(pid_t postmaster, pid_t *gateway)
{
	struct ticks t, parent;
	double sum = 0;
	DIR *proc = opendir("/proc");
	const struct dirent *e;

	*gateway = 0;
	if (proc == NULL || !read_ticks(postmaster, &t))
		errx(1, "no server with pid %d", (int) postmaster);
	sum = t.own + t.children;
	while ((e = readdir(proc)) != NULL)
	{
		pid_t pid = (pid_t) atoi(e->d_name);

		if (pid <= 0 || !read_ticks(pid, &t))
			continue;
		if (t.parent == postmaster)
			sum += t.own;
		else if (t.gateway && read_ticks(t.parent, &parent) && parent.parent == postmaster)
			*gateway = pid;
	}
	closedir(proc);
	return sum;
}

pid_t
measure_gateway(const struct measure *m)
{
	pid_t gateway;

	postgres_ticks(m->postmaster, &gateway);
	return gateway;
}

static void
read_cpu(const struct measure *m, struct measure_reading *r)
{
	double a_second = (double) sysconf(_SC_CLK_TCK);
	struct ticks t;
	pid_t gateway;

	r->postgres_s = postgres_ticks(m->postmaster, &gateway) / a_second;
	if (gateway == 0 || !read_ticks(gateway, &t))
		errx(1, "the gateway does not run");
	r->gateway_s = t.own / a_second;
}

double
measure_postgres_s(const struct measure *m)
{
	pid_t gateway;

	return postgres_ticks(m->postmaster, &gateway) / (double) sysconf(_SC_CLK_TCK);
}

double
measure_cpu_s(pid_t pid)
{
	char path[300];
	const struct dirent *e;
	double sum_ns = 0, ns;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int) pid);
	tasks = opendir(path);
	if (tasks == NULL)
		errx(1, "no process with pid %d", (int) pid);
	while ((e = readdir(tasks)) != NULL)
	{
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int) pid, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (f == NULL)
			continue;
		if (fscanf(f, "%lf", &ns) == 1)
			sum_ns += ns;
		fclose(f);
	}
	closedir(tasks);
	return sum_ns / 1e9;
}

double
measure_resident_bytes(pid_t pid)
{
	char path[64];
	double pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int) pid);
	f = fopen(path, "r");
	if (f == NULL || fscanf(f, "%*f %lf", &pages) != 1)
		errx(1, "no process with pid %d", (int) pid);
	fclose(f);
	return pages * (double) sysconf(_SC_PAGESIZE);
}

/* ---- the gateway's counters ------------------------------------------------------------- */

/* The whole answer, "" if there is none. */
static char *
fetch(int port, const char *path)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
	char *text = calloc(1, ANSWER_MAX);
	size_t len = 0;
	ssize_t n;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (text == NULL || fd < 0)
		err(1, "%s", path);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *) &to, sizeof(to)) == 0 &&
		dprintf(fd, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", path) > 0)
	{
		while (len < ANSWER_MAX - 1 && (n = read(fd, text + len, ANSWER_MAX - 1 - len)) > 0)
			len += (size_t) n;
	}
	close(fd);
	return text;
}

bool
measure_is_ready(const struct measure *m)
{
	char *text = fetch(m->port, "/readyz");
	bool ready = strncmp(text, "HTTP/1.1 200", 12) == 0;

	free(text);
	return ready;
}

/* Of all its series together. */
static double
metric(const char *text, const char *name)
{
	char line[100];
	const char *at = text;
	double sum = 0;
	int len = snprintf(line, sizeof(line), "\n%s{", name);

	if (strstr(text, line) == NULL)
		errx(1, "/metrics has no %s", name);
	while ((at = strstr(at, line)) != NULL && (at = strchr(at + len, ' ')) != NULL)
		sum += strtod(at, NULL);
	return sum;
}

void
measure_read(const struct measure *m, struct measure_reading *r)
{
	char *text = fetch(m->port, "/metrics");

	r->frames = metric(text, "rt_gateway_frames_out_total");
	r->writes = metric(text, "rt_gateway_writes_out_total");
	r->bytes = metric(text, "rt_gateway_bytes_out_total");
	r->db_calls = metric(text, "rt_gateway_db_call_duration_seconds_count");
	r->replay_pages = metric(text, "rt_gateway_replay_pages_total");
	r->cut_off = metric(text, "rt_gateway_cut_off_total");
	free(text);
	read_cpu(m, r);
}

void
measure_print(const char *name, const struct measure_reading *a, const struct measure_reading *b)
{
	printf("%s_gateway_s=%.2f\n%s_postgres_s=%.2f\n", name, b->gateway_s - a->gateway_s, name,
		   b->postgres_s - a->postgres_s);
	printf("%s_frames=%.0f\n%s_writes=%.0f\n%s_bytes=%.0f\n", name, b->frames - a->frames, name,
		   b->writes - a->writes, name, b->bytes - a->bytes);
	printf("%s_db_calls=%.0f\n%s_replay_pages=%.0f\n%s_cut_off=%.0f\n", name, b->db_calls - a->db_calls, name,
		   b->replay_pages - a->replay_pages, name, b->cut_off - a->cut_off);
}

/* ---- quantiles -------------------------------------------------------------------------- */

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return x < y ? -1 : x > y;
}

double
measure_quantile(double *values, size_t n, double q)
{
	size_t at = (size_t) (q * (double) n);

	if (n == 0)
		return 0;
	qsort(values, n, sizeof(values[0]), by_value);
	return values[at < n ? at : n - 1];
}
