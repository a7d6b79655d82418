# A file system of a few megabytes in a cluster's folder, for a disk that is full.  Taken away when the test ends, however it
# does, once the cluster has stopped.
package SmallDisk;
use strict;
use warnings;

use Test::More;

my ($cluster, $disk);

sub skip_unless_root { plan(skip_all => 'mounting a small file system takes root') if $> != 0; }

# Mounts it for the server's user and returns its path; where that cannot be done the test is skipped.
sub mount
{
	my ($name, $megabytes);
	($cluster, $name, $megabytes) = @_;
	my $path = $cluster->dir . "/$name";
	mkdir $path;
	my $options = "size=${megabytes}m,mode=0700,uid=" . (getpwnam('postgres'))[2];
	if (system('mount', '-t', 'tmpfs', '-o', $options, "rt-$name", $path) != 0)
	{
		$cluster->stop;
		plan(skip_all => 'no file system can be mounted here');
	}
	return $disk = $path;
}

END
{
	local $?;
	if ($disk)
	{
		unlink "$disk/junk";
		$cluster->stop;
		system('umount', $disk);
	}
}

1;
