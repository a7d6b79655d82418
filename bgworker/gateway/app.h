/* app.h: the modules of the program, so that one finds another.  main.c makes them and owns them. */
#ifndef RT_APP_H
#define RT_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_auth;
struct rt_bus;
struct rt_conf;
struct rt_db;
struct rt_drain;
struct rt_expiry;
struct rt_http_router;
struct rt_joins;
struct rt_loop;
struct rt_meetings;
struct rt_presence;
struct rt_rates;
struct rt_recent;
struct rt_recoveries;
struct rt_replay;
struct rt_report;
struct rt_rest;
struct rt_roaming;
struct rt_rooms;
struct rt_send;
struct rt_entries;
struct rt_signals;
struct rt_sockets;
struct rt_stat;
struct rt_sweep;
struct rt_network;
struct rt_typings;
struct rt_users;

struct rt_app
{
	struct rt_loop *loop;
	struct rt_conf *conf;
	struct rt_db *db;
	struct rt_network *network;
	struct rt_sockets *sockets;    /* of network */
	struct rt_http_router *router; /* of network */
	struct rt_auth *auth;
	struct rt_users *users;
	struct rt_rooms *rooms;
	struct rt_roaming *roaming;
	struct rt_joins *joins;
	struct rt_recent *recent;
	struct rt_recoveries *recoveries;
	struct rt_replay *replay;
	struct rt_bus *bus;
	struct rt_entries *entries;
	struct rt_presence *presence;
	struct rt_typings *typings;
	struct rt_meetings *meetings;
	struct rt_signals *signals;
	struct rt_sweep *sweep;
	struct rt_send *send;
	struct rt_rest *rest;
	struct rt_rates *user_rates; /* of what users write, by REST and by events */
	struct rt_stat *stat;
	struct rt_report *report;
	struct rt_drain *drain;
	struct rt_expiry *expiry;
	char name[40]; /* of this gateway in the database, new at each start */
	bool draining; /* SIGTERM came: nothing new is begun */
};

#endif
