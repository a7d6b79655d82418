/* test_dbconn.c: connections to several servers, of which one is silent.  The servers are the test's own. */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bgworker/common/db/db.h"
#include "bgworker/common/db/dbhosts.h"
#include "bgworker/common/loop.h"
#include "tap.h"

#define DEADLINE_MS 60000
#define MAX_CLIENTS 1000
#define POOL 8 /* connections of test_pool() */
/* Not a multiple of POOL: those who came before the promotion are to follow, too. */
#define LOGINS_OF_STANDBY 36
#define CONNINFO_SIZE 300
#define TOGETHER_MS 200 /* less than the shortest pause after so many attempts */

/* It speaks as much of the protocol as a login and a query without a result need. */
struct server
{
	int fd;
	struct rt_watch *watch;
	struct client
	{
		struct server *server;
		int fd;
		struct rt_watch *watch;
		bool logged_in;
	} clients[MAX_CLIENTS];
	int nclients;
	int standby_for; /* so many logins find a standby */
	int nqueries;    /* answered */
	uint64_t first_ms;
	bool silent;
};

static struct rt_loop *loop;
static struct server one, two;
static bool listening;
static int nanswers;
static char last_code[40];

static void
say(int fd, char type, const void *body, uint32_t len)
{
	uint32_t n = htonl(len + 4);

	if (send(fd, &type, 1, MSG_NOSIGNAL) != 1 || send(fd, &n, 4, MSG_NOSIGNAL) != 4 ||
		send(fd, body, len, MSG_NOSIGNAL) != (ssize_t) len)
		printf("# the client has gone\n");
}

static void
set_parameter(int fd, const char *name, const char *value)
{
	char body[100];
	int n = snprintf(body, sizeof(body), "%s%c%s", name, 0, value) + 1;

	say(fd, 'S', body, (uint32_t) n);
}

static void
log_in(struct client *c)
{
	struct server *s = c->server;

	say(c->fd, 'R', "\0\0\0\0", 4);
	set_parameter(c->fd, "server_version", "15.0");
	set_parameter(c->fd, "client_encoding", "UTF8");
	set_parameter(c->fd, "default_transaction_read_only", "off");
	set_parameter(c->fd, "in_hot_standby", s->standby_for > 0 ? "on" : "off");
	if (s->standby_for > 0)
		s->standby_for--;
	say(c->fd, 'Z', "I", 1);
	c->logged_in = true;
}

static void
on_client(void *arg, int events)
{
	struct client *c = arg;
	char got[2000];

	if (read(c->fd, got, sizeof(got)) <= 0)
	{
		rt_watch_free(c->watch);
		c->watch = NULL;
		close(c->fd);
		return;
	}
	if (c->server->silent)
		return;
	if (!c->logged_in)
	{
		log_in(c);
		return;
	}
	if (got[0] != 'Q')
		return;
	if (c->server->nqueries++ == 0)
		c->server->first_ms = rt_loop_now_ms(loop);
	else if (c->server->nqueries == POOL)
		rt_loop_stop(loop);
	say(c->fd, 'T', "\0\0", 2);
	say(c->fd, 'C', "SELECT 1", 9);
	say(c->fd, 'Z', "I", 1);
}

static void
on_server(void *arg, int events)
{
	struct server *s = arg;
	struct client *c = &s->clients[s->nclients];
	int fd = accept(s->fd, NULL, NULL);

	if (fd < 0 || s->nclients == MAX_CLIENTS)
		return;
	s->nclients++;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	*c = (struct client){.server = s, .fd = fd};
	c->watch = rt_watch_new(loop, fd, on_client, c);
	rt_watch_set(c->watch, RT_READABLE);
}

static int
start(struct server *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->fd, (struct sockaddr *) &a, len) != 0 || listen(s->fd, 64) != 0 ||
		getsockname(s->fd, (struct sockaddr *) &a, &len) != 0)
		exit(1);
	s->watch = rt_watch_new(loop, s->fd, on_server, s);
	rt_watch_set(s->watch, RT_READABLE);
	return ntohs(a.sin_port);
}

static void
stop(struct server *s)
{
	for (int i = 0; i < s->nclients; i++)
	{
		if (s->clients[i].watch == NULL)
			continue;
		rt_watch_free(s->clients[i].watch);
		close(s->clients[i].fd);
	}
	rt_watch_free(s->watch);
	close(s->fd);
}

static const char *
start_both(char conninfo[CONNINFO_SIZE])
{
	snprintf(conninfo, CONNINFO_SIZE,
			 "host=127.0.0.1,127.0.0.1 port=%d,%d dbname=x user=x target_session_attrs=read-write sslmode=disable "
			 "gssencmode=disable",
			 start(&one), start(&two));
	return conninfo;
}

static void
on_notify(void *arg, int pid, const char *payload, size_t len)
{
}

static void
on_listen(void *arg, bool up)
{
	listening = up;
	rt_loop_stop(loop);
}

static void
on_answer(void *arg, const struct rt_db_reply *reply)
{
	nanswers++;
	snprintf(last_code, sizeof(last_code), "%s", reply->ok ? "ok" : reply->code);
	rt_loop_stop(loop);
}

static void
give_up(void *arg)
{
	printf("Bail out! nothing happens\n");
	exit(1);
}

/* Nobody is told when a lane comes up. */
static void
look(void *arg)
{
	rt_loop_stop(loop);
}

static void
test_several(void)
{
	struct rt_db_options o = {.fast_connections = 1, .max_waiting = 100};
	struct rt_timer *deadline = rt_timer_new(loop, give_up, NULL);
	struct rt_timer *soon = rt_timer_new(loop, look, NULL);
	char conninfo[CONNINFO_SIZE];
	struct rt_db *db;
	uint64_t began_ms;

	one.silent = true;
	two.standby_for = 8;
	o.conninfo = start_both(conninfo);
	rt_timer_start(deadline, DEADLINE_MS);
	rt_db_new(&db, loop, &o);
	rt_db_listen(db, "x", on_notify, on_listen, NULL);
	while (!rt_db_up(db))
	{
		rt_timer_start(soon, 10);
		rt_loop_run(loop);
	}
	ok(two.standby_for == 0, "a standby is asked again until it has been promoted");
	ok(one.nclients <= 4, "the silent server before it is waited for meanwhile, and not asked each time: %d times",
	   one.nclients);

	/* Now the other one falls silent, with a call under way. */
	one.silent = false;
	two.silent = true;
	began_ms = rt_loop_now_ms(loop);
	rt_db_call(db, RT_DB_FAST, "nothing", NULL, "{}", 2, on_answer, NULL);
	while (!listening || nanswers == 0 || !rt_db_up(db))
	{
		rt_timer_start(soon, 10);
		rt_loop_run(loop);
	}
	is_str(last_code, "unavailable", "a call to a server that has fallen silent is answered");
	ok(rt_loop_now_ms(loop) - began_ms < 12000, "the silent server is left for the other one, within %d ms",
	   (int) (rt_loop_now_ms(loop) - began_ms));
	ok(rt_db_lane_up(db, RT_DB_FAST), "by all connections");
	rt_db_free(db);
	rt_timer_free(soon);
	rt_timer_free(deadline);
	stop(&one);
	stop(&two);
}

/* All connections are lost, and the server is a standby for a while.  Result: how long after the first one the last
 * one was let in. */
static int
lose_pool(void)
{
	two.nqueries = 0;
	two.standby_for = LOGINS_OF_STANDBY;
	for (int i = 0; i < two.nclients; i++)
		if (two.clients[i].watch != NULL)
			shutdown(two.clients[i].fd, SHUT_RDWR);
	rt_loop_run(loop);
	return (int) (rt_loop_now_ms(loop) - two.first_ms);
}

static void
test_pool(void)
{
	struct rt_db_options o = {.fast_connections = POOL, .max_waiting = 100};
	struct rt_timer *deadline = rt_timer_new(loop, give_up, NULL);
	char conninfo[CONNINFO_SIZE];
	struct rt_db *db;
	int took_ms;

	one = two = (struct server){.standby_for = 0};
	one.standby_for = 1000000;
	o.conninfo = start_both(conninfo);
	rt_timer_start(deadline, DEADLINE_MS);
	rt_db_new(&db, loop, &o);
	rt_loop_run(loop);
	/* This machine may be busy with something else. */
	for (int tries = 0; (took_ms = lose_pool()) >= TOGETHER_MS && tries < 4; tries++)
		printf("# %d ms\n", took_ms);
	ok(took_ms < TOGETHER_MS, "all connections follow the first one to a server that was promoted: %d ms", took_ms);
	rt_db_free(db);
	rt_timer_free(deadline);
	stop(&one);
	stop(&two);
}

static void
test_hosts(void)
{
	static const struct
	{
		const char *conninfo;
		int count;
	} cases[] = {
		{"host=a", 1},
		{"dbname=x", 1},
		{"host=a,b port=1,2", 2},
		{"hostaddr=10.0.0.1,10.0.0.2,10.0.0.3", 3},
		{"postgresql://a,b:5433,c/x", 3},
		{"host=a,b port=1", 2},
		{"host=a,b port=1,2,3", 1}, /* libpq refuses it */
		{"host=a,b target_session_attrs=read-write", 2},
		{"host=a,b target_session_attrs=prefer-standby", 1}, /* libpq chooses */
		{"host=a,b,c,d,e,f,g,h,i", 1},                       /* too many */
		{"host=a,b nonsense", 1},
	};
	PGconn *pg = rt_dbhosts_connect_to("host=127.0.0.1,localhost port=1,2 dbname=x", 1);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ok(rt_dbhosts_count(cases[i].conninfo) == cases[i].count, "%d: %s", cases[i].count, cases[i].conninfo);
	is_str(PQhost(pg), "localhost", "one host is picked");
	is_str(PQport(pg), "2", "with its port");
	PQfinish(pg);
	pg = rt_dbhosts_connect_to("host=127.0.0.1,localhost port=7 dbname=x", 1);
	is_str(PQport(pg), "7", "a single port is for all");
	PQfinish(pg);
}

int
main(void)
{
	if (rt_loop_new(&loop) != RT_OK)
		return 1;
	test_hosts();
	test_several();
	test_pool();
	rt_loop_free(loop);
	return tap_done();
}
