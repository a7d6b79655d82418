/* event.h: events of clients: from a name to what is done, and the answers.
 *
 * What can be asked stands in static tables, one a file; main joins them at the start. */
#ifndef RT_EVENT_H
#define RT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/db/db.h"
#include "bgworker/gateway/socketio/socket.h"

struct rt_app;
struct rt_client;
struct rt_event;

/* Either fn (a function of rt_api, whose result is the answer) or handle. */
struct rt_event_def
{
	const char *name;
	const char *alias; /* NULL */
	const char *fn;
	const char *reply; /* the event that goes to the caller with the same content; NULL */
	void (*handle)(struct rt_event *e);
	bool writes;  /* counts against rt.rate_messages of the user */
	bool barrier; /* later events of the client wait until this one has been answered */
};

/* One event of a client, from its arrival to its answer.  Owned by whoever got it: each ends with exactly one of
 * the answers below, which frees it. */
struct rt_event
{
	struct rt_app *app;
	const struct rt_event_def *def;
	const char *name; /* the one of def's that the client used */
	uint64_t client;  /* serial */
	int64_t ack;
	const char *arg; /* JSON object; lent while handle() runs, then NULL */
	size_t arg_len;
	void *data; /* the handler's */
};

void rt_events_add_table(const struct rt_event_def *defs, size_t n); /* static memory */

/* What the transport calls; arg is the app. */
void rt_event_on_event(void *arg, struct rt_socket *s, const struct rt_socket_event *e);

struct rt_client *rt_event_client(const struct rt_event *e); /* NULL: it has left */

/* Calls rt_api.<fn> with the argument, the keys "sid" and "gateway" added; on_reply with the event as arg. */
void rt_event_call(struct rt_event *e, const char *fn, void (*on_reply)(void *arg, const struct rt_db_reply *reply));
/* With more keys, as `"key":value`, which stand over the client's; NULL: none.  on_reply gets arg. */
void rt_event_call_with(struct rt_event *e, enum rt_db_lane lane, const char *fn, const char *keys, rt_db_cb on_reply,
						void *arg);

/* The answers.  json is an object: the event def->reply gets it, the ack `{"success":true,…}` with its keys. */
void rt_event_answer(struct rt_event *e, const char *json, size_t len);
void rt_event_fail(struct rt_event *e, const char *code, const char *message);
void rt_event_answer_reply(struct rt_event *e, const struct rt_db_reply *reply); /* one of the two */

/* An event to one client, with its position at the end. */
void rt_client_emit(struct rt_app *app, struct rt_client *c, const char *name, const char *json, size_t len);

/* As if the client had emitted it, without an ack, behind what it waits for. */
void rt_event_inject(struct rt_app *app, struct rt_client *c, const char *name, const char *json);

/* While the client's count of barriers is above 0 its events are held, in order and up to a limit. */
void rt_event_raise_barrier(struct rt_client *c);
void rt_event_lower_barrier(struct rt_app *app, struct rt_client *c);
void rt_event_forget_held(struct rt_client *c);

#endif
