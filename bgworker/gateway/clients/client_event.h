/* client_event.h: events of clients: from a name to what is done, and the answers.
 *
 * What can be asked stands in static tables: each module that handles some adds its table, with itself as the owner.
 * This one knows no event. */
#ifndef RT_CLIENT_EVENT_H
#define RT_CLIENT_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/db/db.h"
#include "bgworker/common/json.h"
#include "bgworker/gateway/socketio/socket.h"
#include "bgworker/gateway/text/json_scan.h"

struct rt_bus;
struct rt_client;
struct rt_clients;
struct rt_counters;
struct rt_client_event;
struct rt_dbread;
struct rt_client_events;
struct rt_loop;
struct rt_rates;
struct rt_rates_settings;
struct rt_self;

/* Either fn (a function of rt_api, whose result is the answer) or handle. */
struct rt_client_event_def
{
	const char *name;
	const char *alias; /* NULL */
	const char *fn;
	const char *reply; /* the event that goes to the caller with the same content; NULL */
	void (*handle)(struct rt_client_event *e);
	bool reads;   /* a hot standby may answer, see dbread.h */
	bool writes;  /* counts against rt.rate_messages of the user */
	bool barrier; /* later events of the client wait until this one has been answered */
};

/* One event of a client, from its arrival to its answer.  Owned by whoever got it: each ends with exactly one of
 * the answers below, which frees it. */
struct rt_client_event
{
	struct rt_client_events *events;
	void *owner; /* of the table that def stands in */
	const struct rt_client_event_def *def;
	const char *name; /* the one of def's that the client used */
	uint64_t client;  /* serial */
	int64_t ack;
	const struct rt_json_members *arg; /* the client's argument, an object; lent while handle() runs */
	void *data;                        /* the handler's */
};

/* What it uses; all is lent, and must live as long. */
struct rt_client_events_uses
{
	struct rt_loop *loop;
	struct rt_db *db;
	struct rt_dbread *reads;
	const struct rt_bus *bus;
	const struct rt_self *self;
	const struct rt_clients *clients;
	struct rt_counters *counters;
	struct rt_rates *writers; /* by user: of what is written, by events and by REST */
	const struct rt_rates_settings *rates;
};

struct rt_client_events *rt_client_events_new(const struct rt_client_events_uses *uses);
void rt_client_events_free(struct rt_client_events *es); /* the database's callbacks must have ended; NULL is fine */

/* The table is static memory. A name or alias may stand in one table only. */
void rt_client_events_add(struct rt_client_events *es, const struct rt_client_event_def *defs, size_t n, void *owner);

/* A client's socket has got an event. */
void rt_client_event_arrive(struct rt_client_events *es, struct rt_socket *s, const struct rt_socket_event *e);

struct rt_client *rt_client_event_client(const struct rt_client_event *e); /* NULL: it has left */

/* Of the argument, while handle() runs.  False: the key is missing, or its value is of another kind. */
bool rt_client_event_id(const struct rt_client_event *e, const char *key, char id[RT_ID_LEN + 1]);
bool rt_client_event_bool(const struct rt_client_event *e, const char *key, bool *value);
bool rt_client_event_has_string(const struct rt_client_event *e, const char *key);
bool rt_client_event_array(const struct rt_client_event *e, const char *key, struct rt_json_level *items);

/* Calls rt_api.<fn> with the argument, the keys "sid" and "gateway" added; on_reply with the event as arg.  NULL:
 * the reply is the answer. */
void rt_client_event_call(struct rt_client_event *e, const char *fn, rt_db_cb on_reply);
/* With more keys, as `"key":value`, which stand over the client's; NULL: none.  on_reply gets arg. */
void rt_client_event_call_with(struct rt_client_event *e, enum rt_db_lane lane, const char *fn, const char *keys,
							   rt_db_cb on_reply, void *arg);

/* The answers.  json is an object: the event def->reply gets it, the ack `{"success":true,…}` with its keys. */
void rt_client_event_answer(struct rt_client_event *e, const char *json, size_t len);
void rt_client_event_fail(struct rt_client_event *e, const char *code, const char *message);
void rt_client_event_answer_reply(struct rt_client_event *e, const struct rt_db_reply *reply); /* one of the two */

/* As if the client had emitted it, without an ack, behind what it waits for. */
void rt_client_event_inject(struct rt_client_events *es, struct rt_client *c, const char *name, const char *json);

/* While the client's count of barriers is above 0 its events are held, in order and up to a limit. */
void rt_client_event_raise_barrier(struct rt_client *c);
void rt_client_event_lower_barrier(struct rt_client_events *es, struct rt_client *c);
void rt_client_event_forget_held(struct rt_client *c);

#endif
