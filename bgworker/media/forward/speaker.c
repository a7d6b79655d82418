#include "speaker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/log.h"

#define MAX_SPEAKERS 128 /* more are not watched */
#define ID_LEN 40
#define SILENCE 60 /* -dBov: quieter than that is nobody speaking */
#define MARGIN 6
#define MIN_SAMPLES 10

struct voice
{
	char id[ID_LEN];
	double power; /* the sum; full scale is 1 */
	uint32_t samples;
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
	v->samples++;
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

/* -dBov, 127 for silence. */
static uint32_t
mean_level(const struct voice *v)
{
	double level = v->samples >= MIN_SAMPLES ? -10 * log10(v->power / v->samples) : 127;

	return level < 0 ? 0 : level > 127 ? 127 : (uint32_t) lround(level);
}

bool
rt_speaker_turn(struct rt_speaker *s, const char **producer_id, int *volume)
{
	struct voice *loudest = NULL;
	uint32_t level = SILENCE, active_level = 127;

	for (int i = 0; i < s->n; i++)
	{
		struct voice *v = &s->voices[i];
		uint32_t mean = mean_level(v);

		if (strcmp(v->id, s->active) == 0)
			active_level = mean;
		if (mean < level)
		{
			level = mean;
			loudest = v;
		}
		v->power = 0;
		v->samples = 0;
	}
	if (loudest == NULL || strcmp(loudest->id, s->active) == 0 ||
		(active_level < SILENCE && level + MARGIN > active_level))
		return false;
	memcpy(s->active, loudest->id, ID_LEN);
	*producer_id = s->active;
	*volume = -(int) level;
	return true;
}
