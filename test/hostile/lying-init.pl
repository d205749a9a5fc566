# PID 1 of a container whose seccomp filter lets one system call fail as if it had worked: LIES says
# which, a number; then it makes the file /lies. Programs that enter with that filter believe it unless they look.
use strict;
use warnings;

my ($seccomp, $number) = @ENV{qw(SECCOMP LIES)};
my @program = (
  pack('SCCL', 0x20, 0, 0, 0),              # load the number of the call
  pack('SCCL', 0x15, 0, 1, $number),        # is it that one?
  pack('SCCL', 0x06, 0, 0, 0x00050000),     # then it returns 0, undone
  pack('SCCL', 0x06, 0, 0, 0x7fff0000),     # else it is made
);
my $instructions = join '', @program;
my $filter = pack('Sx6P', scalar @program, $instructions);
syscall(0 + $seccomp, 1, 0, $filter) == 0 or die "seccomp: $!";
open my $ready, '>', '/lies' or die "lies: $!";
sleep 1 while 1;
