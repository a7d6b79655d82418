# The search index takes new words into a pending list, which is emptied before a sender would have to.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $ENOUGH = 64;
my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 0, 'rt.media_workers' => 0, autovacuum => 'off' });
$cluster->sql('CREATE EXTENSION pgstattuple');
$cluster->sql(q{SELECT rt.create_user('ann', 'Ann'), rt.create_room('r', ARRAY['ann'])});

sub pending { return $cluster->sql(q{SELECT pending_pages FROM pgstatginindex('rt.messages_search_idx')}); }
sub send_many { my ($word) = @_;
	$cluster->sql(qq{INSERT INTO rt.messages (room_id, sender_id, content)
		SELECT 1, 'ann', '$word word' || i || ' and twelve more of them that are short, so that the list gets long ' || i * 7 FROM generate_series(1, 3000) AS i});
}
sub found { my ($word) = @_; return $cluster->sql(qq{SELECT count(*) FROM rt.messages WHERE rt_private.search_vector(content) @@ '$word'::tsquery}); }

send_many('alpha');
is(found('alpha'), 3000, 'words in the list are found');
wait_until(sub { pending() < $ENOUGH }, 'the list is emptied');
is(found('alpha'), 3000, 'and from the tree');

# A few messages stay in the list: to move them one by one would cost what the list saves.
$cluster->sql(q{INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'omega')});
cmp_ok(pending(), '<=', $ENOUGH, 'a short list stays');
is(found('omega'), 1, 'and is searched');
done_testing;
