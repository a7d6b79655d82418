#include "addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "../common/log.h"

#define MAX_ADDRESSES 16 /* a candidate each makes checks slow; more are left out */

static void
add(json_t *list, const char *address)
{
	const json_t *known;
	size_t i;

	json_array_foreach(list, i, known)
		if (strcmp(json_string_value(known), address) == 0)
			return;
	if (json_array_size(list) < MAX_ADDRESSES)
		json_array_append_new(list, json_string(address));
}

static void
add_interfaces(json_t *list, int family)
{
	struct ifaddrs *all, *i;
	char text[INET6_ADDRSTRLEN];

	if (getifaddrs(&all) != 0)
		return;
	for (i = all; i; i = i->ifa_next)
	{
		if (!i->ifa_addr || i->ifa_addr->sa_family != family || !(i->ifa_flags & IFF_UP))
			continue;
		if (family == AF_INET)
			inet_ntop(family, &((struct sockaddr_in *) (void *) i->ifa_addr)->sin_addr, text, sizeof text);
		else if (IN6_IS_ADDR_LINKLOCAL(&((struct sockaddr_in6 *) (void *) i->ifa_addr)->sin6_addr))
			continue; /* means nothing without a zone */
		else
			inet_ntop(family, &((struct sockaddr_in6 *) (void *) i->ifa_addr)->sin6_addr, text, sizeof text);
		add(list, text);
	}
	freeifaddrs(all);
}

json_t *
rt_addresses(const char *announced, const struct rt_port *port)
{
	json_t *list = json_array();
	char *copy = rt_strdup(announced), *save = NULL;
	const char *bound;

	for (char *a = strtok_r(copy, ", ", &save); a; a = strtok_r(NULL, ", ", &save))
		add(list, a);
	free(copy);
	if (json_array_size(list))
		return list;
	for (int i = 0; (bound = rt_port_address(port, i)); i++)
	{
		if (strcmp(bound, "0.0.0.0") == 0)
			add_interfaces(list, AF_INET);
		else if (strcmp(bound, "::") == 0)
			add_interfaces(list, AF_INET6);
		else
			add(list, bound);
	}
	return list;
}
