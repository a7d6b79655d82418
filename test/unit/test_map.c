/* test_map.c: the hash map, against a plain array of what should be in it. */
#include <stdlib.h>

#include "bgworker/common/map.h"
#include "tap.h"

#define KEYS 5000

static char keys[KEYS][16];
static bool present[KEYS];

static bool
agrees(const struct rt_map *m)
{
	size_t count = 0;

	for (int i = 0; i < KEYS; i++)
	{
		void *found = rt_map_find_str(m, keys[i]);

		count += present[i];
		if (found != (present[i] ? keys[i] : NULL))
			return false;
	}
	return rt_map_count(m) == count;
}

static size_t
walked(const struct rt_map *m)
{
	size_t pos = 0;
	size_t n = 0;

	while (rt_map_next(m, &pos) != NULL)
		n++;
	return n;
}

static void
test_random_changes(void)
{
	struct rt_map *m = rt_map_new();
	bool answers = true;

	srandom(1);
	for (int i = 0; i < KEYS; i++)
		snprintf(keys[i], sizeof(keys[i]), "key-%d", i);
	for (int round = 0; round < 200000; round++)
	{
		int i = (int) (random() % KEYS);

		if (random() % 5 < 3)
			answers &= rt_map_put_str(m, keys[i], keys[i]) != present[i];
		else
			answers &= (rt_map_take_str(m, keys[i]) != NULL) == present[i] && !(present[i] = false);
		if (rt_map_find_str(m, keys[i]) != NULL)
			present[i] = true;
	}
	ok(answers, "put and take say what was there");
	ok(agrees(m), "after 200,000 changes the map holds what it should");
	ok(walked(m) == rt_map_count(m), "a walk meets each value once");
	for (int i = 0; i < KEYS; i++)
	{
		rt_map_take_str(m, keys[i]);
		present[i] = false;
	}
	ok(rt_map_count(m) == 0 && agrees(m), "emptied");
	rt_map_free(m);
}

static void
test_binary_keys(void)
{
	struct rt_map *m = rt_map_new();
	const char a[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 5};
	const char b[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 6};

	rt_map_put(m, a, sizeof(a), "a");
	rt_map_put(m, b, sizeof(b), "b");
	rt_map_put(m, a, 2, "short");
	is_str(rt_map_find(m, a, sizeof(a)), "a", "keys may hold zero bytes");
	is_str(rt_map_find(m, b, sizeof(b)), "b", "the last byte counts");
	is_str(rt_map_find(m, b, 2), "short", "the length counts");
	ok(rt_map_find(m, a, 3) == NULL, "a prefix is another key");
	rt_map_free(m);
}

static void
test_values(void)
{
	struct rt_map *m = rt_map_new();

	rt_map_free_all(m);
	m = rt_map_new();
	for (char key = 'a'; key <= 'z'; key++)
	{
		char *value = malloc(1);

		*value = key;
		rt_map_put(m, value, 1, value);
	}
	ok(rt_map_count(m) == 26, "one for each letter");
	rt_map_free_all(m); /* a leak fails under SANITIZE=1 */
	rt_map_free_all(NULL);
}

int
main(void)
{
	test_values();
	test_random_changes();
	test_binary_keys();
	return tap_done();
}
