/* typing.h: who is typing where: soft state that ends by itself unless the client repeats it. */
#ifndef RT_TYPING_H
#define RT_TYPING_H

#include <stdbool.h>

#include "bgworker/gateway/clients/client_event.h"

struct rt_client;
struct rt_db;
struct rt_loop;
struct rt_typings;

/* Where: a chat room, or a meeting.  Ids are decimal digits. */
enum rt_typing_place
{
	RT_TYPING_ROOM,
	RT_TYPING_MEETING
};

struct rt_typings *rt_typings_new(struct rt_loop *l, struct rt_db *db);
void rt_typings_free(struct rt_typings *ts); /* NULL is fine */

/* The client types (on).  True if the others should be told now; false if they were within the last second. */
bool rt_typing_start(struct rt_typings *ts, struct rt_client *c, enum rt_typing_place place, const char *id);
/* It stopped.  True if it was typing. */
bool rt_typing_stop(struct rt_typings *ts, struct rt_client *c, enum rt_typing_place place, const char *id);
/* Stopped without saying so: the others are told, for one place, or for all when the client leaves. */
void rt_typing_end(struct rt_typings *ts, struct rt_client *c, enum rt_typing_place place, const char *id);
void rt_typing_end_all(struct rt_typings *ts, struct rt_client *c);

/* Answers the client's event that says so.  The others are told by the database, unless they were within the last
 * second. */
void rt_typing_tell(struct rt_typings *ts, struct rt_client_event *e, enum rt_typing_place place, const char *id,
					bool typing);

#endif
