# The gateway lives and dies with its server and its database, and makes way for commands.
use strict;
use warnings;

use File::Basename qw(dirname);
use HTTP::Tiny;
use Test::More;
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(settings => { 'max_prepared_transactions' => 2 });
my $other_port = free_port();
my $other_media_port = free_port();

sub set
{
	my ($name, $value) = @_;
	$cluster->sql("ALTER SYSTEM SET $name = '$value'", dbname => 'postgres');
	$cluster->sql('SELECT pg_reload_conf()', dbname => 'postgres');
}

sub becomes_ready { return wait_until(sub { $cluster->is_ready }, $_[0]); }
sub log_has { my $pattern = shift; return wait_until(sub { $cluster->log =~ $pattern }, shift); }

sub pg_ctl { return $cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-w', '-t', 120, @_); }

sub start_again
{
	my (undef, $err, $status) = pg_ctl('-l', $cluster->dir . '/server.log', 'start');
	is($status, 0, 'the server starts again') || diag($err);
	becomes_ready('and the gateway serves');
}

sub are_gone
{
	my ($name, @pids) = @_;
	return wait_until(sub { !grep { process_is_alive($_) } @pids }, $name);
}

sub programs { return map { $cluster->pid($_) } qw(gateway media); }

# ---- the server stops ----------------------------------------------------------

becomes_ready('the gateway serves');
for my $how (qw(smart fast immediate))
{
	takes_less(
		10,
		sub {
			my @pids = programs();
			my $begun = time;
			my (undef, $err, $status) = pg_ctl('-m', $how, 'stop');
			my $took = time - $begun;
			is($status, 0, "a $how stop") || diag($err);
			are_gone('leaves no program', @pids);
			start_again();
			return $took;
		},
		'and takes no long time');
}

my @pids = programs();
my $postmaster = $cluster->pid('postmaster');
my @below = grep { slurp("/proc/$_/stat") =~ /\) \S $postmaster / } map { m{/proc/(\d+)} } glob('/proc/[0-9]*');
kill 'KILL', $postmaster;
are_gone('a killed server leaves no program', @pids);
are_gone('and no worker', @below);
unlink $cluster->data_dir . '/postmaster.pid';
unlink glob($cluster->host . '/.s.PGSQL.*');
start_again();

@pids = programs();
kill 'SEGV', $cluster->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
are_gone('a crash of the server ends the programs', @pids);
becomes_ready('and new ones serve');

# ---- the gateway dies ----------------------------------------------------------

my $session = $cluster->psql_start;
print { $session->{in} } "BEGIN; SELECT 'backend ' || pg_backend_pid();\n";
wait_until(sub { $session->{read}->() =~ /backend \d+/ }, 'a session with an open transaction');
my ($backend) = $session->{read}->() =~ /backend (\d+)/;
takes_less(
	2,
	sub {
		my $gateway = $cluster->pid('gateway');
		my $killed = time;
		kill 'KILL', $gateway;
		are_gone('a gateway is killed', $gateway);
		becomes_ready('another serves');
		return time - $killed;
	},
	'within two seconds');
print { $session->{in} } "COMMIT; SELECT 'still ' || pg_backend_pid();\n";
wait_until(sub { $session->{read}->() =~ /still $backend\b/ }, 'the session does not notice');
is($session->{finish}->(), 0, 'and ends well');

# ---- the workers die -----------------------------------------------------------

for my $worker ('rt launcher', 'rt supervisor', 'rt relay')
{
	my $pid = $cluster->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '$worker'");
	$cluster->sql("SELECT pg_terminate_backend($pid)");
	$cluster->poll_sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = '$worker' AND pid <> $pid", 1,
		"a terminated $worker is replaced");
	becomes_ready('and the gateway serves');
}
is(scalar(my @gateways = $cluster->pid('gateway')), 1, 'there is one gateway');

# ---- the extension goes and comes ----------------------------------------------

my $gateway = $cluster->pid('gateway');
$cluster->sql('CREATE ROLE stranger LOGIN');
my (undef, $err, $status) = $cluster->try_sql('DROP EXTENSION rt', user => 'stranger');
like($err, qr/must be owner of extension rt/, 'a stranger may not drop the extension');
(undef, $err) = $cluster->try_sql('DROP DATABASE rt', user => 'stranger', dbname => 'postgres');
like($err, qr/must be owner of database rt/, 'nor the database');
is($cluster->pid('gateway'), $gateway, 'nor disturb the gateway');

takes_less(
	5,
	sub {
		my $begun = time;
		$cluster->sql('BEGIN; DROP EXTENSION rt; ROLLBACK');
		my $took = time - $begun;
		becomes_ready('after its rollback the gateway serves');
		return $took;
	},
	'DROP EXTENSION takes no long time');

(undef, $err) = $cluster->try_sql("BEGIN; DROP EXTENSION rt; PREPARE TRANSACTION 'gone'");
like($err, qr/cannot PREPARE a transaction that created or dropped extension rt/, 'it cannot be prepared');
becomes_ready('and the gateway serves');

@pids = programs();
$cluster->sql('DROP EXTENSION rt');
are_gone('after DROP EXTENSION there is no program', @pids);
$cluster->poll_sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('rt supervisor', 'rt relay')", 0,
	'and no worker');
$cluster->sql('CREATE EXTENSION rt');
becomes_ready('after CREATE EXTENSION the gateway serves');

# Other ways to the same end.
$cluster->sql('CREATE SCHEMA elsewhere; DROP EXTENSION rt; CREATE EXTENSION rt SCHEMA elsewhere');
becomes_ready('the extension in a schema');
$cluster->sql('DROP SCHEMA elsewhere CASCADE');
is($cluster->sql("SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'rt'"), 'pg_catalog', 'does not go with it');
becomes_ready('and serves');

# A drop while a session has the tables locked waits for that session alone.
my $holder = $cluster->psql_start;
print { $holder->{in} } "BEGIN; LOCK TABLE rt.events, rt.messages, rt.users IN ROW EXCLUSIVE MODE; SELECT 'locked';\n";
wait_until(sub { $holder->{read}->() =~ /locked/ }, 'a session with locks');
my $dropper = $cluster->psql_start;
print { $dropper->{in} } "DROP EXTENSION rt; SELECT 'dropped';\n";
$cluster->poll_sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DROP%'", 1,
	'DROP EXTENSION waits for it');
print { $holder->{in} } "COMMIT;\n";
wait_until(sub { $dropper->{read}->() =~ /dropped/ }, 'and then drops');
$_->{finish}->() for $holder, $dropper;
$cluster->sql('CREATE EXTENSION rt');
becomes_ready('and the extension comes back');

# ---- more databases ------------------------------------------------------------

sub other_serves
{
	return HTTP::Tiny->new(timeout => 5)->get("http://127.0.0.1:$other_port/readyz")->{status} == 200;
}

$cluster->sql('CREATE DATABASE two');
$cluster->sql('CREATE EXTENSION rt CASCADE', dbname => 'two');
log_has(qr/no gateway for database "two": port \d+ serves another database/, 'two databases cannot share a port');
becomes_ready('the first keeps it');
set('rt.databases', "rt, two:$other_port:$other_media_port");
wait_until(\&other_serves, 'the second is served at a port of its own');
becomes_ready('and the first at its');
is($cluster->sql('SELECT count(*) FROM rt.stat_programs', dbname => 'two'),
	$cluster->sql('SELECT count(*) FROM rt.stat_programs'), 'each shows its own programs');

$cluster->sql('ALTER DATABASE two RENAME TO deux');
$cluster->sql('CREATE DATABASE copy TEMPLATE rt');
becomes_ready('a database that was copied is served again');
set('rt.databases', "rt, deux:$other_port:$other_media_port");
wait_until(\&other_serves, 'one that was renamed is served by its new name');
$cluster->sql('DROP DATABASE deux');
wait_until(sub { !other_serves() }, 'a dropped one is not');
$cluster->sql("ALTER DATABASE copy RENAME TO deux");
wait_until(\&other_serves, 'the copy takes its place');
$cluster->sql('DROP DATABASE deux WITH (FORCE)');
wait_until(sub { !other_serves() }, 'and is dropped by force');
becomes_ready('the first is still served');

$cluster->sql('CREATE DATABASE three');
set('rt.databases', 'rt, three, nowhere');
log_has(qr/database "three" is listed in rt.databases but does not have extension rt/, 'a database without the extension is told');
set('rt.databases', '');

# With one place for a database, another one can take it over.
$cluster->sql('ALTER SYSTEM SET rt.max_databases = 1');
pg_ctl('-m', 'fast', 'stop');
start_again();
$cluster->sql('CREATE EXTENSION rt CASCADE', dbname => 'three');
log_has(qr/database "three" is not served: too many databases have extension rt/, 'one too many is told');
$cluster->sql('DROP EXTENSION rt');
wait_until(sub { !$cluster->is_ready }, 'the first goes');
$cluster->poll_sql("SELECT state FROM rt.stat_programs WHERE kind = 'gateway'", 'ready', 'the second takes its place',
	dbname => 'three');
$cluster->sql('DROP EXTENSION rt', dbname => 'three');
$cluster->sql('CREATE EXTENSION rt');
becomes_ready('and gives it back');
$cluster->sql('ALTER SYSTEM RESET rt.max_databases');

# ---- what a DBA must do --------------------------------------------------------

my $hba = $cluster->data_dir . '/pg_hba.conf';
my $lines = slurp($hba);

sub write_hba
{
	open(my $out, '>', $hba) or die $!;
	print $out $_[0];
	close $out;
	$cluster->sql('SELECT pg_reload_conf()');
}

write_hba("host all rt_gateway 127.0.0.1/32 reject\n$lines");
kill 'KILL', $cluster->pid('gateway');
log_has(qr/HINT:  Add this line at the top of pg_hba.conf, and reload: host rt rt_gateway 127.0.0.1\/32 scram-sha-256/,
	'a login that pg_hba.conf refuses gets the line to add');
write_hba("host rt rt_gateway 127.0.0.1/32 scram-sha-256\n$lines");
becomes_ready('with that line the gateway serves');

$cluster->sql('REVOKE CONNECT ON DATABASE rt FROM PUBLIC');
$cluster->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'rt supervisor'");
log_has(qr/the role lacks permission\n.*HINT:  Run: GRANT CONNECT ON DATABASE rt TO rt_gateway/, 'where the role lacks a right, the hint gives it');
$cluster->sql('GRANT CONNECT ON DATABASE rt TO rt_gateway, rt_media');
becomes_ready('with that right the gateway serves');

$cluster->sql('ALTER ROLE rt_gateway CONNECTION LIMIT 0');
my $before = length $cluster->log;
$cluster->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'rt supervisor'");
log_has(qr/connection failed: .*53300: too many connections for role/, 'a lack of connections is no failed login');
unlike(substr($cluster->log, $before), qr/login failed|cannot log in/, 'and gets no hint on one');
$cluster->sql('ALTER ROLE rt_gateway CONNECTION LIMIT -1');
becomes_ready('and over with it');

# Two are the launcher and the server's own for logical replication; a relay is the third.
$cluster->sql('ALTER SYSTEM SET max_worker_processes = 3');
pg_ctl('-m', 'fast', 'stop');
pg_ctl('-l', $cluster->dir . '/server.log', 'start');
log_has(qr/could not start "rt supervisor" for database "rt": no free background worker.*max_worker_processes/s,
	'too few workers are told');

# ---- a server of a single user ----------------------------------------------------

pg_ctl('-m', 'fast', 'stop');
my $data = $cluster->data_dir;
my ($said) = $cluster->server_command('sh', '-c', "echo 'DROP EXTENSION rt' | postgres --single -D $data rt 2>&1");
unlike($said, qr/WARNING|ERROR/, 'there nobody waits for workers');

done_testing();
