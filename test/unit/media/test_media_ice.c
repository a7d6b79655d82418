/* test_media_ice.c: STUN requests and what is answered (RFC 5389, RFC 8445 section 7.3); the vectors of RFC 5769. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "bgworker/media/secure/ice.h"
#include "stun_request.h"
#include "tap.h"

#define PASSWORD "VOkJxbRl1RmTxUk/WvJxBt"

/* RFC 5769 section 2.1: a request with SOFTWARE, PRIORITY, ICE-CONTROLLED, USERNAME, integrity and fingerprint. */
static const uint8_t request_vector[] = {
	0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87,
	0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c,
	0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f,
	0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76,
	0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e,
	0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf};
/* Section 2.2: a response. */
static const uint8_t response_vector[] = {
	0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
	0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63,
	0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43,
	0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9,
	0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7, 0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96};

static struct rt_ice *ice;
static struct sockaddr_in from;
static uint8_t answer[512];
static size_t answer_len;
static struct rt_ice_check check;

static const char *
on_password(void *arg, const char *ufrag, size_t len)
{
	(void) arg;
	return len == 4 && memcmp(ufrag, "evtj", 4) == 0 ? PASSWORD : NULL;
}

/* The error code of the answer; 0: success; -1: none. */
static int
ask(const uint8_t *data, size_t len, enum rt_result expected)
{
	uint8_t *heap = malloc(len ? len : 1); /* of its size, for the sanitizer */
	enum rt_result rc;

	memcpy(heap, data, len);
	rc = rt_ice_answer(ice, heap, len, (struct sockaddr *) &from, sizeof(from), answer, sizeof(answer), &answer_len,
					   &check);
	free(heap);
	if (rc != expected)
		return -2;
	if (answer_len < 20)
		return -1;
	if (rt_bytes_get16(answer) == 0x0101)
		return 0;
	for (size_t at = 20; at + 8 <= answer_len; at += 4 + ((size_t) rt_bytes_get16(answer + at + 2) + 3) / 4 * 4)
		if (rt_bytes_get16(answer + at) == 0x0009)
			return answer[at + 6] * 100 + answer[at + 7];
	return -3;
}

static int
send_request(struct stun_request *r, enum rt_result expected)
{
	stun_integrity(r, PASSWORD);
	stun_fingerprint(r);
	return ask(r->data, r->len, expected);
}

/* ---- tests ---- */

static void
test_vectors(void)
{
	ok(ask(request_vector, sizeof(request_vector), RT_BAD_INPUT) == 487,
	   "RFC 5769 2.1 is authentic; its sender is controlled, as we are: role conflict");
	ok(ask(response_vector, sizeof(response_vector), RT_AGAIN) == -1, "RFC 5769 2.2: a response is not answered");
}

static void
test_damage(void)
{
	struct stun_request r, damaged;
	int passed = 0;

	stun_check(&r, "evtj:h6vY");
	ok(send_request(&r, RT_OK) == 0, "a request");
	for (size_t bit = 0; bit < 8 * r.len; bit++)
	{
		damaged = r;
		damaged.data[bit / 8] ^= (uint8_t) (1 << bit % 8);
		passed += rt_ice_answer(ice, damaged.data, r.len, (struct sockaddr *) &from, sizeof(from), answer,
								sizeof(answer), &answer_len, &check) == RT_OK;
	}
	ok(passed == 0, "with any bit flipped it is refused");
	for (size_t len = 0; len < r.len; len++)
		passed += ask(r.data, len, RT_BAD_INPUT) == 0;
	ok(passed == 0, "cut off anywhere, too");
}

static void
test_success(void)
{
	struct stun_request r;
	size_t at = 20;

	stun_check(&r, "evtj:h6vY");
	ok(send_request(&r, RT_OK) == 0 && strcmp(check.local_ufrag, "evtj") == 0 && !check.nominate,
	   "a check is answered");
	ok(memcmp(answer + 4, r.data + 4, 16) == 0, "with its transaction");
	while (at < answer_len && rt_bytes_get16(answer + at) != 0x0020)
		at += 4 + ((size_t) rt_bytes_get16(answer + at + 2) + 3) / 4 * 4;
	ok(at < answer_len && rt_bytes_get16(answer + at + 6) == (4501 ^ 0x2112) &&
		   rt_bytes_get32(answer + at + 8) == (0xc0000201 ^ 0x2112a442),
	   "and tells the address it came from");
	stun_check(&r, "evtj:h6vY");
	stun_add(&r, 0x0025, NULL, 0);
	ok(send_request(&r, RT_OK) == 0 && check.nominate && check.nomination == 0, "USE-CANDIDATE nominates");
	stun_check(&r, "evtj:h6vY");
	stun_add(&r, 0xc001, "\0\0\0\x05", 4);
	ok(send_request(&r, RT_OK) == 0 && check.nominate && check.nomination == 5, "so does libwebrtc's nomination");
	stun_check(&r, "evtj:h6vY");
	stun_add(&r, 0xc057, "\0\1\0\2", 4);
	ok(send_request(&r, RT_OK) == 0, "an attribute that need not be understood does not matter");
}

static void
test_refusals(void)
{
	struct stun_request r;

	stun_check(&r, "evtj:h6vY");
	stun_integrity(&r, "another password");
	stun_fingerprint(&r);
	ok(ask(r.data, r.len, RT_BAD_INPUT) == 401, "a wrong password");
	stun_check(&r, "none:h6vY");
	ok(send_request(&r, RT_BAD_INPUT) == 401, "an unknown user");
	stun_check(&r, ":h6vY");
	ok(send_request(&r, RT_BAD_INPUT) == 401, "no local part");
	stun_check(&r, "evtj");
	ok(send_request(&r, RT_BAD_INPUT) == 401, "no colon");
	stun_check(&r, "evtj:h6vY");
	stun_fingerprint(&r);
	ok(ask(r.data, r.len, RT_BAD_INPUT) == 400, "no integrity");
	stun_begin(&r);
	stun_add(&r, 0x0006, "evtj:h6vY", 9);
	ok(send_request(&r, RT_BAD_INPUT) == 400, "no priority");
	stun_begin(&r);
	stun_add(&r, 0x0024, "\x6e\x00\x01\xff", 4);
	ok(send_request(&r, RT_BAD_INPUT) == 400, "no username");
	stun_check(&r, "evtj:h6vY");
	stun_add(&r, 0x7abc, "what", 4);
	ok(send_request(&r, RT_BAD_INPUT) == 420, "an attribute that must be understood, and is not");
	stun_check(&r, "evtj:h6vY");
	stun_integrity(&r, PASSWORD);
	ok(ask(r.data, r.len, RT_BAD_INPUT) != 0, "no fingerprint");
	stun_check(&r, "evtj:h6vY");
	r.data[1] = 0x03; /* Allocate */
	ok(send_request(&r, RT_BAD_INPUT) == -1, "another method is not answered");
	stun_check(&r, "evtj:h6vY");
	r.data[1] = 0x11; /* indication */
	ok(send_request(&r, RT_AGAIN) == -1, "an indication is not answered");
}

/* The address may be forged: who is there gets no more than was sent to us. */
static void
test_reflection(void)
{
	static const size_t names[] = {0, 1, 9, 40, 400};
	struct stun_request r;
	uint8_t name[400];
	int longer = 0, answered = 0;

	memset(name, 'x', sizeof(name));
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		for (int kind = 0; kind < 8; kind++)
		{
			stun_begin(&r);
			if (names[i])
				stun_add(&r, 0x0006, name, names[i]);
			for (int unknown = 0; kind & 1 && unknown < 5; unknown++)
				stun_add(&r, (uint16_t) (0x7ab0 + unknown), NULL, 0);
			if (kind & 2)
				stun_integrity(&r, "another password");
			if (kind & 4)
				stun_fingerprint(&r);
			else
				stun_set_length(&r, r.len - 20);
			ask(r.data, r.len, RT_BAD_INPUT);
			longer += answer_len > r.len;
			answered += answer_len > 0;
		}
	ok(longer == 0 && answered > 0, "no refusal is longer than its question: %d of %d", longer, answered);
}

static void
test_random(void)
{
	char text[65];
	int wrong = 0;

	rt_ice_random(text, 64);
	for (int i = 0; i < 64; i++)
		wrong += strchr("abcdefghijklmnopqrstuvwxyz0123456789", text[i]) == NULL;
	ok(wrong == 0 && text[64] == '\0', "random names have the letters that ICE allows");
}

int
main(void)
{
	from.sin_family = AF_INET;
	from.sin_port = htons(4501);
	from.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 */
	ice = rt_ice_new(on_password, NULL);
	test_vectors();
	test_damage();
	test_success();
	test_refusals();
	test_reflection();
	test_random();
	rt_ice_free(ice);
	return tap_done();
}
