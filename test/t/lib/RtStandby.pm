# RtStandby: a hot standby of a cluster of RtTest, or of another standby, on ports of its own; it ends with the test.
#
#   my $standby = RtStandby->new($primary, settings => { 'rt.gateway_workers' => 1 });     # replicates
#   $standby->catch_up; $standby->promote; $standby->sql('SELECT 1'); $standby->http('GET', '/readyz')
package RtStandby;

use strict;
use warnings;

use File::Temp;
use HTTP::Tiny;
use RtTest;
use Test::More;

my @running;
my $count = 0;

# Options: settings => { name => value }; name => application_name of its replication.
sub new
{
	my ($class, $primary, %option) = @_;
	my $number = ++$count;
	my $root = File::Temp->newdir('rt-standby-XXXXXX', TMPDIR => 1);
	chown((getpwnam('postgres'))[ 2, 3 ], "$root") if $> == 0;
	my $self = bless { root => $root, primary => $primary, host => "$root", folder => "$root/data",
		port => free_port(), gateway_port => free_port(), media_port => free_port(), option => \%option }, $class;
	my $name = $option{name} // "standby$number";
	my (undef, $err, $status) = $primary->server_command('pg_basebackup', '-R', '-c', 'fast', '-X', 'stream', '-D', $self->{folder},
		'-d', "host=@{[$primary->host]} port=@{[$primary->port]} user=postgres application_name=$name");
	die "pg_basebackup: $err" if $status != 0;
	$self->start;
	return $self;
}

sub start
{
	my ($self) = @_;
	my %settings = (unix_socket_directories => "$self->{root}", 'rt.port' => $self->{gateway_port}, 'rt.media_port' => $self->{media_port}, 'rt.media_workers' => 0,
		%{ $self->{option}{settings} // {} });
	my $options = join(' ', "-p $self->{port}", map { "-c $_='$settings{$_}'" } sort keys %settings);
	my (undef, $err, $status) = $self->server_command('pg_ctl', '-D', $self->{folder}, '-l', "$self->{folder}.log", '-w',
		'-o', $options, 'start');
	die "standby does not start: $err" . slurp("$self->{folder}.log") if $status != 0;
	push @running, $self;
}

sub stop
{
	my ($self, $mode) = @_;
	@running = grep { $_ != $self } @running;
	$self->server_command('pg_ctl', '-D', $self->{folder}, '-m', $mode // 'fast', '-w', 'stop');
}

END
{
	my $status = $?;
	$_->stop('immediate') for @running;
	$? = $status;
}

sub host { return $_[0]{host} }
sub port { return $_[0]{port} }
sub folder { return $_[0]{folder} }
sub log { return slurp("$_[0]{folder}.log") }

sub server_command { my $self = shift; return $self->{primary}->server_command(@_) }

sub try_sql
{
	my ($self, $sql, %option) = @_;
	return run_command('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', $self->{host}, '-p', $self->{port}, '-U', $option{user} // 'postgres',
		'-d', 'rt', '-c', $sql);
}

sub sql
{
	my ($self, $sql, %option) = @_;
	my ($out, $err, $status) = $self->try_sql($sql, %option);
	die "$sql\nfailed on the standby: $err" if $status != 0;
	chomp $out;
	return $out;
}

# Waits until it has replayed what the primary has written so far, flushed or not: the event log is flushed a little later.
sub catch_up
{
	my ($self) = @_;
	my $lsn = $self->{primary}->sql('SELECT pg_current_wal_insert_lsn()');
	wait_for(sub { $self->sql("SELECT pg_last_wal_replay_lsn() >= '$lsn'") eq 't' }) or die 'the standby does not catch up';
}

sub promote
{
	my ($self) = @_;
	my (undef, $err, $status) = $self->server_command('pg_ctl', '-D', $self->{folder}, '-w', 'promote');
	die "promote: $err" if $status != 0;
}

sub http
{
	my ($self, $method, $path, %option) = @_;
	return HTTP::Tiny->new(timeout => 10)->request($method, "http://127.0.0.1:$self->{gateway_port}$path", \%option);
}

1;
