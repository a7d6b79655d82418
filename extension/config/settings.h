/* settings.h: the table of settings rt.*: their definition, and as what the programs are told of them. */
#ifndef RT_SETTINGS_H
#define RT_SETTINGS_H

#include "postgres.h"
#include "lib/stringinfo.h"

#include "setting_values.h"

/* Defines them all; those that only a preloaded library may define when this is one. */
extern void rt_settings_define(void);

/* Appends the object `settings` of docs/protocols.md: each setting that a program may know, by its name without
 * "rt.", times in milliseconds, sizes in bytes, with these two ports in place of the common ones.  reads: with
 * rt.conninfo_read, which has a password and is for gateways only. */
extern void rt_settings_json(StringInfo out, int port, int media_port, bool reads);

#endif
