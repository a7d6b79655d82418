# DocTest: the fenced blocks of a page in docs/, and whether output is what the page shows.
#
#   for my $block (DocTest::blocks('docs/tutorial.md')) { ... }      { kind, words => [...], text, line }
#   ok(DocTest::looks_like($output, $shown), ...);
package DocTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $ROOT = abs_path(dirname(__FILE__) . '/../../..');

sub root { return $ROOT }

# kind is the first word behind the fence, words are the others.
sub blocks
{
	my ($page) = @_;
	open(my $file, '<', "$ROOT/$page") or die "cannot read $page: $!";
	my @blocks;
	my $block;
	while (my $line = <$file>)
	{
		if (!$block && $line =~ /^```(\w.*)$/)
		{
			my ($kind, @words) = split ' ', $1;
			$block = { kind => $kind, words => \@words, text => '', line => $. };
		}
		elsif ($block && $line =~ /^```\s*$/)
		{
			push @blocks, $block;
			$block = undef;
		}
		elsif ($block)
		{
			$block->{text} .= $line;
		}
	}
	die "$page: a block does not end\n" if $block;
	return @blocks;
}

# Every line that is shown is there, in this order; white space does not count.
sub looks_like
{
	my ($output, $shown) = @_;
	my @lines = map { squeeze($_) } split /\n/, $output;
	for my $wanted (grep { $_ ne '' } map { squeeze($_) } split /\n/, $shown)
	{
		shift @lines while @lines && $lines[0] ne $wanted;
		return 0 unless @lines;
		shift @lines;
	}
	return 1;
}

sub squeeze
{
	my ($line) = @_;
	$line =~ s/\s+/ /g;
	$line =~ s/^ | $//g;
	return $line;
}

1;
