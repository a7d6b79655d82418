/* pending.c: keeps the events of an open transaction; see pending.h.  When they go to the ring is event.c's.
 *
 * Invariants: marks rise in level and in start; what lies behind a mark's start was emitted at its level or
 * deeper.  The last mark's level is at most that of the open subtransaction.  len <= limit; data has whole events
 * up to len.
 *
 * Above collapse_at bytes the messages become ranges of numbers, once for the transaction, and stay so.  At limit
 * bytes nothing more is kept: the transaction is `overflowed`, and is left out of the ring as a whole, unless the
 * subtransaction that overflowed aborts.
 *
 * Runs in the backend that writes, without a lock.  Memory is the context that rt_pending_new() found, and goes
 * with it.  Adding and sorting may raise; rt_pending_subcommit() and rt_pending_subabort() neither allocate nor
 * raise. */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "pending.h"

#define FIRST_BYTES 1024
#define FIRST_MARKS 8

struct mark
{
	int level;
	Size start;
	bool overflowed; /* as it was before */
};

/* Where a room's latest range lies.  Stands only while nothing has been cut off since: `cuts` tells. */
struct open_range
{
	int64 room_id; /* key */
	Size offset;
	uint64 cuts;
};

struct rt_pending
{
	MemoryContext context;
	Size collapse_at;
	Size limit;
	char *data;
	Size len;
	Size size;
	struct mark *marks;
	int nmarks;
	int max_marks;
	bool overflowed;
	HTAB *ranges; /* NULL: messages are kept whole */
	uint64 cuts;
};

static struct rt_ring_event *
event_at(const struct rt_pending *p, Size offset)
{
	return (struct rt_ring_event *) (p->data + offset);
}

struct rt_pending *
rt_pending_new(Size collapse_at, Size limit)
{
	struct rt_pending *p = palloc0(sizeof(*p));

	p->context = CurrentMemoryContext;
	p->collapse_at = collapse_at;
	p->limit = limit;
	p->size = FIRST_BYTES;
	p->data = palloc(FIRST_BYTES);
	p->max_marks = FIRST_MARKS;
	p->marks = palloc(FIRST_MARKS * sizeof(struct mark));
	return p;
}

static void
reserve_bytes(struct rt_pending *p, Size more)
{
	Size size = p->size;

	while (size - p->len < more)
		size *= 2;
	if (size == p->size)
		return;
	p->data = repalloc_huge(p->data, size);
	p->size = size;
}

static void
ensure_mark(struct rt_pending *p, int level)
{
	struct mark *mark;

	if (level <= 1 || (p->nmarks > 0 && p->marks[p->nmarks - 1].level >= level))
		return;
	if (p->nmarks == p->max_marks)
	{
		p->marks = repalloc_huge(p->marks, 2 * p->max_marks * sizeof(struct mark));
		p->max_marks *= 2;
	}
	mark = &p->marks[p->nmarks++];
	mark->level = level;
	mark->start = p->len;
	mark->overflowed = p->overflowed;
}

static Size
last_start(const struct rt_pending *p)
{
	return p->nmarks > 0 ? p->marks[p->nmarks - 1].start : 0;
}

static char *
put_text(char *to, const char *text, Size len)
{
	if (len > 0)
		memcpy(to, text, len);
	to[len] = '\0';
	return to + len + 1;
}

static void
append_event(struct rt_pending *p, const struct rt_ring_event *head, const char *name, const char *route,
			 const char *payload)
{
	Size header = MAXALIGN(sizeof(*head));
	Size len = MAXALIGN(header + head->name_len + head->route_len + head->payload_len + 3);
	struct rt_ring_event *event;
	char *end;

	if (p->overflowed || len > p->limit - p->len)
	{
		p->overflowed = true;
		return;
	}
	reserve_bytes(p, len);
	event = event_at(p, p->len);
	*event = *head;
	event->len = len;
	end = put_text((char *) event + header, name, head->name_len);
	end = put_text(end, route, head->route_len);
	end = put_text(end, payload, head->payload_len);
	memset(end, 0, (char *) event + len - end);
	p->len += len;
}

/* Makes the message part of the room's open range, or a range of its own. */
static void
append_to_range(struct rt_pending *p, const struct rt_ring_event *head)
{
	struct open_range *range;
	struct rt_ring_event *event;
	struct rt_ring_event single = {0};
	bool found;

	range = hash_search(p->ranges, &head->room_id, HASH_ENTER, &found);
	if (found && range->cuts == p->cuts && range->offset >= last_start(p))
	{
		event = event_at(p, range->offset);
		if (event->seq_to + 1 == head->seq)
		{
			event->seq_to = head->seq_to;
			return;
		}
	}
	range->offset = p->len;
	range->cuts = p->cuts;
	single.flags = RT_EVENT_LOGGED | RT_EVENT_MESSAGE | RT_EVENT_RANGE;
	single.room_id = head->room_id;
	single.seq = head->seq;
	single.seq_to = head->seq_to;
	append_event(p, &single, NULL, NULL, NULL);
}

static HTAB *
make_ranges(MemoryContext context)
{
	HASHCTL ctl = {0};

	ctl.keysize = sizeof(int64);
	ctl.entrysize = sizeof(struct open_range);
	ctl.hcxt = context;
	return hash_create("rt message ranges", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Turns all messages into ranges, in place: an event never becomes longer. */
static void
collapse(struct rt_pending *p)
{
	Size end = p->len;
	Size from = 0;
	int nmarks = p->nmarks;
	int next_mark = 0;

	p->ranges = make_ranges(p->context);
	p->len = 0;
	p->nmarks = 0;
	while (from < end)
	{
		struct rt_ring_event *event = event_at(p, from);
		struct rt_ring_event head = *event;

		for (; next_mark < nmarks && p->marks[next_mark].start == from; next_mark++)
		{
			p->marks[next_mark].start = p->len;
			p->nmarks++;
		}
		if (head.flags & RT_EVENT_MESSAGE)
			append_to_range(p, &head);
		else
		{
			memmove(p->data + p->len, event, head.len);
			p->len += head.len;
		}
		from += head.len;
	}
	p->nmarks = nmarks;
}

void
rt_pending_add(struct rt_pending *p, const struct rt_ring_event *head, const char *name, const char *route,
			   const char *payload, int level)
{
	MemoryContext before = MemoryContextSwitchTo(p->context);

	ensure_mark(p, level);
	if (p->ranges != NULL && (head->flags & RT_EVENT_MESSAGE))
		append_to_range(p, head);
	else
		append_event(p, head, name, route, payload);
	if (p->ranges == NULL && p->len > p->collapse_at)
		collapse(p);
	MemoryContextSwitchTo(before);
}

/* The parent takes over the mark, unless it has one already, which starts no later; level 1 needs none, since its
 * abort forgets everything. */
void
rt_pending_subcommit(struct rt_pending *p, int level)
{
	struct mark *mark = p->nmarks > 0 ? &p->marks[p->nmarks - 1] : NULL;

	if (mark == NULL || mark->level < level)
		return;
	if (level - 1 <= 1 || (p->nmarks > 1 && mark[-1].level == level - 1))
		p->nmarks--;
	else
		mark->level = level - 1;
}

void
rt_pending_subabort(struct rt_pending *p, int level)
{
	while (p->nmarks > 0 && p->marks[p->nmarks - 1].level >= level)
	{
		struct mark *mark = &p->marks[--p->nmarks];

		p->len = mark->start;
		p->overflowed = mark->overflowed;
		p->cuts++;
	}
}

/* A message's event, and its place among all events. */
struct slot
{
	int64 room_id;
	int64 seq;
	Size place;
	const struct rt_ring_event *event;
};

static int
by_place(const void *a, const void *b)
{
	const struct slot *x = a;
	const struct slot *y = b;

	if (x->room_id != y->room_id)
		return x->room_id < y->room_id ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

static int
by_seq(const void *a, const void *b)
{
	const struct slot *x = a;
	const struct slot *y = b;

	if (x->room_id != y->room_id)
		return x->room_id < y->room_id ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static Size
count_events(const struct rt_pending *p)
{
	Size n = 0;

	for (Size at = 0; at < p->len; at += event_at(p, at)->len)
		n++;
	return n;
}

/* Each message goes to a place that a message of its room had, so the places of other events stay.  The last step
 * of all: it leaves the marks as they were, and nothing may be added or cut off afterwards. */
void
rt_pending_sort(struct rt_pending *p)
{
	Size n = count_events(p);
	Size nslots = 0;
	Size place = 0;
	const struct rt_ring_event **order;
	struct slot *by_room;
	struct slot *sorted;
	char *data;
	Size len = 0;

	if (n < 2)
		return;
	order = MemoryContextAllocHuge(p->context, n * sizeof(*order));
	by_room = MemoryContextAllocHuge(p->context, n * sizeof(*by_room));
	sorted = MemoryContextAllocHuge(p->context, n * sizeof(*sorted));
	data = MemoryContextAllocHuge(p->context, p->size);
	for (Size at = 0; at < p->len; at += event_at(p, at)->len, place++)
	{
		const struct rt_ring_event *event = event_at(p, at);

		order[place] = event;
		if (event->flags & RT_EVENT_MESSAGE)
			by_room[nslots++] = (struct slot){event->room_id, event->seq, place, event};
	}
	memcpy(sorted, by_room, nslots * sizeof(*sorted));
	qsort(by_room, nslots, sizeof(*by_room), by_place);
	qsort(sorted, nslots, sizeof(*sorted), by_seq);
	for (Size i = 0; i < nslots; i++)
		order[by_room[i].place] = sorted[i].event;
	for (Size i = 0; i < n; i++)
	{
		memcpy(data + len, order[i], order[i]->len);
		len += order[i]->len;
	}
	p->data = data;
}

bool
rt_pending_overflowed(const struct rt_pending *p)
{
	return p->overflowed;
}

const char *
rt_pending_body(const struct rt_pending *p, Size *len)
{
	*len = p->len;
	return p->data;
}
