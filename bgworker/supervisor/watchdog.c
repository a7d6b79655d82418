/* watchdog.c: counts how long a program has been silent, and says what it does meanwhile; see watchdog.h.  Asking,
 * and ending it, are runner.c's.
 *
 * Invariant: silence grows by what a turn took, but for turns longer than RT_WATCHDOG_TURN_MS.  The supervisor turns
 * once a second, so a longer turn shows that the supervisor, or all of the machine, stood still, and says nothing
 * about the program.
 *
 * Runs in the supervisor.  Reads /proc, which may be absent or lack rights; then the line says less. */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "bgworker/common/activity.h"
#include "bgworker/worker/clock.h"
#include "watchdog.h"

#define ASK_INTERVAL_MS 900 /* below the supervisor's turn of a second */

struct process
{
	char state;   /* of proc(5): R, S, D, T, … */
	int64 cpu_ms; /* user and system */
};

/* Fields 3, 14 and 15 of /proc/PID/stat; the second one, the name, may hold spaces and brackets. */
static bool
read_process(int pid, struct process *p)
{
	char path[64];
	char text[1024];
	const char *rest;
	unsigned long user;
	unsigned long system;
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, text, sizeof(text) - 1);
	(void) close(fd);
	text[Max(len, 0)] = '\0';
	rest = strrchr(text, ')');
	if (rest == NULL ||
		sscanf(rest, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &p->state, &user, &system) != 3)
		return false;
	p->cpu_ms = (int64) (user + system) * 1000 / sysconf(_SC_CLK_TCK);
	return true;
}

void
rt_watchdog_start(struct rt_watchdog *w)
{
	memset(w, 0, sizeof(*w));
	w->looked = w->asked = rt_clock_now();
}

/* By pread(): a program that was taken over can write there what it likes, and do no more. */
static uint64
read_activity(int fd)
{
	uint64 word;

	return fd >= 0 && pread(fd, &word, sizeof(word), 0) == sizeof(word) ? word : 0;
}

void
rt_watchdog_beat(struct rt_watchdog *w, int pid, int activity_fd)
{
	struct process p;

	w->silence_ms = 0;
	w->beaten_activity = read_activity(activity_fd);
	w->looked = rt_clock_now();
	w->beaten = true;
	if (read_process(pid, &p))
		w->cpu_ms = p.cpu_ms;
}

bool
rt_watchdog_turn(struct rt_watchdog *w, int activity_fd)
{
	TimestampTz now = rt_clock_now();
	uint64 activity = read_activity(activity_fd);

	if (!TimestampDifferenceExceeds(w->looked, now, RT_WATCHDOG_TURN_MS))
	{
		int64 ms = TimestampDifferenceMilliseconds(w->looked, now);

		w->silence_ms += ms;
		w->activity_ms = activity == w->activity ? w->activity_ms + ms : 0;
	}
	w->activity = activity;
	w->looked = now;
	if (!TimestampDifferenceExceeds(w->asked, now, ASK_INTERVAL_MS))
		return false;
	w->asked = now;
	return true;
}

bool
rt_watchdog_is_silent(const struct rt_watchdog *w)
{
	return w->silence_ms >= RT_WATCHDOG_SILENT_MS;
}

bool
rt_watchdog_is_hung(const struct rt_watchdog *w, int timeout_ms)
{
	int patience_ms = w->beaten ? timeout_ms : Max(timeout_ms, RT_WATCHDOG_START_MS);

	return timeout_ms > 0 && w->silence_ms >= patience_ms;
}

static const char *
activity_text(uint64 word)
{
	static const char *const texts[] = {
#define ACTIVITY_TEXT(name, text) text,
		RT_ACTIVITIES(ACTIVITY_TEXT)
#undef ACTIVITY_TEXT
	};
	uint64 what = word & ((1 << RT_ACTIVITY_BITS) - 1);

	return what < lengthof(texts) ? texts[what] : "unknown";
}

/* Where the activities change, none of them hangs: the loop is too slow, or one of them goes on for ever in small
 * steps. */
void
rt_watchdog_describe_activity(const struct rt_watchdog *w, StringInfo out)
{
	if (w->activity == 0)
		return;
	appendStringInfo(out, ", in \"%s\" for " INT64_FORMAT ".%d s,", activity_text(w->activity), w->activity_ms / 1000,
					 (int) (w->activity_ms % 1000 / 100));
}

static const char *
state_text(char state)
{
	switch (state)
	{
		case 'R':
			return "was running";
		case 'S':
			return "was waiting in a system call";
		case 'D':
			return "was waiting for a device";
		case 'T':
		case 't':
			return "was stopped by a signal or a debugger";
		default:
			return "was in an unknown state";
	}
}

/* Linux tells it of a program that is not confined alone; else it says "0". */
static void
describe_kernel(int pid, StringInfo out)
{
	char path[64];
	char name[64];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/wchan", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	len = read(fd, name, sizeof(name) - 1);
	(void) close(fd);
	name[Max(len, 0)] = '\0';
	if (name[0] != '\0' && strcmp(name, "0") != 0)
		appendStringInfo(out, " (the kernel's %s)", name);
}

void
rt_watchdog_describe_process(const struct rt_watchdog *w, int pid, StringInfo out)
{
	struct process p;
	uint64 begun = (w->activity >> RT_ACTIVITY_BITS) - (w->beaten_activity >> RT_ACTIVITY_BITS);

	if (!read_process(pid, &p))
	{
		appendStringInfoString(out, state_text('?'));
		return;
	}
	appendStringInfoString(out, state_text(p.state));
	if (p.state == 'S' || p.state == 'D')
		describe_kernel(pid, out);
	appendStringInfo(out, ", and used " INT64_FORMAT ".%03d s of CPU in that time", (p.cpu_ms - w->cpu_ms) / 1000,
					 (int) ((p.cpu_ms - w->cpu_ms) % 1000));
	if (w->activity != 0)
		appendStringInfo(out, " for " UINT64_FORMAT " callbacks", begun);
}
