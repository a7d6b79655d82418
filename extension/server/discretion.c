/* discretion.c: keeps what clients send to the programs out of the server's log; see discretion.h.
 *
 * The programs call "SELECT rt_api.f($1::text, $2::jsonb)", and $2 may hold a password, a token, a second factor or
 * an ICE password.  A DBA who looks for slow statements must see the statement and not the value.  There are four
 * ways into the log:
 *
 * - Parameters: settings turn them off.  The programs' roles have these (bgworker/supervisor/role_settings.c), and
 * each session that calls gets them here, whatever is set for its role: a gateway on another host has a role of its
 * own.
 * - Plans (auto_explain): a custom plan has the values in it as constants.  Here such a statement is planned without
 *   them, as a generic plan is; where the request may hold a secret, so are the statements inside of the function.
 * - Details and context of an error: "Failing row contains (…)", "JSON data, line 1: …".  Left out here, for errors
 *   of data and of constraints.  The client gets them as ever.
 * - Refusals (SQLSTATE RT…): they are answers, which clients cause as often as they like, and are logged only where
 *   rt.log_min_messages asks for debug lines.
 *
 * Runs in every backend of a server that preloads the library.  Takes no lock, reads no catalog, raises nothing. */
#include "postgres.h"

#include "optimizer/planner.h"
#include "tcop/tcopprot.h"
#include "utils/elog.h"
#include "utils/guc.h"

#include "discretion.h"
#include "extension/config/settings.h"

#define CALL "SELECT rt_api."

/* Functions, by the beginnings of their names, whose requests or answers hold secrets. */
static const char *const SECRETIVE[] = {
	"auth",           "connect",        "guest_",       "keys",           "me(",
	"media_",         "meeting_create", "meeting_join", "meeting_update", "meeting_check_join",
	"meeting_webrtc", "password_",      "provision",    "session",        "two_factor_",
};

/* Not const only since ErrorData's field is not. */
static char hidden[] = "Values of a client's request are not logged.";

static planner_hook_type previous_planner_hook;
static emit_log_hook_type previous_emit_log_hook;

/* Whether the client's statement is a call of a program. */
static bool
is_call(void)
{
	return debug_query_string != NULL && strncmp(debug_query_string, CALL, strlen(CALL)) == 0;
}

static bool
may_hold_secret(void)
{
	const char *function = debug_query_string + strlen(CALL);

	for (size_t i = 0; i < lengthof(SECRETIVE); i++)
	{
		if (strncmp(function, SECRETIVE[i], strlen(SECRETIVE[i])) == 0)
			return true;
	}
	return false;
}

/* The statement itself, which the server plans from the very text that it shows as the session's, or one inside. */
static bool
is_to_hide(const char *query)
{
	return is_call() && (query == debug_query_string || may_hold_secret());
}

/* Known to this server or not; what a session has set by itself is a superuser's, and stays.  As a default of the
 * session, which no rollback takes back. */
static void
turn_parameters_off(void)
{
	static const char *const OFF[][2] = {{"log_parameter_max_length", "0"},
										 {"log_parameter_max_length_on_error", "0"},
										 {"pgaudit.log_parameter", "off"},
										 {"auto_explain.log_parameter_max_length", "0"}};

	for (int i = 0; i < lengthof(OFF); i++)
	{
		const char *value = GetConfigOption(OFF[i][0], true, false);

		if (value != NULL && strcmp(value, OFF[i][1]) != 0)
			SetConfigOption(OFF[i][0], OFF[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	}
}

static PlannedStmt *
on_plan(Query *parse, const char *query, int cursor_options, ParamListInfo params)
{
	if (query == debug_query_string && is_call())
		turn_parameters_off();
	if (params != NULL && is_to_hide(query))
		params = NULL;
	if (previous_planner_hook != NULL)
		return previous_planner_hook(parse, query, cursor_options, params);
	return standard_planner(parse, query, cursor_options, params);
}

static bool
is_of_class(int code, const char *class)
{
	return (code & 0xfff) == (PGSIXBIT(class[0]) | PGSIXBIT(class[1]) << 6);
}

static void
on_log(ErrorData *e)
{
	if (previous_emit_log_hook != NULL)
		previous_emit_log_hook(e);
	if (e->elevel != ERROR || !is_call())
		return;
	if (is_of_class(e->sqlerrcode, "RT") && rt_log_min_messages > RT_LOG_MIN_DEBUG)
		e->output_to_server = false;
	/* What is for the log alone: the client's detail and context stay. */
	if (is_of_class(e->sqlerrcode, "22") || is_of_class(e->sqlerrcode, "23"))
	{
		e->hide_ctx = true;
		if (e->detail != NULL || e->detail_log != NULL)
			e->detail_log = hidden;
	}
}

void
rt_discretion_install(void)
{
	previous_planner_hook = planner_hook;
	planner_hook = on_plan;
	previous_emit_log_hook = emit_log_hook;
	emit_log_hook = on_log;
}
