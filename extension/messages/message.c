/* message.c: the triggers of rt.messages.  BEFORE ROW checks the row and gives it its number and time, AFTER ROW
 * checks its references and emits it, AFTER STATEMENT settles the numbers.  Whoever may insert a message need not
 * be able to change rt.rooms.
 *
 * BEFORE ROW must be the last of its kind (triggers fire in the order of their names): a row that another trigger
 * turns down then takes no number, and none is waiting while another trigger inserts.
 *
 * Runs in the backend that writes, and may raise, which aborts the statement.  Locks are those of number.c and
 * reference.c: the room's row first, then the rows that the message refers to. */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "extension/events/event.h"
#include "foreign.h"
#include "message_check.h"
#include "message_json.h"
#include "number.h"
#include "query.h"
#include "reference.h"
#include "row.h"
#include "sent.h"
#include "extension/config/settings.h"

static struct rt_query on_mention = {
	.sql = "SELECT rt_private.on_mention($1, $2)",
	.nargs = 2,
	.types = {INT8OID, INT8OID},
};

static struct rt_query on_reply = {
	.sql = "SELECT rt_private.on_reply($1, $2)",
	.nargs = 2,
	.types = {INT8OID, INT8OID},
};

static struct rt_query direct_return = {
	.sql = "SELECT rt_private.direct_return($1, $2)",
	.nargs = 2,
	.types = {INT8OID, INT8OID},
};

static struct rt_query find_name = {
	.sql = "SELECT u.name FROM rt.users u WHERE u.id = $1",
	.nargs = 1,
	.types = {TEXTOID},
};

PG_FUNCTION_INFO_V1(rt_messages_before_insert);
PG_FUNCTION_INFO_V1(rt_messages_after_insert);
PG_FUNCTION_INFO_V1(rt_messages_after_statement);
PG_FUNCTION_INFO_V1(rt_import_number);
PG_FUNCTION_INFO_V1(rt_import_settle);

static TriggerData *
trigger_data(FunctionCallInfo fcinfo, bool as_expected)
{
	if (!CALLED_AS_TRIGGER(fcinfo) || !as_expected)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("function can only be called as a trigger of rt.messages")));
	return (TriggerData *) fcinfo->context;
}

#define IS_TRIGGER(fcinfo, when, level) \
	(CALLED_AS_TRIGGER(fcinfo) && when(((TriggerData *) (fcinfo)->context)->tg_event) && \
	 level(((TriggerData *) (fcinfo)->context)->tg_event) && \
	 TRIGGER_FIRED_BY_INSERT(((TriggerData *) (fcinfo)->context)->tg_event))

static int64
room_of(HeapTuple row, TupleDesc desc, const struct rt_message_columns *c)
{
	bool isnull;
	Datum room_id = heap_getattr(row, c->room_id, desc, &isnull);

	if (isnull)
		ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION), errmsg("room_id of a message must not be null")));
	return DatumGetInt64(room_id);
}

/* The number that the row gets, or 0 if it has brought one along. */
static int64
take_number(Relation messages, HeapTuple row, const struct rt_message_columns *c, TimestampTz *created_at)
{
	TupleDesc desc = RelationGetDescr(messages);
	int64 room_id = room_of(row, desc, c);
	bool isnull;
	Datum given = heap_getattr(row, c->seq, desc, &isnull);

	if (isnull || DatumGetInt64(given) == PG_INT64_MIN) /* the column's default */
		return rt_number_take(messages, room_id, created_at);
	if (*created_at == DT_NOBEGIN)
		*created_at = GetCurrentTimestamp();
	rt_number_check(messages, room_id, DatumGetInt64(given), *created_at);
	return 0;
}

/* The column's default, which is -infinity, if there is none. */
static TimestampTz
given_time(HeapTuple row, TupleDesc desc, const struct rt_message_columns *c)
{
	bool isnull;
	Datum given = heap_getattr(row, c->created_at, desc, &isnull);

	return isnull ? DT_NOBEGIN : DatumGetTimestampTz(given);
}

Datum
rt_messages_before_insert(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, IS_TRIGGER(fcinfo, TRIGGER_FIRED_BEFORE, TRIGGER_FIRED_FOR_ROW));
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	const struct rt_message_columns *c = rt_message_columns(desc);
	HeapTuple row = trigger->tg_trigtuple;
	bool nulls[2] = {false, false};
	Datum values[2];
	int columns[2];
	TimestampTz given;
	TimestampTz created_at;
	int n = 0;
	int64 seq;

	/* The publisher has checked and numbered it. */
	if (rt_foreign_is_applying())
		return PointerGetDatum(row);
	rt_message_check_form(row, desc, c);
	given = given_time(row, desc, c);
	created_at = given;
	seq = take_number(trigger->tg_relation, row, c, &created_at);
	if (seq != 0)
	{
		rt_message_check_size(row, desc, c);
		columns[n] = c->seq;
		values[n++] = Int64GetDatum(seq);
	}
	if (created_at != given)
	{
		columns[n] = c->created_at;
		values[n++] = TimestampTzGetDatum(created_at);
	}
	if (n > 0)
		row = heap_modify_tuple_by_cols(row, desc, n, columns, values, nulls);
	return PointerGetDatum(row);
}

/* A database that was not updated from 1.1 has none. */
static bool
has_threads(void)
{
	return OidIsValid(get_relname_relid("threads", get_namespace_oid("rt", false)));
}

static bool
may_mention(HeapTuple row, TupleDesc desc, const struct rt_message_columns *c)
{
	bool isnull;
	Datum value = heap_getattr(row, c->content, desc, &isnull);
	Jsonb *metadata;

	if (!isnull)
	{
		text *content = DatumGetTextPP(value);

		if (memchr(VARDATA_ANY(content), '@', VARSIZE_ANY_EXHDR(content)) != NULL)
			return true;
	}
	value = heap_getattr(row, c->metadata, desc, &isnull);
	if (isnull)
		return false;
	metadata = DatumGetJsonbP(value);
	return JB_ROOT_IS_OBJECT(metadata) &&
		   getKeyJsonValueFromContainer(&metadata->root, "mentions", strlen("mentions"), NULL) != NULL;
}

/* With the rights of the table's owner.  These need not be given back when an error is raised: the end of the
 * (sub)transaction does it. */
static void
run_as_owner(Relation messages, struct rt_query *query, int64 room_id, int64 seq)
{
	Datum values[2] = {Int64GetDatum(room_id), Int64GetDatum(seq)};
	int context;
	Oid user;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(messages->rd_rel->relowner, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	SPI_connect();
	rt_query_run(query, values, NULL, false);
	SPI_finish();
	SetUserIdAndSecContext(user, context);
}

/* Gives back the sender's name; NULL: there is no sender. */
static const char *
check_references(Relation messages, HeapTuple row, const struct rt_message_columns *c, bool restored)
{
	TupleDesc desc = RelationGetDescr(messages);
	int64 room_id = room_of(row, desc, c);
	bool answers_none;
	Datum reply_to = heap_getattr(row, c->reply_to, desc, &answers_none);
	bool no_sender;
	Datum sender = heap_getattr(row, c->sender_id, desc, &no_sender);

	if (!answers_none)
		rt_reference_check_reply(messages, room_id, DatumGetInt64(reply_to), no_sender ? NULL : &sender, restored);
	return no_sender ? NULL : rt_reference_check_sender(messages, sender);
}

/* NULL: there is no such user. */
static const char *
read_name(HeapTuple row, TupleDesc desc, const struct rt_message_columns *c)
{
	const char *name = NULL;
	bool isnull;
	Datum values[1] = {heap_getattr(row, c->sender_id, desc, &isnull)};
	MemoryContext context = CurrentMemoryContext;

	if (isnull)
		return NULL;
	SPI_connect();
	if (rt_query_run(&find_name, values, NULL, true) == 1)
	{
		char *found = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

		name = found == NULL ? NULL : MemoryContextStrdup(context, found);
	}
	SPI_finish();
	return name;
}

/* A row that a subscription brings, where the trigger is always enabled.  The first copy of the table is nobody's
 * news. */
static void
tell_replicated(HeapTuple row, TupleDesc desc, const struct rt_message_columns *c, int64 room_id, int64 seq)
{
	StringInfoData payload;

	if (rt_foreign_is_copying() || rt_suppress_events)
		return;
	initStringInfo(&payload);
	(void) rt_message_payload(&payload, row, desc, read_name(row, desc, c));
	rt_event_emit_message(room_id, seq, payload.data, payload.len);
}

Datum
rt_messages_after_insert(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, IS_TRIGGER(fcinfo, TRIGGER_FIRED_AFTER, TRIGGER_FIRED_FOR_ROW));
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	const struct rt_message_columns *c = rt_message_columns(desc);
	HeapTuple row = trigger->tg_trigtuple;
	int64 room_id = room_of(row, desc, c);
	struct rt_message_place message;
	StringInfoData payload;
	bool isnull;
	bool late;
	int64 seq = DatumGetInt64(heap_getattr(row, c->seq, desc, &isnull));
	const char *user_name;
	bool restored;

	if (rt_foreign_is_applying())
	{
		tell_replicated(row, desc, c, room_id, seq);
		return PointerGetDatum(NULL);
	}
	rt_reference_check_room(trigger->tg_relation, room_id);
	restored = !rt_number_confirm(room_id, seq, &late);
	user_name = check_references(trigger->tg_relation, row, c, restored);
	if (restored)
		rt_reference_drop_place(room_id, seq);
	if (restored || rt_suppress_events)
		return PointerGetDatum(NULL);
	if (late)
		rt_event_sort_messages();
	/* Before the message is told: whoever comes back by it hears of it. */
	if (rt_number_take_has_left(room_id))
		run_as_owner(trigger->tg_relation, &direct_return, room_id, seq);
	initStringInfo(&payload);
	message = rt_message_payload(&payload, row, desc, user_name);
	rt_sent_note(room_id, seq, payload.data + message.start, message.len);
	rt_event_emit_message(room_id, seq, payload.data, payload.len);
	if (may_mention(row, desc, c))
		run_as_owner(trigger->tg_relation, &on_mention, room_id, seq);
	if (!heap_attisnull(row, c->reply_to, desc) && has_threads())
		run_as_owner(trigger->tg_relation, &on_reply, room_id, seq);
	return PointerGetDatum(NULL);
}

Datum
rt_messages_after_statement(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = trigger_data(fcinfo, IS_TRIGGER(fcinfo, TRIGGER_FIRED_AFTER, TRIGGER_FIRED_FOR_STATEMENT));

	rt_number_settle(trigger->tg_relation);
	return PointerGetDatum(NULL);
}

/* ---- numbers without triggers, for rt.import_messages() ------------------------ */

Datum
rt_import_number(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(rt_number_take_used(PG_GETARG_INT64(0), PG_GETARG_TIMESTAMPTZ(1)));
}

Datum
rt_import_settle(PG_FUNCTION_ARGS)
{
	Relation messages = rt_row_open_table("messages", RowExclusiveLock);

	rt_number_settle(messages);
	table_close(messages, NoLock);
	PG_RETURN_VOID();
}
