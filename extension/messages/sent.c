/* sent.c: see sent.h.  A trigger of the application's may send within what is being sent, so askers form a stack, and
 * each hears of its own room alone.
 *
 * Runs in the backend that writes; `innermost` is the process's.  Memory is the context of rt_sent_begin()'s caller.
 * Noting may raise, for want of memory; rt_sent_end() does not. */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "sent.h"

struct note
{
	int64 seq;
	int start;
	int len;
};

struct rt_sent
{
	struct rt_sent *outer;
	int64 room_id;
	StringInfoData text;
	StringInfoData notes; /* struct note, in the order in which they came */
};

static struct rt_sent *innermost;

struct rt_sent *
rt_sent_begin(int64 room_id)
{
	struct rt_sent *sent = palloc(sizeof(*sent));

	sent->room_id = room_id;
	initStringInfo(&sent->text);
	initStringInfo(&sent->notes);
	sent->outer = innermost;
	innermost = sent;
	return sent;
}

void
rt_sent_end(struct rt_sent *sent)
{
	innermost = sent->outer;
}

void
rt_sent_note(int64 room_id, int64 seq, const char *message, Size len)
{
	struct note note = {.seq = seq, .len = len};

	if (innermost == NULL || innermost->room_id != room_id)
		return;
	note.start = innermost->text.len;
	appendBinaryStringInfo(&innermost->text, message, len);
	appendBinaryStringInfo(&innermost->notes, (const char *) &note, sizeof(note));
}

/* Mostly it is the last one or the one behind the last one asked for, but there are a few hundred at most. */
const char *
rt_sent_find(const struct rt_sent *sent, int64 seq, Size *len)
{
	const struct note *notes = (const struct note *) sent->notes.data;
	Size n = sent->notes.len / sizeof(struct note);

	for (Size i = 0; i < n; i++)
	{
		if (notes[i].seq != seq)
			continue;
		*len = notes[i].len;
		return sent->text.data + notes[i].start;
	}
	return NULL;
}
