/* map.c: see map.h.  Open addressing with linear probing; removal shifts back, so there are no tombstones.  The hash
 * has a random seed for each map: keys come from clients, and must not be chosen to collide. */
#include "map.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "alloc.h"

#define FIRST_SLOTS 16

struct slot
{
	const void *key; /* NULL: empty */
	void *value;
	uint32_t hash;
	uint32_t len;
};

struct rt_map
{
	struct slot *slots;
	size_t mask;
	size_t count;
	uint64_t seed;
};

static uint64_t
mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t) a * b;

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

static uint32_t
hash_of(const struct rt_map *m, const void *key, size_t len)
{
	const unsigned char *p = key;
	uint64_t h = m->seed ^ len;
	uint64_t word;

	for (; len >= 8; len -= 8, p += 8)
	{
		memcpy(&word, p, 8);
		h = mix(h ^ word, 0x9e3779b97f4a7c15ULL ^ m->seed);
	}
	word = 0;
	memcpy(&word, p, len);
	h = mix(h ^ word, 0xe7037ed1a0b428dbULL);
	h = mix(h, 0x8ebc6af09c88c6e3ULL ^ m->seed);
	return (uint32_t) (h ^ (h >> 32));
}

struct rt_map *
rt_map_new(void)
{
	struct rt_map *m = rt_alloc(sizeof(*m));

	m->slots = rt_alloc(FIRST_SLOTS * sizeof(struct slot));
	m->mask = FIRST_SLOTS - 1;
	if (getrandom(&m->seed, sizeof(m->seed), 0) != (ssize_t) sizeof(m->seed))
		m->seed = (uintptr_t) m * 0x9e3779b97f4a7c15ULL;
	m->seed |= 1;
	return m;
}

void
rt_map_free(struct rt_map *m)
{
	if (m == NULL)
		return;
	free(m->slots);
	free(m);
}

void
rt_map_free_all(struct rt_map *m)
{
	void *value;
	size_t pos = 0;

	if (m == NULL)
		return;
	while ((value = rt_map_next(m, &pos)) != NULL)
		free(value);
	rt_map_free(m);
}

/* The slot that holds the key, or the empty one where it belongs. */
static struct slot *
slot_of(const struct rt_map *m, const void *key, size_t len, uint32_t hash)
{
	for (size_t i = hash & m->mask;; i = (i + 1) & m->mask)
	{
		struct slot *s = &m->slots[i];

		if (s->key == NULL || (s->hash == hash && s->len == len && memcmp(s->key, key, len) == 0))
			return s;
	}
}

static void
grow(struct rt_map *m)
{
	struct slot *old = m->slots;
	size_t n = m->mask + 1;

	m->slots = rt_alloc(2 * n * sizeof(struct slot));
	m->mask = 2 * n - 1;
	for (size_t i = 0; i < n; i++)
	{
		if (old[i].key != NULL)
			*slot_of(m, old[i].key, old[i].len, old[i].hash) = old[i];
	}
	free(old);
}

void *
rt_map_find(const struct rt_map *m, const void *key, size_t len)
{
	struct slot *s = slot_of(m, key, len, hash_of(m, key, len));

	return s->key == NULL ? NULL : s->value;
}

bool
rt_map_put(struct rt_map *m, const void *key, size_t len, void *value)
{
	uint32_t hash = hash_of(m, key, len);
	struct slot *s = slot_of(m, key, len, hash);

	if (s->key != NULL)
		return false;
	if ((m->count + 1) * 4 > (m->mask + 1) * 3)
	{
		grow(m);
		s = slot_of(m, key, len, hash);
	}
	*s = (struct slot){.key = key, .value = value, .hash = hash, .len = (uint32_t) len};
	m->count++;
	return true;
}

void *
rt_map_take(struct rt_map *m, const void *key, size_t len)
{
	struct slot *s = slot_of(m, key, len, hash_of(m, key, len));
	void *value = s->value;
	size_t hole = (size_t) (s - m->slots);

	if (s->key == NULL)
		return NULL;
	for (size_t i = (hole + 1) & m->mask; m->slots[i].key != NULL; i = (i + 1) & m->mask)
	{
		size_t home = m->slots[i].hash & m->mask;

		/* It may move into the hole unless its home lies cyclically behind the hole. */
		if (((i - home) & m->mask) >= ((i - hole) & m->mask))
		{
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole].key = NULL;
	m->count--;
	return value;
}

size_t
rt_map_count(const struct rt_map *m)
{
	return m->count;
}

void *
rt_map_find_str(const struct rt_map *m, const char *key)
{
	return rt_map_find(m, key, strlen(key));
}

bool
rt_map_put_str(struct rt_map *m, const char *key, void *value)
{
	return rt_map_put(m, key, strlen(key), value);
}

void *
rt_map_take_str(struct rt_map *m, const char *key)
{
	return rt_map_take(m, key, strlen(key));
}

void *
rt_map_next(const struct rt_map *m, size_t *pos)
{
	while (*pos <= m->mask)
	{
		struct slot *s = &m->slots[(*pos)++];

		if (s->key != NULL)
			return s->value;
	}
	return NULL;
}
