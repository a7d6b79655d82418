/* fuzz_http.c: a request's head, its path, query and CORS, and the rest as a chunked body or polling payload. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/gateway/net/cors.h"
#include "bgworker/gateway/engineio/eio_payload.h"
#include "bgworker/gateway/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
use_target(const struct rt_http_head *h)
{
	char *out = malloc(h->target_len + 1);
	char *query = malloc(h->target_len + 1);
	char sid[32];

	rt_http_decode_path(h->target, h->target_len, out);
	memcpy(query, h->target, h->target_len);
	query[h->target_len] = '\0';
	rt_http_query_param(query, "sid", sid, sizeof(sid));
	free(out);
	free(query);
}

static void
use_body(const char *data, size_t len)
{
	struct rt_http_chunks chunks = {0};
	struct rt_buf body;
	const char *packet;
	size_t used;
	size_t packet_len;
	size_t pos = 0;

	rt_buf_init(&body, 1000);
	rt_http_chunks_feed(&chunks, data, len, &used, &body);
	assert(used <= len);
	rt_buf_fini(&body);
	while (rt_eio_payload_next(data, len, &pos, &packet, &packet_len))
		assert(packet >= data && packet + packet_len <= data + len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *) data;
	struct rt_http_head head;
	size_t used;
	int status;

	use_body(text, size);
	if (rt_http_parse_head(text, size, &head, &used, &status) != RT_OK)
		return 0;
	assert(used <= size);
	use_target(&head);
	free(rt_cors_headers("http://a.example, *", &head));
	use_body(text + used, size - used);
	return 0;
}
