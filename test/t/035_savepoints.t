# Messages that one transaction sends, edits or deletes one by one, each in a subtransaction, as PL/pgSQL with an EXCEPTION block does:
# the work rises with their number, not with its square.
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

# Edits, deletions, reactions and pins take a room's numbers of changes: one version of its counter for all of a transaction.  The work
# is counted: pages of the tables of rt that the transaction looks at.
sub pages
{
	my ($statement, $n) = @_;
	my $room = $cluster->sql(q{SELECT rt.create_room('changes', ARRAY['ann'])});
	$cluster->sql(qq{INSERT INTO rt.messages (room_id, sender_id, content) SELECT $room, 'ann', 'm' FROM generate_series(1, $n);
		INSERT INTO rt.reactions (room_id, seq, user_id, emoji) SELECT $room, i, 'ann', 'old' FROM generate_series(1, $n) i});
	my $before = $cluster->sql("SELECT rt_private.last_change($room)");
	my @counted = $cluster->sql(qq{ANALYZE rt.messages, rt.reactions; BEGIN;
		DO \$\$ BEGIN FOR i IN 1 .. $n LOOP
			BEGIN $statement; EXCEPTION WHEN division_by_zero THEN NULL; END;
		END LOOP; END \$\$;
		SET CONSTRAINTS ALL IMMEDIATE;
		SELECT (SELECT n_tup_upd FROM pg_stat_xact_all_tables WHERE relid = 'rt_private.change_counters'::regclass),
			(SELECT sum(pg_stat_get_xact_blocks_fetched(c.oid)) FROM pg_class AS c
				WHERE c.relnamespace IN ('rt'::regnamespace, 'rt_private'::regnamespace) AND c.relkind IN ('r', 'i'));
		COMMIT} =~ s{ROOM}{$room}gr) =~ /(\d+)\|(\d+)/;
	is($counted[0], 1, "$n changes are one version of the counter: $statement");
	is($cluster->sql("SELECT rt_private.last_change($room) - $before || ' ' || (SELECT count(DISTINCT change) FROM rt_private.room_changes WHERE room_id = $room)"),
		"$n $n", 'each has its number');
	return $counted[1];
}
for my $statement (
	q{UPDATE rt.messages SET content = 'edited' WHERE room_id = ROOM AND seq = i},
	q{UPDATE rt.messages SET deleted_at = now() WHERE room_id = ROOM AND seq = i},
	q{DELETE FROM rt.messages WHERE room_id = ROOM AND seq = i},
	q{INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (ROOM, i, 'ann', 'new')},
	q{DELETE FROM rt.reactions WHERE room_id = ROOM AND seq = i},
	q{INSERT INTO rt.pins (room_id, seq) VALUES (ROOM, i)})
{
	my $few = pages($statement, 300);
	my $many = pages($statement, 1200);
	cmp_ok($many / $few, '<', 8, "four times as many look at $many / $few times as many pages");
}

# What is rolled back has no number, and what numbered it counts for nothing.
sub changes
{
	my ($room) = @_;
	return $cluster->sql("SELECT string_agg(seq || ':' || change, ' ' ORDER BY change) || ' of ' || rt_private.last_change($room) FROM rt_private.room_changes WHERE room_id = $room");
}
$cluster->sql(q{SELECT rt.create_room('undone', ARRAY['ann'])});
my $room = $cluster->sql(q{SELECT max(id) FROM rt.rooms});
$cluster->sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $room, 'ann', 'm' FROM generate_series(1, 9)");
$cluster->sql(qq{BEGIN;
UPDATE rt.messages SET content = 'e' WHERE room_id = $room AND seq = 1;
SAVEPOINT a;
UPDATE rt.messages SET content = 'e' WHERE room_id = $room AND seq = 2;
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK TO a;
SAVEPOINT b;
UPDATE rt.messages SET content = 'e' WHERE room_id = $room AND seq = 3;
DELETE FROM rt.messages WHERE room_id = $room AND seq = 4;
SAVEPOINT c;
DELETE FROM rt.messages WHERE room_id = $room AND seq = 5;
ROLLBACK TO c;
RELEASE b;
UPDATE rt.messages SET content = 'again' WHERE room_id = $room AND seq = 1;
COMMIT});
is(changes($room), '3:2 4:3 1:4 of 4', 'changes of savepoints that were rolled back have no number');
$cluster->sql(qq{BEGIN;
DELETE FROM rt.messages WHERE room_id = $room AND seq = 6;
SAVEPOINT a;
SET CONSTRAINTS ALL IMMEDIATE;
RELEASE a;
SET CONSTRAINTS ALL DEFERRED;
DELETE FROM rt.messages WHERE room_id = $room AND seq = 7;
SAVEPOINT b;
INSERT INTO rt.pins (room_id, seq) VALUES ($room, 8);
ROLLBACK TO b;
COMMIT});
is(changes($room), '3:2 4:3 1:4 6:5 7:6 of 6', 'those that had been numbered before are numbered once');
$cluster->sql(qq{BEGIN; DELETE FROM rt.messages WHERE room_id = $room AND seq = 8; ROLLBACK; UPDATE rt.messages SET content = 'e' WHERE room_id = $room AND seq = 9});
is(changes($room) . $cluster->sql('SELECT count(*) FROM rt_private.pending_changes'), '3:2 4:3 1:4 6:5 7:6 9:7 of 70', 'a transaction that was rolled back leaves nothing to the next');

done_testing();
