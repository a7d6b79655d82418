/* rest_hint.c: see rest_hint.h.  Works on text alone. */
#include "rest_hint.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "bgworker/gateway/text/span.h"
#include "bgworker/gateway/text/utf8.h"
#include "rest_request.h"

#define PATH_SHOWN_BYTES 120

/* Beginnings of paths that people try, and where what they look for is. */
static const struct
{
	const char *prefix;
	const char *hint;
} moved[] = {
	{"/auth/login", "Log in by POST /auth { username, password }"},
	{"/login", "Log in by POST /auth { username, password }"},
	{"/api/auth", "Log in by POST /auth { username, password }"},
	{"/api/login", "Log in by POST /auth { username, password }"},
	{"/token", "Log in by POST /auth { username, password }"},
	{"/api/rooms", "Rooms are at /api/chat/rooms"},
	{"/rooms", "Rooms are at /api/chat/rooms"},
	{"/chat/rooms", "Rooms are at /api/chat/rooms"},
	{"/api/chat/messages", "Messages are at /api/chat/rooms/:roomId/msgs"},
	{"/api/messages", "Messages are at /api/chat/rooms/:roomId/msgs"},
	{"/api/chat/users", "Users are at /api/users"},
	{"/users", "Users are at /api/users"},
	{"/api/me", "The caller is at /api/users/me"},
	{"/meetings", "Meetings are at /api/meetings"},
	{"/api/chat/meetings", "Meetings are at /api/meetings"},
};

static const char *
moved_to(const char *path)
{
	for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]); i++)
	{
		size_t len = strlen(moved[i].prefix);

		if (strncmp(path, moved[i].prefix, len) == 0 && (path[len] == '\0' || path[len] == '/'))
			return moved[i].hint;
	}
	return NULL;
}

void
rt_rest_hint_path(char out[RT_REST_HINT_BYTES], const char *path)
{
	size_t len = strlen(path);
	const char *hint = moved_to(path);

	if (hint == NULL && len > 1 && path[len - 1] == '/')
		hint = "Leave out the slash at the end";
	snprintf(out, RT_REST_HINT_BYTES, hint == NULL ? "No such path: %.*s" : "No such path: %.*s. %s",
			 (int) rt_utf8_cut(path, PATH_SHOWN_BYTES), path, hint);
}

static bool
has_token_key(const char *query)
{
	for (; *query != '\0'; query += strcspn(query, "&"), query += *query == '&')
		if (strncmp(query, "token=", 6) == 0 || strncmp(query, "access_token=", 13) == 0)
			return true;
	return false;
}

const char *
rt_rest_hint_token(const char *authorization, const char *query)
{
	if (authorization == NULL || *authorization == '\0')
		return has_token_key(query)
				   ? "REST takes no token from the query; send the header \"Authorization: Bearer <token>\""
				   : "send the header \"Authorization: Bearer <token>\"";
	if (strncasecmp(authorization, "Bearer ", 7) != 0)
		return "the header must be \"Authorization: Bearer <token>\"";
	return NULL;
}

static bool
is_json_type(const char *content_type)
{
	return content_type == NULL || strncasecmp(content_type, "application/json", 16) == 0;
}

const char *
rt_rest_hint_form(const char *content_type, const char *body, size_t len)
{
	while (len > 0 && rt_span_is_space(*body))
	{
		body++;
		len--;
	}
	if (len == 0 || rt_rest_request_is_object(body, len))
		return "The path and query must be correctly percent-encoded UTF-8";
	if (!is_json_type(content_type))
		return "The body must be a JSON object, with Content-Type: application/json";
	if (*body == '[')
		return "The body must be a JSON object, not an array";
	if (*body == '"')
		return "The body must be a JSON object, not a string: it was encoded twice";
	return "The body must be a JSON object: it cannot be parsed";
}
