/* fuzz_datagram.c: what an authentic but hostile peer can send, all the way: demultiplexing, producer, layers,
 * consumer, pacer, estimator.  Under the engine are the simulator's clock, links and stub of SRTP (test/sim), which
 * counts what must never happen: one sequence number with two packets under AES-GCM.
 *
 * The input is a series of records: a byte that says what, a byte of length, and so many bytes.
 *   0 RTP of the sender, completed with a stream's payload type and SSRC  1 RTCP of the sender  2 RTCP of the
 * receiver 3 RTP as it is  4 time goes on by so many milliseconds  5 the receiver pauses, resumes or prefers a layer
 *   6 a redundant packet (RED)  7 a track is announced of which packets may have come, and ends */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgworker/media/rtp/red.h"
#include "test/sim/sim.h"

#define TRACKS 4
#define RED_PT 63
#define SSRC_IN 1000
#define SSRC_OUT 5000

static struct sim_peer *sender, *receiver;
static struct rt_consumer *consumers[TRACKS];

static const struct
{
	enum rt_codec codec;
	enum rt_producer_type type;
	int streams;
	struct rt_scalability layers;
} tracks[TRACKS] = {{RT_CODEC_VP8, RT_PRODUCER_SIMULCAST, 3, {1, 3, false}},
					{RT_CODEC_VP9, RT_PRODUCER_SVC, 1, {3, 3, true}},
					{RT_CODEC_AV1, RT_PRODUCER_SVC, 1, {2, 2, true}},
					{RT_CODEC_OPUS, RT_PRODUCER_SIMPLE, 1, {1, 1, false}}};

static void
ignore(struct sim_peer *p, uint8_t *data, size_t len)
{
	(void) p, (void) data, (void) len;
}

static struct sim_peer *
new_peer(bool sends)
{
	struct sim_peer *p = calloc(1, sizeof(*p));

	p->sends = sends;
	p->on_packet = ignore;
	p->down.down = true; /* what the engine sends is not looked at */
	sim_peer_join(p);
	return p;
}

static void
begin_track(int i)
{
	enum rt_kind kind = tracks[i].codec == RT_CODEC_OPUS ? RT_KIND_AUDIO : RT_KIND_VIDEO;
	struct rt_producer_params in = {
		.kind = kind, .codec = tracks[i].codec, .type = tracks[i].type, .pt = (uint8_t) (96 + i)};
	struct rt_consumer_params out = {.kind = kind, .codec = tracks[i].codec, .pt = 101, .rtx_pt = 102};
	struct rt_producer *producer;
	char id[8];

	snprintf(id, sizeof(id), "%d", i);
	in.clock_rate = out.clock_rate = kind == RT_KIND_AUDIO ? 48000 : 90000;
	in.rtx_pt = RT_NO_PT;
	in.red_pt = kind == RT_KIND_AUDIO ? RED_PT : RT_NO_PT;
	out.red_pt = kind == RT_KIND_AUDIO ? 111 : RT_NO_PT;
	in.feedback = out.feedback = (struct rt_feedback){.nack = true, .pli = true, .fir = true};
	in.ext.id[RT_EXT_DEPENDENCY_DESCRIPTOR] = out.ext.id[RT_EXT_DEPENDENCY_DESCRIPTOR] =
		tracks[i].codec == RT_CODEC_AV1 ? 5 : 0;
	in.ext.id[RT_EXT_AUDIO_LEVEL] = 6;
	in.n_encodings = tracks[i].streams;
	for (int k = 0; k < tracks[i].streams; k++)
		in.encodings[k] = (struct rt_encoding){.ssrc = (uint32_t) (SSRC_IN + 10 * i + k), .layers = tracks[i].layers};
	assert(rt_endpoint_produce(&producer, rt_engine_endpoint(sim_engine, sender->id), id, &in) == RT_OK);
	out.ssrc = (uint32_t) (SSRC_OUT + 10 * i);
	out.rtx_ssrc = kind == RT_KIND_AUDIO ? 0 : out.ssrc + 1;
	out.ext.id[RT_EXT_TRANSPORT_CC] = 3;
	strcpy(out.mid, id);
	assert(rt_endpoint_consume(&consumers[i], rt_engine_endpoint(sim_engine, receiver->id), producer, id, &out) ==
		   RT_OK);
	rt_consumer_pause(consumers[i], false);
}

/* As it comes, but of a stream that is known, and of a track's payload type. */
static void
send_media(const uint8_t *data, size_t len, bool complete)
{
	uint8_t out[RT_PORT_BUFFER] = {0};

	memcpy(out, data, len);
	if (len < RT_RTP_HEADER)
		return;
	if (complete)
	{
		int track = data[1] % TRACKS;

		out[0] = (uint8_t) (0x80 | (out[0] & 0x3f));
		out[1] = (uint8_t) ((out[1] & 0x80) | (96 + track));
		if (tracks[track].codec == RT_CODEC_OPUS && data[9] & 1)
			out[1] = RED_PT;
		rt_bytes_put32(out + 8, (uint32_t) (SSRC_IN + 10 * track + data[8] % tracks[track].streams));
	}
	if (rt_rtp_classify(out, len) == RT_PACKET_RTP)
		sim_peer_send(sender, out, len);
}

static void
send_control(struct sim_peer *p, const uint8_t *data, size_t len)
{
	uint8_t out[RT_PORT_BUFFER] = {0};

	memcpy(out, data, len);
	if (len >= 4 && rt_rtp_classify(out, len) == RT_PACKET_RTCP)
		sim_peer_send(p, out, len);
}

static void
choose(const uint8_t *data, size_t len)
{
	struct rt_consumer *c = len ? consumers[data[0] % TRACKS] : NULL;

	if (len < 3)
		return;
	rt_engine_touch(sim_engine);
	if (data[1] % 3 == 0)
		rt_consumer_prefer(c, (int8_t) data[2] / 16, (int8_t) (data[2] << 4) / 16);
	else
		rt_consumer_pause(c, data[1] % 3 == 1);
}

static void
read_red(const uint8_t *data, size_t len)
{
	struct rt_red_block blocks[RT_RED_BLOCKS];
	uint8_t out[512];
	int n = rt_red_read(blocks, data, len);

	for (int i = 0; i < n; i++)
		assert(blocks[i].data >= data && blocks[i].data + blocks[i].len <= data + len);
	if (n)
		assert(rt_red_write(out, sizeof(out), blocks, n) <= sizeof(out));
}

/* Its payload type, its SSRC or the ids of the extensions that tell its streams are the input's. */
static void
announce(const uint8_t *data, size_t len)
{
	struct rt_producer_params in = {.kind = RT_KIND_VIDEO, .codec = RT_CODEC_VP8, .clock_rate = 90000};
	struct rt_endpoint *e = rt_engine_endpoint(sim_engine, sender->id);
	struct rt_producer *producer;

	if (len < 8)
		return;
	in.type = RT_PRODUCER_SIMULCAST;
	in.pt = data[0] & 0x7f;
	in.rtx_pt = data[1] & 0x7f;
	in.red_pt = RT_NO_PT;
	in.ext.id[RT_EXT_MID] = data[2];
	in.ext.id[RT_EXT_RID] = data[3];
	in.ext.id[RT_EXT_REPAIRED_RID] = data[4];
	in.n_encodings = 1 + data[5] % RT_PARAMS_MAX_ENCODINGS;
	snprintf(in.mid, sizeof(in.mid), "%c", data[6]);
	for (int i = 0; i < in.n_encodings; i++)
	{
		in.encodings[i] = (struct rt_encoding){.ssrc = data[7] ? data[7] + (uint32_t) i : 0, .layers = {1, 1, false}};
		snprintf(in.encodings[i].rid, sizeof(in.encodings[i].rid), "%d", i);
	}
	rt_engine_touch(sim_engine);
	if (rt_endpoint_produce(&producer, e, "late", &in) != RT_OK)
		return;
	rt_endpoint_announced(e);
	rt_producer_close(producer);
}

static void
take_record(uint8_t what, const uint8_t *data, size_t len)
{
	switch (what % 8)
	{
		case 0:
			send_media(data, len, true);
			break;
		case 1:
			send_control(sender, data, len);
			break;
		case 2:
			send_control(receiver, data, len);
			break;
		case 3:
			send_media(data, len, false);
			break;
		case 4:
			sim_run_until(sim_now_us + (len ? data[0] : 1u) * 1000u);
			break;
		case 5:
			choose(data, len);
			break;
		case 6:
			read_red(data, len);
			break;
		case 7:
			announce(data, len);
			break;
	}
	sim_run_until(sim_now_us);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	sim_begin(1);
	sim_engine_begin();
	sender = new_peer(true);
	receiver = new_peer(false);
	for (int i = 0; i < TRACKS; i++)
		begin_track(i);
	for (size_t at = 0; at + 2 <= size;)
	{
		size_t len = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;
		uint8_t *record = malloc(len ? len : 1);

		memcpy(record, data + at + 2, len);
		take_record(data[at], record, len);
		free(record);
		at += 2 + len;
	}
	sim_run_until(sim_now_us + 2 * SIM_SECOND);
	assert(sim_reused_numbers == 0);
	sim_engine_end();
	sim_begin(1);
	free(sender);
	free(receiver);
	return 0;
}
