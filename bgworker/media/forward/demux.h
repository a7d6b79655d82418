/* demux.h: what a transport's decrypted packets are: which stream an RTP packet belongs to (MID, RID and SSRC,
 * RFC 8843 section 9.2 and RFC 8852), and what RTCP asks for. */
#ifndef RT_DEMUX_H
#define RT_DEMUX_H

#include "objects.h"

/* Still encrypted, from a validated tuple; data may be changed. */
void rt_demux_rtp(struct rt_transport *t, uint8_t *data, size_t len);
void rt_demux_rtcp(struct rt_transport *t, uint8_t *data, size_t len);

#endif
