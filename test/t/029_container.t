# Who may log in to the container's database: container/access, on a cluster of the tests.
use strict;
use warnings;

use File::Basename qw(dirname);
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $ACCESS = dirname(__FILE__) . '/../../container/access';
my $PASSWORD = q(it's a "secret" \ here);
my $cluster = RtTest->start(settings => { 'rt.gateway_workers' => 1, 'rt.media_workers' => 0 });

sub access_function { return run_command('sh', '-c', ". '$ACCESS'; \"\$@\"", 'access', @_) }

# By TCP, as from outside of the container; result: output, errors, status.
sub outside
{
	my ($role, $password, $sql) = @_;
	local $ENV{PGPASSWORD} = $password;
	return run_command($cluster->psql_command, '-h', '127.0.0.1', '-U', $role, '-c', $sql);
}

# ---- the owner -----------------------------------------------------------------

my @superuser = ($cluster->psql_command, '-h', $cluster->host, '-p', $cluster->port, '-U', 'postgres');
{
	local $ENV{POSTGRES_PASSWORD} = $PASSWORD;
	for my $role (qw(postgres pg_monitor rt_gateway))
	{
		my (undef, $err, $status) = access_function('make_owner', $role, @superuser);
		isnt($status, 0, "$role cannot be the owner");
		like($err, qr/POSTGRES_USER is the owner of the database and no superuser: "$role"/, 'and why');
	}
	my (undef, $err, $status) = access_function('make_owner', 'chat', @superuser);
	is($status, 0, 'the owner is made') or diag $err;
	(undef, undef, $status) = access_function('make_owner', 'chat', @superuser);
	isnt($status, 0, 'not a second time');
}
unlike($cluster->log, qr/secret/, 'the password is not in the log, though this failed');

# ---- pg_hba.conf ---------------------------------------------------------------

my ($hba) = access_function('print_hba');
$hba =~ s/^local all all peer$/local all all trust/m if $> != 0;    # the tests' own user is not called postgres
$cluster->sql(q(ALTER ROLE postgres PASSWORD 'known'; CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'known'));
$cluster->sql(q(CREATE ROLE shop LOGIN PASSWORD 'known' IN ROLE rt_app; CREATE ROLE other LOGIN PASSWORD 'known'));
my $gateway = $cluster->sql(q(SELECT pid FROM rt.stat_programs WHERE kind = 'gateway'));
open(my $file, '>', $cluster->data_dir . '/pg_hba.conf') or die "pg_hba.conf: $!";
print $file $hba;
close $file or die "pg_hba.conf: $!";
my ($postmaster) = slurp($cluster->data_dir . '/postmaster.pid') =~ /^(\d+)/;
kill 'HUP', $postmaster;
wait_until(sub { (outside('boss', 'known', 'SELECT 1'))[1] =~ /no pg_hba.conf entry/ }, 'a superuser is not admitted from outside');
like((outside('postgres', 'known', 'SELECT 1'))[1], qr/pg_hba.conf rejects connection .* user "postgres"/, 'nor is postgres');
like((outside('other', 'known', 'SELECT 1'))[1], qr/no pg_hba.conf entry/, 'nor a role that has nothing to do with rt');
is((outside('shop', 'known', 'SELECT 1'))[2], 0, 'an application is');
my @inside = $> == 0 ? ('runuser', '-u', 'postgres', '--') : ();
is((run_command(@inside, @superuser, '-c', 'SELECT 1'))[2], 0, 'the superuser is by the unix socket');

# ---- what the owner can do -------------------------------------------------------

sub owner { return outside('chat', $PASSWORD, $_[0]) }
is((outside('chat', 'wrong', 'SELECT 1'))[2], 2, 'the owner needs the password');
is((owner('SELECT rolsuper OR rolcreaterole OR rolbypassrls OR rolreplication FROM pg_roles WHERE rolname = current_user'))[0], "f\n",
	'the owner is no superuser');
is((owner('SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()'))[0], "chat\n", 'and owns the database');
my ($out, $err, $status) =
	owner(q(SET rt.user_id = 'ann'; SELECT rt.create_user('ann', 'Ann', 'correct horse'), rt.create_room('Team', ARRAY['ann']), rt.send_message(1, 'ann', 'hello')));
is($status, 0, 'makes users, and acts as each') or diag $err;
like((owner(q(SELECT rt.issue_token('ann'))))[0], qr/^ey/, 'makes tokens');
is((owner(q(SELECT count(*) FROM rt.stat_programs WHERE state = 'ready')))[2], 0, 'monitors');
is((owner('CREATE SCHEMA shop; CREATE TABLE shop.orders (id integer); DROP SCHEMA shop CASCADE'))[2], 0, 'makes tables of its own');
my %forbidden = (
	'runs no program' => q(COPY (SELECT 1) TO PROGRAM 'true'),
	'reads no file' => q(SELECT pg_read_file('postgresql.conf')),
	'makes no superuser' => 'CREATE ROLE thief SUPERUSER',
	'changes no other role' => q(ALTER ROLE postgres PASSWORD 'mine'),
	'becomes nobody else' => 'SET ROLE postgres',
	'puts nothing into what superusers run' => 'CREATE TRIGGER mine BEFORE INSERT ON rt.messages FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
);
for my $what (sort keys %forbidden)
{
	like((owner($forbidden{$what}))[1], qr/permission denied|must be /, "it $what");
}

# ---- the programs ----------------------------------------------------------------

kill 'KILL', $gateway;
wait_until(
	sub { (owner("SELECT pid FROM rt.stat_programs WHERE kind = 'gateway' AND state = 'ready' AND pid <> $gateway"))[0] =~ /^\d+$/ },
	'the gateway still logs in');
ok(wait_for(sub { $cluster->is_ready }), 'and serves');

done_testing();
