/* packet.c: see packet.h */
#include "packet.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
packet_is_event(const char *text, size_t len, const char *name)
{
	size_t n = strlen(name);

	return len > n + 5 && memcmp(text, "42[\"", 4) == 0 && memcmp(text + 4, name, n) == 0 && text[4 + n] == '"';
}

const char *
packet_value(const char *text, size_t len, const char *key)
{
	char quoted[64];
	size_t n = (size_t) snprintf(quoted, sizeof(quoted), "\"%s\"", key);
	const char *at = memmem(text, len, quoted, n);

	return at == NULL ? NULL : at + n + strspn(at + n, " :\"");
}

long long
packet_number(const char *text, size_t len, const char *key)
{
	const char *value = packet_value(text, len, key);

	return value == NULL ? -1 : strtoll(value, NULL, 10);
}

bool
packet_is_true(const char *text, size_t len, const char *key)
{
	const char *value = packet_value(text, len, key);

	return value != NULL && strncmp(value, "true", 4) == 0;
}

void
packet_copy(char *to, size_t size, const char *text, size_t len, const char *key)
{
	const char *value = packet_value(text, len, key);
	size_t n = value == NULL ? size : strcspn(value, "\"");

	if (n >= size)
		errx(1, "no usable %s in %.*s", key, (int) len, text);
	memcpy(to, value, n);
	to[n] = '\0';
}

void
packet_check_success(const char *text, size_t len)
{
	if (!packet_is_true(text, len, "success"))
		errx(1, "refused: %.*s", (int) len, text);
}
