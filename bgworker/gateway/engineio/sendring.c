/* sendring.c: see sendring.h.
 *
 * Between two runs the ring is empty: rt_sendring_run() returns when the kernel has answered all that were put.  With
 * MSG_DONTWAIT it answers each while it takes it, and hands none to a thread of its own. */
#include "sendring.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"

struct rt_sendring
{
	struct io_uring uring;
};

/* liburing 2.3 has functions for the two calls that are needed here, but does not export them. */
static int
register_with(const struct io_uring *uring, unsigned opcode, const void *arg, unsigned n)
{
	return syscall(__NR_io_uring_register, uring->ring_fd, opcode, arg, n) == 0 ? 0 : -errno;
}

static int
open_ring(struct io_uring *uring)
{
	struct io_uring_restriction only[] = {{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SEND},
										  {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = 0}};
	int rc = io_uring_queue_init(RT_SENDRING_SENDS, uring, IORING_SETUP_R_DISABLED);

	if (rc < 0)
		return rc;
	rc = register_with(uring, IORING_REGISTER_RESTRICTIONS, only, sizeof(only) / sizeof(only[0]));
	if (rc == 0)
		rc = register_with(uring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (rc < 0)
		io_uring_queue_exit(uring);
	return rc;
}

struct rt_sendring *
rt_sendring_new(void)
{
	struct rt_sendring *r = rt_alloc(sizeof(*r));
	int rc = open_ring(&r->uring);

	if (rc == 0)
		return r;
	rt_log(RT_LOG_INFO, "sendring", "no io_uring (%s): each message is sent by a call of its own", strerror(-rc));
	free(r);
	return NULL;
}

void
rt_sendring_free(struct rt_sendring *r)
{
	if (r == NULL)
		return;
	io_uring_queue_exit(&r->uring);
	free(r);
}

void
rt_sendring_put(struct rt_sendring *r, int i, int fd, const void *data, size_t len)
{
	struct io_uring_sqe *e = io_uring_get_sqe(&r->uring); /* there is one: the ring was empty */

	io_uring_prep_send(e, fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	io_uring_sqe_set_data(e, (void *) (intptr_t) i);
}

/* How many of the n sends the kernel has taken: all, unless it is out of memory. */
static int
submit(struct io_uring *uring, int n)
{
	int taken = 0;

	while (taken < n)
	{
		int rc = io_uring_submit_and_wait(uring, (unsigned) (n - taken));

		if (rc == -EINTR)
			continue;
		if (rc <= 0)
			break;
		taken += rc;
	}
	return taken;
}

bool
rt_sendring_run(struct rt_sendring *r, int n, int *result)
{
	int taken = submit(&r->uring, n);

	for (int i = 0; i < n; i++)
		result[i] = -EAGAIN;
	for (int done = 0; done < taken; done++)
	{
		struct io_uring_cqe *c;
		int rc;

		while ((rc = io_uring_wait_cqe(&r->uring, &c)) == -EINTR)
			;
		if (rc < 0)
			return false;
		result[(intptr_t) io_uring_cqe_get_data(c)] = c->res;
		io_uring_cqe_seen(&r->uring, c);
	}
	return taken == n;
}
