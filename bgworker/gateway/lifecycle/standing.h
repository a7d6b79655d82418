/* standing.h: what a connected user is in, told as a whole.
 *
 * The relay tells it when commands of the bus were lost: those that end a membership must not be missed, for whoever
 * was removed would go on getting what a room says. */
#ifndef RT_STANDING_H
#define RT_STANDING_H

#include <jansson.h>

struct rt_auth;
struct rt_commands;
struct rt_entries;
struct rt_joins;
struct rt_leave;
struct rt_meetings;
struct rt_rooms;
struct rt_standing;
struct rt_users;

/* What it uses; all is lent, and must live as long. */
struct rt_standing_uses
{
	struct rt_auth *auth;
	const struct rt_users *users;
	struct rt_rooms *rooms;
	struct rt_joins *joins;
	struct rt_meetings *meetings;
	struct rt_entries *entries;
	struct rt_leave *leave;
	struct rt_commands *commands; /* it adds rt:lost and rt:standing */
};

struct rt_standing *rt_standing_new(const struct rt_standing_uses *uses);
void rt_standing_free(struct rt_standing *st); /* NULL is fine */

/* The payload of an rt:standing. */
void rt_standing_apply(struct rt_standing *st, const json_t *payload);

#endif
