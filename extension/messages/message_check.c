/* message_check.c: checks the form and the size of a message; see message_check.h.  Runs in the backend that
 * writes, takes no lock, and allocates in the caller's context.  rt_message_fault() gives a fault back; the others
 * raise it. */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "message_check.h"
#include "extension/config/settings.h"

#define ERRCODE_RT_BAD_REQUEST MAKE_SQLSTATE('R', 'T', '4', '0', '0')
#define ERRCODE_RT_TOO_LARGE MAKE_SQLSTATE('R', 'T', '4', '1', '3')

#define MESSAGE_TYPE_BYTES 64
#define CLIENT_ID_BYTES 128

PG_FUNCTION_INFO_V1(rt_message_fault);

static Size
text_bytes(Datum text)
{
	return toast_raw_datum_size(text) - VARHDRSZ;
}

static bool
has_bytes(Datum text, Size most)
{
	Size bytes = text_bytes(text);

	return bytes > 0 && bytes <= most;
}

static bool
is_object(Datum metadata)
{
	Jsonb *jsonb = DatumGetJsonbP(metadata);

	return JB_ROOT_IS_OBJECT(jsonb);
}

static const char *
fault(const NullableDatum *message_type, const NullableDatum *metadata, const NullableDatum *client_id)
{
	if (!message_type->isnull && !has_bytes(message_type->value, MESSAGE_TYPE_BYTES))
		return "message_type of a message must have 1 to 64 bytes";
	if (!metadata->isnull && !is_object(metadata->value))
		return "metadata of a message must be an object";
	if (!client_id->isnull && !has_bytes(client_id->value, CLIENT_ID_BYTES))
		return "client_id of a message must have 1 to 128 bytes";
	return NULL;
}

static NullableDatum
column(HeapTuple row, TupleDesc desc, AttrNumber number)
{
	NullableDatum datum;

	datum.value = heap_getattr(row, number, desc, &datum.isnull);
	return datum;
}

/* What JSON has a form for: no infinity, and nothing before our era. */
static void
check_time(HeapTuple row, TupleDesc desc, AttrNumber number)
{
	NullableDatum at = column(row, desc, number);
	TimestampTz first = (date2j(1, 1, 1) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;

	if (!at.isnull && (TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(at.value)) || DatumGetTimestampTz(at.value) < first))
		ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION), errmsg("%s of a message must be a time since year 1",
																 NameStr(TupleDescAttr(desc, number - 1)->attname))));
}

/* created_at is -infinity where it was left out; the trigger replaces it. */
static bool
is_default_time(HeapTuple row, TupleDesc desc, AttrNumber number)
{
	NullableDatum at = column(row, desc, number);

	return !at.isnull && TIMESTAMP_IS_NOBEGIN(DatumGetTimestampTz(at.value));
}

void
rt_message_check_form(HeapTuple row, TupleDesc desc, const struct rt_message_columns *c)
{
	NullableDatum message_type = column(row, desc, c->message_type);
	NullableDatum metadata = column(row, desc, c->metadata);
	NullableDatum client_id = column(row, desc, c->client_id);
	const char *what = fault(&message_type, &metadata, &client_id);

	if (what != NULL)
		ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION), errmsg("%s", what)));
	if (!is_default_time(row, desc, c->created_at))
		check_time(row, desc, c->created_at);
	check_time(row, desc, c->edited_at);
	check_time(row, desc, c->deleted_at);
}

/* rt_private.message_fault(message_type text, metadata jsonb, client_id text) returns text */
Datum
rt_message_fault(PG_FUNCTION_ARGS)
{
	const char *what = fault(&fcinfo->args[0], &fcinfo->args[1], &fcinfo->args[2]);

	if (what == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(what));
}

static Size
metadata_bytes(Datum metadata)
{
	Jsonb *jsonb = DatumGetJsonbP(metadata);
	StringInfoData text;

	initStringInfo(&text);
	(void) JsonbToCString(&text, &jsonb->root, VARSIZE(jsonb));
	return text.len;
}

void
rt_message_check_size(HeapTuple row, TupleDesc desc, const struct rt_message_columns *c)
{
	bool no_content;
	bool no_metadata;
	Datum content = heap_getattr(row, c->content, desc, &no_content);
	Datum metadata = heap_getattr(row, c->metadata, desc, &no_metadata);
	Size bytes = no_content ? 0 : text_bytes(content);

	if (bytes == 0 && no_metadata)
		ereport(ERROR, (errcode(ERRCODE_RT_BAD_REQUEST), errmsg("message is empty"),
						errhint("Provide content or metadata.")));
	if (!no_metadata)
		bytes += metadata_bytes(metadata);
	if (bytes > rt_max_message_size_bytes)
		ereport(ERROR, (errcode(ERRCODE_RT_TOO_LARGE), errmsg("message is too large"),
						errdetail("Content and metadata have %zu bytes; the limit, rt.max_message_size, is %d.",
								  bytes, rt_max_message_size_bytes)));
}
