# What a database that rt is a guest in may ask: where it is filed, what it needs, who reads what, and what long texts,
# cancelled statements, expired passwords and tools that introspect do.
use strict;
use warnings;

use File::Basename qw(dirname);
use JSON::PP;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.media_workers' => 0, 'rt.max_message_size' => '4MB' });
$cluster->sql(q{SELECT rt.create_user(u, u, 'secret') FROM unnest(ARRAY['ann', 'bob', 'cat']) AS u});
my $room = $cluster->sql(q{SELECT rt.create_room('Team', ARRAY['ann', 'bob'])});
$cluster->sql(q{SELECT rt.create_room('Other', ARRAY['cat'])});
ok(wait_for(sub { $cluster->is_ready }), 'the gateway serves');

# ---- where it is filed -----------------------------------------------------------------

is($cluster->sql("SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'rt'"), 'pg_catalog', 'nobody drops its schema');
$cluster->sql('SET client_min_messages = error; CREATE EXTENSION pgcrypto; DROP EXTENSION pgcrypto CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public');
is($cluster->sql('SELECT count(*) FROM rt.users'), 3, 'DROP SCHEMA public CASCADE and DROP EXTENSION pgcrypto CASCADE leave it');
$cluster->sql('CREATE DATABASE bare');
$cluster->sql('SET client_min_messages = error; DROP SCHEMA public CASCADE', dbname => 'bare');
my (undef, $err, $status) = $cluster->try_sql('CREATE EXTENSION rt', dbname => 'bare');
is($status, 0, 'it needs no schema public, and no other extension') || diag($err);
like($err, qr/NOTICE:  any role may connect to this database and LISTEN to the messages of rt\nHINT:  Run "REVOKE CONNECT ON DATABASE bare FROM PUBLIC"/,
	'and says that any role can listen');
$cluster->sql('CREATE DATABASE shut; ');
$cluster->sql('REVOKE CONNECT ON DATABASE shut FROM PUBLIC');
(undef, $err) = $cluster->try_sql('CREATE EXTENSION rt', dbname => 'shut');
unlike($err, qr/LISTEN/, 'but where none can');

# A hash of pgcrypto's, which older versions stored.
is($cluster->sql(q{SELECT rt_private.crypt('U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.')}), '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW',
	'bcrypt is bcrypt');
is($cluster->sql(q{SELECT count(DISTINCT rt_private.gen_salt('bf', 10)) FROM generate_series(1, 100)}), 100, 'salts are random');
is($cluster->sql(q{SELECT rt_private.password_matches('secret', password_hash) AND NOT rt_private.password_matches('secreT', password_hash) FROM rt.users LIMIT 1}), 't',
	'a password matches its hash alone');

# ---- long texts ---------------------------------------------------------------------------

my %texts = (
	'words' => q{string_agg(md5(i::text) || ' ' || md5((i * 7)::text), ' ') FROM generate_series(1, 60000) i},
	'characters of a script that does not divide words' => q{string_agg(chr((19968 + (i::bigint * 7919) % 20000)::integer), '') FROM generate_series(1, 1300000) i},
	'short words' => q{string_agg(substr(md5(i::text), 1, 1 + i % 5), ' ') FROM generate_series(1, 900000) i},
	'a single word' => q{repeat('x', 4000000)},
	'words of 3,000 letters' => q{string_agg(repeat(chr(97 + i % 26), 3000), ' ') FROM generate_series(1, 1000) i});
for my $name (sort keys %texts)
{
	(undef, $err, $status) = $cluster->try_sql("INSERT INTO rt.messages (room_id, sender_id, content) SELECT $room, 'ann', $texts{$name}");
	is($status, 0, "4 MB: $name") || diag($err);
	is($err, '', 'without a word of the server');
}
is($cluster->sql(q{SELECT count(*) FROM rt.messages WHERE rt_private.search_vector(content) @@ rt_private.search_query(md5('5'))}), 1,
	'what a long message begins with is found');

# ---- who reads what ----------------------------------------------------------------------------

$cluster->sql("SELECT rt.send_message($room, 'ann', 'hi'); SELECT rt.mark_seen($room, 'bob', ARRAY[1]::bigint[]);
	CREATE ROLE reporting LOGIN; GRANT USAGE ON SCHEMA rt TO reporting; GRANT SELECT ON rt.receipts TO reporting;
	CREATE ROLE app LOGIN IN ROLE rt_app");
is($cluster->sql('SELECT room_id, seq, user_id FROM rt.receipts', user => 'reporting'), "$room|1|bob", 'SELECT on rt.receipts is enough to read it');
is($cluster->sql("SET rt.user_id = 'ann'; SELECT count(*) FROM rt.receipts", user => 'app'), 1, 'an application sees what its user may');
is($cluster->sql("SET rt.user_id = 'cat'; SELECT count(*) FROM rt.receipts", user => 'app'), 0, 'and no more');
is($cluster->sql('SELECT count(*) FROM rt.receipts', user => 'app'), 0, 'without a user nothing');

my $SET = "SET rt.user_id = 'ann'";
unlike(($cluster->try_sql($SET, user => 'app'))[1], qr/WARNING/, 'a session of its own may keep its user');
$cluster->sql('ALTER ROLE app SET rt.pooled_sessions = on');
like(($cluster->try_sql("$SET; SET rt.user_id TO 'bob'", user => 'app'))[1], qr/\AWARNING:  rt.user_id outlives the transaction in a pooled session\n(?!.*WARNING)/s,
	'a pooled one is warned, once');
unlike(($cluster->try_sql("BEGIN; SET LOCAL rt.user_id = 'ann'; COMMIT; RESET rt.user_id", user => 'app'))[1], qr/rt.user_id outlives/, 'where it is not SET LOCAL');
$cluster->sql('ALTER ROLE app RESET rt.pooled_sessions');

# ---- strangers -------------------------------------------------------------------------------

my %token = map { $_ => $cluster->sql("SELECT rt.issue_token('$_')") } qw(ann bob cat);
sub as
{
	my ($user, $method, $path, $body) = @_;
	my $answer = $cluster->http($method, $path, headers => { Authorization => "Bearer $token{$user}", 'Content-Type' => 'application/json' },
		$body ? (content => encode_json($body)) : ());
	return ($answer->{status}, $answer->{content} =~ /^\{/ ? decode_json($answer->{content}) : {});
}
sub found { my ($who, $user) = @_; my (undef, $answer) = as($who, 'GET', "/api/users?q=$user"); return (grep { $_->{id} eq $user } @{ $answer->{data} })[0] // {} }

is(found('ann', 'bob')->{status}, 'offline', 'a search shows the status of who shares a room');
is(found('ann', 'cat')->{id}, 'cat', 'it finds strangers');
ok(!exists found('ann', 'cat')->{status}, 'without their status');
is((as('ann', 'POST', '/api/chat/rooms', { kind => 'group', name => 'Open', memberIds => ['cat'] }))[0], 201, 'by default anyone may add anyone');
$cluster->sql("DELETE FROM rt.rooms WHERE name = 'Open'");
$cluster->sql("ALTER SYSTEM SET rt.may_add_users = contacts");
$cluster->sql('SELECT pg_reload_conf()');
my $refused = 0;
# Until a gateway's session has read the setting, it makes the room, which makes them contacts.
sub pull { $cluster->sql("DELETE FROM rt.rooms WHERE name = 'Pulled'"); ($refused) = as('ann', 'POST', '/api/chat/rooms', { kind => 'group', name => 'Pulled', memberIds => ['cat'] }); return $refused == 403; }
wait_until(\&pull,
	'with rt.may_add_users = contacts not strangers');
is((as('ann', 'POST', '/api/chat/rooms', { kind => 'direct', memberIds => ['cat'] }))[0], 403, 'nor into a direct room');
is((as('ann', 'POST', "/api/chat/rooms/$room/members", { userIds => ['cat'] }))[0], 403, 'nor into a room that is there');
isnt(($cluster->try_sql("SET rt.user_id = 'ann'; INSERT INTO rt.room_members (room_id, user_id) VALUES ($room, 'cat')", user => 'app'))[2], 0, 'nor by SQL');
is((as('ann', 'POST', '/api/chat/rooms', { kind => 'group', name => 'Friends', memberIds => ['bob'] }))[0], 201, 'but contacts');
$cluster->sql("INSERT INTO rt.room_members (room_id, user_id) VALUES ($room, 'cat')");
is((as('ann', 'POST', '/api/chat/rooms', { kind => 'direct', memberIds => ['cat'] }))[0], 201, 'who shares a room is one');

# With invitations strangers are asked.
$cluster->sql($_) for "SELECT rt.create_user('eve', 'Eve')", "SELECT rt.create_user('fay', 'Fay')", 'ALTER SYSTEM SET rt.may_add_users = invitation', 'SELECT pg_reload_conf()';
$token{$_} = $cluster->sql("SELECT rt.issue_token('$_')") for qw(eve fay);
my ($made, $asked) = (0, {});
wait_until(sub { ($made, $asked) = as('ann', 'POST', '/api/chat/rooms', { kind => 'group', name => 'Asked', memberIds => [qw(bob eve fay)] }); $made == 201 }, 'with rt.may_add_users = invitation a room is made');
is_deeply($asked->{invited}, [qw(eve fay)], 'strangers are invited');
is($asked->{data}{memberCount}, 2, 'and contacts added');
my $asks = $asked->{data}{id};
is((as('eve', 'GET', "/api/chat/rooms/$asks"))[0], 404, 'who is invited sees nothing of the room');
my (undef, $invitations) = as('eve', 'GET', '/api/users/me/invitations');
is_deeply([map { [@{$_}{qw(roomId roomName invitedBy)}] } @{ $invitations->{data} }], [[$asks, 'Asked', 'ann']], 'but the invitation');
is((as('ann', 'POST', "/api/chat/rooms/$asks/members", { userIds => ['eve'] }))[0], 409, 'who is invited is not invited again');
is((as('cat', 'POST', "/api/users/me/invitations/$asks/accept"))[0], 404, 'nobody else can accept it');
is((as('eve', 'POST', "/api/users/me/invitations/$asks/accept"))[1]{data}{memberCount}, 3, 'who accepts is a member');
is((as('eve', 'POST', "/api/users/me/invitations/$asks/accept"))[0], 404, 'once');
is((as('fay', 'DELETE', "/api/users/me/invitations/$asks"))[0], 200, 'who declines is none');
is((as('ann', 'POST', "/api/chat/rooms/$asks/members", { userIds => ['fay'] }))[0], 409, 'and is not asked again');
is((as('fay', 'GET', '/api/users/me/invitations'))[1]{count}, 0, 'nor has it in the list');
my (undef, $direct) = as('ann', 'POST', '/api/chat/rooms', { kind => 'direct', memberIds => ['fay'] });
is((as('ann', 'POST', "/api/chat/rooms/$direct->{data}{id}/msgs", { content => "say $_" }))[0], 201, 'a direct message to a stranger') for 1, 2;
is((as('fay', 'GET', '/api/chat/rooms'))[1]{count}, 0, 'brings nobody in');
is($cluster->sql("SELECT count(*) FROM rt.room_members WHERE room_id = $direct->{data}{id}"), 1, 'not even by the second one');
is((as('fay', 'POST', "/api/users/me/invitations/$direct->{data}{id}/accept"))[1]{data}{unreadCount}, 0, 'until the stranger accepts');
is((as('fay', 'GET', "/api/chat/rooms/$direct->{data}{id}/msgs"))[1]{data}[1]{content}, "say 2", 'and reads them');
isnt(($cluster->try_sql("SET rt.user_id = 'bob'; INSERT INTO rt.room_members (room_id, user_id) VALUES ($room, 'fay')", user => 'app'))[2], 0, 'SQL of an application cannot add a stranger either');
$cluster->sql("SELECT rt.create_user('gus', 'Gus'); INSERT INTO rt.room_invitations (room_id, user_id, invited_by) VALUES ($asks, 'gus', 'ann')");
is($cluster->sql("SET rt.user_id = 'bob'; SELECT count(*) FROM rt.room_invitations", user => 'app'), 0, 'invitations of others are not seen');
is(($cluster->try_sql("SET rt.user_id = 'bob'; SELECT rt.accept_invitation($asks, 'gus')", user => 'app'))[2] != 0, 1, 'nor accepted');
is($cluster->sql("SET rt.user_id = 'gus'; SELECT rt.accept_invitation($asks, 'gus'); SELECT rt_private.is_member($asks, 'gus')", user => 'app'), "\nt", 'who is invited by SQL accepts by SQL');
is($cluster->sql(q{SELECT string_agg(payload::json->>'action', ' ' ORDER BY pos) FROM rt.events WHERE event = 'chat-room-invitation' AND route::json->'users'->>0 IN ('eve', 'gus')}),
	'invited accepted invited accepted', 'each step is told');

# ---- what tools see --------------------------------------------------------------------------------

is($cluster->sql("SELECT string_agg(column_name, ' ' ORDER BY 1) FROM information_schema.columns WHERE table_schema = 'rt' AND table_name = 'messages'
	AND is_nullable = 'NO' AND column_default IS NULL"), 'room_id', 'of a message only the room has no default');
my $last = $cluster->sql("SELECT max(seq) FROM rt.messages WHERE room_id = $room");
is($cluster->sql("INSERT INTO rt.messages (room_id, seq, sender_id, content, created_at) VALUES ($room, DEFAULT, 'ann', 'x', DEFAULT)
	RETURNING seq - $last, created_at > now() - interval '1 minute'"), '1|t', 'a default is the next number, and now');

# ---- what a DBA adds ---------------------------------------------------------------------------------

is($cluster->sql('SELECT * FROM rt.extra_ddl()'), '', 'nothing of rt\'s own is extra');
$cluster->sql("CREATE INDEX mine ON rt.messages (created_at); CREATE POLICY \"my own\" ON rt.rooms FOR SELECT TO reporting USING (kind = 'group');
	CREATE FUNCTION public.noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER mine AFTER INSERT ON rt.rooms FOR EACH ROW EXECUTE FUNCTION public.noop();
	CREATE TRIGGER off AFTER INSERT ON rt.rooms FOR EACH ROW EXECUTE FUNCTION public.noop(); ALTER TABLE rt.rooms DISABLE TRIGGER off;
	CREATE TRIGGER \"for replicas\" AFTER INSERT ON rt.rooms FOR EACH ROW EXECUTE FUNCTION public.noop(); ALTER TABLE rt.rooms ENABLE REPLICA TRIGGER \"for replicas\"");
# A foreign key sorts before the index that it needs.
$cluster->sql('ALTER TABLE rt.users ADD CONSTRAINT "short names" CHECK (length(name) < 200); ALTER TABLE rt.room_members ADD CONSTRAINT once UNIQUE (user_id, room_id);
	ALTER TABLE rt.rooms ADD CONSTRAINT one_topic EXCLUDE USING hash (topic WITH =) WHERE (topic <> \'any\');
	CREATE TABLE public.teams (id bigint PRIMARY KEY); CREATE UNIQUE INDEX mine_too ON rt.messages (seq, room_id);
	ALTER TABLE rt.rooms ADD CONSTRAINT a_team FOREIGN KEY (id) REFERENCES public.teams DEFERRABLE NOT VALID;
	ALTER TABLE rt.reactions ADD CONSTRAINT a_message FOREIGN KEY (seq, room_id) REFERENCES rt.messages (seq, room_id) ON DELETE CASCADE');
my $drop = 'DROP INDEX rt.mine; DROP POLICY "my own" ON rt.rooms; DROP TRIGGER mine ON rt.rooms; DROP TRIGGER off ON rt.rooms; DROP TRIGGER "for replicas" ON rt.rooms;
	ALTER TABLE rt.users DROP CONSTRAINT "short names"; ALTER TABLE rt.room_members DROP CONSTRAINT once; ALTER TABLE rt.rooms DROP CONSTRAINT one_topic, DROP CONSTRAINT a_team;
	ALTER TABLE rt.reactions DROP CONSTRAINT a_message; DROP INDEX rt.mine_too';
my $extra = $cluster->sql('SELECT * FROM rt.extra_ddl()');
my @extra = split /\n/, $extra;
is(scalar @extra, 13, 'what was added is, and that a trigger does not fire') || diag($extra);
$cluster->sql($drop);
is($cluster->sql('SELECT * FROM rt.extra_ddl()'), '', 'and without it there is nothing');
$cluster->sql($extra);
is($cluster->sql('SELECT * FROM rt.extra_ddl()'), $extra, 'and its statements make it again');
$cluster->sql("$drop; DROP TABLE public.teams");

# Columns with a default, in all tables: the row types of these are in functions and views.
my @tables = split /\n/, $cluster->sql("SELECT oid::regclass FROM pg_class WHERE relnamespace = 'rt'::regnamespace AND relkind = 'r' ORDER BY 1");
for my $table (@tables)
{
	my (undef, $err, $status) = $cluster->try_sql("ALTER TABLE $table ADD COLUMN mine int DEFAULT 1, ADD COLUMN at_times timestamptz DEFAULT clock_timestamp();
		ALTER TABLE $table ALTER COLUMN mine TYPE bigint");
	is($status, 0, "$table takes columns with a default") || diag($err);
}
my ($made_it, $sent) = as('ann', 'POST', "/api/chat/rooms/$room/msgs", { content => 'with a column' });
is($made_it, 201, 'a message can be sent');
my $gone = $sent->{data}{seq};
is((as('bob', 'PUT', "/api/chat/rooms/$room/msgs/$room-$gone/reactions/x"))[0], 200, 'and reacted to');
is($cluster->sql("SELECT mine FROM rt.messages WHERE room_id = $room AND seq = $gone"), 1, 'with the default');
$cluster->sql("DELETE FROM rt.messages WHERE room_id = $room AND seq = $gone");
my (undef, $page) = as('bob', 'GET', "/api/chat/rooms/$room/msgs?limit=1");
is_deeply([@{ $page->{data}[0] }{qw(seq content senderId metadata)}, defined $page->{data}[0]{deletedAt}], [$gone, '', 'ann', undef, 1], 'what is removed is in the history, without its text')
	|| diag(encode_json($page));
is((as('ann', 'POST', '/api/meetings', { title => 'with a column' }))[0], 201, 'a meeting can be made');
$cluster->sql("ALTER TABLE $_ DROP COLUMN mine, DROP COLUMN at_times") for @tables;
is((as('ann', 'POST', "/api/chat/rooms/$room/msgs", { content => 'without it' }))[0], 201, 'and the columns dropped');

# ---- a cancelled statement ----------------------------------------------------------------------------

my $workers = "SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE backend_type LIKE 'rt %' AND (datname = 'rt' OR datname IS NULL)";
my $before = $cluster->sql($workers);
for (1 .. 20)
{
	$cluster->sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'rt %'");
	$cluster->sql("INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($room, 'ann', 'after a cancel')");
}
$cluster->poll_sql("SELECT count(*) FROM rt.events e JOIN rt.messages m USING (room_id, seq) WHERE m.content = 'after a cancel'", 20, 'events go on');
is($cluster->sql($workers), $before, 'pg_cancel_backend() ends no worker');

# ---- an expired password ---------------------------------------------------------------------------------

$cluster->sql("ALTER ROLE rt_gateway VALID UNTIL '2020-01-01'");
kill 'KILL', $cluster->pid('gateway');
ok(wait_for(sub { $cluster->log =~ /LOG:  rt_gateway cannot log in to database "rt": the role's password has expired\n.*HINT:  Run: ALTER ROLE rt_gateway VALID UNTIL 'infinity'/ }),
	'an expired password is named as such');
$cluster->sql("ALTER ROLE rt_gateway VALID UNTIL 'infinity'");
ok(wait_for(sub { $cluster->is_ready }), 'and once it is valid the gateway serves');

# ---- notifications without content ---------------------------------------------------------------------------

$cluster->sql("ALTER SYSTEM SET rt.notify_content = off");
$cluster->sql('SELECT pg_reload_conf()');
$cluster->poll_sql('SHOW rt.notify_content', 'off', 'rt.notify_content = off');
my $token = $cluster->sql("SELECT rt.issue_token('bob')");
my $listener = $cluster->psql_start;
print { $listener->{in} } "LISTEN rt_events;\nSELECT 'listens';\n";
wait_until(sub { $listener->{read}->() =~ /listens/ }, 'somebody listens');
# The relay reads the setting between two batches.
my $n = 0;
wait_until(sub {
	$n++;
	$cluster->sql("INSERT INTO rt.messages (room_id, sender_id, content) VALUES ($room, 'ann', 'Geheim $n')");
	print { $listener->{in} } "SELECT 'asked $n';\n";
	wait_for(sub { $listener->{read}->() =~ /asked $n\b.*"truncated":true/s });
}, 'notifications name the message');
my $from = length $listener->{read}->();
$cluster->sql("SELECT rt.send_message($room, 'ann', 'Geheim \@bob'); UPDATE rt.messages SET content = 'Geheim neu' WHERE room_id = $room AND content = 'Geheim 1';
	SELECT rt.broadcast($room, 'poll-opened', '{\"question\": \"Geheim\"}'); SELECT rt.set_status('ann', 'away', 'out')");
wait_until(sub { print { $listener->{in} } "SELECT;\n"; substr($listener->{read}->(), $from) =~ /poll-opened/ }, 'events of all kinds arrive');
unlike(substr($listener->{read}->(), $from), qr/Geheim/, 'and none has content');
is($cluster->sql("SELECT count(*) > 0 FROM rt.events WHERE payload LIKE '%Geheim%'"), 't', 'which the log has');
$listener->{finish}->();

done_testing();
