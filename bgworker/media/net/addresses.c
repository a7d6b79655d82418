/* addresses.c: see addresses.h.  control.c calls it when the sockets are bound.
 *
 * Candidates are of type host (RFC 8445 section 5.1.1) and of ICE-TCP passive (RFC 6544 section 4.1).  Each makes the
 * clients' checks longer: MAX_ADDRESSES, and what is beyond is left out. */
#include "addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"

#define MAX_ADDRESSES 16 /* a candidate each makes checks slow; more are left out */

static void
add(json_t *list, const char *address)
{
	const json_t *known;
	size_t i;

	json_array_foreach(list, i, known) if (strcmp(json_string_value(known), address) == 0) return;
	if (json_array_size(list) < MAX_ADDRESSES)
		json_array_append_new(list, json_string(address));
}

static void
add_interfaces(json_t *list, int family, bool loopback)
{
	struct ifaddrs *all, *i;
	char text[INET6_ADDRSTRLEN];

	if (getifaddrs(&all) != 0)
		return;
	for (i = all; i != NULL; i = i->ifa_next)
	{
		if (i->ifa_addr == NULL || i->ifa_addr->sa_family != family || !(i->ifa_flags & IFF_UP) ||
			!(i->ifa_flags & IFF_LOOPBACK) == loopback)
			continue;
		if (family == AF_INET)
			inet_ntop(family, &((struct sockaddr_in *) (void *) i->ifa_addr)->sin_addr, text, sizeof(text));
		else if (IN6_IS_ADDR_LINKLOCAL(&((struct sockaddr_in6 *) (void *) i->ifa_addr)->sin6_addr))
			continue; /* means nothing without a zone */
		else
			inet_ntop(family, &((struct sockaddr_in6 *) (void *) i->ifa_addr)->sin6_addr, text, sizeof(text));
		add(list, text);
	}
	freeifaddrs(all);
}

/* A wildcard stands for the machine's addresses; loopback: for those that others cannot reach. */
static void
add_bound(json_t *list, const struct rt_port *port, bool loopback)
{
	const char *bound;

	for (int i = 0; (bound = rt_port_address(port, i)) != NULL; i++)
	{
		if (strcmp(bound, "0.0.0.0") == 0)
			add_interfaces(list, AF_INET, loopback);
		else if (strcmp(bound, "::") == 0)
			add_interfaces(list, AF_INET6, loopback);
		else
			add(list, bound);
	}
}

json_t *
rt_addresses_list(const char *announced, const struct rt_port *port)
{
	json_t *list = json_array();
	char *copy = rt_strdup(announced), *save = NULL;

	for (char *a = strtok_r(copy, ", ", &save); a != NULL; a = strtok_r(NULL, ", ", &save))
		add(list, a);
	free(copy);
	if (json_array_size(list))
		return list;
	add_bound(list, port, false);
	if (json_array_size(list) == 0)
		add_bound(list, port, true); /* a machine without a network: its own browsers reach it */
	return list;
}

static json_t *
candidate(const char *address, int port, bool tcp, int index)
{
	/* RFC 8445 section 5.1.2.1; UDP first */
	uint32_t priority =
		((uint32_t) 64 << 24) + ((uint32_t) (tcp ? 9000 : 10000) - 100 * (uint32_t) index) * 256 + 255;
	json_t *c = json_pack("{s:s, s:I, s:s, s:s, s:s, s:i, s:s}", "foundation", tcp ? "tcpcandidate" : "udpcandidate",
						  "priority", (json_int_t) priority, "address", address, "ip", address, "protocol",
						  tcp ? "tcp" : "udp", "port", port, "type", "host");

	if (tcp)
		json_object_set_new(c, "tcpType", json_string("passive"));
	return c;
}

json_t *
rt_addresses_candidates(const json_t *addresses, int port)
{
	json_t *list = json_array();
	const json_t *address;
	size_t i;

	json_array_foreach(addresses, i, address)
		json_array_append_new(list, candidate(json_string_value(address), port, false, (int) i));
	json_array_foreach(addresses, i, address)
		json_array_append_new(list, candidate(json_string_value(address), port, true, (int) i));
	return list;
}
