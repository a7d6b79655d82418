# A dump holds all that users wrote; restored into another database, rooms go on with their next number and tokens of
# before are still good.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Temp;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use DocTest;
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0 });

$cluster->write_sample(50);
# A message that is deleted by UPDATE keeps its reactions.
$cluster->sql(q{INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (1, 6, 'bob', '👍')});
$cluster->sql('UPDATE rt.messages SET deleted_at = clock_timestamp() WHERE room_id = 1 AND seq = 6');
my $token = $cluster->sql("SELECT rt.issue_token('ann')");

# All rows of all tables that are the users', as one text.
my $everything = join(' UNION ALL ', map { "SELECT '$_', t::text FROM $_ AS t" }
	  qw(rt.users rt.rooms rt.room_members rt.messages rt.deleted_messages rt.reactions rt.receipts rt.meetings rt.audit rt_private.receipt_ranges)) . ' ORDER BY 1, 2';
my $before = $cluster->sql($everything);
like($before, qr/message 50/, 'there is something to dump');

my $file = File::Temp->new(SUFFIX => '.dump');
my $env = $cluster->env;
my @server = ('-h', $env->{PGHOST}, '-p', $env->{PGPORT}, '-U', 'postgres');
my (undef, $err, $status) = run_command('pg_dump', @server, '-Fc', '-f', "$file", 'rt');
is($status, 0, 'pg_dump') || diag($err);
$cluster->sql('CREATE DATABASE copy', dbname => 'postgres');
(undef, $err, $status) = run_command('pg_restore', @server, '-d', 'copy', '--exit-on-error', "$file");
is($status, 0, 'pg_restore') || diag($err);

is($cluster->sql($everything, dbname => 'copy'), $before, 'every row is there, as it was');
is($cluster->sql("SELECT rt.send_message(1, 'bob', 'next')", dbname => 'copy'), 52, 'the room goes on with its next number');
is($cluster->sql("SELECT rt.create_room('New', ARRAY['ann'])", dbname => 'copy'), 3, 'and rooms with theirs');
is($cluster->sql("SELECT rt.verify_token('$token')", dbname => 'copy'), 'ann', 'a token of before is good');
is($cluster->sql("SELECT count(*) FROM rt_private.password_matches('secret', (SELECT password_hash FROM rt.users WHERE id = 'ann')) AS ok WHERE ok", dbname => 'copy'),
	1, 'and so is the password');
is($cluster->sql("SELECT count(*) FROM rt_private.history h WHERE room_id = 1 AND seq <> 1 AND NOT EXISTS (SELECT FROM rt_private.history p WHERE p.room_id = 1 AND p.seq = h.seq - 1)", dbname => 'copy'),
	0, 'numbers have no hole');

# ---- the commands of docs/backup.md ----------------------------------------------

{
	my $work = File::Temp->newdir('rt-dump-XXXXXX', TMPDIR => 1);
	local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} = ($env->{PGHOST}, $env->{PGPORT}, 'postgres', 'rt');
	$cluster->sql('DROP DATABASE copy', dbname => 'postgres');
	my @blocks = grep { "$_->{kind} @{$_->{words}}" eq 'sh run dump' } DocTest::blocks('docs/backup.md');
	is(scalar(@blocks), 5, 'the page has commands');
	for my $block (@blocks)
	{
		(undef, $err, $status) = run_command('sh', '-ec', "cd $work\n$block->{text}");
		is($status, 0, "docs/backup.md, line $block->{line}: runs") || diag($err);
		$cluster->sql(q{SELECT rt.send_message(1, 'bob', 'not in the dump')}, dbname => 'copy') if $block == $blocks[0];
		$cluster->poll_sql('SELECT pid IS NOT NULL FROM rt.stat_relay', 't', 'the relay has started', dbname => 'data') if $block == $blocks[3];
	}
	is($cluster->sql($everything, dbname => 'copy'), $before, 'a restore over what is there leaves what is in the dump');
	is($cluster->sql($everything, dbname => 'parallel'), $before, 'so does one in parallel');
	is($cluster->sql($everything, dbname => 'data'), $before, 'and one of data alone');
	is($cluster->sql(q{SELECT count(*) FROM rt.events WHERE event <> 'rt:keys'}, dbname => 'data'), 0, 'which is announced to nobody');
	is($cluster->sql(q{SELECT rt.send_message(1, 'bob', 'next')}, dbname => $_), 52, "rooms go on in $_") for qw(copy parallel data);
	is($cluster->sql("SELECT rt.verify_token('$token')", dbname => 'data'), 'ann', 'and tokens are good');
}

done_testing();
