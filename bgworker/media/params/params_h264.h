/* params_h264.h: profile and level of H.264 (RFC 6184, section 8.1). */
#ifndef RT_PARAMS_H264_H
#define RT_PARAMS_H264_H

#include <jansson.h>
#include <stdbool.h>

#define RT_H264_ID 7 /* six digits and a NUL */

/* Whether two `parameters` name the same profile.  If so, answer is the profile-level-id that the first one should
 * use towards the second one, or "" if neither has one. */
bool rt_params_h264_match(const json_t *ours, const json_t *theirs, char answer[RT_H264_ID]);

#endif
