/* log.c: see log.h.  One write(2) a line, so that lines of several programs on one pipe do not mix. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2000 /* below PIPE_BUF, so that a line is written whole or not at all */

static enum rt_log_level least_level = RT_LOG_INFO;

static const char *const level_names[] = {"DEBUG", "LOG", "WARNING", "ERROR"};

void
rt_log_set_level(enum rt_log_level least)
{
	least_level = least;
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

void
rt_log(enum rt_log_level level, const char *module, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES + 1];
	va_list args;
	int n;
	size_t len;

	if (level < least_level)
		return;
	/* "ready" stands alone: it is a word of the protocol with the supervisor. */
	n = module == NULL ? snprintf(line, LINE_MAX_BYTES, "%s ", level_names[level])
					   : snprintf(line, LINE_MAX_BYTES, "%s %s: ", level_names[level], module);
	va_start(args, fmt);
	vsnprintf(line + n, LINE_MAX_BYTES - (size_t) n, fmt, args);
	va_end(args);
	len = strlen(line);
	escape_controls(line, len);
	line[len++] = '\n';
	/* Standard error is non-blocking or drained by the supervisor; a line that does not fit is lost. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}
