# Every committed message comes into the log exactly once and in the order of its number: with a full ring, a relay that
# stands still or is killed, a server that crashes, and tables that are locked.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(
	settings => {
		'rt.ring_size' => '64kB',
		'rt.gateway_workers' => 0,
		'rt.media_workers' => 0,
		'rt.max_databases' => 1,
		'wal_writer_delay' => '10s',    # so that a crash takes the end of the log along
	});

sub relay { return $cluster->sql('SELECT coalesce(pid, 0) FROM rt.stat_relay'); }

sub relay_is_done
{
	return $cluster->poll_sql('SELECT ring_used = 0 AND pid IS NOT NULL FROM rt.stat_relay', 't', $_[0]);
}

# Everything of the tables is in the log, once, and each room's messages in their order.
sub log_is_complete
{
	my ($name) = @_;
	relay_is_done("$name: the relay has caught up");
	$cluster->poll_sql(
		q{SELECT count(*) FROM rt_private.history m WHERE NOT EXISTS (SELECT FROM rt.events e
			WHERE e.room_id = m.room_id AND e.seq = m.seq AND e.event = 'new-chat-message')}, '0', "$name: nothing is missing");
	is($cluster->sql(q{SELECT count(*) FROM (SELECT FROM rt.events WHERE event = 'new-chat-message'
		GROUP BY room_id, seq HAVING count(*) > 1) t}), '0', "$name: nothing is there twice");
	is($cluster->sql(q{SELECT count(*) FROM (SELECT seq, lag(seq, 1, 0::bigint) OVER (PARTITION BY room_id ORDER BY pos) AS before
		FROM rt.events WHERE event = 'new-chat-message') t WHERE seq <> before + 1}), '0', "$name: each room is in order");
	is($cluster->sql(q{SELECT count(*) FROM rt.rooms r
		WHERE last_seq <> (SELECT count(*) FROM rt_private.history m WHERE m.room_id = r.id)
		OR last_seq <> (SELECT coalesce(max(seq), 0) FROM rt_private.history m WHERE m.room_id = r.id)}),
		'0', "$name: no number was left out");
}

sub positions_are_gapless
{
	my ($name) = @_;
	is($cluster->sql('SELECT count(*) - (max(pos) - min(pos) + 1) FROM rt.events'), '0', "$name: positions are gapless");
}

# Sends messages, each in a transaction of its own.
sub send_some
{
	my ($count, $content) = @_;
	return "DO \$\$ BEGIN PERFORM set_config('synchronous_commit', 'off', false); FOR i IN 1 .. $count LOOP "
		. "INSERT INTO rt.messages (room_id, sender_id, content) VALUES (i % 4 + 1, 'ann', $content); COMMIT; END LOOP; END \$\$";
}

# psql sessions that send until the server ends them; each makes sure that it has begun.
sub start_writers
{
	my ($count) = @_;
	my @writers = map { $cluster->psql_start } 1 .. $count;
	for my $writer (@writers)
	{
		print { $writer->{in} } send_some(1_000_000, q{'load ' || i}) . ";\n";
	}
	my $before = $cluster->sql('SELECT sum(last_seq) FROM rt.rooms');
	$cluster->poll_sql("SELECT sum(last_seq) > $before + 500 FROM rt.rooms", 't', 'writers are at work');
	return @writers;
}

sub finish_writers { $_->{finish}->() for @_; }

$cluster->sql(q{INSERT INTO rt.users (id, username, name) VALUES ('ann', 'ann', 'Ann');
	INSERT INTO rt.rooms (id, name) OVERRIDING SYSTEM VALUE SELECT n, 'room ' || n FROM generate_series(1, 4) n});
$cluster->poll_sql('SELECT pid IS NOT NULL FROM rt.stat_relay', 't', 'the relay runs');

# ---- the ring is full ----------------------------------------------------------

{
	my $pid = relay();
	my $first = $cluster->sql('SELECT max(pos) FROM rt.events') || 0;
	my $listener = $cluster->psql_start;
	print { $listener->{in} } "LISTEN rt_events;\n";
	kill 'STOP', $pid;
	my $begun = time;
	$cluster->sql(send_some(10_000, q{'message ' || i}));
	$cluster->sql(q{UPDATE rt.messages SET content = 'changed' WHERE room_id = 1 AND seq = 1;
		DELETE FROM rt.messages WHERE room_id = 2 AND seq = 1});
	cmp_ok(time - $begun, '<', 120, 'nobody waits for a relay that stands still');
	is($cluster->sql('SELECT count(*) > 9000 FROM rt.messages'), 't', 'the messages are there');
	kill 'CONT', $pid;
	log_is_complete('full ring');
	positions_are_gapless('full ring');
	cmp_ok($cluster->sql('SELECT lost FROM rt.stat_relay'), '>', 0, 'transactions did find the ring full');
	is($cluster->sql(q{SELECT string_agg(event || ' ' || room_id || '-' || seq, ', ' ORDER BY pos) FROM rt.events
		WHERE event IN ('chat-message-edited', 'chat-message-deleted')}),
		'chat-message-edited 1-1, chat-message-deleted 2-1', 'an edit and a deletion that found no place are logged too');
	is($cluster->sql(q{SELECT p::json->'data'->>'newContent' FROM (SELECT rt_private.event_text(e) AS p FROM rt.events e
		WHERE event = 'chat-message-edited') t}), 'changed', 'with the new content');

	# psql shows what it was notified of after each command.
	my $last = $cluster->sql('SELECT max(pos) FROM rt.events');
	wait_until(
		sub {
			print { $listener->{in} } "SELECT;\n";
			return $listener->{read}->() =~ /"offset":"$last"/;
		},
		'a listener is told of the last event');
	$listener->{finish}->();
	my @offsets = $listener->{read}->() =~ /"offset":"(\d+)"/g;
	is_deeply(\@offsets, [ sort { $a <=> $b } @offsets ], 'notifications come in the order of their positions');
	is(scalar(@offsets), $last - $first, 'and all of them');

	my $lost = $cluster->sql('SELECT lost FROM rt.stat_relay');
	$cluster->sql(q{INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'afterwards')});
	log_is_complete('afterwards');
	is($cluster->sql('SELECT lost FROM rt.stat_relay'), $lost, 'the ring takes events again');
}

# One transaction that is larger than the ring: other events than messages do not fit in.
{
	$cluster->sql(q{BEGIN;
		INSERT INTO rt.messages (room_id, sender_id, content) SELECT 3, 'ann', repeat('x', 500) FROM generate_series(1, 2000);
		SELECT rt_private.emit('big', '{"room":"3"}', json_build_object('x', repeat('x', 1000))) FROM generate_series(1, 100);
		INSERT INTO rt.messages (room_id, sender_id, content) VALUES (3, 'ann', 'the end');
		COMMIT});
	log_is_complete('a transaction larger than the ring');
}

# ---- a commit that fails at the last moment -----------------------------------------------

{
	$cluster->sql('CREATE TABLE skew (n int)');
	my @sessions = map { $cluster->psql_start } 1 .. 2;
	for my $i (0, 1)
	{
		print { $sessions[$i]{in} } "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM skew;\n"
			. "INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($i + 1, 'ann', 'skewed');\n"
			. "INSERT INTO skew VALUES ($i); SELECT 'written';\n";
		wait_until(sub { $sessions[$i]{read}->() =~ /written/ }, 'a serializable transaction has written');
	}
	print { $_->{in} } "COMMIT;\n" for @sessions;
	$_->{finish}->() for @sessions;
	like($sessions[0]{read}->() . $sessions[1]{read}->(), qr/during commit attempt/, 'one of two fails as it commits');
	$cluster->sql(q{INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'next')});
	log_is_complete('failed commit');
}

# ---- what a notification can hold ------------------------------------------------------------

{
	my $listener = $cluster->psql_start;
	print { $listener->{in} } "LISTEN rt_events; SELECT 'listening';\n";
	wait_until(sub { $listener->{read}->() =~ /listening/ }, 'somebody listens');
	my $seq = $cluster->sql(q{INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', repeat('long ', 5000)) RETURNING seq});
	$cluster->sql(q{SELECT rt_private.emit('secret', '{"users": ["ann"], "private" : true}', '{"what": "hidden"}')});
	$cluster->sql(q{SELECT rt_private.emit('widespread', json_build_object('users', (SELECT json_agg('user ' || n) FROM generate_series(1, 2000) n)),
		'{"soft": "state"}', false)});
	$cluster->sql(q{SELECT rt_private.emit('last-one', '{"gateway":true}', '{}', false)});
	wait_until(sub { print { $listener->{in} } "SELECT;\n"; return $listener->{read}->() =~ /last-one/ }, 'the notifications have come');
	$listener->{finish}->();
	my $got = $listener->{read}->();
	like($got, qr/\{"event":"new-chat-message","offset":"\d+","route":\{"room":"1"\},"roomId":"1","seq":$seq,"truncated":true\}/,
		'a long message goes by reference');
	like($got, qr/\{"event":"secret","offset":"\d+","route":\{"users": \["ann"\], "private" : true\},"truncated":true\}/,
		'what is private goes without its payload');
	unlike($got, qr/hidden/, 'which is not notified at all');
	like($got, qr/\{"event":"widespread","offset":"\d+","route":\{"truncated":true\},"truncated":true\}/, 'so does a long route');
	like($got, qr/\{"event":"last-one","route":\{"gateway":true\}\}/, 'soft state has no position');
	is($cluster->sql(q{SELECT bool_and(length(rt_private.event_text(e)) > 7900 OR payload ~ 'hidden') FROM
		(SELECT * FROM rt.events ORDER BY pos DESC LIMIT 3) e}), 't', 'the log has them in full');
	positions_are_gapless('long events');
}

# ---- many writers ----------------------------------------------------------------

{
	my @writers = map { $cluster->psql_start } 1 .. 8;
	print { $_->{in} } send_some(500, q{'writer ' || pg_backend_pid()}) . ";\n" for @writers;
	is(scalar(grep { $_->{finish}->() != 0 } @writers), 0, 'eight writers to four rooms');
	log_is_complete('eight writers');
	positions_are_gapless('eight writers');
}

# ---- the relay ends, and is started again -------------------------------------------

{
	my $pid = relay();
	kill 'TERM', $pid;
	$cluster->sql(send_some(200, q{'meanwhile'}));
	wait_until(sub { !process_is_alive($pid) }, 'a relay that is told to ends');
	$cluster->poll_sql("SELECT pid IS NOT NULL AND pid <> $pid FROM rt.stat_relay", 't', 'another one comes');
	log_is_complete('relay ended');
	positions_are_gapless('relay ended');
}

# ---- its tables are locked ------------------------------------------------------------

{
	my $locker = $cluster->psql_start;
	print { $locker->{in} } "BEGIN; LOCK TABLE rt.events;\nSELECT 'locked';\n";
	wait_until(sub { $locker->{read}->() =~ /locked/ }, 'the log is locked');
	$cluster->sql(send_some(20, q{'behind the lock'}));
	wait_until(sub { $cluster->log =~ /rt relay: canceling statement due to lock timeout/ }, 'the relay does not wait long');
	print { $locker->{in} } "COMMIT;\n";
	$locker->{finish}->();
	log_is_complete('lock');
	positions_are_gapless('lock');
}

# ---- the server crashes -----------------------------------------------------------------

{
	my $last = $cluster->sql('SELECT max(pos) FROM rt.events');
	my @writers = start_writers(4);
	my $pid = relay();
	kill 'KILL', $pid;
	finish_writers(@writers);
	$cluster->poll_sql("SELECT pid IS NOT NULL AND pid <> $pid FROM rt.stat_relay", 't', 'after a kill of the relay all is up again');
	log_is_complete('killed relay');
	cmp_ok($cluster->sql('SELECT rescued FROM rt.stat_relay'), '>', 0, 'the end of the log was lost, and found in the tables');
	is($cluster->sql("SELECT count(*) FROM rt.events WHERE pos <= $last"), $last - $cluster->sql('SELECT min(pos) FROM rt.events') + 1,
		'what was logged before is still there');

	# What was given out and lost is not given out again: somebody may have seen it.
	my ($end) = $cluster->sql('SELECT last_pos FROM rt.stat_relay');
	is($cluster->sql("SELECT (rt_api.events_since(NULL, '{\"pos\":\"0\"}')->>'last')::bigint = $end"), 't', 'events_since knows the last position');

	@writers = start_writers(4);
	my (undef, $err, $status) = $cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-m', 'immediate', '-w', 'stop');
	is($status, 0, 'an immediate stop under load') || diag($err);
	finish_writers(@writers);
	(undef, $err, $status) =
		$cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-l', $cluster->dir . '/server.log', '-w', 'start');
	is($status, 0, 'a start') || diag($err);
	$cluster->poll_sql('SELECT pid IS NOT NULL FROM rt.stat_relay', 't', 'the relay runs');
	log_is_complete('crashed server');
}

# An orderly restart goes on where it was.
{
	my $before = $cluster->sql('SELECT last_pos FROM rt.stat_relay');
	my (undef, $err, $status) =
		$cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-l', $cluster->dir . '/server.log', '-m', 'fast', '-w', 'restart');
	is($status, 0, 'a restart') || diag($err);
	$cluster->sql(q{INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'after the restart')});
	$cluster->poll_sql('SELECT max(pos) FROM rt.events', $before + 1, 'positions go on without a gap');
	log_is_complete('restarted server');
}

# ---- what is too old goes -------------------------------------------------------------------

{
	$cluster->sql(q{INSERT INTO rt.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (9, 'old');
		INSERT INTO rt.messages (room_id, sender_id, content, created_at) SELECT 9, 'ann', 'old', now() - interval '2 days' FROM generate_series(1, 2500);
		INSERT INTO rt.messages (room_id, sender_id, content, reply_to) VALUES (9, 'ann', 'answer', 2000)});
	$cluster->sql(q{UPDATE rt.messages SET content = 'said again' WHERE room_id = 9 AND seq = 2501});
	relay_is_done('old messages');
	my $last = $cluster->sql('SELECT max(pos) FROM rt.events');
	$cluster->sql(q{ALTER SYSTEM SET rt.retain_messages = '1 d'});
	$cluster->sql('SELECT pg_reload_conf()');
	$cluster->poll_sql(q{SELECT string_agg(seq || ' ' || content || ' ' || coalesce(reply_to::text, '-'), ', ') FROM rt.messages WHERE room_id = 9},
		'2501 said again -', 'messages older than rt.retain_messages are removed');
	is($cluster->sql('SELECT max(pos) FROM rt.events'), $last, 'without an event');
	is($cluster->sql(q{SELECT count(*) FROM json_array_elements_text(rt_api.events_since(NULL, jsonb_build_object('pos', }
			. "($last - 1003)::text, 'limit', 1000)) -> 'events') e WHERE (e::json ->> 'event') = 'rt:gone'"), '1000',
		'their events keep their positions');
	$cluster->sql(q{ALTER SYSTEM RESET rt.retain_messages});

	$cluster->sql(q{CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$not this one$$; END';
		CREATE TRIGGER keep BEFORE DELETE ON rt.events FOR EACH STATEMENT EXECUTE FUNCTION keep()});
	$cluster->sql(q{UPDATE rt.audit SET at = now() - interval '3 days' WHERE action = 'user-created'});
	my $kept = $cluster->sql(q{SELECT count(*) FROM rt.audit WHERE at > now() - interval '1 day'});
	$cluster->sql(q{ALTER SYSTEM SET rt.retain_audit = '2 d'});
	$cluster->sql('SELECT pg_reload_conf()');
	$cluster->poll_sql(q{SELECT count(*) FROM rt.audit WHERE action = 'user-created'}, '0', 'what is older than rt.retain_audit is removed');
	is($cluster->sql('SELECT count(*) FROM rt.audit'), $kept, 'and nothing else');
	wait_until(sub { $cluster->log =~ /rt relay: not this one/ }, 'while what keeps events from being removed is told');
	$cluster->sql('DROP FUNCTION keep CASCADE');
	$cluster->sql(q{ALTER SYSTEM RESET rt.retain_audit});

	my $before = $cluster->sql('SELECT count(*) FROM rt.events');
	$cluster->sql(q{UPDATE rt.events SET at = at - interval '1 day' WHERE pos <= (SELECT min(pos) + 99 FROM rt.events)});
	$cluster->sql('SELECT pg_reload_conf()');
	$cluster->poll_sql('SELECT count(*) FROM rt.events', $before - 100, 'events older than rt.recovery_window are removed');
	$cluster->sql(q{UPDATE rt.events SET at = at - interval '1 day'});
	$cluster->sql('SELECT pg_reload_conf()');
	$cluster->poll_sql('SELECT count(*) FROM rt.events', 0, 'all of them');
	$cluster->sql(q{INSERT INTO rt.messages (room_id, sender_id, content) VALUES (9, 'ann', 'new')});
	$cluster->poll_sql('SELECT max(pos) FROM rt.events', $last + 1, 'and positions still go on');
}

# ---- too many databases ---------------------------------------------------------------------

{
	$cluster->sql('CREATE DATABASE second', dbname => 'postgres');
	my (undef, $err, $status) = $cluster->try_sql('CREATE EXTENSION rt CASCADE', dbname => 'second');
	is($status, 0, 'one database more than rt.max_databases takes the extension');
	like($err, qr/WARNING:  rt does not serve this database.*HINT:.*rt\.max_databases/s, 'and is told that it is not served');
	(undef, $err, $status) = $cluster->try_sql(q{SELECT rt.create_user('ann', 'Ann'); SELECT rt.create_room('r', ARRAY['ann']);
		INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'x')}, dbname => 'second');
	is($status, 0, 'it stores what is written') || diag($err);
	is(() = $err =~ /WARNING:  rt does not serve this database/g, 1, 'with a warning, once');
	is($cluster->sql('SELECT count(*) FROM rt.messages', dbname => 'second'), 1, 'the rows are there');
}

$cluster->stop;

# ---- a server that does not preload it ------------------------------------------------------

my $bare = RtTest->start(preload => 0, settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0 }, may_fail => 1);
SKIP:
{
	skip('a server without rt does not start: ' . ($@ // ''), 1) unless $bare;
	my ($out, $err) = $bare->try_sql(q{CREATE EXTENSION IF NOT EXISTS rt CASCADE; SELECT rt_private.emit('x', '{}', '{}')});
	like($err, qr/rt is not loaded.*HINT:  Add "rt" to shared_preload_libraries/s, 'an event is dropped with a warning');
	$bare->stop;
}

done_testing();
