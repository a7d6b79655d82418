/* meter.c: see meter.h.  control.c reads it with each heartbeat; ops.c asks it.
 *
 * A worker is one thread, so its CPU time by the wall's is the part of its core that it uses.  Near all of it every
 * packet waits, in all of its meetings, and whoever comes then has to go elsewhere. */
#include "meter.h"

#include <time.h>

#define COUNTS 0.5 /* below that only objects count: CPU says little of what is to come */
#define SHORTEST_US 100000
#define OVERLOAD 1.2 /* times rt.media_max_packets */
#define MOST 20      /* times the capacity: sound of many who are silent costs memory only, 50 kB a receiver */

static uint64_t
read_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

void
rt_meter_read(struct rt_meter *m, uint64_t packets)
{
	uint64_t cpu_us = read_us(CLOCK_PROCESS_CPUTIME_ID), wall_us = read_us(CLOCK_MONOTONIC);
	uint64_t took_us = wall_us - m->wall_us;

	if (m->wall_us && took_us < SHORTEST_US)
		return;
	if (m->wall_us)
	{
		m->cpu += ((double) (cpu_us - m->cpu_us) / (double) took_us - m->cpu) / 2;
		m->packets_per_s = (packets - m->packets) * 1000000 / took_us;
	}
	m->cpu_us = cpu_us;
	m->wall_us = wall_us;
	m->packets = packets;
}

double
rt_meter_used(struct rt_meter *m, uint64_t packets)
{
	uint64_t cpu_us = read_us(CLOCK_PROCESS_CPUTIME_ID), wall_us = read_us(CLOCK_MONOTONIC);
	double took_us = (double) (wall_us - m->used_wall_us), cpu = 0, sent = 0;

	if (m->used_wall_us && m->max_cpu > 0)
		cpu = (double) (cpu_us - m->used_cpu_us) / took_us / ((1 + m->max_cpu) / 2);
	if (m->used_wall_us && m->max_packets_per_s)
		sent = (double) (packets - m->used_packets) * 1e6 / took_us / ((double) m->max_packets_per_s * OVERLOAD);
	m->used_cpu_us = cpu_us;
	m->used_wall_us = wall_us;
	m->used_packets = packets;
	return cpu > sent ? cpu : sent;
}

size_t
rt_meter_load(const struct rt_meter *m, size_t objects)
{
	double busy = m->cpu < COUNTS || m->max_cpu <= 0 ? 0 : m->cpu / m->max_cpu;
	double sent = m->max_packets_per_s ? (double) m->packets_per_s / (double) m->max_packets_per_s : 0;
	double used = (double) m->capacity * (busy > sent ? busy : sent);

	if (used > MOST * (double) m->capacity)
		used = MOST * (double) m->capacity;
	return used > (double) objects ? (size_t) used : objects;
}

const char *
rt_meter_fault(const struct rt_meter *m, size_t objects)
{
	if (objects >= MOST * m->capacity)
		return "The media worker cannot carry more streams";
	if (m->max_cpu > 0 && m->cpu >= m->max_cpu)
		return "The media worker cannot carry more: its CPU is at rt.media_max_cpu";
	if (m->max_packets_per_s && m->packets_per_s >= m->max_packets_per_s)
		return "The media worker cannot carry more: its packets per second are at rt.media_max_packets";
	return NULL;
}
