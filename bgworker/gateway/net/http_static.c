/* http_static.c: see http_static.h.
 *
 * A file `x.gz` beside `x` is its compressed form.  File I/O happens at the start only.  One file is on no disk: what
 * the application has to know of the settings. */
#include "http_static.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bgworker/common/alloc.h"
#include "bgworker/common/log.h"
#include "bgworker/common/map.h"
#include "bgworker/common/text.h"

#define MAX_TOTAL_BYTES (64 << 20)
#define MAX_FILES 500
#define MAX_DEPTH 4

/* The page talks to its own server, by requests and by websockets, and to what is configured. */
#define PAGE_HEADERS \
	"Content-Security-Policy: default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; " \
	"worker-src 'self'; manifest-src 'self'; connect-src 'self'%s; object-src 'none'; base-uri 'none'; form-action " \
	"'none'; " \
	"frame-ancestors 'none'\r\n" \
	"Referrer-Policy: no-referrer\r\n"
#define MAX_SOURCES 1024 /* bytes of them in a header */
#define SETTINGS_PATH "/assets/settings.json"

struct file
{
	char *path; /* as requested */
	char *data;
	size_t len;
	char *gzip; /* or NULL */
	size_t gzip_len;
	char etag[24]; /* with its quotes */
	const char *type;
	bool is_reference;
	bool changes; /* whether `data` is replaced while answers are on their way */
};

struct rt_http_static
{
	struct rt_map *files; /* by path */
	size_t total_bytes;
	bool hides_reference;
	char sources[MAX_SOURCES]; /* each with a space in front */
};

static const char *
type_of(const char *path)
{
	static const char *const types[][2] = {{".html", "text/html; charset=utf-8"},
										   {".js", "text/javascript; charset=utf-8"},
										   {".mjs", "text/javascript; charset=utf-8"},
										   {".css", "text/css; charset=utf-8"},
										   {".json", "application/json"},
										   {".webmanifest", "application/manifest+json"},
										   {".map", "application/json"},
										   {".svg", "image/svg+xml"},
										   {".png", "image/png"},
										   {".ico", "image/x-icon"},
										   {".woff2", "font/woff2"},
										   {".yaml", "application/yaml; charset=utf-8"},
										   {".txt", "text/plain; charset=utf-8"}};
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(dot, types[i][0]) == 0)
			return types[i][1];
	return "application/octet-stream";
}

/* Contents as allocated bytes, or NULL. */
static char *
read_file(struct rt_http_static *s, const char *name, size_t *len)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	char *data = NULL;
	ssize_t n;

	if (fd < 0)
		return NULL;
	*len = 0;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t) (MAX_TOTAL_BYTES - s->total_bytes))
	{
		close(fd);
		return NULL;
	}
	data = rt_alloc((unsigned long) st.st_size + 1);
	while ((n = read(fd, data + *len, (size_t) st.st_size - *len)) > 0)
		*len += (size_t) n;
	close(fd);
	s->total_bytes += *len;
	return data;
}

/* FNV-1a: tells versions of a file apart, nothing more. */
static uint64_t
hash_of(const char *data, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char) data[i]) * 0x100000001b3u;
	return hash;
}

static void
add_file(struct rt_http_static *s, const char *name, const char *path)
{
	char gzip_name[PATH_MAX];
	struct file *f = rt_alloc(sizeof(*f));

	f->data = rt_map_count(s->files) < MAX_FILES ? read_file(s, name, &f->len) : NULL;
	if (f->data == NULL)
	{
		free(f);
		return;
	}
	snprintf(gzip_name, sizeof(gzip_name), "%s.gz", name);
	f->gzip = read_file(s, gzip_name, &f->gzip_len);
	f->path = rt_strdup(path);
	f->type = type_of(name);
	snprintf(f->etag, sizeof(f->etag), "\"%016" PRIx64 "\"", hash_of(f->data, f->len));
	rt_map_put_str(s->files, f->path, f);
}

static bool
is_gzip(const char *name)
{
	size_t len = strlen(name);

	return len > 3 && strcmp(name + len - 3, ".gz") == 0;
}

static void
add_dir(struct rt_http_static *s, const char *dir, const char *path, int depth)
{
	DIR *d = depth > MAX_DEPTH ? NULL : opendir(dir);
	struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL)
	{
		char name[PATH_MAX];
		char url[PATH_MAX];
		struct stat st;

		if (entry->d_name[0] == '.' || is_gzip(entry->d_name))
			continue;
		if (snprintf(name, sizeof(name), "%s/%s", dir, entry->d_name) >= (int) sizeof(name) ||
			snprintf(url, sizeof(url), "%s/%s", path, entry->d_name) >= (int) sizeof(url) || lstat(name, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode))
			add_dir(s, name, url, depth + 1);
		else if (S_ISREG(st.st_mode))
			add_file(s, name, url);
	}
	if (d != NULL)
		closedir(d);
}

/* What describes REST and events. */
static void
add_reference(struct rt_http_static *s, const char *dir)
{
	static const char *const names[][2] = {
		{"openapi.yaml", "/openapi.yaml"}, {"asyncapi.yaml", "/asyncapi.yaml"}, {"reference.html", "/reference"}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		char name[PATH_MAX];
		struct file *f;

		snprintf(name, sizeof(name), "%s/%s", dir, names[i][0]);
		add_file(s, name, names[i][1]);
		f = rt_map_find_str(s->files, names[i][1]);
		if (f != NULL)
			f->is_reference = true;
	}
}

static void
add_settings(struct rt_http_static *s)
{
	struct file *f;

	if (rt_map_find_str(s->files, "/") == NULL || rt_map_find_str(s->files, SETTINGS_PATH) != NULL)
		return;
	f = rt_alloc(sizeof(*f));
	f->path = rt_strdup(SETTINGS_PATH);
	f->type = type_of(SETTINGS_PATH);
	f->changes = true;
	rt_map_put_str(s->files, f->path, f);
}

struct rt_http_static *
rt_http_static_new(const char *dir)
{
	struct rt_http_static *s = rt_alloc(sizeof(*s));
	char name[PATH_MAX];

	s->files = rt_map_new();
	if (dir == NULL || dir[0] == '\0')
		return s;
	snprintf(name, sizeof(name), "%s/index.html", dir);
	add_file(s, name, "/");
	snprintf(name, sizeof(name), "%s/favicon.ico", dir);
	add_file(s, name, "/favicon.ico");
	/* Beside the page: a service worker's scope is the folder that it comes from. */
	snprintf(name, sizeof(name), "%s/sw.js", dir);
	add_file(s, name, "/sw.js");
	snprintf(name, sizeof(name), "%s/manifest.webmanifest", dir);
	add_file(s, name, "/manifest.webmanifest");
	snprintf(name, sizeof(name), "%s/assets", dir);
	add_dir(s, name, "/assets", 0);
	snprintf(name, sizeof(name), "%s/socket.io", dir);
	add_dir(s, name, "/socket.io", 0);
	add_reference(s, dir);
	add_settings(s);
	rt_log(RT_LOG_DEBUG, "http", "%zu files, %zu bytes from %s", rt_map_count(s->files), s->total_bytes, dir);
	return s;
}

void
rt_http_static_free(struct rt_http_static *s)
{
	struct file *f;
	size_t pos = 0;

	if (s == NULL)
		return;
	while ((f = rt_map_next(s->files, &pos)) != NULL)
	{
		free(f->path);
		free(f->data);
		free(f->gzip);
		free(f);
	}
	rt_map_free(s->files);
	free(s);
}

/* An entry that does not fit is left out, and the log says so. */
static void
add_source(struct rt_http_static *s, const char *source, size_t len)
{
	size_t n = strlen(s->sources);

	if (n + len + 2 <= sizeof(s->sources))
		snprintf(s->sources + n, sizeof(s->sources) - n, " %.*s", (int) len, source);
	else
		rt_log(RT_LOG_WARNING, "http", "connect_sources is longer than %d bytes: \"%.*s\" is left out", MAX_SOURCES,
			   (int) len, source);
}

/* The origin of a URL, which rt_check_oidc_issuer() has seen. */
static size_t
origin_len(const char *url)
{
	const char *host = strstr(url, "://");

	return host == NULL ? 0 : (size_t) (host - url) + 3 + strcspn(host + 3, "/");
}

/* {"oidc":{"issuer":…,"clientId":…}}, or {"oidc":null}. */
static void
write_settings(struct file *f, const char *issuer, const char *client_id)
{
	struct rt_text t;

	rt_text_init(&t);
	rt_text_add(&t, "{\"oidc\":");
	if (issuer != NULL && client_id != NULL)
	{
		rt_text_add(&t, "{\"issuer\":");
		rt_text_quote(&t, issuer);
		rt_text_add(&t, ",\"clientId\":");
		rt_text_quote(&t, client_id);
		rt_text_add(&t, "}}");
	}
	else
		rt_text_add(&t, "null}");
	free(f->data);
	f->len = t.len;
	f->data = rt_strndup(t.data, t.len);
	snprintf(f->etag, sizeof(f->etag), "\"%016" PRIx64 "\"", hash_of(f->data, f->len));
	rt_text_fini(&t);
}

void
rt_http_static_configure(struct rt_http_static *s, const char *sources, const char *issuer, const char *client_id)
{
	struct file *settings = rt_map_find_str(s->files, SETTINGS_PATH);

	s->sources[0] = '\0';
	while (sources != NULL && *sources != '\0')
	{
		size_t len;

		sources += strspn(sources, ", \t");
		len = strcspn(sources, ", \t");
		if (len > 0)
			add_source(s, sources, len);
		sources += len;
	}
	if (issuer != NULL && client_id != NULL)
		add_source(s, issuer, origin_len(issuer));
	if (settings != NULL)
		write_settings(settings, issuer, client_id);
}

void
rt_http_static_show_reference(struct rt_http_static *s, bool shown)
{
	s->hides_reference = !shown;
}

static const struct file *
find(const struct rt_http_static *s, const char *path)
{
	const struct file *f = rt_map_find_str(s->files, path);

	return f == NULL || (f->is_reference && s->hides_reference) ? NULL : f;
}

bool
rt_http_static_has(const struct rt_http_static *s, const char *path)
{
	return find(s, path) != NULL;
}

bool
rt_http_static_serve(const struct rt_http_static *s, struct rt_httpconn *c, const struct rt_http_head *h,
					 const char *path)
{
	const struct file *f = find(s, path);
	struct rt_http_answer r = {.status = 200};
	char headers[1024 + MAX_SOURCES];
	bool gzip;

	if (f == NULL)
		return false;
	gzip = f->gzip != NULL && rt_http_accepted_coding(h) != RT_HTTP_IDENTITY;
	/* Files have no version in their names, so a client asks whether its copy is still good. */
	snprintf(headers, sizeof(headers), "ETag: %s\r\nCache-Control: no-cache\r\n%s%s" PAGE_HEADERS, f->etag,
			 f->gzip != NULL ? "Vary: Accept-Encoding\r\n" : "", gzip ? "Content-Encoding: gzip\r\n" : "",
			 s->sources);
	r.headers = headers;
	if (rt_http_header_has_token(h, "if-none-match", f->etag))
		r.status = 304;
	else
	{
		r.content_type = f->type;
		r.body = gzip ? f->gzip : f->data;
		r.len = gzip ? f->gzip_len : f->len;
		r.body_is_static = !f->changes;
	}
	rt_httpconn_reply(c, &r);
	return true;
}
