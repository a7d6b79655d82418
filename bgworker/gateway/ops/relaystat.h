/* relaystat.h: the relay's figures as metrics.  The relay faces no network: its gateways show what it does, as of
 * their last report. */
#ifndef RT_RELAYSTAT_H
#define RT_RELAYSTAT_H

#include <jansson.h>

#include "bgworker/common/text.h"

/* relay is the object of rt_api.gateway_report's answer; NULL before the first one: then nothing is written. */
void rt_relaystat_write(const json_t *relay, struct rt_text *out, const char *labels);

#endif
