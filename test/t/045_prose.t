# The pages are made of sentences that are read once: test/docs/sentences counts those above 35 words.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp;
use RtTest;
use Test::More;

my $root = "$FindBin::Bin/../..";

# The numbers of sentences and of long ones, of all pages together.
sub count
{
	my (@args) = @_;
	my ($out, $err, $status) = run_command("$root/test/docs/sentences", @args);
	is($status, 0, 'test/docs/sentences') || diag($err);
	my ($all, $long) = $out =~ /^total: (\d+) sentences, (\d+) above/m;
	return ($all, $long, $out);
}

sub count_text
{
	my ($text) = @_;
	my $page = File::Temp->new;
	print $page $text;
	close $page;
	return [ (count('--limit=3', $page->filename))[0, 1] ];
}

# ---- what counts as a sentence ------------------------------------------------------------

is_deeply(count_text("One two three. One two three four.\n"), [ 2, 1 ], 'a sentence ends with a full stop');
is_deeply(count_text("One two\nthree four.\n\nOne two\n"), [ 2, 1 ], 'it goes on in the next line, and ends with the paragraph');
is_deeply(count_text("- one two\n- one two\n  three four\n1. one two\n"), [ 3, 1 ], 'an item of a list is one');
is_deeply(count_text("Is it? (Yes!) **Bold.** one\n"), [ 4, 0 ], 'other marks end it too, with what closes behind them');
is_deeply(count_text("One `a. b. c. d` e.g. two.\n"), [ 1, 1 ], 'a full stop in code or an abbreviation ends none');
is_deeply(count_text("# One two three four\n\n| one two | three four five |\n\n    one two three four\n\n```sh\none two three four\n```\n"),
	[ 0, 0 ], 'headings, tables and code are none');
is_deeply(count_text("- one\n\n        one two three four\n\n  five six seven eight\n"), [ 2, 1 ], 'code in a list is none, its second paragraph is one');

# ---- the pages --------------------------------------------------------------------------------

my ($all, $long, $out) = count('--list', "$root/README.md");
cmp_ok($all, '>', 20, 'README.md has sentences');
is($long, 0, 'README.md has none above 35 words') || diag($out);

($all, $long, $out) = count('--list', glob("$root/docs/*.md"));
cmp_ok($all, '>', 1000, 'docs/ has sentences');
cmp_ok($long, '<', 0.03 * $all, "fewer than 3 % of docs/ are above 35 words ($long of $all)") || diag($out);

done_testing();
