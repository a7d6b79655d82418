/* test_hostfile.c: the file of a program on a host of its own, in the form of postgresql.conf. */
#include "bgworker/common/hostfile.h"
#include "tap.h"

static const char *const keys[] = {"conninfo", "name", "port", NULL};

static enum rt_result
parse(struct rt_hostfile *f, const char *text, char *error)
{
	return rt_hostfile_parse(f, "x.conf", text, keys, error, 200);
}

static void
accepts(const char *text, const char *key, const char *value, int line)
{
	struct rt_hostfile f;
	char error[200] = "";

	ok(parse(&f, text, error) == RT_OK, "accepts: %s", text);
	is_str(rt_hostfile_get(&f, key), value, "its value");
	ok(rt_hostfile_line(&f, key) == line, "its line");
	rt_hostfile_fini(&f);
}

static void
refuses(const char *text, const char *expected)
{
	struct rt_hostfile f;
	char error[200] = "";

	ok(parse(&f, text, error) == RT_BAD_INPUT, "refuses: %s", text);
	is_str(error, expected, "and says where");
}

int
main(void)
{
	accepts("", "name", "", 0);
	accepts("# name = 'x'\n\n", "name", "", 0);
	accepts("name = 'a b'\n", "name", "a b", 1);
	accepts("\n  name='a' # '\r\n", "name", "a", 2);
	accepts("NAME 'a'", "name", "a", 1);
	accepts("port = 4501\nname = 'x'", "port", "4501", 1);
	accepts("port=4501#x", "port", "4501", 1);
	accepts("name = ''", "name", "", 1);
	accepts("name = 'it''s'", "name", "it's", 1);
	accepts("name = 'it\\'s \\\\ \\t.'", "name", "it's \\ \t.", 1);
	accepts("name = 'a'\nname = 'b'\n", "name", "b", 2);
	accepts("conninfo = 'host=a password=''x#y'''", "conninfo", "host=a password='x#y'", 1);
	refuses("name", "x.conf:1: a value is missing");
	refuses("name =\n", "x.conf:1: a value is missing");
	refuses("\nname = 'a\nport = 1", "x.conf:2: a quote is not closed");
	refuses("name = 'a' 'b'", "x.conf:1: syntax error behind a value");
	refuses("name = a=b", "x.conf:1: syntax error behind a value");
	refuses("= 1", "x.conf:1: syntax error");
	refuses("port = 1\n\ncolour = 'red'", "x.conf:3: unrecognized parameter \"colour\"");
	refuses("name = 'a\\", "x.conf:1: a quote is not closed");
	return tap_done();
}
