/* gzip.c: compresses bodies of replies, at zlib's fastest level.
 *
 * A small body is done at once, with one state of zlib that all of them use.  A larger one has a state of its own
 * (170 kB) and a copy of the body, and the caller comes back for each step, with other connections' work in between.
 *
 * A budget is BUDGET_PER_MS_US of each millisecond in the long run, and MAX_CREDIT_US at once.  Whoever starts while
 * there is credit may overdraw it by one step.
 *
 * The length of what comes out tells something about what was put in.  Where an attacker can have text of their
 * choice compressed beside a secret, and see lengths, that gives the secret away bit by bit (BREACH).  So each head
 * has a name of a random length (RFC 1952, section 2.3.1), which readers skip. */
#include "gzip.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <zlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/clock.h"
#include "bgworker/common/log.h"

#define BUDGET_PER_MS_US 300
#define MAX_CREDIT_US 5000
#define MAX_UNDER_WAY 32      /* larger bodies: 32 states of 170 kB */
#define WINDOW_BITS (15 + 16) /* 32 kB, and a gzip head (zlib.h, deflateInit2) */
#define MEMORY_LEVEL 6        /* a table of 32 kB, which is cleared for each body; 8 packs no better at this level */
#define OUT_BYTES 16384
#define MAX_PADDING 64 /* a power of two, so that each length is as likely */

struct budget
{
	int64_t credit_us; /* may be negative */
	uint64_t at_us;
};

struct rt_gzip_pool
{
	z_stream small;
	bool has_small;
	int under_way;
	struct budget at_once;
	struct budget in_steps;
};

struct rt_gzip
{
	struct rt_gzip_pool *pool;
	z_stream z;
	gz_header head;
	char padding[MAX_PADDING + 1];
	struct rt_buf body;
	struct rt_buf out;
	size_t done; /* bytes of the body that zlib has */
};

/* ---- the budget ------------------------------------------------------------------ */

static bool
has_credit(struct budget *b, uint64_t now_us)
{
	uint64_t passed_us = now_us > b->at_us ? now_us - b->at_us : 0;

	/* After a long pause the sum is bounded before it is taken. */
	if (passed_us > 1000000000u)
		passed_us = 1000000000u;
	b->credit_us += (int64_t) (passed_us * BUDGET_PER_MS_US / 1000);
	if (b->credit_us > MAX_CREDIT_US)
		b->credit_us = MAX_CREDIT_US;
	b->at_us = now_us;
	return b->credit_us > 0;
}

static void
charge(struct budget *b, uint64_t began_us)
{
	b->credit_us -= (int64_t) (rt_clock_us() - began_us);
}

bool
rt_gzip_may_begin(struct rt_gzip_pool *p, uint64_t now_us)
{
	return has_credit(&p->at_once, now_us);
}

bool
rt_gzip_may_step(struct rt_gzip *g, uint64_t now_us)
{
	return has_credit(&g->pool->in_steps, now_us);
}

/* ---- zlib ------------------------------------------------------------------------- */

static bool
begin(z_stream *z, gz_header *head, char *padding)
{
	unsigned char n = 0;

	if (getrandom(&n, sizeof(n), GRND_NONBLOCK) != (ssize_t) sizeof(n))
		return false;
	n %= MAX_PADDING;
	memset(padding, 'x', n);
	padding[n] = '\0';
	memset(head, 0, sizeof(*head));
	head->os = 255; /* unknown */
	head->name = (Bytef *) padding;
	return deflateSetHeader(z, head) == Z_OK;
}

static bool
init(z_stream *z)
{
	memset(z, 0, sizeof(*z));
	return deflateInit2(z, Z_BEST_SPEED, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK;
}

/* Gives zlib so many bytes, and takes all that it has. */
static enum rt_result
feed(z_stream *z, const void *data, size_t len, bool is_last, struct rt_buf *out)
{
	char some[OUT_BYTES];
	int rc;

	z->next_in = (Bytef *) data;
	z->avail_in = (uInt) len;
	do
	{
		z->next_out = (Bytef *) some;
		z->avail_out = sizeof(some);
		rc = deflate(z, is_last ? Z_FINISH : Z_NO_FLUSH);
		if (rc == Z_STREAM_ERROR || rt_buf_put(out, some, sizeof(some) - z->avail_out) != RT_OK)
			return RT_INTERNAL;
	} while (z->avail_out == 0);
	return is_last && rc != Z_STREAM_END ? RT_INTERNAL : RT_OK;
}

enum rt_result
rt_gzip_at_once(struct rt_gzip_pool *p, const void *body, size_t len, struct rt_buf *out)
{
	uint64_t began_us = rt_clock_us();
	char padding[MAX_PADDING + 1];
	gz_header head;
	enum rt_result rc;

	if (!p->has_small)
		p->has_small = init(&p->small);
	else if (deflateReset(&p->small) != Z_OK)
		return RT_INTERNAL;
	if (!p->has_small || !begin(&p->small, &head, padding))
		return RT_INTERNAL;
	rc = feed(&p->small, body, len, true, out);
	charge(&p->at_once, began_us);
	return rc;
}

/* ---- larger bodies ------------------------------------------------------------------ */

struct rt_gzip *
rt_gzip_new(struct rt_gzip_pool *p, const void *body, size_t len)
{
	struct rt_gzip *g;

	if (p->under_way >= MAX_UNDER_WAY)
		return NULL;
	g = rt_alloc(sizeof(*g));
	g->pool = p;
	if (!init(&g->z))
	{
		free(g);
		return NULL;
	}
	p->under_way++;
	rt_buf_init(&g->body, SIZE_MAX / 2); /* the caller counts what waits */
	rt_buf_init(&g->out, SIZE_MAX / 2);
	if (begin(&g->z, &g->head, g->padding) && rt_buf_put(&g->body, body, len) == RT_OK)
		return g;
	rt_gzip_free(g);
	return NULL;
}

enum rt_result
rt_gzip_step(struct rt_gzip *g)
{
	uint64_t began_us = rt_clock_us();
	size_t len;
	const char *body = rt_buf_peek(&g->body, &len);
	size_t n = len - g->done < RT_GZIP_STEP_BYTES ? len - g->done : RT_GZIP_STEP_BYTES;
	bool is_last = g->done + n == len;
	enum rt_result rc = feed(&g->z, body + g->done, n, is_last, &g->out);

	g->done += n;
	charge(&g->pool->in_steps, began_us);
	return rc == RT_OK && !is_last ? RT_AGAIN : rc;
}

struct rt_buf *
rt_gzip_out(struct rt_gzip *g)
{
	return &g->out;
}

struct rt_buf *
rt_gzip_body(struct rt_gzip *g)
{
	return &g->body;
}

void
rt_gzip_free(struct rt_gzip *g)
{
	if (g == NULL)
		return;
	g->pool->under_way--;
	deflateEnd(&g->z);
	rt_buf_fini(&g->body);
	rt_buf_fini(&g->out);
	free(g);
}

struct rt_gzip_pool *
rt_gzip_pool_new(void)
{
	struct rt_gzip_pool *p = rt_alloc(sizeof(*p));

	p->at_once.credit_us = MAX_CREDIT_US;
	p->in_steps.credit_us = MAX_CREDIT_US;
	return p;
}

void
rt_gzip_pool_free(struct rt_gzip_pool *p)
{
	if (p == NULL)
		return;
	if (p->has_small)
		deflateEnd(&p->small);
	free(p);
}
