# Logical replication: the subscriber has the publisher's messages under their numbers, tells its own clients of them and writes nothing; after a
# failover its rooms go on.  The commands are those of docs/backup.md.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DocTest;
use RtTest;
use Test::More;

my %settings = ('rt.media_workers' => 0, 'rt.gateway_workers' => 0);
my $publisher = RtTest->start(settings => { %settings, wal_level => 'logical' });
my $subscriber = RtTest->start(settings => { %settings, 'rt.gateway_workers' => 1 });
my %on = (publisher => $publisher, subscriber => $subscriber);

# Blocks "sql replication publisher", "sql replication subscriber", "sql failover subscriber".
sub run_blocks
{
	my ($when, $where) = @_;
	for my $block (grep { $_->{kind} eq 'sql' && "@{$_->{words}}" eq "$when $where" } DocTest::blocks('docs/backup.md'))
	{
		(my $sql = $block->{text}) =~ s/host=publisher dbname=rt/host=@{[$publisher->host]} port=@{[$publisher->port]} user=postgres dbname=rt/;
		for my $statement (split /;[^;\n]*\n/, $sql)
		{
			my (undef, $err, $status) = $on{$where}->try_sql($statement);
			is($status, 0, "docs/backup.md, line $block->{line}: " . substr($statement =~ s/\s+/ /gr, 0, 50)) || diag($err);
		}
	}
}

$publisher->sql(q{
	SELECT rt.create_user('ann', 'Ann', 'secret'), rt.create_user('bob', 'Bob');
	SELECT rt.create_room('Room', ARRAY['ann', 'bob']), rt.create_room('Other', ARRAY['ann']);
	INSERT INTO rt.messages (room_id, sender_id, content) SELECT 1, 'ann', 'message ' || i FROM generate_series(1, 50) i;
	SELECT rt.mark_seen(1, 'bob', ARRAY[1, 2, 3]::bigint[]);
	SELECT rt.create_meeting('Standup', host => 'ann', room => 1)});
my $token = $publisher->sql("SELECT rt.issue_token('ann')");
run_blocks('replication', $_) for 'publisher', 'subscriber';
is($publisher->sql(q{SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_extension AS e, unnest(e.extconfig) AS t JOIN pg_class AS c ON c.oid = t
	WHERE e.extname = 'rt' AND c.relkind = 'r' AND c.oid NOT IN ('rt.audit'::regclass, 'rt.presence'::regclass)
		AND NOT EXISTS (SELECT FROM pg_publication_rel AS p WHERE p.prrelid = c.oid)}), '', 'what a dump has is published, but for the audit and presence');
$subscriber->poll_sql('SELECT count(*) FROM rt.messages', 50, 'what was there is copied');
$subscriber->poll_sql(q{SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'}, 0, 'all tables are in step');

$publisher->sql(q{
	INSERT INTO rt.messages (room_id, sender_id, content, reply_to) SELECT 1, 'bob', 'more ' || i, 7 FROM generate_series(1, 10) i;
	UPDATE rt.messages SET content = 'edited' WHERE room_id = 1 AND seq = 3;
	DELETE FROM rt.messages WHERE room_id = 1 AND seq = 4;
	INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (1, 1, 'bob', 'x')});
my $everything = join(' UNION ALL ', map { "SELECT '$_', t::text FROM $_ AS t" }
	  qw(rt.users rt.rooms rt.room_members rt.messages rt.deleted_messages rt.reactions rt.receipts rt.meetings rt_private.receipt_ranges
		rt_private.change_counters rt_private.room_changes rt.threads)) . ' ORDER BY 1, 2';
my $expected = $publisher->sql($everything);
$subscriber->poll_sql($everything, $expected, 'and what comes after, as it is');
my $told = q{SELECT string_agg(event || ' ' || n, ', ' ORDER BY event) FROM (SELECT event, count(*) AS n FROM rt.events
	WHERE room_id = 1 AND event LIKE '%message%' GROUP BY event) AS t};
$subscriber->poll_sql($told, 'chat-message-deleted 1, chat-message-edited 1, chat-message-reaction 1, new-chat-message 10',
	'the subscriber tells of what comes after the first copy');
$publisher->sql(q{SELECT rt.create_user('cid', 'Cid'); INSERT INTO rt.room_members (room_id, user_id) VALUES (1, 'cid');
	DELETE FROM rt.room_members WHERE room_id = 1 AND user_id = 'bob'});
$subscriber->poll_sql(q{SELECT count(*) FROM rt.events WHERE event = 'rt:member' AND payload LIKE '%"cid"%' OR event = 'rt:member' AND payload LIKE '%"bob"%false%'}, 2,
	'its gateways know who comes and goes');

# ---- it writes nothing that is not its own -----------------------------------------------

my $place = 'host=' . $publisher->host . ' port=' . $publisher->port . ' dbname=rt';
for my $statement ("SELECT rt.send_message(1, 'ann', 'x')", "INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'x')",
	"UPDATE rt.messages SET content = 'x' WHERE room_id = 1 AND seq = 1", 'DELETE FROM rt.messages', "SELECT rt.create_room('x', ARRAY['ann'])",
	"SELECT rt.create_user('eve', 'Eve')", "INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (1, 2, 'ann', 'x')",
	"SELECT rt.mark_seen(1, 'ann', ARRAY[5]::bigint[])")
{
	my (undef, $err) = $subscriber->try_sql($statement);
	like($err, qr/is written by another server: \Q$place\E/, "refused: $statement");
}
# A row of its own would stop the subscription once the publisher has it, too.
$subscriber->sql("SELECT rt_private.claim_admin('ann', true, 1)");
is($subscriber->sql('SELECT count(*) FROM rt_private.admin_claims'), 0, 'what a token says of an administrator is left to the publisher');
$publisher->sql("SELECT rt_private.claim_admin('ann', true, 2)");
$subscriber->poll_sql(q{SELECT u.is_admin FROM rt.users AS u JOIN rt_private.admin_claims AS c ON c.user_id = u.id}, 't', 'and comes from there');
$publisher->sql("SELECT rt_private.claim_admin('ann', false, 3)");
my $refused;
wait_until(
	sub {
		$refused = $subscriber->http('POST', '/api/chat/rooms/1/msgs', headers => { authorization => "Bearer $token", 'content-type' => 'application/json' },
			content => '{"content":"x"}');
		return $refused->{status} != 401;
	}, 'a gateway knows the keys');
is($refused->{status}, 403, 'a gateway refuses too');
like($refused->{content}, qr/\Q$place\E/, 'and says where the writer is');
like($subscriber->sql(q{SELECT rt_api.connect(NULL, '{"requests":[{"user":"ann","sid":"s","serial":1,"gateway":"g","peer":"","transport":"websocket"}]}')}),
	qr/"ok" ?: true/, 'clients connect');
is($subscriber->sql(q{SELECT status FROM rt.presence WHERE user_id = 'ann'}), 'online', 'and are present there');
like($subscriber->sql(q{SELECT rt_api.disconnect(NULL, '{"gateway":"g","connections":[{"user":"ann","sid":"s","serial":1,"recoverable":false}]}')}),
	qr/\{\}/, 'and disconnect');

# As if the system's clock had been set: meetings are the publisher's.
$subscriber->sql('UPDATE rt_private.clock SET ahead = ahead + 100');
$subscriber->poll_sql('SELECT abs(ahead - rt_private.clock_offset()) < 1 FROM rt_private.clock', 't', 'gateways of the subscriber follow its clock');

# ---- triggers that are always enabled ------------------------------------------------------

$subscriber->sql(q{DO $$ DECLARE t record; BEGIN
	FOR t IN SELECT tgrelid::regclass AS name, tgname FROM pg_trigger
		WHERE tgrelid IN ('rt.messages'::regclass, 'rt.reactions'::regclass, 'rt.pins'::regclass) AND NOT tgisinternal LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.name, t.tgname);
	END LOOP; END $$});
$publisher->sql(q{
	INSERT INTO rt.messages (room_id, sender_id, content, reply_to) SELECT 1, 'ann', '@cid and more ' || i, 8 FROM generate_series(1, 5) i;
	UPDATE rt.messages SET content = '@ann edited' WHERE room_id = 1 AND seq = 5;
	INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (1, 5, 'ann', 'y');
	DELETE FROM rt.messages WHERE room_id = 1 AND seq = 6});
$subscriber->poll_sql($everything, $publisher->sql($everything), 'kill no worker');
$subscriber->poll_sql($told, 'chat-message-deleted 2, chat-message-edited 2, chat-message-reaction 2, new-chat-message 15', 'and tell');
is($subscriber->sql("SELECT rt.verify_token('$token')"), 'ann', 'tokens are good on both');
wait_until(
	sub {
		my $page = $subscriber->http('GET', '/api/chat/rooms/1/msgs?limit=1', headers => { authorization => "Bearer $token" });
		return $page->{content} =~ /more 5/;
	}, 'its gateway knows the keys and serves readers');
my $kid = $publisher->sql('SELECT rt.rotate_key()');
$token = $publisher->sql("SELECT rt.issue_token('ann')");
wait_until(
	sub {
		return $subscriber->http('GET', '/api/users/me', headers => { authorization => "Bearer $token" })->{status} == 200;
	}, 'and the next one');

# ---- the publisher is gone -----------------------------------------------------------

$publisher->stop;
run_blocks('failover', 'subscriber');
is($subscriber->sql(q{SELECT rt.send_message(1, 'ann', 'after')}), 66, 'the room goes on with its next number');
is($subscriber->sql(q{SELECT rt.create_room('New', ARRAY['ann'])}), 3, 'and rooms with theirs');
is($subscriber->sql(q{SELECT rt.create_meeting('Next', host => 'ann')}), 2, 'and meetings');
$subscriber->poll_sql(q{SELECT max(seq) FROM rt.events WHERE event = 'new-chat-message' AND room_id = 1}, 66, 'which is told');

done_testing();
