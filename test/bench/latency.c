/* latency.c: sends messages by INSERT at a fixed rate, and measures from when each was due until a LISTEN has it.
 *
 *   latency TABLE CHANNEL FIRST_ROOM ROOMS RATE SECONDS       connection: PGHOST, PGPORT, …
 *
 * The time that a message is due stands in its text, so a writer that is held up hides nothing.  Prints p50_us,
 * p99_us and missing, a line each. */
#define _GNU_SOURCE
#include <err.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WRITERS 8
#define USERS 200
#define GRACE_US 10000000
#define MARK "due="

struct writer
{
	PGconn *conn;
	bool busy;
};

static struct writer writers[WRITERS];
static PGconn *listener;
static int64_t *latencies_us;
static int64_t count, sent, got;

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t) t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static PGconn *
connect_and_run(const char *sql, const char *prepared)
{
	PGconn *conn = PQconnectdb("");
	PGresult *r;

	if (PQstatus(conn) != CONNECTION_OK)
		errx(1, "%s", PQerrorMessage(conn));
	r = prepared != NULL ? PQprepare(conn, prepared, sql, 3, NULL) : PQexec(conn, sql);
	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		errx(1, "%s", PQresultErrorMessage(r));
	PQclear(r);
	return conn;
}

static void
send_message(struct writer *w, long room, int64_t due_us)
{
	char room_id[32], user[32], content[160];
	const char *values[3] = {room_id, user, content};

	snprintf(room_id, sizeof(room_id), "%ld", room);
	snprintf(user, sizeof(user), "bench%d", (int) (1 + sent % USERS));
	snprintf(content, sizeof(content), MARK "%lld. It was the best of times, it was the worst of times",
			 (long long) due_us);
	if (!PQsendQueryPrepared(w->conn, "insert", 3, values, NULL, NULL, 0))
		errx(1, "%s", PQerrorMessage(w->conn));
	w->busy = true;
	sent++;
}

static void
read_answer(struct writer *w)
{
	PGresult *r;

	if (!PQconsumeInput(w->conn))
		errx(1, "%s", PQerrorMessage(w->conn));
	while (w->busy && !PQisBusy(w->conn))
	{
		r = PQgetResult(w->conn);
		w->busy = r != NULL;
		if (r != NULL && PQresultStatus(r) != PGRES_COMMAND_OK)
			errx(1, "%s", PQresultErrorMessage(r));
		PQclear(r);
	}
}

static void
read_notifications(void)
{
	PGnotify *n;

	if (!PQconsumeInput(listener))
		errx(1, "%s", PQerrorMessage(listener));
	while ((n = PQnotifies(listener)) != NULL)
	{
		const char *mark = strstr(n->extra, MARK);

		if (mark != NULL && got < count)
			latencies_us[got++] = now_us() - strtoll(mark + strlen(MARK), NULL, 10);
		PQfreemem(n);
	}
}

static void
wait_for_something(int64_t next_us)
{
	struct pollfd fds[WRITERS + 1];
	struct timespec timeout = {.tv_nsec = (next_us < 1 ? 1 : next_us > 10000 ? 10000 : next_us) * 1000};

	for (int i = 0; i < WRITERS; i++)
		fds[i] = (struct pollfd){.fd = PQsocket(writers[i].conn), .events = POLLIN};
	fds[WRITERS] = (struct pollfd){.fd = PQsocket(listener), .events = POLLIN};
	ppoll(fds, WRITERS + 1, &timeout, NULL);
	for (int i = 0; i < WRITERS; i++)
		if (fds[i].revents != 0)
			read_answer(&writers[i]);
	if (fds[WRITERS].revents != 0)
		read_notifications();
}

static struct writer *
find_idle(void)
{
	for (int i = 0; i < WRITERS; i++)
		if (!writers[i].busy)
			return &writers[i];
	return NULL;
}

static void
run(long first_room, long rooms, int64_t rate, int64_t seconds)
{
	int64_t start = now_us() + 100000;

	while (got < count && now_us() < start + seconds * 1000000 + GRACE_US)
	{
		int64_t due = start + sent * 1000000 / rate;
		struct writer *w;

		while (sent < count && due <= now_us() && (w = find_idle()) != NULL)
		{
			send_message(w, first_room + sent % rooms, due);
			due = start + sent * 1000000 / rate;
		}
		wait_for_something(find_idle() == NULL || sent == count ? 10000 : due - now_us());
	}
}

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;

	return x < y ? -1 : x > y;
}

int
main(int argc, char **argv)
{
	char sql[256];

	if (argc != 7)
		errx(1, "usage: latency TABLE CHANNEL FIRST_ROOM ROOMS RATE SECONDS");
	count = atoll(argv[5]) * atoll(argv[6]);
	latencies_us = calloc(count, sizeof(*latencies_us));
	snprintf(sql, sizeof(sql), "LISTEN %s", argv[2]);
	listener = connect_and_run(sql, NULL);
	snprintf(sql, sizeof(sql), "INSERT INTO %s (room_id, sender_id, content) VALUES ($1, $2, $3)", argv[1]);
	for (int i = 0; i < WRITERS; i++)
		writers[i].conn = connect_and_run(sql, "insert");
	run(atol(argv[3]), atol(argv[4]), atoll(argv[5]), atoll(argv[6]));
	qsort(latencies_us, got, sizeof(*latencies_us), by_size);
	printf("p50_us=%lld\np99_us=%lld\nmissing=%lld\n", got > 0 ? (long long) latencies_us[got / 2] : 0,
		   got > 0 ? (long long) latencies_us[got * 99 / 100] : 0, (long long) (count - got));
}
