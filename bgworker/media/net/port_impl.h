/* port_impl.h: what port.c, which receives, and port_out.c, which sends, know of a port. */
#ifndef RT_PORT_IMPL_H
#define RT_PORT_IMPL_H

#include <sys/socket.h>

#include "port.h"

#define RT_PORT_SOCKETS 8
#define RT_PORT_BATCH_IN 64
#define RT_PORT_OUT_BUFFERS 1024

struct rt_port_socket
{
	struct rt_port *port;
	int fd;
	int listener; /* TCP, -1: none */
	struct rt_watch *watch, *listen_watch;
	char address[INET6_ADDRSTRLEN];
};

/* For recvmmsg(), prepared once. */
struct rt_port_batch
{
	struct mmsghdr msgs[RT_PORT_BATCH_IN];
	struct iovec iov[RT_PORT_BATCH_IN];
	struct rt_tuple from[RT_PORT_BATCH_IN];
};

struct rt_port_packet
{
	uint16_t len;
	int next; /* 1 + index */
};

struct rt_port
{
	struct rt_loop *loop;
	struct rt_port_handler handler;
	struct rt_port_socket sockets[RT_PORT_SOCKETS];
	int nsockets;
	struct rt_tcp *tcp;
	uint32_t next_tcp_id;
	struct rt_timer *sweep;
	struct rt_port_stats stats;
	bool no_gso;
	struct rt_outlet *dirty;
	int used; /* out buffers */
	struct rt_port_packet packets[RT_PORT_OUT_BUFFERS];
	uint8_t (*out)[RT_PORT_BUFFER];
	uint8_t (*in)[RT_PORT_BUFFER];
	struct rt_port_batch batch;
};

#endif
