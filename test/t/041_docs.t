# The pages in docs/ that are made from the catalog are up to date, what they show runs, and links lead somewhere.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use DocTest;
use File::Basename qw(dirname);
use RtTest;
use Test::More;

my $root = DocTest::root();
my $cluster = RtTest->start;
local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} = ($cluster->host, $cluster->port, 'postgres', 'rt');

for my $page (qw(settings views))
{
	my ($out, $err, $status) = run_command("$root/test/docs/$page");
	is($status, 0, "test/docs/$page") || diag($err);
	is($out, slurp("$root/docs/$page.md"), "docs/$page.md is what the catalog says") ||
		diag("make it anew: test/docs/$page > docs/$page.md");
	unlike($out, qr/\| *\|/, "docs/$page.md leaves nothing undescribed");
}

# docs/api.md has each path of REST, in the order of the gateway's table, with its methods.
{
	my $table = slurp("$root/bgworker/gateway/rest/rest_table.c");
	my %macro = $table =~ /^#define (\w+) (.+)$/mg;
	my (@paths, %methods);
	while ($table =~ /^\t\{"(\w+)", ([^,]+), "\w+"/mg)
	{
		my ($method, $path) = ($1, $2);
		1 while $path =~ s/\b([A-Z]+)\b(?=\s*(?:"|$))/$macro{$1}/;
		$path =~ s/[" ]//g;
		$path =~ s/msgs\|messages/msgs/;
		push @paths, $path unless $methods{$path};
		push @{ $methods{$path} }, $method;
	}
	cmp_ok(scalar @paths, '>', 40, 'the table of paths was read');
	my ($rows) = slurp("$root/docs/api.md") =~ /^\| path \| methods \|\n\| --- \| --- \|\n((?:\|.*\n)+)/m;
	is(join('', grep { m{^\| `/(?:api|auth)} } split /^/, $rows), join('', map { "| `$_` | " . join(', ', @{ $methods{$_} }) . " |\n" } @paths),
		'docs/api.md has the paths of bgworker/gateway/rest/rest_table.c');
}

# SQL that a page marks "run" runs, as the superuser; "run rt_app" as such a role.  Alice, Bob and a room are there.
$cluster->sql(q{
	SELECT rt.create_user('alice', 'Alice', 'wonderland'), rt.create_user('bob', 'Bob', 'can-we-fix-it');
	SELECT rt.create_room('General', ARRAY['alice', 'bob']);
	SELECT rt.send_message(1, 'alice', 'hello');
});
for my $page (qw(api monitoring security troubleshooting sizing tuning))
{
	for my $block (grep { $_->{kind} eq 'sql' && ($_->{words}[0] // '') eq 'run' } DocTest::blocks("docs/$page.md"))
	{
		my (undef, $err, $status) = $cluster->try_sql($block->{text});
		is($status, 0, "docs/$page.md, line $block->{line}: runs") || diag($err);
	}
}

# Every setting and every view that a page names is there.
my %known = map { $_ => 1 } split /\n/, $cluster->sql(q{
	SELECT name FROM pg_settings WHERE name LIKE 'rt.%'
	UNION SELECT format('rt.%s', relname) FROM pg_class WHERE relnamespace = 'rt'::regnamespace
	UNION SELECT format('rt.%s', proname) FROM pg_proc WHERE pronamespace = 'rt'::regnamespace
	UNION SELECT format('rt.%s.%s', c.relname, a.attname) FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'rt'::regnamespace
});
# A link to a heading: its words, lower case, joined by dashes.
sub leads_somewhere
{
	my ($page, $link) = @_;
	my ($target, $anchor) = $link =~ /^([^#]*)#(.*)$/;
	my $file = $target eq '' ? "$root/$page" : "$root/" . dirname($page) . "/$target";
	return 0 unless -e $file;
	my %there = map { lc(s/[^\w\s-]//gr) =~ s/\s/-/gr => 1 } slurp($file) =~ /^#+ +(.*?)\s*$/mg;
	return $there{$anchor};
}
my @pages = map { s{^\Q$root\E/}{}r } ("$root/README.md", sort glob("$root/docs/*.md"));
for my $page (@pages)
{
	my $text = slurp("$root/$page");
	my @strange = grep { !$known{$_} && !/^rt\.(so|c|control)$/ && !/_$/ } $text =~ /(?<![\w.\/-])(rt\.[a-z]\w*(?:\.[a-z]\w*)?)(?![\w*(]*\.c\b)/g;
	is("@strange", '', "$page names only what is there");
	my @broken = grep { !-e "$root/" . dirname($page) . "/$_" } map { s/#.*//r } grep { !/^(https?:|#)/ } $text =~ /\]\(([^)\s]+)\)/g;
	is("@broken", '', "$page has no broken link");
	my @lost = grep { !leads_somewhere($page, $_) } grep { /#/ && !/^https?:/ } $text =~ /\]\(([^)\s]+)\)/g;
	is("@lost", '', "$page links to headings that are there");
}

my $readme = slurp("$root/README.md");
my @unlisted = grep { index($readme, "]($_)") < 0 } grep { m{^docs/} } @pages;
is("@unlisted", '', 'README.md lists every page');

# So is every function of the other two schemas, every file and every function in C.
my %private = map { $_ => 1 } split /\n/, $cluster->sql(q{
	SELECT format('%s.%s', n.nspname, o.name) FROM pg_namespace AS n JOIN (
		SELECT relnamespace AS namespace, relname AS name FROM pg_class UNION SELECT pronamespace, proname FROM pg_proc
	) AS o ON o.namespace = n.oid WHERE n.nspname IN ('rt_api', 'rt_private')
});
my $files = qx{cd '$root' && git ls-files 2>/dev/null} || qx{cd '$root' && find . -type f | sed 's,^./,,'};
my %file = map { $_ => 1 } split /\n/, $files;
my %folder;
for (keys %file)
{
	my $dir = $_;
	$folder{$dir} = 1 while $dir =~ s{/[^/]*$}{};
}
my %basename = map { s{.*/}{}r => 1 } keys %file;
my $code = join "\n", map { slurp("$root/$_") } grep { m{^(?:bgworker|extension|test)/.*\.(?:[ch]|sql|pm|mjs|js)$} && !m{/node_modules/} } keys %file;
my %defined = map { $_ => 1 } $code =~ /^(?:static |extern |async |export |sub |function )*(?:[\w*]+ )*\*?(\w+)(?:\(|$)/mg;
for my $page (@pages)
{
	my $text = slurp("$root/$page");
	my @strange = grep { !$private{$_} && !/_$/ } $text =~ /(?<![\w.\/-])(rt_(?:api|private)\.[a-z]\w*)(?!\w*\.c\b)/g;
	is("@strange", '', "$page names only functions and tables that are there");
	# A path from the top of the tree, or a name alone; what a build makes is not there yet.
	my @lost = grep { !(m{/} ? $file{$_} || /^build\// : $basename{$_}) } $text =~ /`([\w.\/-]+\.(?:[ch]|sql|t|pm|mjs|txt|yml))`/g;
	is("@lost", '', "$page names only files that are there");
	my @gone = grep { !$file{$_} && !$folder{ s{/$}{}r } && !/\*/ }
		$text =~ m{`((?:bgworker|extension|test|docs|clients|examples|container|monitoring|debian)/[\w./*-]*)`}g;
	is("@gone", '', "$page names only folders and programs that are there");
	my @elsewhere;
	while ($text =~ /`(\w+)\(\)`\s+in\s+`([\w.\/-]+\/[\w.-]+)`/g)
	{
		my ($function, $in) = ($1, $2);
		push @elsewhere, "$function in $in" if !$file{$in} || slurp("$root/$in") !~ /^(?:[\w* ]*\W)?$function\(/m;
	}
	is("@elsewhere", '', "$page names the files that functions are in");
	my @unknown = grep { !$defined{$_} && !/^pg_/ } $text =~ /(?<![.\w])`(\w+)\(\)`/g;
	is("@unknown", '', "$page names only functions that are there");
}

# A line of the log that troubleshooting.md explains is one that the programs write.
my $source = join "\n", map { slurp($_) } glob("$root/bgworker/*.c $root/bgworker/*/*.c $root/bgworker/*/*/*.c $root/extension/*.c $root/extension/*/*.c $root/extension/schema/*.sql");
$source =~ s/"\s*\n\s*"//g;
for my $line (slurp("$root/docs/troubleshooting.md") =~ /^### `(.*)`$/mg)
{
	my $pattern = join '.*', map { quotemeta } grep { $_ ne '' } split /\s*…\s*/, $line =~ s/"/\\"/gr;
	ok($source =~ /$pattern/, "troubleshooting.md: $line");
}

# Every event that clients may send, or get, is on the page of events.
my $page = slurp("$root/docs/api.md");
my %events = map { $_ => 1 } ($source =~ /\{\.name = "([\w-]+)"/g, $source =~ /\.(?:alias|reply) = "([\w-]+)"/g,
	$source =~ /(?:meeting_emit|message_event|\bemit)\('([\w-]+)'/g, $source =~ /(?:THEN|ELSE) '((?:new-)?producer-?\w*)'/g);
cmp_ok(scalar(keys %events), '>', 60, 'events were found in the source');
my @untold = grep { $page !~ /`\Q$_\E`/ } sort keys %events;
is("@untold", '', 'docs/api.md has them all');

done_testing();
