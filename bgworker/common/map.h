/* map.h: hash map from a byte string to a pointer.  Keys are lent: they must lie in the object that the map
 * points to, and live as long as the entry.  Grows by itself; the seed is random, so that clients cannot
 * choose keys that collide. */
#ifndef RT_MAP_H
#define RT_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct rt_map;

struct rt_map *rt_map_new(void);
void rt_map_free(struct rt_map *m);     /* not the values; NULL is fine */
void rt_map_free_all(struct rt_map *m); /* with the values, each by free(); NULL is fine */

void *rt_map_find(const struct rt_map *m, const void *key, size_t len);      /* NULL if it is not there */
bool rt_map_put(struct rt_map *m, const void *key, size_t len, void *value); /* false: the key was there already */
void *rt_map_take(struct rt_map *m, const void *key, size_t len);            /* removes; NULL if it was not there */
size_t rt_map_count(const struct rt_map *m);

/* The same with a NUL-terminated key. */
void *rt_map_find_str(const struct rt_map *m, const char *key);
bool rt_map_put_str(struct rt_map *m, const char *key, void *value);
void *rt_map_take_str(struct rt_map *m, const char *key);

/* Walks the values: start with *pos = 0, NULL ends it.  The map must not change meanwhile. */
void *rt_map_next(const struct rt_map *m, size_t *pos);

#endif
