/* measure.h: time, CPU and the gateway's own counters. */
#ifndef SWARM_MEASURE_H
#define SWARM_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

uint64_t measure_now_ns(void); /* monotonic */

/* What is measured: a server with one gateway, which tells its counters at a port. */
struct measure
{
	int port;
	pid_t postmaster;
};

pid_t measure_gateway(const struct measure *m); /* 0: it does not run */
bool measure_is_ready(const struct measure *m); /* it answers /readyz with 200 */

/* A reading; the difference of two is what something cost. */
struct measure_reading
{
	double gateway_s, postgres_s;
	double frames, writes, bytes, db_calls, replay_pages, cut_off;
};

/* Blocks for a moment. */
void measure_read(const struct measure *m, struct measure_reading *r);

/* Prints NAME_gateway_s=… and so on: later minus earlier. */
void measure_print(const char *name, const struct measure_reading *earlier, const struct measure_reading *later);

/* CPU time of all threads of a process that live now, in seconds (proc(5): schedstat counts nanoseconds). */
double measure_cpu_s(pid_t pid);
double measure_postgres_s(const struct measure *m); /* of the server's processes, those that ended included */
double measure_resident_bytes(pid_t pid);

/* Sorts the values. */
double measure_quantile(double *values, size_t n, double q);

#endif
