/* test_sendring.c: many sends in one call. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bgworker/gateway/engineio/sendring.h"
#include "tap.h"

#define PAIRS RT_SENDRING_SENDS

static int near_end[PAIRS], far_end[PAIRS];

static void
open_pairs(void)
{
	for (int i = 0; i < PAIRS; i++)
	{
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
			exit(1);
		near_end[i] = pair[0];
		far_end[i] = pair[1];
	}
}

static void
test_all_arrive(struct rt_sendring *r)
{
	char text[PAIRS][16], got[16];
	int result[PAIRS];
	int sent = 0, arrived = 0;

	for (int i = 0; i < PAIRS; i++)
	{
		snprintf(text[i], sizeof(text[i]), "message %03d", i);
		rt_sendring_put(r, i, near_end[i], text[i], 12);
	}
	ok(rt_sendring_run(r, PAIRS, result), "the kernel takes a full ring");
	for (int i = 0; i < PAIRS; i++)
	{
		sent += result[i] == 12;
		arrived += recv(far_end[i], got, sizeof(got), 0) == 12 && memcmp(got, text[i], 12) == 0;
	}
	ok(sent == PAIRS, "each result says what was sent");
	ok(arrived == PAIRS, "each socket gets its own");
}

/* A peer that does not read, one that is gone, a descriptor that is none: each alone. */
static void
test_failures(struct rt_sendring *r)
{
	static char large[8 << 20];
	int result[5];
	char got[4];
	ssize_t n, total = 0;

	close(far_end[1]);
	rt_sendring_put(r, 0, near_end[0], large, sizeof(large));
	rt_sendring_put(r, 1, near_end[1], "abc", 3);
	rt_sendring_put(r, 2, -1, "abc", 3);
	rt_sendring_put(r, 3, near_end[0], "abc", 3);
	rt_sendring_put(r, 4, near_end[4], "abc", 3);
	ok(rt_sendring_run(r, 5, result), "failures are results");
	ok(result[0] > 0 && result[0] < (int) sizeof(large), "a part was sent: %d", result[0]);
	ok(result[1] == -EPIPE, "a peer that is gone");
	ok(result[2] == -EBADF, "no descriptor");
	ok(result[3] == -EAGAIN, "a socket that is full is not waited for");
	ok(result[4] == 3, "and the next one is served");
	ok(recv(far_end[4], got, sizeof(got), 0) == 3, "it arrives");
	while ((n = recv(far_end[0], large, sizeof(large), 0)) > 0)
		total += n;
	ok(total == result[0], "of the part no byte more");
}

static void
test_again(struct rt_sendring *r)
{
	char got[4];
	int result[1];
	int good = 0;

	for (int round = 0; round < 1000; round++)
	{
		rt_sendring_put(r, 0, near_end[5], "x", 1);
		good += rt_sendring_run(r, 1, result) && result[0] == 1 && recv(far_end[5], got, sizeof(got), 0) == 1;
	}
	ok(good == 1000, "one run after the other");
}

int
main(void)
{
	struct rt_sendring *r = rt_sendring_new();

	if (r == NULL)
	{
		ok(true, "# SKIP this kernel has no io_uring");
		return tap_done();
	}
	open_pairs();
	test_all_arrive(r);
	test_failures(r);
	test_again(r);
	rt_sendring_free(r);
	return tap_done();
}
