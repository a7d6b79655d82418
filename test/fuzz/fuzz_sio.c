/* fuzz_sio.c: a message of a client: UTF-8, Socket.IO packet, JSON, event name. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/gateway/socketio/sio_packet.h"
#include "bgworker/gateway/text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_inside(const char *span, size_t len, const char *text, size_t text_len)
{
	if (span != NULL)
		assert(span >= text && span + len <= text + text_len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *) data;
	struct rt_sio_packet p;
	char *name;

	if (!rt_utf8_valid(text, size) || rt_sio_packet_parse(text, size, &p) != RT_OK)
		return 0;
	check_inside(p.data, p.data_len, text, size);
	check_inside(p.namespace, p.namespace_len, text, size);
	check_inside(p.arg.text, p.arg.len, text, size);
	check_inside(p.name.text, p.name.len, text, size);
	if (p.name.text == NULL || p.name.kind != RT_JSON_STRING)
		return 0;
	name = malloc(p.name.len);
	rt_json_scan_decode(p.name.text, p.name.len, name);
	assert(strlen(name) < p.name.len && rt_utf8_valid(name, strlen(name)));
	free(name);
	return 0;
}
