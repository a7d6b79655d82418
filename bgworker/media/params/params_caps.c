/* params_caps.c: see params_caps.h
 *
 * Payload types and extension ids are ours to choose; the client takes them from here.  Codecs are numbered from 100
 * up, each video codec followed by its retransmissions; 127 belongs to the client's bandwidth probe.  The order of
 * codecs is the clients' preference.  Ids stay below 15, so that one-byte headers are always possible; an extension
 * has the same id for audio and video, since both share one transport. */
#include "params_caps.h"

#include "params_codec.h"
#include "params_field.h"

#define FIRST_PT 100
#define MAX_CODECS 128
#define MAX_EXTENSIONS 64
#define MAX_URI 256

static const struct
{
	const char *mime_type;
	int clock_rate;
	int channels;           /* 0: video */
	int packetization_mode; /* H264; -1 otherwise */
	int profile_id;         /* VP9; -1 otherwise */
} codecs[] = {
	{"audio/opus", 48000, 2, -1, -1}, {"video/VP8", 90000, 0, -1, -1}, {"video/VP9", 90000, 0, -1, 0},
	{"video/H264", 90000, 0, 1, -1},  {"video/H264", 90000, 0, 0, -1}, {"video/AV1", 90000, 0, -1, -1},
};

static const struct
{
	const char *type;
	const char *parameter;
} audio_feedback[] = {{"nack", ""}, {"transport-cc", ""}},
  video_feedback[] = {{"nack", ""}, {"nack", "pli"}, {"ccm", "fir"}, {"goog-remb", ""}, {"transport-cc", ""}};

/* Directions are the server's: "recvonly" is for clients to send, and never sent to them. */
static const struct
{
	enum rt_ext ext;
	int id;
	const char *audio; /* direction; NULL: not for audio */
	const char *video;
} extensions[] = {
	{RT_EXT_MID, 1, "sendrecv", "sendrecv"},
	{RT_EXT_RID, 2, NULL, "recvonly"},
	{RT_EXT_REPAIRED_RID, 3, NULL, "recvonly"},
	{RT_EXT_ABS_SEND_TIME, 4, "sendrecv", "sendrecv"},
	{RT_EXT_TRANSPORT_CC, 5, "recvonly", "sendrecv"},
	{RT_EXT_AUDIO_LEVEL, 6, "sendrecv", NULL},
	{RT_EXT_DEPENDENCY_DESCRIPTOR, 7, NULL, "sendrecv"},
	{RT_EXT_VIDEO_ORIENTATION, 8, NULL, "sendrecv"},
	{RT_EXT_TIME_OFFSET, 9, NULL, "sendrecv"},
	{RT_EXT_ABS_CAPTURE_TIME, 10, "sendrecv", "sendrecv"},
	{RT_EXT_PLAYOUT_DELAY, 11, "sendrecv", "sendrecv"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static json_t *
codec_parameters(size_t i)
{
	if (codecs[i].packetization_mode >= 0)
		return json_pack("{s:i, s:i, s:s}", "level-asymmetry-allowed", 1, "packetization-mode",
						 codecs[i].packetization_mode, "profile-level-id", "42e01f");
	if (codecs[i].profile_id >= 0)
		return json_pack("{s:i}", "profile-id", codecs[i].profile_id);
	return json_object();
}

static json_t *
codec_feedback(bool audio)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; audio && i < COUNT(audio_feedback); i++)
		json_array_append_new(
			list, json_pack("{s:s, s:s}", "type", audio_feedback[i].type, "parameter", audio_feedback[i].parameter));
	for (i = 0; !audio && i < COUNT(video_feedback); i++)
		json_array_append_new(
			list, json_pack("{s:s, s:s}", "type", video_feedback[i].type, "parameter", video_feedback[i].parameter));
	return list;
}

static json_t *
media_codec(size_t i, int pt)
{
	bool audio = codecs[i].channels > 0;
	json_t *codec = json_pack("{s:s, s:s, s:i, s:i, s:o, s:o}", "kind", audio ? "audio" : "video", "mimeType",
							  codecs[i].mime_type, "preferredPayloadType", pt, "clockRate", codecs[i].clock_rate,
							  "parameters", codec_parameters(i), "rtcpFeedback", codec_feedback(audio));

	if (audio)
		json_object_set_new(codec, "channels", json_integer(codecs[i].channels));
	return codec;
}

static json_t *
rtx_codec(int clock_rate, int pt, int apt)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:{s:i}, s:[]}", "kind", "video", "mimeType", "video/rtx",
					 "preferredPayloadType", pt, "clockRate", clock_rate, "parameters", "apt", apt, "rtcpFeedback");
}

/* RFC 2198, section 5: the payload types of the blocks, which stand alone in the fmtp line, as mediasoup-client
 * writes it for a parameter without a name.  It comes last, for a client that sends one codec takes the first. */
static json_t *
red_codec(int pt)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:i, s:{s:o}, s:[]}", "kind", "audio", "mimeType", "audio/red",
					 "preferredPayloadType", pt, "clockRate", codecs[0].clock_rate, "channels", codecs[0].channels,
					 "parameters", "", json_sprintf("%d/%d", FIRST_PT, FIRST_PT), "rtcpFeedback");
}

static json_t *
all_codecs(void)
{
	json_t *list = json_array();
	int pt = FIRST_PT;
	size_t i;

	for (i = 0; i < COUNT(codecs); i++)
	{
		json_array_append_new(list, media_codec(i, pt++));
		if (codecs[i].channels == 0)
		{
			json_array_append_new(list, rtx_codec(codecs[i].clock_rate, pt, pt - 1));
			pt++;
		}
	}
	json_array_append_new(list, red_codec(pt));
	return list;
}

static void
add_extension(json_t *list, size_t i, const char *kind, const char *direction)
{
	if (direction != NULL)
		json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:b, s:s}", "kind", kind, "uri",
											  rt_params_ext_uri(extensions[i].ext), "preferredId", extensions[i].id,
											  "preferredEncrypt", 0, "direction", direction));
}

static json_t *
all_extensions(void)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < COUNT(extensions); i++)
	{
		add_extension(list, i, "audio", extensions[i].audio);
		add_extension(list, i, "video", extensions[i].video);
	}
	return list;
}

json_t *
rt_params_caps_router(void)
{
	return json_pack("{s:o, s:o}", "codecs", all_codecs(), "headerExtensions", all_extensions());
}

static enum rt_result
check_codec(const struct rt_field_scope *s, json_t *copy)
{
	enum rt_result rc = rt_params_codec_check(s, "preferredPayloadType", RT_OPTIONAL, copy);

	if (rc == RT_OK)
		json_object_set_new(copy, "kind", json_string(rt_params_kind_name(rt_params_codec_kind(copy))));
	return rc;
}

static enum rt_result
check_kind(const struct rt_field_scope *s, json_t *copy)
{
	enum rt_result rc = rt_params_field_string(s, "kind", RT_REQUIRED, 5, copy);
	enum rt_kind kind;

	if (rc == RT_OK && !rt_params_find_kind(json_string_value(json_object_get(copy, "kind")), &kind))
		return rt_params_field_fail(s, "kind", "must be audio or video");
	return rc;
}

static enum rt_result
check_extension(const struct rt_field_scope *s, json_t *copy)
{
	enum rt_result rc = check_kind(s, copy);

	if (rc == RT_OK)
		rc = rt_params_field_string(s, "uri", RT_REQUIRED, MAX_URI, copy);
	if (rc == RT_OK)
		rc = rt_params_field_integer(s, "preferredId", RT_REQUIRED, 1, 255, copy);
	if (rc == RT_OK)
		rc = rt_params_field_bool(s, "preferredEncrypt", false, copy);
	if (rc == RT_OK)
		rc = rt_params_field_string(s, "direction", RT_OPTIONAL, 16, copy);
	if (rc == RT_OK && json_string_length(json_object_get(copy, "direction")) == 0)
		json_object_set_new(copy, "direction", json_string("sendrecv"));
	return rc;
}

enum rt_result
rt_params_caps_check(json_t **out, const json_t *caps, struct rt_params_error *e)
{
	struct rt_field_scope s = {caps, "rtpCapabilities", e};
	json_t *copy = json_object();
	enum rt_result rc = rt_params_field_check_object(&s);

	if (rc == RT_OK)
		rc = rt_params_field_list(&s, "codecs", RT_OPTIONAL, MAX_CODECS, check_codec, copy);
	if (rc == RT_OK)
		rc = rt_params_field_list(&s, "headerExtensions", RT_OPTIONAL, MAX_EXTENSIONS, check_extension, copy);
	if (rc != RT_OK)
	{
		json_decref(copy);
		return rc;
	}
	*out = copy;
	return RT_OK;
}
