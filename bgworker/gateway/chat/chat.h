/* chat.h: the chat events of the wire contract (section 2). */
#ifndef RT_CHAT_H
#define RT_CHAT_H

#include <stdint.h>

struct rt_bus;
struct rt_chat;
struct rt_conf;
struct rt_client_events;
struct rt_joins;
struct rt_rooms;
struct rt_typings;

struct rt_chat_settings
{
	int64_t max_rooms_per_connection;
};

void rt_chat_read_settings(struct rt_chat_settings *s, struct rt_conf *c);

/* What it uses; all is lent, and must live as long. */
struct rt_chat_uses
{
	const struct rt_bus *bus;
	const struct rt_clients *clients;
	struct rt_joins *joins;
	struct rt_rooms *rooms;
	struct rt_typings *typings;
	const struct rt_chat_settings *settings;
};

struct rt_chat *rt_chat_new(const struct rt_chat_uses *uses, struct rt_client_events *events); /* adds its events */
void rt_chat_free(struct rt_chat *ch);                                                         /* NULL is fine */

#endif
