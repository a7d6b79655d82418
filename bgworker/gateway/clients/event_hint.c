/* event_hint.c: see event_hint.h.
 *
 * The names are those that other chat servers, tutorials and first attempts use.  Each is compared without case and
 * separators: "sendMessage", "send_message" and "send-message" are one. */
#include "event_hint.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/gateway/text/utf8.h"

#define NAME_SHOWN_BYTES 64
#define NAME_COMPARED_BYTES 40

#define SEND "Send a message by POST /api/chat/rooms/:roomId/msgs"
#define HISTORY "Read messages by GET /api/chat/rooms/:roomId/msgs, or by the event sync-rooms"
#define JOIN "Join rooms by the event join-chat-rooms { roomIds: [...] }"
#define TOKEN "The token belongs to the connection: io(url, { auth: { token } })"
#define REACT "React by PUT /api/chat/rooms/:roomId/msgs/:messageId/reactions/:emoji"
#define ROOMS "Rooms are created and listed by POST and GET /api/chat/rooms"
#define READ \
	"Mark messages by the event mark-msgs-seen { roomId, messageIds: [...] }, or by PUT " \
	"/api/chat/rooms/:roomId/read"
#define SERVERS "Only the server sends this event; listen to it by socket.on()"

static const struct
{
	const char *name; /* squeezed */
	const char *hint;
} hints[] = {
	{"sendchatmessage", SEND},
	{"chatmessage", SEND},
	{"message", SEND},
	{"msg", SEND},
	{"sendmsg", SEND},
	{"sendroommessage", SEND},
	{"createmessage", SEND},
	{"postmessage", SEND},
	{"publish", SEND},
	{"broadcast", "Send your own events by rt.broadcast(room_id, event, payload) in SQL"},
	{"editmessage", "Edit a message by PATCH /api/chat/rooms/:roomId/msgs/:messageId"},
	{"updatemessage", "Edit a message by PATCH /api/chat/rooms/:roomId/msgs/:messageId"},
	{"editchatmessage", "Edit a message by PATCH /api/chat/rooms/:roomId/msgs/:messageId"},
	{"deletemessage", "Delete a message by DELETE /api/chat/rooms/:roomId/msgs/:messageId"},
	{"deletechatmessage", "Delete a message by DELETE /api/chat/rooms/:roomId/msgs/:messageId"},
	{"addreaction", REACT},
	{"removereaction", REACT},
	{"react", REACT},
	{"chatreaction", REACT},
	{"getmessages", HISTORY},
	{"getchatmessages", HISTORY},
	{"loadmessages", HISTORY},
	{"gethistory", HISTORY},
	{"history", HISTORY},
	{"join", JOIN},
	{"joinroom", JOIN},
	{"joinchat", JOIN},
	{"joinchatroom", JOIN},
	{"subscribe", JOIN},
	{"leave", "Leave a room by the event leave-chat-room { roomId }"},
	{"leaveroom", "Leave a room by the event leave-chat-room { roomId }"},
	{"unsubscribe", "Leave a room by the event leave-chat-room { roomId }"},
	{"createroom", ROOMS},
	{"getrooms", ROOMS},
	{"listrooms", ROOMS},
	{"markread", READ},
	{"markasread", READ},
	{"messageread", READ},
	{"seen", READ},
	{"authenticate", TOKEN},
	{"auth", TOKEN},
	{"login", TOKEN},
	{"createmeeting", "Create a meeting by POST /api/meetings"},
	{"starttyping", "Typing is the event chat-typing { roomId, isTyping }"},
	{"stoptyping", "Typing is the event chat-typing { roomId, isTyping }"},
	{"setstatus", "Set a status by the event update-chat-status { status }"},
	{"newchatmessage", SERVERS ". " SEND},
	{"chatusertyping", SERVERS ". Typing is the event chat-typing { roomId, isTyping }"},
	{"chatuserstatusupdate", SERVERS ". Set a status by the event update-chat-status { status }"},
	{"messagesseen", SERVERS ". " READ},
	{"chatroomsjoined", SERVERS ". " JOIN},
};

/* The letters and digits of a name, lower case. */
static void
squeeze(char out[NAME_COMPARED_BYTES + 1], const char *name)
{
	size_t n = 0;

	for (; *name != '\0' && n < NAME_COMPARED_BYTES; name++)
		if (isalnum((unsigned char) *name))
			out[n++] = (char) tolower((unsigned char) *name);
	out[n] = '\0';
}

static int
least(int a, int b, int c)
{
	int ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Levenshtein's distance, by rows of its table. */
int
rt_event_hint_distance(const char *name, const char *known, int limit)
{
	char x[NAME_COMPARED_BYTES + 1];
	char y[NAME_COMPARED_BYTES + 1];
	int row[NAME_COMPARED_BYTES + 1];
	int n;

	squeeze(x, name);
	squeeze(y, known);
	n = (int) strlen(y);
	if (limit > (int) strlen(x) / 3 + 1)
		limit = (int) strlen(x) / 3 + 1;
	if (x[0] == '\0' || abs((int) strlen(x) - n) >= limit)
		return RT_EVENT_HINT_FAR;
	for (int j = 0; j <= n; j++)
		row[j] = j;
	for (int i = 1; x[i - 1] != '\0'; i++)
	{
		int diagonal = row[0];

		row[0] = i;
		for (int j = 1; j <= n; j++)
		{
			int above = row[j];

			row[j] = least(above + 1, row[j - 1] + 1, diagonal + (x[i - 1] != y[j - 1]));
			diagonal = above;
		}
	}
	return row[n] < limit ? row[n] : RT_EVENT_HINT_FAR;
}

static const char *
find_hint(const char *name)
{
	char squeezed[NAME_COMPARED_BYTES + 1];

	squeeze(squeezed, name);
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (strcmp(hints[i].name, squeezed) == 0)
			return hints[i].hint;
	return NULL;
}

void
rt_event_hint_unknown(char out[RT_EVENT_HINT_BYTES], const char *name,
					  const char *(*near)(void *arg, const char *name), void *arg)
{
	const char *hint = find_hint(name);
	const char *known = hint == NULL ? near(arg, name) : NULL;
	int shown = (int) rt_utf8_cut(name, NAME_SHOWN_BYTES);

	if (hint != NULL)
		snprintf(out, RT_EVENT_HINT_BYTES, "Unknown event \"%.*s\". %s", shown, name, hint);
	else if (known != NULL)
		snprintf(out, RT_EVENT_HINT_BYTES, "Unknown event \"%.*s\". Is it \"%s\"?", shown, name, known);
	else
		snprintf(out, RT_EVENT_HINT_BYTES, "Unknown event \"%.*s\"", shown, name);
}
