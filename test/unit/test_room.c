/* test_room.c: who is in a room, and what the fan-out costs; recent events.  The sockets are stand-ins that count. */
#include <stdlib.h>
#include <time.h>

#include "bgworker/gateway/bus/recent.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/joins.h"
#include "bgworker/gateway/clients/room.h"
#include "bgworker/gateway/clients/snapshot.h"
#include "bgworker/gateway/clients/user.h"
#include "bgworker/gateway/socketio/sio_packet.h"
#include "tap.h"

struct rt_socket
{
	int got;
};

void rt_socket_send(struct rt_socket *s, struct rt_frame *f);

void
rt_socket_send(struct rt_socket *s, struct rt_frame *f)
{
	s->got++;
}

static struct rt_clients *clients;
static struct rt_users *users;
static struct rt_rooms *rooms;

static struct rt_client *
enter(struct rt_socket *s, const char *user)
{
	struct rt_client *c = rt_client_new(clients, s);
	bool first;

	rt_user_enter(users, c, user, user, &first);
	return c;
}

static void
leave(struct rt_client *c)
{
	rt_rooms_leave_all(rooms, c);
	if (rt_user_is_last(c))
		rt_rooms_forget_user(rooms, c->user);
	rt_user_leave(users, c);
	rt_client_free(clients, c);
}

static struct rt_frame *
frame(const char *text)
{
	struct rt_frame_part part = {text, strlen(text)};

	return rt_frame_new(&part, 1);
}

static void
count_client(void *arg, struct rt_client *c)
{
	(*(int *) arg)++;
}

static int
unjoined(const char *room)
{
	int n = 0;

	rt_room_each_unjoined(rooms, room, count_client, &n);
	return rt_room_has_unjoined(rooms, room) == (n > 0) ? n : -1;
}

static void
test_membership(void)
{
	struct rt_socket s[3] = {{0}};
	struct rt_client *a1 = enter(&s[0], "a");
	struct rt_client *a2 = enter(&s[1], "a");
	struct rt_client *b = enter(&s[2], "b");
	struct rt_frame *f = frame("42[]");

	rt_room_add_member(rooms, "1", a1->user);
	rt_room_add_member(rooms, "1", b->user);
	ok(unjoined("1") == 3, "three clients, none joined");
	rt_room_join(rooms, "1", a1, NULL);
	rt_room_join(rooms, "1", a1, NULL);
	rt_room_join(rooms, "1", a2, NULL);
	ok(unjoined("1") == 1, "joined once or twice, it is one client less");
	ok(rt_room_send(rooms, "1", f, &s[0]) == 1 && s[0].got == 0 && s[1].got == 1 && s[2].got == 0,
	   "an event goes to the joined but one");
	rt_room_leave(rooms, "1", a1);
	ok(unjoined("1") == 2, "whatever the user's other client has done");
	rt_room_leave(rooms, "1", a2);
	rt_room_leave(rooms, "1", a2);
	ok(unjoined("1") == 3 && rt_room_send(rooms, "1", f, NULL) == 0, "all have left");
	rt_room_join(rooms, "1", a1, NULL);
	rt_room_join(rooms, "2", a1, NULL);
	rt_room_remove_member(rooms, "1", a1->user, 7);
	ok(!rt_room_is_joined(rooms, "1", a1) && rt_room_is_joined(rooms, "2", a1), "who is removed has left that room");
	ok(rt_room_is_member(rooms, "2", a1->user), "joining makes a member");
	rt_room_join(rooms, "1", b, NULL);
	rt_room_delete(rooms, "1");
	rt_room_delete(rooms, "2");
	ok(rt_rooms_count(rooms) == 0 && a1->joins == NULL && b->user->memberships == NULL,
	   "deleted rooms leave nothing");
	rt_frame_unref(f);
	leave(a1);
	leave(a2);
	leave(b);
	ok(rt_users_count(users) == 0, "nor do users");
}

static bool
sees(const char *text, uint64_t xid)
{
	struct rt_snapshot *s = rt_snapshot_new(text);
	bool seen = rt_snapshot_sees(s, xid);

	rt_snapshot_unref(s);
	return seen;
}

static void
test_snapshots(void)
{
	char many[2000] = "10:9000:10";

	ok(sees("10:20:", 9) && sees("10:20:12,15", 11) && sees("10:20:12,15", 16), "a snapshot sees what had committed");
	ok(!sees("10:20:12,15", 12) && !sees("10:20:12,15", 15) && !sees("10:20:", 20) && !sees("10:20:", 21),
	   "not what ran, or came later");
	ok(!sees("10:20:", 0), "an unknown transaction is not seen");
	for (int i = 0; i < 400; i++)
		strcat(many, ",11");
	ok(!sees(NULL, 1) && !sees("", 1) && !sees("10", 1) && !sees("10:20", 1) && !sees("a:b:", 1) &&
		   !sees("10:20:1x", 1) && !sees("-1:20:", 1) && !sees(many, 1),
	   "what is no snapshot sees nothing");
}

static int
got_after(struct rt_socket *s, struct rt_frame *f)
{
	int before = s->got;

	rt_room_send(rooms, "1", f, NULL);
	return s->got - before;
}

/* Removed by transaction 15, added again by another, and joined anew, in every order in which we may learn of it. */
static void
test_removed_and_back(void)
{
	struct rt_socket s[2] = {{0}};
	struct rt_client *a = enter(&s[0], "a");
	struct rt_client *b = enter(&s[1], "a");
	struct rt_joins *joins = rt_joins_new();
	struct rt_snapshot *early = rt_snapshot_new("15:16:15");
	struct rt_snapshot *late = rt_snapshot_new("17:17:");
	struct rt_frame *f = rt_sio_packet_event_of("x", "{}", 2, 1);
	struct rt_pending_join *p;

	rt_room_join(rooms, "1", a, early);
	rt_room_join(rooms, "1", b, early);
	rt_room_join(rooms, "1", a, late);
	rt_room_remove_member(rooms, "1", a->user, 15);
	ok(rt_room_is_joined(rooms, "1", a) && !rt_room_is_joined(rooms, "1", b) &&
		   rt_room_is_member(rooms, "1", a->user),
	   "the end of a membership ends what was joined before it");
	ok(got_after(&s[0], f) == 1, "and nothing else");
	rt_room_remove_member(rooms, "1", a->user, 17);
	ok(!rt_room_is_joined(rooms, "1", a) && !rt_room_is_member(rooms, "1", a->user), "the next one ends that too");

	p = rt_joins_begin(joins, "1", "a");
	rt_joins_note(joins, "1", f);
	rt_joins_end_membership(joins, "1", "a", 15);
	rt_joins_note(joins, "1", f);
	s[0].got = 0;
	ok(rt_joins_finish(joins, p, rooms, a, late) && s[0].got == 0,
	   "known to the database, it does not cancel a join");
	rt_joins_deliver(p, a, 1);
	ok(s[0].got == 1, "and what was noted since comes when the client has been told");
	rt_room_remove_member(rooms, "1", a->user, 0);
	ok(!rt_room_is_joined(rooms, "1", a), "of an unknown time, it ends any");

	p = rt_joins_begin(joins, "1", "a");
	rt_joins_end_membership(joins, "1", "a", 15);
	ok(!rt_joins_finish(joins, p, rooms, a, early) && !rt_room_is_joined(rooms, "1", a), "unknown to it, it does");
	rt_joins_deliver(p, a, 1);
	p = rt_joins_begin(joins, "1", "a");
	for (uint64_t xid = 1; xid < 15; xid++)
		rt_joins_end_membership(joins, "1", "a", xid);
	ok(!rt_joins_finish(joins, p, rooms, a, late), "and so do more than are remembered");
	rt_joins_deliver(p, a, 1);

	rt_snapshot_unref(early);
	rt_snapshot_unref(late);
	rt_frame_unref(f);
	rt_joins_free(joins);
	leave(a);
	leave(b);
	ok(rt_rooms_count(rooms) == 0, "nothing is left");
}

static void
test_random_joins(void)
{
	enum
	{
		N = 60,
		ROOMS = 7
	};
	static struct rt_socket s[N];
	static bool joined[N][ROOMS];
	struct rt_client *c[N];
	bool right = true;
	char id[8];

	srandom(2);
	for (int i = 0; i < N; i++)
	{
		snprintf(id, sizeof(id), "u%d", i % 20);
		c[i] = enter(&s[i], id);
	}
	for (int round = 0; round < 100000; round++)
	{
		int i = (int) (random() % N);
		int r = (int) (random() % ROOMS);

		snprintf(id, sizeof(id), "%d", r + 1);
		joined[i][r] = !joined[i][r];
		if (joined[i][r])
			rt_room_join(rooms, id, c[i], NULL);
		else
			rt_room_leave(rooms, id, c[i]);
	}
	for (int r = 0; r < ROOMS; r++)
	{
		struct rt_frame *f = frame("x");
		size_t want = 0;

		snprintf(id, sizeof(id), "%d", r + 1);
		for (int i = 0; i < N; i++)
		{
			s[i].got = 0;
			want += joined[i][r];
		}
		right &= rt_room_send(rooms, id, f, NULL) == want;
		for (int i = 0; i < N; i++)
			right &= s[i].got == joined[i][r] && rt_room_is_joined(rooms, id, c[i]) == joined[i][r];
		rt_frame_unref(f);
	}
	ok(right, "after 100,000 joins and leaves each socket gets what it should");
	for (int i = 0; i < N; i++)
		leave(c[i]);
	ok(rt_rooms_count(rooms) == 0, "all gone");
}

static void
test_fan_out_cost(void)
{
	enum
	{
		N = 10000,
		ROUNDS = 200
	};
	struct rt_socket *s = calloc(N, sizeof(*s));
	struct rt_client **c = calloc(N, sizeof(*c));
	struct rt_frame *f = frame("x");
	struct timespec from, to;
	double ns;
	char id[16];

	for (int i = 0; i < N; i++)
	{
		snprintf(id, sizeof(id), "u%d", i);
		c[i] = enter(&s[i], id);
		rt_room_join(rooms, "1", c[i], NULL);
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (int i = 0; i < ROUNDS; i++)
		rt_room_send(rooms, "1", f, NULL);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	ns = ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / ROUNDS / N;
	printf("# %.1f ns a member\n", ns);
	/* A sanitized build is several times slower. */
	ok(ns < 400, "the fan-out costs little beside the send");
	for (int i = 0; i < N; i++)
		leave(c[i]);
	rt_frame_unref(f);
	free(s);
	free(c);
}

/* ---- recent events ---------------------------------------------------------------- */

struct seen
{
	uint64_t last;
	int count;
	bool rising;
};

static void
see(void *arg, const struct rt_recent_event *e)
{
	struct seen *seen = arg;

	seen->rising &= e->pos > seen->last;
	seen->last = e->pos;
	seen->count++;
}

static int
seen_of(const struct rt_recent *r, const char *key, uint64_t after)
{
	struct seen seen = {.rising = true};

	rt_recent_each(r, key, after, UINT64_MAX, see, &seen);
	return seen.rising ? seen.count : -1;
}

static void
test_recent(void)
{
	struct rt_recent *r = rt_recent_new(1 << 20);
	const char *both[] = {"r1", "ua", "r1"};
	const char *other[] = {"r2"};
	struct rt_frame *f = frame("0123456789");
	struct seen some = {.rising = true};

	rt_recent_reset(r, 100);
	for (uint64_t pos = 101; pos <= 200; pos++)
		rt_recent_add(r, pos, f, NULL, false, pos % 2 ? both : other, pos % 2 ? 3 : 1);
	ok(rt_recent_floor(r) == 100 && seen_of(r, "r1", 100) == 50 && seen_of(r, "r2", 100) == 50, "found by its keys");
	ok(seen_of(r, "ua", 149) == 25 && seen_of(r, "ua", 150) == 25 && seen_of(r, "ua", 199) == 0, "behind a position");
	rt_recent_each(r, "r1", 110, 120, see, &some);
	ok(some.count == 5 && some.last == 119, "up to a position");
	ok(seen_of(r, "r3", 0) == 0, "nothing of another key");
	for (uint64_t pos = 201; pos <= 20000; pos++)
		rt_recent_add(r, pos, f, NULL, false, pos % 2 ? both : other, pos % 2 ? 3 : 1);
	ok(rt_recent_bytes(r) <= 1 << 20 && rt_recent_floor(r) > 200, "it is bounded");
	ok(seen_of(r, "r1", 0) + seen_of(r, "r2", 0) == (int) (20000 - rt_recent_floor(r)),
	   "all behind the floor is there");
	rt_recent_reset(r, 7);
	ok(rt_recent_floor(r) == 7 && rt_recent_bytes(r) == 0 && seen_of(r, "r1", 0) == 0, "started over");
	rt_recent_free(r);
	rt_frame_unref(f);
}

int
main(void)
{
	clients = rt_clients_new();
	users = rt_users_new();
	rooms = rt_rooms_new();
	test_membership();
	test_snapshots();
	test_removed_and_back();
	test_random_joins();
	test_fan_out_cost();
	test_recent();
	rt_rooms_free(rooms);
	rt_users_free(users);
	rt_clients_free(clients);
	return tap_done();
}
