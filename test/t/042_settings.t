# Settings as a DBA meets them: wrong values are refused where they are set, right ones are taken, and what one says of
# another is told.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp;
use IO::Socket::INET;
use RtTest;
use Test::More;

# A wrong value at the server's start must not open anything.
my $cluster = RtTest->start(settings => { 'rt.metrics_address' => 'nonsense', 'rt.cors_origins' => 'nonsense', 'rt.media_workers' => 0 });

like($cluster->log, qr/WARNING:.*invalid value for parameter "rt\.metrics_address": "nonsense"/, 'a wrong value at the start is told');
is($cluster->http('GET', '/metrics')->{status}, 404, 'a wrong rt.metrics_address shows metrics to nobody');
is($cluster->sql('SHOW rt.cors_origins'), '', 'elsewhere the default is taken');

# ---- what pg_settings says -------------------------------------------------------------------

is($cluster->sql(q{
	SELECT string_agg(name, ', ') FROM pg_settings WHERE name LIKE 'rt.%'
		AND (short_desc IS NULL OR short_desc !~ '^[A-Z].*\.$' OR extra_desc !~ '\.$')
}), '', 'every setting is described in sentences');
is($cluster->sql(q{
	SELECT string_agg(name, ', ') FROM pg_settings WHERE name ~ '^rt\..*(timeout|interval|grace|window|ttl|retain|bytes|size|payload)' AND unit IS NULL
}), '', 'times and sizes have units');
my $known = $cluster->sql(q{SELECT count(*) FROM pg_settings WHERE name LIKE 'rt.%' AND category = 'Customized Options'});
cmp_ok($known, '>', 35, 'they are there');
like(($cluster->try_sql('SET rt.prot = 1'))[1], qr/invalid configuration parameter name "rt\.prot"/, 'a misspelt name is refused');

# ---- wrong and right values ---------------------------------------------------------------------

my $files = File::Temp->newdir('rt-settings-XXXXXX', TMPDIR => 1);
chmod 0755, $files;
open(my $out, '>', "$files/some.pem") or die $!;
close $out;

my %wrong = (
	'rt.databases' => [ 'rt:0', 'rt:99999', ':4501', 'rt:1:2:3', 'rt, app, rt' ],
	'rt.listen_addresses' => [ '', '10.0.0.1:4501', '300.1.1.1', 'http://host', 'a host', '10.0.0.0/8' ],
	'rt.media_announced_address' => [ '*', '0.0.0.0', '::', '203.0.113.7:4502', '1.2.3' ],
	'rt.trusted_proxies' => [ 'proxy', '10.0.0.0/33', '10.0.0.0/', '10.0.0.1:80', '::/129', '*' ],
	'rt.log_min_messages' => ['loud'],
	'rt.connect_sources' => [ 'example.com', 'wss://a b', "https://a'", 'https://a;script-src' ],
	'rt.cors_origins' => [ 'app.example.com', 'https://app.example.com/', 'https://*', 'https://*.', 'https://a.*.example.com', 'https://*.*.example.com', 'https://a b' ],
	'rt.turn_urls' => [ 'turn.example.com', 'stun:turn.example.com', 'turn:', 'turn:a?transport=sctp', 'turn://a', 'turn:a b' ],
	'rt.ice_transport_policy' => ['none'],
	'rt.oidc_issuer' => [ 'login.example.com', 'ftp://login.example.com', 'https://', 'https:///realm', 'https://a b', 'https://a;script-src', 'https://*.example.com',
		'https://user@example.com', 'https://login.example.com/?realm=main' ],
	'rt.oidc_client_id' => ["caf\xc3\xa9"],
	'rt.metrics_address' => [ 'here', ':9187', '10.0.0.1', '10.0.0.1:0', '10.0.0.1:65535', '::1:9187', '[10.0.0.1]:9187' ],
	'rt.conninfo' => [ 'localhost', 'hots=/tmp', "host='/tmp", 'host=/tmp port' ],
	'rt.ssl_cert_file' => [ '/no/such.pem', "$files" ],
	'rt.ssl_key_file' => ['no_such.key'],
	'rt.program_path' => [ 'lib', '/no/such/folder', "$files/some.pem" ],
	'rt.port' => [ '0', '65536', 'http' ],
	'rt.ping_interval' => [ '5ms', '25 parsecs' ],
	'rt.max_payload' => ['1B'],
	'rt.early_lock_release' => ['sometimes'],
);
my %right = (
	'rt.databases' => [ 'rt', 'rt:4501, other', '"a,b":1:2', '"a:b"' ],
	'rt.listen_addresses' => [ '*', 'localhost, 127.0.0.1, ::1', 'fe80::1%eth0', 'chat-1.example.com' ],
	'rt.media_announced_address' => [ '', '203.0.113.7', '203.0.113.7, 2001:db8::7', 'media.example.com' ],
	'rt.trusted_proxies' => [ '', '127.0.0.1', '10.0.0.0/8, 2001:db8::/32, ::1' ],
	'rt.log_min_messages' => [ 'debug', 'error' ],
	'rt.cors_origins' => [ '*', 'https://*.example.com, https://*.example.com:8443', 'https://app.example.com, http://localhost:3000, capacitor://localhost' ],
	'rt.turn_urls' => [ '', 'turn:turn.example.com', 'turn:192.0.2.1:3478?transport=tcp, turns:[2001:db8::1]:5349' ],
	'rt.ice_transport_policy' => [ 'relay', 'all' ],
	'rt.oidc_issuer' => [ '', 'https://login.example.com', 'https://login.example.com:8443/realms/main', 'http://localhost:3000', 'http://[::1]:3000/' ],
	'rt.oidc_client_id' => [ '', 'rt-web', '0oa2hl2inow5UqpLT5d7.apps example' ],
	'rt.metrics_address' => [ '', '9187', '127.0.0.1:9187', '*:9187', '[::1]:9187', 'localhost:9187' ],
	'rt.conninfo' => [ '', 'host=/tmp port = 5432', q{host='/var/run/a b' password='it\\'s'}, 'postgresql://localhost/rt' ],
	'rt.ssl_cert_file' => [ '', "$files/some.pem", 'PG_VERSION' ],
	'rt.program_path' => [ '', "$files" ],
	'rt.ping_interval' => [ '10s', '1min' ],
	'rt.early_lock_release' => [ 'off', 'local', 'on', 'true' ],
);

sub alter { my ($name, $value) = @_; $value =~ s/'/''/g; return ($cluster->try_sql("ALTER SYSTEM SET $name = '$value'"))[1]; }

for my $name (sort keys %wrong)
{
	my $numeric = $name =~ /port$|interval|payload|min_messages|policy|lock_release/;
	for my $value (@{ $wrong{$name} })
	{
		my $err = alter($name, $value);
		like($err, $numeric ? qr/ERROR:.*(invalid value for parameter|outside the valid range)/
			: qr/ERROR:  invalid value for parameter "\Q$name\E".*DETAIL/s, "$name refuses \"$value\"");
		like($err, qr/HINT:  \w/, '  and hints') unless $numeric || $value =~ /rt, app, rt/;
	}
}
for my $name (sort keys %right)
{
	is(alter($name, $_), '', "$name takes \"$_\"") for @{ $right{$name} };
	$cluster->sql("ALTER SYSTEM RESET $name");
}
unlike($cluster->log, qr/it's/, 'a refused or taken connection string is not in the log at the default level')
	if $cluster->sql('SHOW log_statement') eq 'none';

# A file that has gone is told at a reload, and the old value stays.
alter('rt.ssl_cert_file', "$files/some.pem");
unlink "$files/some.pem";
$cluster->sql('SELECT pg_reload_conf()');
wait_until(sub { $cluster->log =~ /invalid value for parameter "rt\.ssl_cert_file"/ }, 'a file that has gone is told');
is($cluster->sql('SHOW rt.ssl_cert_file'), '', 'and is not used');
like($cluster->sql(q{SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
	EXPLAIN (ANALYZE) SELECT count(*) FROM pg_class}), qr/Workers Launched: 1/, 'nor do parallel queries suffer');
$cluster->sql('ALTER SYSTEM RESET rt.ssl_cert_file');

# ---- one against another ---------------------------------------------------------------------------

for my $case (
	[ 'rt.max_message_size', '2MB', qr/rt\.max_payload is smaller/ ],
	[ 'rt.max_message_size', '2MB', qr/rt\.ring_size is smaller/ ],
	[ 'rt.max_queued_bytes', '16kB', qr/rt\.max_queued_bytes is smaller/ ],
	[ 'rt.rate_burst', '10', qr/rt\.rate_burst is smaller/ ],
	[ 'rt.ssl_key_file', 'PG_VERSION', qr/rt\.ssl_key_file is set, but rt\.ssl_cert_file is not/ ])
{
	my ($name, $value, $told) = @$case;
	$cluster->sql("ALTER SYSTEM SET $name = '$value'");
	$cluster->sql('SELECT pg_reload_conf()');
	wait_until(sub { $cluster->log =~ $told }, "$name = $value is told");
	$cluster->sql("ALTER SYSTEM RESET $name");
}
$cluster->sql('SELECT pg_reload_conf()');
my $port = $cluster->gateway_port;
$cluster->sql('ALTER SYSTEM SET rt.media_workers = 3');
$cluster->sql("ALTER SYSTEM SET rt.media_port = " . ($port - 1));
$cluster->sql('SELECT pg_reload_conf()');
wait_until(sub { $cluster->log =~ /no media for database "rt": the gateway's port $port is one of its media ports/ }, 'overlapping ports are told');

# ---- a port that somebody has ------------------------------------------------------------------------

my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1) or die "listen: $!";
alter('rt.port', $taken->sockport);
$cluster->sql('SELECT pg_reload_conf()');
wait_until(sub { $cluster->log =~ /cannot start: internal error\n.*rt_gateway\[\d+\] (ended with exit code 1|was terminated)/ }, 'a port that is taken is told');
unlike($cluster->log, qr/was terminated by signal 6/, 'and the gateway ends in order');

done_testing();
