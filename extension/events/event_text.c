/* event_text.c: writes the text of one event; see event_text.h.  Route and payload are JSON already, and go in as
 * they are.  Runs in the relay, for notifications, and in a backend, for the log.  Appends to the caller's
 * buffer; takes no lock, and raises only for want of memory. */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "event_text.h"

PG_FUNCTION_INFO_V1(rt_event_text);

static void
put_head(StringInfo out, const struct rt_event_text *e)
{
	appendStringInfoString(out, "{\"event\":");
	escape_json(out, e->name);
	if (e->pos != 0)
		appendStringInfo(out, ",\"offset\":\"" INT64_FORMAT "\"", e->pos);
}

static void
put_route(StringInfo out, const struct rt_event_text *e)
{
	if (e->route != NULL)
		appendStringInfo(out, ",\"route\":%s", e->route);
	else
		appendStringInfo(out, ",\"route\":{\"room\":\"" INT64_FORMAT "\"}", e->room_id);
}

void
rt_event_text_put(StringInfo out, const struct rt_event_text *e)
{
	const char *rest = e->payload + 1;

	put_head(out, e);
	put_route(out, e);
	rest += strspn(rest, " \t\r\n");
	if (*rest != '}')
		appendStringInfoChar(out, ',');
	appendStringInfoString(out, rest);
}

static void
put_numbers(StringInfo out, const struct rt_event_text *e)
{
	if (e->room_id != 0)
		appendStringInfo(out, ",\"roomId\":\"" INT64_FORMAT "\"", e->room_id);
	if (e->seq != 0)
		appendStringInfo(out, ",\"seq\":" INT64_FORMAT, e->seq);
	appendStringInfoString(out, ",\"truncated\":true}");
}

void
rt_event_text_put_truncated(StringInfo out, const struct rt_event_text *e)
{
	int start = out->len;
	int before_route;

	put_head(out, e);
	before_route = out->len;
	put_route(out, e);
	put_numbers(out, e);
	if (out->len - start <= RT_NOTIFICATION_BYTES)
		return;
	/* A route that is itself too long. */
	out->len = before_route;
	appendStringInfoString(out, ",\"route\":{\"truncated\":true}");
	put_numbers(out, e);
}

/* Inside a JSON string the quotes would be escaped, so this finds the key alone. */
bool
rt_event_text_is_private(const struct rt_event_text *e)
{
	const char *value = e->route == NULL ? NULL : strstr(e->route, "\"private\"");

	if (value == NULL)
		return false;
	value += strlen("\"private\"");
	value += strspn(value, " \t\r\n:");
	return strncmp(value, "true", strlen("true")) == 0;
}

static char *
text_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* rt_private.event_text(pos bigint, event text, route text, room_id bigint, payload text) returns text */
Datum
rt_event_text(PG_FUNCTION_ARGS)
{
	struct rt_event_text e = {0};
	StringInfoData out;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(4))
		PG_RETURN_NULL();
	e.pos = PG_GETARG_INT64(0);
	e.name = text_or_null(fcinfo, 1);
	e.route = text_or_null(fcinfo, 2);
	e.room_id = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT64(3);
	e.payload = text_or_null(fcinfo, 4);
	initStringInfo(&out);
	rt_event_text_put(&out, &e);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
