/* settings.c: the table of settings rt.*.  One row each: from it the GUCs are defined, and the object is written
 * that the supervisor hands to the programs.  What a string may be is settings_check.c's to say.
 *
 * rt_settings_define() runs as the library is loaded, in the postmaster or in a session; rt_settings_json() in
 * the supervisor, which writes into the caller's buffer.  Both may raise; neither takes a lock. */
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

static const struct config_enum_entry ice_policies[] = {
	{"all", RT_ICE_ALL, false},
	{"relay", RT_ICE_RELAY, false},
	{NULL, 0, false},
};

/* "on" and "off" as a boolean setting has them. */
static const struct config_enum_entry adders[] = {
	{"anyone", 0, false}, {"contacts", 1, false}, {"invitation", 2, false}, {NULL, 0, false}};

static const struct config_enum_entry early_releases[] = {
	{"off", RT_EARLY_OFF, false},  {"local", RT_EARLY_LOCAL, false},
	{"on", RT_EARLY_ON, false},    {"true", RT_EARLY_ON, true},
	{"false", RT_EARLY_OFF, true}, {"yes", RT_EARLY_ON, true},
	{"no", RT_EARLY_OFF, true},    {"1", RT_EARLY_ON, true},
	{"0", RT_EARLY_OFF, true},     {NULL, 0, false},
};

/* clang-format off */
static const struct int_setting int_settings[] = {
	{"rt.max_databases", &rt_max_databases, 4, 1, 64, PGC_POSTMASTER, 0, NOT_TOLD,
	 "Sets the maximum number of databases that rt serves.",
	 "Each database uses rt.ring_size of shared memory and two of max_worker_processes."},
	{"rt.ring_size", &rt_ring_size_kb, 4096, 64, 1048576, PGC_POSTMASTER, GUC_UNIT_KB, NOT_TOLD,
	 "Sets the size of each database's ring, which holds committed events until the relay reads them.",
	 "Writers do not wait when the ring is full. The relay then reads the messages from the table, which takes longer."},
	{"rt.port", &rt_port, 4501, 1, HIGHEST_PORT, PGC_SIGHUP, 0, TOLD,
	 "Sets the TCP port of the gateway.",
	 "An entry name:port in rt.databases sets the port for one database."},
	{"rt.gateway_workers", &rt_gateway_workers, 1, 0, MAX_WORKERS, PGC_SIGHUP, 0, TOLD,
	 "Sets the number of gateway processes for each database.",
	 "The processes share the port. Set 0 if the gateway runs on another host."},
	{"rt.media_workers", &rt_media_workers, 1, 0, MAX_WORKERS, PGC_SIGHUP, 0, TOLD,
	 "Sets the number of processes that forward audio and video for each database.",
	 "Worker n listens on rt.media_port + n. With 0, meetings have no audio or video."},
	{"rt.media_port", &rt_media_port, 4502, 1, HIGHEST_PORT - MAX_WORKERS + 1, PGC_SIGHUP, 0, TOLD,
	 "Sets the UDP and TCP port of the first media process.",
	 "An entry name:port:media_port in rt.databases sets the port for one database."},
	{"rt.connect_timeout", &rt_connect_timeout_ms, 10000, 100, 600000, PGC_SIGHUP, GUC_UNIT_MS, TOLD,
	 "Sets how long a client may take to send its CONNECT packet.",
	 "The gateway closes the connection after that."},
	{"rt.hsts_max_age", &rt_hsts_max_age_s, 31536000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S, TOLD,
	 "Sets how long browsers use only TLS for the gateway's host (Strict-Transport-Security).",
	 "The gateway sends the header only if rt.ssl_cert_file is set. 0 disables it."},
	{"rt.ping_interval", &rt_ping_interval_ms, 25000, 100, 3600000, PGC_SIGHUP, GUC_UNIT_MS, TOLD,
	 "Sets the time between two heartbeats to a client.", NULL},
	{"rt.ping_timeout", &rt_ping_timeout_ms, 20000, 100, 3600000, PGC_SIGHUP, GUC_UNIT_MS, TOLD,
	 "Sets how long a client may take to answer a heartbeat.",
	 "The gateway disconnects the client after that."},
	{"rt.presence_grace", &rt_presence_grace_ms, 2000, 0, 5000, PGC_SIGHUP, GUC_UNIT_MS, TOLD,
	 "Sets how long a user stays online after the last connection closes.", NULL},
	{"rt.meeting_grace", &rt_meeting_grace_ms, 15000, 0, 600000, PGC_SIGHUP, GUC_UNIT_MS, TOLD,
	 "Sets how long a participant stays in a meeting after the connection drops.", NULL},
	{"rt.media_idle_timeout", &rt_media_idle_timeout_ms, 30000, 1000, 3600000, PGC_SIGHUP, GUC_UNIT_MS, TOLD,
	 "Sets how long a media transport may be silent before it is closed.", NULL},
	{"rt.media_max_cpu", &rt_media_max_cpu_percent, 85, 0, 100, PGC_SIGHUP, 0, TOLD,
	 "Sets the CPU use, in percent of a core, at which a media process refuses more streams.",
	 "Clients get the error full. 0 disables the limit."},
	{"rt.media_max_packets", &rt_media_max_packets, 0, 0, INT_MAX, PGC_SIGHUP, 0, TOLD,
	 "Sets the number of packets sent per second at which a media process refuses more streams.",
	 "Clients get the error full. 0 disables the limit."},
	{"rt.turn_lifetime", &rt_turn_lifetime_s, 86400, 60, 31536000, PGC_SIGHUP, GUC_UNIT_S, NOT_TOLD,
	 "Sets how long the credentials that clients get for rt.turn_urls are valid.",
	 "A TURN server asks for them when a client connects, so a call can last longer."},
	{"rt.recovery_window", &rt_recovery_window_s, 7200, 0, 2592000, PGC_SIGHUP, GUC_UNIT_S, TOLD,
	 "Sets how long events stay in rt.events for clients that reconnect.",
	 "For messages, set rt.retain_messages."},
	{"rt.token_ttl", &rt_token_ttl_s, 43200, 1, 31536000, PGC_SIGHUP, GUC_UNIT_S, TOLD,
	 "Sets how long a token is valid if it was issued without a lifetime.", NULL},
	{"rt.session_lifetime", &rt_session_lifetime_s, 2592000, 60, 315360000, PGC_SIGHUP, GUC_UNIT_S, NOT_TOLD,
	 "Sets how long after a login the user can refresh tokens.",
	 "After that the user has to log in again."},
	{"rt.retain_messages", &rt_retain_messages_s, 0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S, TOLD,
	 "Sets the age at which messages are permanently removed.",
	 "0 keeps them forever."},
	{"rt.retain_audit", &rt_retain_audit_s, 7776000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_S, NOT_TOLD,
	 "Sets the age at which rows of rt.audit are removed.",
	 "0 keeps them forever."},
	{"rt.max_payload", &rt_max_payload_bytes, 1000000, 1024, 100000000, PGC_SIGHUP, GUC_UNIT_BYTE, TOLD,
	 "Sets the maximum size of a packet or request body that the gateway accepts.", NULL},
	{"rt.max_message_size", &rt_max_message_size_bytes, 65536, 1, 10485760, PGC_SIGHUP, GUC_UNIT_BYTE, TOLD,
	 "Sets the maximum total size of a message's content and metadata.", NULL},
	{"rt.max_queued_bytes", &rt_max_queued_bytes, 1048576, 16384, 1073741823, PGC_SIGHUP, GUC_UNIT_BYTE, TOLD,
	 "Sets how much data the gateway queues for a client that reads too slowly.",
	 "The gateway disconnects a client that exceeds it."},
	{"rt.max_connections", &rt_max_connections, 20000, 1, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets the maximum number of clients per gateway process.", NULL},
	{"rt.max_connections_per_user", &rt_max_connections_per_user, 100, 1, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets the maximum number of connections per user and gateway process.", NULL},
	{"rt.max_meetings_per_user", &rt_max_meetings_per_user, 100, 1, 1000000, PGC_SIGHUP, 0, NOT_TOLD,
	 "Sets the maximum number of meetings that a user may own, not counting those that have ended.",
	 "The owner of the database can exceed it when creating meetings for a user."},
	{"rt.max_transports_per_user", &rt_max_transports_per_user, 64, 1, 1000000, PGC_SIGHUP, 0, NOT_TOLD,
	 "Sets the maximum number of media transports per user, across all meetings.", NULL},
	{"rt.max_producers_per_user", &rt_max_producers_per_user, 64, 1, 1000000, PGC_SIGHUP, 0, NOT_TOLD,
	 "Sets the maximum number of media streams that a user may send, across all meetings.", NULL},
	{"rt.max_consumers_per_user", &rt_max_consumers_per_user, 4000, 1, 1000000, PGC_SIGHUP, 0, NOT_TOLD,
	 "Sets the maximum number of media streams that a user may receive, across all meetings.", NULL},
	{"rt.presence_room_limit", &rt_presence_room_limit, 1000, 0, 1000000, PGC_SIGHUP, 0, NOT_TOLD,
	 "Sets the largest number of members of a room that tells them each other's status.",
	 "Larger rooms tell how many members are online, with chat-room-presence. 0: all rooms do."},
	{"rt.max_rooms_per_connection", &rt_max_rooms_per_connection, 10000, 1, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets the maximum number of rooms that one connection may join.", NULL},
	{"rt.db_connections", &rt_db_connections, 4, 1, 64, PGC_SIGHUP, 0, TOLD,
	 "Sets how many connections to the database a gateway process keeps for requests.",
	 "It opens the same number for sending messages, and half as many for slow requests (password checks and search). Two more listen and report."},
	{"rt.max_relay_wait", &rt_max_relay_wait_ms, 10000, 0, 3600000, PGC_SIGHUP, GUC_UNIT_MS, NOT_TOLD,
	 "Sets how long an event may wait for the relay, or all users for a locked table, before /readyz answers 503.",
	 "rt.stat_relay and rt.stat_locks show the wait and its cause. 0 disables the check."},
	{"rt.batch_interval", &rt_batch_interval_ms, 0, 0, 100, PGC_SIGHUP, GUC_UNIT_MS, NOT_TOLD,
	 "Sets the shortest time between two batches of events that the relay writes.",
	 "An event that comes later than this after the last batch does not wait. Each batch costs the relay a transaction, and wakes a connection of each gateway: under load, some milliseconds save processor time."},
	{"rt.watchdog_timeout", &rt_watchdog_timeout_ms, 10000, 0, 3600000, PGC_SIGHUP, GUC_UNIT_MS, NOT_TOLD,
	 "Sets how long a program may be silent before the supervisor restarts it.",
	 "The supervisor asks each program once a second whether it still works. A time that the machine or the supervisor stood still does not count. 0 disables the check."},
	{"rt.rate_messages", &rt_rate_messages, 200, 0, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets how many messages per second a user may send on average.",
	 "0 means no limit."},
	{"rt.rate_burst", &rt_rate_burst, 400, 1, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets how many messages a user may send in a burst.", NULL},
	{"rt.rate_events", &rt_rate_events, 500, 0, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets how many events per second a connection may send, and how many read requests per second a user may send.",
	 "0 means no limit."},
	{"rt.rate_logins", &rt_rate_logins, 120, 0, 1000000, PGC_SIGHUP, 0, TOLD,
	 "Sets how many password logins per minute one client address may attempt.",
	 "0 means no limit."},
};

static const struct string_setting string_settings[] = {
	{"rt.databases", &rt_databases, "", PGC_SIGHUP, 0, NOT_TOLD, rt_check_databases,
	 "Lists the databases to serve, as name[:port[:media_port]], separated by commas.",
	 "Empty: every database that has the extension. Put a name that contains a comma or a colon in double quotes."},
	{"rt.listen_addresses", &rt_listen_addresses, "localhost", PGC_SIGHUP, GUC_LIST_INPUT, TOLD, rt_check_listen_addresses,
	 "Lists the addresses that the gateway and the media processes listen on.",
	 "* means all addresses."},
	{"rt.media_announced_address", &rt_media_announced_address, "", PGC_SIGHUP, GUC_LIST_INPUT, TOLD,
	 rt_check_announced_address,
	 "Lists the addresses at which browsers reach the media processes, if they differ from rt.listen_addresses.",
	 "Set it behind network address translation."},
	{"rt.turn_urls", &rt_turn_urls, "", PGC_SIGHUP, GUC_LIST_INPUT, NOT_TOLD, rt_check_turn_urls,
	 "Lists the TURN servers that clients in meetings may use, such as turn:turn.example.com:3478?transport=udp.",
	 "Clients get credentials for them made with the secret in rt.turn_secret_file. For servers with fixed credentials use rt.ice_servers."},
	{"rt.turn_secret_file", &rt_turn_secret_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NOT_TOLD, rt_check_file,
	 "Sets the file with the secret that rt shares with the servers in rt.turn_urls: coturn's static-auth-secret.",
	 "Empty: clients are not told of rt.turn_urls. Each join reads the file again."},
	{"rt.conninfo", &rt_conninfo, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NOT_TOLD, rt_check_conninfo,
	 "Sets how the programs connect to this server, as a libpq connection string.",
	 "Empty: over the loopback address, with a password generated at each server start."},
	{"rt.conninfo_read", &rt_conninfo_read, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, TOLD, rt_check_conninfo,
	 "Names hot standbys that answer reads for the gateway, as a libpq connection string with one or several hosts.",
	 "What it leaves out is as in rt.conninfo. History, search, lists and sync-rooms go there once a standby has replayed what was "
	 "committed before. Empty: this server answers all."},
	{"rt.ssl_cert_file", &rt_ssl_cert_file, "", PGC_SIGHUP, 0, TOLD, rt_check_file,
	 "Sets the file with the gateway's certificate chain.",
	 "Empty: no TLS. A relative path starts at the data directory. Each reload reads the file again."},
	{"rt.ssl_key_file", &rt_ssl_key_file, "", PGC_SIGHUP, 0, TOLD, rt_check_file,
	 "Sets the file with the private key for rt.ssl_cert_file.", NULL},
	{"rt.ssl_min_protocol_version", &rt_ssl_min_protocol_version, "TLSv1.2", PGC_SIGHUP, 0, TOLD, rt_check_tls_version,
	 "Sets the minimum TLS version that the gateway accepts: TLSv1.2 or TLSv1.3.", NULL},
	{"rt.connect_sources", &rt_connect_sources, "", PGC_SIGHUP, GUC_LIST_INPUT, TOLD, rt_check_connect_sources,
	 "Lists the servers, besides the gateway, that the web application may connect to.",
	 "Entries are Content-Security-Policy sources, such as wss://other.example.com. Empty: only the gateway."},
	{"rt.cors_origins", &rt_cors_origins, "", PGC_SIGHUP, GUC_LIST_INPUT, TOLD, rt_check_cors_origins,
	 "Lists the other origins whose pages may use the gateway, such as https://app.example.com.",
	 "https://*.example.com matches all subdomains of example.com. Empty: none. * means all origins."},
	{"rt.oidc_issuer", &rt_oidc_issuer, "", PGC_SIGHUP, 0, TOLD, rt_check_oidc_issuer,
	 "Sets the OpenID Connect provider that the web application offers for signing in, such as "
	 "https://login.example.com/realms/main.",
	 "Add the provider with rt.add_issuer(), too. Empty: the application asks for a password only."},
	{"rt.oidc_client_id", &rt_oidc_client_id, "", PGC_SIGHUP, 0, TOLD, rt_check_oidc_client_id,
	 "Sets the application's client id at rt.oidc_issuer.",
	 "The provider must know it as a public client that uses PKCE, with the application's address as redirect URI."},
	{"rt.trusted_proxies", &rt_trusted_proxies, "", PGC_SIGHUP, GUC_LIST_INPUT, TOLD, rt_check_trusted_proxies,
	 "Lists the addresses and networks of reverse proxies whose X-Forwarded-For header the gateway trusts.",
	 "rt.rate_logins, rt.stat_connections and the log use the client's address from it. Empty: none is trusted."},
	{"rt.metrics_address", &rt_metrics_address, "", PGC_SIGHUP, 0, TOLD, rt_check_metrics_address,
	 "Sets a separate address:port for /metrics.",
	 "Empty: the gateway's port serves it. A port without an address means 127.0.0.1. Gateway process n listens on port + n."},
	{"rt.program_path", &rt_program_path, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NOT_TOLD, rt_check_program_path,
	 "Sets the directory of the programs rt_gateway and rt_media.",
	 "Empty: the server's library directory, where they are installed."},
	{"rt.version", &rt_version, RT_VERSION, PGC_INTERNAL, GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE, TOLD, NULL,
	 "Shows the version of the library.",
	 "The programs and the extension must have the same version."},
	{"rt.user_id", &rt_user_id, "", PGC_USERSET, 0, NOT_TOLD, rt_check_user_id,
	 "Sets the rt user on whose behalf the session acts.",
	 "Row-level security for members of rt_app uses it. Events name it as the user who acted."},
};

static const struct bool_setting bool_settings[] = {
	{"rt.require_2fa", &rt_require_2fa, false, PGC_SIGHUP, NOT_TOLD,
	 "Treats administrators without a second factor as ordinary users.",
	 "A user enables a second factor with POST /api/users/me/two-factor."},
	{"rt.confine", &rt_confine, true, PGC_SIGHUP, TOLD,
	 "Confines the running programs to the system calls, files and processes that they need.",
	 "Turn it off only if a platform's libraries need more."},
	{"rt.log_connections", &rt_log_connections, false, PGC_SIGHUP, TOLD,
	 "Logs each client that connects, is rejected, or disconnects.",
	 "Lines have the id in rt.stat_connections, the user and the address. At the end they also have the reason and the duration."},
	{"rt.serve_reference", &rt_serve_reference, true, PGC_SIGHUP, TOLD,
	 "Serves the descriptions of REST and events at /openapi.yaml and /asyncapi.yaml, and as a page at /reference.",
	 "They are the same on every server, and say nothing about yours."},
	{"rt.disconnect_on_token_expiry", &rt_disconnect_on_token_expiry, false, PGC_SIGHUP, TOLD,
	 "Closes a client's connection when its token expires.",
	 "A client with a new token reconnects by itself and misses no events."},
	{"rt.pooled_sessions", &rt_pooled_sessions, false, PGC_USERSET, NOT_TOLD,
	 "Says that a pooler gives the sessions to one client after another.",
	 "A SET rt.user_id that outlives its transaction then gets a warning. Set it for the roles that come through the pooler, by ALTER ROLE."},
	{"rt.notify_content", &rt_notify_content, true, PGC_SIGHUP, NOT_TOLD,
	 "Puts the content of events into notifications, which any role that may connect can read (LISTEN rt_events).",
	 "Off: notifications name the event only, and the gateways read its content from rt.events."},
	{"rt.suppress_events", &rt_suppress_events, false, PGC_SUSET, NOT_TOLD,
	 "Sends no events to clients for the session's changes.",
	 "Use it for imports. Messages still get numbers."},
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
		"rt.log_min_messages", "Sets the lowest level at which lines of rt's programs are logged.",
		"Lines are logged at the level of the same name, debug at LOG. The server's log_min_messages also applies.",
		&rt_log_min_messages, RT_LOG_MIN_LOG, log_levels, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("rt.ice_transport_policy", "Sets the iceTransportPolicy that clients in meetings use.",
							 "relay: media goes through the TURN servers only. all: also directly.",
							 &rt_ice_transport_policy, RT_ICE_ALL, ice_policies, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("rt.may_add_users", "Sets who may put a user into a room.",
							 "With contacts, only users who share a room with that user already. With invitation, "
							 "others invite, and the user "
							 "may accept. The owner of the database may always.",
							 &rt_may_add_users, 0, adders, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("rt.early_lock_release",
							 "Releases the locks of a transaction that sends messages before its commit is flushed.",
							 "Writers to one room then do not wait for one another's flush. local: not where a "
							 "commit also waits for standbys.",
							 &rt_early_lock_release, RT_EARLY_LOCAL, early_releases, PGC_USERSET, 0, NULL, NULL,
							 NULL);
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
rt_settings_json(StringInfo out, int port, int media_port, bool reads)
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

		if (s->told == NOT_TOLD || (s->variable == &rt_conninfo_read && !reads))
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
