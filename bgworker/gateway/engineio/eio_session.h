/* eio_session.h: what the parts of Engine.IO (engineio.c, eio_session.c, polling.c, upgrade.c) know of a session.
 * For them alone. */
#ifndef RT_EIO_SESSION_H
#define RT_EIO_SESSION_H

#include "bgworker/common/loop.h"
#include "bgworker/common/map.h"
#include "bgworker/common/wheel.h"
#include "engineio.h"
#include "id.h"
#include "outq.h"
#include "websocket.h"

/* Codes and messages of the reference implementation. */
enum rt_eio_error
{
	RT_EIO_UNKNOWN_TRANSPORT = 0,
	RT_EIO_UNKNOWN_SID = 1,
	RT_EIO_BAD_METHOD = 2,
	RT_EIO_BAD_REQUEST = 3,
	RT_EIO_FORBIDDEN = 4,
	RT_EIO_BAD_VERSION = 5,
	RT_EIO_NO_ERROR
};

/* A websocket that may take a polling session over. */
struct rt_probe
{
	struct rt_ws *ws;
	struct rt_wheel_entry timeout;
	struct rt_eio_session *session;
	bool answered; /* 2probe came, 3probe went */
};

/* What a delivery touches stands first, so that it lies in two lines of the cache. */
struct rt_eio_session
{
	struct rt_eio *eio;
	struct rt_ws *ws; /* NULL while on polling */
	struct rt_eio_session *next_dirty;
	const char *close_reason; /* to be closed; static */
	struct rt_outq queue;
	bool dirty; /* on the list of those with something to do when the turn ends */
	bool closes_when_sent;
	bool closed;
	bool awaits_pong;
	void *owner;
	struct rt_probe *probe;
	struct rt_httpconn *poll; /* the GET that waits for packets */
	struct rt_httpconn *post; /* the POST that is being read */
	struct rt_wheel_entry heartbeat;
	uint64_t ping_sent_us;
	int64_t latency_us;
	uint32_t ping_interval_ms; /* as the client was told */
	uint32_t ping_timeout_ms;
	char sid[2 + RT_RANDOM_ID_LEN + 1];
	const char *name; /* of the layer above; "" until it has one */
	char *peer;
	char *bearer;
	char *query_token;
};

struct rt_eio
{
	struct rt_loop *loop;
	struct rt_wheel *wheel;
	const struct rt_transport_options *conf;
	struct rt_transport_stats *stats;
	struct rt_eio_handler handler;
	struct rt_ws_server *ws_server;
	struct rt_map *sessions; /* by sid */
	struct rt_eio_session *first_dirty;
	struct rt_eio_session *last_dirty;
	struct rt_frame *ping;
	struct rt_frame *noop;
	bool flush_deferred;
	bool draining;
	bool refusing; /* new sessions */
};

/* eio_session.c */
struct rt_eio_session *rt_eio_session_new(struct rt_eio *e, const struct rt_http_head *h, const char *query,
										  const char *peer);
void rt_eio_session_open(struct rt_eio_session *s);    /* announces it and queues the handshake packet */
void rt_eio_session_discard(struct rt_eio_session *s); /* one that was never opened */
void rt_eio_session_mark_dirty(struct rt_eio_session *s);
void rt_eio_session_push(struct rt_eio_session *s, struct rt_frame *f); /* any packet */
void rt_eio_session_end(struct rt_eio_session *s, const char *reason);  /* at once; not from within the application */
enum rt_result rt_eio_session_packet(struct rt_eio_session *s, const char *packet,
									 size_t len); /* RT_BAD_INPUT: it closes */
enum rt_result rt_eio_session_binary(struct rt_eio_session *s, const char *data, size_t len);
void rt_eio_session_on_ws_message(void *owner, struct rt_ws *ws, const char *data, size_t len, bool binary);
void rt_eio_session_on_ws_writable(void *owner, struct rt_ws *ws);
void rt_eio_session_on_ws_closed(void *owner, struct rt_ws *ws);
void rt_eio_drop_dirty(struct rt_eio *e); /* frees the sessions that ended while on the dirty list */

/* engineio.c */
enum rt_eio_error rt_eio_check(struct rt_eio *e, const struct rt_http_head *h, const char *query, bool upgrade,
							   struct rt_eio_session **sp); /* *sp is NULL for a handshake */
void rt_eio_refuse(struct rt_httpconn *c, enum rt_eio_error error);

/* polling.c */
void rt_polling_get(struct rt_eio_session *s, struct rt_httpconn *c);
void rt_polling_post(struct rt_eio_session *s, struct rt_httpconn *c, const struct rt_http_head *h, const char *body,
					 size_t len);
enum rt_http_verdict rt_polling_post_begins(struct rt_eio_session *s, struct rt_httpconn *c);
void rt_polling_flush(struct rt_eio_session *s);
void rt_polling_abandoned(struct rt_eio_session *s, struct rt_httpconn *c);
void rt_polling_end(struct rt_eio_session *s,
					bool by_client); /* the session ends: the requests get their last answer */

/* upgrade.c */
enum rt_http_verdict rt_upgrade_begin(struct rt_eio *e, struct rt_eio_session *s, struct rt_httpconn *c,
									  const struct rt_http_head *h, const char *query);
void rt_upgrade_message(struct rt_eio_session *s, const char *data, size_t len, bool binary);
void rt_upgrade_end(struct rt_eio_session *s); /* gives the probe up, if there is one */

#endif
