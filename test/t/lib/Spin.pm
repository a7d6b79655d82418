# Makes a running program spin: as a debugger, it puts a jump to itself behind a system call of the program. For what has to
# notice a program that is busy for ever, without a hook in the program.
package Spin;

use strict;
use warnings;

use POSIX qw(:sys_wait_h uname);

use constant {
	PEEKTEXT => 1,
	POKETEXT => 4,
	GETREGS  => 12,
	ATTACH   => 16,
	DETACH   => 17,
	SYSCALL  => 24,
};

# struct user_regs_struct of x86-64, in words, and the numbers of its system calls.
use constant { RSI => 13, ORIG_RAX => 15, RIP => 16, REGISTERS => 27 };
use constant SYS_PTRACE => 101;
use constant SYS_SENDMSG => 46;

use constant JUMP_TO_ITSELF => "\xeb\xfe";

sub ptrace
{
	my ($request, $pid, $address, $data) = @_;
	return syscall(SYS_PTRACE, $request, $pid, $address, $data) != -1;
}

sub peek
{
	my ($pid, $address) = @_;
	my $word = "\0" x 8;
	return ptrace(PEEKTEXT, $pid, $address, $word) ? $word : '';
}

sub registers
{
	my ($pid) = @_;
	my $registers = "\0" x (8 * REGISTERS);
	return ptrace(GETREGS, $pid, 0, $registers) ? unpack('q*', $registers) : ();
}

# Whether it stands in sendmsg() of what begins with $text: msghdr.msg_iov[0].iov_base.
sub sends
{
	my ($pid, $text) = @_;
	my @r = registers($pid) or return 0;
	return 0 if $r[ORIG_RAX] != SYS_SENDMSG;
	my $vector = unpack 'q', peek($pid, $r[RSI] + 16);
	my $base = unpack 'q', peek($pid, $vector);
	return peek($pid, $base) eq $text;
}

# Lets the program run on from system call to system call, to the one that sends what begins with $text. True: it stands there.
sub run_to_send
{
	my ($pid, $text, $deadline) = @_;
	my $signal = 0;
	while (time < $deadline)
	{
		ptrace(SYSCALL, $pid, 0, $signal) or return 0;
		while (waitpid($pid, WNOHANG) == 0)
		{
			return 0 if time >= $deadline;
			select undef, undef, undef, 0.001;
		}
		return 0 if !WIFSTOPPED(${^CHILD_ERROR_NATIVE});
		$signal = WSTOPSIG(${^CHILD_ERROR_NATIVE});
		$signal = 0 if $signal == POSIX::SIGTRAP || $signal == POSIX::SIGSTOP;
		return 1 if sends($pid, $text);
	}
	return 0;
}

# Stops the process $pid, calls $provoke, and makes the program spin once it sends eight bytes $text. False: it goes on as
# before, since this system lets nobody debug it, or is of another kind.
sub spin
{
	my ($pid, $text, $provoke) = @_;
	return 0 if (uname())[4] ne 'x86_64' || $^O ne 'linux';
	return 0 if !ptrace(ATTACH, $pid, 0, 0);
	waitpid($pid, 0);
	my $child = $provoke->();
	my $found = run_to_send($pid, $text, time + 60);
	if ($found)
	{
		my $rip  = (registers($pid))[RIP];
		my $word = peek($pid, $rip);
		substr($word, 0, 2) = JUMP_TO_ITSELF;
		$found = ptrace(POKETEXT, $pid, $rip, unpack('q', $word));
	}
	kill 'STOP', $pid if !$found;    # to detach, it must stand
	waitpid($pid, 0)  if !$found;
	ptrace(DETACH, $pid, 0, 0);
	kill 'CONT', $pid if !$found;
	waitpid($child, 0);
	return $found;
}

1;
