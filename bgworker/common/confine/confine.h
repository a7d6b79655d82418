/* confine.h: takes away from a program what it does not need, so that whoever takes it over gets little.  Both
 * programs call all three functions; nothing that was taken away comes back before the process ends. */
#ifndef RT_CONFINE_H
#define RT_CONFINE_H

#include <stdbool.h>

/* What the program needs beside the database. */
struct rt_confine_own
{
	bool is_own;                /* it runs on a host of its own: no server's data lies in its working directory */
	const char *const *folders; /* that it reads again at SIGHUP; lent */
	int nfolders;
	bool connects_anywhere; /* by TCP, to gateways of other hosts */
	int port;               /* on which these listen as a rule, and to which it may connect; 0: none */
};

/* First of all in main(): no core, no debugger of the same user, no new rights. */
void rt_confine_early(void);

/* Once rt.confine is known.  A program that is not confined may leave a core file, where the limit that it inherited
 * lets it. */
void rt_confine_cores(bool confined);

/* Once everything is open: listeners, files, the loop.  What remains is serving, and connections to the database that
 * `conninfo` names.  own: NULL for what the supervisor started.  Logs what is in force; what the kernel or the build
 * lacks is a warning, not an end. */
void rt_confine(const char *conninfo, const struct rt_confine_own *own);

/* Later releases of libuv would enter the kernel by a ring, which no filter sees, and end when one that they have is
 * refused: a program that will be confined must find that there is none.  Before the loop is made. */
void rt_confine_no_ring(void);

#endif
