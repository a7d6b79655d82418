/* Errors of the database as clients read them. */
#include "bgworker/common/db/dberror.h"

#include "tap.h"

#include <string.h>

static const char *
show(const char *message)
{
	static char out[64];

	rt_dberror_show(out, sizeof(out), message);
	return out;
}

static void
test_show(void)
{
	static char longer[200];

	ok(strcmp(show("meeting not found"), "Meeting not found") == 0, "a message begins with a capital");
	ok(strcmp(show("Access denied"), "Access denied") == 0, "one that does already stays");
	ok(strcmp(show("roomId is missing"), "roomId is missing") == 0, "a field's name keeps its case");
	ok(strcmp(show("gone"), "Gone") == 0, "one word is a message");
	ok(strcmp(show("metadata.mentions must be an array"), "metadata.mentions must be an array") == 0,
	   "so does a path");
	ok(strcmp(show("\"x\" is no id"), "\"x\" is no id") == 0, "a quoted value stays");
	ok(strcmp(show(""), "") == 0, "nothing stays nothing");
	memset(longer, 'a', sizeof(longer) - 1);
	ok(strlen(show(longer)) == 63, "a long one is cut");
}

static void
test_code(void)
{
	ok(strcmp(rt_dberror_code("RT4FU"), "full") == 0, "our own class");
	ok(strcmp(rt_dberror_code("23505"), "conflict") == 0, "a whole SQLSTATE");
	ok(strcmp(rt_dberror_code("22P02"), "bad_request") == 0, "a class");
	ok(strcmp(rt_dberror_code("XX000"), "internal") == 0, "anything else is ours");
}

int
main(void)
{
	test_show();
	test_code();
	return tap_done();
}
