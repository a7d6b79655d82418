/* inbox.h: requests that came with their notifications and wait to be carried out, in their order, and the numbers of
 * those that were: what is handed out once more is not done once more. */
#ifndef RT_INBOX_H
#define RT_INBOX_H

#include <stdbool.h>

#include <jansson.h>

#include "bgworker/common/result.h"

struct rt_inbox;

struct rt_inbox *rt_inbox_new(void);
void rt_inbox_free(struct rt_inbox *in); /* NULL is fine */

/* Adds a reference.  RT_LIMIT: so many wait that it must be fetched instead. */
enum rt_result rt_inbox_push(struct rt_inbox *in, json_t *request);
/* All that wait, as an array that is the caller's. */
json_t *rt_inbox_take(struct rt_inbox *in);

/* Notes a request that is about to be carried out.  False: it was already, of the last RT_INBOX_SEEN. */
#define RT_INBOX_SEEN 1024
bool rt_inbox_note(struct rt_inbox *in, const json_t *request);

#endif
