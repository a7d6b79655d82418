# The system's clock jumps, back and forward, while a meeting goes on: nobody who is connected loses the place or the media
# worker, and a place whose socket is gone is kept for rt.meeting_grace, no longer and no shorter.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use RtTest;
use WallClock;

my $DAY = 86400;
my $GRACE = 8;
my $cluster = RtTest->start(settings => { 'rt.media_workers' => 1, 'rt.gateway_workers' => 2, 'rt.meeting_grace' => "${GRACE}s" });
my $clock = WallClock->new($cluster);

sub start_server
{
	$clock->restart_server;
	# Rows of before the restart are there until their successors come.
	$cluster->poll_sql("SELECT count(*) || ' ' || count(*) FILTER (WHERE started_at > pg_postmaster_start_time()) FROM rt_private.gateways", '2 2', 'two gateways serve');
	$cluster->poll_sql("SELECT count(*) || ' ' || count(*) FILTER (WHERE started_at > pg_postmaster_start_time()) FROM rt_private.media_workers", '1 1', 'and a media worker');
	$cluster->poll_sql('SELECT server_start = pg_postmaster_start_time() FROM rt_private.clock', 't', 'one has looked at the clock');
}

# In a meeting, by the first gateway, as a socket that neither gateway will ever report.
sub seat
{
	my ($user) = @_;
	$cluster->sql("SELECT rt_api.meeting_join('$user', jsonb_build_object('meetingId', '1', 'sid', 'sid-$user', 'gateway', (SELECT min(name) FROM rt_private.gateways)))");
}

sub drop_socket
{
	my ($user) = @_;
	$cluster->sql("SELECT rt_api.meeting_disconnected('$user', jsonb_build_object('sid', 'sid-$user', 'gateway', (SELECT min(name) FROM rt_private.gateways)))");
}

# Each gateway sweeps once a second, and has done so again.
sub some_sweeps
{
	for my $gateway (split /\n/, $cluster->sql('SELECT name FROM rt_private.gateways'))
	{
		my $before = $cluster->sql("SELECT reported_at FROM rt_private.gateways WHERE name = '$gateway'");
		for (1 .. 3)
		{
			$cluster->poll_sql("SELECT reported_at <> '$before' FROM rt_private.gateways WHERE name = '$gateway'", 't', 'a gateway reports');
			$before = $cluster->sql("SELECT reported_at FROM rt_private.gateways WHERE name = '$gateway'");
		}
	}
}

sub who_is_there { return $cluster->sql(q{SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM rt.meeting_participants WHERE left_at IS NULL}) // ''; }
sub state_of_media { return $cluster->sql(q{SELECT string_agg(id, ' ' ORDER BY id) FROM rt_private.media_workers}) . ' ' . $cluster->sql('SELECT count(*) FROM rt_private.media_routers'); }
sub gateways { return $cluster->sql(q{SELECT string_agg(name, ' ' ORDER BY name) FROM rt_private.gateways}); }

sub jumps
{
	my ($to, $name) = @_;
	seat('ann');
	seat('ben');
	my ($media, $gateways) = (state_of_media(), gateways());
	drop_socket('ben');
	my $dropped = time;
	$clock->set($to);
	some_sweeps();
	is(gateways(), $gateways, "$name: no gateway is taken for dead");
	is(state_of_media(), $media, "$name: nor the media worker");
	my $there = who_is_there();
	is($there, time - $dropped < $GRACE - 1 ? 'ann ben' : $there, "$name: a place is kept during the grace");
	is($cluster->sql(q{SELECT disconnected_at IS NULL FROM rt.meeting_participants WHERE user_id = 'ann' AND left_at IS NULL}), 't', "$name: who is connected stays so");
	wait_until(sub { who_is_there() eq 'ann' }, "$name: it ends with the grace");
	cmp_ok(time - $dropped, '>=', $GRACE - 1, "$name: and not before");
	my $worker = $cluster->pid('media');
	kill 'KILL', $worker;
	$cluster->poll_sql("SELECT count(*) FROM rt_private.media_workers AS w WHERE rt_private.media_alive(w) AND w.id <> '" . (split / /, $media)[0] . "'", 1,
		"$name: a killed media worker is replaced");
	$cluster->poll_sql("SELECT count(*) FROM rt_private.media_workers", 1, "$name: and forgotten");
}

$cluster->sql(q{SELECT rt.create_user('ann', 'Ann'); SELECT rt.create_user('ben', 'Ben'); SELECT rt.create_meeting('Meeting', 'ann', access => 'anyone')});
start_server();
jumps($DAY, 'a day forward');
jumps(-$DAY, 'two days back');

done_testing();
