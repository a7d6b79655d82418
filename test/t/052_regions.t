# Media workers on hosts of their own, in two regions: a meeting is placed near its first participant, and elsewhere once its host is lost.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(time);

use lib dirname(__FILE__) . '/lib';
use HostProgram;
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0 });
$cluster->sql(q{CREATE ROLE gw LOGIN PASSWORD 'pw' IN ROLE rt_gateway});
$cluster->sql(q{CREATE ROLE md LOGIN PASSWORD 'pw' IN ROLE rt_media});
$cluster->sql(q{INSERT INTO rt.users (id, username, name) VALUES ('alice', 'alice', 'Alice')});

sub program
{
	my ($kind, $role, $name, $region) = @_;
	return HostProgram->start($kind, { conninfo => 'host=127.0.0.1 port=' . $cluster->port . " dbname=rt user=$role password=pw",
		name => $name, region => $region, port => free_port() });
}

my %media = map { $_ => program('rt_media', 'md', "m-$_", $_) } qw(eu us);
my %gateway = map { $_ => program('rt_gateway', 'gw', "g-$_", $_) } qw(eu us asia);
wait_until(sub { $_->is_ready }, 'a gateway serves') foreach values %gateway;
$cluster->poll_sql('SELECT count(*) FROM rt.stat_media_workers WHERE alive', 2, 'two media workers');

# Joins as a client of that gateway does; the meeting's id.
sub join_new
{
	my ($at, $region) = @_;
	my $meeting = $cluster->sql(q{SELECT rt.create_meeting('regions', 'alice', access => 'anyone')});
	$cluster->sql(qq{SELECT rt_api.meeting_join('alice', jsonb_build_object('meetingId', '$meeting', 'sid', 'sid-$meeting', 'region', $region,
		'gateway', (SELECT name FROM rt.stat_gateway WHERE host = 'g-$at')))});
	return $meeting;
}

sub where_is
{
	my ($meeting) = @_;
	return $cluster->sql(qq{SELECT w.host FROM rt_private.media_routers AS r JOIN rt_private.media_workers AS w ON w.id = r.worker WHERE r.meeting_id = $meeting});
}

my $european = join_new('eu', 'NULL');
is(where_is($european), 'm-eu', 'a meeting is placed in its gateway\'s region');
is(where_is(join_new('us', 'NULL')), 'm-us', 'whichever it is');
is(where_is(join_new('us', 'NULL')), 'm-us', 'though another worker has less to do');
is(where_is(join_new('us', q{'eu'})), 'm-eu', 'the region that a client names comes before its gateway\'s');
is(where_is(join_new('us', q{'mars'})), 'm-us', 'unless nothing is there');
like(where_is(join_new('asia', 'NULL')), qr/^m-/, 'a region without a worker is served from elsewhere');

takes_less(5, sub {
	if ($media{eu}->has_ended)
	{
		$media{eu}->launch;
		$cluster->poll_sql(q{SELECT count(*) FROM rt.stat_media_workers WHERE alive}, 2, 'it is back');
		$european = join_new('eu', 'NULL');
	}
	$media{eu}->end('KILL');
	my $killed = time;
	wait_until(sub { where_is($european) eq 'm-us' }, 'a host is lost: its meetings are elsewhere');
	note(sprintf 'after %.1f s', time - $killed);
	return time - $killed;
}, 'within 5 s');
$media{eu}->launch;
$cluster->poll_sql(q{SELECT count(*) FROM rt.stat_media_workers WHERE alive}, 2, 'it comes back');
is(where_is(join_new('eu', 'NULL')), 'm-eu', 'and serves its region again');

$_->end('INT') foreach values %gateway, values %media;
done_testing();
