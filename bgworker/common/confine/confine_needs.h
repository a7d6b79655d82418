/* confine_needs.h: what confine.c asks confine_landlock.c and confine_syscalls.c to leave open. */
#ifndef RT_CONFINE_NEEDS_H
#define RT_CONFINE_NEEDS_H

#include <stdbool.h>

#define RT_CONFINE_PORTS 16
#define RT_CONFINE_FILES 16

/* What connecting to the database takes, as read from its connection string. */
struct rt_confine_needs
{
	bool any_target;             /* it cannot be told: a service file, say */
	bool names;                  /* a host has to be looked up */
	bool unix_sockets;           /* the server is reached by one */
	bool abstract_sockets;       /* by one that is no file */
	int ports[RT_CONFINE_PORTS]; /* of TCP */
	int nports;
	const char *files[RT_CONFINE_FILES]; /* certificates and the like; lent */
	int nfiles;
	bool own_host; /* the working directory is no server's data directory */
};

#endif
