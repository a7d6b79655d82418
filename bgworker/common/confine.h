/* confine.h: takes away from a program what it does not need, so that whoever takes it over gets little.  Both
 * programs call both functions; nothing that was taken away comes back before the process ends. */
#ifndef RT_CONFINE_H
#define RT_CONFINE_H

#include <stdbool.h>

/* First of all in main(): no core, no debugger of the same user, no new rights. */
void rt_confine_early(void);

/* Once everything is open: listeners, files, the loop.  What remains is serving, and connections to the database that
 * `conninfo` names.  Logs what is in force; what the kernel or the build lacks is a warning, not an end. */
void rt_confine(const char *conninfo);

/* ---- what confine.c asks its two halves for -------------------------------------------------- */

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
};

/* The Landlock ABI that is in force; 0: the kernel has none, -1: it failed (errno). */
int rt_confine_landlock(const struct rt_confine_needs *needs);

/* Later releases of libuv would enter the kernel by a ring, which no filter sees, and end when one that they have is
 * refused: a program that will be confined must find that there is none.  Before the loop is made. */
void rt_confine_no_ring(void);

/* 0, or an errno: ENOSYS where the kernel has no filters. */
int rt_confine_syscalls(const struct rt_confine_needs *needs);

#endif
