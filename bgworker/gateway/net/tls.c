/* tls.c: ends TLS by OpenSSL, between a peer's socket and one end of a pair of local ones.
 *
 * network.c wraps a connection as soon as it has been accepted; the rest of the program sees the other end of the
 * pair and knows nothing of TLS.
 *
 * A connection reads from one side only what the other side has room for: at most one record is kept for each
 * direction.  Its time limits are otherwise those of what is served at the inner end. */
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bgworker/common/activity.h"
#include "bgworker/common/alloc.h"
#include "bgworker/common/buf.h"
#include "bgworker/common/log.h"
#include "bgworker/common/loop.h"
#include "bgworker/common/wheel.h"
#include "network_settings.h"

#define RECORD_BYTES 16384
#define RECORDS_A_TURN 8
#define HANDSHAKE_MS 10000
#define STALLED_MS 30000 /* without the peer taking anything */
#define LINE_BYTES 64
#define IDENTITY_BYTES 32
#define LAST_BYTES_MS 5000 /* for what is still to be sent when the inner end has closed */

struct tls_conn
{
	struct rt_tls *tls;
	struct tls_conn *next;
	struct tls_conn *prev;
	SSL *ssl;
	int fd;
	int inner;
	struct rt_watch *fd_watch;
	struct rt_watch *inner_watch;
	struct rt_buf to_peer;
	struct rt_buf to_inner;
	struct rt_wheel_entry timeout;
	bool reads_want_write; /* of the last SSL_read() */
	bool writes_want_read; /* of the last SSL_write() */
	bool inner_ended;
	bool finishing;
	bool shaken;  /* the handshake is over */
	bool greeted; /* what came first has been looked at */
	bool is_guest;
	struct rt_tls_guest guest;
	char identity[IDENTITY_BYTES];
	char line[LINE_BYTES];
	size_t line_len;
	bool closed;
};

struct rt_tls
{
	struct rt_loop *loop;
	struct rt_wheel *wheel;
	SSL_CTX *ctx;
	struct tls_conn *first;
	void (*on_hello)(void *arg, int fd);
	void *hello_arg;
	unsigned char secret[RT_TLS_SECRET_BYTES];
	bool (*is_ours)(void *arg, int number);
	void *ours_arg;
	char scratch[RECORD_BYTES];
};

static void
free_conn(void *arg)
{
	free(arg);
}

static void
close_conn(struct tls_conn *c)
{
	struct rt_tls *t = c->tls;

	if (c->closed)
		return;
	c->closed = true;
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		t->first = c->next;
	rt_wheel_unset(t->wheel, &c->timeout);
	rt_watch_free(c->fd_watch);
	rt_watch_free(c->inner_watch);
	SSL_free(c->ssl);
	if (c->fd >= 0)
		close(c->fd);
	if (c->inner >= 0)
		close(c->inner);
	rt_buf_fini(&c->to_peer);
	rt_buf_fini(&c->to_inner);
	rt_loop_defer(t->loop, free_conn, c);
	if (c->is_guest)
		c->guest.on_end(c->guest.arg, c->shaken);
}

static void
on_timeout(struct rt_wheel_entry *entry)
{
	close_conn((struct tls_conn *) ((char *) entry - offsetof(struct tls_conn, timeout)));
}

static void on_events(void *arg, int events);

/* ---- moving bytes -------------------------------------------------------------------- */

/* RT_OK: n bytes were moved; RT_AGAIN: later; RT_GONE. */
static enum rt_result
ssl_result(struct tls_conn *c, int n, bool *wants_other)
{
	int error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, n);

	*wants_other = false;
	switch (error)
	{
		case SSL_ERROR_NONE:
			return RT_OK;
		case SSL_ERROR_WANT_READ:
			return RT_AGAIN;
		case SSL_ERROR_WANT_WRITE:
			*wants_other = true;
			return RT_AGAIN;
		default:
			ERR_clear_error();
			return RT_GONE;
	}
}

static enum rt_result
read_from_peer(struct tls_conn *c)
{
	struct rt_tls *t = c->tls;
	enum rt_result rc;
	ssize_t sent;
	int n;

	if (rt_buf_len(&c->to_inner) > 0)
		return RT_AGAIN;
	ERR_clear_error();
	n = SSL_read(c->ssl, t->scratch, sizeof(t->scratch));
	rc = ssl_result(c, n, &c->reads_want_write);
	if (rc != RT_OK)
		return rc;
	sent = send(c->inner, t->scratch, (size_t) n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		return RT_GONE;
	if (sent < 0)
		sent = 0;
	return rt_buf_put(&c->to_inner, t->scratch + sent, (size_t) (n - sent));
}

/* What is left of the last record. */
static enum rt_result
write_to_inner(struct tls_conn *c)
{
	size_t len;
	char *data = rt_buf_peek(&c->to_inner, &len);
	ssize_t n;

	if (len == 0)
		return RT_OK;
	n = send(c->inner, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? RT_AGAIN : RT_GONE;
	rt_buf_drop(&c->to_inner, (size_t) n);
	return (size_t) n == len ? RT_OK : RT_AGAIN;
}

static enum rt_result
write_to_peer(struct tls_conn *c)
{
	size_t len;
	char *data = rt_buf_peek(&c->to_peer, &len);
	enum rt_result rc;
	bool wants_write;
	int n;

	c->writes_want_read = false;
	if (len == 0)
		return RT_OK;
	ERR_clear_error();
	n = SSL_write(c->ssl, data, (int) len);
	rc = ssl_result(c, n, &wants_write);
	c->writes_want_read = rc == RT_AGAIN && !wants_write;
	if (rc != RT_OK)
		return rc;
	rt_buf_drop(&c->to_peer, (size_t) n);
	if ((size_t) n < len)
		return RT_AGAIN;
	rt_wheel_unset(c->tls->wheel, &c->timeout);
	return RT_OK;
}

static enum rt_result
read_from_inner(struct tls_conn *c)
{
	ssize_t n;

	if (rt_buf_len(&c->to_peer) > 0)
		return RT_AGAIN;
	n = recv(c->inner, c->tls->scratch, sizeof(c->tls->scratch), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? RT_AGAIN : RT_GONE;
	if (n == 0)
	{
		c->inner_ended = true;
		return RT_AGAIN;
	}
	rt_buf_put(&c->to_peer, c->tls->scratch, (size_t) n);
	if (c->shaken)
		rt_wheel_set(c->tls->wheel, &c->timeout, STALLED_MS);
	return write_to_peer(c);
}

/* Another gateway does not begin with a handshake.  True: the descriptor is not ours any more. */
static bool
is_other_gateway(struct tls_conn *c)
{
	char bytes[RT_TLS_HELLO_LEN];
	ssize_t n;
	int fd = c->fd;

	if (c->greeted || c->tls->on_hello == NULL)
		return false;
	n = recv(fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	if (n <= 0)
		return false;
	c->greeted = true;
	if (n != sizeof(bytes) || memcmp(bytes, RT_TLS_HELLO, sizeof(bytes)) != 0 ||
		recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) != sizeof(bytes))
		return false;
	rt_watch_free(c->fd_watch);
	c->fd_watch = NULL;
	c->fd = -1;
	close_conn(c);
	c->tls->on_hello(c->tls->hello_arg, fd);
	return true;
}

/* RT_OK: the first line is there. */
static enum rt_result
read_line(struct tls_conn *c)
{
	int n = 0;

	while (c->line_len < sizeof(c->line) && (n = SSL_read(c->ssl, c->line + c->line_len, 1)) == 1)
	{
		if (c->line[c->line_len] == '\n')
		{
			c->line[c->line_len] = '\0';
			return RT_OK;
		}
		c->line_len++;
	}
	return c->line_len == sizeof(c->line) ? RT_GONE : ssl_result(c, n, &c->reads_want_write);
}

/* Until both have shown that they have the secret nothing is moved.  (A certificate would pass for OpenSSL alone.) */
static enum rt_result
open_guest(struct tls_conn *c)
{
	enum rt_result rc;

	ERR_clear_error();
	if (!SSL_is_init_finished(c->ssl))
	{
		rc = ssl_result(c, SSL_do_handshake(c->ssl), &c->reads_want_write);
		if (rc != RT_OK)
			return rc;
	}
	if (!SSL_session_reused(c->ssl))
		return RT_GONE;
	rc = c->guest.connects ? RT_OK : read_line(c);
	if (rc != RT_OK)
		return rc;
	c->inner = c->guest.on_open(c->guest.arg, c->guest.connects ? NULL : c->line);
	c->inner_watch = c->inner < 0 ? NULL : rt_watch_new(c->tls->loop, c->inner, on_events, c);
	if (c->inner_watch == NULL)
		return RT_GONE;
	c->shaken = true;
	rt_wheel_unset(c->tls->wheel, &c->timeout);
	if (rt_buf_len(&c->to_peer) > 0)
		rt_wheel_set(c->tls->wheel, &c->timeout, STALLED_MS);
	return RT_OK;
}

/* False: there is nothing to move yet, or no longer. */
static bool
is_open(struct tls_conn *c)
{
	enum rt_result rc = RT_OK;

	if (c->is_guest && !c->shaken)
		rc = open_guest(c);
	if (rc == RT_GONE)
		close_conn(c);
	else if (rc == RT_AGAIN)
		rt_watch_set(c->fd_watch, c->reads_want_write ? RT_READABLE | RT_WRITABLE : RT_READABLE);
	return rc == RT_OK;
}

static void
watch_for(struct tls_conn *c)
{
	bool inner_waits = rt_buf_len(&c->to_inner) > 0;
	bool peer_waits = rt_buf_len(&c->to_peer) > 0;
	int fd_events = 0;
	int inner_events = 0;

	if (!inner_waits || c->writes_want_read)
		fd_events |= RT_READABLE;
	if ((peer_waits && !c->writes_want_read) || c->reads_want_write)
		fd_events |= RT_WRITABLE;
	if (!peer_waits && !c->inner_ended)
		inner_events |= RT_READABLE;
	if (inner_waits)
		inner_events |= RT_WRITABLE;
	rt_watch_set(c->fd_watch, fd_events);
	rt_watch_set(c->inner_watch, inner_events);
}

/* The inner end has closed: what it sent goes out, then we say goodbye. */
static void
finish(struct tls_conn *c)
{
	if (rt_buf_len(&c->to_peer) == 0)
	{
		SSL_shutdown(c->ssl);
		ERR_clear_error();
		close_conn(c);
	}
	else if (!c->finishing)
	{
		c->finishing = true;
		rt_wheel_set(c->tls->wheel, &c->timeout, LAST_BYTES_MS);
	}
}

static void
note_handshake(struct tls_conn *c)
{
	if (c->shaken || !SSL_is_init_finished(c->ssl))
		return;
	c->shaken = true;
	rt_wheel_unset(c->tls->wheel, &c->timeout);
}

static void
pump(struct tls_conn *c)
{
	enum rt_result in = RT_OK;
	enum rt_result out = RT_OK;

	if (write_to_inner(c) == RT_GONE || write_to_peer(c) == RT_GONE)
		in = RT_GONE;
	for (int n = 0; n < RECORDS_A_TURN && in == RT_OK; n++)
		in = read_from_peer(c);
	note_handshake(c);
	for (int n = 0; n < RECORDS_A_TURN && in != RT_GONE && out == RT_OK; n++)
		out = read_from_inner(c);
	if (in == RT_GONE || out == RT_GONE)
		close_conn(c);
	else if (c->inner_ended)
		finish(c);
	if (!c->closed)
		watch_for(c);
}

static void resume(void *arg);

static void
on_events(void *arg, int events)
{
	struct tls_conn *c = arg;

	(void) events;
	rt_activity_begin(RT_ACTIVITY_TLS);
	if (c->closed || is_other_gateway(c) || !is_open(c))
		return;
	pump(c);
	/* Bytes that OpenSSL has read already do not make the descriptor readable. */
	if (!c->closed && SSL_pending(c->ssl) > 0 && rt_buf_len(&c->to_inner) == 0)
		rt_loop_defer(c->tls->loop, resume, c);
}

static void
resume(void *arg)
{
	on_events(arg, RT_READABLE);
}

/* ---- beginning and end ------------------------------------------------------------------ */

static struct tls_conn *
new_conn(struct rt_tls *t, int fd, int inner)
{
	struct tls_conn *c = rt_alloc(sizeof(*c));

	c->tls = t;
	c->fd = fd;
	c->inner = inner;
	c->timeout.fn = on_timeout;
	rt_buf_init(&c->to_peer, RECORD_BYTES);
	rt_buf_init(&c->to_inner, RECORD_BYTES);
	c->next = t->first;
	if (t->first != NULL)
		t->first->prev = c;
	t->first = c;
	c->fd_watch = rt_watch_new(t->loop, fd, on_events, c);
	c->inner_watch = inner < 0 ? NULL : rt_watch_new(t->loop, inner, on_events, c);
	return c;
}

int
rt_tls_wrap(struct rt_tls *t, int fd)
{
	int pair[2];
	SSL *ssl;
	struct tls_conn *c;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
	{
		close(fd);
		return -1;
	}
	ssl = SSL_new(t->ctx);
	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
	{
		SSL_free(ssl);
		close(fd);
		close(pair[0]);
		close(pair[1]);
		return -1;
	}
	SSL_set_accept_state(ssl);
	c = new_conn(t, fd, pair[0]);
	c->ssl = ssl;
	rt_wheel_set(t->wheel, &c->timeout, HANDSHAKE_MS);
	if (c->fd_watch == NULL || c->inner_watch == NULL)
	{
		close_conn(c);
		close(pair[1]);
		return -1;
	}
	watch_for(c);
	return pair[1];
}

/* HTTP/2 is not spoken here. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned int in_len,
		void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";

	(void) ssl;
	(void) arg;
	if (SSL_select_next_proto((unsigned char **) out, out_len, ours, sizeof(ours) - 1, in, in_len) !=
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

/* A key with a passphrase must not make the program ask for it. */
static int
on_passphrase(char *buf, int size, int writing, void *arg)
{
	(void) buf;
	(void) size;
	(void) writing;
	(void) arg;
	return 0;
}

static void
log_openssl_error(const char *what)
{
	char reason[256];

	ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
	ERR_clear_error();
	rt_log(RT_LOG_ERROR, "tls", "cannot use the %s: %s", what, reason);
}

/* The server's certificate, and those behind it as its chain. */
static bool
use_certificates(SSL_CTX *ctx, const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
	bool used = cert != NULL && SSL_CTX_use_certificate(ctx, cert) == 1;
	unsigned long end;

	X509_free(cert);
	while (used && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
	{
		used = SSL_CTX_add0_chain_cert(ctx, cert) == 1;
		if (!used)
			X509_free(cert);
	}
	BIO_free(bio);
	end = ERR_peek_last_error();
	if (!used || ERR_GET_LIB(end) != ERR_LIB_PEM || ERR_GET_REASON(end) != PEM_R_NO_START_LINE)
		return false;
	ERR_clear_error();
	return true;
}

static bool
use_key(SSL_CTX *ctx, const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, NULL);
	bool used = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;

	EVP_PKEY_free(key);
	BIO_free(bio);
	return used;
}

/* Nothing is resumed, as in PostgreSQL itself: a ticket's key would live as long as the certificate, and what was
 * sent before could be read by whoever gets it.  Under TLS 1.2, forward secrecy and authenticated encryption alone.
 */
static SSL_CTX *
new_context(const struct rt_network_settings *o)
{
	SSL_CTX *ctx;

	if (o->tls_cert == NULL || o->tls_key == NULL)
	{
		rt_log(RT_LOG_ERROR, "tls", "could not read a certificate with its key");
		return NULL;
	}
	ctx = SSL_CTX_new(TLS_server_method());
	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, strcmp(o->tls_min_version, "TLSv1.3") == 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20");
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
								 SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_mode(ctx,
					 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	if (!use_certificates(ctx, o->tls_cert))
		log_openssl_error("certificate of rt.ssl_cert_file");
	else if (!use_key(ctx, o->tls_key))
		log_openssl_error("key of rt.ssl_key_file");
	else
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

enum rt_result
rt_tls_new(struct rt_tls **tp, struct rt_loop *l, struct rt_wheel *w, const struct rt_network_settings *o)
{
	SSL_CTX *ctx = new_context(o);
	struct rt_tls *t;

	if (ctx == NULL)
		return RT_INTERNAL;
	t = rt_alloc(sizeof(*t));
	t->loop = l;
	t->wheel = w;
	t->ctx = ctx;
	*tp = t;
	return RT_OK;
}

enum rt_result
rt_tls_reload(struct rt_tls *t, const struct rt_network_settings *o)
{
	SSL_CTX *ctx = new_context(o);

	if (ctx == NULL)
	{
		rt_log(RT_LOG_WARNING, "tls", "keeping the previous certificate");
		return RT_INTERNAL;
	}
	SSL_CTX_free(t->ctx); /* connections hold references of their own */
	t->ctx = ctx;
	return RT_OK;
}

/* ---- between gateways --------------------------------------------------------------------- */

void
rt_tls_on_hello(struct rt_tls *t, void (*on_hello)(void *arg, int fd), void *arg)
{
	t->on_hello = on_hello;
	t->hello_arg = arg;
}

/* RFC 8446, section 4.2.11: an external key, with the hash of its only cipher. */
static SSL_SESSION *
new_session(SSL *ssl, const unsigned char *secret)
{
	static const unsigned char aes_128_gcm_sha256[] = {0x13, 0x01};
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, aes_128_gcm_sha256);
	SSL_SESSION *session = SSL_SESSION_new();

	if (session != NULL && cipher != NULL && SSL_SESSION_set1_master_key(session, secret, RT_TLS_SECRET_BYTES) == 1 &&
		SSL_SESSION_set_cipher(session, cipher) == 1 &&
		SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1)
		return session;
	SSL_SESSION_free(session);
	return NULL;
}

static int
on_use_secret(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *len, SSL_SESSION **session)
{
	const struct tls_conn *c = SSL_get_app_data(ssl);

	(void) md;
	*id = (const unsigned char *) c->identity;
	*len = strlen(c->identity);
	*session = new_session(ssl, c->tls->secret);
	return *session != NULL;
}

/* Another number than ours: another gateway has our address, or had it. */
static int
on_find_secret(SSL *ssl, const unsigned char *id, size_t len, SSL_SESSION **session)
{
	const struct tls_conn *c = SSL_get_app_data(ssl);
	char text[IDENTITY_BYTES];
	int number;

	*session = NULL;
	if (len >= sizeof(text))
		return 1;
	memcpy(text, id, len);
	text[len] = '\0';
	if (sscanf(text, "rt-gateway-%d", &number) == 1 && c->tls->is_ours(c->tls->ours_arg, number))
		*session = new_session(ssl, c->tls->secret);
	return 1;
}

struct rt_tls *
rt_tls_of_secret(struct rt_loop *l, struct rt_wheel *w, const unsigned char *secret,
				 bool (*is_ours)(void *arg, int number), void *arg)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	struct rt_tls *t;

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_mode(ctx,
					 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_psk_use_session_callback(ctx, on_use_secret);
	SSL_CTX_set_psk_find_session_callback(ctx, on_find_secret);
	t = rt_alloc(sizeof(*t));
	t->loop = l;
	t->wheel = w;
	t->ctx = ctx;
	t->is_ours = is_ours;
	t->ours_arg = arg;
	rt_tls_set_secret(t, secret);
	return t;
}

void
rt_tls_set_secret(struct rt_tls *t, const unsigned char *secret)
{
	memcpy(t->secret, secret, sizeof(t->secret));
}

static void
begin_handshake(void *arg)
{
	on_events(arg, RT_READABLE);
}

void
rt_tls_invite(struct rt_tls *t, int fd, const struct rt_tls_guest *guest, const void *first, size_t len)
{
	struct tls_conn *c = new_conn(t, fd, -1);

	c->is_guest = true;
	c->guest = *guest;
	c->ssl = SSL_new(t->ctx);
	c->to_peer.limit_bytes = RECORD_BYTES + len;
	if (c->ssl == NULL || c->fd_watch == NULL || SSL_set_fd(c->ssl, fd) != 1 ||
		(len > 0 && rt_buf_put(&c->to_peer, first, len) != RT_OK))
	{
		close_conn(c);
		return;
	}
	SSL_set_app_data(c->ssl, c);
	snprintf(c->identity, sizeof(c->identity), "rt-gateway-%d", guest->number);
	/* No certificate is trusted, so a server that has not got the secret is none. */
	SSL_set_verify(c->ssl, guest->connects ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (guest->connects)
		SSL_set_connect_state(c->ssl);
	else
		SSL_set_accept_state(c->ssl);
	rt_wheel_set(t->wheel, &c->timeout, HANDSHAKE_MS);
	rt_loop_defer(t->loop, begin_handshake, c);
}

void
rt_tls_free(struct rt_tls *t)
{
	if (t == NULL)
		return;
	while (t->first != NULL)
		close_conn(t->first);
	SSL_CTX_free(t->ctx);
	explicit_bzero(t->secret, sizeof(t->secret));
	free(t);
}
