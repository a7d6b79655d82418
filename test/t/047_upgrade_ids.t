# An update from 1.1 where users have ids that 1.2 refuses: they get others, and keep all that is theirs.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0 });

$cluster->sql('CREATE DATABASE old', dbname => 'postgres');
my $sql = sub { $cluster->sql($_[0], dbname => 'old') };
$sql->(q{SET client_min_messages = warning; CREATE EXTENSION rt VERSION '1.1' CASCADE});
$sql->(q{SELECT rt.create_user(id, initcap(id), 'secret', 'name' || n) FROM unnest(ARRAY['.', '..', 'dot', 'bob']) WITH ORDINALITY AS t (id, n)});
my $room = $sql->(q{SELECT rt.create_room('Room', ARRAY['.', 'bob', '..'])});
$sql->(qq{SELECT rt.send_message($room, '.', 'from dot'), rt.send_message($room, '..', 'from dots')});
$sql->(qq{INSERT INTO rt.reactions (room_id, seq, user_id, emoji) VALUES ($room, 1, '..', '+1')});
$sql->(q{INSERT INTO rt.rooms (kind, direct_key) VALUES ('direct', rt_private.direct_key('.', 'bob')), ('direct', rt_private.direct_key('.', '..'))});
$sql->(q{INSERT INTO rt.room_members (room_id, user_id) SELECT id, unnest(rt_private.direct_users(direct_key)) FROM rt.rooms WHERE kind = 'direct'});

my $told = $sql->(q{SET client_min_messages = error; ALTER EXTENSION rt UPDATE; SELECT extversion FROM pg_extension WHERE extname = 'rt'});
is($told, '1.2', 'the update succeeds');
is($sql->(q{SELECT string_agg(id || ' ' || username, ', ' ORDER BY username) FROM rt.users}), 'dot-2 name1, dot-dot name2, dot name3, bob name4',
	'ids are other ones, names are as they were');
is($sql->(qq{SELECT string_agg(sender_id || ': ' || content, ', ' ORDER BY seq) FROM rt.messages WHERE room_id = $room}),
	'dot-2: from dot, dot-dot: from dots', 'their messages');
is($sql->(qq{SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM rt.room_members WHERE room_id = $room}), 'bob dot-2 dot-dot', 'their rooms');
is($sql->(q{SELECT user_id FROM rt.reactions}), 'dot-dot', 'their reactions');
is($sql->(q{SELECT count(*) FROM rt.rooms AS r WHERE kind = 'direct' AND rt_private.direct_users(direct_key) <@ ARRAY(SELECT user_id FROM rt.room_members WHERE room_id = r.id)}),
	2, 'direct rooms are of the same two');
is($sql->(q{SELECT count(*) FROM rt.room_members AS m WHERE NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = m.user_id)}), 0, 'nothing refers to nobody');
is($sql->(q{SELECT rt.create_room('Again', ARRAY['dot-2', 'bob']) > 0}), 't', 'they go on');
my (undef, $err) = run_command('psql', '-X', '-h', $cluster->env->{PGHOST}, '-p', $cluster->env->{PGPORT}, '-U', 'postgres', '-d', 'old', '-c',
	q{SELECT rt.create_user('.', 'Dot', 'secret')});
like($err, qr/invalid user id "\."/, 'no new one gets such an id');

done_testing();
