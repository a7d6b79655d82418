# A full disk: writers get an error, the relay waits, and once there is room again every committed message is told.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;
use SmallDisk;

SmallDisk::skip_unless_root();

my $cluster = RtTest->start(settings => { 'rt.media_workers' => 0 });
my $disk = SmallDisk::mount($cluster, 'small', 40);

my %db = (dbname => 'small');
$cluster->sql("CREATE TABLESPACE small LOCATION '$disk'");
$cluster->sql('CREATE DATABASE small TEMPLATE rt TABLESPACE small', dbname => 'postgres');
$cluster->sql(q{SELECT rt.create_user('ann', 'Ann'); SELECT rt.create_room('Room', ARRAY['ann'])}, %db);
$cluster->poll_sql('SELECT pid IS NOT NULL FROM rt.stat_relay', 't', 'a relay runs on a small disk', %db);
my $relay = $cluster->sql('SELECT pid FROM rt.stat_relay', %db);

sub send_many
{
	my ($count) = @_;
	return "DO \$\$ BEGIN FOR i IN 1 .. $count LOOP INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', repeat('x', 200)); COMMIT; END LOOP; END \$\$";
}

sub fill { system("dd if=/dev/zero of=$disk/junk bs=4k 2> /dev/null; true"); }

# While the relay stands still, messages are committed; then there is no room to log them.
kill 'STOP', $relay;
$cluster->sql(send_many(3000), %db);
fill();
kill 'CONT', $relay;
wait_until(sub { $cluster->log =~ /rt relay: could not extend file.*No space left on device/ }, 'the relay finds the disk full');
my (undef, $err) = $cluster->try_sql(send_many(100_000), %db);
like($err, qr/could not extend file.*No space left on device/s, 'so does a writer');
is($cluster->sql('SELECT pid FROM rt.stat_relay', %db), $relay, 'the relay lives');
wait_until(sub { $cluster->is_ready }, 'and another database is served');

unlink "$disk/junk";
$cluster->poll_sql(q{SELECT count(DISTINCT e.seq) - r.last_seq FROM rt.rooms r LEFT JOIN rt.events e ON e.event = 'new-chat-message' WHERE r.id = 1
	GROUP BY r.last_seq}, 0, 'with room again, every message is told', %db);
is($cluster->sql(q{SELECT count(*) - count(DISTINCT (room_id, seq)) FROM rt.events WHERE event = 'new-chat-message'}, %db), 0, 'once');
is($cluster->sql('SELECT count(*) - max(seq) FROM rt.messages', %db), 0, 'numbers have no hole');
is($cluster->sql('SELECT pid FROM rt.stat_relay', %db), $relay, 'by the same relay');
my $seq = $cluster->sql(q{SELECT rt.send_message(1, 'ann', 'on we go')}, %db);
$cluster->poll_sql(q{SELECT max(seq) FROM rt.events}, $seq, 'and on it goes', %db);

done_testing();
