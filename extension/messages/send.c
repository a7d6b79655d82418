/* send.c: rt_api.message_send() and rt_api.message_send_batch(): messages of several users to one room, with one lock
 * of the room and one INSERT.  A message that is alone takes a plan of its own, without arrays.
 *
 * A request that is wrong must not stop the others of its batch: its fault is its result, and nothing is raised.
 * What the application's triggers raise goes through, and refuses the batch.
 *
 * The answer has the text that AFTER ROW has built for the event (sent.h).  Where there is none, since events are
 * suppressed or the message was sent before, it is built from the row.
 *
 * Order of locks: the room's row, then what the triggers lock.  What is looked at under it, who is a member and
 * what has been sent before, then stays so until the end.
 *
 * Runs in the backend that asks, in its transaction, with the rights of the extension's owner; may raise.  Allocates
 * in the caller's context. */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "query.h"
#include "reference.h"
#include "room.h"
#include "row.h"
#include "sent.h"
#include "extension/config/settings.h"

#define ERRCODE_RT(status) \
	MAKE_SQLSTATE('R', 'T', '0' + (status) / 100, '0' + (status) / 10 % 10, '0' + (status) % 10)

#define MOST_REQUESTS 1000
#define MESSAGE_TYPE_BYTES 64
#define CLIENT_ID_BYTES 128
#define ID_DIGITS 18 /* what always fits into 64 bits */

PG_FUNCTION_INFO_V1(rt_send_batch);
PG_FUNCTION_INFO_V1(rt_send_one);

enum column
{
	COL_SENDER,
	COL_CONTENT,
	COL_TYPE,
	COL_METADATA,
	COL_REPLY_TO,
	COL_CLIENT_ID,
	NCOLUMNS
};

static const Oid column_types[NCOLUMNS] = {TEXTOID, TEXTOID, TEXTOID, JSONBOID, INT8OID, TEXTOID};

struct outgoing
{
	NullableDatum columns[NCOLUMNS];
	int status;          /* of the answer; 0: not decided yet */
	const char *problem; /* why it cannot be sent; NULL: it can */
	const char *message; /* what the answer has, not NUL-terminated; NULL: null */
	Size message_len;
};

/* The messages of one call. */
struct sending
{
	int64 room_id;
	struct outgoing *out;
	int n;
	struct rt_sent *sent;
	MemoryContext context; /* the caller's */
};

#define INSERT_INTO \
	"INSERT INTO rt.messages AS m (room_id, sender_id, content, message_type, metadata, reply_to, client_id) "
#define ON_CONFLICT "ON CONFLICT (room_id, sender_id, client_id) WHERE client_id IS NOT NULL DO NOTHING "
#define RETURNING "RETURNING m.seq, m.sender_id, m.client_id"

static struct rt_query insert_one = {
	.sql = INSERT_INTO "VALUES ($1, $2, $3, $4, $5, $6, $7) " RETURNING,
	.nargs = 7,
	.types = {INT8OID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, INT8OID, TEXTOID},
};

static struct rt_query insert_one_with_id = {
	.sql = INSERT_INTO "VALUES ($1, $2, $3, $4, $5, $6, $7) " ON_CONFLICT RETURNING,
	.nargs = 7,
	.types = {INT8OID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, INT8OID, TEXTOID},
};

static struct rt_query insert_many = {
	.sql = INSERT_INTO "SELECT $1, o.sender_id, o.content, o.message_type, o.metadata, o.reply_to, o.client_id "
					   "FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), "
					   "pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7)) WITH ORDINALITY "
					   "AS o (sender_id, content, message_type, metadata, reply_to, client_id, n) "
					   "ORDER BY o.n " ON_CONFLICT RETURNING,
	.nargs = 7,
	.types = {INT8OID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, JSONBARRAYOID, INT8ARRAYOID, TEXTARRAYOID},
};

static struct rt_query find_sent = {
	.sql = "SELECT rt_private.message_json(t)::text FROM rt.messages AS t "
		   "WHERE t.room_id OPERATOR(pg_catalog.=) $1 AND t.sender_id OPERATOR(pg_catalog.=) $2 "
		   "AND t.client_id OPERATOR(pg_catalog.=) $3 "
		   "UNION ALL "
		   "SELECT rt_private.message_json(h.m)::text FROM rt.deleted_messages AS d "
		   "JOIN rt_private.history AS h ON h.room_id OPERATOR(pg_catalog.=) d.room_id "
		   "AND h.seq OPERATOR(pg_catalog.=) d.seq "
		   "WHERE d.room_id OPERATOR(pg_catalog.=) $1 AND d.sender_id OPERATOR(pg_catalog.=) $2 "
		   "AND d.client_id OPERATOR(pg_catalog.=) $3 LIMIT 1",
	.nargs = 3,
	.types = {INT8OID, TEXTOID, TEXTOID},
};

static struct rt_query find_message = {
	.sql = "SELECT rt_private.message_json(h.m)::text FROM rt_private.history AS h "
		   "WHERE h.room_id OPERATOR(pg_catalog.=) $1 AND h.seq OPERATOR(pg_catalog.=) $2",
	.nargs = 2,
	.types = {INT8OID, INT8OID},
};

static struct rt_query find_refusal = {
	.sql = "SELECT rt_private.send_refusal(r, $2) FROM rt.rooms AS r WHERE r.id OPERATOR(pg_catalog.=) $1",
	.nargs = 2,
	.types = {INT8OID, TEXTOID},
};

static struct rt_query read_room_id = {
	.sql = "SELECT rt_private.req_id($1, 'roomId')",
	.nargs = 1,
	.types = {JSONBOID},
};

static struct rt_query act_as = {
	.sql = "SELECT rt_private.act_as($1)",
	.nargs = 1,
	.types = {TEXTOID},
};

/* ---- reading a request --------------------------------------------------------- */

/* NULL: it is missing, or null. */
static JsonbValue *
member(JsonbContainer *object, const char *key)
{
	JsonbValue *value = getKeyJsonValueFromContainer(object, key, strlen(key), NULL);

	return value == NULL || value->type == jbvNull ? NULL : value;
}

static bool
is_object(const JsonbValue *value)
{
	return value != NULL && value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);
}

static bool
is_text_within(const JsonbValue *value, int most)
{
	return value->type == jbvString && value->val.string.len >= 1 && value->val.string.len <= most;
}

static NullableDatum
not_null(Datum value)
{
	NullableDatum datum = {value, false};

	return datum;
}

static NullableDatum
text_of(const JsonbValue *value)
{
	return not_null(PointerGetDatum(cstring_to_text_with_len(value->val.string.val, value->val.string.len)));
}

static void
refuse(struct outgoing *o, int status, const char *problem)
{
	o->status = status;
	o->problem = problem;
}

static bool
read_client_id(struct outgoing *o, const JsonbValue *id)
{
	if (id == NULL)
		return true;
	if (id->type == jbvNumeric)
	{
		char *digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(id->val.numeric)));

		o->columns[COL_CLIENT_ID] = not_null(PointerGetDatum(cstring_to_text(digits)));
		return strlen(digits) <= CLIENT_ID_BYTES;
	}
	if (!is_text_within(id, CLIENT_ID_BYTES))
		return false;
	o->columns[COL_CLIENT_ID] = text_of(id);
	return true;
}

/* False: what is there is not a number of at most ID_DIGITS digits. */
static bool
read_digits(const char **at, const char *end, int64 *number)
{
	const char *start = *at;

	*number = 0;
	while (*at < end && **at >= '0' && **at <= '9' && *at - start < ID_DIGITS)
		*number = *number * 10 + (*(*at)++ - '0');
	return *at > start;
}

/* ROOM-SEQ, of this room. */
static void
read_reply_to(const struct sending *s, struct outgoing *o, const JsonbValue *id)
{
	const char *at = id->type == jbvString ? id->val.string.val : NULL;
	const char *end = at != NULL ? at + id->val.string.len : NULL;
	int64 room_id;
	int64 seq;

	if (at == NULL || !read_digits(&at, end, &room_id) || at == end || *at++ != '-' || !read_digits(&at, end, &seq) ||
		at != end)
		refuse(o, 400, "replyTo must be a message id");
	else if (room_id != s->room_id)
		refuse(o, 404, "message not found");
	else
		o->columns[COL_REPLY_TO] = not_null(Int64GetDatum(seq));
}

static Size
read_metadata(struct outgoing *o, JsonbValue *metadata)
{
	Jsonb *jsonb;
	StringInfoData text;

	if (metadata == NULL)
		return 0;
	jsonb = JsonbValueToJsonb(metadata);
	o->columns[COL_METADATA] = not_null(JsonbPGetDatum(jsonb));
	initStringInfo(&text);
	(void) JsonbToCString(&text, &jsonb->root, VARSIZE(jsonb));
	return text.len;
}

static void
read_body(const struct sending *s, struct outgoing *o, JsonbContainer *req)
{
	JsonbValue *content = member(req, "content");
	JsonbValue *type = member(req, "messageType");
	JsonbValue *metadata = member(req, "metadata");
	JsonbValue *reply_to = member(req, "replyTo");
	Size bytes;

	if (content != NULL && content->type != jbvString)
		refuse(o, 400, "content must be a string");
	else if (type != NULL && !is_text_within(type, MESSAGE_TYPE_BYTES))
		refuse(o, 400, "messageType must be a string of 1 to 64 bytes");
	else if (metadata != NULL && !is_object(metadata))
		refuse(o, 400, "metadata must be an object");
	else if (!read_client_id(o, member(req, "clientId")))
		refuse(o, 400, "clientId must be a string of 1 to 128 bytes");
	else if ((content == NULL || content->val.string.len == 0) && metadata == NULL)
		refuse(o, 400, "content is missing");
	else if (reply_to != NULL)
		read_reply_to(s, o, reply_to);
	if (o->problem != NULL)
		return;
	o->columns[COL_CONTENT] = content != NULL ? text_of(content) : not_null(PointerGetDatum(cstring_to_text("")));
	o->columns[COL_TYPE] = type != NULL ? text_of(type) : not_null(PointerGetDatum(cstring_to_text("text")));
	bytes = read_metadata(o, metadata) + (content != NULL ? content->val.string.len : 0);
	if (bytes > (Size) rt_max_message_size_bytes)
		refuse(o, 413, "message is too large");
}

/* All are null but what is read. */
static void
clear(struct outgoing *o)
{
	memset(o, 0, sizeof(*o));
	for (int i = 0; i < NCOLUMNS; i++)
		o->columns[i].isnull = true;
}

static void
read_request(const struct sending *s, struct outgoing *o, JsonbValue *item)
{
	JsonbValue *actor = is_object(item) ? member(item->val.binary.data, "actor") : NULL;
	JsonbValue *req = is_object(item) ? member(item->val.binary.data, "req") : NULL;

	clear(o);
	if (actor != NULL && actor->type == jbvString)
		o->columns[COL_SENDER] = text_of(actor);
	if (is_object(req))
		read_body(s, o, req->val.binary.data);
	else
		refuse(o, 400, "the request must be an object");
}

/* ---- may it be sent? ------------------------------------------------------------ */

/* What has been committed by now, under READ COMMITTED. */
static void
push_newest_snapshot(void)
{
	CommandCounterIncrement();
	PushActiveSnapshot(IsolationUsesXactSnapshot() ? GetTransactionSnapshot() : GetLatestSnapshot());
}

/* *admin: whether the member's role is that. */
static bool
is_member(int64 room_id, Datum user_id, bool *admin)
{
	Relation members = rt_row_open_table("room_members", AccessShareLock);
	Datum keys[2] = {Int64GetDatum(room_id), user_id};
	struct rt_row row;
	bool found;
	bool isnull;

	push_newest_snapshot();
	found = rt_row_find(&row, members, GetActiveSnapshot(), 2, keys);
	if (found)
	{
		Datum role = slot_getattr(row.slot, rt_row_column(RelationGetDescr(members), "role"), &isnull);

		*admin = strcmp(TextDatumGetCString(role), "admin") == 0;
	}
	rt_row_done(&row);
	PopActiveSnapshot();
	table_close(members, NoLock);
	return found;
}

/* The first column of the first row, in the caller's context; NULL: there is no row, or it is null there. */
static char *
ask(const struct sending *s, struct rt_query *query, Datum *values)
{
	char *text = NULL;

	if (rt_query_run(query, values, NULL, false) > 0)
		text = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	return text != NULL ? MemoryContextStrdup(s->context, text) : NULL;
}

/* Decides nothing that rt_private.send_refusal() would decide otherwise: where a rule of the room might refuse, that
 * is asked. */
static const char *
refusal(const struct sending *s, const struct rt_room_rules *rules, const struct outgoing *o)
{
	Datum values[2] = {Int64GetDatum(s->room_id), o->columns[COL_SENDER].value};
	bool admin;

	if (o->columns[COL_SENDER].isnull || !is_member(s->room_id, o->columns[COL_SENDER].value, &admin))
		return "room not found";
	if (!rules->archived && !rules->direct && (admin || !rules->admins_only))
		return NULL;
	return ask(s, &find_refusal, values);
}

static void
check(const struct sending *s, bool has_room, const struct rt_room_rules *rules, struct outgoing *o)
{
	const char *why;

	if (o->problem != NULL)
		return;
	why = has_room ? refusal(s, rules, o) : "room not found";
	if (why != NULL)
		refuse(o, strcmp(why, "room not found") == 0 ? 404 : 403, why);
}

static void
check_reply(const struct sending *s, const struct rt_room_rules *rules, struct outgoing *o)
{
	Datum values[2] = {Int64GetDatum(s->room_id), o->columns[COL_REPLY_TO].value};

	if (o->columns[COL_REPLY_TO].isnull)
		return;
	if ((rules->hides &&
		 rt_reference_is_hidden(s->room_id, o->columns[COL_SENDER].value, DatumGetInt64(values[1]))) ||
		rt_query_run(&find_message, values, NULL, false) == 0)
		refuse(o, 404, "message not found");
}

/* ---- sending --------------------------------------------------------------------- */

static bool
is_same_text(NullableDatum a, NullableDatum b)
{
	if (a.isnull || b.isnull)
		return a.isnull == b.isnull;
	return DatumGetBool(DirectFunctionCall2Coll(texteq, DEFAULT_COLLATION_OID, a.value, b.value));
}

static bool
is_same_id(const struct outgoing *a, const struct outgoing *b)
{
	return !a->columns[COL_CLIENT_ID].isnull && is_same_text(a->columns[COL_CLIENT_ID], b->columns[COL_CLIENT_ID]) &&
		   is_same_text(a->columns[COL_SENDER], b->columns[COL_SENDER]);
}

/* The message with this clientId, in case it was sent before. */
static void
look_for_sent(const struct sending *s, struct outgoing *o)
{
	Datum values[3] = {Int64GetDatum(s->room_id), o->columns[COL_SENDER].value, o->columns[COL_CLIENT_ID].value};
	char *message = o->columns[COL_CLIENT_ID].isnull ? NULL : ask(s, &find_sent, values);

	if (message == NULL)
		return;
	o->status = 200;
	o->message = message;
	o->message_len = strlen(message);
}

static bool
is_to_be_inserted(const struct outgoing *o)
{
	return o->status == 0;
}

static void
take_inserted(const struct sending *s, struct outgoing *o, int64 seq)
{
	Datum values[2] = {Int64GetDatum(s->room_id), Int64GetDatum(seq)};

	o->status = 201;
	o->message = rt_sent_find(s->sent, seq, &o->message_len);
	if (o->message != NULL)
		return;
	o->message = ask(s, &find_message, values);
	o->message_len = o->message != NULL ? strlen(o->message) : 0;
}

/* What the INSERT has returned. */
struct returned
{
	int64 seq;
	NullableDatum sender;
	NullableDatum client_id;
};

static NullableDatum
result_column(uint64 row, int column)
{
	NullableDatum datum;

	datum.value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &datum.isnull);
	return datum;
}

static bool
is_row_of(const struct returned *row, const struct outgoing *o)
{
	return is_same_text(row->sender, o->columns[COL_SENDER]) &&
		   is_same_text(row->client_id, o->columns[COL_CLIENT_ID]);
}

/* Rows come in the order of the messages, without those that a trigger of the application's has left out.  Where none
 * is missing the place tells, whatever a trigger has made of the sender. */
static void
take_returned(struct sending *s, const struct returned *rows, int nrows, int asked)
{
	int next = 0;

	for (int i = 0; i < s->n && next < nrows; i++)
	{
		struct outgoing *o = &s->out[i];

		if (is_to_be_inserted(o) && (nrows == asked || is_row_of(&rows[next], o)))
			take_inserted(s, o, rows[next++].seq);
	}
}

static void
run_insert(struct sending *s, struct rt_query *query, Datum *values, const char *nulls, int asked)
{
	int nrows = (int) rt_query_run(query, values, nulls, false);
	struct returned *rows = palloc(sizeof(*rows) * Max(nrows, 1));

	for (int i = 0; i < nrows; i++)
	{
		rows[i].seq = DatumGetInt64(result_column(i, 1).value);
		rows[i].sender = result_column(i, 2);
		rows[i].client_id = result_column(i, 3);
	}
	take_returned(s, rows, nrows, asked);
}

static void
send_alone(struct sending *s, const struct outgoing *o)
{
	Datum values[1 + NCOLUMNS] = {Int64GetDatum(s->room_id)};
	char nulls[1 + NCOLUMNS] = {' '};

	for (int i = 0; i < NCOLUMNS; i++)
	{
		values[1 + i] = o->columns[i].value;
		nulls[1 + i] = o->columns[i].isnull ? 'n' : ' ';
	}
	run_insert(s, o->columns[COL_CLIENT_ID].isnull ? &insert_one : &insert_one_with_id, values, nulls, 1);
}

static Datum
array_of(const struct sending *s, enum column column, int n)
{
	Oid type = column_types[column];
	Datum *values = palloc(sizeof(Datum) * n);
	bool *nulls = palloc(sizeof(bool) * n);
	int dims[1] = {n};
	int lower[1] = {1};
	int at = 0;

	for (int i = 0; i < s->n; i++)
	{
		if (!is_to_be_inserted(&s->out[i]))
			continue;
		values[at] = s->out[i].columns[column].value;
		nulls[at++] = s->out[i].columns[column].isnull;
	}
	return PointerGetDatum(construct_md_array(
		values, nulls, 1, dims, lower, type, type == INT8OID ? sizeof(int64) : -1,
		type == INT8OID ? FLOAT8PASSBYVAL : false, type == INT8OID ? TYPALIGN_DOUBLE : TYPALIGN_INT));
}

static void
send_together(struct sending *s, int n)
{
	Datum values[1 + NCOLUMNS] = {Int64GetDatum(s->room_id)};

	for (int i = 0; i < NCOLUMNS; i++)
		values[1 + i] = array_of(s, i, n);
	run_insert(s, &insert_many, values, NULL, n);
}

/* A clientId that comes twice in one batch was sent with the first of them. */
static void
take_repeated(const struct sending *s, struct outgoing *o)
{
	for (struct outgoing *first = s->out; first < o; first++)
	{
		if (first->problem != NULL || !is_same_id(first, o) || first->message == NULL)
			continue;
		o->status = 200;
		o->message = first->message;
		o->message_len = first->message_len;
		return;
	}
	/* Or a trigger of the application's has sent it, or left it out. */
	look_for_sent(s, o);
	o->status = 200;
}

/* The first of those with the same clientId goes.  What was sent before is found, even if what it answers is hidden
 * by now. */
static int
choose(struct sending *s, const struct rt_room_rules *rules, struct outgoing **last)
{
	int n = 0;

	for (int i = 0; i < s->n; i++)
	{
		struct outgoing *o = &s->out[i];

		if (o->problem == NULL)
			look_for_sent(s, o);
		if (is_to_be_inserted(o))
			check_reply(s, rules, o);
		if (!is_to_be_inserted(o))
			continue;
		*last = o;
		n++;
	}
	return n;
}

static void
send_all(struct sending *s)
{
	struct rt_room_rules rules = {0};
	bool has_room = rt_room_lock(s->room_id, &rules);
	struct outgoing *only = NULL;
	int n;

	for (int i = 0; i < s->n; i++)
		check(s, has_room, &rules, &s->out[i]);
	n = choose(s, &rules, &only);
	if (n == 1)
		send_alone(s, only);
	else if (n > 1)
		send_together(s, n);
	for (int i = 0; i < s->n; i++)
		if (is_to_be_inserted(&s->out[i]))
			take_repeated(s, &s->out[i]);
}

/* ---- answering -------------------------------------------------------------------- */

static const char *
code_of(int status)
{
	switch (status)
	{
		case 403:
			return "forbidden";
		case 404:
			return "not_found";
		case 413:
			return "too_large";
		default:
			return "bad_request";
	}
}

/* As rt_private.sentence() does it: a capital, unless the text begins with the name of a field. */
static char *
sentence(const char *problem)
{
	char *text = pstrdup(problem);
	Size word = strspn(text, "abcdefghijklmnopqrstuvwxyz");

	if (word > 0 && (text[word] == ' ' || text[word] == '\0'))
		text[0] = pg_ascii_toupper((unsigned char) text[0]);
	return text;
}

static void
put_result(StringInfo out, const struct outgoing *o)
{
	appendStringInfo(out, "{\"status\":%d,", o->status);
	if (o->problem != NULL)
	{
		appendStringInfo(out, "\"error\":{\"code\":\"%s\",\"message\":", code_of(o->status));
		escape_json(out, sentence(o->problem));
		appendStringInfoString(out, "}}");
		return;
	}
	appendStringInfoString(out, "\"data\":");
	if (o->message != NULL)
		appendBinaryStringInfo(out, o->message, o->message_len);
	else
		appendStringInfoString(out, "null");
	appendStringInfoChar(out, '}');
}

/* Messages have been read; the answers are in them, and in s->sent, when it returns. */
static void
run(struct sending *s)
{
	s->context = CurrentMemoryContext;
	s->sent = rt_sent_begin(s->room_id);
	PG_TRY();
	{
		SPI_connect();
		send_all(s);
		SPI_finish();
	}
	PG_FINALLY();
	{
		rt_sent_end(s->sent);
	}
	PG_END_TRY();
}

/* The rule, and what is said of others, is the SQL function's. */
static int64
room_id_of(Jsonb *req)
{
	Datum value = JsonbPGetDatum(req);
	JsonbValue *id = JB_ROOT_IS_OBJECT(req) ? member(&req->root, "roomId") : NULL;
	int64 number;
	bool isnull;

	if (id != NULL && id->type == jbvString)
	{
		const char *at = id->val.string.val;
		const char *end = at + id->val.string.len;

		if (at < end && *at != '0' && read_digits(&at, end, &number) && at == end)
			return number;
	}
	SPI_connect();
	rt_query_run(&read_room_id, &value, NULL, true);
	number = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	return number;
}

static Jsonb *
request_of(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_RT(400)), errmsg("roomId is missing")));
	return PG_GETARG_JSONB_P(1);
}

static JsonbContainer *
requests_of(Jsonb *req)
{
	JsonbValue *requests = JB_ROOT_IS_OBJECT(req) ? member(&req->root, "requests") : NULL;

	if (requests == NULL || requests->type != jbvBinary || !JsonContainerIsArray(requests->val.binary.data))
		ereport(ERROR, (errcode(ERRCODE_RT(400)), errmsg("requests must be an array")));
	if (JsonContainerSize(requests->val.binary.data) > MOST_REQUESTS)
		ereport(ERROR, (errcode(ERRCODE_RT(413)), errmsg("requests may have %d elements", MOST_REQUESTS)));
	return requests->val.binary.data;
}

/* rt_api.message_send_batch(actor text, req jsonb) returns json */
Datum
rt_send_batch(PG_FUNCTION_ARGS)
{
	struct sending s = {0};
	JsonbContainer *requests;
	StringInfoData out;

	s.room_id = room_id_of(request_of(fcinfo));
	requests = requests_of(request_of(fcinfo));
	s.n = JsonContainerSize(requests);
	s.out = palloc(sizeof(*s.out) * Max(s.n, 1));
	for (int i = 0; i < s.n; i++)
		read_request(&s, &s.out[i], getIthJsonbValueFromContainer(requests, i));
	run(&s);
	initStringInfo(&out);
	appendStringInfoString(&out, "{\"results\":[");
	for (int i = 0; i < s.n; i++)
	{
		appendStringInfoString(&out, i == 0 ? "" : ",");
		put_result(&out, &s.out[i]);
	}
	appendStringInfoString(&out, "]}");
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/* As rt_private.act_as(), which is asked where the name might be a guest's. */
static void
become(const text *actor)
{
	const char *prefix = "guest-";
	Datum value = PointerGetDatum(actor);

	if (VARSIZE_ANY_EXHDR(actor) >= strlen(prefix) && memcmp(VARDATA_ANY(actor), prefix, strlen(prefix)) == 0)
	{
		SPI_connect();
		rt_query_run(&act_as, &value, NULL, false);
		SPI_finish();
		return;
	}
	(void) set_config_option("rt.user_id", text_to_cstring(actor), superuser() ? PGC_SUSET : PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* rt_api.message_send(actor text, req jsonb) returns json */
Datum
rt_send_one(PG_FUNCTION_ARGS)
{
	const text *actor = PG_ARGISNULL(0) ? cstring_to_text("") : PG_GETARG_TEXT_PP(0);
	Jsonb *req;
	struct sending s = {.n = 1};
	struct outgoing o;
	StringInfoData out;

	become(actor);
	req = request_of(fcinfo);
	s.room_id = room_id_of(req);
	s.out = &o;
	clear(&o);
	if (!PG_ARGISNULL(0))
		o.columns[COL_SENDER] = not_null(PointerGetDatum(actor));
	read_body(&s, &o, &req->root);
	run(&s);
	if (o.problem != NULL)
		ereport(ERROR, (errcode(ERRCODE_RT(o.status)), errmsg("%s", o.problem)));
	initStringInfo(&out);
	put_result(&out, &o);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
