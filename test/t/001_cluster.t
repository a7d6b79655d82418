# test/rt-cluster: what it promises to tests, benchmarks and the demo.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp;
use RtTest;
use Test::More;

my $cluster = RtTest->start(settings => { 'work_mem' => '5MB' });
my $rt_cluster = "$FindBin::Bin/../rt-cluster";

is($cluster->http('GET', '/readyz')->{status}, 200, 'ready after start');
is($cluster->http('GET', '/healthz')->{status}, 200, 'alive after start');
is($cluster->sql('SHOW work_mem'), '5MB', '--set reaches the server');
is($cluster->sql('SHOW data_checksums'), 'on', 'data checksums');
is($cluster->sql('SHOW fsync'), 'on', 'fsync stays on');
is($cluster->sql("SELECT datcollate FROM pg_database WHERE datname = 'rt'"), 'C.UTF-8', 'the locale');
is($cluster->sql('SHOW listen_addresses'), '127.0.0.1', 'the server listens on loopback only');
is($cluster->sql("SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'"), 'rt', 'the extension, which needs no other');

my $postmaster = $cluster->pid('postmaster');
my $gateway = $cluster->pid('gateway');
ok(process_is_alive($postmaster), 'env prints the postmaster');
ok(process_is_alive($gateway), 'env prints the gateway');
kill 'KILL', $gateway;
wait_until(sub { my $now = $cluster->pid('gateway'); $now && $now != $gateway }, 'env prints the pids of now');

my (undef, $err, $status) = run_command($rt_cluster, 'start', '--dir', $cluster->dir);
isnt($status, 0, 'a second start in the same folder is refused');
like($err, qr/runs in/, 'and says why');
ok(process_is_alive($postmaster), 'and leaves the first one alone');

{
	local $ENV{RT_READY_SECONDS} = 3;
	my @arguments = ('--port', $cluster->gateway_port);
	is(RtTest->start(arguments => \@arguments, settings => { 'rt.media_workers' => 0 }, may_fail => 1), undef,
		'a start on the port of somebody else\'s gateway fails');
	like($@, qr/not ready/, 'and does not take that gateway for its own');
}

my @programs = ($cluster->pid('gateway'), $cluster->pid('media'));
ok($cluster->stop, 'stop');
ok(!process_is_alive($_), "process $_ is gone") for $postmaster, @programs;
ok(-d $cluster->data_dir, 'stop leaves the folder');
is($cluster->launch, undef, 'start in a stopped folder goes on with its data');
is($cluster->sql('SHOW work_mem'), '5MB', 'with the settings asked for');
$cluster->stop;
(undef, $err, $status) = run_command($rt_cluster, 'stop', '--dir', $cluster->dir, '--purge');
is($status, 0, 'stop of a stopped one is no error');
ok(!-e $cluster->dir, '--purge removes the folder');

my $elsewhere = File::Temp->newdir('rt-tap-XXXXXX', TMPDIR => 1);
(undef, $err, $status) = run_command($rt_cluster, 'stop', '--dir', "$elsewhere", '--purge');
isnt($status, 0, 'stop refuses a folder that start did not make');
ok(-d "$elsewhere", 'and removes nothing there');

(undef, undef, $status) = run_command($rt_cluster, 'start');
is($status, 2, 'usage without --dir');

done_testing();
