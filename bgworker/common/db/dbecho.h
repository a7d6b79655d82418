/* dbecho.h: whether notifications reach this program: it asks for one of its own, over another connection. */
#ifndef RT_DBECHO_H
#define RT_DBECHO_H

#include <stdbool.h>
#include <stddef.h>

struct rt_db;
struct rt_dbecho;
struct rt_loop;

typedef void (*rt_dbecho_cb)(void *arg);

/* channel: the one that the program LISTENs on, a literal.  on_hears: each time that rt_dbecho_hears() becomes true;
 * may be NULL. */
struct rt_dbecho *rt_dbecho_new(struct rt_loop *l, struct rt_db *db, const char *channel, rt_dbecho_cb on_hears,
								void *arg);
void rt_dbecho_free(struct rt_dbecho *e); /* NULL is fine; the database's callbacks must have ended */

/* A LISTEN is in force, or its connection was lost. */
void rt_dbecho_set_listening(struct rt_dbecho *e, bool listening);

/* False if the notification is no echo. */
bool rt_dbecho_take(struct rt_dbecho *e, const char *payload, size_t len);

/* The relay was heard: as good as an echo. */
void rt_dbecho_note_relay(struct rt_dbecho *e);

/* The present LISTEN was heard at least once, and no echo is missing. */
bool rt_dbecho_hears(const struct rt_dbecho *e);
/* An echo is missing: notifications do not arrive. */
bool rt_dbecho_is_deaf(const struct rt_dbecho *e);

#endif
