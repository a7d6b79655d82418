/* gauges.h: figures that nobody counts: they are looked up when they are asked for. */
#ifndef RT_GAUGES_H
#define RT_GAUGES_H

#include <stdint.h>

struct rt_bus;
struct rt_db;
struct rt_drain;
struct rt_loop;
struct rt_meetings;
struct rt_ready;
struct rt_recent;
struct rt_rooms;
struct rt_signalling;
struct rt_users;

struct rt_gauges
{
	uint64_t users;
	uint64_t rooms;
	uint64_t meetings;
	uint64_t seats;
	uint64_t signals;
	uint64_t recent_bytes;
	uint64_t db_waiting;
	uint64_t db_calls;
	uint64_t position;
	uint64_t slow_turns;
	uint64_t ready;
	uint64_t draining;
};

/* Where they are looked up; all is lent, and must live as long. */
struct rt_gauges_uses
{
	const struct rt_loop *loop;
	const struct rt_db *db;
	const struct rt_bus *bus;
	const struct rt_users *users;
	const struct rt_rooms *rooms;
	const struct rt_meetings *meetings;
	const struct rt_signalling *signals;
	const struct rt_recent *recent;
	const struct rt_ready *ready;
	const struct rt_drain *drain;
};

void rt_gauges_take(struct rt_gauges *g, const struct rt_gauges_uses *uses);

#endif
