/* httpconn_impl.h: what httpconn.c and httpreply.c know of a connection.  For them alone. */
#ifndef RT_HTTPCONN_IMPL_H
#define RT_HTTPCONN_IMPL_H

#include <time.h>

#include "bgworker/common/buf.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/map.h"
#include "bgworker/common/wheel.h"
#include "httpconn.h"

#define RT_HTTPCONN_READ_BYTES 65536

enum rt_httpconn_state
{
	RT_HTTPCONN_READING_HEAD,
	RT_HTTPCONN_READING_BODY,
	RT_HTTPCONN_ANSWERING, /* the handler has the request */
	RT_HTTPCONN_WRITING,   /* the reply is not yet all with the kernel */
	RT_HTTPCONN_LINGERING, /* our side is shut down, what comes is thrown away */
	RT_HTTPCONN_CLOSED     /* freed when the turn ends */
};

struct rt_httpconn
{
	struct rt_httpserver *server;
	struct rt_httpconn *next; /* of all connections */
	struct rt_httpconn *prev;
	struct rt_watch *watch;
	int fd;
	enum rt_httpconn_state state;
	uint64_t id; /* of the current request; 0: none */
	struct rt_wheel_entry timeout;
	struct rt_buf in;
	struct rt_buf chunked; /* decoded body */
	struct rt_http_chunks chunks;
	struct rt_buf out;
	const char *tail; /* static body that follows `out` */
	size_t tail_len;
	size_t head_len;
	size_t body_len;   /* with a known length */
	size_t counted;    /* among held_bytes */
	size_t unsent;     /* among unsent_bytes */
	size_t write_goal; /* so little is to be left of the reply when its time is over */
	size_t lingered;
	uint32_t replies; /* after which the connection went on */
	void *owner;
	char *headers;
	bool is_chunked;
	bool keep_alive;
	bool old_version; /* HTTP/1.0 */
	bool head_only;
	bool held;
	bool eof;
	bool processing; /* process() is on the stack */
	bool resuming;   /* process() is deferred */
	char peer[46];
	char client[46]; /* of the current request; empty: the peer */
};

struct rt_httpserver
{
	struct rt_loop *loop;
	struct rt_wheel *wheel;
	const struct rt_transport_options *conf;
	struct rt_transport_stats *stats;
	struct rt_http_handler handler;
	struct rt_map *requests; /* by id, those that are being answered */
	struct rt_httpconn *first;
	uint64_t last_id;
	bool draining;
	time_t date_at;
	char date[32];
	char scratch[RT_HTTPCONN_READ_BYTES];
};

/* httpconn.c */
void rt_httpconn_close(struct rt_httpconn *c);
void rt_httpconn_watch(struct rt_httpconn *c);   /* asks the loop for what the state needs */
void rt_httpconn_process(struct rt_httpconn *c); /* goes on with what has been read */
void rt_httpconn_forget_request(struct rt_httpconn *c);

/* httpreply.c */
void rt_httpconn_forget_reply(struct rt_httpconn *c);
enum rt_result rt_httpconn_send_out(struct rt_httpconn *c); /* RT_AGAIN: the kernel takes no more for now */
void rt_httpconn_write_on(struct rt_httpconn *c);           /* sends the reply on, and ends it */
void rt_httpconn_refuse(struct rt_httpconn *c, int status); /* with an error object; the connection ends */

#endif
