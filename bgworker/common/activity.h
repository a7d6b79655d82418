/* activity.h: what the program's loop is doing, for the watchdog of the supervisor, which reads it from outside when
 * the program hangs.
 *
 * The supervisor passes a page of shared memory on descriptor RT_ACTIVITY_FD.  Its first eight bytes are the number
 * of activities begun so far, shifted by RT_ACTIVITY_BITS, and what the last one is.  The program only writes it and
 * the supervisor only reads it.  A program without a supervisor writes a word of its own. */
#ifndef RT_ACTIVITY_H
#define RT_ACTIVITY_H

#include <stdint.h>

#define RT_ACTIVITY_FD 4
#define RT_ACTIVITY_BITS 8

#define RT_ACTIVITIES(X) \
	X(STARTING, "starting") \
	X(WAITING, "waiting for events") \
	X(TIMER, "timer") \
	X(DESCRIPTOR, "descriptor") \
	X(DEFERRED, "deferred work") \
	X(TIMEOUTS, "timeouts") \
	X(SETTINGS, "settings") \
	X(DATABASE, "answer of the database") \
	X(CONNECTION, "new connection") \
	X(TLS, "TLS") \
	X(HTTP, "HTTP connection") \
	X(REQUEST, "http request") \
	X(WEBSOCKET, "websocket") \
	X(PACKETS, "packets over UDP") \
	X(TCP_PACKETS, "packets over TCP") \
	X(EGRESS, "sending packets") \
	X(TICK, "tick of the transports")

enum rt_activity
{
#define RT_ACTIVITY_ENUM(name, text) RT_ACTIVITY_##name,
	RT_ACTIVITIES(RT_ACTIVITY_ENUM)
#undef RT_ACTIVITY_ENUM
};

void rt_activity_share(int fd); /* once, at the start; closes the descriptor.  Without one nothing changes */
void rt_activity_begin(enum rt_activity what);

#endif
