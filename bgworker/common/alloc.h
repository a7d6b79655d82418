/* alloc.h: memory of a size that we chose: always there, or the program logs and exits. */
#ifndef RT_ALLOC_H
#define RT_ALLOC_H

void *rt_alloc(unsigned long size);          /* zeroed */
void *rt_alloc_resident(unsigned long size); /* the same, in memory: nobody waits for its pages later */
void *rt_realloc(void *p, unsigned long size);
char *rt_strdup(const char *s);
char *rt_strndup(const char *s, unsigned long len);

#endif
