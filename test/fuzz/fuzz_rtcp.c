/* fuzz_rtcp.c: an RTCP compound, each packet of it by every reader; transport-wide feedback also into the estimate.
 */
#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/media/congestion/estimator.h"
#include "bgworker/media/rtp/rtcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
on_status(void *arg, uint16_t seq, int count, bool received, int32_t delta)
{
	int *n = arg;

	(void) seq;
	assert(received ? count == 1 : count > 0);
	assert(received || delta == 0);
	*n += count;
}

static void
read_packet(const struct rt_rtcp *p, struct rt_estimator *b)
{
	struct rt_rtcp_sr sr;
	struct rt_rtcp_report report;
	uint32_t x, y;
	uint16_t pid, blp;
	uint64_t bps;
	uint8_t seq;
	int n = 0;

	rt_rtcp_read_sr(p, &sr);
	for (int i = 0; rt_rtcp_read_report(p, i, &report); i++)
		assert(report.lost >= -0x800000 && report.lost <= 0x7fffff);
	rt_rtcp_read_feedback(p, &x, &y);
	for (int i = 0; rt_rtcp_read_nack(p, i, &pid, &blp); i++)
		;
	for (int i = 0; rt_rtcp_read_fir(p, i, &x, &seq); i++)
		;
	for (int i = 0; rt_rtcp_read_dlrr(p, i, &x, &y, &x); i++)
		;
	if (rt_rtcp_read_remb(p, &bps))
		rt_estimator_remb(b, bps);
	rt_rtcp_read_twcc(p, &x, on_status, &n);
	assert(n <= 65535);
	rt_estimator_feedback(b, p, 2000000);
	assert(rt_estimator_bps(b) >= RT_ESTIMATOR_MIN_BPS && isfinite(rt_estimator_loss(b)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct rt_estimator *b = rt_estimator_new();
	uint8_t cluster = rt_estimator_probe(b);
	struct rt_rtcp p;
	size_t off = 0;

	for (uint16_t s = 0; s < 200; s++)
		rt_estimator_sent(b, s, 1000, (uint8_t) (s % 50 < 20 ? cluster : 0), 1000000 + s * 1000);
	if (size)
		memcpy(copy, data, size);
	while (rt_rtcp_next(copy, size, &off, &p) == RT_OK)
	{
		assert(off <= size && p.body >= copy && p.body + p.len <= copy + size);
		read_packet(&p, b);
	}
	rt_estimator_free(b);
	free(copy);
	return 0;
}
