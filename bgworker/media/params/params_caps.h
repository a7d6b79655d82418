/* params_caps.h: what the router offers, and the check of what a client says that it can receive. */
#ifndef RT_PARAMS_CAPS_H
#define RT_PARAMS_CAPS_H

#include <jansson.h>

#include "params.h"

/* The router's rtpCapabilities: a new reference.  The same for every meeting; rt_private.router_rtp_capabilities()
 * in SQL gives the same object to clients. */
json_t *rt_params_caps_router(void);

/* A client's rtpCapabilities: *out is a copy (a new reference) with the known keys alone, and defaults filled in. */
enum rt_result rt_params_caps_check(json_t **out, const json_t *caps, struct rt_params_error *e);

#endif
