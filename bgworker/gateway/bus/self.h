/* self.h: what this gateway is to the others: its name in the database, and whether it is about to end.
 *
 * main.c writes it; everybody else holds a const pointer, which stays valid until the program ends. */
#ifndef RT_SELF_H
#define RT_SELF_H

#include <stdbool.h>

struct rt_self
{
	char name[40]; /* new at each start, so that the database can tell this gateway from its dead predecessor */
	bool ending;   /* nothing new is begun, and what fails is not tried again */
};

#endif
