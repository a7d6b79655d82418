/* params_h264.c: profile-level-id: profile_idc, the constraint bits, level_idc, as six hexadecimal digits.
 *
 * Where it is absent, constrained baseline 3.1 is meant, as libwebrtc has it (the RFC says baseline 1). */
#include "params_h264.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEVEL_1B 0 /* has no level_idc of its own: 11 with constraint bit 3 */
#define CONSTRAINT_SET3 0x10

enum profile
{
	CONSTRAINED_BASELINE,
	BASELINE,
	MAIN,
	CONSTRAINED_HIGH,
	HIGH,
	HIGH_444
};

struct profile_level
{
	enum profile profile;
	int level;
};

/* Table 5 of the RFC: the bits of `fixed` must be those of `value`. */
static const struct
{
	uint8_t idc;
	uint8_t fixed;
	uint8_t value;
	enum profile profile;
} patterns[] = {
	{0x42, 0x4f, 0x40, CONSTRAINED_BASELINE},
	{0x4d, 0x8f, 0x80, CONSTRAINED_BASELINE},
	{0x58, 0xcf, 0xc0, CONSTRAINED_BASELINE},
	{0x42, 0x4f, 0x00, BASELINE},
	{0x58, 0xcf, 0x80, BASELINE},
	{0x4d, 0xaf, 0x00, MAIN},
	{0x64, 0xff, 0x00, HIGH},
	{0x64, 0xff, 0x0c, CONSTRAINED_HIGH},
	{0xf4, 0xff, 0x00, HIGH_444},
};

static const uint8_t levels[] = {10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52};

static bool
parse_level(uint8_t idc, uint8_t constraints, int *level)
{
	if (memchr(levels, idc, sizeof(levels)) == NULL)
		return false;
	*level = idc == 11 && (constraints & CONSTRAINT_SET3) != 0 ? LEVEL_1B : idc;
	return true;
}

static bool
parse_id(const char *id, struct profile_level *pl)
{
	unsigned long n;
	size_t i;

	if (strlen(id) != 6 || strspn(id, "0123456789abcdefABCDEF") != 6)
		return false;
	n = strtoul(id, NULL, 16);
	if (!parse_level(n & 0xff, n >> 8 & 0xff, &pl->level))
		return false;
	for (i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
	{
		if (patterns[i].idc == n >> 16 && (n >> 8 & patterns[i].fixed) == patterns[i].value)
		{
			pl->profile = patterns[i].profile;
			return true;
		}
	}
	return false;
}

/* profile-level-id of `parameters`; NULL where JavaScript would take it for absent. */
static json_t *
find_id(const json_t *parameters)
{
	json_t *id = json_object_get(parameters, "profile-level-id");

	if (json_is_string(id) && json_string_length(id) == 0)
		return NULL;
	if (json_is_number(id) && json_number_value(id) == 0)
		return NULL;
	return id;
}

static bool
read_parameters(const json_t *parameters, struct profile_level *pl)
{
	static const struct profile_level otherwise = {CONSTRAINED_BASELINE, 31};
	json_t *id = find_id(parameters);

	*pl = otherwise;
	return id == NULL || (json_is_string(id) && parse_id(json_string_value(id), pl));
}

/* 1b is between 1 and 1.1. */
static bool
is_lower(int a, int b)
{
	if (a == LEVEL_1B)
		return b != 10 && b != LEVEL_1B;
	if (b == LEVEL_1B)
		return a == 10;
	return a < b;
}

static bool
allows_asymmetry(const json_t *parameters)
{
	json_t *allowed = json_object_get(parameters, "level-asymmetry-allowed");

	if (json_is_string(allowed))
		return strcmp(json_string_value(allowed), "1") == 0;
	return json_is_number(allowed) && json_number_value(allowed) == 1;
}

static void
print_1b(enum profile profile, char id[RT_H264_ID])
{
	static const char *const ids[] = {[CONSTRAINED_BASELINE] = "42f00b", [BASELINE] = "42100b", [MAIN] = "4d100b"};

	/* The other profiles have no constraint bit 3 to set, so parse_id() never gives them this level. */
	snprintf(id, RT_H264_ID, "%s", profile <= MAIN ? ids[profile] : "");
}

static void
print_id(const struct profile_level *pl, char id[RT_H264_ID])
{
	static const char *const prefixes[] = {[CONSTRAINED_BASELINE] = "42e0", [BASELINE] = "4200", [MAIN] = "4d00",
										   [CONSTRAINED_HIGH] = "640c",     [HIGH] = "6400",     [HIGH_444] = "f400"};

	if (pl->level == LEVEL_1B)
		print_1b(pl->profile, id);
	else
		snprintf(id, RT_H264_ID, "%s%02x", prefixes[pl->profile], (unsigned) pl->level & 0xff);
}

bool
rt_params_h264_match(const json_t *ours, const json_t *theirs, char answer[RT_H264_ID])
{
	struct profile_level a;
	struct profile_level b;

	answer[0] = '\0';
	if (!read_parameters(ours, &a) || !read_parameters(theirs, &b) || a.profile != b.profile)
		return false;
	if (find_id(ours) == NULL && find_id(theirs) == NULL)
		return true;
	if (!(allows_asymmetry(ours) && allows_asymmetry(theirs)) && !is_lower(a.level, b.level))
		a.level = b.level;
	print_id(&a, answer);
	return true;
}
