/* signal.c: see signal.h */
#include "signal.h"

#include "swarm.h"

#define TWCC_URI "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
#define MID_URI "urn:ietf:params:rtp-hdrext:sdes:mid"
#define FEEDBACK \
	"[{\"type\":\"nack\",\"parameter\":\"\"},{\"type\":\"nack\",\"parameter\":\"pli\"},{\"type\":\"ccm\"," \
	"\"parameter\":\"fir\"}," \
	"{\"type\":\"transport-cc\",\"parameter\":\"\"}]"

void
signal_join(struct swarm *s, struct swarm_client *c, long long meeting)
{
	swarm_emit(s, c, "42%c[\"join-meeting\",{\"meetingId\":\"%lld\"}]", SIGNAL_JOIN, meeting);
}

void
signal_transport(struct swarm *s, struct swarm_client *c, long long meeting, bool sends)
{
	swarm_emit(s, c, "42%c[\"create-transport\",{\"meetingId\":\"%lld\",\"direction\":\"%s\"}]", SIGNAL_TRANSPORT,
			   meeting, sends ? "send" : "recv");
}

void
signal_connect(struct swarm *s, struct swarm_client *c, const char *transport, const char *fingerprint)
{
	swarm_emit(s, c,
			   "42%c[\"connect-transport\",{\"transportId\":\"%s\",\"dtlsParameters\":{\"role\":\"client\","
			   "\"fingerprints\":[{\"algorithm\":\"sha-256\",\"value\":\"%s\"}]}}]",
			   SIGNAL_CONNECT, transport, fingerprint);
}

void
signal_produce(struct swarm *s, struct swarm_client *c, long long meeting, const char *transport, uint32_t ssrc)
{
	swarm_emit(
		s, c,
		"42%c[\"produce\",{\"meetingId\":\"%lld\",\"transportId\":\"%s\",\"kind\":\"video\",\"rtpParameters\":{"
		"\"mid\":\"0\",\"codecs\":[{\"mimeType\":\"video/VP8\",\"payloadType\":%d,\"clockRate\":90000,"
		"\"parameters\":{},\"rtcpFeedback\":" FEEDBACK "},{\"mimeType\":\"video/rtx\",\"payloadType\":97,"
		"\"clockRate\":90000,\"parameters\":{\"apt\":%d},\"rtcpFeedback\":[]}],"
		"\"headerExtensions\":[{\"uri\":\"" MID_URI "\",\"id\":1},{\"uri\":\"" TWCC_URI "\",\"id\":%d}],"
		"\"encodings\":[{\"ssrc\":%u,\"rtx\":{\"ssrc\":%u}}],\"rtcp\":{\"cname\":\"swarm%d\"}}}]",
		SIGNAL_PRODUCE, meeting, transport, SIGNAL_PAYLOAD_TYPE, SIGNAL_PAYLOAD_TYPE, SIGNAL_TWCC_ID, ssrc, ssrc + 1,
		c->index);
}

void
signal_consume(struct swarm *s, struct swarm_client *c, long long meeting, const char *transport,
			   const char *producer)
{
	swarm_emit(s, c,
			   "42%c[\"consume\",{\"meetingId\":\"%lld\",\"transportId\":\"%s\",\"producerId\":\"%s\","
			   "\"rtpCapabilities\":{\"codecs\":[{\"mimeType\":\"video/VP8\",\"kind\":\"video\","
			   "\"preferredPayloadType\":96,\"clockRate\":90000,\"parameters\":{},\"rtcpFeedback\":" FEEDBACK "},"
			   "{\"mimeType\":\"video/rtx\",\"kind\":\"video\",\"preferredPayloadType\":97,\"clockRate\":90000,"
			   "\"parameters\":{\"apt\":96},\"rtcpFeedback\":[]}],"
			   "\"headerExtensions\":[{\"kind\":\"video\",\"uri\":\"" MID_URI "\",\"preferredId\":1},"
			   "{\"kind\":\"video\",\"uri\":\"" TWCC_URI "\",\"preferredId\":5}]}}]",
			   SIGNAL_CONSUME, meeting, transport, producer);
}

void
signal_resume(struct swarm *s, struct swarm_client *c, const char *consumer)
{
	swarm_emit(s, c, "42%c[\"resume-consumer\",{\"consumerId\":\"%s\"}]", SIGNAL_RESUME, consumer);
}
