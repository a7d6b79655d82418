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

/* The members that the strict reading found are those that a walk by brackets and quotes finds. */
static void
check_members(const struct rt_sio_packet *p)
{
	struct rt_json_pick pick = {.key = "b", .cut = true};
	struct rt_json_rest rest;
	struct rt_json_level l;
	struct rt_json_span key;
	struct rt_json_span value;
	int n = 0;

	assert(p->members.text == p->arg.text && p->members.len == p->arg.len);
	assert(rt_json_scan_open(&l, p->arg.text, p->arg.text + p->arg.len, RT_JSON_OBJECT));
	for (; rt_json_scan_member(&l, &key, &value) == RT_OK; n++)
	{
		if (n < p->members.n)
			assert(key.text == p->members.list[n].key.text && value.text == p->members.list[n].value.text &&
				   value.len == p->members.list[n].value.len && value.kind == p->members.list[n].value.kind);
		(void) rt_json_scan_is(&key, "b");
	}
	assert(l.close == p->arg.text + p->arg.len && (n == p->members.n || (p->members.more && n > p->members.n)));
	assert(rt_json_scan_split(p->arg.text, p->arg.len, &pick, 1, &rest) == RT_OK && rest.n <= 2);
	for (int i = 0; i < rest.n; i++)
		check_inside(rest.runs[i].p, (size_t) (rest.runs[i].end - rest.runs[i].p), p->arg.text, p->arg.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *) data;
	struct rt_json_pick pick = {.key = "b"};
	struct rt_json_rest rest;
	struct rt_sio_packet p;
	char *name;

	(void) rt_json_scan_split(text, size, &pick, 1, &rest); /* whatever it is, it must stay within */

	if (!rt_utf8_valid(text, size) || rt_sio_packet_parse(text, size, &p) != RT_OK)
		return 0;
	check_inside(p.data, p.data_len, text, size);
	check_inside(p.namespace, p.namespace_len, text, size);
	check_inside(p.arg.text, p.arg.len, text, size);
	check_inside(p.name.text, p.name.len, text, size);
	if (p.members.text != NULL)
		check_members(&p);
	if (p.name.text == NULL || p.name.kind != RT_JSON_STRING)
		return 0;
	name = malloc(p.name.len);
	rt_json_scan_decode(p.name.text, p.name.len, name);
	assert(strlen(name) < p.name.len && rt_utf8_valid(name, strlen(name)));
	free(name);
	return 0;
}
