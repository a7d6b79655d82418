/* speaker.h: who speaks in a meeting, from the audio level extension (RFC 6464).
 *
 * Speech goes on for a while: neither a cough nor a click makes an active speaker, and nobody who talks is
 * interrupted by somebody louder.  At most 128 voices a meeting are looked at. */
#ifndef RT_SPEAKER_H
#define RT_SPEAKER_H

#include <stdbool.h>
#include <stdint.h>

struct rt_speaker;

struct rt_speaker *rt_speaker_new(void);
void rt_speaker_free(struct rt_speaker *s); /* NULL is fine */

/* level: 0 (loudest) to 127 (silence), -dBov. */
void rt_speaker_level(struct rt_speaker *s, const char *producer_id, uint8_t level);
void rt_speaker_remove(struct rt_speaker *s, const char *producer_id);
/* The producer of the active speaker; "" while there is none. */
const char *rt_speaker_active(const struct rt_speaker *s);
/* Each half second.  True when the active speaker changed: *producer_id is lent, *volume is in dBov (-127 to 0). */
bool rt_speaker_turn(struct rt_speaker *s, const char **producer_id, int *volume);

#endif
