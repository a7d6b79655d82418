/* fanout.c: the least that fan-out can cost: bare send() of a ready frame to each socket.
 *
 *   fanout_floor PORT
 *
 * Speaks as much of Socket.IO as the swarm's clients ask for: the handshake, CONNECT, join-chat-rooms.  What a client
 * emits as "publish" goes, built once, in an event of a gateway's shape and length, to every client that has joined,
 * with one send() each.  There is no queue: a client whose socket is full misses the message, and the swarm says so.
 * Good for the swarm alone: it takes frames whole, unmasked by a key of zeros. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_FDS 131072
#define READ_BYTES 65536
#define FRAME_MAX 8192
#define EVENTS 512

struct peer
{
	char rest[512]; /* of a frame that has not come whole */
	size_t len;
	int upgraded;
};

static struct peer *peers[MAX_FDS]; /* by descriptor */
static int joined[MAX_FDS];
static int njoined;
static unsigned long long offset;

/* An unmasked text frame, RFC 6455, section 5.2. */
static size_t
build_frame(char *frame, const char *text, size_t len)
{
	size_t head = len < 126 ? 2 : 4;

	frame[0] = (char) 0x81;
	frame[1] = (char) (len < 126 ? len : 126);
	if (len >= 126)
	{
		frame[2] = (char) (len >> 8);
		frame[3] = (char) len;
	}
	memcpy(frame + head, text, len);
	return head + len;
}

static void
send_text(int fd, const char *text)
{
	char frame[FRAME_MAX];
	size_t len = build_frame(frame, text, strlen(text));

	if (send(fd, frame, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t) len)
		err(1, "send");
}

static void
fan_out(const char *content, size_t len)
{
	char text[FRAME_MAX - 8], frame[FRAME_MAX];
	size_t n = (size_t) snprintf(
		text, sizeof(text),
		"42[\"new-chat-message\",{\"type\":\"new-message\",\"roomId\":\"1000\",\"data\":{\"id\":\"1000-%08llu\","
		"\"messageId\":"
		"\"1000-%08llu\",\"roomId\":\"1000\",\"seq\":%08llu,\"senderId\":\"bench1\",\"userId\":\"bench1\","
		"\"userName\":\"Bench 1\","
		"\"content\":\"%.*s\",\"messageType\":\"text\",\"metadata\":null,\"replyTo\":null,\"clientId\":null,"
		"\"createdAt\":\"2026-01-01T00:00:00.000Z\",\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"editedAt\":null,"
		"\"deletedAt\":null},"
		"\"timestamp\":\"2026-01-01T00:00:00.000Z\"},\"%08llu\"]",
		offset, offset, offset, (int) len, content, offset);

	offset++;
	if (n >= sizeof(text))
		errx(1, "a message of %zu bytes", len);
	n = build_frame(frame, text, n);
	for (int i = 0; i < njoined; i++)
		send(joined[i], frame, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
take_text(int fd, const char *text, size_t len)
{
	static const char publish[] = "42[\"publish\",\"";

	if (len > sizeof(publish) && memcmp(text, publish, sizeof(publish) - 1) == 0)
		fan_out(text + sizeof(publish) - 1, len - (sizeof(publish) - 1) - strlen("\"]"));
	else if (len >= 3 && memcmp(text, "420", 3) == 0)
	{
		joined[njoined++] = fd;
		send_text(fd, "430[{\"success\":true}]");
	}
	else if (len >= 2 && memcmp(text, "40", 2) == 0)
		send_text(fd, "40{\"sid\":\"floor\",\"pid\":\"floor\"}");
}

/* What was taken of the data. */
static size_t
take_frame(int fd, const char *data, size_t len)
{
	const unsigned char *p = (const unsigned char *) data;
	size_t head = 6, body;

	if (len < 8)
		return 0;
	body = p[1] & 0x7f;
	if (body == 126)
	{
		body = (size_t) p[2] << 8 | p[3];
		head = 8;
	}
	if (len < head + body)
		return 0;
	take_text(fd, data + head, body);
	return head + body;
}

static void
drop(int fd)
{
	free(peers[fd]);
	peers[fd] = NULL;
	for (int i = 0; i < njoined; i++)
	{
		if (joined[i] == fd)
		{
			joined[i] = joined[--njoined];
			break;
		}
	}
	close(fd);
}

/* The swarm does not look at Sec-WebSocket-Accept. */
static size_t
take_head(int fd, const char *data, size_t len)
{
	const char *end = memmem(data, len, "\r\n\r\n", 4);

	if (end == NULL)
		return 0;
	if (send(fd, "HTTP/1.1 101 Switching Protocols\r\n\r\n", 36, MSG_NOSIGNAL) != 36)
		err(1, "send");
	send_text(fd, "0{\"sid\":\"floor\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000}");
	peers[fd]->upgraded = 1;
	return (size_t) (end + 4 - data);
}

static void
on_readable(int fd)
{
	static char data[READ_BYTES];
	struct peer *p = peers[fd];
	size_t len = p->len, done = 0, taken;
	ssize_t n;

	memcpy(data, p->rest, len);
	n = recv(fd, data + len, sizeof(data) - len, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
	{
		drop(fd);
		return;
	}
	len += (size_t) n;
	if (!p->upgraded)
		done = take_head(fd, data, len);
	while (p->upgraded && (taken = take_frame(fd, data + done, len - done)) > 0)
		done += taken;
	p->len = len - done;
	if (p->len > sizeof(p->rest))
		errx(1, "a frame that is too long");
	memcpy(p->rest, data + done, p->len);
}

static void
on_connection(int listener, int epoll)
{
	struct epoll_event e = {.events = EPOLLIN};
	int one = 1;

	while ((e.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
	{
		if (e.data.fd >= MAX_FDS || (peers[e.data.fd] = calloc(1, sizeof(struct peer))) == NULL)
			errx(1, "too many connections");
		setsockopt(e.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, e.data.fd, &e) < 0)
			err(1, "epoll_ctl");
	}
}

static int
start_listening(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *) &at, sizeof(at)) < 0 || listen(fd, 4096) < 0)
		err(1, "port %d", port);
	return fd;
}

int
main(int argc, char **argv)
{
	struct rlimit rl;
	struct epoll_event events[EVENTS];
	int listener, epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = {.events = EPOLLIN};

	if (argc != 2)
		errx(2, "fanout_floor PORT");
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	e.data.fd = listener = start_listening(atoi(argv[1]));
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) < 0)
		err(1, "epoll");
	for (;;)
	{
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
		{
			if (events[i].data.fd == listener)
				on_connection(listener, epoll);
			else if (peers[events[i].data.fd] != NULL)
				on_readable(events[i].data.fd);
		}
	}
}
