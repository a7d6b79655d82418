# The check of the folders' order: it must find what is planted in a copy of the tree. What it says of the tree itself is for
# "make lint".
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/../..');
my $copy = tempdir('rt-layers-XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub check
{
	my $out = `perl '$root/test/lint/layers' '$copy' 2>&1`;
	return { status => $? >> 8, lines => { map { $_ => 1 } split /\n/, $out }, out => $out };
}

sub write_file
{
	my ($name, $text) = @_;
	open(my $out, '>', "$copy/$name") or die "$name: $!";
	print $out $text;
	close $out or die "$name: $!";
	return;
}

sub compile
{
	my ($name) = @_;
	(my $object = "build/plain/$name") =~ s/\.c$/.o/;
	make_path(dirname("$copy/$object"));
	system('cc', '-I', $copy, '-c', '-o', "$copy/$object", "$copy/$name") == 0 or die "cannot compile $name";
	return;
}

# Files named by folders, with the text each gets; compiled as the Makefile would.
sub plant
{
	my (%files) = @_;
	make_path(map { dirname("$copy/$_") } keys %files);
	write_file($_, $files{$_}) for keys %files;
	compile($_) for grep { /\.c$/ } sort keys %files;
	return;
}

# Takes what was planted out again.
sub weed
{
	unlink map { my $object = "build/plain/$_" =~ s/\.c$/.o/r; ("$copy/$_", "$copy/$object") } @_;
	return;
}

# A case: what is planted, the line that must come of it; without what was planted the check passes again.
sub finds
{
	my ($name, $line, %files) = @_;
	plant(%files);
	my $found = check();
	ok($found->{status} == 1 && $found->{lines}{$line}, $name) or diag("missing: $line\n$found->{out}");
	weed(keys %files);
	return;
}

# ---- the tree's own order, over a tree of a few files ----------------------------

make_path("$copy/docs", "$copy/extension");
system('cp', "$root/docs/layers.txt", "$copy/docs/") == 0 or die 'cannot copy the order';
plant(
	'bgworker/gateway/text/low.h'      => "#ifndef RT_LOW_H\n#define RT_LOW_H\nvoid rt_low_do(void);\n#endif\n",
	'bgworker/gateway/text/low.c'      => "#include \"low.h\"\nvoid rt_low_do(void) {}\n",
	'bgworker/gateway/clients/high.h'  => "#ifndef RT_HIGH_H\n#define RT_HIGH_H\nvoid rt_high_do(void);\n#endif\n",
	'bgworker/gateway/clients/high.c'  => "#include \"bgworker/gateway/text/low.h\"\nvoid rt_high_do(void) { rt_low_do(); }\n",
	'bgworker/media/forward/producer.c' => "void rt_consumer_do(void);\nvoid rt_producer_do(void) { rt_consumer_do(); }\n",
	'bgworker/media/forward/consumer.c' => "void rt_producer_do(void);\nvoid rt_consumer_do(void) { rt_producer_do(); }\n");
my $clean = check();
is($clean->{status}, 0, 'arrows that point down, and the pair that may know each other, pass') or diag($clean->{out});

finds(
	'an include that points up',
	'arrow: bgworker/gateway/text/planted.c -> bgworker/gateway/clients/high.h: includes it',
	'bgworker/gateway/text/planted.c' => "#include \"bgworker/gateway/clients/high.h\"\nint rt_planted;\n");
finds(
	'an include that points up, by another path',
	'arrow: bgworker/gateway/text/planted.c -> bgworker/gateway/clients/high.h: includes it',
	'bgworker/gateway/text/planted.c' => "  # include \"../clients/./high.h\"\nint rt_planted;\n");
finds(
	'an include that points up, in angle brackets',
	'arrow: bgworker/gateway/text/planted.h -> bgworker/gateway/clients/high.h: includes it',
	'bgworker/gateway/text/planted.h' => "#include <bgworker/gateway/clients/high.h>\n");
finds(
	'a circle of headers',
	'circle: 2 modules know one another: bgworker/gateway/text/one bgworker/gateway/text/two',
	'bgworker/gateway/text/one.h' => "#include \"two.h\"\n",
	'bgworker/gateway/text/two.h' => "#include \"one.h\"\n");
finds(
	'a weak reference that points up',
	'arrow: bgworker/gateway/text/planted.c -> bgworker/gateway/clients/high.c: refers to rt_high_do',
	'bgworker/gateway/text/planted.c' =>
		"void rt_high_do(void) __attribute__((weak));\nvoid rt_planted_call(void) { if (rt_high_do) rt_high_do(); }\n");
finds(
	'a call that points up, without an include',
	'arrow: bgworker/gateway/text/planted.c -> bgworker/gateway/clients/high.c: refers to rt_high_do',
	'bgworker/gateway/text/planted.c' => "void rt_high_do(void);\nvoid rt_planted_call(void) { rt_high_do(); }\n");
finds(
	'a pointer to a function that points up',
	'arrow: bgworker/gateway/text/planted.c -> bgworker/gateway/clients/high.c: refers to rt_high_do',
	'bgworker/gateway/text/planted.c' => "void rt_high_do(void);\nvoid (*rt_planted)(void) = rt_high_do;\n");
finds(
	'a call of a folder beside',
	'arrow: bgworker/gateway/net/planted.c -> bgworker/gateway/clients/high.c: refers to rt_high_do',
	'bgworker/gateway/net/planted.c' => "void rt_high_do(void);\nvoid rt_planted_call(void) { rt_high_do(); }\n");
finds(
	'an include of the other program\'s header',
	'arrow: bgworker/media/net/planted.c -> bgworker/gateway/text/low.h: includes it',
	'bgworker/media/net/planted.c' => "#include \"bgworker/gateway/text/low.h\"\nint rt_planted;\n");
finds(
	'a circle in one folder',
	'circle: 2 modules know one another: bgworker/gateway/text/one bgworker/gateway/text/two',
	'bgworker/gateway/text/one.c' => "void rt_two_do(void);\nvoid rt_one_do(void) { rt_two_do(); }\n",
	'bgworker/gateway/text/two.c' => "void rt_one_do(void);\nvoid rt_two_do(void) { rt_one_do(); }\n");
finds(
	'a header guard twice',
	'guard: RT_LOW_H is defined in bgworker/gateway/text/low.h and bgworker/media/net/low.h',
	'bgworker/media/net/low.h' => "#ifndef RT_LOW_H\n#define RT_LOW_H\n#endif\n");
finds(
	'a struct twice',
	'struct: rt_thing is defined in bgworker/gateway/text/a.h and bgworker/media/net/b.h',
	'bgworker/gateway/text/a.h' => "struct rt_thing\n{\n\tint a;\n};\n",
	'bgworker/media/net/b.h'    => "struct rt_thing\n{\n\tint b;\n};\n");
finds(
	'a public function in both programs',
	'function: rt_low_do is defined in bgworker/gateway/text/low.c and bgworker/media/net/low.c',
	'bgworker/media/net/low.c' => "void rt_low_do(void) {}\n");
finds(
	'a name that begins with another module\'s',
	"name: rt_high_planted is in bgworker/gateway/text/planted.c; its name begins with another module's",
	'bgworker/gateway/text/planted.c' => "void rt_high_planted(void) {}\n");
finds(
	'a folder that layers.txt does not have',
	'place: bgworker/gateway/attic/planted.h is in no folder of docs/layers.txt',
	'bgworker/gateway/attic/planted.h' => "#ifndef RT_PLANTED_H\n#define RT_PLANTED_H\n#endif\n");
finds(
	'a folder with too many files',
	'folder: bgworker/gateway/ops has 31 C files and headers; the limit is 30',
	map { ("bgworker/gateway/ops/h$_.h" => "#ifndef RT_H${_}_H\n#define RT_H${_}_H\n#endif\n") } 1 .. 31);
finds(
	'a folder of tests with too many files',
	'folder: test/unit has 31 C files and headers; the limit is 30',
	map { ("test/unit/h$_.h" => "int h$_;\n") } 1 .. 31);
is(check()->{status}, 0, 'without what was planted it passes');

done_testing();
