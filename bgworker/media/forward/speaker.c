/* speaker.c: see speaker.h.
 *
 * Dominant speaker identification after Volfin and Cohen (2012): speech is looked at in three time scales.
 *
 *   immediate   the levels of the last 100 ms
 *   medium      how many of the last five packets (100 ms) had voice
 *   long        how many of the last ten such blocks (1 s) were voiced throughout
 *
 * Each scale gives a score, the likelihood of speech against that of noise.  Another voice takes over when its scores
 * are above those of the one that is active in all three: that one has stopped, and this has gone on for a while.  A
 * cough is loud and short: it never has the long score. */
#include "speaker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"

#define MAX_SPEAKERS 128 /* more are not watched */
#define ID_LEN 40
#define BLOCK 5   /* packets in a medium block */
#define BLOCKS 10 /* in a long one */
#define FRAMES (BLOCK * BLOCKS)
#define TURN_FRAMES 25 /* packets of half a second */
#define LEAST_DB 75    /* -dBov: quieter than that is silence */
#define STEP_DB 5
#define STEPS 13      /* levels from silence to the loudest */
#define VOICED 4      /* steps: about -55 dBov */
#define VOICED_LONG 4 /* voiced packets that make a block voiced */
#define MIN_LONG 4    /* voiced blocks, of whoever is to become active */
#define MIN_SCORE 1e-10

/* By how much the logarithm of each score must be above that of the active speaker. */
#define LEAD_IMMEDIATE 3
#define LEAD_MEDIUM 2
#define LEAD_LONG 0

struct scores
{
	double immediate, medium, lasting;
};

struct voice
{
	char id[ID_LEN];
	uint8_t steps[FRAMES]; /* a ring; the newest is before `next` */
	uint8_t next;
	uint8_t frames; /* since the last turn */
	double power;   /* of those; full scale is 1 */
};

struct rt_speaker
{
	int n;
	struct voice voices[MAX_SPEAKERS];
	char active[ID_LEN]; /* "": nobody has spoken yet */
};

struct rt_speaker *
rt_speaker_new(void)
{
	return rt_alloc(sizeof(struct rt_speaker));
}

void
rt_speaker_free(struct rt_speaker *s)
{
	free(s);
}

static struct voice *
find_voice(struct rt_speaker *s, const char *id)
{
	for (int i = 0; i < s->n; i++)
		if (strcmp(s->voices[i].id, id) == 0)
			return &s->voices[i];
	return NULL;
}

static void
note(struct voice *v, int level)
{
	int step = (LEAST_DB - level) / STEP_DB;

	v->steps[v->next] = (uint8_t) (step < 0 ? 0 : step > STEPS ? STEPS : step);
	v->next = (uint8_t) ((v->next + 1) % FRAMES);
	if (v->frames < UINT8_MAX)
		v->frames++;
}

void
rt_speaker_level(struct rt_speaker *s, const char *producer_id, uint8_t level)
{
	struct voice *v = find_voice(s, producer_id);

	if (v == NULL)
	{
		if (s->n == MAX_SPEAKERS)
			return;
		v = &s->voices[s->n++];
		memset(v, 0, sizeof(*v));
		strncpy(v->id, producer_id, ID_LEN - 1);
	}
	v->power += pow(10, -(level & 0x7f) / 10.0);
	note(v, level & 0x7f);
}

void
rt_speaker_remove(struct rt_speaker *s, const char *producer_id)
{
	struct voice *v = find_voice(s, producer_id);

	if (v != NULL)
		*v = s->voices[--s->n];
	if (strcmp(s->active, producer_id) == 0)
		s->active[0] = '\0';
}

/* ---- scores ---- */

/* k of n parts are voiced: the logarithm of a binomial likelihood with p = 1/2 against an exponential one of noise.
 */
static double
score(int k, int n, double lambda)
{
	double v = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + n * log(0.5) - log(lambda) + lambda * k;

	return v > MIN_SCORE ? v : MIN_SCORE;
}

/* The i-th packet back from the newest. */
static int
step_at(const struct voice *v, int i)
{
	return v->steps[(v->next + FRAMES - 1 - i) % FRAMES];
}

static int
voiced_in_block(const struct voice *v, int block)
{
	int n = 0;

	for (int i = 0; i < BLOCK; i++)
		n += step_at(v, block * BLOCK + i) >= VOICED;
	return n;
}

static int
voiced_blocks(const struct voice *v)
{
	int n = 0;

	for (int i = 0; i < BLOCKS; i++)
		n += voiced_in_block(v, i) >= VOICED_LONG;
	return n;
}

static struct scores
scores_of(const struct voice *v)
{
	int sum = 0;

	for (int i = 0; i < BLOCK; i++)
		sum += step_at(v, i);
	return (struct scores){score(sum / BLOCK, STEPS, 0.78), score(voiced_in_block(v, 0), BLOCK, 24),
						   score(voiced_blocks(v), BLOCKS, 47)};
}

/* Above the active one's in all scales. */
static bool
leads(const struct scores *s, const struct scores *active)
{
	return log(s->immediate / active->immediate) > LEAD_IMMEDIATE && log(s->medium / active->medium) > LEAD_MEDIUM &&
		   log(s->lasting / active->lasting) > LEAD_LONG;
}

/* ---- turns ---- */

/* A client that sends nothing in silence (DTX) is silent. */
static void
fill_up(struct voice *v)
{
	if (v->frames < TURN_FRAMES - BLOCK)
		for (int i = v->frames; i < TURN_FRAMES; i++)
			note(v, 127);
}

static int
mean_level(const struct voice *v)
{
	double level = v->frames ? -10 * log10(v->power / v->frames) : 127;

	return level < 0 ? 0 : level > 127 ? 127 : (int) lround(level);
}

const char *
rt_speaker_active(const struct rt_speaker *s)
{
	return s->active;
}

bool
rt_speaker_turn(struct rt_speaker *s, const char **producer_id, int *volume)
{
	const struct voice *best = NULL, *active = find_voice(s, s->active);
	struct scores active_scores = {MIN_SCORE, MIN_SCORE, MIN_SCORE}, best_scores = {0};

	for (int i = 0; i < s->n; i++)
		fill_up(&s->voices[i]);
	if (active != NULL)
		active_scores = scores_of(active);
	for (int i = 0; i < s->n; i++)
	{
		const struct voice *v = &s->voices[i];
		struct scores own = scores_of(v);

		if (v == active || voiced_blocks(v) < MIN_LONG || !leads(&own, &active_scores))
			continue;
		if (best == NULL || own.lasting > best_scores.lasting ||
			(own.lasting == best_scores.lasting && mean_level(v) < mean_level(best)))
		{
			best = v;
			best_scores = own;
		}
	}
	if (best != NULL)
	{
		memcpy(s->active, best->id, ID_LEN);
		*producer_id = s->active;
		*volume = -mean_level(best);
	}
	for (int i = 0; i < s->n; i++)
	{
		s->voices[i].power = 0;
		s->voices[i].frames = 0;
	}
	return best != NULL;
}
