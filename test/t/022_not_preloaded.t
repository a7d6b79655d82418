# A server that does not preload rt: what works there, and what says what to do.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(preload => 0);

my $WARNING = qr/WARNING:  rt is not loaded: clients are not notified of this session's changes\s+HINT:  Add "rt" to shared_preload_libraries and restart the server\./;

is($cluster->sql("SELECT extname FROM pg_extension WHERE extname = 'rt'"), 'rt', 'the extension can be created');
is($cluster->pid('gateway'), 0, 'no gateway runs');
is($cluster->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'rt %'"), 0, 'nor any worker');
is($cluster->sql("SELECT rt.create_user('ann', 'Ann', 'secret')"), 'ann', 'users can be created');
is($cluster->sql("SELECT rt.verify_token(rt.issue_token('ann'))"), 'ann', 'tokens can be issued');
isnt($cluster->sql('SELECT rt.rotate_key()'), '', 'keys can be rotated');
is($cluster->sql('SELECT count(*) FROM rt.stat_programs'), 0, 'rt.stat_programs is empty');
my (undef, $warnings, $failed) = $cluster->try_sql(q{
	SELECT rt.create_room('r', ARRAY['ann']);
	INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'one'), (1, 'ann', 'two'), (1, 'ann', 'three');
	UPDATE rt.messages SET content = 'ONE' WHERE seq = 1;
	DELETE FROM rt.messages WHERE seq = 2});
is($failed, 0, 'what is written is stored') || diag($warnings);
like($warnings, $WARNING, 'and the session is told that nobody hears of it');
is(() = $warnings =~ /WARNING/g, 1, 'once');
is($cluster->sql('SELECT string_agg(seq || content, $$ $$ ORDER BY seq) FROM rt.messages'), '1ONE 3three', 'messages');
is($cluster->sql('SELECT count(*) FROM rt.room_members'), 1, 'and members');

# Each kind of statement as the first one of a session, which has not loaded the library by then.
for my $first (q{INSERT INTO rt.room_members (room_id, user_id) SELECT 1, rt.create_user('bob', 'Bob')}, q{UPDATE rt.messages SET content = 'III' WHERE seq = 3},
	q{DELETE FROM rt.messages WHERE seq = 3}, q{INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (1, 1, 'ann', 'x')}, q{DELETE FROM rt.reactions},
	q{DELETE FROM rt.room_members WHERE user_id = 'bob'}, q{SELECT rt.create_meeting('m', host => 'ann')}, q{DELETE FROM rt.rooms})
{
	my (undef, $err, $status) = $cluster->try_sql($first);
	is($status, 0, $first) || diag($err);
}

# A restore that has the extension made in it.
{
	my $other = RtTest->start(settings => { 'rt.media_workers' => 0 });
	$other->write_sample(30);
	my $tables = join(' UNION ALL ', map { "SELECT '$_', t::text FROM $_ AS t" } qw(rt.users rt.rooms rt.room_members rt.messages rt.deleted_messages
		rt.reactions rt.receipts rt.presence rt.meetings)) . ' ORDER BY 1, 2';
	my $expected = $other->sql($tables);
	my $file = $other->dir . '/dump';
	my (undef, $err, $status) = $other->server_command('pg_dump', '-h', $other->host, '-p', $other->port, '-U', 'postgres', '-Fc', '-f', $file, 'rt');
	is($status, 0, 'a dump of a server that serves') || diag($err);
	$cluster->sql('CREATE DATABASE restored', dbname => 'postgres');
	(undef, $err, $status) = $cluster->server_command('pg_restore', '-h', $cluster->host, '-p', $cluster->port, '-U', 'postgres', '--exit-on-error', '-d', 'restored', $file);
	is($status, 0, 'is restored') || diag($err);
	is($cluster->sql($tables, dbname => 'restored'), $expected, 'whole');
	$cluster->sql('DROP DATABASE restored', dbname => 'postgres');
}

$cluster->sql('DROP EXTENSION rt');
is($cluster->sql("SELECT count(*) FROM pg_extension WHERE extname = 'rt'"), 0, 'the extension can be dropped');
like(($cluster->try_sql('CREATE EXTENSION rt'))[1], $WARNING, 'CREATE EXTENSION says that the library is not loaded');

# With the library preloaded it is served.
$cluster->sql("ALTER SYSTEM SET shared_preload_libraries = 'rt'");
my (undef, $err, $status) =
  $cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-l', $cluster->dir . '/server.log', '-w', 'restart');
is($status, 0, 'after a restart') || diag($err);
wait_until(sub { $cluster->is_ready }, 'the gateway serves');

done_testing();
