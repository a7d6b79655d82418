/* test_media_tcp.c: packets over TCP: RFC 4571 framing, strangers, and a server without descriptors to spare. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "bgworker/common/clock.h"
#include "bgworker/media/net/addresses.h"
#include "bgworker/media/net/port.h"
#include "bgworker/media/net/tcp.h"
#include "tap.h"

#define CLIENTS 8

static struct rt_loop *loop;
static char got[64];
static int closed;
static bool trusted; /* whether who connects is a peer */

/* Turns until the condition holds, at most a minute; UNTIL gives whether it does. */
#define UNTIL(condition) \
	({ \
		uint64_t end_us = rt_clock_us() + 60000000; \
		while (!(condition) && rt_clock_us() < end_us) \
		{ \
			uv_run(rt_loop_uv(loop), UV_RUN_NOWAIT); \
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); \
		} \
		(condition); \
	})

/* ---- one connection ---- */

static void
on_frame(void *arg, struct rt_tcp *t, uint8_t *data, size_t len)
{
	strncat(got, (char *) data, len);
	strcat(got, ".");
}

static void
on_closed(void *arg, struct rt_tcp *t)
{
	closed++;
	rt_tcp_free(t);
}

static void
test_framing(void)
{
	static const uint8_t frames[] = "\0\0\0\3one\0\0\0\0\0\3two\0";
	struct rt_tuple peer = {.tcp_id = 1};
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
		return;
	rt_tcp_new(loop, fds[0], &peer, on_frame, on_closed, NULL);
	(void) !write(fds[1], frames, sizeof(frames) - 1);
	ok(UNTIL(strlen(got) == 8) && strcmp(got, "one.two.") == 0, "packets, between empty frames that are none");
	(void) !write(fds[1], "\3six", 4);
	ok(UNTIL(strlen(got) == 12) && strcmp(got + 8, "six.") == 0, "one in two pieces");
	ok(closed == 0, "the connection is open");
	(void) !write(fds[1], "\xff\xff", 2);
	ok(UNTIL(closed == 1), "a frame that is no packet's closes it");
	close(fds[1]);
}

static int frames;

static void
on_tiny(void *arg, struct rt_tcp *t, uint8_t *data, size_t len)
{
	frames++;
}

/* Tiny and empty frames cost their sender little: one connection gets no further than others in a turn. */
static void
test_tiny_frames(void)
{
	enum
	{
		PAIRS = 10000
	};
	static uint8_t data[5 * PAIRS]; /* one of a byte, and an empty one */
	struct rt_tuple peer = {.tcp_id = 1};
	struct rt_tcp *t;
	ssize_t sent;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
		return;
	for (int i = 0; i < PAIRS; i++)
		data[5 * i + 1] = 1;
	closed = 0;
	t = rt_tcp_new(loop, fds[0], &peer, on_tiny, on_closed, NULL);
	sent = write(fds[1], data, sizeof(data));
	while (frames == 0)
		uv_run(rt_loop_uv(loop), UV_RUN_NOWAIT);
	ok(sent >= 25000 && frames < 1000, "of %zd bytes in tiny frames %d are taken in a turn", sent, frames);
	ok(UNTIL(frames == sent / 5), "and then the others");
	rt_tcp_close(t);
	UNTIL(closed == 1);
	close(fds[1]);
}

/* The peer reads nothing. */
static void
test_slow_peer(void)
{
	static uint8_t packet[1200];
	struct rt_tuple peer = {.tcp_id = 1};
	struct rt_tcp *t;
	uint64_t from_us;
	int fds[2], sent = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
		return;
	closed = 0;
	t = rt_tcp_new(loop, fds[0], &peer, on_frame, on_closed, NULL);
	while (sent < 10000 && rt_tcp_send(t, packet, sizeof(packet)))
		sent++;
	ok(sent * (int) sizeof(packet) >= RT_TCP_MAX_WAITING * 9 / 10 && sent < 10000,
	   "what waits is bounded: %d packets", sent);
	uv_run(rt_loop_uv(loop), UV_RUN_NOWAIT);
	for (int i = 0; i < 4; i++)
		(void) !read(fds[1], packet, sizeof(packet)); /* so that there is room, as far as bytes go */
	rt_tcp_close(t);
	UNTIL(closed == 1);
	close(fds[1]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
		return;
	t = rt_tcp_new(loop, fds[0], &peer, on_frame, on_closed, NULL);
	for (int i = 0; i < sent - 100; i++)
		rt_tcp_send(t, packet, sizeof(packet));
	ok(rt_tcp_send(t, packet, sizeof(packet)), "video waits for a while");
	from_us = rt_clock_us();
	UNTIL(rt_clock_us() - from_us > (RT_TCP_MAX_WAIT_MS + 100) * 1000);
	ok(!rt_tcp_send(t, packet, sizeof(packet)), "but is dropped when what waits is too old");
	ok(rt_tcp_send(t, packet, RT_TCP_SMALL), "sound is not");
	for (from_us = rt_clock_us(); rt_clock_us() - from_us < 60000000 && !rt_tcp_send(t, packet, sizeof(packet));)
	{
		uint8_t taken[65536];

		while (read(fds[1], taken, sizeof(taken)) > 0)
			;
		uv_run(rt_loop_uv(loop), UV_RUN_NOWAIT);
	}
	ok(rt_clock_us() - from_us < 60000000, "and goes on when the peer has caught up");
	rt_tcp_close(t);
	UNTIL(closed == 2);
	close(fds[1]);
}

/* ---- the port ---- */

static void
on_packet(void *arg, const struct rt_tuple *from, uint8_t *data, size_t len, uint64_t now_us)
{
}

static void
on_tcp_closed(void *arg, const struct rt_tuple *from)
{
}

static bool
is_peer(void *arg, const struct rt_tuple *from)
{
	return trusted;
}

static int
free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *) &a, sizeof(a)) == 0)
		getsockname(fd, (struct sockaddr *) &a, &len);
	close(fd);
	return ntohs(a.sin_port);
}

static int
dial(int port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t) port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void) !connect(fd, (struct sockaddr *) &to, sizeof(to));
	return fd;
}

/* No descriptor beyond those that are open; the former limit. */
static rlim_t
allow_no_more(int highest_fd)
{
	struct rlimit limit;
	rlim_t before;

	getrlimit(RLIMIT_NOFILE, &limit);
	before = limit.rlim_cur;
	limit.rlim_cur = (rlim_t) highest_fd + 1;
	setrlimit(RLIMIT_NOFILE, &limit);
	return before;
}

static void
allow(rlim_t files)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = files;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void
stop(void *arg)
{
	rt_loop_stop(loop);
}

/* What a second costs. */
static double
busy_ms(void)
{
	struct rt_timer *t = rt_timer_new(loop, stop, NULL);
	clock_t before = clock();

	rt_timer_start(t, 1000);
	rt_loop_run(loop);
	rt_timer_free(t);
	return (double) (clock() - before) * 1000 / CLOCKS_PER_SEC;
}

static void
test_port(void)
{
	struct rt_port_handler handler = {on_packet, on_tcp_closed, is_peer, NULL};
	struct rt_port *port;
	int number = free_port(), clients[CLIENTS];
	const struct rt_port_stats *stats;
	rlim_t files;
	double ms;

	if (rt_port_new(&port, loop, "127.0.0.1", number, &handler) != RT_OK)
		return;
	stats = rt_port_totals(port);
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = dial(number);
	files = allow_no_more(clients[CLIENTS - 1]);
	ms = busy_ms();
	ok(stats->tcp_connections == 0 && ms < 500,
	   "without a descriptor to spare who connects waits, and so do we: %.0f ms", ms);
	allow(files);
	ok(UNTIL(stats->tcp_connections == CLIENTS), "then they are let in");
	ok(UNTIL(stats->tcp_connections == 0), "who proves nothing is not kept, though he stays connected");
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
	rt_port_free(port);
}

#define STRANGERS 70 /* six more than an address may have */

static bool
is_closed(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

/* Who connects and says nothing keeps nobody out: the oldest of an address makes room. */
static void
test_strangers(void)
{
	struct rt_port_handler handler = {on_packet, on_tcp_closed, is_peer, NULL};
	struct rt_port *port;
	int number = free_port(), clients[STRANGERS];

	if (rt_port_new(&port, loop, "127.0.0.1", number, &handler) != RT_OK)
		return;
	for (int i = 0; i < STRANGERS; i++)
	{
		clients[i] = dial(number);
		uv_run(rt_loop_uv(loop), UV_RUN_NOWAIT);
	}
	ok(UNTIL(is_closed(clients[5])) && is_closed(clients[0]), "of one address the oldest strangers go");
	ok(!is_closed(clients[6]) && !is_closed(clients[STRANGERS - 1]) && rt_port_totals(port)->tcp_connections == 64,
	   "and 64 stay");
	for (int i = 0; i < STRANGERS; i++)
		close(clients[i]);
	rt_port_free(port);
}

static bool
is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static bool
has_network(void)
{
	struct ifaddrs *all, *i;
	bool found = false;

	if (getifaddrs(&all) != 0)
		return false;
	for (i = all; i != NULL; i = i->ifa_next)
		found |= i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET && i->ifa_flags & IFF_UP &&
				 !(i->ifa_flags & IFF_LOOPBACK);
	freeifaddrs(all);
	return found;
}

/* Of a machine with a network nobody else can use its loopback address. */
static void
test_wildcard(void)
{
	struct rt_port_handler handler = {on_packet, on_tcp_closed, is_peer, NULL};
	struct rt_port *port;
	const json_t *address;
	json_t *list;
	size_t i, loopback = 0;

	if (rt_port_new(&port, loop, "0.0.0.0", free_port(), &handler) != RT_OK)
		return;
	list = rt_addresses_list("", port);
	json_array_foreach(list, i, address) loopback += is_loopback(json_string_value(address));
	ok(json_array_size(list) > 0 && (has_network() ? loopback == 0 : loopback == json_array_size(list)),
	   "a wildcard announces loopback only where there is nothing else: %zu of %zu", loopback, json_array_size(list));
	json_decref(list);
	rt_port_free(port);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	ok(rt_loop_new(&loop) == RT_OK, "a loop");
	test_framing();
	test_tiny_frames();
	test_slow_peer();
	test_port();
	test_strangers();
	test_wildcard();
	rt_loop_free(loop);
	return tap_done();
}
