/* svg.c: a call as a picture: the link, the estimate and what was offered over time; below it, where the picture
 * stood still and where sound was concealed. */
#include <math.h>
#include <stdio.h>

#include "sim.h"

#define WIDTH 800
#define HEIGHT 240
#define LEFT 60
#define STRIP 14 /* height of the two below */

struct scale
{
	double from_s, to_s, most_bps;
};

static double
x_of(const struct scale *s, double at_s)
{
	return LEFT + (at_s - s->from_s) / (s->to_s - s->from_s) * (WIDTH - LEFT - 10);
}

static double
y_of(const struct scale *s, double bps)
{
	return HEIGHT - 20 - fmin(bps, s->most_bps) / s->most_bps * (HEIGHT - 50);
}

static void
draw_line(FILE *f, const struct scale *s, const struct sim_sample *samples, int n, size_t field, const char *color)
{
	fprintf(f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"", color);
	for (int i = 0; i < n; i++)
	{
		double bps = *(const double *) (const void *) ((const char *) &samples[i] + field);

		fprintf(f, "%.1f,%.1f ", x_of(s, samples[i].at_s), y_of(s, bps > 0 ? bps : field ? 0 : s->most_bps));
	}
	fprintf(f, "\"/>\n");
}

static void
draw_axis(FILE *f, const struct scale *s)
{
	for (int k = 0; k <= 4; k++)
		fprintf(f,
				"<text x=\"4\" y=\"%.0f\">%.1f M</text><line x1=\"%d\" x2=\"%d\" y1=\"%.0f\" y2=\"%.0f\" "
				"stroke=\"#ddd\"/>\n",
				y_of(s, s->most_bps * k / 4) + 4, s->most_bps * k / 4 / 1e6, LEFT, WIDTH - 10,
				y_of(s, s->most_bps * k / 4), y_of(s, s->most_bps * k / 4));
	for (double t = ceil(s->from_s / 10) * 10; t <= s->to_s; t += 10)
		fprintf(f, "<text x=\"%.0f\" y=\"%d\">%.0f s</text>\n", x_of(s, t) - 8, HEIGHT - 4, t);
}

static void
draw_strip(FILE *f, const struct scale *s, const struct sim_sample *samples, int n, bool sound, int y)
{
	fprintf(f, "<text x=\"4\" y=\"%d\">%s</text>\n", y + STRIP - 3, sound ? "sound" : "picture");
	for (int i = 1; i < n; i++)
	{
		double part = sound ? samples[i].concealed : samples[i].frozen;

		fprintf(f, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\" fill-opacity=\"%.2f\"/>\n",
				x_of(s, samples[i - 1].at_s), y, x_of(s, samples[i].at_s) - x_of(s, samples[i - 1].at_s), STRIP - 2,
				part > 0 ? "#c00" : "#4a4", part > 0 ? 0.3 + 0.7 * fmin(part, 1) : 0.5);
	}
}

void
sim_svg_write(const char *path, const char *title, const struct sim_sample *samples, int n)
{
	struct scale s = {samples[0].at_s, samples[n - 1].at_s, 0};
	FILE *f = fopen(path, "w");

	if (f == NULL)
	{
		perror(path);
		return;
	}
	for (int i = 0; i < n; i++)
		s.most_bps =
			fmax(s.most_bps, fmax(samples[i].offered_bps, fmax(samples[i].estimate_bps, samples[i].link_bps)));
	fprintf(f,
			"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
			"font-size=\"11\">\n",
			WIDTH, HEIGHT + 2 * STRIP + 4);
	fprintf(f,
			"<text x=\"%d\" y=\"14\">%s: <tspan fill=\"#888\">link</tspan>, <tspan fill=\"#06c\">estimate</tspan>, "
			"<tspan fill=\"#e70\">offered</tspan></text>\n",
			LEFT, title);
	draw_axis(f, &s);
	draw_line(f, &s, samples, n, offsetof(struct sim_sample, link_bps), "#888");
	draw_line(f, &s, samples, n, offsetof(struct sim_sample, estimate_bps), "#06c");
	draw_line(f, &s, samples, n, offsetof(struct sim_sample, offered_bps), "#e70");
	draw_strip(f, &s, samples, n, false, HEIGHT);
	draw_strip(f, &s, samples, n, true, HEIGHT + STRIP);
	fprintf(f, "</svg>\n");
	fclose(f);
}
