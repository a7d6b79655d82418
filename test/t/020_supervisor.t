# The supervisor and a program, of the test's own, that does as the test says.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Temp;
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $folder = File::Temp->newdir('rt-fake-XXXXXX', TMPDIR => 1);
chmod 0777, $folder;

sub install_fake
{
	copy(dirname(__FILE__) . '/lib/fake_program', "$folder/rt_gateway.new") or die $!;
	chmod 0755, "$folder/rt_gateway.new";
	rename "$folder/rt_gateway.new", "$folder/rt_gateway" or die $!;
}

sub set_mode
{
	open(my $out, '>', "$folder/mode") or die $!;
	print $out $_[0];
	close $out;
}

sub last_line
{
	my @lines = split /\n/, slurp("$folder/$_[0]");
	return $lines[-1] // '';
}

sub told { return decode_json((last_line("settings.$_[0]") =~ /^\d+ (.*)/)[0]); }
sub seen { return decode_json(last_line("report.$_[0]")); }

install_fake();
set_mode('levels');
my $cluster = RtTest->start(settings => { 'rt.program_path' => "$folder", 'rt.media_workers' => 0 });
my $program = "SELECT pid FROM rt.stat_programs WHERE state = 'ready' AND worker = 0";

sub set { $cluster->sql("ALTER SYSTEM SET $_[0] = '$_[1]'"); $cluster->sql('SELECT pg_reload_conf()'); }

# The pid of the program once it is ready.
sub ready_pid
{
	my $pid;
	wait_for(sub { $pid = $cluster->sql($program) }) or die 'the program does not get ready';
	return $pid;
}

sub log_has { my $pattern = shift; return wait_until(sub { $cluster->log =~ $pattern }, shift); }

# ---- what the program is given -------------------------------------------------

my $settings = told(0);
is($settings->{program}, 'gateway', 'the settings name the program');
is_deeply([ @$settings{qw(worker workers database)} ], [ 0, 1, 'rt' ], 'its number, and the database');
is($settings->{settings}{port}, $cluster->gateway_port, 'the settings have the port');
is_deeply($settings->{socket_fds}, [5], 'a descriptor for each gateway worker');

my $report = seen(0);
is_deeply($report->{inherited}, [ 1, 2, 3, 4, 5 ], 'nothing of the server\'s is open');
is($report->{blocked}, '0' x 16, 'no signal is blocked');
# Perl itself ignores SIGFPE; 32 and 33 are glibc's own, which it lets nobody change: they stay as whoever started the
# server had them.
is(hex($report->{ignored}) & ~(1 << 7 | 1 << 31 | 1 << 32), 0, 'no signal is ignored');
is($report->{leader}, 1, 'it has a process group of its own');
is_deeply($report->{environment}, [], 'no variable of libpq\'s is set');
is($report->{open_files}, 'highest', 'it may open as many files as the system allows');

my ($secret) = $settings->{conninfo} =~ /password='([^']+)'/;
is(length($secret), 43, 'it has a secret to log in with');
my ($out, $err, $status) = run_command('psql', '-XAtq', '-c', 'SELECT current_user', $settings->{conninfo});
is($out, "rt_gateway\n", 'with which it can') || diag($err);
$settings->{conninfo} =~ s/password='[^']+'/password='wrong'/;
(undef, $err, $status) = run_command('psql', '-XAtq', '-c', 'SELECT 1', $settings->{conninfo});
like($err, qr/password authentication failed/, 'and without which it cannot');

my @leaks = grep { index(slurp($_), $secret) >= 0 } glob('/proc/[0-9]*/cmdline'), glob('/proc/[0-9]*/environ');
is_deeply(\@leaks, [], 'the secret is in no command line or environment');
$cluster->sql("ALTER SYSTEM SET log_statement = 'all'");
$cluster->sql('SELECT pg_reload_conf()');
$cluster->sql('ALTER ROLE rt_gateway PASSWORD NULL');

# ---- its log -------------------------------------------------------------------

my $log = $cluster->log;
like($log, qr/LOG:  rt_gateway\[\d+\]: a log line$/m, 'a line of level LOG');
like($log, qr/WARNING:  rt_gateway\[\d+\]: a warning line$/m, 'a line of level WARNING');
like($log, qr/ERROR:  rt_gateway\[\d+\]: an error line$/m, 'a line of level ERROR');
like($log, qr/LOG:  rt_gateway\[\d+\]: a line without a level$/m, 'a line without a level');
unlike($log, qr/a debug line/, 'a line of level DEBUG is left out');
like($log, qr/rt_gateway\[\d+\]: escape \?\[31m and \?$/m, 'control characters and broken UTF-8 do not get through');
like($log, qr/rt_gateway\[\d+\]: x{4000,4096} \[cut\]$/m, 'a long line is cut');
is($cluster->sql('SELECT kind, worker, state, restarts FROM rt.stat_programs'), 'gateway|0|ready|0',
	'rt.stat_programs shows it');

# ---- it dies -------------------------------------------------------------------

set_mode('');
my $session = $cluster->psql_start;
print { $session->{in} } "SELECT 'backend ' || pg_backend_pid();\n";
wait_until(sub { $session->{read}->() =~ /backend \d+/ }, 'a session');
my ($backend) = $session->{read}->() =~ /backend (\d+)/;
my ($old, $kills) = ('', 0);
takes_less(
	2,
	sub {
		$old = ready_pid();
		my $killed = time;
		kill 'KILL', $old;
		wait_until(sub { my $pid = $cluster->sql($program); $pid && $pid != $old }, 'a killed program is replaced');
		$kills++;
		return time - $killed;
	},
	'within two seconds');
print { $session->{in} } "SELECT 'still ' || pg_backend_pid();\n";
wait_until(sub { $session->{read}->() =~ /still $backend\b/ }, 'no session notices');
$session->{finish}->();
like($cluster->log, qr/rt_gateway\[$old\] was terminated by signal 9/, 'the log says what happened');
is($cluster->sql('SELECT restarts FROM rt.stat_programs'), $kills, 'the restart is counted');

set_mode('exit');
$old = ready_pid();
my $starts = () = slurp("$folder/report.0") =~ /\n/g;
my $logged = length $cluster->log;
kill 'KILL', $old;
log_has(qr/ended with exit code 3; restarting it in 1600 ms/, 'the pause grows');
my $more = () = slurp("$folder/report.0") =~ /\n/g;
my @pauses = substr($cluster->log, $logged) =~ /restarting it in (\d+) ms/g;
is(scalar(grep { $pauses[$_] != 2 * $pauses[ $_ - 1 ] } 1 .. $#pauses), 0, 'it doubles') || diag("@pauses");
cmp_ok($more - $starts, '<=', scalar @pauses, 'a program that does not come up is not started over and over');
$cluster->poll_sql('SELECT state, pid FROM rt.stat_programs', 'waiting|', 'rt.stat_programs shows that it waits');
set_mode('');
$cluster->poll_sql('SELECT state FROM rt.stat_programs', 'ready', 'it comes up in the end');

# ---- settings ------------------------------------------------------------------

$old = ready_pid();
set('rt.rate_events', 77);
wait_until(sub { told(0)->{settings}{rate_events} == 77 }, 'a reload hands the settings over');
is($cluster->sql($program), $old, 'to the same process');

set('rt.db_connections', 3);
wait_until(sub { my $pid = $cluster->sql($program); $pid && $pid != $old }, 'what needs new connections restarts it');
is(told(0)->{settings}{db_connections}, 3, 'with the new settings');

set('rt.gateway_workers', 3);
$cluster->poll_sql("SELECT count(*) FROM rt.stat_programs WHERE state = 'ready'", 3, 'more workers');
is(told(2)->{workers}, 3, 'they know how many they are');
log_has(qr/told: hello from 2/, 'a worker reaches another through its descriptor');
set('rt.gateway_workers', 1);
$cluster->poll_sql("SELECT count(*), min(state) FROM rt.stat_programs", '1|ready', 'fewer workers');

# ---- login ---------------------------------------------------------------------

set_mode('login');
kill 'KILL', ready_pid();
log_has(qr/HINT:  Add this line at the top of pg_hba.conf, and reload: host rt rt_gateway 127.0.0.1\/32 scram-sha-256/,
	'a failed login gets a hint');
is($cluster->sql("SELECT rolpassword LIKE 'SCRAM-SHA-256%' FROM pg_authid WHERE rolname = 'rt_gateway'"), 't',
	'and the password is set again');
my ($verifier) = $cluster->sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'rt_gateway'") =~ /(\$[^\$:]+:.*)/;
$log = $cluster->log;
is(index($log, $secret), -1, 'the secret is not in the log');
is(index($log, $verifier), -1, 'nor is its verifier');

# ---- a program that floods the log, or does not stop -----------------------------

set_mode('flood');
kill 'KILL', ready_pid();
log_has(qr/WARNING:  rt_gateway\[\d+\]: dropped \d+ lines/, 'what is too much is left out, and counted');
my $lines = () = $cluster->log =~ /flood \d+/g;
cmp_ok($lines, '<', 50_000, 'the log does not take it all');

set_mode('stubborn');
$old = ready_pid();
kill 'KILL', $old;
wait_until(sub { my $pid = $cluster->sql($program); $pid && $pid != $old }, 'a program that ignores SIGTERM');
set_mode('');
$old = ready_pid();
set('rt.gateway_workers', 0);
log_has(qr/rt_gateway\[$old\] did not stop within 5 s and is killed/, 'is killed after a while');
wait_until(sub { !process_is_alive($old) }, 'and is gone');

# ---- no program ----------------------------------------------------------------

unlink "$folder/rt_gateway";
set('rt.gateway_workers', 1);
log_has(qr/rt_gateway is not installed in "\Q$folder\E"/, 'a missing program gets a line in the log');
install_fake();
$cluster->sql('SELECT pg_reload_conf()');
$cluster->poll_sql('SELECT state FROM rt.stat_programs', 'ready', 'a reload finds it once it is there');
my $missing = () = $cluster->log =~ /is not installed in/g;
is($missing, 1, 'there was one line');

done_testing();
