/* session_settings.h: pairs of name and value that each session of ours has: the workers set them for themselves
 * (worker/session.c), the programs as they connect (dbconn.c), and the supervisor for the programs' roles
 * (supervisor/role_settings.c) and in their connection string (supervisor/credential.c).  What a DBA sets for people
 * would stop them: limits of time, read only, serializable, another way to read SQL. */
#ifndef RT_SESSION_SETTINGS_H
#define RT_SESSION_SETTINGS_H

/* clang-format off */
#define RT_SESSION_SETTINGS \
	{"idle_in_transaction_session_timeout", "0"}, \
	{"idle_session_timeout", "0"}, \
	{"default_transaction_read_only", "off"}, \
	{"default_transaction_isolation", "read committed"}, \
	{"default_transaction_deferrable", "off"}, \
	{"standard_conforming_strings", "on"}, \
	{"transform_null_equals", "off"}, \
	{"jit", "off"}

/* Known since PostgreSQL 17. */
#define RT_SESSION_SETTINGS_17 \
	{"transaction_timeout", "0"}

/* Of the programs alone: an error is an answer, and text is UTF-8. */
#define RT_PROGRAM_SETTINGS \
	{"search_path", "pg_catalog, pg_temp"}, \
	{"row_security", "on"}, \
	{"exit_on_error", "off"}, \
	{"client_encoding", "UTF8"}, \
	{"plpgsql.extra_errors", "none"}

/* Those that a program may not set for itself, or sets in its own way. */
#define RT_SERVER_SETTINGS \
	{"role", "none"}, \
	{"search_path", "pg_catalog, pg_temp"}, \
	{"statement_timeout", "0"}, \
	{"session_replication_role", "origin"}
/* clang-format on */

#endif
