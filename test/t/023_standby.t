# A standby has rt's tables and none of its workers, until it is promoted.
use strict;
use warnings;

use File::Basename qw(dirname);
use HTTP::Tiny;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $primary = RtTest->start;
my $folder = $primary->dir . '/standby';
my ($port, $gateway_port, $media_port) = map { free_port() } 1 .. 3;

# However the test ends, the standby does too.
END
{
	local $?;
	$primary->server_command('pg_ctl', '-D', $folder, '-m', 'immediate', 'stop') if $primary && -e "$folder/postmaster.pid";
}

sub on_standby
{
	my ($sql) = @_;
	my ($out, $err, $status) = run_command('psql', '-XAtq', '-h', $primary->host, '-p', $port, '-U', 'postgres', '-d',
		'rt', '-c', $sql);
	chomp $out;
	return $status == 0 ? $out : "error: $err";
}

sub standby_serves
{
	return HTTP::Tiny->new(timeout => 5)->get("http://127.0.0.1:$gateway_port/readyz")->{status} == 200;
}

$primary->sql("SELECT rt.create_user('ann', 'Ann', 'secret'); SELECT rt.create_room('one', ARRAY['ann'])");
my (undef, $err, $status) = $primary->server_command('pg_basebackup', '-R', '-c', 'fast', '-D', $folder, '-h',
	$primary->host, '-p', $primary->port, '-U', 'postgres');
is($status, 0, 'a base backup') || diag($err);
my $options = "-p $port -c rt.port=$gateway_port -c rt.media_port=$media_port";
(undef, $err, $status) =
  $primary->server_command('pg_ctl', '-D', $folder, '-l', "$folder.log", '-w', '-o', $options, 'start');
is($status, 0, 'a standby') || diag($err);

wait_until(sub { on_standby("SELECT name FROM rt.users WHERE id = 'ann'") eq 'Ann' }, 'has the data');
is(on_standby("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'rt %'"), 0, 'but no worker');
ok(!standby_serves(), 'and no gateway');
like(on_standby(q{SELECT rt.broadcast(1, 'news', '{}')}), qr/cannot emit events during recovery/,
	'an event that nobody would get is refused');
wait_until(sub { $primary->is_ready }, 'the primary serves');

$primary->server_command('pg_ctl', '-D', $folder, '-w', 'promote');
wait_until(\&standby_serves, 'once promoted, it serves');
wait_until(sub { on_standby("SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('rt launcher', 'rt relay', 'rt supervisor')") eq '3' },
	'with workers of its own');
wait_until(sub { $primary->is_ready }, 'and the other one still does');
(undef, $err, $status) = $primary->server_command('pg_ctl', '-D', $folder, '-m', 'fast', '-w', 'stop');
is($status, 0, 'the standby stops') || diag($err);

done_testing();
