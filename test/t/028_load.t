# What a DBA does to a database while it is written to: the extension goes and comes, databases
# are copied from it, renamed and dropped.  Nothing hangs, nothing crashes, and what is there is served.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.media_workers' => 0 });
my $SEND = "DO \$\$ BEGIN FOR i IN 1 .. 1000000 LOOP INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'load'); COMMIT; END LOOP; END \$\$;\n";
my $PEOPLE = q{SELECT rt.create_user('ann', 'Ann', 'secret'); SELECT rt.create_room('Room', ARRAY['ann'])};

sub start_writers
{
	my ($count, %option) = @_;
	my @writers = map { $cluster->psql_start(%option) } 1 .. $count;
	print { $_->{in} } $SEND for @writers;
	$cluster->poll_sql('SELECT last_seq > 50 FROM rt.rooms WHERE id = 1', 't', 'writers are at work', %option);
	return @writers;
}

sub log_is_complete
{
	my ($name, %option) = @_;
	$cluster->poll_sql(q{SELECT count(DISTINCT e.seq) = r.last_seq AND r.last_seq = (SELECT count(*) FROM rt.messages WHERE room_id = 1)
		FROM rt.rooms r JOIN rt.events e ON e.room_id = r.id AND e.event = 'new-chat-message' WHERE r.id = 1 GROUP BY r.last_seq}, 't',
		"$name: numbers have no hole, and every message is told", %option);
}

# ---- the extension -----------------------------------------------------------------

for my $round (1, 2)
{
	$cluster->sql($PEOPLE);
	wait_until(sub { $cluster->is_ready }, "round $round: the gateway serves");
	my @writers = start_writers(4);
	my $begun = time;
	# The writers' transactions are short; the drop gets in between.
	my (undef, $err, $status) = $cluster->try_sql('DROP EXTENSION rt');
	is($status, 0, "round $round: DROP EXTENSION under load") || diag($err);
	took_less(15, time - $begun, 'takes no long time');
	for my $writer (@writers)
	{
		$writer->{finish}->();
		like($writer->{read}->(), qr/does not exist|missing/, 'a writer is told so');
	}
	$cluster->sql('CREATE EXTENSION rt');
}
$cluster->sql($PEOPLE);
wait_until(sub { $cluster->is_ready }, 'and the extension serves again');
is($cluster->sql(q{SELECT count(*) FROM rt.events WHERE event = 'new-chat-message'}), 0, 'nothing is told of messages that went with the one before');

# ---- copies --------------------------------------------------------------------------

# A copy of a database that is served, with writers that come back until it works.
my @writers = start_writers(2);
my (undef, $err, $status) = $cluster->try_sql('CREATE DATABASE copy TEMPLATE rt', dbname => 'postgres');
like($err, qr/being accessed by other users/, 'a database with sessions of others cannot be a template');
wait_until(sub { $cluster->is_ready }, 'it is served again');
$cluster->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %'});
$_->{finish}->() for @writers;
log_is_complete('after the writers were ended');
$cluster->sql('CREATE DATABASE copy TEMPLATE rt', dbname => 'postgres');
log_is_complete('the copy', dbname => 'copy');
my $next = $cluster->sql(q{SELECT last_seq + 1 FROM rt.rooms WHERE id = 1}, dbname => 'copy');
is($cluster->sql(q{SELECT rt.send_message(1, 'ann', 'in the copy')}, dbname => 'copy'), $next, 'it goes on with its own numbers');
$cluster->poll_sql(q{SELECT max(seq) FROM rt.events WHERE event = 'new-chat-message'}, $next, 'and its relay tells', dbname => 'copy');

# The extension in template1 is in every new database.
$cluster->sql('SET client_min_messages = error; CREATE EXTENSION rt CASCADE', dbname => 'template1');
$cluster->sql('CREATE DATABASE newborn', dbname => 'postgres');
$cluster->sql($PEOPLE, dbname => 'newborn');
$cluster->sql(q{SELECT rt.send_message(1, 'ann', 'first')}, dbname => 'newborn');
$cluster->poll_sql(q{SELECT max(seq) FROM rt.events WHERE event = 'new-chat-message'}, 1, 'a database made from a template with rt is served', dbname => 'newborn');
$cluster->poll_sql(q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'template1' AND backend_type <> 'autovacuum worker'}, 0, 'the template itself is not',
	dbname => 'postgres');

# ---- a database is dropped under load -----------------------------------------------------

@writers = start_writers(2, dbname => 'copy');
(undef, $err) = $cluster->try_sql('DROP DATABASE copy', dbname => 'postgres');
like($err, qr/being accessed by other users/, 'DROP DATABASE does not end sessions of others');
$cluster->poll_sql('SELECT pid IS NOT NULL FROM rt.stat_relay', 't', 'the database is served on', dbname => 'copy');
my $begun = time;
(undef, $err, $status) = $cluster->try_sql('DROP DATABASE copy WITH (FORCE)', dbname => 'postgres');
is($status, 0, 'DROP DATABASE WITH (FORCE) does') || diag($err);
took_less(15, time - $begun, 'and takes no long time');
$_->{finish}->() for @writers;
wait_until(sub { $cluster->is_ready }, 'others are served');

# ---- no worker is free, then there are -----------------------------------------------------

# The server's own for logical replication, our launcher, and two for the first database: none is left for the second.
my $port = free_port();
$cluster->sql('ALTER SYSTEM SET max_worker_processes = 4', dbname => 'postgres');
$cluster->sql("ALTER SYSTEM SET rt.databases = 'newborn:$port, rt'", dbname => 'postgres');
$cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-m', 'fast', '-w', 'stop');
$cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-l', $cluster->dir . '/server.log', '-w', 'start');
wait_until(sub { $cluster->log =~ /could not start "rt \w+" for database "\w+": no free background worker/ }, 'too few workers are told');
$cluster->sql('DROP DATABASE newborn WITH (FORCE)', dbname => 'postgres');
wait_until(sub { $cluster->is_ready }, 'once some are free, rt takes them by itself');
unlike($cluster->log, qr/PANIC|was terminated by signal/, 'nothing has crashed');

done_testing();
