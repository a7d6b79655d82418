/* conf.c: see conf.h.  Reads lines, and says what is in the last good one; what a setting means is for the module
 * that asks.
 *
 * A line holds a password: it is wiped once it is parsed.  Invariant: what the first line had, and in which type,
 * each later one has too, or it is refused as a whole.  So a program that found its settings complete at the start
 * needs no default afterwards. */
#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "activity.h"
#include "alloc.h"
#include "json.h"
#include "log.h"
#include "version.h"

#define LINE_LIMIT_BYTES (1024 * 1024)
#define CHUNK_BYTES 4096

struct rt_conf
{
	int fd;         /* -1: there is none */
	char host[256]; /* where the root has none */
	char *line;     /* what has come of the next line */
	size_t len;
	json_t *root;
	bool incomplete; /* somebody asked for what is not there */
	struct rt_watch *watch;
	rt_conf_cb on_reload;
	rt_conf_cb on_end;
	void *arg;
};

/* RT_OK: some bytes came; RT_AGAIN: none now; RT_GONE: end of file. */
static enum rt_result
read_some(struct rt_conf *c)
{
	ssize_t n;

	if (c->len + CHUNK_BYTES > LINE_LIMIT_BYTES)
		return RT_LIMIT;
	c->line = rt_realloc(c->line, c->len + CHUNK_BYTES);
	n = read(c->fd, c->line + c->len, CHUNK_BYTES);
	if (n == 0)
		return RT_GONE;
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? RT_AGAIN : RT_GONE;
	c->len += (size_t) n;
	return RT_OK;
}

static json_t *
settings(const json_t *root)
{
	return rt_json_object(root, "settings");
}

/* Whether the new settings have all that the old ones have; logs what they lack. */
static bool
has_all_of(json_t *root, json_t *old)
{
	const char *name;
	json_t *value;

	json_object_foreach(settings(old), name, value)
	{
		json_t *other = json_object_get(settings(root), name);

		if (other != NULL &&
			(json_typeof(other) == json_typeof(value) || (json_is_boolean(other) && json_is_boolean(value))))
			continue;
		rt_log(RT_LOG_ERROR, "conf", "ignoring a reload that lacks rt.%s", name);
		return false;
	}
	return true;
}

/* The supervisor asks whether the loop still turns (supervisor/watchdog.h).  The answer is a line of its own. */
static bool
answer_beat(const json_t *root)
{
	if (!rt_json_bool(root, "beat", false))
		return false;
	rt_log(RT_LOG_INFO, NULL, "beat");
	return true;
}

/* To a supervisor lines of the other levels are always written: it reads them, and leaves out what the log is not to
 * have. */
static enum rt_log_level
level_of(const struct rt_conf *c)
{
	static const char *const names[] = {"debug", "log", "warning", "error"};
	const char *name = rt_json_str(settings(c->root), "log_min_messages");

	for (int i = 0; name != NULL && i < 4; i++)
		if (strcmp(name, names[i]) == 0 && (i == RT_LOG_DEBUG || c->fd < 0))
			return (enum rt_log_level) i;
	return RT_LOG_INFO;
}

static enum rt_result
use_root(struct rt_conf *c, json_t *root)
{
	if (!has_all_of(root, c->root))
	{
		json_decref(root);
		return RT_BAD_INPUT;
	}
	json_decref(c->root);
	c->root = root;
	rt_log_set_level(level_of(c));
	return RT_OK;
}

/* Takes a whole line, if there is one, and makes it the configuration.  RT_LIMIT: it was none. */
static enum rt_result
take_line(struct rt_conf *c)
{
	char *end = c->len == 0 ? NULL : memchr(c->line, '\n', c->len);
	size_t used;
	json_t *root;

	if (end == NULL)
		return RT_AGAIN;
	used = (size_t) (end - c->line) + 1;
	root = rt_json_parse_object(c->line, used - 1);
	explicit_bzero(c->line, used);
	memmove(c->line, c->line + used, c->len - used);
	c->len -= used;
	if (root == NULL)
	{
		rt_log(RT_LOG_ERROR, "conf", "ignoring a line that is not a JSON object");
		return RT_BAD_INPUT;
	}
	if (answer_beat(root))
	{
		json_decref(root);
		return RT_LIMIT;
	}
	return use_root(c, root);
}

enum rt_result
rt_conf_read(struct rt_conf **cp, int fd)
{
	struct rt_conf *c = rt_alloc(sizeof(*c));
	enum rt_result rc;

	c->fd = fd;
	gethostname(c->host, sizeof(c->host) - 1);
	do
	{
		rc = read_some(c);
		if (rc == RT_OK)
			rc = take_line(c);
	} while (rc == RT_AGAIN);
	if (rc == RT_OK)
		*cp = c;
	else
		rt_conf_free(c);
	return rc;
}

struct rt_conf *
rt_conf_of(json_t *root)
{
	struct rt_conf *c = rt_alloc(sizeof(*c));

	c->fd = -1;
	use_root(c, root);
	return c;
}

enum rt_result
rt_conf_replace(struct rt_conf *c, json_t *root)
{
	enum rt_result rc = use_root(c, root);

	if (rc == RT_OK && c->on_reload != NULL)
		c->on_reload(c->arg);
	return rc;
}

/* A server that was not restarted after an update starts the new programs with the settings of the old library. */
bool
rt_conf_is_current(const struct rt_conf *c)
{
	const char *version = rt_json_str(settings(c->root), "version");

	if (version == NULL)
		version = "1.0"; /* which did not tell its version */
	if (strcmp(version, RT_VERSION) == 0)
		return true;
	rt_log(RT_LOG_ERROR, "conf", "the server runs version %s of rt, this program is version %s: restart the server",
		   version, RT_VERSION);
	return false;
}

void
rt_conf_free(struct rt_conf *c)
{
	if (c == NULL)
		return;
	rt_watch_free(c->watch);
	json_decref(c->root);
	free(c->line);
	free(c);
}

static void
on_readable(void *arg, int events)
{
	struct rt_conf *c = arg;
	enum rt_result rc;

	rt_activity_begin(RT_ACTIVITY_SETTINGS);
	rc = read_some(c);
	if (rc == RT_AGAIN)
		return;
	if (rc != RT_OK)
	{
		rt_watch_set(c->watch, 0);
		c->on_end(c->arg);
		return;
	}
	while ((rc = take_line(c)) != RT_AGAIN)
		if (rc == RT_OK)
			c->on_reload(c->arg);
}

enum rt_result
rt_conf_watch(struct rt_conf *c, struct rt_loop *l, rt_conf_cb on_reload, rt_conf_cb on_end, void *arg)
{
	int flags;

	c->on_reload = on_reload;
	c->on_end = on_end;
	c->arg = arg;
	if (c->fd < 0)
		return RT_OK;
	flags = fcntl(c->fd, F_GETFL);
	if (flags < 0 || fcntl(c->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return RT_INTERNAL;
	c->watch = rt_watch_new(l, c->fd, on_readable, c);
	if (c->watch == NULL)
		return RT_INTERNAL;
	rt_watch_set(c->watch, RT_READABLE);
	return RT_OK;
}

const char *
rt_conf_database(const struct rt_conf *c)
{
	const char *name = rt_json_str(c->root, "database");

	return name == NULL ? "" : name;
}

bool
rt_conf_is_own(const struct rt_conf *c)
{
	return c->fd < 0;
}

const char *
rt_conf_host(const struct rt_conf *c)
{
	const char *name = rt_json_str(c->root, "host");

	return name == NULL ? c->host : name;
}

const char *
rt_conf_region(const struct rt_conf *c)
{
	const char *region = rt_json_str(c->root, "region");

	return region == NULL ? "" : region;
}

int
rt_conf_number(const struct rt_conf *c)
{
	return (int) rt_json_int(c->root, "number", rt_conf_worker(c));
}

const char *
rt_conf_conninfo(const struct rt_conf *c)
{
	const char *conninfo = rt_json_str(c->root, "conninfo");

	return conninfo == NULL ? "" : conninfo;
}

const char *
rt_conf_pem(const struct rt_conf *c, const char *name)
{
	return rt_json_str(rt_json_object(c->root, "tls"), name);
}

int
rt_conf_worker(const struct rt_conf *c)
{
	return (int) rt_json_int(c->root, "worker", 0);
}

int
rt_conf_workers(const struct rt_conf *c)
{
	return (int) rt_json_int(c->root, "workers", 1);
}

bool
rt_conf_has_successor(const struct rt_conf *c)
{
	return rt_json_bool(c->root, "successor", false);
}

int
rt_conf_socket_fds(const struct rt_conf *c, int *fds, int max)
{
	json_t *list = rt_json_array(c->root, "socket_fds");
	int n = (int) json_array_size(list);

	for (int i = 0; i < n && i < max; i++)
		fds[i] = (int) json_integer_value(json_array_get(list, (size_t) i));
	return n;
}

/* The setting, or NULL, logged, where it is missing or of another type. */
static json_t *
find(struct rt_conf *c, const char *name, bool (*is_right)(const json_t *value))
{
	json_t *value = json_object_get(settings(c->root), name);

	if (value != NULL && is_right(value))
		return value;
	c->incomplete = true;
	rt_log(RT_LOG_ERROR, "conf", "the supervisor did not send a valid value of rt.%s", name);
	return NULL;
}

static bool
is_integer(const json_t *value)
{
	return json_is_integer(value);
}

static bool
is_boolean(const json_t *value)
{
	return json_is_boolean(value);
}

static bool
is_string(const json_t *value)
{
	return json_is_string(value);
}

int64_t
rt_conf_int(struct rt_conf *c, const char *name)
{
	return json_integer_value(find(c, name, is_integer));
}

bool
rt_conf_bool(struct rt_conf *c, const char *name)
{
	return json_is_true(find(c, name, is_boolean));
}

const char *
rt_conf_str(struct rt_conf *c, const char *name)
{
	json_t *value = find(c, name, is_string);

	return value == NULL ? "" : json_string_value(value);
}

bool
rt_conf_is_complete(const struct rt_conf *c)
{
	return !c->incomplete;
}
