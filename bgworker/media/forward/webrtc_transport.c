/* webrtc_transport.c: ICE, DTLS and SRTP of one peer; see webrtc_transport.h.
 *
 *   STUN check ──> tuple validated ──> selected ──> DTLS handshake ──> keys: ready
 *
 * What must stay true:
 * - A tuple is in the table's map while, and only while, it is in use in its transport's tuples[].
 * - `selected` means that the outlet's tuple is one of those in use.  Whoever drops it clears `selected`.
 * - Nothing goes out, and nothing is taken, under keys whose owner signalling has not named by a fingerprint.
 * - An ICE restart changes credentials alone: DTLS, SRTP and its counters go on (RFC 8445 section 9).
 *
 * The endpoint owns it.  All calls come from the loop's own turn; the owner is called back from within them. */
#include "webrtc_transport.h"

#include <stdlib.h>
#include <string.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/map.h"

#define MAX_TUPLES 8    /* of one peer; the one that was silent longest makes room */
#define HELD_US 8000000 /* a peer checks each 6 s at the longest: RFC 7675 section 5.1 */

struct rt_webrtc_transport_table
{
	struct rt_hub *hub;
	struct rt_ice *ice;
	struct rt_map *ufrags; /* struct credentials */
	struct rt_map *tuples; /* struct peer_tuple, by its key */
};

/* A local ufrag and its password; a transport has two while an ICE restart is under way. */
struct credentials
{
	char ufrag[RT_ICE_UFRAG_LEN + 1];
	char pwd[RT_ICE_PWD_LEN + 1];
	struct rt_webrtc_transport *transport;
};

/* An address that a check has validated.  The key has no padding: the map compares its bytes. */
struct tuple_key
{
	uint8_t addr[16];
	uint32_t tcp_id;
	uint16_t port;
	uint8_t family;
	uint8_t socket;
};
struct peer_tuple
{
	struct tuple_key key;
	struct rt_tuple tuple;
	struct rt_webrtc_transport *transport;
	uint64_t seen_us;
	bool used;
};

struct rt_webrtc_transport
{
	struct rt_webrtc_transport_table *table;
	struct rt_hub *hub;
	struct rt_webrtc_transport_handler handler;
	bool closing;

	/* ICE */
	struct credentials *credentials, *old_credentials;
	struct peer_tuple tuples[MAX_TUPLES];
	bool selected; /* the outlet's tuple is valid */
	struct rt_outlet outlet;
	uint32_t paths; /* addresses that it has used */
	uint32_t nomination;
	uint64_t created_us;
	uint64_t reached_us; /* the first check; 0: none has come */
	uint64_t stun_us;    /* the last one */

	/* DTLS and SRTP */
	struct rt_dtls *dtls;
	struct rt_timer *dtls_timer;
	struct rt_srtp *srtp; /* NULL until connected */
	bool connect_told;    /* signalling has given the fingerprint */

	uint32_t rtt_ms;
	uint64_t packets_in, bytes_in, packets_out, bytes_out, srtp_failures;
};

/* ---- ICE ---- */

static const char *
find_password(void *arg, const char *ufrag, size_t len)
{
	struct rt_webrtc_transport_table *table = arg;
	struct credentials *u = rt_map_find(table->ufrags, ufrag, len);

	return u != NULL ? u->pwd : NULL;
}

static struct credentials *
new_credentials(struct rt_webrtc_transport *t)
{
	struct credentials *u = rt_alloc(sizeof(*u));

	u->transport = t;
	do
		rt_ice_random(u->ufrag, RT_ICE_UFRAG_LEN);
	while (!rt_map_put_str(t->table->ufrags, u->ufrag, u));
	rt_ice_random(u->pwd, RT_ICE_PWD_LEN);
	return u;
}

static void
free_credentials(struct rt_webrtc_transport *t, struct credentials **up)
{
	if (*up == NULL)
		return;
	rt_map_take_str(t->table->ufrags, (*up)->ufrag);
	free(*up);
	*up = NULL;
}

void
rt_webrtc_transport_restart_ice(struct rt_webrtc_transport *t)
{
	free_credentials(t, &t->old_credentials);
	t->old_credentials = t->credentials;
	t->credentials = new_credentials(t);
	t->nomination = 0;
}

enum rt_result
rt_webrtc_transport_set_ice(struct rt_webrtc_transport *t, const char *ufrag, const char *pwd)
{
	if (strlen(ufrag) > RT_ICE_UFRAG_LEN || strlen(pwd) > RT_ICE_PWD_LEN ||
		rt_map_find_str(t->table->ufrags, ufrag) != NULL)
		return RT_BAD_INPUT;
	rt_map_take_str(t->table->ufrags, t->credentials->ufrag);
	strcpy(t->credentials->ufrag, ufrag);
	strcpy(t->credentials->pwd, pwd);
	rt_map_put_str(t->table->ufrags, t->credentials->ufrag, t->credentials);
	return RT_OK;
}

static void
make_key(struct tuple_key *k, const struct rt_tuple *t)
{
	memset(k, 0, sizeof(*k));
	k->family = (uint8_t) t->addr.any.sa_family;
	k->tcp_id = t->tcp_id;
	k->socket = t->socket;
	if (k->family == AF_INET)
	{
		memcpy(k->addr, &t->addr.v4.sin_addr, 4);
		k->port = t->addr.v4.sin_port;
	}
	else
	{
		memcpy(k->addr, &t->addr.v6.sin6_addr, 16);
		k->port = t->addr.v6.sin6_port;
	}
}

static struct peer_tuple *
find_tuple(struct rt_webrtc_transport_table *table, const struct rt_tuple *from)
{
	struct tuple_key key;

	make_key(&key, from);
	return rt_map_find(table->tuples, &key, sizeof(key));
}

struct rt_webrtc_transport *
rt_webrtc_transport_find(struct rt_webrtc_transport_table *table, const struct rt_tuple *from)
{
	struct peer_tuple *p = find_tuple(table, from);

	return p != NULL ? p->transport : NULL;
}

static void
drop_tuple(struct peer_tuple *p)
{
	struct rt_webrtc_transport *t = p->transport;

	rt_map_take(t->table->tuples, &p->key, sizeof(p->key));
	p->used = false;
	if (t->selected && rt_tuple_same(&t->outlet.tuple, &p->tuple))
	{
		rt_port_forget(rt_hub_port(t->hub), &t->outlet);
		t->selected = false;
	}
	rt_port_hang_up(rt_hub_port(t->hub), &p->tuple);
}

/* A place for one more: a free one, or that of the one that was silent longest and is not in use. */
static struct peer_tuple *
take_slot(struct rt_webrtc_transport *t)
{
	struct peer_tuple *oldest = NULL;

	for (int i = 0; i < MAX_TUPLES; i++)
	{
		struct peer_tuple *p = &t->tuples[i];

		if (!p->used)
			return p;
		if (t->selected && rt_tuple_same(&t->outlet.tuple, &p->tuple))
			continue;
		if (oldest == NULL || p->seen_us < oldest->seen_us)
			oldest = p;
	}
	drop_tuple(oldest);
	return oldest;
}

/* False: it is another peer's, who was heard from there a moment ago.  Whoever claims it has forged its address; a
 * port that was given to another peer since is silent for longer. */
static bool
add_tuple(struct rt_webrtc_transport *t, const struct rt_tuple *from)
{
	struct peer_tuple *p = find_tuple(t->table, from);

	if (p != NULL && p->transport != t)
	{
		if (rt_hub_now_us(t->hub) - p->seen_us < HELD_US)
			return false;
		drop_tuple(p);
		p = NULL;
	}
	if (p == NULL)
	{
		p = take_slot(t);
		p->used = true;
		p->transport = t;
		p->tuple = *from;
		make_key(&p->key, from);
		rt_map_put(t->table->tuples, &p->key, sizeof(p->key), p);
	}
	p->seen_us = rt_hub_now_us(t->hub);
	return true;
}

static void
select_tuple(struct rt_webrtc_transport *t, const struct rt_tuple *to)
{
	if (t->selected && rt_tuple_same(&t->outlet.tuple, to))
		return;
	rt_port_flush(rt_hub_port(t->hub)); /* what is queued goes the way it was meant for */
	t->outlet.tuple = *to;
	t->selected = true;
	t->paths++;
}

void
rt_webrtc_transport_stun(struct rt_webrtc_transport_table *table, const struct rt_tuple *from, uint8_t *data,
						 size_t len)
{
	struct rt_ice_check check;
	uint8_t out[512];
	size_t out_len;
	enum rt_result rc = rt_ice_answer(table->ice, data, len, &from->addr.any, rt_tuple_addr_len(from), out,
									  sizeof(out), &out_len, &check);
	struct credentials *u;

	if (rc == RT_BAD_INPUT)
		rt_hub_count(table->hub, RT_HUB_BAD_STUN, 1);
	if (rc == RT_OK && (u = rt_map_find_str(table->ufrags, check.local_ufrag)))
	{
		struct rt_webrtc_transport *t = u->transport;

		if (!add_tuple(t, from))
		{
			rt_hub_count(table->hub, RT_HUB_BAD_STUN, 1);
			return; /* the answer would go to the other peer */
		}
		if (u == t->credentials)
			free_credentials(t, &t->old_credentials);
		t->stun_us = rt_hub_now_us(table->hub);
		if (!t->reached_us)
			t->reached_us = rt_hub_now_us(table->hub);
		if (!t->selected || (check.nominate && check.nomination >= t->nomination))
		{
			select_tuple(t, from);
			t->nomination = check.nomination;
		}
	}
	if (out_len)
		rt_port_send(rt_hub_port(table->hub), from, out, out_len);
}

void
rt_webrtc_transport_tcp_closed(struct rt_webrtc_transport_table *table, const struct rt_tuple *from)
{
	struct peer_tuple *p = find_tuple(table, from);

	if (p != NULL)
		drop_tuple(p);
}

/* ---- DTLS ---- */

static void
on_dtls_send(void *arg, const uint8_t *data, size_t len)
{
	struct rt_webrtc_transport *t = arg;

	if (t->selected)
		rt_port_send(rt_hub_port(t->hub), &t->outlet.tuple, data, len);
}

static void
arm_dtls_timer(struct rt_webrtc_transport *t)
{
	int ms = rt_dtls_timeout_ms(t->dtls);

	if (ms < 0)
		rt_timer_stop(t->dtls_timer);
	else
		rt_timer_start(t->dtls_timer, (uint64_t) ms + 1);
}

/* After anything that may have changed the state. */
static void
note_dtls_state(struct rt_webrtc_transport *t)
{
	struct rt_dtls_keys keys;

	arm_dtls_timer(t);
	switch (rt_dtls_get_state(t->dtls))
	{
		case RT_DTLS_CONNECTED:
			if (t->srtp != NULL)
				return;
			if (!rt_dtls_export_keys(t->dtls, &keys) || rt_srtp_new(&t->srtp, &keys) != RT_OK)
			{
				t->handler.on_ended(t->handler.arg, "no SRTP profile in common");
				return;
			}
			memset(&keys, 0, sizeof(keys));
			t->handler.on_connected(t->handler.arg);
			return;
		case RT_DTLS_FAILED:
			t->handler.on_ended(t->handler.arg, "DTLS failed");
			return;
		case RT_DTLS_CLOSED:
			t->handler.on_ended(t->handler.arg, "closed by the peer");
			return;
		case RT_DTLS_NEW:
		case RT_DTLS_CONNECTING:
			return;
	}
}

static void
on_dtls_timer(void *arg)
{
	struct rt_webrtc_transport *t = arg;

	rt_dtls_timeout(t->dtls);
	note_dtls_state(t);
}

/* Before signalling has told the peer's fingerprint too: a browser whose first packet is not answered waits 50 ms
 * until it sends it again.  Nothing is sent or taken under keys whose owner is not known. */
void
rt_webrtc_transport_dtls(struct rt_webrtc_transport *t, const uint8_t *data, size_t len)
{
	rt_dtls_receive(t->dtls, data, len);
	note_dtls_state(t);
}

enum rt_result
rt_webrtc_transport_connect(struct rt_webrtc_transport *t, const struct rt_dtls_params *p)
{
	if (t->connect_told)
		return RT_BAD_INPUT;
	if (rt_dtls_set_fingerprint(t->dtls, p->algorithm, p->digest, p->digest_len) != RT_OK)
		return RT_BAD_INPUT;
	t->connect_told = true;
	if (p->role == RT_DTLS_SERVER)
		rt_dtls_connect(t->dtls);
	note_dtls_state(t);
	return RT_OK;
}

/* ---- life ---- */

struct rt_webrtc_transport *
rt_webrtc_transport_new(struct rt_webrtc_transport_table *table, const struct rt_webrtc_transport_handler *handler)
{
	struct rt_webrtc_transport *t = rt_alloc(sizeof(*t));

	t->table = table;
	t->hub = table->hub;
	t->handler = *handler;
	t->created_us = rt_hub_now_us(t->hub);
	t->credentials = new_credentials(t);
	t->dtls = rt_dtls_new(rt_hub_certificate(t->hub), on_dtls_send, t);
	t->dtls_timer = rt_timer_new(rt_hub_loop(t->hub), on_dtls_timer, t);
	return t;
}

static void
free_transport(void *arg)
{
	struct rt_webrtc_transport *t = arg;

	rt_timer_free(t->dtls_timer);
	rt_dtls_free(t->dtls);
	rt_srtp_free(t->srtp);
	free(t);
}

void
rt_webrtc_transport_close(struct rt_webrtc_transport *t)
{
	if (t->closing)
		return;
	t->closing = true;
	rt_dtls_close(t->dtls);
	rt_timer_stop(t->dtls_timer);
	for (int i = 0; i < MAX_TUPLES; i++)
		if (t->tuples[i].used)
			drop_tuple(&t->tuples[i]);
	rt_port_forget(rt_hub_port(t->hub), &t->outlet);
	free_credentials(t, &t->credentials);
	free_credentials(t, &t->old_credentials);
	rt_loop_defer(rt_hub_loop(t->hub), free_transport, t);
}

bool
rt_webrtc_transport_ready(const struct rt_webrtc_transport *t)
{
	return t->srtp != NULL && t->selected && !t->closing;
}

const char *
rt_webrtc_transport_ice_state(const struct rt_webrtc_transport *t)
{
	if (!t->stun_us)
		return "new";
	if (!t->selected || rt_hub_now_us(t->hub) - t->stun_us > rt_hub_idle_timeout_us(t->hub))
		return "disconnected";
	return t->srtp != NULL ? "completed" : "connected";
}

const char *
rt_webrtc_transport_dtls_state(const struct rt_webrtc_transport *t)
{
	static const char *const names[] = {"new", "connecting", "connected", "failed", "closed"};

	return names[rt_dtls_get_state(t->dtls)];
}

/* Consent (RFC 7675): a peer that has not checked for the idle time is gone; so is one that never came. */
const char *
rt_webrtc_transport_overdue(const struct rt_webrtc_transport *t)
{
	uint64_t since = t->stun_us ? t->stun_us : t->created_us, limit = rt_hub_idle_timeout_us(t->hub);

	/* One that was made ahead of its first producer or consumer has not been told to connect: it may wait longer. */
	if (!t->stun_us && !t->connect_told)
		limit *= 20;
	if (rt_hub_now_us(t->hub) - since >= limit)
		return t->stun_us ? "no answer from the peer" : "the peer never came";
	if (t->stun_us && t->srtp == NULL && rt_hub_now_us(t->hub) - t->reached_us >= limit)
		return "no DTLS from the peer";
	return NULL;
}

void *
rt_webrtc_transport_owner(const struct rt_webrtc_transport *t)
{
	return t->handler.arg;
}

const char *
rt_webrtc_transport_ufrag(const struct rt_webrtc_transport *t)
{
	return t->credentials->ufrag;
}

const char *
rt_webrtc_transport_pwd(const struct rt_webrtc_transport *t)
{
	return t->credentials->pwd;
}

void
rt_webrtc_transport_note_rtt(struct rt_webrtc_transport *t, uint32_t ms)
{
	t->rtt_ms = ms;
}

uint32_t
rt_webrtc_transport_rtt_ms(const struct rt_webrtc_transport *t)
{
	return t->rtt_ms;
}

void
rt_webrtc_transport_read_stats(const struct rt_webrtc_transport *t, struct rt_webrtc_transport_stats *out)
{
	*out = (struct rt_webrtc_transport_stats){.selected = t->selected,
											  .packets_in = t->packets_in,
											  .bytes_in = t->bytes_in,
											  .packets_out = t->packets_out,
											  .bytes_out = t->bytes_out,
											  .srtp_failures = t->srtp_failures,
											  .rtt_ms = t->rtt_ms};
	if (t->selected)
		out->tuple = t->outlet.tuple;
	for (int i = 0; i < MAX_TUPLES; i++)
		out->tuples += t->tuples[i].used;
}

/* ---- packets ---- */

static bool
note_opened(struct rt_webrtc_transport *t, enum rt_result rc)
{
	if (rc == RT_OK)
		return true;
	rt_hub_count(t->hub, RT_HUB_BAD_SRTP, 1);
	t->srtp_failures++;
	return false;
}

bool
rt_webrtc_transport_open_rtp(struct rt_webrtc_transport *t, uint8_t *data, size_t *len)
{
	if (t->srtp == NULL)
	{
		rt_hub_count(t->hub, RT_HUB_STRAY, 1);
		return false;
	}
	if (!note_opened(t, rt_srtp_unprotect(t->srtp, data, len)))
		return false;
	t->packets_in++;
	t->bytes_in += *len;
	return true;
}

bool
rt_webrtc_transport_open_rtcp(struct rt_webrtc_transport *t, uint8_t *data, size_t *len)
{
	if (t->srtp == NULL)
	{
		rt_hub_count(t->hub, RT_HUB_STRAY, 1);
		return false;
	}
	return note_opened(t, rt_srtp_unprotect_rtcp(t->srtp, data, len));
}

void
rt_webrtc_transport_send_rtcp(struct rt_webrtc_transport *t, uint8_t *data, size_t len, size_t cap)
{
	if (!rt_webrtc_transport_ready(t) || len == 0 || len + RT_SRTP_OVERHEAD > cap)
		return;
	if (rt_srtp_protect_rtcp(t->srtp, data, &len) == RT_OK)
		rt_port_send(rt_hub_port(t->hub), &t->outlet.tuple, data, len);
}

size_t
rt_webrtc_transport_queue_rtp(struct rt_webrtc_transport *t, struct rt_srtp_roc *roc, uint8_t *out, size_t header_len,
							  const uint8_t *prefix, size_t prefix_len, const uint8_t *payload, size_t payload_len)
{
	size_t len = rt_srtp_protect(t->srtp, roc, out, header_len, prefix, prefix_len, payload, payload_len);

	if (len == 0)
		return 0;
	rt_port_queue(rt_hub_port(t->hub), &t->outlet, len);
	t->packets_out++;
	t->bytes_out += len;
	return len;
}

void
rt_webrtc_transport_queue_again(struct rt_webrtc_transport *t, size_t len)
{
	rt_port_queue(rt_hub_port(t->hub), &t->outlet, len);
	t->packets_out++;
	t->bytes_out += len;
}

uint32_t
rt_webrtc_transport_paths(const struct rt_webrtc_transport *t)
{
	return t->paths;
}

bool
rt_webrtc_transport_is_aead(const struct rt_webrtc_transport *t)
{
	return rt_srtp_is_aead(t->srtp);
}

/* ---- the table ---- */

struct rt_webrtc_transport_table *
rt_webrtc_transport_table_new(struct rt_hub *h)
{
	struct rt_webrtc_transport_table *table = rt_alloc(sizeof(*table));

	table->hub = h;
	table->ufrags = rt_map_new();
	table->tuples = rt_map_new();
	table->ice = rt_ice_new(find_password, table);
	return table;
}

void
rt_webrtc_transport_table_free(struct rt_webrtc_transport_table *table)
{
	if (table == NULL)
		return;
	rt_ice_free(table->ice);
	rt_map_free(table->ufrags);
	rt_map_free(table->tuples);
	free(table);
}
