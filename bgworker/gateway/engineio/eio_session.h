/* eio_session.h: sessions of Engine.IO v4: from the handshake to the close, on whatever carries them.
 *
 * The body is open to the other files of this folder (engineio.c, polling.c, upgrade.c), which are one server in four
 * parts; each field says who writes it.  The layer above uses the functions of the first part alone. */
#ifndef RT_EIO_SESSION_H
#define RT_EIO_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/common/map.h"
#include "bgworker/common/result.h"
#include "bgworker/common/wheel.h"
#include "bgworker/gateway/http/httpconn.h"
#include "bgworker/gateway/http/share.h"
#include "bgworker/gateway/http/traffic.h"
#include "frame.h"
#include "id.h"
#include "outq.h"
#include "websocket.h"

struct rt_eio_session;
struct rt_eio_sessions;
struct rt_loop;

/* All but `worker` and `number` may change at a reload, for sessions that begin after it. */
struct rt_eio_settings
{
	uint32_t ping_interval_ms;
	uint32_t ping_timeout_ms;
	size_t max_queued_bytes; /* for one session, which is cut off above it */
	int worker;              /* this worker's number among those of its host */
	int number;              /* among all gateways of the database: each session id begins with it */
};

#define RT_EIO_MAX_WORKERS 36
#define RT_EIO_MAX_NUMBER 99999
#define RT_EIO_NUMBER_DIGITS 5

/* Called from the loop, never from within the functions that the layer above calls. */
struct rt_eio_handler
{
	void *(*on_open)(void *arg, struct rt_eio_session *s); /* returns what the others get as owner */
	void (*on_message)(void *owner, const char *data, size_t len, bool binary); /* without the packet type */
	void (*on_close)(void *owner, const char *reason); /* the session is not valid after it */
	bool (*on_full)(void *arg);                        /* ends one for a new one; false: none may go */
	void *arg;
};

/* ---- for the layer above ------------------------------------------------------ */

/* Queues a message packet and writes when the turn ends.  A queue that is full cuts the session off. */
void rt_eio_session_send(struct rt_eio_session *s, struct rt_frame *f);
void rt_eio_session_close(struct rt_eio_session *s, const char *reason);           /* when the turn ends */
void rt_eio_session_close_when_sent(struct rt_eio_session *s, const char *reason); /* what is queued goes out first */

/* The session is a user's from now on: what it sends is at their expense, and may be as large as limits allow. */
void rt_eio_session_admit(struct rt_eio_session *s, const char *user);

/* What the log calls the session: the Socket.IO id, which rt.stat_connections has too.  Ours must stay secret. */
void rt_eio_session_set_name(struct rt_eio_session *s, const char *name); /* lent until the session ends */

struct rt_share *rt_eio_session_share(const struct rt_eio_session *s); /* whose it is; lent; NULL: it has ended */
const char *rt_eio_session_peer(const struct rt_eio_session *s);
const char *rt_eio_session_bearer(const struct rt_eio_session *s);    /* of the handshake's Authorization; or NULL */
bool rt_eio_session_without_recovery(const struct rt_eio_session *s); /* the handshake has ?recovery=0 or false */
const char *rt_eio_session_query_token(const struct rt_eio_session *s); /* of the handshake's ?token=; or NULL */
bool rt_eio_session_is_websocket(const struct rt_eio_session *s);
size_t rt_eio_session_queued_bytes(const struct rt_eio_session *s);
int64_t rt_eio_session_latency_us(const struct rt_eio_session *s); /* -1: not known yet */

/* ---- for this folder ------------------------------------------------------------ */

/* Codes of the reference implementation. */
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

/* How a session that is on long-polling reaches the client: polling.c. */
struct rt_eio_poller
{
	void (*flush)(struct rt_eio_session *s); /* answers the GET that waits, if there is one and something to say */
	void (*end)(struct rt_eio_session *s, bool by_client); /* gives the requests that it holds their last answer */
};

/* A websocket that may take a polling session over: see upgrade.c. */
struct rt_eio_probe
{
	struct rt_websocket *ws;
	struct rt_wheel_entry timeout;
	struct rt_eio_session *session;
	bool answered; /* 2probe came, 3probe went; written by upgrade.c */
};

/* What a delivery touches stands first, so that it lies in two lines of the cache. */
struct rt_eio_session
{
	struct rt_eio_sessions *set;
	struct rt_websocket *ws; /* NULL while on polling */
	struct rt_eio_session *next_dirty;
	const char *close_reason; /* to be closed; static */
	struct rt_outq queue;
	bool dirty; /* on the list of those with something to do when the turn ends */
	bool closes_when_sent;
	bool closed;
	bool awaits_pong;
	void *owner;            /* the layer above's */
	struct rt_share *share; /* of the address it came from, then of the user */
	struct rt_eio_probe *probe;
	struct rt_httpconn *poll; /* the GET that waits for packets; polling.c */
	struct rt_httpconn *post; /* the POST that is being read; polling.c */
	struct rt_wheel_entry heartbeat;
	uint64_t ping_sent_us;
	int64_t latency_us;
	uint32_t ping_interval_ms; /* as the client was told */
	uint32_t ping_timeout_ms;
	char sid[RT_EIO_NUMBER_DIGITS + 1 + RT_RANDOM_ID_LEN +
			 1]; /* number, dot, random: whoever knows it has the session */
	bool without_recovery;
	const char *name; /* of the layer above; "" until it has one */
	char *peer;
	char *bearer;
	char *query_token;
};

/* All sessions of a server.  For others than eio_session.c: read-only, but `leaving`. */
struct rt_eio_sessions
{
	struct rt_loop *loop;
	struct rt_wheel *wheel;
	const struct rt_traffic_limits *limits;
	const struct rt_eio_settings *settings;
	struct rt_traffic *traffic;
	struct rt_shares *shares;
	struct rt_eio_handler handler;
	struct rt_eio_poller poller;
	struct rt_map *by_sid;
	struct rt_eio_session *first_dirty;
	struct rt_eio_session *last_dirty;
	struct rt_frame *ping;
	bool flush_deferred;
	bool leaving; /* the server goes: websockets are told so (1001) */
};

void rt_eio_sessions_init(struct rt_eio_sessions *set); /* the fields above `by_sid` have been set */
void rt_eio_sessions_fini(struct rt_eio_sessions *set); /* ends all */

struct rt_eio_session *rt_eio_session_new(struct rt_eio_sessions *set, const struct rt_http_head *h,
										  const char *query, const struct rt_httpconn *c);
void rt_eio_session_open(struct rt_eio_session *s, struct rt_websocket *ws); /* ws NULL: on polling */
void rt_eio_session_discard(struct rt_eio_session *s);                       /* one that was never opened */
void rt_eio_session_mark_dirty(struct rt_eio_session *s);
void rt_eio_session_flush(struct rt_eio_session *s);                   /* what waits, as far as it can be taken */
void rt_eio_session_end(struct rt_eio_session *s, const char *reason); /* at once; not from within the application */

void rt_eio_session_abort(struct rt_eio_session *s, const char *reason); /* the same, and its connection at once */

/* From the client.  RT_BAD_INPUT: the session ends, and nothing more that the client sent may be looked at. */
enum rt_result rt_eio_session_packet(struct rt_eio_session *s, const char *packet, size_t len);
enum rt_result rt_eio_session_binary(struct rt_eio_session *s, const char *data, size_t len);
bool rt_eio_session_is_ending(const struct rt_eio_session *s); /* closed, or about to be when the turn ends */

/* The websocket that the session is on, or its probe, has closed. */
void rt_eio_session_lose_websocket(struct rt_eio_session *s, const struct rt_websocket *ws);

/* A session on polling has at most one probe; it ends with the session, after a time, or when it takes over. */
void rt_eio_session_set_probe(struct rt_eio_session *s, struct rt_websocket *ws);
void rt_eio_session_drop_probe(struct rt_eio_session *s); /* closes its websocket; none is fine */
void rt_eio_session_move(struct rt_eio_session *s);       /* onto the probe's websocket */

/* A request of the session: it counts against the session's user or address. */
void rt_eio_session_own(struct rt_eio_session *s, struct rt_httpconn *c);

void rt_eio_session_refuse(struct rt_httpconn *c, enum rt_eio_error error); /* {"code":n,"message":"…"} */

#endif
