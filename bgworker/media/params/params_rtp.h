/* params_rtp.h: rtpParameters: the check of what a client says that it sends, and the ids of header extensions. */
#ifndef RT_PARAMS_RTP_H
#define RT_PARAMS_RTP_H

#include <jansson.h>

#include "params.h"

/* A client's rtpParameters: *out is a copy (a new reference) with the known keys alone, and defaults filled in. */
enum rt_result rt_params_rtp_check(json_t **out, const json_t *params, struct rt_params_error *e);

/* Of checked parameters; of two ids of one extension the first counts. */
void rt_params_rtp_read_ids(struct rt_ext_ids *ids, const json_t *params);

#endif
