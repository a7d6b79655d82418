# A gateway and a media forwarder behind pgbouncer: in session mode they serve; in transaction mode they hear nothing, and say so.  A
# gateway that has only a standby left says so, too.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Temp;
use HTTP::Tiny;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use HostProgram;
use RtStandby;
use RtTest;

plan skip_all => 'pgbouncer is not installed' if !grep { -x "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';
$ENV{PATH} .= ':/usr/sbin';

my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0 });
$cluster->sql(q{CREATE ROLE gw LOGIN PASSWORD 'pw' IN ROLE rt_gateway});
$cluster->sql(q{CREATE ROLE media LOGIN PASSWORD 'pw' IN ROLE rt_media});
$cluster->sql(q{INSERT INTO rt.users (id, username, name) VALUES ('alice', 'alice', 'Alice')});

# ---- pgbouncer --------------------------------------------------------------------------------------------------

my $folder = File::Temp->newdir('rt-pooler-XXXXXX', TMPDIR => 1);
my $pooler_port = free_port();
my $pooler_pid;

# It reads its file again where it runs already: sessions that begin then have the new mode.
sub pool
{
	my ($mode) = @_;
	write_file("$folder/users", qq{"gw" "pw"\n"media" "pw"\n});
	write_file("$folder/pgbouncer.ini", <<"INI");
[databases]
rt = host=127.0.0.1 port=@{[$cluster->port]} dbname=rt
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pooler_port
unix_socket_dir =
auth_type = plain
auth_file = $folder/users
pool_mode = $mode
default_pool_size = 20
pidfile = $folder/pid
logfile = $folder/log
INI
	chown((getpwnam('postgres'))[ 2, 3 ], "$folder") if $> == 0;
	my (undef, $err, $status) = run_command($> == 0 ? ('runuser', '-u', 'postgres', '--') : (), 'pgbouncer', '-q', '-d', "$folder/pgbouncer.ini");
	die "pgbouncer: $err" if $status != 0;
	wait_for(sub { -s "$folder/pid" }) or die 'pgbouncer does not start';
	chomp($pooler_pid = RtTest::slurp("$folder/pid"));
}

sub end_pool
{
	return if !$pooler_pid;
	kill INT => $pooler_pid;
	wait_for(sub { !process_is_alive($pooler_pid) });
	$pooler_pid = undef;
}

END
{
	my $status = $?;
	kill KILL => $pooler_pid if $pooler_pid;
	$? = $status;
}

sub write_file
{
	my ($path, $text) = @_;
	open(my $out, '>', $path) or die $!;
	print $out $text;
	close $out;
}

sub reason { return $_[0]->get('/readyz')->{content} }

my $pooled = "host=127.0.0.1 port=$pooler_port dbname=rt user=gw password=pw";

sub media_workers { return $cluster->sql(q{SELECT count(*) FROM rt.stat_programs WHERE kind = 'media'}) }

# ---- transaction mode ----------------------------------------------------------------------------------------------

pool('transaction');
my $gateway = HostProgram->start('rt_gateway', { conninfo => $pooled, name => 'pooled', port => free_port() });
wait_until(sub { $gateway->log =~ /WARNING: bus: notifications do not arrive: .*looks like a pooler in transaction mode/ },
	'a pooler in transaction mode is found out, and the log has a hint') or diag($gateway->log);
is($gateway->get('/readyz')->{status}, 503, '/readyz answers 503');
wait_until(sub { reason($gateway) eq '{"status":"not ready","reason":"notifications do not arrive"}' }, 'and says why') or diag(reason($gateway));
unlike($gateway->log, qr/LOG: ready$/m, 'the gateway was never ready');

my $media = HostProgram->start('rt_media', { conninfo => $pooled =~ s/user=gw/user=media/r, name => 'pooled', port => free_port() });
wait_until(sub { $media->log =~ /WARNING: bus: notifications do not arrive: .*looks like a pooler in transaction mode/ },
	'a media forwarder finds it out, too') or diag($media->log);
unlike($media->log, qr/LOG: ready$/m, 'it was never ready');
is(media_workers(), 0, 'and is given no meetings');

# ---- session mode: the same gateway, without a restart ---------------------------------------------------------------

end_pool();
unlink "$folder/pid";
pool('session');
wait_until(sub { $gateway->is_ready }, 'behind a pooler in session mode it serves') or diag($gateway->log, reason($gateway));
like($gateway->log, qr/notifications arrive again/, 'and the log says that it hears');
wait_until(sub { $media->log =~ /LOG: ready$/m && media_workers() == 1 }, 'so does the media forwarder') or diag($media->log);
is($media->end('TERM'), 0, 'it ends');
is($gateway->end('TERM'), 0, 'it ends');

# ---- reads by way of the pooler -------------------------------------------------------------------------------------

my $standby = RtStandby->new($cluster);
my $direct = 'host=127.0.0.1 port=' . $cluster->port . ' dbname=rt user=gw password=pw';
end_pool();
unlink "$folder/pid";
my $primary_port = $cluster->port;
{
	no warnings 'redefine';
	local *RtTest::port = sub { return $standby->{port} };
	pool('session');
}
my $port = free_port();
$gateway = HostProgram->start('rt_gateway', { conninfo => $direct, conninfo_read => $pooled, name => 'reads', port => $port });
wait_until(sub { $gateway->is_ready }, 'conninfo_read by way of a pooler') or diag($gateway->log);
my $token = $cluster->sql(q{SELECT rt.issue_token('alice')});
wait_until(sub {
	HTTP::Tiny->new(timeout => 10)->get("http://127.0.0.1:$port/api/chat/rooms", { headers => { Authorization => "Bearer $token" } });
	return $standby->sql(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'gw' AND query LIKE '%rt_api.replica_read%'}) > 0;
}, 'the standby answers reads') or diag($standby->sql(q{SELECT string_agg(query, '; ') FROM pg_stat_activity WHERE usename = 'gw'}));

# ---- only a standby is left ----------------------------------------------------------------------------------------

is($gateway->end('TERM'), 0, 'it ends');
my $any = "host=127.0.0.1,127.0.0.1 port=$primary_port,$standby->{port} dbname=rt user=gw password=pw";
$gateway = HostProgram->start('rt_gateway', { conninfo => $any, name => 'any', port => free_port() });
my $strict = HostProgram->start('rt_gateway', { conninfo => "$any target_session_attrs=read-write", name => 'strict', port => free_port() });
wait_until(sub { $_->is_ready }, 'a primary and a standby') foreach $gateway, $strict;
$cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-m', 'immediate', '-w', 'stop');
wait_until(sub { reason($gateway) =~ /"the database is a standby"/ }, 'the primary goes: /readyz says that a standby is left') or diag(reason($gateway));
wait_until(sub { reason($strict) =~ /"the database is not connected"/ }, 'with target_session_attrs it has no database') or diag(reason($strict));
is($_->get('/readyz')->{status}, 503, 'and answers 503') foreach $gateway, $strict;
$standby->promote;
wait_until(sub { $_->is_ready }, 'promoted: it serves again') foreach $strict;
$_->end('INT') foreach $gateway, $strict;
end_pool();

done_testing();
