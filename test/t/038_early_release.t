# Locks that go before the flush (rt.early_lock_release): nothing is acknowledged or delivered that a power cut takes back.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Compare;
use File::Copy;
use File::Temp;
use Test::More;
use Time::HiRes qw(sleep);

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $ROUNDS = 5;
my $WRITERS = 8;

# ---- the server, and its power -----------------------------------------------------

my $power = File::Temp->newdir('rt-power-XXXXXX', TMPDIR => 1);
chmod 0777, $power;
my $library = "$power/power_cut.so";
my (undef, $cc_err, $cc_status) =
  run_command('cc', '-O2', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC', '-o', $library, dirname(__FILE__) . '/lib/power_cut.c', '-ldl');
is($cc_status, 0, 'the library that cuts the power') || BAIL_OUT($cc_err);

# Also what runs before the server changes its user has the library: it must not be the one to make the file.
sub fresh_state
{
	open(my $file, '>', "$power/state") or die "cannot write the state: $!";
	close $file;
	chmod 0666, "$power/state";
}

my $cluster;
fresh_state();
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{RT_POWER_CUT} = "$power";
	$cluster = RtTest->start(settings =>
		  { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0, 'max_wal_senders' => 0, 'wal_level' => 'minimal', 'autovacuum' => 'off' });
}
my $gate = "$power/gate";

sub close_gate { open(my $file, '>', $gate) or die "cannot close the gate: $!"; close $file; }
sub open_gate { unlink $gate; }

sub server_processes
{
	my $postmaster = $cluster->pid('postmaster');
	return ($postmaster, split ' ', `ps -o pid= --ppid $postmaster`);
}

# Everything of the server ends at once, and what was not flushed is gone.  Returns how many segments had such.
sub cut_power
{
	my @processes = server_processes();
	my $taken = 0;
	kill 'STOP', @processes;
	kill 'KILL', @processes;
	wait_for(sub { !grep { process_is_alive($_) } @processes }) || die 'the server lives on';
	open_gate();
	# Its process may still wait for somebody to ask how it ended.
	unlink $cluster->data_dir . '/postmaster.pid', $cluster->host . '/.s.PGSQL.' . $cluster->port . '.lock';
	for my $shadow (glob "$power/[0-9A-F]*")
	{
		my $segment = $cluster->data_dir . '/pg_wal/' . ($shadow =~ s{.*/}{}r);
		next unless -e $segment;
		$taken++ if compare($shadow, $segment) != 0;
		system('cp', '--no-preserve=all', $shadow, $segment) == 0 or die "cannot restore $segment";
	}
	unlink glob("$power/[0-9A-F]*");
	fresh_state();
	return $taken;
}

sub start_server
{
	my ($name) = @_;
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{RT_POWER_CUT} = "$power";
	my (undef, $err, $status) =
	  $cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-l', $cluster->dir . '/server.log', '-w', 'start');
	is($status, 0, "$name: the server starts") || diag($err, $cluster->log);
	$cluster->poll_sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rt relay'}, 1, "$name: with its relay");
}

$cluster->sql(q{SELECT rt.create_user('ann', 'Ann'); SELECT rt.create_room('Room', ARRAY['ann'])});
my $INSERT = q{INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'one') RETURNING 'seq ' || seq;};

sub count { return $cluster->sql('SELECT count(*) FROM rt.messages WHERE room_id = 1'); }

sub acknowledged { my ($session) = @_; return $session->{read}->() =~ /^seq (\d+)$/mg; }

# psql reads notifications when it has run something.
sub delivered
{
	my ($listener) = @_;
	print { $listener->{in} } "SELECT;\n";
	return $listener->{read}->() =~ /"type":"new-message".*?"seq":(\d+)/g;
}

# ---- while the flush does not come -----------------------------------------------------

sub two_writers
{
	my ($before) = @_;
	my @writers = map { $cluster->psql_session($before) } 1 .. 2;
	close_gate();
	print { $writers[0]{in} } "$INSERT\n";
	return @writers;
}

my $before = count();
my $listener = $cluster->psql_session('LISTEN rt_events;');
my $reader = $cluster->psql_session('SET SESSION AUTHORIZATION rt_gateway;');
my @writers = two_writers();
$cluster->poll_sql('SELECT count(*) FROM rt.messages WHERE room_id = 1', $before + 1, 'a message is visible that is not flushed');
print { $writers[1]{in} } "$INSERT\n";
$cluster->poll_sql('SELECT count(*) FROM rt.messages WHERE room_id = 1', $before + 2, 'and the next one of the room');
$cluster->poll_sql('SELECT blocker_pid FROM rt.stat_relay', $writers[0]{backend}, 'the relay waits for the first');
print { $reader->{in} } "SELECT rt_api.message_list('ann', '{\"roomId\": \"1\"}');\n";
$cluster->poll_sql("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $reader->{backend} AND state = 'active'", 'LWLock',
	'a gateway that has read them waits');
is(join(' ', map { acknowledged($_) } @writers), '', 'nothing is acknowledged');
is(join(' ', delivered($listener)), '', 'nothing is delivered');
unlike($reader->{read}->(), qr/"seq"/, 'nothing is read for a client');
open_gate();
wait_until(sub { join(' ', map { acknowledged($_) } @writers) eq join(' ', $before + 1, $before + 2) }, 'once flushed, both are acknowledged');
wait_until(sub { join(' ', delivered($listener)) eq join(' ', $before + 1, $before + 2) }, 'and delivered in their order');
wait_until(sub { $reader->{read}->() =~ /"seq":2/ }, 'and read');
$_->{finish}->() for @writers, $reader;

# Where the next record would begin behind a page's header that is not there yet, a reader's flush ends at the page's start.
my $AT_PAGE_START = q{
DO $$
DECLARE
	room integer;
BEGIN
	FOR i IN 1 .. 1000 LOOP
		room := 8192 - pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint % 8192;
		EXIT WHEN room = 8192 - 24;
		-- A short message takes 52 bytes more than its text, in steps of eight.
		PERFORM pg_logical_emit_message(false, 'x', repeat('x', CASE WHEN room BETWEEN 60 AND 250 THEN room - 52 ELSE 100 END));
	END LOOP;
END $$;
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint % 8192};
$reader = $cluster->psql_session('SET SESSION AUTHORIZATION rt_gateway;');
@writers = two_writers();
$cluster->poll_sql('SELECT count(*) FROM rt.messages WHERE room_id = 1', $before + 3, 'another message that is not flushed');
is($cluster->sql($AT_PAGE_START), 24, 'at the start of a page');
print { $reader->{in} } "SELECT rt_api.message_list('ann', '{\"roomId\": \"1\"}');\n";
$cluster->poll_sql("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $reader->{backend} AND state = 'active'", 'LWLock', 'a gateway waits');
open_gate();
wait_until(sub { $reader->{read}->() =~ /"seq":2/ }, 'and reads');
unlike($cluster->log, qr/past end of generated WAL/, 'it flushes what was written, and no more');
$_->{finish}->() for @writers, $reader;

$before = count();
@writers = two_writers('SET rt.early_lock_release = off;');
$cluster->poll_sql("SELECT wait_event_type IN ('IO', 'LWLock') FROM pg_stat_activity WHERE pid = $writers[0]{backend}", 't', 'off: the first waits for its flush');
print { $writers[1]{in} } "$INSERT\n";
$cluster->poll_sql("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $writers[1]{backend}", 'Lock', 'off: the second waits for the first');
is(count(), $before, 'off: nothing is visible that is not flushed');
open_gate();
wait_until(sub { join(' ', map { acknowledged($_) } @writers) eq join(' ', $before + 1, $before + 2) }, 'off: both are acknowledged');
$_->{finish}->() for @writers;

# Listeners of an application's own notification read it as soon as its transaction counts as ended.
$before = count();
my $notifier = $cluster->psql_session();
close_gate();
print { $notifier->{in} } "BEGIN; INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'x'); SELECT pg_notify('own', 'x'); COMMIT; SELECT 'seq 0';\n";
$cluster->poll_sql("SELECT query FROM pg_stat_activity WHERE pid = $notifier->{backend} AND wait_event IS NOT NULL AND wait_event <> 'ClientRead'", 'COMMIT;',
	'a transaction that notifies waits for its flush');
is(count(), $before, 'before it is visible');
open_gate();
wait_until(sub { acknowledged($notifier) }, 'and is acknowledged after it');
$notifier->{finish}->();

# What fails late leaves nothing behind.
my ($out, $err) = $cluster->try_sql(q{CREATE TABLE late (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED); INSERT INTO late VALUES (1);
	CREATE FUNCTION rt_late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'too late'; END $$;
	CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION rt_late();});
($out, $err) = $cluster->try_sql(q{BEGIN; INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'x'); INSERT INTO late VALUES (2); COMMIT});
like($err, qr/too late/, 'a transaction that fails as it commits');
is($cluster->sql(q{BEGIN; INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'x'); ROLLBACK; SHOW synchronous_commit}), 'on',
	'leaves synchronous_commit as it was');

# ---- the power goes ----------------------------------------------------------------------

my @lost = ($cluster->psql_session(), $cluster->psql_session('SET synchronous_commit = off;'));
$before = count();
close_gate();
print { $_->{in} } "$INSERT\n" for @lost;
$cluster->poll_sql('SELECT count(*) FROM rt.messages WHERE room_id = 1', $before + 2, 'two are visible, the second of a session that does not wait');
wait_until(sub { acknowledged($lost[1]) }, 'which is told at once');
is(join(' ', acknowledged($lost[0])), '', 'the first is not');
cmp_ok(cut_power(), '>', 0, 'the power cut takes something');
start_server('the power is back');
is(count(), $before, 'both are gone, the one that was not waited for too: the cut is one');
is($cluster->sql('SELECT last_seq FROM rt.rooms WHERE id = 1'), $cluster->sql('SELECT max(seq) FROM rt.messages WHERE room_id = 1'), 'numbers go on from there');
$_->{finish}->() for @lost, $listener;

my $taken = 0;
for my $round (1 .. $ROUNDS)
{
	my $listens = $cluster->psql_session('LISTEN rt_events;');
	my @load = map { $cluster->psql_session() } 1 .. $WRITERS;
	my $from = count();
	my %acknowledged;
	my %delivered;
	print { $_->{in} } $INSERT =~ s/;$//r, "\\watch 0.001\n" for @load;
	wait_for(sub { $delivered{$_} = 1 for delivered($listens); %delivered && count() > $from + 150 * $round }) || die 'nobody writes';
	if ($round % 2)
	{
		# Written, and not flushed.
		close_gate();
		wait_for(sub { $cluster->sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT%' AND wait_event_type IN ('IO', 'LWLock')") == $WRITERS })
		  || die 'nobody flushes';
	}
	$taken += cut_power();
	$_->{finish}->() for @load, $listens;
	$acknowledged{$_} = 1 for map { acknowledged($_) } @load;
	$delivered{$_} = 1 for $listens->{read}->() =~ /"type":"new-message".*?"seq":(\d+)/g;
	start_server("round $round");
	my %stored = map { $_ => 1 } split /\n/, $cluster->sql('SELECT seq FROM rt.messages WHERE room_id = 1');
	cmp_ok(scalar keys %acknowledged, '>', 0, "round $round: some were acknowledged");
	cmp_ok(scalar keys %delivered, '>', 0, "round $round: some were delivered");
	is(join(' ', sort grep { !$stored{$_} } keys %acknowledged), '', "round $round: all of these are there");
	is(join(' ', sort grep { !$stored{$_} } keys %delivered), '', "round $round: all of those, too");
	is($cluster->sql('SELECT count(*) = max(seq) FROM rt.messages WHERE room_id = 1'), 't', "round $round: without a hole");
	$cluster->poll_sql(q{SELECT (SELECT count(DISTINCT e.seq) FROM rt.events AS e WHERE e.room_id = 1 AND e.event = 'new-chat-message') = (SELECT last_seq FROM rt.rooms WHERE id = 1)},
		't', "round $round: each one is told");
}
cmp_ok($taken, '>', 0, 'and the power cuts took something');

done_testing();
