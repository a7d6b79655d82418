/* meeting.h: which sockets here are in which meeting; the fan-out.
 *
 * The bus decides, as for rooms: rt:meeting-member with member true seats a client, and what comes behind it in the
 * order of positions is for that client.  The answer to join-meeting tells the state as of that event; when it
 * comes later than the event, what the meeting says in between is kept and goes out behind it. */
#ifndef RT_MEETING_H
#define RT_MEETING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgworker/gateway/engineio/frame.h"

struct rt_client;
struct rt_meetings;
struct rt_socket;

struct rt_meetings *rt_meetings_new(void);
void rt_meetings_free(struct rt_meetings *ms); /* when all have left; NULL is fine */
size_t rt_meetings_count(const struct rt_meetings *ms);
size_t rt_meetings_seats(const struct rt_meetings *ms);

/* A join is put to the database, and it has been answered.  From one to the other nothing is sent, but
 * afterwards, with `pos` as the position.  Who has joined counts as seated, though nothing is sent before
 * rt_meeting_enter(). */
void rt_meeting_expect(struct rt_meetings *ms, const char *id, struct rt_client *c);
void rt_meeting_settle(struct rt_meetings *ms, const char *id, struct rt_client *c, bool joined, uint64_t pos);

/* The client acts for a participant; for another one than before, if it did. */
void rt_meeting_enter(struct rt_meetings *ms, const char *id, struct rt_client *c, const char *participant);
/* No longer, if it is this participant; NULL: whichever. */
void rt_meeting_leave(struct rt_meetings *ms, const char *id, struct rt_client *c, const char *participant);
void rt_meeting_close(struct rt_meetings *ms, const char *id); /* everybody leaves */
void rt_meetings_leave_all(struct rt_meetings *ms, struct rt_client *c);
/* Leaves those for whose participant the object has another socket than the client's, or none. */
void rt_meetings_review(struct rt_meetings *ms, struct rt_client *c, const json_t *participants);
bool rt_meeting_is_seated(const struct rt_meetings *ms, const char *id, const struct rt_client *c);

/* participants: an array of ids; NULL: to all.  except: NULL, or the socket that gets nothing. */
void rt_meeting_send(struct rt_meetings *ms, const char *id, const json_t *participants, struct rt_frame *f,
					 const struct rt_socket *except);

#endif
