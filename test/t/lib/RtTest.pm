# RtTest: what the TAP tests share.  A cluster object wraps test/rt-cluster; waiting is polling with a deadline.
#
#   my $cluster = RtTest->start(settings => { 'rt.ring_size' => '64kB' });     # ends with the test
#   is($cluster->sql('SELECT 1'), '1', 'a query');                              # dies on an error
#   my ($out, $err, $status) = $cluster->try_sql('SELECT 1/0');
#   my $log = $cluster->psql_start('LISTEN rt_events');                         # see psql_start
#   wait_until(sub { $cluster->pid('gateway') }, 'a gateway runs');
package RtTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp;
use HTTP::Tiny;
use IPC::Open3;
use List::Util qw(max min);
use Socket;
use Symbol qw(gensym);
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(wait_for wait_until takes_less took_less on_this_machine free_port process_is_alive slurp run_command);

my $ROOT = abs_path(dirname(__FILE__) . '/../../..');
my $RT_CLUSTER = "$ROOT/test/rt-cluster";
my $WAIT_SECONDS = 120;    # far more than anything takes on a slow machine: it is what a failure costs

$ENV{PGCTLTIMEOUT} = 180;

# Clusters that are still to be stopped when the test ends, however it does.
my @running;

# ---- the cluster -------------------------------------------------------------

# Options: settings => { name => value }, preload => 0, arguments => [ more of rt-cluster's ].  A server that does not
# come up is a bail-out, unless may_fail is given: then the result is undef and the message is in $@.
sub start
{
	my ($class, %option) = @_;
	my $folder = File::Temp->newdir('rt-tap-XXXXXX', TMPDIR => 1);
	my $self = bless { folder => $folder, dir => "$folder/c", option => \%option }, $class;
	my $failure = $self->launch;
	return $self unless defined $failure;
	die $failure unless $option{may_fail};
	$@ = $failure;
	return undef;
}

# Starts the server of a stopped cluster again, with the same settings and ports of the same numbers.
sub launch
{
	my ($self) = @_;
	my %option = %{ $self->{option} };
	my @arguments = ('start', '--dir', $self->{dir}, @{ $option{arguments} // [] });
	my %settings = %{ $option{settings} // {} };
	push @arguments, map { ('--set', "$_=$settings{$_}") } sort keys %settings;
	push @arguments, '--no-preload' if exists $option{preload} && !$option{preload};
	push @arguments, '--sanitize' if $ENV{RT_SANITIZE};
	push @arguments, '--pg-port', $self->{env}{PGPORT}, '--port', $self->gateway_port if $self->{env};
	my ($out, $err, $status) = run_command($RT_CLUSTER, @arguments);
	return "rt-cluster start failed:\n$err" if $status != 0;
	$self->{env} = parse_env($out);
	push @running, $self;
	return undef;
}

sub stop
{
	my ($self) = @_;
	@running = grep { $_ != $self } @running;
	my (undef, $err, $status) = run_command($RT_CLUSTER, 'stop', '--dir', $self->{dir});
	diag("rt-cluster stop: $err") if $status != 0;
	return $status == 0;
}

END
{
	my $status = $?;
	for my $cluster (@running)
	{
		keep_log($cluster) if $status != 0;
		$cluster->stop;
	}
	$? = $status;
}

# The server's log of a failed test stays with the logs of the run.
sub keep_log
{
	my ($cluster) = @_;
	return unless $ENV{RT_TEST_LOGS};
	(my $name = $0) =~ s{.*/}{};
	if (open(my $out, '>>', "$ENV{RT_TEST_LOGS}/$name.server.log"))
	{
		print $out $cluster->log;
		close $out;
	}
}

sub parse_env
{
	my ($text) = @_;
	my %env;
	while ($text =~ /(\w+)=(?:"([^"]*)"|(\S*))/g)
	{
		$env{$1} = $2 // $3;
	}
	return \%env;
}

# The pids of now, the URLs and the log's path, as rt-cluster env prints them.
sub env
{
	my ($self) = @_;
	my ($out, $err, $status) = run_command($RT_CLUSTER, 'env', '--dir', $self->{dir});
	die "rt-cluster env failed: $err" if $status != 0;
	return parse_env($out);
}

# pid('gateway') in scalar context is the first one or 0; in list context all of them.
sub pid
{
	my ($self, $kind) = @_;
	my ($list) = $self->env->{RT_PIDS} =~ /\b$kind=([\d,]+)/;
	my @pids = grep { $_ } split /,/, $list // '';
	return wantarray ? @pids : $pids[0] // 0;
}

sub dir { return $_[0]{dir} }
sub data_dir { return "$_[0]{dir}/data" }
sub url { return $_[0]{env}{RT_URL} }
sub port { return $_[0]{env}{PGPORT} }
sub host { return $_[0]{env}{PGHOST} }
sub gateway_port { return $_[0]{env}{RT_URL} =~ /:(\d+)$/ ? $1 : die 'no port in RT_URL' }

sub log
{
	my ($self) = @_;
	return slurp($self->{env}{RT_LOG});
}

# Runs a server command (pg_ctl, …) as the user who owns the cluster.
sub server_command
{
	my ($self, $program, @arguments) = @_;
	chomp(my $bindir = `pg_config --bindir`);
	my @command = ("$bindir/$program", @arguments);
	unshift @command, 'runuser', '-u', 'postgres', '--' if $> == 0;
	return run_command(@command);
}

# ---- SQL ---------------------------------------------------------------------

sub psql_command
{
	my ($self, %option) = @_;
	return ('psql', '-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-h', $self->host, '-p', $self->port,
		'-U', $option{user} // 'postgres', '-d', $option{dbname} // 'rt');
}

sub try_sql
{
	my ($self, $sql, %option) = @_;
	return run_command($self->psql_command(%option), '-c', $sql);
}

sub sql
{
	my ($self, $sql, %option) = @_;
	my ($out, $err, $status) = $self->try_sql($sql, %option);
	die "$sql\nfailed: $err" if $status != 0;
	chomp $out;
	return $out;
}

# Something of each of the users' tables: two users, a room with so many messages, a direct one, a meeting.
sub write_sample
{
	my ($self, $messages, %option) = @_;
	$self->sql(<<"END", %option);
SELECT rt.create_user('ann', 'Ann', 'secret'), rt.create_user('bob', 'Bob');
SELECT rt.create_room('Team', ARRAY['ann', 'bob']), rt.create_direct_room('ann', 'bob');
INSERT INTO rt.messages (room_id, sender_id, content) SELECT 1, 'ann', 'message ' || i FROM generate_series(1, $messages) i;
INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES (1, 'bob', 'hi \@ann', 7);
UPDATE rt.messages SET content = 'edited' WHERE room_id = 1 AND seq = 3;
DELETE FROM rt.messages WHERE room_id = 1 AND seq = 4;
INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (1, 1, 'bob', '👍');
SELECT rt.mark_seen(1, 'bob', ARRAY[1, 2, 3]::bigint[]), rt.mark_delivered(1, 'bob', ARRAY[5]::bigint[]);
SELECT rt.set_status('bob', 'away', 'out');
SELECT rt.create_meeting('Standup', host => 'ann', room => 1, password => 'pw');
END
}

sub poll_sql
{
	my ($self, $sql, $expected, $name, %option) = @_;
	my $got;
	my $done = wait_for(
		sub {
			my ($out, undef, $status) = $self->try_sql($sql, %option);
			chomp($got = $status == 0 ? $out : 'error');
			return $got eq $expected;
		}, $option{seconds});
	return ok($done, $name) || diag("expected \"$expected\", last got \"$got\" from: $sql");
}

# A psql session that stays: write SQL with ->{in}, read what it printed with ->{read}->(); ->{finish}->() ends it and
# gives its exit status.
sub psql_start
{
	my ($self, %option) = @_;
	my $output = File::Temp->new;
	open(my $to_file, '>>', $output->filename) or die "cannot append: $!";
	my $pid = open3(my $in, '>&' . fileno($to_file), '>&' . fileno($to_file), $self->psql_command(%option));
	$in->autoflush(1);
	return {
		pid => $pid,
		in => $in,
		read => sub { return slurp($output->filename) },
		finish => sub { close $in; waitpid($pid, 0); return $? >> 8; },
	};
}

# The same; ->{backend} is the server's process.  It runs $before first.
sub psql_session
{
	my ($self, $before) = @_;
	my $session = $self->psql_start;
	print { $session->{in} } $before // '', "\nSELECT 'pid ' || pg_backend_pid();\n";
	wait_for(sub { $session->{read}->() =~ /^pid \d+$/m }) || die 'no session';
	($session->{backend}) = $session->{read}->() =~ /^pid (\d+)$/m;
	return $session;
}

# ---- HTTP --------------------------------------------------------------------

sub http
{
	my ($self, $method, $path, %option) = @_;
	return HTTP::Tiny->new(timeout => $option{timeout} // 60)->request($method, $self->url . $path, \%option);
}

sub is_ready
{
	my ($self) = @_;
	return $self->http('GET', '/readyz', timeout => 15)->{status} == 200;
}

# ---- helpers -----------------------------------------------------------------

sub wait_for
{
	my ($condition, $seconds) = @_;
	my $deadline = time + ($seconds // $WAIT_SECONDS);
	while (time < $deadline)
	{
		return 1 if $condition->();
		sleep 0.05;
	}
	return $condition->() ? 1 : 0;
}

# Polls; is a test of its own.
sub wait_until
{
	my ($condition, $name, $seconds) = @_;
	return ok(wait_for($condition, $seconds), $name);
}

# Measures what takes less than so many seconds: ten times at the most, until it does.  A machine that is busy with
# something else makes some measurements long, so they are spread over a few seconds; a server that is slow makes all
# long.  Is a test of its own.
sub takes_less
{
	my ($seconds, $measure, $name) = @_;
	my $allowed = $seconds;
	my @took;
	while (@took < 10 && (!@took || $took[-1] >= $allowed))
	{
		sleep 0.1 * @took;
		push @took, $measure->();
		$allowed = on_this_machine($seconds) if $took[-1] >= $seconds;
	}
	return cmp_ok($took[-1], '<', $allowed, $name) || diag("it took @took s, and is to take less than $seconds s");
}

# Of what cannot be measured twice.  A machine may be busier at one time than at another: its busiest of some looks counts.
sub took_less
{
	my ($seconds, $took, $name) = @_;
	my $allowed = $seconds;
	for my $look (1 .. 10)
	{
		last if $took < $allowed;
		sleep 0.1 * $look;
		$allowed = max($allowed, on_this_machine($seconds));
	}
	return cmp_ok($took, '<', $allowed, $name) || diag("it took $took s, and is to take less than $seconds s");
}

# What takes so many seconds where a program gets a processor when it wants one takes three times as long where it gets a
# third of one.  The part is measured for a quarter of a second.
sub on_this_machine
{
	my ($seconds) = @_;
	my ($begun, $used) = (time, cpu_seconds());
	1 while time - $begun < 0.25;
	my $share = (cpu_seconds() - $used) / (time - $begun);
	return $seconds / min(1, max(0.05, $share));
}

sub cpu_seconds
{
	my ($user, $system) = times;
	return $user + $system;
}

# A port of 127.0.0.1 below those that the system gives to clients, which nobody has bound, and which was not given before.
# RT_PORTS is the range, as rt-cluster has it.
my %given;
my ($FIRST_PORT, $LAST_PORT) = split /-/, $ENV{RT_PORTS} // '10000-31999';

sub free_port
{
	while (1)
	{
		my $port = $FIRST_PORT + int(rand($LAST_PORT - $FIRST_PORT + 1));
		return $port if !$given{$port}++ && is_free($port, SOCK_STREAM) && is_free($port, SOCK_DGRAM);
	}
}

sub is_free
{
	my ($port, $type) = @_;
	socket(my $socket, PF_INET, $type, 0) or die "socket: $!";
	return bind($socket, sockaddr_in($port, INADDR_ANY));
}

# A zombie is dead; kill(0) would say otherwise.
sub process_is_alive
{
	my ($pid) = @_;
	open(my $stat, '<', "/proc/$pid/stat") or return 0;
	my $line = <$stat> // '';
	return $line =~ /\) [^ZX ]/ ? 1 : 0;
}

sub slurp
{
	my ($path) = @_;
	open(my $file, '<', $path) or return '';
	local $/;
	return scalar(<$file>) // '';
}

# Result: standard output, standard error, exit status.  Both go through files, so that neither can block.
sub run_command
{
	my @command = @_;
	my ($out, $err) = (File::Temp->new, File::Temp->new);
	open(my $null, '<', '/dev/null') or die "cannot open /dev/null: $!";
	my $pid = open3('<&' . fileno($null), '>&' . fileno($out), '>&' . fileno($err), @command);
	waitpid($pid, 0);
	my $status = $? & 127 ? 128 + ($? & 127) : $? >> 8;
	return (slurp($out->filename), slurp($err->filename), $status);
}

1;
