/* bus.h: the events of the database, each once, in the order of their positions.
 *
 * Notifications are hints: after a gap, an event that was too long for one, or a new LISTEN, the event log is
 * read up to where the notifications go on. */
#ifndef RT_BUS_H
#define RT_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct rt_bus;
struct rt_db;
struct rt_loop;
struct rt_notice;

struct rt_bus_stats
{
	uint64_t events;      /* dispatched */
	uint64_t pages;       /* of the event log, read */
	uint64_t catch_ups;   /* times that it fell out of live */
	uint64_t bad_notices; /* not of the relay's form */
	uint64_t resets;      /* times that the log could not give what was missed */
};

struct rt_bus_user
{
	void (*on_event)(void *arg, const struct rt_notice *n);
	void (*on_started)(void *arg); /* the position is known; once */
	/* Events are lost, or some that were dispatched never happened at the server that has taken over: whoever listens
	 * must start afresh, at rt_bus_pos(). */
	void (*on_reset)(void *arg);
	void *arg;
};

struct rt_bus *rt_bus_new(struct rt_loop *l, struct rt_db *db, const struct rt_bus_user *user);
void rt_bus_free(struct rt_bus *b); /* NULL is fine; the database's callbacks must have ended */

bool rt_bus_started(const struct rt_bus *b);
/* Notifications arrive, or are known not to; neither until the first echo is back, or missing. */
bool rt_bus_hears(const struct rt_bus *b);
bool rt_bus_is_deaf(const struct rt_bus *b);
bool rt_bus_live(const struct rt_bus *b);
void rt_bus_look(struct rt_bus *b); /* the log has more than was dispatched: it is read, if it is not already */
uint64_t rt_bus_pos(const struct rt_bus *b); /* of the last event that was dispatched */
const struct rt_bus_stats *rt_bus_stats(const struct rt_bus *b);

#endif
