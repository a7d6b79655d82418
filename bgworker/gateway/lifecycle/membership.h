/* membership.h: users come into rooms and leave them, by the database's word. */
#ifndef RT_MEMBERSHIP_H
#define RT_MEMBERSHIP_H

struct rt_commands;
struct rt_entries;
struct rt_joins;
struct rt_membership_commands;
struct rt_renewal;
struct rt_rooms;
struct rt_users;

/* What it uses; all is lent, and must live as long. */
struct rt_membership_uses
{
	const struct rt_users *users;
	struct rt_rooms *rooms;
	struct rt_joins *joins;
	struct rt_entries *entries;
	struct rt_renewal *renewal;
	struct rt_commands *commands; /* it adds rt:member and rt:room-deleted */
};

struct rt_membership_commands *rt_membership_new(const struct rt_membership_uses *uses);
void rt_membership_free(struct rt_membership_commands *m); /* NULL is fine */

#endif
