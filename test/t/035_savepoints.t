# Messages that one transaction sends, edits or deletes one by one, each in a subtransaction, as PL/pgSQL with an EXCEPTION block does:
# the work rises with their number, not with its square.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(time);

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0, 'max_prepared_transactions' => 2 });
$cluster->sql(q{SELECT rt.create_user('ann', 'Ann'); INSERT INTO rt.users (id, username, name) SELECT 'u' || i, 'u' || i, 'U' FROM generate_series(1, 800) i;
	INSERT INTO rt.rooms (name) SELECT 'r' || i FROM generate_series(1, 20) i});
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

# ---- a room's row that waits for the commit --------------------------------------------------------------------------

# A message, and something that looks for the row of its room.  The work is counted again, and so are the versions of the row.
sub with_messages
{
	my ($statement, $n) = @_;
	my $room = $cluster->sql(q{SELECT rt.create_room('with', ARRAY['ann'])});
	$cluster->sql("INSERT INTO rt.room_members (room_id, user_id) SELECT $room, 'u' || i FROM generate_series(1, $n) i") if $statement !~ /INSERT/;
	my @counted = $cluster->sql(qq{BEGIN;
		DO \$\$ BEGIN FOR i IN 1 .. $n LOOP
			BEGIN
				INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($room, 'ann', 'm' || i);
				$statement;
			EXCEPTION WHEN division_by_zero THEN NULL; END;
		END LOOP; END \$\$;
		SELECT (SELECT n_tup_upd FROM pg_stat_xact_all_tables WHERE relid = 'rt.rooms'::regclass),
			(SELECT sum(pg_stat_get_xact_blocks_fetched(c.oid)) FROM pg_class AS c
				WHERE c.relnamespace IN ('rt'::regnamespace, 'rt_private'::regnamespace) AND c.relkind IN ('r', 'i'));
		COMMIT} =~ s{ROOM}{$room}gr) =~ /(\d+)\|(\d+)/;
	cmp_ok($counted[0], '<=', 101, "$n messages are few versions of their room's row: $statement");
	is($cluster->sql("SELECT last_seq || ' ' || (SELECT count(*) FROM rt.messages WHERE room_id = $room) FROM rt.rooms WHERE id = $room"), "$n $n",
		'after the commit it has the last number');
	return $counted[1];
}
for my $statement (
	q{INSERT INTO rt.room_members (room_id, user_id) VALUES (ROOM, 'u' || i)},
	q{DELETE FROM rt.room_members WHERE room_id = ROOM AND user_id = 'u' || i},
	q{PERFORM rt.set_read(ROOM, 'u' || i, i)})
{
	my $few = with_messages($statement, 200);
	my $many = with_messages($statement, 800);
	cmp_ok($many / $few, '<', 8, "four times as many look at $many / $few times as many pages");
}

# A row that is locked and then updated in each of many subtransactions has a MultiXact in each of its versions, and whoever looks for the
# row looks into all of them.
{
	my $room = $cluster->sql(q{SELECT rt.create_room('marks', ARRAY['ann'])});
	$cluster->sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $room, 'ann', 'm' FROM generate_series(1, 500)");
	my $multixacts = sub { return $cluster->sql('CHECKPOINT; SELECT next_multixact_id FROM pg_control_checkpoint()') };
	my $before = $multixacts->();
	$cluster->sql("DO \$\$ BEGIN FOR i IN 1 .. 500 LOOP
		BEGIN PERFORM rt.set_read($room, 'ann', i); EXCEPTION WHEN division_by_zero THEN NULL; END;
	END LOOP; END \$\$");
	cmp_ok($multixacts->() - $before, '<', 50, 'read marks in savepoints make no MultiXacts');
	is($cluster->sql("SELECT last_read_seq FROM rt.room_members WHERE room_id = $room AND user_id = 'ann'"), 500, 'and the mark is where it was set last');
}

# A room, and a statement that sends so many messages to it, each in a subtransaction.
sub new_room
{
	return $cluster->sql(q{INSERT INTO rt.rooms (name) VALUES ('behind') RETURNING id});
}

sub send_many
{
	my ($room, $n) = @_;
	return "DO \$\$ BEGIN FOR i IN 1 .. $n LOOP
		BEGIN INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($room, 'ann', 'm'); EXCEPTION WHEN division_by_zero THEN NULL; END;
	END LOOP; END \$\$;\n";
}

# last_seq, how many messages, the highest number.
sub numbers
{
	my ($room) = @_;
	return $cluster->sql("SELECT r.last_seq || ' ' || count(m.seq) || ' ' || coalesce(max(m.seq), 0) FROM rt.rooms AS r LEFT JOIN rt.messages AS m ON m.room_id = r.id
		WHERE r.id = $room GROUP BY r.last_seq");
}

for my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	my $room = new_room();
	my $seen = $cluster->sql("BEGIN ISOLATION LEVEL $level;" . send_many($room, 150) . "SAVEPOINT a;" . send_many($room, 30) . "SAVEPOINT b;" . send_many($room, 20) . "
		SELECT 'sent ' || rt.send_message($room, 'ann', 'x');
		ROLLBACK TO b; SELECT 'sent ' || rt.send_message($room, 'ann', 'x'); RELEASE b; SELECT 'sent ' || rt.send_message($room, 'ann', 'x');
		ROLLBACK TO a; SELECT 'sent ' || rt.send_message($room, 'ann', 'x'); RELEASE a;
		SAVEPOINT c; INSERT INTO rt.messages (room_id, sender_id, content) SELECT $room, 'ann', 'many' FROM generate_series(1, 3);
		SELECT 'sent ' || rt.send_message($room, 'ann', 'x'); RELEASE c; COMMIT");
	is($seen, join("\n", map { "sent $_" } 201, 181, 182, 151, 155), "$level: what is rolled back leaves no hole");
	is(numbers($room), '155 155 155', 'nor at the commit');
	$cluster->sql("BEGIN ISOLATION LEVEL $level;" . send_many($room, 150) . 'ROLLBACK');
	is(numbers($room), '155 155 155', 'and a transaction that is rolled back leaves nothing');
}

# What the transaction itself asks for.
{
	my $room = new_room();
	$cluster->sql("INSERT INTO rt.room_members (room_id, user_id) VALUES ($room, 'ann'); INSERT INTO rt.messages (room_id, sender_id, content) SELECT $room, 'ann', 'm' FROM generate_series(1, 10)");
	my $seen = $cluster->sql('BEGIN;' . send_many($room, 290) . "
		INSERT INTO rt.room_members (room_id, user_id) VALUES ($room, 'u1') RETURNING last_read_seq, first_seq;
		SELECT rt.set_read($room, 'ann', 1000)->>'lastReadSeq', rt.set_read($room, 'ann', 299)->>'lastSeq';
		SELECT rt_api.message_list('ann', jsonb_build_object('roomId', '$room', 'limit', 1))->>'lastSeq';
		SELECT rt_private.rooms_json('ann', ARRAY[$room]::bigint[])->0->>'lastSeq';
		DELETE FROM rt.messages WHERE room_id = $room AND seq IN (5, 6);
		INSERT INTO rt.messages (room_id, seq, sender_id, content) VALUES ($room, 5, 'ann', 'restored');
		UPDATE rt.rooms SET topic = 'new' WHERE id = $room;
		INSERT INTO rt.messages (room_id, seq, sender_id, content) VALUES ($room, 6, 'ann', 'restored');
		SELECT last_read_seq FROM rt.room_members WHERE room_id = $room AND user_id = 'u1';
		COMMIT");
	is($seen, "300|300\n300|300\n300\n300\n300", 'members, marks, pages and lists have the true number');
	is(numbers($room), '300 300 300', 'and what was deleted may be restored');
	my (undef, $err) = $cluster->try_sql('BEGIN;' . send_many($room, 150) . "INSERT INTO rt.messages (room_id, seq, sender_id, content) VALUES ($room, 451, 'ann', 'x'); COMMIT");
	like($err, qr/message number 451 is above the last one of its room\nDETAIL:  The last_seq of room $room is 450\./, 'but not above it');
}

# Whoever else writes to the row in the same transaction.
{
	my $room = new_room();
	$cluster->sql('BEGIN;' . send_many($room, 150) . "UPDATE rt.rooms SET topic = 'one' WHERE id = $room;" . send_many($room, 50) . "UPDATE rt.rooms SET topic = topic || ' two' WHERE id = $room; COMMIT");
	is(numbers($room) . $cluster->sql(" SELECT topic || (last_at > now() - interval '1 minute')::text || (newest_at = (SELECT max(created_at) FROM rt.messages WHERE room_id = $room))::text
		FROM rt.rooms WHERE id = $room"), '200 200 200one twotruetrue', 'a changed topic stays, and times are those of the last message');
	$cluster->sql('BEGIN;' . send_many($room, 150) . "UPDATE rt.rooms SET last_seq = 1000 WHERE id = $room;" . send_many($room, 1) . 'COMMIT');
	is(numbers($room), '1001 351 1001', 'a number that somebody has set counts');
	$cluster->sql('BEGIN;' . send_many($room, 150) . "UPDATE rt.rooms SET last_seq = 2000 WHERE id = $room; COMMIT");
	is(numbers($room), '2000 501 1151', 'at the commit, too');
	$room = new_room();
	is($cluster->sql('BEGIN;' . send_many($room, 150) . "INSERT INTO rt.messages (room_id, sender_id, content, created_at) VALUES ($room, 'ann', 'old', '2020-01-01Z');
		SELECT newest_at FROM rt.rooms WHERE id = $room; COMMIT"), 'infinity', 'a search sees at once that times do not rise');
	is(numbers($room), '151 151 151', 'and the number is right');
}

# A room that is gone, or another one.
{
	my $room = new_room();
	$cluster->sql('BEGIN;' . send_many($room, 150) . "DELETE FROM rt.rooms WHERE id = $room; COMMIT");
	is(numbers($room), '', 'a room may be deleted in the same transaction');
	$room = new_room();
	my (undef, $err) = $cluster->try_sql('BEGIN;' . send_many($room, 150) . "DELETE FROM rt.rooms WHERE id = $room; SELECT rt.send_message($room, 'ann', 'x'); COMMIT");
	like($err, qr/room not found/, 'and then nobody can send to it');
	(undef, $err) = $cluster->try_sql('BEGIN;' . send_many($room, 2) . "DELETE FROM rt.rooms WHERE id = $room;
		INSERT INTO rt.messages (room_id, seq, sender_id, content) VALUES ($room, 1, 'ann', 'x'); COMMIT");
	like($err, qr/room not found/, 'or restore to it');
	$cluster->sql('BEGIN;' . send_many($room, 150) . "DELETE FROM rt.rooms WHERE id = $room; INSERT INTO rt.rooms (id, name) VALUES ($room, 'again');" . send_many($room, 3) . 'COMMIT');
	is(numbers($room), '3 3 3', 'a room of the same id begins anew');
	is($cluster->sql('BEGIN;' . send_many($room, 150) . "TRUNCATE rt.rooms CASCADE; INSERT INTO rt.rooms (id, name) SELECT i, 'new' FROM generate_series(1, 40) i;
		INSERT INTO rt.rooms (id, name) VALUES ($room, 'again');" . send_many($room, 2) . "
		SELECT string_agg(room_id || ':' || seq, ' ' ORDER BY seq) FROM rt.messages; ROLLBACK"), "$room:1 $room:2", 'so does one in a table that was emptied');
	$cluster->sql("INSERT INTO rt.rooms (name) SELECT 'other' FROM generate_series(1, 30)");
	$cluster->sql('BEGIN;' . send_many($room, 150) . 'CLUSTER rt.rooms USING rooms_pkey;' . send_many($room, 2) . 'COMMIT');
	is(numbers($room), '155 155 155', 'a table that is written anew has its rows elsewhere');
	is($cluster->sql("SELECT count(*) FROM rt.rooms WHERE name IN ('other', 'behind') AND last_seq <> (SELECT count(*) FROM rt.messages WHERE room_id = rooms.id) AND id > $room"), 0, 'and nobody else\'s is written');
}

# The end of a transaction.
{
	my $room = new_room();
	$cluster->sql('SET rt.suppress_events = on; BEGIN;' . send_many($room, 150) . "PREPARE TRANSACTION 'behind'");
	is(numbers($room), '0 0 0', 'a prepared transaction is not seen');
	$cluster->sql(q{COMMIT PREPARED 'behind'});
	is(numbers($room), '150 150 150', 'and has the number when it is committed');
	my (undef, $err) = $cluster->try_sql('BEGIN;' . send_many($room, 150) . "ALTER TABLE rt.messages DISABLE TRIGGER zz_rt_after_statement;
		INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($room, 'ann', 'x'); COMMIT");
	like($err, qr/message numbers were assigned but not confirmed/, 'a number that is not confirmed is refused');
	is(numbers($room), '150 150 150', 'with its transaction');
	my $open = $cluster->psql_start;
	print { $open->{in} } 'BEGIN;' . send_many($room, 150) . "SELECT 'has sent';\n";
	wait_until(sub { $open->{read}->() =~ /has sent/ }, 'a session has sent many');
	my $other = $cluster->psql_start;
	print { $other->{in} } "SELECT 'got ' || rt.send_message($room, 'ann', 'x');\n";
	$cluster->poll_sql(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%got%' AND pid <> pg_backend_pid()}, 1, 'another one waits');
	print { $open->{in} } "COMMIT;\n";
	wait_until(sub { $other->{read}->() =~ /got 301\b/ }, 'and has the number after it');
	$_->{finish}->() for $open, $other;
	is(numbers($room), '301 301 301', 'the last of all is in the row');
}

done_testing();
