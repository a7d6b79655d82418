/* cases.c: what a meeting must stand, each case with five seeds; the worst of them counts.
 *
 *   cases            all of them, as TAP       cases NAME...   some
 *   cases --sweep    the sweeps alone          SIM_EVENTS=1    with the engine's events, SIM_TRACE=1 with figures
 * each second */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "test/unit/tap.h"

#define SEEDS 5
#define MAX_CHECKS 16
#define AT(s) (uint64_t)(1000000000.0 + (s) *1e6)
#define DROP_S 10 /* when links change */

/* ---- one call ---- */

struct call
{
	struct sim_sender sender;
	struct sim_viewer viewer;
};

static struct call *
new_call(unsigned seed)
{
	struct call *c = calloc(1, sizeof(*c));

	sim_begin(seed);
	sim_engine_begin();
	c->sender.has_video = c->sender.has_audio = true;
	c->sender.video = (struct sim_video){.codec = RT_CODEC_VP8, .fps = 30};
	c->sender.peer.up.delay_us = c->sender.peer.down.delay_us = 15000;
	c->viewer.peer.up.delay_us = c->viewer.peer.down.delay_us = 25000;
	c->viewer.peer.down.queue_us = 300000;
	c->viewer.nack_audio = c->viewer.red = true;
	return c;
}

static void
set_layers(struct call *c, int n, double a, double b, double d)
{
	c->sender.video.nstreams = n;
	c->sender.video.rate_bps[0] = a;
	c->sender.video.rate_bps[1] = b;
	c->sender.video.rate_bps[2] = d;
}

static void
begin(struct call *c)
{
	sim_sender_begin(&c->sender);
	sim_viewer_begin(&c->viewer);
	sim_viewer_consume(&c->viewer, &c->sender);
}

/* ---- what is drawn ---- */

static const char *svg_dir, *svg_name; /* NULL: nothing is */
static struct sim_sample samples[2 * SIM_MAX_SECONDS];
static int nsamples;

static void
trace(const struct call *c, double from_s, double to_s)
{
	const struct sim_peer *p = &c->viewer.peer;
	struct sim_sample s = {.at_s = to_s,
						   .link_bps = p->down.rate_bps,
						   .estimate_bps = sim_estimate_bps(p),
						   .offered_bps = sim_offered_bps(p, AT(from_s), AT(to_s))};

	if (nsamples < 2 * SIM_MAX_SECONDS)
		samples[nsamples++] = s;
	if (getenv("SIM_TRACE") == NULL)
		return;
	printf("# %5.1f s  estimate %7.0f  offered %7.0f  queue %4.0f ms", to_s, s.estimate_bps / 1000,
		   s.offered_bps / 1000,
		   p->down.busy_until_us > sim_now_us ? (double) (p->down.busy_until_us - sim_now_us) / 1000 : 0);
	if (c->sender.has_video)
		printf("  fps %4.0f  layer>0 %3.0f %%  >1 %3.0f %%", sim_fps(&c->viewer, AT(from_s), sim_now_us),
			   100 * sim_layer_share(&c->viewer, 1, AT(from_s), sim_now_us),
			   100 * sim_layer_share(&c->viewer, 2, AT(from_s), sim_now_us));
	printf("\n");
}

static void
draw(const struct call *c)
{
	char path[512];

	for (int i = 1; i < nsamples; i++)
	{
		uint64_t from_us = AT(samples[i - 1].at_s), to_us = AT(samples[i].at_s);

		samples[i].frozen = c->viewer.video != NULL ? sim_frozen_s(&c->viewer, from_us, to_us) / 0.5 : 0;
		samples[i].concealed = c->viewer.audio != NULL ? sim_concealed(&c->viewer, from_us, to_us) : 0;
	}
	snprintf(path, sizeof(path), "%s/%s.svg", svg_dir, svg_name);
	if (nsamples > 1)
		sim_svg_write(path, svg_name, samples, nsamples);
	svg_dir = NULL; /* of the first seed */
}

/* Until so many seconds after the beginning. */
static void
until(struct call *c, double s)
{
	double now = (double) (sim_now_us - AT(0)) / 1e6;

	if (getenv("SIM_TRACE") != NULL || svg_dir != NULL)
		for (; now + 0.5 <= s; now += 0.5)
		{
			sim_run_until(AT(now + 0.5));
			if (c->viewer.twcc != NULL)
				trace(c, now, now + 0.5);
		}
	sim_run_until(AT(s));
}

static void
end(struct call *c)
{
	if (svg_dir != NULL)
		draw(c);
	sim_engine_end();
	sim_viewer_end(&c->viewer);
	sim_sender_end(&c->sender);
	free(c);
}

/* ---- what is expected ---- */

struct check
{
	const char *what;
	double worst, bound;
	bool at_least;
};

static struct check checks[MAX_CHECKS];
static int nchecks;

static void
expect(const char *what, double value, double bound, bool at_least)
{
	int i = 0;

	while (i < nchecks && strcmp(checks[i].what, what) != 0)
		i++;
	if (i == nchecks)
		checks[nchecks++] = (struct check){what, value, bound, at_least};
	else if (at_least ? value < checks[i].worst : value > checks[i].worst)
		checks[i].worst = value;
}

static void
at_most(const char *what, double value, double bound)
{
	expect(what, value, bound, false);
}

static void
at_least(const char *what, double value, double bound)
{
	expect(what, value, bound, true);
}

static void
expect_numbers(void)
{
	at_most("sequence numbers used twice under AES-GCM", (double) sim_reused_numbers, 0);
}

/* From the drop on: what each case of a slow link is to hold. */
static void
expect_slow_link(struct call *c, double link_bps, double concealed)
{
	at_most("audio concealed in 30 s, %", 100 * sim_concealed(&c->viewer, AT(DROP_S), AT(DROP_S + 30)), concealed);
	at_most("offered after 2 s, of the link",
			sim_offered_bps(&c->viewer.peer, AT(DROP_S + 2), AT(DROP_S + 30)) / link_bps, 1.1);
	expect_numbers();
}

/* ---- cases ---- */

static void
single_layer(unsigned seed, double video_bps, double link_bps)
{
	struct call *c = new_call(seed);

	set_layers(c, 1, video_bps, 0, 0);
	begin(c);
	until(c, DROP_S);
	at_least("pictures a second before", sim_fps(&c->viewer, AT(5), AT(10)), 28);
	c->viewer.peer.down.rate_bps = link_bps;
	until(c, DROP_S + 30);
	expect_slow_link(c, link_bps, 1);
	at_least("told that the video is paused", (double) sim_nulls, 1);
	c->viewer.peer.down.rate_bps = 0;
	until(c, DROP_S + 42);
	at_least("pictures a second, 10 s after the link has healed", sim_fps(&c->viewer, AT(50), AT(52)), 28);
	end(c);
}

static void
case_single_900(unsigned seed)
{
	single_layer(seed, 1.2e6, 900e3);
}

static void
case_single_1300(unsigned seed)
{
	single_layer(seed, 1.5e6, 1.3e6);
}

static void
case_two_layers_8fps(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 2, 150e3, 700e3, 0);
	c->sender.video.fps = 8;
	begin(c);
	until(c, DROP_S);
	c->viewer.peer.down.rate_bps = 350e3;
	until(c, DROP_S + 30);
	expect_slow_link(c, 350e3, 2);
	at_least("pictures a second after 2 s", sim_fps(&c->viewer, AT(12), AT(40)), 7.5);
	at_most("frozen after 2 s", sim_frozen_s(&c->viewer, AT(12), AT(40)), 0);
	end(c);
}

/* Nothing else flows while the video is held back, so no feedback comes. */
static void
case_no_sound(unsigned seed)
{
	struct call *c = new_call(seed);

	c->sender.has_audio = false;
	set_layers(c, 2, 150e3, 500e3, 0);
	begin(c);
	until(c, DROP_S);
	c->viewer.peer.down.rate_bps = 260e3;
	until(c, DROP_S + 30);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(10), AT(40)), 1);
	at_least("pictures a second after 2 s", sim_fps(&c->viewer, AT(12), AT(40)), 28);
	at_most("top layer after 2 s", sim_layer_share(&c->viewer, 1, AT(12), AT(40)), 0);
	c->viewer.peer.down.rate_bps = 0;
	until(c, DROP_S + 45);
	at_most("top layer after healing, s", sim_layer_s(&c->viewer, 1, AT(40)), 10);
	end(c);
}

static void
case_single_without_sound(unsigned seed)
{
	struct call *c = new_call(seed);

	c->sender.has_audio = false;
	set_layers(c, 1, 1e6, 0, 0);
	begin(c);
	until(c, DROP_S);
	c->viewer.peer.down.rate_bps = 500e3;
	until(c, DROP_S + 20);
	at_most("offered after 2 s, of the link", sim_offered_bps(&c->viewer.peer, AT(12), AT(30)) / 500e3, 1.1);
	c->viewer.peer.down.rate_bps = 0;
	until(c, DROP_S + 35);
	at_most("picture after healing, s", sim_first_picture_s(&c->viewer, AT(30)), 10);
	end(c);
}

static void
case_three_layers_500(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 3, 100e3, 300e3, 900e3);
	begin(c);
	until(c, DROP_S);
	at_least("top layer before", sim_layer_share(&c->viewer, 2, AT(8), AT(10)), 1);
	c->viewer.peer.down.rate_bps = 500e3;
	until(c, DROP_S + 50);
	expect_slow_link(c, 500e3, 1);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(10), AT(40)), 0.8);
	at_least("middle layer after 5 s", sim_layer_share(&c->viewer, 1, AT(15), AT(40)), 0.95);
	c->viewer.peer.down.rate_bps = 0;
	until(c, DROP_S + 65);
	at_most("top layer after healing, s", sim_layer_s(&c->viewer, 2, AT(60)), 10);
	at_most("frozen at healing, s", sim_frozen_s(&c->viewer, AT(60), AT(75)), 0.3);
	end(c);
}

static void
case_three_layers_300(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 3, 100e3, 300e3, 900e3);
	begin(c);
	until(c, DROP_S);
	c->viewer.peer.down.rate_bps = 300e3;
	until(c, DROP_S + 30);
	expect_slow_link(c, 300e3, 2);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(10), AT(40)), 1.5);
	end(c);
}

static void
case_reordering(unsigned seed)
{
	struct call *c = new_call(seed);
	double least = 1e12;

	set_layers(c, 1, 1.3e6, 0, 0);
	c->viewer.nack_audio = false;
	begin(c);
	until(c, DROP_S);
	c->viewer.peer.down.jitter_us = 40000;
	c->viewer.peer.down.reorders = true;
	for (int i = 0; i < 300; i++)
	{
		until(c, DROP_S + 0.1 * i);
		least = fmin(least, sim_estimate_bps(&c->viewer.peer));
	}
	at_least("estimate, Mbit/s", least / 1e6, 1.2);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(10), AT(40)), 0);
	expect_numbers();
	end(c);
}

static void
audio_loss(unsigned seed, bool up, double loss, double concealed)
{
	struct call *c = new_call(seed);

	c->sender.has_video = false;
	if (up)
		c->sender.peer.up.loss = loss;
	else
		c->viewer.peer.down.loss = loss;
	begin(c);
	until(c, 62);
	at_most("audio concealed, %", 100 * sim_concealed(&c->viewer, AT(2), AT(60)), concealed);
	expect_numbers();
	end(c);
}

static void
case_audio_down_5(unsigned seed)
{
	audio_loss(seed, false, 0.05, 0.5);
}

static void
case_audio_down_10(unsigned seed)
{
	audio_loss(seed, false, 0.1, 1.5);
}

static void
case_audio_up_5(unsigned seed)
{
	audio_loss(seed, true, 0.05, 0.5);
}

static void
case_audio_up_10(unsigned seed)
{
	audio_loss(seed, true, 0.1, 1.5);
}

/* Nothing is sent again: by a long way it would come too late. */
static void
far_audio_loss(unsigned seed, bool up, double loss, double concealed, uint64_t delay_us)
{
	struct call *c = new_call(seed);

	c->sender.has_video = false;
	c->viewer.red = true;
	c->sender.red = up ? loss > 0.05 ? 2 : 1 : 0;
	c->viewer.nack_audio = false;
	c->viewer.peer.up.delay_us = c->viewer.peer.down.delay_us = delay_us;
	begin(c);
	until(c, 3);
	if (up)
		c->sender.peer.up.loss = loss;
	else
		c->viewer.peer.down.loss = loss;
	until(c, 64);
	at_most("audio concealed, %", 100 * sim_concealed(&c->viewer, AT(6), AT(62)), concealed);
	at_most("age of the sound, s", sim_audio_age_s(&c->viewer, AT(6), AT(62)), 0.08 + (double) delay_us / 1e6);
	expect_numbers();
	end(c);
}

static void
case_red_down_5(unsigned seed)
{
	far_audio_loss(seed, false, 0.05, 0.5, 150000);
}

static void
case_red_down_10(unsigned seed)
{
	far_audio_loss(seed, false, 0.1, 1.5, 150000);
}

static void
case_red_up_5(unsigned seed)
{
	far_audio_loss(seed, true, 0.05, 0.5, 25000);
}

static void
case_red_up_10(unsigned seed)
{
	far_audio_loss(seed, true, 0.1, 1.5, 25000);
}

/* Receivers of opus alone, by a long way too. */
static void
plain_audio_loss(unsigned seed, int red, double up, double down, double concealed)
{
	struct call *c = new_call(seed);

	c->sender.has_video = false;
	c->sender.red = red;
	c->viewer.red = c->viewer.nack_audio = false;
	c->viewer.peer.up.delay_us = c->viewer.peer.down.delay_us = 150000;
	begin(c);
	until(c, 3);
	c->sender.peer.up.loss = up;
	c->viewer.peer.down.loss = down;
	until(c, 124);
	at_most("audio concealed, %", 100 * sim_concealed(&c->viewer, AT(8), AT(122)), concealed);
	at_most("age of the sound, s", sim_audio_age_s(&c->viewer, AT(8), AT(122)), 0.25);
	at_most("offered, kbit/s", sim_offered_bps(&c->viewer.peer, AT(8), AT(122)) / 1000, 215);
	expect_numbers();
	end(c);
}

static void
case_plain_down_5(unsigned seed)
{
	plain_audio_loss(seed, 0, 0, 0.05, 0.5);
}

static void
case_plain_down_10(unsigned seed)
{
	plain_audio_loss(seed, 0, 0, 0.1, 1.5);
}

static void
case_red_to_plain_up_10(unsigned seed)
{
	plain_audio_loss(seed, 2, 0.1, 0, 1.5);
}

static void
case_red_to_plain_down_10(unsigned seed)
{
	plain_audio_loss(seed, 1, 0, 0.1, 1.5);
}

/* Without a loss nothing is sent twice. */
static void
case_red_free(unsigned seed)
{
	struct call *c = new_call(seed);

	c->sender.has_video = false;
	c->sender.red = 1;
	c->viewer.red = true;
	begin(c);
	until(c, 20);
	at_most("offered, kbit/s", sim_offered_bps(&c->viewer.peer, AT(2), AT(20)) / 1000, 75);
	at_most("audio concealed, %", 100 * sim_concealed(&c->viewer, AT(2), AT(19)), 0);
	end(c);
}

static void
case_vp9_two_of_three(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 1, 1e6, 0, 0);
	c->sender.video = (struct sim_video){
		.codec = RT_CODEC_VP9, .nstreams = 1, .rate_bps = {1e6}, .fps = 30, .spatial = 3, .temporal = 3, .key = true};
	c->sender.video.sends_spatial = 2;
	begin(c);
	until(c, 20);
	at_least("pictures a second", sim_fps(&c->viewer, AT(2), AT(20)), 29);
	at_least("the highest layer that is there", sim_layer_share(&c->viewer, 1, AT(2), AT(20)), 0.99);
	expect_numbers();
	end(c);
}

static void
case_vp9_drops_top(unsigned seed)
{
	struct call *c = new_call(seed);

	c->sender.video = (struct sim_video){
		.codec = RT_CODEC_VP9, .nstreams = 1, .rate_bps = {1e6}, .fps = 30, .spatial = 3, .temporal = 3, .key = true};
	begin(c);
	until(c, 10);
	at_least("top layer before", sim_layer_share(&c->viewer, 2, AT(2), AT(10)), 0.99);
	c->sender.video.sends_spatial = 2;
	until(c, 20);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(10), AT(20)), 0.8);
	at_least("pictures a second after 1 s", sim_fps(&c->viewer, AT(11), AT(20)), 29);
	at_least("the highest layer that is there", sim_layer_share(&c->viewer, 1, AT(11), AT(20)), 0.99);
	expect_numbers();
	end(c);
}

static void
case_simulcast_drops_top(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 3, 100e3, 300e3, 900e3);
	begin(c);
	until(c, 10);
	c->sender.video.sends_streams = 2;
	until(c, 20);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(10), AT(20)), 0.8);
	at_least("the highest layer that is there", sim_layer_share(&c->viewer, 1, AT(11.5), AT(20)), 0.99);
	c->sender.video.sends_streams = 0;
	until(c, 35);
	at_most("the top layer when it comes back, s", sim_layer_s(&c->viewer, 2, AT(20)), 10);
	end(c);
}

static void
case_av1_capped(unsigned seed)
{
	struct call *c = new_call(seed);

	c->sender.video = (struct sim_video){
		.codec = RT_CODEC_AV1, .nstreams = 1, .rate_bps = {1e6}, .fps = 30, .spatial = 2, .temporal = 2, .key = true};
	begin(c);
	until(c, 10);
	at_least("top layer before", sim_layer_share(&c->viewer, 1, AT(2), AT(10)), 0.99);
	c->sender.video.sends_spatial = 1;
	until(c, 25);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(10), AT(25)), 0.8);
	at_least("pictures a second after 1 s", sim_fps(&c->viewer, AT(11), AT(25)), 29);
	expect_numbers();
	end(c);
}

static void
case_tcp(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 1, 900e3, 0, 0);
	c->viewer.peer.tcp = true;
	c->viewer.peer.down.queue_us = 0;
	begin(c);
	until(c, DROP_S);
	c->viewer.peer.down.rate_bps = 500e3;
	until(c, DROP_S + 24);
	at_most("offered after 2 s, of the link",
			sim_offered_bps(&c->viewer.peer, AT(DROP_S + 2), AT(DROP_S + 24)) / 500e3, 1.1);
	c->viewer.peer.down.rate_bps = 0;
	until(c, DROP_S + 40);
	at_most("age of the picture, s", sim_age_s(&c->viewer, AT(10), AT(50)), 1.5);
	at_most("age of the sound, s", sim_audio_age_s(&c->viewer, AT(10), AT(50)), 0.5);
	at_least("pictures a second, 10 s after the link has healed", sim_fps(&c->viewer, AT(44), AT(50)), 28);
	end(c);
}

/* The application has seen it after two seconds; from then on it is the engine's turn. */
static void
case_address_change(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 3, 100e3, 300e3, 900e3);
	begin(c);
	until(c, DROP_S);
	c->viewer.peer.down.down = c->viewer.peer.up.down = true;
	until(c, DROP_S + 2);
	c->viewer.peer.down.down = c->viewer.peer.up.down = false;
	sim_peer_move(&c->viewer.peer);
	until(c, DROP_S + 20);
	at_most("dark, s", 2 + sim_first_picture_s(&c->viewer, AT(DROP_S + 2)), 3);
	at_least("pictures a second after it", sim_fps(&c->viewer, AT(DROP_S + 4), AT(DROP_S + 20)), 28);
	expect_numbers();
	end(c);
}

static void
case_still_screen(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 1, 1e6, 0, 0);
	c->sender.video.still = true;
	sim_sender_begin(&c->sender);
	until(c, 20);
	sim_viewer_begin(&c->viewer);
	sim_viewer_consume(&c->viewer, &c->sender);
	until(c, 26);
	at_most("first picture, s", sim_first_picture_s(&c->viewer, AT(20)), 0.5);
	end(c);
}

static uint8_t
talks(uint64_t now_us)
{
	return now_us / 20000 % 150 < 120 ? 40 : 70; /* with a breath every three seconds */
}

static uint8_t
coughs(uint64_t now_us)
{
	return now_us % 4000000 < 200000 ? 15 : 127;
}

static void
case_cough(unsigned seed)
{
	struct call *c = new_call(seed);
	struct sim_sender *other = calloc(1, sizeof(*other));
	uint64_t before;

	c->sender.has_video = false;
	c->sender.level = talks;
	other->has_audio = true;
	other->level = coughs;
	other->peer.up.delay_us = other->peer.down.delay_us = (uint64_t) (20000 * sim_random());
	begin(c);
	sim_sender_begin(other);
	until(c, 3);
	at_least("the talker is the active speaker", (double) sim_speakers, 1);
	before = sim_speakers;
	until(c, 63);
	at_most("changes of active speaker in a minute", (double) (sim_speakers - before), 0);
	end(c);
	sim_sender_end(other);
	free(other);
}

static void
case_free_link(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 3, 100e3, 300e3, 900e3);
	begin(c);
	until(c, 30);
	at_most("top layer, s", sim_layer_s(&c->viewer, 2, AT(0)), 3);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(1), AT(30)), 0);
	at_most("age of a picture, s", sim_age_s(&c->viewer, AT(5), AT(30)), 0.08);
	at_most("audio concealed, %", 100 * sim_concealed(&c->viewer, AT(1), AT(30)), 0);
	expect_numbers();
	end(c);
}

static void
case_video_loss(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 3, 100e3, 300e3, 900e3);
	c->viewer.peer.down.loss = 0.03;
	begin(c);
	until(c, 40);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(2), AT(40)), 0.8);
	at_least("top layer", sim_layer_share(&c->viewer, 2, AT(5), AT(40)), 0.95);
	expect_numbers();
	end(c);
}

static void
case_burst_loss(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 3, 100e3, 300e3, 900e3);
	c->viewer.peer.down.burst = 0.002;
	c->viewer.peer.down.burst_len = 6;
	begin(c);
	until(c, 40);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(2), AT(40)), 1);
	at_most("audio concealed, %", 100 * sim_concealed(&c->viewer, AT(2), AT(40)), 2);
	expect_numbers();
	end(c);
}

static void
case_outage(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 3, 100e3, 300e3, 900e3);
	begin(c);
	until(c, DROP_S);
	c->viewer.peer.down.down = c->viewer.peer.up.down = true;
	until(c, DROP_S + 3);
	c->viewer.peer.down.down = c->viewer.peer.up.down = false;
	until(c, DROP_S + 25);
	at_most("picture after the outage, s", sim_first_picture_s(&c->viewer, AT(DROP_S + 3.1)), 2);
	at_most("top layer after the outage, s", sim_layer_s(&c->viewer, 2, AT(DROP_S + 3.1)), 10);
	expect_numbers();
	end(c);
}

/* ---- several senders ---- */

#define MAX_SENDERS 6

/* A meeting as one viewer sees it: cameras of three layers, the first of them may be a screen. */
struct gallery
{
	struct call *call;
	struct sim_sender *senders[MAX_SENDERS];
	int n;
};

static uint8_t
is_silent(uint64_t now_us)
{
	(void) now_us;
	return 127;
}

static struct sim_sender *
add_camera(struct gallery *g, double a, double b, double d)
{
	struct sim_sender *s = calloc(1, sizeof(*s));

	s->has_video = s->has_audio = true;
	s->level = is_silent;
	s->video = (struct sim_video){.codec = RT_CODEC_VP8,
								  .fps = 30,
								  .nstreams = d > 0   ? 3
											  : b > 0 ? 2
													  : 1,
								  .rate_bps = {a, b, d}};
	s->peer.up.delay_us = s->peer.down.delay_us = 15000;
	g->senders[g->n++] = s;
	return s;
}

static struct gallery *
new_gallery(unsigned seed)
{
	struct gallery *g = calloc(1, sizeof(*g));

	g->call = new_call(seed);
	return g;
}

static void
begin_gallery(struct gallery *g)
{
	sim_viewer_begin(&g->call->viewer);
	for (int i = 0; i < g->n; i++)
	{
		sim_sender_begin(g->senders[i]);
		sim_viewer_consume(&g->call->viewer, g->senders[i]);
	}
}

static void
end_gallery(struct gallery *g)
{
	if (svg_dir != NULL)
	{
		sim_viewer_look(&g->call->viewer, 0);
		draw(g->call);
	}
	sim_engine_end();
	sim_viewer_end(&g->call->viewer);
	for (int i = 0; i < g->n; i++)
	{
		sim_sender_end(g->senders[i]);
		free(g->senders[i]);
	}
	free(g->call);
	free(g);
}

/* The screen is whole where cameras are small or gone. */
static void
case_screen_and_cameras(unsigned seed)
{
	struct gallery *g = new_gallery(seed);
	struct sim_viewer *v = &g->call->viewer;

	for (int i = 0; i < 3; i++)
		add_camera(g, 100e3, 300e3, 900e3);
	add_camera(g, 150e3, 600e3, 0)->screen = true;
	g->senders[3]->video.fps = 10;
	begin_gallery(g);
	until(g->call, DROP_S);
	v->peer.down.rate_bps = 1.3e6;
	until(g->call, DROP_S + 30);
	sim_viewer_look(v, 3);
	at_least("the screen's upper layer after 5 s", sim_layer_share(v, 1, AT(15), AT(40)), 0.95);
	at_most("the screen frozen, s", sim_frozen_s(v, AT(12), AT(40)), 0.8);
	at_least("the screen's pictures a second", sim_fps(v, AT(15), AT(40)), 9);
	for (int i = 0; i < 3; i++)
	{
		sim_viewer_look(v, i);
		at_most("a camera's top layer", sim_layer_share(v, 2, AT(15), AT(40)), 0);
		at_most("audio concealed, %", 100 * sim_concealed(v, AT(10), AT(40)), 2);
	}
	at_most("offered after 2 s, of the link", sim_offered_bps(&v->peer, AT(12), AT(40)) / 1.3e6, 1.1);
	expect_numbers();
	end_gallery(g);
}

/* Whoever speaks is shown larger; when another one does, that one. */
static void
case_speaker_first(unsigned seed)
{
	struct gallery *g = new_gallery(seed);
	struct sim_viewer *v = &g->call->viewer;

	for (int i = 0; i < 4; i++)
		add_camera(g, 100e3, 300e3, 900e3);
	g->senders[1]->level = talks;
	v->peer.down.rate_bps = 1.3e6;
	begin_gallery(g);
	until(g->call, 40);
	sim_viewer_look(v, 1);
	at_least("the speaker in the middle layer or above", sim_layer_share(v, 1, AT(15), AT(40)), 0.9);
	g->senders[1]->level = is_silent;
	g->senders[2]->level = talks;
	until(g->call, 70);
	sim_viewer_look(v, 2);
	at_most("the next speaker in the middle layer, s", sim_layer_s(v, 1, AT(40)), 10);
	at_least("and stays there", sim_layer_share(v, 1, AT(52), AT(70)), 0.9);
	for (int i = 0; i < 4; i++)
	{
		sim_viewer_look(v, i);
		at_least("pictures a second of each", sim_fps(v, AT(15), AT(70)), 25);
		at_most("audio concealed, %", 100 * sim_concealed(v, AT(5), AT(70)), 1);
	}
	at_most("offered, of the link", sim_offered_bps(&v->peer, AT(5), AT(70)) / 1.3e6, 1.1);
	expect_numbers();
	end_gallery(g);
}

/* What the client gave a priority comes before the others, and what it wants smaller leaves its room to them. */
static void
case_client_prefers(unsigned seed)
{
	struct gallery *g = new_gallery(seed);
	struct sim_viewer *v = &g->call->viewer;

	for (int i = 0; i < 3; i++)
		add_camera(g, 100e3, 300e3, 900e3);
	v->peer.down.rate_bps = 1.8e6;
	begin_gallery(g);
	rt_consumer_set_priority(v->consumers[2], 10);
	rt_consumer_prefer(v->consumers[0], 0, 0);
	until(g->call, 40);
	sim_viewer_look(v, 2);
	at_least("the pinned one in its top layer", sim_layer_share(v, 2, AT(12), AT(40)), 0.9);
	sim_viewer_look(v, 0);
	at_most("the one that is wanted small is", sim_layer_share(v, 1, AT(1), AT(40)), 0);
	at_least("and flows", sim_fps(v, AT(5), AT(40)), 25);
	at_most("offered, of the link", sim_offered_bps(&v->peer, AT(5), AT(40)) / 1.8e6, 1.1);
	expect_numbers();
	end_gallery(g);
}

/* All pictures of the lower layer, not a quarter of those of the upper one. */
static void
case_whole_before_larger(unsigned seed)
{
	struct call *c = new_call(seed);

	c->sender.video = (struct sim_video){.codec = RT_CODEC_VP9,
										 .nstreams = 1,
										 .rate_bps = {900e3},
										 .fps = 15,
										 .spatial = 2,
										 .temporal = 3,
										 .key = true};
	begin(c);
	until(c, DROP_S);
	c->viewer.peer.down.rate_bps = 480e3;
	until(c, DROP_S + 30);
	at_least("pictures a second", sim_fps(&c->viewer, AT(15), AT(40)), 7.4);
	at_most("frozen after 2 s", sim_frozen_s(&c->viewer, AT(12), AT(40)), 0.5);
	expect_numbers();
	end(c);
}

/* ---- other samples of the same kinds ---- */

/* A stream of layers on a link that carries so much of it, and the same healed. */
static void
slow_svc(unsigned seed, struct sim_video video, double link_bps, double frozen_s, double concealed)
{
	struct call *c = new_call(seed);

	c->sender.video = video;
	begin(c);
	until(c, DROP_S);
	c->viewer.peer.down.rate_bps = link_bps;
	until(c, DROP_S + 30);
	expect_slow_link(c, link_bps, concealed);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(10), AT(40)), frozen_s);
	at_least("pictures a second after 5 s", sim_fps(&c->viewer, AT(15), AT(40)), 0.45 * video.fps);
	c->viewer.peer.down.rate_bps = 0;
	until(c, DROP_S + 45);
	at_most("top layer after healing, s",
			sim_layer_s(&c->viewer, (video.nstreams > 1 ? video.nstreams : video.spatial) - 1, AT(40)), 10);
	end(c);
}

static void
case_vp9_l3t3_slow(unsigned seed)
{
	slow_svc(seed,
			 (struct sim_video){
				 .codec = RT_CODEC_VP9, .nstreams = 1, .rate_bps = {1.2e6}, .fps = 30, .spatial = 3, .temporal = 3},
			 600e3, 1.5, 2);
}

static void
case_vp9_l3t3_key_slow(unsigned seed)
{
	slow_svc(seed,
			 (struct sim_video){.codec = RT_CODEC_VP9,
								.nstreams = 1,
								.rate_bps = {1.2e6},
								.fps = 30,
								.spatial = 3,
								.temporal = 3,
								.key = true},
			 500e3, 1.5, 2);
}

static void
case_av1_l2t2_key_slow(unsigned seed)
{
	slow_svc(seed,
			 (struct sim_video){.codec = RT_CODEC_AV1,
								.nstreams = 1,
								.rate_bps = {1e6},
								.fps = 30,
								.spatial = 2,
								.temporal = 2,
								.key = true},
			 500e3, 1.5, 2);
}

static void
case_simulcast_temporal_slow(unsigned seed)
{
	slow_svc(seed,
			 (struct sim_video){.codec = RT_CODEC_VP8,
								.nstreams = 3,
								.rate_bps = {120e3, 400e3, 1.4e6},
								.fps = 25,
								.spatial = 1,
								.temporal = 2},
			 750e3, 1.5, 1.5);
}

static void
case_av1_l1t2_slow(unsigned seed)
{
	slow_svc(seed,
			 (struct sim_video){
				 .codec = RT_CODEC_AV1, .nstreams = 1, .rate_bps = {1e6}, .fps = 30, .spatial = 1, .temporal = 2},
			 800e3, 1.5, 2);
}

static void
case_av1_l1t3_slow(unsigned seed)
{
	slow_svc(seed,
			 (struct sim_video){
				 .codec = RT_CODEC_AV1, .nstreams = 1, .rate_bps = {1e6}, .fps = 30, .spatial = 1, .temporal = 3},
			 750e3, 1.5, 2);
}

static void
case_av1_l2t1_slow(unsigned seed)
{
	slow_svc(seed,
			 (struct sim_video){
				 .codec = RT_CODEC_AV1, .nstreams = 1, .rate_bps = {1e6}, .fps = 30, .spatial = 2, .temporal = 1},
			 500e3, 1.5, 2);
}

static void
case_av1_l3t3_slow(unsigned seed)
{
	slow_svc(seed,
			 (struct sim_video){
				 .codec = RT_CODEC_AV1, .nstreams = 1, .rate_bps = {1e6}, .fps = 30, .spatial = 3, .temporal = 3},
			 500e3, 1.5, 2);
}

static void
case_av1_l3t3_key_slow(unsigned seed)
{
	slow_svc(seed,
			 (struct sim_video){.codec = RT_CODEC_AV1,
								.nstreams = 1,
								.rate_bps = {1e6},
								.fps = 30,
								.spatial = 3,
								.temporal = 3,
								.key = true},
			 500e3, 1.5, 2);
}

/* ---- at the edge ---- */

static uint64_t
layer_changes(void)
{
	return rt_hub_total(rt_engine_hub(sim_engine), RT_HUB_LAYER_CHANGES);
}

/* A link that falls to so much more than what a layer and sound need.  The layer is found out to fit, and kept for
 * most of the time (share), and nothing swings.  Below it the layer underneath is shown all the time. */
static void
edge(unsigned seed, struct sim_video video, int layer, double room, double share)
{
	struct call *c = new_call(seed);
	double offered;
	uint64_t before;

	c->sender.video = video;
	begin(c);
	rt_consumer_prefer(c->viewer.consumer, layer, video.temporal ? video.temporal - 1 : 0);
	until(c, DROP_S + 5);
	offered = sim_offered_bps(&c->viewer.peer, AT(DROP_S), AT(DROP_S + 5));
	c->viewer.peer.down.rate_bps = room * offered;
	rt_consumer_prefer(c->viewer.consumer, 2, 2);
	until(c, DROP_S + 10);
	before = layer_changes();
	until(c, DROP_S + 130);
	at_most("layer changes a minute", (double) (layer_changes() - before) / 2, 8);
	at_most("frozen in 2 minutes, s", sim_frozen_s(&c->viewer, AT(DROP_S + 10), AT(DROP_S + 130)), 1);
	at_least("the layer that fits, of the time",
			 sim_layer_share(&c->viewer, layer, AT(DROP_S + 10), AT(DROP_S + 130)), share);
	at_least("that or the one below", sim_layer_share(&c->viewer, layer - 1, AT(DROP_S + 10), AT(DROP_S + 130)),
			 0.99);
	at_most("audio concealed, %", 100 * sim_concealed(&c->viewer, AT(DROP_S + 5), AT(DROP_S + 130)), 1);
	expect_numbers();
	end(c);
}

static const struct sim_video edge_simulcast = {
	.codec = RT_CODEC_VP8, .nstreams = 3, .rate_bps = {100e3, 300e3, 900e3}, .fps = 30};
static const struct sim_video edge_layers = {
	.codec = RT_CODEC_VP9, .nstreams = 1, .rate_bps = {1.2e6}, .fps = 30, .spatial = 3, .temporal = 3};

static void
case_edge_top_105(unsigned seed)
{
	edge(seed, edge_simulcast, 2, 1.05, 0.4);
}

static void
case_edge_top_110(unsigned seed)
{
	edge(seed, edge_simulcast, 2, 1.1, 0.95);
}

static void
case_edge_middle_105(unsigned seed)
{
	edge(seed, edge_simulcast, 1, 1.05, 0.4);
}

static void
case_edge_middle_110(unsigned seed)
{
	edge(seed, edge_simulcast, 1, 1.1, 0.95);
}

static void
case_edge_svc_105(unsigned seed)
{
	edge(seed, edge_layers, 1, 1.05, 0.9);
}

static void
case_edge_svc_110(unsigned seed)
{
	edge(seed, edge_layers, 1, 1.1, 0.95);
}

/* The link has never carried more: the layer is found all the same. */
static void
case_edge_from_below(unsigned seed)
{
	struct call *c = new_call(seed);

	c->sender.video = edge_simulcast;
	c->viewer.peer.down.rate_bps = 1.1 * 400e3; /* what the middle layer and sound take, see edge-middle */
	begin(c);
	until(c, 70);
	at_least("the middle layer, of the time", sim_layer_share(&c->viewer, 1, AT(20), AT(70)), 0.9);
	at_most("frozen in 50 s, s", sim_frozen_s(&c->viewer, AT(20), AT(70)), 0.5);
	expect_numbers();
	end(c);
}

/* Each on a link of its own: nobody's way is another one's business. */
static void
case_unlike_viewers(unsigned seed)
{
	static const double links[] = {0, 450e3, 1.3e6};
	struct call *c = new_call(seed);
	struct sim_viewer *v[3] = {&c->viewer};

	set_layers(c, 3, 100e3, 300e3, 900e3);
	begin(c);
	for (int i = 1; i < 3; i++)
	{
		v[i] = calloc(1, sizeof(*v[i]));
		v[i]->nack_audio = v[i]->red = true;
		v[i]->peer.up.delay_us = v[i]->peer.down.delay_us = 20000u * (unsigned) i;
		v[i]->peer.down.queue_us = 300000;
		sim_viewer_begin(v[i]);
		sim_viewer_consume(v[i], &c->sender);
	}
	until(c, DROP_S);
	for (int i = 0; i < 3; i++)
		v[i]->peer.down.rate_bps = links[i];
	v[2]->peer.down.loss = 0.02;
	until(c, DROP_S + 30);
	at_most("free link: frozen, s", sim_frozen_s(v[0], AT(10), AT(40)), 0.3);
	at_least("free link: top layer", sim_layer_share(v[0], 2, AT(10), AT(40)), 0.99);
	at_most("450 kbit/s: frozen, s", sim_frozen_s(v[1], AT(10), AT(40)), 1.5);
	at_least("450 kbit/s: pictures a second after 3 s", sim_fps(v[1], AT(13), AT(40)), 27);
	at_least("1.3 Mbit/s, 2 % loss: top layer", sim_layer_share(v[2], 2, AT(15), AT(40)), 0.8);
	for (int i = 0; i < 3; i++)
		at_most("audio concealed, %", 100 * sim_concealed(v[i], AT(10), AT(40)), 1.5);
	at_most("PLIs to the sender", c->sender.plis, 30);
	expect_numbers();
	for (int i = 1; i < 3; i++)
		sim_viewer_end(v[i]);
	end(c);
	free(v[1]);
	free(v[2]);
}

static void
loss_of_sender(unsigned seed, double loss, double burst, double burst_len)
{
	struct call *c = new_call(seed);

	set_layers(c, 3, 100e3, 300e3, 900e3);
	begin(c);
	until(c, 5);
	c->sender.peer.up.loss = loss;
	c->sender.peer.up.burst = burst;
	c->sender.peer.up.burst_len = burst_len;
	until(c, 45);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(5), AT(45)), 1);
	at_most("audio concealed, %", 100 * sim_concealed(&c->viewer, AT(5), AT(44)), 1.5);
	expect_numbers();
	end(c);
}

static void
case_sender_loss_5(unsigned seed)
{
	loss_of_sender(seed, 0.05, 0, 0);
}

static void
case_sender_bursts(unsigned seed)
{
	loss_of_sender(seed, 0, 0.003, 5);
}

static void
case_loss_10_both(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 3, 100e3, 300e3, 900e3);
	c->sender.peer.up.loss = c->viewer.peer.down.loss = 0.08;
	begin(c);
	until(c, 45);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(5), AT(45)), 3);
	at_least("pictures a second", sim_fps(&c->viewer, AT(5), AT(45)), 24);
	at_most("audio concealed, %", 100 * sim_concealed(&c->viewer, AT(5), AT(44)), 2);
	expect_numbers();
	end(c);
}

static void
case_tcp_layers(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 3, 100e3, 300e3, 900e3);
	c->viewer.peer.tcp = true;
	c->viewer.peer.down.queue_us = 0;
	begin(c);
	until(c, DROP_S);
	c->viewer.peer.down.rate_bps = 550e3;
	until(c, DROP_S + 30);
	at_most("offered after 2 s, of the link", sim_offered_bps(&c->viewer.peer, AT(12), AT(40)) / 550e3, 1.1);
	at_most("frozen after 3 s", sim_frozen_s(&c->viewer, AT(13), AT(40)), 1.5);
	c->viewer.peer.down.rate_bps = 0;
	until(c, DROP_S + 45);
	at_most("age of the picture, s", sim_age_s(&c->viewer, AT(10), AT(55)), 1.5);
	at_most("age of the sound, s", sim_audio_age_s(&c->viewer, AT(10), AT(55)), 0.5);
	at_most("top layer after healing, s", sim_layer_s(&c->viewer, 2, AT(40)), 10);
	end(c);
}

static void
case_deep_queue(unsigned seed)
{
	struct call *c = new_call(seed);

	set_layers(c, 3, 100e3, 300e3, 900e3);
	c->viewer.peer.down.queue_us = 1500000;
	begin(c);
	until(c, DROP_S);
	c->viewer.peer.down.rate_bps = 600e3;
	until(c, DROP_S + 30);
	expect_slow_link(c, 600e3, 2);
	at_most("frozen, s", sim_frozen_s(&c->viewer, AT(10), AT(40)), 1.5);
	at_most("age of the sound after 3 s", sim_audio_age_s(&c->viewer, AT(13), AT(40)), 0.4);
	end(c);
}

/* The link changes every few seconds, as a train's does. */
static void
case_changing_link(unsigned seed)
{
	static const double rates[] = {2e6, 700e3, 1.2e6, 350e3, 900e3, 2e6};
	struct call *c = new_call(seed);

	set_layers(c, 3, 100e3, 300e3, 900e3);
	begin(c);
	until(c, DROP_S);
	for (int i = 0; i < 6; i++)
	{
		c->viewer.peer.down.rate_bps = rates[i];
		until(c, DROP_S + 6 * (i + 1));
	}
	at_most("frozen in 36 s", sim_frozen_s(&c->viewer, AT(10), AT(46)), 4);
	at_most("audio concealed, %", 100 * sim_concealed(&c->viewer, AT(10), AT(46)), 3);
	expect_numbers();
	end(c);
}

/* ---- a worker that cannot carry all ---- */

#define CROWD 30

/* A call, and beside it one user's meeting on the same worker, with many who only receive. */
struct crowd
{
	struct call *call;
	struct sim_sender *senders[MAX_SENDERS];
	int n;
	struct sim_viewer *viewers[CROWD];
};

static void
ignore(struct sim_peer *p, uint8_t *data, size_t len)
{
	(void) p, (void) data, (void) len;
}

static struct crowd *
new_crowd(unsigned seed, double worker_packets_per_s)
{
	struct crowd *w = calloc(1, sizeof(*w));

	w->call = new_call(seed);
	set_layers(w->call, 3, 100e3, 300e3, 900e3);
	sim_worker_packets_per_s = worker_packets_per_s;
	begin(w->call);
	for (int i = 0; i < CROWD; i++)
	{
		w->viewers[i] = calloc(1, sizeof(*w->viewers[i]));
		w->viewers[i]->peer.router = "crowd";
		sim_viewer_begin(w->viewers[i]);
		w->viewers[i]->peer.on_packet = ignore;
	}
	until(w->call, 5);
	return w;
}

static struct sim_sender *
add_to_crowd(struct crowd *w, struct sim_video video, bool has_video, uint64_t audio_us)
{
	struct sim_sender *s = calloc(1, sizeof(*s));

	s->peer.router = "crowd";
	s->peer.user = "one";
	s->has_video = has_video;
	s->has_audio = true;
	s->audio_us = audio_us;
	s->video = video;
	w->senders[w->n++] = s;
	sim_sender_begin(s);
	for (int i = 0; i < CROWD; i++)
		sim_viewer_consume(w->viewers[i], s);
	return s;
}

static double
packets_of_crowd(const struct crowd *w)
{
	double packets = 0;

	for (int i = 0; i < CROWD; i++)
		packets += (double) w->viewers[i]->peer.packets;
	return packets;
}

static void
expect_calm_call(struct crowd *w, double to_s)
{
	struct sim_viewer *v = &w->call->viewer;

	at_most("the call: frozen, s", sim_frozen_s(v, AT(5), AT(to_s)), 2);
	at_most("the call: frozen after 3 s, s", sim_frozen_s(v, AT(8), AT(to_s)), 0);
	at_least("the call: top layer after 5 s", sim_layer_share(v, 2, AT(10), AT(to_s)), 0.99);
	at_most("the call: audio concealed, %", 100 * sim_concealed(v, AT(5), AT(to_s)), 2.5);
	at_most("the call: audio concealed after 3 s, %", 100 * sim_concealed(v, AT(8), AT(to_s - 1)), 0.2);
}

static void
end_crowd(struct crowd *w)
{
	struct call *c = w->call;

	expect_numbers();
	if (svg_dir != NULL)
		draw(c);
	sim_engine_end();
	for (int i = 0; i < CROWD; i++)
	{
		sim_viewer_end(w->viewers[i]);
		free(w->viewers[i]);
	}
	for (int i = 0; i < w->n; i++)
	{
		sim_sender_end(w->senders[i]);
		free(w->senders[i]);
	}
	sim_viewer_end(&c->viewer);
	sim_sender_end(&c->sender);
	free(c);
	free(w);
}

static const struct sim_video fast = {.codec = RT_CODEC_VP8, .nstreams = 1, .rate_bps = {9e6}, .fps = 30};

/* Thrice what the worker can do. */
static void
case_worker_fast_sender(unsigned seed)
{
	struct crowd *w = new_crowd(seed, 10000);
	uint64_t missed;
	double before;

	add_to_crowd(w, fast, true, 0);
	until(w->call, 7);
	missed = sim_worker_missed;
	before = packets_of_crowd(w);
	until(w->call, 35);
	expect_calm_call(w, 35);
	at_most("packets missed after 2 s", (double) (sim_worker_missed - missed), 0);
	at_least("told that the video is paused", (double) sim_nulls, CROWD);
	at_most("told so again", (double) sim_nulls, 1.5 * CROWD);
	at_least("the crowd still hears, packets a second of 50", (packets_of_crowd(w) - before) / 28 / CROWD, 49);
	w->senders[0]->video.rate_bps[0] = 600e3;
	until(w->call, 45);
	before = packets_of_crowd(w);
	until(w->call, 55);
	at_least("and sees when less is sent, packets a second", (packets_of_crowd(w) - before) / 10 / CROWD, 100);
	expect_calm_call(w, 55);
	end_crowd(w);
}

/* The same by many transports of one user. */
static void
case_worker_fast_user(unsigned seed)
{
	struct crowd *w = new_crowd(seed, 16000);
	struct sim_video video = fast;

	video.rate_bps[0] = 2e6;
	for (int i = 0; i < MAX_SENDERS - 1; i++)
		add_to_crowd(w, video, true, 0);
	until(w->call, 35);
	expect_calm_call(w, 35);
	end_crowd(w);
}

/* And by sound, which goes out before all else. */
static void
case_worker_fast_sound(unsigned seed)
{
	struct crowd *w = new_crowd(seed, 10000);
	double before;

	add_to_crowd(w, fast, false, 1100);
	until(w->call, 7);
	before = packets_of_crowd(w);
	until(w->call, 35);
	expect_calm_call(w, 35);
	at_most("packets a second to each of the crowd", (packets_of_crowd(w) - before) / 28 / CROWD, 260);
	at_least("and at least", (packets_of_crowd(w) - before) / 28 / CROWD, 240);
	end_crowd(w);
}

/* A talk before many, which needs a little more than the worker has: smaller, not dark, and its sound whole. */
static void
case_worker_large_meeting(unsigned seed)
{
	struct crowd *w = new_crowd(seed, 5000);
	struct sim_video video = {.codec = RT_CODEC_VP8, .nstreams = 3, .rate_bps = {100e3, 300e3, 1.2e6}, .fps = 30};
	double before;

	add_to_crowd(w, video, true, 0);
	until(w->call, 7);
	before = packets_of_crowd(w);
	until(w->call, 35);
	expect_calm_call(w, 35);
	at_most("told that the video is paused", (double) sim_nulls, 0);
	at_least("packets a second to each of the crowd", (packets_of_crowd(w) - before) / 28 / CROWD, 75);
	sim_worker_packets_per_s = 20000;
	until(w->call, 50);
	before = packets_of_crowd(w);
	until(w->call, 60);
	at_least("and when there is room", (packets_of_crowd(w) - before) / 10 / CROWD, 180);
	end_crowd(w);
}

static const struct row
{
	const char *name;
	void (*run)(unsigned seed);
} rows[] = {
	{"single-900", case_single_900},
	{"single-1300", case_single_1300},
	{"two-layers-8fps", case_two_layers_8fps},
	{"no-sound", case_no_sound},
	{"single-without-sound", case_single_without_sound},
	{"three-layers-500", case_three_layers_500},
	{"three-layers-300", case_three_layers_300},
	{"reordering", case_reordering},
	{"audio-down-5", case_audio_down_5},
	{"audio-down-10", case_audio_down_10},
	{"audio-up-5", case_audio_up_5},
	{"audio-up-10", case_audio_up_10},
	{"red-down-5", case_red_down_5},
	{"red-down-10", case_red_down_10},
	{"red-up-5", case_red_up_5},
	{"red-up-10", case_red_up_10},
	{"red-free", case_red_free},
	{"plain-down-5", case_plain_down_5},
	{"plain-down-10", case_plain_down_10},
	{"red-to-plain-up-10", case_red_to_plain_up_10},
	{"red-to-plain-down-10", case_red_to_plain_down_10},
	{"vp9-two-of-three", case_vp9_two_of_three},
	{"vp9-drops-top", case_vp9_drops_top},
	{"simulcast-drops-top", case_simulcast_drops_top},
	{"av1-capped", case_av1_capped},
	{"tcp", case_tcp},
	{"address-change", case_address_change},
	{"still-screen", case_still_screen},
	{"cough", case_cough},
	{"free-link", case_free_link},
	{"video-loss", case_video_loss},
	{"burst-loss", case_burst_loss},
	{"outage", case_outage},
	{"screen-and-cameras", case_screen_and_cameras},
	{"speaker-first", case_speaker_first},
	{"client-prefers", case_client_prefers},
	{"whole-before-larger", case_whole_before_larger},
	{"vp9-l3t3-slow", case_vp9_l3t3_slow},
	{"vp9-l3t3-key-slow", case_vp9_l3t3_key_slow},
	{"av1-l2t2-key-slow", case_av1_l2t2_key_slow},
	{"av1-l1t2-slow", case_av1_l1t2_slow},
	{"av1-l1t3-slow", case_av1_l1t3_slow},
	{"av1-l2t1-slow", case_av1_l2t1_slow},
	{"av1-l3t3-slow", case_av1_l3t3_slow},
	{"av1-l3t3-key-slow", case_av1_l3t3_key_slow},
	{"edge-top-105", case_edge_top_105},
	{"edge-top-110", case_edge_top_110},
	{"edge-middle-105", case_edge_middle_105},
	{"edge-middle-110", case_edge_middle_110},
	{"edge-svc-105", case_edge_svc_105},
	{"edge-svc-110", case_edge_svc_110},
	{"edge-from-below", case_edge_from_below},
	{"simulcast-temporal-slow", case_simulcast_temporal_slow},
	{"unlike-viewers", case_unlike_viewers},
	{"sender-loss-5", case_sender_loss_5},
	{"sender-bursts", case_sender_bursts},
	{"loss-both-sides", case_loss_10_both},
	{"tcp-layers", case_tcp_layers},
	{"deep-queue", case_deep_queue},
	{"changing-link", case_changing_link},
	{"worker-fast-sender", case_worker_fast_sender},
	{"worker-fast-user", case_worker_fast_user},
	{"worker-fast-sound", case_worker_fast_sound},
	{"worker-large-meeting", case_worker_large_meeting},
};

static unsigned first_seed = 1;

static void
run_row(const struct row *r)
{
	char seeds[160] = "";

	nchecks = 0;
	svg_dir = getenv("SIM_SVG");
	svg_name = r->name;
	nsamples = 0;
	for (unsigned seed = first_seed; seed < first_seed + SEEDS; seed++)
		r->run(seed);
	for (int i = 0; i < nchecks; i++)
	{
		const struct check *k = &checks[i];
		bool passed = k->at_least ? k->worst >= k->bound : k->worst <= k->bound;

		snprintf(seeds, sizeof(seeds), "%s: %s: %.3g (%s %.3g)", r->name, k->what, k->worst,
				 k->at_least ? "at least" : "at most", k->bound);
		ok(passed, "%s", seeds);
	}
	fflush(stdout);
}

/* ---- sweeps ---- */

/* A track whose layers are each a third of the next on a link that carries 70 % of the top one, or what the lowest
 * one and sound need. */
static void
sweep_one(double rate_bps, int layers, double fps, double rtt_ms, struct check *worst)
{
	struct call *c = new_call(1);
	double lowest = layers == 1 ? rate_bps : layers == 2 ? rate_bps / 3 : rate_bps / 9, link;
	double audio, offered, frozen, after;

	set_layers(c, layers, lowest, lowest * 3, lowest * 9);
	c->sender.video.fps = fps;
	c->viewer.peer.up.delay_us = c->viewer.peer.down.delay_us = (uint64_t) (rtt_ms * 500);
	begin(c);
	until(c, DROP_S);
	link = fmax(0.7 * rate_bps, 150e3 + 1.3 * (layers == 1 ? 0 : lowest));
	c->viewer.peer.down.rate_bps = link;
	until(c, DROP_S + 30);
	audio = 100 * sim_concealed(&c->viewer, AT(DROP_S), AT(DROP_S + 30));
	offered = sim_offered_bps(&c->viewer.peer, AT(DROP_S + 3), AT(DROP_S + 30)) / link;
	frozen = layers == 1 ? 0 : sim_frozen_s(&c->viewer, AT(DROP_S), AT(DROP_S + 30));
	after = sim_fps(&c->viewer, AT(DROP_S + 4), AT(DROP_S + 30));
	printf("# %6.0f kbit/s  %d layers  %2.0f fps  %3.0f ms  link %5.0f: audio %5.1f %%  offered %4.2f  frozen %4.1f "
		   "s  %4.1f "
		   "fps\n",
		   rate_bps / 1000, layers, fps, rtt_ms, link / 1000, audio, offered, frozen, after);
	worst[0].worst = fmax(worst[0].worst, audio);
	worst[1].worst = fmax(worst[1].worst, offered);
	worst[2].worst = fmax(worst[2].worst, frozen);
	worst[3].worst = fmax(worst[3].worst, (double) sim_reused_numbers);
	end(c);
}

static void
sweep(void)
{
	static const double rates[] = {150e3, 400e3, 1e6, 2e6}, fps[] = {5, 15, 30}, rtts[] = {10, 100, 300};
	struct check worst[4] = {{"audio concealed in 30 s, %", 0, 3, false},
							 {"offered after 3 s, of the link", 0, 1.1, false},
							 {"frozen, s", 0, 3, false},
							 {"sequence numbers used twice", 0, 0, false}};

	for (size_t r = 0; r < sizeof(rates) / sizeof(*rates); r++)
		for (int layers = 1; layers <= 3; layers++)
			for (size_t f = 0; f < sizeof(fps) / sizeof(*fps); f++)
				for (size_t t = 0; t < sizeof(rtts) / sizeof(*rtts); t++)
					sweep_one(rates[r], layers, fps[f], rtts[t], worst);
	for (int i = 0; i < 4; i++)
		ok(worst[i].worst <= worst[i].bound, "sweep: %s: %.3g (at most %.3g)", worst[i].what, worst[i].worst,
		   worst[i].bound);
}

int
main(int argc, char **argv)
{
	if (getenv("SIM_SEED") != NULL)
		first_seed = (unsigned) atoi(getenv("SIM_SEED"));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
	{
		bool wanted = argc == 1;

		for (int k = 1; k < argc; k++)
			wanted |= strcmp(argv[k], rows[i].name) == 0;
		if (wanted)
			run_row(&rows[i]);
	}
	if (argc == 1 || (argc == 2 && strcmp(argv[1], "--sweep") == 0))
		sweep();
	return tap_done();
}
