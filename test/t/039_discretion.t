# The programs' statements in the DBA's log: seen as any client's, and never with a secret in them.  And the roles that the
# programs log in as: nobody's settings stop them, and CREATE EXTENSION adopts none with rights that it must not have.
use strict;
use warnings;

use File::Basename qw(dirname);
use JSON::PP;
use Test::More;
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(
	settings => {
		'rt.media_workers' => 1,
		log_statement => 'all',
		log_min_duration_statement => 0,
		log_min_error_statement => 'debug5',
		log_error_verbosity => 'verbose',
		session_preload_libraries => 'auto_explain',
		'auto_explain.log_min_duration' => 0,
		'auto_explain.log_verbose' => 'on',
		'auto_explain.log_analyze' => 'on',
		'auto_explain.log_nested_statements' => 'on',
		track_activity_query_size => '64kB',
	});

# Each secret has this word in it, so that a part of one is found too.
my $WORD = 'Geheimnis';
my $count = 0;
sub secret { return "$WORD-" . ++$count . ' ä' }
# Without what the log would have of it.
sub quietly
{
	local $ENV{PGOPTIONS} = '-c log_statement=none -c log_min_duration_statement=-1 -c auto_explain.log_min_duration=-1';
	return $cluster->sql(@_);
}
sub log_lines { my $pattern = shift; return grep { /$pattern/ } split /\n/, $cluster->log }

sub request
{
	my ($method, $path, $body, $token) = @_;
	my $answer = $cluster->http($method, $path,
		headers => { 'Content-Type' => 'application/json', $token ? (Authorization => "Bearer $token") : () },
		defined $body ? (content => ref $body ? JSON::PP->new->utf8->encode($body) : $body) : ());
	return ($answer->{status}, $answer->{content} =~ /^\s*[\{\[]/ ? decode_json($answer->{content}) : {});
}

# ---- requests with secrets, right and wrong ------------------------------------------

wait_until(sub { $cluster->is_ready }, 'the gateway serves');
quietly("SELECT rt.create_user('ann', 'Ann', 'first-password')");
my $begin = length $cluster->log;
my @tokens;
for (1 .. 6)    # a prepared statement gets another plan after the fifth time
{
	my ($status, $answer) = request('POST', '/auth', { username => 'ann', password => 'first-password' });
	is($status, 200, 'a login') or diag(explain($answer));
	push @tokens, $answer->{data}{token} // $answer->{token} // (), $answer->{data}{refreshToken} // ();
	($status) = request('POST', '/auth', { username => 'ann', password => secret() });
	is($status, 401, 'a refused one');
}
my $token = $tokens[0];
my $old = 'first-password';
for (1 .. 6)
{
	my $new = secret();
	my ($status, $answer) = request('PUT', '/api/users/me/password', { old => $old, new => $new }, $token);
	is($status, 200, 'a password changes') or diag(explain($answer));
	$old = $new;
	($status, $answer) = request('POST', '/auth', { username => 'ann', password => $old });
	$token = $answer->{data}{token} // $answer->{token} // $token;
	($status, $answer) = request('POST', '/api/meetings', { title => 'Weekly', password => secret() }, $token);
	ok($status < 300, 'a meeting with a password') or diag(explain($answer));
	my $id = $answer->{data}{id};
	request('PUT', "/api/meetings/$id", { password => secret() }, $token);
	request('PATCH', "/api/meetings/$id", { password => secret() }, $token);
	request('POST', "/api/meetings/$id/join", { password => secret() }, $token);
	request('POST', "/api/meetings/$id/guests", { name => 'Gast', password => secret() });
	my (undef, $factor) = request('POST', '/api/users/me/two-factor', { password => $old }, $token);
	my $totp = $factor->{data}{secret} // '';
	push @tokens, $totp if length $totp > 8;
	push @tokens, grep { length > 4 } @{ $factor->{data}{recoveryCodes} // [] };
}

# Bodies that the server cannot read: its errors quote what they could not take.
my $bad = secret();
request('POST', '/auth', $_)
	for qq({"username":"ann","password":"$bad\\u0000"}), qq({"username":"ann","password":"$bad\\ud800"}),
	qq({"username":"ann","password":"$bad","x":1e400000}), qq({"username":{"a":"$bad"},"password":["$bad"]}), qq({"password":"$bad"),
	qq({"username":"ann","password":"$bad","lifetime":99999999999999999999});

my $seen = quietly("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%$WORD%' AND pid <> pg_backend_pid()");
is($seen, 0, 'pg_stat_activity has no secret');
my $log = substr($cluster->log, $begin);
for my $secret (grep { defined && length } $WORD, 'first-password', @tokens)
{
	my ($line) = grep { index($_, $secret) >= 0 && !/pg_stat_activity/ } split /\n/, $log;
	ok(!defined $line, 'a secret is not in the log') || diag($line);
}

# ---- ... and all else is there --------------------------------------------------------

like($log, qr/LOG:  \S+  ?duration: [\d.]+ ms +(?:bind|execute|parse) auth: SELECT rt_api\.auth/, 'the duration of a statement') ;
like($log, qr/Query Text: SELECT rt_api\.auth/, 'its plan');
like($log, qr/Query Text: (?!SELECT rt_api)/, 'and those of what the functions do');
is($cluster->sql("SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
	WHERE r.rolname IN ('rt_gateway', 'rt_media') AND c LIKE 'log_min_messages%'"), 0, 'the programs\' roles do not keep quiet');
is($cluster->sql("SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
	WHERE r.rolname IN ('rt_gateway', 'rt_media') AND c IN ('log_parameter_max_length=0', 'log_parameter_max_length_on_error=0')"), 4,
	'but for parameters');

# ---- settings of roles and databases ---------------------------------------------------

$cluster->sql("ALTER SYSTEM RESET session_preload_libraries");
$cluster->sql("ALTER ROLE rt_gateway SET statement_timeout = '1ms'");
$cluster->sql("ALTER ROLE rt_gateway IN DATABASE rt SET lock_timeout = '1ms'");
$cluster->sql("ALTER ROLE rt_media SET log_min_messages = fatal");
# In one session: another would have a millisecond for the next.
$cluster->sql("ALTER DATABASE rt SET session_replication_role = replica;
	ALTER DATABASE rt SET default_transaction_read_only = on;
	ALTER DATABASE rt SET statement_timeout = '1ms'");
my (undef, undef, $restarted) = $cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-w', '-m', 'fast', '-l', $cluster->env->{RT_LOG}, 'restart');
is($restarted, 0, 'the server starts again');
sub calm { local $ENV{PGOPTIONS} = '-c statement_timeout=0 -c session_replication_role=origin -c default_transaction_read_only=off'; return $cluster->sql(@_) }
ok(wait_for(sub { $cluster->is_ready }), 'the gateway serves all the same');
is(calm("SELECT string_agg(c, ' ') FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
	WHERE r.rolname IN ('rt_gateway', 'rt_media') AND c IN ('statement_timeout=1ms', 'lock_timeout=1ms', 'log_min_messages=fatal')"), '',
	'what was set for the roles is gone');
calm("ALTER ROLE rt_gateway SET statement_timeout = '2ms'");
calm('SELECT pg_reload_conf()');
ok(wait_for(sub { calm("SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
	WHERE r.rolname = 'rt_gateway' AND c = 'statement_timeout=2ms'") == 0 }), 'a reload takes such a setting away, too');
calm("ALTER ROLE rt_gateway SET statement_timeout = '2ms'; ALTER ROLE rt_media IN DATABASE rt SET work_mem = '1MB'");
ok(wait_for(sub { calm("SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
	WHERE r.rolname IN ('rt_gateway', 'rt_media') AND c IN ('statement_timeout=2ms', 'work_mem=1MB')") == 0 }), 'so does the supervisor by itself');
like($cluster->log, qr/LOG: .*removed settings of role "rt_gateway"\n.*DETAIL:  (?=.*statement_timeout=1ms)/, 'the log tells of it');
my ($status, $answer) = request('POST', '/auth', { username => 'ann', password => $old });
is($status, 200, 'a login');
$token = $answer->{data}{token} // $answer->{token};
my $events = calm('SELECT count(*) FROM rt.events');
($status, $answer) = request('POST', '/api/chat/rooms', { kind => 'group', name => 'Team', memberIds => [] }, $token);
ok($status < 300, 'a room') or diag(explain($answer));
my $room = $answer->{data}{id} // $answer->{data}{roomId};
($status, $answer) = request('POST', "/api/chat/rooms/$room/msgs", { content => 'hello' }, $token);
ok($status < 300, 'a message') or diag(explain($answer));
ok(wait_for(sub { calm('SELECT count(*) FROM rt.events') > $events }), 'which is an event');
calm("ALTER DATABASE rt RESET ALL");

# New sessions are not stopped by what somebody sets for the role, even before the supervisor sees it: it is stopped here.
my ($supervisor) = $cluster->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'rt supervisor'");
kill 'STOP', $supervisor;
my %hostile = (statement_timeout => '1ms', lock_timeout => '1ms', idle_session_timeout => '1ms', idle_in_transaction_session_timeout => '1ms',
	default_transaction_read_only => 'on', default_transaction_isolation => 'serializable', search_path => 'nowhere', row_security => 'off',
	exit_on_error => 'on', client_encoding => 'LATIN1', 'plpgsql.extra_errors' => 'all', TimeZone => 'Asia/Kolkata', DateStyle => 'German',
	IntervalStyle => 'sql_standard', bytea_output => 'escape', extra_float_digits => '-15', array_nulls => 'off', standard_conforming_strings => 'off',
	transform_null_equals => 'on', role => 'rt_media');
$hostile{transaction_timeout} = '1ms' if $cluster->sql('SHOW server_version_num') >= 170000;
$cluster->sql('GRANT rt_media TO rt_gateway');
for my $place ('', ' IN DATABASE rt')
{
	$cluster->sql("ALTER ROLE rt_gateway$place SET $_ = '$hostile{$_}'") for sort keys %hostile;
	my $old = $cluster->sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'rt_gateway'");
	cmp_ok($old, '>', 3, 'sessions end');
	ok(wait_for(sub { !$cluster->is_ready }), 'the gateway sees it');
	ok(wait_for(sub { $cluster->is_ready }), "new ones are as they should be: ALTER ROLE$place");
	($status, $answer) = request('POST', "/api/chat/rooms/$room/msgs", { content => "h\xe9llo$place" }, $token);
	is($status, 201, 'a message') or diag(explain($answer));
	is($cluster->sql("SELECT content = U&'h\\00e9llo$place' FROM rt.messages WHERE room_id = $room ORDER BY seq DESC LIMIT 1"), 't', 'as it was sent');
	like($answer->{data}{createdAt} // '', qr/^20\d\d-\d\d-\d\dT[\d:.]+Z$/, 'with its time') or diag(explain($answer));
}
is($cluster->sql("SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
	WHERE r.rolname = 'rt_gateway' AND c = 'exit_on_error=on'"), 2, 'and nobody has taken it away meanwhile');
$cluster->sql('REVOKE rt_media FROM rt_gateway');
kill 'CONT', $supervisor;
ok(wait_for(sub { $cluster->sql("SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
	WHERE r.rolname = 'rt_gateway' AND c = 'exit_on_error=on'") == 0 }), 'the supervisor does when it goes on');

# ---- a role of the DBA's ------------------------------------------------------------------

# As gateways on other hosts have: nothing is set for it.
$cluster->sql("CREATE ROLE gw LOGIN PASSWORD 'gw' IN ROLE rt_gateway");
my $behind = length $cluster->log;
my $conninfo = "host=127.0.0.1 port=@{[$cluster->port]} user=gw password=gw";
$cluster->sql("ALTER SYSTEM SET rt.conninfo = '$conninfo'");
$cluster->sql('SELECT pg_reload_conf()');
$cluster->poll_sql("SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'gw'", 't', 'the gateway logs in by it');
wait_until(sub { $cluster->is_ready && $cluster->sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'rt_gateway'") == 0 }, 'and serves');
my $wrong = secret();
is((request('POST', '/auth', { username => 'ann', password => $wrong }))[0], 401, 'a wrong password') for 1 .. 7;
is((request('POST', '/auth', { username => 'ann', password => $old }))[0], 200, 'the right one');
$log = substr($cluster->log, $behind);
like($log, qr/gw.*LOG:  |LOG:  .*duration: [\d.]+ ms +(?:bind|execute) auth: SELECT rt_api\.auth/, 'the statement is logged');
unlike($log, qr/\Q$_\E/, 'without what the client sent') for $wrong, $old;
$cluster->sql('ALTER SYSTEM RESET rt.conninfo');
$cluster->sql('SELECT pg_reload_conf()');

# ---- roles that were there --------------------------------------------------------------

sub create_with
{
	my ($role, $right, $undo) = @_;
	$cluster->sql($right);
	my (undef, $err, $status) = $cluster->try_sql('CREATE EXTENSION rt CASCADE', dbname => 'fresh');
	isnt($status, 0, "CREATE EXTENSION refuses after $right");
	like($err, qr/role "$role" exists and has rights that it must not have/, 'it says which role');
	$cluster->sql($undo);
}

$cluster->sql('CREATE DATABASE fresh TEMPLATE template0 ENCODING \'UTF8\'');
create_with('rt_gateway', "ALTER ROLE rt_gateway $_", "ALTER ROLE rt_gateway NO$_") for qw(SUPERUSER CREATEROLE CREATEDB REPLICATION BYPASSRLS);
create_with('rt_media', 'GRANT pg_read_server_files TO rt_media', 'REVOKE pg_read_server_files FROM rt_media');
create_with('rt_app', 'CREATE ROLE middle; GRANT pg_write_all_data TO middle; GRANT middle TO rt_app', 'DROP ROLE middle');
create_with('rt_app', 'CREATE TABLE public.theirs (a integer); ALTER TABLE public.theirs OWNER TO rt_app', 'DROP TABLE public.theirs');
$cluster->sql('CREATE EXTENSION rt CASCADE', dbname => 'fresh');
pass('it takes them without');

done_testing();
