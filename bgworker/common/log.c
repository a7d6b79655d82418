/* log.c: see log.h.  One write(2) a line, so that lines of several programs on one pipe do not mix. */
#include "log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2000 /* below PIPE_BUF, so that a line is written whole or not at all */

static enum rt_log_level least_level = RT_LOG_INFO;
static bool is_own;

static const char *const level_names[] = {"DEBUG", "LOG", "WARNING", "ERROR"};

void
rt_log_set_level(enum rt_log_level least)
{
	least_level = least;
}

void
rt_log_be_own(void)
{
	is_own = true;
}

bool
rt_log_wants(enum rt_log_level level)
{
	return level >= least_level;
}

/* A peer's bytes must not begin a line of their own. */
static void
escape_controls(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if (c < 0x20 || c == 0x7f)
			text[i] = '?';
	}
}

/* "2026-11-30 01:36:02.517 UTC [4711] " */
static int
write_prefix(char *line, size_t size)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(line, size, "%Y-%m-%d %H:%M:%S", &tm);
	return (int) n + snprintf(line + n, size - n, ".%03ld UTC [%d] ", now.tv_nsec / 1000000, (int) getpid());
}

/* A pipe that nobody reads and a terminal that is held would keep the loop waiting. */
static bool
takes_line(void)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

void
rt_log(enum rt_log_level level, const char *module, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES + 1];
	va_list args;
	int n = 0;
	size_t len;

	if (level < least_level && !(is_own && module == NULL))
		return;
	if (is_own)
		n = write_prefix(line, LINE_MAX_BYTES);
	/* "ready" stands alone: it is a word of the protocol with the supervisor. */
	n += module == NULL
			 ? snprintf(line + n, LINE_MAX_BYTES - (size_t) n, "%s%s ", level_names[level], is_own ? ":" : "")
			 : snprintf(line + n, LINE_MAX_BYTES - (size_t) n, "%s%s %s: ", level_names[level], is_own ? ":" : "",
						module);
	va_start(args, fmt);
	vsnprintf(line + n, LINE_MAX_BYTES - (size_t) n, fmt, args);
	va_end(args);
	len = strlen(line);
	escape_controls(line, len);
	line[len++] = '\n';
	/* Standard error is non-blocking or drained by the supervisor; a line that does not fit is lost. */
	if ((is_own && !takes_line()) || write(STDERR_FILENO, line, len) < 0)
		return;
}
