/* test_media_dtls.c: two endpoints in memory: handshakes, also over a bad network; fingerprints; keys. */
#include <malloc.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bgworker/media/secure/dtls.h"
#include "tap.h"

#define QUEUE 64

/* One end, and the datagrams that wait to get to it. */
struct end
{
	struct rt_dtls_context *context;
	struct rt_dtls *dtls;
	struct end *peer;
	int n;
	size_t len[QUEUE];
	uint8_t data[QUEUE][2048];
	size_t longest; /* that it sent */
	int sent, lose_every;
};

static struct rt_dtls_context *contexts[2];

static void
on_send(void *arg, const uint8_t *data, size_t len)
{
	struct end *e = arg, *to = e->peer;

	if (len > e->longest)
		e->longest = len;
	e->sent++;
	if (to->n == QUEUE || len > sizeof(to->data[0]) || (e->lose_every && random() % e->lose_every == 0))
		return;
	memcpy(to->data[to->n], data, len);
	to->len[to->n++] = len;
}

static void
set_up(struct end *a, struct end *b)
{
	memset(a, 0, sizeof(*a));
	memset(b, 0, sizeof(*b));
	a->context = contexts[0];
	b->context = contexts[1];
	a->peer = b;
	b->peer = a;
	a->dtls = rt_dtls_new(a->context, on_send, a);
	b->dtls = rt_dtls_new(b->context, on_send, b);
}

static void
tear_down(struct end *a, struct end *b)
{
	rt_dtls_free(a->dtls);
	rt_dtls_free(b->dtls);
}

static bool
trust(struct end *e, const char *fingerprint)
{
	uint8_t digest[64];
	size_t n = 0;

	for (const char *p = fingerprint; *p; p += p[2] ? 3 : 2)
		digest[n++] = (uint8_t) strtoul(p, NULL, 16);
	return rt_dtls_set_fingerprint(e->dtls, "sha-256", digest, n) == RT_OK;
}

/* Everything that waits is delivered, until nothing does. */
static void
deliver(struct end *a, struct end *b)
{
	for (int turn = 0; turn < 1000 && a->n + b->n > 0; turn++)
	{
		struct end *to = a->n ? a : b;
		uint8_t first[2048];
		size_t len = to->len[0];

		memcpy(first, to->data[0], len);
		to->n--;
		memmove(to->data[0], to->data[1], (size_t) to->n * sizeof(to->data[0]));
		memmove(to->len, to->len + 1, (size_t) to->n * sizeof(to->len[0]));
		rt_dtls_receive(to->dtls, first, len);
	}
}

static void
test_handshake(void)
{
	static struct end a, b;
	struct rt_dtls_keys ka, kb;

	set_up(&a, &b);
	ok(trust(&a, rt_dtls_context_fingerprint(b.context)) && trust(&b, rt_dtls_context_fingerprint(a.context)),
	   "fingerprints");
	ok(rt_dtls_get_state(a.dtls) == RT_DTLS_NEW && !rt_dtls_export_keys(a.dtls, &ka), "no keys before the handshake");
	rt_dtls_connect(b.dtls);
	ok(rt_dtls_timeout_ms(b.dtls) > 0, "a timer runs");
	deliver(&a, &b);
	ok(rt_dtls_get_state(a.dtls) == RT_DTLS_CONNECTED && rt_dtls_get_state(b.dtls) == RT_DTLS_CONNECTED, "connected");
	ok(rt_dtls_timeout_ms(a.dtls) == -1 && rt_dtls_timeout_ms(b.dtls) == -1, "no timer runs");
	ok(rt_dtls_export_keys(a.dtls, &ka) && rt_dtls_export_keys(b.dtls, &kb) && ka.profile == RT_SRTP_AEAD_AES_128_GCM,
	   "GCM comes first");
	ok(memcmp(ka.local, kb.remote, 28) == 0 && memcmp(ka.remote, kb.local, 28) == 0 &&
		   memcmp(ka.local, ka.remote, 28) != 0,
	   "each one's sending key is the other's receiving key");
	ok(a.longest <= RT_DTLS_MTU && b.longest <= RT_DTLS_MTU, "datagrams of at most %zu and %zu bytes", a.longest,
	   b.longest);
	rt_dtls_close(b.dtls);
	deliver(&a, &b);
	ok(rt_dtls_get_state(a.dtls) == RT_DTLS_CLOSED, "one end closes, the other knows");
	tear_down(&a, &b);
}

static void
test_fingerprints(void)
{
	static struct end a, b;
	uint8_t digest[64] = {0};

	set_up(&a, &b);
	ok(rt_dtls_set_fingerprint(a.dtls, "md5", digest, 16) == RT_BAD_INPUT, "an unknown digest");
	ok(rt_dtls_set_fingerprint(a.dtls, "sha-256", digest, 20) == RT_BAD_INPUT, "a digest of another length");
	trust(&a, rt_dtls_context_fingerprint(a.context));
	trust(&b, rt_dtls_context_fingerprint(a.context));
	rt_dtls_connect(b.dtls);
	deliver(&a, &b);
	ok(rt_dtls_get_state(a.dtls) == RT_DTLS_FAILED, "another certificate than was announced");
	ok(rt_dtls_receive(a.dtls, digest, 20) == RT_GONE, "nothing is taken after that");
	tear_down(&a, &b);

	set_up(&a, &b);
	trust(&b, rt_dtls_context_fingerprint(a.context));
	rt_dtls_connect(b.dtls);
	deliver(&a, &b);
	ok(rt_dtls_get_state(a.dtls) == RT_DTLS_CONNECTING, "without a fingerprint the handshake waits at its end");
	trust(&a, rt_dtls_context_fingerprint(b.context));
	ok(rt_dtls_get_state(a.dtls) == RT_DTLS_CONNECTED, "and is done when that comes");
	tear_down(&a, &b);
}

/* Handshakes that lose a quarter of their datagrams, each repaired by the timers. */
static void
test_loss(void)
{
	int done = 0, rounds = 10;

	srandom(4);
	for (int i = 0; i < rounds; i++)
	{
		static struct end a, b;

		set_up(&a, &b);
		trust(&a, rt_dtls_context_fingerprint(b.context));
		trust(&b, rt_dtls_context_fingerprint(a.context));
		a.lose_every = b.lose_every = 4;
		rt_dtls_connect(b.dtls);
		for (int turn = 0; turn < 4000; turn++)
		{
			deliver(&a, &b);
			if (rt_dtls_get_state(a.dtls) == RT_DTLS_CONNECTED && rt_dtls_get_state(b.dtls) == RT_DTLS_CONNECTED)
				break;
			rt_dtls_timeout(a.dtls);
			rt_dtls_timeout(b.dtls);
			nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
		}
		done += rt_dtls_get_state(a.dtls) == RT_DTLS_CONNECTED && rt_dtls_get_state(b.dtls) == RT_DTLS_CONNECTED;
		tear_down(&a, &b);
	}
	ok(done == rounds, "%d of %d handshakes over a network that loses a quarter", done, rounds);
}

static void
test_garbage(void)
{
	static struct end a, b;
	uint8_t junk[1500];

	set_up(&a, &b);
	trust(&a, rt_dtls_context_fingerprint(b.context));
	trust(&b, rt_dtls_context_fingerprint(a.context));
	rt_dtls_connect(b.dtls);
	deliver(&a, &b);
	srandom(8);
	for (int i = 0; i < 20000; i++)
	{
		size_t len = 13 + (size_t) random() % 1400;

		for (size_t k = 0; k < len; k++)
			junk[k] = (uint8_t) random();
		junk[0] = (uint8_t) (20 + random() % 44);
		junk[1] = 0xfe;
		junk[2] = 0xfd;
		if (i % 2)
			memset(junk + 3, 0, 8); /* epoch 0: in the clear */
		else if (i % 4)
			memcpy(junk + 3, "\0\1\0\0\0\0\1", 7); /* the epoch of the keys, a number that may come */
		if (i % 8 == 2)
			len = 13 + (size_t) i % 40; /* shorter than what encryption adds */
		junk[11] = (uint8_t) ((len - 13) >> 8);
		junk[12] = (uint8_t) (len - 13);
		rt_dtls_receive(a.dtls, junk, len);
	}
	ok(rt_dtls_get_state(a.dtls) == RT_DTLS_CONNECTED, "a connection outlives 20,000 datagrams of a stranger");
	tear_down(&a, &b);
}

/* Either end may close: it writes through buffers that were freed after the handshake. */
static void
test_closes(bool server)
{
	static struct end a, b;
	struct end *end = server ? &a : &b, *other = server ? &b : &a;
	const char *what = server ? "server" : "client";

	set_up(&a, &b);
	trust(&a, rt_dtls_context_fingerprint(b.context));
	trust(&b, rt_dtls_context_fingerprint(a.context));
	rt_dtls_connect(b.dtls);
	deliver(&a, &b);
	ok(rt_dtls_get_state(end->dtls) == RT_DTLS_CONNECTED, "a %s is connected", what);
	rt_dtls_close(end->dtls);
	ok(other->n == 1, "%s: says goodbye", what);
	deliver(&a, &b);
	ok(rt_dtls_get_state(other->dtls) == RT_DTLS_CLOSED, "%s: and is understood", what);
	tear_down(&a, &b);
}

/* Every bit of a goodbye counts, and all that is no goodbye is passed over.  But for the version's low byte: libssl
 * authenticates an alert with the version that was agreed, whatever the record says. */
static void
test_hears(bool server)
{
	static struct end a, b;
	struct end *end = server ? &a : &b, *other = server ? &b : &a;
	uint8_t goodbye[256], bad[256];
	size_t len;
	int heard = 0;

	set_up(&a, &b);
	trust(&a, rt_dtls_context_fingerprint(b.context));
	trust(&b, rt_dtls_context_fingerprint(a.context));
	rt_dtls_connect(b.dtls);
	deliver(&a, &b);
	rt_dtls_close(other->dtls);
	len = end->n == 1 ? end->len[0] : 0;
	memcpy(goodbye, end->data[0], len);
	for (size_t bit = 0; bit < 8 * len; bit++)
	{
		if (bit / 8 == 2)
			continue;
		memcpy(bad, goodbye, len);
		bad[bit / 8] ^= (uint8_t) (1 << bit % 8);
		heard += rt_dtls_receive(end->dtls, bad, len) != RT_OK;
	}
	for (size_t n = 0; n < len; n++)
	{
		uint8_t *cut = malloc(n + 1);

		memcpy(cut, goodbye, n);
		heard += rt_dtls_receive(end->dtls, cut, n) != RT_OK;
		free(cut);
	}
	ok(len > 0 && heard == 0 && rt_dtls_get_state(end->dtls) == RT_DTLS_CONNECTED,
	   "what is broken or cut says nothing");
	ok(rt_dtls_receive(end->dtls, goodbye, len) == RT_GONE && rt_dtls_get_state(end->dtls) == RT_DTLS_CLOSED,
	   "the goodbye of a %s is heard", server ? "client" : "server");
	tear_down(&a, &b);
}

/* A fragment of handshake message `number`, of which it says that it has so many bytes (RFC 6347 section 4.2.2). */
static size_t
write_fragment(uint8_t *out, uint8_t number, size_t says)
{
	static const uint8_t record[] = {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0};
	uint8_t *message = out + 13;

	memset(out, 0, 13 + 12 + 16);
	memcpy(out, record, sizeof(record));
	out[10] = number; /* of the record */
	out[12] = 12 + 16;
	message[0] = 11; /* a certificate */
	message[1] = (uint8_t) (says >> 16);
	message[2] = (uint8_t) (says >> 8);
	message[3] = (uint8_t) says;
	message[5] = number;
	message[11] = 16; /* the fragment's length */
	return 13 + 12 + 16;
}

/* Messages that begin, and never end. */
static void
test_fragments(void)
{
	static struct end a, b;
	uint8_t out[64];
	size_t before, took;

	set_up(&a, &b);
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	for (int i = 1; i <= 200; i++)
		rt_dtls_receive(a.dtls, out, write_fragment(out, (uint8_t) i, 100000));
	took = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	ok(took < 400000, "200 beginnings of messages of 100 kB take %zu kB", took / 1024);
	tear_down(&a, &b);
}

#ifndef __SANITIZE_ADDRESS__
#define PAIRS 150

static long
resident_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (f == NULL || fscanf(f, "%*s %ld", &pages) != 1)
		pages = 0;
	if (f != NULL)
		fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void
connect_pair(struct end *a, struct end *b)
{
	set_up(a, b);
	trust(a, rt_dtls_context_fingerprint(b->context));
	trust(b, rt_dtls_context_fingerprint(a->context));
	rt_dtls_connect(b->dtls);
	deliver(a, b);
}

static void
test_memory(void)
{
	static struct end a, b;
	struct rt_dtls *kept[2 * PAIRS];
	long before, took;
	int n = 0;

	connect_pair(&a, &b); /* what is made once is there */
	tear_down(&a, &b);
	before = resident_kb();
	while (n < 2 * PAIRS)
	{
		connect_pair(&a, &b);
		kept[n++] = a.dtls;
		kept[n++] = b.dtls;
	}
	took = (resident_kb() - before) / n;
	ok(took < 26, "an association takes %ld kB", took);
	while (n > 0)
		rt_dtls_free(kept[--n]);
}
#endif

int
main(void)
{
	ok(rt_dtls_save_memory(), "libcrypto takes its memory from us");
	contexts[0] = rt_dtls_context_new();
	contexts[1] = rt_dtls_context_new();
	ok(contexts[0] && contexts[1] && strlen(rt_dtls_context_fingerprint(contexts[0])) == 95, "contexts");
	test_handshake();
	test_fingerprints();
	test_loss();
	test_garbage();
	test_fragments();
#ifndef __SANITIZE_ADDRESS__
	test_memory();
#endif
	for (int server = 0; server < 2; server++)
	{
		test_closes(server);
		test_hears(server);
	}
	rt_dtls_context_free(contexts[0]);
	rt_dtls_context_free(contexts[1]);
	return tap_done();
}
