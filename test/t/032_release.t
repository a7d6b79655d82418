# What tells the version tells the same one; META.json is what PGXN's Meta Spec 1 asks for; released scripts are as they were.
use strict;
use warnings;

use Cwd qw(abs_path);
use Digest::SHA;
use File::Basename qw(dirname);
use JSON::PP;
use Test::More;

use lib dirname(__FILE__) . '/lib';
use RtTest;

my $ROOT = abs_path(dirname(__FILE__) . '/../..');
my ($version) = slurp("$ROOT/rt.control") =~ /^default_version = '(\d+\.\d+)'/m;
my $meta = decode_json(slurp("$ROOT/META.json"));
# A version of PGXN has three numbers.
my $semver = qr/^(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)$/;

sub is_text { return !ref $_[0] && defined $_[0] && length $_[0]; }

# ---- META.json ------------------------------------------------------------------

ok(is_text($meta->{$_}), "META.json: $_") for qw(name abstract description version license maintainer generated_by);
is($meta->{'meta-spec'}{version}, '1.0.0', 'META.json: the version of the specification');
like($meta->{'meta-spec'}{url}, qr{^https?://pgxn\.org/}, 'META.json: and its place');
like($meta->{name}, qr/^[^\s\/\\\0]{2,}$/, 'META.json: a name');
like($meta->{version}, $semver, 'META.json: a semantic version');
ok((grep { $meta->{license} eq $_ } qw(agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1 gpl_2 gpl_3
	lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql qpl_1_0 ssleay sun zlib open_source restricted unrestricted unknown)),
	'META.json: a license of the list');
ok(!defined $meta->{release_status} || $meta->{release_status} =~ /^(?:stable|testing|unstable)$/, 'META.json: a status of the list');
is_deeply([ sort keys %{ $meta->{provides} } ], ['rt'], 'META.json: provides rt');
for my $extension (values %{ $meta->{provides} })
{
	ok(-e "$ROOT/$extension->{$_}", "META.json: $_ is there") for qw(file docfile);
	like($extension->{version}, $semver, 'META.json: with a semantic version');
	is($extension->{version}, $meta->{version}, 'META.json: the same one');
}
for my $phase (keys %{ $meta->{prereqs} })
{
	like($phase, qr/^(?:configure|build|test|runtime|develop)$/, "META.json: prereqs: $phase");
	for my $relation (keys %{ $meta->{prereqs}{$phase} })
	{
		like($relation, qr/^(?:requires|recommends|suggests|conflicts)$/, "META.json: prereqs: $phase: $relation");
		my $wanted = $meta->{prereqs}{$phase}{$relation};
		is_deeply([ grep { $wanted->{$_} !~ $semver && $wanted->{$_} ne '0' } keys %$wanted ], [], 'META.json: versions of prereqs');
	}
}
is(ref $meta->{tags}, 'ARRAY', 'META.json: tags');
is_deeply([ grep { !is_text($_) || length > 255 || m{[/\\]} } @{ $meta->{tags} } ], [], 'META.json: each is one');

# ---- one version ------------------------------------------------------------------

is($meta->{version}, "$version.0", 'META.json has the version of rt.control');
my ($header) = slurp("$ROOT/bgworker/common/version.h") =~ /^#define RT_VERSION "(.*)"$/m;
is($header, $version, 'so has the library');
my @changes = slurp("$ROOT/CHANGELOG.md") =~ /^## (\S+)/mg;
is($changes[0], $version, 'so has the newest part of CHANGELOG.md');

# ---- what building needs -------------------------------------------------------------

my ($build) = slurp("$ROOT/test/install-deps") =~ /^BUILD=\((.*?)\)/ms;
my @libraries = grep { /^lib.*-dev$/ } split ' ', $build;
cmp_ok(scalar @libraries, '>', 5, 'building needs libraries');
for my $page ('debian/control.in', 'Containerfile', 'docs/install.md')
{
	my $text = slurp("$ROOT/$page");
	is_deeply([ grep { $text !~ /\Q$_\E\b/ } @libraries ], [], "$page names them all");
}

# ---- releases ------------------------------------------------------------------------

my %sum = map { reverse split /\s+/ } split /\n/, slurp("$ROOT/extension/released/SHA256SUMS");
my @released = map { s{.*/}{}r } glob("$ROOT/extension/released/rt--*.sql");
is_deeply([ sort keys %sum ], [ sort @released ], 'each release has a sum');
is(Digest::SHA->new(256)->addfile("$ROOT/extension/released/$_")->hexdigest, $sum{$_}, "$_ is as it was released") for @released;
for my $old (map { /rt--(.*)\.sql/ } @released)
{
	isnt($old, $version, "$old is another version");
	like(slurp("$ROOT/CHANGELOG.md"), qr/^## \Q$old\E \(\d{4}-\d\d-\d\d\)$/m, "$old has its date in CHANGELOG.md");
}
ok(-e "$ROOT/extension/upgrade/rt--$changes[1]--$version.sql", 'there is a step from the version before');

done_testing();
