/* setting_values.h: the settings rt.*, as the server sees them.
 *
 * The variables are written by the server's GUC machinery alone.  Times are in the unit of the name. */
#ifndef RT_SETTING_VALUES_H
#define RT_SETTING_VALUES_H

#include "postgres.h"

#define RT_SETTINGS_MAX_WORKERS 32
#define RT_SETTINGS_HIGHEST_PORT 65535

/* RTCIceTransportPolicy */
enum rt_ice_policy
{
	RT_ICE_ALL,
	RT_ICE_RELAY
};

/* Of rt.early_lock_release: where nothing but the own disk is waited for, or standbys too. */
enum rt_early
{
	RT_EARLY_OFF,
	RT_EARLY_LOCAL,
	RT_EARLY_ON
};

/* In the order of the levels of bgworker/common/log.h. */
enum rt_log_min
{
	RT_LOG_MIN_DEBUG,
	RT_LOG_MIN_LOG,
	RT_LOG_MIN_WARNING,
	RT_LOG_MIN_ERROR
};

/* set at server start */
extern int rt_max_databases;
extern int rt_ring_size_kb;

/* reloaded with SIGHUP */
extern char *rt_databases;
extern char *rt_listen_addresses;
extern int rt_port;
extern int rt_gateway_workers;
extern int rt_media_workers;
extern int rt_media_port;
extern char *rt_media_announced_address;
extern char *rt_turn_urls;
extern char *rt_turn_secret_file;
extern int rt_turn_lifetime_s;
extern int rt_ice_transport_policy; /* enum rt_ice_policy */
extern char *rt_conninfo;
extern char *rt_ssl_cert_file;
extern char *rt_ssl_key_file;
extern char *rt_ssl_min_protocol_version;
extern char *rt_connect_sources;
extern char *rt_conninfo_read;
extern char *rt_cors_origins;
extern char *rt_oidc_issuer;
extern char *rt_oidc_client_id;
extern char *rt_metrics_address;
extern char *rt_program_path;
extern bool rt_confine;
extern int rt_connect_timeout_ms;
extern int rt_ping_interval_ms;
extern int rt_ping_timeout_ms;
extern int rt_presence_grace_ms;
extern int rt_meeting_grace_ms;
extern int rt_media_idle_timeout_ms;
extern int rt_media_max_cpu_percent;
extern int rt_media_max_packets;
extern int rt_recovery_window_s;
extern int rt_token_ttl_s;
extern int rt_session_lifetime_s;
extern bool rt_require_2fa;
extern int rt_retain_messages_s;
extern int rt_retain_audit_s;
extern int rt_hsts_max_age_s;
extern int rt_max_payload_bytes;
extern int rt_max_message_size_bytes;
extern int rt_max_queued_bytes;
extern int rt_max_connections;
extern int rt_max_connections_per_user;
extern int rt_max_meetings_per_user;
extern int rt_max_transports_per_user;
extern int rt_max_producers_per_user;
extern int rt_max_consumers_per_user;
extern int rt_max_rooms_per_connection;
extern int rt_presence_room_limit;
extern int rt_db_connections;
extern int rt_max_relay_wait_ms;
extern int rt_batch_interval_ms;
extern int rt_watchdog_timeout_ms;
extern int rt_rate_messages;
extern int rt_rate_burst;
extern int rt_rate_events;
extern int rt_rate_logins;

extern char *rt_trusted_proxies;
extern bool rt_log_connections;
extern bool rt_serve_reference;
extern bool rt_disconnect_on_token_expiry;
extern int rt_log_min_messages; /* enum rt_log_min */

/* of a session */
extern int rt_early_lock_release; /* enum rt_early */
extern bool rt_notify_content;
extern bool rt_pooled_sessions;
extern int rt_may_add_users; /* 0 anyone, 1 contacts, 2 invitation; SQL reads it */
extern bool rt_suppress_events;
extern char *rt_user_id;

#endif
