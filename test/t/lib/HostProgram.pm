# HostProgram: rt_gateway and rt_media started with --config, as on hosts of their own.
#
#   my $gateway = HostProgram->start('rt_gateway', { conninfo => '…', port => free_port() });   # ends with the test
#   wait_until(sub { $gateway->log =~ /ready/ }, 'it serves');
#   $gateway->configure({ … }); kill HUP => $gateway->pid;
#   is($gateway->end('TERM'), 0, 'its exit status');
package HostProgram;

use strict;
use warnings;

use File::Temp;
use HTTP::Tiny;
use POSIX ();
use RtTest;
use Time::HiRes qw(sleep time);

my @running;

# Options: log => 'file' (or the path of another one), before => [ a command and its arguments, such as ip netns exec ].
sub start
{
	my ($class, $program, $settings, %option) = @_;
	my $folder = File::Temp->newdir('rt-host-XXXXXX', TMPDIR => 1);
	my $self = bless { program => $program, folder => $folder, file => "$folder/$program.conf", option => \%option }, $class;
	$self->{log} = $option{log} // "$folder/log";
	$self->configure($settings);
	return $self->launch;
}

# Lines of postgresql.conf's form, or a text as it is.  The file is replaced, as editors do.
sub configure
{
	my ($self, $settings) = @_;
	my $text = ref $settings ? join('', map { "$_ = '" . $settings->{$_} =~ s/\\/\\\\/gr =~ s/'/''/gr . "'\n" } sort keys %$settings) : $settings;
	open(my $out, '>', "$self->{file}.new") or die $!;
	print $out $text;
	close $out;
	rename "$self->{file}.new", $self->{file} or die $!;
}

sub launch
{
	my ($self) = @_;
	chomp(my $bindir = `pg_config --bindir`);
	my $pid = fork() // die $!;
	if ($pid == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', '/dev/null');
		open(STDERR, $self->{log} =~ m{^/dev/} ? '>' : '>>', $self->{log}) or POSIX::_exit(126);
		exec(@{ $self->{option}{before} // [] }, "$bindir/$self->{program}", '--config', $self->{file}) or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	$self->{status} = undef;
	push @running, $self;
	return $self;
}

sub pid { return $_[0]{pid} }
sub log { return -f $_[0]{log} ? RtTest::slurp($_[0]{log}) : '' }

# True once it has ended by itself; exit_status() has how.
sub has_ended
{
	my ($self) = @_;
	return 1 if defined $self->{status};
	return 0 if waitpid($self->{pid}, POSIX::WNOHANG()) != $self->{pid};
	$self->{status} = $?;
	@running = grep { $_ != $self } @running;
	return 1;
}

sub exit_status
{
	my ($self) = @_;
	return !defined $self->{status} ? undef : $self->{status} & 127 ? 'signal ' . ($self->{status} & 127) : $self->{status} >> 8;
}

# Signals it and waits for its end.
sub end
{
	my ($self, $signal) = @_;
	kill $signal => $self->{pid} if !$self->has_ended;
	RtTest::wait_for(sub { $self->has_ended });
	return $self->exit_status;
}

sub get
{
	my ($self, $path) = @_;
	my ($port) = RtTest::slurp($self->{file}) =~ /^port\W+(\d+)/m;
	return HTTP::Tiny->new(timeout => 10)->get("http://127.0.0.1:$port$path");
}

sub is_ready { return $_[0]->get('/readyz')->{status} == 200 }

END
{
	my $status = $?;
	foreach my $self (@running)
	{
		kill KILL => $self->{pid};
		waitpid($self->{pid}, 0);
	}
	$? = $status;
}

1;
