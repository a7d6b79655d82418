# Programs on hosts of their own: rt_gateway and rt_media with --config, under roles that are members of theirs.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Temp;
use IO::Handle;
use IO::Socket::INET;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use HostProgram;
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0 });
$cluster->sql(q{CREATE ROLE gw1 LOGIN PASSWORD 'se''cr\et' IN ROLE rt_gateway});
$cluster->sql(q{CREATE ROLE gw2 LOGIN NOINHERIT PASSWORD 'two' IN ROLE rt_gateway});
$cluster->sql(q{CREATE ROLE m1 LOGIN PASSWORD 'media' IN ROLE rt_media});
$cluster->sql(q{CREATE ROLE stranger LOGIN PASSWORD 'none'});

sub conninfo
{
	my ($user, $password) = @_;
	return 'host=127.0.0.1 port=' . $cluster->port . " dbname=rt user=$user password='" . $password =~ s/(['\\])/\\$1/gr . "'";
}

sub ready
{
	my ($program, $name) = @_;
	wait_for(sub { $program->has_ended || $program->log =~ /LOG: ready$/m });
	ok(!$program->has_ended && $program->log =~ /LOG: ready$/m, $name) or BAIL_OUT("it does not serve:\n" . $program->log);
}

# Runs it to its end; its status and what it said.
sub refused
{
	my ($settings, $program) = @_;
	my $p = HostProgram->start($program // 'rt_gateway', $settings);
	wait_for(sub { $p->has_ended }) or die 'it still runs';
	return ($p->exit_status, $p->log);
}

# ---- the file ----------------------------------------------------------------------

my @ports = map { free_port() } 1 .. 3;
my $good = conninfo('gw1', q{se'cr\et});
my @wrong = (
	[ "conninfo = 'dbname=rt'\nport = 'many'\n", qr/rt_gateway\.conf:2: port must be a number from 1 to 65535/, 'a port' ],
	[ "conninfo = 'dbname=rt'\n\n# x\ncolour = 'red'\n", qr/rt_gateway\.conf:4: unrecognized parameter "colour"/, 'an unknown key' ],
	[ "conninfo = 'dbname=rt\n", qr/rt_gateway\.conf:1: a quote is not closed/, 'an open quote' ],
	[ "conninfo = 'dbname=rt' port\n", qr/rt_gateway\.conf:1: syntax error behind a value/, 'two on a line' ],
	[ "conninfo\n", qr/rt_gateway\.conf:1: a value is missing/, 'no value' ],
	[ "conninfo = 'secretword=rt'\n", qr/rt_gateway\.conf:1: conninfo is not a valid libpq connection string/, 'no connection string' ],
	[ "port = 1\n", qr/conninfo is not set/, 'no conninfo' ],
	[ "conninfo = 'dbname=rt'\nname = 'a b'\n", qr/rt_gateway\.conf:2: name may have/, 'a name with a blank' ],
	[ "conninfo = 'dbname=rt'\nssl_cert_file = 'x.pem'\n", qr/rt_gateway\.conf:2: ssl_cert_file needs/, 'a certificate without its key' ],
	[ "conninfo = 'dbname=rt'\nssl_cert_file = 'x.pem'\nssl_key_file = 'x.key'\n", qr/:2: could not read ssl_cert_file ".*x\.pem": No such/, 'a missing file' ],
	[ "conninfo = 'dbname=rt'\nannounced_address = '10.0.0.1'\n", qr/:2: unrecognized parameter "announced_address"/, 'a key of media' ],
);
foreach my $case (@wrong)
{
	my ($status, $log) = refused($case->[0]);
	is($status, 2, "refused: $case->[2]");
	like($log, $case->[1], '  with file and line');
	unlike($log, qr/secretword/, '  and nothing of the connection string');
}
chomp(my $bindir = `pg_config --bindir`);
my (undef, $err, $status) = run_command("$bindir/rt_gateway", '--config', '/nowhere/rt.conf');
like($err, qr{could not read "/nowhere/rt.conf": No such file}, 'a missing configuration file');
isnt($status, 0, 'is an error');
my ($out) = run_command("$bindir/rt_media", '--version');
like($out, qr/^rt_media \(rt\) \d/, '--version');

# ---- logging in ----------------------------------------------------------------------

my ($code, $log) = refused({ conninfo => conninfo('gw1', 'wrong'), port => $ports[0] });
is($code, 2, 'a wrong password ends it');
like($log, qr/login failed: .*password authentication failed for user "gw1"/, 'and the log says so');
($code, $log) = refused({ conninfo => conninfo('stranger', 'none'), port => $ports[0] });
like($log, qr/role "stranger" is not a member of rt_gateway/, 'a role that is no member');
($code, $log) = refused({ conninfo => conninfo('m1', 'media'), port => $ports[0] });
like($log, qr/role "m1" is not a member of rt_gateway/, 'a member of the other role');
($code, $log) = refused({ conninfo => conninfo('gw1', q{se'cr\et}) =~ s/dbname=rt/dbname=postgres/r, port => $ports[0] });
like($log, qr/database "postgres" does not have extension rt/, 'a database without the extension');

# Another version: as far as the program can tell, the database's function says so.
$cluster->sql(q{ALTER FUNCTION rt_api.hello(text, jsonb) RENAME TO hello_kept});
$cluster->sql(q{CREATE FUNCTION rt_api.hello(actor text, req jsonb) RETURNS json LANGUAGE sql SECURITY DEFINER
	AS $$ SELECT rt_api.hello_kept(actor, jsonb_set(req, '{version}', '"0.9"')) $$});
$cluster->sql(q{GRANT EXECUTE ON FUNCTION rt_api.hello(text, jsonb) TO rt_gateway});
($code, $log) = refused({ conninfo => $good, port => $ports[0] });
like($log, qr/the server runs version \S+ of rt, this rt_gateway is version 0\.9\. Install the same version on both hosts/,
	'a program of another version is told');
is($code, 2, 'and ends');
$cluster->sql('DROP FUNCTION rt_api.hello(text, jsonb)');
$cluster->sql('ALTER FUNCTION rt_api.hello_kept(text, jsonb) RENAME TO hello');

# ---- serving ---------------------------------------------------------------------------

my $one = HostProgram->start('rt_gateway', { conninfo => $good, name => 'host-a', region => 'eu', port => $ports[0] });
ready($one, 'a gateway under a role of its own');
my $two = HostProgram->start('rt_gateway', { conninfo => conninfo('gw2', 'two'), name => 'host-b', region => 'us', port => $ports[1] },
	log => '/dev/null');
my $media = HostProgram->start('rt_media', { conninfo => conninfo('m1', 'media'), name => 'host-m', region => 'eu', port => $ports[2],
	announced_address => '192.0.2.7' });
like($one->log, qr/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC \[\d+\] LOG: confine: confined by a system call filter/m,
	'its log has times and levels, and it is confined');
wait_until(sub { $two->is_ready }, 'another one, whose role inherits nothing, with its log in /dev/null');
ok($one->is_ready, 'the first serves');
ready($media, 'a media worker');
is($one->get('/')->{status} != 500, 1, 'it answers GET /');

$cluster->poll_sql(q{SELECT string_agg(kind || ' ' || host || ' ' || region || ' ' || state, ', ' ORDER BY host) FROM rt.stat_programs},
	'gateway host-a eu ready, gateway host-b us ready, media host-m eu ready', 'rt.stat_programs has them');
is($cluster->sql(q{SELECT string_agg(slot::text, ',' ORDER BY slot) FROM rt.stat_gateway}), '100,101', 'each has a number');
is($cluster->sql(q{SELECT addresses::text FROM rt.stat_media_workers}), '{192.0.2.7}', 'the announced address');
is($cluster->sql(q{SELECT count(*) FROM pg_stat_activity WHERE usename IN ('rt_gateway', 'rt_media')}), 0, 'nobody uses the roles themselves');

# ---- what each is told ---------------------------------------------------------------------

sub told
{
	my ($program) = @_;
	return $cluster->sql(qq{SELECT (h.answer::jsonb -> 'settings') ? 'conninfo_read' FROM rt_api.hello(NULL, jsonb_build_object('program', '$program',
		'version', current_setting('rt.version'), 'host', 'host-a', 'port', $ports[0])) AS h (answer)});
}
is(told('gateway'), 't', 'a gateway is told of the standbys');
is(told('media'), 'f', 'a media worker is not: it reads nothing');

# ---- settings follow --------------------------------------------------------------------

sub handshake { return $_[0]->get('/socket.io/?EIO=4&transport=polling')->{content}; }
like(handshake($one), qr/"sid":"100\./, 'a session\'s id begins with the number');
$cluster->sql(q{ALTER SYSTEM SET rt.ping_interval = '7s'});
$cluster->sql('SELECT pg_reload_conf()');
wait_until(sub { handshake($_) =~ /"pingInterval":7000/ }, 'ALTER SYSTEM reaches it') foreach $one, $two;
$cluster->sql(q{ALTER SYSTEM SET rt.db_connections = 3});
$cluster->sql('SELECT pg_reload_conf()');
wait_until(sub { $one->log =~ /WARNING: conf: the new rt.db_connections takes effect when rt_gateway is restarted/ },
	'a setting that needs a restart is told');

# ---- SIGHUP -----------------------------------------------------------------------------

sub certificate
{
	my ($folder, $name) = @_;
	my (undef, $e, $rc) = run_command('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
		'-subj', "/CN=$name", '-days', '2', '-keyout', "$folder/tls.key.new", '-out', "$folder/tls.pem.new");
	die $e if $rc;
	rename "$folder/$_.new", "$folder/$_" or die $! foreach 'tls.key', 'tls.pem';
}

sub subject
{
	my ($port) = @_;
	my ($text) = run_command('sh', '-c', "openssl s_client -connect 127.0.0.1:$port </dev/null 2>/dev/null | openssl x509 -noout -subject");
	return $text;
}

my $tls = File::Temp->newdir('rt-tls-XXXXXX', TMPDIR => 1);
certificate($tls, 'first.example');
my $secure_port = free_port();
my %secure = (conninfo => $good, name => 'host-c', port => $secure_port, ssl_cert_file => "$tls/tls.pem", ssl_key_file => "$tls/tls.key");
my $secure = HostProgram->start('rt_gateway', \%secure);
ready($secure, 'a gateway with TLS');
like(subject($secure_port), qr/first\.example/, 'has the certificate of its file');
certificate($tls, 'second.example');
kill HUP => $secure->pid;
wait_until(sub { subject($secure_port) =~ /second\.example/ }, 'SIGHUP reads the certificate again');
$secure->configure({ %secure, port => 1, nonsense => 1 });
kill HUP => $secure->pid;
wait_until(sub { $secure->log =~ /nothing is changed: .*unrecognized parameter "nonsense"/ }, 'a wrong file changes nothing');
$secure->configure({ %secure, port => free_port() });
kill HUP => $secure->pid;
wait_until(sub { $secure->log =~ /rt_gateway\.conf:\d+: the new port takes effect when rt_gateway is restarted/ }, 'another port needs a restart');

# The password changes: sessions that begin later have it from the file.
$cluster->sql(q{ALTER ROLE gw1 PASSWORD 'another'});
$one->configure({ conninfo => conninfo('gw1', 'another'), name => 'host-a', region => 'eu', port => $ports[0] });
kill HUP => $one->pid;
wait_until(sub { $one->log =~ /has been read again/ }, 'SIGHUP reads the connection string again');
$cluster->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gw1'});
wait_until(sub { $cluster->sql(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'gw1'}) >= 5 && $one->is_ready },
	'and logs in with the new password');

# ---- the database is out of reach: no answer, and no end of the connection ---------------------

my @sessions = split /\n/, $cluster->sql(q{SELECT pid FROM pg_stat_activity WHERE usename = 'gw2'});
kill STOP => @sessions;
my $began = time;
wait_until(sub { !$two->is_ready }, '/readyz notices that the database is silent');
took_less(6, time - $began, 'within some seconds');
kill CONT => @sessions;
wait_until(sub { $two->is_ready }, 'and that it answers again');

# ---- a restart of the server: only the supervisor's own password is made anew ---------------

is($secure->end('TERM'), 0, 'SIGTERM ends a gateway') || diag($secure->log);
my ($stopped) = $cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-m', 'fast', '-w', 'restart', '-l', "$cluster->{dir}/server.log");
wait_until(sub { $one->is_ready && $two->is_ready }, 'gateways come back after a restart of the server');
ok(!$one->has_ended && !$two->has_ended && !$media->has_ended, 'without a restart of theirs');
$cluster->poll_sql(q{SELECT count(*) FROM rt.stat_programs WHERE state = 'ready'}, 3, 'all three are known again');

# ---- drain and end ---------------------------------------------------------------------------

is($cluster->sql(q{SELECT rt.drain('1 s', (SELECT name FROM rt.stat_gateway WHERE host = 'host-b'))}), 1, 'rt.drain() of one');
wait_until(sub { $two->has_ended }, 'it ends');
is($two->exit_status, 0, 'without an error');
$two->launch;
wait_until(sub { $two->is_ready }, 'its unit starts it again');
$cluster->poll_sql(q{SELECT slot FROM rt.stat_gateway WHERE host = 'host-b'}, 101, 'with the number that it had');
is($one->end('TERM'), 0, 'SIGTERM ends the other');
is($media->end('TERM'), 0, 'and media');
$cluster->poll_sql(q{SELECT string_agg(host, ',') FROM rt.stat_programs}, 'host-b', 'and rt.stat_programs has them no more');

# ---- logs: a pipe that nobody reads does not stop it --------------------------------------------

pipe(my $reader, my $writer) or die $!;
my $piped = HostProgram->start('rt_gateway', { conninfo => conninfo('gw2', 'two'), name => 'host-p', port => free_port() },
	log => '/dev/fd/' . do { require Fcntl; fcntl($writer, Fcntl::F_SETFD(), 0); fileno $writer });
wait_until(sub { $piped->is_ready }, 'with its log in a pipe');
is($piped->end('INT'), 0, 'SIGINT ends it');
close $writer;
my $line = <$reader>;
like($line, qr/ UTC \[\d+\] [A-Z]+: /, 'the pipe has lines');

# ---- several servers, one of which is silent ------------------------------------------

# The kernel accepts for it, and nobody ever answers: a server that was stopped, or a link that was cut.
my $silent = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1') or die $!;
my $several = conninfo('gw2', 'two') =~ s/host=\S+ port=(\d+)/"host=127.0.0.1,127.0.0.1 port=" . $silent->sockport . ",$1"/er;
my $patient = HostProgram->start('rt_gateway', { conninfo => "$several target_session_attrs=read-write", name => 'host-p', port => free_port() });
ready($patient, 'a gateway whose first server is silent serves by the next');
like($patient->log, qr/connection failed: no answer in time from 127\.0\.0\.1, port @{[$silent->sockport]}$/m, 'and says which it has given up');
ok(wait_for(sub { $patient->is_ready }), 'all its connections have gone on');
is($patient->end('TERM'), 0, 'and it ends');

# ---- the extension goes: sessions of members do not hold it up ---------------------------------------

is($two->end('TERM'), 0, 'the last one ends');
$cluster->sql('DROP EXTENSION rt');
my $bare = HostProgram->start('rt_gateway', { conninfo => conninfo('gw2', 'two'), port => free_port() });
wait_for(sub { $bare->has_ended });
like($bare->log, qr/does not have extension rt/, 'without the extension it ends');

done_testing();
