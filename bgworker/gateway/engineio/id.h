/* id.h: ids that cannot be guessed. */
#ifndef RT_RANDOM_ID_H
#define RT_RANDOM_ID_H

#define RT_RANDOM_ID_LEN 20 /* 120 bits */

/* RT_RANDOM_ID_LEN characters of [A-Za-z0-9_-] and a NUL. */
void rt_id_make(char *out);

#endif
