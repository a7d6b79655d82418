/* proxies.c: see proxies.h.
 *
 * Each proxy adds the address that it was asked from at the end, so the list is read from there, and no further than
 * it comes from proxies that are trusted: what stands before that, anybody can have written. */
#include "proxies.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bgworker/common/alloc.h"

#define MAX_NETWORKS 64
#define MAX_HOPS 32
#define MAX_ITEM 64

struct address
{
	int family;
	unsigned char bytes[16];
};

struct network
{
	struct address address;
	int bits;
};

struct rt_proxies
{
	struct network networks[MAX_NETWORKS];
	int n;
};

/* ::ffff:192.0.2.1 is 192.0.2.1. */
static bool
read_address(const char *text, struct address *a)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	if (inet_pton(AF_INET, text, a->bytes) == 1)
	{
		a->family = AF_INET;
		return true;
	}
	if (inet_pton(AF_INET6, text, a->bytes) != 1)
		return false;
	a->family = AF_INET6;
	if (memcmp(a->bytes, mapped, sizeof(mapped)) == 0)
	{
		a->family = AF_INET;
		memmove(a->bytes, a->bytes + 12, 4);
	}
	return true;
}

static bool
read_network(char *text, struct network *n)
{
	char *slash = strchr(text, '/');

	if (slash != NULL)
		*slash = '\0';
	if (!read_address(text, &n->address))
		return false;
	n->bits = slash == NULL ? 128 : atoi(slash + 1);
	if (slash != NULL && n->address.family == AF_INET && strchr(text, ':') != NULL)
		n->bits -= 96; /* of a mapped address */
	return n->bits >= 0;
}

static bool
is_in(const struct network *n, const struct address *a)
{
	int width = a->family == AF_INET ? 32 : 128;
	int bits = n->bits < width ? n->bits : width;

	if (n->address.family != a->family || memcmp(n->address.bytes, a->bytes, (size_t) bits / 8) != 0)
		return false;
	return bits % 8 == 0 || ((n->address.bytes[bits / 8] ^ a->bytes[bits / 8]) >> (8 - bits % 8)) == 0;
}

static bool
is_trusted(const struct rt_proxies *p, const struct address *a)
{
	for (int i = 0; i < p->n; i++)
	{
		if (is_in(&p->networks[i], a))
			return true;
	}
	return false;
}

struct rt_proxies *
rt_proxies_new(const char *list)
{
	struct rt_proxies *p = rt_alloc(sizeof(*p));
	char *copy = rt_strdup(list == NULL ? "" : list);
	char *rest = NULL;

	for (char *item = strtok_r(copy, ", ", &rest); item != NULL && p->n < MAX_NETWORKS;
		 item = strtok_r(NULL, ", ", &rest))
		p->n += read_network(item, &p->networks[p->n]);
	free(copy);
	return p;
}

void
rt_proxies_free(struct rt_proxies *p)
{
	free(p);
}

/* ---- the header --------------------------------------------------------------------- */

/* An item of the list, as proxies write them: 192.0.2.1, 192.0.2.1:5000, 2001:db8::1, [2001:db8::1]:5000. */
static bool
read_item(const char *item, size_t len, struct address *a)
{
	char text[MAX_ITEM];
	char *start = text;
	char *end;

	while (len > 0 && (*item == ' ' || *item == '\t'))
	{
		item++;
		len--;
	}
	while (len > 0 && (item[len - 1] == ' ' || item[len - 1] == '\t'))
		len--;
	if (len == 0 || len >= sizeof(text))
		return false;
	memcpy(text, item, len);
	text[len] = '\0';
	if (text[0] == '[' && (end = strchr(text, ']')) != NULL)
	{
		*end = '\0';
		start = text + 1;
	}
	else if ((end = strchr(text, ':')) != NULL && strchr(end + 1, ':') == NULL)
		*end = '\0';
	return read_address(start, a);
}

/* From the last item to the first; true once the client is found, or there is nothing to believe any more. */
static bool
walk_back(const struct rt_proxies *p, const struct rt_http_header *header, struct address *client, int *hops)
{
	const char *end = header->value + header->value_len;

	while (end >= header->value)
	{
		const char *comma = memrchr(header->value, ',', (size_t) (end - header->value));
		const char *item = comma == NULL ? header->value : comma + 1;
		struct address a;

		if (++*hops > MAX_HOPS || !read_item(item, (size_t) (end - item), &a))
			return true;
		*client = a;
		if (!is_trusted(p, &a) || comma == NULL)
			return !is_trusted(p, &a);
		end = comma;
	}
	return false;
}

static bool
is_forwarded_for(const struct rt_http_header *header)
{
	static const char name[] = "x-forwarded-for";

	return header->name_len == sizeof(name) - 1 && strncasecmp(header->name, name, header->name_len) == 0;
}

static void
copy_address(char *to, const char *from)
{
	memcpy(to, from, strnlen(from, RT_PEER_BYTES - 1) + 1);
	to[RT_PEER_BYTES - 1] = '\0';
}

void
rt_proxies_client(const struct rt_proxies *p, const char *peer, const struct rt_http_head *h, char *client)
{
	struct address a;
	int hops = 0;

	copy_address(client, peer);
	if (p->n == 0 || !read_address(peer, &a) || !is_trusted(p, &a))
		return;
	for (int i = h->nheaders - 1; i >= 0; i--)
	{
		if (is_forwarded_for(&h->headers[i]) && walk_back(p, &h->headers[i], &a, &hops))
			break;
	}
	inet_ntop(a.family, a.bytes, client, RT_PEER_BYTES);
}
