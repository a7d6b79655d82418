/* publish.c: see publish.h */
#include "publish.h"

#include <err.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "swarm.h"

static const char content[] = "It was the best of times, it was the worst of times, it was the age of wisdom";

struct publish
{
	PGconn *conn;
	struct swarm *swarm;
	long long first;
	int rooms, next;
	bool busy, stopped;
	uint64_t interval_ns, due_ns;
	long long *last; /* by room */
};

static void
on_readable(void *arg)
{
	struct publish *p = arg;
	PGresult *r;

	if (PQconsumeInput(p->conn) == 0)
		errx(1, "publish: %s", PQerrorMessage(p->conn));
	while (p->busy && !PQisBusy(p->conn))
	{
		r = PQgetResult(p->conn);
		if (r == NULL)
		{
			p->busy = false;
			p->next = (p->next + 1) % p->rooms;
			continue;
		}
		if (PQresultStatus(r) != PGRES_TUPLES_OK)
			errx(1, "publish: %s", PQresultErrorMessage(r));
		p->last[p->next] = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
		PQclear(r);
	}
}

static void
read_last(struct publish *p)
{
	char first[24];
	const char *values[] = {first};
	PGresult *r;

	snprintf(first, sizeof(first), "%lld", p->first);
	r = PQexecParams(p->conn, "SELECT last_seq FROM rt.rooms WHERE id >= $1 ORDER BY id", 1, NULL, values, NULL, NULL,
					 0);
	if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) < p->rooms)
		errx(1, "publish: no such rooms: %s", PQerrorMessage(p->conn));
	for (int i = 0; i < p->rooms; i++)
		p->last[i] = strtoll(PQgetvalue(r, i, 0), NULL, 10);
	PQclear(r);
}

struct publish *
publish_new(struct swarm *s, long long first, int rooms, double rate)
{
	struct publish *p = calloc(1, sizeof(*p));

	if (p == NULL || (p->last = calloc((size_t) rooms, sizeof(*p->last))) == NULL)
		err(1, "calloc");
	p->conn = PQconnectdb("");
	if (PQstatus(p->conn) != CONNECTION_OK)
		errx(1, "publish: %s", PQerrorMessage(p->conn));
	p->swarm = s;
	p->first = first;
	p->rooms = rooms;
	p->interval_ns = (uint64_t) (1e9 / rate);
	p->due_ns = measure_now_ns();
	read_last(p);
	swarm_watch(s, PQsocket(p->conn), on_readable, p);
	return p;
}

void
publish_free(struct publish *p)
{
	PQfinish(p->conn);
	free(p->last);
	free(p);
}

uint64_t
publish_go_on(struct publish *p)
{
	char room[24];
	const char *values[] = {room, content};

	if (p->busy || p->stopped || measure_now_ns() < p->due_ns)
		return p->busy || p->stopped ? UINT64_MAX : p->due_ns;
	snprintf(room, sizeof(room), "%lld", p->first + p->next);
	if (PQsendQueryParams(p->conn,
						  "INSERT INTO rt.messages (room_id, sender_id, content) "
						  "SELECT r.id, r.created_by, $2 FROM rt.rooms AS r WHERE r.id = $1 RETURNING seq",
						  2, NULL, values, NULL, NULL, 0) == 0)
		errx(1, "publish: %s", PQerrorMessage(p->conn));
	p->busy = true;
	p->due_ns += p->interval_ns;
	return UINT64_MAX;
}

void
publish_stop(struct publish *p)
{
	p->stopped = true;
	while (p->busy)
		swarm_turn(p->swarm, measure_now_ns() + 100000000);
}

long long
publish_last(const struct publish *p, int room)
{
	return p->last[room];
}
