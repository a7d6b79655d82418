/* fuzz_params.c: what a client says that it sends and can receive: rtpParameters, rtpCapabilities, dtlsParameters. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include "bgworker/media/params/params_caps.h"
#include "bgworker/media/params/params_consumer.h"
#include "bgworker/media/params/params_dtls.h"
#include "bgworker/media/params/params_producer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
consume(const struct rt_producer_params *p, const json_t *caps)
{
	struct rt_params_error e;
	struct rt_consumer_params c;

	if (rt_params_consumer_init(&c, p->kind, p->consumable, caps, "0", 100000000, &e) != RT_OK)
		return;
	assert(c.pt < 128 && c.rtx_pt != c.pt && strcmp(c.mid, "0") == 0);
	rt_params_consumer_fini(&c);
}

static void
produce(const json_t *router, const json_t *value, const char *kind)
{
	struct rt_producer_context ctx = {.caps = router, .default_cname = "x", .first_ssrc = 100000000};
	struct rt_params_error e;
	struct rt_producer_params p;

	if (rt_params_producer_init(&p, kind, value, &ctx, &e) != RT_OK)
	{
		assert(strlen(e.message) < sizeof(e.message));
		return;
	}
	assert(p.n_encodings > 0 && p.n_encodings <= RT_PARAMS_MAX_ENCODINGS && p.pt < 128 && p.mapped_pt < 127);
	consume(&p, router);
	consume(&p, value);
	rt_params_producer_fini(&p);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *value = json_loadb((const char *) data, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	json_t *router;
	struct rt_params_error e;
	struct rt_dtls_params dtls;

	if (value == NULL)
		return 0;
	router = rt_params_caps_router();
	produce(router, value, "video");
	produce(router, value, "audio");
	rt_params_dtls_read(&dtls, value, &e);
	json_decref(router);
	json_decref(value);
	return 0;
}
