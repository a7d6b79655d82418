/* hostfile.c: see hostfile.h.  The grammar is guc-file.l's, without units and includes:
 *
 *     line:   [ key [ "=" ] value ] [ "#" comment ]
 *     value:  'text', in which '' and \' are a quote and \\ \n \t \r are as in C; or a word without quotes
 *
 * A key that stands twice counts as its last value, as in postgresql.conf.  Pure but for rt_hostfile_read(). */
#include "hostfile.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "text.h"

#define FILE_LIMIT_BYTES (64 * 1024)

struct reader
{
	const char *path;
	const char *at;
	int line;
	char *error;
	size_t size;
};

static enum rt_result
fail(const struct reader *r, const char *what, const char *detail, int len)
{
	snprintf(r->error, r->size, "%s:%d: %s%s%.*s%s", r->path, r->line, what, len > 0 ? " \"" : "", len, detail,
			 len > 0 ? "\"" : "");
	return RT_BAD_INPUT;
}

static void
skip_blanks(struct reader *r)
{
	while (*r->at == ' ' || *r->at == '\t' || *r->at == '\r')
		r->at++;
}

static bool
is_line_over(const struct reader *r)
{
	return *r->at == '\0' || *r->at == '\n' || *r->at == '#';
}

static int
find_key(const struct rt_hostfile *f, const char *name, size_t len)
{
	for (int i = 0; f->keys[i] != NULL; i++)
		if (strlen(f->keys[i]) == len && strncasecmp(f->keys[i], name, len) == 0)
			return i;
	return -1;
}

static char
unescape(char c)
{
	switch (c)
	{
		case 'n':
			return '\n';
		case 't':
			return '\t';
		case 'r':
			return '\r';
		default:
			return c;
	}
}

static enum rt_result
read_quoted(struct reader *r, struct rt_text *value)
{
	for (r->at++; *r->at != '\0' && *r->at != '\n'; r->at++)
	{
		char c = *r->at;

		if (c == '\'' && r->at[1] != '\'')
		{
			r->at++;
			return RT_OK;
		}
		if (c == '\'')
			r->at++;
		else if (c == '\\' && r->at[1] != '\0' && r->at[1] != '\n')
			c = unescape(*++r->at);
		rt_text_add_n(value, &c, 1);
	}
	return fail(r, "a quote is not closed", "", 0);
}

static enum rt_result
read_word(struct reader *r, struct rt_text *value)
{
	size_t len = strcspn(r->at, " \t\r\n#'=");

	if (len == 0)
		return fail(r, "a value is missing", "", 0);
	rt_text_add_n(value, r->at, len);
	r->at += len;
	return RT_OK;
}

static enum rt_result
read_value(struct reader *r, struct rt_text *value)
{
	enum rt_result rc;

	skip_blanks(r);
	if (*r->at == '=')
		r->at++;
	skip_blanks(r);
	if (is_line_over(r))
		return fail(r, "a value is missing", "", 0);
	rc = *r->at == '\'' ? read_quoted(r, value) : read_word(r, value);
	if (rc != RT_OK)
		return rc;
	skip_blanks(r);
	/* Not what is there: it may be a part of a password. */
	return is_line_over(r) ? RT_OK : fail(r, "syntax error behind a value", "", 0);
}

static void
set_value(struct rt_hostfile *f, int key, const char *value, int line)
{
	if (f->values[key] != NULL)
		explicit_bzero(f->values[key], strlen(f->values[key]));
	free(f->values[key]);
	f->values[key] = rt_strdup(value);
	f->lines[key] = line;
}

static enum rt_result
read_line(struct rt_hostfile *f, struct reader *r)
{
	const char *name;
	size_t len;
	struct rt_text value;
	enum rt_result rc;
	int key;

	skip_blanks(r);
	if (!is_line_over(r))
	{
		name = r->at;
		for (len = 0; isalnum((unsigned char) name[len]) || name[len] == '_' || name[len] == '.'; len++)
			continue;
		if (len == 0)
			return fail(r, "syntax error", "", 0);
		r->at += len;
		key = find_key(f, name, len);
		if (key < 0)
			return fail(r, "unrecognized parameter", name, (int) len);
		rt_text_init(&value);
		rc = read_value(r, &value);
		if (rc == RT_OK)
			set_value(f, key, value.len == 0 ? "" : value.data, r->line);
		if (value.len > 0)
			explicit_bzero(value.data, value.len);
		rt_text_fini(&value);
		if (rc != RT_OK)
			return rc;
	}
	r->at += strcspn(r->at, "\n");
	if (*r->at == '\n')
		r->at++;
	r->line++;
	return RT_OK;
}

enum rt_result
rt_hostfile_parse(struct rt_hostfile *f, const char *path, const char *text, const char *const *keys, char *error,
				  size_t size)
{
	struct reader r = {.path = path, .at = text, .line = 1, .error = error, .size = size};
	enum rt_result rc = RT_OK;

	*f = (struct rt_hostfile){.keys = keys};
	while (rc == RT_OK && *r.at != '\0')
		rc = read_line(f, &r);
	if (rc != RT_OK)
		rt_hostfile_fini(f);
	return rc;
}

enum rt_result
rt_hostfile_read(struct rt_hostfile *f, const char *path, const char *const *keys, char *error, size_t size)
{
	char *text = rt_alloc(FILE_LIMIT_BYTES + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = 0;
	ssize_t n = -1;
	enum rt_result rc = RT_BAD_INPUT;

	while (fd >= 0 && len < FILE_LIMIT_BYTES && (n = read(fd, text + len, (size_t) (FILE_LIMIT_BYTES - len))) > 0)
		len += n;
	if (fd < 0 || n < 0)
		snprintf(error, size, "could not read \"%s\": %s", path, strerror(errno));
	else if (len == FILE_LIMIT_BYTES)
		snprintf(error, size, "\"%s\" is larger than %d bytes", path, FILE_LIMIT_BYTES);
	else if (memchr(text, '\0', (size_t) len) != NULL)
		snprintf(error, size, "\"%s\" is not a text file", path);
	else
		rc = rt_hostfile_parse(f, path, text, keys, error, size);
	if (fd >= 0)
		close(fd);
	explicit_bzero(text, FILE_LIMIT_BYTES);
	free(text);
	return rc;
}

void
rt_hostfile_fini(struct rt_hostfile *f)
{
	for (int i = 0; i < RT_HOSTFILE_KEYS; i++)
	{
		if (f->values[i] != NULL)
			explicit_bzero(f->values[i], strlen(f->values[i]));
		free(f->values[i]);
		f->values[i] = NULL;
		f->lines[i] = 0;
	}
}

const char *
rt_hostfile_get(const struct rt_hostfile *f, const char *key)
{
	int i = find_key(f, key, strlen(key));

	return i < 0 || f->values[i] == NULL ? "" : f->values[i];
}

int
rt_hostfile_line(const struct rt_hostfile *f, const char *key)
{
	int i = find_key(f, key, strlen(key));

	return i < 0 ? 0 : f->lines[i];
}
