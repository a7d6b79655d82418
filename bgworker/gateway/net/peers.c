/* peers.c: see peers.h.
 *
 *     LOOKING ──addresses──> CONNECTING ──> GREETING ──"S"──> SHAKING ──the other one has the secret──> OPEN
 *        │                        ^              │               │
 *        └── none ──> refuse()    └──── next address ────────────┘   none left ──> LOOKING, once; then refuse()
 *
 * What must stay true:
 *
 * - A client's bytes leave this host only over a connection whose other end has proved to be the gateway of that
 *   number.
 * - What came from another gateway is never passed on again to a host (http_router.c), so nothing goes in circles.
 * - A descriptor of ours counts in traffic.connections, so rt.max_connections limits what is passed on, too:
 *   PASSAGE_COST beside the client's own, ARRIVAL_COST beside the one that was accepted.
 *
 * The answer of the other gateway ends the connection, unless it became a websocket: the next request may be for
 * another.  Addresses are kept for as long as the gateway is found there, whatever the database says meanwhile:
 * during a failover it says nothing, and then that it knows no gateway.  A passage that does not get through asks it.
 */
#include "peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acceptor.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/crypto/hex.h"
#include "bgworker/common/db/db.h"
#include "bgworker/common/json.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/wheel.h"
#include "tls.h"

#define CLIENT_BYTES 48
#define STEP_MS 3000 /* for a connection to one address, and its greeting */
#define CACHED 64    /* numbers whose addresses are kept */
#define MAX_ADDRESSES 16
#define PASSAGE_COST 1
#define ARRIVAL_COST 2

/* A client's connection on its way. */
struct passage
{
	struct rt_peers *peers;
	struct passage *next;
	struct passage *prev;
	int number;
	int client;  /* -1: TLS has it */
	char *first; /* the client's address as a line, and what was read of the client */
	size_t first_len;
	json_t *addresses;
	size_t at; /* of the next address to try */
	int port;
	int fd; /* -1: there is none, or TLS has it */
	bool greeting;
	bool looking; /* the database is asked */
	bool asked;   /* it has been */
	struct rt_watch *watch;
	struct rt_wheel_entry timeout;
};

/* A connection of another gateway, until its end. */
struct arrival
{
	struct rt_peers *peers;
};

struct cached
{
	int number;
	int port;
	json_t *addresses; /* NULL: nothing is cached */
};

struct rt_peers
{
	struct rt_loop *loop;
	struct rt_wheel *wheel;
	const struct rt_network_settings *settings;
	struct rt_traffic *traffic;
	struct rt_peers_handler handler;
	struct rt_db *db;
	struct rt_tls *tls; /* NULL: no secret yet */
	struct passage *first;
	struct cached cached[CACHED];
	bool closing;
};

static void try_next(struct passage *p);
static void ask(struct passage *p);

/* ---- the end of a passage -------------------------------------------------------------------- */

static void
close_fd(struct passage *p)
{
	rt_watch_free(p->watch);
	p->watch = NULL;
	rt_wheel_unset(p->peers->wheel, &p->timeout);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

static void
free_passage(void *arg)
{
	struct passage *p = arg;

	json_decref(p->addresses);
	free(p->first);
	free(p);
}

static void
end_passage(struct passage *p)
{
	struct rt_peers *peers = p->peers;

	close_fd(p);
	if (p->next != NULL)
		p->next->prev = p->prev;
	if (p->prev != NULL)
		p->prev->next = p->next;
	else
		peers->first = p->next;
	peers->traffic->connections -= 1 + PASSAGE_COST;
	rt_loop_defer(peers->loop, free_passage, p);
}

/* As if we had the session's gateway here and it knew no such session: the client begins a new one. */
static void
refuse(struct passage *p)
{
	static const char reply[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
								"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
								"Content-Length: 41\r\n\r\n{\"code\":1,\"message\":\"Session ID unknown\"}";

	if (p->client >= 0)
	{
		(void) !send(p->client, reply, sizeof(reply) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(p->client);
		p->client = -1;
	}
	end_passage(p);
}

/* ---- the way to another gateway ----------------------------------------------------------------- */

static int
on_open(void *arg, const char *line)
{
	struct passage *p = arg;
	int client = p->client;

	(void) line;
	p->client = -1;
	return client;
}

static void
on_end(void *arg, bool opened)
{
	struct passage *p = arg;

	if (opened || p->peers->closing)
		refuse(p);
	else
		try_next(p);
}

static void
shake_hands(struct passage *p)
{
	struct rt_tls_guest guest = {
		.connects = true, .number = p->number, .on_open = on_open, .on_end = on_end, .arg = p};
	int fd = p->fd;

	p->fd = -1;
	close_fd(p);
	rt_tls_invite(p->peers->tls, fd, &guest, p->first, p->first_len);
}

static void
on_fd(void *arg, int events)
{
	struct passage *p = arg;
	int error = 0;
	socklen_t len = sizeof(error);
	char byte = 0;

	(void) events;
	if (!p->greeting)
	{
		if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0 &&
			send(p->fd, RT_TLS_HELLO, RT_TLS_HELLO_LEN, MSG_NOSIGNAL | MSG_DONTWAIT) == RT_TLS_HELLO_LEN)
		{
			p->greeting = true;
			rt_watch_set(p->watch, RT_READABLE);
			return;
		}
	}
	else if (recv(p->fd, &byte, 1, MSG_DONTWAIT) == 1 && byte == 'S')
	{
		shake_hands(p);
		return;
	}
	close_fd(p);
	try_next(p);
}

static void
on_timeout(struct rt_wheel_entry *entry)
{
	struct passage *p = (struct passage *) ((char *) entry - offsetof(struct passage, timeout));

	close_fd(p);
	try_next(p);
}

/* False: not this address. */
static bool
begin_connecting(struct passage *p, const char *address)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t) p->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t) p->port)};
	bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
	int on = 1;

	if (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1)
		return false;
	p->fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return false;
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(p->fd, is_v4 ? (struct sockaddr *) &v4 : (struct sockaddr *) &v6, is_v4 ? sizeof(v4) : sizeof(v6)) !=
			0 &&
		errno != EINPROGRESS)
	{
		rt_log(RT_LOG_DEBUG, "peers", "cannot connect to gateway %d: %s", p->number, strerror(errno));
		close_fd(p);
		return false;
	}
	p->greeting = false;
	p->watch = rt_watch_new(p->peers->loop, p->fd, on_fd, p);
	if (p->watch == NULL)
	{
		close_fd(p);
		return false;
	}
	rt_watch_set(p->watch, RT_WRITABLE);
	rt_wheel_set(p->peers->wheel, &p->timeout, STEP_MS);
	return true;
}

static void
try_next(struct passage *p)
{
	while (p->at < json_array_size(p->addresses))
	{
		const char *address = json_string_value(json_array_get(p->addresses, p->at++));

		if (address != NULL && begin_connecting(p, address))
			return;
	}
	rt_log(RT_LOG_DEBUG, "peers", "gateway %d cannot be reached", p->number);
	if (p->asked)
		refuse(p);
	else
		ask(p);
}

/* ---- where it is -------------------------------------------------------------------------------- */

static void
go(struct passage *p, json_t *addresses, int port)
{
	json_decref(p->addresses);
	p->addresses = json_incref(addresses);
	p->port = port;
	p->at = 0;
	try_next(p);
}

/* addresses: the caller's reference. */
static void
keep(struct rt_peers *peers, int number, json_t *addresses, int port)
{
	struct cached *c = &peers->cached[number % CACHED];

	json_decref(c->addresses);
	*c = (struct cached){.number = number, .port = port, .addresses = addresses};
}

static void
forget(struct rt_peers *peers, int number)
{
	struct cached *c = &peers->cached[number % CACHED];

	if (c->number == number)
		keep(peers, number, NULL, 0);
}

static void
on_found(void *arg, const struct rt_db_reply *reply)
{
	struct passage *p = arg;
	struct rt_peers *peers = p->peers;
	json_t *found = reply->ok && p->looking ? rt_json_parse_object(reply->json, reply->json_len) : NULL;
	json_t *addresses = rt_json_array(found, "addresses");

	if (!p->looking)
	{
		free_passage(p); /* rt_peers_free() left it to us */
		return;
	}
	p->looking = false;
	if (addresses == NULL)
	{
		if (reply->ok)
			forget(peers, p->number);
		refuse(p);
	}
	else
	{
		int port = (int) rt_json_int(found, "port", 0);

		keep(peers, p->number, json_incref(addresses), port);
		go(p, addresses, port);
	}
	json_decref(found);
}

static void
ask(struct passage *p)
{
	char req[40];

	snprintf(req, sizeof(req), "{\"number\":%d}", p->number);
	p->looking = true;
	p->asked = true;
	rt_db_call(p->peers->db, RT_DB_FAST, "gateway_peer", NULL, req, strlen(req), on_found, p);
}

static void
look_up(struct passage *p)
{
	const struct cached *c = &p->peers->cached[p->number % CACHED];

	if (c->number == p->number && c->addresses != NULL)
		go(p, c->addresses, c->port);
	else
		ask(p);
}

bool
rt_peers_can_send(const struct rt_peers *peers, int number)
{
	return peers->tls != NULL && !peers->closing && number >= 0 &&
		   peers->traffic->connections < (uint64_t) peers->settings->limits.max_connections;
}

void
rt_peers_send(struct rt_peers *peers, int number, int fd, const char *client, const char *data, size_t len)
{
	struct passage *p = rt_alloc(sizeof(*p));

	p->peers = peers;
	p->number = number;
	p->client = fd;
	p->fd = -1;
	p->timeout.fn = on_timeout;
	p->first = rt_alloc(CLIENT_BYTES + len);
	p->first_len = (size_t) snprintf(p->first, CLIENT_BYTES, "%.45s\n", client) + len;
	memcpy(p->first + p->first_len - len, data, len);
	p->next = peers->first;
	if (peers->first != NULL)
		peers->first->prev = p;
	peers->first = p;
	peers->traffic->connections += PASSAGE_COST;
	peers->traffic->passed_on++;
	look_up(p);
}

/* ---- from another gateway ------------------------------------------------------------------------- */

/* The inner end is httpconn's, and counted there; ours is what TLS gets. */
static int
on_arrived(void *arg, const char *line)
{
	struct arrival *a = arg;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	a->peers->traffic->connections++;
	a->peers->handler.on_passed(a->peers->handler.arg, pair[1], line);
	return pair[0];
}

static void
on_arrival_end(void *arg, bool opened)
{
	struct arrival *a = arg;

	(void) opened;
	a->peers->traffic->connections -= ARRIVAL_COST;
	rt_loop_defer(a->peers->loop, free, a);
}

void
rt_peers_accept(struct rt_peers *p, int fd)
{
	struct rt_tls_guest guest = {.on_open = on_arrived, .on_end = on_arrival_end};
	struct arrival *a;

	if (p->tls == NULL || p->closing || send(fd, "S", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
	{
		close(fd);
		p->traffic->connections--;
		return;
	}
	a = rt_alloc(sizeof(*a));
	a->peers = p;
	guest.arg = a;
	/* The accepted one is counted; the pair's own end is not. */
	p->traffic->connections += ARRIVAL_COST - 1;
	rt_tls_invite(p->tls, fd, &guest, NULL, 0);
}

/* On the server's host any worker may get what is for another one, and hands it over. */
static bool
is_ours(void *arg, int number)
{
	const struct rt_peers *p = arg;

	return number == p->settings->eio.number ||
		   (p->settings->workers > 1 && number >= 0 && number < p->settings->workers);
}

/* ---- addresses ------------------------------------------------------------------------------------ */

static void
add_address(json_t *list, int family, const void *address)
{
	char text[INET6_ADDRSTRLEN];
	const json_t *known;
	size_t i;

	if (inet_ntop(family, address, text, sizeof(text)) == NULL || json_array_size(list) >= MAX_ADDRESSES)
		return;
	json_array_foreach(list, i, known) if (strcmp(json_string_value(known), text) == 0) return;
	json_array_append_new(list, json_string(text));
}

static void
add_interfaces(json_t *list, int family, bool loopback)
{
	struct ifaddrs *all;

	if (getifaddrs(&all) != 0)
		return;
	for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
	{
		const struct sockaddr_in *v4 = (const void *) i->ifa_addr;
		const struct sockaddr_in6 *v6 = (const void *) i->ifa_addr;

		if (i->ifa_addr == NULL || i->ifa_addr->sa_family != family || !(i->ifa_flags & IFF_UP) ||
			!(i->ifa_flags & IFF_LOOPBACK) == loopback)
			continue;
		if (family == AF_INET)
			add_address(list, family, &v4->sin_addr);
		else if (!IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) /* means nothing without a zone */
			add_address(list, family, &v6->sin6_addr);
	}
	freeifaddrs(all);
}

static void
add_bound(json_t *list, const struct sockaddr_storage *bound)
{
	const struct sockaddr_in *v4 = (const void *) bound;
	const struct sockaddr_in6 *v6 = (const void *) bound;
	bool any = bound->ss_family == AF_INET ? v4->sin_addr.s_addr == htonl(INADDR_ANY)
										   : IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);

	/* Loopback comes last: who finds another gateway there is told so by the handshake. */
	if (any)
		for (int loopback = 0; loopback < 2; loopback++)
			add_interfaces(list, bound->ss_family, loopback != 0);
	else if (bound->ss_family == AF_INET)
		add_address(list, AF_INET, &v4->sin_addr);
	else
		add_address(list, AF_INET6, &v6->sin6_addr);
}

json_t *
rt_peers_addresses(const struct rt_acceptor *a)
{
	json_t *list = json_array();
	int fd;

	for (int i = 0; (fd = rt_acceptor_listener(a, i)) >= 0; i++)
	{
		struct sockaddr_storage bound = {0};
		socklen_t len = sizeof(bound);

		if (getsockname(fd, (struct sockaddr *) &bound, &len) == 0)
			add_bound(list, &bound);
	}
	return list;
}

/* ---- start and end ---------------------------------------------------------------------------------- */

struct rt_peers *
rt_peers_new(struct rt_loop *l, struct rt_wheel *w, const struct rt_network_settings *settings,
			 struct rt_traffic *traffic, const struct rt_peers_handler *handler)
{
	struct rt_peers *p = rt_alloc(sizeof(*p));

	p->loop = l;
	p->wheel = w;
	p->settings = settings;
	p->traffic = traffic;
	p->handler = *handler;
	return p;
}

void
rt_peers_set_secret(struct rt_peers *p, struct rt_db *db, const char *hex)
{
	unsigned char secret[RT_TLS_SECRET_BYTES];

	p->db = db;
	if (hex == NULL || strlen(hex) != 2 * sizeof(secret))
		return;
	for (size_t i = 0; i < sizeof(secret); i++)
	{
		int high = rt_hex_value(hex[2 * i]);
		int low = rt_hex_value(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return;
		secret[i] = (unsigned char) (high << 4 | low);
	}
	if (p->tls == NULL)
		p->tls = rt_tls_of_secret(p->loop, p->wheel, secret, is_ours, p);
	else
		rt_tls_set_secret(p->tls, secret);
	explicit_bzero(secret, sizeof(secret));
}

/* Those that wait for the database are freed by its answer, which comes when the database ends, after us. */
static void
drop_passage(struct passage *p)
{
	if (!p->looking)
	{
		refuse(p);
		return;
	}
	p->looking = false;
	close(p->client);
	p->peers->first = p->next;
}

void
rt_peers_free(struct rt_peers *p)
{
	if (p == NULL)
		return;
	p->closing = true;
	rt_tls_free(p->tls);
	while (p->first != NULL)
		drop_passage(p->first);
	for (size_t i = 0; i < CACHED; i++)
		json_decref(p->cached[i].addresses);
	rt_loop_defer(p->loop, free, p);
}
