/* ssrc_table.h: which of a peer's incoming SSRCs belongs to which stream of which of its producers.  It knows a
 * producer as an address alone. */
#ifndef RT_SSRC_TABLE_H
#define RT_SSRC_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#define RT_SSRC_TABLE_SIZE 64 /* streams of one peer; packets of further ones are dropped and counted */

struct rt_producer;
struct rt_ssrc_table;

struct rt_ssrc
{
	uint32_t ssrc;
	struct rt_producer *producer;
	uint8_t layer; /* index of the encoding */
	bool rtx;
};

struct rt_ssrc_table *rt_ssrc_table_new(void);
void rt_ssrc_table_free(struct rt_ssrc_table *t); /* NULL is fine */

const struct rt_ssrc *rt_ssrc_table_find(const struct rt_ssrc_table *t, uint32_t ssrc);
/* NULL: it is full. */
const struct rt_ssrc *rt_ssrc_table_add(struct rt_ssrc_table *t, const struct rt_ssrc *entry);
void rt_ssrc_table_forget(struct rt_ssrc_table *t, const struct rt_producer *p);
/* Whether it was among the last 16 of producers that have ended. */
bool rt_ssrc_table_had(const struct rt_ssrc_table *t, uint32_t ssrc);

#endif
