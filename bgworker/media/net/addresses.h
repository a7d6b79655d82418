/* addresses.h: which addresses a worker announces in its candidates. */
#ifndef RT_ADDRESSES_H
#define RT_ADDRESSES_H

#include <jansson.h>

#include "port.h"

/* A new array of strings: what rt.media_announced_address lists, else what the port is bound to, where a wildcard
 * stands for every address of the machine's interfaces that are up, but for loopback ones unless there are no others.
 */
json_t *rt_addresses_list(const char *announced, const struct rt_port *port);

/* A new array: iceCandidates of every transport, UDP and TCP at each address, as clients get them. */
json_t *rt_addresses_candidates(const json_t *addresses, int port);

#endif
