# The system's clock jumps, back and forward: deadlines, restarts and the purge of the log go on as before.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use RtTest;
use WallClock;

my $DAY = 86400;
my $cluster = RtTest->start(settings => { 'rt.media_workers' => 0 });
my $clock = WallClock->new($cluster);

sub start
{
	$clock->restart_server;
	wait_until(sub { $cluster->is_ready }, 'the gateway serves');
}

sub jump
{
	my ($seconds, $name) = @_;
	$clock->set($seconds);
	cmp_ok(abs($cluster->sql('SELECT extract(epoch FROM clock_timestamp())') - time - $seconds), '<', 30, $name);
}

# The relay and a program come back in their usual time, and a message is logged.
sub all_go_on
{
	my ($name) = @_;
	takes_less(
		5,
		sub {
			my $pid = $cluster->pid('gateway');
			my $begun = time;
			kill 'KILL', $pid;
			wait_until(sub { my $now = $cluster->pid('gateway'); $now && $now != $pid && $cluster->is_ready },
				"$name: a killed gateway is replaced");
			return time - $begun;
		},
		"$name: in time");
	my $pid = $cluster->sql('SELECT pid FROM rt.stat_relay');
	$cluster->sql("SELECT pg_terminate_backend($pid)");
	$cluster->poll_sql("SELECT pid <> $pid FROM rt.stat_relay", 't', "$name: an ended relay is replaced");
	my $seq = $cluster->sql(q{INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'now') RETURNING seq});
	$cluster->poll_sql("SELECT max(seq) FROM rt.events WHERE event = 'new-chat-message'", $seq, "$name: a message is told");
}

# A pause that began before the clock was set back ends nevertheless.
sub pause_ends
{
	my ($from, $to, $name) = @_;
	my $locker = $cluster->psql_start;
	jump($from, "$name: the clock before");
	print { $locker->{in} } "BEGIN; LOCK TABLE rt.events; SELECT 'locked';\n";
	wait_until(sub { $locker->{read}->() =~ /locked/ }, "$name: the log is locked");
	my $failures = () = $cluster->log =~ /rt relay: canceling/g;
	my $seq = $cluster->sql(q{INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'later') RETURNING seq});
	wait_until(sub { (() = $cluster->log =~ /rt relay: canceling/g) > $failures }, "$name: the relay waits to try again");
	jump($to, "$name: the clock after");
	print { $locker->{in} } "COMMIT;\n";
	$locker->{finish}->();
	$cluster->poll_sql("SELECT max(seq) FROM rt.events WHERE event = 'new-chat-message'", $seq, "$name: and does so");
}

$cluster->sql(q{SELECT rt.create_user('ann', 'Ann'); SELECT rt.create_room('Room', ARRAY['ann'])});
start();
my $before = $cluster->sql("SELECT rt.issue_token('ann', '1 hour')");
all_go_on('true time');

pause_ends(0, -$DAY, 'back by a day');
all_go_on('a day ago');
is($cluster->sql("SELECT rt.verify_token('$before')"), 'ann', 'a token of the future is as good as ever');
is($cluster->sql(q{SELECT rt.verify_token(rt.issue_token('ann', '1 hour'))}), 'ann', 'and so is a fresh one');
is($cluster->sql('SELECT count(*) - (max(seq) - min(seq) + 1) FROM rt.messages'), 0, 'numbers have no hole');
is($cluster->sql('SELECT count(*) FROM (SELECT pos, lag(pos) OVER (ORDER BY pos) AS before FROM rt.events) e WHERE pos <> before + 1'),
	0, 'positions neither');

# What was logged in the future does not keep the log from being purged.
my $future = q{SELECT count(*) > 0 FROM rt.events WHERE at > clock_timestamp() + interval '1 hour'};
$cluster->sql('SELECT pg_reload_conf()');
all_go_on('after a purge');
is($cluster->sql($future), 't', 'events of the future stay while those behind them are fresh');
jump(3 * 3600 - $DAY, 'longer than rt.recovery_window later');
$cluster->sql('SELECT pg_reload_conf()');
$cluster->poll_sql($future, 'f', 'they go when those are old');

pause_ends(-$DAY, $DAY, 'forward by two days');
all_go_on('a day ahead');
my (undef, $err) = $cluster->try_sql("SELECT rt.verify_token('$before')");
like($err, qr/expired/i, 'a token of the past is not');
unlike($cluster->log, qr/PANIC|Assert|rt_gateway\[\d+\] was terminated by signal (?!9)/, 'nothing has crashed');

done_testing();
