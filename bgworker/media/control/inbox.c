/* inbox.c: see inbox.h.  work.c owns it.
 *
 * A request may come twice: by its notification, and by media_fetch when the database was not sure that it had been
 * heard.  Its number is noted before it is carried out, in a ring of RT_INBOX_SEEN: the database hands out again what
 * is younger than that. */
#include "inbox.h"

#include <stdlib.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/json.h"

#define WAITING_MAX 1000

struct rt_inbox
{
	json_t *waiting;
	long long seen[RT_INBOX_SEEN]; /* numbers of requests, a ring; 0: none */
	unsigned next;
};

struct rt_inbox *
rt_inbox_new(void)
{
	struct rt_inbox *in = rt_alloc(sizeof(*in));

	in->waiting = json_array();
	return in;
}

void
rt_inbox_free(struct rt_inbox *in)
{
	if (in == NULL)
		return;
	json_decref(in->waiting);
	free(in);
}

enum rt_result
rt_inbox_push(struct rt_inbox *in, json_t *request)
{
	if (json_array_size(in->waiting) >= WAITING_MAX)
		return RT_LIMIT;
	json_array_append(in->waiting, request);
	return RT_OK;
}

json_t *
rt_inbox_take(struct rt_inbox *in)
{
	json_t *all = in->waiting;

	in->waiting = json_array();
	return all;
}

bool
rt_inbox_note(struct rt_inbox *in, const json_t *request)
{
	const char *id = rt_json_str(request, "requestId");
	long long number = id != NULL ? strtoll(id, NULL, 10) : 0;

	if (number <= 0)
		return true;
	for (unsigned i = 0; i < RT_INBOX_SEEN; i++)
		if (in->seen[i] == number)
			return false;
	in->seen[in->next++ % RT_INBOX_SEEN] = number;
	return true;
}
