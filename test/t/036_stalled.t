# What keeps the relay, or retention, from its work is seen, and said what it is.
use strict;
use warnings;

use File::Basename qw(dirname);
use POSIX ();
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.media_workers' => 0, 'rt.max_relay_wait' => '500ms' });
$cluster->sql(q{SELECT rt.create_user('ann', 'Ann'), rt.create_room('r', ARRAY['ann'])});
wait_until(sub { $cluster->is_ready }, 'it is ready');
sub relay { return $cluster->sql("SELECT pid FROM rt.stat_relay"); }
sub metric { my ($name) = @_; return $cluster->http('GET', '/metrics')->{content} =~ /^\Q$name\E\S* ([\d.]+)/m ? $1 : undef; }

# ---- a commit that hangs in synchronous replication ------------------------------------

$cluster->sql(q{ALTER SYSTEM SET synchronous_standby_names = 'nosuch'}, dbname => 'postgres');
$cluster->sql('SELECT pg_reload_conf()');
my $hung = $cluster->psql_start;
print { $hung->{in} } "SELECT pg_backend_pid();\n";
my $pid;
wait_until(sub { ($pid) = $hung->{read}->() =~ /^(\d+)$/m; $pid }, 'a session');
$cluster->poll_sql(q{SHOW synchronous_standby_names}, 'nosuch', 'waits for a standby');
print { $hung->{in} } "INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'hangs');\n";
$cluster->poll_sql(q{SELECT blocker_pid || ' ' || waits_for || ' ' || (oldest_wait > interval '500 ms') FROM rt.stat_relay}, "$pid IPC: SyncRep true",
	'rt.stat_relay says whose commit events wait for, and what it waits for');
wait_until(sub { !$cluster->is_ready }, '/readyz says that it is not ready');
wait_until(sub { (metric('rt_relay_oldest_wait_seconds') // 0) >= 0.5 }, '/metrics has the age');

# Others pass it: sessions that wait for no standby, in other rooms and with other events.  Many at once, and each room in order.
my $LOCAL = q{SET synchronous_commit = local; };
sub told { return $cluster->sql(q{SELECT coalesce(string_agg(room_id || '-' || seq, ' ' ORDER BY pos), '') FROM rt.events WHERE event = 'new-chat-message'}); }
$cluster->sql($LOCAL . q{SELECT rt.create_room('other ' || i, ARRAY['ann']) FROM generate_series(2, 4) i});
sub send_to { my ($room, $n) = @_; $cluster->sql($LOCAL . qq{INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($room, 'ann', 'passes')}) for 1 .. $n; }
sub at_once { my (@jobs) = @_; my @pids = map { my $job = $_; my $child = fork // die; unless ($child) { $job->(); POSIX::_exit(0); } $child } @jobs; waitpid $_, 0 for @pids; }
sub in_order { my ($room) = @_; return join ' ', map { /^$room-(\d+)$/ } split ' ', told(); }
at_once(map { my $room = $_; sub { send_to($room, 15) } } 2 .. 4);
wait_until(sub { split(' ', told()) == 45 }, 'other rooms need not wait for the commit that hangs');
is(in_order($_), "@{[1 .. 15]}", "room $_ in its order") for 2 .. 4;
is(in_order(1), '', 'the hanging message itself is not told');

# Another relay begins where this one was: nothing twice, nothing lost.
my $first = relay();
$cluster->sql("SELECT pg_terminate_backend($first)");
wait_until(sub { (relay() || $first) != $first }, 'another relay');
send_to(2, 3);
wait_until(sub { in_order(2) eq "@{[1 .. 18]}" }, 'which tells what passes, too');

# Two hang, in two rooms, and one of them ends while others race.
my $second = $cluster->psql_start;
print { $second->{in} } "INSERT INTO rt.messages (room_id, sender_id, content) VALUES (4, 'ann', 'hangs');\n";
my $cancel = q{SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%(4, %'};
wait_until(sub { $cluster->sql(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'INSERT%'}) == 2 }, 'a second one hangs');
at_once((map { my $room = $_; sub { send_to($room, 10) } } 2, 3), sub { $cluster->sql($cancel) });
$second->{finish}->();
send_to(4, 1);
wait_until(sub { in_order(4) eq "@{[1 .. 17]}" }, 'whose wait was canceled has committed, and is told, before who came after it');
wait_until(sub { in_order(2) eq "@{[1 .. 28]}" && in_order(3) eq "@{[1 .. 25]}" }, 'as are those beside it, each once');
is(in_order(1), '', 'the first one still hangs');
$cluster->poll_sql(q{SELECT blocker_pid FROM rt.stat_relay}, $pid, 'and is named');
$cluster->sql(q{ALTER SYSTEM RESET synchronous_standby_names}, dbname => 'postgres');
$cluster->sql('SELECT pg_reload_conf()');
wait_until(sub { $cluster->is_ready }, 'it is ready again when the commit is through');
wait_until(sub { in_order(1) eq '1' }, 'and the message has been told');
$cluster->poll_sql(q{SELECT oldest_wait IS NULL AND waits_for IS NULL FROM rt.stat_relay}, 't', 'nothing waits');
$hung->{finish}->();

# The server crashes while one hangs that others have passed.
$cluster->sql(q{ALTER SYSTEM SET synchronous_standby_names = 'nosuch'}, dbname => 'postgres');
$cluster->sql('SELECT pg_reload_conf()');
$cluster->poll_sql(q{SHOW synchronous_standby_names}, 'nosuch', 'waits for a standby again');
my $lost = $cluster->psql_start;
print { $lost->{in} } "INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'hangs');\n";
$cluster->poll_sql(q{SELECT waits_for FROM rt.stat_relay}, 'IPC: SyncRep', 'one hangs');
send_to(2, 1);
wait_until(sub { in_order(2) eq "@{[1 .. 29]}" }, 'another one passes');
$cluster->sql(q{ALTER SYSTEM RESET synchronous_standby_names}, dbname => 'postgres');
$cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-m', 'immediate', '-l', $cluster->dir . '/server.log', '-w', 'restart');
$lost->{finish}->();
wait_until(sub { $cluster->is_ready }, 'the server is back');
send_to(2, 1);
wait_until(sub { in_order(2) eq "@{[1 .. 30]}" && in_order(1) eq '1 2' }, 'what had hung is told, and what had passed not again');

# ---- a relay that is stopped ---------------------------------------------------------------

my $relay = relay();
kill 'STOP', $relay;
$cluster->sql(q{INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'waits')});
$cluster->poll_sql(q{SELECT blocker_pid IS NULL AND oldest_wait > interval '500 ms' FROM rt.stat_relay}, 't', 'nobody holds up a relay that stands still');
wait_until(sub { !$cluster->is_ready }, 'which is not ready either');
kill 'CONT', $relay;
wait_until(sub { $cluster->is_ready }, 'until it goes on');

# ---- retention, where a foreign key holds a room -----------------------------------------

$cluster->sql($_) for q{INSERT INTO rt.rooms (id, name) OVERRIDING SYSTEM VALUE SELECT i, 'old ' || i FROM generate_series(101, 110) i},
	q{INSERT INTO rt.messages (room_id, sender_id, content, created_at) SELECT r, 'ann', 'old', now() - interval '2 days' FROM generate_series(101, 110) r, generate_series(1, 30) i},
	q{CREATE TABLE held (room_id bigint, seq bigint, FOREIGN KEY (room_id, seq) REFERENCES rt.messages)},
	q{CREATE TABLE held_later (room_id bigint, seq bigint, FOREIGN KEY (room_id, seq) REFERENCES rt.messages DEFERRABLE INITIALLY DEFERRED)},
	q{INSERT INTO held VALUES (103, 5), (107, 1)}, q{INSERT INTO held_later VALUES (109, 30)},
	q{ALTER SYSTEM SET rt.retain_messages = '1 d'}, 'SELECT pg_reload_conf()';
$cluster->poll_sql(q{SELECT string_agg(DISTINCT room_id::text, ' ') FROM rt.messages WHERE room_id > 100}, '103 107 109', 'retention skips the rooms that are held, and goes on');
$cluster->poll_sql('SELECT rooms_held FROM rt.stat_relay', 3, 'and counts them');
wait_until(sub { (metric('rt_relay_rooms_held') // 0) == 3 }, 'for /metrics too');
is(() = $cluster->log =~ /old messages of room \d+ cannot be removed: .*foreign key/g, 1, 'one line tells');
$cluster->sql('DROP TABLE held, held_later');
$cluster->sql('SELECT pg_reload_conf()');
$cluster->poll_sql(q{SELECT count(*) FROM rt.messages WHERE room_id > 100}, 0, 'they go when nothing holds them');

# The same where triggers of the application's do, and where a row is locked: rooms 101, 103 and 104 raise, 102 keeps its rows.
my $locking = $cluster->psql_start;
$cluster->sql($_) for q{CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF OLD.room_id = 101 THEN
			RAISE 'legal hold';
		END IF;
		IF OLD.room_id = 103 THEN
			RAISE 'legal hold' USING ERRCODE = 'object_in_use';
		END IF;
		IF OLD.room_id = 104 THEN
			RAISE 'broken' USING ERRCODE = 'internal_error';
		END IF;
		RETURN CASE WHEN OLD.room_id <> 102 THEN OLD END;
	END $$},
	q{CREATE TRIGGER hold BEFORE DELETE ON rt.messages FOR EACH ROW WHEN (OLD.room_id BETWEEN 101 AND 104) EXECUTE FUNCTION hold()},
	q{ALTER SYSTEM SET rt.retain_messages = 0}, 'SELECT pg_reload_conf()',
	q{INSERT INTO rt.messages (room_id, sender_id, content, created_at) SELECT r, 'ann', 'old', now() - interval '2 days' FROM generate_series(101, 110) r, generate_series(1, 30) i};
print { $locking->{in} } "BEGIN; SELECT 'locked' FROM rt.messages WHERE room_id = 105 ORDER BY seq LIMIT 1 FOR UPDATE;\n";
wait_until(sub { $locking->{read}->() =~ /locked/ }, 'somebody locks a message');
$cluster->sql($_) for q{ALTER SYSTEM SET rt.retain_messages = '1 d'}, 'SELECT pg_reload_conf()';
$cluster->poll_sql(q{SELECT string_agg(room_id || ':' || n, ' ' ORDER BY room_id) FROM (SELECT room_id, count(*) AS n FROM rt.messages WHERE room_id > 100 GROUP BY 1) AS r},
	'101:30 102:30 103:30 104:30 105:1', 'retention goes on where a trigger raises or keeps rows, and where one is locked');
$cluster->poll_sql('SELECT rooms_held FROM rt.stat_relay', 4, 'and counts the rooms');
$locking->{finish}->();

# What goes takes rows of other tables along, of which somebody has locked some.
$cluster->sql($_) for 'DROP TRIGGER hold ON rt.messages', q{ALTER SYSTEM SET rt.retain_messages = 0}, 'SELECT pg_reload_conf()', 'DELETE FROM rt.messages WHERE room_id > 100',
	q{INSERT INTO rt.messages (room_id, sender_id, content, created_at) SELECT r, 'ann', 'old', now() - interval '2 days' FROM generate_series(101, 110) r, generate_series(1, 30) i},
	q{CREATE TABLE taken (room_id bigint, seq bigint, FOREIGN KEY (room_id, seq) REFERENCES rt.messages ON DELETE CASCADE)},
	'INSERT INTO taken SELECT room_id, max(seq) FROM rt.messages WHERE room_id > 100 GROUP BY 1';
$locking = $cluster->psql_start;
print { $locking->{in} } "BEGIN; SELECT 'locked' FROM taken WHERE room_id IN (103, 105) FOR UPDATE;\n";
wait_until(sub { $locking->{read}->() =~ /locked/ }, 'somebody locks rows of another table');
$cluster->sql($_) for q{ALTER SYSTEM SET rt.retain_messages = '1 d'}, 'SELECT pg_reload_conf()';
$cluster->poll_sql(q{SELECT string_agg(room_id || ':' || n, ' ' ORDER BY room_id) FROM (SELECT room_id, count(*) AS n FROM rt.messages WHERE room_id > 100 GROUP BY 1) AS r},
	'103:30 105:30', 'retention goes on where rows that it takes along are locked');
$cluster->poll_sql('SELECT rooms_held FROM rt.stat_relay', 2, 'and counts the rooms');
$locking->{finish}->();

done_testing();
