/* params.c: names of kinds, codecs, header extensions and scalability modes. */
#include "params.h"

#include <string.h>
#include <strings.h>

static const struct
{
	const char *mime_type;
	enum rt_codec codec;
} codecs[] = {
	{"audio/opus", RT_CODEC_OPUS}, {"video/VP8", RT_CODEC_VP8}, {"video/VP9", RT_CODEC_VP9},
	{"video/H264", RT_CODEC_H264}, {"video/AV1", RT_CODEC_AV1},
};

static const char *const ext_uris[RT_EXT_COUNT] = {
	[RT_EXT_MID] = "urn:ietf:params:rtp-hdrext:sdes:mid",
	[RT_EXT_RID] = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
	[RT_EXT_REPAIRED_RID] = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
	[RT_EXT_ABS_SEND_TIME] = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
	[RT_EXT_TRANSPORT_CC] = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
	[RT_EXT_AUDIO_LEVEL] = "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
	[RT_EXT_DEPENDENCY_DESCRIPTOR] =
		"https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
	[RT_EXT_VIDEO_ORIENTATION] = "urn:3gpp:video-orientation",
	[RT_EXT_TIME_OFFSET] = "urn:ietf:params:rtp-hdrext:toffset",
	[RT_EXT_ABS_CAPTURE_TIME] = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
	[RT_EXT_PLAYOUT_DELAY] = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
};

const char *
rt_params_kind_name(enum rt_kind kind)
{
	return kind == RT_KIND_AUDIO ? "audio" : "video";
}

bool
rt_params_find_kind(const char *name, enum rt_kind *kind)
{
	*kind = strcmp(name, "audio") == 0 ? RT_KIND_AUDIO : RT_KIND_VIDEO;
	return strcmp(name, rt_params_kind_name(*kind)) == 0;
}

const char *
rt_params_type_name(enum rt_producer_type type)
{
	switch (type)
	{
		case RT_PRODUCER_SIMPLE:
			return "simple";
		case RT_PRODUCER_SIMULCAST:
			return "simulcast";
		case RT_PRODUCER_SVC:
			return "svc";
	}
	return "simple";
}

bool
rt_params_find_codec(const char *mime_type, enum rt_codec *codec)
{
	size_t i;

	for (i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
	{
		if (strcasecmp(mime_type, codecs[i].mime_type) == 0)
		{
			*codec = codecs[i].codec;
			return true;
		}
	}
	return false;
}

bool
rt_params_find_ext(const char *uri, enum rt_ext *ext)
{
	int i;

	for (i = 0; i < RT_EXT_COUNT; i++)
	{
		if (strcmp(uri, ext_uris[i]) == 0)
		{
			*ext = i;
			return true;
		}
	}
	return false;
}

const char *
rt_params_ext_uri(enum rt_ext ext)
{
	return ext_uris[ext];
}

/* A number from 1 to 99 at *p, which moves past it; 0 if there is none. */
static uint8_t
read_layers(const char **p)
{
	uint8_t n;

	if (**p < '1' || **p > '9')
		return 0;
	n = *(*p)++ - '0';
	if (**p >= '0' && **p <= '9')
		n = n * 10 + (*(*p)++ - '0');
	return n;
}

struct rt_scalability
rt_params_scalability(const char *mode)
{
	struct rt_scalability one = {1, 1, false};
	struct rt_scalability s = one;
	const char *p = mode;

	if (p == NULL || (*p != 'L' && *p != 'S'))
		return one;
	p++;
	s.spatial = read_layers(&p);
	if (s.spatial == 0 || *p++ != 'T')
		return one;
	s.temporal = read_layers(&p);
	if (s.temporal == 0)
		return one;
	s.key = strncmp(p, "_KEY", 4) == 0;
	return s;
}
