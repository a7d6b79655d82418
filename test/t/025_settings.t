# Settings that a DBA makes for people's sessions stop neither the workers nor the programs; a database may have any
# name and any owner; an encoding that rt cannot serve is refused.
use strict;
use warnings;

use File::Basename qw(dirname);
use JSON::PP;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.media_workers' => 0 });
$cluster->sql(q{SELECT rt.create_user('ann', 'Ann', 'correct horse'); SELECT rt.create_room('Room', ARRAY['ann'])});
my $token = $cluster->sql("SELECT rt.issue_token('ann', '1 hour')");

# ---- hostile settings -----------------------------------------------------------

my %hostile = (
	statement_timeout => '100ms', lock_timeout => '1ms', idle_in_transaction_session_timeout => '1ms', idle_session_timeout => '1s',
	default_transaction_read_only => 'on', default_transaction_isolation => 'serializable', default_transaction_deferrable => 'on',
	default_tablespace => '', search_path => 'nowhere', datestyle => 'German', timezone => 'Asia/Kolkata', intervalstyle => 'iso_8601',
	extra_float_digits => '-15', bytea_output => 'escape', standard_conforming_strings => 'off', row_security => 'off',
);
# A login is a transaction too, and over before a session can set anything: less than it takes ends everybody's.
$hostile{transaction_timeout} = '50ms' if $cluster->sql('SHOW server_version_num') >= 170000;

# For our own sessions these are undone.
my $undo = join ' ', map { "-c $_=0" } grep { /timeout/ } keys %hostile;
$ENV{PGOPTIONS} = "$undo -c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed";
$cluster->sql("ALTER SYSTEM SET $_ = '$hostile{$_}'") for sort keys %hostile;
$cluster->sql(qq{ALTER DATABASE rt SET $_ = '$hostile{$_}'}) for sort keys %hostile;
$cluster->sql('CREATE ROLE nobody; ALTER DATABASE rt SET role = nobody');
$ENV{PGOPTIONS} .= ' -c role=none';
my (undef, $err, $status) =
  $cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-l', $cluster->dir . '/server.log', '-m', 'fast', '-w', 'restart');
is($status, 0, 'a server with settings that fit no worker') || diag($err);
wait_until(sub { $cluster->is_ready }, 'the gateway serves');

sub send_message
{
	my $answer = $cluster->http('POST', '/api/chat/rooms/1/msgs',
		headers => { authorization => "Bearer $token", 'content-type' => 'application/json' }, content => '{"content":"by REST"}');
	return $answer->{status} == 201 ? decode_json($answer->{content})->{data} : diag("$answer->{status} $answer->{content}");
}

my $message = send_message();
like($message->{createdAt} // '', qr/^\d{4}-\d\d-\d\dT[\d:.]+Z$/, 'a message is sent by REST, and its time looks as ever');
my $login = $cluster->http('POST', '/auth', headers => { 'content-type' => 'application/json' },
	content => '{"username":"ann","password":"correct horse"}');
is($login->{status}, 200, 'a user logs in by password') || diag($login->{content});
$cluster->poll_sql("SELECT count(*) FROM rt.events WHERE event = 'new-chat-message'", 1, 'the relay logs it');
$cluster->poll_sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('rt relay', 'rt supervisor', 'rt launcher')}, 3,
	'all workers run');

# Sessions that wait are not cut off: the gateway's are older than idle_session_timeout.
$cluster->poll_sql(q{SELECT count(*) > 3 FROM pg_stat_activity WHERE usename = 'rt_gateway' AND backend_start < now() - interval '2 s'}, 't',
	'connections of the gateway stay');
$cluster->sql(q{SELECT rt.create_room('Old', ARRAY['ann']); INSERT INTO rt.messages (room_id, sender_id, content, created_at) VALUES (2, 'ann', 'old', now() - interval '1 year')});
$cluster->sql(q{ALTER SYSTEM SET rt.retain_messages = '1 d'});
$cluster->sql('SELECT pg_reload_conf()');
$cluster->poll_sql(q{SELECT count(*) FROM rt.messages WHERE content = 'old'}, 0, 'and retention does its work');
my ($log) = $cluster->log =~ /.*database system is ready(.*)/s;
# On PostgreSQL 17 and later a login is a transaction, which a busy machine may not make in time; it is tried again.
my $late = qr/(?:25P04: )?terminating connection due to transaction timeout/;
my $logins = () = $log =~ /connection failed: .*$late/g;
my $ended = () = $log =~ /\] \w+\@\w+ FATAL:  $late/g;
is($ended, $logins, 'no connection is cut off but at its login');
$log =~ s/^.*FATAL:  $late.*$//mg;
unlike($log, qr/rt relay: |canceling statement|read-only transaction|terminating connection due to/, 'nothing complains');

$cluster->sql("ALTER SYSTEM RESET $_") for 'rt.retain_messages', keys %hostile;
delete $ENV{PGOPTIONS};
$cluster->sql('SELECT pg_reload_conf()', dbname => 'postgres');

# ---- names and owners ----------------------------------------------------------

{
	my $name = q{It's "odd" \\ näme};
	(my $quoted = $name) =~ s/"/""/g;
	my $port = free_port();
	$cluster->sql(qq{CREATE ROLE "the owner" LOGIN}, dbname => 'postgres');
	$cluster->sql(qq{CREATE DATABASE "$quoted" OWNER "the owner"}, dbname => 'postgres');
	$cluster->sql('SET client_min_messages = error; CREATE EXTENSION rt CASCADE', dbname => $name);
	(my $value = qq{rt, "$quoted":$port}) =~ s/'/''/g;
	$cluster->sql("ALTER SYSTEM SET rt.databases = '$value'", dbname => 'postgres');
	$cluster->sql('SELECT pg_reload_conf()', dbname => 'postgres');
	$cluster->poll_sql("SELECT state FROM rt.stat_programs WHERE kind = 'gateway'", 'ready', 'a database of an odd name is served', dbname => $name);
	wait_until(sub { HTTP::Tiny->new(timeout => 5)->get("http://127.0.0.1:$port/readyz")->{status} == 200 }, 'at its port');
	$cluster->sql(q{SELECT rt.create_user('ann', 'Ann'); SELECT rt.create_room('Room', ARRAY['ann']);
		SELECT rt.send_message(1, 'ann', 'x')}, dbname => $name);
	$cluster->poll_sql("SELECT count(*) FROM rt.events WHERE event = 'new-chat-message'", 1, 'its relay logs', dbname => $name);
	(undef, $err) = run_command($cluster->psql_command(user => 'the owner', dbname => 'postgres'), '-c', qq{DROP DATABASE "$quoted"});
	is($err, '', 'and its owner drops it');
}

# ---- encodings -------------------------------------------------------------------

for my $encoding (qw(LATIN1 SQL_ASCII))
{
	$cluster->sql("CREATE DATABASE plain TEMPLATE template0 ENCODING '$encoding' LOCALE 'C'", dbname => 'postgres');
	(undef, $err, $status) = $cluster->try_sql('CREATE EXTENSION rt CASCADE', dbname => 'plain');
	like($err, qr/rt needs a database with encoding UTF8.*HINT:/s, "a database in $encoding is refused");
	$cluster->sql('DROP DATABASE plain', dbname => 'postgres');
}

done_testing();
