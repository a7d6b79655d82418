/* wheel.h: very many timeouts over one timer: heartbeats, connect timeouts, slow requests.
 *
 * A hashed wheel: an entry lies in the slot of its deadline; adding, moving and removing are O(1).  A deadline is
 * never met early, and late by a two-hundredth of its delay at most, so that many long ones share a wake-up.  Nobody
 * is woken for an empty slot. */
#ifndef RT_WHEEL_H
#define RT_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

struct rt_loop;
struct rt_wheel;
struct rt_wheel_entry;

typedef void (*rt_wheel_cb)(struct rt_wheel_entry *e);

/* Lies in the object that it concerns; all zero is one that is not set.  fn may be changed at any time. */
struct rt_wheel_entry
{
	struct rt_wheel_entry *next; /* NULL: not set */
	struct rt_wheel_entry *prev;
	uint64_t deadline_ms;
	rt_wheel_cb fn;
};

struct rt_wheel *rt_wheel_new(struct rt_loop *l);
void rt_wheel_free(struct rt_wheel *w); /* entries must have been removed; NULL is fine */

void rt_wheel_set(struct rt_wheel *w, struct rt_wheel_entry *e, uint64_t delay_ms); /* moves it if it was set */
void rt_wheel_unset(struct rt_wheel *w, struct rt_wheel_entry *e);                  /* fine if it is not set */
bool rt_wheel_is_set(const struct rt_wheel_entry *e);

#endif
