/* standing.h: what a connected user is in, told as a whole.
 *
 * The relay tells it when commands of the bus were lost: those that end a membership must not be missed, for whoever
 * was removed would go on getting what a room says. */
#ifndef RT_STANDING_H
#define RT_STANDING_H

void rt_standing_init(void); /* adds the commands */

#endif
