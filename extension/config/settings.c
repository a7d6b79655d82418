/* settings.c: the table of settings rt.*.  One row each: from it the GUCs are defined, and the object
 * is written that the supervisor hands to the programs.  What a string may be is settings_check.c's to say. */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/json.h"

#include "bgworker/common/version.h"
#include "settings.h"
#include "settings_check.h"

#define MAX_WORKERS RT_SETTINGS_MAX_WORKERS
#define HIGHEST_PORT RT_SETTINGS_HIGHEST_PORT

static char *rt_version;

/* Whether the programs are told. */
enum told
{
	NOT_TOLD,
	TOLD
};

struct int_setting
{
	const char *name;
	int *variable;
	int boot;
	int min;
	int max;
	GucContext context;
	int flags;
	enum told told;
	const char *summary;
	const char *detail;
};

struct string_setting
{
	const char *name;
	char **variable;
	const char *boot;
	GucContext context;
	int flags;
	enum told told;
	GucStringCheckHook check;
	const char *summary;
	const char *detail;
};

struct bool_setting
{
	const char *name;
	bool *variable;
	bool boot;
	GucContext context;
	enum told told;
	const char *summary;
	const char *detail;
};

static const struct config_enum_entry log_levels[] = {
	{"debug", RT_LOG_MIN_DEBUG, false},
	{"log", RT_LOG_MIN_LOG, false},
	{"warning", RT_LOG_MIN_WARNING, false},
	{"error", RT_LOG_MIN_ERROR, false},
	{NULL, 0, false},
};

/* clang-format off */
static const struct int_setting int_settings[] = {
	{"rt.max_databases", &rt_max_databases, 4, 1, 64, PGC_POSTMASTER, 0, NOT_TOLD,
	 "Sets the most databases that rt serves at a time.",
	 "Each takes rt.ring_size of shared memory and two of max_worker_processes."},
	{"rt.ring_size", &rt_ring_size_kb, 4096, 64, 1048576, PGC_POSTMASTER, GUC_UNIT_KB, NOT_TOLD,
	 "Sets the size of the ring, one for each database, that holds committed events until the relay has taken them.",
	 "A full ring makes no writer wait: the relay then finds the messages in the table, which takes longer."},
	{"rt.port", &rt_port, 4501, 1, HIGHEST_PORT, PGC_SIGHUP, 0, TOLD,
	 "Sets the TCP port of the gateway.",
	 "An entry name:port of rt.databases sets that of one database."},
	{"rt.gateway_workers", &rt_gateway_workers, 1, 0, MAX_WORKERS, PGC_SIGHUP, 0, TOLD,
	 "Sets the number of gateway processes for each database.",
	 "They share the port. With 0 there is none, for a gateway that runs on another host."},
	{"rt.media_workers", &rt_media_workers, 1, 0, MAX_WORKERS, PGC_SIGHUP, 0, TOLD,
	 "Sets the number of processes that forward audio and video for each database.",
	 "Worker n listens on rt.media_port + n. With 0 there are no meetings with media."},
	{"rt.media_port", &rt_media_port, 4502, 1, HIGHEST_PORT - MAX_WORKERS + 1, PGC_SIGHUP, 0, TOLD,
	 "Sets the UDP and TCP port of the first media process.",
	 "An entry name:port:media_port of rt.databases sets that of one database."},
	{"rt.connect_timeout", &rt_connect_timeout_ms, 10000, 100, 600000, PGC_SIGHUP, GUC_UNIT_MS, TOLD,
	 "Sets how long a client may take to send its CONNECT packet.",
	 "A connection that has not sent it by then is closed."},
	{"rt.hsts_max_age", &rt_hsts_max_age_s, 31536000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S, TOLD,
	 "Sets how long browsers reach the gateway's host by TLS alone, once they have (Strict-Transport-Security).",
	 "It is told if rt.ssl_cert_file is set. 0: it is not told."},
	{"rt.ping_interval", &rt_ping_interval_ms, 25000, 100, 3600000, PGC_SIGHUP, GUC_UNIT_MS, TOLD,
	 "Sets the time between two heartbeats to a client.", NULL},
	{"rt.ping_timeout", &rt_ping_timeout_ms, 20000, 100, 3600000, PGC_SIGHUP, GUC_UNIT_MS, TOLD,
	 "Sets how long a client may take to answer a heartbeat.",
	 "It is disconnected after that."},
	{"rt.presence_grace", &rt_presence_grace_ms, 2000, 0, 5000, PGC_SIGHUP, GUC_UNIT_MS, TOLD,
	 "Sets how long a user stays online after the last connection is gone.", NULL},
	{"rt.meeting_grace", &rt_meeting_grace_ms, 15000, 0, 600000, PGC_SIGHUP, GUC_UNIT_MS, TOLD,
	 "Sets how long a participant whose connection dropped keeps the place in a meeting.", NULL},
	{"rt.media_idle_timeout", &rt_media_idle_timeout_ms, 30000, 1000, 3600000, PGC_SIGHUP, GUC_UNIT_MS, TOLD,
	 "Sets how long a media transport may be silent before it is closed.", NULL},
	{"rt.recovery_window", &rt_recovery_window_s, 7200, 0, 2592000, PGC_SIGHUP, GUC_UNIT_S, TOLD,
	 "Sets how long an event stays in rt.events, for clients that come back.",
	 "It does not concern messages, which rt.retain_messages is for."},
	{"rt.token_ttl", &rt_token_ttl_s, 43200, 1, 31536000, PGC_SIGHUP, GUC_UNIT_S, TOLD,
	 "Sets how long a token is valid that was issued without a time of its own.", NULL},
	{"rt.session_lifetime", &rt_session_lifetime_s, 2592000, 60, 315360000, PGC_SIGHUP, GUC_UNIT_S, NOT_TOLD,
	 "Sets how long after a login its tokens can be refreshed.",
	 "After that the user has to log in again."},
	{"rt.retain_messages", &rt_retain_messages_s, 0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S, TOLD,
	 "Sets the age at which messages are removed for good.",
	 "0 keeps them for ever."},
	{"rt.retain_audit", &rt_retain_audit_s, 7776000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S, NOT_TOLD,
	 "Sets the age at which rows of rt.audit are removed.",
	 "0 keeps them for ever."},
	{"rt.max_payload", &rt_max_payload_bytes, 1000000, 1024, 100000000, PGC_SIGHUP, GUC_UNIT_BYTE, TOLD,
	 "Sets the size of the largest packet or request body that the gateway takes.", NULL},
	{"rt.max_message_size", &rt_max_message_size_bytes, 65536, 1, 10485760, PGC_SIGHUP, GUC_UNIT_BYTE, TOLD,
	 "Sets the most bytes that content and metadata of a message may have together.", NULL},
	{"rt.max_queued_bytes", &rt_max_queued_bytes, 1048576, 16384, 1073741823, PGC_SIGHUP, GUC_UNIT_BYTE, TOLD,
	 "Sets how much may wait in the gateway for one client that reads too slowly.",
	 "The client is cut off above that."},
	{"rt.max_connections", &rt_max_connections, 20000, 1, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets the most clients that a gateway process takes.", NULL},
	{"rt.max_connections_per_user", &rt_max_connections_per_user, 100, 1, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets the most connections of one user to a gateway process.", NULL},
	{"rt.max_meetings_per_user", &rt_max_meetings_per_user, 100, 1, 1000000, PGC_SIGHUP, 0, NOT_TOLD,
	 "Sets how many meetings that have not ended a user may own.",
	 "The owner of the database may make more in a user's name."},
	{"rt.max_transports_per_user", &rt_max_transports_per_user, 64, 1, 1000000, PGC_SIGHUP, 0, NOT_TOLD,
	 "Sets how many media transports a user may have, in all meetings.", NULL},
	{"rt.max_producers_per_user", &rt_max_producers_per_user, 64, 1, 1000000, PGC_SIGHUP, 0, NOT_TOLD,
	 "Sets how many media streams a user may send, in all meetings.", NULL},
	{"rt.max_rooms_per_connection", &rt_max_rooms_per_connection, 10000, 1, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets the most rooms that one connection may have joined.", NULL},
	{"rt.db_connections", &rt_db_connections, 4, 1, 64, PGC_SIGHUP, 0, TOLD,
	 "Sets how many connections to the database a gateway process keeps for requests.",
	 "It has as many again for sending messages, half as many for slow requests (password checks and search), one to listen and one to report."},
	{"rt.max_relay_wait", &rt_max_relay_wait_ms, 10000, 0, 3600000, PGC_SIGHUP, GUC_UNIT_MS, NOT_TOLD,
	 "Sets how long an event may wait for the relay before /readyz answers 503.",
	 "rt.stat_relay shows the wait and what it waits for. 0 turns this off."},
	{"rt.rate_messages", &rt_rate_messages, 200, 0, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets how many messages a second one user may send, in the long run.",
	 "0 means no limit."},
	{"rt.rate_burst", &rt_rate_burst, 400, 1, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets how many messages one user may send at once.", NULL},
	{"rt.rate_events", &rt_rate_events, 500, 0, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets how many events a second one connection may send, and how many reading requests one user.",
	 "0 means no limit."},
	{"rt.rate_logins", &rt_rate_logins, 120, 0, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets how many logins by password a minute one address may try.",
	 "0 means no limit."},
};

static const struct string_setting string_settings[] = {
	{"rt.databases", &rt_databases, "", PGC_SIGHUP, 0, NOT_TOLD, rt_check_databases,
	 "Lists the databases to serve, as name[:port[:media_port]], separated by commas.",
	 "Empty: every database that has the extension. A name with a comma or a colon is put in double quotes."},
	{"rt.listen_addresses", &rt_listen_addresses, "localhost", PGC_SIGHUP, GUC_LIST_INPUT, TOLD, rt_check_listen_addresses,
	 "Lists the addresses that the gateway and the media processes listen on.",
	 "* means all of them."},
	{"rt.media_announced_address", &rt_media_announced_address, "", PGC_SIGHUP, GUC_LIST_INPUT, TOLD,
	 rt_check_announced_address,
	 "Lists the addresses at which browsers reach the media processes, where they are not those they listen on.",
	 "Needed behind network address translation."},
	{"rt.conninfo", &rt_conninfo, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NOT_TOLD, rt_check_conninfo,
	 "Sets how the programs connect to this server, as a libpq connection string.",
	 "Empty: over the loopback address, with a password that is made at each server start."},
	{"rt.ssl_cert_file", &rt_ssl_cert_file, "", PGC_SIGHUP, 0, TOLD, rt_check_file,
	 "Sets the file with the gateway's certificate chain.",
	 "Empty: no TLS. A relative name is taken from the data directory. The file is read again at each reload."},
	{"rt.ssl_key_file", &rt_ssl_key_file, "", PGC_SIGHUP, 0, TOLD, rt_check_file,
	 "Sets the file with the key of rt.ssl_cert_file.", NULL},
	{"rt.ssl_min_protocol_version", &rt_ssl_min_protocol_version, "TLSv1.2", PGC_SIGHUP, 0, TOLD, rt_check_tls_version,
	 "Sets the oldest version of TLS that the gateway speaks: TLSv1.2 or TLSv1.3.", NULL},
	{"rt.connect_sources", &rt_connect_sources, "", PGC_SIGHUP, GUC_LIST_INPUT, TOLD, rt_check_connect_sources,
	 "Lists where the application that the gateway serves may connect to, beside the gateway itself.",
	 "Sources of a Content-Security-Policy, as wss://other.example.com. Empty: nowhere."},
	{"rt.cors_origins", &rt_cors_origins, "", PGC_SIGHUP, GUC_LIST_INPUT, TOLD, rt_check_cors_origins,
	 "Lists the foreign origins whose pages may use the gateway, as https://app.example.com.",
	 "https://*.example.com means all names below example.com. Empty: none. * means all of them."},
	{"rt.trusted_proxies", &rt_trusted_proxies, "", PGC_SIGHUP, GUC_LIST_INPUT, TOLD, rt_check_trusted_proxies,
	 "Lists the addresses and networks of reverse proxies whose X-Forwarded-For is believed.",
	 "The client's address counts for rt.rate_logins, rt.stat_connections and the log. Empty: none is believed."},
	{"rt.metrics_address", &rt_metrics_address, "", PGC_SIGHUP, 0, TOLD, rt_check_metrics_address,
	 "Sets an address:port for /metrics alone.",
	 "Empty: it is on the gateway's port. A port alone is on 127.0.0.1. Gateway process n listens on port + n."},
	{"rt.program_path", &rt_program_path, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NOT_TOLD, rt_check_program_path,
	 "Sets the folder of the programs rt_gateway and rt_media.",
	 "Empty: the server's library folder, where they are installed."},
	{"rt.version", &rt_version, RT_VERSION, PGC_INTERNAL, GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, TOLD, NULL,
	 "Shows the version of the library.",
	 "Programs and extension must be of the same one."},
	{"rt.user_id", &rt_user_id, "", PGC_USERSET, 0, NOT_TOLD, rt_check_user_id,
	 "Sets the user of rt for whom the session acts.",
	 "Row-level security for members of rt_app goes by it, and what events say of who did something."},
};

static const struct bool_setting bool_settings[] = {
	{"rt.require_2fa", &rt_require_2fa, false, PGC_SIGHUP, NOT_TOLD,
	 "Takes administrators without a second factor for ordinary users.",
	 "A user turns a second factor on with POST /api/users/me/two-factor."},
	{"rt.confine", &rt_confine, true, PGC_SIGHUP, TOLD,
	 "Takes from the programs what they do not need once they run: system calls, files, processes.",
	 "Off only where a platform's libraries need more."},
	{"rt.log_connections", &rt_log_connections, false, PGC_SIGHUP, TOLD,
	 "Logs each client that connects, is refused, or leaves.",
	 "With the id of rt.stat_connections, the user, the address, and at the end the reason and the time."},
	{"rt.disconnect_on_token_expiry", &rt_disconnect_on_token_expiry, false, PGC_SIGHUP, TOLD,
	 "Ends a client's connection when the token expires that it connected with.",
	 "A client that has a new token comes back by itself, and misses nothing."},
	{"rt.suppress_events", &rt_suppress_events, false, PGC_SUSET, NOT_TOLD,
	 "Keeps the session's changes from clients: no event leaves.",
	 "For imports. Messages are numbered all the same."},
};
/* clang-format on */

void
rt_settings_define(void)
{
	for (size_t i = 0; i < lengthof(int_settings); i++)
	{
		const struct int_setting *s = &int_settings[i];

		/* The server refuses these once it runs; a session that loads the library has no use for them. */
		if (s->context == PGC_POSTMASTER && !process_shared_preload_libraries_in_progress)
			continue;
		DefineCustomIntVariable(s->name, s->summary, s->detail, s->variable, s->boot, s->min, s->max, s->context,
								s->flags, NULL, NULL, NULL);
	}
	for (size_t i = 0; i < lengthof(string_settings); i++)
	{
		const struct string_setting *s = &string_settings[i];

		DefineCustomStringVariable(s->name, s->summary, s->detail, s->variable, s->boot, s->context, s->flags,
								   s->check, NULL, NULL);
	}
	for (size_t i = 0; i < lengthof(bool_settings); i++)
	{
		const struct bool_setting *s = &bool_settings[i];

		DefineCustomBoolVariable(s->name, s->summary, s->detail, s->variable, s->boot, s->context, 0, NULL, NULL,
								 NULL);
	}
	DefineCustomEnumVariable(
		"rt.log_min_messages", "Sets the least level of the lines of rt's programs that are logged.",
		"They are logged at the level of the same name, debug at LOG; the server's log_min_messages applies too.",
		&rt_log_min_messages, RT_LOG_MIN_LOG, log_levels, PGC_SIGHUP, 0, NULL, NULL, NULL);
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved("rt");
#else
	EmitWarningsOnPlaceholders("rt");
#endif
}

/* In milliseconds or bytes, if the setting has a unit. */
static int64
base_units(const struct int_setting *s, int value)
{
	switch (s->flags & GUC_UNIT)
	{
		case GUC_UNIT_S:
			return (int64) value * 1000;
		case GUC_UNIT_KB:
			return (int64) value * 1024;
		default:
			return value;
	}
}

static void
append_key(StringInfo out, const char *name)
{
	appendStringInfoString(out, out->data[out->len - 1] == '{' ? "\"" : ",\"");
	appendStringInfoString(out, name + strlen("rt."));
	appendStringInfoString(out, "\":");
}

void
rt_settings_json(StringInfo out, int port, int media_port)
{
	appendStringInfoChar(out, '{');
	for (size_t i = 0; i < lengthof(int_settings); i++)
	{
		const struct int_setting *s = &int_settings[i];
		int value = *s->variable;

		if (s->told == NOT_TOLD)
			continue;
		if (s->variable == &rt_port)
			value = port;
		else if (s->variable == &rt_media_port)
			value = media_port;
		append_key(out, s->name);
		appendStringInfo(out, INT64_FORMAT, base_units(s, value));
	}
	for (size_t i = 0; i < lengthof(string_settings); i++)
	{
		const struct string_setting *s = &string_settings[i];

		if (s->told == NOT_TOLD)
			continue;
		append_key(out, s->name);
		escape_json(out, *s->variable);
	}
	for (size_t i = 0; i < lengthof(bool_settings); i++)
	{
		const struct bool_setting *s = &bool_settings[i];

		if (s->told == NOT_TOLD)
			continue;
		append_key(out, s->name);
		appendStringInfoString(out, *s->variable ? "true" : "false");
	}
	append_key(out, "rt.log_min_messages");
	escape_json(out, log_levels[rt_log_min_messages].name);
	appendStringInfoChar(out, '}');
}
