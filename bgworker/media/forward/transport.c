#include "transport.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/rand.h>

#include "bgworker/common/log.h"
#include "consumer.h"
#include "producer.h"
#include "report.h"

/* ---- ICE ---- */

const char *
rt_transport_password(void *arg, const char *ufrag, size_t len)
{
	struct rt_engine *e = arg;
	struct rt_ufrag *u = rt_map_find(e->ufrags, ufrag, len);

	return u != NULL ? u->pwd : NULL;
}

static struct rt_ufrag *
new_ufrag(struct rt_transport *t)
{
	struct rt_ufrag *u = rt_alloc(sizeof(*u));

	u->transport = t;
	do
		rt_ice_random(u->ufrag, RT_ICE_UFRAG_LEN);
	while (!rt_map_put_str(t->engine->ufrags, u->ufrag, u));
	rt_ice_random(u->pwd, RT_ICE_PWD_LEN);
	return u;
}

static void
free_ufrag(struct rt_transport *t, struct rt_ufrag **up)
{
	if (*up == NULL)
		return;
	rt_map_take_str(t->engine->ufrags, (*up)->ufrag);
	free(*up);
	*up = NULL;
}

void
rt_transport_restart_ice(struct rt_transport *t)
{
	free_ufrag(t, &t->old_ufrag);
	t->old_ufrag = t->ufrag;
	t->ufrag = new_ufrag(t);
	t->nomination = 0;
}

enum rt_result
rt_transport_set_ice(struct rt_transport *t, const char *ufrag, const char *pwd)
{
	if (strlen(ufrag) > RT_ICE_UFRAG_LEN || strlen(pwd) > RT_ICE_PWD_LEN ||
		rt_map_find_str(t->engine->ufrags, ufrag) != NULL)
		return RT_BAD_INPUT;
	rt_map_take_str(t->engine->ufrags, t->ufrag->ufrag);
	strcpy(t->ufrag->ufrag, ufrag);
	strcpy(t->ufrag->pwd, pwd);
	rt_map_put_str(t->engine->ufrags, t->ufrag->ufrag, t->ufrag);
	return RT_OK;
}

static void
make_key(struct rt_tuple_key *k, const struct rt_tuple *t)
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

static struct rt_peer_tuple *
find_tuple(struct rt_engine *e, const struct rt_tuple *from)
{
	struct rt_tuple_key key;

	make_key(&key, from);
	return rt_map_find(e->tuples, &key, sizeof(key));
}

struct rt_transport *
rt_transport_find(struct rt_engine *e, const struct rt_tuple *from)
{
	struct rt_peer_tuple *p = find_tuple(e, from);

	return p != NULL ? p->transport : NULL;
}

static void
drop_tuple(struct rt_peer_tuple *p)
{
	struct rt_transport *t = p->transport;

	rt_map_take(t->engine->tuples, &p->key, sizeof(p->key));
	p->used = false;
	if (t->selected && rt_tuple_same(&t->outlet.tuple, &p->tuple))
	{
		rt_port_forget(t->engine->port, &t->outlet);
		t->selected = false;
	}
}

/* A place for one more: a free one, or that of the one that was silent longest and is not in use. */
static struct rt_peer_tuple *
take_slot(struct rt_transport *t)
{
	struct rt_peer_tuple *oldest = NULL;

	for (int i = 0; i < RT_MAX_TUPLES; i++)
	{
		struct rt_peer_tuple *p = &t->tuples[i];

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

static struct rt_peer_tuple *
add_tuple(struct rt_transport *t, const struct rt_tuple *from)
{
	struct rt_peer_tuple *p = find_tuple(t->engine, from);

	if (p != NULL && p->transport != t)
	{
		drop_tuple(p); /* the port was given to another peer since */
		p = NULL;
	}
	if (p == NULL)
	{
		p = take_slot(t);
		p->used = true;
		p->transport = t;
		p->tuple = *from;
		make_key(&p->key, from);
		rt_map_put(t->engine->tuples, &p->key, sizeof(p->key), p);
	}
	p->seen_us = t->engine->now_us;
	return p;
}

static void
select_tuple(struct rt_transport *t, const struct rt_tuple *to)
{
	if (t->selected && rt_tuple_same(&t->outlet.tuple, to))
		return;
	rt_port_flush(t->engine->port); /* what is queued goes the way it was meant for */
	t->outlet.tuple = *to;
	t->selected = true;
}

void
rt_transport_stun(struct rt_engine *e, const struct rt_tuple *from, uint8_t *data, size_t len)
{
	struct rt_ice_check check;
	uint8_t out[512];
	size_t out_len;
	enum rt_result rc = rt_ice_answer(e->ice, data, len, &from->addr.any, rt_tuple_addr_len(from), out, sizeof(out),
									  &out_len, &check);
	struct rt_ufrag *u;

	if (rc == RT_BAD_INPUT)
		e->bad_stun++;
	if (rc == RT_OK && (u = rt_map_find_str(e->ufrags, check.local_ufrag)))
	{
		struct rt_transport *t = u->transport;

		if (u == t->ufrag)
			free_ufrag(t, &t->old_ufrag);
		t->stun_us = e->now_us;
		if (!t->reached_us)
			t->reached_us = e->now_us;
		add_tuple(t, from);
		if (!t->selected || (check.nominate && check.nomination >= t->nomination))
		{
			select_tuple(t, from);
			t->nomination = check.nomination;
		}
	}
	if (out_len)
		rt_port_send(e->port, from, out, out_len);
}

void
rt_transport_tcp_closed(struct rt_engine *e, const struct rt_tuple *from)
{
	struct rt_peer_tuple *p = find_tuple(e, from);

	if (p != NULL)
		drop_tuple(p);
}

/* ---- DTLS ---- */

static void
on_dtls_send(void *arg, const uint8_t *data, size_t len)
{
	struct rt_transport *t = arg;

	if (t->selected)
		rt_port_send(t->engine->port, &t->outlet.tuple, data, len);
}

static void
arm_dtls_timer(struct rt_transport *t)
{
	int ms = rt_dtls_timeout_ms(t->dtls);

	if (ms < 0)
		rt_timer_stop(t->dtls_timer);
	else
		rt_timer_start(t->dtls_timer, (uint64_t) ms + 1);
}

/* After anything that may have changed the state. */
static void
note_dtls_state(struct rt_transport *t)
{
	struct rt_dtls_keys keys;

	arm_dtls_timer(t);
	switch (rt_dtls_state(t->dtls))
	{
		case RT_DTLS_CONNECTED:
			if (t->srtp != NULL)
				return;
			if (!rt_dtls_keys(t->dtls, &keys) || rt_srtp_new(&t->srtp, &keys) != RT_OK)
			{
				rt_report_transport_closed(t, "no SRTP profile in common");
				return;
			}
			memset(&keys, 0, sizeof(keys));
			rt_report_transport_state(t);
			for (struct rt_consumer *c = t->consumers; c != NULL; c = c->next)
				rt_consumer_begin(c);
			return;
		case RT_DTLS_FAILED:
			rt_report_transport_closed(t, "DTLS failed");
			return;
		case RT_DTLS_CLOSED:
			rt_report_transport_closed(t, "closed by the peer");
			return;
		case RT_DTLS_NEW:
		case RT_DTLS_CONNECTING:
			return;
	}
}

static void
on_dtls_timer(void *arg)
{
	struct rt_transport *t = arg;

	rt_dtls_timeout(t->dtls);
	note_dtls_state(t);
}

/* Before signalling has told the peer's fingerprint too: a browser whose first packet is not answered waits 50 ms
 * until it sends it again.  Nothing is sent or taken under keys whose owner is not known. */
void
rt_transport_dtls(struct rt_transport *t, const uint8_t *data, size_t len)
{
	rt_dtls_receive(t->dtls, data, len);
	note_dtls_state(t);
}

enum rt_result
rt_transport_connect(struct rt_transport *t, const struct rt_dtls_params *p)
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

static uint32_t
first_ssrc(void)
{
	uint32_t r = 0;

	RAND_bytes((unsigned char *) &r, sizeof(r));
	return 100000000 + r % 900000000;
}

struct rt_transport *
rt_transport_new(struct rt_router *r, const char *id, const char *participant_id, bool sends)
{
	struct rt_transport *t = rt_alloc(sizeof(*t));

	strncpy(t->id, id, RT_OBJECT_ID - 1);
	strncpy(t->participant_id, participant_id, RT_OBJECT_ID - 1);
	t->sends = sends;
	t->router = r;
	t->engine = r->engine;
	t->created_us = t->packet_us = r->engine->now_us;
	t->ufrag = new_ufrag(t);
	t->dtls = rt_dtls_new(r->engine->dtls, on_dtls_send, t);
	t->dtls_timer = rt_timer_new(r->engine->loop, on_dtls_timer, t);
	t->bwe = sends ? NULL : rt_bwe_new();
	t->twcc = sends ? rt_alloc(sizeof(*t->twcc)) : NULL;
	t->next_ssrc = first_ssrc();
	t->next = r->transports;
	r->transports = t;
	rt_map_put_str(r->engine->transports, t->id, t);
	return t;
}

static void
free_transport(void *arg)
{
	struct rt_transport *t = arg;

	rt_timer_free(t->dtls_timer);
	rt_dtls_free(t->dtls);
	rt_srtp_free(t->srtp);
	rt_bwe_free(t->bwe);
	free(t->twcc);
	free(t);
}

void
rt_transport_close(struct rt_transport *t)
{
	struct rt_transport **at = &t->router->transports;

	if (t->closing)
		return;
	t->closing = true;
	while (t->producers != NULL)
		rt_producer_close(t->producers);
	while (t->consumers != NULL)
		rt_consumer_close(t->consumers);
	rt_dtls_close(t->dtls);
	rt_timer_stop(t->dtls_timer);
	for (int i = 0; i < RT_MAX_TUPLES; i++)
		if (t->tuples[i].used)
			drop_tuple(&t->tuples[i]);
	rt_port_forget(t->engine->port, &t->outlet);
	free_ufrag(t, &t->ufrag);
	free_ufrag(t, &t->old_ufrag);
	rt_map_take_str(t->engine->transports, t->id);
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	rt_loop_defer(t->engine->loop, free_transport, t);
}

bool
rt_transport_ready(const struct rt_transport *t)
{
	return t->srtp != NULL && t->selected && !t->closing;
}

const char *
rt_transport_ice_state(const struct rt_transport *t)
{
	if (!t->stun_us)
		return "new";
	if (!t->selected || t->engine->now_us - t->stun_us > t->engine->idle_timeout_us)
		return "disconnected";
	return t->srtp != NULL ? "completed" : "connected";
}

const char *
rt_transport_dtls_state(const struct rt_transport *t)
{
	static const char *const names[] = {"new", "connecting", "connected", "failed", "closed"};

	return names[rt_dtls_state(t->dtls)];
}

/* Consent (RFC 7675): a peer that has not checked for the idle time is gone; so is one that never came. */
bool
rt_transport_expire(struct rt_transport *t)
{
	uint64_t since = t->stun_us ? t->stun_us : t->created_us, limit = t->engine->idle_timeout_us;

	/* One that was made ahead of its first producer or consumer has not been told to connect: it may wait longer. */
	if (!t->stun_us && !t->connect_told)
		limit *= 20;
	if (t->engine->now_us - since >= limit)
		rt_report_transport_closed(t, t->stun_us ? "no answer from the peer" : "the peer never came");
	else if (t->stun_us && t->srtp == NULL && t->engine->now_us - t->reached_us >= limit)
		rt_report_transport_closed(t, "no DTLS from the peer");
	return t->closing;
}

void
rt_transport_send_rtcp(struct rt_transport *t, uint8_t *data, size_t len, size_t cap)
{
	if (!rt_transport_ready(t) || len == 0 || len + RT_SRTP_OVERHEAD > cap)
		return;
	if (rt_srtp_protect_rtcp(t->srtp, data, &len) == RT_OK)
		rt_port_send(t->engine->port, &t->outlet.tuple, data, len);
}
