/* snapshot.c: see snapshot.h.  A join keeps one, and it is asked when a membership ends: seldom.  So it is kept as
 * the text that came, and taken apart for each question.  Text above TEXT_MAX bytes, of some 80 transactions at once,
 * is not kept: then the snapshot sees nothing, and a membership that ends ends the join too. */
#include "snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"

#define TEXT_MAX 1000 /* some 80 transactions at once */

struct rt_snapshot
{
	uint32_t refs;
	char text[];
};

/* Takes a number and the character behind it; the last one of the list has none. */
static bool
take_number(const char **text, char end, uint64_t *number)
{
	const char *p = *text;

	*number = 0;
	for (; *p >= '0' && *p <= '9'; p++)
	{
		if (*number > UINT64_MAX / 10 - 1)
			return false;
		*number = *number * 10 + (uint64_t) (*p - '0');
	}
	if (p == *text || (*p != end && !(*p == '\0' && end == ',')))
		return false;
	*text = *p == '\0' ? p : p + 1;
	return true;
}

static bool
is_snapshot(const char *text)
{
	uint64_t number;

	if (!take_number(&text, ':', &number) || !take_number(&text, ':', &number))
		return false;
	while (*text != '\0')
	{
		if (!take_number(&text, ',', &number))
			return false;
	}
	return true;
}

struct rt_snapshot *
rt_snapshot_new(const char *text)
{
	size_t len = text == NULL ? 0 : strlen(text);
	struct rt_snapshot *s;

	if (len == 0 || len > TEXT_MAX || !is_snapshot(text))
		return NULL;
	s = rt_alloc(sizeof(*s) + len + 1);
	s->refs = 1;
	memcpy(s->text, text, len + 1);
	return s;
}

struct rt_snapshot *
rt_snapshot_ref(struct rt_snapshot *s)
{
	if (s != NULL)
		s->refs++;
	return s;
}

void
rt_snapshot_unref(struct rt_snapshot *s)
{
	if (s != NULL && --s->refs == 0)
		free(s);
}

bool
rt_snapshot_sees(const struct rt_snapshot *s, uint64_t xid)
{
	const char *text = s == NULL ? "" : s->text;
	uint64_t xmin, xmax, running;

	if (xid == 0 || !take_number(&text, ':', &xmin) || !take_number(&text, ':', &xmax) || xid >= xmax)
		return false;
	while (*text != '\0' && take_number(&text, ',', &running))
	{
		if (running == xid)
			return false;
	}
	return true;
}
