/* peers.h: connections between gateways, for a request that names the session of a gateway on another host.
 *
 * The request goes there, with its connection: bytes are moved between the client's socket and a TLS connection to
 * the other gateway, on the port where it serves clients.  Both prove that they have the secret that the database
 * gives to gateways alone (TLS 1.3 with a pre-shared key), so neither needs a certificate. */
#ifndef RT_PEERS_H
#define RT_PEERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "network_settings.h"
#include "bgworker/gateway/http/traffic.h"

struct rt_acceptor;
struct rt_db;
struct rt_loop;
struct rt_peers;
struct rt_wheel;

struct rt_peers_handler
{
	/* A request that another gateway has passed on, and whose client it is; owns the descriptor, which is counted. */
	void (*on_passed)(void *arg, int fd, const char *client);
	void *arg;
};

struct rt_peers *rt_peers_new(struct rt_loop *l, struct rt_wheel *w, const struct rt_network_settings *settings,
							  struct rt_traffic *traffic, const struct rt_peers_handler *handler);
void rt_peers_free(struct rt_peers *p); /* NULL is fine */

/* Without a secret nothing is passed on or taken.  hex: 64 digits. */
void rt_peers_set_secret(struct rt_peers *p, struct rt_db *db, const char *hex);

/* Passes a client's connection on, with what was read of it already.  False: it cannot, and nothing was taken. */
bool rt_peers_can_send(const struct rt_peers *p, int number);
void rt_peers_send(struct rt_peers *p, int number, int fd, const char *client, const char *data, size_t len);

/* Takes a counted descriptor on which RT_TLS_HELLO has been read. */
void rt_peers_accept(struct rt_peers *p, int fd);

/* Where other hosts may find these listeners: their addresses, or the machine's; a new array. */
json_t *rt_peers_addresses(const struct rt_acceptor *a);

#endif
