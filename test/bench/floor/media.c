/* media.c: the least that forwarding can cost: receive, decrypt once, for each receiver copy, encrypt and send.
 *
 *   media_floor RECEIVERS PACKETS_A_SECOND BYTES SECONDS
 *
 * Three processes: one sends, one forwards, one takes what arrives.  The forwarder decrypts with one AES-GCM context
 * and encrypts with one for each receiver (RFC 7714), and hands all copies to the kernel in one sendmmsg().  It knows
 * no ICE, no reports, no retransmission.  The receivers' process naps, as the load generator does, so that no send
 * pays for waking it. Prints us_a_packet=, the forwarder's CPU for each packet that it sent, and lost=. */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_RECEIVERS 512
#define PACKET_MAX 1500
#define AT_ONCE 32
#define HEADER 12
#define TAG 16
#define NAP_US 500
#define WARM_SECONDS 1
#define PATIENCE 200 /* times 10 ms, until all has arrived */

struct shared
{
	volatile uint64_t arrived;
	volatile bool stop;
};

struct floor
{
	int nreceivers, pps, bytes, seconds;
	int from; /* what the forwarder reads and writes */
	struct sockaddr_in forwarder;
	int fds[MAX_RECEIVERS];
	struct sockaddr_in receivers[MAX_RECEIVERS];
	EVP_CIPHER_CTX *in, *out[MAX_RECEIVERS];
	struct shared *shared;
};

static double
clock_s(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static int
new_socket(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), space = 4 << 20;
	socklen_t len = sizeof(*at);

	*at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd < 0 || bind(fd, (struct sockaddr *) at, sizeof(*at)) < 0 ||
		getsockname(fd, (struct sockaddr *) at, &len) < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &space, sizeof(space));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &space, sizeof(space));
	return fd;
}

static EVP_CIPHER_CTX *
new_cipher(int encrypts)
{
	static const uint8_t key[16] = "a key, any key.";
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

	if (c == NULL || EVP_CipherInit_ex(c, EVP_aes_128_gcm(), NULL, key, NULL, encrypts) != 1)
		errx(1, "no cipher");
	return c;
}

/* RFC 7714, section 8.1: SSRC and sequence number in the nonce; the header is authenticated, the payload encrypted
 * too. */
static void
set_nonce(EVP_CIPHER_CTX *c, const uint8_t *packet)
{
	uint8_t nonce[12] = {0};

	memcpy(nonce + 2, packet + 8, 4);
	memcpy(nonce + 10, packet + 2, 2);
	if (EVP_CipherInit_ex(c, NULL, NULL, NULL, nonce, -1) != 1)
		errx(1, "nonce");
}

static void
protect(EVP_CIPHER_CTX *c, uint8_t *packet, int len)
{
	int n;

	set_nonce(c, packet);
	if (EVP_EncryptUpdate(c, NULL, &n, packet, HEADER) != 1 ||
		EVP_EncryptUpdate(c, packet + HEADER, &n, packet + HEADER, len - HEADER) != 1 ||
		EVP_EncryptFinal_ex(c, packet + len, &n) != 1 ||
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, packet + len) != 1)
		errx(1, "encrypt");
}

static void
unprotect(EVP_CIPHER_CTX *c, uint8_t *packet, int len)
{
	int n;

	set_nonce(c, packet);
	if (EVP_DecryptUpdate(c, NULL, &n, packet, HEADER) != 1 ||
		EVP_DecryptUpdate(c, packet + HEADER, &n, packet + HEADER, len - HEADER) != 1 ||
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, packet + len) != 1 ||
		EVP_DecryptFinal_ex(c, packet + len, &n) != 1)
		errx(1, "a packet is not authentic");
}

/* ---- the three processes --------------------------------------------------------------------- */

static void
run_receivers(struct floor *f)
{
	uint8_t data[PACKET_MAX];

	while (!f->shared->stop)
	{
		for (int i = 0; i < f->nreceivers; i++)
		{
			while (recv(f->fds[i], data, sizeof(data), MSG_DONTWAIT) > 0)
				f->shared->arrived++;
		}
		usleep(NAP_US);
	}
	_exit(0);
}

static void
run_sender(struct floor *f)
{
	EVP_CIPHER_CTX *c = new_cipher(1);
	uint8_t data[PACKET_MAX] = {0x80, 96};
	double due = clock_s(CLOCK_MONOTONIC);
	struct sockaddr_in at;
	int fd = new_socket(&at);

	for (uint16_t seq = 0; !f->shared->stop; seq++)
	{
		double wait = due - clock_s(CLOCK_MONOTONIC);

		if (wait > 0)
			usleep((useconds_t) (wait * 1e6));
		data[2] = (uint8_t) (seq >> 8);
		data[3] = (uint8_t) seq;
		protect(c, data, f->bytes);
		sendto(fd, data, (size_t) f->bytes + TAG, 0, (struct sockaddr *) &f->forwarder, sizeof(f->forwarder));
		due += 1.0 / f->pps;
	}
	_exit(0);
}

static void
send_copies(struct floor *f, const uint8_t *packet, int len)
{
	static uint8_t copies[MAX_RECEIVERS][PACKET_MAX];
	static struct mmsghdr messages[MAX_RECEIVERS];
	static struct iovec parts[MAX_RECEIVERS];
	int sent = 0, n;

	for (int i = 0; i < f->nreceivers; i++)
	{
		memcpy(copies[i], packet, (size_t) len);
		copies[i][10] ^= (uint8_t) (i >> 8);
		copies[i][11] ^= (uint8_t) i;
		protect(f->out[i], copies[i], len);
		parts[i] = (struct iovec){copies[i], (size_t) len + TAG};
		messages[i].msg_hdr = (struct msghdr){.msg_name = &f->receivers[i],
											  .msg_namelen = sizeof(f->receivers[i]),
											  .msg_iov = &parts[i],
											  .msg_iovlen = 1};
	}
	for (; sent < f->nreceivers; sent += n)
	{
		n = sendmmsg(f->from, messages + sent, (unsigned) (f->nreceivers - sent), 0);
		if (n <= 0)
			err(1, "sendmmsg");
	}
}

/* The number of packets that came until then. */
static uint64_t
forward_until(struct floor *f, double end)
{
	static uint8_t data[AT_ONCE][PACKET_MAX];
	struct mmsghdr messages[AT_ONCE];
	struct iovec parts[AT_ONCE];
	struct timespec patience = {.tv_nsec = 100000000};
	uint64_t count = 0;

	while (clock_s(CLOCK_MONOTONIC) < end)
	{
		int n;

		for (int i = 0; i < AT_ONCE; i++)
		{
			parts[i] = (struct iovec){data[i], PACKET_MAX};
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
		}
		n = recvmmsg(f->from, messages, AT_ONCE, MSG_WAITFORONE, &patience);
		for (int i = 0; i < n; i++)
		{
			int len = (int) messages[i].msg_len - TAG;

			unprotect(f->in, data[i], len);
			send_copies(f, data[i], len);
			count++;
		}
	}
	return count;
}

static void
measure(struct floor *f)
{
	uint64_t warm = forward_until(f, clock_s(CLOCK_MONOTONIC) + WARM_SECONDS);
	double cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
	uint64_t count = forward_until(f, clock_s(CLOCK_MONOTONIC) + f->seconds);
	uint64_t sent = (warm + count) * (uint64_t) f->nreceivers;

	cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	for (int i = 0; i < PATIENCE && f->shared->arrived < sent; i++)
		usleep(10000);
	printf("us_a_packet=%.3f\nlost=%llu\n", count == 0 ? 0 : cpu * 1e6 / (double) (count * (uint64_t) f->nreceivers),
		   (unsigned long long) (sent - f->shared->arrived));
}

int
main(int argc, char **argv)
{
	static struct floor f;
	pid_t receivers, sender;

	if (argc != 5)
		errx(2, "media_floor RECEIVERS PACKETS_A_SECOND BYTES SECONDS");
	f.nreceivers = atoi(argv[1]);
	f.pps = atoi(argv[2]);
	f.bytes = atoi(argv[3]);
	f.seconds = atoi(argv[4]);
	if (f.nreceivers < 1 || f.nreceivers > MAX_RECEIVERS || f.pps < 1 || f.bytes <= HEADER ||
		f.bytes + TAG > PACKET_MAX)
		errx(2, "a figure is out of range");
	f.shared = mmap(NULL, sizeof(*f.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f.shared == MAP_FAILED)
		err(1, "mmap");
	f.from = new_socket(&f.forwarder);
	f.in = new_cipher(0);
	for (int i = 0; i < f.nreceivers; i++)
	{
		f.fds[i] = new_socket(&f.receivers[i]);
		f.out[i] = new_cipher(1);
	}
	receivers = fork();
	if (receivers == 0)
		run_receivers(&f);
	sender = fork();
	if (sender == 0)
		run_sender(&f);
	measure(&f);
	f.shared->stop = true;
	waitpid(receivers, NULL, 0);
	waitpid(sender, NULL, 0);
	return 0;
}
