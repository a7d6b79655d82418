/* text.h: a text that grows, for the JSON that we write. */
#ifndef RT_TEXT_H
#define RT_TEXT_H

#include <stddef.h>

struct rt_text
{
	char *data; /* NUL-terminated; NULL while empty */
	size_t len;
	size_t room;
};

void rt_text_init(struct rt_text *t);
void rt_text_fini(struct rt_text *t);
void rt_text_reset(struct rt_text *t); /* empty again, the memory is kept */

void rt_text_add(struct rt_text *t, const char *s);
void rt_text_add_n(struct rt_text *t, const char *s, size_t len);
void rt_text_addf(struct rt_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As a JSON string with its quotes; NULL becomes null.  The bytes must be UTF-8. */
void rt_text_quote(struct rt_text *t, const char *s);
void rt_text_quote_n(struct rt_text *t, const char *s, size_t len);

#endif
