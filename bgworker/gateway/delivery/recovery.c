/* recovery.c: see recovery.h.  Who is sent what, and when, is recover.c's and replay.c's business. */
#include "recovery.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/conf.h"
#include "bgworker/common/map.h"
#include "bgworker/gateway/bus/notice.h"
#include "bgworker/gateway/clients/client.h"
#include "bgworker/gateway/engineio/frame.h"
#include "bgworker/gateway/socketio/socket.h"

void
rt_recovery_read_settings(struct rt_recovery_settings *s, struct rt_conf *c)
{
	s->max_queued_bytes = (size_t) rt_conf_int(c, "max_queued_bytes");
}

struct rt_recovery *
rt_recovery_new(struct rt_client *c, const json_t *rooms, uint64_t offset)
{
	struct rt_recovery *r = rt_alloc(sizeof(*r));
	json_t *room;
	size_t i;

	r->client = c;
	r->rooms = json_deep_copy(rooms);
	r->joined = rt_map_new();
	r->pos = offset;
	c->recovery = r;
	c->recovered_to = &r->pos;
	json_array_foreach(r->rooms, i, room)
	{
		if (json_is_string(room))
			rt_map_put_str(r->joined, json_string_value(room), room);
	}
	return r;
}

void
rt_recovery_free(struct rt_recovery *r)
{
	rt_map_free(r->joined);
	json_decref(r->rooms);
	free(r);
}

void
rt_recovery_release(struct rt_client *c)
{
	if (c->recovery != NULL)
		c->recovery->client = NULL;
	c->recovery = NULL;
	c->recovered_to = NULL;
}

/* Half of the queue is for what was missed: the other half takes what comes when the client is live.  Below an eighth
 * it is worth filling again. */
size_t
rt_recovery_space_bytes(const struct rt_recovery_settings *s, const struct rt_client *c)
{
	size_t most = s->max_queued_bytes / 2;
	size_t queued = rt_socket_queued_bytes(c->socket);

	return queued > most / 4 ? 0 : most - queued;
}

struct rt_frame *
rt_recovery_notification(struct rt_frame *f, bool is_message, uint64_t pos, const char *user)
{
	struct rt_frame *told = is_message ? rt_notice_notification(f, pos) : rt_frame_ref(f);
	struct rt_frame *own;
	char author[RT_NOTICE_USER_BYTES];

	if (told == NULL)
		return NULL;
	rt_notice_author(f, author);
	if (strcmp(user, author) != 0)
		return told;
	own = rt_notice_own(told, pos);
	rt_frame_unref(told);
	return own;
}
