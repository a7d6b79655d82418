/* dispatch.h: an event of the bus goes to whom it concerns here, and is kept for those who come back. */
#ifndef RT_DISPATCH_H
#define RT_DISPATCH_H

struct rt_bus;
struct rt_commands;
struct rt_dispatch;
struct rt_joins;
struct rt_loop;
struct rt_meetings;
struct rt_notice;
struct rt_presence;
struct rt_recent;
struct rt_rooms;
struct rt_sockets;
struct rt_users;

/* What it uses; all is lent, and must live as long. */
struct rt_dispatch_uses
{
	struct rt_loop *loop;
	struct rt_sockets *sockets;
	const struct rt_bus *bus;
	struct rt_commands *commands;
	struct rt_recent *recent;
	struct rt_users *users;
	struct rt_rooms *rooms;
	struct rt_joins *joins;
	struct rt_meetings *meetings;
	struct rt_presence *presence;
};

struct rt_dispatch *rt_dispatch_new(const struct rt_dispatch_uses *uses);
void rt_dispatch_free(struct rt_dispatch *d); /* NULL is fine */

void rt_dispatch_event(struct rt_dispatch *d, const struct rt_notice *n);

#endif
