# A server that does not preload rt: what works there, and what says what to do.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(preload => 0);

sub is_refused
{
	my ($sql, $name) = @_;
	my (undef, $err) = $cluster->try_sql($sql);
	like($err, qr/ERROR:  rt is not loaded\s+HINT:  Add "rt" to shared_preload_libraries and restart the server\./, $name);
}

is($cluster->sql("SELECT extname FROM pg_extension WHERE extname = 'rt'"), 'rt', 'the extension can be created');
is($cluster->pid('gateway'), 0, 'no gateway runs');
is($cluster->sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'rt %'"), 0, 'nor any worker');
is($cluster->sql("SELECT rt.create_user('ann', 'Ann', 'secret')"), 'ann', 'users can be created');
is($cluster->sql("SELECT rt.verify_token(rt.issue_token('ann'))"), 'ann', 'tokens can be issued');
isnt($cluster->sql('SELECT rt.rotate_key()'), '', 'keys can be rotated');
is($cluster->sql('SELECT count(*) FROM rt.stat_programs'), 0, 'rt.stat_programs is empty');
is_refused("SELECT rt.create_room('r', ARRAY['ann'])", 'a room would have to be told of');
is($cluster->sql("SELECT count(*) FROM rt.rooms"), 0, 'so there is none');
$cluster->sql('DROP EXTENSION rt');
is($cluster->sql("SELECT count(*) FROM pg_extension WHERE extname = 'rt'"), 0, 'the extension can be dropped');
$cluster->sql('CREATE EXTENSION rt');

# With the library preloaded it is served.
$cluster->sql("ALTER SYSTEM SET shared_preload_libraries = 'rt'");
my (undef, $err, $status) =
  $cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-l', $cluster->dir . '/server.log', '-w', 'restart');
is($status, 0, 'after a restart') || diag($err);
wait_until(sub { $cluster->is_ready }, 'the gateway serves');

done_testing();
