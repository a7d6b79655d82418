/* echo.h: whether notifications reach this gateway: it asks for one of its own, over another connection. */
#ifndef RT_ECHO_H
#define RT_ECHO_H

#include <stdbool.h>
#include <stddef.h>

struct rt_db;
struct rt_echo;
struct rt_loop;

struct rt_echo *rt_echo_new(struct rt_loop *l, struct rt_db *db);
void rt_echo_free(struct rt_echo *e); /* NULL is fine; the database's callbacks must have ended */

/* A LISTEN is in force, or its connection was lost. */
void rt_echo_set_listening(struct rt_echo *e, bool listening);

/* False if the notification is nobody's echo. */
bool rt_echo_take(struct rt_echo *e, const char *payload, size_t len);

/* The relay was heard: as good as an echo. */
void rt_echo_note_relay(struct rt_echo *e);

/* The present LISTEN was heard at least once, and no echo is missing. */
bool rt_echo_hears(const struct rt_echo *e);
/* An echo is missing: notifications do not arrive. */
bool rt_echo_is_deaf(const struct rt_echo *e);

#endif
