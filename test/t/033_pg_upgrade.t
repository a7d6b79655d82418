# pg_upgrade and pg_dump bring a database of rt to another server.  RT_OLD_PG_CONFIG is the pg_config of the one to come from
# (test/versions --upgrade); "pg_config" stays at the same release.
use strict;
use warnings;

use Cwd qw(getcwd);
use File::Basename qw(dirname);
use JSON::PP;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtCatalog;
use RtTest;

my $old_config = $ENV{RT_OLD_PG_CONFIG} or plan skip_all => 'RT_OLD_PG_CONFIG names no server to come from';
chomp(my $old_bin = `$old_config --bindir`);
chomp(my $new_bin = `pg_config --bindir`);

# The programs of the old server may lack their libraries here.
$ENV{PG_CONFIG} = $old_config;
my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0, jit => 'off' });
diag('from ' . $cluster->sql('SHOW server_version'));
$cluster->sql(<<'END');
SELECT rt.create_user('ann', 'Ann', 'secret'), rt.create_user('bob', 'Bob');
SELECT rt.create_room('Team', ARRAY['ann', 'bob']), rt.create_direct_room('ann', 'bob');
INSERT INTO rt.messages (room_id, sender_id, content) SELECT 1, 'ann', 'message ' || i FROM generate_series(1, 50) i;
UPDATE rt.messages SET content = 'edited' WHERE room_id = 1 AND seq = 3;
DELETE FROM rt.messages WHERE room_id = 1 AND seq = 4;
SELECT rt.mark_seen(1, 'bob', ARRAY[1, 2, 3]::bigint[]);
SELECT rt.create_meeting('Standup', host => 'ann', room => 1, password => 'pw');
END
my $token = $cluster->sql("SELECT rt.issue_token('ann')");
my $everything = join(' UNION ALL ', map { "SELECT '$_', t::text FROM $_ AS t" }
	  qw(rt.users rt.rooms rt.room_members rt.messages rt.receipts rt.meetings)) . ' ORDER BY 1, 2';
my $before = $cluster->sql($everything);
my $position = $cluster->sql('SELECT max(pos) FROM rt.events');
my $dump = $cluster->dir . '/dump';
my (undef, $err, $status) = run_command("$new_bin/pg_dump", '-h', $cluster->host, '-p', $cluster->port, '-U', 'postgres', '-Fc', '-f', $dump, 'rt');
is($status, 0, 'the new pg_dump reads the old server') || diag($err);
ok($cluster->stop, 'the old server stops');
delete $ENV{PG_CONFIG};

# ---- pg_upgrade -------------------------------------------------------------------

sub as_server
{
	my @command = @_;
	unshift @command, 'runuser', '-u', 'postgres', '--' if $> == 0;
	return run_command(@command);
}

# A stopped cluster's folder is closed to the server's user again.
chmod 0711, dirname($cluster->dir) or die $!;
my ($old, $new) = ($cluster->dir . '/old', $cluster->data_dir);
rename $new, $old or die $!;
(undef, $err, $status) = as_server("$new_bin/initdb", '-D', $new, '-U', 'postgres', '-A', 'trust', '--locale=C.UTF-8', '-E', 'UTF8', '--data-checksums', '--no-sync');
is($status, 0, 'initdb') || die $err;
as_server('cp', "$old/pg_hba.conf", $new);
as_server('sh', '-c', qq{printf '%s\\n' "include_if_exists = 'rt-cluster.conf'" "shared_preload_libraries = 'rt'" >> "$new/postgresql.conf"});
my $origin = getcwd();
chdir $cluster->dir or die $!;
(my $out, $err, $status) = as_server("$new_bin/pg_upgrade", '-b', $old_bin, '-B', $new_bin, '-d', $old, '-D', $new, '-U', 'postgres', '-p', $cluster->port, '-P', $cluster->port);
chdir $origin or die $!;
is($status, 0, 'pg_upgrade') || die $out, $err;

$cluster->{option}{settings} = {};
is($cluster->launch, undef, 'the new server starts, and the gateway serves');
diag('to ' . $cluster->sql('SHOW server_version'));
is($cluster->sql($everything), $before, 'every row is there, as it was');
cmp_ok($cluster->sql('SELECT max(pos) FROM rt.events'), '>=', $position, 'the event log goes on');

sub goes_on
{
	my ($dbname) = @_;
	is($cluster->sql("SELECT rt.send_message(1, 'bob', 'next')", dbname => $dbname), 51, 'the room goes on with its next number');
	is($cluster->sql("SELECT rt.create_room('New', ARRAY['ann'])", dbname => $dbname), 3, 'and rooms with theirs');
	is($cluster->sql("SELECT rt.verify_token('$token')", dbname => $dbname), 'ann', 'a token of before is good');
}

goes_on('rt');
my $answer = $cluster->http('GET', '/api/chat/rooms/1/msgs?limit=1', headers => { Authorization => "Bearer $token" });
is($answer->{status}, 200, 'the gateway takes the token') || diag($answer->{content});
is(decode_json($answer->{content})->{data}[0]{content}, 'next', 'and shows the newest message');

$cluster->sql('CREATE DATABASE fresh', dbname => 'postgres');
$cluster->sql('SET client_min_messages = warning; CREATE EXTENSION rt CASCADE', dbname => 'fresh');
# pg_upgrade makes expressions anew from their text, so that they look different; it loses which constraint triggers are
# disabled, and some of what the rights were at first.
sub facts { return map { tr/()//dr } grep { !/^(?:constraint trigger|initial rights|rule) / } RtCatalog::lines($cluster, $_[0]); }
my @differences = RtCatalog::differences([ facts('fresh') ], [ facts('rt') ]);
is(scalar @differences, 0, 'the catalog is that of a fresh install') || diag(join("\n", map { tr/\x01/\n/r } @differences));

# ---- pg_dump ------------------------------------------------------------------------

$cluster->sql('CREATE DATABASE copy', dbname => 'postgres');
(undef, $err, $status) = run_command("$new_bin/pg_restore", '-h', $cluster->host, '-p', $cluster->port, '-U', 'postgres', '-d', 'copy', '--exit-on-error', $dump);
is($status, 0, 'the dump of the old server is restored') || diag($err);
is($cluster->sql($everything, dbname => 'copy'), $before, 'with every row as it was');
goes_on('copy');

done_testing();
