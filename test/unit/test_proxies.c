/* test_proxies.c: whose address counts behind reverse proxies. */
#include <stdio.h>

#include "bgworker/gateway/http/share.h"
#include "bgworker/gateway/net/proxies.h"
#include "tap.h"

/* Who asks, by the given headers, each with its line end. */
static const char *
client(const char *trusted, const char *peer, const char *headers)
{
	static char result[RT_PEER_BYTES];
	struct rt_proxies *p = rt_proxies_new(trusted);
	struct rt_http_head head;
	char text[1000];
	size_t used;
	int status;
	int len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", headers);

	if (rt_http_parse_head(text, (size_t) len, &head, &used, &status) != RT_OK)
		return "not parsed";
	rt_proxies_client(p, peer, &head, result);
	rt_proxies_free(p);
	return result;
}

static void
test_trust(void)
{
	is_str(client("", "10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n"), "10.0.0.1", "nobody is trusted by default");
	is_str(client("10.0.0.2", "10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n"), "10.0.0.1", "another one is trusted");
	is_str(client("10.0.0.1", "10.0.0.1", "x-forwarded-for: 192.0.2.1\r\n"), "192.0.2.1", "the proxy is");
	is_str(client("10.0.0.0/8", "10.9.8.7", "X-Forwarded-For: 192.0.2.1\r\n"), "192.0.2.1", "its network is");
	is_str(client("10.0.0.0/30", "10.0.0.4", "X-Forwarded-For: 192.0.2.1\r\n"), "10.0.0.4", "just outside");
	is_str(client("2001:db8::/33", "2001:db8:7fff::1", "X-Forwarded-For: 192.0.2.1\r\n"), "192.0.2.1", "IPv6");
	is_str(client("2001:db8::/33", "2001:db8:8000::1", "X-Forwarded-For: 192.0.2.1\r\n"), "2001:db8:8000::1",
		   "outside");
	is_str(client("::ffff:10.0.0.0/104", "10.1.1.1", "X-Forwarded-For: 192.0.2.1\r\n"), "192.0.2.1",
		   "a mapped network");
	is_str(client("::ffff:10.0.0.0/8", "10.1.1.1", "X-Forwarded-For: 192.0.2.1\r\n"), "10.1.1.1",
		   "one that means nothing");
	is_str(client("nonsense, 10.0.0.1", "10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n"), "192.0.2.1",
		   "what is none is left out");
	is_str(client("0.0.0.0/0", "unknown", "X-Forwarded-For: 192.0.2.1\r\n"), "unknown", "a peer without an address");
}

static void
test_lists(void)
{
	const char *two = "10.0.0.0/8";

	is_str(client(two, "10.0.0.1", ""), "10.0.0.1", "no header");
	is_str(client(two, "10.0.0.1", "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\n"), "192.0.2.1",
		   "what the client wrote itself");
	is_str(client(two, "10.0.0.1", "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.2\r\n"), "192.0.2.1", "two proxies");
	is_str(client(two, "10.0.0.1", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1\r\n"), "192.0.2.1",
		   "two headers");
	is_str(client(two, "10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.0.0.2\r\n"), "192.0.2.1",
		   "one each");
	is_str(client(two, "10.0.0.1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n"), "10.0.0.3", "the client is within");
	is_str(client(two, "10.0.0.1", "X-Forwarded-For: 192.0.2.1:5000\r\n"), "192.0.2.1", "with a port");
	is_str(client(two, "10.0.0.1", "X-Forwarded-For: [2001:db8::1]:5000\r\n"), "2001:db8::1", "IPv6 with a port");
	is_str(client(two, "10.0.0.1", "X-Forwarded-For: 2001:DB8:0::1\r\n"), "2001:db8::1", "IPv6, in one form");
	is_str(client(two, "10.0.0.1", "X-Forwarded-For: 192.0.2.1, unknown\r\n"), "10.0.0.1", "a word is nobody");
	is_str(client(two, "10.0.0.1", "X-Forwarded-For: ,,\r\n"), "10.0.0.1", "nothing between commas");
	is_str(client(two, "10.0.0.1", "X-Forwarded-For:\r\n"), "10.0.0.1", "an empty header");
	is_str(client(two, "10.0.0.1",
				  "X-Forwarded-For: 1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.23.24.25\r\n"),
		   "10.0.0.1", "a long word");
}

static const char *
network(const char *address)
{
	static char text[RT_PEER_BYTES];

	rt_share_network(address, text);
	return text;
}

static void
test_networks(void)
{
	is_str(network("192.0.2.1"), "192.0.2.1", "an IPv4 address is alone");
	is_str(network("::ffff:192.0.2.1"), "192.0.2.1", "mapped, it is the same one");
	is_str(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::", "an IPv6 address has neighbours");
	is_str(network("::1"), "::", "the nearest one as well");
	is_str(network("unknown"), "unknown", "no address");
}

int
main(void)
{
	test_trust();
	test_lists();
	test_networks();
	return tap_done();
}
