/* swarm.c: see swarm.h */
#include "swarm.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"
#include "packet.h"

#define READ_BYTES 1048576
#define EVENTS 512
#define AT_A_TIME 200
#define GATHER_SECONDS 120
#define CLIENTS_AN_ADDRESS 20000 /* below the number of ephemeral ports */
#define HEAD_MAX 14
#define EMIT_MAX 8192
#define MAX_WATCHES 1100 /* a connection for each sender, a socket for each media peer */

enum opcode
{
	TEXT = 1,
	CLOSE = 8
};

struct swarm
{
	struct swarm_options options;
	struct swarm_client *clients;
	int connected;
	int epoll;
	char **tokens;
	int ntokens;
	struct watch
	{
		swarm_fd_cb cb;
		void *arg;
	} watches[MAX_WATCHES];
	int nwatches;
	char buffer[READ_BYTES + 1];
};

/* ---- packets ------------------------------------------------------------------------------ */

/* Every event ends with its offset: …,"123"] */
static void
take_offset(struct swarm_client *c, const char *text, size_t len)
{
	const char *comma = memrchr(text, ',', len);
	size_t n;

	if (comma == NULL || comma[1] != '"' || len < 4 || text[len - 2] != '"')
		errx(1, "an event without an offset: %.*s", (int) len, text);
	n = (size_t) (text + len - 2 - (comma + 2));
	if (n >= sizeof(c->offset))
		errx(1, "the offset is too long: %.*s", (int) len, text);
	memcpy(c->offset, comma + 2, n);
	c->offset[n] = '\0';
}

static void
take_connected(struct swarm *s, struct swarm_client *c, const char *text, size_t len)
{
	char pid[sizeof(c->pid)];

	packet_copy(pid, sizeof(pid), text, len, "pid");
	c->recovered = strcmp(pid, c->pid) == 0;
	strcpy(c->pid, pid);
	c->state = SWARM_CONNECTED;
	s->connected++;
	if (s->options.on_connected != NULL)
		s->options.on_connected(s->options.arg, c);
}

static void
send_connect(struct swarm *s, struct swarm_client *c)
{
	if (c->pid[0] != '\0' && c->offset[0] != '\0')
		swarm_emit(s, c, "40{\"token\":\"%s\",\"pid\":\"%s\",\"offset\":\"%s\"}", c->token, c->pid, c->offset);
	else
		swarm_emit(s, c, "40{\"token\":\"%s\"}", c->token);
	c->state = SWARM_CONNECTING;
}

static void
take_packet(struct swarm *s, struct swarm_client *c, const char *text, size_t len)
{
	if (len >= 1 && text[0] == '0')
		send_connect(s, c);
	else if (len == 1 && text[0] == '2')
		swarm_emit(s, c, "3");
	else if (len >= 2 && memcmp(text, "40", 2) == 0)
		take_connected(s, c, text, len);
	else if (len >= 2 && text[0] == '4' && (text[1] == '2' || text[1] == '3'))
	{
		if (text[1] == '2')
			take_offset(c, text, len);
		if (s->options.on_packet != NULL)
			s->options.on_packet(s->options.arg, c, text, len);
	}
	else
		errx(1, "client %d got %.*s", c->index, (int) len, text);
}

/* ---- frames ------------------------------------------------------------------------------- */

/* The length of the frame at the start of the data, 0 if it is not there whole.  RFC 6455, section 5.2. */
static size_t
frame_length(const unsigned char *p, size_t len, size_t *head)
{
	size_t body;

	if (len < 2)
		return 0;
	body = p[1] & 0x7f;
	*head = body == 126 ? 4 : body == 127 ? 10 : 2;
	if (len < *head)
		return 0;
	if (body == 126)
		body = (size_t) p[2] << 8 | p[3];
	else if (body == 127)
		body = (size_t) p[6] << 24 | (size_t) p[7] << 16 | (size_t) p[8] << 8 | p[9];
	return len - *head >= body ? *head + body : 0;
}

static size_t
take_frames(struct swarm *s, struct swarm_client *c, const char *data, size_t len)
{
	size_t done = 0, head = 0, n;

	while (c->fd >= 0 && (n = frame_length((const unsigned char *) data + done, len - done, &head)) > 0)
	{
		if ((data[done] & 0xf) == CLOSE)
			errx(1, "client %d was closed by the server", c->index);
		if ((unsigned char) data[done] != (0x80 | TEXT))
			errx(1, "client %d got opcode %d", c->index, data[done] & 0xf);
		take_packet(s, c, data + done + head, n - head);
		done += n;
	}
	return done;
}

static size_t
take_head(struct swarm_client *c, char *data, size_t len)
{
	const char *end;

	data[len] = '\0';
	end = strstr(data, "\r\n\r\n");
	if (end == NULL)
		return 0;
	if (strncmp(data, "HTTP/1.1 101 ", 13) != 0)
		errx(1, "client %d: %.*s", c->index, (int) strcspn(data, "\r"), data);
	c->state = SWARM_CONNECTING;
	return (size_t) (end + 4 - data);
}

/* ---- writing ------------------------------------------------------------------------------ */

static void
set_interest(struct swarm *s, struct swarm_client *c, int op, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = c};

	if (epoll_ctl(s->epoll, op, c->fd, &e) < 0)
		err(1, "epoll_ctl");
}

static void
send_bytes(struct swarm *s, struct swarm_client *c, const char *data, size_t len)
{
	ssize_t n = c->out_len > 0 ? 0 : send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN)
		err(1, "client %d: send", c->index);
	n = n < 0 ? 0 : n;
	if ((size_t) n == len)
		return;
	c->out = realloc(c->out, c->out_len + len - (size_t) n);
	if (c->out == NULL)
		err(1, "realloc");
	memcpy(c->out + c->out_len, data + n, len - (size_t) n);
	c->out_len += len - (size_t) n;
	set_interest(s, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void
send_rest(struct swarm *s, struct swarm_client *c)
{
	ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN)
		err(1, "client %d: send", c->index);
	if (n > 0)
	{
		c->out_len -= (size_t) n;
		memmove(c->out, c->out + n, c->out_len);
	}
	if (c->out_len == 0)
		set_interest(s, c, EPOLL_CTL_MOD, EPOLLIN);
}

/* A masking key of zeros leaves the text as it is. */
void
swarm_emit(struct swarm *s, struct swarm_client *c, const char *format, ...)
{
	char frame[HEAD_MAX + EMIT_MAX];
	char text[EMIT_MAX];
	size_t head;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len >= EMIT_MAX)
		errx(1, "too long to be sent");
	memset(frame, 0, HEAD_MAX);
	frame[0] = (char) (0x80 | TEXT);
	frame[1] = (char) (0x80 | (len < 126 ? len : 126));
	head = len < 126 ? 6 : 8;
	if (len >= 126)
	{
		frame[2] = (char) (len >> 8);
		frame[3] = (char) len;
	}
	memcpy(frame + head, text, (size_t) len);
	send_bytes(s, c, frame, head + (size_t) len);
}

/* ---- connections --------------------------------------------------------------------------- */

static void
send_upgrade(struct swarm *s, struct swarm_client *c)
{
	static const char request[] = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n"
								  "Upgrade: websocket\r\nConnection: Upgrade\r\n"
								  "Sec-WebSocket-Key: c3dhcm1zd2FybXN3YXJtIQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

	c->state = SWARM_UPGRADING;
	set_interest(s, c, EPOLL_CTL_MOD, EPOLLIN);
	send_bytes(s, c, request, sizeof(request) - 1);
}

static void
on_readable(struct swarm *s, struct swarm_client *c)
{
	size_t len = c->rest_len, done = 0;
	int fd = c->fd;
	ssize_t n;

	if (len > 0)
		memcpy(s->buffer, c->rest, len);
	n = recv(c->fd, s->buffer + len, READ_BYTES - len, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		errx(1, "client %d lost its connection in state %d: %s", c->index, (int) c->state,
			 n < 0 ? strerror(errno) : "end of file");
	len += (size_t) n;
	if (c->state == SWARM_UPGRADING)
		done = take_head(c, s->buffer, len);
	if (c->state >= SWARM_CONNECTING)
		done += take_frames(s, c, s->buffer + done, len - done);
	if (c->fd != fd)
		return;
	c->rest_len = len - done;
	c->rest = realloc(c->rest, c->rest_len + 1);
	if (c->rest == NULL)
		err(1, "realloc");
	memcpy(c->rest, s->buffer + done, c->rest_len);
}

void
swarm_dial(struct swarm *s, struct swarm_client *c)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	bool is_second = s->options.second_port != 0 && c->index % 2 == 1;
	struct sockaddr_in to = {.sin_family = AF_INET,
							 .sin_port = htons((uint16_t) (is_second ? s->options.second_port : s->options.port))};
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		err(1, "socket");
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t) (c->index / CLIENTS_AN_ADDRESS));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(c->fd, (struct sockaddr *) &from, sizeof(from)) < 0 ||
		(connect(c->fd, (struct sockaddr *) &to, sizeof(to)) < 0 && errno != EINPROGRESS))
		err(1, "client %d: connect", c->index);
	c->state = SWARM_DIALLING;
	set_interest(s, c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void
forget_connection(struct swarm *s, struct swarm_client *c)
{
	s->connected -= c->state == SWARM_CONNECTED;
	c->state = SWARM_IDLE;
	c->fd = -1;
	c->rest_len = c->out_len = 0;
}

static void
reset(int fd)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

void
swarm_drop(struct swarm *s, struct swarm_client *c)
{
	reset(c->fd);
	forget_connection(s, c);
}

void
swarm_abandon(struct swarm *s, struct swarm_client *c)
{
	epoll_ctl(s->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	if (c->old_fd >= 0)
		reset(c->old_fd);
	c->old_fd = c->fd;
	forget_connection(s, c);
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void
on_event(struct swarm *s, struct swarm_client *c, uint32_t events)
{
	if (c->state == SWARM_DIALLING)
	{
		if (events & EPOLLERR)
			errx(1, "client %d cannot connect", c->index);
		send_upgrade(s, c);
		return;
	}
	if (events & EPOLLOUT)
		send_rest(s, c);
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		on_readable(s, c);
}

static bool
is_watch(const struct swarm *s, const void *p)
{
	return (const char *) p >= (const char *) s->watches &&
		   (const char *) p < (const char *) (s->watches + MAX_WATCHES);
}

void
swarm_turn(struct swarm *s, uint64_t until_ns)
{
	struct epoll_event events[EVENTS];
	uint64_t now_ns = measure_now_ns();
	int wait_ms = until_ns > now_ns ? (int) ((until_ns - now_ns + 999999) / 1000000) : 0;
	int n;

	if (s->options.nap_us > 0 && wait_ms > 0)
	{
		struct timespec nap = {.tv_nsec = (long) s->options.nap_us * 1000};

		nanosleep(&nap, NULL);
		wait_ms = 0;
	}
	n = epoll_wait(s->epoll, events, EVENTS, wait_ms);

	for (int i = 0; i < n; i++)
	{
		struct swarm_client *c = events[i].data.ptr;

		if (is_watch(s, c))
			((struct watch *) (void *) c)->cb(((struct watch *) (void *) c)->arg);
		else if (c->fd >= 0)
			on_event(s, c, events[i].events);
	}
}

void
swarm_run(struct swarm *s, double seconds)
{
	uint64_t end_ns = measure_now_ns() + (uint64_t) (seconds * 1e9);

	while (measure_now_ns() < end_ns)
		swarm_turn(s, end_ns);
}

void
swarm_gather(struct swarm *s, int n)
{
	int seconds = s->options.gather_s > 0 ? s->options.gather_s : GATHER_SECONDS;
	uint64_t end_ns = measure_now_ns() + (uint64_t) seconds * 1000000000;
	int at_a_time = s->options.at_a_time > 0 ? s->options.at_a_time : AT_A_TIME;
	int dialled = 0;

	while (s->connected < n)
	{
		if (measure_now_ns() > end_ns)
			errx(1, "%d of %d are connected after %d s", s->connected, n, seconds);
		while (dialled < n && dialled - s->connected < at_a_time)
			swarm_dial(s, &s->clients[dialled++]);
		swarm_turn(s, end_ns);
	}
}

void
swarm_watch(struct swarm *s, int fd, swarm_fd_cb cb, void *arg)
{
	struct watch *w = &s->watches[s->nwatches++];
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = w};

	if (s->nwatches > MAX_WATCHES)
		errx(1, "more than %d descriptors are watched", MAX_WATCHES);
	w->cb = cb;
	w->arg = arg;
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		err(1, "epoll_ctl");
}

/* ---- life ------------------------------------------------------------------------------------- */

static void
read_tokens(struct swarm *s)
{
	FILE *f = fopen(s->options.tokens, "r");
	char *line = NULL;
	size_t space = 0;
	ssize_t n;

	if (f == NULL)
		err(1, "%s", s->options.tokens);
	while ((n = getline(&line, &space, f)) > 0)
	{
		line[n - (line[n - 1] == '\n')] = '\0';
		s->tokens = realloc(s->tokens, sizeof(*s->tokens) * (size_t) (s->ntokens + 1));
		if (s->tokens == NULL || (s->tokens[s->ntokens++] = strdup(line)) == NULL)
			err(1, "tokens");
	}
	free(line);
	fclose(f);
	if (s->ntokens == 0)
		errx(1, "%s has no token", s->options.tokens);
}

/* As many as there may be: twice as many as clients where they are abandoned. */
static void
raise_descriptor_limit(int clients)
{
	struct rlimit rl;

	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur < (rlim_t) clients + 100)
		errx(1, "%d clients need more than %lu descriptors", clients, (unsigned long) rl.rlim_cur);
}

struct swarm *
swarm_new(const struct swarm_options *o)
{
	struct swarm *s = calloc(1, sizeof(*s));

	if (s == NULL || (s->clients = calloc((size_t) o->count, sizeof(*s->clients))) == NULL)
		err(1, "calloc");
	s->options = *o;
	read_tokens(s);
	raise_descriptor_limit(o->count);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0)
		err(1, "epoll_create1");
	for (int i = 0; i < o->count; i++)
	{
		s->clients[i].index = o->first + i;
		s->clients[i].fd = s->clients[i].old_fd = -1;
		s->clients[i].token = s->tokens[(o->first + i) % s->ntokens];
	}
	return s;
}

int
swarm_count(const struct swarm *s)
{
	return s->options.count;
}

int
swarm_connected(const struct swarm *s)
{
	return s->connected;
}

struct swarm_client *
swarm_client(struct swarm *s, int index)
{
	return &s->clients[index];
}
