# The tool that drafts upgrade steps, on two small scripts.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use File::Temp;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $tree = File::Temp->newdir('rt-draft-XXXXXX', TMPDIR => 1);
make_path("$tree/extension/$_") for qw(released schema upgrade);
copy(abs_path(dirname(__FILE__) . '/../../extension/upgrade/draft'), "$tree/extension/upgrade/draft") or die $!;
my $step = "$tree/extension/upgrade/rt--0.9--1.0.sql";

sub write_file
{
	my ($name, $text) = @_;
	open(my $out, '>', "$tree/$name") or die $!;
	print $out $text;
	close $out;
}

# Drafts the step from old to new; gives it without its head, what is left to do, and the exit status.
sub draft
{
	my ($old, $new) = @_;
	write_file('rt.control', "default_version = '1.0'\n");
	write_file('extension/released/rt--0.9.sql', "\\echo Use CREATE EXTENSION; \\quit\n$old");
	write_file('extension/schema/10.sql', $new);
	my ($out, $err, $status) = run_command('perl', "$tree/extension/upgrade/draft");
	my $text = slurp($step) =~ s/\A.*?END\n\$\$;\n//sr =~ s/^-- ----.*\n//mgr =~ s/\n+/\n/gr =~ s/\A\n|\n\z//gr;
	return ($text, $err, $status);
}

sub drafts
{
	my ($old, $new, $expected, $name) = @_;
	my ($text, $err, $status) = draft($old, $new);
	is($text, $expected, $name);
	is("$status$err", '0', "$name: nothing is left to do");
}

sub leaves
{
	my ($old, $new, $left, $name) = @_;
	my ($text, $err, $status) = draft($old, $new);
	like($err, $left, $name);
	is($status, 1, "$name: and the exit status tells");
}

drafts("CREATE TABLE rt.a (x text);\n", "-- a comment; with ' and \$\$\nCREATE TABLE  rt.a (x text);\n", '', 'what only looks different');
drafts('', "CREATE FUNCTION rt.f(a text DEFAULT ';') RETURNS void LANGUAGE sql AS \$x\$ SELECT ';', \$\$;\$\$ -- ' \$x\$;\nCOMMENT ON FUNCTION rt.f(text) IS 'it''s; new';",
	"CREATE FUNCTION rt.f(a text DEFAULT ';') RETURNS void LANGUAGE sql AS \$x\$ SELECT ';', \$\$;\$\$ -- ' \$x\$;\nCOMMENT ON FUNCTION rt.f(text) IS 'it''s; new';",
	'semicolons in quotes and bodies');

my $f = sub { my ($arguments, $body) = @_; "CREATE FUNCTION rt.f($arguments) RETURNS text LANGUAGE sql AS \$\$ $body \$\$;" };
my $said = "COMMENT ON FUNCTION rt.f(text) IS 'f';\nGRANT EXECUTE ON FUNCTION rt.f(text) TO x;\n";
drafts($f->('a text', 'SELECT 1') . $said, $f->('a text', 'SELECT 2') . $said, $f->('a text', 'SELECT 2') =~ s/CREATE/CREATE OR REPLACE/r, 'another body');
drafts($f->('a text', 'SELECT 1') . $said . 'ALTER FUNCTION rt.f(text) STRICT;', $f->('a text', 'SELECT 2') . $said . 'ALTER FUNCTION rt.f(text) STRICT;',
	($f->('a text', 'SELECT 2') =~ s/CREATE/CREATE OR REPLACE/r) . "\nALTER FUNCTION rt.f(text) STRICT;", 'what an ALTER adds to it');
drafts($f->('a text', 'SELECT 1') . $said, $f->('b text', 'SELECT 1') . $said, "DROP FUNCTION rt.f(text);\n" . $f->('b text', 'SELECT 1') . "\n$said" =~ s/\n\z//r,
	'other arguments: comment and grant are said again');
drafts($f->('a text, OUT b integer', 'SELECT 1'), '', 'DROP FUNCTION rt.f(text);', 'one that has gone');

drafts('CREATE VIEW rt.v AS SELECT a, f(a, b) AS c FROM t;', 'CREATE VIEW rt.v AS SELECT a, g(a) AS c, d FROM t;',
	'CREATE OR REPLACE VIEW rt.v AS SELECT a, g(a) AS c, d FROM t;', 'a view with a column more');
drafts("CREATE VIEW rt.v AS SELECT a FROM t; GRANT SELECT ON rt.v TO x;", "CREATE VIEW rt.v AS SELECT b, a FROM t; GRANT SELECT ON rt.v TO x;",
	"DROP VIEW rt.v;\nCREATE VIEW rt.v AS SELECT b, a FROM t;\nGRANT SELECT ON rt.v TO x;", 'a view with another first column');

drafts('CREATE TABLE rt.a (x text, y text);', "CREATE TABLE rt.a (y text, z numeric(3, 1) DEFAULT 1) WITH (fillfactor = 50);",
	"ALTER TABLE rt.a SET (fillfactor = 50);\nALTER TABLE rt.a DROP COLUMN x;\nALTER TABLE rt.a ADD COLUMN z numeric(3, 1) DEFAULT 1;", 'columns');
leaves('CREATE TABLE rt.a (x text);', 'CREATE TABLE rt.a (y text, x text);', qr/^by hand: not behind the columns that are there: rt\.a\.y$/, 'a column before others');
leaves('CREATE TABLE rt.a (x text);', 'CREATE TABLE rt.a (x integer);', qr/^by hand: changed: TABLE rt\.a$/, 'another type');

my $trigger = sub { "CREATE TRIGGER t $_[0] INSERT ON rt.a FOR EACH ROW EXECUTE FUNCTION rt.g();\nCOMMENT ON TRIGGER t ON rt.a IS 't';" };
drafts($trigger->('AFTER'), $trigger->('BEFORE'), "DROP TRIGGER t ON rt.a;\n" . $trigger->('BEFORE'), 'a trigger');
drafts('GRANT SELECT, INSERT ON rt.a TO x;', 'GRANT SELECT ON rt.a TO x;', "REVOKE SELECT, INSERT ON rt.a FROM x;\nGRANT SELECT ON rt.a TO x;", 'a right that has gone');

# What is by hand stays, and what it deals with is not listed.
draft('CREATE TABLE rt.a (x text);', 'CREATE TABLE rt.a (x integer);');
my $text = slurp($step) =~ s/(-- ---- by hand -+\n)/$1-- done: TABLE rt.a\nALTER TABLE rt.a ALTER COLUMN x TYPE integer USING x::integer;\n/r;
write_file('extension/upgrade/rt--0.9--1.0.sql', $text);
my (undef, $err, $status) = draft('CREATE TABLE rt.a (x text);', 'CREATE TABLE rt.a (x integer);');
is("$status$err", '0', 'what is done by hand is not listed again');
is(slurp($step), $text, 'and stays');

done_testing();
