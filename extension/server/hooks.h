/* hooks.h: what rt must notice of other people's commands: an extension that comes or goes, and
 * commands that need a database without sessions. */
#ifndef RT_HOOKS_H
#define RT_HOOKS_H

/* Called by _PG_init where rt is preloaded; keeps and calls the hooks that were there before. */
extern void rt_hooks_install(void);

#endif
