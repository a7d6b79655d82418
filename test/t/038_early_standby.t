# Locks that go before the flush, where a commit waits for a synchronous standby too: nothing is acknowledged or delivered that
# a failover takes back.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtStandby;
use RtTest;

my $primary = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0 });
$primary->sql(q{SELECT rt.create_user('ann', 'Ann'); SELECT rt.create_room('Room', ARRAY['ann'])});
my $standby = RtStandby->new($primary, name => 'one', settings => { 'rt.gateway_workers' => 0 });
$primary->sql(q{ALTER SYSTEM SET synchronous_standby_names = 'one'});
$primary->sql(q{SELECT pg_reload_conf()});
$primary->poll_sql(q{SELECT sync_state FROM pg_stat_replication}, 'sync', 'commits wait for a standby');

my $INSERT = q{INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'one') RETURNING 'seq ' || seq;};
my $COUNT = 'SELECT count(*) FROM rt.messages WHERE room_id = 1';

sub acknowledged { my ($session) = @_; return $session->{read}->() =~ /^seq (\d+)$/mg; }

sub delivered
{
	my ($listener) = @_;
	print { $listener->{in} } "SELECT;\n";
	return $listener->{read}->() =~ /"type":"new-message".*?"seq":(\d+)/g;
}

sub waits { my ($session, $event, $name) = @_; $primary->poll_sql("SELECT wait_event FROM pg_stat_activity WHERE pid = $session->{backend}", $event, $name); }

my $receiver = $standby->sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'});
my $stopped = 0;
END { kill 'CONT', $receiver if $stopped; }
sub stop_standby { $stopped = kill 'STOP', $receiver; }
sub go_on { kill 'CONT', $receiver; $stopped = 0; }

my $listener = $primary->psql_session('LISTEN rt_events;');

# The default: all as it is without rt.
my @local = map { $primary->psql_session('') } 1 .. 2;
stop_standby();
print { $local[0]{in} } "$INSERT\n";
waits($local[0], 'SyncRep', 'local: a writer waits for the standby');
print { $local[1]{in} } "$INSERT\n";
waits($local[1], 'transactionid', 'local: the next one for the first');
is($primary->sql($COUNT), 0, 'local: nothing is visible that is not replicated');
go_on();
wait_until(sub { join(' ', map { acknowledged($_) } @local) eq '1 2' }, 'local: once it is, both are acknowledged');
wait_until(sub { join(' ', delivered($listener)) eq '1 2' }, 'local: and delivered');

my @early = map { $primary->psql_session('SET rt.early_lock_release = on;') } 1 .. 2;
my $reader = $primary->psql_session("SET SESSION AUTHORIZATION rt_gateway; SET statement_timeout = '1s';");
stop_standby();
print { $_->{in} } "$INSERT\n" for @early;
waits($_, 'SyncRep', 'on: a writer waits for the standby') for @early;
$primary->poll_sql($COUNT, 4, 'on: both messages are visible');
$primary->poll_sql('SELECT blocker_pid IS NOT NULL FROM rt.stat_relay', 't', 'on: the relay waits');
print { $reader->{in} } "SELECT rt_api.message_list('ann', '{\"roomId\": \"1\"}'); SELECT 'done';\n";
wait_until(sub { $reader->{read}->() =~ /ERROR:.*statement timeout/ }, 'on: what a gateway reads has to wait, too');
is(join(' ', map { acknowledged($_) } @early), '', 'on: nothing is acknowledged');
is(join(' ', delivered($listener)), '1 2', 'on: nothing is delivered');
go_on();
wait_until(sub { join(' ', sort map { acknowledged($_) } @early) eq '3 4' }, 'on: once replicated, both are acknowledged');
wait_until(sub { join(' ', delivered($listener)) eq '1 2 3 4' }, 'on: and delivered in their order');

# The primary fails.
stop_standby();
print { $_->{in} } "$INSERT\n" for @early;
$primary->poll_sql($COUNT, 6, 'failover: two are visible that are not replicated');
$primary->server_command('pg_ctl', '-D', $primary->data_dir, '-m', 'immediate', '-w', 'stop');
$_->{finish}->() for @local, @early, $reader, $listener;
# With what its socket still had.
kill 'KILL', $receiver;
$stopped = 0;
wait_until(sub { (($standby->try_sql('SELECT pg_is_in_recovery()'))[0] // '') =~ /^t/ && !process_is_alive($receiver) }, 'failover: the standby has lost its receiver');
$standby->promote;
is($standby->sql($COUNT), 4, 'failover: the new primary does not have them');
is(join(' ', sort map { acknowledged($_) } @early), '3 4', 'failover: they were not acknowledged');
is(join(' ', $listener->{read}->() =~ /"type":"new-message".*?"seq":(\d+)/g), '1 2 3 4', 'failover: nor delivered');

done_testing();
