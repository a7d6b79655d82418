/* sender.c: see sender.h */
#include "sender.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "swarm.h"

#define REQUEST_MAX 4096
#define ANSWER_MAX 8192

struct line
{
	struct sender *sender;
	PGconn *conn;            /* of an INSERT */
	int fd;                  /* of REST */
	char answer[ANSWER_MAX]; /* as far as it has come */
	size_t len;
	bool busy;
};

struct sender
{
	struct sender_options options;
	struct swarm *swarm;
	struct line *lines;
	int nlines, next;
	uint64_t answered;
	char room[24];
};

/* ---- INSERT ----------------------------------------------------------------------------- */

static void
on_result(void *arg)
{
	struct line *l = arg;
	PGresult *r;

	if (PQconsumeInput(l->conn) == 0)
		errx(1, "insert: %s", PQerrorMessage(l->conn));
	while (l->busy && !PQisBusy(l->conn))
	{
		r = PQgetResult(l->conn);
		if (r == NULL)
		{
			l->busy = false;
			l->sender->answered++;
		}
		else if (PQresultStatus(r) != PGRES_COMMAND_OK)
			errx(1, "insert: %s", PQresultErrorMessage(r));
		PQclear(r);
	}
}

static void
open_database(struct line *l)
{
	PGresult *r;

	l->conn = PQconnectdb("");
	if (PQstatus(l->conn) != CONNECTION_OK)
		errx(1, "insert: %s", PQerrorMessage(l->conn));
	r = PQprepare(l->conn, "send", "INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($1, 'bench1', $2)",
				  0, NULL);
	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		errx(1, "insert: %s", PQresultErrorMessage(r));
	PQclear(r);
	swarm_watch(l->sender->swarm, PQsocket(l->conn), on_result, l);
}

static void
insert(struct line *l, const char *content)
{
	const char *values[] = {l->sender->room, content};

	if (PQsendQueryPrepared(l->conn, "send", 2, values, NULL, NULL, 0) == 0)
		errx(1, "insert: %s", PQerrorMessage(l->conn));
}

/* ---- REST ------------------------------------------------------------------------------- */

/* Whether the answer is there whole.  RFC 9112, section 6.3: the gateway gives a Content-Length. */
static bool
is_whole(struct line *l)
{
	const char *end, *length;

	l->answer[l->len] = '\0';
	end = strstr(l->answer, "\r\n\r\n");
	if (end == NULL)
		return false;
	length = strcasestr(l->answer, "\r\ncontent-length:");
	if (length == NULL || length > end)
		errx(1, "rest: an answer without a length: %s", l->answer);
	return l->len >= (size_t) (end + 4 - l->answer) + strtoul(length + 17, NULL, 10);
}

static void
on_answer(void *arg)
{
	struct line *l = arg;
	ssize_t n = recv(l->fd, l->answer + l->len, ANSWER_MAX - 1 - l->len, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		errx(1, "rest: the connection is gone");
	l->len += (size_t) n;
	if (!is_whole(l))
		return;
	if (strncmp(l->answer, "HTTP/1.1 201 ", 13) != 0)
		errx(1, "rest: %s", l->answer);
	l->len = 0;
	l->busy = false;
	l->sender->answered++;
}

static void
open_http(struct line *l)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t) l->sender->options.port)};
	int one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || connect(l->fd, (struct sockaddr *) &to, sizeof(to)) < 0)
		err(1, "rest: connect");
	setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	swarm_watch(l->sender->swarm, l->fd, on_answer, l);
}

static void
post(struct line *l, const char *content)
{
	const struct sender_options *o = &l->sender->options;
	char request[REQUEST_MAX];
	int len =
		snprintf(request, sizeof(request),
				 "POST /api/chat/rooms/%s/msgs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
				 "Authorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n{\"content\":\"%s\"}",
				 l->sender->room, o->token, strlen(content) + strlen("{\"content\":\"\"}"), content);

	if (len >= REQUEST_MAX || send(l->fd, request, (size_t) len, MSG_NOSIGNAL) != len)
		errx(1, "rest: cannot send");
}

/* ---- any -------------------------------------------------------------------------------- */

static bool
is_how(const struct sender *sn, const char *how)
{
	return strcmp(sn->options.how, how) == 0;
}

struct sender *
sender_new(struct swarm *s, const struct sender_options *o)
{
	struct sender *sn = calloc(1, sizeof(*sn));

	if (sn == NULL || (sn->lines = calloc((size_t) o->connections + 1, sizeof(*sn->lines))) == NULL)
		err(1, "calloc");
	sn->options = *o;
	sn->swarm = s;
	snprintf(sn->room, sizeof(sn->room), "%lld", o->room);
	if (!is_how(sn, "insert") && !is_how(sn, "rest") && !is_how(sn, "floor"))
		errx(2, "no way to send by %s", o->how);
	for (int i = 0; !is_how(sn, "floor") && i < o->connections; i++)
	{
		sn->lines[i].sender = sn;
		sn->lines[i].fd = -1;
		if (is_how(sn, "insert"))
			open_database(&sn->lines[i]);
		else
			open_http(&sn->lines[i]);
		sn->nlines++;
	}
	return sn;
}

void
sender_free(struct sender *sn)
{
	for (int i = 0; i < sn->nlines; i++)
	{
		PQfinish(sn->lines[i].conn);
		if (sn->lines[i].fd >= 0)
			close(sn->lines[i].fd);
	}
	free(sn->lines);
	free(sn);
}

static struct line *
find_free(struct sender *sn)
{
	for (int i = 0; i < sn->nlines; i++)
	{
		struct line *l = &sn->lines[(sn->next + i) % sn->nlines];

		if (!l->busy)
		{
			sn->next = (sn->next + i + 1) % sn->nlines;
			return l;
		}
	}
	return NULL;
}

bool
sender_send(struct sender *sn, const char *content)
{
	struct line *l;

	if (is_how(sn, "floor"))
	{
		swarm_emit(sn->swarm, sn->options.client, "42[\"publish\",\"%s\"]", content);
		sn->answered++;
		return true;
	}
	l = find_free(sn);
	if (l == NULL)
		return false;
	l->busy = true;
	if (is_how(sn, "insert"))
		insert(l, content);
	else
		post(l, content);
	return true;
}

uint64_t
sender_answered(const struct sender *sn)
{
	return sn->answered;
}
