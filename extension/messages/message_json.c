/* message_json.c: writes a message as JSON; see message_json.h.  The text is put together by hand, since it is
 * built for each message that is sent.  Runs in the backend that writes, in its transaction, and may raise.
 * Appends to the caller's buffer. */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "message_json.h"
#include "row.h"

PG_FUNCTION_INFO_V1(rt_message_json);
PG_FUNCTION_INFO_V1(rt_message_payload_json);

const struct rt_message_columns *
rt_message_columns(TupleDesc desc)
{
	static struct rt_message_columns columns;
	static Oid type = InvalidOid;
	static int natts = 0;

	if (type == desc->tdtypeid && natts == desc->natts)
		return &columns;
	type = InvalidOid;
	columns.room_id = rt_row_column(desc, "room_id");
	columns.seq = rt_row_column(desc, "seq");
	columns.sender_id = rt_row_column(desc, "sender_id");
	columns.content = rt_row_column(desc, "content");
	columns.message_type = rt_row_column(desc, "message_type");
	columns.metadata = rt_row_column(desc, "metadata");
	columns.reply_to = rt_row_column(desc, "reply_to");
	columns.client_id = rt_row_column(desc, "client_id");
	columns.created_at = rt_row_column(desc, "created_at");
	columns.edited_at = rt_row_column(desc, "edited_at");
	columns.deleted_at = rt_row_column(desc, "deleted_at");
	type = desc->tdtypeid;
	natts = desc->natts;
	return &columns;
}

/* One row, deformed. */
struct row
{
	const struct rt_message_columns *columns;
	Datum *values;
	bool *nulls;
	const char *user_name; /* the sender's, or NULL */
};

static struct row
deform(HeapTuple tuple, TupleDesc desc)
{
	struct row row;

	row.columns = rt_message_columns(desc);
	row.values = palloc(desc->natts * sizeof(Datum));
	row.nulls = palloc(desc->natts * sizeof(bool));
	row.user_name = NULL;
	heap_deform_tuple(tuple, desc, row.values, row.nulls);
	return row;
}

static bool
is_null(const struct row *row, AttrNumber n)
{
	return row->nulls[n - 1];
}

static void
put_text(StringInfo out, const struct row *row, AttrNumber n)
{
	if (is_null(row, n))
		appendStringInfoString(out, "null");
	else
		escape_json(out, TextDatumGetCString(row->values[n - 1]));
}

static void
put_int64(StringInfo out, int64 value)
{
	char digits[MAXINT8LEN + 1];

	appendBinaryStringInfo(out, digits, pg_lltoa(value, digits));
}

static void
put_message_id(StringInfo out, int64 room_id, int64 seq)
{
	appendStringInfoChar(out, '"');
	put_int64(out, room_id);
	appendStringInfoChar(out, '-');
	put_int64(out, seq);
	appendStringInfoChar(out, '"');
}

static char *
put_number(char *to, int value, int width, char end)
{
	to = pg_ultostr_zeropad(to, value, width);
	*to++ = end;
	return to;
}

/* ISO 8601 in UTC with milliseconds. */
static void
put_time(StringInfo out, const struct row *row, AttrNumber n)
{
	TimestampTz at = is_null(row, n) ? DT_NOEND : DatumGetTimestampTz(row->values[n - 1]);
	struct pg_tm tm;
	fsec_t fsec;
	char text[MAXDATELEN];
	char *end = text;

	/* Without a time zone the fields come out in UTC. */
	if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0 || tm.tm_year <= 0)
	{
		appendStringInfoString(out, "null");
		return;
	}
	*end++ = '"';
	end = put_number(end, tm.tm_year, 4, '-');
	end = put_number(end, tm.tm_mon, 2, '-');
	end = put_number(end, tm.tm_mday, 2, 'T');
	end = put_number(end, tm.tm_hour, 2, ':');
	end = put_number(end, tm.tm_min, 2, ':');
	end = put_number(end, tm.tm_sec, 2, '.');
	end = put_number(end, fsec / 1000, 3, 'Z');
	*end++ = '"';
	appendBinaryStringInfo(out, text, end - text);
}

static char *
find_user_name(Datum id)
{
	Relation users = rt_row_open_table("users", AccessShareLock);
	AttrNumber column = rt_row_column(RelationGetDescr(users), "name");
	struct rt_row user;
	char *name = NULL;
	bool isnull = true;
	Datum value = (Datum) 0;

	if (rt_row_find(&user, users, GetActiveSnapshot(), 1, &id))
		value = slot_getattr(user.slot, column, &isnull);
	if (!isnull)
		name = TextDatumGetCString(value);
	rt_row_done(&user);
	table_close(users, AccessShareLock);
	return name;
}

static void
put_user_name(StringInfo out, const struct row *row)
{
	if (row->user_name == NULL)
		appendStringInfoString(out, "null");
	else
		escape_json(out, row->user_name);
}

static void
put_metadata(StringInfo out, const struct row *row)
{
	AttrNumber n = row->columns->metadata;
	Jsonb *metadata;

	if (is_null(row, n))
	{
		appendStringInfoString(out, "null");
		return;
	}
	metadata = DatumGetJsonbP(row->values[n - 1]);
	(void) JsonbToCString(out, &metadata->root, VARSIZE(metadata));
}

static void
put_reply_to(StringInfo out, const struct row *row, int64 room_id)
{
	AttrNumber n = row->columns->reply_to;

	if (is_null(row, n))
		appendStringInfoString(out, "null");
	else
		put_message_id(out, room_id, DatumGetInt64(row->values[n - 1]));
}

/* A deleted message keeps its number, and nothing of what it said. */
static void
put_body(StringInfo out, const struct row *row, int64 room_id)
{
	const struct rt_message_columns *c = row->columns;
	bool deleted = !is_null(row, c->deleted_at);

	appendStringInfoString(out, ",\"content\":");
	if (deleted)
		appendStringInfoString(out, "\"\"");
	else
		put_text(out, row, c->content);
	appendStringInfoString(out, ",\"messageType\":");
	put_text(out, row, c->message_type);
	appendStringInfoString(out, ",\"metadata\":");
	if (deleted)
		appendStringInfoString(out, "null");
	else
		put_metadata(out, row);
	appendStringInfoString(out, ",\"replyTo\":");
	put_reply_to(out, row, room_id);
	appendStringInfoString(out, ",\"clientId\":");
	put_text(out, row, c->client_id);
}

static void
put_message(StringInfo out, const struct row *row)
{
	const struct rt_message_columns *c = row->columns;
	int64 room_id = DatumGetInt64(row->values[c->room_id - 1]);
	int64 seq = DatumGetInt64(row->values[c->seq - 1]);

	appendStringInfoString(out, "{\"id\":");
	put_message_id(out, room_id, seq);
	appendStringInfoString(out, ",\"messageId\":");
	put_message_id(out, room_id, seq);
	appendStringInfoString(out, ",\"roomId\":\"");
	put_int64(out, room_id);
	appendStringInfoString(out, "\",\"seq\":");
	put_int64(out, seq);
	appendStringInfoString(out, ",\"senderId\":");
	put_text(out, row, c->sender_id);
	appendStringInfoString(out, ",\"userId\":");
	put_text(out, row, c->sender_id);
	appendStringInfoString(out, ",\"userName\":");
	put_user_name(out, row);
	put_body(out, row, room_id);
	appendStringInfoString(out, ",\"createdAt\":");
	put_time(out, row, c->created_at);
	appendStringInfoString(out, ",\"timestamp\":");
	put_time(out, row, c->created_at);
	appendStringInfoString(out, ",\"editedAt\":");
	put_time(out, row, c->edited_at);
	appendStringInfoString(out, ",\"deletedAt\":");
	put_time(out, row, c->deleted_at);
	appendStringInfoChar(out, '}');
}

static struct rt_message_place
put_payload(StringInfo out, const struct row *row)
{
	struct rt_message_place place;

	appendStringInfoString(out, "{\"type\":\"new-message\",\"roomId\":\"");
	put_int64(out, DatumGetInt64(row->values[row->columns->room_id - 1]));
	appendStringInfoString(out, "\",\"data\":");
	place.start = out->len;
	put_message(out, row);
	place.len = out->len - place.start;
	appendStringInfoString(out, ",\"timestamp\":");
	put_time(out, row, row->columns->created_at);
	appendStringInfoChar(out, '}');
	return place;
}

struct rt_message_place
rt_message_payload(StringInfo out, HeapTuple tuple, TupleDesc desc, const char *user_name)
{
	struct row row = deform(tuple, desc);

	row.user_name = user_name;
	return put_payload(out, &row);
}

/* Calls put() with the row that is the SQL function's argument. */
static Datum
json_of_row(FunctionCallInfo fcinfo, void (*put)(StringInfo out, const struct row *row))
{
	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(0);
	TupleDesc desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	HeapTupleData tuple = {0};
	StringInfoData out;
	struct row row;

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_data = header;
	initStringInfo(&out);
	row = deform(&tuple, desc);
	if (!is_null(&row, row.columns->sender_id))
		row.user_name = find_user_name(row.values[row.columns->sender_id - 1]);
	put(&out, &row);
	ReleaseTupleDesc(desc);
	return PointerGetDatum(cstring_to_text_with_len(out.data, out.len));
}

/* rt_private.message_json(m rt.messages) returns json */
Datum
rt_message_json(PG_FUNCTION_ARGS)
{
	return json_of_row(fcinfo, put_message);
}

static void
put_payload_only(StringInfo out, const struct row *row)
{
	(void) put_payload(out, row);
}

/* rt_private.message_payload(m rt.messages) returns json */
Datum
rt_message_payload_json(PG_FUNCTION_ARGS)
{
	return json_of_row(fcinfo, put_payload_only);
}
