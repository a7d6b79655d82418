/* recv.c: see recv.h.  producer.c owns one for each incoming stream.
 *
 * Numbers are counted as in RFC 3550 appendix A.1, jitter as in A.8, losses as in A.3.  What is missing is a list in
 * rising order, and that list decides what is a duplicate: a number at or below the highest is new only if it stands
 * there. So the consumers never see one number twice, which AES-GCM relies on (see consumer.c).
 *
 * Limits: a jump of MAX_DROPOUT is another stream; RT_RECV_MISSING numbers missing at once, then none is asked for
 * and a key frame is; NACK_TRIES requests for one number. */
#include "recv.h"

#include <string.h>

#include "seq.h"

#define NACK_FIRST_US 10000 /* reordering is not loss */
#define NACK_AGAIN_US 40000
#define NACK_TRIES 10
#define MAX_DROPOUT 3000 /* a jump beyond that is a new stream */

static void
restart(struct rt_recv *r, uint16_t seq)
{
	r->started = true;
	r->highest = seq;
	r->cycles = 0;
	r->base_seq = seq;
	r->expected_prior = 0;
	r->packets_before = r->packets;
	r->received_prior = r->packets;
	r->nmissing = 0;
	r->sr_at_us = 0;
	r->transit = 0;
}

static void
count(struct rt_recv *r, uint32_t ts, size_t bytes, uint64_t now_us, bool repair)
{
	r->packets++;
	r->bytes += bytes;
	r->last_packet_us = now_us;
	r->window_bytes += bytes;
	r->window_packets++;
	if (now_us - r->window_from_us >= 1000000)
	{
		r->bitrate_bps = r->window_from_us ? r->window_bytes * 8000000 / (now_us - r->window_from_us) : 0;
		r->packets_per_s = r->window_from_us
							   ? (uint32_t) ((uint64_t) r->window_packets * 1000000 / (now_us - r->window_from_us))
							   : 0;
		r->window_from_us = now_us;
		r->window_bytes = r->window_packets = 0;
	}
	if (!repair && r->clock_rate)
	{
		uint32_t arrival = (uint32_t) (now_us / 1000 * r->clock_rate / 1000), transit = arrival - ts;
		int32_t d = (int32_t) (transit - r->transit);

		if (r->transit)
			r->jitter += ((d < 0 ? -(double) d : d) - r->jitter) / 16;
		r->transit = transit;
	}
}

static bool
take_missing(struct rt_recv *r, uint16_t seq)
{
	for (int i = 0; i < r->nmissing; i++)
		if (r->missing[i].seq == seq)
		{
			memmove(&r->missing[i], &r->missing[i + 1], (size_t) (--r->nmissing - i) * sizeof(r->missing[0]));
			return true;
		}
	return false;
}

static enum rt_recv_result
note_gap(struct rt_recv *r, uint16_t seq, uint64_t now_us)
{
	uint16_t gap = (uint16_t) (seq - r->highest - 1);

	if (gap + r->nmissing > RT_RECV_MISSING)
	{
		r->nmissing = 0;
		return RT_RECV_OVERRUN;
	}
	for (uint16_t s = (uint16_t) (r->highest + 1); s != seq; s++)
		r->missing[r->nmissing++] = (struct rt_missing){.seq = s, .since_us = now_us};
	return RT_RECV_NEW;
}

enum rt_recv_result
rt_recv_packet(struct rt_recv *r, uint16_t seq, uint32_t ts, size_t bytes, uint64_t now_us, bool want_nack,
			   bool repair)
{
	enum rt_recv_result result = RT_RECV_NEW;
	int16_t ahead = (int16_t) (seq - r->highest);

	if (!r->started || ahead > MAX_DROPOUT || ahead < -MAX_DROPOUT)
	{
		if (repair)
			return RT_RECV_DUPLICATE;
		restart(r, seq);
		count(r, ts, bytes, now_us, repair);
		return RT_RECV_BEGIN;
	}
	if (ahead <= 0)
	{
		if ((want_nack || repair) && !take_missing(r, seq))
		{
			r->discarded++;
			return RT_RECV_DUPLICATE;
		}
		r->repaired += repair;
		count(r, ts, bytes, now_us, repair);
		return ahead == 0 ? RT_RECV_DUPLICATE : RT_RECV_LATE;
	}
	if (want_nack && ahead > 1)
		result = note_gap(r, seq, now_us);
	if (seq < r->highest)
		r->cycles += 65536;
	r->highest = seq;
	count(r, ts, bytes, now_us, repair);
	return result;
}

int
rt_recv_due(struct rt_recv *r, uint64_t now_us, uint32_t rtt_ms, uint16_t *seqs, int max, bool *give_up)
{
	uint64_t again = (uint64_t) rtt_ms * 1000 > NACK_AGAIN_US ? (uint64_t) rtt_ms * 1000 : NACK_AGAIN_US;
	int n = 0, kept = 0;

	*give_up = false;
	for (int i = 0; i < r->nmissing; i++)
	{
		struct rt_missing m = r->missing[i];

		if (m.tries >= NACK_TRIES)
		{
			*give_up = true;
			continue;
		}
		if (n < max && now_us - m.since_us >= NACK_FIRST_US && (!m.tries || now_us - m.asked_us >= again))
		{
			seqs[n++] = m.seq;
			m.tries++;
			m.asked_us = now_us;
		}
		r->missing[kept++] = m;
	}
	r->nmissing = kept;
	if (n)
	{
		r->nacks++;
		r->nacked_packets += (uint64_t) n;
	}
	return n;
}

int64_t
rt_recv_lost(const struct rt_recv *r)
{
	return r->started
			   ? (int64_t) (r->cycles + r->highest - r->base_seq + 1) - (int64_t) (r->packets - r->packets_before)
			   : 0;
}

void
rt_recv_report(struct rt_recv *r, uint64_t now_us, struct rt_rtcp_report *out)
{
	uint64_t expected = r->cycles + r->highest - r->base_seq + 1;
	int64_t interval = (int64_t) (expected - r->expected_prior);
	int64_t lost = interval - (int64_t) (r->packets - r->received_prior), total = rt_recv_lost(r);

	r->fraction_lost = interval > 0 && lost > 0 ? (uint8_t) (lost * 255 / interval) : 0;
	r->expected_prior = expected;
	r->received_prior = r->packets;
	memset(out, 0, sizeof(*out));
	out->ssrc = r->ssrc;
	out->fraction_lost = r->fraction_lost;
	out->lost = (int32_t) (total < 0 ? 0 : total > 0x7fffff ? 0x7fffff : total);
	out->highest_seq = r->cycles + r->highest;
	out->jitter = (uint32_t) r->jitter;
	if (r->sr_at_us)
	{
		out->lsr = (uint32_t) (r->sr_ntp >> 16);
		out->dlsr = (uint32_t) ((now_us - r->sr_at_us) * 65536 / 1000000);
	}
}

void
rt_recv_sr(struct rt_recv *r, const struct rt_rtcp_sr *sr, uint64_t now_us)
{
	r->sr_ntp = sr->ntp;
	r->sr_rtp_ts = sr->rtp_ts;
	r->sr_at_us = now_us;
}

uint64_t
rt_recv_bitrate(const struct rt_recv *r, uint64_t now_us)
{
	return now_us - r->last_packet_us < 1000000 ? r->bitrate_bps : 0;
}

uint64_t
rt_recv_packet_rate(const struct rt_recv *r, uint64_t now_us)
{
	return now_us - r->last_packet_us < 1000000 ? r->packets_per_s : 0;
}
