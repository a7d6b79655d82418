/* rest_table.c: see rest_table.h.  A new path is a line here and a function in rt_api; rest.c knows none of them. The
 * first line whose path and method fit counts. */
#include "rest_table.h"

#define ROOM "/api/chat/rooms/:roomId"
#define MESSAGES ROOM "/msgs|messages"
#define MESSAGE MESSAGES "/:messageId"
#define MEETING "/api/meetings/:meetingId"

static const struct rt_rest_def table[] = {
	{"POST", "/auth", "auth", RT_DB_SLOW, RT_REST_OPEN | RT_REST_LOGIN},
	{"POST", "/auth/refresh", "auth_refresh", RT_DB_FAST, RT_REST_SESSION},
	{"POST", "/auth/logout", "auth_logout", RT_DB_FAST, RT_REST_SESSION},

	{"GET", "/api/chat/rooms", "rooms_list", RT_DB_FAST, RT_REST_READS},
	{"POST", "/api/chat/rooms", "room_create", RT_DB_FAST, RT_REST_WRITES},
	{"GET", ROOM, "room_get", RT_DB_FAST, RT_REST_READS},
	{"PATCH", ROOM, "room_update", RT_DB_FAST, RT_REST_WRITES},
	{"DELETE", ROOM, "room_delete", RT_DB_FAST, RT_REST_WRITES},
	{"PUT", ROOM "/read", "room_read", RT_DB_FAST, RT_REST_WRITES},
	{"PUT", ROOM "/notifications", "room_notifications", RT_DB_FAST, RT_REST_WRITES},
	{"GET", ROOM "/pins", "pins_list", RT_DB_FAST, RT_REST_READS},
	{"GET", ROOM "/members", "members_list", RT_DB_FAST, RT_REST_READS},
	{"POST", ROOM "/members", "members_add", RT_DB_FAST, RT_REST_WRITES},
	{"PATCH", ROOM "/members/:userId", "member_role", RT_DB_FAST, RT_REST_WRITES},
	{"DELETE", ROOM "/members/:userId", "member_remove", RT_DB_FAST, RT_REST_WRITES},

	{"GET", MESSAGES, "message_list", RT_DB_FAST, RT_REST_READS},
	{"POST", MESSAGES, "message_send", RT_DB_FAST, RT_REST_SEND | RT_REST_WRITES},
	{"GET", MESSAGE, "message_get", RT_DB_FAST, RT_REST_READS},
	{"PATCH", MESSAGE, "message_edit", RT_DB_FAST, RT_REST_WRITES},
	{"DELETE", MESSAGE, "message_delete", RT_DB_FAST, RT_REST_WRITES},
	{"PUT", MESSAGE "/reactions/:emoji", "reaction_add", RT_DB_FAST, RT_REST_WRITES},
	{"DELETE", MESSAGE "/reactions/:emoji", "reaction_remove", RT_DB_FAST, RT_REST_WRITES},
	{"PUT", MESSAGE "/pin", "pin_add", RT_DB_FAST, RT_REST_WRITES},
	{"DELETE", MESSAGE "/pin", "pin_remove", RT_DB_FAST, RT_REST_WRITES},
	{"GET", MESSAGE "/replies", "replies_list", RT_DB_FAST, RT_REST_READS},
	{"PUT", MESSAGE "/delivered", "message_delivered", RT_DB_FAST, RT_REST_WRITES},
	{"GET", MESSAGE "/receipts", "receipts", RT_DB_FAST, RT_REST_READS},
	{"GET", "/api/chat/search", "search", RT_DB_SLOW, RT_REST_READS},

	{"GET", "/api/users/me", "me", RT_DB_FAST, RT_REST_ADMIN},
	{"GET", "/api/users/me/blocks", "blocks_list", RT_DB_FAST, 0},
	{"PUT", "/api/users/me/blocks/:userId", "block_add", RT_DB_FAST, RT_REST_WRITES},
	{"DELETE", "/api/users/me/blocks/:userId", "block_remove", RT_DB_FAST, RT_REST_WRITES},
	{"GET", "/api/users/me/invitations", "invitations_list", RT_DB_FAST, 0},
	{"POST", "/api/users/me/invitations/:roomId/accept", "invitation_accept", RT_DB_FAST, RT_REST_WRITES},
	{"DELETE", "/api/users/me/invitations/:roomId", "invitation_decline", RT_DB_FAST, RT_REST_WRITES},
	{"GET", "/api/users/me/sessions", "sessions_list", RT_DB_FAST, RT_REST_SESSION},
	{"DELETE", "/api/users/me/sessions/:sessionId", "session_delete", RT_DB_FAST, RT_REST_WRITES},
	{"PUT", "/api/users/me/password", "password_change", RT_DB_SLOW,
	 RT_REST_WRITES | RT_REST_SESSION | RT_REST_HEAVY},
	{"POST", "/api/users/me/two-factor", "two_factor_start", RT_DB_FAST, RT_REST_WRITES},
	{"PUT", "/api/users/me/two-factor", "two_factor_confirm", RT_DB_FAST, RT_REST_WRITES},
	{"DELETE", "/api/users/me/two-factor", "two_factor_end", RT_DB_SLOW, RT_REST_WRITES | RT_REST_HEAVY},
	{"GET", "/api/users", "users_search", RT_DB_FAST, RT_REST_READS},

	{"GET", "/api/meetings", "meetings_list", RT_DB_FAST, RT_REST_READS},
	{"POST", "/api/meetings", "meeting_create", RT_DB_SLOW, RT_REST_WRITES},
	{"GET", MEETING, "meeting_get", RT_DB_FAST, 0},
	{"PATCH", MEETING, "meeting_update", RT_DB_SLOW, RT_REST_WRITES},
	{"DELETE", MEETING, "meeting_delete", RT_DB_FAST, RT_REST_WRITES},
	{"POST", MEETING "/start", "meeting_start", RT_DB_FAST, RT_REST_WRITES},
	{"POST", MEETING "/end", "meeting_end", RT_DB_FAST, RT_REST_WRITES},
	{"POST", MEETING "/join", "meeting_check_join", RT_DB_SLOW, RT_REST_WRITES},
	{"POST", MEETING "/guests", "guest_create", RT_DB_SLOW, RT_REST_OPEN | RT_REST_LOGIN},
	{"GET", MEETING "/participants", "meeting_participants", RT_DB_FAST, 0},
	{"GET", MEETING "/messages", "meeting_messages", RT_DB_FAST, RT_REST_READS},
	{"GET", MEETING "/webrtc-config", "meeting_webrtc_config", RT_DB_FAST, 0},
	{"GET", MEETING "/recordings", "meeting_recordings", RT_DB_FAST, 0},

	{"GET", "/api/admin/stats", "admin_stats", RT_DB_SLOW, RT_REST_ADMIN},
	{"DELETE", "/api/admin/users/:userId/connections", "admin_disconnect", RT_DB_FAST,
	 RT_REST_WRITES | RT_REST_ADMIN},
	{"POST", "/api/admin/meetings/:meetingId/end", "admin_end_meeting", RT_DB_FAST, RT_REST_WRITES | RT_REST_ADMIN},
};

const struct rt_rest_def *
rt_rest_table(int *n)
{
	*n = (int) (sizeof(table) / sizeof(table[0]));
	return table;
}
