# Functions and operators that somebody else has made, and that fit better or come first, are never called with more rights
# than the caller's: not by functions, triggers, defaults, views or policies, and not while the extension is created.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.media_workers' => 0 });

# ---- what the catalog says --------------------------------------------------------------

my $ours = "p.pronamespace::regnamespace::text IN ('rt', 'rt_api', 'rt_private')";
my $fixed = q{coalesce(p.proconfig, '{}') && ARRAY['search_path=pg_catalog, pg_temp', 'search_path="pg_catalog", "pg_temp"']};
# A body that CREATE FUNCTION has parsed (RETURN) holds oids: no path changes what it calls.
my $bound = "($fixed OR p.prosqlbody IS NOT NULL)";
is($cluster->sql("SELECT p.oid::regprocedure FROM pg_proc p WHERE $ours AND p.prosecdef AND NOT $fixed ORDER BY 1"), '',
	'each function with the owner\'s rights has a fixed search path');
is($cluster->sql(<<"END"), '', 'so has each function that is not in C, or a parsed body');
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE $ours AND l.lanname <> 'c' AND NOT $bound ORDER BY 1
END
is($cluster->sql(<<"END"), '', 'and trigger functions');
SELECT DISTINCT p.oid::regprocedure::text FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang
WHERE $ours AND l.lanname <> 'c' AND NOT $fixed ORDER BY 1
END

# ---- a schema of traps ---------------------------------------------------------------------

# Each trap notes who runs it, in a table that the attacker owns.  "Fits better": for the very types that rt's columns and
# expressions have, where pg_catalog has a function of anyelement, numeric or text.
my $traps = <<'END';
CREATE FUNCTION evil.note(what text) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	IF pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on'
		OR current_user OPERATOR(pg_catalog.<>) 'mallory'::pg_catalog.name AND current_user OPERATOR(pg_catalog.<>) 'victim'::pg_catalog.name THEN
		PERFORM pg_catalog.set_config('evil.caught', pg_catalog.concat(what, ' as ', current_user), false);
		RAISE WARNING 'TRAPPED: % as %', what, current_user;
	END IF;
	RETURN 1;
END $$;
END
for (['=', 'eq'], ['<>', 'ne'], ['<', 'lt'], ['>', 'gt'], ['<=', 'le'], ['>=', 'ge'])
{
	my ($operator, $name) = @$_;
	for my $type (qw(text bigint integer boolean timestamptz name jsonb oid interval varchar))
	{
		$traps .= <<"END";
CREATE FUNCTION evil.$name(a $type, b $type) RETURNS boolean LANGUAGE plpgsql AS \$\$
BEGIN PERFORM evil.note('$operator $type'); RETURN a OPERATOR(pg_catalog.$operator) b; END \$\$;
CREATE OPERATOR evil.$operator (LEFTARG = $type, RIGHTARG = $type, FUNCTION = evil.$name);
END
	}
}
my %functions = (
	'lower(a text)' => 'text', 'lower(a varchar)' => 'text', 'coalesce_(a text)' => 'text', 'length(a text)' => 'integer',
	'octet_length(a text)' => 'integer', 'octet_length(a varchar)' => 'integer', 'char_length(a text)' => 'integer', 'substr(a text, b integer)' => 'text',
	'count(a bigint)' => 'bigint', 'clock_timestamp()' => 'timestamptz', 'now()' => 'timestamptz', 'transaction_timestamp()' => 'timestamptz',
	'current_setting(a text, b boolean)' => 'text', 'current_setting(a text)' => 'text', 'set_config(a text, b text, c boolean)' => 'text',
	'to_char(a timestamp, b text)' => 'text', 'array_to_json(a text[])' => 'json', 'cardinality(a text[])' => 'integer', 'cardinality(a bigint[])' => 'integer', 'unnest(a text[])' => 'text',
	'unnest(a bigint[])' => 'bigint', 'jsonb_typeof(a jsonb)' => 'text', 'jsonb_array_elements(a jsonb)' => 'jsonb', 'json_build_object(a text, b text)' => 'json',
	'jsonb_build_object(a text, b text)' => 'jsonb', 'array_agg_(a text)' => 'text', 'format(a text, b text)' => 'text', 'left(a text, b integer)' => 'text',
	'greatest_(a bigint)' => 'bigint', 'to_tsvector(a unknown, b text)' => 'tsvector', 'crypt(a text, b text)' => 'text', 'gen_salt(a text, b integer)' => 'text',
	'sha256(a bytea)' => 'bytea', 'encode(a bytea, b text)' => 'text', 'pg_has_role(a name, b oid, c text)' => 'boolean', 'pg_has_role(a name, b oid, c unknown)' => 'boolean',
	'date_trunc(a text, b timestamp)' => 'timestamp', 'btrim(a text)' => 'text', 'strpos(a text, b text)' => 'integer', 'pg_size_bytes(a text)' => 'bigint');
for my $signature (sort keys %functions)
{
	my $type = $functions{$signature};
	next if $signature =~ /unknown/;
	$traps .= "CREATE FUNCTION evil.$signature RETURNS $type LANGUAGE plpgsql AS \$\$ BEGIN PERFORM evil.note('$signature'); RETURN NULL; END \$\$;\n";
}
for (['||', 'text', 'text', 'text'], ['||', 'bigint', 'text', 'text'], ['||', 'jsonb', 'jsonb', 'jsonb'], ['->>', 'jsonb', 'text', 'text'], ['->', 'jsonb', 'text', 'jsonb'],
	['+', 'bigint', 'integer', 'bigint'], ['+', 'bigint', 'bigint', 'bigint'], ['-', 'timestamptz', 'interval', 'timestamptz'], ['~', 'text', 'text', 'boolean'],
	['!~', 'text', 'text', 'boolean'], ['@>', 'bigint[]', 'bigint[]', 'boolean'])
{
	my ($operator, $left, $right, $result) = @$_;
	my $name = 'op' . length($traps);
	$traps .= <<"END";
CREATE FUNCTION evil.$name(a $left, b $right) RETURNS $result LANGUAGE plpgsql AS \$\$ BEGIN PERFORM evil.note('$operator $left'); RETURN NULL; END \$\$;
CREATE OPERATOR evil.$operator (LEFTARG = $left, RIGHTARG = $right, FUNCTION = evil.$name);
END
}
# Tables of rt's names, where a name without its schema would find them first.
$traps .= "CREATE VIEW evil.$_ AS SELECT evil.note('$_');\n" for qw(users rooms room_members messages events keys pg_namespace pg_extension);

$cluster->sql(<<'END');
CREATE ROLE mallory LOGIN IN ROLE rt_app;
CREATE ROLE victim LOGIN IN ROLE rt_app;
CREATE SCHEMA evil AUTHORIZATION mallory;
SELECT rt.create_user('mallory', 'Mallory', 'secret'), rt.create_user('ann', 'Ann', 'secret');
SELECT rt.create_room('Room', ARRAY['mallory', 'ann']);
SELECT rt.create_meeting('Meeting', host => 'mallory', room => 1);
END
my ($out, $err, $status) = $cluster->try_sql($traps, user => 'mallory');
is($status, 0, 'the traps are set') || diag($err);

# They do work, where somebody lets them.
(undef, $err) = $cluster->try_sql("SET search_path = evil, pg_catalog; SELECT 1 WHERE 'a'::text = 'b'::text");
like($err, qr/TRAPPED: = text as postgres/, 'a trap catches who walks into it');

# ---- as an ordinary user, with the traps first in the path ----------------------------------

my @paths = ('evil, pg_catalog, pg_temp', 'evil, rt, pg_catalog', 'pg_temp, evil, pg_catalog');
my @statements = (
	"INSERT INTO rt.messages (room_id, sender_id, content, metadata) VALUES (1, 'mallory', 'hi \@ann', '{\"mentions\": [\"ann\"]}')",
	"SELECT rt.send_message(1, 'mallory', 'by function', client_id => 'c1')",
	"UPDATE rt.messages SET content = 'edited' WHERE room_id OPERATOR(pg_catalog.=) 1 AND seq OPERATOR(pg_catalog.=) 1",
	"DELETE FROM rt.messages WHERE room_id OPERATOR(pg_catalog.=) 1 AND seq OPERATOR(pg_catalog.=) 2",
	"INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES (1, 3, 'mallory', 'x')",
	"SELECT rt.mark_seen(1, 'mallory', ARRAY[1]::bigint[])", "SELECT rt.mark_delivered(1, 'mallory', ARRAY[1]::bigint[])",
	"INSERT INTO rt.receipts (room_id, seq, user_id, seen_at) VALUES (1, 1, 'mallory', pg_catalog.now())",
	"SELECT rt.create_room('Mine', ARRAY['mallory', 'ann'])", "SELECT rt.create_direct_room('mallory', 'ann')",
	"SELECT rt.set_status('mallory', 'away', 'out')", "SELECT rt.broadcast(1, 'custom', '{\"a\": 1}')",
	"UPDATE rt.rooms SET name = 'renamed' WHERE id OPERATOR(pg_catalog.=) 1",
	"INSERT INTO rt.room_members (room_id, user_id) VALUES (2, 'ann') ON CONFLICT DO NOTHING",
	"UPDATE rt.room_members SET role = 'admin' WHERE user_id OPERATOR(pg_catalog.=) 'ann'",
	"DELETE FROM rt.room_members WHERE user_id OPERATOR(pg_catalog.=) 'ann'",
	"SELECT rt.create_meeting('M', host => 'mallory', password => 'x')", "SELECT rt.set_meeting_password(1, 'x')",
	"INSERT INTO rt.meetings (title, host_id) VALUES ('direct', 'mallory')",
	"UPDATE rt.meetings SET locked = true WHERE id OPERATOR(pg_catalog.=) 1",
	"INSERT INTO rt.meeting_invitees (meeting_id, user_id) VALUES (1, 'ann')",
	"INSERT INTO rt.meeting_messages (meeting_id, sender_id, message) VALUES (1, 'mallory', 'x')",
	"SELECT rt.start_meeting(1)", "SELECT rt.end_meeting(1)", "SELECT rt.kick_participant(1)", "SELECT rt.mute_participant(1)",
	"SELECT * FROM rt.users, rt.rooms, rt.room_members, rt.messages, rt.reactions, rt.receipts, rt.presence",
	"SELECT * FROM rt.meetings, rt.meeting_participants, rt.meeting_messages",
	"UPDATE rt.users SET name = 'M' WHERE id OPERATOR(pg_catalog.=) 'mallory'", "DELETE FROM rt.rooms");

sub attack
{
	my ($path, $user, @more) = @_;
	my $script = join ";\n", "SET rt.user_id = 'mallory'", "SET search_path = $path", 'SET client_min_messages = warning', @statements, @more;
	my $session = $cluster->psql_start(user => $user);
	print { $session->{in} } "\\set ON_ERROR_STOP 0\n$script;\nSELECT pg_catalog.concat('the ', 'end');\n";
	wait_for(sub { $session->{read}->() =~ /the end/ }, 30);
	my $output = $session->{read}->();
	$session->{finish}->();
	return $output;
}

for my $path (@paths)
{
	my $output = attack($path, 'mallory');
	like($output, qr/the end/, "statements with the path $path");
	unlike($output, qr/TRAPPED/, 'nothing of the attacker\'s ran with more rights') || diag($output =~ /(TRAPPED.*)/);
}

# Operators that lie: views and policies ask functions that run with the caller's path.
$cluster->sql(<<'END', user => 'mallory');
SET search_path = evil, pg_catalog;
CREATE OR REPLACE FUNCTION evil.eq(a name, b name) RETURNS boolean LANGUAGE sql AS $$ SELECT a OPERATOR(pg_catalog.=) 'evil'::name $$;
CREATE OR REPLACE FUNCTION evil.eq(a text, b text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
END
is($cluster->sql("SET search_path = evil, pg_catalog; SELECT rt_private.trusted(), rt_private.caller(), rt_private.actor() IS NULL", user => 'mallory'),
	'f|mallory|t', 'who asks is asked of the server alone');
is($cluster->sql("SET search_path = evil, pg_catalog; SET rt.user_id = 'mallory'; SELECT rt_private.actor()", user => 'mallory'), 'mallory', 'and for whom');

# Objects in pg_temp, which is searched first for tables and types whatever the path says.
my @temporary = map { "CREATE TEMP VIEW $_ AS SELECT evil.note('temporary $_') AS id" } qw(users rooms room_members messages events keys added removed made gone);
unshift @statements, @temporary;
my $output = attack('pg_catalog', 'mallory');
unlike($output, qr/TRAPPED/, 'nor with temporary objects of rt\'s names') || diag($output =~ /(TRAPPED.*)/);
splice @statements, 0, scalar @temporary;

# The owner, too, may have a bad path: what rt itself does then is safe, and what it makes of other events.
$output = attack('evil, pg_catalog', 'postgres', "SELECT rt.create_user('new', 'New', 'secret'), rt.set_password('new', 'other'), rt.issue_token('new'), rt.rotate_key(), rt.disconnect_user('new')",
	"SELECT rt.verify_token('x')", (map { "SELECT * FROM rt.$_" } qw(stat_gateway stat_rooms stat_connections stat_meetings stat_media stat_media_workers stat_programs stat_relay)), "DELETE FROM rt.users WHERE id OPERATOR(pg_catalog.=) 'new'");
unlike($output, qr/TRAPPED/, 'nothing ran as the owner who has the traps in his own path') || diag($output =~ /(TRAPPED.*)/);

# By event and REST: the role of the gateway, with a path that somebody gave it.
$cluster->sql('GRANT USAGE ON SCHEMA evil TO PUBLIC; ALTER ROLE rt_gateway SET search_path = evil, pg_catalog');
my $before = $cluster->pid('gateway');
$cluster->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rt_gateway'");
my $login;
wait_until(
	sub {
		$login = $cluster->http('POST', '/auth', content => '{"username":"ann","password":"secret"}', headers => { 'content-type' => 'application/json' });
		return $login->{status} == 200;
	},
	'logging in, once the gateway is back with that path');
my ($token) = $login->{content} =~ /"token"\s*:\s*"([^"]+)"/;
my %as_ann = (headers => { 'content-type' => 'application/json', authorization => "Bearer $token" });
is($cluster->http('POST', '/api/chat/rooms', %as_ann, content => '{"kind":"group","name":"r","memberIds":["mallory"]}')->{status}, 201, 'making a room');
my ($room) = $cluster->sql("SELECT max(id) FROM rt.rooms");
is($cluster->http('POST', "/api/chat/rooms/$room/msgs", %as_ann, content => '{"content":"hi @mallory"}')->{status}, 201, 'a message');
is($cluster->http('GET', '/api/chat/search?q=hi', %as_ann)->{status}, 200, 'a search');
is($cluster->http('POST', '/api/meetings', %as_ann, content => '{"title":"m","password":"x","access":"anyone"}')->{status}, 201, 'a meeting');
unlike($cluster->log, qr/TRAPPED: (?!= text as postgres)/, 'and no trap was sprung');

# ---- while the extension is created -----------------------------------------------------------

# Somebody who may create in the schema public, and in the database, before the administrator comes.
$cluster->sql('CREATE DATABASE fresh', dbname => 'postgres');
$cluster->sql('GRANT CREATE ON SCHEMA public TO mallory; GRANT CREATE ON DATABASE fresh TO mallory; CREATE SCHEMA evil AUTHORIZATION mallory; GRANT USAGE ON SCHEMA evil TO PUBLIC', dbname => 'fresh');
(my $public = $traps) =~ s/CREATE (FUNCTION|OPERATOR|VIEW) evil\.(?!note)/CREATE $1 public./g;
$public =~ s/FUNCTION = evil\./FUNCTION = public./g;
(undef, $err, $status) = $cluster->try_sql($public, user => 'mallory', dbname => 'fresh');
is($status, 0, 'traps in the schema public') || diag($err);
(undef, $err, $status) = $cluster->try_sql('CREATE EXTENSION rt CASCADE', dbname => 'fresh');
is($status, 0, 'the extension is created all the same') || diag($err);
unlike($err, qr/TRAPPED/, 'and nothing of the attacker\'s ran');
is($cluster->sql(<<"END", dbname => 'fresh'), '', 'nor is any of it part of rt now');
SELECT DISTINCT d.classid::regclass, d.objid, d.refobjid FROM pg_depend d
WHERE d.deptype = 'n' AND (d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT oid FROM pg_proc WHERE proowner = 'mallory'::regrole)
	OR d.refclassid = 'pg_operator'::regclass AND d.refobjid IN (SELECT oid FROM pg_operator WHERE oprowner = 'mallory'::regrole))
	AND NOT EXISTS (SELECT FROM pg_proc p WHERE d.classid = 'pg_proc'::regclass AND p.oid = d.objid AND p.proowner = 'mallory'::regrole)
	AND NOT EXISTS (SELECT FROM pg_operator o WHERE d.classid = 'pg_operator'::regclass AND o.oid = d.objid AND o.oprowner = 'mallory'::regrole)
	AND NOT EXISTS (SELECT FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND c.relowner = 'mallory'::regrole)
END

# A schema or table of rt's names is refused, never taken over.
for my $made ('CREATE SCHEMA rt', 'CREATE SCHEMA rt_private')
{
	$cluster->sql('DROP EXTENSION IF EXISTS rt', dbname => 'fresh');
	$cluster->sql($made, user => 'mallory', dbname => 'fresh');
	(undef, $err, $status) = $cluster->try_sql('CREATE EXTENSION rt CASCADE', dbname => 'fresh');
	isnt($status, 0, "after $made by somebody else the extension is not created");
	like($err, qr/schema "rt\w*" already exists/, 'with an error that says why');
	my ($schema) = $made =~ /(rt\w*)/;
	$cluster->sql("DROP SCHEMA $schema", user => 'mallory', dbname => 'fresh');
}

done_testing();
