# The programs as they run are confined, and serve all the same; rt.confine turns it off.
use strict;
use warnings;

use File::Basename qw(dirname);
use IO::Socket::INET;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

plan skip_all => 'a sanitized program is not confined' if $ENV{RT_SANITIZE};

my $cluster = RtTest->start;

sub status_of
{
	my ($pid) = @_;
	my %status = slurp("/proc/$pid/status") =~ /^(\w+):\s*(\S+)/mg;
	return \%status;
}

sub limits_of
{
	my ($pid) = @_;
	my %limits = map { /^(Max .*?)\s{2,}(\S+)\s+(\S+)/ ? ($1 => "$2 $3") : () } split /\n/, slurp("/proc/$pid/limits");
	return \%limits;
}

sub is_confined
{
	my ($kind) = @_;
	my $pid = $cluster->pid($kind);
	my ($status, $limits) = (status_of($pid), limits_of($pid));
	is($status->{NoNewPrivs}, 1, "rt_$kind can get no new rights");
	is($status->{Seccomp}, 2, 'its system calls are filtered');
	is($limits->{"Max $_"}, '0 0', "it has no $_") for 'core file size', 'file size', 'processes';
	my ($soft, $hard) = split / /, $limits->{'Max open files'};
	is($hard, $soft, 'the limit of open files cannot be raised');
	is((stat "/proc/$pid/environ")[4], 0, 'nobody but root may look into it');
	like($cluster->log, qr/rt_$kind\[$pid\]: confine: confined by a system call filter, (no )?Landlock/, 'the log says so');
	return $pid;
}

my $gateway = is_confined('gateway');
is_confined('media');

# What it needs it still can: new connections to the database, after the server crashed beneath it.
$cluster->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rt_gateway'");
wait_until(sub { $cluster->is_ready }, 'the gateway connects to the database again');
is($cluster->pid('gateway'), $gateway, 'and is the same process');

# ---- by a name, by a unix socket -------------------------------------------------

sub set_conninfo
{
	my ($conninfo) = @_;
	my $before = $cluster->pid('gateway');
	(my $quoted = $conninfo) =~ s/'/''/g;
	$cluster->sql("ALTER SYSTEM SET rt.conninfo = '$quoted'");
	$cluster->sql('SELECT pg_reload_conf()');
	wait_until(sub { my $pid = $cluster->pid('gateway'); $pid && $pid != $before && $cluster->is_ready }, "ready by $conninfo");
	is(status_of($cluster->pid('gateway'))->{Seccomp}, 2, 'confined');
}

open(my $ident, '>>', $cluster->data_dir . '/pg_ident.conf') or die $!;
print $ident "rt postgres rt_gateway\nrt postgres rt_media\n";
close $ident;
my $hba = slurp($cluster->data_dir . '/pg_hba.conf');
$hba =~ s/^(local .* )peer$/$1peer map=rt/m;
open(my $out, '>', $cluster->data_dir . '/pg_hba.conf') or die $!;
print $out $hba;
close $out;

set_conninfo('host=localhost port=' . $cluster->port);
SKIP: {
	skip 'who runs the server is not postgres', 2 if $> != 0;
	set_conninfo("host='" . $cluster->host . "' port=" . $cluster->port . ' user=rt_gateway');
}

# ---- off -----------------------------------------------------------------------------

$cluster->sql('ALTER SYSTEM RESET rt.conninfo');
$cluster->sql('ALTER SYSTEM SET rt.confine = off');
$cluster->sql('SELECT pg_reload_conf()');
wait_until(sub { my $pid = $cluster->pid('gateway'); $pid && status_of($pid)->{Seccomp} eq '0' && $cluster->is_ready },
	'rt.confine = off takes effect by a reload');
is(status_of($cluster->pid('gateway'))->{NoNewPrivs}, 1, 'without new rights all the same');

# ---- with fewer descriptors than connections would need --------------------------------

SKIP: {
	skip 'no prlimit', 4 if system("prlimit --pid=$$ --nofile=700:700 2>&1 >/dev/null") != 0;
	my $small = RtTest->start(settings => { 'rt.max_connections' => 1000, 'rt.media_workers' => 0 });
	like($small->log, qr/1000 connections need 1512 open files, but the limit is 700: 350 are taken/, 'so many connections are taken');
	my ($address) = $small->url =~ m{//(.*)};
	my @clients = map { IO::Socket::INET->new(PeerAddr => $address) } 1 .. 680;
	my $pid = $small->pid('gateway');
	$small->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rt_gateway'");
	$small->poll_sql("SELECT count(*) > 3 FROM pg_stat_activity WHERE usename = 'rt_gateway' AND backend_start > now() - interval '1 minute' AND state IS NOT NULL", 't',
		'with all of them there it connects to the database again');
	is(scalar(grep { defined } @clients), 680, 'all came as far as a connection');
	is($small->pid('gateway'), $pid, 'and it is the same process');
}

done_testing();
