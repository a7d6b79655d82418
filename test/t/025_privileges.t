# What each role may do: logged in as it, everything is tried, and what works is compared with test/t/privileges.
#
# A line there is "role privilege object".  A grant that is not listed fails the test, and so does a line that is no
# longer true.  build/privileges.got of a failed run can be copied over the list, once each difference is meant.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Temp;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0 });
my $data = $cluster->data_dir;
my $list = dirname(__FILE__) . '/privileges';
# The supervisor gives the two their passwords when it starts.
$cluster->poll_sql("SELECT count(*) FROM pg_authid WHERE rolname IN ('rt_gateway', 'rt_media') AND rolpassword IS NOT NULL", '2', 'the programs may log in');

# A role in rt_app, one without grants, and somebody else's schema and roles that none of them has to do with.
$cluster->sql(<<'END');
CREATE ROLE app LOGIN IN ROLE rt_app;
CREATE ROLE auditor LOGIN IN ROLE rt_auditor;
CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE stranger LOGIN;
CREATE ROLE powerful NOLOGIN SUPERUSER;
CREATE SCHEMA other;
CREATE TABLE other.t (a integer);
CREATE FUNCTION other.f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
ALTER ROLE rt_gateway PASSWORD 'known';
ALTER ROLE rt_media PASSWORD 'known';
SELECT rt.create_user('ann', 'Ann', 'secret');
SELECT lo_from_bytea(4711, 'secret');
END

# ---- what is tried ---------------------------------------------------------------------

# [privilege, object, statement]: each in a transaction of its own, which is rolled back. 
my (@attempts, %width);
sub try_statement { push @attempts, [@_]; }

# Reading and writing of every column; without rows, so that no policy has a say.
sub try_columns
{
	for (split /\n/, $cluster->sql(<<'END'))
SELECT a.attrelid::regclass, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace::regnamespace::text IN ('rt', 'rt_api', 'rt_private', 'other') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
	AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2
END
	{
		my ($table, $column, $type) = split /\|/;
		$width{$table}++;
		try_statement('SELECT', "$table ($column)", "SELECT $column FROM $table WHERE false");
		try_statement('INSERT', "$table ($column)", "INSERT INTO $table ($column) SELECT NULL::$type WHERE false");
		try_statement('UPDATE', "$table ($column)", "UPDATE $table SET $column = NULL WHERE false");
	}
}

sub try_relations
{
	for (split /\n/, $cluster->sql(<<'END'))
SELECT c.oid::regclass, c.relkind FROM pg_class c
WHERE c.relnamespace::regnamespace::text IN ('rt', 'rt_api', 'rt_private', 'other') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') ORDER BY 1
END
	{
		my ($table, $kind) = split /\|/;
		if ($kind eq 'S')
		{
			try_statement('SELECT', $table, "SELECT last_value FROM $table");
			try_statement('USAGE', $table, "SELECT nextval('$table')");
			try_statement('UPDATE', $table, "SELECT setval('$table', 1)");
			next;
		}
		try_statement('DELETE', $table, "DELETE FROM $table WHERE false");
		try_statement('TRUNCATE', $table, "TRUNCATE $table CASCADE") if $kind eq 'r';
		try_statement('TRIGGER', $table, "CREATE TRIGGER x AFTER INSERT ON $table EXECUTE FUNCTION suppress_redundant_updates_trigger()") if $kind eq 'r';
		try_statement('ALTER', $table, "ALTER TABLE $table OWNER TO CURRENT_USER") if $kind eq 'r';
		try_statement('LOCK', $table, "LOCK TABLE $table IN ACCESS EXCLUSIVE MODE") if $kind eq 'r';
	}
}

# No argument is a constant: a strict function of a null one is never called, nor is the right to call it looked at.
sub try_functions
{
	for (split /\n/, $cluster->sql(<<'END'))
SELECT p.oid::regprocedure, p.pronamespace::regnamespace || '.' || quote_ident(p.proname) || '(' ||
	coalesce((SELECT string_agg('(SELECT NULL::' || format_type(t, NULL) || ')', ', ' ORDER BY n) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n)), '') || ')'
FROM pg_proc p WHERE p.pronamespace::regnamespace::text IN ('rt', 'rt_api', 'rt_private', 'other') ORDER BY 1
END
	{
		my ($function, $call) = split /\|/;
		try_statement('EXECUTE', $function, "SELECT $call");
	}
}

# What has nothing to do with rt's own objects, but would be a way out.
sub try_server
{
	try_statement('CREATE IN', $_, "CREATE TABLE $_.x ()") for qw(public rt rt_api rt_private other pg_catalog pg_temp);
	try_statement('ALTER SYSTEM', 'rt.port', "ROLLBACK; ALTER SYSTEM SET rt.port = 1");
	try_statement('SET', $_, "SET $_ = on") for qw(rt.suppress_events session_preload_libraries session_replication_role log_statement);
	try_statement('SET', 'rt.user_id', "SET rt.user_id = 'ann'");
	try_statement('SHOW', 'rt.conninfo', 'SHOW rt.conninfo');
	try_statement('SET ROLE', $_, "SET ROLE $_") for qw(postgres powerful rt_app rt_gateway rt_media rt_auditor pg_monitor pg_read_server_files pg_execute_server_program pg_read_all_data pg_write_all_data pg_signal_backend);
	try_statement('SET SESSION AUTHORIZATION', 'postgres', 'SET SESSION AUTHORIZATION postgres');
	try_statement('GRANT', $_, "GRANT $_ TO CURRENT_USER") for qw(postgres powerful rt_app pg_monitor pg_execute_server_program);
	try_statement('ALTER ITSELF', $_, "ALTER ROLE CURRENT_USER $_") for qw(SUPERUSER CREATEROLE CREATEDB REPLICATION BYPASSRLS LOGIN INHERIT);
	try_statement('ALTER ITSELF', 'PASSWORD', "ALTER ROLE CURRENT_USER PASSWORD 'x'");
	try_statement('ALTER ITSELF', 'SET', 'ALTER ROLE CURRENT_USER SET search_path = other');
	try_statement('ALTER ROLE', 'powerful', "ALTER ROLE powerful PASSWORD 'x'");
	try_statement('CREATE', $_->[0], $_->[1])
	  for ['role', 'CREATE ROLE x'], ['schema', 'CREATE SCHEMA x'], ['extension', 'CREATE EXTENSION tablefunc'],
		['C function', "CREATE FUNCTION pg_temp.x() RETURNS integer LANGUAGE c AS 'libc.so.6', 'getpid'"],
		['internal function', "CREATE FUNCTION pg_temp.x() RETURNS integer LANGUAGE internal AS 'pg_backend_pid'"],
		['publication', 'CREATE PUBLICATION x FOR ALL TABLES'], ['event trigger', 'CREATE EVENT TRIGGER x ON ddl_command_start EXECUTE FUNCTION other.f()'],
		['foreign data wrapper', 'CREATE FOREIGN DATA WRAPPER x'], ['tablespace', "ROLLBACK; CREATE TABLESPACE x LOCATION '/tmp'"],
		['operator', 'CREATE OPERATOR rt.= (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq)'];
	try_statement('COPY', $_->[0], $_->[1])
	  for ['TO PROGRAM', "COPY (SELECT 1) TO PROGRAM 'true'"], ['FROM PROGRAM', "CREATE TEMP TABLE x (a text); COPY x FROM PROGRAM 'id'"],
		['TO file', "COPY (SELECT 1) TO '/tmp/x'"], ['FROM file', "CREATE TEMP TABLE x (a text); COPY x FROM '/etc/passwd'"];
	try_statement('READ', $_->[0], $_->[1])
	  for ['file', "SELECT pg_read_file('postgresql.conf')"], ['binary file', "SELECT pg_read_binary_file('PG_VERSION')"],
		['folder', "SELECT pg_ls_dir('.')"], ['logs', 'SELECT pg_ls_logdir()'], ['file status', "SELECT pg_stat_file('PG_VERSION')"],
		['pg_authid', 'SELECT rolpassword FROM pg_authid'], ['pg_shadow', 'SELECT passwd FROM pg_shadow'],
		['pg_statistic', 'SELECT * FROM pg_statistic LIMIT 1'], ['pg_hba_file_rules', 'SELECT * FROM pg_hba_file_rules'],
		['pg_file_settings', 'SELECT * FROM pg_file_settings'], ['pg_config', 'SELECT * FROM pg_config'],
		['pg_user_mapping', 'SELECT * FROM pg_user_mapping'], ['pg_subscription', 'SELECT subconninfo FROM pg_subscription'],
		['large object', 'SELECT lo_get(4711)'], ['WAL', 'SELECT pg_switch_wal()'];
	try_statement('LARGE OBJECT', $_->[0], $_->[1]) for ['import', "SELECT lo_import('/etc/passwd')"], ['export', "SELECT lo_export(4711, '/tmp/x')"];
	try_statement('CALL', $_->[0], $_->[1])
	  for ['pg_reload_conf', 'SELECT pg_reload_conf()'], ['pg_terminate_backend', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' AND pid <> pg_backend_pid() LIMIT 1"],
		['pg_create_logical_replication_slot', "SELECT pg_create_logical_replication_slot('x', 'pgoutput')"],
		['pg_logical_emit_message', "SELECT pg_logical_emit_message(false, 'x', 'y')"], ['pg_promote', 'SELECT pg_promote()'],
		['LOAD', "LOAD 'auto_explain'"], ['CHECKPOINT', 'CHECKPOINT'];
	try_statement('DROP', $_->[0], "DROP $_->[1]") for ['the extension', 'EXTENSION rt CASCADE'], ['rt.users', 'TABLE rt.users CASCADE'], ['schema rt', 'SCHEMA rt CASCADE'];
}

try_columns();
try_relations();
try_functions();
try_server();

# ---- who tries it ------------------------------------------------------------------------

my $script = File::Temp->new(SUFFIX => '.sql');
print $script "\\set VERBOSITY sqlstate\n";
for (@attempts)
{
	my ($privilege, $object, $statement) = @$_;
	print $script "BEGIN;\n$statement;\n\\set state :SQLSTATE\n\\echo \e$privilege $object|:state\nROLLBACK;\n";
}
close $script;

# Refused is 42501.  The others are views and columns into which nobody can write, whatever his rights.
sub what_works
{
	my ($role) = @_;
	local $ENV{PGPASSWORD} = 'known';
	my @host = $role =~ /^rt_/ ? ('-h', '127.0.0.1') : ('-h', $cluster->host);
	my ($out, $err) = run_command('psql', '-XAtq', @host, '-p', $cluster->port, '-U', $role, '-d', 'rt', '-f', $script->filename);
	my %answers = $out =~ /\e(.*)\|(\w{5})$/mg;
	is(scalar keys %answers, scalar @attempts, "$role has tried everything") || diag(substr($err, 0, 2000));
	return map { $answers{$_} =~ /^(42501|55000|0A000|428C9)$/ || $_ eq "SET ROLE $role" ? () : "$role $_" } keys %answers;
}

# The columns of a table on one line; * where it is all of them.
sub gather
{
	my (%columns, @lines);
	for (sort @_)
	{
		if (/^(.*) \((\S+)\)$/ && !/ EXECUTE /) { push @{ $columns{$1} }, $2; }
		else { push @lines, $_; }
	}
	for (keys %columns)
	{
		my ($table) = / (\S+)$/;
		push @lines, "$_ (" . (@{ $columns{$_} } == $width{$table} ? '*' : join(', ', @{ $columns{$_} })) . ')';
	}
	return @lines;
}

sub lines { return map { chomp; /^\s*(#|$)/ ? () : $_ } split /\n/, slurp($_[0]); }

my @roles = qw(rt_gateway rt_media app auditor monitor stranger);
my %got = map { $_ => 1 } gather(map { what_works($_) } @roles);
my %listed = map { $_ => 1 } lines($list);
# Before release 15 anybody could make tables in the schema public.
delete $got{"$_ CREATE IN public"} for @roles;
is_deeply([ sort grep { !$listed{$_} } keys %got ], [], 'nothing works that is not listed');
is_deeply([ sort grep { !$got{$_} } keys %listed ], [], 'and all that is listed does');
if (grep { !$_->{ok} } Test::More->builder->details)
{
	my $file = dirname(__FILE__) . '/../../build/privileges.got';
	open(my $out, '>', $file) or die "$file: $!";
	print $out map { "$_\n" } sort keys %got;
	diag("what works is in $file");
}

# Of other sessions' statements they see nothing.
is($cluster->sql("SET ROLE stranger; SELECT count(*) FROM pg_stat_activity WHERE usename = 'postgres' AND query NOT IN ('<insufficient privilege>', '')"),
	'0', 'statements of others are hidden');

done_testing();
