/* params_dtls.c: see params_dtls.h.  A digest is of the length that its algorithm has, or refused (RFC 8122 section
 * 5). */
#include "params_dtls.h"

#include "params_field.h"

#include <stdio.h>
#include <string.h>

#include "bgworker/common/crypto/hex.h"

#define MAX_FINGERPRINTS 8

static const struct
{
	const char *name;
	size_t digest_len;
} algorithms[] = {{"sha-1", 20}, {"sha-224", 28}, {"sha-256", 32}, {"sha-384", 48}, {"sha-512", 64}};

/* "AB:CD:…", exactly len bytes. */
static bool
parse_digest(const char *text, uint8_t *digest, size_t len)
{
	size_t i;

	if (strlen(text) != 3 * len - 1)
		return false;
	for (i = 0; i < len; i++)
	{
		int high = rt_hex_value(text[3 * i]);
		int low = rt_hex_value(text[3 * i + 1]);

		if (high < 0 || low < 0 || (i + 1 < len && text[3 * i + 2] != ':'))
			return false;
		digest[i] = (uint8_t) (high << 4 | low);
	}
	return true;
}

static enum rt_result
check_fingerprint(const struct rt_field_scope *s, json_t *copy)
{
	enum rt_result rc = rt_params_field_string(s, "algorithm", RT_REQUIRED, 16, copy);

	if (rc == RT_OK)
		rc = rt_params_field_string(s, "value", RT_REQUIRED, 3 * RT_DTLS_MAX_DIGEST, copy);
	return rc;
}

static enum rt_result
read_fingerprint(struct rt_dtls_params *d, const json_t *fingerprint, const struct rt_field_scope *s)
{
	const char *name = json_string_value(json_object_get(fingerprint, "algorithm"));
	size_t i;

	for (i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
	{
		if (strcmp(name, algorithms[i].name) != 0)
			continue;
		d->algorithm = algorithms[i].name;
		d->digest_len = algorithms[i].digest_len;
		if (!parse_digest(json_string_value(json_object_get(fingerprint, "value")), d->digest, d->digest_len))
			return rt_params_field_fail(s, "fingerprints[0].value", "must be the digest's bytes, as AB:CD:...");
		return RT_OK;
	}
	return rt_params_field_fail(s, "fingerprints[0].algorithm",
								"must be sha-1, sha-224, sha-256, sha-384 or sha-512");
}

static enum rt_result
read_role(struct rt_dtls_params *d, const struct rt_field_scope *s, json_t *copy)
{
	static const char *const names[] = {
		[RT_DTLS_AUTO] = "auto", [RT_DTLS_CLIENT] = "client", [RT_DTLS_SERVER] = "server"};
	enum rt_result rc = rt_params_field_string(s, "role", RT_OPTIONAL, 16, copy);
	const char *role = json_string_value(json_object_get(copy, "role"));
	int i;

	if (rc != RT_OK || role == NULL)
		return rc;
	for (i = RT_DTLS_AUTO; i <= RT_DTLS_SERVER; i++)
	{
		if (strcmp(role, names[i]) == 0)
		{
			d->role = i;
			return RT_OK;
		}
	}
	return rt_params_field_fail(s, "role", "must be auto, client or server");
}

enum rt_result
rt_params_dtls_read(struct rt_dtls_params *d, const json_t *dtls_parameters, struct rt_params_error *e)
{
	struct rt_field_scope s = {dtls_parameters, "dtlsParameters", e};
	json_t *copy = json_object();
	enum rt_result rc = rt_params_field_check_object(&s);

	memset(d, 0, sizeof(*d));
	if (rc == RT_OK)
		rc = read_role(d, &s, copy);
	if (rc == RT_OK)
		rc = rt_params_field_list(&s, "fingerprints", RT_REQUIRED, MAX_FINGERPRINTS, check_fingerprint, copy);
	if (rc == RT_OK && json_array_size(json_object_get(copy, "fingerprints")) == 0)
		rc = rt_params_field_fail(&s, "fingerprints", "is empty");
	if (rc == RT_OK)
		rc = read_fingerprint(d, json_array_get(json_object_get(copy, "fingerprints"), 0), &s);
	json_decref(copy);
	return rc;
}
