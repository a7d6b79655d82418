/* test_meeting.c: who gets what a meeting says, and when.  The sockets are stand-ins that keep what they got. */
#include <stdlib.h>

#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/clients/user.h"
#include "bgworker/gateway/meetings/meeting.h"
#include "bgworker/gateway/socketio/sio_packet.h"
#include "tap.h"

struct rt_socket
{
	char got[64];  /* the first byte of each event's name */
	char last[64]; /* the last frame */
	bool cut;
};

void rt_socket_send(struct rt_socket *s, struct rt_frame *f);
void rt_socket_disconnect(struct rt_socket *s, const char *reason);
const char *rt_socket_id(const struct rt_socket *s);

void
rt_socket_send(struct rt_socket *s, struct rt_frame *f)
{
	size_t len;
	const char *text = rt_frame_text(f, &len);

	if (strlen(s->got) < sizeof(s->got) - 1)
		strncat(s->got, text + 4, 1);
	snprintf(s->last, sizeof(s->last), "%.*s", (int) len, text);
}

void
rt_socket_disconnect(struct rt_socket *s, const char *reason)
{
	s->cut = true;
}

const char *
rt_socket_id(const struct rt_socket *s)
{
	return "own";
}

static struct rt_clients *clients;
static struct rt_users *users;
static struct rt_meetings *meetings;

static struct rt_client *
enter(struct rt_socket *s)
{
	struct rt_client *c = rt_client_new(clients, s);
	bool first;

	rt_user_enter(users, c, "a", "a", &first);
	return c;
}

static void
leave(struct rt_client *c)
{
	rt_meetings_leave_all(meetings, c);
	rt_user_leave(users, c);
	rt_client_free(clients, c);
}

static void
say(const char *text, const json_t *participants, const struct rt_socket *except)
{
	struct rt_frame *f = rt_sio_packet_event_of(text, "{}", 2, 1);

	rt_meeting_send(meetings, "5", participants, f, except);
	rt_frame_unref(f);
}

static void
test_who(void)
{
	struct rt_socket s[3] = {{{0}, {0}, false}};
	struct rt_client *a = enter(&s[0]);
	struct rt_client *b = enter(&s[1]);
	struct rt_client *other = enter(&s[2]);
	json_t *second = json_pack("[s, i]", "12", 11);

	rt_meeting_enter(meetings, "5", a, "11");
	rt_meeting_enter(meetings, "5", b, "12");
	rt_meeting_enter(meetings, "6", other, "13");
	ok(rt_meetings_count(meetings) == 2 && rt_meetings_seats(meetings) == 3, "two meetings, three seats");
	say("a", NULL, NULL);
	say("b", NULL, &s[0]);
	say("c", second, NULL);
	is_str(s[0].got, "a", "all, but not what leaves it out");
	is_str(s[1].got, "abc", "all, and what is for it alone");
	is_str(s[2].got, "", "another meeting's hears nothing");
	rt_meeting_leave(meetings, "5", b, "99");
	ok(rt_meeting_is_seated(meetings, "5", b), "another participant's end is not its own");
	rt_meeting_leave(meetings, "5", b, "12");
	say("d", NULL, NULL);
	is_str(s[1].got, "abc", "nothing after the end");
	rt_meeting_close(meetings, "5");
	ok(!rt_meeting_is_seated(meetings, "5", a) && rt_meetings_count(meetings) == 1, "a closed meeting");
	leave(a);
	leave(b);
	leave(other);
	ok(rt_meetings_count(meetings) == 0 && rt_meetings_seats(meetings) == 0, "nothing is left");
	json_decref(second);
}

static void
test_order(void)
{
	struct rt_socket s = {{0}, {0}, false};
	struct rt_client *c = enter(&s);

	rt_meeting_expect(meetings, "5", c);
	say("a", NULL, NULL);
	rt_meeting_enter(meetings, "5", c, "11");
	say("b", NULL, NULL);
	say("c", NULL, NULL);
	is_str(s.got, "", "nothing before the answer");
	strcpy(s.got, "!");
	rt_meeting_settle(meetings, "5", c, true, 7);
	is_str(s.got, "!bc", "behind the answer what came behind the join");
	is_str(s.last, "42[\"c\",{},\"7\"]", "with the position that the client has by then");
	say("d", NULL, NULL);
	is_str(s.got, "!bcd", "and then at once");
	rt_meeting_leave(meetings, "5", c, "11");

	rt_meeting_expect(meetings, "5", c);
	rt_meeting_settle(meetings, "5", c, true, 7);
	say("e", NULL, NULL);
	is_str(s.got, "!bcd", "an answer that is first: nothing yet");
	ok(rt_meeting_is_seated(meetings, "5", c), "but it counts as in it");
	rt_meeting_enter(meetings, "5", c, "14");
	say("f", NULL, NULL);
	is_str(s.got, "!bcdf", "from the join on");
	rt_meeting_leave(meetings, "5", c, NULL);

	rt_meeting_expect(meetings, "5", c);
	rt_meeting_settle(meetings, "5", c, false, 7);
	ok(!rt_meeting_is_seated(meetings, "5", c) && rt_meetings_count(meetings) == 0, "a refusal leaves nothing");

	rt_meeting_expect(meetings, "5", c);
	rt_meeting_enter(meetings, "5", c, "15");
	say("g", NULL, NULL);
	rt_meeting_leave(meetings, "5", c, "15");
	say("h", NULL, NULL);
	rt_meeting_settle(meetings, "5", c, false, 7);
	is_str(s.got, "!bcdfg", "in and out before the answer");
	ok(rt_meetings_count(meetings) == 0, "and out it is");
	leave(c);
}

static void
test_limit(void)
{
	struct rt_socket s = {{0}, {0}, false};
	struct rt_client *c = enter(&s);

	rt_meeting_expect(meetings, "5", c);
	rt_meeting_enter(meetings, "5", c, "11");
	for (int i = 0; i < 1000; i++)
		say("x", NULL, NULL);
	ok(!s.cut, "a thousand events wait for an answer");
	say("x", NULL, NULL);
	ok(s.cut, "one more cuts the client off");
	leave(c);
}

static void
test_review(void)
{
	struct rt_socket s = {{0}, {0}, false};
	struct rt_client *c = enter(&s);
	json_t *participants = json_pack("{s:s, s:s, s:n}", "11", "own", "12", "another", "13");

	rt_meeting_enter(meetings, "5", c, "11");
	rt_meetings_review(meetings, c, participants);
	ok(rt_meeting_is_seated(meetings, "5", c), "whoever is a participant by this socket stays");
	rt_meeting_enter(meetings, "5", c, "12");
	rt_meetings_review(meetings, c, participants);
	ok(!rt_meeting_is_seated(meetings, "5", c), "by another socket leaves");
	rt_meeting_enter(meetings, "5", c, "13");
	rt_meetings_review(meetings, c, participants);
	ok(!rt_meeting_is_seated(meetings, "5", c), "by none, too");
	rt_meeting_expect(meetings, "5", c);
	rt_meetings_review(meetings, c, participants);
	rt_meeting_enter(meetings, "5", c, "11");
	rt_meeting_settle(meetings, "5", c, true, 7);
	say("a", NULL, NULL);
	is_str(s.got, "a", "who is about to join does");
	json_decref(participants);
	leave(c);
}

int
main(void)
{
	clients = rt_clients_new();
	users = rt_users_new();
	meetings = rt_meetings_new();
	test_who();
	test_order();
	test_limit();
	test_review();
	rt_meetings_free(meetings);
	rt_users_free(users);
	rt_clients_free(clients);
	return tap_done();
}
