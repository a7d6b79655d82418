/* tuple.c: see tuple.h.  Pure functions. */
#include "tuple.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

socklen_t
rt_tuple_addr_len(const struct rt_tuple *t)
{
	return t->addr.any.sa_family == AF_INET6 ? sizeof(t->addr.v6) : sizeof(t->addr.v4);
}

bool
rt_tuple_same(const struct rt_tuple *a, const struct rt_tuple *b)
{
	if (a->addr.any.sa_family != b->addr.any.sa_family || a->tcp_id != b->tcp_id || a->socket != b->socket)
		return false;
	if (a->addr.any.sa_family == AF_INET)
		return a->addr.v4.sin_port == b->addr.v4.sin_port && a->addr.v4.sin_addr.s_addr == b->addr.v4.sin_addr.s_addr;
	return a->addr.v6.sin6_port == b->addr.v6.sin6_port &&
		   memcmp(&a->addr.v6.sin6_addr, &b->addr.v6.sin6_addr, sizeof(struct in6_addr)) == 0;
}

bool
rt_tuple_same_host(const struct rt_tuple *a, const struct rt_tuple *b)
{
	if (a->addr.any.sa_family != b->addr.any.sa_family)
		return false;
	if (a->addr.any.sa_family == AF_INET)
		return a->addr.v4.sin_addr.s_addr == b->addr.v4.sin_addr.s_addr;
	return memcmp(&a->addr.v6.sin6_addr, &b->addr.v6.sin6_addr, sizeof(struct in6_addr)) == 0;
}

static uint64_t
mix(uint64_t h)
{
	h ^= h >> 31;
	h *= 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

uint64_t
rt_tuple_hash(const struct rt_tuple *t)
{
	uint64_t h = (uint64_t) t->tcp_id << 8 | t->socket, part[2];

	if (t->addr.any.sa_family == AF_INET)
		return mix(h ^ mix((uint64_t) t->addr.v4.sin_addr.s_addr << 16 | t->addr.v4.sin_port));
	memcpy(part, &t->addr.v6.sin6_addr, sizeof(part));
	return mix(h ^ mix(part[0] ^ mix(part[1] ^ t->addr.v6.sin6_port)));
}

void
rt_tuple_text(const struct rt_tuple *t, char out[RT_TUPLE_TEXT])
{
	char host[INET6_ADDRSTRLEN] = "?";
	bool v6 = t->addr.any.sa_family == AF_INET6;

	inet_ntop(t->addr.any.sa_family, v6 ? (const void *) &t->addr.v6.sin6_addr : (const void *) &t->addr.v4.sin_addr,
			  host, sizeof(host));
	snprintf(out, RT_TUPLE_TEXT, v6 ? "%s [%s]:%d" : "%s %s:%d", t->tcp_id ? "tcp" : "udp", host,
			 ntohs(v6 ? t->addr.v6.sin6_port : t->addr.v4.sin_port));
}
