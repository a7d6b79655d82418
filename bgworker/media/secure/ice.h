/* ice.h: the ICE-lite side of connectivity checks (RFC 8445 sections 2.5 and 7.3; RFC 5389), over libnice's
 * stun library.  Answers requests; keeps no state of a peer. */
#ifndef RT_ICE_H
#define RT_ICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "bgworker/common/result.h"

#define RT_ICE_UFRAG_LEN 16
#define RT_ICE_PWD_LEN 32

struct rt_ice;

/* What an authenticated Binding request said. */
struct rt_ice_check
{
	char local_ufrag[RT_ICE_UFRAG_LEN + 1];
	bool nominate;       /* USE-CANDIDATE, or a NOMINATION attribute */
	uint32_t nomination; /* 0: none given */
};

/* The password that belongs to a local ufrag of ours, NUL-terminated; NULL if there is none. */
typedef const char *(*rt_ice_password_cb)(void *arg, const char *local_ufrag, size_t len);

struct rt_ice *rt_ice_new(rt_ice_password_cb password, void *arg);
void rt_ice_free(struct rt_ice *ice);

/* Reads a STUN packet and writes the answer to out (*out_len 0: none is due).  RT_OK: a valid request, *check is
 * filled in; RT_AGAIN: valid but nothing to do (indication, response); RT_BAD_INPUT: refused, the answer is the error
 * (400, 401, 420, 487) where one may be given. */
enum rt_result rt_ice_answer(struct rt_ice *ice, const uint8_t *data, size_t len, const struct sockaddr *from,
							 socklen_t from_len, uint8_t *out, size_t cap, size_t *out_len,
							 struct rt_ice_check *check);

/* n random characters of [a-z0-9] and a NUL. */
void rt_ice_random(char *out, size_t n);

#endif
