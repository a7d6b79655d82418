/* srtp.c: see srtp.h.  webrtc_transport.c owns one for each peer: GCM by gcm.c, AES-CM with HMAC-SHA1 by libsrtp2,
 * whose own checks of replays hold then.  allow_repeat_tx is for what is sent again without RTX, with the payload
 * that it had: under AES-CM that tells nothing new. */
#include "srtp.h"

#include <stdlib.h>
#include <string.h>
#include <srtp2/srtp.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"
#include "gcm.h"
#include "replay_window.h"
#include "bgworker/media/rtp/rtp.h"

/* libsrtp2 keeps a context for each SSRC that it has seen, in a list, and loses memory when one is taken out.  Beyond
 * so many, packets of new ones are refused. */
#define MAX_SOURCES 256

struct rt_srtp
{
	struct rt_gcm *gcm; /* or, for AES-CM: */
	srtp_t in, out;
	uint32_t *sources;
	int nsources;
};

enum rt_result
rt_srtp_startup(void)
{
	return srtp_init() == srtp_err_status_ok ? RT_OK : RT_INTERNAL;
}

static bool
set_up_libsrtp(srtp_t *session, const uint8_t *key, srtp_ssrc_type_t direction)
{
	srtp_policy_t policy;

	memset(&policy, 0, sizeof(policy));
	srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtp);
	srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy.rtcp);
	policy.ssrc.type = direction;
	policy.key = (unsigned char *) (uintptr_t) key;
	policy.window_size = RT_REPLAY_WINDOW_PACKETS;
	policy.allow_repeat_tx = direction == ssrc_any_outbound; /* retransmission without RTX */
	return srtp_create(session, &policy) == srtp_err_status_ok;
}

static bool
set_up(struct rt_srtp *s, const struct rt_dtls_keys *keys)
{
	if (keys->profile == RT_SRTP_AEAD_AES_128_GCM)
		return (s->gcm = rt_gcm_new(keys->local, keys->remote));
	s->sources = rt_alloc(MAX_SOURCES * sizeof(*s->sources));
	return set_up_libsrtp(&s->in, keys->remote, ssrc_any_inbound) &&
		   set_up_libsrtp(&s->out, keys->local, ssrc_any_outbound);
}

enum rt_result
rt_srtp_new(struct rt_srtp **sp, const struct rt_dtls_keys *keys)
{
	struct rt_srtp *s = rt_alloc(sizeof(*s));

	if (!set_up(s, keys))
	{
		rt_log(RT_LOG_ERROR, "srtp", "cannot set up the session");
		rt_srtp_free(s);
		return RT_INTERNAL;
	}
	*sp = s;
	return RT_OK;
}

void
rt_srtp_free(struct rt_srtp *s)
{
	if (s == NULL)
		return;
	if (s->in != NULL)
		srtp_dealloc(s->in);
	if (s->out != NULL)
		srtp_dealloc(s->out);
	rt_gcm_free(s->gcm);
	free(s->sources);
	free(s);
}

bool
rt_srtp_is_aead(const struct rt_srtp *s)
{
	return s->gcm != NULL;
}

static bool
is_known(const struct rt_srtp *s, uint32_t ssrc)
{
	for (int i = 0; i < s->nsources; i++)
		if (s->sources[i] == ssrc)
			return true;
	return false;
}

static enum rt_result
open_by_libsrtp(struct rt_srtp *s, uint8_t *data, size_t *len, size_t ssrc_at,
				srtp_err_status_t (*open)(srtp_t, void *, int *))
{
	int n = (int) *len;
	uint32_t ssrc;
	bool known;

	if (*len < ssrc_at + 4)
		return RT_BAD_INPUT;
	ssrc = rt_bytes_get32(data + ssrc_at);
	known = is_known(s, ssrc);
	if ((!known && s->nsources == MAX_SOURCES) || open(s->in, data, &n) != srtp_err_status_ok)
		return RT_BAD_INPUT;
	if (!known)
		s->sources[s->nsources++] = ssrc;
	*len = (size_t) n;
	return RT_OK;
}

enum rt_result
rt_srtp_unprotect(struct rt_srtp *s, uint8_t *data, size_t *len)
{
	return s->gcm != NULL ? rt_gcm_unprotect(s->gcm, data, len) : open_by_libsrtp(s, data, len, 8, srtp_unprotect);
}

enum rt_result
rt_srtp_unprotect_rtcp(struct rt_srtp *s, uint8_t *data, size_t *len)
{
	return s->gcm != NULL ? rt_gcm_unprotect_rtcp(s->gcm, data, len)
						  : open_by_libsrtp(s, data, len, 4, srtp_unprotect_rtcp);
}

enum rt_result
rt_srtp_protect_rtcp(struct rt_srtp *s, uint8_t *data, size_t *len)
{
	int n = (int) *len;

	if (s->gcm != NULL)
		return rt_gcm_protect_rtcp(s->gcm, data, len);
	if (srtp_protect_rtcp(s->out, data, &n) != srtp_err_status_ok)
		return RT_INTERNAL;
	*len = (size_t) n;
	return RT_OK;
}

size_t
rt_srtp_protect(struct rt_srtp *s, struct rt_srtp_roc *roc, uint8_t *out, size_t header_len, const uint8_t *prefix,
				size_t prefix_len, const uint8_t *payload, size_t payload_len)
{
	int n = (int) (header_len + prefix_len + payload_len);

	if (s->gcm != NULL)
		return rt_gcm_protect(s->gcm, roc, out, header_len, prefix, prefix_len, payload, payload_len);
	if (prefix_len)
		memcpy(out + header_len, prefix, prefix_len);
	memcpy(out + header_len + prefix_len, payload, payload_len);
	return srtp_protect(s->out, out, &n) == srtp_err_status_ok ? (size_t) n : 0;
}
