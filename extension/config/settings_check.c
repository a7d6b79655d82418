/* settings_check.c: checks the values of the string settings rt.*; see settings_check.h.  Lists are taken apart
 * by settings_list.c.
 *
 * The hooks run wherever a setting may be set: in the postmaster, in workers and in sessions, with or without a
 * transaction.  So they read no catalog, take no lock, and refuse by their result instead of raising.
 * rt_settings_compare() runs in the launcher, and only warns. */
#include "postgres.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/parallel.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "setting_values.h"
#include "settings_check.h"
#include "settings_list.h"

#define HIGHEST_PORT RT_SETTINGS_HIGHEST_PORT
#define MAX_WORKERS RT_SETTINGS_MAX_WORKERS
#define MAX_HOST_LEN 253
#define MAX_USER_ID_LEN 255

/* ---- addresses ---------------------------------------------------------------- */

static bool
is_ip(const char *text)
{
	unsigned char bytes[16];
	char address[INET6_ADDRSTRLEN];

	/* fe80::1%eth0 */
	strlcpy(address, text, Min(sizeof(address), strcspn(text, "%") + 1));
	return strcspn(text, "%") < sizeof(address) &&
		   (inet_pton(AF_INET, address, bytes) == 1 || inet_pton(AF_INET6, address, bytes) == 1);
}

/* What has nothing but digits and dots is meant as an address, and is none. */
static bool
is_host(const char *text)
{
	size_t len = strlen(text);

	if (is_ip(text))
		return true;
	for (const char *p = text; *p != '\0'; p++)
	{
		if (!isalnum((unsigned char) *p) && *p != '-' && *p != '.' && *p != '_')
			return false;
	}
	return len > 0 && len <= MAX_HOST_LEN && strspn(text, "0123456789.") < len;
}

static bool
is_listen_address(const char *item)
{
	return strcmp(item, "*") == 0 || is_host(item);
}

/* Where nobody can be reached there is nothing to announce. */
static bool
is_announced_address(const char *item)
{
	return is_host(item) && strcmp(item, "0.0.0.0") != 0 && strcmp(item, "::") != 0;
}

/* 10.0.0.0/8, or a single address. */
static bool
is_network(const char *item)
{
	char address[INET6_ADDRSTRLEN];
	size_t len = strcspn(item, "/");
	char *end;
	long bits;

	if (len >= sizeof(address))
		return false;
	strlcpy(address, item, len + 1);
	if (strchr(address, '%') != NULL || !is_ip(address))
		return false;
	if (item[len] == '\0')
		return true;
	if (!isdigit((unsigned char) item[len + 1]))
		return false;
	bits = strtol(item + len + 1, &end, 10);
	return *end == '\0' && bits <= (strchr(address, ':') != NULL ? 128 : 32);
}

static bool
is_origin(const char *item)
{
	const char *host = strstr(item, "://");

	if (strcmp(item, "*") == 0)
		return true;
	/* One star, for the labels in front of a domain. */
	if (host != NULL && strncmp(host + 3, "*.", 2) == 0)
		return host > item && host[5] != '\0' && host[5] != '.' && host[5] != ':' &&
			   strpbrk(host + 5, "/?#@*") == NULL;
	return host != NULL && host > item && host[3] != '\0' && strpbrk(host + 3, "/?#@*") == NULL;
}

/* Every item of the list must be without white space and quotes, and what accept() takes. */
static bool
check_list(const char *list, bool (*accept)(const char *item), const char *expected, const char *hint)
{
	StringInfoData item;
	const char *at = list;

	initStringInfo(&item);
	while (rt_settings_next_item(&at, &item))
	{
		if (item.len > 0 && strpbrk(item.data, " \t\r\n\"'\\") == NULL && accept(item.data))
			continue;
		GUC_check_errdetail("\"%s\" is not %s.", item.data, expected);
		GUC_check_errhint("%s", hint);
		return false;
	}
	return true;
}

bool
rt_check_listen_addresses(char **newval, void **extra, GucSource source)
{
	if (strspn(*newval, " \t") == strlen(*newval))
	{
		GUC_check_errdetail("The list of addresses is empty.");
		GUC_check_errhint("To listen on no address, set rt.gateway_workers and rt.media_workers to 0.");
		return false;
	}
	return check_list(*newval, is_listen_address, "an address or a host name",
					  "Separate multiple addresses with commas. Set ports in rt.port and rt.media_port.");
}

bool
rt_check_announced_address(char **newval, void **extra, GucSource source)
{
	return check_list(*newval, is_announced_address, "an address or a host name that a browser can reach",
					  "Separate multiple addresses with commas. Set the port in rt.media_port.");
}

bool
rt_check_trusted_proxies(char **newval, void **extra, GucSource source)
{
	return check_list(*newval, is_network, "an address or a network such as 10.0.0.0/8",
					  "Separate multiple values with commas. Host names are not accepted.");
}

/* What a source of a Content-Security-Policy may consist of, so that it ends neither the directive nor the header. */
static bool
is_source(const char *item)
{
	return item[strspn(item, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/.*-_[]")] == '\0' &&
		   strchr(item, ':') != NULL;
}

bool
rt_check_connect_sources(char **newval, void **extra, GucSource source)
{
	return check_list(*newval, is_source, "a source such as wss://other.example.com",
					  "Separate multiple sources with commas.");
}

bool
rt_check_cors_origins(char **newval, void **extra, GucSource source)
{
	return check_list(
		*newval, is_origin, "an origin such as https://app.example.com (without a path)",
		"Separate multiple origins with commas. https://*.example.com matches all subdomains of example.com.");
}

/* RFC 7065: turn:host[:port][?transport=udp|tcp] */
static bool
is_turn_url(const char *item)
{
	const char *host = strncmp(item, "turns:", 6) == 0 ? item + 6 : item + 5;
	const char *query = strchr(item, '?');

	if (strncmp(item, "turn:", 5) != 0 && strncmp(item, "turns:", 6) != 0)
		return false;
	if (query != NULL && strcmp(query, "?transport=udp") != 0 && strcmp(query, "?transport=tcp") != 0)
		return false;
	return host[0] != '\0' && host != query && strcspn(host, "/@#") == strlen(host);
}

bool
rt_check_turn_urls(char **newval, void **extra, GucSource source)
{
	return check_list(*newval, is_turn_url, "a URL such as turn:turn.example.com:3478?transport=udp",
					  "Separate multiple URLs with commas. Name the secret's file in rt.turn_secret_file.");
}

/* OpenID Connect Discovery 1.0, section 3: an issuer has neither a query nor a fragment.  Its origin becomes a source
 * of the Content-Security-Policy. */
bool
rt_check_oidc_issuer(char **newval, void **extra, GucSource source)
{
	const char *host = strstr(*newval, "://");

	if (**newval == '\0' ||
		((strncmp(*newval, "https://", 8) == 0 || strncmp(*newval, "http://", 7) == 0) && host[3] != '\0' &&
		 host[3] != '/' && strchr(host, '@') == NULL && strchr(host, '*') == NULL && is_source(*newval)))
		return true;
	GUC_check_errdetail("\"%s\" is not the URL of an OpenID Connect issuer.", *newval);
	GUC_check_errhint(
		"Set it as the provider writes it, such as https://login.example.com/realms/main, without a query.");
	return false;
}

bool
rt_check_oidc_client_id(char **newval, void **extra, GucSource source)
{
	for (const char *c = *newval; *c != '\0'; c++)
	{
		/* RFC 6749, appendix A.1: a client's id has visible ASCII characters and spaces. */
		if (*c < ' ' || *c > '~')
		{
			GUC_check_errdetail("A client id has visible ASCII characters and spaces only.");
			GUC_check_errhint("Copy the client id from the provider's configuration.");
			return false;
		}
	}
	return true;
}

/* host:port, [::1]:port, or a port alone. */
static bool
is_metrics_address(const char *text)
{
	const char *colon = strrchr(text, ':');
	const char *digits = colon == NULL ? text : colon + 1;
	char host[MAX_HOST_LEN + 3];
	size_t len = colon == NULL ? 0 : colon - text;
	char *end;
	long port;

	if (!isdigit((unsigned char) *digits) || len >= sizeof(host))
		return false;
	port = strtol(digits, &end, 10);
	if (*end != '\0' || port < 1 || port > HIGHEST_PORT - MAX_WORKERS + 1)
		return false;
	if (colon == NULL)
		return true;
	strlcpy(host, text, len + 1);
	if (len > 2 && host[0] == '[' && host[len - 1] == ']')
	{
		host[len - 1] = '\0';
		return strchr(host + 1, ':') != NULL && is_ip(host + 1);
	}
	return strchr(host, ':') == NULL && is_listen_address(host);
}

/* The default would put the figures on the gateway's own port, before everybody.  So at the server's start a wrong
 * value stays as well: the gateway then has none to show. */
bool
rt_check_metrics_address(char **newval, void **extra, GucSource source)
{
	if (**newval == '\0' || is_metrics_address(*newval) || InitializingParallelWorker)
		return true;
	if (process_shared_preload_libraries_in_progress)
	{
		ereport(WARNING, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						  errmsg("invalid value for parameter \"%s\": \"%s\"", "rt.metrics_address", *newval),
						  errdetail("Gateways serve no metrics until the value is corrected.")));
		return true;
	}
	GUC_check_errdetail("\"%s\" is not of the form address:port.", *newval);
	GUC_check_errhint("Examples: \"127.0.0.1:9187\", \"[::1]:9187\", \"*:9187\"; the port is at most %d.",
					  HIGHEST_PORT - MAX_WORKERS + 1);
	return false;
}

/* ---- databases ------------------------------------------------------------------ */

static bool
is_named_twice(List *list, const struct rt_served *served)
{
	ListCell *cell;

	foreach (cell, list)
	{
		if (strcmp(((struct rt_served *) lfirst(cell))->name, served->name) == 0)
			return true;
	}
	return false;
}

bool
rt_check_databases(char **newval, void **extra, GucSource source)
{
	StringInfoData item;
	const char *at = *newval;
	List *list = NIL;

	initStringInfo(&item);
	while (rt_settings_next_item(&at, &item))
	{
		struct rt_served *served = rt_settings_parse_served(item.data);

		if (served == NULL)
		{
			GUC_check_errdetail("\"%s\" is not of the form name[:port[:media_port]].", item.data);
			GUC_check_errhint(
				"Ports range from 1 to %d. Put a name that contains a comma or a colon in double quotes.",
				HIGHEST_PORT);
			return false;
		}
		if (is_named_twice(list, served))
		{
			GUC_check_errdetail("Database \"%s\" is listed twice.", served->name);
			return false;
		}
		list = lappend(list, served);
	}
	return true;
}

/* ---- connection strings --------------------------------------------------------- */

/* libpq's, which the server itself is not linked with. */
static const char *const conninfo_keys[] = {"host",
											"hostaddr",
											"port",
											"dbname",
											"user",
											"password",
											"passfile",
											"require_auth",
											"channel_binding",
											"connect_timeout",
											"client_encoding",
											"options",
											"application_name",
											"fallback_application_name",
											"keepalives",
											"keepalives_idle",
											"keepalives_interval",
											"keepalives_count",
											"tcp_user_timeout",
											"gssencmode",
											"sslmode",
											"requiressl",
											"sslnegotiation",
											"sslcompression",
											"sslcert",
											"sslkey",
											"sslkeylogfile",
											"sslpassword",
											"sslcertmode",
											"sslrootcert",
											"sslcrl",
											"sslcrldir",
											"sslsni",
											"requirepeer",
											"ssl_min_protocol_version",
											"ssl_max_protocol_version",
											"min_protocol_version",
											"max_protocol_version",
											"krbsrvname",
											"gsslib",
											"gssdelegation",
											"service",
											"servicefile",
											"target_session_attrs",
											"load_balance_hosts",
											"scram_client_key",
											"scram_server_key",
											"oauth_issuer",
											"oauth_client_id",
											"oauth_client_secret",
											"oauth_scope"};

static bool
is_conninfo_key(const char *key, size_t len)
{
	for (size_t i = 0; i < lengthof(conninfo_keys); i++)
	{
		if (strlen(conninfo_keys[i]) == len && strncmp(conninfo_keys[i], key, len) == 0)
			return true;
	}
	GUC_check_errdetail("There is no connection option \"%.*s\".", (int) len, key);
	return false;
}

static const char *
skip_space(const char *p)
{
	while (isspace((unsigned char) *p))
		p++;
	return p;
}

/* Behind a value, quoted or not.  NULL: its quote does not end. */
static const char *
skip_value(const char *p)
{
	bool quoted = *p == '\'';

	for (p += quoted; *p != '\0' && (quoted ? *p != '\'' : !isspace((unsigned char) *p)); p++)
	{
		if (*p == '\\' && p[1] != '\0')
			p++;
	}
	if (!quoted)
		return p;
	return *p == '\'' ? p + 1 : NULL;
}

static bool
is_key_value_string(const char *p)
{
	while (*(p = skip_space(p)) != '\0')
	{
		const char *key = p;
		size_t len = strcspn(p, "= \t\r\n\f\v");

		p = skip_space(p + len);
		if (*p != '=')
		{
			GUC_check_errdetail("There is no \"=\" after \"%.*s\".", (int) len, key);
			return false;
		}
		if (!is_conninfo_key(key, len))
			return false;
		p = skip_value(skip_space(p + 1));
		if (p == NULL)
		{
			GUC_check_errdetail("The quoted value of \"%.*s\" is not terminated.", (int) len, key);
			return false;
		}
	}
	return true;
}

/* What stands in it may be a password, so details quote keys alone. */
bool
rt_check_conninfo(char **newval, void **extra, GucSource source)
{
	if (strncmp(*newval, "postgresql://", strlen("postgresql://")) == 0 ||
		strncmp(*newval, "postgres://", strlen("postgres://")) == 0 || is_key_value_string(*newval))
		return true;
	GUC_check_errhint("Use a libpq connection string, such as \"host=/var/run/postgresql port=5432\".");
	return false;
}

/* ---- files ---------------------------------------------------------------------- */

/* Not while the server starts, since it must start without them as well; and never in a parallel worker, where a
 * refusal would be the query's. */
static bool
may_look_at_files(void)
{
	return !process_shared_preload_libraries_in_progress && !InitializingParallelWorker;
}

static bool
look_at(const char *path, bool folder, struct stat *seen)
{
	if (stat(path, seen) != 0 || access(path, folder ? X_OK : R_OK) != 0)
		GUC_check_errdetail("Could not access \"%s\": %m.", path);
	else if (folder ? !S_ISDIR(seen->st_mode) : !S_ISREG(seen->st_mode))
		GUC_check_errdetail("\"%s\" is not a %s.", path, folder ? "directory" : "regular file");
	else
		return true;
	return false;
}

bool
rt_check_file(char **newval, void **extra, GucSource source)
{
	struct stat seen;

	if (**newval == '\0' || !may_look_at_files() || look_at(*newval, false, &seen))
		return true;
	GUC_check_errhint("The server's operating system user must be able to read it. A relative path starts at the "
					  "data directory.");
	return false;
}

bool
rt_check_program_path(char **newval, void **extra, GucSource source)
{
	struct stat seen;

	if (**newval == '\0')
		return true;
	if (!is_absolute_path(*newval))
		GUC_check_errdetail("\"%s\" is not an absolute path.", *newval);
	else if (!may_look_at_files() || look_at(*newval, true, &seen))
		return true;
	GUC_check_errhint("Use the directory that contains rt_gateway and rt_media.");
	return false;
}

bool
rt_check_tls_version(char **newval, void **extra, GucSource source)
{
	if (strcmp(*newval, "TLSv1.2") == 0 || strcmp(*newval, "TLSv1.3") == 0)
		return true;
	GUC_check_errhint("Available values: TLSv1.2, TLSv1.3.");
	return false;
}

bool
rt_check_user_id(char **newval, void **extra, GucSource source)
{
	if (strlen(*newval) <= MAX_USER_ID_LEN)
		return true;
	GUC_check_errdetail("A user's id has at most %d bytes.", MAX_USER_ID_LEN);
	return false;
}

/* ---- one against another ----------------------------------------------------------- */

static void
warn(const char *message, const char *hint)
{
	ereport(WARNING, (errcode(ERRCODE_CONFIG_FILE_ERROR), errmsg("%s", message), errhint("%s", hint)));
}

/* What the server would not take as ssl_key_file. */
static bool
is_open_to_others(const char *path)
{
	struct stat seen;

	if (stat(path, &seen) != 0)
		return false;
	return (seen.st_mode & (S_IRWXO | S_IWGRP | S_IXGRP | (seen.st_uid == 0 ? 0 : S_IRGRP))) != 0;
}

void
rt_settings_compare(void)
{
	bool cert = rt_ssl_cert_file[0] != '\0';
	bool key = rt_ssl_key_file[0] != '\0';

	if (rt_max_message_size_bytes > rt_max_payload_bytes)
		warn("rt.max_payload is smaller than rt.max_message_size: the gateway rejects the largest messages",
			 "Increase rt.max_payload, or decrease rt.max_message_size.");
	if (rt_max_message_size_bytes > rt_max_queued_bytes)
		warn("rt.max_queued_bytes is smaller than rt.max_message_size: the largest messages disconnect clients",
			 "Increase rt.max_queued_bytes, or decrease rt.max_message_size.");
	/* An event takes half of the ring at the most, and in JSON it may be twice as long. */
	if (rt_max_message_size_bytes / 1024 > rt_ring_size_kb / 4)
		warn("rt.ring_size is smaller than four times rt.max_message_size: the largest events, such as those of "
			 "rt.broadcast(), are lost",
			 "Increase rt.ring_size, which requires a restart, or decrease rt.max_message_size.");
	if (rt_rate_messages > rt_rate_burst)
		warn("rt.rate_burst is smaller than rt.rate_messages: users cannot send rt.rate_messages in one second",
			 "Increase rt.rate_burst.");
	if (key && is_open_to_others(rt_ssl_key_file))
		warn("the file in rt.ssl_key_file is accessible to other users",
			 "Give it permissions u=rw (0600), or u=rw,g=r (0640) if root owns it.");
	if (cert != key)
		warn(cert ? "rt.ssl_cert_file is set, but rt.ssl_key_file is not: the gateway cannot start"
				  : "rt.ssl_key_file is set, but rt.ssl_cert_file is not: the gateway serves without TLS",
			 "Set both, or neither.");
}
