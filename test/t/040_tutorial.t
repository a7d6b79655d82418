# docs/tutorial.md: its commands, run as they stand there, do what it says.  Only the ports are others.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DocTest;
use File::Temp;
use IO::Socket::INET;
use POSIX ();
use RtTest;
use Test::More;

# An empty PostgreSQL: no database of ours, and the library is not loaded.
my $cluster = RtTest->start(preload => 0);
$cluster->sql('DROP DATABASE rt', dbname => 'postgres');

my $folder = File::Temp->newdir('rt-tutorial-XXXXXX', TMPDIR => 1);
my %port = (4501 => $cluster->gateway_port, 8080 => free_port());
my $page_server;

sub with_ports
{
	my ($text) = @_;
	$text =~ s/\b(4501|8080)\b/$port{$1}/g;
	return $text;
}

sub run_sql
{
	my ($text, $database) = @_;
	my $script = File::Temp->new;
	print $script $text;
	close $script;
	return run_command('psql', '-X', '-v', 'ON_ERROR_STOP=1', '-h', $cluster->host, '-p', $cluster->port,
		'-U', 'postgres', '-d', $database, '-f', $script->filename);
}

sub run_shell
{
	my ($text) = @_;
	return run_command('bash', '-eu', '-o', 'pipefail', '-c', "cd '$folder'\n$text");
}

sub restart
{
	return $cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-l', $cluster->env->{RT_LOG}, '-w', 'restart');
}

sub start_in_background
{
	my ($text) = @_;
	$page_server = fork // die "cannot fork: $!";
	return if $page_server;
	chdir $folder;
	open(STDOUT, '>', '/dev/null');
	open(STDERR, '>', '/dev/null');
	exec 'bash', '-c', "exec $text";
	die "cannot run bash: $!";
}

END
{
	my $status = $?;
	if ($page_server)
	{
		kill 'TERM', $page_server;
		waitpid($page_server, 0);
	}
	$? = $status;
}

# The page's wait for /readyz, against a gateway that takes its time: one that answers "not ready" for a while, as on a
# busy machine.  What is printed is the last answer alone.
sub answers_later
{
	my ($command) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) // die "cannot listen: $!";
	my $url = 'http://127.0.0.1:' . $listener->sockport;
	my $pid = fork // die "cannot fork: $!";
	if (!$pid)
	{
		for my $answer ((['503 Service Unavailable', '{"status":"not ready"}']) x 2, ['200 OK', '{"status":"ok"}'])
		{
			my $client = $listener->accept;
			while (my $line = <$client>)
			{
				last if $line eq "\r\n";
			}
			print $client "HTTP/1.1 $answer->[0]\r\nContent-Length: " . length($answer->[1]) . "\r\nConnection: close\r\n\r\n$answer->[1]";
			close $client;
		}
		POSIX::_exit(0);
	}
	close $listener;
	my ($out, $err, $status) = run_shell($command =~ s{http://localhost:4501}{$url}r);
	kill 'TERM', $pid;
	waitpid($pid, 0);
	return ($out, $status);
}

my ($wait) = grep { $_->{text} =~ m{/readyz} } DocTest::blocks('docs/tutorial.md');
is_deeply([ answers_later($wait->{text}) ], [ '{"status":"ok"}', 0 ], 'the page waits for a gateway that is not ready yet');

my $output = '';
my %do = (
	'sql run' => sub { return run_sql($_[0], $_[1]) },
	'sh run' => sub { return run_shell($_[0]) },
	'sh restart' => sub { return restart() },
);
for my $block (DocTest::blocks('docs/tutorial.md'))
{
	my ($how, @rest) = @{ $block->{words} };
	my $what = "$block->{kind} $how";
	my $text = with_ports($block->{text});
	if ($do{$what})
	{
		my ($out, $err, $status) = $do{$what}->($text, @rest);
		is($status, 0, "line $block->{line}: $what") || diag($out, $err);
		$output = $out;
	}
	elsif ($what eq 'text output')
	{
		ok(DocTest::looks_like($output, $text), "line $block->{line}: its output") || diag("expected:\n$text\ngot:\n$output");
	}
	elsif ($what eq 'html file')
	{
		open(my $file, '>', "$folder/$rest[0]") or die "cannot write $rest[0]: $!";
		print $file $text;
		close $file;
	}
	elsif ($what eq 'sh background')
	{
		start_in_background($text);
	}
	else
	{
		fail("line $block->{line}: nobody knows how to do \"$what\"");
	}
}

my $http = HTTP::Tiny->new(timeout => 60);
my $origin = "http://localhost:$port{8080}";
wait_until(sub { $http->get("$origin/")->{status} == 200 }, 'the page is served');
like($http->get("$origin/node_modules/socket.io-client/dist/socket.io.esm.min.js")->{content}, qr/socket\.io/i, 'and its library');
is($cluster->http('GET', '/healthz', headers => { origin => $origin })->{headers}{'access-control-allow-origin'}, $origin,
	'the gateway lets the page in');
is($cluster->sql('SELECT string_agg(seq::text, \' \' ORDER BY seq) FROM rt.messages', dbname => 'chat'), '1 2 3 4', 'what was sent');

done_testing();
