# What keeps the relay, or retention, from its work is seen, and said what it is.
use strict;
use warnings;

use File::Basename qw(dirname);
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
$cluster->sql(q{ALTER SYSTEM RESET synchronous_standby_names}, dbname => 'postgres');
$cluster->sql('SELECT pg_reload_conf()');
wait_until(sub { $cluster->is_ready }, 'it is ready again when the commit is through');
$cluster->poll_sql(q{SELECT count(*) FROM rt.events WHERE event = 'new-chat-message'}, 1, 'and the message has been told');
$cluster->poll_sql(q{SELECT oldest_wait IS NULL AND waits_for IS NULL FROM rt.stat_relay}, 't', 'nothing waits');
$hung->{finish}->();

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
	q{INSERT INTO held VALUES (103, 5), (107, 1)}, q{ALTER SYSTEM SET rt.retain_messages = '1 d'}, 'SELECT pg_reload_conf()';
$cluster->poll_sql(q{SELECT string_agg(DISTINCT room_id::text, ' ') FROM rt.messages WHERE room_id > 100}, '103 107', 'retention skips the rooms that are held, and goes on');
$cluster->poll_sql('SELECT rooms_held FROM rt.stat_relay', 2, 'and counts them');
wait_until(sub { (metric('rt_relay_rooms_held') // 0) == 2 }, 'for /metrics too');
is(() = $cluster->log =~ /old messages of room \d+ cannot be removed: .*foreign key/g, 1, 'one line tells');
$cluster->sql('DROP TABLE held');
$cluster->sql('SELECT pg_reload_conf()');
$cluster->poll_sql(q{SELECT count(*) FROM rt.messages WHERE room_id > 100}, 0, 'they go when nothing holds them');

done_testing();
