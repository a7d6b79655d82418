# Hosts whose clocks differ.  A gateway's: tokens live by the database's clock, also when the host's is set while it serves.  A standby's:
# who has gone when it is promoted is not there until its clock has caught up.
use strict;
use warnings;

use File::Basename qw(dirname);
use HTTP::Tiny;
use JSON::PP;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use HostProgram;
use RtStandby;
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

# ---- a standby whose clock is an hour behind the primary's ------------------------------------

$clock->set($HOUR);
$clock->restart_server;
$cluster->sql(q{SELECT rt.create_meeting('Talk', 'ann', access => 'anyone')});
$cluster->sql(q{SELECT rt_api.connect(NULL, '{"requests": [{"user": "ann", "sid": "s1", "serial": 1, "peer": "", "transport": "websocket",
	"gateway": "gone", "recoverable": true}]}')});
$cluster->sql(q{SELECT rt_api.meeting_join('ann', '{"meetingId": "1", "sid": "s1", "gateway": "gone"}')});
$cluster->sql(q{SELECT rt_api.meeting_disconnected('ann', '{"sid": "s1", "gateway": "gone"}')});
$cluster->sql(q{SELECT rt_api.disconnect(NULL, '{"gateway": "gone", "connections": [{"user": "ann", "sid": "s1", "serial": 1, "recoverable": true}]}')});
my $there = q{SELECT (SELECT count(*) FROM rt.presence WHERE status <> 'offline') || ' ' || (SELECT count(*) FROM rt.meeting_participants WHERE left_at IS NULL)};
is($cluster->sql($there), '1 1', 'a user is there, and in a meeting');
my $standby = RtStandby->new($cluster, settings => { 'rt.gateway_workers' => 1, 'rt.meeting_grace' => '3s' });
$standby->catch_up;
$cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-m', 'immediate', '-w', 'stop');
$standby->promote;
wait_until(sub { $standby->sql($there) eq '0 0' }, 'not at the new server, whose clock is an hour behind') or diag($standby->sql($there));

done_testing();
