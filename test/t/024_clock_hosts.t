# A gateway on a host whose clock is wrong: tokens live by the database's clock, also when the host's is set while it serves.
use strict;
use warnings;

use File::Basename qw(dirname);
use HTTP::Tiny;
use JSON::PP;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use HostProgram;
use RtTest;
use WallClock;

my $HOUR = 3600;
my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0 });
my $clock = WallClock->new($cluster);
$cluster->sql(q{CREATE ROLE gw LOGIN PASSWORD 'pw' IN ROLE rt_gateway});
$cluster->sql(q{SELECT rt.create_user('ann', 'Ann'); SELECT rt.add_key('shared', 'HS256', repeat('x', 32))});

sub token
{
	my ($lives_s) = @_;
	return $cluster->sql(qq{SELECT rt_private.jwt_sign('shared', 'HS256', repeat('x', 32), json_build_object('sub', 'ann',
		'iat', floor(extract(epoch FROM clock_timestamp())) - 10, 'exp', floor(extract(epoch FROM clock_timestamp())) + $lives_s))});
}

my $port = free_port();
my $gateway;

sub answer
{
	my ($token) = @_;
	my $reply = HTTP::Tiny->new(timeout => 30)->get("http://127.0.0.1:$port/api/users/me", { headers => { authorization => "Bearer $token" } });
	return $reply->{status} == 200 ? 200 : "$reply->{status} " . decode_json($reply->{content})->{error}{message};
}

sub tokens_live
{
	my ($name) = @_;
	is(answer(token($HOUR)), 200, "$name: a token that lives for an hour");
	is(answer(token(300)), 200, "$name: for five minutes");
	is(answer(token(-300)), '401 Token expired', "$name: one that expired five minutes ago");
}

sub warns
{
	my ($pattern, $name) = @_;
	wait_until(sub { $gateway->log =~ /$pattern/ }, $name) or diag($gateway->log);
}

$clock->set(2 * $HOUR);
$gateway = HostProgram->start('rt_gateway', { conninfo => 'host=127.0.0.1 port=' . $cluster->port . ' dbname=rt user=gw password=pw',
	name => 'wrong', port => $port }, before => [ $clock->with ]);
wait_until(sub { $gateway->is_ready }, 'a gateway whose host is two hours ahead') or diag($gateway->log);
warns(qr/WARNING: clock: this host's clock is (719\d|720\d) s ahead of the database's/, 'it says so');
tokens_live('ahead');
$clock->set(-2 * $HOUR);
warns(qr/WARNING: clock: this host's clock is (719\d|720\d) s behind the database's/, 'the host is two hours behind');
tokens_live('behind');
$clock->set(0);
warns(qr/clock: this host's clock agrees with the database's again/, 'it is right');
tokens_live('right');
is($gateway->end('TERM'), 0, 'it ends');

done_testing();
