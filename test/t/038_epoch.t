# The epoch: the same after restarts and crashes, another one after a promotion; positions and sessions of what was lost mean
# nothing at the new server.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use RtStandby;
use RtTest;
use Test::More;

my $primary = RtTest->start(settings => { 'rt.media_workers' => 0 });
$primary->sql(q{SELECT rt.create_user('ann', 'Ann', 'secret'), rt.create_user('bob', 'Bob'); SELECT rt.create_room('Room', ARRAY['ann', 'bob'])});
my $token = $primary->sql("SELECT rt.issue_token('ann')");

sub told
{
	my ($server) = @_;
	my $page = $server->http('GET', '/api/chat/rooms/1/msgs', headers => { authorization => "Bearer $token" });
	return $page->{status} == 200 ? decode_json($page->{content})->{epoch} : "status $page->{status}";
}

sub connect_to
{
	my ($server, %with) = @_;
	my $request = encode_json({ requests => [ { user => 'ann', sid => "s$with{gateway}", serial => 1, peer => '', transport => 'websocket', %with } ] });
	my $answer = decode_json($server->sql("SELECT rt_api.connect(NULL, '$request')"));
	return { %{ $answer->{results}[0] }, epoch => $answer->{epoch} };
}

sub last_logged { return $_[0]->sql(q{SELECT coalesce(max(pos), 0) FROM rt.events WHERE event = 'new-chat-message'}) }

sub write_message
{
	my ($server, $text) = @_;
	my $before = last_logged($server);
	my $seq = $server->sql("SELECT rt.send_message(1, 'ann', '$text')");
	wait_for(sub { last_logged($server) > $before }) or die 'the message is not logged';
	return $seq;
}

# Result: a function that gives what it said when it has ended.
sub start_reading
{
	my ($server, $statement) = @_;
	open(my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', 'psql', '-XAtq', '-h', $server->host, '-p', $server->port, '-U', 'postgres', '-d', 'rt', '-c', $statement) or die $!;
	wait_for(sub { $server->sql(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %replica_read%'}) > 0 });
	return sub { my $text = join('', <$out>); close $out; return $text };
}

# ---- restarts ------------------------------------------------------------------------

my $epoch = $primary->sql('SELECT rt.epoch()');
like($epoch, qr/^[\w-]{8,}$/, 'there is an epoch');
is(told($primary), $epoch, 'REST tells it');
is(connect_to($primary, gateway => 'g0')->{epoch}, $epoch, 'and CONNECT');
write_message($primary, 'one');
kill 'TERM', $primary->sql('SELECT pid FROM rt.stat_relay');
wait_until(sub { write_message($primary, 'two') > 1 }, 'the relay is back');
is($primary->sql('SELECT rt.epoch()'), $epoch, 'the relay may restart');
my $relay = $primary->sql('SELECT pid FROM rt.stat_relay');
kill 'KILL', $relay;
$primary->poll_sql(qq{SELECT count(*) FROM rt.stat_relay WHERE pid <> $relay}, 1, 'the server was restarted after a crash');
is($primary->sql('SELECT rt.epoch()'), $epoch, 'it is the same after a crash');
$primary->stop;
is($primary->launch, undef, 'and after a restart');
$primary->poll_sql('SELECT rt.epoch()', $epoch, 'of the server');

# ---- a promotion that loses something ----------------------------------------------------

my $standby = RtStandby->new($primary);
my $session = connect_to($primary, gateway => 'g1');
my $kept_seq = write_message($primary, 'kept');
my $kept_pos = last_logged($primary);
$standby->catch_up;
is($standby->sql('SELECT rt.epoch()'), $epoch, 'a standby has the epoch of its primary');
$standby->sql('SELECT pg_wal_replay_pause()');
$standby->stop;
my $lost_seq = write_message($primary, 'lost');
my $lost_pos = last_logged($primary);
$primary->stop;
$standby->start;
$standby->promote;

wait_until(sub { $standby->http('GET', '/readyz')->{status} == 200 }, 'the promoted server serves');
my $new = $standby->sql('SELECT rt.epoch()');
isnt($new, $epoch, 'with another epoch');
is(told($standby), $new, 'which REST tells');
is(write_message($standby, 'other'), $lost_seq, 'the number of the lost message is given again');
cmp_ok(last_logged($standby), '>', $lost_pos + 1000, 'but not its position');

my $refused = connect_to($standby, gateway => 'g2', pid => $session->{pid}, offset => "$lost_pos");
ok(!$refused->{recovered}, 'who has seen the lost message is not recovered');
is($refused->{epoch}, $new, 'and is told the epoch');
my $recovered = connect_to($standby, gateway => 'g2', pid => $session->{pid}, offset => "$kept_pos");
ok($recovered->{recovered}, 'who has not goes on with the session');
is($recovered->{pos}, $kept_pos, 'from where it was');

# ---- two standbys of one server, promoted at the same point ----------------------------

my @twins = map { RtStandby->new($standby) } 1 .. 2;
my $lsn = $standby->sql('SELECT pg_current_wal_flush_lsn()');
wait_for(sub { $_->sql("SELECT pg_last_wal_replay_lsn() >= '$lsn'") eq 't' }) for @twins;

# Reads that wait for a position when the standby is promoted: it may never get there, so it must not answer.
my $lineage = $twins[0]->sql('SELECT rt_private.lineage()');
my $reading = "DO \$\$ BEGIN
	LOOP
		BEGIN
			PERFORM rt_api.replica_read('ann', '{\"fn\": \"rooms_list\", \"req\": {}, \"at\": {\"lsn\": \"FFFFFFFF/0\", \"lineage\": \"$lineage\"}}');
			RAISE NOTICE 'answered';
			RETURN;
		EXCEPTION WHEN SQLSTATE 'RT503' THEN
			IF NOT pg_is_in_recovery() THEN
				RETURN;
			END IF;
		END;
	END LOOP; END \$\$";
my @reads = map { start_reading($twins[0], $reading) } 1 .. 4;

$standby->stop;
$_->promote for @twins;
is($_->(), '', 'a read that waits at a standby is not answered when that is promoted') for @reads;
my @epochs = map { my $twin = $_; wait_for(sub { $twin->http('GET', '/readyz')->{status} == 200 }); $twin->sql('SELECT rt.epoch()') } @twins;
isnt($epochs[0], $epochs[1], 'two servers promoted at the same point have different epochs');
isnt($_, $new, 'and neither the one of before') for @epochs;

done_testing();
