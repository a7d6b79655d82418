/* route.c: see route.h.  A route that nobody here understands is of a newer release: it concerns nobody. */
#include "route.h"

#include <string.h>

/* The one form that matters for speed: {"room":"123"} */
static bool
parse_plain_room(struct rt_route *r, const char *text, size_t len)
{
	static const char head[] = "{\"room\":\"";
	size_t head_len = sizeof(head) - 1;
	size_t digits;

	if (len < head_len + 3 || memcmp(text, head, head_len) != 0 || memcmp(text + len - 2, "\"}", 2) != 0)
		return false;
	digits = len - head_len - 2;
	if (digits > RT_ID_LEN || memchr(text + head_len, '"', digits) != NULL)
		return false;
	memcpy(r->room, text + head_len, digits);
	r->room[digits] = '\0';
	r->kind = RT_ROUTE_ROOM;
	return true;
}

static enum rt_route_kind
kind_of(const json_t *route)
{
	if (rt_json_array(route, "rooms") != NULL || rt_json_str(route, "contacts") != NULL)
		return RT_ROUTE_CONTACTS;
	if (json_object_get(route, "room") != NULL)
		return RT_ROUTE_ROOM;
	if (json_object_get(route, "unjoined") != NULL)
		return RT_ROUTE_UNJOINED;
	if (rt_json_array(route, "users") != NULL)
		return RT_ROUTE_USERS;
	if (json_object_get(route, "meeting") != NULL)
		return RT_ROUTE_MEETING;
	if (rt_json_bool(route, "gateway", false))
		return RT_ROUTE_GATEWAY;
	return RT_ROUTE_NONE;
}

void
rt_route_parse(struct rt_route *r, const char *text, size_t len)
{
	memset(r, 0, sizeof(*r));
	if (parse_plain_room(r, text, len))
		return;
	r->json = rt_json_parse_object(text, len);
	r->kind = kind_of(r->json);
	if (r->kind == RT_ROUTE_ROOM && !rt_json_get_id(r->json, "room", r->room))
		r->kind = RT_ROUTE_NONE;
	if (r->kind == RT_ROUTE_UNJOINED && !rt_json_get_id(r->json, "unjoined", r->room))
		r->kind = RT_ROUTE_NONE;
	if (r->kind == RT_ROUTE_MEETING && !rt_json_get_id(r->json, "meeting", r->room))
		r->kind = RT_ROUTE_NONE;
}

void
rt_route_fini(struct rt_route *r)
{
	json_decref(r->json);
	r->json = NULL;
}

const char *
rt_route_except(const struct rt_route *r)
{
	return rt_json_str(r->json, "except");
}
