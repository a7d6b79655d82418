# docs/modules.md names every module of the tree, with the words of its files.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Find ();
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/../..');

sub slurp
{
	my ($file) = @_;
	open(my $in, '<', $file) or die "$file: $!";
	local $/ = undef;
	return scalar <$in>;
}

my $page = slurp("$root/docs/modules.md");
my $made = `perl '$root/test/docs/modules'`;
is($?, 0, 'each module says what it is');
is($page, $made, 'the page is that which test/docs/modules makes');

my %named;
for my $section (split /^### /m, $page)
{
	my ($place) = $section =~ /^\d+\. `([^`]+)`/ or next;
	$named{"$place/$1"} = 1 while $section =~ /^\| `(\w+)` \|/mg;
}
my @missing;
File::Find::find(
	{
		no_chdir => 1,
		wanted   => sub {
			return if !/\.[ch]$/ || m{/node_modules/};
			my $module = substr($_, length($root) + 1) =~ s/\.[ch]$//r;
			push @missing, $module if !$named{$module} && !$named{"$module.c/" . ($module =~ s{.*/}{}r)};
		}
	},
	"$root/bgworker",
	"$root/extension");
is(join("\n", @missing), '', 'and no module is missing');

done_testing();
