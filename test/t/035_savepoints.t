# Messages that one transaction sends one by one, each in a subtransaction, as PL/pgSQL with an EXCEPTION block does: the time rises with
# their number, not with its square.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(time);

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0 });
$cluster->sql(q{SELECT rt.create_user('ann', 'Ann'); INSERT INTO rt.rooms (name) SELECT 'r' || i FROM generate_series(1, 20) i});
my $next_room = 1;

# Seconds for so many messages to a room of their own.
sub seconds
{
	my ($n) = @_;
	my $room = $next_room++;
	my $begun = time;
	$cluster->sql(qq{DO \$\$ BEGIN FOR i IN 1 .. $n LOOP
		BEGIN INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($room, 'ann', 'm' || i); EXCEPTION WHEN division_by_zero THEN NULL; END;
	END LOOP; END \$\$});
	is($cluster->sql("SELECT last_seq || ' ' || (SELECT count(*) FROM rt.messages WHERE room_id = $room) FROM rt.rooms WHERE id = $room"), "$n $n", "$n messages");
	return time - $begun;
}

# Four times as many take four times as long, and sixteen times if each looks at all before it.
seconds(500);
my $ratio;
for my $try (1 .. 5)
{
	my $few = seconds(3000);
	$ratio = seconds(12000) / $few;
	note("ratio $ratio");
	last if $ratio < 8;
}
cmp_ok($ratio, '<', 8, 'the time is linear');

# What is rolled back leaves no hole, whoever else has changed the room's row in between.
$cluster->sql(q{DO $$ BEGIN
	INSERT INTO rt.messages (room_id, sender_id, content) VALUES (20, 'ann', 'one');
	BEGIN
		INSERT INTO rt.messages (room_id, sender_id, content) VALUES (20, 'ann', 'gone');
		UPDATE rt.rooms SET name = 'gone' WHERE id = 20;
		INSERT INTO rt.messages (room_id, sender_id, content) VALUES (20, 'ann', 'gone');
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN NULL; END;
	INSERT INTO rt.messages (room_id, sender_id, content) VALUES (20, 'ann', 'two');
	UPDATE rt.rooms SET name = 'renamed' WHERE id = 20;
	BEGIN
		INSERT INTO rt.messages (room_id, sender_id, content) SELECT 20, 'ann', 'many' FROM generate_series(1, 3);
	EXCEPTION WHEN division_by_zero THEN NULL; END;
	INSERT INTO rt.messages (room_id, sender_id, content) VALUES (20, 'ann', 'six');
END $$});
is($cluster->sql(q{SELECT name || ' ' || last_seq || ' ' || (SELECT string_agg(seq || content, ' ' ORDER BY seq) FROM rt.messages WHERE room_id = 20) FROM rt.rooms WHERE id = 20}),
	'renamed 6 1one 2two 3many 4many 5many 6six', 'numbers have no hole, and the row keeps what others wrote');

done_testing();
