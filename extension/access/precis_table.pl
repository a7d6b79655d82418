#!/usr/bin/perl
# precis_table.pl: prints precis_table.h, of the version of Unicode that this perl knows.
#
#   extension/access/precis_table.pl > extension/access/precis_table.h
use strict;
use warnings;
use Unicode::Normalize qw(NFKC);
use Unicode::UCD;

# RFC 5892, section 2.6, which RFC 8264, section 9.6, refers to.
my %exception;
$exception{$_} = 'PVALID' for 0xDF, 0x3C2, 0x6FD, 0x6FE, 0xF0B, 0x3007;
$exception{$_} = 'CONTEXT' for 0xB7, 0x375, 0x5F3, 0x5F4, 0x30FB, 0x660 .. 0x669, 0x6F0 .. 0x6F9;
$exception{$_} = 'DISALLOWED' for 0x640, 0x7FA, 0x302E, 0x302F, 0x3031 .. 0x3035, 0x303B;

# RFC 8264, section 8, in its order.
sub class_of
{
	my ($cp, $c) = @_;
	return $exception{$cp} if $exception{$cp};
	return 'DISALLOWED' if $c =~ /\p{Cn}|\p{Cs}/;
	return 'PVALID' if $cp >= 0x21 && $cp <= 0x7E;
	return 'CONTEXT' if $c =~ /\p{Join_Control}/;
	return 'DISALLOWED' if $c =~ /\p{Hangul_Syllable_Type=L}|\p{Hangul_Syllable_Type=V}|\p{Hangul_Syllable_Type=T}/;
	return 'DISALLOWED' if $c =~ /\p{Default_Ignorable_Code_Point}|\p{Noncharacter_Code_Point}|\p{Cc}/;
	return 'FREEFORM' if NFKC($c) ne $c;
	return 'PVALID' if $c =~ /[\p{Ll}\p{Lu}\p{Lo}\p{Nd}\p{Lm}\p{Mn}\p{Mc}]/;
	return 'FREEFORM' if $c =~ /[\p{Lt}\p{Nl}\p{No}\p{Me}\p{Zs}\p{S}\p{P}]/;
	return 'DISALLOWED';
}

sub bidi_of
{
	my ($c) = @_;
	for my $class (qw(L R AL AN EN ES CS ET ON BN NSM)) { return $class if $c =~ /\p{Bidi_Class=$class}/; }
	return 'OTHER';
}

my %flags = (
	GREEK => qr/\p{Script=Greek}/, HEBREW => qr/\p{Script=Hebrew}/, KANA_HAN => qr/\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Han}/,
	VIRAMA => qr/\p{Canonical_Combining_Class=9}/, JOINS_LEFT => qr/\p{Joining_Type=L}|\p{Joining_Type=D}/,
	JOINS_RIGHT => qr/\p{Joining_Type=R}|\p{Joining_Type=D}/, TRANSPARENT => qr/\p{Joining_Type=T}/,
);

printf "/* precis_table.h: what precis.c has to know of each code point.  Made by precis_table.pl of Unicode %s. */\n", Unicode::UCD::UnicodeVersion();
print "#ifndef RT_PRECIS_TABLE_H\n#define RT_PRECIS_TABLE_H\n\n/* clang-format off */\n";
print "static const struct range ranges[] = {\n";
my ($first, $last, $what) = (-1, -1, '');
sub flush_range { printf "{0x%X, 0x%X, %s},\n", $first, $last, $what if $first >= 0 && $what !~ /^DISALLOWED/; }
{
	no warnings;
	for my $cp (0 .. 0x10FFFF)
	{
		my $c = $cp >= 0xD800 && $cp <= 0xDFFF ? undef : chr $cp;
		my $now = 'DISALLOWED';
		if (defined $c && (my $class = class_of($cp, $c)) ne 'DISALLOWED')
		{
			my $f = join(' | ', grep { $c =~ $flags{$_} } sort keys %flags) || '0';
			$now = "$class, " . bidi_of($c) . ", $f";
		}
		if ($now ne $what) { flush_range(); ($first, $what) = ($cp, $now); }
		$last = $cp;
	}
}
flush_range();
print "};\n/* clang-format on */\n\n#endif\n";
