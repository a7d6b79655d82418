# The time of day of a cluster's server, or of another program, as a test sets it.
package WallClock;
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;

# Tests that the library is built which the server is to be started with.
sub new
{
	my ($class, $cluster) = @_;
	my $self = bless { cluster => $cluster, library => $cluster->dir . '/wall_clock.so', file => $cluster->dir . '/wall_clock' }, $class;
	is(system('cc', '-shared', '-fPIC', '-o', $self->{library}, dirname(__FILE__) . '/wall_clock.c'), 0, 'a clock that the test can set');
	$self->set(0);
	chmod 0644, $self->{file};
	chmod 0755, $self->{library};
	return $self;
}

# So many seconds ahead of the machine's clock.
sub set
{
	my ($self, $seconds) = @_;
	open(my $file, '+>>:raw', $self->{file}) or die $!;
	truncate $file, 8;
	close $file;
	open($file, '+<:raw', $self->{file}) or die $!;
	print $file pack('q', $seconds);
	close $file;
}

# In front of a command, which has this clock then.
sub with
{
	my ($self) = @_;
	return ('env', "LD_PRELOAD=$self->{library}", "WALL_CLOCK=$self->{file}");
}

# With this clock from then on.
sub restart_server
{
	my ($self) = @_;
	my $cluster = $self->{cluster};
	my (undef, $err, $status) = $cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-w', '-m', 'fast', 'stop');
	is($status, 0, 'the server stops') || diag($err);
	local @ENV{qw(LD_PRELOAD WALL_CLOCK)} = @$self{qw(library file)};
	(undef, $err, $status) = $cluster->server_command('pg_ctl', '-D', $cluster->data_dir, '-l', $cluster->dir . '/server.log', '-w', 'start');
	is($status, 0, 'and starts with that clock') || diag($err);
}

1;
