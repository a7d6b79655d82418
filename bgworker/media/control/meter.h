/* meter.h: how busy the worker is: objects, CPU and packets, and whether it can carry more. */
#ifndef RT_METER_H
#define RT_METER_H

#include <stddef.h>
#include <stdint.h>

struct rt_meter
{
	size_t capacity;                   /* producers and consumers that it serves well; more, if they cost little */
	double max_cpu;                    /* of one core, from which on it is full; 0: no limit */
	uint64_t max_packets_per_s;        /* the same */
	double cpu;                        /* of one core, over the last seconds: 0 to 1 */
	uint64_t packets_per_s;            /* that it sends, over the last second */
	uint64_t cpu_us, wall_us, packets; /* at the last reading */
	/* at the last call of rt_meter_used() */
	uint64_t used_cpu_us, used_wall_us, used_packets;
};

/* Once a second; packets: that went out since the start. */
void rt_meter_read(struct rt_meter *m, uint64_t packets);
/* A few times a second: the part of what it may use that it used since the last call, of CPU or of packets; 0: it has
 * no limits, or that is not known yet.  Beyond its limits it takes no more; it is overloaded, 1, halfway from
 * rt.media_max_cpu to a whole core, or with a fifth more packets than rt.media_max_packets. */
double rt_meter_used(struct rt_meter *m, uint64_t packets);
/* objects: producers and consumers of now.  What the database is told, as a part of the capacity: of objects, CPU and
 * packets the one of which most is used up. */
size_t rt_meter_load(const struct rt_meter *m, size_t objects);
/* Of what it has too much to take a producer or consumer more, for people; NULL: it takes more. */
const char *rt_meter_fault(const struct rt_meter *m, size_t objects);

#endif
