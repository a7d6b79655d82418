/* batch.c: builds the rows of rt.events and the notifications of one transaction; see batch.h.  Where events come
 * from is feed.c's, when to write relay.c's.
 *
 * Bounded by RT_BATCH_EVENTS, and by RT_BATCH_BYTES, which the last event may overstep.  The caller asks
 * rt_batch_is_full() before each event: the arrays have no place for more.
 *
 * Invariants: nrows <= count.  Logged events have consecutive positions, and last_pos is the highest.  An event
 * has a position if, and only if, it has a row.
 *
 * Runs in the relay, without a lock of its own.  Everything that a batch refers to is in its context, which
 * outlives failed transactions and is reset with it.  May raise.  An error while events are added leaves a batch
 * that is good for rt_batch_reset() only; writing the rows and notifying leave it as it was. */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "batch.h"
#include "extension/config/settings.h"
#include "bgworker/worker/version.h"
#include "extension/events/event_text.h"
#include "extension/messages/query.h"
#include "extension/messages/row.h"

#define RT_BATCH_EVENTS 500
#define RT_BATCH_BYTES (1024 * 1024)

/* Media workers hear of nothing but what waits for them: each event of the bus would wake them. */
#define CHANNEL "rt_events"
#define MEDIA_CHANNEL "rt_media"
#define MEDIA_EVENT "rt:media-request"

/* Of rt.events. */
enum column
{
	COL_POS,
	COL_AT,
	COL_EVENT,
	COL_ROUTE,
	COL_ROOM_ID,
	COL_SEQ,
	COL_PAYLOAD,
	NCOLUMNS
};

static const char *const column_names[NCOLUMNS] = {"pos", "at", "event", "route", "room_id", "seq", "payload"};

struct rt_batch
{
	MemoryContext context;
	int64 last_pos;
	int count; /* events */
	int nrows; /* those of them that are logged */
	NullableDatum values[RT_BATCH_EVENTS][NCOLUMNS];
	StringInfoData texts; /* notifications, each with its NUL */
	int starts[RT_BATCH_EVENTS];
	const char *channels[RT_BATCH_EVENTS];
	Size bytes; /* of all payloads: those of the log may be longer than texts */
};

static struct rt_query read_range = {
	.sql = "SELECT h.seq, rt_private.message_payload(h.m)::text FROM rt_private.history h "
		   "WHERE h.room_id = $1 AND h.seq BETWEEN $2 AND $3 ORDER BY h.seq LIMIT $4",
	.nargs = 4,
	.types = {INT8OID, INT8OID, INT8OID, INT8OID},
};

/* Before 1.2. */
static struct rt_query read_range_without_places = {
	.sql = "SELECT m.seq, rt_private.message_payload(m)::text FROM rt.messages m "
		   "WHERE m.room_id = $1 AND m.seq BETWEEN $2 AND $3 ORDER BY m.seq LIMIT $4",
	.nargs = 4,
	.types = {INT8OID, INT8OID, INT8OID, INT8OID},
};

struct rt_batch *
rt_batch_new(MemoryContext parent)
{
	struct rt_batch *b = MemoryContextAllocZero(parent, sizeof(*b));

	b->context = AllocSetContextCreate(parent, "rt batch", ALLOCSET_DEFAULT_SIZES);
	rt_batch_reset(b, 0);
	return b;
}

void
rt_batch_reset(struct rt_batch *b, int64 last_pos)
{
	MemoryContext before;

	MemoryContextReset(b->context);
	before = MemoryContextSwitchTo(b->context);
	initStringInfo(&b->texts);
	MemoryContextSwitchTo(before);
	b->last_pos = last_pos;
	b->count = 0;
	b->nrows = 0;
	b->bytes = 0;
}

static NullableDatum
text_or_null(const char *text)
{
	NullableDatum datum = {.isnull = text == NULL};

	if (text != NULL)
		datum.value = CStringGetTextDatum(text);
	return datum;
}

static NullableDatum
number_or_null(int64 value)
{
	NullableDatum datum = {Int64GetDatum(value), value == 0};

	return datum;
}

static void
add_row(struct rt_batch *b, const struct rt_batch_event *e, int64 pos)
{
	NullableDatum *row = b->values[b->nrows++];

	row[COL_POS] = number_or_null(pos);
	row[COL_AT] = (NullableDatum){TimestampTzGetDatum(e->at), false};
	row[COL_EVENT] = text_or_null(e->name);
	row[COL_ROUTE] = text_or_null(e->route);
	row[COL_ROOM_ID] = number_or_null(e->room_id);
	row[COL_SEQ] = number_or_null(e->seq);
	row[COL_PAYLOAD] = text_or_null(e->message ? NULL : e->payload);
}

/* Writes the notification and gives back what it wrote of. */
static struct rt_event_text
put_notification(struct rt_batch *b, const struct rt_batch_event *e, int64 pos)
{
	struct rt_event_text text = {e->name, pos, e->route, e->payload, e->room_id, e->seq};

	rt_event_text_put(&b->texts, &text);
	return text;
}

/* Soft state says who is where, and who types; only status messages and reactions have a user's own text. */
static bool
is_soft_with_text(const struct rt_batch_event *e)
{
	if (strcmp(e->name, "chat-user-status-update") == 0)
		return strstr(e->payload, "\"statusMessage\" : null") == NULL;
	return strcmp(e->name, "participant-reaction") == 0;
}

/* Any role that may connect can LISTEN.  Commands to the programs tell nothing of what people write; other soft state
 * has no place in the log. */
static bool
is_by_reference(const struct rt_batch_event *e, const struct rt_event_text *text)
{
	if (rt_event_text_is_private(text))
		return true;
	if (rt_notify_content || strncmp(e->name, "rt:", 3) == 0)
		return false;
	return e->logged || is_soft_with_text(e);
}

void
rt_batch_add(struct rt_batch *b, const struct rt_batch_event *e)
{
	MemoryContext before = MemoryContextSwitchTo(b->context);
	int start = b->texts.len;
	int64 pos = e->logged ? b->last_pos + 1 : 0;
	struct rt_event_text text = put_notification(b, e, pos);

	b->bytes += b->texts.len - start;
	if (b->texts.len - start > RT_NOTIFICATION_BYTES || is_by_reference(e, &text))
	{
		/* Then the log has it in full, soft state too. */
		text.pos = pos = b->last_pos + 1;
		b->texts.len = start;
		rt_event_text_put_truncated(&b->texts, &text);
	}
	appendStringInfoChar(&b->texts, '\0');
	b->channels[b->count] = strcmp(e->name, MEDIA_EVENT) == 0 ? MEDIA_CHANNEL : CHANNEL;
	b->starts[b->count++] = start;
	if (pos != 0)
	{
		add_row(b, e, pos);
		b->last_pos = pos;
	}
	MemoryContextSwitchTo(before);
}

int64
rt_batch_add_range(struct rt_batch *b, int64 room_id, int64 from, int64 to, TimestampTz at)
{
	int room = RT_BATCH_EVENTS - b->count;
	Datum values[4] = {Int64GetDatum(room_id), Int64GetDatum(from), Int64GetDatum(to), Int64GetDatum(room)};
	struct rt_batch_event e = {
		.name = RT_MESSAGE_EVENT, .room_id = room_id, .at = at, .logged = true, .message = true};
	uint64 n;
	uint64 i;

	SPI_connect();
	n = rt_query_run(rt_version_has_places() ? &read_range : &read_range_without_places, values, NULL, false);
	for (i = 0; i < n && !rt_batch_is_full(b); i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];
		bool isnull;

		e.seq = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &isnull));
		e.payload = SPI_getvalue(row, SPI_tuptable->tupdesc, 2);
		rt_batch_add(b, &e);
	}
	SPI_finish();
	/* Fewer than asked for: that was the last of them. */
	return i == n && n < room ? to + 1 : e.seq + 1;
}

bool
rt_batch_is_full(const struct rt_batch *b)
{
	return b->count >= RT_BATCH_EVENTS || b->bytes >= RT_BATCH_BYTES;
}

int
rt_batch_count(const struct rt_batch *b)
{
	return b->count;
}

int64
rt_batch_last_pos(const struct rt_batch *b)
{
	return b->last_pos;
}

MemoryContext
rt_batch_context(const struct rt_batch *b)
{
	return b->context;
}

static TupleTableSlot *
row_slot(Relation events, const AttrNumber *columns, const NullableDatum *row)
{
	TupleTableSlot *slot = table_slot_create(events, NULL);

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, RelationGetDescr(events)->natts * sizeof(bool));
	for (int i = 0; i < NCOLUMNS; i++)
	{
		slot->tts_values[columns[i] - 1] = row[i].value;
		slot->tts_isnull[columns[i] - 1] = row[i].isnull;
	}
	return ExecStoreVirtualTuple(slot);
}

static void
insert_rows(Relation events, const struct rt_batch *b)
{
	TupleTableSlot *slots[RT_BATCH_EVENTS];
	AttrNumber columns[NCOLUMNS];

	for (int i = 0; i < NCOLUMNS; i++)
		columns[i] = rt_row_column(RelationGetDescr(events), column_names[i]);
	for (int i = 0; i < b->nrows; i++)
		slots[i] = row_slot(events, columns, b->values[i]);
	rt_row_insert(events, slots, b->nrows);
	for (int i = 0; i < b->nrows; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
}

void
rt_batch_log(struct rt_batch *b)
{
	Relation events;

	if (b->nrows == 0)
		return;
	events = rt_row_open_table("events", RowExclusiveLock);
	insert_rows(events, b);
	table_close(events, NoLock);
}

void
rt_batch_notify(struct rt_batch *b)
{
	for (int i = 0; i < b->count; i++)
		Async_Notify(b->channels[i], b->texts.data + b->starts[i]);
}
