# A transaction that holds rooms for long keeps nobody else from reading, or from sending to other rooms.
use strict;
use warnings;

use File::Basename qw(dirname);
use JSON::PP;
use List::Util qw(max);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.media_workers' => 0, 'rt.max_relay_wait' => '2s', 'max_prepared_transactions' => 2 });
$cluster->sql(q{SELECT rt.create_user(u, u) FROM unnest(ARRAY['ann', 'bob', 'cat']) AS u});
$cluster->sql(q{SELECT rt.create_room('r' || i, ARRAY['ann', 'bob', 'cat']) FROM generate_series(1, 8) i});
my %token = map { $_ => $cluster->sql("SELECT rt.issue_token('$_')") } qw(ann bob cat);

sub rest
{
	my ($user, $method, $path, $content) = @_;
	my $begun = time;
	my $answer = $cluster->http($method, $path, headers => { authorization => "Bearer $token{$user}", 'content-type' => 'application/json' },
		$content ? (content => $content) : ());
	return ($answer->{status}, time - $begun);
}

sub metric { my ($name) = @_; return $cluster->http('GET', '/metrics')->{content} =~ /^\Q$name\E\S* ([\d.]+)/m ? $1 : undef; }

wait_until(sub { (rest('cat', 'GET', '/api/chat/rooms'))[0] == 200 }, 'the gateway serves');
rest($_, 'POST', '/api/chat/rooms/7/msgs', '{"content":"first"}') for qw(ann bob cat);

my $holder = $cluster->psql_start;
print { $holder->{in} } "BEGIN; INSERT INTO rt.messages (room_id, sender_id, content) SELECT id, 'ann', 'x' FROM rt.rooms WHERE id <= 6; SELECT 'held';\n";
wait_until(sub { $holder->{read}->() =~ /held/ }, 'six rooms are held');
my $pid = $cluster->sql("SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction' AND query ~ 'held'");
is($cluster->sql('SELECT count(*), min(holder_pid), max(holder_pid) FROM rt.stat_rooms WHERE holder_pid IS NOT NULL'), "6|$pid|$pid",
	'rt.stat_rooms names who holds them');
is($cluster->sql("SELECT holder_query, holder_since < now() FROM rt.stat_rooms WHERE room_id = 6"), "SELECT 'held';|t", 'and what it did last');
is($cluster->sql('SELECT holder_pid FROM rt.stat_rooms WHERE room_id = 7'), '', 'nobody holds another room');

# Each by a process of its own, since the answers take long; its exit status is 0 if the message was stored.
sub senders
{
	my ($content, @users) = @_;
	my @pids;
	for my $user (@users)
	{
		for my $room (1 .. 6)
		{
			my $pid = fork // die $!;
			if ($pid == 0)
			{
				my ($status) = rest($user, 'POST', "/api/chat/rooms/$room/msgs", qq({"content":"$content"}));
				POSIX::_exit($status == 201 ? 0 : 1);
			}
			push @pids, $pid;
		}
	}
	return @pids;
}

sub refused
{
	return scalar grep { waitpid($_, 0); $? != 0 } @_;
}

# Two users send to all six.
my @senders = senders('waits', 'ann', 'bob');
$cluster->poll_sql(q{SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'rt_gateway' AND wait_event_type = 'Lock'}, 't', 'sends wait for the rooms');
my ($slowest_read, $slowest_send, $failed) = (0, 0, 0);
my $prompt = 2;
for (1 .. 20)
{
	my ($status, $took) = rest('cat', 'GET', '/api/chat/rooms/8/msgs');
	$failed++ if $status != 200;
	$slowest_read = $took if $took > $slowest_read;
	($status, $took) = rest('cat', 'POST', '/api/chat/rooms/7/msgs', '{"content":"goes"}');
	$failed++ if $status != 201;
	$slowest_send = $took if $took > $slowest_send;
	$prompt = max($prompt, on_this_machine(2)) if max($slowest_read, $slowest_send) >= $prompt;
}
ok(wait_for(sub { $cluster->log =~ /LOG:  process $pid has held 6 rooms since .*\n.*Rooms: 1, 2, 3, 4, 5, 6. Last statement: SELECT 'held';/ }),
	'after a while the log names it');
note("reads $slowest_read s, sends $slowest_send s");
is($failed, 0, 'others are served meanwhile');
cmp_ok($slowest_read, '<', $prompt, 'they read without waiting');
cmp_ok($slowest_send, '<', $prompt, 'and send to other rooms');
$cluster->poll_sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rt supervisor' AND state = 'idle'", 1, 'the supervisor holds nothing open');
my $told = () = $cluster->log =~ /has held \d+ rooms/g;
is($told, 1, 'once');
print { $holder->{in} } "COMMIT;\n";
is(refused(@senders), 0, 'the sends that waited go through when the rooms are free');
is($cluster->sql(q{SELECT count(*) FROM rt.messages WHERE content = 'waits'}), 12, 'once each');
$holder->{finish}->();

# Held for longer than a send waits: later ones take half of the connections at the most.
$holder = $cluster->psql_start;
print { $holder->{in} } "BEGIN; SELECT id FROM rt.rooms WHERE id <= 6 FOR UPDATE; SELECT 'held again';\n";
wait_until(sub { $holder->{read}->() =~ /held again/ }, 'six rooms are held again');
is(refused(senders('in vain', 'bob')), 6, 'what waits in vain is refused');
my $half = $cluster->sql('SHOW rt.db_connections') / 2;
@senders = senders('waits again', 'ann', 'bob');
my @waiting;
wait_until(sub {
	push @waiting, $cluster->sql(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'rt_gateway' AND wait_event_type = 'Lock'});
	return 5 <= grep { $_ > 0 } @waiting;
}, 'sends have waited for a while');
cmp_ok((sort { $b <=> $a } @waiting)[0], '<=', $half, 'and keep no more connections than they may');
print { $holder->{in} } "COMMIT;\n";
is(refused(@senders), 0, 'these go through as well');
$holder->{finish}->();

# Held by a prepared transaction: it has no session, and is named by its identifier.  A subtransaction has written.
$cluster->sql("SET rt.suppress_events = on; BEGIN; SAVEPOINT a; INSERT INTO rt.messages (room_id, sender_id, content) SELECT id, 'ann', 'x' FROM rt.rooms WHERE id <= 2; RELEASE a;"
	. " PREPARE TRANSACTION 'o''clock'");
is($cluster->sql('SELECT room_id, holder_pid IS NULL, holder_query, holder_since < now() FROM rt.stat_rooms WHERE holder_query IS NOT NULL ORDER BY 1'),
	"1|t|PREPARE TRANSACTION 'o''clock'|t\n2|t|PREPARE TRANSACTION 'o''clock'|t", 'rt.stat_rooms names a prepared transaction');
ok(wait_for(sub { $cluster->log =~ /LOG:  a prepared transaction has held 2 rooms since .*: nobody else can send there\n.*Rooms: 1, 2. It is PREPARE TRANSACTION 'o''clock'\./ }),
	'so does the log');
my $vain = $cluster->http('POST', '/api/chat/rooms/1/msgs', headers => { authorization => "Bearer $token{bob}", 'content-type' => 'application/json' },
	content => '{"content":"in vain"}');
is($vain->{status}, 503, 'a send there is refused');
like($vain->{content}, qr/Another transaction has locked it/, 'which says why');
$cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-l', $cluster->dir . '/server.log', '-m', 'fast', '-w', 'restart');
is($cluster->sql('SELECT count(*), min(holder_query) FROM rt.stat_rooms WHERE holder_query IS NOT NULL'), "2|PREPARE TRANSACTION 'o''clock'",
	'it is named after a restart, too');
$cluster->sql("ROLLBACK PREPARED 'o''clock'");
is($cluster->sql('SELECT count(*) FROM rt.stat_rooms WHERE holder_query IS NOT NULL'), 0, 'until it ends');
wait_until(sub { (rest('bob', 'POST', '/api/chat/rooms/1/msgs', '{"content":"free"}'))[0] == 201 }, 'a send goes through again');

# ---- tables -------------------------------------------------------------------------------

# One has a table, another waits behind a reader and so keeps later ones waiting.
for my $table (qw(rt.rooms rt.messages))
{
	my $locker = $cluster->psql_start;
	print { $locker->{in} } "BEGIN; LOCK TABLE $table; SELECT 'locked';\n";
	wait_until(sub { $locker->{read}->() =~ /locked/ }, "$table is locked");
	my $locker_pid = $cluster->sql("SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction' AND query ~ 'locked'");
	ok(wait_for(sub { $cluster->log =~ /LOG:  process $locker_pid has locked \Q$table\E since .*: others wait\n.*Last statement: SELECT 'locked';/ }),
		'the log names who has it');
	is($cluster->sql(q{SELECT pid, table_name, mode, granted, since < now(), query FROM rt.stat_locks}), "$locker_pid|$table|AccessExclusiveLock|t|t|SELECT 'locked';",
		'so does rt.stat_locks');
	wait_until(sub { (metric('rt_table_lock_seconds') // 0) > 2 && metric('rt_locked_tables') == 1 }, 'and /metrics has its age');
	wait_until(sub { $cluster->http('GET', '/readyz')->{content} =~ /a session has locked a table/ }, '/readyz says so');
	$locker->{finish}->();
}

# A prepared transaction has no session: it is named by its identifier.
$cluster->sql("BEGIN; SAVEPOINT a; CREATE TABLE app (); RELEASE a; LOCK TABLE rt.rooms; PREPARE TRANSACTION 'probe'");
is($cluster->sql(q{SELECT pid IS NULL, table_name, since < now(), query FROM rt.stat_locks}), "t|rt.rooms|t|PREPARE TRANSACTION 'probe'",
	'rt.stat_locks names a prepared transaction');
ok(wait_for(sub { $cluster->log =~ /LOG:  a prepared transaction has locked rt.rooms since .*: others wait\n.*It is PREPARE TRANSACTION 'probe'/ }), 'so does the log');
wait_until(sub { (metric('rt_table_lock_seconds') // 0) > 2 && metric('rt_locked_tables') == 1 }, '/metrics has its age');
wait_until(sub { $cluster->http('GET', '/readyz')->{content} =~ /a session has locked a table/ }, '/readyz says so');
$cluster->sql("ROLLBACK PREPARED 'probe'");

my $reader = $cluster->psql_start;
print { $reader->{in} } "BEGIN; SELECT count(*) AS seen FROM rt.messages; SELECT 'read';\n";
wait_until(sub { $reader->{read}->() =~ /read/ }, 'somebody has read');
my $reader_pid = $cluster->sql("SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction' AND query ~ 'read'");
my $alter = $cluster->psql_start;
print { $alter->{in} } "BEGIN; ALTER TABLE rt.messages ADD CONSTRAINT probe CHECK (true) NOT VALID; ROLLBACK;\n";
ok(wait_for(sub { $cluster->log =~ /LOG:  process \d+ has waited to lock rt.messages since .*: others wait behind it\n.*It waits for process $reader_pid. Statement: ALTER TABLE/ }),
	'the log names who waits for a table, and for whom');
is($cluster->sql(q{SELECT granted, blocked_by::text, query LIKE 'ALTER TABLE%' FROM rt.stat_locks}), "f|{$reader_pid}|t", 'so does rt.stat_locks');
$reader->{finish}->();
$alter->{finish}->();
ok(wait_for(sub { (rest('bob', 'POST', '/api/chat/rooms/8/msgs', '{"content":"after"}'))[0] == 201 }), 'all goes on afterwards');
wait_until(sub { $cluster->is_ready && metric('rt_locked_tables') == 0 }, 'and /readyz is content');

# ---- the programs' environment ---------------------------------------------------------

for my $program (qw(gateway))
{
	my @names = map { /^([^=]+)=/ } split /\0/, slurp('/proc/' . $cluster->pid($program) . '/environ');
	is(join(' ', grep { !/^(?:LANG|LC_\w+|TZ)$/ } @names), '', "the $program has nothing of the server's environment");
}

done_testing();
