/* test_conf.c: the settings that the supervisor sends: typed, never guessed, and no reload takes one away. */
#include <unistd.h>

#include "bgworker/common/conf.h"
#include "bgworker/common/log.h"
#include "tap.h"

static int pipe_in;
static int reloads;

static void
send_line(const char *text)
{
	if (write(pipe_in, text, strlen(text)) != (ssize_t) strlen(text) || write(pipe_in, "\n", 1) != 1)
		ok(false, "writes a line");
}

static struct rt_conf *
read_first(const char *text)
{
	struct rt_conf *c = NULL;
	int fds[2];

	if (pipe(fds) != 0)
		return NULL;
	pipe_in = fds[1];
	send_line(text);
	ok(rt_conf_read(&c, fds[0]) == RT_OK, "the first line is read");
	return c;
}

static void
test_types(void)
{
	struct rt_conf *c =
		read_first("{\"settings\":{\"port\":4501,\"confine\":true,\"tls\":false,\"name\":\"x\",\"none\":\"\"}}");

	ok(rt_conf_int(c, "port") == 4501 && rt_conf_bool(c, "confine") && !rt_conf_bool(c, "tls"),
	   "numbers and booleans");
	is_str(rt_conf_str(c, "name"), "x", "a string");
	is_str(rt_conf_str(c, "none"), "", "an empty string is a value");
	ok(rt_conf_is_complete(c), "all that was asked for was there");
	is_str(rt_conf_str(c, "port"), "", "a number is not a string");
	ok(!rt_conf_is_complete(c), "a setting of another type is missing");
	rt_conf_free(c);
	close(pipe_in);
}

static void
test_missing(void)
{
	struct rt_conf *c = read_first("{\"settings\":{\"port\":4501}}");

	ok(rt_conf_is_complete(c), "nothing was asked for yet");
	ok(rt_conf_int(c, "media_port") == 0, "there is no default");
	ok(!rt_conf_is_complete(c), "and the settings are not complete");
	rt_conf_free(c);
	close(pipe_in);
}

static void
on_reload(void *arg)
{
	(void) arg;
	reloads++;
}

static void
on_end(void *arg)
{
	rt_loop_stop(arg);
}

static void
test_reload(void)
{
	struct rt_conf *c = read_first("{\"settings\":{\"port\":1,\"confine\":true}}");
	struct rt_loop *loop;

	ok(rt_loop_new(&loop) == RT_OK, "a loop");
	ok(rt_conf_watch(c, loop, on_reload, on_end, loop) == RT_OK, "watches");
	send_line("{\"settings\":{\"port\":2,\"confine\":false,\"more\":1}}");
	send_line("{\"settings\":{\"port\":3}}");
	send_line("{\"settings\":{\"port\":\"4\",\"confine\":true,\"more\":1}}");
	send_line("nonsense");
	close(pipe_in);
	rt_loop_run(loop);
	ok(reloads == 1, "only the line that had all that the one before had was taken");
	ok(rt_conf_int(c, "port") == 2 && !rt_conf_bool(c, "confine"), "and its values stay");
	rt_conf_free(c);
	rt_loop_free(loop);
}

int
main(void)
{
	rt_log_set_level(RT_LOG_ERROR + 1);
	test_types();
	test_missing();
	test_reload();
	return tap_done();
}
