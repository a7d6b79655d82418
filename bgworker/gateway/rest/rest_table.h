/* rest_table.h: what REST can do (the wire contract, section 4). */
#ifndef RT_REST_TABLE_H
#define RT_REST_TABLE_H

#include "bgworker/common/db/db.h"

#define RT_REST_OPEN 1     /* needs no token */
#define RT_REST_LOGIN 2    /* limited by rt.rate_logins an address */
#define RT_REST_SEND 4     /* a message for a room: grouped by send.c */
#define RT_REST_WRITES 8   /* limited by rt.rate_messages a user */
#define RT_REST_SESSION 16 /* is told the token's session */
#define RT_REST_READS 32   /* a hot standby may answer, see dbread.h */
#define RT_REST_ADMIN 64   /* is told whether the token's issuer may speak for administrators */
#define RT_REST_HEAVY 128  /* checks an account's password, see rt_db_call_heavy() */

struct rt_rest_def
{
	const char *method;
	const char *pattern; /* "/api/chat/rooms/:roomId/msgs|messages" */
	const char *fn;
	enum rt_db_lane lane;
	int flags;
};

const struct rt_rest_def *rt_rest_table(int *n);

#endif
