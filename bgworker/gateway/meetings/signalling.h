/* signalling.h: media signalling: a client's request, and the media worker's answer to it.
 *
 * The database checks a request and hands it to the worker; the answer comes over the bus, and may be there before
 * the database has said that the request is on its way.  Whoever gets none within five seconds is told so. */
#ifndef RT_SIGNALLING_H
#define RT_SIGNALLING_H

#include <stddef.h>

struct rt_app;
struct rt_signals;

void rt_signalling_init(void); /* adds the events and commands to their tables */

struct rt_signals *rt_signals_new(struct rt_app *app);
void rt_signals_free(struct rt_signals *sg); /* NULL is fine; the database's callbacks must have ended */
size_t rt_signals_waiting(const struct rt_signals *sg);

#endif
