/* tap.h: what a unit test needs to print TAP.  Include it once, in the test's only file. */
#ifndef RT_TAP_H
#define RT_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count;
static int tap_failed;

/* One test case; the line tells where it stands when it fails. */
#define ok(condition, ...) tap_ok((condition), __LINE__, __VA_ARGS__)
#define is_str(got, expected, ...) tap_is_str((got), (expected), __LINE__, __VA_ARGS__)

static inline void
tap_line(bool passed, int line, const char *fmt, va_list args)
{
	printf("%sok %d - ", passed ? "" : "not ", ++tap_count);
	vprintf(fmt, args);
	printf("\n");
	if (passed)
		return;
	tap_failed++;
	printf("# line %d\n", line);
}

__attribute__((format(printf, 3, 4))) static inline void
tap_ok(bool passed, int line, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	tap_line(passed, line, fmt, args);
	va_end(args);
}

__attribute__((format(printf, 4, 5))) static inline void
tap_is_str(const char *got, const char *expected, int line, const char *fmt, ...)
{
	bool passed = got != NULL && expected != NULL ? strcmp(got, expected) == 0 : got == expected;
	va_list args;

	va_start(args, fmt);
	tap_line(passed, line, fmt, args);
	va_end(args);
	if (!passed)
		printf("# got %s\n# expected %s\n", got ? got : "NULL", expected ? expected : "NULL");
}

/* What main returns. */
static inline int
tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed == 0 ? 0 : 1;
}

#endif
