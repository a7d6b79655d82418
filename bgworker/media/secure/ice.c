/* ice.c: see ice.h.  webrtc_transport.c calls it for each STUN packet, whoever sent it.
 *
 *   |0 0|   type    |    length     |  0x2112A442 (cookie)  |  transaction (12)  |        RFC 8489 section 5
 *   attributes: | type (2) | length (2) | value, to a multiple of 4 |  ...  MESSAGE-INTEGRITY, FINGERPRINT last
 *
 * Reading, checking and writing is libnice's; here is what ICE-lite adds (RFC 8445 section 7.3): the username is
 * "<ours>:<theirs>", PRIORITY must be there, and we are always controlled.
 *
 * A stranger's request may bear anybody's address: its refusal is no longer than it, so nobody is flooded by us. */
#include "ice.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/rand.h>
#include <stun/stunagent.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"

#define ATTR_NOMINATION 0x0030        /* draft-thatcher-ice-renomination */
#define ATTR_NOMINATION_LEGACY 0xC001 /* what libwebrtc sends */

struct rt_ice
{
	StunAgent agent;
	rt_ice_password_cb password;
	void *arg;
};

static const uint16_t known_attributes[] = {STUN_ATTRIBUTE_USERNAME,
											STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
											STUN_ATTRIBUTE_ERROR_CODE,
											STUN_ATTRIBUTE_UNKNOWN_ATTRIBUTES,
											STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS,
											STUN_ATTRIBUTE_PRIORITY,
											STUN_ATTRIBUTE_USE_CANDIDATE,
											STUN_ATTRIBUTE_FINGERPRINT,
											STUN_ATTRIBUTE_ICE_CONTROLLED,
											STUN_ATTRIBUTE_ICE_CONTROLLING,
											ATTR_NOMINATION,
											0};

struct rt_ice *
rt_ice_new(rt_ice_password_cb password, void *arg)
{
	struct rt_ice *ice = rt_alloc(sizeof(*ice));

	ice->password = password;
	ice->arg = arg;
	stun_agent_init(&ice->agent, known_attributes, STUN_COMPATIBILITY_RFC5389,
					STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
	return ice;
}

void
rt_ice_free(struct rt_ice *ice)
{
	free(ice);
}

/* "<ours>:<theirs>" */
static size_t
local_part(const uint8_t *username, size_t len)
{
	const uint8_t *colon = memchr(username, ':', len);

	return colon != NULL ? (size_t) (colon - username) : 0;
}

static bool
find_password(StunAgent *agent, StunMessage *message, uint8_t *username, uint16_t username_len, uint8_t **password,
			  size_t *password_len, void *arg)
{
	struct rt_ice *ice = arg;
	size_t n = local_part(username, username_len);
	const char *pwd = n ? ice->password(ice->arg, (const char *) username, n) : NULL;

	(void) agent;
	(void) message;
	if (pwd == NULL)
		return false;
	*password = (uint8_t *) (uintptr_t) pwd;
	*password_len = strlen(pwd);
	return true;
}

static size_t
answer_error(struct rt_ice *ice, const StunMessage *req, uint8_t *out, size_t cap, StunError code)
{
	StunMessage resp;

	if (!stun_agent_init_error(&ice->agent, &resp, out, cap, req, code))
		return 0;
	return stun_agent_finish_message(&ice->agent, &resp, NULL, 0);
}

/* What ICE asks of an authentic request; 0: nothing is wrong. */
static int
find_fault(const StunMessage *req)
{
	if (!stun_message_has_attribute(req, STUN_ATTRIBUTE_PRIORITY))
		return STUN_ERROR_BAD_REQUEST;
	return stun_message_has_attribute(req, STUN_ATTRIBUTE_ICE_CONTROLLED) ? STUN_ERROR_ROLE_CONFLICT : 0;
}

static size_t
answer_fault(struct rt_ice *ice, const StunMessage *req, StunValidationStatus status, uint8_t *out, size_t cap)
{
	StunMessage resp;

	if (status == STUN_VALIDATION_UNKNOWN_REQUEST_ATTRIBUTE)
		return stun_agent_build_unknown_attributes_error(&ice->agent, &resp, out, cap, req);
	if (status == STUN_VALIDATION_SUCCESS)
		return answer_error(ice, req, out, cap, (StunError) find_fault(req));
	return answer_error(ice, req, out, cap,
						status == STUN_VALIDATION_UNAUTHORIZED ? STUN_ERROR_UNAUTHORIZED : STUN_ERROR_BAD_REQUEST);
}

static size_t
answer_success(struct rt_ice *ice, const StunMessage *req, const char *pwd, const struct sockaddr *from,
			   socklen_t from_len, uint8_t *out, size_t cap)
{
	struct sockaddr_storage addr;
	StunMessage resp;

	memset(&addr, 0, sizeof(addr));
	memcpy(&addr, from, from_len);
	if (!stun_agent_init_response(&ice->agent, &resp, out, cap, req) ||
		stun_message_append_xor_addr(&resp, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, &addr, from_len) !=
			STUN_MESSAGE_RETURN_SUCCESS)
		return 0;
	return stun_agent_finish_message(&ice->agent, &resp, (const uint8_t *) pwd, strlen(pwd));
}

static void
read_check(const StunMessage *req, const uint8_t *username, size_t n, struct rt_ice_check *check)
{
	uint32_t value;

	memset(check, 0, sizeof(*check));
	memcpy(check->local_ufrag, username, n);
	check->nominate = stun_message_has_attribute(req, STUN_ATTRIBUTE_USE_CANDIDATE);
	if (stun_message_find32(req, ATTR_NOMINATION, &value) == STUN_MESSAGE_RETURN_SUCCESS ||
		stun_message_find32(req, (StunAttribute) ATTR_NOMINATION_LEGACY, &value) == STUN_MESSAGE_RETURN_SUCCESS)
	{
		check->nominate = true;
		check->nomination = value;
	}
}

enum rt_result
rt_ice_answer(struct rt_ice *ice, const uint8_t *data, size_t len, const struct sockaddr *from, socklen_t from_len,
			  uint8_t *out, size_t cap, size_t *out_len, struct rt_ice_check *check)
{
	StunMessage req;
	StunValidationStatus status;
	const uint8_t *username;
	const char *pwd;
	uint16_t username_len = 0;
	size_t n;

	*out_len = 0;
	status = stun_agent_validate(&ice->agent, &req, data, len, find_password, ice);
	if (status == STUN_VALIDATION_NOT_STUN || status == STUN_VALIDATION_INCOMPLETE_STUN ||
		stun_message_get_method(&req) != STUN_BINDING)
		return RT_BAD_INPUT;
	if (stun_message_get_class(&req) != STUN_REQUEST)
		return RT_AGAIN;
	if (status != STUN_VALIDATION_SUCCESS || find_fault(&req))
	{
		if (status != STUN_VALIDATION_SUCCESS && cap > len)
			cap = len;
		*out_len = answer_fault(ice, &req, status, out, cap);
		return RT_BAD_INPUT;
	}
	username = stun_message_find(&req, STUN_ATTRIBUTE_USERNAME, &username_len);
	n = username != NULL ? local_part(username, username_len) : 0;
	pwd = n && n <= RT_ICE_UFRAG_LEN ? ice->password(ice->arg, (const char *) username, n) : NULL;
	if (pwd == NULL)
		return RT_BAD_INPUT;
	read_check(&req, username, n, check);
	*out_len = answer_success(ice, &req, pwd, from, from_len, out, cap);
	return *out_len ? RT_OK : RT_INTERNAL;
}

void
rt_ice_random(char *out, size_t n)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	uint8_t bytes[64];

	while (n > 0)
	{
		size_t take = n < sizeof(bytes) ? n : sizeof(bytes);

		if (RAND_bytes(bytes, (int) take) != 1)
		{
			rt_log(RT_LOG_ERROR, "ice", "no random bytes");
			exit(1);
		}
		for (size_t i = 0; i < take; i++)
			*out++ = alphabet[bytes[i] % 36];
		n -= take;
	}
	*out = '\0';
}
