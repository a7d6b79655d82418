# The kernel's out-of-memory killer, or somebody's kill -9: whoever is hit, everything is there again within seconds, and
# nothing that was committed is lost.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(sleep time);

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $cluster = RtTest->start;
$cluster->sql(q{SELECT rt.create_user('ann', 'Ann'); SELECT rt.create_room('Room', ARRAY['ann'])});

sub pids { my ($type) = @_; return split /\n/, $cluster->sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' AND pid <> pg_backend_pid()"); }

sub start_server
{
	my (@prefix) = @_;
	my @command = ('pg_ctl', '-D', $cluster->data_dir, '-l', $cluster->dir . '/server.log', '-w', 'start');
	my (undef, $err, $status) = @prefix ? run_command(@prefix, server_path(@command)) : $cluster->server_command(@command);
	is($status, 0, 'the server starts') || diag($err);
}

sub server_path
{
	my ($program, @arguments) = @_;
	chomp(my $bindir = `pg_config --bindir`);
	return ("$bindir/$program", @arguments);
}

# Everything serves, once, and the log has each message.
sub all_is_there
{
	my ($name) = @_;
	wait_until(sub { $cluster->is_ready }, "$name: the gateway serves");
	my $seq;
	wait_for(sub { $seq = ($cluster->try_sql(q{INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'next') RETURNING seq}))[0]; $seq });
	chomp $seq;
	$cluster->poll_sql(q{SELECT count(DISTINCT seq) || ' of ' || (SELECT last_seq FROM rt.rooms WHERE id = 1) || ' of ' || max(seq)
		FROM rt.events WHERE event = 'new-chat-message'}, "$seq of $seq of $seq", "$name: every message is told");
	wait_until(sub { scalar(my @g = $cluster->pid('gateway')) == 1 && scalar(my @m = $cluster->pid('media')) == 1 }, "$name: there is one of each program");
}

# The relay that runs; none while the server does not answer.
sub relay_now
{
	my ($out) = $cluster->try_sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'rt relay'});
	return ($out // '') =~ /(\d+)/ ? $1 : 0;
}

# Kills one while somebody writes.  all_anew: the server ends its other processes for it and starts again.
sub kill_under_load
{
	my ($pid, $name, %option) = @_;
	my $relay = relay_now();
	my $writer = $cluster->psql_start;
	my $count = $cluster->sql('SELECT last_seq FROM rt.rooms WHERE id = 1');
	print { $writer->{in} } "DO \$\$ BEGIN FOR i IN 1 .. 1000000 LOOP INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1, 'ann', 'load'); COMMIT; END LOOP; END \$\$;\n";
	$cluster->poll_sql("SELECT last_seq > $count + 20 FROM rt.rooms WHERE id = 1", 't', "$name: somebody writes");
	my $begun = time;
	$pid = $cluster->sql("SELECT pid FROM pg_stat_activity WHERE query LIKE 'DO %'") if $pid eq 'writer';
	kill 'KILL', $pid;
	wait_until(sub { !process_is_alive($pid) }, "$name is killed");
	# What answers at first may not have heard of it yet.
	wait_until(sub { my $now = $cluster->is_ready && relay_now(); $now && ($now != $relay) == !!$option{all_anew} },
		"$name: the server serves");
	took_less(15, time - $begun, "$name: within seconds");
	my ($out) = $cluster->try_sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %'});
	$writer->{finish}->();
	all_is_there($name);
}

# ---- a program: nobody else notices ----------------------------------------------

my $postmaster_start = $cluster->sql('SELECT pg_postmaster_start_time()');
my ($relay) = pids('rt relay');
kill_under_load($cluster->pid('media'), 'media');
kill_under_load($cluster->pid('gateway'), 'gateway');
is(join(' ', pids('rt relay')), $relay, 'no worker has noticed');

# ---- a process with shared memory: the server starts all of them anew -------------------

for my $type ('rt launcher', 'rt supervisor', 'rt relay')
{
	my @programs = map { $cluster->pid($_) } qw(gateway media);
	kill_under_load((pids($type))[0], $type, all_anew => 1);
	is(scalar(grep { process_is_alive($_) } @programs), 0, "$type: no program of before is left");
}
kill_under_load('writer', 'backend', all_anew => 1);
is($cluster->sql('SELECT pg_postmaster_start_time()'), $postmaster_start, 'the postmaster is the same');

# ---- whom the kernel would choose ------------------------------------------------------

SKIP:
{
	my $may_protect = $> == 0 && system(q{sh -c 'echo -900 > /proc/self/oom_score_adj' 2> /dev/null}) == 0;
	skip('oom_score_adj cannot be lowered here', 6) unless $may_protect;
	$cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-m', 'fast', '-w', 'stop');
	start_server('sh', '-c', 'echo -900 > /proc/self/oom_score_adj; exec runuser -u postgres -- "$@"', 'sh');
	wait_until(sub { $cluster->is_ready && $cluster->pid('media') }, 'a protected server serves');
	is(slurp('/proc/' . $cluster->pid('postmaster') . '/oom_score_adj'), "-900\n", 'the postmaster is protected');
	is(slurp('/proc/' . $cluster->pid($_) . '/oom_score_adj'), "0\n", "$_ is not") for qw(gateway media);
}

done_testing();
