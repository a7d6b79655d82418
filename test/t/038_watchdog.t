# The supervisor's watchdog: a program that hangs is seen, told of in the log and replaced, and one that only stood
# still with its machine is left alone.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use RtTest;
use Spin;

my $TIMEOUT = 6;
my $cluster = RtTest->start(settings => { 'rt.watchdog_timeout' => "${TIMEOUT}s", 'rt.media_workers' => 1, 'rt.gateway_workers' => 1 });

sub program { return "SELECT pid FROM rt.stat_programs WHERE kind = '$_[0]' AND state = 'ready'" }
sub state_of { return "SELECT state FROM rt.stat_programs WHERE kind = '$_[0]'" }
sub restarts { return $cluster->sql("SELECT restarts FROM rt.stat_programs WHERE kind = '$_[0]'") }
sub set { $cluster->sql("ALTER SYSTEM SET $_[0] = '$_[1]'"); $cluster->sql('SELECT pg_reload_conf()'); }

sub wait_ready
{
	my ($kind, $but) = @_;
	my $pid;
	wait_until(sub { $pid = $cluster->sql(program($kind)); $pid && $pid != ($but // 0) }, "rt_$kind is ready");
	return $pid;
}

sub ask
{
	my $child = fork() // die "fork: $!";
	exec 'curl', '-s', '-m', '60', '-o', '/dev/null', $cluster->url . '/healthz' if $child == 0;
	return $child;
}

# ---- it hangs ------------------------------------------------------------------

my $others = wait_ready('gateway');
for my $kind (qw(media gateway))
{
	my $old = wait_ready($kind);
	my $stopped = time;
	kill 'STOP', $old;
	$cluster->poll_sql(state_of($kind), 'silent', "rt.stat_programs does not show a stopped rt_$kind as ready");
	my $new = wait_ready($kind, $old);
	my $took = time - $stopped;
	cmp_ok($took, '>=', $TIMEOUT - 1, "rt_$kind had the time that the setting gives");
	like($cluster->log,
		qr/WARNING:  rt_$kind\[$old\] has not answered for \d+ s, in "[^"]+" for \d+\.\d s, and is killed\n.*DETAIL:  Worker 0 was stopped by a signal/,
		'the log says that it hung, what it was doing, and that somebody stopped it');
	like($cluster->log, qr/rt_$kind\[$old\] was terminated by signal 9/, 'and how it ended');
	ok(!process_is_alive($old), 'the old one is gone');
	is(restarts($kind), 1, 'the restart is counted');
	is($cluster->sql(program('gateway')), $others, 'the other program is left alone') if $kind eq 'media';
}
ok(wait_for(sub { $cluster->is_ready }), 'the gateway serves again');

# ---- it is busy ----------------------------------------------------------------

# A debugger makes an endless loop of the instruction behind the one that writes an answer.
SKIP:
{
	my $old = wait_ready('gateway');
	skip 'nobody can debug the gateway here', 2 if !Spin::spin($old, 'HTTP/1.1', \&ask);
	wait_ready('gateway', $old);
	like($cluster->log, qr/WARNING:  rt_gateway\[$old\] has not answered for \d+ s, in "http request" for [1-9]\d*\.\d s, and is killed\n/,
		'what a busy program was doing');
	like($cluster->log, qr/DETAIL:  Worker 0 was running, and used [1-9]\d*\.\d+ s of CPU in that time for \d+ callbacks/,
		'that it was running, and did nothing else');
}

# ---- the supervisor, or all of the machine, stands still --------------------------------

my %before = map { $_ => wait_ready($_) } qw(gateway media);
my $supervisor = $cluster->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'rt supervisor'");
my $machine = time;
kill 'STOP', $supervisor;
sleep 2 * $TIMEOUT;    # the time is what is tested
kill 'CONT', $supervisor;
kill 'STOP', $supervisor, values %before;
sleep 2 * $TIMEOUT;
kill 'CONT', $supervisor;
sleep 1;               # the supervisor looks before the programs can answer
kill 'CONT', values %before;

# A reload reaches the supervisor behind all that it had to do.
set('rt.rate_events', 77);
$cluster->poll_sql("SELECT count(*) FROM rt.stat_programs WHERE state = 'ready'", 2, 'both are ready afterwards');
my $turns = time;
wait_until(sub { time - $turns > $TIMEOUT }, 'and for as long as the watchdog waits');
is_deeply({ map { $_ => $cluster->sql(program($_)) } qw(gateway media) }, \%before, 'nobody was restarted for having stood still');

# ---- a worker of the server hangs -----------------------------------------------

# It cannot tell of itself: the gateway does, which serves on.
for my $worker (qw(supervisor launcher))
{
	my $silence = sub { $cluster->http('GET', '/metrics')->{content} =~ /^rt_${worker}_silence_seconds\S* ([\d.]+)/m ? $1 : -1 };
	my $pid = $cluster->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'rt $worker'");
	wait_until(sub { my $s = $silence->(); $s >= 0 && $s < 5 && $cluster->http('GET', '/readyz')->{content} eq '{"status":"ok"}' }, "the $worker works");
	kill 'STOP', $pid;
	wait_until(sub { $cluster->http('GET', '/readyz')->{content} =~ /"status":"ok","warning":"the $worker hangs/ }, '/readyz tells that it hangs, and is ready');
	wait_until(sub { $silence->() > 10 }, '/metrics has since when');
	is($cluster->sql("SELECT string_agg(DISTINCT state, ', ') FROM rt.stat_programs"), $worker eq 'supervisor' ? 'unwatched' : 'ready',
		'rt.stat_programs says whether the programs are watched');
	kill 'CONT', $pid;
	wait_until(sub { $silence->() < 5 && $cluster->http('GET', '/readyz')->{content} eq '{"status":"ok"}' }, 'it goes on');
	$cluster->poll_sql("SELECT string_agg(DISTINCT state, ', ') FROM rt.stat_programs", 'ready', 'and the programs have been left alone');
}

# ---- off, and with core files --------------------------------------------------

set('rt.watchdog_timeout', 0);
my $old = wait_ready('media');
kill 'STOP', $old;
$cluster->poll_sql(state_of('media'), 'silent', 'without the watchdog the view still tells');
sleep 2 * $TIMEOUT;
ok(process_is_alive($old), 'and nobody is killed');
kill 'CONT', $old;
is(wait_ready('media'), $old, 'what goes on is ready again');

# Where core files are wanted: programs that are not confined, and a server with a limit for them.
my $confined = wait_ready('gateway');
my @as = $> == 0 ? ('runuser', '-u', 'postgres', '--') : ();
is(system(@as, 'prlimit', '--core=1000:', "--pid=$supervisor"), 0, 'the supervisor may leave core files');
set('rt.confine', 'off');
my $free = wait_ready('gateway', $confined);
set('rt.watchdog_timeout', "${TIMEOUT}s");
kill 'STOP', $free;
wait_ready('gateway', $free);
like($cluster->log, qr/rt_gateway\[$free\] has not answered for \d+ s, in "[^"]+" for \d+\.\d s, and is aborted/, 'where core files are wanted it is aborted');
like($cluster->log, qr/rt_gateway\[$free\] was terminated by signal 6/, 'which leaves one');

done_testing();
