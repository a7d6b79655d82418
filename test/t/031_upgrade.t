# From each release to this version: the catalog becomes that of a fresh install, the data stay, sessions, numbers and
# tokens go on.  Until the update the programs wait; SQL works, and its events reach SQL listeners.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtCatalog;
use RtTest;

my $ROOT = abs_path(dirname(__FILE__) . '/../..');
my ($version) = slurp("$ROOT/rt.control") =~ /^default_version = '(.*)'/m;
my @released = map { /rt--(.*)\.sql$/ } glob("$ROOT/extension/released/rt--*.sql");
cmp_ok(scalar @released, '>=', 1, 'there are releases');

my $cluster = RtTest->start(settings => { 'rt.databases' => 'rt' });
my $serving = "SELECT count(*) FROM rt.stat_programs WHERE state = 'ready'";
$cluster->poll_sql($serving, '2', 'both programs serve');
$cluster->sql('CREATE DATABASE fresh', dbname => 'postgres');
$cluster->sql('SET client_min_messages = warning; CREATE EXTENSION rt CASCADE', dbname => 'fresh');
my @fresh = RtCatalog::lines($cluster, 'fresh');
cmp_ok(scalar(grep { /^function rt_api\./ } @fresh), '>', 50, 'the catalog is read');

# The columns of the tables as the release has them; what the update adds is not looked at.
sub columns_query
{
	return join(' UNION ALL ', map { "SELECT '$_->[0]', (SELECT x FROM (SELECT $_->[1]) AS x)::text FROM $_->[0] AS t" } map { [ split /\|/ ] }
		  split /\n/, $cluster->sql("SELECT attrelid::regclass || '|' || string_agg('t.' || quote_ident(attname), ', ' ORDER BY attnum)
			FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
				AND attrelid IN (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'rt')
				AND attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r') GROUP BY attrelid")) . ' ORDER BY 1, 2';
}

sub post_message
{
	my ($token, $content) = @_;
	return $cluster->http('POST', '/api/chat/rooms/1/msgs', content => encode_json({ content => $content }),
		headers => { Authorization => "Bearer $token", 'Content-Type' => 'application/json' });
}

sub update_from
{
	my ($old) = @_;
	$cluster->sql('DROP EXTENSION rt');
	$cluster->sql("CREATE EXTENSION rt VERSION '$old' SCHEMA public CASCADE");
	wait_until(sub { $cluster->log =~ /WARNING:  extension rt has version \Q$old\E in database "rt", its library is version \Q$version\E/ },
		'the log tells of the old version');
	like($cluster->log, qr/HINT:  Run "ALTER EXTENSION rt UPDATE" in this database\./, 'and what to do');

	my ($listener, $session) = ($cluster->psql_start, $cluster->psql_start);
	$cluster->write_sample(20);
	$cluster->sql("INSERT INTO rt.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (901, 'rises'), (902, 'does not'), (903, 'is empty');
		INSERT INTO rt.messages (room_id, sender_id, content, created_at)
		SELECT r.id, 'ann', 'minute ' || i, timestamptz '2026-01-01T00:00:00Z' + CASE WHEN r.id = 902 AND i = 7 THEN 2 ELSE i END * interval '1 minute'
		FROM rt.rooms AS r, generate_series(1, 10) AS i WHERE r.id IN (901, 902)");
	print { $listener->{in} } "LISTEN rt_events;\nSELECT 'listens';\n";
	wait_until(sub { $listener->{read}->() =~ /listens/ }, 'somebody listens');
	print { $session->{in} } "PREPARE say (text) AS SELECT 'said ' || rt.send_message(1, 'bob', \$1);\n";
	is($cluster->sql($serving), 0, 'the programs wait');
	print { $session->{in} } "EXECUTE say('before');\n";
	wait_until(sub { $session->{read}->() =~ /said 22\b/ }, 'a session writes');
	wait_until(sub { print { $listener->{in} } "SELECT;\n"; $listener->{read}->() =~ /"content" ?: ?"before"/ }, 'and a SQL listener sees it');
	for my $view (split /\n/, $cluster->sql("SELECT oid::regclass FROM pg_class WHERE relkind = 'v' AND relnamespace = 'rt'::regnamespace ORDER BY 1"))
	{
		my (undef, $err, $status) = $cluster->try_sql("SELECT * FROM $view");
		is($status, 0, "$view can be read") || diag($err);
	}
	my $token = $cluster->sql("SELECT rt.issue_token('ann')");
	$cluster->sql('ALTER TABLE rt.users ADD CONSTRAINT mine CHECK (length(name) < 100)');
	my $query = columns_query();
	my $before = $cluster->sql($query);
	like($before, qr/message 20/, 'there are data');

	$cluster->sql('ALTER EXTENSION rt UPDATE');
	is($cluster->sql('SELECT * FROM rt.extra_ddl()'), 'ALTER TABLE rt.users ADD CONSTRAINT mine CHECK ((length(name) < 100));', 'a constraint of before is told from those of rt');
	$cluster->sql('ALTER TABLE rt.users DROP CONSTRAINT mine');
	my @differences = RtCatalog::differences(\@fresh, [ RtCatalog::lines($cluster, 'rt') ]);
	is(scalar @differences, 0, 'the catalog is that of a fresh install (else: extension/upgrade/draft)') || diag(join("\n", map { tr/\x01/\n/r } @differences));
	is($cluster->sql($query), $before, 'the data are as they were');
	$cluster->sql('SET client_min_messages = error; DROP EXTENSION pgcrypto CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public');
	is($cluster->sql($query), $before, 'nor does DROP … CASCADE of what it was installed with take them along');
	is($cluster->sql("SELECT r.id, coalesce(r.newest_at AT TIME ZONE 'UTC', '-infinity') FROM rt.rooms AS r WHERE r.id > 900 ORDER BY 1"),
		"901|2026-01-01 00:10:00\n902|infinity\n903|-infinity", 'in which rooms times rise is known');
	is($cluster->sql("SELECT r.newest_at = (SELECT max(m.created_at) FROM rt.messages AS m WHERE m.room_id = 1) FROM rt.rooms AS r WHERE r.id = 1"), 't',
		'that of samples too');
	is($cluster->sql("SELECT rt_private.password_matches('secret', u.password_hash) FROM rt.users AS u WHERE u.id = 'ann'"), 't',
		'a password of before is good');
	print { $session->{in} } "EXECUTE say('after');\n";
	wait_until(sub { $session->{read}->() =~ /said 23\b/ }, 'the session goes on, with the next number');
	wait_until(sub { print { $listener->{in} } "SELECT;\n"; $listener->{read}->() =~ /"content" ?: ?"after"/ }, 'and so does the listener');
	wait_until(sub { $cluster->is_ready }, 'the programs serve');
	my $answer = post_message($token, 'by REST');
	is($answer->{status}, 201, 'a token of before is good') || diag($answer->{content});
	is(decode_json($answer->{content})->{data}{seq}, 24, 'and gets the next number');
	$_->{finish}->() for $session, $listener;
}

for my $old (@released)
{
	subtest "from $old" => sub { update_from($old) };
}

# ---- one that is not restarted ----------------------------------------------------

# The library of another version, as far as the step can see it.
for my $step (glob("$ROOT/extension/upgrade/rt--*--$version.sql"))
{
	my ($guard) = slurp($step) =~ /^(DO \$\$.*?\$\$;)/ms;
	$guard =~ s/'\Q$version\E'/'9.9'/g;
	my (undef, $err) = $cluster->try_sql($guard);
	like($err, qr/ERROR:  the server runs an older version of rt.*\n.*HINT:  Restart the server/s, 'a server that was not restarted refuses the update');
}

# A program that finds the settings of an older library on descriptor 3.
chomp(my $folder = `pg_config --pkglibdir`);
for my $program ('rt_gateway', 'rt_media')
{
	my (undef, $err, $status) = run_command('sh', '-c', qq{printf '%s\\n' '{"settings":{"port":1}}' | "$folder/$program" 3<&0});
	isnt($status, 0, "$program does not serve an older library");
	like($err, qr/the server runs version 1\.0 of rt, this program is version \Q$version\E: restart the server/, 'and says why');
}

done_testing();
