# rt.batch_interval: events of many commits go out together.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0 });

sub batches { return $cluster->sql('SELECT batches FROM rt.stat_relay'); }

# The relay may not have read the setting yet.
{
	$cluster->sql("ALTER SYSTEM SET rt.batch_interval = '100ms'");
	$cluster->sql('SELECT pg_reload_conf()');
	$cluster->sql(q{SELECT rt.create_user('ida', 'Ida')});
	my $room = $cluster->sql(q{SELECT rt.create_room('interval', ARRAY['ida'])});
	my $is_done = sub { $cluster->sql('SELECT ring_used = 0 AND pid IS NOT NULL FROM rt.stat_relay') eq 't' };
	my $count;
	wait_until(
		sub {
			wait_for($is_done);
			my ($before, $start) = (batches(), time);
			$cluster->sql(qq{DO \$\$ BEGIN FOR i IN 1..100 LOOP
				INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($room, 'ida', i); COMMIT; END LOOP; END \$\$});
			wait_for($is_done);
			$count = batches() - $before;
			return $count <= (time - $start) / 0.1 + 2;
		},
		'with rt.batch_interval, events of many commits go out together') || diag("$count batches");
	$cluster->sql('ALTER SYSTEM RESET rt.batch_interval');
	$cluster->sql('SELECT pg_reload_conf()');
}

$cluster->stop;
done_testing();
