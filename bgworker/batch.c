/* batch.c: see batch.h.  Bounded by RT_BATCH_EVENTS and RT_BATCH_BYTES, which one event may overstep. */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "batch.h"
#include "extension/event_text.h"
#include "extension/query.h"

#define RT_BATCH_EVENTS 500
#define RT_BATCH_BYTES (1024 * 1024)

/* Media workers hear of nothing but what waits for them: each event of the bus would wake them. */
#define CHANNEL "rt_events"
#define MEDIA_CHANNEL "rt_media"
#define MEDIA_EVENT "rt:media-request"

/* Of rt.events, in the order of the statement's parameters. */
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

static const Oid element_types[NCOLUMNS] = {INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, INT8OID, INT8OID, TEXTOID};

struct rt_batch
{
	MemoryContext context;
	int64 last_pos;
	int count; /* events */
	int nrows; /* those of them that are logged */
	Datum values[NCOLUMNS][RT_BATCH_EVENTS];
	bool nulls[NCOLUMNS][RT_BATCH_EVENTS];
	StringInfoData texts; /* notifications, each with its NUL */
	int starts[RT_BATCH_EVENTS];
	const char *channels[RT_BATCH_EVENTS];
	Size bytes; /* of all payloads: those of the log may be longer than texts */
};

/* The worker's search_path is pg_catalog, and unnest of several arrays must be written without a schema. */
static struct rt_query insert_rows = {
	.sql = "INSERT INTO rt.events (pos, at, event, route, room_id, seq, payload) "
		   "SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)",
	.nargs = NCOLUMNS,
	.types = {INT8ARRAYOID, TIMESTAMPTZARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID,
			  TEXTARRAYOID},
};
static struct rt_query read_range = {
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

static void
set_text(struct rt_batch *b, enum column column, const char *text)
{
	b->nulls[column][b->nrows] = text == NULL;
	b->values[column][b->nrows] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

static void
set_int64(struct rt_batch *b, enum column column, int64 value)
{
	b->nulls[column][b->nrows] = value == 0;
	b->values[column][b->nrows] = Int64GetDatum(value);
}

static void
add_row(struct rt_batch *b, const struct rt_batch_event *e, int64 pos)
{
	set_int64(b, COL_POS, pos);
	b->nulls[COL_AT][b->nrows] = false;
	b->values[COL_AT][b->nrows] = TimestampTzGetDatum(e->at);
	set_text(b, COL_EVENT, e->name);
	set_text(b, COL_ROUTE, e->route);
	set_int64(b, COL_ROOM_ID, e->room_id);
	set_int64(b, COL_SEQ, e->seq);
	set_text(b, COL_PAYLOAD, e->message ? NULL : e->payload);
	b->nrows++;
}

/* Writes the notification and gives back what it wrote of. */
static struct rt_event_text
put_notification(struct rt_batch *b, const struct rt_batch_event *e, int64 pos)
{
	struct rt_event_text text = {e->name, pos, e->route, e->payload, e->room_id, e->seq};

	rt_event_text_put(&b->texts, &text);
	return text;
}

void
rt_batch_add(struct rt_batch *b, const struct rt_batch_event *e)
{
	MemoryContext before = MemoryContextSwitchTo(b->context);
	int start = b->texts.len;
	int64 pos = e->logged ? b->last_pos + 1 : 0;
	struct rt_event_text text = put_notification(b, e, pos);

	b->bytes += b->texts.len - start;
	if (b->texts.len - start > RT_NOTIFICATION_BYTES || rt_event_text_is_private(&text))
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
	n = rt_query_run(&read_range, values, NULL, false);
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

static Datum
column_array(struct rt_batch *b, enum column column)
{
	Oid type = element_types[column];
	int dims[1] = {b->nrows};
	int bounds[1] = {1};
	int16 len;
	bool by_value;
	char align;

	get_typlenbyvalalign(type, &len, &by_value, &align);
	return PointerGetDatum(
		construct_md_array(b->values[column], b->nulls[column], 1, dims, bounds, type, len, by_value, align));
}

void
rt_batch_log(struct rt_batch *b)
{
	Datum values[NCOLUMNS];

	if (b->nrows == 0)
		return;
	for (int i = 0; i < NCOLUMNS; i++)
		values[i] = column_array(b, i);
	SPI_connect();
	rt_query_run(&insert_rows, values, NULL, false);
	SPI_finish();
}

void
rt_batch_notify(struct rt_batch *b)
{
	for (int i = 0; i < b->count; i++)
		Async_Notify(b->channels[i], b->texts.data + b->starts[i]);
}
