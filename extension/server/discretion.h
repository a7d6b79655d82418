/* discretion.h: keeps what clients send to the programs out of the server's log and out of the plans in it. */
#ifndef RT_DISCRETION_H
#define RT_DISCRETION_H

extern void rt_discretion_install(void);

#endif
