/* route.h: who gets an event of the bus. */
#ifndef RT_ROUTE_H
#define RT_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "bgworker/common/json.h"

struct rt_app;
struct rt_client;
struct rt_frame;
struct rt_notice;
struct rt_socket;
struct rt_user;

enum rt_route_kind
{
	RT_ROUTE_NONE, /* for none of us */
	RT_ROUTE_ROOM,
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

/* Sends the event to whom it concerns here, and keeps it for those who come back. */
void rt_route_dispatch(struct rt_app *app, const struct rt_notice *n);

/* To every live client of the user but one. */
void rt_route_to_user(struct rt_user *u, struct rt_frame *f, const struct rt_socket *except);

#endif
