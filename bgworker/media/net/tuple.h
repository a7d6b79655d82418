/* tuple.h: a peer's address and the way to it. */
#ifndef RT_TUPLE_H
#define RT_TUPLE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define RT_TUPLE_TEXT 64 /* room for rt_tuple_text() */

struct rt_tcp;

struct rt_tuple
{
	union
	{
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} addr;
	struct rt_tcp *tcp; /* NULL: UDP */
	uint32_t tcp_id;    /* tells a connection from a later one at the same place; 0 for UDP */
	uint8_t socket;     /* of ours; UDP only */
};

bool rt_tuple_same(const struct rt_tuple *a, const struct rt_tuple *b);
bool rt_tuple_same_host(const struct rt_tuple *a, const struct rt_tuple *b); /* whatever the ports are */
socklen_t rt_tuple_addr_len(const struct rt_tuple *t);
uint64_t rt_tuple_hash(const struct rt_tuple *t);
/* "udp 127.0.0.1:1234" */
void rt_tuple_text(const struct rt_tuple *t, char out[RT_TUPLE_TEXT]);

#endif
