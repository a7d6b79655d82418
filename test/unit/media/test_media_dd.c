/* test_media_dd.c: dependency descriptors, of the examples in the AV1 RTP payload specification, section A.6.2. */
#include <stdlib.h>

#include "bgworker/media/rtp/dd.h"
#include "bits.h"
#include "tap.h"

/* ---- an encoder, bit by bit as section A.4.1 has it ---- */

static void
put_below(struct writer *w, uint32_t value, uint32_t n)
{
	int bits = 0;
	uint32_t m;

	while (n >> bits)
		bits++;
	m = (1u << bits) - n;
	if (value < m)
		put(w, value, bits - 1);
	else
		put(w, value + m, bits);
}

static size_t
length(const struct writer *w)
{
	return (w->bits + 7) / 8;
}

/* A row of the tables in the specification. */
struct row
{
	int spatial, temporal;
	const char *dtis;
	int fdiffs[3]; /* ended by 0 */
	int chains[3];
};

struct table
{
	int offset, ntargets, nchains, nrows;
	struct row rows[16];
	int protected_by[9];
};

static const struct table l1t3 = {10,
								  3,
								  1,
								  5,
								  {{0, 0, "SSS", {0}, {0}},
								   {0, 0, "SSS", {4}, {4}},
								   {0, 1, "SD-", {2}, {2}},
								   {0, 2, "D--", {1}, {1}},
								   {0, 2, "D--", {1}, {3}}},
								  {0}};
static const struct table l2t1 = {60,
								  2,
								  2,
								  5,
								  {{0, 0, "SS", {0}, {0, 0}},
								   {0, 0, "RS", {2}, {2, 1}},
								   {0, 0, "SS", {2}, {2, 1}},
								   {1, 0, "S-", {1}, {1, 1}},
								   {1, 0, "R-", {2, 1}, {1, 1}}},
								  {1, 0}};
static const struct table l3t3 = {0,
								  9,
								  3,
								  15,
								  {{0, 0, "SSSSSSSSS", {0}, {0, 0, 0}},
								   {0, 0, "RRRRRRSSS", {12}, {12, 11, 10}},
								   {0, 1, "RR-RR-SD-", {6}, {6, 5, 4}},
								   {0, 2, "R--R--D--", {3}, {3, 2, 1}},
								   {0, 2, "R--R--D--", {3}, {9, 8, 7}},
								   {1, 0, "SSSSSS---", {1}, {1, 1, 1}},
								   {1, 0, "RRRSSS---", {12, 1}, {1, 1, 1}},
								   {1, 1, "RR-SD----", {6, 1}, {7, 6, 5}},
								   {1, 2, "R--D-----", {3, 1}, {4, 3, 2}},
								   {1, 2, "R--D-----", {3, 1}, {10, 9, 8}},
								   {2, 0, "SSS------", {1}, {2, 1, 1}},
								   {2, 0, "SSS------", {12, 1}, {2, 1, 1}},
								   {2, 1, "SD-------", {6, 1}, {8, 7, 6}},
								   {2, 2, "D--------", {3, 1}, {5, 4, 3}},
								   {2, 2, "D--------", {3, 1}, {11, 10, 9}}},
								  {2, 2, 2, 1, 1, 1, 0, 0, 0}};

static int
dti(char c)
{
	return c == '-' ? RT_DTI_NOT_PRESENT : c == 'D' ? RT_DTI_DISCARDABLE : c == 'S' ? RT_DTI_SWITCH : RT_DTI_REQUIRED;
}

static void
put_mandatory(struct writer *w, const struct table *t, int row, uint16_t frame)
{
	put(w, 3, 2); /* one packet a frame */
	put(w, (uint32_t) (t->offset + row) % 64, 6);
	put(w, frame, 16);
}

static void
put_layers(struct writer *w, const struct table *t)
{
	for (int i = 0; i < t->nrows; i++)
		put(w,
			i + 1 == t->nrows                               ? 3
			: t->rows[i + 1].spatial > t->rows[i].spatial   ? 2
			: t->rows[i + 1].temporal > t->rows[i].temporal ? 1
															: 0,
			2);
}

static void
put_structure(struct writer *w, const struct table *t, bool resolutions)
{
	put(w, (uint32_t) t->offset, 6);
	put(w, (uint32_t) t->ntargets - 1, 5);
	put_layers(w, t);
	for (int i = 0; i < t->nrows; i++)
		for (int k = 0; k < t->ntargets; k++)
			put(w, (uint32_t) dti(t->rows[i].dtis[k]), 2);
	for (int i = 0; i < t->nrows; i++)
	{
		for (int k = 0; t->rows[i].fdiffs[k]; k++)
			put(w, 0x10 | (uint32_t) (t->rows[i].fdiffs[k] - 1), 5);
		put(w, 0, 1);
	}
	put_below(w, (uint32_t) t->nchains, (uint32_t) t->ntargets + 1);
	for (int k = 0; k < t->ntargets; k++)
		put_below(w, (uint32_t) t->protected_by[k], (uint32_t) t->nchains);
	for (int i = 0; i < t->nrows; i++)
		for (int k = 0; k < t->nchains; k++)
			put(w, (uint32_t) t->rows[i].chains[k], 4);
	put(w, resolutions, 1);
	for (int i = 0; resolutions && i <= t->rows[t->nrows - 1].spatial; i++)
		put(w, 0x013f00ef, 32);
}

/* The first packet of a key frame. */
static struct writer
key(const struct table *t, uint16_t frame, bool resolutions)
{
	struct writer w = {{0}, 0};

	put_mandatory(&w, t, 0, frame);
	put(&w, 0x10, 5);
	put_structure(&w, t, resolutions);
	return w;
}

static enum rt_result
read_dd(struct rt_dd *d, struct rt_dd_structure *s, const uint8_t *p, size_t len)
{
	uint8_t *heap = malloc(len ? len : 1);
	enum rt_result rc;

	if (len)
		memcpy(heap, p, len);
	rc = rt_dd_read(d, s, heap, len);
	free(heap);
	return rc;
}

/* ---- tests ---- */

static void
test_table(const struct table *t, const char *name)
{
	static struct rt_dd_structure s;
	struct writer w = key(t, 65535, true);
	struct rt_dd d;
	int wrong = 0;

	memset(&s, 0, sizeof(s));
	ok(read_dd(&d, &s, w.data, length(&w)) == RT_OK && d.has_structure && d.start && d.frame == 65535 &&
		   d.refs == 0 && s.ntargets == t->ntargets && s.ntemplates == t->nrows && s.nchains == t->nchains,
	   "%s: its structure, in %zu bytes", name, length(&w));
	for (int i = 0; i < t->nrows; i++)
	{
		struct writer frame = {{0}, 0};
		uint64_t refs = 0;

		put_mandatory(&frame, t, i, (uint16_t) i);
		wrong += read_dd(&d, &s, frame.data, 3) != RT_OK || d.frame != i || d.spatial != t->rows[i].spatial ||
				 d.temporal != t->rows[i].temporal;
		for (int k = 0; t->rows[i].fdiffs[k]; k++)
			refs |= (uint64_t) 1 << (t->rows[i].fdiffs[k] - 1);
		wrong += d.refs != refs || d.far_refs;
		for (int k = 0; k < t->ntargets; k++)
			wrong += (int) rt_dd_dti(&d, k) != dti(t->rows[i].dtis[k]);
	}
	ok(wrong == 0, "%s: each of its templates", name);
}

static void
test_targets(void)
{
	struct writer w = key(&l3t3, 1, false);
	struct rt_dd_structure s = {0};
	struct rt_dd d;
	int wrong = 0;

	read_dd(&d, &s, w.data, length(&w));
	for (int i = 0; i < 9; i++)
		wrong += s.target_spatial[i] != 2 - i / 3 || s.target_temporal[i] != 2 - i % 3;
	ok(wrong == 0, "L3T3: the layers of its nine targets");
	ok(rt_dd_best(&s, UINT32_MAX, 2, 2) == 0 && rt_dd_best(&s, UINT32_MAX, 1, 0) == 5 &&
		   rt_dd_best(&s, UINT32_MAX, 0, 1) == 7 && rt_dd_best(&s, UINT32_MAX, 9, 9) == 0,
	   "the best target of the wanted layers");
	ok(rt_dd_best(&s, 0x1f8, 2, 2) == 3, "of those that the sender produces");
	ok(rt_dd_best(&s, 0x007, 0, 0) == 2, "where none of them is wanted: the least");
	ok(rt_dd_best(&s, 0, 2, 2) == 0, "a sender that produces nothing");
	ok(rt_dd_within(&s, 1, 1) == 0x1b0, "targets within two spatial and two temporal layers: %x",
	   rt_dd_within(&s, 1, 1));
}

static void
test_custom(void)
{
	struct writer w = key(&l2t1, 1, false), frame = {{0}, 0}, old = {{0}, 0};
	struct rt_dd_structure s = {0};
	struct rt_dd d;

	put_mandatory(&frame, &l2t1, 1, 500);
	ok(read_dd(&d, &s, frame.data, 3) == RT_AGAIN, "without a structure");
	read_dd(&d, &s, w.data, length(&w));
	put(&frame, 0x0f, 5);          /* all but a structure */
	put(&frame, 0x1, 2);           /* active: target 0 alone */
	put(&frame, RT_DTI_SWITCH, 2); /* dtis */
	put(&frame, RT_DTI_REQUIRED, 2);
	put(&frame, 1, 2); /* fdiffs: 2, 64, 300 */
	put(&frame, 1, 4);
	put(&frame, 2, 2);
	put(&frame, 63, 8);
	put(&frame, 3, 2);
	put(&frame, 299, 12);
	put(&frame, 0, 2);
	put(&frame, 0x0102, 16); /* chains */
	ok(read_dd(&d, &s, frame.data, length(&frame)) == RT_OK && d.has_active && d.active == 1 && !d.has_structure &&
		   rt_dd_dti(&d, 0) == RT_DTI_SWITCH && rt_dd_dti(&d, 1) == RT_DTI_REQUIRED &&
		   d.refs == ((uint64_t) 1 << 63 | 2) && d.far_refs,
	   "what differs from the template");
	put_mandatory(&old, &l1t3, 0, 7);
	ok(read_dd(&d, &s, old.data, 3) == RT_AGAIN, "a template of another structure");
}

static void
test_writing(const struct table *t, const char *name)
{
	struct writer w = key(t, 40000, true), frame = {{0}, 0};
	uint8_t out[RT_DD_MAX_LEN];
	struct rt_dd_structure s = {0}, again = {0};
	struct rt_dd d, e;
	size_t n;

	read_dd(&d, &s, w.data, length(&w));
	n = rt_dd_write(out, w.data, length(&w), &d, 2);
	ok(n >= length(&w) && n <= length(&w) + 2 && read_dd(&e, &again, out, n) == RT_OK && e.has_active &&
		   e.active == 2 && memcmp(&s, &again, sizeof(s)) == 0 && e.frame == 40000,
	   "%s: a key frame, with a mask of targets", name);
	n = rt_dd_write(out, memcpy(w.data, out, n), n, &e, 1);
	ok(read_dd(&e, &again, out, n) == RT_OK && e.active == 1, "%s: another mask in place of the first", name);
	put_mandatory(&frame, t, 1, 40001);
	read_dd(&d, &s, frame.data, 3);
	n = rt_dd_write(out, frame.data, 3, &d, 1);
	ok(n == (size_t) (29 + t->ntargets + 7) / 8 && read_dd(&e, &s, out, n) == RT_OK && e.active == 1 &&
		   e.frame == 40001 && e.refs == d.refs,
	   "%s: a short descriptor grows to %zu bytes", name, n);
}

static void
test_malformed(void)
{
	struct writer w = key(&l3t3, 9, true), layers = {{0}, 0};
	struct rt_dd_structure s = {0}, before;
	struct rt_dd d;
	int taken = 0;

	read_dd(&d, &s, w.data, length(&w));
	before = s;
	for (size_t n = 0; n < length(&w); n++)
		taken += n != 3 && read_dd(&d, &s, w.data, n) == RT_OK;
	ok(taken == 0 && memcmp(&s, &before, sizeof(s)) == 0, "cut off anywhere it is refused, and the structure stays");
	put_mandatory(&layers, &l3t3, 0, 1);
	put(&layers, 0x10, 5);
	put(&layers, 0, 11);
	for (int i = 0; i < 100; i++)
		put(&layers, 0, 2);
	ok(read_dd(&d, &s, layers.data, sizeof(layers.data)) == RT_BAD_INPUT, "a structure of 100 templates");
	memset(layers.data + 5, 0xaa, sizeof(layers.data) - 5);
	ok(read_dd(&d, &s, layers.data, sizeof(layers.data)) == RT_BAD_INPUT, "five spatial layers");
	memset(layers.data + 5, 0x55, sizeof(layers.data) - 5);
	ok(read_dd(&d, &s, layers.data, sizeof(layers.data)) == RT_BAD_INPUT, "nine temporal layers");
	ok(memcmp(&s, &before, sizeof(s)) == 0, "the structure stays");
}

static void
test_random(void)
{
	static struct rt_dd_structure s;
	uint8_t p[RT_DD_MAX_LEN], out[RT_DD_MAX_LEN];
	struct rt_dd d;
	int read = 0, wrong = 0;

	srandom(4);
	for (int n = 0; n < 200000; n++)
	{
		struct writer w = key(n % 3 ? &l3t3 : &l2t1, (uint16_t) n, n & 1);
		size_t len = length(&w), m;

		memcpy(p, w.data, sizeof(p));
		for (int k = (int) (random() % 3); k >= 0; k--)
			p[(size_t) random() % len] ^= (uint8_t) (1 << random() % 8);
		if (read_dd(&d, &s, p, len) != RT_OK)
			continue;
		read++;
		m = rt_dd_write(out, p, len, &d, 1);
		wrong += m == 0 || read_dd(&d, &s, out, m) != RT_OK || !d.has_active || d.active != 1;
	}
	ok(wrong == 0 && read > 10000, "%d mutilated descriptors could be read, and written", read);
}

int
main(void)
{
	test_table(&l1t3, "L1T3");
	test_table(&l2t1, "L2T1");
	test_table(&l3t3, "L3T3");
	test_targets();
	test_custom();
	test_writing(&l2t1, "L2T1");
	test_writing(&l3t3, "L3T3");
	test_malformed();
	test_random();
	return tap_done();
}
