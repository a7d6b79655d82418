# The catalog as a DBA reads it: nothing is PUBLIC's, monitoring sees figures and nothing else, everything is described.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use RtTest;
use Test::More;

my $cluster = RtTest->start(settings => { 'rt.media_workers' => 0 });
$cluster->sql(q{
	CREATE ROLE stranger LOGIN;
	CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	SELECT rt.create_user('alice', 'Alice', 'wonderland');
	SELECT rt.create_room('General', ARRAY['alice']);
});

sub none { my ($sql, $name) = @_; return is($cluster->sql($sql), '', $name); }

my $OURS = q{('rt', 'rt_api', 'rt_private')};
my $RELATIONS = "pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname IN $OURS";
my $FUNCTIONS = "pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace AND n.nspname IN $OURS";

# ---- PUBLIC, and whoever may log in ----------------------------------------------------------------

cmp_ok($cluster->sql("SELECT count(*) FROM $FUNCTIONS"), '>', 150, 'functions are looked at');
none("SELECT string_agg(nspname, ', ') FROM pg_namespace WHERE nspname IN $OURS AND has_schema_privilege('stranger', oid, 'USAGE, CREATE')",
	'no schema is anybody\'s');
none("SELECT string_agg(c.oid::regclass::text, ', ') FROM $RELATIONS
	WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f') AND (has_table_privilege('stranger', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
		OR has_any_column_privilege('stranger', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))
	OR c.relkind = 'S' AND has_sequence_privilege('stranger', c.oid, 'USAGE, SELECT, UPDATE')", 'no table, view or sequence is anybody\'s');
none("SELECT string_agg(p.oid::regprocedure::text, ', ') FROM $FUNCTIONS WHERE has_function_privilege('stranger', p.oid, 'EXECUTE')
	AND p.proname NOT IN ('search_vector', 'name_key')", 'no function is anybody\'s, but for what indexes call');
like(($cluster->try_sql('SELECT * FROM rt.messages', user => 'stranger'))[1], qr/permission denied/, 'and so it is when tried');
is($cluster->sql(q{SELECT count(*) FROM pg_settings WHERE name = 'rt.conninfo'}, user => 'stranger'), 0, 'rt.conninfo, which may hold a password, is not shown');
like(($cluster->try_sql('SHOW rt.conninfo', user => 'stranger'))[1], qr/must be .*superuser|permission denied/, 'nor told');

# A publication FOR ALL TABLES makes the server refuse UPDATE and DELETE of others.
none("SELECT string_agg(c.oid::regclass::text, ', ') FROM $RELATIONS WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.relreplident <> 'f'
	AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)", 'every table can be published');

# Deleting a user or a room looks for what refers to it.
none("SELECT string_agg(format('%s of %s', c.conname, c.conrelid::regclass), ', ') FROM pg_constraint AS c JOIN pg_namespace AS n ON n.oid = c.connamespace AND n.nspname IN $OURS
	WHERE c.contype = 'f' AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1])",
	'every foreign key has an index');

# ---- pg_monitor ----------------------------------------------------------------------------------------

my @views = split /\n/, $cluster->sql("SELECT c.oid::regclass FROM $RELATIONS WHERE n.nspname = 'rt' AND c.relkind = 'v' AND c.relname LIKE 'stat\\_%' ORDER BY 1");
cmp_ok(scalar(@views), '>=', 8, 'views of figures are found');
for my $view (@views)
{
	is(($cluster->try_sql("SELECT * FROM $view", user => 'watcher'))[1], '', "pg_monitor reads $view");
}
none("SELECT string_agg(c.oid::regclass::text, ', ') FROM $RELATIONS WHERE c.relkind IN ('r', 'v', 'm', 'p') AND c.relname NOT LIKE 'stat\\_%'
	AND has_any_column_privilege('watcher', c.oid, 'SELECT, INSERT, UPDATE')", 'and nothing else');
none("SELECT string_agg(p.oid::regprocedure::text, ', ') FROM $FUNCTIONS WHERE has_function_privilege('watcher', p.oid, 'EXECUTE') AND p.proname NOT IN ('search_vector', 'name_key')
	AND p.proname NOT LIKE 'stat\\_%' AND p.proname <> 'since_reset'", 'it runs nothing but what those views need');

# ---- descriptions ----------------------------------------------------------------------------------------

none("SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY 1) FROM $RELATIONS WHERE c.relkind IN ('r', 'v', 'm', 'p') AND obj_description(c.oid, 'pg_class') IS NULL",
	'every table and view is described');
none("SELECT string_agg(format('%s.%s', c.oid::regclass, a.attname), ', ' ORDER BY 1) FROM $RELATIONS JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relkind IN ('r', 'v', 'c', 'p') AND col_description(c.oid, a.attnum) IS NULL", 'every column too');
none("SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY 1) FROM $RELATIONS WHERE obj_description(c.oid, 'pg_class') IS NULL
	AND (c.relkind = 'S' OR c.relkind = 'i' AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid))",
	'every sequence, and every index that is not a constraint');
none("SELECT string_agg(t.tgname || ' ON ' || c.oid::regclass, ', ' ORDER BY 1) FROM $RELATIONS JOIN pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal
	WHERE obj_description(t.oid, 'pg_trigger') IS NULL", 'every trigger');
none("SELECT string_agg(p.polname || ' ON ' || c.oid::regclass, ', ' ORDER BY 1) FROM $RELATIONS JOIN pg_policy AS p ON p.polrelid = c.oid
	WHERE obj_description(p.oid, 'pg_policy') IS NULL", 'every policy');
none("SELECT string_agg(p.oid::regprocedure::text, ', ' ORDER BY 1) FROM $FUNCTIONS WHERE obj_description(p.oid, 'pg_proc') IS NULL", 'every function');
none("SELECT string_agg(p.oid::regprocedure::text, ', ' ORDER BY 1) FROM $FUNCTIONS
	WHERE n.nspname = 'rt' AND p.pronargs > 0 AND (p.proargnames IS NULL OR '' = ANY (p.proargnames))", 'arguments of functions of schema rt have names');

# ---- search_path -----------------------------------------------------------------------------------------

# SET search_path keeps the planner from putting a function into the query that calls it.  Those that it can have a body that
# CREATE FUNCTION parsed, which depends on no path.  That of a function that takes a row of a table would keep a DBA from adding columns to it.
my $FIXED = q{coalesce(p.proconfig, '{}') && ARRAY['search_path=pg_catalog, pg_temp', 'search_path="pg_catalog", "pg_temp"']};
none("SELECT string_agg(p.oid::regprocedure::text, ', ' ORDER BY 1) FROM $FUNCTIONS JOIN pg_language AS l ON l.oid = p.prolang
	WHERE l.lanname <> 'c' AND NOT ($FIXED OR NOT p.prosecdef AND p.prosqlbody IS NOT NULL)", 'every function has a search_path, or a parsed body');
none("SELECT string_agg(DISTINCT p.oid::regprocedure::text, ', ') FROM $FUNCTIONS JOIN pg_type AS t ON t.oid = ANY (p.proargtypes) AND t.typtype = 'c' AND t.typnamespace = 'rt'::regnamespace
	WHERE p.prosqlbody IS NOT NULL", 'no parsed body takes a row of a table of schema rt');
cmp_ok($cluster->sql("SELECT count(*) FROM $FUNCTIONS WHERE p.prosqlbody IS NOT NULL"), '<', 30, 'few have a parsed body');
none("SELECT string_agg(p.oid::regprocedure::text, ', ' ORDER BY 1) FROM $FUNCTIONS WHERE p.prosqlbody IS NOT NULL
	AND p.prosqlbody::text ~ '[{](SUBLINK|RTE|RANGETBLENTRY) '", 'and those are expressions, which the planner can inline');

# ---- processes ---------------------------------------------------------------------------------------------

sub title { my ($pid) = @_; return slurp("/proc/$pid/cmdline") =~ tr/\0/ /r; }
for my $kind ('rt relay', 'rt supervisor')
{
	my $process = "FROM pg_stat_activity WHERE backend_type = '$kind' AND datname = 'rt' AND application_name = '$kind'";
	like(title($cluster->sql("SELECT pid $process")), qr/postgres: .*\b$kind rt\b/, "ps tells the database of the $kind");
	$cluster->poll_sql("SELECT wait_event_type $process", 'Extension', 'and pg_stat_activity that it waits'); # between two turns of work
}
like(title($cluster->pid('gateway')), qr/^rt_gateway: rt 0/, 'and the database and number of a gateway');
cmp_ok($cluster->sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rt_gateway' AND usename = 'rt_gateway'}), '>=', 5, 'its sessions bear its name');

done_testing();
