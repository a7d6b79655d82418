/* settings_check.h: what the string settings rt.* may be.  Check hooks of the server's GUC machinery, and the checks
 * of settings against one another, which no hook can make: hooks run in any order.
 *
 * A wrong value is refused where it is set (SET, ALTER SYSTEM, a reload), with a detail and a hint, and the old one
 * stays.  At the server's start there is no old one: the server warns, and takes the default. */
#ifndef RT_SETTINGS_CHECK_H
#define RT_SETTINGS_CHECK_H

#include "postgres.h"
#include "utils/guc.h"

extern bool rt_check_databases(char **newval, void **extra, GucSource source);
extern bool rt_check_listen_addresses(char **newval, void **extra, GucSource source);
extern bool rt_check_announced_address(char **newval, void **extra, GucSource source);
extern bool rt_check_metrics_address(char **newval, void **extra, GucSource source);
extern bool rt_check_trusted_proxies(char **newval, void **extra, GucSource source);
extern bool rt_check_connect_sources(char **newval, void **extra, GucSource source);
extern bool rt_check_turn_urls(char **newval, void **extra, GucSource source);
extern bool rt_check_cors_origins(char **newval, void **extra, GucSource source);
extern bool rt_check_oidc_issuer(char **newval, void **extra, GucSource source);
extern bool rt_check_oidc_client_id(char **newval, void **extra, GucSource source);
extern bool rt_check_conninfo(char **newval, void **extra, GucSource source);
extern bool rt_check_file(char **newval, void **extra, GucSource source);
extern bool rt_check_program_path(char **newval, void **extra, GucSource source);
extern bool rt_check_tls_version(char **newval, void **extra, GucSource source);
extern bool rt_check_user_id(char **newval, void **extra, GucSource source);

/* Logs a warning for each pair of settings of which one makes nonsense of the other. */
extern void rt_settings_compare(void);

#endif
