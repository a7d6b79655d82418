/* childlog.c: turns a program's standard error into lines of the server log; see childlog.h.  What a line means
 * is its owner's (on_line), who is told of each, even if the budget keeps it out of the log.
 *
 * The program is not trusted to write clean lines: it may crash in the middle of one, or be taken over.  One that
 * writes without a pause gets READS_PER_TURN reads a turn, so that the others are not kept waiting; the rest
 * stays in the pipe.
 *
 * Runs in the supervisor, without a lock, outside of transactions; its memory is in TopMemoryContext.  A line of
 * level ERROR is logged as one and caught here; nothing is raised to the caller. */
#include "postgres.h"

#include <errno.h>
#include <unistd.h>

#include "mb/pg_wchar.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "childlog.h"
#include "extension/config/settings.h"
#include "bgworker/worker/clock.h"

#define READ_BYTES 8192
#define READS_PER_TURN 8
#define TELL_INTERVAL_MS 1000

struct rt_childlog
{
	int fd;
	char name[64];
	rt_childlog_cb on_line;
	void *arg;
	char line[RT_CHILDLOG_LINE + 1];
	int len;
	bool cut;           /* the line is longer than we keep */
	int64 budget;       /* bytes that may be logged now */
	TimestampTz filled; /* when the budget was last raised */
	uint64 bytes_left_out;
	uint64 lines_left_out;
	TimestampTz told;
};

/* The levels of docs/protocols.md, in the order of enum rt_log_min.  Debug lines come only where
 * rt.log_min_messages asks for them, so they are logged as they are: the whole server need not talk for that. */
static const struct
{
	const char *name;
	int level;
} LEVELS[] = {{"DEBUG ", LOG}, {"LOG ", LOG}, {"WARNING ", WARNING}, {"ERROR ", ERROR}};

struct rt_childlog *
rt_childlog_new(int fd, const char *name, rt_childlog_cb on_line, void *arg)
{
	struct rt_childlog *log = MemoryContextAllocZero(TopMemoryContext, sizeof(*log));

	log->fd = fd;
	strlcpy(log->name, name, sizeof(log->name));
	log->on_line = on_line;
	log->arg = arg;
	log->budget = RT_CHILDLOG_BURST;
	log->filled = log->told = rt_clock_now();
	return log;
}

int
rt_childlog_fd(const struct rt_childlog *log)
{
	return log->fd;
}

/* ---- the budget --------------------------------------------------------------- */

static void
fill_budget(struct rt_childlog *log)
{
	TimestampTz now = rt_clock_now();
	long passed_ms = TimestampDifferenceMilliseconds(log->filled, now);

	if (passed_ms < 10)
		return;
	log->budget = Min(log->budget + (int64) passed_ms * RT_CHILDLOG_RATE / 1000, RT_CHILDLOG_BURST);
	log->filled = now;
}

static bool
spend(struct rt_childlog *log, int bytes)
{
	fill_budget(log);
	if (log->budget < bytes)
	{
		log->bytes_left_out += bytes;
		log->lines_left_out++;
		return false;
	}
	log->budget -= bytes;
	return true;
}

static void
tell_left_out(struct rt_childlog *log)
{
	if (log->lines_left_out > 0)
		ereport(WARNING, (errmsg("%s: dropped " UINT64_FORMAT " lines (" UINT64_FORMAT
								 " bytes): it writes more than the log accepts",
								 log->name, log->lines_left_out, log->bytes_left_out)));
	log->lines_left_out = log->bytes_left_out = 0;
	log->told = rt_clock_now();
}

bool
rt_childlog_settle(struct rt_childlog *log)
{
	if (log->lines_left_out > 0 && TimestampDifferenceExceeds(log->told, rt_clock_now(), TELL_INTERVAL_MS))
		tell_left_out(log);
	return log->lines_left_out > 0;
}

/* ---- lines -------------------------------------------------------------------- */

/* Control characters and broken UTF-8 become '?'. */
static void
clean(char *text)
{
	unsigned char *p = (unsigned char *) text;
	unsigned char *end = p + strlen(text);

	while (p < end)
	{
		int len = pg_utf_mblen(p);

		if (*p < 0x20 || *p == 0x7f || p + len > end || !pg_utf8_islegal(p, len))
		{
			*p = *p == '\t' ? ' ' : '?';
			len = 1;
		}
		p += len;
	}
}

static int
split_level(const char **text)
{
	for (int i = 0; i < lengthof(LEVELS); i++)
	{
		size_t len = strlen(LEVELS[i].name);

		if (strncmp(*text, LEVELS[i].name, len) == 0)
		{
			*text += len;
			return i;
		}
	}
	return RT_LOG_MIN_LOG;
}

/* A line of level ERROR, without what an error does. */
static void
log_error(const char *name, const char *text)
{
	MemoryContext old = CurrentMemoryContext;

	PG_TRY();
	{
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION), errmsg_internal("%s: %s", name, text)));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(old);
		EmitErrorReport();
		FlushErrorState();
	}
	PG_END_TRY();
}

static void
finish_line(struct rt_childlog *log)
{
	const char *text = log->line;
	bool wanted = false;
	int rank;
	int level;

	log->line[log->len] = '\0';
	clean(log->line);
	rank = split_level(&text);
	level = LEVELS[rank].level;
	if (*text != '\0')
		wanted = log->on_line(log->arg, text);
	if (wanted && rank >= rt_log_min_messages && message_level_is_interesting(level) && spend(log, log->len))
	{
		if (level == ERROR)
			log_error(log->name, text);
		else
			ereport(level, (errmsg_internal("%s: %s%s", log->name, text, log->cut ? " [cut]" : "")));
	}
	log->len = 0;
	log->cut = false;
}

static void
take_bytes(struct rt_childlog *log, const char *bytes, int len)
{
	for (int i = 0; i < len; i++)
	{
		if (bytes[i] == '\n')
			finish_line(log);
		else if (log->len < RT_CHILDLOG_LINE)
			log->line[log->len++] = bytes[i] == '\0' ? '?' : bytes[i];
		else
			log->cut = true;
	}
}

bool
rt_childlog_read(struct rt_childlog *log)
{
	char bytes[READ_BYTES];

	for (int i = 0; i < READS_PER_TURN; i++)
	{
		ssize_t len = read(log->fd, bytes, sizeof(bytes));

		if (len > 0)
			take_bytes(log, bytes, len);
		else if (len < 0 && errno == EINTR)
			continue;
		else
			return len < 0 && errno == EAGAIN;
	}
	return true;
}

void
rt_childlog_free(struct rt_childlog *log)
{
	if (log == NULL)
		return;
	if (log->len > 0)
		finish_line(log);
	tell_left_out(log);
	(void) close(log->fd);
	pfree(log);
}
