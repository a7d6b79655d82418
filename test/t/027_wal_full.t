# No room for the write-ahead log: the server crashes, as PostgreSQL does; with room again it recovers, and every message
# whose commit was told is there, numbered without a hole, and in the log.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;
use SmallDisk;

SmallDisk::skip_unless_root();

my $cluster = RtTest->start(settings => { 'rt.media_workers' => 0, 'min_wal_size' => '32MB', 'max_wal_size' => '1GB' });
my $disk = SmallDisk::mount($cluster, 'wal', 96);
my $log = $cluster->data_dir . '/pg_wal';

sub pg_ctl { return $cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-w', '-t', 120, '-l', $cluster->dir . '/server.log', @_); }

sub start_server
{
	my (undef, $err, $status) = pg_ctl('start');
	is($status, 0, $_[0]) || diag($err);
	return wait_until(sub { $cluster->is_ready }, 'and the gateway serves');
}

sub is_down { return !process_is_alive($cluster->pid('postmaster') || 0); }

# Writes until it is stopped by an error, and tells each commit: returns what was told last.
sub write_until_it_fails
{
	my $session = $cluster->psql_start;
	for my $round (1 .. 1000)
	{
		print { $session->{in} } "INSERT INTO rt.messages (room_id, sender_id, content) SELECT 1, 'ann', repeat('x', 1500) FROM generate_series(1, 50);\n"
			. "SELECT 'told ' || last_seq FROM rt.rooms;\n" or last;
	}
	wait_until(sub { $cluster->log =~ /PANIC: .*No space left on device/ }, 'the server finds no room for its log');
	$session->{finish}->();
	my @told = $session->{read}->() =~ /told (\d+)/g;
	return $told[-1];
}

$cluster->sql(q{SELECT rt.create_user('ann', 'Ann'); SELECT rt.create_room('Room', ARRAY['ann'])});
my (undef, $err, $status) = pg_ctl('-m', 'fast', 'stop');
is($status, 0, 'the server stops') || diag($err);
is(system("cp -a $log/. $disk && rm -rf $log && ln -s $disk $log && chown -h postgres $log"), 0, 'its log moves to a small disk');
start_server('it starts');

my @programs = ($cluster->pid('gateway'));
system("dd if=/dev/zero of=$disk/junk bs=1M count=44 2> /dev/null");
local $SIG{PIPE} = 'IGNORE';
my $told = write_until_it_fails();
cmp_ok($told, '>', 0, 'messages came in before');
wait_until(sub { !grep { process_is_alive($_) } @programs }, 'the gateway ends with the server');

unlink "$disk/junk";
# Recovery needs room too: it has ended, or is under way, or was ended for want of it.
wait_until(sub { is_down() || $cluster->is_ready }, 'the server is down, or serves again');
if (is_down()) { start_server('it starts once there is room') }
my $last = $cluster->sql('SELECT last_seq FROM rt.rooms');
cmp_ok($last, '>=', $told, 'no message is lost that was told');
is($cluster->sql('SELECT count(*) || $$ $$ || max(seq) FROM rt.messages'), "$last $last", 'numbers have no hole');
$cluster->poll_sql(q{SELECT count(DISTINCT seq) FROM rt.events WHERE event = 'new-chat-message'}, $last, 'all are in the log of events');
my $next = $cluster->sql(q{INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'after') RETURNING seq});
is($next, $last + 1, 'and it goes on');
$cluster->poll_sql(q{SELECT max(seq) FROM rt.events WHERE event = 'new-chat-message'}, $next, 'which is told');

done_testing();
