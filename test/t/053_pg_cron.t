# The recipe for pg_cron in docs/identity.md, as it stands there, follows the keys of a provider; only the address, the name of the
# database and the time are others.  pg_cron looks at its jobs once a minute, so this takes up to a minute.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp;
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64url);
use RtTest;
use Test::More;

chomp(my $libraries = qx{pg_config --pkglibdir});
plan skip_all => 'pg_cron is not installed: run test/install-deps cron' unless -e "$libraries/pg_cron.so";

my $ISSUER = 'https://login.example.com/realms/main';
my $CERTS = "$ISSUER/protocol/openid-connect/certs";

# ---- a provider: its key, and the answers of its jwks_uri -------------------------------------------------

my $folder = File::Temp->newdir('rt-cron-XXXXXX', TMPDIR => 1);

sub openssl
{
	my (@arguments) = @_;
	open(my $out, '-|', 'openssl', @arguments) or die "cannot run openssl: $!";
	binmode $out;
	my $result = do { local $/; <$out> };
	close $out or die "openssl @arguments";
	return $result;
}

openssl('genpkey', '-algorithm', 'ed25519', '-out', "$folder/key.pem");
my $x = encode_base64url(substr(openssl('pkey', '-in', "$folder/key.pem", '-pubout', '-outform', 'DER'), -32));
my $jwks = qq({"keys":[\n{"kty":"OKP","crv":"Ed25519","kid":"new","x":"$x"}\n\n]}\n);

sub token
{
	my ($claims) = @_;
	my $input = join '.', map { encode_base64url($_) } '{"alg":"EdDSA","kid":"new"}', $claims;
	open(my $file, '>', "$folder/input") or die "cannot write: $!";
	print $file $input;
	close $file;
	return "$input." . encode_base64url(openssl('pkeyutl', '-sign', '-rawin', '-inkey', "$folder/key.pem", '-in', "$folder/input"));
}

# /realms/main answers the key set, all else an error.
sub serve
{
	my ($listener) = @_;
	while (my $client = $listener->accept)
	{
		my $request = <$client> // '';
		while (defined(my $line = <$client>)) { last if $line =~ /^\r?$/ }
		my ($status, $body) = $request =~ m{^GET /realms/main/} ? ('200 OK', $jwks) : ('500 Internal Server Error', 'broken');
		print $client "HTTP/1.0 $status\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
		close $client;
	}
	exit 0;
}

my $listener = IO::Socket::INET->new(Listen => 10, LocalAddr => '127.0.0.1') or die "cannot listen: $!";
my $provider = fork // die "cannot fork: $!";
serve($listener) if !$provider;
my $port = $listener->sockport;
close $listener;
my $owner = $$;
END { kill('TERM', $provider) if $provider && $owner == $$ }

# ---- the recipe ----------------------------------------------------------------------------------------

my $page = slurp("$FindBin::Bin/../../docs/identity.md");
my ($settings, $recipe) = $page =~ /^With the extension pg_cron(?:.+\n)+\n((?: {4}.*\n)+)\n.+\n\n((?: {4}.*\n)+)/m
	or die 'the page has no recipe';
s/^ {4}//gm for $settings, $recipe;

my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0, 'rt.port' => free_port() });
open(my $conf, '>>', $cluster->data_dir . '/postgresql.auto.conf') or die "cannot write: $!";
print $conf $settings =~ s/'app'/'rt'/r;
close $conf;
$cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-l', $cluster->env->{RT_LOG}, '-w', 'restart');
is($cluster->sql('SHOW cron.database_name'), 'rt', 'pg_cron is loaded beside rt');

my $old = '{"keys":[{"kty":"oct","kid":"old","k":"' . encode_base64url('x' x 32) . '"}]}';
$cluster->sql("SELECT rt.create_user('alice', 'Alice')");
$cluster->sql("SELECT rt.add_issuer('$ISSUER', ARRAY['chat'], '$old')");
my $local = "http://127.0.0.1:$port/realms/main/certs";
($recipe =~ s/\Q$CERTS\E/$local/) == 1 or die 'the recipe has another address';
($recipe =~ s/'0 \* \* \* \*'/'* * * * *'/) == 1 or die 'the recipe has another time';
$cluster->sql($recipe);

# A second provider is down.
$cluster->sql("SELECT rt.add_issuer('https://down.example.com', ARRAY['chat'], '$old')");
$cluster->sql($recipe =~ s/^CREATE (?:EXTENSION|SCHEMA) .*\n//gmr =~ s/follow\.keys/follow.down/gr =~ s/'jwks'/'down'/r
	=~ s/\Q$ISSUER\E/https:\/\/down.example.com/r =~ s/realms\/main\/certs/down/r);
is($cluster->sql("SELECT count(*) FROM cron.job WHERE active"), 2, 'two jobs');

my $kids = "SELECT string_agg(kid, ' ') FROM rt_private.issuer_keys WHERE issuer =";
wait_until(sub { $cluster->sql("$kids '$ISSUER'") eq 'new' }, 'the job has fetched the new key, and the old one is gone');
wait_until(sub { $cluster->sql("SELECT count(DISTINCT j.jobname) FROM cron.job_run_details AS d JOIN cron.job AS j USING (jobid)
	WHERE d.status IN ('succeeded', 'failed')") == 2 }, 'both jobs have run');
is($cluster->sql("SELECT string_agg(DISTINCT j.jobname || ' ' || d.status, ', ' ORDER BY j.jobname || ' ' || d.status)
	FROM cron.job_run_details AS d JOIN cron.job AS j USING (jobid) WHERE d.status IN ('succeeded', 'failed')"), 'down failed, jwks succeeded', 'one failed');
like($cluster->sql("SELECT return_message FROM cron.job_run_details WHERE status = 'failed' LIMIT 1"), qr/program "curl .*" failed/, 'and pg_cron says why');
is($cluster->sql("$kids 'https://down.example.com'"), 'old', 'its keys stay');
my $now = time;
is($cluster->sql(sprintf "SELECT rt.verify_token('%s')", token(sprintf '{"iss":"%s","aud":"chat","sub":"alice","exp":%d}', $ISSUER, $now + 300)), 'alice',
	'a token by the new key is taken');

done_testing();
