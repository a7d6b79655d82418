/* log.h: one line an event, on standard error, which the supervisor copies to the server log.
 * Never a token, password, key or message content. */
#ifndef RT_LOG_H
#define RT_LOG_H

#include <stdbool.h>

enum rt_log_level
{
	RT_LOG_DEBUG,
	RT_LOG_INFO, /* the server's LOG */
	RT_LOG_WARNING,
	RT_LOG_ERROR
};

/* For a program on a host of its own: lines begin with the time and the process, in the form of the server's log, and
 * what standard error does not take at once is left out.  Lines without a module are always written. */
void rt_log_be_own(void);
void rt_log_set_level(enum rt_log_level least);
bool rt_log_wants(enum rt_log_level level); /* where preparing a line would cost */

/* "<LEVEL> <module>: <text>\n" in one write; without a module "<LEVEL> <text>\n".  Control characters of the
 * text are replaced. */
void rt_log(enum rt_log_level level, const char *module, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
