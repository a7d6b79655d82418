/* pace.c: see pace.h.
 *
 * A batch costs much the same however few events it has, to the relay and to each connection that listens.  So where
 * processors are scarce, events gather: after a batch of two for as long as it took to write, after a larger one for
 * GATHER_MOST_US, since then several sessions write at once and each batch that is saved lets them write faster.
 * Where a processor is idle nothing is gained by that: the event that is there goes out at once, and only what comes
 * meanwhile waits for it.
 *
 * Whether they are scarce the kernel says: how long this process was ready to run and had to wait for a processor
 * (/proc/self/schedstat, the second number, in nanoseconds).  Without it they count as scarce.
 *
 * rt.batch_interval is a shortest time between the beginnings of two batches, whatever the processors do: each batch
 * wakes every connection that listens, which costs each of them 15 to 20 us.
 *
 * Runs in the relay; neither raises nor allocates but in rt_pace_new(). */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "portability/instr_time.h"
#include "utils/memutils.h"

#include "extension/config/setting_values.h"

#include "pace.h"

#define GATHER_MOST_US 2000

/* What counts as larger.  With 8, eight writers on two processors made batches of four and wrote an eighth less. */
#define MANY_EVENTS 3

/* Waits below this are those of any wake-up. */
#define QUEUED_PERCENT 10

struct rt_pace
{
	int stat_fd; /* -1: there is none */
	instr_time began;
	uint64 queued_ns; /* as the batch began */
	uint64 took_us;   /* the last batch */
	bool scarce;
};

struct rt_pace *
rt_pace_new(MemoryContext parent)
{
	struct rt_pace *p = MemoryContextAllocZero(parent, sizeof(*p));

	p->stat_fd = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
	return p;
}

/* How long the process has waited for a processor so far; 0: not known. */
static uint64
queued_ns(const struct rt_pace *p)
{
	char text[128];
	ssize_t n = p->stat_fd < 0 ? -1 : pread(p->stat_fd, text, sizeof(text) - 1, 0);
	char *second;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	second = strchr(text, ' ');
	return second != NULL ? strtoull(second, NULL, 10) : 0;
}

void
rt_pace_begin(struct rt_pace *p)
{
	INSTR_TIME_SET_CURRENT(p->began);
}

/* The time in the queue counts from the end of the last batch: that is where a wake-up waits. */
void
rt_pace_end(struct rt_pace *p)
{
	uint64 queued = queued_ns(p);
	instr_time took;

	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, p->began);
	p->took_us = INSTR_TIME_GET_MICROSEC(took);
	p->scarce = queued == 0 || (queued - p->queued_ns) / 1000 * 100 > p->took_us * QUEUED_PERCENT;
	p->queued_ns = queued;
}

/* A lone event is worth no waiting. */
static uint64
gather_if_scarce_us(const struct rt_pace *p, int events)
{
	if (!p->scarce || events < 2)
		return 0;
	return events < MANY_EVENTS ? Min(p->took_us, GATHER_MOST_US) : GATHER_MOST_US;
}

uint64
rt_pace_gather_us(const struct rt_pace *p, int events)
{
	uint64 interval_us = (uint64) rt_batch_interval_ms * 1000;
	uint64 rest_us = p->took_us < interval_us ? interval_us - p->took_us : 0;

	return Max(rest_us, gather_if_scarce_us(p, events));
}
