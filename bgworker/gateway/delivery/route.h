/* route.h: whom an event of the bus concerns: reads its route. */
#ifndef RT_ROUTE_H
#define RT_ROUTE_H

#include <stddef.h>

#include <jansson.h>

#include "bgworker/common/json.h"

enum rt_route_kind
{
	RT_ROUTE_NONE, /* for none of us */
	RT_ROUTE_ROOM,
	RT_ROUTE_UNJOINED, /* the sockets of a room's members that have not joined it */
	RT_ROUTE_USERS,
	RT_ROUTE_CONTACTS,
	RT_ROUTE_MEETING,
	RT_ROUTE_GATEWAY
};

struct rt_route
{
	enum rt_route_kind kind;
	char room[RT_ID_LEN + 1]; /* or meeting */
	json_t *json;             /* the whole route; NULL for a room without more */
};

void rt_route_parse(struct rt_route *r, const char *text, size_t len);
void rt_route_fini(struct rt_route *r);
const char *rt_route_except(const struct rt_route *r); /* socket id; NULL */

#endif
